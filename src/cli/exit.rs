//! The one mapping to exit codes (`docs/operations.md` has the table for users).

use std::process::ExitCode;

use crate::run::event::{CancelReason, RunEnd, Verdict};

/// How a command ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// 0
    Success,
    /// 1: a required stage or gate failed.
    Failed,
    /// 2: bad command line.
    Usage,
    /// 3: plan or environment files invalid.
    Invalid,
    /// 4: no such run or stage.
    NotFound,
    /// 5: needs a person.
    NeedsPerson,
    /// 6: failed only because something took longer than its `slo`.
    Late,
    /// 7: run owned by a live engine, or lock busy.
    Busy,
    /// 8: journal damaged.
    Damaged,
    /// 9: environment fault: missing tool, disk full, state folder not writable.
    Environment,
    /// 10: differences found, where they were asked for.
    Differs,
    /// 11: rollback failed.
    RollbackFailed,
    /// 70: internal error.
    Internal,
    /// 75: handed over, run the same command again.
    HandedOver,
    /// 124: run timeout.
    TimedOut,
    /// 130: SIGINT or `cancel`.
    Interrupted,
    /// 143: SIGTERM or SIGHUP.
    Terminated,
}

impl Exit {
    /// Every code with its meaning, for the reference and its test.
    pub const ALL: [(Self, &'static str); 17] = [
        (Self::Success, "success"),
        (Self::Failed, "a required stage or gate failed, also after a good rollback"),
        (Self::Usage, "bad command line"),
        (Self::Invalid, "plan or environment files invalid"),
        (Self::NotFound, "no such run or stage"),
        (Self::NeedsPerson, "needs a person: an approval, an unknown outcome, a changed plan not accepted"),
        (Self::Late, "failed only by an SLO"),
        (Self::Busy, "run owned by a live engine, or lock busy"),
        (Self::Damaged, "journal damaged"),
        (
            Self::Environment,
            "environment fault: missing tool, failed `env check`, missing secret value, disk full, state folder not writable",
        ),
        (Self::Differs, "differences found: parity or drift over the limit, else where they were asked for"),
        (Self::RollbackFailed, "rollback failed: not all of what the run did could be undone"),
        (Self::Internal, "internal error"),
        (Self::HandedOver, "handed over, run the same command again"),
        (Self::TimedOut, "run timeout"),
        (Self::Interrupted, "interrupted: SIGINT or `engine cancel`"),
        (Self::Terminated, "terminated: SIGTERM or SIGHUP"),
    ];

    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Invalid => 3,
            Self::NotFound => 4,
            Self::NeedsPerson => 5,
            Self::Late => 6,
            Self::Busy => 7,
            Self::Damaged => 8,
            Self::Environment => 9,
            Self::Differs => 10,
            Self::RollbackFailed => 11,
            Self::Internal => 70,
            Self::HandedOver => 75,
            Self::TimedOut => 124,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// What a run's verdict means. A failed stage outweighs the run's timeout.
    pub fn of(verdict: &Verdict) -> Self {
        match verdict.state {
            RunEnd::Success => Self::Success,
            RunEnd::Failed if verdict.failed.is_empty() && verdict.timed_out => Self::TimedOut,
            RunEnd::Failed if verdict.only_late => Self::Late,
            RunEnd::Failed | RunEnd::RolledBack => Self::Failed,
            RunEnd::RollbackFailed => Self::RollbackFailed,
            RunEnd::Cancelled => verdict.cancelled_by.map_or(Self::Interrupted, Self::of_cancel),
        }
    }

    /// What a cancelled run means to whoever started it.
    pub const fn of_cancel(why: CancelReason) -> Self {
        match why {
            CancelReason::Terminated => Self::Terminated,
            CancelReason::Timeout => Self::TimedOut,
            CancelReason::Person | CancelReason::Failure(_) | CancelReason::Rollback => Self::Interrupted,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
