//! Another engine, another try, another plan.

use super::*;

#[test]
fn a_lost_attempt_runs_again_and_costs_no_retry() {
    let mut story = Story::of(vec![stage("a", |node| node.rules.retry = Some(Box::new(retry(1, 0))))]);
    let lost = Event::ShardLost { attempt: Attempt { node: n(0), shard: 0, number: 1 } };
    story.resume().has(&lost).has(&retried(0, 2));
    story.fails(0).has(&retried(0, 3));
    story.fails(0).is(0, NodeState::Failed);
}

#[test]
fn a_lost_attempt_that_is_not_idempotent_asks_or_waits_for_a_person() {
    let mut story = Story::of(vec![stage("a", |node| node.rules.idempotent = false)]);
    story.resume().is(0, NodeState::Unknown).starts(&[]);
    let mut story = Story::of(vec![stage("a", |node| {
        (node.rules.idempotent, node.rules.has_done_if) = (false, true);
    })]);
    story.resume().starts(&[]).has(&Event::CheckStarted { node: n(0), shard: 0, kind: CheckKind::DoneIf });
    story.answers(0, CheckKind::DoneIf, Answer::No).has(&retried(0, 2));
}

#[test]
fn a_failed_run_tries_again_what_had_not_succeeded() {
    let clean = stage("notify", |node| node.phase = Phase::Finally);
    let mut story = Story::of(vec![Node::plain("a"), after("b", &[0]), after("c", &[1]), clean]);
    story.succeeds(0).fails(1).is(2, NodeState::Blocked).succeeds(3).run_ends(RunEnd::Failed);
    story.resume().starts(&[(1, 0)]).is(0, NodeState::Success).is(2, NodeState::Pending).is(3, NodeState::Pending);
    story.succeeds(1).starts(&[(2, 0)]);
    story.succeeds(2).starts(&[(3, 0)]);
    story.succeeds(3).run_ends(RunEnd::Success);
    assert_eq!(story.core.state().attempts(n(0), 0), 1, "promise 2");
    assert_eq!(story.core.state().generation(n(1)), 2);
}

#[test]
fn an_interrupted_run_keeps_the_failures_that_stayed_inside() {
    let mut parts = parts(vec![Node::plain("a"), Node::plain("b")]);
    parts.scopes[0].policy = Policy::Continue;
    let mut story = Story::with(8, parts);
    story.fails(0).resume().is(0, NodeState::Failed).has(&retried(1, 2));
    story.succeeds(1).run_ends(RunEnd::Failed);
}

#[test]
fn a_person_runs_stages_again_with_all_that_depends_on_them() {
    let mut story = Story::of(vec![Node::plain("a"), after("b", &[0]), Node::plain("c")]);
    story.succeeds(0).succeeds(1).succeeds(2).run_ends(RunEnd::Success);
    story.rerun(&[0]).starts(&[(0, 0)]).is(1, NodeState::Pending).is(2, NodeState::Success);
    story.succeeds(0).has(&retried(1, 2));
    story.succeeds(1).run_ends(RunEnd::Success);
}

#[test]
fn done_shards_stay_done() {
    let mut story = Story::with(2, parts(vec![stage("pack", |node| node.rules.shards = 4)]));
    story.shard(0, 0, Outcome::Success).shard(0, 1, Outcome::Exit(1)).shard(0, 2, Outcome::Success);
    story.run_ends(RunEnd::Failed);
    story.resume().starts(&[(0, 1), (0, 3)]);
    story.shard(0, 3, Outcome::Success).shard(0, 1, Outcome::Success).run_ends(RunEnd::Success);
}

#[test]
fn the_rest_of_a_run_goes_by_the_new_plan() {
    let old = graph(parts(vec![Node::plain("a"), Node::plain("gone"), after("b", &[0])]));
    let new = graph(parts(vec![Node::plain("new"), after("b", &[2, 0]), Node::plain("a")]));
    let mut story = Story::versions(8, vec![old, new]);
    story.succeeds(0).is(2, NodeState::Running);
    let recover = Input::Recover {
        resumed: Box::new(resumed(0)),
        plan_version: Some(2),
        changed: vec![],
        rerun: vec![],
        failed: vec![],
    };
    story.tell(recover).has(&Event::PlanChanged { version: 2 });
    story.is(2, NodeState::Success).starts(&[(0, 0)]);
    story.succeeds(0).has(&retried(1, 2));
    story.succeeds(1).run_ends(RunEnd::Success);
}

#[test]
fn an_approval_above_a_change_is_asked_again() {
    let approval = stage("ship", |node| node.rules.is_approval = true);
    let mut story = Story::of(vec![approval, after("deploy", &[0])]);
    story.decides(0, true);
    let changed = vec![n(0)];
    story.tell(Input::Recover {
        resumed: Box::new(resumed(0)),
        plan_version: None,
        changed,
        rerun: vec![],
        failed: vec![],
    });
    story.has(&Event::GateOpened { node: n(0), expires: None, prompt: String::new() }).starts(&[]);
    story.decides(0, true).starts(&[(1, 0)]);
}

pub(super) fn edited(story: &mut Story) -> &mut Story {
    let plan_version = Some(story.core.state().version() + 1);
    story.tell(Input::Recover {
        resumed: Box::new(resumed(0)),
        plan_version,
        changed: vec![],
        rerun: vec![],
        failed: vec![],
    })
}

fn packs(shards: u32, change: impl Fn(&mut Node)) -> Arc<Graph> {
    graph(parts(vec![stage("pack", |node| {
        node.rules.shards = shards;
        change(node);
    })]))
}

#[test]
fn an_edited_plan_tries_again_what_had_failed_even_when_the_run_was_only_interrupted() {
    let version = |needs: &[u32]| {
        let mut parts = parts(vec![Node::plain("a"), Node::plain("b"), after("c", needs)]);
        parts.scopes[0].policy = Policy::Continue;
        graph(parts)
    };
    let mut story = Story::versions(8, vec![version(&[0]), version(&[1])]);
    story.fails(0).is(2, NodeState::Blocked);
    edited(&mut story).has(&retried(0, 2)).has(&retried(1, 2)).is(2, NodeState::Pending);
    story.succeeds(0).succeeds(1).starts(&[(2, 0)]).succeeds(2).run_ends(RunEnd::Success);
}

#[test]
fn a_stage_added_during_the_clean_up_runs_before_it() {
    let version = |ids: &[&str]| {
        let mut nodes: Vec<Node> = ids.iter().map(|id| Node::plain(id)).collect();
        nodes.push(stage("notify", |node| node.phase = Phase::Finally));
        graph(parts(nodes))
    };
    let mut story = Story::versions(8, vec![version(&["a"]), version(&["a", "b"])]);
    story.succeeds(0).starts(&[(1, 0)]);
    edited(&mut story).starts(&[(1, 0)]).is(2, NodeState::Waiting);
    story.succeeds(1).has(&Event::FinallyBegan).starts(&[(2, 0)]).succeeds(2).run_ends(RunEnd::Success);
}

#[test]
fn other_slices_are_done_again_only_where_that_is_safe() {
    let shards = |change: fn(&mut Node)| {
        let mut story = Story::versions(2, vec![packs(4, change), packs(3, change)]);
        story.shard(0, 0, Outcome::Success).starts(&[(0, 2)]);
        edited(&mut story);
        story
    };
    shards(|_| ()).starts(&[(0, 0), (0, 1), (0, 2)]);
    shards(|node| node.rules.idempotent = false).starts(&[]).is(0, NodeState::Unknown);
    let ask = |node: &mut Node| (node.rules.idempotent, node.rules.has_done_if) = (false, true);
    let mut story = shards(ask);
    story.starts(&[]).has(&Event::CheckStarted { node: n(0), shard: 0, kind: CheckKind::DoneIf });
}

#[test]
fn a_rerun_takes_back_the_done_shards_of_a_stage_that_has_not_ended() {
    let mut story = Story::with(2, parts(vec![stage("pack", |node| node.rules.shards = 3)]));
    story.shard(0, 0, Outcome::Success);
    story.rerun(&[0]).has(&Event::NodeReopened { node: n(0), why: ReopenReason::Ordered });
    story.starts(&[(0, 0), (0, 1), (0, 2)]);
    assert_eq!(story.core.state().progress(n(0)).success, 0);
}

#[test]
fn nobody_s_knowledge_is_taken_back_only_by_an_order_that_names_the_stage() {
    let unknown = || {
        let migrate = Node { needs: after("b", &[0]).needs, ..stage("b", |node| node.rules.idempotent = false) };
        let mut story = Story::of(vec![Node::plain("a"), migrate]);
        story.succeeds(0).ends(1, Outcome::Signal(9)).is(1, NodeState::Unknown);
        story
    };
    unknown().rerun(&[0]).starts(&[(0, 0)]).succeeds(0).starts(&[]).is(1, NodeState::Unknown);
    unknown().rerun(&[1]).starts(&[(1, 0)]);
}

#[test]
fn a_new_try_does_not_start_a_shard_of_which_nobody_knows() {
    let mut story = Story::with(
        2,
        parts(vec![stage("pack", |node| {
            node.rules.idempotent = false;
            node.rules.shards = 2;
        })]),
    );
    story.shard(0, 0, Outcome::Exit(1)).shard(0, 1, Outcome::Signal(9)).is(0, NodeState::Unknown);
    story.cancel(CancelLevel::Stop).run_ends(RunEnd::Cancelled);
    story.resume().starts(&[]).is(0, NodeState::Unknown);
}

#[test]
fn a_question_that_the_new_plan_cannot_ask_is_left_to_a_person() {
    let asks = |has: bool| packs(1, move |node| (node.rules.idempotent, node.rules.has_done_if) = (false, has));
    let mut story = Story::versions(2, vec![asks(true), asks(false)]);
    edited(&mut story).starts(&[]).is(0, NodeState::Unknown);
}

#[test]
fn a_stopped_stage_whose_question_is_gone_is_left_to_a_person() {
    let asks = |has: bool| packs(1, move |node| (node.rules.idempotent, node.rules.has_done_if) = (false, has));
    let mut story = Story::versions(2, vec![asks(true), asks(false)]);
    story.cancel(CancelLevel::Stop).ends(0, Outcome::Signal(15)).is(0, NodeState::Cancelled);
    edited(&mut story).starts(&[]).is(0, NodeState::Unknown);
}

/// A stage of four slices: the first is done, the second ends so, and the plan then cuts it into three.
fn recut_after(end: Outcome, change: impl Fn(&mut Node) + Copy) -> Story {
    let mut story = Story::versions(1, vec![packs(4, change), packs(3, change)]);
    story.shard(0, 0, Outcome::Success).shard(0, 1, end);
    story
}

const ONCE: fn(&mut Node) = |node| node.rules.idempotent = false;
const ASKED: fn(&mut Node) = |node| (node.rules.idempotent, node.rules.has_done_if) = (false, true);

#[test]
fn a_failed_stage_that_is_cut_anew_is_done_again_only_where_that_is_safe() {
    let mut story = recut_after(Outcome::Exit(1), |_| ());
    edited(story.is(0, NodeState::Failed)).starts(&[(0, 0), (0, 1), (0, 2)]);
    let mut story = recut_after(Outcome::Exit(1), ONCE);
    edited(story.is(0, NodeState::Failed)).starts(&[]).is(0, NodeState::Unknown);
    let mut story = recut_after(Outcome::Exit(1), ASKED);
    let asks = |shard| Event::CheckStarted { node: n(0), shard, kind: CheckKind::DoneIf };
    edited(story.is(0, NodeState::Failed)).has(&asks(0)).has(&asks(1));
}

#[test]
fn an_unknown_stage_that_is_cut_anew_trusts_no_slice_of_the_old_cut() {
    let mut story = recut_after(Outcome::Signal(9), ONCE);
    edited(story.is(0, NodeState::Unknown)).starts(&[]).is(0, NodeState::Unknown);
    assert_eq!(story.core.state().progress(n(0)).success, 0, "what was done is not what the slices are now");
    // Which of the new slices have had their turn nobody can tell, so the word of a person holds for all of it.
    story.resolves(0, Resolution::Success).starts(&[]).run_ends(RunEnd::Success);
}

#[test]
fn an_unknown_stage_that_is_cut_anew_is_asked_again_where_it_can_be() {
    let mut story = recut_after(Outcome::Signal(9), ASKED);
    let answer = Answer::Unknown("nobody home".to_owned());
    story.tell(Input::Checked { node: n(0), shard: 1, kind: CheckKind::DoneIf, answer });
    let asks = |shard| Event::CheckStarted { node: n(0), shard, kind: CheckKind::DoneIf };
    edited(story.is(0, NodeState::Unknown)).has(&asks(0)).has(&asks(1));
}

#[test]
fn a_question_that_was_never_put_and_is_gone_is_left_to_a_person() {
    let asks = |has: bool| packs(1, move |node| (node.rules.idempotent, node.rules.has_done_if) = (false, has));
    let mut story = Story::versions(8, vec![asks(true), asks(false)]);
    story.tell(Input::Pause { on: true, by: String::new() }).ends(0, Outcome::Signal(9)).starts(&[]);
    story.cancel(CancelLevel::Stop).is(0, NodeState::Cancelled);
    edited(&mut story).starts(&[]).is(0, NodeState::Unknown);
}

#[test]
fn a_stage_that_becomes_an_approval_waits_whatever_its_attempts_had_done() {
    let process = graph(parts(vec![stage("a", |node| node.rules.retry = Some(Box::new(retry(1, 50))))]));
    let approval = graph(parts(vec![stage("a", |node| node.rules.is_approval = true)]));
    let mut story = Story::versions(8, vec![process, approval]);
    story.fails(0).is(0, NodeState::Retrying);
    edited(&mut story).is(0, NodeState::Waiting);
    story.decides(0, true).run_ends(RunEnd::Success);
}

#[test]
fn a_stage_that_becomes_an_approval_is_cancelled_by_a_drain_whatever_its_attempts_had_done() {
    let version = |approval: bool| {
        let first = stage("a", |node| {
            node.rules.is_approval = approval;
            node.rules.retry = Some(Box::new(retry(1, 50))).filter(|_| !approval);
        });
        graph(parts(vec![first, Node::plain("b")]))
    };
    let mut story = Story::versions(8, vec![version(false), version(true)]);
    edited(story.fails(0).is(0, NodeState::Retrying)).is(0, NodeState::Waiting);
    story.fails(1).is(0, NodeState::Cancelled).run_ends(RunEnd::Failed);
}

#[test]
fn a_retry_that_was_not_scheduled_yet_goes_by_the_new_budget() {
    let with = |max: u32| packs(1, move |node| node.rules.retry = Some(Box::new(retry(max, 50))));
    let mut story = Story::versions(8, vec![with(1), with(0)]);
    let attempt = Attempt { node: n(0), shard: 0, number: 2 };
    let scheduled = Event::RetryScheduled { attempt, at: Millis::new(50) };
    story.fails(0).then_ends_with(&scheduled);
    // The engine died before that was written.
    let mut story = story.without_last(1);
    edited(&mut story).has(&Event::NodeReopened { node: n(0), why: ReopenReason::Resume }).has(&retried(0, 2));
    story.fails(0).run_ends(RunEnd::Failed);
}

#[test]
fn a_persons_order_is_kept_when_the_engine_dies_before_it_is_followed() {
    let once = Node { needs: after("b", &[0]).needs, ..stage("b", |node| node.rules.idempotent = false) };
    let mut story = Story::of(vec![Node::plain("a"), once]);
    story.succeeds(0).ends(1, Outcome::Signal(9)).is(1, NodeState::Unknown);
    story.resolves(1, Resolution::Rerun).starts(&[(1, 0)]);
    let mut story = story.without_last(2);
    story.is(1, NodeState::Unknown).rerun(&[0]).starts(&[(0, 0)]);
    story.succeeds(0).starts(&[(1, 0)]).succeeds(1).run_ends(RunEnd::Success);
}

#[test]
fn an_attempt_whose_engine_died_is_lost_also_when_the_next_one_dies_before_it_says_so() {
    let mut story = Story::of(vec![Node::plain("a")]);
    // Of what the second engine said only the first record is left, that it took the run over.
    let mut story = story.resume().without_last(2);
    let attempt = Attempt { node: n(0), shard: 0, number: 1 };
    story.tell(Input::Tick).then(&[Event::ShardLost { attempt }, retried(0, 2)]);
}

#[test]
fn the_plan_that_the_run_goes_by_is_no_other_plan() {
    let mut story = Story::of(vec![Node::plain("a")]);
    story.tell(Input::Recover {
        resumed: Box::new(resumed(0)),
        plan_version: Some(1),
        changed: vec![],
        rerun: vec![],
        failed: vec![],
    });
    assert!(!story.last.contains(&Event::PlanChanged { version: 1 }), "{:?}", story.last);
}

#[test]
fn an_order_does_not_open_what_is_not_selected() {
    let mut story = Story::of(vec![stage("a", |node| node.selected = false), after("b", &[0])]);
    story.succeeds(1).run_ends(RunEnd::Success);
    story.rerun(&[0]).is(0, NodeState::Skipped).starts(&[(1, 0)]);
    let opened = |event: &Event| matches!(event, Event::NodeReopened { node, .. } if *node == n(0));
    assert!(!story.last.iter().any(opened), "{:?}", story.last);
}
