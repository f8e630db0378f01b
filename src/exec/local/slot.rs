//! One spawn thread: takes starts, reads pipes, hears ends, sweeps, and keeps its timers.

use std::collections::{BTreeSet, HashMap};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll;

use super::attempt::{Attempt, Phase};
use super::{READ_BYTES, Service, Shared, not_started, now};
use crate::base::limits;
use crate::exec::{Ended, Error, Exit, Key, News, Spec, StopKind, strays, unix};
use crate::plan::model::Lifetime;

/// Rounds of reading one pipe before the others get their turn.
const READ_ROUNDS: usize = 4;
/// First wait between two looks at processes that were killed; doubles up to the last.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(50);
/// How often orphans that ended meanwhile are reaped while attempts run.
const TIDY: Duration = Duration::from_secs(1);
/// Events taken from the kernel at once.
const EVENTS: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Timer {
    Idle(u64),
    Look(u64, Duration),
    Tidy,
}

/// A spawn thread and its attempts.
pub(super) struct Slot {
    index: usize,
    shared: Arc<Shared>,
    epoll: OwnedFd,
    attempts: HashMap<u64, Attempt>,
    by_key: HashMap<Key, u64>,
    timers: BTreeSet<(Instant, Timer)>,
    next: u64,
    is_tidying: bool,
    buffer: Vec<u8>,
    own_rss_kib: u64,
}

impl Slot {
    pub(super) fn new(index: usize, shared: Arc<Shared>) -> Result<Self, Error> {
        let setup = |error: rustix::io::Errno| Error::Setup { what: "watch processes", source: error.into() };
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(setup)?;
        epoll::add(&epoll, &shared.wakers[index], epoll::EventData::new_u64(0), epoll::EventFlags::IN)
            .map_err(setup)?;
        Ok(Self {
            index,
            shared,
            epoll,
            attempts: HashMap::new(),
            by_key: HashMap::new(),
            timers: BTreeSet::new(),
            next: 1,
            is_tidying: false,
            buffer: vec![0; READ_BYTES],
            own_rss_kib: unix::peak_rss_kib().unwrap_or(0),
        })
    }

    pub(super) fn run(mut self) {
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            let turn = self.shared.turn(self.index);
            let has_started = turn.start.is_some();
            for (key, how) in turn.stops {
                self.stop(key, how);
            }
            if let Some(spec) = turn.start {
                self.start(spec);
            }
            if turn.is_closing && self.close() {
                return;
            }
            self.fire();
            self.wait(&mut events, has_started);
        }
    }

    fn wait(&mut self, events: &mut Vec<epoll::Event>, is_hurried: bool) {
        let timeout = if is_hurried {
            Some(Duration::ZERO)
        } else {
            self.timers.first().map(|(at, _)| at.saturating_duration_since(now()))
        };
        let timeout = timeout.map(unix::timespec);
        // An interrupted wait only means an early turn.
        let _early = epoll::wait(&self.epoll, spare_capacity(events), timeout.as_ref());
        if !events.is_empty() && !is_hurried {
            self.shared.is_busy(self.index);
        }
        for event in events.drain(..) {
            self.hear(event.data.u64());
        }
    }

    fn hear(&mut self, token: u64) {
        let number = token / 2;
        if token == 0 {
            let mut count = [0; 8];
            let _empty = rustix::io::read(&self.shared.wakers[self.index], &mut count);
        } else if token % 2 == 1 {
            self.read(number);
        } else {
            self.main_ended(number);
        }
    }

    fn start(&mut self, spec: Spec) {
        let key = spec.key;
        match Attempt::spawn(spec, &self.shared) {
            Ok(attempt) => self.watch(attempt),
            Err(why) => self.shared.tell(News::Ended(Box::new(not_started(key, why)))),
        }
    }

    fn watch(&mut self, mut attempt: Attempt) {
        let number = self.next;
        self.next += 1;
        self.shared.tell(News::Started { key: attempt.spec.key, pid: attempt.pid });
        let added =
            epoll::add(&self.epoll, &attempt.pidfd, epoll::EventData::new_u64(number * 2), epoll::EventFlags::IN)
                .and_then(|()| {
                    let Some(pipe) = &attempt.pipe else { return Ok(()) };
                    epoll::add(&self.epoll, pipe, epoll::EventData::new_u64(number * 2 + 1), epoll::EventFlags::IN)
                });
        if let Some(idle) = attempt.spec.idle {
            let due = attempt.begun + idle;
            attempt.idle_due = Some(due);
            self.timers.insert((due, Timer::Idle(number)));
        }
        if !self.is_tidying {
            self.is_tidying = true;
            self.timers.insert((attempt.begun + TIDY, Timer::Tidy));
        }
        self.by_key.insert(attempt.spec.key, number);
        self.attempts.insert(number, attempt);
        if added.is_err() {
            // Out of kernel memory: what cannot be watched must not run. The looks find its end.
            self.kill(number);
        }
    }

    fn read(&mut self, number: u64) {
        let Some(attempt) = self.attempts.get_mut(&number) else { return };
        if attempt.read(&self.shared, &mut self.buffer, READ_ROUNDS * READ_BYTES) {
            return;
        }
        unwatch(&self.epoll, attempt.pipe.take());
        if attempt.phase == Phase::Past {
            self.drop_if_done(number);
        }
    }

    fn main_ended(&mut self, number: u64) {
        let Some(attempt) = self.attempts.get_mut(&number) else { return };
        let at = now();
        match attempt.phase {
            Phase::Running => {
                attempt.took = at.saturating_duration_since(attempt.begun);
                if strays::are_absent() {
                    self.finish(number);
                } else {
                    attempt.phase = Phase::Sweeping { since: at };
                    // It stays readable, and would wake us until it is reaped.
                    let _gone = epoll::delete(&self.epoll, &attempt.pidfd);
                    self.sweep(number, FIRST_LOOK);
                }
            }
            Phase::Sweeping { .. } => {}
            Phase::Past => {
                // It was reported lost long ago; now it can be reaped.
                let _gone = epoll::delete(&self.epoll, &attempt.pidfd);
                let left = strays::sweep(attempt.serial);
                if left.is_empty() {
                    attempt.reap(&mut self.own_rss_kib);
                    strays::forget(attempt.serial);
                    self.attempts.remove(&number);
                }
            }
        }
    }

    /// Looks for what the main process left, kills it, and ends the attempt once nothing is left.
    fn sweep(&mut self, number: u64, next_look: Duration) {
        let Some(attempt) = self.attempts.get_mut(&number) else { return };
        let Phase::Sweeping { since } = attempt.phase else { return };
        if attempt.spec.lifetime != Lifetime::Stage && attempt.has_succeeded() {
            return self.keep(number);
        }
        let alive = strays::sweep(attempt.serial);
        if alive.is_empty() {
            return self.finish(number);
        }
        if attempt.notes.is_empty() && !attempt.was_stopped {
            attempt.notes.push(format!("killed what was left running at its end: {}", unix::listed(&alive)));
        }
        let at = now();
        if at.saturating_duration_since(since) >= Duration::from_millis(limits::KILL_PATIENCE_MS) {
            attempt.notes.push(format!("still alive although killed: {}", unix::listed(&alive)));
            return self.finish(number);
        }
        self.timers.insert((at + next_look, Timer::Look(number, (next_look * 2).min(LAST_LOOK))));
    }

    fn keep(&mut self, number: u64) {
        let Some(attempt) = self.attempts.get_mut(&number) else { return };
        let alive = strays::keep(attempt.serial);
        if alive.is_empty() {
            return self.finish(number);
        }
        let until = if attempt.spec.lifetime == Lifetime::Host { "by itself" } else { "until the run ends" };
        attempt.notes.push(format!("lives on {until}: {}", unix::listed(&alive)));
        if attempt.spec.lifetime == Lifetime::Host {
            for process in &alive {
                crate::exec::guard::spare(process.ident);
            }
        }
        let service = Service {
            key: attempt.spec.key,
            serial: attempt.serial,
            signal: attempt.spec.stop_signal,
            grace: attempt.spec.grace,
            lifetime: attempt.spec.lifetime,
        };
        self.shared.lock().services.push(service);
        self.report(number, true);
    }

    fn finish(&mut self, number: u64) {
        if let Some(attempt) = self.attempts.get(&number) {
            strays::forget(attempt.serial);
        }
        self.report(number, false);
    }

    /// Drains the pipe, reaps the main process and tells how it ended.
    fn report(&mut self, number: u64, is_kept: bool) {
        let Some(mut attempt) = self.attempts.remove(&number) else { return };
        let is_open = attempt.drain(&self.shared, &mut self.buffer);
        let usage = attempt.reap(&mut self.own_rss_kib);
        self.by_key.remove(&attempt.spec.key);
        if let Some(due) = attempt.idle_due.take() {
            self.timers.remove(&(due, Timer::Idle(number)));
        }
        let ended = Ended {
            key: attempt.spec.key,
            exit: usage.exit,
            took: attempt.took,
            cpu_us: usage.cpu_us,
            max_rss_kib: usage.max_rss_kib,
            bytes: attempt.bytes,
            notes: std::mem::take(&mut attempt.notes),
        };
        if is_kept && is_open {
            // What lives on would die of a closed pipe at its next line: read on, and drop what comes.
            attempt.phase = Phase::Past;
            self.attempts.insert(number, attempt);
        } else {
            unwatch(&self.epoll, attempt.pipe.take());
            unwatch(&self.epoll, Some(attempt.pidfd));
        }
        self.shared.tell(News::Ended(Box::new(ended)));
    }

    fn drop_if_done(&mut self, number: u64) {
        if self.attempts.get(&number).is_some_and(|past| past.killed.is_none()) {
            self.attempts.remove(&number);
        }
    }

    fn stop(&mut self, key: Key, how: StopKind) {
        let Some(&number) = self.by_key.get(&key) else { return };
        let Some(attempt) = self.attempts.get_mut(&number) else { return };
        attempt.was_stopped = true;
        match how {
            StopKind::Kill => self.kill(number),
            StopKind::Terminate if attempt.phase == Phase::Running => {
                unix::signal_group(attempt.pid, unix::raw_signal(attempt.spec.stop_signal));
                // A stopped process would keep the signal for later.
                unix::signal_group(attempt.pid, rustix::process::Signal::CONT);
            }
            StopKind::Terminate => {}
        }
    }

    fn kill(&mut self, number: u64) {
        let Some(attempt) = self.attempts.get_mut(&number) else { return };
        let at = now();
        if attempt.phase == Phase::Running && attempt.killed.is_none() {
            attempt.was_stopped = true;
            attempt.killed = Some(at);
            self.look(number, FIRST_LOOK);
        }
    }

    /// Kills the tree again until the main process has ended; gives it up as lost when patience ends.
    fn look(&mut self, number: u64, next_look: Duration) {
        let Some(attempt) = self.attempts.get_mut(&number) else { return };
        let (Phase::Running, Some(since)) = (attempt.phase, attempt.killed) else {
            return self.sweep(number, next_look);
        };
        let alive = strays::kill_tree(attempt.serial);
        let at = now();
        if unix::has_ended(&attempt.pidfd) {
            // Its end may not have been heard yet, or cannot be.
            return self.main_ended(number);
        }
        if at.saturating_duration_since(since) >= Duration::from_millis(limits::KILL_PATIENCE_MS) {
            return self.lose(number, &unix::listed(&alive));
        }
        self.timers.insert((at + next_look, Timer::Look(number, (next_look * 2).min(LAST_LOOK))));
    }

    /// Reports an attempt that cannot be killed. Its end, if it ever comes, only reaps it.
    fn lose(&mut self, number: u64, alive: &str) {
        let Some(attempt) = self.attempts.get_mut(&number) else { return };
        attempt.drain(&self.shared, &mut self.buffer);
        attempt.phase = Phase::Past;
        unwatch(&self.epoll, attempt.pipe.take());
        let key = attempt.spec.key;
        let mut ended = not_started(key, String::new());
        ended.exit = Exit::Lost(format!("still alive although killed: {alive}"));
        ended.took = now().saturating_duration_since(attempt.begun);
        ended.bytes = attempt.bytes;
        self.by_key.remove(&key);
        self.shared.tell(News::Ended(Box::new(ended)));
    }

    fn fire(&mut self) {
        let at = now();
        while let Some(&(due, timer)) = self.timers.first().filter(|(due, _)| *due <= at) {
            self.timers.remove(&(due, timer));
            match timer {
                Timer::Idle(number) => self.check_idle(number, at),
                Timer::Look(number, next_look) => self.look(number, next_look),
                Timer::Tidy => {
                    if !strays::are_absent() {
                        strays::tidy();
                    }
                    self.is_tidying = !self.attempts.is_empty();
                    if self.is_tidying {
                        self.timers.insert((at + TIDY, Timer::Tidy));
                    }
                }
            }
        }
    }

    fn check_idle(&mut self, number: u64, at: Instant) {
        let Some(attempt) = self.attempts.get_mut(&number) else { return };
        let (Phase::Running, Some(idle)) = (attempt.phase, attempt.spec.idle) else { return };
        // What stands in the pipe unread was not silence: this thread may have been held up elsewhere.
        if attempt.printed + idle <= at && !attempt.read(&self.shared, &mut self.buffer, READ_BYTES) {
            unwatch(&self.epoll, attempt.pipe.take());
        }
        let due = attempt.printed + idle;
        attempt.idle_due = (due > at).then_some(due);
        if due > at {
            self.timers.insert((due, Timer::Idle(number)));
        } else {
            self.shared.tell(News::Silent { key: attempt.spec.key });
        }
    }

    /// Kills what runs; whether nothing is left that somebody still waits for.
    fn close(&mut self) -> bool {
        let running: Vec<u64> = self.by_key.values().copied().collect();
        for number in running {
            self.kill(number);
        }
        self.by_key.is_empty()
    }
}

/// Takes a descriptor out of the set and closes it. Closing alone is not enough: a child that another slot has
/// just forked holds a copy until its exec, and until then a readable descriptor would wake us without end.
fn unwatch(epoll: &OwnedFd, fd: Option<OwnedFd>) {
    if let Some(fd) = fd {
        // One that was taken out before is where it should be.
        let _gone = epoll::delete(epoll, &fd);
    }
}
