//! A disk that is behind, and what may start before it has caught up.

use std::collections::VecDeque;
use std::sync::Arc;

use engine::base::{Millis, NodeIx, limits};
use engine::graph::Graph;
use engine::run::event::NodeState;
use engine::run::{Core, Event, Horizon, RunState};

use crate::plan::Dice;

/// The journal of a simulated run, synced at random moments.
pub(crate) struct Disk {
    horizon: Horizon,
    /// The run as it is on the disk.
    durable: Core,
    sequence: u64,
    waiting: VecDeque<(Millis, Event)>,
    dice: Dice,
    /// Attempts that left before their record was durable, by the sequence number of that.
    early: VecDeque<(u64, u32)>,
    /// How many of them there were.
    pub(crate) early_starts: u32,
}

impl Disk {
    pub(crate) fn new(seed: u64, versions: &[Arc<Graph>]) -> Self {
        Self {
            horizon: Horizon::new(0),
            durable: Core::new(versions.to_vec()),
            sequence: 0,
            waiting: VecDeque::new(),
            dice: Dice(seed ^ 0x6a09_e667),
            early: VecDeque::new(),
            early_starts: 0,
        }
    }

    /// The next record: judged, then on its way to the disk. `state` is that of the run with it.
    pub(crate) fn hear(&mut self, at: Millis, event: &Event, state: &RunState) {
        if self.horizon.takes_off(event, state) {
            let Event::ShardsStarted { node, count, .. } = event else { panic!("{event:?} is no first start") };
            self.early.push_back((self.sequence + self.waiting.len() as u64 + 1, *count));
            self.early_starts += count;
            self.judge(*node, state);
        }
        self.waiting.push_back((at, event.clone()));
    }

    /// A crash now would forget this start. The run as it is on the disk must allow it all the same, and its stage
    /// may be repeated.
    fn judge(&self, node: NodeIx, state: &RunState) {
        let (durable, it) = (self.durable.state(), &state.graph().nodes[node]);
        assert!(it.rules.idempotent && !it.rules.has_done_if, "{} must not be repeated", it.id);
        for need in it.needs.iter().filter(|need| state.is_awake(need.node)) {
            let is = durable.state(need.node);
            let is_over = is.is_success() || is.is_failure() || is == NodeState::Skipped;
            assert!(is_over, "{} starts, and what it needs is {is:?} on the disk", it.id);
        }
        assert_eq!(durable.cancel(), state.cancel(), "{} starts beside a cancel", it.id);
        assert_eq!(durable.is_paused(), state.is_paused(), "{} starts beside a pause", it.id);
        assert_eq!(durable.version(), state.version(), "{} starts beside a new plan", it.id);
        assert!(durable.has_begun() && durable.suspended().is_none() && durable.verdict().is_none());
        let forgotten: u32 = self.early.iter().map(|(_, count)| count).sum();
        let most = state.jobs() + limits::MAX_UNRECORDED_STARTS;
        assert!(forgotten <= most, "a crash would forget {forgotten} attempts");
    }

    /// The disk may catch up, with some of what waits or with all.
    pub(crate) fn sync(&mut self) {
        let count = match self.dice.below(3) {
            0 => 0,
            1 => self.waiting.len() / 2,
            _ => self.waiting.len(),
        };
        self.settle(count);
    }

    /// All that was said is on the disk, as when another engine has read it.
    pub(crate) fn settle_all(&mut self) {
        self.settle(self.waiting.len());
    }

    fn settle(&mut self, count: usize) {
        for (at, event) in self.waiting.drain(..count) {
            self.durable.replay(at, &event);
            self.sequence += 1;
        }
        self.horizon.advance(self.sequence);
        while self.early.front().is_some_and(|&(sequence, _)| sequence <= self.sequence) {
            self.early.pop_front();
        }
    }
}
