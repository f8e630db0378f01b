//! What takes care of a run, in the text of `engine plan`: what heals a stage, and how long things should take.

use crate::base::count;
use crate::graph::model::Graph;
use crate::graph::objective::OnBreach;

/// Lines that are shown before the rest is only counted.
const MAX_NAMED: usize = 6;

/// By name and text.
pub(super) fn rows(graph: &Graph) -> Vec<(&'static str, String)> {
    bounded("slo", objectives(graph)).into_iter().chain(bounded("heal", ladders(graph))).collect()
}

/// `group runtime 10m`, `stage migrate 5m, fails it`.
fn objectives(graph: &Graph) -> Vec<String> {
    let said = graph.objectives.iter().map(|it| {
        let title = format!("{} {}", it.subject.word(), it.name);
        let fails = if it.on_breach == OnBreach::Fail { ", fails when it takes longer" } else { "" };
        format!("{} {}{fails}", title.trim_end(), it.limit)
    });
    said.collect()
}

/// `serve: 3 tries before it fails, halts after 2`.
fn ladders(graph: &Graph) -> Vec<String> {
    let healed = graph.stages().filter(|(ix, node)| node.selected && !graph.ladder(*ix).is_empty());
    let said = healed.map(|(ix, node)| {
        let (all, tried) = (graph.ladder(ix).len(), graph.tried(ix).len());
        let halts = if tried < all { format!(", halts after {tried}") } else { String::new() };
        let tries = if all == 1 { "1 try".to_owned() } else { format!("{all} tries") };
        format!("{}: {tries} before it fails{halts}", node.id)
    });
    said.collect()
}

fn bounded(name: &'static str, mut all: Vec<String>) -> Vec<(&'static str, String)> {
    let more = all.len().saturating_sub(MAX_NAMED);
    all.truncate(MAX_NAMED);
    if more > 0 {
        all.push(format!("and {}", count::plural(more as u64, "other")));
    }
    all.into_iter().map(|text| (name, text)).collect()
}
