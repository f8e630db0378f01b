//! Records become a view: the only place that changes one.

use crate::base::{Millis, NodeIx, Span};
use crate::gate::verdict::{HALTED, HELD};
use crate::run::event::{
    Attempt, Clock, Event, NodeState, Outcome, ReopenReason, Resolution, ShardResult, SkipReason,
};

use super::super::{why, words};
use super::node::{Bar, NodeView, Shards};
use super::{Cancel, Session, View};

impl View {
    /// Takes a record in.
    pub fn record(&mut self, seq: u64, at: Millis, event: &Event) {
        self.seq = seq;
        let before = self.now;
        self.now = before.max(at);
        if let Event::RunResumed(resumed) = event {
            self.skip_gap(resumed.gap, at.since(before));
        }
        if !event.is_spoken() {
            self.worked = self.now;
        }
        if !self.knows(event) {
            return;
        }
        self.record_of_shards(at, event);
        self.record_leaves(event);
        match event {
            Event::ShardsStarted { node, first, count } => self.start(*node, *first, *count, at),
            Event::ShardRetried { attempt } => self.retry(*attempt, at),
            Event::ShardFinished { attempt, outcome, took, result } => {
                self.finish_shard(*attempt, outcome, (at, *took), result);
            }
            Event::RetryScheduled { attempt, at } => self.schedule(*attempt, *at),
            Event::ShardLost { attempt } => self.lose(*attempt, at),
            Event::StopRequested { attempt, why, .. } => {
                self.edit(attempt.node, |node| node.stopping = Some(*why));
            }
            Event::CheckStarted { node, kind, .. } => self.ask(*node, *kind),
            Event::CheckAnswered { node, shard, kind, answer } => self.hear((*node, *shard), *kind, answer),
            Event::NodeExpired { node, clock } => {
                self.edit(*node, |node| node.reason = format!("{} ran out", words::clock(*clock)));
            }
            Event::ShardExpired { node, shard, clock } => self.expire(*node, *shard, *clock),
            Event::NodeDeferred { node, wants } => {
                let left = self.time_box.map_or(Span::ZERO, |until| until.since(at));
                self.edit(*node, |node| node.note(&words::deferral(*wants, left)));
            }
            Event::NodeFinished { node, state, reason } => self.finish(*node, *state, reason, at),
            Event::NodeSkipped { node, why } => self.skip(*node, why, at),
            Event::NodeReopened { node, why } => self.reopen(*node, *why),
            Event::NodeResolved { node, resolution, by, note } => {
                self.resolve(*node, *resolution, (by, note), at);
            }
            _ => self.record_of_run(at, event),
        }
        self.record_promise((seq, at), event);
    }

    /// Whether the graph has the stage that `event` is about, if it is about one.
    pub fn knows(&self, event: &Event) -> bool {
        stage_of(event).is_none_or(|ix| (ix.raw() as usize) < self.nodes.len())
    }

    /// Records about the run as a whole.
    fn record_of_run(&mut self, at: Millis, event: &Event) {
        match event {
            Event::RunBegan(began) => {
                self.sessions.push(Session {
                    at,
                    gap: Span::ZERO,
                    by: began.by.clone(),
                    engine: began.engine.clone(),
                    jobs: began.jobs,
                    root: began.place.as_ref().map(|place| place.root.clone()),
                });
                self.began = Some(began.clone());
            }
            Event::RunResumed(resumed) => {
                // A pause lasts until a person ends it, or the run is over.
                self.paused &= self.verdict.is_none() && self.cancel.is_none();
                // An engine that only closes the run works on nothing.
                self.sessions.extend((!resumed.closes).then(|| Session {
                    at,
                    gap: resumed.gap,
                    by: resumed.by.clone(),
                    engine: resumed.engine.clone(),
                    jobs: resumed.jobs,
                    root: resumed.place.as_ref().map(|place| place.root.clone()),
                }));
                let is_decided = self.decided().is_some();
                let goes_on = self.resume_background(resumed);
                (self.suspended, self.verdict) = (None, None);
                if !goes_on {
                    self.forget_rollback(is_decided);
                    (self.ended, self.cancel) = (None, None);
                    self.cleaning = false;
                }
                (self.time_box, self.is_box_closed) = (None, false);
            }
            Event::PlanChanged { version } => self.change_plan(*version),
            Event::CellsFrozen { node, cells } => self.change_cells(|graph| graph.give_cells(*node, cells)),
            Event::PauseChanged { on, .. } => self.paused = *on,
            Event::CancelRaised { level, why, by } => {
                self.cancel = Some(Cancel { level: *level, why: *why, by: by.clone(), at });
            }
            Event::RollbackBegan { why, nodes, between } => self.begin_rollback(*why, nodes.iter().chain(between)),
            Event::FinallyBegan => self.cleaning = true,
            Event::BoxOpened { until } => (self.time_box, self.is_box_closed) = (Some(*until), false),
            Event::BoxClosed => self.is_box_closed = true,
            _ => {
                self.record_consent(at, event);
                self.record_background(at, event);
            }
        }
    }

    /// No engine works on the run, and none said that it left: what the record has as under way was cut off. A
    /// stage that may simply run again is pending; of another one nobody knows what it did.
    pub fn lay_down(&mut self) {
        if self.verdict.is_some() || self.suspended.is_some() {
            return;
        }
        self.is_laid_down = true;
        self.inflight.clear();
        self.retries.clear();
        for ix in std::mem::take(&mut self.active) {
            if !matches!(self.nodes[ix].state, NodeState::Running | NodeState::Retrying) {
                self.active.insert(ix);
                continue;
            }
            let rules = self.node(ix).rules.clone();
            self.edit(ix, |node| {
                let is_sharded = node.shards.all != 1;
                let was =
                    if node.state == NodeState::Retrying { "waiting for its next attempt" } else { "running" };
                let next = match (was, rules.idempotent, rules.has_done_if) {
                    ("running", _, true) => "resume asks its `done-if`",
                    ("running", false, false) => "it is not idempotent, so nobody knows what it did",
                    _ if is_sharded => "resume runs the others",
                    _ => "resume runs it again",
                };
                let reached = if is_sharded { format!(" at {}", why::shards(node)) } else { String::new() };
                node.state =
                    if was != "running" || rules.idempotent { NodeState::Pending } else { NodeState::Unknown };
                node.is_cut_off = true;
                node.reason = format!("was {was} when the engine died{reached}; {next}");
                (node.stopping, node.checking) = (None, None);
                (node.shards.running, node.shards.retrying) = (0, 0);
            });
        }
    }

    /// No engine lived for a `gap`: stages that were under way did not work meanwhile. What a person decided had waited
    /// until then, and only the `silence` since does not count.
    fn skip_gap(&mut self, gap: Span, silence: Span) {
        for node in &mut self.nodes {
            if node.started.is_some() && node.ended.is_none() && !node.is_open {
                node.away = node.away + if node.decided_by.is_some() { silence } else { gap };
            }
        }
    }

    /// Changes a stage and keeps the counts by state true. What heals or undoes one has a row and no place in them.
    pub(super) fn edit(&mut self, ix: NodeIx, change: impl FnOnce(&mut NodeView)) {
        // A place for a cell that nobody has given counts for nothing either, whatever becomes of it.
        let is_counted = self.nodes[ix].is_awake && self.node(ix).phase.is_stage();
        let node = &mut self.nodes[ix];
        let before = node.state;
        change(node);
        let after = node.state;
        self.counts[before as usize] -= u32::from(is_counted);
        self.counts[after as usize] += u32::from(is_counted);
        match (is_active(before), is_active(after)) {
            (false, true) => drop(self.active.insert(ix)),
            (true, false) => drop(self.active.remove(&ix)),
            _ => {}
        }
    }

    /// A block of first attempts.
    fn start(&mut self, ix: NodeIx, first: u32, count: u32, at: Millis) {
        self.inflight.extend((first..first.saturating_add(count)).map(|shard| ((ix, shard), (1, at))));
        self.edit(ix, |node| {
            node.shards.running += count;
            node.attempts = node.attempts.max(1);
            begin(node, at);
        });
    }

    /// A later attempt.
    fn retry(&mut self, attempt: Attempt, at: Millis) {
        let was_due = self.retries.remove(&(attempt.node, attempt.shard)).is_some();
        self.inflight.insert((attempt.node, attempt.shard), (attempt.number, at));
        self.suspects.remove(&(attempt.node, attempt.shard));
        self.edit(attempt.node, |node| {
            node.shards.retrying -= u32::from(was_due).min(node.shards.retrying);
            node.shards.running += 1;
            node.attempts = node.attempts.max(u32::from(attempt.number));
            begin(node, at);
        });
    }

    /// An attempt's end, at `when.0` after `when.1`.
    fn finish_shard(&mut self, attempt: Attempt, outcome: &Outcome, when: (Millis, Span), result: &ShardResult) {
        let (at, took) = when;
        let known = self.inflight.remove(&(attempt.node, attempt.shard));
        let start = known.map_or(Millis::new(at.since(Millis::ZERO + took).ms()), |(_, start)| start);
        let is_left = self.in_background() && self.leaves_background();
        let is_handed_over = is_left || (self.is_box_closed && (self.cancel.is_none() || self.in_background()));
        let is_gate = self.node(attempt.node).rules.hold.is_some();
        let failed = self.get(attempt.node).shards.failed;
        self.edit(attempt.node, |node| {
            node.shards.running = node.shards.running.saturating_sub(1);
            match outcome {
                Outcome::Success => node.shards.done += 1,
                // Held, it is done when a person lets it pass, and asks again otherwise.
                Outcome::Exit(HELD | HALTED) if is_gate => {}
                // It did not fail, and whoever goes on does it again.
                Outcome::Cancelled if !is_handed_over => {}
                Outcome::Cancelled => {
                    let when = if is_left { "and left to the next engine" } else { "at the end of a time box" };
                    node.note(&format!("stopped {when}: as if not run"));
                }
                _ => node.shards.failed += 1,
            }
            keep(node, result);
            node.outcome = Some(outcome.clone());
            node.bar(Bar {
                shard: attempt.shard,
                number: attempt.number,
                start,
                end: at,
                outcome: Some(outcome.clone()),
            });
            settle(node);
        });
        if self.get(attempt.node).shards.failed > failed {
            self.suspect(attempt.node, attempt.shard);
        }
    }

    /// The time of a shard ran out before its next attempt.
    fn expire(&mut self, ix: NodeIx, shard: u32, clock: Clock) {
        let was_due = self.retries.remove(&(ix, shard)).is_some();
        if was_due {
            self.suspect(ix, shard);
        }
        self.edit(ix, |node| {
            let moved = u32::from(was_due).min(node.shards.retrying);
            node.shards.retrying -= moved;
            node.shards.failed += moved;
            node.outcome = Some(Outcome::TimedOut(clock));
        });
    }

    /// A failed shard gets another attempt at `due`.
    fn schedule(&mut self, attempt: Attempt, due: Millis) {
        self.retries.insert((attempt.node, attempt.shard), due);
        self.suspects.remove(&(attempt.node, attempt.shard));
        self.edit(attempt.node, |node| {
            node.shards.failed = node.shards.failed.saturating_sub(1);
            node.shards.retrying += 1;
            settle(node);
        });
    }

    /// Nobody knows how an attempt ended.
    fn lose(&mut self, attempt: Attempt, at: Millis) {
        let known = self.inflight.remove(&(attempt.node, attempt.shard));
        let start = known.map_or(at, |(_, start)| start);
        self.edit(attempt.node, |node| {
            node.shards.running = node.shards.running.saturating_sub(1);
            node.note(&format!("attempt {} was lost: the engine ended before it did", attempt.number));
            node.bar(Bar { shard: attempt.shard, number: attempt.number, start, end: at, outcome: None });
            settle(node);
        });
    }

    /// A stage reached its end.
    fn finish(&mut self, ix: NodeIx, state: NodeState, reason: &str, at: Millis) {
        self.forget(ix);
        let why = if state == NodeState::Cancelled { self.say_cancelled(ix) } else { String::new() };
        self.edit(ix, |node| {
            let said = std::mem::take(&mut node.reason);
            node.reason = if !reason.is_empty() {
                reason.to_owned()
            } else if !why.is_empty() && node.decided_by.is_none() {
                why
            } else if node.decided_by.is_some() || node.outcome.is_none() {
                said
            } else if state.is_success() && state != NodeState::AllowedFailure {
                String::new()
            } else {
                node.outcome.as_ref().map(words::outcome).unwrap_or_default()
            };
            // Of what was unknown it counts until nobody knew any more, not until somebody said what it was.
            node.ended = node.ended.filter(|_| node.is_told).or(Some(at));
            (node.state, node.is_told) = (state, false);
            (node.stopping, node.checking, node.is_open, node.is_halted) = (None, None, false, false);
            (node.shards.running, node.shards.retrying) = (0, 0);
        });
        self.undo(ix, state);
    }

    /// A stage will not run.
    fn skip(&mut self, ix: NodeIx, why: &SkipReason, at: Millis) {
        let reason = match why {
            SkipReason::Condition => "its `if` is false".to_owned(),
            SkipReason::NotNeeded if self.undoing.is_some() && self.node(ix).undoes.is_some() => {
                self.say_stays(ix)
            }
            SkipReason::NotNeeded => "it handles a failure that did not happen".to_owned(),
            SkipReason::NotSelected => "left out on the command line".to_owned(),
            SkipReason::NoCell => "its matrix has no such cell".to_owned(),
            SkipReason::Blocked { by } => {
                let state = self.nodes.get(*by).map_or(NodeState::Blocked, |node| node.state);
                let is_need = self.node(ix).needs.iter().any(|need| need.node == *by);
                let said = if is_need { "needs" } else { "nothing new starts after" };
                format!("{said} `{}`, which {}", self.id(*by), words::what_became(state))
            }
        };
        self.edit(ix, |node| {
            node.state = NodeState::Skipped;
            if let SkipReason::Blocked { by } = why {
                node.state = NodeState::Blocked;
                node.blocked_by = Some(*by);
            }
            node.reason = reason;
            node.ended = Some(at);
        });
    }

    /// An ended stage is pending again.
    pub(super) fn reopen(&mut self, ix: NodeIx, why: ReopenReason) {
        self.open_again(ix, self.is_done_anew(ix, why), why);
    }

    /// The same, with all its shards or with those that had not succeeded.
    pub(super) fn open_again(&mut self, ix: NodeIx, is_whole: bool, why: ReopenReason) {
        self.ask_again(ix);
        self.sleep_ladder(ix);
        self.acquit(ix);
        if is_whole {
            self.drop_leaves(ix);
        }
        let is_late = self.node(ix).rules.split.as_ref().is_some_and(|split| split.is_late);
        self.edit(ix, |node| {
            let done = if is_whole { 0 } else { node.shards.done };
            node.shards = Shards { all: node.shards.all, done, ..Shards::default() };
            node.is_undone = false;
            node.state = NodeState::Pending;
            node.reason = format!("runs again: {}", words::reopened(why));
            (node.started, node.ended, node.outcome) = (None, None, None);
            node.away = Span::ZERO;
            (node.blocked_by, node.decided_by, node.expires) = (None, None, None);
            (node.stopping, node.checking, node.is_open, node.is_halted) = (None, None, false, false);
            node.is_told = false;
            if let Some(sharded) = &mut node.sharded {
                sharded.reopen(is_whole, why, is_late);
            }
            node.outputs.clear();
            node.reopened += 1;
        });
    }

    /// A person said what an unknown outcome was.
    fn resolve(&mut self, ix: NodeIx, resolution: Resolution, who: (&str, &str), at: Millis) {
        let said = say_decision(&format!("resolved as {}", words::resolution(resolution)), who.0, who.1);
        self.edit(ix, |node| {
            node.decided_by = Some((who.0.to_owned(), who.1.to_owned()));
            node.reason = said;
            node.is_told = true;
            match resolution {
                Resolution::Success => node.state = NodeState::Success,
                Resolution::Failed => node.state = NodeState::Failed,
                Resolution::Rerun => return node.is_open = false,
            }
            node.ended.get_or_insert(at);
        });
    }

    /// Nothing of this stage is in flight.
    pub(super) fn forget(&mut self, ix: NodeIx) {
        let all = (ix, 0)..=(ix, u32::MAX);
        let flying: Vec<_> = self.inflight.range(all.clone()).map(|(&key, _)| key).collect();
        for key in &flying {
            self.inflight.remove(key);
        }
        let due: Vec<_> = self.retries.range(all).map(|(&key, _)| key).collect();
        for key in &due {
            self.retries.remove(key);
        }
    }
}

/// The stage that an event is about.
const fn stage_of(event: &Event) -> Option<NodeIx> {
    match event {
        Event::ShardsStarted { node, .. }
        | Event::ShardsCut { node, .. }
        | Event::ItemsFrozen { node, .. }
        | Event::CellsFrozen { node, .. }
        | Event::ShardRecalled { node, .. }
        | Event::StageSealed { node, .. }
        | Event::ShardsReopened { node }
        | Event::CheckStarted { node, .. }
        | Event::CheckAnswered { node, .. }
        | Event::GateOpened { node, .. }
        | Event::GateDecided { node, .. }
        | Event::VoteCast { node, .. }
        | Event::NodeExpired { node, .. }
        | Event::ShardExpired { node, .. }
        | Event::NodeDeferred { node, .. }
        | Event::NodeFinished { node, .. }
        | Event::NodeSkipped { node, .. }
        | Event::NodeReopened { node, .. }
        | Event::NodeResolved { node, .. } => Some(*node),
        Event::ShardRetried { attempt }
        | Event::ShardFinished { attempt, .. }
        | Event::RetryScheduled { attempt, .. }
        | Event::StopRequested { attempt, .. }
        | Event::ShardLost { attempt } => Some(attempt.node),
        _ => super::crews::stage_of(event),
    }
}

/// Whether a live view shows a stage in this state.
pub(super) const fn is_active(state: NodeState) -> bool {
    matches!(state, NodeState::Running | NodeState::Retrying | NodeState::Waiting)
}

/// An attempt of the stage begins.
fn begin(node: &mut NodeView, at: Millis) {
    node.state = NodeState::Running;
    node.started.get_or_insert(at);
    (node.stopping, node.checking) = (None, None);
    node.reason.clear();
}

/// The state of a stage that has not ended, by its shards.
pub(super) fn settle(node: &mut NodeView) {
    let shards = node.shards;
    if words::is_ended(node.state) || shards.running > 0 {
        return;
    }
    node.stopping = None;
    if shards.retrying > 0 {
        node.state = NodeState::Retrying;
    } else if shards.done + shards.failed < shards.all {
        node.state = NodeState::Waiting;
    }
}

/// What an attempt left.
pub(super) fn keep(node: &mut NodeView, result: &ShardResult) {
    node.cpu_us = node.cpu_us.saturating_add(result.cpu_us);
    node.max_rss_kib = node.max_rss_kib.max(result.max_rss_kib);
    // Of many shards each left its own, and no one of them speaks for the stage.
    if !result.outputs.is_empty() && node.sharded.is_none() {
        node.outputs.clone_from(&result.outputs);
    }
    for note in &result.notes {
        node.note(note);
    }
}

/// `approved by ana: ship it`.
pub(super) fn say_decision(what: &str, by: &str, note: &str) -> String {
    let by = if by.is_empty() { String::new() } else { format!(" by {by}") };
    let note = if note.is_empty() { String::new() } else { format!(": {note}") };
    format!("{what}{by}{note}")
}
