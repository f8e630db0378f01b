//! Resuming runs that have little or nothing left to do. Their journals are written by the real core and writer,
//! every event of them, only that no process is started: a run of 100,000 stages is made in seconds.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::channel;

use engine::base::RunId;
use engine::driver::begin::{self, New};
use engine::driver::compile::{self, Expected, Options};
use engine::driver::surroundings::Surroundings;
use engine::graph::build::Mode;
use engine::journal::{Notice, StateDir, Writer};
use engine::run::Event;

use crate::big_plan::{self, Format};
use crate::board::{Board, Budget};
use crate::core::answer;
use crate::dag::write;
use crate::machine::{in_turns, room};
use crate::tool::{cost, engine, forget_runs, is_here};

const STAGES: usize = 100_000;
const RUN: &str = "bench";
/// Events of a frame, about as many as a busy engine writes at once.
const FRAME_EVENTS: usize = 1000;

/// `engine resume` of a run that is over, beside `engine check` of its plan and ninja's null build of its graph.
pub(crate) fn stages(board: &mut Board) {
    assert!(is_here("ninja"), "`ninja` is missing; `benches/run` installs it");
    let room = room("resume");
    write(&room, "big.json", &big_plan::write(Format::Json, STAGES));
    write_ninja(&room);
    forget_runs(&room);
    record(&room, "big.json", |event| matches!(event, Event::RunFinished { .. }));
    let wall = |words: &[&str]| cost(&engine(&room, words)).wall;
    let [check, resume, status, ninja] = in_turns(
        board.rounds,
        [
            &mut || wall(&["check", "big.json"]),
            &mut || wall(&["resume", RUN, "--output", "quiet"]),
            &mut || wall(&["status", RUN, "--json"]),
            &mut || cost(&ninja(&room)).wall,
        ],
    );
    board.tell("check of 100,000 stages, json", (check, "s"), "");
    board.tell("status of its finished run", (status, "s"), "");
    board.tell("ninja's null build of its graph", (ninja, "s"), "without its log");
    board.tell("resume of its finished run", (resume, "s"), "journal and plan verified");
    board.judge("resume: what it adds to a check", (resume - check, "s"), Budget::Most(0.3));
    board.judge("resume / ninja's null build", (resume / ninja, "×"), Budget::Most(0.5));
}

/// `engine resume` of a run whose million shards are done, and which has one stage left.
pub(crate) fn shards(board: &mut Board) {
    let room = room("resume-shards");
    let plan = r#"{"version": 1, "name": "pack", "stages": {
        "pack": {"run": ["true"], "shards": {"items": {"range": 1000000}, "size": 1}},
        "after": {"needs": ["pack"], "run": ["true"]}}}"#;
    write(&room, "pack.json", plan);
    forget_runs(&room);
    record(&room, "pack.json", |event| matches!(event, Event::NodeFinished { .. }));
    let state = room.join(".engine");
    let kept = room.join("kept");
    copy(&state, &kept);
    let ending = || {
        std::fs::remove_dir_all(&state).expect("the target folder can be written");
        copy(&kept, &state);
        cost(&engine(&room, &["resume", RUN, "--output", "quiet"])).wall
    };
    let ended = || cost(&engine(&room, &["resume", RUN, "--output", "quiet"])).wall;
    let [last, over] = in_turns(board.rounds, [&mut || ending(), &mut || ended()]);
    board.judge("resume of 1,000,000 finished shards, one stage left", (last, "s"), Budget::Most(0.6));
    board.judge("resume of 1,000,000 finished shards, none left", (over, "s"), Budget::Most(0.6));
}

/// Writes the journal of a run of `plan` in which every attempt succeeds, up to the event that is the `last`.
fn record(room: &Path, plan: &str, last: impl Fn(&Event) -> bool) {
    let options = Options { path: plan.to_owned(), processors: 2, ..Options::default() };
    let compiled = compile::from_disk(room, options, Mode::Run, &Expected::default());
    let Ok(compiled) = compiled else { panic!("the plan is good") };
    let state = StateDir::open(room.join(".engine")).expect("a state folder");
    let run = RunId::parse(RUN).expect("the word is an id");
    let new = New { compiled: &compiled, run, seed: Some(7), key: None, person: "bench".to_owned(), author: None };
    let (mut owned, mut inputs) =
        begin::create(&state, Surroundings::read(room.to_path_buf()), &new, engine::base::Span::ZERO)
            .unwrap_or_else(|error| panic!("the run cannot be made: {error}"));
    let (tell, told) = channel();
    let notify = move |notice| tell.send(notice).unwrap_or(());
    let writer = Writer::open(&owned.dir, &owned.ownership, &owned.end, notify).expect("a writer");
    let mut is_over = false;
    while !is_over {
        // Many steps share a frame: nobody acts on these results, so none has to be durable before the next.
        let mut events = Vec::new();
        while !is_over && events.len() < FRAME_EVENTS {
            let mut batch = owned.core.step(owned.clock.now(), std::mem::take(&mut inputs)).events;
            let end = batch.iter().position(|(_, event)| last(event));
            batch.truncate(end.map_or(batch.len(), |end| end + 1));
            for (_, event) in &batch {
                answer(event, &mut inputs);
            }
            events.extend(batch);
            is_over = end.is_some();
            assert!(is_over || !inputs.is_empty(), "the run goes on until its last event");
        }
        writer.append(events).expect("the disk works");
        let Ok(Notice::Durable { .. }) = told.recv() else { panic!("the disk refused") };
    }
    writer.close();
}

/// The graph of the big plan for ninja, everything built. A `generator` rule needs no log to be up to date, so
/// ninja is spared reading one.
fn write_ninja(room: &Path) {
    let mut out = String::from("rule run\n  command = true\n  generator = 1\n");
    for stage in 0..STAGES {
        let _ = write!(out, "build out/{stage:06}: run");
        for need in big_plan::NEEDS.iter().filter_map(|back| stage.checked_sub(*back)) {
            let _ = write!(out, " out/{need:06}");
        }
        out.push('\n');
    }
    write(room, "build.ninja", &out);
    std::fs::create_dir_all(room.join("out")).expect("the target folder can be written");
    (0..STAGES).for_each(|stage| write(room, &format!("out/{stage:06}"), ""));
    // Written in the order of needs, so none is older than what it needs; the first build says so.
    let built = ninja(room).output().expect("ninja runs");
    let said = String::from_utf8_lossy(&built.stdout);
    assert!(said.contains("no work to do"), "ninja has work: {said}");
}

fn ninja(room: &Path) -> Command {
    // It walks the graph by recursion, and the big plan's longest chain has all its stages.
    let mut command = Command::new("sh");
    command.current_dir(room).args(["-c", "ulimit -s unlimited; exec ninja"]);
    command
}

/// Copies a folder with all that is in it.
fn copy(from: &Path, to: &PathBuf) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(copied.is_ok_and(|status| status.success()), "the target folder can be written");
}
