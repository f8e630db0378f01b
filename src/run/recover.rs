//! Another engine, another try.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::event::{CheckKind, NodeState, Outcome, ReopenReason, Resolution, Resumed};
use super::shards::{Key, Phase, Step};
use super::state::{Cell, RunState};
use crate::base::{Millis, NodeIx};
use crate::graph::model::Phase as Part;

impl RunState {
    /// Another engine has the run. One that was over, or was about to be, is tried again: what had not succeeded
    /// is reopened. One that was only interrupted goes on as it was; a pause lasts until a person ends it.
    pub(super) fn fold_resumed(&mut self, at: Millis, resumed: &Resumed) {
        let decided = self.decided().cloned();
        let was_over = decided.is_some();
        // An engine for the background alone has none before the verdict: then it goes on as any other.
        let undoes = self.goes_on_undoing();
        let goes_on = self.resume_background(decided, resumed.drains);
        let undoes = undoes && !goes_on;
        let is_new_try = (was_over || self.cancel.is_some()) && !undoes && !goes_on && !resumed.closes;
        self.set_jobs(resumed.jobs);
        if !resumed.closes {
            self.consents.note_engine(at, resumed.wall_ms, &resumed.by);
        }
        self.suspended = None;
        self.leave_box();
        self.verdict = None;
        self.is_paused &= !is_new_try;
        self.stops.clear();
        self.note_down();
        self.forget_crews();
        self.orphan_flights();
        self.put_questions_back();
        self.shards.shift(resumed.gap);
        self.finally_due = self.finally_due.map(|due| due + resumed.gap);
        for cell in &mut self.cells {
            cell.ready_at = cell.ready_at.map(|_| at);
        }
        if (was_over && !goes_on) || is_new_try {
            self.excuse_objectives();
        }
        if undoes && !resumed.closes {
            self.undo_again();
        } else if is_new_try {
            self.try_again();
        }
        self.derive(at);
    }

    pub(super) fn orphan_flights(&mut self) {
        for flight in self.flights.all_mut() {
            flight.is_orphan = true;
            flight.due = None;
        }
        self.orphans = u32::try_from(self.flights.all().len()).expect("limits::MAX_PARALLEL fits");
    }

    /// Whoever was asked is gone: the questions stand again.
    fn put_questions_back(&mut self) {
        let is_asked = |step: Step| matches!(step, Step::Checking(..));
        let asked = self.shards.between.iter().filter(|(_, between)| is_asked(between.step));
        let asked: Vec<_> = asked.map(|(&key, between)| (key, between.clone())).collect();
        for (key, between) in asked {
            self.leave(key);
            match between.step {
                Step::Checking(CheckKind::Cache, _) => self.shards.set(key, Phase::Fresh),
                _ => self.shards.wait(key, Step::Suspect, between.failure),
            }
        }
    }

    fn try_again(&mut self) {
        let had_finally = self.in_finally;
        self.cancel = None;
        self.drain_for = None;
        self.timed_out = false;
        self.forget_rollback();
        self.leave_finally();
        self.reset_run_clock();
        for &node in &self.unknown {
            self.cells[node].is_released = false;
        }
        self.reopen = self.unsuccessful(had_finally);
        let again = &self.reopen;
        self.failed.retain(|node| !again.contains_key(node));
    }

    /// What services keep running has ended with their engine.
    fn note_down(&mut self) {
        let graph = Arc::clone(self.graph());
        for (ix, node) in graph.nodes.pairs().filter(|(_, node)| node.rules.is_service) {
            let cell = &mut self.cells[ix];
            cell.is_down |= node.selected && cell.state == NodeState::Success;
        }
    }

    /// A rollback goes on.
    fn undo_again(&mut self) {
        self.drain_for = None;
        self.leave_finally();
        self.reset_run_clock();
        self.undo_on();
    }

    fn leave_finally(&mut self) {
        self.in_finally = false;
        self.finally_due = None;
        self.finally_expired = false;
    }

    /// Everything that a new try does again: what had not succeeded, what was skipped because of it, and the
    /// clean-up, for each ending has its own.
    pub(super) fn unsuccessful(&self, had_finally: bool) -> BTreeMap<NodeIx, ReopenReason> {
        let mut again = BTreeMap::new();
        for &node in self.graph().order() {
            let (it, cell) = (self.node(node), &self.cells[node]);
            if !it.phase.is_stage() {
                continue;
            }
            let is_again = match cell.state {
                NodeState::Failed
                | NodeState::TimedOut
                | NodeState::Cancelled
                | NodeState::Blocked
                | NodeState::Undone => true,
                NodeState::Skipped => {
                    it.needs.iter().any(|need| again.contains_key(&need.node)) || self.lacks_cells(node)
                }
                NodeState::Unknown => false,
                state if state.is_final() => false,
                _ => cell.expired.is_some() || cell.cancelled > 0 || cell.failed > 0,
            };
            let is_clean_up = had_finally && it.phase == Part::Finally && cell.state.is_final();
            if it.selected && (is_again || is_clean_up) {
                again.insert(node, ReopenReason::Resume);
            }
        }
        self.redo(&mut again);
        again
    }

    /// An ended stage is pending again.
    pub(super) fn reopen(&mut self, at: Millis, node: NodeIx, why: ReopenReason) {
        let by_person = self.cells[node].resolved == Some(Resolution::Rerun);
        let is_whole = match why {
            ReopenReason::Ordered => !by_person,
            ReopenReason::Upstream | ReopenReason::Restart => true,
            ReopenReason::Resume => self.node(node).phase == Part::Finally || self.cells[node].is_undone,
            ReopenReason::Changed => false,
        };
        let is_restart = match why {
            ReopenReason::Restart => true,
            ReopenReason::Resume | ReopenReason::Changed => self.cells[node].is_restart,
            ReopenReason::Ordered => by_person && self.cells[node].is_restart,
            ReopenReason::Upstream => false,
        };
        self.cells[node].is_restart = is_restart;
        // It is known what became of what was undone; and who said that it is to be done again, before whatever else
        // opens it did, is not asked once more.
        let is_clear = self.cells[node].is_undone && why == ReopenReason::Resume;
        let is_told = is_clear || by_person;
        self.open_again(at, node, is_whole, if is_told { ReopenReason::Ordered } else { why });
    }

    /// Whether an order to repeat the failed shards of a stage has anything to repeat: shards that had their turn and
    /// did not succeed, or an end that was bad whatever its shards did.
    pub fn has_failed_shards(&self, node: NodeIx) -> bool {
        let is_left = |phase: &Phase| !matches!(phase, Phase::Success | Phase::Fresh);
        match self.cells[node].state {
            NodeState::Failed | NodeState::TimedOut | NodeState::Cancelled | NodeState::Unknown => true,
            _ => self.shards.phases(node).iter().any(is_left),
        }
    }

    /// The failed shards of an ended stage are pending again, by order of a person.
    pub(super) fn reopen_failed(&mut self, at: Millis, node: NodeIx) {
        self.open_again(at, node, false, ReopenReason::Ordered);
    }

    fn open_again(&mut self, at: Millis, node: NodeIx, is_whole: bool, why: ReopenReason) {
        self.reopen.remove(&node);
        self.forget_healing(node);
        self.drain_for = self.drain_for.filter(|&failed| failed != node);
        self.close_gate(node);
        self.unplace(node);
        self.failed.retain(|&failed| failed != node);
        self.causes.remove(&node);
        self.words.remove(&node);
        if why == ReopenReason::Ordered {
            self.trust_all(node);
            self.cells[node].is_mixed = false;
        }
        let is_restart = self.cells[node].is_restart;
        self.reopen_cell(node, is_whole);
        // Its condition held when it was done.
        (self.cells[node].is_restart, self.cells[node].is_admitted) = (is_restart, is_restart);
        for shard in 0..self.cells[node].cursor {
            self.reopen_shard((node, shard), is_whole, why);
        }
        self.set_state(node, NodeState::Pending);
        self.hold(at, node);
        self.place(at, node);
        if is_restart {
            self.hold_below(at, node);
        } else {
            self.let_go(at, node);
        }
        if self.node(node).phase == Part::Main && !(is_restart && self.in_background()) {
            self.reopen_foreground(at);
            if self.in_finally {
                self.reopen_finally(at);
            }
        }
        if self.in_background() {
            self.restart_missed();
        }
    }

    fn reopen_cell(&mut self, node: NodeIx, is_whole: bool) {
        let old = &self.cells[node];
        let generation = old.generation.saturating_add(1);
        let (needs_left, cursor, success, is_released) =
            (old.needs_left, old.cursor, old.success, old.is_released);
        let success = if is_whole { 0 } else { success };
        let is_mixed = old.is_mixed;
        let (is_dirty, is_awake, is_bridge) = (old.is_dirty, old.is_awake, old.is_bridge);
        let (cache_asked, recalled) = (is_whole, if is_whole { 0 } else { old.recalled });
        let fresh = Cell { needs_left, cursor, success, cache_asked, is_released, generation, ..Cell::new() };
        self.cells[node] = Cell { state: old.state, recalled, is_mixed, is_dirty, is_awake, is_bridge, ..fresh };
        if is_whole || success == 0 {
            self.left.remove(&node);
            self.forget_recalled(node);
        } else if let Some(left) = self.left.get_mut(&node) {
            left.root = None;
        }
    }

    pub(super) fn reopen_shard(&mut self, key: Key, is_whole: bool, why: ReopenReason) {
        let is_ordered = why == ReopenReason::Ordered;
        let rules = &self.node(key.0).rules;
        let (has_done_if, is_idempotent) = (rules.has_done_if, rules.idempotent);
        let is_suspect = self.shards.is_suspect(key);
        let step = match self.shards.phase(key) {
            // What it keeps running is gone, and with it what its success meant.
            Phase::Success if why == ReopenReason::Restart && !is_idempotent && has_done_if => Step::Suspect,
            Phase::Success if why == ReopenReason::Restart && !is_idempotent => {
                return self
                    .make_unknown(key, "what it keeps running ended with its engine, and it is not idempotent");
            }
            Phase::Success if is_whole && !is_ordered && self.is_doubted(key) => {
                if !has_done_if {
                    return self
                        .make_unknown(key, "its last attempt was ended by force, and it is not idempotent");
                }
                Step::Suspect
            }
            Phase::Success if is_whole => Step::Ready,
            Phase::Success | Phase::Fresh | Phase::Running => return,
            Phase::Cancelled if has_done_if && !is_ordered => Step::Suspect,
            Phase::Between if is_suspect && has_done_if && !is_ordered => Step::Suspect,
            Phase::Between if is_suspect && !is_idempotent && !is_ordered => {
                return self.make_unknown(key, "its `done-if` is gone, and it is not idempotent");
            }
            // Only an order that names the stage, or a person's word on it, takes back that nobody knows.
            Phase::Unknown if !is_ordered && !is_idempotent && has_done_if => Step::Suspect,
            Phase::Cancelled if !is_ordered && !is_idempotent => {
                return self.make_unknown(key, "its last attempt was ended by force, and it is not idempotent");
            }
            Phase::Unknown if !is_ordered && !is_idempotent => {
                return self.make_unknown(key, "nobody knows what it has done so far, and it is not idempotent");
            }
            // It was ended by force, and only an edit of the plan made that matter.
            Phase::Failed | Phase::Between if !is_ordered && has_done_if && self.is_doubted(key) => Step::Suspect,
            Phase::Failed | Phase::Between if !is_ordered && self.is_doubted(key) => {
                return self.make_unknown(key, "its last attempt was ended by force, and it is not idempotent");
            }
            Phase::Cancelled | Phase::Between | Phase::Failed | Phase::Unknown => Step::Ready,
        };
        self.shards.forgive_all(key);
        self.shards.wait(key, step, None);
    }

    /// The main phase is open again, and so the clean-up will be another one.
    pub(super) fn reopen_finally(&mut self, at: Millis) {
        self.leave_finally();
        let graph = Arc::clone(self.graph());
        for (ix, _) in graph.nodes.pairs().filter(|(_, node)| node.phase == Part::Finally && node.selected) {
            if self.cells[ix].state.is_final() {
                self.reopen.insert(ix, ReopenReason::Resume);
            } else {
                self.place(at, ix);
            }
        }
    }

    /// A person said what the unknown shards of a stage were.
    pub(super) fn apply_resolution(&mut self, node: NodeIx, resolution: Resolution) {
        let phase = match resolution {
            Resolution::Success => Phase::Success,
            Resolution::Failed => Phase::Failed,
            Resolution::Rerun => return,
        };
        for shard in 0..self.cells[node].cursor {
            if self.shards.phase((node, shard)) == Phase::Unknown {
                self.shards.set((node, shard), phase);
                self.trust((node, shard));
            }
        }
        let cell = &mut self.cells[node];
        let count = std::mem::take(&mut cell.unknown);
        if resolution == Resolution::Success {
            cell.success += count;
        } else {
            cell.failed += count;
            cell.unforgiven += count;
            self.causes.entry(node).or_insert((0, Outcome::BadResult("a person said so".to_owned())));
        }
    }
}
