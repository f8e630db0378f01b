//! Healing through the real binary: bodies in order, kill -9 in one of them, the limit, and who goes past it.

use crate::support::Project;
use crate::tool::{events_of, json, log, stage, status};

/// `serve` fails until there is a file `up`; the second of its bodies makes it.
const LADDER: &str = r#"
version: 1
name: shop
stages:
  serve:
    env: {WHO: serve}
    retry: 1
    timeout: 1m
    run: 'echo "$WHO" >> log; test -e up'
    heal:
      - {run: 'echo "restart for $WHO" >> log', cool-down: 10ms}
      - run: |
          echo "clear for $WHO" >> log
          if [ -e hold ]; then rm hold; echo held; exec sleep 600; fi
          touch up
  after: {needs: [serve], timeout: 1m, run: echo after >> log}
"#;

/// Healed, with one body that does not help before the one that does.
const HEALED: [&str; 7] = ["serve", "serve", "restart for serve", "serve", "serve", "clear for serve", "serve"];

#[test]
fn bodies_are_tried_in_order_and_the_stage_again_after_each() {
    let project = Project::with_plan(LADDER);
    let out = project.engine(&["run", "plan.yaml", "--report", "junit=junit.xml"]).expect(0);
    // What heals a stage is no stage, and no test case.
    assert!(out.stdout.contains("2 done of 2 stages"), "{}", out.stdout);
    let junit = project.read("junit.xml");
    assert!(junit.contains("tests=\"2\" failures=\"0\"") && junit.matches("<testcase ").count() == 2, "{junit}");
    assert!(junit.contains("<system-out>healed at try 2 of 2</system-out>"), "{junit}");
    let mut expected = HEALED.to_vec();
    expected.push("after");
    assert_eq!(log(&project), expected);
    for words in ["tries to heal it, 1 of 2", "tries to heal it, 2 of 2", "is tried again"] {
        assert!(out.stdout.contains(words), "`{words}` is missing in {}", out.stdout);
    }
    assert_eq!(status(&project)["state"], "success");
    for id in ["serve", "serve.heal-1", "serve.heal-2", "after"] {
        assert_eq!(stage(&project, id)["state"], "success", "{id}");
    }
    assert_eq!(events_of(&project, "heal-began", "serve").len(), 2);
    project.engine(&["verify"]).expect(0);
}

#[test]
fn the_dry_run_counts_what_healing_may_take() {
    let project = Project::with_plan(LADDER);
    let shown = json(&project.engine(&["plan", "plan.yaml", "--json"]).expect(0).stdout);
    let serve = shown["nodes"].as_array().into_iter().flatten().find(|it| it["id"] == "serve");
    let serve = serve.unwrap_or_else(|| panic!("{shown:#}"));
    // Twice a minute and ten seconds of grace, three times over, and each body once; one of them cools down.
    assert_eq!(serve["worst_ms"], 3 * 2 * 70_000 + 2 * 70_000 + 10);
    assert_eq!(serve["heal"].as_array().map(Vec::len), Some(2));
    let text = project.engine(&["plan", "plan.yaml"]).expect(0).stdout;
    assert!(text.contains("serve: 2 tries before it fails"), "{text}");
}

#[test]
fn killed_in_a_body_it_is_run_again_and_healing_goes_on() {
    let project = Project::with_plan(LADDER);
    project.write("hold", "");
    let live = project.start(&["run", "plan.yaml"]);
    live.line("held");
    live.kill();
    let shown = project.engine(&["plan", "--resume", &project.only_run()]).expect(0);
    assert!(shown.stdout.contains("serve.heal-2"), "{}", shown.stdout);
    project.engine(&["resume"]).expect(0);
    let mut expected = HEALED.to_vec();
    expected.insert(6, "clear for serve");
    expected.push("after");
    assert_eq!(log(&project), expected);
    project.engine(&["verify"]).expect(0);
}

#[test]
fn at_the_limit_the_run_halts_and_only_a_person_goes_on() {
    let plan = LADDER.replace("name: shop", "name: shop\nheal-depth: 1");
    let project = Project::with_plan(&plan);
    let out = project.engine(&["run", "plan.yaml", "--yes"]).expect(5);
    assert!(out.stdout.contains("guardian.halt"), "{}", out.stdout);
    assert!(out.stdout.contains("engine approve"), "{}", out.stdout);
    assert_eq!(log(&project), HEALED[..5], "the second body is one too many");
    let tickets = json(&project.engine(&["tickets", "list", "--json"]).expect(0).stdout);
    assert!(tickets.to_string().contains("guardian.halt"), "{tickets:#}");
    // Nothing goes on by itself, whoever asks.
    project.engine(&["resume", "--yes"]).expect(5);
    assert_eq!(log(&project), HEALED[..5]);
    project.engine(&["approve", "serve"]).expect(0);
    project.write("up", "");
    project.engine(&["resume"]).expect(0);
    assert_eq!(log(&project)[5..], ["serve", "after"]);
    assert_eq!(status(&project)["state"], "success");
}

#[test]
fn who_is_not_released_has_failed() {
    let plan = LADDER.replace("name: shop", "name: shop\nheal-depth: 1");
    let project = Project::with_plan(&plan);
    project.engine(&["run", "plan.yaml"]).expect(5);
    project.engine(&["reject", "serve", "-m", "the disk is gone"]).expect(0);
    project.engine(&["resume"]).expect(1);
    assert_eq!(stage(&project, "serve")["state"], "failed");
    assert_eq!(stage(&project, "after")["state"], "blocked");
}

#[test]
fn a_body_that_fails_is_followed_by_the_next_one_and_the_last_failure_counts() {
    let project = Project::with_plan(
        "version: 1\nstages:\n  a:\n    run: 'echo a >> log; false'\n    heal: [{run: 'echo one >> log; exit 3'}, {run: 'echo two >> log'}]\n",
    );
    let out = project.engine(&["run", "plan.yaml"]).expect(1);
    assert_eq!(log(&project), ["a", "one", "two", "a"]);
    assert!(out.stdout.contains("failed  run"), "{}", out.stdout);
    project.engine(&["resume"]).expect(1);
    assert_eq!(log(&project)[4..], ["a", "one", "two", "a"], "a new try begins with the first body");
}
