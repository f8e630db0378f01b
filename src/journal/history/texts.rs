//! Items by their texts: what was known of them in an earlier run is known wherever they stand now.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use crate::graph::model::Items;

/// What some items in a row are known by: a number for the first of them, and one for all.
pub(in crate::journal) type Mark = (u32, u32);

/// What one item's number counts beside the next one's: any odd number with bits everywhere.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// The items of a list, eight bytes for each.
#[derive(Clone, Debug)]
pub(in crate::journal) struct Texts {
    /// For each place, a number for all items before it.
    sums: Vec<u64>,
    /// Where items stand first that were asked for.
    places: HashMap<u32, u64>,
}

impl Texts {
    /// Of these items, in order.
    pub(in crate::journal) fn of<'t>(items: impl Iterator<Item = &'t str>) -> Self {
        Self::of_numbers(items.map(number))
    }

    /// Of items with these numbers.
    pub(super) fn of_numbers(numbers: impl Iterator<Item = u64>) -> Self {
        let mut sums = vec![0_u64];
        let mut sum = 0_u64;
        sums.extend(numbers.map(|number| {
            sum = sum.wrapping_mul(FACTOR).wrapping_add(number);
            sum
        }));
        Self { sums, places: HashMap::new() }
    }

    /// Of the items of a stage, if it has a list of them.
    pub(super) fn of_items(items: &Items) -> Option<Self> {
        match items {
            Items::List { items, .. } => Some(Self::of(items.iter().map(|item| &**item))),
            _ => None,
        }
    }

    /// How many they are.
    pub(super) const fn count(&self) -> u64 {
        self.sums.len() as u64 - 1
    }

    /// What the items at `places` are known by; nothing of places that are not there.
    pub(in crate::journal) fn mark(&self, places: &Range<u64>) -> Option<Mark> {
        let first = self.sum(&(places.start..places.start.checked_add(1)?))?;
        Some((folded(first), folded(self.sum(places)?)))
    }

    fn sum(&self, places: &Range<u64>) -> Option<u64> {
        let at = |place: u64| self.sums.get(usize::try_from(place).ok()?).copied();
        let (before, until) = (at(places.start)?, at(places.end)?);
        Some(until.wrapping_sub(before.wrapping_mul(power(places.end.checked_sub(places.start)?))))
    }

    /// Looks where items stand that marks begin with, for all of them at once.
    pub(super) fn look_for(&mut self, wanted: &HashSet<u32>) {
        for (at, pair) in (0_u64..).zip(self.sums.windows(2)) {
            let first = folded(pair[1].wrapping_sub(pair[0].wrapping_mul(FACTOR)));
            if wanted.contains(&first) {
                self.places.entry(first).or_insert(at);
            }
        }
    }

    /// Where an item stands that was looked for.
    pub(super) fn place(&self, first: u32) -> Option<u64> {
        self.places.get(&first).copied()
    }
}

/// What an item is known by.
pub(super) fn number(item: &str) -> u64 {
    u64::from_le_bytes(
        blake3::hash(item.as_bytes()).as_bytes()[..8].try_into().expect("eight bytes of thirty-two"),
    )
}

fn power(count: u64) -> u64 {
    let (mut power, mut base, mut left) = (1_u64, FACTOR, count);
    while left > 0 {
        if left % 2 == 1 {
            power = power.wrapping_mul(base);
        }
        base = base.wrapping_mul(base);
        left /= 2;
    }
    power
}

/// Half as many bits, which is enough for what only a forecast goes by.
fn folded(sum: u64) -> u32 {
    u32::try_from((sum ^ (sum >> 32)) & u64::from(u32::MAX)).expect("thirty-two bits")
}
