//! In which order stages ended, as far as an attempt can tell that starts now.
//!
//! What a stage has changed outside of the engine, say a program that it installed, must be seen by the stages that come
//! after it. Whoever keeps what was seen of the outside asks here whether it is too old for them.

use crate::base::NodeIx;
use crate::graph::Graph;
use crate::run::{Attempt, Event};

/// Counts the ends of stages.
#[derive(Debug, Default)]
pub struct Order {
    count: u64,
    /// By stage, how many had ended with it.
    ended: Vec<u64>,
    /// Ends of another version of the plan: they come before everything.
    floor: u64,
}

impl Order {
    /// Hears the next record.
    pub fn hear(&mut self, event: &Event) {
        match event {
            Event::NodeFinished { node, .. } | Event::NodeSkipped { node, .. } => {
                self.count += 1;
                let at = node.raw() as usize;
                if self.ended.len() <= at {
                    self.ended.resize(at + 1, 0);
                }
                self.ended[at] = self.count;
            }
            Event::PlanChanged { .. } => {
                self.floor = self.count;
                self.ended.clear();
            }
            _ => {}
        }
    }

    /// How many stages have ended, and how many had when the last one ended that `attempt` comes after. A later
    /// attempt comes after its own first, and a clean-up after everything.
    pub fn of(&self, attempt: Attempt, graph: &Graph) -> (u64, u64) {
        let it = &graph.nodes[attempt.node];
        if attempt.number != 1 || it.phase.is_last() {
            return (self.count, self.count + 1);
        }
        let of = |node: NodeIx| self.ended.get(node.raw() as usize).copied().unwrap_or(0);
        let last = it.needs.iter().map(|need| of(need.node)).max().unwrap_or(0);
        (self.count, last.max(self.floor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Parts;
    use crate::graph::model::{Accept, Need, Node, Phase};
    use crate::run::event::NodeState;

    fn graph() -> Graph {
        let mut nodes = ["tools", "other", "uses-tools", "notify"].map(Node::plain);
        nodes[2].needs = vec![Need { node: NodeIx::new(0), accept: Accept::DEFAULT }];
        nodes[3].phase = Phase::Finally;
        Graph::assemble(Parts::of("test", nodes.into())).expect("there is no cycle")
    }

    fn first(node: u32) -> Attempt {
        Attempt { node: NodeIx::new(node), shard: 0, number: 1 }
    }

    fn end(node: u32) -> Event {
        Event::NodeFinished { node: NodeIx::new(node), state: NodeState::Success, reason: String::new() }
    }

    #[test]
    fn a_stage_comes_after_what_it_needs_and_after_nothing_else() {
        let (graph, mut order) = (graph(), Order::default());
        assert_eq!(order.of(first(1), &graph), (0, 0));
        order.hear(&end(0));
        assert_eq!(order.of(first(2), &graph), (1, 1), "a look from before the end of its need is too old");
        order.hear(&end(1));
        assert_eq!(order.of(first(2), &graph), (2, 1), "one from between the two is not");
        assert_eq!(order.of(first(1), &graph), (2, 0));
    }

    #[test]
    fn a_later_attempt_and_the_clean_up_trust_no_earlier_look() {
        let (graph, mut order) = (graph(), Order::default());
        order.hear(&end(0));
        for attempt in [Attempt { number: 2, ..first(1) }, first(3)] {
            let (seen, after) = order.of(attempt, &graph);
            assert!(after > seen, "{attempt:?}");
        }
    }

    #[test]
    fn another_plan_comes_after_everything() {
        let (graph, mut order) = (graph(), Order::default());
        order.hear(&end(0));
        order.hear(&Event::PlanChanged { version: 1 });
        assert_eq!(order.of(first(1), &graph), (1, 1));
    }
}
