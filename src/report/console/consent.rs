//! What is told of approvals and of the policy of the environment.

use super::super::view::View;
use super::super::{hint, words};
use super::story::Story;
use crate::base::{Millis, NodeIx};
use crate::graph::model::Terms;
use crate::run::event::{Event, NodeState, Vote};

impl Story {
    /// Somebody has to decide.
    pub(super) fn tell_gate(&self, view: &View, ix: NodeIx, expires: Option<Millis>, at: Millis) -> String {
        let asked = Some(view.get(ix).prompt.as_str()).filter(|prompt| !prompt.is_empty());
        let until = expires.map(|end| format!(" (within {})", words::length(end.since(at))));
        let (first, items) =
            asked.map_or(("needs an approval", ""), |asked| asked.split_once('\n').unwrap_or((asked, "")));
        let consent = view.node(ix).rules.consent();
        let is_list = !consent.items.is_empty();
        let first = if first.is_empty() && is_list { "a checklist" } else { first };
        let terms = Some(consent.terms()).filter(|terms| *terms != Terms::default());
        let who = terms.map(|terms| format!(" ({terms})")).unwrap_or_default();
        let said = format!("{first}{who}{}", until.unwrap_or_default());
        let word = if is_list { "attest?" } else { "approve?" };
        let mut text = self.line(NodeState::Waiting, word, view.id(ix), &said);
        for item in items.lines() {
            text += &self.line(NodeState::Waiting, "", "", item);
        }
        for (_, command) in hint::open(view, ix) {
            text += &self.command(&command);
        }
        text
    }

    /// Somebody agreed, and what they found of a checklist.
    pub(super) fn tell_vote(&self, view: &View, ix: NodeIx, vote: &Vote) -> String {
        let words = if vote.note.is_empty() { String::new() } else { format!(": {}", vote.note) };
        let proof = if vote.signature.is_some() { " (signed)" } else { "" };
        let mut text =
            self.line(NodeState::Waiting, "agreed", view.id(ix), &format!("by {}{proof}{words}", vote.by));
        for answer in &vote.answers {
            let (tone, word) = if answer.is_yes { (NodeState::Success, "yes") } else { (NodeState::Failed, "no") };
            text += &self.line(tone, word, &format!("{} {}", view.id(ix), answer.item), &answer.words);
        }
        text
    }

    /// What the policy lets nobody do, or did not.
    pub(super) fn tell_policy(&self, event: &Event) -> String {
        match event {
            Event::GlassBroken { by, reason } => {
                self.line(NodeState::Failed, "override", "", &format!("the policy, by {by}: {reason}"))
            }
            Event::FreezeBegan { words, .. } => self.line(NodeState::Waiting, "frozen", "", words),
            Event::FreezeEnded => self.line(NodeState::Waiting, "thawed", "", "stages start again"),
            _ => String::new(),
        }
    }
}
