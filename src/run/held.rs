//! Gates that ask by themselves, and are held for a person when they cannot say yes or no.
//!
//! Such a gate is an attempt that ends with exit code 0 (go on), 1 (fail), [`HELD`] or [`HALTED`]. Held, its stage waits
//! like an approval: a person lets it pass, which waives the verdict, or not, or has it ask again from the start.
//!
//! A held attempt has ended, and its shard has not: the waiver ends it. So whatever else becomes of the stage, and whoever
//! opens it again, there is nothing done to keep, and the gate asks again.

use super::event::{Case, CaseKind, Clock, Event, Outcome, Resolution, Severity, ShardResult};
use super::shards::{Key, Phase, Step};
use super::state::{Gate, RunState};
use crate::base::{Millis, NodeIx};
use crate::gate::verdict::{HALTED, HELD};

impl RunState {
    /// Whether an attempt that ended so holds its stage for a person.
    pub(super) fn is_held_by(&self, node: NodeIx, outcome: &Outcome) -> bool {
        self.node(node).rules.hold.is_some() && matches!(outcome, Outcome::Exit(HELD | HALTED))
    }

    /// The attempt has ended, and a person decides what it comes to.
    pub(super) fn hold_gate(&mut self, key: Key, outcome: &Outcome, result: &ShardResult) {
        self.keep_result(key, result);
        self.wait(key, Step::Ready, None);
        let is_halt = *outcome == Outcome::Exit(HALTED);
        self.cells[key.0].gate = Gate::Held { is_halt };
        if is_halt {
            // It waits without an end, so somebody has to hear of it who does not watch this run.
            let found = self.words.get(&key.0).map_or("no verdict", String::as_str);
            let words = format!("guardian.halt: {found}");
            let (kind, severity) = (CaseKind::Halted, Severity::Critical);
            self.raise(Case { kind, severity, node: Some(key.0), words });
        }
    }

    /// A person let a stage pass: a gate that was held is done with that.
    pub(super) fn waive(&mut self, node: NodeIx) {
        let key = (node, 0);
        let is_question = self.node(node).rules.is_approval || self.is_heal_halted(node);
        if !is_question && self.shards.phase(key) == Phase::Between {
            self.leave(key);
            self.shards.set(key, Phase::Success);
            self.cells[node].success += 1;
        }
    }

    /// Keeps what a gate found, for the words about its end.
    pub(super) fn keep_finding(&mut self, node: NodeIx, result: &ShardResult) {
        if self.node(node).rules.hold.is_none() {
            return;
        }
        let output = |name: &str| {
            let found = result.outputs.iter().find(|(known, _)| known == name);
            found.and_then(|(_, value)| value.as_str()).unwrap_or_default()
        };
        let (verdict, why) = (output("verdict"), output("why"));
        if !verdict.is_empty() {
            self.words.insert(node, format!("{verdict}: {why}"));
        }
    }

    /// What a person has said that an unknown outcome was, until an engine acts on it.
    pub fn resolution(&self, node: NodeIx) -> Option<Resolution> {
        self.cells.get(node).and_then(|cell| cell.resolved)
    }

    /// Whether a person may have a held gate ask once more. It never does so by itself: its verdict is about a time that
    /// is over, and what comes back says nothing about that. What healing has halted is released instead.
    pub fn may_ask_again(&self, node: NodeIx) -> bool {
        let is_open = self.cells.get(node).is_some_and(|cell| matches!(cell.gate, Gate::Open(_)));
        is_open && self.has_asked(node) && !self.is_heal_halted(node)
    }

    /// When a question opened at `at` ends by itself.
    pub(super) fn question_ends(&self, at: Millis, node: NodeIx) -> Option<Millis> {
        let rules = &self.node(node).rules;
        let wait = match self.cells[node].gate {
            Gate::Held { is_halt: true } => None,
            Gate::Held { is_halt: false } => rules.hold,
            _ => rules.timeout,
        };
        wait.filter(|_| !self.is_timeless()).map(|wait| at + wait)
    }

    /// The wait for a person is over.
    pub(super) fn undecided(&self, node: NodeIx) -> Event {
        if !(self.has_asked(node) && self.node(node).rules.waives_late) {
            return Event::NodeExpired { node, clock: Clock::Gate };
        }
        let note = "nobody decided in time, and `on-expire` says `continue`".to_owned();
        Event::GateDecided { node, approved: true, by: "the plan".to_owned(), note }
    }

    /// What a person's decision is called.
    pub(super) fn decision_word(&self, node: NodeIx, approved: bool) -> &'static str {
        match (approved, self.has_asked(node)) {
            (true, _) if self.is_heal_halted(node) => "released",
            (true, true) => "waived",
            (true, false) => "approved",
            (false, _) => "rejected",
        }
    }

    /// Whether the stage asked by itself before a person is asked.
    pub(super) fn has_asked(&self, node: NodeIx) -> bool {
        self.node(node).rules.hold.is_some()
    }

    /// What the person is asked about a gate that is held.
    pub(super) fn held_prompt(&self, node: NodeIx) -> Option<String> {
        let Gate::Held { is_halt } = self.cells[node].gate else { return None };
        if self.is_heal_halted(node) {
            return Some(format!("guardian.halt: {}; try again?", self.halt_words(node)));
        }
        let found = self.words.get(&node).map_or("no verdict", String::as_str);
        let word = if is_halt { "guardian.halt" } else { "held" };
        Some(format!("{word}: {found}; go on all the same?"))
    }
}
