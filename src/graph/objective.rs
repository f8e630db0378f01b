//! What stages are promised together: groups with their readiness, and objectives on the time that things take.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::model::{Graph, Phase};
use crate::base::{NodeIx, Span};
pub use crate::plan::model::{OnBreach, Readiness};

/// A group of the plan, or of a file that it uses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// Its name; with the stage's id before it inside a file: `deploy/runtime`.
    pub name: Box<str>,
    /// The group around it, an index into `Graph::groups`: that of the stage which uses the file.
    pub parent: Option<u32>,
    /// Whether the run fails with it.
    pub readiness: Readiness,
}

/// What an objective is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// The run: from its begin to its verdict.
    Run,
    /// A group: from the start of its first stage to the end of its last.
    Group,
    /// A stage, or all stages of the file that it uses: likewise.
    Stage,
}

/// An `slo`, resolved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Objective {
    /// What it is about.
    pub subject: Subject,
    /// The group's name or the stage's id; empty for the run.
    pub name: Box<str>,
    /// How long it should take.
    pub limit: Span,
    /// What it means to take longer.
    pub on_breach: OnBreach,
    /// The stages that it is about; empty for the run, which is about all.
    pub nodes: Vec<NodeIx>,
}

impl Subject {
    /// `run`, `group`, `stage`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Group => "group",
            Self::Stage => "stage",
        }
    }
}

impl Objective {
    /// `the run`, `group runtime`, `stage migrate`.
    pub fn title(&self) -> String {
        match self.subject {
            Subject::Run => "the run".to_owned(),
            subject => format!("{} `{}`", subject.word(), self.name),
        }
    }

    /// What tells it from the others of a plan, also in another version of that.
    pub fn key(&self) -> (Subject, &str) {
        (self.subject, &self.name)
    }

    /// Whether it is about `node`.
    pub fn covers(&self, node: NodeIx) -> bool {
        self.subject == Subject::Run || self.nodes.binary_search(&node).is_ok()
    }
}

impl Graph {
    /// The groups that `node` is in, the innermost first.
    pub fn groups_of(&self, node: NodeIx) -> impl Iterator<Item = u32> {
        let first = self.nodes[node].rules.group;
        std::iter::successors(first, |&group| self.groups[group as usize].parent)
    }

    /// Whether the run can be called good although `node` failed.
    pub fn is_optional(&self, node: NodeIx) -> bool {
        self.nodes[node].phase == Phase::Background
            || self.groups_of(node).any(|group| self.groups[group as usize].readiness == Readiness::Optional)
    }

    /// Which objectives each stage belongs to, those of the run left out; indexes into `Graph::objectives`.
    pub fn objectives_by_node(&self) -> BTreeMap<NodeIx, Vec<u32>> {
        let mut by_node: BTreeMap<NodeIx, Vec<u32>> = BTreeMap::new();
        for (ix, objective) in (0..).zip(&self.objectives) {
            for &node in &objective.nodes {
                by_node.entry(node).or_default().push(ix);
            }
        }
        by_node
    }

    /// The stages of `objective`, and how long after the start of each of them everything that the objective is about
    /// takes at least in 95 of 100 cases, the longest first. A stage without a history counts nothing, so that what is
    /// said is never too much.
    pub fn tails(&self, objective: &Objective) -> Vec<(NodeIx, Span)> {
        let likely = |node: NodeIx| self.nodes[node].rules.likely().filter(|_| self.nodes[node].selected);
        if let [node] = objective.nodes[..] {
            // Most objectives are about one stage, and there may be as many as stages: no walk for each.
            return likely(node).filter(|own| *own > Span::ZERO).map(|own| (node, own)).into_iter().collect();
        }
        let mut longest = vec![None::<Span>; self.nodes.len()];
        for &node in self.order().iter().rev() {
            let behind = self.dependents(node).iter().filter_map(|next| longest[next.raw() as usize]).max();
            if behind.is_none() && !objective.covers(node) {
                continue;
            }
            longest[node.raw() as usize] = Some(behind.unwrap_or_default() + likely(node).unwrap_or_default());
        }
        let of = |node: NodeIx| Some((node, longest[node.raw() as usize].filter(|tail| *tail > Span::ZERO)?));
        let mut tails: Vec<(NodeIx, Span)> =
            self.nodes.indexes().filter(|&node| objective.covers(node)).filter_map(of).collect();
        tails.sort_by_key(|&(node, tail)| (std::cmp::Reverse(tail), node));
        tails
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::forecast::Expected;
    use crate::graph::model::{Accept, Need};
    use crate::graph::{Node, Parts};

    fn usual(id: &str, secs: u64, needs: &[u32]) -> Node {
        let mut node = Node::plain(id);
        let span = Span::from_secs(secs);
        node.rules.usual = (secs > 0).then_some(Expected { p50: span, p95: span, samples: 9 });
        node.needs = needs.iter().map(|&it| Need { node: NodeIx::new(it), accept: Accept::DEFAULT }).collect();
        node
    }

    fn objective(nodes: &[u32]) -> Objective {
        let nodes: Vec<_> = nodes.iter().map(|&it| NodeIx::new(it)).collect();
        let subject = if nodes.is_empty() { Subject::Run } else { Subject::Group };
        Objective { subject, name: "g".into(), limit: Span::from_secs(1), on_breach: OnBreach::Warn, nodes }
    }

    #[test]
    fn a_tail_is_the_longest_known_way_to_the_last_stage_of_the_objective() {
        // a 10 -> b unknown -> c 3 (outside) -> d 2, and e 50 behind d, outside.
        let nodes = vec![
            usual("a", 10, &[]),
            usual("b", 0, &[0]),
            usual("c", 3, &[1]),
            usual("d", 2, &[2]),
            usual("e", 50, &[3]),
        ];
        let graph = Graph::assemble(Parts::of("test", nodes)).expect("no cycle");
        let secs = |objective: &Objective| -> Vec<(u32, u64)> {
            graph.tails(objective).iter().map(|(node, tail)| (node.raw(), tail.ms() / 1000)).collect()
        };
        assert_eq!(secs(&objective(&[0, 1, 3])), [(0, 15), (1, 5), (3, 2)]);
        assert_eq!(secs(&objective(&[0])), [(0, 10)]);
        assert_eq!(secs(&objective(&[1])), []);
        assert_eq!(secs(&objective(&[])), [(0, 65), (1, 55), (2, 55), (3, 52), (4, 50)]);
    }

    #[test]
    fn a_group_inside_an_optional_one_is_optional() {
        let mut node = Node::plain("a");
        node.rules.group = Some(1);
        let mut parts = Parts::of("test", vec![node, Node::plain("b")]);
        parts.groups = vec![
            Group { name: "out".into(), parent: None, readiness: Readiness::Optional },
            Group { name: "out/in".into(), parent: Some(0), readiness: Readiness::Required },
        ];
        let graph = Graph::assemble(parts).expect("no cycle");
        assert!(graph.is_optional(NodeIx::new(0)) && !graph.is_optional(NodeIx::new(1)));
    }
}
