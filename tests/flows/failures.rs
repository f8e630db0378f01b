//! What follows from a failure: scopes, handlers, allowed failures, the clean-up, exit codes.

use crate::support::Project;
use crate::tool::{Gate, count, expect_states, is_alive, log, run, stage, start_until};

#[test]
fn drain_lets_what_runs_end_and_starts_nothing() {
    let project = Project::with_plan(
        r"
version: 1
max-parallel: 2
stages:
  slow: {run: 'read -r _ < gate; echo slow >> log'}
  bad: {run: exit 1}
  free: {needs: [slow], run: echo free >> log}
",
    );
    let mut gate = Gate::new(&project, "gate");
    let live = start_until(&project, "drain");
    gate.open();
    live.end().expect(1);
    assert_eq!(log(&project), ["slow"]);
    expect_states(&project, "slow=success bad=failed free=blocked");
}

#[test]
fn kill_stops_the_running_stages_of_its_scope_only() {
    let project = Project::with_plan(
        r"
version: 1
max-parallel: 3
groups: {fragile: {on-failure: kill}}
stages:
  victim: {group: fragile, stop: {grace: 100ms}, run: 'touch victim; exec sleep 600'}
  bystander: {run: 'read -r _ < gate; echo bystander >> log'}
  bad: {group: fragile, run: 'while [ ! -e victim ]; do :; done; exit 1'}
",
    );
    let mut gate = Gate::new(&project, "gate");
    let live = start_until(&project, "cancelled  victim");
    gate.open();
    live.end().expect(1);
    assert_eq!(log(&project), ["bystander"]);
    expect_states(&project, "victim=cancelled bystander=success bad=failed");
}

#[test]
fn continue_keeps_a_failure_in_its_scope() {
    let project = Project::with_plan(
        r#"
version: 1
groups: {loose: {on-failure: continue}}
stages:
  bad: {group: loose, run: exit 1}
  dependent: {needs: [bad], run: echo dependent >> log}
  other: {needs: [third], run: echo other >> log}
  third: {run: "true"}
"#,
    );
    run(&project, 1);
    assert_eq!(log(&project), ["other"]);
    expect_states(&project, "bad=failed dependent=blocked other=success third=success");
}

#[test]
fn keep_going_is_continue_for_the_plan() {
    let project = Project::with_plan(
        "version: 1\nmax-parallel: 1\nstages:\n  bad: {run: exit 1}\n  good: {run: echo good >> log}\n",
    );
    project.engine(&["run", "plan.yaml", "-k"]).expect(1);
    assert_eq!(log(&project), ["good"]);
}

#[test]
fn a_handler_runs_while_the_run_drains_and_is_skipped_without_a_failure() {
    let plan = r#"
version: 1
inputs: {fails: {type: bool, default: true}}
stages:
  work: {env: {F: "{{ inputs.fails }}"}, run: '[ "$F" = false ]'}
  handle: {needs: [{stage: work, accept: [failed]}], env: {S: "{{ needs.work.state }}"}, run: echo "handle $S" >> log}
  then: {needs: [handle], run: echo then >> log}
  next: {needs: [work], run: echo next >> log}
"#;
    let project = Project::with_plan(plan);
    run(&project, 1);
    assert_eq!(log(&project), ["handle failed"]);
    let project = Project::with_plan(plan);
    project.engine(&["run", "plan.yaml", "--set", "fails=false"]).expect(0);
    assert_eq!(count(&project, "handle failed"), 0);
    assert_eq!(stage(&project, "handle")["state"], "skipped");
    assert_eq!(stage(&project, "next")["state"], "success");
}

#[test]
fn an_allowed_failure_changes_nothing_but_its_own_state() {
    let project = Project::with_plan(
        r"
version: 1
on-failure: continue
stages:
  any: {allow-failure: true, run: exit 9}
  some: {allow-failure: {exit: [3]}, run: exit 3}
  next: {needs: [any, some], run: echo next >> log}
",
    );
    run(&project, 0);
    assert_eq!(log(&project), ["next"]);
    expect_states(&project, "any=allowed-failure some=allowed-failure next=success");
    let project = Project::with_plan("version: 1\nstages: {some: {allow-failure: {exit: [3]}, run: exit 4}}\n");
    run(&project, 1);
    expect_states(&project, "some=failed");
}

#[test]
fn the_clean_up_runs_after_success_and_after_failure_and_sees_the_states() {
    for (code, state) in [(0, "success"), (1, "failed")] {
        let project = Project::with_plan(&format!(
            r#"
version: 1
stages: {{a: {{run: exit {code}}}}}
finally:
  stages:
    notify: {{env: {{S: "{{{{ run.state }}}} {{{{ needs.a.state }}}}"}}, run: echo "notify $S" >> log}}
    only-bad: {{if: run.state == 'failed', run: echo bad >> log}}
"#
        ));
        run(&project, code);
        let mut expected = vec![format!("notify {state} {state}")];
        expected.extend((code == 1).then(|| "bad".to_owned()));
        let mut found = log(&project);
        found.sort_by_key(|line| line == "bad");
        assert_eq!(found, expected);
    }
}

#[test]
fn a_failed_clean_up_fails_the_run_unless_it_is_allowed_to() {
    let plan = |allow: bool| {
        format!(
            "version: 1\nstages: {{a: {{run: 'true'}}}}\nfinally: {{stages: {{t: {{run: exit 1, allow-failure: {allow}}}}}}}\n"
        )
    };
    run(&Project::with_plan(&plan(false)), 1);
    run(&Project::with_plan(&plan(true)), 0);
}

#[test]
fn nothing_but_missing_tools_is_a_fault_of_the_environment() {
    let project = Project::with_plan(
        "version: 1\non-failure: continue\nstages:\n  a: {run: [no-such-tool-at-all]}\n  b: {needs: [a], run: 'true'}\n",
    );
    let output = run(&project, 9);
    assert!(output.stdout.contains("no-such-tool-at-all"), "{}", output.stdout);
    let project = Project::with_plan(
        "version: 1\non-failure: continue\nstages:\n  a: {run: [no-such-tool-at-all]}\n  b: {run: exit 1}\n",
    );
    run(&project, 1);
}

#[test]
fn what_a_stage_leaves_behind_is_killed_and_named() {
    let project = Project::with_plan(
        "version: 1\nstages:\n  a: {run: 'setsid sleep 1000 & echo $! > pid'}\n  b: {needs: [a], run: echo b >> log}\n",
    );
    run(&project, 0);
    assert!(!is_alive(&project.read("pid")));
    assert_eq!(log(&project), ["b"]);
    let notes = stage(&project, "a")["notes"].to_string();
    assert!(notes.contains(project.read("pid").trim()), "{notes}");
}

#[test]
fn lifetimes_run_and_host_let_processes_live_so_long() {
    let project = Project::with_plan(
        r"
version: 1
stages:
  service: {lifetime: run, stop: {grace: 2s}, run: 'setsid sleep 1000 > /dev/null 2>&1 & echo $! > service'}
  machine: {lifetime: host, run: 'setsid sleep 1000 > /dev/null 2>&1 & echo $! > machine'}
  look: {needs: [service, machine], run: 'kill -0 $(cat service) && kill -0 $(cat machine) && echo both >> log'}
",
    );
    run(&project, 0);
    assert_eq!(log(&project), ["both"]);
    assert!(!is_alive(&project.read("service")), "stopped with the run");
    let machine = project.read("machine");
    assert!(is_alive(&machine), "handed to the machine");
    let pid = machine.trim().parse().ok().and_then(rustix::process::Pid::from_raw).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("ours");
}
