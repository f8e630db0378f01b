//! Stages whose items are done by workers that live on.

use super::recover::edited;
use super::*;
use crate::base::limits;
use crate::graph::model::{Items, Pool, Process, Split, Work};
use crate::plan::model::{AllowFailed, Rate};

/// A stage over `items` numbers for workers that may have `in_flight` each.
fn crewed(items: u32, in_flight: u32, change: impl FnOnce(&mut Node)) -> Node {
    stage("hash", |node| {
        let split = Split { size: 1, items: u64::from(items), in_flight: Some(in_flight), ..Split::default() };
        let work = Process { items: Items::Range { count: u64::from(items), size: 1 }, ..Process::default() };
        node.rules.shards = items;
        node.rules.split = Some(Box::new(split));
        node.work = Work::Process(Box::new(work));
        change(node);
    })
}

fn at(shard: u32, number: u16) -> Attempt {
    Attempt { node: n(0), shard, number }
}

fn started(first: u32, count: u32) -> Event {
    Event::ShardsStarted { node: n(0), first, count }
}

fn hired(count: u32) -> Event {
    Event::CrewHired { node: n(0), count }
}

fn finished(first: u32, count: u32, took_ms: u64) -> Event {
    Event::ShardsFinished { node: n(0), first, count, took: Span::from_ms(took_ms) }
}

fn dismissed(how: StopKind) -> Event {
    Event::CrewDismissed { node: n(0), how }
}

fn ended(state: NodeState) -> Event {
    Event::NodeFinished { node: n(0), state, reason: String::new() }
}

impl Story {
    fn answered(&mut self, runs: &[(u32, u32)]) -> &mut Self {
        self.tell(Input::Answered { node: n(0), runs: runs.to_vec(), took: Span::from_ms(10) })
    }

    fn done(&mut self, shard: u32, number: u16, outcome: Outcome) -> &mut Self {
        self.tell(Input::Done { attempt: at(shard, number), outcome, took: Span::ZERO, result: Box::default() })
    }

    fn lost(&mut self, why: &str, shards: &[(u32, u16)]) -> &mut Self {
        let why = Some(why.to_owned()).filter(|why| !why.is_empty());
        self.tell(Input::WorkerLost { node: n(0), why, shards: shards.to_vec() })
    }

    fn gone(&mut self) -> &mut Self {
        self.tell(Input::CrewGone { node: n(0) })
    }
}

#[test]
fn workers_are_hired_fed_and_let_go_and_the_stage_ends_when_they_are_gone() {
    let mut story = Story::with(2, parts(vec![crewed(10, 3, |_| {})]));
    assert!(story.last.ends_with(&[hired(2), started(0, 6)]), "{:?}", story.last);
    assert_eq!(story.core.state().workers(n(0)), 2);
    story.answered(&[(0, 2), (4, 1)]).then(&[finished(0, 2, 6), finished(4, 1, 4), started(6, 3)]);
    story.answered(&[(2, 2), (5, 4)]).then(&[finished(2, 2, 3), finished(5, 4, 7), started(9, 1)]);
    story.answered(&[(9, 1)]).then(&[finished(9, 1, 10), dismissed(StopKind::Terminate)]);
    assert_eq!(story.core.state().state(n(0)), NodeState::Waiting);
    story.gone();
    assert!(
        story.last.starts_with(&[Event::CrewGone { node: n(0) }, ended(NodeState::Success)]),
        "{:?}",
        story.last
    );
}

#[test]
fn only_answers_of_attempts_that_run_count() {
    let mut story = Story::with(1, parts(vec![crewed(8, 4, |_| {})]));
    story.answered(&[(2, 1)]).answered(&[(0, 8), (0, 2)]);
    // Neither what was answered before, nor twice, nor what has not started.
    story.then(&[finished(0, 2, 2), finished(3, 2, 2), started(5, 3)]);
    story.lost("gone", &[(0, 1), (5, 1), (5, 2)]);
    let lost = Event::WorkerLost { node: n(0), why: "gone".to_owned(), shards: vec![5] };
    story.then(&[lost, Event::ShardRetried { attempt: at(5, 2) }]);
    story.answered(&[(5, 1)]).then(&[]);
}

#[test]
fn what_a_worker_had_is_done_again_and_costs_no_retry() {
    let mut story =
        Story::with(1, parts(vec![crewed(4, 4, |node| node.rules.retry = Some(Box::new(retry(1, 0))))]));
    for number in 1..=5 {
        story.lost("worker 0 ended with exit code 1", &[(1, number)]);
        assert_eq!(story.last[1..], [Event::ShardRetried { attempt: at(1, number + 1) }]);
    }
    story.done(1, 6, Outcome::Exit(1));
    assert!(story.last.contains(&Event::ShardRetried { attempt: at(1, 7) }), "{:?}", story.last);
    story.done(1, 7, Outcome::Exit(1));
    assert!(matches!(story.last[..], [Event::ShardFinished { .. }]), "its one re-try is used: {:?}", story.last);
}

#[test]
fn what_may_not_be_repeated_is_unknown_when_its_worker_is_lost() {
    let mut story = Story::with(1, parts(vec![crewed(3, 1, |node| node.rules.idempotent = false)]));
    story.answered(&[(0, 1)]).lost("gone", &[(1, 1)]);
    assert_eq!(story.last[1..], [dismissed(StopKind::Terminate)]);
    story.gone();
    assert_eq!(story.core.state().state(n(0)), NodeState::Unknown);
}

#[test]
fn workers_take_slots_and_pools_and_their_items_do_not() {
    let mut node = crewed(100, 8, |_| {});
    node.rules.pools = vec![(PoolIx::new(0), 2)];
    let mut plan = parts(vec![node, stage("other", |node| node.rules.shards = 9)]);
    plan.pools = vec![Pool { name: "memory".to_owned(), capacity: 5 }];
    let story = Story::with(6, plan);
    let of_other = Event::ShardsStarted { node: n(1), first: 0, count: 4 };
    let starts: Vec<&Event> = story.last.iter().filter(|event| !matches!(event, Event::RunBegan(_))).collect();
    assert!(starts.contains(&&hired(2)) && starts.contains(&&started(0, 16)), "{starts:?}");
    assert!(starts.contains(&&of_other), "{starts:?}");
    assert_eq!(story.core.state().pool_used(PoolIx::new(0)), 4);
}

/// Items of `hash` beside the two shards of another stage, which had two of three slots first.
fn behind(mut hash: Node) -> Story {
    hash.needs = after("hash", &[2]).needs;
    let first = stage("first", |node| node.rules.shards = 2);
    let mut story = Story::with(3, parts(vec![hash, first, Node::plain("prepare")]));
    story.succeeds(2);
    assert_eq!(workers(&story), 1);
    story
}

fn workers(story: &Story) -> u32 {
    story.core.state().workers(n(0))
}

#[test]
fn more_workers_come_when_nobody_else_wants_the_slots() {
    let mut story = behind(crewed(100, 2, |_| {}));
    story.shard(1, 0, Outcome::Success);
    assert_eq!(story.last[1..], [hired(1), started(2, 2)]);
    story.shard(1, 1, Outcome::Success);
    assert_eq!(workers(&story), 3);
}

#[test]
fn no_more_workers_come_while_those_that_there_are_wait_for_items() {
    let rate = Rate::parse("10/s").expect("a rate");
    let mut story =
        behind(crewed(100, 2, |node| node.rules.split.as_mut().expect("it is sharded").rate = Some(rate)));
    story.shard(1, 0, Outcome::Success);
    assert_eq!(workers(&story), 1, "{:?}", story.last);
}

#[test]
fn no_more_workers_come_once_nothing_more_may_start() {
    let mut story = behind(crewed(100, 2, |_| {}));
    story.cancel(CancelLevel::Drain).shard(1, 0, Outcome::Success);
    assert_eq!(workers(&story), 1, "{:?}", story.last);
}

#[test]
fn workers_that_were_let_go_are_given_nothing_more() {
    let mut story = Story::with(1, parts(vec![crewed(4, 2, |_| {})]));
    story.tell(Input::Pause { on: true, by: String::new() });
    story.answered(&[(0, 2)]).then(&[finished(0, 2, 10), dismissed(StopKind::Terminate)]);
    let goes_on = Event::PauseChanged { on: false, by: String::new() };
    story.tell(Input::Pause { on: false, by: String::new() }).then(&[goes_on]);
    story.gone();
    assert!(story.last.ends_with(&[hired(1), started(2, 2)]), "{:?}", story.last);
}

#[test]
fn a_delayed_item_is_waited_for_while_it_may_be_given() {
    let mut story =
        Story::with(1, parts(vec![crewed(2, 2, |node| node.rules.retry = Some(Box::new(retry(1, 50))))]));
    story.done(0, 1, Outcome::Exit(1));
    let due = Some(Millis::new(50));
    assert_eq!(story.core.next_deadline(), due);
    story.tell(Input::Pause { on: true, by: String::new() });
    assert_eq!(story.core.next_deadline(), None, "nothing is given in a pause");
    story.tell(Input::Pause { on: false, by: String::new() });
    assert_eq!(story.core.next_deadline(), due);
    story.at = Millis::new(50);
    story.tell(Input::Tick).then(&[Event::ShardRetried { attempt: at(0, 2) }]);
    assert_eq!(story.core.state().started(n(0)), Some(Millis::ZERO), "a stage starts once");
}

#[test]
fn the_next_item_is_due_when_the_rate_allows_it_and_not_before() {
    let rated = |items, rate: &str| {
        let rate = Rate::parse(rate).expect("a rate");
        crewed(items, 5, |node| {
            node.rules.split.as_mut().expect("it is sharded").rate = Some(rate);
            node.rules.retry = Some(Box::new(retry(1, 10)));
        })
    };
    // A third of a second ends between two milliseconds.
    assert_eq!(Story::with(1, parts(vec![rated(9, "3/s")])).core.next_deadline(), Some(Millis::new(334)));
    let slow_and_fast = Story::with(10, parts(vec![rated(9, "1/s"), rated(9, "10/s")]));
    assert_eq!(slow_and_fast.core.next_deadline(), Some(Millis::new(100)), "the soonest counts");
    // A re-try whose delay is over waits for the rate as any other.
    let mut story = Story::with(1, parts(vec![rated(1, "10/s")]));
    story.done(0, 1, Outcome::Exit(1));
    assert_eq!(story.core.next_deadline(), Some(Millis::new(100)));
}

#[test]
fn what_a_worker_says_twice_in_a_row_counts_once() {
    let mut story = Story::with(1, parts(vec![crewed(3, 3, |_| {})]));
    story.answered(&[(0, 1), (0, 1), (1, 1)]);
    assert_eq!(story.last.iter().filter(|event| matches!(event, Event::ShardsFinished { .. })).count(), 1);
    assert_eq!(story.core.state().progress(n(0)).success, 2);
}

#[test]
fn workers_end_the_wait_for_their_turn() {
    let queue = Some(Span::from_ms(50));
    let story = Story::with(1, parts(vec![crewed(3, 3, |node| node.rules.queue = queue)]));
    assert_eq!(story.core.next_deadline(), None);
}

#[test]
fn a_cancel_stops_the_items_and_then_the_workers_go() {
    let mut story = Story::with(1, parts(vec![crewed(5, 2, |_| {})]));
    let by = String::new();
    story.tell(Input::Cancel { level: CancelLevel::Stop, why: CancelReason::Person, by: by.clone() });
    let stops = story.last.iter().filter(|event| matches!(event, Event::StopRequested { .. })).count();
    assert_eq!(stops, 2);
    story.lost("", &[(0, 1)]);
    assert!(
        matches!(story.last[..], [Event::ShardFinished { outcome: Outcome::Cancelled, .. }]),
        "{:?}",
        story.last
    );
    story.answered(&[(1, 1)]);
    let [Event::ShardFinished { outcome: Outcome::Cancelled, .. }, rest @ ..] = &story.last[..] else {
        panic!("an answer after the order to stop: {:?}", story.last)
    };
    assert_eq!(rest, [dismissed(StopKind::Terminate)]);
    story.tell(Input::Cancel { level: CancelLevel::Kill, why: CancelReason::Person, by });
    assert!(story.last.contains(&dismissed(StopKind::Kill)), "{:?}", story.last);
    story.gone();
    assert!(story.last.contains(&ended(NodeState::Cancelled)), "{:?}", story.last);
}

#[test]
fn workers_that_nobody_says_are_gone_are_not_waited_for_for_ever() {
    let mut story = Story::with(1, parts(vec![crewed(1, 1, |_| {})]));
    story.answered(&[(0, 1)]).then(&[finished(0, 1, 10), dismissed(StopKind::Terminate)]);
    let due = story.core.next_deadline().expect("a deadline");
    assert_eq!(due, story.at + Span::from_secs(20) + Span::from_ms(limits::KILL_WAIT_MS));
    story.at = due;
    story.tell(Input::Tick);
    assert!(
        story.last.starts_with(&[Event::CrewGone { node: n(0) }, ended(NodeState::Success)]),
        "{:?}",
        story.last
    );
    story.gone().then(&[]);
}

#[test]
fn rate_bounds_the_items_that_workers_are_given() {
    let rate = Rate::parse("10/s").expect("a rate");
    let mut story = Story::with(
        1,
        parts(vec![crewed(9, 5, |node| {
            node.rules.split.as_mut().expect("it is sharded").rate = Some(rate);
        })]),
    );
    assert!(story.last.ends_with(&[hired(1), started(0, 1)]), "{:?}", story.last);
    story.answered(&[(0, 1)]).then(&[finished(0, 1, 10)]);
    let due = story.core.next_deadline().expect("the next start is due");
    assert_eq!(due.raw(), 100);
    story.at = due;
    story.tell(Input::Tick).then(&[started(1, 1)]);
}

#[test]
fn a_resume_gives_only_unanswered_items_again() {
    let mut story = Story::with(1, parts(vec![crewed(6, 4, |_| {})]));
    story.answered(&[(0, 1), (2, 1)]);
    story.resume();
    let lost: Vec<u32> = story
        .last
        .iter()
        .filter_map(|event| match event {
            Event::ShardLost { attempt } => Some(attempt.shard),
            _ => None,
        })
        .collect();
    assert_eq!(lost, [1, 3, 4, 5]);
    assert!(story.last.contains(&hired(4)), "{:?}", story.last);
    let again: Vec<Attempt> = story.core.state().flights().iter().map(crate::run::Flight::attempt).collect();
    assert_eq!(again, [at(1, 2), at(3, 2), at(4, 2), at(5, 2)]);
    for shard in [1, 3, 4, 5] {
        story.done(shard, 2, Outcome::Success);
    }
    assert_eq!(story.last.last(), Some(&dismissed(StopKind::Terminate)));
}

#[test]
fn so_many_items_of_workers_may_fail() {
    let allowed = Some(AllowFailed::Items(1));
    let mut story = Story::with(
        1,
        parts(vec![crewed(3, 3, |node| {
            node.rules.split.as_mut().expect("it is sharded").allow_failed = allowed;
        })]),
    );
    story.done(1, 1, Outcome::Exit(2)).answered(&[(0, 1), (2, 1)]).gone();
    assert_eq!(story.core.state().state(n(0)), NodeState::Success);
}

#[test]
fn idle_workers_go_when_the_run_is_paused_and_others_come_when_it_goes_on() {
    let mut story = Story::with(1, parts(vec![crewed(4, 2, |_| {})]));
    story.tell(Input::Pause { on: true, by: String::new() });
    story.answered(&[(0, 2)]).then(&[finished(0, 2, 10), dismissed(StopKind::Terminate)]);
    story.gone().tell(Input::Pause { on: false, by: String::new() });
    assert!(story.last.ends_with(&[hired(1), started(2, 2)]), "{:?}", story.last);
}

#[test]
fn a_time_box_hands_over_what_workers_had() {
    let mut story = Story::with(1, parts(vec![crewed(4, 2, |_| {})]));
    story.tell(Input::OpenBox { until: Millis::new(500) });
    story.at = Millis::new(500);
    story.tell(Input::Tick);
    story.lost("", &[(0, 1), (1, 1)]);
    assert_eq!(story.last.last(), Some(&dismissed(StopKind::Terminate)));
    story.gone();
    let suspended = Event::RunSuspended { why: SuspendReason::HandOver };
    assert_eq!(story.last, [Event::CrewGone { node: n(0) }, suspended]);
}

#[test]
fn a_rehearsal_lets_each_worker_do_one_item_after_the_other() {
    let shown = |in_flight: u32| {
        let mut parts = parts(vec![crewed(4, in_flight, |node| node.rules.expected = Span::from_ms(10))]);
        parts.settings.max_parallel = 1;
        crate::run::rehearse(&graph(parts)).starts
    };
    assert_eq!(format!("{:?}", shown(4)), format!("{:?}", shown(1)));
}

#[test]
fn workers_are_given_nothing_that_does_not_fit_into_the_time_box() {
    let once = crewed(3, 1, |node| {
        (node.rules.idempotent, node.rules.timeout) = (false, Some(Span::from_ms(500)));
    });
    let mut story = Story::with(1, parts(vec![once]));
    story.tell(Input::OpenBox { until: Millis::new(600) }).wait(200).answered(&[(0, 1)]).starts(&[]);
    story.has(&Event::NodeDeferred { node: n(0), wants: Some(Span::from_ms(500)) });
}

#[test]
fn workers_of_the_background_are_killed_when_their_engine_is_to_leave_at_once() {
    let mut story = Story::with(1, parts(vec![crewed(3, 1, |node| node.phase = Phase::Background)]));
    story.tell(Input::LeaveBackground { how: CancelLevel::Kill, by: "ann".to_owned() });
    story.done(0, 1, Outcome::Signal(9)).has(&dismissed(StopKind::Kill));
}

#[test]
fn facts_about_items_stand_in_their_order_also_around_one_that_was_stopped() {
    let mut story = Story::with(1, parts(vec![crewed(3, 3, |node| node.rules.idle = Some(Span::from_secs(1)))]));
    story.tell(Input::Silent { attempt: at(1, 1) }).answered(&[(0, 3)]);
    let is_stopped = |it: &Event| matches!(it, Event::ShardFinished { attempt, .. } if *attempt == at(1, 1));
    let is_first = |it: &Event| matches!(it, Event::ShardsFinished { first: 0, .. });
    assert_eq!(story.last.iter().position(is_stopped), Some(1), "{:#?}", story.last);
    assert_eq!(story.last.iter().position(is_first), Some(0), "{:#?}", story.last);
}

#[test]
fn workers_that_are_killed_have_all_the_time_to_go_that_a_kill_gives() {
    let mut story = Story::with(1, parts(vec![crewed(3, 1, |node| node.rules.grace = Span::ZERO)]));
    story.cancel(CancelLevel::Stop).done(0, 1, Outcome::Signal(15)).has(&dismissed(StopKind::Terminate));
    story.wait(limits::KILL_WAIT_MS / 2).cancel(CancelLevel::Kill).has(&dismissed(StopKind::Kill));
    story.wait(limits::KILL_WAIT_MS - 1).then(&[]).wait(1).has(&Event::CrewGone { node: n(0) });
}

/// The same stage by three texts, with so many items each.
fn resized(items: [u32; 3], in_flight: u32, change: fn(&mut Node)) -> Story {
    let version = |items: u32| graph(parts(vec![crewed(items, in_flight, change)]));
    Story::versions(1, items.map(version).into())
}

#[test]
fn no_number_of_an_item_is_used_twice_when_edits_shrink_and_grow_the_list() {
    let mut story = resized([6, 1, 6], 4, |_| ());
    assert_eq!(story.numbers(), [(0, 1), (1, 1), (2, 1), (3, 1)]);
    assert_eq!(edited(&mut story).numbers(), [(0, 2)]);
    assert_eq!(edited(&mut story).numbers(), [(0, 3), (1, 2), (2, 2), (3, 2), (4, 1), (5, 1)]);
    // What had never started starts as a block, and an answer to what started in another list is none.
    story.has(&started(4, 2)).answered(&[(1, 1)]).then(&[]);
    for (shard, number) in [(0, 3), (1, 2), (2, 2), (3, 2), (4, 1), (5, 1)] {
        story.done(shard, number, Outcome::Success);
    }
    story.gone().run_ends(RunEnd::Success);
}

#[test]
fn an_item_that_a_list_has_again_does_not_start_in_a_block_with_one_that_never_started() {
    // The third of four items was known from an earlier run, and so is the only one without an attempt.
    let mut story = resized([4, 2, 4], 4, |node| node.rules.has_cache = true);
    story.tell(Input::Recalled { node: n(0), hits: vec![(2, Box::default())] });
    assert_eq!(story.numbers(), [(0, 1), (1, 1), (3, 1)]);
    assert_eq!(edited(&mut story).numbers(), [(0, 2), (1, 2)]);
    assert_eq!(edited(&mut story).numbers(), [(0, 3), (1, 3), (2, 1), (3, 2)]);
}

#[test]
fn what_had_been_tried_of_an_item_before_it_was_gone_costs_no_retry() {
    let mut story = resized([2, 1, 2], 2, |node| node.rules.retry = Some(Box::new(retry(1, 0))));
    story.done(1, 1, Outcome::Exit(1));
    assert_eq!(story.numbers(), [(1, 2)]);
    edited(&mut story);
    assert_eq!(edited(&mut story).numbers(), [(0, 3), (1, 3)]);
    story.done(1, 3, Outcome::Exit(1));
    assert_eq!(story.numbers(), [(1, 4)]);
}

#[test]
fn no_number_of_an_item_is_used_twice_when_nobody_knows_what_became_of_it() {
    let mut story = resized([4, 1, 4], 2, |node| node.rules.idempotent = false);
    assert_eq!(story.numbers(), [(0, 1), (1, 1)]);
    edited(&mut story).is(0, NodeState::Unknown);
    edited(&mut story).is(0, NodeState::Unknown).resolves(0, Resolution::Rerun);
    assert_eq!(story.numbers(), [(0, 2), (1, 2), (2, 1), (3, 1)]);
}
