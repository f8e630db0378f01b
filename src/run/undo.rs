//! Rollback: what a scope has done is undone, in reverse order, once the run has drained.
//!
//! Every stage with a `rollback` has a node of its own for it, in [`Phase::Rollback`]. It sleeps, and counts for
//! nothing, until `RollbackBegan` wakes it; from then on it is a node like any other, with attempts, re-tries,
//! clocks, pools and a record of its own. It needs the nodes that undo what came after its stage, so that the order is
//! the reverse one and what is independent is undone at once.
//!
//! - A stage has something to undo (it is *dirty*) once an attempt of it has done anything; its rollback takes that
//!   back, and so only what was begun is undone, and only once.
//! - An automatic rollback begins when all of the main phase has ended, at most once for each release.
//! - A `forward-only` stage has a node that fails when its turn comes: nothing above it is undone by itself.
//! - A run that was killed, cancelled or failed in the middle of a rollback goes on with it when it is resumed. One
//!   that was rolled back to the end is another try: what was undone is done again, and all that came after it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::event::{CancelLevel, CancelReason, Event, NodeState, ReopenReason};
use super::state::{Cell, RunState};
use crate::base::{Millis, NodeIx, ScopeIx};
use crate::graph::model::{Phase, Policy, Undo};

/// A rollback that has begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Undoing {
    /// Why.
    why: CancelReason,
}

/// What is known of rollbacks.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Undos {
    /// The one that has begun in this try of the run.
    begun: Option<Undoing>,
    /// Rollbacks that nobody ordered, of this release.
    automatic: u32,
}

/// How often a release is rolled back without an order.
const MAX_AUTOMATIC: u32 = 1;

impl RunState {
    /// Whether a rollback has begun in this try of the run.
    pub fn is_undoing(&self) -> bool {
        self.undos.begun.is_some()
    }

    /// Why the rollback of this try began.
    pub fn undone_for(&self) -> Option<CancelReason> {
        self.undos.begun.map(|it| it.why)
    }

    /// Whether a failure in a scope with `on-failure: rollback` only drains the run, because the release was rolled
    /// back before.
    pub fn has_spent_rollback(&self) -> bool {
        self.undos.automatic >= MAX_AUTOMATIC
    }

    /// Whether an attempt of a stage has done something that was not undone.
    pub fn is_dirty(&self, node: NodeIx) -> bool {
        self.cells[node].is_dirty
    }

    /// Whether a stage may have done something that was not undone; that of a dead engine's attempts is not known yet.
    pub fn may_have_done(&self, node: NodeIx) -> bool {
        self.cells[node].is_dirty || self.cells[node].flights > 0
    }

    /// Whether a node is to be told of: it is a stage, or was woken.
    pub fn is_awake(&self, node: NodeIx) -> bool {
        self.cells[node].is_awake || self.node(node).phase.is_stage()
    }

    /// Nodes of the rollback that were woken and have not ended well.
    pub fn left_to_undo(&self) -> impl Iterator<Item = NodeIx> {
        self.awake().filter(|&node| !has_ended_well(self.cells[node].state))
    }

    /// Nodes of the rollback that were woken.
    fn awake(&self) -> impl Iterator<Item = NodeIx> {
        let awake = self.cells.pairs().filter(|(_, cell)| cell.is_awake).map(|it| it.0);
        awake.filter(|&node| self.node(node).phase == Phase::Rollback)
    }

    /// An earlier run of the same release was rolled back without an order.
    pub(super) fn count_rollbacks(&mut self, earlier: u32) {
        self.undos.automatic = self.undos.automatic.max(earlier);
    }

    /// The rollback, when all of the main phase has ended and somebody or something calls for it.
    pub(super) fn rollback(&self) -> Option<Event> {
        if self.is_undoing() || self.in_finally || self.in_background() {
            return None;
        }
        let (level, why) = self.cancel?;
        let is_whole = match why {
            CancelReason::Person | CancelReason::Terminated => return None,
            _ if level == CancelLevel::Kill => return None,
            CancelReason::Rollback => true,
            CancelReason::Timeout => self.graph().scopes[ScopeIx::new(0)].policy == Policy::Rollback,
            CancelReason::Failure(_) => false,
        };
        let is_automatic = why != CancelReason::Rollback;
        let scopes = self.failed_scopes();
        if is_automatic && (self.has_spent_rollback() || (!is_whole && scopes.is_empty())) {
            return None;
        }
        let is_due = |&node: &NodeIx| {
            let Some(undoes) = self.node(node).undoes else { return false };
            self.cells[undoes].is_dirty && (is_whole || self.is_in(undoes, &scopes))
        };
        let nodes: Vec<NodeIx> = self.graph().order().iter().copied().filter(is_due).collect();
        let between = self.between(&nodes);
        Some(Event::RollbackBegan { why, nodes, between })
    }

    /// The nodes on the ways between these.
    fn between(&self, nodes: &[NodeIx]) -> Vec<NodeIx> {
        let graph = self.graph();
        let walk = |step: &dyn Fn(NodeIx) -> Vec<NodeIx>| {
            let (mut seen, mut next) = (BTreeSet::new(), nodes.to_vec());
            while let Some(node) = next.pop() {
                next.extend(step(node).into_iter().filter(|&it| seen.insert(it)));
            }
            seen
        };
        let before = walk(&|node| graph.nodes[node].needs.iter().map(|need| need.node).collect());
        let after = walk(&|node| graph.dependents(node).to_vec());
        let woken: BTreeSet<NodeIx> = nodes.iter().copied().collect();
        before.intersection(&after).copied().filter(|node| !woken.contains(node)).collect()
    }

    /// The scopes to be undone because something in them has failed.
    fn failed_scopes(&self) -> BTreeSet<ScopeIx> {
        let has_failed = |cell: &Cell| matches!(cell.state, NodeState::Failed | NodeState::TimedOut);
        let failed = self.cells.pairs().filter(|(_, cell)| has_failed(cell)).map(|it| self.node(it.0));
        failed.filter(|it| it.phase == Phase::Main).map(|it| it.scope).filter(|&it| self.undoes(it)).collect()
    }

    fn undoes(&self, scope: ScopeIx) -> bool {
        self.graph().scopes[scope].policy == Policy::Rollback
    }

    fn is_in(&self, node: NodeIx, scopes: &BTreeSet<ScopeIx>) -> bool {
        let all = &self.graph().scopes;
        let mut chain = std::iter::successors(Some(self.node(node).scope), |&it| all[it].parent);
        chain.any(|scope| scopes.contains(&scope))
    }

    /// Whether a node of the rollback runs nothing when its turn comes.
    pub(super) fn runs_nothing(&self, node: NodeIx) -> bool {
        let it = self.node(node);
        it.phase == Phase::Rollback && (it.rules.undo == Undo::Never || self.cells[node].is_bridge)
    }

    /// What is said of a node of the rollback that runs nothing: there is nothing to undo, or its stage is
    /// `forward-only`, and nobody but a person goes past it.
    pub(super) fn barred(&self, node: NodeIx) -> Option<Event> {
        if !self.runs_nothing(node) {
            return None;
        }
        if self.cells[node].is_bridge {
            return Some(Event::NodeSkipped { node, why: super::event::SkipReason::NotNeeded });
        }
        let stage = self.node(node).undoes.map_or("", |stage| &self.node(stage).id);
        Some(if self.undone_for() == Some(CancelReason::Rollback) {
            Event::NodeSkipped { node, why: super::event::SkipReason::NotNeeded }
        } else {
            self.refuse(node, format!("`{stage}` is forward-only: what it did and what came before it stays"))
        })
    }

    /// A rollback or the clean-up begins.
    pub(super) fn fold_phase(&mut self, at: Millis, event: &Event) {
        match event {
            Event::RollbackBegan { why, nodes, between } => self.fold_rollback(at, *why, (nodes, between)),
            _ => self.fold_finally(at),
        }
    }

    /// Its nodes wake.
    fn fold_rollback(&mut self, at: Millis, why: CancelReason, (nodes, between): (&[NodeIx], &[NodeIx])) {
        self.undos.begun = Some(Undoing { why });
        self.undos.automatic += u32::from(why != CancelReason::Rollback);
        self.drain_for = None;
        // Everything has drained, so that whoever cancels now cancels the rollback.
        self.cancel = Some((CancelLevel::Drain, why));
        let all: Vec<NodeIx> = nodes.iter().chain(between).copied().collect();
        for &node in &all {
            self.cells[node].is_awake = true;
            self.counts[self.cells[node].state as usize] += 1;
        }
        for &node in between {
            self.cells[node].is_bridge = true;
        }
        for &node in &all {
            self.hold(at, node);
        }
        for &node in &all {
            self.place(at, node);
        }
        // What undoes a stage may count on what the stage counted on.
        self.restart_missed();
    }

    /// A node of the rollback has ended: was its stage undone?
    pub(super) fn undone(&mut self, node: NodeIx, state: NodeState) {
        let Some(stage) = self.node(node).undoes.filter(|_| state == NodeState::Success) else { return };
        self.cells[stage].is_dirty = false;
        self.cells[stage].is_undone = true;
        // Why a stage failed stays to be seen.
        if !matches!(self.cells[stage].state, NodeState::Failed | NodeState::TimedOut) {
            self.set_state(stage, NodeState::Undone);
            self.end_objectives(stage);
        }
    }

    /// A person orders what is being undone already: then it goes past what an automatic rollback stops at.
    pub(super) fn ordered(&self, by: String) -> Option<Event> {
        let is_automatic = self.undone_for().is_some_and(|why| why != CancelReason::Rollback);
        let drains = self.cancel.is_some_and(|(level, _)| level == CancelLevel::Drain);
        let (level, why) = (CancelLevel::Drain, CancelReason::Rollback);
        (is_automatic && drains && !self.in_finally).then_some(Event::CancelRaised { level, why, by })
    }

    /// The rollback goes on by a person's order.
    pub(super) fn note_order(&mut self, why: CancelReason) {
        if let Some(begun) = self.undos.begun.as_mut().filter(|_| why == CancelReason::Rollback) {
            begun.why = why;
        }
    }

    /// Whether a resume goes on with a rollback, instead of trying again what it undoes. It takes no other plan and no
    /// other order.
    pub fn goes_on_undoing(&self) -> bool {
        self.is_undoing() && (self.decided().is_none() || self.left_to_undo().next().is_some())
    }

    /// What was left of a rollback is tried again, and the clean-up after it.
    pub(super) fn undo_on(&mut self) {
        let Some(Undoing { why }) = self.undos.begun else { return };
        self.cancel = Some((CancelLevel::Drain, why));
        // As after any other cancel: what nobody knows keeps nobody waiting.
        let unknown: Vec<NodeIx> = self.unknown.iter().copied().filter(|&it| !self.is_background(it)).collect();
        for node in unknown {
            self.cells[node].is_released = true;
        }
        let awake = self.cells.pairs().filter(|(ix, cell)| {
            let is_left = cell.is_awake
                && self.node(*ix).phase == Phase::Rollback
                && cell.state != NodeState::Unknown
                && !has_ended_well(cell.state);
            let has_begun = cell.state.is_final() || cell.expired.is_some() || cell.cancelled + cell.failed > 0;
            let is_clean_up = self.node(*ix).phase == Phase::Finally && self.node(*ix).selected;
            has_begun && (is_left || is_clean_up)
        });
        self.reopen = awake.map(|(ix, _)| (ix, ReopenReason::Resume)).collect();
        let again = &self.reopen;
        self.failed.retain(|node| !again.contains_key(node));
    }

    /// A run that was rolled back is tried again: the rollback sleeps again.
    pub(super) fn forget_rollback(&mut self) {
        self.undos.begun = None;
        let awake: Vec<NodeIx> = self.awake().collect();
        for node in awake {
            self.lull(node);
        }
    }

    /// What was undone is done again, and so is all that came after it.
    pub(super) fn redo(&self, again: &mut BTreeMap<NodeIx, ReopenReason>) {
        let graph = Arc::clone(self.graph());
        let mut next: Vec<NodeIx> = self.cells.pairs().filter(|(_, cell)| cell.is_undone).map(|it| it.0).collect();
        let mut seen: BTreeSet<NodeIx> = next.iter().copied().collect();
        while let Some(node) = next.pop() {
            if graph.nodes[node].selected && self.cells[node].state.is_final() {
                let why = if self.cells[node].is_undone { ReopenReason::Resume } else { ReopenReason::Upstream };
                again.entry(node).or_insert(why);
            }
            let below = graph.dependents(node).iter().copied();
            next.extend(below.filter(|&it| {
                matches!(graph.nodes[it].phase, Phase::Main | Phase::Background) && seen.insert(it)
            }));
        }
    }
}

/// Whether nothing is left to undo of what a node of the rollback stands for.
fn has_ended_well(state: NodeState) -> bool {
    state.is_success() || state == NodeState::Skipped
}
