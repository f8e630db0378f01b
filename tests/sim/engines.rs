//! Engines one after the other: what one leaves and another finds.

use std::collections::BTreeSet;

use engine::base::NodeIx;
use engine::graph::model::Phase;
use engine::run::event::{CancelLevel, CancelReason, NodeState, ReopenReason, RunEnd, SuspendReason};
use engine::run::{Event, Input, input};

use crate::world::World;

impl World {
    /// Another engine takes over, for the background only.
    pub(crate) fn drain(&mut self) {
        self.drains = true;
        self.take_over(0, None, vec![], vec![]);
        self.drains = false;
    }

    /// A person cancels the run while no engine has it: it has a verdict then, and nothing is started for that.
    pub(crate) fn close(&mut self, gap: u64) {
        self.closes = true;
        let recover = self.recovery(gap, None, vec![], vec![]);
        self.closes = false;
        let (level, why, by) = (CancelLevel::Kill, CancelReason::Person, "sim".to_owned());
        let before = self.log.len();
        self.step(vec![recover, Input::Cancel { level, why, by }]);
        for (_, event) in &self.log[before..] {
            input::commands(event, |command| panic!("{command:?} is ordered, and nobody is there"));
        }
        let decided = self.core.state().decided().expect("it has a verdict");
        assert_eq!(decided.state, RunEnd::Cancelled);
    }

    /// A person queues dead letters again, when no engine lives.
    pub(crate) fn requeue(&mut self, nodes: Vec<NodeIx>) {
        let (by, why) = ("sim".to_owned(), SuspendReason::HandOver);
        self.step(vec![Input::Requeue { nodes, by }, Input::Suspend(why)]);
    }

    /// Until the run is over, or its engine has left it.
    pub(crate) fn run_once(&mut self) {
        self.is_last = true;
        self.run();
        self.is_last = false;
    }

    /// Stages of the main phase that are done.
    pub(crate) fn done(&self) -> Vec<NodeIx> {
        let state = self.core.state();
        let graph = self.graph();
        let is_main = |node: &NodeIx| matches!(graph.nodes[*node].phase, Phase::Main | Phase::Background);
        let nodes = graph.nodes.indexes().filter(is_main);
        nodes.filter(|&node| state.state(node).is_success() || state.state(node) == NodeState::Cached).collect()
    }

    /// Promise 2: none of these has been started since, but for what has to run on.
    pub(crate) fn kept(&self, had: &[NodeIx]) -> bool {
        let graph = self.graph();
        let mut done = had.iter().filter(|&&node| !graph.nodes[node].rules.is_service);
        done.all(|node| self.started.range((*node, 0)..=(*node, u32::MAX)).next().is_none())
    }

    /// Only what each engine has to start again may leave no time for anything else.
    pub(crate) fn stalls(&self) {
        // The two boxes in which nothing got further; it may have been opened for an earlier one, and not be up yet.
        let boxes = self.log.iter().enumerate().filter(|(_, (_, event))| matches!(event, Event::BoxOpened { .. }));
        let first = boxes.map(|it| it.0).rev().nth(1).expect("a stall takes two boxes");
        let mut opened = BTreeSet::new();
        for (place, (_, event)) in self.log.iter().enumerate() {
            match event {
                Event::NodeReopened { node, why: ReopenReason::Restart } => drop(opened.insert(*node)),
                Event::NodeFinished { node, .. } if place < first => drop(opened.remove(node)),
                _ => {}
            }
        }
        assert!(!opened.is_empty(), "boxes in a row get nothing done");
    }
}
