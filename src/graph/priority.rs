//! Which ready stage goes first: the one with the most expected work behind it.

use super::model::{Graph, Phase};
use crate::base::{IdVec, NodeIx};

/// The longest sum of expected times from each node's start to a node that nothing needs, in ms, that
/// node's own time included: all rounds of its shards. Needs `Graph::order` and the dependents.
pub(super) fn critical_path(graph: &Graph) -> IdVec<NodeIx, u64> {
    let mut longest = IdVec::filled(0u64, graph.nodes.len());
    for &node in graph.order().iter().rev() {
        // What follows the verdict makes no stage before it more urgent.
        let counts = |next: &&NodeIx| {
            graph.nodes[**next].phase != Phase::Background || graph.nodes[node].phase == Phase::Background
        };
        let behind = graph.dependents(node).iter().filter(counts).map(|&next| longest[next]).max().unwrap_or(0);
        longest[node] = behind.saturating_add(graph.whole(node).ms());
    }
    longest
}
