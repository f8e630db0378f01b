//! Background work: stages of the run that count for nothing in it, in [`Phase::Background`].
//!
//! A background stage is *released* once all that it needs has ended as it accepts it: a fact in the same batch as the end
//! that released it, so that no crash forgets what there is to do. It starts only after the foreground is over, clean-up
//! and rollback included, and its verdict is a fact of its own (`ForegroundEnded`). That verdict is the run's: whatever
//! becomes of the background, `RunFinished` repeats it.
//!
//! - A failure for good drains nothing and stops nothing. It is a dead letter: a ticket is opened, and the stage can be queued
//!   again by a person (`BackgroundRequeued`), also when the run is over. So is work that nothing keeps from its turn but a
//!   service that could not be started again behind the verdict. While nobody knows whether a service was started again,
//!   the work waits for a person's word on that, also when a cancel or a drain waits for none.
//! - An engine may leave the background to the next one (`BackgroundLeft`): because it was told not to wait, to stop, or
//!   because the run's time is over. What runs is stopped and counts as not run, as at the end of a time box, and the
//!   run is suspended with the verdict that it has. After a cancel nothing of the background starts either. What
//!   is not done when an engine had all of the run's time for it alone has timed out: so nothing goes on for ever.
//! - A resume of a run whose foreground was good or rolled back, and every `queue drain`, goes on with the background and touches nothing
//!   else. A resume of any other run is another try of it: its background follows the new verdict.
//! - What is undone takes with it the background that counts on it and has not begun, at any distance; an undone service
//!   also what has begun.
//! - A service that ended with its engine comes up for the background behind the verdict, as [`super::holdings`] says.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::event::{
    CancelLevel, CancelReason, Clock, Event, NodeState, ReopenReason, RunEnd, StopKind, StopReason, SuspendReason,
    Verdict,
};
use super::place::Needs;
use super::shards::Step;
use super::state::{RunState, phase_ix};
use crate::base::{Millis, NodeIx};
use crate::graph::model::Phase;

/// How far the background is.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Background {
    /// How the foreground ended, of a run that is not over.
    foreground: Option<Verdict>,
    /// When it did.
    ended: Option<Millis>,
    /// This engine works on nothing else, and so had all the time of the run for it.
    is_alone: bool,
    /// This engine leaves the background to the next one, and how hard it stops what runs.
    left: Option<CancelLevel>,
}

impl RunState {
    /// The verdict, as soon as it is decided: background work may be left when it is.
    pub fn decided(&self) -> Option<&Verdict> {
        self.verdict.as_ref().or(self.background.foreground.as_ref())
    }

    /// Whether the foreground is over and background work is left.
    pub fn in_background(&self) -> bool {
        self.background.foreground.is_some()
    }

    /// When the foreground ended last.
    pub fn foreground_ended(&self) -> Option<Millis> {
        self.background.ended
    }

    /// Whether this engine leaves the background to the next one.
    pub fn leaves_background(&self) -> bool {
        self.background.left.is_some()
    }

    /// Stages of the background that were released and have not ended, an unknown outcome included.
    pub fn queued(&self) -> impl Iterator<Item = NodeIx> {
        let queued = self.cells.pairs().filter(|(_, cell)| cell.is_queued && !cell.state.is_final());
        queued.map(|it| it.0)
    }

    /// Background work that failed for good.
    pub fn dead(&self) -> impl Iterator<Item = NodeIx> {
        let dead = self.cells.pairs().filter(|(_, cell)| is_dead(cell.state)).map(|it| it.0);
        dead.filter(|&node| self.is_background(node))
    }

    /// Whether a stage belongs to the background.
    pub(super) fn is_background(&self, node: NodeIx) -> bool {
        self.node(node).phase == Phase::Background
    }

    /// Whether nothing of the background starts any more in this engine, and the foreground is over.
    pub(super) fn has_left(&self) -> bool {
        self.in_background() && self.leaves_background()
    }

    /// Whether what is left is killed.
    pub(super) fn leaves_killing(&self) -> bool {
        self.in_background() && self.background.left == Some(CancelLevel::Kill)
    }

    /// Whether the outcome of a stage of the foreground is unknown.
    pub fn has_unknown(&self) -> bool {
        self.unknown.iter().any(|&node| !self.is_background(node))
    }

    /// The end of the foreground, or of the whole run when it has no background; both with this verdict.
    pub(super) fn foreground_end(&self, verdict: Verdict) -> Event {
        let has_any = self.graph().nodes.iter().any(|node| node.phase == Phase::Background);
        if has_any { Event::ForegroundEnded { verdict } } else { Event::RunFinished { verdict } }
    }

    /// The end of the background, and with it of the run.
    pub(super) fn background_end(&self) -> Option<Event> {
        let verdict = self.background.foreground.clone()?;
        (self.open[phase_ix(Phase::Background)] == 0).then_some(Event::RunFinished { verdict })
    }

    /// What is to be said first of a stage of the background whose needs are met: that it is work to be done.
    pub(super) fn released(&self, node: NodeIx) -> Option<Event> {
        let is_due = self.is_background(node) && !self.cells[node].is_queued;
        (is_due && self.plain_needs(node) == Needs::Met).then_some(Event::BackgroundReleased { node })
    }

    /// Whether a stage of the background has to wait for the verdict.
    pub(super) fn waits_for_verdict(&self, node: NodeIx) -> bool {
        self.is_background(node) && !self.in_background()
    }

    /// What was undone of all that a stage of the background counts on. One that has begun goes on without what is only
    /// done no more; but a service that was undone does not run, and is not started again.
    pub(super) fn undone_above(&self, node: NodeIx) -> Option<NodeIx> {
        if !self.is_undoing() || !self.is_background(node) {
            return None;
        }
        let has_begun = self.cells[node].started.is_some();
        let (mut seen, mut next) = (BTreeSet::new(), vec![node]);
        while let Some(node) = next.pop() {
            let needs = self.node(node).needs.iter().map(|need| need.node);
            next.extend(needs.filter(|&need| self.node(need).selected && seen.insert(need)));
        }
        let is_missed = |it: NodeIx| !has_begun || self.node(it).rules.is_service;
        seen.into_iter().find(|&it| self.cells[it].is_undone && is_missed(it))
    }

    /// Whether nothing keeps background work from its turn but services that are not up again.
    fn lacks_only_services(&self, node: NodeIx) -> bool {
        let is_service = |node: NodeIx, need: NodeIx| self.awaited(node).any(|it| it == need);
        let mut needs = self.node(node).needs.iter();
        self.is_background(node)
            && self.lacks_service(node).is_some()
            && self.undone_above(node).is_none()
            && needs.all(|need| self.need(*need) == Needs::Met || is_service(node, need.node))
    }

    /// Whether background work waits for a person to say whether a service that it counts on was started again.
    pub(super) fn waits_for_word(&self, node: NodeIx) -> bool {
        self.lacks_only_services(node) && self.awaited(node).any(|it| self.state(it) == NodeState::Unknown)
    }

    /// Whether background work waits for a person to say whether `service` was started again.
    pub(super) fn work_waits_for(&self, service: NodeIx) -> bool {
        self.counting_on(service).any(|it| !self.state(it).is_final() && self.waits_for_word(it))
    }

    /// The end of work that could have its turn if services had come up for it behind the verdict.
    pub(super) fn unserved(&self, node: NodeIx) -> Option<Event> {
        if !self.in_background() || !self.lacks_only_services(node) {
            return None;
        }
        let service = self.not_up(node).next()?;
        let reason = format!("`{}`, which it counts on, could not be started again", self.node(service).id);
        Some(self.refuse(node, reason))
    }

    /// The engine leaves: nothing runs any more, and what is left of the background is not for it.
    pub(super) fn leaves(&self) -> Option<Event> {
        let is_gone = self.has_left() && self.suspended.is_none() && self.is_quiescent();
        is_gone.then_some(Event::RunSuspended { why: SuspendReason::HandOver })
    }

    /// An order to cancel reaches a run of which only the background is left: the engine stops waiting for it.
    pub(super) fn leave_background(&self, level: CancelLevel, by: String) -> Option<Event> {
        let is_new = self.background.left.is_none_or(|old| level > old);
        is_new.then_some(Event::BackgroundLeft { how: level, by })
    }

    /// A person queues dead letters again.
    pub(super) fn requeue(&self, nodes: &[NodeIx], by: &str, out: &mut Vec<Event>) {
        let is_dead = |node: NodeIx| {
            let cell = self.cells.get(node);
            cell.is_some_and(|cell| is_dead(cell.state)) && self.is_background(node)
        };
        let nodes: BTreeSet<NodeIx> = nodes.iter().copied().filter(|&node| is_dead(node)).collect();
        out.extend(nodes.into_iter().map(|node| Event::BackgroundRequeued { node, by: by.to_owned() }));
    }

    /// Takes in what becomes of the background.
    pub(super) fn fold_background(&mut self, at: Millis, event: &Event) {
        match event {
            Event::BackgroundReleased { node } => {
                self.cells[*node].is_queued = true;
                self.place(at, *node);
            }
            Event::ForegroundEnded { verdict } => self.fold_foreground(at, verdict),
            Event::BackgroundLeft { how, .. } => {
                self.stop_background(at, *how);
                self.background.left = Some(*how);
                self.place_all(at);
            }
            Event::BackgroundRequeued { node, .. } => self.fold_requeue(at, *node),
            _ => unreachable!("`fold` gives only these here"),
        }
    }

    /// The verdict is decided. Whoever cancels now cancels nothing of it.
    fn fold_foreground(&mut self, at: Millis, verdict: &Verdict) {
        self.background.foreground = Some(verdict.clone());
        self.background.ended = Some(at);
        (self.cancel, self.drain_for, self.finally_due) = (None, None, None);
        let by_person = matches!(verdict.cancelled_by, Some(CancelReason::Person | CancelReason::Terminated));
        if by_person || verdict.timed_out {
            self.background.left.get_or_insert(CancelLevel::Drain);
        }
        self.place_all(at);
        self.restart_missed();
    }

    fn stop_background(&mut self, at: Millis, how: CancelLevel) {
        let kind = match how {
            CancelLevel::Drain => None,
            CancelLevel::Stop => Some(StopKind::Terminate),
            CancelLevel::Kill => Some(StopKind::Kill),
        };
        if let Some(kind) = kind.filter(|_| self.in_background()) {
            let runs = self.flights.all().iter().filter(|it| it.stop.is_none_or(|(old, _)| old < kind));
            let keys: Vec<_> = runs.map(|flight| flight.key).collect();
            // An engine that had all the run's time for the background alone has given it a fair chance.
            let is_spent = self.background.is_alone && self.run_due().is_some_and(|due| due <= at);
            let why = if is_spent { StopReason::Clock(Clock::Run) } else { StopReason::HandOver };
            self.stops.extend(keys.into_iter().map(|key| (key, (kind, why))));
            self.hurry_checks(at, how);
        }
    }

    /// Dead work is work to be done again, and so is what it had blocked. Services that all of this counts on and that did
    /// not come up are tried once more. A run that was over is not any more; its verdict stays.
    fn fold_requeue(&mut self, at: Millis, node: NodeIx) {
        if let Some(verdict) = self.verdict.take() {
            self.background.foreground = Some(verdict);
            self.derive(at);
        }
        let graph = Arc::clone(self.graph());
        let is_blocked = |it: NodeIx| self.state(it) == NodeState::Blocked && graph.nodes[it].selected;
        let (mut again, mut next) = (BTreeSet::new(), vec![node]);
        while let Some(node) = next.pop() {
            again.extend(self.not_up(node));
            let below = graph.dependents(node).iter().copied();
            next.extend(below.filter(|&it| is_blocked(it) && again.insert(it)));
        }
        self.reopen.extend(again.into_iter().map(|node| (node, ReopenReason::Resume)));
        if self.is_cut_off(node) {
            self.reopen(at, node, ReopenReason::Resume);
        } else {
            self.reopen_failed(at, node);
        }
        self.cells[node].is_queued = true;
        self.place(at, node);
    }

    /// Whether nobody knows what an attempt of a stage did that is dead all the same, because a service was not up again:
    /// that it is queued again is no word on that.
    fn is_cut_off(&self, node: NodeIx) -> bool {
        let is_suspect = self.shards.between_of(node).any(|(_, between)| between.step == Step::Suspect);
        self.cells[node].unknown > 0 || is_suspect
    }

    /// Whether a resume without orders goes on with the background only: the verdict leaves nothing else to do.
    pub fn goes_on_behind(&self) -> bool {
        let is_settled = |it: &Verdict| matches!(it.state, RunEnd::Success | RunEnd::RolledBack);
        self.background.foreground.as_ref().is_some_and(is_settled)
    }

    /// Another engine has the run, of which `decided` had been said: whether it goes on with the background only.
    pub(super) fn resume_background(&mut self, decided: Option<Verdict>, drains: bool) -> bool {
        let is_alone = drains && decided.is_some();
        let foreground = decided.filter(|_| is_alone);
        self.background = Background { foreground, is_alone, ended: self.background.ended, left: None };
        if is_alone {
            self.reset_run_clock();
        }
        is_alone
    }

    /// The run is over.
    pub(super) fn end_background(&mut self) {
        self.background.foreground = None;
    }

    /// Something of the foreground is open again: there will be another verdict.
    pub(super) fn reopen_foreground(&mut self, at: Millis) {
        if self.background.foreground.take().is_some() {
            self.run_objective(at, true);
        }
    }
}

/// Failed for good.
const fn is_dead(state: NodeState) -> bool {
    matches!(state, NodeState::Failed | NodeState::TimedOut)
}
