//! What a view knows of objectives, groups and tickets.

use crate::base::{Millis, NodeIx, Span};
use crate::graph::objective::{Objective, Readiness, Subject};
use crate::run::event::{Case, Event, NodeState, ReopenReason};

use super::View;

/// Records about promises, folded.
#[derive(Clone, Debug, Default)]
pub(super) struct Promises {
    goals: Vec<Goal>,
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

    /// The name of the ticket that is made from it.
    pub fn ticket_id(&self, raised: &Raised) -> String {
        let path = self.began().map_or("", |began| &began.path);
        let environment = self.graph().settings.environment.as_ref().map_or("", |it| &it.name);
        raised.case.ticket_id(path, environment, raised.stage.as_deref().unwrap_or_default())
    }

    /// Every group: its name, whether the run needs it, how it stands. In the order of the plan's stages.
    pub fn groups(&self) -> impl Iterator<Item = (&str, Readiness, GroupState)> {
        (0..).zip(&self.graph().groups).map(|(ix, group)| (&*group.name, group.readiness, self.group_state(ix)))
    }

    fn group_state(&self, group: u32) -> GroupState {
        let graph = self.graph();
        let (mut has_begun, mut is_open) = (false, false);
        for (ix, node) in self.nodes() {
            if !graph.groups_of(ix).any(|it| it == group) {
                continue;
            }
            match node.state {
                NodeState::Failed
                | NodeState::TimedOut
                | NodeState::Blocked
                | NodeState::Cancelled
                | NodeState::Undone
                | NodeState::Unknown => return GroupState::NotReady(ix),
                NodeState::Pending => is_open = true,
                NodeState::Waiting | NodeState::Running | NodeState::Retrying => {
                    (has_begun, is_open) = (true, true);
                }
                _ => has_begun = true,
            }
        }
        match (has_begun, is_open) {
            (false, true) => GroupState::Pending,
            (true, true) => GroupState::Running,
            (_, false) => GroupState::Ready,
        }
    }

    /// Takes in what a record means to objectives and tickets; `self` is the run after it.
    pub(super) fn record_promise(&mut self, (seq, at): (u64, Millis), event: &Event) {
        if let Event::TicketRaised { case } = event {
            let stage = case.node.map(|node| self.id(node).to_owned());
            self.promises.tickets.push(Raised { seq, at, case: (**case).clone(), stage });
            return;
        }
        let graph = self.graph().clone();
        if graph.objectives.is_empty() {
            return;
        }
        self.promises.goals.resize(graph.objectives.len(), Goal::default());
        let about = |node: NodeIx| move |it: &Objective| it.subject != Subject::Run && it.covers(node);
        match event {
            Event::RunBegan(_) => self.each_goal(|it| it.subject == Subject::Run, |goal| goal.since = Some(at)),
            Event::RunResumed(_) => self.each_goal(|it| it.subject == Subject::Run, |goal| goal.ended = None),
            Event::RunFinished { .. } => {
                self.each_goal(|it| it.subject == Subject::Run, |goal| goal.ended = Some(at));
            }
            Event::ShardsStarted { node, .. } | Event::GateOpened { node, .. } => {
                self.each_goal(about(*node), |goal| goal.since = goal.since.or(Some(at)));
            }
            Event::ShardRetried { attempt } => {
                self.each_goal(about(attempt.node), |goal| goal.since = goal.since.or(Some(at)));
            }
            Event::NodeFinished { node, .. } | Event::NodeSkipped { node, .. } => {
                let ended: Vec<bool> = graph.objectives.iter().map(|it| self.has_ended(it)).collect();
                let (all, about) = (self.promises.goals.iter_mut().zip(&graph.objectives), about(*node));
                for ((goal, _), _) in all.zip(ended).filter(|((_, it), has)| *has && about(it)) {
                    goal.ended = Some(at);
                }
            }
            Event::NodeReopened { node, why } if *why != ReopenReason::Restart => {
                self.each_goal(about(*node), |goal| {
                    if goal.ended.take().is_some() && *why != ReopenReason::Resume {
                        *goal = Goal::default();
                    }
                });
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

    fn has_ended(&self, objective: &Objective) -> bool {
        objective.nodes.iter().all(|&node| super::words::is_ended(self.get(node).state))
    }

    fn each_goal(&mut self, is_meant: impl Fn(&Objective) -> bool, mut change: impl FnMut(&mut Goal)) {
        let graph = self.graph().clone();
        let all = self.promises.goals.iter_mut().zip(&graph.objectives);
        all.filter(|(_, it)| is_meant(it)).for_each(|(goal, _)| change(goal));
    }

    /// The plan has changed: objectives follow what they are about.
    pub(super) fn change_goals(&mut self, old: &[Objective]) {
        let was = std::mem::take(&mut self.promises.goals);
        let same = |it: &Objective| {
            old.iter().position(|before| (before.subject, &before.name) == (it.subject, &it.name))
        };
        let goal = |it: &Objective| same(it).and_then(|ix| was.get(ix).copied()).unwrap_or_default();
        self.promises.goals = self.graph().objectives.iter().map(goal).collect();
    }
}
