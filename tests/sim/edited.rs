//! What the recount makes of an edited plan.

use std::collections::BTreeSet;
use std::sync::Arc;

use engine::base::{IdVec, NodeIx};
use engine::graph::model::{Node, Phase};
use engine::run::event::NodeState;

use crate::book::{Book, Key};
use crate::items::{Items, Recut};

impl Book {
    /// Everything follows its stage to its new number; stages whose shards are cut anew begin again.
    pub(crate) fn change(&mut self, version: u32, items: &Items) {
        let new = Arc::clone(&self.versions[version as usize - 1]);
        let none = Recut::Anew;
        let recut = |from: NodeIx| {
            let to = new.find(&self.graph.nodes[from].id);
            to.map_or(none, |to| items.recut(self, from, &new.nodes[to]))
        };
        let recuts: IdVec<NodeIx, Recut> = self.graph.nodes.indexes().map(recut).collect();
        let old = std::mem::replace(&mut self.graph, Arc::clone(&new));
        let find = |node: NodeIx| new.find(&old.nodes[node].id);
        let key = |(node, shard): Key| Some((find(node)?, shard));
        let keys = |set: &BTreeSet<Key>| set.iter().filter_map(|&it| key(it)).collect::<BTreeSet<_>>();
        assert!(self.running.is_empty(), "what ran is lost before the plan changes");
        self.highest = self.highest.iter().filter_map(|(&it, &number)| Some((key(it)?, number))).collect();
        self.retries = self.retries.iter().filter_map(|(&it, &count)| Some((key(it)?, count))).collect();
        self.due = self.due.iter().filter_map(|(&it, &due)| Some((key(it)?, due))).collect();
        self.first = self.first.iter().filter_map(|(&it, &at)| Some((key(it)?, at))).collect();
        self.done = keys(&self.done);
        self.down = self.down.iter().filter_map(|&node| find(node)).collect();
        self.restarting = self.restarting.iter().filter_map(|&node| find(node)).collect();
        self.down.retain(|&node| new.nodes[node].rules.is_service && new.nodes[node].selected);
        self.undos.rename(find);
        self.doubt = keys(&self.doubt);
        self.forced = keys(&self.forced);
        self.states = self.states.iter().filter_map(|(&node, &it)| Some((find(node)?, it))).collect();
        self.stages = self.stages.iter().filter_map(|(&node, it)| Some((find(node)?, it.clone()))).collect();
        for (from, was) in old.nodes.pairs() {
            if let Some(to) = find(from) {
                self.fit(to, was, recuts[from]);
            }
        }
        let must_be_told = |key: &&Key| !new.nodes[key.0].rules.idempotent;
        let forced: Vec<Key> = self.forced.iter().filter(must_be_told).copied().collect();
        for key in std::mem::take(&mut self.doubt).into_iter().chain(forced) {
            self.force(key);
        }
        let is_open = |node: NodeIx| new.nodes[node].phase == Phase::Main && !self.states.contains_key(&node);
        if new.nodes.indexes().any(is_open) {
            (self.finally_since, self.finally_over) = (None, false);
        }
    }

    fn fit(&mut self, node: NodeIx, was: &Node, recut: Recut) {
        let now = self.graph.nodes[node].clone();
        if self.state(node) == NodeState::Skipped && !was.selected && now.selected {
            self.states.remove(&node);
            self.stages.remove(&node);
            self.retries.retain(|key, _| key.0 != node);
            self.due.retain(|key, _| key.0 != node);
            self.first.retain(|key, _| key.0 != node);
        }
        let has_ended = self.states.contains_key(&node);
        if let Some(stage) = self.stages.get_mut(&node)
            && !has_ended
        {
            stage.is_admitted = false;
        }
        let is_same = matches!(recut, Recut::Same | Recut::Kept);
        if is_same && now.rules.split.is_some() {
            return;
        }
        let is_gone = |key: &Key| key.0 == node && key.1 >= now.rules.shards;
        self.highest.retain(|key, _| !is_gone(key));
        self.done.retain(|key| !is_gone(key));
        self.doubt.retain(|key| !is_gone(key));
        self.forced.retain(|key| !is_gone(key));
        self.due.retain(|key, _| !is_gone(key));
        if recut == Recut::Over && self.forced.iter().any(|key| key.0 == node) {
            // It stays done, but nobody knows which of its new slices was in doubt.
            self.forced.extend((0..now.rules.shards).map(|shard| (node, shard)));
        }
        if is_same || recut == Recut::Over {
            return;
        }
        // No slice is what it was: what was done of the old ones says nothing about the new ones.
        if let Some(stage) = self.stages.get_mut(&node) {
            stage.unknown.clear();
        }
        if !has_ended {
            self.stages.remove(&node);
        }
        self.forget_attempts(node);
        if recut == Recut::Doubted {
            (0..now.rules.shards).for_each(|shard| self.force((node, shard)));
        }
    }

    /// Nothing is known of the shards of `node` but the numbers of their attempts.
    pub(crate) fn forget_attempts(&mut self, node: NodeIx) {
        let of = |key: &Key| key.0 != node;
        self.done.retain(of);
        self.doubt.retain(of);
        self.forced.retain(of);
        self.retries.retain(|key, _| of(key));
        self.due.retain(|key, _| of(key));
        self.first.retain(|key, _| of(key));
    }
}
