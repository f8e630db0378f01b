//! A seed makes a graph.

use std::sync::Arc;

use engine::base::{NodeIx, PoolIx, ScopeIx, Span};
use engine::graph::model::{Accept, Need, Node, Phase, Policy, Pool, Retry, Scope};
use engine::graph::{Graph, Parts};
use engine::plan::model::AllowFailure;

/// A small generator of numbers (splitmix64): the same everywhere.
#[derive(Clone)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(crate) fn small(&mut self, limit: u32) -> u32 {
        u32::try_from(self.below(u64::from(limit))).expect("below a u32")
    }

    /// True in `percent` of 100 cases.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

fn needs(dice: &mut Dice, before: u32, handlers: bool) -> Vec<Need> {
    let mut needs: Vec<Need> = Vec::new();
    for _ in 0..dice.below(4).min(u64::from(before)) {
        let node = NodeIx::new(dice.small(before));
        let accept = match dice.below(if handlers { 8 } else { 1 }) {
            6 => Accept { success: false, skipped: false, failed: true },
            7 => Accept { success: true, skipped: true, failed: true },
            _ => Accept::DEFAULT,
        };
        if needs.iter().all(|need| need.node != node) {
            needs.push(Need { node, accept });
        }
    }
    needs
}

fn rules(dice: &mut Dice, node: &mut Node) {
    let rules = &mut node.rules;
    rules.grace = Span::from_ms(dice.below(50));
    rules.expected = Span::from_ms(dice.below(200));
    if dice.chance(10) {
        rules.is_approval = true;
        rules.timeout = dice.chance(50).then(|| Span::from_ms(500 + dice.below(2000)));
        return;
    }
    if dice.chance(20) {
        rules.shards = dice.small(12);
    }
    if dice.chance(30) {
        rules.timeout = Some(Span::from_ms(50 + dice.below(200)));
    }
    if dice.chance(10) {
        rules.queue = Some(Span::from_ms(dice.below(1000)));
    }
    if dice.chance(40) {
        rules.retry = Some(Retry {
            max: dice.small(4),
            delay: Span::from_ms(dice.below(100)),
            backoff: 2.0,
            max_delay: Some(Span::from_ms(150)),
            jitter: dice.chance(50),
            when: Vec::new(),
            within: dice.chance(20).then(|| Span::from_ms(100 + dice.below(500))),
        });
    }
    if dice.chance(10) {
        rules.allow_failure = AllowFailure::Any;
    }
    if dice.chance(20) {
        (rules.idempotent, rules.has_done_if) = (false, dice.chance(60));
    } else {
        rules.has_done_if = dice.chance(10);
    }
    rules.has_cache = dice.chance(10);
    if dice.chance(30) {
        rules.pools = vec![(PoolIx::new(dice.small(3)), 1 + dice.small(3))];
    }
    if dice.chance(10) {
        rules.pools = vec![(PoolIx::new(0), 1), (PoolIx::new(1), 1 + dice.small(2))];
    }
}

/// A graph. A calm one has no clocks but those that can't run out, so that outcomes alone decide its verdict.
pub(crate) fn graph(seed: u64, is_calm: bool) -> Arc<Graph> {
    let mut dice = Dice(seed);
    let main = 1 + dice.small(12);
    let total = main + dice.small(3);
    let mut nodes = Vec::new();
    for at in 0..total {
        let mut node = Node::plain(&format!("s{at}"));
        node.needs = if at < main { needs(&mut dice, at, true) } else { Vec::new() };
        node.phase = if at < main { Phase::Main } else { Phase::Finally };
        node.scope = ScopeIx::new(dice.small(3));
        node.selected = !dice.chance(5);
        rules(&mut dice, &mut node);
        if is_calm {
            (node.rules.timeout, node.rules.queue) = (None, None);
            if let Some(retry) = &mut node.rules.retry {
                retry.within = None;
            }
            node.rules.has_done_if |= !node.rules.idempotent;
        }
        nodes.push(node);
    }
    let mut parts = Parts::of("sim", nodes);
    let policies = [Policy::Drain, Policy::Kill, Policy::Continue];
    let mut scope = |parent| {
        let policy = policies[usize::try_from(dice.below(3)).expect("below 3")];
        let policy = if is_calm { Policy::Continue } else { policy };
        Scope { parent, name: "scope".to_owned(), policy }
    };
    parts.scopes = vec![scope(None), scope(Some(ScopeIx::new(0))), scope(Some(ScopeIx::new(1)))];
    parts.pools = (1..=3).map(|capacity| Pool { name: format!("p{capacity}"), capacity }).collect();
    parts.settings.max_parallel = 1 + dice.small(6);
    if !is_calm && dice.chance(20) {
        parts.settings.timeout = Some(Span::from_ms(500 + dice.below(2000)));
        parts.settings.finally_budget = dice.chance(50).then(|| Span::from_ms(300));
    }
    Arc::new(Graph::assemble(parts).expect("needs point backwards"))
}
