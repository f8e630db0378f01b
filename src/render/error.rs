//! What can be wrong with an expression.

use std::ops::Range;

/// An expression or template that cannot be read or has no value.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What kind of fault it is.
    pub fault: Fault,
    /// Lower-case fragment, backticks round the user's names.
    pub message: String,
    /// Which bytes of the text are meant; the whole text when unknown.
    pub range: Option<Range<usize>>,
    /// How to mend it.
    pub help: Option<String>,
}

/// Kinds of [`Error`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The text is not an expression.
    Syntax,
    /// A name, filter or test that does not exist, or a value that is not there.
    Unknown,
    /// A value of the wrong kind.
    Type,
    /// A value that is not known before the run has come that far.
    Later,
    /// More work than `limits::RENDER_FUEL` allows.
    Fuel,
}

impl Error {
    pub(super) fn new(fault: Fault, range: Range<usize>, message: impl Into<String>) -> Self {
        Self { fault, message: message.into(), range: Some(range), help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same error inside a longer text.
    pub(super) fn shifted(mut self, by: usize) -> Self {
        self.range = self.range.map(|range| range.start + by..range.end + by);
        self
    }
}
