//! What one engine leaves is what the next one finds: locks, questions, artifacts, verdicts.

#[path = "support/mod.rs"]
mod support;

use rustix::process::{Signal, kill_process_group};
use support::Project;

/// The text of a lock's record, as `engine` writes it.
fn lock_of(run: &str) -> String {
    format!(r#"{{"name": "deploy", "run": "{run}", "wall_ms": 1, "by": "ann"}}"#)
}

const LOCKED: &str = "version: 1
name: p
lock: {name: deploy, on-busy: fail}
stages:
  a: {run: 'true'}
";

#[test]
fn a_lock_whose_run_ended_well_and_could_not_free_it_holds_nobody_up() {
    let project = Project::with_plan(LOCKED);
    project.engine(&["run", "plan.yaml"]).expect(0);
    let first = project.only_run();
    // As if the engine had been killed between the verdict and the lock.
    project.write(".engine/locks/deploy.lock", lock_of(&first));
    project.engine(&["run", "plan.yaml"]).expect(0);
    assert!(project.read(".engine/locks/broken").contains("its run is over"));
    assert!(!project.has(".engine/locks/deploy.lock"));
}

#[test]
fn a_lock_of_a_damaged_run_is_a_person_s_to_break() {
    let project = Project::with_plan(LOCKED);
    project.engine(&["run", "plan.yaml"]).expect(0);
    let first = project.only_run();
    project.write(".engine/locks/deploy.lock", lock_of(&first));
    project.write(format!(".engine/runs/{first}/journal"), "no journal");
    let output = project.engine(&["run", "plan.yaml"]).expect(7);
    assert!(output.stderr.contains("engine unlock deploy"), "{}", output.stderr);
    assert_eq!(project.runs(), [first], "a run that never began leaves nothing");
}

#[test]
fn of_a_file_that_two_stages_left_a_resume_restores_the_later_one() {
    let project = Project::with_plan(
        "version: 1
name: p
stages:
  a: {run: 'mkdir -p dist; echo 1 > dist/x', artifacts: [dist/x]}
  b: {needs: [a], run: 'echo 2 > dist/x', artifacts: [dist/x]}
  c: {needs: [b, a], run: 'cat dist/x > seen; test -f ok'}
",
    );
    project.engine(&["run", "plan.yaml"]).expect(1);
    std::fs::remove_dir_all(project.path("dist")).expect("removed");
    project.write("ok", "");
    project.engine(&["resume"]).expect(0);
    assert_eq!(project.read("seen"), "2\n");
}

#[test]
fn an_outcome_that_nobody_knows_outweighs_a_failure() {
    let project = Project::with_plan(
        "version: 1
name: p
stages:
  one: {idempotent: false, run: 'kill -9 $$'}
  two: {needs: [{stage: one, accept: [failed, success]}], run: 'true'}
  bad: {run: 'exit 1'}
",
    );
    let output = project.engine(&["run", "plan.yaml", "-j", "1"]).expect(5);
    assert!(output.stdout.contains("engine resolve"), "{}", output.stdout);
}

#[test]
fn a_question_that_hangs_does_not_hold_a_cancel_up() {
    let project = Project::with_plan(
        "version: 1
name: p
stages:
  a:
    idempotent: false
    run: 'kill -9 $$'
    done-if: {run: 'if test -f done; then exit 0; fi; echo $$ > asked; mkfifo hang; read x < hang'}
  b: {run: 'until test -s asked; do :; done; echo asked', timeout: 1m}
",
    );
    let live = project.start(&["run", "plan.yaml", "-j", "2"]);
    live.line("b | asked");
    live.signal(Signal::INT);
    live.end().expect(130);
    // The next engine asks again, and takes the answer.
    project.write("done", "");
    let output = project.engine(&["resume"]).expect(0);
    assert!(!output.stdout.contains("attempt 2"), "{}", output.stdout);
}

#[test]
fn a_damaged_run_stands_in_nobody_s_way_but_its_own() {
    let project = Project::new();
    project.write("wait.yaml", "version: 1\nname: p\nstages: {ship: {uses: approval, with: {prompt: go}}}\n");
    project.write("bad.yaml", "version: 1\nname: p\nstages: {a: {run: 'exit 1'}}\n");
    project.engine(&["run", "wait.yaml", "--run-id", "waits", "--no-input"]).expect(5);
    project.engine(&["run", "bad.yaml", "--run-id", "broken"]).expect(1);
    project.write(".engine/runs/broken/journal", "no journal");
    let output = project.engine(&["approve", "ship"]).expect(0);
    assert!(output.stdout.contains("engine resume waits"), "{}", output.stdout);
    // Which run to go on with is no guess: the newest one that may be meant cannot be read.
    project.engine(&["resume"]).expect(8);
    project.engine(&["resume", "waits"]).expect(0);
}

#[test]
fn a_report_makes_its_folder_and_one_that_cannot_be_written_is_named() {
    let project = Project::with_plan("version: 1\nname: p\nstages: {a: {run: 'true'}}\n");
    project.write("file", "");
    let args = ["run", "plan.yaml", "--report", "junit=out/deep/j.xml", "--report", "html=file/r.html"];
    let output = project.engine(&args).expect(0);
    assert!(project.read("out/deep/j.xml").contains("<testsuite"));
    assert!(output.stderr.contains("`file/r.html` could not be written"), "{}", output.stderr);
}

#[test]
fn a_kill_of_the_whole_process_group_leaves_nothing_alive() {
    use std::io::Read as _;
    use std::os::unix::process::CommandExt as _;
    use std::process::Stdio;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let project = Project::with_plan(
        "version: 1
name: p
stages:
  a: {run: 'exec 3> fifo; echo up >&3; setsid sleep 600 & sleep 600'}
",
    );
    let fifo = project.path("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().expect("mkfifo runs");
    assert!(made.success());
    let mut command = project.command(&["run", "plan.yaml"]);
    let mut engine = command.process_group(0).stdout(Stdio::null()).spawn().expect("the engine starts");
    let mut held = std::fs::File::open(&fifo).expect("the stage opens the other end");
    let mut word = [0; 3];
    held.read_exact(&mut word).expect("the stage is up");
    let group = rustix::process::Pid::from_child(&engine);
    kill_process_group(group, Signal::KILL).expect("front and worker are killed at once");
    engine.wait().expect("the front is gone");
    // The pipe ends when the last process that holds it is gone. The promise is two seconds; a busy machine
    // gets ten, for what would stay alive stays for ten minutes.
    let mut polled = [PollFd::new(&held, PollFlags::empty())];
    let patience = Timespec { tv_sec: 10, tv_nsec: 0 };
    let ended = poll(&mut polled, Some(&patience)).expect("the pipe can be watched");
    assert_eq!(ended, 1, "something of the stage is still alive");
}

#[test]
fn what_is_killed_with_its_engine_takes_no_run_of_the_same_name_along() {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::fs::OFlags;

    let (here, there) = (Project::new(), Project::new());
    let plan = "version: 1\nname: p\nstages: {a: {run: 'exec 3<> gate; echo up > told; read -r _ <&3'}}\n";
    for project in [&here, &there] {
        project.write("plan.yaml", plan);
        for fifo in ["told", "gate"] {
            let made = std::process::Command::new("mkfifo").arg(project.path(fifo)).status().expect("mkfifo runs");
            assert!(made.success());
        }
    }
    let args = ["run", "plan.yaml", "--run-id", "namesake-killed"];
    let (ours, theirs) = (here.start(&args), there.start(&args));
    for project in [&here, &there] {
        assert_eq!(project.read("told"), "up\n");
    }
    // Each stage is the only reader of its gate: that it is gone is seen at the writing end, without waiting.
    let open = |project: &Project| {
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).expect("a small number");
        std::fs::OpenOptions::new().write(true).custom_flags(flags).open(project.path("gate"))
    };
    let gate = open(&here).expect("our stage reads it");
    ours.kill();
    let polled = &mut [PollFd::new(&gate, PollFlags::empty())];
    let patience = Timespec { tv_sec: 10, tv_nsec: 0 };
    assert_eq!(poll(polled, Some(&patience)).expect("a pipe"), 1, "the sentinel ended our stage");
    open(&there).and_then(|mut gate| gate.write_all(b"go\n")).expect("their stage lives");
    theirs.end().expect(0);
}
