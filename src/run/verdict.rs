//! How a stage ends, and how the run does.

use super::event::{CancelLevel, CancelReason, Clock, Event, NodeState, Outcome, Resolution, RunEnd, Verdict};
use super::shards::Step;
use super::state::{Gate, RunState};
use crate::base::NodeIx;
use crate::plan::model::AllowFailure;

impl RunState {
    /// The end of a stage of which nothing runs any more.
    pub(super) fn finish(&self, node: NodeIx) -> Event {
        let (mut state, mut reason) = self.end_of(node);
        if state.is_success() && self.is_late(node) {
            (state, reason) = (self.failure(node, NodeState::Failed), self.late_words(node));
        }
        Event::NodeFinished { node, state, reason }
    }

    /// The end of a stage that fails for a reason that is no attempt's.
    pub(super) fn refuse(&self, node: NodeIx, reason: String) -> Event {
        Event::NodeFinished { node, state: self.failure(node, NodeState::Failed), reason }
    }

    fn words(&self, node: NodeIx) -> String {
        self.words.get(&node).cloned().unwrap_or_default()
    }

    fn failure(&self, node: NodeIx, state: NodeState) -> NodeState {
        let is_allowed = self.node(node).rules.allow_failure == AllowFailure::Any;
        if is_allowed { NodeState::AllowedFailure } else { state }
    }

    pub(super) fn end_of(&self, node: NodeIx) -> (NodeState, String) {
        let cell = &self.cells[node];
        if cell.resolved == Some(Resolution::Failed) {
            return (self.failure(node, NodeState::Failed), self.words(node));
        }
        match cell.gate {
            // What a person decided is whether the failed attempts count.
            _ if self.is_heal_halted(node) => return self.end_of_shards(node),
            Gate::Approved => return (NodeState::Success, self.words(node)),
            Gate::Rejected => return (self.failure(node, NodeState::Failed), self.words(node)),
            Gate::Closed | Gate::Open(_) | Gate::Held { .. } => {}
        }
        if cell.is_cached {
            return (NodeState::Cached, String::new());
        }
        if cell.unknown > 0 {
            return (NodeState::Unknown, self.words(node));
        }
        if let Some(clock) = cell.expired {
            return (self.failure(node, NodeState::TimedOut), expiry(clock).to_owned());
        }
        if cell.gate != Gate::Closed && self.has_asked(node) {
            return (NodeState::Cancelled, "the run ended before a person decided".to_owned());
        }
        self.end_of_shards(node)
    }

    fn end_of_shards(&self, node: NodeIx) -> (NodeState, String) {
        let cell = &self.cells[node];
        let total = self.shards_of(node);
        if cell.recalled == total && total > 0 {
            return (NodeState::Cached, String::new());
        }
        if cell.success + cell.spared == total && !self.node(node).rules.is_approval {
            return (NodeState::Success, self.shard_words(node));
        }
        let is_over = cell.success + cell.failed == total;
        if cell.unforgiven > 0 || (cell.failed > 0 && is_over) {
            // An edit that cut it in another way counts anew, and by then nobody knows which failures were forgiven.
            let state = if cell.unforgiven > 0 {
                self.failure(node, self.failed_state(node))
            } else {
                NodeState::AllowedFailure
            };
            return (state, self.cause_words(node));
        }
        if self.is_leaving(node) && self.finally_expired && self.in_clean_up(node) {
            return (self.failure(node, NodeState::TimedOut), expiry(Clock::Finally).to_owned());
        }
        let drains = self.cancel.is_none_or(|(level, _)| level == CancelLevel::Drain);
        // What had been a process before the plan was edited may have left failures behind; nobody asked them.
        let is_approval = self.node(node).rules.is_approval;
        let last = self.shards.between_of(node).filter(|_| !is_approval).find_map(|(_, between)| {
            let waits = between.step != Step::Suspect || !self.is_leaving(node);
            between.failure.as_ref().filter(|_| waits)
        });
        match last {
            Some(outcome) if drains && !self.is_allowed(node, outcome) => {
                (state_of(outcome), "not tried again, the run drains".to_owned())
            }
            Some(_) if drains => (NodeState::AllowedFailure, "not tried again, the run drains".to_owned()),
            _ => (NodeState::Cancelled, String::new()),
        }
    }

    fn in_clean_up(&self, node: NodeIx) -> bool {
        self.node(node).phase == crate::graph::model::Phase::Finally
    }

    fn failed_state(&self, node: NodeIx) -> NodeState {
        self.causes.get(&node).map_or(NodeState::Failed, |(_, outcome)| state_of(outcome))
    }

    /// What is to be said about shards of a stage that succeeded all the same.
    fn shard_words(&self, node: NodeIx) -> String {
        let (cell, rules) = (&self.cells[node], &self.node(node).rules);
        let Some(split) = &rules.split else { return self.words(node) };
        let mut said: Vec<String> = Some(self.words(node)).into_iter().filter(|words| !words.is_empty()).collect();
        if let Some(allowed) = split.allow_failed.filter(|_| cell.spared > 0) {
            let items = self.cuts(node).map_or(0, |cuts| cuts.items());
            said.push(format!("{} of {items} items failed, `allow-failed` is {allowed}", cell.failed_items));
        }
        let stubborn = self.shards.column(node).map_or(0, |column| column.stubborn);
        if let Some(target) = split.target.filter(|_| stubborn > 0) {
            let items = if stubborn == 1 { "1 item".to_owned() } else { format!("{stubborn} items") };
            said.push(format!("{items} alone took longer than `target-p95` ({target})"));
        }
        if self.shards_of(node) == 0 {
            said.push("it has no items".to_owned());
        }
        said.join("; ")
    }

    /// Names the shard that failed first, when there is more than one.
    fn cause_words(&self, node: NodeIx) -> String {
        let cell = &self.cells[node];
        let total = self.shards_of(node);
        match self.causes.get(&node) {
            Some((shard, _)) if total > 1 => {
                format!("{} of {total} shards failed, shard {shard} first", cell.failed)
            }
            _ => self.words(node),
        }
    }

    /// How the run ends.
    pub(super) fn judge(&self) -> Verdict {
        let cancelled_by = self.cancel.map(|(_, why)| why);
        let by_person = matches!(cancelled_by, Some(CancelReason::Person | CancelReason::Terminated));
        let state = if by_person {
            RunEnd::Cancelled
        } else if self.is_undoing() {
            let is_left = self.left_to_undo().next().is_some();
            if is_left { RunEnd::RollbackFailed } else { RunEnd::RolledBack }
        } else if self.has_failed() || self.fails_late() {
            RunEnd::Failed
        } else {
            RunEnd::Success
        };
        let is_late = |&node: &NodeIx| self.is_late(node) && !self.causes.contains_key(&node);
        let only_late = state == RunEnd::Failed
            && !self.timed_out
            && !self.has_unknown()
            && self.failed.iter().all(is_late)
            && (!self.failed.is_empty() || !self.lacks_required());
        Verdict { state, failed: self.failed.clone(), timed_out: self.timed_out, cancelled_by, only_late }
    }

    fn has_failed(&self) -> bool {
        self.timed_out || !self.failed.is_empty() || self.has_unknown() || self.lacks_required()
    }

    /// Whether something required was not done because of a failure that the run can do without.
    fn lacks_required(&self) -> bool {
        let graph = self.graph();
        self.count(NodeState::Blocked) > 0
            && graph.nodes.indexes().any(|it| {
                self.state(it) == NodeState::Blocked && !self.is_background(it) && !graph.is_optional(it)
            })
    }
}

fn state_of(outcome: &Outcome) -> NodeState {
    if matches!(outcome, Outcome::TimedOut(_)) { NodeState::TimedOut } else { NodeState::Failed }
}

/// Why a stage timed out without an attempt that did.
pub(super) fn expiry(clock: Clock) -> &'static str {
    match clock {
        Clock::Attempt => "`timeout` ran out",
        Clock::Idle => "`idle-timeout` ran out",
        Clock::Queue => "`queue-timeout` ran out before a pool had room for it",
        Clock::Within => "`retry.within` ran out between two attempts",
        Clock::Gate => "nobody decided in time",
        Clock::Run => "the run's `timeout` ran out",
        Clock::Finally => "the budget of `finally` is used up",
    }
}

/// What a person made of a stage, with their words.
pub(super) fn said(word: &str, by: &str, note: &str) -> String {
    if note.is_empty() { format!("{word} by {by}") } else { format!("{word} by {by}: {note}") }
}
