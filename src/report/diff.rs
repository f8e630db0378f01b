//! What differs between two runs, stage by stage.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::base::{NodeIx, Span};
use crate::run::event::NodeState;

use super::console::Look;
use super::view::View;
use super::{clean, words};

/// A difference in time below this share of the longer one is noise.
const NOISE_PERCENT: u64 = 20;

/// Shards that are listed of a stage.
const MAX_LISTED: usize = 100;

/// Shards that are named to people.
const MAX_NAMED: usize = 10;

/// And so is one below this, whatever its share.
const NOISE: Span = Span::from_ms(500);

/// A stage of either run.
#[derive(Clone, PartialEq, Debug)]
pub struct Difference {
    /// The stage.
    pub id: String,
    /// In the first run; none where it does not exist.
    pub a: Option<Side>,
    /// In the second run.
    pub b: Option<Side>,
    /// Outputs that differ: name, first, second.
    pub outputs: Vec<(String, Option<Value>, Option<Value>)>,
    /// Shards that left something else, of a stage that is sharded in both runs; none where all left the same.
    pub shards: Option<Apart>,
}

/// Shards that left something else: other outputs, or other artifacts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Apart {
    /// Shards with the same items in both runs.
    pub compared: u32,
    /// How many of them left something else.
    pub differ: u32,
    /// The first of these, by their numbers in the second run, at most [`MAX_LISTED`].
    pub first: Vec<u32>,
}

/// A stage in one run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Side {
    /// Its state.
    pub state: NodeState,
    /// Attempts.
    pub attempts: u32,
    /// How long it took.
    pub took: Option<Span>,
    /// Why.
    pub reason: String,
}

impl Difference {
    /// Whether more than the clock differs.
    pub fn is_of_outcome(&self) -> bool {
        let key = |side: &Option<Side>| side.as_ref().map(|side| (side.state, side.attempts));
        key(&self.a) != key(&self.b) || !self.outputs.is_empty() || self.shards.is_some()
    }

    /// Whether the time differs by more than noise.
    pub fn is_of_time(&self) -> bool {
        let took = |side: &Option<Side>| side.as_ref().and_then(|side| side.took);
        match (took(&self.a), took(&self.b)) {
            (Some(a), Some(b)) => {
                let (low, high) = (a.min(b), a.max(b));
                high - low >= NOISE && (high - low).ms() * 100 >= high.ms() * NOISE_PERCENT
            }
            _ => false,
        }
    }
}

/// Every stage that differs: those of `a` in written order, then those that only `b` has. What shards left is compared
/// if both views were asked to keep it ([`View::with_leaves`]).
pub fn compare(a: &View, b: &View) -> Vec<Difference> {
    let in_b: BTreeMap<&str, NodeIx> = b.nodes().map(|(ix, _)| (b.id(ix), ix)).collect();
    let in_a: BTreeMap<&str, NodeIx> = a.nodes().map(|(ix, _)| (a.id(ix), ix)).collect();
    let both = a.nodes().map(|(ix, _)| (a.id(ix), Some(ix), in_b.get(a.id(ix)).copied()));
    let only_b = b.nodes().map(|(ix, _)| (b.id(ix), None, Some(ix))).filter(|(id, ..)| !in_a.contains_key(id));
    let all = both.chain(only_b).map(|(id, left, right)| Difference {
        id: id.to_owned(),
        a: left.map(|ix| side(a, ix)),
        b: right.map(|ix| side(b, ix)),
        outputs: outputs(left.map(|ix| a.get(ix)), right.map(|ix| b.get(ix))),
        shards: left.zip(right).and_then(|(left, right)| shards((a, left), (b, right))),
    });
    all.filter(|one| one.is_of_outcome() || one.is_of_time()).collect()
}

/// A stage in its run.
fn side(view: &View, ix: NodeIx) -> Side {
    let node = view.get(ix);
    let took = node.duration(view.now());
    Side { state: node.state, attempts: node.attempts, took, reason: node.reason.clone() }
}

/// Outputs that differ.
fn outputs(
    a: Option<&super::view::NodeView>,
    b: Option<&super::view::NodeView>,
) -> Vec<(String, Option<Value>, Option<Value>)> {
    let (Some(a), Some(b)) = (a, b) else { return Vec::new() };
    let left: BTreeMap<_, _> = a.outputs.iter().cloned().collect();
    let right: BTreeMap<_, _> = b.outputs.iter().cloned().collect();
    let mut names: Vec<&String> = left.keys().chain(right.keys()).collect();
    names.sort();
    names.dedup();
    let each = names.into_iter().filter(|name| left.get(*name) != right.get(*name));
    each.map(|name| (name.clone(), left.get(name).cloned(), right.get(name).cloned())).collect()
}

/// Shards that left something else. Of two runs that cut the items in other ways only shards with the same items are
/// compared: a shard of others left what it did for another reason.
fn shards((a, left): (&View, NodeIx), (b, right): (&View, NodeIx)) -> Option<Apart> {
    let cuts = |view: &View, ix: NodeIx| view.get(ix).sharded.as_ref().map(|it| it.cuts.clone());
    let (in_a, in_b) = (cuts(a, left)?, cuts(b, right)?);
    let is_cut_alike = in_a == in_b;
    let mut apart = Apart { compared: 0, differ: 0, first: Vec::new() };
    for shard in 0..in_b.shards() {
        let range = in_b.range(shard);
        let (was, is) = (a.leaf(left, &range), b.leaf(right, &range));
        let is_known = if is_cut_alike { was.or(is).is_some() } else { was.and(is).is_some() };
        apart.compared += u32::from(is_known);
        if is_known && was != is {
            apart.differ += 1;
            if apart.first.len() < MAX_LISTED {
                apart.first.push(shard);
            }
        }
    }
    (apart.differ > 0).then_some(apart)
}

/// `engine diff A B` as text.
pub fn text(a: &View, b: &View, look: Look) -> String {
    let mut out = String::new();
    for (name, view) in [("a", a), ("b", b)] {
        let took = words::length(view.elapsed(view.now()));
        let state = view.state().word();
        put!(out, "{name}  run {} {}: {state} in {took}\n", view.run_id(), clean::plain(view.plan()));
    }
    let all = compare(a, b);
    if all.is_empty() {
        return out + "\nno stage differs\n";
    }
    let id = all.iter().map(|one| clean::width(&one.id)).max().unwrap_or(0).clamp(5, 32);
    out.push('\n');
    for one in &all {
        let name = clean::pad(&clean::plain(&one.id), id);
        let (left, right) = (say(one.a.as_ref()), say(one.b.as_ref()));
        let state = one.b.as_ref().or(one.a.as_ref()).map_or(NodeState::Pending, |side| side.state);
        put!(out, "{name}  {left} → {}\n", look.paint(state, &right));
        for (output, from, to) in &one.outputs {
            let (from, to) = (say_value(from.as_ref()), say_value(to.as_ref()));
            put!(out, "{}  output `{}`: {from} → {to}\n", " ".repeat(id), clean::plain(output));
        }
        if let Some(apart) = &one.shards {
            put!(out, "{}  {}\n", " ".repeat(id), say_apart(apart));
        }
    }
    let only_b = all.iter().filter(|one| one.a.is_none()).count();
    put!(out, "\n{} of {} differ\n", all.len(), words::count(a.nodes().count() + only_b, "stage"));
    out
}

/// A side in few words.
fn say(side: Option<&Side>) -> String {
    let Some(side) = side else { return "not there".to_owned() };
    let mut text = side.state.word().to_owned();
    if let Some(took) = side.took {
        put!(text, " {}", words::length(took));
    }
    if side.attempts > 1 {
        put!(text, ", {} attempts", side.attempts);
    }
    if words::is_bad(side.state) && !side.reason.is_empty() {
        put!(text, " ({})", clean::plain(&side.reason));
    }
    text
}

/// `2 of 7 shards left something else: 1, 3`.
fn say_apart(apart: &Apart) -> String {
    let named: Vec<String> = apart.first.iter().take(MAX_NAMED).map(ToString::to_string).collect();
    let more = if apart.differ as usize > named.len() { ", …" } else { "" };
    let all = words::count(apart.compared as usize, "shard");
    format!("{} of {all} left something else: {}{more}", apart.differ, named.join(", "))
}

/// A value, short.
fn say_value(value: Option<&Value>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| clean::fit(&clean::plain(&value.to_string()), 40))
}

/// `engine diff A B --json`.
pub fn json(a: &View, b: &View) -> Value {
    let run = |view: &View| {
        json!({
            "run": view.run_id(), "plan": view.plan(), "state": view.state().word(),
            "duration_ms": view.elapsed(view.now()).ms(),
        })
    };
    let side = |side: &Option<Side>| {
        side.as_ref().map(|side| {
            json!({
                "state": side.state.word(), "attempts": side.attempts,
                "duration_ms": side.took.map(Span::ms), "reason": side.reason,
            })
        })
    };
    let stages: Vec<Value> = compare(a, b)
        .iter()
        .map(|one| {
            let outputs: serde_json::Map<String, Value> =
                one.outputs.iter().map(|(name, a, b)| (name.clone(), json!({"a": a, "b": b}))).collect();
            let shards = one
                .shards
                .as_ref()
                .map(|apart| json!({"compared": apart.compared, "differ": apart.differ, "first": apart.first}));
            json!({"id": one.id, "a": side(&one.a), "b": side(&one.b), "outputs": outputs, "shards": shards})
        })
        .collect();
    json!({"version": super::json::VERSION, "a": run(a), "b": run(b), "stages": stages})
}
