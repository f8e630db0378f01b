//! Another plan: what is known of a run is kept under the stages' new numbers, and made to fit their new text.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::event::{NodeState, ReopenReason};
use super::shards::{Between, Key, Phase, Shards, Step};
use super::state::{Cell, RunState, phase_ix};
use crate::base::{Millis, NodeIx};
use crate::graph::Graph;
use crate::graph::model::{Node, Phase as Part};

impl RunState {
    /// The rest of the run goes by another plan: everything known is kept under the stages' new numbers. What had
    /// not succeeded is tried again, for its new text or that of its needs may be the mended one.
    pub(super) fn change_plan(&mut self, at: Millis, version: u32) {
        let Some(new) = self.graphs.0.get(version as usize - 1).cloned() else { return };
        let old = std::mem::replace(&mut self.version, version) as usize - 1;
        let old = Arc::clone(&self.graphs.0[old]);
        let name = |node: NodeIx| new.find(&old.nodes[node].id);
        let mut shards = Shards::new(&new);
        let mut cells = super::shards::PerNode::filled(Cell::new(), new.nodes.len());
        for (from, _) in old.nodes.pairs() {
            if let Some(to) = name(from) {
                if cuts_alike(&old.nodes[from], &new.nodes[to]) {
                    shards.adopt_cuts(to, &self.shards, from);
                }
                shards.adopt(to, &self.shards, from);
                cells[to] = self.cells[from].clone();
            }
        }
        let moved = std::mem::replace(&mut self.shards, shards);
        self.cells = cells;
        self.flights = std::mem::take(&mut self.flights).rename(name);
        self.orphan_flights();
        self.failed = self.failed.iter().filter_map(|&node| name(node)).collect();
        self.left = rename(&mut self.left, name);
        self.paces = rename(&mut self.paces, name);
        self.causes = rename(&mut self.causes, name);
        self.words = rename(&mut self.words, name);
        self.reopen = rename(&mut self.reopen, name);
        self.stops.clear();
        self.drain_for = self.drain_for.and_then(name);
        self.rename_cases(name);
        self.change_objectives(&old);
        for (from, _) in old.nodes.pairs() {
            if let Some(to) = name(from) {
                self.fit(to, moved.phases(from).len(), (&old, from));
            }
        }
        self.recount_checks();
        self.derive(at);
        self.judge_again(at);
        let again = if self.is_undoing() { BTreeMap::new() } else { self.unsuccessful(false) };
        for (node, why) in again {
            self.reopen.entry(node).or_insert(why);
        }
        if self.in_finally && self.open[phase_ix(Part::Main)] > 0 {
            self.reopen_finally(at);
        }
    }

    /// Failures whose re-try is not scheduled yet: the new text says whether there is one.
    fn judge_again(&mut self, at: Millis) {
        let is_judged = |between: &Between| between.step == Step::Judged;
        let judged = self.shards.between.iter().filter(|(_, between)| is_judged(between));
        let judged: Vec<_> = judged.filter_map(|(&key, it)| Some((key, it.failure.clone()?))).collect();
        for (key, outcome) in judged {
            if !self.cells[key.0].state.is_final() && !self.node(key.0).rules.is_approval {
                self.leave(key);
                self.fail(at, key, &outcome);
                self.settle(at, key.0);
            }
        }
    }

    /// Makes what is known of a stage fit its new text.
    fn fit(&mut self, to: NodeIx, shards: usize, (old, from): (&Graph, NodeIx)) {
        let total = self.shards_of(to);
        let cell = &mut self.cells[to];
        let (was, now) = (&old.nodes[from], &self.graphs.0[self.version as usize - 1].nodes[to]);
        if cell.state == NodeState::Skipped && !was.selected && now.selected {
            *cell = cell.emptied();
        }
        let is_same_split = match (&was.rules.split, &now.rules.split) {
            (Some(_), Some(_)) => cuts_alike(was, now),
            _ => shards == now.rules.shards as usize && was.items() == now.items(),
        };
        if cell.state.is_final() || cell.state == NodeState::Unknown {
            cell.cursor = cell.cursor.min(total);
            if !is_same_split {
                self.recount_ended(to);
            }
            return;
        }
        cell.is_admitted = false;
        if was.rules.is_approval != now.rules.is_approval {
            *cell = cell.emptied();
        }
        if is_same_split {
            return self.forget_questions(to);
        }
        let cursor = cell.cursor.min(total);
        *cell = Cell { cursor, ..cell.emptied() };
        let (is_idempotent, has_done_if) = (now.rules.idempotent, now.rules.has_done_if);
        for shard in 0..cursor {
            if self.shards.number((to, shard)) > 0 {
                self.recut((to, shard), is_idempotent, has_done_if);
            }
        }
    }

    /// What can't be asked any more is done again, or left to a person.
    fn forget_questions(&mut self, node: NodeIx) {
        let (has_done_if, is_idempotent) = (self.node(node).rules.has_done_if, self.node(node).rules.idempotent);
        let suspects = self.shards.between_of(node).filter(|(_, between)| between.step == Step::Suspect);
        let suspects: Vec<u32> = suspects.filter(|_| !has_done_if).map(|it| it.0).collect();
        for shard in suspects {
            if is_idempotent {
                self.shards.wait((node, shard), Step::Ready, None);
            } else {
                self.make_unknown((node, shard), "its `done-if` is gone, and it is not idempotent");
            }
        }
    }

    /// A shard has other items now: what was done of the old ones says nothing about them.
    fn recut(&mut self, key: Key, is_idempotent: bool, has_done_if: bool) {
        let is_suspect = self.shards.between.get(&key).is_some_and(|between| between.step == Step::Suspect);
        self.shards.forgive_all(key);
        if has_done_if && (is_suspect || !is_idempotent) {
            self.shards.wait(key, Step::Suspect, None);
        } else if is_idempotent {
            self.shards.wait(key, Step::Ready, None);
        } else {
            self.make_unknown(key, "its items changed after it had started, and it is not idempotent");
        }
    }

    /// A stage that had ended was split in another way. One that succeeded stays done. Of any other, no slice
    /// is what it was: when it is opened again, all of it is done again where that is safe, asked about where it
    /// can be asked, and left to a person otherwise. That settles an unknown outcome too, unless only a person can:
    /// their word then holds for every slice that had started.
    fn recount_ended(&mut self, node: NodeIx) {
        let it = &self.graphs.0[self.version as usize - 1].nodes[node];
        let (total, is_idempotent) = (self.shards_of(node), it.rules.idempotent);
        let is_settled = it.selected && (is_idempotent || it.rules.has_done_if);
        let (state, cursor) = (self.cells[node].state, self.cells[node].cursor);
        if state.is_success() {
            let cell = &mut self.cells[node];
            (cell.success, cell.failed, cell.unforgiven, cell.cancelled) = (total, 0, 0, 0);
            return;
        }
        for shard in 0..cursor {
            let phase = self.recut_ended((node, shard), is_idempotent);
            self.shards.set((node, shard), phase);
        }
        let phases = self.shards.phases(node);
        let count = |phase: Phase| {
            let count = phases.iter().filter(|&&it| it == phase).count();
            u32::try_from(count).expect("limits::MAX_SHARDS fits")
        };
        let (failed, cancelled, unknown) = (count(Phase::Failed), count(Phase::Cancelled), count(Phase::Unknown));
        let cell = &mut self.cells[node];
        (cell.success, cell.failed, cell.unforgiven) = (0, failed, failed);
        (cell.cancelled, cell.unknown) = (cancelled, unknown);
        if state == NodeState::Unknown && is_settled {
            self.reopen.insert(node, ReopenReason::Resume);
        }
    }

    /// What a slice of an ended stage is once it has other items. `reopen_shard` asks about a cancelled one.
    fn recut_ended(&self, key: Key, is_idempotent: bool) -> Phase {
        let is_suspect = self.shards.between.get(&key).is_some_and(|between| between.step == Step::Suspect);
        match self.shards.phase(key) {
            _ if !is_idempotent => Phase::Unknown,
            Phase::Cancelled | Phase::Unknown => Phase::Cancelled,
            Phase::Between if is_suspect => Phase::Cancelled,
            _ => Phase::Failed,
        }
    }

    fn recount_checks(&mut self) {
        self.checks = 0;
        for cell in &mut self.cells {
            (cell.checks, cell.flights) = (0, 0);
        }
        for (key, between) in &self.shards.between {
            if matches!(between.step, Step::Checking(..)) {
                self.cells[key.0].checks += 1;
                self.checks += 1;
            }
        }
        for flight in self.flights.all() {
            self.cells[flight.key.0].flights += 1;
        }
    }
}

/// Whether two versions of a stage have the same items and cut them in the same way.
fn cuts_alike(was: &Node, now: &Node) -> bool {
    let is_alike = match (&was.rules.split, &now.rules.split) {
        (Some(was), Some(now)) => was.cuts_as(now),
        _ => false,
    };
    is_alike && was.items() == now.items()
}

fn rename<T>(map: &mut BTreeMap<NodeIx, T>, name: impl Fn(NodeIx) -> Option<NodeIx>) -> BTreeMap<NodeIx, T> {
    let old = std::mem::take(map);
    old.into_iter().filter_map(|(node, value)| Some((name(node)?, value))).collect()
}
