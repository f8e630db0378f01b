//! Every news about every stage, in every state that a simulated run reaches: nothing panics, the facts that follow
//! keep the laws of the fold, and no deadline is left behind.

use engine::base::{Millis, NodeIx, Span};
use engine::run::event::{Answer, CancelLevel, CancelReason, CheckKind, Resolution, ShardResult, SuspendReason};
use engine::run::{Attempt, Core, Input, Outcome};

use crate::little::resumed;

fn about_run(state: &engine::run::RunState) -> Vec<Input> {
    let cancel = |level| Input::Cancel { level, why: CancelReason::Terminated, by: String::new() };
    let resumed = Box::new(resumed(Span::from_ms(5), 2));
    let rerun: Vec<NodeIx> = state.graph().nodes.indexes().take(1).collect();
    let again = |plan_version, rerun: &[NodeIx]| Input::Recover {
        resumed: resumed.clone(),
        plan_version,
        changed: Vec::new(),
        rerun: rerun.to_vec(),
        failed: rerun.to_vec(),
    };
    let mut drain = again(None, &[]);
    if let Input::Recover { resumed, .. } = &mut drain {
        resumed.drains = true;
    }
    let mut close = again(None, &[]);
    if let Input::Recover { resumed, .. } = &mut close {
        resumed.closes = true;
    }
    vec![
        Input::Tick,
        Input::Pause { on: true, by: String::new() },
        Input::Pause { on: false, by: String::new() },
        cancel(CancelLevel::Drain),
        cancel(CancelLevel::Stop),
        cancel(CancelLevel::Kill),
        Input::Cancel { level: CancelLevel::Stop, why: CancelReason::Rollback, by: String::new() },
        Input::LeaveBackground { how: CancelLevel::Drain, by: String::new() },
        Input::LeaveBackground { how: CancelLevel::Kill, by: String::new() },
        Input::Requeue { nodes: state.graph().nodes.indexes().collect(), by: String::new() },
        Input::Suspend(SuspendReason::Person),
        Input::Suspend(SuspendReason::HandOver),
        Input::OpenBox { until: Millis::ZERO },
        Input::OpenBox { until: state.now() + Span::from_ms(20) },
        again(None, &[]),
        drain,
        close,
        again(None, &rerun),
        again(Some(state.version() + 1), &[]),
    ]
}

fn about_stage(state: &engine::run::RunState, node: NodeIx) -> Vec<Input> {
    let outcomes = [
        Outcome::Success,
        Outcome::Exit(1),
        Outcome::Signal(9),
        Outcome::NotStarted(String::new()),
        Outcome::BadResult(String::new()),
    ];
    let answers = [Answer::Yes(Box::default()), Answer::No, Answer::Unknown(String::new())];
    let (by, note) = (String::new(), String::new());
    let mut all = Vec::new();
    for shard in 0..2 {
        let attempt = Attempt { node, shard, number: state.attempts(node, shard) };
        let (took, result) = (Span::ZERO, Box::<ShardResult>::default());
        all.push(Input::Silent { attempt });
        for outcome in outcomes.clone() {
            all.push(Input::Done { attempt, outcome, took, result: result.clone() });
        }
        for (kind, answer) in [CheckKind::Cache, CheckKind::DoneIf]
            .into_iter()
            .flat_map(|it| answers.clone().map(|answer| (it, answer)))
        {
            all.push(Input::Checked { node, shard, kind, answer });
        }
    }
    for approved in [true, false] {
        all.push(Input::Decide { node, approved, by: by.clone(), note: note.clone() });
    }
    for resolution in [Resolution::Success, Resolution::Failed, Resolution::Rerun] {
        all.push(Input::Resolve { node, resolution, by: by.clone(), note: note.clone() });
    }
    all
}

/// Tries everything on copies of `core`.
pub(crate) fn try_all(core: &Core, at: Millis) {
    let state = core.state();
    let stages = state.graph().nodes.indexes().flat_map(|node| about_stage(state, node));
    for input in about_run(state).into_iter().chain(stages) {
        let mut copy = core.clone();
        let batch = copy.step(at, vec![input.clone()]);
        let mut replayed = core.clone();
        batch.events.iter().for_each(|(at, event)| replayed.replay(*at, event));
        assert_eq!(replayed.state(), copy.state(), "after {input:?}");
        let due = copy.next_deadline();
        assert!(due.is_none_or(|due| due > at), "after {input:?} a deadline is left: {due:?} at {at:?}");
    }
}
