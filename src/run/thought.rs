//! What is only thought: a run that nobody acts out, so that what it leaves, and what hangs on that, is not known.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::event::SkipReason;
use super::state::{Gate, RunState};
use crate::base::NodeIx;
use crate::graph::Facts;
use crate::render::Fault;

/// What can't be known of a run that is thought through ahead.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Thought {
    /// No clock runs.
    pub(super) is_timeless: bool,
    /// Stages with an attempt that was only thought to succeed: nobody knows what it left.
    ran: BTreeSet<NodeIx>,
    /// Stages with a condition that only a real run can tell.
    conditional: BTreeSet<NodeIx>,
    /// Those, and all that hang on them.
    doubts: BTreeMap<NodeIx, Doubt>,
}

/// What may come of a stage instead of what is thought.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Doubt {
    /// It is skipped by its own condition.
    Skipped,
    /// A need decides otherwise: it is skipped, blocked, or starts after all.
    Need,
    /// It waits for a person, or does not wait for one.
    Waits,
}

impl Thought {
    /// Nothing has been thought yet.
    pub(super) const fn new(is_timeless: bool) -> Self {
        Self { is_timeless, ran: BTreeSet::new(), conditional: BTreeSet::new(), doubts: BTreeMap::new() }
    }
}

impl RunState {
    /// Whether no clock runs.
    pub(super) fn is_timeless(&self) -> bool {
        self.thought.as_ref().is_some_and(|thought| thought.is_timeless)
    }

    /// Whether it is known what a stage leaves.
    pub(super) fn knows_outputs(&self, node: NodeIx) -> bool {
        self.thought.as_ref().is_none_or(|thought| !thought.ran.contains(&node))
    }

    /// What may come of a stage instead of what was thought.
    pub(super) fn doubt(&self, node: NodeIx) -> Option<Doubt> {
        self.thought.as_ref().and_then(|thought| thought.doubts.get(&node)).copied()
    }

    /// Whether a stage is in doubt by its own condition.
    pub(super) fn is_conditional(&self, node: NodeIx) -> bool {
        self.thought.as_ref().is_some_and(|thought| thought.conditional.contains(&node))
    }

    /// An attempt was thought to succeed.
    pub(super) fn think_done(&mut self, node: NodeIx) {
        if let Some(thought) = &mut self.thought {
            thought.ran.insert(node);
        }
    }

    /// A stage is skipped, perhaps by its `if`.
    pub(super) fn think_skipped(&mut self, node: NodeIx, why: &SkipReason) {
        if *why == SkipReason::Condition {
            self.think_told(node, false);
        }
    }

    /// The `if` of a stage was told, as `holds`. If a real run may tell something else, the stage is in doubt, and
    /// all that hangs on it.
    pub(super) fn think_told(&mut self, node: NodeIx, holds: bool) {
        if self.thought.is_none() || !is_later(&self.graph().holds(node, &Certain(self))) {
            return;
        }
        if let Some(thought) = &mut self.thought {
            thought.conditional.insert(node);
        }
        let own = if holds { Doubt::Skipped } else { Doubt::Need };
        self.spread(node, if self.asks_person(node) { Doubt::Waits } else { own });
    }

    /// Whether a person decides about a stage: it is an approval, or a gate that is held.
    fn asks_person(&self, node: NodeIx) -> bool {
        self.node(node).rules.is_approval || self.cells[node].gate != Gate::Closed
    }

    /// A stage that may be skipped is thought to fail, so that more hangs on it.
    pub(super) fn think_failed(&mut self, node: NodeIx) {
        if self.doubt(node) == Some(Doubt::Skipped) {
            self.spread(node, Doubt::Need);
        }
    }

    /// A stage is in doubt, and so is all that hangs on it.
    fn spread(&mut self, node: NodeIx, doubt: Doubt) {
        let graph = Arc::clone(self.graph());
        let mut next = vec![(node, doubt)];
        while let Some((node, doubt)) = next.pop() {
            let thought = self.thought.as_mut().expect("a run does not become real");
            if thought.doubts.get(&node).is_some_and(|&old| old >= doubt) {
                continue;
            }
            thought.doubts.insert(node, doubt);
            for &other in graph.dependents(node) {
                let needs = graph.nodes[other].needs.iter().filter(|need| need.node == node);
                let mut accepts = needs.map(|need| need.accept);
                let hangs = accepts.any(|it| match doubt {
                    Doubt::Skipped => it.success != it.skipped,
                    Doubt::Need => it.success != it.skipped || it.success != it.failed,
                    Doubt::Waits => true,
                });
                if hangs && !self.cells[other].state.is_final() {
                    let waits = doubt == Doubt::Waits || self.asks_person(other);
                    next.push((other, if waits { Doubt::Waits } else { Doubt::Need }));
                }
            }
        }
    }
}

/// Whether the answer is one that only the run can give.
pub(super) fn is_later(answer: &Result<bool, crate::render::Error>) -> bool {
    answer.as_ref().is_err_and(later)
}

/// Whether this is what only the run can tell.
pub(super) fn later(error: &crate::render::Error) -> bool {
    error.fault == Fault::Later
}

/// What is certain of a run: neither what only the run can tell, nor what was thought because of that.
struct Certain<'a>(&'a RunState);

impl Facts for Certain<'_> {
    fn state(&self, node: NodeIx) -> &'static str {
        Facts::state(self.0, node)
    }

    fn outputs(&self, node: NodeIx) -> Option<&[(String, Value)]> {
        Facts::outputs(self.0, node)
    }

    fn run_id(&self) -> &str {
        self.0.run_id()
    }

    fn run_state(&self) -> &'static str {
        self.0.run_state()
    }

    fn is_known(&self, node: NodeIx, outputs: bool) -> bool {
        let may_be_cached = self.0.node(node).rules.has_cache && self.0.cells[node].cache_asked;
        self.0.doubt(node).is_none() && ((!outputs && !may_be_cached) || self.0.knows_outputs(node))
    }

    fn shard_file(&self, _node: NodeIx, _shard: u32) -> Option<&str> {
        None
    }
}
