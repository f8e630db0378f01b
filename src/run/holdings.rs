//! What a stage keeps running for the rest of the run (`lifetime: run`) ends with its engine. The next engine has
//! it started again before anything starts that may count on it.
//!
//! The stage is reopened, as `Restart`: its result stands for all that has ended, and it is done once more for what
//! has not. All stages below it that have not ended wait for it, at any distance. If it can't be started again, they are
//! blocked by it, as if they needed it. Neither it nor what it counts on is undone meanwhile: a rollback waits until it is
//! up, or can't be.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::event::NodeState;
use super::state::{Cell, RunState};
use crate::base::{Millis, NodeIx};
use crate::graph::Graph;
use crate::graph::model::Phase;

/// Who waits for which service to be started again.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Holdings {
    /// What may count on it, and is blocked if it can't be.
    counting: Pairs,
    /// What undoes it, or something that it counts on, and goes on either way.
    undoing: Pairs,
}

impl Holdings {
    fn stages(&self, service: NodeIx) -> Vec<NodeIx> {
        of(&self.counting.by_service, service).chain(of(&self.undoing.by_service, service)).collect()
    }

    fn services(&self, stage: NodeIx) -> impl Iterator<Item = NodeIx> {
        of(&self.counting.by_stage, stage).chain(of(&self.undoing.by_stage, stage))
    }

    fn remove(&mut self, service: NodeIx) {
        self.counting.remove(service);
        self.undoing.remove(service);
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
struct Pairs {
    by_service: BTreeSet<(NodeIx, NodeIx)>,
    by_stage: BTreeSet<(NodeIx, NodeIx)>,
}

impl Pairs {
    fn insert(&mut self, service: NodeIx, stages: BTreeSet<NodeIx>) {
        for stage in stages {
            self.by_service.insert((service, stage));
            self.by_stage.insert((stage, service));
        }
    }

    fn remove(&mut self, service: NodeIx) {
        for stage in of(&self.by_service, service).collect::<Vec<_>>() {
            self.by_service.remove(&(service, stage));
            self.by_stage.remove(&(stage, service));
        }
    }
}

fn of(pairs: &BTreeSet<(NodeIx, NodeIx)>, first: NodeIx) -> impl Iterator<Item = NodeIx> {
    pairs.range((first, NodeIx::new(0))..=(first, NodeIx::new(u32::MAX))).map(|pair| pair.1)
}

impl RunState {
    /// Services that have to be started again after a resume, the last ones in order first: then each finds those
    /// below it waiting already.
    pub(super) fn restarts(&self) -> Vec<NodeIx> {
        let graph = self.graph();
        let is_down = |node: &NodeIx| {
            let (it, cell) = (&graph.nodes[*node], &self.cells[*node]);
            it.rules.is_service && it.selected && cell.state == NodeState::Success
        };
        let down = graph.order().iter().rev().copied().filter(is_down);
        down.filter(|&node| !self.open_below(graph, node).is_empty()).collect()
    }

    /// The stages below `node` that have not ended, at any distance: what is between may have ended.
    fn open_below(&self, graph: &Graph, node: NodeIx) -> BTreeSet<NodeIx> {
        let (mut seen, mut open, mut next) = (BTreeSet::new(), BTreeSet::new(), vec![node]);
        // Of what is undone nothing goes on but what is started again, whatever a person may still say about it.
        let goes_on = !self.is_undoing();
        while let Some(node) = next.pop() {
            for &other in graph.dependents(node) {
                // What is left out on the command line waits for nobody, and nobody for others through it.
                if !graph.nodes[other].selected && graph.nodes[other].retired.is_none() {
                    continue;
                }
                if seen.insert(other) {
                    next.push(other);
                    let is_open = goes_on || graph.nodes[other].phase != Phase::Main || self.cells[other].is_restart;
                    open.extend((is_open && !self.cells[other].state.is_final()).then_some(other));
                    // What undoes or heals a stage may count on what the stage counts on.
                    let undo = graph.undone_by(other).filter(|&undo| self.cells[undo].is_awake);
                    let heals = graph.ladder(other).iter().copied().filter(|&body| self.cells[body].is_awake);
                    open.extend(undo.into_iter().chain(heals).filter(|&it| !self.cells[it].state.is_final()));
                }
            }
        }
        open
    }

    /// What is still to undo a service or anything that it counts on, at any distance.
    fn undone_around(&self, graph: &Graph, service: NodeIx) -> BTreeSet<NodeIx> {
        let (mut seen, mut next) = (BTreeSet::from([service]), vec![service]);
        while let Some(node) = next.pop() {
            next.extend(graph.nodes[node].needs.iter().map(|need| need.node).filter(|&need| seen.insert(need)));
        }
        let is_left = |undo: &NodeIx| self.cells[*undo].is_awake && !self.cells[*undo].state.is_final();
        seen.into_iter().filter_map(|stage| graph.undone_by(stage)).filter(is_left).collect()
    }

    fn hold_for(&mut self, graph: &Graph, service: NodeIx) {
        self.holdings.counting.insert(service, self.open_below(graph, service));
        self.holdings.undoing.insert(service, self.undone_around(graph, service));
    }

    /// Lets what is open below a service that is to be started again wait for it, and what undoes it.
    pub(super) fn hold_below(&mut self, at: Millis, service: NodeIx) {
        let graph = Arc::clone(self.graph());
        self.hold_for(&graph, service);
        for stage in self.holdings.stages(service) {
            self.place(at, stage);
        }
    }

    /// Works out anew who waits for which service.
    pub(super) fn derive_holdings(&mut self, graph: &Graph) {
        self.holdings = Holdings::default();
        // What an edited plan leaves out is waited for by nobody.
        let is_awaited = |&(node, cell): &(NodeIx, &Cell)| cell.is_restart && graph.nodes[node].selected;
        let restarts = self.cells.pairs().filter(is_awaited).map(|it| it.0);
        for service in restarts.collect::<Vec<_>>() {
            self.hold_for(graph, service);
        }
    }

    /// A service was started again, or can't be.
    pub(super) fn restarted(&mut self, at: Millis, service: NodeIx) {
        // One that handles a failure which a new try has mended is not needed any more, and missed by nobody.
        let is_mended = self.cells[service].state == NodeState::Skipped;
        if is_mended || self.cells[service].state.is_success() {
            self.cells[service].is_restart = false;
            return self.let_go(at, service);
        }
        for stage in self.holdings.stages(service) {
            self.place(at, stage);
        }
    }

    /// Nobody waits for `service` any more.
    pub(super) fn let_go(&mut self, at: Millis, service: NodeIx) {
        let waiting = self.holdings.stages(service);
        self.holdings.remove(service);
        for stage in waiting {
            self.place(at, stage);
        }
    }

    /// Whether `node` waits for a service to be started again.
    pub(super) fn is_held(&self, node: NodeIx) -> bool {
        self.holdings.services(node).any(|service| !self.cells[service].is_released)
    }

    /// The service that `node` may count on and that could not be started again. A stage that handles a failure
    /// is not kept from that by it.
    pub(super) fn lacks_service(&self, node: NodeIx) -> Option<NodeIx> {
        of(&self.holdings.counting.by_stage, node).next().filter(|_| !self.handles_failure(node))
    }
}
