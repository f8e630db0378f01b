//! Rollback points: good runs, and what a run that goes back to one takes from it.

use std::collections::BTreeMap;

use super::collect::process;
use super::compile::{Expected, recorded_options};
use super::host::Error;
use super::live::Live;
use super::recorded::Read;
use crate::base::{NodeIx, RunId, Text};
use crate::graph::Graph;
use crate::journal::summary::{self, RunState};
use crate::journal::{self, RunDir, StateDir};
use crate::run::Input;
use crate::run::event::{Answer, Attempt, Began, CancelReason, CheckKind, ShardResult};

/// What the stages of a good run left that have artifacts, by their ids.
#[derive(Clone, Debug, Default)]
pub struct Point(BTreeMap<Text, ShardResult>);

impl Point {
    /// What the run in `dir` takes from the run that it goes back to, if it does.
    ///
    /// # Errors
    /// Damage.
    pub fn of(state: &StateDir, dir: &RunDir) -> Result<Self, Error> {
        match recorded_options(dir).back_to.as_deref().and_then(RunId::parse) {
            Some(id) => Self::read(state, &id),
            None => Ok(Self::default()),
        }
    }

    /// Reads what run `id` left. Nothing when it was deleted: its stages are then done again.
    ///
    /// # Errors
    /// Damage.
    pub fn read(state: &StateDir, id: &RunId) -> Result<Self, Error> {
        let dir = match state.run(id) {
            Err(journal::Error::NoRun { .. }) => return Ok(Self::default()),
            found => found?,
        };
        let read = Read::open(dir, &Expected::default())?;
        let (run, graph) = (read.state(), read.state().graph());
        let mut left = BTreeMap::new();
        for (ix, node) in graph.stages().filter(|(ix, _)| run.state(*ix).is_success()) {
            if let [(_, manifest)] = run.artifacts(ix) {
                let outputs = run.outputs(ix).to_vec();
                let result = ShardResult { outputs, artifacts: Some(*manifest), ..ShardResult::default() };
                left.insert(node.id.clone(), result);
            }
        }
        Ok(Self(left))
    }

    /// What stage `id` left then.
    pub fn left_by(&self, id: &str) -> Option<&ShardResult> {
        self.0.get(id)
    }
}

impl Live {
    /// Answers a question to the cache by the good run that this one goes back to, if that is what it is about.
    pub(super) fn is_told_by_point(&self, node: NodeIx, inputs: &mut Vec<Input>) -> bool {
        let attempt = Attempt { node, shard: 0, number: 0 };
        let left = self.point.left_by(&self.graph.nodes[node].id);
        if left.is_none() && process(&self.graph, attempt).cache.is_some() {
            return false;
        }
        let answer = left.map_or(Answer::No, |left| Answer::Yes(Box::new(left.clone())));
        inputs.push(Input::Checked { node, shard: 0, kind: CheckKind::Cache, answer });
        true
    }
}

impl Graph {
    /// What stages with artifacts left in the run that this one goes back to is taken from there.
    pub fn go_back(&mut self) {
        for node in &mut self.nodes {
            if let crate::graph::model::Work::Process(process) = &node.work {
                let is_kept = !process.artifacts.is_empty() && node.rules.split.is_none();
                node.rules.has_cache |= is_kept && node.phase.is_stage();
            }
        }
    }
}

/// How many runs of the same release (same graph, inputs and key) were rolled back without an order.
pub(super) fn earlier_rollbacks(state: &StateDir, began: &Began) -> Result<u32, Error> {
    let Some(key) = &began.key else { return Ok(0) };
    let mut count = 0;
    for entry in state.runs()? {
        let is_same = |other: &Began| other.key.as_ref() == Some(key) && other.graph == began.graph;
        if !entry.began.as_ref().is_some_and(is_same) {
            continue;
        }
        // A record that cannot be read says nothing about rollbacks.
        let Ok(found) = summary::of(&entry.dir) else { continue };
        let is_automatic = found.verdict.is_some_and(|it| it.cancelled_by != Some(CancelReason::Rollback));
        count += u32::from(is_automatic && matches!(found.state, RunState::RolledBack | RunState::RollbackFailed));
    }
    Ok(count)
}
