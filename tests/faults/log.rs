//! What ran (the stages' own log) and what was recorded (the journal).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use engine::journal::{self, RunDir};
use engine::run::Event;
use engine::run::event::{NodeState, Outcome, Verdict};

/// One shard of a stage: `s3.0`.
pub(crate) type Shard = String;

/// A line of the stages' log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Line {
    /// `start`, `end`, `fail`, `overlap` or `wrong`.
    pub(crate) word: String,
    pub(crate) shard: Shard,
    pub(crate) attempt: u16,
    pub(crate) pid: u32,
}

/// Every whole line that was written so far.
pub(crate) fn read_side(path: &Path) -> Result<Vec<Line>, String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole
        .lines()
        .map(|line| parse(line).ok_or_else(|| format!("a strange line in the side log: {line:?}")))
        .collect()
}

fn parse(line: &str) -> Option<Line> {
    let mut words = line.split(' ');
    let mut next = || words.next();
    let (word, shard) = (next()?.to_owned(), next()?.to_owned());
    Some(Line { word, shard, attempt: next()?.parse().ok()?, pid: next()?.parse().ok()? })
}

/// What a journal says.
#[derive(Default, Debug)]
pub(crate) struct Recorded {
    /// Attempts that were ordered to start.
    pub(crate) ordered: BTreeSet<(Shard, u16)>,
    /// Shards that are done: no engine may start them again.
    pub(crate) done: BTreeSet<Shard>,
    /// How often each was recorded as a success.
    pub(crate) successes: BTreeMap<Shard, u32>,
    /// Stages in state `unknown`.
    pub(crate) unknown: BTreeSet<String>,
    /// How the run ended, when it did and nobody took it up again.
    pub(crate) verdict: Option<Verdict>,
    /// Records.
    pub(crate) records: u64,
}

/// Reads a run's journal as any process may at any time.
pub(crate) fn read_journal(dir: &RunDir) -> Result<Recorded, String> {
    let contents = journal::read(dir).map_err(|error| format!("the journal cannot be read: {error}"))?;
    let stages =
        fs::read_to_string(dir.plan_path(1).join(journal::snapshot::STAGES)).map_err(|e| e.to_string())?;
    let ids: Vec<&str> = stages.lines().map(engine::graph::outlook::Line::id).collect();
    let id = |node: engine::base::NodeIx| ids[node.raw() as usize];
    let mut recorded = Recorded::default();
    for (seq, _, event) in &contents.records {
        recorded.records = *seq;
        match event {
            Event::ShardsStarted { node, first, count } => {
                for shard in *first..first + count {
                    recorded.ordered.insert((format!("{}.{shard}", id(*node)), 1));
                }
            }
            Event::ShardRetried { attempt } => {
                let shard = format!("{}.{}", id(attempt.node), attempt.shard);
                if !recorded.ordered.insert((shard.clone(), attempt.number)) {
                    return Err(format!("attempt {} of {shard} was ordered twice", attempt.number));
                }
            }
            Event::ShardFinished { attempt, outcome: Outcome::Success, .. } => {
                let shard = format!("{}.{}", id(attempt.node), attempt.shard);
                *recorded.successes.entry(shard.clone()).or_default() += 1;
                recorded.done.insert(shard);
            }
            Event::NodeFinished { node, state, .. } => {
                if matches!(state, NodeState::Unknown) {
                    recorded.unknown.insert(id(*node).to_owned());
                }
                if state.is_final() && matches!(state, NodeState::Success) {
                    recorded.done.insert(format!("{}.0", id(*node)));
                }
            }
            Event::NodeResolved { node, .. } => {
                recorded.unknown.remove(id(*node));
            }
            Event::NodeReopened { node, .. } => {
                // The clean-up of a new try is another one; nothing else that is done may be opened again.
                let prefix = format!("{}.", id(*node));
                if prefix == "tidy." {
                    recorded.done.retain(|shard| !shard.starts_with(&prefix));
                    recorded.successes.retain(|shard, _| !shard.starts_with(&prefix));
                }
            }
            Event::RunResumed(_) => recorded.verdict = None,
            Event::RunFinished { verdict } => recorded.verdict = Some(verdict.clone()),
            _ => {}
        }
    }
    Ok(recorded)
}
