//! `--time-box`: what does not fit is handed over, and a chain of boxes comes to its end.

use rustix::process::Signal;
use serde_json::{Value, json as value};

use crate::support::Project;
use crate::tool::{events, expect_states, json, log, stage, status};

/// Each stage but the first hangs at its first attempt, so that it takes one box more.
pub(crate) const CHAIN: &str = r#"
version: 1
name: chain
lock: {name: deploy, on-busy: fail}
defaults: {stop: {grace: 5s}}
stages:
  build:
    run: mkdir -p out; echo built > out/built; echo build >> log
    artifacts: [out/built]
  pack:
    needs: [build]
    run: |
      [ "$ENGINE_ATTEMPT" -ge 2 ] || exec sleep 1000
      cat out/built > out/packed; echo pack >> log
    artifacts: [out/packed]
  ship:
    needs: [pack]
    run: |
      [ "$ENGINE_ATTEMPT" -ge 2 ] || exec sleep 1000
      cat out/packed; echo ship >> log
finally: {stages: {tidy: {run: echo tidy >> log}}}
"#;

fn names(project: &Project) -> Vec<Value> {
    events(project).iter().map(|event| event["event"].clone()).collect()
}

#[test]
fn boxes_in_a_row_finish_a_run() {
    let project = Project::with_plan(CHAIN);
    let first = project.engine(&["run", "plan.yaml", "--time-box", "2s"]).expect(75);
    assert!(first.stdout.contains("handover") && first.stdout.contains("engine resume"), "{}", first.stdout);
    assert_eq!(status(&project)["state"], "handed-over");
    assert_eq!(stage(&project, "pack")["state"], "waiting");
    // The lock stays with the run, so no other one comes between two boxes.
    project.engine(&["run", "plan.yaml"]).expect(7);
    project.engine(&["resume", "--time-box", "2s"]).expect(75);
    assert!(!log(&project).contains(&"tidy".to_owned()), "the clean-up is not run at a hand-over");
    project.engine(&["resume", "--time-box", "2s"]).expect(0);
    assert_eq!(log(&project), ["build", "pack", "ship", "tidy"]);
    expect_states(&project, "build=success pack=success ship=success tidy=success");
    let names = names(&project);
    let count = |name: &str| names.iter().filter(|it| **it == name).count();
    assert_eq!((count("time-box-opened"), count("time-box-closed")), (3, 2));
    project.engine(&["verify"]).expect(0);
}

#[test]
fn a_second_box_in_which_nothing_got_further_is_a_failure() {
    let plan = "version: 1\ndefaults: {stop: {grace: 1s}}\nstages: {stuck: {run: exec sleep 1000}}\n";
    let project = Project::with_plan(plan);
    project.engine(&["run", "plan.yaml", "--time-box", "300ms"]).expect(75);
    let second = project.engine(&["resume", "--time-box", "300ms"]).expect(1);
    let said = second.stdout + &second.stderr;
    assert!(said.contains("nothing got further in two time boxes") && said.contains("`stuck`"), "{said}");
    assert_eq!(status(&project)["state"], "handed-over", "it can still be resumed");
}

#[test]
fn what_can_never_fit_is_refused_by_name_before_anything_starts() {
    let plan = r#"
version: 1
stages:
  fine: {run: echo fine >> log}
  endless: {run: "true", idempotent: false}
  long: {run: "true", idempotent: false, timeout: 10m}
  maybe: {if: "needs.fine.state == 'failed'", needs: [fine], run: "true", idempotent: false}
"#;
    let project = Project::with_plan(plan);
    let refused = project.engine(&["run", "plan.yaml", "--time-box", "5m"]).expect(2);
    let said = &refused.stderr;
    assert!(said.contains("`endless` is not idempotent and has no `timeout`"), "{said}");
    assert!(said.contains("`long` is not idempotent, and its `timeout` is 10m"), "{said}");
    assert!(!said.contains("fine") && !said.contains("maybe"), "{said}");
    assert!(project.runs().is_empty() && log(&project).is_empty());
    for length in ["0s", "soon", "5", "-1m"] {
        project.engine(&["run", "plan.yaml", "--time-box", length]).expect(2);
    }
}

/// Five runs make a history; then half of what the stage took is too short, and twice as much is enough.
#[test]
fn history_decides_what_fits() {
    let plan = "version: 1\nstages: {work: {run: exec sleep 0.2}}\n";
    let project = Project::with_plan(plan);
    for _ in 0..5 {
        project.engine(&["run", "plan.yaml"]).expect(0);
    }
    let refused = project.engine(&["run", "plan.yaml", "--time-box", "100ms"]).expect(2);
    // Some 210 ms, or what a busy machine makes of it.
    assert!(refused.stderr.contains("`work` takes "), "{}", refused.stderr);
    assert!(refused.stderr.contains("(5 samples)"), "{}", refused.stderr);
    assert_eq!(project.runs().len(), 5);
    project.engine(&["run", "plan.yaml", "--time-box", "2m"]).expect(0);
    let planned = json(&project.engine(&["plan", "plan.yaml", "--json"]).expect(0).stdout);
    assert_eq!(planned["nodes"][0]["expected"]["samples"], 6);
}

/// GitHub's cancel: TERM, and 7.5 s later KILL for all that is left. Only what runs is lost.
#[test]
fn a_kill_while_a_cancel_waits_leaves_a_run_that_can_be_resumed() {
    let plan = r#"
version: 1
defaults: {stop: {grace: 10m}}
stages:
  done: {run: echo done >> log}
  work:
    needs: [done]
    run: |
      [ "$ENGINE_ATTEMPT" -lt 2 ] || { echo work >> log; exit 0; }
      trap 'echo asked' TERM; echo up; while :; do sleep 1000 & wait || true; done
finally: {stages: {tidy: {run: echo tidy >> log}}}
"#;
    let project = Project::with_plan(plan);
    let live = project.start(&["run", "plan.yaml", "--time-box", "1h"]);
    live.line("up");
    live.signal(Signal::TERM);
    live.line("asked");
    live.kill();
    project.engine(&["verify"]).expect(0);
    project.engine(&["resume", "--time-box", "1h"]).expect(0);
    assert_eq!(log(&project), ["done", "work", "tidy"]);
    expect_states(&project, "done=success work=success tidy=success");
}

/// Between two boxes no engine lives: the word of who cancels is recorded, frees the lock, and starts nothing, the clean-up neither.
#[test]
fn a_run_that_was_handed_over_is_cancelled_at_once_and_stays_resumable() {
    let project = Project::with_plan(CHAIN);
    project.engine(&["run", "plan.yaml", "--time-box", "2s"]).expect(75);
    let run = project.only_run();
    project.engine(&["cancel", &run]).expect(0);
    let now = status(&project);
    assert_eq!((&now["state"], &now["cancel"]["why"]), (&value!("cancelled"), &value!("person")));
    let shown = project.engine(&["runs"]).expect(0).stdout;
    assert!(shown.contains(" cancelled "), "{shown}");
    for format in ["junit", "summary"] {
        let report = project.engine(&["report", "--format", format]).expect(0).stdout;
        assert!(report.contains("cancelled") && !report.contains("handed-over"), "{report}");
    }
    // It is not among those that go on by themselves any more, and holds nothing.
    project.engine(&["cancel"]).expect(4);
    project.engine(&["run", "plan.yaml", "--only", "build"]).expect(0);
    assert_eq!(log(&project), ["build", "build", "tidy"]);
    // Each of the two stages hangs at its first attempt, and the box that is over was the first one's.
    project.engine(&["resume", &run, "--time-box", "2s"]).expect(75);
    project.engine(&["resume", &run, "--time-box", "2s"]).expect(0);
    assert_eq!(log(&project), ["build", "build", "tidy", "pack", "ship", "tidy"]);
}
