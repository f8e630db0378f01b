//! A run as it might be: decided by the very code that decides a real one, on a virtual clock, while the caller says how
//! long each attempt takes and how it ends.
//!
//! What held the run up is found by walking back from its end. Every moment of it belongs to one cause: to the stage
//! that worked while what came next needed it, or to the pool or the slots that what came next had to wait for.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::core::Core;
use super::event::{Answer, Attempt, Began, Event, NodeState, Outcome, RunEnd, ShardResult, Verdict};
use super::input::{Command, Input, commands};
use crate::base::{IdVec, Millis, NodeIx, PoolIx, Span};
use crate::graph::Graph;

/// What holds a run up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Cause {
    /// The stage's own time, its re-tries included.
    Stage(NodeIx),
    /// A pool without room.
    Pool(PoolIx),
    /// The run's own limit of attempts at once.
    Slots,
}

/// What came of an imagined run.
#[derive(Clone, Debug)]
pub struct Imagined {
    /// From its begin to its verdict.
    pub took: Span,
    /// How it ended.
    pub verdict: Verdict,
    /// What became of each stage.
    pub states: IdVec<NodeIx, NodeState>,
    /// Objectives that were missed, by their number in the graph.
    pub missed: Vec<u32>,
    /// What its time went to.
    pub causes: BTreeMap<Cause, Span>,
}

/// How long an attempt takes on these items of its stage, by their places, and how its process ends.
pub type Lives<'a> = dyn FnMut(Attempt, Range<u64>) -> (Span, Outcome) + 'a;

/// An attempt that ended.
#[derive(Clone, Copy, Debug)]
struct Past {
    node: NodeIx,
    shard: u32,
    number: u16,
    started: Millis,
    ended: Millis,
}

/// Imagines a run of `graph`. Approvals are given at once, the cache has nothing, and conditions that only a real run
/// can tell hold. `lives` tells how attempts end. `seed` decides jitter.
pub fn imagine(graph: &Arc<Graph>, seed: u64, lives: &mut Lives<'_>) -> Imagined {
    let mut world = World {
        core: Core::imagined(Arc::clone(graph)),
        mail: BTreeMap::new(),
        sent: 0,
        started: BTreeMap::new(),
        past: Vec::new(),
    };
    world.send(Millis::ZERO, Input::Begin(Box::new(began(graph, seed))));
    let mut at = Millis::ZERO;
    loop {
        let mail = world.mail.first_key_value().map(|(&(due, _), _)| due);
        let Some(next) = [mail, world.core.next_deadline()].into_iter().flatten().min() else { break };
        at = at.max(next);
        let mut inputs = Vec::new();
        while let Some(entry) = world.mail.first_entry().filter(|entry| entry.key().0 <= at) {
            inputs.push(entry.remove());
        }
        if inputs.is_empty() {
            inputs.push(Input::Tick);
        }
        let batch = world.core.step(at, inputs);
        if batch.events.is_empty() && world.mail.is_empty() {
            break;
        }
        for (_, event) in batch.events {
            world.hear(at, &event, lives);
        }
        if world.core.state().verdict().is_some() {
            break;
        }
    }
    world.conclude(graph)
}

struct World {
    core: Core,
    /// News on their way, by the moment of their arrival and then as sent.
    mail: BTreeMap<(Millis, u64), Input>,
    sent: u64,
    started: BTreeMap<(NodeIx, u32), Millis>,
    past: Vec<Past>,
}

impl World {
    fn send(&mut self, at: Millis, input: Input) {
        self.sent += 1;
        self.mail.insert((at, self.sent), input);
    }

    fn ends(&mut self, at: Millis, attempt: Attempt, outcome: Outcome, took: Span) {
        self.send(at, Input::Done { attempt, outcome, took, result: Box::<ShardResult>::default() });
    }

    fn hear(&mut self, at: Millis, event: &Event, lives: &mut Lives<'_>) {
        commands(event, |command| match command {
            Command::Start(attempt) => {
                self.started.insert((attempt.node, attempt.shard), at);
                let items = self.core.state().range((attempt.node, attempt.shard));
                let (took, outcome) = lives(attempt, items);
                self.ends(at + took, attempt, outcome, took);
            }
            Command::Stop(attempt, _) => self.ends(at, attempt, Outcome::Signal(15), Span::ZERO),
            Command::Check(node, shard, kind) => {
                self.send(at, Input::Checked { node, shard, kind, answer: Answer::No });
            }
            Command::Hire(..) => {}
            Command::Dismiss(node, _) => self.send(at, Input::CrewGone { node }),
        });
        match event {
            Event::ShardFinished { attempt, .. } => {
                let key = (attempt.node, attempt.shard);
                let started = self.started.remove(&key).unwrap_or(at);
                let Attempt { node, shard, number } = *attempt;
                self.past.push(Past { node, shard, number, started, ended: at });
            }
            Event::GateOpened { node, .. } => {
                let (by, note) = (String::new(), String::new());
                self.send(at, Input::Decide { node: *node, approved: true, by, note });
            }
            _ => {}
        }
    }

    fn conclude(self, graph: &Graph) -> Imagined {
        let state = self.core.state();
        let states = graph.nodes.indexes().map(|node| state.state(node)).collect();
        let stuck = Verdict {
            state: RunEnd::Failed,
            failed: Vec::new(),
            timed_out: false,
            cancelled_by: None,
            only_late: false,
        };
        // A run that only a person can go on with, an outcome that nobody knows for one, is no good run.
        let verdict = state.verdict().cloned().unwrap_or(stuck);
        // What follows the verdict is no time of the run.
        let end = state.foreground_ended().unwrap_or(state.now());
        let is_before = |it: &&Past| graph.nodes[it.node].phase != crate::graph::model::Phase::Background;
        let past: Vec<Past> = self.past.iter().filter(is_before).copied().collect();
        let causes = causes(graph, &past, end);
        let missed =
            (0..).take(graph.objectives.len()).filter(|&objective| state.is_breached(objective)).collect();
        Imagined { took: end.since(Millis::ZERO), verdict, states, missed, causes }
    }
}

/// Walks back from the end of the run.
fn causes(graph: &Graph, past: &[Past], end: Millis) -> BTreeMap<Cause, Span> {
    let traces = Traces::of(graph, past);
    let mut causes: BTreeMap<Cause, Span> = BTreeMap::new();
    // By end; what ended at one moment in the order of the record.
    let mut at = past.len().checked_sub(1);
    let mut until = end;
    let mut cause = None;
    while let Some(ix) = at {
        let it = past[ix];
        let from = it.started.min(until);
        let held = cause.unwrap_or(Cause::Stage(it.node));
        let sum = causes.entry(held).or_default();
        *sum = *sum + until.since(from);
        until = from;
        if from == Millis::ZERO {
            break;
        }
        (at, cause) = traces.before(ix);
    }
    causes
}

/// Attempts by what may have had to end before another could start. Each list is in the order of their ends, so that a
/// step back is a search in a few of them: there may be a million attempts, and as many steps.
struct Traces<'a> {
    graph: &'a Graph,
    past: &'a [Past],
    by_node: IdVec<NodeIx, Vec<usize>>,
    by_pool: IdVec<PoolIx, Vec<usize>>,
    /// Of shards with more than one attempt.
    tries: BTreeMap<(NodeIx, u32), Vec<usize>>,
}

impl<'a> Traces<'a> {
    fn of(graph: &'a Graph, past: &'a [Past]) -> Self {
        let mut by_node = IdVec::filled(Vec::new(), graph.nodes.len());
        let mut by_pool = IdVec::filled(Vec::new(), graph.pools.len());
        let again = past.iter().filter(|it| it.number > 1);
        let mut tries: BTreeMap<_, _> = again.map(|it| ((it.node, it.shard), Vec::new())).collect();
        for (ix, it) in past.iter().enumerate() {
            by_node[it.node].push(ix);
            graph.nodes[it.node].rules.pools.iter().for_each(|pool| by_pool[pool.0].push(ix));
            if let Some(tries) = tries.get_mut(&(it.node, it.shard)) {
                tries.push(ix);
            }
        }
        Self { graph, past, by_node, by_pool, tries }
    }

    /// The last of `some` before the attempt `ix` that had ended when that started.
    fn last(&self, some: &[usize], ix: usize) -> Option<usize> {
        let started = self.past[ix].started;
        some[..some.partition_point(|&at| at < ix && self.past[at].ended <= started)].last().copied()
    }

    /// What had to end before the attempt `ix` could start, and what it waited for meanwhile if that was no need.
    fn before(&self, ix: usize) -> (Option<usize>, Option<Cause>) {
        let it = self.past[ix];
        let node = &self.graph.nodes[it.node];
        // An attempt before it of the same shard: what lies between them is the re-try's delay.
        let tries = self.tries.get(&(it.node, it.shard));
        if let Some(at) = tries.and_then(|tries| self.last(tries, ix)) {
            return (Some(at), None);
        }
        let is_at_once = |at: &usize| self.past[*at].ended == it.started;
        let need = node.needs.iter().filter_map(|need| self.last(&self.by_node[need.node], ix)).max();
        if let Some(at) = need.filter(is_at_once) {
            return (Some(at), None);
        }
        let pools = node.rules.pools.iter().map(|pool| pool.0);
        let room = pools.filter_map(|pool| Some((self.last(&self.by_pool[pool], ix)?, Cause::Pool(pool))));
        // Of one attempt in several of the pools the first pool is meant.
        let room =
            room.filter(|(at, _)| is_at_once(at)).reduce(|one, other| if other.0 > one.0 { other } else { one });
        if let Some((at, pool)) = room {
            return (Some(at), Some(pool));
        }
        let any = self.past[..ix].partition_point(|other| other.ended <= it.started).checked_sub(1);
        if let Some(at) = any.filter(is_at_once) {
            let is_phase = need.is_none() && node.phase.is_last();
            return (Some(at), if is_phase { None } else { Some(Cause::Slots) });
        }
        (need.or(any), None)
    }
}

fn began(graph: &Graph, seed: u64) -> Began {
    Began { seed, ..Began::unrecorded(&graph.name, graph.settings.max_parallel) }
}

#[cfg(test)]
mod tests;
