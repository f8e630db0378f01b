//! A naive recount of a run, from its events alone: what the laws compare the core with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine::base::{Millis, NodeIx, Span};
use engine::graph::Graph;
use engine::graph::model::{Node, Phase as Part};
use engine::run::event::{
    Answer, CancelLevel, CancelReason, CheckKind, Clock, NodeState, ReopenReason, Resolution, ShardResult,
    SkipReason, StopKind, StopReason,
};
use engine::run::{Attempt, Event, Outcome};

use crate::audit::node_of;
use crate::items::Items;
use crate::late::Late;
use crate::laws::accepts;

pub(crate) type Key = (NodeIx, u32);

/// An attempt that runs.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) number: u16,
    pub(crate) started: Millis,
    /// When it was asked to stop last, and how; why first.
    pub(crate) stop: Option<(Millis, StopKind, StopReason)>,
}

/// What is known of a stage in its generation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stage {
    /// Failures, in order.
    pub(crate) ends: Vec<Outcome>,
    pub(crate) decided: Option<bool>,
    pub(crate) opened: Option<(Millis, Option<Millis>)>,
    pub(crate) expired: Option<Clock>,
    pub(crate) resolved: Option<Resolution>,
    pub(crate) is_cached: bool,
    pub(crate) is_admitted: bool,
    pub(crate) cache_asked: bool,
    /// A shard was asked to stop because of its scope.
    pub(crate) was_killed: bool,
    pub(crate) unknown: BTreeSet<u32>,
    /// A gate of which an attempt ended without a yes or a no, and whether that halts it.
    pub(crate) held: Option<bool>,
}

/// The recount.
#[derive(Clone)]
pub(crate) struct Book {
    pub(crate) versions: Vec<Arc<Graph>>,
    pub(crate) graph: Arc<Graph>,
    pub(crate) running: BTreeMap<Key, Run>,
    pub(crate) checks: BTreeMap<Key, CheckKind>,
    pub(crate) highest: BTreeMap<Key, u16>,
    /// Re-tries scheduled in this generation of a stage.
    pub(crate) retries: BTreeMap<Key, u32>,
    /// When the next attempt may start.
    pub(crate) due: BTreeMap<Key, Millis>,
    /// First start, for `retry.within`.
    pub(crate) first: BTreeMap<Key, Millis>,
    pub(crate) states: BTreeMap<NodeIx, NodeState>,
    pub(crate) stages: BTreeMap<NodeIx, Stage>,
    pub(crate) done: BTreeSet<Key>,
    /// Ended by force: not to be started again before somebody said what became of it.
    pub(crate) doubt: BTreeSet<Key>,
    /// Ended by force or unseen, and neither started nor told since: in doubt once an edited plan calls the stage not
    /// idempotent.
    pub(crate) forced: BTreeSet<Key>,
    /// Done, but what they keep running ended with its engine.
    pub(crate) down: BTreeSet<NodeIx>,
    /// They are being started again, or could not be.
    pub(crate) restarting: BTreeSet<NodeIx>,
    /// Ran when their engine died.
    orphans: BTreeSet<Key>,
    pub(crate) cancel: Option<(CancelLevel, CancelReason)>,
    /// When that was said last.
    pub(crate) cancelled_at: Option<Millis>,
    pub(crate) timed_out: bool,
    pub(crate) is_paused: bool,
    pub(crate) is_frozen: bool,
    pub(crate) is_suspended: bool,
    pub(crate) has_begun: bool,
    pub(crate) is_over: bool,
    pub(crate) finally_since: Option<Millis>,
    pub(crate) finally_over: bool,
    /// Time of the run's timeout used.
    pub(crate) used: Span,
    pub(crate) ticks: bool,
    pub(crate) last: Millis,
    /// The end of the time box, and whether it was closed.
    pub(crate) time_box: Option<(Millis, bool)>,
    pub(crate) deferred: BTreeSet<NodeIx>,
    /// Objectives and tickets.
    pub(crate) late: Late,
    pub(crate) undos: crate::undo::Undos,
    pub(crate) backs: crate::background::Backs,
    pub(crate) heals: crate::ladder::Heals,
}

impl Book {
    pub(crate) fn new(versions: &[Arc<Graph>]) -> Self {
        Self {
            versions: versions.to_vec(),
            graph: Arc::clone(&versions[0]),
            running: BTreeMap::new(),
            checks: BTreeMap::new(),
            highest: BTreeMap::new(),
            retries: BTreeMap::new(),
            due: BTreeMap::new(),
            first: BTreeMap::new(),
            states: BTreeMap::new(),
            stages: BTreeMap::new(),
            done: BTreeSet::new(),
            doubt: BTreeSet::new(),
            forced: BTreeSet::new(),
            down: BTreeSet::new(),
            orphans: BTreeSet::new(),
            restarting: BTreeSet::new(),
            cancel: None,
            cancelled_at: None,
            timed_out: false,
            is_paused: false,
            is_frozen: false,
            is_suspended: false,
            has_begun: false,
            is_over: false,
            finally_since: None,
            finally_over: false,
            used: Span::ZERO,
            ticks: false,
            last: Millis::ZERO,
            time_box: None,
            deferred: BTreeSet::new(),
            late: Late::new(&versions[0]),
            undos: crate::undo::Undos::default(),
            backs: crate::background::Backs::default(),
            heals: crate::ladder::Heals::default(),
        }
    }

    pub(crate) fn state(&self, node: NodeIx) -> NodeState {
        self.states.get(&node).copied().unwrap_or(NodeState::Pending)
    }

    pub(crate) fn stage(&self, node: NodeIx) -> Stage {
        self.stages.get(&node).cloned().unwrap_or_default()
    }

    /// When the main phase must have ended in a stop, in used time.
    pub(crate) fn run_limit(&self) -> Option<Span> {
        let settings = &self.graph.settings;
        Some(settings.timeout? - settings.finally_budget.unwrap_or_default())
    }

    /// Time of the run's timeout used at `at`.
    pub(crate) fn used_time(&self, at: Millis) -> Span {
        if self.ticks { self.used + at.since(self.last) } else { self.used }
    }

    fn start(&mut self, at: Millis, attempt: Attempt) {
        let key = (attempt.node, attempt.shard);
        self.running.insert(key, Run { number: attempt.number, started: at, stop: None });
        self.highest.insert(key, attempt.number);
        self.forced.remove(&key);
        let retry = self.graph.nodes[key.0].rules.retry.as_ref();
        if retry.is_some_and(|retry| retry.within.is_some()) {
            self.first.entry(key).or_insert(at);
        }
        self.due.remove(&key);
    }

    /// The outcome of an attempt was forced: only `done-if` or a person knows what it did.
    pub(crate) fn force(&mut self, key: Key) {
        self.forced.insert(key);
        let rules = &self.graph.nodes[key.0].rules;
        if !rules.idempotent || rules.has_done_if {
            self.doubt.insert(key);
        }
        if !rules.idempotent && !rules.has_done_if {
            self.stages.entry(key.0).or_default().unknown.insert(key.1);
        }
    }

    /// Takes an event in.
    pub(crate) fn hear(&mut self, at: Millis, event: &Event, items: &Items) {
        let gap = if let Event::RunResumed(resumed) = event { resumed.gap } else { Span::ZERO };
        let mut late = std::mem::take(&mut self.late);
        late.hear(self, at, event);
        self.late = late;
        if self.ticks {
            self.used = self.used + (at.since(self.last) - gap);
        }
        self.last = at;
        self.hear_shard(at, event);
        self.hear_stage(at, event);
        self.hear_run(at, event, gap);
        self.hear_undo(event);
        if let Event::PlanChanged { version } = event {
            self.change(*version, items);
        }
        self.hear_background(event);
        self.hear_healing(event);
        let states = &self.states;
        self.due.retain(|key, _| !states.contains_key(&key.0));
        let is_held = self.is_paused || self.is_frozen || self.is_guarded();
        let is_asked =
            |(node, stage): (&NodeIx, &Stage)| stage.opened.is_some() || self.state(*node) == NodeState::Unknown;
        let waits = is_held || self.stages.iter().any(is_asked);
        let is_delayed = !is_held && self.due.iter().any(|(key, &due)| due > at && self.is_open(key.0));
        let is_busy = !self.running.is_empty() || !self.checks.is_empty() || is_delayed;
        self.ticks = self.has_begun && !self.is_over && !self.is_suspended && (is_busy || !waits);
    }

    /// Whether nothing else must end before `node` goes on. What it needs may be open again after a resume.
    fn is_open(&self, node: NodeIx) -> bool {
        let it = &self.graph.nodes[node];
        let is_its_phase = match it.phase {
            Part::Finally => self.finally_since.is_some(),
            Part::Background => self.backs.decided.is_some() && self.backs.released.contains(&node),
            _ => true,
        };
        is_its_phase && it.needs.iter().all(|&need| accepts(self, need))
    }

    /// Whether the recount knows how long the run's clock has gone: what waits for its `rate` keeps it going, and the
    /// recount does not count starts.
    pub(crate) fn knows_time(&self) -> bool {
        let has_rate = |node: &Node| node.rules.split.as_ref().is_some_and(|split| split.rate.is_some());
        !self.versions.iter().any(|graph| graph.nodes.iter().any(has_rate))
    }

    fn hear_shard(&mut self, at: Millis, event: &Event) {
        match event {
            Event::ShardsStarted { node, first, count } => {
                let attempt = |shard| Attempt { node: *node, shard, number: 1 };
                (*first..first + count).for_each(|shard| self.start(at, attempt(shard)));
            }
            Event::ShardRetried { attempt } => self.start(at, *attempt),
            Event::RetryScheduled { attempt, at } => {
                let key = (attempt.node, attempt.shard);
                let is_new = self.due.insert(key, *at).is_none();
                *self.retries.entry(key).or_default() += u32::from(is_new);
            }
            Event::ShardFinished { attempt, outcome, result, .. } => self.end(*attempt, outcome, result),
            Event::ShardLost { attempt } => {
                let key = (attempt.node, attempt.shard);
                let was = self.running.remove(&key).expect("only what runs is lost");
                assert_eq!(was.number, attempt.number, "only what runs is lost");
                self.first.remove(&key);
                self.force(key);
                let is_orphan = self.orphans.remove(&key);
                if !is_orphan && was.stop.is_some_and(|(_, how, _)| how == StopKind::Kill) {
                    self.stages.entry(key.0).or_default().unknown.insert(key.1);
                }
            }
            Event::StopRequested { attempt, how, why } => {
                let run = self.running.get_mut(&(attempt.node, attempt.shard)).expect("only what runs is stopped");
                let why_first = run.stop.map_or(*why, |(_, _, first)| first);
                run.stop = Some((at, *how, why_first));
                self.stages.entry(attempt.node).or_default().was_killed |= matches!(why, StopReason::Scope(_));
            }
            Event::ShardExpired { node, shard, clock } => {
                self.due.remove(&(*node, *shard));
                self.stages.entry(*node).or_default().ends.push(Outcome::TimedOut(*clock));
            }
            Event::CheckStarted { node, shard, kind } => {
                assert!(self.checks.insert((*node, *shard), *kind).is_none(), "a question is asked twice");
            }
            Event::CheckAnswered { node, shard, kind, answer } => self.answer((*node, *shard), *kind, answer),
            _ => {}
        }
    }

    fn end(&mut self, attempt: Attempt, outcome: &Outcome, result: &ShardResult) {
        let key = (attempt.node, attempt.shard);
        let run = self.running.remove(&key).expect("the fence");
        assert_eq!(run.number, attempt.number, "the fence");
        if let Some(is_halt) = self.holds_by(key.0, outcome) {
            self.stages.entry(key.0).or_default().held = Some(is_halt);
            return;
        }
        match outcome {
            Outcome::Success => {
                self.done.insert(key);
                return;
            }
            Outcome::Cancelled if run.stop.is_some_and(|(.., first)| first == StopReason::HandOver) => {
                // As if its engine had died: it starts again, or somebody is asked what it did.
                self.first.remove(&key);
                if !result.never_ran {
                    self.force(key);
                }
                return;
            }
            _ if result.never_ran => {}
            Outcome::Cancelled | Outcome::Signal(_) | Outcome::TimedOut(_) => self.force(key),
            Outcome::BadResult(_) if !self.graph.nodes[key.0].rules.idempotent => self.force(key),
            Outcome::BadResult(_) => drop(self.forced.insert(key)),
            Outcome::Exit(_) | Outcome::NotStarted(_) => {}
        }
        self.stages.entry(key.0).or_default().ends.push(outcome.clone());
    }

    fn answer(&mut self, key: Key, kind: CheckKind, answer: &Answer) {
        assert_eq!(self.checks.remove(&key), Some(kind), "an answer without a question");
        let is_late = self.cancel.is_none() && (self.box_is_over() || self.has_left());
        let stage = self.stages.entry(key.0).or_default();
        let is_idempotent = self.graph.nodes[key.0].rules.idempotent;
        match (kind, answer) {
            (CheckKind::Cache, answer) => {
                stage.cache_asked = true;
                stage.is_cached = matches!(answer, Answer::Yes(_));
            }
            (CheckKind::DoneIf, Answer::Yes(_)) => {
                self.doubt.remove(&key);
                self.forced.remove(&key);
                self.done.insert(key);
            }
            // The next engine asks again.
            (CheckKind::DoneIf, Answer::Unknown(_)) if is_late => {}
            (CheckKind::DoneIf, Answer::Unknown(_)) if !is_idempotent => {
                stage.unknown.insert(key.1);
            }
            (CheckKind::DoneIf, answer) => {
                self.doubt.remove(&key);
                if *answer == Answer::No {
                    self.forced.remove(&key);
                }
            }
        }
    }

    fn hear_stage(&mut self, at: Millis, event: &Event) {
        let Some(node) = node_of(event) else { return };
        let stage = self.stages.entry(node).or_default();
        match event {
            Event::NodeAdmitted { .. } => stage.is_admitted = true,
            Event::GateOpened { expires, .. } => stage.opened = Some((at, *expires)),
            Event::GateDecided { approved, .. } => {
                stage.opened = None;
                stage.decided = Some(*approved);
                // A gate that was held is done with that.
                if *approved && stage.held.is_some() {
                    self.done.insert((node, 0));
                }
            }
            Event::NodeExpired { clock, .. } => {
                stage.opened = None;
                stage.expired = Some(*clock);
                self.finally_over |= *clock == Clock::Finally;
            }
            Event::NodeFinished { state, .. } => {
                stage.opened = None;
                self.down.remove(&node);
                if state.is_success() {
                    self.restarting.remove(&node);
                }
                self.states.insert(node, *state);
            }
            Event::NodeSkipped { why, .. } => {
                stage.opened = None;
                self.down.remove(&node);
                let is_blocked = matches!(why, SkipReason::Blocked { .. });
                if !is_blocked {
                    // Nobody misses what is not needed.
                    self.restarting.remove(&node);
                }
                self.states.insert(node, if is_blocked { NodeState::Blocked } else { NodeState::Skipped });
            }
            Event::NodeReopened { why, .. } => self.reopen(node, *why),
            // Whoever is asked about a held gate has it ask again.
            Event::NodeResolved { resolution: Resolution::Rerun, .. } if stage.opened.is_some() => {
                *stage = Stage { is_admitted: stage.is_admitted, ..Stage::default() };
                self.done.retain(|key| key.0 != node);
            }
            Event::NodeResolved { resolution, .. } => {
                stage.resolved = Some(*resolution);
                let shards = std::mem::take(&mut stage.unknown);
                for shard in shards {
                    self.doubt.remove(&(node, shard));
                    self.forced.remove(&(node, shard));
                    if *resolution == Resolution::Success {
                        self.done.insert((node, shard));
                    }
                }
            }
            _ => {}
        }
    }

    pub(crate) fn reopen(&mut self, node: NodeIx, why: ReopenReason) {
        let by_person = self.stage(node).resolved == Some(Resolution::Rerun);
        let is_clear = self.undos.undone.contains(&node) && why == ReopenReason::Resume;
        let is_finally = self.graph.nodes[node].phase == Part::Finally || is_clear;
        let of = |key: &Key| key.0 != node;
        self.states.remove(&node);
        let old = self.stages.remove(&node).unwrap_or_default();
        let rules = &self.graph.nodes[node].rules;
        if why != ReopenReason::Ordered && !is_clear && !by_person && !rules.idempotent && !rules.has_done_if {
            self.stages.entry(node).or_default().unknown = old.unknown;
        }
        self.retries.retain(|key, _| of(key));
        self.due.retain(|key, _| of(key));
        self.first.retain(|key, _| of(key));
        if why == ReopenReason::Ordered || is_clear || by_person {
            self.forced.retain(of);
            self.doubt.retain(of);
        }
        let is_whole = match why {
            ReopenReason::Ordered => !by_person,
            ReopenReason::Upstream | ReopenReason::Restart => true,
            ReopenReason::Resume => is_finally,
            ReopenReason::Changed => false,
        };
        let done: Vec<Key> = self.done.iter().copied().filter(|key| key.0 == node).collect();
        if is_whole {
            self.done.retain(of);
        }
        if why == ReopenReason::Restart {
            self.restarting.insert(node);
        }
        if why == ReopenReason::Upstream || why == ReopenReason::Ordered && !by_person {
            self.restarting.remove(&node);
        }
        self.stages.entry(node).or_default().is_admitted = self.restarting.contains(&node);
        if why == ReopenReason::Restart {
            let is_safe = self.graph.nodes[node].rules.idempotent;
            done.into_iter().filter(|_| !is_safe).for_each(|key| self.force(key));
        }
    }

    fn hear_run(&mut self, at: Millis, event: &Event, gap: Span) {
        match event {
            Event::RunBegan(_) => self.has_begun = true,
            Event::PauseChanged { on, .. } => self.is_paused = *on,
            Event::FreezeBegan { .. } | Event::FreezeEnded => self.is_frozen = *event != Event::FreezeEnded,
            Event::CancelRaised { level, why, .. } => {
                (self.cancel, self.cancelled_at) = (Some((*level, *why)), Some(at));
                self.timed_out |= *why == CancelReason::Timeout;
            }
            Event::FinallyBegan => (self.finally_since, self.finally_over) = (Some(at), false),
            Event::RunSuspended { .. } => self.is_suspended = true,
            Event::BoxOpened { until } => {
                self.time_box = Some((*until, false));
                self.deferred.clear();
            }
            Event::BoxClosed => self.time_box = self.time_box.map(|(until, _)| (until, true)),
            Event::NodeDeferred { node, .. } => {
                self.deferred.insert(*node);
            }
            Event::RunFinished { .. } => self.is_over = true,
            Event::StopRequested { why: StopReason::Clock(Clock::Finally), .. } => self.finally_over = true,
            Event::RunResumed(resumed) => self.resume(gap, self.goes_on(resumed), resumed.closes),
            Event::NodeReopened { node, .. } if self.is_of_foreground(*node) => {
                (self.finally_since, self.finally_over) = (None, false);
            }
            _ => {}
        }
    }

    fn resume(&mut self, gap: Span, goes_on: bool, closes: bool) {
        let is_service = |node: &NodeIx| {
            let it = &self.graph.nodes[*node];
            it.rules.is_service && it.selected
        };
        let done = self.states.iter().filter(|(_, state)| **state == NodeState::Success).map(|it| *it.0);
        self.down = done.filter(is_service).collect();
        self.orphans = self.running.keys().copied().collect();
        if goes_on {
            self.used = Span::ZERO;
        } else if closes {
            // It is no new try: what had ended stays so.
        } else if self.goes_on_undoing() {
            self.used = Span::ZERO;
            (self.finally_since, self.finally_over) = (None, false);
        } else if self.is_over || self.backs.decided.is_some() || self.cancel.is_some() {
            self.forget_rollback();
            self.is_paused = false;
            (self.used, self.timed_out) = (Span::ZERO, false);
            (self.finally_since, self.finally_over) = (None, false);
        }
        let why = self.undos.why;
        if !closes {
            self.cancel = why.filter(|_| !goes_on).map(|why| (CancelLevel::Drain, why));
        }
        self.resume_background(goes_on);
        (self.is_suspended, self.is_over) = (false, false);
        self.checks.clear();
        self.time_box = None;
        self.deferred.clear();
        self.finally_since = self.finally_since.map(|since| since + gap);
        self.first.values_mut().for_each(|first| *first = *first + gap);
    }
}
