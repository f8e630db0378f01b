//! Approvals, unknown outcomes, and what only a person can decide.

use crate::support::Project;
use crate::tool::{
    Gate, count, events_of, expect_states, json, log, on_a_terminal, run, stage, start_until, status,
};

const GATE: &str = r#"
version: 1
inputs: {tag: {type: string, default: v1}}
stages:
  build: {run: echo build >> log}
  approve: {needs: [build], uses: approval, with: {prompt: "Ship {{ inputs.tag }}?"}}
  ship: {needs: [approve], run: echo ship >> log}
"#;

#[test]
fn without_a_person_an_approval_leaves_the_run_waiting_and_the_verbs_decide() {
    let project = Project::with_plan(GATE);
    let output = run(&project, 5);
    assert!(output.stdout.contains("engine approve"), "{}", output.stdout);
    assert_eq!(status(&project)["state"], "waiting");
    // Nobody decided yet: waiting once more changes nothing.
    project.engine(&["resume"]).expect(5);
    assert_eq!(log(&project), ["build"]);
    project.engine(&["approve", "ship"]).expect(4);
    project.engine(&["approve", "nothing"]).expect(4);
    project.engine(&["approve", "approve", "-m", "looks good"]).expect(0);
    project.engine(&["approve", "approve"]).expect(4);
    project.engine(&["resume"]).expect(0);
    assert_eq!(log(&project), ["build", "ship"]);
    let decided = events_of(&project, "approval-decided", "approve");
    assert_eq!(decided.len(), 1);
    assert_eq!(decided[0]["note"], "looks good");
    assert!(decided[0]["by"].as_str().is_some_and(|by| by.starts_with("ann@")), "{}", decided[0]);
}

#[test]
fn a_rejection_fails_the_gate_and_a_resume_asks_again() {
    let project = Project::with_plan(GATE);
    run(&project, 5);
    project.engine(&["reject", "approve"]).expect(0);
    project.engine(&["resume"]).expect(1);
    expect_states(&project, "build=success approve=failed ship=blocked");
    project.engine(&["resume"]).expect(5);
    project.engine(&["approve", "approve"]).expect(0);
    project.engine(&["resume"]).expect(0);
    assert_eq!(log(&project), ["build", "ship"]);
}

#[test]
fn yes_answers_every_approval() {
    let project = Project::with_plan(GATE);
    project.engine(&["run", "plan.yaml", "--yes"]).expect(0);
    assert_eq!(log(&project), ["build", "ship"]);
}

#[test]
fn a_live_run_takes_the_decision_from_its_inbox() {
    for (verb, code, state) in [("approve", 0, "success"), ("reject", 1, "failed")] {
        let project = Project::with_plan(
            r"
version: 1
on-failure: continue
stages:
  long: {run: 'while [ ! -e decided ]; do :; done'}
  approve: {uses: approval}
  ship: {needs: [approve], run: touch decided}
  back: {needs: [{stage: approve, accept: [failed]}], run: touch decided}
",
        );
        let live = start_until(&project, "approve");
        let output = project.engine(&[verb, "approve", "--json"]).expect(0);
        assert!(output.stdout.contains("\"live\": true"), "{}", output.stdout);
        live.end().expect(code);
        assert_eq!(stage(&project, "approve")["state"], state);
    }
}

#[test]
fn an_approval_s_timeout_is_its_whole_wait() {
    let project = Project::with_plan(
        "version: 1\nstages:\n  hold: {run: 'while [ ! -e done ]; do :; done'}\n  ask: {uses: approval, timeout: 200ms}\n  late: {needs: [{stage: ask, accept: [failed]}], run: touch done}\n",
    );
    run(&project, 1);
    expect_states(&project, "hold=success ask=timed-out late=success");
}

#[test]
fn an_approval_that_expires_while_no_engine_lives_is_found_expired() {
    let project = Project::with_plan("version: 1\nstages:\n  ask: {uses: approval, timeout: 100ms}\n");
    // Either the wait ends before the engine leaves, or the next engine finds it over.
    let first = project.engine(&["run", "plan.yaml"]);
    if first.status == 5 {
        while project.engine(&["resume"]).status == 5 {}
    }
    expect_states(&project, "ask=timed-out");
}

#[test]
fn a_person_at_a_terminal_is_asked_until_the_answer_is_clear() {
    for (answer, code, lines) in [("y", 0, 2), ("n", 1, 1)] {
        let project = Project::with_plan(&format!(
            "{GATE}  hold: {{run: 'while [ ! -e answered ]; do :; done'}}\n  go: {{needs: [{{stage: approve, accept: [success, failed]}}], run: touch answered}}\n"
        ));
        let mut live = on_a_terminal(&project, "", "run plan.yaml");
        live.say("maybe\n");
        live.say(&format!("{answer}\n"));
        let output = live.end_open();
        assert_eq!(output.status, code, "{}", output.stdout);
        assert!(output.stdout.contains("Ship v1?"), "{}", output.stdout);
        assert_eq!(log(&project).len(), lines, "{}", output.stdout);
    }
}

#[test]
fn ctrl_c_at_a_terminal_stops_with_grace_and_runs_the_clean_up() {
    let project = Project::with_plan(
        r#"
version: 1
stages: {long: {run: "trap 'echo asked >> log; exit 0' TERM; echo up > up; while :; do sleep 1000 & wait || true; done"}}
finally: {stages: {tidy: {run: echo tidy >> log}}}
"#,
    );
    let mut live = on_a_terminal(&project, "", "run plan.yaml --output plain --color never");
    live.line("start  long");
    while !project.has("up") {
        std::thread::yield_now();
    }
    live.say("\u{3}");
    let output = live.end_open();
    assert_eq!(output.status, 130, "{}", output.stdout);
    assert_eq!(log(&project), ["asked", "tidy"]);
}

const ONCE: &str = r"
version: 1
stages:
  migrate:
    idempotent: false
    run: 'echo migrate >> log; echo up; [ -e calm ] || exec sleep 600'
  after: {needs: [migrate], run: echo after >> log}
";

/// A run whose engine was killed while `migrate` ran.
fn killed(plan: &str) -> Project {
    let project = Project::with_plan(plan);
    let live = start_until(&project, "up");
    live.kill_worker();
    let output = live.end();
    assert_eq!(output.status, 137, "{}", output.stderr);
    assert!(output.stderr.contains("engine resume"), "{}", output.stderr);
    project.write("calm", "");
    project
}

#[test]
fn an_unknown_outcome_waits_for_a_person_who_may_say_three_things() {
    for (word, code, lines) in [
        ("success", 0, vec!["migrate", "after"]),
        ("failed", 1, vec!["migrate"]),
        ("rerun", 0, vec!["migrate", "migrate", "after"]),
    ] {
        let project = killed(ONCE);
        let output = project.engine(&["resume"]).expect(5);
        assert!(output.stdout.contains("engine resolve"), "{}", output.stdout);
        assert_eq!(stage(&project, "migrate")["state"], "unknown");
        let id = project.only_run();
        project.engine(&["resolve", &id, "after", "--as", "success"]).expect(4);
        project.engine(&["resolve", &id, "migrate", "--as", word, "-m", "looked"]).expect(0);
        project.engine(&["resume"]).expect(code);
        assert_eq!(log(&project), lines, "{word}");
    }
}

#[test]
fn done_if_is_asked_before_anything_else_after_a_crash() {
    for (answer, code, migrations) in [(0, 0, 1), (1, 0, 2), (7, 5, 1)] {
        let plan = ONCE.replace(
            "    run: 'echo",
            &format!("    done-if: {{run: 'echo asked >> log; exit {answer}'}}\n    run: 'echo"),
        );
        let project = killed(&plan);
        project.engine(&["resume"]).expect(code);
        assert_eq!(count(&project, "migrate"), migrations, "done-if says {answer}");
        assert_eq!(log(&project)[1], "asked");
        assert_eq!(count(&project, "asked"), 1);
    }
}

#[test]
fn an_idempotent_stage_simply_runs_again_after_a_crash() {
    let project = killed(&ONCE.replace("    idempotent: false\n", ""));
    project.engine(&["resume"]).expect(0);
    assert_eq!(log(&project), ["migrate", "migrate", "after"]);
}

#[test]
fn done_if_is_asked_after_a_timeout_too() {
    let project = Project::with_plan(
        r"
version: 1
stages:
  migrate:
    idempotent: false
    timeout: 200ms
    stop: {grace: 50ms}
    done-if: {run: test -e done}
    run: 'echo migrate >> log; touch done; exec sleep 600'
  after: {needs: [migrate], run: echo after >> log}
",
    );
    run(&project, 0);
    assert_eq!(log(&project), ["migrate", "after"]);
}

#[test]
fn what_a_person_says_while_no_engine_lives_ends_nothing_and_counts_no_time() {
    let project = Project::with_plan(
        "version: 1\ntimeout: 4s\nstages:\n  ok: {uses: approval, timeout: 1h}\n  hold: {run: 'echo up; read -r _ < gate'}\n",
    );
    project.write("while.yaml", "version: 1\nstages:\n  away: {run: exec sleep 4.2}\n");
    let mut gate = Gate::new(&project, "gate");
    let live = start_until(&project, "up");
    let run = project.only_run();
    live.kill();
    // Longer than the run's timeout.
    project.engine(&["run", "while.yaml"]).expect(0);
    project.engine(&["approve", &run, "ok"]).expect(0);
    let left = json(&project.engine(&["status", &run, "--json"]).expect(0).stdout);
    assert_eq!(left["cancel"], serde_json::Value::Null, "nobody and nothing ended it: {left}");
    assert!(left["duration_ms"].as_u64().expect("it began") < 4000, "{left}");
    gate.open();
    project.engine(&["resume", &run]).expect(0);
    let done = json(&project.engine(&["status", &run, "--json"]).expect(0).stdout);
    assert!(done["sessions"][1]["gap_ms"].as_u64().expect("a second engine") >= 4200, "{done}");
    assert_eq!(done["state"], "success");
}

#[test]
fn a_word_about_an_unknown_outcome_stands_and_its_stage_took_no_time_meanwhile() {
    let project = Project::with_plan(
        "version: 1\nstages:\n  once: {idempotent: false, timeout: 1h, run: 'echo up; read -r _ < gate'}\n",
    );
    let _gate = Gate::new(&project, "gate");
    start_until(&project, "up").kill();
    project.engine(&["resume"]).expect(5);
    let ended = stage(&project, "once")["ended"].clone();
    // The newest unfinished run is meant, as with `approve`.
    project.engine(&["resolve", "once", "--as", "failed"]).expect(0);
    let again = project.engine(&["resolve", "once", "--as", "success"]).expect(4);
    assert!(again.stderr.contains("resolved already: as failed, in effect once resumed"), "{}", again.stderr);
    assert!(again.stderr.contains("engine resume"), "{}", again.stderr);
    project.engine(&["resume"]).expect(1);
    assert_eq!(stage(&project, "once")["ended"], ended, "when nobody knew any more");
}
