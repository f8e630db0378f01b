//! Cuts: how the items of a stage that is sized as it runs are divided, and when what is left is divided anew.
//!
//! All of it follows from facts: what shards took is in their ends, and a cut is a fact itself. So replay gives the
//! same cuts, and a newer engine that would choose others keeps those that were made (law 4).

use std::ops::Range;
use std::sync::Arc;

use super::event::{CutReason, Event, Outcome};
use super::shards::{Key, Phase, Step};
use super::state::RunState;
use crate::base::{NodeIx, Span};
use crate::graph::model::Split;
use crate::graph::shards::{Cut, Cuts, Slice};

/// Shards whose durations are looked at: enough for a p95 that is not the largest of them.
const WINDOW: usize = 64;
/// Shards that must have ended before what is left is split, unless one ran into its timeout.
const FEW: u8 = 5;
/// Shards that must have ended before what is left is cut larger.
const ENOUGH: u8 = 8;
/// What is left is cut into shards of a fourth, or of four times as many items (HXO splits by four).
const FACTOR: u32 = 4;
/// Shards below this part of the target are too small: four times as many items then still leave half of it.
const SMALL: u64 = 8;
/// Shards below this part have room for twice as many items, which then leave a third of it. So where starting a process
/// takes most of a shard's time, shards grow until their items do.
const ROOMY: u64 = 3;
/// Shards that are still to come for each slot, at least, once shards have grown: so that none of the slots is left
/// with one large shard at the end while the others have nothing.
const ROUNDS: u64 = 2;

/// What the last shards of a cut took. Shards of earlier cuts tell nothing about this one.
#[derive(Clone, PartialEq, Debug)]
struct Gauge {
    /// In milliseconds.
    took: [u32; WINDOW],
    len: u8,
    next: u8,
    /// Those over the target.
    slow: u8,
    /// Those over an eighth of the target.
    large: u8,
    /// Those over a third of the target.
    full: u8,
    /// One ran into its timeout.
    has_timed_out: bool,
}

impl Gauge {
    const fn new() -> Self {
        Self { took: [0; WINDOW], len: 0, next: 0, slow: 0, large: 0, full: 0, has_timed_out: false }
    }

    fn add(&mut self, took: Span, target: Span) {
        let is_over = |ms: u32, part: u64| u8::from(u64::from(ms) > target.ms() / part);
        let ms = u32::try_from(took.ms()).unwrap_or(u32::MAX);
        let old = std::mem::replace(&mut self.took[usize::from(self.next)], ms);
        if usize::from(self.len) == WINDOW {
            self.slow -= is_over(old, 1);
            self.large -= is_over(old, SMALL);
            self.full -= is_over(old, ROOMY);
        } else {
            self.len += 1;
        }
        self.next = (self.next + 1) % u8::try_from(WINDOW).expect("a small window");
        self.slow += is_over(ms, 1);
        self.large += is_over(ms, SMALL);
        self.full += is_over(ms, ROOMY);
    }

    /// The same durations against another target.
    fn against(&self, target: Span) -> Self {
        let mut gauge = Self { has_timed_out: self.has_timed_out, ..Self::new() };
        let len = usize::from(self.len);
        let oldest = if len == WINDOW { usize::from(self.next) } else { 0 };
        for at in 0..len {
            gauge.add(Span::from_ms(u64::from(self.took[(oldest + at) % WINDOW])), target);
        }
        gauge
    }

    /// How many may lie above the 95th percentile, by nearest rank.
    const fn spare(&self) -> u8 {
        self.len / 20
    }

    /// Whether the p95 is over the target.
    const fn is_slow(&self) -> bool {
        self.slow > self.spare() && (self.len >= FEW || self.has_timed_out)
    }

    /// How many times as many items a shard may have: none when the p95 is not far below the target.
    const fn growth(&self) -> Option<u32> {
        if self.len < ENOUGH || self.full > self.spare() {
            return None;
        }
        Some(if self.large > self.spare() { FACTOR / 2 } else { FACTOR })
    }

    /// The 95th percentile by nearest rank; zero of none.
    fn p95(&self) -> Span {
        let mut sorted = self.took[..usize::from(self.len)].to_vec();
        sorted.sort_unstable();
        let at = sorted.len().checked_sub(usize::from(self.spare()) + 1);
        Span::from_ms(at.map_or(0, |at| u64::from(sorted[at])))
    }
}

/// The shards of a stage whose cut is found while it runs.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Column {
    /// Those that have started, at least.
    phase: Vec<Phase>,
    number: Vec<u8>,
    cuts: Cuts,
    /// Whether a cut has been recorded.
    is_cut: bool,
    /// The items, once an earlier stage has given them.
    late: Option<Arc<Vec<Box<str>>>>,
    is_late: bool,
    gauge: Gauge,
    /// Shards of one item that took longer than the target: nothing can be split there.
    pub(super) stubborn: u32,
}

impl Column {
    /// Nothing has started.
    pub(super) fn new(split: &Split) -> Self {
        Self {
            phase: Vec::new(),
            number: Vec::new(),
            cuts: Cuts::even(split.items, split.size),
            is_cut: false,
            late: None,
            is_late: split.is_late,
            gauge: Gauge::new(),
            stubborn: 0,
        }
    }

    /// Of a stage that has begun under an earlier text, and goes on from `cut` by that of `split`. `late` are its items,
    /// if an earlier stage gave them or is to give them now.
    pub(super) fn kept(split: &Split, cuts: &Cuts, cut: Cut, late: Option<Arc<Vec<Box<str>>>>) -> Self {
        let items = late.as_ref().map_or(split.items, |items| items.len() as u64);
        Self { cuts: cuts.up_to(cut, items), late, ..Self::new(split) }
    }

    /// The same stage by an edited text that cuts it in the same way.
    pub(super) fn edited(&self, split: &Split) -> Self {
        let gauge = split.target.map_or_else(Gauge::new, |target| self.gauge.against(target));
        Self { gauge, ..self.clone() }
    }

    pub(super) fn phase(&self, shard: u32) -> Phase {
        self.phase.get(shard as usize).copied().unwrap_or(Phase::Fresh)
    }

    /// Phases of the shards that have started; all others are fresh.
    pub(super) fn phases(&self) -> &[Phase] {
        &self.phase[..self.phase.len().min(self.cuts.shards() as usize)]
    }

    /// Shards that have started, or had before the items came anew.
    pub(super) const fn room(&self) -> usize {
        self.number.len()
    }

    pub(super) fn number(&self, shard: u32) -> u8 {
        self.number.get(shard as usize).copied().unwrap_or(0)
    }

    pub(super) fn set(&mut self, shard: u32, phase: Phase, number: u8) {
        let at = shard as usize;
        if at >= self.phase.len() {
            self.phase.resize(at + 1, Phase::Fresh);
            self.number.resize(at + 1, 0);
        }
        (self.phase[at], self.number[at]) = (phase, number);
    }

    pub(super) const fn cuts(&self) -> &Cuts {
        &self.cuts
    }

    /// Whether the items are still to come.
    pub(super) const fn lacks_items(&self) -> bool {
        self.is_late && self.late.is_none()
    }

    /// The items are to come anew; numbers of attempts stay used.
    pub(super) fn forget_items(&mut self) {
        if self.is_late {
            (self.late, self.is_cut) = (None, false);
        }
    }
}

impl RunState {
    /// Shards of `node`, as far as it is cut.
    pub fn shards_of(&self, node: NodeIx) -> u32 {
        let total = |column: &Column| column.cuts.shards();
        self.shards.column(node).map_or_else(|| self.node(node).rules.shards, total)
    }

    /// The items of a shard; none of an unsharded stage.
    pub fn slice(&self, node: NodeIx, shard: u32) -> Option<Slice> {
        let split = self.node(node).rules.split.as_ref()?;
        Some(match self.shards.column(node) {
            Some(column) => {
                Slice { range: column.cuts.range(shard), shards: column.cuts.shards(), late: column.late.clone() }
            }
            None => {
                let cuts = Cuts::even(split.items, split.size);
                Slice { range: cuts.range(shard), shards: cuts.shards(), late: None }
            }
        })
    }

    /// How the items of a sharded stage are cut, so far.
    pub fn cuts(&self, node: NodeIx) -> Option<Cuts> {
        let split = self.node(node).rules.split.as_ref()?;
        let even = || Cuts::even(split.items, split.size);
        Some(self.shards.column(node).map_or_else(even, |column| column.cuts.clone()))
    }

    /// What the p95 of the last shards of the cut is, of a stage that has a target.
    pub fn p95(&self, node: NodeIx) -> Option<Span> {
        self.shards.column(node).filter(|column| column.gauge.len > 0).map(|column| column.gauge.p95())
    }

    pub(super) fn range(&self, (node, shard): Key) -> Range<u64> {
        self.slice(node, shard).map_or(0..1, |slice| slice.range)
    }

    /// The cut that must be made before the next fresh shard of `node` starts, if any.
    pub(super) fn next_cut(&self, node: NodeIx) -> Option<Event> {
        let split = self.node(node).rules.split.as_ref()?;
        let column = self.shards.column(node)?;
        let cursor = self.cells[node].cursor;
        let old = column.cuts.last();
        let item = column.cuts.range(cursor).start;
        let left = column.cuts.items() - item;
        let cut = |size: u32, why, p95| {
            let cut = Cut { shard: cursor, item, size };
            Some(Event::ShardsCut { node, cut, why, p95 })
        };
        if left == 0 {
            return None;
        }
        if !column.is_cut {
            let size = if self.thought.is_some() { self.guess(split, left) } else { old.size };
            return cut(size, CutReason::First, Span::ZERO);
        }
        let gauge = &column.gauge;
        if self.thought.is_some() {
            return None;
        }
        if gauge.is_slow() && old.size > 1 {
            return cut((old.size / FACTOR).max(1), CutReason::Split, gauge.p95());
        }
        let most = if split.grows { u32::MAX } else { split.size };
        let fair = left.div_ceil(self.slots(split) * ROUNDS);
        let size = old.size.saturating_mul(gauge.growth()?).min(most).min(u32::try_from(fair).unwrap_or(u32::MAX));
        if size > old.size { cut(size, CutReason::Grow, gauge.p95()) } else { None }
    }

    /// Shards of a stage that may run at once.
    fn slots(&self, split: &Split) -> u64 {
        u64::from(split.max_parallel.unwrap_or(u32::MAX).min(self.jobs).max(1))
    }

    /// The size that a rehearsal takes, for it has no durations to find one by: four rounds of all slots.
    fn guess(&self, split: &Split, left: u64) -> u32 {
        if !split.grows {
            return split.size;
        }
        u32::try_from(left.div_ceil(self.slots(split) * 4)).unwrap_or(u32::MAX)
    }

    pub(super) fn fold_cut(&mut self, node: NodeIx, cut: Cut) {
        let Some(column) = self.shards.column_mut(node) else { return };
        column.cuts.push(cut);
        column.is_cut = true;
        column.gauge = Gauge::new();
    }

    /// An attempt of a stage that has a target ended.
    pub(super) fn gauge(&mut self, (node, shard): Key, outcome: &Outcome, took: Span) {
        let Some(target) = self.node(node).rules.split.as_ref().and_then(|split| split.target) else { return };
        let Some(column) = self.shards.column_mut(node) else { return };
        let has_timed_out = matches!(outcome, Outcome::TimedOut(_));
        // What failed early says nothing about how long its items take.
        if !has_timed_out && *outcome != Outcome::Success {
            return;
        }
        if took > target && column.cuts.range(shard).count() == 1 {
            column.stubborn += 1;
        }
        if shard >= column.cuts.last().shard {
            column.gauge.add(took, target);
            column.gauge.has_timed_out |= has_timed_out && took > target;
        }
    }

    /// An earlier stage gave the items.
    pub(super) fn take_items(&mut self, node: NodeIx, items: &Arc<Vec<Box<str>>>) {
        let Some(split) = self.node(node).rules.split.clone() else { return };
        let Some(column) = self.shards.column_mut(node) else { return };
        column.cuts = Cuts::even(items.len() as u64, split.size);
        column.late = Some(Arc::clone(items));
        column.is_cut = split.target.is_none();
        column.gauge = Gauge::new();
        // What started in an earlier generation has used up its numbers.
        let started = u32::try_from(column.phase.len()).expect("limits::MAX_SHARDS fits");
        let cursor = started.min(column.cuts.shards());
        self.cells[node].cursor = cursor;
        for shard in 0..started {
            if shard < cursor && self.shards.number((node, shard)) > 0 {
                self.shards.forgive_all((node, shard));
                self.shards.wait((node, shard), Step::Ready, None);
            } else {
                self.shards.set((node, shard), Phase::Fresh);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gauge(took_ms: &[u64]) -> Gauge {
        let mut gauge = Gauge::new();
        for &ms in took_ms {
            gauge.add(Span::from_ms(ms), Span::from_ms(800));
        }
        gauge
    }

    #[test]
    fn the_p95_is_that_of_the_nearest_rank() {
        for len in 1..=200_usize {
            let took: Vec<u64> = (0..len as u64).map(|at| at * 7919 % 1009).collect();
            let last: Vec<u64> = took[len.saturating_sub(WINDOW)..].to_vec();
            let (gauge, mut sorted) = (gauge(&took), last);
            sorted.sort_unstable();
            let rank = (sorted.len() * 95).div_ceil(100);
            assert_eq!(gauge.p95().ms(), sorted[rank - 1], "{len}");
            assert_eq!(gauge.slow > gauge.spare(), sorted[rank - 1] > 800, "{len}");
            assert_eq!(gauge.large <= gauge.spare(), sorted[rank - 1] <= 100, "{len}");
            assert_eq!(gauge.full <= gauge.spare(), sorted[rank - 1] <= 266, "{len}");
        }
    }

    #[test]
    fn one_slow_shard_among_many_is_no_reason_to_split() {
        let mut took = vec![300; 40];
        took.push(60_000);
        assert!(!gauge(&took).is_slow());
        took.extend([60_000, 60_000]);
        assert!(gauge(&took).is_slow());
    }

    #[test]
    fn too_few_shards_say_nothing_unless_one_timed_out() {
        assert!(!gauge(&[900; 4]).is_slow() && gauge(&[900; 5]).is_slow());
        assert_eq!((gauge(&[1; 7]).growth(), gauge(&[1; 8]).growth()), (None, Some(4)));
        assert_eq!((gauge(&[200; 8]).growth(), gauge(&[300; 8]).growth()), (Some(2), None));
        let mut one = gauge(&[900]);
        one.has_timed_out = true;
        assert!(one.is_slow());
    }
}
