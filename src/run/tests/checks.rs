//! The cache, `done-if`, and what nobody knows.

use super::*;

fn yes() -> Answer {
    let outputs = vec![("digest".to_owned(), serde_json::json!("abc"))];
    Answer::Yes(Box::new(ShardResult { outputs, ..ShardResult::default() }))
}

fn asks(node: u32, kind: CheckKind) -> Event {
    Event::CheckStarted { node: n(node), shard: 0, kind }
}

#[test]
fn the_cache_is_asked_before_the_first_start() {
    let nodes = || vec![stage("build", |node| node.rules.has_cache = true), after("next", &[0])];
    let mut story = Story::of(nodes());
    story.has(&asks(0, CheckKind::Cache)).starts(&[]).is(0, NodeState::Waiting);
    story.answers(0, CheckKind::Cache, yes()).is(0, NodeState::Cached).starts(&[(1, 0)]);
    assert_eq!(story.core.state().outputs(n(0)).len(), 1);
    let mut story = Story::of(nodes());
    story.answers(0, CheckKind::Cache, Answer::No).starts(&[(0, 0)]);
    story.answers(0, CheckKind::Cache, yes()).then(&[]);
}

#[test]
fn done_if_is_asked_after_a_timeout_and_after_a_signal_but_not_after_an_exit() {
    let node = || {
        stage("migrate", |node| {
            (node.rules.has_done_if, node.rules.idempotent) = (true, false);
            node.rules.retry = Some(Box::new(retry(3, 0)));
        })
    };
    let mut story = Story::of(vec![node()]);
    story.ends(0, Outcome::Signal(9)).has(&asks(0, CheckKind::DoneIf)).starts(&[]);
    story.answers(0, CheckKind::DoneIf, Answer::No).has(&retried(0, 2));
    story.ends(0, Outcome::Exit(1)).has(&retried(0, 3));
    story.ends(0, Outcome::Signal(9)).answers(0, CheckKind::DoneIf, yes()).is(0, NodeState::Success);
    let mut story = Story::of(vec![node()]);
    story.ends(0, Outcome::Signal(9)).answers(0, CheckKind::DoneIf, Answer::Unknown("busy".to_owned()));
    story.is(0, NodeState::Unknown);
}

/// Its process ended well: that its outputs could not be read, or are not as declared, undoes no effect.
#[test]
fn a_bad_result_of_what_is_not_idempotent_is_asked_about_and_never_just_repeated() {
    let bad = || Outcome::BadResult("failed to read `$ENGINE_OUTPUT`".to_owned());
    let retried = |node: &mut Node| {
        node.rules.idempotent = false;
        node.rules.retry = Some(Box::new(retry(3, 0)));
    };
    let mut story = Story::of(vec![stage("migrate", retried)]);
    story.ends(0, bad()).is(0, NodeState::Unknown).starts(&[]);
    let asked = |node: &mut Node| {
        retried(node);
        node.rules.has_done_if = true;
    };
    let mut story = Story::of(vec![stage("migrate", asked)]);
    story.ends(0, bad()).has(&asks(0, CheckKind::DoneIf)).starts(&[]);
    story.answers(0, CheckKind::DoneIf, yes()).is(0, NodeState::Success);
}

#[test]
fn a_question_without_an_answer_does_not_hold_the_run_for_ever() {
    let mut story = Story::of(vec![stage("build", |node| node.rules.has_cache = true)]);
    story.wait(10 * 60_000).starts(&[(0, 0)]);
}

#[test]
fn a_kill_waits_for_no_answer() {
    let mut story = Story::of(vec![stage("build", |node| node.rules.has_cache = true)]);
    story.cancel(CancelLevel::Kill).is(0, NodeState::Cancelled).run_ends(RunEnd::Cancelled);
}

#[test]
fn a_person_resolves_what_nobody_knows() {
    let node = || stage("migrate", |node| node.rules.idempotent = false);
    let lost = || {
        let mut story = Story::of(vec![node(), after("next", &[0])]);
        story.ends(0, Outcome::Signal(9)).is(0, NodeState::Unknown).is(1, NodeState::Pending);
        story
    };
    lost().resolves(0, Resolution::Success).is(0, NodeState::Success).starts(&[(1, 0)]);
    lost().resolves(0, Resolution::Failed).is(0, NodeState::Failed).run_ends(RunEnd::Failed);
    lost().resolves(0, Resolution::Rerun).has(&retried(0, 2)).succeeds(0).starts(&[(1, 0)]);
}

#[test]
fn done_if_is_asked_in_a_drain_and_nothing_else_of_the_stage_starts() {
    let asked = |shards: u32| {
        stage("a", move |node| {
            (node.rules.shards, node.rules.has_done_if) = (shards, true);
            node.rules.retry = Some(Box::new(retry(1, 50)));
        })
    };
    let mut story = Story::of(vec![asked(1), Node::plain("b")]);
    story.fails(1).ends(0, Outcome::Signal(9)).has(&asks(0, CheckKind::DoneIf));
    story.answers(0, CheckKind::DoneIf, yes()).is(0, NodeState::Success);
    let mut story = Story::of(vec![asked(2), Node::plain("b")]);
    story.shard(0, 0, Outcome::Exit(1)).fails(1).shard(0, 1, Outcome::Signal(9));
    story.has(&Event::CheckStarted { node: n(0), shard: 1, kind: CheckKind::DoneIf }).wait(1000).starts(&[]);
}

#[test]
fn who_waits_to_ask_the_cache_waits_no_longer_than_its_queue_clock() {
    let cached = stage("build", |node| {
        (node.rules.has_cache, node.rules.queue) = (true, Some(Span::from_ms(100)));
    });
    let mut story = Story::with(1, parts(vec![Node::plain("busy"), cached]));
    story.wait(99).is(1, NodeState::Waiting).wait(1).is(1, NodeState::TimedOut);
}

#[test]
fn of_what_waits_to_be_asked_nobody_knows_whether_it_is_tried_again() {
    let mut story = Story::of(vec![stage("a", |node| node.rules.has_done_if = true)]);
    story.tell(Input::Pause { on: true, by: "ann".to_owned() });
    story.ends(0, Outcome::Signal(9)).is(0, NodeState::Waiting);
}

#[test]
fn no_clock_of_a_shard_runs_out_while_another_waits_to_be_asked_in_a_drain() {
    let bounded = Retry { within: Some(Span::from_ms(200)), ..retry(1, 50) };
    let asked = stage("a", |node| {
        (node.rules.shards, node.rules.has_done_if) = (2, true);
        node.rules.retry = Some(Box::new(bounded));
    });
    let mut story = Story::of(vec![asked, Node::plain("b")]);
    story.shard(0, 0, Outcome::Exit(1)).tell(Input::Pause { on: true, by: "ann".to_owned() });
    story.fails(1).shard(0, 1, Outcome::Signal(9)).wait(1000).then(&[]);
}
