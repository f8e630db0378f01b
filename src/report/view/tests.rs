//! Folding and explaining, against short histories.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::base::PoolIx;
use crate::graph::Parts;
use crate::graph::forecast::{Expected, Workload};
use crate::graph::model::{Accept, Items, Need, Phase, Pool, Process, Split, Work};
use crate::graph::objective::{Objective, OnBreach, Subject};
use crate::report::console::{Look, Plain};
use crate::report::script::{self, APPROVE, BUILD, PACK, TEST, attempt, ended, finished, started};
use crate::report::{Observer, Summary, hint, html, junit, markdown, tail, why};
use crate::run::event::{
    Answer, CancelLevel, CancelReason, CheckKind, Clock, Outcome, ReopenReason, Resolution, Resumed, ShardResult,
    SkipReason,
};

/// The view of the scripted graph after `events`, a second apart.
fn after(events: &[Event]) -> View {
    let mut view = View::new(vec![script::graph()]);
    for (event, seq) in events.iter().zip(1..) {
        view.record(seq, Millis::new(1000 * (seq - 1)), event);
    }
    view
}

/// What people read about `ix` after `events`.
fn why_after(events: &[Event], ix: NodeIx) -> String {
    let view = after(events);
    let state = why::state(&view, ix).word();
    format!("{state}: {}", why::explain(&view, ix, view.now()))
}

/// A night between two engines is no time of the stage that was cut off, as it is none of the run.
#[test]
fn a_stage_takes_no_time_while_no_engine_lives() {
    let gap = Span::from_ms(8 * 3_600_000);
    let resumed = Event::RunResumed(Box::new(Resumed {
        wall_ms: 0,
        gap,
        jobs: 8,
        by: String::new(),
        engine: String::new(),
        place: None,
        plan: None,
        drains: false,
        closes: false,
    }));
    let mut view = View::new(vec![script::graph()]);
    let night = |ms: u64| Millis::new(ms) + gap;
    view.record(1, Millis::new(0), &script::began());
    view.record(2, Millis::new(1000), &started(BUILD, 0, 1));
    view.record(3, night(1000), &resumed);
    view.record(4, night(1000), &Event::ShardLost { attempt: attempt(BUILD, 0, 1) });
    view.record(5, night(1500), &Event::ShardRetried { attempt: attempt(BUILD, 0, 2) });
    view.record(6, night(3000), &finished(attempt(BUILD, 0, 2), Outcome::Success, 1500));
    view.record(7, night(3000), &ended(BUILD, NodeState::Success));
    assert_eq!(view.get(BUILD).duration(view.now()), Some(Span::from_ms(2000)));
    assert_eq!(view.elapsed(view.now()), Span::from_ms(3000));
}

#[test]
fn every_wait_has_its_reason() {
    let pend = [script::began(), started(BUILD, 0, 1)];
    assert_eq!(why_after(&pend, TEST), "pending: needs `build`");
    let built = [script::began(), started(BUILD, 0, 1), ended(BUILD, NodeState::Success)];
    assert_eq!(why_after(&built, TEST), "waiting: ");
    assert_eq!(
        why_after(&[&built[..], &[Event::PauseChanged { on: true, by: String::new() }]].concat(), TEST),
        "waiting: the run is paused"
    );
    assert_eq!(
        why_after(&[&built[..], &[started(PACK, 0, 8)]].concat(), TEST),
        "waiting: waiting for a slot: 8 of 8 in use"
    );
    let check = Event::CheckStarted { node: TEST, shard: 0, kind: CheckKind::Cache };
    assert_eq!(why_after(&[&built[..], &[check]].concat(), TEST), "waiting: asking its `cache`");
    let gate =
        Event::GateOpened { node: APPROVE, expires: Some(Millis::new(63_000)), prompt: "ship it?".to_owned() };
    assert_eq!(
        why_after(&[&built[..], &[gate]].concat(), APPROVE),
        "waiting: waiting for an approval, 1m00s left: ship it?"
    );
    let cancel =
        Event::CancelRaised { level: CancelLevel::Drain, why: CancelReason::Failure(BUILD), by: String::new() };
    assert_eq!(why_after(&[&pend[..], &[cancel]].concat(), TEST), "pending: not started: `build` failed");
    let blocked = [
        ended(BUILD, NodeState::Failed),
        Event::NodeSkipped { node: TEST, why: SkipReason::Blocked { by: BUILD } },
    ];
    assert_eq!(why_after(&blocked, TEST), "blocked: needs `build`, which failed");
    let retry = [
        started(TEST, 0, 1),
        finished(attempt(TEST, 0, 1), Outcome::Exit(69), 5),
        Event::RetryScheduled { attempt: attempt(TEST, 0, 2), at: Millis::new(4000) },
    ];
    assert_eq!(why_after(&retry, TEST), "retrying: attempt 2 in 2.0s after exit 69");
}

#[test]
fn a_full_pool_names_its_holder() {
    let mut nodes = vec![Node::plain("migrate"), Node::plain("seed")];
    nodes[0].rules.pools = vec![(PoolIx::new(0), 1)];
    nodes[1].rules.pools = vec![(PoolIx::new(0), 1)];
    let mut parts = Parts::of("p", nodes);
    parts.pools = vec![Pool { name: "database".to_owned(), capacity: 1 }];
    let mut view = View::new(vec![Arc::new(Graph::assemble(parts).expect("no cycle"))]);
    view.record(1, Millis::ZERO, &started(NodeIx::new(0), 0, 1));
    let text = why::explain(&view, NodeIx::new(1), view.now());
    assert_eq!(text, "waiting for pool `database`, held by `migrate`");
    view.record(2, Millis::ZERO, &finished(attempt(NodeIx::new(0), 0, 1), Outcome::Success, 5));
    assert_eq!(why::explain(&view, NodeIx::new(1), view.now()), "");
}

#[test]
fn an_unknown_outcome_is_answered_by_a_person() {
    let lost = [
        script::began(),
        started(TEST, 0, 1),
        Event::ShardLost { attempt: attempt(TEST, 0, 1) },
        Event::CheckAnswered {
            node: TEST,
            shard: 0,
            kind: CheckKind::DoneIf,
            answer: Answer::Unknown("exit 7".to_owned()),
        },
        ended(TEST, NodeState::Unknown),
    ];
    let view = after(&lost);
    assert_eq!(view.get(TEST).reason, "its `done-if` cannot tell: exit 7");
    assert_eq!(hint::next(&view)[0].1, "engine resolve 20261121-033105-7f3a test --as success|failed|rerun");
    let said = Event::NodeResolved {
        node: TEST,
        resolution: Resolution::Success,
        by: "ana".to_owned(),
        note: "seen it".to_owned(),
    };
    let view = after(&[&lost[..], &[said]].concat());
    assert_eq!(
        (view.get(TEST).state, view.get(TEST).reason.as_str()),
        (NodeState::Success, "resolved as success by ana: seen it")
    );
    assert_eq!((view.count(NodeState::Unknown), view.count(NodeState::Success)), (0, 1));
}

#[test]
fn a_resume_keeps_done_shards_and_an_order_does_not() {
    let done = [
        started(PACK, 0, 2),
        finished(attempt(PACK, 0, 1), Outcome::Success, 5),
        finished(attempt(PACK, 1, 1), Outcome::Exit(1), 5),
        ended(PACK, NodeState::Failed),
    ];
    let reopen = |why| after(&[&done[..], &[Event::NodeReopened { node: PACK, why }]].concat()).get(PACK).shards;
    assert_eq!((reopen(ReopenReason::Resume).done, reopen(ReopenReason::Resume).failed), (1, 0));
    assert_eq!(reopen(ReopenReason::Ordered).done, 0);
}

#[test]
fn failed_shards_that_a_person_orders_again_are_opened_by_that_person() {
    let done = [
        started(PACK, 0, 2),
        finished(attempt(PACK, 0, 1), Outcome::Success, 5),
        finished(attempt(PACK, 1, 1), Outcome::Exit(1), 5),
        ended(PACK, NodeState::Failed),
        Event::ShardsReopened { node: PACK },
    ];
    let view = after(&done);
    let pack = view.get(PACK);
    assert_eq!((pack.shards.done, pack.shards.failed), (1, 0));
    assert_eq!(pack.reason, "runs again: a person ordered it");
}

/// One of its shards has ended with `last`, and then the run was cancelled.
fn cancelled_after(last: Outcome, why: CancelReason, by: &str) -> View {
    after(&[
        started(TEST, 0, 1),
        started(PACK, 0, 2),
        finished(attempt(PACK, 0, 1), Outcome::Success, 5),
        finished(attempt(TEST, 0, 1), Outcome::Exit(1), 5),
        ended(TEST, NodeState::Failed),
        Event::CancelRaised { level: CancelLevel::Drain, why, by: by.to_owned() },
        finished(attempt(PACK, 1, 1), last, 5),
        ended(PACK, NodeState::Cancelled),
    ])
}

#[test]
fn a_stage_that_was_cancelled_between_its_shards_says_what_stopped_it() {
    let says = |last, why, by| cancelled_after(last, why, by).get(PACK).reason.clone();
    let failure = CancelReason::Failure(TEST);
    assert_eq!(says(Outcome::Success, failure, ""), "nothing new starts after `test`, which failed");
    assert_eq!(says(Outcome::Cancelled, failure, ""), "stopped after `test`, which failed");
    assert_eq!(says(Outcome::Success, CancelReason::Person, "ana"), "cancelled by ana");
    assert_eq!(says(Outcome::Cancelled, CancelReason::Person, "ana"), "cancelled by ana");
    assert_eq!(says(Outcome::Success, CancelReason::Terminated, ""), "the engine was told to end");
    assert_eq!(says(Outcome::Exit(1), CancelReason::Timeout, ""), "the run's timeout ran out");
}

#[test]
fn a_shard_that_was_cancelled_has_not_failed() {
    let view = cancelled_after(Outcome::Cancelled, CancelReason::Person, "ana");
    let shards = view.get(PACK).shards;
    assert_eq!((shards.done, shards.failed, shards.running), (1, 0, 0));
    assert!(why::failed_shards(&view, PACK).is_empty());
}

/// A stage of three shards that has a `done-if`, after `events`.
fn doubted_after(events: &[Event]) -> Shards {
    let mut node = Node::plain("pack");
    (node.rules.shards, node.rules.has_done_if) = (3, true);
    let graph = Graph::assemble(Parts::of("p", vec![node])).expect("no cycle");
    let all = events.iter().zip(1..).map(|(event, seq)| (seq, Millis::new(seq), event));
    View::replay(vec![Arc::new(graph)], all).get(NodeIx::new(0)).shards
}

#[test]
fn a_yes_of_done_if_takes_back_the_failure_of_its_own_shard_and_of_no_other() {
    let pack = NodeIx::new(0);
    let yes = |shard| Event::CheckAnswered {
        node: pack,
        shard,
        kind: CheckKind::DoneIf,
        answer: Answer::Yes(Box::default()),
    };
    let failed = |shard, outcome| finished(attempt(pack, shard, 1), outcome, 5);
    let begin =
        [started(pack, 0, 3), failed(0, Outcome::Exit(1)), Event::ShardLost { attempt: attempt(pack, 1, 1) }];
    let lost = [&begin[..], &[yes(1)]].concat();
    assert_eq!(doubted_after(&lost), Shards { all: 3, done: 1, failed: 1, running: 1, retrying: 0 });
    let late = [&lost[..], &[failed(2, Outcome::TimedOut(Clock::Attempt)), yes(2)]].concat();
    assert_eq!(doubted_after(&late), Shards { all: 3, done: 2, failed: 1, running: 0, retrying: 0 });
}

#[test]
fn another_plan_keeps_what_is_known_by_id() {
    let old = script::graph();
    let mut nodes = vec![Node::plain("lint"), Node::plain("build"), Node::plain("test")];
    nodes[2].needs = vec![Need { node: NodeIx::new(1), accept: Accept::DEFAULT }];
    let new = Arc::new(Graph::assemble(Parts::of("p", nodes)).expect("no cycle"));
    let mut view = View::new(vec![old, new]);
    let events = [
        started(BUILD, 0, 1),
        ended(BUILD, NodeState::Success),
        started(TEST, 0, 1),
        Event::PlanChanged { version: 2 },
    ];
    for (event, seq) in events.iter().zip(1..) {
        view.record(seq, Millis::new(seq), event);
    }
    let states: Vec<_> = view.nodes().map(|(ix, node)| (view.id(ix), node.state)).collect();
    let want = [("lint", NodeState::Pending), ("build", NodeState::Success), ("test", NodeState::Running)];
    assert_eq!(states, want);
    assert_eq!(view.active().map(|(ix, _)| ix).collect::<Vec<_>>(), [NodeIx::new(2)]);
    assert_eq!(view.inflight().next().map(|(ix, ..)| ix), Some(NodeIx::new(2)));
}

/// Cut anew while it ran, and ended well although a slice failed: a word on whether it may be repeated changes none of that.
#[test]
fn what_ended_well_is_shown_as_it_was_when_an_edit_forbids_to_repeat_it() {
    let version = |size: u32, is_safe: bool| {
        let mut pack = Node::plain("pack");
        pack.rules.split = Some(Box::new(Split { items: 4, size, ..Split::default() }));
        (pack.rules.shards, pack.rules.idempotent) = (4_u32.div_ceil(size), is_safe);
        let items = Items::Range { count: 4, size };
        pack.work = Work::Process(Box::new(Process { items, ..Process::default() }));
        Arc::new(Graph::assemble(Parts::of("p", vec![pack])).expect("no cycle"))
    };
    let mut view = View::new(vec![version(1, true), version(2, true), version(2, false)]);
    let pack = NodeIx::new(0);
    let events = [
        started(pack, 0, 1),
        finished(attempt(pack, 0, 1), Outcome::Success, 5),
        Event::PlanChanged { version: 2 },
        Event::ShardRetried { attempt: attempt(pack, 0, 2) },
        finished(attempt(pack, 0, 2), Outcome::Success, 5),
        started(pack, 1, 1),
        finished(attempt(pack, 1, 1), Outcome::Exit(1), 5),
        ended(pack, NodeState::AllowedFailure),
        Event::PlanChanged { version: 3 },
    ];
    for (event, seq) in events.iter().zip(1..) {
        view.record(seq, Millis::new(seq), event);
    }
    let shards = view.get(pack).shards;
    assert_eq!((shards.all, shards.done), (2, 1));
}

#[test]
fn work_that_is_queued_again_is_shown_with_a_new_clock() {
    let up = NodeIx::new(0);
    let mut parts = Parts::of("p", vec![Node { phase: Phase::Background, ..Node::plain("up") }]);
    let (subject, limit, on_breach) = (Subject::Stage, Span::from_secs(1), OnBreach::Warn);
    parts.objectives = vec![Objective { subject, name: "up".into(), limit, on_breach, nodes: vec![up] }];
    let mut view = View::new(vec![Arc::new(Graph::assemble(parts).expect("no cycle"))]);
    let events = [
        started(up, 0, 1),
        Event::ObjectiveBreached { objective: 0 },
        finished(attempt(up, 0, 1), Outcome::Exit(1), 5),
        ended(up, NodeState::Failed),
        Event::BackgroundRequeued { node: up, by: "ann".to_owned() },
    ];
    let mut goals = Vec::new();
    for (event, seq) in events.iter().zip(1..) {
        view.record(seq, Millis::new(seq), event);
        goals.extend(view.goals().map(|(_, goal)| goal.word()));
    }
    assert_eq!(goals, ["running", "breached", "breached", "breached", "pending"]);
}

#[test]
fn what_is_left_follows_the_longest_way_or_is_not_said() {
    let mut view = after(&[script::began(), started(BUILD, 0, 1)]);
    for ix in 0..5 {
        view.expect(NodeIx::new(ix), Span::from_secs(10));
    }
    assert_eq!(view.left(Millis::new(1000)), None, "`notify` has no history");
    view.expect(NodeIx::new(5), Span::from_secs(1));
    assert_eq!(view.left(Millis::new(4000)), Some(Span::from_secs(37)), "build 7, pack, approve, deploy 10 each");
}

#[test]
fn a_stage_that_is_given_its_items_usually_takes_what_these_take() {
    let pack = NodeIx::new(0);
    let mut node = Node::plain("pack");
    node.rules.split = Some(Box::new(Split { items: 4, size: 1, is_late: true, ..Split::default() }));
    let took = Expected { p50: Span::from_ms(100), p95: Span::from_ms(100), samples: 5 };
    node.rules.work = Some(Box::new(Workload { took, items: 4 }));
    let mut parts = Parts::of("p", vec![node]);
    parts.settings.max_parallel = 2;
    let mut view = View::new(vec![Arc::new(Graph::assemble(parts).expect("no cycle"))]);
    let frozen = |items: &[&str]| Event::ItemsFrozen {
        node: pack,
        items: Arc::new(items.iter().map(|&item| item.into()).collect()),
    };
    view.expect(pack, Span::from_ms(50));
    let mut plain = view.clone();
    view.expect_items(
        pack,
        Arc::new(|items| {
            items.iter().map(|item| item.parse::<u64>().ok()).sum::<Option<u64>>().map(Span::from_ms)
        }),
    );
    assert_eq!(view.expected(pack), Some(Span::from_ms(50)), "nobody knows them yet");
    let cases =
        [(&["7", "900"][..], 454, 25), (&["x", "7"][..], 25, 25), (&["2", "2", "2", "2", "2", "3"][..], 7, 75)];
    for (items, by_text, by_number) in cases {
        for (view, ms) in [(&mut view, by_text), (&mut plain, by_number)] {
            view.record(1, Millis::new(1), &frozen(items));
            assert_eq!(view.expected(pack), Some(Span::from_ms(ms)), "{items:?}");
        }
    }
}

/// Any event about one of the first eight stages, of which the graph has six.
fn event() -> impl Strategy<Value = Event> {
    let node = (0..8_u32).prop_map(NodeIx::new);
    (0..16_u8, node, 0..60_u32, 1..4_u16).prop_map(|(kind, node, shard, number)| {
        let attempt = attempt(node, shard, number);
        match kind {
            0 => started(node, shard, 3),
            1 => Event::ShardRetried { attempt },
            2 => finished(attempt, Outcome::Success, 5),
            3 => finished(attempt, Outcome::Exit(1), 5),
            4 => Event::RetryScheduled { attempt, at: Millis::new(9) },
            5 => Event::ShardLost { attempt },
            6 => ended(node, NodeState::ALL[shard as usize % NodeState::ALL.len()]),
            7 => Event::NodeSkipped { node, why: SkipReason::Blocked { by: NodeIx::new(shard) } },
            8 => Event::NodeReopened { node, why: ReopenReason::Resume },
            9 => Event::GateOpened { node, expires: None, prompt: String::new() },
            10 => Event::CheckAnswered {
                node,
                shard,
                kind: CheckKind::Cache,
                answer: Answer::Yes(Box::<ShardResult>::default()),
            },
            11 => Event::NodeExpired { node, clock: Clock::Queue },
            12 => Event::RunFinished { verdict: script::failed(&[node]) },
            13 => Event::CancelRaised {
                level: CancelLevel::Stop,
                why: CancelReason::Failure(node),
                by: String::new(),
            },
            14 => Event::ShardExpired { node, shard, clock: Clock::Within },
            _ => Event::NodeResolved {
                node,
                resolution: Resolution::Failed,
                by: String::new(),
                note: String::new(),
            },
        }
    })
}

proptest! {
    #[test]
    fn any_history_folds_and_shows(events in prop::collection::vec(event(), 0..40)) {
        let view = after(&events);
        for state in NodeState::ALL {
            let counted = view.nodes().filter(|(_, node)| node.state == state).count();
            prop_assert_eq!(counted, view.count(state) as usize);
        }
        let mut console = Plain::new(View::new(vec![script::graph()]), Vec::new(), Look::PLAIN);
        for (event, seq) in events.iter().zip(1..) {
            console.record(seq, Millis::new(seq), event);
        }
        console.end(&Summary::default());
        junit::render(&view, &tail::NoLogs);
        html::render(&view, &tail::NoLogs, &TimeZone::UTC);
        markdown::render(&view, &tail::NoLogs);
        let status = crate::report::json::Status::new(&view, view.now(), true);
        prop_assert!(serde_json::to_writer(std::io::sink(), &status).is_ok());
    }
}
