//! Latency: stages one after another, and a single one.

use crate::bare;
use crate::board::{Board, Budget};
use crate::dag::write;
use crate::machine::{Log, in_turns, room, seconds};
use crate::shape::Shape;
use crate::tool::{cost, engine, run_engine};

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
    let [bare, engine] = in_turns(
        board.rounds,
        [
            &mut || {
                (0..often).map(|_| seconds(bare::run_true) + flushes(&room, FLUSHES)).sum::<f64>()
                    / f64::from(often)
            },
            &mut || (0..often).map(|_| run_engine(&room, "plan.json", 2).wall).sum::<f64>() / f64::from(often),
        ],
    );
    board.tell("one stage: its command and eight flushes", (bare * 1e3, "ms"), "");
    board.tell("one stage: engine", (engine * 1e3, "ms"), "");
    board.judge("one stage: engine / command and flushes", (engine / bare, "×"), Budget::Most(4.0));
}

/// What starting the program costs, beside the smallest one.
pub(crate) fn version(board: &mut Board) {
    let room = room("version");
    let often = 200;
    let each = |one: &dyn Fn()| (0..often).map(|_| seconds(one)).sum::<f64>() / f64::from(often);
    let [bare, version] = in_turns(
        board.rounds,
        [&mut || each(&bare::run_true), &mut || {
            each(&|| {
                cost(&engine(&room, &["--version"]));
            })
        }],
    );
    board.tell("`true`", (bare * 1e3, "ms"), "");
    board.tell("`engine --version`", (version * 1e3, "ms"), "");
    board.judge("`engine --version` / `true`", (version / bare, "×"), Budget::Most(2.0));
}

/// Seconds for so many durable appends.
fn flushes(room: &std::path::Path, count: usize) -> f64 {
    let mut log = Log::new(room);
    seconds(|| (0..count).for_each(|_| log.append_durably()))
}
