//! What was decided and is not yet on the disk, and which starts need not wait for it.
//!
//! A start may leave before its own record is durable when nothing is lost if that record never gets there: the
//! next engine then knows nothing of the attempt, ends its processes before it starts anything, and runs it as if
//! for the first time. ADR 0008 has the reasons.

use std::collections::VecDeque;

use super::event::{Event, NodeState, Outcome};
use super::state::RunState;
use crate::base::{NodeIx, limits};

/// The records behind the last durable one.
#[derive(Clone, Debug, Default)]
pub struct Horizon {
    /// Sequence number of the last record that was decided.
    last: u64,
    /// Sequence number of the last durable one.
    durable: u64,
    /// The last record that is neither a start nor a success: nothing starts early beside it.
    strict: u64,
    /// The last record that somebody waits for: one of those, or a start that did not take off.
    awaited: u64,
    /// The last record that the disk was asked for. What is behind it need not be asked for again.
    asked: u64,
    /// Stages that ended, with the record that says so; the oldest first, none of them durable.
    ended: VecDeque<(u64, NodeIx)>,
    /// Attempts that left early, with the record of their start; none of these is durable.
    early: VecDeque<(u64, u32)>,
    /// How many these are.
    unrecorded: u32,
    /// Those of them that the disk was not asked for.
    unasked: u32,
}

impl Horizon {
    /// Of a journal whose last record is `last`, and durable.
    pub fn new(last: u64) -> Self {
        Self { last, durable: last, asked: last, ..Self::default() }
    }

    /// Takes in the next record, on its way to the disk. Whether what it starts may start now: the first attempts
    /// of an idempotent stage, when the end of everything that it needs is durable, and so is every record
    /// that is neither a start nor a success. No more of them than [`most`](Self::most), so that a power cut forgets no
    /// more.
    ///
    /// `state` is that of the run with this record and perhaps later ones.
    pub fn takes_off(&mut self, event: &Event, state: &RunState) -> bool {
        self.last += 1;
        match event {
            Event::ShardsStarted { node, count, .. } => {
                let is_free = self.is_free(*node, *count, state);
                // What workers have in hand has a bound of its own.
                if is_free && !state.is_crewed(*node) {
                    self.early.push_back((self.last, *count));
                    self.unrecorded += count;
                    self.unasked += count;
                } else {
                    self.awaited = self.last;
                }
                return is_free;
            }
            // Workers get more items once their answers are on the disk.
            Event::ShardFinished { attempt, outcome: Outcome::Success, .. } => {
                if state.is_crewed(attempt.node) {
                    self.awaited = self.last;
                }
            }
            Event::ShardRetried { .. } | Event::ShardsFinished { .. } => self.awaited = self.last,
            Event::NodeFinished { node, state: NodeState::Success, .. } => {
                self.ended.push_back((self.last, *node));
            }
            _ => (self.strict, self.awaited) = (self.last, self.last),
        }
        false
    }

    /// Sequence number of the last record that was taken in.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Whether the disk has to be asked for everything up to the last record, and was not yet: somebody waits for it, a
    /// command that may not leave before, or starts that soon may not. It counts as asked from here on.
    pub fn asks(&mut self, state: &RunState) -> bool {
        let asks = self.awaited > self.asked || self.unasked * 2 > Self::most(state);
        if asks {
            (self.asked, self.unasked) = (self.last, 0);
        }
        asks
    }

    /// How many attempts may be without a durable record: as many as can run at once, and
    /// [`limits::MAX_UNRECORDED_STARTS`].
    fn most(state: &RunState) -> u32 {
        state.jobs() + limits::MAX_UNRECORDED_STARTS
    }

    /// Everything up to `sequence` is on the disk.
    pub fn advance(&mut self, sequence: u64) {
        self.durable = self.durable.max(sequence);
        while self.ended.front().is_some_and(|&(sequence, _)| sequence <= self.durable) {
            self.ended.pop_front();
        }
        while let Some(&(_, count)) = self.early.front().filter(|(sequence, _)| *sequence <= self.durable) {
            self.unrecorded -= count;
            self.early.pop_front();
        }
        if self.durable > self.asked {
            // The disk was not asked, and has more than it was asked for: what lingered long enough.
            self.asked = self.durable;
            self.unasked = self.unrecorded;
        }
    }

    fn is_free(&self, node: NodeIx, count: u32, state: &RunState) -> bool {
        let it = &state.graph().nodes[node];
        let is_recent = |node: NodeIx| self.ended.iter().any(|&(_, ended)| ended == node);
        self.strict <= self.durable
            && it.rules.idempotent
            && !it.rules.has_done_if
            && (state.is_crewed(node) || self.unrecorded + count <= Self::most(state))
            && !it.needs.iter().any(|need| is_recent(need.node))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::Span;
    use crate::graph::Graph;
    use crate::graph::Parts;
    use crate::graph::model::{Accept, Need, Node};
    use crate::run::{Attempt, Core};

    /// `a`; `b` needs `a`; `c` must not be repeated; `d` has a `done-if`.
    fn state() -> RunState {
        let mut nodes = ["a", "b", "c", "d"].map(Node::plain);
        nodes[1].needs = vec![Need { node: NodeIx::new(0), accept: Accept::DEFAULT }];
        nodes[2].rules.idempotent = false;
        nodes[3].rules.has_done_if = true;
        let graph = Graph::assemble(Parts::of("test", nodes.into())).expect("there is no cycle");
        let mut state = Core::new(vec![Arc::new(graph)]).state().clone();
        state.jobs = 4;
        state
    }

    fn start(node: u32) -> Event {
        Event::ShardsStarted { node: NodeIx::new(node), first: 0, count: 1 }
    }

    fn end(node: u32, state: NodeState) -> Event {
        Event::NodeFinished { node: NodeIx::new(node), state, reason: String::new() }
    }

    fn result(outcome: Outcome) -> Event {
        let attempt = Attempt { node: NodeIx::new(0), shard: 0, number: 1 };
        Event::ShardFinished { attempt, outcome, took: Span::ZERO, result: crate::run::event::Left::default() }
    }

    #[test]
    fn a_first_attempt_leaves_beside_starts_and_successes_of_others() {
        let (state, mut horizon) = (state(), Horizon::new(1));
        assert!(horizon.takes_off(&start(0), &state));
        let of_another = end(3, NodeState::Success);
        assert!(!horizon.takes_off(&result(Outcome::Success), &state), "only starts take off");
        assert!(!horizon.takes_off(&of_another, &state));
        assert!(horizon.takes_off(&start(0), &state));
    }

    #[test]
    fn it_waits_for_the_durable_end_of_what_it_needs() {
        let (state, mut horizon) = (state(), Horizon::new(1));
        horizon.takes_off(&result(Outcome::Success), &state);
        horizon.takes_off(&end(0, NodeState::Success), &state);
        assert!(!horizon.takes_off(&start(1), &state));
        horizon.advance(2);
        assert!(!horizon.takes_off(&start(1), &state));
        horizon.advance(3);
        assert!(horizon.takes_off(&start(1), &state));
    }

    #[test]
    fn nothing_leaves_beside_any_other_fact_until_that_is_durable() {
        let state = state();
        let node = NodeIx::new(0);
        let attempt = Attempt { node, shard: 0, number: 2 };
        for fact in [
            result(Outcome::Exit(1)),
            end(0, NodeState::Failed),
            end(0, NodeState::Cached),
            Event::NodeAdmitted { node },
            Event::PauseChanged { on: true, by: String::new() },
            Event::ShardLost { attempt },
            Event::FinallyBegan,
        ] {
            let mut horizon = Horizon::new(7);
            horizon.takes_off(&fact, &state);
            assert!(!horizon.takes_off(&start(0), &state), "{fact:?}");
            horizon.advance(8);
            assert!(horizon.takes_off(&start(0), &state), "{fact:?} is durable");
        }
    }

    #[test]
    fn no_more_leave_than_a_power_cut_may_forget() {
        let (state, mut horizon) = (state(), Horizon::new(0));
        let most = state.jobs() + limits::MAX_UNRECORDED_STARTS;
        let started = (0..most).filter(|_| horizon.takes_off(&start(0), &state)).count();
        assert_eq!(started, most as usize);
        assert!(!horizon.takes_off(&start(0), &state));
        horizon.advance(1);
        assert!(horizon.takes_off(&start(0), &state), "the first one's record is durable");
        let block = Event::ShardsStarted { node: NodeIx::new(0), first: 0, count: most + 1 };
        assert!(!Horizon::new(0).takes_off(&block, &state));
    }

    #[test]
    fn nobody_waits_for_starts_that_left_and_for_successes() {
        let (state, mut horizon) = (state(), Horizon::new(1));
        for event in [start(0), result(Outcome::Success), end(3, NodeState::Success)] {
            horizon.takes_off(&event, &state);
            assert!(!horizon.asks(&state), "{event:?}");
        }
    }

    #[test]
    fn the_disk_is_asked_once_for_what_somebody_waits_for() {
        let state = state();
        let again = Event::ShardRetried { attempt: Attempt { node: NodeIx::new(0), shard: 0, number: 2 } };
        for event in [start(2), start(3), again, result(Outcome::Exit(1)), end(0, NodeState::Failed)] {
            let mut horizon = Horizon::new(1);
            horizon.takes_off(&event, &state);
            horizon.takes_off(&result(Outcome::Success), &state);
            assert!(horizon.asks(&state), "{event:?}");
            horizon.takes_off(&result(Outcome::Success), &state);
            assert!(!horizon.asks(&state), "{event:?} was asked for");
            horizon.takes_off(&event, &state);
            assert!(horizon.asks(&state), "another {event:?}");
        }
    }

    #[test]
    fn the_disk_is_asked_before_starts_have_to_wait_for_it() {
        let (state, mut horizon) = (state(), Horizon::new(0));
        let most = state.jobs() + limits::MAX_UNRECORDED_STARTS;
        let lazy = (0..most).filter(|_| horizon.takes_off(&start(0), &state) && !horizon.asks(&state));
        let lazy = lazy.count();
        assert_eq!(lazy, most as usize - 1, "once, when half of them have left");
        horizon.advance(u64::from(most));
        let starts = |horizon: &mut Horizon, count: u32| {
            (0..count).filter(|_| horizon.takes_off(&start(0), &state) && horizon.asks(&state)).count()
        };
        assert_eq!(starts(&mut horizon, most / 2), 0, "what is durable does not count");
        assert_eq!(starts(&mut horizon, 1), 1);
    }

    #[test]
    fn what_must_not_be_repeated_and_what_is_repeated_wait_for_their_own_record() {
        let (state, mut horizon) = (state(), Horizon::new(1));
        assert!(!horizon.takes_off(&start(2), &state), "`idempotent: false`");
        assert!(!horizon.takes_off(&start(3), &state), "`done-if`");
        let attempt = Attempt { node: NodeIx::new(0), shard: 0, number: 2 };
        assert!(!horizon.takes_off(&Event::ShardRetried { attempt }, &state), "a later attempt");
    }
}
