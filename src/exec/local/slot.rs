//! One spawn thread: takes starts, reads pipes, hears ends, sweeps, and keeps its timers.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

use super::attempt::{Attempt, Phase, Tools};
use super::program::Looks;
use super::spawn::Spawner;
use super::{READ_BYTES, Service, Shared, now};
use crate::base::limits;
use crate::exec::{Ended, Exit, Key, News, Spec, StopKind, strays, unix};
use crate::plan::model::Lifetime;

/// Rounds of reading one pipe before the others get their turn.
const READ_ROUNDS: usize = 4;
/// First wait between two looks at processes that were killed; doubles up to the last.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(50);
/// How long an end waits for processes that are in the middle of an `exec`, and whose they are.
const SETTLING: Duration = Duration::from_millis(250);
/// How often orphans that ended meanwhile are reaped while attempts run.
const TIDY: Duration = Duration::from_secs(1);
/// How long the pipe of a new attempt is left alone. One that is over by then wakes its slot once, by its end, and
/// not twice; what it prints meanwhile has room in the pipe.
const UNREAD: Duration = Duration::from_millis(5);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Timer {
    Idle(u64),
    Look(u64, Duration),
    Tidy,
}

thread_local! {
    /// Set while this thread is a slot that tells an end and has been given nothing to start since.
    static IS_FREE: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is a slot that will look for its next start as soon as it has told what it tells. Said once
/// for each end: a second start goes to another slot.
pub(super) fn takes_next() -> bool {
    IS_FREE.replace(false)
}

/// The attempts of a slot, in any order. They are few, and all of them are looked at before each sleep anyway, so they are
/// found by looking.
#[derive(Default)]
struct Attempts(Vec<(u64, Attempt)>);

impl Attempts {
    fn get(&self, number: u64) -> Option<&Attempt> {
        self.0.iter().find(|(known, _)| *known == number).map(|(_, attempt)| attempt)
    }

    fn get_mut(&mut self, number: u64) -> Option<&mut Attempt> {
        self.0.iter_mut().find(|(known, _)| *known == number).map(|(_, attempt)| attempt)
    }

    fn remove(&mut self, number: u64) -> Option<Attempt> {
        let place = self.0.iter().position(|(known, _)| *known == number)?;
        Some(self.0.swap_remove(place).1)
    }

    /// Those whose end was not told yet.
    fn live(&self) -> impl Iterator<Item = (u64, &Attempt)> {
        self.0
            .iter()
            .filter(|(_, attempt)| attempt.phase != Phase::Past)
            .map(|(number, attempt)| (*number, attempt))
    }

    /// When the next pipe that is left alone has to be watched.
    fn next_reading(&self) -> Option<Instant> {
        self.0.iter().filter(|(_, it)| !it.is_pipe_watched).map(|(_, it)| it.begun + UNREAD).min()
    }
}

/// A spawn thread and its attempts.
pub(super) struct Slot {
    index: usize,
    shared: Arc<Shared>,
    attempts: Attempts,
    timers: BTreeSet<(Instant, Timer)>,
    tools: Tools,
    next: u64,
    /// There may be work for this slot, and nobody will wake it for that.
    is_expected: bool,
    is_tidying: bool,
    buffer: Vec<u8>,
    own_rss_kib: u64,
}

impl Slot {
    pub(super) fn new(index: usize, shared: Arc<Shared>) -> Self {
        Self {
            index,
            shared,
            attempts: Attempts::default(),
            timers: BTreeSet::new(),
            tools: Tools { looks: Looks::default(), spawner: Spawner::new() },
            next: 1,
            is_expected: false,
            is_tidying: false,
            buffer: vec![0; READ_BYTES],
            // Read when an attempt has a larger one: the first has.
            own_rss_kib: 0,
        }
    }

    pub(super) fn run(mut self) {
        let mut ready = Vec::new();
        loop {
            let turn = self.shared.turn(self.index, self.attempts.0.is_empty());
            // A slot that was given something does not count as idle, and nobody would wake it: it looks once more.
            self.is_expected = turn.start.is_some() || !turn.stops.is_empty();
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
            if self.is_expected && self.attempts.0.len() <= 1 {
                // Nothing is to be heard of what has only just begun.
                continue;
            }
            self.wait(&mut ready, self.is_expected);
        }
    }

    fn wait(&mut self, ready: &mut Vec<u64>, is_hurried: bool) {
        let timeout = if is_hurried {
            Some(Duration::ZERO)
        } else {
            let due = self.timers.first().map(|(at, _)| *at).into_iter().chain(self.attempts.next_reading()).min();
            due.map(|at| at.saturating_duration_since(now()))
        };
        self.look_for(ready, timeout);
        if !ready.is_empty() && !is_hurried {
            self.shared.is_busy(self.index);
        }
        for token in ready.drain(..) {
            self.hear(token);
        }
    }

    /// Sleeps until something is there, and lists it. Asking for all anew each time is cheaper than a set that the
    /// kernel keeps: attempts are many and short, and a slot has few of them at once.
    fn look_for(&self, ready: &mut Vec<u64>, timeout: Option<Duration>) {
        let most = 1 + 2 * self.attempts.0.len();
        let (mut polled, mut tokens) = (Vec::with_capacity(most), Vec::with_capacity(most));
        polled.push(PollFd::new(&self.shared.wakers[self.index], PollFlags::IN));
        tokens.push(0);
        for (number, attempt) in &self.attempts.0 {
            if attempt.is_ending_watched {
                polled.push(PollFd::new(&attempt.pidfd, PollFlags::IN));
                tokens.push(number * 2);
            }
            if let Some(pipe) = attempt.pipe.as_ref().filter(|_| attempt.is_pipe_watched) {
                polled.push(PollFd::new(pipe, PollFlags::IN));
                tokens.push(number * 2 + 1);
            }
        }
        // An interrupted wait only means an early turn.
        let _early = poll(&mut polled, timeout.map(unix::timespec).as_ref());
        let is_ready = |(fd, token): (PollFd<'_>, u64)| (!fd.revents().is_empty()).then_some(token);
        ready.extend(polled.into_iter().zip(tokens).filter_map(is_ready));
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
        match Attempt::spawn(spec, &self.shared, &mut self.tools) {
            Ok(attempt) => self.watch(attempt),
            Err(why) => self.shared.tell(News::Ended(Box::new(Ended::not_started(key, why)))),
        }
    }

    fn watch(&mut self, mut attempt: Attempt) {
        let number = self.next;
        self.next += 1;
        self.shared.tell(News::Started { key: attempt.spec.key, pid: attempt.pid });
        if let Some(idle) = attempt.spec.idle {
            let due = attempt.begun + idle;
            attempt.idle_due = Some(due);
            self.timers.insert((due, Timer::Idle(number)));
        }
        if !self.is_tidying {
            self.is_tidying = true;
            self.timers.insert((attempt.begun + TIDY, Timer::Tidy));
        }
        self.attempts.0.push((number, attempt));
    }

    fn read(&mut self, number: u64) {
        let Some(attempt) = self.attempts.get_mut(number) else { return };
        if attempt.read(&self.shared, &mut self.buffer, READ_ROUNDS * READ_BYTES) {
            return;
        }
        attempt.pipe = None;
        if attempt.phase == Phase::Past {
            self.drop_if_done(number);
        }
    }

    fn main_ended(&mut self, number: u64) {
        let Some(attempt) = self.attempts.get_mut(number) else { return };
        let at = now();
        match attempt.phase {
            Phase::Running => {
                attempt.took = at.saturating_duration_since(attempt.begun);
                if strays::are_absent() {
                    self.finish(number);
                } else {
                    attempt.phase = Phase::Sweeping { since: at };
                    // It stays readable, and would wake us until it is reaped.
                    attempt.is_ending_watched = false;
                    self.sweep(number, FIRST_LOOK);
                }
            }
            Phase::Sweeping { .. } => {}
            Phase::Past => {
                // It was reported lost long ago; now it can be reaped.
                attempt.is_ending_watched = false;
                let left = strays::sweep(attempt.serial);
                if left.is_empty() {
                    attempt.reap(&mut self.own_rss_kib);
                    strays::forget(attempt.serial);
                    self.attempts.remove(number);
                }
            }
        }
    }

    /// Looks for what the main process left, kills it, and ends the attempt once nothing is left.
    fn sweep(&mut self, number: u64, next_look: Duration) {
        let Some(attempt) = self.attempts.get_mut(number) else { return };
        let Phase::Sweeping { since } = attempt.phase else { return };
        let at = now();
        if at.saturating_duration_since(since) < SETTLING && !strays::are_settled() {
            return self.look_later(number, at, next_look);
        }
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
        if at.saturating_duration_since(since) >= Duration::from_millis(limits::KILL_PATIENCE_MS) {
            attempt.notes.push(format!("still alive although killed: {}", unix::listed(&alive)));
            return self.finish(number);
        }
        self.look_later(number, at, next_look);
    }

    fn look_later(&mut self, number: u64, at: Instant, wait: Duration) {
        self.timers.insert((at + wait, Timer::Look(number, (wait * 2).min(LAST_LOOK))));
    }

    fn keep(&mut self, number: u64) {
        let Some(attempt) = self.attempts.get_mut(number) else { return };
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
        if let Some(attempt) = self.attempts.get(number) {
            strays::forget(attempt.serial);
        }
        self.report(number, false);
    }

    /// Drains the pipe, reaps the main process and tells how it ended.
    fn report(&mut self, number: u64, is_kept: bool) {
        let Some(mut attempt) = self.attempts.remove(number) else { return };
        let is_open = attempt.drain(&self.shared, &mut self.buffer);
        let usage = attempt.reap(&mut self.own_rss_kib);
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
            attempt.is_pipe_watched = true;
            self.attempts.0.push((number, attempt));
        }
        IS_FREE.set(true);
        self.shared.tell(News::Ended(Box::new(ended)));
        self.is_expected |= !IS_FREE.replace(false);
    }

    fn drop_if_done(&mut self, number: u64) {
        if self.attempts.get(number).is_some_and(|past| past.killed.is_none()) {
            self.attempts.remove(number);
        }
    }

    fn stop(&mut self, key: Key, how: StopKind) {
        let Some(number) = self.attempts.live().find(|(_, it)| it.spec.key == key).map(|(number, _)| number)
        else {
            return;
        };
        let Some(attempt) = self.attempts.get_mut(number) else { return };
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
        let Some(attempt) = self.attempts.get_mut(number) else { return };
        let at = now();
        if attempt.phase == Phase::Running && attempt.killed.is_none() {
            attempt.was_stopped = true;
            attempt.killed = Some(at);
            self.look(number, FIRST_LOOK);
        }
    }

    /// Kills the tree again until the main process has ended; gives it up as lost when patience ends.
    fn look(&mut self, number: u64, next_look: Duration) {
        let Some(attempt) = self.attempts.get_mut(number) else { return };
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
        self.look_later(number, at, next_look);
    }

    /// Reports an attempt that cannot be killed. Its end, if it ever comes, only reaps it.
    fn lose(&mut self, number: u64, alive: &str) {
        let Some(attempt) = self.attempts.get_mut(number) else { return };
        attempt.drain(&self.shared, &mut self.buffer);
        attempt.phase = Phase::Past;
        attempt.pipe = None;
        let key = attempt.spec.key;
        let mut ended = Ended::not_started(key, String::new());
        ended.exit = Exit::Lost(format!("still alive although killed: {alive}"));
        ended.took = now().saturating_duration_since(attempt.begun);
        ended.bytes = attempt.bytes;
        self.shared.tell(News::Ended(Box::new(ended)));
    }

    fn fire(&mut self) {
        let at = now();
        for (_, attempt) in &mut self.attempts.0 {
            attempt.is_pipe_watched |= attempt.begun + UNREAD <= at;
        }
        while let Some(&(due, timer)) = self.timers.first().filter(|(due, _)| *due <= at) {
            self.timers.remove(&(due, timer));
            match timer {
                Timer::Idle(number) => self.check_idle(number, at),
                Timer::Look(number, next_look) => self.look(number, next_look),
                Timer::Tidy => {
                    if !strays::are_absent() {
                        strays::tidy();
                    }
                    self.is_tidying = !self.attempts.0.is_empty();
                    if self.is_tidying {
                        self.timers.insert((at + TIDY, Timer::Tidy));
                    }
                }
            }
        }
    }

    fn check_idle(&mut self, number: u64, at: Instant) {
        let Some(attempt) = self.attempts.get_mut(number) else { return };
        let (Phase::Running, Some(idle)) = (attempt.phase, attempt.spec.idle) else { return };
        // What stands in the pipe unread was not silence: this thread may have been held up elsewhere.
        if attempt.printed + idle <= at && !attempt.read(&self.shared, &mut self.buffer, READ_BYTES) {
            attempt.pipe = None;
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
        let running: Vec<u64> = self.attempts.live().map(|(number, _)| number).collect();
        for number in running {
            self.kill(number);
        }
        self.attempts.live().next().is_none()
    }
}
