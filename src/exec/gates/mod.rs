//! The gate host: asks for all gates of a run, from a few threads of this process.
//!
//! A gate is an attempt like any other to the rest of the engine: it is started with a [`Spec`], prints, is stopped, and is
//! answered by exactly one [`News::Ended`]. Its words are those of `engine gate probe`, so the same gate can be tried by
//! hand. A process for each would cost a thousand of them a hundred megabytes and a core (ADR 0027).
//!
//! One thread sleeps until the next round of any gate is due; when it has one to do, the next thread takes its place. A
//! round is one question to each probe of the gate. Nothing that a gate asks changes the outside, so a gate that is stopped
//! is over at once, and an answer that comes later is dropped.
//!
//! Gates that start processes (`command`) are processes themselves and come through [`probe`].

mod ask;
mod http;
mod record;
mod small;
mod task;

pub use record::{Stored, read as read_samples};
pub use task::probe;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use self::ask::Asker;
use self::task::{End, Task};
use super::{Ended, Exit, Key, Listener, News, OutputSink, Spec};
use crate::base::limits;

/// Where a gate keeps its samples: the variable that says it.
pub const SAMPLES_VAR: &str = "ENGINE_GATE_SAMPLES";

/// Asks for the gates of a run.
pub struct Gates {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Wakes the thread that waits for the time of the next round.
    clock: Condvar,
    /// Wakes a thread that waits for work.
    work: Condvar,
    sink: Arc<dyn OutputSink>,
    news: Listener,
    asker: Asker,
}

#[derive(Default)]
struct State {
    /// Gates between two rounds, by the time of the next.
    waiting: BTreeMap<(Instant, Key), Box<Task>>,
    /// When each of them is due.
    by_key: BTreeMap<Key, Instant>,
    /// Gates in a round.
    asked: BTreeSet<Key>,
    threads: usize,
    /// A thread waits for the time of the next round.
    is_watched: bool,
    /// Threads that wait for work.
    idle: usize,
}

impl Gates {
    /// A host without gates; threads come with the first.
    pub fn new(sink: Arc<dyn OutputSink>, news: Listener) -> Self {
        let shared = Shared {
            state: Mutex::default(),
            clock: Condvar::new(),
            work: Condvar::new(),
            sink,
            news,
            asker: Asker::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Starts a gate; its first round comes at once.
    pub fn start(&self, spec: &Spec) {
        let key = spec.key;
        match Task::begin(spec) {
            Err(why) => {
                let words = format!("{why}\n");
                self.shared.sink.write(key, words.as_bytes());
                self.shared.tell(key, Exit::NotStarted(why), Duration::ZERO);
            }
            Ok(task) => {
                let mut state = self.shared.lock();
                state.put(now(), key, Box::new(task));
                self.shared.call(&mut state);
            }
        }
    }

    /// Ends a gate, at once; whether there is one with this key.
    pub fn stop(&self, key: Key) -> bool {
        let took = {
            let mut state = self.shared.lock();
            match state.by_key.remove(&key) {
                Some(due) => state.waiting.remove(&(due, key)).map(|task| task.took()),
                None if state.asked.remove(&key) => Some(Duration::ZERO),
                None => return false,
            }
        };
        self.shared.tell(key, Exit::Signal(15), took.unwrap_or_default());
        true
    }
}

impl State {
    fn put(&mut self, due: Instant, key: Key, task: Box<Task>) {
        self.waiting.insert((due, key), task);
        self.by_key.insert(key, due);
    }

    fn take_due(&mut self, at: Instant) -> Option<(Key, Box<Task>)> {
        let (&(due, key), _) = self.waiting.first_key_value()?;
        if due > at {
            return None;
        }
        let (_, task) = self.waiting.pop_first()?;
        self.by_key.remove(&key);
        self.asked.insert(key);
        Some((key, task))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that somebody does what is due.
    fn call(self: &Arc<Self>, state: &mut State) {
        if state.is_watched {
            self.clock.notify_one();
        } else if state.idle > 0 {
            self.work.notify_one();
        } else if state.threads < limits::MAX_GATE_THREADS {
            let shared = Arc::clone(self);
            let spawned = std::thread::Builder::new().name("gate".to_owned()).spawn(move || shared.serve());
            // Without another thread, those there are do it a little later; the first has to be.
            match spawned {
                Ok(_) => state.threads += 1,
                Err(error) => assert!(state.threads > 0, "the system gives no thread to ask gates from: {error}"),
            }
        }
    }

    /// A thread's life: rounds, as they come due.
    fn serve(self: &Arc<Self>) {
        let mut state = self.lock();
        loop {
            if let Some((key, task)) = state.take_due(now()) {
                // While this thread asks, another one waits for the next round.
                if !state.is_watched && !state.waiting.is_empty() {
                    self.call(&mut state);
                }
                drop(state);
                self.round(key, task);
                state = self.lock();
                continue;
            }
            let next = state.waiting.first_key_value().map(|((due, _), _)| due.saturating_duration_since(now()));
            if let Some(wait) = next.filter(|_| !state.is_watched) {
                state.is_watched = true;
                state = self.clock.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
                state.is_watched = false;
            } else {
                state.idle += 1;
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }

    fn round(&self, key: Key, mut task: Box<Task>) {
        let mut words = Vec::new();
        let end = task.round(&self.asker, &mut words);
        let mut state = self.lock();
        if !state.asked.contains(&key) {
            return; // It was stopped meanwhile.
        }
        if !words.is_empty() {
            self.sink.write(key, &words);
        }
        match end {
            None => {
                state.asked.remove(&key);
                let due = task.due();
                state.put(due, key, task);
                // The thread that waits for the clock may wait for a later round than this.
                if state.is_watched
                    && state.waiting.first_key_value().is_some_and(|(first, _)| *first == (due, key))
                {
                    self.clock.notify_one();
                }
            }
            Some(End { exit }) => {
                state.asked.remove(&key);
                drop(state);
                self.tell(key, exit, task.took());
            }
        }
    }

    fn tell(&self, key: Key, exit: Exit, took: Duration) {
        super::guard::hold_if_leaving();
        (self.news)(News::Ended(Box::new(Ended {
            key,
            exit,
            took,
            cpu_us: 0,
            max_rss_kib: 0,
            bytes: 0,
            notes: Vec::new(),
        })));
    }
}

#[expect(clippy::disallowed_methods, reason = "gates are asked at real times; no decision of the core reads this")]
fn now() -> Instant {
    Instant::now()
}
