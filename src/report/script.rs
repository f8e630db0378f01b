//! A scripted run for the tests of this room.

use std::sync::Arc;

use crate::base::{Millis, NodeIx, RunId, Span};
use crate::graph::Parts;
use crate::graph::model::{Accept, Fold, FoldKind, Need, Retry, Work};
use crate::graph::{Graph, Node};
use crate::run::Attempt;
use crate::run::event::{
    Began, Clock, Event, NodeState, Outcome, Resumed, RunEnd, ShardResult, SkipReason, StopKind, StopReason,
    SuspendReason, Verdict,
};

use super::{Observer, Summary, View};

/// What reaches an observer.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A record.
    Record(u64, Event),
    /// Output of a stage's attempt.
    Output(Attempt, Vec<u8>),
    /// A tick.
    Tick(u64),
}

pub(super) const BUILD: NodeIx = NodeIx::new(0);
pub(super) const TEST: NodeIx = NodeIx::new(1);
pub(super) const PACK: NodeIx = NodeIx::new(2);
pub(super) const APPROVE: NodeIx = NodeIx::new(3);
const DEPLOY: NodeIx = NodeIx::new(4);
const NOTIFY: NodeIx = NodeIx::new(5);

/// build; test and pack (50 shards) need it; approve needs pack; deploy needs test and approve; notify is not
/// needed.
pub(super) fn graph() -> Arc<Graph> {
    let need = |node| Need { node, accept: Accept::DEFAULT };
    let mut nodes: Vec<Node> =
        ["build", "test", "pack", "approve", "deploy", "notify"].into_iter().map(Node::plain).collect();
    nodes[1].needs = vec![need(BUILD)];
    nodes[1].rules.retry = Some(Box::new(Retry {
        max: 1,
        delay: Span::from_secs(2),
        backoff: 1.0,
        max_delay: None,
        jitter: false,
        when: Vec::new(),
        within: None,
    }));
    nodes[2].needs = vec![need(BUILD)];
    nodes[2].rules.shards = 50;
    nodes[2].group = Some("assets".into());
    nodes[3].needs = vec![need(PACK)];
    nodes[3].work = Work::Approval { prompt: Some("Ship it?".into()), items: Vec::new() };
    nodes[3].rules.is_approval = true;
    nodes[4].needs = vec![need(TEST), need(APPROVE)];
    Arc::new(Graph::assemble(Parts::of("shop-release", nodes)).expect("no cycle"))
}

/// Attempt `number` of `node`.
pub(super) fn attempt(node: NodeIx, shard: u32, number: u16) -> Attempt {
    Attempt { node, shard, number }
}

/// The run's first event.
pub(super) fn began() -> Event {
    Event::RunBegan(Box::new(Began {
        run: RunId::parse("20261121-033105-7f3a").expect("a run id"),
        path: "plans/release.yaml".to_owned(),
        wall_ms: 1_795_232_845_000,
        seed: 1,
        files: Vec::new(),
        key: Some("4f2a91c".to_owned()),
        by: "ana".to_owned(),
        engine: "0.1.0".to_owned(),
        ..Began::unrecorded("shop-release", 8)
    }))
}

/// An attempt's end.
pub(super) fn finished(attempt: Attempt, outcome: Outcome, took: u64) -> Event {
    let result = ShardResult { cpu_us: took * 700, max_rss_kib: 20_480, ..ShardResult::default() };
    Event::ShardFinished { attempt, outcome, took: Span::from_ms(took), result: result.into() }
}

/// A stage's end.
pub(super) fn ended(node: NodeIx, state: NodeState) -> Event {
    Event::NodeFinished { node, state, reason: String::new() }
}

/// First shards start.
pub(super) fn started(node: NodeIx, first: u32, count: u32) -> Event {
    Event::ShardsStarted { node, first, count }
}

/// A run that fails: a retry, a timeout, a failed shard, an approval, a crash with a resume, blocked stages.
pub(super) fn failing() -> Vec<Step> {
    use Step::{Output, Record};
    let (build, test) = (attempt(BUILD, 0, 1), attempt(TEST, 0, 1));
    let mut steps = vec![
        Record(0, began()),
        Record(2, Event::NodeSkipped { node: NOTIFY, why: SkipReason::Condition }),
        Record(3, started(BUILD, 0, 1)),
        Output(build, b"\x1b]0;owned\x07compiling\r\nlinking\r".to_vec()),
        Output(build, b"::set-env name=X::1\n\x1b[32mdone\x1b[0m".to_vec()),
        Step::Tick(9000),
        Record(12_303, finished(build, Outcome::Success, 12_300)),
        Record(12_304, ended(BUILD, NodeState::Success)),
        Record(12_310, started(TEST, 0, 1)),
        Record(12_310, started(PACK, 0, 4)),
        Record(14_000, finished(test, Outcome::Exit(69), 1690)),
        Record(14_000, Event::RetryScheduled { attempt: attempt(TEST, 0, 2), at: Millis::new(16_000) }),
        Step::Tick(15_000),
        Record(16_000, Event::ShardRetried { attempt: attempt(TEST, 0, 2) }),
    ];
    for shard in 0..50 {
        let at = 16_100 + 200 * u64::from(shard);
        let outcome = if shard == 7 { Outcome::Signal(9) } else { Outcome::Success };
        steps.push(Record(at, finished(attempt(PACK, shard, 1), outcome, 800)));
        if shard == 7 {
            steps.push(Record(
                at,
                Event::RetryScheduled { attempt: attempt(PACK, 7, 2), at: Millis::new(at + 50) },
            ));
            steps.push(Record(at + 50, Event::ShardRetried { attempt: attempt(PACK, 7, 2) }));
        }
        if shard < 46 {
            steps.push(Record(at, started(PACK, shard + 4, 1)));
        }
    }
    steps.push(Step::Tick(26_000));
    steps.push(Record(26_100, finished(attempt(PACK, 7, 2), Outcome::Success, 8550)));
    steps.push(Record(26_100, ended(PACK, NodeState::Success)));
    let prompt = "Ship v1.2.0?".to_owned();
    steps
        .push(Record(26_101, Event::GateOpened { node: APPROVE, expires: Some(Millis::new(14_426_101)), prompt }));
    steps.extend(failing_end());
    steps
}

/// The crash, the resume and the end of [`failing`].
fn failing_end() -> Vec<Step> {
    use Step::{Output, Record};
    let third = attempt(TEST, 0, 3);
    let mut steps = vec![
        Record(
            90_000,
            Event::RunResumed(Box::new(Resumed {
                wall_ms: 1_795_232_935_000,
                gap: Span::from_secs(60),
                jobs: 8,
                by: "ben".to_owned(),
                engine: "0.1.0".to_owned(),
                place: None,
                plan: None,
                drains: false,
                closes: false,
            })),
        ),
        Record(90_000, Event::ShardLost { attempt: attempt(TEST, 0, 2) }),
        Record(90_001, Event::ShardRetried { attempt: third }),
        Record(
            95_000,
            Event::GateDecided {
                node: APPROVE,
                approved: true,
                by: "eva".to_owned(),
                note: "ship <it>".to_owned(),
            },
        ),
        Record(95_000, ended(APPROVE, NodeState::Success)),
    ];
    for line in 1..=60 {
        steps.push(Output(third, format!("case {line} & <ok>\n").into_bytes()));
    }
    steps.push(Output(third, b"assertion failed: \xff \x1b[31mleft\x1b[0m != ``` right ::error::".to_vec()));
    let why = StopReason::Clock(Clock::Attempt);
    steps.extend([
        Step::Tick(100_000),
        Record(390_000, Event::StopRequested { attempt: third, how: StopKind::Terminate, why }),
        Record(390_100, finished(third, Outcome::TimedOut(Clock::Attempt), 300_099)),
        Record(390_100, ended(TEST, NodeState::TimedOut)),
        Record(390_101, Event::NodeSkipped { node: DEPLOY, why: SkipReason::Blocked { by: TEST } }),
        Record(390_102, Event::RunFinished { verdict: failed(&[TEST]) }),
    ]);
    steps
}

/// A failed verdict.
pub(super) fn failed(nodes: &[NodeIx]) -> Verdict {
    Verdict {
        state: RunEnd::Failed,
        failed: nodes.to_vec(),
        timed_out: false,
        cancelled_by: None,
        only_late: false,
    }
}

/// The run up to its approval, left there.
pub(super) fn waiting() -> Vec<Step> {
    let mut steps = failing();
    let at = steps.iter().position(|step| matches!(step, Step::Record(_, Event::GateOpened { .. })));
    steps.truncate(at.expect("the script has an approval") + 1);
    steps.push(Step::Record(27_000, Event::RunSuspended { why: SuspendReason::Person }));
    steps
}

/// Plays `steps` to an observer.
pub(super) fn play(steps: &[Step], to: &mut dyn Observer) {
    play_to_end(steps, to, false);
}

/// The same; the disk may have been full, so that not all output could be stored.
pub(super) fn play_to_end(steps: &[Step], to: &mut dyn Observer, is_output_cut: bool) {
    let (mut seq, mut last) = (0, 0);
    for step in steps {
        match step {
            Step::Record(at, event) => {
                seq += 1;
                last = *at;
                to.record(seq, Millis::new(*at), event);
            }
            Step::Output(attempt, bytes) => to.output(*attempt, bytes),
            Step::Tick(at) => to.tick(Millis::new(*at)),
        }
    }
    let notes = vec!["2 files are missing".to_owned()];
    to.end(&Summary { at: Millis::new(last), exit: 1, is_output_cut, notes });
}

/// The view after `steps`.
pub(super) fn view(steps: &[Step]) -> View {
    let records: Vec<(u64, Event)> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Record(at, event) => Some((*at, event.clone())),
            _ => None,
        })
        .collect();
    let each = records.iter().zip(1..).map(|((at, event), seq)| (seq, Millis::new(*at), event));
    View::replay(vec![graph()], each)
}

/// 2,000 stages in 20 groups, every 333rd failed.
pub(super) fn large() -> View {
    let mut nodes = Vec::new();
    let mut folds = Vec::new();
    for at in 0..2000_u32 {
        let group = at / 100;
        if at % 100 == 0 {
            folds.push(Fold { parent: None, name: format!("group-{group}"), kind: FoldKind::Group });
        }
        let mut node = Node::plain(&format!("stage-{at}"));
        node.fold = (at < 1000).then_some(group);
        if at >= 100 {
            node.needs = vec![Need { node: NodeIx::new(at - 100), accept: Accept::DEFAULT }];
        }
        nodes.push(node);
    }
    let parts = Parts { folds, ..Parts::of("large", nodes) };
    let mut view = View::new(vec![Arc::new(Graph::assemble(parts).expect("no cycle"))]);
    view.record(1, Millis::ZERO, &began());
    for at in 0..2000_u32 {
        let node = NodeIx::new(at);
        let begin = u64::from(at / 100) * 4000 + u64::from(at % 7) * 300;
        let (outcome, state) = if at % 333 == 332 {
            (Outcome::Exit(1), NodeState::Failed)
        } else {
            (Outcome::Success, NodeState::Success)
        };
        view.record(2, Millis::new(begin), &started(node, 0, 1));
        let end = Millis::new(begin + 1500 + u64::from(at % 11) * 100);
        view.record(3, end, &finished(attempt(node, 0, 1), outcome, 1500));
        view.record(4, end, &ended(node, state));
    }
    view.record(5, Millis::new(90_000), &Event::RunFinished { verdict: failed(&[NodeIx::new(332)]) });
    view
}
