//! Everything a run is, folded from its events.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::background::Background;
use super::clock::{RunClock, Timer};
use super::consent::Consents;
use super::crew::Crews;
use super::event::{
    CancelLevel, CancelReason, Case, Clock, NodeState, Outcome, ReopenReason, Resolution, StopKind, StopReason,
    SuspendReason, Verdict,
};
use super::heal::Healing;
use super::holdings::Holdings;
use super::objective::Objectives;
use super::ready::Ready;
use super::shards::{Flights, Key, PerNode, Shards};
use super::thought::Thought;
use super::timebox::TimeBox;
use super::undo::Undos;
use crate::base::{Digest, Millis, NodeIx};
use crate::graph::Graph;
use crate::graph::model::{Node, Phase};

/// The state of a run. Only `fold` changes it, and folding the same events gives an equal state.
#[derive(Clone, PartialEq, Debug)]
pub struct RunState {
    pub(super) graphs: Graphs,
    /// The version of the plan that is gone by, from 1.
    pub(super) version: u32,
    /// Set when nobody acts the run out.
    pub(super) thought: Option<Thought>,
    pub(super) has_begun: bool,
    pub(super) run: String,
    pub(super) jobs: u32,
    pub(super) seed: u64,
    /// Time of the last event.
    pub(super) now: Millis,
    pub(super) cells: PerNode<Cell>,
    pub(super) shards: Shards,
    pub(super) flights: Flights,
    /// Workers of stages that have some.
    pub(super) crews: Crews,
    /// Attempts of an engine that died.
    pub(super) orphans: u32,
    /// Questions without an answer yet.
    /// Attempts that are gates of the host.
    pub(super) asking: u32,
    pub(super) checks: u32,
    /// What could start now.
    pub(super) ready: Ready,
    /// Re-tries whose moment has not come.
    pub(super) delayed: BTreeSet<(Millis, Key)>,
    pub(super) timers: BTreeSet<(Millis, Timer)>,
    /// When the next start of a stage with a `rate` is due, in nanoseconds of the run.
    pub(super) paces: BTreeMap<NodeIx, u64>,
    /// Stages whose next start is not due yet.
    pub(super) throttled: BTreeSet<(Millis, NodeIx)>,
    /// Stages about which something can be decided without a slot.
    pub(super) todo: BTreeSet<NodeIx>,
    /// Approvals to open.
    pub(super) gates: BTreeSet<NodeIx>,
    /// Approvals that wait for a person.
    pub(super) open_gates: BTreeSet<NodeIx>,
    /// Failures to be followed by a re-try.
    pub(super) judged: BTreeSet<Key>,
    /// Attempts to be stopped.
    pub(super) stops: BTreeMap<Key, (StopKind, StopReason)>,
    /// Stages to be reopened after a resume.
    pub(super) reopen: BTreeMap<NodeIx, ReopenReason>,
    /// Who waits for a service to be started again.
    pub(super) holdings: Holdings,
    /// Stages of unknown outcome.
    pub(super) unknown: BTreeSet<NodeIx>,
    /// Shards whose last attempt ended by force, or was lost, and of which nobody has said since what it did.
    pub(super) forced: BTreeSet<Key>,
    pub(super) counts: [u32; NodeState::ALL.len()],
    /// Stages of each phase whose dependents still wait.
    pub(super) open: [u32; 4],
    pub(super) undos: Undos,
    pub(super) background: Background,
    /// Stages that are being healed, or were for the failure that they have or had last.
    pub(super) heals: BTreeMap<NodeIx, Healing>,
    pub(super) left: BTreeMap<NodeIx, Left>,
    /// The failure that decides a stage's end: shard and outcome.
    pub(super) causes: BTreeMap<NodeIx, (u32, Outcome)>,
    /// What people or the world said about a stage, for its reason.
    pub(super) words: BTreeMap<NodeIx, String>,
    pub(super) is_paused: bool,
    pub(super) suspended: Option<SuspendReason>,
    pub(super) in_finally: bool,
    pub(super) finally_due: Option<Millis>,
    pub(super) finally_expired: bool,
    pub(super) cancel: Option<(CancelLevel, CancelReason)>,
    /// The failure that must drain the run.
    pub(super) drain_for: Option<NodeIx>,
    pub(super) timed_out: bool,
    pub(super) failed: Vec<NodeIx>,
    pub(super) verdict: Option<Verdict>,
    pub(super) clock: RunClock,
    /// The time box of the engine that works on the run.
    pub(super) time_box: Option<TimeBox>,
    /// Stages that could start and do not fit into it.
    pub(super) deferred: BTreeSet<NodeIx>,
    /// Time boxes in a row, up to the last one that was left, in which nothing got further.
    pub(super) idle_boxes: u32,
    /// What somebody must look at and is not recorded yet.
    pub(super) cases: VecDeque<Case>,
    /// Clocks that stop nothing.
    pub(super) objectives: Objectives,
    /// Who agreed to what.
    pub(super) consents: Consents,
}

/// The versions of the plan; equal when they are the same objects.
#[derive(Clone, Debug)]
pub(super) struct Graphs(pub(super) Vec<Arc<Graph>>);

impl PartialEq for Graphs {
    fn eq(&self, other: &Self) -> bool {
        // What was given to a matrix makes another object of the same shape.
        let is_same = |(a, b): (&Arc<Graph>, &Arc<Graph>)| {
            Arc::ptr_eq(a, b) || (!a.matrices.is_empty() && a.matrices == b.matrices)
        };
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(is_same)
    }
}

/// What a stage left.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Left {
    pub(super) outputs: Vec<(String, serde_json::Value)>,
    pub(super) artifacts: Vec<(u32, Digest)>,
    /// What the shards of a stage wrote, where some other stage reads it.
    pub(super) shards: BTreeMap<u32, Vec<(String, serde_json::Value)>>,
    /// Digests of what shards left, of a stage that is sealed.
    pub(super) digests: Vec<Option<Digest>>,
    /// The root over them, once the stage is.
    pub(super) root: Option<Digest>,
}

/// An approval's question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Gate {
    Closed,
    /// A gate that asked by itself wants a person; a halt waits without end.
    Held {
        /// Both authorities refused.
        is_halt: bool,
    },
    /// Until then, if it ends by itself.
    Open(Option<Millis>),
    Approved,
    Rejected,
}

/// Where a stage is listed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lane {
    /// Nowhere: it waits for others, or has ended.
    Idle,
    /// Something can be decided about it.
    Todo,
    /// It is an approval to open.
    Gate,
    /// The cache is to be asked.
    Cache,
    /// Nothing of it may start, but a `done-if` is to be asked.
    Ask,
    /// Its shards may start.
    Open,
}

/// A stage.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Cell {
    pub(super) state: NodeState,
    pub(super) lane: Lane,
    /// Needs that have not ended.
    pub(super) needs_left: u32,
    /// Shards below it have been started.
    pub(super) cursor: u32,
    pub(super) success: u32,
    pub(super) failed: u32,
    /// Failed shards that `allow-failure` does not cover.
    pub(super) unforgiven: u32,
    /// Failed shards that `allow-failed` covers.
    pub(super) spared: u32,
    /// Items of failed shards that `allow-failure` does not cover.
    pub(super) failed_items: u64,
    /// Shards whose result is known from an earlier run.
    pub(super) recalled: u32,
    pub(super) cancelled: u32,
    pub(super) unknown: u32,
    /// Attempts that run.
    pub(super) flights: u32,
    /// Questions without an answer yet.
    pub(super) checks: u32,
    /// It has workers.
    pub(super) has_crew: bool,
    /// Its `if` holds.
    pub(super) is_admitted: bool,
    /// The cache had nothing, or is not to be asked.
    pub(super) cache_asked: bool,
    pub(super) is_cached: bool,
    /// An attempt of it has done something that was not undone.
    pub(super) is_dirty: bool,
    /// What it did was undone.
    pub(super) is_undone: bool,
    /// What it keeps running ended with its engine.
    pub(super) is_down: bool,
    /// It was released, of a stage of the background.
    pub(super) is_queued: bool,
    /// It sleeps no longer, of a node that is no stage.
    pub(super) is_awake: bool,
    /// It is only to keep the order of a rollback.
    pub(super) is_bridge: bool,
    /// It was done, and is only done once more because what it keeps running had ended with its engine.
    pub(super) is_restart: bool,
    /// It was cut anew after it had begun: which of its items have had their turn is not known any more.
    pub(super) is_mixed: bool,
    /// Its dependents know that it ended.
    pub(super) is_released: bool,
    pub(super) gate: Gate,
    pub(super) expired: Option<Clock>,
    pub(super) resolved: Option<Resolution>,
    /// What it had come to when an edit took it out of the plan, which is what its rollback is told.
    pub(super) was: Option<NodeState>,
    pub(super) generation: u16,
    /// Since when it could start.
    pub(super) ready_at: Option<Millis>,
    /// When its queue clock runs out, if that runs.
    pub(super) queue_due: Option<Millis>,
    pub(super) started: Option<Millis>,
    pub(super) ended: Option<Millis>,
}

impl Cell {
    /// Not begun.
    pub(super) const fn new() -> Self {
        Self {
            state: NodeState::Pending,
            lane: Lane::Idle,
            needs_left: 0,
            cursor: 0,
            success: 0,
            failed: 0,
            unforgiven: 0,
            spared: 0,
            failed_items: 0,
            recalled: 0,
            cancelled: 0,
            unknown: 0,
            flights: 0,
            checks: 0,
            has_crew: false,
            is_admitted: false,
            cache_asked: false,
            is_cached: false,
            is_dirty: false,
            is_undone: false,
            is_down: false,
            is_queued: false,
            is_awake: false,
            is_bridge: false,
            is_restart: false,
            is_mixed: false,
            is_released: false,
            gate: Gate::Closed,
            expired: None,
            resolved: None,
            was: None,
            generation: 1,
            ready_at: None,
            queue_due: None,
            started: None,
            ended: None,
        }
    }

    /// Not begun, but for what outlives that.
    pub(super) const fn emptied(&self) -> Self {
        let &Self { generation, is_dirty, is_awake, is_bridge, .. } = self;
        Self { is_dirty, is_awake, is_bridge, generation, ..Self::new() }
    }

    /// Whether something of it runs or is asked.
    pub(super) const fn is_busy(&self) -> bool {
        self.flights + self.checks > 0 || self.has_crew
    }
}

impl RunState {
    /// A run that has not begun, of these versions of its plan.
    ///
    /// # Panics
    /// Without a graph.
    pub fn new(graphs: Vec<Arc<Graph>>) -> Self {
        let first = Arc::clone(graphs.first().expect("a run has a plan"));
        Self {
            version: 1,
            thought: None,
            has_begun: false,
            run: String::new(),
            jobs: 1,
            seed: 0,
            now: Millis::ZERO,
            cells: PerNode::filled(Cell::new(), first.nodes.len()),
            shards: Shards::new(&first),
            flights: Flights::default(),
            crews: Crews::default(),
            orphans: 0,
            asking: 0,
            checks: 0,
            ready: Ready::new(&first),
            delayed: BTreeSet::new(),
            timers: BTreeSet::new(),
            paces: BTreeMap::new(),
            throttled: BTreeSet::new(),
            todo: BTreeSet::new(),
            gates: BTreeSet::new(),
            open_gates: BTreeSet::new(),
            judged: BTreeSet::new(),
            stops: BTreeMap::new(),
            reopen: BTreeMap::new(),
            holdings: Holdings::default(),
            unknown: BTreeSet::new(),
            forced: BTreeSet::new(),
            counts: [0; NodeState::ALL.len()],
            open: [0; 4],
            undos: Undos::default(),
            background: Background::default(),
            heals: BTreeMap::new(),
            left: BTreeMap::new(),
            causes: BTreeMap::new(),
            words: BTreeMap::new(),
            is_paused: false,
            suspended: None,
            in_finally: false,
            finally_due: None,
            finally_expired: false,
            cancel: None,
            drain_for: None,
            timed_out: false,
            failed: Vec::new(),
            verdict: None,
            clock: RunClock::default(),
            time_box: None,
            deferred: BTreeSet::new(),
            idle_boxes: 0,
            cases: VecDeque::new(),
            objectives: Objectives::new(&first),
            consents: Consents::default(),
            graphs: Graphs(graphs),
        }
    }

    /// The graph that is gone by.
    pub fn graph(&self) -> &Arc<Graph> {
        &self.graphs.0[self.version as usize - 1]
    }

    pub(super) fn node(&self, node: NodeIx) -> &Node {
        &self.graph().nodes[node]
    }

    pub(super) fn set_state(&mut self, node: NodeIx, state: NodeState) {
        let old = std::mem::replace(&mut self.cells[node].state, state);
        if old != state {
            self.counts[old as usize] -= 1;
            self.counts[state as usize] += 1;
        }
        if state == NodeState::Unknown {
            self.unknown.insert(node);
        } else if old == NodeState::Unknown {
            self.unknown.remove(&node);
        }
    }

    /// Works out everything that follows from the stages, shards and attempts: who waits for whom, what is ready,
    /// which clocks run.
    pub(super) fn derive(&mut self, at: Millis) {
        let graph = Arc::clone(self.graph());
        self.ready = Ready::new(&graph);
        self.delayed.clear();
        self.timers.clear();
        self.todo.clear();
        self.gates.clear();
        self.judged.clear();
        self.counts = [0; NodeState::ALL.len()];
        self.open = [0; 4];
        self.open_gates.clear();
        self.unknown.clear();
        self.recount_crews();
        self.asking = 0;
        for flight in self.flights.all().to_vec() {
            self.asking += u32::from(graph.nodes[flight.key.0].rules.is_hosted);
            if !self.is_crewed(flight.key.0) {
                self.ready.take(flight.key.0, 1);
            }
            self.timers.extend(flight.due.map(|(due, _)| (due, Timer::Flight(flight.key))));
        }
        self.derive_cells(&graph);
        self.derive_holdings(&graph);
        for node in graph.nodes.indexes() {
            self.place(at, node);
        }
        self.throttle_again(at);
    }

    fn derive_cells(&mut self, graph: &Graph) {
        for (ix, _) in graph.nodes.pairs().filter(|(_, node)| !node.phase.is_stage()) {
            self.cells[ix].is_released |= !self.cells[ix].is_awake;
        }
        for (ix, node) in graph.nodes.pairs() {
            let left = node.needs.iter().filter(|need| !self.cells[need.node].is_released).count();
            let cell = &mut self.cells[ix];
            cell.needs_left = u32::try_from(left).expect("limits::MAX_EDGES fits");
            cell.lane = Lane::Idle;
            cell.queue_due = None;
            let sleeps = !node.phase.is_stage() && !cell.is_awake;
            self.counts[cell.state as usize] += u32::from(!sleeps);
            self.open[phase_ix(node.phase)] += u32::from(!cell.is_released);
            if cell.state == NodeState::Unknown {
                self.unknown.insert(ix);
            }
            if let Gate::Open(expires) = cell.gate
                && !cell.state.is_final()
            {
                self.open_gates.insert(ix);
                self.timers.extend(expires.map(|due| (due, Timer::Gate(ix))));
            }
        }
    }
}

/// Place of a phase in `RunState::open`.
pub(super) const fn phase_ix(phase: Phase) -> usize {
    match phase {
        Phase::Main | Phase::Heal => 0,
        Phase::Finally => 1,
        Phase::Rollback => 2,
        Phase::Background => 3,
    }
}
