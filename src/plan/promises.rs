//! What a plan promises about groups and about time.

use super::model::{OnFailure, Setting};
use super::source::Spanned;
use crate::base::{Span, Text};

/// A group of stages.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its name.
    pub name: Spanned<Text>,
    /// `description`.
    pub description: Option<String>,
    /// `on-failure`.
    pub on_failure: Option<Spanned<OnFailure>>,
    /// `slo`.
    pub slo: Option<Slo>,
    /// `readiness`; required when absent.
    pub readiness: Option<Spanned<Readiness>>,
    /// `background`.
    pub background: Option<Spanned<bool>>,
}

/// How long something should take.
#[derive(Clone, Debug)]
pub struct Slo {
    /// `duration`.
    pub duration: Setting<Span>,
    /// `on-breach`; `warn` when absent.
    pub on_breach: OnBreach,
}

/// What taking longer than an `slo` means.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnBreach {
    /// It is recorded and shown.
    #[default]
    Warn,
    /// A stage fails at its end; a group or the run makes the run fail.
    Fail,
}

/// Whether a run can be called good without a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Readiness {
    /// The run fails with it.
    #[default]
    Required,
    /// Its failures open tickets and nothing more.
    Optional,
}
