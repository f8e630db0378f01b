//! What is wrong with a plan: our own data, rendered by [`text()`] for people and by [`json`], [`sarif`] and
//! [`github`] for programs.

mod machine;
mod nearest;
mod text;

pub use machine::{github, json, sarif};
pub use nearest::nearest;
pub use text::{summary, text};

use super::source::Place;

/// One error or warning.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// Stable code, `plan::unknown-stage`. Every code has a page behind `engine explain CODE`.
    pub code: &'static str,
    /// An error stops the run, a warning does not.
    pub severity: Severity,
    /// Lower-case fragment, backticks round the user's names, no full stop.
    pub message: String,
    /// The token that is wrong.
    pub at: Place,
    /// What the mark under the token says; may be empty.
    pub label: String,
    /// Other places that belong to it: the first of two duplicates, the steps of a cycle.
    pub related: Vec<(Place, String)>,
    /// How to mend it, if we can guess.
    pub help: Option<String>,
}

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// The plan may run.
    Warning,
    /// The plan must not run.
    Error,
}

impl Diagnostic {
    /// An error at `at`.
    pub fn error(code: &'static str, at: Place, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            at,
            label: String::new(),
            related: Vec::new(),
            help: None,
        }
    }

    /// A number at `at` that is not from `least` to `most`; `what` names what it is for.
    pub fn out_of_range(at: Place, what: &str, (least, most): (u32, u32), found: i128) -> Self {
        let message = format!("{what} must be from {least} to {most}, this is {found}");
        Self::error("plan::out-of-range", at, message)
    }

    /// A warning at `at`.
    pub fn warning(code: &'static str, at: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, at, message) }
    }

    /// With words under the mark.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// With help.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With another place that belongs to it.
    #[must_use]
    pub fn related(mut self, at: Place, words: impl Into<String>) -> Self {
        self.related.push((at, words.into()));
        self
    }
}

/// All that was found, in the order it was found; sorted by place when shown.
#[derive(Clone, Debug, Default)]
pub struct Report {
    diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// Adds one finding.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Adds one finding, which the caller may still complete.
    pub(super) fn push_mut(&mut self, diagnostic: Diagnostic) -> &mut Diagnostic {
        self.diagnostics.push(diagnostic);
        self.diagnostics.last_mut().expect("it was just pushed")
    }

    /// Whether anything found must stop the plan.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|one| one.severity == Severity::Error)
    }

    /// Whether an error was found at `place`, so that another one there would say the same again.
    pub fn has_error_at(&self, place: Place) -> bool {
        self.diagnostics.iter().any(|one| one.severity == Severity::Error && one.at == place)
    }

    /// How much was found so far.
    pub fn len(&self) -> usize {
        self.diagnostics.len()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.diagnostics.is_empty()
    }

    /// Where the errors stand, in order.
    pub fn error_places(&self) -> Vec<Place> {
        let errors = self.diagnostics.iter().filter(|one| one.severity == Severity::Error);
        let mut places: Vec<Place> = errors.map(|one| one.at).collect();
        places.sort_unstable();
        places
    }

    /// Forgets errors after the first `count` findings that stand where one of `told` stands: what is wrong with
    /// a value is told once, by whoever looked first. A cycle stands at a stage's name, and is a fault of its own.
    pub fn forget_repeats(&mut self, count: usize, told: &[Place]) {
        let later = self.diagnostics.split_off(count);
        let is_new = |one: &Diagnostic| {
            one.severity != Severity::Error || one.code == "plan::cycle" || told.binary_search(&one.at).is_err()
        };
        self.diagnostics.extend(later.into_iter().filter(is_new));
    }

    /// Everything found, by file and place, errors that are equal only once.
    pub fn sorted(mut self) -> Vec<Diagnostic> {
        self.diagnostics.sort_by(|a, b| (a.at, a.code, &a.message).cmp(&(b.at, b.code, &b.message)));
        self.diagnostics.dedup();
        self.diagnostics
    }
}
