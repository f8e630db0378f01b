//! What each shard left, as a digest, for whoever compares two runs: 50 bytes for each shard of a sealed stage, so only
//! a view that was asked to keep them does.

use std::collections::BTreeMap;
use std::ops::Range;

use super::View;
use crate::base::{Digest, NodeIx};
use crate::run::Outcome;
use crate::run::event::{Answer, Event};

/// By stage and first item: the end of the shard's items, and the digest of its outputs and artifacts. A stage is known by
/// its id, which outlives an edit of the plan; what another cut made stale lies at no shard's place any more.
#[derive(Clone, Debug, Default)]
pub(super) struct Leaves(BTreeMap<String, BTreeMap<u64, (u64, Digest)>>);

impl View {
    /// Has the digest of what each shard leaves be kept from now on.
    #[must_use]
    pub fn with_leaves(self) -> Self {
        Self { leaves: Some(Leaves::default()), ..self }
    }

    /// The digest of what the shard with the items of `range` left; none if no shard has just these, or none is known.
    pub fn leaf(&self, ix: NodeIx, range: &Range<u64>) -> Option<Digest> {
        let of_stage = self.leaves.as_ref()?.0.get(self.id(ix))?;
        of_stage.get(&range.start).filter(|(end, _)| *end == range.end).map(|(_, digest)| *digest)
    }

    /// Keeps what shards left, if somebody wants to know.
    pub(super) fn record_leaves(&mut self, event: &Event) {
        if self.leaves.is_none() {
            return;
        }
        match event {
            Event::ShardFinished { attempt, outcome, result, .. } => {
                let is_done = *outcome == Outcome::Success;
                self.keep_leaf((attempt.node, attempt.shard), result.digest.filter(|_| is_done));
            }
            Event::ShardRecalled { node, shard, result }
            | Event::CheckAnswered { node, shard, answer: Answer::Yes(result), .. } => {
                self.keep_leaf((*node, *shard), result.digest);
            }
            _ => {}
        }
    }

    fn keep_leaf(&mut self, (ix, shard): (NodeIx, u32), digest: Option<Digest>) {
        let Some(sharded) = &self.nodes[ix].sharded else { return };
        let range = sharded.cuts.range(shard);
        let id = self.id(ix).to_owned();
        let Some(Leaves(all)) = &mut self.leaves else { return };
        let of_stage = all.entry(id).or_default();
        match digest {
            Some(digest) => drop(of_stage.insert(range.start, (range.end, digest))),
            None => drop(of_stage.remove(&range.start)),
        }
    }

    /// A stage is done anew, with all its shards.
    pub(super) fn drop_leaves(&mut self, ix: NodeIx) {
        let id = self.id(ix).to_owned();
        if let Some(Leaves(all)) = &mut self.leaves {
            all.remove(&id);
        }
    }
}
