//! What became of each item of a sharded stage, counted from the facts: no item is left out, done twice, or taken to be
//! done by a word that was about another one; and what is left is cut anew when it has to be, and only then.

use std::collections::BTreeMap;
use std::ops::Range;

use engine::base::{Millis, NodeIx, Span, Text};
use engine::graph::model::{Node, Phase as Part, Split};
use engine::graph::shards::Cut;
use engine::plan::model::AllowFailure;
use engine::run::event::{Answer, CheckKind, CutReason, NodeState, ReopenReason, Resolution};
use engine::run::{Attempt, Event, Outcome, Phase, RunState};

use crate::book::Book;
use crate::numbers::Numbers;

/// Late starts may catch up by so much.
const LAG_MS: u64 = 100;
/// Shards whose durations count for a cut.
const WINDOW: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Running,
    Done,
    /// Ended by force, or nobody saw how.
    Doubt,
    /// Known not to be done.
    Failed,
}

/// A sharded stage.
#[derive(Clone, Debug, Default)]
struct Sharded {
    /// The items of each slice that has started.
    slices: BTreeMap<u32, Range<u64>>,
    /// Those that had their turn.
    items: BTreeMap<u64, Fate>,
    /// It was cut anew after it had begun: what had started may have been about any item.
    is_mixed: bool,
    starts: Vec<Millis>,
    cut: Option<Cut>,
    /// What the ended shards of the cut took, and whether one ran into a clock above the target.
    took: Vec<u64>,
    has_timed_out: bool,
}

impl Sharded {
    fn set(&mut self, range: Range<u64>, fate: Fate) {
        self.items.extend(range.map(|item| (item, fate)));
    }

    fn is_begun(&self) -> bool {
        !self.slices.is_empty()
    }

    fn end(&self) -> u64 {
        self.slices.values().map(|range| range.end).max().unwrap_or(0)
    }

    /// The 95th percentile by nearest rank of the last shards.
    fn p95(&self) -> u64 {
        let mut last = self.took[self.took.len().saturating_sub(WINDOW)..].to_vec();
        last.sort_unstable();
        let rank = (last.len() * 95).div_ceil(100);
        rank.checked_sub(1).map_or(0, |at| last[at])
    }

    fn is_slow(&self, target: Span) -> bool {
        (self.took.len() >= 5 || self.has_timed_out) && self.p95() > target.ms()
    }
}

/// What an edit makes of the slices of a stage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Recut {
    /// They are what they were.
    Same,
    /// The stage is done, whatever its slices were.
    Over,
    /// Those that have started stay, and the rest is cut anew.
    Kept,
    /// Nobody can tell which of them have had their turn.
    Doubted,
    /// All is done anew.
    Anew,
}

/// All stages of a run, by id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Items {
    stages: BTreeMap<Text, Sharded>,
    numbers: Numbers,
}

fn split_of(node: &Node) -> Option<&Split> {
    node.rules.split.as_deref()
}

/// Whether two texts of a stage cut the same items in the same way.
pub(crate) fn is_same_cut(was: &Node, now: &Node) -> bool {
    let is_alike = match (split_of(was), split_of(now)) {
        (Some(was), Some(now)) => was.cuts_as(now),
        (None, None) => was.rules.shards == now.rules.shards,
        _ => false,
    };
    is_alike && was.items() == now.items()
}

impl Items {
    fn of(&self, book: &Book, node: NodeIx) -> Sharded {
        self.stages.get(&book.graph.nodes[node].id).cloned().unwrap_or_default()
    }

    /// What an edit makes of what is known of a stage's slices.
    pub(crate) fn recut(&self, book: &Book, from: NodeIx, now: &Node) -> Recut {
        let was = &book.graph.nodes[from];
        let it = self.stages.get(&was.id).cloned().unwrap_or_default();
        let has_started = it.is_mixed || book.highest.range((from, 0)..=(from, u32::MAX)).next().is_some();
        let is_converted = was.rules.is_approval != now.rules.is_approval;
        let is_mixed = it.is_mixed && !now.rules.idempotent;
        if is_same_cut(was, now) && !is_mixed && !is_converted {
            Recut::Same
        } else if book.state(from).is_success() {
            Recut::Over
        } else if it.is_kept(was, now) {
            Recut::Kept
        } else if has_started && !now.rules.idempotent && !now.rules.is_approval {
            Recut::Doubted
        } else {
            Recut::Anew
        }
    }

    /// An event must be allowed in the state that it meets.
    pub(crate) fn check(&self, book: &Book, state: &RunState, at: Millis, event: &Event) {
        self.numbers.check(book, event);
        match event {
            Event::ShardsStarted { node, first, count } => {
                self.must_be_cut(book, state, *node);
                (*first..first + count).for_each(|shard| self.may_start(book, state, (*node, shard)));
                self.rate_is_kept(book, at, *node, *count);
            }
            Event::ShardRetried { attempt } => {
                self.may_start(book, state, (attempt.node, attempt.shard));
                self.rate_is_kept(book, at, attempt.node, 1);
            }
            Event::ShardsCut { node, cut, why, p95 } => self.cut_is_right(book, state, *node, (*cut, *why, *p95)),
            Event::NodeResolved { node, .. } => self.word_is_about_doubts(book, state, *node),
            Event::NodeFinished { node, state: end, .. } => self.end_is_true(book, state, *node, *end),
            _ => {}
        }
    }

    /// No item runs twice at once, none that is done runs again, and none in doubt that must not be repeated.
    fn may_start(&self, book: &Book, state: &RunState, (node, shard): (NodeIx, u32)) {
        let it = &book.graph.nodes[node];
        if it.rules.split.is_none() {
            return;
        }
        let range = state.slice(node, shard).expect("a sharded stage").range;
        assert!(!range.is_empty(), "{}[{shard}] has no items", it.id);
        let known = self.of(book, node);
        let was = known.slices.get(&shard);
        assert!(was.is_none_or(|was| *was == range), "{}[{shard}] was {was:?} and is {range:?}", it.id);
        for item in range {
            match known.items.get(&item) {
                Some(fate @ (Fate::Running | Fate::Done)) => panic!("item {item} of {} is {fate:?}", it.id),
                Some(Fate::Doubt) => assert!(it.rules.idempotent, "item {item} of {} is in doubt", it.id),
                Some(Fate::Failed) | None => {}
            }
        }
    }

    /// In any time `t` no more than `(t + lag) / distance + 1` starts.
    fn rate_is_kept(&self, book: &Book, at: Millis, node: NodeIx, count: u32) {
        let rate = split_of(&book.graph.nodes[node]).and_then(|split| split.rate);
        let Some(distance) = rate.map(engine::plan::model::Rate::interval_ns) else { return };
        let starts = self.of(book, node).starts;
        for (at_start, &since) in starts.iter().enumerate() {
            let many = (starts.len() - at_start) as u64 + u64::from(count);
            let most = (at.since(since).ms() + LAG_MS) * 1_000_000 / distance + 1;
            assert!(many <= most, "{many} starts of {node:?} since {since:?}, at most {most}");
        }
    }

    /// What is slow is split before another fresh shard starts.
    fn must_be_cut(&self, book: &Book, state: &RunState, node: NodeIx) {
        let Some(target) = split_of(&book.graph.nodes[node]).and_then(|split| split.target) else { return };
        let (known, cuts) = (self.of(book, node), state.cuts(node).expect("a sharded stage"));
        assert!(known.cut.is_some(), "{node:?} starts before it is cut");
        assert!(
            cuts.last().size == 1 || !known.is_slow(target),
            "{node:?} goes on with shards that are too large"
        );
    }

    fn cut_is_right(&self, book: &Book, state: &RunState, node: NodeIx, (cut, why, p95): (Cut, CutReason, Span)) {
        let split = split_of(&book.graph.nodes[node]).expect("only sharded stages are cut");
        let (known, cuts) = (self.of(book, node), state.cuts(node).expect("a sharded stage"));
        let (old, next) = (cuts.last(), cuts.range(cut.shard).start);
        let is_behind = known.slices.keys().all(|&shard| shard < cut.shard) && cut.item >= known.end();
        assert!(is_behind && cut.item == next, "{cut:?} of {node:?} is not where {:?} end", known.slices);
        assert!(cut.size > 0 && cut.item < split.items, "{cut:?} of {node:?} has no items");
        let target = split.target.unwrap_or_default();
        match why {
            CutReason::First => assert_eq!(cut.size, split.size, "{node:?}"),
            CutReason::Split => {
                assert_eq!(p95.ms(), known.p95(), "{node:?}: {:?}", known.took);
                assert!(known.is_slow(target) && old.size > 1, "{node:?} is split without need: {:?}", known.took);
                assert_eq!(cut.size, (old.size / 4).max(1), "{node:?}");
            }
            CutReason::Grow => {
                assert!(known.took.len() >= 8 && known.p95() <= target.ms() / 3, "{node:?}: {:?}", known.took);
                let most = if known.p95() <= target.ms() / 8 { 4 } else { 2 };
                assert!(
                    cut.size > old.size && cut.size <= old.size.saturating_mul(most),
                    "{node:?} grows to {cut:?}"
                );
                assert!(split.grows || cut.size <= split.size, "{node:?} grows beyond its `size`");
                let left = split.items - cut.item;
                let slots = u64::from(split.max_parallel.unwrap_or(u32::MAX).min(state.jobs()));
                assert!(u64::from(cut.size) <= left.div_ceil(slots * 2), "{node:?} leaves slots idle: {cut:?}");
            }
        }
    }

    /// A person's word on a stage holds for what nobody knows of, and for nothing else.
    fn word_is_about_doubts(&self, book: &Book, state: &RunState, node: NodeIx) {
        let known = self.of(book, node);
        if split_of(&book.graph.nodes[node]).is_none() {
            return;
        }
        for item in unknown(state, node).into_iter().flatten() {
            let fate = known.items.get(&item);
            assert_eq!(fate, Some(&Fate::Doubt), "a word is said about item {item} of {node:?}");
        }
    }

    /// A stage succeeds with all its items done, but for those that may fail; and does not fail with fewer.
    fn end_is_true(&self, book: &Book, state: &RunState, node: NodeIx, end: NodeState) {
        let it = &book.graph.nodes[node];
        let Some(split) = split_of(it) else { return };
        let known = self.of(book, node);
        let done = known.items.values().filter(|fate| **fate == Fate::Done).count() as u64;
        let left = split.items - done;
        let spare = split.spare(split.items);
        let stage = book.stage(node);
        match end {
            NodeState::Success => {
                assert!(left <= spare, "{} succeeds with {left} of {} items left", it.id, split.items);
            }
            NodeState::Failed | NodeState::TimedOut => {
                let has_ended = known.items.values().filter(|fate| matches!(fate, Fate::Failed | Fate::Doubt));
                let is_plain = stage.resolved.is_none() && stage.expired.is_none() && book.cancel.is_none();
                let is_plain = is_plain && !book.finally_over && it.rules.allow_failure == AllowFailure::No;
                // One that is done within what may fail, but too late, fails all the same.
                let is_plain = is_plain && !book.late.fails(book, node);
                let is_run = state.progress(node).failed > 0;
                let bad = has_ended.count() as u64;
                assert!(!is_plain || !is_run || bad > spare, "{} fails with {bad} bad items of {spare}", it.id);
            }
            _ => {}
        }
    }

    /// Takes an event in; `state` is that before it.
    pub(crate) fn hear(&mut self, book: &Book, state: &RunState, at: Millis, event: &Event) {
        self.numbers.hear(book, event);
        match event {
            Event::ShardsStarted { node, first, count } => {
                (*first..first + count).for_each(|shard| self.start(book, state, at, (*node, shard)));
            }
            Event::ShardRetried { attempt } => self.start(book, state, at, (attempt.node, attempt.shard)),
            Event::ShardFinished { attempt, outcome, took, result } => {
                if !result.never_ran {
                    self.time(book, *attempt, outcome, *took);
                }
                let fate = match outcome {
                    Outcome::Success => Fate::Done,
                    _ if result.never_ran => Fate::Failed,
                    Outcome::Exit(_) | Outcome::NotStarted(_) => Fate::Failed,
                    _ => Fate::Doubt,
                };
                self.set(book, state, (attempt.node, attempt.shard), fate);
            }
            Event::ShardLost { attempt } => self.set(book, state, (attempt.node, attempt.shard), Fate::Doubt),
            Event::CheckAnswered { node, shard, kind: CheckKind::DoneIf, answer } => match answer {
                Answer::Yes(_) => self.set(book, state, (*node, *shard), Fate::Done),
                Answer::No => self.set(book, state, (*node, *shard), Fate::Failed),
                Answer::Unknown(_) => {}
            },
            Event::ShardsCut { node, cut, .. } => self.edit(book, *node, |it| {
                it.cut = Some(*cut);
                it.took.clear();
                it.has_timed_out = false;
            }),
            Event::NodeResolved { node, resolution, .. } => {
                let fate = match resolution {
                    Resolution::Success => Some(Fate::Done),
                    Resolution::Failed => Some(Fate::Failed),
                    Resolution::Rerun => None,
                };
                let ranges = unknown(state, *node);
                self.edit(book, *node, |it| ranges.into_iter().for_each(|range| it.tell(range, fate)));
            }
            Event::NodeReopened { node, why } => self.reopen(book, *node, *why),
            Event::PlanChanged { version } => self.change(book, *version),
            _ => {}
        }
    }

    fn edit(&mut self, book: &Book, node: NodeIx, change: impl FnOnce(&mut Sharded)) {
        let it = &book.graph.nodes[node];
        if it.rules.split.is_some() {
            change(self.stages.entry(it.id.clone()).or_default());
        }
    }

    fn set(&mut self, book: &Book, state: &RunState, (node, shard): (NodeIx, u32), fate: Fate) {
        let range = state.slice(node, shard).map_or(0..0, |slice| slice.range);
        self.edit(book, node, |it| it.set(range, fate));
    }

    fn start(&mut self, book: &Book, state: &RunState, at: Millis, (node, shard): (NodeIx, u32)) {
        self.set(book, state, (node, shard), Fate::Running);
        let range = state.slice(node, shard).map_or(0..0, |slice| slice.range);
        self.edit(book, node, |it| {
            it.slices.insert(shard, range);
            it.starts.push(at);
        });
    }

    fn time(&mut self, book: &Book, attempt: Attempt, outcome: &Outcome, took: Span) {
        let target = split_of(&book.graph.nodes[attempt.node]).and_then(|split| split.target);
        let is_clock = matches!(outcome, Outcome::TimedOut(_));
        let Some(target) = target.filter(|_| is_clock || *outcome == Outcome::Success) else { return };
        self.edit(book, attempt.node, |it| {
            if it.cut.is_none_or(|cut| attempt.shard >= cut.shard) {
                it.took.push(took.ms());
                it.has_timed_out |= is_clock && took > target;
            }
        });
    }

    fn reopen(&mut self, book: &Book, node: NodeIx, why: ReopenReason) {
        let by_person = book.stage(node).resolved == Some(Resolution::Rerun);
        let (is_finally, is_safe) = {
            let it = &book.graph.nodes[node];
            (it.phase == Part::Finally, it.rules.idempotent)
        };
        // What was undone is done anew, and it is known what became of it.
        let is_clear = book.undos.undone.contains(&node) && why == ReopenReason::Resume;
        let is_whole = match why {
            ReopenReason::Ordered => !by_person,
            ReopenReason::Upstream | ReopenReason::Restart => true,
            ReopenReason::Resume => is_finally || is_clear,
            ReopenReason::Changed => false,
        };
        self.edit(book, node, |it| {
            if why == ReopenReason::Restart && !is_safe {
                it.items.values_mut().filter(|fate| **fate == Fate::Done).for_each(|fate| *fate = Fate::Doubt);
            } else if is_whole {
                it.items.retain(|_, fate| *fate != Fate::Done);
            }
            if why == ReopenReason::Ordered || is_clear || by_person {
                it.items.retain(|_, fate| *fate != Fate::Doubt);
            }
            // A person's order is for all of it, however it was cut before.
            it.is_mixed &= why != ReopenReason::Ordered;
        });
    }

    /// Another text: what has started keeps its items where it must, and else is done anew.
    fn change(&mut self, book: &Book, version: u32) {
        let new = &book.versions[version as usize - 1];
        let mut stages = BTreeMap::new();
        for (from, was) in book.graph.nodes.pairs() {
            let Some(now) = new.find(&was.id).map(|to| &new.nodes[to]) else { continue };
            let all = 0..split_of(now).map_or(0, |split| split.items);
            let mut it = self.stages.get(&was.id).cloned().unwrap_or_default();
            let has_started = it.is_mixed || book.highest.range((from, 0)..=(from, u32::MAX)).next().is_some();
            it.starts.clear();
            match self.recut(book, from, now) {
                Recut::Same => {}
                Recut::Kept => {
                    (it.cut, it.has_timed_out) = (None, false);
                    it.took.clear();
                }
                Recut::Over => {
                    it = Sharded::default();
                    it.set(all, Fate::Done);
                    it.slices = over(book, from, now);
                }
                Recut::Doubted => {
                    // Who had which items is in doubt; where they are cut is not, if both texts cut them alike.
                    let known = if is_same_cut(was, now) { it } else { Sharded::default() };
                    it = Sharded { cut: known.cut, took: known.took, ..Sharded::default() };
                    it.has_timed_out = known.has_timed_out;
                    it.set(all, Fate::Doubt);
                }
                Recut::Anew => it = Sharded { is_mixed: has_started, ..Sharded::default() },
            }
            stages.insert(was.id.clone(), it);
        }
        self.stages = stages;
    }
}

/// The slices of a stage that had succeeded and is cut anew: as many as it had, should it be opened again.
fn over(book: &Book, from: NodeIx, now: &Node) -> BTreeMap<u32, Range<u64>> {
    let Some(split) = split_of(now) else { return BTreeMap::new() };
    let last = book.highest.range((from, 0)..=(from, u32::MAX)).next_back().map(|(key, _)| key.1);
    let had = last.map_or(0, |last| last + 1).min(now.rules.shards);
    let range = |shard: u32| {
        let first = u64::from(shard) * u64::from(split.size);
        first..(first + u64::from(split.size)).min(split.items)
    };
    (0..had).map(|shard| (shard, range(shard))).collect()
}

impl Sharded {
    fn is_kept(&self, was: &Node, now: &Node) -> bool {
        let (Some(_), Some(split)) = (split_of(was), split_of(now)) else { return false };
        let is_process = !was.rules.is_approval && !now.rules.is_approval;
        is_process && !now.rules.idempotent && !self.is_mixed && self.is_begun() && self.end() <= split.items
    }

    fn tell(&mut self, range: Range<u64>, fate: Option<Fate>) {
        match fate {
            Some(fate) => self.set(range, fate),
            None => self.items.retain(|item, _| !range.contains(item)),
        }
    }
}

/// The items of the slices of which nobody knows.
fn unknown(state: &RunState, node: NodeIx) -> Vec<Range<u64>> {
    let phases = state.phases(node).iter().enumerate();
    let unknown = phases.filter(|(_, phase)| **phase == Phase::Unknown);
    let range = |(shard, _): (usize, &Phase)| {
        let shard = u32::try_from(shard).expect("few");
        state.slice(node, shard).map(|slice| slice.range)
    };
    unknown.filter_map(range).collect()
}
