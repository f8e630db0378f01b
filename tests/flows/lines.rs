//! `protocol: lines` through the binary: the examples of its page, hostile workers, stops, and a kill in the middle.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::Project;
use crate::tool::{events, events_of, is_alive, log, run, stage};

/// The block of `docs/lines.md` that begins with this comment.
fn example(name: &str) -> String {
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/lines.md")).expect("the page");
    let begin = page.find(&format!("{name}\n")).unwrap_or_else(|| panic!("an example {name}"));
    let text = &page[begin + name.len() + 1..];
    text[..text.find("```").expect("its end")].to_owned()
}

fn plan(shards: &str, more: &str) -> String {
    format!("version: 1\nmax-parallel: 2\nstages:\n  hash:\n    shards: {{{shards}, protocol: lines}}\n{more}")
}

/// What each item left, by its number.
fn outputs(project: &Project, key: &str) -> Vec<Value> {
    let mut found: Vec<(u64, Value)> = events_of(project, "shard-finished", "hash")
        .into_iter()
        .filter(|event| event["outcome"] == "success")
        .map(|event| (event["shard"].as_u64().expect("a number"), event["outputs"][key].clone()))
        .collect();
    found.sort_by_key(|it| it.0);
    found.into_iter().map(|it| it.1).collect()
}

/// Writes a worker in Python to `worker.py`: `body` for each item, with `it`, `id` and `answer(…)`.
fn worker(project: &Project, body: &str) {
    let body = body.replace('\n', "\n    ");
    project.write(
        "worker.py",
        format!(
            "import json, os, signal, sys\ndef answer(**more):\n    print(json.dumps({{'id': id, **more}}), flush=True)\n\
             for line in sys.stdin:\n    it = json.loads(line); id = it['id']\n    \
             open('log', 'a').write('%s\\n' % it['item'])\n    {body}\n"
        ),
    );
}

const PYTHON: &str = "    run: [python3, worker.py]\n";

#[test]
fn the_example_in_sh_counts_files() {
    let text = plan("items: {glob: \"in/**\"}", "    run: sh count.sh\n    outputs: {bytes: int}\n");
    let project = Project::with_plan(&text);
    project.write("count.sh", example("# count.sh"));
    for (name, size) in [("in/a", 3), ("in/b c", 7), ("in/d/e", 0)] {
        project.write(name, "x".repeat(size));
    }
    let done = run(&project, 0);
    assert_eq!(outputs(&project, "bytes"), [3, 7, 0]);
    assert!(done.stdout.contains("| counting in/b c"), "{}", done.stdout);
    assert!(stage(&project, "hash")["shards"]["root"].is_string(), "a stage with outputs is sealed");
    project.engine(&["verify", "--deep"]).expect(0);
}

#[test]
fn the_example_in_python_hashes_files_and_says_which_it_could_not_read() {
    let text = plan(
        "items: [one, gone, two]",
        "    allow-failure: true\n    run: [python3, hash.py]\n    outputs: {sha256: string}\n",
    );
    let project = Project::with_plan(&text.replace("protocol", "allow-failed: 1, protocol"));
    project.write("hash.py", example("# hash.py"));
    project.write("one", "1");
    project.write("two", "2");
    run(&project, 0);
    let one = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b";
    assert_eq!(outputs(&project, "sha256")[0], one);
    let hash = stage(&project, "hash");
    assert_eq!((&hash["shards"]["done"], &hash["shards"]["failures"][0]["items"]), (&json!(2), &json!(["gone"])));
    assert!(hash["notes"][0].as_str().is_some_and(|note| note.contains("No such file")), "{}", hash["notes"]);
}

#[test]
fn the_example_in_rust_squares_numbers() {
    let text = plan("items: {range: 5000}", "    run: [./square]\n    outputs: {square: int}\n");
    let project = Project::with_plan(&text);
    project.write("square.rs", example("// square.rs"));
    let built = Command::new("rustc")
        .args(["--edition", "2024", "-O", "square.rs"])
        .current_dir(project.path(""))
        .output()
        .expect("the compiler that built this test");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    run(&project, 0);
    let squares = outputs(&project, "square");
    assert!(squares.len() == 5000 && squares.iter().zip(0_u64..).all(|(is, n)| *is == n * n));
}

#[test]
fn items_reach_a_worker_as_json_whatever_is_in_them() {
    let text = plan(
        "items: [\"a\\nb\", \"\\0\", 'c\"d', {k: [1, null]}, 7, \"$(rm -rf x)\"], items-format: json",
        "    run: [python3, worker.py]\n    outputs: {is: string}\n",
    );
    let project = Project::with_plan(&text);
    worker(&project, "answer(outputs={'is': repr(it['item'])})");
    run(&project, 0);
    let expected = ["'a\\nb'", "'\\x00'", "'c\"d'", "{'k': [1, None]}", "7", "'$(rm -rf x)'"];
    assert_eq!(outputs(&project, "is"), expected);
}

#[test]
fn items_of_an_earlier_stage_and_its_artifacts_are_there_before_a_worker_begins() {
    let text = r#"
version: 1
stages:
  list:
    run: 'echo secret > made; echo "ids=[\"x\", \"y\"]" >> "$ENGINE_OUTPUT"'
    outputs: {ids: list}
    artifacts: [made]
  hash:
    needs: [list]
    shards: {items: {from: "{{ needs.list.outputs.ids }}", max: 9}, protocol: lines, max-parallel: 1}
    run: [python3, worker.py, "{{ needs.list.state }}"]
    env: {WHO: "{{ run.id }}"}
    outputs: {said: string}
"#;
    let project = Project::with_plan(text);
    worker(&project, "os._exit(1)");
    run(&project, 1);
    std::fs::remove_file(project.path("made")).expect("removed");
    worker(
        &project,
        "answer(outputs={'said': ' '.join([it['item'], sys.argv[1], open('made').read().strip(), str(os.environ['WHO'] == os.environ['ENGINE_RUN_ID']), os.environ['ENGINE_WORKER'], str('ENGINE_SHARD' in os.environ)])})",
    );
    project.engine(&["resume"]).expect(0);
    assert_eq!(outputs(&project, "said"), ["x success secret True 0 False", "y success secret True 0 False"]);
}

#[test]
fn a_worker_that_dies_takes_no_more_than_its_unanswered_items_with_it() {
    let text = plan("items: {range: 300}, max-parallel: 1, in-flight: 16", PYTHON);
    let project = Project::with_plan(&text);
    worker(
        &project,
        "if id == 150 and not os.path.exists('died'):\n    open('died', 'w').close(); os.kill(os.getpid(), 9)\nanswer()",
    );
    let done = run(&project, 0);
    assert!(done.stdout.contains("worker  hash  worker 0 was ended by signal 9: "), "{}", done.stdout);
    let lost = events_of(&project, "worker-lost", "hash");
    let shards = lost[0]["shards"].as_array().expect("shards");
    assert!(lost.len() == 1 && shards[0] == 150 && shards.len() <= 16, "{lost:?}");
    let seen = log(&project);
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 300);
    assert!(seen.len() <= 300 + shards.len(), "{} items were done again", seen.len() - 300);
    // First attempts that left nothing are ranges.
    let ranges = events_of(&project, "shards-finished", "hash");
    assert!(ranges.iter().map(|range| range["count"].as_u64().expect("a count")).sum::<u64>() >= 280);
}

#[test]
fn a_poisonous_item_fails_alone_and_is_named() {
    let more = format!("    retry: 1\n{PYTHON}");
    let project = Project::with_plan(&plan("items: [a, b, poison, d, e], allow-failed: 1", &more));
    worker(&project, "if it['item'] == 'poison': os._exit(7)\nanswer()");
    run(&project, 0);
    let hash = stage(&project, "hash");
    assert_eq!(hash["shards"]["done"], 4);
    assert_eq!(hash["shards"]["failures"][0]["items"], json!(["poison"]));
    assert_eq!(hash["shards"]["failures"][0]["outcome"], "exit 7");
    // Lost once, failed once, and its re-try.
    assert_eq!(log(&project).iter().filter(|item| *item == "poison").count(), 3);
    worker(&project, "answer()");
    project.engine(&["resume", &project.only_run(), "--rerun", "hash:failed"]).expect(0);
    assert_eq!(stage(&project, "hash")["shards"]["done"], 5);
    assert_eq!(log(&project).len(), log(&project).iter().filter(|item| *item != "poison").count() + 4);
}

#[test]
fn a_failed_item_is_retried_by_its_code() {
    let more = format!("    retry: {{max: 3, delay: 20ms, when: [{{exit: [75]}}]}}\n{PYTHON}");
    let project = Project::with_plan(&plan("items: [busy, bad], allow-failed: 1", &more));
    let body = "if it['item'] == 'bad': answer(error='never', code=2)\n\
                elif it.get('attempt', 1) < 3: answer(error='busy', code=75)\nelse: answer()";
    worker(&project, body);
    run(&project, 0);
    let mut seen = log(&project);
    seen.sort();
    assert_eq!(seen, ["bad", "busy", "busy", "busy"]);
}

#[test]
fn workers_that_cannot_work_fail_the_stage_and_end() {
    for (command, why) in [
        ("[sh, -c, 'exit 5']", "exit 5"),
        ("[no-such-program-anywhere]", "no-such-program-anywhere"),
        ("[sh, -c, 'echo ready; cat > /dev/null']", "ready"),
    ] {
        let project = Project::with_plan(&plan("items: {range: 100000}", &format!("    run: {command}\n")));
        let done = project.engine(&["run", "plan.yaml"]);
        assert!(matches!(done.status, 1 | 9), "{command}: {}", done.status);
        assert!(done.stdout.contains(why), "{command}: {}", done.stdout);
        let starts = events_of(&project, "worker-lost", "hash").len();
        assert!(starts <= 10, "{command}: {starts} workers");
    }
}

#[test]
fn with_failures_that_stay_inside_a_broken_worker_is_still_not_started_for_ever() {
    let text = "version: 1\non-failure: continue\nstages:\n  hash:\n    shards: {items: {range: 5000}, protocol: lines}\n    \
                run: [sh, -c, 'echo x >> starts; exit 5']\n";
    let project = Project::with_plan(text);
    project.engine(&["run", "plan.yaml", "-j", "2"]).expect(1);
    assert!(project.read("starts").lines().count() <= 11, "{}", project.read("starts").lines().count());
    let hash = stage(&project, "hash");
    assert_eq!(hash["shards"]["failed"], 5000);
    let outcome = hash["shards"]["failures"][99]["outcome"].as_str().expect("an outcome").to_owned();
    assert!(outcome.contains("10 workers in a row ended without an answer"), "{outcome}");
}

#[test]
fn a_hung_item_times_out_and_the_others_do_not() {
    // Long enough for the others on a busy machine.
    let more = format!("    timeout: 6s\n    stop: {{grace: 1s}}\n{PYTHON}");
    let project = Project::with_plan(&plan("items: [a, b, hang, d], allow-failed: 1, max-parallel: 1", &more));
    worker(&project, "if it['item'] == 'hang': signal.pause()\nanswer()");
    run(&project, 0);
    let hash = stage(&project, "hash");
    assert_eq!(hash["shards"]["failures"][0]["items"], json!(["hang"]));
    assert_eq!((&hash["shards"]["done"], &hash["shards"]["failed"]), (&json!(3), &json!(1)));
}

#[test]
fn what_may_not_be_done_twice_waits_for_a_person() {
    let more = format!("    idempotent: false\n{PYTHON}");
    let project = Project::with_plan(&plan("items: [a, b, c], max-parallel: 1", &more));
    worker(
        &project,
        "if it['item'] == 'b' and not os.path.exists('died'): open('died', 'w').close(); os._exit(1)\nanswer()",
    );
    run(&project, 5);
    assert_eq!(
        (stage(&project, "hash")["state"].clone(), log(&project)),
        (json!("unknown"), vec!["a".to_owned(), "b".to_owned()])
    );
    project.engine(&["resolve", &project.only_run(), "hash", "--as", "success"]).expect(0);
    project.engine(&["resume"]).expect(0);
    assert_eq!(log(&project), ["a", "b", "c"]);
}

#[test]
fn a_cancel_stops_workers_with_all_that_they_started() {
    let more = format!("    stop: {{grace: 5s}}\n{PYTHON}");
    let project = Project::with_plan(&plan("items: {range: 10}, max-parallel: 1, in-flight: 4", &more));
    worker(
        &project,
        "if id == 3:\n    if os.fork() == 0:\n        os.setsid(); open('child', 'w').write('%d\\n' % os.getpid()); signal.pause()\n    while not os.path.exists('child') or not os.path.getsize('child'): pass\n    \
         print('hangs', file=sys.stderr, flush=True); signal.pause()\nanswer()",
    );
    let live = project.start(&["run", "plan.yaml"]);
    live.line("hangs");
    let child = project.read("child");
    live.signal(rustix::process::Signal::TERM);
    assert_eq!(live.end().status, 143);
    assert!(!is_alive(&child), "what the worker started is gone");
    assert_eq!(stage(&project, "hash")["state"], "cancelled");
    worker(&project, "answer()");
    project.engine(&["resume"]).expect(0);
    let seen = log(&project);
    assert_eq!(seen.iter().filter(|item| *item == "0").count(), 1, "an answer is final");
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 10);
}

#[test]
fn a_killed_engine_leaves_nothing_and_a_resume_repeats_only_what_had_no_answer() {
    let project = Project::with_plan(&plan("items: {range: 3000}, max-parallel: 2, in-flight: 32", PYTHON));
    worker(
        &project,
        "if id == 2000 and not os.path.exists('slow'):\n    open('slow', 'w').close()\n    \
                      print('now', os.getpid(), file=sys.stderr, flush=True); signal.pause()\nanswer()",
    );
    let live = project.start(&["run", "plan.yaml"]);
    let line = live.line("now ");
    let pid = line.rsplit(' ').next().expect("a process id").to_owned();
    live.kill_worker();
    live.end();
    assert!(!is_alive(&pid), "the front ends what its worker left");
    let done: BTreeSet<u64> = events(&project).iter().flat_map(answered).collect();
    assert!(done.len() > 1500, "{} were done", done.len());
    let reason = stage(&project, "hash")["reason"].as_str().expect("words").to_owned();
    let reached =
        format!("was running when the engine died at {}/3000 shards; resume runs the others", done.len());
    assert_eq!(reason, reached);
    std::fs::remove_file(project.path("log")).expect("removed");
    project.engine(&["resume"]).expect(0);
    let again: BTreeSet<u64> = log(&project).iter().map(|item| item.parse().expect("a number")).collect();
    assert!(again.is_disjoint(&done), "acknowledged is final");
    assert_eq!(again.len() + done.len(), 3000);
    project.engine(&["verify"]).expect(0);
}

/// Items of a stage that is killed again and again; a million with `ENGINE_LONG`.
fn many() -> u64 {
    if std::env::var_os("ENGINE_LONG").is_some() { 1_000_000 } else { 12_000 }
}

#[test]
fn a_stage_of_many_items_that_is_killed_again_and_again_records_each_answer_once() {
    let (items, workers, in_flight) = (many(), 2, 64);
    let shards = format!("items: {{range: {items}}}, max-parallel: {workers}, in-flight: {in_flight}");
    let project = Project::with_plan(&plan(&shards, PYTHON));
    // Each worker keeps its log open: a million items are a million short writes.
    let marks: Vec<u64> = (1..5).map(|fifth| items * fifth / 5).collect();
    project.write(
        "worker.py",
        format!(
            // A mark is met once, and not answered before the engine is killed: the run cannot end meanwhile.
            "import json, os, signal, sys\nlog = os.open('log', os.O_WRONLY | os.O_APPEND | os.O_CREAT)\n\
             for line in sys.stdin:\n    id = json.loads(line)['id']\n    os.write(log, b'%d\\n' % id)\n    \
             if id in {marks:?} and not os.path.exists(f'met-{{id}}'):\n        open(f'met-{{id}}', 'w').close()\n        \
             print('at', id, file=sys.stderr, flush=True)\n        signal.pause()\n    \
             print('{{\"id\": %d}}' % id, flush=True)\n"
        ),
    );
    let mut done = BTreeSet::new();
    let mut again = 0;
    for (engine, mark) in marks.iter().enumerate() {
        let live = project.start(if engine == 0 { &["run", "plan.yaml"] } else { &["resume"] });
        live.line(&format!("at {mark}"));
        live.kill_worker();
        live.end();
        // The next engine dies as soon as it has the run: nothing of that is lost or done twice.
        let second = project.start(&["resume"]);
        second.line("resumed");
        second.kill_worker();
        second.end();
        again += settle(&project, &mut done);
    }
    project.engine(&["resume"]).expect(0);
    again += settle(&project, &mut done);
    assert_eq!(u64::try_from(done.len()).expect("a count"), items);
    // What was in flight, and what was answered and not on disk yet.
    let most = 2 * marks.len() * workers * in_flight + 2 * marks.len() * 1000;
    assert!(again <= most, "{again} items were done again by {} engines", 2 * marks.len() + 1);
    project.engine(&["verify"]).expect(0);
}

/// Adds what is recorded as done to `done`, and says how many items were done without an answer on record. What had been
/// recorded before must not have been done again, and no answer is recorded twice.
fn settle(project: &Project, done: &mut BTreeSet<u64>) -> usize {
    let seen = log(project);
    let worked: BTreeSet<u64> = seen.iter().map(|item| item.parse().expect("a number")).collect();
    assert!(worked.iter().all(|item| !done.contains(item)), "acknowledged is final");
    let recorded: Vec<u64> = events(project).iter().flat_map(answered).collect();
    let now: BTreeSet<u64> = recorded.iter().copied().collect();
    assert_eq!(recorded.len(), now.len(), "an answer is recorded once");
    let fresh = now.difference(done).count();
    assert!(
        now.is_superset(done) && now.difference(done).all(|item| worked.contains(item)),
        "no answer without work"
    );
    *done = now;
    if project.has("log") {
        std::fs::remove_file(project.path("log")).expect("removed");
    }
    seen.len() - fresh
}

/// The items that an event says were done.
fn answered(event: &Value) -> Vec<u64> {
    match event["event"].as_str() {
        Some("shards-finished") => {
            let first = event["first"].as_u64().expect("a number");
            (first..first + event["count"].as_u64().expect("a number")).collect()
        }
        Some("shard-finished") if event["outcome"] == "success" => {
            vec![event["shard"].as_u64().expect("a number")]
        }
        _ => Vec::new(),
    }
}

#[test]
fn what_does_not_fit_workers_is_an_error_of_the_plan_at_its_place() {
    for (shards, more, at, said) in [
        ("items: [a], size: 10", "", "size: 10", "`size` has no meaning with `protocol: lines`"),
        ("items: [a], size: auto", "", "auto", "`size` has no meaning"),
        ("items: [a], target-p95: 8s", "", "8s", "`target-p95` has no meaning"),
        ("items: [a], in-flight: 0", "", "0", "from 1 to 16384"),
        ("items: [a]", "    cache: {sources: [x]}\n", "cache", "`cache` does not fit `protocol: lines`"),
        ("items: [a]", "    artifacts: [x]\n", "x", "`artifacts` do not fit"),
        ("items: [a]", "    done-if: {run: [x]}\n", "x", "`done-if` does not fit"),
        ("items: [a]", "    idle-timeout: 5s\n", "5s", "`idle-timeout` does not fit"),
        ("items: [a]", "    lifetime: run\n", "run", "`lifetime` does not fit"),
        ("items: [a]", "    env: {A: \"{{ shard.item }}\"}\n", "shard", "a worker has no shard of its own"),
    ] {
        let project = Project::with_plan(&plan(shards, &format!("    run: [x]\n{more}")));
        project.write("x", "");
        let refused = project.engine(&["check", "plan.yaml"]).expect(3);
        let told = refused.stdout + &refused.stderr;
        assert!(told.contains(said) && told.contains("plan.yaml:"), "{shards} {more}: {at}\n{told}");
    }
    let text = "version: 1\nstages:\n  hash:\n    shards: {items: [a], in-flight: 4}\n    run: [x]\n";
    let refused = Project::with_plan(text).engine(&["check", "plan.yaml"]).expect(3);
    let told = refused.stdout + &refused.stderr;
    assert!(told.contains("`in-flight` is for stages whose shards have `protocol: lines`"), "{told}");
    let project = Project::with_plan(&plan("items: [a]", PYTHON).replace("lines", "grpc"));
    assert!(project.engine(&["check", "plan.yaml"]).expect(3).stdout.contains("lines"));
}

#[test]
fn a_wrong_output_fails_its_item_only() {
    let more = format!("{PYTHON}    outputs: {{n: int}}\n");
    let project = Project::with_plan(&plan("items: [a, b, c], allow-failed: 2", &more));
    worker(&project, "answer(outputs={'a': {'n': 1}, 'b': {'n': 'x'}, 'c': {}}[it['item']])");
    run(&project, 0);
    let failures = stage(&project, "hash")["shards"]["failures"].clone();
    let why: Vec<&str> =
        failures.as_array().expect("two").iter().filter_map(|it| it["outcome"].as_str()).collect();
    assert!(
        why[0].contains("output `n`") && why[1].contains("`n` is declared but is not in the answer"),
        "{why:?}"
    );
}

/// In a part too a worker gets the numbers of a range as numbers, under the places that they have there.
#[test]
fn items_of_workers_are_joined_from_parts() {
    let project = Project::with_plan(&plan("items: {range: 40}", &format!("{PYTHON}    outputs: {{n: int}}\n")));
    worker(&project, "answer(outputs={'n': it['item']})");
    for part in ["1/2", "2/2"] {
        let state = format!("state-{}", &part[..1]);
        project.engine(&["run", "plan.yaml", "--shard", part, "--state-dir", &state]).expect(0);
    }
    project.engine(&["merge", "state-1", "state-2"]).expect(0);
    project.engine(&["resume"]).expect(0);
    assert_eq!(log(&project).len(), 40, "no item was done twice");
    assert_eq!(stage(&project, "hash")["shards"]["done"], 40);
    assert!(outputs(&project, "n").iter().zip(0_u64..).all(|(is, n)| *is == n));
    project.engine(&["verify", "--deep"]).expect(0);
}

/// Items of less than a millisecond, of which a worker has many ahead.
#[test]
fn what_workers_do_is_foretold_by_their_time() {
    let project = Project::with_plan(&plan("items: {range: 4000}, max-parallel: 2", PYTHON));
    worker(&project, "answer(outputs={'n': id})");
    let text = std::fs::read_to_string(project.path("plan.yaml")).expect("a plan");
    project.write("plan.yaml", text + "    outputs: {n: int}\n");
    run(&project, 0);
    let took = stage(&project, "hash")["duration_ms"].as_u64().expect("a number");
    let told = json_of(&project, &["plan", "plan.yaml", "--json"]);
    let node =
        told["nodes"].as_array().expect("nodes").iter().find(|node| node["id"] == "hash").expect("the stage");
    let work = node["work"]["p50_ms"].as_u64().unwrap_or_else(|| panic!("its work: {node}"));
    assert!(0 < work && work <= 2 * took, "{work} ms of two workers in {took} ms");
    let imagined = json_of(&project, &["simulate", "plan.yaml", "--json"]);
    let p95 = imagined["finish_ms"]["p95"].as_u64().expect("a number");
    assert!(0 < p95 && p95 <= took + 1, "{p95} ms, and it took {took} ms");
}

fn json_of(project: &Project, words: &[&str]) -> Value {
    crate::tool::json(&project.engine(words).expect(0).stdout)
}

#[test]
fn of_very_many_failed_items_a_few_are_told_one_by_one() {
    let project = Project::with_plan(&plan("items: {range: 300}, allow-failed: 300", PYTHON));
    worker(&project, "answer(error='no')");
    let told = run(&project, 0).stdout;
    assert_eq!(told.matches("failed  hash[").count(), 10, "{told}");
    assert_eq!(told.matches("failed  hash  more of its shards, which are left out here\n").count(), 1, "{told}");
    assert!(told.contains("300 of 300 items failed"), "{told}");
}
