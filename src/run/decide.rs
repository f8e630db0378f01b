//! What does this news mean? Answers that come late or twice mean nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::event::{
    Answer, Attempt, CancelReason, CheckKind, Clock, Event, NodeState, Outcome, ReopenReason, Resolution,
    StopKind, StopReason,
};
use super::input::Input;
use super::shards::{Flight, Step};
use super::state::{Cell, RunState};
use crate::base::{Millis, NodeIx};
use crate::graph::Graph;

/// Turns an input into the facts that follow from it, if any. Takes the input, so that what an attempt left is
/// never copied.
pub fn decide(state: &RunState, at: Millis, input: Input, out: &mut Vec<Event>) {
    let is_live = state.has_begun && state.verdict.is_none();
    match input {
        Input::Begin(began) if !state.has_begun => out.push(Event::RunBegan(began)),
        Input::Recover { .. } if state.has_begun => resume(state, at, input, out),
        Input::Done { attempt, outcome, took, result } if is_live => {
            if let Some(flight) = running(state, attempt) {
                let never_ran = flight.stop.is_some() && matches!(outcome, Outcome::NotStarted(_));
                let outcome = judge(flight, outcome);
                let mut result = state.stamped(attempt, &outcome, result);
                result.never_ran = never_ran;
                let result = result.into();
                out.push(Event::ShardFinished { attempt, outcome, took, result });
            }
        }
        Input::Answered { .. } | Input::WorkerLost { .. } | Input::CrewGone { .. } if is_live => {
            state.hear_crew(input, out);
        }
        Input::Lost { attempt } if is_live && running(state, attempt).is_some() => {
            out.push(Event::ShardLost { attempt });
        }
        Input::Silent { attempt } if is_live => {
            let idle = state.graph().nodes.get(attempt.node).and_then(|node| node.rules.idle);
            if running(state, attempt).is_some_and(|flight| flight.stop.is_none()) && idle.is_some() {
                let why = StopReason::Clock(Clock::Idle);
                out.push(Event::StopRequested { attempt, how: StopKind::Terminate, why });
            }
        }
        Input::Checked { node, shard, kind, answer } if is_live && is_asked(state, node, shard, kind) => {
            out.push(Event::CheckAnswered { node, shard, kind, answer });
        }
        Input::Recalled { node, hits } if is_live && is_asked(state, node, 0, CheckKind::Cache) => {
            out.push(Event::CheckAnswered { node, shard: 0, kind: CheckKind::Cache, answer: Answer::No });
            let total = state.shards_of(node);
            for (shard, result) in hits.into_iter().filter(|(shard, _)| *shard < total) {
                let attempt = Attempt { node, shard, number: 0 };
                let result = state.stamped(attempt, &Outcome::Success, result);
                out.push(Event::ShardRecalled { node, shard, result });
            }
        }
        Input::Decide { .. } | Input::Attest { .. } | Input::BreakGlass { .. } if is_live => {
            state.hear_answer(input, out);
        }
        Input::Resolve { node, resolution, by, note } if is_live && may_resolve(state, node, resolution) => {
            out.push(Event::NodeResolved { node, resolution, by, note });
        }
        Input::Pause { on, by } if is_live && on != state.is_paused => out.push(Event::PauseChanged { on, by }),
        Input::Cancel { level, by, .. } if is_live && state.in_background() => {
            out.extend(state.leave_background(level, by));
        }
        Input::LeaveBackground { how, by } if is_live => out.extend(state.leave_background(how, by)),
        Input::Requeue { nodes, by } if state.has_begun => state.requeue(&nodes, &by, out),
        Input::Cancel { why: CancelReason::Rollback, by, .. } if state.is_undoing() || state.in_finally => {
            out.extend(state.ordered(by).filter(|_| is_live));
        }
        Input::Cancel { level, why, by } if is_live && state.cancel.is_none_or(|(old, _)| level > old) => {
            out.push(Event::CancelRaised { level, why, by });
        }
        Input::SecretsFetched(secrets) if is_live && !secrets.is_empty() => {
            out.push(Event::SecretsFetched { secrets });
        }
        Input::OpenBox { until } if is_live && state.suspended.is_none() => out.push(Event::BoxOpened { until }),
        Input::Suspend(why) if is_live && state.suspended.is_none() => out.push(Event::RunSuspended { why }),
        _ => {}
    }
}

/// A person says what nobody knows, or has a held gate ask again.
fn may_resolve(state: &RunState, node: NodeIx, resolution: Resolution) -> bool {
    // The verdict is given: what the foreground did is for another try of the run. But what was started again since is
    // waited for, and nobody else can say what became of it.
    let is_open =
        |cell: &&Cell| !state.in_background() || state.is_background(node) || is_awaited(state, node, cell);
    let cell = state.cells.get(node).filter(is_open);
    let is_unknown = cell.is_some_and(|cell| cell.state == NodeState::Unknown && cell.resolved.is_none());
    is_unknown || (cell.is_some() && resolution == Resolution::Rerun && state.may_ask_again(node))
}

/// Whether a stage is done once more for others that wait for it; after a cancel only background work does.
fn is_awaited(state: &RunState, node: NodeIx, cell: &Cell) -> bool {
    cell.is_restart && (!cell.is_released || state.work_waits_for(node))
}

/// Another engine takes the run over.
fn resume(state: &RunState, at: Millis, input: Input, out: &mut Vec<Event>) {
    let Input::Recover { mut resumed, plan_version, changed, rerun, failed } = input else { return };
    let has_orders = plan_version.is_some() || !rerun.is_empty() || !failed.is_empty();
    resumed.drains |= !has_orders && state.goes_on_behind();
    let closes = resumed.closes;
    if closes && state.decided().is_some() {
        return;
    }
    out.push(Event::RunResumed(resumed));
    if state.goes_on_undoing() {
        // What is being undone is what was recorded; nothing else is ordered before that is over.
        recover(state, None, &[], (&[], &[]), out);
    } else {
        recover(state, plan_version, &changed, (&rerun, &failed), out);
    }
    // Nobody comes to start anything.
    if !closes {
        restart(state, at, out);
    }
}

/// The attempt that runs now under this name: the fence.
pub(super) fn running(state: &RunState, attempt: Attempt) -> Option<&Flight> {
    state.flights.get((attempt.node, attempt.shard)).filter(|flight| flight.number == attempt.number)
}

/// What an attempt did means something else once it was asked to stop. That one was never started is then no fault of the
/// machine: it was not waited for.
pub(super) fn judge(flight: &Flight, outcome: Outcome) -> Outcome {
    match flight.stop {
        None => outcome,
        Some((_, StopReason::Clock(clock))) => Outcome::TimedOut(clock),
        Some(_) => Outcome::Cancelled,
    }
}

fn is_asked(state: &RunState, node: NodeIx, shard: u32, kind: CheckKind) -> bool {
    let between = state.shards.between.get(&(node, shard));
    between.is_some_and(|between| matches!(between.step, Step::Checking(asked, _) if asked == kind))
}

/// Lost attempts, the new plan, and what a person or the new plan orders again.
fn recover(
    state: &RunState,
    version: Option<u32>,
    changed: &[NodeIx],
    (rerun, failed): (&[NodeIx], &[NodeIx]),
    out: &mut Vec<Event>,
) {
    out.extend(state.flights.all().iter().map(|flight| Event::ShardLost { attempt: flight.attempt() }));
    let known = |&version: &u32| version > state.version && version as usize <= state.graphs.0.len();
    let version = version.filter(known);
    out.extend(version.map(|version| Event::PlanChanged { version }));
    let old = state.graph();
    let graph = version.map_or(old, |version| &state.graphs.0[version as usize - 1]);
    let was = |node: NodeIx| if version.is_some() { old.find(&graph.nodes[node].id) } else { Some(node) };
    let has_begun = |node: NodeIx| {
        let cell = was(node).map(|was| &state.cells[was]);
        let has = |cell: &Cell| cell.state.is_final() || cell.state == NodeState::Unknown || cell.cursor > 0;
        // What undoes or heals sleeps until it is called: no order wakes it, and the run would wait for it.
        let it = &graph.nodes[node];
        it.selected && it.phase.is_stage() && cell.is_some_and(has)
    };
    // Of a stage all of whose shards are done nothing runs again, nor does what depends on it; and one that was undone
    // is done again from the beginning, as by every resume.
    let has_failed =
        |node: NodeIx| was(node).is_some_and(|was| state.has_failed_shards(was) && !state.cells[was].is_undone);
    let is_reopened = |node: &NodeIx| !rerun.contains(node) && has_begun(*node) && has_failed(*node);
    let failed: Vec<NodeIx> = failed.iter().copied().filter(is_reopened).collect();
    out.extend(failed.iter().map(|&node| Event::ShardsReopened { node }));
    let mut open = |node, why| out.extend(has_begun(node).then_some(Event::NodeReopened { node, why }));
    for &node in rerun {
        open(node, ReopenReason::Ordered);
    }
    let again: Vec<NodeIx> = rerun.iter().chain(&failed).copied().collect();
    for node in downstream(graph, &again) {
        open(node, ReopenReason::Upstream);
    }
    for &node in changed.iter().filter(|node| !again.contains(node)) {
        open(node, ReopenReason::Changed);
    }
}

/// What the other facts open again, and services that this needs. They come last, when it is known who waits.
fn restart(state: &RunState, at: Millis, out: &mut Vec<Event>) {
    if !state.graphs.0.iter().any(|graph| graph.nodes.iter().any(|node| node.rules.is_service)) {
        return;
    }
    let mut next = state.clone();
    for event in &*out {
        next.fold(at, event);
    }
    let mut fold = |next: &mut RunState, node, why| {
        let event = Event::NodeReopened { node, why };
        next.fold(at, &event);
        out.push(event);
    };
    for (node, why) in next.reopen.clone() {
        if !next.cells[node].is_restart {
            fold(&mut next, node, why);
        }
    }
    let again = next.reopen.clone();
    let mut last: BTreeSet<NodeIx> = next.restarts().into_iter().collect();
    last.extend(again.keys());
    let graph = Arc::clone(next.graph());
    for &node in graph.order().iter().rev().filter(|&node| last.contains(node)) {
        fold(&mut next, node, again.get(&node).copied().unwrap_or(ReopenReason::Restart));
    }
}

/// All that depends on these, without them.
fn downstream(graph: &Graph, roots: &[NodeIx]) -> BTreeSet<NodeIx> {
    let mut found = BTreeSet::new();
    let mut next: Vec<NodeIx> = roots.to_vec();
    while let Some(node) = next.pop() {
        next.extend(graph.dependents(node).iter().copied().filter(|&it| found.insert(it)));
    }
    for root in roots {
        found.remove(root);
    }
    found
}
