//! Background work: released with what it needs, started behind the verdict, and never a part of it.

use super::consent::{began_freeze, frozen};
use super::*;

fn behind(id: &str, needs: &[u32]) -> Node {
    let mut node = after(id, needs);
    node.phase = Phase::Background;
    node
}

/// a; `up` and `more` behind it, one after the other.
fn deploy() -> Story {
    Story::of(vec![Node::plain("a"), behind("up", &[0]), behind("more", &[1])])
}

impl Story {
    /// Another engine takes the run over, for the background only.
    pub(super) fn drains(&mut self) -> &mut Self {
        // Its wall clock says what the run's does, which began at 0.
        let wall_ms = i64::try_from(self.at.raw()).expect("a short story");
        let resumed = Box::new(Resumed { drains: true, wall_ms, ..resumed(0) });
        self.tell(Input::Recover { resumed, plan_version: None, changed: vec![], rerun: vec![], failed: vec![] })
    }

    fn leaves(&mut self, how: CancelLevel) -> &mut Self {
        self.tell(Input::LeaveBackground { how, by: "ann".to_owned() })
    }

    fn place_of(&self, is: impl Fn(&Event) -> bool) -> usize {
        self.last.iter().position(is).unwrap_or_else(|| panic!("it is not in {:#?}", self.last))
    }
}

#[test]
fn background_work_is_released_in_the_batch_of_what_it_needs() {
    let mut story = deploy();
    story.starts(&[(0, 0)]).succeeds(0);
    let ended = story.place_of(|event| matches!(event, Event::NodeFinished { .. }));
    let released = story.place_of(|event| *event == Event::BackgroundReleased { node: n(1) });
    let decided = story.place_of(|event| matches!(event, Event::ForegroundEnded { .. }));
    assert!(ended < released && released < decided, "{:#?}", story.last);
    story.starts(&[(1, 0)]);
    story.succeeds(1).has(&Event::BackgroundReleased { node: n(2) }).starts(&[(2, 0)]);
    story.succeeds(2).run_ends(RunEnd::Success);
}

#[test]
fn the_verdict_is_decided_before_background_work_and_stays() {
    let mut nodes = vec![Node::plain("a"), Node::plain("b"), behind("up", &[0])];
    nodes.push(stage("tidy", |node| node.phase = Phase::Finally));
    let mut story = Story::of(nodes);
    story.succeeds(0).has(&Event::BackgroundReleased { node: n(2) }).starts(&[]);
    story.fails(1).starts(&[(3, 0)]);
    story.succeeds(3).starts(&[(2, 0)]);
    assert_eq!(story.core.state().decided().map(|it| it.state), Some(RunEnd::Failed));
    assert!(story.core.state().verdict().is_none());
    story.succeeds(2).run_ends(RunEnd::Failed);
}

#[test]
fn what_is_left_of_the_background_is_for_the_next_engine() {
    let mut story = deploy();
    story.leaves(CancelLevel::Drain).succeeds(0).starts(&[]);
    story.then_ends_with(&Event::RunSuspended { why: SuspendReason::HandOver });
    story.resume().starts(&[(1, 0)]);
    // Somebody interrupts: what runs counts as not run.
    story.cancel(CancelLevel::Stop);
    story.has(&Event::BackgroundLeft { how: CancelLevel::Stop, by: "somebody".to_owned() });
    story.has(&stop(1, StopKind::Terminate, StopReason::HandOver));
    story.ends(1, Outcome::Signal(15)).then_ends_with(&Event::RunSuspended { why: SuspendReason::HandOver });
    story.is(1, NodeState::Waiting);
    story.drains().then_ends_with(&retried(1, 2));
    story.succeeds(1).succeeds(2).run_ends(RunEnd::Success);
}

#[test]
fn a_failed_run_is_drained_without_another_try_and_resumed_with_one() {
    let mut story = Story::of(vec![Node::plain("a"), Node::plain("b"), behind("up", &[0])]);
    story.leaves(CancelLevel::Drain).succeeds(0).fails(1).starts(&[]);
    let mut other = story.without_last(0);
    story.drains().starts(&[(2, 0)]).succeeds(2).run_ends(RunEnd::Failed);
    other.resume().starts(&[(1, 0)]).succeeds(1).starts(&[(2, 0)]);
    other.succeeds(2).run_ends(RunEnd::Success);
}

#[test]
fn a_dead_letter_is_a_ticket_and_is_queued_again_by_a_person() {
    let mut story = deploy();
    story.succeeds(0).fails(1).run_ends(RunEnd::Success).is(1, NodeState::Failed).is(2, NodeState::Blocked);
    let case = Case { kind: CaseKind::Dead, severity: Severity::Major, node: Some(n(1)), words: String::new() };
    story.has(&Event::TicketRaised { case: Box::new(case) });
    assert_eq!(story.core.state().dead().collect::<Vec<_>>(), [n(1)]);
    story.tell(Input::Requeue { nodes: vec![n(0), n(1), n(2)], by: "ann".to_owned() });
    story.has(&Event::BackgroundRequeued { node: n(1), by: "ann".to_owned() });
    story.has(&Event::NodeReopened { node: n(2), why: ReopenReason::Resume });
    assert_eq!(story.last.iter().filter(|it| matches!(it, Event::BackgroundRequeued { .. })).count(), 1);
    story.drains().succeeds(1).succeeds(2).run_ends(RunEnd::Success);
}

#[test]
fn the_runs_timeout_ends_the_wait_and_then_the_work() {
    let mut all = parts(vec![Node::plain("a"), behind("up", &[0])]);
    all.settings.timeout = Some(Span::from_ms(100));
    let mut story = Story::with(4, all);
    story.wait(60).succeeds(0).starts(&[(1, 0)]);
    story.wait(50).has(&Event::BackgroundLeft { how: CancelLevel::Stop, by: String::new() });
    story.has(&stop(1, StopKind::Terminate, StopReason::HandOver)).ends(1, Outcome::Signal(15));
    // An engine of its own has all the time, and no more.
    story.drains().wait(90);
    assert!(story.last.is_empty(), "{:#?}", story.last);
    let attempt = Attempt { node: n(1), shard: 0, number: 2 };
    let why = StopReason::Clock(Clock::Run);
    story.wait(20).has(&Event::StopRequested { attempt, how: StopKind::Terminate, why });
    story.ends(1, Outcome::Signal(15)).is(1, NodeState::TimedOut).run_ends(RunEnd::Success);
}

#[test]
fn after_a_cancel_nothing_of_the_background_starts() {
    let mut story = Story::of(vec![Node::plain("a"), Node::plain("b"), behind("up", &[0])]);
    story.succeeds(0).cancel(CancelLevel::Stop).ends(1, Outcome::Signal(15)).starts(&[]);
    story.then_ends_with(&Event::RunSuspended { why: SuspendReason::HandOver });
    assert_eq!(story.core.state().decided().map(|it| it.state), Some(RunEnd::Cancelled));
    story.drains().starts(&[(2, 0)]).succeeds(2).run_ends_as(RunEnd::Cancelled);
}

#[test]
fn a_freeze_holds_work_back_and_keeps_it_in_the_queue() {
    let mut story = frozen(vec![Node::plain("a"), behind("up", &[0]), behind("more", &[1])], 100, 10_000);
    let queued = |story: &Story| story.core.state().queued().collect::<Vec<_>>();
    story.wait(200).has(&began_freeze(10_000));
    // Its release is no start, and the verdict waits for no freeze.
    story.succeeds(0).has(&Event::BackgroundReleased { node: n(1) }).starts(&[]);
    assert_eq!(story.core.state().decided().map(|it| it.state), Some(RunEnd::Success));
    assert_eq!(queued(&story), [n(1)]);
    // Another engine in the middle of it holds the work back as well.
    let mut early = story.without_last(0);
    early.drains().starts(&[]);
    assert_eq!(queued(&early), [n(1)]);
    story.wait(20_000).starts(&[(1, 0)]).succeeds(1).succeeds(2).run_ends(RunEnd::Success);
    assert_eq!(queued(&story), []);
}
