//! The core: inputs become events, events fold into state. No I/O, clock, randomness, async or logging.
//!
//! Four laws, each a test:
//! 1. Only events change state.
//! 2. Every command follows from one event.
//! 3. Write before act: the host sends commands only after their event is durable.
//! 4. Replay facts, not decisions: resume folds the journal; a newer scheduler resumes an older run.

pub mod event;
pub mod input;

pub use event::{Attempt, Event, Outcome};
pub use input::{Command, Input};
