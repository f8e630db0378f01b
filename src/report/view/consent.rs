//! Who was asked, who agreed, and what the policy of the environment says.

use super::View;
use super::fold::say_decision;
use crate::base::Millis;
use crate::run::event::{Event, NodeState};

/// The policy of the environment, overridden.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Glass {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Millis,
}

impl View {
    /// Records about approvals and the policy.
    pub(super) fn record_consent(&mut self, at: Millis, event: &Event) {
        match event {
            Event::GateOpened { node, expires, prompt } => self.edit(*node, |node| {
                node.state = NodeState::Waiting;
                node.is_open = true;
                node.votes.clear();
                node.started.get_or_insert(at);
                node.expires = *expires;
                node.prompt.clone_from(prompt);
            }),
            Event::GateDecided { node, approved, by, note } => {
                // Whatever an edit made of it since: a held gate, for nothing else that runs is decided.
                let is_gate = !self.node(*node).rules.is_approval;
                self.edit(*node, |node| {
                    node.is_open = false;
                    // A gate that was held is done with that.
                    node.shards.done += u32::from(*approved && is_gate && !node.is_halted);
                    node.decided_by = Some((by.clone(), note.clone()));
                    node.reason = say_decision(if *approved { "approved" } else { "rejected" }, by, note);
                });
            }
            Event::VoteCast { node, vote } => self.edit(*node, |node| node.votes.push((**vote).clone())),
            Event::GlassBroken { by, reason } => {
                self.glass = Some(Glass { by: by.clone(), reason: reason.clone(), at });
            }
            Event::FreezeBegan { words, .. } => self.frozen = Some(words.clone()),
            Event::FreezeEnded => self.frozen = None,
            _ => {}
        }
    }

    /// Who overrode the policy of the environment, and why.
    pub const fn glass(&self) -> Option<&Glass> {
        self.glass.as_ref()
    }

    /// What the policy of the environment says of why nothing new starts.
    pub fn frozen(&self) -> Option<&str> {
        self.frozen.as_deref()
    }
}
