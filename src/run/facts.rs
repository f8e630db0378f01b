//! What the expressions of a stage see of its run.

use serde_json::{Value, json};

use super::state::RunState;
use crate::base::NodeIx;
use crate::graph::model::Target;
use crate::render::{Expr, Scope};

/// Whether the conditions of a stage hold; the words say why that can't be told.
pub(super) fn holds(state: &RunState, node: NodeIx) -> Result<bool, String> {
    for condition in &state.node(node).conditions {
        let views = condition.views.iter().filter_map(|view| match view.target {
            Target::Node(of) => Some((view.name.to_string(), json!({ "state": state.state(of).word() }))),
            _ => None,
        });
        let needs: serde_json::Map<String, Value> = views.collect();
        let run = json!({ "id": state.run, "state": state.outlook() });
        let scope = Scope::new().with("needs", &Value::Object(needs)).with("run", &run);
        let expr = Expr::parse(&condition.text).map_err(|error| error.to_string())?;
        if !expr.holds(&scope).map_err(|error| format!("its `if` can't be told: {error}"))? {
            return Ok(false);
        }
    }
    Ok(true)
}
