//! Looking at runs: while they live, through pipes, and for programs.

use std::process::Command;

use serde_json::Value;

use crate::exits::{held, holding, release};
use crate::plans;
use crate::support::{Live, Project};

#[test]
fn a_live_run_is_followed_and_shown() {
    let project = held();
    let live = holding(&project);
    let status = project.engine(&["status"]).expect(0);
    assert!(status.stdout.contains("\nstate   running\n"), "{}", status.stdout);
    assert!(!status.stdout.contains("engine resume"), "nothing to resume: {}", status.stdout);
    let json: Value = serde_json::from_str(&project.engine(&["status", "--json"]).expect(0).stdout).expect("JSON");
    assert_eq!((&json["state"], &json["alive"]), (&Value::from("running"), &Value::from(true)));

    let followed = project.start(&["logs", "-f", "held"]);
    followed.line("hold | up");
    let of_stage = project.start(&["logs", "--follow", "hold"]);
    of_stage.line("up");
    release(&project);
    live.end().expect(0);
    assert_eq!(followed.end().expect(0).stdout, "hold | up\nhold | down\nafter | after\n");
    assert_eq!(of_stage.end().expect(0).stdout, "up\ndown\n");
}

#[test]
fn a_reader_that_goes_away_does_not_stop_the_run() {
    let project = Project::with_plan(plans::SHOP);
    let mut shell = Command::new("bash");
    let engine = env!("CARGO_BIN_EXE_engine");
    let line = "\"$ENGINE\" run plan.yaml | head -n 1; \"$ENGINE\" explain | head -n 1; echo \"${PIPESTATUS[*]}\"";
    let base = project.command(&[]);
    shell.args(["-c", line]).current_dir(project.path("")).env_clear();
    shell.envs(base.get_envs().filter_map(|(key, value)| Some((key, value?)))).env("ENGINE", engine);
    let output = Live::start(shell).end().expect(0);
    let mut lines = output.stdout.lines();
    let run = project.only_run();
    assert_eq!(lines.next(), Some(format!("run {run} shop").as_str()));
    assert!(lines.next().is_some_and(|line| line.starts_with("env::")), "{}", output.stdout);
    assert_eq!(lines.next(), Some("0 0"));
    assert_eq!(output.stderr, "");
    let json: Value = serde_json::from_str(&project.engine(&["status", "--json"]).expect(0).stdout).expect("JSON");
    assert_eq!(json["state"], "success");
}

#[test]
fn a_run_is_named_by_the_beginning_of_its_id() {
    let project = Project::with_plan(plans::SHOP);
    project.engine(&["run", "plan.yaml", "--run-id", "monday-1"]).expect(0);
    project.engine(&["run", "plan.yaml", "--run-id", "monday-12"]).expect(0);
    let whole = project.engine(&["status", "monday-1"]).expect(0);
    assert!(whole.stdout.starts_with("run monday-1 shop\n"), "{}", whole.stdout);
    let many = project.engine(&["status", "mon"]).expect(4);
    assert!(many.stderr.contains("could be run"), "{}", many.stderr);
    project.engine(&["run", "plan.yaml", "--run-id", "tuesday"]).expect(0);
    let short = project.engine(&["verify", "tu"]).expect(0);
    assert!(short.stdout.starts_with("run tuesday is whole: "), "{}", short.stdout);
}

#[test]
fn graphs_are_drawn_of_plans_and_runs() {
    let project = Project::with_plan(plans::BROKEN);
    project.engine(&["run", "plan.yaml", "--run-id", "r1"]).expect(1);
    for target in ["plan.yaml", "r1"] {
        for (format, start) in [
            ("text", "broken - 3 stages"),
            ("mermaid", "flowchart"),
            ("dot", "digraph"),
            ("svg", "<svg"),
            ("html", "<!doctype html>"),
            ("json", "{"),
        ] {
            let drawn = project.engine(&["graph", target, "--format", format]).expect(0);
            let text = drawn.stdout.trim_start();
            assert!(text.to_lowercase().starts_with(start), "{target} {format}: {text:.80}");
            for stage in ["build", "test", "ship"] {
                assert!(text.contains(stage), "{target} {format} has no {stage}");
            }
            assert_eq!(drawn.stderr, "");
        }
    }
    project.engine(&["graph", "r1", "--format", "svg", "-o", "run.svg"]).expect(0);
    assert!(project.read("run.svg").contains("failed"));
}

#[test]
fn reports_and_events_are_left_where_they_are_asked_for() {
    let project = Project::with_plan(plans::BROKEN);
    let reports = "junit=j.xml,html=r.html,summary=s.md";
    project.engine(&["run", "plan.yaml", "--report", reports, "--events", "e.ndjson", "--run-id", "r1"]).expect(1);
    assert!(project.read("j.xml").contains("failures=\"1\""), "{}", project.read("j.xml"));
    assert!(project.read("r.html").to_lowercase().starts_with("<!doctype html>"));
    assert!(project.read("s.md").starts_with("## ❌ broken: failed"));
    let events: Vec<Value> =
        project.read("e.ndjson").lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(events[0]["event"], "run-began");
    assert_eq!(events.last().expect("lines")["event"], "engine-left");

    // The same again from the record, and as the console.
    let told = project.engine(&["report", "r1", "--format", "events"]).expect(0);
    let told: Vec<Value> = told.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(told, events[..events.len() - 1]);
    let junit = project.engine(&["report", "r1", "--format", "junit"]).expect(0);
    assert_eq!(junit.stdout, project.read("j.xml"));
    let live = project.engine(&["run", "plan.yaml", "--output", "json"]).expect(1);
    for line in live.stdout.lines() {
        let event: Value = serde_json::from_str(line).expect("a JSON line");
        assert_eq!(event["v"], 1);
    }
}

#[test]
fn every_code_is_explained() {
    let project = Project::new();
    let all = project.engine(&["explain"]).expect(0).stdout;
    let codes: Vec<&str> = all.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(codes.len() > 30, "{all}");
    for code in codes {
        let page = project.engine(&["explain", code]).expect(0);
        assert!(page.stdout.starts_with(&format!("{code}: ")), "{}", page.stdout);
    }
}

#[test]
fn completions_and_pages_can_be_read() {
    let project = Project::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = project.engine(&["completions", shell]).expect(0).stdout;
        assert!(script.contains("resume"), "{shell}");
        if shell == "bash" {
            project.write("complete.bash", &script);
            let checked =
                Command::new("bash").arg("-n").arg(project.path("complete.bash")).output().expect("bash");
            assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        }
    }
    project.engine(&["man", "--dir", "man"]).expect(0);
    for page in ["engine", "engine-run", "engine-resume", "engine-status"] {
        let text = project.read(format!("man/{page}.1"));
        assert!(text.contains(".TH ") && text.contains(".SH NAME"), "{page}: {text:.200}");
    }
    let schema: Value = serde_json::from_str(&project.engine(&["schema"]).expect(0).stdout).expect("JSON");
    assert!(schema["$schema"].as_str().is_some_and(|text| text.contains("json-schema.org")), "{schema:.200}");
}

#[test]
fn colour_is_asked_for_or_left_out() {
    let project = Project::with_plan(plans::BROKEN);
    let is_coloured = |text: &str| text.contains('\u{1b}');
    assert!(!is_coloured(&project.engine(&["run", "plan.yaml"]).expect(1).stdout));
    assert!(is_coloured(&project.engine(&["run", "plan.yaml", "--color", "always"]).expect(1).stdout));
    assert!(is_coloured(&project.engine(&["status", "--color", "always"]).expect(0).stdout));
    assert!(!is_coloured(&project.engine_with(&[("NO_COLOR", "1")], &["status"]).expect(0).stdout));
    project.write("wrong.yaml", plans::WRONG);
    assert!(is_coloured(&project.engine(&["check", "wrong.yaml", "--color", "always"]).expect(3).stdout));
}

/// A word that could be a stage of the latest run or the beginning of a run's id is neither until more is said.
#[test]
fn logs_of_a_word_that_means_two_things_are_refused() {
    let project = Project::with_plan("version: 1\nstages: {build: {run: echo built}, test: {run: echo tested}}\n");
    project.engine(&["run", "plan.yaml", "--run-id", "build-1"]).expect(0);
    project.engine(&["run", "plan.yaml", "--run-id", "test"]).expect(0);
    project.engine(&["run", "plan.yaml", "--run-id", "latest"]).expect(0);
    let refused = project.engine(&["logs", "build"]).expect(4);
    assert_eq!(
        refused.stderr,
        "error: `build` is a stage of the latest run and the beginning of run `build-1`\n\
         help: the stage: engine logs latest build\nhelp: the run: engine logs build-1\n"
    );
    assert_eq!(project.engine(&["logs", "latest", "build"]).expect(0).stdout, "built\n");
    for run in ["build-1", "test", "buil"] {
        let lines = project.engine(&["logs", run]).expect(0).stdout;
        assert_eq!(lines.lines().count(), 2, "{run} is a run: {lines}");
    }
    let stage = Project::with_plan("version: 1\nstages: {build: {run: echo built}}\n");
    stage.engine(&["run", "plan.yaml"]).expect(0);
    assert_eq!(stage.engine(&["logs", "build"]).expect(0).stdout, "built\n");
}

#[test]
fn a_stage_whose_condition_is_false_already_is_said_to_be_skipped() {
    let project = Project::with_plan(
        "version: 1\ninputs: {to: {type: string, default: staging}}\nstages:\n  \
         ask: {if: inputs.to == 'production', uses: approval, timeout: 1h}\n  ship: {needs: [ask], run: 'true', timeout: 1m}\n",
    );
    let said = "if inputs.to == 'production' · will be skipped: that is false";
    let plan = |args: &[&str]| {
        let text = project.engine(&[&["plan", "plan.yaml"], args].concat()).expect(0).stdout;
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(plan(&[]).contains(said), "{}", plan(&[]));
    assert!(!plan(&["--set", "to=production"]).contains("skipped"));
    // Neither its hour nor its attempt is of this run.
    let bounds = |args: &[&str]| {
        let text = project.engine(&[&["plan", "plan.yaml", "--json"], args].concat()).expect(0).stdout;
        let plan: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        (plan["worst_ms"].as_u64(), plan["attempts"].as_u64())
    };
    assert_eq!(bounds(&[]), (Some(70_000), Some(1)));
    assert_eq!(bounds(&["--set", "to=production"]), (Some(3_670_000), Some(2)));
    let run = project.engine(&["run", "plan.yaml"]).expect(0).stdout;
    assert!(run.contains("skipped  ask"), "{run}");
}
