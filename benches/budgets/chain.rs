//! Latency: stages one after another, and a single one.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::bare;
use crate::board::{Board, Budget};
use crate::dag::write;
use crate::machine::{Log, in_turns, room, seconds};
use crate::shape::Shape;
use crate::tool::{ENGINE, cost, engine, run_engine};

const STAGES: usize = 1_000;
/// Flushes that a plan of one stage may cost beside its command: the run's files and folders, and its results.
const FLUSHES: usize = 8;

/// A chain, beside a loop that runs the same commands and waits for the disk after each.
pub(crate) fn measure(board: &mut Board) {
    let room = room("chain");
    write(&room, "plan.json", &Shape::chain(STAGES).plan());
    let [bare, engine, flush] = in_turns(
        board.rounds,
        [
            &mut || bare::durable_loop_of(STAGES, &room),
            &mut || run_engine(&room, "plan.json", 2).wall,
            &mut || flushes(&room, STAGES),
        ],
    );
    board.tell("chain of 1,000: bare loop with one fdatasync each", (bare, "s"), "");
    board.tell("chain of 1,000: engine", (engine, "s"), "");
    board.tell("chain of 1,000: the flushes alone", (flush, "s"), "");
    board.judge("chain of 1,000: engine / bare loop", (engine / bare, "×"), Budget::Most(1.35));
}

/// One stage, beside its command and eight flushes.
pub(crate) fn one(board: &mut Board) {
    let room = room("one");
    write(&room, "plan.json", &Shape::wide(1).plan());
    // Milliseconds each: twenty for one figure.
    let often = 20;
    let [bare, forced, engine] = in_turns(
        board.rounds,
        [
            &mut || {
                (0..often).map(|_| seconds(bare::run_true) + flushes(&room, FLUSHES)).sum::<f64>()
                    / f64::from(often)
            },
            &mut || (0..often).map(|_| forced(&room)).sum::<f64>() / f64::from(often),
            &mut || (0..often).map(|_| run_engine(&room, "plan.json", 2).wall).sum::<f64>() / f64::from(often),
        ],
    );
    board.tell("one stage: its command and eight flushes", (bare * 1e3, "ms"), "");
    board.tell(
        "one stage: what its promises force",
        (forced * 1e3, "ms"),
        "two starts of the program, a run's files, its flushes in four rounds, the command",
    );
    board.tell("one stage: engine", (engine * 1e3, "ms"), "");
    board.judge("one stage: engine / command and flushes", (engine / bare, "×"), Budget::Most(4.0));
}

/// Seconds for what the promises force on a run of one stage, and nothing else: the program starts as front, whose fork works,
/// and as sentinel beside the files; the files of a run are made and flushed together, its folder gets its name, which is
/// flushed beside the first record; the command runs; the last record is flushed. Nothing is read, decided or shown.
fn forced(room: &Path) -> f64 {
    let start = || {
        let started = Command::new(ENGINE).arg("--version").stdout(Stdio::null()).status();
        assert!(started.is_ok_and(|status| status.success()), "the engine starts");
    };
    let (runs, new) = (room.join("forced"), room.join("forced/new"));
    // What is not there needs no removal; anything worse shows when it is made.
    let _ = std::fs::remove_dir_all(&runs);
    std::fs::create_dir(&runs).expect("the target folder can be written");
    let seconds = seconds(|| {
        start();
        std::thread::scope(|scope| {
            scope.spawn(start);
            let made = files_of_a_run(&new);
            std::thread::scope(|scope| {
                for some in made.chunks(3) {
                    scope.spawn(|| flush(some));
                }
            });
            std::fs::rename(&new, runs.join("run")).expect("the target folder can be written");
            let mut journal = Log::new(&runs.join("run"));
            let name = File::open(&runs).expect("it was made");
            let named = scope.spawn(move || flush(&[name]));
            journal.append_durably();
            named.join().expect("a flush does not panic");
            bare::run_true();
            journal.append_durably();
        });
    });
    std::fs::remove_dir_all(&runs).expect("the target folder can be written");
    seconds
}

/// The folders and files of a run of one stage, open to be flushed.
fn files_of_a_run(new: &Path) -> Vec<File> {
    let folders = ["", "plan", "inbox", "output"].map(|name| new.join(name));
    for folder in &folders {
        std::fs::create_dir(folder).expect("the target folder can be written");
    }
    let text = [b'x'; 120];
    let write = |name: &str| {
        let mut file = File::create(new.join(name)).expect("the target folder can be written");
        file.write_all(&text).expect("the disk has room");
        file
    };
    for name in ["head", "lock"] {
        write(name);
    }
    let files = ["plan/000", "plan/options", "plan/outlook", "plan/stages"];
    let folders = folders[..2].iter().map(|folder| File::open(folder).expect("it was made"));
    files.map(write).into_iter().chain(folders).collect()
}

fn flush(files: &[File]) {
    for file in files {
        file.sync_data().expect("the disk works");
    }
}

/// What starting the program costs, beside the smallest one.
pub(crate) fn version(board: &mut Board) {
    let room = room("version");
    let often = 200;
    let each = |one: &dyn Fn() -> f64| (0..often).map(|_| one()).sum::<f64>() / f64::from(often);
    // What measures the engine is a program too, whose own start does not count.
    let [bare, version] = in_turns(
        board.rounds,
        [&mut || each(&|| seconds(bare::run_true)), &mut || each(&|| cost(&engine(&room, &["--version"])).wall)],
    );
    board.tell("`true`", (bare * 1e3, "ms"), "");
    board.tell("`engine --version`", (version * 1e3, "ms"), "");
    board.judge("`engine --version` / `true`", (version / bare, "×"), Budget::Most(2.0));
}

/// Seconds for so many durable appends.
fn flushes(room: &Path, count: usize) -> f64 {
    let mut log = Log::new(room);
    seconds(|| (0..count).for_each(|_| log.append_durably()))
}
