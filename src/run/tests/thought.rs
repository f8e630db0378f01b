//! Runs that are only thought through: what they can't know, and what hangs on that.

use super::shards::{auto, sharded};
use super::*;
use crate::base::IdVec;
use crate::gate::verdict::HELD;
use crate::graph::model::{Process, Split, Target, View, Work};
use crate::graph::objective::{Objective, OnBreach, Subject};
use crate::plan::model::Type;
use crate::run::{Fate, HangsOn, Prospect, foresee, rehearse};

/// A stage that leaves an output `n`.
fn telling(mut node: Node) -> Node {
    let outputs = vec![("n".into(), Type::Int)];
    node.work = Work::Process(Box::new(Process { outputs, ..Process::default() }));
    node
}

/// `node`, if what it reads of stage 0, named `a`, holds.
fn asks(mut node: Node, text: &str) -> Node {
    let views = vec![View { name: "a".into(), target: Target::Node(n(0)) }];
    let place = node.place;
    node.conditions.push(Condition { text: text.into(), place, frame: 0, views });
    node
}

impl Story {
    /// What is foreseen if another engine takes the run over now.
    pub(super) fn foreseen(&self) -> IdVec<NodeIx, Prospect> {
        self.foreseen_with(vec![])
    }

    /// The same, with stages that are to run again.
    fn foreseen_with(&self, rerun: Vec<NodeIx>) -> IdVec<NodeIx, Prospect> {
        let resumed = Box::new(resumed(0));
        let (changed, failed) = (vec![], vec![]);
        let again = Input::Recover { resumed, plan_version: None, changed, rerun, failed };
        foresee(self.core.clone(), self.at, vec![again])
    }
}

/// What is foreseen of a run of these stages that an engine left before anything had ended.
fn foreseen(parts: Parts) -> Vec<(Fate, Option<HangsOn>)> {
    Story::with(8, parts).foreseen().iter().map(|it| (it.fate.clone(), it.hangs_on)).collect()
}

#[test]
fn what_a_stage_will_leave_is_not_known_and_counts_as_true() {
    let on_output = asks(after("b", &[0]), "needs.a.outputs.n == 1");
    let stages = vec![telling(Node::plain("a")), on_output, after("c", &[1])];
    let shown = rehearse(&graph(parts(stages.clone()))).starts;
    assert!(shown.iter().any(|it| it.node == n(1)), "{shown:?}");
    let known = (Fate::Starts, None);
    assert_eq!(foreseen(parts(stages)), [known.clone(), (Fate::Starts, Some(HangsOn::Condition)), known]);
}

#[test]
fn a_condition_that_is_false_whatever_the_run_leaves_is_false() {
    let both = asks(asks(after("b", &[0]), "needs.a.outputs.n == 1"), "needs.a.state == 'failed'");
    let stages = vec![telling(Node::plain("a")), both];
    assert_eq!(foreseen(parts(stages))[1], (Fate::Skipped(SkipReason::Condition), None));
}

#[test]
fn who_must_not_be_skipped_hangs_on_the_condition_of_its_need() {
    let mut strict = after("c", &[1]);
    strict.needs[0].accept = Accept { success: true, skipped: false, failed: false };
    let stages = vec![telling(Node::plain("a")), asks(after("b", &[0]), "needs.a.outputs.n == 1"), strict];
    assert_eq!(foreseen(parts(stages))[2], (Fate::Starts, Some(HangsOn::Need)));
}

#[test]
fn who_reads_how_a_doubtful_stage_ends_is_in_doubt_whatever_that_is_thought_to_be() {
    let doubtful = asks(after("b", &[0]), "needs.a.outputs.n == 1");
    let mut reader = after("c", &[1]);
    let views = vec![View { name: "b".into(), target: Target::Node(n(1)) }];
    let text = "needs.b.state == 'skipped'".into();
    let place = reader.place;
    reader.conditions.push(Condition { text, place, frame: 0, views });
    let stages = vec![telling(Node::plain("a")), doubtful, reader];
    let told = (Fate::Skipped(SkipReason::Condition), Some(HangsOn::Condition));
    assert_eq!(foreseen(parts(stages))[2], told);
}

#[test]
fn the_clean_up_hangs_on_an_approval_that_may_be_skipped() {
    let mut ask = asks(after("ask", &[0]), "needs.a.outputs.n == 1");
    ask.rules.is_approval = true;
    ask.work = Work::Approval { prompt: None, items: Vec::new() };
    let stages = vec![telling(Node::plain("a")), ask, stage("tidy", |node| node.phase = Phase::Finally)];
    let told = foreseen(parts(stages));
    assert_eq!(told[1], (Fate::Asked, Some(HangsOn::Condition)));
    assert_eq!(told[2], (Fate::Waits(None), Some(HangsOn::Need)));
}

#[test]
fn who_needs_a_held_gate_that_may_be_skipped_hangs_on_its_condition() {
    // An edit gives a gate that waits for its word an `if`.
    let gate = |needs: &[u32]| {
        let mut gate = after("gate", needs);
        gate.rules.hold = Some(Span::from_secs(60));
        gate
    };
    let version = |gate: Node| graph(parts(vec![telling(Node::plain("a")), gate, after("ship", &[1])]));
    let asked = asks(gate(&[0]), "needs.a.outputs.n == 1");
    let mut story = Story::versions(8, vec![version(gate(&[])), version(asked)]);
    story.ends(1, Outcome::Exit(HELD)).is(1, NodeState::Waiting);
    let (changed, rerun, failed) = (vec![], vec![], vec![]);
    let again = Input::Recover { resumed: Box::new(resumed(0)), plan_version: Some(2), changed, rerun, failed };
    let told = foresee(story.core.clone(), story.at, vec![again]);
    assert_eq!((&told[n(1)].fate, told[n(1)].hangs_on), (&Fate::Asked, Some(HangsOn::Condition)));
    assert_eq!((&told[n(2)].fate, told[n(2)].hangs_on), (&Fate::Waits(Some(n(1))), Some(HangsOn::Need)));
}

#[test]
fn what_the_cache_may_have_is_no_certain_success() {
    let cached = stage("a", |node| node.rules.has_cache = true);
    let stages = vec![telling(cached), asks(after("b", &[0]), "needs.a.state == 'success'")];
    assert_eq!(foreseen(parts(stages))[1], (Fate::Starts, Some(HangsOn::Condition)));
}

#[test]
fn a_failure_that_is_foreseen_makes_what_comes_to_its_turn_later_uncertain() {
    let bad = asks(after("b", &[0]), "needs.nobody.state == 'success'");
    let stages = vec![Node::plain("a"), bad, after("c", &[0]), Node::plain("d")];
    let told = foreseen(parts(stages));
    assert!(matches!(&told[1], (Fate::Ends(why), Some(HangsOn::Drain)) if why.contains("can't be told")));
    assert_eq!(told[2].1, Some(HangsOn::Drain));
    assert_eq!((&told[0], &told[3]), (&(Fate::Starts, None), &(Fate::Starts, None)));
}

#[test]
fn a_failure_that_is_foreseen_may_stop_the_rest_of_a_stage_that_has_begun() {
    let bad = asks(after("b", &[0]), "needs.nobody.state == 'success'");
    let wide = stage("d", |node| node.rules.shards = 9);
    // The longest way starts first.
    let narrow = stage("c", |node| (node.rules.shards, node.rules.expected) = (2, Span::from_secs(3600)));
    let told = foreseen(parts(vec![Node::plain("a"), bad, narrow, wide]));
    assert!(matches!(&told[1], (Fate::Ends(_), Some(HangsOn::Drain))), "{told:?}");
    assert_eq!(told[2], (Fate::Starts, None), "all of it has started by then");
    assert_eq!(told[3], (Fate::Starts, Some(HangsOn::Rest)));
}

#[test]
fn what_finds_a_slot_beside_a_stage_that_is_cut_as_it_runs_is_no_certain_start() {
    let bad = asks(after("b", &[0]), "needs.nobody.state == 'success'");
    let told = foreseen(parts(vec![Node::plain("a"), bad, sharded(4, auto(1000)), Node::plain("d")]));
    assert_eq!(told[3], (Fate::Starts, Some(HangsOn::Drain)));
}

#[test]
fn who_needs_a_doubtful_stage_that_will_be_too_late_hangs_on_its_condition() {
    let stages =
        vec![telling(Node::plain("a")), asks(after("b", &[0]), "needs.a.outputs.n == 1"), after("c", &[1])];
    let slo = Objective {
        subject: Subject::Stage,
        name: "b".into(),
        limit: Span::from_secs(60),
        on_breach: OnBreach::Fail,
        nodes: vec![n(1)],
    };
    let mut parts = Parts { objectives: vec![slo], ..parts(stages) };
    parts.scopes[0].policy = Policy::Continue;
    let mut story = Story::with(8, parts);
    let attempt = Attempt { node: n(0), shard: 0, number: 1 };
    let result = Box::new(ShardResult { outputs: vec![("n".to_owned(), 1.into())], ..ShardResult::default() });
    story.tell(Input::Done { attempt, outcome: Outcome::Success, took: Span::ZERO, result }).starts(&[(1, 0)]);
    story.at = story.at + Span::from_secs(100);
    let told = story.foreseen_with(vec![n(0)]);
    assert_eq!((told[n(1)].state, told[n(1)].hangs_on), (NodeState::Failed, Some(HangsOn::Condition)));
    let blocked = Fate::Skipped(SkipReason::Blocked { by: n(1) });
    assert_eq!((told[n(2)].fate.clone(), told[n(2)].hangs_on), (blocked, Some(HangsOn::Need)));
}

#[test]
fn what_a_foreseen_failure_undoes_hangs_on_that_failure() {
    let bad = asks(after("b", &[0]), "needs.nobody.state == 'success'");
    let undo = stage("a.rollback", |node| {
        (node.phase, node.undoes) = (Phase::Rollback, Some(n(0)));
    });
    let mut parts = parts(vec![Node::plain("a"), bad, undo]);
    parts.scopes[0].policy = Policy::Rollback;
    assert_eq!(foreseen(parts)[0], (Fate::Starts, Some(HangsOn::Undo)));
}

#[test]
fn a_clock_that_runs_out_while_a_retry_waits_is_foreseen() {
    let mut parts = parts(vec![
        stage("a", |node| node.rules.retry = Some(Box::new(retry(1, 5000)))),
        stage("ask", |node| {
            node.rules.is_approval = true;
            node.rules.timeout = Some(Span::from_ms(1000));
        }),
    ]);
    parts.scopes[0].policy = Policy::Continue;
    let mut story = Story::with(8, parts);
    story.fails(0);
    let told = story.foreseen();
    assert_eq!(told[n(1)].fate, Fate::Ends("nobody decided in time".to_owned()));
    assert_eq!((told[n(0)].fate.clone(), told[n(1)].state), (Fate::Starts, NodeState::TimedOut));
}

#[test]
fn what_arrives_at_one_moment_is_heard_together_and_as_it_was_sent() {
    // The approval and the empty attempt are over at the same moment, so `c`, the longer way, goes first.
    let short =
        |id, need: u32| Node { needs: after(id, &[need]).needs, ..stage(id, |it| it.rules.expected = Span::ZERO) };
    let mut parts = parts(vec![
        stage("ask", |node| node.rules.is_approval = true),
        stage("a", |node| node.rules.expected = Span::ZERO),
        short("b", 0),
        after("c", &[1]),
    ]);
    parts.settings.max_parallel = 1;
    let order: Vec<u32> = rehearse(&graph(parts)).starts.iter().map(|it| it.node.raw()).collect();
    assert_eq!(order, [0, 1, 3, 2]);
}

#[test]
fn only_the_clean_up_hangs_on_an_approval_and_only_if_there_is_one() {
    let tidy = || stage("tidy", |node| node.phase = Phase::Finally);
    let certain = (Fate::Starts, None);
    assert_eq!(foreseen(parts(vec![Node::plain("a"), tidy()])), [certain.clone(), certain.clone()]);
    let mut ask = asks(after("ask", &[0]), "needs.a.outputs.n == 1");
    ask.rules.is_approval = true;
    ask.work = Work::Approval { prompt: None, items: Vec::new() };
    let told = foreseen(parts(vec![telling(Node::plain("a")), ask, Node::plain("b"), tidy()]));
    assert_eq!((&told[2], told[3].1), (&certain, Some(HangsOn::Need)));
}

#[test]
fn what_was_cut_off_is_foreseen_to_be_asked_about() {
    let once = stage("a", |node| (node.rules.idempotent, node.rules.has_done_if) = (false, true));
    assert_eq!(foreseen(parts(vec![once, after("b", &[0])])), [(Fate::Checked, None), (Fate::Starts, None)]);
}

#[test]
fn a_stage_that_is_cut_as_it_runs_is_no_guess_before_it_starts() {
    let bad = asks(after("b", &[0]), "needs.nobody.state == 'success'");
    let later = Node { needs: after("", &[0]).needs, ..sharded(4, auto(1000)) };
    let told = foreseen(parts(vec![Node::plain("a"), bad, later, Node::plain("d")]));
    assert_eq!(told[3], (Fate::Starts, None));
}

/// When each stage of a rehearsal starts and ends.
fn rehearsed(nodes: Vec<Node>) -> Vec<(u32, u64, u64)> {
    let shown = rehearse(&graph(parts(nodes))).starts;
    shown.iter().map(|it| (it.node.raw(), it.at.ms(), it.end.ms())).collect()
}

#[test]
fn a_rehearsal_asks_the_cache_in_no_time_and_shows_what_has_no_items() {
    let cached = stage("a", |node| (node.rules.has_cache, node.rules.expected) = (true, Span::from_ms(10)));
    let empty = Node { needs: after("", &[0]).needs, ..stage("b", |node| node.rules.shards = 0) };
    assert_eq!(rehearsed(vec![cached, empty]), [(0, 0, 10), (1, 10, 10)]);
}

#[test]
fn a_rehearsal_hears_nothing_before_its_time() {
    let takes = |ms: u64| move |node: &mut Node| node.rules.expected = Span::from_ms(ms);
    let rate = Some(crate::plan::model::Rate { count: 1, per: Span::from_secs(1) });
    let mut paced = sharded(3, Split { size: 1, rate, ..Split::default() });
    takes(1500)(&mut paced);
    let next = Node { needs: after("", &[1]).needs, ..stage("next", takes(10)) };
    let nodes = vec![paced, stage("other", takes(1500)), next];
    assert_eq!(rehearsed(nodes), [(1, 0, 1500), (0, 0, 3500), (2, 1500, 1510)]);
}
