//! What the items of a stage took that workers did: the time of the workers, for most items take less than any clock
//! here tells.

use super::Folding;
use crate::base::{Millis, NodeIx};

/// The workers of one stage, and what they came to.
#[derive(Default)]
pub(super) struct Crew {
    /// How many there are.
    workers: u32,
    /// Since when.
    since: Millis,
    /// Milliseconds of all workers together until then.
    worked: u64,
    /// Items that succeeded, and the place behind the last of them.
    done: u64,
    end: u64,
}

impl Crew {
    pub(super) fn hire(&mut self, at: Millis, count: u32) {
        self.settle(at);
        self.workers = self.workers.saturating_add(count);
    }

    /// All of them have nothing more to do.
    pub(super) fn dismiss(&mut self, at: Millis) {
        self.settle(at);
        self.workers = 0;
    }

    fn settle(&mut self, at: Millis) {
        let more = at.since(self.since).ms().saturating_mul(u64::from(self.workers));
        self.worked = self.worked.saturating_add(more);
        self.since = at;
    }

    pub(super) fn done(&mut self, item: u32) {
        self.done += 1;
        self.end = self.end.max(u64::from(item) + 1);
    }

    /// All items in a row, with the milliseconds of all of them: those that did not succeed would take as long as others.
    pub(super) fn row(&self) -> Option<(u64, u64, u32)> {
        let all = u128::from(self.worked) * u128::from(self.end) / u128::from(self.done.max(1));
        (self.done > 0).then(|| (0, self.end, u32::try_from(all).unwrap_or(u32::MAX)))
    }
}

impl Folding<'_> {
    pub(super) fn crew(&mut self, node: NodeIx) -> &mut Crew {
        let slot = self.slot_of(node);
        self.crews.entry(slot).or_default()
    }

    /// Whether workers do the items of a stage.
    pub(super) fn is_crewed(&mut self, node: NodeIx) -> bool {
        // Most runs have no worker at all, and there may be a million attempts.
        !self.crews.is_empty() && {
            let slot = self.slot_of(node);
            self.crews.contains_key(&slot)
        }
    }

    /// What all workers did becomes what the items of their stages took.
    pub(super) fn settle_crews(&mut self) {
        self.dismiss_all();
        for (slot, crew) in &self.crews {
            self.summary.stages[*slot].rows.extend(crew.row());
        }
    }

    /// The engine that had workers is gone, and they worked no longer than it.
    pub(super) fn dismiss_all(&mut self) {
        let now = self.now;
        self.crews.values_mut().for_each(|crew| crew.dismiss(now));
    }
}
