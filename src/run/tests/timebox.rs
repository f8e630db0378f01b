//! What fits starts, what does not waits for the next engine.

use super::*;
use crate::graph::forecast::Expected;

/// A stage that usually takes so long.
fn usual(id: &str, p95_ms: u64, samples: u32) -> Node {
    stage(id, |node| {
        let p95 = Span::from_ms(p95_ms);
        node.rules.usual = Some(Expected { p50: p95, p95, samples });
    })
}

fn with_needs(node: Node, needs: &[u32]) -> Node {
    Node { needs: after("", needs).needs, ..node }
}

fn deferred(node: u32, wants: Option<u64>) -> Event {
    Event::NodeDeferred { node: n(node), wants: wants.map(Span::from_ms) }
}

const LEAVES: Event = Event::RunSuspended { why: SuspendReason::HandOver };

impl Story {
    /// A run whose engine works no longer than so long.
    fn boxed(length_ms: u64, parts: Parts) -> Self {
        let core = Core::new(vec![graph(parts)]);
        let graphs = core.state().graphs.0.clone();
        let mut story = Self { graphs, core, at: Millis::ZERO, last: Vec::new(), all: Vec::new() };
        story.both(began(8), length_ms);
        story
    }

    /// The next engine works no longer than so long.
    fn next_box(&mut self, length_ms: u64) -> &mut Self {
        let resumed = Box::new(resumed(0));
        let recover =
            Input::Recover { resumed, plan_version: None, changed: vec![], rerun: vec![], failed: vec![] };
        self.both(recover, length_ms)
    }

    fn both(&mut self, first: Input, length_ms: u64) -> &mut Self {
        let until = self.at + Span::from_ms(length_ms);
        let batch = self.core.step(self.at, vec![first, Input::OpenBox { until }]);
        self.last = batch.events.iter().map(|(_, event)| event.clone()).collect();
        self.all.extend(batch.events);
        self.is_replayable();
        self
    }
}

#[test]
fn what_history_says_does_not_fit_is_left_and_the_run_handed_over() {
    let mut story = Story::boxed(100, parts(vec![usual("short", 90, 5), with_needs(usual("long", 60, 5), &[0])]));
    story.starts(&[(0, 0)]).wait(50).succeeds(0);
    story.has(&deferred(1, Some(60))).has(&LEAVES).is(1, NodeState::Waiting);
    assert_eq!(story.core.state().suspended(), Some(SuspendReason::HandOver));
    assert_eq!(story.core.next_deadline(), None);
    story.next_box(100).starts(&[(1, 0)]).succeeds(1).run_ends(RunEnd::Success);
}

#[test]
fn what_fits_goes_past_what_does_not() {
    let long = usual("long", 500, 9);
    let mut story = Story::boxed(100, parts(vec![long, usual("short", 100, 9)]));
    story.starts(&[(1, 0)]).has(&deferred(0, Some(500)));
    story.wait(40).succeeds(1).has(&LEAVES);
}

#[test]
fn too_few_samples_are_no_history_and_a_timeout_is_certain() {
    let timed = stage("timed", |node| {
        node.rules.timeout = Some(Span::from_ms(90));
        node.rules.usual = usual("", 500, 9).rules.usual;
    });
    let mut story = Story::boxed(100, parts(vec![usual("few", 500, 4), timed, after("none", &[])]));
    story.starts(&[(0, 0), (1, 0), (2, 0)]);
}

#[test]
fn what_is_not_idempotent_starts_only_if_its_timeout_fits() {
    let once = |id: &str, timeout: Option<u64>| {
        stage(id, |node| {
            node.rules.idempotent = false;
            node.rules.timeout = timeout.map(Span::from_ms);
            node.rules.usual = usual("", 1, 9).rules.usual;
        })
    };
    let nodes = vec![once("fits", Some(100)), once("long", Some(101)), once("any", None)];
    let mut story = Story::boxed(100, parts(nodes));
    story.starts(&[(0, 0)]).has(&deferred(1, Some(101))).has(&deferred(2, None));
}

#[test]
fn at_the_end_of_the_box_what_runs_is_stopped_and_counts_as_not_run() {
    let node = stage("a", |node| node.rules.retry = Some(Box::new(retry(1, 0))));
    let mut story = Story::boxed(100, parts(vec![node]));
    story.starts(&[(0, 0)]).wait(100);
    story.then(&[Event::BoxClosed, stop(0, StopKind::Terminate, StopReason::HandOver)]);
    // It ignores that for its grace.
    story.wait(10_000).has(&stop(0, StopKind::Kill, StopReason::Grace));
    story.ends(0, Outcome::Signal(9)).has(&LEAVES).is(0, NodeState::Waiting);
    // It starts again, and has all its re-tries.
    let until = story.at + Span::from_ms(100);
    story.next_box(100).then(&[
        Event::RunResumed(Box::new(resumed(0))),
        Event::BoxOpened { until },
        retried(0, 2),
    ]);
    story.fails(0).has(&retried(0, 3));
    story.succeeds(0).run_ends(RunEnd::Success);
}

#[test]
fn what_has_a_done_if_is_asked_after_the_box() {
    let node = stage("a", |node| node.rules.has_done_if = true);
    let mut story = Story::boxed(100, parts(vec![node]));
    story.wait(100).ends(0, Outcome::Signal(15)).has(&LEAVES);
    let asked = Event::CheckStarted { node: n(0), shard: 0, kind: CheckKind::DoneIf };
    story.next_box(100).has(&asked);
    // An answer that does not come before this box ends too is asked for again.
    story.wait(100 + 10_000).has(&LEAVES).is(0, NodeState::Waiting);
    story.next_box(100).has(&asked).answers(0, CheckKind::DoneIf, Answer::Yes(Box::default()));
    story.run_ends(RunEnd::Success);
}

#[test]
fn the_clean_up_is_not_run_at_a_hand_over_but_at_the_end() {
    let clean = stage("clean", |node| node.phase = Phase::Finally);
    let mut story = Story::boxed(100, parts(vec![after("a", &[]), clean]));
    story.wait(100).ends(0, Outcome::Signal(15)).has(&LEAVES).is(1, NodeState::Pending);
    story.next_box(100).succeeds(0).has(&Event::FinallyBegan).starts(&[(1, 0)]);
    // The clean-up does not end in time either, and goes on in the next box.
    story.wait(100).ends(1, Outcome::Signal(15)).has(&LEAVES);
    story.next_box(100).starts(&[(1, 0)]).succeeds(1).run_ends(RunEnd::Success);
}

#[test]
fn a_run_that_fails_comes_to_its_end_and_cleans_up() {
    let clean = stage("clean", |node| node.phase = Phase::Finally);
    let mut story = Story::boxed(100, parts(vec![after("a", &[]), after("b", &[]), clean]));
    story.fails(0).is(1, NodeState::Running);
    story.wait(100).has(&stop(1, StopKind::Terminate, StopReason::HandOver));
    story.ends(1, Outcome::Signal(15)).is(1, NodeState::Cancelled).starts(&[(2, 0)]);
    story.succeeds(2).run_ends(RunEnd::Failed);
}

#[test]
fn a_second_box_without_progress_is_a_stall() {
    let mut story = Story::boxed(100, parts(vec![after("a", &[]), after("b", &[0])]));
    story.wait(100).ends(0, Outcome::Signal(15)).has(&LEAVES);
    assert!(!story.core.state().is_stalled(), "the first one is only bad luck");
    story.next_box(100).succeeds(0).wait(100).ends(1, Outcome::Signal(15)).has(&LEAVES);
    assert!(!story.core.state().is_stalled(), "something was done");
    story.next_box(100).wait(100).ends(1, Outcome::Signal(15)).has(&LEAVES);
    story.next_box(100).wait(100).ends(1, Outcome::Signal(15)).has(&LEAVES);
    assert!(story.core.state().is_stalled());
}

#[test]
fn a_box_in_which_a_retry_is_used_up_is_no_idle_one() {
    let node = stage("a", |node| node.rules.retry = Some(Box::new(retry(3, 200))));
    let mut story = Story::boxed(100, parts(vec![node]));
    for _ in 0..3 {
        story.wait(20).fails(0).has(&LEAVES);
        assert!(!story.core.state().is_stalled(), "it is one failure nearer to its end");
        story.wait(200).next_box(100);
    }
    story.fails(0).run_ends(RunEnd::Failed);
}

#[test]
fn to_start_a_service_again_is_no_progress() {
    let service = stage("db", |node| node.rules.is_service = true);
    let mut story = Story::boxed(100, parts(vec![service, with_needs(usual("long", 90, 5), &[0])]));
    story.wait(50).succeeds(0).has(&LEAVES);
    for _ in 0..2 {
        assert!(!story.core.state().is_stalled());
        story.next_box(100).starts(&[(0, 0)]).wait(50).succeeds(0).has(&LEAVES);
    }
    assert!(story.core.state().is_stalled(), "the service takes the time that its user needs");
}

#[test]
fn a_retry_that_comes_too_late_is_for_the_next_box() {
    let node = stage("a", |node| node.rules.retry = Some(Box::new(retry(1, 200))));
    let mut story = Story::boxed(100, parts(vec![node]));
    story.wait(20).fails(0).has(&LEAVES).is(0, NodeState::Retrying);
}

#[test]
fn a_person_is_waited_for_only_when_nothing_else_is_left() {
    let gate = stage("gate", |node| node.rules.is_approval = true);
    let mut story = Story::boxed(100, parts(vec![gate, usual("long", 500, 9)]));
    story.has(&LEAVES);
    let gate = stage("gate", |node| node.rules.is_approval = true);
    let story = Story::boxed(100, parts(vec![gate]));
    assert!(story.core.state().needs_person() && story.core.state().suspended().is_none());
}

#[test]
fn what_the_run_does_not_hold_back_any_more_is_deferred_no_longer() {
    // `a` fails: what did not fit is blocked, and then only a person can go on, who is waited for.
    let handler = stage("ask", |node| {
        node.rules.is_approval = true;
        let accept = Accept { success: false, skipped: false, failed: true };
        node.needs = vec![Need { node: n(0), accept }];
    });
    let mut story = Story::boxed(100, parts(vec![after("a", &[]), usual("long", 500, 9), handler]));
    story.has(&deferred(1, Some(500)));
    assert_eq!(story.core.state().deferred().count(), 1);
    story.fails(0).is(1, NodeState::Blocked).is(2, NodeState::Waiting);
    assert_eq!(story.core.state().deferred().count(), 0);
    assert!(story.core.state().needs_person() && story.core.state().suspended().is_none());
}

#[test]
fn a_box_that_is_over_before_it_begins_starts_nothing() {
    let mut story = Story::boxed(0, parts(vec![after("a", &[])]));
    story.starts(&[]).has(&Event::BoxClosed).has(&LEAVES);
}

#[test]
fn a_run_that_drains_behind_its_box_does_not_stay_to_wait_for_a_person() {
    // `b` fails after the box is over: the run drains, and the handler of that asks somebody.
    let handler = stage("ask", |node| {
        node.rules.is_approval = true;
        let accept = Accept { success: false, skipped: false, failed: true };
        node.needs = vec![Need { node: n(0), accept }];
    });
    let mut story = Story::boxed(100, parts(vec![after("a", &[]), after("b", &[]), handler]));
    story.fails(0).is(2, NodeState::Waiting);
    assert!(story.core.state().suspended().is_none(), "the box is not over yet");
    story.wait(100).ends(1, Outcome::Signal(15)).has(&LEAVES).is(2, NodeState::Waiting);
}

/// Two items, of which one may start every so often.
fn paced(per_ms: u64) -> Node {
    use crate::graph::model::Split;
    let rate = Some(crate::plan::model::Rate { count: 1, per: Span::from_ms(per_ms) });
    super::shards::sharded(2, Split { size: 1, rate, ..Split::default() })
}

#[test]
fn a_start_that_its_rate_holds_back_is_waited_for_only_if_it_comes_in_time() {
    let mut story = Story::boxed(100, parts(vec![paced(50)]));
    story.wait(10).shard(0, 0, Outcome::Success).then_ends_with(&Event::ShardFinished {
        attempt: Attempt { node: n(0), shard: 0, number: 1 },
        outcome: Outcome::Success,
        took: Span::from_ms(1),
        result: crate::run::event::Left::default(),
    });
    story.wait(40).starts(&[(0, 1)]);
    let mut story = Story::boxed(100, parts(vec![paced(100)]));
    story.wait(10).shard(0, 0, Outcome::Success).has(&LEAVES);
}

#[test]
fn a_run_that_drains_behind_its_box_does_what_it_can_before_it_leaves_a_question() {
    let accept = Accept { success: false, skipped: false, failed: true };
    let handler = |id: &str, change: fn(&mut Node)| {
        stage(id, |node| {
            node.needs = vec![Need { node: n(0), accept }];
            change(node);
        })
    };
    let ask = handler("ask", |node| node.rules.is_approval = true);
    let mend = handler("mend", |node| node.rules.retry = Some(Box::new(retry(1, 500))));
    let mut story = Story::boxed(100, parts(vec![Node::plain("a"), ask, mend]));
    story.fails(0).starts(&[(2, 0)]).wait(90).fails(2).is(2, NodeState::Retrying);
    story.wait(499).then(&[Event::BoxClosed]).wait(1).starts(&[(2, 0)]).succeeds(2).has(&LEAVES);
}
