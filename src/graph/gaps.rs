//! What a selection leaves out keeps its place: order goes on over the gap.
//!
//! Of `build → test → ship` without `test`, `ship` still comes after `build`, and only when `build` went well. So
//! each selected stage also needs the nearest selected stages behind those of its needs that were left out.

use std::collections::BTreeMap;

use super::model::{Accept, Graph, Need};
use crate::base::{IdVec, NodeIx, limits};

/// More than [`limits::MAX_EDGES`] edges would be needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TooManyEdges;

/// Leaves out what handles a failure that cannot happen, because the stage that it watches was left out; but not
/// what a person `named`.
pub(super) fn drop_idle_handlers(graph: &mut Graph, named: &IdVec<NodeIx, bool>) {
    for node in graph.order().to_vec() {
        let it = &graph.nodes[node];
        let is_idle = |need: &Need| need.accept.failed && !need.accept.success && !graph.nodes[need.node].selected;
        if it.phase.is_stage() && it.selected && !named[node] && it.needs.iter().any(is_idle) {
            graph.nodes[node].selected = false;
        }
    }
}

/// Ties each selected stage to the nearest selected stages behind its needs that are left out.
///
/// # Errors
/// [`TooManyEdges`]; the graph is as it was.
pub(super) fn bridge(graph: &mut Graph) -> Result<(), TooManyEdges> {
    let mut behind: BTreeMap<NodeIx, Vec<Need>> = BTreeMap::new();
    let mut ties: Vec<(NodeIx, Vec<Need>)> = Vec::new();
    let mut edges = 0;
    for &node in graph.order() {
        let it = &graph.nodes[node];
        if !it.phase.is_stage() {
            continue;
        }
        let mut found = Vec::new();
        for &need in &it.needs {
            match behind.get(&need.node) {
                Some(far) if it.selected => found.extend(far.iter().map(|&far| over(need.accept, far))),
                Some(far) => found.extend(far),
                None if it.selected => {}
                None => found.push(Need { accept: only_order(need.accept), ..need }),
            }
        }
        found.sort_unstable_by_key(|need| (need.node, need.accept.failed, need.accept.skipped));
        found.dedup();
        edges += found.len();
        if edges > limits::MAX_EDGES {
            return Err(TooManyEdges);
        }
        if !it.selected {
            behind.insert(node, found);
        } else if !found.is_empty() {
            ties.push((node, found));
        }
    }
    if ties.is_empty() {
        return Ok(());
    }
    for (node, found) in ties {
        graph.nodes[node].needs.extend(found);
    }
    graph.tie_again();
    Ok(())
}

/// What is left of the need of a stage that was left out: what comes after it waits, and is blocked by a failure, for
/// it would be no handler of that failure that may start while the run drains.
fn only_order(accept: Accept) -> Accept {
    Accept { success: true, skipped: accept.skipped || accept.failed, failed: false }
}

/// What lies behind a stage that was left out, for one whose need of it accepts `accept`: what accepts its failure
/// accepts that it would have been blocked.
fn over(accept: Accept, far: Need) -> Need {
    let accept = if accept.failed { Accept { success: true, skipped: true, failed: true } } else { far.accept };
    Need { accept, ..far }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Parts;
    use crate::graph::model::Node;

    const FAILED: Accept = Accept { success: false, skipped: false, failed: true };
    const ALL: Accept = Accept { success: true, skipped: true, failed: true };

    /// Stages by their needs, of which those in `out` are left out.
    fn graph(nodes: &[(&str, &[(u32, Accept)])], out: &[&str]) -> Graph {
        let node = |&(id, needs): &(&str, &[(u32, Accept)])| {
            let needs = needs.iter().map(|&(at, accept)| Need { node: NodeIx::new(at), accept }).collect();
            Node { needs, selected: !out.contains(&id), ..Node::plain(id) }
        };
        Graph::assemble(Parts::of("test", nodes.iter().map(node).collect())).expect("no cycle")
    }

    fn needs(graph: &Graph, at: u32) -> Vec<(u32, Accept)> {
        graph.nodes[NodeIx::new(at)].needs.iter().map(|need| (need.node.raw(), need.accept)).collect()
    }

    const PLAIN: Accept = Accept::DEFAULT;

    #[test]
    fn order_goes_on_over_what_is_left_out() {
        let chain: [(&str, &[(u32, Accept)]); 4] =
            [("a", &[]), ("b", &[(0, PLAIN)]), ("c", &[(1, PLAIN)]), ("d", &[(2, PLAIN)])];
        let mut graph = graph(&chain, &["b", "c"]);
        bridge(&mut graph).expect("few edges");
        assert_eq!(needs(&graph, 3), [(2, PLAIN), (0, PLAIN)]);
        assert_eq!(graph.dependents(NodeIx::new(0)), [NodeIx::new(1), NodeIx::new(3)]);
        assert_eq!(graph.order().last(), Some(&NodeIx::new(3)));
    }

    #[test]
    fn what_accepts_a_failure_accepts_one_behind_the_gap() {
        let nodes: [(&str, &[(u32, Accept)]); 4] =
            [("a", &[]), ("b", &[(0, PLAIN)]), ("always", &[(1, ALL)]), ("then", &[(2, PLAIN)])];
        let mut one = graph(&nodes, &["b"]);
        bridge(&mut one).expect("few edges");
        assert_eq!(needs(&one, 2), [(1, ALL), (0, ALL)]);
        let mut two = graph(&nodes, &["b", "always"]);
        bridge(&mut two).expect("few edges");
        assert_eq!(needs(&two, 3), [(2, PLAIN), (0, PLAIN)], "`then` handles no failure of `a`");
    }

    #[test]
    fn what_was_left_out_needs_nothing_to_be_passed_over() {
        let nodes: [(&str, &[(u32, Accept)]); 3] =
            [("a", &[]), ("alarm", &[(0, FAILED)]), ("then", &[(1, PLAIN)])];
        let mut graph = graph(&nodes, &["alarm"]);
        bridge(&mut graph).expect("few edges");
        assert_eq!(needs(&graph, 2), [(1, PLAIN), (0, PLAIN)], "after `a`, which must not fail");
        let mut graph = self::graph(&nodes, &["a", "alarm"]);
        bridge(&mut graph).expect("few edges");
        assert_eq!(needs(&graph, 2), [(1, PLAIN)]);
    }

    #[test]
    fn a_handler_of_what_is_left_out_has_nothing_to_handle() {
        let nodes: [(&str, &[(u32, Accept)]); 3] =
            [("a", &[]), ("alarm", &[(0, FAILED)]), ("worse", &[(1, FAILED)])];
        let named = |names: &[u32]| {
            let mut named = IdVec::filled(false, 3);
            for &at in names {
                named[NodeIx::new(at)] = true;
            }
            named
        };
        let selected = |graph: &Graph| -> Vec<String> {
            graph.nodes.iter().filter(|node| node.selected).map(|node| node.id.to_string()).collect()
        };
        let mut one = graph(&nodes, &["a"]);
        drop_idle_handlers(&mut one, &named(&[]));
        assert_eq!(selected(&one), Vec::<String>::new());
        let mut two = graph(&nodes, &["a"]);
        drop_idle_handlers(&mut two, &named(&[1]));
        assert_eq!(selected(&two), ["alarm", "worse"], "a person asks for it");
    }
}
