//! One of each kind, about stage 0, as right as it can be; and what it means in each situation.

use super::*;
use crate::graph::shards::Cut;
use crate::run::event::{Case, CaseKind, Severity};

/// Kinds of news, in their order.
pub(super) const NEWS: [&str; 22] = [
    "Begin",
    "Recover",
    "Tick",
    "Done",
    "Answered",
    "WorkerLost",
    "CrewGone",
    "Lost",
    "Silent",
    "Checked",
    "Recalled",
    "Decide",
    "Attest",
    "BreakGlass",
    "Resolve",
    "Pause",
    "Cancel",
    "SecretsFetched",
    "OpenBox",
    "LeaveBackground",
    "Requeue",
    "Suspend",
];

/// Kinds of facts, in their order.
pub(super) const FACTS: [&str; 53] = [
    "RunBegan",
    "RunResumed",
    "PlanChanged",
    "NodeAdmitted",
    "ShardsStarted",
    "ShardsCut",
    "ItemsFrozen",
    "CellsFrozen",
    "ShardRecalled",
    "StageSealed",
    "ShardsReopened",
    "ShardRetried",
    "CrewHired",
    "CrewDismissed",
    "CrewGone",
    "WorkerLost",
    "ShardsFinished",
    "ShardFinished",
    "RetryScheduled",
    "StopRequested",
    "ShardLost",
    "CheckStarted",
    "CheckAnswered",
    "GateOpened",
    "GateDecided",
    "VoteCast",
    "NodeExpired",
    "ShardExpired",
    "NodeFinished",
    "NodeSkipped",
    "NodeReopened",
    "NodeResolved",
    "PauseChanged",
    "CancelRaised",
    "GlassBroken",
    "FreezeBegan",
    "FreezeEnded",
    "SecretsFetched",
    "RollbackBegan",
    "Healing",
    "FinallyBegan",
    "BackgroundReleased",
    "ForegroundEnded",
    "BackgroundLeft",
    "BackgroundRequeued",
    "BoxOpened",
    "NodeDeferred",
    "BoxClosed",
    "TicketRaised",
    "ObjectiveRisked",
    "ObjectiveBreached",
    "RunSuspended",
    "RunFinished",
];

fn person() -> String {
    "ann".to_owned()
}

fn attempt(story: &Story) -> Attempt {
    let number = story.core.state().attempts(n(0), 0);
    Attempt { node: n(0), shard: 0, number }
}

fn vote() -> Vote {
    Vote { by: person(), ..Vote::default() }
}

/// The news of this kind; the match names every kind there is.
pub(super) fn news(kind: &str, story: &Story) -> Input {
    let (attempt, by, note) = (attempt(story), person(), String::new());
    let (took, until) = (Span::from_ms(1), story.at + Span::from_secs(60));
    let all = [
        began(8),
        Input::Recover {
            resumed: Box::new(resumed(0)),
            plan_version: None,
            changed: vec![],
            rerun: vec![],
            failed: vec![],
        },
        Input::Tick,
        Input::Done { attempt, outcome: Outcome::Success, took, result: Box::default() },
        Input::Answered { node: n(0), runs: vec![(0, 1)], took },
        Input::WorkerLost { node: n(0), why: Some("gone".to_owned()), shards: vec![(0, 1)] },
        Input::CrewGone { node: n(0) },
        Input::Lost { attempt },
        Input::Silent { attempt },
        Input::Checked { node: n(0), shard: 0, kind: CheckKind::DoneIf, answer: Answer::No },
        Input::Recalled { node: n(0), hits: vec![(0, Box::default())] },
        Input::Decide { node: n(0), approved: true, by: by.clone(), note: note.clone() },
        Input::Attest { node: n(0), vote: vote() },
        Input::BreakGlass { by: by.clone(), reason: note.clone() },
        Input::Resolve { node: n(0), resolution: Resolution::Success, by: by.clone(), note },
        Input::Pause { on: true, by: by.clone() },
        Input::Cancel { level: CancelLevel::Stop, why: CancelReason::Person, by: by.clone() },
        Input::LeaveBackground { how: CancelLevel::Stop, by: by.clone() },
        Input::Requeue { nodes: vec![n(0)], by },
        Input::SecretsFetched(vec![SecretFact {
            name: "KEY".to_owned(),
            source: "env:KEY".to_owned(),
            version: None,
            rotated_at: None,
        }]),
        Input::OpenBox { until },
        Input::Suspend(SuspendReason::Person),
    ];
    all.into_iter().find(|news| name_of_news(news) == kind).unwrap_or_else(|| panic!("no sample of {kind}"))
}

const fn name_of_news(news: &Input) -> &'static str {
    match news {
        Input::Begin(_) => "Begin",
        Input::Recover { .. } => "Recover",
        Input::Tick => "Tick",
        Input::Done { .. } => "Done",
        Input::Answered { .. } => "Answered",
        Input::WorkerLost { .. } => "WorkerLost",
        Input::CrewGone { .. } => "CrewGone",
        Input::Lost { .. } => "Lost",
        Input::Silent { .. } => "Silent",
        Input::Checked { .. } => "Checked",
        Input::Recalled { .. } => "Recalled",
        Input::Decide { .. } => "Decide",
        Input::Attest { .. } => "Attest",
        Input::BreakGlass { .. } => "BreakGlass",
        Input::Resolve { .. } => "Resolve",
        Input::Pause { .. } => "Pause",
        Input::Cancel { .. } => "Cancel",
        Input::SecretsFetched(_) => "SecretsFetched",
        Input::OpenBox { .. } => "OpenBox",
        Input::LeaveBackground { .. } => "LeaveBackground",
        Input::Requeue { .. } => "Requeue",
        Input::Suspend(_) => "Suspend",
    }
}

fn facts_of_shards(attempt: Attempt, at: Millis) -> Vec<Event> {
    let (node, shard, count, took) = (n(0), 0, 1, Span::from_ms(1));
    vec![
        Event::ShardsStarted { node, first: 0, count },
        Event::ShardsCut { node, cut: Cut { shard, item: 0, size: 2 }, why: CutReason::First, p95: Span::ZERO },
        Event::ItemsFrozen { node, items: Arc::new(vec!["x".into()]) },
        Event::CellsFrozen { node, cells: Arc::new(vec!["1".into()]) },
        Event::ShardRecalled { node, shard, result: Box::default() },
        Event::StageSealed { node, root: Digest::ZERO },
        Event::ShardsReopened { node },
        Event::ShardRetried { attempt: Attempt { number: attempt.number + 1, ..attempt } },
        Event::CrewHired { node, count },
        Event::CrewDismissed { node, how: StopKind::Terminate },
        Event::CrewGone { node },
        Event::WorkerLost { node, why: String::new(), shards: vec![shard] },
        Event::ShardsFinished { node, first: shard, count, took },
        Event::ShardFinished {
            attempt,
            outcome: Outcome::Success,
            took,
            result: crate::run::event::Left::default(),
        },
        Event::RetryScheduled { attempt, at: at + Span::from_ms(5) },
        Event::StopRequested { attempt, how: StopKind::Terminate, why: StopReason::Cancel },
        Event::ShardLost { attempt },
        Event::CheckStarted { node, shard, kind: CheckKind::DoneIf },
        Event::CheckAnswered { node, shard, kind: CheckKind::DoneIf, answer: Answer::No },
        Event::ShardExpired { node, shard, clock: Clock::Within },
    ]
}

fn facts_of_stages(at: Millis) -> Vec<Event> {
    let (node, by, note) = (n(0), person(), String::new());
    let step = HealStep::Began { body: node, level: 1 };
    vec![
        Event::NodeAdmitted { node },
        Event::GateOpened { node, expires: Some(at + Span::from_secs(9)), prompt: String::new() },
        Event::GateDecided { node, approved: true, by: by.clone(), note: note.clone() },
        Event::VoteCast { node, vote: Box::new(vote()) },
        Event::NodeExpired { node, clock: Clock::Queue },
        Event::NodeFinished { node, state: NodeState::Success, reason: String::new() },
        Event::NodeSkipped { node, why: SkipReason::Condition },
        Event::NodeReopened { node, why: ReopenReason::Ordered },
        Event::NodeResolved { node, resolution: Resolution::Success, by: by.clone(), note },
        Event::BackgroundReleased { node },
        Event::BackgroundRequeued { node, by },
        Event::NodeDeferred { node, wants: None },
        Event::Healing { node, step },
    ]
}

fn facts_of_run(at: Millis) -> Vec<Event> {
    let (by, reason) = (person(), String::new());
    let Input::Begin(began) = began(8) else { unreachable!("it begins") };
    let case = Case { kind: CaseKind::Late, severity: Severity::Minor, node: None, words: String::new() };
    let verdict =
        Verdict { state: RunEnd::Success, failed: vec![], timed_out: false, cancelled_by: None, only_late: false };
    vec![
        Event::RunBegan(began),
        Event::RunResumed(Box::new(resumed(0))),
        Event::PlanChanged { version: 1 },
        Event::PauseChanged { on: true, by: by.clone() },
        Event::CancelRaised { level: CancelLevel::Stop, why: CancelReason::Person, by: by.clone() },
        Event::GlassBroken { by, reason },
        Event::FreezeBegan { until_ms: 9_000, words: String::new() },
        Event::FreezeEnded,
        Event::SecretsFetched { secrets: Vec::new() },
        Event::RollbackBegan { why: CancelReason::Person, nodes: Vec::new(), between: Vec::new() },
        Event::FinallyBegan,
        Event::ForegroundEnded { verdict: verdict.clone() },
        Event::BackgroundLeft { how: CancelLevel::Stop, by: person() },
        Event::BoxOpened { until: at + Span::from_secs(60) },
        Event::BoxClosed,
        Event::TicketRaised { case: Box::new(case) },
        Event::ObjectiveRisked { objective: 0, forecast: None },
        Event::ObjectiveBreached { objective: 0 },
        Event::RunSuspended { why: SuspendReason::Person },
        Event::RunFinished { verdict },
    ]
}

/// The fact of this kind; the match names every kind there is.
pub(super) fn fact(kind: &str, story: &Story) -> Event {
    let shards = facts_of_shards(attempt(story), story.at);
    let mut all = shards.into_iter().chain(facts_of_stages(story.at)).chain(facts_of_run(story.at));
    all.find(|fact| name_of_fact(fact) == kind).unwrap_or_else(|| panic!("no sample of {kind}"))
}

const fn name_of_fact(fact: &Event) -> &'static str {
    match fact {
        Event::RunBegan(_) => "RunBegan",
        Event::RunResumed(_) => "RunResumed",
        Event::PlanChanged { .. } => "PlanChanged",
        Event::NodeAdmitted { .. } => "NodeAdmitted",
        Event::ShardsStarted { .. } => "ShardsStarted",
        Event::ShardsCut { .. } => "ShardsCut",
        Event::ItemsFrozen { .. } => "ItemsFrozen",
        Event::CellsFrozen { .. } => "CellsFrozen",
        Event::ShardRecalled { .. } => "ShardRecalled",
        Event::StageSealed { .. } => "StageSealed",
        Event::ShardsReopened { .. } => "ShardsReopened",
        Event::ShardRetried { .. } => "ShardRetried",
        Event::CrewHired { .. } => "CrewHired",
        Event::CrewDismissed { .. } => "CrewDismissed",
        Event::CrewGone { .. } => "CrewGone",
        Event::WorkerLost { .. } => "WorkerLost",
        Event::ShardsFinished { .. } => "ShardsFinished",
        Event::ShardFinished { .. } => "ShardFinished",
        Event::RetryScheduled { .. } => "RetryScheduled",
        Event::StopRequested { .. } => "StopRequested",
        Event::ShardLost { .. } => "ShardLost",
        Event::CheckStarted { .. } => "CheckStarted",
        Event::CheckAnswered { .. } => "CheckAnswered",
        Event::GateOpened { .. } => "GateOpened",
        Event::GateDecided { .. } => "GateDecided",
        Event::VoteCast { .. } => "VoteCast",
        Event::NodeExpired { .. } => "NodeExpired",
        Event::ShardExpired { .. } => "ShardExpired",
        Event::NodeFinished { .. } => "NodeFinished",
        Event::NodeSkipped { .. } => "NodeSkipped",
        Event::NodeReopened { .. } => "NodeReopened",
        Event::NodeResolved { .. } => "NodeResolved",
        Event::PauseChanged { .. } => "PauseChanged",
        Event::CancelRaised { .. } => "CancelRaised",
        Event::GlassBroken { .. } => "GlassBroken",
        Event::FreezeBegan { .. } => "FreezeBegan",
        Event::FreezeEnded => "FreezeEnded",
        Event::SecretsFetched { .. } => "SecretsFetched",
        Event::RollbackBegan { .. } => "RollbackBegan",
        Event::Healing { .. } => "Healing",
        Event::FinallyBegan => "FinallyBegan",
        Event::BackgroundReleased { .. } => "BackgroundReleased",
        Event::ForegroundEnded { .. } => "ForegroundEnded",
        Event::BackgroundLeft { .. } => "BackgroundLeft",
        Event::BackgroundRequeued { .. } => "BackgroundRequeued",
        Event::BoxOpened { .. } => "BoxOpened",
        Event::NodeDeferred { .. } => "NodeDeferred",
        Event::BoxClosed => "BoxClosed",
        Event::TicketRaised { .. } => "TicketRaised",
        Event::ObjectiveRisked { .. } => "ObjectiveRisked",
        Event::ObjectiveBreached { .. } => "ObjectiveBreached",
        Event::RunSuspended { .. } => "RunSuspended",
        Event::RunFinished { .. } => "RunFinished",
    }
}
