//! Where the engine's own instructions go while stages live: the same pieces that a live engine joins, driven on one thread,
//! an executor in the process that answers at once, and the real journal. Counted by callgrind, which knows no pidfd and so
//! cannot run the engine itself.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use engine::base::{Millis, RunId, Span};
use engine::driver::begin::{self, New};
use engine::driver::collect;
use engine::driver::compile::{self, Compiled, Expected, Options};
use engine::driver::prepare::{Prepared, Preparer, Workroom};
use engine::driver::slates::Slate;
use engine::driver::surroundings::Surroundings;
use engine::driver::values::Telling;
use engine::exec::{Ended, Exit, Key};
use engine::graph::Graph;
use engine::graph::build::Mode;
use engine::graph::model::Work;
use engine::journal::{Notice, StateDir, Writer};
use engine::report::View;
use engine::run::input::commands;
use engine::run::{Attempt, Command as Order, Core, Event, Horizon, Input};

use crate::board::Board;
use crate::dag::write;
use crate::machine::room;
use crate::shape::Shape;
use crate::tool::is_here;

/// Asks this program to live through a run of so many stages.
pub(crate) const FLAG: &str = "--live";
/// What one stage costs is what so many more of them cost.
const STAGES: [u32; 2] = [1_000, 3_000];
/// At once.
const JOBS: u32 = 2;
/// The parts of a stage's life: the function that holds all of it, and what people call it.
const PARTS: [(&str, &str); 9] = [
    ("life::read_plan", "reading the plan"),
    ("life::make_run", "its snapshot, digests, the run's folder"),
    ("life::decide", "deciding: the core"),
    ("life::leave_early", "which starts need not wait"),
    ("life::render", "words and environment of its process"),
    ("life::record", "writing its records"),
    ("life::understand", "what its end means, its output values"),
    ("life::show", "showing it to one observer"),
    ("writer::serve", "the journal's thread"),
];

/// Instructions for each stage, by part.
pub(crate) fn measure(board: &mut Board) {
    assert!(is_here("valgrind"), "`valgrind` is missing; the package of that name has it");
    let room = room("life");
    let [few, many] = STAGES.map(|count| counted(&room, count));
    let each = |name: &str| (of(&many, name) - of(&few, name)) / f64::from(STAGES[1] - STAGES[0]);
    let all = each("PROGRAM TOTALS");
    board.tell("a stage in core and journal, without its process", (all, "instructions"), "");
    let mut rest = all;
    for (name, what) in PARTS {
        rest -= each(name);
        board.tell(format!("… {what}"), (each(name), "instructions"), "");
    }
    board.tell("… the loop between them", (rest, "instructions"), "");
    let memory =
        ["malloc", "free", "realloc", "calloc"].map(|name| each(&format!(":{name} ["))).iter().sum::<f64>();
    board.tell("of all these, memory taken and given back", (memory, "instructions"), "");
}

/// Instructions by function, all that it calls included.
fn counted(room: &Path, stages: u32) -> String {
    write(room, "plan.json", &Shape::wide(stages as usize).plan());
    let counts = room.join(format!("callgrind.{stages}"));
    let own = std::env::current_exe().expect("a program knows its file");
    let mut traced = Command::new("valgrind");
    traced.args(["--quiet", "--tool=callgrind"]).arg(format!("--callgrind-out-file={}", counts.display()));
    traced.arg(own).arg(FLAG).arg(room).stdin(Stdio::null());
    let status = traced.status().expect("valgrind starts");
    assert!(status.success(), "the counted run ended with {status}");
    let shown =
        Command::new("callgrind_annotate").args(["--inclusive=yes", "--threshold=100"]).arg(&counts).output();
    String::from_utf8_lossy(&shown.expect("callgrind_annotate starts").stdout).into_owned()
}

/// The count of the first line that names the function.
fn of(counts: &str, name: &str) -> f64 {
    let line = counts.lines().find(|line| line.contains(name));
    let digits = |word: &str| word.replace(',', "").parse().ok();
    line.and_then(|line| line.split_whitespace().next()).and_then(digits).unwrap_or(0.0)
}

/// Lives through a run of the plan in `room`.
pub(crate) fn live(room: &Path) {
    let state = room.join(".engine");
    // What is not there needs no removal; anything worse shows when the run is made.
    let _ = std::fs::remove_dir_all(&state);
    let compiled = read_plan(room);
    let state = StateDir::open(state).expect("a state folder");
    let surroundings = Surroundings::read(room.to_path_buf());
    let (mut owned, mut inputs) = make_run(&state, &surroundings, &compiled);
    let graph = Arc::clone(owned.core.state().graph());
    let (tell, told) = channel();
    let writer =
        Writer::open(&owned.dir, &owned.ownership, &owned.end, move |notice| tell.send(notice).unwrap_or(()))
            .expect("a writer");
    let workroom = Workroom::of(&owned.dir);
    std::fs::create_dir_all(&workroom.scratch).expect("room to work");
    let mut preparer = Preparer::new(owned.dir.id().clone(), surroundings, workroom);
    let mut view = View::new(vec![Arc::clone(&graph)]);
    let (mut horizon, mut at) = (Horizon::new(0), 0);
    let mut late: Vec<(u64, Event)> = Vec::new();
    while owned.core.state().verdict().is_none() || !inputs.is_empty() {
        at += 1;
        let events = decide(&mut owned.core, Millis::new(at), std::mem::take(&mut inputs));
        let (early, waiting) = leave_early(&mut horizon, &events, &owned.core);
        late.extend(waiting);
        let is_awaited = horizon.asks(owned.core.state());
        record(&writer, events, is_awaited);
        let mut starts = early;
        while let Some((first, records)) = hear(&told, starts.is_empty() && owned.core.state().verdict().is_none())
        {
            let now = first + records.len() as u64 - 1;
            horizon.advance(now);
            show(&mut view, first, &records);
            starts.extend(late.extract_if(.., |(sequence, _)| *sequence <= now).map(|(_, event)| event));
        }
        for event in starts {
            commands(&event, |order| {
                if let Order::Start(attempt) = order {
                    let (_, slate) = render(&mut preparer, &graph, attempt, &owned.core);
                    inputs.push(understand(&mut preparer, &graph, attempt, slate));
                }
            });
        }
    }
    writer.close();
}

#[inline(never)]
fn read_plan(room: &Path) -> Compiled {
    let options =
        Options { path: "plan.json".to_owned(), jobs: Some(JOBS), processors: JOBS, ..Options::default() };
    match compile::from_disk(room, options, Mode::Run, &Expected::default()) {
        Ok(compiled) => compiled,
        Err(refused) => panic!("the plan is good: {:?}", refused.found),
    }
}

#[inline(never)]
fn make_run(
    state: &StateDir,
    surroundings: &Surroundings,
    compiled: &Compiled,
) -> (engine::driver::host::Owned, Vec<Input>) {
    let run = RunId::parse("life").expect("the word is an id");
    let new = New { compiled, run, seed: Some(7), key: None, person: "bench".to_owned(), author: None };
    begin::create(state, surroundings.clone(), &new, Span::ZERO)
        .unwrap_or_else(|error| panic!("the run cannot be made: {error}"))
}

#[inline(never)]
fn decide(core: &mut Core, at: Millis, inputs: Vec<Input>) -> Vec<(Millis, Event)> {
    core.step(at, inputs).events
}

/// The starts that leave now, and those that wait, each with its number.
#[inline(never)]
fn leave_early(horizon: &mut Horizon, events: &[(Millis, Event)], core: &Core) -> (Vec<Event>, Vec<(u64, Event)>) {
    let (mut early, mut waiting) = (Vec::new(), Vec::new());
    for (_, event) in events {
        if horizon.takes_off(event, core.state()) {
            early.push(event.clone());
        } else if matches!(event, Event::ShardsStarted { .. }) {
            waiting.push((horizon.last(), event.clone()));
        }
    }
    (early, waiting)
}

#[inline(never)]
fn record(writer: &Writer, events: Vec<(Millis, Event)>, is_awaited: bool) {
    if is_awaited { writer.append(events) } else { writer.store(events) }.expect("the disk works");
}

#[inline(never)]
fn render(preparer: &mut Preparer, graph: &Graph, attempt: Attempt, core: &Core) -> (Prepared, Slate) {
    let Work::Process(process) = &graph.nodes[attempt.node].work else { panic!("it runs a process") };
    preparer.attempt(graph, attempt, process, core.state()).expect("it has no template")
}

#[inline(never)]
fn understand(preparer: &mut Preparer, graph: &Graph, attempt: Attempt, mut slate: Slate) -> Input {
    let Work::Process(process) = &graph.nodes[attempt.node].work else { panic!("it runs a process") };
    let (key, exit, took, notes) = (Key(0), Exit::Code(0), Duration::from_millis(1), Vec::new());
    let ended = Ended { key, exit, took, cpu_us: 1_000, max_rss_kib: 2_000, bytes: 0, notes };
    let (outcome, result) =
        collect::outcome(&ended, process, &mut slate, None, Telling::Names).expect("it is not lost");
    preparer.tidy(slate, process.lifetime, collect::may_live(&ended, false));
    Input::Done { attempt, outcome, took: Span::from_ms(1), result: Box::new(result) }
}

#[inline(never)]
fn show(view: &mut View, first: u64, records: &[(Millis, Event)]) {
    for (sequence, (at, event)) in (first..).zip(records) {
        view.record(sequence, *at, event);
    }
}

/// What the disk says: records that are new there, with the number of the first.
fn hear(told: &Receiver<Notice>, waits: bool) -> Option<(u64, Vec<(Millis, Event)>)> {
    let notice = if waits { told.recv().ok() } else { told.try_recv().ok() };
    match notice? {
        Notice::Durable { first, records } => Some((first, records)),
        Notice::Failed(error) => panic!("the disk refused: {error}"),
    }
}
