//! Healing: bodies are tried in order, each at most once for a failure, and a person is asked at the limit.

use crate::graph::model::Rules;
use crate::run::Fate;
use crate::run::event::{CaseKind, HealStep};

use super::shards::sharded;
use super::*;
use crate::graph::model::Split;
use crate::plan::model::{AllowFailed, AllowFailure, RetryWhen};

/// A body that heals stage `of`, with a cool-down in ms.
pub(super) fn body(at: u32, of: u32, cool_down: u64) -> Node {
    stage(&format!("{of}.heal-{at}"), |node| {
        (node.phase, node.heals) = (Phase::Heal, Some(n(of)));
        node.rules.cool_down = Span::from_ms(cool_down);
    })
}

/// a, and b which needs it; a has `bodies` bodies, nodes 2 and following, each with a cool-down of 100 ms.
fn ladder(bodies: u32, depth: u32) -> Story {
    let mut nodes = vec![Node::plain("a"), after("b", &[0])];
    nodes.extend((0..bodies).map(|at| body(at + 1, 0, 100)));
    let mut parts = parts(nodes);
    parts.settings.heal_depth = Some(depth);
    Story::with(4, parts)
}

fn healing(step: HealStep) -> Event {
    Event::Healing { node: n(0), step }
}

#[test]
fn a_failed_stage_is_healed_and_tried_again_after_the_cool_down() {
    let mut story = ladder(2, 5);
    story.fails(0).has(&healing(HealStep::Began { body: n(2), level: 1 })).starts(&[(2, 0)]);
    story.is(0, NodeState::Retrying).succeeds(2);
    let due = Millis::new(story.at.raw() + 100);
    story.has(&healing(HealStep::Ended { due })).starts(&[]);
    assert_eq!(story.core.next_deadline(), Some(due));
    story.wait(100).starts(&[(0, 0)]).succeeds(0).is(0, NodeState::Success).starts(&[(1, 0)]);
    story.succeeds(1);
    assert_eq!(story.verdict().state, RunEnd::Success);
    assert!(!story.core.state().is_awake(n(3)), "the second body was never called");
}

#[test]
fn when_no_body_is_left_the_failure_counts() {
    let mut story = ladder(2, 5);
    story.fails(0).fails(2);
    story.has(&healing(HealStep::Began { body: n(3), level: 2 })).starts(&[(3, 0)]);
    story.succeeds(3).wait(100).fails(0).is(0, NodeState::Failed).is(1, NodeState::Blocked);
    assert_eq!(story.verdict().state, RunEnd::Failed);
    assert_eq!(story.verdict().failed, [n(0)], "a body that failed is none that made the run fail");
}

#[test]
fn at_the_limit_the_run_halts_and_a_person_releases_it() {
    let mut story = ladder(3, 2);
    for body in [2, 3] {
        story.fails(0).succeeds(body).wait(100);
    }
    story.fails(0).has(&healing(HealStep::Halted { level: 2 })).starts(&[]);
    let raised = story.last.iter().any(
        |event| matches!(event, Event::TicketRaised { case } if case.kind == CaseKind::Halted && case.words.starts_with("guardian.halt")),
    );
    assert!(raised, "{:?}", story.last);
    assert!(story.core.state().is_guarded() && story.core.state().needs_person());
    let due = story.at;
    story.decides(0, true).has(&healing(HealStep::Ended { due })).starts(&[(0, 0)]);
    assert!(!story.core.state().is_guarded());
    story.fails(0).has(&healing(HealStep::Began { body: n(2), level: 1 }));
    assert_eq!(story.core.state().generation(n(2)), 2, "the body is opened once more");
    // That it was released is no word about how it ended.
    story.succeeds(2).wait(100).succeeds(0).has(&finished(0, NodeState::Success)).succeeds(1);
    assert_eq!(story.verdict().state, RunEnd::Success);
}

#[test]
fn a_person_who_does_not_release_it_lets_the_failure_count() {
    let mut story = ladder(2, 1);
    story.fails(0).succeeds(2).wait(100).fails(0).decides(0, false);
    story.is(0, NodeState::Failed).is(1, NodeState::Blocked);
    assert_eq!(story.verdict().state, RunEnd::Failed);
    assert_eq!(story.verdict().failed, [n(0)], "it ends once");
}

#[test]
fn while_it_is_halted_nothing_else_starts() {
    let mut nodes = vec![Node::plain("a"), Node::plain("c"), after("d", &[1])];
    nodes.extend([body(1, 0, 0), body(2, 0, 0)]);
    let mut parts = parts(nodes);
    parts.settings.heal_depth = Some(1);
    let mut story = Story::with(4, parts);
    story.fails(0).succeeds(3).fails(0).succeeds(1).starts(&[]).is(2, NodeState::Waiting);
    story.decides(0, true).starts(&[(0, 0), (2, 0)]);
}

#[test]
fn a_run_that_drains_heals_nothing() {
    let nodes = vec![Node::plain("a"), Node::plain("c"), body(1, 0, 0)];
    let mut story = Story::with(4, parts(nodes));
    story.fails(1).fails(0).is(0, NodeState::Failed);
    assert_eq!(story.verdict().state, RunEnd::Failed);
    assert!(!story.core.state().is_awake(n(2)));
}

#[test]
fn a_cancel_stops_a_body_and_the_stage_counts_as_failed() {
    let mut story = ladder(2, 5);
    story.fails(0).starts(&[(2, 0)]);
    story.cancel(CancelLevel::Stop);
    story.shard(2, 0, Outcome::Signal(15)).is(2, NodeState::Cancelled).is(0, NodeState::Failed);
    assert_eq!(story.verdict().state, RunEnd::Cancelled);
}

#[test]
fn a_body_that_was_lost_with_its_engine_is_run_again_and_healing_goes_on() {
    let mut story = ladder(2, 5);
    story.fails(0).starts(&[(2, 0)]).gap(5_000).starts(&[(2, 0)]).succeeds(2).wait(100).succeeds(0);
    story.succeeds(1);
    assert_eq!(story.verdict().state, RunEnd::Success);
}

#[test]
fn a_new_try_of_the_run_begins_with_the_first_body() {
    let mut story = ladder(1, 5);
    story.fails(0).succeeds(2).wait(100).fails(0);
    assert_eq!(story.verdict().state, RunEnd::Failed);
    story.gap(1_000).starts(&[(0, 0)]).is(2, NodeState::Pending);
    assert!(!story.core.state().is_awake(n(2)));
    story.fails(0).has(&healing(HealStep::Began { body: n(2), level: 1 })).succeeds(2).wait(100).succeeds(0);
    story.succeeds(1);
    assert_eq!(story.verdict().state, RunEnd::Success);
}

#[test]
fn only_what_failed_of_a_sharded_stage_is_tried_again() {
    let sharded = stage("a", |node| node.rules.shards = 3);
    let mut story = Story::with(4, parts(vec![sharded, body(1, 0, 0)]));
    story.shard(0, 0, Outcome::Success).shard(0, 1, Outcome::Exit(1)).shard(0, 2, Outcome::Success);
    story.starts(&[(1, 0)]).succeeds(1).starts(&[(0, 1)]);
    story.shard(0, 1, Outcome::Success);
    assert_eq!(story.verdict().state, RunEnd::Success);
}

#[test]
fn the_preview_of_a_resume_foresees_the_body_its_cool_down_and_the_stage() {
    let mut story = ladder(2, 5);
    let fates = |story: &Story| story.foreseen().iter().map(|it| it.fate.clone()).collect::<Vec<_>>();
    story.fails(0).starts(&[(2, 0)]);
    assert_eq!(fates(&story)[..3], [Fate::Starts, Fate::Starts, Fate::Starts]);
    assert!(!story.foreseen()[n(3)].is_awake, "the second body is not called");
    story.succeeds(2);
    assert_eq!(fates(&story)[..3], [Fate::Starts, Fate::Starts, Fate::Kept]);
}

#[test]
fn the_preview_of_a_halted_run_says_for_whom_all_waits() {
    let mut nodes = vec![Node::plain("a"), Node::plain("c"), after("d", &[1])];
    nodes.extend([body(1, 0, 0), body(2, 0, 0), stage("tidy", |node| node.phase = Phase::Finally)]);
    let mut parts = parts(nodes);
    parts.settings.heal_depth = Some(1);
    let mut story = Story::with(4, parts);
    story.fails(0).succeeds(3).fails(0).succeeds(1).starts(&[]);
    let told = [0, 2, 5].map(|raw| story.foreseen()[n(raw)].fate.clone());
    assert_eq!(told, [Fate::Asked, Fate::Waits(Some(n(0))), Fate::Waits(None)]);
}

#[test]
fn a_cancel_does_not_wait_for_whom_a_halted_run_waits() {
    let mut story = ladder(2, 1);
    story.fails(0).succeeds(2).wait(100).fails(0);
    story.cancel(CancelLevel::Stop).is(0, NodeState::Failed).run_ends_as(RunEnd::Cancelled);
}

#[test]
fn a_stage_of_which_something_is_unknown_is_not_healed() {
    let once = stage("a", |node| (node.rules.shards, node.rules.idempotent) = (2, false));
    let mut story = Story::with(4, parts(vec![once, body(1, 0, 0)]));
    story.shard(0, 0, Outcome::Exit(1)).shard(0, 1, Outcome::Signal(9)).is(0, NodeState::Unknown).starts(&[]);
    assert!(!story.core.state().is_awake(n(1)));
}

/// a, with two bodies of which one is tried before a person is asked; and c and d, which share a pool with room for one of
/// them: d waits for it no longer than three seconds.
fn queued(policy: Policy) -> Story {
    let shares = |id: &str, queue: Option<u64>| {
        stage(id, |node| {
            (node.rules.pools, node.rules.queue) = (vec![(PoolIx::new(0), 1)], queue.map(Span::from_ms));
        })
    };
    let nodes = vec![Node::plain("a"), shares("c", None), shares("d", Some(3000)), body(1, 0, 0), body(2, 0, 0)];
    let mut parts = parts(nodes);
    parts.pools = vec![Pool { name: "memory".to_owned(), capacity: 1 }];
    (parts.settings.heal_depth, parts.scopes[0].policy) = (Some(1), policy);
    Story::with(4, parts)
}

#[test]
fn no_queue_clock_runs_while_a_run_is_halted() {
    let mut story = queued(Policy::Drain);
    story.wait(1000).fails(0).succeeds(3).fails(0).has(&healing(HealStep::Halted { level: 1 }));
    story.wait(60_000).is(2, NodeState::Waiting);
    // All of its time is left.
    story.decides(0, true).wait(2999).is(2, NodeState::Waiting).wait(1).is(2, NodeState::TimedOut);
}

#[test]
fn the_failure_that_counts_is_the_one_after_the_healing() {
    let timed = |node: Node| Node { rules: Rules { timeout: Some(Span::from_ms(50)), ..node.rules }, ..node };
    let mut story = Story::with(4, parts(vec![timed(Node::plain("a")), timed(body(1, 0, 0))]));
    story.wait(50).ends(0, Outcome::Signal(15)).starts(&[(1, 0)]).succeeds(1).fails(0).is(0, NodeState::Failed);
    // The same of a body, in another try of the run.
    story.gap(1_000).fails(0).starts(&[(1, 0)]).wait(50).ends(1, Outcome::Signal(15)).is(1, NodeState::TimedOut);
    story.gap(1_000).fails(0).starts(&[(1, 0)]).fails(1).is(1, NodeState::Failed);
}

#[test]
fn an_edit_of_a_halted_run_takes_the_question_back() {
    let nodes = || vec![Node::plain("a"), body(1, 0, 0), body(2, 0, 0)];
    let version = || {
        let mut parts = parts(nodes());
        parts.settings.heal_depth = Some(1);
        graph(parts)
    };
    let mut story = Story::versions(4, vec![version(), version()]);
    story.fails(0).succeeds(1).fails(0).has(&healing(HealStep::Halted { level: 1 }));
    super::recover::edited(&mut story).starts(&[(0, 0)]);
    assert!(!story.core.state().is_guarded());
    story.succeeds(0).run_ends_as(RunEnd::Success);
}

/// A service, a stage that needs it, and two bodies that heal the stage, of which one is tried before a person is asked.
fn served() -> Story {
    let up = stage("up", |node| node.rules.is_service = true);
    let mut parts = parts(vec![up, after("a", &[0]), body(1, 1, 0), body(2, 1, 0)]);
    parts.settings.heal_depth = Some(1);
    Story::with(4, parts)
}

#[test]
fn a_run_ends_although_a_body_cannot_start() {
    let mut story = served();
    story.succeeds(0).fails(1).starts(&[(2, 0)]);
    // What the stage counts on does not come up again.
    story.resume().starts(&[(0, 0)]).fails(0).is(2, NodeState::Blocked).run_ends_as(RunEnd::Failed);
}

#[test]
fn a_halted_run_is_released_before_a_service_comes_up_again() {
    let mut story = served();
    story.succeeds(0).fails(1).fails(2).resume().starts(&[]);
    story.decides(1, true).starts(&[(0, 0)]).succeeds(0).starts(&[(1, 0)]);
    story.succeeds(1).run_ends_as(RunEnd::Success);
}

/// Two shards of which the first is tried again a second after it failed by 7, and their body with this cool-down.
fn two_shards(cool_down: u64) -> Story {
    let again = Retry { when: vec![RetryWhen::Exit(vec![7])], ..retry(1, 1000) };
    let sharded = stage("a", |node| (node.rules.shards, node.rules.retry) = (2, Some(Box::new(again))));
    let mut parts = parts(vec![sharded, body(1, 0, cool_down), body(2, 0, 0)]);
    parts.settings.heal_depth = Some(1);
    Story::with(4, parts)
}

#[test]
fn what_waits_for_its_own_delay_waits_for_the_longer_of_that_and_the_cool_down() {
    let ends = |cool_down: u64| {
        let mut story = two_shards(cool_down);
        story.shard(0, 0, Outcome::Exit(7)).shard(0, 1, Outcome::Exit(1)).starts(&[(1, 0)]).succeeds(1);
        story.is(0, NodeState::Retrying).starts(&[]);
        story
    };
    ends(100).wait(100).starts(&[(0, 1)]).wait(899).starts(&[]).wait(1).starts(&[(0, 0)]);
    ends(5000).wait(4999).starts(&[]).wait(1).starts(&[(0, 0), (0, 1)]);
}

#[test]
fn without_a_cool_down_a_re_try_that_was_not_scheduled_yet_is_scheduled() {
    let mut story = two_shards(0);
    let ends = |shard: u32, code: i32| {
        let (attempt, outcome) = (Attempt { node: n(0), shard, number: 1 }, Outcome::Exit(code));
        Input::Done { attempt, outcome, took: Span::from_ms(1), result: Box::default() }
    };
    story.tell_all(vec![ends(0, 7), ends(1, 1)]).starts(&[(1, 0)]);
    let (attempt, at) = (Attempt { node: n(0), shard: 0, number: 2 }, Millis::new(1000));
    story.succeeds(1).has(&Event::RetryScheduled { attempt, at }).starts(&[(0, 1)]);
}

#[test]
fn a_person_who_releases_a_stage_says_nothing_about_its_shards() {
    let mut story = two_shards(0);
    story.shard(0, 0, Outcome::Exit(7)).shard(0, 1, Outcome::Exit(1)).succeeds(1);
    story.shard(0, 1, Outcome::Exit(1)).has(&healing(HealStep::Halted { level: 1 })).decides(0, true);
    story.starts(&[(0, 1)]).wait(1000).starts(&[(0, 0)]);
}

#[test]
fn what_had_not_started_starts_with_what_is_tried_again() {
    for cool_down in [0, 100] {
        // `x` is first by what follows it, and takes one of two slots until `a` has failed.
        let sharded = stage("a", |node| node.rules.shards = 2);
        let nodes = vec![Node::plain("x"), after("y", &[0]), sharded, body(1, 2, cool_down)];
        let mut story = Story::with(2, parts(nodes));
        story.starts(&[(0, 0), (2, 0)]).fails(2).starts(&[(3, 0)]).succeeds(0).succeeds(1).succeeds(3);
        if cool_down > 0 {
            story.starts(&[]).wait(cool_down);
        }
        story.starts(&[(2, 0), (2, 1)]);
    }
}

#[test]
fn a_failure_that_is_allowed_is_not_healed() {
    let lenient = stage("a", |node| node.rules.allow_failure = AllowFailure::Exit(vec![3]));
    let mut story = Story::with(4, parts(vec![lenient, body(1, 0, 0)]));
    story.ends(0, Outcome::Exit(3)).is(0, NodeState::AllowedFailure).run_ends_as(RunEnd::Success);
}

#[test]
fn healing_gives_the_items_back_that_had_failed() {
    let split = Split { size: 2, allow_failed: Some(AllowFailed::Items(3)), ..Split::default() };
    let mut story = Story::with(4, parts(vec![sharded(6, split), body(1, 0, 0)]));
    story.shard(0, 0, Outcome::Exit(1)).shard(0, 1, Outcome::Exit(1)).shard(0, 2, Outcome::Success);
    story.starts(&[(1, 0)]).succeeds(1).starts(&[(0, 0), (0, 1)]);
    story.shard(0, 0, Outcome::Exit(1)).shard(0, 1, Outcome::Success).is(0, NodeState::Success);
}

#[test]
fn a_drain_waits_for_a_body_and_the_failure_counts_after_it() {
    let mut story = Story::with(4, parts(vec![Node::plain("a"), Node::plain("c"), body(1, 0, 0)]));
    story.fails(0).starts(&[(2, 0)]).fails(1).is(0, NodeState::Retrying);
    story.succeeds(2).starts(&[]).is(0, NodeState::Failed).run_ends_as(RunEnd::Failed);
}

#[test]
fn a_body_is_as_if_it_had_never_run_when_its_turn_comes_again() {
    let tried =
        Node { rules: Rules { retry: Some(Box::new(retry(1, 10))), ..body(1, 0, 0).rules }, ..body(1, 0, 0) };
    let mut parts = parts(vec![Node::plain("a"), tried, body(2, 0, 0)]);
    parts.settings.heal_depth = Some(1);
    let mut story = Story::with(4, parts);
    story.fails(0).fails(1).is(1, NodeState::Retrying).wait(10).starts(&[(1, 0)]);
    let (attempt, outputs) = (story.number(1, 0), vec![("n".to_owned(), 1.into())]);
    let result = Box::new(ShardResult { outputs, ..ShardResult::default() });
    story.tell(Input::Done { attempt, outcome: Outcome::Success, took: Span::from_ms(1), result });
    story.fails(0).decides(0, true).fails(0).starts(&[(1, 0)]);
    assert!(story.core.state().outputs(n(1)).is_empty(), "what it left then is not there any more");
    // All its re-tries are.
    story.fails(1).is(1, NodeState::Retrying);
}

#[test]
fn what_a_person_said_of_a_body_is_no_word_about_its_next_turn() {
    let once = Node { rules: Rules { idempotent: false, ..body(1, 0, 0).rules }, ..body(1, 0, 0) };
    let mut parts = parts(vec![Node::plain("a"), once, body(2, 0, 0)]);
    parts.settings.heal_depth = Some(1);
    let mut story = Story::with(4, parts);
    story.fails(0).ends(1, Outcome::Signal(9)).is(1, NodeState::Unknown).resolves(1, Resolution::Success);
    story.fails(0).decides(0, true).fails(0).starts(&[(1, 0)]).succeeds(1).has(&finished(1, NodeState::Success));
}

#[test]
fn a_stage_whose_body_is_done_waits_for_its_service() {
    let mut story = served();
    story.succeeds(0).fails(1).succeeds(2).then_ends_with(&retried(1, 2));
    // The engine died before it was recorded that the stage is tried again.
    let mut early = story.without_last(2);
    early.resume().starts(&[(0, 0)]).is(2, NodeState::Success).is(1, NodeState::Waiting);
    early
        .succeeds(0)
        .has(&Event::Healing { node: n(1), step: HealStep::Ended { due: Millis::ZERO } })
        .starts(&[(1, 0)]);
}

#[test]
fn queue_clocks_run_again_when_a_person_lets_the_failure_of_a_halted_stage_count() {
    let mut story = queued(Policy::Continue);
    story.fails(0).succeeds(3).fails(0).wait(60_000).decides(0, false).is(0, NodeState::Failed);
    story.wait(2999).is(2, NodeState::Waiting).wait(1).is(2, NodeState::TimedOut);
}

/// `bad`; `slow`, in a scope of its own that is killed by a failure in it; `cure`, which handles the failure of `bad`, in
/// the same scope and with so many shards, two at once; and two bodies that heal it, 3 and 4, of which one is tried.
fn cure(shards: u32) -> Story {
    let accept = Accept { success: false, skipped: false, failed: true };
    let cure = stage("cure", |node| {
        (node.needs, node.rules.shards) = (vec![Need { node: n(0), accept }], shards);
        (node.scope, node.rules.pools) = (ScopeIx::new(1), vec![(PoolIx::new(0), 1)]);
    });
    let slow = stage("slow", |node| node.scope = ScopeIx::new(1));
    let mut tidy = after("tidy", &[1, 0]);
    tidy.needs[1].accept = accept;
    let mut parts = parts(vec![Node::plain("bad"), slow, cure, body(1, 2, 0), body(2, 2, 0), tidy]);
    parts.scopes.push(Scope { parent: Some(ScopeIx::new(0)), name: "inner".to_owned(), policy: Policy::Kill });
    parts.pools = vec![Pool { name: "two".to_owned(), capacity: 2 }];
    parts.settings.heal_depth = Some(1);
    Story::with(4, parts)
}

#[test]
fn a_handler_that_has_halted_holds_no_other_handler_back() {
    let mut story = cure(1);
    story.fails(0).starts(&[(2, 0)]).fails(2).starts(&[(3, 0)]).succeeds(3).starts(&[(2, 0)]).fails(2).starts(&[]);
    assert!(!story.core.state().is_guarded(), "the run drains");
    story.succeeds(1).starts(&[(5, 0)]);
}

#[test]
fn what_its_scope_has_stopped_is_not_healed_and_starts_no_more_of_it() {
    let mut story = cure(2);
    story.fails(0).starts(&[(2, 0), (2, 1)]).shard(2, 0, Outcome::Exit(1)).fails(1);
    story.shard(2, 1, Outcome::Signal(15)).starts(&[]).is(2, NodeState::Failed);
    let mut story = cure(3);
    story.fails(0).starts(&[(2, 0), (2, 1)]).fails(1).starts(&[]);
    story.shard(2, 0, Outcome::Signal(15)).starts(&[]).shard(2, 1, Outcome::Signal(15)).starts(&[]);
    story.is(2, NodeState::Cancelled);
}

#[test]
fn a_release_that_comes_with_a_cancel_is_told_as_what_it_was() {
    let mut story = ladder(2, 1);
    story.fails(0).succeeds(2).wait(100).fails(0);
    let (by, note) = ("ann".to_owned(), String::new());
    let (level, why) = (CancelLevel::Stop, CancelReason::Person);
    let cancel = Input::Cancel { level, why, by: by.clone() };
    story.tell_all(vec![cancel, Input::Decide { node: n(0), approved: true, by, note }]);
    let reason = "released by ann".to_owned();
    story.has(&Event::NodeFinished { node: n(0), state: NodeState::Failed, reason });
}
