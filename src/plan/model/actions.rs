//! What built-in actions are told, as the plan says it.

use super::Setting;
use crate::base::Text;
use crate::plan::source::Spanned;
use crate::plan::tree::Tree;

/// Who must agree, to what.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Asked {
    /// `with.min`.
    pub min: Option<Setting<u32>>,
    /// `with.distinct-from`.
    pub distinct_from: Vec<Distinct>,
    /// `with.items` of a checklist: names and what they say.
    pub items: Vec<(Spanned<Text>, Tree)>,
}

/// Who does not count as an approver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Distinct {
    /// Who works on the run.
    Operator,
    /// Who wrote what is run.
    Author,
}

/// A built-in action on an environment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EnvVerb {
    /// `env.check`.
    Check,
    /// `env.render`.
    Render,
    /// `env.diff`.
    Diff,
    /// `env.parity`.
    Parity,
}
