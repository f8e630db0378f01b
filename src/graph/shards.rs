//! Shards as index ranges: which items a shard has, computed, never stored.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use super::model::{Items, Node, Work};

impl Node {
    /// The items of its shards; none when it has no process.
    pub fn items(&self) -> Option<&Items> {
        match &self.work {
            Work::Process(process) => Some(&process.items),
            Work::Approval { .. } => None,
        }
    }
}

/// From one shard on, each has so many items.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cut {
    /// The first shard of it.
    pub shard: u32,
    /// That shard's first item.
    pub item: u64,
    /// Items for each shard, at least 1.
    pub size: u32,
}

/// How items are cut into shards: in order, each cut up to the next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cuts {
    items: u64,
    list: Vec<Cut>,
}

impl Cuts {
    /// `items` in shards of `size`.
    pub fn even(items: u64, size: u32) -> Self {
        Self { items, list: vec![Cut { shard: 0, item: 0, size: size.max(1) }] }
    }

    /// How many items there are.
    pub const fn items(&self) -> u64 {
        self.items
    }

    /// The cut that goes on to the end.
    ///
    /// # Panics
    /// Never: there is always one.
    pub fn last(&self) -> Cut {
        *self.list.last().expect("there is always a cut")
    }

    /// All cuts, in order.
    pub fn list(&self) -> &[Cut] {
        &self.list
    }

    /// How many cuts there are.
    pub const fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none, which never happens.
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many shards there are.
    pub fn shards(&self) -> u32 {
        let cut = self.last();
        let more = self.items.saturating_sub(cut.item).div_ceil(u64::from(cut.size));
        u32::try_from(more).unwrap_or(u32::MAX).saturating_add(cut.shard)
    }

    /// Which items belong to `shard`; empty when there is no such shard.
    pub fn range(&self, shard: u32) -> Range<u64> {
        let at = self.list.partition_point(|cut| cut.shard <= shard).saturating_sub(1);
        let cut = self.list[at];
        let end = self.list.get(at + 1).map_or(self.items, |next| next.item);
        let size = u64::from(cut.size);
        let from = (u64::from(shard - cut.shard.min(shard)) * size).saturating_add(cut.item).min(end);
        from..from.saturating_add(size).min(end)
    }

    /// The shard that item number `at` belongs to.
    pub fn shard_of(&self, at: u64) -> Option<u32> {
        let place = self.list.partition_point(|cut| cut.item <= at).checked_sub(1)?;
        let cut = self.list[place];
        let shard = (at < self.items).then(|| (at - cut.item) / u64::from(cut.size))?;
        u32::try_from(shard).ok()?.checked_add(cut.shard)
    }

    /// The same up to `cut`, of so many items in all, and by `cut` from there on.
    #[must_use]
    pub fn up_to(&self, cut: Cut, items: u64) -> Self {
        let mut cuts = Self { items, list: self.list.clone() };
        cuts.push(cut);
        cuts
    }

    /// From `cut.shard` on, goes by `cut`; what was said about these shards before is forgotten.
    pub fn push(&mut self, cut: Cut) {
        self.list.retain(|old| old.shard < cut.shard);
        if self.list.is_empty() {
            return self.list.push(Cut { shard: 0, item: 0, size: cut.size.max(1) });
        }
        self.list.push(Cut { size: cut.size.max(1), ..cut });
    }
}

/// The items of one shard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slice {
    /// Their places among all items.
    pub range: Range<u64>,
    /// How many shards the stage has, as far as it is cut.
    pub shards: u32,
    /// All items, when an earlier stage gave them.
    pub late: Option<Arc<Vec<Box<str>>>>,
}

impl Items {
    /// How many items there are; none for an unsharded stage, or while nobody knows.
    pub fn count(&self) -> u64 {
        match self {
            Self::None | Self::Late { .. } => 0,
            Self::Range { count, .. } => *count,
            Self::Numbers(numbers, _) => numbers.len() as u64,
            Self::List { items, .. } => items.len() as u64,
        }
    }

    /// Items for each shard; 1 for an unsharded stage.
    pub const fn size(&self) -> u32 {
        match self {
            Self::None => 1,
            Self::Range { size, .. }
            | Self::Numbers(_, size)
            | Self::List { size, .. }
            | Self::Late { size, .. } => *size,
        }
    }

    /// Whether items are JSON texts.
    pub const fn is_json(&self) -> bool {
        matches!(self, Self::List { is_json: true, .. } | Self::Late { is_json: true, .. })
    }

    /// How many shards that makes: 1 for an unsharded stage, 0 without items.
    pub fn shard_count(&self) -> u64 {
        match self {
            Self::None => 1,
            _ => self.count().div_ceil(u64::from(self.size().max(1))),
        }
    }

    /// A shard when all are of one size.
    pub fn slice(&self, shard: u32) -> Slice {
        let cuts = Cuts::even(self.count(), self.size());
        Slice { range: cuts.range(shard), shards: cuts.shards(), late: None }
    }

    /// The items of a shard as text, in order.
    pub fn texts<'a>(&'a self, slice: &'a Slice) -> impl Iterator<Item = Cow<'a, str>> {
        let list = match self {
            Self::List { items, .. } => Some(items),
            _ => slice.late.as_ref(),
        };
        slice.range.clone().map(move |at| match list {
            Some(items) => Cow::Borrowed(&*items[place(at)]),
            None => Cow::Owned(self.number(at).to_string()),
        })
    }

    /// What item `at` of a range is.
    pub fn number(&self, at: u64) -> u64 {
        if let Self::Numbers(numbers, _) = self { numbers[place(at)] } else { at }
    }

    /// Those of these ranges alone, in the same order.
    #[must_use]
    pub fn only(&self, ranges: &[Range<u64>]) -> Self {
        let (size, places) = (self.size(), ranges.iter().flat_map(Clone::clone));
        match self {
            Self::None | Self::Late { .. } => self.clone(),
            Self::Range { .. } | Self::Numbers(..) => {
                Self::Numbers(Arc::new(places.map(|at| self.number(at)).collect()), size)
            }
            Self::List { items, is_json, .. } => {
                let items = Arc::new(places.map(|at| items[place(at)].clone()).collect());
                Self::List { items, size, is_json: *is_json }
            }
        }
    }

    /// What a shard works on, as a number: equal items give an equal one, wherever they stand in the list.
    ///
    /// # Panics
    /// Never: eight bytes are eight bytes.
    pub fn content(&self, slice: &Slice) -> u64 {
        let mut hash = blake3::Hasher::new();
        for item in self.texts(slice) {
            hash.update(item.as_bytes());
            hash.update(b"\0");
        }
        u64::from_le_bytes(hash.finalize().as_bytes()[..8].try_into().expect("eight bytes of thirty-two"))
    }
}

fn place(at: u64) -> usize {
    usize::try_from(at).expect("an index below the list's length")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_unsharded_stage_has_one_shard_without_items() {
        assert_eq!((Items::None.shard_count(), Items::None.texts(&Items::None.slice(0)).count()), (1, 0));
    }

    proptest! {
        #[test]
        fn shards_cut_the_items_into_their_order(count in 0u64..300, size in 1u32..40) {
            let texts: Vec<Box<str>> = (0..count).map(|at| at.to_string().into()).collect();
            let list = Items::List { items: Arc::new(texts.clone()), size, is_json: false };
            for items in [Items::Range { count, size }, list] {
                let shards = u32::try_from(items.shard_count()).expect("few");
                let slices: Vec<Slice> = (0..shards).map(|shard| items.slice(shard)).collect();
                let all: Vec<Box<str>> =
                    slices.iter().flat_map(|slice| items.texts(slice)).map(Into::into).collect();
                prop_assert_eq!(&all, &texts);
                prop_assert!(items.slice(shards).range.is_empty());
            }
        }

        #[test]
        fn however_often_the_rest_is_cut_anew_each_item_is_in_one_shard(
            count in 0u64..500,
            steps in prop::collection::vec((0u32..9, 1u32..60), 0..8),
        ) {
            let mut cuts = Cuts::even(count, 3);
            let mut started = 0;
            for (more, size) in steps {
                started = (started + more).min(cuts.shards());
                cuts.push(Cut { shard: started, item: cuts.range(started).start, size });
            }
            let mut next = 0;
            for shard in 0..cuts.shards() {
                let range = cuts.range(shard);
                prop_assert_eq!(range.start, next);
                prop_assert!(!range.is_empty());
                for at in range.clone() {
                    prop_assert_eq!(cuts.shard_of(at), Some(shard));
                }
                next = range.end;
            }
            prop_assert_eq!(next, count);
            prop_assert!(cuts.range(cuts.shards()).is_empty());
            prop_assert_eq!(cuts.shard_of(count), None);
        }
    }
}
