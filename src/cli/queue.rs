//! `engine queue list|drain|retry`: background work of all runs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::args::{QueueArgs, QueueDrainArgs, QueueListArgs, QueueRetryArgs, QueueVerb, ResumeArgs};
use super::exit::Exit;
use super::fault::{Answer, Fault};
use super::observers::Wanted;
use super::settings::{self, Settings};
use super::{act, find, print, resume, rollback, timebox};
use crate::base::{Millis, Span};
use crate::driver::guarded::Guarded;
use crate::driver::ports::{self, Clock};
use crate::graph::Graph;
use crate::journal::inbox::Request;
use crate::journal::{self, RunDir, StateDir, summary};
use crate::report::view::{NodeView, Standing};
use crate::report::{clean, hint, json as shapes, why, words};
use crate::run::RunState;
use crate::run::event::NodeState;

/// How long finished work is listed.
const RECENT: Span = Span::from_secs(24 * 3600);

/// How often a queue is looked at that others work on.
const BEAT: std::time::Duration = std::time::Duration::from_millis(250);

/// Shows and does background work.
pub(super) fn run(args: &QueueArgs, settings: &Settings) -> Answer {
    match &args.verb {
        QueueVerb::List(args) => list(args, settings),
        QueueVerb::Drain(args) => match &args.run {
            Some(run) => drain_one(run, args, settings),
            None => drain(args, settings),
        },
        QueueVerb::Retry(args) => retry(args, settings),
    }
}

/// Whether a command starts processes of stages itself; a drain of all runs leaves that to one for each.
pub(super) const fn is_guarded(args: &QueueArgs) -> bool {
    matches!(&args.verb, QueueVerb::Drain(QueueDrainArgs { run: Some(_), .. }))
}

/// One piece of work.
struct Work {
    run: String,
    plan: String,
    stage: String,
    standing: Standing,
    attempts: u32,
    /// Milliseconds since 1970.
    since_ms: Option<i64>,
    ended_ms: Option<i64>,
    reason: String,
}

/// All background work of `dir`, its newest record included.
fn work_of(dir: &RunDir) -> Result<Vec<Work>, Fault> {
    let is_alive = journal::is_live(dir)?;
    let read = find::read(dir.clone())?;
    let view = find::view(&read, is_alive);
    let wall = |at: Millis| view.wall_ms().saturating_add_unsigned(at.raw());
    let of_stage = |(ix, node): (crate::base::NodeIx, &NodeView)| {
        let standing = view.standing(ix)?;
        let reason = match standing {
            Standing::Pending if view.decided().is_none() && is_alive => "its run has no verdict yet".to_owned(),
            Standing::Pending if view.decided().is_none() => {
                format!("its run has no verdict, and no engine: {}", hint::resume(view.run_id()))
            }
            Standing::Pending | Standing::Unknown if !is_alive => {
                format!("no engine has its run: {}", hint::drain(view.run_id()))
            }
            Standing::Unknown if !node.is_cut_off => hint::resolve(view.run_id(), view.id(ix)),
            _ => why::explain(&view, ix, view.now()),
        };
        Some(Work {
            run: view.run_id().to_owned(),
            plan: view.plan().to_owned(),
            stage: view.id(ix).to_owned(),
            standing,
            attempts: node.attempts,
            since_ms: node.queued.map(wall),
            ended_ms: node.ended.map(wall),
            reason,
        })
    };
    Ok(view.nodes().filter_map(of_stage).collect())
}

fn list(args: &QueueListArgs, settings: &Settings) -> Answer {
    let state = find::state(settings)?;
    let now = ports::wall_ms();
    let mut all = Vec::new();
    for entry in state.runs()? {
        match summary::of(&entry.dir) {
            Ok(summary) if summary.has_background => all.extend(work_of(&entry.dir)?),
            Ok(_) => {}
            Err(error) => print::note(&format!("note: run {} is passed over: {error}", entry.dir.id())),
        }
    }
    let is_recent = |ended: Option<i64>| ended.is_some_and(|at| now.saturating_sub_unsigned(RECENT.ms()) <= at);
    all.retain(|work| match work.standing {
        Standing::Done => args.all || is_recent(work.ended_ms),
        Standing::Skipped => args.all,
        _ => true,
    });
    all.sort_by(|a, b| {
        (a.standing, a.since_ms, &a.run, &a.stage).cmp(&(b.standing, b.since_ms, &b.run, &b.stage))
    });
    let count = |standing: Standing| all.iter().filter(|work| work.standing == standing).count();
    let is_open = |work: &&Work| matches!(work.standing, Standing::Pending | Standing::Running);
    let oldest = all.iter().filter(is_open).filter_map(|work| work.since_ms).min();
    let oldest = oldest.map(|at| Span::from_ms(u64::try_from(now - at).unwrap_or(0)));
    let depth = all.iter().filter(is_open).count();
    if args.json {
        let utc = |at: Option<i64>| at.map(|at| words::utc(at, Millis::ZERO));
        let one = |work: &Work| {
            json!({
                "run": work.run, "plan": work.plan, "stage": work.stage, "state": work.standing.word(),
                "attempts": work.attempts, "since": utc(work.since_ms), "ended": utc(work.ended_ms),
                "reason": work.reason,
            })
        };
        print::json(&json!({
            "version": shapes::VERSION, "depth": depth, "pending": count(Standing::Pending),
            "running": count(Standing::Running), "dead": count(Standing::Dead), "unknown": count(Standing::Unknown),
            "oldest_ms": oldest.map(Span::ms), "work": all.iter().map(one).collect::<Vec<Value>>(),
        }));
        return Ok(Exit::Success);
    }
    for work in &all {
        let age = work
            .since_ms
            .map_or_else(String::new, |at| words::length(Span::from_ms(u64::try_from(now - at).unwrap_or(0))));
        let tries = words::count(work.attempts as usize, "attempt");
        let (run, stage, reason) =
            (clean::plain(&work.run), clean::plain(&work.stage), clean::plain(&work.reason));
        let line = format!("{:<8}  {run}  {stage}  {tries}, queued {age} ago  {reason}", work.standing.word());
        print::line(line.trim_end());
    }
    let oldest = oldest.map_or_else(String::new, |age| format!(", the oldest for {}", words::length(age)));
    print::line(&format!("depth {depth}{oldest}; {} dead", count(Standing::Dead)));
    if count(Standing::Dead) > 0 {
        print::line(&format!("queue dead work again: {}", hint::requeue_all("RUN")));
    }
    Ok(Exit::Success)
}

/// Runs with work that an engine may do now, and whether others have some.
fn due(state: &StateDir) -> Result<(Vec<RunDir>, bool), Fault> {
    let (mut due, mut has_busy) = (Vec::new(), false);
    for entry in state.runs()? {
        let Ok(summary) = summary::of(&entry.dir) else { continue };
        if summary.pending == 0 || summary.verdict.is_none() {
            continue;
        }
        if journal::is_live(&entry.dir)? {
            has_busy = true;
        } else {
            due.push(entry.dir);
        }
    }
    Ok((due, has_busy))
}

/// Does what is pending of all runs, one engine after the other.
fn drain(args: &QueueDrainArgs, settings: &Settings) -> Answer {
    let state = find::state(settings)?;
    let timeout = timebox::length("--timeout", args.timeout.as_deref())?;
    let clock = Clock::begin();
    let mut codes: BTreeMap<String, i32> = BTreeMap::new();
    loop {
        let (runs, has_busy) = due(&state)?;
        let next = runs.iter().find(|dir| !codes.contains_key(dir.id().as_str()));
        let left = timeout.map(|timeout| timeout - clock.now().since(Millis::ZERO));
        if left == Some(Span::ZERO) && (next.is_some() || (args.until_empty && has_busy)) {
            print::line("handed over: the time is up and work is left");
            return Ok(Exit::HandedOver);
        }
        match next {
            Some(dir) => {
                let mut words = vec!["queue".to_owned(), "drain".to_owned(), dir.id().to_string()];
                words.extend(
                    left.into_iter().flat_map(|left| ["--timeout".to_owned(), format!("{}ms", left.ms())]),
                );
                codes.insert(dir.id().to_string(), rollback::spawn(words, settings)?);
            }
            None if args.until_empty && has_busy => ports::pause(BEAT),
            None => break,
        }
    }
    if codes.is_empty() {
        print::line("nothing to drain");
    }
    // What needs a person weighs more than what needs time.
    let known = [Exit::NeedsPerson, Exit::HandedOver];
    let bad =
        codes.values().copied().find(|&code| code != 0 && known.iter().all(|it| i32::from(it.code()) != code));
    if let Some(code) = bad {
        print::note(&format!("error: an engine that drained a run ended with {code}"));
        return Ok(Exit::Failed);
    }
    let has = |exit: &Exit| codes.values().any(|&code| code == i32::from(exit.code()));
    Ok(known.into_iter().find(has).unwrap_or(Exit::Success))
}

/// Goes on with the background of one run.
fn drain_one(run: &str, args: &QueueDrainArgs, settings: &Settings) -> Answer {
    let guarded = Guarded::attach()?;
    let state = find::state(settings)?;
    let dir = find::run(&state, run)?;
    let found = summary::of(&dir)?;
    if found.verdict.is_none() && found.pending > 0 {
        return Err(Fault::new(
            Exit::NotFound,
            format!("run {run} has no verdict yet, and its background waits for it"),
        )
        .help(format!("go on with the run: {}", hint::resume(run))));
    }
    if found.pending == 0 {
        print::line(&format!("nothing to drain: run {run} has no background work left"));
        return Ok(Exit::Success);
    }
    timebox::length("--timeout", args.timeout.as_deref())?;
    let args = ResumeArgs {
        run: Some(run.to_owned()),
        show: args.show.clone(),
        jobs: args.jobs,
        time_box: args.timeout.clone(),
        rerun: Vec::new(),
        accept_changes: false,
        recorded: true,
        no_wait: false,
        unpause: false,
        undo: false,
        drains: true,
        break_glass: None,
    };
    let wanted = Wanted::of(&args.show)?;
    let exit = resume::go_on(&args, settings, (guarded, wanted), None)?;
    let read = find::read(dir.clone())?;
    let state = read.state();
    // Of a service that the work waits for somebody has to say what became of it, too.
    let waits_for_word = state.needs_person() && state.unknown().next().is_some();
    let has_unknown = waits_for_word || state.queued().any(|node| state.state(node) == NodeState::Unknown);
    Ok(match (exit, summary::of(&dir)?.pending) {
        (Exit::Internal | Exit::Damaged, _) => exit,
        (_, 0) => Exit::Success,
        _ if has_unknown => Exit::NeedsPerson,
        _ => Exit::HandedOver,
    })
}

/// Queues dead letters again.
fn retry(args: &QueueRetryArgs, settings: &Settings) -> Answer {
    let state = find::state(settings)?;
    let dir = find::run(&state, &args.run)?;
    let stages = match &args.stage {
        Some(stage) => vec![stage.clone()],
        None => {
            let read = find::read(dir.clone())?;
            let graph = read.state().graph();
            read.state().dead().map(|node| graph.nodes[node].id.to_string()).collect()
        }
    };
    if stages.is_empty() {
        print::line(&format!("nothing to retry: run {} has no dead background work", args.run));
        return Ok(Exit::Success);
    }
    let request = Request::Requeue { stages: stages.clone(), by: settings::person() };
    let allowed = |graph: &Graph, state: &RunState| {
        for stage in &stages {
            let node = find::stage(graph, stage)?;
            if !state.dead().any(|dead| dead == node) {
                let why = format!("`{stage}` is no dead background work: it is {}", state.state(node).word());
                return Err(
                    Fault::new(Exit::NotFound, why).help(format!("list what is: {}", hint::command("queue list")))
                );
            }
        }
        Ok(())
    };
    let names = stages.iter().map(|stage| format!("`{stage}`")).collect::<Vec<_>>().join(", ");
    act::send(&dir, &request, &allowed, args.json, &|| format!("queued {names} again"))?;
    Ok(Exit::Success)
}
