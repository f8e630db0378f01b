//! Ten thousand stages: the engine beside a bare loop, ninja and make.

use std::path::Path;
use std::process::Command;

use crate::bare;
use crate::board::{Board, Budget};
use crate::machine::{in_turns, room};
use crate::shape::Shape;
use crate::tool::{cost, is_here, run_engine};

const STAGES: usize = 10_000;
/// The promise: no more than this above a loop that starts the commands and does nothing else.
pub(crate) const ABOVE_BARE: f64 = 1.15;

/// `shape-jobs`, as the item is called.
pub(crate) fn measure(board: &mut Board, name: &str) {
    let (kind, jobs) = name.split_once('-').expect("the items' names are ours");
    let jobs: usize = jobs.parse().expect("the items' names are ours");
    let shape = if kind == "wide" { Shape::wide(STAGES) } else { Shape::layered(STAGES, 100) };
    let room = room(name);
    write(&room, "plan.json", &shape.plan());
    write(&room, "build.ninja", &shape.ninja());
    write(&room, "Makefile", &shape.make());
    for peer in ["ninja", "make"] {
        assert!(is_here(peer), "`{peer}` is missing; `benches/run` installs it");
    }
    let threads = jobs.to_string();
    let [bare, engine, ninja, make] = in_turns(
        board.rounds,
        [
            &mut || bare::loop_of(STAGES, jobs),
            &mut || run_engine(&room, "plan.json", jobs).wall,
            &mut || cost(&peer(&room, "ninja", &["--quiet", "-j", &threads])).wall,
            &mut || cost(&peer(&room, "make", &["-s", "-r", "-R", "-j", &threads, "all"])).wall,
        ],
    );
    let title = format!("{kind}, 10,000 stages, -j {jobs}");
    board.tell(format!("{title}: bare posix_spawn loop"), (bare, "s"), "");
    board.tell(format!("{title}: engine, every result durable"), (engine, "s"), "");
    board.tell(format!("{title}: ninja"), (ninja, "s"), "ninja gives every command to /bin/sh");
    board.tell(format!("{title}: make"), (make, "s"), "make executes the command itself");
    board.judge(format!("{title}: engine / bare loop"), (engine / bare, "×"), Budget::Most(ABOVE_BARE));
    board.judge_beside(format!("{title}: engine / ninja"), engine / ninja, (0.70, bare / ninja));
    board.judge_beside(format!("{title}: engine / make"), engine / make, (0.95, bare / make));
}

/// A hundred thousand independent stages beside ninja, which gives each to a shell and keeps no record of a run.
pub(crate) fn large(board: &mut Board) {
    let shape = Shape::wide(10 * STAGES);
    let room = room("wide-100k");
    write(&room, "plan.json", &shape.plan());
    write(&room, "build.ninja", &shape.ninja());
    assert!(is_here("ninja"), "`ninja` is missing; `benches/run` installs it");
    let mut peak = 0.0_f64;
    let [bare, engine, ninja] = in_turns(
        board.rounds,
        [
            &mut || bare::loop_of(10 * STAGES, 2),
            &mut || {
                let cost = run_engine(&room, "plan.json", 2);
                peak = peak.max(cost.peak_mib);
                cost.wall
            },
            &mut || cost(&peer(&room, "ninja", &["--quiet", "-j", "2"])).wall,
        ],
    );
    let title = "wide, 100,000 stages, -j 2";
    board.tell(format!("{title}: bare posix_spawn loop"), (bare, "s"), "");
    board.tell(format!("{title}: engine, every result durable"), (engine, "s"), "");
    board.tell(format!("{title}: ninja"), (ninja, "s"), "ninja gives every command to /bin/sh");
    board.tell(format!("{title}: engine, memory"), (peak, "MiB"), "");
    board.judge(format!("{title}: engine / bare loop"), (engine / bare, "×"), Budget::Most(ABOVE_BARE));
    board.judge_beside(format!("{title}: engine / ninja"), engine / ninja, (0.45, bare / ninja));
}

fn peer(room: &Path, program: &str, words: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.current_dir(room).args(words).env_remove("MAKEFLAGS");
    command
}

/// Writes a file of a room.
pub(crate) fn write(room: &Path, name: &str, text: &str) {
    std::fs::write(room.join(name), text).expect("the target folder can be written");
}
