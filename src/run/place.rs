//! Where a stage stands: whether its needs are met, whether it may start, whether it has ended.
//!
//! `place` is called whenever something about a stage changed, and lists it where `advance` will find it.

use std::sync::Arc;

use super::clock::Timer;
use super::event::{CancelLevel, CancelReason, CheckKind, NodeState};
use super::ready::Slot;
use super::shards::{Between, Key, Step};
use super::state::{Gate, Lane, RunState, phase_ix};
use crate::base::{Millis, NodeIx};
use crate::graph::model::{Need, Phase, Policy};

/// What a stage's needs say, once all have ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Needs {
    /// All as it accepts them.
    Met,
    /// It handles a failure that did not happen.
    NotNeeded,
    /// This one ended in a way that it does not accept.
    Blocked(NodeIx),
}

impl RunState {
    /// What the needs of `node` say; all have ended.
    pub(super) fn needs(&self, node: NodeIx) -> Needs {
        match self.plain_needs(node) {
            Needs::Met => {
                let gone = self.undone_above(node).or_else(|| self.lacks_service(node));
                gone.map_or(Needs::Met, Needs::Blocked)
            }
            needs => needs,
        }
    }

    /// What they say by themselves.
    pub(super) fn plain_needs(&self, node: NodeIx) -> Needs {
        let mut blocked = None;
        for need in &self.node(node).needs {
            match self.need(*need) {
                Needs::Met => {}
                Needs::NotNeeded => return Needs::NotNeeded,
                Needs::Blocked(by) => blocked = blocked.or(Some(by)),
            }
        }
        blocked.map_or(Needs::Met, Needs::Blocked)
    }

    /// What one of them says.
    pub(super) fn need(&self, need: Need) -> Needs {
        let state = self.cells[need.node].state;
        if !self.is_awake(need.node) || self.graph().is_absent(need.node) {
            return Needs::Met;
        }
        let is_met = (state.is_success() && need.accept.success)
            || (state == NodeState::Skipped && (need.accept.skipped || !self.node(need.node).selected))
            || (state.is_failure() && need.accept.failed);
        let is_handler = need.accept.failed && !need.accept.success;
        if is_met {
            Needs::Met
        } else if state.is_success() || (state == NodeState::Skipped && is_handler) {
            Needs::NotNeeded
        } else {
            Needs::Blocked(need.node)
        }
    }

    /// Whether `node` accepts a failure that did happen; such a stage starts while the run drains.
    pub(super) fn handles_failure(&self, node: NodeIx) -> bool {
        self.node(node).needs.iter().any(|need| need.accept.failed && self.cells[need.node].state.is_failure())
    }

    /// Whether nothing of `node` may start any more in this try of the run.
    pub(super) fn is_closing(&self, node: NodeIx) -> bool {
        if let Some(stage) = self.node(node).heals {
            return self.is_closing(stage);
        }
        match (self.node(node).phase, self.cancel) {
            (Phase::Finally, Some((CancelLevel::Kill, _))) => true,
            (Phase::Finally, _) => self.finally_expired,
            (Phase::Rollback, cancel) => cancel.is_none_or(|(level, _)| level >= CancelLevel::Stop),
            // Background work is left to the next engine instead.
            (Phase::Background, _) | (Phase::Main | Phase::Heal, None) => false,
            // No handler starts beside what undoes.
            (Phase::Main, Some((CancelLevel::Drain, _))) if self.is_undoing() => !self.cells[node].is_restart,
            // What ran before the engine died would run on.
            (Phase::Main, Some((CancelLevel::Drain, CancelReason::Failure(_)))) => {
                !self.handles_failure(node) && !self.cells[node].is_restart
            }
            // What undoes may count on it.
            (Phase::Main, Some((level, CancelReason::Rollback))) if level < CancelLevel::Kill => {
                !self.cells[node].is_restart
            }
            (Phase::Main | Phase::Heal, Some(_)) => true,
        }
    }

    /// The failure policy of `node`. The clean-up goes on whatever fails in it.
    pub(super) fn policy(&self, node: NodeIx) -> Policy {
        match self.node(node).phase {
            Phase::Main => self.graph().scopes[self.node(node).scope].policy,
            Phase::Finally | Phase::Rollback | Phase::Heal | Phase::Background => Policy::Continue,
        }
    }

    /// Whether the rest of `node` must not start, so that it ends as soon as nothing of it runs.
    pub(super) fn is_halted(&self, node: NodeIx) -> bool {
        let cell = &self.cells[node];
        cell.expired.is_some()
            || cell.unknown > 0
            || cell.cancelled > 0
            || (cell.unforgiven > 0 && self.policy(node) != Policy::Continue)
            || self.is_closing(node)
    }

    /// Whether `node` ends without another question: the run is stopped, or the clean-up's time is over.
    pub(super) fn is_leaving(&self, node: NodeIx) -> bool {
        match self.node(node).phase {
            Phase::Main | Phase::Heal => self.cancel.is_some_and(|(level, _)| level >= CancelLevel::Stop),
            Phase::Finally | Phase::Rollback | Phase::Background => self.is_closing(node),
        }
    }

    /// Whether an attempt of `node` was ended by force and its `done-if` is still to be asked what it did.
    fn wants_answer(&self, node: NodeIx) -> bool {
        self.node(node).rules.has_done_if
            && !self.is_leaving(node)
            && self.shards.between_of(node).any(|(_, between)| between.step == Step::Suspect)
    }

    /// Whether all of `node` has been done, one way or another.
    pub(super) fn is_complete(&self, node: NodeIx) -> bool {
        let cell = &self.cells[node];
        let rules = &self.node(node).rules;
        if rules.is_approval || cell.gate != Gate::Closed {
            return matches!(cell.gate, Gate::Approved | Gate::Rejected);
        }
        let ended = cell.success + cell.failed + cell.cancelled + cell.unknown;
        cell.is_cached || (ended == self.shards_of(node) && !self.lacks_items(node))
    }

    fn lane_of(&self, node: NodeIx) -> Lane {
        let (cell, it) = (&self.cells[node], self.node(node));
        let when_idle = if cell.is_busy() { Lane::Idle } else { Lane::Todo };
        if cell.state.is_final() || cell.state == NodeState::Unknown {
            return if cell.resolved.is_some() { Lane::Todo } else { Lane::Idle };
        }
        if !self.is_awake(node) {
            return Lane::Idle;
        }
        if !it.selected || self.graph().is_absent(node) {
            return Lane::Todo;
        }
        if cell.needs_left == 0 && self.released(node).is_some() {
            return when_idle;
        }
        // What it counts on comes up again only once a person has said whether anything goes on.
        if let Some(lane) = self.heal_lane(node).filter(|_| self.is_heal_halted(node)) {
            return lane;
        }
        let is_held = cell.needs_left > 0 || self.is_held(node);
        if is_held || (it.phase == Phase::Finally && !self.in_finally && !self.is_closing(node)) {
            return Lane::Idle;
        }
        if let Some(lane) = self.heal_lane(node) {
            return lane;
        }
        if self.needs(node) != Needs::Met {
            return if self.waits_for_word(node) { Lane::Idle } else { when_idle };
        }
        if self.waits_for_verdict(node) {
            return Lane::Idle;
        }
        if self.is_complete(node) {
            return when_idle;
        }
        if self.is_halted(node) {
            return if self.wants_answer(node) { Lane::Ask } else { when_idle };
        }
        let is_asked = !it.conditions.is_empty() && !cell.is_admitted;
        if it.cell.is_some() && (self.lacks_cells(node) || self.lost_cells(node)) {
            return Lane::Todo;
        }
        if is_asked || self.runs_nothing(node) {
            return Lane::Todo;
        }
        // A gate that was held is to ask again: first it is opened again, which is a fact.
        if self.lacks_items(node) || cell.resolved.is_some() {
            return Lane::Todo;
        }
        match cell.gate {
            Gate::Closed if it.rules.is_approval => return Lane::Gate,
            Gate::Held { .. } => return Lane::Gate,
            Gate::Closed => {}
            _ => return Lane::Idle,
        }
        if self.is_boxed() && self.deferred.contains(&node) {
            return Lane::Idle;
        }
        if !it.rules.has_cache || cell.cache_asked || cell.cursor > 0 {
            return Lane::Open;
        }
        if self.is_asking_cache(node) { Lane::Idle } else { Lane::Cache }
    }

    fn is_asking_cache(&self, node: NodeIx) -> bool {
        let first = self.shards.between.get(&(node, 0));
        first.is_some_and(|between| matches!(between.step, Step::Checking(CheckKind::Cache, _)))
    }

    /// Lists `node` where it belongs now.
    pub(super) fn place(&mut self, at: Millis, node: NodeIx) {
        let lane = self.lane_of(node);
        if lane != self.cells[node].lane || matches!(lane, Lane::Cache | Lane::Ask | Lane::Open) {
            self.unplace(node);
            self.cells[node].lane = lane;
            match lane {
                Lane::Idle => {}
                Lane::Todo => {
                    self.todo.insert(node);
                }
                Lane::Gate => {
                    self.gates.insert(node);
                }
                Lane::Cache => self.ready.add(node, Slot::Cache),
                Lane::Ask | Lane::Open => self.open_shards(node),
            }
        }
        if matches!(lane, Lane::Cache | Lane::Open) {
            self.run_queue_clock(at, node);
        }
        self.name_state(node);
    }

    fn open_shards(&mut self, node: NodeIx) {
        let is_open = self.cells[node].lane == Lane::Open;
        if is_open && self.cells[node].cursor < self.shards_of(node) && !self.is_cooling(node) {
            self.ready.add(node, Slot::Fresh);
        }
        for (shard, step) in self.steps_of(node) {
            if is_open || step == Step::Suspect {
                self.enlist((node, shard), step);
            }
        }
    }

    fn steps_of(&self, node: NodeIx) -> Vec<(u32, Step)> {
        self.shards.between_of(node).map(|(shard, between)| (shard, between.step)).collect()
    }

    /// Takes `node` off every list.
    pub(super) fn unplace(&mut self, node: NodeIx) {
        match std::mem::replace(&mut self.cells[node].lane, Lane::Idle) {
            Lane::Idle => {}
            Lane::Todo => {
                self.todo.remove(&node);
            }
            Lane::Gate => {
                self.gates.remove(&node);
            }
            Lane::Cache => self.ready.remove(node, Slot::Cache),
            Lane::Ask | Lane::Open => {
                self.ready.remove(node, Slot::Fresh);
                for (shard, step) in self.steps_of(node) {
                    self.delist((node, shard), step);
                }
            }
        }
        if let Some(due) = self.cells[node].queue_due.take() {
            self.timers.remove(&(due, Timer::Queue(node)));
        }
    }

    fn enlist(&mut self, key: Key, step: Step) {
        match step {
            Step::Judged => {
                self.judged.insert(key);
            }
            Step::Delayed(due) => {
                self.delayed.insert((due, key));
            }
            Step::Ready => self.ready.add(key.0, Slot::Again(key.1)),
            Step::Suspect => self.ready.add(key.0, Slot::Ask(key.1)),
            Step::Checking(..) => {}
        }
        if let (Step::Delayed(_) | Step::Ready, Some(due)) = (step, self.within_due(key)) {
            self.timers.insert((due, Timer::Within(key)));
        }
    }

    fn delist(&mut self, key: Key, step: Step) {
        match step {
            Step::Judged => {
                self.judged.remove(&key);
            }
            Step::Delayed(due) => {
                self.delayed.remove(&(due, key));
            }
            Step::Ready => self.ready.remove(key.0, Slot::Again(key.1)),
            Step::Suspect => self.ready.remove(key.0, Slot::Ask(key.1)),
            Step::Checking(..) => {}
        }
        if let Some(due) = self.within_due(key) {
            self.timers.remove(&(due, Timer::Within(key)));
        }
    }

    /// Takes a shard off the list that its step had put it on, and tells what it was.
    pub(super) fn leave(&mut self, key: Key) -> Option<Between> {
        let between = self.shards.between.get(&key).cloned()?;
        if matches!(self.cells[key.0].lane, Lane::Ask | Lane::Open) {
            self.delist(key, between.step);
        }
        if let Step::Checking(_, due) = between.step {
            self.timers.remove(&(due, Timer::Check(key)));
            self.checks -= 1;
            self.cells[key.0].checks -= 1;
        }
        Some(between)
    }

    /// Puts a shard between attempts, on the list where its step belongs.
    pub(super) fn wait(&mut self, key: Key, step: Step, failure: Option<super::event::Outcome>) {
        self.leave(key);
        self.shards.wait(key, step, failure);
        if let Step::Checking(_, due) = step {
            self.timers.insert((due, Timer::Check(key)));
            self.checks += 1;
            self.cells[key.0].checks += 1;
        }
        let lane = self.cells[key.0].lane;
        if lane == Lane::Open || (lane == Lane::Ask && step == Step::Suspect) {
            self.enlist(key, step);
        }
    }

    /// Names the state of a stage that has not ended.
    pub(super) fn name_state(&mut self, node: NodeIx) {
        let cell = &self.cells[node];
        if cell.state.is_final() || cell.state == NodeState::Unknown {
            return;
        }
        let is_asked = cell.checks > 0 || matches!(cell.gate, Gate::Open(_));
        // What had been a process before the plan was edited may have left slices behind.
        let is_approval = self.node(node).rules.is_approval;
        let state = if cell.flights > 0 {
            NodeState::Running
        } else if self.is_being_healed(node)
            || !is_approval
                && self.shards.between_of(node).any(|(_, it)| it.failure.is_some() && it.step != Step::Suspect)
        {
            NodeState::Retrying
        } else if is_asked
            || matches!(cell.lane, Lane::Gate | Lane::Cache | Lane::Ask | Lane::Open)
            || cell.started.is_some()
            || self.deferred.contains(&node)
        {
            NodeState::Waiting
        } else {
            NodeState::Pending
        };
        self.set_state(node, state);
    }

    /// Tells the dependents of `node` that it ended. Those of an unknown one that a cancel had let go before are
    /// told again when somebody says what it was.
    pub(super) fn release(&mut self, at: Millis, node: NodeIx) {
        let is_first = !std::mem::replace(&mut self.cells[node].is_released, true);
        let graph = Arc::clone(self.graph());
        if is_first {
            self.open[phase_ix(graph.nodes[node].phase)] -= 1;
        }
        for &next in graph.dependents(node) {
            self.cells[next].needs_left -= u32::from(is_first);
            if self.cells[next].needs_left == 0 {
                self.place(at, next);
            }
        }
    }

    /// The dependents of `node` wait for it again.
    pub(super) fn hold(&mut self, at: Millis, node: NodeIx) {
        if !std::mem::replace(&mut self.cells[node].is_released, false) {
            return;
        }
        self.forget_cells(node);
        let graph = Arc::clone(self.graph());
        self.open[phase_ix(graph.nodes[node].phase)] += 1;
        for &next in graph.dependents(node) {
            self.cells[next].needs_left += 1;
            self.cells[next].ready_at = None;
            self.cells[next].is_queued = false;
            self.place(at, next);
        }
    }

    /// Places every stage anew: something changed that concerns all.
    pub(super) fn place_all(&mut self, at: Millis) {
        for node in self.cells.indexes() {
            if !self.cells[node].state.is_final() {
                self.place(at, node);
            }
        }
    }
}
