//! What the items of a stage took that found its size while it ran: its shards are others in each run, its items are not.

use std::ops::Range;

use super::{Sample, quantiles};
use crate::base::{Span, limits};
use crate::graph::forecast::Workload;

/// What the newest run counts: each older one counts nine tenths of the one after it. A whole number, so that machines
/// that deal items out by the same history come to the same parts.
const NEWEST: u64 = 1 << 20;

/// Items in a row: the first, how many, and the milliseconds of all of them.
pub(super) type Row = (u64, u64, u32);

/// What the items of a stage took in one run.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Rows {
    /// That run; empty in a history that an older engine wrote.
    #[serde(default)]
    pub(super) run: String,
    /// When it began, in milliseconds since 1970 (UTC).
    pub(super) wall_ms: i64,
    /// `graph::Graph::definition` of the stage as it ran; 0 if that is not known.
    #[serde(default)]
    pub(super) definition: u64,
    /// How many items there were.
    items: u64,
    /// What they took, in order.
    taken: Vec<Row>,
}

impl Rows {
    /// Of a stage that had so many items. What reaches behind the last item is cut off.
    pub(super) fn new(items: u64, mut taken: Vec<Row>) -> Self {
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
        Self { items, taken, ..Self::default() }
    }

    /// As they were in a run that began at `wall_ms`, of a stage of this definition.
    pub(super) fn of_run(self, (run, wall_ms): (&str, i64), definition: u64) -> Self {
        Self { run: run.to_owned(), wall_ms, definition, ..self }
    }

    /// How many items there were.
    pub(super) const fn items(&self) -> u64 {
        self.items
    }

    /// Bytes that it takes in memory, and about as many on the disk.
    pub(super) const fn bytes(&self) -> usize {
        self.taken.len() * size_of::<Row>()
    }

    /// Items of which it says anything.
    fn known(&self) -> u64 {
        self.taken.iter().map(|row| row.1).sum()
    }

    /// How long the items before number `item` took, in microseconds; those of which nothing is known as long as the
    /// others do. It never falls as `item` rises.
    fn before(&self, item: u64) -> u64 {
        let (mut known, mut known_before, mut all, mut sum) = (0_u64, 0_u64, 0_u64, 0_u64);
        for &(first, count, ms) in &self.taken {
            let before = item.saturating_sub(first).min(count);
            let took = u64::from(ms) * 1000;
            let share = u128::from(took) * u128::from(before) / u128::from(count.max(1));
            (known, known_before, all) = (known + count, known_before + before, all + took);
            sum += u64::try_from(share).expect("no more than all of it");
        }
        let usual = all / known.max(1);
        sum + usual.saturating_mul(item.saturating_sub(known_before))
    }

    /// How long the items at `places` of `all` take together: what they took at their places, if there were as many;
    /// else what is usual. The times of neighbours add up.
    pub fn took(&self, places: &Range<u64>, all: u64) -> Span {
        let until = |item: u64| {
            if self.items == all {
                return self.before(item) / 1000;
            }
            let share = u128::from(self.before(self.items)) * u128::from(item) / u128::from(self.items.max(1));
            u64::try_from(share / 1000).unwrap_or(u64::MAX)
        };
        Span::from_ms(until(places.end).saturating_sub(until(places.start)).min(limits::MAX_SPAN_MS))
    }
}

/// What the items of a stage took in several runs, the newest first, each with what it counts: the newest all, an older
/// one less, and one that did a part of its items as much less.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ItemTimes<'a> {
    runs: Vec<(&'a Rows, u64)>,
}

impl<'a> ItemTimes<'a> {
    /// Of runs in this order.
    pub(super) fn of(rows: impl Iterator<Item = &'a Rows>) -> Self {
        let mut weight = NEWEST;
        let runs = rows.filter(|rows| rows.known() > 0).map(|rows| {
            let share = u128::from(weight) * u128::from(rows.known()) / u128::from(rows.items);
            weight = (weight * 9 / 10).max(1);
            (rows, u64::try_from(share).expect("no more than all of it").max(1))
        });
        Self { runs: runs.collect() }
    }

    /// Each run, and what it counts.
    pub fn runs(&self) -> &[(&'a Rows, u64)] {
        &self.runs
    }

    /// How long all of `all` items take together over the runs; none without any. Where nobody knows how many there are,
    /// they are as many as in each run, and in the newest for what is to come.
    pub fn work(&self, all: Option<u64>) -> Option<Workload> {
        let sample = |&(rows, weight): &(&Rows, u64)| {
            let all = all.unwrap_or(rows.items);
            let weight = to_float(weight) / to_float(NEWEST);
            Sample { took: rows.took(&(0..all), all), is_good: true, weight }
        };
        let took = quantiles(self.runs.iter().map(sample).collect())?;
        Some(Workload { took, items: all.unwrap_or(self.runs.first()?.0.items) })
    }

    /// How long the items before number `item` take on average over the runs, in microseconds, and one more for each of
    /// them, so that items that took no time are dealt out evenly. It never falls as `item` rises.
    pub fn before(&self, item: u64) -> u64 {
        let of = |&(rows, weight): &(&Rows, u64)| u128::from(rows.before(item)) * u128::from(weight);
        let all: u128 = self.runs.iter().map(|run| u128::from(run.1)).sum();
        let mean = self.runs.iter().map(of).sum::<u128>() / all.max(1);
        u64::try_from(mean).unwrap_or(u64::MAX).saturating_add(item)
    }
}

#[expect(clippy::cast_precision_loss, reason = "weights here have fewer than 53 bits")]
fn to_float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(rows: &[Rows]) -> ItemTimes<'_> {
        ItemTimes::of(rows.iter())
    }

    #[test]
    fn items_weigh_what_they_took_and_others_what_is_usual() {
        let rows = [Rows::new(100, vec![(0, 10, 90), (10, 10, 10), (40, 200, 600)])];
        let before = |item| of(&rows).before(item);
        assert_eq!(before(0), 0);
        assert_eq!(before(5), 45_000 + 5);
        assert_eq!(before(20), 100_000 + 20);
        // 80 items took 700 ms, so 8.75 ms is usual.
        assert_eq!(before(40), 100_000 + 20 * 8_750 + 40);
        assert_eq!(before(100), 700_000 + 20 * 8_750 + 100, "the last row ends with the items");
    }

    #[test]
    fn a_shard_takes_what_its_items_took_or_its_share_of_all_if_there_are_others() {
        let rows = Rows::new(100, vec![(0, 10, 900), (10, 90, 100)]);
        let took = |places, all| rows.took(&places, all).ms();
        assert_eq!([took(0..5, 100), took(5..10, 100), took(10..100, 100)], [450, 450, 100]);
        assert_eq!([took(0..50, 200), took(0..200, 200), took(0..1, 1)], [500, 2000, 10], "10 ms an item");
        assert_eq!((took(0..0, 100), took(7..7, 3)), (0, 0));
    }

    #[test]
    fn runs_that_differ_have_a_p50_below_their_p95_and_are_counted() {
        let took = |ms: u32| Rows::new(10, vec![(0, 10, ms)]);
        let work = |runs: &[Rows], all| {
            of(runs).work(Some(all)).map(|it| (it.took.p50.ms(), it.took.p95.ms(), it.took.samples))
        };
        assert_eq!(work(&[took(300), took(900), took(100)], 10), Some((300, 900, 3)));
        assert_eq!(work(&[took(300), took(900), took(100)], 20), Some((600, 1800, 3)), "twice as many items");
        // Two newer runs count more than two older ones.
        assert_eq!(work(&[took(900), took(900), took(100), took(100)], 10), Some((900, 900, 4)));
        assert_eq!(work(&[took(300)], 10), Some((300, 300, 1)));
        assert_eq!((work(&[], 10), work(&[Rows::new(10, vec![])], 10)), (None, None));
    }

    #[test]
    fn of_items_that_come_late_there_are_as_many_as_last_time_and_each_run_counts_with_its_own() {
        let runs = [Rows::new(3, vec![(0, 3, 30)]), Rows::new(100, vec![(0, 100, 2000)])];
        let work = of(&runs).work(None).expect("two runs");
        assert_eq!((work.items, work.took.p50.ms(), work.took.p95.ms()), (3, 30, 2000));
    }

    #[test]
    fn a_run_that_did_little_says_little() {
        let whole = Rows::new(1000, vec![(0, 500, 9_000), (500, 500, 1_000)]);
        // It came to an end after ten items.
        let cut = Rows::new(1000, vec![(0, 10, 900)]);
        let runs = [cut, whole];
        let work = of(&runs).work(Some(1000)).expect("two runs").took;
        assert_eq!((work.p50.ms(), work.samples), (10_000, 2), "90 s would be the guess of ten items");
        let halves = of(&runs);
        let (first, all) = (halves.before(500), halves.before(1000));
        assert!(first > all * 4 / 5, "the first half is the long one: {first} of {all}");
    }

    #[test]
    fn an_older_run_counts_less_than_a_newer_one() {
        // Ten items at either end took all the time.
        let (front, back) =
            (Rows::new(20, vec![(0, 10, 1000), (10, 10, 0)]), Rows::new(20, vec![(0, 10, 0), (10, 10, 1000)]));
        let half = |runs: &[Rows]| of(runs).before(10) - 10;
        assert_eq!(half(&[front.clone(), front.clone()]), 1_000_000);
        let newer = half(&[front.clone(), back.clone()]);
        let older = half(&[back, front]);
        assert_eq!((newer / 1000, older / 1000), (526, 473), "1 and 0.9 of 1.9");
    }

    proptest! {
        #[test]
        fn weights_never_fall(runs in prop::collection::vec(prop::collection::vec((0u64..300, 1u64..40, 0u32..5000), 0..20), 0..5)) {
            let runs: Vec<Rows> = runs.into_iter().map(|rows| Rows::new(250, rows)).collect();
            let all: Vec<u64> = (0..=250).map(|item| of(&runs).before(item)).collect();
            prop_assert!(all.is_sorted());
        }
    }
}
