//! Items that a crew was given and no worker has yet.

use std::collections::{BTreeSet, VecDeque};

/// An item in one of its attempts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Item {
    pub(super) item: u32,
    pub(super) number: u16,
}

/// `count` items in a row.
#[derive(Clone, Copy, Debug)]
struct Block {
    first: u32,
    count: u32,
    number: u16,
}

/// What waits for a worker.
#[derive(Debug, Default)]
pub(super) struct Items {
    blocks: VecDeque<Block>,
    waiting: usize,
    /// Items that go alone, for they were lost once.
    alone: VecDeque<Item>,
    suspects: BTreeSet<u32>,
}

impl Items {
    /// Takes items in.
    pub(super) fn put(&mut self, first: u32, count: u32, number: u16) {
        // A block is a fresh one, of which nothing can have been lost.
        if count == 1 && self.suspects.contains(&first) {
            self.alone.push_back(Item { item: first, number });
        } else if count > 0 {
            self.waiting += count as usize;
            self.blocks.push_back(Block { first, count, number });
        }
    }

    /// Nobody but this item is to blame if its next worker is lost.
    pub(super) fn suspect(&mut self, item: u32) {
        self.suspects.insert(item);
    }

    /// A worker answered for the item: it was innocent.
    pub(super) fn acquit(&mut self, item: u32) {
        if !self.suspects.is_empty() {
            self.suspects.remove(&item);
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting + self.alone.len()
    }

    /// The next item that goes alone.
    pub(super) fn take_alone(&mut self) -> Option<Item> {
        self.alone.pop_front()
    }

    /// The next item, if its number is above `above`.
    pub(super) fn take(&mut self, above: Option<u32>) -> Option<Item> {
        let block = self.blocks.front_mut()?;
        if above.is_some_and(|above| block.first <= above) {
            return None;
        }
        let next = Item { item: block.first, number: block.number };
        self.waiting -= 1;
        block.first += 1;
        block.count -= 1;
        if block.count == 0 {
            self.blocks.pop_front();
        }
        Some(next)
    }

    /// Takes an item out that is no longer wanted.
    pub(super) fn remove(&mut self, item: u32) -> Option<Item> {
        if let Some(at) = self.alone.iter().position(|one| one.item == item) {
            return self.alone.remove(at);
        }
        let holds = |block: &Block| (block.first..block.first + block.count).contains(&item);
        let at = self.blocks.iter().position(holds)?;
        let block = self.blocks[at];
        let before = Block { count: item - block.first, ..block };
        let after = Block { first: item + 1, count: block.count - before.count - 1, ..block };
        self.blocks.remove(at);
        for part in [after, before] {
            if part.count > 0 {
                self.blocks.insert(at, part);
            }
        }
        self.waiting -= 1;
        Some(Item { item, number: block.number })
    }

    /// Takes all of them.
    pub(super) fn take_all(&mut self) -> Vec<Item> {
        let mut all: Vec<Item> = self.alone.drain(..).collect();
        while let Some(item) = self.take(None) {
            all.push(item);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_in_their_order_and_one_that_is_removed_does_not() {
        let mut items = Items::default();
        items.put(10, 4, 1);
        items.put(3, 2, 2);
        assert_eq!((items.len(), items.remove(12).map(|it| it.number), items.remove(12)), (6, Some(1), None));
        assert_eq!(items.take(Some(10)), None, "lines to one worker rise");
        let all: Vec<(u32, u16)> = items.take_all().iter().map(|it| (it.item, it.number)).collect();
        assert_eq!((all, items.len()), (vec![(10, 1), (11, 1), (13, 1), (3, 2), (4, 2)], 0));
    }

    #[test]
    fn an_item_that_was_lost_goes_alone_until_it_is_answered() {
        let mut items = Items::default();
        items.suspect(5);
        items.put(5, 1, 2);
        items.put(6, 1, 1);
        assert_eq!((items.take_alone().map(|it| it.item), items.take_alone()), (Some(5), None));
        items.acquit(5);
        items.put(5, 1, 3);
        assert_eq!((items.take_alone(), items.len()), (None, 2));
    }
}
