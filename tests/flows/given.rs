//! What is foreseen of items that an earlier stage gives: each takes what its text took in earlier runs.

use serde_json::Value;

use crate::support::Project;
use crate::tool::json;

/// `slow` takes three seconds, everything else none.
const PLAN: &str = r#"
version: 1
stages:
  list: {run: 'cat list >> "$ENGINE_OUTPUT"', outputs: {ids: list}}
  pack:
    needs: [list]
    shards: {items: {from: "{{ needs.list.outputs.ids }}", max: 100}, max-parallel: 1}
    run: 'if [ "$(cat "$ENGINE_SHARD_FILE")" = slow ]; then sleep 3; fi'
"#;

/// Runs the plan on these items; tells what it printed.
fn run(project: &Project, items: &[&str]) -> String {
    project.write("list", format!("ids={}\n", serde_json::json!(items)));
    project.engine(&["run", "plan.yaml"]).expect(0).stdout
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// The line that says how long `pack` usually takes.
fn usual(said: &str) -> &str {
    said.lines()
        .find(|line| line.contains("start  pack") && line.contains("usually"))
        .unwrap_or_else(|| panic!("{said}"))
}

#[test]
fn items_of_an_earlier_stage_take_what_their_texts_took() {
    let project = Project::with_plan(PLAN);
    run(&project, &["a", "slow", "b"]);
    run(&project, &["b", "a"]);
    // By their number two of the three items of the first run took two thirds of its time.
    let most = |text: &str| number(&json(text)["finish_ms"]["most"]);
    let most = most(&project.engine(&["simulate", "plan.yaml", "--json"]).expect(0).stdout);
    assert!(most < 1600, "neither `a` nor `b` ever took long: {most} ms");
    let plan = json(&project.engine(&["plan", "plan.yaml", "--json"]).expect(0).stdout);
    assert!(number(&plan["nodes"][1]["work"]["p95_ms"]) < 1600, "{}", plan["nodes"][1]["work"]);
    run(&project, &["slow", "b", "a"]);
    // When they are there it is known what these take.
    let said = run(&project, &["slow", "b"]);
    assert!(usual(&said).contains("usually 3."), "{}", usual(&said));
    let said = run(&project, &["a", "b"]);
    assert!(!usual(&said).contains("usually 3."), "{}", usual(&said));
}
