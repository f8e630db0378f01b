//! Rollback: what a scope has done is undone in reverse order, recorded, and only once.

use crate::graph::model::{Split, Undo};
use crate::graph::undo::tie;

use super::shards::{again_failed, sharded};
use super::*;
use crate::plan::model::AllowFailed;

/// A node that undoes stage `of`.
fn undo(of: u32) -> Node {
    stage(&format!("undo-{of}"), |node| (node.phase, node.undoes) = (Phase::Rollback, Some(n(of))))
}

fn rollback(mut nodes: Vec<Node>) -> Parts {
    tie(&mut nodes);
    let mut parts = parts(nodes);
    parts.scopes = vec![Scope { parent: None, name: "plan".to_owned(), policy: Policy::Rollback }];
    parts
}

/// a → b → c with a node that undoes each: 3, 4, 5; and a clean-up, 6.
fn chain() -> Story {
    let clean = stage("notify", |node| node.phase = Phase::Finally);
    let nodes = vec![Node::plain("a"), after("b", &[0]), after("c", &[1]), undo(0), undo(1), undo(2), clean];
    Story::with(4, rollback(nodes))
}

impl Story {
    /// Another engine takes the run over, to undo it.
    pub(super) fn resume_to_undo(&mut self) -> &mut Self {
        let recover = Input::Recover {
            resumed: Box::new(resumed(0)),
            plan_version: None,
            changed: vec![],
            rerun: vec![],
            failed: vec![],
        };
        let (level, why) = (CancelLevel::Stop, CancelReason::Rollback);
        let order = Input::Cancel { level, why, by: "ann".to_owned() };
        self.tell_all(vec![recover, order])
    }
}

#[test]
fn a_rollback_begins_when_the_run_has_drained_and_goes_backwards() {
    let mut story = chain();
    story.succeeds(0).succeeds(1).fails(2);
    let why = CancelReason::Failure(n(2));
    story.has(&Event::RollbackBegan { why, nodes: vec![n(5), n(4), n(3)], between: Vec::new() });
    story.starts(&[(5, 0)]).is(4, NodeState::Pending);
    story.succeeds(5).starts(&[(4, 0)]).is(2, NodeState::Failed);
    story.succeeds(4).starts(&[(3, 0)]).is(1, NodeState::Undone);
    story.succeeds(3).is(0, NodeState::Undone).has(&Event::FinallyBegan).starts(&[(6, 0)]);
    assert_eq!(story.core.state().outlook(), "rolled-back");
    story.succeeds(6);
    assert_eq!(story.verdict().state, RunEnd::RolledBack);
}

#[test]
fn what_was_not_begun_sleeps_on() {
    let mut story = chain();
    story.fails(0).starts(&[(3, 0)]).is(4, NodeState::Pending);
    assert!(!story.core.state().is_awake(n(4)) && !story.core.state().is_awake(n(5)));
    story.succeeds(3).succeeds(6);
    assert_eq!(story.verdict().state, RunEnd::RolledBack);
    assert_eq!(story.core.state().count(NodeState::Pending), 0, "what sleeps is not counted");
}

#[test]
fn what_is_independent_is_undone_at_once() {
    let nodes = vec![Node::plain("a"), Node::plain("b"), after("c", &[0, 1]), undo(0), undo(1), undo(2)];
    let mut story = Story::with(4, rollback(nodes));
    story.succeeds(0).succeeds(1).fails(2).starts(&[(5, 0)]);
    story.succeeds(5).starts(&[(3, 0), (4, 0)]);
}

#[test]
fn a_rollback_that_fails_keeps_what_came_before_and_is_finished_later() {
    let mut story = chain();
    story.succeeds(0).succeeds(1).fails(2).succeeds(5).fails(4);
    story.is(3, NodeState::Blocked).is(1, NodeState::Success).succeeds(6);
    assert_eq!(story.verdict().state, RunEnd::RollbackFailed);
    let left: Vec<NodeIx> = story.core.state().left_to_undo().collect();
    assert_eq!(left, [n(3), n(4)]);
    story.resume().starts(&[(4, 0)]).succeeds(4).succeeds(3).is(0, NodeState::Undone).succeeds(6);
    assert_eq!(story.verdict().state, RunEnd::RolledBack);
}

#[test]
fn a_crash_in_a_rollback_goes_on_with_it() {
    let mut story = chain();
    story.succeeds(0).succeeds(1).fails(2).succeeds(5);
    story.gap(1000).starts(&[(4, 0)]).is(2, NodeState::Failed);
    story.succeeds(4).succeeds(3).succeeds(6);
    assert_eq!(story.verdict().state, RunEnd::RolledBack);
}

#[test]
fn what_was_rolled_back_is_tried_again_from_its_start_and_not_undone_twice() {
    let mut story = chain();
    story.succeeds(0).fails(1).succeeds(4).succeeds(3).succeeds(6);
    story.resume().starts(&[(0, 0)]).is(1, NodeState::Pending);
    story.succeeds(0).fails(1).is(2, NodeState::Blocked).starts(&[(6, 0)]);
    story.succeeds(6).run_ends_as(RunEnd::Failed);
}

#[test]
fn no_order_of_a_resume_wakes_what_undoes() {
    let mut story = chain();
    story.succeeds(0).fails(1).succeeds(4).succeeds(3).succeeds(6);
    // 3 undid a stage after 4 did: it comes behind an order for 4, and is asleep again in this try.
    story.rerun(&[4]).starts(&[(0, 0)]);
    let is_undo = |it: &Event| matches!(it, Event::NodeReopened { node, .. } if [n(3), n(4)].contains(node));
    assert!(!story.last.iter().any(is_undo), "{:#?}", story.last);
    story.succeeds(0).succeeds(1).succeeds(2).starts(&[(6, 0)]).succeeds(6).run_ends_as(RunEnd::Success);
}

#[test]
fn a_release_that_was_rolled_back_before_only_drains() {
    let mut input = began(4);
    if let Input::Begin(began) = &mut input {
        began.rollbacks = 1;
    }
    let graphs = vec![graph(rollback(vec![Node::plain("a"), undo(0)]))];
    let mut story =
        Story { core: Core::new(graphs.clone()), graphs, at: Millis::ZERO, last: Vec::new(), all: Vec::new() };
    story.tell(input).fails(0).run_ends_as(RunEnd::Failed);
    assert!(story.core.state().has_spent_rollback());
}

#[test]
fn nothing_above_a_forward_only_stage_is_undone_by_itself() {
    let mut barrier = undo(1);
    barrier.rules.undo = Undo::Never;
    let nodes = vec![Node::plain("a"), after("b", &[0]), after("c", &[1]), undo(0), barrier, undo(2)];
    let mut story = Story::with(4, rollback(nodes.clone()));
    story.succeeds(0).succeeds(1).fails(2).succeeds(5).is(4, NodeState::Failed).is(3, NodeState::Blocked);
    let words = "a rollback stopped at `b`, which is forward-only".to_owned();
    let (kind, severity) = (CaseKind::Halted, Severity::Critical);
    let case = Box::new(Case { kind, severity, node: Some(n(1)), words });
    story.has(&Event::TicketRaised { case });
    story.run_ends_as(RunEnd::RollbackFailed);
    // A person's order goes past it, also when the rollback has stopped there.
    story.resume_to_undo().is(4, NodeState::Skipped).starts(&[(3, 0)]);
    story.succeeds(3).run_ends_as(RunEnd::RolledBack);
    let mut story = Story::with(4, rollback(nodes));
    story.succeeds(0).succeeds(1);
    let (level, why) = (CancelLevel::Stop, CancelReason::Rollback);
    story.tell(Input::Cancel { level, why, by: "ann".to_owned() });
    story.has(&stop(2, StopKind::Terminate, StopReason::Cancel)).ends(2, Outcome::Signal(15));
    story.starts(&[(5, 0)]).succeeds(5).is(4, NodeState::Skipped).starts(&[(3, 0)]);
    story.succeeds(3).is(1, NodeState::Success).is(0, NodeState::Undone);
    story.run_ends_as(RunEnd::RolledBack);
}

#[test]
fn a_cancel_never_rolls_back_and_ends_a_rollback() {
    let mut story = chain();
    story.succeeds(0);
    story.cancel(CancelLevel::Stop).ends(1, Outcome::Signal(15)).starts(&[(6, 0)]);
    story.succeeds(6).run_ends_as(RunEnd::Cancelled);
    let mut story = chain();
    story.succeeds(0).fails(1);
    story.cancel(CancelLevel::Stop).has(&stop(4, StopKind::Terminate, StopReason::Cancel));
    story.ends(4, Outcome::Signal(15)).is(3, NodeState::Blocked).succeeds(6);
    story.run_ends_as(RunEnd::Cancelled);
    story.resume().starts(&[(4, 0)]).succeeds(4).succeeds(3).succeeds(6).run_ends_as(RunEnd::RolledBack);
}

#[test]
fn a_timeout_of_a_plan_that_rolls_back_undoes_it_without_that_clock() {
    let mut parts = rollback(vec![Node::plain("a"), after("b", &[0]), undo(0), undo(1)]);
    parts.settings.timeout = Some(Span::from_ms(100));
    let mut story = Story::with(4, parts);
    story.succeeds(0).wait(100).ends(1, Outcome::Signal(15)).starts(&[(3, 0)]);
    story.wait(10_000).succeeds(3).succeeds(2).run_ends_as(RunEnd::RolledBack);
    assert!(story.verdict().timed_out);
}

#[test]
fn order_is_kept_around_what_has_nothing_to_undo() {
    let cached = stage("b", |node| {
        node.rules.has_cache = true;
        node.needs = vec![Need { node: n(0), accept: Accept::DEFAULT }];
    });
    let nodes = vec![Node::plain("a"), cached, after("c", &[1]), undo(0), undo(1), undo(2)];
    let mut story = Story::with(4, rollback(nodes));
    story.succeeds(0).answers(1, CheckKind::Cache, Answer::Yes(Box::default())).fails(2);
    let why = CancelReason::Failure(n(2));
    story.has(&Event::RollbackBegan { why, nodes: vec![n(5), n(3)], between: vec![n(4)] }).starts(&[(5, 0)]);
    story.succeeds(5).is(4, NodeState::Skipped).is(1, NodeState::Cached).starts(&[(3, 0)]);
}

/// A run that is rolled back, with a clean-up that has to be done within a minute.
fn late_clean_up() -> Story {
    use crate::graph::objective::{Objective, OnBreach, Subject};
    let clean = stage("notify", |node| node.phase = Phase::Finally);
    let (subject, on_breach, limit) = (Subject::Stage, OnBreach::Fail, Span::from_secs(60));
    let own = Objective { subject, name: "notify".into(), limit, on_breach, nodes: vec![n(2)] };
    let parts = rollback(vec![Node::plain("a"), undo(0), clean]);
    Story::with(4, Parts { objectives: vec![own], ..parts })
}

#[test]
fn whoever_resumes_a_rollback_that_failed_accepts_what_was_late() {
    let mut story = late_clean_up();
    story.fails(0).fails(1).starts(&[(2, 0)]).wait(60_000).succeeds(2).is(2, NodeState::Failed);
    story.run_ends_as(RunEnd::RollbackFailed);
    story.resume().succeeds(1).starts(&[(2, 0)]).succeeds(2).is(2, NodeState::Success);
    story.run_ends_as(RunEnd::RolledBack);
}

#[test]
fn an_engine_that_goes_on_with_a_rollback_accepts_nothing_that_was_late() {
    let mut story = late_clean_up();
    story.fails(0).succeeds(1).starts(&[(2, 0)]).wait(60_000);
    story.resume().starts(&[(2, 0)]).succeeds(2).is(2, NodeState::Failed).run_ends_as(RunEnd::RolledBack);
}

#[test]
fn a_service_is_not_started_again_for_what_is_undone() {
    let db = stage("db", |node| node.rules.is_service = true);
    let once = Node { needs: after("once", &[0]).needs, ..stage("once", |node| node.rules.idempotent = false) };
    let mut story = Story::with(4, rollback(vec![db, once, undo(0)]));
    story.succeeds(0).ends(1, Outcome::Signal(9)).is(1, NodeState::Unknown);
    let (level, why) = (CancelLevel::Stop, CancelReason::Rollback);
    story.tell(Input::Cancel { level, why, by: "ann".to_owned() }).starts(&[(2, 0)]);
    story.resume().starts(&[(2, 0)]).succeeds(2).is(0, NodeState::Undone);
}

#[test]
fn what_a_person_says_once_the_clean_up_has_begun_orders_no_rollback() {
    let mut story = chain();
    story.succeeds(0).succeeds(1).succeeds(2).has(&Event::FinallyBegan);
    let (level, why) = (CancelLevel::Stop, CancelReason::Rollback);
    story.tell(Input::Cancel { level, why, by: "ann".to_owned() }).then(&[]);
    // `b` is in a scope that rolls back, and is known to have failed only when the clean-up runs.
    let once = stage("b", |node| (node.rules.idempotent, node.scope) = (false, ScopeIx::new(1)));
    let clean = stage("notify", |node| node.phase = Phase::Finally);
    let mut parts = rollback(vec![Node::plain("a"), once, undo(1), clean]);
    parts.scopes[0].policy = Policy::Drain;
    let parent = Some(ScopeIx::new(0));
    parts.scopes.push(Scope { parent, name: "inner".to_owned(), policy: Policy::Rollback });
    let mut story = Story::with(4, parts);
    story.fails(0).ends(1, Outcome::Signal(9)).is(1, NodeState::Unknown).starts(&[(3, 0)]);
    story.resolves(1, Resolution::Failed).is(1, NodeState::Failed).starts(&[]);
    story.succeeds(3).run_ends_as(RunEnd::Failed);
    assert!(!story.core.state().is_undoing());
}

#[test]
fn an_engine_for_the_background_goes_on_with_a_rollback_that_it_finds() {
    let mut story = chain();
    story.succeeds(0).succeeds(1).fails(2).starts(&[(5, 0)]);
    story.tell(Input::Recover {
        resumed: Box::new(Resumed { drains: true, ..resumed(0) }),
        plan_version: None,
        changed: vec![],
        rerun: vec![],
        failed: vec![],
    });
    story.has(&Event::ShardLost { attempt: Attempt { node: n(5), shard: 0, number: 1 } }).starts(&[(5, 0)]);
    story.succeeds(5).succeeds(4).succeeds(3).succeeds(6);
    assert_eq!(story.verdict().state, RunEnd::RolledBack);
}

#[test]
fn a_handler_that_a_person_orders_again_starts_beside_nothing_that_undoes() {
    let accept = Accept { success: false, skipped: false, failed: true };
    let cure = stage("cure", |node| {
        (node.needs, node.rules.idempotent) = (vec![Need { node: n(1), accept }], false);
    });
    let nodes = vec![Node::plain("a"), after("b", &[0]), cure, undo(0), undo(2)];
    let mut story = Story::with(4, rollback(nodes));
    story.succeeds(0).fails(1).starts(&[(2, 0)]).ends(2, Outcome::Signal(9)).is(2, NodeState::Unknown);
    story.starts(&[(4, 0)]).resolves(2, Resolution::Rerun).starts(&[]);
    story.succeeds(4).starts(&[(3, 0)]).succeeds(3).run_ends_as(RunEnd::RolledBack);
}

#[test]
fn an_order_to_repeat_failed_shards_does_all_of_what_was_undone() {
    let split = Split { size: 1, allow_failed: Some(AllowFailed::Items(1)), ..Split::default() };
    let nodes = vec![sharded(2, split), after("b", &[0]), undo(0), undo(1)];
    let mut story = Story::with(4, rollback(nodes));
    story.shard(0, 0, Outcome::Success).shard(0, 1, Outcome::Exit(1)).fails(1);
    story.succeeds(3).succeeds(2).is(0, NodeState::Undone);
    story.tell(again_failed(&[0])).starts(&[(0, 0), (0, 1)]);
}
