//! Another plan: what is known of a stage follows its id, and its slices become what the core makes of them.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use crate::base::{IdVec, NodeIx};
use crate::graph::Node;
use crate::graph::model::Phase;
use crate::run::event::{NodeState, ReopenReason};
use crate::run::{Recut, Sliced, recut};

use super::node::{NodeView, Shards};
use super::{Sharded, View};

impl View {
    /// The run goes by another version of the plan; what is known of a stage follows its id.
    pub(super) fn change_plan(&mut self, version: u32) {
        let next = version as usize - 1;
        if version == 0 || next >= self.graphs.len() {
            return;
        }
        let old = Arc::clone(self.graph());
        let by_id: BTreeMap<&str, NodeIx> = old.nodes.pairs().map(|(ix, node)| (&*node.id, ix)).collect();
        self.version = next;
        self.adopt_cells(&old);
        let new = Arc::clone(self.graph());
        let mut moved = BTreeMap::new();
        let mut nodes = IdVec::new();
        for (ix, node) in new.nodes.pairs() {
            let mut seen = NodeView::new(node);
            if let Some(&from) = by_id.get(&*node.id) {
                moved.insert(from, ix);
                seen = self.nodes[from].clone();
                seen.go_by(&old.nodes[from], node);
                if node.retired.is_some() {
                    seen.retire();
                }
            }
            nodes.push(seen);
        }
        for node in &mut nodes {
            node.blocked_by = node.blocked_by.and_then(|by| moved.get(&by).copied());
        }
        self.nodes = nodes;
        self.hide_cells();
        self.forget_healing();
        self.change_goals(&old.objectives);
        self.recount();
        let usual = std::mem::take(&mut self.expected);
        self.expected = usual.into_iter().filter_map(|(ix, span)| Some((*moved.get(&ix)?, span))).collect();
        let by_items = std::mem::take(&mut self.by_items);
        self.by_items = by_items.into_iter().filter_map(|(ix, it)| Some((*moved.get(&ix)?, it))).collect();
        let flying = std::mem::take(&mut self.inflight);
        self.inflight =
            flying.into_iter().filter_map(|((ix, shard), v)| Some(((*moved.get(&ix)?, shard), v))).collect();
        let due = std::mem::take(&mut self.retries);
        self.retries =
            due.into_iter().filter_map(|((ix, shard), v)| Some(((*moved.get(&ix)?, shard), v))).collect();
        let suspects = std::mem::take(&mut self.suspects);
        let moved = suspects.into_iter().filter_map(|(ix, shard)| Some((*moved.get(&ix)?, shard)));
        // What was cut anew counts no failures.
        self.suspects = moved.filter(|(ix, _)| self.nodes[*ix].shards.failed > 0).collect();
    }

    fn recount(&mut self) {
        self.counts = [0; NodeState::ALL.len()];
        self.active.clear();
        let graph = Arc::clone(self.graph());
        for (ix, node) in self.nodes.pairs() {
            self.counts[node.state as usize] += u32::from(node.is_awake && graph.nodes[ix].phase.is_stage());
            if super::fold::is_active(node.state) {
                self.active.insert(ix);
            }
        }
    }

    /// Whether a stage that is opened again is done from the beginning, with all its shards.
    pub(super) fn is_done_anew(&self, ix: NodeIx, why: ReopenReason) -> bool {
        let node = &self.nodes[ix];
        match why {
            // A person's word on an outcome that nobody knew is about that alone.
            ReopenReason::Ordered => !(node.state == NodeState::Unknown && node.decided_by.is_some()),
            ReopenReason::Upstream | ReopenReason::Restart => true,
            ReopenReason::Resume => self.node(ix).phase == Phase::Finally || node.is_undone,
            ReopenReason::Changed => false,
        }
    }
}

impl NodeView {
    /// The plan has it no more: what it had not finished is not finished any more.
    fn retire(&mut self) {
        "gone from the plan".clone_into(&mut self.reason);
        if !self.state.is_success() && self.state != NodeState::Undone {
            self.state = NodeState::Skipped;
            (self.blocked_by, self.checking, self.stopping, self.is_open) = (None, None, None, false);
        }
    }

    /// Its text was edited from `was` to `now`.
    fn go_by(&mut self, was: &Node, now: &Node) {
        // A person's word on what was in doubt may leave other slices to be done: then the stage has not ended.
        let is_success = self.state.is_success() && !self.is_told;
        let is_same = match self.sharded.take() {
            Some(mut sharded) if now.rules.split.is_some() => {
                let is_same = sharded.go_by(was, now, is_success);
                self.sharded = Some(sharded);
                is_same
            }
            _ => {
                self.sharded = Sharded::new(now);
                // A question and what runs have nothing in common.
                let is_alike =
                    was.rules.is_approval == now.rules.is_approval && was.rules.shards == now.rules.shards;
                was.rules.split.is_none() && now.rules.split.is_none() && is_alike
            }
        };
        let all = self.sharded.as_ref().map_or(now.rules.shards, |sharded| sharded.cuts.shards());
        self.shards = match (is_same, is_success) {
            (true, _) => Shards { all, ..self.shards },
            (false, true) => Shards { all, done: all, ..Shards::default() },
            (false, false) => Shards { all, ..Shards::default() },
        };
    }
}

impl Sharded {
    /// Whether the slices that have had their turn are what they were.
    fn go_by(&mut self, was: &Node, now: &Node, is_success: bool) -> bool {
        let known = Sliced {
            cuts: self.cuts.clone(),
            late: self.late.clone(),
            begun: self.begun,
            is_mixed: self.is_mixed,
            is_success,
        };
        // One that ended well stays done, whatever became of its slices before.
        let is_doubted =
            |is_mixed: bool| is_mixed && !is_success && !now.rules.idempotent && !now.rules.is_approval;
        let fresh = Self::new(now).expect("it is cut by the new text too");
        match recut(was, now, &known) {
            Recut::Same if !is_doubted(self.is_mixed) => return true,
            Recut::Same => {}
            Recut::Kept(cut, late) => {
                let items = late.as_ref().map_or(fresh.cuts.items(), |late| late.len() as u64);
                (self.cuts, self.late) = (self.cuts.up_to(cut, items), late);
                self.took = OnceLock::new();
                return true;
            }
            Recut::Anew => {
                self.is_mixed = !is_success && (self.is_mixed || self.begun > 0);
                (self.cuts, self.late) = (fresh.cuts, None);
                self.failed.clear();
                self.root = None;
            }
        }
        self.begun =
            if is_doubted(self.is_mixed) { self.cuts.shards() } else { self.begun.min(self.cuts.shards()) };
        self.is_mixed &= !is_doubted(self.is_mixed);
        false
    }

    /// The stage is opened again.
    pub(super) fn reopen(&mut self, is_whole: bool, why: ReopenReason, is_late: bool) {
        self.failed.clear();
        self.root = None;
        self.is_mixed &= why != ReopenReason::Ordered;
        if is_whole && is_late {
            self.late = None;
        }
    }
}
