//! The rows of the chart: stages, and folds around them.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{Millis, NodeIx, Span};
use crate::run::event::NodeState;

use super::super::junit::escape;
use super::super::tail::{Logs, TAIL_LINES};
use super::super::view::View;
use super::super::{hint, why, words};
use super::chart::Axis;

/// Rows in one file; of a larger run what is good beyond them is only counted.
const MAX_ROWS: usize = 5000;

/// Rows side by side before they fold into blocks.
const BLOCK: usize = 100;

/// Runs up to this size stand open, and in larger ones a fold of this size with a failure.
const OPEN: usize = 40;

/// Runs up to this size show the last lines of good stages too.
const MAX_TALKATIVE: usize = 500;

/// Last lines of a stage that did not fail.
const FEW_LINES: usize = 10;

/// A row, or rows folded into one.
enum Item {
    Stage(NodeIx),
    Fold(u32, Vec<Item>),
}

/// Everything a row needs.
struct Rows<'a> {
    view: &'a View,
    logs: &'a dyn Logs,
    axis: Axis,
    critical: BTreeSet<NodeIx>,
    all: usize,
    left: usize,
}

/// The chart of `view`.
pub(super) fn render(view: &View, logs: &dyn Logs) -> String {
    let axis = Axis::of(view);
    let critical = view.critical_path().into_iter().collect();
    let all = view.nodes().count();
    let mut rows = Rows { view, logs, axis, critical, all, left: MAX_ROWS };
    let mut out = format!(
        "<div class=\"gantt\"><div class=\"axis\"><span>state</span><span>stage</span><span class=\"time\">time</span>\
         <span class=\"ticks\">{}</span></div>\n",
        axis.ticks()
    );
    out += &rows.items(&tree(view));
    out += "</div>\n";
    out += "<p class=\"legend\"><i style=\"background:var(--okb);margin-left:0\"></i>success\
            <i style=\"background:var(--badb)\"></i>failed<i style=\"background:var(--warnb)\"></i>lost, allowed or waiting\
            <i style=\"background:var(--offb)\"></i>cancelled<i style=\"background:var(--line)\"></i>waiting for a limit or a retry\
            <i style=\"background:var(--crit);border-radius:50%\"></i>critical path</p>\n";
    out
}

/// Stages in written order, each fold where its first stage stands.
fn tree(view: &View) -> Vec<Item> {
    let folds = &view.graph().folds;
    let mut members: BTreeMap<Option<u32>, Vec<Item>> = BTreeMap::new();
    let mut placed: BTreeSet<u32> = BTreeSet::new();
    for (ix, _) in view.nodes() {
        let own = view.node(ix).fold.filter(|&at| (at as usize) < folds.len());
        let mut at = own;
        while let Some(fold) = at {
            if !placed.insert(fold) {
                break;
            }
            at = folds[fold as usize].parent.filter(|&up| up < fold);
            members.entry(at).or_default().push(Item::Fold(fold, Vec::new()));
        }
        members.entry(own).or_default().push(Item::Stage(ix));
    }
    let top = members.remove(&None).unwrap_or_default();
    gather(top, &mut members)
}

/// Puts the members into their folds; a fold's parent has a smaller number, so this ends.
fn gather(items: Vec<Item>, members: &mut BTreeMap<Option<u32>, Vec<Item>>) -> Vec<Item> {
    let each = items.into_iter().map(|item| match item {
        Item::Fold(fold, _) => {
            let own = members.remove(&Some(fold)).unwrap_or_default();
            Item::Fold(fold, gather(own, members))
        }
        stage @ Item::Stage(_) => stage,
    });
    each.collect()
}

/// The stages of an item.
fn stages(item: &Item, out: &mut Vec<NodeIx>) {
    match item {
        Item::Stage(ix) => out.push(*ix),
        Item::Fold(_, items) => items.iter().for_each(|item| stages(item, out)),
    }
}

impl Rows<'_> {
    /// Items in order; where many stages follow each other, in blocks.
    fn items(&mut self, items: &[Item]) -> String {
        let mut out = String::new();
        let mut at = 0;
        for run in items.chunk_by(|a, b| matches!((a, b), (Item::Stage(_), Item::Stage(_)))) {
            if run.len() <= BLOCK + BLOCK / 2 {
                out.extend(run.iter().map(|item| self.item(item)));
            } else {
                for (number, block) in run.chunks(BLOCK).enumerate() {
                    let first = at + number * BLOCK + 1;
                    out += &self.fold(&format!("{first} to {}", first + block.len() - 1), block);
                }
            }
            at += run.len();
        }
        out
    }

    /// One row or fold.
    fn item(&mut self, item: &Item) -> String {
        match item {
            Item::Stage(ix) => self.stage(*ix),
            Item::Fold(fold, items) => {
                let name = self.view.graph().folds[*fold as usize].name.clone();
                self.fold(&name, items)
            }
        }
    }

    /// A fold: its worst state, its whole time, its rows.
    fn fold(&mut self, name: &str, items: &[Item]) -> String {
        let mut nodes = Vec::new();
        for item in items {
            stages(item, &mut nodes);
        }
        let state = self.worst(&nodes);
        let is_bad = nodes.iter().any(|&ix| words::is_bad(self.view.get(ix).state));
        let open = if self.all <= OPEN || (is_bad && nodes.len() <= OPEN) { " open" } else { "" };
        let start = nodes.iter().filter_map(|&ix| self.view.get(ix).started).min();
        let end = nodes.iter().filter_map(|&ix| self.view.get(ix).ended).max();
        let took = start.zip(end).map(|(start, end)| words::length(end.since(start))).unwrap_or_default();
        let word = state.word();
        let bar = self.axis.fold(self.view, &nodes, state);
        let count = nodes.len();
        format!(
            "<details class=\"fold\"{open}><summary><span class=\"state {word}\">{word}</span>\
             <span class=\"id\">{} ({count})</span><span class=\"time\">{took}</span>{bar}</summary>\
             <div class=\"in\">\n{}</div></details>\n",
            escape(name),
            self.items(items),
        )
    }

    /// The state that says most about several stages.
    fn worst(&self, nodes: &[NodeIx]) -> NodeState {
        let rank = |state: NodeState| match state {
            NodeState::Unknown => 9,
            NodeState::Failed => 8,
            NodeState::TimedOut => 7,
            NodeState::Running | NodeState::Retrying => 6,
            NodeState::Cancelled => 5,
            NodeState::Blocked => 4,
            NodeState::Pending | NodeState::Waiting => 3,
            NodeState::AllowedFailure | NodeState::Undone => 2,
            NodeState::Success => 1,
            NodeState::Cached | NodeState::Skipped => 0,
        };
        let states = nodes.iter().map(|&ix| self.view.get(ix).state);
        states.max_by_key(|&state| rank(state)).unwrap_or(NodeState::Pending)
    }

    /// One stage.
    fn stage(&mut self, ix: NodeIx) -> String {
        let node = self.view.get(ix);
        if self.left == 0 {
            return String::new();
        }
        self.left -= 1;
        let state = why::state(self.view, ix).word();
        let took = node.duration(self.view.ended().unwrap_or(self.view.now())).map(words::length);
        let state_word = if self.view.is_background(ix) { self.view.say_standing(ix) } else { state };
        let crit = match self.view.is_background(ix) {
            true => " behind",
            false if self.critical.contains(&ix) => " crit",
            false => "",
        };
        let id = escape(self.view.id(ix));
        let mut out = format!(
            "<details class=\"row{crit}\"><summary><span class=\"state {state}\">{state_word}</span>\
             <span class=\"id\" title=\"{id}\">{id}</span><span class=\"time\">{}</span>{}</summary>{}</details>\n",
            took.unwrap_or_default(),
            self.axis.stage(self.view, ix),
            self.more(ix),
        );
        if self.left == 0 {
            let more = self.all - MAX_ROWS;
            let status = escape(&hint::command("status"));
            put!(out, "<p class=\"more\">{more} more stages are not drawn; <code>{status}</code> has them</p>");
        }
        out
    }

    /// What a row opens to.
    fn more(&self, ix: NodeIx) -> String {
        let (view, node) = (self.view, self.view.get(ix));
        let mut out = String::from("<div class=\"more\">");
        if let Some(text) = &view.node(ix).description {
            put!(out, "<p>{}</p>", escape(text));
        }
        let reason = why::explain(view, ix, view.now());
        if !reason.is_empty() {
            put!(out, "<p class=\"why\">{}</p>", escape(&reason));
        }
        out += "<table>";
        let needs: Vec<NodeIx> = view.needs(ix).collect();
        if !needs.is_empty() {
            let names: Vec<String> = needs.iter().take(50).map(|&need| escape(view.id(need))).collect();
            put!(out, "<tr><th>needs</th><td class=\"wrap mono\">{}</td></tr>", names.join(", "));
        }
        if let Some(start) = node.started {
            put!(
                out,
                "<tr><th>started</th><td>{} after the run</td></tr>",
                words::length(start.since(Millis::ZERO))
            );
        }
        if node.shards.all > 1 {
            put!(out, "<tr><th>shards</th><td>{}</td></tr>", escape(&why::shards(node)));
        }
        if node.cpu_us > 0 || node.max_rss_kib > 0 {
            let cpu = words::length(Span::from_ms(node.cpu_us / 1000));
            let most = match node.max_rss_kib {
                0 => String::new(),
                kib => format!(", {} MiB", kib.div_ceil(1024)),
            };
            put!(out, "<tr><th>used</th><td>{cpu} of CPU{most}</td></tr>");
        }
        for (name, value) in &node.outputs {
            let (name, value) = (escape(name), escape(&value.to_string()));
            put!(out, "<tr><th>{name}</th><td class=\"wrap mono\">{value}</td></tr>");
        }
        out += "</table>";
        for note in &node.notes {
            put!(out, "<p class=\"waiting\">{}</p>", escape(note));
        }
        out += &self.attempts(ix);
        let is_bad = words::is_bad(node.state);
        if is_bad || self.all <= MAX_TALKATIVE {
            out += &super::output(view, ix, self.logs, if is_bad { TAIL_LINES } else { FEW_LINES });
        }
        out + "</div>"
    }

    /// A stage's attempts, when there is more to say than that it ran once.
    fn attempts(&self, ix: NodeIx) -> String {
        let node = self.view.get(ix);
        let is_sharded = node.shards.all > 1;
        let told: Vec<_> = node
            .bars
            .iter()
            .filter(|bar| !is_sharded || !matches!(bar.outcome, Some(crate::run::Outcome::Success)))
            .collect();
        if told.len() < 2 && !is_sharded || told.is_empty() {
            return String::new();
        }
        let shard = if is_sharded { "<th>shard</th>" } else { "" };
        let mut out =
            format!("<table><tr>{shard}<th>attempt</th><th>started</th><th>took</th><th>ended</th></tr>");
        for bar in told {
            let shard = if is_sharded { format!("<td class=\"n\">{}</td>", bar.shard) } else { String::new() };
            let start = words::length(bar.start.since(Millis::ZERO));
            let took = words::length(bar.end.since(bar.start));
            let said = bar.outcome.as_ref().map_or_else(|| "nobody knows".to_owned(), words::outcome);
            let number = bar.number;
            put!(
                out,
                "<tr>{shard}<td class=\"n\">{number}</td><td class=\"n\">{start}</td><td class=\"n\">{took}</td><td>{}</td></tr>",
                escape(&said)
            );
        }
        out + "</table>"
    }
}
