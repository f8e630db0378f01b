//! Transcripts of runs: what a person reads while and after.

use crate::plans;
use crate::support::Project;
use crate::transcript::{one, redact, transcript};

#[test]
fn a_good_run_and_all_that_looks_at_it() {
    let project = Project::with_plan(plans::SHOP);
    insta::assert_snapshot!(transcript(
        &project,
        &[
            "plan plan.yaml",
            "run plan.yaml --set tag=v2",
            "status",
            "runs",
            "logs",
            "logs ship",
            "report",
            "graph plan.yaml",
            "verify",
            "resume",
            "gc",
        ]
    ));
}

#[test]
fn what_is_not_known_yet_stands_by_name() {
    let project = Project::with_plan(plans::FORESEEN);
    let lines =
        ["plan plan.yaml", "graph plan.yaml", "graph plan.yaml --format mermaid", "graph plan.yaml --format dot"];
    insta::assert_snapshot!(transcript(&project, &lines));
    let json = project.engine(&["graph", "plan.yaml", "--format", "json"]).expect(0).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let edges: Vec<String> = json["edges"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|edge| format!("{} {}", edge["from"].as_str().expect("an id"), edge["to"].as_str().expect("an id")))
        .collect();
    // No need is left out, unlike in the drawings.
    for edge in
        ["build test", "build ship:eu", "test ship:eu", "build ask", "build said", "ask said", "ship:us page"]
    {
        assert!(edges.iter().any(|one| one == edge), "`{edge}` is among {edges:?}");
    }
}

#[test]
fn a_failure_is_mended_and_resumed() {
    let project = Project::with_plan(plans::BROKEN);
    let mut text = transcript(&project, &["run plan.yaml", "status", "report", "plan --resume 2"]);
    project.write("mended", "");
    text += &transcript(&project, &["resume", "status", "runs"]);
    insta::assert_snapshot!(text);
}

#[test]
fn an_approval_is_asked_given_and_used() {
    let project = Project::with_plan(plans::GATED);
    insta::assert_snapshot!(transcript(
        &project,
        &[
            "run plan.yaml",
            "status",
            "approve ship",
            "approve goo",
            "approve go --message fine",
            "status",
            "approve go",
            "resume",
        ]
    ));
}

#[test]
fn a_rejection_fails_the_run() {
    let project = Project::with_plan(plans::GATED);
    insta::assert_snapshot!(transcript(
        &project,
        &["run plan.yaml", "reject go --message no", "resume", "cancel"]
    ));
}

#[test]
fn yes_answers_every_question() {
    let project = Project::with_plan(plans::GATED);
    insta::assert_snapshot!(transcript(&project, &["run plan.yaml --yes"]));
}

#[test]
fn skips_retries_and_allowed_failures_are_told() {
    let project = Project::with_plan(plans::MIXED);
    insta::assert_snapshot!(transcript(&project, &["run plan.yaml", "status"]));
}

#[test]
fn an_edited_plan_has_to_be_accepted() {
    let project = Project::with_plan(plans::BROKEN);
    let mut text = transcript(&project, &["run plan.yaml -q"]);
    project.write(
        "plan.yaml",
        plans::BROKEN.replace("looking", "looking again").replace("test -e mended ||", "true ||"),
    );
    text += &transcript(&project, &["plan --resume 2", "resume", "resume --accept-changes"]);
    insta::assert_snapshot!(text);
}

#[test]
fn a_damaged_record_is_named() {
    let project = Project::with_plan(plans::BROKEN);
    project.engine(&["run", "plan.yaml", "--run-id", "r1"]).expect(1);
    let path = project.path(".engine/runs/r1/journal");
    let mut bytes = std::fs::read(&path).expect("a journal");
    let at = bytes.len() / 2;
    bytes[at] ^= 0x10;
    std::fs::write(&path, bytes).expect("damage");
    insta::assert_snapshot!(transcript(&project, &["verify", "status", "resume", "runs", "logs", "doctor"]));
}

#[test]
fn a_damaged_snapshot_is_named() {
    let project = Project::with_plan(plans::BROKEN);
    project.engine(&["run", "plan.yaml", "--run-id", "r1"]).expect(1);
    let path = project.path(".engine/runs/r1/plan/000-plan.yaml");
    std::fs::write(&path, plans::SHOP).expect("damage");
    insta::assert_snapshot!(transcript(&project, &["verify", "resume"]));
}

#[test]
fn two_runs_are_compared() {
    let project = Project::with_plan(plans::BROKEN);
    project.engine(&["run", "plan.yaml", "--run-id", "a"]).expect(1);
    project.write("mended", "");
    project.engine(&["run", "plan.yaml", "--run-id", "b"]).expect(0);
    insta::assert_snapshot!(transcript(&project, &["diff a b", "diff a c"]));
}

#[test]
fn init_writes_a_plan_that_runs() {
    let project = Project::new();
    std::fs::remove_dir(project.path(".git")).expect("an empty folder");
    insta::assert_snapshot!(transcript(
        &project,
        &["init", "plan plan.yaml", "run plan.yaml -j 1", "status", "init"]
    ));
}

#[test]
fn init_writes_toml_as_well() {
    let project = Project::new();
    let made = project.engine(&["init", "--toml", "sub"]).expect(0);
    let name = if project.has("sub/plan.toml") { "sub/plan.toml" } else { panic!("{made:?}") };
    project.engine(&["check", name]).expect(0);
    project.engine(&["run", name]).expect(0);
}

#[test]
fn github_folds_annotates_and_summarises() {
    let project = Project::with_plan(plans::BROKEN);
    let summary = project.path("summary.md");
    let env = [("GITHUB_ACTIONS", "true"), ("GITHUB_STEP_SUMMARY", summary.to_str().expect("a path"))];
    let text = one(&project, &env, "run plan.yaml");
    let text = format!("{text}--- summary\n{}", redact(&project, &project.read("summary.md")));
    insta::assert_snapshot!(text);
}

#[test]
fn gitlab_has_sections() {
    let project = Project::with_plan(plans::BROKEN);
    let text = one(&project, &[("GITLAB_CI", "true")], "run plan.yaml");
    insta::assert_snapshot!(text.replace('\u{1b}', "␛").replace('\r', "␍"));
}

#[test]
fn quiet_says_only_what_went_wrong() {
    let project = Project::with_plan(plans::SHOP);
    project.write("broken.yaml", plans::BROKEN);
    insta::assert_snapshot!(transcript(
        &project,
        &["run plan.yaml -q", "run plan.yaml --output quiet", "run broken.yaml -q", "check -q plan.yaml"]
    ));
}

/// What runs after an accepted edit is the new text.
#[test]
fn an_accepted_edit_is_what_runs() {
    let project = Project::with_plan(plans::BROKEN);
    project.engine(&["run", "plan.yaml"]).expect(1);
    project.write("plan.yaml", plans::BROKEN.replace("test -e mended", "touch proof"));
    project.engine(&["resume", "--accept-changes"]).expect(0);
    assert!(project.has("proof"));
}
