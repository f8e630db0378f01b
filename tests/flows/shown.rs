//! What is told of shards afterwards: what they left, and by which names they are found.

use serde_json::{Value, json};

use crate::support::Project;
use crate::tool::{self, run, stage, status};

/// Four shards, of which the one with item `c` leaves what the file `mark` says; `d` fails while there is a file `bad`.
const PACK: &str = r#"
version: 1
stages:
  pack:
    shards: {items: [a, b, c, d], size: 1, allow-failed: 1}
    outputs: {text: string}
    run: |
      item=$(cat "$ENGINE_SHARD_FILE")
      [ "$item" != d ] || [ ! -e bad ]
      [ "$item" != c ] || item=$(cat mark)
      echo "text=$item" >> "$ENGINE_OUTPUT"
"#;

/// A run of the plan as it is now: its id.
fn once(project: &Project) -> String {
    run(project, 0);
    status(project)["run"].as_str().expect("an id").to_owned()
}

fn differences(project: &Project, a: &str, b: &str) -> Value {
    tool::json(&project.engine(&["diff", a, b, "--json"]).expect(0).stdout)["stages"].clone()
}

#[test]
fn what_shards_left_is_compared_shard_by_shard_and_none_of_them_speaks_for_the_stage() {
    let project = Project::with_plan(PACK);
    project.write("mark", "x");
    let first = once(&project);
    assert_eq!(stage(&project, "pack")["outputs"], json!({}), "each shard has its own");
    let same = once(&project);
    let shards = |b: &str| {
        let stages = differences(&project, &first, b);
        let found = stages.as_array().expect("stages").iter().find(|stage| stage["id"] == "pack");
        found.map_or(Value::Null, |stage| stage["shards"].clone())
    };
    assert_eq!(shards(&same), Value::Null);
    project.write("mark", "y");
    let other = once(&project);
    assert_eq!(shards(&other), json!({"compared": 4, "differ": 1, "first": [2]}));
    let said = project.engine(&["diff", &first, &other]).expect(0).stdout;
    assert!(said.contains("1 of 4 shards left something else: 2\n"), "{said}");
    // One that failed left nothing; done again, it left what it should.
    project.write("mark", "x");
    project.write("bad", "");
    let spared = once(&project);
    assert_eq!(shards(&spared), json!({"compared": 4, "differ": 1, "first": [3]}));
    std::fs::remove_file(project.path("bad")).expect("it was there");
    project.engine(&["resume", &spared, "--rerun", "pack:failed"]).expect(0);
    assert_eq!(shards(&spared), Value::Null);
    // Of another cut only shards with the same items can be compared.
    project.write("plan.yaml", PACK.replace("[a, b, c, d], size: 1", "[a, b, c], size: 1"));
    project.write("mark", "y");
    let fewer = once(&project);
    assert_eq!(shards(&fewer), json!({"compared": 3, "differ": 1, "first": [2]}));
}
