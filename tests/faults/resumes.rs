//! What a resume ends and what it leaves alone.

use std::time::Duration;

use engine::base::RunId;
use engine::exec::unix;
use engine::journal::{self, Holder, StateDir};

use crate::support::Project;
use crate::watch::{self, Engine};

/// Fails once, so that there is something to resume.
const FAILS_ONCE: &str = "version: 1
name: again
stages:
  first:
    lifetime: host
    run: [sh, -c, 'setsid sleep 600 >/dev/null 2>&1 & echo $! > pid']
  second:
    needs: [first]
    run: [sh, -c, 'test -e mended']
";

fn run_id(name: &str) -> RunId {
    RunId::parse(&format!("{name}-{}", std::process::id())).expect("an id")
}

/// A killed engine holds its lock until its last thread is gone, which a slow disk can delay. Here the test
/// holds it in the name of a process that is dead.
#[test]
fn the_lock_of_an_engine_that_is_dying_is_waited_for() {
    let project = Project::with_plan(FAILS_ONCE.replace("lifetime: host", "lifetime: stage").as_str());
    let run = run_id("dying");
    project.engine(&["run", "plan.yaml", "--run-id", run.as_str(), "--no-input"]).expect(1);
    project.write("mended", "");
    let mut dead = std::process::Command::new("true").spawn().expect("a process");
    let pid = dead.id();
    dead.wait().expect("our child");
    let dir = StateDir::open(project.path(".engine")).expect("a directory").run(&run).expect("a run");
    let ownership = journal::take(&dir, &Holder { pid, wall_ms: 0 }).expect("nobody has it");
    let mut engine = Engine::start(&project, &["resume", run.as_str(), "--no-input"]);
    assert!(!engine.has_ended(Duration::from_millis(300)), "it waits\n{}", engine.printed());
    drop(ownership);
    assert_eq!(engine.end().expect("it ends"), 0, "{}", engine.printed());
}

#[test]
fn what_was_handed_to_the_machine_outlives_a_resume() {
    let project = Project::with_plan(FAILS_ONCE);
    let run = run_id("host");
    project.engine(&["run", "plan.yaml", "--run-id", run.as_str(), "--no-input"]).expect(1);
    let pid: u32 = project.read("pid").trim().parse().expect("a process id");
    let is_alive = || unix::stat(pid).is_some_and(|one| !one.is_dead());
    let was_alive = is_alive();
    project.write("mended", "");
    project.engine(&["resume", run.as_str(), "--no-input"]).expect(0);
    let lives_on = is_alive();
    watch::kill(pid);
    assert!(was_alive, "`lifetime: host` keeps it when the stage ends");
    assert!(lives_on, "a resume ends what a dead engine left, and not what was handed to the machine");
}

#[test]
fn a_run_of_the_same_name_in_another_folder_is_left_alone() {
    let (here, there) = (Project::with_plan(FAILS_ONCE), Project::new());
    let run = run_id("namesake");
    there.write(
        "plan.yaml",
        "version: 1\nname: long\nstages: {wait: {run: [sh, -c, 'echo > begun; read -r _ < gate']}}\n",
    );
    rustix::fs::mkfifoat(rustix::fs::CWD, there.path("gate"), rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)
        .expect("a named pipe");
    let mut other = Engine::start(&there, &["run", "plan.yaml", "--run-id", run.as_str(), "--no-input"]);
    assert!(other.watch(|| there.has("begun")).expect("it goes on"), "{}", other.printed());
    here.engine(&["run", "plan.yaml", "--run-id", run.as_str(), "--no-input"]).expect(1);
    here.write("mended", "");
    here.engine(&["resume", run.as_str(), "--no-input"]).expect(0);
    watch::kill(here.read("pid").trim().parse().expect("a process id"));
    watch::open_gate(&there.path("gate"));
    assert_eq!(other.end().expect("it ends"), 0, "{}", other.printed());
}
