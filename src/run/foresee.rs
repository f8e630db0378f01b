//! What a resume will do with every stage, found out by the code that resumes: the recorded run is recovered in
//! memory and played on to the point where nothing is left but to wait for a person.
//!
//! Whatever starts is taken to succeed at once, `done-if` to say no, and the cache to have nothing; no person says
//! a word, but a freeze counts as over, as a pause does. Time passes only where a recorded re-try or the `cool-down` of what healed a stage waits for its moment, so
//! a clock is foreseen to run out only if it had run out before, or does so during such a wait. What a stage will
//! leave is not known: a condition that reads it counts as true, and its stage and all that hangs on that are marked as
//! conditional. A failure that is foreseen may come earlier, later or not at all, and so what it stops or undoes is too.

use std::sync::Arc;

use super::core::Core;
use super::event::{Answer, Attempt, CheckKind, Event, NodeState, Outcome, ReopenReason, ShardResult, SkipReason};
use super::input::Input;
use super::thought::Doubt;
use crate::base::{IdVec, Millis, NodeIx, Span};
use crate::graph::model::Phase;

/// What comes of a stage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It has ended and stays as it is, or all of it is done already.
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
    /// It ends badly without another start: its time is over, or the run is; the words say why, if that is not plain.
    Ends(String),
}

/// What only the run can tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HangsOn {
    /// Its condition.
    Condition,
    /// A condition of something that it waits for.
    Need,
    /// Whether it comes to its turn before a failure that is foreseen drains the run.
    Drain,
    /// Whether all of what starts of it does so before a failure that is foreseen drains the run.
    Rest,
    /// Whether the failure comes because of which it is foreseen to be undone.
    Undo,
}

/// A stage's part in a resume.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prospect {
    /// What comes of it.
    pub fate: Fate,
    /// What only the run can tell and that hangs on: then something else may come of it.
    pub hangs_on: Option<HangsOn>,
    /// Why it is pending again although it had ended.
    pub again: Option<ReopenReason>,
    /// An attempt of it was cut off.
    pub was_lost: bool,
    /// The cache is asked before it starts.
    pub asks_cache: bool,
    /// An attempt of it starts, be it after a question.
    pub starts: bool,
    /// Its state once the resume has done what it can.
    pub state: NodeState,
    /// Whether it counts: it is a stage, or was woken by a rollback.
    pub is_awake: bool,
}

/// What comes of every stage when `core`, a recorded run, is resumed at `at` by `recover`.
pub fn foresee(mut core: Core, at: Millis, recover: Vec<Input>) -> IdVec<NodeIx, Prospect> {
    let old = Arc::clone(core.state().graph());
    core.think_on();
    let mut batch = core.step(at, recover);
    let mut sight =
        Sight { stages: IdVec::filled(Seen::default(), core.state().graph().nodes.len()), drains: false };
    // Facts before a change of the plan are about the stages of the old one.
    let is_change = |(_, event): &(Millis, Event)| matches!(event, Event::PlanChanged { .. });
    if let Some(change) = batch.events.iter().position(is_change) {
        let lost = batch.events.drain(..change).filter_map(|(_, event)| match event {
            Event::ShardLost { attempt } => core.state().graph().find(&old.nodes[attempt.node].id),
            _ => None,
        });
        lost.for_each(|node| sight.stages[node].was_lost = true);
    }
    let mut at = core.state().now();
    let mut is_first = true;
    loop {
        let mut inputs = Vec::new();
        for (_, event) in &batch.events {
            sight.hear(event, &mut inputs);
        }
        if std::mem::take(&mut is_first) {
            sight.settle(&core);
        }
        if inputs.is_empty() {
            let Some(due) = core.next_deadline().filter(|_| !core.state().needs_person()) else { break };
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

/// What has been seen of a stage.
#[derive(Clone, Debug, Default)]
struct Seen {
    again: Option<ReopenReason>,
    was_lost: bool,
    asks_cache: bool,
    /// `done-if` was asked before anything started.
    is_checked: bool,
    starts: bool,
    skipped: Option<SkipReason>,
    /// It ended just now, with these words.
    ended: Option<String>,
    /// What was certain before anything had the time to end.
    settled: Settled,
}

/// How far a stage is when all that takes no time has happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Settled {
    /// Nothing of it has started.
    #[default]
    Open,
    /// Some of it has started, and the rest may be left out.
    Begun,
    /// All of it has started, or it has ended.
    Whole,
    /// It was undone.
    Undone,
}

struct Sight {
    stages: IdVec<NodeIx, Seen>,
    /// A failure drained the run after something had ended.
    drains: bool,
}

impl Sight {
    /// Takes an event in, and plays the outside.
    fn hear(&mut self, event: &Event, out: &mut Vec<Input>) {
        match event {
            Event::ShardLost { attempt } => self.stages[attempt.node].was_lost = true,
            Event::NodeReopened { node, why } => self.stages[*node].again = Some(*why),
            Event::ShardsReopened { node } => self.stages[*node].again = Some(ReopenReason::Ordered),
            Event::ShardsStarted { node, first, count } => {
                self.stages[*node].starts = true;
                out.extend((*first..first + count).map(|shard| done(Attempt { node: *node, shard, number: 1 })));
            }
            Event::ShardRetried { attempt } => {
                self.stages[attempt.node].starts = true;
                out.push(done(*attempt));
            }
            Event::CheckStarted { node, shard, kind } => {
                let seen = &mut self.stages[*node];
                match kind {
                    CheckKind::Cache => seen.asks_cache = true,
                    CheckKind::DoneIf => seen.is_checked |= !seen.starts,
                }
                out.push(Input::Checked { node: *node, shard: *shard, kind: *kind, answer: Answer::No });
            }
            Event::CrewDismissed { node, .. } => out.push(Input::CrewGone { node: *node }),
            Event::NodeSkipped { node, why } => self.stages[*node].skipped = Some(why.clone()),
            Event::CancelRaised { .. } => self.drains = true,
            Event::NodeFinished { node, reason, .. } => self.stages[*node].ended = Some(reason.clone()),
            _ => {}
        }
    }

    /// All that has happened so far took no time.
    fn settle(&mut self, core: &Core) {
        self.drains = false;
        // Into how many shards a stage with a target is cut is a guess, and so is what finds a slot beside them.
        let is_cut =
            |node| core.state().graph().nodes[node].rules.split.as_ref().is_some_and(|it| it.target.is_some());
        let is_guess = self.stages.pairs().any(|(node, seen)| seen.starts && is_cut(node));
        for node in self.stages.indexes() {
            let (seen, state) = (&mut self.stages[node], core.state().state(node));
            let it = core.state().progress(node);
            seen.settled = match state {
                NodeState::Undone => Settled::Undone,
                _ if is_guess && !state.is_final() => Settled::Open,
                _ if state.is_final() || (seen.starts && it.success + it.failed + it.running == it.total) => {
                    Settled::Whole
                }
                _ if seen.starts => Settled::Begun,
                _ => Settled::Open,
            };
        }
    }

    /// What hangs on a failure that is foreseen, after something had the time to end.
    fn drained(&self, node: NodeIx, state: NodeState) -> Option<HangsOn> {
        match self.stages[node].settled {
            _ if !self.drains => None,
            Settled::Open => Some(HangsOn::Drain),
            Settled::Begun => Some(HangsOn::Rest),
            Settled::Whole => (state == NodeState::Undone).then_some(HangsOn::Undo),
            Settled::Undone => None,
        }
    }

    fn conclude(self, core: &Core) -> IdVec<NodeIx, Prospect> {
        let (state, graph) = (core.state(), core.state().graph());
        // The clean-up waits for the rest, which may wait for a person.
        let in_main = graph.nodes.pairs().filter(|(_, node)| node.phase == Phase::Main).map(|it| it.0);
        let may_wait = in_main.into_iter().any(|node| state.doubt(node) == Some(Doubt::Waits));
        let mut prospects = IdVec::filled(None, graph.nodes.len());
        for &node in graph.order() {
            let seen = &self.stages[node];
            let is_last = graph.nodes[node].phase.is_last();
            prospects[node] = Some(Prospect {
                fate: self.fate_of(node, core, &prospects),
                hangs_on: self.drained(node, state.state(node)).or_else(|| match state.doubt(node) {
                    Some(_) if state.is_conditional(node) => Some(HangsOn::Condition),
                    Some(_) => Some(HangsOn::Need),
                    None => (is_last && may_wait).then_some(HangsOn::Need),
                }),
                again: seen.again,
                was_lost: seen.was_lost,
                asks_cache: seen.asks_cache,
                starts: seen.starts,
                state: state.state(node),
                is_awake: state.is_awake(node),
            });
        }
        let all = graph.nodes.indexes().map(|node| prospects[node].take());
        all.map(|it| it.expect("the order has every stage")).collect()
    }

    fn fate_of(&self, node: NodeIx, core: &Core, before: &IdVec<NodeIx, Option<Prospect>>) -> Fate {
        let (seen, state) = (&self.stages[node], core.state());
        if state.waits_for_person(node) {
            return Fate::Asked;
        }
        let ended = state.state(node);
        if !ended.is_final() {
            let mut needs = state.graph().nodes[node].needs.iter();
            let waits = needs.find_map(|need| match before[need.node].as_ref()?.fate {
                Fate::Asked => Some(need.node),
                Fate::Waits(on) => on,
                _ => None,
            });
            // A run that healing has halted starts nothing.
            let is_last = state.graph().nodes[node].phase.is_last();
            return Fate::Waits(waits.or_else(|| state.halted().filter(|_| !is_last)));
        }
        match (&seen.skipped, &seen.ended) {
            _ if seen.is_checked => Fate::Checked,
            _ if seen.starts => Fate::Starts,
            (Some(why), _) if matches!(ended, NodeState::Skipped | NodeState::Blocked) => {
                Fate::Skipped(why.clone())
            }
            (_, Some(why)) if !ended.is_success() => Fate::Ends(why.clone()),
            _ => Fate::Kept,
        }
    }
}

fn done(attempt: Attempt) -> Input {
    let result = Box::<ShardResult>::default();
    Input::Done { attempt, outcome: Outcome::Success, took: Span::ZERO, result }
}
