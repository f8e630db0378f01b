//! A run on a virtual clock, decided by the very code that decides a real one.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::core::Core;
use super::event::{Answer, Attempt, Began, Event, Outcome, ShardResult, SkipReason};
use super::input::Input;
use crate::base::{IdVec, Millis, NodeIx, Span};
use crate::graph::Graph;
use crate::graph::forecast::{Planned, Schedule};

/// When each stage starts and ends if every attempt succeeds after its expected time, approvals are given at
/// once, the cache has nothing, and conditions that can't be known yet are true. What arrives at the same moment
/// is heard together, in the order in which it was sent: an attempt that started first ends first.
pub fn rehearse(graph: &Arc<Graph>) -> Schedule {
    let mut play = Play::new(graph);
    let began = Began::unrecorded(&graph.name, graph.settings.max_parallel);
    play.send(Millis::ZERO, Input::Begin(Box::new(began)));
    while let Some(at) = play.next() {
        let inputs = play.arrivals(at);
        for (_, event) in play.core.step(at, inputs).events {
            play.hear(at, &event);
        }
    }
    play.schedule()
}

struct Play {
    graph: Arc<Graph>,
    core: Core,
    /// News on their way, by the moment of their arrival and then as sent.
    mail: BTreeMap<(Millis, u64), Input>,
    sent: u64,
    times: IdVec<NodeIx, Option<(Millis, Millis)>>,
    order: Vec<NodeIx>,
    skipped: Vec<NodeIx>,
}

impl Play {
    fn new(graph: &Arc<Graph>) -> Self {
        Self {
            graph: Arc::clone(graph),
            core: Core::rehearsal(Arc::clone(graph)),
            mail: BTreeMap::new(),
            sent: 0,
            times: IdVec::filled(None, graph.nodes.len()),
            order: Vec::new(),
            skipped: Vec::new(),
        }
    }

    /// Plays the outside: starts take their time, questions are answered at once.
    fn hear(&mut self, at: Millis, event: &Event) {
        match event {
            Event::ShardsStarted { node, first, count } => {
                self.begin(*node, at);
                for shard in *first..first + count {
                    let items = self.core.state().range((*node, shard));
                    let took = self.graph.nodes[*node].expected(&items);
                    let attempt = Attempt { node: *node, shard, number: 1 };
                    let result = Box::<ShardResult>::default();
                    self.send(at + took, Input::Done { attempt, outcome: Outcome::Success, took, result });
                }
            }
            Event::CrewDismissed { node, .. } => self.send(at, Input::CrewGone { node: *node }),
            Event::GateOpened { node, .. } => {
                self.begin(*node, at);
                let (by, note) = (String::new(), String::new());
                self.send(at, Input::Decide { node: *node, approved: true, by, note });
            }
            Event::CheckStarted { node, shard, kind } => {
                let (node, shard, kind) = (*node, *shard, *kind);
                self.send(at, Input::Checked { node, shard, kind, answer: Answer::No });
            }
            Event::NodeSkipped { node, why: SkipReason::Condition } => self.skipped.push(*node),
            Event::NodeFinished { node, .. } => {
                // A stage without items ends without a start.
                self.begin(*node, at);
                if let Some((_, end)) = &mut self.times[*node] {
                    *end = at;
                }
            }
            _ => {}
        }
    }

    fn send(&mut self, at: Millis, input: Input) {
        self.sent += 1;
        self.mail.insert((at, self.sent), input);
    }

    fn begin(&mut self, node: NodeIx, at: Millis) {
        if self.times[node].is_none() {
            self.times[node] = Some((at, at));
            self.order.push(node);
        }
    }

    /// The next arrival, or the next start of a stage with a `rate`: no other clock runs.
    fn next(&self) -> Option<Millis> {
        let mail = self.mail.first_key_value().map(|(&(at, _), _)| at);
        [mail, self.core.next_deadline()].into_iter().flatten().min()
    }

    /// Everything that arrives at `at`.
    fn arrivals(&mut self, at: Millis) -> Vec<Input> {
        let mut inputs = Vec::new();
        while let Some(entry) = self.mail.first_entry().filter(|entry| entry.key().0 <= at) {
            inputs.push(entry.remove());
        }
        inputs
    }

    fn schedule(self) -> Schedule {
        let span = |at: Millis| Span::from_ms(at.raw());
        let plan = |node: NodeIx| {
            let (at, end) = self.times[node].expect("every stage of the order has begun");
            Planned { node, at: span(at), end: span(end) }
        };
        Schedule { starts: self.order.iter().map(|&node| plan(node)).collect(), skipped: self.skipped }
    }
}
