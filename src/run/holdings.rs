//! What a stage keeps running for the rest of the run (`lifetime: run`) ends with its engine. The next engine has
//! it started again before anything starts that may count on it.
//!
//! The stage is reopened, as `Restart`: its result stands for all that has ended, and it is done once more for what
//! has not. All stages below it that have not ended wait for it, at any distance. If it can't be started again, they are
//! blocked by it, as if they needed it. Neither it nor what it counts on is undone meanwhile: a rollback waits until it is
//! up, or can't be.
//!
//! For background work it is started again once the verdict is given, and not before: nothing of the background starts
//! earlier, a rollback may undo the service first, and whether it comes up is no matter of the verdict. If it can't be
//! started, the work has failed for good, as [`super::background`] says. One that was coming up for it already when another engine goes on with the rollback does so to its end, and is undone then.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::event::{NodeState, ReopenReason};
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

/// What is left out on the command line waits for nobody, and nobody for others through it.
fn waits(graph: &Graph, node: NodeIx) -> bool {
    graph.nodes[node].selected || graph.nodes[node].retired.is_some()
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

    /// Something is to begin that may count on services which ended with their engine, and which nobody missed so far.
    pub(super) fn restart_missed(&mut self) {
        if self.has_left() {
            return;
        }
        let missed: Vec<NodeIx> = self.restarts().into_iter().filter(|&node| self.cells[node].is_down).collect();
        self.reopen.extend(missed.into_iter().map(|node| (node, ReopenReason::Restart)));
    }

    /// Services that `stage` may count on and that are to be started again: they come up, could not be, or nobody knows.
    pub(super) fn awaited(&self, stage: NodeIx) -> impl Iterator<Item = NodeIx> {
        of(&self.holdings.counting.by_stage, stage)
    }

    /// What may count on a service that is to be started again.
    pub(super) fn counting_on(&self, service: NodeIx) -> impl Iterator<Item = NodeIx> {
        of(&self.holdings.counting.by_service, service)
    }

    /// Services that `stage` may count on and that could not be started again.
    pub(super) fn not_up(&self, stage: NodeIx) -> impl Iterator<Item = NodeIx> {
        self.awaited(stage).filter(|&it| self.cells[it].state.is_final())
    }

    /// The stages below `node` that have not ended and may go on.
    fn open_below(&self, graph: &Graph, node: NodeIx) -> BTreeSet<NodeIx> {
        let goes_on = |node: NodeIx| match graph.nodes[node].phase {
            // Of what is undone nothing goes on but what is started again, whatever a person may still say about it.
            Phase::Main => !self.is_undoing() || self.cells[node].is_restart,
            // It begins behind the verdict; a service that comes up for it could change that, or be undone at once.
            Phase::Background => self.in_background(),
            Phase::Heal | Phase::Rollback | Phase::Finally => true,
        };
        let mut open = self.below(graph, node);
        open.retain(|&node| !self.cells[node].state.is_final() && goes_on(node));
        open
    }

    /// All below `node`, at any distance, and what undoes or heals that: it may count on what its stage counts on.
    fn below(&self, graph: &Graph, node: NodeIx) -> BTreeSet<NodeIx> {
        let (mut seen, mut next) = (BTreeSet::new(), vec![node]);
        while let Some(node) = next.pop() {
            let below = graph.dependents(node).iter().copied().filter(|&it| waits(graph, it));
            next.extend(below.filter(|&it| seen.insert(it)));
        }
        let own = |&stage: &NodeIx| graph.undone_by(stage).into_iter().chain(graph.ladder(stage).iter().copied());
        let awake: Vec<NodeIx> = seen.iter().flat_map(own).filter(|&it| self.cells[it].is_awake).collect();
        seen.extend(awake);
        seen
    }

    /// What undoes a service or anything that it counts on, at any distance.
    fn undone_around(&self, graph: &Graph, service: NodeIx) -> BTreeSet<NodeIx> {
        let (mut seen, mut next) = (BTreeSet::from([service]), vec![service]);
        while let Some(node) = next.pop() {
            let above = graph.nodes[node].needs.iter().map(|need| need.node).filter(|&it| waits(graph, it));
            next.extend(above.filter(|&it| seen.insert(it)));
        }
        let undo = seen.into_iter().filter_map(|stage| graph.undone_by(stage));
        undo.filter(|&it| self.cells[it].is_awake).collect()
    }

    /// Takes down who waits for a service that is to be started again. What has ended may be opened again meanwhile.
    fn hold_for(&mut self, graph: &Graph, service: NodeIx) {
        self.holdings.counting.insert(service, self.below(graph, service));
        self.holdings.undoing.insert(service, self.undone_around(graph, service));
    }

    /// Lets what is below a service that is to be started again wait for it, and what undoes it.
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
        self.awaited(node).next().filter(|_| !self.handles_failure(node))
    }
}
