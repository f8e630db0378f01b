//! The run lock, and two engines on one run.

use crate::support::{Live, Project};
use crate::tool::{Gate, log, run, start_until, status};

fn plan(busy: &str) -> String {
    format!(
        r#"
version: 1
inputs: {{name: {{type: string, default: x}}, mode: {{type: string, default: wait}}}}
lock: {{name: "deploy/{{{{ inputs.name }}}}", on-busy: {busy}}}
stages:
  hold: {{env: {{M: "{{{{ inputs.mode }}}}"}}, run: 'echo up; [ "$M" != wait ] || read -r _ < gate; [ "$M" != fail ] || [ -e mended ]; echo "$M" >> log'}}
"#
    )
}

fn held(busy: &str) -> (Project, Gate, Live) {
    let project = Project::with_plan(&plan(busy));
    let gate = Gate::new(&project, "gate");
    let live = start_until(&project, "up");
    (project, gate, live)
}

const OTHER: [&str; 4] = ["run", "plan.yaml", "--set", "mode=other"];

#[test]
fn a_busy_lock_fails_with_its_holder_named() {
    let (project, mut gate, live) = held("fail");
    let holder = project.only_run();
    let output = project.engine(&OTHER).expect(7);
    assert!(output.stderr.contains(&holder) && output.stderr.contains("deploy/x"), "{}", output.stderr);
    assert_eq!(project.runs().len(), 1, "the second run left nothing");
    project.engine(&["run", "plan.yaml", "--set", "mode=other", "--set", "name=y"]).expect(0);
    gate.open();
    live.end().expect(0);
    project.engine(&OTHER).expect(0);
    assert_eq!(log(&project), ["other", "wait", "other"]);
}

#[test]
fn a_busy_lock_skips() {
    let (project, mut gate, live) = held("skip");
    let output = project.engine(&OTHER).expect(0);
    assert!(output.stdout.contains("skipped"), "{}", output.stdout);
    gate.open();
    live.end().expect(0);
    assert_eq!(log(&project), ["wait"]);
}

#[test]
fn a_busy_lock_is_waited_for() {
    let (project, mut gate, live) = held("wait");
    let mut waiting = project.command(&OTHER);
    waiting.env("ENGINE_ACTOR", "bob");
    let waiting = Live::start(waiting);
    waiting.error_line("waiting for lock");
    gate.open();
    live.end().expect(0);
    waiting.end().expect(0);
    assert_eq!(log(&project), ["wait", "other"]);
}

/// A signal to whoever waits for a lock ends the wait. No run was begun, so none is left.
#[test]
fn a_wait_for_a_lock_is_ended_by_a_signal() {
    use rustix::process::{Signal, kill_process_group};
    let (project, mut gate, live) = held("wait");
    for (signal, code, is_for_all) in
        [(Signal::INT, 130, false), (Signal::INT, 130, true), (Signal::TERM, 143, false)]
    {
        let waiting = project.start(&OTHER);
        waiting.error_line("waiting for lock");
        if is_for_all {
            kill_process_group(waiting.pid(), signal).expect("it lives");
        } else {
            waiting.signal(signal);
        }
        let output = waiting.end().expect(code);
        assert_eq!((output.stdout.as_str(), output.stderr.lines().count()), ("", 1), "{}", output.stderr);
        assert_eq!(project.runs().len(), 1, "who only waited leaves nothing");
    }
    let list = project.engine(&["runs"]).expect(0);
    assert_eq!(list.stdout.lines().count(), 2, "{}", list.stdout);
    gate.open();
    live.end().expect(0);
    let resumed = project.engine(&["resume"]).expect(0);
    assert!(resumed.stdout.contains("nothing to resume"), "{}", resumed.stdout);
}

#[test]
fn a_resume_that_waits_for_a_lock_is_ended_by_a_signal() {
    let project = Project::with_plan(&plan("wait"));
    let mut gate = Gate::new(&project, "gate");
    project.engine(&["run", "plan.yaml", "--set", "mode=fail", "--run-id", "broken"]).expect(1);
    project.engine(&["unlock", "deploy/x", "--reason", "the other goes first"]).expect(0);
    let before = status(&project);
    let live = start_until(&project, "up");
    let resume = project.start(&["resume", "broken"]);
    resume.error_line("waiting for lock");
    resume.signal(rustix::process::Signal::INT);
    resume.end().expect(130);
    let after = tool_json(&project, "broken");
    assert_eq!((&after["state"], &after["records"]), (&before["state"], &before["records"]));
    gate.open();
    live.end().expect(0);
}

fn tool_json(project: &Project, run: &str) -> serde_json::Value {
    crate::tool::json(&project.engine(&["status", run, "--json"]).expect(0).stdout)
}

#[test]
fn a_resume_waits_for_a_busy_lock_too() {
    let project = Project::with_plan(&plan("wait"));
    let mut gate = Gate::new(&project, "gate");
    project.engine(&["run", "plan.yaml", "--set", "mode=fail", "--run-id", "broken"]).expect(1);
    project.engine(&["unlock", "deploy/x", "--reason", "the other goes first"]).expect(0);
    project.write("mended", "");
    let live = start_until(&project, "up");
    let resume = Live::start(project.command(&["resume", "broken"]));
    resume.error_line("waiting for lock");
    gate.open();
    live.end().expect(0);
    resume.end().expect(0);
    assert_eq!(log(&project), ["wait", "fail"]);
}

#[test]
fn a_wait_for_a_lock_ends() {
    let (project, mut gate, live) = held("wait, wait: 100ms");
    let output = project.engine(&OTHER).expect(7);
    assert!(output.stderr.contains("is held by run"), "{}", output.stderr);
    gate.open();
    live.end().expect(0);
}

#[test]
fn a_failed_run_keeps_its_lock_until_it_succeeds() {
    let project = Project::with_plan(&plan("fail"));
    project.engine(&["run", "plan.yaml", "--set", "mode=fail"]).expect(1);
    project.engine(&OTHER).expect(7);
    project.write("mended", "");
    project.engine(&["resume"]).expect(0);
    project.engine(&OTHER).expect(0);
    assert_eq!(log(&project), ["fail", "other"]);
}

#[test]
fn cancel_frees_the_lock_of_a_failed_run() {
    let project = Project::with_plan(&plan("fail"));
    project.engine(&["run", "plan.yaml", "--set", "mode=fail"]).expect(1);
    project.engine(&["cancel"]).expect(0);
    project.engine(&OTHER).expect(0);
}

#[test]
fn cancel_frees_the_lock_of_an_interrupted_run() {
    let (project, _gate, live) = held("fail");
    live.kill_worker();
    live.end();
    project.engine(&OTHER).expect(7);
    project.engine(&["cancel"]).expect(0);
    project.engine(&OTHER).expect(0);
}

#[test]
fn unlock_frees_a_dead_run_s_lock_and_no_live_one_s() {
    let (project, _gate, live) = held("fail");
    project.engine(&["unlock", "deploy/x", "--reason", "test"]).expect(7);
    live.kill_worker();
    live.end();
    project.engine(&["unlock", "nothing", "--reason", "test"]).expect(4);
    project.engine(&["unlock", "deploy/x", "--reason", "test"]).expect(0);
    project.engine(&OTHER).expect(0);
}

#[test]
fn a_run_that_waits_for_a_person_keeps_its_lock() {
    let project =
        Project::with_plan("version: 1\nlock: {name: l, on-busy: fail}\nstages:\n  ask: {uses: approval}\n");
    run(&project, 5);
    run(&project, 7);
    project.engine(&["approve", "ask"]).expect(0);
    project.engine(&["resume"]).expect(0);
    run(&project, 5);
}

#[test]
fn the_second_engine_on_a_run_ends_and_names_the_first() {
    let (project, mut gate, live) = held("fail");
    let id = project.only_run();
    let output = project.engine(&["resume", &id]).expect(7);
    assert!(output.stderr.contains(&id), "{}", output.stderr);
    assert!(output.stderr.contains("process") || output.stderr.contains("pid"), "{}", output.stderr);
    assert_eq!(status(&project)["alive"], true);
    gate.open();
    live.end().expect(0);
    assert_eq!(status(&project)["alive"], false);
}

#[test]
fn run_resume_finds_the_run_of_the_same_plan_inputs_and_key() {
    let project = Project::with_plan(&plan("skip").replace("lock:", "#"));
    let run = |args: &[&str], code| {
        let args: Vec<&str> = ["run", "plan.yaml", "--resume", "--set"].iter().chain(args).copied().collect();
        let output = project.engine(&args).expect(code);
        output.stdout.lines().next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned()
    };
    let first = run(&["mode=fail"], 1);
    assert_eq!(run(&["mode=fail"], 1), first, "the same run goes on");
    assert_ne!(run(&["mode=fail", "--set", "name=y"], 1), first, "other inputs");
    assert_ne!(run(&["mode=fail", "--key", "k"], 1), first, "another key");
    project.write("other.yaml", project.read("plan.yaml"));
    let other = project.engine(&["run", "other.yaml", "--resume", "--set", "mode=fail"]).expect(1);
    assert!(!other.stdout.contains(&first), "another plan");
    project.write("mended", "");
    assert_eq!(run(&["mode=fail"], 0), first);
    assert_ne!(run(&["mode=fail"], 0), first, "a successful run is over");
}
