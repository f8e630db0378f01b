//! What flows look at: a run's state and events, the log that stages write, gates that hold stages back.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::process::Command;

use serde_json::Value;

use crate::support::{Live, Output, Project};

/// A plan for the environment `live`, which ships once somebody has agreed.
pub(crate) const SHIP: &str = r"
version: 1
environment: live
inputs: {tag: {type: string, default: v1}}
stages:
  approve: {uses: approval, with: {prompt: 'Ship {{ inputs.tag }}?'}, timeout: 4h}
  ship: {needs: [approve], run: echo ship >> log}
";

/// Gives the environment `live` this policy.
pub(crate) fn set_policy(project: &Project, policy: &str) {
    project.write("environments/catalog.yaml", "keys: {}\n");
    project.write("environments/live.yaml", format!("policy: {{{policy}}}\n"));
}

/// Runs the engine to its end as `who`.
pub(crate) fn by(project: &Project, who: &str, args: &[&str]) -> Output {
    project.engine_with(&[("ENGINE_ACTOR", who)], args)
}

/// `status --json` of the latest run.
#[track_caller]
pub(crate) fn status(project: &Project) -> Value {
    json(&project.engine(&["status", "--json"]).expect(0).stdout)
}

#[track_caller]
pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// One stage of the latest run.
#[track_caller]
pub(crate) fn stage(project: &Project, id: &str) -> Value {
    let status = status(project);
    let stages = status["stages"].as_array().expect("stages");
    let found = stages.iter().find(|stage| stage["id"] == id);
    found.unwrap_or_else(|| panic!("no stage `{id}` in {status}")).clone()
}

/// The states of the latest run's stages, by id.
#[track_caller]
pub(crate) fn states(project: &Project) -> BTreeMap<String, String> {
    let status = status(project);
    let word = |value: &Value| value.as_str().expect("a word").to_owned();
    let stages = status["stages"].as_array().expect("stages");
    stages.iter().map(|stage| (word(&stage["id"]), word(&stage["state"]))).collect()
}

/// Asserts the states of all stages of the latest run, as `a=success b=failed`.
#[track_caller]
pub(crate) fn expect_states(project: &Project, expected: &str) {
    let shown: Vec<String> = states(project).iter().map(|(id, state)| format!("{id}={state}")).collect();
    let mut expected: Vec<&str> = expected.split_whitespace().collect();
    expected.sort_unstable();
    assert_eq!(shown, expected);
}

/// Every event of the latest run, as `report --format events` tells them.
#[track_caller]
pub(crate) fn events(project: &Project) -> Vec<Value> {
    let output = project.engine(&["report", "--format", "events"]).expect(0);
    output.stdout.lines().map(json).collect()
}

/// Events with this name, about this stage.
#[track_caller]
pub(crate) fn events_of(project: &Project, name: &str, stage: &str) -> Vec<Value> {
    let all = events(project).into_iter();
    all.filter(|event| event["event"] == name && event["stage"] == stage).collect()
}

/// The lines that stages appended to `log`.
pub(crate) fn log(project: &Project) -> Vec<String> {
    if !project.has("log") {
        return Vec::new();
    }
    project.read("log").lines().map(str::to_owned).collect()
}

/// How often a line stands in `log`.
pub(crate) fn count(project: &Project, line: &str) -> usize {
    log(project).iter().filter(|found| *found == line).count()
}

/// Runs `plan.yaml` without asking anything.
#[track_caller]
pub(crate) fn run(project: &Project, status: i32) -> Output {
    project.engine(&["run", "plan.yaml"]).expect(status)
}

/// A named pipe that a stage reads a line from: `read -r _ < gate`. It waits until [`Gate::open`].
pub(crate) struct Gate(File);

impl Gate {
    pub(crate) fn new(project: &Project, name: &str) -> Self {
        let path = project.path(name);
        let made = Command::new("mkfifo").arg(&path).status().expect("mkfifo runs");
        assert!(made.success(), "a named pipe");
        // Opened for both ways it never blocks, and its reader never sees an end.
        Self(File::options().read(true).write(true).open(path).expect("a pipe"))
    }

    /// Writes so much that nobody else can write to it.
    pub(crate) fn fill(&mut self, bytes: usize) {
        self.0.write_all(&vec![b'\n'; bytes]).expect("an empty pipe has so much room");
    }

    /// Lets one reader go.
    pub(crate) fn open(&mut self) {
        self.0.write_all(b"\n").expect("the pipe has room");
    }
}

/// Whether a process lives.
pub(crate) fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    let state = stat.rsplit_once(')').map_or("", |(_, rest)| rest.trim_start());
    !state.is_empty() && !state.starts_with(['Z', 'X'])
}

/// Starts `plan.yaml`, and waits until a stage has printed `here`.
#[track_caller]
pub(crate) fn start_until(project: &Project, here: &str) -> Live {
    let live = project.start(&["run", "plan.yaml"]);
    live.line(here);
    live
}

/// The engine on a terminal of its own, which the shell words `first` may set up.
pub(crate) fn on_a_terminal(project: &Project, first: &str, args: &str) -> Live {
    let mut command = project.program("script");
    let line = format!("{first} exec {} {args}", env!("CARGO_BIN_EXE_engine"));
    command.args(["-qefc", &line, "/dev/null"]).env("TERM", "xterm");
    Live::start(command)
}
