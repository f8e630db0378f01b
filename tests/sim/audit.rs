//! What must hold after each event, and at the end of each step, when nothing is left to do at that moment.

use engine::base::{Millis, NodeIx, PoolIx, Span, limits};
use engine::graph::model::{Phase, Policy};
use engine::run::event::{CancelLevel, CancelReason, NodeState, StopKind};
use engine::run::{Event, RunState};

use crate::book::{Book, Key, Run};
use crate::laws::{is_inside, is_startable, policy};

/// What the core believes is what happened.
pub(crate) fn after_each(book: &Book, state: &RunState) {
    let slots = book.slots();
    assert!(slots <= state.jobs() as usize, "more than {} at once", state.jobs());
    let runs: Vec<Key> = state.flights().iter().map(|it| (it.attempt().node, it.attempt().shard)).collect();
    assert!(runs.iter().eq(book.running.keys()), "the core's attempts are {runs:?}");
    let mut counts = [0_u32; 14];
    for (node, it) in book.graph.nodes.pairs() {
        let is = state.state(node);
        counts[is as usize] += u32::from(book.is_awake(node));
        let running = book.running.range((node, 0)..=(node, u32::MAX)).count();
        assert_eq!(state.progress(node).running as usize, running);
        assert!(running == 0 || is == NodeState::Running, "{} runs as {is:?}", it.id);
        if let Some(&ended) = book.states.get(&node) {
            assert_eq!(is, ended, "{}", it.id);
        }
    }
    assert!(!state.has_begun() || counts == *state.counts(), "states are counted wrong");
    for (pool, it) in book.graph.pools.pairs() {
        let used = pool_used(book, pool, it.capacity);
        assert!(used <= it.capacity, "pool {} is overdrawn", it.name);
        assert_eq!(state.pool_used(pool), used, "pool {}", it.name);
    }
}

/// No clock, order to stop, failure or free slot was overlooked.
pub(crate) fn after_step(book: &Book, state: &RunState, at: Millis) {
    if !book.has_begun || book.is_over {
        return;
    }
    assert!(!book.knows_time() || state.used_time(at) == book.used_time(at), "the run's clock");
    book.running.iter().for_each(|(&key, run)| deadlines_are_kept(book, at, key, run));
    crate::background::after_step(book);
    run_timeout_is_kept(book, at);
    finally_budget_is_kept(book, at);
    failures_have_their_policy(book);
    cancels_reach_everybody(book);
    no_slot_is_idle(book, state);
    crate::undo::nothing_waits(book, state.jobs() as usize);
    time_box_is_kept(book, at);
    for node in book.graph.nodes.indexes() {
        let expires = book.stage(node).opened.and_then(|(_, expires)| expires);
        assert!(expires.is_none_or(|due| at < due), "the approval {node:?} is overdue");
    }
}

/// The ladder: timeout and `within`, then grace, then force, then lost.
fn deadlines_are_kept(book: &Book, at: Millis, key: Key, run: &Run) {
    let rules = &book.graph.nodes[key.0].rules;
    let due = match run.stop {
        None => {
            let timeout = rules.timeout.map(|timeout| run.started + timeout);
            let within = rules.retry.as_ref().and_then(|retry| retry.within);
            let within = within.and_then(|within| Some(*book.first.get(&key)? + within));
            [timeout, within].into_iter().flatten().min()
        }
        Some((since, StopKind::Terminate, _)) => Some(since + rules.grace),
        Some((since, StopKind::Kill, _)) => Some(since + Span::from_ms(limits::KILL_WAIT_MS)),
    };
    assert!(due.is_none_or(|due| at < due), "{key:?} is overdue: {run:?} at {at:?}");
}

fn run_timeout_is_kept(book: &Book, at: Millis) {
    let is_leaving = book.cancel.is_some_and(|(level, _)| level >= CancelLevel::Stop) || !book.knows_time();
    if book.backs.decided.is_some() {
        let limit = book.graph.settings.timeout.filter(|_| book.knows_time() && book.ticks && !book.is_suspended);
        let is_late = limit.is_some_and(|limit| book.used_time(at) >= limit);
        assert!(!is_late || book.backs.left.is_some(), "the background is overdue");
        return;
    }
    if is_leaving || book.undos.why.is_some() || book.is_suspended || book.finally_since.is_some() || !book.ticks {
        return;
    }
    assert!(book.run_limit().is_none_or(|limit| book.used_time(at) < limit), "the run is overdue");
}

fn finally_budget_is_kept(book: &Book, at: Millis) {
    let (Some(since), Some(budget)) = (book.finally_since, book.graph.settings.finally_budget) else { return };
    if at < since + budget || book.is_suspended {
        return;
    }
    let in_finally = |key: &Key| book.graph.nodes[key.0].phase == Phase::Finally;
    let late = book.running.iter().find(|(key, run)| in_finally(key) && run.stop.is_none());
    assert!(late.is_none(), "the clean-up is overdue: {late:?}");
}

/// Drain and kill are followed at once, and a kill reaches everything in its scope.
fn failures_have_their_policy(book: &Book) {
    // Behind the verdict nothing drains any more.
    if book.backs.decided.is_some() {
        return;
    }
    for (&node, &state) in &book.states {
        // What an edit leaves out is not tried again, and drains nothing any more.
        if !matches!(state, NodeState::Failed | NodeState::TimedOut) || !book.graph.nodes[node].selected {
            continue;
        }
        let policy = policy(book, node);
        let is_main = book.graph.nodes[node].phase == Phase::Main;
        assert!(policy == Policy::Continue || book.cancel.is_some(), "{node:?} failed, and nothing drains");
        if policy == Policy::Kill && is_main {
            let spared = book.running.iter().find(|(key, run)| run.stop.is_none() && is_inside(book, key.0, node));
            // A handler of the failure starts after it, and is no part of what failed.
            let is_later = |node: NodeIx| book.graph.nodes[node].needs.iter().any(|need| need.accept.failed);
            // Nor does what is started again for the rest of the run.
            let is_spared = |node: NodeIx| is_later(node) || book.restarting.contains(&node);
            // What heals a stage goes with it.
            let stage = |key: &Key| book.graph.nodes[key.0].heals.unwrap_or(key.0);
            assert!(
                spared.is_none_or(|(key, _)| is_spared(stage(key))),
                "{spared:?} is spared by the kill of {node:?}"
            );
        }
    }
}

fn cancels_reach_everybody(book: &Book) {
    let Some((level, why)) = book.cancel.filter(|(level, _)| *level >= CancelLevel::Stop) else { return };
    for (key, run) in &book.running {
        let is_hit = level == CancelLevel::Kill || book.graph.nodes[key.0].phase != Phase::Finally;
        let how = run.stop.map(|(_, how, _)| how);
        let asked = if level == CancelLevel::Kill { how == Some(StopKind::Kill) } else { how.is_some() };
        // What is to be undone may count on a service that is started again, and healed, after the order.
        let stage = book.graph.nodes[key.0].heals.unwrap_or(key.0);
        let is_up = level < CancelLevel::Kill && why == CancelReason::Rollback && book.restarting.contains(&stage);
        let is_later = book.cancelled_at.is_some_and(|since| run.started >= since);
        assert!(!is_hit || asked || is_up && is_later, "{key:?} does not know of the cancel");
    }
}

/// A stage that could start starts.
fn no_slot_is_idle(book: &Book, state: &RunState) {
    let slots = book.slots();
    let is_over = book.box_is_over() && book.cancel.is_none();
    if is_over
        || book.has_left()
        || book.is_paused
        || book.is_frozen
        || book.is_suspended
        || book.cancel.is_some()
        || slots >= state.jobs() as usize
    {
        return;
    }
    let waits: Option<NodeIx> = book.graph.nodes.indexes().find(|&node| is_startable(book, state, node));
    assert_eq!(waits, None, "{} of {} slots are used, and it waits", slots, state.jobs());
}

/// At the end of a time box everything is asked to stop, and once nothing runs the run is handed over.
fn time_box_is_kept(book: &Book, at: Millis) {
    let Some((until, is_over)) = book.time_box.filter(|_| !book.is_suspended) else { return };
    assert!(is_over || at < until, "the time box is not closed");
    let is_spared = |key: &Key| book.cancel.is_some() && book.graph.nodes[key.0].phase != Phase::Main;
    if !is_over {
        return;
    }
    if book.cancel.is_none() {
        let spared = book.running.iter().find(|(key, run)| run.stop.is_none() && !is_spared(key));
        assert!(spared.is_none(), "{spared:?} is not asked to stop");
        let is_idle = book.running.is_empty() && book.checks.is_empty();
        assert!(!is_idle, "nothing runs, and the run is not handed over");
    }
}

/// The stage that an event is about as a whole.
pub(crate) fn node_of(event: &Event) -> Option<NodeIx> {
    match event {
        Event::NodeAdmitted { node }
        | Event::GateOpened { node, .. }
        | Event::GateDecided { node, .. }
        | Event::NodeExpired { node, .. }
        | Event::NodeFinished { node, .. }
        | Event::NodeSkipped { node, .. }
        | Event::NodeReopened { node, .. }
        | Event::NodeResolved { node, .. } => Some(*node),
        _ => None,
    }
}

/// Units of a pool in use.
fn pool_used(book: &Book, pool: PoolIx, capacity: u32) -> u32 {
    let weight = |key: &Key| {
        let pools = &book.graph.nodes[key.0].rules.pools;
        pools.iter().filter(|it| it.0 == pool).map(|it| it.1).sum::<u32>().min(capacity)
    };
    book.running.keys().map(weight).sum()
}
