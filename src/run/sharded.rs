//! What shards leave, what may fail of them, and results that are known from before.

use std::sync::Arc;

use super::event::{Attempt, Outcome, ShardResult};
use super::ready::Slot;
use super::seal::leaf;
use super::shards::{Key, Phase};
use super::state::RunState;
use crate::base::{Digest, Millis, NodeIx};

impl RunState {
    /// What a shard left, if its stage keeps that.
    pub(super) fn keep_shard(&mut self, key: Key, result: &ShardResult) {
        let Some(split) = self.node(key.0).rules.split.as_ref() else { return };
        let (is_read, is_sealed) = (split.is_read, split.is_sealed);
        if is_read && !result.outputs.is_empty() {
            let left = self.left.entry(key.0).or_default();
            left.shards.insert(key.1, result.outputs.clone());
        }
        if is_sealed {
            let digest = result.digest.unwrap_or_else(|| self.digest(key, result));
            let digests = &mut self.left.entry(key.0).or_default().digests;
            let at = key.1 as usize;
            if digests.len() <= at {
                digests.resize(at + 1, None);
            }
            digests[at] = Some(digest);
        }
    }

    fn digest(&self, key: Key, result: &ShardResult) -> Digest {
        leaf(&self.range(key), &result.outputs, result.artifacts)
    }

    /// The result of an attempt with its digest, if its stage is sealed.
    pub(super) fn stamped(
        &self,
        attempt: Attempt,
        outcome: &Outcome,
        mut result: Box<ShardResult>,
    ) -> Box<ShardResult> {
        let is_sealed = self.node(attempt.node).rules.split.as_ref().is_some_and(|split| split.is_sealed);
        let digest = || self.digest((attempt.node, attempt.shard), &result);
        result.digest = (is_sealed && *outcome == Outcome::Success).then(digest);
        result
    }

    /// Whether `allow-failed` covers a shard that fails just now; its items count from here on.
    pub(super) fn spare(&mut self, key: Key) -> bool {
        let Some(split) = self.node(key.0).rules.split.as_ref() else { return false };
        let spare = split.spare(self.cuts(key.0).map_or(0, |cuts| cuts.items()));
        let range = self.range(key);
        let cell = &mut self.cells[key.0];
        cell.failed_items += range.end - range.start;
        cell.failed_items <= spare
    }

    /// Fresh shards of a stage begin at `to`, or behind what is known already.
    pub(super) fn move_cursor(&mut self, node: NodeIx, to: u32) {
        let total = self.shards_of(node);
        let mut to = to;
        while self.cells[node].recalled > 0 && to < total && self.shards.phase((node, to)) != Phase::Fresh {
            to += 1;
        }
        self.cells[node].cursor = to;
        if to >= total {
            self.ready.remove(node, Slot::Fresh);
        }
    }

    /// How many shards from `first` on are fresh and never had an attempt, at most `most`.
    pub(super) fn fresh_run(&self, node: NodeIx, first: u32, most: u32) -> u32 {
        let knows_some = self.cells[node].recalled > 0;
        let is_fresh = |shard: &u32| {
            let key = (node, *shard);
            self.shards.number(key) == 0 && (!knows_some || self.shards.phase(key) == Phase::Fresh)
        };
        let run = (first..first.saturating_add(most)).take_while(is_fresh).count();
        u32::try_from(run).expect("no more than `most`")
    }

    /// All of a stage is done again: what was known of shards that never started is not counted on any more.
    pub(super) fn forget_recalled(&mut self, node: NodeIx) {
        for shard in self.cells[node].cursor..self.shards_of(node) {
            if self.shards.phase((node, shard)) == Phase::Success {
                self.shards.set((node, shard), Phase::Fresh);
            }
        }
        if let Some(column) = self.shards.column_mut(node) {
            column.forget_items();
        }
    }

    pub(super) fn fold_recalled(&mut self, at: Millis, key: Key, result: &ShardResult) {
        if self.shards.phase(key) != Phase::Fresh {
            return;
        }
        self.cells[key.0].recalled += 1;
        self.succeed(key, result);
        self.move_cursor(key.0, self.cells[key.0].cursor);
        self.place(at, key.0);
    }

    /// An earlier stage gave the items.
    pub(super) fn fold_items(&mut self, at: Millis, node: NodeIx, items: &Arc<Vec<Box<str>>>) {
        self.take_items(node, items);
        self.place(at, node);
    }
}
