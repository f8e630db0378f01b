//! What the items of a stage took that found its size while it ran: its shards are others in each run, its items are not.

use std::ops::Range;

use crate::base::{Span, limits};

/// What the items of a stage took in its newest run.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Rows {
    /// When that run began, in milliseconds since 1970 (UTC).
    wall_ms: i64,
    /// How many items there were.
    items: u64,
    /// Items in a row: the first, how many, and the milliseconds of all of them.
    taken: Vec<(u64, u64, u32)>,
}

impl Rows {
    /// Of a run that began at `wall_ms`. What reaches behind the last item is cut off.
    pub(super) fn new(wall_ms: i64, items: u64, mut taken: Vec<(u64, u64, u32)>) -> Self {
        taken.sort_unstable();
        let mut next = 0;
        taken.retain_mut(|(first, count, _)| {
            // An item that was done twice counts once.
            let end = first.saturating_add(*count).min(items);
            *first = next.max(*first);
            *count = end.saturating_sub(*first);
            next = next.max(end);
            *count > 0
        });
        Self { wall_ms, items, taken }
    }

    pub(super) const fn wall_ms(&self) -> i64 {
        self.wall_ms
    }

    pub(super) const fn items(&self) -> u64 {
        self.items
    }

    /// How long the items before number `item` took, in microseconds; those of which nothing is known as long as the
    /// others do. It never falls as `item` rises.
    pub fn before(&self, item: u64) -> u64 {
        let (mut known, mut known_before, mut all, mut sum) = (0_u64, 0_u64, 0_u64, 0_u64);
        for &(first, count, ms) in &self.taken {
            let before = item.saturating_sub(first).min(count);
            let took = u64::from(ms) * 1000;
            let share = u128::from(took) * u128::from(before) / u128::from(count.max(1));
            (known, known_before, all) = (known + count, known_before + before, all + took);
            sum += u64::try_from(share).expect("no more than all of it");
        }
        let usual = all / known.max(1);
        // One more for each, so that items that took no time are dealt out evenly.
        sum + usual.saturating_mul(item.saturating_sub(known_before)) + item
    }

    /// How long the items at `places` of `all` take together: what they took at their places, if there were as many;
    /// else what is usual. The times of neighbours add up.
    pub fn took(&self, places: &Range<u64>, all: u64) -> Span {
        let until = |item: u64| {
            if self.items == all {
                return (self.before(item) - item) / 1000;
            }
            let share = u128::from(self.before(self.items) - self.items) * u128::from(item)
                / u128::from(self.items.max(1));
            u64::try_from(share / 1000).unwrap_or(u64::MAX)
        };
        Span::from_ms(until(places.end).saturating_sub(until(places.start)).min(limits::MAX_SPAN_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn items_weigh_what_they_took_and_others_what_is_usual() {
        let rows = Rows::new(0, 100, vec![(0, 10, 90), (10, 10, 10), (40, 200, 600)]);
        assert_eq!(rows.before(0), 0);
        assert_eq!(rows.before(5), 45_000 + 5);
        assert_eq!(rows.before(20), 100_000 + 20);
        // 80 items took 700 ms, so 8.75 ms is usual.
        assert_eq!(rows.before(40), 100_000 + 20 * 8_750 + 40);
        assert_eq!(rows.before(100), 700_000 + 20 * 8_750 + 100, "the last row ends with the items");
    }

    #[test]
    fn a_shard_takes_what_its_items_took_or_its_share_of_all_if_there_are_others() {
        let rows = Rows::new(0, 100, vec![(0, 10, 900), (10, 90, 100)]);
        let took = |places, all| rows.took(&places, all).ms();
        assert_eq!([took(0..5, 100), took(5..10, 100), took(10..100, 100)], [450, 450, 100]);
        assert_eq!([took(0..50, 200), took(0..200, 200), took(0..1, 1)], [500, 2000, 10], "10 ms an item");
        assert_eq!((took(0..0, 100), took(7..7, 3)), (0, 0));
    }

    proptest! {
        #[test]
        fn weights_never_fall(rows in prop::collection::vec((0u64..300, 1u64..40, 0u32..5000), 0..20)) {
            let rows = Rows::new(0, 250, rows);
            let all: Vec<u64> = (0..=250).map(|item| rows.before(item)).collect();
            prop_assert!(all.is_sorted());
        }
    }
}
