//! State directories that refuse: full, read-only, gone.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use crate::log;
use crate::support::{Live, Output, Project};
use crate::watch::{self, Engine};

/// Forty stages in a row that each leave a line and print some.
fn project() -> Project {
    let mut plan = String::from("version: 1\nname: hungry\nmax-parallel: 1\nstages:\n");
    let mut before = String::new();
    for at in 0..40 {
        writeln!(plan, "  s{at}: {{{before}run: [sh, step.sh]}}").expect("a String takes it");
        before = format!("needs: [s{at}], ");
    }
    let project = Project::with_plan(&plan);
    project.write(
        "step.sh",
        r#"log() { echo "$1 $ENGINE_STAGE.$ENGINE_SHARD $ENGINE_ATTEMPT $$" >> side.log; }
log start
i=0; while [ $i -lt 10 ]; do echo "line $i of $ENGINE_STAGE, which prints more than the disk can take"; i=$((i+1)); done
log end
"#,
    );
    project
}

/// Runs a script that may mount, as root of a mount namespace that ends with it. Without the right to make one
/// this fails: run the tests as root, or where unprivileged user namespaces are allowed.
fn in_namespace(project: &Project, script: &str) -> Output {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-euc", script]);
    if rustix::process::geteuid().is_root() {
        command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-euc", script]);
    }
    let plain = project.command(&[]);
    command.current_dir(project.path("")).env_clear();
    command.envs(plain.get_envs().filter_map(|(key, value)| Some((key, value?))));
    command.env("ENGINE", plain.get_program());
    Live::start(command).end()
}

fn printed(answer: &Output) -> String {
    format!("{}{}", answer.stdout, answer.stderr)
}

/// Nothing was done that is not recorded, and what was called done ended.
fn compare(project: &Project, run: &str, state: &Path) {
    let state = engine::journal::StateDir::open(state).expect("a directory");
    let dir = state.run(&engine::base::RunId::parse(run).expect("an id")).expect("the run");
    let recorded = log::read_journal(&dir).expect("a journal");
    let lines = log::read_side(&project.path("side.first")).expect("lines");
    for line in lines.iter().filter(|line| line.word == "start") {
        let order = (line.shard.clone(), line.attempt);
        assert!(recorded.ordered.contains(&order), "{order:?} ran and is not in the journal");
    }
    for shard in &recorded.done {
        assert!(lines.iter().any(|line| line.word == "end" && line.shard == *shard), "{shard} has not ended");
    }
}

/// Every size of a disk, from one that takes nothing to one that takes all: the engine says that it is full, and
/// goes on from what was recorded once there is room.
#[test]
fn a_full_disk_stops_the_engine_and_room_lets_it_go_on() {
    let mut stopped = 0;
    for pages in [1, 3, 5, 7, 9, 10, 11, 12, 14, 30] {
        let project = project();
        std::fs::create_dir(project.path("state")).expect("a folder");
        let run = format!("full-{}-{pages}", std::process::id());
        let script = format!(
            "mount -t tmpfs -o size={}k tmpfs state
             set +e; \"$ENGINE\" run plan.yaml --state-dir state --run-id {run} --no-input > first 2>&1; echo $? > code
             mkdir kept; cp -r state/. kept; cp side.log side.first 2>/dev/null
             mount -o remount,size=64m state || exit 99
             if [ -e state/runs/{run} ]; then set -- resume {run}; else set -- run plan.yaml --run-id {run}; fi
             \"$ENGINE\" verify {run} --state-dir state > verified 2>&1; echo $? >> code
             \"$ENGINE\" \"$@\" --state-dir state --no-input; echo $? >> code",
            pages * 4
        );
        let answer = in_namespace(&project, &script);
        assert_eq!(answer.status, 0, "a private mount is possible: {}", printed(&answer));
        let codes = project.read("code");
        let codes: Vec<&str> = codes.lines().collect();
        let first = project.read("first");
        let kept = project.path("kept");
        if codes[0] == "0" {
            // Only what stages printed and what is kept for forecasts may be missing, and that is said.
            let notes =
                ["what stages printed is not stored in full", "what this run took is not kept for forecasts"];
            let is_said = |line: &str| notes.iter().any(|note| line.contains(note));
            assert!(
                first.lines().all(|line| is_said(line) == line.contains("No space left on device")),
                "{first}"
            );
            compare(&project, &run, &kept);
        } else {
            stopped += 1;
            assert!(["9", "1"].contains(&codes[0]), "{pages} pages: {codes:?}\n{first}");
            assert!(first.contains("No space left on device"), "{pages} pages: it says why\n{first}");
            if kept.join("runs").join(&run).exists() {
                assert_eq!(codes[1], "0", "{pages} pages: {}", project.read("verified"));
                compare(&project, &run, &kept);
            }
        }
        assert_eq!(codes[2], "0", "{pages} pages: {codes:?}\n{first}\n---\n{}", printed(&answer));
        let side = log::read_side(&project.path("side.log")).expect("lines");
        let starts: std::collections::BTreeSet<_> =
            side.iter().map(|line| (&line.word, &line.shard, line.attempt)).collect();
        assert_eq!(starts.len(), side.len(), "{pages} pages: no attempt twice\n{side:?}");
    }
    assert!(stopped >= 3, "some of these disks are too small: {stopped}");
}

/// Who makes room needs none: `gc` works on a disk that takes no byte more, and says what is lost by that.
#[test]
fn old_runs_are_deleted_from_a_full_disk() {
    let project = Project::with_plan("version: 1\nname: small\nstages: {a: {run: 'true'}}\n");
    std::fs::create_dir(project.path("state")).expect("a folder");
    let script = "mount -t tmpfs -o size=1m tmpfs state
         for run in r1 r2; do \"$ENGINE\" run plan.yaml --state-dir state --run-id $run --no-input; done
         rm -r state/history; head -c 2000000 /dev/zero > state/fill || true
         \"$ENGINE\" gc --keep 0 --younger 1ms --state-dir state; ls state/runs >&2";
    let answer = in_namespace(&project, script).expect(0);
    assert!(answer.stdout.contains("deleted 2 runs"), "{}", printed(&answer));
    assert!(answer.stderr.contains("note: the disk is full"), "{}", printed(&answer));
    assert!(!answer.stderr.contains("r1\n"), "{}", printed(&answer));
}

/// A read-only state directory is found before anything runs, and named.
#[test]
fn a_read_only_state_directory_is_named_and_nothing_runs() {
    let project = project();
    std::fs::create_dir(project.path("state")).expect("a folder");
    let script = "mount -t tmpfs -o ro tmpfs state; exec \"$ENGINE\" run plan.yaml --state-dir state --no-input";
    let answer = in_namespace(&project, script).expect(9);
    assert!(
        answer.stderr.contains("Read-only file system") && answer.stderr.contains("state"),
        "{}",
        answer.stderr
    );
    assert!(!project.has("side.log"), "nothing runs");
    let empty = std::fs::read_dir(project.path("state")).expect("a folder").next().is_none();
    assert!(empty, "nothing was made");
}

/// A finished run on a disk that became read-only can still be looked at; a resume says what it cannot do.
#[test]
fn a_run_on_a_read_only_disk_can_be_read_and_not_resumed() {
    let project = project();
    project.write("step.sh", "exit 3\n");
    let run = format!("ro-{}", std::process::id());
    project.engine(&["run", "plan.yaml", "--run-id", &run, "--no-input"]).expect(1);
    let script = format!(
        "mount --bind .engine .engine; mount -o remount,bind,ro .engine
         \"$ENGINE\" status {run} >&2; \"$ENGINE\" verify {run} >&2; \"$ENGINE\" logs {run} >&2; \"$ENGINE\" runs >&2
         \"$ENGINE\" tickets list >&2
         exec \"$ENGINE\" resume {run} --no-input"
    );
    let answer = in_namespace(&project, &script).expect(9);
    assert!(answer.stderr.contains("Read-only file system"), "{}", answer.stderr);
}

/// The state directory is deleted under a live engine: it says so and ends, whatever it could still write.
#[test]
fn a_state_directory_that_is_deleted_under_a_live_engine_is_no_panic() {
    let project = Project::with_plan(
        "version: 1\nname: lost\nstages:\n  a: {run: [sh, -c, 'echo > begun; read -r _ < gate']}\n  b: {needs: [a], run: echo b}\n",
    );
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, project.path("gate"), mode).expect("a named pipe");
    let mut engine = Engine::start(&project, &["run", "plan.yaml", "--no-input"]);
    assert!(engine.watch(|| project.has("begun")).expect("it goes on"), "{}", engine.printed());
    std::fs::remove_dir_all(project.path(".engine")).expect("it is ours");
    watch::open_gate(&project.path("gate"));
    let code = engine.end().expect("it ends");
    let printed = engine.printed();
    assert!(!printed.contains("panicked"), "{printed}");
    assert_eq!(code, 9, "{printed}");
    assert!(printed.contains("it was deleted while the engine ran"), "{printed}");
    assert!(!printed.contains("success  a"), "what is recorded nowhere is not called done: {printed}");
}
