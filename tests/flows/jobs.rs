//! Jobs of CI platforms: the recipes of docs/ci.md and what `engine ci` prints. Their shell parts run as they stand there, each job
//! on a fresh checkout, with what the platform hands from job to job put where it would put it.

use std::path::Path;
use std::process::Command;

use engine::plan::tree::{Kind, Tree};
use engine::plan::{Report, Sources};
use serde_json::Value;

use crate::boxes::CHAIN;
use crate::parts::PLAN;
use crate::support::{Live, Output, Project};
use crate::tool::{count, expect_states, log};

/// YAML as JSON, by the engine's own reader.
fn yaml(text: &str) -> Value {
    let mut sources = Sources::default();
    let file = sources.add(engine::plan::source::File { path: "ci.yaml".to_owned(), text: text.into() });
    let mut report = Report::default();
    let tree = engine::plan::read(&sources, file, &mut report);
    assert!(!report.has_errors(), "{text}\n{:?}", report.sorted());
    value(&tree.expect("no errors, so there is a value"))
}

fn value(tree: &Tree) -> Value {
    match &tree.kind {
        Kind::Null => Value::Null,
        Kind::Bool(it) => (*it).into(),
        Kind::Int(it) => (*it).into(),
        Kind::Float(it) => (*it).into(),
        Kind::Str { text, .. } => (&**text).into(),
        Kind::List(items) => items.iter().map(value).collect(),
        Kind::Map(entries) => entries.iter().map(|(key, it)| (key.text.to_string(), value(it))).collect(),
    }
}

/// The YAML recipes of docs/ci.md: GitHub's, GitLab's, Buildkite's.
fn recipe(at: usize) -> Value {
    let text = include_str!("../../docs/ci.md");
    let blocks: Vec<&str> = text.split("<!-- test: yaml -->\n```yaml\n").skip(1).collect();
    assert_eq!(blocks.len(), 3, "GitHub, GitLab, Buildkite");
    yaml(blocks[at].split("```").next().expect("an end"))
}

/// A fresh checkout, with the script of docs/ci.md.
fn checkout() -> Project {
    let project = Project::new();
    project.write("plans/deploy.yaml", CHAIN);
    let text = include_str!("../../docs/ci.md");
    let script = text.split("<!-- test: ci/box.sh -->\n```sh\n").nth(1).and_then(|rest| rest.split("```").next());
    project.write("ci/box.sh", script.expect("docs/ci.md has the script"));
    project
}

/// Runs a shell part in a checkout, as `shell` of the platform does.
fn shell(project: &Project, shell: &[&str], script: &str, env: &[(&str, &str)]) -> Output {
    let engine = Path::new(env!("CARGO_BIN_EXE_engine")).parent().expect("a folder");
    let path = std::env::var("PATH").expect("tests have a PATH");
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]).arg(script).current_dir(project.path(".")).env_clear();
    command.env("PATH", format!("{}:{}:{path}", project.path("bin").display(), engine.display()));
    command.env("HOME", project.path(".")).env("USER", "ann").envs(env.iter().copied());
    Live::start(command).end()
}

const GITHUB: &[&str] = &["bash", "-e", "-c"];
const GITLAB: &[&str] = &["bash", "-eo", "pipefail", "-c"];
const BUILDKITE: &[&str] = &["bash", "-e", "-c"];

/// What GitLab's runner makes of a list of lines.
fn lines(script: &Value) -> String {
    let lines = script.as_array().expect("a list of lines").iter();
    lines.map(|line| line.as_str().expect("a line")).collect::<Vec<_>>().join("\n")
}

/// The agent of Buildkite as far as steps ask for it: artifacts of all jobs lie in the folder `$STORE`.
fn agent(project: &Project) {
    let text = "#!/bin/sh\nset -eu\n[ \"$1 $2\" = 'artifact download' ]\nfound=\n\
                for file in \"$STORE\"/$3; do [ ! -e \"$file\" ] || { cp \"$file\" \"$4\"; found=yes; }; done\n\
                [ -n \"$found\" ] || { echo \"no artifacts found for $3\" >&2; exit 1; }\n";
    project.script("bin/buildkite-agent", text);
}

/// What `buildkite-agent pipeline upload` makes of a command. A lone `$` would be taken for a variable of the agent's.
fn uploaded(command: &Value) -> String {
    let text = command.as_str().expect("a command");
    assert!(!text.replace("$$", "").contains('$'), "a `$` that is not doubled: {text}");
    text.replace("$$", "$")
}

/// Puts a file of one checkout into another.
fn hand(from: &Path, to: &Project, name: &str) {
    std::fs::copy(from, to.path(name)).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}

/// The `run` of a job's step.
fn step<'a>(job: &'a Value, name: &str) -> &'a str {
    let steps = job["steps"].as_array().expect("steps").iter();
    let found = steps.into_iter().find(|step| step["name"] == name);
    found.and_then(|step| step["run"].as_str()).unwrap_or_else(|| panic!("no step `{name}` in {job}"))
}

/// Each stage of the chain ran in one job only, and the last job ended the run.
fn must_be_done(jobs: &[Project], last: &Project) {
    let all = |line: &str| jobs.iter().map(|project| count(project, line)).sum::<usize>();
    assert_eq!(["build", "pack", "ship", "tidy"].map(all), [1, 1, 1, 1]);
    expect_states(last, "build=success pack=success ship=success tidy=success");
    last.engine(&["verify"]).expect(0);
}

/// A cache has the state of the newest box, whatever its key.
#[test]
fn the_boxes_of_the_github_recipe_finish_a_plan() {
    let recipe = recipe(0);
    let job = &recipe["jobs"]["box"];
    let run = step(job, "one box").replace("25m", "3s");
    let mut jobs: Vec<Project> = Vec::new();
    for _ in job["strategy"]["matrix"]["box"].as_array().expect("boxes") {
        let project = checkout();
        if let Some(before) = jobs.last() {
            hand(&before.path("engine-state.tar"), &project, "engine-state.tar");
        }
        shell(&project, GITHUB, &run, &[]).expect(0);
        jobs.push(project);
    }
    let done = checkout();
    hand(&jobs.last().expect("boxes").path("engine-state.tar"), &done, "engine-state.tar");
    shell(&done, GITHUB, step(&recipe["jobs"]["done"], "is it done?"), &[]).expect(0);
    must_be_done(&jobs, &done);
    // What is not done yet is no success of the last job.
    let early = checkout();
    hand(&jobs[0].path("engine-state.tar"), &early, "engine-state.tar");
    shell(&early, GITHUB, &step(&recipe["jobs"]["done"], "is it done?").replace("1m", "1s"), &[]).expect(75);
    // A cache is written once: each save has a key of its own, also when a job is run again.
    let keys = |job: &Value, action: &str| {
        let all = job["steps"].as_array().expect("steps").iter().filter(|step| step["uses"] == action);
        all.map(|step| step["with"].clone()).collect::<Vec<_>>()
    };
    let saved = &keys(job, "actions/cache/save@v4")[0]["key"];
    let own = saved.as_str().expect("a key");
    assert!(["github.run_id", "github.run_attempt", "matrix.box"].iter().all(|part| own.contains(part)), "{own}");
    for restored in
        [&keys(job, "actions/cache/restore@v4")[0], &keys(&recipe["jobs"]["done"], "actions/cache/restore@v4")[0]]
    {
        assert_eq!(restored["restore-keys"], "engine-${{ github.run_id }}-", "the newest of this workflow");
    }
}

#[test]
fn the_boxes_of_the_gitlab_recipe_finish_a_plan() {
    let recipe = recipe(1);
    let script = lines(&recipe[".box"]["script"]).replace("50m", "5s");
    let allowed = &recipe[".box"]["allow_failure"]["exit_codes"][0];
    let mut jobs: Vec<Project> = Vec::new();
    let mut codes = Vec::new();
    for (name, before) in [("first", None), ("second", Some("first")), ("last", Some("second"))] {
        let project = checkout();
        if let Some(before) = before {
            assert_eq!(recipe[name]["dependencies"], serde_json::json!([before]), "one state, and the newest");
            hand(&jobs.last().expect("one before").path("engine-state.tar"), &project, "engine-state.tar");
        }
        codes.push(shell(&project, GITLAB, &script, &[]).status);
        jobs.push(project);
    }
    assert!(codes[..2].iter().all(|code| *allowed == *code) && codes[2] == 0, "{codes:?}");
    assert_eq!(recipe["last"]["allow_failure"], false);
    must_be_done(&jobs, &jobs[2]);
}

#[test]
fn the_boxes_of_the_buildkite_recipe_finish_a_plan() {
    let recipe = recipe(2);
    let step = &recipe["steps"][0];
    let command = uploaded(&step["command"]).replace("25m", "3s");
    let again = &step["retry"]["automatic"][0];
    let store = Project::new();
    let folder = store.path(".").display().to_string();
    let mut jobs: Vec<Project> = Vec::new();
    for retry in 0..=again["limit"].as_u64().expect("a number") {
        let project = checkout();
        agent(&project);
        let env = [("BUILDKITE_RETRY_COUNT", &*retry.to_string()), ("STORE", &folder)];
        let output = shell(&project, BUILDKITE, &command, &env);
        let name = format!("box-{retry}.tar");
        hand(&project.path(&name), &store, &name);
        jobs.push(project);
        if again["exit_status"] != output.status {
            output.expect(0);
            break;
        }
    }
    assert!(jobs.len() > 2, "{} jobs", jobs.len());
    must_be_done(&jobs, jobs.last().expect("jobs"));
    // Without the state of the try before nothing begins anew.
    let lost = checkout();
    agent(&lost);
    shell(&lost, BUILDKITE, &command, &[("BUILDKITE_RETRY_COUNT", "9"), ("STORE", &folder)]).expect(1);
    assert!(log(&lost).is_empty() && lost.runs().is_empty(), "{:?}", log(&lost));
}

/// What is printed for a platform, of a plan whose path a shell would take apart.
const PATH: &str = "plans/the plan.yaml";

fn fan() -> Project {
    let project = Project::new();
    project.write(PATH, PLAN);
    project
}

fn printed(host: &str) -> Value {
    yaml(&fan().engine(&["ci", host, PATH, "--parts", "3"]).expect(0).stdout)
}

/// All parts and the rest did everything once.
fn must_be_whole(parts: &[Project], rest: &Project) {
    let mut packed: Vec<String> = parts.iter().flat_map(log).filter(|line| line.len() == 1).collect();
    packed.sort();
    assert_eq!(packed, ["a", "b", "c", "d", "e", "f", "g"]);
    assert_eq!(log(rest), ["ship", "tidy"]);
    expect_states(rest, "build=success pack=success ship=success tidy=success");
    rest.engine(&["verify", "--deep"]).expect(0);
}

#[test]
fn the_jobs_printed_for_github_work_also_when_they_are_run_again() {
    let jobs = printed("github")["jobs"].clone();
    assert_eq!(
        (&jobs["part"]["strategy"]["matrix"]["part"], &jobs["rest"]["needs"]),
        (&serde_json::json!([1, 2, 3]), &"part".into())
    );
    let history = Project::new();
    shell(&history, GITHUB, step(&jobs["history"], "pack"), &[]).expect(0);
    let part = |index: usize, before: Option<&Project>| {
        let project = fan();
        let name = format!("part-{index}.tar");
        hand(&history.path("history.tar"), &project, "history.tar");
        if let Some(before) = before {
            hand(&before.path(&name), &project, &name);
        }
        for name in ["one part", "pack"] {
            let script = step(&jobs["part"], name).replace("${{ matrix.part }}", &index.to_string());
            shell(&project, GITHUB, &script, &[]).expect(0);
        }
        project
    };
    let parts = [1, 2, 3].map(|index| part(index, None));
    assert!(log(&part(2, Some(&parts[1]))).is_empty(), "a part that is run again goes on with what it did");
    let rest = |before: Option<&Project>| {
        let project = fan();
        for (index, part) in (1..).zip(&parts) {
            let name = format!("part-{index}.tar");
            hand(&part.path(&name), &project, &name);
        }
        if let Some(before) = before {
            hand(&before.path("rest.tar"), &project, "rest.tar");
        }
        for name in ["join and go on", "pack"] {
            shell(&project, GITHUB, step(&jobs["rest"], name), &[]).expect(0);
        }
        project
    };
    let first = rest(None);
    must_be_whole(&parts, &first);
    assert!(log(&rest(Some(&first))).is_empty(), "nothing is done twice");
}

#[test]
fn the_jobs_printed_for_gitlab_work() {
    let jobs = printed("gitlab");
    let history = Project::new();
    shell(&history, GITLAB, &lines(&jobs["history"]["script"]), &[]).expect(0);
    let count = jobs["part"]["parallel"].as_u64().expect("a number");
    let part = |index: u64| {
        let project = fan();
        hand(&history.path("history.tar"), &project, "history.tar");
        for part in ["script", "after_script"] {
            let env = [("CI_NODE_INDEX", &*index.to_string()), ("CI_NODE_TOTAL", &*count.to_string())];
            shell(&project, GITLAB, &lines(&jobs["part"][part]), &env).expect(0);
        }
        project
    };
    let parts: Vec<Project> = (1..=count).map(part).collect();
    let rest = fan();
    for (index, part) in (1..).zip(&parts) {
        let name = format!("part-{index}.tar");
        hand(&part.path(&name), &rest, &name);
    }
    shell(&rest, GITLAB, &lines(&jobs["rest"]["script"]), &[]).expect(0);
    must_be_whole(&parts, &rest);
    let many = fan().engine(&["ci", "gitlab", PATH, "--parts", "201"]).expect(2);
    assert!(many.stderr.contains("200"), "{}", many.stderr);
}

#[test]
fn the_jobs_printed_for_buildkite_work() {
    let steps = printed("buildkite")["steps"].clone();
    let store = Project::new();
    let folder = store.path(".").display().to_string();
    let count = steps[0]["parallelism"].as_u64().expect("a number");
    let part = |job: u64| {
        let project = fan();
        let env = [("BUILDKITE_PARALLEL_JOB", &*job.to_string()), ("STORE", &folder)];
        shell(&project, BUILDKITE, &uploaded(&steps[0]["command"]), &env).expect(0);
        let name = format!("part-{}.tar", job + 1);
        hand(&project.path(&name), &store, &name);
        project
    };
    let parts: Vec<Project> = (0..count).map(part).collect();
    let rest = fan();
    agent(&rest);
    shell(&rest, BUILDKITE, &uploaded(&steps[1]["command"]), &[("STORE", &folder)]).expect(0);
    assert!(rest.has("rest.tar"));
    must_be_whole(&parts, &rest);
}
