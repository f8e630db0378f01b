//! How long stages usually take: known when the run begins, but for a stage that an earlier one gives its items.

use std::fmt;
use std::sync::Arc;

use crate::base::{NodeIx, Span};

use super::View;

/// What items take, all one after the other, by what they are; nothing where nobody knows.
type Took = dyn Fn(&[Box<str>]) -> Option<Span> + Send + Sync;

/// How long items take that are still to be given.
#[derive(Clone)]
pub(super) struct ByItems(Arc<Took>);

impl fmt::Debug for ByItems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ByItems")
    }
}

impl View {
    /// How long `node` took in earlier runs. Only stages with a history have an expected time.
    pub fn expect(&mut self, node: NodeIx, usual: Span) {
        self.expected.insert(node, usual);
    }

    /// What the items of `node` take that an earlier stage gives, of a stage that is expected to take some time.
    pub fn expect_items(&mut self, node: NodeIx, took: Arc<Took>) {
        self.by_items.insert(node, ByItems(took));
    }

    /// The usual time of `node`, if there is a history.
    pub fn expected(&self, node: NodeIx) -> Option<Span> {
        let usual = self.expected.get(&node).copied()?;
        let sharded = self.nodes[node].sharded.as_ref();
        let Some((sharded, given)) = sharded.and_then(|it| Some((it, it.late.as_ref()?))) else {
            return Some(usual);
        };
        if let Some(ByItems(took)) = self.by_items.get(&node)
            && let Some(took) = *sharded.took.get_or_init(|| took(given))
        {
            return Some(self.graph().over_slots(node, took));
        }
        // Of their texts nothing is known: more than last time take longer, fewer do not.
        let foreseen = self.graph().nodes[node].foreseen_items();
        let items = if foreseen > 0 { given.len() as u64 } else { 1 };
        Some(Span::from_ms(usual.ms().saturating_mul(items.max(1)) / foreseen.max(1)))
    }
}
