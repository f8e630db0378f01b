//! Cells that an earlier stage gives.

use serde_json::json;

use super::*;
use crate::graph::model::{CellPlace, LateMatrix, Process, Slot, Target, View, Work};
use crate::plan::model::Type;

/// `find` gives a list; `m` is a matrix with three places, 1 to 3, and `sum`, 4, needs all of them.
fn matrix(accept: Accept) -> Parts {
    let process = Process { outputs: vec![("list".into(), Type::List)], ..Process::default() };
    let mut nodes = vec![stage("find", |node| node.work = Work::Process(Box::new(process)))];
    let slot = |turn: u32| Slot {
        turn,
        label: if turn == 0 { "?".into() } else { format!("?{}", turn + 1).into() },
        around: Default::default(),
        first: n(turn + 1),
    };
    for at in 0..3 {
        let mut node = after(&format!("m:{}", slot(at).label), &[0]);
        node.cell = Some(CellPlace { matrix: 0, slot: at });
        nodes.push(node);
    }
    nodes.push(stage("sum", |node| node.needs = (1..4).map(|raw| Need { node: n(raw), accept }).collect()));
    let mut parts = parts(nodes);
    parts.matrices = vec![LateMatrix {
        id: "m".into(),
        place: Node::plain("m").place,
        axis: "region".into(),
        text: "{{ needs.find.outputs.list }}".into(),
        frame: 0,
        views: vec![View { name: "find".into(), target: Target::Node(n(0)) }],
        slots: (0..3).map(slot).collect(),
        values: vec![None; 3],
        given: None,
    }];
    parts
}

fn gives(story: &mut Story, list: serde_json::Value) -> &mut Story {
    let outputs = vec![("list".to_owned(), list)];
    let result = Box::new(ShardResult { outputs, ..ShardResult::default() });
    let attempt = story.number(0, 0);
    story.tell(Input::Done { attempt, outcome: Outcome::Success, took: Span::from_ms(1), result })
}

fn frozen(cells: &[&str]) -> Event {
    Event::CellsFrozen { node: n(1), cells: Arc::new(cells.iter().map(|&cell| cell.into()).collect()) }
}

fn names(story: &Story) -> Vec<String> {
    story.core.state().graph().stages().map(|(_, node)| node.id.to_string()).collect()
}

#[test]
fn places_get_the_cells_that_are_given_and_the_others_are_absent() {
    let mut story = Story::with(8, matrix(Accept::DEFAULT));
    assert_eq!(names(&story), ["find", "m:?", "sum"]);
    gives(&mut story, json!(["eu", 7])).has(&frozen(&["\"eu\"", "7", ""])).starts(&[(1, 0), (2, 0)]);
    story.has(&Event::NodeSkipped { node: n(3), why: SkipReason::NoCell });
    assert_eq!(names(&story), ["find", "m:eu", "m:7", "sum"]);
    story.succeeds(1).succeeds(2).starts(&[(4, 0)]);
    story.succeeds(4).run_ends(RunEnd::Success);
}

#[test]
fn an_absent_place_is_met_whatever_is_accepted_of_it() {
    let none = Accept { success: false, skipped: false, failed: false };
    for (accept, fails) in [
        (Accept { success: true, ..none }, false),
        (Accept { failed: true, ..none }, true),
        (Accept { success: true, failed: true, ..none }, true),
    ] {
        let mut parts = matrix(accept);
        parts.scopes[0].policy = Policy::Continue;
        let mut story = Story::with(8, parts);
        gives(&mut story, json!(["eu"])).starts(&[(1, 0)]);
        if fails {
            story.fails(1);
        } else {
            story.succeeds(1);
        }
        story.starts(&[(4, 0)]);
    }
    let mut story = Story::with(8, matrix(Accept { success: true, ..none }));
    gives(&mut story, json!([])).has(&frozen(&["", "", ""])).starts(&[(4, 0)]);
}

#[test]
fn what_cannot_be_taken_fails_one_place_and_nothing_of_it_starts() {
    for list in [json!(["a", "b", "c", "d"]), json!(["a", "a"]), json!("a"), json!(["a b"]), json!([{}])] {
        let mut story = Story::with(8, matrix(Accept::DEFAULT));
        gives(&mut story, list).has(&frozen(&[])).starts(&[]);
        story.is(1, NodeState::Failed).is(2, NodeState::Skipped).is(4, NodeState::Blocked);
        assert_eq!(names(&story), ["find", "m:?", "sum"]);
        story.run_ends(RunEnd::Failed);
        story.rerun(&[0]).starts(&[(0, 0)]);
        gives(&mut story, json!(["a", "b", "c"])).starts(&[(1, 0), (2, 0), (3, 0)]);
    }
}

#[test]
fn a_value_keeps_its_place_and_a_place_its_value_while_something_of_it_is_to_be_undone() {
    let mut story = Story::with(8, matrix(Accept::DEFAULT));
    gives(&mut story, json!(["a", "b"]));
    story.succeeds(1).succeeds(2).succeeds(4).run_ends(RunEnd::Success);
    // One of them alone: nobody asks for cells.
    story.rerun(&[2]).starts(&[(2, 0)]);
    assert!(!story.last.iter().any(|event| matches!(event, Event::CellsFrozen { .. })));
    story.succeeds(2).succeeds(4).run_ends(RunEnd::Success);
    story.rerun(&[0]);
    gives(&mut story, json!(["b", "c"])).has(&frozen(&["", "\"b\"", "\"c\""])).starts(&[(2, 0), (3, 0)]);
    assert_eq!(names(&story), ["find", "m:b", "m:c", "sum"]);
    story.succeeds(2).succeeds(3).succeeds(4).run_ends(RunEnd::Success);
    // All three have done something, so there is no place for a fourth.
    story.rerun(&[0]);
    gives(&mut story, json!(["d"])).has(&frozen(&[])).is(1, NodeState::Failed);
    let reason = |event: &Event| match event {
        Event::NodeFinished { reason, .. } => reason.contains("all 3 cells have been used"),
        _ => false,
    };
    assert!(story.last.iter().any(reason), "{:#?}", story.last);
}

#[test]
fn a_crash_after_any_record_leads_to_the_same_cells() {
    let mut story = Story::with(8, matrix(Accept::DEFAULT));
    gives(&mut story, json!(["eu", "us"]));
    let count = story.all.len();
    for lost in 0..count {
        let mut cut = story.without_last(lost);
        cut.resume();
        if cut.core.state().state(n(0)) == NodeState::Running {
            gives(&mut cut, json!(["eu", "us"]));
        }
        assert_eq!(names(&cut), ["find", "m:eu", "m:us", "sum"], "without the last {lost} records");
        cut.is(1, NodeState::Running).is(2, NodeState::Running).is(3, NodeState::Skipped);
    }
}
