//! Pools: weights, order, and nobody starves.

use super::*;

fn pool(parts: &mut Parts, capacity: u32) {
    parts.pools.push(Pool { name: "database".to_owned(), capacity });
}

fn weighs(id: &str, weight: u32, expected_s: u64) -> Node {
    stage(id, |node| {
        node.rules.pools = vec![(PoolIx::new(0), weight)];
        node.rules.expected = Span::from_secs(expected_s);
    })
}

#[test]
fn a_pool_bounds_who_runs_at_once() {
    let mut parts = parts(vec![weighs("a", 1, 3), weighs("b", 1, 2), Node::plain("c")]);
    pool(&mut parts, 1);
    let mut story = Story::with(8, parts);
    story.starts(&[(0, 0), (2, 0)]).succeeds(0).starts(&[(1, 0)]);
}

#[test]
fn light_stages_do_not_overtake_a_heavy_one_that_goes_first() {
    let mut parts = parts(vec![weighs("first", 2, 9), weighs("heavy", 3, 5), weighs("light", 1, 1)]);
    pool(&mut parts, 3);
    let mut story = Story::with(8, parts);
    story.starts(&[(0, 0)]).is(2, NodeState::Waiting);
    story.succeeds(0).starts(&[(1, 0)]);
    story.succeeds(1).starts(&[(2, 0)]);
}

#[test]
fn a_weight_larger_than_its_pool_takes_all_of_it() {
    let mut parts = parts(vec![weighs("a", 9, 3), weighs("b", 1, 2)]);
    pool(&mut parts, 2);
    Story::with(8, parts).starts(&[(0, 0)]).succeeds(0).starts(&[(1, 0)]);
}

#[test]
fn a_retry_that_has_no_room_wakes_nobody_up() {
    let mut parts = parts(vec![weighs("a", 1, 3), weighs("b", 1, 2)]);
    parts.nodes[0].rules.retry = Some(Box::new(retry(1, 1000)));
    pool(&mut parts, 1);
    let mut story = Story::with(8, parts);
    story.fails(0).starts(&[(1, 0)]).wait(5000).then(&[]);
    assert_eq!(story.core.next_deadline(), None);
    story.succeeds(1).has(&retried(0, 2));
}

#[test]
fn shards_share_their_own_pool() {
    let mut parts = parts(vec![weighs("pack", 1, 1)]);
    parts.nodes[0].rules.shards = 10;
    pool(&mut parts, 4);
    let mut story = Story::with(8, parts);
    story.then(&[story.last[0].clone(), started(0, 0, 4)]);
    assert_eq!(story.core.state().pool_used(PoolIx::new(0)), 4);
}
