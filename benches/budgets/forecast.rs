//! How near `engine simulate` comes to what runs take: it learns from some, and is compared with others.

use std::path::Path;

use serde_json::Value;

use crate::board::{Board, Budget};
use crate::dag::write;
use crate::machine::room;
use crate::tool::{ENGINE, cost, engine};

/// Runs that it learns from, and runs that it is compared with.
const KNOWN: usize = 40;
const REAL: usize = 200;
/// Stages whose length nobody knows before: from 30 to 90 ms, and shards from 20 to 120 ms, most of them short.
const PLAN: &str = r#"
version: 1
name: chance
max-parallel: 4
stages:
  list: {run: 'exec sleep "0.0$((RANDOM % 60 + 30))"'}
  build: {run: 'exec sleep "0.0$((RANDOM % 60 + 30))"'}
  pack:
    needs: [list]
    shards: {items: {range: 16}}
    run: 'n=$((RANDOM % 100)); printf -v s %03d $((20 + n * n / 100)); exec sleep "0.$s"'
  ship: {needs: [build, pack], run: 'exec sleep "0.0$((RANDOM % 60 + 30))"'}
"#;

/// p50 and p95 of a thousand imagined runs over those of two hundred real ones.
pub(crate) fn simulate(board: &mut Board) {
    let room = room("forecast");
    write(&room, "plan.yaml", PLAN);
    runs(&room, KNOWN);
    let imagined = answer(&room, &["simulate", "plan.yaml", "--samples", "1000", "--json"]);
    let before = lengths(&room);
    assert_eq!(before.len(), KNOWN, "each run is listed");
    runs(&room, REAL);
    let mut real = lengths(&room);
    real.truncate(REAL);
    real.sort_by(f64::total_cmp);
    for (percent, key) in [(50, "p50"), (95, "p95")] {
        let (found, lived) = (imagined["finish_ms"][key].as_f64(), real[(REAL * percent).div_ceil(100) - 1]);
        let ratio = found.expect("a number") / lived;
        board.tell(format!("{key} of {REAL} real runs"), (lived, "ms"), "");
        // Within a tenth, whichever way it errs.
        let error = (ratio - 1.0).abs();
        board.judge(format!("simulated {key}: error of the forecast"), (error, "×"), Budget::Most(0.1));
    }
}

fn runs(room: &Path, count: usize) {
    for _ in 0..count {
        cost(&engine(room, &["run", "plan.yaml", "--output", "quiet"]));
    }
}

/// How long each run took, the newest first.
fn lengths(room: &Path) -> Vec<f64> {
    let all = answer(room, &["runs", "--limit", "1000", "--json"]);
    let runs = all["runs"].as_array().expect("a list of runs").iter();
    runs.map(|run| run["duration_ms"].as_f64().expect("each ended")).collect()
}

fn answer(room: &Path, words: &[&str]) -> Value {
    let output = engine(room, words).output().unwrap_or_else(|error| panic!("{ENGINE} cannot be run: {error}"));
    serde_json::from_slice(&output.stdout).expect("JSON")
}
