//! The core without processes: folding recorded events, and a million shards that cost nothing.

use std::sync::Arc;
use std::sync::mpsc::channel;

use engine::base::{Digest, Millis, RunId, Span};
use engine::graph::model::{Accept, Items, Need, Node, Work};
use engine::graph::{Graph, Parts};
use engine::journal::{Holder, Notice, StateDir, Writer};
use engine::run::event::{Began, Outcome, ShardResult};
use engine::run::input::commands;
use engine::run::{Command, Core, Event, Input};

use crate::board::{Board, Budget};
use crate::machine::{median, room, seconds};
use crate::shape::Shape;

const SHARDS: u64 = 1_000_000;
const IN_FLIGHT: u32 = 256;

/// Fold, and the whole road of a million shards.
pub(crate) fn measure(board: &mut Board) {
    fold_of(board, "a million shards", &sharded());
    fold_of(board, "100,000 stages", &layered());
    let graph = sharded();
    let took = median((0..board.rounds).map(|_| seconds(|| run_with_journal(&graph))).collect());
    let note = format!("{IN_FLIGHT} in flight, core and journal, every result durable before its slot is free");
    board.tell("1,000,000 shards that do nothing", (took, "s"), &note);
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

/// One stage with a million items, one each.
fn sharded() -> Arc<Graph> {
    let mut node = Node::plain("pack");
    if let Work::Process(process) = &mut node.work {
        process.items = Items::Range { count: SHARDS, size: 1 };
    }
    node.rules.shards = u32::try_from(SHARDS).expect("a million");
    assemble(vec![node])
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
    assemble(shape.needs().enumerate().map(node).collect())
}

fn index(stage: usize) -> engine::base::NodeIx {
    engine::base::NodeIx::new(u32::try_from(stage).expect("few stages"))
}

fn assemble(nodes: Vec<Node>) -> Arc<Graph> {
    let mut parts = Parts::of("bench", nodes);
    parts.settings.max_parallel = IN_FLIGHT;
    Arc::new(Graph::assemble(parts).expect("there is no cycle"))
}

fn begin() -> Input {
    Input::Begin(Box::new(Began {
        run: RunId::parse("bench").expect("the word is an id"),
        plan: "bench".to_owned(),
        path: "bench.yaml".to_owned(),
        wall_ms: 0,
        jobs: IN_FLIGHT,
        seed: 7,
        graph: Digest::of(b"bench"),
        files: Vec::new(),
        key: None,
        by: String::new(),
        engine: String::new(),
        place: None,
        rollbacks: 0,
        back_to: None,
    }))
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
    let mut inputs = vec![begin()];
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

/// A run whose every event is on the disk before anything follows from it.
fn run_with_journal(graph: &Arc<Graph>) {
    let room = room("shards");
    let state = StateDir::open(room.join(".engine")).expect("a state folder");
    let holder = Holder { pid: std::process::id(), wall_ms: 0 };
    let id = RunId::parse("bench").expect("the word is an id");
    let (run, ownership) = state.create_run(&id, &[], &holder).expect("a run");
    let (tell, told) = channel();
    let writer =
        Writer::create(&run, &ownership, move |notice| tell.send(notice).unwrap_or(())).expect("a writer");
    let mut core = Core::new(vec![Arc::clone(graph)]);
    let mut inputs = vec![begin()];
    let mut at = 0;
    loop {
        at += 1;
        let batch = core.step(Millis::new(at), std::mem::take(&mut inputs));
        if !batch.events.is_empty() {
            writer.append(batch.events).expect("the disk works");
        }
        let Notice::Durable { records, .. } = told.recv().expect("the writer answers") else {
            panic!("the disk refused");
        };
        for (_, event) in &records {
            answer(event, &mut inputs);
        }
        if inputs.is_empty() && core.state().verdict().is_some() {
            return;
        }
    }
}
