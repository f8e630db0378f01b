//! A seed makes a graph.

use std::sync::Arc;

use engine::base::{NodeIx, PoolIx, ScopeIx, Span, Text};
use engine::graph::forecast::Expected;
use engine::graph::model::{
    Accept, Condition, Items, Need, Node, Phase, Policy, Pool, Process, Retry, Scope, Split, Target, Undo, View,
    Work,
};
use engine::graph::undo::tie;
use engine::graph::{Graph, Parts};
use engine::plan::model::{AllowFailed, AllowFailure, Rate, RetryWhen, Type};

use crate::late::pledge;

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

fn when(dice: &mut Dice) -> Vec<RetryWhen> {
    match dice.below(6) {
        0 => vec![RetryWhen::Exit(vec![1])],
        1 => vec![RetryWhen::Timeout, RetryWhen::Signal],
        _ => Vec::new(),
    }
}

/// An `if` over one of the node's needs, sometimes one that can't be told.
fn condition(kind: Kind, dice: &mut Dice, node: &Node, ids: &[Text]) -> Option<Condition> {
    let need = node.needs.first()?.node;
    let id = &ids[need.raw() as usize];
    let text = match dice.below(8) {
        0 if kind == Kind::Wild => "needs.nobody.state == 'success'".to_owned(),
        1 => format!("needs.{id}.state != 'success'"),
        2 => format!("needs.{id}.outputs.n == 1"),
        3 => "1 == 2".to_owned(),
        _ => format!("needs.{id}.state == 'success'"),
    };
    let views = vec![View { name: id.as_str().into(), target: Target::Node(need) }];
    Some(Condition { text: text.into(), place: node.place, frame: 0, views })
}

/// Rules of a stage that say anything.
pub(crate) fn rules(dice: &mut Dice, node: &mut Node) {
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
        rules.idle = Some(Span::from_ms(30));
    }
    if dice.chance(10) {
        rules.queue = Some(Span::from_ms(dice.below(1000)));
    }
    if dice.chance(40) {
        rules.retry = Some(Box::new(Retry {
            max: dice.small(4),
            delay: Span::from_ms(dice.below(100)),
            backoff: 2.0,
            max_delay: Some(Span::from_ms(150)),
            jitter: dice.chance(50),
            when: when(dice),
            within: dice.chance(20).then(|| Span::from_ms(100 + dice.below(500))),
        }));
    }
    if dice.chance(10) {
        let some = AllowFailure::Exit(vec![1]);
        rules.allow_failure = if dice.chance(50) { AllowFailure::Any } else { some };
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

/// What a graph is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Everything that a plan may say.
    Wild,
    /// No clocks, and every failure stays inside: outcomes alone decide every stage.
    Calm,
    /// Every policy, and clocks so long that only what hangs meets them: outcomes alone decide the verdict.
    Fixed,
}

fn tame(kind: Kind, dice: &mut Dice, node: &mut Node) {
    if kind == Kind::Wild {
        return;
    }
    (node.rules.timeout, node.rules.queue, node.rules.idle) = (None, None, None);
    if kind == Kind::Fixed && !node.rules.is_approval && dice.chance(50) {
        node.rules.timeout = Some(Span::from_secs(60));
    }
    if let Some(retry) = &mut node.rules.retry {
        retry.within = None;
    }
    node.rules.has_done_if |= !node.rules.idempotent;
}

fn node(kind: Kind, dice: &mut Dice, id: &str, phase: Phase, before: &[Text]) -> Node {
    let mut node = Node::plain(id);
    node.phase = phase;
    if phase == Phase::Main {
        node.needs = needs(dice, u32::try_from(before.len()).expect("few"), true);
    }
    node.scope = ScopeIx::new(dice.small(3));
    node.selected = !dice.chance(5);
    node.work = Work::Process(Box::new(Process { outputs: vec![("n".into(), Type::Int)], ..Process::default() }));
    rules(dice, &mut node);
    let mut own = Dice(dice.0 ^ 0x0a11);
    node.rules.usual = own.chance(60).then(|| {
        let p50 = Span::from_ms(own.below(150));
        Expected { p50, p95: p50 + Span::from_ms(own.below(150)), samples: own.small(10) }
    });
    tame(kind, dice, &mut node);
    if dice.chance(20) {
        let condition = condition(kind, dice, &node, before);
        node.conditions.extend(condition);
    }
    node
}

/// Some stages keep something running until the run ends. Dice of their own leave everything else as it is.
fn serve(seed: u64, nodes: &mut [Node]) {
    let mut dice = Dice(seed ^ 0x5e41);
    for node in nodes {
        node.rules.is_service = dice.chance(15) && !node.rules.is_approval;
    }
}

/// Some stages say how they are undone, by dice of their own.
fn undo(seed: u64, kind: Kind, parts: &mut Parts) {
    for at in 0..parts.nodes.len() {
        let stage = &mut parts.nodes[at];
        let salt = stage.id.bytes().fold(seed ^ 0x0dd0, |salt, byte| salt.rotate_left(8) ^ u64::from(byte));
        let mut dice = Dice(salt);
        if stage.phase != Phase::Main || stage.rules.is_approval || dice.chance(25) {
            continue;
        }
        let is_barrier = dice.chance(8);
        stage.rules.undo = if is_barrier { Undo::Never } else { Undo::Body };
        let mut node = Node::plain(&format!("{}.rollback", stage.id));
        (node.phase, node.undoes, node.scope) =
            (Phase::Rollback, Some(NodeIx::new(u32::try_from(at).expect("few"))), stage.scope);
        if is_barrier {
            node.rules.undo = Undo::Never;
        } else {
            rules(&mut dice, &mut node);
            (node.rules.is_approval, node.rules.has_cache, node.rules.shards) = (false, false, 1);
            node.rules.allow_failure = AllowFailure::No;
            tame(kind, &mut dice, &mut node);
            node.rules.timeout = node.rules.timeout.or((kind == Kind::Fixed).then(|| Span::from_secs(60)));
        }
        parts.nodes.push(node);
    }
    tie(&mut parts.nodes);
}

/// Some stages have items. Dice of their own leave everything else as it is.
fn share_out(seed: u64, kind: Kind, nodes: &mut [Node]) {
    let mut dice = Dice(seed ^ 0x17e5);
    // The output of a stage with items is a list.
    let reads = nodes.iter().flat_map(|node| &node.conditions).filter(|it| it.text.contains("outputs"));
    let is_read = |view: &View| if let Target::Node(node) = view.target { Some(node) } else { None };
    let read: Vec<NodeIx> = reads.flat_map(|it| it.views.iter().filter_map(is_read)).collect();
    for (at, node) in nodes.iter_mut().enumerate() {
        if dice.chance(30) && !read.iter().any(|it| it.raw() as usize == at) {
            let split = split(kind, &mut dice);
            node.rules.split = Some(Box::new(split));
        }
    }
}

fn split(kind: Kind, dice: &mut Dice) -> Split {
    let target = dice.chance(50).then(|| Span::from_ms(20 + dice.below(100)));
    let rate = dice.chance(20).then(|| Rate { count: 1 + dice.small(4), per: Span::from_ms(1 + dice.below(80)) });
    // How many items fail with one that does hangs on how they are cut.
    let allowed = match dice.below(6) {
        0 => Some(AllowFailed::Items(dice.small(8))),
        1 => Some(AllowFailed::Share(dice.small(500_000))),
        _ => None,
    };
    Split {
        items: dice.below(40),
        size: 1 + dice.small(8),
        grows: target.is_some() && dice.chance(50),
        target,
        max_parallel: dice.chance(20).then(|| 1 + dice.small(4)),
        rate,
        allow_failed: allowed.filter(|_| kind == Kind::Wild),
        is_late: false,
        is_sealed: dice.chance(50),
        is_read: dice.chance(30),
        ..Split::default()
    }
}

/// Makes the shards of a stage with items what its items say.
fn settle(node: &mut Node) {
    let rules = &mut node.rules;
    if rules.is_approval {
        rules.split = None;
    }
    let Work::Process(process) = &mut node.work else { return };
    process.items = Items::None;
    if let Some(split) = &mut rules.split {
        if split.target.is_some() {
            rules.has_cache = false;
        }
        process.items = Items::Range { count: split.items, size: split.size };
        rules.shards = u32::try_from(process.items.shard_count()).expect("few");
    }
    // A plan that keeps shards running is refused.
    rules.is_service &= rules.split.is_none() && rules.shards == 1;
}

/// The versions of a plan, the first one first; only a wild one is edited.
pub(crate) fn versions(seed: u64, kind: Kind) -> Vec<Arc<Graph>> {
    let mut dice = Dice(seed);
    let main = 1 + dice.small(12);
    let total = main + dice.small(3);
    let (mut nodes, mut ids): (Vec<Node>, Vec<Text>) = (Vec::new(), Vec::new());
    for at in 0..total {
        let phase = if at < main { Phase::Main } else { Phase::Finally };
        nodes.push(node(kind, &mut dice, &format!("s{at}"), phase, &ids));
        ids.push(nodes[at as usize].id.clone());
    }
    serve(seed, &mut nodes);
    share_out(seed, kind, &mut nodes);
    let mut parts = Parts::of("sim", nodes);
    let policies = [Policy::Drain, Policy::Kill, Policy::Continue];
    let mut rollback = Dice(seed ^ 0x0bac);
    let mut scope = |parent| {
        let policy = policies[usize::try_from(dice.below(3)).expect("below 3")];
        let policy = if kind != Kind::Calm && rollback.chance(35) { Policy::Rollback } else { policy };
        let policy = if kind == Kind::Calm { Policy::Continue } else { policy };
        Scope { parent, name: "scope".to_owned(), policy }
    };
    parts.scopes = vec![scope(None), scope(Some(ScopeIx::new(0))), scope(Some(ScopeIx::new(1)))];
    parts.pools = (1..=3).map(|capacity| Pool { name: format!("p{capacity}"), capacity }).collect();
    parts.settings.max_parallel = 1 + dice.small(6);
    if kind == Kind::Fixed {
        parts.settings.timeout = Some(Span::from_secs(3600));
        parts.settings.finally_budget = Some(Span::from_secs(1800));
    } else if kind == Kind::Wild && dice.chance(30) {
        parts.settings.timeout = Some(Span::from_ms(500 + dice.below(2000)));
        parts.settings.finally_budget = dice.chance(50).then(|| Span::from_ms(300));
    }
    let edits = if kind == Kind::Wild { dice.below(3) } else { 0 };
    let mut all = vec![parts];
    let (mut own, mut back) = (Dice(seed ^ 0x0ed1), Dice(seed ^ 0xbac4));
    for _ in 0..edits {
        // Somebody may go back to the first text: what was gone is there again.
        let at = if back.chance(30) { 0 } else { all.len() - 1 };
        let mut next = edit(&mut dice, &all[at], all.len());
        next.nodes.iter_mut().for_each(|node| cut_anew(&mut own, node));
        all.push(next);
    }
    all.iter_mut().flat_map(|parts| &mut parts.nodes).for_each(settle);
    let assemble = |mut parts: Parts| {
        crate::background::lay(seed, &mut parts);
        pledge(seed, kind, &mut parts);
        undo(seed, kind, &mut parts);
        crate::ladder::lay(seed, kind, &mut parts);
        Arc::new(Graph::assemble(parts).expect("needs point backwards"))
    };
    all.into_iter().map(assemble).collect()
}

/// Another size or number of items, another target, or another word on whether a stage may be repeated.
fn cut_anew(dice: &mut Dice, node: &mut Node) {
    let Some(split) = &mut node.rules.split else { return };
    match dice.below(8) {
        0 => split.size = 1 + dice.small(8),
        1 => split.items = dice.below(40),
        2 => split.items += dice.below(10),
        3 => split.target = split.target.map(|_| Span::from_ms(20 + dice.below(100))),
        4 => (node.rules.idempotent, node.rules.has_done_if) = (false, dice.chance(50)),
        _ => {}
    }
}

/// The plan after somebody's edit: stages are gone, new, changed, cut anew, selected otherwise.
fn edit(dice: &mut Dice, old: &Parts, version: usize) -> Parts {
    let ids: Vec<Text> = old.nodes.iter().map(|node| node.id.clone()).collect();
    let mut parts = old.clone();
    for _ in 0..=dice.below(3) {
        let at = usize::try_from(dice.below(parts.nodes.len() as u64)).expect("few");
        let it = &mut parts.nodes[at];
        match dice.below(6) {
            0 if it.phase == Phase::Main => it.rules.shards = dice.small(12),
            1 => it.selected = !it.selected,
            2 => it.needs.clear(),
            3 => rules(dice, it),
            4 if parts.nodes.len() > 2 => {
                parts.nodes.remove(at);
            }
            _ => {
                let id = format!("v{version}x{at}");
                if parts.nodes.iter().all(|node| *node.id != *id) {
                    parts.nodes.insert(at, node(Kind::Wild, dice, &id, Phase::Main, &[]));
                }
            }
        }
    }
    rewire(&mut parts.nodes, &ids);
    parts
}

/// Needs and views follow their stages to their new numbers; what is gone or stands later is left out.
fn rewire(nodes: &mut [Node], old: &[Text]) {
    let new: Vec<Text> = nodes.iter().map(|node| node.id.clone()).collect();
    let find = |node: NodeIx, before: usize| {
        let at = new.iter().position(|id| *id == old[node.raw() as usize]).filter(|&at| at < before)?;
        Some(NodeIx::new(u32::try_from(at).expect("few")))
    };
    for (at, node) in nodes.iter_mut().enumerate() {
        let moved = |need: &Need| Some(Need { node: find(need.node, at)?, ..*need });
        node.needs = node.needs.iter().filter_map(moved).collect();
        for condition in &mut node.conditions {
            condition.views.retain_mut(|view| {
                let Target::Node(target) = &mut view.target else { return false };
                find(*target, at).is_some_and(|found| {
                    *target = found;
                    true
                })
            });
        }
        node.conditions.retain(|condition| !condition.views.is_empty());
    }
}

/// What the versions of a plan say, line by line.
pub(crate) fn tell(versions: &[Arc<Graph>]) -> impl Iterator<Item = String> + use<> {
    let mut lines = Vec::new();
    for (version, graph) in versions.iter().enumerate() {
        lines.push(format!("-- plan {}: {:?} {:?}", version + 1, graph.settings, graph.scopes));
        for (ix, node) in graph.nodes.pairs() {
            let (phase, scope, selected) = (node.phase, node.scope, node.selected);
            lines.push(format!("{} {ix:?} {phase:?} {scope:?} selected: {selected}", node.id));
            lines.push(format!("    {:?}", node.needs));
            lines.push(format!("    {:?}", node.conditions.iter().map(|it| &it.text).collect::<Vec<_>>()));
            lines.push(format!("    {:?}", node.rules));
        }
    }
    lines.into_iter()
}
