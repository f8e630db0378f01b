//! Shards of all nodes: two bytes each in columns, and a small table of those that need more.

use std::collections::BTreeMap;

use super::cut::Column;
use super::event::{CheckKind, Outcome};
use super::numbers::Spent;
use crate::base::{IdVec, Millis, NodeIx, Span};
use crate::graph::Graph;
use crate::graph::model::Split;

/// A shard of a node.
pub(super) type Key = (NodeIx, u32);

/// Where a shard stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Phase {
    /// Not started in this run.
    Fresh,
    /// An attempt runs.
    Running,
    /// Between attempts: a delay, a question, or its turn.
    Between,
    /// Done.
    Success,
    /// Failed for good.
    Failed,
    /// Stopped before its end.
    Cancelled,
    /// Nobody knows what its last attempt did.
    Unknown,
}

/// What a shard between attempts waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// Its failure is to be followed by a re-try, which is not scheduled yet.
    Judged,
    /// The moment of its next attempt.
    Delayed(Millis),
    /// Its turn.
    Ready,
    /// Its turn to ask whether it is done.
    Suspect,
    /// An answer, at the latest then.
    Checking(CheckKind, Millis),
}

/// A shard between attempts.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Between {
    /// What it waits for.
    pub(super) step: Step,
    /// How its last attempt failed; none when that was lost or the shard was reopened.
    pub(super) failure: Option<Outcome>,
}

/// What only few shards need.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Extra {
    /// The attempt's number, where a byte is too small.
    wide: u16,
    /// Attempts that don't count for the retry budget: lost ones and those of earlier generations.
    spare: u16,
    /// When its first attempt started, for `retry.within`.
    first: Option<Millis>,
}

/// All shards of a run.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Shards {
    offsets: Vec<usize>,
    phase: Vec<Phase>,
    number: Vec<u8>,
    extra: BTreeMap<Key, Extra>,
    /// Stages whose cut is found while they run; they have no place in the columns above.
    columns: BTreeMap<NodeIx, Column>,
    /// Numbers of attempts that are used up and in no column.
    pub(super) spent: Spent,
    /// Shards between attempts.
    pub(super) between: BTreeMap<Key, Between>,
}

impl Shards {
    /// All fresh.
    pub(super) fn new(graph: &Graph) -> Self {
        Self::with(graph, BTreeMap::new())
    }

    /// All fresh, but that these stages are cut in a way of their own.
    pub(super) fn with(graph: &Graph, mut kept: BTreeMap<NodeIx, Column>) -> Self {
        let mut offsets = Vec::with_capacity(graph.nodes.len() + 1);
        let mut total = 0_usize;
        let mut columns = BTreeMap::new();
        for (ix, node) in graph.nodes.pairs() {
            offsets.push(total);
            let split = node.rules.split.as_ref().filter(|split| split.is_dynamic());
            match kept.remove(&ix).or_else(|| split.map(|split| Column::new(split))) {
                Some(column) => drop(columns.insert(ix, column)),
                None => total += node.rules.shards as usize,
            }
        }
        offsets.push(total);
        let (phase, number) = (vec![Phase::Fresh; total], vec![0; total]);
        let (extra, between, spent) = (BTreeMap::new(), BTreeMap::new(), Spent::default());
        Self { offsets, phase, number, extra, columns, spent, between }
    }

    fn at(&self, (node, shard): Key) -> usize {
        self.offsets[node.raw() as usize] + shard as usize
    }

    /// A stage whose cut is found while it runs.
    pub(super) fn column(&self, node: NodeIx) -> Option<&Column> {
        let at = node.raw() as usize;
        if self.offsets[at] == self.offsets[at + 1] { self.columns.get(&node) } else { None }
    }

    /// As [`Self::column`], to change.
    pub(super) fn column_mut(&mut self, node: NodeIx) -> Option<&mut Column> {
        let at = node.raw() as usize;
        if self.offsets[at] == self.offsets[at + 1] { self.columns.get_mut(&node) } else { None }
    }

    /// Shards of a node that have a place in its column.
    pub(super) fn room(&self, node: NodeIx) -> usize {
        let at = node.raw() as usize;
        self.column(node).map_or_else(|| self.offsets[at + 1] - self.offsets[at], Column::room)
    }

    /// Where a shard stands.
    pub(super) fn phase(&self, key: Key) -> Phase {
        match self.column(key.0) {
            Some(column) => column.phase(key.1),
            None => self.phase[self.at(key)],
        }
    }

    /// Phases of a node's shards; those behind the last are fresh.
    pub(super) fn phases(&self, node: NodeIx) -> &[Phase] {
        if let Some(column) = self.column(node) {
            return column.phases();
        }
        let at = node.raw() as usize;
        &self.phase[self.offsets[at]..self.offsets[at + 1]]
    }

    /// Moves a shard; one that leaves `Between` is forgotten there.
    pub(super) fn set(&mut self, key: Key, phase: Phase) {
        let old = self.phase(key);
        if old == Phase::Between && phase != Phase::Between {
            self.between.remove(&key);
        }
        match self.column_mut(key.0) {
            Some(column) => column.set(key.1, phase, column.number(key.1)),
            None => {
                let at = self.at(key);
                self.phase[at] = phase;
            }
        }
    }

    /// Puts a shard between attempts.
    pub(super) fn wait(&mut self, key: Key, step: Step, failure: Option<Outcome>) {
        self.set(key, Phase::Between);
        self.between.insert(key, Between { step, failure });
    }

    /// Whether a shard's `done-if` is still to be asked what its last attempt did.
    pub(super) fn is_suspect(&self, key: Key) -> bool {
        self.between.get(&key).is_some_and(|between| between.step == Step::Suspect)
    }

    /// Number of the last attempt; 0 when there was none.
    pub(super) fn number(&self, key: Key) -> u16 {
        let number = match self.column(key.0) {
            Some(column) => column.number(key.1),
            None => self.number[self.at(key)],
        };
        match number {
            0 => self.spent.of(key),
            u8::MAX => self.extra.get(&key).map_or(u16::from(u8::MAX), |extra| extra.wide),
            small => u16::from(small),
        }
    }

    /// Sets the number of the last attempt.
    pub(super) fn set_number(&mut self, key: Key, number: u16) {
        let small = u8::try_from(number).unwrap_or(u8::MAX);
        match self.column_mut(key.0) {
            Some(column) => column.set(key.1, column.phase(key.1), small),
            None => {
                let at = self.at(key);
                self.number[at] = small;
            }
        }
        if number >= u16::from(u8::MAX) {
            self.extra.entry(key).or_default().wide = number;
        }
    }

    /// Attempts that count for the retry budget.
    pub(super) fn used(&self, key: Key) -> u16 {
        let spare = self.extra.get(&key).map_or(0, |extra| extra.spare);
        self.number(key).saturating_sub(spare)
    }

    /// The last attempt does not count: it was lost.
    pub(super) fn forgive(&mut self, key: Key) {
        let extra = self.extra.entry(key).or_default();
        extra.spare += 1;
        extra.first = None;
    }

    /// No attempt so far counts: a new generation.
    pub(super) fn forgive_all(&mut self, key: Key) {
        let number = self.number(key);
        if number > 0 {
            let extra = self.extra.entry(key).or_default();
            extra.spare = number;
            extra.first = None;
        }
    }

    /// Keeps when a shard with `retry.within` started first, and tells it.
    pub(super) fn first_start(&mut self, key: Key, at: Millis) -> Millis {
        *self.extra.entry(key).or_default().first.get_or_insert(at)
    }

    /// Time without an engine counts for no shard's `retry.within`.
    pub(super) fn shift(&mut self, gap: Span) {
        for extra in self.extra.values_mut() {
            extra.first = extra.first.map(|first| first + gap);
        }
    }

    /// When a shard with `retry.within` started first.
    pub(super) fn first(&self, key: Key) -> Option<Millis> {
        self.extra.get(&key).and_then(|extra| extra.first)
    }

    /// The shards of a node that are between attempts.
    pub(super) fn between_of(&self, node: NodeIx) -> impl Iterator<Item = (u32, &Between)> {
        self.between.range((node, 0)..=(node, u32::MAX)).map(|(key, between)| (key.1, between))
    }

    /// Takes over how a node's items are cut in an earlier version of the plan that cuts them in the same way.
    pub(super) fn adopt_cuts(&mut self, to: NodeIx, old: &Self, from: NodeIx, split: &Split) {
        if let (Some(column), Some(was)) = (self.column_mut(to), old.column(from)) {
            *column = was.edited(split);
        }
    }

    /// Takes over only which attempts there have been: what the shards are now is still to come.
    fn adopt_numbers(&mut self, to: NodeIx, old: &Self, from: NodeIx) {
        for shard in 0..u32::try_from(old.phases(from).len()).expect("limits::MAX_SHARDS fits") {
            self.set((to, shard), Phase::Fresh);
            self.set_number((to, shard), old.number((from, shard)));
        }
    }

    /// Takes over what a node's shards are in an earlier version of the plan.
    pub(super) fn adopt(&mut self, to: NodeIx, old: &Self, from: NodeIx) {
        if self.column(to).is_some_and(Column::lacks_items) {
            return self.adopt_numbers(to, old, from);
        }
        let room = self.column(to).map_or_else(|| self.phases(to).len(), |column| column.cuts().shards() as usize);
        let count = room.min(old.phases(from).len());
        for shard in 0..u32::try_from(count).expect("limits::MAX_SHARDS fits") {
            let (key, was) = ((to, shard), (from, shard));
            self.set(key, old.phase(was));
            self.set_number(key, old.number(was));
        }
        let extras = old.extra.range((from, 0)..=(from, u32::MAX));
        for (&(_, shard), extra) in extras.filter(|(key, _)| (key.1 as usize) < count) {
            self.extra.insert((to, shard), *extra);
        }
        for (shard, between) in old.between_of(from).filter(|it| (it.0 as usize) < count) {
            self.between.insert((to, shard), between.clone());
        }
    }
}

/// An attempt that runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flight {
    /// Stage and shard.
    pub(super) key: Key,
    /// Its number.
    pub(super) number: u16,
    /// When it started.
    pub(super) started: Millis,
    /// How it was asked to stop, and why first.
    pub(super) stop: Option<(super::event::StopKind, super::event::StopReason)>,
    /// Its engine died.
    pub(super) is_orphan: bool,
    /// What happens to it next by itself, and when.
    pub(super) due: Option<(Millis, Due)>,
}

/// What the clock does to an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Due {
    /// One of its clocks runs out.
    Clock(super::event::Clock),
    /// Its grace period ends.
    Grace,
    /// It was killed long ago.
    Lost,
}

impl Flight {
    /// Which attempt.
    pub fn attempt(&self) -> super::event::Attempt {
        super::event::Attempt { node: self.key.0, shard: self.key.1, number: self.number }
    }

    /// When it started.
    pub fn started(&self) -> Millis {
        self.started
    }

    /// How it was asked to stop last, and why first.
    pub fn stop(&self) -> Option<(super::event::StopKind, super::event::StopReason)> {
        self.stop
    }
}

/// Attempts that run, ordered by stage and shard. At most `limits::MAX_PARALLEL`, so that moving the tail of a
/// vector is cheaper than a tree, and nothing is allocated for a start.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Flights(Vec<Flight>);

impl Flights {
    fn find(&self, key: Key) -> Result<usize, usize> {
        self.0.binary_search_by_key(&key, |flight| flight.key)
    }

    /// The attempt of a shard.
    pub(super) fn get(&self, key: Key) -> Option<&Flight> {
        self.find(key).ok().map(|at| &self.0[at])
    }

    /// The attempt of a shard, to change.
    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Flight> {
        self.find(key).ok().map(|at| &mut self.0[at])
    }

    /// Adds one.
    pub(super) fn insert(&mut self, flight: Flight) {
        match self.find(flight.key) {
            Ok(at) => self.0[at] = flight,
            Err(at) => self.0.insert(at, flight),
        }
    }

    /// Takes one out.
    pub(super) fn remove(&mut self, key: Key) -> Option<Flight> {
        self.find(key).ok().map(|at| self.0.remove(at))
    }

    /// Takes those of `count` shards in a row out.
    pub(super) fn remove_run(&mut self, (node, first): Key, count: u32) -> Vec<Flight> {
        let from = self.0.partition_point(|flight| flight.key < (node, first));
        let to = from + self.0[from..].partition_point(|flight| flight.key < (node, first + count));
        self.0.drain(from..to).collect()
    }

    /// All, in order.
    pub(super) fn all(&self) -> &[Flight] {
        &self.0
    }

    /// All, to change.
    pub(super) fn all_mut(&mut self) -> &mut [Flight] {
        &mut self.0
    }

    /// Those of one stage.
    pub(super) fn of(&self, node: NodeIx) -> &[Flight] {
        let from = self.0.partition_point(|flight| flight.key.0 < node);
        let to = self.0.partition_point(|flight| flight.key.0 <= node);
        &self.0[from..to]
    }

    /// The same attempts under new names; those without one vanish.
    pub(super) fn rename(self, name: impl Fn(NodeIx) -> Option<NodeIx>) -> Self {
        let rename = |flight: Flight| Some(Flight { key: (name(flight.key.0)?, flight.key.1), ..flight });
        let mut flights: Vec<Flight> = self.0.into_iter().filter_map(rename).collect();
        flights.sort_by_key(|flight| flight.key);
        Self(flights)
    }
}

/// A dense map by node.
pub(super) type PerNode<T> = IdVec<NodeIx, T>;
