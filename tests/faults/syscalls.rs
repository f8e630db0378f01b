//! A small run whose front or worker is killed at each system call that writes or spawns, and one whose calls fail with
//! EIO and ENOSPC. Afterwards the run is resumed to its end and everything must be as if nothing had happened.
//!
//! A sample of 100 points ([`SAMPLE`]), spread evenly, by default; every one with `ENGINE_LONG=1`.

use std::collections::BTreeSet;
use std::io::Write as _;

use engine::journal::{RunDir, StateDir};

use crate::log;
use crate::strace::{self, Ended, Fate, Point};
use crate::support::Project;

/// Points in a default run, of the series that kills and of each of the two that fail.
const SAMPLE: (usize, usize) = (50, 25);

/// One stage with an output, one that must not be repeated, one that needs both; and two that need nothing, one of
/// which starts in the place of another and so before its record is durable.
const PLAN: &str = "version: 1
name: traced
max-parallel: 2
stages:
  first:
    run: [sh, step.sh, output]
    outputs: {x: string}
  effect:
    needs: [first]
    idempotent: false
    run: [sh, step.sh, effect]
    done-if: {run: [test, -s, effect]}
  beside: {run: [sh, step.sh]}
  beyond: {run: [sh, step.sh]}
  last:
    needs: [first, effect]
    env: {GOT: \"{{ needs.first.outputs.x }}\"}
    run: |
      test \"$GOT\" = 7
      sh step.sh
";

const STEP: &str = r#"log() { echo "$1 $ENGINE_STAGE.$ENGINE_SHARD $ENGINE_ATTEMPT $$" >> side.log; }
log start
echo "working on $ENGINE_STAGE"
case ${1-} in
  output) echo x=7 >> "$ENGINE_OUTPUT" ;;
  effect) echo x >> effect ;;
esac
log end
"#;

struct Traced {
    project: Project,
    run: String,
}

impl Traced {
    fn new() -> Self {
        let project = Project::with_plan(PLAN);
        project.write("step.sh", STEP);
        // The same id in every project: files have the same names, and the folder tells the runs apart.
        Self { project, run: format!("traced-{}", std::process::id()) }
    }

    fn engine(&self, inject: Option<(&Point, Fate)>) -> Ended {
        let args = ["run", "plan.yaml", "--run-id", &self.run, "--no-input", "--output", "plain"];
        strace::run(&self.project, &args, inject)
    }

    fn dir(&self) -> Option<RunDir> {
        let state = StateDir::open(self.project.path(".engine")).expect("a state directory, or none");
        state.run(&engine::base::RunId::parse(&self.run).expect("an id")).ok()
    }

    /// What the engine did is recorded, and nothing was called done that is not.
    fn compare(&self, ended: &Ended) -> Result<BTreeSet<String>, String> {
        let lines = log::read_side(&self.project.path("side.log"))?;
        let Some(dir) = self.dir() else {
            return if lines.is_empty() {
                Ok(BTreeSet::new())
            } else {
                Err("stages ran without a run".to_owned())
            };
        };
        let verified = self.project.engine(&["verify", &self.run]);
        if verified.status != 0 {
            return Err(format!("verify ended with {}: {}{}", verified.status, verified.stdout, verified.stderr));
        }
        let recorded = log::read_journal(&dir)?;
        for line in lines.iter().filter(|line| is_forgotten(line, &recorded)) {
            if line.attempt > 1 || !MAY_BE_FORGOTTEN.contains(&&*line.shard) {
                return Err(format!("attempt {} of `{}` ran and is not in the journal", line.attempt, line.shard));
            }
        }
        for stage in ended.stdout.lines().filter_map(|line| line.trim().strip_prefix("success  ")) {
            let stage = stage.split_whitespace().next().unwrap_or_default();
            let is_over = stage == "run" && recorded.verdict.is_some();
            if !is_over && !recorded.done.contains(&format!("{stage}.0")) {
                return Err(format!("`{stage}` was called a success and is not recorded"));
            }
        }
        for shard in &recorded.done {
            if !lines.iter().any(|line| line.word == "end" && line.shard == *shard) {
                return Err(format!("`{shard}` is recorded as done and has not ended"));
            }
        }
        Ok(recorded.done)
    }

    /// Resumes the run, and asks whether everything was done once.
    fn finish(&self, done: &BTreeSet<String>) -> Result<(), String> {
        let before = log::read_side(&self.project.path("side.log"))?;
        let recorded = self.dir().map_or_else(|| Ok(log::Recorded::default()), |dir| log::read_journal(&dir))?;
        let forgotten: BTreeSet<u32> =
            before.iter().filter(|line| is_forgotten(line, &recorded)).map(|line| line.pid).collect();
        let before = before.len();
        let answer = if self.dir().is_some() {
            self.project.engine(&["resume", &self.run, "--no-input"])
        } else {
            self.project.engine(&["run", "plan.yaml", "--run-id", &self.run, "--no-input"])
        };
        if answer.status != 0 {
            return Err(format!("the resume ended with {}: {}{}", answer.status, answer.stdout, answer.stderr));
        }
        let lines = log::read_side(&self.project.path("side.log"))?;
        if let Some(line) = lines[before..].iter().find(|line| line.word == "start" && done.contains(&line.shard))
        {
            return Err(format!("`{}` was done and was started again", line.shard));
        }
        let mut starts = BTreeSet::new();
        for line in lines.iter().filter(|line| line.word == "start" && !forgotten.contains(&line.pid)) {
            if !starts.insert((&line.shard, line.attempt)) {
                return Err(format!("attempt {} of `{}` started twice", line.attempt, line.shard));
            }
        }
        for stage in ["first.0", "effect.0", "beside.0", "beyond.0", "last.0"] {
            if !lines.iter().any(|line| line.word == "end" && line.shard == stage) {
                return Err(format!("`{stage}` did not end"));
            }
        }
        let effect = self.project.read("effect");
        if effect == "x\n" { Ok(()) } else { Err(format!("the effect is {effect:?}")) }
    }
}

/// Stages that need nothing and may be repeated: a crash may forget that their first attempt ran (ADR 0008).
const MAY_BE_FORGOTTEN: [&str; 3] = ["first.0", "beside.0", "beyond.0"];

fn is_forgotten(line: &log::Line, recorded: &log::Recorded) -> bool {
    line.word == "start" && !recorded.ordered.contains(&(line.shard.clone(), line.attempt))
}

/// All points, or a sample of them spread evenly.
fn chosen(fate: Fate, sample: usize) -> Vec<Point> {
    let calm = Traced::new();
    let ended = calm.engine(None);
    assert_eq!(ended.code, 0, "ptrace works and the plan succeeds: {ended:?}");
    let all = strace::points(&ended.trace, &calm.project);
    assert!(all.len() > 60, "the trace shows what the engine does: {all:?}");
    // Writes without a file are wake-ups between threads, which no disk can fail.
    let can_be = |point: &Point| fate == Fate::Kill || point.call != "write" || point.path.is_some();
    let all: Vec<Point> = all.into_iter().filter(can_be).collect();
    if std::env::var_os("ENGINE_LONG").is_some() {
        return all;
    }
    let count = all.len();
    (0..sample).map(|at| all[at * count / sample].clone()).collect()
}

/// Tries `fate` at all points; `judge` says whether the engine's end is right.
fn series(name: &str, fate: Fate, judge: fn(&Point, &Ended) -> Result<(), String>) {
    let points = chosen(fate, if fate == Fate::Kill { SAMPLE.0 } else { SAMPLE.1 });
    let (mut faults, mut hits) = (Vec::new(), 0);
    for point in &points {
        let traced = Traced::new();
        let ended = traced.engine(Some((point, fate)));
        hits += usize::from(ended.code == 137 || ended.trace.contains("INJECTED"));
        let result =
            judge(point, &ended).and_then(|()| traced.compare(&ended)).and_then(|done| traced.finish(&done));
        if let Err(why) = result {
            faults.push(format!(
                "{point:?} {fate:?}: {why}\n  code {}\n{}{}",
                ended.code, ended.stdout, ended.stderr
            ));
        }
    }
    let line = format!("{name}: {} points, {hits} met", points.len());
    writeln!(std::io::stderr(), "{line}").expect("somebody reads");
    assert!(faults.is_empty(), "{line}, {} faults\n{}", faults.len(), faults.join("\n"));
    assert!(hits * 10 >= points.len() * 8, "most points are met: {line}");
}

#[test]
fn killed_at_any_system_call_a_run_goes_on_as_if_nothing_had_happened() {
    series("kill", Fate::Kill, |_, ended| match ended.code {
        // A point behind the end, when this run did with fewer calls than the first one.
        137 | 0 => Ok(()),
        code => Err(format!("it ended with {code}")),
    });
}

/// An engine that meets a fault says so, or can do without.
fn judge_error(point: &Point, ended: &Ended) -> Result<(), String> {
    let says = ["Input/output error", "No space left on device"]
        .iter()
        .any(|why| ended.stderr.contains(why) || ended.stdout.contains(why));
    match ended.code {
        0 => Ok(()),
        // The journal, or what is needed before anything runs: 9. One stage that could not be started, or whose
        // result could not be read, and its failure says why: 1.
        9 | 1 if says => Ok(()),
        // Not even the plan could be read.
        3 if says && point.call == "openat" && !ended.stdout.contains("run ") => Ok(()),
        code => Err(format!("it ended with {code}{}", if says { "" } else { " and does not say why" })),
    }
}

#[test]
fn a_call_that_fails_with_eio_stops_the_engine_or_is_done_without() {
    series("eio", Fate::Error("EIO"), judge_error);
}

#[test]
fn a_call_that_fails_with_enospc_stops_the_engine_or_is_done_without() {
    series("enospc", Fate::Error("ENOSPC"), judge_error);
}
