//! Another plan: what is known of a run is kept under the stages' new numbers, and made to fit their new text.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::cut::Column;
use super::event::{NodeState, ReopenReason};
use super::recut::{Recut, Sliced, cuts_alike, recut};
use super::shards::{Between, Key, Phase, Shards, Step};
use super::state::{Cell, RunState, phase_ix};
use crate::base::{Millis, NodeIx};
use crate::graph::Graph;
use crate::graph::model::{Node, Phase as Part};

impl RunState {
    /// The rest of the run goes by another plan: everything known is kept under the stages' new numbers. What had
    /// not succeeded is tried again, for its new text or that of its needs may be the mended one.
    pub(super) fn change_plan(&mut self, at: Millis, version: u32) {
        let old = Arc::clone(self.graph());
        let Some(new) = self.graphs.0.get_mut(version as usize - 1) else { return };
        if !new.matrices.is_empty() {
            Arc::make_mut(new).adopt_cells(&old);
        }
        let new = Arc::clone(new);
        let name = |node: NodeIx| new.find(&old.nodes[node].id);
        let kept = self.kept_cuts(&old, &new);
        let is_kept: BTreeSet<NodeIx> = kept.keys().copied().collect();
        let mut shards = Shards::with(&new, kept);
        let mut cells = super::shards::PerNode::filled(Cell::new(), new.nodes.len());
        for (from, _) in old.nodes.pairs() {
            if let Some(to) = name(from) {
                let split = new.nodes[to].rules.split.as_ref();
                if let Some(split) = split.filter(|_| cuts_alike(&old.nodes[from], &new.nodes[to])) {
                    shards.adopt_cuts(to, &self.shards, from, split);
                }
                shards.adopt(to, &self.shards, from);
                cells[to] = self.cells[from].clone();
                // Whether it is work still is for the new text to say.
                cells[to].is_queued = false;
            }
        }
        shards.keep_numbers(&self.shards, &old, &new);
        let moved = std::mem::replace(&mut self.shards, shards);
        (self.version, self.cells) = (version, cells);
        self.flights = std::mem::take(&mut self.flights).rename(name);
        self.orphan_flights();
        self.failed = self.failed.iter().filter_map(|&node| name(node)).collect();
        self.left = rename(&mut self.left, name);
        self.paces = rename(&mut self.paces, name);
        self.heals = rename(&mut self.heals, name);
        self.causes = rename(&mut self.causes, name);
        self.words = rename(&mut self.words, name);
        self.reopen = rename(&mut self.reopen, name);
        self.forced = self.forced.iter().filter_map(|&(node, shard)| Some((name(node)?, shard))).collect();
        self.stops.clear();
        self.drain_for = self.drain_for.and_then(name);
        self.rename_cases(name);
        self.consents.change_plan();
        for (from, was) in old.nodes.pairs() {
            match name(from) {
                Some(to) if is_kept.contains(&to) => self.go_on(to, was),
                Some(to) => self.fit(to, moved.phases(from).len(), was),
                None => {}
            }
        }
        for stage in new.retired() {
            self.retire(at, stage);
        }
        self.change_objectives(&old);
        self.forget_all_healing();
        self.recount_checks();
        self.derive(at);
        self.judge_again(at);
        let again = if self.is_undoing() { BTreeMap::new() } else { self.unsuccessful(false) };
        for (node, why) in again {
            self.reopen.entry(node).or_insert(why);
        }
        if self.open[phase_ix(Part::Main)] > 0 {
            self.reopen_foreground(at);
        }
        if self.in_finally && self.open[phase_ix(Part::Main)] > 0 {
            self.reopen_finally(at);
        }
    }

    /// A stage that the plan has no more has ended for good; what it left and did stays.
    fn retire(&mut self, at: Millis, node: NodeIx) {
        let between: Vec<u32> = self.shards.between_of(node).map(|it| it.0).collect();
        for shard in between {
            self.shards.set((node, shard), Phase::Cancelled);
        }
        let cell = &mut self.cells[node];
        cell.is_released = true;
        if cell.state.is_success() || cell.state == NodeState::Undone {
            return;
        }
        let (is_undone, started) = (cell.is_undone, cell.started);
        // What had not ended was cut off by the edit.
        let has_ended = cell.state.is_final() || cell.state == NodeState::Unknown;
        let state = if has_ended { cell.state } else { NodeState::Cancelled };
        let (was, ended) = (cell.was.or(Some(state)), Some(at));
        let emptied = cell.emptied();
        *cell = Cell { state: NodeState::Skipped, is_released: true, is_undone, started, ended, was, ..emptied };
        self.failed.retain(|&failed| failed != node);
        self.reopen.remove(&node);
        self.causes.remove(&node);
        self.words.remove(&node);
        self.heals.remove(&node);
        self.forced.retain(|key| key.0 != node);
        self.drain_for = self.drain_for.filter(|&failed| failed != node);
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

    /// The cuts of stages that have begun, must not be repeated, and are cut in another way now.
    fn kept_cuts(&self, old: &Graph, new: &Graph) -> BTreeMap<NodeIx, Column> {
        let kept = |(from, was): (NodeIx, &Node)| {
            let to = new.find(&was.id)?;
            Some((to, self.kept_cut(from, was, &new.nodes[to])?))
        };
        old.nodes.pairs().filter_map(kept).collect()
    }

    fn kept_cut(&self, from: NodeIx, was: &Node, now: &Node) -> Option<Column> {
        let split = now.rules.split.as_ref()?;
        let known = self.sliced(from)?;
        match recut(was, now, &known) {
            // It was kept by an earlier edit.
            Recut::Same => {
                self.shards.column(from).filter(|_| !split.is_dynamic()).map(|column| column.edited(split))
            }
            Recut::Kept(cut, late) => Some(Column::kept(split, &known.cuts, cut, late)),
            Recut::Anew => None,
        }
    }

    fn sliced(&self, node: NodeIx) -> Option<Sliced> {
        Some(Sliced {
            cuts: self.cuts(node)?,
            late: self.slice(node, 0)?.late,
            begun: self.begun(node),
            is_mixed: self.cells[node].is_mixed,
            is_success: self.cells[node].state.is_success(),
        })
    }

    /// Shards of `node` up to the last one that is not fresh any more.
    fn begun(&self, node: NodeIx) -> u32 {
        let last = self.shards.phases(node).iter().rposition(|&phase| phase != Phase::Fresh);
        u32::try_from(last.map_or(0, |last| last + 1)).expect("limits::MAX_SHARDS fits")
    }

    /// A stage goes on with the slices that it has, and only the rest of it is cut by its new text.
    fn go_on(&mut self, node: NodeIx, was: &Node) {
        let is_back = self.cells[node].state == NodeState::Skipped && !was.selected && self.node(node).selected;
        if is_back {
            let cell = &mut self.cells[node];
            (cell.state, cell.ended, cell.is_released) = (NodeState::Pending, None, false);
            cell.was = None;
        }
        let known = self.begun(node);
        let first = std::mem::replace(&mut self.cells[node].cursor, known);
        for shard in first..known {
            if self.shards.phase((node, shard)) == Phase::Fresh {
                self.shards.wait((node, shard), Step::Ready, None);
            }
        }
        self.goes_by_new_text(node);
    }

    /// The slices of a stage are what they were.
    fn goes_by_new_text(&mut self, node: NodeIx) {
        let cell = &mut self.cells[node];
        if !cell.state.is_final() && cell.state != NodeState::Unknown {
            cell.is_admitted = false;
            self.forget_questions(node);
            self.doubt_again(node);
        }
    }

    /// Makes what is known of a stage fit its new text.
    fn fit(&mut self, to: NodeIx, shards: usize, was: &Node) {
        let graph = Arc::clone(self.graph());
        let (now, total) = (&graph.nodes[to], self.shards_of(to));
        let is_same_split = match (&was.rules.split, &now.rules.split) {
            (Some(_), Some(_)) => cuts_alike(was, now),
            _ => shards == now.rules.shards as usize && was.items() == now.items(),
        };
        let is_asked = was.rules.is_approval != now.rules.is_approval;
        let is_same_split = is_same_split && !is_asked;
        if self.cells[to].state == NodeState::Skipped && !was.selected && now.selected {
            self.begin_again(to, is_same_split);
        }
        let state = self.cells[to].state;
        let has_ended = state.is_final() || state == NodeState::Unknown;
        if is_asked && !has_ended {
            self.begin_again(to, false);
            if now.rules.is_approval {
                return;
            }
        }
        let cell = &mut self.cells[to];
        // Which of the slices have had their turn, as part of another one, nobody can tell: any of them may have.
        let is_mixed = !cell.state.is_success() && (cell.is_mixed || (cell.cursor > 0 && !is_same_split));
        // A question runs nothing, but what it was before may come back.
        let is_doubted = is_mixed && !now.rules.idempotent && !now.rules.is_approval;
        if is_same_split && !is_doubted {
            cell.cursor = cell.cursor.min(total);
            return self.goes_by_new_text(to);
        }
        cell.cursor = if is_doubted { total } else { cell.cursor.min(total) };
        cell.is_mixed = is_mixed && !is_doubted;
        let keeps_doubt = state.is_success() && self.has_doubts(to);
        self.trust_all(to);
        if keeps_doubt {
            self.doubt_all(to, total);
        }
        if has_ended { self.recount_ended(to) } else { self.recut(to) }
    }

    /// A stage that has not ended has other slices now: what was done of the old ones says nothing about them.
    fn recut(&mut self, node: NodeIx) {
        let cell = &mut self.cells[node];
        // However it is cut, a service that comes up again was done.
        let (cursor, is_mixed, is_restart) = (cell.cursor, cell.is_mixed, cell.is_restart);
        *cell = Cell { cursor, is_restart, is_mixed, ..cell.emptied() };
        self.forget(node);
        for shard in 0..cursor {
            self.recut_slice((node, shard));
        }
    }

    /// What its shards left and how they failed says nothing about those to come.
    fn forget(&mut self, node: NodeIx) {
        self.left.remove(&node);
        self.causes.remove(&node);
        self.words.remove(&node);
    }

    /// What had been left out is not any more, or what had run something is an approval now, or the other way round.
    fn begin_again(&mut self, node: NodeIx, keeps_done: bool) {
        let (is_approval, total) = (self.node(node).rules.is_approval, self.shards_of(node));
        let started = (0..total).filter(|&shard| self.shards.number((node, shard)) > 0).max();
        let cursor = if is_approval { 0 } else { started.map_or(0, |last| last + 1) };
        let is_mixed = self.cells[node].is_mixed;
        self.cells[node] = Cell { cursor, is_mixed, ..self.cells[node].emptied() };
        self.causes.remove(&node);
        self.words.remove(&node);
        for shard in 0..total {
            let key = (node, shard);
            match self.shards.phase(key) {
                Phase::Success if keeps_done && shard < cursor => self.cells[node].success += 1,
                _ if shard < cursor => {
                    let step = if self.is_to_be_asked(key) { Step::Suspect } else { Step::Ready };
                    self.shards.forgive_all(key);
                    self.shards.wait(key, step, None);
                }
                Phase::Fresh => {}
                _ => self.shards.set(key, Phase::Fresh),
            }
        }
    }

    /// Whether an attempt of a shard was cut off, and its `done-if` is still to say what it did.
    fn is_to_be_asked(&self, key: Key) -> bool {
        self.shards.is_suspect(key) || (self.node(key.0).rules.has_done_if && self.forced.contains(&key))
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

    fn recut_slice(&mut self, key: Key) {
        let rules = &self.node(key.0).rules;
        let (has_done_if, is_idempotent) = (rules.has_done_if, rules.idempotent);
        let is_suspect = self.shards.is_suspect(key);
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
    /// their word then holds for all of it.
    fn recount_ended(&mut self, node: NodeIx) {
        let it = &self.graphs.0[self.version as usize - 1].nodes[node];
        let total = self.shards_of(node);
        let is_safe = it.rules.idempotent || it.rules.is_approval;
        let is_settled = it.selected && (is_safe || it.rules.has_done_if);
        let (state, cursor) = (self.cells[node].state, self.cells[node].cursor);
        if state.is_success() {
            let cell = &mut self.cells[node];
            (cell.success, cell.failed, cell.unforgiven, cell.cancelled) = (total, 0, 0, 0);
            return;
        }
        self.left.remove(&node);
        for shard in 0..cursor {
            let phase = self.recut_ended((node, shard), is_safe);
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
    fn recut_ended(&self, key: Key, is_safe: bool) -> Phase {
        let is_suspect = self.shards.is_suspect(key);
        match self.shards.phase(key) {
            _ if !is_safe => Phase::Unknown,
            _ if self.node(key.0).rules.is_approval => Phase::Failed,
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

fn rename<T>(map: &mut BTreeMap<NodeIx, T>, name: impl Fn(NodeIx) -> Option<NodeIx>) -> BTreeMap<NodeIx, T> {
    let old = std::mem::take(map);
    old.into_iter().filter_map(|(node, value)| Some((name(node)?, value))).collect()
}
