//! The only mutator of a run's state. It can't fail: what does not fit any more is ignored.

use std::sync::Arc;

use super::clock::Timer;
use super::event::{
    Answer, Attempt, Began, CancelLevel, CancelReason, CheckKind, Clock, Event, NodeState, Outcome, Resolution,
    ShardResult, SkipReason, StopKind, StopReason, Verdict,
};
use super::shards::{Flight, Key, Phase, Step};
use super::state::{Gate, Lane, RunState};
use super::verdict::{expiry, said};
use crate::base::{Millis, NodeIx, Span, limits};
use crate::graph::model::{Phase as Part, Policy};

impl RunState {
    /// Takes a fact in.
    pub fn fold(&mut self, at: Millis, event: &Event) {
        self.now = at;
        self.note_progress(event);
        let mut gap = Span::ZERO;
        match event {
            Event::RunBegan(began) => self.fold_began(at, began),
            Event::RunResumed(resumed) => {
                gap = resumed.gap;
                self.fold_resumed(at, resumed);
            }
            Event::PlanChanged { version } => self.change_plan(at, *version),
            Event::NodeAdmitted { node } => self.fold_admitted(at, *node),
            Event::ShardsStarted { node, first, count } => self.fold_started(at, *node, *first, *count),
            Event::ShardRetried { attempt } => self.fold_retried(at, *attempt),
            Event::ShardsCut { node, cut, .. } => self.fold_cut(*node, *cut),
            Event::CellsFrozen { node, cells } => self.fold_cells(at, *node, cells),
            Event::ItemsFrozen { node, items } => self.fold_items(at, *node, items),
            Event::ShardRecalled { node, shard, result } => self.fold_recalled(at, (*node, *shard), result),
            Event::StageSealed { node, root } => self.left.entry(*node).or_default().root = Some(*root),
            Event::ShardsReopened { node } => self.reopen_failed(at, *node),
            Event::ShardFinished { attempt, outcome, took, result } => {
                if !result.never_ran {
                    self.gauge((attempt.node, attempt.shard), outcome, *took);
                }
                self.fold_finished(at, *attempt, outcome, result);
            }
            Event::RetryScheduled { attempt, at: due } => self.fold_scheduled(*attempt, *due),
            Event::StopRequested { attempt, how, why } => self.fold_stop(at, *attempt, *how, *why),
            Event::ShardLost { attempt } => self.fold_lost(at, *attempt),
            Event::CheckStarted { node, shard, kind } => self.fold_check(at, (*node, *shard), *kind),
            Event::CheckAnswered { node, shard, kind, answer } => {
                self.fold_answer(at, (*node, *shard), *kind, answer);
            }
            Event::GateOpened { node, expires, .. } => self.fold_gate(at, *node, *expires),
            Event::GateDecided { node, approved, by, note } => {
                self.fold_decision(at, *node, *approved, (by, note));
            }
            Event::VoteCast { node, vote } => self.fold_vote(*node, vote),
            Event::GlassBroken { by, reason } => self.fold_glass(by, reason),
            Event::FreezeBegan { until_ms, .. } => self.fold_freeze(at, Some(*until_ms)),
            Event::FreezeEnded => self.fold_freeze(at, None),
            Event::NodeExpired { node, clock } => self.fold_expired(at, *node, *clock),
            Event::ShardExpired { node, shard, clock } => self.fold_shard_expired(at, (*node, *shard), *clock),
            Event::NodeFinished { node, state, .. } => self.fold_node(at, *node, *state),
            Event::NodeSkipped { node, why } => {
                self.think_skipped(*node, why);
                let is_blocked = matches!(why, SkipReason::Blocked { .. });
                self.end(at, *node, if is_blocked { NodeState::Blocked } else { NodeState::Skipped });
            }
            Event::NodeReopened { node, why } => self.reopen(at, *node, *why),
            Event::NodeResolved { node, resolution, by, note } => {
                self.fold_resolution(at, *node, *resolution, (by, note));
            }
            Event::PauseChanged { on, .. } => self.fold_pause(at, *on),
            Event::CancelRaised { level, why, .. } => self.fold_cancel(at, *level, *why),
            Event::RollbackBegan { .. } | Event::FinallyBegan => self.fold_phase(at, event),
            Event::BoxOpened { .. }
            | Event::NodeDeferred { .. }
            | Event::BoxClosed
            | Event::RunSuspended { .. } => self.fold_engine(at, event),
            Event::RunFinished { verdict } => self.fold_verdict(verdict),
            Event::TicketRaised { case } => self.fold_case(case),
            Event::SecretsFetched { .. } | Event::ObjectiveRisked { .. } | Event::ObjectiveBreached { .. } => {}
            _ => self.fold_crew(at, event),
        }
        self.note_objectives(at, event);
        self.promote(at);
        self.run_clock(at, gap);
    }

    fn fold_admitted(&mut self, at: Millis, node: NodeIx) {
        self.cells[node].is_admitted = true;
        self.think_told(node, true);
        self.place(at, node);
    }

    fn fold_began(&mut self, at: Millis, began: &Began) {
        if self.has_begun {
            return;
        }
        self.has_begun = true;
        self.set_jobs(began.jobs);
        self.seed = began.seed;
        self.consents.note_engine(at, began.wall_ms, &began.by);
        self.consents.note_begin(began.author.as_ref(), began.back_to.is_some());
        self.count_rollbacks(began.rollbacks);
        began.run.as_str().clone_into(&mut self.run);
        self.derive(at);
    }

    pub(super) fn set_jobs(&mut self, jobs: u32) {
        let jobs = if jobs == 0 { self.graph().settings.max_parallel } else { jobs };
        self.jobs = jobs.clamp(1, limits::MAX_PARALLEL);
    }

    /// Makes re-tries whose moment has come ready.
    fn promote(&mut self, at: Millis) {
        self.unthrottle(at);
        while let Some(&(due, key)) = self.delayed.first() {
            if due > at {
                return;
            }
            let failure = self.leave(key).and_then(|between| between.failure);
            self.wait(key, Step::Ready, failure);
        }
    }

    fn start(&mut self, at: Millis, key: Key, number: u16) {
        let is_bounded = self.node(key.0).rules.retry.as_ref().is_some_and(|retry| retry.within.is_some());
        if is_bounded {
            self.shards.first_start(key, at);
        }
        self.shards.set(key, Phase::Running);
        self.shards.set_number(key, number);
        self.trust(key);
        let due = self.first_due(key, at);
        self.flights.insert(Flight { key, number, started: at, stop: None, is_orphan: false, due });
        self.timers.extend(due.map(|(due, _)| (due, Timer::Flight(key))));
    }

    fn fold_started(&mut self, at: Millis, node: NodeIx, first: u32, count: u32) {
        for shard in first..first + count {
            self.start(at, (node, shard), 1);
        }
        self.move_cursor(node, first + count);
        self.has_started(at, node, count);
    }

    fn fold_retried(&mut self, at: Millis, attempt: Attempt) {
        let key = (attempt.node, attempt.shard);
        if self.leave(key).is_none() {
            self.first_again(key);
        }
        self.start(at, key, attempt.number);
        self.has_started(at, attempt.node, 1);
        self.end_cool_down(at, attempt.node);
    }

    /// A shard starts for the first time since it is there again: what there was before costs it no re-try.
    fn first_again(&mut self, key: Key) {
        self.shards.forgive_all(key);
        if key.1 == self.cells[key.0].cursor {
            self.move_cursor(key.0, key.1 + 1);
        }
    }

    fn fold_finished(&mut self, at: Millis, attempt: Attempt, outcome: &Outcome, result: &ShardResult) {
        let key = (attempt.node, attempt.shard);
        let Some(flight) = self.land(key) else { return };
        self.keep_finding(key.0, result);
        self.cells[key.0].is_dirty |= !result.never_ran && !matches!(outcome, Outcome::NotStarted(_));
        self.doubt_end(key, outcome, result);
        match outcome {
            _ if result.never_ran => self.stopped_unstarted(at, key, outcome, flight.is_handed_over()),
            outcome if self.is_held_by(key.0, outcome) => self.hold_gate(key, outcome, result),
            Outcome::Success => {
                self.think_done(key.0);
                self.succeed(key, result);
            }
            // Its process ended well, so its effect may be there, whatever became of what it left.
            Outcome::BadResult(_) if !self.node(key.0).rules.idempotent => self.suspect(at, key, outcome),
            Outcome::Exit(_) | Outcome::NotStarted(_) | Outcome::BadResult(_) => self.fail(at, key, outcome),
            Outcome::Signal(_) | Outcome::TimedOut(_) => self.suspect(at, key, outcome),
            Outcome::Cancelled if flight.is_handed_over() => self.put_back(key),
            Outcome::Cancelled => self.stopped(key),
        }
        self.settle(at, key.0);
    }

    /// Places a stage of which something has just ended.
    pub(super) fn settle(&mut self, at: Millis, node: NodeIx) {
        let is_over = self.is_complete(node) || self.is_halted(node);
        if is_over || !self.cells[node].is_busy() || self.cells[node].lane != Lane::Open {
            self.place(at, node);
        }
    }

    /// A shard is done.
    pub(super) fn succeed(&mut self, key: Key, result: &ShardResult) {
        self.shards.set(key, Phase::Success);
        self.cells[key.0].success += 1;
        self.keep_result(key, result);
    }

    /// Keeps what an attempt left for others.
    pub(super) fn keep_result(&mut self, key: Key, result: &ShardResult) {
        if self.node(key.0).rules.split.is_some() {
            self.keep_shard(key, result);
        } else if !result.outputs.is_empty() {
            self.left.entry(key.0).or_default().outputs.clone_from(&result.outputs);
        }
        if let Some(digest) = result.artifacts {
            self.left.entry(key.0).or_default().artifacts.push((key.1, digest));
        }
    }

    /// A shard failed, and its outcome is known.
    pub(super) fn fail(&mut self, at: Millis, key: Key, outcome: &Outcome) {
        if self.may_retry(at, key, outcome) {
            self.wait(key, Step::Judged, Some(outcome.clone()));
            return;
        }
        self.shards.set(key, Phase::Failed);
        let is_forgiven = self.is_allowed(key.0, outcome);
        let is_spared = !is_forgiven && self.spare(key);
        let cell = &mut self.cells[key.0];
        cell.failed += 1;
        if is_spared {
            cell.spared += 1;
        } else if !is_forgiven {
            cell.unforgiven += 1;
            self.causes.entry(key.0).or_insert_with(|| (key.1, outcome.clone()));
        } else if cell.unforgiven == 0 {
            self.causes.entry(key.0).or_insert_with(|| (key.1, outcome.clone()));
        }
    }

    fn fold_stop(&mut self, at: Millis, attempt: Attempt, how: StopKind, why: StopReason) {
        let key = (attempt.node, attempt.shard);
        self.stops.remove(&key);
        let due = self.stop_due(key, at, how);
        self.set_due(key, Some(due));
        if let Some(flight) = self.flights.get_mut(key) {
            let first = flight.stop.map_or(why, |(_, first)| first);
            flight.stop = Some((how, first));
        }
        if why == StopReason::Clock(Clock::Finally) && !self.finally_expired {
            self.expire_finally(at);
        }
    }

    fn fold_lost(&mut self, at: Millis, attempt: Attempt) {
        let key = (attempt.node, attempt.shard);
        let Some(flight) = self.land(key) else { return };
        self.cells[key.0].is_dirty = true;
        self.forced.insert(key);
        let rules = &self.node(key.0).rules;
        if !flight.is_orphan {
            self.make_unknown(key, "how its last attempt ended could not be learned");
        } else if rules.has_done_if {
            self.shards.forgive(key);
            self.wait(key, Step::Suspect, None);
        } else if rules.idempotent {
            self.shards.forgive(key);
            self.wait(key, Step::Ready, None);
        } else {
            self.make_unknown(key, "the engine died while it ran, and it is not idempotent");
        }
        self.settle(at, key.0);
    }

    fn fold_check(&mut self, at: Millis, key: Key, kind: CheckKind) {
        let mut due = at + Span::from_ms(limits::CHECK_WAIT_MS);
        if let (CheckKind::DoneIf, Some(timeout)) = (kind, self.node(key.0).rules.timeout) {
            due = due.min(at + timeout);
        }
        let failure = self.leave(key).and_then(|between| between.failure);
        self.wait(key, Step::Checking(kind, due), failure);
        self.place(at, key.0);
    }

    fn fold_answer(&mut self, at: Millis, key: Key, kind: CheckKind, answer: &Answer) {
        let Some(between) = self.leave(key) else { return };
        let is_idempotent = self.node(key.0).rules.idempotent;
        if kind == CheckKind::DoneIf && !matches!(answer, Answer::Unknown(_)) {
            self.trust(key);
        }
        match (kind, answer) {
            (CheckKind::Cache, answer) => self.fold_cache(key, answer),
            (CheckKind::DoneIf, Answer::Yes(result)) => self.succeed(key, result),
            // Whoever resumes asks again.
            (CheckKind::DoneIf, Answer::Unknown(_)) if self.is_leaving(key.0) => self.stopped(key),
            // So does the next engine, if it was only for the end of a time box.
            (CheckKind::DoneIf, Answer::Unknown(_)) if self.is_box_over() || self.has_left() => {
                self.shards.wait(key, Step::Suspect, between.failure);
            }
            (CheckKind::DoneIf, Answer::Unknown(why)) if !is_idempotent => {
                self.make_unknown(key, &format!("`done-if` does not know: {why}"));
            }
            (CheckKind::DoneIf, _) => {
                // It was not done. The bookkeeping of its step is over; say so before it moves on.
                self.shards.wait(key, Step::Suspect, None);
                match between.failure {
                    Some(outcome) => self.fail(at, key, &outcome),
                    None => self.wait(key, Step::Ready, None),
                }
            }
        }
        self.place(at, key.0);
    }

    fn fold_cache(&mut self, key: Key, answer: &Answer) {
        self.shards.set(key, Phase::Fresh);
        self.cells[key.0].cache_asked = true;
        if let Answer::Yes(result) = answer {
            self.cells[key.0].is_cached = true;
            let left = self.left.entry(key.0).or_default();
            left.outputs.clone_from(&result.outputs);
            left.artifacts.extend(result.artifacts.map(|digest| (0, digest)));
        }
    }

    fn fold_gate(&mut self, at: Millis, node: NodeIx, expires: Option<Millis>) {
        self.cells[node].gate = Gate::Open(expires);
        self.forget_votes(node);
        self.cells[node].started.get_or_insert(at);
        self.open_gates.insert(node);
        self.timers.extend(expires.map(|due| (due, Timer::Gate(node))));
        self.place(at, node);
    }

    /// An approval does not wait any more.
    pub(super) fn close_gate(&mut self, node: NodeIx) {
        if let Gate::Open(expires) = self.cells[node].gate {
            self.open_gates.remove(&node);
            if let Some(due) = expires {
                self.timers.remove(&(due, Timer::Gate(node)));
            }
            self.cells[node].gate = Gate::Closed;
        }
    }

    fn fold_decision(&mut self, at: Millis, node: NodeIx, approved: bool, (by, words): (&str, &str)) {
        self.close_gate(node);
        self.cells[node].gate = if approved { Gate::Approved } else { Gate::Rejected };
        if approved {
            self.waive(node);
        }
        let word = self.decision_word(node, approved);
        self.words.insert(node, said(word, by, words));
        self.place(at, node);
    }

    fn fold_expired(&mut self, at: Millis, node: NodeIx, clock: Clock) {
        self.close_gate(node);
        self.unplace(node);
        self.cells[node].expired = Some(clock);
        if clock == Clock::Finally && !self.finally_expired {
            self.expire_finally(at);
        }
        self.place(at, node);
    }

    /// A shard's own clock ran out while it waited: it failed by that clock.
    fn fold_shard_expired(&mut self, at: Millis, key: Key, clock: Clock) {
        if self.leave(key).is_none() {
            return;
        }
        self.words.entry(key.0).or_insert_with(|| expiry(clock).to_owned());
        self.fail(at, key, &Outcome::TimedOut(clock));
        self.settle(at, key.0);
    }

    fn fold_node(&mut self, at: Millis, node: NodeIx, state: NodeState) {
        self.end(at, node, state);
        self.raise_end(node, state);
        self.undone(node, state);
        let is_failure = matches!(state, NodeState::Failed | NodeState::TimedOut);
        if !is_failure || self.node(node).phase == Part::Heal {
            return;
        }
        self.think_failed(node);
        // A service that could not be started again for the background changes no verdict.
        if self.is_background(node) || self.in_background() {
            return;
        }
        if !self.graph().is_optional(node) {
            self.failed.push(node);
        }
        let policy = self.policy(node);
        if policy != Policy::Continue && self.cancel.is_none() {
            self.drain_for.get_or_insert(node);
        }
        if policy == Policy::Kill {
            self.stop_scope(node);
        }
    }

    fn stop_scope(&mut self, node: NodeIx) {
        let graph = Arc::clone(self.graph());
        let scope = graph.nodes[node].scope;
        let is_inside = |other: NodeIx| {
            let chain = std::iter::successors(Some(graph.nodes[other].scope), |&it| graph.scopes[it].parent);
            graph.nodes[other].phase.is_forward() && chain.into_iter().any(|it| it == scope)
        };
        let runs = self.flights.all().iter().filter(|flight| flight.stop.is_none() && is_inside(flight.key.0));
        let why = StopReason::Scope(Policy::Kill);
        let stops: Vec<_> = runs.map(|flight| (flight.key, (StopKind::Terminate, why))).collect();
        self.stops.extend(stops);
    }

    /// A stage has ended.
    fn end(&mut self, at: Millis, node: NodeIx, state: NodeState) {
        self.close_gate(node);
        self.unplace(node);
        self.reopen.remove(&node);
        self.deferred.remove(&node);
        let cell = &mut self.cells[node];
        cell.ended = Some(at);
        cell.is_down &= state != NodeState::Success;
        cell.resolved = None;
        self.set_state(node, state);
        self.end_halt(at, node);
        // Of background work a person may still say what it was when the foreground is over.
        let is_let_go = self.cancel.is_some() && !self.is_background(node);
        if state.is_final() || is_let_go || self.node(node).phase == Part::Finally {
            self.release(at, node);
        }
        if self.cells[node].is_restart {
            self.restarted(at, node);
        }
        self.healed(at, node);
    }

    fn fold_resolution(&mut self, at: Millis, node: NodeIx, resolution: Resolution, (by, words): (&str, &str)) {
        // A gate that is held asks again: nobody is asked about its last verdict any more.
        self.close_gate(node);
        self.cells[node].resolved = Some(resolution);
        self.apply_resolution(node, resolution);
        self.words.insert(node, said("resolved", by, words));
        self.place(at, node);
    }

    fn fold_cancel(&mut self, at: Millis, level: CancelLevel, why: CancelReason) {
        self.cancel = Some((level, why));
        self.note_order(why);
        self.drain_for = None;
        // The time box holds nothing back any more.
        self.deferred.clear();
        self.timed_out |= why == CancelReason::Timeout;
        self.order_stops(level);
        self.hurry_checks(at, level);
        let unknown: Vec<NodeIx> = self.unknown.iter().copied().filter(|&it| !self.is_background(it)).collect();
        for node in unknown {
            self.release(at, node);
        }
        // What waited for one of these to be started again, too, at any distance.
        self.place_all(at);
    }

    fn order_stops(&mut self, level: CancelLevel) {
        let how = match level {
            CancelLevel::Drain => return,
            CancelLevel::Stop => StopKind::Terminate,
            CancelLevel::Kill => StopKind::Kill,
        };
        let graph = Arc::clone(self.graph());
        let counts = |flight: &&Flight| {
            let is_ours = level == CancelLevel::Kill || graph.nodes[flight.key.0].phase != Part::Finally;
            is_ours && flight.stop.is_none_or(|(old, _)| old < how)
        };
        let keys: Vec<Key> = self.flights.all().iter().filter(counts).map(|flight| flight.key).collect();
        self.stops.extend(keys.into_iter().map(|key| (key, (how, StopReason::Cancel))));
    }

    /// A cancelled run waits no longer for an answer than for an attempt to stop.
    pub(super) fn hurry_checks(&mut self, at: Millis, level: CancelLevel) {
        if level == CancelLevel::Drain {
            return;
        }
        let checks = self.timers.iter().filter_map(|&(due, timer)| match timer {
            Timer::Check(key) => Some((due, key)),
            _ => None,
        });
        for (due, key) in checks.collect::<Vec<_>>() {
            let grace = if level == CancelLevel::Kill { Span::ZERO } else { self.node(key.0).rules.grace };
            let Some(between) = self.shards.between.get_mut(&key) else { continue };
            if let Step::Checking(_, until) = &mut between.step {
                *until = due.min(at + grace);
                self.timers.remove(&(due, Timer::Check(key)));
                self.timers.insert((due.min(at + grace), Timer::Check(key)));
            }
        }
    }

    fn fold_verdict(&mut self, verdict: &Verdict) {
        self.verdict = Some(verdict.clone());
        self.end_background();
        self.timers.clear();
    }
}
