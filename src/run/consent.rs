//! Who agreed: approvals by several people, what an environment's policy asks for, and the times in which it lets
//! nothing start.
//!
//! A yes that is not the last one is a [`Event::VoteCast`]; the last one makes the decision. Who may not agree, and who has
//! done so, is told before anything is recorded ([`RunState::may_agree`]), so that the verb can say why not.
//!
//! A freeze holds starts back as a pause does. What runs goes on, and a rollback and the clean-up know no freeze. A broken
//! glass lifts the policy for the rest of the run: its freezes and what it asks of approvals, not what the plan asks.

use std::collections::BTreeMap;

use super::event::{Case, CaseKind, Event, Severity, Vote};
use super::input::Input;
use super::state::{Gate, RunState};
use crate::base::{Millis, NodeIx, PublicKey};
use crate::graph::model::{Frozen, Terms, Work};

/// What is known of consent in a run.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Consents {
    /// Yeses of approvals that wait for more of them.
    votes: BTreeMap<NodeIx, Vec<Vote>>,
    /// Who began the run or took it over.
    operators: Vec<String>,
    /// Who wrote what is run.
    author: Option<String>,
    /// Milliseconds between 1970 and the run's begin, by the clock of the engine that works on it.
    begin_ms: i64,
    /// The policy holds no more.
    is_overridden: bool,
    /// Policy lets nothing start until then, in milliseconds since 1970.
    frozen: Option<i64>,
    /// It goes back to a good run, which no freeze stops.
    goes_back: bool,
}

impl Consents {
    /// An engine works on the run, whose clock says `wall_ms` at `at`.
    pub(super) fn note_engine(&mut self, at: Millis, wall_ms: i64, by: &str) {
        self.begin_ms = wall_ms.saturating_sub_unsigned(at.raw());
        if !self.operators.iter().any(|known| known == by) {
            self.operators.push(by.to_owned());
        }
    }

    /// What the run began with.
    pub(super) fn note_begin(&mut self, author: Option<&String>, goes_back: bool) {
        (self.author, self.goes_back) = (author.cloned(), goes_back);
    }

    /// Stages have other numbers, and another plan is another question.
    pub(super) fn change_plan(&mut self) {
        self.votes.clear();
    }
}

/// Whether two names are of one person: what stands before `@` counts, for people work on several machines.
fn is_same(one: &str, other: &str) -> bool {
    fn own(name: &str) -> &str {
        name.split('@').next().unwrap_or(name)
    }
    own(one) == own(other)
}

/// Whether `by` is the author, who is written as git does: `Ann Lee <ann@example.org>`.
fn is_author(by: &str, author: &str) -> bool {
    let (name, mail) = author.split_once('<').unwrap_or((author, author));
    let own = by.split('@').next().unwrap_or(by);
    let mail = mail.trim_end_matches('>');
    let names = [name.trim(), mail, mail.split('@').next().unwrap_or(mail)];
    names
        .iter()
        .any(|known| !known.is_empty() && (known.eq_ignore_ascii_case(own) || known.eq_ignore_ascii_case(by)))
}

impl RunState {
    /// What an approval asks for now.
    pub fn terms(&self, node: NodeIx) -> Terms {
        let consent = self.node(node).rules.consent();
        match self.consents.is_overridden {
            _ if self.thought.is_some() => Terms::default(),
            true => consent.own,
            false => consent.terms(),
        }
    }

    /// Whether the environment's policy asks for this approval, so that nothing may leave it out.
    pub fn is_demanded(&self, node: NodeIx) -> bool {
        let is_on = !self.consents.is_overridden && self.thought.is_none();
        is_on && self.node(node).rules.consent().policy.is_some()
    }

    /// Those who have agreed while others have to.
    pub fn votes(&self, node: NodeIx) -> &[Vote] {
        self.consents.votes.get(&node).map_or(&[], Vec::as_slice)
    }

    /// Whether `by` may agree to an approval that is open.
    ///
    /// # Errors
    /// Why not, as a sentence that names the stage and the person.
    pub fn may_agree(&self, node: NodeIx, by: &str) -> Result<(), String> {
        if self.has_asked(node) || self.thought.is_some() {
            return Ok(());
        }
        let (terms, id) = (self.terms(node), &self.node(node).id);
        if self.votes(node).iter().any(|vote| is_same(&vote.by, by)) {
            return Err(format!("`{by}` has agreed to `{id}` already, and it needs {terms}"));
        }
        let operator = self.consents.operators.iter().find(|operator| is_same(operator, by));
        if let Some(operator) = operator.filter(|_| terms.not_operator) {
            return Err(format!("`{operator}` works on this run, and `{id}` needs {terms}"));
        }
        if let Some(author) =
            self.consents.author.as_ref().filter(|author| terms.not_author && is_author(by, author))
        {
            return Err(format!("`{author}` is the author of this commit, and `{id}` needs {terms}"));
        }
        Ok(())
    }

    /// A person answers a question that is open, or overrides the policy.
    pub(super) fn hear_answer(&self, input: Input, out: &mut Vec<Event>) {
        let is_open = |node: NodeIx| self.cells.get(node).is_some_and(|cell| matches!(cell.gate, Gate::Open(_)));
        match input {
            Input::Decide { node, approved: false, by, note } if is_open(node) => {
                out.push(Event::GateDecided { node, approved: false, by, note });
            }
            Input::Decide { node, approved: true, by, note } if is_open(node) => {
                self.agree(node, Vote { by, note, ..Vote::default() }, out);
            }
            Input::Attest { node, vote } if is_open(node) => self.agree(node, vote, out),
            Input::BreakGlass { by, reason } if !self.is_overridden() => {
                out.push(Event::GlassBroken { by, reason });
            }
            _ => {}
        }
    }

    /// Whose signed yes counts for an approval, each with their key; of nobody in particular where the policy names no
    /// keys, or was overridden.
    pub fn signers(&self, node: NodeIx) -> &[(Box<str>, PublicKey)] {
        let is_free = self.is_overridden() || self.thought.is_some() || self.has_asked(node);
        if is_free { &[] } else { &self.node(node).rules.consent().keys }
    }

    /// Whether a yes carries the proof that the policy asks for.
    ///
    /// # Errors
    /// Why not.
    pub fn is_proven(&self, node: NodeIx, vote: &Vote) -> Result<(), String> {
        let signers = self.signers(node);
        if signers.is_empty() {
            return Ok(());
        }
        let (id, names) = (&self.node(node).id, signers.iter().map(|(name, _)| format!("`{name}`")));
        let names = names.collect::<Vec<_>>().join(", ");
        let Some(signature) = &vote.signature else {
            return Err(format!("`{id}` needs a yes that is signed by one of {names}"));
        };
        let Some((_, key)) = signers.iter().find(|(name, _)| **name == *vote.by) else {
            return Err(format!("`{}` is not among those who may agree to `{id}`: {names}", vote.by));
        };
        let statement = vote.statement(&self.run, id, &self.graph().subject().to_string());
        if key.has_signed(&statement, signature) {
            Ok(())
        } else {
            Err(format!(
                "the signature is not `{}`'s for this run, this stage, this plan and these inputs",
                vote.by
            ))
        }
    }

    /// A person agrees: a vote, and with the last one the decision.
    fn agree(&self, node: NodeIx, vote: Vote, out: &mut Vec<Event>) {
        let items = &self.node(node).rules.consent().items;
        let is_answered = items.iter().map(|item| &**item).eq(vote.answers.iter().map(|answer| &*answer.item));
        let may_agree = self.may_agree(node, &vote.by).and_then(|()| self.is_proven(node, &vote));
        if may_agree.is_err() || !(is_answered || self.thought.is_some()) {
            return;
        }
        let votes = self.votes(node);
        let wanted = self.terms(node).min as usize;
        let refused = vote.answers.iter().find(|answer| !answer.is_yes).map(|answer| match &*answer.words {
            "" => format!("{}: no", answer.item),
            words => format!("{}: no, {words}", answer.item),
        });
        let is_only = wanted <= 1 && votes.is_empty() && vote.answers.is_empty() && vote.signature.is_none();
        let (by, note) = (vote.by.clone(), vote.note.clone());
        if is_only {
            return out.push(Event::GateDecided { node, approved: true, by, note });
        }
        let all: Vec<&str> = votes.iter().map(|vote| &*vote.by).chain([&*by]).collect();
        let all = all.join(" and ");
        let is_last = votes.len() + 1 >= wanted;
        out.push(Event::VoteCast { node, vote: Box::new(vote) });
        match refused {
            Some(note) => out.push(Event::GateDecided { node, approved: false, by, note }),
            None if is_last => out.push(Event::GateDecided { node, approved: true, by: all, note }),
            None => {}
        }
    }

    pub(super) fn fold_vote(&mut self, node: NodeIx, vote: &Vote) {
        self.consents.votes.entry(node).or_default().push(vote.clone());
    }

    /// A question is put, or put anew: nobody has agreed to it yet.
    pub(super) fn forget_votes(&mut self, node: NodeIx) {
        self.consents.votes.remove(&node);
    }

    /// The policy holds no more, and somebody must look at that.
    pub(super) fn fold_glass(&mut self, by: &str, reason: &str) {
        self.consents.is_overridden = true;
        let words = format!("{by} overrode the policy of the environment: {reason}");
        self.raise(Case { kind: CaseKind::Override, severity: Severity::Critical, node: None, words });
    }

    /// Whether the policy was overridden.
    pub fn is_overridden(&self) -> bool {
        self.consents.is_overridden
    }

    pub(super) fn fold_freeze(&mut self, at: Millis, until_ms: Option<i64>) {
        self.consents.frozen = until_ms;
        self.wait_from(at);
    }

    /// Whether a freeze holds starts back.
    pub fn is_frozen(&self) -> bool {
        self.consents.frozen.is_some() && !self.knows_no_freeze()
    }

    /// Whether nothing new starts until somebody, or a date, lets it.
    pub(super) fn is_held_back(&self) -> bool {
        self.is_paused || self.is_frozen() || self.is_guarded()
    }

    fn knows_no_freeze(&self) -> bool {
        self.is_undoing() || (self.in_finally && !self.in_background()) || self.consents.is_overridden
    }

    /// The freeze at `at`, if there is one that counts.
    fn frozen_at(&self, at: Millis) -> Option<&Frozen> {
        if self.knows_no_freeze() || self.consents.goes_back || self.thought.is_some() {
            return None;
        }
        let now = self.consents.begin_ms.saturating_add_unsigned(at.raw());
        self.graph().settings.freezes.iter().find(|it| (it.from_ms..it.to_ms).contains(&now))
    }

    /// A freeze begins or ends.
    pub(super) fn next_freeze(&self, at: Millis) -> Option<Event> {
        let has_none = self.graph().settings.freezes.is_empty() && self.consents.frozen.is_none();
        if has_none || self.suspended.is_some() {
            return None;
        }
        match (self.consents.frozen, self.frozen_at(at)) {
            (None, Some(it)) => Some(Event::FreezeBegan { until_ms: it.to_ms, words: it.words.clone() }),
            (Some(_), None) => Some(Event::FreezeEnded),
            (Some(until), Some(it)) if until != it.to_ms => {
                Some(Event::FreezeBegan { until_ms: it.to_ms, words: it.words.clone() })
            }
            _ => None,
        }
    }

    /// When a freeze begins or ends by itself.
    pub(super) fn freeze_due(&self) -> Option<Millis> {
        if self.suspended.is_some() || self.knows_no_freeze() || self.consents.goes_back || self.thought.is_some()
        {
            return None;
        }
        let now = self.consents.begin_ms.saturating_add_unsigned(self.now.raw());
        let freezes = &self.graph().settings.freezes;
        let next = freezes.iter().flat_map(|it| [it.from_ms, it.to_ms]).filter(|&edge| edge > now).min()?;
        u64::try_from(next.saturating_sub(self.consents.begin_ms)).ok().map(Millis::new)
    }

    /// What a checklist asks besides its prompt, a line for each item.
    pub(super) fn checklist(&self, node: NodeIx) -> String {
        let Work::Approval { items, .. } = &self.node(node).work else { return String::new() };
        let line = |(name, text): (&dyn std::fmt::Display, &str)| {
            let said = self.graph().text(node, 0, text, self).unwrap_or_else(|error| format!("({error})"));
            format!("\n- {name}: {said}")
        };
        let lines: Vec<String> = self
            .node(node)
            .rules
            .consent()
            .items
            .iter()
            .zip(items)
            .map(|(name, text)| line((name, text)))
            .collect();
        lines.concat()
    }
}
