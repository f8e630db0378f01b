//! A run on a virtual clock, decided by the very code that decides a real one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::core::Core;
use super::event::{Answer, Attempt, Began, Event, Outcome, ShardResult};
use super::input::Input;
use crate::base::{Digest, IdVec, Millis, NodeIx, RunId, Span};
use crate::graph::Graph;
use crate::graph::forecast::{Planned, Schedule};

/// When each stage starts and ends if every attempt succeeds after its expected time, approvals are given at
/// once, the cache has nothing, and conditions that can't be known yet are true.
pub fn rehearse(graph: &Arc<Graph>) -> Schedule {
    let mut play = Play::new(graph);
    let began = Began {
        run: RunId::parse("rehearsal").expect("the word is an id"),
        plan: graph.name.clone(),
        path: String::new(),
        wall_ms: 0,
        jobs: graph.settings.max_parallel,
        seed: 0,
        graph: Digest::ZERO,
        files: Vec::new(),
        key: None,
        by: String::new(),
        engine: String::new(),
    };
    let mut inputs = vec![Input::Begin(Box::new(began))];
    let mut at = Millis::ZERO;
    while !inputs.is_empty() {
        let batch = play.core.step(at, inputs);
        inputs = batch.events.iter().filter_map(|(_, event)| play.hear(at, event)).collect();
        if inputs.is_empty()
            && let Some(next) = play.next()
        {
            at = next;
            inputs = play.ends_at(at);
        }
    }
    play.schedule()
}

struct Play {
    graph: Arc<Graph>,
    core: Core,
    /// Attempts by the moment of their end.
    ends: BinaryHeap<Reverse<(Millis, Attempt)>>,
    times: IdVec<NodeIx, Option<(Millis, Millis)>>,
    order: Vec<NodeIx>,
}

impl Play {
    fn new(graph: &Arc<Graph>) -> Self {
        Self {
            graph: Arc::clone(graph),
            core: Core::rehearsal(Arc::clone(graph)),
            ends: BinaryHeap::new(),
            times: IdVec::filled(None, graph.nodes.len()),
            order: Vec::new(),
        }
    }

    /// Plays the outside: starts take their time, questions are answered at once.
    fn hear(&mut self, at: Millis, event: &Event) -> Option<Input> {
        match event {
            Event::ShardsStarted { node, first, count } => {
                self.begin(*node, at);
                let end = at + self.graph.nodes[*node].rules.expected;
                let attempt = |shard| Attempt { node: *node, shard, number: 1 };
                self.ends.extend((*first..first + count).map(|shard| Reverse((end, attempt(shard)))));
                None
            }
            Event::GateOpened { node, .. } => {
                self.begin(*node, at);
                Some(Input::Decide { node: *node, approved: true, by: String::new(), note: String::new() })
            }
            Event::CheckStarted { node, shard, kind } => {
                Some(Input::Checked { node: *node, shard: *shard, kind: *kind, answer: Answer::No })
            }
            Event::NodeFinished { node, .. } => {
                // A stage without items ends without a start.
                self.begin(*node, at);
                if let Some((_, end)) = &mut self.times[*node] {
                    *end = at;
                }
                None
            }
            _ => None,
        }
    }

    fn begin(&mut self, node: NodeIx, at: Millis) {
        if self.times[node].is_none() {
            self.times[node] = Some((at, at));
            self.order.push(node);
        }
    }

    fn next(&self) -> Option<Millis> {
        self.ends.peek().map(|Reverse((at, _))| *at)
    }

    /// Everything that ends at `at`.
    fn ends_at(&mut self, at: Millis) -> Vec<Input> {
        let mut inputs = Vec::new();
        while let Some(&Reverse((end, attempt))) = self.ends.peek()
            && end <= at
        {
            self.ends.pop();
            let took = self.graph.nodes[attempt.node].rules.expected;
            let result = Box::<ShardResult>::default();
            inputs.push(Input::Done { attempt, outcome: Outcome::Success, took, result });
        }
        inputs
    }

    fn schedule(self) -> Schedule {
        let span = |at: Millis| Span::from_ms(at.raw());
        let plan = |node: NodeIx| {
            let (at, end) = self.times[node].expect("every stage of the order has begun");
            Planned { node, at: span(at), end: span(end) }
        };
        Schedule { starts: self.order.iter().map(|&node| plan(node)).collect() }
    }
}
