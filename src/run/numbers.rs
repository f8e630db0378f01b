//! Numbers of attempts that must not be used twice: an edit of the plan, or another list of items, may take a shard away
//! and a later one bring it back, and its first attempt is none then. What an attempt printed is found by its number.

use std::collections::BTreeMap;

use super::shards::{Key, Shards};
use crate::base::{NodeIx, Text};
use crate::graph::Graph;

/// The last numbers of shards that a stage does not have now, or has again and has not started since.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Spent {
    shards: BTreeMap<Key, u16>,
    /// Those of stages that the plan does not have now, by id.
    gone: BTreeMap<Text, Vec<(u32, u16)>>,
}

impl Spent {
    /// The last number of a shard that has none in its column.
    pub(super) fn of(&self, key: Key) -> u16 {
        self.shards.get(&key).copied().unwrap_or(0)
    }

    fn of_node(&self, node: NodeIx) -> impl Iterator<Item = (u32, u16)> {
        self.shards.range((node, 0)..=(node, u32::MAX)).map(|(key, &number)| (key.1, number))
    }
}

impl Shards {
    /// All shards of `node` that ever had an attempt, with the number of the last one.
    fn used_numbers(&self, node: NodeIx) -> Vec<(u32, u16)> {
        let has = u32::try_from(self.room(node)).expect("limits::MAX_SHARDS fits");
        let own = (0..has).map(|shard| (shard, self.number((node, shard))));
        let spent = self.spent.of_node(node).filter(|it| it.0 >= has);
        own.chain(spent).filter(|it| it.1 > 0).collect()
    }

    /// Keeps the numbers that stages of `was` used up in `old`, for those of `now`, in which shards were adopted already.
    pub(super) fn keep_numbers(&mut self, old: &Self, was: &Graph, now: &Graph) {
        self.spent.gone.clone_from(&old.spent.gone);
        for (from, node) in was.nodes.pairs() {
            let used = old.used_numbers(from);
            match now.find(&node.id) {
                Some(to) => self.spend(to, &used),
                None if used.is_empty() => {}
                None => drop(self.spent.gone.insert(node.id.clone(), used)),
            }
        }
        for (to, node) in now.nodes.pairs() {
            if let Some(used) = self.spent.gone.remove(&node.id) {
                self.spend(to, &used);
            }
        }
    }

    fn spend(&mut self, node: NodeIx, used: &[(u32, u16)]) {
        let has = self.room(node);
        for &(shard, number) in used {
            if shard as usize >= has || self.number((node, shard)) < number {
                self.spent.shards.insert((node, shard), number);
            }
        }
    }
}
