//! Healing: what a stage's `heal` says is tried, one body after the other, before its failure counts.
//!
//! Every body is a node of its own, in [`crate::graph::model::Phase::Heal`], beside the stage. It sleeps, and counts for
//! nothing, until `Healing { Began }` wakes it; from then on it is a node like any other, with attempts, re-tries, clocks,
//! pools and a record of its own.
//!
//! - A stage that would end as failed or timed out, with its re-tries used up, has the next body tried instead. When that
//!   succeeds, what failed of the stage is tried again after the body's `cool-down`, with all its re-tries; when it fails, the
//!   next body has its turn. When none is left the failure counts, as it would have without.
//! - No more than `heal-depth` bodies are tried for one failure. If there is another one, the run halts: nothing starts in it
//!   any more until a person releases the stage, which is then tried again from the first body on, or rejects it, and
//!   then the failure counts. So nothing loops without a person in the loop.
//! - A run that drains or is cancelled heals nothing any more: the failure counts. So it does of a stage of which a person had
//!   to say what nobody knew: whoever looked at it decides, and a resume heals it.
//! - A stage that is opened again, by a resume of a run that was over or by an order, begins with its first body again. One
//!   whose plan was edited does, too.

use std::sync::Arc;

use super::event::{CaseKind, Event, HealStep, NodeState, ReopenReason, Severity};
use super::shards::{Phase, Step};
use super::state::{Cell, Gate, Lane, RunState, phase_ix};
use crate::base::{Millis, NodeIx};
use crate::graph::model::Phase as Part;

/// How far the healing of a stage is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Healing {
    /// Bodies tried for this failure, the present one included.
    level: u32,
    /// What is being done.
    turn: Turn,
    /// Nothing of the stage starts before this.
    due: Millis,
}

/// Whose turn it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Turn {
    /// The body's.
    Body,
    /// The stage's own.
    Stage,
    /// A person's.
    Person,
}

impl RunState {
    /// Bodies of `heal` that were tried for the present failure of a stage.
    pub fn heal_level(&self, node: NodeIx) -> u32 {
        self.heals.get(&node).map_or(0, |it| it.level)
    }

    /// Whether healing has reached its limit, so that nothing starts before a person decides.
    pub fn is_guarded(&self) -> bool {
        self.halted().is_some()
    }

    /// The first stage at whose limit of healing the run has halted.
    pub(super) fn halted(&self) -> Option<NodeIx> {
        let mut halted = self.heals.iter().filter(|(_, it)| it.turn == Turn::Person).map(|it| *it.0);
        halted.next().filter(|_| self.cancel.is_none())
    }

    /// Whether a person decides what becomes of a stage that could not be healed.
    pub(super) fn is_heal_halted(&self, node: NodeIx) -> bool {
        self.heals.get(&node).is_some_and(|it| it.turn == Turn::Person)
    }

    /// The body whose turn it is, of a stage that is being healed.
    fn body_at_work(&self, node: NodeIx) -> Option<NodeIx> {
        let it = self.heals.get(&node).filter(|it| it.turn == Turn::Body)?;
        self.graph().ladder(node).get(it.level as usize - 1).copied()
    }

    /// Whether a body works on a stage.
    pub(super) fn is_being_healed(&self, node: NodeIx) -> bool {
        self.body_at_work(node).is_some_and(|body| !self.cells[body].state.is_final())
    }

    /// Whether a stage waits out the `cool-down` of what healed it.
    pub(super) fn is_cooling(&self, node: NodeIx) -> bool {
        self.heals.get(&node).is_some_and(|it| it.due > self.now)
    }

    /// Where a stage stands that is being healed; none when it stands as any other does.
    pub(super) fn heal_lane(&self, node: NodeIx) -> Option<Lane> {
        let it = self.heals.get(&node)?;
        match it.turn {
            Turn::Stage => None,
            Turn::Body => {
                let body = self.body_at_work(node).filter(|&body| !self.cells[body].state.is_final())?;
                let is_lost = self.cells[body].state == NodeState::Unknown && self.is_closing(node);
                (!is_lost).then_some(Lane::Idle)
            }
            Turn::Person if self.is_closing(node) => None,
            Turn::Person => match self.cells[node].gate {
                Gate::Held { .. } => Some(Lane::Gate),
                Gate::Open(_) => Some(Lane::Idle),
                Gate::Approved | Gate::Rejected => Some(Lane::Todo),
                Gate::Closed => None,
            },
        }
    }

    /// What healing has to say about a stage of which nothing runs, if anything.
    pub(super) fn healing(&self, at: Millis, node: NodeIx) -> Option<Event> {
        let ladder = self.graph().ladder(node);
        if ladder.is_empty() || self.is_closing(node) {
            return None;
        }
        let it = self.heals.get(&node).copied().unwrap_or(Healing { level: 0, turn: Turn::Stage, due: at });
        match it.turn {
            Turn::Body => {
                let body = self.body_at_work(node)?;
                if self.cells[body].state.is_success() {
                    let due = at + self.node(body).rules.cool_down;
                    return Some(Event::Healing { node, step: HealStep::Ended { due } });
                }
                self.next_body(node, it.level)
            }
            Turn::Person if self.cells[node].gate == Gate::Approved => {
                Some(Event::Healing { node, step: HealStep::Ended { due: at } })
            }
            Turn::Stage if self.wants_healing(node) => self.next_body(node, it.level),
            Turn::Person | Turn::Stage => None,
        }
    }

    fn next_body(&self, node: NodeIx, level: u32) -> Option<Event> {
        let &body = self.graph().ladder(node).get(level as usize)?;
        let step = if level >= self.graph().heal_depth() {
            HealStep::Halted { level }
        } else {
            HealStep::Began { body, level: level + 1 }
        };
        Some(Event::Healing { node, step })
    }

    /// Whether a stage is about to end because its attempts have failed.
    fn wants_healing(&self, node: NodeIx) -> bool {
        let cell = &self.cells[node];
        cell.unforgiven > 0
            && cell.cancelled + cell.unknown == 0
            && cell.expired.is_none()
            && cell.gate == Gate::Closed
            && (self.is_complete(node) || self.is_halted(node))
    }

    /// Takes in how far the healing of a stage is.
    pub(super) fn fold_healing(&mut self, at: Millis, node: NodeIx, step: &HealStep) {
        match *step {
            HealStep::Began { body, level } => {
                self.heals.insert(node, Healing { level, turn: Turn::Body, due: at });
                self.put_to_sleep(body);
                self.wake(at, body);
            }
            HealStep::Ended { due } => self.try_healed(at, node, due),
            HealStep::Halted { level } => {
                self.heals.insert(node, Healing { level, turn: Turn::Person, due: at });
                self.cells[node].gate = Gate::Held { is_halt: true };
                let words = format!("guardian.halt: {}", self.halt_words(node));
                let (kind, severity) = (CaseKind::Halted, Severity::Critical);
                self.raise(super::event::Case { kind, severity, node: Some(node), words });
                self.wait_from(at);
            }
        }
        self.place(at, node);
    }

    /// Why a person has to go on.
    pub(super) fn halt_words(&self, node: NodeIx) -> String {
        let (id, level) = (&self.node(node).id, self.heal_level(node));
        let tries = if level == 1 { "1 try".to_owned() } else { format!("{level} tries") };
        format!("`{id}` still fails after {tries} to heal it (`heal-depth`)")
    }

    /// What failed of a stage is tried again, at `due`.
    fn try_healed(&mut self, at: Millis, node: NodeIx, due: Millis) {
        let was_halted = self.is_heal_halted(node);
        let level = if was_halted { 0 } else { self.heal_level(node) };
        self.heals.insert(node, Healing { level, turn: Turn::Stage, due });
        if was_halted {
            self.cells[node].gate = Gate::Closed;
            self.wait_from(at);
        }
        self.unplace(node);
        self.causes.remove(&node);
        self.words.remove(&node);
        let cell = &mut self.cells[node];
        (cell.failed, cell.unforgiven, cell.spared, cell.failed_items) = (0, 0, 0, 0);
        for shard in 0..self.cells[node].cursor {
            let key = (node, shard);
            if self.shards.phase(key) == Phase::Failed {
                self.reopen_shard(key, false, ReopenReason::Resume);
            }
            let Some(between) = self.shards.between.get(&key).filter(|_| due > at).cloned() else { continue };
            let is_early = match between.step {
                Step::Ready | Step::Judged => true,
                Step::Delayed(own) => own < due,
                Step::Suspect | Step::Checking(..) => false,
            };
            if is_early {
                self.shards.wait(key, Step::Delayed(due), between.failure);
            }
        }
    }

    /// A shard starts again, so that a `cool-down` is over: what has not started yet may, too.
    pub(super) fn end_cool_down(&mut self, at: Millis, node: NodeIx) {
        if self.heals.contains_key(&node) && self.cells[node].cursor < self.shards_of(node) {
            self.place(at, node);
        }
    }

    /// A node that is no stage is to be told of from here on.
    fn wake(&mut self, at: Millis, node: NodeIx) {
        self.cells[node].is_awake = true;
        self.counts[self.cells[node].state as usize] += 1;
        self.hold(at, node);
        self.place(at, node);
    }

    /// A stage has ended: nobody has to decide about it any more.
    pub(super) fn end_halt(&mut self, at: Millis, node: NodeIx) {
        if let Some(it) = self.heals.get_mut(&node).filter(|it| it.turn == Turn::Person) {
            it.turn = Turn::Stage;
            self.wait_from(at);
        }
    }

    /// A stage is opened again: what heals it sleeps, and its healing is forgotten.
    pub(super) fn forget_healing(&mut self, node: NodeIx) {
        self.heals.remove(&node);
        let graph = Arc::clone(self.graph());
        for &body in graph.ladder(node) {
            self.put_to_sleep(body);
        }
    }

    /// A node that is no stage sleeps, and nothing is known of it but the numbers of its attempts.
    fn put_to_sleep(&mut self, node: NodeIx) {
        if !self.cells[node].is_awake {
            return;
        }
        self.unplace(node);
        self.reopen.remove(&node);
        self.set_state(node, NodeState::Pending);
        self.counts[NodeState::Pending as usize] -= 1;
        if !self.cells[node].is_released {
            self.open[phase_ix(self.node(node).phase)] -= 1;
        }
        self.lull(node);
    }

    /// Nothing is known of a node but the numbers of its attempts.
    pub(super) fn lull(&mut self, node: NodeIx) {
        let old = &self.cells[node];
        let (cursor, generation) = (old.cursor, old.generation.saturating_add(1));
        self.cells[node] = Cell { cursor, generation, is_released: true, ..Cell::new() };
        for shard in 0..cursor {
            self.shards.forgive_all((node, shard));
            if self.shards.phase((node, shard)) != Phase::Fresh {
                self.shards.wait((node, shard), Step::Ready, None);
            }
        }
        self.failed.retain(|&failed| failed != node);
        self.left.remove(&node);
        self.causes.remove(&node);
        self.words.remove(&node);
    }

    /// The plan was edited: healing begins anew, by its new text.
    pub(super) fn forget_all_healing(&mut self) {
        // A gate that its own verdict holds is no matter of healing: only a person has it ask again.
        let halted = std::mem::take(&mut self.heals).into_iter().filter(|(_, it)| it.turn == Turn::Person);
        for (node, _) in halted {
            if matches!(self.cells[node].gate, Gate::Held { .. } | Gate::Open(_))
                && !self.node(node).rules.is_approval
            {
                self.cells[node].gate = Gate::Closed;
            }
        }
        let graph = Arc::clone(self.graph());
        for (body, _) in graph.nodes.pairs().filter(|(_, node)| node.phase == Part::Heal) {
            self.lull(body);
        }
    }

    /// A body of `heal` has ended, or cannot start: its stage goes on.
    pub(super) fn healed(&mut self, at: Millis, body: NodeIx) {
        if let Some(stage) = self.node(body).heals {
            self.place(at, stage);
        }
    }
}
