//! What the expressions of a stage see of its run.

use serde_json::Value;

use super::event::NodeState;
use super::state::RunState;
use crate::base::NodeIx;
use crate::graph::Facts;

impl Facts for RunState {
    fn state(&self, node: NodeIx) -> &'static str {
        RunState::state(self, node).word()
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

    fn shard_file(&self, _node: NodeIx, _shard: u32) -> Option<&str> {
        None
    }
}

/// Whether the conditions of a stage hold; the words say why that can't be told.
pub(super) fn holds(state: &RunState, node: NodeIx) -> Result<bool, String> {
    let graph = state.graph();
    graph.holds(node, state).map_err(|error| format!("its `if` can't be told: {error}"))
}
