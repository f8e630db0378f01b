//! What people say of an approval.

use serde::{Deserialize, Serialize};

/// A person's yes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Vote {
    /// Who.
    pub by: String,
    /// Their words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// What they said of each item of a checklist, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<Answered>,
    /// What proves it, where the policy names keys: their signature of [`Vote::statement`], in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

impl Vote {
    /// What is signed: this person's yes to this stage of this run, for the plan and the inputs that `subject` is of. Free
    /// words are not, for what is secret in them is masked.
    pub fn statement(&self, run: &str, stage: &str, subject: &str) -> Vec<u8> {
        let answers: Vec<_> = self.answers.iter().map(|answer| (&answer.item, answer.is_yes)).collect();
        let whole = ("engine approval 1", run, stage, subject, &self.by, answers);
        serde_json::to_vec(&whole).expect("texts are JSON")
    }
}

/// An item of a checklist, as somebody saw it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Answered {
    /// Its name.
    pub item: String,
    /// Whether it is as it should be.
    #[serde(rename = "yes")]
    pub is_yes: bool,
    /// Their words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub words: String,
}
