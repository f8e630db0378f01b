//! What must hold, worked out from the events alone and compared with what the core believes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine::base::{NodeIx, PoolIx};
use engine::graph::Graph;
use engine::graph::model::Phase;
use engine::run::event::{CancelLevel, NodeState, ReopenReason, SkipReason};
use engine::run::{Attempt, Event, RunState};

type Key = (NodeIx, u32);

/// A naive recount of a run.
pub(crate) struct Laws {
    graph: Arc<Graph>,
    running: BTreeMap<Key, u16>,
    checks: BTreeSet<Key>,
    highest: BTreeMap<Key, u16>,
    /// Re-tries in this generation of a stage.
    retries: BTreeMap<Key, u32>,
    states: BTreeMap<NodeIx, NodeState>,
    done: BTreeSet<Key>,
    cancel: Option<CancelLevel>,
    is_paused: bool,
}

impl Laws {
    pub(crate) fn new(graph: &Arc<Graph>) -> Self {
        Self {
            graph: Arc::clone(graph),
            running: BTreeMap::new(),
            checks: BTreeSet::new(),
            highest: BTreeMap::new(),
            retries: BTreeMap::new(),
            states: BTreeMap::new(),
            done: BTreeSet::new(),
            cancel: None,
            is_paused: false,
        }
    }

    /// An event must be allowed in the state that it meets.
    pub(crate) fn check(&self, state: &RunState, event: &Event) {
        match event {
            Event::ShardsStarted { node, first, count } => {
                assert!(*count > 0, "an empty block");
                for shard in *first..first + count {
                    self.may_start(state, Attempt { node: *node, shard, number: 1 });
                }
            }
            Event::ShardRetried { attempt } => self.may_start(state, *attempt),
            Event::RetryScheduled { attempt, .. } => {
                let max = self.graph.nodes[attempt.node].rules.retry.as_ref().map_or(0, |retry| retry.max);
                let used = self.retries.get(&(attempt.node, attempt.shard)).copied().unwrap_or_default();
                assert!(used < max, "{attempt:?}: more re-tries than {max}");
            }
            Event::NodeSkipped { node, .. } | Event::NodeFinished { node, .. } => {
                let runs = self.running.keys().any(|key| key.0 == *node);
                assert!(!runs, "{node:?} ends while it runs");
            }
            Event::CancelRaised { level, .. } => assert!(self.cancel < Some(*level), "a cancel falls"),
            _ => {}
        }
    }

    fn may_start(&self, state: &RunState, attempt: Attempt) {
        let key = (attempt.node, attempt.shard);
        let node = &self.graph.nodes[attempt.node];
        assert!(!self.running.contains_key(&key), "two attempts of {key:?}");
        assert!(!self.done.contains(&key), "promise 2: {key:?} is done");
        assert!(self.highest.get(&key).is_none_or(|&highest| attempt.number > highest), "{attempt:?} again");
        assert!(!self.is_paused, "{key:?} starts in a pause");
        let is_handler = node.needs.iter().any(|need| need.accept.failed && self.state(need.node).is_failure());
        match (node.phase, self.cancel) {
            (_, None) => {}
            (Phase::Finally, Some(level)) => assert!(level < CancelLevel::Kill, "clean-up after a kill"),
            (Phase::Main, Some(level)) => {
                assert!(level == CancelLevel::Drain && is_handler, "{key:?} starts after a cancel");
            }
        }
        for need in &node.needs {
            let is = self.state(need.node);
            let unselected = !self.graph.nodes[need.node].selected;
            let accepted = (is.is_success() && need.accept.success)
                || (is == NodeState::Skipped && (need.accept.skipped || unselected))
                || (is.is_failure() && need.accept.failed);
            assert!(accepted, "{key:?} starts although {:?} is {is:?}", need.node);
        }
        assert!(node.phase == Phase::Main || state.in_finally(), "clean-up before its time");
    }

    fn state(&self, node: NodeIx) -> NodeState {
        self.states.get(&node).copied().unwrap_or(NodeState::Pending)
    }

    fn start(&mut self, attempt: Attempt) {
        let key = (attempt.node, attempt.shard);
        self.running.insert(key, attempt.number);
        self.highest.insert(key, attempt.number);
    }

    pub(crate) fn hear(&mut self, event: &Event) {
        match event {
            Event::ShardsStarted { node, first, count } => {
                (*first..first + count).for_each(|shard| self.start(Attempt { node: *node, shard, number: 1 }));
            }
            Event::ShardRetried { attempt } => self.start(*attempt),
            Event::RetryScheduled { attempt, .. } => {
                *self.retries.entry((attempt.node, attempt.shard)).or_default() += 1;
            }
            Event::ShardFinished { attempt, outcome, .. } => {
                let key = (attempt.node, attempt.shard);
                assert_eq!(self.running.remove(&key), Some(attempt.number), "the fence");
                if *outcome == engine::run::Outcome::Success {
                    self.done.insert(key);
                }
            }
            Event::ShardLost { attempt } => {
                let was = self.running.remove(&(attempt.node, attempt.shard));
                assert_eq!(was, Some(attempt.number), "only what runs is lost");
            }
            Event::CheckStarted { node, shard, .. } => {
                assert!(self.checks.insert((*node, *shard)), "a question is asked twice");
            }
            Event::CheckAnswered { node, shard, .. } => {
                assert!(self.checks.remove(&(*node, *shard)), "an answer without a question");
            }
            Event::NodeFinished { node, state, .. } => {
                self.states.insert(*node, *state);
            }
            Event::NodeSkipped { node, why } => {
                let is_blocked = matches!(why, SkipReason::Blocked { .. });
                self.states.insert(*node, if is_blocked { NodeState::Blocked } else { NodeState::Skipped });
            }
            Event::NodeReopened { node, why } => self.reopen(*node, *why),
            Event::PauseChanged { on } => self.is_paused = *on,
            Event::CancelRaised { level, .. } => self.cancel = Some(*level),
            Event::RunResumed(_) => {
                (self.cancel, self.is_paused) = (None, false);
                self.checks.clear();
            }
            _ => {}
        }
    }

    fn reopen(&mut self, node: NodeIx, why: ReopenReason) {
        self.states.remove(&node);
        self.retries.retain(|key, _| key.0 != node);
        let is_finally = self.graph.nodes[node].phase == Phase::Finally;
        if is_finally || matches!(why, ReopenReason::Upstream) {
            self.done.retain(|key| key.0 != node);
        }
    }

    /// What the core believes is what happened.
    pub(crate) fn audit(&self, state: &RunState) {
        let slots = self.running.len() + self.checks.len();
        assert!(slots <= state.jobs() as usize, "more than {} at once", state.jobs());
        let runs: Vec<Key> = state.flights().iter().map(|it| (it.attempt().node, it.attempt().shard)).collect();
        assert!(runs.iter().eq(self.running.keys()), "the core's attempts are {runs:?}");
        let mut counts = [0_u32; 14];
        for (node, it) in self.graph.nodes.pairs() {
            let is = state.state(node);
            counts[is as usize] += 1;
            let running = self.running.range((node, 0)..=(node, u32::MAX)).count();
            assert_eq!(state.progress(node).running as usize, running);
            assert!(running == 0 || is == NodeState::Running, "{} runs as {is:?}", it.id);
            if let Some(&ended) = self.states.get(&node) {
                assert_eq!(is, ended, "{}", it.id);
            }
        }
        assert!(!state.has_begun() || counts == *state.counts(), "states are counted wrong");
        for (pool, it) in self.graph.pools.pairs() {
            let used = self.pool_used(pool, it.capacity);
            assert!(used <= it.capacity, "pool {} is overdrawn", it.name);
            assert_eq!(state.pool_used(pool), used, "pool {}", it.name);
        }
    }

    fn pool_used(&self, pool: PoolIx, capacity: u32) -> u32 {
        let weight = |key: &Key| {
            let pools = &self.graph.nodes[key.0].rules.pools;
            pools.iter().filter(|it| it.0 == pool).map(|it| it.1).sum::<u32>().min(capacity)
        };
        self.running.keys().map(weight).sum()
    }
}
