//! Output held back until its attempt ends, so that a CI host can fold it as one group.

use std::collections::{BTreeMap, VecDeque};

use crate::base::NodeIx;
use crate::run::Attempt;

use super::super::clean::{self, Lines};

/// Bytes of one attempt that are held; older lines go first.
const MAX_BYTES: usize = 512 << 10;

/// Bytes of all attempts that are held; what a run of 4,096 floods at once would print goes to the log only.
const MAX_ALL_BYTES: usize = 64 << 20;

/// Output of attempts that run.
#[derive(Debug, Default)]
pub(super) struct Held {
    attempts: BTreeMap<(NodeIx, u32), One>,
    bytes: usize,
}

/// One attempt's.
#[derive(Debug, Default)]
struct One {
    lines: Lines,
    kept: VecDeque<Vec<u8>>,
    bytes: usize,
    dropped: u64,
}

impl Held {
    /// Holds what an attempt printed.
    pub(super) fn output(&mut self, attempt: Attempt, bytes: &[u8]) {
        let mut one = self.attempts.remove(&(attempt.node, attempt.shard)).unwrap_or_default();
        let One { lines, kept, bytes: held, dropped } = &mut one;
        lines.push(bytes, |line| {
            *held += line.len() + 1;
            self.bytes += line.len() + 1;
            kept.push_back(line.to_vec());
            while *held > MAX_BYTES || (self.bytes > MAX_ALL_BYTES && !kept.is_empty()) {
                let Some(old) = kept.pop_front() else { break };
                *held -= old.len() + 1;
                self.bytes -= old.len() + 1;
                *dropped += 1;
            }
        });
        self.attempts.insert((attempt.node, attempt.shard), one);
    }

    /// Workers of a stage of whose output some is held.
    pub(super) fn workers(&self, node: NodeIx) -> Vec<Attempt> {
        let all = (node, *Attempt::WORKERS.start())..=(node, *Attempt::WORKERS.end());
        self.attempts.range(all).map(|(&(node, shard), _)| Attempt { node, shard, number: 1 }).collect()
    }

    /// The cleaned lines of an attempt that ended, how many older ones were let go, and forgets it.
    pub(super) fn take(&mut self, attempt: Attempt, colour: bool) -> (Vec<String>, u64) {
        let Some(mut one) = self.attempts.remove(&(attempt.node, attempt.shard)) else { return (Vec::new(), 0) };
        self.bytes -= one.bytes;
        let One { lines, kept, .. } = &mut one;
        lines.finish(|line| kept.push_back(line.to_vec()));
        (one.kept.iter().map(|line| clean::line(line, colour)).collect(), one.dropped)
    }
}
