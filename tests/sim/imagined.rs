//! Imagined runs against what no schedule can beat.

use std::sync::Arc;

use engine::base::{NodeIx, Span};
use engine::graph::model::{Accept, Need, Node};
use engine::graph::{Graph, Parts};
use engine::run::event::RunEnd;
use engine::run::{Outcome, imagine};

use crate::plan::Dice;

/// Layers of stages, each with needs in the layer before.
fn layered(dice: &mut Dice, slots: u32) -> Arc<Graph> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut above: std::ops::Range<u32> = 0..0;
    for layer in 0..10 {
        let first = u32::try_from(nodes.len()).expect("few");
        for at in 0..(10 + dice.small(30)) {
            let mut node = Node::plain(&format!("l{layer}n{at}"));
            node.rules.expected = Span::from_ms(10 + dice.below(200));
            for _ in 0..dice.below(3).min(u64::from(above.end - above.start)) {
                let need = NodeIx::new(above.start + dice.small(above.end - above.start));
                if node.needs.iter().all(|known| known.node != need) {
                    node.needs.push(Need { node: need, accept: Accept::DEFAULT });
                }
            }
            nodes.push(node);
        }
        above = first..u32::try_from(nodes.len()).expect("few");
    }
    let mut parts = Parts::of("layered", nodes);
    parts.settings.max_parallel = slots;
    Arc::new(Graph::assemble(parts).expect("needs point backwards"))
}

/// The median makespan is within 5 % of the larger of the critical path and all work over the slots; none is below it,
/// and every moment of it has its cause.
#[test]
fn a_run_is_hardly_longer_than_it_must_be() {
    let mut dice = Dice(20);
    let mut ratios = Vec::new();
    for _ in 0..60 {
        let slots = 2 + dice.small(15);
        let graph = layered(&mut dice, slots);
        let took = |node: NodeIx| graph.nodes[node].rules.expected;
        let run = imagine(&graph, 1, &mut |attempt, _| (took(attempt.node), Outcome::Success));
        assert_eq!(run.verdict.state, RunEnd::Success);
        let causes: u64 = run.causes.values().map(|span| span.ms()).sum();
        assert_eq!(causes, run.took.ms(), "each moment once");
        let work: u64 = graph.nodes.indexes().map(|node| took(node).ms()).sum();
        let path = graph.nodes.indexes().map(|node| graph.priority(node)).max().expect("a stage");
        let least = path.max(work.div_ceil(u64::from(slots)));
        assert!(run.took.ms() >= least, "{} of {least}", run.took);
        ratios.push(run.took.ms() * 1000 / least);
    }
    ratios.sort_unstable();
    assert!(
        ratios[ratios.len() / 2] <= 1050,
        "the median is {} thousandths of the bound",
        ratios[ratios.len() / 2]
    );
}

/// The causes of a run of many shards are its whole time, each moment once.
#[test]
fn a_run_of_many_shards_is_explained_whole() {
    let mut node = Node::plain("many");
    node.rules.shards = 20_000;
    let mut parts = Parts::of("many", vec![node]);
    parts.settings.max_parallel = 2;
    let graph = Arc::new(Graph::assemble(parts).expect("it is a graph"));
    let run =
        imagine(&graph, 1, &mut |attempt, _| (Span::from_ms(1 + u64::from(attempt.shard % 7)), Outcome::Success));
    assert_eq!(run.verdict.state, RunEnd::Success);
    assert_eq!(run.causes.values().map(|span| span.ms()).sum::<u64>(), run.took.ms(), "each moment once");
}
