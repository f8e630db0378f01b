//! Stages that an edit took out of the plan: they are undone like those that are left, and nothing else.

use crate::graph::undo::tie;

use super::recover::edited;
use super::*;

/// Stages with their needs, and behind them what undoes each.
fn undoable(policy: Policy, stages: &[(&str, &[u32])]) -> Graph {
    let mut nodes: Vec<Node> = stages.iter().map(|(id, needs)| after(id, needs)).collect();
    for (at, (id, _)) in (0..).zip(stages) {
        let undo = |node: &mut Node| (node.phase, node.undoes) = (Phase::Rollback, Some(n(at)));
        nodes.push(stage(&format!("{id}.rollback"), undo));
    }
    tie(&mut nodes);
    let mut parts = parts(nodes);
    parts.scopes[0].policy = policy;
    Graph::assemble(parts).expect("no cycles")
}

/// `a`, and `b` and `c` behind it; the edit leaves `a` and a new `d`, and of the old ones these.
fn story(policy: Policy, kept: &[&str]) -> Story {
    let old = undoable(policy, &[("a", &[]), ("b", &[0]), ("c", &[1])]);
    let new = undoable(policy, &[("a", &[]), ("d", &[0])]);
    let new = new.retire(&old, kept.iter().copied()).expect("they fit");
    Story::versions(8, vec![Arc::new(old), Arc::new(new)])
}

#[test]
fn a_stage_that_is_gone_is_undone_after_what_came_after_it() {
    // In the new graph: a, d, a.rollback, d.rollback, b, c, b.rollback, c.rollback.
    let mut story = story(Policy::Rollback, &["b", "c"]);
    story.succeeds(0).succeeds(1).starts(&[(2, 0)]);
    edited(&mut story).is(4, NodeState::Success).is(5, NodeState::Skipped).starts(&[(1, 0)]);
    story.fails(1);
    let why = CancelReason::Failure(n(1));
    // `c` was cut off in the middle: it is undone too.
    story.has(&Event::RollbackBegan { why, nodes: vec![n(3), n(7), n(6), n(2)], between: Vec::new() });
    story.starts(&[(7, 0), (3, 0)]).succeeds(3).starts(&[]);
    story.succeeds(7).is(5, NodeState::Undone).starts(&[(6, 0)]);
    story.succeeds(6).is(4, NodeState::Undone).starts(&[(2, 0)]).succeeds(2);
    assert_eq!(story.verdict().state, RunEnd::RolledBack);
    // Another try does what the plan has, and what is gone stays undone.
    story.resume().starts(&[(0, 0)]).succeeds(0).succeeds(1);
    assert_eq!(story.verdict().state, RunEnd::Success);
    story.is(4, NodeState::Undone).is(5, NodeState::Undone);
}

#[test]
fn what_had_failed_and_is_gone_fails_the_run_no_more() {
    let mut story = story(Policy::Drain, &["b"]);
    story.succeeds(0).fails(1);
    assert_eq!(story.verdict().state, RunEnd::Failed);
    edited(&mut story).is(4, NodeState::Skipped).starts(&[(1, 0)]).succeeds(1);
    assert_eq!(story.verdict().state, RunEnd::Success);
}
