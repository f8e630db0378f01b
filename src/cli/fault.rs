//! Why a command could not do what it was asked, and the exit code that goes with it.

use super::exit::Exit;
use super::print;

/// A failure with words for the user.
#[derive(Debug)]
pub(super) struct Fault {
    /// The exit code.
    pub(super) exit: Exit,
    /// What went wrong; empty when it was said already.
    pub(super) message: String,
    /// How to go on, one suggestion a line.
    pub(super) help: Vec<String>,
}

impl Fault {
    /// A failure that ends with `exit`.
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), help: Vec::new() }
    }

    /// A failure that was told already.
    pub(super) fn told(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    /// With a suggestion.
    #[must_use]
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Tells the user, and gives the exit code.
    pub(super) fn tell(&self) -> Exit {
        if !self.message.is_empty() {
            print::note(&format!("error: {}", self.message));
        }
        for help in &self.help {
            print::note(&format!("help: {help}"));
        }
        self.exit
    }
}

/// What a command gives back.
pub(super) type Answer = Result<Exit, Fault>;
