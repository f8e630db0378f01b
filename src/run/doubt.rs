//! What an attempt did that ended by force, or that nobody saw the end of.
//!
//! An idempotent stage simply runs again, and so needs no memory of it. But a person may edit the plan and say that the
//! stage must not be repeated, or how to ask whether it is done. So every such end is kept until the shard starts again,
//! its `done-if` tells, or a person does.

use super::event::{Outcome, ShardResult};
use super::shards::{Key, Phase, Step};
use super::state::RunState;
use crate::base::{Millis, NodeIx};

impl RunState {
    /// How an attempt ended: what one did that ended by force, or left a bad result, is not known.
    pub(super) fn doubt_end(&mut self, key: Key, outcome: &Outcome, result: &ShardResult) {
        match outcome {
            _ if result.never_ran => {}
            Outcome::Success | Outcome::Exit(_) | Outcome::NotStarted(_) => {}
            Outcome::BadResult(_) | Outcome::Signal(_) | Outcome::TimedOut(_) | Outcome::Cancelled => {
                self.forced.insert(key);
            }
        }
    }

    /// What the last attempt of a shard did is known, or is no matter any more.
    pub(super) fn trust(&mut self, key: Key) {
        if !self.forced.is_empty() {
            self.forced.remove(&key);
        }
    }

    /// A person said what became of a stage, or that it is to be done again whatever became of it.
    pub(super) fn trust_all(&mut self, node: NodeIx) {
        if !self.forced.is_empty() {
            self.forced.retain(|key| key.0 != node);
        }
    }

    /// Whether nobody knows of some shard of a stage what its last attempt did.
    pub(super) fn has_doubts(&self, node: NodeIx) -> bool {
        self.forced.range((node, 0)..=(node, u32::MAX)).next().is_some()
    }

    /// A stage ended well although it is not known what all of it did, and was cut anew since: it stays done, but should
    /// it ever be opened again any of its slices may be the one.
    pub(super) fn doubt_all(&mut self, node: NodeIx, total: u32) {
        self.cells[node].cursor = total;
        for shard in 0..total {
            self.shards.set((node, shard), Phase::Success);
            self.forced.insert((node, shard));
        }
    }

    /// Whether a shard that is between attempts, or had failed, must not simply start again.
    pub(super) fn is_doubted(&self, key: Key) -> bool {
        !self.node(key.0).rules.idempotent && self.forced.contains(&key)
    }

    /// The plan was edited: what had only to run again may have to be asked about now.
    pub(super) fn doubt_again(&mut self, node: NodeIx) {
        let has_done_if = self.node(node).rules.has_done_if;
        let between = self.shards.between_of(node).filter(|(_, between)| between.step != Step::Suspect);
        let between = between.map(|(shard, between)| ((node, shard), between.failure.clone()));
        let doubted: Vec<_> = between.filter(|(key, _)| self.is_doubted(*key)).collect();
        for (key, failure) in doubted {
            if has_done_if {
                self.shards.wait(key, Step::Suspect, failure);
            } else {
                self.make_unknown(key, "its last attempt was cut off, and it is not idempotent");
            }
        }
    }

    /// A shard ended by force, or well but with a bad result: what it did is known only to its `done-if`.
    pub(super) fn suspect(&mut self, at: Millis, key: Key, outcome: &Outcome) {
        let rules = &self.node(key.0).rules;
        if rules.has_done_if && self.is_leaving(key.0) {
            self.stopped(key);
        } else if rules.has_done_if {
            self.wait(key, Step::Suspect, Some(outcome.clone()));
        } else if rules.idempotent {
            self.fail(at, key, outcome);
        } else if let Outcome::BadResult(why) = outcome {
            self.make_unknown(key, &format!("it exited with 0 and is not idempotent, but {why}"));
        } else {
            self.make_unknown(key, "its last attempt was ended by force, and it is not idempotent");
        }
    }

    /// An attempt was stopped before it was a process: nobody has to be asked what it did. By a clock it failed, and how is
    /// known; else it is as if it had not been started, though nothing of its stage starts any more in this try.
    pub(super) fn stopped_unstarted(&mut self, at: Millis, key: Key, outcome: &Outcome, is_handed_over: bool) {
        if matches!(outcome, Outcome::TimedOut(_)) {
            return self.fail(at, key, outcome);
        }
        if is_handed_over {
            self.shards.forgive(key);
        } else {
            self.cells[key.0].cancelled += 1;
        }
        self.wait(key, Step::Ready, None);
    }

    pub(super) fn stopped(&mut self, key: Key) {
        let rules = &self.node(key.0).rules;
        if rules.idempotent || rules.has_done_if {
            self.shards.set(key, Phase::Cancelled);
            self.cells[key.0].cancelled += 1;
        } else {
            self.make_unknown(key, "it was stopped before its end, and it is not idempotent");
        }
    }

    pub(super) fn make_unknown(&mut self, key: Key, why: &str) {
        self.shards.set(key, Phase::Unknown);
        self.cells[key.0].unknown += 1;
        self.words.entry(key.0).or_insert_with(|| why.to_owned());
    }
}
