//! What people are shown is what is so: a view, which hears the facts alone, knows the shards of a stage as the core does,
//! also when an edit of the plan has cut it anew.

use std::collections::BTreeSet;
use std::sync::Arc;

use engine::base::{Millis, NodeIx, Text};
use engine::graph::Graph;
use engine::report::View;
use engine::run::event::CheckKind;
use engine::run::{Event, RunState};

use crate::audit::node_of;

/// The view of a run.
#[derive(Clone)]
pub(crate) struct Seen {
    view: View,
    seq: u64,
    /// Stages of which the facts do not say how many shards were done: a person or the cache spoke of the rest.
    told: BTreeSet<Text>,
}

impl Seen {
    pub(crate) fn new(versions: &[Arc<Graph>]) -> Self {
        Self { view: View::new(versions.to_vec()), seq: 0, told: BTreeSet::new() }
    }

    /// Takes an event in; `state` is that behind it.
    pub(crate) fn hear(&mut self, state: &RunState, at: Millis, event: &Event) {
        self.seq += 1;
        self.view.record(self.seq, at, event);
        if let Event::NodeResolved { node, .. } | Event::CheckAnswered { node, kind: CheckKind::Cache, .. } = event
        {
            self.told.insert(state.graph().nodes[*node].id.clone());
        }
        if matches!(event, Event::PlanChanged { .. }) {
            state.graph().nodes.indexes().for_each(|node| self.judge(state, node, event));
        } else if let Event::ShardsCut { node, .. } | Event::ItemsFrozen { node, .. } = event {
            self.judge(state, *node, event);
        } else if let Some(node) = node_of(event) {
            self.judge(state, node, event);
        }
    }

    fn judge(&self, state: &RunState, node: NodeIx, event: &Event) {
        let it = self.view.get(node);
        let name = &state.graph().nodes[node].id;
        let cuts = it.sharded.as_ref().map(|sharded| &sharded.cuts);
        assert_eq!(cuts, state.cuts(node).as_ref(), "`{name}` is shown with another cut, after {event:?}");
        assert_eq!(it.shards.all, state.shards_of(node), "`{name}` is shown with other shards, after {event:?}");
        if self.told.contains(name) {
            return;
        }
        assert_eq!(
            it.shards.done,
            state.progress(node).success,
            "`{name}` is shown done otherwise, after {event:?}"
        );
    }
}
