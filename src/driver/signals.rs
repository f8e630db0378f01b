//! Signals to the engine, as a ladder: the first asks, the second kills, the third leaves at once.

use tokio::signal::unix::{SignalKind, signal};

use crate::exec::guard::{Caught, Link};
use crate::run::event::{CancelLevel, CancelReason};

/// Listens for INT, TERM and HUP until the engine ends; from here on none of them ends the process by itself.
/// With a guarding front the signals go through its `link`, which hears of each exactly once; without one
/// they go to `heard`.
///
/// # Errors
/// The system refused a handler.
pub fn listen(link: Option<std::sync::Arc<Link>>, heard: impl Fn(Caught) + Send + 'static) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        loop {
            let caught = tokio::select! {
                _ = interrupt.recv() => Caught::Int,
                _ = terminate.recv() => Caught::Term,
                _ = hang_up.recv() => Caught::Hup,
            };
            match &link {
                Some(link) => link.direct(caught),
                None => heard(caught),
            }
        }
    });
    Ok(())
}

/// Ends this process as a signal does that nobody listens for: nothing was begun.
pub fn die_of(caught: Caught) {
    let signal = match caught {
        Caught::Int => rustix::process::Signal::INT,
        Caught::Term => rustix::process::Signal::TERM,
        Caught::Hup => rustix::process::Signal::HUP,
    };
    // Only a handler could refuse, and then it hears.
    let _heard = rustix::process::kill_process(rustix::process::getpid(), signal);
}

/// What a signal asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Cancel the run so hard.
    Cancel(CancelLevel, CancelReason),
    /// Leave now; the front sweeps what is left.
    Leave(CancelReason),
}

/// Counts the signals of one engine.
#[derive(Default, Debug)]
pub struct Ladder {
    seen: u8,
}

impl Ladder {
    /// The next step down.
    pub fn step(&mut self, caught: Caught) -> Step {
        let why = match caught {
            Caught::Int => CancelReason::Person,
            Caught::Term | Caught::Hup => CancelReason::Terminated,
        };
        self.seen = self.seen.saturating_add(1);
        match self.seen {
            1 => Step::Cancel(CancelLevel::Stop, why),
            2 => Step::Cancel(CancelLevel::Kill, why),
            _ => Step::Leave(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_signal_goes_one_step_further() {
        let mut ladder = Ladder::default();
        let why = CancelReason::Person;
        assert_eq!(ladder.step(Caught::Int), Step::Cancel(CancelLevel::Stop, why));
        assert_eq!(ladder.step(Caught::Int), Step::Cancel(CancelLevel::Kill, why));
        assert_eq!(ladder.step(Caught::Term), Step::Leave(CancelReason::Terminated));
        assert_eq!(ladder.step(Caught::Int), Step::Leave(why));
    }
}
