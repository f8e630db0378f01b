//! Unusual surroundings: bytes that are no text, nothing set, other folders, names with spaces.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use crate::support::{Live, Project};
use crate::tool::{expect_states, log};

const PLAN: &str = "version: 1\nstages:\n  a: {run: 'pwd > where; echo \"${HOME-none}\" >> log'}\n  b: {needs: [a], run: [/bin/sh, -c, echo b >> log]}\n";

#[test]
fn an_environment_that_is_no_utf8_is_passed_through_untouched() {
    let project = Project::with_plan(
        "version: 1\nstages:\n  a: {pass-env: [ODD], run: 'printf %s \"$ODD\" | od -An -tx1 | tr -d \" \\n\" > hex'}\n",
    );
    let mut command = project.command(&["run", "plan.yaml"]);
    command.env("ODD", OsStr::from_bytes(b"a\xff\xfeb")).env(OsStr::from_bytes(b"\xffNAME"), "x");
    command.env("LANG", OsStr::from_bytes(b"\xff"));
    Live::start(command).end().expect(0);
    assert_eq!(project.read("hex"), "61fffe62");
}

#[test]
fn an_empty_environment_is_enough() {
    let project = Project::with_plan(
        "version: 1\nstages:\n  a: {run: [/bin/sh, -c, echo a >> log]}\n  b: {run: echo b > b}\n",
    );
    let mut command = project.command(&["run", "plan.yaml"]);
    command.env_clear();
    Live::start(command).end().expect(0);
    assert_eq!(log(&project), ["a"]);
    assert!(project.has("b"));
    for verb in
        [vec!["status"], vec!["runs"], vec!["verify"], vec!["check", "plan.yaml"], vec!["plan", "plan.yaml"]]
    {
        let mut command = project.command(&verb);
        command.env_clear();
        Live::start(command).end().expect(0);
    }
}

#[test]
fn a_home_that_is_not_set_stays_so() {
    let project = Project::with_plan(PLAN);
    let mut command = project.command(&["run", "plan.yaml"]);
    command.env_remove("HOME");
    Live::start(command).end().expect(0);
    assert_eq!(log(&project), ["none", "b"]);
}

#[test]
fn from_a_folder_below_the_root_stages_still_run_at_the_root() {
    let project = Project::new();
    project.write("deploy/plan.yaml", PLAN);
    let mut command = project.command(&["run", "plan.yaml"]);
    command.current_dir(project.path("deploy"));
    Live::start(command).end().expect(0);
    let root = project.path("").canonicalize().expect("a folder");
    assert_eq!(project.read("where").trim_end(), root.to_str().expect("UTF-8"));
    assert!(project.has(".engine/runs"), "the state is at the root");
    let mut command = project.command(&["status"]);
    command.current_dir(project.path("deploy"));
    let output = Live::start(command).end().expect(0);
    assert!(output.stdout.contains("success"), "{}", output.stdout);
}

#[test]
fn a_relative_state_folder_starts_at_the_current_one() {
    let project = Project::new();
    project.write("deploy/plan.yaml", PLAN);
    for verb in [vec!["run", "plan.yaml"], vec!["status"], vec!["verify"]] {
        let args: Vec<&str> = verb.into_iter().chain(["--state-dir", "../kept/state"]).collect();
        let mut command = project.command(&args);
        command.current_dir(project.path("deploy"));
        Live::start(command).end().expect(0);
    }
    assert!(project.has("kept/state/runs") && !project.has(".engine") && !project.has("deploy/.engine"));
    let mut command = project.command(&["status"]);
    command.env("ENGINE_STATE_DIR", "kept/state");
    Live::start(command).end().expect(0);
}

/// What is printed to be copied works in the same folder, word for word.
#[test]
fn commands_to_copy_say_where_runs_are_kept() {
    const FAILS: &str = "version: 1\nname: t\nstages:\n  bad: {run: '[ -e ready ]'}\n  ask: {uses: approval, with: {prompt: ship}}\n";
    let in_a_shell = |project: &Project, line: &str| {
        let mut command = project.program("sh");
        command.args(["-c", &format!("engine() {{ \"$ENGINE\" \"$@\"; }}; {line}")]);
        Live::start({
            command.env("ENGINE", env!("CARGO_BIN_EXE_engine"));
            command
        })
        .end()
    };
    for (args, env) in [(["--state-dir", "my state"], ""), (["--color", "never"], "my state")] {
        let project = Project::with_plan(FAILS);
        let given: Vec<(&str, &str)> = if env.is_empty() { vec![] } else { vec![("ENGINE_STATE_DIR", env)] };
        let run = ["run", "plan.yaml", "--run-id", "r1", "--no-input", args[0], args[1]];
        let output = project.engine_with(&given, &run).expect(1);
        let resume = "engine resume r1 --state-dir 'my state'";
        let lines: Vec<&str> =
            output.stdout.lines().map(str::trim).filter(|it| it.starts_with("engine ")).collect();
        assert_eq!(lines, ["engine approve r1 ask --state-dir 'my state'", resume], "{}", output.stdout);
        assert!(!project.has(".engine"));
        project.write("ready", "");
        in_a_shell(&project, resume).expect(5);
        let status = in_a_shell(&project, "engine status r1 --json --state-dir 'my state'").expect(0);
        let status: serde_json::Value = serde_json::from_str(&status.stdout).expect("JSON");
        let approve = status["stages"].as_array().expect("stages").iter().find_map(|it| it["approve"].as_str());
        in_a_shell(&project, approve.expect("it waits")).expect(0);
        let output = in_a_shell(&project, resume).expect(0);
        assert!(output.stdout.contains("success"), "{}", output.stdout);
        let wrong = in_a_shell(&project, "engine logs r1 baad --state-dir './my state'").expect(4);
        assert!(!wrong.stderr.contains("engine logs") || wrong.stderr.contains("--state-dir"), "{}", wrong.stderr);
    }
    let project = Project::with_plan(FAILS);
    let output = project.engine(&["run", "plan.yaml", "--state-dir", "./.engine", "--no-input"]).expect(1);
    assert!(!output.stdout.contains("--state-dir"), "the usual place goes without saying: {}", output.stdout);
}

#[test]
fn a_report_holds_the_end_of_a_line_that_never_ends_cut() {
    let project = Project::with_plan(
        "version: 1\nstages: {a: {run: \"head -c 3000000 /dev/zero | tr '\\\\0' x; exit 1\"}}\n",
    );
    project.engine(&["run", "plan.yaml", "--run-id", "r1"]).expect(1);
    for format in ["html", "junit", "summary"] {
        let report = project.engine(&["report", "r1", "--format", format]).expect(0).stdout;
        assert!(report.contains("xxx …") && report.len() < 100_000, "{format}: {}", report.len());
    }
}

#[test]
fn a_drill_keeps_its_runs_where_it_was_told() {
    let project = Project::with_plan("version: 1\nstages: {a: {run: 'true', rollback: {run: 'true'}}}\n");
    project.engine(&["rollback", "--drill", "plan.yaml", "--state-dir", "kept"]).expect(0);
    assert!(project.has("kept/runs") && !project.has(".engine"));
}

#[test]
fn paths_with_spaces_and_unicode_work_everywhere() {
    let project = Project::new();
    let root = "a b/ünï 文";
    project.write(
        format!("{root}/pläne/my plan.yaml"),
        r#"
version: 1
stages:
  make: {run: 'mkdir -p "dist x"; echo ü > "dist x/fïle"; echo "name=文" >> "$ENGINE_OUTPUT"', outputs: {name: string}, artifacts: ["dist x/**"]}
  items: {needs: [make], shards: {items: {glob: "in ü/*"}}, run: 'cat "$ENGINE_SHARD_FILE" >> log'}
  part: {uses: "./lib ä.yaml", needs: [make, items], with: {name: "{{ needs.make.outputs.name }}"}}
"#,
    );
    project.write(
        format!("{root}/pläne/lib ä.yaml"),
        "version: 1\ninputs: {name: {type: string}}\nstages:\n  say: {env: {N: '{{ inputs.name }}'}, run: 'echo \"$N\" >> log; [ -e ready ]'}\n",
    );
    project.write(format!("{root}/in ü/ä b"), "");
    std::fs::create_dir_all(project.path(root).join(".git")).expect("made");
    let engine = |args: &[&str]| {
        let mut command = project.command(args);
        command.current_dir(project.path(root));
        Live::start(command).end()
    };
    engine(&["run", "pläne/my plan.yaml"]).expect(1);
    std::fs::remove_dir_all(project.path(root).join("dist x")).expect("removed");
    project.write(format!("{root}/ready"), "");
    engine(&["resume"]).expect(0);
    assert_eq!(project.read(format!("{root}/log")), "in ü/ä b\n文\n文\n");
    for verb in [vec!["status"], vec!["logs"], vec!["verify"], vec!["graph", "pläne/my plan.yaml"]] {
        engine(&verb).expect(0);
    }
}

#[test]
fn a_plan_from_standard_names_of_other_folders_is_refused_by_name() {
    let project = Project::with_plan(PLAN);
    let output = project.engine(&["run", "missing.yaml"]).expect(3);
    assert!(output.stderr.contains("missing.yaml"), "{}", output.stderr);
    let output = project.engine(&["run", "."]).expect(3);
    assert!(!output.stderr.is_empty());
    assert!(!project.has(".engine"));
}

#[test]
fn two_runs_of_one_plan_at_once_do_not_disturb_each_other() {
    let project =
        Project::with_plan("version: 1\nstages:\n  a: {shards: {items: {range: 20}}, run: 'echo x >> log'}\n");
    let (one, two) = (project.start(&["run", "plan.yaml"]), project.start(&["run", "plan.yaml"]));
    one.end().expect(0);
    two.end().expect(0);
    assert_eq!(log(&project).len(), 40);
    expect_states(&project, "a=success");
}
