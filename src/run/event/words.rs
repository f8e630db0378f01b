//! The closed sets that facts are told in. `journal/codes` stores them; old numbers never change meaning.

use serde::{Deserialize, Serialize};

use super::ShardResult;
use crate::base::{Millis, NodeIx};
use crate::graph::model::Policy;

/// How hard an attempt is asked to stop.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum StopKind {
    /// The stage's stop signal, to the whole group.
    Terminate,
    /// KILL, to everything it started.
    Kill,
}

/// Why an attempt is asked to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum StopReason {
    /// A clock ran out.
    Clock(Clock),
    /// The run is cancelled.
    Cancel,
    /// Its scope fails with `on-failure: kill`.
    Scope(Policy),
    /// It ignored the first request for its grace period.
    Grace,
    /// The time box is over: it starts again another time.
    HandOver,
}

/// A clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Clock {
    /// `timeout` of the attempt.
    Attempt,
    /// `idle-timeout`.
    Idle,
    /// `queue-timeout`.
    Queue,
    /// `retry.within`.
    Within,
    /// `timeout` of an approval.
    Gate,
    /// `timeout` of the run (less the clean-up's budget).
    Run,
    /// `finally.budget`.
    Finally,
}

/// A question to the outside.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum CheckKind {
    /// Is it done already?
    DoneIf,
    /// Do we have its result from before?
    Cache,
}

/// An answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// Done, or found: with what it left then.
    Yes(Box<ShardResult>),
    /// Not done, or not found.
    No,
    /// Nobody knows; the words say why.
    Unknown(String),
}

/// Why the items of a stage are cut anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum CutReason {
    /// Nothing was cut before.
    First,
    /// Shards took longer than `target-p95`.
    Split,
    /// Shards were far below `target-p95`.
    Grow,
}

/// The states of a stage.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum NodeState {
    /// Its needs have not ended.
    #[default]
    Pending,
    /// It could start, and waits for a slot, a pool, a check or a person.
    Waiting,
    /// An attempt runs.
    Running,
    /// Between two attempts.
    Retrying,
    /// Done.
    Success,
    /// Done in an earlier run, with the same inputs.
    Cached,
    /// Its own `if` was false, or it was not selected.
    Skipped,
    /// A need was not met.
    Blocked,
    /// Failed.
    Failed,
    /// Failed, and `allow-failure` says that this is fine.
    AllowedFailure,
    /// A clock ran out.
    TimedOut,
    /// Stopped before its end.
    Cancelled,
    /// Nobody knows what its last attempt did.
    Unknown,
    /// Rolled back.
    Undone,
}

impl NodeState {
    /// All states, in the order of their stored numbers.
    pub const ALL: [Self; 14] = [
        Self::Pending,
        Self::Waiting,
        Self::Running,
        Self::Retrying,
        Self::Success,
        Self::Cached,
        Self::Skipped,
        Self::Blocked,
        Self::Failed,
        Self::AllowedFailure,
        Self::TimedOut,
        Self::Cancelled,
        Self::Unknown,
        Self::Undone,
    ];

    /// The product's word for it, in every format.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Success => "success",
            Self::Cached => "cached",
            Self::Skipped => "skipped",
            Self::Blocked => "blocked",
            Self::Failed => "failed",
            Self::AllowedFailure => "allowed-failure",
            Self::TimedOut => "timed-out",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
            Self::Undone => "undone",
        }
    }

    /// Whether a stage in this state has ended. An unknown outcome has not: a person decides it.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Waiting | Self::Running | Self::Retrying | Self::Unknown)
    }

    /// success, cached, allowed-failure: what a need without `accept` takes, besides skipped.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Success | Self::Cached | Self::AllowedFailure)
    }

    /// failed, timed-out, blocked: what `accept: [failed]` takes.
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::TimedOut | Self::Blocked)
    }
}

/// Why a stage will not run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum SkipReason {
    /// Its `if` is false.
    Condition,
    /// A need ended in a state that it does not accept.
    Blocked {
        /// Which.
        by: NodeIx,
    },
    /// It handles a failure that did not happen.
    NotNeeded,
    /// Left out on the command line.
    NotSelected,
    /// The stage that gives the cells of its matrix gave fewer than there may be.
    NoCell,
}

/// Why an ended stage is pending again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ReopenReason {
    /// The run was resumed and the stage had not succeeded.
    Resume,
    /// `--rerun`, or `resolve --as rerun`.
    Ordered,
    /// Something it depends on is run again.
    Upstream,
    /// Its definition, or an approval's, changed.
    Changed,
    /// What it had started for the rest of the run (`lifetime: run`) ended with its engine, and is needed.
    Restart,
}

/// How far the healing of a stage is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum HealStep {
    /// A body of its `heal` has its turn.
    Began {
        /// The body's node.
        body: NodeIx,
        /// How many have had it for this failure, with this one.
        level: u32,
    },
    /// The body has succeeded, or a person has released the stage: what failed of it is tried again.
    Ended {
        /// From when on, for the body's `cool-down`.
        due: Millis,
    },
    /// There is another body, but so many were tried that only a person may go on.
    Halted {
        /// How many.
        level: u32,
    },
}

/// What an unknown outcome was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Resolution {
    /// It had succeeded.
    Success,
    /// It had failed.
    Failed,
    /// Run it again.
    Rerun,
}

/// How hard a run is cancelled.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum CancelLevel {
    /// Nothing new starts; what runs may end.
    Drain,
    /// What runs is stopped with grace, then the clean-up runs.
    Stop,
    /// What runs is killed; no clean-up.
    Kill,
}

/// Why a run is cancelled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum CancelReason {
    /// SIGINT, or the `cancel` verb.
    Person,
    /// SIGTERM or SIGHUP.
    Terminated,
    /// A stage failed and its scope says `drain` or `kill`.
    Failure(NodeIx),
    /// The run's timeout.
    Timeout,
    /// `cancel --rollback`, or the `rollback` verb: a person wants undone what the run has done.
    Rollback,
}

/// Why an engine leaves a run that is not over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum SuspendReason {
    /// Only a person can go on: an approval or an unknown outcome.
    Person,
    /// The time box is over.
    HandOver,
}

/// How a run ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Verdict {
    /// Success, failed or cancelled.
    pub state: RunEnd,
    /// Stages that made it fail, in the order in which they did.
    pub failed: Vec<NodeIx>,
    /// The run's timeout was the cause.
    pub timed_out: bool,
    /// Why it was cancelled, when it was.
    pub cancelled_by: Option<CancelReason>,
    /// It failed only because something took longer than its `slo`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_late: bool,
}

impl Verdict {
    /// Whether the run lets go of its lock with it.
    pub const fn frees_lock(&self) -> bool {
        matches!(self.state, RunEnd::Success | RunEnd::Cancelled | RunEnd::RolledBack)
    }
}

/// The end state of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunEnd {
    /// Everything required succeeded.
    Success,
    /// Something required failed.
    Failed,
    /// Cancelled before its end.
    Cancelled,
    /// What it had done was undone.
    RolledBack,
    /// Not all of what it had done could be undone.
    RollbackFailed,
}
