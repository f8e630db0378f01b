//! `run --shard`, `merge`, `ci`: a plan in parts on several machines, joined to one run.

use std::process::Command;

use crate::support::{Live, Output, Project};
use crate::tool::{count, expect_states, json, log, status};

const PLAN: &str = r#"
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
    whole.engine(&["resume"]).expect(0);
    assert_eq!(log(&whole).len(), 7 - done + 2, "what was not done, and ship and tidy");
    expect_states(&whole, "build=success pack=success ship=success tidy=success");
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
    let held = plan
        .replace("cat out/built;", "cat out/built; if [ -e hold ]; then rm hold; echo held; exec sleep 600; fi;");
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
        ("stages: {b: {shards: {items: {range: 4}, size: auto}, run: \"true\"}}", "`b` cuts its shards"),
        ("stages: {b: {background: true, shards: {items: {range: 4}}, run: \"true\"}}", "`b` is background work"),
    ];
    for (plan, why) in plans {
        let project = Project::with_plan(&format!("version: 1\n{plan}\n"));
        let refused = project.engine(&["run", "plan.yaml", "--shard", "1/2"]).expect(2);
        assert!(refused.stderr.contains(why), "{}", refused.stderr);
        assert!(project.runs().is_empty());
        project.engine(&["ci", "github", "plan.yaml"]).expect(2);
    }
}

/// The text after `key:` of the line that has it, and all lines indented below.
fn script(text: &str, begin: &str) -> String {
    let from = text.find(begin).unwrap_or_else(|| panic!("no `{begin}` in {text}"));
    let line = text[..from].rfind('\n').map_or(0, |at| at + 1);
    let indent = text[line..].len() - text[line..].trim_start().len();
    text[line..].lines().take_while(|it| it.len() - it.trim_start().len() >= indent).collect::<Vec<_>>().join("\n")
}

/// The printed jobs are YAML, and their shell parts join three parts on fresh checkouts.
#[test]
fn the_printed_jobs_work() {
    let project = Project::with_plan(PLAN);
    for host in ["github", "gitlab", "buildkite"] {
        let text = project.engine(&["ci", host, "plan.yaml", "--parts", "3"]).expect(0).stdout;
        let mut sources = engine::plan::Sources::default();
        let file = engine::plan::source::File { path: "ci.yaml".to_owned(), text: text.as_str().into() };
        let file = sources.add(file);
        let mut report = engine::plan::Report::default();
        assert!(engine::plan::read(&sources, file, &mut report).is_some() && !report.has_errors(), "{text}");
        let rest = script(&text, "for tar in part-*.tar");
        let whole = Project::with_plan(PLAN);
        for part in 1..=3 {
            let machine = machine(&format!("{part}/3"), PLAN, 0);
            let mut tar = Command::new("tar");
            tar.args(["-cf", &whole.path(format!("part-{part}.tar")).to_string_lossy(), ".engine"]);
            tar.current_dir(machine.path("."));
            Live::start(tar).end().expect(0);
        }
        let bin = std::path::Path::new(env!("CARGO_BIN_EXE_engine")).parent().expect("a folder");
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("a path"));
        let mut shell = Command::new("sh");
        shell.args(["-ec", &rest]).current_dir(whole.path(".")).env_clear();
        shell.env("PATH", path).env("HOME", whole.path(".")).env("USER", "ann");
        Live::start(shell).end().expect(0);
        assert_eq!(log(&whole), ["ship", "tidy"], "{host}");
    }
    let merged =
        json(&project.engine(&["ci", "github", "plan.yaml"]).expect(0).stdout.lines().count().to_string());
    assert!(merged.as_u64() > Some(20));
}
