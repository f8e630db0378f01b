//! What the items of a stage took that found its size while it ran: its shards are others in each run, its items are not.

use std::borrow::Cow;
use std::ops::Range;

use super::texts::{Mark, Texts, number};
use super::{Sample, quantiles};
use crate::base::{Span, limits};
use crate::graph::forecast::Workload;
use crate::graph::model::Items;

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
    /// What the items of each row are known by; none of numbers, and in a history that an older engine wrote.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    marks: Vec<Mark>,
    /// A number for each item, of such as an earlier stage gave: what it gave last is expected again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    given: Vec<u64>,
    /// Whether the items are numbers from 0 on, so that each is known by its place.
    #[serde(default, skip_serializing_if = "is_false")]
    is_range: bool,
    /// Microseconds of an item of which nothing is known, where that does not follow from the others.
    #[serde(skip)]
    usual: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
const fn is_false(is: &bool) -> bool {
    !*is
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

    /// Of these items; `marks` of such as an earlier stage gave, which only the run's own record has.
    pub(super) fn known_by(mut self, items: &Items, marks: Vec<Mark>) -> Self {
        self.is_range = matches!(items, Items::Range { .. });
        self.marks = match Texts::of_items(items) {
            Some(texts) => marks_of(&texts, &self.taken),
            None => marks,
        };
        if self.marks.len() != self.taken.len() {
            self.marks.clear();
        }
        self
    }

    /// Of these items, which an earlier stage gave.
    pub(super) fn given(mut self, items: &[Box<str>]) -> Self {
        if items.len() <= limits::MAX_KNOWN_ITEMS && items.len() as u64 == self.items {
            self.given = items.iter().map(|item| number(item)).collect();
        }
        self
    }

    /// Forgets what its items are, which newer ones tell.
    pub(super) fn forget_items(&mut self) {
        self.given = Vec::new();
    }

    /// What the items are known by.
    pub(super) fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// Bytes that it takes in memory, and about as many on the disk.
    pub(super) const fn bytes(&self) -> usize {
        self.taken.len() * size_of::<Row>()
            + self.marks.len() * size_of::<Mark>()
            + self.given.len() * size_of::<u64>()
    }

    /// The same for the items that there are now, each that is known again at its place.
    fn onto(&self, now: &Now) -> Cow<'_, Self> {
        let placed = match now {
            Now::Numbers(count) if self.is_range && self.items != *count => {
                let rows = self.taken.iter().filter(|row| row.0 < *count);
                Self::new(*count, rows.map(|row| cut(*row, count - row.0)).collect())
            }
            Now::Texts(texts) if !self.marks.is_empty() => Self::new(texts.count(), self.found(texts)),
            _ => return Cow::Borrowed(self),
        };
        Cow::Owned(Self { usual: Some(self.usual()), ..placed })
    }

    /// Its rows where their items stand now, of those that are there.
    fn found(&self, texts: &Texts) -> Vec<Row> {
        let (mut found, mut shift) = (Vec::new(), 0_i64);
        for (at, (&(first, count, ms), mark)) in self.taken.iter().zip(&self.marks).enumerate() {
            // Where the row before it leads, where it was, or where its first item stands first.
            let places = [first.checked_add_signed(shift), Some(first), texts.place(mark.0)];
            let mut places = places.into_iter().flatten();
            let is_there = |place: &u64| texts.mark(&(*place..place.saturating_add(count))) == Some(*mark);
            let row = match places.find(is_there) {
                Some(place) => Some((place, count, ms)),
                None => self.changed(at, texts),
            };
            if let Some(row) = row {
                shift = row.0.cast_signed().wrapping_sub(first.cast_signed());
                found.push(row);
            }
        }
        found
    }

    /// The row number `at` where items were put in or taken out: from its first item on, if the next row is not far.
    fn changed(&self, at: usize, texts: &Texts) -> Option<Row> {
        let (first, count, ms) = self.taken[at];
        let end = first + count;
        let place = texts.place(self.marks[at].0)?;
        let next = match self.taken.get(at + 1) {
            Some(next) if next.0 == end => texts.place(self.marks[at + 1].0)?,
            None if end == self.items => texts.count(),
            _ => return None,
        };
        let there = next.checked_sub(place).filter(|&there| (1..=count.saturating_mul(2)).contains(&there))?;
        Some(cut((place, count, ms), there))
    }

    /// Microseconds of an item of which nothing is known: what the others take.
    fn usual(&self) -> u64 {
        let all: u64 = self.taken.iter().map(|row| u64::from(row.2) * 1000).sum();
        self.usual.unwrap_or(all / self.known().max(1))
    }

    /// Items of which it says anything.
    fn known(&self) -> u64 {
        self.taken.iter().map(|row| row.1).sum()
    }

    /// How long the items before number `item` took, in microseconds; those of which nothing is known as long as the
    /// others do. It never falls as `item` rises.
    fn before(&self, item: u64) -> u64 {
        let (mut known_before, mut sum) = (0_u64, 0_u64);
        for &(first, count, ms) in &self.taken {
            let before = item.saturating_sub(first).min(count);
            let share = u128::from(ms) * 1000 * u128::from(before) / u128::from(count.max(1));
            known_before += before;
            sum += u64::try_from(share).expect("no more than all of it");
        }
        sum.saturating_add(self.usual().saturating_mul(item.saturating_sub(known_before)))
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

/// The first items of a row, at most so many, with what they took.
fn cut((first, count, ms): Row, most: u64) -> Row {
    let kept = count.min(most);
    let share = u128::from(ms) * u128::from(kept) / u128::from(count.max(1));
    (first, kept, u32::try_from(share).expect("no more than all of it"))
}

/// What each row of these items is known by.
pub(in crate::journal) fn marks_of(texts: &Texts, rows: &[Row]) -> Vec<Mark> {
    rows.iter().filter_map(|&(first, count, _)| texts.mark(&(first..first.checked_add(count)?))).collect()
}

/// The items of a stage as it is now.
enum Now {
    /// The numbers from 0 on.
    Numbers(u64),
    Texts(Texts),
    /// So many of which nothing else is known.
    Some(u64),
    /// An earlier stage is to give them, and nobody knows which it gave last.
    Late,
}

impl Now {
    /// Of `items`, which may have to be found again by the marks of `rows`.
    fn of(items: &Items, rows: &[&Rows]) -> Self {
        match items {
            Items::None | Items::Late { .. } => match rows.first().filter(|newest| !newest.given.is_empty()) {
                Some(newest) => Self::texts(Texts::of_numbers(newest.given.iter().copied()), rows),
                None => Self::Late,
            },
            Items::Range { count, .. } => Self::Numbers(*count),
            Items::List { .. } if rows.iter().any(|rows| !rows.marks().is_empty()) => {
                Self::texts(Texts::of_items(items).expect("it is a list"), rows)
            }
            Items::Numbers(..) | Items::List { .. } => Self::Some(items.count()),
        }
    }

    /// Of items among which those of `rows` are looked for.
    fn texts(mut texts: Texts, rows: &[&Rows]) -> Self {
        texts.look_for(&rows.iter().flat_map(|rows| rows.marks()).map(|mark| mark.0).collect());
        Self::Texts(texts)
    }

    const fn count(&self) -> Option<u64> {
        match self {
            Self::Numbers(count) | Self::Some(count) => Some(*count),
            Self::Texts(texts) => Some(texts.count()),
            Self::Late => None,
        }
    }
}

/// What the items of a stage took in several runs, the newest first, each with what it counts: the newest all, an older
/// one less, and one that did a part of its items, or others in part, as much less.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ItemTimes<'a> {
    runs: Vec<(Cow<'a, Rows>, u64)>,
    /// How many items there are now, if anybody knows.
    items: Option<u64>,
}

impl<'a> ItemTimes<'a> {
    /// Of `items` in runs in this order.
    pub(super) fn of(rows: impl Iterator<Item = &'a Rows>, items: &Items) -> Self {
        Self::placed(rows, |rows| Now::of(items, rows))
    }

    fn placed(rows: impl Iterator<Item = &'a Rows>, now: impl FnOnce(&[&'a Rows]) -> Now) -> Self {
        let rows: Vec<&Rows> = rows.filter(|rows| rows.known() > 0).collect();
        if rows.is_empty() {
            return Self::default();
        }
        let now = now(&rows);
        let mut weight = NEWEST;
        let runs = rows.into_iter().map(|rows| {
            let rows = rows.onto(&now);
            let share = u128::from(weight) * u128::from(rows.known()) / u128::from(rows.items.max(1));
            weight = (weight * 9 / 10).max(1);
            (rows, u64::try_from(share).expect("no more than all of it").max(1))
        });
        Self { runs: runs.collect(), items: now.count() }
    }

    /// Each run, and what it counts.
    pub fn runs(&self) -> &[(Cow<'a, Rows>, u64)] {
        &self.runs
    }

    /// How long all items take together over the runs; none without any. Where nobody knows which they are, they are
    /// as many as in each run, and in the newest for what is to come.
    pub fn work(&self) -> Option<Workload> {
        let sample = |(rows, weight): &(Cow<'_, Rows>, u64)| {
            let all = self.items.unwrap_or(rows.items);
            let weight = to_float(*weight) / to_float(NEWEST);
            Sample { took: rows.took(&(0..all), all), is_good: true, weight }
        };
        let took = quantiles(self.runs.iter().map(sample).collect())?;
        Some(Workload { took, items: self.items.unwrap_or(self.runs.first()?.0.items) })
    }

    /// How long the items before number `item` take on average over the runs in which the items have places, in
    /// microseconds, and one more for each of them, so that items that took no time are dealt out evenly. It never falls
    /// as `item` rises.
    pub fn before(&self, item: u64) -> u64 {
        let placed = || self.runs.iter().filter(|(rows, _)| Some(rows.items) == self.items);
        let of = |(rows, weight): &(Cow<'_, Rows>, u64)| u128::from(rows.before(item)) * u128::from(*weight);
        let all: u128 = placed().map(|run| u128::from(run.1)).sum();
        let mean = placed().map(of).sum::<u128>() / all.max(1);
        u64::try_from(mean).unwrap_or(u64::MAX).saturating_add(item)
    }
}

/// What items took in earlier runs, for such as an earlier stage is still to give.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownItems(pub(super) Vec<Rows>);

impl KnownItems {
    /// How long these items take, all one after the other: each by its text.
    pub fn took(&self, items: &[Box<str>]) -> Option<Span> {
        let texts = Texts::of(items.iter().map(|item| &**item));
        let times = ItemTimes::placed(self.0.iter(), |rows| Now::texts(texts, rows));
        times.work().map(|work| work.took.p50)
    }
}

#[expect(clippy::cast_precision_loss, reason = "weights here have fewer than 53 bits")]
fn to_float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests;
