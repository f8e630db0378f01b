//! A crew: the long-lived workers of one stage. They are given items as lines of JSON on their standard input, and
//! answer each with one line on their standard output, in any order. What they write to standard error is output like
//! any other. `docs/lines.md` is the protocol.
//!
//! The driver makes a [`Crew`] for a stage, gives it items, and hears what it [tells](Told). It starts the processes,
//! through [`super::Local`] like all others, so every promise about a process and what it leaves holds for workers
//! too; a crew only has the far ends of their pipes, in a thread of its own.
//!
//! Who is to blame for what:
//! - A worker that ends, breaks the protocol, or leaves its oldest item unanswered for the item's timeout is
//!   replaced. What it had not answered is told as lost and will be given again; the first loss is nobody's fault.
//! - An item that was lost once goes *alone*: to a worker that has nothing else. If that worker is lost too, there is
//!   no doubt about whose fault it is, and the item has failed.
//! - Workers that end again and again without a single answer are a fault of the stage:
//!   after [`limits::MAX_FRUITLESS_WORKERS`] in a row every item fails at once, and no other worker is started.
//!
//! Invariants: an item that was given is answered, told as lost, or (once the crew is told to end) left to whoever
//! ordered that. It is in the hands of one worker at most, and it is told as lost only when that worker's whole
//! process tree is gone. No worker has more unanswered items than `in-flight`; what the crew was given beyond that waits
//! in here, so the bound on memory is the giver's.

mod answer;
mod items;
mod shift;
mod worker;

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use serde_json::Value;

use super::{Error, Exit, Key, StopKind};
use crate::base::Text;
use crate::plan::model::Type;
use crate::run::event::Outcome;

#[cfg(doc)]
use crate::base::limits;

/// What the workers of a stage do.
pub struct Trade {
    /// Items that one worker may have unanswered, at most.
    pub in_flight: usize,
    /// How long a worker may take for its oldest unanswered item.
    pub timeout: Option<Duration>,
    /// Between asking a worker to end and killing it.
    pub grace: Duration,
    /// Whether an item may be given again when nobody knows what became of it.
    pub is_idempotent: bool,
    /// What an answer has to bring.
    pub outputs: Vec<(Text, Type)>,
    /// Writes an item as JSON.
    pub item: ItemWriter,
}

/// Appends the item of that number as JSON.
pub type ItemWriter = Box<dyn Fn(u32, &mut Vec<u8>) + Send>;

/// What a crew tells, always from its own thread.
#[derive(Debug)]
pub enum Told {
    /// A worker is to be started for this place, and to [join](Crew::join).
    Wanted(u32),
    /// A worker is to be stopped.
    Stop(Key, StopKind),
    /// Items were answered.
    Answered(Answers),
    /// A worker is gone.
    Lost(Lost),
    /// All workers are gone, as was ordered; nothing more is told.
    Gone,
}

/// Answers that came at once, by item.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Answers {
    /// First attempts that succeeded and left nothing: first item, and how many in a row.
    pub runs: Vec<(u32, u32)>,
    /// All others.
    pub others: Vec<Answer>,
    /// How long workers worked on all of them.
    pub took: Duration,
}

/// What became of an item.
#[derive(Clone, PartialEq, Debug)]
pub struct Answer {
    /// The item.
    pub item: u32,
    /// Which attempt.
    pub number: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// What it left.
    pub outputs: Vec<(String, Value)>,
    /// What a person should know.
    pub note: Option<String>,
}

/// What a worker that is gone leaves.
#[derive(Clone, PartialEq, Debug)]
pub struct Lost {
    /// What happened, in words; none when it did as it was told.
    pub why: Option<String>,
    /// Items that it had not answered, and their attempts.
    pub items: Vec<(u32, u16)>,
    /// It could not be killed: it may still be at work on them.
    pub is_alive: bool,
}

/// The workers of a stage. Dropping it lets go of their pipes; whoever started the processes ends them.
pub struct Crew {
    shared: Arc<Shared>,
}

struct Shared {
    inbox: Mutex<Vec<Message>>,
    waker: OwnedFd,
}

/// What a crew is told.
enum Message {
    Hire(u32),
    Give { first: u32, count: u32, number: u16 },
    Stop(u32, StopKind),
    Join(u32, Key, OwnedFd, OwnedFd),
    Ended(Key, Exit, Vec<String>),
    Refuse(String),
    Dismiss(StopKind),
    Leave,
}

impl Crew {
    /// A crew without workers, whose thread says by `tell` what happens.
    ///
    /// # Errors
    /// When the machine refuses a descriptor or a thread.
    pub fn new(trade: Trade, tell: Box<dyn Fn(Told) + Send>) -> Result<Self, Error> {
        let waker = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|error| Error::Setup { what: "create a wake-up descriptor", source: error.into() })?;
        let shared = Arc::new(Shared { inbox: Mutex::default(), waker });
        let shift = shift::Shift::new(Arc::clone(&shared), trade, tell);
        std::thread::Builder::new()
            .name("crew".into())
            .spawn(move || shift.run())
            .map_err(|source| Error::Setup { what: "start a thread", source })?;
        Ok(Self { shared })
    }

    /// Makes room for `count` workers more; each is asked for when there is something for it to do.
    pub fn hire(&self, count: u32) {
        self.send(Message::Hire(count));
    }

    /// Gives `count` items from `first` on, in attempt `number`.
    pub fn give(&self, first: u32, count: u32, number: u16) {
        self.send(Message::Give { first, count, number });
    }

    /// Stops the work on an item, and with it the worker that has it.
    pub fn stop(&self, item: u32, how: StopKind) {
        self.send(Message::Stop(item, how));
    }

    /// A worker was started for `place`: here are the far ends of its standard input and output. Its end has to be
    /// [told](Self::ended), also when it could not be started.
    pub fn join(&self, place: u32, key: Key, stdin: OwnedFd, stdout: OwnedFd) {
        self.send(Message::Join(place, key, stdin, stdout));
    }

    /// A worker's process is over, and all that it had started.
    pub fn ended(&self, key: Key, exit: Exit, notes: Vec<String>) {
        self.send(Message::Ended(key, exit, notes));
    }

    /// No worker can be started: every item fails with these words.
    pub fn refuse(&self, why: String) {
        self.send(Message::Refuse(why));
    }

    /// Lets all workers go: `Terminate` ends their input and gives them the grace period, twice if need be, first to
    /// end by themselves and then to heed the stop signal; `Kill` does not wait. Said with nothing unanswered.
    pub fn dismiss(&self, how: StopKind) {
        self.send(Message::Dismiss(how));
    }

    fn send(&self, message: Message) {
        self.shared.lock().push(message);
        // A full counter is a wake-up that is still to be heard.
        let _full = rustix::io::write(&self.shared.waker, &1u64.to_ne_bytes());
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        // The thread may be the very one that drops us, so nobody waits for it.
        self.send(Message::Leave);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<Message>> {
        // Nothing in here can panic half-way.
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
