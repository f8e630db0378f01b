//! Front and worker as real processes: whoever is killed, nothing lives two seconds later.

use std::io::{BufRead, BufReader, Lines, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::waiting::{is_alive, pids, scratch, until, until_printed};

/// A stage with a child in its group, one that left by setsid, and one that forked twice and cleared its
/// environment. All ids end up in one line of a file, once all three have settled.
fn family(file: &Path) -> String {
    let parts = file.with_extension("parts");
    format!(
        "sleep 1000 & echo $! >> {1}; setsid bash -c 'echo $$ >> {1}; exec sleep 1000' & \
         (setsid bash -c '(env -i bash -c \"echo \\$\\$ >> {1}; exec sleep 1000\" &)' > /dev/null 2>&1); \
         while [ $(wc -l < {1}) -lt 3 ]; do :; done; echo $(cat {1}) $$ > {0}; sleep 1000",
        file.display(),
        parts.display()
    )
}

struct Probe {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    worker: u32,
    front: u32,
}

impl Probe {
    fn start(script: &str, run: &str) -> Self {
        // Own group: signals to all of it must not reach the tests.
        let mut child = Command::new(&*PROGRAM)
            .arg(script)
            .env("ENGINE_RUN_ID", run)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("the probe starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut id = |word: &str| {
            let line = lines.next().expect("a line").expect("text");
            line.strip_prefix(word).expect("its id").parse().expect("a number")
        };
        let (worker, front) = (id("worker "), id("front "));
        assert_eq!(front, child.id());
        Self { child, lines, worker, front }
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("one more line").expect("text")
    }

    fn end(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().expect("it ends");
        let mut said = String::new();
        let mut pipe = self.child.stderr.take().expect("a pipe");
        pipe.read_to_string(&mut said).expect("text");
        (status, said)
    }
}

impl Drop for Probe {
    /// A test that failed must not leave its family alive: the worker ends it when its front is gone.
    fn drop(&mut self) {
        // One that has ended already cannot be killed.
        let _ended = self.child.kill();
    }
}

/// The probe, built when it is missing or old: `cargo test --test exec` alone does not build examples.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--offline", "--example", "guard_probe"]);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    assert!(build.status().expect("cargo runs").success(), "the probe does not build");
    let test = std::env::current_exe().expect("this test");
    test.parent().and_then(Path::parent).expect("the target folder").join("examples/guard_probe")
});

fn kill(pid: u32, signal: Signal) {
    let pid = engine::exec::unix::raw(pid).expect("a process id");
    rustix::process::kill_process(pid, signal).expect("it exists");
}

/// Whether every thread of a process has stopped.
fn is_stopped(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("its threads");
    threads.flatten().all(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // The state follows the name, which is in brackets and may hold some itself.
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    })
}

fn gone_within_two_seconds(all: &[u32], since: Instant) {
    until(|| (!all.iter().copied().any(is_alive)).then_some(()));
    let took = since.elapsed();
    assert!(took < Duration::from_secs(2), "gone only after {took:?}");
}

#[expect(clippy::disallowed_methods, reason = "the promise is in real seconds")]
fn now() -> Instant {
    Instant::now()
}

fn family_of(file: &Path) -> Vec<u32> {
    let all = pids(&until_printed(file));
    assert_eq!(all.len(), 4);
    assert!(all.iter().copied().all(is_alive));
    all
}

#[test]
fn a_clean_end_hands_the_code_on_and_says_nothing() {
    let mut probe = Probe::start("exit 6", "clean");
    assert_eq!(probe.line(), "ended Code(6)");
    let (status, said) = probe.end();
    assert_eq!((status.code(), said.as_str()), (Some(6), ""));
}

#[test]
fn the_front_cleans_up_after_a_killed_worker() {
    let (_folder, file) = scratch();
    let probe = Probe::start(&family(&file), "worker-dies");
    let all = family_of(&file);
    let since = now();
    kill(probe.worker, Signal::KILL);
    let (status, said) = probe.end();
    gone_within_two_seconds(&all, since);
    assert_eq!(status.code(), Some(137));
    assert_eq!(said, "run interrupted: the engine was killed by signal 9; resume with `probe resume`\n");
}

#[test]
fn the_worker_cleans_up_after_a_killed_front_and_records_nothing() {
    let (_folder, file) = scratch();
    let mut probe = Probe::start(&family(&file), "front-dies");
    let mut all = family_of(&file);
    let since = now();
    kill(probe.front, Signal::KILL);
    all.push(probe.worker);
    gone_within_two_seconds(&all, since);
    assert!(probe.lines.next().is_none(), "the end of a stage that we killed was told");
    assert_eq!(probe.end().0.signal(), Some(9));
}

#[test]
fn a_resume_sweeps_what_is_left_when_both_are_killed() {
    let (_folder, file) = scratch();
    let run = format!("both-die-{}", std::process::id());
    let probe = Probe::start(&family(&file), &run);
    let all = family_of(&file);
    // Stopped first, so that neither can see the other die. The signal only asks: each thread stops in its own time.
    kill(probe.worker, Signal::STOP);
    until(|| is_stopped(probe.worker).then_some(()));
    kill(probe.front, Signal::KILL);
    kill(probe.worker, Signal::KILL);
    until(|| (!is_alive(probe.worker)).then_some(()));
    assert!(all.iter().copied().any(is_alive), "nobody is left who could have cleaned up");
    let sweep = || {
        let output = Command::new(&*PROGRAM).args(["--sweep", &run]).output().expect("a sweep");
        assert!(output.status.success());
        String::from_utf8(output.stdout).expect("text")
    };
    assert_ne!(sweep(), "killed 0\n");
    // The one that has left its parents and cleared its environment bears no mark at all.
    assert!(!all.iter().take(2).chain(all.last()).copied().any(is_alive));
    assert_eq!(sweep(), "killed 0\n");
    probe.end();
    for pid in all.into_iter().filter(|pid| is_alive(*pid)) {
        kill(pid, Signal::KILL);
    }
}

#[test]
fn each_signal_arrives_once_whatever_the_road() {
    let (_folder, file) = scratch();
    let mut probe = Probe::start(&family(&file), "signals");
    let all = family_of(&file);
    let group = engine::exec::unix::raw(probe.front).expect("a process id");
    // As a terminal does it: to both.
    rustix::process::kill_process_group(group, Signal::INT).expect("a group");
    assert_eq!(probe.line(), "caught Int");
    // To the front alone, then to the worker alone. Another INT might meet the copy of the first one that the worker has
    // not looked at yet, and a process sees two signals of a kind as one.
    kill(probe.front, Signal::HUP);
    assert_eq!(probe.line(), "caught Hup", "the second copy of INT is no second signal");
    kill(probe.worker, Signal::TERM);
    assert_eq!(probe.line(), "caught Term");
    assert_eq!(probe.line(), "ended Signal(9)");
    let (status, said) = probe.end();
    assert_eq!((status.code(), said.as_str()), (Some(143), ""));
    assert!(!all.into_iter().any(is_alive));
}

#[test]
fn an_aborted_worker_counts_as_killed() {
    let (_folder, file) = scratch();
    let probe = Probe::start(&family(&file), "abort");
    let all = family_of(&file);
    kill(probe.worker, Signal::ABORT);
    let (status, said) = probe.end();
    assert_eq!(status.code(), Some(134));
    assert!(said.contains("signal 6"), "{said}");
    assert!(!all.into_iter().any(is_alive));
}
