//! What a probe saw, one JSON line each.

use serde::{Deserialize, Serialize};

/// One answer of one probe.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// Milliseconds of the gate's own time: while no engine lives, none passes.
    pub at: u64,
    /// Which probe, by its place in the settings.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub probe: u16,
    /// How long it took to answer, in milliseconds.
    #[serde(default)]
    pub took: u64,
    /// What came back.
    pub seen: Seen,
}

/// What came back.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seen {
    /// As it should be.
    Good(String),
    /// An answer, and not as it should be.
    Bad(String),
    /// A number.
    Value(f64),
    /// An infinite number, which JSON cannot write: whether it is above all others.
    Infinite(bool),
    /// An answer without the number that was asked for.
    NoData(String),
    /// No answer.
    Error(String),
}

impl Seen {
    /// A number; what is none is no data.
    pub fn value(value: f64) -> Self {
        if value.is_nan() {
            Self::NoData("the value is NaN".to_owned())
        } else if value.is_infinite() {
            Self::Infinite(value > 0.0)
        } else {
            Self::Value(value)
        }
    }

    /// The number in it: of an answer that is only good or bad, 1 or 0.
    pub const fn number(&self) -> Option<f64> {
        match self {
            Self::Value(value) => Some(*value),
            Self::Infinite(true) => Some(f64::INFINITY),
            Self::Infinite(false) => Some(f64::NEG_INFINITY),
            Self::Good(_) => Some(1.0),
            Self::Bad(_) => Some(0.0),
            Self::NoData(_) | Self::Error(_) => None,
        }
    }

    /// In words.
    pub fn words(&self) -> String {
        match self {
            Self::Good(words) | Self::Bad(words) => words.clone(),
            Self::Value(value) => value.to_string(),
            Self::Infinite(is_above) => (if *is_above { "infinite" } else { "minus infinite" }).to_owned(),
            Self::NoData(words) => format!("no data: {words}"),
            Self::Error(words) => format!("error: {words}"),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
const fn is_zero(number: &u16) -> bool {
    *number == 0
}
