//! Computes again what a run's record says about what its shards and stages left.

use std::collections::BTreeMap;

use super::begin::Read;
use crate::base::{Digest, NodeIx};
use crate::journal::StateDir;
use crate::journal::objects::Objects;
use crate::run::event::ShardResult;
use crate::run::{Core, Event, Outcome, RunState, seal};

/// What was computed, and what did not come out as recorded.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Deep {
    /// Results whose digest was computed.
    pub results: u64,
    /// Stages whose Merkle root was.
    pub roots: u64,
    /// Files of artifacts whose content was.
    pub files: u64,
    /// Signatures of approvals that were.
    pub signatures: u64,
    /// Sentences about what differs.
    pub faults: Vec<String>,
}

/// Computes the digests and roots of all sharded stages again, and the content of all artifacts.
pub fn check(read: &Read, state: &StateDir) -> Deep {
    let mut deep = Deep::default();
    let mut core = Core::new(read.graphs.clone());
    let mut kept: BTreeMap<Digest, String> = BTreeMap::new();
    for (_, at, event) in &read.records {
        let run = core.state();
        match event {
            Event::ShardFinished { attempt, outcome: Outcome::Success, result, .. } => {
                deep.result(run, (attempt.node, attempt.shard), result, &mut kept);
            }
            Event::ShardRecalled { node, shard, result } => deep.result(run, (*node, *shard), result, &mut kept),
            Event::StageSealed { node, root } => {
                deep.roots += 1;
                if run.computed_root(*node) != Some(*root) {
                    let id = &run.graph().nodes[*node].id;
                    deep.faults.push(format!("`{id}`: its Merkle root is not that of its shards' results"));
                }
            }
            Event::VoteCast { node, vote } if vote.signature.is_some() => {
                deep.signatures += 1;
                if let Err(why) = run.is_proven(*node, vote) {
                    deep.faults.push(format!("`{}`: {why}", run.graph().nodes[*node].id));
                }
            }
            Event::GateDecided { node, approved: true, .. } if !run.signers(*node).is_empty() => {
                let (signed, min) = (run.votes(*node).len(), run.terms(*node).min as usize);
                if signed < min {
                    let id = &run.graph().nodes[*node].id;
                    deep.faults.push(format!("`{id}` was approved with {signed} of {min} signed yeses"));
                }
            }
            _ => {}
        }
        core.replay(*at, event);
    }
    let objects = Objects::new(state);
    for (manifest, who) in kept {
        deep.artifacts(&objects, manifest, &who);
    }
    deep
}

impl Deep {
    fn result(
        &mut self,
        run: &RunState,
        (node, shard): (NodeIx, u32),
        result: &ShardResult,
        kept: &mut BTreeMap<Digest, String>,
    ) {
        let who = name(run, node, shard);
        if let Some(manifest) = result.artifacts {
            kept.insert(manifest, who.clone());
        }
        let (Some(digest), Some(slice)) = (result.digest, run.slice(node, shard)) else { return };
        self.results += 1;
        if seal::leaf(&slice.range, &result.outputs, result.artifacts) != digest {
            self.faults.push(format!("{who}: its recorded result is not the one that its digest was made of"));
        }
    }

    fn artifacts(&mut self, objects: &Objects, manifest: Digest, who: &str) {
        let files = match objects.manifest(manifest) {
            Ok(manifest) => manifest.files,
            Err(error) => return self.faults.push(format!("{who}: its artifacts cannot be read: {error}")),
        };
        for file in files.iter().filter(|file| !file.is_link) {
            self.files += 1;
            if let Err(error) = objects.get(file.digest) {
                self.faults.push(format!("{who}: artifact `{}`: {error}", file.path));
            }
        }
    }
}

/// `` `pack` shard 3 (items 60 to 79) ``, or the stage.
fn name(run: &RunState, node: NodeIx, shard: u32) -> String {
    let id = &run.graph().nodes[node].id;
    match run.slice(node, shard) {
        None => format!("`{id}`"),
        Some(slice) if slice.range.end == slice.range.start + 1 => {
            format!("`{id}` shard {shard} (item {})", slice.range.start)
        }
        Some(slice) => {
            let last = slice.range.end.saturating_sub(1);
            format!("`{id}` shard {shard} (items {} to {last})", slice.range.start)
        }
    }
}
