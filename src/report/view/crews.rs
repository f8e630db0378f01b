//! What became of workers and of the items that they answered.

use crate::base::{Millis, NodeIx, Span};
use crate::run::Outcome;
use crate::run::event::{Event, NodeState};

use super::fold::settle;
use super::node::Bar;
use super::{View, words};

impl View {
    /// Records about workers.
    pub(super) fn record_of_crews(&mut self, at: Millis, event: &Event) {
        match event {
            Event::CrewHired { node, count } => self.edit_sharded(*node, |it| it.workers += count),
            Event::CrewGone { node } => self.edit_sharded(*node, |it| it.workers = 0),
            Event::WorkerLost { node, why, shards } => self.lose_worker(*node, why, shards),
            Event::ShardsFinished { node, first, count, took } => {
                self.finish_shards(*node, (*first, *count), (at, *took));
            }
            _ => {}
        }
    }

    fn lose_worker(&mut self, ix: NodeIx, why: &str, shards: &[u32]) {
        for shard in shards {
            self.inflight.remove(&(ix, *shard));
        }
        let count = u32::try_from(shards.len()).unwrap_or(u32::MAX);
        self.edit_sharded(ix, |it| it.replaced += u32::from(!why.is_empty()));
        self.edit(ix, |node| {
            node.shards.running = node.shards.running.saturating_sub(count);
            if !why.is_empty() {
                node.note(&say_lost(why, shards.len()));
            }
            settle(node);
        });
    }

    /// First attempts that succeeded and left nothing, at `when.0`, after `when.1` together.
    fn finish_shards(&mut self, ix: NodeIx, (first, count): (u32, u32), (at, took): (Millis, Span)) {
        let keys = first..first.saturating_add(count);
        let start =
            self.inflight.get(&(ix, first)).map_or(Millis::new(at.since(Millis::ZERO + took).ms()), |it| it.1);
        for shard in keys {
            self.inflight.remove(&(ix, shard));
        }
        self.edit(ix, |node| {
            node.shards.running = node.shards.running.saturating_sub(count);
            node.shards.done += count;
            node.outcome = Some(Outcome::Success);
            node.bar(Bar { shard: first, number: 1, start, end: at, outcome: Some(Outcome::Success) });
            if node.shards.running == 0 && !words::is_ended(node.state) && node.state != NodeState::Retrying {
                settle(node);
            }
        });
    }
}

/// What happened to a worker, and what comes of its items.
pub(crate) fn say_lost(why: &str, items: usize) -> String {
    match items {
        0 => why.to_owned(),
        1 => format!("{why}: 1 item is done again"),
        many => format!("{why}: {many} items are done again"),
    }
}

/// The stage that an event about workers is about.
pub(super) const fn stage_of(event: &Event) -> Option<NodeIx> {
    match event {
        Event::CrewHired { node, .. }
        | Event::CrewDismissed { node, .. }
        | Event::CrewGone { node }
        | Event::WorkerLost { node, .. }
        | Event::Healing { node, .. }
        | Event::BackgroundReleased { node }
        | Event::BackgroundRequeued { node, .. }
        | Event::ShardsFinished { node, .. } => Some(*node),
        _ => None,
    }
}
