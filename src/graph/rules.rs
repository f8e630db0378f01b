//! What the core needs to know of a node: plain numbers, nothing to render.

use crate::base::{PoolIx, PublicKey, Span};
use crate::plan::model::{AllowFailed, AllowFailure, Rate, RetryWhen};

/// The rules `run` goes by. Those of few stages are read through it: `rules.idle`.
#[derive(Clone, Debug)]
pub struct Rules {
    /// How many shards, 1 for an unsharded stage, 0 only for a stage with an empty list of items.
    pub shards: u32,
    /// Whether it waits for a person instead of running something.
    pub is_approval: bool,
    /// `timeout` of one attempt, or of an approval's whole wait.
    pub timeout: Option<Span>,
    /// Time between the stop signal and KILL.
    pub grace: Span,
    /// `retry`.
    pub retry: Option<Box<Retry>>,
    /// Pools and weights.
    pub pools: Vec<(PoolIx, u32)>,
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
    /// What is seldom said.
    pub more: Option<Box<MoreRules>>,
}

/// Rules that few stages have; read through [`Rules`].
#[derive(Clone, Debug, Default)]
pub struct MoreRules {
    /// Who must agree, of an approval that asks for more than one person's yes: see [`Rules::consent`].
    pub consent: Option<Box<Consent>>,
    /// What a gate that asks by itself waits for a person when it is held; none for other stages.
    pub hold: Option<Span>,
    /// Whether a held gate passes when nobody has decided (`on-expire: continue`).
    pub waives_late: bool,
    /// Whether the gate host asks in its place, so that it keeps no slot.
    pub is_hosted: bool,
    /// `idle-timeout`.
    pub idle: Option<Span>,
    /// `queue-timeout`.
    pub queue: Option<Span>,
    /// `allow-failure`.
    pub allow_failure: AllowFailure,
    /// What history says that all its items take together, of a stage that finds its size while it runs, or that an earlier
    /// one gives its items: its shards are others in each run, so that `usual` says nothing about how long all of them take.
    pub work: Option<Box<super::forecast::Workload>>,
    /// `cool-down`, of a body of `heal`.
    pub cool_down: Span,
}

/// What an approval asks for that says nothing of it: one person, whoever that is.
static PLAIN: Consent = Consent {
    own: Terms { min: 1, not_operator: false, not_author: false },
    policy: None,
    items: Vec::new(),
    keys: Vec::new(),
};

impl Rules {
    /// Who must agree, of an approval.
    pub fn consent(&self) -> &Consent {
        self.consent.as_deref().unwrap_or(&PLAIN)
    }
}

/// Who must agree before an approval is given.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Consent {
    /// What the stage itself asks for.
    pub own: Terms,
    /// What the environment's policy asks for, if it asks for any.
    pub policy: Option<Terms>,
    /// The items of a checklist (`uses: attest`), each with its name; none of a plain approval.
    pub items: Vec<Box<str>>,
    /// Who may agree, each with their key, where the policy names keys: then nothing counts that is not signed.
    pub keys: Vec<(Box<str>, PublicKey)>,
}

/// How many, and who does not count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Terms {
    /// People that must agree.
    pub min: u32,
    /// Who works on the run does not count.
    pub not_operator: bool,
    /// Who wrote what is run does not count.
    pub not_author: bool,
}

impl Default for Terms {
    fn default() -> Self {
        Self { min: 1, not_operator: false, not_author: false }
    }
}

impl Terms {
    /// Terms that hold when both of these do.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            min: self.min.max(other.min),
            not_operator: self.not_operator || other.not_operator,
            not_author: self.not_author || other.not_author,
        }
    }
}

impl Consent {
    /// What holds, unless the policy is overridden.
    pub fn terms(&self) -> Terms {
        self.policy.map_or(self.own, |policy| self.own.and(policy))
    }
}

impl std::fmt::Display for Terms {
    /// `2 people, not the operator or the author`; `one person` when nothing more is asked.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.min {
            1 => f.write_str("one person")?,
            min => write!(f, "{min} people")?,
        }
        match (self.not_operator, self.not_author) {
            (true, true) => f.write_str(", not the operator or the author"),
            (true, false) => f.write_str(", not the operator"),
            (false, true) => f.write_str(", not the author"),
            (false, false) => Ok(()),
        }
    }
}

/// A time in which nothing new is started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frozen {
    /// Its first moment, in milliseconds since 1970.
    pub from_ms: i64,
    /// The moment after its last.
    pub to_ms: i64,
    /// What people are told: `production is frozen until … (Europe/Berlin): holidays`.
    pub words: String,
}

/// The run lock, resolved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LockRule {
    /// The lock's name.
    pub name: String,
    /// What to do when it is held.
    pub on_busy: crate::plan::model::OnBusy,
    /// How long to wait; without end when absent.
    pub wait: Option<Span>,
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
            timeout: None,
            grace: Span::from_secs(10),
            retry: None,
            pools: Vec::new(),
            idempotent: true,
            has_done_if: false,
            has_cache: false,
            is_service: false,
            expected: Span::from_secs(1),
            usual: None,
            group: None,
            undo: Undo::Unsaid,
            split: None,
            more: None,
        }
    }
}
