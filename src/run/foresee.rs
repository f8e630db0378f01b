//! What a resume will do with every stage, found out by the code that resumes: the recorded run is recovered in
//! memory and played on to the point where nothing is left but to wait for a person.
//!
//! Whatever starts is taken to succeed, `done-if` to say no, and the cache to have nothing. A condition that
//! depends on what is yet to run is not known: its stage, and what depends on that, is marked as conditional.

use std::sync::Arc;

use super::core::Core;
use super::event::{Answer, Attempt, CheckKind, Event, NodeState, Outcome, ReopenReason, ShardResult, SkipReason};
use super::input::Input;
use crate::base::{IdVec, Millis, NodeIx, Span};
use crate::graph::Graph;

/// What comes of a stage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It has ended and stays as it is.
    Kept,
    /// An attempt of it starts.
    Starts,
    /// An attempt of it was cut off: `done-if` is asked, and only if it was not done an attempt starts.
    Checked,
    /// It waits for a person: an approval, or an unknown outcome.
    Asked,
    /// It does not start before a person has decided about this stage; of the clean-up: before the rest is over.
    Waits(Option<NodeIx>),
    /// It does not start.
    Skipped(SkipReason),
}

/// A stage's part in a resume.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prospect {
    /// What comes of it.
    pub fate: Fate,
    /// Whether that hangs on a condition that only the run can tell: then it may be skipped instead.
    pub is_conditional: bool,
    /// Why it is pending again although it had ended.
    pub again: Option<ReopenReason>,
    /// An attempt of it was cut off.
    pub was_lost: bool,
    /// The cache is asked before it starts.
    pub asks_cache: bool,
    /// Its state once the resume has done what it can.
    pub state: NodeState,
}

/// What comes of every stage when `core`, a recorded run, is resumed at `at` by `recover`.
pub fn foresee(mut core: Core, at: Millis, recover: Vec<Input>) -> IdVec<NodeIx, Prospect> {
    let old = Arc::clone(core.state().graph());
    let mut batch = core.step(at, recover);
    core.rehearse_on();
    let mut sight = Sight::new(core.state().graph().nodes.len());
    // Facts before a change of the plan are about the stages of the old one.
    let is_change = |(_, event): &(Millis, Event)| matches!(event, Event::PlanChanged { .. });
    if let Some(change) = batch.events.iter().position(is_change) {
        let lost = batch.events.drain(..change).filter_map(|(_, event)| match event {
            Event::ShardLost { attempt } => core.state().graph().find(&old.nodes[attempt.node].id),
            _ => None,
        });
        lost.for_each(|node| sight.lost[node] = true);
    }
    let mut at = core.state().now();
    loop {
        let mut inputs = Vec::new();
        for (_, event) in &batch.events {
            sight.hear(event, &mut inputs);
        }
        if inputs.is_empty() {
            let Some(due) = core.next_retry() else { break };
            if batch.events.is_empty() && due <= at {
                break;
            }
            at = at.max(due);
            inputs.push(Input::Tick);
        }
        batch = core.step(at, inputs);
    }
    sight.conclude(&core)
}

/// What has been seen of each stage.
struct Sight {
    fates: IdVec<NodeIx, Option<Fate>>,
    again: IdVec<NodeIx, Option<ReopenReason>>,
    lost: IdVec<NodeIx, bool>,
    cache: IdVec<NodeIx, bool>,
    ran: IdVec<NodeIx, bool>,
}

impl Sight {
    fn new(len: usize) -> Self {
        Self {
            fates: IdVec::filled(None, len),
            again: IdVec::filled(None, len),
            lost: IdVec::filled(false, len),
            cache: IdVec::filled(false, len),
            ran: IdVec::filled(false, len),
        }
    }

    /// Takes an event in, and plays the outside.
    fn hear(&mut self, event: &Event, out: &mut Vec<Input>) {
        match event {
            Event::ShardLost { attempt } => self.lost[attempt.node] = true,
            Event::NodeReopened { node, why } => self.again[*node] = Some(*why),
            Event::ShardsStarted { node, first, count } => {
                self.starts(*node);
                out.extend((*first..first + count).map(|shard| done(Attempt { node: *node, shard, number: 1 })));
            }
            Event::ShardRetried { attempt } => {
                self.starts(attempt.node);
                out.push(done(*attempt));
            }
            Event::CheckStarted { node, shard, kind } => {
                match kind {
                    CheckKind::Cache => self.cache[*node] = true,
                    CheckKind::DoneIf => self.first(*node, Fate::Checked),
                }
                out.push(Input::Checked { node: *node, shard: *shard, kind: *kind, answer: Answer::No });
            }
            Event::GateOpened { node, .. } => self.first(*node, Fate::Asked),
            Event::NodeSkipped { node, why } => self.first(*node, Fate::Skipped(why.clone())),
            Event::NodeFinished { node, state, .. } if state.is_final() => self.first(*node, Fate::Kept),
            _ => {}
        }
    }

    fn starts(&mut self, node: NodeIx) {
        self.ran[node] = true;
        self.first(node, Fate::Starts);
    }

    /// What happens to a stage first is its fate.
    fn first(&mut self, node: NodeIx, fate: Fate) {
        self.fates[node].get_or_insert(fate);
    }

    fn conclude(mut self, core: &Core) -> IdVec<NodeIx, Prospect> {
        let state = core.state();
        let graph = state.graph().clone();
        for (node, _) in state.open_approvals() {
            self.fates[node] = Some(Fate::Asked);
        }
        for node in state.unknown() {
            self.fates[node] = Some(Fate::Asked);
        }
        let open = self.open_conditions(&graph);
        let mut prospects = IdVec::filled(None, graph.nodes.len());
        for &node in graph.order() {
            let fate = self.fate_of(node, core, &prospects);
            let by_condition = matches!(fate, Fate::Skipped(SkipReason::Condition)) && open[node];
            let by_blocked = matches!(&fate, Fate::Skipped(SkipReason::Blocked { by })
                if prospects[*by].as_ref().is_some_and(|it: &Prospect| it.is_conditional));
            // What must not be skipped is only there if the other one is.
            let by_need = graph.nodes[node].needs.iter().any(|need| {
                !need.accept.skipped && prospects[need.node].as_ref().is_some_and(|it| it.is_conditional)
            });
            let is_new = matches!(fate, Fate::Starts | Fate::Asked | Fate::Waits(_)) || by_condition || by_blocked;
            prospects[node] = Some(Prospect {
                is_conditional: is_new && (open[node] || by_need || by_blocked),
                fate: if by_condition || by_blocked { Fate::Starts } else { fate },
                again: self.again[node],
                was_lost: self.lost[node],
                asks_cache: self.cache[node],
                state: state.state(node),
            });
        }
        let all = graph.nodes.indexes().map(|node| prospects[node].take());
        all.map(|it| it.expect("the order has every stage")).collect()
    }

    fn fate_of(&self, node: NodeIx, core: &Core, before: &IdVec<NodeIx, Option<Prospect>>) -> Fate {
        if let Some(fate) = &self.fates[node] {
            return fate.clone();
        }
        if core.state().state(node).is_final() {
            return Fate::Kept;
        }
        let graph = core.state().graph();
        let waits = graph.nodes[node].needs.iter().find_map(|need| match before[need.node].as_ref()?.fate {
            Fate::Asked => Some(need.node),
            Fate::Waits(on) => on,
            _ => None,
        });
        Fate::Waits(waits)
    }

    /// Stages whose condition reads what is only known once stages above have run, or how the run ends.
    fn open_conditions(&self, graph: &Graph) -> IdVec<NodeIx, bool> {
        let mut below = IdVec::filled(false, graph.nodes.len());
        let mut open = IdVec::filled(false, graph.nodes.len());
        for &node in graph.order() {
            let it = &graph.nodes[node];
            let is_below = |need: NodeIx| below[need] || self.ran[need] || self.fates[need] == Some(Fate::Asked);
            below[node] = it.needs.iter().any(|need| is_below(need.node));
            let reads = |word: &str| it.conditions.iter().any(|condition| condition.text.contains(word));
            open[node] = (below[node] && reads("needs")) || reads("run.");
        }
        open
    }
}

fn done(attempt: Attempt) -> Input {
    let result = Box::<ShardResult>::default();
    Input::Done { attempt, outcome: Outcome::Success, took: Span::ZERO, result }
}
