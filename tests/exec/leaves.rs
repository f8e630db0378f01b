//! Nothing of an attempt is left: daemons, escapees, fork storms.

use std::time::Duration;

use engine::exec::{Ended, Executor, Exit, StopKind};

use crate::support::{bash, bench, bench_alone, python};
use crate::waiting::{is_alive, pids, scratch, until, until_printed};

fn killed(ended: &Ended) -> &str {
    assert_eq!(ended.notes.len(), 1, "{:?}", ended.notes);
    assert!(ended.notes[0].starts_with("killed what was left"), "{:?}", ended.notes);
    &ended.notes[0]
}

#[test]
fn a_child_that_holds_the_pipe_does_not_hold_the_stage() {
    let bench = bench(1);
    let (ended, text) = bench.run(bash("sleep 1000 & echo $!"));
    assert_eq!(ended.exit, Exit::Code(0));
    assert!(ended.took < Duration::from_secs(20));
    let pid = pids(&text)[0];
    assert!(killed(&ended).contains(&format!("({pid})")));
    assert!(!is_alive(pid), "dead before the end is told");
}

#[test]
fn setsid_does_not_escape() {
    let bench = bench(1);
    let (_folder, file) = scratch();
    let (ended, _) = bench.run(bash(&format!(
        "setsid bash -c 'echo $$ > {0}; exec sleep 1000' & until [ -s {0} ]; do :; done",
        file.display()
    )));
    killed(&ended);
    assert!(!is_alive(pids(&std::fs::read_to_string(&file).expect("its id"))[0]));
}

const DOUBLE_FORK: &str = "
import os, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        keep = sys.argv[1:] == ['pipe']
        if not keep:
            null = os.open('/dev/null', os.O_RDWR)
            for fd in (0, 1, 2): os.dup2(null, fd)
        with open(FILE, 'w') as f: f.write('%d\\n' % os.getpid())
        os.execve('/bin/sleep', ['sleep', '1000'], {})
    os._exit(0)
os.wait()
import time
while not os.path.exists(FILE) or not open(FILE).read().endswith('\\n'): time.sleep(0.001)
while open('/proc/%s/comm' % open(FILE).read().strip()).read() != 'sleep\\n': time.sleep(0.001)
";

fn double_fork(file: &std::path::Path) -> String {
    DOUBLE_FORK.replace("FILE", &format!("{:?}", file.display().to_string()))
}

#[test]
fn a_double_fork_without_environment_and_pipe_does_not_escape() {
    let bench = bench_alone(1);
    let (_folder, file) = scratch();
    let (ended, text) = bench.run(python(&double_fork(&file)));
    assert_eq!(ended.exit, Exit::Code(0), "{text}");
    let pid = pids(&std::fs::read_to_string(&file).expect("its id"))[0];
    assert!(killed(&ended).contains(&format!("`sleep` ({pid})")));
    assert!(!is_alive(pid));
}

#[test]
fn a_process_without_any_trace_dies_with_the_last_attempt_that_could_own_it() {
    let bench = bench_alone(2);
    let (_folder, file) = scratch();
    let long = bash("exec sleep 1000");
    let key = long.key;
    bench.local.start(long);
    let (ended, _) = bench.run(python(&double_fork(&file)));
    assert!(ended.notes.is_empty(), "{:?}", ended.notes);
    let pid = pids(&std::fs::read_to_string(&file).expect("its id"))[0];
    assert!(is_alive(pid), "it may belong to the one that runs");
    bench.local.stop(key, StopKind::Kill);
    assert_eq!(bench.end().key, key);
    assert!(!is_alive(pid));
}

#[test]
fn a_double_fork_that_keeps_the_pipe_is_found_by_it() {
    let bench = bench(1);
    let (_folder, file) = scratch();
    let mut spec = python(&double_fork(&file));
    spec.argv.push("pipe".into());
    let (ended, _) = bench.run(spec);
    let pid = pids(&std::fs::read_to_string(&file).expect("its id"))[0];
    assert!(killed(&ended).contains(&format!("({pid})")));
    assert!(!is_alive(pid));
}

#[test]
fn a_daemon_of_another_attempt_lives_while_that_one_does() {
    let bench = bench(2);
    let (_folder, file) = scratch();
    let long = bash(&format!("(setsid sleep 1000 & echo $! > {}); exec sleep 1000", file.display()));
    let key = long.key;
    bench.local.start(long);
    let daemon = pids(&until_printed(&file))[0];
    let (quick, daemon_key) = (bash(":"), key);
    bench.local.start(quick);
    let ended = bench.end();
    assert!(ended.key != daemon_key && ended.notes.is_empty(), "{:?}", ended.notes);
    assert!(is_alive(daemon), "its attempt still runs");
    bench.local.stop(key, StopKind::Kill);
    assert_eq!(bench.end().key, key);
    assert!(!is_alive(daemon));
}

#[test]
fn a_fork_storm_is_swept() {
    let bench = bench(1);
    let script = "for i in {1..100}; do sleep 1000 & echo $!; setsid sleep 1000 & echo $!; done";
    let (ended, text) = bench.run(bash(script));
    assert_eq!(ended.exit, Exit::Code(0));
    let all = pids(&text);
    assert_eq!(all.len(), 200);
    assert!(killed(&ended).contains("more"));
    assert!(!all.into_iter().any(is_alive));
}

#[test]
fn kill_takes_what_escaped_while_the_main_process_runs() {
    let bench = bench(1);
    let (_folder, file) = scratch();
    let spec = bash(&format!(
        "setsid bash -c 'setsid sleep 1000 & echo $$ $! > {0}; sleep 1000' & sleep 1000",
        file.display()
    ));
    let key = spec.key;
    bench.local.start(spec);
    let all = pids(&until_printed(&file));
    bench.local.stop(key, StopKind::Kill);
    assert_eq!(bench.end().exit, Exit::Signal(9));
    assert!(!all.into_iter().any(is_alive));
}

#[test]
fn orphans_that_ended_are_reaped() {
    let bench = bench(1);
    let (ended, text) = bench.run(bash("for i in {1..50}; do (sleep 0 & echo $!); done; wait"));
    assert_eq!(ended.exit, Exit::Code(0));
    bench.run(bash("sleep 0 & :"));
    until(|| {
        bench.run(bash(":"));
        pids(&text)
            .into_iter()
            .all(|pid| engine::exec::unix::stat(pid).is_none_or(|one| one.parent != std::process::id()))
            .then_some(())
    });
}
