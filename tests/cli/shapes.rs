//! `--json` of every verb against `docs/json.md`: no key may be printed that is not written there.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::plans;
use crate::support::Project;

const DOCUMENT: &str = include_str!("../../docs/json.md");

/// Every word of the document that stands between backticks.
fn documented() -> BTreeSet<&'static str> {
    let quoted = DOCUMENT.split('`').skip(1).step_by(2);
    quoted.flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-')).collect()
}

/// Keys of `value` and of all below it, but those that users name.
fn keys(value: &Value, out: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                out.insert(key.clone());
                if key != "outputs" {
                    keys(inner, out);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, out)),
        _ => {}
    }
}

/// Pools, a condition that is false before anything runs, and one that a run decides.
const POOLS: &str = r#"version: 1
pools: {database: 2}
stages:
  build: {pools: [database], run: "echo n=1 >> $ENGINE_OUTPUT", outputs: {n: int}, rollback: none}
  ask: {if: "inputs.to == 'production'", needs: [build], uses: approval}
  mend: {if: needs.build.state == 'failed', needs: [build], run: "true"}
inputs: {to: {type: string, default: staging}}
"#;

#[track_caller]
fn told(project: &Project, status: i32, line: &str) -> Vec<Value> {
    let words: Vec<&str> = line.split(' ').collect();
    let output = project.engine(&words).expect(status);
    let stream = serde_json::Deserializer::from_str(&output.stdout).into_iter::<Value>();
    let values: Vec<Value> = stream.map(|value| value.unwrap_or_else(|error| panic!("{line}: {error}"))).collect();
    assert!(!values.is_empty(), "{line} prints JSON");
    for value in &values {
        assert_eq!(value["version"], 1, "{line}");
        let mut used = BTreeSet::new();
        keys(value, &mut used);
        let unknown: Vec<_> = used.iter().filter(|key| !documented().contains(key.as_str())).collect();
        assert!(unknown.is_empty(), "`engine {line}` prints keys that docs/json.md does not name: {unknown:?}");
    }
    values
}

#[test]
fn every_verb_prints_what_is_documented() {
    let project = Project::with_plan(plans::GATED);
    project.write("broken.yaml", plans::BROKEN);
    project.engine(&["run", "broken.yaml", "--run-id", "b1"]).expect(1);
    project.engine(&["run", "plan.yaml", "--run-id", "g1"]).expect(5);
    let status = told(&project, 0, "status g1 --json").remove(0);
    assert_eq!(status["stages"][1]["approve"], "engine approve g1 go");
    let runs = told(&project, 0, "runs --json").remove(0);
    assert_eq!(runs["runs"].as_array().map(Vec::len), Some(2));
    let preview = told(&project, 0, "plan --resume g1 --json").remove(0);
    assert_eq!(preview["stages"][0]["action"], "keep");
    let approved = told(&project, 0, "approve g1 go --json").remove(0);
    assert_eq!((&approved["run"], &approved["live"]), (&Value::from("g1"), &Value::from(false)));
    project.engine(&["resume", "g1"]).expect(0);
    told(&project, 0, "report g1 --json");
    told(&project, 0, "diff b1 g1 --json");
    let verified = told(&project, 0, "verify g1 --json").remove(0);
    assert_eq!(verified["whole"], true);
    told(&project, 0, "verify g1 --deep --json");
    told(&project, 0, "graph g1 --format json");
    project.write("pools.yaml", POOLS);
    told(&project, 0, "graph pools.yaml --format json");
    for line in ["plan pools.yaml --json", "run pools.yaml -n --output json"] {
        let plan = told(&project, 0, line).remove(0);
        let of =
            |key: &str| plan["nodes"].as_array().expect("nodes").iter().map(|node| node[key].clone()).collect();
        let skipped: Vec<Value> = of("skipped");
        assert_eq!(skipped, [false, true, false], "{line}: what is false before the run, and only that");
    }
    project.write("wrong.yaml", "version: 1\nversion: 1\nstages: {a: {run: x, needs: [b]}}\n");
    told(&project, 3, "check wrong.yaml --format json");
    told(&project, 0, "gc -n --keep 0 --younger 1s --json");
    told(&project, 0, "doctor --json");
    let logs = told(&project, 0, "logs b1 --json");
    assert_eq!((&logs[0]["stage"], &logs[0]["line"]), (&Value::from("build"), &Value::from("built")));
}
