//! What became of the shards of a stage, beside their counts: how its items are cut, and which of them failed.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use crate::base::{Digest, Millis, NodeIx, Span};
use crate::graph::Node;
use crate::graph::shards::{Cut, Cuts, Slice};
use crate::run::Outcome;
use crate::run::event::{CutReason, Event, ReopenReason};

use super::View;

/// Failed shards kept by name for each stage; the rest is counted.
const MAX_FAILED: usize = 100;
/// Items named of a failed shard.
const MAX_NAMED: usize = 3;
/// Characters shown of an item.
const MAX_ITEM: usize = 40;

/// The shards of a stage.
#[derive(Clone, PartialEq, Debug)]
pub struct Sharded {
    /// How the items are cut, so far.
    pub cuts: Cuts,
    /// All items, when an earlier stage gave them.
    pub late: Option<Arc<Vec<Box<str>>>>,
    /// What these take by what earlier runs say, once somebody asked.
    pub(super) took: OnceLock<Option<Span>>,
    /// How often what is left was cut into smaller shards.
    pub splits: u32,
    /// How often into larger ones.
    pub growths: u32,
    /// The p95 that made the last cut.
    pub p95: Span,
    /// Shards whose result is known from an earlier run.
    pub recalled: u32,
    /// Shards whose last attempt failed, the first hundred.
    pub failed: BTreeMap<u32, Failure>,
    /// The Merkle root over what all shards left.
    pub root: Option<Digest>,
    /// Workers that do the items now.
    pub workers: u32,
    /// Workers that went wrong.
    pub replaced: u32,
    /// Shards up to the last one that has had its turn.
    pub(super) begun: u32,
    /// It was cut anew after it had begun.
    pub(super) is_mixed: bool,
}

/// How a shard failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// When.
    pub at: Millis,
    /// The outcome of its last attempt.
    pub outcome: Outcome,
}

impl Sharded {
    /// The shards whose last attempt failed, as they failed.
    pub fn in_order(&self) -> Vec<u32> {
        let mut order: Vec<u32> = self.failed.keys().copied().collect();
        order.sort_by_key(|shard| self.failed[shard].at);
        order
    }

    /// How the first of them failed.
    pub fn first_failure(&self) -> Option<&Failure> {
        self.failed.values().min_by_key(|failure| failure.at)
    }

    /// Of a stage that has not begun; none of one without shards.
    pub(super) fn new(node: &Node) -> Option<Box<Self>> {
        let split = node.rules.split.as_ref()?;
        Some(Box::new(Self {
            cuts: Cuts::even(split.items, split.size),
            late: None,
            took: OnceLock::new(),
            splits: 0,
            growths: 0,
            p95: Span::ZERO,
            recalled: 0,
            failed: BTreeMap::new(),
            root: None,
            workers: 0,
            replaced: 0,
            begun: 0,
            is_mixed: false,
        }))
    }

    fn begin(&mut self, shard: u32) {
        self.begun = self.begun.max(shard.saturating_add(1));
    }

    fn cut(&mut self, cut: Cut, why: CutReason, p95: Span) {
        self.cuts.push(cut);
        match why {
            CutReason::First => {}
            CutReason::Split => (self.splits, self.p95) = (self.splits + 1, p95),
            CutReason::Grow => (self.growths, self.p95) = (self.growths + 1, p95),
        }
    }
}

impl View {
    /// Records about the shards of a stage.
    pub(super) fn record_of_shards(&mut self, at: Millis, event: &Event) {
        match event {
            Event::Healing { node, step } => self.heal(*node, step),
            Event::ShardsCut { node, cut, why, p95 } => self.edit_shards(*node, |it| it.cut(*cut, *why, *p95)),
            Event::ItemsFrozen { node, items } => {
                let size = self.node(*node).rules.split.as_ref().map_or(1, |split| split.size);
                self.edit_shards(*node, |it| {
                    it.cuts = Cuts::even(items.len() as u64, size);
                    it.late = Some(Arc::clone(items));
                    it.took = OnceLock::new();
                });
            }
            Event::ShardsStarted { node, first, count } => {
                self.edit_shards(*node, |it| it.begun = it.begun.max(first.saturating_add(*count)));
            }
            Event::ShardRecalled { node, shard, result } => {
                self.edit_shards(*node, |it| {
                    it.recalled += 1;
                    it.begin(*shard);
                });
                self.edit(*node, |node| {
                    node.shards.done += 1;
                    super::fold::keep(node, result);
                });
            }
            Event::StageSealed { node, root } => self.edit_shards(*node, |it| it.root = Some(*root)),
            Event::ShardsReopened { node } => self.open_again(*node, false, ReopenReason::Ordered),
            Event::ShardFinished { attempt, outcome, .. } => {
                let is_failure = !matches!(outcome, Outcome::Success | Outcome::Cancelled);
                self.edit_shards(attempt.node, |it| {
                    if !is_failure {
                        it.failed.remove(&attempt.shard);
                    } else if it.failed.len() < MAX_FAILED {
                        it.failed.insert(attempt.shard, Failure { at, outcome: outcome.clone() });
                    }
                });
            }
            Event::ShardRetried { attempt } => self.edit_shards(attempt.node, |it| {
                it.failed.remove(&attempt.shard);
                it.begin(attempt.shard);
            }),
            _ => self.record_of_crews(at, event),
        }
    }

    /// Changes what is known of a stage's shards.
    pub(super) fn edit_sharded(&mut self, ix: NodeIx, change: impl FnOnce(&mut Sharded)) {
        if let Some(sharded) = &mut self.nodes[ix].sharded {
            change(sharded);
        }
    }

    fn edit_shards(&mut self, ix: NodeIx, change: impl FnOnce(&mut Sharded)) {
        let node = &mut self.nodes[ix];
        if let Some(sharded) = &mut node.sharded {
            change(sharded);
            node.shards.all = sharded.cuts.shards();
        }
    }

    /// Whether a stage is written with the numbers of its shards.
    pub fn is_sharded(&self, ix: NodeIx) -> bool {
        self.graph().nodes.get(ix).is_some_and(|node| node.rules.split.is_some() || node.rules.shards != 1)
    }

    /// Whether workers do its items, one line each.
    pub fn is_crewed(&self, ix: NodeIx) -> bool {
        self.graph()
            .nodes
            .get(ix)
            .and_then(|node| node.rules.split.as_ref())
            .is_some_and(|it| it.in_flight.is_some())
    }

    /// The first items of a shard, and how many there are; none of a stage without items.
    pub fn items(&self, ix: NodeIx, shard: u32) -> Option<(Vec<String>, u64)> {
        let sharded = self.get(ix).sharded.as_ref()?;
        let range = sharded.cuts.range(shard);
        let count = range.end - range.start;
        let first = range.start..range.end.min(range.start + MAX_NAMED as u64);
        let slice = Slice { range: first, shards: sharded.cuts.shards(), late: sharded.late.clone() };
        let short = |text: &str| match text.char_indices().nth(MAX_ITEM) {
            Some((at, _)) => format!("{}…", &text[..at]),
            None => text.to_owned(),
        };
        let items = self.node(ix).items()?;
        Some((items.texts(&slice).map(|item| short(&item)).collect(), count))
    }

    /// The items of a shard in words: `item a.txt`, `300 items: a.txt, b.txt, c.txt, …`.
    pub fn items_words(&self, ix: NodeIx, shard: u32) -> String {
        let Some((first, count)) = self.items(ix, shard) else { return String::new() };
        let more = if count > first.len() as u64 { ", …" } else { "" };
        let noun = if count == 1 { "item".to_owned() } else { format!("{count} items:") };
        format!("{noun} {}{more}", first.join(", "))
    }
}
