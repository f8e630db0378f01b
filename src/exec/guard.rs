//! Keeps the promise that nothing outlives the engine, even when it is killed with -9.
//!
//! Two processes: a thin *front*, which the user started, and the *worker*, its fork, which
//! does everything. Both are subreapers, so whichever survives still has every process of every stage
//! below it, setsid and double forks included:
//!
//! - The worker dies without a goodbye: the front kills what is below it, says how to resume, and exits with
//!   128 + the signal.
//! - The front dies: the worker reads the end of a pipe, tells and starts nothing more, kills
//!   what is below it, and kills itself. What its stages did in their last moments is not recorded as
//!   their failure.
//! - Both die at once: a *sentinel* in a process group of its own ends what has the run's `ENGINE_RUN_ID`, and
//!   [`sweep_run`] looks again before a resume starts anything.
//!
//! Signals: a terminal sends Ctrl-C to front and worker, `kill` to one of them, a service manager to all.
//! The front passes each INT, TERM and HUP on as a byte; the worker gives its own ones to
//! [`Link::direct`], which pairs the two. So each reaches the listener exactly once, whatever the road.
//!
//! The worker has its ends of the front's pipes from the fork; each closes itself when a stage is started, so no stage can
//! ever hold one of them open.

mod front;
mod pairing;
mod sentinel;
mod sweep;
mod worker;

use std::sync::{Mutex, PoisonError, RwLock};

pub use front::divide;
pub use sentinel::{relieve, stand_watch};
pub use sweep::{is_elsewhere, sweep_run};
pub use worker::{Link, attach, is_worker, leave_idle};

use super::unix::Ident;

/// A request that came as a signal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Caught {
    /// Ctrl-C.
    Int,
    /// A polite end.
    Term,
    /// The terminal is gone.
    Hup,
}

impl Caught {
    const ALL: [Self; 3] = [Self::Int, Self::Term, Self::Hup];

    fn byte(self) -> u8 {
        match self {
            Self::Int => b'I',
            Self::Term => b'T',
            Self::Hup => b'H',
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|caught| caught.byte() == byte)
    }
}

/// Open while this process may start processes and tell what happened; closed for good when it leaves.
static GATE: RwLock<()> = RwLock::new(());
/// Processes handed to the machine, which no sweep may touch.
static SPARED: Mutex<Vec<Ident>> = Mutex::new(Vec::new());

/// Blocks for ever once this process is leaving because its front died.
pub(super) fn hold_if_leaving() {
    drop(GATE.read().unwrap_or_else(PoisonError::into_inner));
}

/// Runs `spawn`, which will be over before a leaving process looks for what it has to kill.
///
/// Waits for the sentinel that was asked for, without which nothing may start.
pub(super) fn while_open<T>(spawn: impl FnOnce() -> T) -> T {
    sentinel::wait();
    let _open = GATE.read().unwrap_or_else(PoisonError::into_inner);
    spawn()
}

/// Leaves a process alone whatever happens to this one: it was handed to the machine.
pub(super) fn spare(ident: Ident) {
    SPARED.lock().unwrap_or_else(PoisonError::into_inner).push(ident);
    let line = format!("spare {} {}\n", ident.pid, ident.started);
    worker::tell_front(&line);
    sentinel::tell(&line);
}

fn spared() -> Vec<Ident> {
    SPARED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
