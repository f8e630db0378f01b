//! `engine rollback`: undo what a run has done, or go back to a good run.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::args::{Output, ResumeArgs, RollbackArgs, ShowArgs};
use super::exit::Exit;
use super::fault::{Answer, Fault};
use super::forecast::{ItemsPast, Past};
use super::observers::Wanted;
use super::run::Launch;
use super::settings::{self, Settings};
use super::{act, find, print, resume, run};
use crate::driver::begin::Recorded;
use crate::driver::guarded::Guarded;
use crate::driver::ports;
use crate::exec::hearing;
use crate::graph::Graph;
use crate::journal::inbox::Request;
use crate::journal::summary::{self, RunState as Standing, Summary};
use crate::journal::{self, RunDir, StateDir};
use crate::report::hint;
use crate::run::RunState;

/// Points that are listed.
const MAX_POINTS: usize = 50;

/// Whether it starts processes of stages in this process.
pub(super) fn is_guarded(args: &RollbackArgs) -> bool {
    !args.list && args.drill.is_none()
}

/// `engine rollback`
pub(super) fn run(args: &RollbackArgs, settings: &Settings) -> Answer {
    if let Some(plan) = &args.drill {
        return drill(plan, args, settings);
    }
    let state = find::state(settings)?;
    if args.list {
        return list(&state, args.json);
    }
    if let Some(point) = &args.to {
        return go_back(&state, point, &args.show, settings);
    }
    let dir = match &args.run {
        Some(id) => find::run(&state, id)?,
        None => act::newest(&state, |_| true)?,
    };
    undo(&dir, &args.show, false, settings)
}

/// How a run is shown when nobody says.
pub(super) const fn plainly() -> ShowArgs {
    ShowArgs { output: Output::Auto, report: Vec::new(), events: None, no_input: false, yes: false }
}

/// Undoes a run: asks the engine that works on it, or does it here.
pub(super) fn undo(dir: &RunDir, show: &ShowArgs, json: bool, settings: &Settings) -> Answer {
    let run = dir.id().clone();
    if journal::is_live(dir)? {
        let request = Request::Rollback { by: settings::person() };
        let allowed = |_: &Graph, state: &RunState| match state.verdict() {
            _ if state.is_undoing() => Err(Fault::new(Exit::NotFound, format!("run {run} is being rolled back"))),
            None if state.in_background() => {
                Err(Fault::new(Exit::NotFound, format!("the verdict of run {run} is given"))
                    .help(format!("when its background has ended: {}", hint::rollback(run.as_str()))))
            }
            None if state.in_finally() => {
                let fault = Fault::new(Exit::NotFound, format!("run {run} is cleaning up"));
                Err(fault.help(format!("when it has ended: {}", hint::rollback(run.as_str()))))
            }
            None => Ok(()),
            Some(_) => Err(Fault::new(Exit::NotFound, format!("run {run} has ended already"))),
        };
        act::send(dir, &request, &allowed, json, &|| format!("run {run} is stopped and rolled back"))?;
        return Ok(Exit::Success);
    }
    if summary::of(dir)?.state == Standing::RolledBack {
        print::line(&format!("nothing to undo: run {run} was rolled back already"));
        return Ok(Exit::Success);
    }
    let args = ResumeArgs {
        run: Some(run.to_string()),
        show: show.clone(),
        jobs: None,
        time_box: None,
        rerun: Vec::new(),
        accept_changes: false,
        recorded: true,
        no_wait: false,
        unpause: false,
        undo: true,
        drains: false,
        break_glass: None,
    };
    let guarded = Guarded::attach()?;
    let exit = resume::go_on(&args, settings, (guarded, Wanted::of(show)?), None)?;
    // Whoever orders a rollback and gets it has what was ordered.
    let is_done = exit == Exit::Failed && summary::of(dir)?.state == Standing::RolledBack;
    Ok(if is_done { Exit::Success } else { exit })
}

/// The runs that can be gone back to.
fn list(state: &StateDir, json: bool) -> Answer {
    let mut points = Vec::new();
    for entry in state.runs()? {
        match summary::of(&entry.dir) {
            Ok(summary) if summary.state == Standing::Success => points.push((entry, summary)),
            Ok(_) => {}
            Err(error) => print::note(&format!("note: run {} is passed over: {error}", entry.dir.id())),
        }
        if points.len() == MAX_POINTS {
            break;
        }
    }
    if json {
        let points: Vec<Value> = points.iter().map(|(entry, summary)| as_json(&entry.dir, summary)).collect();
        print::json(&json!({"version": 1, "points": points}));
        return Ok(Exit::Success);
    }
    if points.is_empty() {
        print::line("no rollback point yet: a run that ends with success is one");
        return Ok(Exit::Success);
    }
    let rows = points.iter().map(|(entry, summary)| {
        let inputs = inputs(&entry.dir).into_iter().map(|(name, value)| format!("{name}={value}"));
        let ended = crate::report::words::local(
            summary.wall_ms,
            crate::base::Millis::ZERO + summary.took,
            &jiff::tz::TimeZone::system(),
        );
        [entry.dir.id().to_string(), summary.path.clone(), ended, inputs.collect::<Vec<_>>().join(" ")]
    });
    let rows: Vec<[String; 4]> = rows.collect();
    let wide = |at: usize| rows.iter().map(|row| row[at].len()).max().unwrap_or(0);
    let (first, second, third) = (wide(0), wide(1), wide(2));
    for [point, path, ended, inputs] in &rows {
        let line = format!("{point:first$}  {path:second$}  {ended:third$}  {inputs}");
        print::line(line.trim_end());
    }
    print::line(&format!("go back to one: {}", hint::command("rollback --to POINT")));
    Ok(Exit::Success)
}

fn as_json(dir: &RunDir, summary: &Summary) -> Value {
    let inputs: serde_json::Map<String, Value> =
        inputs(dir).into_iter().map(|(name, value)| (name, value.into())).collect();
    json!({
        "run": dir.id().as_str(),
        "plan": summary.plan,
        "path": summary.path,
        "key": summary.key,
        "by": summary.by,
        "inputs": inputs,
        "started_ms": summary.wall_ms,
        "took_ms": summary.took.ms(),
    })
}

/// The inputs that a run was given, as text.
fn inputs(dir: &RunDir) -> Vec<(String, String)> {
    let options = crate::driver::compile::recorded_options(dir);
    let text = |input: &crate::driver::compile::Input| match (&input.text, &input.value) {
        (Some(text), _) | (None, Some(Value::String(text))) => text.clone(),
        (None, value) => value.clone().unwrap_or_default().to_string(),
    };
    options.inputs.iter().map(|input| (input.name.clone(), text(input))).collect()
}

/// Runs the recorded plan of a good run again.
fn go_back(state: &StateDir, point: &str, show: &ShowArgs, settings: &Settings) -> Answer {
    let guarded = Guarded::attach()?;
    let wanted = Wanted::of(show)?;
    let dir = find::run(state, point)?;
    let id = dir.id().clone();
    let recorded = Recorded::read(dir.clone())?;
    // What is left of its background is no part of what it can be taken back to.
    if journal::is_live(&dir)? || summary::of(&dir)?.state != Standing::Success {
        return Err(Fault::new(Exit::NotFound, format!("run {id} is no rollback point: it did not end well"))
            .help(format!("list them: {}", hint::command("rollback --list"))));
    }
    recorded.verify_plan()?;
    let key = journal::began(&dir).and_then(|began| began.key);
    let past = recorded.path().map(|path| Past::of(state, path)).unwrap_or_default();
    let compiled = recorded.compile_back(&past.expected())?;
    let launch = Launch { run_id: None, key, seed: None, show, time_box: None, break_glass: None, no_wait: false };
    run::launch((&compiled, ItemsPast::default()), &launch, (guarded, wanted), settings)
}

/// Deploy, roll back, verify, deploy again: each a run of its own by this very program.
fn drill(plan: &Path, args: &RollbackArgs, settings: &Settings) -> Answer {
    let run = ports::new_run_id(ports::wall_ms());
    let again = crate::base::RunId::parse(&format!("{run}-again")).unwrap_or_else(|| run.clone());
    let mut given = Vec::new();
    args.inputs.set.iter().for_each(|set| given.extend(["--set".to_owned(), set.clone()]));
    args.inputs.inputs.iter().for_each(|file| given.extend(["--inputs".to_owned(), file.display().to_string()]));
    let plan = plan.display().to_string();
    let deploy = |id: &crate::base::RunId| {
        let mut words = vec!["run".to_owned(), plan.clone(), "--run-id".to_owned(), id.to_string()];
        words.extend(given.iter().cloned());
        words
    };
    let mut steps = vec![("deploy", deploy(&run)), ("roll back", vec!["rollback".to_owned(), run.to_string()])];
    if let Some(verify) = &args.verify {
        steps.push(("verify", vec!["run".to_owned(), verify.display().to_string()]));
    }
    steps.push(("deploy again", deploy(&again)));
    let count = steps.len();
    for (at, (name, words)) in steps.into_iter().enumerate() {
        print::line(&format!("drill {}/{count}: {name}", at + 1));
        let code = spawn(words, settings)?;
        if code != 0 {
            print::line(&format!("drill failed: {name} ended with {code}"));
            return Ok(if code == i32::from(Exit::RollbackFailed.code()) {
                Exit::RollbackFailed
            } else {
                Exit::Failed
            });
        }
    }
    print::line(&format!("drill passed: run {run} was rolled back, and run {again} deployed it again"));
    Ok(Exit::Success)
}

/// Runs this program with `words`, on the same runs, and waits for its exit code.
pub(super) fn spawn(mut words: Vec<String>, settings: &Settings) -> Result<i32, Fault> {
    if let Some(dir) = &settings.elsewhere {
        words.push(format!("--state-dir={}", dir.display()));
    }
    let failed =
        |error: std::io::Error| Fault::new(Exit::Environment, format!("the engine cannot start itself: {error}"));
    let this = std::env::current_exe().map_err(failed)?;
    let status =
        hearing::spawn(Command::new(this).args(words)).and_then(|mut child| child.wait()).map_err(failed)?;
    Ok(status.code().unwrap_or_else(|| i32::from(Exit::Interrupted.code())))
}
