//! Cancel rises; each level has its own end.

use super::*;

fn pair() -> Story {
    let clean = stage("notify", |node| node.phase = Phase::Finally);
    Story::with(1, parts(vec![Node::plain("a"), after("b", &[0]), Node::plain("c"), clean]))
}

#[test]
fn a_stop_ends_what_runs_then_cleans_up() {
    let mut story = pair();
    story.cancel(CancelLevel::Stop).has(&stop(0, StopKind::Terminate, StopReason::Cancel)).starts(&[]);
    story.is(2, NodeState::Cancelled);
    story.ends(0, Outcome::Signal(15)).is(0, NodeState::Cancelled).is(1, NodeState::Blocked);
    story.has(&Event::FinallyBegan).starts(&[(3, 0)]);
    story.succeeds(3).run_ends(RunEnd::Cancelled);
    assert_eq!(story.verdict().cancelled_by, Some(CancelReason::Person));
}

#[test]
fn a_kill_skips_the_clean_up() {
    let mut story = pair();
    story.cancel(CancelLevel::Kill).has(&stop(0, StopKind::Kill, StopReason::Cancel)).is(3, NodeState::Cancelled);
    story.ends(0, Outcome::Signal(9)).starts(&[]).run_ends(RunEnd::Cancelled);
    assert!(!story.all.iter().any(|(_, event)| *event == Event::FinallyBegan), "it never begins");
}

#[test]
fn a_cancel_only_rises() {
    let mut story = pair();
    story.cancel(CancelLevel::Stop);
    story.cancel(CancelLevel::Drain).then(&[]);
    story.cancel(CancelLevel::Stop).then(&[]);
    story.cancel(CancelLevel::Kill).has(&stop(0, StopKind::Kill, StopReason::Cancel));
}

#[test]
fn a_stop_leaves_the_clean_up_alone_and_a_kill_does_not() {
    let mut story = pair();
    story.succeeds(0);
    for node in [1, 2] {
        if story.core.state().state(n(node)) == NodeState::Running {
            story.succeeds(node);
        }
    }
    if !story.core.state().in_finally() {
        story.succeeds(1);
    }
    story.cancel(CancelLevel::Stop).starts(&[]).is(3, NodeState::Running);
    story.cancel(CancelLevel::Kill).has(&stop(3, StopKind::Kill, StopReason::Cancel));
    story.ends(3, Outcome::Signal(9)).run_ends(RunEnd::Cancelled);
}

#[test]
fn a_drain_lets_what_runs_end() {
    let mut story = pair();
    story.cancel(CancelLevel::Drain).starts(&[]).is(0, NodeState::Running).is(2, NodeState::Cancelled);
    story.succeeds(0).is(0, NodeState::Success).is(1, NodeState::Cancelled);
    story.succeeds(3).run_ends(RunEnd::Cancelled);
}

#[test]
fn an_open_approval_ends_with_the_run() {
    let mut story = Story::of(vec![stage("ship", |node| node.rules.is_approval = true)]);
    story.cancel(CancelLevel::Stop).is(0, NodeState::Cancelled).run_ends(RunEnd::Cancelled);
    story.decides(0, true).then(&[]);
}

#[test]
fn a_suspended_run_starts_nothing_and_ends_nothing() {
    let mut story = Story::of(vec![Node::plain("a"), after("b", &[0])]);
    story.tell(Input::Suspend(SuspendReason::HandOver));
    story.succeeds(0).is(0, NodeState::Success).starts(&[]);
    assert!(story.core.state().verdict().is_none());
    story.resume().starts(&[(1, 0)]);
    story.succeeds(1).run_ends(RunEnd::Success);
}

#[test]
fn a_stage_that_is_not_idempotent_is_unknown_after_a_stop() {
    let mut story = Story::of(vec![stage("migrate", |node| node.rules.idempotent = false)]);
    story.cancel(CancelLevel::Stop).ends(0, Outcome::Signal(15)).is(0, NodeState::Unknown);
    assert_eq!(story.verdict().state, RunEnd::Cancelled);
    story.resume().is(0, NodeState::Unknown).starts(&[]);
    story.resolves(0, Resolution::Success).is(0, NodeState::Success).run_ends(RunEnd::Success);
}

/// Nothing is started for it, what had failed stays so, and what is over is not closed again.
#[test]
fn a_run_that_no_engine_has_is_cancelled_with_a_verdict() {
    let clean = stage("notify", |node| node.phase = Phase::Finally);
    let mut later = after("later", &[2]);
    later.phase = Phase::Background;
    let once = stage("once", |node| node.rules.idempotent = false);
    let nodes = vec![Node::plain("a"), after("b", &[0]), Node::plain("c"), once, clean, later, Node::plain("d")];
    let mut story = Story::with(8, parts(nodes));
    story.succeeds(2).fails(0).closes().starts(&[]);
    story
        .is(0, NodeState::Failed)
        .is(1, NodeState::Blocked)
        .is(6, NodeState::Cancelled)
        .is(4, NodeState::Cancelled);
    story.is(3, NodeState::Unknown).is(5, NodeState::Waiting);
    let verdict = story.core.state().decided().cloned().expect("it is cancelled");
    assert_eq!((verdict.state, verdict.failed), (RunEnd::Cancelled, vec![n(0)]));
    let before = story.all.len();
    story.closes();
    let is_said_again = |(_, event): &(Millis, Event)| matches!(event, Event::RunResumed(_));
    assert!(!story.all[before..].iter().any(is_said_again), "{:#?}", &story.all[before..]);
    story.resume().starts(&[(0, 0), (6, 0)]);
}

/// So it is where an engine had left it: to a person, in the middle of its clean-up, or of what undoes it.
#[test]
fn whatever_an_engine_left_is_cancelled_with_a_verdict() {
    let gate = stage("gate", |node| node.rules.is_approval = true);
    let mut story = Story::of(vec![gate]);
    story.tell(Input::Suspend(SuspendReason::Person)).closes().is(0, NodeState::Cancelled);
    story.run_ends(RunEnd::Cancelled);

    let mut story = pair();
    story.cancel(CancelLevel::Stop).ends(0, Outcome::Signal(15)).starts(&[(3, 0)]);
    story.closes().is(3, NodeState::Cancelled).run_ends(RunEnd::Cancelled);
}
