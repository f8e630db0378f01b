//! Verbs that change a run: `approve`, `reject`, `attest`, `resolve`, `cancel`, `pause`, `unpause`, `unlock`.
//!
//! A live engine finds the request in the run's inbox and records it. With no live engine the verb takes the
//! run's lock itself and records what a person said; nothing is started.

use std::cell::RefCell;
use std::sync::Arc;

use super::args::{AttestArgs, CancelArgs, DecideArgs, PauseArgs, ResolveArgs, ResolveAs, UnlockArgs};
use super::exit::Exit;
use super::fault::{Answer, Fault};
use super::settings::{self, Settings};
use super::{find, keys, print};
use crate::base::NodeIx;
use crate::driver::{desk, host, ports, record};
use crate::graph::Graph;
use crate::journal::inbox::{self, Request};
use crate::journal::locks::Locks;
use crate::journal::summary::RunState as Recorded;
use crate::journal::{self, RunDir, StateDir};
use crate::report::{hint, words};
use crate::run::RunState;
use crate::run::event::{Answered, CancelLevel, NodeState, Resolution, Vote};

/// How long a live engine may take to answer a request before we say that it is still waiting.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);
/// How often we look whether it did.
const BEAT: std::time::Duration = std::time::Duration::from_millis(20);

/// `engine approve`, `engine reject`
pub(super) fn decide(args: &DecideArgs, approved: bool, settings: &Settings) -> Answer {
    let state = find::state(settings)?;
    let (dir, stage) = asked(&state, &args.what)?;
    let (mut by, note, subject) = (settings::person(), args.message.clone(), args.plan.clone());
    let signed = if approved { args.sign_with.as_deref() } else { None };
    let request = if let Some(file) = signed {
        let vote = Vote { note, ..Vote::default() };
        let vote = sign(file, (&dir, &stage), vote)?;
        by.clone_from(&vote.by);
        Request::Attest { stage: stage.clone(), vote, subject: subject.clone() }
    } else if approved {
        Request::Approve { stage: stage.clone(), by: by.clone(), note, subject: subject.clone() }
    } else {
        Request::Reject { stage: stage.clone(), by: by.clone(), note, subject: subject.clone() }
    };
    let said = RefCell::new(format!("rejected `{stage}`"));
    let allowed = |graph: &Graph, state: &RunState| {
        let node = open(graph, state, &stage)?;
        about((dir.id().as_str(), &stage), subject.as_deref(), graph)?;
        if approved && !graph.nodes[node].rules.consent().items.is_empty() {
            let fault = Fault::new(Exit::Usage, format!("`{stage}` is a checklist: each item wants an answer"));
            return Err(fault.help(hint::attest(
                dir.id().as_str(),
                &stage,
                &graph.nodes[node].rules.consent().items,
            )));
        }
        if approved {
            state.may_agree(node, &by).map_err(refused)?;
            if signed.is_none() {
                state.is_proven(node, &Vote::default()).map_err(unsigned)?;
            }
            said.replace(format!("approved `{stage}`{}", so_far(state, node)));
        }
        Ok(())
    };
    send(&dir, &request, &allowed, args.json, &|| said.borrow().clone())?;
    Ok(Exit::Success)
}

/// `engine attest`
pub(super) fn attest(args: &AttestArgs, settings: &Settings) -> Answer {
    let state = find::state(settings)?;
    let (dir, stage) = asked(&state, &args.what)?;
    let by = settings::person();
    let read = find::read(dir.clone())?;
    let graph = Arc::clone(read.state().graph());
    let node = open(&graph, read.state(), &stage)?;
    let items = &graph.nodes[node].rules.consent().items;
    if items.is_empty() {
        let fault = Fault::new(Exit::Usage, format!("`{stage}` has no items: it wants a yes or a no"));
        return Err(fault.help(hint::approve(dir.id().as_str(), &stage)));
    }
    let answers = answers(&args.answers, items, &stage)?;
    let is_no = answers.iter().any(|answer| !answer.is_yes);
    let mut vote = Vote { by, note: args.message.clone(), answers, signature: None };
    if let Some(file) = &args.sign_with {
        vote = sign(file, (&dir, &stage), vote)?;
    }
    let (by, is_signed) = (vote.by.clone(), vote.signature.is_some());
    let request = Request::Attest { stage: stage.clone(), vote, subject: args.plan.clone() };
    let said = RefCell::new(String::new());
    let allowed = |graph: &Graph, state: &RunState| {
        let node = open(graph, state, &stage)?;
        about((dir.id().as_str(), &stage), args.plan.as_deref(), graph)?;
        state.may_agree(node, &by).map_err(refused)?;
        if !is_signed {
            state.is_proven(node, &Vote::default()).map_err(unsigned)?;
        }
        let so_far = if is_no { ": not all of it is so".to_owned() } else { so_far(state, node) };
        said.replace(format!("attested `{stage}`{so_far}"));
        Ok(())
    };
    send(&dir, &request, &allowed, args.json, &|| said.borrow().clone())?;
    Ok(Exit::Success)
}

/// The run and the stage that were named.
fn asked(state: &StateDir, what: &[String]) -> Result<(RunDir, String), Fault> {
    Ok(match what {
        [run, stage] => (find::run(state, run)?, stage.clone()),
        [stage] => (newest(state, |state| !state.is_over())?, stage.clone()),
        _ => unreachable!("clap takes one or two"),
    })
}

/// The stage, which must wait for a person.
fn open(graph: &Graph, state: &RunState, stage: &str) -> Result<NodeIx, Fault> {
    let node = find::stage(graph, stage)?;
    if state.open_approvals().any(|(open, _)| open == node) {
        return Ok(node);
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
}

/// What was decided about must be what the run goes by.
fn about((run, stage): (&str, &str), subject: Option<&str>, graph: &Graph) -> Result<(), Fault> {
    let Err(why) = desk::is_of(stage, subject, graph) else { return Ok(()) };
    Err(Fault::new(Exit::NeedsPerson, why)
        .help(format!("look at what it is now: {}", hint::status(run)))
        .help(format!("and at what it would do: {}", hint::command(&format!("plan --resume {run}")))))
}

/// Signs a yes: its name is the one by which the policy knows the key.
fn sign(file: &std::path::Path, (dir, stage): (&RunDir, &str), vote: Vote) -> Result<Vote, Fault> {
    let key = keys::read(file)?;
    let read = find::read(dir.clone())?;
    let graph = Arc::clone(read.state().graph());
    let node = open(&graph, read.state(), stage)?;
    let (signers, public) = (read.state().signers(node), key.public());
    if signers.is_empty() {
        let why = format!("`{stage}` asks for no signature: the policy of its environment names no keys");
        return Err(Fault::new(Exit::Usage, why).help("leave `--sign-with` and ENGINE_SIGN_WITH away"));
    }
    let Some((name, _)) = signers.iter().find(|(_, known)| *known == public) else {
        let names: Vec<String> = signers.iter().map(|(name, _)| format!("`{name}`")).collect();
        let why = format!("{public} is not among the keys that may agree to `{stage}`: {}", names.join(", "));
        return Err(Fault::new(Exit::NeedsPerson, why).help("the keys are those of `policy` when the run began"));
    };
    let vote = Vote { by: name.to_string(), ..vote };
    let signature = Some(key.sign(&vote.statement(dir.id().as_str(), stage, &graph.subject().to_string())));
    Ok(Vote { signature, ..vote })
}

/// A yes that proves nothing.
fn unsigned(why: String) -> Fault {
    Fault::new(Exit::NeedsPerson, why)
        .help("sign it: --sign-with FILE, with the key file that `engine keys new` made")
}

/// Somebody else has to.
fn refused(why: String) -> Fault {
    Fault::new(Exit::NeedsPerson, why).help("somebody else has to agree; ENGINE_ACTOR says who you are")
}

/// `: 1 of 2`, where more than one has to agree.
fn so_far(state: &RunState, node: NodeIx) -> String {
    match state.terms(node).min as usize {
        0 | 1 => String::new(),
        min => format!(": {} of {min}", (state.votes(node).len() + 1).min(min)),
    }
}

/// What was said of each item, in the order of the list.
fn answers(given: &[String], items: &[Box<str>], stage: &str) -> Result<Vec<Answered>, Fault> {
    let usage = |why: String| {
        let all: Vec<String> = items.iter().map(|item| format!("`{item}`")).collect();
        Fault::new(Exit::Usage, why).help(format!("the items of `{stage}`: {}", all.join(", ")))
    };
    let mut found: Vec<Answered> = Vec::new();
    for text in given {
        let (item, said) = text.split_once('=').ok_or_else(|| usage(format!("`{text}` is not ITEM=ANSWER")))?;
        let (word, words) = said.split_once([',', ':']).unwrap_or((said, ""));
        let is_yes = match word.trim() {
            "yes" | "y" => true,
            "no" | "n" => false,
            _ => return Err(usage(format!("`{said}` is no answer: write `{item}=yes` or `{item}='no, WHY'`"))),
        };
        if !items.iter().any(|known| **known == *item) {
            return Err(usage(format!("`{stage}` has no item `{item}`")));
        }
        if found.iter().any(|known| known.item == item) {
            return Err(usage(format!("`{item}` is answered twice")));
        }
        found.push(Answered { item: item.to_owned(), is_yes, words: words.trim().to_owned() });
    }
    let find = |item: &str| found.iter().find(|answer| *answer.item == *item).cloned();
    let lost: Vec<String> =
        items.iter().filter(|item| find(item.as_ref()).is_none()).map(|item| format!("`{item}`")).collect();
    if !lost.is_empty() {
        return Err(usage(format!("without an answer: {}", lost.join(", "))));
    }
    Ok(items.iter().filter_map(|item| find(item)).collect())
}

/// `engine resolve`
pub(super) fn resolve(args: &ResolveArgs, settings: &Settings) -> Answer {
    let state = find::state(settings)?;
    let (dir, stage) = asked(&state, &args.what)?;
    let resolution = match args.outcome {
        ResolveAs::Success => Resolution::Success,
        ResolveAs::Failed => Resolution::Failed,
        ResolveAs::Rerun => Resolution::Rerun,
    };
    let request =
        Request::Resolve { stage: stage.clone(), resolution, by: settings::person(), note: args.message.clone() };
    let is_asked_again = std::cell::Cell::new(false);
    let allowed = |graph: &Graph, state: &RunState| {
        let node = find::stage(graph, &stage)?;
        match state.state(node) {
            NodeState::Unknown => match state.resolution(node) {
                None => Ok(()),
                Some(said) => Err(said_already(&stage, said, &dir)),
            },
            NodeState::Waiting if resolution == Resolution::Rerun && state.may_ask_again(node) => {
                is_asked_again.set(true);
                Ok(())
            }
            NodeState::Waiting if state.may_ask_again(node) => {
                let fault =
                    Fault::new(Exit::NotFound, format!("`{stage}` is held: it has a verdict, which stands"));
                let run = dir.id().as_str();
                let (yes, no) = (hint::approve(run, &stage), hint::reject(run, &stage));
                Err(fault.help(format!("let it pass: {yes}; refuse it: {no}; {}", hint::ask_again(run, &stage))))
            }
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
    send(&dir, &request, &allowed, args.json, &|| {
        if is_asked_again.get() { format!("`{stage}` asks again") } else { format!("resolved `{stage}`") }
    })?;
    Ok(Exit::Success)
}

/// A person's word about an unknown outcome stands.
fn said_already(stage: &str, said: Resolution, dir: &RunDir) -> Fault {
    let why = format!("`{stage}` is resolved already: as {}, in effect once resumed", words::resolution(said));
    Fault::new(Exit::NotFound, why).help(find::how_to_resume(dir.id()))
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
    let is_live = journal::is_live(&dir)?;
    let allowed = |_: &Graph, state: &RunState| match state.verdict() {
        None if state.in_background() && !is_live => {
            let fault = Fault::new(
                Exit::NotFound,
                format!("the verdict of run {} is given, and no engine works on it", dir.id()),
            );
            Err(fault.help(format!("do what is left of its background: {}", hint::drain(dir.id().as_str()))))
        }
        None if !state.has_begun() => Err(Fault::new(Exit::NotFound, format!("run {} never began", dir.id()))),
        None => Ok(()),
        Some(_) => Err(Fault::new(Exit::NotFound, format!("run {} has ended already", dir.id()))),
    };
    let told = send(&dir, &request, &allowed, args.json, &|| format!("cancelled run {}", dir.id()))?;
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
        let done = format!("run {run} is {}", if on { "paused already" } else { "not paused" });
        let is_live = journal::is_live(&dir)?;
        say(&dir, is_live, args.json, &done);
        return Ok(Exit::Success);
    }
    let told = send(&dir, &request, &allowed, args.json, &|| format!("{verb} run {run}"))?;
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
            .help(format!("end it first: {}", hint::command(&format!("cancel {}", held.run)))));
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
    Err(Fault::new(Exit::NotFound, "no unfinished run").help(format!("list runs: {}", hint::command("runs"))))
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
    done: &dyn Fn() -> String,
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
        let input = desk::read(request, read.state()).map_err(|why| Fault::new(Exit::NotFound, why))?;
        match record::alone(dir.clone(), input) {
            Ok(()) => break Told::Recorded,
            // An engine took the run up in this instant.
            Err(host::Error::Journal(journal::Error::Owned { .. })) => {}
            Err(error) => return Err(error.into()),
        }
    };
    let is_live = told == Told::Engine;
    say(dir, is_live, json, &done());
    if !json && !is_live && !matches!(request, Request::Cancel { .. }) {
        let is_queued = matches!(request, Request::Requeue { .. });
        let how = if is_queued { hint::drain } else { hint::resume };
        print::line(&format!("go on with: {}", how(dir.id().as_str())));
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
