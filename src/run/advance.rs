//! What is the next thing to do? One event at a time, until nothing is left to do at this moment.

use super::clock::Timer;
use super::event::{
    Answer, Attempt, CancelLevel, CancelReason, CheckKind, Clock, Event, ReopenReason, Resolution, SkipReason,
    StopKind, StopReason, SuspendReason,
};
use super::place::Needs;
use super::ready::{Entry, Slot};
use super::shards::{Due, Key, Step};
use super::state::{Gate, RunState};
use crate::base::{Millis, NodeIx};
use crate::graph::model::{Phase, Work};

/// The next thing to do at `at`. Order matters: what is over is said first, then what must stop, then what can
/// be decided without a slot, then how the run goes on, and starts come last.
pub fn advance(state: &RunState, at: Millis) -> Option<Event> {
    if !state.has_begun || state.verdict.is_some() {
        return None;
    }
    lost(state)
        .or_else(|| reopened(state))
        .or_else(|| state.next_case())
        .or_else(|| state.next_alarm(at))
        .or_else(|| state.next_freeze(at))
        .or_else(|| expired(state, at))
        .or_else(|| stopped(state))
        .or_else(|| cancelled(state, at))
        .or_else(|| finally_over(state, at))
        .or_else(|| state.box_due().filter(|&due| due <= at).map(|_| Event::BoxClosed))
        .or_else(|| state.dismissed())
        .or_else(|| state.todo.first().map(|&node| settled(state, at, node)))
        .or_else(|| rescheduled(state, at))
        .or_else(|| if state.suspended.is_some() { None } else { next_phase(state) })
        .or_else(|| if state.is_paused || state.suspended.is_some() { None } else { opened(state, at) })
        .or_else(|| state.hands_over().then_some(Event::RunSuspended { why: SuspendReason::HandOver }))
        .or_else(|| state.leaves())
        .or_else(|| state.fed(at))
        .or_else(|| if state.can_start() { started(state, at) } else { None })
}

fn lost(state: &RunState) -> Option<Event> {
    if state.orphans == 0 {
        return None;
    }
    let flight = state.flights.all().iter().find(|flight| flight.is_orphan)?;
    Some(Event::ShardLost { attempt: flight.attempt() })
}

fn reopened(state: &RunState) -> Option<Event> {
    state.reopen.first_key_value().map(|(&node, &why)| Event::NodeReopened { node, why })
}

/// The first clock that has run out.
fn expired(state: &RunState, at: Millis) -> Option<Event> {
    let &(due, timer) = state.timers.first()?;
    if due > at {
        return None;
    }
    Some(match timer {
        Timer::Flight(key) => {
            let flight = state.flights.get(key).expect("an attempt's timer leaves with it");
            let attempt = flight.attempt();
            match flight.due.expect("the timer is its deadline").1 {
                Due::Clock(clock) => {
                    let why = StopReason::Clock(clock);
                    Event::StopRequested { attempt, how: StopKind::Terminate, why }
                }
                Due::Grace => Event::StopRequested { attempt, how: StopKind::Kill, why: StopReason::Grace },
                Due::Lost => Event::ShardLost { attempt },
            }
        }
        Timer::Queue(node) => Event::NodeExpired { node, clock: Clock::Queue },
        Timer::Gate(node) => state.undecided(node),
        Timer::Within((node, shard)) => Event::ShardExpired { node, shard, clock: Clock::Within },
        Timer::Check(key) => unanswered(state, key),
        Timer::Crew(node) => Event::CrewGone { node },
    })
}

fn unanswered(state: &RunState, (node, shard): Key) -> Event {
    let step = state.shards.between.get(&(node, shard)).map(|between| between.step);
    let Some(Step::Checking(kind, _)) = step else { unreachable!("a check's timer leaves with its answer") };
    let answer = Answer::Unknown("no answer came in time".to_owned());
    Event::CheckAnswered { node, shard, kind, answer }
}

/// The first attempt that must be asked to stop.
fn stopped(state: &RunState) -> Option<Event> {
    let (&key, &(how, why)) = state.stops.first_key_value()?;
    let flight = state.flights.get(key).expect("an order to stop leaves with its attempt");
    Some(Event::StopRequested { attempt: flight.attempt(), how, why })
}

/// A failure that must drain the run, or the run's timeout.
fn cancelled(state: &RunState, at: Millis) -> Option<Event> {
    let raise = |level, why| Some(Event::CancelRaised { level, why, by: String::new() });
    if let Some(node) = state.drain_for {
        return raise(CancelLevel::Drain, CancelReason::Failure(node));
    }
    if state.run_due().is_some_and(|due| due <= at) {
        if state.in_background() {
            return state.leave_background(CancelLevel::Stop, String::new());
        }
        return raise(CancelLevel::Stop, CancelReason::Timeout);
    }
    None
}

/// The end of the clean-up's budget: the first fact about it makes the rest follow.
fn finally_over(state: &RunState, at: Millis) -> Option<Event> {
    if state.finally_due().is_none_or(|due| due > at) {
        return None;
    }
    let graph = state.graph();
    let in_finally = |node: NodeIx| graph.nodes[node].phase == Phase::Finally;
    let flight = state.flights.all().iter().find(|it| in_finally(it.key.0) && it.stop.is_none());
    if let Some(flight) = flight {
        let why = StopReason::Clock(Clock::Finally);
        return Some(Event::StopRequested { attempt: flight.attempt(), how: StopKind::Terminate, why });
    }
    let is_open = |&node: &NodeIx| in_finally(node) && !state.cells[node].is_released;
    let node = graph.nodes.indexes().find(is_open)?;
    Some(Event::NodeExpired { node, clock: Clock::Finally })
}

/// What there is to say about a stage that needs no slot for it.
fn settled(state: &RunState, at: Millis, node: NodeIx) -> Event {
    let (cell, it) = (&state.cells[node], state.node(node));
    if let Some(resolution) = cell.resolved {
        return resolved(state, node, resolution);
    }
    if !it.selected && state.is_demanded(node) {
        return state
            .refuse(node, "the policy of the environment asks for it: no selection leaves it out".to_owned());
    }
    if !it.selected {
        return Event::NodeSkipped { node, why: SkipReason::NotSelected };
    }
    if state.graph().is_absent(node) {
        return Event::NodeSkipped { node, why: SkipReason::NoCell };
    }
    if let Some(released) = state.released(node) {
        return released;
    }
    // What it counts on comes up again only after a person's word on what could not be healed.
    if state.is_heal_halted(node) && state.is_complete(node) {
        let step = state.healing(at, node).or_else(|| state.unsealed(node));
        return step.unwrap_or_else(|| state.finish(node));
    }
    match state.needs(node) {
        Needs::Met => {}
        Needs::NotNeeded => return Event::NodeSkipped { node, why: SkipReason::NotNeeded },
        Needs::Blocked(by) => {
            let why = SkipReason::Blocked { by };
            return state.unserved(node).unwrap_or(Event::NodeSkipped { node, why });
        }
    }
    if let Some(step) = state.healing(at, node) {
        return step;
    }
    if state.is_complete(node) {
        return state.unsealed(node).unwrap_or_else(|| state.finish(node));
    }
    if state.is_halted(node) {
        if let (Some((CancelLevel::Drain, CancelReason::Failure(by))), None) = (state.cancel, cell.started)
            && it.phase == Phase::Main
            && cell.expired.is_none()
        {
            return Event::NodeSkipped { node, why: SkipReason::Blocked { by } };
        }
        return state.finish(node);
    }
    if state.lacks_cells(node) || state.lost_cells(node) {
        return state.give_cells(node);
    }
    if let Some(barred) = state.barred(node) {
        return barred;
    }
    if it.conditions.is_empty() || cell.is_admitted {
        return state.freeze(node);
    }
    match state.holds(node) {
        Ok(true) => Event::NodeAdmitted { node },
        Ok(false) if state.is_demanded(node) => state
            .refuse(node, "the policy of the environment asks for it: its `if` cannot leave it out".to_owned()),
        Ok(false) => Event::NodeSkipped { node, why: SkipReason::Condition },
        Err(reason) => state.refuse(node, reason),
    }
}

fn resolved(state: &RunState, node: NodeIx, resolution: Resolution) -> Event {
    match resolution {
        Resolution::Rerun => Event::NodeReopened { node, why: ReopenReason::Ordered },
        Resolution::Success if !state.is_complete(node) => Event::NodeReopened { node, why: ReopenReason::Resume },
        Resolution::Success | Resolution::Failed => state.finish(node),
    }
}

/// The first failure that is followed by a re-try.
fn rescheduled(state: &RunState, at: Millis) -> Option<Event> {
    let &key = state.judged.first()?;
    let number = state.shards.number(key).saturating_add(1);
    let attempt = Attempt { node: key.0, shard: key.1, number };
    Some(Event::RetryScheduled { attempt, at: at + state.retry_delay(key) })
}

/// The rollback, the clean-up, the verdict, or the end.
fn next_phase(state: &RunState) -> Option<Event> {
    let [main, finally, undo, _] = state.open;
    if main > 0 {
        return None;
    }
    if state.in_background() {
        return state.background_end();
    }
    if let Some(rollback) = state.rollback() {
        return Some(rollback);
    }
    if undo > 0 {
        return None;
    }
    if finally == 0 {
        return Some(state.foreground_end(state.judge()));
    }
    (!state.in_finally && !state.is_box_over()).then_some(Event::FinallyBegan)
}

/// The first approval to ask for.
fn opened(state: &RunState, at: Millis) -> Option<Event> {
    if state.is_box_over() {
        return None;
    }
    let &node = state.gates.first()?;
    let gate = state.cells[node].gate;
    debug_assert!(matches!(gate, Gate::Closed | Gate::Held { .. }), "a gate opens once");
    let prompt = state.held_prompt(node).unwrap_or_else(|| prompt(state, node));
    Some(Event::GateOpened { node, expires: state.question_ends(at, node), prompt })
}

/// What an approval asks. A template that cannot be rendered is no reason not to ask: its error is shown.
fn prompt(state: &RunState, node: NodeIx) -> String {
    match &state.node(node).work {
        Work::Approval { prompt, .. } => {
            let said = prompt.as_ref().map(|text| state.graph().text(node, 0, text, state));
            let said = said.map(|text| text.unwrap_or_else(|error| format!("({error})")));
            said.unwrap_or_default() + &state.checklist(node)
        }
        Work::Process(_) => String::new(),
    }
}

/// The first start, of what is ready or of a re-try whose moment has just come.
fn started(state: &RunState, at: Millis) -> Option<Event> {
    if let Some(entry) = state.ready.first() {
        let is_question = matches!(entry.slot, Slot::Cache | Slot::Ask(_));
        let deferred = state.defers(at, entry.node).filter(|_| !is_question);
        return Some(deferred.unwrap_or_else(|| start(state, at, entry)));
    }
    let mut held = state.held_starts().filter(|it| it.0 <= at);
    if let Some((_, entry)) = held.next() {
        return Some(state.defers(at, entry.node).unwrap_or_else(|| start(state, at, entry)));
    }
    let due = state.delayed.iter().take_while(|it| it.0 <= at);
    let mut fitting = due.filter(|(_, key)| state.ready.fits_again(key.0, key.1));
    let again = |key: Key| if state.is_crewed(key.0) { state.hired(key.0) } else { again(state, key) };
    let fit = fitting.next().map(|&(_, key)| state.defers(at, key.0).unwrap_or_else(|| again(key)));
    fit.or_else(|| state.more_hired())
}

fn start(state: &RunState, at: Millis, Entry { node, slot, .. }: Entry) -> Event {
    match slot {
        Slot::Again(_) | Slot::Fresh if state.is_crewed(node) => state.hired(node),
        Slot::Cache => Event::CheckStarted { node, shard: 0, kind: CheckKind::Cache },
        Slot::Ask(shard) => Event::CheckStarted { node, shard, kind: CheckKind::DoneIf },
        Slot::Again(shard) => again(state, (node, shard)),
        Slot::Fresh => {
            if let Some(cut) = state.next_cut(node) {
                return cut;
            }
            let first = state.cells[node].cursor;
            if state.shards.number((node, first)) > 0 {
                return again(state, (node, first));
            }
            let left = state.shards_of(node) - first;
            let most = left.min(state.free_slots()).min(state.ready.room(node)).min(state.quota(at, node));
            Event::ShardsStarted { node, first, count: state.fresh_run(node, first, most) }
        }
    }
}

pub(super) fn again(state: &RunState, key: Key) -> Event {
    let number = state.shards.number(key).saturating_add(1);
    Event::ShardRetried { attempt: Attempt { node: key.0, shard: key.1, number } }
}
