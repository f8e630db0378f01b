//! Ten thousand stages: the engine beside a bare loop, ninja and make.

use std::path::Path;
use std::process::Command;

use crate::bare;
use crate::board::{Board, Budget};
use crate::machine::{in_turns, room};
use crate::shape::Shape;
use crate::tool::{cost, is_here, run_engine};

const STAGES: usize = 10_000;

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
            &mut || cost(peer(&room, "ninja", &["--quiet", "-j", &threads])).wall,
            &mut || cost(peer(&room, "make", &["-s", "-r", "-R", "-j", &threads, "all"])).wall,
        ],
    );
    let title = format!("{kind}, 10,000 stages, -j {jobs}");
    board.tell(format!("{title}: bare posix_spawn loop"), (bare, "s"), "");
    board.tell(format!("{title}: engine, every result durable"), (engine, "s"), "");
    board.tell(format!("{title}: ninja"), (ninja, "s"), "ninja gives every command to /bin/sh");
    board.tell(format!("{title}: make"), (make, "s"), "make executes the command itself");
    board.judge(format!("{title}: engine / bare loop"), (engine / bare, "×"), Budget::Most(1.15));
    board.judge(format!("{title}: engine / ninja"), (engine / ninja, "×"), Budget::Most(0.70));
    board.judge(format!("{title}: engine / make"), (engine / make, "×"), Budget::Most(0.95));
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
