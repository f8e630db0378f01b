//! Resume: of failed runs, of edited plans, and what the preview says of them.

use std::path::{Path, PathBuf};

use engine::base::RunId;
use engine::journal::{StateDir, snapshot};

use crate::support::Project;
use crate::tool::{count, events, expect_states, json, log, run, stage, status};

const PLAN: &str = r"
version: 1
stages:
  a: {run: echo a >> log}
  b: {needs: [a], run: 'echo b >> log; [ -e mended ]'}
  c: {needs: [b], run: echo c >> log}
";

fn failed() -> Project {
    let project = Project::with_plan(PLAN);
    run(&project, 1);
    project
}

/// What `plan --resume` says of each stage.
#[track_caller]
pub(crate) fn preview(project: &Project, more: &[&str]) -> Vec<String> {
    let id = project.only_run();
    let args: Vec<&str> = ["plan", "--resume", &id, "--json"].iter().chain(more).copied().collect();
    let shown = json(&project.engine(&args).expect(0).stdout);
    let stages = shown["stages"].as_array().expect("stages");
    let mut lines: Vec<String> = stages
        .iter()
        .map(|stage| {
            format!("{}={}", stage["id"].as_str().expect("id"), stage["action"].as_str().expect("action"))
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn a_mended_run_goes_on_where_it_failed() {
    let project = failed();
    assert_eq!(preview(&project, &[]), ["a=keep", "b=run", "c=run"]);
    project.write("mended", "");
    project.engine(&["resume"]).expect(0);
    assert_eq!(log(&project), ["a", "b", "b", "c"]);
    expect_states(&project, "a=success b=success c=success");
}

#[test]
fn an_edited_plan_is_shown_and_needs_a_word() {
    let project = failed();
    project.write(
        "plan.yaml",
        PLAN.replace("echo b >> log; [ -e mended ]", "echo new >> log").replace("echo a >>", "echo other >>"),
    );
    let records = status(&project)["records"].clone();
    let output = project.engine(&["resume"]).expect(5);
    for word in ["~ b", "~ a", "stays done", "uses the new text", "echo new", "--accept-changes", "--recorded"] {
        assert!(output.stderr.contains(word), "{word} in {}", output.stderr);
    }
    assert_eq!(status(&project)["records"], records, "nothing was recorded");
    assert_eq!(preview(&project, &[]), ["a=keep", "b=run", "c=run"]);
    project.engine(&["resume", "--accept-changes"]).expect(0);
    assert_eq!(log(&project), ["a", "b", "new", "c"]);
    assert!(events(&project).iter().any(|event| event["event"] == "plan-changed"));
    project.engine(&["verify"]).expect(0);
}

#[test]
fn the_recorded_plan_can_be_kept() {
    let project = failed();
    project.write("plan.yaml", PLAN.replace("echo b >> log; [ -e mended ]", "echo new >> log"));
    project.write("mended", "");
    project.engine(&["resume", "--recorded"]).expect(0);
    assert_eq!(log(&project), ["a", "b", "b", "c"]);
}

#[test]
fn a_comment_is_no_change() {
    let project = failed();
    project.write("plan.yaml", format!("# words\n{PLAN}"));
    project.write("mended", "");
    project.engine(&["resume"]).expect(0);
    assert_eq!(log(&project), ["a", "b", "b", "c"]);
}

#[test]
fn stages_come_and_go() {
    let project = failed();
    let plan = "version: 1\nstages:\n  b: {run: 'echo b2 >> log'}\n  fresh: {needs: [b], run: echo fresh >> log}\n  c: {needs: [fresh], run: echo c >> log}\n";
    project.write("plan.yaml", plan);
    let output = project.engine(&["resume"]).expect(5);
    assert!(output.stderr.contains("- a  removed") && output.stderr.contains("+ fresh  new"), "{}", output.stderr);
    assert_eq!(preview(&project, &[]), ["a=remove", "b=run", "c=run", "fresh=run"]);
    project.engine(&["resume", "--accept-changes"]).expect(0);
    assert_eq!(log(&project), ["a", "b", "b2", "fresh", "c"]);
    expect_states(&project, "b=success c=success fresh=success");
    project.engine(&["verify"]).expect(0);
    project.engine(&["logs"]).expect(0);
}

#[test]
fn every_kind_of_change_names_its_field() {
    for (from, to, field) in [
        ("run: echo c >> log", "run: [sh, -c, echo c >> log]", "run"),
        ("run: echo c >> log", "env: {X: '1'}, run: echo c >> log", "env"),
        ("run: echo c >> log", "timeout: 5m, run: echo c >> log", "timeout"),
        ("run: echo c >> log", "retry: 3, run: echo c >> log", "retry"),
        ("run: echo c >> log", "idle-timeout: 5m, run: echo c >> log", "idle-timeout"),
        ("run: echo c >> log", "queue-timeout: 5m, run: echo c >> log", "queue-timeout"),
        ("run: echo c >> log", "stop: {signal: INT, grace: 3s}, run: echo c >> log", "stop"),
        ("run: echo c >> log", "allow-failure: true, run: echo c >> log", "allow-failure"),
        ("run: echo c >> log", "shell: bash, run: echo c >> log", "shell"),
        ("run: echo c >> log", "pass-env: [X], run: echo c >> log", "pass-env"),
        ("run: echo c >> log", "cwd: ., run: echo c >> log", "cwd"),
        ("run: echo c >> log", "if: '1 == 1', run: echo c >> log", "if"),
        ("run: echo c >> log", "artifacts: [log], run: echo c >> log", "artifacts"),
        ("run: echo c >> log", "cache: {sources: [plan.yaml]}, run: echo c >> log", "cache"),
        ("run: echo c >> log", "lifetime: run, run: echo c >> log", "lifetime"),
        ("run: echo c >> log", "idempotent: false, run: echo c >> log", "idempotent"),
        ("run: echo c >> log", "outputs: {x: int}, run: 'echo c >> log; echo x=1 >> $ENGINE_OUTPUT'", "outputs"),
        ("run: echo c >> log", "shards: {items: {range: 2}, size: 2}, run: echo c >> log", "shards"),
        ("c: {needs: [b]", "c: {needs: [b, a]", "needs"),
        ("c: {needs: [b]", "c: {needs: [{stage: b, accept: [success]}]", "needs"),
    ] {
        let project = failed();
        project.write("plan.yaml", PLAN.replace(from, to));
        let output = project.engine(&["resume"]).expect(5);
        let line = output.stderr.lines().find(|line| line.trim_start().starts_with(&format!("{field}:")));
        assert!(line.is_some(), "{field}: {}", output.stderr);
        assert!(output.stderr.contains("~ c") && !output.stderr.contains("~ b"), "{}", output.stderr);
        project.write("mended", "");
        project.engine(&["resume", "--accept-changes"]).expect(0);
        assert_eq!(log(&project), ["a", "b", "b", "c"], "{to}");
        project.engine(&["verify"]).expect(0);
    }
}

#[test]
fn a_broken_edited_plan_is_refused_and_the_run_is_untouched() {
    let project = failed();
    project.write("plan.yaml", PLAN.replace("needs: [b]", "needs: [bb]"));
    let records = status(&project)["records"].clone();
    let output = project.engine(&["resume", "--accept-changes"]).expect(3);
    assert!(
        output.stderr.contains("plan::unknown-stage") && output.stderr.contains("--recorded"),
        "{}",
        output.stderr
    );
    let id = project.only_run();
    project.engine(&["plan", "--resume", &id]).expect(3);
    assert_eq!(status(&project)["records"], records);
    project.write("mended", "");
    project.engine(&["resume", "--recorded"]).expect(0);
}

#[test]
fn a_deleted_plan_goes_on_as_recorded() {
    let project = failed();
    std::fs::remove_file(project.path("plan.yaml")).expect("removed");
    project.write("mended", "");
    let output = project.engine(&["resume"]).expect(0);
    assert!(output.stderr.contains("as recorded"), "{}", output.stderr);
    assert_eq!(log(&project), ["a", "b", "b", "c"]);
}

const APPROVED: &str = r#"
version: 1
stages:
  ask: {uses: approval, with: {prompt: "go?"}}
  ship: {needs: [ask], run: 'echo ship >> log; [ -e mended ]'}
  side: {run: echo side >> log}
"#;

#[test]
fn an_approval_above_a_change_is_asked_again_and_no_other() {
    let project = Project::with_plan(APPROVED);
    project.engine(&["run", "plan.yaml", "--yes"]).expect(1);
    project.write("mended", "");
    project.write("plan.yaml", APPROVED.replace("echo side", "echo 'side'"));
    assert_eq!(preview(&project, &[]), ["ask=keep", "ship=run", "side=keep"]);
    project.write("plan.yaml", APPROVED.replace("echo ship", "echo shipped"));
    assert_eq!(preview(&project, &[]), ["ask=ask", "ship=wait", "side=keep"]);
    project.engine(&["resume", "--accept-changes"]).expect(5);
    assert_eq!(count(&project, "shipped"), 0);
    project.engine(&["approve", "ask"]).expect(0);
    project.engine(&["resume"]).expect(0);
    assert_eq!(count(&project, "shipped"), 1);
    assert_eq!(stage(&project, "ask")["state"], "success");
}

#[test]
fn an_edited_file_of_a_uses_stage_is_an_edit_of_the_plan() {
    let project = Project::with_plan("version: 1\nstages:\n  part: {uses: ./part.yaml}\n");
    project.write("part.yaml", "version: 1\nstages:\n  x: {run: 'echo x >> log; exit 1'}\n");
    run(&project, 1);
    project.write("part.yaml", "version: 1\nstages:\n  x: {run: 'echo y >> log'}\n");
    let output = project.engine(&["resume"]).expect(5);
    assert!(output.stderr.contains("part/x"), "{}", output.stderr);
    project.engine(&["resume", "--accept-changes"]).expect(0);
    assert_eq!(log(&project), ["x", "y"]);
}

#[test]
fn a_plan_is_edited_twice() {
    let project = failed();
    project.write("plan.yaml", PLAN.replace("[ -e mended ]", "[ -e one ]"));
    project.engine(&["resume", "--accept-changes"]).expect(1);
    project.write("plan.yaml", PLAN.replace("[ -e mended ]", "[ -e mended ] # two"));
    project.write("mended", "");
    project.engine(&["resume"]).expect(5);
    project.engine(&["resume", "--accept-changes"]).expect(0);
    assert_eq!(log(&project), ["a", "b", "b", "b", "c"]);
    project.engine(&["verify"]).expect(0);
}

#[test]
fn inputs_of_a_run_never_change() {
    let project = Project::with_plan(
        "version: 1\ninputs: {v: {type: string, default: old}}\nstages:\n  a: {env: {V: '{{ inputs.v }}'}, run: 'echo $V >> log; [ -e mended ]'}\n",
    );
    project.engine(&["run", "plan.yaml", "--set", "v=given"]).expect(1);
    project.write("mended", "");
    project.engine_with(&[("ENGINE_INPUT_V", "other")], &["resume"]).expect(0);
    assert_eq!(log(&project), ["given", "given"]);
}

/// Every line of the preview, as `id action why`.
#[track_caller]
fn shown(project: &Project, args: &[&str]) -> Vec<String> {
    let id = project.only_run();
    let args: Vec<&str> = ["plan", "--resume", &id].iter().chain(args).copied().collect();
    let output = project.engine(&args).expect(0);
    let lines = output.stdout.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let mut lines: Vec<String> = lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    lines.sort();
    lines
}

#[test]
fn the_preview_goes_to_the_end_and_gives_every_reason() {
    let project = Project::with_plan(
        r#"
version: 1
on-failure: continue
stages:
  done: {run: 'echo "n=1" >> "$ENGINE_OUTPUT"', outputs: {n: int}}
  bad: {run: '[ -e mended ]; echo "go=true" >> "$ENGINE_OUTPUT"', outputs: {go: bool}}
  next: {needs: [bad], run: "true"}
  perhaps: {needs: [bad], if: needs.bad.outputs.go, run: "true"}
  after: {needs: [perhaps], run: "true"}
  must: {needs: [{stage: perhaps, accept: [success]}], run: "true"}
  never: {needs: [done], if: needs.done.outputs.n == 2, run: "true"}
  handler: {needs: [{stage: bad, accept: [failed]}], run: "true"}
  ask: {needs: [next], uses: approval}
  ship: {needs: [ask], run: "true"}
  far: {needs: [ship], run: "true"}
finally: {stages: {tidy: {run: "true"}}}
"#,
    );
    run(&project, 1);
    let lines = shown(&project, &[]);
    let expected = [
        "ask ask needs an approval",
        "keep done success",
        "keep handler success",
        "keep never skipped",
        "run after was blocked",
        "run bad was failed",
        "run must was blocked, unless what it needs is skipped",
        "run next was blocked",
        "run perhaps was blocked, if `needs.bad.outputs.go` holds then",
        "wait far for `ask`",
        "wait ship for `ask`",
        "wait tidy until everything else has ended",
    ];
    assert_eq!(lines, expected);
    project.write("mended", "");
    project.engine(&["resume"]).expect(5);
    for (id, state) in crate::tool::states(&project) {
        let line = lines.iter().find(|line| line.split(' ').nth(1) == Some(&id)).expect("every stage is shown");
        let is_over = matches!(state.as_str(), "success" | "skipped");
        assert_eq!(line.starts_with("keep") || line.starts_with("run"), is_over, "{line}: {state}");
    }
}

#[test]
fn the_preview_of_an_edit_shows_fields_and_what_is_removed() {
    let project = failed();
    project.write("plan.yaml", "version: 1\nstages:\n  b: {run: echo b2}\n  d: {needs: [b], run: echo d}\n  c: {needs: [d], run: echo c >> log}\n");
    let lines = shown(&project, &[]);
    let expected = [
        "remove a the edited plan has it no more",
        "run b was failed, by the edited text",
        "run c was blocked, by the edited text",
        "run d new in the edited plan",
    ];
    assert_eq!(
        lines.iter().filter(|line| !line.starts_with(['~', '+', '-'])).collect::<Vec<_>>(),
        expected.iter().collect::<Vec<_>>()
    );
    let id = project.only_run();
    let shown = json(&project.engine(&["plan", "--resume", &id, "--json"]).expect(0).stdout);
    let b = &shown["stages"][0];
    assert_eq!((&b["id"], &b["was"]), (&"b".into(), &"failed".into()));
    let changes = b["changes"].as_array().expect("changes");
    let run = changes.iter().find(|change| change["field"] == "run").expect("its script changed");
    assert!(run["from"].as_str().is_some_and(|text| text.contains("echo b >> log")), "{run}");
    assert!(run["to"].as_str().is_some_and(|text| text.contains("echo b2")), "{run}");
}

#[test]
fn the_preview_tells_what_rerun_opens_and_what_a_crash_cut_off() {
    let project = Project::with_plan(
        "version: 1\nstages:\n  a: {run: 'true'}\n  b: {needs: [a], done-if: {run: exit 1}, run: 'until [ -e c ]; do :; done; echo up; [ -e calm ] || exec sleep 600'}\n  c: {needs: [a], run: 'touch c; [ -e calm ] || exec sleep 600'}\n  d: {needs: [b, c], run: 'true'}\n",
    );
    let live = crate::tool::start_until(&project, "b | up");
    live.kill_worker();
    live.end();
    let lines = shown(&project, &[]);
    let expected = [
        "check b its attempt was cut off: `done-if` is asked, and it runs if that says no",
        "keep a success",
        "run c its attempt was cut off",
        "run d had not started",
    ];
    assert_eq!(lines, expected);
    project.write("calm", "");
    project.engine(&["resume"]).expect(0);
    let lines = shown(&project, &["--rerun", "c"]);
    let expected =
        ["keep a success", "keep b success", "run c ordered by a person", "run d depends on what is run again"];
    assert_eq!(lines, expected);
    let id = project.only_run();
    let json = json(&project.engine(&["plan", "--resume", &id, "--json"]).expect(0).stdout);
    assert_eq!(json["stages"], serde_json::json!([]), "a run that is over has nothing to resume");
}

#[test]
fn new_items_in_an_edited_plan_are_all_done_and_none_is_taken_for_another() {
    let plan = |items: &str| {
        format!(
            "version: 1\nstages:\n  s: {{shards: {{items: [{items}]}}, run: [sh, -c, 'echo $1 >> log; [ $1 != bad ]', sh, \"{{{{ shard.item }}}}\"]}}\n"
        )
    };
    for (items, expected) in [("x, y", vec!["x", "y"]), ("a, x, c", vec!["a", "c", "x"]), ("x", vec!["x"])] {
        let project = Project::with_plan(&plan("a, b, bad"));
        run(&project, 1);
        project.write("log", "");
        project.write("plan.yaml", plan(items));
        project.engine(&["resume", "--accept-changes"]).expect(0);
        let mut found = log(&project);
        found.sort();
        assert_eq!(found, expected, "{items}");
    }
}

/// What was printed belongs to the stage that printed it, whatever number an edit gave to it.
#[test]
fn logs_name_what_was_printed_by_the_plan_of_its_time() {
    let plan = "version: 1\nstages:\n  gone: {run: echo gone prints}\n  fails: {needs: [gone], run: 'echo fails prints; [ -e mended ]'}\n";
    let project = Project::with_plan(plan);
    run(&project, 1);
    project.write(
        "plan.yaml",
        "version: 1\nstages:\n  first: {run: echo first prints}\n  fails: {needs: [first], run: 'echo fails prints; [ -e mended ]'}\n",
    );
    project.write("mended", "");
    project.engine(&["resume", "--accept-changes"]).expect(0);
    let all = project.engine(&["logs"]).expect(0).stdout;
    let expected = ["gone | gone prints", "fails | fails prints", "first | first prints", "fails | fails prints"];
    assert_eq!(all.lines().collect::<Vec<_>>(), expected);
    assert_eq!(project.engine(&["logs", "fails"]).expect(0).stdout, "fails prints\nfails prints\n");
    assert_eq!(project.engine(&["logs", "gone"]).expect(0).stdout, "gone prints\n", "the edit removed it");
}

/// Every file of an edited plan is guarded by the journal, not only by the list beside it.
#[test]
fn a_spoiled_or_exchanged_edited_plan_is_damage() {
    let project = failed();
    project.write("plan.yaml", "version: 1\nstages:\n  b: {run: 'exit 1'}\n");
    project.engine(&["resume", "--accept-changes"]).expect(1);
    let id = project.only_run();
    let folder = project.path(format!(".engine/runs/{id}/plan.2"));
    let mut files = Vec::new();
    for entry in walk(&folder) {
        let name = entry.strip_prefix(&folder).expect("below").to_str().expect("text").to_owned();
        files.extend((name != "digests").then(|| (name, std::fs::read(&entry).expect("a file"))));
    }
    let damaged = |name: &str| {
        for verb in ["verify", "resume"] {
            let told = project.engine(&[verb, &id]).expect(8);
            let said = format!("{}{}", told.stdout, told.stderr);
            assert!(said.contains(&format!("plan.2/{name}")), "{verb}: {said}");
        }
    };
    for (name, good) in &files {
        let mut bad = good.clone();
        bad[0] ^= 1;
        std::fs::write(folder.join(name), bad).expect("spoiled");
        damaged(name);
        std::fs::write(folder.join(name), good).expect("as it was");
    }
    project.engine(&["verify", &id]).expect(0);
    let runs = StateDir::open(project.path(".engine")).expect("a directory");
    let run = runs.run(&RunId::parse(&id).expect("an id")).expect("a run");
    files[0].1.push(b'\n');
    snapshot::write_version(&run, 2, &files).expect("another plan with a list of its own");
    damaged("digests");
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        files.extend(if path.is_dir() { walk(&path) } else { vec![path] });
    }
    files
}
