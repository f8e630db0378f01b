//! What a view knows of objectives, groups and tickets.

use std::collections::BTreeMap;

use crate::base::{Millis, NodeIx, Span};
use crate::graph::objective::{Objective, Readiness, Subject};
use crate::run::event::{Case, Event, NodeState, ReopenReason};

use super::View;

/// Records about promises, folded.
#[derive(Clone, Debug, Default)]
pub(super) struct Promises {
    goals: Vec<Goal>,
    /// Which of them a stage belongs to, those of the run left out.
    by_node: BTreeMap<NodeIx, Vec<u32>>,
    tickets: Vec<Raised>,
}

/// How an objective stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Goal {
    /// When its clock began.
    pub since: Option<Millis>,
    /// When it was said to be at risk, and how long it was then expected to take.
    pub risk: Option<(Millis, Option<Span>)>,
    /// When it was missed.
    pub breached: Option<Millis>,
    /// When what it is about had ended.
    pub ended: Option<Millis>,
}

/// Something that somebody must look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Raised {
    /// Sequence number of the record.
    pub seq: u64,
    /// When.
    pub at: Millis,
    /// What.
    pub case: Case,
    /// The id of its stage, if it has one.
    pub stage: Option<String>,
    /// Why, for people: what was said when it was raised, else why its stage had ended so by then.
    pub why: String,
}

/// How a group stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupState {
    /// Nothing of it has started.
    Pending,
    /// It is under way.
    Running,
    /// All of it ended as it should.
    Ready,
    /// Something of it failed, was blocked or cancelled, or nobody knows.
    NotReady(NodeIx),
}

impl GroupState {
    /// The word in every format.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Ready => "ready",
            Self::NotReady(_) => "not-ready",
        }
    }
}

impl Goal {
    /// `pending`, `running`, `at-risk`, `met`, `breached`.
    pub const fn word(self) -> &'static str {
        match self {
            Self { breached: Some(_), .. } => "breached",
            Self { since: None, .. } => "pending",
            Self { ended: Some(_), .. } => "met",
            Self { risk: Some(_), .. } => "at-risk",
            _ => "running",
        }
    }

    /// How long it took, or has taken until `now`.
    pub fn took(self, now: Millis) -> Option<Span> {
        Some(self.ended.unwrap_or(now).since(self.since?))
    }
}

/// What the stages of a group say of it.
#[derive(Clone, Default)]
struct Progress {
    has_begun: bool,
    is_open: bool,
    failed: Option<NodeIx>,
}

impl Progress {
    fn count(&mut self, node: NodeIx, state: NodeState) {
        match state {
            NodeState::Failed
            | NodeState::TimedOut
            | NodeState::Blocked
            | NodeState::Cancelled
            | NodeState::Undone
            | NodeState::Unknown => {
                self.failed.get_or_insert(node);
            }
            NodeState::Pending => self.is_open = true,
            NodeState::Waiting | NodeState::Running | NodeState::Retrying => {
                (self.has_begun, self.is_open) = (true, true);
            }
            _ => self.has_begun = true,
        }
    }

    fn state(&self) -> GroupState {
        match (self.failed, self.has_begun, self.is_open) {
            (Some(node), ..) => GroupState::NotReady(node),
            (None, false, true) => GroupState::Pending,
            (None, true, true) => GroupState::Running,
            (None, _, false) => GroupState::Ready,
        }
    }
}

impl View {
    /// Every objective and how it stands.
    pub fn goals(&self) -> impl Iterator<Item = (&Objective, Goal)> {
        let goal = |ix: usize| self.promises.goals.get(ix).copied().unwrap_or_default();
        self.graph().objectives.iter().enumerate().map(move |(ix, it)| (it, goal(ix)))
    }

    /// What somebody must look at, in the order of the records.
    pub fn tickets(&self) -> &[Raised] {
        &self.promises.tickets
    }

    /// Each ticket once, with what was said of it last: a stage that fails again after a resume is the same ticket.
    pub fn tickets_once(&self) -> Vec<(String, &Raised)> {
        let mut once: Vec<(String, &Raised)> = Vec::new();
        for raised in &self.promises.tickets {
            let id = self.ticket_id(raised);
            match once.iter_mut().find(|(known, _)| *known == id) {
                Some((_, last)) => *last = raised,
                None => once.push((id, raised)),
            }
        }
        once
    }

    /// The name of the ticket that is made from it.
    pub fn ticket_id(&self, raised: &Raised) -> String {
        let path = self.began().map_or("", |began| &began.path);
        let environment = self.graph().settings.environment.as_ref().map_or("", |it| &it.name);
        raised.case.ticket_id(path, environment, raised.stage.as_deref().unwrap_or_default())
    }

    fn why_ended(&self, ix: NodeIx) -> String {
        let node = self.get(ix);
        if node.reason.is_empty() { node.state.word().to_owned() } else { node.reason.clone() }
    }

    /// Every group: its name, whether the run needs it, how it stands. In the order of the plan's stages.
    pub fn groups(&self) -> impl Iterator<Item = (&str, Readiness, GroupState)> {
        let graph = self.graph();
        let mut all = vec![Progress::default(); graph.groups.len()];
        for (ix, node) in self.nodes() {
            graph.groups_of(ix).for_each(|group| all[group as usize].count(ix, node.state));
        }
        graph.groups.iter().zip(all).map(|(group, it)| (&*group.name, group.readiness, it.state()))
    }

    /// Takes in what a record means to objectives and tickets; `self` is the run after it.
    pub(super) fn record_promise(&mut self, (seq, at): (u64, Millis), event: &Event) {
        if let Event::TicketRaised { case } = event {
            let stage = case.node.map(|node| self.id(node).to_owned());
            let ended = || case.node.map_or_else(String::new, |node| self.why_ended(node));
            let why = if case.words.is_empty() { ended() } else { case.words.clone() };
            self.promises.tickets.push(Raised { seq, at, case: (**case).clone(), stage, why });
            return;
        }
        if self.graph().objectives.is_empty() {
            return;
        }
        let graph = self.graph().clone();
        if self.promises.goals.is_empty() {
            self.promises.goals = vec![Goal::default(); graph.objectives.len()];
            self.promises.by_node = graph.objectives_by_node();
        }
        match event {
            Event::RunBegan(_) => self.each_of_run(|goal| goal.since = Some(at)),
            Event::RunResumed(_) => self.each_of_run(|goal| goal.ended = None),
            Event::RunFinished { .. } => self.each_of_run(|goal| goal.ended = Some(at)),
            Event::ShardsStarted { node, .. } | Event::GateOpened { node, .. } => {
                self.each_about(*node, |goal| goal.since = goal.since.or(Some(at)));
            }
            Event::ShardRetried { attempt } => {
                self.each_about(attempt.node, |goal| goal.since = goal.since.or(Some(at)));
            }
            Event::NodeFinished { node, .. } | Event::NodeSkipped { node, .. } => {
                for ix in self.about(*node) {
                    if self.has_ended(&graph.objectives[ix]) {
                        self.promises.goals[ix].ended = Some(at);
                    }
                }
            }
            Event::NodeReopened { node, why } if *why != ReopenReason::Restart => self.open_goals(*node, *why),
            Event::ShardsReopened { node } | Event::BackgroundRequeued { node, .. } => {
                self.open_goals(*node, ReopenReason::Ordered);
            }
            Event::ObjectiveRisked { objective, forecast } => {
                if let Some(goal) = self.promises.goals.get_mut(*objective as usize) {
                    goal.risk = Some((at, *forecast));
                }
            }
            Event::ObjectiveBreached { objective } => {
                if let Some(goal) = self.promises.goals.get_mut(*objective as usize) {
                    goal.breached = Some(at);
                }
            }
            _ => {}
        }
    }

    /// A stage is open again: what had ended and is ordered again has a new clock.
    fn open_goals(&mut self, node: NodeIx, why: ReopenReason) {
        self.each_about(node, |goal| {
            if goal.ended.take().is_some() && why != ReopenReason::Resume {
                *goal = Goal::default();
            }
        });
    }

    fn has_ended(&self, objective: &Objective) -> bool {
        // What has not ended mostly stands last.
        objective.nodes.iter().rev().all(|&node| super::words::is_ended(self.get(node).state))
    }

    /// The objectives that a stage belongs to.
    fn about(&self, node: NodeIx) -> Vec<usize> {
        self.promises.by_node.get(&node).into_iter().flatten().map(|&ix| ix as usize).collect()
    }

    fn each_about(&mut self, node: NodeIx, mut change: impl FnMut(&mut Goal)) {
        self.about(node).into_iter().for_each(|ix| change(&mut self.promises.goals[ix]));
    }

    fn each_of_run(&mut self, mut change: impl FnMut(&mut Goal)) {
        let graph = self.graph().clone();
        let all = self.promises.goals.iter_mut().zip(&graph.objectives);
        all.filter(|(_, it)| it.subject == Subject::Run).for_each(|(goal, _)| change(goal));
    }

    /// The plan has changed: objectives follow what they are about.
    pub(super) fn change_goals(&mut self, old: &[Objective]) {
        let was = std::mem::take(&mut self.promises.goals);
        let known: BTreeMap<_, Goal> = old.iter().map(Objective::key).zip(was).collect();
        let goal = |it: &Objective| known.get(&it.key()).copied().unwrap_or_default();
        self.promises.goals = self.graph().objectives.iter().map(goal).collect();
        self.promises.by_node = self.graph().objectives_by_node();
    }
}
