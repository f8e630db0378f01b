//! What reaches the core, and what it orders.

use super::event::{
    Answer, Attempt, Began, CancelLevel, CancelReason, CheckKind, Event, Outcome, Resolution, Resumed, SecretFact,
    ShardResult, StopKind, SuspendReason, Vote,
};
use crate::base::{Millis, NodeIx, Span};

/// News from the outside.
#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    /// A new run begins.
    Begin(Box<Began>),
    /// Another engine takes the folded run over.
    Recover {
        /// Its facts.
        resumed: Box<Resumed>,
        /// A new plan version to go by, if the plan was changed and the change accepted.
        plan_version: Option<u32>,
        /// Stages whose definition changed (with `plan_version`): unfinished ones use the new text anyway;
        /// approvals above a change are listed here and asked again.
        changed: Vec<NodeIx>,
        /// `--rerun`: these and all that depends on them.
        rerun: Vec<NodeIx>,
        /// `--rerun STAGE:failed`: the failed shards of these, and all that depends on them.
        failed: Vec<NodeIx>,
    },
    /// Time passed.
    Tick,
    /// An attempt ended. `outcome` is what the process did (`Success`, `Exit`, `Signal`, `NotStarted`,
    /// `BadResult`); the core turns it into `TimedOut` or `Cancelled` when it had asked it to stop.
    Done {
        /// Which.
        attempt: Attempt,
        /// How.
        outcome: Outcome,
        /// How long it ran.
        took: Span,
        /// What it left.
        result: Box<ShardResult>,
    },
    /// Shards of a stage with workers succeeded in their first attempt and left nothing: first ones, rising, and how
    /// many in a row.
    Answered {
        /// The stage.
        node: NodeIx,
        /// Which.
        runs: Vec<(u32, u32)>,
        /// How long workers worked on all of them.
        took: Span,
    },
    /// A worker is gone, or went wrong.
    WorkerLost {
        /// The stage.
        node: NodeIx,
        /// What happened, if that was not its order.
        why: Option<String>,
        /// Attempts that it had not answered: shard and number, in order.
        shards: Vec<(u32, u16)>,
    },
    /// The workers of a stage, which had been dismissed, are gone.
    CrewGone {
        /// The stage.
        node: NodeIx,
    },
    /// How an attempt ended can't be known: it would not die, or its end could not be read.
    Lost {
        /// Which.
        attempt: Attempt,
    },
    /// An attempt has printed nothing for its `idle-timeout`.
    Silent {
        /// Which.
        attempt: Attempt,
    },
    /// A question was answered.
    Checked {
        /// The stage.
        node: NodeIx,
        /// The shard.
        shard: u32,
        /// Which question.
        kind: CheckKind,
        /// What came back.
        answer: Answer,
    },
    /// The cache was asked about the shards of a stage: what is known of them.
    Recalled {
        /// The stage.
        node: NodeIx,
        /// Shards and what they would leave.
        hits: Vec<(u32, Box<ShardResult>)>,
    },
    /// A person decided an approval.
    Decide {
        /// The stage.
        node: NodeIx,
        /// Yes or no.
        approved: bool,
        /// Who.
        by: String,
        /// Their words.
        note: String,
    },
    /// A person went through a checklist.
    Attest {
        /// The stage.
        node: NodeIx,
        /// Who, and what they said of each item.
        vote: Vote,
    },
    /// A person overrides the policy of the environment.
    BreakGlass {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// A person said what an unknown outcome was.
    Resolve {
        /// The stage.
        node: NodeIx,
        /// What it was.
        resolution: Resolution,
        /// Who.
        by: String,
        /// Their words.
        note: String,
    },
    /// Hold new starts back, or go on.
    Pause {
        /// Held back.
        on: bool,
        /// Who.
        by: String,
    },
    /// Cancel the run.
    Cancel {
        /// How hard.
        level: CancelLevel,
        /// Why.
        why: CancelReason,
        /// Who.
        by: String,
    },
    /// Secrets were fetched; their values stay with the host.
    SecretsFetched(Vec<SecretFact>),
    /// The host works no longer than until then.
    OpenBox {
        /// The end of its time box.
        until: Millis,
    },
    /// The host leaves background work to the next one.
    LeaveBackground {
        /// How hard it stops what runs of it.
        how: CancelLevel,
        /// Who said so.
        by: String,
    },
    /// A person queues background work again that failed for good.
    Requeue {
        /// The stages.
        nodes: Vec<NodeIx>,
        /// Who.
        by: String,
    },
    /// The host leaves: nothing runs and only a person can go on, or its time is over.
    Suspend(SuspendReason),
}

/// An order to the outside. The host carries it out once the event that it follows from is durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// Start this attempt.
    Start(Attempt),
    /// Stop it.
    Stop(Attempt, StopKind),
    /// Put the question.
    Check(NodeIx, u32, CheckKind),
    /// Let so many workers more work on the items of a stage.
    Hire(NodeIx, u32),
    /// Let the workers of a stage go.
    Dismiss(NodeIx, StopKind),
}

/// What a fact orders; sees no state, so there is no outbox to lose. Starts of a block are given one by one
/// to `order`.
pub fn commands(event: &Event, mut order: impl FnMut(Command)) {
    match event {
        Event::ShardsStarted { node, first, count } => {
            for shard in *first..first + count {
                order(Command::Start(Attempt { node: *node, shard, number: 1 }));
            }
        }
        Event::ShardRetried { attempt } => order(Command::Start(*attempt)),
        Event::StopRequested { attempt, how, .. } => order(Command::Stop(*attempt, *how)),
        Event::CheckStarted { node, shard, kind } => order(Command::Check(*node, *shard, *kind)),
        Event::CrewHired { node, count } => order(Command::Hire(*node, *count)),
        Event::CrewDismissed { node, how } => order(Command::Dismiss(*node, *how)),
        _ => {}
    }
}
