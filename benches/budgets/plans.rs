//! Big plans: checking them, and resuming their finished runs.

use std::path::Path;

use crate::big_plan::{self, Format};
use crate::board::{Board, Budget};
use crate::dag::write;
use crate::machine::{in_turns, median, room};
use crate::tool::{Cost, cost, engine, forget_runs, run_engine};

const STAGES: usize = 100_000;

/// From the start of `engine check` to its end, and the memory it took at most.
pub(crate) fn check(board: &mut Board) {
    let room = room("check");
    for (ending, limit) in [("yaml", 3.0), ("toml", 1.5), ("json", 0.6)] {
        let format = Format::parse(ending).expect("it is a format");
        let name = format!("big.{ending}");
        let text = big_plan::write(format, STAGES);
        let megabytes = text.len() / 1_000_000;
        write(&room, &name, &text);
        drop(text);
        let costs: Vec<Cost> = (0..board.rounds).map(|_| check_of(&room, &name)).collect();
        let wall = median(costs.iter().map(|cost| cost.wall).collect());
        let peak = median(costs.iter().map(|cost| cost.peak_mib).collect());
        board.judge(
            format!("check of 100,000 stages, {ending}, {megabytes} MB"),
            (wall, "s"),
            Budget::Most(limit),
        );
        board.judge(format!("check of 100,000 stages, {ending}, memory"), (peak, "MiB"), Budget::Most(512.0));
    }
    write(&room, "small.yaml", &big_plan::write(Format::Yaml, 5_000));
    let wall = median((0..board.rounds).map(|_| check_of(&room, "small.yaml").wall).collect());
    board.judge("check of 5,000 stages, yaml", (wall * 1e3, "ms"), Budget::Most(150.0));
}

fn check_of(room: &Path, name: &str) -> Cost {
    cost(engine(room, &["check", name]))
}

/// `engine resume` of a run that is over, beside `engine check` of its plan.
pub(crate) fn resume(board: &mut Board) {
    let room = room("resume");
    // The program that the big plan runs; it succeeds whatever it is told.
    std::os::unix::fs::symlink("/usr/bin/true", room.join("work")).expect("the target folder can be written");
    for (ending, format) in [("json", Format::Json), ("yaml", Format::Yaml)] {
        let name = format!("big.{ending}");
        write(&room, &name, &big_plan::write(format, STAGES));
        let ran = run_engine(&room, &name, 8).wall;
        board.tell(format!("run of 100,000 stages, {ending}"), (ran, "s"), "");
        let id = only_run(&room);
        let [check, resume] = in_turns(
            board.rounds,
            [&mut || check_of(&room, &name).wall, &mut || {
                cost(engine(&room, &["resume", &id, "--output", "quiet"])).wall
            }],
        );
        board.tell(format!("check of its plan, {ending}"), (check, "s"), "");
        board.tell(format!("resume of the finished run, {ending}"), (resume, "s"), "");
        board.judge(format!("what resume adds to a check, {ending}"), (resume - check, "s"), Budget::Most(0.3));
        forget_runs(&room);
    }
}

fn only_run(room: &Path) -> String {
    let mut runs = std::fs::read_dir(room.join(".engine/runs")).expect("a run left its folder");
    let run = runs.next().expect("there is one run").expect("it can be listed");
    run.file_name().into_string().expect("ids are plain text")
}
