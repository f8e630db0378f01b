//! Gates that ask by themselves: what their ends mean, and how a person is asked.

use super::heal::body;
use super::recover::edited;
use super::*;
use crate::gate::verdict::{HALTED, HELD};
use crate::graph::objective::{Objective, OnBreach, Subject};
use crate::run::Phase as ShardPhase;

fn gate(id: &str) -> Node {
    stage(id, |node| {
        node.rules.hold = Some(Span::from_secs(60));
        node.rules.is_hosted = true;
    })
}

fn found(verdict: &str, why: &str) -> Box<ShardResult> {
    let outputs = vec![("verdict".to_owned(), verdict.into()), ("why".to_owned(), why.into())];
    Box::new(ShardResult { outputs, ..ShardResult::default() })
}

fn told(story: &mut Story, code: i32) {
    let outcome = if code == 0 { Outcome::Success } else { Outcome::Exit(code) };
    let (attempt, result) = (story.number(0, 0), found("no-data", "nothing there"));
    story.tell(Input::Done { attempt, outcome, took: Span::from_ms(1), result });
}

fn ended(state: NodeState, reason: &str) -> Event {
    Event::NodeFinished { node: n(0), state, reason: reason.to_owned() }
}

fn opened(expires: Option<u64>, prompt: &str) -> Event {
    Event::GateOpened { node: n(0), expires: expires.map(Millis::new), prompt: prompt.to_owned() }
}

#[test]
fn a_verdict_passes_or_fails_its_stage_with_its_words() {
    let mut story = Story::of(vec![gate("gate"), after("next", &[0])]);
    told(&mut story, 0);
    story.has(&ended(NodeState::Success, "no-data: nothing there")).starts(&[(1, 0)]);
    let mut story = Story::of(vec![gate("gate"), after("next", &[0])]);
    told(&mut story, 1);
    story.has(&ended(NodeState::Failed, "no-data: nothing there")).run_ends(RunEnd::Failed);
}

#[test]
fn a_held_gate_waits_like_an_approval_and_what_a_person_says_counts() {
    let nodes = || vec![gate("gate"), after("next", &[0])];
    let question = opened(Some(60_000), "held: no-data: nothing there; go on all the same?");
    let mut story = Story::of(nodes());
    told(&mut story, HELD);
    story.has(&question).is(0, NodeState::Waiting).starts(&[]);
    assert_eq!(story.core.state().outputs(n(0)).len(), 2, "what was found is there for those that follow");
    story.decides(0, true).has(&ended(NodeState::Success, "waived by ann")).starts(&[(1, 0)]);
    assert_eq!(story.core.state().phases(n(0)), [ShardPhase::Success], "its attempt is done with that");
    let mut story = Story::of(nodes());
    told(&mut story, HELD);
    story.decides(0, false).is(0, NodeState::Failed).run_ends(RunEnd::Failed);
    let mut story = Story::of(nodes());
    told(&mut story, HELD);
    story.wait(60_000).is(0, NodeState::TimedOut).run_ends(RunEnd::Failed);
}

/// What failed is tried again by a resume, and trying a gate again is asking it again.
#[test]
fn a_gate_that_did_not_pass_asks_again_in_a_resume() {
    type Ends = fn(&mut Story);
    let ends: [Ends; 3] = [
        |story| _ = story.decides(0, false).run_ends(RunEnd::Failed),
        |story| _ = story.wait(60_000).run_ends(RunEnd::Failed),
        |story| _ = story.cancel(CancelLevel::Stop).run_ends_as(RunEnd::Cancelled),
    ];
    for end in ends {
        let mut story = Story::of(vec![gate("gate"), after("next", &[0])]);
        told(&mut story, HELD);
        end(&mut story);
        story.resume().is(0, NodeState::Running).has(&retried(0, 2));
        told(&mut story, 0);
        story.is(0, NodeState::Success).starts(&[(1, 0)]);
    }
}

/// Acknowledged is final: that it took too long, and the stage failed by that, takes nothing back.
#[test]
fn a_gate_that_passed_and_failed_by_its_slo_is_not_asked_again_in_a_resume() {
    type Passes = fn(&mut Story);
    let passes: [Passes; 2] = [
        |story| told(story, 0),
        |story| {
            told(story, HELD);
            story.decides(0, true);
        },
    ];
    for pass in passes {
        let (subject, limit, on_breach) = (Subject::Stage, Span::from_ms(10), OnBreach::Fail);
        let slo = Objective { subject, name: "gate".into(), limit, on_breach, nodes: vec![n(0)] };
        let parts = parts(vec![gate("gate"), after("next", &[0])]);
        let mut story = Story::with(8, Parts { objectives: vec![slo], ..parts });
        story.wait(20);
        pass(&mut story);
        story.is(0, NodeState::Failed).run_ends(RunEnd::Failed);
        story.resume().is(0, NodeState::Success).starts(&[(1, 0)]);
    }
}

#[test]
fn a_gate_that_nobody_decided_about_passes_only_if_its_plan_says_so() {
    let mut lenient = gate("gate");
    lenient.rules.waives_late = true;
    let mut story = Story::of(vec![lenient, after("next", &[0])]);
    told(&mut story, HELD);
    let said = "waived by the plan: nobody decided in time, and `on-expire` says `continue`";
    story.wait(60_000).has(&ended(NodeState::Success, said)).starts(&[(1, 0)]);
}

#[test]
fn a_halt_waits_without_end() {
    let mut story = Story::of(vec![gate("gate")]);
    told(&mut story, HALTED);
    story.has(&opened(None, "guardian.halt: no-data: nothing there; go on all the same?"));
    story.wait(100_000_000).is(0, NodeState::Waiting);
    story.decides(0, true).is(0, NodeState::Success).run_ends(RunEnd::Success);
}

#[test]
fn a_held_gate_survives_its_engine_and_never_asks_again() {
    let mut story = Story::of(vec![gate("gate"), after("next", &[0])]);
    told(&mut story, HELD);
    // The engine died between the end and the question.
    let mut early = story.without_last(1);
    early.gap(5).has(&opened(Some(60_005), "held: no-data: nothing there; go on all the same?")).starts(&[]);
    story.gap(5).starts(&[]).is(0, NodeState::Waiting);
    story.decides(0, true).starts(&[(1, 0)]);
}

#[test]
fn a_held_gate_asks_again_when_a_person_says_so_and_never_by_itself() {
    let again = |story: &mut Story, node: u32, resolution: Resolution| {
        let (by, note) = ("ann".to_owned(), String::new());
        story.tell(Input::Resolve { node: n(node), resolution, by, note });
    };
    let mut story = Story::of(vec![gate("gate"), after("next", &[0])]);
    told(&mut story, HELD);
    // It has a verdict, which only a waiver or a refusal ends.
    for word in [Resolution::Success, Resolution::Failed] {
        again(&mut story, 0, word);
        story.is(0, NodeState::Waiting);
    }
    again(&mut story, 0, Resolution::Rerun);
    story.has(&Event::NodeReopened { node: n(0), why: ReopenReason::Ordered }).starts(&[(0, 0)]);
    assert!(story.core.state().outputs(n(0)).is_empty(), "what it had found counts no more");
    told(&mut story, 0);
    story.has(&ended(NodeState::Success, "no-data: nothing there")).starts(&[(1, 0)]);
    // Held once more, the wait begins anew, and it can be waived as before.
    let mut story = Story::of(vec![gate("gate"), after("next", &[0])]);
    told(&mut story, HELD);
    again(&mut story, 0, Resolution::Rerun);
    told(&mut story, HELD);
    story.has(&opened(Some(60_000), "held: no-data: nothing there; go on all the same?"));
    story.decides(0, true).starts(&[(1, 0)]);
    // An approval asks people; there is nothing to be asked again.
    let mut story = Story::of(vec![stage("ok", |node| node.rules.is_approval = true)]);
    again(&mut story, 0, Resolution::Rerun);
    story.then(&[]).is(0, NodeState::Waiting);
}

#[test]
fn a_held_gate_is_cancelled_when_the_run_ends_around_it() {
    let mut story = Story::of(vec![gate("gate"), stage("beside", |_| ())]);
    told(&mut story, HELD);
    story.fails(1).is(0, NodeState::Cancelled).run_ends(RunEnd::Failed);
    let mut story = Story::of(vec![gate("gate")]);
    told(&mut story, HELD);
    story.cancel(CancelLevel::Stop).is(0, NodeState::Cancelled).run_ends(RunEnd::Cancelled);
}

#[test]
fn a_gate_of_the_host_keeps_no_slot() {
    let mut story = Story::with(1, parts(vec![gate("gate"), gate("more"), stage("work", |_| ())]));
    story.starts(&[(0, 0), (1, 0), (2, 0)]);
    let mut story = Story::with(1, parts(vec![stage("one", |_| ()), gate("gate"), stage("two", |_| ())]));
    story.starts(&[(0, 0)]);
    story.succeeds(0).starts(&[(1, 0), (2, 0)]);
}

#[test]
fn a_plain_stage_is_not_held_by_its_exit_code() {
    let mut story = Story::of(vec![stage("work", |_| ())]);
    story.ends(0, Outcome::Exit(HELD)).is(0, NodeState::Failed);
}

#[test]
fn what_a_plain_stage_calls_its_verdict_says_nothing_about_its_end() {
    let mut story = Story::of(vec![Node::plain("work")]);
    told(&mut story, 1);
    story.has(&ended(NodeState::Failed, ""));
}

#[test]
fn an_approval_that_was_a_process_has_nothing_done() {
    let version = |is_approval: bool| graph(parts(vec![stage("a", |node| node.rules.is_approval = is_approval)]));
    let mut story = Story::versions(8, vec![version(false), version(true)]);
    story.fails(0).run_ends(RunEnd::Failed);
    edited(&mut story).decides(0, true).run_ends(RunEnd::Success);
    assert_eq!(story.core.state().progress(n(0)).success, 0);
}

/// A gate that two bodies may heal, of which one is tried before a person is asked.
fn healed() -> Arc<Graph> {
    let mut parts = parts(vec![gate("gate"), body(1, 0, 0), body(2, 0, 0)]);
    parts.settings.heal_depth = Some(1);
    graph(parts)
}

#[test]
fn a_gate_that_healing_has_halted_is_released_and_not_asked_again() {
    let mut story = Story::versions(8, vec![healed()]);
    told(&mut story, 1);
    story.succeeds(1);
    told(&mut story, 1);
    story
        .has(&opened(None, "guardian.halt: `gate` still fails after 1 try to heal it (`heal-depth`); try again?"));
    story.resolves(0, Resolution::Rerun).then(&[]);
    story.decides(0, true).starts(&[(0, 0)]);
}

#[test]
fn an_edit_takes_no_question_back_that_a_gate_asks_after_it_was_healed() {
    let mut story = Story::versions(8, vec![healed(), healed()]);
    told(&mut story, 1);
    story.succeeds(1).starts(&[(0, 0)]);
    told(&mut story, HELD);
    edited(&mut story).starts(&[]).is(0, NodeState::Waiting);
    story.decides(0, true).run_ends_as(RunEnd::Success);
}

#[test]
fn no_clock_of_an_approval_runs_in_a_rehearsal() {
    let ask = stage("ask", |node| (node.rules.is_approval, node.rules.timeout) = (true, Some(Span::ZERO)));
    let shown = crate::run::rehearse(&graph(parts(vec![ask, after("next", &[0])]))).starts;
    assert_eq!(shown.iter().map(|it| it.node).collect::<Vec<_>>(), [n(0), n(1)]);
}
