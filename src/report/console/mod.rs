//! What a person or a CI log sees of a run.
//!
//! All consoles tell the same story (`story`), and differ in where output goes: [`Plain`] prefixes every line
//! with its stage, [`Tty`] keeps a live region below what scrolls past, [`GitHub`] and [`GitLab`] fold a
//! stage's output when it ends, [`Quiet`] shows only what needs somebody. A console whose writer fails goes
//! silent: the run goes on.

mod behind;
mod consent;
mod github;
mod gitlab;
mod grouped;
mod plain;
mod quiet;
mod story;
mod tty;

use std::io::Write;

use anstyle::{AnsiColor, Style};

use crate::run::event::NodeState;

pub use github::{GitHub, Lines};
pub use gitlab::GitLab;
pub use plain::Plain;
pub use quiet::Quiet;
pub use tty::{AT_TERMINAL, Size, Sizer, Tty};

/// How to write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Look {
    /// Colours, as `--color`, `NO_COLOR` and the terminal allow.
    pub colour: bool,
    /// Show what a stage printed while it runs ([`Plain`]); else only that of failed stages.
    pub output: bool,
}

impl Look {
    /// No colours, all output.
    pub const PLAIN: Self = Self { colour: false, output: true };

    /// `text` in the colour of `state`.
    pub fn paint(self, state: NodeState, text: &str) -> String {
        self.style(colour(state), text)
    }

    /// `text`, standing back.
    pub fn dim(self, text: &str) -> String {
        self.style(Style::new().dimmed(), text)
    }

    /// `text`, standing out.
    pub fn bold(self, text: &str) -> String {
        self.style(Style::new().bold(), text)
    }

    /// `text` in `style`, if there are colours.
    fn style(self, style: Style, text: &str) -> String {
        if self.colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

/// The colour of a state.
const fn colour(state: NodeState) -> Style {
    let plain = Style::new();
    match state {
        NodeState::Success | NodeState::Cached => {
            plain.bold().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green)))
        }
        NodeState::Failed | NodeState::TimedOut => {
            plain.bold().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red)))
        }
        NodeState::AllowedFailure | NodeState::Retrying | NodeState::Unknown | NodeState::Cancelled => {
            plain.bold().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Yellow)))
        }
        NodeState::Running | NodeState::Waiting => {
            plain.bold().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Cyan)))
        }
        NodeState::Pending | NodeState::Skipped | NodeState::Blocked | NodeState::Undone => plain.dimmed(),
    }
}

/// A writer that is not asked again once it failed: a closed pipe ends the telling, not the run.
#[derive(Debug)]
struct Pen<W> {
    out: W,
    is_broken: bool,
}

impl<W: Write> Pen<W> {
    /// Writes to `out`.
    const fn new(out: W) -> Self {
        Self { out, is_broken: false }
    }

    /// Writes `text` and sees that it gets there.
    fn write(&mut self, text: &str) {
        if !self.is_broken && !text.is_empty() {
            self.is_broken = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()).is_err();
        }
    }
}
