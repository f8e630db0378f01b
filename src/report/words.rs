//! The product's words for states, outcomes and lengths of time. Every format spells them the same way.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::base::{Millis, Span};
use crate::run::Attempt;
use crate::run::event::{
    CancelLevel, CancelReason, CheckKind, Clock, NodeState, Outcome, ReopenReason, Resolution, StopReason,
};

/// Whether a stage in this state will not change by itself any more.
pub const fn is_ended(state: NodeState) -> bool {
    !matches!(state, NodeState::Pending | NodeState::Waiting | NodeState::Running | NodeState::Retrying)
}

/// Whether somebody has to look at a stage in this state.
pub const fn is_bad(state: NodeState) -> bool {
    matches!(state, NodeState::Failed | NodeState::TimedOut | NodeState::Unknown)
}

/// One character for the state, for people with Unicode.
pub const fn mark(state: NodeState) -> &'static str {
    match state {
        NodeState::Success | NodeState::Cached => "✓",
        NodeState::Failed | NodeState::TimedOut => "✗",
        NodeState::AllowedFailure | NodeState::Unknown => "!",
        NodeState::Running => "▶",
        NodeState::Retrying => "↻",
        NodeState::Cancelled => "■",
        NodeState::Undone => "↶",
        NodeState::Pending | NodeState::Waiting | NodeState::Skipped | NodeState::Blocked => "-",
    }
}

/// The key that the plan spells this clock with.
pub const fn clock(clock: Clock) -> &'static str {
    match clock {
        Clock::Attempt | Clock::Gate => "timeout",
        Clock::Idle => "idle-timeout",
        Clock::Queue => "queue-timeout",
        Clock::Within => "retry.within",
        Clock::Run => "the run's timeout",
        Clock::Finally => "finally.budget",
    }
}

/// How an attempt ended, in few words: `exit 1`, `signal 9 (KILL)`, `timeout`.
pub fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Success => "success".to_owned(),
        Outcome::Exit(code) => format!("exit {code}"),
        Outcome::Signal(number) => match signal(*number) {
            Some(name) => format!("signal {number} ({name})"),
            None => format!("signal {number}"),
        },
        Outcome::TimedOut(which) => format!("{} ran out", clock(*which)),
        Outcome::Cancelled => "cancelled".to_owned(),
        Outcome::NotStarted(why) => format!("could not start: {why}"),
        Outcome::BadResult(why) => why.clone(),
    }
}

/// The same for machines: one word of a closed set.
pub const fn outcome_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Success => "success",
        Outcome::Exit(_) => "exit",
        Outcome::Signal(_) => "signal",
        Outcome::TimedOut(_) => "timed-out",
        Outcome::Cancelled => "cancelled",
        Outcome::NotStarted(_) => "not-started",
        Outcome::BadResult(_) => "bad-result",
    }
}

/// The usual name of a signal on Linux.
const fn signal(number: i32) -> Option<&'static str> {
    Some(match number {
        1 => "HUP",
        2 => "INT",
        3 => "QUIT",
        4 => "ILL",
        6 => "ABRT",
        7 => "BUS",
        8 => "FPE",
        9 => "KILL",
        11 => "SEGV",
        13 => "PIPE",
        14 => "ALRM",
        15 => "TERM",
        24 => "XCPU",
        25 => "XFSZ",
        31 => "SYS",
        _ => return None,
    })
}

/// Why an attempt is stopped.
pub const fn stop_reason(why: StopReason) -> &'static str {
    match why {
        StopReason::Clock(which) => match which {
            Clock::Attempt | Clock::Gate => "its timeout ran out",
            Clock::Idle => "it printed nothing for its idle-timeout",
            Clock::Queue => "its queue-timeout ran out",
            Clock::Within => "its retry.within ran out",
            Clock::Run => "the run's timeout ran out",
            Clock::Finally => "finally.budget ran out",
        },
        StopReason::Cancel => "the run is being cancelled",
        StopReason::Scope(_) => "another stage of its scope failed",
        StopReason::Grace => "it did not stop within its grace period",
        StopReason::HandOver => "the time box is over",
    }
}

/// Why a stage does not start in this time box.
pub fn deferral(wants: Option<Span>, left: Span) -> String {
    let left = length(left);
    match wants {
        Some(wants) => format!("may take {}, and the time box has {left} left", length(wants)),
        None => format!("may take any time, and the time box has {left} left"),
    }
}

/// What became of a stage, after `which`.
pub const fn what_became(state: NodeState) -> &'static str {
    match state {
        NodeState::Pending => "has not started",
        NodeState::Waiting => "waits",
        NodeState::Running | NodeState::Retrying => "still runs",
        NodeState::Success | NodeState::Cached => "succeeded",
        NodeState::Skipped => "was skipped",
        NodeState::Blocked => "is blocked",
        NodeState::Failed | NodeState::AllowedFailure => "failed",
        NodeState::TimedOut => "timed out",
        NodeState::Cancelled => "was cancelled",
        NodeState::Unknown => "has an unknown outcome",
        NodeState::Undone => "was undone",
    }
}

/// Why a run is cancelled, for machines.
pub const fn cancel_reason(why: CancelReason) -> &'static str {
    match why {
        CancelReason::Person => "person",
        CancelReason::Terminated => "terminated",
        CancelReason::Timeout => "timeout",
        CancelReason::Failure(_) => "failure",
        CancelReason::Rollback => "rollback",
    }
}

/// How hard a run is cancelled.
pub const fn cancel_level(level: CancelLevel) -> &'static str {
    match level {
        CancelLevel::Drain => "drain",
        CancelLevel::Stop => "stop",
        CancelLevel::Kill => "kill",
    }
}

/// A question's name.
pub const fn check(kind: CheckKind) -> &'static str {
    match kind {
        CheckKind::DoneIf => "done-if",
        CheckKind::Cache => "cache",
    }
}

/// What a person said an unknown outcome was.
pub const fn resolution(resolution: Resolution) -> &'static str {
    match resolution {
        Resolution::Success => "success",
        Resolution::Failed => "failed",
        Resolution::Rerun => "rerun",
    }
}

/// Why an ended stage runs again.
pub const fn reopened(why: ReopenReason) -> &'static str {
    match why {
        ReopenReason::Resume => "it had not succeeded",
        ReopenReason::Ordered => "a person ordered it",
        ReopenReason::Upstream => "a stage that it needs runs again",
        ReopenReason::Changed => "its definition changed",
        ReopenReason::Restart => "what it keeps running is needed",
    }
}

/// A length of time for people, at most six characters up to a day: `40ms`, `4.2s`, `1m04s`, `2h05m`, `3d04h`.
pub fn length(span: Span) -> String {
    let ms = span.ms();
    let seconds = ms / 1000;
    match ms {
        0..1000 => format!("{ms}ms"),
        1000..60_000 => format!("{seconds}.{}s", ms % 1000 / 100),
        60_000..3_600_000 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600_000..86_400_000 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// Seconds with three digits, as `JUnit` wants them.
pub fn seconds(span: Span) -> String {
    format!("{}.{:03}", span.ms() / 1000, span.ms() % 1000)
}

/// A moment of a run that began at `wall_ms`, in UTC: `2026-11-21T03:31:05.123Z`.
pub fn utc(wall_ms: i64, at: Millis) -> String {
    let moment = moment(wall_ms, at);
    format!("{moment:.3}")
}

/// The same for people, in `zone`, with its offset: `2026-11-21 04:31:05 +01:00`.
pub fn local(wall_ms: i64, at: Millis, zone: &TimeZone) -> String {
    moment(wall_ms, at).to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
}

/// The hour and minute of it in `zone`: `04:31`.
pub fn hour(wall_ms: i64, at: Millis, zone: &TimeZone) -> String {
    moment(wall_ms, at).to_zoned(zone.clone()).strftime("%H:%M").to_string()
}

/// The time stamp; the ends of jiff's calendar stand for what lies beyond them.
fn moment(wall_ms: i64, at: Millis) -> Timestamp {
    let ms = wall_ms.saturating_add(i64::try_from(at.raw()).unwrap_or(i64::MAX));
    Timestamp::from_millisecond(ms).unwrap_or(if ms < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// What an attempt of the stage `id` is called: `pack[3]` after its shard, `pack[worker 0]`, else as the stage.
pub fn shard(id: &str, attempt: Attempt, is_sharded: bool) -> String {
    match attempt.worker() {
        Some(place) => format!("{id}[worker {place}]"),
        None if is_sharded => format!("{id}[{}]", attempt.shard),
        None => id.to_owned(),
    }
}

/// `3 stages`, `1 stage`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_read_like_a_stopwatch() {
        let said = [0, 999, 1000, 59_999, 60_000, 3_599_999, 3_600_000, 86_400_000, 1_000_000_000]
            .map(|ms| length(Span::from_ms(ms)));
        assert_eq!(said, ["0ms", "999ms", "1.0s", "59.9s", "1m00s", "59m59s", "1h00m", "1d00h", "11d13h"]);
    }

    #[test]
    fn states_are_listed_by_number() {
        for (at, word) in NodeState::ALL.iter().enumerate() {
            assert_eq!(*word as usize, at);
        }
    }

    #[test]
    fn moments_carry_their_zone() {
        let berlin = TimeZone::fixed(jiff::tz::offset(1));
        assert_eq!(utc(1_795_232_845_000, Millis::new(123)), "2026-11-21T03:47:25.123Z");
        assert_eq!(local(1_795_232_845_000, Millis::new(123), &berlin), "2026-11-21 04:47:25 +01:00");
        assert_eq!(utc(i64::MAX, Millis::new(u64::MAX)), utc(i64::MAX, Millis::ZERO));
    }
}
