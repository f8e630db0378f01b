//! What an edited plan makes of stages that have begun.

use std::sync::Arc;

use super::recover::edited;
use super::*;
use crate::graph::model::{Items, Process, Split, Work};

/// A stage over these items, so many a shard.
fn listed(items: &[&str], size: u32, change: impl FnOnce(&mut Node)) -> Node {
    let texts: Vec<Box<str>> = items.iter().map(|&item| item.into()).collect();
    let mut node = stage("pack", change);
    let count = u32::try_from(items.len()).expect("few");
    node.rules.shards = count.div_ceil(size);
    node.rules.split = Some(Box::new(Split { items: u64::from(count), size, ..Split::default() }));
    let items = Items::List { items: Arc::new(texts), size, is_json: false };
    node.work = Work::Process(Box::new(Process { items, ..Process::default() }));
    node
}

const ONCE: fn(&mut Node) = |node| node.rules.idempotent = false;
const ASKED: fn(&mut Node) = |node| (node.rules.idempotent, node.rules.has_done_if) = (false, true);
const SIX: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// Two of three slices of two items have had their turn: the first is done, the second ends so.
fn begun(end: Outcome, rules: fn(&mut Node), then: Node) -> Story {
    let old = graph(parts(vec![listed(&SIX, 2, rules)]));
    let mut story = Story::versions(1, vec![old, graph(parts(vec![then]))]);
    story.shard(0, 0, Outcome::Success).starts(&[(0, 1)]).shard(0, 1, end);
    story
}

impl Story {
    fn slices(&self) -> Vec<(u64, u64)> {
        let state = self.core.state();
        let range = |shard| state.slice(n(0), shard).expect("a sharded stage").range;
        (0..state.shards_of(n(0))).map(|shard| (range(shard).start, range(shard).end)).collect()
    }
}

#[test]
fn what_has_started_keeps_its_items_and_only_the_rest_is_cut_anew() {
    let mut story = begun(Outcome::Signal(9), ONCE, listed(&SIX, 1, ONCE));
    edited(story.is(0, NodeState::Unknown)).is(0, NodeState::Unknown).starts(&[]);
    assert_eq!(story.slices(), [(0, 2), (2, 4), (4, 5), (5, 6)]);
    assert_eq!(story.core.state().progress(n(0)).success, 1, "the first slice stays done");
    // A person's word holds for the one slice of which nobody knew.
    story.resolves(0, Resolution::Success).starts(&[(0, 2), (0, 3)]);
    story.shard(0, 2, Outcome::Success).shard(0, 3, Outcome::Success).run_ends(RunEnd::Success);
}

#[test]
fn the_cut_of_what_is_left_is_a_fact() {
    let mut story = begun(Outcome::Signal(9), ONCE, listed(&SIX, 1, ONCE));
    edited(&mut story).resolves(0, Resolution::Success);
    let cut = crate::graph::shards::Cut { shard: 2, item: 4, size: 1 };
    story.has(&Event::ShardsCut { node: n(0), cut, why: CutReason::First, p95: Span::ZERO });
}

#[test]
fn a_slice_of_which_nobody_knew_is_done_again_beside_the_rest() {
    let mut story = begun(Outcome::Signal(9), ONCE, listed(&SIX, 4, ONCE));
    edited(&mut story).resolves(0, Resolution::Rerun).starts(&[(0, 1), (0, 2)]);
    assert_eq!(story.slices(), [(0, 2), (2, 4), (4, 6)]);
}

#[test]
fn more_items_at_the_end_change_no_slice_that_has_started() {
    let five = ["a", "b", "c", "d", "e"];
    let old = graph(parts(vec![listed(&five, 2, ONCE)]));
    let new = graph(parts(vec![listed(&["a", "b", "c", "d", "e", "f", "g"], 2, ONCE)]));
    let mut story = Story::versions(3, vec![old, new]);
    story.shard(0, 2, Outcome::Success);
    edited(&mut story).starts(&[]);
    assert_eq!(story.slices(), [(0, 2), (2, 4), (4, 5), (5, 7)], "the short slice stays short");
    story.is(0, NodeState::Unknown).resolves(0, Resolution::Success).starts(&[(0, 3)]);
}

#[test]
fn a_kept_cut_outlives_another_edit() {
    let then = |grace: u64| {
        listed(&SIX, 1, |node| (node.rules.idempotent, node.rules.grace) = (false, Span::from_ms(grace)))
    };
    let versions = [listed(&SIX, 2, ONCE), then(1), then(2)].map(|node| graph(parts(vec![node])));
    let mut story = Story::versions(1, versions.into());
    story.shard(0, 0, Outcome::Success).shard(0, 1, Outcome::Success);
    // The third slice is lost, of what is left nothing is.
    edited(&mut story).resolves(0, Resolution::Success).run_ends(RunEnd::Success);
    assert_eq!(story.slices(), [(0, 2), (2, 4), (4, 6)]);
    edited(&mut story).is(0, NodeState::Success);
    assert_eq!(story.slices(), [(0, 2), (2, 4), (4, 6)]);
}

#[test]
fn other_items_leave_all_of_a_stage_in_doubt_that_must_not_be_repeated() {
    let other = ["x", "a", "b", "c", "d", "e", "f"];
    let mut story = begun(Outcome::Success, ONCE, listed(&other, 2, ONCE));
    edited(&mut story).is(0, NodeState::Unknown).starts(&[]);
    story.resolves(0, Resolution::Success).starts(&[]).run_ends(RunEnd::Success);
    // Each of the new slices is asked about, also those whose number had not started.
    let mut story = begun(Outcome::Success, ASKED, listed(&other, 2, ASKED));
    edited(&mut story).starts(&[]);
    let kind = CheckKind::DoneIf;
    for shard in 0..4 {
        story.has(&Event::CheckStarted { node: n(0), shard, kind });
    }
    for shard in 0..4 {
        story.tell(Input::Checked { node: n(0), shard, kind, answer: Answer::Yes(Box::default()) });
    }
    story.run_ends(RunEnd::Success);
}

#[test]
fn a_stage_that_may_be_repeated_is_done_anew_by_the_new_cut() {
    let mut story = begun(Outcome::Exit(1), |_| (), listed(&SIX, 3, |_| ()));
    edited(&mut story).starts(&[(0, 0), (0, 1)]);
    assert_eq!(story.slices(), [(0, 3), (3, 6)]);
    story.shard(0, 0, Outcome::Success).shard(0, 1, Outcome::Success).run_ends(RunEnd::Success);
}

/// A stage that may be repeated, until an edit says that it must not be.
fn once_by_edit(then: fn(&mut Node)) -> Story {
    let version = |change: fn(&mut Node)| {
        graph(parts(vec![stage("a", |node| {
            node.rules.retry = Some(Box::new(retry(2, 50)));
            change(node);
        })]))
    };
    Story::versions(8, vec![version(|_| ()), version(then)])
}

#[test]
fn an_attempt_that_was_lost_is_in_doubt_once_the_same_resume_forbids_to_repeat_it() {
    edited(&mut once_by_edit(ONCE)).starts(&[]).is(0, NodeState::Unknown);
    let mut story = once_by_edit(ASKED);
    edited(&mut story).starts(&[]).has(&Event::CheckStarted { node: n(0), shard: 0, kind: CheckKind::DoneIf });
    story.answers(0, CheckKind::DoneIf, Answer::No).has(&retried(0, 2));
}

#[test]
fn whatever_ended_by_force_is_in_doubt_once_an_edit_forbids_to_repeat_it() {
    // It waits for its re-try, it has failed for good, or it was stopped with the run.
    edited(once_by_edit(ONCE).ends(0, Outcome::Signal(9)).is(0, NodeState::Retrying)).is(0, NodeState::Unknown);
    let mut story = once_by_edit(ONCE);
    for _ in 0..3 {
        story.ends(0, Outcome::Signal(9)).wait(50);
    }
    edited(story.is(0, NodeState::Failed)).starts(&[]).is(0, NodeState::Unknown);
    let mut story = once_by_edit(ONCE);
    story.cancel(CancelLevel::Stop).ends(0, Outcome::Signal(15)).run_ends(RunEnd::Cancelled);
    // The engine that goes on with it dies before it starts anything.
    story.resume();
    let mut story = story.without_last(1);
    edited(&mut story).starts(&[]).is(0, NodeState::Unknown);
}

#[test]
fn what_shards_took_is_measured_by_the_target_of_the_edited_plan() {
    let with = |target: u64| {
        let mut node = listed(&SIX, 1, |_| ());
        let split = node.rules.split.as_mut().expect("it has items");
        (split.size, split.target, node.rules.shards) = (2, Some(Span::from_ms(target)), 3);
        node
    };
    let versions = [with(1000), with(10)].map(|node| graph(parts(vec![node])));
    let mut story = Story::versions(1, versions.into());
    story.shard(0, 0, Outcome::Success);
    assert_eq!(story.core.state().p95(n(0)), Some(Span::from_ms(1)));
    edited(&mut story);
    assert_eq!(story.core.state().p95(n(0)), Some(Span::from_ms(1)), "it is not forgotten");
}

#[test]
fn what_was_cut_anew_is_in_doubt_as_a_whole_once_an_edit_forbids_to_repeat_it() {
    let versions = [listed(&SIX, 2, |_| ()), listed(&SIX, 3, |_| ()), listed(&SIX, 3, ONCE)];
    let mut story = Story::versions(1, versions.map(|node| graph(parts(vec![node]))).into());
    story.shard(0, 0, Outcome::Success);
    edited(&mut story).tell(Input::Pause { on: true, by: String::new() });
    edited(&mut story).is(0, NodeState::Unknown).starts(&[]);
    story.resolves(0, Resolution::Success).starts(&[]).run_ends(RunEnd::Success);
}

#[test]
fn a_stage_that_was_left_out_for_a_while_keeps_what_it_had_done() {
    let with = |selected: bool| {
        let node = Node { selected, ..listed(&SIX, 2, |_| ()) };
        graph(parts(vec![node]))
    };
    let mut story = Story::versions(1, vec![with(true), with(false), with(true)]);
    story.shard(0, 0, Outcome::Success);
    edited(&mut story).is(0, NodeState::Skipped);
    edited(&mut story).starts(&[(0, 1), (0, 2)]);
    story.shard(0, 1, Outcome::Success).shard(0, 2, Outcome::Success).run_ends(RunEnd::Success);
}

#[test]
fn a_failure_that_is_known_is_tried_again_whatever_an_edit_says() {
    edited(once_by_edit(ONCE).fails(0)).is(0, NodeState::Retrying);
    // What had been cut off is no matter any more once a later attempt failed in a way that is known.
    let mut story = once_by_edit(ONCE);
    story.ends(0, Outcome::Signal(9)).wait(50).fails(0);
    edited(&mut story).is(0, NodeState::Retrying).wait(50).starts(&[(0, 0)]);
}

#[test]
fn a_person_s_order_takes_the_doubt_back() {
    let mut story = once_by_edit(ONCE);
    story.ends(0, Outcome::Signal(9));
    story.tell(Input::Recover {
        resumed: Box::new(resumed(0)),
        plan_version: Some(2),
        changed: vec![],
        rerun: vec![n(0)],
        failed: vec![],
    });
    story.starts(&[(0, 0)]);
}

#[test]
fn a_stage_that_was_an_approval_for_a_while_goes_on_with_new_numbers() {
    let process = |grace: u64| graph(parts(vec![stage("a", |node| node.rules.grace = Span::from_ms(grace))]));
    let approval = graph(parts(vec![stage("a", |node| node.rules.is_approval = true)]));
    let mut story = Story::versions(8, vec![process(1), approval, process(2)]);
    edited(&mut story).is(0, NodeState::Waiting).starts(&[]);
    edited(&mut story).has(&retried(0, 2)).succeeds(0).run_ends(RunEnd::Success);
}

#[test]
fn a_question_is_in_no_doubt_though_what_it_was_before_is() {
    let once = stage("a", |node| node.rules.idempotent = false);
    let asks = stage("a", |node| (node.rules.is_approval, node.rules.idempotent) = (true, false));
    let mut story = Story::versions(8, vec![graph(parts(vec![once.clone()])), graph(parts(vec![asks.clone()]))]);
    story.ends(0, Outcome::Signal(9)).is(0, NodeState::Unknown);
    edited(&mut story).is(0, NodeState::Waiting).decides(0, true).run_ends(RunEnd::Success);
    // What had not run because of it is a question now too, and is asked.
    let again = vec![graph(parts(vec![once.clone()])), graph(parts(vec![asks])), graph(parts(vec![once]))];
    let mut story = Story::versions(8, again);
    story.fails(0).run_ends(RunEnd::Failed);
    edited(&mut story).is(0, NodeState::Waiting);
    // Once it runs something again, what it did before counts.
    edited(&mut story).is(0, NodeState::Unknown).starts(&[]);
}

#[test]
fn what_was_in_doubt_and_allowed_stays_in_doubt_when_it_is_cut_anew() {
    let version = |size: u32, is_safe: bool| {
        let pack = listed(&SIX, size, |node| {
            node.rules.allow_failure = crate::plan::model::AllowFailure::Any;
            node.rules.idempotent = is_safe;
            node.needs = after("pack", &[1]).needs;
        });
        graph(parts(vec![pack, Node::plain("a"), Node::plain("other")]))
    };
    let mut story = Story::versions(8, vec![version(3, true), version(2, true), version(2, false)]);
    story.succeeds(1).shard(0, 0, Outcome::Success).shard(0, 1, Outcome::Signal(9));
    story.is(0, NodeState::AllowedFailure);
    edited(&mut story).is(0, NodeState::AllowedFailure).starts(&[(2, 0)]);
    edited(&mut story).is(0, NodeState::AllowedFailure).starts(&[(2, 0)]);
    // Run again only because what it needs is: any of the new slices may be the one that was cut off.
    story.rerun(&[1]).starts(&[(1, 0), (2, 0)]).succeeds(1).starts(&[]).is(0, NodeState::Unknown);
}

#[test]
fn what_an_edit_left_out_half_done_and_another_takes_in_goes_on_with_its_slices() {
    let out = listed(&SIX, 2, |node| (ASKED(node), node.selected = false).1);
    let versions = [listed(&SIX, 2, ASKED), out, listed(&SIX, 1, ASKED)];
    let mut story = Story::versions(1, versions.map(|node| graph(parts(vec![node]))).into());
    story.shard(0, 0, Outcome::Success).starts(&[(0, 1)]);
    edited(&mut story).is(0, NodeState::Skipped).run_ends(RunEnd::Success);
    edited(&mut story).has(&Event::CheckStarted { node: n(0), shard: 1, kind: CheckKind::DoneIf });
    story.tell(Input::Checked {
        node: n(0),
        shard: 1,
        kind: CheckKind::DoneIf,
        answer: Answer::Yes(Box::default()),
    });
    story
        .shard(0, 2, Outcome::Success)
        .shard(0, 3, Outcome::Success)
        .is(0, NodeState::Success)
        .run_ends(RunEnd::Success);
}

/// A stage of this text is cut off; then one edit leaves it out, and the next one brings it back.
fn left_out_for_a_while(rules: fn(&mut Node), back: fn(&mut Node)) -> Story {
    let version = |selected: bool, rules: fn(&mut Node)| {
        graph(parts(vec![Node { selected, ..stage("a", rules) }, Node::plain("other")]))
    };
    let mut story = Story::versions(8, vec![version(true, rules), version(false, rules), version(true, back)]);
    edited(&mut story).is(0, NodeState::Skipped);
    edited(&mut story);
    story
}

#[test]
fn what_was_cut_off_before_an_edit_left_it_out_is_asked_once_it_is_back() {
    let is_done: fn(&mut Node) = |node| node.rules.has_done_if = true;
    let ask = Event::CheckStarted { node: n(0), shard: 0, kind: CheckKind::DoneIf };
    for rules in [is_done, ASKED] {
        let mut story = left_out_for_a_while(rules, rules);
        story.has(&ask).answers(0, CheckKind::DoneIf, Answer::Yes(Box::default())).is(0, NodeState::Success);
    }
    // What can't be asked any more is done again, or left to a person.
    left_out_for_a_while(is_done, |_| ()).has(&retried(0, 2));
    left_out_for_a_while(ASKED, ONCE).is(0, NodeState::Unknown);
    // Nor is it forgotten when there was nothing to ask it by before.
    left_out_for_a_while(|_| (), is_done).has(&ask);
    left_out_for_a_while(|_| (), |_| ()).has(&retried(0, 2));
}

impl Story {
    /// The attempts that the last news started: shard and number.
    pub(super) fn numbers(&self) -> Vec<(u32, u16)> {
        let mut started = Vec::new();
        for event in &self.last {
            crate::run::input::commands(event, |command| {
                if let crate::run::Command::Start(it) = command {
                    started.push((it.shard, it.number));
                }
            });
        }
        started
    }
}

#[test]
fn no_number_is_used_twice_when_a_cut_shrinks_and_grows_again() {
    let size =
        |size: u32| graph(parts(vec![listed(&SIX, size, |node| node.rules.retry = Some(Box::new(retry(1, 0))))]));
    let mut story = Story::versions(8, vec![size(2), size(6), size(1)]);
    assert_eq!(story.numbers(), [(0, 1), (1, 1), (2, 1)]);
    assert_eq!(edited(&mut story).numbers(), [(0, 2)]);
    assert_eq!(edited(&mut story).numbers(), [(0, 3), (1, 2), (2, 2), (3, 1), (4, 1), (5, 1)]);
    // What there was before costs no re-try.
    story
        .shard(0, 1, Outcome::Exit(1))
        .has(&Event::ShardRetried { attempt: Attempt { node: n(0), shard: 1, number: 3 } });
    story.shard(0, 1, Outcome::Exit(1)).is(0, NodeState::Running);
    assert_eq!(story.core.state().progress(n(0)).failed, 1);
}

#[test]
fn no_number_is_used_twice_when_a_stage_is_gone_for_a_while() {
    let with = |shards: Option<u32>| {
        let pack = shards.map(|shards| stage("pack", |node| node.rules.shards = shards));
        graph(parts([Node::plain("other")].into_iter().chain(pack).collect()))
    };
    let mut story = Story::versions(8, vec![with(Some(2)), with(None), with(None), with(Some(1)), with(Some(3))]);
    for expected in [vec![(0, 2)], vec![(0, 3)], vec![(0, 4), (0, 2)], vec![(0, 5), (0, 3), (1, 2), (2, 1)]] {
        assert_eq!(edited(&mut story).numbers(), expected);
    }
}

#[test]
fn no_number_is_used_twice_however_often_a_cut_shrinks_and_grows() {
    let size = |size: u32| graph(parts(vec![listed(&SIX, size, |_| ())]));
    let versions = [3, 6, 3, 6, 3].map(size);
    let mut story = Story::versions(8, versions.into());
    let mut last = story.numbers();
    for _ in 0..4 {
        let now = edited(&mut story).numbers();
        last.extend(now);
    }
    let distinct: std::collections::BTreeSet<_> = last.iter().collect();
    assert_eq!(distinct.len(), last.len(), "{last:?}");
}
