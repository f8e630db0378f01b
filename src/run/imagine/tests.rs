use super::*;
use crate::graph::Parts;
use crate::graph::model::{Accept, Need, Node, Pool};

/// The same step as [`Traces::before`], as one would say it.
fn said(graph: &Graph, past: &[Past], it: Past) -> (Option<usize>, Option<Cause>) {
    let node = &graph.nodes[it.node];
    let earlier =
        |test: &dyn Fn(&Past) -> bool| past.iter().rposition(|other| other.ended <= it.started && test(other));
    if let Some(at) = earlier(&|other| (other.node, other.shard) == (it.node, it.shard)) {
        return (Some(at), None);
    }
    let need = earlier(&|other| node.needs.iter().any(|need| need.node == other.node));
    if let Some(at) = need.filter(|&at| past[at].ended == it.started) {
        return (Some(at), None);
    }
    let shares = |other: &Past| {
        let theirs = &graph.nodes[other.node].rules.pools;
        node.rules.pools.iter().map(|pool| pool.0).find(|pool| theirs.iter().any(|other| other.0 == *pool))
    };
    let at_once = |test: &dyn Fn(&Past) -> bool| earlier(&|other| other.ended == it.started && test(other));
    if let Some(at) = at_once(&|other| shares(other).is_some()) {
        return (Some(at), shares(&past[at]).map(Cause::Pool));
    }
    if let Some(at) = at_once(&|_| true) {
        let is_phase = need.is_none() && node.phase.is_last();
        return (Some(at), if is_phase { None } else { Some(Cause::Slots) });
    }
    (need.or_else(|| earlier(&|_| true)), None)
}

/// Six stages, some with needs and one or two of three pools.
fn six() -> Graph {
    let pools: [&[u32]; 6] = [&[0], &[], &[1, 0], &[2], &[], &[0, 2]];
    let needs: [&[u32]; 6] = [&[], &[], &[0], &[0, 1], &[1], &[2, 3]];
    let nodes = pools.iter().zip(needs).enumerate().map(|(at, (pools, needs))| {
        let mut node = Node::plain(&format!("n{at}"));
        node.rules.pools = pools.iter().map(|&pool| (PoolIx::new(pool), 1)).collect();
        node.needs = needs.iter().map(|&at| Need { node: NodeIx::new(at), accept: Accept::DEFAULT }).collect();
        node
    });
    let mut parts = Parts::of("six", nodes.collect());
    parts.pools = (0..3).map(|at| Pool { name: format!("p{at}"), capacity: 2 }).collect();
    Graph::assemble(parts).expect("it is a graph")
}

#[test]
fn each_step_back_is_the_last_that_had_to_end_before() {
    let graph = six();
    let mut seed = 7_u64;
    let mut below = |most: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % most
    };
    for _ in 0..300 {
        let (mut tries, mut ended) = (BTreeMap::<(u64, u64), u16>::new(), 0);
        let past: Vec<Past> = (0..40)
            .map(|_| {
                ended += below(4);
                let (node, shard) = (below(6), below(5));
                let number = tries.entry((node, shard)).or_default();
                *number += 1;
                Past {
                    node: NodeIx::new(u32::try_from(node).expect("small")),
                    shard: u32::try_from(shard).expect("small"),
                    number: *number,
                    started: Millis::new(ended - below(9).min(ended)),
                    ended: Millis::new(ended),
                }
            })
            .collect();
        let traces = Traces::of(&graph, &past);
        for (ix, it) in past.iter().enumerate() {
            assert_eq!(traces.before(ix), said(&graph, &past[..ix], *it), "step {ix} of {past:?}");
        }
    }
}
