//! What could start, in the order in which it should, and the pools that bound it.
//!
//! Nodes with the same pools and weights are one *class*. A class stands either among the candidates, or is
//! parked at one pool that has no room for it. So the next start is the first candidate, and neither a start
//! nor an end looks at more than the classes that it concerns.
//!
//! **Order.** Longest way to the end first, then plan order; within a stage re-tries before fresh shards.
//!
//! **No overtaking.** A pool serves the classes parked at it in that order, and nothing of lower order takes
//! from a pool at which something of higher order is parked. So a heavy stage that waits for three of four
//! units gets them when enough have come back: light ones behind it can't keep them from it.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{IdVec, NodeIx, PoolIx};
use crate::graph::Graph;

/// What would start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Slot {
    /// The question to the cache.
    Cache,
    /// `done-if` of a shard.
    Ask(u32),
    /// A later attempt of a shard.
    Again(u32),
    /// Fresh shards, from the node's cursor on.
    Fresh,
}

/// Something ready; orders by what should start first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Entry {
    /// The largest number less the critical-path weight.
    urgency: u64,
    /// The stage.
    pub(super) node: NodeIx,
    /// What of it.
    pub(super) slot: Slot,
}

/// Number of a class.
pub(super) type ClassIx = u32;

/// The class without pools: number 0.
const FREE: ClassIx = 0;

#[derive(Clone, PartialEq, Debug)]
enum Lot {
    Nowhere,
    Candidate(Entry),
    Parked(PoolIx, Entry),
}

#[derive(Clone, PartialEq, Debug)]
struct Class {
    pools: Vec<(PoolIx, u32)>,
    ready: BTreeSet<Entry>,
    lot: Lot,
}

#[derive(Clone, PartialEq, Debug)]
struct PoolState {
    capacity: u32,
    used: u32,
    parked: BTreeSet<(Entry, ClassIx)>,
}

/// Ready sets of all classes.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Ready {
    classes: Vec<Class>,
    class_of: IdVec<NodeIx, ClassIx>,
    urgency: IdVec<NodeIx, u64>,
    candidates: BTreeSet<(Entry, ClassIx)>,
    pools: IdVec<PoolIx, PoolState>,
    /// What would start of stages that are held back for now, whatever their pools say.
    held: BTreeMap<NodeIx, BTreeSet<Entry>>,
}

impl Ready {
    /// Nothing ready, nothing used.
    pub(super) fn new(graph: &Graph) -> Self {
        let mut classes = vec![Class { pools: Vec::new(), ready: BTreeSet::new(), lot: Lot::Nowhere }];
        let mut known = BTreeMap::from([(Vec::new(), FREE)]);
        let class_of = graph.nodes.iter().map(|node| {
            let pools = weights(graph, &node.rules.pools);
            *known.entry(pools).or_insert_with_key(|pools| {
                classes.push(Class { pools: pools.clone(), ready: BTreeSet::new(), lot: Lot::Nowhere });
                ClassIx::try_from(classes.len() - 1).expect("there are no more classes than nodes")
            })
        });
        let class_of = class_of.collect();
        let urgency = graph.nodes.indexes().map(|node| u64::MAX - graph.priority(node)).collect();
        let pool = |capacity: u32| PoolState { capacity: capacity.max(1), used: 0, parked: BTreeSet::new() };
        let pools = graph.pools.iter().map(|it| pool(it.capacity)).collect();
        Self { classes, class_of, urgency, candidates: BTreeSet::new(), pools, held: BTreeMap::new() }
    }

    fn entry(&self, node: NodeIx, slot: Slot) -> Entry {
        Entry { urgency: self.urgency[node], node, slot }
    }

    /// Questions take no pool, so that they never wait for one.
    fn class(&self, node: NodeIx, slot: Slot) -> ClassIx {
        match slot {
            Slot::Cache | Slot::Ask(_) => FREE,
            Slot::Again(_) | Slot::Fresh => self.class_of[node],
        }
    }

    /// Makes `slot` of `node` ready.
    pub(super) fn add(&mut self, node: NodeIx, slot: Slot) {
        let class = self.class(node, slot);
        let entry = self.entry(node, slot);
        if let (Slot::Again(_) | Slot::Fresh, Some(held)) = (slot, self.held.get_mut(&node)) {
            held.insert(entry);
            return;
        }
        self.classes[class as usize].ready.insert(entry);
        self.place(class);
        self.settle();
    }

    /// `slot` of `node` is not ready any more, or has started.
    pub(super) fn remove(&mut self, node: NodeIx, slot: Slot) {
        let class = self.class(node, slot);
        let entry = self.entry(node, slot);
        if let Some(held) = self.held.get_mut(&node) {
            held.remove(&entry);
        }
        if self.classes[class as usize].ready.remove(&entry) {
            self.place(class);
            self.settle();
        }
    }

    /// Holds back all starts of `node`, but no questions.
    pub(super) fn hold(&mut self, node: NodeIx) {
        if self.held.contains_key(&node) {
            return;
        }
        let class = self.class_of[node];
        let (from, to) = (self.entry(node, Slot::Again(0)), self.entry(node, Slot::Fresh));
        let ready = &mut self.classes[class as usize].ready;
        let entries: BTreeSet<Entry> = ready.range(from..=to).copied().collect();
        for entry in &entries {
            ready.remove(entry);
        }
        self.held.insert(node, entries);
        self.place(class);
        self.settle();
    }

    /// Lets go of `node`.
    pub(super) fn free(&mut self, node: NodeIx) {
        for entry in self.held.remove(&node).unwrap_or_default() {
            self.add(node, entry.slot);
        }
    }

    /// What would start first of a stage that is held back, if its pools had room for it now.
    pub(super) fn held(&self, node: NodeIx) -> Option<Entry> {
        self.would_fit(node, self.held.get(&node)?.first()?.slot)
    }

    /// What starts first of a stage that is held back, whatever its pools say.
    pub(super) fn first_held(&self, node: NodeIx) -> Option<Slot> {
        self.held.get(&node)?.first().map(|entry| entry.slot)
    }

    /// `slot` of `node`, if its pools have room for it without overtaking anybody.
    pub(super) fn would_fit(&self, node: NodeIx, slot: Slot) -> Option<Entry> {
        let (entry, class) = (self.entry(node, slot), self.class_of[node]);
        let mut pools = self.classes[class as usize].pools.iter();
        pools.all(|&(pool, weight)| self.is_open(pool, weight, entry, class)).then_some(entry)
    }

    /// What should start first, if anything can.
    pub(super) fn first(&self) -> Option<Entry> {
        self.candidates.first().map(|&(entry, _)| entry)
    }

    /// How many attempts of `node` its pools have room for, counting nobody who waits.
    pub(super) fn room(&self, node: NodeIx) -> u32 {
        let class = &self.classes[self.class_of[node] as usize];
        let room = |&(pool, weight): &(PoolIx, u32)| {
            (self.pools[pool].capacity - self.pools[pool].used).checked_div(weight).unwrap_or(u32::MAX)
        };
        class.pools.iter().map(room).min().unwrap_or(u32::MAX)
    }

    /// Whether another attempt of `node` could start now without overtaking anybody.
    pub(super) fn fits_again(&self, node: NodeIx, shard: u32) -> bool {
        !self.held.contains_key(&node) && self.would_fit(node, Slot::Again(shard)).is_some()
    }

    /// `count` attempts of `node` have started.
    pub(super) fn take(&mut self, node: NodeIx, count: u32) {
        let class = self.class_of[node] as usize;
        for at in 0..self.classes[class].pools.len() {
            let (pool, weight) = self.classes[class].pools[at];
            self.pools[pool].used += weight * count;
            self.wake(pool);
        }
        self.settle();
    }

    /// An attempt of `node` has ended.
    pub(super) fn give(&mut self, node: NodeIx) {
        let class = self.class_of[node] as usize;
        for at in 0..self.classes[class].pools.len() {
            let (pool, weight) = self.classes[class].pools[at];
            let used = &mut self.pools[pool].used;
            *used = used.checked_sub(weight).expect("what is given back was taken before");
            self.wake(pool);
        }
        self.settle();
    }

    /// Units of `pool` in use.
    pub(super) fn used(&self, pool: PoolIx) -> u32 {
        self.pools[pool].used
    }

    fn is_open(&self, pool: PoolIx, weight: u32, entry: Entry, class: ClassIx) -> bool {
        let pool = &self.pools[pool];
        pool.used + weight <= pool.capacity && pool.parked.first().is_none_or(|first| *first >= (entry, class))
    }

    /// Puts a class where its first entry belongs, keeping it parked where it was parked.
    fn place(&mut self, class: ClassIx) {
        let it = &mut self.classes[class as usize];
        let first = it.ready.first().copied();
        let old = std::mem::replace(&mut it.lot, Lot::Nowhere);
        it.lot = match (&old, first) {
            (_, None) => Lot::Nowhere,
            (Lot::Parked(pool, _), Some(entry)) => Lot::Parked(*pool, entry),
            (_, Some(entry)) => Lot::Candidate(entry),
        };
        if it.lot == old {
            return;
        }
        let new = it.lot.clone();
        match old {
            Lot::Nowhere => {}
            Lot::Candidate(entry) => {
                self.candidates.remove(&(entry, class));
            }
            Lot::Parked(pool, entry) => {
                self.pools[pool].parked.remove(&(entry, class));
            }
        }
        match new {
            Lot::Nowhere => self.wake_all(class),
            Lot::Candidate(entry) => {
                self.candidates.insert((entry, class));
                self.wake_all(class);
            }
            Lot::Parked(pool, entry) => {
                self.pools[pool].parked.insert((entry, class));
                self.wake(pool);
            }
        }
    }

    /// Parks first candidates that can't start, until one can.
    fn settle(&mut self) {
        while let Some(&(entry, class)) = self.candidates.first() {
            let pools = &self.classes[class as usize].pools;
            let closed = pools.iter().find(|&&(pool, weight)| !self.is_open(pool, weight, entry, class));
            let Some(&(pool, _)) = closed else { return };
            self.candidates.remove(&(entry, class));
            self.classes[class as usize].lot = Lot::Parked(pool, entry);
            self.pools[pool].parked.insert((entry, class));
            self.wake_all(class);
        }
    }

    fn wake_all(&mut self, class: ClassIx) {
        for at in 0..self.classes[class as usize].pools.len() {
            self.wake(self.classes[class as usize].pools[at].0);
        }
    }

    /// Makes the first class parked at `pool` a candidate again, if the pool has room for it. One at a time:
    /// its start, or its going elsewhere, wakes the next.
    fn wake(&mut self, pool: PoolIx) {
        let Some(&(entry, class)) = self.pools[pool].parked.first() else { return };
        let wants = self.classes[class as usize].pools.iter().find(|it| it.0 == pool);
        let weight = wants.expect("a class is parked at one of its own pools").1;
        if self.pools[pool].used + weight <= self.pools[pool].capacity {
            self.pools[pool].parked.remove(&(entry, class));
            self.classes[class as usize].lot = Lot::Candidate(entry);
            self.candidates.insert((entry, class));
        }
    }
}

/// Weights by pool: a pool named twice counts twice, and no weight is larger than its pool.
fn weights(graph: &Graph, named: &[(PoolIx, u32)]) -> Vec<(PoolIx, u32)> {
    let mut sums = BTreeMap::new();
    for &(pool, weight) in named {
        *sums.entry(pool).or_insert(0_u32) += weight;
    }
    let clamp = |(pool, weight): (PoolIx, u32)| (pool, weight.min(graph.pools[pool].capacity.max(1)));
    sums.into_iter().map(clamp).filter(|&(_, weight)| weight > 0).collect()
}
