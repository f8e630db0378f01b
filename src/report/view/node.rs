//! What became of one stage.

use serde_json::Value;

use crate::base::{Millis, NodeIx, Span};
use crate::graph::Node;
use crate::run::event::{CheckKind, NodeState, Outcome, StopReason, Vote};

/// A stage so far.
#[derive(Clone, PartialEq, Debug)]
pub struct NodeView {
    /// Whether it is to be told of: what undoes a stage sleeps until a rollback begins.
    pub is_awake: bool,
    /// Its state by the records. What only a look at the whole run can tell (`waiting`) is in `why`.
    pub state: NodeState,
    /// Attempts begun; of a sharded stage the most that any shard took.
    pub attempts: u32,
    /// First start in this generation; of an approval, when it opened.
    pub started: Option<Millis>,
    /// When it reached its end state.
    pub ended: Option<Millis>,
    /// Gaps between engines while it was under way; an approval waits through them.
    pub away: Span,
    /// What it did was undone, and it was not opened again since.
    pub is_undone: bool,
    /// When it was queued, of background work that was released.
    pub queued: Option<Millis>,
    /// Why it is in its state, for people; empty when its state says all.
    pub reason: String,
    /// How its last finished attempt ended.
    pub outcome: Option<Outcome>,
    /// Its shards.
    pub shards: Shards,
    /// How its items are cut and which shards failed, of a sharded stage.
    pub sharded: Option<Box<super::Sharded>>,
    /// The need that blocks it.
    pub blocked_by: Option<NodeIx>,
    /// Why its running attempts are being stopped.
    pub stopping: Option<StopReason>,
    /// The question being asked about it.
    pub checking: Option<CheckKind>,
    /// When its approval's wait ends by itself.
    pub expires: Option<Millis>,
    /// What an approval asks.
    pub prompt: String,
    /// Its approval was opened and not decided yet.
    pub is_open: bool,
    /// What could heal it did not, and a person decides.
    pub is_halted: bool,
    /// A person said what nobody knew, and the record of what that makes of the stage is still to come.
    pub is_told: bool,
    /// Who agreed so far, and to what.
    pub votes: Vec<Vote>,
    /// Who decided or resolved it, with their words.
    pub decided_by: Option<(String, String)>,
    /// Declared outputs of its last good attempt; none of a sharded stage, of which each shard left its own.
    pub outputs: Vec<(String, Value)>,
    /// User and system time of all attempts, in microseconds.
    pub cpu_us: u64,
    /// Largest resident set of any attempt, in KiB.
    pub max_rss_kib: u64,
    /// Warnings about it.
    pub notes: Vec<String>,
    /// Its attempts on the time axis; of a sharded stage only the first [`MAX_BARS`].
    pub bars: Vec<Bar>,
    /// How often it was opened again.
    pub reopened: u32,
    /// It was under way when its engine died, and no other engine has the run: see [`super::View::lay_down`].
    pub is_cut_off: bool,
}

/// Counts of a stage's shards.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Shards {
    /// All.
    pub all: u32,
    /// Succeeded.
    pub done: u32,
    /// Their last attempt failed and no other is scheduled.
    pub failed: u32,
    /// An attempt runs.
    pub running: u32,
    /// Between two attempts.
    pub retrying: u32,
}

/// One attempt on the time axis.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bar {
    /// The shard.
    pub shard: u32,
    /// The attempt's number.
    pub number: u16,
    /// Its start.
    pub start: Millis,
    /// Its end.
    pub end: Millis,
    /// How it ended; none when nobody knows.
    pub outcome: Option<Outcome>,
}

/// Attempts kept for drawing, for each stage.
pub const MAX_BARS: usize = 100;

/// Warnings kept for each stage.
pub(super) const MAX_NOTES: usize = 50;

impl NodeView {
    /// Nothing has happened to it.
    pub(super) fn new(node: &Node) -> Self {
        Self {
            is_awake: node.phase.is_stage(),
            state: NodeState::Pending,
            attempts: 0,
            started: None,
            ended: None,
            away: Span::ZERO,
            is_undone: false,
            queued: None,
            reason: String::new(),
            outcome: None,
            shards: Shards { all: node.rules.shards, ..Shards::default() },
            sharded: super::Sharded::new(node),
            blocked_by: None,
            stopping: None,
            checking: None,
            expires: None,
            prompt: String::new(),
            is_open: false,
            is_halted: false,
            is_told: false,
            votes: Vec::new(),
            decided_by: None,
            outputs: Vec::new(),
            cpu_us: 0,
            max_rss_kib: 0,
            notes: Vec::new(),
            bars: Vec::new(),
            reopened: 0,
            is_cut_off: false,
        }
    }

    /// Whether it is an approval that nobody has decided.
    pub fn awaits_person(&self) -> bool {
        self.is_open && !super::words::is_ended(self.state)
    }

    /// From its first start to its end, or to `now`, without the time when no engine lived; none if it never
    /// started.
    pub fn duration(&self, now: Millis) -> Option<Span> {
        self.started.map(|start| self.ended.unwrap_or(now).since(start) - self.away)
    }

    /// Keeps a warning, once.
    pub(super) fn note(&mut self, text: &str) {
        if self.notes.len() < MAX_NOTES && !self.notes.iter().any(|known| known == text) {
            self.notes.push(text.to_owned());
        }
    }

    /// Keeps an attempt for drawing.
    pub(super) fn bar(&mut self, bar: Bar) {
        if self.bars.len() < MAX_BARS {
            if self.bars.is_empty() {
                // Most stages have one, and a list that grows by itself begins with room for four.
                self.bars.reserve_exact(1);
            }
            self.bars.push(bar);
        }
    }
}
