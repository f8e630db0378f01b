//! Which starts leave before their own record is durable.

use super::live::Live;
use crate::base::Millis;
use crate::run::input::commands;
use crate::run::{Attempt, Command, Event};

impl Live {
    /// The attempts among `events` that may start at once ([`crate::run::Horizon`]).
    pub(super) fn early_starts(&mut self, events: &[(Millis, Event)]) -> Vec<Attempt> {
        let mut early = Vec::new();
        for (_, event) in events {
            if self.horizon.takes_off(event, self.core.state()) {
                commands(event, |command| {
                    if let Command::Start(attempt) = command {
                        early.push(attempt);
                    }
                });
            }
        }
        early
    }
}
