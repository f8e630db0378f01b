//! `rate`: how many attempts of a stage may start in a time. A stage that has used up its starts is held back in
//! [`super::ready`] until the next one is due.
//!
//! Starts have even distances. One that comes late, because the engine was busy, may be made up for within
//! [`LAG_MS`], so in any time `t` there are at most `(t + LAG_MS) / distance + 1` starts.

use super::ready::{Entry, Slot};
use super::shards::Step;
use super::state::{Lane, RunState};
use crate::base::{Millis, NodeIx};

/// How much late starts may catch up: a beat of the engine.
pub(super) const LAG_MS: u64 = 100;
/// Nanoseconds of a millisecond.
const MS: u64 = 1_000_000;

impl RunState {
    /// The time between two starts of `node`, in nanoseconds.
    fn distance(&self, node: NodeIx) -> Option<u64> {
        // A resume that is only thought through waits for nothing.
        if self.thought.is_some() && !self.is_timeless() {
            return None;
        }
        let rate = self.node(node).rules.split.as_ref()?.rate?;
        Some(rate.interval_ns())
    }

    /// When the next start of `node` is due, in nanoseconds, seen from `at`.
    pub(super) fn next_start(&self, at: Millis, node: NodeIx) -> u64 {
        let now = at.raw().saturating_mul(MS);
        let earliest = now.saturating_sub(LAG_MS * MS);
        self.paces.get(&node).map_or(now, |&next| next.max(earliest))
    }

    /// How many attempts of `node` may start at `at`.
    pub(super) fn quota(&self, at: Millis, node: NodeIx) -> u32 {
        let Some(distance) = self.distance(node) else { return u32::MAX };
        let now = at.raw().saturating_mul(MS);
        let late = now.checked_sub(self.next_start(at, node));
        late.map_or(0, |late| u32::try_from(late / distance + 1).unwrap_or(u32::MAX))
    }

    /// `count` attempts of `node` have started.
    pub(super) fn spend(&mut self, at: Millis, node: NodeIx, count: u32) {
        let Some(distance) = self.distance(node) else { return };
        let next = self.next_start(at, node).saturating_add(distance.saturating_mul(u64::from(count)));
        self.paces.insert(node, next);
        self.throttle(at, node);
    }

    /// Holds `node` back if its next start is not due yet.
    fn throttle(&mut self, at: Millis, node: NodeIx) {
        if self.is_crewed(node) || self.quota(at, node) > 0 {
            return;
        }
        let due = Millis::new(self.next_start(at, node).div_ceil(MS));
        self.ready.hold(node);
        self.throttled.retain(|&(_, held)| held != node);
        self.throttled.insert((due, node));
    }

    /// Holds back what was held before the ready sets were made anew.
    pub(super) fn throttle_again(&mut self, at: Millis) {
        self.throttled.clear();
        let nodes: Vec<NodeIx> = self.paces.keys().copied().collect();
        for node in nodes {
            self.throttle(at, node);
        }
    }

    /// Lets go of stages whose next start is due.
    pub(super) fn unthrottle(&mut self, at: Millis) {
        while let Some(&(due, node)) = self.throttled.first() {
            if due > at {
                return;
            }
            self.throttled.pop_first();
            self.ready.free(node);
        }
    }

    /// Whether something would start but for its `rate`.
    pub(super) fn has_held(&self) -> bool {
        !self.throttled.is_empty() && self.held_starts().next().is_some()
    }

    /// What starts first of each stage that is held back, and when.
    pub(super) fn held_starts(&self) -> impl Iterator<Item = (Millis, Entry)> {
        self.throttled.iter().filter_map(|&(due, node)| {
            let delays = self.shards.between_of(node).filter_map(|(shard, between)| match between.step {
                Step::Delayed(until) => Some((until, shard)),
                _ => None,
            });
            // What is held back otherwise too, the clean-up for one, does not start by its rate.
            let delayed = delays.min().filter(|_| self.cells[node].lane == Lane::Open);
            let again = |(until, shard)| Some((due.max(until), self.ready.would_fit(node, Slot::Again(shard))?));
            // Re-tries come before fresh shards, so long as their moment has come by then.
            let first = delayed.filter(|it| it.0 <= due).and_then(again);
            first.or_else(|| Some((due, self.ready.held(node)?))).or_else(|| delayed.and_then(again))
        })
    }
}
