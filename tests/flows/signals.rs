//! Signals to the engine, `cancel`, and what is left of a run afterwards.

use rustix::process::{Signal, kill_process_group};

use crate::support::{Live, Project};
use crate::tool::{expect_states, is_alive, log, stage, start_until, status};

/// A stage that says when it was asked to end, and ends; a second one that will not; a clean-up.
const PLAN: &str = r#"
version: 1
defaults: {stop: {grace: 60s}}
stages:
  work: {run: "trap 'echo asked >> log; exit 0' TERM; [ ! -e calm ] || exit 0; echo $$ > pid; echo up; while :; do sleep 1000 & wait || true; done"}
  after: {needs: [work], run: echo after >> log}
finally: {stages: {tidy: {run: echo tidy >> log}}}
"#;

const STUBBORN: &str = r#"
version: 1
defaults: {stop: {grace: 10m}}
stages:
  work: {run: "trap 'echo asked; echo asked >> log' TERM; echo $$ > pid; echo up; while :; do sleep 1000 & wait || true; done"}
finally: {stages: {tidy: {run: echo tidy >> log}}}
"#;

fn up(plan: &str) -> (Project, Live) {
    let project = Project::with_plan(plan);
    let live = start_until(&project, "up");
    (project, live)
}

#[track_caller]
fn resumes(project: &Project) {
    project.write("calm", "");
    project.write("log", "");
    project.engine(&["resume"]).expect(0);
    assert_eq!(log(project), ["after", "tidy"]);
    expect_states(project, "work=success after=success tidy=success");
}

#[test]
fn the_first_signal_stops_with_grace_runs_the_clean_up_and_stays_resumable() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 143)] {
        let (project, live) = up(PLAN);
        live.signal(signal);
        let output = live.end().expect(code);
        assert!(output.stdout.contains("engine resume"), "{}", output.stdout);
        assert_eq!(log(&project), ["asked", "tidy"]);
        assert_eq!(status(&project)["state"], "cancelled");
        assert_eq!(stage(&project, "work")["state"], "cancelled");
        resumes(&project);
    }
}

#[test]
fn a_signal_to_the_whole_group_counts_once() {
    let (project, live) = up(PLAN);
    kill_process_group(live.pid(), Signal::INT).expect("it lives");
    live.end().expect(130);
    assert_eq!(log(&project), ["asked", "tidy"], "the clean-up ran, so it was one step of the ladder");
}

#[test]
fn the_second_signal_kills_and_skips_the_clean_up() {
    let (project, live) = up(STUBBORN);
    live.signal(Signal::INT);
    live.line("asked");
    live.signal(Signal::INT);
    live.end().expect(130);
    assert_eq!(log(&project), ["asked"]);
    assert!(!is_alive(&project.read("pid")));
    assert_eq!(stage(&project, "tidy")["state"], "cancelled");
}

#[test]
fn a_third_signal_leaves_at_once_and_still_nothing_lives() {
    let (project, live) = up(STUBBORN);
    live.signal(Signal::TERM);
    live.line("asked");
    for _ in 0..3 {
        // It may have ended after the second.
        let _ = rustix::process::kill_process(live.pid(), Signal::TERM);
    }
    live.end().expect(143);
    assert!(!is_alive(&project.read("pid")));
    let state = status(&project)["state"].clone();
    assert!(state == "cancelled" || state == "interrupted", "{state}");
}

#[test]
fn a_killed_worker_leaves_nothing_alive_and_an_interrupted_run() {
    let (project, live) = up(PLAN);
    live.kill_worker();
    live.end().expect(137);
    assert!(!is_alive(&project.read("pid")));
    assert_eq!(status(&project)["state"], "interrupted");
    resumes(&project);
}

/// Nothing runs once the engine is dead, whatever its last records say.
#[test]
fn what_ran_when_the_engine_died_is_shown_as_interrupted() {
    let project = Project::with_plan(
        r#"
version: 1
max-parallel: 4
stages:
  plain: {run: "echo plain; exec sleep 1000"}
  asked: {idempotent: false, done-if: {run: [test, -e, done]}, run: "echo asked; exec sleep 1000"}
  once: {idempotent: false, run: "echo once; exec sleep 1000"}
  after: {needs: [plain], run: ["true"]}
"#,
    );
    let live = project.start(&["run", "plan.yaml"]);
    for _ in 0..3 {
        live.line(" | ");
    }
    assert_eq!(status(&project)["totals"]["running"], 3);
    live.kill_worker();
    live.end().expect(137);
    let shown = status(&project);
    assert_eq!((&shown["state"], &shown["totals"]["running"]), (&"interrupted".into(), &0.into()));
    let seen = |id: &str| {
        let stage = stage(&project, id);
        (stage["state"].clone(), stage["interrupted"].clone(), stage["reason"].as_str().expect("words").to_owned())
    };
    let was = |rest: &str| format!("was running when the engine died; {rest}");
    assert_eq!(seen("plain"), ("pending".into(), true.into(), was("resume runs it again")));
    assert_eq!(seen("asked"), ("unknown".into(), true.into(), was("resume asks its `done-if`")));
    assert_eq!(
        seen("once"),
        ("unknown".into(), true.into(), was("it is not idempotent, so nobody knows what it did"))
    );
    assert_eq!(seen("after").1, false);
    let text = project.engine(&["status"]).expect(0).stdout;
    assert_eq!(text.matches("\ninterrupted ").count(), 3, "{text}");
    assert!(text.contains("3 interrupted, 1 not started of 4 stages") && !text.contains("running  "), "{text}");
    let refused = project.engine(&["resolve", &project.only_run(), "once", "--as", "success"]).expect(4);
    assert!(refused.stderr.contains("engine resume"), "{}", refused.stderr);
}

#[test]
fn a_killed_front_takes_the_worker_and_the_stages_along() {
    let (project, live) = up(PLAN);
    live.signal(Signal::KILL);
    live.end().expect(137);
    // The next engine waits for, or ends, what is left before it starts anything.
    resumes(&project);
    assert!(!is_alive(&project.read("pid")));
}

#[test]
fn cancel_stops_a_live_run_like_the_first_signal_and_now_like_the_second() {
    let (project, live) = up(PLAN);
    project.engine(&["cancel"]).expect(0);
    live.end().expect(130);
    assert_eq!(log(&project), ["asked", "tidy"]);
    resumes(&project);

    let (project, live) = up(STUBBORN);
    project.engine(&["cancel", "--now"]).expect(0);
    live.end().expect(130);
    assert!(log(&project).is_empty(), "no clean-up");
    assert!(!is_alive(&project.read("pid")));
}

#[test]
fn cancel_of_an_interrupted_run_is_recorded_and_it_stays_resumable() {
    let (project, live) = up(PLAN);
    live.kill_worker();
    live.end();
    project.engine(&["cancel"]).expect(0);
    assert_eq!(status(&project)["state"], "cancelled");
    let events = project.engine(&["report", "--format", "events"]).expect(0);
    assert!(events.stdout.contains("cancel-raised"), "{}", events.stdout);
    resumes(&project);
}

/// The engine, started by a program that has blocked signals and does not unblock them.
fn of_a_deaf_caller(project: &Project, args: &str) -> Live {
    let mut command = project.program("python3");
    let script = "import os, signal, sys\n\
                  signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\n\
                  os.execv(sys.argv[1], sys.argv[1:])";
    command.args(["-c", script, env!("CARGO_BIN_EXE_engine")]).args(args.split(' '));
    Live::start(command)
}

#[test]
fn what_a_caller_has_blocked_blocks_neither_the_engine_nor_its_stages() {
    let project = Project::with_plan(
        "version: 1\nname: deaf\nstages:\n  here: {run: 'grep SigBlk /proc/self/status > \"$ENGINE_STAGE\"'}\n  \
         there: {run: 'grep SigBlk /proc/self/status > ../there', cwd: below}\n  \
         long: {needs: [here, there], run: 'echo started; exec sleep 1000'}\n",
    );
    std::fs::create_dir(project.path("below")).expect("made");
    let live = of_a_deaf_caller(&project, "run plan.yaml --skip long");
    // It would never hear that its worker has ended.
    live.end().expect(0);
    for stage in ["here", "there"] {
        assert_eq!(project.read(stage).trim(), "SigBlk:\t0000000000000000", "{stage}");
    }
    let live = of_a_deaf_caller(&project, "run plan.yaml --only long");
    live.line("started");
    live.signal(Signal::INT);
    live.end().expect(130);
}
