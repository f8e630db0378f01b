//! What the recount makes of an edited plan.

use std::collections::BTreeSet;
use std::sync::Arc;

use engine::base::NodeIx;
use engine::graph::model::Phase;
use engine::run::event::NodeState;

use crate::book::{Book, Key, Stage};

impl Book {
    /// Everything follows its stage to its new number; stages whose shards are cut anew begin again.
    pub(crate) fn change(&mut self, version: u32) {
        let new = Arc::clone(&self.versions[version as usize - 1]);
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
        self.stopped = keys(&self.stopped);
        self.states = self.states.iter().filter_map(|(&node, &it)| Some((find(node)?, it))).collect();
        self.stages = self.stages.iter().filter_map(|(&node, it)| Some((find(node)?, it.clone()))).collect();
        for (from, was) in old.nodes.pairs() {
            if let Some(to) = find(from) {
                self.fit(to, was.rules.shards, was.rules.is_approval, !was.selected);
            }
        }
        for key in std::mem::take(&mut self.doubt).into_iter().chain(self.stopped.clone()) {
            self.force(key);
        }
        let is_open = |node: NodeIx| new.nodes[node].phase == Phase::Main && !self.states.contains_key(&node);
        if new.nodes.indexes().any(is_open) {
            (self.finally_since, self.finally_over) = (None, false);
        }
    }

    fn fit(&mut self, node: NodeIx, shards: u32, was_approval: bool, was_unselected: bool) {
        let now = self.graph.nodes[node].clone();
        if self.state(node) == NodeState::Skipped && was_unselected && now.selected {
            self.states.remove(&node);
            self.stages.remove(&node);
        }
        let has_ended = self.states.contains_key(&node);
        if let Some(stage) = self.stages.get_mut(&node)
            && !has_ended
        {
            stage.is_admitted = false;
            if was_approval != now.rules.is_approval {
                *stage = Stage::default();
            }
        }
        self.highest.retain(|key, _| key.0 != node || key.1 < now.rules.shards);
        self.done.retain(|key| key.0 != node || key.1 < now.rules.shards);
        self.doubt.retain(|key| key.0 != node || key.1 < now.rules.shards);
        self.due.retain(|key, _| key.0 != node || key.1 < now.rules.shards);
        if shards == now.rules.shards || self.state(node).is_success() {
            return;
        }
        // No slice is what it was: what was done of the old ones says nothing about the new ones.
        if let Some(stage) = self.stages.get_mut(&node) {
            stage.unknown.retain(|&shard| shard < now.rules.shards);
        }
        if !has_ended {
            self.stages.remove(&node);
        }
        self.done.retain(|key| key.0 != node);
        self.retries.retain(|key, _| key.0 != node);
        self.due.retain(|key, _| key.0 != node);
        self.first.retain(|key, _| key.0 != node);
        let started: Vec<Key> = self.highest.keys().copied().filter(|key| key.0 == node).collect();
        for key in started.into_iter().filter(|_| !now.rules.idempotent) {
            self.force(key);
        }
    }
}
