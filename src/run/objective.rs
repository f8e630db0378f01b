//! Objectives on time: clocks that stop nothing.
//!
//! The clock of an objective is real time: it begins with the first start of what the objective is about and goes on
//! while no engine lives, so a resume does not set it back. It ends when all of that has ended. One that runs out is
//! recorded once ([`Event::ObjectiveBreached`]), at the first moment at which somebody can say so. Before that, when
//! history knows enough, [`Event::ObjectiveRisked`] says that it will: a stage that has not started yet is followed by
//! more than there is time for, or one that runs takes longer than it does in 95 of 100 cases.
//!
//! With `on-breach: fail` a stage that is done fails all the same, at its end, and its scope's policy decides what
//! follows; a group or the run makes the run fail. Whoever resumes a failed run accepts what was late until then.
//! What had ended and is ordered again has a new clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::event::{Case, CaseKind, Event, ReopenReason, Severity};
use super::state::RunState;
use crate::base::{Millis, NodeIx, Span};
use crate::graph::Graph;
use crate::graph::objective::{Objective, OnBreach, Subject};

/// What a clock says when it rings; a breach says more than a risk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Alarm {
    Breach,
    Risk,
}

/// All objectives of a run.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Objectives {
    goals: Vec<Goal>,
    /// Which of them a stage belongs to, those of the run left out.
    by_node: BTreeMap<NodeIx, Vec<u32>>,
    /// Those of the run itself.
    of_run: Vec<u32>,
    due: BTreeSet<(Millis, Alarm, u32)>,
}

/// One objective.
#[derive(Clone, PartialEq, Debug, Default)]
struct Goal {
    since: Option<Millis>,
    /// Stages that have not ended.
    open: BTreeSet<NodeIx>,
    is_over: bool,
    is_risky: bool,
    is_breached: bool,
    /// Somebody resumed the run all the same.
    is_excused: bool,
    /// Stages by what follows them, the longest first; those before `next` have started.
    tails: Vec<(NodeIx, Span)>,
    next: usize,
}

impl Objectives {
    /// Of a run that has not begun.
    pub(super) fn new(graph: &Graph) -> Self {
        let goal = |objective: &Objective| {
            let open = objective.nodes.iter().copied().collect();
            Goal { open, tails: graph.tails(objective), ..Goal::default() }
        };
        let of_run = (0..).zip(&graph.objectives).filter(|(_, objective)| objective.subject == Subject::Run);
        Self {
            goals: graph.objectives.iter().map(goal).collect(),
            by_node: graph.objectives_by_node(),
            of_run: of_run.map(|(ix, _)| ix).collect(),
            due: BTreeSet::new(),
        }
    }

    /// The next moment at which there is something to say.
    pub(super) fn next_due(&self) -> Option<Millis> {
        self.due.first().map(|it| it.0)
    }

    fn quiet(&mut self, ix: u32) {
        self.due.retain(|it| it.2 != ix);
    }
}

impl Goal {
    fn is_running(&self) -> bool {
        self.since.is_some() && !self.is_over && !self.is_breached
    }
}

impl RunState {
    /// What there is to say about objectives by now.
    pub(super) fn next_alarm(&self, at: Millis) -> Option<Event> {
        let &(_, alarm, objective) = self.objectives.due.first().filter(|it| it.0 <= at)?;
        let goal = &self.objectives.goals[objective as usize];
        let since = goal.since.expect("only a clock that runs rings");
        let limit = self.graph().objectives[objective as usize].limit;
        Some(match alarm {
            // Nobody was there to say so in time.
            _ if since + limit <= at => Event::ObjectiveBreached { objective },
            Alarm::Breach => unreachable!("a breach rings at its limit"),
            Alarm::Risk => {
                let spent = at.since(since);
                let likely = self.behind(objective).map(|(_, tail)| spent + tail);
                let whole = goal.tails.first().map_or(Span::ZERO, |it| it.1);
                let forecast = likely.or_else(|| (whole > spent).then_some(whole));
                Event::ObjectiveRisked { objective, forecast }
            }
        })
    }

    /// Whether `node` is done but took longer than it may.
    pub(super) fn is_late(&self, node: NodeIx) -> bool {
        let Some(own) = self.objectives.by_node.get(&node) else { return false };
        own.iter().any(|&ix| {
            let objective = &self.graph().objectives[ix as usize];
            is_of_one(objective) && self.fails_by(ix)
        })
    }

    /// Whether the run fails by this objective, or a stage does.
    fn fails_by(&self, ix: u32) -> bool {
        let (goal, objective) = (&self.objectives.goals[ix as usize], &self.graph().objectives[ix as usize]);
        goal.is_breached && !goal.is_excused && objective.on_breach == OnBreach::Fail
    }

    /// Whether a group or the run took longer than it may, so that the run fails.
    pub(super) fn fails_late(&self) -> bool {
        let objectives = &self.graph().objectives;
        (0..).zip(objectives).any(|(ix, objective)| !is_of_one(objective) && self.fails_by(ix))
    }

    /// The limit that `node` missed, in words.
    pub(super) fn late_words(&self, node: NodeIx) -> String {
        let own = self.objectives.by_node.get(&node).into_iter().flatten();
        let missed = own.map(|&ix| &self.graph().objectives[ix as usize]).find(|it| is_of_one(it));
        missed.map_or_else(String::new, |it| format!("it is done, but took longer than its `slo` of {}", it.limit))
    }

    /// Whether an objective was missed, by its number in the graph.
    pub fn is_breached(&self, objective: u32) -> bool {
        self.objectives.goals.get(objective as usize).is_some_and(|goal| goal.is_breached)
    }

    /// Since when the clock of an objective runs.
    pub fn objective_since(&self, objective: u32) -> Option<Millis> {
        self.objectives.goals.get(objective as usize).and_then(|goal| goal.since)
    }

    /// Follows what `event`, which was just folded, means to the objectives.
    pub(super) fn note_objectives(&mut self, at: Millis, event: &Event) {
        if self.objectives.goals.is_empty() || self.is_timeless() {
            return;
        }
        match event {
            // What follows the verdict is no time of the run.
            Event::RunResumed(_) if self.in_background() => {}
            Event::RunBegan(_) | Event::RunResumed(_) => self.run_objective(at, true),
            Event::RunFinished { .. } | Event::ForegroundEnded { .. } => self.run_objective(at, false),
            Event::ShardsStarted { node, first, .. } if *first == 0 || self.cells[*node].started == Some(at) => {
                self.begin_objectives(at, *node);
            }
            Event::ShardRetried { attempt } => self.begin_objectives(at, attempt.node),
            Event::GateOpened { node, .. } => self.begin_objectives(at, *node),
            Event::NodeFinished { node, state, .. } if state.is_final() => self.end_objectives(*node),
            Event::NodeSkipped { node, .. } => self.end_objectives(*node),
            Event::NodeReopened { node, why } => self.reopen_objectives(*node, *why),
            Event::ShardsReopened { node } | Event::BackgroundRequeued { node, .. } => {
                self.reopen_objectives(*node, ReopenReason::Ordered);
            }
            Event::ObjectiveRisked { objective, .. } => {
                if let Some(goal) = self.objectives.goals.get_mut(*objective as usize) {
                    goal.is_risky = true;
                    self.arm(*objective);
                }
            }
            Event::ObjectiveBreached { objective } => self.fold_breach(*objective),
            _ => {}
        }
    }

    fn own_objectives(&self, node: NodeIx) -> Vec<u32> {
        self.objectives.by_node.get(&node).cloned().unwrap_or_default()
    }

    pub(super) fn run_objective(&mut self, at: Millis, goes_on: bool) {
        for ix in self.objectives.of_run.clone() {
            let goal = &mut self.objectives.goals[ix as usize];
            goal.since.get_or_insert(at);
            goal.is_over = !goes_on;
            self.arm(ix);
        }
    }

    fn begin_objectives(&mut self, at: Millis, node: NodeIx) {
        for ix in self.own_objectives(node) {
            self.objectives.goals[ix as usize].since.get_or_insert(at);
            self.arm(ix);
        }
        for ix in self.objectives.of_run.clone() {
            self.arm(ix);
        }
    }

    pub(super) fn end_objectives(&mut self, node: NodeIx) {
        for ix in self.own_objectives(node) {
            let goal = &mut self.objectives.goals[ix as usize];
            goal.open.remove(&node);
            goal.is_over = goal.open.is_empty();
            self.arm(ix);
        }
    }

    fn reopen_objectives(&mut self, node: NodeIx, why: ReopenReason) {
        // What only comes up again was done, and is no work of the objective any more.
        if self.cells[node].is_restart {
            return;
        }
        for ix in self.own_objectives(node) {
            let goal = &mut self.objectives.goals[ix as usize];
            if goal.is_over && why != ReopenReason::Resume {
                (goal.since, goal.is_risky, goal.is_breached, goal.is_excused) = (None, false, false, false);
            }
            goal.open.insert(node);
            (goal.is_over, goal.next) = (false, 0);
            self.arm(ix);
        }
    }

    /// Whoever tries a failed run again accepts what was late.
    pub(super) fn excuse_objectives(&mut self) {
        for goal in self.objectives.goals.iter_mut().filter(|goal| goal.is_breached) {
            goal.is_excused = true;
        }
    }

    fn fold_breach(&mut self, ix: u32) {
        let Some(goal) = self.objectives.goals.get_mut(ix as usize) else { return };
        goal.is_breached = true;
        self.objectives.quiet(ix);
        let objective = &self.graph().objectives[ix as usize];
        let severity = if objective.on_breach == OnBreach::Fail { Severity::Major } else { Severity::Minor };
        let words = format!("{} took longer than its `slo` of {}", objective.title(), objective.limit);
        let node = objective.nodes.first().copied().filter(|_| is_of_one(objective));
        self.raise(Case { kind: CaseKind::Late, severity, node, words });
    }

    /// Sets the clocks of an objective as they should be now.
    fn arm(&mut self, ix: u32) {
        self.objectives.quiet(ix);
        if self.verdict.is_some() {
            return;
        }
        let graph = Arc::clone(self.graph());
        let limit = graph.objectives[ix as usize].limit;
        while let Some(&(node, _)) = self.objectives.goals[ix as usize].next_tail() {
            if self.cells[node].started.is_none() && !self.cells[node].state.is_final() {
                break;
            }
            self.objectives.goals[ix as usize].next += 1;
        }
        let goal = &self.objectives.goals[ix as usize];
        let Some(since) = goal.since.filter(|_| goal.is_running()) else { return };
        self.objectives.due.insert((since + limit, Alarm::Breach, ix));
        if let Some(moment) = self.risk(ix, since, limit) {
            self.objectives.due.insert((moment, Alarm::Risk, ix));
        }
    }

    /// The stage that should start first for the objective to be met, and what follows it.
    fn behind(&self, ix: u32) -> Option<(NodeIx, Span)> {
        self.objectives.goals[ix as usize].next_tail().copied()
    }

    /// When it is known that the limit will be missed, unless something happens before.
    fn risk(&self, ix: u32, since: Millis, limit: Span) -> Option<Millis> {
        let goal = &self.objectives.goals[ix as usize];
        if goal.is_risky {
            return None;
        }
        let moment = match self.behind(ix) {
            Some((_, tail)) if tail >= limit => since,
            Some((_, tail)) => since + (limit - tail),
            // All have started: of one stage it is known how long it takes.
            None if is_of_one(&self.graph().objectives[ix as usize]) => {
                let usual = goal.tails.first()?.1;
                if usual > limit { since } else { since + usual }
            }
            None => return None,
        };
        (moment < since + limit).then_some(moment)
    }

    /// The plan has changed: clocks go on by what they are about.
    pub(super) fn change_objectives(&mut self, old: &Graph) {
        let new = Arc::clone(self.graph());
        let mut was = std::mem::replace(&mut self.objectives, Objectives::new(&new));
        let known: BTreeMap<_, usize> = old.objectives.iter().map(Objective::key).zip(0..).collect();
        for (ix, objective) in (0..).zip(&new.objectives) {
            if let Some(&before) = known.get(&objective.key()) {
                let before = std::mem::take(&mut was.goals[before]);
                let goal = &mut self.objectives.goals[ix as usize];
                (goal.since, goal.is_risky) = (before.since, before.is_risky);
                (goal.is_breached, goal.is_excused) = (before.is_breached, before.is_excused);
            }
            // What only comes up again was done.
            let ended = |node: &NodeIx| self.cells[*node].state.is_final() || self.cells[*node].is_restart;
            let goal = &mut self.objectives.goals[ix as usize];
            goal.open.retain(|node| !ended(node));
            goal.is_over = objective.subject != Subject::Run && goal.open.is_empty();
            self.arm(ix);
        }
    }
}

impl Goal {
    fn next_tail(&self) -> Option<&(NodeIx, Span)> {
        self.tails.get(self.next)
    }
}

/// Whether it is about one stage and nothing else.
fn is_of_one(objective: &Objective) -> bool {
    objective.subject == Subject::Stage && objective.nodes.len() == 1
}
