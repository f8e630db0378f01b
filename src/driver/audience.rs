//! Those who are told of a live run, each on a thread of its own.
//!
//! The loop hands over what is durable and never waits for anybody: a terminal that is stopped, a pipe that
//! nobody reads, a disk that hangs under `--events` hold up one observer, and no stage, deadline or cancel.
//! Records wait without a bound of their own; they are as many as the run has. What stages print waits in the
//! segments and nowhere else: each observer reads them for itself, up to the [`Mark`] that says how far the
//! output had come when the records were handed over. So a slow reader gets all of it, in the right order.
//! Ticks are not queued: a late observer hears of the last one. One that shows hardly anything before the end is woken by
//! ticks, and by records only where somebody waits to see them.
//!
//! Invariants: an observer hears of nothing that is not durable, in order, from one thread. Who panics is told
//! no more; the run goes on.

use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::host::Error;
use super::output::Captured;
use crate::base::{Millis, limits};
use crate::journal::RunDir;
use crate::journal::output::{Growing, Mark};
use crate::report::{Observer, Summary};
use crate::run::{Attempt, Event};

/// How long the first process waits for the run's id to be shown: for ever would be a wait for a reader.
const FIRST_WORD_PATIENCE: Duration = Duration::from_millis(250);
/// How long those who know the end may take to say it when nobody waits for them any more: who writes a file has not
/// deserved to be cut off for one who waits for a reader.
const LAST_WORD_PATIENCE: Duration = Duration::from_millis(500);
/// How long observers may take to leave the terminal in order when nobody waits for them any more.
const DISMISSAL_PATIENCE: Duration = Duration::from_millis(200);

/// Records that are durable, and how far the output had come before them.
#[derive(Debug)]
pub struct Batch {
    /// Sequence number of the first.
    pub first: u64,
    /// The records.
    pub records: Vec<(Millis, Event)>,
    /// What was printed before this place came before the records.
    pub mark: Mark,
}

/// All observers of a live run.
#[derive(Debug)]
pub struct Audience {
    seats: Vec<Arc<Seat>>,
    /// Asked how far the output has come, when anybody wants to see it.
    captured: Option<Arc<Captured>>,
}

/// A way to put a question on the terminal, behind everything that was told before.
#[derive(Clone, Debug)]
pub struct Voice(Option<Arc<Seat>>);

/// What waits for one observer.
#[derive(Debug, Default)]
struct Seat {
    queue: Mutex<Queue>,
    /// Records reach it with the next tick: to be woken for each batch of them would cost more than to be told.
    is_patient: bool,
    /// There is something to tell.
    filled: Condvar,
    /// Everything was told, or nothing ever will be.
    emptied: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    words: VecDeque<Word>,
    tick: Option<(Millis, Mark)>,
    end: Option<End>,
    is_telling: bool,
    is_over: bool,
    has_panicked: bool,
}

#[derive(Debug)]
enum Word {
    Records(Arc<Batch>),
    /// For standard error, as it is.
    Question(String),
}

#[derive(Clone, Debug)]
enum End {
    /// Tell the rest, then this.
    Of(Arc<Summary>, Mark),
    /// Tell nothing more.
    Dismissed,
}

impl Audience {
    /// Gives each of `observers` a thread. `on_end` is called by each when it was told the end.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn new(
        observers: Vec<Box<dyn Observer + Send>>,
        dir: &RunDir,
        captured: &Arc<Captured>,
        on_end: &(impl Fn() + Clone + Send + 'static),
    ) -> Result<Self, Error> {
        let hears_output = observers.iter().any(|observer| observer.hears_output());
        let from = captured.mark();
        // From here on a drop lets those go who have come.
        let mut audience = Self { seats: Vec::new(), captured: hears_output.then(|| Arc::clone(captured)) };
        for observer in observers {
            let seat = Arc::new(Seat { is_patient: observer.is_patient(), ..Seat::default() });
            let output = observer.hears_output().then(|| Growing::new(dir.clone(), from));
            let captured = Arc::clone(captured);
            let member = Member { seat: Arc::clone(&seat), observer, output, captured, said: None };
            let on_end = on_end.clone();
            std::thread::Builder::new()
                .name("observer".to_owned())
                .spawn(move || member.listen(on_end))
                .map_err(|source| Error::System { action: "start a thread for what is shown", source })?;
            audience.seats.push(seat);
        }
        Ok(audience)
    }

    /// How far the output has come by now.
    pub fn mark(&self) -> Mark {
        self.captured.as_ref().map_or_else(Mark::default, |captured| captured.mark())
    }

    /// Hands records over. What is urgent wakes who would otherwise be told with the next tick.
    pub fn tell(&self, batch: &Arc<Batch>, is_urgent: bool) {
        for seat in &self.seats {
            let wakes = is_urgent || !seat.is_patient;
            seat.put(|queue| queue.words.push_back(Word::Records(Arc::clone(batch))), wakes);
        }
    }

    /// Waits, but not for long, until the first observer was told everything: a user is to know the run's id
    /// before any process starts.
    pub fn finish_first_word(&self) {
        if let Some(seat) = self.seats.first() {
            seat.wait_until(FIRST_WORD_PATIENCE, |queue| !queue.is_telling && queue.words.is_empty());
        }
    }

    /// Time passed.
    pub fn tick(&self, now: Millis) {
        let mark = self.mark();
        for seat in &self.seats {
            seat.put(|queue| queue.tick = Some((now, mark)), true);
        }
    }

    /// A way to ask a question beside the first observer's words.
    pub fn voice(&self) -> Voice {
        Voice(self.seats.first().cloned())
    }

    /// Nothing follows but this. Wait with [`Audience::is_telling`] until everybody knows.
    pub fn end(&self, summary: Summary) {
        let (summary, mark) = (Arc::new(summary), self.mark());
        for seat in &self.seats {
            seat.put(|queue| queue.end = Some(End::Of(Arc::clone(&summary), mark)), true);
        }
    }

    /// Whether somebody was not told everything yet.
    pub fn is_telling(&self) -> bool {
        self.seats.iter().any(|seat| !seat.lock().is_over)
    }

    /// Whether an observer broke one of its own invariants.
    pub fn has_panicked(&self) -> bool {
        self.seats.iter().any(|seat| seat.lock().has_panicked)
    }
}

impl Drop for Audience {
    /// Whoever was not told the end gives the terminal back, if it can, and goes.
    fn drop(&mut self) {
        for seat in self.seats.iter().filter(|seat| seat.lock().end.is_some()) {
            seat.wait_until(LAST_WORD_PATIENCE, |queue| queue.is_over);
        }
        for seat in &self.seats {
            seat.put(|queue| queue.end = Some(End::Dismissed), true);
        }
        for seat in &self.seats {
            seat.wait_until(DISMISSAL_PATIENCE, |queue| queue.is_over);
        }
    }
}

impl Voice {
    /// Puts a question on standard error.
    pub fn ask(&self, question: &str) {
        if let Some(seat) = &self.0 {
            seat.put(|queue| queue.words.push_back(Word::Question(question.to_owned())), true);
        }
    }
}

impl Seat {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing in here can panic half-way.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, change: impl FnOnce(&mut Queue), wakes: bool) {
        let mut queue = self.lock();
        if queue.is_over {
            return;
        }
        change(&mut queue);
        // Who is telling looks again before it sleeps.
        let sleeps = !queue.is_telling;
        drop(queue);
        if sleeps && wakes {
            self.filled.notify_one();
        }
    }

    /// Waits so long at most.
    fn wait_until(&self, patience: Duration, is_done: impl Fn(&Queue) -> bool) {
        let waits = |queue: &mut Queue| !queue.is_over && !is_done(queue);
        drop(self.emptied.wait_timeout_while(self.lock(), patience, waits));
    }

    /// What is to be told next; sleeps until there is something.
    fn next(&self) -> (VecDeque<Word>, Option<(Millis, Mark)>, Option<End>) {
        let mut queue = self.lock();
        queue.is_telling = false;
        while queue.words.is_empty() && queue.tick.is_none() && queue.end.is_none() {
            self.emptied.notify_all();
            queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.is_telling = true;
        (std::mem::take(&mut queue.words), queue.tick.take(), queue.end.clone())
    }
}

/// An observer on its thread.
struct Member {
    seat: Arc<Seat>,
    observer: Box<dyn Observer + Send>,
    /// Where it stands in what stages print, when it wants to know.
    output: Option<Growing>,
    captured: Arc<Captured>,
    /// What an attempt printed, until it is enough to be told, or something else is.
    said: Option<(Attempt, Vec<u8>)>,
}

impl Member {
    fn listen(self, on_end: impl Fn()) {
        let seat = Arc::clone(&self.seat);
        let mut member = self;
        // What the observer holds is given back before anybody hears that it is done.
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || member.tell_all()));
        {
            let mut queue = seat.lock();
            queue.is_over = true;
            queue.has_panicked = told.is_err();
            queue.words.clear();
        }
        seat.emptied.notify_all();
        on_end();
    }

    fn tell_all(&mut self) {
        loop {
            let (words, tick, end) = self.seat.next();
            if matches!(end, Some(End::Dismissed)) {
                return;
            }
            for word in words {
                match word {
                    Word::Records(batch) => self.tell(&batch),
                    Word::Question(text) => ask(&text),
                }
            }
            if let Some((now, mark)) = tick {
                self.tell_output(mark);
                self.observer.tick(now);
            }
            if let Some(End::Of(summary, mark)) = end {
                self.tell_output(mark);
                self.observer.end(&summary);
                return;
            }
        }
    }

    fn tell(&mut self, batch: &Batch) {
        self.tell_output(batch.mark);
        for (seq, (at, event)) in (batch.first..).zip(&batch.records) {
            self.observer.record(seq, *at, event);
        }
    }

    /// Output that came before what is about to be told.
    fn tell_output(&mut self, mark: Mark) {
        let Self { observer, output, captured, said, .. } = self;
        let Some(output) = output.as_mut().filter(|output| output.is_behind(mark)) else { return };
        captured.flush();
        let mut tell = |attempt: Attempt, bytes: &[u8]| match said {
            Some((last, text)) if *last == attempt && text.len() + bytes.len() <= limits::MAX_TOLD_BYTES => {
                text.extend_from_slice(bytes);
            }
            _ => {
                if let Some((last, text)) = said.replace((attempt, bytes.to_vec())) {
                    observer.output(last, &text);
                }
            }
        };
        // A log that cannot be read back is missing from what is shown, not from what was done.
        if let Err(error) = output.read_to(mark, &mut tell) {
            tracing::debug!("what stages print cannot be shown: {error}");
        }
        if let Some((last, text)) = said.take() {
            observer.output(last, &text);
        }
    }
}

/// Puts a question on standard error.
fn ask(question: &str) {
    let mut terminal = std::io::stderr().lock();
    // A terminal that is gone cannot be asked; the verbs still can.
    let _ = write!(terminal, "{question}").and_then(|()| terminal.flush());
}
