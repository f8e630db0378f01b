//! What a stage keeps running for the rest of the run, through crashes.

use rustix::process::Signal;

use crate::support::Project;
use crate::tool::{count, events_of, is_alive, log, run, start_until, states};

/// A service that refuses to be two, something done below it, and something that is cut off further down.
const PLAN: &str = r"
version: 1
stages:
  service:
    lifetime: run
    stop: {grace: 2s}
    outputs: {pid: int}
    run: |
      if [ -e service ] && grep -q '^State:.[^XZ]' /proc/$(cat service)/status; then echo two >> log; exit 1; fi
      setsid sleep 1000 > /dev/null 2>&1 &
      echo $! > service
      echo pid=$! >> $ENGINE_OUTPUT
      echo up >> log
  migrate: {needs: [service], run: 'kill -0 $(cat service) && echo migrated >> log'}
  test:
    needs: [migrate]
    run: |
      echo here | tee -a log
      if [ ! -e again ]; then sleep 1000; fi
      kill -0 $(cat service) && echo tested >> log
  report:
    needs: [test, service]
    env: {PID: '{{ needs.service.outputs.pid }}'}
    run: '[ $PID = $(cat service) ] && kill -0 $PID && echo reported >> log'
";

#[test]
fn a_service_is_started_again_before_what_counts_on_it_and_stopped_at_the_end() {
    let project = Project::with_plan(PLAN);
    let live = start_until(&project, "here");
    let first = project.read("service");
    assert!(is_alive(&first));
    live.signal(Signal::KILL);
    live.end_open();
    project.write("again", "");
    let shown = project.engine(&["plan", "--resume", &project.only_run()]).expect(0).stdout;
    assert!(shown.contains("run     service  starts again what the rest of the run needs"), "{shown}");
    assert!(shown.contains("keep    migrate"), "{shown}");
    let told = project.engine(&["resume"]).expect(0).stdout;
    assert!(told.contains("reopened  service  what it keeps running is needed"), "{told}");
    assert_eq!(log(&project), ["up", "migrated", "here", "up", "here", "tested", "reported"]);
    let second = project.read("service");
    assert!(first != second && !is_alive(&first) && !is_alive(&second), "stopped with the run");
    assert_eq!(events_of(&project, "stage-reopened", "service").len(), 1);
}

#[test]
fn a_service_that_nobody_needs_any_more_stays_as_it_ended() {
    let project = Project::with_plan(
        r"
version: 1
on-failure: continue
stages:
  service: {lifetime: run, run: 'setsid sleep 1000 > /dev/null 2>&1 & echo up >> log'}
  use: {needs: [service], run: echo used >> log}
  other: {run: '[ -e mended ]'}
",
    );
    run(&project, 1);
    project.write("mended", "");
    project.engine(&["resume"]).expect(0);
    assert_eq!((count(&project, "up"), count(&project, "used")), (1, 1));
}

#[test]
fn what_counts_on_a_service_that_cannot_be_started_again_is_blocked() {
    let project = Project::with_plan(
        r"
version: 1
on-failure: continue
stages:
  service: {lifetime: run, run: '[ ! -e broken ] && (setsid sleep 1000 > /dev/null 2>&1 & echo up >> log)'}
  use: {needs: [service], run: echo used >> log}
  last: {needs: [use], run: '[ -e mended ] && echo last >> log'}
",
    );
    run(&project, 1);
    project.write("broken", "");
    project.write("mended", "");
    project.engine(&["resume"]).expect(1);
    let all = states(&project);
    let of = |id: &str| all[id].as_str();
    assert_eq!((of("service"), of("use"), of("last")), ("failed", "success", "blocked"));
    std::fs::remove_file(project.path("broken")).expect("it is there");
    project.engine(&["resume"]).expect(0);
    assert_eq!(log(&project), ["up", "used", "up", "last"]);
}

#[test]
fn a_service_that_is_not_idempotent_is_left_to_a_person() {
    let project = Project::with_plan(
        r"
version: 1
stages:
  service: {lifetime: run, idempotent: false, run: 'setsid sleep 1000 > /dev/null 2>&1 & echo up >> log'}
  use: {needs: [service], run: '[ -e mended ] && echo used >> log'}
",
    );
    run(&project, 1);
    project.write("mended", "");
    project.engine(&["resume"]).expect(5);
    assert_eq!(count(&project, "up"), 1);
    project.engine(&["resolve", &project.only_run(), "service", "--as", "rerun", "-m", "safe"]).expect(0);
    project.engine(&["resume"]).expect(0);
    assert_eq!(log(&project), ["up", "up", "used"]);
}

#[test]
fn a_service_cut_into_shards_is_refused_by_every_command_and_leaves_nothing() {
    let text =
        "version: 1\nstages:\n  up:\n    shards: {items: [x, y]}\n    lifetime: run\n    run: echo up >> log\n";
    let project = Project::with_plan(text);
    for command in [["check", "plan.yaml"], ["plan", "plan.yaml"], ["run", "plan.yaml"]] {
        let out = project.engine(&command).expect(3);
        let said = out.stdout + &out.stderr;
        for word in ["`lifetime: run` does not fit `shards`", "plan.yaml:5:", "`matrix`"] {
            assert!(said.contains(word), "{command:?}: {word} is not in {said}");
        }
    }
    assert!(project.runs().is_empty() && log(&project).is_empty(), "nothing was begun");
    // What was begun without shards does not become so by an edit.
    let plain = text
        .replace("    shards: {items: [x, y]}\n", "")
        .replace("echo up >> log", "'echo up >> log; [ -e calm ]'");
    project.write("plan.yaml", &plain);
    run(&project, 1);
    project.write("plan.yaml", text);
    project.engine(&["resume", "--accept-changes"]).expect(3);
    assert_eq!(log(&project), ["up"], "a refused edit starts nothing");
}
