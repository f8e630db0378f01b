//! Readers that are slow, stalled or gone: none of them holds up a stage, a deadline or a cancel.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Live, Output, PATIENCE, Project};
use crate::tool::{Gate, expect_states, is_alive, log, status};

/// Bytes that a pipe holds.
const PIPE_BYTES: usize = 64 << 10;

/// A named pipe that stages write lines to.
struct Bell(Receiver<String>);

impl Bell {
    fn new(project: &Project) -> Self {
        let path = project.path("bell");
        assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo runs").success());
        // Opened for both ways it never blocks, and never sees an end.
        let pipe = File::options().read(true).write(true).open(path).expect("a pipe");
        let (sender, heard) = channel();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(pipe).lines();
            while let Some(Ok(line)) = lines.next() {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self(heard)
    }

    #[track_caller]
    fn rings(&self, text: &str) {
        assert_eq!(self.0.recv_timeout(PATIENCE).as_deref(), Ok(text));
    }
}

/// An engine whose standard output is a pipe that is full already.
struct Stalled {
    pid: Pid,
    out: std::io::PipeReader,
    ended: Receiver<Output>,
}

impl Stalled {
    fn start(mut command: Command) -> Self {
        let (out, mut full) = std::io::pipe().expect("a pipe");
        full.write_all(&vec![b'\n'; PIPE_BYTES]).expect("an empty pipe has so much room");
        let mut child =
            command.stdin(Stdio::null()).stdout(full).stderr(Stdio::piped()).spawn().expect("the engine starts");
        let pid = Pid::from_child(&child);
        let mut err = child.stderr.take().expect("a pipe");
        let (sender, ended) = channel();
        std::thread::spawn(move || {
            let mut stderr = String::new();
            err.read_to_string(&mut stderr).expect("text");
            let status = child.wait().expect("our child").code().expect("an exit code");
            sender.send(Output { status, stdout: String::new(), stderr }).unwrap_or(());
        });
        Self { pid, out, ended }
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).expect("it lives");
    }

    #[track_caller]
    fn end(&self) -> Output {
        self.ended.recv_timeout(PATIENCE).expect("the engine ends")
    }
}

/// Looks until the latest run stands as `state`.
#[track_caller]
fn until(project: &Project, state: &str) {
    let looks = std::iter::repeat_with(|| status(project)["state"].clone());
    let last = looks.take(1000).find(|found| found == state);
    assert!(last.is_some(), "the run never becomes {state}: {}", status(project));
}

#[test]
fn nobody_reads_and_every_deadline_is_kept() {
    let project = Project::with_plan(
        r#"
version: 1
stages:
  slow: {timeout: 3s, run: "echo $$ > pid; exec sleep 1000"}
  after: {needs: [{stage: slow, accept: [failed]}], run: echo after >> log}
finally: {stages: {tidy: {run: echo tidy > bell}}}
"#,
    );
    let bell = Bell::new(&project);
    let live = Stalled::start(project.command(&["run", "plan.yaml"]));
    bell.rings("tidy");
    assert_eq!(log(&project), ["after"]);
    assert!(!is_alive(&project.read("pid")));
    until(&project, "failed");
    // It waits for its reader now, and for nothing else.
    live.signal(Signal::INT);
    assert_eq!(live.end().expect(1).stderr, "");
}

#[test]
fn nobody_reads_and_each_signal_is_obeyed() {
    let project = Project::with_plan(
        r#"
version: 1
defaults: {stop: {grace: 60s}}
stages:
  work: {run: "trap 'echo asked > bell; exit 1' TERM; echo $$ > pid; echo up > bell; while :; do sleep 1000 & wait || true; done"}
finally: {stages: {tidy: {run: echo tidy > bell}}}
"#,
    );
    let bell = Bell::new(&project);
    let live = Stalled::start(project.command(&["run", "plan.yaml"]));
    bell.rings("up");
    live.signal(Signal::INT);
    bell.rings("asked");
    bell.rings("tidy");
    until(&project, "cancelled");
    live.signal(Signal::INT);
    live.end().expect(130);
    assert!(!is_alive(&project.read("pid")));
}

#[test]
fn nobody_reads_and_cancel_is_obeyed() {
    let project = Project::with_plan("version: 1\nstages: {work: {run: 'echo up > bell; exec sleep 1000'}}\n");
    let bell = Bell::new(&project);
    let live = Stalled::start(project.command(&["run", "plan.yaml"]));
    bell.rings("up");
    project.engine(&["cancel"]).expect(0);
    until(&project, "cancelled");
    live.signal(Signal::TERM);
    live.end().expect(130);
}

/// More than was ever held for a reader, each line once, in order.
#[test]
fn a_late_reader_gets_everything() {
    let project = Project::with_plan(
        r#"
version: 1
max-parallel: 4
stages:
  print: {matrix: {n: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]}, run: "seq 1 100000"}
  ring: {needs: [print], run: echo printed > bell}
"#,
    );
    let bell = Bell::new(&project);
    let mut live = Stalled::start(project.command(&["run", "plan.yaml"]));
    bell.rings("printed");
    let mut text = String::new();
    live.out.read_to_string(&mut text).expect("text");
    live.end().expect(0);
    for n in 1..=12 {
        let prefix = format!("print:{n} | ");
        let lines = text.lines().filter_map(|line| line.strip_prefix(&prefix));
        assert!(lines.eq((1..=100_000).map(|line| line.to_string())), "print:{n}");
    }
    let place = |text_of: &str| text.lines().position(|line| line.starts_with(text_of)).expect(text_of);
    assert!(place("print:1 | 100000") < place("  success  print:1 "), "an end follows what was printed");
    assert!(text.trim_end().lines().last().is_some_and(|line| line.contains("success  run")), "{text:.200}");
}

/// A reader of events that stalls takes neither the run nor the console along.
#[test]
fn events_that_nobody_reads_stall_alone() {
    let project = Project::with_plan("version: 1\nstages: {one: {run: echo one}}\n");
    let mut gate = Gate::new(&project, "events");
    gate.fill(PIPE_BYTES);
    let live = project.start(&["run", "plan.yaml", "--events", "events", "--report", "junit=junit.xml"]);
    live.line("success  run");
    expect_states(&project, "one=success");
    live.signal(Signal::INT);
    live.end().expect(0);
    assert!(project.read("junit.xml").contains("one"));
}

#[test]
fn a_reader_who_leaves_is_not_missed() {
    let project = Project::with_plan("version: 1\nstages: {one: {run: echo one; echo one >> log}}\n");
    let Stalled { out, ended, .. } = Stalled::start(project.command(&["run", "plan.yaml"]));
    drop(out);
    let output = ended.recv_timeout(PATIENCE).expect("the engine ends").expect(0);
    assert_eq!((output.stderr.as_str(), log(&project).len()), ("", 1));
}

#[test]
fn events_that_cannot_be_written_are_missed_aloud_and_once() {
    let project = Project::with_plan("version: 1\nstages: {one: {run: echo one}}\n");
    let output = project.engine(&["run", "plan.yaml", "--events", "/dev/full"]).expect(0);
    assert_eq!(
        output.stderr,
        "warning: the events file `/dev/full` has no more of this run, which goes on: No space left on device (os error 28)\n"
    );
    assert!(output.stdout.contains("success  run"), "{}", output.stdout);
}

/// A stage, and a service that outlives it, none of which ends when it is asked to.
const STUBBORN: &str = r#"
version: 1
defaults: {stop: {grace: 10m}}
stages:
  serve: {lifetime: run, run: "(trap 'echo asked > bell' TERM; echo up > bell; while :; do sleep 1000 & wait || true; done) & echo $! > service"}
  work: {needs: [serve], run: "trap '' TERM; echo $$ > pid; echo work > bell; [ -e calm ] || exec sleep 1000"}
"#;

fn stubborn() -> (Project, Bell, Live) {
    let project = Project::with_plan(STUBBORN);
    let bell = Bell::new(&project);
    let live = project.start(&["run", "plan.yaml"]);
    bell.rings("up");
    bell.rings("work");
    (project, bell, live)
}

#[test]
fn what_a_run_keeps_alive_loses_its_grace_with_the_second_signal() {
    let project = Project::with_plan(STUBBORN);
    project.write("calm", "");
    let bell = Bell::new(&project);
    let live = project.start(&["run", "plan.yaml"]);
    bell.rings("up");
    bell.rings("work");
    // The run is over, and what it kept alive is asked to end.
    bell.rings("asked");
    live.signal(Signal::INT);
    live.signal(Signal::TERM);
    live.end().expect(0);
    assert!(!is_alive(&project.read("service")));
    assert_eq!(status(&project)["state"], "success");
}

#[test]
fn a_second_signal_ends_every_grace() {
    let (project, _bell, live) = stubborn();
    live.signal(Signal::INT);
    live.line("running stages are stopped");
    live.signal(Signal::INT);
    live.end().expect(130);
    assert!(!is_alive(&project.read("pid")) && !is_alive(&project.read("service")));
    assert_eq!(status(&project)["state"], "cancelled");
}

#[test]
fn a_third_signal_waits_for_nobody() {
    let (project, _bell, live) = stubborn();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        live.signal(signal);
    }
    let output = live.end();
    assert!([130, 143].contains(&output.status), "{output:?}");
    assert!(!is_alive(&project.read("pid")) && !is_alive(&project.read("service")));
}

#[test]
fn who_shows_little_still_hears_of_a_failure_while_the_run_goes_on() {
    let project = Project::with_plan(
        "version: 1\nname: quiet\nstages:\n  bad: {run: [\"false\"]}\n  \
         long: {run: 'read -r _ < gate'}\n",
    );
    let mut gate = Gate::new(&project, "gate");
    let live = project.start(&["run", "plan.yaml", "--output", "quiet"]);
    // Nothing but a tick can bring it: the run waits for us.
    live.line("bad");
    assert_eq!(status(&project)["state"], "running");
    gate.open();
    live.end().expect(1);
}
