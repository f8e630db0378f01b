//! Sharded stages: odd items, sizes found while they run, failures by item, roots, and a kill in the middle.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::Project;
use crate::tool::{events, events_of, json, log, run, stage, status};

/// A plan with one stage, `pack`.
fn plan(shards: &str, more: &str) -> String {
    format!("version: 1\nstages:\n  pack:\n    shards: {shards}\n{more}")
}

/// Appends what it was given to `log`.
const COPY: &str = "    run: 'cat \"$ENGINE_SHARD_FILE\" >> log'\n";

#[test]
fn items_of_an_earlier_stage_are_frozen_when_the_stage_becomes_ready() {
    let text = r#"
version: 1
stages:
  list:
    run: 'cat list >> "$ENGINE_OUTPUT"'
    outputs: {ids: list}
  pack:
    needs: [list]
    shards: {items: {from: "{{ needs.list.outputs.ids }}", max: 4}}
    run: [sh, -c, 'echo "$1" >> log; [ -e ready ] || [ "$1" != c ] || exit 1; echo "n=$1" >> "$ENGINE_OUTPUT"', x, "{{ shard.item }}"]
    outputs: {n: string}
  sum:
    needs: [pack]
    run: [sh, -c, 'echo "sum $1 $2" >> log', x, "{{ needs.pack.outputs['0'].n }}", "{{ needs.pack.outputs['2'].n }}"]
"#;
    let project = Project::with_plan(text);
    project.write("list", "ids=[\"$(rm -rf x)\", \"b 'b\\\"\", \"c\"]\n");
    run(&project, 1);
    assert_eq!(stage(&project, "pack")["shards"]["failures"][0]["items"], serde_json::json!(["c"]));
    project.write("ready", "");
    project.write("list", "ids=[]\n");
    let foreseen = project.engine(&["plan", "--resume", &project.only_run()]).expect(0).stdout;
    assert!(foreseen.contains("was failed; 2 of 3 shards are done"), "{foreseen}");
    project.engine(&["resume"]).expect(0);
    let mut seen = log(&project);
    seen.sort();
    assert_eq!(seen, ["$(rm -rf x)", "b 'b\"", "c", "c", "sum $(rm -rf x) c"]);
    // Too many of them fail the stage by name and number.
    project.write("list", "ids=[1, 2, 3, 4, 5]\n");
    run(&project, 1);
    let reason = stage(&project, "pack")["reason"].as_str().expect("a reason").to_owned();
    assert!(reason.contains("they are 5, and `max` is 4"), "{reason}");
    project.write("list", "ids=[]\n");
    project.write("plan.yaml", &text[..text.find("  sum:").expect("a stage")]);
    run(&project, 0);
    assert_eq!(stage(&project, "pack")["reason"], "it has no items");
}

#[test]
fn no_items_and_one_item_are_fine_and_too_many_are_refused_by_name() {
    let worker = "    run: 'while read -r line; do echo one >> log; echo \"{\\\"id\\\": 0}\"; done'\n";
    for (more, body) in [("", COPY), (", size: 4", COPY), (", size: auto", COPY), (", protocol: lines", worker)] {
        let project = Project::with_plan(&plan(&format!("{{items: {{file: items}}{more}}}"), body));
        project.write("items", "");
        run(&project, 0);
        assert_eq!(stage(&project, "pack")["reason"], "it has no items", "{more}");
        assert!(log(&project).is_empty(), "nothing starts for no items: {more}");
        project.write("items", "one\n");
        run(&project, 0);
        assert_eq!(log(&project), ["one"], "{more}");
    }
    let project = Project::new();
    project.write("plan.yaml", plan("{items: {file: items, max: 2}}", COPY));
    project.write("items", "1\n2\n3\n");
    let refused = project.engine(&["run", "plan.yaml"]).expect(3);
    assert!(refused.stderr.contains("`pack` has 3 items, more than its `max` of 2"), "{}", refused.stderr);
    assert!(refused.stderr.contains("plan.yaml:4:"), "{}", refused.stderr);
}

#[test]
fn the_items_are_those_of_the_beginning_whatever_happens_to_their_file() {
    let body = "    run: 'cat \"$ENGINE_SHARD_FILE\" >> log; echo other > items; [ -e ready ]'\n";
    let project = Project::with_plan(&plan("{items: {file: items}, max-parallel: 1}", body));
    project.write("items", "a\na\nb\n");
    run(&project, 1);
    project.write("ready", "");
    project.engine(&["resume"]).expect(0);
    assert_eq!(
        log(&project),
        ["a", "a", "a", "b"],
        "the first failed once; an item that is there twice runs twice"
    );
}

#[test]
fn items_with_line_ends_quotes_and_a_megabyte_pass_as_json() {
    let large = "x".repeat(1 << 20);
    let items = serde_json::json!(["a\nb\u{0}c", "it's \"quoted\" $(x) {{ y }}", {"map": [1, 2]}, large]);
    let check = "import json, os\nfor line in open(os.environ['ENGINE_SHARD_FILE']):\n    print(len(json.dumps(json.loads(line))), file=open('log', 'a'))\n";
    let project = Project::with_plan(&plan(
        "{items: \"{{ inputs.items }}\", items-format: json, size: 4}",
        "    run: [python3, check.py]\ninputs: {items: {type: list}}\n",
    ));
    project.write("check.py", check);
    project.write("inputs.json", serde_json::json!({"items": items}).to_string());
    project.engine(&["run", "plan.yaml", "--inputs", "inputs.json"]).expect(0);
    let length = |item: &Value| item.to_string().len() + usize::from(item.is_object()) * 2;
    let expected: Vec<String> =
        items.as_array().expect("a list").iter().map(|it| length(it).to_string()).collect();
    assert_eq!(log(&project), expected);
    // As lines they are refused before anything starts.
    let text = project.read("plan.yaml").replace("items-format: json, ", "");
    project.write("plan.yaml", text.replace("items: {type: list}", "items: {type: list, default: [\"a\\nb\"]}"));
    let refused = project.engine(&["check", "plan.yaml"]).expect(3);
    let said = refused.stdout + &refused.stderr;
    assert!(said.contains("plan::bad-item") && said.contains("items-format"), "{said}");
}

#[test]
fn failed_shards_are_named_and_only_they_run_again_by_order() {
    let body = "    run: 'echo $ENGINE_SHARD >> log; [ -e ready ] || ! grep -qx 17 \"$ENGINE_SHARD_FILE\"'\n";
    let project = Project::with_plan(&plan("{items: {range: 40}, size: 4, allow-failed: 10%}", body));
    let done = run(&project, 0);
    assert!(done.stdout.contains("pack[4]") && done.stdout.contains("4 items: 16, 17, 18, …"), "{}", done.stdout);
    let seen = stage(&project, "pack");
    assert_eq!(seen["reason"], "4 of 40 items failed, `allow-failed` is 10%");
    assert_eq!(seen["shards"]["failures"][0]["first"], 16);
    assert_eq!(status(&project)["tickets"][0]["why"], seen["reason"]);
    project.write("ready", "");
    let run_id = project.only_run();
    project.engine(&["resume", &run_id, "--rerun", "pack:failed"]).expect(0);
    assert_eq!(log(&project).len(), 11);
    assert_eq!(log(&project)[10], "4");
    assert_eq!(stage(&project, "pack")["shards"]["failures"], serde_json::json!([]));
}

#[test]
fn a_size_is_found_and_what_is_left_is_split() {
    let body = "    run: 'if [ $ENGINE_SHARD -lt 5 ]; then sleep 1.1; fi'\n    timeout: 1m\n";
    let project = Project::with_plan(&plan("{items: {range: 4000}, size: 100, target-p95: 1s}", body));
    let shown = project.engine(&["run", "plan.yaml", "-j", "5"]).expect(0);
    let cuts = events_of(&project, "shards-cut", "pack");
    let sizes: Vec<(&str, u64)> = cuts
        .iter()
        .map(|cut| (cut["why"].as_str().expect("a word"), cut["size"].as_u64().expect("a number")))
        .collect();
    assert_eq!(sizes[..2], [("first", 100), ("split", 25)], "{sizes:?}");
    assert!(shown.stdout.contains("what is left is cut into shards of 25 items"), "{}", shown.stdout);
    assert_eq!(stage(&project, "pack")["shards"]["splits"].as_u64(), Some(1), "{sizes:?}");
}

#[test]
fn unchanged_items_are_taken_from_an_earlier_run() {
    let body = "    run: 'cat \"$ENGINE_SHARD_FILE\" >> log; cksum < \"$(cat \"$ENGINE_SHARD_FILE\")\" | sed s/^/n=/ >> \"$ENGINE_OUTPUT\"'\n    outputs: {n: string}\n    cache: {sources: [plan.yaml]}\n";
    let project = Project::with_plan(&plan("{items: {glob: 'in/*'}}", body));
    for name in ["a", "b", "c"] {
        project.write(format!("in/{name}"), name);
    }
    run(&project, 0);
    let first = stage(&project, "pack");
    assert_eq!(log(&project).len(), 3);
    run(&project, 0);
    let second = stage(&project, "pack");
    assert_eq!((second["state"].as_str(), log(&project).len()), (Some("cached"), 3));
    assert_eq!(second["shards"]["root"], first["shards"]["root"]);
    project.write("in/b", "changed");
    run(&project, 0);
    let third = stage(&project, "pack");
    assert_eq!((third["state"].as_str(), &log(&project)[3..]), (Some("success"), &["in/b".to_owned()][..]));
    assert_ne!(third["shards"]["root"], first["shards"]["root"]);
    project.engine(&["verify", "--deep"]).expect(0);
}

#[test]
fn a_changed_item_repeats_its_shard_only_also_when_that_has_several() {
    let body = "    run: 'cat \"$ENGINE_SHARD_FILE\" >> log'\n    cache: {sources: [plan.yaml]}\n";
    let project = Project::with_plan(&plan("{items: {glob: 'in/*'}, size: 2}", body));
    for name in ["a", "b", "c", "d", "e"] {
        project.write(format!("in/{name}"), name);
    }
    run(&project, 0);
    project.write("in/d", "changed");
    run(&project, 0);
    assert_eq!(log(&project)[5..], ["in/c", "in/d"]);
    // An item more at the front moves all that are behind it into other shards.
    project.write("in/aa", "");
    run(&project, 0);
    assert_eq!(log(&project)[7..].iter().filter(|item| *item == "in/aa").count(), 1);
    assert_eq!(log(&project).len(), 7 + 6);
}

#[test]
fn a_changed_artifact_of_a_shard_is_named() {
    let body = "    run: 'mkdir -p out; echo $ENGINE_SHARD > out/$ENGINE_SHARD'\n    artifacts: ['out/*']\n";
    let project = Project::with_plan(&plan("{items: {range: 3}, max-parallel: 1}", body));
    run(&project, 0);
    let whole = project.engine(&["verify", "--deep"]).expect(0);
    assert!(whole.stdout.contains("3 results of shards, 1 roots and 6 files are as recorded"), "{}", whole.stdout);
    let spoiled = walk(&project.path(".engine/objects"))
        .into_iter()
        .find(|path| std::fs::read(path).is_ok_and(|bytes| bytes == b"2\n"));
    let path = spoiled.expect("the third shard's file is kept");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("ours");
    std::fs::write(&path, "3\n").expect("ours");
    project.engine(&["verify"]).expect(0);
    let found = project.engine(&["verify", "--deep"]).expect(8);
    assert!(found.stderr.contains("`pack` shard 2 (item 2): artifact `out/2`"), "{}", found.stderr);
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path) }
    }
    found
}

/// The pack plan in a project of its own, with the settings of a small machine.
fn pack(tree: &Path) -> (Project, Vec<(&'static str, String)>) {
    let project = Project::new();
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans/hxo");
    for name in ["pack.yaml", "pack.py"] {
        project.write(format!("plans/hxo/{name}"), std::fs::read(here.join(name)).expect("it is there"));
    }
    let env = vec![
        ("ENGINE_INPUT_TREE", tree.display().to_string()),
        ("HXO_MAX_CONCURRENCY", "3".to_owned()),
        // So long that shards grow however slowly a busy machine starts them.
        ("HXO_AUTOSPLIT_P95_MS", "240000".to_owned()),
        ("HXO_SHARD_TIMEOUT_MS", "600000".to_owned()),
    ];
    (project, env)
}

#[test]
fn the_settings_of_hxo_are_typed_and_refuse_what_they_bound() {
    let (project, _) = pack(Path::new("/nowhere"));
    let with = |name: &str, value: &str, status| {
        project.engine_with(&[(name, value)], &["plan", "plans/hxo/pack.yaml"]).expect(status)
    };
    let refused = with("HXO_MAX_SHARDS", "100000", 3);
    assert!(
        refused.stderr.contains("`pack` has 1000000 items, more than its `max` of 100000"),
        "{}",
        refused.stderr
    );
    for (name, value) in [
        ("HXO_MAX_SHARDS", "many"),
        ("HXO_MAX_CONCURRENCY", "0"),
        ("HXO_SHARD_TIMEOUT_MS", "15s"),
        ("HXO_AUTOSPLIT_P95_MS", "-1"),
        ("HXO_PREDICTIVE_MODE", "maybe"),
        ("HXO_MAX_SHARDS", ""),
        ("ENGINE_INPUT_HXO_MAX_SHARDS", "many"),
    ] {
        let refused = with(name, value, 3);
        let said = format!(
            "{name}: input `{}`",
            name.trim_start_matches("ENGINE_INPUT_").to_lowercase().replace('_', "-")
        );
        assert!(refused.stderr.contains("pack.yaml:") && refused.stderr.contains(&said), "{}", refused.stderr);
    }
    let fixed = with("HXO_PREDICTIVE_MODE", "false", 0);
    assert!(fixed.stdout.contains("1,000,000 items in 100 shards of 10,000"), "{}", fixed.stdout);
    let plan = ["plan", "plans/hxo/pack.yaml"];
    let stronger = [&plan[..], &["--set", "hxo-max-shards=1000000"]].concat();
    project.engine_with(&[("HXO_MAX_SHARDS", "100000")], &stronger).expect(0);
}

/// What a run began with stays its own, whatever the caller's variables say to its resume.
#[test]
fn a_run_keeps_what_the_caller_gave_it() {
    let text = "version: 1\ninputs: {word: {type: string, from-env: SHOP_WORD, default: none}}\nstages:\n  say:\n    \
                env: {WORD: \"{{ inputs.word }}\"}\n    run: 'echo \"$WORD\" >> log; [ -e ready ]'\n";
    let project = Project::with_plan(text);
    project.engine_with(&[("SHOP_WORD", "one")], &["run", "plan.yaml"]).expect(1);
    project.write("ready", "");
    project.engine_with(&[("SHOP_WORD", "two")], &["resume"]).expect(0);
    run(&project, 0);
    assert_eq!(log(&project), ["one", "one", "none"]);
    for (key, said) in
        [("from-env: SHOP-WORD", "cannot be the name"), ("from-env: WORD, secret: true", "is `secret`")]
    {
        project.write("plan.yaml", text.replace("from-env: SHOP_WORD, default: none", key));
        let refused = project.engine(&["check", "plan.yaml"]).expect(3);
        assert!(refused.stdout.contains(said) && refused.stdout.contains("plan.yaml:2:"), "{}", refused.stdout);
    }
}

/// The sources that cargo has unpacked on this machine: thousands of files that nobody made for a test.
fn registry() -> PathBuf {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let found = home.map(|home| home.join("registry/src")).filter(|path| path.is_dir());
    // Where they were vendored there is no registry.
    found.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

#[test]
fn a_pack_of_a_million_slices_is_killed_resumed_and_comes_to_the_root_that_python_computes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tree = registry();
    let (project, env) = pack(&tree);
    let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut command = project.command(&["run", "plans/hxo/pack.yaml", "--output", "json"]);
    command.envs(env.iter().copied());
    let live = crate::support::Live::start(command);
    // Item 400,000 of 1,000,000 is reached with the cut or the start that names it.
    let mut reached = BTreeMap::new();
    loop {
        let event = json(&live.line("\"stage\":\"pack\""));
        if event["event"] == "shards-cut" {
            reached.insert(event["shard"].as_u64(), (event["item"].as_u64(), event["size"].as_u64()));
        }
        let finished = event["event"] == "shard-finished";
        let place = reached.range(..=event["shard"].as_u64()).next_back();
        if let (true, Some((Some(from), (Some(item), Some(size)))), Some(shard)) =
            (finished, place, event["shard"].as_u64())
            && item + (shard - from) * size >= 400_000
        {
            break;
        }
    }
    live.kill_worker();
    live.end();
    let before = finished(&project);
    project.engine(&["resume"]).expect(0);
    let starts = events_of(&project, "shards-started", "pack");
    let started: u64 = starts.iter().map(|start| start["count"].as_u64().expect("a number")).sum();
    let again = events_of(&project, "shard-retried", "pack").len();
    let seen = stage(&project, "pack");
    assert_eq!(Some(started), seen["shards"]["all"].as_u64());
    assert!(again <= 3, "only what was in flight is redone, and that was {again}");
    assert!(before > 5, "something was done before the kill: {before}");
    assert_eq!(finished(&project) as u64, started, "each was done once");
    project.engine(&["verify", "--deep"]).expect(0);
    let status = project.engine(&["status", "--json"]).expect(0).stdout;
    let mut python = Command::new("python3")
        .args([root.join("tests/support/merkle.py"), tree, "1000000".into()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is there");
    python.stdin.take().expect("piped").write_all(status.as_bytes()).expect("it reads");
    let computed = python.wait_with_output().expect("it ends");
    assert!(computed.status.success());
    assert_eq!(String::from_utf8_lossy(&computed.stdout).trim(), seen["shards"]["root"]);
}

/// Shards of `pack` that ended well.
fn finished(project: &Project) -> usize {
    let is_done = |event: &&Value| {
        event["event"] == "shard-finished" && event["stage"] == "pack" && event["outcome"] == "success"
    };
    events(project).iter().filter(is_done).count()
}

/// What is expected of a stage that finds its size is the time of its items over the slots, however they were cut.
#[test]
fn a_stage_that_finds_its_size_is_expected_to_take_what_its_items_took() {
    let body = "    run: 'while read -r i; do sleep 0.01; done < \"$ENGINE_SHARD_FILE\"'\n";
    let project = Project::with_plan(&plan("{items: {range: 120}, size: auto}", body));
    project.engine(&["run", "plan.yaml", "-j", "2"]).expect(0);
    let cuts = events_of(&project, "shards-cut", "pack");
    assert!(cuts.iter().any(|cut| cut["why"] == "grow"), "shards of several sizes: {cuts:?}");
    // From fact to fact, as the record has them.
    let mut started = BTreeMap::new();
    let mut work = 0;
    for event in events(&project).iter().filter(|event| event["stage"] == "pack") {
        let at = event["at_ms"].as_u64().expect("a moment");
        let number = |name: &str| event[name].as_u64().expect("a number");
        match event["event"].as_str() {
            Some("shards-started") => {
                started.extend((number("first")..number("first") + number("count")).map(|shard| (shard, at)));
            }
            Some("shard-finished") => work += (at - started[&number("shard")]).max(number("took_ms")),
            _ => {}
        }
    }
    assert!(work >= 1200, "{work} ms for 120 items of 10 ms");
    let near = |found: &Value| {
        let found = found.as_u64().expect("a number");
        assert!((work * 9 / 20..=work * 11 / 20).contains(&found), "{found} ms for {work} ms in two slots");
    };
    let foreseen = json(&project.engine(&["plan", "plan.yaml", "-j", "2", "--json"]).expect(0).stdout);
    near(&foreseen["critical_path"]["length_ms"]);
    near(&foreseen["expected_ms"]);
    near(&foreseen["forecast"]["p50_ms"]);
    let imagined =
        project.engine(&["simulate", "plan.yaml", "--jobs", "2", "--samples", "20", "--json"]).expect(0);
    near(&json(&imagined.stdout)["finish_ms"]["p50"]);
}

/// Runs that differ make a p50 below the p95, of all items and of imagined runs; and another command is unknown until it ran.
#[test]
fn what_is_expected_of_a_stage_that_finds_its_size_is_taken_over_runs_of_the_same_command() {
    let body = "    run: 'read -r pace < pace; [ \"$pace\" = 0 ] || while read -r i; do sleep $pace; done < \"$ENGINE_SHARD_FILE\"'\n";
    let text = plan("{items: {range: 40}, size: auto}", body);
    let project = Project::with_plan(&text);
    for pace in ["0", "0.1", "0", "0"] {
        project.write("pace", format!("{pace}\n"));
        project.engine(&["run", "plan.yaml", "-j", "4"]).expect(0);
    }
    let foresee = || json(&project.engine(&["plan", "plan.yaml", "-j", "4", "--json"]).expect(0).stdout);
    let number = |value: &Value| value.as_u64().expect("a number");
    let foreseen = foresee();
    let work = &foreseen["nodes"][0]["work"];
    assert_eq!(work["runs"], 4, "{work}");
    // 40 items of 100 ms.
    assert!(number(&work["p50_ms"]) < 4000 && number(&work["p95_ms"]) >= 4000, "{work}");
    let range = &foreseen["forecast"];
    assert!(number(&range["p50_ms"]) < 1000 && number(&range["p95_ms"]) >= 1000, "{range}");
    let simulate = || project.engine(&["simulate", "plan.yaml", "--jobs", "4", "--json"]).expect(0).stdout;
    let (imagined, again) = (simulate(), simulate());
    assert_eq!(imagined, again, "the same history and seed");
    let finish = &json(&imagined)["finish_ms"];
    assert!(number(&finish["p50"]) < 1000 && number(&finish["p95"]) >= 1000, "{finish}");
    let said = project.engine(&["plan", "plan.yaml"]).expect(0).stdout;
    assert!(said.contains("all items") && said.contains("(4 runs)"), "{said}");
    // Another command may take any time: nothing is said of it until it ran.
    project.write("plan.yaml", text.replace("run: 'read", "run: ': other; read"));
    let foreseen = foresee();
    let node = &foreseen["nodes"][0];
    assert_eq!([&node["expected"], &node["work"], &foreseen["expected_ms"]], [&Value::Null; 3]);
    let said = project.engine(&["plan", "plan.yaml"]).expect(0).stdout;
    assert!(said.contains("unknown, 0 of 1 stage have enough history"), "{said}");
    project.engine(&["run", "plan.yaml", "-j", "4"]).expect(0);
    assert_eq!(foresee()["nodes"][0]["work"]["runs"], 1);
    project.write("plan.yaml", &text);
    assert_eq!(foresee()["nodes"][0]["work"]["runs"], 4, "and what the first one took is not forgotten");
}

/// Runs with other values of the same command stand in until there are enough with these, however the values are written.
#[test]
fn what_is_expected_goes_by_runs_with_the_same_values_where_there_are_enough() {
    for word in ["'{{ inputs.pace }}', '{{ shard.file }}'", "'{{ inputs.pace }} {{ shard.file }}'"] {
        let body =
            format!("    run: [sh, -c, 'set -- $*; sleep $1', x, {word}]\ninputs: {{pace: {{type: string}}}}\n");
        let project = Project::with_plan(&plan("{items: {range: 6}, size: auto}", &body));
        let runs = |pace: &str| {
            let set = format!("pace={pace}");
            project.engine(&["run", "plan.yaml", "--set", &set]).expect(0);
            let seen = json(&project.engine(&["plan", "plan.yaml", "--set", &set, "--json"]).expect(0).stdout);
            seen["nodes"][0]["work"]["runs"].as_u64().expect("a number")
        };
        assert_eq!(["0.2", "0", "0", "0", "0"].map(runs), [1, 2, 3, 4, 5], "{word}: any values");
        assert_eq!((runs("0"), runs("0.1")), (5, 7), "{word}: five of these are enough");
    }
}

/// Nobody knows the items of an earlier stage before it gives them: as many are expected as last time, and each takes as long.
#[test]
fn a_stage_whose_items_come_late_is_expected_to_take_what_as_many_items_took() {
    let text = r#"
version: 1
stages:
  list: {run: 'cat list >> "$ENGINE_OUTPUT"', outputs: {ids: list}}
  pack:
    needs: [list]
    shards: {items: {from: "{{ needs.list.outputs.ids }}", max: 100}, size: 4}
    run: 'while read -r i; do sleep 0.05; done < "$ENGINE_SHARD_FILE"'
"#;
    let project = Project::with_plan(text);
    let list: Vec<u32> = (0..40).collect();
    project.write("list", format!("ids={}\n", serde_json::json!(list)));
    for _ in 0..5 {
        project.engine(&["run", "plan.yaml", "-j", "4"]).expect(0);
    }
    let number = |value: &Value| value.as_u64().expect("a number");
    let foreseen = json(&project.engine(&["plan", "plan.yaml", "-j", "4", "--json"]).expect(0).stdout);
    let work = &foreseen["nodes"][1]["work"];
    assert_eq!(work["runs"], 5, "{work}");
    let all = number(&work["p50_ms"]);
    assert!(all >= 2000, "40 items of 50 ms: {work}");
    // Ten shards in four slots are three rounds.
    let near = |found: &Value| {
        let found = number(found);
        assert!((all / 4..all * 2 / 3).contains(&found), "{found} ms for {all} ms in four slots");
    };
    near(&foreseen["expected_ms"]);
    near(&foreseen["forecast"]["p50_ms"]);
    let imagined =
        project.engine(&["simulate", "plan.yaml", "--jobs", "4", "--samples", "20", "--json"]).expect(0);
    near(&json(&imagined.stdout)["finish_ms"]["p50"]);
    // What the run expected when it began is recorded with it.
    project.engine(&["run", "plan.yaml", "-j", "4"]).expect(0);
    near(&json(&project.engine(&["report", "--json"]).expect(0).stdout)["expected_ms"]);
}
