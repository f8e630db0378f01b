//! A rollback as it is seen: its nodes wake, and what they undo is undone.

use crate::base::NodeIx;
use crate::graph::model::Undo;
use crate::run::event::{CancelReason, NodeState};

use super::View;

/// Stages that are named before the rest is only counted.
const MAX_NAMED: usize = 10;

impl View {
    /// What the last words about a rollback are: what was undone, what remains; none without one.
    pub fn say_rollback(&self) -> Option<String> {
        self.undoing?;
        let left: Vec<String> =
            self.left_to_undo().take(MAX_NAMED).map(|ix| format!("`{}`", self.id(ix))).collect();
        let more = self.left_to_undo().count() - left.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        (!left.is_empty()).then(|| format!("not undone: {}{more}", left.join(", ")))
    }

    /// Why what was done is undone, in words.
    pub fn say_undoing(&self) -> Option<String> {
        Some(match self.undoing? {
            CancelReason::Failure(node) => format!("`{}` failed", self.id(node)),
            CancelReason::Timeout => "the run's timeout ran out".to_owned(),
            CancelReason::Person | CancelReason::Terminated | CancelReason::Rollback => match &self.cancel {
                Some(cancel) if !cancel.by.is_empty() => format!("ordered by {}", cancel.by),
                _ => "ordered".to_owned(),
            },
        })
    }

    /// The `forward-only` stage that stopped the rollback.
    pub fn barred_by(&self) -> Option<NodeIx> {
        let is_barrier = |ix: &NodeIx| self.node(*ix).rules.undo == Undo::Never;
        let mut failed = self.nodes().filter(|(_, node)| node.state == NodeState::Failed).map(|it| it.0);
        failed.find(is_barrier).and_then(|ix| self.node(ix).undoes)
    }

    /// Why what the run did is undone, once that has begun.
    pub const fn undone_for(&self) -> Option<CancelReason> {
        self.undoing
    }

    /// What the rollback has still to undo, or could not: the stages, in written order.
    pub fn left_to_undo(&self) -> impl Iterator<Item = NodeIx> {
        let undo = self.nodes().filter(|(ix, _)| self.node(*ix).undoes.is_some());
        let is_left = |state: NodeState| !state.is_success() && state != NodeState::Skipped;
        undo.filter(move |(_, node)| is_left(node.state)).filter_map(|(ix, _)| self.node(ix).undoes)
    }

    /// Nodes of the rollback wake.
    pub(super) fn begin_rollback<'n>(&mut self, why: CancelReason, nodes: impl Iterator<Item = &'n NodeIx>) {
        self.undoing = Some(why);
        for &ix in nodes {
            if self.nodes.get(ix).is_some() {
                self.nodes[ix].is_awake = true;
            }
        }
    }

    /// Why a node of the rollback has nothing to do.
    pub(super) fn say_stays(&self, ix: NodeIx) -> String {
        let is_barrier = self.node(ix).rules.undo == Undo::Never;
        if is_barrier { "forward-only: what it did stays" } else { "there is nothing to undo" }.to_owned()
    }

    /// A node has ended: was a stage undone by it? Why one failed stays to be seen.
    pub(super) fn undo(&mut self, ix: NodeIx, state: NodeState) {
        let Some(stage) = self.node(ix).undoes.filter(|_| state == NodeState::Success) else { return };
        self.edit(stage, |node| {
            node.is_undone = true;
            if !matches!(node.state, NodeState::Failed | NodeState::TimedOut) {
                node.state = NodeState::Undone;
                node.reason = String::new();
            }
        });
    }

    /// Another engine has the run, which was rolled back to its end: the rollback sleeps again.
    pub(super) fn forget_rollback(&mut self, is_decided: bool) {
        if self.undoing.is_none() || !is_decided || self.left_to_undo().next().is_some() {
            return;
        }
        self.undoing = None;
        let awake = self.nodes().map(|(ix, _)| ix).filter(|&ix| self.node(ix).undoes.is_some());
        for ix in awake.collect::<Vec<_>>() {
            self.sleep_on(ix);
        }
    }
}
