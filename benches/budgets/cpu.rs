//! What the engine itself costs: processor time without its stages, and waits for the disk.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use engine::base::RunId;
use engine::journal::{Reader, RunDir, StateDir, Step};

use crate::bare;
use crate::board::{Board, Budget};
use crate::dag::write;
use crate::machine::{in_turns, rest, room};
use crate::shape::Shape;
use crate::tool::{ENGINE, engine, forget_runs, is_here};

const STAGES: u32 = 10_000;
/// Stages under `strace`, which stops the engine for every process that starts.
const TRACED_STAGES: u32 = 2_000;
/// Waits for the disk that a run needs beside those for results: its files, its folders, its end.
/// Nine were seen.
const FIXED_SYNCS: f64 = 16.0;
/// How often a running engine is looked at. What it spends after the last look is not counted.
const LOOK: Duration = Duration::from_millis(5);

/// What an engine may take for a command beyond what no engine can save (ADR 0028).
const OWN_US: f64 = 30.0;

/// User and system time of the front and of the worker, without what their children took.
pub(crate) fn measure(board: &mut Board) {
    let shards = format!(
        r#"{{"version": 1, "name": "pack", "stages": {{
        "pack": {{"run": ["true"], "shards": {{"items": {{"range": {STAGES}}}, "size": 1, "max-parallel": 2}}}}}}}}"#
    );
    let plans = [
        ("stage, wide", 8, Shape::wide(STAGES as usize).plan(), 80.0),
        ("stage, layered", 2, Shape::layered(STAGES as usize, 100).plan(), 80.0),
        ("process shard", 2, shards, 60.0),
    ];
    for (name, jobs, plan, stated) in plans {
        let room = room("cpu");
        write(&room, "plan.json", &plan);
        let [least, spent] = in_turns(
            board.rounds,
            [&mut || bare::hearing(STAGES as usize, jobs as usize), &mut || spent_by_run(&room, jobs)],
        );
        let [least, each] = [least, spent].map(|spent| spent * 1e6 / f64::from(STAGES));
        board.tell(
            format!("a loop that hears what it starts, -j {jobs}"),
            (least, "µs"),
            "the least an engine takes",
        );
        let what = format!("engine's own CPU for each {name}, -j {jobs}");
        board.judge(what, (each, "µs"), Budget::Most(f64::max(stated, least + OWN_US)));
    }
}

fn spent_by_run(room: &Path, jobs: u32) -> f64 {
    forget_runs(room);
    let mut command = engine(room, &["run", "plan.json", "--output", "quiet", "-j", &jobs.to_string()]);
    let mut front = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("the engine starts");
    let mut seen: Vec<(u32, f64)> = Vec::new();
    let status = loop {
        look(&front, &mut seen);
        if let Some(status) = front.try_wait().expect("it is our child") {
            break status;
        }
        rest(LOOK);
    };
    assert!(status.success(), "the run ended with {status}");
    assert!(seen.len() >= 2, "both the front and the worker were seen");
    seen.iter().map(|(_, spent)| spent).sum()
}

/// Notes what the front and those of its children that are engines have used so far, seconds by process.
pub(crate) fn look(front: &Child, seen: &mut Vec<(u32, f64)>) {
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", front.id())).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
    for pid in std::iter::once(front.id()).chain(children) {
        // A stage that is about to run its program still looks like the engine.
        let Some((parent, spent)) = used(pid).filter(|_| is_engine(pid)) else { continue };
        match seen.iter_mut().find(|(known, _)| *known == pid) {
            Some((_, known)) => *known = spent.max(*known),
            None if pid == front.id() || parent == front.id() => seen.push((pid, spent)),
            None => {}
        }
    }
}

fn is_engine(pid: u32) -> bool {
    std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == Path::new(ENGINE))
}

/// A process's parent, and its user and system time in seconds; the kernel counts in hundredths.
pub(crate) fn used(pid: u32) -> Option<(u32, f64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    let parent = fields.split_whitespace().nth(1)?.parse().ok()?;
    let ticks = |place| fields.split_whitespace().nth(place)?.parse::<f64>().ok();
    Some((parent, (ticks(11)? + ticks(12)?) / 100.0))
}

/// Counts what the kernel was asked to flush, and the batches that were written.
pub(crate) fn syncs(board: &mut Board) {
    assert!(is_here("strace"), "`strace` is missing; `benches/run` installs it");
    let room = room("syncs");
    write(&room, "plan.json", &Shape::layered(TRACED_STAGES as usize, 100).plan());
    let counts = room.join("syncs.txt");
    let traced = engine(&room, &["run", "plan.json", "--output", "quiet", "-j", "8"]);
    let mut command = Command::new("strace");
    command.args(["-f", "-c", "--seccomp-bpf", "-e", "trace=fsync,fdatasync,sync_file_range", "-o"]).arg(&counts);
    command.arg(traced.get_program()).args(traced.get_args()).current_dir(&room).stdin(Stdio::null());
    let status = command.status().expect("strace starts");
    assert!(status.success(), "the traced run ended with {status}");
    let text = std::fs::read_to_string(&counts).expect("strace wrote its counts");
    let total: f64 = text.lines().filter(|line| line.contains("sync")).filter_map(calls).sum();
    let frames = frames(&room);
    board.tell("2,000 stages: batches of results", (frames, ""), "frames of the journal");
    board.tell(
        "2,000 stages: waits for the disk",
        (total, ""),
        "fsync and fdatasync, all processes, setup included",
    );
    let each = (total - FIXED_SYNCS).max(0.0) / frames;
    board.judge(
        format!("waits for each batch, after {FIXED_SYNCS} for setup and end"),
        (each, ""),
        Budget::Most(1.0),
    );
}

/// The fourth column of a line of `strace -c`.
fn calls(line: &str) -> Option<f64> {
    line.split_whitespace().nth(3)?.parse().ok()
}

/// The only run in `room`.
pub(crate) fn only_run(room: &Path) -> RunDir {
    let state = StateDir::open(room.join(".engine")).expect("the run left a state folder");
    let runs = state.runs().expect("it can be listed");
    let run: RunId = runs.first().expect("there is one run").dir.id().clone();
    state.run(&run).expect("it is listed")
}

fn frames(room: &Path) -> f64 {
    let mut reader = Reader::open(&only_run(room)).expect("it has a journal");
    let mut frames = 0.0;
    while let Step::Frame = reader.next_frame(&mut |_, _, _| ()).expect("the journal is whole") {
        frames += 1.0;
    }
    frames
}
