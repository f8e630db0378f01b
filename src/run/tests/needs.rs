//! What the ends of others mean for a stage, and failure policies.

use super::*;

fn handler(id: &str, of: u32) -> Node {
    let accept = Accept { success: false, skipped: false, failed: true };
    stage(id, |node| node.needs = vec![Need { node: n(of), accept }])
}

fn asked(id: &str, needs: &[u32], text: &str) -> Node {
    let mut node = after(id, needs);
    let place = node.place;
    node.conditions = vec![Condition { text: text.into(), place, frame: 0, views: Vec::new() }];
    node
}

fn skipped(node: u32, why: SkipReason) -> Event {
    Event::NodeSkipped { node: n(node), why }
}

#[test]
fn a_failure_drains_the_run_and_blocks_the_rest() {
    let mut story =
        Story::with(2, parts(vec![Node::plain("a"), Node::plain("b"), after("c", &[0]), Node::plain("d")]));
    story.fails(0);
    let raised =
        Event::CancelRaised { level: CancelLevel::Drain, why: CancelReason::Failure(n(0)), by: String::new() };
    story.has(&raised).starts(&[]).is(1, NodeState::Running);
    story.is(2, NodeState::Blocked).is(3, NodeState::Blocked);
    story.succeeds(1).is(1, NodeState::Success).run_ends(RunEnd::Failed);
    assert_eq!(story.verdict().failed, [n(0)]);
}

#[test]
fn a_handler_starts_while_the_run_drains() {
    let mut story = Story::of(vec![Node::plain("a"), handler("mend", 0), after("next", &[0])]);
    story.fails(0).starts(&[(1, 0)]).is(2, NodeState::Blocked);
    story.succeeds(1).run_ends(RunEnd::Failed);
}

#[test]
fn a_handler_of_no_failure_is_skipped() {
    let mut story = Story::of(vec![Node::plain("a"), handler("mend", 0), after("next", &[1])]);
    story.succeeds(0).has(&skipped(1, SkipReason::NotNeeded)).starts(&[(2, 0)]);
    story.succeeds(2).run_ends(RunEnd::Success);
}

#[test]
fn a_failure_that_stays_inside_blocks_dependants_only() {
    let mut parts = parts(vec![Node::plain("a"), after("b", &[0]), after("c", &[1]), Node::plain("d")]);
    parts.settings.max_parallel = 1;
    parts.scopes[0].policy = Policy::Continue;
    let mut story = Story::with(1, parts);
    story.fails(0).has(&skipped(1, SkipReason::Blocked { by: n(0) })).starts(&[(3, 0)]);
    story.has(&skipped(2, SkipReason::Blocked { by: n(1) }));
    story.succeeds(3).run_ends(RunEnd::Failed);
}

#[test]
fn the_innermost_scope_decides_and_kill_stops_what_runs_in_it() {
    let inner = Scope { parent: Some(ScopeIx::new(0)), name: "matrix".to_owned(), policy: Policy::Kill };
    let inside = |id: &str| stage(id, |node| node.scope = ScopeIx::new(1));
    let mut parts = parts(vec![inside("eu"), inside("us"), Node::plain("other")]);
    parts.scopes.push(inner);
    let mut story = Story::with(8, parts);
    story.fails(0).has(&stop(1, StopKind::Terminate, StopReason::Scope(Policy::Kill)));
    assert_eq!(story.core.state().running(n(2))[0].stop(), None);
    story.ends(1, Outcome::Signal(15)).is(1, NodeState::Cancelled);
    story.succeeds(2).run_ends(RunEnd::Failed);
    assert_eq!(story.verdict().failed, [n(0)]);
}

#[test]
fn an_allowed_failure_is_accepted_and_forgotten() {
    use crate::plan::model::AllowFailure;
    let some = |id: &str| stage(id, |node| node.rules.allow_failure = AllowFailure::Exit(vec![3]));
    let mut story = Story::of(vec![some("lint"), after("next", &[0]), some("other")]);
    story.ends(0, Outcome::Exit(3)).is(0, NodeState::AllowedFailure).starts(&[(1, 0)]);
    story.succeeds(1);
    story.ends(2, Outcome::Exit(4)).is(2, NodeState::Failed).run_ends(RunEnd::Failed);
}

#[test]
fn a_condition_is_asked_once_and_decides() {
    let nodes = vec![asked("yes", &[], "1 == 1"), asked("no", &[], "1 == 2"), after("next", &[1])];
    let mut story = Story::with(1, parts(nodes));
    story.has(&Event::NodeAdmitted { node: n(0) }).has(&skipped(1, SkipReason::Condition));
    story.succeeds(2).succeeds(0);
    let asked = story.all.iter().filter(|(_, event)| matches!(event, Event::NodeAdmitted { .. }));
    assert_eq!(asked.count(), 1);
    story.succeeds(2).run_ends(RunEnd::Success);
}

#[test]
fn a_condition_that_cannot_be_told_fails_its_stage() {
    let mut story = Story::of(vec![asked("odd", &[], "needs.nobody.state == 'success'")]);
    story.is(0, NodeState::Failed).run_ends(RunEnd::Failed);
}

#[test]
fn approvals_wait_for_a_person() {
    let approval = |id: &str| stage(id, |node| node.rules.is_approval = true);
    let mut story = Story::of(vec![approval("ship"), after("deploy", &[0])]);
    story.has(&Event::GateOpened { node: n(0), expires: None, prompt: String::new() }).is(0, NodeState::Waiting);
    assert!(story.core.state().needs_person());
    story.decides(0, true).has(&Event::NodeFinished {
        node: n(0),
        state: NodeState::Success,
        reason: "approved by ann".to_owned(),
    });
    story.starts(&[(1, 0)]).decides(0, false).then(&[]);
    let mut story = Story::of(vec![approval("ship"), after("deploy", &[0])]);
    story.decides(0, false).is(0, NodeState::Failed).is(1, NodeState::Blocked).run_ends(RunEnd::Failed);
}

#[test]
fn the_clean_up_runs_after_success_and_after_failure() {
    let clean = || stage("notify", |node| node.phase = Phase::Finally);
    let mut story = Story::of(vec![Node::plain("a"), clean()]);
    story.succeeds(0).has(&Event::FinallyBegan).starts(&[(1, 0)]);
    story.succeeds(1).run_ends(RunEnd::Success);
    let mut story = Story::of(vec![Node::plain("a"), clean()]);
    story.fails(0).has(&Event::FinallyBegan).starts(&[(1, 0)]);
    story.fails(1).run_ends(RunEnd::Failed);
    assert_eq!(story.verdict().failed, [n(0), n(1)]);
}

#[test]
fn a_handler_is_placed_anew_when_what_it_needs_is_resolved_during_the_drain() {
    let failed = Accept { success: false, skipped: false, failed: true };
    let mut story = Story::of(vec![
        Node::plain("a"),
        stage("migrate", |node| node.rules.idempotent = false),
        stage("page", |node| {
            let needs = [(0, failed), (1, Accept::DEFAULT)];
            node.needs = needs.into_iter().map(|(raw, accept)| Need { node: n(raw), accept }).collect();
        }),
    ]);
    story.ends(1, Outcome::Signal(9)).is(1, NodeState::Unknown);
    let (by, note, resolution) = ("ann".to_owned(), String::new(), Resolution::Success);
    let (attempt, result) = (story.number(0, 0), Box::default());
    let news = vec![
        Input::Resolve { node: n(1), resolution, by, note },
        Input::Done { attempt, outcome: Outcome::Exit(1), took: Span::ZERO, result },
    ];
    let batch = story.core.step(story.at, news);
    let followed: Vec<Event> = batch.events.into_iter().map(|(_, event)| event).collect();
    assert_eq!(followed.last(), Some(&started(2, 0, 1)), "{followed:#?}");
    assert!(!followed.contains(&Event::NodeAdmitted { node: n(2) }), "it has no `if`: {followed:#?}");
}

#[test]
fn who_accepts_a_failure_beside_a_success_is_blocked_by_what_was_skipped() {
    let mut either = after("either", &[0]);
    either.needs[0].accept = Accept { success: true, skipped: false, failed: true };
    let mut story = Story::of(vec![asked("no", &[], "1 == 2"), either]);
    story.has(&skipped(1, SkipReason::Blocked { by: n(0) }));
}
