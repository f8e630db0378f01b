//! A rehearsal is the run in which everything succeeds after its expected time.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::base::{Millis, NodeIx, Span};
use engine::graph::Graph;
use engine::graph::forecast::Planned;
use engine::run::event::{Answer, Began, ShardResult};
use engine::run::{Command, Core, Event, Input, Outcome, input};

/// News on their way, by the moment of their arrival and then as sent.
type Mail = BTreeMap<(Millis, u64), Input>;

pub(crate) fn begin(graph: &Graph) -> Input {
    Input::Begin(Box::new(Began::unrecorded("sim", graph.settings.max_parallel)))
}

fn reply(graph: &Graph, command: Command) -> Option<(Span, Input)> {
    match command {
        Command::Start(attempt) => {
            let took = graph.nodes[attempt.node].rules.expected;
            // The output by which conditions of a simulated plan go.
            let outputs = vec![("n".to_owned(), 1.into())];
            let result = Box::new(ShardResult { outputs, ..ShardResult::default() });
            Some((took, Input::Done { attempt, outcome: Outcome::Success, took, result }))
        }
        Command::Check(node, shard, kind) => {
            Some((Span::ZERO, Input::Checked { node, shard, kind, answer: Answer::No }))
        }
        Command::Stop(..) | Command::Hire(..) => None,
        Command::Dismiss(node, _) => Some((Span::ZERO, Input::CrewGone { node })),
    }
}

/// Starts and ends of an ordinary run in which every attempt takes its expected time.
pub(crate) fn perform(graph: &Arc<Graph>) -> Vec<Planned> {
    let mut core = Core::new(vec![Arc::clone(graph)]);
    let mut mail = Mail::from([((Millis::ZERO, 0), begin(graph))]);
    let (mut sent, mut order) = (0, Vec::new());
    let mut times: BTreeMap<NodeIx, (Millis, Millis)> = BTreeMap::new();
    let mut now = Millis::ZERO;
    loop {
        // A stage with a `rate` starts by the clock.
        let next = [mail.keys().next().map(|key| key.0), core.next_deadline()];
        let Some(at) = next.into_iter().flatten().min().map(|at| at.max(now)) else { break };
        now = at;
        let mut inputs = Vec::new();
        while let Some(entry) = mail.first_entry().filter(|entry| entry.key().0 == at) {
            inputs.push(entry.remove());
        }
        for (_, event) in core.step(at, inputs).events {
            let mut send = |after: Span, input| {
                sent += 1;
                mail.insert((at + after, sent), input);
            };
            input::commands(&event, |command| {
                if let Some((after, input)) = reply(graph, command) {
                    send(after, input);
                }
            });
            let node = match event {
                Event::ShardsStarted { node, .. } | Event::NodeFinished { node, .. } => node,
                Event::GateOpened { node, .. } => {
                    let (by, note) = (String::new(), String::new());
                    send(Span::ZERO, Input::Decide { node, approved: true, by, note });
                    node
                }
                _ => continue,
            };
            times.entry(node).or_insert_with(|| {
                order.push(node);
                (at, at)
            });
            if matches!(event, Event::NodeFinished { .. }) {
                times.entry(node).and_modify(|it| it.1 = at);
            }
        }
    }
    assert!(core.state().verdict().is_some(), "an all-success run ends");
    let span = |at: Millis| Span::from_ms(at.raw());
    order.iter().map(|&node| Planned { node, at: span(times[&node].0), end: span(times[&node].1) }).collect()
}
