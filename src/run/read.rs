//! What others may know of a run: the host, observers, and the expressions of its stages.

use std::collections::BTreeMap;

use serde_json::Value;

use super::event::{CancelLevel, CancelReason, NodeState, Outcome, RunEnd, SuspendReason, Verdict};
use super::shards::{Flight, Phase};
use super::state::{Gate, RunState};
use crate::base::{Digest, Millis, NodeIx, PoolIx};

/// How far a stage is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Shards in all; 1 for an unsharded stage.
    pub total: u32,
    /// Done.
    pub success: u32,
    /// Failed for good.
    pub failed: u32,
    /// With an attempt that runs.
    pub running: u32,
    /// Not started yet.
    pub fresh: u32,
}

impl RunState {
    /// Whether the run has begun.
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Version of the plan that is gone by, from 1.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Time of the last event.
    pub fn now(&self) -> Millis {
        self.now
    }

    /// Attempts at once.
    pub fn jobs(&self) -> u32 {
        self.jobs
    }

    /// A stage's state.
    pub fn state(&self, node: NodeIx) -> NodeState {
        self.cells[node].state
    }

    /// How often a stage was opened, from 1.
    pub fn generation(&self, node: NodeIx) -> u16 {
        self.cells[node].generation
    }

    /// Number of the last attempt of a shard; 0 when there was none.
    pub fn attempts(&self, node: NodeIx, shard: u32) -> u16 {
        if shard < self.shards_of(node) { self.shards.number((node, shard)) } else { 0 }
    }

    /// Attempts of this generation that count for the retry budget.
    pub fn attempts_used(&self, node: NodeIx, shard: u32) -> u16 {
        if shard < self.shards_of(node) { self.shards.used((node, shard)) } else { 0 }
    }

    /// Attempts of a stage that run now, by shard.
    pub fn running(&self, node: NodeIx) -> &[Flight] {
        self.flights.of(node)
    }

    /// All attempts that run now, by stage and shard.
    pub fn flights(&self) -> &[Flight] {
        self.flights.all()
    }

    /// Workers of a stage that are hired; 0 of one without.
    pub fn workers(&self, node: NodeIx) -> u32 {
        self.crews.of(node).map_or(0, |band| band.workers)
    }

    /// Questions put to the outside without an answer yet.
    pub fn open_checks(&self) -> u32 {
        self.checks
    }

    /// When the first attempt of this generation started, or an approval opened.
    pub fn started(&self, node: NodeIx) -> Option<Millis> {
        self.cells[node].started
    }

    /// When a stage ended.
    pub fn ended(&self, node: NodeIx) -> Option<Millis> {
        self.cells[node].ended
    }

    /// Since when a stage waits for its turn.
    pub fn ready_since(&self, node: NodeIx) -> Option<Millis> {
        self.cells[node].ready_at
    }

    /// How far a stage is.
    pub fn progress(&self, node: NodeIx) -> Progress {
        let cell = &self.cells[node];
        let total = self.shards_of(node);
        let fresh = total - cell.cursor.min(total);
        Progress { total, success: cell.success, failed: cell.failed, running: cell.flights, fresh }
    }

    /// Where each shard of a stage stands.
    pub fn phases(&self, node: NodeIx) -> &[Phase] {
        self.shards.phases(node)
    }

    /// What a stage wrote to `$ENGINE_OUTPUT`.
    pub fn outputs(&self, node: NodeIx) -> &[(String, Value)] {
        self.left.get(&node).map_or(&[], |left| &left.outputs)
    }

    /// What the shards of a stage wrote, where some other stage reads it.
    pub fn shard_outputs(&self, node: NodeIx) -> Option<&BTreeMap<u32, Vec<(String, Value)>>> {
        self.left.get(&node).map(|left| &left.shards)
    }

    /// The Merkle root of what a stage's shards left.
    pub fn root(&self, node: NodeIx) -> Option<Digest> {
        self.left.get(&node).and_then(|left| left.root)
    }

    /// Manifests of a stage's artifacts, by shard.
    pub fn artifacts(&self, node: NodeIx) -> &[(u32, Digest)] {
        self.left.get(&node).map_or(&[], |left| &left.artifacts)
    }

    /// How many stages are in `state`.
    pub fn count(&self, state: NodeState) -> u32 {
        self.counts[state as usize]
    }

    /// Stages by state, in the order of `NodeState`.
    pub fn counts(&self) -> &[u32; NodeState::ALL.len()] {
        &self.counts
    }

    /// Whether nothing runs and no question is open: the host may leave without losing anything.
    pub fn is_quiescent(&self) -> bool {
        self.flights.all().is_empty() && self.checks == 0 && self.crews.is_empty()
    }

    /// Approvals that wait for a person, and until when.
    pub fn open_approvals(&self) -> impl Iterator<Item = (NodeIx, Option<Millis>)> {
        self.open_gates.iter().map(|&node| match self.cells[node].gate {
            Gate::Open(expires) => (node, expires),
            _ => (node, None),
        })
    }

    /// Stages whose outcome only a person can tell.
    pub fn unknown(&self) -> impl Iterator<Item = NodeIx> {
        self.unknown.iter().copied()
    }

    /// Whether a person must decide about `node`.
    pub(super) fn waits_for_person(&self, node: NodeIx) -> bool {
        self.open_gates.contains(&node) || self.unknown.contains(&node)
    }

    /// Whether nothing will happen before a person decides something: nothing runs, nothing can start, and no
    /// clock but a person's own runs.
    pub fn needs_person(&self) -> bool {
        let is_asked = !self.open_gates.is_empty() || !self.unknown.is_empty() || self.is_frozen();
        let can_go_on = self.ready.first().is_some()
            || !self.delayed.is_empty()
            || self.has_held()
            || !self.todo.is_empty()
            || !self.deferred.is_empty();
        let is_live = self.has_begun && self.verdict.is_none();
        is_live && is_asked && self.is_quiescent() && (!can_go_on || self.is_held_back())
    }

    /// How the run ended.
    pub fn verdict(&self) -> Option<&Verdict> {
        self.verdict.as_ref()
    }

    /// How hard the run is being cancelled, and why.
    pub fn cancel(&self) -> Option<(CancelLevel, CancelReason)> {
        self.cancel
    }

    /// Whether new starts are held back.
    pub fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// Why the engine leaves, if it does.
    pub fn suspended(&self) -> Option<SuspendReason> {
        self.suspended
    }

    /// Whether the clean-up has begun.
    pub fn in_finally(&self) -> bool {
        self.in_finally
    }

    /// Stages that make the run fail, in the order in which they did.
    pub fn failed(&self) -> &[NodeIx] {
        &self.failed
    }

    /// Whether the run failed only because stages could not be started at all: a tool or a folder is missing.
    pub fn lacks_only_tools(&self) -> bool {
        let is_missing = |node: &NodeIx| matches!(self.causes.get(node), Some((_, Outcome::NotStarted(_))));
        !self.timed_out && !self.has_unknown() && !self.failed.is_empty() && self.failed.iter().all(is_missing)
    }

    /// Units of a pool in use.
    pub fn pool_used(&self, pool: PoolIx) -> u32 {
        self.ready.used(pool)
    }

    /// What the run comes to as far as it is known: what `run.state` says to an expression.
    pub fn outlook(&self) -> &'static str {
        let state = self.decided().map_or_else(|| self.judge().state, |verdict| verdict.state);
        match state {
            RunEnd::RolledBack | RunEnd::RollbackFailed if !self.in_finally && self.decided().is_none() => {
                "failed"
            }
            RunEnd::RolledBack => "rolled-back",
            RunEnd::RollbackFailed => "rollback-failed",
            RunEnd::Success if self.in_finally || self.decided().is_some() => "success",
            RunEnd::Success => "running",
            RunEnd::Failed => "failed",
            RunEnd::Cancelled => "cancelled",
        }
    }

    /// Whether all conditions of a stage hold; the words say why that can't be told. A run that is only thought
    /// through takes what only a real one can tell as true.
    pub(super) fn holds(&self, node: NodeIx) -> Result<bool, String> {
        let answer = super::facts::holds(self, node);
        if super::thought::is_later(&answer) {
            return Ok(true);
        }
        answer.map_err(|error| format!("its `if` can't be told: {error}"))
    }
}
