//! Time as the core sees it: whole milliseconds, handed in from outside.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment of a run: milliseconds since the run began, by the wall clock, never going backwards.
/// It goes on while no engine lives, so that a gate's window survives a restart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Millis(u64);

/// A length of time in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Span(u64);

impl Millis {
    /// The moment the run began.
    pub const ZERO: Self = Self(0);

    /// `ms` milliseconds after the run began.
    pub const fn new(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the run began.
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// The longest that anything may take: `3650d`.
    pub const MAX: Self = Self(super::limits::MAX_SPAN_MS);

    /// `ms` milliseconds.
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// `s` seconds.
    pub const fn from_secs(s: u64) -> Self {
        Self(s * 1000)
    }

    /// Whole milliseconds.
    pub const fn ms(self) -> u64 {
        self.0
    }

    /// The same length for the standard library.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }

    /// Reads `90s`, `1h30m`, `250ms`, `2d`; units descend (d h m s ms), each at most once, no sign, no
    /// fraction. `None` for anything else, a bare number included, and for more than [`Span::MAX`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::spelled(text).filter(|&length| length <= Self::MAX)
    }

    /// Whether `text` is spelled as a length of time and is none only because it is longer than [`Span::MAX`].
    pub fn is_too_long(text: &str) -> bool {
        Self::spelled(text).is_some_and(|length| length > Self::MAX)
    }

    /// What is said of `what` where [`Span::is_too_long`] is true.
    pub fn too_long(what: impl fmt::Display) -> String {
        format!("{what} is too long: at most `{}`", Self::MAX)
    }

    /// What `text` spells, however long; what is too long to count is the longest number.
    fn spelled(text: &str) -> Option<Self> {
        let mut rest = text;
        let mut total: u64 = 0;
        let mut last = u64::MAX;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            // Of nothing but digits only too many of them are no number.
            let number: u64 = rest.get(..digits).filter(|_| digits > 0)?.parse().unwrap_or(u64::MAX);
            rest = &rest[digits..];
            let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
            let scale = unit_ms(&rest[..letters]).filter(|&scale| scale < last)?;
            rest = &rest[letters..];
            last = scale;
            total = total.saturating_add(number.saturating_mul(scale));
        }
        (last != u64::MAX).then_some(Self(total))
    }
}

/// Milliseconds in one `unit`.
fn unit_ms(unit: &str) -> Option<u64> {
    Some(match unit {
        "d" => 86_400_000,
        "h" => 3_600_000,
        "m" => 60_000,
        "s" => 1000,
        "ms" => 1,
        _ => return None,
    })
}

impl From<Duration> for Span {
    fn from(length: Duration) -> Self {
        Self(u64::try_from(length.as_millis()).unwrap_or(u64::MAX))
    }
}

impl Add<Span> for Millis {
    type Output = Self;

    fn add(self, length: Span) -> Self {
        Self(self.0.saturating_add(length.0))
    }
}

impl Add for Span {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Span {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Span {
    /// The way a plan spells it, exact: `1h30m`, `90s` as `1m30s`, `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for unit in ["d", "h", "m", "s", "ms"] {
            let scale = unit_ms(unit).expect("the units of this list are known");
            if rest >= scale {
                write!(f, "{}{unit}", rest / scale)?;
                rest %= scale;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_what_they_print() {
        for text in ["250ms", "90s", "1h30m", "2d", "1m30s", "1d2h3m4s5ms"] {
            let span = Span::parse(text).expect("a span");
            assert_eq!(Span::parse(&span.to_string()), Some(span), "{text}");
        }
        assert_eq!(Span::parse("1h30m"), Some(Span::from_secs(5400)));
        assert_eq!(Span::from_secs(90).to_string(), "1m30s");
    }

    #[test]
    fn spans_refuse_what_has_no_unit_or_order() {
        for text in ["", "90", "s", "1m1h", "1s1s", "-1s", "1.5s", "1 s", "1w", "99999999999999999999s", "4000d"] {
            assert_eq!(Span::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_span_that_is_too_long_is_told_from_what_is_none() {
        assert_eq!(Span::parse("3650d"), Some(Span::MAX));
        assert_eq!(Span::MAX.to_string(), "3650d");
        for text in ["3650d1ms", "4000d", "99999999999999999999s", "18446744073709551615d1h"] {
            assert!(Span::parse(text).is_none() && Span::is_too_long(text), "{text}");
        }
        for text in ["", "3650d", "99999999999999999999", "d", "99999999999999999999x", "1m99999999999999999999h"]
        {
            assert!(!Span::is_too_long(text), "{text}");
        }
    }
}
