//! What a run looks like: the fold of its records over its graph, with everything that people ask about.
//!
//! Every observer owns a view and folds what it hears; a report folds a journal. The fold cannot fail: an
//! event about a stage that the graph does not have is left out, because a newer engine may know more.
//! Shards are counts here, never objects; only what is in flight has an entry of its own.

mod background;
mod cells;
mod consent;
mod crews;
mod doubt;
mod edit;
mod fold;
mod heal;
mod leaves;
mod node;
mod promise;
mod sharded;
#[cfg(test)]
mod tests;
mod totals;
mod undo;
mod usual;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::base::{IdVec, Millis, NodeIx, Span};
use crate::graph::model::Phase;
use crate::graph::{Graph, Node};
use crate::run::Outcome;
use crate::run::event::{Began, CancelLevel, CancelReason, Event, NodeState, SuspendReason, Verdict};

pub use background::Standing;
pub use consent::Glass;
pub(crate) use crews::say_lost;
pub use node::{Bar, MAX_BARS, NodeView, Shards};
pub use promise::{Goal, GroupState, Raised};
pub use sharded::{Failure, Sharded};
pub use totals::Totals;

use super::words;

/// A run as it stands after the records folded so far.
#[derive(Clone, Debug)]
pub struct View {
    graphs: Vec<Arc<Graph>>,
    version: usize,
    began: Option<Box<Began>>,
    nodes: IdVec<NodeIx, NodeView>,
    expected: BTreeMap<NodeIx, Span>,
    by_items: BTreeMap<NodeIx, usual::ByItems>,
    active: BTreeSet<NodeIx>,
    inflight: BTreeMap<(NodeIx, u32), (u16, Millis)>,
    retries: BTreeMap<(NodeIx, u32), Millis>,
    /// Shards that count as failed, of stages whose `done-if` may say otherwise.
    suspects: BTreeSet<(NodeIx, u32)>,
    counts: [u32; NodeState::ALL.len()],
    sessions: Vec<Session>,
    cancel: Option<Cancel>,
    suspended: Option<SuspendReason>,
    verdict: Option<Verdict>,
    ended: Option<Millis>,
    now: Millis,
    /// When an engine worked on it last: what a person said may have come later.
    worked: Millis,
    seq: u64,
    paused: bool,
    background: background::Background,
    glass: Option<Glass>,
    frozen: Option<String>,
    is_laid_down: bool,
    cleaning: bool,
    undoing: Option<CancelReason>,
    time_box: Option<Millis>,
    is_box_closed: bool,
    /// How long the run was expected to take when it began.
    foreseen: Option<Span>,
    promises: promise::Promises,
    /// What each shard left; none unless somebody asked for it.
    leaves: Option<leaves::Leaves>,
}

/// The state of a run, as the product names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunWord {
    /// By its records it goes on; whether an engine lives is for its lock to tell.
    Running,
    /// An engine left it because only a person can go on.
    Waiting,
    /// By its records it goes on, but no engine lives (see [`View::state_given`]).
    Interrupted,
    /// Its time box was over.
    HandedOver,
    /// Everything required succeeded.
    Success,
    /// Something required failed.
    Failed,
    /// Cancelled before its end.
    Cancelled,
    /// Taken back.
    RolledBack,
    /// Taking it back failed.
    RollbackFailed,
}

impl RunWord {
    /// The word in every format.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Interrupted => "interrupted",
            Self::HandedOver => "handed-over",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::RolledBack => "rolled-back",
            Self::RollbackFailed => "rollback-failed",
        }
    }
}

/// One engine's time with the run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// When it took the run, in the run's time.
    pub at: Millis,
    /// How long no engine had lived before.
    pub gap: Span,
    /// Who started or resumed it.
    pub by: String,
    /// The engine's version.
    pub engine: String,
    /// Attempts at once.
    pub jobs: u32,
    /// Where stages ran; none in records of earlier engines.
    pub root: Option<String>,
}

/// A cancel, at its highest level so far.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cancel {
    /// How hard.
    pub level: CancelLevel,
    /// Why.
    pub why: CancelReason,
    /// Who, if somebody did.
    pub by: String,
    /// When.
    pub at: Millis,
}

impl View {
    /// Nothing has happened yet. `graphs` are the versions of the plan, the first one first; at least one.
    pub fn new(graphs: Vec<Arc<Graph>>) -> Self {
        let first = graphs.first().expect("a run has at least the plan that it began with");
        let nodes: IdVec<_, _> = first.nodes.iter().map(NodeView::new).collect();
        let mut counts = [0; NodeState::ALL.len()];
        counts[NodeState::Pending as usize] = u32::try_from(first.stages().count()).unwrap_or(u32::MAX);
        let mut view = Self {
            graphs,
            version: 0,
            began: None,
            nodes,
            expected: BTreeMap::new(),
            by_items: BTreeMap::new(),
            active: BTreeSet::new(),
            inflight: BTreeMap::new(),
            retries: BTreeMap::new(),
            suspects: BTreeSet::new(),
            counts,
            sessions: Vec::new(),
            cancel: None,
            suspended: None,
            verdict: None,
            ended: None,
            now: Millis::ZERO,
            worked: Millis::ZERO,
            seq: 0,
            paused: false,
            background: background::Background::default(),
            glass: None,
            frozen: None,
            is_laid_down: false,
            cleaning: false,
            undoing: None,
            time_box: None,
            is_box_closed: false,
            foreseen: None,
            promises: promise::Promises::default(),
            leaves: None,
        };
        view.hide_cells();
        view
    }

    /// The view after `records` (sequence, run time, event), in order.
    pub fn replay<'a>(
        graphs: Vec<Arc<Graph>>,
        records: impl IntoIterator<Item = (u64, Millis, &'a Event)>,
    ) -> Self {
        Self::new(graphs).after(records)
    }

    /// The view after `records` (sequence, run time, event) that follow, in order.
    #[must_use]
    pub fn after<'a>(mut self, records: impl IntoIterator<Item = (u64, Millis, &'a Event)>) -> Self {
        for (seq, at, event) in records {
            self.record(seq, at, event);
        }
        self
    }

    /// The plan has one more version, which a later record may take.
    pub fn add_version(&mut self, graph: Arc<Graph>) {
        self.graphs.push(graph);
    }

    /// How long the whole run was expected to take when it began.
    pub fn foresee(&mut self, took: Span) {
        self.foreseen = Some(took);
    }

    /// How long the run was expected to take when it began, if that was known.
    pub const fn foreseen(&self) -> Option<Span> {
        self.foreseen
    }

    /// How wrong that was, in percent of it, of a run that is over: above 0 when it took longer.
    pub fn forecast_error(&self) -> Option<f64> {
        let foreseen = self.foreseen.filter(|span| *span > Span::ZERO)?.duration().as_secs_f64();
        self.verdict()?;
        let took = self.elapsed(self.now).duration().as_secs_f64();
        Some(((took / foreseen - 1.0) * 1000.0).round() / 10.0)
    }

    /// The version of the graph that the run goes by now.
    pub fn graph(&self) -> &Arc<Graph> {
        &self.graphs[self.version]
    }

    /// The stage as the graph has it.
    pub fn node(&self, ix: NodeIx) -> &Node {
        &self.graph().nodes[ix]
    }

    /// The stage's id; `?` for a stage that the graph does not have.
    pub fn id(&self, ix: NodeIx) -> &str {
        self.graph().nodes.get(ix).map_or("?", |node| &node.id)
    }

    /// What became of the stage so far.
    pub fn get(&self, ix: NodeIx) -> &NodeView {
        &self.nodes[ix]
    }

    /// Every stage, in written order, and behind them what a rollback woke.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = (NodeIx, &NodeView)> {
        self.nodes.pairs().filter(|(_, node)| node.is_awake)
    }

    /// Stages that run, retry, or wait for an answer: what a live view shows. Cheap, however large the graph.
    pub fn active(&self) -> impl Iterator<Item = (NodeIx, &NodeView)> {
        self.active.iter().map(|&ix| (ix, &self.nodes[ix]))
    }

    /// Attempts in flight: stage, shard, attempt number, start.
    pub fn inflight(&self) -> impl Iterator<Item = (NodeIx, u32, u16, Millis)> {
        self.inflight.iter().map(|(&(node, shard), &(number, start))| (node, shard, number, start))
    }

    /// When the earliest of `node`'s retries is due.
    pub fn retry_at(&self, node: NodeIx) -> Option<Millis> {
        self.retries.range((node, 0)..=(node, u32::MAX)).map(|(_, &at)| at).min()
    }

    /// What the run began with.
    pub fn began(&self) -> Option<&Began> {
        self.began.as_deref()
    }

    /// The run's id, `?` before its first record.
    pub fn run_id(&self) -> &str {
        self.began().map_or("?", |began| began.run.as_str())
    }

    /// The plan's name.
    pub fn plan(&self) -> &str {
        self.began().map_or(&self.graph().name, |began| &began.plan)
    }

    /// Milliseconds since 1970 at the run's start.
    pub fn wall_ms(&self) -> i64 {
        self.began().map_or(0, |began| began.wall_ms)
    }

    /// A moment of the run for people.
    pub fn local(&self, at: Millis, zone: &TimeZone) -> String {
        words::local(self.wall_ms(), at, zone)
    }

    /// A moment of the run for machines.
    pub fn utc(&self, at: Millis) -> String {
        words::utc(self.wall_ms(), at)
    }

    /// Sequence number of the last record.
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// Run time of the last record.
    pub const fn now(&self) -> Millis {
        self.now
    }

    /// When the run ended or was left; none while it goes on.
    pub const fn ended(&self) -> Option<Millis> {
        self.ended
    }

    /// How long the run took so far at `now`: from its start, gaps between engines left out.
    pub fn elapsed(&self, now: Millis) -> Span {
        let end = self.ended.unwrap_or(if self.is_laid_down { self.worked } else { now });
        // An engine that only goes on with the background came after the end.
        let before = self.sessions.iter().filter(|session| session.at <= end);
        end.since(Millis::ZERO) - before.fold(Span::ZERO, |sum, session| sum + session.gap)
    }

    /// The engines that worked on the run, the first one first.
    pub fn sessions(&self) -> &[Session] {
        &self.sessions
    }

    /// The cancel, if there was one.
    pub const fn cancel(&self) -> Option<&Cancel> {
        self.cancel.as_ref()
    }

    /// Why nothing new starts, in words; none without a cancel.
    pub fn say_cancel(&self) -> Option<String> {
        let cancel = self.cancel.as_ref()?;
        let by = if cancel.by.is_empty() { String::new() } else { format!(" by {}", cancel.by) };
        Some(match cancel.why {
            CancelReason::Person => format!("cancelled{by}"),
            CancelReason::Terminated => "the engine was told to end".to_owned(),
            CancelReason::Timeout => "the run's timeout ran out".to_owned(),
            CancelReason::Rollback => format!("to be rolled back{by}"),
            CancelReason::Failure(node) => format!("`{}` failed", self.id(node)),
        })
    }

    /// Why a stage that was cancelled is not done, in words; empty without a cancel. How its last attempt ended tells
    /// nothing of that: it may have succeeded, as one of many shards.
    fn say_cancelled(&self, ix: NodeIx) -> String {
        match self.cancel.as_ref().map(|cancel| cancel.why) {
            Some(CancelReason::Failure(by)) => {
                let was_stopped = self.nodes[ix].outcome == Some(Outcome::Cancelled);
                let said = if was_stopped { "stopped after" } else { "nothing new starts after" };
                let state = self.nodes.get(by).map_or(NodeState::Failed, |node| node.state);
                format!("{said} `{}`, which {}", self.id(by), words::what_became(state))
            }
            _ => self.say_cancel().unwrap_or_default(),
        }
    }

    /// The verdict, once there is one.
    pub const fn verdict(&self) -> Option<&Verdict> {
        self.verdict.as_ref()
    }

    /// Whether new starts are held back.
    pub const fn is_paused(&self) -> bool {
        self.paused
    }

    /// The end of the present engine's time box.
    pub const fn time_box(&self) -> Option<Millis> {
        self.time_box
    }

    /// The run's state by its records. What a person has cancelled while no engine had it is cancelled.
    pub fn state(&self) -> RunWord {
        use crate::run::event::RunEnd;
        match (self.decided(), self.suspended) {
            (Some(verdict), _) => match verdict.state {
                RunEnd::Success => RunWord::Success,
                RunEnd::Failed => RunWord::Failed,
                RunEnd::Cancelled => RunWord::Cancelled,
                RunEnd::RolledBack => RunWord::RolledBack,
                RunEnd::RollbackFailed => RunWord::RollbackFailed,
            },
            (None, Some(_)) if self.is_cancelled() => RunWord::Cancelled,
            (None, Some(SuspendReason::Person)) => RunWord::Waiting,
            (None, Some(SuspendReason::HandOver)) => RunWord::HandedOver,
            (None, None) => RunWord::Running,
        }
    }

    /// The run's state, given whether an engine holds its lock. What a person has cancelled is cancelled, even
    /// when no engine lived to say so.
    pub fn state_given(&self, is_alive: bool) -> RunWord {
        match self.state() {
            RunWord::Running if !is_alive && self.is_cancelled() => RunWord::Cancelled,
            RunWord::Running if !is_alive => RunWord::Interrupted,
            word => word,
        }
    }

    fn is_cancelled(&self) -> bool {
        self.cancel.as_ref().is_some_and(|cancel| cancel.why == CancelReason::Person)
    }

    /// How many stages are in `state`.
    pub const fn count(&self, state: NodeState) -> u32 {
        self.counts[state as usize]
    }

    /// The stages that held the end of the run back: from the one that ended last, back through the need that
    /// ended last, to a stage that waited for none. In order of time.
    pub fn critical_path(&self) -> Vec<NodeIx> {
        let ran = |ix: &NodeIx| self.nodes[*ix].started.is_some() && !self.is_background(*ix);
        let end = |ix: &NodeIx| self.nodes[*ix].ended.unwrap_or(self.now);
        let mut path = Vec::new();
        let mut at = self.nodes.indexes().filter(ran).max_by_key(end);
        while let Some(ix) = at {
            path.push(ix);
            at = self.waited_for(ix).filter(ran).max_by_key(end);
        }
        path.reverse();
        path
    }

    /// What had to end before a stage could start: its needs, or for the first of the clean-up all main stages.
    pub fn waited_for(&self, ix: NodeIx) -> impl Iterator<Item = NodeIx> {
        let graph = self.graph();
        let node = &graph.nodes[ix];
        let is_first_of_finally = node.phase == Phase::Finally && node.needs.is_empty();
        let main = graph.nodes.pairs().filter(move |(_, other)| is_first_of_finally && other.phase == Phase::Main);
        node.needs.iter().map(|need| need.node).chain(main.map(|(ix, _)| ix))
    }

    /// How long the run will still take at `now`: by the longest way through what is left, or by all that is left over
    /// the run's slots, whichever is longer. None when a stage that is left has no history: a guess would be believed.
    pub fn left(&self, now: Millis) -> Option<Span> {
        let graph = self.graph();
        let mut rest: IdVec<NodeIx, u64> = IdVec::filled(0, self.nodes.len());
        let (mut longest, mut all) = (0, 0_u64);
        for &ix in graph.order().iter().rev() {
            let node = &self.nodes[ix];
            let after = graph.dependents(ix).iter().map(|&next| rest[next]).max().unwrap_or(0);
            let own = if words::is_ended(node.state) || !node.is_awake {
                0
            } else {
                let usual = self.expected(ix)?;
                let width = u64::from(graph.width(ix).min(graph.nodes[ix].foreseen_shards()).max(1));
                let left = left_of(node, usual, now).ms();
                all = all.saturating_add(left.saturating_mul(width));
                left
            };
            rest[ix] = own + after;
            longest = longest.max(rest[ix]);
        }
        let slots = u64::from(graph.settings.max_parallel.max(1));
        Some(Span::from_ms(longest.max(all / slots)))
    }
}

/// How much is left of a stage that usually takes so long: by its shards, if it has several.
fn left_of(node: &NodeView, usual: Span, now: Millis) -> Span {
    let shards = node.shards;
    let ended = u64::from(shards.done) + u64::from(shards.failed);
    match node.started {
        Some(_) if shards.all > 1 => {
            let left = u64::from(shards.all).saturating_sub(ended);
            Span::from_ms(usual.ms().saturating_mul(left) / u64::from(shards.all))
        }
        Some(start) => usual - now.since(start),
        None => usual,
    }
}
