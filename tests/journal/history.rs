//! What earlier runs took: kept after they are gone, made anew from those that are there.

use engine::graph::forecast::Expected;
use engine::journal::gc::{self, Rule};
use engine::journal::history::{History, Key, note};

use crate::support::{Bench, WALL_MS, bench, holder};

const PLAN: &str = "plans/tiny.yaml";

fn read(bench: &Bench) -> History {
    History::read(&bench.state, PLAN).expect("a list of runs")
}

fn of(history: &History, stage: &str) -> Option<(u64, u64, u32)> {
    let key = Key { stage, definition: 0, size: 1 };
    history.of_stage(key).map(|Expected { p50, p95, samples }| (p50.ms(), p95.ms(), samples))
}

fn file(bench: &Bench) -> std::path::PathBuf {
    let mut files = std::fs::read_dir(bench.state.path().join("history")).expect("a folder");
    files.next().expect("a file").expect("readable").path()
}

#[test]
fn runs_that_were_never_noted_count() {
    let bench = bench();
    for name in ["r1", "r2", "r3"] {
        bench.run(name);
    }
    let history = read(&bench);
    assert_eq!((of(&history, "build"), of(&history, "check")), (Some((90, 90, 3)), Some((10, 10, 3))));
    assert_eq!(history.of_runs().map(|took| took.p50.ms()), Some(100));
    assert!(!bench.state.path().join("history").exists(), "looking writes nothing");
    assert_eq!(History::read(&bench.state, "plans/other.yaml").expect("a list"), History::default());
}

#[test]
fn a_run_that_goes_on_is_no_earlier_run() {
    let bench = bench();
    for name in ["r1", "r2", "r3", "r4"] {
        bench.run(name);
    }
    let own = engine::base::RunId::parse("r4").expect("an id");
    let history = History::read_beside(&bench.state, PLAN, Some(&own)).expect("a list of runs");
    assert_eq!(history.runs.len(), 3);
    assert!(history.runs.iter().all(|run| run.run != "r4"));
    assert_eq!(read(&bench).runs.len(), 4);
}

#[test]
fn a_run_counts_once_however_often_it_is_noted() {
    let bench = bench();
    let run = bench.run("r1");
    for _ in 0..2 {
        note(&bench.state, &run, PLAN, &|_: &str, _| Some(7)).expect("written");
    }
    assert_eq!(of(&read(&bench), "build"), Some((90, 90, 1)));
}

#[test]
fn what_a_run_took_outlives_it() {
    let bench = bench();
    for name in ["r1", "r2"] {
        bench.run(name);
    }
    let before = read(&bench);
    let rule = Rule { keep: 0, since_ms: WALL_MS + 1 };
    assert_eq!(gc::plan(&bench.state, rule).expect("a plan").runs.len(), 2);
    gc::act(&bench.state, rule, &holder()).expect("the disk is fine");
    assert!(bench.state.runs().expect("a list").is_empty());
    assert_eq!(of(&read(&bench), "build"), of(&before, "build"));
}

/// Every flipped byte and every cut is found; the runs that are there still count, and the next run mends the file.
#[test]
fn a_damaged_history_is_named_and_made_anew() {
    let bench = bench();
    let run = bench.run("r1");
    note(&bench.state, &run, PLAN, &|_: &str, _| None).expect("written");
    let (path, whole) = (file(&bench), std::fs::read(file(&bench)).expect("readable"));
    let step = if std::env::var_os("ENGINE_LONG").is_some() { 1 } else { 7 };
    let flipped = (0..whole.len()).step_by(step).map(|at| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        bytes
    });
    let cut = (0..whole.len()).step_by(step).map(|at| whole[..at].to_vec());
    for bytes in flipped.chain(cut) {
        std::fs::write(&path, &bytes).expect("writable");
        let history = read(&bench);
        assert_eq!(of(&history, "build"), Some((90, 90, 1)));
        assert!(history.damage[0].contains(&*path.to_string_lossy()), "{:?}", history.damage);
    }
    let other = bench.run("r2");
    note(&bench.state, &other, PLAN, &|_: &str, _| None).expect("written");
    let history = read(&bench);
    assert_eq!((of(&history, "build"), history.damage.len()), (Some((90, 90, 2)), 0));
}
