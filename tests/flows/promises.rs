//! Objectives, optional groups and tickets, by the real program.

use serde_json::{Value, json};

use crate::support::Project;
use crate::tool::{self, Gate, events, events_of, expect_states, run, start_until, status};

const PLAN: &str = "version: 1
name: shop
groups:
  runtime: {on-failure: continue}
  extras: {readiness: optional}
stages:
  check: {run: 'true'}
  migrate: {run: 'echo about to break; echo relation exists >&2; exit 3', group: runtime}
  verify: {run: 'true', group: runtime, needs: [migrate]}
  warm: {run: 'exit 9', group: extras}
";

#[track_caller]
fn tickets(project: &Project) -> Vec<Value> {
    let all = tool::json(&project.engine(&["tickets", "list", "--json"]).expect(0).stdout);
    all["tickets"].as_array().expect("a list").clone()
}

#[track_caller]
fn ticket_of(project: &Project, stage: &str) -> Value {
    let all = tickets(project);
    all.iter().find(|one| one["stage"] == stage).unwrap_or_else(|| panic!("none of `{stage}`: {all:?}")).clone()
}

#[test]
fn what_a_scope_contains_becomes_a_ticket_and_the_verdict_says_what_is_ready() {
    let project = Project::with_plan(PLAN);
    let output = run(&project, 1);
    assert!(output.stdout.contains("not ready  group runtime  `migrate` failed"), "{}", output.stdout);
    let status = status(&project);
    let groups: Vec<_> =
        status["groups"].as_array().expect("groups").iter().map(|it| (&it["name"], &it["state"])).collect();
    assert_eq!(groups, [(&json!("runtime"), &json!("not-ready")), (&json!("extras"), &json!("not-ready"))]);
    let ticket = ticket_of(&project, "migrate");
    assert_eq!(
        (&ticket["severity"], &ticket["state"], &ticket["count"]),
        (&json!("critical"), &json!("open"), &json!(1))
    );
    assert_eq!(ticket["errors"], json!(["failed: exit 3"]));
    assert_eq!(ticket["log"], json!(["about to break", "relation exists"]));
    assert_eq!(ticket_of(&project, "warm")["severity"], "major");
    let raised = events_of(&project, "ticket-raised", "migrate");
    assert_eq!((raised.len(), &raised[0]["why"]), (1, &json!("exit 3")));
    let why: Vec<_> = status["tickets"].as_array().expect("tickets").iter().map(|it| &it["why"]).collect();
    assert!(why.contains(&&json!("exit 3")) && !why.contains(&&json!("")), "{why:?}");
    let shown = project.engine(&["tickets", "show", ticket["ticket"].as_str().expect("an id")]).expect(0).stdout;
    assert!(shown.contains("relation exists") && shown.contains("engine resume"), "{shown}");
}

#[test]
fn the_same_thing_again_is_the_same_ticket_and_opens_a_closed_one() {
    let project = Project::with_plan(PLAN);
    run(&project, 1);
    let id = ticket_of(&project, "migrate")["ticket"].as_str().expect("an id").to_owned();
    project.engine(&["tickets", "ack", &id[..6], "-m", "I look"]).expect(0);
    project.engine(&["resume"]).expect(1);
    let ticket = ticket_of(&project, "migrate");
    assert_eq!(
        (&ticket["count"], &ticket["state"], &ticket["note"]),
        (&json!(2), &json!("acknowledged"), &json!("I look"))
    );
    project.engine(&["tickets", "close", &id]).expect(0);
    assert!(tickets(&project).iter().all(|one| one["ticket"] != id.as_str()));
    run(&project, 1);
    let ticket = ticket_of(&project, "migrate");
    assert_eq!((&ticket["count"], &ticket["state"]), (&json!(3), &json!("open")));
    assert_eq!(ticket["seen"].as_array().map(Vec::len), Some(2));
    project.engine(&["tickets", "show", "zzz"]).expect(4);
}

#[test]
fn a_run_does_without_an_optional_group() {
    let project = Project::with_plan(
        "version: 1\ngroups: {extras: {readiness: optional}}\nstages:\n  warm: {run: 'exit 9', group: extras}\n  \
         after: {run: 'true', group: extras, needs: [warm]}\n  ship: {run: 'true'}\n",
    );
    run(&project, 0);
    expect_states(&project, "warm=failed after=blocked ship=success");
    assert_eq!(ticket_of(&project, "warm")["severity"], "major");
}

/// An engine that dies between the fact and the file leaves a journal without tickets.
#[test]
fn tickets_that_nobody_filed_are_filed_once_by_whoever_looks() {
    let project = Project::with_plan(PLAN);
    run(&project, 1);
    let before = tickets(&project);
    let run_id = project.only_run();
    for filed in [false, true] {
        std::fs::remove_dir_all(project.path(".engine/tickets")).expect("tickets were there");
        std::fs::remove_file(project.path(format!(".engine/runs/{run_id}/filed"))).expect("the note was there");
        if filed {
            // Twice at once, and each sees all of them.
            let lists: Vec<_> = (0..2).map(|_| project.start(&["tickets", "list", "--json"])).collect();
            for list in lists {
                let all = tool::json(&list.end().expect(0).stdout);
                assert_eq!(all["tickets"].as_array().map(Vec::len), Some(2));
            }
        }
        assert_eq!(tickets(&project), before);
    }
}

#[test]
fn an_engine_killed_behind_a_contained_failure_leaves_one_ticket() {
    let project = Project::with_plan(
        "version: 1\nmax-parallel: 2\non-failure: continue\nstages:\n  bad: {run: 'exit 3'}\n  \
         slow: {run: 'read -r _ < gate', idempotent: true}\n",
    );
    let mut gate = Gate::new(&project, "gate");
    let live = start_until(&project, "ticket  bad");
    live.kill_worker();
    drop(live.end());
    gate.open();
    project.engine(&["resume"]).expect(1);
    assert_eq!(ticket_of(&project, "bad")["count"], 1);
}

/// Nothing was raised before, and the stage has another number in the edited plan.
#[test]
fn the_first_ticket_of_a_resumed_and_edited_run_has_what_its_stage_printed() {
    let plan = |first: &str, bad: &str| {
        format!(
            "version: 1\non-failure: continue\nstages:\n{first}  \
             slow: {{run: 'read -r _ < gate', idempotent: true}}\n  bad: {{run: '{bad}', needs: [slow]}}\n"
        )
    };
    let project = Project::with_plan(&plan("", "exit 3"));
    let mut gate = Gate::new(&project, "gate");
    let live = start_until(&project, "start  slow");
    live.kill_worker();
    drop(live.end());
    gate.open();
    project.write("plan.yaml", plan("  first: {run: 'true'}\n", "echo about to break; exit 4"));
    project.engine(&["resume", "--accept-changes"]).expect(1);
    let ticket = ticket_of(&project, "bad");
    assert_eq!(
        (&ticket["count"], &ticket["errors"], &ticket["log"]),
        (&json!(1), &json!(["failed: exit 4"]), &json!(["about to break"]))
    );
}

#[test]
fn a_folder_that_refuses_costs_a_warning_and_no_ticket() {
    let project = Project::with_plan(PLAN);
    project.write(".engine/tickets", "in the way");
    let output = run(&project, 1);
    assert!(output.stderr.contains("a ticket could not be written"), "{}", output.stderr);
    project.engine(&["tickets", "list"]).expect(9);
    std::fs::remove_file(project.path(".engine/tickets")).expect("it was there");
    assert_eq!(tickets(&project).len(), 2);
}

#[test]
fn a_file_that_is_no_ticket_any_more_is_told_and_put_aside() {
    let project = Project::with_plan(PLAN);
    run(&project, 1);
    let id = ticket_of(&project, "migrate")["ticket"].as_str().expect("an id").to_owned();
    project.write(format!(".engine/tickets/{id}.json"), "{\"version\": 1, ");
    let listed = project.engine(&["tickets", "list"]).expect(0);
    assert!(listed.stderr.contains("cannot be read"), "{}", listed.stderr);
    project.engine(&["tickets", "show", &id]).expect(8);
    run(&project, 1);
    assert_eq!(ticket_of(&project, "migrate")["count"], 1);
    assert!(project.has(format!(".engine/tickets/{id}.damaged-1")));
}

const LATE: &str = "version: 1
groups: {slow: {slo: {duration: 1ms, on-breach: fail}}}
stages:
  wait: {run: 'read -r _ < gate', group: slow}
  next: {run: 'true', needs: [wait]}
";

#[test]
fn a_run_that_only_an_slo_failed_exits_with_6_and_a_resume_accepts_it() {
    let project = Project::with_plan(LATE);
    let mut gate = Gate::new(&project, "gate");
    let live = start_until(&project, "has taken longer than its `slo` of 1ms");
    gate.open();
    live.end().expect(6);
    expect_states(&project, "wait=success next=success");
    let of_run = status(&project);
    assert_eq!(
        (&of_run["state"], &of_run["only_late"], &of_run["slos"][0]["state"]),
        (&json!("failed"), &json!(true), &json!("breached"))
    );
    let html = project.engine(&["report", "--format", "html"]).expect(0).stdout;
    assert!(html.contains("slo group slow"), "{html}");
    let junit = project.engine(&["report", "--format", "junit"]).expect(0).stdout;
    assert!(junit.contains("<property name=\"slo group slow\" value=\"breached\"/>"), "{junit}");
    project.engine(&["resume"]).expect(0);
    assert_eq!(events(&project).iter().filter(|event| event["event"] == "slo-breached").count(), 1);
    let ticket = &tickets(&project)[0];
    assert_eq!(
        (&ticket["kind"], &ticket["severity"], &ticket["count"]),
        (&json!("late"), &json!("major"), &json!(1))
    );
    let slo = tool::json(&project.engine(&["slo", "--json", "--target", "50"]).expect(0).stdout);
    let one = &slo["objectives"][0];
    assert_eq!(
        (&one["name"], &one["runs"], &one["breached"], &one["budget"], &one["exhausted"]),
        (&json!("slow"), &json!(1), &json!(1), &json!(0), &json!(true))
    );
}

#[test]
fn a_late_stage_fails_at_its_end_and_blocks_what_needs_it() {
    let project = Project::with_plan(
        &LATE
            .replace("groups: {slow: {slo: {duration: 1ms, on-breach: fail}}}\n", "")
            .replace(", group: slow}", ", slo: {duration: 1ms, on-breach: fail}}"),
    );
    let mut gate = Gate::new(&project, "gate");
    let live = start_until(&project, "has taken longer than its `slo` of 1ms");
    gate.open();
    live.end().expect(6);
    expect_states(&project, "wait=failed next=blocked");
    project.engine(&["resume"]).expect(0);
    expect_states(&project, "wait=success next=success");
}

#[test]
fn a_clock_goes_on_while_no_engine_lives() {
    let project = Project::with_plan(&LATE.replace("1ms, on-breach: fail", "10m"));
    let mut gate = Gate::new(&project, "gate");
    let live = start_until(&project, "start  wait");
    live.kill_worker();
    drop(live.end());
    let before = status(&project)["slos"][0]["took_ms"].as_u64().expect("its clock runs");
    gate.open();
    project.engine(&["resume"]).expect(0);
    let slo = &status(&project)["slos"][0];
    assert_eq!(slo["state"], "met");
    assert!(slo["took_ms"].as_u64().expect("it took time") >= before, "{slo}");
}

#[test]
fn a_run_that_fails_again_lists_its_ticket_once() {
    let project = Project::with_plan(
        "version: 1\ngroups: {side: {on-failure: continue}}\nstages:\n  bad: {group: side, run: exit 3}\n",
    );
    project.engine(&["run", "plan.yaml"]).expect(1);
    project.engine(&["resume"]).expect(1);
    assert_eq!(status(&project)["tickets"].as_array().map(Vec::len), Some(1));
    let told = project.engine(&["status"]).expect(0).stdout;
    assert!(told.contains("\n1 ticket "), "{told}");
    let page = project.engine(&["report", "--format", "html"]).expect(0).stdout;
    assert_eq!(page.matches(">ticket</span>").count(), 1);
}
