//! Gates that are held: what a person may do about them, with an engine alive and without one.

use super::support::Project;

const PLAN: &str = r"
version: 1
stages:
  ship: {run: echo shipped >> log}
  bake: {needs: [ship], uses: soak, with: {for: 200ms, interval: 20ms, coverage: 5%, on-no-data: hold, metrics: {depth: {file: depth, value: '', pass: '< 5'}}}}
  after: {needs: [bake], run: echo after >> log}
";

#[test]
fn what_comes_back_releases_nothing_and_a_person_has_it_asked_again() {
    let project = Project::with_plan(PLAN);
    let out = project.engine(&["run", "plan.yaml", "--run-id", "one"]).expect(5);
    for words in [
        "`bake` is held: let it pass all the same",
        "engine approve one bake",
        "engine resolve one bake --as rerun",
        "engine reject one bake",
    ] {
        assert!(out.stdout.contains(words), "no `{words}` in\n{}", out.stdout);
    }
    // The source is there again. That says nothing about the time in which it was not.
    project.write("depth", "3");
    project.engine(&["resume", "one", "--yes"]).expect(5);
    let refused = project.engine(&["resolve", "one", "bake", "--as", "success"]).expect(4);
    assert!(refused.stderr.contains("`bake` is held: it has a verdict, which stands"), "{}", refused.stderr);
    assert!(refused.stderr.contains("engine approve one bake"), "{}", refused.stderr);
    let told = project.engine(&["resolve", "one", "bake", "--as", "rerun", "-m", "it is up again"]).expect(0);
    assert!(told.stdout.contains("`bake` asks again"), "{}", told.stdout);
    let out = project.engine(&["resume", "one"]).expect(0);
    assert!(out.stdout.contains("pass: depth: max 3 is < 5"), "{}", out.stdout);
    assert_eq!(project.read("log"), "shipped\nafter\n", "what was done is not done again");
    // The first samples are kept beside the ones that the verdict stands on.
    assert!(project.has(".engine/runs/one/gates/bake.1.jsonl"));
    project.engine(&["gate", "replay", "one", "bake"]).expect(0);
    project.engine(&["verify", "one"]).expect(0);
}

#[test]
fn a_live_engine_hears_that_it_is_to_ask_again() {
    let beside = "  beside: {uses: file, with: {path: end, interval: 20ms}}\n";
    let project = Project::with_plan(&format!("{PLAN}{beside}"));
    let live = project.start(&["run", "plan.yaml", "--run-id", "one"]);
    live.line("go on all the same?");
    project.write("depth", "3");
    project.engine(&["resolve", "one", "bake", "--as", "rerun"]).expect(0);
    live.line("pass: depth: max 3 is < 5");
    project.write("end", "");
    live.end().expect(0);
    assert_eq!(project.read("log"), "shipped\nafter\n");
}

#[test]
fn a_watch_beside_a_held_gate_goes_on_and_may_fail_the_run() {
    let watch = "  watched: {uses: watch, with: {for: 10m, window: 100ms, interval: 20ms, on-no-data: fail, metrics: {errors: {file: errors, value: '', pass: '< 5'}}}}\n";
    let project = Project::with_plan(&format!("{PLAN}{watch}"));
    project.write("errors", "0");
    let live = project.start(&["run", "plan.yaml", "--run-id", "one"]);
    live.line("go on all the same?");
    project.write("errors", "9");
    let out = live.end().expect(1);
    assert!(out.stdout.contains("failed  watched"), "{}", out.stdout);
    assert_eq!(project.read("log"), "shipped\n", "nobody let it pass");
}
