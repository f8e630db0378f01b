//! Items that an earlier stage gives: read once, when the stage becomes ready, and then a fact.

use std::sync::Arc;

use super::event::{Event, NodeState};
use super::state::RunState;
use crate::base::{Digest, NodeIx, limits};
use crate::graph::build::items::{check_lines, texts};
use crate::graph::model::{Items, Work};
use crate::render::Value;

impl RunState {
    /// Whether the items of `node` are still to come from an earlier stage.
    pub(super) fn lacks_items(&self, node: NodeIx) -> bool {
        self.shards.column(node).is_some_and(super::cut::Column::lacks_items)
    }

    /// The items of `node`, or the end of a stage that was given none that it can take.
    pub(super) fn freeze(&self, node: NodeIx) -> Event {
        match self.late_items(node) {
            Ok(items) => Event::ItemsFrozen { node, items: Arc::new(items) },
            // What nobody acts out leaves nothing: there are as many items as history lets expect, or one stands for all.
            Err(_) if self.thought.is_some() => {
                let foreseen = usize::try_from(self.node(node).foreseen_items()).unwrap_or(usize::MAX);
                Event::ItemsFrozen { node, items: Arc::new(vec!["\"?\"".into(); foreseen.max(1)]) }
            }
            Err(reason) => self.refuse(node, format!("its items cannot be taken: {reason}")),
        }
    }

    fn late_items(&self, node: NodeIx) -> Result<Vec<Box<str>>, String> {
        let Work::Process(process) = &self.node(node).work else { return Ok(Vec::new()) };
        let Items::Late { text, max, is_json, .. } = &process.items else { return Ok(Vec::new()) };
        let value = self.graph().value(node, text, self).map_err(|error| error.to_string())?;
        if let Value::Array(values) = &value
            && values.len() > *max as usize
        {
            return Err(format!("they are {}, and `max` is {max}", values.len()));
        }
        let items = texts(&value, *is_json)?;
        if !is_json {
            check_lines(&items).map_err(|(_, message)| format!("{message}; write `items-format: json`"))?;
        }
        let bytes: usize = items.iter().map(|item| item.len()).sum();
        if bytes > limits::MAX_LATE_ITEM_BYTES {
            let most = limits::MAX_LATE_ITEM_BYTES;
            return Err(format!("they have {bytes} bytes, more than {most}; give a file's name instead"));
        }
        Ok(items)
    }

    /// The Merkle root of a stage that ends well and whose shards leave something; once.
    pub(super) fn unsealed(&self, node: NodeIx) -> Option<Event> {
        self.node(node).rules.split.as_ref().filter(|split| split.is_sealed)?;
        let left = self.left.get(&node);
        let is_good = matches!(self.end_of(node).0, NodeState::Success | NodeState::Cached);
        if !is_good || left.is_some_and(|left| left.root.is_some()) {
            return None;
        }
        Some(Event::StageSealed { node, root: self.computed_root(node)? })
    }

    /// The Merkle root over the digests of the shards so far; none of an unsharded stage.
    pub fn computed_root(&self, node: NodeIx) -> Option<Digest> {
        let digests = self.left.get(&node).map_or(&[][..], |left| &left.digests);
        let cuts = self.cuts(node)?;
        let leaf = |shard: u32| {
            let known = digests.get(shard as usize).copied().flatten();
            known.unwrap_or_else(|| super::seal::absent(&cuts.range(shard)))
        };
        Some(super::seal::root((0..cuts.shards()).map(leaf).collect()))
    }
}
