//! Shards: a million that do nothing through the real core and journal, and processes beside the bare loop.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use engine::base::{Millis, RunId};
use engine::graph::Graph;
use engine::journal::{Counters, Holder, Notice, StateDir, Writer};
use engine::run::{Core, Event, Horizon};

use crate::bare;
use crate::board::{Board, Budget};
use crate::core::{answer, begin, sharded};
use crate::dag::write;
use crate::machine::{in_turns, median, peak_mib_of, room, seconds};
use crate::tool::run_engine;

const SHARDS: u32 = 1_000_000;
/// Shards at once. The executor answers at once, so this many results come together.
const IN_FLIGHT: u32 = 1024;
const PROCESSES: usize = 100_000;

/// A million shards that do nothing: time, waits for the disk, memory.
pub(crate) fn noop(board: &mut Board) {
    let graph = sharded(SHARDS, IN_FLIGHT);
    let (mut took, mut mib, mut syncs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..board.rounds {
        let mut counters = Counters::default();
        mib.push(peak_mib_of(|| took.push(seconds(|| counters = run(&graph)))));
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        syncs.push(counters.syncs as f64);
    }
    board.judge("1,000,000 shards that do nothing", (median(took), "s"), Budget::Most(1.0));
    board.judge("… waits for the disk", (median(syncs), ""), Budget::Most(1000.0));
    board.judge("… memory above the idle engine", (median(mib), "MiB"), Budget::Most(32.0));
}

/// How the cost of a shard and of reading a plan grows.
pub(crate) fn growth(board: &mut Board) {
    for count in [1_000, 10_000, 100_000, SHARDS] {
        let graph = sharded(count, IN_FLIGHT);
        let one = |_| {
            seconds(|| {
                run(&graph);
            })
        };
        let took = median((0..board.rounds).map(one).collect());
        board.tell(format!("{count} shards that do nothing, each"), (took * 1e6 / f64::from(count), "µs"), "");
    }
}

/// A run whose every result is on the disk before anything depends on it. Starts leave as in a live engine: those that
/// a crash may forget at once, the others when their record is durable.
fn run(graph: &Arc<Graph>) -> Counters {
    let room = room("shards");
    let state = StateDir::open(room.join(".engine")).expect("a state folder");
    let holder = Holder { pid: std::process::id(), wall_ms: 0 };
    let id = RunId::parse("bench").expect("the word is an id");
    let (run, ownership) = state.create_run(&id, &[], &holder).expect("a run");
    let (tell, told) = channel();
    let writer =
        Writer::create(&run, &ownership, move |notice| tell.send(notice).unwrap_or(())).expect("a writer");
    let mut core = Core::new(vec![Arc::clone(graph)]);
    let mut horizon = Horizon::new(0);
    let mut inputs = vec![begin(graph.settings.max_parallel)];
    let mut late: VecDeque<(u64, Event)> = VecDeque::new();
    let (mut at, mut sequence) = (0, 0);
    while core.state().verdict().is_none() || !inputs.is_empty() {
        at += 1;
        let batch = core.step(Millis::new(at), std::mem::take(&mut inputs)).events;
        for (_, event) in &batch {
            sequence += 1;
            if horizon.takes_off(event, core.state()) {
                answer(event, &mut inputs);
            } else if matches!(event, Event::ShardsStarted { .. }) {
                late.push_back((sequence, event.clone()));
            }
        }
        let is_awaited = horizon.asks(core.state());
        if is_awaited { writer.append(batch) } else { writer.store(batch) }.expect("the disk works");
        // Whoever has nothing to do waits for the disk.
        let mut durable = hear(&told, inputs.is_empty() && core.state().verdict().is_none());
        while let Some(now) = durable {
            horizon.advance(now);
            while let Some((_, event)) = late.pop_front_if(|(sequence, _)| *sequence <= now) {
                answer(&event, &mut inputs);
            }
            durable = hear(&told, false);
        }
    }
    writer.close()
}

/// What the disk says: the last record that is on it.
fn hear(told: &Receiver<Notice>, waits: bool) -> Option<u64> {
    let notice = if waits { told.recv().ok() } else { told.try_recv().ok() };
    match notice? {
        Notice::Durable { first, records } => Some(first + records.len() as u64 - 1),
        Notice::Failed(error) => panic!("the disk refused: {error}"),
    }
}

/// A hundred thousand processes, one a shard, beside as many from a bare loop.
pub(crate) fn processes(board: &mut Board) {
    let room = room("shards-100k");
    let plan = format!(
        r#"{{"version": 1, "name": "pack", "stages": {{
        "pack": {{"run": ["true"], "shards": {{"items": {{"range": {PROCESSES}}}, "size": 1, "max-parallel": 2}}}}}}}}"#
    );
    write(&room, "pack.json", &plan);
    let mut peak = 0.0_f64;
    let [bare, engine] = in_turns(
        board.rounds,
        [&mut || bare::loop_of(PROCESSES, 2), &mut || {
            let cost = run_engine(&room, "pack.json", 2);
            peak = peak.max(cost.peak_mib);
            cost.wall
        }],
    );
    board.tell("100,000 process shards: bare posix_spawn loop", (bare, "s"), "");
    board.tell("100,000 process shards: engine", (engine, "s"), "every result recorded");
    board.judge("100,000 process shards: engine / bare loop", (engine / bare, "×"), Budget::Most(1.15));
    board.judge("100,000 process shards: memory", (peak, "MiB"), Budget::Most(64.0));
}

/// One recorded run of a million processes; minutes, so only on request.
pub(crate) fn million(board: &mut Board) {
    let room = room("shards-1m");
    let plan = r#"{"version": 1, "name": "pack", "stages": {
        "pack": {"run": ["true"], "shards": {"items": {"range": 1000000}, "size": 1, "max-parallel": 2}}}}"#;
    write(&room, "pack.json", plan);
    let cost = run_engine(&room, "pack.json", 2);
    board.tell("1,000,000 process shards, one run", (cost.wall, "s"), "every result recorded");
    board.tell("1,000,000 process shards: memory", (cost.peak_mib, "MiB"), "");
}
