//! The critical path: which chain decides how long the run takes, and how much slack the others have.

use super::{Schedule, StageForecast};
use crate::base::{IdVec, NodeIx, Span};
use crate::graph::model::{Graph, Node, Phase};

/// The longest chain of a run.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Path {
    /// Its nodes, the first to start first; unselected nodes are left out.
    pub nodes: Vec<NodeIx>,
    /// Its length.
    pub length: Span,
}

/// Finds the critical path and fills in times, slack and marks.
///
/// With `d(n)` the time of a node (its length in the rehearsal, else its p50, else the guess in its rules; 0
/// when unselected): `finish(n) = d(n) + max finish(needs)`, `tail(n) = d(n) + max tail(dependents)`, and
/// `slack(n) = length − (finish(n) + tail(n) − d(n))`. The clean-up begins at the end of the main phase.
pub(super) fn critical(
    graph: &Graph,
    schedule: Option<&Schedule>,
    stages: &mut IdVec<NodeIx, StageForecast>,
) -> Path {
    let took = lengths(graph, schedule, stages);
    let mut path = Path::default();
    for phase in [Phase::Main, Phase::Finally] {
        let part = longest(graph, phase, &took, stages, path.length);
        path.length = path.length + part.length;
        // Where places for cells are told of by one of them, that one stands on the path.
        path.nodes.extend(part.nodes.into_iter().map(|ix| graph.told_by(ix)));
    }
    for &ix in &path.nodes {
        stages[ix].is_critical = true;
    }
    for start in schedule.iter().flat_map(|plan| &plan.starts) {
        (stages[start.node].at, stages[start.node].end) = (start.at, start.end);
    }
    path
}

fn lengths(
    graph: &Graph,
    schedule: Option<&Schedule>,
    stages: &IdVec<NodeIx, StageForecast>,
) -> IdVec<NodeIx, Span> {
    let guess = |(ix, node): (NodeIx, &Node)| match &stages[ix].expected {
        _ if !node.selected => Span::ZERO,
        Some(seen) => seen.p50,
        None => node.rules.expected,
    };
    let mut took: IdVec<NodeIx, Span> = graph.nodes.pairs().map(guess).collect();
    for start in schedule.iter().flat_map(|plan| &plan.starts) {
        took[start.node] = start.end - start.at;
    }
    took
}

/// The longest chain of one phase; sets the times of its nodes, `base` being the phase's begin.
fn longest(
    graph: &Graph,
    phase: Phase,
    took: &IdVec<NodeIx, Span>,
    stages: &mut IdVec<NodeIx, StageForecast>,
    base: Span,
) -> Path {
    let inside = |ix: &NodeIx| graph.nodes[*ix].phase == phase;
    let needs = |ix: NodeIx| graph.nodes[ix].needs.iter().map(|need| need.node).filter(inside);
    let mut finish: IdVec<NodeIx, Span> = IdVec::filled(Span::ZERO, graph.nodes.len());
    let mut tail = finish.clone();
    for &ix in graph.order().iter().filter(|ix| inside(ix)) {
        finish[ix] = took[ix] + needs(ix).map(|need| finish[need]).max().unwrap_or_default();
    }
    for &ix in graph.order().iter().rev().filter(|ix| inside(ix)) {
        let after = graph.dependents(ix).iter().copied().filter(inside);
        tail[ix] = took[ix] + after.map(|next| tail[next]).max().unwrap_or_default();
    }
    let members = || graph.nodes.indexes().filter(inside);
    let length = members().map(|ix| finish[ix]).max().unwrap_or_default();
    for ix in members().filter(|ix| graph.nodes[*ix].selected) {
        stages[ix].slack = length - (finish[ix] + (tail[ix] - took[ix]));
        (stages[ix].at, stages[ix].end) = (base + (finish[ix] - took[ix]), base + finish[ix]);
    }
    let mut nodes = Vec::new();
    let latest = |some: &mut dyn Iterator<Item = NodeIx>| {
        some.min_by_key(|ix| (std::cmp::Reverse(finish[*ix]), !graph.nodes[*ix].selected, *ix))
    };
    let mut at = latest(&mut members());
    while let Some(ix) = at {
        nodes.push(ix);
        at = latest(&mut needs(ix));
    }
    nodes.reverse();
    nodes.retain(|ix| graph.nodes[*ix].selected);
    Path { nodes, length }
}
