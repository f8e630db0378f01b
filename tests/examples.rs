//! The small plans in `examples/`, each in both spellings: equal to the engine, and run for real.

mod support;

use std::fs;
use std::path::Path;

use support::{Output, Project};

/// Every example and the exit code of its run.
const EXAMPLES: [(&str, i32); 5] = [
    ("01-parallel", 0),
    ("02-outputs", 0),
    ("03-retry-and-timeout", 0),
    ("04-matrix-and-shards", 0),
    ("05-approval-and-resume", 5),
];
const SPELLINGS: [&str; 2] = ["yaml", "toml"];

/// A project with one spelling of an example, under a name that does not tell which.
fn project(example: &str, spelling: &str) -> Project {
    let project = Project::new();
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(example).join(format!("plan.{spelling}"));
    project.write(format!("plan.{spelling}"), fs::read(file).expect("an example in both spellings"));
    project
}

fn run(example: &str, spelling: &str, more: &[&str]) -> (Project, Output) {
    let project = project(example, spelling);
    let plan = format!("plan.{spelling}");
    let args: Vec<&str> = ["run", &plan, "--run-id", "one"].into_iter().chain(more.iter().copied()).collect();
    let out = project.engine(&args);
    (project, out)
}

/// What stages printed, sorted: stages that run side by side print in any order.
fn printed(out: &Output) -> Vec<String> {
    let mut lines: Vec<String> =
        out.stdout.lines().filter(|line| line.contains(" | ")).map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Id and state of every stage.
fn states(project: &Project) -> Vec<(String, String)> {
    let status = project.engine(&["status", "one", "--json"]).expect(0);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).expect("JSON");
    let stages = status["stages"].as_array().expect("stages");
    let word = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
    stages.iter().map(|stage| (word(&stage["id"]), word(&stage["state"]))).collect()
}

#[test]
fn every_numbered_example_is_tested() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("examples")
        .map(|entry| entry.expect("one").file_name().into_string().expect("text"))
        .filter(|name| name.starts_with(|first: char| first.is_ascii_digit()))
        .collect();
    names.sort();
    assert_eq!(names, EXAMPLES.map(|(name, _)| name));
}

#[test]
fn both_spellings_are_the_same_plan() {
    for (example, _) in EXAMPLES {
        let [yaml, toml] = SPELLINGS.map(|spelling| {
            let project = project(example, spelling);
            let plan = format!("plan.{spelling}");
            project.engine(&["check", &plan]).expect(0);
            let shown = project.engine(&["plan", &plan, "--json"]).expect(0).stdout;
            let graph = project.engine(&["graph", &plan, "--format", "json"]).expect(0).stdout;
            (shown, graph)
        });
        assert_eq!(yaml, toml, "{example}");
    }
}

#[test]
fn both_spellings_run_to_the_same_end() {
    for (example, status) in EXAMPLES {
        let [yaml, toml] = SPELLINGS.map(|spelling| {
            let (project, out) = run(example, spelling, &[]);
            let out = out.expect(status);
            (printed(&out), states(&project))
        });
        assert_eq!(yaml, toml, "{example}");
        assert!(!yaml.0.is_empty(), "{example} prints something");
    }
}

#[test]
fn parallel_ends_with_the_house_and_the_sweep() {
    let (project, out) = run("01-parallel", "yaml", &[]);
    let out = out.expect(0);
    let place = |text: &str| out.stdout.find(text).unwrap_or_else(|| panic!("no `{text}` in\n{}", out.stdout));
    for part in ["success  wood", "success  nails", "success  paint"] {
        assert!(place(part) < place("start  house"), "{}", out.stdout);
    }
    assert!(place("success  house") < place("start  sweep"));
    assert!(states(&project).iter().all(|(_, state)| state == "success"));
}

#[test]
fn outputs_travel_and_the_condition_decides() {
    let (_, staging) = run("02-outputs", "yaml", &[]);
    let staging = staging.expect(0);
    assert!(staging.stdout.contains("skipped  announce"), "{}", staging.stdout);
    let (_, live) = run("02-outputs", "toml", &["--set", "environment=production", "--set", "copies=3"]);
    let live = live.expect(0);
    assert!(live.stdout.contains("ship | 3 of shop-20"), "{}", live.stdout);
    assert!(live.stdout.contains("announce | live on production.example"), "{}", live.stdout);
    let (_, refused) = run("02-outputs", "yaml", &["--set", "copies=10"]);
    refused.expect(3);
}

#[test]
fn the_flaky_stage_takes_three_attempts_and_the_hanging_one_is_allowed_to_fail() {
    let (project, out) = run("03-retry-and-timeout", "yaml", &[]);
    let out = out.expect(0);
    assert!(out.stdout.contains("report | flaky is success, hangs is allowed-failure"), "{}", out.stdout);
    let attempts = printed(&out).iter().filter(|line| line.starts_with("flaky | attempt")).count();
    assert_eq!(attempts, 3);
    let states = states(&project);
    assert!(states.contains(&("hangs".to_owned(), "allowed-failure".to_owned())), "{states:?}");
}

#[test]
fn cells_and_shards_cover_everything_once() {
    let (project, out) = run("04-matrix-and-shards", "yaml", &[]);
    let out = out.expect(0);
    let shards: Vec<String> = printed(&out)
        .into_iter()
        .filter(|line| line.starts_with("check-files[") && line.ends_with("25 items"))
        .collect();
    assert_eq!(shards.len(), 4, "{}", out.stdout);
    let ids: Vec<String> = states(&project).into_iter().map(|(id, _)| id).collect();
    for id in ["build:x64,debug", "build:arm,release", "test:arm", "ship:ap"] {
        assert!(ids.iter().any(|one| one == id), "{ids:?}");
    }
    assert!(!ids.iter().any(|one| one == "build:arm,debug"), "an excluded cell does not exist");
}

#[test]
fn an_approval_lets_the_run_go_on_and_the_migration_happens_once() {
    let (project, out) = run("05-approval-and-resume", "yaml", &[]);
    let out = out.expect(5);
    assert!(out.stdout.contains("engine approve one approve"), "{}", out.stdout);
    assert!(!project.has("migrated.txt"));
    project.engine(&["approve", "approve", "-m", "looks good"]).expect(0);
    project.engine(&["resume"]).expect(0);
    assert_eq!(project.read("migrated.txt"), "shop v2\n");
    let again = project.engine(&["resume"]).expect(0);
    assert_eq!(project.read("migrated.txt"), "shop v2\n", "{}", again.stdout);
}

#[test]
fn a_rejection_fails_the_run_without_the_migration() {
    let (project, out) = run("05-approval-and-resume", "toml", &[]);
    out.expect(5);
    project.engine(&["reject", "one", "approve", "-m", "not on a Friday"]).expect(0);
    project.engine(&["resume", "one"]).expect(1);
    assert!(!project.has("migrated.txt"));
}
