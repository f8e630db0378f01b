//! Approvals by several people, and times in which nothing starts: laid over the plans of hostile worlds.

use std::collections::{BTreeMap, BTreeSet};

use engine::base::{Millis, NodeIx};
use engine::graph::Graph;
use engine::graph::model::{Frozen, Phase, Terms};
use engine::run::{Command, Event, Input, RunState, input};

use crate::plan::Dice;

/// Who works on every simulated run.
pub(crate) const OPERATOR: &str = "sim";

/// Some approvals want two people, or somebody else than the operator; some plans have a freeze.
pub(crate) fn strew(seed: u64, graph: &mut Graph) {
    let mut dice = Dice(seed ^ 0xc045);
    for node in &mut graph.nodes {
        let terms =
            |dice: &mut Dice| Terms { min: 1 + dice.small(3), not_operator: dice.chance(30), not_author: false };
        let is_plain = node.selected && node.conditions.is_empty();
        let (own, policy) = (terms(&mut dice), terms(&mut dice));
        if node.rules.is_approval && dice.chance(60) {
            let consent = node.rules.consent.get_or_insert_default();
            consent.own = own;
            consent.policy = Some(policy).filter(|_| is_plain && dice.chance(40));
        }
    }
    if dice.chance(20) {
        let from_ms = i64::try_from(dice.below(600)).expect("small");
        let to_ms = from_ms + 1 + i64::try_from(dice.below(800)).expect("small");
        graph.settings.freezes.push(Frozen { from_ms, to_ms, words: "frozen".to_owned() });
    }
}

/// What people say when they are asked: the same of everybody, and some of them may not, or say it twice.
pub(crate) fn answers(node: NodeIx, approved: bool) -> impl Iterator<Item = Input> {
    let people = [OPERATOR, "p1", "p1@elsewhere", "p2", "p3"];
    people.into_iter().map(move |by| Input::Decide { node, approved, by: by.to_owned(), note: String::new() })
}

/// A recount from the events alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Consents {
    votes: BTreeMap<NodeIx, BTreeSet<String>>,
    is_overridden: bool,
    is_undoing: bool,
}

impl Consents {
    /// What must be so before `event` may be a fact at `at`.
    pub(crate) fn check(&mut self, state: &RunState, at: Millis, event: &Event) {
        let graph = state.graph();
        match event {
            Event::GateOpened { node, .. } => drop(self.votes.remove(node)),
            Event::PlanChanged { .. } => self.votes.clear(),
            Event::RollbackBegan { .. } => self.is_undoing = true,
            Event::RunResumed(_) => self.is_undoing &= state.verdict().is_none(),
            Event::GlassBroken { .. } => {
                assert!(!self.is_overridden, "the glass breaks twice");
                self.is_overridden = true;
            }
            Event::VoteCast { node, vote } => {
                let own = vote.by.split('@').next().unwrap_or_default().to_owned();
                let terms = self.terms(graph, *node);
                assert!(!(terms.not_operator && own == OPERATOR), "the operator agrees to {node:?}");
                assert!(self.votes.entry(*node).or_default().insert(own), "{vote:?} counts twice");
            }
            Event::GateDecided { node, approved: true, by, .. } if graph.nodes[*node].rules.is_approval => {
                let terms = self.terms(graph, *node);
                let votes = self.votes.get(node).map_or(1, BTreeSet::len);
                assert!(votes >= terms.min as usize, "{node:?} passes with {votes} of {terms:?}");
                assert!(!(terms.not_operator && by == OPERATOR), "the operator alone decides {node:?}");
            }
            _ => {}
        }
        input::commands(event, |command| {
            if let Command::Start(attempt) = command {
                self.may_start(graph, at, attempt.node);
            }
        });
    }

    fn terms(&self, graph: &Graph, node: NodeIx) -> Terms {
        let consent = graph.nodes[node].rules.consent();
        if self.is_overridden { consent.own } else { consent.terms() }
    }

    fn may_start(&self, graph: &Graph, at: Millis, node: NodeIx) {
        let now = i64::try_from(at.raw()).expect("a short run");
        let is_frozen = graph.settings.freezes.iter().any(|it| (it.from_ms..it.to_ms).contains(&now));
        let is_free = self.is_overridden || self.is_undoing || graph.nodes[node].phase != Phase::Main;
        assert!(!is_frozen || is_free, "{node:?} starts in a freeze");
    }
}
