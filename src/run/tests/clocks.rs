//! Timeouts, the ladder, re-tries.

use std::collections::BTreeSet;

use super::*;
use crate::base::limits;

#[test]
fn the_ladder_is_stop_then_force_then_lost() {
    let mut story = Story::of(vec![stage("a", |node| {
        node.rules.timeout = Some(Span::from_secs(5));
        node.rules.grace = Span::from_secs(2);
    })]);
    story.wait(4999).then(&[]);
    story.wait(1).has(&stop(0, StopKind::Terminate, StopReason::Clock(Clock::Attempt)));
    story.wait(2000).has(&stop(0, StopKind::Kill, StopReason::Grace));
    story.wait(30_000).has(&Event::ShardLost { attempt: Attempt { node: n(0), shard: 0, number: 1 } });
    story.is(0, NodeState::Unknown);
    assert!(story.core.state().needs_person());
}

#[test]
fn an_attempt_whose_end_nobody_knows_is_lost_once_and_a_person_decides() {
    let mut story = Story::of(vec![Node::plain("a"), after("b", &[0])]);
    let attempt = story.number(0, 0);
    story.tell(Input::Lost { attempt }).has(&Event::ShardLost { attempt }).is(0, NodeState::Unknown);
    story.tell(Input::Lost { attempt }).then(&[]);
    assert!(story.core.state().needs_person());
}

#[test]
fn an_attempt_that_was_stopped_by_its_clock_timed_out_whatever_it_says() {
    let mut story = Story::of(vec![stage("a", |node| node.rules.timeout = Some(Span::from_secs(5)))]);
    story.wait(5000).succeeds(0).is(0, NodeState::TimedOut).run_ends(RunEnd::Failed);
}

#[test]
fn silence_counts_only_with_an_idle_clock() {
    let mut story =
        Story::of(vec![Node::plain("a"), stage("b", |node| node.rules.idle = Some(Span::from_secs(1)))]);
    for node in [0, 1] {
        let attempt = story.number(node, 0);
        story.tell(Input::Silent { attempt });
    }
    story.then(&[stop(1, StopKind::Terminate, StopReason::Clock(Clock::Idle))]);
}

#[test]
fn a_failure_is_retried_within_its_budget() {
    let mut story = Story::of(vec![stage("a", |node| node.rules.retry = Some(Box::new(retry(2, 1000))))]);
    let scheduled = |number, at| Event::RetryScheduled {
        attempt: Attempt { node: n(0), shard: 0, number },
        at: Millis::new(at),
    };
    story.fails(0).has(&scheduled(2, 1000)).is(0, NodeState::Retrying).starts(&[]);
    story.wait(1000).then(&[retried(0, 2)]);
    story.fails(0).has(&scheduled(3, 2000)).wait(1000).then(&[retried(0, 3)]);
    story.fails(0).is(0, NodeState::Failed).run_ends(RunEnd::Failed);
}

#[test]
fn delays_grow_up_to_their_maximum_and_are_spread_by_the_seed() {
    let delays = |jitter| {
        let rule = Retry { backoff: 2.0, max_delay: Some(Span::from_ms(3000)), jitter, ..retry(4, 1000) };
        let mut story = Story::of(vec![stage("a", |node| node.rules.retry = Some(Box::new(rule)))]);
        let mut delays = Vec::new();
        for _ in 0..4 {
            story.fails(0);
            let due = story.core.next_deadline().expect("a re-try");
            delays.push(due.since(story.at).ms());
            story.wait(3000);
        }
        delays
    };
    assert_eq!(delays(false), [1000, 2000, 3000, 3000]);
    let spread = delays(true);
    assert_eq!(spread, [516, 1701, 1984, 1683], "FNV-1a and splitmix64, worked out by another program");
    assert_eq!(spread, delays(true), "the same seed gives the same delays");
    let spread_of_three: BTreeSet<u64> = (0..100).map(|seed| super::super::retry::spread(3, seed)).collect();
    assert_eq!(spread_of_three, BTreeSet::from([2, 3]), "at least half, up to all");
}

#[test]
fn when_says_what_is_retried() {
    use crate::plan::model::RetryWhen;
    let rule = Retry { when: vec![RetryWhen::Exit(vec![69]), RetryWhen::Signal], ..retry(5, 0) };
    let mut story = Story::of(vec![stage("a", |node| node.rules.retry = Some(Box::new(rule)))]);
    story.ends(0, Outcome::Exit(69)).has(&retried(0, 2));
    story.ends(0, Outcome::Signal(11)).has(&retried(0, 3));
    story.ends(0, Outcome::Exit(1)).is(0, NodeState::Failed);
}

#[test]
fn within_bounds_all_attempts_together() {
    let rule = Retry { within: Some(Span::from_secs(10)), ..retry(9, 4000) };
    let mut story = Story::of(vec![stage("a", |node| node.rules.retry = Some(Box::new(rule)))]);
    story.wait(5000).fails(0).is(0, NodeState::Retrying);
    story.wait(4000).has(&retried(0, 2));
    story.wait(1000).has(&Event::StopRequested {
        attempt: Attempt { node: n(0), shard: 0, number: 2 },
        how: StopKind::Terminate,
        why: StopReason::Clock(Clock::Within),
    });
    story.ends(0, Outcome::Signal(15)).is(0, NodeState::TimedOut);
}

#[test]
fn the_queue_clock_bounds_the_wait_for_a_turn_but_not_a_pause() {
    let nodes = || vec![Node::plain("a"), stage("b", |node| node.rules.queue = Some(Span::from_secs(3)))];
    let mut story = Story::with(1, parts(nodes()));
    story.wait(3000).has(&Event::NodeExpired { node: n(1), clock: Clock::Queue }).is(1, NodeState::TimedOut);
    let mut story = Story::with(1, parts(nodes()));
    story.tell(Input::Pause { on: true, by: String::new() }).wait(60_000).is(1, NodeState::Waiting);
    story.tell(Input::Pause { on: false, by: String::new() }).wait(2999).is(1, NodeState::Waiting);
}

#[test]
fn an_approval_expires() {
    let mut story = Story::of(vec![stage("ship", |node| {
        node.rules.is_approval = true;
        node.rules.timeout = Some(Span::from_secs(60));
    })]);
    story.wait(60_000).has(&Event::NodeExpired { node: n(0), clock: Clock::Gate }).is(0, NodeState::TimedOut);
    story.run_ends(RunEnd::Failed);
}

#[test]
fn the_run_clock_keeps_the_clean_up_s_budget_and_stands_while_only_a_person_can_go_on() {
    let approval = stage("ship", |node| node.rules.is_approval = true);
    let clean = stage("notify", |node| node.phase = Phase::Finally);
    let mut story_parts = parts(vec![approval, after("deploy", &[0]), clean]);
    story_parts.settings.timeout = Some(Span::from_secs(100));
    story_parts.settings.finally_budget = Some(Span::from_secs(30));
    let mut story = Story::with(4, story_parts);
    story.wait(1_000_000).is(0, NodeState::Waiting);
    story.decides(0, true).wait(69_999).is(1, NodeState::Running);
    story.wait(1).has(&Event::CancelRaised {
        level: CancelLevel::Stop,
        why: CancelReason::Timeout,
        by: String::new(),
    });
    story.ends(1, Outcome::Signal(15)).starts(&[(2, 0)]);
    story.wait(30_000).has(&stop(2, StopKind::Terminate, StopReason::Clock(Clock::Finally)));
    story.ends(2, Outcome::Signal(15)).run_ends(RunEnd::Failed);
    assert!(story.verdict().timed_out);
}

#[test]
fn within_is_the_time_of_one_shard_and_ends_only_that_one() {
    let rule = Retry { within: Some(Span::from_secs(10)), ..retry(9, 4000) };
    let mut parts = parts(vec![stage("pack", |node| {
        node.rules.retry = Some(Box::new(rule));
        node.rules.shards = 3;
    })]);
    parts.scopes[0].policy = Policy::Continue;
    let mut story = Story::with(1, parts);
    story.wait(1000).shard(0, 0, Outcome::Exit(1)).starts(&[(0, 1)]).wait(8_999).is(0, NodeState::Running);
    story.wait(1).then(&[Event::ShardExpired { node: n(0), shard: 0, clock: Clock::Within }]);
    story.shard(0, 1, Outcome::Success).starts(&[(0, 2)]);
    let reason = "1 of 3 shards failed, shard 0 first".to_owned();
    story.shard(0, 2, Outcome::Success);
    story.has(&Event::NodeFinished { node: n(0), state: NodeState::TimedOut, reason }).run_ends(RunEnd::Failed);
}

#[test]
fn a_stage_whose_within_ran_out_says_so() {
    let rule = Retry { within: Some(Span::from_secs(10)), ..retry(9, 4000) };
    let nodes = vec![stage("a", |node| node.rules.retry = Some(Box::new(rule))), Node::plain("long")];
    let mut story = Story::with(1, parts(nodes));
    story.fails(0).starts(&[(1, 0)]).wait(10_000);
    let reason = "`retry.within` ran out between two attempts".to_owned();
    story.has(&Event::NodeFinished { node: n(0), state: NodeState::TimedOut, reason });
}

#[test]
fn time_without_an_engine_counts_neither_for_within_nor_for_the_clean_up() {
    let rule = Retry { within: Some(Span::from_secs(10)), ..retry(9, 4000) };
    let mut story = Story::of(vec![stage("a", |node| node.rules.retry = Some(Box::new(rule)))]);
    story.fails(0).gap(60_000).has(&retried(0, 2)).is(0, NodeState::Running);
    let clean = stage("notify", |node| node.phase = Phase::Finally);
    let mut story_parts = parts(vec![Node::plain("a"), clean]);
    story_parts.settings.finally_budget = Some(Span::from_secs(30));
    let mut story = Story::with(1, story_parts);
    story.succeeds(0).starts(&[(1, 0)]).wait(20_000).gap(60_000).has(&retried(1, 2)).wait(9_999).then(&[]);
    story.wait(1).is(1, NodeState::Running);
    assert_eq!(story.core.state().running(n(1))[0].stop().map(|it| it.1), Some(StopReason::Clock(Clock::Finally)));
}

#[test]
fn the_run_clock_goes_on_while_a_retry_is_due_and_an_approval_is_open() {
    let approval = stage("ship", |node| node.rules.is_approval = true);
    let mut story_parts =
        parts(vec![approval, stage("a", |node| node.rules.retry = Some(Box::new(retry(1, 60_000))))]);
    story_parts.settings.timeout = Some(Span::from_secs(30));
    let mut story = Story::with(4, story_parts);
    story.fails(1).wait(30_000);
    assert_eq!(story.core.state().cancel().map(|it| it.1), Some(CancelReason::Timeout));
}

#[test]
fn a_retry_behind_an_approval_that_is_asked_again_does_not_use_the_run_s_time() {
    let failed = Accept { success: false, skipped: false, failed: true };
    let mut story = Story::of(vec![
        stage("ship", |node| node.rules.is_approval = true),
        stage("page", |node| {
            node.needs = vec![Need { node: n(0), accept: failed }];
            node.rules.retry = Some(Box::new(retry(1, 50)));
        }),
    ]);
    story.decides(0, false).fails(1).is(1, NodeState::Retrying);
    story.resume().has(&Event::GateOpened { node: n(0), expires: None, prompt: String::new() });
    story.wait(500).starts(&[]);
    assert_eq!(story.core.state().used_time(story.at), Span::ZERO, "only a person can go on");
    story.decides(0, false).starts(&[(1, 0)]);
}

#[test]
fn no_budget_goes_beyond_the_limit_of_attempts() {
    let mut story = Story::of(vec![stage("a", |node| node.rules.retry = Some(Box::new(retry(u32::MAX, 0))))]);
    let mut attempts = 0;
    while story.core.state().state(n(0)) == NodeState::Running {
        story.fails(0);
        attempts += 1;
    }
    assert_eq!(attempts, limits::MAX_ATTEMPTS);
}

#[test]
fn a_retry_that_would_begin_when_within_is_over_is_none() {
    for (fails_at, state) in [(5999, NodeState::Retrying), (6000, NodeState::Failed)] {
        let rule = Retry { within: Some(Span::from_secs(10)), ..retry(9, 4000) };
        let mut story = Story::of(vec![stage("a", |node| node.rules.retry = Some(Box::new(rule)))]);
        story.wait(fails_at).fails(0).is(0, state);
    }
}

#[test]
fn a_run_that_drains_retries_nothing() {
    let mut story = Story::of(vec![stage("a", |node| node.rules.retry = Some(Box::new(retry(1, 0))))]);
    story.cancel(CancelLevel::Drain).fails(0).starts(&[]).has(&finished(0, NodeState::Failed));
}

#[test]
fn the_end_of_the_clean_up_s_budget_does_not_ask_again_what_was_asked_to_stop() {
    let clean = |id: &str, timeout: Option<u64>| {
        stage(id, |node| (node.phase, node.rules.timeout) = (Phase::Finally, timeout.map(Span::from_ms)))
    };
    let mut parts = parts(vec![Node::plain("a"), clean("notify", Some(50)), clean("tidy", None)]);
    parts.settings.finally_budget = Some(Span::from_ms(100));
    let mut story = Story::with(8, parts);
    story.succeeds(0).wait(50).then(&[stop(1, StopKind::Terminate, StopReason::Clock(Clock::Attempt))]);
    story.wait(50).then(&[stop(2, StopKind::Terminate, StopReason::Clock(Clock::Finally))]);
}

#[test]
fn stages_whose_queue_clocks_run_out_at_one_moment_all_say_so() {
    let queued = |id: &str| stage(id, |node| node.rules.queue = Some(Span::from_secs(3)));
    let mut story = Story::with(1, parts(vec![Node::plain("a"), queued("b"), queued("c")]));
    story.wait(3000).is(1, NodeState::TimedOut).is(2, NodeState::TimedOut);
}
