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
