//! Items, workers and clocks that no plan expects: each has an outcome that docs/shards.md and docs/lines.md promise.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::Project;
use crate::tool::{events_of, json as parse, log, run, stage, start_until};

fn plan(shards: &str, more: &str) -> String {
    format!("version: 1\nstages:\n  pack:\n    shards: {shards}\n{more}")
}

const COPY: &str = "    run: 'cat \"$ENGINE_SHARD_FILE\" >> log'\n";

#[test]
fn items_that_lines_cannot_carry_are_refused_at_their_place() {
    let refused = |text: &str, items: &[u8], said: &[&str]| {
        let project = Project::with_plan(text);
        project.write("items", items);
        let out = project.engine(&["run", "plan.yaml"]).expect(3);
        assert!(said.iter().all(|word| out.stderr.contains(word)), "{}", out.stderr);
        assert!(project.runs().is_empty(), "nothing was begun");
    };
    let file = plan("{items: {file: items}}", COPY);
    refused(&file, b"fine\na\0b\n", &["plan::bad-item", "plan.yaml:4:28", "items-format: json"]);
    refused(&plan("{items: [a, \"a\\nb\"]}", COPY), b"", &["plan::bad-item", "item 1", "plan.yaml:4:25"]);
    refused(&plan("{items: []}", COPY), b"", &["plan.yaml:4:", "items"]);
    refused(&plan("{items: {range: 2000001}}", COPY), b"", &["`range`", "2000000", "plan.yaml:4:"]);
    refused(&file, &b"x\n".repeat((64 << 20) / 2 + 1), &["items", "64 MiB"]);
}

#[test]
fn items_that_lines_cannot_carry_fail_the_stage_they_are_given_to() {
    let text = r#"
version: 1
stages:
  list: {run: 'cat list >> "$ENGINE_OUTPUT"', outputs: {ids: list}}
  pack:
    needs: [list]
    shards: {items: {from: "{{ needs.list.outputs.ids }}", max: 9}}
    run: 'echo started >> log'
"#;
    for list in ["ids=[\"a\\nb\"]\n", "ids=[\"a\\u0000b\"]\n"] {
        let project = Project::with_plan(text);
        project.write("list", list);
        run(&project, 1);
        let reason = stage(&project, "pack")["reason"].as_str().expect("a reason").to_owned();
        assert!(reason.contains("items-format"), "{reason}");
        assert!(log(&project).is_empty(), "nothing of it started");
    }
}

#[test]
fn items_of_a_megabyte_go_by_file_and_not_by_word() {
    let large = "x".repeat(1 << 20);
    let items = format!("{large}\nsmall\n{large}\n");
    let project = Project::with_plan(&plan("{items: {file: items}, size: 3}", COPY));
    project.write("items", &items);
    run(&project, 0);
    assert_eq!(project.read("log"), items);
    let word = "    run: [sh, -c, 'printf %s \"$1\" | wc -c >> log', x, \"{{ shard.item }}\"]\n";
    let project = Project::with_plan(&plan("{items: {file: items}, allow-failed: 2}", word));
    project.write("items", &items);
    run(&project, 0);
    let failures = stage(&project, "pack")["shards"]["failures"].clone();
    assert_eq!((failures.as_array().map(Vec::len), log(&project)), (Some(2), vec!["5".to_owned()]));
    let outcome = failures[0]["outcome"].as_str().expect("an outcome").to_owned();
    assert!(outcome.contains("could not start"), "{outcome}");
}

#[test]
fn a_slow_item_that_alone_breaks_the_target_is_counted_and_the_rest_is_not_split_for_ever() {
    let body = "    run: 'if grep -qx 7 \"$ENGINE_SHARD_FILE\"; then sleep 3; fi'\n";
    let project = Project::with_plan(&plan("{items: {range: 40}, size: auto, target-p95: 2s}", body));
    run(&project, 0);
    let seen = stage(&project, "pack");
    let reason = seen["reason"].as_str().expect("a reason").to_owned();
    assert!(reason.contains("alone took longer than"), "{reason}");
    assert_eq!((&seen["state"], &seen["shards"]["done"]), (&json!("success"), &seen["shards"]["all"]));
    assert!(seen["shards"]["all"].as_u64() <= Some(40), "no shard is smaller than an item");
}

/// Every item alone is over the target: shards come down to one item, and are not split any more then.
#[test]
fn items_that_all_break_the_target_are_split_down_to_one_and_no_further() {
    let body = "    run: exec sleep 0.6\n";
    let project =
        Project::with_plan(&plan("{items: {range: 80}, size: 4, target-p95: 500ms, max-parallel: 8}", body));
    project.engine(&["run", "plan.yaml", "-j", "8"]).expect(0);
    let cuts = events_of(&project, "shards-cut", "pack");
    let sizes: Vec<_> = cuts.iter().map(|cut| (cut["why"].as_str(), cut["size"].as_u64())).collect();
    assert_eq!(sizes, [(Some("first"), Some(4)), (Some("split"), Some(1))]);
    let reason = stage(&project, "pack")["reason"].as_str().expect("a reason").to_owned();
    assert!(reason.contains("items alone took longer than"), "{reason}");
}

/// What a worker may not say, with what the log says about it. Each time it is replaced, and the others' answers count.
#[test]
fn a_worker_that_answers_nonsense_is_replaced_and_only_the_item_it_was_alone_with_fails() {
    for (body, said) in [
        ("answer(id); answer(id)", "item 5, which it does not have"),
        ("answer(4000000)", "item 4000000, which it does not have"),
        ("flood()", "a line longer than 1048576 bytes (MAX_ANSWER_BYTES)"),
    ] {
        let text = plan(
            "{items: {range: 40}, protocol: lines, allow-failed: 1, max-parallel: 1}",
            "    run: [python3, worker.py]\n",
        );
        let project = Project::with_plan(&text);
        let worker = format!(
            "import json, sys\n\ndef answer(id):\n    print(json.dumps({{'id': id}}), flush=True)\n\ndef flood():\n    \
             sys.stdout.write('x' * 100_000_000)\n    open('log', 'a').write('all of it was taken\\n')\n\n\
             for line in sys.stdin:\n    id = json.loads(line)['id']\n    if id == 5: {body}\n    else: answer(id)\n"
        );
        project.write("worker.py", worker);
        let done = run(&project, 0);
        assert!(done.stdout.contains(said), "{body}: {}", done.stdout);
        let shards = stage(&project, "pack")["shards"].clone();
        // Who answers twice has answered once, and that counts.
        let failed = u64::from(!body.starts_with("answer(id)"));
        assert_eq!((&shards["failed"], &shards["done"]), (&json!(failed), &json!(40 - failed)), "{body}");
        assert!(log(&project).is_empty(), "nobody takes a line of 100 MB");
    }
}

/// Stands between a program and the system's wall clock, which it sets by the seconds in the file `$JUMP`.
const CLOCK: &str = r#"
use std::ffi::{c_int, c_long};
#[repr(C)]
pub struct Time { secs: c_long, nanos: c_long }
unsafe extern "C" { fn syscall(number: c_long, ...) -> c_long; }
#[unsafe(no_mangle)]
pub extern "C" fn clock_gettime(clock: c_int, time: *mut Time) -> c_int {
    let number = if cfg!(target_arch = "x86_64") { 228 } else { 113 };
    let found = unsafe { syscall(number, clock as c_long, time) };
    if clock == 0 && found == 0 {
        let text = std::env::var_os("JUMP").and_then(|path| std::fs::read_to_string(path).ok());
        let jump: c_long = text.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        unsafe { (*time).secs += jump };
    }
    found as c_int
}
"#;

#[test]
fn a_clock_that_jumps_times_nothing_out_and_turns_no_record_around() {
    let body = "    run: |\n      [ \"$ENGINE_SHARD\" != 3 ] || echo 86400 > jump\n      \
                if [ \"$ENGINE_SHARD\" = 6 ]; then echo -86400 > jump; if [ ! -e ready ]; then echo here; exec sleep 1000; fi; fi\n      \
                cat \"$ENGINE_SHARD_FILE\" >> log\n    timeout: 10m\n    retry: {max: 1, within: 30m}\n";
    let text = plan("{items: {range: 10}, max-parallel: 1, target-p95: 5m}", body);
    let project = Project::with_plan(&format!("{text}timeout: 1h\nslo: 1h\n"));
    project.write("clock.rs", CLOCK);
    project.write("jump", "0");
    let built = Command::new("rustc")
        .args(["--edition", "2024", "--crate-type", "cdylib", "-o", "clock.so", "clock.rs"])
        .current_dir(project.path(""))
        .output()
        .expect("the compiler that built this test");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let (library, jump) = (project.path("clock.so"), project.path("jump"));
    let env = [("LD_PRELOAD", library.to_str().expect("text")), ("JUMP", jump.to_str().expect("text"))];
    // The clock is behind the engine's now; it dies, and the next one begins a day before the first.
    let mut command = project.command(&["run", "plan.yaml"]);
    command.envs(env);
    let live = crate::support::Live::start(command);
    live.line("here");
    live.kill_worker();
    live.end();
    assert_eq!(project.read("jump").trim(), "-86400", "it went there and back");
    project.write("ready", "");
    let done = project.engine_with(&env, &["resume"]).expect(0);
    assert_eq!(log(&project), (0..10).map(|item| item.to_string()).collect::<Vec<_>>(), "each once");
    project.engine_with(&env, &["verify"]).expect(0);
    let events = project.engine(&["report", "--format", "events"]).expect(0).stdout;
    let moments: Vec<u64> = events.lines().filter_map(|line| parse(line)["at_ms"].as_u64()).collect();
    assert!(moments.is_sorted(), "{moments:?}");
    assert!(moments.last() < Some(&3_600_000), "no day went by: {moments:?}");
    let finished = events_of(&project, "shard-finished", "pack");
    let longest = finished.iter().filter_map(|event| event["took_ms"].as_u64()).max();
    assert!(longest < Some(600_000), "{longest:?}");
    let late: Vec<Value> = events_of(&project, "shards-cut", "pack");
    assert!(late.iter().all(|cut| cut["why"] != "split"), "no shard looked slow: {late:?}");
    assert!(!done.stdout.contains("slo"), "{}", done.stdout);
}

/// Waits for a lock, and what a later simulation makes of them and of objectives.
#[test]
fn simulations_count_waits_for_the_lock_and_the_chance_of_each_objective() {
    let text = "version: 1\nname: sim\nlock: {name: deploy, on-busy: wait, wait: 5m}\nslo: 1h\ngroups: {tight: {slo: 1ms}}\nstages:\n  \
                work: {group: tight, run: 'if [ -e hold ]; then echo up; read -r _ < gate; fi; exec sleep 0.2'}\n";
    let project = Project::with_plan(text);
    let mut gate = crate::tool::Gate::new(&project, "gate");
    project.write("hold", "");
    let first = start_until(&project, "up");
    std::fs::remove_file(project.path("hold")).expect("it is there");
    let second = project.start(&["run", "plan.yaml"]);
    second.error_line("waiting for lock");
    gate.open();
    first.end().expect(0);
    second.end().expect(0);
    let found = parse(&project.engine(&["simulate", "plan.yaml", "--samples", "200", "--json"]).expect(0).stdout);
    let locks: Vec<&Value> =
        found["holdups"].as_array().expect("a list").iter().filter(|it| it["kind"] == "lock").collect();
    assert_eq!(locks.len(), 1, "{found}");
    assert_eq!(locks[0]["name"], "deploy");
    let chance = |of: &str| {
        let slos = found["slos"].as_array().expect("a list").iter();
        slos.clone().find(|slo| slo["of"] == of).map(|slo| slo["chance"].clone())
    };
    assert_eq!((chance("run"), chance("group")), (Some(json!(1.0)), Some(json!(0.0))), "{found}");
    let said = project.engine(&["simulate", "plan.yaml"]).expect(0).stdout;
    assert!(
        said.contains("lock `deploy`") && said.contains("slo        0.0 % of group `tight` within 1ms"),
        "{said}"
    );
}
