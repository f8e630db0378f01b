//! Runs attempts as processes of this machine, from a few threads that spawn, watch and sweep.
//!
//! Each thread (a *slot*) multiplexes any number of attempts with poll: one pipe for what an attempt
//! prints, one pidfd for its end. A start goes to one queue from which the next free slot takes it, because a
//! spawn sleeps until the child has run exec: several of them at once keep all cores busy.

mod attempt;
mod program;
mod slot;
mod spawn;

use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};

use super::unix::Named;
use super::{Ended, Error, Executor, Key, Listener, News, OutputSink, Spec, StopKind, strays, unix};
use crate::base::limits;
use crate::plan::model::{Lifetime, Signal};

/// Bytes handed to the sink at most at once.
pub const READ_BYTES: usize = limits::OUTPUT_READ_BYTES;

/// The executor for processes. Dropping it kills what still runs.
pub struct Local {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    haste: Haste,
}

/// Ends the grace that a shutdown gives, also while it waits.
#[derive(Clone, Debug, Default)]
pub struct Haste(Arc<AtomicBool>);

impl Haste {
    /// From here on nothing has grace.
    pub fn make(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_made(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Something that lives on after [`Local::shutdown`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leftover {
    /// The attempt that started it.
    pub key: Key,
    /// Which process.
    pub process: Named,
    /// Handed to the machine on purpose (`lifetime: host`).
    pub is_intended: bool,
}

/// What all slots share.
struct Shared {
    state: Mutex<State>,
    wakers: Vec<OwnedFd>,
    sink: Arc<dyn OutputSink>,
    news: Listener,
    null: File,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Spec>,
    /// Slots that sleep, one bit each.
    idle: u64,
    /// Slots that watch nothing, one bit each.
    vacant: u64,
    stops: Vec<Vec<(Key, StopKind)>>,
    is_closing: bool,
    services: Vec<Service>,
}

/// Processes that outlive their attempt on purpose.
struct Service {
    key: Key,
    serial: strays::Serial,
    signal: Signal,
    grace: Duration,
    lifetime: Lifetime,
}

/// What a slot does next.
struct Turn {
    start: Option<Spec>,
    stops: Vec<(Key, StopKind)>,
    is_closing: bool,
}

impl Local {
    /// Starts the spawn threads (at most [`limits::MAX_SPAWN_THREADS`], at least one) and makes this
    /// process adopt orphans.
    ///
    /// # Errors
    /// When the kernel refuses a descriptor or a thread, or does not list children in `/proc`.
    pub fn new(threads: usize, sink: Arc<dyn OutputSink>, news: Listener) -> Result<Self, Error> {
        strays::prepare()?;
        let count = threads.clamp(1, limits::MAX_SPAWN_THREADS);
        let wakers = (0..count)
            .map(|_| eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Error::Setup { what: "create a wake-up descriptor", source: error.into() })?;
        let null = File::open("/dev/null").map_err(|source| Error::Setup { what: "open `/dev/null`", source })?;
        let state = State { stops: vec![Vec::new(); count], ..State::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), wakers, sink, news, null });
        // From here on a drop joins the threads that were started.
        let mut local = Self { shared, threads: Vec::new(), haste: Haste::default() };
        for index in 0..count {
            let shared = Arc::clone(&local.shared);
            let thread = std::thread::Builder::new()
                .name(format!("spawn-{index}"))
                .spawn(move || slot::Slot::new(index, shared).run())
                .map_err(|source| Error::Setup { what: "start a thread", source })?;
            local.threads.push(thread);
        }
        Ok(local)
    }

    /// What ends the grace of a shutdown, to be taken before it begins.
    pub fn haste(&self) -> Haste {
        self.haste.clone()
    }

    /// Whether a shutdown would wait for what `lifetime: run` left running.
    pub fn has_services(&self) -> bool {
        !self.shared.lock().services.is_empty()
    }

    /// Kills what still runs, then stops what `lifetime: run` left running in reverse order: the stop signal,
    /// KILL after the grace period. Answers with what is alive after that.
    pub fn shutdown(mut self) -> Vec<Leftover> {
        self.close()
    }

    /// Stops services while their pipes are still read, so that they can say their last words unharmed; then
    /// the slots, which kill what runs; then services that came up in between.
    fn close(&mut self) -> Vec<Leftover> {
        let mut left = self.stop_services();
        self.close_slots();
        left.extend(self.stop_services());
        left
    }

    fn stop_services(&self) -> Vec<Leftover> {
        let services = std::mem::take(&mut self.shared.lock().services);
        let mut left = Vec::new();
        for service in services.into_iter().rev() {
            let is_intended = service.lifetime == Lifetime::Host;
            let alive = if is_intended { strays::rest(service.serial) } else { service.stop(&self.haste) };
            left.extend(alive.into_iter().map(|process| Leftover { key: service.key, process, is_intended }));
            strays::forget(service.serial);
        }
        left
    }

    fn close_slots(&mut self) {
        let stopped = {
            let mut state = self.shared.lock();
            state.is_closing = true;
            std::mem::take(&mut state.queue)
        };
        for spec in stopped {
            self.shared.tell(News::Ended(Box::new(Ended::not_started(spec.key, "the engine is closing".into()))));
        }
        for index in 0..self.shared.wakers.len() {
            self.shared.wake(index);
        }
        for thread in self.threads.drain(..) {
            // A slot that panicked has said so itself; the others still end in order.
            let _panicked = thread.join();
        }
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // After a shutdown nothing is left to do; without one, nobody wants to know what is left.
        self.close();
    }
}

impl Executor for Local {
    fn start(&self, spec: Spec) {
        let woken = {
            let mut state = self.shared.lock();
            state.queue.push_back(spec);
            // A slot that orders it while it tells an end takes it next: no other has to be woken.
            if slot::takes_next() { None } else { state.take_idle() }
        };
        if let Some(index) = woken {
            self.shared.wake(index);
        }
    }

    fn stop(&self, key: Key, how: StopKind) {
        let queued = {
            let mut state = self.shared.lock();
            let place = state.queue.iter().position(|spec| spec.key == key);
            let queued = place.and_then(|place| state.queue.remove(place));
            if queued.is_none() {
                // Only the slot that runs it knows it; asking all keeps starts free of a shared table.
                state.stops.iter_mut().for_each(|mail| mail.push((key, how)));
            }
            queued
        };
        if queued.is_some() {
            self.shared
                .tell(News::Ended(Box::new(Ended::not_started(key, "stopped before it was started".into()))));
            return;
        }
        for index in 0..self.shared.wakers.len() {
            self.shared.wake(index);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, news: News) {
        super::guard::hold_if_leaving();
        (self.news)(news);
    }

    fn wake(&self, index: usize) {
        // A full counter is a wake-up that is still to be heard.
        let _full = rustix::io::write(&self.wakers[index], &1u64.to_ne_bytes());
    }

    /// The next work of a slot; without any, the slot counts as idle from here on.
    fn turn(&self, index: usize, is_vacant: bool) -> Turn {
        let mut state = self.lock();
        let stops = std::mem::take(&mut state.stops[index]);
        let start = state.queue.pop_front();
        if start.is_none() && stops.is_empty() {
            state.idle |= 1 << index;
            state.vacant = state.vacant & !(1 << index) | u64::from(is_vacant) << index;
        } else {
            state.idle &= !(1 << index);
        }
        Turn { start, stops, is_closing: state.is_closing }
    }

    /// The slot has work of its own; starts should go to others.
    fn is_busy(&self, index: usize) {
        self.lock().idle &= !(1 << index);
    }
}

impl State {
    /// A slot that sleeps. Rather one that watches nothing: while it starts a process, which it sleeps for, a slot hears
    /// nothing of the others that it has.
    fn take_idle(&mut self) -> Option<usize> {
        let free = self.idle & self.vacant;
        let index = if free == 0 { self.idle } else { free }.trailing_zeros();
        (index < u64::BITS).then(|| {
            self.idle &= !(1 << index);
            index as usize
        })
    }
}

impl Service {
    fn stop(&self, haste: &Haste) -> Vec<Named> {
        let kill = rustix::process::Signal::KILL;
        let gentle = unix::raw_signal(self.signal);
        let left = end_by(self.serial, gentle, (self.grace, &|| haste.is_made()));
        if left.is_empty() {
            return left;
        }
        end_by(self.serial, kill, (Duration::from_millis(limits::KILL_PATIENCE_MS), &|| false))
    }
}

/// Signals everything of a kept attempt until it is gone, or time or patience is over; answers with what is left.
fn end_by(
    serial: strays::Serial,
    signal: rustix::process::Signal,
    (patience, is_hurried): (Duration, &dyn Fn() -> bool),
) -> Vec<Named> {
    let until = now() + patience;
    let mut told = std::collections::BTreeSet::new();
    loop {
        let alive = strays::rest(serial);
        if alive.is_empty() || now() >= until || is_hurried() {
            return alive;
        }
        for process in &alive {
            if told.insert(process.ident) {
                unix::signal(process.ident, signal);
                // A stopped process would keep a signal other than KILL for later.
                unix::signal(process.ident, rustix::process::Signal::CONT);
            }
        }
        let left = until.saturating_duration_since(now()).min(Duration::from_millis(20));
        unix::wait_any(&alive, left);
    }
}

#[expect(clippy::disallowed_methods, reason = "exec measures real processes; no decision of the core reads this")]
pub(super) fn now() -> Instant {
    Instant::now()
}
