//! The plans that show the whole language: they must check as they are written, and be drawn.

use super::support::Project;

/// Each key of the language at least once.
const SHOP: &str = include_str!("language/shop.yaml");
const TINY: &str = include_str!("language/tiny.toml");

#[test]
fn the_plan_that_shows_the_whole_language_checks_and_is_shown() {
    let project = Project::with_plan(SHOP);
    project.write(
        "environments/catalog.yaml",
        "keys: {HOST: {type: string}, KUBE_TOKEN: {type: string, secret: true}}\n",
    );
    project.write(
        "environments/staging.yaml",
        "values: {HOST: localhost}\nsecrets: {KUBE_TOKEN: {from: {env: KUBE_TOKEN}}}\n",
    );
    for asset in ["Dockerfile", "assets/a", "assets/b"] {
        project.write(asset, "");
    }
    project.engine(&["check", "plan.yaml"]).expect(0);
    let plan = project.engine(&["plan", "plan.yaml", "--set", "tag=v1.2.3"]).expect(0).stdout;
    for part in [
        "◆ critical path: check-env → approve → migrate → rollout:eu → healthy → notify",
        "at most 3 attempts · pool database 1/1",
        "1% may fail",
        "lock        deploy/staging",
        "slo         group bootstrap 7m",
        "undone      rollout:eu, rollout:us, rollout:ap → migrate",
    ] {
        assert!(plan.contains(part), "{part}\n{plan}");
    }
    assert!(project.runs().is_empty(), "nothing was started");
}

#[test]
fn toml_is_the_same_language() {
    let project = Project::new();
    project.write("plan.toml", TINY);
    let plan = project.engine(&["plan", "plan.toml"]).expect(0).stdout;
    assert!(plan.contains("critical path: build → check-all"), "{plan}");
}
