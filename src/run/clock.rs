//! Deadlines as data: one ordered set, plus the clocks of the run itself.

use std::sync::Arc;

use super::event::{CancelLevel, Clock, StopKind, StopReason};
use super::shards::{Due, Flight, Key};
use super::state::RunState;
use crate::base::{Millis, NodeIx, Span, limits};
use crate::graph::model::Phase;

/// What runs out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Timer {
    /// The next step of an attempt's ladder.
    Flight(Key),
    /// `queue-timeout`.
    Queue(NodeIx),
    /// The wait of an approval.
    Gate(NodeIx),
    /// `retry.within` of a shard between attempts.
    Within(Key),
    /// The wait for an answer.
    Check(Key),
    /// The wait for dismissed workers to be gone.
    Crew(NodeIx),
}

/// The run's timeout. It stands while no engine lives, and while nothing runs and only a person can go on.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct RunClock {
    used: Span,
    since: Option<Millis>,
}

impl RunState {
    /// The next moment at which something happens by itself. A re-try that is due but has no room is none: its
    /// room comes with an event.
    pub fn next_deadline(&self) -> Option<Millis> {
        if !self.has_begun || self.verdict.is_some() {
            return None;
        }
        let retry = if self.can_start() {
            self.delayed.iter().find(|(_, key)| self.ready.fits_again(key.0, key.1)).map(|it| it.0)
        } else {
            None
        };
        let held = if self.can_start() { self.held_starts().map(|it| it.0).min() } else { None };
        let timer = self.timers.first().map(|it| it.0);
        let (crews, objective) = (self.crew_deadline(), self.objectives.next_due());
        let own = [
            timer,
            retry,
            held,
            crews,
            self.run_due(),
            self.finally_due(),
            self.box_due(),
            objective,
            self.freeze_due(),
        ];
        own.into_iter().flatten().min()
    }

    /// Whether a slot is free and nothing holds starts back.
    pub(super) fn can_start(&self) -> bool {
        self.may_start() && self.free_slots() > 0
    }

    /// Whether nothing holds starts back.
    pub(super) fn may_start(&self) -> bool {
        !self.is_held_back() && self.suspended.is_none() && !self.is_box_over() && !self.has_left()
    }

    /// Slots that neither an attempt nor a question has.
    pub(super) fn free_slots(&self) -> u32 {
        // A gate of the host takes a slot to start and none to go on asking, and workers take those of their items.
        let flights = u32::try_from(self.flights.all().len()).unwrap_or(u32::MAX) - self.asking - self.crews.items;
        self.jobs.saturating_sub(flights + self.crews.workers + self.checks)
    }

    /// When the main phase must end, and after it the background.
    pub(super) fn run_due(&self) -> Option<Millis> {
        let settings = &self.graph().settings;
        if self.in_background() {
            let timeout = settings.timeout.filter(|_| !self.is_timeless() && !self.leaves_background())?;
            return Some(self.clock.since? + (timeout - self.clock.used));
        }
        if self.in_finally
            || self.is_undoing()
            || self.cancel.is_some_and(|(level, _)| level >= CancelLevel::Stop)
            || self.is_timeless()
        {
            return None;
        }
        let limit = settings.timeout? - settings.finally_budget.unwrap_or_default();
        Some(self.clock.since? + (limit - self.clock.used))
    }

    /// When the clean-up must end.
    pub(super) fn finally_due(&self) -> Option<Millis> {
        if self.finally_expired || self.suspended.is_some() { None } else { self.finally_due }
    }

    /// Time of the run's timeout used so far, at `at`.
    pub fn used_time(&self, at: Millis) -> Span {
        self.clock.used + self.clock.since.map_or(Span::ZERO, |since| at.since(since))
    }

    /// Lets the run's clock go on or stand; `gap` is time without an engine that just ended.
    pub(super) fn run_clock(&mut self, at: Millis, gap: Span) {
        let is_idle =
            self.is_quiescent() && (self.is_held_back() || (self.delayed.is_empty() && !self.has_held()));
        let waits = !self.open_gates.is_empty() || !self.unknown.is_empty() || self.is_held_back();
        let goes_on = self.has_begun && self.verdict.is_none() && self.suspended.is_none() && !(is_idle && waits);
        if goes_on && self.clock.since.is_some() && gap == Span::ZERO {
            return;
        }
        if let Some(since) = self.clock.since.take() {
            self.clock.used = self.clock.used + (at.since(since) - gap);
        }
        self.clock.since = goes_on.then_some(at);
    }

    /// A new try of the run has all its time again.
    pub(super) fn reset_run_clock(&mut self) {
        self.clock = RunClock::default();
    }

    /// Starts the queue clock of a stage that has become ready and was never started.
    pub(super) fn run_queue_clock(&mut self, at: Millis, node: NodeIx) {
        let rules = &self.node(node).rules;
        let (queue, holds) = (rules.queue, self.is_held_back() || self.suspended.is_some() || self.is_timeless());
        let cell = &mut self.cells[node];
        let since = *cell.ready_at.get_or_insert(at);
        if let Some(queue) = queue
            && !holds
            && cell.started.is_none()
            && cell.queue_due.is_none()
        {
            cell.queue_due = Some(since + queue);
            self.timers.insert((since + queue, Timer::Queue(node)));
        }
    }

    /// When all attempts and delays of a shard together have taken too long.
    pub(super) fn within_due(&self, key: Key) -> Option<Millis> {
        let within = self.node(key.0).rules.retry.as_ref()?.within?;
        if self.is_timeless() { None } else { Some(self.shards.first(key)? + within) }
    }

    /// The first deadline of an attempt that starts at `at`.
    pub(super) fn first_due(&self, key: Key, at: Millis) -> Option<(Millis, Due)> {
        if self.is_timeless() {
            return None;
        }
        // How long an item takes is known to the worker that has it: it may have others before this one.
        let timeout = self.node(key.0).rules.timeout.filter(|_| !self.is_crewed(key.0));
        let timeout = timeout.map(|span| (at + span, Due::Clock(Clock::Attempt)));
        let within = self.within_due(key).map(|due| (due, Due::Clock(Clock::Within)));
        [timeout, within].into_iter().flatten().min_by_key(|it| it.0)
    }

    /// The deadline of an attempt that was asked to stop.
    pub(super) fn stop_due(&self, key: Key, at: Millis, how: StopKind) -> (Millis, Due) {
        match how {
            StopKind::Terminate => (at + self.node(key.0).rules.grace, Due::Grace),
            StopKind::Kill => (at + Span::from_ms(limits::KILL_WAIT_MS), Due::Lost),
        }
    }

    /// Gives an attempt its next deadline.
    pub(super) fn set_due(&mut self, key: Key, due: Option<(Millis, Due)>) {
        let Some(flight) = self.flights.get_mut(key) else { return };
        if let Some((old, _)) = std::mem::replace(&mut flight.due, due) {
            self.timers.remove(&(old, Timer::Flight(key)));
        }
        if let Some((new, _)) = due {
            self.timers.insert((new, Timer::Flight(key)));
        }
    }

    /// Takes an attempt out, with its deadline and its claims.
    pub(super) fn land(&mut self, key: Key) -> Option<Flight> {
        let flight = self.flights.remove(key)?;
        self.has_landed(&flight);
        Some(flight)
    }

    /// Forgets what an attempt that ended had taken.
    pub(super) fn has_landed(&mut self, flight: &Flight) {
        let key = flight.key;
        if let Some((due, _)) = flight.due {
            self.timers.remove(&(due, Timer::Flight(key)));
        }
        if !self.stops.is_empty() {
            self.stops.remove(&key);
        }
        self.orphans -= u32::from(flight.is_orphan);
        if self.is_crewed(key.0) {
            self.crews.items -= 1;
        } else {
            self.ready.give(key.0);
        }
        self.cells[key.0].flights -= 1;
        self.asking -= u32::from(self.node(key.0).rules.is_hosted);
    }

    /// New starts are held back, or no longer.
    pub(super) fn fold_pause(&mut self, at: Millis, on: bool) {
        self.is_paused = on;
        self.wait_from(at);
    }

    /// Who waits for a pool waits from now on.
    pub(super) fn wait_from(&mut self, at: Millis) {
        for cell in &mut self.cells {
            cell.ready_at = cell.ready_at.map(|_| at);
        }
        self.place_all(at);
    }

    /// The clean-up begins.
    pub(super) fn fold_finally(&mut self, at: Millis) {
        self.in_finally = true;
        let budget = self.graph().settings.finally_budget.filter(|_| !self.is_timeless());
        self.finally_due = budget.map(|budget| at + budget);
        self.place_all(at);
    }

    /// Its time is over.
    pub(super) fn expire_finally(&mut self, at: Millis) {
        self.finally_expired = true;
        let graph = Arc::clone(self.graph());
        let in_finally =
            |flight: &&Flight| graph.nodes[flight.key.0].phase == Phase::Finally && flight.stop.is_none();
        let keys: Vec<Key> = self.flights.all().iter().filter(in_finally).map(|flight| flight.key).collect();
        let why = StopReason::Clock(Clock::Finally);
        self.stops.extend(keys.into_iter().map(|key| (key, (StopKind::Terminate, why))));
        self.place_all(at);
    }
}
