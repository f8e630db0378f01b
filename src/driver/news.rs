//! Everything that can reach a live engine, in one queue. Output never travels here.

use crate::base::{NodeIx, Span};
use crate::exec::crew::Told;
use crate::journal;
use crate::run::Attempt;
use crate::run::event::{Answer, CheckKind, Outcome, ShardResult};

/// One message to the engine's loop.
#[derive(Debug)]
pub enum News {
    /// From the executor.
    Exec(crate::exec::News),
    /// From the journal's writer.
    Journal(journal::Notice),
    /// An attempt's files are in place; it may start.
    Restored {
        /// Which.
        attempt: Attempt,
        /// A sentence, when that failed.
        result: Result<(), String>,
    },
    /// An attempt's secrets were fetched again; it may start.
    Fetched {
        /// Which.
        attempt: Attempt,
        /// A sentence, when one of them cannot be had.
        result: Result<(), String>,
    },
    /// What an ended attempt left was collected.
    Collected {
        /// Which.
        attempt: Attempt,
        /// How it ended.
        outcome: Outcome,
        /// How long it ran.
        took: Span,
        /// What it left.
        result: Box<ShardResult>,
    },
    /// A question was answered.
    Answered {
        /// The stage.
        node: NodeIx,
        /// The shard.
        shard: u32,
        /// Which question.
        kind: CheckKind,
        /// The answer.
        answer: Answer,
    },
    /// From the workers of a stage.
    Crew {
        /// The stage.
        node: NodeIx,
        /// What they have to say.
        told: Told,
    },
    /// What the cache knows of the shards of a stage.
    Recalled {
        /// The stage.
        node: NodeIx,
        /// Shards and what they would leave.
        hits: Vec<(u32, Box<ShardResult>)>,
    },
    /// A signal to the engine.
    Caught(crate::exec::guard::Caught),
    /// An observer was told the end.
    Told,
    /// A line was typed at the terminal; `None` at its end.
    Typed(Option<String>),
}
