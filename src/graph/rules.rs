//! What the core needs to know of a node: plain numbers, nothing to render.

use crate::base::{PoolIx, Span};
use crate::plan::model::{AllowFailed, Rate, RetryWhen};

/// The rules `run` goes by.
#[derive(Clone, PartialEq, Debug)]
pub struct Rules {
    /// How many shards, 1 for an unsharded stage, 0 only for a stage with an empty list of items.
    pub shards: u32,
    /// Whether it waits for a person instead of running something.
    pub is_approval: bool,
    /// What a gate that asks by itself waits for a person when it is held; none for other stages.
    pub hold: Option<Span>,
    /// Whether the gate host asks in its place, so that it keeps no slot.
    pub is_hosted: bool,
    /// `timeout` of one attempt, or of an approval's whole wait.
    pub timeout: Option<Span>,
    /// `idle-timeout`.
    pub idle: Option<Span>,
    /// `queue-timeout`.
    pub queue: Option<Span>,
    /// Time between the stop signal and KILL.
    pub grace: Span,
    /// `retry`.
    pub retry: Option<Retry>,
    /// Pools and weights.
    pub pools: Vec<(PoolIx, u32)>,
    /// `allow-failure`.
    pub allow_failure: crate::plan::model::AllowFailure,
    /// `idempotent`.
    pub idempotent: bool,
    /// Whether a `done-if` can be asked.
    pub has_done_if: bool,
    /// Whether the cache is to be asked before the first start.
    pub has_cache: bool,
    /// Whether what it starts runs on until the run ends (`lifetime: run`).
    pub is_service: bool,
    /// Expected time of one attempt, from history or a guess.
    pub expected: Span,
    /// What history says of one attempt, however little.
    pub usual: Option<super::forecast::Expected>,
    /// The innermost group, an index into `Graph::groups`.
    pub group: Option<u32>,
    /// What its `rollback` says.
    pub undo: Undo,
    /// How it is cut and bounded, of a sharded stage.
    pub split: Option<Box<Split>>,
}

/// What `rollback` says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Undo {
    /// Nothing is said: what the stage did stays.
    #[default]
    Unsaid,
    /// There is nothing to undo.
    Nothing,
    /// It can't be undone. On the node that stands for it in a rollback: nothing above it is undone by itself.
    Never,
    /// A body undoes it.
    Body,
}

/// How the items of a sharded stage are cut, and what bounds its shards besides pools.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Split {
    /// How many items; 0 while an earlier stage has not given them.
    pub items: u64,
    /// Items for each shard of the first cut.
    pub size: u32,
    /// `size: auto`: shards may become larger than `size`.
    pub grows: bool,
    /// `target-p95`: what is left is cut anew when the shards take longer.
    pub target: Option<Span>,
    /// `max-parallel` of the shards.
    pub max_parallel: Option<u32>,
    /// `rate`.
    pub rate: Option<Rate>,
    /// `allow-failed`.
    pub allow_failed: Option<AllowFailed>,
    /// An earlier stage gives the items.
    pub is_late: bool,
    /// Its shards leave something that gets a digest: declared outputs or artifacts.
    pub is_sealed: bool,
    /// Some other stage reads what its shards wrote.
    pub is_read: bool,
    /// `protocol: lines`: workers do the items, and each may have so many unanswered.
    pub in_flight: Option<u32>,
}

impl Split {
    /// Whether the cut is found while the run goes on.
    pub fn is_dynamic(&self) -> bool {
        self.target.is_some() || self.is_late
    }

    /// Whether `other` cuts the same number of items in the same way.
    pub fn cuts_as(&self, other: &Self) -> bool {
        (self.items, self.size, self.grows, self.is_late, self.is_dynamic())
            == (other.items, other.size, other.grows, other.is_late, other.is_dynamic())
    }

    /// How many of `items` may fail.
    pub fn spare(&self, items: u64) -> u64 {
        match self.allow_failed {
            None => 0,
            Some(AllowFailed::Items(count)) => u64::from(count),
            Some(AllowFailed::Share(ppm)) => {
                u64::try_from(u128::from(items) * u128::from(ppm) / 1_000_000).expect("at most all of them")
            }
        }
    }
}

/// `retry`, resolved.
#[derive(Clone, PartialEq, Debug)]
pub struct Retry {
    /// Re-tries after the first attempt.
    pub max: u32,
    /// Before the first re-try.
    pub delay: Span,
    /// Each delay times this.
    pub backoff: f64,
    /// No delay is longer.
    pub max_delay: Option<Span>,
    /// Spread delays over 50 % to 100 % of their length.
    pub jitter: bool,
    /// What to retry; everything when empty.
    pub when: Vec<RetryWhen>,
    /// All attempts and delays of a shard together.
    pub within: Option<Span>,
}

impl Default for Rules {
    /// A plain stage with one shard and no limits.
    fn default() -> Self {
        Self {
            shards: 1,
            is_approval: false,
            hold: None,
            is_hosted: false,
            timeout: None,
            idle: None,
            queue: None,
            grace: Span::from_secs(10),
            retry: None,
            pools: Vec::new(),
            allow_failure: crate::plan::model::AllowFailure::No,
            idempotent: true,
            has_done_if: false,
            has_cache: false,
            is_service: false,
            expected: Span::from_secs(1),
            usual: None,
            group: None,
            undo: Undo::Unsaid,
            split: None,
        }
    }
}
