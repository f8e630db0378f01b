//! Facts. Past tense, never taken back. `journal/codec` stores them; old tags never change meaning.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::{Digest, Millis, NodeIx, Span};
use crate::graph::shards::Cut;

mod case;
mod consent;
mod engine;
mod left;
mod spoken;
mod words;

pub use case::{Case, CaseKind, Severity};
pub use consent::{Answered, Vote};
pub use engine::{Began, Place, Resumed, SecretFact};
pub use left::Left;
pub use words::{
    Answer, CancelLevel, CancelReason, CheckKind, Clock, CutReason, HealStep, NodeState, ReopenReason, Resolution,
    RunEnd, SkipReason, StopKind, StopReason, SuspendReason, Verdict,
};

/// One try of one shard; the fence: an answer counts only for the attempt that runs now.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Attempt {
    /// The stage.
    pub node: NodeIx,
    /// The slice; 0 for an unsharded stage.
    pub shard: u32,
    /// From 1, rising over retries, crashes and generations; never used twice.
    pub number: u16,
}

/// The most workers that one stage may have at once, as their names go.
const MAX_WORKERS: u32 = crate::base::limits::MAX_PARALLEL;

impl Attempt {
    /// What a worker prints goes by this name, which no shard has: the worker's place, and which one it is there.
    pub const fn of_worker(node: NodeIx, place: u32, number: u16) -> Self {
        Self { node, shard: u32::MAX - place, number }
    }

    /// The names of all workers that a stage may have, as its last shards.
    pub const WORKERS: std::ops::RangeInclusive<u32> = u32::MAX - MAX_WORKERS + 1..=u32::MAX;

    /// The worker's place, if this is the name of one.
    pub const fn worker(self) -> Option<u32> {
        if self.shard >= *Self::WORKERS.start() { Some(u32::MAX - self.shard) } else { None }
    }
}

/// A fact of a run.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// The run exists.
    RunBegan(Box<Began>),
    /// Another engine took the run over. Attempts in flight are lost (one `ShardLost` each follows).
    RunResumed(Box<Resumed>),
    /// The rest of the run goes by another version of the plan (`plan.2`, …); nodes are matched by id.
    PlanChanged {
        /// Version number, from 2.
        version: u32,
    },
    /// The `if` of a stage whose needs are met holds: it waits for its turn. Only stages with an `if` have this
    /// fact, for every other stage it follows from its needs.
    NodeAdmitted {
        /// The stage.
        node: NodeIx,
    },
    /// Shards `first..first + count` started, attempt number 1 (of an unsharded stage: shard 0).
    ShardsStarted {
        /// The stage.
        node: NodeIx,
        /// First shard.
        first: u32,
        /// How many.
        count: u32,
    },
    /// From shard `cut.shard` on, which has not started, the shards of a stage have `cut.size` items each.
    ShardsCut {
        /// The stage.
        node: NodeIx,
        /// How.
        cut: Cut,
        /// Why.
        why: CutReason,
        /// What 95 % of the last shards took no longer than, if that was the reason.
        p95: Span,
    },
    /// The items of a stage, which an earlier one gave, are these for good.
    ItemsFrozen {
        /// The stage.
        node: NodeIx,
        /// All items, in order.
        items: Arc<Vec<Box<str>>>,
    },
    /// The cells of a matrix, which an earlier stage gave, are these: a value for each turn of its axis, JSON as text,
    /// empty for a turn without a cell. No turns at all: what was given cannot be taken, and the matrix fails.
    CellsFrozen {
        /// The first stage of its first place.
        node: NodeIx,
        /// The values, by turn.
        cells: Arc<Vec<Box<str>>>,
    },
    /// What a shard would leave is known from an earlier run; it does not start.
    ShardRecalled {
        /// The stage.
        node: NodeIx,
        /// The shard.
        shard: u32,
        /// What it left then.
        result: Box<ShardResult>,
    },
    /// All shards of a stage are done; what they left comes to this Merkle root ([`super::seal`]).
    StageSealed {
        /// The stage.
        node: NodeIx,
        /// The root.
        root: Digest,
    },
    /// The failed shards of an ended stage are pending again, by order of a person; the others stay done.
    ShardsReopened {
        /// The stage.
        node: NodeIx,
    },
    /// A later attempt started.
    ShardRetried {
        /// Which.
        attempt: Attempt,
    },
    /// `count` workers more are to work on the items of a stage (`protocol: lines`).
    CrewHired {
        /// The stage.
        node: NodeIx,
        /// How many.
        count: u32,
    },
    /// The workers of a stage have nothing more to do and are let go.
    CrewDismissed {
        /// The stage.
        node: NodeIx,
        /// `Terminate`: they end by themselves, or are asked to; `Kill`: at once.
        how: StopKind,
    },
    /// The workers of a stage are gone.
    CrewGone {
        /// The stage.
        node: NodeIx,
    },
    /// A worker went wrong, or is gone without an answer to these shards: they are to be done again.
    WorkerLost {
        /// The stage.
        node: NodeIx,
        /// What happened; empty when it was asked to go.
        why: String,
        /// The shards, in order.
        shards: Vec<u32>,
    },
    /// Shards `first..first + count` succeeded in their first attempt and left nothing.
    ShardsFinished {
        /// The stage.
        node: NodeIx,
        /// First shard.
        first: u32,
        /// How many.
        count: u32,
        /// How long they took, one after the other.
        took: Span,
    },
    /// An attempt ended and its outcome is known.
    ShardFinished {
        /// Which.
        attempt: Attempt,
        /// How.
        outcome: Outcome,
        /// How long it ran.
        took: Span,
        /// What it left.
        result: Left,
    },
    /// The next attempt will start at `at`.
    RetryScheduled {
        /// The attempt to come.
        attempt: Attempt,
        /// When (jitter is decided here, once).
        at: Millis,
    },
    /// An attempt was asked to stop.
    StopRequested {
        /// Which.
        attempt: Attempt,
        /// How hard.
        how: StopKind,
        /// Why.
        why: StopReason,
    },
    /// An attempt's outcome is not known: the engine died, or it would not die.
    ShardLost {
        /// Which.
        attempt: Attempt,
    },
    /// A question was put to the outside about a shard: `done-if`, or the cache.
    CheckStarted {
        /// The stage.
        node: NodeIx,
        /// The shard.
        shard: u32,
        /// Which question.
        kind: CheckKind,
    },
    /// Its answer.
    CheckAnswered {
        /// The stage.
        node: NodeIx,
        /// The shard.
        shard: u32,
        /// Which question.
        kind: CheckKind,
        /// What came back.
        answer: Answer,
    },
    /// An approval waits for a person.
    GateOpened {
        /// The stage.
        node: NodeIx,
        /// When the wait ends by itself.
        expires: Option<Millis>,
        /// What it asks.
        prompt: String,
    },
    /// A person decided.
    GateDecided {
        /// The stage.
        node: NodeIx,
        /// Yes or no.
        approved: bool,
        /// Who.
        by: String,
        /// Their words.
        note: String,
    },
    /// A person agreed, and others have to as well, or this is what they said of each item of a checklist.
    VoteCast {
        /// The stage.
        node: NodeIx,
        /// Who, and what.
        vote: Box<Vote>,
    },
    /// A clock of the stage ran out while no attempt ran (queue, an approval's wait, the clean-up's budget).
    NodeExpired {
        /// The stage.
        node: NodeIx,
        /// Which clock.
        clock: Clock,
    },
    /// A clock of one shard ran out between two attempts (within); it fails, the others go on.
    ShardExpired {
        /// The stage.
        node: NodeIx,
        /// The shard.
        shard: u32,
        /// Which clock.
        clock: Clock,
    },
    /// A stage reached an end state.
    NodeFinished {
        /// The stage.
        node: NodeIx,
        /// success, cached, failed, allowed-failure, timed-out, cancelled, unknown.
        state: NodeState,
        /// Why, when that is not plain from its last attempt; for people.
        reason: String,
    },
    /// A stage will not run.
    NodeSkipped {
        /// The stage.
        node: NodeIx,
        /// Why; `Blocked` makes its state `blocked`, everything else `skipped`.
        why: SkipReason,
    },
    /// An ended stage is pending again.
    NodeReopened {
        /// The stage.
        node: NodeIx,
        /// Why.
        why: ReopenReason,
    },
    /// A person said what an unknown outcome was.
    NodeResolved {
        /// The stage.
        node: NodeIx,
        /// What it was.
        resolution: Resolution,
        /// Who said so.
        by: String,
        /// Their words.
        note: String,
    },
    /// New starts are held back, or no longer.
    PauseChanged {
        /// Held back.
        on: bool,
        /// Who asked.
        by: String,
    },
    /// The run is being cancelled; the level only rises.
    CancelRaised {
        /// How hard.
        level: CancelLevel,
        /// Why.
        why: CancelReason,
        /// Who asked, if somebody did.
        by: String,
    },
    /// The policy of the environment is overridden for the rest of the run.
    GlassBroken {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// The policy of the environment lets nothing new start.
    FreezeBegan {
        /// Until then, in milliseconds since 1970.
        until_ms: i64,
        /// What people are told.
        words: String,
    },
    /// It does again.
    FreezeEnded,
    /// Secrets were fetched for the stages that name them. Nothing of a value is here.
    SecretsFetched {
        /// Which, and what is known of each.
        secrets: Vec<SecretFact>,
    },
    /// The main phase has drained, and what it has done is undone.
    RollbackBegan {
        /// A failure or a timeout whose scope says so, or a person's order.
        why: CancelReason,
        /// The nodes of the rollback that wake, needs before those who need them.
        nodes: Vec<NodeIx>,
        /// Nodes that wake only to keep the order of those around them: their stages have nothing to undo.
        between: Vec<NodeIx>,
    },
    /// How far the healing of a stage is that has failed.
    Healing {
        /// The stage.
        node: NodeIx,
        /// How far.
        step: HealStep,
    },
    /// The main phase is over and the clean-up begins.
    FinallyBegan,
    /// All that a stage of the background needs has ended as it accepts it: it is work to be done, whatever becomes of the run.
    BackgroundReleased {
        /// The stage.
        node: NodeIx,
    },
    /// The foreground is over, and this is the verdict; background work may follow.
    ForegroundEnded {
        /// How it ended.
        verdict: Verdict,
    },
    /// This engine leaves what is left of the background to the next one.
    BackgroundLeft {
        /// How hard it stops what runs of it.
        how: CancelLevel,
        /// Who said so; nobody when the run's time is over.
        by: String,
    },
    /// Background work that had failed for good is to be done again.
    BackgroundRequeued {
        /// The stage.
        node: NodeIx,
        /// Who said so.
        by: String,
    },
    /// This engine works no longer than this: what does not fit is left to the next one.
    BoxOpened {
        /// The end of its time box.
        until: Millis,
    },
    /// A stage that could start does not fit into what is left of the time box.
    NodeDeferred {
        /// The stage.
        node: NodeIx,
        /// How long an attempt of it may take, as far as that is known.
        wants: Option<Span>,
    },
    /// The time box is over: what runs is stopped, and counts as not run.
    BoxClosed,
    /// Somebody must look at this, whatever becomes of the run: a ticket is made from it.
    TicketRaised {
        /// What.
        case: Box<Case>,
    },
    /// An objective will be missed, as far as history knows.
    ObjectiveRisked {
        /// Its number in the graph.
        objective: u32,
        /// How long it will take, from the begin of its clock; none when all that is known is that it takes longer than
        /// in 95 of 100 cases.
        forecast: Option<Span>,
    },
    /// An objective is missed. Once for each time that its clock runs.
    ObjectiveBreached {
        /// Its number in the graph.
        objective: u32,
    },
    /// The engine leaves on purpose with work left: it waits for a person, hands over, or was told to go.
    RunSuspended {
        /// Why.
        why: SuspendReason,
    },
    /// The run is over. (A failed or cancelled run may still be resumed by a person.)
    RunFinished {
        /// How.
        verdict: Verdict,
    },
}

/// How an attempt ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Outcome {
    /// Exit 0, and all declared outputs were written.
    Success,
    /// Another exit code.
    Exit(i32),
    /// Killed by a signal that was not ours.
    Signal(i32),
    /// Stopped by one of its clocks.
    TimedOut(Clock),
    /// Stopped because the run or its scope ended.
    Cancelled,
    /// It could not be started: a missing tool, a folder that is not there, an expression that failed. One that was asked
    /// to stop before it was started ends as what stopped it.
    NotStarted(String),
    /// It exited with 0 but left something wrong: a declared output missing or of the wrong type.
    BadResult(String),
}

/// What an attempt left.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ShardResult {
    /// What it printed.
    pub output: Option<OutputRef>,
    /// What it wrote to `$ENGINE_OUTPUT`, declared outputs only.
    pub outputs: Vec<(String, serde_json::Value)>,
    /// Digest of the manifest of its artifacts in `objects/`.
    pub artifacts: Option<Digest>,
    /// Digest of its outputs and artifacts, of a shard whose stage is sealed.
    #[serde(default)]
    pub digest: Option<Digest>,
    /// User and system time of the process tree, in microseconds.
    pub cpu_us: u64,
    /// Largest resident set, in KiB.
    pub max_rss_kib: u64,
    /// Warnings about it: processes that had to be swept, output that was cut.
    pub notes: Vec<String>,
    /// It was stopped before it ever was a process, so that it did nothing, whatever stopped it.
    #[serde(default)]
    pub never_ran: bool,
}

/// Where an attempt's output stands in the run's segments.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct OutputRef {
    /// Segment file number.
    pub segment: u32,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
}
