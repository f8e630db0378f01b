//! Which starts leave before their own record is durable.

use super::live::Live;
use crate::base::{Millis, NodeIx};
use crate::run::input::commands;
use crate::run::{Attempt, Command, Event};

impl Live {
    /// Attempts that may start now, and items that workers may have now: stage, first, and how many.
    pub(super) fn early_starts(&mut self, events: &[(Millis, Event)]) -> (Vec<Attempt>, Vec<(NodeIx, u32, u32)>) {
        let (mut early, mut fed) = (Vec::new(), Vec::new());
        for (_, event) in events {
            self.order.hear(event);
            if !self.horizon.takes_off(event, self.core.state()) {
                continue;
            }
            if let Event::ShardsStarted { node, first, count } = event
                && self.core.state().is_crewed(*node)
            {
                self.crews.fed_early(self.horizon.last());
                fed.push((*node, *first, *count));
            } else {
                commands(event, |command| {
                    if let Command::Start(attempt) = command {
                        early.push(attempt);
                    }
                });
            }
        }
        (early, fed)
    }
}
