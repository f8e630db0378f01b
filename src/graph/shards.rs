//! Shards as index ranges: which items a shard has, computed, never stored.

use std::borrow::Cow;
use std::ops::Range;

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

impl Items {
    /// How many items there are; none for an unsharded stage.
    pub fn count(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::Range { count, .. } => *count,
            Self::List { items, .. } => items.len() as u64,
        }
    }

    /// Items for each shard; 1 for an unsharded stage.
    pub const fn size(&self) -> u32 {
        match self {
            Self::None => 1,
            Self::Range { size, .. } | Self::List { size, .. } => *size,
        }
    }

    /// How many shards that makes: 1 for an unsharded stage, 0 without items.
    pub fn shard_count(&self) -> u64 {
        match self {
            Self::None => 1,
            _ => self.count().div_ceil(u64::from(self.size().max(1))),
        }
    }

    /// Which items belong to `shard`; empty when there is no such shard.
    pub fn shard_range(&self, shard: u32) -> Range<u64> {
        let size = u64::from(self.size().max(1));
        let from = (u64::from(shard) * size).min(self.count());
        from..(from + size).min(self.count())
    }

    /// The items of `shard` as text, in order.
    pub fn shard_items(&self, shard: u32) -> impl Iterator<Item = Cow<'_, str>> {
        self.shard_range(shard).map(|at| match self {
            Self::List { items, .. } => {
                let at = usize::try_from(at).expect("an index below the list's length");
                Cow::Borrowed(&*items[at])
            }
            Self::Range { .. } | Self::None => Cow::Owned(at.to_string()),
        })
    }

    /// What `shard` works on, as a number: equal items give an equal one, wherever they stand in the list.
    pub fn content(&self, shard: u32) -> u64 {
        let mut hash = blake3::Hasher::new();
        for item in self.shard_items(shard) {
            hash.update(item.as_bytes());
            hash.update(b"\0");
        }
        u64::from_le_bytes(hash.finalize().as_bytes()[..8].try_into().expect("eight bytes of thirty-two"))
    }

    /// The shard that item number `at` belongs to.
    pub fn shard_of(&self, at: u64) -> Option<u32> {
        let shard = (at < self.count()).then(|| at / u64::from(self.size().max(1)))?;
        u32::try_from(shard).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;

    #[test]
    fn an_unsharded_stage_has_one_shard_without_items() {
        assert_eq!((Items::None.shard_count(), Items::None.shard_items(0).count()), (1, 0));
    }

    proptest! {
        #[test]
        fn shards_cut_the_items_into_their_order(count in 0u64..300, size in 1u32..40) {
            let texts: Vec<Box<str>> = (0..count).map(|at| at.to_string().into()).collect();
            let items = [Items::Range { count, size }, Items::List { items: Arc::new(texts.clone()), size }];
            for items in items {
                let shards = u32::try_from(items.shard_count()).expect("few");
                let all: Vec<Box<str>> =
                    (0..shards).flat_map(|shard| items.shard_items(shard)).map(Into::into).collect();
                prop_assert_eq!(&all, &texts);
                for at in 0..count {
                    let shard = items.shard_of(at).expect("it exists");
                    prop_assert!(items.shard_range(shard).contains(&at));
                }
                prop_assert_eq!(items.shard_of(count), None);
                prop_assert!(items.shard_range(shards).is_empty());
            }
        }
    }
}
