//! What the expressions of a stage see of its run.

use std::collections::BTreeMap;

use serde_json::Value;

use super::event::NodeState;
use super::state::RunState;
use crate::base::NodeIx;
use crate::graph::Facts;
use crate::graph::shards::Slice;
use crate::render::Error;

impl Facts for RunState {
    fn state(&self, node: NodeIx) -> &'static str {
        let cell = &self.cells[node];
        // An edit left out what had not succeeded; whoever undoes it has to know how far it had come.
        let was = cell.was.filter(|_| cell.state == NodeState::Skipped);
        was.unwrap_or(cell.state).word()
    }

    fn outputs(&self, node: NodeIx) -> Option<&[(String, Value)]> {
        let has_ended_well = matches!(RunState::state(self, node), NodeState::Success | NodeState::Cached);
        has_ended_well.then(|| RunState::outputs(self, node))
    }

    fn run_id(&self) -> &str {
        &self.run
    }

    fn run_state(&self) -> &'static str {
        self.outlook()
    }

    fn is_known(&self, node: NodeIx, outputs: bool) -> bool {
        !outputs || self.knows_outputs(node)
    }

    fn shard_outputs(&self, node: NodeIx) -> Option<&BTreeMap<u32, Vec<(String, Value)>>> {
        let has_ended_well = matches!(RunState::state(self, node), NodeState::Success | NodeState::Cached);
        if has_ended_well { RunState::shard_outputs(self, node) } else { None }
    }

    fn slice(&self, node: NodeIx, shard: u32) -> Option<Slice> {
        RunState::slice(self, node, shard)
    }

    fn shard_file(&self, _node: NodeIx, _shard: u32) -> Option<&str> {
        None
    }
}

/// Whether the conditions of a stage hold.
pub(super) fn holds(state: &RunState, node: NodeIx) -> Result<bool, Error> {
    state.graph().holds(node, state)
}
