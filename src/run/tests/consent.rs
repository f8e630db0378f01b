//! Approvals by several people, checklists, and what an environment's policy lets start.

use super::*;
use crate::graph::model::{Consent, Frozen, Terms, Work};

fn asks(own: Terms, policy: Option<Terms>) -> Node {
    stage("ask", |node| {
        node.work = Work::Approval { prompt: None, items: Vec::new() };
        node.rules.is_approval = true;
        node.rules.timeout = Some(Span::from_secs(60));
        node.rules.consent = Some(Box::new(Consent { own, policy, ..Consent::default() }));
    })
}

fn two() -> Terms {
    Terms { min: 2, ..Terms::default() }
}

fn says(story: &mut Story, by: &str, approved: bool) {
    story.tell(Input::Decide { node: n(0), approved, by: by.to_owned(), note: String::new() });
}

fn cast(by: &str) -> Event {
    Event::VoteCast { node: n(0), vote: Box::new(Vote { by: by.to_owned(), ..Vote::default() }) }
}

fn decided(approved: bool, by: &str) -> Event {
    Event::GateDecided { node: n(0), approved, by: by.to_owned(), note: String::new() }
}

fn refusal(story: &Story, by: &str) -> String {
    story.core.state().may_agree(n(0), by).expect_err("refused")
}

#[test]
fn the_last_of_so_many_people_decides() {
    let mut story = Story::of(vec![asks(two(), None), after("ship", &[0])]);
    says(&mut story, "ann@one", true);
    story.has(&cast("ann@one")).is(0, NodeState::Waiting).starts(&[]);
    assert_eq!(story.core.state().votes(n(0)).len(), 1);
    // The same person from another machine is no other person.
    says(&mut story, "ann@two", true);
    assert_eq!(story.last, []);
    assert_eq!(refusal(&story, "ann@two"), "`ann@two` has agreed to `ask` already, and it needs 2 people");
    says(&mut story, "bob@one", true);
    story.has(&cast("bob@one")).has(&decided(true, "ann@one and bob@one")).is(0, NodeState::Success);
    story.starts(&[(1, 0)]);
}

#[test]
fn one_no_is_enough_whoever_says_it() {
    let own = Terms { not_operator: true, ..two() };
    let mut story = Story::of(vec![asks(own, None), after("ship", &[0])]);
    says(&mut story, "ann", true);
    says(&mut story, "somebody", false);
    story.has(&decided(false, "somebody")).is(0, NodeState::Failed).run_ends(RunEnd::Failed);
}

#[test]
fn so_many_yeses_must_come_in_time_and_those_before_a_crash_count() {
    let mut story = Story::of(vec![asks(two(), None), after("ship", &[0])]);
    says(&mut story, "ann", true);
    story.gap(10);
    assert_eq!(story.core.state().votes(n(0)).len(), 1, "what is recorded counts");
    says(&mut story, "bob", true);
    story.is(0, NodeState::Success);
    let mut story = Story::of(vec![asks(two(), None), after("ship", &[0])]);
    says(&mut story, "ann", true);
    story.wait(60_000).is(0, NodeState::TimedOut).run_ends(RunEnd::Failed);
    // Another try asks everybody again.
    story.resume();
    assert_eq!(story.core.state().votes(n(0)), []);
}

#[test]
fn who_works_on_the_run_and_who_wrote_it_do_not_count() {
    let policy = Terms { min: 1, not_operator: true, not_author: true };
    let mut story = Story::of(vec![asks(Terms::default(), Some(policy)), after("ship", &[0])]);
    assert!(refusal(&story, "somebody@laptop").contains("`somebody` works on this run"));
    says(&mut story, "somebody@laptop", true);
    assert_eq!(story.last, []);
    // Who takes a run over works on it as well.
    let mut other = resumed(0);
    other.by = "ann@ops".to_owned();
    let resumed = Box::new(other);
    story.tell(Input::Recover { resumed, plan_version: None, changed: vec![], rerun: vec![], failed: vec![] });
    assert!(refusal(&story, "ann").contains("`ann@ops` works on this run, and `ask` needs one person"));
    says(&mut story, "bob", true);
    story.is(0, NodeState::Success);

    let Input::Begin(mut began) = began(8) else { unreachable!("it begins") };
    began.author = Some("Ann Lee <ann@example.org>".to_owned());
    let nodes = vec![asks(Terms { not_author: true, ..Terms::default() }, None)];
    let mut core = Core::new(vec![graph(parts(nodes))]);
    core.step(Millis::ZERO, vec![Input::Begin(began)]);
    for by in ["ann@laptop", "Ann Lee", "ann@example.org"] {
        assert!(core.state().may_agree(n(0), by).expect_err("refused").contains("is the author of this commit"));
    }
    assert_eq!(core.state().may_agree(n(0), "anna@laptop"), Ok(()));
    // Where nobody asks for it, an author may.
    let Input::Begin(mut began) = super::began(8) else { unreachable!("it begins") };
    began.author = Some("Ann Lee <ann@example.org>".to_owned());
    let mut core = Core::new(vec![graph(parts(vec![asks(two(), None)]))]);
    core.step(Millis::ZERO, vec![Input::Begin(began)]);
    assert_eq!(core.state().may_agree(n(0), "ann@laptop"), Ok(()));
}

#[test]
fn each_item_of_a_checklist_is_answered_and_one_no_fails_it() {
    let list = || {
        let mut ask = asks(Terms::default(), None);
        ask.work =
            Work::Approval { prompt: Some("go?".into()), items: vec!["all green".into(), "written".into()] };
        ask.rules.consent.get_or_insert_default().items = vec!["tests".into(), "docs".into()];
        vec![ask, after("ship", &[0])]
    };
    let answered = |item: &str, is_yes| Answered { item: item.to_owned(), is_yes, words: String::new() };
    let vote = |answers| Vote { by: "ann".to_owned(), note: String::new(), answers, signature: None };
    let mut story = Story::of(list());
    let prompt = "go?\n- tests: all green\n- docs: written".to_owned();
    story.has(&Event::GateOpened { node: n(0), expires: Some(Millis::new(60_000)), prompt });
    says(&mut story, "ann", true);
    assert_eq!(story.last, [], "a yes to all is no answer to each");
    story.tell(Input::Attest { node: n(0), vote: vote(vec![answered("tests", true)]) });
    assert_eq!(story.last, [], "an item without an answer");
    let all = vote(vec![answered("tests", true), answered("docs", true)]);
    story.tell(Input::Attest { node: n(0), vote: all.clone() });
    story.has(&Event::VoteCast { node: n(0), vote: Box::new(all) }).has(&decided(true, "ann"));
    story.is(0, NodeState::Success).starts(&[(1, 0)]);

    let mut story = Story::of(list());
    story.tell(Input::Attest { node: n(0), vote: vote(vec![answered("tests", true), answered("docs", false)]) });
    let note = "docs: no".to_owned();
    story.has(&Event::GateDecided { node: n(0), approved: false, by: "ann".to_owned(), note });
    story.is(0, NodeState::Failed);
}

#[test]
fn nothing_leaves_out_what_the_policy_asks_for() {
    let mut ask = asks(Terms::default(), Some(two()));
    ask.selected = false;
    let mut story = Story::of(vec![ask, after("ship", &[0])]);
    story.is(0, NodeState::Failed).is(1, NodeState::Blocked).run_ends(RunEnd::Failed);
    let mut ask = asks(Terms::default(), Some(two()));
    let place = ask.place;
    ask.conditions = vec![Condition { text: "1 == 2".into(), place, frame: 0, views: Vec::new() }];
    let mut with_frame = parts(vec![ask, after("ship", &[0])]);
    with_frame.frames = vec![crate::graph::model::Frame::default()];
    let mut story = Story::with(8, with_frame);
    story.is(0, NodeState::Failed).is(1, NodeState::Blocked).run_ends(RunEnd::Failed);
}

fn glass() -> Input {
    Input::BreakGlass { by: "ann".to_owned(), reason: "the site is down".to_owned() }
}

#[test]
fn a_broken_glass_lifts_the_policy_and_not_the_plan() {
    let policy = Terms { not_operator: true, ..two() };
    let mut story = Story::of(vec![asks(Terms::default(), Some(policy)), after("ship", &[0])]);
    says(&mut story, "somebody", true);
    assert_eq!(story.last, []);
    story.tell(glass());
    let is_case = |event: &Event| {
        matches!(event, Event::TicketRaised { case } if case.kind == CaseKind::Override
            && case.words == "ann overrode the policy of the environment: the site is down")
    };
    assert!(story.last.iter().any(is_case), "{:?}", story.last);
    story.is(0, NodeState::Waiting);
    says(&mut story, "somebody", true);
    story.is(0, NodeState::Success).starts(&[(1, 0)]);
    story.tell(glass());
    assert_eq!(story.last, [], "it breaks once");
    // What the plan asks for itself stays.
    let mut story = Story::of(vec![asks(two(), Some(policy))]);
    story.tell(glass());
    says(&mut story, "somebody", true);
    story.is(0, NodeState::Waiting);
}

pub(super) fn frozen(nodes: Vec<Node>, from_ms: i64, to_ms: i64) -> Story {
    let mut parts = parts(nodes);
    parts.settings.freezes = vec![Frozen { from_ms, to_ms, words: "holidays".to_owned() }];
    Story::with(8, parts)
}

pub(super) fn began_freeze(until_ms: i64) -> Event {
    Event::FreezeBegan { until_ms, words: "holidays".to_owned() }
}

#[test]
fn a_freeze_holds_starts_back_until_it_is_over() {
    let mut story = frozen(vec![stage("a", |_| {}), after("b", &[0])], 100, 500);
    story.starts(&[(0, 0)]);
    story.wait(100).has(&began_freeze(500));
    // What runs goes on, and what follows does not start.
    story.succeeds(0).starts(&[]).is(1, NodeState::Waiting);
    assert!(story.core.state().needs_person(), "only a date or a person goes on");
    story.wait(400).has(&Event::FreezeEnded).starts(&[(1, 0)]);
}

#[test]
fn a_freeze_outlives_its_engine_and_a_broken_glass_ends_it() {
    let mut story = frozen(vec![stage("a", |_| {})], 0, 500);
    story.has(&began_freeze(500)).starts(&[]);
    story.tell(Input::Suspend(SuspendReason::Person)).resume().starts(&[]);
    story.tell(glass()).has(&Event::FreezeEnded).starts(&[(0, 0)]);
}

#[test]
fn a_rollback_and_the_clean_up_know_no_freeze() {
    let clean = stage("clean", |node| node.phase = Phase::Finally);
    let mut story = frozen(vec![stage("a", |_| {}), clean], 100, 500);
    story.wait(100).fails(0).has(&Event::FinallyBegan).has(&Event::FreezeEnded).starts(&[(1, 0)]);
}

#[test]
fn a_freeze_goes_by_the_clock_of_the_wall() {
    let Input::Begin(mut began) = began(8) else { unreachable!("it begins") };
    began.wall_ms = 1_000;
    let mut parts = parts(vec![stage("a", |_| {})]);
    parts.settings.freezes = vec![Frozen { from_ms: 900, to_ms: 1_500, words: "holidays".to_owned() }];
    let mut core = Core::new(vec![graph(parts)]);
    let batch = core.step(Millis::ZERO, vec![Input::Begin(began)]);
    assert!(batch.events.iter().any(|(_, event)| *event == began_freeze(1_500)), "{batch:?}");
    assert_eq!(core.next_deadline(), Some(Millis::new(500)));
}

#[test]
fn a_condition_leaves_out_an_approval_whose_policy_was_overridden() {
    let mut ask = asks(Terms::default(), Some(two()));
    let place = ask.place;
    ask.needs = after("ask", &[0]).needs;
    ask.conditions = vec![Condition { text: "1 == 2".into(), place, frame: 0, views: Vec::new() }];
    let mut with_frame = parts(vec![Node::plain("a"), ask]);
    with_frame.frames = vec![crate::graph::model::Frame::default()];
    let mut story = Story::with(8, with_frame);
    story.tell(glass()).succeeds(0).is(1, NodeState::Skipped).run_ends(RunEnd::Success);
}

/// The public key of somebody.
fn key() -> crate::base::PublicKey {
    "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".parse().expect("32 bytes")
}

#[test]
fn a_yes_is_held_against_the_key_of_who_says_it() {
    let mut ask = asks(Terms::default(), Some(Terms::default()));
    ask.rules.consent.get_or_insert_default().keys = vec![("ann".into(), key())];
    let story = Story::of(vec![ask]);
    let why = |by: &str| {
        let vote = Vote { by: by.to_owned(), signature: Some("AAAA".to_owned()), ..Vote::default() };
        story.core.state().is_proven(n(0), &vote).expect_err("it is not signed")
    };
    assert_eq!(why("bob"), "`bob` is not among those who may agree to `ask`: `ann`");
    assert!(why("ann").starts_with("the signature is not `ann`'s"), "{}", why("ann"));
}

#[test]
fn a_rehearsal_needs_no_second_person_and_no_key() {
    let mut ask = asks(Terms::default(), Some(two()));
    ask.rules.consent.get_or_insert_default().keys = vec![("ann".into(), key())];
    let shown = crate::run::rehearse(&graph(parts(vec![ask, after("ship", &[0])]))).starts;
    assert_eq!(shown.iter().map(|it| it.node.raw()).collect::<Vec<_>>(), [0, 1]);
}
