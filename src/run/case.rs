//! Which facts open tickets: what a `continue` scope contains, items that were allowed to fail, and what the rules of
//! other rooms raise.

use super::event::{Case, CaseKind, Event, NodeState, Severity};
use super::state::RunState;
use crate::base::NodeIx;
use crate::graph::model::{Phase, Policy, Undo};

impl RunState {
    /// Somebody must look at this: `advance` records it next, in the same batch.
    pub(super) fn raise(&mut self, case: Case) {
        self.cases.push_back(case);
    }

    /// The first thing that is not recorded yet.
    pub(super) fn next_case(&self) -> Option<Event> {
        self.cases.front().map(|case| Event::TicketRaised { case: Box::new(case.clone()) })
    }

    /// It is recorded now.
    pub(super) fn fold_case(&mut self, case: &Case) {
        if let Some(at) = self.cases.iter().position(|known| known == case) {
            self.cases.remove(at);
        }
    }

    /// A stage has ended: is that something to look at?
    pub(super) fn raise_end(&mut self, node: NodeIx, state: NodeState) {
        let is_main = self.node(node).phase == Phase::Main;
        let is_failure = matches!(state, NodeState::Failed | NodeState::TimedOut);
        if is_failure && is_main && self.policy(node) == Policy::Continue {
            let severity = if self.graph().is_optional(node) { Severity::Major } else { Severity::Critical };
            self.raise(Case { kind: CaseKind::Contained, severity, node: Some(node), words: String::new() });
        }
        if is_failure && self.is_background(node) {
            let (kind, severity) = (CaseKind::Dead, Severity::Major);
            self.raise(Case { kind, severity, node: Some(node), words: String::new() });
        }
        if let Some(stage) = self.node(node).undoes.filter(|_| is_failure) {
            let id = &self.node(stage).id;
            let words = match self.node(node).rules.undo {
                Undo::Never => format!("a rollback stopped at `{id}`, which is forward-only"),
                _ => format!("`{id}` could not be undone"),
            };
            let (kind, severity) = (CaseKind::Halted, Severity::Critical);
            self.raise(Case { kind, severity, node: Some(stage), words });
        }
        if state == NodeState::Success && self.cells[node].spared > 0 {
            let (kind, severity) = (CaseKind::Items, Severity::Minor);
            self.raise(Case { kind, severity, node: Some(node), words: String::new() });
        }
    }

    /// Stages have other numbers from here on.
    pub(super) fn rename_cases(&mut self, name: impl Fn(NodeIx) -> Option<NodeIx>) {
        for case in &mut self.cases {
            case.node = case.node.and_then(&name);
        }
    }
}
