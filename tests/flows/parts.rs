//! `run --shard`, `merge`, `ci`: a plan in parts on several machines, joined to one run.

use crate::support::{Output, Project};
use crate::tool::{count, events_of, expect_states, json, log, stage, status};

pub(crate) const PLAN: &str = r#"
version: 1
name: fan
stages:
  build: {run: mkdir -p out; echo built > out/built; echo build >> log, artifacts: [out/built]}
  pack:
    needs: [build]
    shards: {items: [a, b, c, d, e, f, g], size: 1}
    run: |
      [ "$ENGINE_ATTEMPT" -ge 1 ] && item=$(cat "$ENGINE_SHARD_FILE")
      [ ! -e "bad-$item" ] || exit 3
      cat out/built; echo "pack $item"; echo "$item" >> log
  ship: {needs: [pack], run: echo ship >> log}
finally: {stages: {tidy: {run: echo tidy >> log}}}
"#;

/// One machine that works on a part.
fn machine(part: &str, plan: &str, code: i32) -> Project {
    let project = Project::with_plan(plan);
    project.engine(&["run", "plan.yaml", "--shard", part]).expect(code);
    project
}

/// The machine that joins the parts.
fn join(parts: &[&Project], plan: &str) -> (Project, Output) {
    let project = Project::with_plan(plan);
    let dirs: Vec<String> = parts.iter().map(|part| part.path(".engine").to_string_lossy().into_owned()).collect();
    let mut args = vec!["merge"];
    args.extend(dirs.iter().map(String::as_str));
    let output = project.engine(&args);
    (project, output)
}

#[test]
fn parts_joined_are_one_run_that_verifies_and_goes_on() {
    let parts = ["1/3", "2/3", "3/3"].map(|part| machine(part, PLAN, 0));
    let mut packed: Vec<String> = parts.iter().flat_map(log).filter(|line| line.len() == 1).collect();
    packed.sort();
    assert_eq!(packed, ["a", "b", "c", "d", "e", "f", "g"], "each item in one part");
    assert!(parts.iter().all(|part| count(part, "ship") + count(part, "tidy") == 0));
    let most = parts.iter().map(|part| log(part).len()).max().expect("three");
    assert!(most <= 1 + 3, "as many for each, to within one");
    let (whole, output) = join(&[&parts[2], &parts[0], &parts[1]], PLAN);
    assert!(output.expect(0).stdout.contains("engine resume"));
    whole.engine(&["verify"]).expect(0);
    assert_eq!(status(&whole)["state"], "handed-over");
    expect_states(&whole, "build=success pack=success ship=pending tidy=pending");
    whole.engine(&["resume"]).expect(0);
    assert_eq!(log(&whole), ["ship", "tidy"], "what the parts did is not done again");
    expect_states(&whole, "build=success pack=success ship=success tidy=success");
    assert!(whole.has("out/built") || !whole.has("out"), "artifacts are there for who needs them");
    let said = whole.engine(&["logs", &whole.only_run(), "pack"]).expect(0).stdout;
    assert!(
        ["a", "b", "c", "d", "e", "f", "g"].iter().all(|item| said.contains(&format!("pack {item}"))),
        "{said}"
    );
    whole.engine(&["verify"]).expect(0);
}

#[test]
fn what_failed_in_a_part_is_done_by_the_joined_run() {
    let (first, bad) = (machine("1/2", PLAN, 0), Project::with_plan(PLAN));
    for item in ["a", "b", "c", "d", "e", "f", "g"] {
        bad.write(format!("bad-{item}"), "");
    }
    bad.engine(&["run", "plan.yaml", "--shard", "2/2"]).expect(1);
    let done = log(&first).len() - 1;
    let (whole, output) = join(&[&first, &bad], PLAN);
    output.expect(0);
    expect_states(&whole, "build=success pack=waiting ship=pending tidy=pending");
    let shards = stage(&whole, "pack")["shards"].clone();
    assert_eq!(
        (&shards["done"], &shards["failed"]),
        (&done.into(), &0.into()),
        "what is left has not failed: {shards}"
    );
    whole.engine(&["resume"]).expect(0);
    assert_eq!(log(&whole).len(), 7 - done + 2, "what was not done, and ship and tidy");
    expect_states(&whole, "build=success pack=success ship=success tidy=success");
}

/// Two runs of the same parts would do the same rest twice.
#[test]
fn parts_that_a_run_joins_are_not_joined_again() {
    let (one, bad) = (machine("1/2", PLAN, 0), Project::with_plan(PLAN));
    for item in ["a", "b", "c", "d", "e", "f", "g"] {
        bad.write(format!("bad-{item}"), "");
    }
    bad.engine(&["run", "plan.yaml", "--shard", "2/2"]).expect(1);
    let (whole, output) = join(&[&one, &bad], PLAN);
    output.expect(0);
    let first = whole.only_run();
    let [a, b] = [&one, &bad].map(|part| part.path(".engine").to_string_lossy().into_owned());
    let merge = |more: &[&str]| whole.engine(&[&["merge", &b, &a], more].concat()).expect(0);
    let said = merge(&[]).stdout;
    assert!(said.contains(&format!("run {first} has what these 2 parts did already")), "{said}");
    assert!(said.contains("engine resume"), "{said}");
    let said = json(&merge(&["--json"]).stdout);
    assert_eq!((&said["run"], &said["new"]), (&first.as_str().into(), &false.into()), "{said}");
    merge(&["--run-id", &first]);
    assert_eq!(whole.only_run(), first);
    // By a name it is what somebody wants.
    let again = merge(&["--run-id", "again"]);
    assert!(again.stderr.contains(&format!("run {first} joins the same parts")), "{}", again.stderr);
    assert_eq!(whole.runs().len(), 2);
    // What has gone on since is not the same any more.
    for item in ["a", "b", "c", "d", "e", "f", "g"] {
        std::fs::remove_file(bad.path(format!("bad-{item}"))).expect("it is there");
    }
    bad.engine(&["resume"]).expect(0);
    let newer = merge(&["--run-id", "newer"]);
    assert!(
        newer.stderr.contains(&format!("run {first} joins these parts as they were before")),
        "{}",
        newer.stderr
    );
    whole.engine(&["resume", "newer"]).expect(0);
    let said = merge(&[]).stdout;
    assert!(said.contains("run newer has what these 2 parts did already, and has ended well"), "{said}");
}

/// Work behind the verdict has one verdict to follow: that of the joined run. No part starts or releases any of it, also what
/// has shards of its own, and also what a part had all needs of.
#[test]
fn background_work_is_done_once_behind_the_verdict_of_the_joined_run() {
    let plan = PLAN.replace(
        "  ship:",
        "  count: {background: true, needs: [pack], run: echo count >> log}\n  \
         upload:\n    background: true\n    needs: [pack]\n    shards: {items: [x, y, z], size: 1}\n    \
         run: echo \"up $(cat \"$ENGINE_SHARD_FILE\")\" >> log\n  ship:",
    );
    let parts = ["1/2", "2/2"].map(|part| machine(part, &plan, 0));
    for part in &parts {
        assert!(log(part).iter().all(|line| line == "build" || line.len() == 1), "{:?}", log(part));
        let queue = json(&part.engine(&["queue", "list", "--json"]).expect(0).stdout);
        assert_eq!((&queue["depth"], &queue["dead"]), (&0.into(), &0.into()), "{queue:#}");
        assert_eq!(status(part)["state"], "success");
        // Nothing is left to whoever drains what a part left.
        part.engine(&["queue", "drain", "--until-empty"]).expect(0);
    }
    let (whole, output) = join(&[&parts[0], &parts[1]], &plan);
    output.expect(0);
    let out = whole.engine(&["resume"]).expect(0);
    let verdict = out.stdout.find("2 background stages still run").expect("the verdict comes first");
    assert!(out.stdout.find("start  count").is_some_and(|at| at > verdict), "{}", out.stdout);
    let mut done = log(&whole);
    assert_eq!(&done[..2], ["ship", "tidy"], "the foreground and its clean-up come first");
    done[2..].sort();
    assert_eq!(done[2..], ["count", "up x", "up y", "up z"]);
    expect_states(&whole, "build=success pack=success ship=success tidy=success count=success upload=success");
    whole.engine(&["verify"]).expect(0);
}

#[test]
fn a_part_that_left_background_work_to_nobody_is_joined_after_a_kill_all_the_same() {
    let plan =
        PLAN.replace("  ship:", "  count: {background: true, needs: [pack], run: echo count >> log}\n  ship:");
    let held = plan.replace(
        "cat out/built;",
        "cat out/built; if mv hold gone 2> /dev/null; then echo held; exec sleep 600; fi;",
    );
    let first = Project::with_plan(&held);
    first.write("hold", "");
    let live = first.start(&["run", "plan.yaml", "--shard", "1/2"]);
    live.line("held");
    live.signal(rustix::process::Signal::KILL);
    live.end().expect(137);
    first.engine(&["resume"]).expect(0);
    let (whole, output) = join(&[&first, &machine("2/2", &held, 0)], &held);
    output.expect(0);
    whole.engine(&["resume", "--no-wait"]).expect(0);
    assert_eq!(log(&whole), ["ship", "tidy"]);
    whole.engine(&["queue", "drain"]).expect(0);
    assert_eq!(log(&whole), ["ship", "tidy", "count"]);
}

#[test]
fn a_killed_part_resumes_as_it_began() {
    let project = Project::with_plan(PLAN);
    project.engine(&["run", "plan.yaml", "--shard", "1/2", "--time-box", "1ms"]).expect(75);
    project.engine(&["resume"]).expect(0);
    let (whole, output) = join(&[&project, &machine("2/2", PLAN, 0)], PLAN);
    output.expect(0);
    whole.engine(&["resume"]).expect(0);
    assert_eq!(log(&whole), ["ship", "tidy"]);
}

#[test]
fn parts_that_do_not_go_together_are_refused_by_name() {
    let (one, two) = (machine("1/2", PLAN, 0), machine("2/2", PLAN, 0));
    let refused = |parts: &[&Project], code: i32, words: &[&str]| {
        let (project, output) = join(parts, PLAN);
        let output = output.expect(code);
        assert!(words.iter().all(|word| output.stderr.contains(word)), "{}", output.stderr);
        assert!(project.runs().is_empty(), "nothing is joined");
    };
    refused(&[&one], 2, &["missing: part 2/2"]);
    refused(&[&one, &one], 2, &["part 1/2 is in both"]);
    refused(&[&one, &machine("2/3", PLAN, 0)], 2, &["different numbers of parts"]);
    let other = PLAN.replace("pack $item", "packed $item");
    refused(&[&one, &machine("2/2", &other, 0)], 2, &["the plan or its inputs changed"]);
    refused(&[&one, &Project::with_plan(PLAN)], 4, &["no state directory"]);
    let plain = Project::with_plan("version: 1\nstages: {a: {run: \"true\"}}\n");
    plain.engine(&["run", "plan.yaml"]).expect(0);
    refused(&[&one, &plain], 4, &["no run of a part"]);
    let journal = two.path(format!(".engine/runs/{}/journal", two.only_run()));
    let mut bytes = std::fs::read(&journal).expect("a journal");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&journal, bytes).expect("writable");
    refused(&[&one, &two], 8, &["journal"]);
}

/// One machine knew how long items take and the other did not, so both took some of the same.
#[test]
fn parts_that_overlap_are_refused_by_the_shard() {
    let plan =
        PLAN.replace("cat out/built;", "cat out/built; if [ -e slow ] && [ \"$item\" = g ]; then sleep 2; fi;");
    let knows = Project::with_plan(&plan);
    knows.write("slow", "");
    knows.engine(&["run", "plan.yaml"]).expect(0);
    knows.engine(&["run", "plan.yaml", "--shard", "2/2"]).expect(0);
    let done = log(&knows).into_iter().rev().take_while(|line| line != "build").filter(|line| line.len() == 1);
    assert_eq!(done.count(), 6, "the slow item is a part of its own");
    let (project, output) = join(&[&machine("1/2", &plan, 0), &knows], &plan);
    let output = output.expect(2);
    assert!(output.stderr.contains("`pack`") && output.stderr.contains("both"), "{}", output.stderr);
    assert!(project.runs().is_empty(), "nothing is joined");
}

#[test]
fn a_part_that_is_none_and_a_plan_without_parts_are_refused() {
    let project = Project::with_plan(PLAN);
    for part in ["0/3", "4/3", "3", "a/b", "1/0"] {
        let refused = project.engine(&["run", "plan.yaml", "--shard", part]).expect(2);
        assert!(refused.stderr.contains("is no part"), "{}", refused.stderr);
    }
    let plans = [
        ("stages: {a: {run: \"true\"}}", "no sharded stage"),
        (
            "stages: {a: {run: \"true\", idempotent: false}, b: {needs: [a], shards: {items: {range: 4}}, run: \"true\"}}",
            "`a` is not idempotent",
        ),
        ("stages: {b: {background: true, shards: {items: {range: 4}}, run: \"true\"}}", "`b` is background work"),
        (
            "stages: {a: {run: \"true\", outputs: {l: list}}, b: {needs: [a], shards: {items: {from: \"{{ needs.a.outputs.l }}\", max: 9}}, run: \"true\"}}",
            "`b` works on is only known",
        ),
    ];
    for (plan, why) in plans {
        let project = Project::with_plan(&format!("version: 1\n{plan}\n"));
        let refused = project.engine(&["run", "plan.yaml", "--shard", "1/2"]).expect(2);
        assert!(refused.stderr.contains(why), "{}", refused.stderr);
        assert!(project.runs().is_empty());
        project.engine(&["ci", "github", "plan.yaml"]).expect(2);
    }
}

/// What shards left is sealed under the place that their items have in the whole stage, so the joined run has the root that a
/// run in one piece comes to.
#[test]
fn a_stage_joined_from_parts_has_the_root_of_a_run_in_one_piece() {
    let plan = "version: 1\nstages:\n  pack:\n    shards: {items: {range: 23}, size: 2}\n    run: |\n      \
                echo \"first=$(head -n 1 \"$ENGINE_SHARD_FILE\")\" >> \"$ENGINE_OUTPUT\"\n    \
                outputs: {first: int}\n";
    let one = Project::with_plan(plan);
    one.engine(&["run", "plan.yaml"]).expect(0);
    let parts = ["1/3", "2/3", "3/3"].map(|part| machine(part, plan, 0));
    let (whole, output) = join(&[&parts[0], &parts[1], &parts[2]], plan);
    output.expect(0);
    whole.engine(&["resume"]).expect(0);
    let deep = whole.engine(&["verify", "--deep"]).expect(0);
    assert!(deep.stdout.contains("12 results of shards, 1 roots"), "{}", deep.stdout);
    assert_eq!(stage(&whole, "pack")["shards"]["root"], stage(&one, "pack")["shards"]["root"]);
}

/// Each part finds a size of its own for items in a row; in the middle one a shard fails.
const AUTO: &str = r#"
version: 1
stages:
  pack:
    shards: {items: {range: 300}, size: auto, target-p95: 10m, max-parallel: 1}
    run: |
      cat "$ENGINE_SHARD_FILE" >> log
      if [ -e bad ] && grep -qx 150 "$ENGINE_SHARD_FILE"; then exit 3; fi
      echo "sum=$(awk '{s += $1} END {print s}' "$ENGINE_SHARD_FILE")" >> "$ENGINE_OUTPUT"
    outputs: {sum: int}
"#;

fn numbers(project: &Project) -> Vec<u64> {
    log(project).iter().map(|line| line.parse().expect("a number")).collect()
}

#[test]
fn a_stage_that_finds_its_size_is_split_by_items_and_its_parts_are_joined_by_their_cuts() {
    let bad = Project::with_plan(AUTO);
    bad.write("bad", "");
    bad.engine(&["run", "plan.yaml", "--shard", "2/3"]).expect(1);
    let parts = [&machine("1/3", AUTO, 0), &bad, &machine("3/3", AUTO, 0)];
    assert_eq!(numbers(parts[0]), (0..100).collect::<Vec<_>>());
    assert_eq!(numbers(parts[2]), (200..300).collect::<Vec<_>>());
    assert!(parts.iter().all(|part| events_of(part, "shards-cut", "pack").len() > 1), "each found a size");
    let done: u64 = stage(&bad, "pack")["shards"]["done"].as_u64().expect("a number");
    let (whole, output) = join(&parts, AUTO);
    output.expect(0);
    whole.engine(&["verify", "--deep"]).expect(0);
    let cuts = |project: &Project| stage(project, "pack")["shards"]["cuts"].as_array().expect("cuts").clone();
    let known: usize = parts.iter().map(|part| cuts(part).len()).sum();
    assert!(cuts(&whole).len() >= known, "the cuts of all, in a row");
    assert!(cuts(&whole).is_sorted_by_key(|cut| (cut[0].as_u64(), cut[1].as_u64())), "{:?}", cuts(&whole));
    whole.engine(&["resume"]).expect(0);
    let rest = numbers(&whole);
    let mut of_bad = numbers(&bad);
    of_bad.retain(|item| !rest.contains(item));
    assert!(done > 3 && rest.contains(&150) && rest.contains(&199), "{done} shards, then {rest:?}");
    let mut all = [numbers(parts[0]), of_bad, rest, numbers(parts[2])].concat();
    all.sort_unstable();
    assert_eq!(all, (0..300).collect::<Vec<_>>(), "what a part did is not done again, and all is done");
    let sums = events_of(&whole, "shard-finished", "pack");
    let sums =
        sums.iter().filter(|event| event["outcome"] == "success").map(|event| event["outputs"]["sum"].as_u64());
    assert_eq!(sums.flatten().sum::<u64>(), 299 * 300 / 2);
    whole.engine(&["verify", "--deep"]).expect(0);
    expect_states(&whole, "pack=success");
}

/// A part that is cut off before it began anything leaves its items to the joined run, between those of the others.
#[test]
fn a_part_that_did_nothing_is_done_by_the_joined_run() {
    let idle = Project::with_plan(AUTO);
    let live = idle.start(&["run", "plan.yaml", "--shard", "2/3", "--time-box", "1ms"]);
    live.end().expect(75);
    let (whole, output) = join(&[&machine("1/3", AUTO, 0), &idle, &machine("3/3", AUTO, 0)], AUTO);
    output.expect(0);
    whole.engine(&["resume"]).expect(0);
    let (mut rest, early) = (numbers(&whole), numbers(&idle));
    rest.sort_unstable();
    rest.retain(|item| !early.contains(item));
    assert!(rest.iter().all(|item| (100..200).contains(item)) && rest.len() + early.len() >= 100, "{rest:?}");
    whole.engine(&["verify", "--deep"]).expect(0);
    expect_states(&whole, "pack=success");
}

/// One machine knew how long items take and the other did not, and some were taken by neither.
#[test]
fn what_no_part_took_is_done_by_the_joined_run() {
    let plan =
        PLAN.replace("cat out/built;", "cat out/built; if [ -e slow ] && [ \"$item\" = g ]; then sleep 2; fi;");
    let knows = Project::with_plan(&plan);
    knows.write("slow", "");
    knows.engine(&["run", "plan.yaml"]).expect(0);
    knows.engine(&["run", "plan.yaml", "--shard", "1/2"]).expect(0);
    let last = log(&knows).into_iter().rev().take_while(|line| line != "build");
    assert_eq!(last.collect::<Vec<_>>(), ["g"], "the slow item is a part of its own");
    let naive = machine("2/2", &plan, 0);
    let taken = log(&naive).into_iter().filter(|line| line.len() == 1).count();
    assert!(taken < 6, "{taken} items by a part without history");
    let (whole, output) = join(&[&knows, &naive], &plan);
    output.expect(0);
    whole.engine(&["resume"]).expect(0);
    assert_eq!(log(&whole).len(), 7 - 1 - taken + 2, "what nobody took, and ship and tidy: {:?}", log(&whole));
    expect_states(&whole, "build=success pack=success ship=success tidy=success");
    whole.engine(&["verify", "--deep"]).expect(0);
}

/// The items weigh what they took in the last run, in whatever shards they were then.
#[test]
fn items_of_a_stage_that_finds_its_size_are_split_by_what_they_took() {
    let plan = AUTO.replace("      echo \"sum", "      awk '$1 < 10 {n++} END {exit !n}' \"$ENGINE_SHARD_FILE\" && sleep \"$(awk '$1 < 10 {n++} END {print n * 0.3}' \"$ENGINE_SHARD_FILE\")\"\n      echo \"sum");
    let plan = plan.replace("range: 300", "range: 40");
    let project = Project::with_plan(&plan);
    project.engine(&["run", "plan.yaml"]).expect(0);
    let mut all = Vec::new();
    for part in ["1/2", "2/2"] {
        std::fs::remove_file(project.path("log")).expect("it is there");
        project.engine(&["run", "plan.yaml", "--shard", part]).expect(0);
        let mut mine = numbers(&project);
        mine.sort_unstable();
        all.push(mine);
    }
    assert!((3..=12).contains(&all[0].len()), "ten items are slow, and half of them are a part: {all:?}");
    assert_eq!(all.concat(), (0..40).collect::<Vec<_>>(), "also when the parts are runs of one machine");
    // What the items took says nothing of another command.
    project.write("plan.yaml", plan.replace("      echo \"sum", "      true other\n      echo \"sum"));
    std::fs::remove_file(project.path("log")).expect("it is there");
    project.engine(&["run", "plan.yaml", "--shard", "2/2"]).expect(0);
    let mut mine = numbers(&project);
    mine.sort_unstable();
    assert_eq!(mine, (20..40).collect::<Vec<_>>(), "as many as the other part");
}

/// Items are known by their texts: in another order, and beside new ones, the slow ones are still the slow ones.
#[test]
fn items_are_split_by_what_they_took_wherever_they_stand_now() {
    let plan = |items: &str| {
        format!(
            r#"
version: 1
stages:
  pack:
    shards: {{items: {items}, size: auto}}
    run: 'while read -r i; do case $i in slow*) sleep 0.3 ;; esac; echo $i >> log; done < "$ENGINE_SHARD_FILE"'
"#
        )
    };
    let slow = || (0..10).map(|at| format!("slow-{at}"));
    let quick = |from: u32, to: u32| (from..to).map(|at| format!("quick-{at}"));
    let lines = |items: Vec<String>| items.join("\n") + "\n";
    let project = Project::with_plan(&plan("{file: items.txt}"));
    project.write("items.txt", lines(slow().chain(quick(0, 30)).collect()));
    project.engine(&["run", "plan.yaml"]).expect(0);
    let expected = || {
        let foreseen = json(&project.engine(&["plan", "plan.yaml", "--json"]).expect(0).stdout);
        foreseen["nodes"][0]["work"]["p50_ms"].as_u64().expect("a number")
    };
    let slow_of = |part: &str| {
        std::fs::remove_file(project.path("log")).expect("it is there");
        project.engine(&["run", "plan.yaml", "--shard", part]).expect(0);
        log(&project).iter().filter(|item| item.starts_with("slow")).count()
    };
    let before = expected();
    assert!(before >= 3000, "{before} ms");
    // The slow ones at the end, and some that nobody knows before them.
    project.write("items.txt", lines(quick(0, 35).chain(slow()).collect()));
    let halves = [slow_of("1/2"), slow_of("2/2")];
    assert!(halves.iter().all(|slow| (3..=7).contains(slow)), "{halves:?}");
    // Without the slow ones there is little to do.
    project.write("items.txt", lines(quick(0, 30).collect()));
    let after = expected();
    assert!(after < before / 2, "{after} ms of {before} ms");
    // The same items, now written in the plan.
    let all: Vec<String> = quick(20, 30).chain(slow()).chain(quick(0, 20)).collect();
    project.write("plan.yaml", plan(&serde_json::json!(all).to_string()));
    let again = expected();
    assert!(again.abs_diff(before) <= before / 10, "{again} ms of {before} ms");
}

/// A joined run has all facts of its parts at one moment; what they took is what its attempts say.
#[test]
fn a_joined_run_is_history_of_what_its_parts_took() {
    let plan = PLAN.replace("    run: |\n", "    run: |\n      sleep 0.2\n");
    assert_ne!(plan, PLAN);
    let parts = ["1/2", "2/2"].map(|part| machine(part, &plan, 0));
    let (whole, output) = join(&[&parts[0], &parts[1]], &plan);
    output.expect(0);
    whole.engine(&["resume"]).expect(0);
    let foreseen = json(&whole.engine(&["plan", "plan.yaml", "--json"]).expect(0).stdout);
    let nodes = foreseen["nodes"].as_array().expect("a list");
    let expected = &nodes.iter().find(|node| node["id"] == "pack").expect("it is there")["expected"];
    assert_eq!(expected["samples"], 7, "{expected}");
    assert!(expected["p50_ms"].as_u64() >= Some(200), "each slept as long: {expected}");
}
