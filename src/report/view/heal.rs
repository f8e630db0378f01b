//! Healing as it is seen: bodies wake, and what they heal is tried again.

use std::sync::Arc;

use crate::base::NodeIx;
use crate::graph::model::Phase;
use crate::run::event::{HealStep, NodeState, Outcome};

use super::View;

impl View {
    /// How far the healing of a stage is. What heals it is told of, and counts as no stage.
    pub(super) fn heal(&mut self, ix: NodeIx, step: &HealStep) {
        match *step {
            HealStep::Began { body, .. } => {
                self.sleep_on(body);
                if self.nodes.get(body).is_some() {
                    self.nodes[body].is_awake = true;
                }
                self.edit(ix, |node| node.state = NodeState::Retrying);
            }
            HealStep::Ended { .. } => self.edit(ix, |node| {
                node.shards.failed = 0;
                if let Some(sharded) = &mut node.sharded {
                    sharded.failed.clear();
                }
                node.state = NodeState::Waiting;
                (node.is_open, node.is_halted, node.decided_by) = (false, false, None);
            }),
            HealStep::Halted { .. } => self.edit(ix, |node| {
                (node.state, node.is_halted) = (NodeState::Waiting, true);
            }),
        }
    }

    /// Bodies of `heal` that were tried for a stage, with what became of each, in order.
    pub fn healed_by(&self, ix: NodeIx) -> impl Iterator<Item = (NodeIx, NodeState)> {
        let ladder = self.graph().ladder(ix).iter().copied();
        ladder.filter_map(|body| Some((body, self.nodes.get(body).filter(|it| it.is_awake)?.state)))
    }

    /// What there is to say about the healing of a stage: `healed by 2 of 3`; none of one that was not healed.
    pub fn say_healing(&self, ix: NodeIx) -> Option<String> {
        let tried = self.healed_by(ix).count();
        let all = self.graph().ladder(ix).len();
        (tried > 0).then(|| match self.get(ix).state {
            state if state.is_success() => format!("healed at try {tried} of {all}"),
            _ => format!("{tried} of {all} tries to heal it"),
        })
    }

    /// A stage is opened again: nothing of it is in flight, and what heals it sleeps again.
    pub(super) fn sleep_ladder(&mut self, ix: NodeIx) {
        self.forget(ix);
        for body in self.graph().ladder(ix).to_vec() {
            self.sleep_on(body);
        }
    }

    /// The plan was edited: healing begins anew, by its new text.
    pub(super) fn forget_healing(&mut self) {
        let graph = Arc::clone(self.graph());
        for (body, _) in graph.nodes.pairs().filter(|(_, node)| node.phase == Phase::Heal) {
            self.sleep_on(body);
        }
    }

    /// A node that is no stage sleeps, and nothing is known of it.
    pub(super) fn sleep_on(&mut self, ix: NodeIx) {
        if self.nodes.get(ix).is_none_or(|node| !node.is_awake) {
            return;
        }
        self.edit(ix, |node| {
            node.state = NodeState::Pending;
            (node.started, node.ended, node.outcome) = (None, None, None::<Outcome>);
            node.reason = String::new();
            node.shards = super::Shards { all: node.shards.all, ..super::Shards::default() };
        });
        self.nodes[ix].is_awake = false;
    }
}
