//! Objectives on time, readiness, and what becomes a ticket.

use super::recover::edited;
use super::*;
use crate::graph::forecast::Expected;
use crate::graph::objective::{Group, Objective, OnBreach, Readiness, Subject};

fn objective(subject: Subject, secs: u64, on_breach: OnBreach, nodes: &[u32]) -> Objective {
    let nodes = nodes.iter().map(|&raw| n(raw)).collect();
    Objective { subject, name: subject.word().into(), limit: Span::from_secs(secs), on_breach, nodes }
}

fn usual(secs: u64) -> impl Fn(&mut Node) {
    let span = Span::from_secs(secs);
    move |node| node.rules.usual = Some(Expected { p50: span, p95: span, samples: 9 })
}

fn with(nodes: Vec<Node>, objectives: Vec<Objective>) -> Parts {
    Parts { objectives, ..parts(nodes) }
}

fn contained(nodes: Vec<Node>) -> Parts {
    let mut parts = parts(nodes);
    parts.scopes[ScopeIx::new(0).raw() as usize].policy = Policy::Continue;
    parts
}

const fn breached(objective: u32) -> Event {
    Event::ObjectiveBreached { objective }
}

const fn risked(objective: u32, forecast: Option<Span>) -> Event {
    Event::ObjectiveRisked { objective, forecast }
}

fn case(kind: CaseKind, severity: Severity, node: Option<u32>, words: &str) -> Event {
    let case = Case { kind, severity, node: node.map(n), words: words.to_owned() };
    Event::TicketRaised { case: Box::new(case) }
}

fn late_run(severity: Severity) -> Event {
    case(CaseKind::Late, severity, None, "the run took longer than its `slo` of 1m")
}

#[test]
fn a_breach_is_recorded_once_however_often_the_run_is_resumed() {
    let run = objective(Subject::Run, 60, OnBreach::Warn, &[]);
    let mut story = Story::with(8, with(vec![Node::plain("a")], vec![run]));
    story.wait(40_000).then(&[]);
    story.gap(10_000).starts(&[(0, 0)]);
    // The ten seconds without an engine count.
    story.wait(9_999).then(&[]);
    story.wait(1).then(&[breached(0), late_run(Severity::Minor)]);
    story.gap(5000).wait(1_000_000).then(&[]);
    story.succeeds(0).run_ends(RunEnd::Success);
    story.resume();
    assert_eq!(story.all.iter().filter(|(_, event)| *event == breached(0)).count(), 1);
}

#[test]
fn a_limit_that_ran_out_while_no_engine_lived_is_told_by_the_next_one() {
    let stage = objective(Subject::Stage, 60, OnBreach::Warn, &[0]);
    let mut story = Story::with(8, with(vec![Node::plain("a")], vec![stage]));
    story.gap(3_600_000).has(&breached(0));
    story.succeeds(0).run_ends(RunEnd::Success);
}

#[test]
fn a_stage_that_ends_at_the_last_moment_is_late_and_one_before_is_not() {
    for (wait, is_late) in [(59_999, false), (60_000, true)] {
        let stage = objective(Subject::Stage, 60, OnBreach::Warn, &[0]);
        let mut story = Story::with(8, with(vec![Node::plain("a")], vec![stage]));
        story.at = Millis::new(wait);
        story.succeeds(0).run_ends(RunEnd::Success);
        assert_eq!(story.last.contains(&breached(0)), is_late, "{:?}", story.last);
    }
}

#[test]
fn a_late_stage_that_may_not_be_fails_at_its_end_and_its_policy_decides() {
    let own = objective(Subject::Stage, 60, OnBreach::Fail, &[0]);
    let mut story = Story::with(8, with(vec![Node::plain("a"), after("b", &[0])], vec![own]));
    story.wait(60_000).has(&breached(0)).is(0, NodeState::Running);
    story.succeeds(0).is(0, NodeState::Failed).is(1, NodeState::Blocked).run_ends(RunEnd::Failed);
    assert!(story.verdict().only_late);
    // Whoever resumes accepts that: the work is done and not done again.
    story.resume().is(0, NodeState::Success).starts(&[(1, 0)]);
    story.succeeds(1).run_ends(RunEnd::Success);
    assert!(!story.verdict().only_late);
}

#[test]
fn a_late_stage_that_failed_as_well_is_no_matter_of_time_only() {
    let own = objective(Subject::Stage, 60, OnBreach::Fail, &[0]);
    let mut story = Story::with(8, with(vec![Node::plain("a")], vec![own]));
    story.wait(60_000).fails(0).run_ends(RunEnd::Failed);
    assert!(!story.verdict().only_late);
}

#[test]
fn a_late_group_fails_the_run_at_its_end() {
    let group = objective(Subject::Group, 60, OnBreach::Fail, &[0, 1]);
    let mut story = Story::with(8, with(vec![Node::plain("a"), after("b", &[0]), after("c", &[1])], vec![group]));
    story.wait(50_000).succeeds(0).wait(10_000).has(&breached(0));
    story.succeeds(1).starts(&[(2, 0)]).succeeds(2).run_ends(RunEnd::Failed);
    assert!(story.verdict().only_late);
    story.resume().run_ends(RunEnd::Success);
}

#[test]
fn the_clock_of_a_group_begins_with_its_first_start_and_ends_with_its_last_end() {
    let group = objective(Subject::Group, 60, OnBreach::Warn, &[1, 2]);
    let nodes = vec![Node::plain("a"), after("b", &[0]), after("c", &[1]), after("d", &[2])];
    let mut story = Story::with(8, with(nodes, vec![group]));
    story.wait(500_000).then(&[]);
    story.succeeds(0).wait(30_000).succeeds(1).wait(29_000).succeeds(2);
    story.wait(500_000).then(&[]);
}

#[test]
fn a_person_who_orders_a_stage_again_gives_it_a_new_clock() {
    let own = objective(Subject::Stage, 60, OnBreach::Warn, &[0]);
    let mut story = Story::with(8, with(vec![Node::plain("a")], vec![own]));
    story.wait(60_000).has(&breached(0)).succeeds(0);
    story.rerun(&[0]).starts(&[(0, 0)]).wait(59_999).then(&[]);
    story.wait(1).has(&breached(0)).succeeds(0);
}

#[test]
fn a_missed_limit_is_foreseen_by_what_is_still_to_come() {
    let group = objective(Subject::Group, 60, OnBreach::Warn, &[0, 1]);
    let slow = stage("b", |node| {
        usual(40)(node);
        node.needs = after("b", &[0]).needs;
    });
    let mut story = Story::with(8, with(vec![Node::plain("a"), slow], vec![group]));
    // With 40 s to come, a has 20.
    story.wait(19_999).then(&[]);
    story.wait(1).then(&[risked(0, Some(Span::from_secs(60)))]);
    story.wait(5000).then(&[]).succeeds(0).wait(35_000).has(&breached(0));
}

#[test]
fn a_stage_that_is_slower_than_ever_is_a_risk_before_it_is_late() {
    let own = objective(Subject::Stage, 60, OnBreach::Warn, &[0]);
    let mut story = Story::with(8, with(vec![stage("a", usual(30))], vec![own]));
    story.wait(30_000).then(&[risked(0, None)]);
    story.wait(30_000).has(&breached(0));
}

#[test]
fn what_cannot_fit_is_a_risk_at_once_and_told_once() {
    let own = objective(Subject::Stage, 10, OnBreach::Warn, &[0]);
    let mut story = Story::with(8, with(vec![stage("a", usual(30))], vec![own]));
    assert!(story.all.iter().any(|(_, event)| *event == risked(0, Some(Span::from_secs(30)))));
    story.gap(1000);
    assert_eq!(story.all.iter().filter(|(_, event)| matches!(event, Event::ObjectiveRisked { .. })).count(), 1);
}

#[test]
fn what_a_scope_contains_is_raised_once_and_in_the_same_batch() {
    let mut story = Story::with(8, contained(vec![Node::plain("a"), Node::plain("b")]));
    let critical = case(CaseKind::Contained, Severity::Critical, Some(0), "");
    story.fails(0).then(&[
        Event::ShardFinished {
            attempt: Attempt { node: n(0), shard: 0, number: 1 },
            outcome: Outcome::Exit(1),
            took: Span::from_ms(1),
            result: crate::run::event::Left::default(),
        },
        finished(0, NodeState::Failed),
        critical.clone(),
    ]);
    story.gap(10).starts(&[(1, 0)]);
    assert!(!story.last.contains(&critical));
    story.succeeds(1).run_ends(RunEnd::Failed);
    // Another try that fails again is another fact.
    story.resume().starts(&[(0, 0)]).fails(0).has(&critical).run_ends(RunEnd::Failed);
}

#[test]
fn a_failure_that_drains_the_run_is_no_ticket() {
    let mut story = Story::of(vec![Node::plain("a")]);
    story.fails(0).run_ends(RunEnd::Failed);
    assert!(!story.all.iter().any(|(_, event)| matches!(event, Event::TicketRaised { .. })));
}

fn optional(nodes: Vec<Node>) -> Parts {
    let mut parts = contained(nodes);
    parts.groups = vec![Group { name: "extras".into(), parent: None, readiness: Readiness::Optional }];
    parts
}

#[test]
fn the_run_does_without_an_optional_group() {
    let extra = stage("a", |node| node.rules.group = Some(0));
    let mut story = Story::with(8, optional(vec![extra, Node::plain("b")]));
    story.fails(0).has(&case(CaseKind::Contained, Severity::Major, Some(0), ""));
    story.succeeds(1).run_ends(RunEnd::Success);
    assert!(story.verdict().failed.is_empty());
}

#[test]
fn a_required_stage_that_an_optional_one_blocks_is_not_ready() {
    let extra = stage("a", |node| node.rules.group = Some(0));
    let mut story = Story::with(8, optional(vec![extra, after("b", &[0])]));
    story.fails(0).is(1, NodeState::Blocked).run_ends(RunEnd::Failed);
    assert!(!story.verdict().only_late);
}

#[test]
fn a_service_that_only_comes_up_again_is_not_late_by_an_edit() {
    let version = |shards: u32| {
        let db = stage("db", |node| (node.rules.is_service, node.rules.shards) = (true, shards));
        graph(with(vec![db, after("use", &[0])], vec![objective(Subject::Stage, 60, OnBreach::Fail, &[0])]))
    };
    let mut story = Story::versions(8, vec![version(1), version(2)]);
    story.succeeds(0).wait(70_000).resume().starts(&[(0, 0)]);
    edited(&mut story).starts(&[(0, 0), (0, 1)]);
    story.shard(0, 0, Outcome::Success).shard(0, 1, Outcome::Success).is(0, NodeState::Success);
    story.succeeds(1).run_ends(RunEnd::Success);
}

#[test]
fn a_stage_that_an_edit_takes_in_has_its_objective() {
    let version = |selected: bool| {
        let a = stage("a", |node| node.selected = selected);
        graph(with(vec![a, Node::plain("b")], vec![objective(Subject::Stage, 60, OnBreach::Warn, &[0])]))
    };
    let mut story = Story::versions(8, vec![version(false), version(true)]);
    story.is(0, NodeState::Skipped);
    edited(&mut story).starts(&[(0, 0), (1, 0)]).wait(60_000).has(&breached(0));
}

#[test]
fn a_dead_letter_that_is_queued_again_has_a_new_clock() {
    let up = stage("up", |node| node.phase = Phase::Background);
    let own = objective(Subject::Stage, 60, OnBreach::Warn, &[1]);
    let mut story = Story::with(8, with(vec![Node::plain("a"), up], vec![own]));
    story.succeeds(0).starts(&[(1, 0)]).wait(59_999).fails(1).run_ends(RunEnd::Success);
    story.tell(Input::Requeue { nodes: vec![n(1)], by: "ann".to_owned() });
    story.drains().starts(&[(1, 0)]).wait(59_999);
    assert!(!story.core.state().is_breached(0));
    story.wait(1).has(&breached(0)).succeeds(1).is(1, NodeState::Success);
}
