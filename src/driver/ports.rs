//! The clock. Nothing else in the library asks what time it is, but the executor for its own waits.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::base::{Millis, RunId, Span};

/// Milliseconds since 1970, UTC.
#[expect(clippy::disallowed_methods, reason = "this is the port to the wall clock")]
pub fn wall_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The clock of one engine on one run: starts from the wall clock, then goes by the monotonic one, so that a
/// wall clock that is set back or forth while the engine lives changes nothing.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    base: Millis,
    started: Instant,
}

impl Clock {
    /// The clock of a new run.
    pub fn begin() -> Self {
        Self::at(Millis::ZERO)
    }

    /// The clock of a run that began at `began_wall_ms` and whose last record is of `last`. A wall clock that
    /// says less than the record is taken to have stood still since.
    pub fn resume(began_wall_ms: i64, last: Millis) -> Self {
        let since = u64::try_from(wall_ms().saturating_sub(began_wall_ms)).unwrap_or(0);
        Self::at(Millis::new(since.max(last.raw())))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the port to the monotonic clock")]
    fn at(base: Millis) -> Self {
        Self { base, started: Instant::now() }
    }

    /// The present moment of the run.
    #[expect(clippy::disallowed_methods, reason = "this is the port to the monotonic clock")]
    pub fn now(&self) -> Millis {
        self.base + Span::from(Instant::now().duration_since(self.started))
    }
}

/// A new run's id: local date and time, and four digits that keep runs of one second apart.
pub fn new_run_id(wall_ms: i64) -> RunId {
    let stamp = jiff::Timestamp::from_millisecond(wall_ms)
        .map_or_else(|_| "run".to_owned(), |at| at.strftime("%Y%m%d-%H%M%S").to_string());
    let salt =
        blake3::hash(format!("{wall_ms} {} {:?}", std::process::id(), std::thread::current().id()).as_bytes());
    let salt = u16::from_le_bytes([salt.as_bytes()[0], salt.as_bytes()[1]]);
    RunId::parse(&format!("{stamp}-{salt:04x}")).expect("digits and dashes are an id")
}

/// A word that no other process can guess.
///
/// # Errors
/// The system has no randomness to give.
pub fn secret_word() -> std::io::Result<String> {
    use std::io::Read as _;
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_le_bytes(bytes)))
}

/// Waits before something outside of this process is looked at again: a lock, a log that is followed.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the port to the clock; nothing in this process can wake us"
)]
pub fn pause(length: std::time::Duration) {
    std::thread::sleep(length);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_clock_never_goes_behind_the_record() {
        let future = wall_ms() + 1_000_000;
        let clock = Clock::resume(future, Millis::new(77));
        assert!(clock.now() >= Millis::new(77));
    }

    #[test]
    fn run_ids_sort_by_time() {
        let early = new_run_id(1_700_000_000_000);
        let late = new_run_id(1_700_000_001_000);
        assert!(early < late, "{early} {late}");
    }
}
