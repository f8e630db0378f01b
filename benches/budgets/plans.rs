//! Checking big plans.

use std::path::Path;

use crate::big_plan::{self, Format};
use crate::board::{Board, Budget};
use crate::dag::write;
use crate::machine::{median, room};
use crate::tool::{Cost, cost, engine};

const STAGES: usize = 100_000;

/// From the start of `engine check` to its end, and the memory it took at most.
pub(crate) fn check(board: &mut Board) {
    let room = room("check");
    for (ending, limit) in [("yaml", 1.5), ("toml", 1.5), ("json", 0.6)] {
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
        board.judge(format!("check of 100,000 stages, {ending}, memory"), (peak, "MiB"), Budget::Most(256.0));
    }
    write(&room, "small.yaml", &big_plan::write(Format::Yaml, 5_000));
    let wall = median((0..board.rounds).map(|_| check_of(&room, "small.yaml").wall).collect());
    board.judge("check of 5,000 stages, yaml", (wall * 1e3, "ms"), Budget::Most(150.0));
}

fn check_of(room: &Path, name: &str) -> Cost {
    cost(&engine(room, &["check", name]))
}
