//! Whether a failure is followed by another attempt, and when.

use super::event::{Attempt, Clock, Outcome};
use super::shards::{Key, Step};
use super::state::RunState;
use crate::base::{Millis, NodeIx, Span, limits};
use crate::graph::model::Retry;
use crate::plan::model::{AllowFailure, RetryWhen};

impl RunState {
    /// Whether a shard that failed just now gets another attempt.
    pub(super) fn may_retry(&self, at: Millis, key: Key, outcome: &Outcome) -> bool {
        let Some(retry) = &self.node(key.0).rules.retry else { return false };
        let allowed = retry.max.min(u32::from(limits::MAX_ATTEMPTS) - 1);
        if u32::from(self.shards.used(key)) > allowed || self.is_halted(key.0) || !matches(retry, outcome) {
            return false;
        }
        self.within_due(key).is_none_or(|due| at + self.retry_delay(key) < due)
    }

    /// How long to wait before the next attempt: `delay · backoff^(n-1)` after the n-th failure, at most
    /// `max-delay`, then spread over 50 % to 100 % of that.
    pub(super) fn retry_delay(&self, key: Key) -> Span {
        let Some(retry) = &self.node(key.0).rules.retry else { return Span::ZERO };
        let failures = i32::from(self.shards.used(key).max(1));
        let longest = retry.max_delay.unwrap_or(Span::from_ms(limits::MAX_SPAN_MS)).ms();
        let ideal = to_float(retry.delay.ms()) * retry.backoff.max(1.0).powi(failures - 1);
        let full = to_ms(ideal).min(longest);
        if !retry.jitter {
            return Span::from_ms(full);
        }
        let number = self.shards.number(key).saturating_add(1);
        let dice = jitter(self.seed, &self.node(key.0).id, key.1, number);
        Span::from_ms(spread(full, dice))
    }

    /// The next attempt of a shard has its moment.
    pub(super) fn fold_scheduled(&mut self, attempt: Attempt, due: Millis) {
        let key = (attempt.node, attempt.shard);
        let failure = self.leave(key).and_then(|between| between.failure);
        self.wait(key, Step::Delayed(due), failure);
        self.name_state(attempt.node);
    }

    /// Whether `allow-failure` covers this outcome.
    pub(super) fn is_allowed(&self, node: NodeIx, outcome: &Outcome) -> bool {
        match &self.node(node).rules.allow_failure {
            AllowFailure::No => false,
            AllowFailure::Any => true,
            AllowFailure::Exit(codes) => matches!(outcome, Outcome::Exit(code) if codes.contains(code)),
        }
    }
}

fn matches(retry: &Retry, outcome: &Outcome) -> bool {
    // A shard whose time for all attempts is over has none left, and the clean-up's budget is shared.
    if matches!(outcome, Outcome::TimedOut(Clock::Within | Clock::Finally)) {
        return false;
    }
    let covers = |when: &RetryWhen| match when {
        RetryWhen::Failure => true,
        RetryWhen::Timeout => matches!(outcome, Outcome::TimedOut(_)),
        RetryWhen::Signal => matches!(outcome, Outcome::Signal(_)),
        RetryWhen::Exit(codes) => matches!(outcome, Outcome::Exit(code) if codes.contains(code)),
    };
    retry.when.is_empty() || retry.when.iter().any(covers)
}

#[expect(clippy::cast_precision_loss, reason = "a delay of 10 years in ms has 39 bits")]
fn to_float(ms: u64) -> f64 {
    ms as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what fits")]
fn to_ms(ms: f64) -> u64 {
    ms.clamp(0.0, to_float(limits::MAX_SPAN_MS)) as u64
}

/// From half of `full`, rounded up, to all of it.
pub(super) fn spread(full: u64, dice: u64) -> u64 {
    full - dice % (full / 2 + 1)
}

/// A number that depends on its arguments only: FNV-1a, then the finalizer of splitmix64.
fn jitter(seed: u64, id: &str, shard: u32, number: u16) -> u64 {
    let numbers = seed.to_le_bytes().into_iter().chain(shard.to_le_bytes()).chain(number.to_le_bytes());
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in numbers.chain(id.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
