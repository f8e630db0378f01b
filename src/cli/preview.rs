//! `engine plan --resume RUN`: what a resume would do, by the code that resumes.

use serde_json::{Value, json};

use super::change::{self, Edit, Edited};
use super::exit::Exit;
use super::fault::Answer;
use super::settings::{self, Settings};
use super::{find, print, resume};
use crate::base::NodeIx;
use crate::driver::begin::{Orders, Read, recover};
use crate::driver::ports::{self, Clock};
use crate::graph::{ChangeKind, FieldChange, Graph};
use crate::journal;
use crate::report::console::Look;
use crate::run::event::{NodeState, ReopenReason, SkipReason};
use crate::run::{Fate, HangsOn, Prospect, RunState, foresee};

/// What is asked of it.
pub(super) struct Preview<'a> {
    /// `-j`.
    pub(super) jobs: Option<u32>,
    /// `--rerun`.
    pub(super) rerun: &'a [String],
    /// `--recorded`.
    pub(super) recorded: bool,
    /// `--json`.
    pub(super) json: bool,
}

/// A line of the preview.
struct Line {
    id: String,
    /// keep, run, check, ask, wait, skip, blocked, end.
    action: &'static str,
    why: String,
    is_conditional: bool,
    /// Its recorded state; none for a stage that is new.
    was: Option<NodeState>,
    /// Its state when the resume has done what it can.
    state: NodeState,
    changes: Vec<FieldChange>,
}

/// Shows it.
pub(super) fn run(id: &str, args: &Preview<'_>, settings: &Settings) -> Answer {
    let state = find::state(settings)?;
    let Some(dir) = resume::named_or_newest(&state, Some(id).filter(|id| !id.is_empty()))? else {
        if args.json && args.rerun.is_empty() {
            print::json(&as_json(None, &[]));
            return Ok(Exit::Success);
        }
        return resume::nothing(&state, args.rerun);
    };
    let is_live = journal::is_live(&dir)?;
    let read = find::read(dir)?;
    let settings = &resume::at_its_place(&read, settings)?;
    let run = read.dir.id().clone();
    let mut orders = Orders { jobs: args.jobs, person: settings::person(), ..Orders::default() };
    let is_over = read.has_ended_well() && args.rerun.is_empty();
    let edited = if args.recorded || is_over { Edited::No } else { change::look(&read, settings)? };
    let mut edit = None;
    if let Edited::Yes(found) = edited {
        if !args.json {
            print::line(&change::describe(&found, &read, settings.color));
            if let Some(why) = change::strands(&found, &read) {
                print::line(&format!("a resume refuses it: {why}"));
            }
            print::line("");
        }
        orders.changed.clone_from(&found.approvals);
        orders.change = Some(found.compiled.clone());
        edit = Some(found);
    }
    let graph = orders.change.as_ref().map_or_else(|| read.state().graph(), |compiled| &compiled.graph).clone();
    orders.rerun = resume::rerun(&graph, args.rerun)?;
    resume::order_failed(&read, &mut orders, args.rerun)?;
    // What a pause holds back starts once a person ends it: that is what a person wants to see.
    let recorded = read.core(None);
    let is_paused = recorded.state().is_paused() && recorded.state().verdict().is_none();
    orders.unpause = is_paused;
    let lines = if is_over { Vec::new() } else { lines(&read, &orders, edit.as_deref(), &graph) };
    if args.json {
        print::json(&as_json(Some(run.as_str()), &lines));
    } else if is_over {
        print::line(&format!("nothing to resume: run {run} has ended well"));
    } else {
        print::out(&as_text(run.as_str(), &lines, settings.color));
        if is_paused {
            let how = crate::report::hint::unpause(run.as_str());
            print::line(&format!("the run is paused: nothing of this starts until: {how}"));
        }
        if is_live {
            print::line("an engine works on this run now; this is what would happen if it died");
        }
    }
    Ok(Exit::Success)
}

/// Every stage of the plan that will be gone by, then those that the edit removed.
fn lines(read: &Read, orders: &Orders, edit: Option<&Edit>, graph: &Graph) -> Vec<Line> {
    let recorded = read.state();
    let old = recorded.graph();
    let (core, inputs) = recover(read, orders, ports::wall_ms());
    let now =
        read.began.as_ref().map_or(read.last_at(), |began| Clock::resume(began.wall_ms, read.last_at()).now());
    let prospects = foresee(core, now, inputs);
    let mut lines: Vec<Line> = graph
        .nodes
        .pairs()
        .filter(|(ix, _)| prospects[*ix].is_awake && !graph.is_hidden(*ix))
        .map(|(ix, node)| {
            let prospect = &prospects[ix];
            let changes = edit.map_or_else(Vec::new, |edit| changes_of(edit, ix));
            let was = old.find(&node.id).map(|before| recorded.state(before));
            let (action, mut why) = match old.find(&node.id).filter(|_| node.retired.is_some()) {
                Some(before) => ("keep", change::retired(read, before).to_owned()),
                None => words(prospect, graph, was),
            };
            let goes_on = match prospect.again {
                None | Some(ReopenReason::Resume) => true,
                Some(ReopenReason::Ordered) => orders.failed.contains(&ix) && !orders.rerun.contains(&ix),
                _ => false,
            };
            if action == "run" && goes_on && changes.is_empty() {
                why.push_str(&old.find(&node.id).map_or_else(String::new, |before| done_shards(recorded, before)));
            }
            if !changes.is_empty() {
                why.push_str(if action == "keep" { ", its text differs" } else { ", by the edited text" });
            }
            if let Some(hangs_on) = prospect.hangs_on {
                why.push_str(&unless(hangs_on, &prospect.fate, graph, ix));
            }
            let (id, is_conditional) = (node.id.to_string(), prospect.hangs_on.is_some());
            Line { id, action, why, is_conditional, was, state: prospect.state, changes }
        })
        .collect();
    lines.extend(old.stages().filter(|(_, node)| graph.find(&node.id).is_none()).map(|(before, node)| {
        let state = recorded.state(before);
        let (id, why) = (node.id.to_string(), "the edited plan has it no more".to_owned());
        Line { id, action: "remove", why, is_conditional: false, was: Some(state), state, changes: Vec::new() }
    }));
    lines
}

/// What a stage that goes on does not do again.
fn done_shards(recorded: &RunState, node: NodeIx) -> String {
    let progress = recorded.progress(node);
    if progress.total == 1 || progress.success == 0 {
        return String::new();
    }
    format!("; {} of {} shards are done", progress.success, progress.total)
}

fn changes_of(edit: &Edit, node: NodeIx) -> Vec<FieldChange> {
    let found = edit.changes.iter().find_map(|change| match &change.kind {
        ChangeKind::Changed { new, fields, .. } if *new == node => Some(fields.clone()),
        _ => None,
    });
    found.unwrap_or_default()
}

/// What happens to a stage, and why.
fn words(prospect: &Prospect, graph: &Graph, was: Option<NodeState>) -> (&'static str, String) {
    let id = |node: NodeIx| &graph.nodes[node].id;
    match &prospect.fate {
        Fate::Kept => ("keep", prospect.state.word().to_owned()),
        Fate::Starts => {
            let mut why = starts(prospect, was);
            if prospect.asks_cache {
                why.push_str("; the cache may have its result");
            }
            ("run", why)
        }
        Fate::Checked if !prospect.starts && prospect.state.is_final() => {
            let state = prospect.state.word();
            ("check", format!("its attempt was cut off: `done-if` is asked, and it is {state} if that says no"))
        }
        Fate::Checked => {
            ("check", "its attempt was cut off: `done-if` is asked, and it runs if that says no".to_owned())
        }
        Fate::Asked if prospect.state == NodeState::Unknown => {
            ("ask", "its outcome is unknown: `engine resolve` says what it was".to_owned())
        }
        Fate::Asked if prospect.again == Some(ReopenReason::Changed) => {
            ("ask", "something that depends on it changed: it needs a new approval".to_owned())
        }
        Fate::Asked => ("ask", "needs an approval".to_owned()),
        Fate::Waits(Some(on)) => ("wait", format!("for `{}`", id(*on))),
        Fate::Waits(None) => ("wait", "until everything else has ended".to_owned()),
        Fate::Ends(why) if why.is_empty() => ("end", prospect.state.word().to_owned()),
        Fate::Ends(why) => ("end", format!("{}: {why}", prospect.state.word())),
        Fate::Skipped(SkipReason::Condition) => ("skip", "its `if` is false".to_owned()),
        Fate::Skipped(SkipReason::NotNeeded) => {
            ("skip", "handles a failure, and nothing is known to fail".to_owned())
        }
        Fate::Skipped(SkipReason::NoCell) => ("skip", "no cell of its matrix".to_owned()),
        Fate::Skipped(SkipReason::NotSelected) => ("skip", "left out on the command line".to_owned()),
        Fate::Skipped(SkipReason::Blocked { by }) => ("blocked", format!("`{}` did not succeed", id(*by))),
    }
}

fn starts(prospect: &Prospect, was: Option<NodeState>) -> String {
    match (prospect.again, was) {
        (_, None) => "new in the edited plan".to_owned(),
        (Some(ReopenReason::Resume), Some(was)) => format!("was {}", was.word()),
        (Some(ReopenReason::Ordered), _) => "ordered by a person".to_owned(),
        (Some(ReopenReason::Upstream), _) => "depends on what is run again".to_owned(),
        (Some(ReopenReason::Restart), _) => "starts again what the rest of the run needs".to_owned(),
        (Some(ReopenReason::Changed), _) => "its definition changed".to_owned(),
        (None, _) if prospect.was_lost => "its attempt was cut off".to_owned(),
        (None, Some(NodeState::Retrying)) => "its next attempt was due".to_owned(),
        (None, _) => "had not started".to_owned(),
    }
}

/// The words about a stage of which only the run can tell what comes of it.
fn unless(hangs_on: HangsOn, fate: &Fate, graph: &Graph, node: NodeIx) -> String {
    match hangs_on {
        HangsOn::Condition if !matches!(fate, Fate::Skipped(_)) => {
            let texts = graph.nodes[node].conditions.iter().map(|condition| &*condition.text);
            format!(", if `{}` holds then", texts.collect::<Vec<_>>().join(" and "))
        }
        HangsOn::Condition | HangsOn::Need => ", unless what it needs is skipped".to_owned(),
        HangsOn::Drain => ", if that comes before a failure drains the run".to_owned(),
        HangsOn::Rest => ", all of it if that comes before a failure drains the run".to_owned(),
        HangsOn::Undo if matches!(fate, Fate::Kept) => ", if the failure that is foreseen comes".to_owned(),
        HangsOn::Undo => ", and is undone if the failure that is foreseen comes".to_owned(),
    }
}

/// Actions in the order in which they are counted, with the words for it.
const ACTIONS: [(&str, &str); 9] = [
    ("keep", "kept"),
    ("run", "to run"),
    ("check", "to check"),
    ("ask", "to ask"),
    ("wait", "to wait"),
    ("skip", "to skip"),
    ("blocked", "blocked"),
    ("end", "to end"),
    ("remove", "removed"),
];

fn as_text(run: &str, lines: &[Line], color: bool) -> String {
    let look = Look { colour: color, output: false };
    let mut out = vec![format!("resume of run {run} would, if what starts succeeds:")];
    let width = lines.iter().map(|line| line.id.chars().count()).max().unwrap_or(0).min(40);
    for Line { id, action, why, .. } in lines {
        let why = if *action == "keep" { look.dim(why) } else { why.clone() };
        out.push(format!("  {action:<7} {id:<width$}  {why}"));
    }
    let count = |action: &str| lines.iter().filter(|line| line.action == action).count();
    let always = |action: &str| matches!(action, "keep" | "run" | "ask");
    let counts = ACTIONS
        .iter()
        .map(|(action, words)| (count(action), action, words))
        .filter(|(count, action, _)| *count > 0 || always(action));
    let counts: Vec<String> = counts.map(|(count, _, words)| format!("{count} {words}")).collect();
    out.push(format!("{}\n", counts.join(", ")));
    out.join("\n")
}

fn as_json(run: Option<&str>, lines: &[Line]) -> Value {
    let stage = |line: &Line| {
        let changes = line.changes.iter();
        let changes: Vec<Value> =
            changes.map(|it| json!({"field": it.field, "from": it.from, "to": it.to})).collect();
        json!({
            "id": line.id,
            "action": line.action,
            "why": line.why,
            "conditional": line.is_conditional,
            "was": line.was.map(NodeState::word),
            "state": line.state.word(),
            "changes": changes,
        })
    };
    json!({"version": 1, "run": run, "stages": lines.iter().map(stage).collect::<Vec<_>>()})
}
