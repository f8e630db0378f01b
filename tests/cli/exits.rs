//! Every exit code of the table that can be reached, by its usual cause. (10 belongs to commands that are not
//! there yet, 70 to a fault of the engine itself.)

use std::fmt::Write as _;
use std::fs::File;

use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::Signal;

use crate::plans;
use crate::support::{Live, Project};

/// A project whose plan waits for a writer of the pipe `go`.
pub(crate) fn held() -> Project {
    let project = Project::with_plan(plans::HELD);
    mkfifoat(CWD, project.path("go"), Mode::RWXU).expect("a named pipe");
    project
}

/// Starts the held run and waits until its stage runs.
pub(crate) fn holding(project: &Project) -> Live {
    let live = project.start(&["run", "plan.yaml", "--run-id", "held"]);
    live.line("up");
    live
}

/// Lets the held stage go on.
pub(crate) fn release(project: &Project) {
    drop(File::options().write(true).open(project.path("go")).expect("the stage reads"));
}

#[test]
fn success_and_failure() {
    let project = Project::with_plan(plans::BROKEN);
    project.engine(&["run", "plan.yaml"]).expect(1);
    project.write("mended", "");
    project.engine(&["run", "plan.yaml"]).expect(0);
}

#[test]
fn a_bad_plan_leaves_three_and_nothing_else() {
    let project = Project::with_plan(plans::WRONG);
    project.write("circle.toml", plans::CIRCLE);
    project.write("bomb.yaml", alias_bomb());
    project.write("deep.yaml", "[".repeat(100_000));
    project.write("nul.yaml", "version: 1\nname: a\0b\n");
    project.write("tabs.yaml", "version: 1\nname: x\nstages:\n\ta: {run: x}\n");
    project.write("empty.yaml", "");
    project.write("latin.yaml", b"version: 1\nname: caf\xe9\n");
    project.write("huge.yaml", "version: 1\nname: x\nmax-parallel: 99999999999999999999\nstages: {a: {run: x}}\n");
    project.write("required.yaml", "version: 1\nname: x\ninputs: {a: {type: string}}\nstages: {a: {run: x}}\n");
    std::os::unix::fs::symlink("loop.yaml", project.path("loop.yaml")).expect("a link");
    for plan in [
        "plan.yaml",
        "circle.toml",
        "bomb.yaml",
        "deep.yaml",
        "nul.yaml",
        "tabs.yaml",
        "empty.yaml",
        "latin.yaml",
        "huge.yaml",
        "loop.yaml",
        ".git",
        "none.yaml",
    ] {
        let checked = project.engine(&["check", plan]).expect(3);
        assert!(checked.stdout.starts_with("error[plan::"), "{plan}: {}", checked.stdout);
        let ran = project.engine(&["run", plan]).expect(3);
        assert!(ran.stderr.starts_with("error[plan::"), "{plan}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{plan}");
        project.engine(&["plan", plan]).expect(3);
    }
    // What is missing is known for a check, and needed for a run.
    project.engine(&["check", "required.yaml"]).expect(0);
    project.engine(&["run", "required.yaml"]).expect(3);
    assert!(!project.has(".engine"), "a plan that is refused leaves nothing in the state folder");
}

fn alias_bomb() -> String {
    let mut text = "version: 1\nname: bomb\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let last = format!("*a{}", level - 1);
        let list = vec![last; 10].join(", ");
        writeln!(text, "a{level}: &a{level} [{list}]").expect("text grows");
    }
    text
}

#[test]
fn a_person_is_needed() {
    let project = Project::with_plan(plans::GATED);
    project.engine(&["run", "plan.yaml"]).expect(5);
    project.engine(&["resume"]).expect(5);
}

#[test]
fn a_live_run_and_its_lock_are_busy() {
    let project = held();
    let live = holding(&project);
    let again = project.engine(&["resume", "held"]).expect(7);
    assert!(again.stderr.contains("run `held` is owned by a live engine (process "), "{}", again.stderr);
    assert!(again.stderr.contains("help: end it: engine cancel held"), "{}", again.stderr);
    let other = project.engine(&["run", "plan.yaml", "--run-id", "second"]).expect(7);
    assert!(
        other.stderr.starts_with("error: lock `site` is held by run held, started by ann@"),
        "{}",
        other.stderr
    );
    assert_eq!(project.runs(), ["held"], "a run that never began leaves nothing");
    let kept = project.engine(&["unlock", "site", "--reason", "in a hurry"]).expect(7);
    assert!(kept.stderr.contains("engine cancel held"), "{}", kept.stderr);
    release(&project);
    let output = live.end().expect(0);
    assert!(output.stdout.contains("hold | down"), "{}", output.stdout);
}

#[test]
fn damage_is_eight_for_every_reader() {
    let project = Project::with_plan(plans::BROKEN);
    project.engine(&["run", "plan.yaml", "--run-id", "r1"]).expect(1);
    let path = project.path(".engine/runs/r1/journal");
    let mut bytes = std::fs::read(&path).expect("a journal");
    bytes[40] ^= 1;
    std::fs::write(&path, bytes).expect("damage");
    for args in [
        &["resume"][..],
        &["resume", "r1"],
        &["status"],
        &["status", "r1", "--json"],
        &["verify"],
        &["logs"],
        &["report"],
        &["plan", "--resume", "r1"],
        &["graph", "r1"],
        &["diff", "r1", "r1"],
        &["approve", "r1", "test"],
        &["resolve", "r1", "test", "--as", "failed"],
        &["cancel", "r1"],
    ] {
        let output = project.engine(args).expect(8);
        assert!(
            output.stderr.contains("/.engine/runs/r1/journal` is damaged at byte "),
            "{args:?}: {}",
            output.stderr
        );
        assert_eq!(output.stdout, "", "{args:?}");
    }
}

#[test]
fn a_place_that_cannot_be_written_is_nine() {
    let project = Project::with_plan(plans::SHOP);
    project.engine(&["run", "plan.yaml", "--state-dir", "plan.yaml"]).expect(9);
    project.engine(&["run", "plan.yaml", "--state-dir", "/proc/none"]).expect(9);
    project.engine(&["run", "plan.yaml", "--state-dir", "/sys/kernel"]).expect(9);
    project.engine(&["run", "plan.yaml", "--events", "no/such/folder"]).expect(9);
    project.engine(&["graph", "plan.yaml", "--out", "no/such/folder"]).expect(9);
    assert!(project.runs().is_empty());
}

#[test]
fn the_runs_timeout_is_124() {
    let plan =
        "version: 1\nname: slow\ntimeout: 200ms\nstages:\n  long: {run: [sleep, '600'], stop: {grace: 1s}}\n";
    let project = Project::with_plan(plan);
    let output = project.engine(&["run", "plan.yaml"]).expect(124);
    assert!(output.stdout.contains("its timeout ran out"), "{}", output.stdout);
    let run = project.only_run();
    assert!(output.stdout.ends_with(&format!("engine resume {run}\n")), "{}", output.stdout);
}

#[test]
fn signals_leave_as_a_shell_expects() {
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 143)] {
        let project = held();
        let live = holding(&project);
        live.signal(signal);
        let output = live.end().expect(status);
        assert!(output.stdout.contains("cancelled  run held"), "{}", output.stdout);
        assert!(output.stdout.ends_with("engine resume held\n"), "{}", output.stdout);
        let status = project.engine(&["status", "held"]).expect(0);
        assert!(status.stdout.contains("\nstate   cancelled\n"), "{}", status.stdout);
    }
}

#[test]
fn a_second_signal_does_not_wait_for_the_grace_period() {
    let plan = "version: 1\nname: stubborn\nstages:\n  deaf:\n    run: |\n      trap '' TERM\n      echo up\n      \
                while :; do read -rt 600 _ <> go || :; done\n    stop: {grace: 10m}\n";
    let project = Project::with_plan(plan);
    mkfifoat(CWD, project.path("go"), Mode::RWXU).expect("a named pipe");
    let live = project.start(&["run", "plan.yaml"]);
    live.line("up");
    live.signal(Signal::INT);
    live.line("stop");
    live.signal(Signal::INT);
    live.end().expect(130);
}

#[test]
fn cancel_ends_a_live_run() {
    let project = held();
    let live = holding(&project);
    let told = project.engine(&["cancel"]).expect(0);
    assert_eq!(told.stdout, "cancelled run held\n");
    let output = live.end().expect(130);
    assert!(output.stdout.contains("cancelled by ann@"), "{}", output.stdout);
}
