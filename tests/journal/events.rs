//! Any events whatever come back as they were appended, and so does their order.

use std::sync::Arc;

use engine::base::{Digest, Millis, NodeIx, Span};
use engine::graph::model::Policy;
use engine::graph::shards::Cut;
use engine::journal::{Memory, Notice, decode_events};
use engine::run::Event;
use engine::run::event::{
    Answer, Answered, Attempt, CancelLevel, CancelReason, Case, CaseKind, CheckKind, Clock, CutReason, HealStep,
    NodeState, Outcome, OutputRef, ReopenReason, Resolution, Resumed, RunEnd, SecretFact, Severity, ShardResult,
    SkipReason, StopKind, StopReason, SuspendReason, Verdict, Vote,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::support::{WALL_MS, began, id};

fn node() -> impl Strategy<Value = NodeIx> {
    prop_oneof![0_u32..8, any::<u32>()].prop_map(NodeIx::new)
}

fn attempt() -> impl Strategy<Value = Attempt> {
    (node(), prop_oneof![0_u32..5, any::<u32>()], prop_oneof![Just(1_u16), any::<u16>()])
        .prop_map(|(node, shard, number)| Attempt { node, shard, number })
}

fn clock() -> impl Strategy<Value = Clock> {
    use Clock::{Attempt, Finally, Gate, Idle, Queue, Run, Within};
    select(vec![Attempt, Idle, Queue, Within, Gate, Run, Finally])
}

fn state() -> impl Strategy<Value = NodeState> {
    use NodeState as S;
    select(vec![
        S::Pending,
        S::Waiting,
        S::Running,
        S::Retrying,
        S::Success,
        S::Cached,
        S::Skipped,
        S::Blocked,
        S::Failed,
        S::AllowedFailure,
        S::TimedOut,
        S::Cancelled,
        S::Unknown,
        S::Undone,
    ])
}

fn value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        (-1e300_f64..1e300).prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            vec((any::<String>(), inner), 0..4)
                .prop_map(|pairs| serde_json::Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn result() -> impl Strategy<Value = ShardResult> {
    let place = (any::<u32>(), any::<u64>(), any::<u64>()).prop_map(|(segment, offset, len)| OutputRef {
        segment,
        offset,
        len,
    });
    let plain = Just(ShardResult::default());
    let measured = (option::of(place), any::<u64>(), any::<u64>()).prop_map(|(output, cpu_us, max_rss_kib)| {
        ShardResult { output, cpu_us, max_rss_kib, ..ShardResult::default() }
    });
    let full = (
        measured.clone(),
        vec((any::<String>(), value()), 0..3),
        option::of(any::<[u8; 32]>()),
        vec(any::<String>(), 0..3),
    )
        .prop_map(|(base, outputs, digest, notes)| ShardResult {
            outputs,
            artifacts: digest.map(Digest::from_bytes),
            notes,
            ..base
        });
    prop_oneof![plain, measured, full]
}

/// As it may be of a shard whose stage is sealed.
fn sealed() -> impl Strategy<Value = ShardResult> {
    (result(), option::of(any::<[u8; 32]>()))
        .prop_map(|(base, digest)| ShardResult { digest: digest.map(Digest::from_bytes), ..base })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        4 => Just(Outcome::Success),
        1 => any::<i32>().prop_map(Outcome::Exit),
        1 => any::<i32>().prop_map(Outcome::Signal),
        1 => clock().prop_map(Outcome::TimedOut),
        1 => Just(Outcome::Cancelled),
        1 => any::<String>().prop_map(Outcome::NotStarted),
        1 => any::<String>().prop_map(Outcome::BadResult),
    ]
}

fn stop_reason() -> impl Strategy<Value = StopReason> {
    prop_oneof![
        clock().prop_map(StopReason::Clock),
        Just(StopReason::Cancel),
        select(vec![Policy::Drain, Policy::Kill, Policy::Continue]).prop_map(StopReason::Scope),
        Just(StopReason::Grace),
        Just(StopReason::HandOver),
    ]
}

fn cancel_reason() -> impl Strategy<Value = CancelReason> {
    prop_oneof![
        Just(CancelReason::Person),
        Just(CancelReason::Terminated),
        node().prop_map(CancelReason::Failure),
        Just(CancelReason::Timeout),
        Just(CancelReason::Rollback),
    ]
}

fn skip() -> impl Strategy<Value = SkipReason> {
    prop_oneof![
        Just(SkipReason::Condition),
        node().prop_map(|by| SkipReason::Blocked { by }),
        Just(SkipReason::NotNeeded),
        Just(SkipReason::NotSelected),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        result().prop_map(|result| Answer::Yes(Box::new(result))),
        Just(Answer::No),
        any::<String>().prop_map(Answer::Unknown),
    ]
}

fn kind() -> impl Strategy<Value = CheckKind> {
    select(vec![CheckKind::DoneIf, CheckKind::Cache])
}

fn of_shards() -> impl Strategy<Value = Event> {
    prop_oneof![
        (node(), 0_u32..1 << 31, 0_u32..1 << 31).prop_map(|(node, first, count)| Event::ShardsStarted {
            node,
            first,
            count
        }),
        attempt().prop_map(|attempt| Event::ShardRetried { attempt }),
        (node(), any::<u32>(), any::<u64>(), any::<u32>(), reason_to_cut(), any::<u64>()).prop_map(
            |(node, shard, item, size, why, p95)| {
                let (cut, p95) = (Cut { shard, item, size }, Span::from_ms(p95));
                Event::ShardsCut { node, cut, why, p95 }
            }
        ),
        (node(), vec(any::<String>(), 0..5)).prop_map(|(node, items)| {
            let items = Arc::new(items.into_iter().map(Into::into).collect());
            Event::ItemsFrozen { node, items }
        }),
        (node(), vec(any::<String>(), 0..5)).prop_map(|(node, cells)| {
            let cells = Arc::new(cells.into_iter().map(Into::into).collect());
            Event::CellsFrozen { node, cells }
        }),
        (node(), any::<u32>(), sealed()).prop_map(|(node, shard, result)| {
            let result = Box::new(result);
            Event::ShardRecalled { node, shard, result }
        }),
        (attempt(), outcome(), any::<(u64, bool)>(), sealed()).prop_map(
            |(attempt, outcome, (took, early), result)| {
                // Only what was stopped can have been stopped too early.
                let never_ran = early && matches!(outcome, Outcome::TimedOut(_) | Outcome::Cancelled);
                let (took, result) = (Span::from_ms(took), ShardResult { never_ran, ..result }.into());
                Event::ShardFinished { attempt, outcome, took, result }
            },
        ),
        (attempt(), any::<u64>()).prop_map(|(attempt, at)| Event::RetryScheduled { attempt, at: Millis::new(at) }),
        (attempt(), select(vec![StopKind::Terminate, StopKind::Kill]), stop_reason())
            .prop_map(|(attempt, how, why)| Event::StopRequested { attempt, how, why }),
        attempt().prop_map(|attempt| Event::ShardLost { attempt }),
        of_crews(),
        (node(), any::<u32>(), kind()).prop_map(|(node, shard, kind)| Event::CheckStarted { node, shard, kind }),
        (node(), any::<u32>(), kind(), answer()).prop_map(|(node, shard, kind, answer)| Event::CheckAnswered {
            node,
            shard,
            kind,
            answer
        }),
    ]
}

fn of_crews() -> impl Strategy<Value = Event> {
    prop_oneof![
        (node(), any::<u32>()).prop_map(|(node, count)| Event::CrewHired { node, count }),
        (node(), select(vec![StopKind::Terminate, StopKind::Kill]))
            .prop_map(|(node, how)| Event::CrewDismissed { node, how }),
        node().prop_map(|node| Event::CrewGone { node }),
        (node(), any::<String>(), vec(any::<u32>(), 0..6)).prop_map(|(node, why, shards)| Event::WorkerLost {
            node,
            why,
            shards
        }),
        (node(), 0_u32..1 << 31, 0_u32..1 << 31, any::<u64>()).prop_map(|(node, first, count, took)| {
            Event::ShardsFinished { node, first, count, took: Span::from_ms(took) }
        }),
    ]
}

fn reason_to_cut() -> impl Strategy<Value = CutReason> {
    select(vec![CutReason::First, CutReason::Split, CutReason::Grow])
}

fn of_stages() -> impl Strategy<Value = Event> {
    use ReopenReason::{Changed, Ordered, Restart, Resume, Upstream};
    let resolution = select(vec![Resolution::Success, Resolution::Failed, Resolution::Rerun]);
    prop_oneof![
        node().prop_map(|node| Event::NodeAdmitted { node }),
        (node(), any::<[u8; 32]>())
            .prop_map(|(node, root)| Event::StageSealed { node, root: Digest::from_bytes(root) }),
        node().prop_map(|node| Event::ShardsReopened { node }),
        (node(), option::of(any::<u64>()))
            .prop_map(|(node, wants)| Event::NodeDeferred { node, wants: wants.map(Span::from_ms) }),
        any::<u64>().prop_map(|until| Event::BoxOpened { until: Millis::new(until) }),
        Just(Event::BoxClosed),
        vec((any::<String>(), any::<String>(), option::of(any::<String>()), option::of(any::<String>())), 0..4)
            .prop_map(|secrets| {
                let fact = |(name, source, version, rotated_at)| SecretFact { name, source, version, rotated_at };
                Event::SecretsFetched { secrets: secrets.into_iter().map(fact).collect() }
            }),
        (cancel_reason(), vec(node(), 0..4), vec(node(), 0..2))
            .prop_map(|(why, nodes, between)| Event::RollbackBegan { why, nodes, between }),
        (node(), heal_step()).prop_map(|(node, step)| Event::Healing { node, step }),
        (node(), option::of(any::<u64>()), any::<String>()).prop_map(|(node, at, prompt)| Event::GateOpened {
            node,
            expires: at.map(Millis::new),
            prompt
        }),
        (node(), any::<bool>(), any::<String>(), any::<String>())
            .prop_map(|(node, approved, by, note)| Event::GateDecided { node, approved, by, note }),
        of_consent(),
        (node(), clock()).prop_map(|(node, clock)| Event::NodeExpired { node, clock }),
        (node(), any::<u32>(), clock()).prop_map(|(node, shard, clock)| Event::ShardExpired {
            node,
            shard,
            clock
        }),
        (node(), state(), any::<String>()).prop_map(|(node, state, reason)| Event::NodeFinished {
            node,
            state,
            reason
        }),
        (node(), skip()).prop_map(|(node, why)| Event::NodeSkipped { node, why }),
        (node(), select(vec![Resume, Ordered, Upstream, Changed, Restart]))
            .prop_map(|(node, why)| Event::NodeReopened { node, why }),
        (node(), resolution, any::<String>(), any::<String>())
            .prop_map(|(node, resolution, by, note)| Event::NodeResolved { node, resolution, by, note }),
    ]
}

fn of_runs() -> impl Strategy<Value = Event> {
    let level = select(vec![CancelLevel::Drain, CancelLevel::Stop, CancelLevel::Kill]);
    let end = select(vec![RunEnd::Success, RunEnd::Failed, RunEnd::Cancelled]);
    prop_oneof![
        any::<i64>().prop_map(|wall_ms| began(&id("r1"), wall_ms)),
        (any::<i64>(), any::<u64>(), any::<u32>(), any::<String>(), option::of(any::<[u8; 32]>())).prop_map(
            |(wall_ms, gap, jobs, by, plan)| {
                let (gap, engine) = (Span::from_ms(gap), "1".to_owned());
                let plan = plan.map(Digest::from_bytes);
                Event::RunResumed(Box::new(Resumed {
                    wall_ms,
                    gap,
                    jobs,
                    by,
                    engine,
                    place: None,
                    plan,
                    drains: false,
                    closes: false,
                }))
            }
        ),
        any::<u32>().prop_map(|version| Event::PlanChanged { version }),
        (any::<bool>(), any::<String>()).prop_map(|(on, by)| Event::PauseChanged { on, by }),
        (level, cancel_reason(), any::<String>()).prop_map(|(level, why, by)| Event::CancelRaised {
            level,
            why,
            by
        }),
        Just(Event::FinallyBegan),
        background(),
        of_promises(),
        select(vec![SuspendReason::Person, SuspendReason::HandOver]).prop_map(|why| Event::RunSuspended { why }),
        (end, vec(node(), 0..4), any::<bool>(), option::of(cancel_reason())).prop_map(
            |(state, failed, timed_out, cancelled_by)| Event::RunFinished {
                verdict: Verdict { state, failed, timed_out, cancelled_by, only_late: timed_out }
            }
        ),
    ]
}

fn background() -> impl Strategy<Value = Event> {
    let level = select(vec![CancelLevel::Drain, CancelLevel::Stop, CancelLevel::Kill]);
    let end = select(vec![RunEnd::Success, RunEnd::Failed, RunEnd::RolledBack]);
    prop_oneof![
        node().prop_map(|node| Event::BackgroundReleased { node }),
        (end, vec(node(), 0..4), any::<bool>()).prop_map(|(state, failed, timed_out)| Event::ForegroundEnded {
            verdict: Verdict { state, failed, timed_out, cancelled_by: None, only_late: false }
        }),
        (level, any::<String>()).prop_map(|(how, by)| Event::BackgroundLeft { how, by }),
        (node(), any::<String>()).prop_map(|(node, by)| Event::BackgroundRequeued { node, by }),
    ]
}

fn of_consent() -> impl Strategy<Value = Event> {
    let answer = (any::<String>(), any::<bool>(), any::<String>()).prop_map(|(item, is_yes, words)| Answered {
        item,
        is_yes,
        words,
    });
    let vote = (any::<String>(), any::<String>(), vec(answer, 0..3), any::<Option<String>>())
        .prop_map(|(by, note, answers, signature)| Box::new(Vote { by, note, answers, signature }));
    prop_oneof![
        (node(), vote).prop_map(|(node, vote)| Event::VoteCast { node, vote }),
        (any::<String>(), any::<String>()).prop_map(|(by, reason)| Event::GlassBroken { by, reason }),
        (any::<i64>(), any::<String>()).prop_map(|(until_ms, words)| Event::FreezeBegan { until_ms, words }),
        Just(Event::FreezeEnded),
    ]
}

fn of_promises() -> impl Strategy<Value = Event> {
    let kinds = vec![
        CaseKind::Contained,
        CaseKind::Items,
        CaseKind::Late,
        CaseKind::Dead,
        CaseKind::Halted,
        CaseKind::Override,
    ];
    let severities = vec![Severity::Minor, Severity::Major, Severity::Critical];
    let case = (select(kinds), select(severities), option::of(node()), any::<String>());
    prop_oneof![
        any::<u32>().prop_map(|objective| Event::ObjectiveBreached { objective }),
        (any::<u32>(), option::of(any::<u64>())).prop_map(|(objective, forecast)| Event::ObjectiveRisked {
            objective,
            forecast: forecast.map(Span::from_ms)
        }),
        case.prop_map(|(kind, severity, node, words)| Event::TicketRaised {
            case: Box::new(Case { kind, severity, node, words })
        }),
    ]
}

fn record() -> impl Strategy<Value = (Millis, Event)> {
    let at = prop_oneof![0_u64..5000, any::<u64>()].prop_map(Millis::new);
    (at, prop_oneof![of_shards(), of_stages(), of_runs()])
}

proptest! {
    #[test]
    fn events_come_back_as_they_were(batches in vec(vec(record(), 1..20), 1..5)) {
        let mut memory = Memory::new();
        for batch in &batches {
            memory.append(batch.clone());
            let durable = memory.sync();
            let is_told = matches!(durable, Some(Notice::Durable { records, .. }) if records == *batch);
            prop_assert!(is_told);
        }
        let expected: Vec<_> =
            (1..).zip(batches.concat()).map(|(sequence, (at, event))| (sequence, at, event)).collect();
        prop_assert_eq!(memory.records(), expected);
    }

    #[test]
    fn any_bytes_are_events_or_a_fault(bytes in vec(any::<u8>(), 0..200), count in 0_u32..50) {
        drop(decode_events(&bytes, count));
    }

    #[test]
    fn what_can_be_read_can_be_written_and_read_again(bytes in vec(0_u8..32, 0..60), count in 0_u32..8) {
        if let Ok(events) = decode_events(&bytes, count) {
            let mut memory = Memory::new();
            memory.append(events.clone());
            memory.sync();
            let again: Vec<_> = memory.records().into_iter().map(|(_, at, event)| (at, event)).collect();
            prop_assert_eq!(again, events);
        }
    }

    #[test]
    fn spoiled_events_are_events_or_a_fault(
        batch in vec(record(), 1..6),
        place in any::<prop::sample::Index>(),
        flip in 1_u8..,
    ) {
        let mut memory = Memory::new();
        let count = u32::try_from(batch.len()).expect("a few");
        memory.append(batch);
        memory.sync();
        let frame = memory.bytes();
        let mut events = frame[32..frame.len() - 32].to_vec();
        let at = place.index(events.len());
        events[at] ^= flip;
        drop(decode_events(&events, count));
        events.truncate(at);
        drop(decode_events(&events, count));
    }
}

#[test]
fn what_was_not_synced_is_lost_in_a_crash() {
    let mut memory = Memory::new();
    assert_eq!(memory.append(vec![(Millis::ZERO, began(&id("r1"), WALL_MS))]), 1);
    memory.sync();
    assert_eq!(memory.append(vec![(Millis::new(3), Event::FinallyBegan)]), 2);
    memory.crash();
    assert!(memory.sync().is_none());
    assert_eq!(memory.sequence(), 1);
    assert_eq!(memory.records().len(), 1);
}

#[test]
fn a_plain_success_takes_few_bytes() {
    let mut memory = Memory::new();
    let node = NodeIx::new(0);
    for block in 0..100_u32 {
        let at = Millis::new(u64::from(block) * 17);
        memory.append(vec![(at, Event::ShardsStarted { node, first: block * 100, count: 100 })]);
        let done = (0..100).map(|shard| {
            let attempt = Attempt { node, shard: block * 100 + shard, number: 1 };
            let took = Span::from_ms(40 + u64::from(shard * 7 % 90));
            let outcome = Outcome::Success;
            (at, Event::ShardFinished { attempt, outcome, took, result: engine::run::event::Left::default() })
        });
        memory.append(done.collect());
        memory.sync();
    }
    let bytes = memory.bytes().len();
    assert!(bytes < 8 * 10_000, "{bytes} bytes for 10,000 shards");
}

#[test]
fn an_event_of_a_newer_engine_is_skipped_by_its_length() {
    // Time difference 0, tag 127, three bytes; then `FinallyBegan` at the same time.
    let events = decode_events(&[0, 127, 3, 1, 2, 3, 0, 23], 2).expect("two events");
    assert_eq!(events, [(Millis::ZERO, Event::FinallyBegan)]);
    assert!(decode_events(&[0, 63], 1).is_err(), "no engine writes tag 63");
}

fn heal_step() -> impl Strategy<Value = HealStep> {
    prop_oneof![
        (node(), any::<u32>()).prop_map(|(body, level)| HealStep::Began { body, level }),
        any::<u64>().prop_map(|due| HealStep::Ended { due: Millis::new(due) }),
        any::<u32>().prop_map(|level| HealStep::Halted { level }),
    ]
}
