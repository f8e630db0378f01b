//! Questions about a stage, and what their answers make of a shard that counts as failed.

use super::View;
use super::fold::keep;
use crate::base::NodeIx;
use crate::report::words;
use crate::run::event::{Answer, CheckKind, NodeState};

impl View {
    /// A question is asked.
    pub(super) fn ask(&mut self, ix: NodeIx, kind: CheckKind) {
        self.edit(ix, |node| {
            node.checking = Some(kind);
            if !words::is_ended(node.state) && node.shards.running == 0 {
                node.state = NodeState::Waiting;
            }
        });
    }

    /// A shard counts as failed; the `done-if` of its stage may say otherwise.
    pub(super) fn suspect(&mut self, ix: NodeIx, shard: u32) {
        if self.node(ix).rules.has_done_if {
            self.suspects.insert((ix, shard));
        }
    }

    /// No shard of a stage counts as failed any more.
    pub(super) fn acquit(&mut self, ix: NodeIx) {
        while let Some(&shard) = self.suspects.range((ix, 0)..=(ix, u32::MAX)).next() {
            self.suspects.remove(&shard);
        }
    }

    /// A question about a shard was answered.
    pub(super) fn hear(&mut self, (ix, shard): (NodeIx, u32), kind: CheckKind, answer: &Answer) {
        // One that was lost, or never ran, has not been counted as failed.
        let had_failed = self.suspects.remove(&(ix, shard));
        self.edit(ix, |node| {
            node.checking = None;
            match answer {
                Answer::Yes(result) => {
                    node.shards.done += 1;
                    node.shards.failed = node.shards.failed.saturating_sub(u32::from(had_failed));
                    keep(node, result);
                    node.reason = match kind {
                        CheckKind::DoneIf => "its `done-if` says that it is done".to_owned(),
                        CheckKind::Cache => String::new(),
                    };
                }
                Answer::No => {}
                Answer::Unknown(why) => node.reason = format!("its `{}` cannot tell: {why}", words::check(kind)),
            }
        });
        if matches!(answer, Answer::Yes(_)) {
            self.edit_sharded(ix, |it| drop(it.failed.remove(&shard)));
        }
    }
}
