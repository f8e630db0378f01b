//! How long stages took in earlier runs of a plan: what forecasts, priorities and time boxes go by.
//!
//! A run notes its durations in the plan's history when it ends ([`note`]), so that they outlive the run. Reading
//! ([`History::read`]) adds runs that are not noted yet, so that a history that is lost, damaged or behind is only as
//! poor as the runs that are gone. A sample is one attempt of one shard. Samples of stages that ran something else,
//! or shards of another size, count only where there are too few of the right kind. What items took ([`ItemTimes`]) is known
//! by their texts, wherever they stand in the next run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Error, RunDir, StateDir, summary};
use crate::base::{RunId, Span, limits};
use crate::graph::forecast::{Expected, MIN_SAMPLES};
use crate::graph::model::Items;

mod rows;
mod store;
mod texts;

pub(super) use rows::marks_of;
pub use rows::{ItemTimes, KnownItems, Rows};
pub use store::{forget, note};
pub(super) use texts::{Mark, Texts};

/// Newest runs that a plan's history keeps, unless it has very many stages.
const MAX_RUNS: usize = 50;
/// No history keeps fewer runs, however many stages there are.
const MIN_RUNS: usize = 5;
/// Runs times stages that a history keeps: some ten megabytes.
const MAX_SETS: usize = 400_000;
/// Shards of one stage whose durations are kept by name.
const MAX_LONGEST: usize = 4096;
/// What a run counts less than the one after it.
const FADING: f64 = 0.9;

/// What is known of a plan's earlier runs.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct History {
    /// The runs, the newest first.
    pub runs: Vec<RunNote>,
    /// By the stage's id.
    stages: BTreeMap<String, StagePast>,
    /// What could not be read, for the user.
    pub damage: Vec<String>,
}

/// A run, for history.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct RunNote {
    /// Its id.
    pub run: String,
    /// When it began, in milliseconds since 1970 (UTC).
    pub wall_ms: i64,
    /// From its begin to its end, waits for its lock and gaps between engines left out.
    pub took: Span,
    /// How long it waited for its lock.
    pub waited: Span,
    /// Whether it succeeded in one go.
    pub is_whole: bool,
}

/// A stage's durations.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct StagePast {
    sets: Vec<Set>,
    /// Milliseconds of the shards that took longest, by what they work on.
    longest: BTreeMap<u64, u32>,
    /// What items took in each run, the newest first, of a stage that found its size while it ran.
    rows: Vec<Rows>,
}

/// What the stages of a run work on.
pub trait Works {
    /// What a shard works on, as a number; none of a stage whose shards are different in each run.
    fn content(&self, stage: &str, shard: u32) -> Option<u64>;

    /// The items of a stage that finds its size while it runs; none of any other, and in a part of a run.
    fn items(&self, _stage: &str) -> Option<&Items> {
        None
    }

    /// The items of a stage that an earlier one gave.
    fn given(&self, _stage: &str) -> Option<&[Box<str>]> {
        None
    }
}

impl<F: Fn(&str, u32) -> Option<u64>> Works for F {
    fn content(&self, stage: &str, shard: u32) -> Option<u64> {
        self(stage, shard)
    }
}

/// A stage's durations in one run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Set {
    run: Arc<str>,
    definition: u64,
    size: u32,
    good: Vec<u32>,
    bad: Vec<u32>,
}

/// A duration and how it ended, as simulations draw them.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Sample {
    /// How long it took.
    pub took: Span,
    /// Whether it succeeded.
    pub is_good: bool,
    /// How much it counts: 1 for the newest run, less for older ones.
    pub weight: f64,
}

/// Which durations are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key<'a> {
    /// The stage's id.
    pub stage: &'a str,
    /// `graph::Graph::definition`.
    pub definition: u64,
    /// Items for each shard.
    pub size: u32,
}

impl History {
    /// Of the plan at `path`: its stored history and the runs that are not in it. Runs that cannot be read are left
    /// out.
    ///
    /// # Errors
    /// The runs cannot be listed.
    pub fn read(state: &StateDir, path: &str) -> Result<Self, Error> {
        Self::read_beside(state, path, None)
    }

    /// As [`History::read`], for the run `own` that goes on: what it did itself is no earlier run.
    ///
    /// # Errors
    /// As [`History::read`].
    pub fn read_beside(state: &StateDir, path: &str, own: Option<&RunId>) -> Result<Self, Error> {
        let mut history = store::load(state, path);
        if let Some(own) = own {
            // It was noted when it had failed, or was cancelled.
            history.drop_run(own.as_str());
        }
        for entry in state.runs()? {
            let Some(began) = entry.began.as_ref().filter(|began| began.path == path) else { continue };
            let is_known = history.runs.iter().any(|known| known.run == began.run.as_str());
            if !is_known && Some(&began.run) != own {
                history.add_run(&entry.dir, &|_: &str, _| None);
            }
        }
        history.order();
        Ok(history)
    }

    /// Of whole runs that succeeded in one go, each without its wait for a lock.
    pub fn of_runs(&self) -> Option<Expected> {
        let whole = self.runs.iter().enumerate().filter(|(_, run)| run.is_whole);
        let samples = whole.map(|(age, run)| Sample { took: run.took, is_good: true, weight: fade(age) });
        quantiles(samples.collect())
    }

    /// How long runs waited for their lock.
    pub fn waits(&self) -> Vec<Span> {
        self.runs.iter().map(|run| run.waited).collect()
    }

    /// How long attempts of a stage take that succeed; none without any.
    pub fn of_stage(&self, key: Key<'_>) -> Option<Expected> {
        let good = self.samples(key).into_iter().filter(|sample| sample.is_good);
        quantiles(good.collect())
    }

    /// Attempts of a stage: of the same definition and shard size if there are enough of these; else those of the same
    /// command with other values, else those of the same size, else those of any size in proportion.
    pub fn samples(&self, key: Key<'_>) -> Vec<Sample> {
        let Some(past) = self.stages.get(key.stage) else { return Vec::new() };
        let bucket = bucket(key.size);
        let tiers: [&dyn Fn(&Set) -> bool; 4] = [
            &|set| set.definition == key.definition && self::bucket(set.size) == bucket,
            &|set| is_same_command(set.definition, key.definition) && self::bucket(set.size) == bucket,
            &|set| self::bucket(set.size) == bucket,
            &|_| true,
        ];
        for tier in tiers {
            let found = self.collect(past, key.size, tier);
            if found.iter().filter(|sample| sample.is_good).count() >= MIN_SAMPLES as usize {
                return found;
            }
        }
        self.collect(past, key.size, tiers[3])
    }

    fn collect(&self, past: &StagePast, size: u32, counts: &dyn Fn(&Set) -> bool) -> Vec<Sample> {
        let mut found = Vec::new();
        for set in past.sets.iter().filter(|set| counts(set)) {
            let weight = fade(self.age(&set.run));
            let (ours, theirs) = (u64::from(size.max(1)), u64::from(set.size.max(1)));
            let is_alike = bucket(size) == bucket(set.size);
            let scale = |ms: u32| if is_alike { u64::from(ms) } else { u64::from(ms) * ours / theirs };
            let sample = |ms: &u32, is_good| Sample { took: Span::from_ms(scale(*ms)), is_good, weight };
            found.extend(set.good.iter().map(|ms| sample(ms, true)));
            found.extend(set.bad.iter().map(|ms| sample(ms, false)));
        }
        found
    }

    /// Whether anything is known of single shards of a stage.
    pub fn knows_shards(&self, stage: &str) -> bool {
        self.stages.get(stage).is_some_and(|past| !past.longest.is_empty())
    }

    /// How long a shard took last that worked on `content`, if it was among the longest of its stage.
    pub fn of_shard(&self, stage: &str, content: u64) -> Option<Span> {
        let ms = self.stages.get(stage)?.longest.get(&content)?;
        Some(Span::from_ms(u64::from(*ms)))
    }

    /// What `items` of a stage take that finds its size while it runs, each by what it is: in runs of this definition, or of
    /// the same command with any values while there are too few of these. What another command took would be wrong; where
    /// nobody noted which it was, it counts.
    pub fn item_times(&self, (stage, definition): (&str, u64), items: &Items) -> ItemTimes<'_> {
        ItemTimes::of(self.rows(stage, definition), items)
    }

    /// The same of items that are still to be given.
    pub fn known_items(&self, stage: &str, definition: u64) -> KnownItems {
        let without_items = |rows: &Rows| {
            let mut rows = rows.clone();
            rows.forget_items();
            rows
        };
        KnownItems(self.rows(stage, definition).map(without_items).collect())
    }

    /// What items took in the runs that count for this definition, the newest first.
    fn rows(&self, stage: &str, definition: u64) -> impl Iterator<Item = &Rows> {
        let rows = self.stages.get(stage).map_or(&[][..], |past| &past.rows);
        let is_same = move |rows: &Rows| [0, definition].contains(&rows.definition);
        let has_enough = rows.iter().filter(|rows| is_same(rows)).count() >= MIN_SAMPLES as usize;
        let is_alike = move |rows: &Rows| rows.definition == 0 || is_same_command(rows.definition, definition);
        rows.iter().filter(move |rows| if has_enough { is_same(rows) } else { is_alike(rows) })
    }

    fn age(&self, run: &str) -> usize {
        self.runs.iter().position(|known| known.run == run).unwrap_or(self.runs.len())
    }

    /// Adds a run's durations; `works` tells what its stages work on. A run that cannot be read, or never began, adds
    /// nothing.
    fn add_run(&mut self, dir: &RunDir, works: &dyn Works) {
        let Ok(summary) = summary::of(dir) else { return };
        let Some(run) = summary.run.as_ref().map(ToString::to_string) else { return };
        let is_whole = summary.state == summary::RunState::Success && summary.resumes == 0;
        self.runs.push(RunNote {
            run: run.clone(),
            wall_ms: summary.wall_ms,
            took: summary.took,
            waited: summary.waited,
            is_whole,
        });
        let name: Arc<str> = run.as_str().into();
        for stage in summary.stages {
            if stage.good.is_empty() && stage.bad.is_empty() {
                continue;
            }
            let past = self.stages.entry(stage.id.clone()).or_default();
            for (shard, ms) in stage.longest {
                past.longest.extend(works.content(&stage.id, shard).map(|content| (content, ms)));
            }
            if let Some(items) = works.items(&stage.id).filter(|_| !stage.rows.is_empty()) {
                // What an earlier stage gave is in the run's own record only.
                let rows = Rows::new(items.count().max(stage.items), stage.rows).known_by(items, stage.marks);
                let rows = rows.given(works.given(&stage.id).unwrap_or_default());
                if rows.bytes() > 0 {
                    past.rows.push(rows.of_run((&run, summary.wall_ms), stage.definition));
                }
            }
            // Room for three more would be most of what a history of many stages takes.
            past.sets.reserve_exact(1);
            past.sets.push(Set {
                run: Arc::clone(&name),
                definition: stage.definition,
                size: stage.size,
                good: stage.good,
                bad: stage.bad,
            });
        }
    }

    /// Puts the newest runs first and lets go of what is too old or too much.
    fn order(&mut self) {
        self.runs.sort_by(|a, b| b.wall_ms.cmp(&a.wall_ms).then_with(|| b.run.cmp(&a.run)));
        self.runs.truncate((MAX_SETS / self.stages.len().max(1)).clamp(MIN_RUNS, MAX_RUNS));
        let known: BTreeSet<&str> = self.runs.iter().map(|run| &*run.run).collect();
        for past in self.stages.values_mut() {
            past.sets.retain(|set| known.contains(&*set.run));
            if past.longest.len() > MAX_LONGEST {
                let mut by_length: Vec<(u32, u64)> = past.longest.iter().map(|(&it, &ms)| (ms, it)).collect();
                by_length.sort_unstable_by(|a, b| b.cmp(a));
                past.longest = by_length.into_iter().take(MAX_LONGEST).map(|(ms, it)| (it, ms)).collect();
            }
        }
        self.stages.retain(|_, past| !past.sets.is_empty());
        self.order_rows();
    }

    /// As [`History::order`], of what items took. Runs of parts have none, so that they push none out: all parts are dealt
    /// out by the same.
    fn order_rows(&mut self) {
        let stages = self.stages.values().filter(|past| !past.rows.is_empty()).count();
        let share = limits::MAX_ITEM_TIME_BYTES / stages.max(1);
        for past in self.stages.values_mut() {
            past.rows.sort_by(|a, b| b.wall_ms.cmp(&a.wall_ms).then_with(|| b.run.cmp(&a.run)));
            past.rows.truncate(limits::MAX_ITEM_RUNS);
            let mut seen = BTreeSet::new();
            // What was given last to a stage of this definition is what is expected of it.
            past.rows.iter_mut().filter(|rows| !seen.insert(rows.definition)).for_each(Rows::forget_items);
            let mut left = share;
            let fitting = past.rows.iter().take_while(|rows| {
                let fits = rows.bytes() <= left;
                left = left.saturating_sub(rows.bytes());
                fits
            });
            let keep = fitting.count().max(1);
            past.rows.truncate(keep);
        }
    }
}

/// Whether two definitions are of the same words, whatever values were filled in.
const fn is_same_command(one: u64, other: u64) -> bool {
    one >> 32 == other >> 32
}

/// What a run counts that is `age` runs old.
fn fade(age: usize) -> f64 {
    FADING.powi(i32::try_from(age).unwrap_or(i32::MAX))
}

/// Sizes of shards that are alike: a power of two and what is below the next.
fn bucket(size: u32) -> u32 {
    size.max(1).ilog2()
}

/// The weighted p50 and p95: the least sample at which half, or 95 %, of all weight is reached. With equal weights
/// that is the nearest rank.
fn quantiles(mut samples: Vec<Sample>) -> Option<Expected> {
    samples.sort_by_key(|sample| sample.took);
    let all: f64 = samples.iter().map(|sample| sample.weight).sum();
    let at = |share: f64| {
        let mut sum = 0.0;
        let reached = samples.iter().find(|sample| {
            sum += sample.weight;
            // A sum of the same numbers in another order may differ in its last bits.
            sum >= all * share - 1e-9
        });
        reached.or(samples.last()).map(|sample| sample.took)
    };
    let count = u32::try_from(samples.len()).unwrap_or(u32::MAX);
    Some(Expected { p50: at(0.5)?, p95: at(0.95)?, samples: count })
}

#[cfg(test)]
mod tests;
