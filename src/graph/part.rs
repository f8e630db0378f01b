//! One of several parts of a plan's sharded stages, each worked on by an engine of its own.
//!
//! The shards are dealt out before anything starts, the longest first, each to the part that has least to do so far. Of a
//! stage that finds its size while it runs each part gets items in a row, which it cuts for itself. Who has which is
//! recorded with the run, so that it resumes as it began, and so that the parts can be joined.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::model::{Graph, Items, Phase, Work};
use super::shards::Cuts;
use crate::base::NodeIx;

/// A part, and what it takes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Part {
    /// Which one, from 1.
    pub index: u32,
    /// Of how many.
    pub of: u32,
    /// By stage: its shards in this part, rising.
    pub takes: BTreeMap<String, Vec<u32>>,
    /// By stage that finds its size while it runs: its items in this part.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub spans: BTreeMap<String, Range<u64>>,
}

/// How long things take, in any unit: equal numbers if nobody knows.
pub trait Weights {
    /// A shard of a stage whose shards all have one size.
    fn shard(&self, node: NodeIx, shard: u32) -> u64;

    /// All items of a stage before any of them, by its number: it never falls as that rises. Asked for once for a stage.
    fn items_before(&self, node: NodeIx) -> Box<dyn Fn(u64) -> u64 + '_>;
}

/// Every shard, and every item, takes as long as any other.
pub struct Even;

impl Weights for Even {
    fn shard(&self, _: NodeIx, _: u32) -> u64 {
        1
    }

    fn items_before(&self, _: NodeIx) -> Box<dyn Fn(u64) -> u64 + '_> {
        Box::new(|item| item)
    }
}

impl Part {
    /// Reads `3/12`.
    pub fn parse(text: &str) -> Option<(u32, u32)> {
        let (index, of) = text.split_once('/')?;
        let (index, of) = (index.parse().ok()?, of.parse().ok()?);
        (1..=of).contains(&index).then_some((index, of))
    }

    /// Whether it works on items of this stage.
    pub fn has(&self, stage: &str) -> bool {
        self.takes.contains_key(stage) || self.spans.contains_key(stage)
    }
}

impl Graph {
    /// Deals the shards of every sharded stage out to parts, and tells what part `index` of `of` gets. With equal weights
    /// every part gets as many shards, or items, to within one.
    ///
    /// # Errors
    /// Says which stage cannot be worked on in parts, and why.
    pub fn deal(&self, (index, of): (u32, u32), weights: &dyn Weights) -> Result<Part, String> {
        let sharded: Vec<NodeIx> =
            self.nodes.pairs().filter(|(_, node)| is_sharded(node)).map(|it| it.0).collect();
        if sharded.is_empty() {
            let is_behind =
                |node: &super::model::Node| node.selected && node.phase == Phase::Background && has_items(node);
            return Err(match self.nodes.iter().find(|node| is_behind(node)) {
                Some(node) => {
                    format!("`{}` is background work, which follows the verdict of the joined run", node.id)
                }
                None => "the plan has no sharded stage, so there is nothing to work on in parts".to_owned(),
            });
        }
        let (mut takes, mut spans) = (BTreeMap::new(), BTreeMap::new());
        for node in sharded {
            let it = &self.nodes[node];
            let split = it.rules.split.as_deref();
            if split.is_some_and(|split| split.is_late) {
                return Err(format!("what `{}` works on is only known while the plan runs", it.id));
            }
            if let Some(split) = split.filter(|split| split.is_dynamic()) {
                let before = weights.items_before(node);
                let from = edge(split.items, index - 1, of, &before);
                spans.insert(it.id.to_string(), from..edge(split.items, index, of, &before));
            } else {
                let shards = (0..it.rules.shards).map(|shard| (weights.shard(node, shard), shard)).collect();
                takes.insert(it.id.to_string(), dealt(shards, index, of));
            }
        }
        let part = Part { index, of, takes, spans };
        let mut trial = self.clone();
        trial.take_part(&part);
        if let Some(node) = trial.nodes.iter().find(|node| node.selected && node.cell.is_some()) {
            let matrix = &self.matrices[node.cell.expect("it was just seen").matrix as usize];
            return Err(format!("which cells `{}` has is only known while the plan runs", matrix.id));
        }
        let twice = trial.nodes.iter().find(|node| node.selected && !node.rules.idempotent);
        match twice {
            Some(node) if !part.has(&node.id) => {
                Err(format!("`{}` is not idempotent, and every part would run it", node.id))
            }
            Some(node) => Err(format!("`{}` is not idempotent, so it cannot be joined after a failure", node.id)),
            None => Ok(part),
        }
    }

    /// Leaves in the graph what a part works on: its shards, and what sharded stages need. All else is for the run that
    /// joins the parts, its clean-up too.
    pub fn take_part(&mut self, part: &Part) {
        self.settings.is_part = true;
        let mut is_in: Vec<bool> = self.nodes.iter().map(|node| part.has(&node.id)).collect();
        for at in (0..self.order.len()).rev() {
            let node = self.order[at];
            if is_in[node.raw() as usize] {
                self.nodes[node].needs.iter().for_each(|need| is_in[need.node.raw() as usize] = true);
            }
        }
        for ix in self.nodes.indexes() {
            let node = &mut self.nodes[ix];
            node.selected &= is_in[ix.raw() as usize] && node.phase == Phase::Main;
            let Work::Process(process) = &mut node.work else { continue };
            let cuts = Cuts::even(process.items.count(), process.items.size());
            let taken = |shards: &Vec<u32>| shards.iter().map(|&shard| cuts.range(shard)).collect::<Vec<_>>();
            let shards = part.takes.get(&*node.id).map(taken);
            let Some(ranges) = shards.or_else(|| Some(vec![part.spans.get(&*node.id)?.clone()])) else { continue };
            process.items = process.items.only(&ranges);
            node.rules.shards = u32::try_from(process.items.shard_count()).expect("no more than before");
            if let Some(split) = &mut node.rules.split {
                split.items = process.items.count();
            }
        }
    }
}

/// Whether a stage that is to run works on items.
fn is_sharded(node: &super::model::Node) -> bool {
    node.selected && node.phase == Phase::Main && has_items(node)
}

fn has_items(node: &super::model::Node) -> bool {
    node.items().is_some_and(|items| *items != Items::None)
}

/// The longest first, each to the part with the least so far, then to the one with the fewest.
fn dealt(mut shards: Vec<(u64, u32)>, index: u32, of: u32) -> Vec<u32> {
    shards.sort_unstable_by_key(|&(weight, shard)| (Reverse(weight), shard));
    let mut loads: BinaryHeap<Reverse<(u64, u32, u32)>> = (1..=of).map(|part| Reverse((0, 0, part))).collect();
    let mut mine = Vec::new();
    for (weight, shard) in shards {
        let Reverse((load, count, part)) = loads.pop().expect("there is at least one part");
        loads.push(Reverse((load.saturating_add(weight), count + 1, part)));
        if part == index {
            mine.push(shard);
        }
    }
    // The last shard may be smaller than the others, so it has to stay the last.
    mine.sort_unstable();
    mine
}

/// The first item behind part `index`, when `of` parts take what stands in a row: so many items that they weigh the
/// part's share of all of them, or just more.
fn edge(items: u64, index: u32, of: u32, before: &dyn Fn(u64) -> u64) -> u64 {
    let share = u128::from(before(items)) * u128::from(index);
    let (mut low, mut high) = (0, items);
    while low < high {
        let middle = low.midpoint(high);
        if u128::from(before(middle)) * u128::from(of) < share {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    // Items behind the last edge that take no time belong to the last part.
    if index == of { items } else { low }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_part_is_one_of_so_many() {
        assert_eq!(Part::parse("3/12"), Some((3, 12)));
        for wrong in ["0/3", "4/3", "3", "/", "1/0", "a/b", "1/2/3", "-1/2", ""] {
            assert_eq!(Part::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        /// Every shard is in exactly one part; with equal weights the counts differ by at most one.
        #[test]
        fn parts_cover_all_and_share_nothing(weights in prop::collection::vec(0u64..50, 0..200), of in 1u32..12) {
            let shards: Vec<(u64, u32)> = weights.iter().copied().zip(0..).collect();
            let parts: Vec<Vec<u32>> = (1..=of).map(|index| dealt(shards.clone(), index, of)).collect();
            let mut all: Vec<u32> = parts.concat();
            all.sort_unstable();
            let every: Vec<u32> = shards.iter().map(|it| it.1).collect();
            prop_assert_eq!(all, every);
            let equal: Vec<(u64, u32)> = shards.iter().map(|&(_, shard)| (1, shard)).collect();
            let counts: Vec<usize> = (1..=of).map(|index| dealt(equal.clone(), index, of).len()).collect();
            prop_assert!(counts.iter().max().unwrap_or(&0) - counts.iter().min().unwrap_or(&0) <= 1);
        }
    }

    proptest! {
        /// Spans stand one behind the other and cover all; none weighs more than its share and the item at its end.
        #[test]
        fn spans_cover_all_and_weigh_their_share(weights in prop::collection::vec(0u64..50, 0..200), of in 1u32..12) {
            let before = |item: u64| weights.iter().take(usize::try_from(item).expect("few")).sum::<u64>();
            let items = weights.len() as u64;
            let edges: Vec<u64> = (0..=of).map(|index| edge(items, index, of, &before)).collect();
            prop_assert_eq!((edges[0], edges[of as usize]), (0, items));
            let all = before(items);
            for span in edges.windows(2) {
                prop_assert!(span[0] <= span[1], "{:?}", edges);
                let most = all.div_ceil(u64::from(of)) + weights.iter().max().copied().unwrap_or(0);
                prop_assert!(before(span[1]) - before(span[0]) <= most, "{:?}", edges);
            }
        }
    }

    #[test]
    fn with_equal_weights_spans_are_as_long_to_within_one() {
        for (items, of) in [(10, 3), (7, 7), (3, 5), (0, 4), (1_000_000, 12)] {
            let at = |index| edge(items, index, of, &|item| item);
            let lengths: Vec<u64> = (0..of).map(|index| at(index + 1) - at(index)).collect();
            let (least, most) = (lengths.iter().min().expect("one"), lengths.iter().max().expect("one"));
            assert!(most - least <= 1 && lengths.iter().sum::<u64>() == items, "{lengths:?}");
        }
    }

    /// Heavy-tailed items: in 95 of 100 cases the longest of eight parts is at least a quarter shorter than with equal
    /// counts in order.
    #[test]
    fn known_weights_beat_equal_counts() {
        const ITEMS: u32 = 1000;
        let mut seed = 7_u64;
        let (mut ours, mut plain) = (Vec::new(), Vec::new());
        for _ in 0..60 {
            let weights: Vec<(u64, u32)> = (0..ITEMS)
                .map(|shard| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let share = (seed >> 33) % 1000 + 1;
                    (100 * 1000 / share, shard)
                })
                .collect();
            let load = |shards: &[u32]| shards.iter().map(|&at| weights[at as usize].0).sum::<u64>();
            ours.push((1..=8).map(|index| load(&dealt(weights.clone(), index, 8))).max().expect("eight"));
            let in_order: Vec<u32> = (0..ITEMS).collect();
            plain.push(in_order.chunks(ITEMS as usize / 8).map(load).max().expect("eight"));
        }
        let p95 = |mut spans: Vec<u64>| {
            spans.sort_unstable();
            spans[(spans.len() * 95).div_ceil(100) - 1]
        };
        let (ours, plain) = (p95(ours), p95(plain));
        assert!(ours * 100 <= plain * 75, "{ours} beside {plain}");
    }
}
