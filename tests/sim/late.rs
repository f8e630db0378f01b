//! A naive recount of objectives and tickets: one breach for each time that a clock runs, told in time, and one ticket
//! for each thing to look at.

use std::collections::BTreeSet;
use std::sync::Arc;

use engine::base::{Millis, NodeIx, Span};
use engine::graph::model::{Phase, Policy};
use engine::graph::objective::{Group, Objective, OnBreach, Readiness, Subject};
use engine::graph::{Graph, Parts};
use engine::run::Event;
use engine::run::event::{Case, CaseKind, HealStep, NodeState, ReopenReason, Severity};

use crate::book::Book;
use crate::plan::{Dice, Kind};

/// Gives a plan objectives and a group that depend on the names of its stages only, so that an edit keeps them.
pub(crate) fn pledge(seed: u64, kind: Kind, parts: &mut Parts) {
    let mut dice = Dice(seed ^ 0x510);
    let fails = kind == Kind::Wild;
    let mut slo = |dice: &mut Dice, subject, name: &str, nodes: Vec<NodeIx>| {
        let on_breach = if fails && dice.chance(40) { OnBreach::Fail } else { OnBreach::Warn };
        let limit = Span::from_ms(1 + dice.below(600));
        parts.objectives.push(Objective { subject, name: name.into(), limit, on_breach, nodes });
    };
    if dice.chance(50) {
        slo(&mut dice, Subject::Run, "", Vec::new());
    }
    let hash = |id: &str| id.bytes().fold(seed ^ 0x9109, |sum, byte| Dice(sum ^ u64::from(byte)).next());
    let mut members = Vec::new();
    for (ix, node) in (0..).map(NodeIx::new).zip(&mut parts.nodes) {
        let own = hash(&node.id);
        if own % 100 < 30 {
            slo(&mut Dice(own), Subject::Stage, &node.id, vec![ix]);
        }
        node.rules.group = None;
        if own % 1000 < 400 {
            node.rules.group = Some(0);
            members.push(ix);
        }
    }
    if !members.is_empty() {
        slo(&mut dice, Subject::Group, "some", members);
    }
    let readiness = if fails && dice.chance(30) { Readiness::Optional } else { Readiness::Required };
    parts.groups = vec![Group { name: "some".into(), parent: None, readiness }];
}

/// One objective, recounted.
#[derive(Clone, Default)]
struct Clock {
    since: Option<Millis>,
    was_told: bool,
    is_breached: bool,
    is_excused: bool,
}

/// The recount.
#[derive(Clone, Default)]
pub(crate) struct Late {
    clocks: Vec<Clock>,
    /// What must be raised next, in order.
    owed: Vec<Case>,
    run_over: bool,
}

fn is_of_one(objective: &Objective) -> bool {
    objective.subject == Subject::Stage
}

impl Late {
    pub(crate) fn new(graph: &Graph) -> Self {
        Self { clocks: vec![Clock::default(); graph.objectives.len()], ..Self::default() }
    }

    fn is_open(&self, book: &Book, objective: &Objective) -> bool {
        match objective.subject {
            Subject::Run => !self.run_over,
            _ => {
                objective.nodes.iter().any(|node| !book.state(*node).is_final() && !book.restarting.contains(node))
            }
        }
    }

    /// Whether a stage that is done fails because it was late.
    pub(crate) fn fails(&self, book: &Book, node: NodeIx) -> bool {
        let own = self.clocks.iter().zip(&book.graph.objectives);
        own.filter(|(_, it)| is_of_one(it) && it.nodes.contains(&node))
            .any(|(clock, it)| clock.is_breached && !clock.is_excused && it.on_breach == OnBreach::Fail)
    }

    /// Whether the run fails because it or a group was late.
    pub(crate) fn fails_run(&self, book: &Book) -> bool {
        let all = self.clocks.iter().zip(&book.graph.objectives);
        all.filter(|(_, it)| !is_of_one(it))
            .any(|(clock, it)| clock.is_breached && !clock.is_excused && it.on_breach == OnBreach::Fail)
    }

    /// The laws, before the event is heard.
    pub(crate) fn check(&self, book: &Book, at: Millis, event: &Event) {
        let due = |ix: u32| {
            let (clock, it) = (&self.clocks[ix as usize], &book.graph.objectives[ix as usize]);
            assert!(self.is_open(book, it), "an objective that is over: {it:?}");
            clock.since.expect("a clock that runs") + it.limit
        };
        match event {
            Event::ObjectiveBreached { objective } => {
                assert!(at >= due(*objective), "called late too early");
                assert!(!self.clocks[*objective as usize].is_breached, "one record for each breach");
            }
            Event::ObjectiveRisked { objective, .. } => {
                let clock = &self.clocks[*objective as usize];
                assert!(at < due(*objective) && !clock.is_breached, "a risk is told before the breach");
                assert!(!clock.was_told, "a risk is told once");
            }
            // How many items failed is counted elsewhere.
            Event::TicketRaised { case } if case.kind == CaseKind::Items => {
                let allows = |node: NodeIx| {
                    let split = book.graph.nodes[node].rules.split.as_ref();
                    split.is_some_and(|split| split.allow_failed.is_some())
                };
                assert!(case.node.is_none_or(allows), "{:?} must not fail", case.node);
            }
            Event::TicketRaised { case } => {
                assert_eq!(self.owed.first(), Some(&**case), "a ticket for nothing, or out of order");
            }
            Event::NodeFinished { node, .. } | Event::NodeSkipped { node, .. } => {
                let all = self.clocks.iter().zip(&book.graph.objectives);
                for (clock, it) in all.filter(|(_, it)| it.nodes.contains(node)) {
                    let is_told = clock.is_breached || !self.is_open(book, it);
                    assert!(
                        is_told || clock.since.is_none_or(|since| at < since + it.limit),
                        "a breach is missing"
                    );
                }
            }
            Event::RunFinished { .. } | Event::ForegroundEnded { .. } => {
                assert!(self.owed.is_empty(), "the run ends without {:?}", self.owed);
            }
            _ => {}
        }
    }

    /// The run is judged anew: its clock goes on.
    pub(crate) fn go_on(&mut self) {
        self.run_over = false;
    }

    /// Takes an event in, before the book does.
    pub(crate) fn hear(&mut self, book: &Book, at: Millis, event: &Event) {
        match event {
            Event::RunBegan(_) => self.begin(book, at, None),
            Event::ShardsStarted { node, .. } | Event::GateOpened { node, .. } => {
                self.begin(book, at, Some(*node));
            }
            Event::ShardRetried { attempt } => self.begin(book, at, Some(attempt.node)),
            Event::ObjectiveRisked { objective, .. } => self.clocks[*objective as usize].was_told = true,
            Event::ObjectiveBreached { objective } => {
                self.clocks[*objective as usize].is_breached = true;
                let it = &book.graph.objectives[*objective as usize];
                let severity = if it.on_breach == OnBreach::Fail { Severity::Major } else { Severity::Minor };
                let words = format!("{} took longer than its `slo` of {}", it.title(), it.limit);
                let node = it.nodes.first().copied().filter(|_| is_of_one(it));
                self.owed.push(Case { kind: CaseKind::Late, severity, node, words });
            }
            Event::GlassBroken { by, reason } => {
                let words = format!("{by} overrode the policy of the environment: {reason}");
                let (kind, severity) = (CaseKind::Override, Severity::Critical);
                self.owed.push(Case { kind, severity, node: None, words });
            }
            Event::TicketRaised { case } if case.kind == CaseKind::Items => {}
            Event::TicketRaised { .. } => drop(self.owed.remove(0)),
            Event::ShardFinished { attempt, outcome, .. }
                if book.holds_by(attempt.node, outcome) == Some(true) =>
            {
                let (kind, severity, node) = (CaseKind::Halted, Severity::Critical, Some(attempt.node));
                self.owed.push(Case { kind, severity, node, words: "guardian.halt: no verdict".to_owned() });
            }
            Event::Healing { node, step: HealStep::Halted { .. } } => self.owed.push(book.halt(*node)),
            Event::NodeFinished { node, state, .. } => self.owe(book, *node, *state),
            Event::NodeReopened { node, why } => self.reopen(book, *node, *why),
            Event::ShardsReopened { node } | Event::BackgroundRequeued { node, .. } => {
                self.reopen(book, *node, ReopenReason::Ordered);
            }
            Event::RunFinished { .. } | Event::ForegroundEnded { .. } => self.run_over = true,
            Event::RunResumed(resumed) if book.goes_on(resumed) => {}
            Event::RunResumed(resumed) => {
                let is_decided = book.is_over || book.backs.decided.is_some();
                // Whoever goes on with a rollback in the middle has not seen it fail.
                if is_decided || book.cancel.is_some() && !book.goes_on_undoing() && !resumed.closes {
                    self.clocks.iter_mut().filter(|it| it.is_breached).for_each(|it| it.is_excused = true);
                }
                self.run_over = false;
            }
            Event::PlanChanged { version } => self.change(&book.graph, &book.versions[*version as usize - 1]),
            _ => {}
        }
    }

    fn begin(&mut self, book: &Book, at: Millis, node: Option<NodeIx>) {
        for (clock, it) in self.clocks.iter_mut().zip(&book.graph.objectives) {
            if node.map_or(it.subject == Subject::Run, |node| it.nodes.contains(&node)) {
                clock.since.get_or_insert(at);
            }
        }
    }

    fn owe(&mut self, book: &Book, node: NodeIx, state: NodeState) {
        let it = &book.graph.nodes[node];
        let is_failure = matches!(state, NodeState::Failed | NodeState::TimedOut);
        let stays = book.graph.scopes[it.scope].policy == Policy::Continue;
        if is_failure && it.phase == Phase::Main && stays {
            let severity = if book.graph.is_optional(node) { Severity::Major } else { Severity::Critical };
            let (kind, words) = (CaseKind::Contained, String::new());
            self.owed.push(Case { kind, severity, node: Some(node), words });
        }
        if is_failure && it.phase == Phase::Background {
            let (kind, severity, words) = (CaseKind::Dead, Severity::Major, String::new());
            self.owed.push(Case { kind, severity, node: Some(node), words });
        }
        if let Some(stage) = it.undoes.filter(|_| is_failure) {
            let (kind, severity, id) = (CaseKind::Halted, Severity::Critical, &book.graph.nodes[stage].id);
            let stops = format!("a rollback stopped at `{id}`, which is forward-only");
            let is_barrier = it.rules.undo == engine::graph::model::Undo::Never;
            let words = if is_barrier { stops } else { format!("`{id}` could not be undone") };
            self.owed.push(Case { kind, severity, node: Some(stage), words });
        }
    }

    fn reopen(&mut self, book: &Book, node: NodeIx, why: ReopenReason) {
        if matches!(why, ReopenReason::Restart | ReopenReason::Resume) {
            return;
        }
        let over: Vec<usize> = (0..self.clocks.len())
            .filter(|&ix| book.graph.objectives[ix].nodes.contains(&node))
            .filter(|&ix| !self.is_open(book, &book.graph.objectives[ix]))
            .collect();
        for ix in over {
            self.clocks[ix] = Clock::default();
        }
    }

    fn change(&mut self, old: &Arc<Graph>, new: &Arc<Graph>) {
        let name = |it: &Objective| (it.subject, it.name.clone());
        for case in &mut self.owed {
            case.node = case.node.and_then(|node| new.find(&old.nodes[node].id));
        }
        let was = std::mem::take(&mut self.clocks);
        let find = |it: &Objective| old.objectives.iter().position(|before| name(before) == name(it));
        self.clocks =
            new.objectives.iter().map(|it| find(it).map_or_else(Clock::default, |at| was[at].clone())).collect();
        let names: BTreeSet<_> = new.objectives.iter().map(name).collect();
        assert_eq!(names.len(), new.objectives.len(), "objectives have names of their own");
    }
}
