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

/// Two items of three fail in a worker that says why, and prints to its standard error.
const HASH: &str = r#"
version: 1
stages:
  hash:
    shards: {items: [a, b, c], protocol: lines, max-parallel: 1}
    run: |
      while read -r line; do
        id=${line#*:}; id=${id%%,*}
        echo "has $id" >&2
        [ "$id" = 0 ] && echo "{\"id\":$id}" || echo "{\"id\":$id,\"error\":\"no such file $id\"}"
      done
  zone: {matrix: {region: [eu, us]}, run: 'echo "in $ENGINE_STAGE"'}
"#;

#[test]
fn whatever_logs_are_called_they_are_found_by_that_name() {
    let project = Project::with_plan(&format!("{HASH}{}", PACK.split_once("stages:\n").expect("stages").1));
    project.write("mark", "x");
    project.engine(&["run", "plan.yaml", "-k"]).expect(1);
    let all = project.engine(&["logs"]).expect(0).stdout;
    let mut names: Vec<&str> = all.lines().map(|line| line.split_once(" | ").expect("a name").0).collect();
    names.sort_unstable();
    names.dedup();
    for name in &names {
        let lines = all.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(" | "));
        let alone = project.engine(&["logs", name]).expect(0).stdout;
        assert_eq!(alone.lines().collect::<Vec<_>>(), lines.collect::<Vec<_>>(), "{name}");
    }
    assert_eq!(names, ["hash[1]", "hash[2]", "hash[worker 0]", "zone:eu", "zone:us"]);
    let told = project.engine(&["logs", "--json", "hash[worker 0]"]).expect(0).stdout;
    let first = tool::json(told.lines().next().expect("a line"));
    assert_eq!((&first["shard"], &first["worker"]), (&Value::Null, &json!(0)));
    for (name, why) in [("pack[4]", "`pack` has no shard 4: it has 4 shards"), ("zone:eu[0]", "it has no shards")]
    {
        let refused = project.engine(&["logs", name]).expect(4);
        assert!(refused.stderr.contains(why), "{}", refused.stderr);
    }
    assert_eq!(project.engine(&["logs", "pack[3]"]).expect(0).stdout, "");
}

/// Why an item failed stands with its stage wherever that is told of.
#[test]
fn the_error_of_an_item_is_in_the_log_and_in_every_report() {
    let project = Project::with_plan(HASH);
    let said = project.engine(&["run", "plan.yaml", "--report", "junit=live.xml,summary=live.md"]).expect(1);
    assert!(said.stdout.contains("hash[1] | no such file 1"), "{}", said.stdout);
    assert_eq!(project.engine(&["logs", "hash[2]"]).expect(0).stdout, "no such file 2\n");
    let [junit, summary] =
        ["junit", "summary"].map(|format| project.engine(&["report", "--format", format]).expect(0).stdout);
    // The engine itself still has what the worker printed before; the record has the words of its items. Both show
    // those of the item that failed first.
    for text in [project.read("live.xml"), project.read("live.md")] {
        assert!(text.contains("\nhas 2\nno such file 1"), "{text}");
    }
    assert!(junit.contains(">hash[1]\nno such file 1</failure>"), "{junit}");
    assert!(summary.contains(" of hash[1]</summary>\n\n```text\nno such file 1\n```"), "{summary}");
}

/// Shard 1 fails first and makes room for shard 2, without which shard 0 does not end.
const CAUSE: &str = r#"
version: 1
max-parallel: 2
stages:
  pipes:
    run: mkfifo first
  pack:
    needs: [pipes]
    shards: {items: {range: 3}, size: 1, allow-failed: 2}
    run: |
      case "$ENGINE_SHARD" in
        0) read -r go < first; echo "no lock"; exit 4 ;;
        1) echo "the <cause>"; exit 3 ;;
        2) echo go > first; echo "also no lock"; exit 5 ;;
      esac
  free:
    shards: {items: [x], size: 1}
    run: 'true'
"#;

#[test]
fn the_shard_that_failed_first_is_the_one_whose_log_is_shown() {
    let project = Project::with_plan(CAUSE);
    let made = project.engine(&["run", "plan.yaml", "--report", "html=run.html,junit=run.xml"]).expect(1);
    assert!(made.stdout.contains("   ╭ pack[1]\n   │ the <cause>\n"), "{}", made.stdout);
    let pack = stage(&project, "pack");
    assert_eq!(pack["exit"], 3);
    let exits = pack["shards"]["failures"].as_array().expect("failures").iter().map(|one| &one["exit"]);
    assert_eq!(exits.collect::<Vec<_>>(), [4, 3, 5]);
    assert_eq!(stage(&project, "free")["exit"], 0);
    let report = |format: &str| project.engine(&["report", "--format", format]).expect(0).stdout;
    let shown = "<p class=\"sub\"><code>pack[1]</code></p>\n<pre>the &lt;cause&gt;</pre>";
    let lines = "pack[1]\nthe &lt;cause&gt;</failure>";
    for (html, junit) in [(report("html"), report("junit")), (project.read("run.html"), project.read("run.xml"))] {
        assert!(html.contains(shown) && !html.contains("no lock"), "{html}");
        assert!(junit.contains(lines), "{junit}");
    }
    assert!(report("summary").contains("<summary>last 1 line of pack[1]</summary>"), "{}", report("summary"));
    let log = project.engine(&["logs", "pack[1]"]).expect(0).stdout;
    assert_eq!(log, "the <cause>\n");
}
