//! How attempts of a live engine start and stop: as processes, or as gates of the host.

use std::sync::Arc;

use super::checks::Unkeyed;
use super::collect::{not_started, process};
use super::keys::Purpose;
use super::live::Live;
use super::prepare::Prepared;
use crate::exec::{Executor, Spec};
use crate::graph::model::Process;
use crate::render::mask::Masker;
use crate::run::event::{CheckKind, StopKind};
use crate::run::{Attempt, Input};

impl Live {
    /// Puts artifacts of its needs in place where they are not, and makes the keys that its result will be remembered by
    /// where an earlier engine asked the cache, then launches the attempt.
    pub(super) fn start(&mut self, attempt: Attempt, inputs: &mut Vec<Input>) {
        let needed = self.checks.missing_artifacts(&self.graph, attempt.node, self.core.state());
        let unkeyed = self.unkeyed(attempt);
        if needed.is_empty() && unkeyed.is_none() {
            self.launch(attempt, inputs);
        } else {
            self.restoring.insert(attempt, true);
            self.checks.restore(attempt, needed, unkeyed, &self.sender);
        }
    }

    fn unkeyed(&self, attempt: Attempt) -> Option<Unkeyed> {
        let (node, process) = (attempt.node, process(&self.graph, attempt));
        (process.cache.is_some() && self.checks.lacks_keys(node)).then(|| Unkeyed {
            material: self.preparer.material(&self.graph, node, process, self.core.state()),
            items: self.graph.nodes[node].rules.split.is_some().then(|| process.items.clone()),
        })
    }

    /// The start of an attempt that left early is durable: what it printed may be seen.
    pub(super) fn confirm(&mut self, attempt: Attempt, inputs: &mut Vec<Input>) {
        if let Some(key) = self.keys.of(attempt) {
            self.captured.release(key);
        }
        if let Some(ended) = self.unheard.remove(&attempt) {
            self.ended(&ended, inputs);
        }
    }

    /// Stops an attempt; one that is not a process yet never becomes one.
    pub(super) fn stop(&mut self, attempt: Attempt, how: StopKind, inputs: &mut Vec<Input>) {
        if self.core.state().is_crewed(attempt.node) {
            self.crews.stop(attempt.node, attempt.shard, how);
        } else if let Some(key) = self.keys.of(attempt) {
            if !self.gates.stop(key) {
                self.local.stop(key, how);
            }
        } else if let Some(is_wanted) = self.restoring.get_mut(&attempt) {
            *is_wanted = false;
        } else if self.fetching.remove(&attempt) {
            // A source may take its time; nobody waits for it.
            inputs.push(not_started(attempt, "stopped before it was started".to_owned()));
        }
    }

    pub(super) fn launch(&mut self, attempt: Attempt, inputs: &mut Vec<Input>) {
        let graph = Arc::clone(&self.graph);
        let process = process(&graph, attempt);
        if let Some(secrets) = &self.secrets {
            if secrets.is_stale(process) {
                self.fetching.insert(attempt);
                return secrets.refresh_beside(attempt, process, &self.sender);
            }
            let untold = secrets.untold();
            inputs.extend((!untold.is_empty()).then_some(Input::SecretsFetched(untold)));
        }
        let prepared = self.preparer.attempt(&graph, attempt, process, self.core.state());
        let started = prepared.and_then(|(prepared, slate)| {
            let cwd = prepared.cwd.clone();
            self.spawn(prepared, process, Purpose::Attempt { attempt, slate, cwd }, attempt)
        });
        inputs.extend(started.err().map(|why| not_started(attempt, why)));
    }

    /// What finds secrets in text, if there are any.
    pub(super) fn masker(&self) -> Option<Arc<Masker>> {
        self.secrets.as_ref()?.masker()
    }

    pub(super) fn ask_done_if(&mut self, attempt: Attempt, inputs: &mut Vec<Input>) {
        let graph = Arc::clone(&self.graph);
        let process = process(&graph, attempt);
        let Attempt { node, shard, .. } = attempt;
        let kind = CheckKind::DoneIf;
        let prepared = self.preparer.done_if(&graph, attempt, process, self.core.state());
        let started = prepared.and_then(|(prepared, slate)| {
            self.spawn(prepared, process, Purpose::Check { node, shard, kind, slate }, attempt)
        });
        if let Err(why) = started {
            let answer = crate::run::event::Answer::Unknown(format!("`done-if` could not be started: {why}"));
            inputs.push(Input::Checked { node, shard, kind, answer });
        }
    }

    /// Hands a process over to the executor, with its secrets.
    pub(super) fn spawn(
        &mut self,
        prepared: Prepared,
        process: &Process,
        purpose: Purpose,
        attempt: Attempt,
    ) -> Result<(), String> {
        let secrets = match &self.secrets {
            Some(secrets) => secrets.variables(process)?,
            None => Vec::new(),
        };
        let is_check = matches!(purpose, Purpose::Check { .. });
        let idle = self.graph.nodes[attempt.node].rules.idle.filter(|_| !is_check);
        let key = self.keys.open(purpose);
        if self.early.contains(&attempt) {
            self.captured.hold(key);
        }
        let is_hosted = self.graph.nodes[attempt.node].rules.is_hosted && !is_check;
        let (seen, after) = self.order.of(attempt, &self.graph);
        let spec = Spec {
            seen,
            after,
            key,
            argv: prepared.argv,
            env: prepared.env,
            secrets,
            cwd: prepared.cwd,
            stop_signal: process.stop.0,
            grace: process.stop.1.duration(),
            idle: idle.map(crate::base::Span::duration),
            tag: prepared.tag,
            lifetime: if is_check { crate::plan::model::Lifetime::Stage } else { process.lifetime },
            pipes: None,
        };
        if is_hosted {
            self.gates.start(&spec);
        } else {
            self.local.start(spec);
        }
        Ok(())
    }
}
