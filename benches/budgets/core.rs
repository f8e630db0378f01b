//! The core without processes: folding recorded events.

use std::sync::Arc;

use engine::base::{Millis, Span};
use engine::graph::model::{Accept, Items, Need, Node, Work};
use engine::graph::{Graph, Parts};
use engine::run::event::{Began, Outcome, ShardResult};
use engine::run::input::commands;
use engine::run::{Command, Core, Event, Input};

use crate::board::{Board, Budget};
use crate::machine::{median, seconds};
use crate::shape::Shape;

const SHARDS: u32 = 1_000_000;
const IN_FLIGHT: u32 = 256;

/// How fast recorded events become state.
pub(crate) fn measure(board: &mut Board) {
    fold_of(board, "a million shards", &sharded(SHARDS, IN_FLIGHT));
    fold_of(board, "100,000 stages", &layered());
}

fn fold_of(board: &mut Board, what: &str, graph: &Arc<Graph>) {
    let events = play(graph);
    #[expect(clippy::cast_precision_loss, reason = "a few million")]
    let count = events.len() as f64;
    assert!(count >= 100_000.0, "every stage or shard leaves its events: {count}");
    let rates = (0..board.rounds).map(|_| {
        let mut core = Core::new(vec![Arc::clone(graph)]);
        let took = seconds(|| events.iter().for_each(|(at, event)| core.replay(*at, event)));
        assert!(core.state().verdict().is_some(), "the run is over");
        count / took
    });
    board.judge(format!("fold of {what}"), (median(rates.collect()), "events/s"), Budget::Least(2_000_000.0));
}

/// One stage of so many items, one each, and so many of them at once.
pub(crate) fn sharded(count: u32, jobs: u32) -> Arc<Graph> {
    let mut node = Node::plain("pack");
    if let Work::Process(process) = &mut node.work {
        process.items = Items::Range { count: u64::from(count), size: 1 };
    }
    node.rules.shards = count;
    assemble(vec![node], jobs)
}

/// A hundred thousand stages in layers.
fn layered() -> Arc<Graph> {
    let shape = Shape::layered(100_000, 100);
    let node = |(stage, needs): (usize, &[usize])| {
        let mut node = Node::plain(&format!("s{stage}"));
        let need = |&need: &usize| Need { node: index(need), accept: Accept::DEFAULT };
        node.needs = needs.iter().map(need).collect();
        node
    };
    assemble(shape.needs().enumerate().map(node).collect(), IN_FLIGHT)
}

fn index(stage: usize) -> engine::base::NodeIx {
    engine::base::NodeIx::new(u32::try_from(stage).expect("few stages"))
}

fn assemble(nodes: Vec<Node>, jobs: u32) -> Arc<Graph> {
    let mut parts = Parts::of("bench", nodes);
    parts.settings.max_parallel = jobs;
    Arc::new(Graph::assemble(parts).expect("there is no cycle"))
}

/// The beginning of a run of so many at once.
pub(crate) fn begin(jobs: u32) -> Input {
    Input::Begin(Box::new(Began::unrecorded("bench", jobs)))
}

/// Every start is answered by a success.
pub(crate) fn answer(event: &Event, inputs: &mut Vec<Input>) {
    commands(event, |command| {
        if let Command::Start(attempt) = command {
            let result = Box::<ShardResult>::default();
            inputs.push(Input::Done { attempt, outcome: Outcome::Success, took: Span::from_ms(1), result });
        }
    });
}

/// All events of a run.
fn play(graph: &Arc<Graph>) -> Vec<(Millis, Event)> {
    let mut core = Core::new(vec![Arc::clone(graph)]);
    let mut inputs = vec![begin(graph.settings.max_parallel)];
    let mut log = Vec::new();
    let mut at = 0;
    while !inputs.is_empty() {
        at += 1;
        let batch = core.step(Millis::new(at), std::mem::take(&mut inputs));
        batch.events.iter().for_each(|(_, event)| answer(event, &mut inputs));
        log.extend(batch.events);
    }
    log
}
