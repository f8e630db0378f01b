//! Observers: they read durable records, live or old, and tell people and machines what happened.
//!
//! Everything here is a function of a graph, the records of a run and what its stages printed. So a report
//! of yesterday's run looks like the report of a live one, and no observer can know something that the
//! journal does not. The driver feeds observers after a batch is synced: what they show is final.
//!
//! [`view::View`] folds records into what people ask about: states, attempts, durations, reasons. Consoles
//! ([`console`]) and [`events`] implement [`Observer`]; [`junit`], [`html`], [`markdown`], [`table`] and
//! [`diff`] are functions of a finished view. Stage output passes [`clean`] before it reaches a terminal, so
//! that no stage can move the cursor, set a title or forge a line; the stored log stays complete.
//!
//! Invariants: nothing here fails a run. A console whose writer is gone goes quiet. Every buffer is bounded
//! by [`crate::base::limits`] or by a constant beside it, whatever a stage prints. Time is an input.

/// Appends formatted text to a `String`.
macro_rules! put {
    ($out:expr, $($text:tt)*) => {{
        use std::fmt::Write as _;
        write!($out, $($text)*).expect("a String takes everything")
    }};
}

pub mod clean;
pub mod console;
pub mod diff;
pub mod events;
pub mod hint;
pub mod html;
pub mod json;
pub mod junit;
pub mod markdown;
mod promise;
pub mod table;
pub mod tail;
pub mod view;
pub mod why;
pub mod words;

#[cfg(test)]
mod screen_tests;
#[cfg(test)]
mod script;
#[cfg(test)]
mod tests;

use crate::base::Millis;
use crate::run::{Attempt, Event};

pub use tail::{Excerpt, Logs, Tails};
pub use view::View;

/// Somebody who hears of a run. Called in order, from one thread, which may wait for a slow reader: nothing else
/// waits for it.
pub trait Observer {
    /// A record became durable.
    fn record(&mut self, seq: u64, at: Millis, event: &Event);

    /// An attempt printed something, already masked; chunks break anywhere, even inside a character.
    fn output(&mut self, attempt: Attempt, bytes: &[u8]);

    /// Whether it wants to know what attempts print.
    fn hears_output(&self) -> bool {
        true
    }

    /// Whether it shows hardly anything before the end, so that it may be told of records with the next tick.
    fn is_patient(&self) -> bool {
        false
    }

    /// Time passed; some ten times a second while something is shown live, else never.
    fn tick(&mut self, now: Millis);

    /// This engine is done with the run, which may go on later.
    fn end(&mut self, summary: &Summary);
}

/// What the records alone do not tell at the end of an engine's work on a run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// When this engine stopped, in the run's time.
    pub at: Millis,
    /// The exit code it leaves with.
    pub exit: u8,
    /// Something that stages printed could not be stored, and was not shown either.
    pub is_output_cut: bool,
    /// Sentences to show after everything else: the journal could not be written, a file is missing.
    pub notes: Vec<String>,
}
