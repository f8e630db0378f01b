//! The time box: an engine that works no longer than so long, and hands the rest over.
//!
//! A stage starts only if it is known to fit: its `timeout`, or what it takes in 95 of 100 cases, ends before the box
//! does. What nobody knows starts while the box lasts. One that is not idempotent starts only if its `timeout` fits.
//! What does not fit is deferred until the next engine, for what is left only shrinks. When the box ends, what runs is
//! stopped and counts as not run. Once nothing runs and nothing more can start the run is handed over; its clean-up is
//! not run, for the run is not over.
//!
//! A run that is failing or cancelled is not held back any more: it has to come to its end.

use super::event::{Answer, CancelLevel, Event, Outcome, StopKind, StopReason, SuspendReason};
use super::shards::{Flight, Key, Step};
use super::state::RunState;
use crate::base::{Millis, NodeIx, Span};
use crate::graph::model::Rules;

/// How often a box may be left without any progress before that is called a failure.
const MAX_IDLE_BOXES: u32 = 2;

/// How long the present engine works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TimeBox {
    until: Millis,
    is_over: bool,
    has_progress: bool,
}

/// Whether an attempt may start with so much time left: it ends by its `timeout` before that is over, or does so in 95
/// of 100 cases, or nobody knows how long it takes. Whether one that is not idempotent ends in time must be certain.
pub fn fits(rules: &Rules, left: Span) -> bool {
    let is_certain = rules.timeout.is_some_and(|timeout| timeout <= left);
    is_certain || (rules.idempotent && rules.likely().map_or(left > Span::ZERO, |likely| likely <= left))
}

/// How long an attempt may take by what [`fits`] goes by; none when that has no bound.
pub fn wants(rules: &Rules) -> Option<Span> {
    if rules.idempotent { rules.likely() } else { rules.timeout }
}

impl Flight {
    /// Whether it was stopped for the end of a time box.
    pub(super) fn is_handed_over(&self) -> bool {
        matches!(self.stop, Some((_, StopReason::HandOver)))
    }
}

impl RunState {
    /// The end of the time box.
    pub fn time_box(&self) -> Option<Millis> {
        self.time_box.map(|it| it.until)
    }

    /// Stages that could start and do not fit into the time box.
    pub fn deferred(&self) -> impl Iterator<Item = NodeIx> {
        self.deferred.iter().copied()
    }

    /// Whether boxes were left again and again in which nothing got further.
    pub fn is_stalled(&self) -> bool {
        self.idle_boxes >= MAX_IDLE_BOXES
    }

    /// Whether the time box decides what starts.
    pub(super) fn is_boxed(&self) -> bool {
        self.time_box.is_some() && self.cancel.is_none()
    }

    /// Whether nothing starts any more because the time box is over.
    pub(super) fn is_box_over(&self) -> bool {
        self.is_boxed() && self.time_box.is_some_and(|it| it.is_over)
    }

    /// When the time box has to be closed.
    pub(super) fn box_due(&self) -> Option<Millis> {
        self.time_box.filter(|it| !it.is_over && self.suspended.is_none()).map(|it| it.until)
    }

    /// What there is to say about a stage that would start at `at` and does not fit.
    pub(super) fn defers(&self, at: Millis, node: NodeIx) -> Option<Event> {
        let until = self.time_box.filter(|_| self.is_boxed())?.until;
        let rules = &self.node(node).rules;
        (!fits(rules, until.since(at))).then(|| Event::NodeDeferred { node, wants: wants(rules) })
    }

    /// Whether nothing is left to do in this time box: nothing runs, and what could start does not fit, or comes too
    /// late.
    pub(super) fn hands_over(&self) -> bool {
        let Some(it) = self.time_box.filter(|_| self.is_quiescent()) else { return false };
        if !self.is_boxed() {
            // A run that drains or cleans up goes on behind its box, but not to wait for a person.
            let waits_for_person = !self.open_gates.is_empty() || !self.unknown.is_empty();
            let has_work = self.ready.first().is_some() || !self.delayed.is_empty() || self.has_held();
            return it.is_over && self.suspended.is_none() && waits_for_person && !has_work;
        }
        let is_late = |(due, _): &(Millis, Key)| *due >= it.until;
        let is_held_late = self.held_starts().all(|(due, _)| due >= it.until);
        let has_rest = !self.deferred.is_empty() || !self.delayed.is_empty() || self.has_held();
        let is_late = is_held_late && self.delayed.iter().all(is_late);
        let is_spent = has_rest && self.ready.first().is_none() && is_late && !self.is_held_back();
        self.suspended.is_none() && (it.is_over || is_spent)
    }

    /// What an engine does with its time, and that it leaves.
    pub(super) fn fold_engine(&mut self, at: Millis, event: &Event) {
        match event {
            Event::BoxOpened { until } => self.fold_box(at, *until),
            Event::NodeDeferred { node, .. } => {
                self.deferred.insert(*node);
                self.place(at, *node);
            }
            Event::BoxClosed => self.fold_box_end(at),
            Event::RunSuspended { why } => {
                self.suspended = Some(*why);
                self.count_box(*why);
                self.place_all(at);
            }
            _ => unreachable!("`fold` gives only these here"),
        }
    }

    fn fold_box(&mut self, at: Millis, until: Millis) {
        self.leave_box();
        self.time_box = Some(TimeBox { until, is_over: false, has_progress: false });
        self.place_all(at);
    }

    /// Everything that runs is asked to stop; of a run that comes to its end, all but the clean-up.
    fn fold_box_end(&mut self, at: Millis) {
        let Some(it) = &mut self.time_box else { return };
        it.is_over = true;
        let spares = |node: NodeIx| !self.is_boxed() && !self.node(node).phase.is_forward();
        let runs = self.flights.all().iter().filter(|flight| flight.stop.is_none() && !spares(flight.key.0));
        let stops: Vec<_> = runs.map(|flight| (flight.key, (StopKind::Terminate, StopReason::HandOver))).collect();
        for (key, stop) in stops {
            self.stops.entry(key).or_insert(stop);
        }
        self.hurry_checks(at, CancelLevel::Stop);
        self.place_all(at);
    }

    /// The next engine has another box, or none.
    pub(super) fn leave_box(&mut self) {
        self.time_box = None;
        self.deferred.clear();
    }

    /// An attempt that was stopped for the end of the box counts as not run.
    pub(super) fn put_back(&mut self, key: Key) {
        let rules = &self.node(key.0).rules;
        let (has_done_if, is_idempotent) = (rules.has_done_if, rules.idempotent);
        if has_done_if && self.is_leaving(key.0) {
            self.stopped(key);
        } else if has_done_if {
            self.shards.forgive(key);
            self.wait(key, Step::Suspect, None);
        } else if is_idempotent {
            self.shards.forgive(key);
            self.wait(key, Step::Ready, None);
        } else {
            self.make_unknown(key, "it was stopped at the end of the time box, and it is not idempotent");
        }
    }

    /// Whatever is now known for good is progress; so is a failure, for it uses up a re-try. To start again what had
    /// ended with its engine is none: the next engine has to do the same.
    pub(super) fn note_progress(&mut self, event: &Event) {
        if self.time_box.is_none() {
            return;
        }
        let node = match event {
            Event::ShardFinished { attempt, outcome, .. } if *outcome != Outcome::Cancelled => attempt.node,
            Event::CheckAnswered { node, answer: Answer::Yes(_), .. }
            | Event::ShardsFinished { node, .. }
            | Event::ShardRecalled { node, .. }
            | Event::GateDecided { node, .. }
            | Event::NodeResolved { node, .. }
            | Event::NodeFinished { node, .. }
            | Event::NodeSkipped { node, .. } => *node,
            _ => return,
        };
        let is_restart = self.cells[node].is_restart;
        if let Some(it) = &mut self.time_box {
            it.has_progress |= !is_restart;
        }
    }

    /// The engine leaves: was its box of any use?
    fn count_box(&mut self, why: SuspendReason) {
        let Some(it) = self.time_box.filter(|_| why == SuspendReason::HandOver) else { return };
        self.idle_boxes = if it.has_progress { 0 } else { self.idle_boxes + 1 };
    }
}
