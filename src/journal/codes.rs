//! The stored numbers of every small closed set. A number never changes its meaning; new ones are added.

use super::bytes::{Fault, Take, put_var, put_zig};
use crate::base::NodeIx;
use crate::graph::model::Policy;
use crate::run::event::{
    CancelLevel, CancelReason, CheckKind, Clock, CutReason, NodeState, ReopenReason, Resolution, SkipReason,
    StopKind, StopReason, SuspendReason,
};

/// Something with a stored form of its own.
pub(super) trait Stored: Sized {
    /// Appends it.
    fn put(&self, out: &mut Vec<u8>);
    /// Reads it.
    fn take(from: &mut Take<'_>) -> Result<Self, Fault>;
}

macro_rules! codes {
    ($type:ident, $fault:literal, $($name:ident = $code:literal),+) => {
        impl Stored for $type {
            fn put(&self, out: &mut Vec<u8>) {
                out.push(match self { $(Self::$name => $code),+ });
            }

            fn take(from: &mut Take<'_>) -> Result<Self, Fault> {
                match from.byte()? {
                    $($code => Ok(Self::$name),)+
                    _ => Err($fault),
                }
            }
        }
    };
}

codes!(StopKind, "an unknown way to stop", Terminate = 0, Kill = 1);
codes!(Clock, "an unknown clock", Attempt = 0, Idle = 1, Queue = 2, Within = 3, Gate = 4, Run = 5, Finally = 6);
codes!(CutReason, "an unknown reason to cut", First = 0, Split = 1, Grow = 2);
codes!(CheckKind, "an unknown question", DoneIf = 0, Cache = 1);
codes!(
    NodeState,
    "an unknown stage state",
    Pending = 0,
    Waiting = 1,
    Running = 2,
    Retrying = 3,
    Success = 4,
    Cached = 5,
    Skipped = 6,
    Blocked = 7,
    Failed = 8,
    AllowedFailure = 9,
    TimedOut = 10,
    Cancelled = 11,
    Unknown = 12,
    Undone = 13
);
codes!(
    ReopenReason,
    "an unknown reason to run again",
    Resume = 0,
    Ordered = 1,
    Upstream = 2,
    Changed = 3,
    Restart = 4
);
codes!(Resolution, "an unknown resolution", Success = 0, Failed = 1, Rerun = 2);
codes!(CancelLevel, "an unknown cancel level", Drain = 0, Stop = 1, Kill = 2);
codes!(SuspendReason, "an unknown reason to leave", Person = 0, HandOver = 1);
codes!(Policy, "an unknown failure policy", Drain = 0, Kill = 1, Continue = 2, Rollback = 3);

impl Stored for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn take(from: &mut Take<'_>) -> Result<Self, Fault> {
        from.bool()
    }
}

impl Stored for NodeIx {
    fn put(&self, out: &mut Vec<u8>) {
        put_var(out, u64::from(self.raw()));
    }

    fn take(from: &mut Take<'_>) -> Result<Self, Fault> {
        from.u32().map(Self::new)
    }
}

impl Stored for i32 {
    fn put(&self, out: &mut Vec<u8>) {
        put_zig(out, i64::from(*self));
    }

    fn take(from: &mut Take<'_>) -> Result<Self, Fault> {
        from.i32()
    }
}

impl Stored for StopReason {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Clock(clock) => {
                out.push(0);
                clock.put(out);
            }
            Self::Cancel => out.push(1),
            Self::Scope(policy) => {
                out.push(2);
                policy.put(out);
            }
            Self::Grace => out.push(3),
            Self::HandOver => out.push(4),
        }
    }

    fn take(from: &mut Take<'_>) -> Result<Self, Fault> {
        Ok(match from.byte()? {
            0 => Self::Clock(Clock::take(from)?),
            1 => Self::Cancel,
            2 => Self::Scope(Policy::take(from)?),
            3 => Self::Grace,
            4 => Self::HandOver,
            _ => return Err("an unknown reason to stop"),
        })
    }
}

impl Stored for SkipReason {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Condition => out.push(0),
            Self::Blocked { by } => {
                out.push(1);
                by.put(out);
            }
            Self::NotNeeded => out.push(2),
            Self::NotSelected => out.push(3),
            Self::NoCell => out.push(4),
        }
    }

    fn take(from: &mut Take<'_>) -> Result<Self, Fault> {
        Ok(match from.byte()? {
            0 => Self::Condition,
            1 => Self::Blocked { by: NodeIx::take(from)? },
            2 => Self::NotNeeded,
            3 => Self::NotSelected,
            4 => Self::NoCell,
            _ => return Err("an unknown reason to skip"),
        })
    }
}

impl Stored for CancelReason {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Person => out.push(0),
            Self::Terminated => out.push(1),
            Self::Failure(node) => {
                out.push(2);
                node.put(out);
            }
            Self::Timeout => out.push(3),
            Self::Rollback => out.push(4),
        }
    }

    fn take(from: &mut Take<'_>) -> Result<Self, Fault> {
        Ok(match from.byte()? {
            0 => Self::Person,
            1 => Self::Terminated,
            2 => Self::Failure(NodeIx::take(from)?),
            3 => Self::Timeout,
            4 => Self::Rollback,
            _ => return Err("an unknown reason to cancel"),
        })
    }
}
