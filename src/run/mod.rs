//! The core: inputs become events, events fold into state. No I/O, clock, randomness, async or logging.
//!
//! `driver` calls [`Core::step`] with what reached it and the time, writes the batch that comes back, and
//! only then carries out what [`input::commands`] reads from each event. `report` and `cli` read [`RunState`].
//!
//! Four laws, each a test:
//! 1. Only events change state.
//! 2. Every command follows from one event.
//! 3. Write before act: the host sends commands only after their event is durable. A start that nothing depends on
//!    yet need not wait for its own record: [`Horizon`] says which.
//! 4. Replay facts, not decisions: resume folds the journal; a newer scheduler resumes an older run.
//!
//! # How a run moves
//! A stage is *pending* until its needs have ended, then `place` lists it where `advance` finds it: to be
//! skipped, to be asked for its `if`, to be opened as an approval, to be looked up in the cache, or among the
//! ready ([`ready`] says in which order). Attempts are *flights* with one deadline each, the ladder of stop,
//! force, lost. A shard between attempts stands in a small table with the step it waits for.
//!
//! # Who decides what
//! - An answer counts for the attempt that runs now, by number; late and double ones are no events.
//! - A known failure is retried within its budget. One by force (clock, signal, stop, crash) first asks
//!   `done-if`; a stage that has none and is not idempotent becomes `unknown`, and a person decides.
//! - A failure drains the run unless its scope says `continue`. While it drains, only stages start that accept
//!   the failure; all others end as blocked. After a cancel they end as cancelled. So every stage has ended when
//!   the run has, and the clean-up has seen it.
//! - A scope that says `rollback` is undone once the run has drained ([`undo`]).
//! - Background stages start after the verdict and never change it ([`background`]).
//! - A resumed run that was over, or about to be, is another try: what had not succeeded is reopened, with its
//!   time and retries. One that was only interrupted goes on as it was; its lost attempts cost no retry.

mod advance;
mod background;
mod case;
mod cells;
mod clock;
mod consent;
mod core;
mod crew;
mod cut;
mod decide;
mod doubt;
mod edit;
pub mod event;
mod facts;
mod fold;
mod foresee;
mod frozen;
mod heal;
mod held;
mod holdings;
mod horizon;
mod imagine;
pub mod input;
mod numbers;
mod objective;
mod place;
mod rate;
mod read;
mod ready;
mod recover;
mod recut;
mod rehearse;
mod retry;
pub mod seal;
mod sharded;
mod shards;
mod state;
mod thought;
mod timebox;
mod undo;
mod verdict;

pub use advance::advance;
pub use core::{Batch, Core};
pub use decide::decide;
pub use event::{Attempt, Event, Outcome};
pub use foresee::{Fate, HangsOn, Prospect, foresee};
pub use horizon::Horizon;
pub use imagine::{Cause, Imagined, Lives, imagine};
pub use input::{Command, Input};
pub use read::Progress;
pub use recut::{Late, Recut, Sliced, recut};
pub use rehearse::rehearse;
pub use shards::{Flight, Phase};
pub use state::RunState;
pub use timebox::{fits, wants};

#[cfg(test)]
mod tests;
