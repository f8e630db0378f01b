//! What starts, in which order, and how a stage ends.

use super::*;

#[test]
fn a_run_starts_what_needs_nothing_and_ends_when_all_has_ended() {
    let mut story = Story::of(vec![Node::plain("build"), after("test", &[0])]);
    story.starts(&[(0, 0)]).is(0, NodeState::Running).is(1, NodeState::Pending);
    story.succeeds(0).has(&finished(0, NodeState::Success)).starts(&[(1, 0)]);
    story.succeeds(1).run_ends(RunEnd::Success);
    assert_eq!(story.verdict().failed, []);
}

#[test]
fn a_run_without_stages_is_over_at_once() {
    Story::of(vec![]).run_ends(RunEnd::Success);
}

#[test]
fn no_more_starts_than_jobs_and_the_longest_way_goes_first() {
    let short = stage("short", |node| node.rules.expected = Span::from_ms(500));
    let nodes = vec![short, Node::plain("long"), after("rest", &[1])];
    let mut story = Story::with(1, parts(nodes));
    story.starts(&[(1, 0)]).is(0, NodeState::Waiting);
    story.succeeds(1).starts(&[(2, 0)]);
    story.succeeds(2).starts(&[(0, 0)]);
}

#[test]
fn shards_start_in_blocks_as_slots_come_free() {
    let nodes = vec![stage("pack", |node| node.rules.shards = 5)];
    let mut story = Story::with(3, parts(nodes));
    story.has(&started(0, 0, 3));
    story.shard(0, 1, Outcome::Success).has(&started(0, 3, 1));
    for shard in [0, 2, 3, 4] {
        story.shard(0, shard, Outcome::Success);
    }
    story.has(&finished(0, NodeState::Success)).run_ends(RunEnd::Success);
}

#[test]
fn a_stage_without_items_succeeds() {
    let mut story = Story::of(vec![stage("pack", |node| node.rules.shards = 0), after("ship", &[0])]);
    story.has(&finished(0, NodeState::Success)).starts(&[(1, 0)]);
}

#[test]
fn a_late_or_double_answer_is_no_event() {
    let mut story = Story::of(vec![Node::plain("build"), Node::plain("other")]);
    let attempt = story.number(0, 0);
    story.succeeds(0);
    let done =
        |attempt| Input::Done { attempt, outcome: Outcome::Exit(1), took: Span::ZERO, result: Box::default() };
    story.tell(done(attempt)).then(&[]);
    story.tell(done(Attempt { number: 9, ..story.number(1, 0) })).then(&[]);
    story.tell(done(Attempt { node: n(77), shard: 3, number: 1 })).then(&[]);
    story.is(1, NodeState::Running);
}

#[test]
fn a_failed_shard_stops_its_stage_but_lets_running_ones_end() {
    let nodes = vec![stage("pack", |node| node.rules.shards = 4)];
    let mut story = Story::with(2, parts(nodes));
    story.shard(0, 0, Outcome::Exit(3)).starts(&[]);
    story.shard(0, 1, Outcome::Success).starts(&[]);
    let reason = "1 of 4 shards failed, shard 0 first".to_owned();
    story.has(&Event::NodeFinished { node: n(0), state: NodeState::Failed, reason }).run_ends(RunEnd::Failed);
}

#[test]
fn where_failures_stay_inside_the_other_shards_are_tried() {
    let mut parts = parts(vec![stage("pack", |node| node.rules.shards = 3)]);
    parts.scopes[0].policy = Policy::Continue;
    let mut story = Story::with(1, parts);
    story.shard(0, 0, Outcome::Exit(3)).starts(&[(0, 1)]);
    story.shard(0, 1, Outcome::Success).starts(&[(0, 2)]);
    story.shard(0, 2, Outcome::Success).is(0, NodeState::Failed);
}

#[test]
fn a_pause_holds_starts_back_and_nothing_else() {
    let mut story = Story::of(vec![Node::plain("a"), after("b", &[0])]);
    story
        .tell(Input::Pause { on: true, by: String::new() })
        .then(&[Event::PauseChanged { on: true, by: String::new() }]);
    story.tell(Input::Pause { on: true, by: String::new() }).then(&[]);
    story.succeeds(0).has(&finished(0, NodeState::Success)).starts(&[]);
    story.tell(Input::Pause { on: false, by: String::new() }).starts(&[(1, 0)]);
}

/// A pause is a person's word: it lasts longer than an engine. A run that was over begins its next try without it.
#[test]
fn a_pause_outlives_its_engine_but_not_its_run() {
    let mut story = Story::of(vec![Node::plain("a"), after("b", &[0])]);
    story.tell(Input::Pause { on: true, by: String::new() }).succeeds(0).gap(1000).starts(&[]);
    story.tell(Input::Pause { on: true, by: String::new() }).then(&[]);
    story.tell(Input::Pause { on: false, by: String::new() }).starts(&[(1, 0)]);
    let mut story = Story::of(vec![Node::plain("a"), after("b", &[0])]);
    story
        .tell(Input::Pause { on: true, by: String::new() })
        .cancel(CancelLevel::Stop)
        .ends(0, Outcome::Signal(15))
        .run_ends(RunEnd::Cancelled);
    story.resume().starts(&[(0, 0)]);
}

#[test]
fn clocks_of_what_runs_or_is_asked_go_on_in_a_pause() {
    let slow = stage("slow", |node| node.rules.timeout = Some(Span::from_secs(5)));
    let ask = stage("ask", |node| {
        node.rules.is_approval = true;
        node.rules.timeout = Some(Span::from_secs(9));
    });
    let mut story = Story::of(vec![slow, ask]);
    let why = StopReason::Clock(Clock::Attempt);
    let attempt = Attempt { node: n(0), shard: 0, number: 1 };
    story.tell(Input::Pause { on: true, by: String::new() }).wait(5000).has(&Event::StopRequested {
        attempt,
        how: StopKind::Terminate,
        why,
    });
    story.wait(4000).has(&Event::NodeExpired { node: n(1), clock: Clock::Gate });
}

#[test]
fn what_was_not_selected_is_skipped_and_does_not_block() {
    let nodes = vec![stage("build", |node| node.selected = false), after("test", &[0])];
    let mut story = Story::of(nodes);
    story.has(&Event::NodeSkipped { node: n(0), why: SkipReason::NotSelected }).starts(&[(1, 0)]);
    story.succeeds(1).run_ends(RunEnd::Success);
}

#[test]
fn nothing_moves_before_the_run_has_begun() {
    let mut core = Core::new(vec![graph(parts(vec![Node::plain("a")]))]);
    assert_eq!(
        core.step(Millis::ZERO, vec![Input::Tick, Input::Pause { on: true, by: String::new() }]).events,
        []
    );
    assert_eq!(core.next_deadline(), None);
}

#[test]
fn what_is_known_of_secrets_is_recorded_while_the_run_lives() {
    let fact = crate::run::event::SecretFact {
        name: "TOKEN".to_owned(),
        version: Some("7".to_owned()),
        ..crate::run::event::SecretFact::default()
    };
    let fetched = Input::SecretsFetched(vec![fact.clone()]);
    let mut story = Story::of(vec![Node::plain("build")]);
    story.tell(fetched.clone()).then(&[Event::SecretsFetched { secrets: vec![fact] }]);
    story.tell(Input::SecretsFetched(Vec::new())).then(&[]);
    story.succeeds(0).run_ends(RunEnd::Success);
    story.tell(fetched).then(&[]);
}
