//! `status --json`, `runs --json`: documented in `docs/json.md`, versioned, and only ever added to.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value, json};

use crate::base::{Millis, NodeIx};
use crate::run::Outcome;
use crate::run::event::NodeState;

use super::view::{NodeView, Sharded, View};
use super::{promise, why, words};

/// Version of the shapes of this file.
pub const VERSION: u32 = 1;

/// The run as `status --json` shows it. Its stages are made one by one while they are written: of 100,000, all at
/// once would take half a gigabyte.
#[derive(Debug)]
pub struct Status<'a> {
    /// The run.
    pub view: &'a View,
    /// The present moment, in the run's time.
    pub now: Millis,
    /// Whether an engine holds its lock.
    pub is_alive: bool,
    /// What stands behind the stages.
    pub more: Map<String, Value>,
}

impl<'a> Status<'a> {
    /// With nothing behind the stages.
    pub fn new(view: &'a View, now: Millis, is_alive: bool) -> Self {
        Self { view, now, is_alive, more: Map::new() }
    }
}

impl Serialize for Status<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut out = to.serialize_map(None)?;
        for (name, value) in &head(self.view, self.now, self.is_alive) {
            out.serialize_entry(name, value)?;
        }
        out.serialize_entry("stages", &Stages(self))?;
        for (name, value) in &self.more {
            out.serialize_entry(name, value)?;
        }
        out.end()
    }
}

/// The stages of a run, in order.
struct Stages<'a>(&'a Status<'a>);

impl Serialize for Stages<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Status { view, now, .. } = self.0;
        to.collect_seq(view.nodes().map(|(ix, node)| stage(view, ix, node, *now)))
    }
}

/// The run as one item of `runs --json`: all but the stages.
pub fn head(view: &View, now: Millis, is_alive: bool) -> Map<String, Value> {
    let began = view.began();
    let verdict = view.decided();
    let ids = |list: &[NodeIx]| list.iter().map(|&ix| view.id(ix).to_owned()).collect::<Vec<_>>();
    let sessions: Vec<Value> = view
        .sessions()
        .iter()
        .map(|session| {
            json!({
                "at": view.utc(session.at),
                "gap_ms": session.gap.ms(),
                "by": session.by,
                "engine": session.engine,
                "jobs": session.jobs,
                "root": session.root,
            })
        })
        .collect();
    let cancel = view.cancel().map(|cancel| {
        json!({
            "level": words::cancel_level(cancel.level),
            "why": words::cancel_reason(cancel.why),
            "by": cancel.by,
            "at": view.utc(cancel.at),
        })
    });
    let value = json!({
        "version": VERSION,
        "run": view.run_id(),
        "plan": view.plan(),
        "path": began.map(|began| &began.path),
        "key": began.and_then(|began| began.key.as_ref()),
        "by": began.map(|began| &began.by),
        "state": view.state_given(is_alive).word(),
        "alive": is_alive,
        "paused": view.is_paused(),
        "started": began.map(|_| view.utc(Millis::ZERO)),
        "ended": view.ended().map(|at| view.utc(at)),
        "duration_ms": view.elapsed(now).ms(),
        "records": view.seq(),
        "totals": totals(view),
        "failed": verdict.map(|verdict| ids(&verdict.failed)).unwrap_or_default(),
        "timed_out": verdict.is_some_and(|verdict| verdict.timed_out),
        "only_late": verdict.is_some_and(|verdict| verdict.only_late),
        "groups": promise::groups(view),
        "slos": promise::objectives(view, now),
        "tickets": promise::tickets(view),
        "override": view.glass().map(|glass| json!({"by": glass.by, "reason": glass.reason, "at": view.utc(glass.at)})),
        "frozen": view.frozen(),
        "cancel": cancel,
        "background": background(view),
        "sessions": sessions,
    });
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// What there is of background work; null of a plan without any.
fn background(view: &View) -> Option<Value> {
    let stages = || view.nodes().filter(|(ix, _)| view.is_background(*ix));
    stages().next()?;
    let running = stages().filter(|(_, node)| node.shards.running > 0).count();
    Some(json!({
        "left": view.background_left(),
        "running": running,
        "dead": view.background_dead(),
        "is_decided": view.decided().is_some(),
    }))
}

/// Stages by state; every state has its number.
pub fn totals(view: &View) -> Value {
    NodeState::ALL.iter().map(|&state| (state.word().to_owned(), json!(view.count(state)))).collect()
}

/// One stage.
fn stage(view: &View, ix: NodeIx, node: &NodeView, now: Millis) -> Value {
    let utc = |at: Option<Millis>| at.map(|at| view.utc(at));
    let mut out = json!({
        "id": view.id(ix),
        "state": why::state(view, ix).word(),
        "attempts": node.attempts,
        "started": utc(node.started),
        "ended": utc(node.ended),
        "duration_ms": node.duration(now).map(crate::base::Span::ms),
        "expected_ms": view.expected(ix).map(crate::base::Span::ms),
        "reason": why::explain(view, ix, now),
        "interrupted": node.is_cut_off,
        "needs": view.needs(ix).map(|need| view.id(need)).collect::<Vec<_>>(),
        "outputs": node.outputs.iter().cloned().collect::<Map<_, _>>(),
        "group": view.node(ix).group.as_deref(),
        "background": view.is_background(ix),
        "exit": exit_code(node),
        "cpu_ms": node.cpu_us / 1000,
        "max_rss_kib": node.max_rss_kib,
        "notes": node.notes,
    });
    if node.shards.all != 1 {
        let shards = node.shards;
        out["shards"] = json!({
            "all": shards.all, "done": shards.done, "failed": shards.failed,
            "running": shards.running, "retrying": shards.retrying,
        });
    }
    if let Some(sharded) = &node.sharded {
        add_sharded(&mut out, view, ix, sharded);
    }
    if node.awaits_person() {
        out["prompt"] = json!(node.prompt);
        out["expires"] = json!(utc(node.expires));
        out["approve"] = json!(super::hint::answer(view, ix));
        out["subject"] = json!(view.graph().subject().to_string());
        out["approvers"] = json!(view.node(ix).rules.consent().terms().min);
    }
    if !node.votes.is_empty() {
        out["approvals"] = json!(node.votes);
    }
    if node.state == NodeState::Unknown && !node.is_cut_off {
        out["resolve"] = json!(super::hint::resolve(view.run_id(), view.id(ix)));
    }
    out
}

/// How the items of a stage are cut, which of its shards failed with which items, and its root.
fn add_sharded(out: &mut Value, view: &View, ix: NodeIx, sharded: &Sharded) {
    let failed = sharded.failed.iter().map(|(shard, failure)| {
        let range = sharded.cuts.range(*shard);
        let items = view.items(ix, *shard).map_or_else(Vec::new, |(items, _)| items);
        json!({
            "shard": shard, "first": range.start, "count": range.end - range.start, "items": items,
            "outcome": words::outcome(&failure.outcome), "exit": exit_of(&failure.outcome),
        })
    });
    let facts = json!({
        "items": sharded.cuts.items(), "size": sharded.cuts.last().size, "splits": sharded.splits,
        "growths": sharded.growths, "recalled": sharded.recalled, "failures": failed.collect::<Vec<_>>(),
        "cuts": sharded.cuts.list().iter().map(|cut| json!([cut.shard, cut.item, cut.size])).collect::<Vec<_>>(),
        "root": sharded.root.map(|root| root.to_string()),
        "workers": sharded.workers, "replaced": sharded.replaced,
    });
    if out["shards"].is_null() {
        let shards = view.get(ix).shards;
        out["shards"] = json!({
            "all": shards.all, "done": shards.done, "failed": shards.failed,
            "running": shards.running, "retrying": shards.retrying,
        });
    }
    if let (Some(all), Value::Object(facts)) = (out["shards"].as_object_mut(), facts) {
        all.extend(facts);
    }
}

/// The exit code of the last attempt, if it exited; while shards have failed, that of the first one that did.
fn exit_code(node: &NodeView) -> Option<i32> {
    let first = node.sharded.as_ref().and_then(|sharded| sharded.first_failure());
    exit_of(first.map(|failure| &failure.outcome).or(node.outcome.as_ref())?)
}

const fn exit_of(outcome: &Outcome) -> Option<i32> {
    match outcome {
        Outcome::Success => Some(0),
        Outcome::Exit(code) => Some(*code),
        _ => None,
    }
}
