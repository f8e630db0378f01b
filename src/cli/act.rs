//! Verbs that change a run: `approve`, `reject`, `resolve`, `cancel`, `pause`, `unpause`, `unlock`.
//!
//! A live engine finds the request in the run's inbox and records it. With no live engine the verb takes the
//! run's lock itself and records what a person said; nothing is started.

use std::sync::Arc;

use super::args::{CancelArgs, DecideArgs, PauseArgs, ResolveArgs, ResolveAs, UnlockArgs};
use super::exit::Exit;
use super::fault::{Answer, Fault};
use super::settings::{self, Settings};
use super::{find, print};
use crate::driver::{desk, host, ports, record};
use crate::graph::Graph;
use crate::journal::inbox::{self, Request};
use crate::journal::locks::Locks;
use crate::journal::summary::RunState as Recorded;
use crate::journal::{self, RunDir, StateDir};
use crate::report::hint;
use crate::run::RunState;
use crate::run::event::{CancelLevel, NodeState, Resolution};

/// How long a live engine may take to answer a request before we say that it is still waiting.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);
/// How often we look whether it did.
const BEAT: std::time::Duration = std::time::Duration::from_millis(20);

/// `engine approve`, `engine reject`
pub(super) fn decide(args: &DecideArgs, approved: bool, settings: &Settings) -> Answer {
    let state = find::state(settings)?;
    let (dir, stage) = match args.what.as_slice() {
        [run, stage] => (find::run(&state, run)?, stage.clone()),
        [stage] => (newest(&state, |state| !state.is_over())?, stage.clone()),
        _ => unreachable!("clap takes one or two"),
    };
    let (by, note) = (settings::person(), args.message.clone());
    let request = if approved {
        Request::Approve { stage: stage.clone(), by, note }
    } else {
        Request::Reject { stage: stage.clone(), by, note }
    };
    let allowed = |graph: &Graph, state: &RunState| {
        let node = find::stage(graph, &stage)?;
        if state.open_approvals().any(|(open, _)| open == node) {
            return Ok(());
        }
        let word = match state.state(node) {
            NodeState::Waiting => "decided already",
            other => other.word(),
        };
        let mut fault = Fault::new(Exit::NotFound, format!("`{stage}` does not wait for approval: it is {word}"));
        for (open, _) in state.open_approvals() {
            fault = fault.help(format!("`{}` waits for one", graph.nodes[open].id));
        }
        Err(fault)
    };
    let verb = if approved { "approved" } else { "rejected" };
    send(&dir, &request, &allowed, args.json, &format!("{verb} `{stage}`"))?;
    Ok(Exit::Success)
}

/// `engine resolve`
pub(super) fn resolve(args: &ResolveArgs, settings: &Settings) -> Answer {
    let state = find::state(settings)?;
    let dir = find::run(&state, &args.run)?;
    let stage = args.stage.clone();
    let resolution = match args.outcome {
        ResolveAs::Success => Resolution::Success,
        ResolveAs::Failed => Resolution::Failed,
        ResolveAs::Rerun => Resolution::Rerun,
    };
    let request =
        Request::Resolve { stage: stage.clone(), resolution, by: settings::person(), note: args.message.clone() };
    let allowed = |graph: &Graph, state: &RunState| {
        let node = find::stage(graph, &stage)?;
        match state.state(node) {
            NodeState::Unknown => Ok(()),
            other => {
                let why = format!("the outcome of `{stage}` is not unknown: it is {}", other.word());
                let fault = Fault::new(Exit::NotFound, why);
                let is_under_way = matches!(other, NodeState::Running | NodeState::Retrying);
                Err(if is_under_way {
                    fault.help(format!(
                        "if its engine died, let another one look first: {}",
                        find::how_to_resume(dir.id())
                    ))
                } else {
                    fault
                })
            }
        }
    };
    send(&dir, &request, &allowed, args.json, &format!("resolved `{stage}`"))?;
    Ok(Exit::Success)
}

/// `engine cancel`
pub(super) fn cancel(args: &CancelArgs, settings: &Settings) -> Answer {
    let state = find::state(settings)?;
    let dir = match &args.run {
        Some(id) => find::run(&state, id)?,
        None => newest(&state, |state| !state.is_over())
            .or_else(|_| newest(&state, |state| state == Recorded::Failed))?,
    };
    if let Some(freed) = if args.rollback { None } else { give_up(&state, &dir)? } {
        let done = format!("run {} had ended; freed its lock {}", dir.id(), freed.join(", "));
        if args.json {
            print::json(&serde_json::json!({"version": 1, "run": dir.id().as_str(), "live": false, "done": done}));
        } else {
            print::line(&done);
        }
        return Ok(Exit::Success);
    }
    if args.rollback {
        return super::rollback::undo(&dir, &super::rollback::plainly(), args.json, settings);
    }
    let level = if args.now { CancelLevel::Kill } else { CancelLevel::Stop };
    let request = Request::Cancel { level, by: settings::person() };
    let allowed = |_: &Graph, state: &RunState| match state.verdict() {
        None => Ok(()),
        Some(_) => Err(Fault::new(Exit::NotFound, format!("run {} has ended already", dir.id()))),
    };
    let told = send(&dir, &request, &allowed, args.json, &format!("cancelled run {}", dir.id()))?;
    if told == Told::Recorded {
        Locks::new(&state).free_all(dir.id())?;
    }
    Ok(Exit::Success)
}

/// `engine pause`, `engine unpause`
pub(super) fn pause(args: &PauseArgs, on: bool, settings: &Settings) -> Answer {
    let state = find::state(settings)?;
    let dir = match &args.run {
        Some(id) => find::run(&state, id)?,
        None => newest(&state, |state| !state.is_over())?,
    };
    let run = dir.id().clone();
    let by = settings::person();
    let request = if on { Request::Pause { by } } else { Request::Unpause { by } };
    let is_so = std::cell::Cell::new(false);
    let allowed = |_: &Graph, state: &RunState| {
        let refuse = |why: &str| Err(Fault::new(Exit::NotFound, format!("run {run} {why}")));
        is_so.set(state.is_paused() == on);
        match state.verdict() {
            Some(_) => refuse("has ended already"),
            None if !state.has_begun() => refuse("never began"),
            None => Ok(()),
        }
    };
    let verb = if on { "paused" } else { "unpaused" };
    let read = find::read(dir.clone())?;
    allowed(read.core(None).state().graph(), read.core(None).state())?;
    if is_so.get() {
        let done = format!("run {run} is {} already", if on { "paused" } else { "not paused" });
        let is_live = journal::is_live(&dir)?;
        say(&dir, is_live, args.json, &done);
        return Ok(Exit::Success);
    }
    let told = send(&dir, &request, &allowed, args.json, &format!("{verb} run {run}"))?;
    if on && told == Told::Engine && !args.json {
        print::line("what runs goes on, nothing new starts");
        print::line(&format!("let it go on: {}", hint::unpause(run.as_str())));
    }
    Ok(Exit::Success)
}

/// Frees what a failed run still holds so that it can be resumed; none when it has not ended, or holds nothing.
fn give_up(state: &StateDir, dir: &RunDir) -> Result<Option<Vec<String>>, Fault> {
    if journal::is_live(dir)? || find::read(dir.clone())?.state().verdict().is_none() {
        return Ok(None);
    }
    let freed = Locks::new(state).free_all(dir.id())?;
    let freed: Vec<String> = freed.iter().map(|name| format!("`{name}`")).collect();
    Ok((!freed.is_empty()).then_some(freed))
}

/// `engine unlock`
pub(super) fn unlock(args: &UnlockArgs, settings: &Settings) -> Answer {
    let state = find::state(settings)?;
    let locks = Locks::new(&state);
    let person = settings::person();
    if let Some(held) = locks.holder(&args.name)?
        && let Ok(dir) = state.run(&held.run)
        && journal::is_live(&dir)?
    {
        return Err(Fault::new(Exit::Busy, format!("run {} holds lock `{}` and is alive", held.run, args.name))
            .help(format!("end it first: engine cancel {}", held.run)));
    }
    match locks.break_open(&args.name, (&person, &args.reason), ports::wall_ms())? {
        Some(held) if args.json => {
            print::json(&serde_json::json!({"version": 1, "lock": args.name, "run": held.run.as_str()}));
        }
        Some(held) => print::line(&format!("freed lock `{}`, which run {} held", args.name, held.run)),
        None => {
            let fault = Fault::new(Exit::NotFound, format!("nobody holds a lock `{}`", args.name));
            let names: Vec<String> = locks.list()?.into_iter().map(|held| format!("`{}`", held.name)).collect();
            return Err(if names.is_empty() { fault } else { fault.help(format!("held: {}", names.join(", "))) });
        }
    }
    Ok(Exit::Success)
}

/// The newest run, alive or not, that stands as `is_meant` says. One whose record cannot be read can be named; it
/// does not stand in the way of the others.
pub(super) fn newest(state: &StateDir, is_meant: impl Fn(Recorded) -> bool) -> Result<RunDir, Fault> {
    for entry in state.runs()? {
        match journal::summary::of(&entry.dir) {
            Ok(summary) if summary.run.is_some() && is_meant(summary.state) => return Ok(entry.dir),
            Ok(_) => {}
            Err(error) => print::note(&format!("note: run {} is passed over: {error}", entry.dir.id())),
        }
    }
    Err(Fault::new(Exit::NotFound, "no unfinished run").help("list runs: engine runs"))
}

/// Who took a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Told {
    /// The engine that works on the run.
    Engine,
    /// Nobody worked on it: we recorded it ourselves.
    Recorded,
}

/// Puts a request to the live engine, or records it ourselves.
pub(super) fn send(
    dir: &RunDir,
    request: &Request,
    allowed: &dyn Fn(&Graph, &RunState) -> Result<(), Fault>,
    json: bool,
    done: &str,
) -> Result<Told, Fault> {
    let told = loop {
        let read = find::read(dir.clone())?;
        let graph = Arc::clone(read.state().graph());
        allowed(&graph, read.state())?;
        if journal::is_live(dir)? {
            if ask(dir, request)? {
                break Told::Engine;
            }
            continue;
        }
        let input = desk::read(request, &graph).map_err(|why| Fault::new(Exit::NotFound, why))?;
        match record::alone(dir.clone(), vec![input]) {
            Ok(()) => break Told::Recorded,
            // An engine took the run up in this instant.
            Err(host::Error::Journal(journal::Error::Owned { .. })) => {}
            Err(error) => return Err(error.into()),
        }
    };
    let is_live = told == Told::Engine;
    say(dir, is_live, json, done);
    if !json && !is_live && !matches!(request, Request::Cancel { .. }) {
        print::line(&format!("go on with: {}", hint::resume(dir.id().as_str())));
    }
    Ok(told)
}

/// Says what was done.
fn say(dir: &RunDir, is_live: bool, json: bool, done: &str) {
    if json {
        print::json(&serde_json::json!({"version": 1, "run": dir.id().as_str(), "live": is_live, "done": done}));
    } else {
        print::line(done);
    }
}

/// Puts a request into the inbox and waits until the engine has taken it; false when the engine ended first
/// and the request was taken back.
fn ask(dir: &RunDir, request: &Request) -> Result<bool, Fault> {
    let id = inbox::put(dir, ports::wall_ms(), request)?;
    let clock = ports::Clock::begin();
    while inbox::is_waiting(dir, &id) {
        if !journal::is_live(dir)? {
            return Ok(!inbox::withdraw(dir, &id)?);
        }
        if clock.now().since(crate::base::Millis::ZERO).duration() > PATIENCE {
            print::note("note: the engine has not taken the request yet; it stays in the run's inbox");
            break;
        }
        ports::pause(BEAT);
    }
    Ok(true)
}
