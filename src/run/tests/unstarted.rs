//! Attempts that are asked to stop before they ever were a process: they end as what stopped them, and did nothing.

use super::*;
use crate::graph::undo::tie;
use crate::plan::model::RetryWhen;

fn unstarted() -> Outcome {
    Outcome::NotStarted("stopped before it was started".to_owned())
}

fn once(node: &mut Node) {
    node.rules.idempotent = false;
}

#[test]
fn a_cancelled_one_is_cancelled_and_nobody_has_to_say_what_it_did() {
    let mut story = Story::of(vec![stage("a", once)]);
    story.cancel(CancelLevel::Stop).ends(0, unstarted()).is(0, NodeState::Cancelled).run_ends(RunEnd::Cancelled);
    assert!(!story.core.state().lacks_only_tools(), "no tool was missing");
    story.resume().starts(&[(0, 0)]).succeeds(0).run_ends(RunEnd::Success);
}

#[test]
fn one_whose_time_ran_out_has_timed_out() {
    let rule = Retry { within: Some(Span::from_secs(10)), ..retry(9, 0) };
    let mut story = Story::of(vec![stage("a", |node| node.rules.retry = Some(Box::new(rule)))]);
    story.wait(10_000).ends(0, unstarted()).is(0, NodeState::TimedOut).run_ends(RunEnd::Failed);
    assert!(!story.core.state().lacks_only_tools(), "no tool was missing");
}

#[test]
fn one_that_nobody_stopped_could_not_start() {
    let mut story = Story::of(vec![Node::plain("a")]);
    story.ends(0, unstarted()).is(0, NodeState::Failed).run_ends(RunEnd::Failed);
    assert!(story.core.state().lacks_only_tools());
}

#[test]
fn its_timeout_is_a_failure_that_is_known() {
    let rule = Retry { when: vec![RetryWhen::Timeout], ..retry(1, 0) };
    let mut story = Story::of(vec![stage("a", |node| {
        once(node);
        (node.rules.retry, node.rules.has_done_if) = (Some(Box::new(rule)), true);
        node.rules.timeout = Some(Span::from_secs(1));
    })]);
    story.wait(1000).ends(0, unstarted()).has(&retried(0, 2));
    story.wait(1000).ends(0, unstarted()).is(0, NodeState::TimedOut).run_ends(RunEnd::Failed);
}

#[test]
fn one_that_is_left_to_the_next_engine_simply_starts_there() {
    let mut story = Story::of(vec![stage("a", |node| {
        node.phase = Phase::Background;
        once(node);
    })]);
    story.starts(&[(0, 0)]);
    story.tell(Input::LeaveBackground { how: CancelLevel::Stop, by: "somebody".to_owned() });
    story.ends(0, unstarted()).then_ends_with(&Event::RunSuspended { why: SuspendReason::HandOver });
    story.gap(5).starts(&[(0, 0)]).succeeds(0).run_ends(RunEnd::Success);
}

#[test]
fn there_is_nothing_of_it_to_undo() {
    let undo = |at: u32, id: &str| stage(id, |node| (node.phase, node.undoes) = (Phase::Rollback, Some(n(at))));
    let mut nodes = vec![Node::plain("a"), Node::plain("b"), undo(0, "a.rollback"), undo(1, "b.rollback")];
    tie(&mut nodes);
    let mut story = Story::of(nodes);
    story.tell(Input::Cancel { level: CancelLevel::Stop, why: CancelReason::Rollback, by: "somebody".to_owned() });
    story.ends(0, unstarted()).ends(1, Outcome::Signal(15));
    story.has(&Event::RollbackBegan { why: CancelReason::Rollback, nodes: vec![n(3)], between: vec![] });
    story.succeeds(3).is(0, NodeState::Cancelled).run_ends_as(RunEnd::RolledBack);
}
