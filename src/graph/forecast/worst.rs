//! Upper bounds of time: of a shard, and of the run.

use std::collections::BTreeMap;

use super::{StageForecast, bounded};
use crate::base::{IdVec, NodeIx, PoolIx, Span};
use crate::graph::model::{Graph, Node, Phase, Retry};

/// How long a run can take at most, its lock's wait not counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Worst {
    /// No longer than this, by its stages' own limits.
    Stages(Span),
    /// No longer than this, by the run's `timeout` and the longest grace.
    Timeout(Span),
    /// For ever: these stages have no `timeout`, and neither has the run.
    Unbounded(Vec<NodeIx>),
}

/// Longest time of one shard with all that its stage's `heal` may do, from its first start: it and every body that is
/// tried, each with its cool-down, and the shard once more after each. Waiting for a person at `heal-depth` is not counted.
pub(super) fn of_stage(graph: &Graph, ix: NodeIx) -> Option<Span> {
    let own = u128::from(of_shard(&graph.nodes[ix])?.ms());
    let mut all = own;
    for &body in graph.tried(ix) {
        let node = &graph.nodes[body];
        all += own + u128::from(of_shard(node)?.ms()) + u128::from(node.rules.cool_down.ms());
    }
    Some(bounded(all))
}

/// Most attempts of a stage: of each shard with all re-tries, again after every body that is tried, and those of the bodies.
pub(super) fn attempts(graph: &Graph, ix: NodeIx) -> u64 {
    let node = &graph.nodes[ix];
    let tried = graph.tried(ix);
    let own = each(node).saturating_mul(u64::from(node.most_shards())).saturating_mul(tried.len() as u64 + 1);
    tried.iter().fold(own, |sum, &body| sum.saturating_add(each(&graph.nodes[body])))
}

/// Attempts of one shard with its re-tries.
pub(super) fn each(node: &Node) -> u64 {
    node.rules.retry.as_ref().map_or(1, |retry| u64::from(retry.max.saturating_add(1)))
}

/// Longest time of one shard, from its first start:
/// `min(attempts × (timeout + grace) + Σ delays, within + grace)`. None without a `timeout` and `within`.
/// An approval waits for its `timeout` once. Waiting for a slot or a pool is not counted.
pub(super) fn of_shard(node: &Node) -> Option<Span> {
    let rules = &node.rules;
    if rules.is_approval {
        return rules.timeout;
    }
    let attempts = rules.retry.as_ref().map_or(1, |retry| u128::from(retry.max) + 1);
    let delays = rules.retry.as_deref().map_or(0, delays_ms);
    let tries = rules.timeout.map(|timeout| {
        let attempt = u128::from(timeout.ms()) + u128::from(rules.grace.ms());
        bounded(attempt.saturating_mul(attempts).saturating_add(delays))
    });
    let within = rules.retry.as_ref().and_then(|retry| retry.within).map(|within| within + rules.grace);
    match (tries, within) {
        (Some(tries), Some(within)) => Some(tries.min(within)),
        (tries, within) => tries.or(within),
    }
}

/// `Σ min(delay × backoff^i, max-delay)` over the re-tries; jitter only shortens them.
fn delays_ms(retry: &Retry) -> u128 {
    let cap = retry.max_delay.unwrap_or(bounded(u128::MAX));
    let mut next = cap.min(retry.delay);
    let mut sum: u128 = 0;
    for done in 0..retry.max {
        if next == cap || retry.backoff <= 1.0 {
            return sum + u128::from(next.ms()) * u128::from(retry.max - done);
        }
        sum += u128::from(next.ms());
        let longer = std::time::Duration::try_from_secs_f64(next.duration().as_secs_f64() * retry.backoff);
        let grown = longer.map_or(cap, |length| Span::from(length).min(cap));
        if grown == next {
            return sum + u128::from(next.ms()) * u128::from(retry.max - done - 1);
        }
        next = grown;
    }
    sum
}

/// The run's bound. For a scheduler that never leaves a slot free while something could start, a moment is
/// spent on the longest chain, or all slots are busy, or a pool of the waiting stage is too full for it. So
///
/// `T ≤ longest chain + Σ work ÷ max-parallel + Σ over pools (weighted work ÷ (capacity − heaviest + 1))`
///
/// with the worst time of each shard as work, and a sharded stage as one shard in the chain. The sum of all
/// work and waits, one after another, is a bound too; the smaller one counts, and the run's `timeout` plus
/// the longest grace if that is smaller still. The clean-up counts with its budget if it has one; what follows the verdict
/// does not count, and neither does a node of which `runs` says that it will not run.
pub(super) fn of_run(
    graph: &Graph,
    stages: &IdVec<NodeIx, StageForecast>,
    runs: &dyn Fn(NodeIx) -> bool,
) -> Worst {
    let counted = || graph.places().filter(|(ix, node)| runs(*ix) && node.phase != Phase::Background);
    let by_timeout = graph.settings.timeout.map(|timeout| {
        let grace = counted().map(|(_, node)| node.rules.grace).max();
        timeout + grace.unwrap_or_default()
    });
    let budget = graph.settings.finally_budget;
    let mut unbounded = Vec::new();
    for (ix, node) in counted() {
        if stages[ix].worst.is_none() && (node.phase == Phase::Main || budget.is_none()) {
            unbounded.push(ix);
        }
    }
    if !unbounded.is_empty() {
        return by_timeout.map_or(Worst::Unbounded(unbounded), Worst::Timeout);
    }
    let closing = of_phase(graph, stages, (Phase::Finally, runs));
    let by_stages =
        of_phase(graph, stages, (Phase::Main, runs)) + budget.map_or(closing, |budget| budget.min(closing));
    match by_timeout {
        Some(timeout) if timeout < by_stages => Worst::Timeout(timeout),
        _ => Worst::Stages(bounded(u128::from(by_stages.ms()))),
    }
}

fn of_phase(
    graph: &Graph,
    stages: &IdVec<NodeIx, StageForecast>,
    (phase, runs): (Phase, &dyn Fn(NodeIx) -> bool),
) -> Span {
    let far = bounded(u128::MAX);
    let time = |ix: NodeIx| u128::from(stages[ix].worst.unwrap_or(far).ms());
    let mut chain: IdVec<NodeIx, u128> = IdVec::filled(0, graph.nodes.len());
    let (mut longest, mut work, mut waits) = (0, 0u128, 0u128);
    let mut pools: BTreeMap<PoolIx, (u128, u32)> = BTreeMap::new();
    for &ix in graph.order() {
        let node = &graph.nodes[ix];
        if node.phase != phase {
            continue;
        }
        let below = node.needs.iter().map(|need| chain[need.node]).max().unwrap_or(0);
        chain[ix] = below + if runs(ix) { time(ix) } else { 0 };
        longest = longest.max(chain[ix]);
        if !runs(ix) {
            continue;
        }
        let all = time(ix) * u128::from(node.most_shards());
        if node.rules.is_approval {
            waits += all;
            continue;
        }
        work += all;
        for &(pool, weight) in &node.rules.pools {
            let (used, heaviest) = pools.entry(pool).or_default();
            *used += all * u128::from(weight);
            *heaviest = (*heaviest).max(weight);
        }
    }
    let pooled: u128 = pools
        .into_iter()
        .map(|(pool, (used, heaviest))| {
            used.div_ceil(u128::from(graph.pools[pool].capacity.saturating_sub(heaviest)) + 1)
        })
        .sum();
    let slots = work.div_ceil(u128::from(graph.settings.max_parallel.max(1)));
    bounded((longest + slots + pooled).min(work + waits))
}
