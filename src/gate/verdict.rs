//! What a gate found, and what follows from it.

use serde::{Deserialize, Serialize};

/// What a gate found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// All is as it should be.
    Pass,
    /// There is data, and not enough of it to say.
    Inconclusive,
    /// What should have been measured was not there.
    NoData,
    /// It could not be asked.
    Error,
    /// It is not as it should be.
    Fail,
    /// A person let it pass.
    Waived,
}

impl Verdict {
    /// The product's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Inconclusive => "inconclusive",
            Self::NoData => "no-data",
            Self::Error => "error",
            Self::Fail => "fail",
            Self::Waived => "waived",
        }
    }
}

/// What follows from a verdict.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// The stage succeeds.
    Continue,
    /// A person decides, within `hold-for`.
    Hold,
    /// The stage fails.
    Fail,
    /// Only a person lets it go on, however long that takes: both authorities refused.
    Halt,
}

impl Effect {
    /// The exit code that tells it to the core.
    pub const fn exit_code(self) -> i32 {
        match self {
            Self::Continue => 0,
            Self::Fail => 1,
            Self::Hold => HELD,
            Self::Halt => HALTED,
        }
    }

    /// The effect that a plan calls `word`.
    pub fn parse(word: &str) -> Option<Self> {
        [("continue", Self::Continue), ("hold", Self::Hold), ("fail", Self::Fail)]
            .into_iter()
            .find(|(known, _)| *known == word)
            .map(|(_, effect)| effect)
    }
}

/// What a gate leaves for later stages: its verdict, the number that it stands on (empty when there is none), why, and the
/// digest of its samples.
pub const OUTPUTS: [&str; 4] = ["verdict", "value", "why", "samples"];
/// The exit code of a gate that is held for a person.
pub const HELD: i32 = 5;
/// The exit code of a gate that is held without an end.
pub const HALTED: i32 = 75;

/// What follows from each verdict.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Effects {
    /// `on-fail`.
    pub fail: Effect,
    /// `on-inconclusive`.
    pub inconclusive: Effect,
    /// `on-no-data`.
    pub no_data: Effect,
    /// `on-error`.
    pub error: Effect,
}

impl Effects {
    /// What follows from `verdict`.
    pub const fn of(self, verdict: Verdict) -> Effect {
        match verdict {
            Verdict::Pass | Verdict::Waived => Effect::Continue,
            Verdict::Inconclusive => self.inconclusive,
            Verdict::NoData => self.no_data,
            Verdict::Error => self.error,
            Verdict::Fail => self.fail,
        }
    }
}

/// A verdict with its reason.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Judgement {
    /// What was found.
    pub verdict: Verdict,
    /// The number that it stands on, if it stands on one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Why, in words.
    pub why: String,
    /// What follows whatever the settings say: the two authorities have their own rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
}

impl Judgement {
    /// A verdict that stands on no number.
    pub fn new(verdict: Verdict, why: impl Into<String>) -> Self {
        Self { verdict, value: None, why: why.into(), effect: None }
    }

    /// With the number that it stands on; one that JSON cannot write is left to the words.
    #[must_use]
    pub fn with(mut self, value: f64) -> Self {
        self.value = value.is_finite().then_some(value);
        self
    }
}
