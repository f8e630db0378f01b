//! The commands that are asked for secrets right now, so that an engine which leaves takes them along.

use std::collections::HashSet;
use std::process::Child;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process_group};

/// The process groups of commands that run.
#[derive(Debug, Default)]
pub(super) struct Commands(Mutex<Running>);

#[derive(Debug, Default)]
struct Running {
    groups: HashSet<Pid>,
    is_over: bool,
}

impl Commands {
    fn lock(&self) -> MutexGuard<'_, Running> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A command has begun, in a group of its own; it ends at once when the engine leaves.
    pub(super) fn begun(&self, child: &Child) {
        let mut running = self.lock();
        let group = Pid::from_child(child);
        running.groups.insert(group);
        if running.is_over {
            kill(group);
        }
    }

    /// Ends what is left of a command's group. It was not waited for yet, so the number is still its own.
    pub(super) fn end(&self, child: &Child) {
        let group = Pid::from_child(child);
        let mut running = self.lock();
        running.groups.remove(&group);
        kill(group);
    }

    /// Ends all, now and from now on.
    pub(super) fn leave(&self) {
        let mut running = self.lock();
        running.is_over = true;
        running.groups.iter().copied().for_each(kill);
    }
}

fn kill(group: Pid) {
    // It may have ended by itself.
    let _ = kill_process_group(group, Signal::KILL);
}
