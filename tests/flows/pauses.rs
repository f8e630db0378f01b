//! `pause` and `unpause`: what runs goes on, nothing new starts, and an engine's death changes nothing about that.

use serde_json::json;

use crate::support::{Live, Project};
use crate::tool::{Gate, expect_states, json, log, start_until, states, status};

const PLAN: &str = r#"
version: 1
stages:
  work: {run: "echo up; read -r _ < gate; echo work >> log"}
  after: {needs: [work], run: echo after >> log}
"#;

fn up() -> (Project, Gate, Live) {
    let project = Project::with_plan(PLAN);
    let gate = Gate::new(&project, "gate");
    let live = start_until(&project, "up");
    (project, gate, live)
}

#[test]
fn what_runs_goes_on_and_nothing_new_starts_until_it_is_unpaused() {
    let (project, mut gate, live) = up();
    let run = project.only_run();
    assert_eq!(project.engine(&["unpause"]).expect(0).stdout, format!("run {run} is not paused\n"));
    let answer = project.engine(&["pause"]).expect(0);
    assert!(answer.stdout.starts_with(&format!("paused run {run}\n")), "{}", answer.stdout);
    assert!(answer.stdout.contains(&format!("engine unpause {run}")), "{}", answer.stdout);
    assert!(live.line("paused").contains("paused  by "), "the live run says who paused it");
    let again = project.engine(&["pause", "--json"]).expect(0);
    let done = format!("run {run} is paused already");
    assert_eq!(json(&again.stdout), json!({"version": 1, "run": run, "live": true, "done": done}));
    gate.open();
    live.line("success  work");
    // The engine has settled what follows from that end; what it holds back says why.
    let shown = project.engine(&["status"]).expect(0).stdout;
    assert!(shown.contains("paused  nothing new starts until: engine unpause"), "{shown}");
    assert!(shown.contains("the run is paused"), "{shown}");
    assert_eq!((&status(&project)["paused"], &status(&project)["state"]), (&json!(true), &json!("running")));
    assert!(project.engine(&["runs"]).expect(0).stdout.contains("1/2, paused"));
    expect_states(&project, "work=success after=waiting");
    let answer = project.engine(&["unpause", &run, "--json"]).expect(0);
    assert_eq!(json(&answer.stdout)["done"], json!(format!("unpaused run {run}")));
    let output = live.end().expect(0);
    assert!(output.stdout.contains("unpaused  by "), "{}", output.stdout);
    assert_eq!(log(&project), ["work", "after"]);
    let refused = project.engine(&["pause", &run]).expect(4);
    assert!(refused.stderr.contains("has ended already"), "{}", refused.stderr);
    project.engine(&["unpause"]).expect(4);
}

#[test]
fn a_deadline_is_kept_in_a_pause_and_so_is_a_cancel() {
    let project = Project::with_plan(
        "version: 1\nstages:\n  slow: {timeout: 3s, run: echo up; exec sleep 1000}\n  \
         long: {run: exec sleep 1000}\n  after: {needs: [slow], run: echo never >> log}\non-failure: continue\n",
    );
    let live = start_until(&project, "up");
    project.engine(&["pause"]).expect(0);
    live.line("timed-out  slow");
    assert_eq!(states(&project)["long"], "running");
    project.engine(&["cancel"]).expect(0);
    live.end().expect(130);
    assert!(log(&project).is_empty());
}

/// A pause is a person's word, so a resume neither forgets it nor passes over it in silence.
#[test]
fn a_resume_of_a_paused_run_stays_paused() {
    let (project, mut gate, live) = up();
    let run = project.only_run();
    project.engine(&["pause"]).expect(0);
    live.kill_worker();
    live.end().expect(137);
    let shown = project.engine(&["status"]).expect(0).stdout;
    assert!(shown.contains("state   interrupted") && shown.contains("paused  nothing new starts"), "{shown}");
    let foreseen = project.engine(&["plan", "--resume", &run]).expect(0).stdout;
    assert!(foreseen.contains("run     work"), "{foreseen}");
    assert!(foreseen.contains(&format!("nothing of this starts until: engine unpause {run}")), "{foreseen}");

    let live = project.start(&["resume"]);
    live.line(&format!("nothing new starts until: engine unpause {run}"));
    expect_states(&project, "work=waiting after=pending");
    live.kill_worker();
    live.end().expect(137);

    // Nobody works on it: the verb records the word itself.
    let answer = project.engine(&["unpause"]).expect(0);
    assert!(answer.stdout.contains("go on with: engine resume"), "{}", answer.stdout);
    gate.open();
    project.engine(&["resume"]).expect(0);
    assert_eq!(log(&project), ["work", "after"]);
}

#[test]
fn resume_unpauses_when_told_to() {
    let (project, mut gate, live) = up();
    project.engine(&["pause"]).expect(0);
    live.kill_worker();
    live.end().expect(137);
    gate.open();
    let output = project.engine(&["resume", "--unpause"]).expect(0);
    assert!(output.stdout.contains("unpaused  by "), "{}", output.stdout);
    assert_eq!(log(&project), ["work", "after"]);
}
