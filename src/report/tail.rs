//! The last lines of what stages printed, bounded whatever they print.

use std::collections::{BTreeMap, VecDeque};

use crate::base::NodeIx;
use crate::run::event::{Attempt, Event, Outcome};

use super::clean::{self, Lines};
use super::view::View;

/// Lines shown of a failed stage.
pub const TAIL_LINES: usize = 40;

/// Bytes of one chunk that can matter for the last lines; the rest of a flood is not even looked at.
const MAX_CHUNK_BYTES: usize = 64 << 10;

/// Failed attempts whose last lines are kept; a run in which more failed is read with `engine logs`.
const MAX_FAILED: usize = 200;

/// Where the end of a stage's output comes from: kept in memory by [`Tails`], or read from the stored log. Which attempt's
/// is shown says [`Excerpt::of`].
pub trait Logs {
    /// At most `lines` last lines of the last attempt of that shard of `node`, or of the last attempt of all that printed
    /// something. Raw bytes of a line may be anything; the caller cleans them.
    fn tail(&self, node: NodeIx, shard: Option<u32>, lines: usize) -> Vec<String>;
}

/// The end of what a stage printed, as every report shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Excerpt {
    /// The shard that printed it: of those that failed the first that printed anything, for there the cause usually is.
    /// None where no shard failed.
    pub shard: Option<u32>,
    /// The last lines.
    pub lines: Vec<String>,
}

impl Excerpt {
    /// At most `lines` last lines of `node`.
    pub fn of(view: &View, logs: &dyn Logs, node: NodeIx, lines: usize) -> Self {
        let failed = view.get(node).sharded.as_ref().map_or_else(Vec::new, |it| it.in_order());
        let mut said = failed.iter().map(|&shard| (Some(shard), logs.tail(node, Some(shard), lines)));
        let first = said.find(|(_, lines)| !lines.is_empty());
        let (shard, lines) = first
            .unwrap_or_else(|| (None, if failed.is_empty() { logs.tail(node, None, lines) } else { Vec::new() }));
        Self { shard, lines }
    }

    /// Whose lines they are: `pack[3]`, or the stage.
    pub fn whose(&self, view: &View, node: NodeIx) -> String {
        let id = view.id(node);
        self.shard.map_or_else(|| id.to_owned(), |shard| format!("{id}[{shard}]"))
    }
}

/// No output at hand.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLogs;

impl Logs for NoLogs {
    fn tail(&self, _: NodeIx, _: Option<u32>, _: usize) -> Vec<String> {
        Vec::new()
    }
}

/// The last lines of attempts that run, and of those that failed.
#[derive(Clone, Debug, Default)]
pub struct Tails {
    attempts: BTreeMap<(NodeIx, u32), Tail>,
    failed: usize,
}

/// One attempt's.
#[derive(Clone, Debug, Default)]
struct Tail {
    number: u16,
    lines: Lines,
    last: VecDeque<Vec<u8>>,
    is_over: bool,
}

impl Tails {
    /// Forgets what succeeded, keeps what failed.
    pub fn record(&mut self, event: &Event) {
        match event {
            Event::ShardFinished { attempt, outcome, .. } => {
                self.end(*attempt, matches!(outcome, Outcome::Success | Outcome::Cancelled));
            }
            Event::ShardLost { attempt } => self.end(*attempt, true),
            Event::ShardRetried { attempt } => {
                let old = self.attempts.remove(&(attempt.node, attempt.shard));
                self.failed -= usize::from(old.is_some_and(|tail| tail.is_over));
            }
            _ => {}
        }
    }

    /// Takes in what an attempt printed.
    pub fn output(&mut self, attempt: Attempt, bytes: &[u8]) {
        let tail = self.attempts.entry((attempt.node, attempt.shard)).or_default();
        if tail.number != attempt.number {
            self.failed -= usize::from(tail.is_over);
            *tail = Tail { number: attempt.number, ..Tail::default() };
        }
        let bytes = &bytes[bytes.len().saturating_sub(MAX_CHUNK_BYTES)..];
        let Tail { lines, last, .. } = tail;
        lines.push(bytes, |line| keep(last, line));
    }

    /// The newest whole line of any running attempt of `node`.
    pub fn newest(&self, node: NodeIx) -> Option<&[u8]> {
        let all = self.attempts.range((node, 0)..=(node, u32::MAX));
        all.filter(|(_, tail)| !tail.is_over)
            .filter_map(|(_, tail)| tail.last.back())
            .next_back()
            .map(Vec::as_slice)
    }

    /// An attempt is over.
    fn end(&mut self, attempt: Attempt, is_fine: bool) {
        let key = (attempt.node, attempt.shard);
        let Some(tail) = self.attempts.get_mut(&key) else { return };
        if is_fine || self.failed >= MAX_FAILED {
            self.attempts.remove(&key);
        } else if !tail.is_over {
            tail.is_over = true;
            self.failed += 1;
            let Tail { lines, last, .. } = tail;
            lines.finish(|line| keep(last, line));
        }
    }
}

impl Logs for Tails {
    fn tail(&self, node: NodeIx, shard: Option<u32>, lines: usize) -> Vec<String> {
        let of = shard.map_or((node, 0)..=(node, u32::MAX), |shard| (node, shard)..=(node, shard));
        let mut all = self.attempts.range(of).map(|(_, tail)| tail);
        // Workers have no end of their own; what they said last leads to what they said of an item.
        let workers = (node, *Attempt::WORKERS.start())..=(node, *Attempt::WORKERS.end());
        let worker = self.attempts.range(workers).map(|(_, tail)| tail).next_back();
        let said: Vec<_> =
            worker.into_iter().chain(all.find(|tail| tail.is_over)).flat_map(|tail| &tail.last).collect();
        said[said.len().saturating_sub(lines)..].iter().map(|line| clean::line(line, true)).collect()
    }
}

/// Keeps a line and lets the oldest go.
fn keep(last: &mut VecDeque<Vec<u8>>, line: &[u8]) {
    if last.len() == TAIL_LINES {
        last.pop_front();
    }
    last.push_back(line.to_vec());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Millis;
    use crate::run::event::Left;

    fn end(attempt: Attempt, outcome: Outcome) -> Event {
        let result = Left::default();
        Event::ShardFinished { attempt, outcome, took: Millis::new(5).since(Millis::ZERO), result }
    }

    #[test]
    fn only_the_last_lines_of_failures_stay() {
        let mut tails = Tails::default();
        let node = NodeIx::new(0);
        let one = Attempt { node, shard: 0, number: 1 };
        for number in 0..1000 {
            tails.output(one, format!("line {number}\n").as_bytes());
        }
        assert_eq!(tails.newest(node), Some(&b"line 999"[..]));
        tails.output(one, b"the end");
        tails.record(&end(one, Outcome::Exit(1)));
        let last = tails.tail(node, None, 40);
        assert_eq!((last.len(), last[0].as_str(), last[39].as_str()), (40, "line 961", "the end"));

        let two = Attempt { number: 2, ..one };
        tails.record(&Event::ShardRetried { attempt: two });
        tails.output(two, b"again\n");
        tails.record(&end(two, Outcome::Success));
        assert_eq!(tails.tail(node, None, 40), Vec::<String>::new());
        assert_eq!(tails.failed, 0);
    }

    #[test]
    fn a_flood_costs_no_more_than_its_end() {
        let mut tails = Tails::default();
        let flood = vec![b'\n'; 10 << 20];
        let attempt = Attempt { node: NodeIx::new(0), shard: 0, number: 1 };
        tails.output(attempt, &flood);
        assert_eq!(tails.attempts[&(attempt.node, 0)].last.len(), TAIL_LINES);
    }
}
