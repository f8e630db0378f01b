//! What a run, and each engine that works on it, begins with.

use serde::{Deserialize, Serialize};

use crate::base::{Digest, RunId, Span};

/// What is known of a secret that was fetched, but for its value.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SecretFact {
    /// Its key in the environment, or the input's name.
    pub name: String,
    /// Where it came from: `env:API_KEY`, `vault:kv/app#db`, `input:token`.
    pub source: String,
    /// Its version, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The day it was last changed, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at: Option<String>,
}

/// What a run begins with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Began {
    /// The run.
    pub run: RunId,
    /// The plan's name.
    pub plan: String,
    /// The plan's path, relative to the root.
    pub path: String,
    /// Milliseconds since 1970 (UTC).
    pub wall_ms: i64,
    /// Attempts at once.
    pub jobs: u32,
    /// Decides jitter.
    pub seed: u64,
    /// Digest of the graph.
    pub graph: Digest,
    /// blake3 of every file under `plan/`, by path.
    pub files: Vec<(String, Digest)>,
    /// `--key`, or the git commit.
    pub key: Option<String>,
    /// Who started it.
    pub by: String,
    /// Version of the engine.
    pub engine: String,
    /// Where its stages run; none in records of earlier engines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// How often a run of this release was rolled back without an order before.
    #[serde(default, skip_serializing_if = "is_none")]
    pub rollbacks: u32,
    /// The good run that this one goes back to: its plan, its inputs, its artifacts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_to: Option<RunId>,
    /// Who wrote what is run, as git says it: `Ann Lee <ann@example.org>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// How long it waited for its lock before it began.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waited: Span,
}

impl Began {
    /// A beginning that nobody records, of `plan` with `jobs` attempts at once: for what is only imagined, and for
    /// tests, which change what they are about.
    ///
    /// # Panics
    /// Never: the run's id is a constant.
    pub fn unrecorded(plan: &str, jobs: u32) -> Self {
        Self {
            run: RunId::parse("unrecorded").expect("the word is an id"),
            plan: plan.to_owned(),
            path: String::new(),
            wall_ms: 0,
            jobs,
            seed: 0,
            graph: Digest::ZERO,
            files: Vec::new(),
            key: None,
            by: String::new(),
            engine: String::new(),
            place: None,
            rollbacks: 0,
            back_to: None,
            author: None,
            waited: Span::ZERO,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(span: &Span) -> bool {
    *span == Span::ZERO
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_none(count: &u32) -> bool {
    *count == 0
}

/// Where a run's stages run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Place {
    /// The project's root, absolute.
    pub root: String,
    /// The state directory is `.engine` in it, so the two move together.
    pub has_state: bool,
}

/// What a later engine begins with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Resumed {
    /// Milliseconds since 1970 (UTC).
    pub wall_ms: i64,
    /// How long no engine lived; it does not count for the run's timeout.
    pub gap: Span,
    /// Attempts at once.
    pub jobs: u32,
    /// Who resumed it.
    pub by: String,
    /// Version of the engine.
    pub engine: String,
    /// Where its stages run; none in records of earlier engines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// Of an edited plan that the rest goes by (`PlanChanged` follows): blake3 of the list of its files' digests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Digest>,
    /// It goes on with background work only, whatever the verdict was.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drains: bool,
    /// Nobody works on it: a person cancels a run that no engine has, and it is only taken over to record how it ends. It
    /// is no new try, so what had failed stays so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closes: bool,
}
