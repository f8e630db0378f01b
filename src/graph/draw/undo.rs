//! The rollback in the text of `engine plan`: in which order stages are undone, and which are not.

use crate::base::{IdVec, NodeIx, count};
use crate::graph::model::{Graph, Phase, Policy, Undo};

/// Stages that are named before the rest is only counted.
const MAX_NAMED: usize = 12;

/// What there is to say of a plan in which something can be undone, or is to be; by name and text.
pub(super) fn rows(graph: &Graph, arrow: &str) -> Vec<(&'static str, String)> {
    let main = || graph.stages().filter(|(_, node)| node.phase == Phase::Main && node.selected);
    let rolls_back = graph.scopes.iter().any(|scope| scope.policy == Policy::Rollback);
    if !rolls_back && main().all(|(_, node)| node.rules.undo == Undo::Unsaid) {
        return Vec::new();
    }
    let mut rows = Vec::new();
    let order = order(graph, arrow);
    if !order.is_empty() {
        rows.push(("undone", order));
    }
    let names = |undo: Undo| {
        let of = main().filter(|(_, node)| node.rules.undo == undo && !node.rules.is_approval);
        let all: Vec<&str> = of.map(|(_, node)| &*node.id).collect();
        listed(&all)
    };
    rows.extend(
        names(Undo::Never).map(|names| ("no return", format!("{names}: an automatic rollback stops there"))),
    );
    rows.extend(names(Undo::Unsaid).map(|names| ("not undone", format!("{names}: no `rollback`"))));
    rows
}

/// The stages in the order in which they are undone, what is undone at once side by side.
fn order(graph: &Graph, arrow: &str) -> String {
    let mut depth: IdVec<NodeIx, usize> = IdVec::filled(0, graph.nodes.len());
    let mut steps: Vec<Vec<&str>> = Vec::new();
    for &ix in graph.order() {
        let node = &graph.nodes[ix];
        let undoes = node.undoes.filter(|&stage| node.rules.undo != Undo::Never && !graph.is_hidden(stage));
        let Some(stage) = undoes else { continue };
        if !graph.nodes[stage].selected {
            continue;
        }
        depth[ix] = node.needs.iter().map(|need| depth[need.node] + 1).max().unwrap_or(0);
        if steps.len() <= depth[ix] {
            steps.resize(depth[ix] + 1, Vec::new());
        }
        steps[depth[ix]].push(&graph.nodes[stage].id);
    }
    let steps = steps.iter().filter(|step| !step.is_empty()).filter_map(|step| listed(step));
    steps.collect::<Vec<_>>().join(arrow)
}

fn listed(all: &[&str]) -> Option<String> {
    let shown = all.iter().take(MAX_NAMED).copied().collect::<Vec<_>>().join(", ");
    let more = all.len().saturating_sub(MAX_NAMED);
    let more = if more > 0 { format!(" and {}", count::plural(more as u64, "more stage")) } else { String::new() };
    (!all.is_empty()).then(|| format!("{shown}{more}"))
}
