//! What somebody must look at although the run goes on, or has ended: the facts that tickets are made from.
//!
//! A rule of the core that finds such a thing calls `RunState::raise` in its fold; `advance` then records one
//! [`super::Event::TicketRaised`] in the same batch. Nothing else is to be done: the driver writes the ticket's file
//! (with the log's tail and the chain of errors), and writes it once however often the run is killed or resumed,
//! because the record has a sequence number. So a rollback that must stop before a `forward-only` stage raises
//! `Case { kind: CaseKind::Halted, severity: Severity::Critical, node: Some(stage), words: "…".to_owned() }`.

use serde::{Deserialize, Serialize};

use crate::base::NodeIx;

/// Something that somebody must look at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Case {
    /// What kind of thing.
    pub kind: CaseKind,
    /// How bad it is.
    pub severity: Severity,
    /// The stage that it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeIx>,
    /// What there is to say, for people; may be empty where the stage's own end says it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub words: String,
}

/// What kind of thing a ticket is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CaseKind {
    /// A stage failed, and its scope kept that to itself.
    Contained,
    /// Some items of a stage failed, within its `allow-failed`.
    Items,
    /// Something took longer than its `slo`.
    Late,
    /// Background work failed for good.
    Dead,
    /// An automatic step stopped where only a person may go on: a rollback before a `forward-only` stage, healing at
    /// its limit.
    Halted,
    /// The policy of the environment was overridden.
    Override,
}

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing.
    Minor,
    /// Something that the run does without is broken.
    Major,
    /// Something that was required is broken.
    Critical,
}

impl Case {
    /// The name of its ticket: the same for the same thing, in every run of the plan at `path` in `environment`.
    /// `subject` is the stage's id, or nothing.
    pub fn ticket_id(&self, path: &str, environment: &str, subject: &str) -> String {
        let words = if subject.is_empty() { self.words.as_str() } else { "" };
        let text = ["engine ticket 1", path, environment, self.kind.word(), subject, words].join("\n");
        blake3::hash(text.as_bytes()).to_hex()[..12].to_owned()
    }
}

impl CaseKind {
    /// The word in every format.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Contained => "contained",
            Self::Items => "items",
            Self::Late => "late",
            Self::Dead => "dead",
            Self::Halted => "halted",
            Self::Override => "override",
        }
    }
}

impl Severity {
    /// The word in every format.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Minor => "minor",
            Self::Major => "major",
            Self::Critical => "critical",
        }
    }
}
