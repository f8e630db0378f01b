//! Nodes become a graph: who depends on whom, an order, priorities; or the cycles that forbid one.
//!
//! Everything here is iterative and linear in nodes and edges, so that a cycle of 100,000 stages is an
//! error like any other.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use petgraph::algo::kosaraju_scc;
use petgraph::graph::DiGraph;

use super::model::{Fold, Frame, Graph, Node, Policy, Pool, Scope, Settings};
use super::objective::{Group, Objective};
use super::priority;
use crate::base::idvec::Index;
use crate::base::{IdVec, NodeIx, PoolIx, ScopeIx};

/// What a graph is assembled from. Every index in it must be in range.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// The plan's name.
    pub name: String,
    /// Nodes in written order.
    pub nodes: Vec<Node>,
    /// Failure scopes, the plan's own first; must not be empty.
    pub scopes: Vec<Scope>,
    /// Pools.
    pub pools: Vec<Pool>,
    /// Folds.
    pub folds: Vec<Fold>,
    /// Frames.
    pub frames: Vec<Frame>,
    /// Limits of the run.
    pub settings: Settings,
    /// Matrices whose cells an earlier stage gives.
    pub matrices: Vec<super::cells::LateMatrix>,
    /// Groups.
    pub groups: Vec<Group>,
    /// Objectives.
    pub objectives: Vec<Objective>,
}

/// Why parts are no graph.
#[derive(Clone, Debug)]
pub struct Knots {
    /// One for each knot of stages that need each other: every node in it needs the next one, and the last one
    /// needs the first. It starts at the first written node of the shortest cycle found.
    pub cycles: Vec<Vec<NodeIx>>,
    /// All nodes.
    pub nodes: IdVec<NodeIx, Node>,
}

impl Parts {
    /// `nodes` in the plan's own scope (drain), with an empty frame, no pools, and 8 attempts at once.
    pub fn of(name: &str, nodes: Vec<Node>) -> Self {
        Self {
            name: name.to_owned(),
            nodes,
            scopes: vec![Scope { parent: None, name: "plan".to_owned(), policy: Policy::Drain }],
            frames: vec![Frame::default()],
            settings: Settings { max_parallel: 8, ..Settings::default() },
            ..Self::default()
        }
    }
}

impl Graph {
    /// Freezes `parts`.
    ///
    /// # Errors
    /// [`Knots`], when there are stages that need each other.
    pub fn assemble(parts: Parts) -> Result<Self, Knots> {
        let nodes: IdVec<NodeIx, Node> = parts.nodes.into();
        let (dependents, dependent_offsets) = reverse(&nodes);
        let undone_by = nodes.pairs().filter_map(|(ix, node)| Some((node.undoes?, ix))).collect();
        let mut ladders = BTreeMap::<NodeIx, Vec<NodeIx>>::new();
        for (ix, stage) in nodes.pairs().filter_map(|(ix, node)| Some((ix, node.heals?))) {
            ladders.entry(stage).or_default().push(ix);
        }
        let mut graph = Self {
            name: parts.name,
            scopes: IdVec::<ScopeIx, _>::from(parts.scopes),
            pools: IdVec::<PoolIx, _>::from(parts.pools),
            folds: parts.folds,
            frames: parts.frames,
            settings: parts.settings,
            matrices: parts.matrices,
            groups: parts.groups,
            objectives: parts.objectives,
            dependents,
            dependent_offsets,
            undone_by,
            ladders,
            order: Vec::new(),
            priority: IdVec::filled(0, nodes.len()),
            by_id: OnceLock::new(),
            nodes,
        };
        graph.order = order(&graph);
        if graph.order.len() < graph.nodes.len() {
            return Err(Knots { cycles: cycles(&graph), nodes: graph.nodes });
        }
        graph.priority = priority::critical_path(&graph);
        Ok(graph)
    }

    /// The node called `id`.
    pub fn find(&self, id: &str) -> Option<NodeIx> {
        let sorted = self.by_id.get_or_init(|| {
            let mut sorted: Vec<NodeIx> = self.nodes.indexes().collect();
            sorted.sort_by(|&a, &b| self.nodes[a].id.cmp(&self.nodes[b].id));
            sorted
        });
        sorted.binary_search_by(|&node| (*self.nodes[node].id).cmp(id)).ok().map(|at| sorted[at])
    }

    /// Works out anew who depends on whom, after needs that make no cycle were added.
    pub(super) fn tie_again(&mut self) {
        (self.dependents, self.dependent_offsets) = reverse(&self.nodes);
        self.order = order(self);
        self.priority = priority::critical_path(self);
    }
}

/// Who needs whom, as one list with offsets; a node that needs another twice is listed once.
fn reverse(nodes: &IdVec<NodeIx, Node>) -> (Vec<NodeIx>, Vec<u32>) {
    let mut offsets = vec![0u32; nodes.len() + 1];
    each_edge(nodes, |_, need| offsets[need.raw() as usize + 1] += 1);
    for at in 1..offsets.len() {
        offsets[at] += offsets[at - 1];
    }
    let mut next = offsets.clone();
    let mut dependents = vec![NodeIx::new(0); offsets[nodes.len()] as usize];
    each_edge(nodes, |node, need| {
        let slot = &mut next[need.raw() as usize];
        dependents[*slot as usize] = node;
        *slot += 1;
    });
    (dependents, offsets)
}

/// Calls `edge(node, need)` once for every pair, in written order.
fn each_edge(nodes: &IdVec<NodeIx, Node>, mut edge: impl FnMut(NodeIx, NodeIx)) {
    let mut last_seen = vec![u32::MAX; nodes.len()];
    for (node, body) in nodes.pairs() {
        for need in &body.needs {
            let seen = &mut last_seen[need.node.raw() as usize];
            if *seen != node.raw() {
                *seen = node.raw();
                edge(node, need.node);
            }
        }
    }
}

/// Kahn's algorithm, first written first among equals; shorter than `nodes` when there is a cycle.
fn order(graph: &Graph) -> Vec<NodeIx> {
    let mut missing = vec![0u32; graph.nodes.len()];
    for &node in &graph.dependents {
        missing[node.raw() as usize] += 1;
    }
    let mut order: Vec<NodeIx> = graph.nodes.indexes().filter(|node| missing[node.raw() as usize] == 0).collect();
    let mut at = 0;
    while let Some(&node) = order.get(at) {
        at += 1;
        for &dependent in graph.dependents(node) {
            let left = &mut missing[dependent.raw() as usize];
            *left -= 1;
            if *left == 0 {
                order.push(dependent);
            }
        }
    }
    order
}

/// Edges that the search for shortest cycles may walk in all, beyond the first search in each knot.
const SEARCH_EDGES: usize = 4_000_000;

/// One short cycle of every knot (strongly connected component).
fn cycles(graph: &Graph) -> Vec<Vec<NodeIx>> {
    // Kosaraju's algorithm, because petgraph's Tarjan recurses once for each node of a knot.
    let mut needs: DiGraph<(), ()> = DiGraph::new();
    for _ in &graph.nodes {
        needs.add_node(());
    }
    for (node, body) in graph.nodes.pairs() {
        needs.extend_with_edges(body.needs.iter().map(|need| (node.raw(), need.node.raw())));
    }
    let mut search = Search::new(graph);
    let mut found: Vec<Vec<NodeIx>> = kosaraju_scc(&needs)
        .into_iter()
        .filter_map(|knot| {
            search.shortest(knot.into_iter().map(|node| NodeIx::from_usize(node.index())).collect())
        })
        .collect();
    found.sort_unstable();
    found
}

/// Breadth-first search for cycles, its tables shared by all knots.
struct Search<'a> {
    graph: &'a Graph,
    /// Which knot a node belongs to, `u32::MAX` before it is known.
    knot: Vec<u32>,
    knots: u32,
    /// Which search saw a node last, and from where.
    seen: Vec<(u32, NodeIx)>,
    searches: u32,
    edges_left: usize,
}

impl<'a> Search<'a> {
    fn new(graph: &'a Graph) -> Self {
        let count = graph.nodes.len();
        Self {
            graph,
            knot: vec![u32::MAX; count],
            knots: 0,
            seen: vec![(0, NodeIx::new(0)); count],
            searches: 0,
            edges_left: SEARCH_EDGES,
        }
    }

    /// A shortest cycle of `knot`; exact unless the knot is so large that the search had to be cut short.
    /// `None` for a single node that does not need itself.
    fn shortest(&mut self, mut knot: Vec<NodeIx>) -> Option<Vec<NodeIx>> {
        knot.sort_unstable();
        for node in &knot {
            self.knot[node.raw() as usize] = self.knots;
        }
        let mut best: Option<Vec<NodeIx>> = None;
        for &start in &knot {
            if best.is_some() && self.edges_left == 0 {
                break;
            }
            let limit = best.as_ref().map_or(usize::MAX, Vec::len);
            if let Some(cycle) = self.through(start, limit) {
                best = Some(cycle);
            }
            // A cycle as long as its knot is the only one there is.
            if best.as_ref().is_some_and(|cycle| cycle.len() == 1 || cycle.len() == knot.len()) {
                break;
            }
        }
        self.knots += 1;
        best
    }

    /// The shortest cycle through `start` inside the current knot, if it is shorter than `limit` nodes.
    fn through(&mut self, start: NodeIx, limit: usize) -> Option<Vec<NodeIx>> {
        self.searches += 1;
        let mut level = vec![start];
        let mut depth = 1;
        while !level.is_empty() && depth < limit {
            let mut next = Vec::new();
            for &node in &level {
                for need in &self.graph.nodes[node].needs {
                    self.edges_left = self.edges_left.saturating_sub(1);
                    let at = need.node.raw() as usize;
                    if need.node == start {
                        return Some(self.path(start, node));
                    }
                    if self.knot[at] == self.knots && self.seen[at].0 != self.searches {
                        self.seen[at] = (self.searches, node);
                        next.push(need.node);
                    }
                }
            }
            level = next;
            depth += 1;
        }
        None
    }

    /// The way from `start` to `last` that this search took.
    fn path(&self, start: NodeIx, last: NodeIx) -> Vec<NodeIx> {
        let mut path = vec![last];
        let mut node = last;
        while node != start {
            node = self.seen[node.raw() as usize].1;
            path.push(node);
        }
        path.reverse();
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Span;
    use crate::graph::model::{Accept, Need};
    use proptest::prelude::*;

    fn graph(needs: &[&[u32]]) -> Result<Graph, Knots> {
        let nodes = needs.iter().enumerate().map(|(at, needs)| Node::after(&format!("n{at}"), needs)).collect();
        Graph::assemble(Parts::of("test", nodes))
    }

    fn raw(nodes: &[NodeIx]) -> Vec<u32> {
        nodes.iter().map(|node| node.raw()).collect()
    }

    #[test]
    fn dependents_are_the_reverse_of_needs_without_doubles() {
        let graph = graph(&[&[], &[0], &[0, 1, 0], &[2]]).expect("no cycle");
        assert_eq!(raw(graph.dependents(NodeIx::new(0))), [1, 2]);
        assert_eq!(raw(graph.dependents(NodeIx::new(1))), [2]);
        assert!(graph.dependents(NodeIx::new(3)).is_empty());
        assert_eq!(raw(graph.order()), [0, 1, 2, 3]);
    }

    #[test]
    fn priority_is_the_longest_expected_time_to_the_end() {
        let mut nodes =
            vec![Node::after("a", &[]), Node::after("b", &[0]), Node::after("c", &[0]), Node::after("d", &[1])];
        for (node, secs) in nodes.iter_mut().zip([1, 2, 10, 3]) {
            node.rules.expected = Span::from_secs(secs);
        }
        let graph = Graph::assemble(Parts::of("test", nodes)).expect("no cycle");
        let priorities: Vec<u64> = graph.nodes.indexes().map(|node| graph.priority(node)).collect();
        assert_eq!(priorities, [11_000, 5000, 10_000, 3000]);
    }

    #[test]
    fn find_knows_every_id_and_no_other() {
        let graph = graph(&[&[], &[0], &[1]]).expect("no cycle");
        for (ix, node) in graph.nodes.pairs() {
            assert_eq!(graph.find(&node.id), Some(ix));
        }
        assert_eq!(graph.find("n"), None);
        assert_eq!(graph.find("n3"), None);
    }

    #[test]
    fn every_knot_gives_its_shortest_cycle() {
        // 0 needs itself; 1 → 2 → 3 → 1 with the short cut 2 → 1; 4 and 5 only hang on.
        let cycles = graph(&[&[0], &[2], &[3, 1], &[1], &[1], &[]]).expect_err("two knots").cycles;
        assert_eq!(cycles.iter().map(|cycle| raw(cycle)).collect::<Vec<_>>(), [vec![0], vec![1, 2]]);
    }

    #[test]
    fn a_cycle_of_a_hundred_thousand_is_found_whole() {
        let count = 100_000;
        let nodes = (0..count).map(|at| Node::after(&format!("n{at}"), &[(at + 1) % count])).collect();
        let cycles = Graph::assemble(Parts::of("test", nodes)).expect_err("one cycle").cycles;
        assert_eq!(cycles.len(), 1);
        assert_eq!(raw(&cycles[0]), (0..count).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn order_is_topological_and_priority_falls(
            edges in proptest::collection::vec((1u32..60, 0u32..60), 0..200),
            times in proptest::collection::vec(0u64..9, 60),
        ) {
            let mut nodes: Vec<Node> = (0..60).map(|at| Node::after(&format!("n{at}"), &[])).collect();
            for (from, to) in edges {
                nodes[from as usize].needs.push(Need { node: NodeIx::new(to % from), accept: Accept::DEFAULT });
            }
            for (node, time) in nodes.iter_mut().zip(times) {
                node.rules.expected = Span::from_ms(time);
            }
            let graph = Graph::assemble(Parts::of("test", nodes)).expect("edges lead back only");
            let mut place = [0usize; 60];
            for (at, node) in graph.order().iter().enumerate() {
                place[node.raw() as usize] = at;
            }
            prop_assert_eq!(graph.order().len(), 60);
            for (ix, node) in graph.nodes.pairs() {
                for need in &node.needs {
                    prop_assert!(place[need.node.raw() as usize] < place[ix.raw() as usize]);
                    let own = graph.nodes[need.node].rules.expected.ms();
                    prop_assert!(graph.priority(need.node) >= graph.priority(ix) + own);
                    prop_assert!(graph.dependents(need.node).contains(&ix));
                }
            }
        }

        #[test]
        fn a_cycle_is_one(edges in proptest::collection::vec((0u32..20, 0u32..20), 0..60)) {
            let mut nodes: Vec<Node> = (0..20).map(|at| Node::after(&format!("n{at}"), &[])).collect();
            for (from, to) in edges {
                nodes[from as usize].needs.push(Need { node: NodeIx::new(to), accept: Accept::DEFAULT });
            }
            let needs: Vec<Vec<NodeIx>> =
                nodes.iter().map(|node| node.needs.iter().map(|need| need.node).collect()).collect();
            if let Err(Knots { cycles, .. }) = Graph::assemble(Parts::of("test", nodes)) {
                prop_assert!(!cycles.is_empty());
                for cycle in cycles {
                    for (at, node) in cycle.iter().enumerate() {
                        let next = cycle[(at + 1) % cycle.len()];
                        prop_assert!(needs[node.raw() as usize].contains(&next));
                    }
                }
            }
        }
    }
}
