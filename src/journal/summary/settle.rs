//! What a summary keeps of many durations.

use std::collections::BTreeMap;

use super::StageSummary;
use crate::journal::history::{Texts, marks_of};

/// Durations of one stage that a summary keeps; of more, evenly spaced ones in order of length.
const MAX_DURATIONS: usize = 200;
/// Longest shards of one stage that a summary names, and rows of items.
const MAX_LONGEST: usize = 1000;

impl StageSummary {
    /// Keeps what is worth keeping of its durations.
    pub(super) fn settle(&mut self) {
        if self.good.len() < 2 {
            // With the room that it took: there may be very many stages.
            self.longest = Vec::new();
        }
        self.longest.sort_unstable_by_key(|&(shard, ms)| (std::cmp::Reverse(ms), shard));
        self.longest.truncate(MAX_LONGEST);
        self.settle_rows();
        let all = self.good.len() + self.bad.len();
        if all > MAX_DURATIONS {
            for some in [&mut self.good, &mut self.bad] {
                let share = (some.len() * MAX_DURATIONS).div_ceil(all);
                *some = spaced(some, share);
            }
        }
    }

    /// Notes what the rows of items that an earlier stage gave are known by.
    pub(super) fn mark(&mut self, items: &[Box<str>]) {
        self.marks = marks_of(&Texts::of(items.iter().map(|item| &**item)), &self.rows);
    }

    /// Rows in order, the newest of those that begin with the same item; neighbours together where there are many.
    fn settle_rows(&mut self) {
        let by_first: BTreeMap<u64, (u64, u32)> =
            self.rows.drain(..).map(|(at, count, ms)| (at, (count, ms))).collect();
        let rows: Vec<(u64, u64, u32)> = by_first.into_iter().map(|(at, (count, ms))| (at, count, ms)).collect();
        let together = |some: &[(u64, u64, u32)]| {
            let (first, last) = (some[0], some[some.len() - 1]);
            let ms = some.iter().fold(0_u32, |sum, row| sum.saturating_add(row.2));
            (first.0, last.0.saturating_add(last.1) - first.0, ms)
        };
        self.rows = rows.chunks(rows.len().div_ceil(MAX_LONGEST).max(1)).map(together).collect();
    }
}

/// `count` of `all`, evenly spaced in order of length: the middle of each slice.
fn spaced(all: &mut [u32], count: usize) -> Vec<u32> {
    all.sort_unstable();
    (0..count.min(all.len())).map(|at| all[(2 * at + 1) * all.len() / (2 * count)]).collect()
}
