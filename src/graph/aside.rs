//! Nodes that stand beside a stage and sleep until something went wrong: what undoes it, and what heals it.

use super::model::{Graph, Node, Phase};
use crate::base::{NodeIx, limits};

impl Graph {
    /// The node that undoes `node`.
    pub fn undone_by(&self, node: NodeIx) -> Option<NodeIx> {
        self.undone_by.get(&node).copied()
    }

    /// What heals `node`, in the order in which it is tried.
    pub fn ladder(&self, node: NodeIx) -> &[NodeIx] {
        self.ladders.get(&node).map_or(&[], Vec::as_slice)
    }

    /// How many bodies of `heal` are tried for one failure.
    pub fn heal_depth(&self) -> u32 {
        self.settings.heal_depth.unwrap_or(limits::HEAL_DEPTH)
    }

    /// The bodies of `heal` that are tried for one failure of `node` before only a person may go on.
    pub fn tried(&self, node: NodeIx) -> &[NodeIx] {
        let ladder = self.ladder(node);
        &ladder[..ladder.len().min(self.heal_depth() as usize)]
    }
}

impl Phase {
    /// Its word in every format.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Finally => "finally",
            Self::Rollback => "rollback",
            Self::Heal => "heal",
            Self::Background => "background",
        }
    }

    /// Whether its nodes are stages that somebody wrote down as such; the others sleep until they are called.
    pub const fn is_stage(self) -> bool {
        matches!(self, Self::Main | Self::Finally | Self::Background)
    }

    /// Whether its nodes start only when all of the main phase has ended.
    pub const fn is_last(self) -> bool {
        matches!(self, Self::Finally | Self::Background)
    }

    /// Whether it is over before the clean-up begins, and is no rollback.
    pub const fn is_forward(self) -> bool {
        matches!(self, Self::Main | Self::Heal)
    }
}

impl Node {
    /// The stage beside which it stands, of a node that is no stage of its own.
    pub fn beside(&self) -> Option<NodeIx> {
        self.undoes.or(self.heals)
    }
}
