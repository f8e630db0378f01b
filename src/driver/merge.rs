//! Joins the runs of `--shard 1/n` to `n/n` to one run, as if one engine had done what all of them did.
//!
//! The joined run is a run of the whole plan with a record of its own: what the parts had done is written as its facts,
//! with what it printed and left; what no part had done is still to do. Nothing is taken on trust: each part is read
//! with all its checks, all must be of one plan, and no shard may be in two of them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::begin::{New, Read};
use super::compile::{self, Compiled, Expected};
use super::host::Error;
use super::{ports, record};
use crate::base::{Millis, NodeIx, RunId};
use crate::graph::Graph;
use crate::graph::part::Part;
use crate::graph::shards::Cuts;
use crate::journal::output::{self, Segments, Stream, Trace};
use crate::journal::{self, Holder, RunDir, StateDir, snapshot};
use crate::run::event::{Attempt, Left, NodeState, ShardResult, StopKind, StopReason, SuspendReason};
use crate::run::{Core, Event, Outcome, seal};

mod joined;
mod spans;

pub use joined::Other;

/// Events that go to the journal at once.
const BATCH: usize = 10_000;

/// A part that is to be joined.
pub struct Joining {
    /// The state directory it is in.
    pub state: PathBuf,
    /// Its record.
    pub read: Read,
}

/// Why parts do not go together.
#[derive(Debug, thiserror::Error)]
pub enum Misfit {
    /// Nothing to join.
    #[error("`{0}` has no run of a part (`engine run PLAN --shard i/n`)")]
    NoPart(PathBuf),
    /// Two are the same part.
    #[error("part {index}/{of} is in both `{one}` and `{other}`")]
    Twice {
        /// Which.
        index: u32,
        /// Of how many.
        of: u32,
        /// Where.
        one: PathBuf,
        /// And where.
        other: PathBuf,
    },
    /// A shard is in two parts: they were dealt by different histories.
    #[error("shard {shard} of `{stage}` is in both `{one}` and `{other}`")]
    Overlap {
        /// The stage.
        stage: String,
        /// The shard.
        shard: u32,
        /// Where.
        one: PathBuf,
        /// And where.
        other: PathBuf,
    },
    /// An item is in two parts of a stage that finds its size while it runs: they were dealt by different histories.
    #[error("item {item} of `{stage}` is in both `{one}` and `{other}`")]
    Shared {
        /// The stage.
        stage: String,
        /// The item, from 0.
        item: u64,
        /// Where.
        one: PathBuf,
        /// And where.
        other: PathBuf,
    },
    /// They are of different plans, inputs or numbers of parts.
    #[error("`{one}` and `{other}` are parts of different runs: {what}")]
    Different {
        /// One.
        one: PathBuf,
        /// Another.
        other: PathBuf,
        /// What differs.
        what: String,
    },
    /// Not all are there.
    #[error("missing: {}", list(.0, *.1))]
    Missing(Vec<u32>, u32),
    /// The record or the disk.
    #[error(transparent)]
    Host(#[from] Error),
}

impl From<journal::Error> for Misfit {
    fn from(error: journal::Error) -> Self {
        Self::Host(error.into())
    }
}

fn list(missing: &[u32], of: u32) -> String {
    missing.iter().map(|index| format!("part {index}/{of}")).collect::<Vec<_>>().join(", ")
}

/// The newest run of a part in the state directory at `path`.
///
/// # Errors
/// There is none, it cannot be read, or it is damaged.
pub fn find(path: &Path) -> Result<Joining, Misfit> {
    let state = StateDir::open(path)?;
    for entry in state.runs()? {
        let read = Read::open(entry.dir, &Expected::default())?;
        if read.compiled.options.part.is_some() {
            return Ok(Joining { state: path.to_owned(), read });
        }
    }
    Err(Misfit::NoPart(path.to_owned()))
}

fn part(joining: &Joining) -> &Part {
    joining.read.compiled.options.part.as_ref().expect("`find` gives only parts")
}

/// What came of joining parts.
pub struct Joined {
    /// The run that joins them.
    pub run: RunDir,
    /// Whether that was made just now.
    pub is_new: bool,
    /// Runs beside it that join the same runs of parts.
    pub others: Vec<Other>,
}

/// Joins the parts, by `person`, into a new run called `run`, or by any name unless a run in `state` joins the same
/// already.
///
/// # Errors
/// They do not go together; nothing was written. Or the disk refuses.
pub fn join(
    state: &StateDir,
    mut parts: Vec<Joining>,
    run: Option<&RunId>,
    person: &str,
) -> Result<Joined, Misfit> {
    parts.sort_by_key(|joining| part(joining).index);
    let whole = whole(&parts)?;
    must_fit(&parts)?;
    let rows = spans::rows(&parts)?;
    let mut others = joined::look(state, &parts)?;
    let is_wanted = |other: &Other| other.is_same && run.is_none_or(|run| other.run.id() == run);
    if let Some(at) = others.iter().position(is_wanted) {
        let known = others.swap_remove(at);
        return Ok(Joined { run: known.run, is_new: false, others });
    }
    let run = &run.cloned().unwrap_or_else(|| ports::new_run_id(ports::wall_ms()));
    for joining in &parts {
        copy_objects(&joining.state, state.path())
            .map_err(|source| Error::System { action: "copy what the parts left", source })?;
    }
    let holder = Holder { pid: std::process::id(), wall_ms: ports::wall_ms() };
    let mut files = compile::snapshot_files(&whole);
    files.push((joined::SOURCES.to_owned(), joined::sources(&parts)));
    let (dir, ownership) = state.create_run(run, &files, &holder)?;
    let key = parts.first().and_then(|first| first.read.began.as_ref()?.key.clone());
    let new = New { compiled: &whole, run: run.clone(), seed: None, key, person: person.to_owned(), author: None };
    let began = super::begin::began(&new, &whole.graph, ports::wall_ms(), snapshot::digests(&files));
    let segments = Segments::open(&dir)?;
    let mut joint =
        Joint { graph: &whole.graph, segments: &segments, events: vec![Event::RunBegan(Box::new(began))] };
    joint.common(&parts[0])?;
    for stage in part(&parts[0]).takes.keys() {
        joint.stage(stage, &parts)?;
    }
    for (stage, row) in &rows {
        joint.stage_in_spans(stage, row, &parts)?;
    }
    joint.end_stages();
    joint.events.push(Event::RunSuspended { why: SuspendReason::HandOver });
    let events = joint.events;
    segments.flush()?;
    let end = journal::Reader::open(&dir)?.end();
    let batches =
        events.chunks(BATCH).map(|batch| batch.iter().map(|event| (Millis::ZERO, event.clone())).collect());
    record::write_out(&dir, &ownership, &end, batches)?;
    Ok(Joined { run: dir, is_new: true, others })
}

/// What the parts are parts of: the same plan, with nothing left out.
fn whole(parts: &[Joining]) -> Result<Compiled, Misfit> {
    let mut known: Option<(Compiled, &Joining)> = None;
    for joining in parts {
        let compiled = of_whole(joining)?;
        let Some((first, other)) = &known else {
            known = Some((compiled, joining));
            continue;
        };
        let differs = |what: &str| {
            let (one, other) = (other.state.clone(), joining.state.clone());
            Err(Misfit::Different { one, other, what: what.to_owned() })
        };
        if first.options.path != compiled.options.path {
            return differs("their plans are different files");
        }
        if part(other).of != part(joining).of {
            return differs("they are dealt out to different numbers of parts");
        }
        if first.graph.digest() != compiled.graph.digest() {
            return differs("the plan or its inputs changed between them");
        }
    }
    known.map(|(compiled, _)| compiled).ok_or_else(|| Misfit::NoPart(PathBuf::new()))
}

/// The whole plan of a part, from its own snapshot.
fn of_whole(joining: &Joining) -> Result<Compiled, Misfit> {
    let read = &joining.read;
    let recorded = snapshot::Recorded::of(read.records.iter().map(|(_, _, event)| event));
    let files = snapshot::read(&read.dir, 1, &recorded)?;
    let unreadable = |why| Error::Unreadable { run: read.dir.id().clone(), why };
    let mut options = read.compiled.options.clone();
    options.part = None;
    Ok(compile::from_snapshot_as(&files, &Expected::default(), Some(options)).map_err(unreadable)?)
}

/// All parts are there once, and no two have the same shard.
fn must_fit(parts: &[Joining]) -> Result<(), Misfit> {
    let mut owners: BTreeMap<(&str, u32), &Joining> = BTreeMap::new();
    let mut found: BTreeMap<u32, &Joining> = BTreeMap::new();
    let of = parts.first().map_or(0, |joining| part(joining).of);
    for joining in parts {
        let mine = part(joining);
        if let Some(other) = found.insert(mine.index, joining) {
            let (one, other) = (other.state.clone(), joining.state.clone());
            return Err(Misfit::Twice { index: mine.index, of, one, other });
        }
        for (stage, shards) in &mine.takes {
            for &shard in shards {
                if let Some(other) = owners.insert((stage, shard), joining) {
                    let (one, other) = (other.state.clone(), joining.state.clone());
                    return Err(Misfit::Overlap { stage: stage.clone(), shard, one, other });
                }
            }
        }
    }
    let missing: Vec<u32> = (1..=of).filter(|index| !found.contains_key(index)).collect();
    if missing.is_empty() { Ok(()) } else { Err(Misfit::Missing(missing, of)) }
}

/// The joined run in the making.
struct Joint<'a> {
    graph: &'a Arc<Graph>,
    segments: &'a Segments,
    events: Vec<Event>,
}

impl Joint<'_> {
    /// What every part did before its shards: as the first one did it.
    fn common(&mut self, first: &Joining) -> Result<(), Misfit> {
        let theirs = &first.read.graphs[0];
        let core = first.read.core(None);
        for &node in theirs.order() {
            let it = &theirs.nodes[node];
            let (Some(ours), true) = (self.graph.find(&it.id), it.selected && !part(first).has(&it.id)) else {
                continue;
            };
            if !core.state().state(node).is_success() {
                continue;
            }
            for (_, _, event) in first.read.records.iter().filter(|(_, _, event)| is_success_of(event, node)) {
                self.keep(first, event, (ours, 0), &(0..1))?;
            }
        }
        Ok(())
    }

    /// The shards of a stage of one size, in order: those that are done, and between them those that are still to do.
    fn stage(&mut self, stage: &str, parts: &[Joining]) -> Result<(), Misfit> {
        let Some(ours) = self.graph.find(stage) else { return Ok(()) };
        let mut done: BTreeMap<u32, (usize, Cow<'_, Event>)> = BTreeMap::new();
        for (at, joining) in parts.iter().enumerate() {
            let theirs = joining.read.graphs[0].find(stage);
            let takes = part(joining).takes.get(stage).map(Vec::as_slice).unwrap_or_default();
            for (_, _, event) in &joining.read.records {
                for (theirs, event) in successes(event, theirs) {
                    if let Some(&shard) = takes.get(theirs as usize) {
                        done.insert(shard, (at, event));
                    }
                }
            }
        }
        let items = self.graph.nodes[ours].items();
        let cuts = items.map_or_else(|| Cuts::even(1, 1), |items| Cuts::even(items.count(), items.size()));
        // A shard that no part took is still to do, as one that its part has not done.
        let last = done.last_key_value().map(|(&shard, _)| shard);
        for shard in (0..).take_while(|&shard| Some(shard) <= last) {
            match done.get(&shard) {
                Some((at, event)) => self.keep(&parts[*at], event, (ours, shard), &cuts.range(shard))?,
                None => self.leave(ours, shard),
            }
        }
        Ok(())
    }

    /// A success, with what was printed. `range` are the shard's items in the joined run.
    fn keep(
        &mut self,
        from: &Joining,
        event: &Event,
        (node, shard): (NodeIx, u32),
        range: &Range<u64>,
    ) -> Result<(), Misfit> {
        let Event::ShardFinished { attempt, outcome, took, result } = event else { return Ok(()) };
        let to = Attempt { node, shard, number: 1 };
        let mut trace = Trace::new(to);
        if let Some(place) = result.output {
            let mut chunks: Vec<(Stream, Millis, Vec<u8>)> = Vec::new();
            let mut each = |chunk: output::Chunk| chunks.push((chunk.stream, chunk.at, chunk.text));
            output::read(&from.read.dir, place, *attempt, &mut each)?;
            for (stream, at, text) in chunks {
                self.segments.append(&mut trace, at, (stream, &text))?;
            }
        }
        let mut result = ShardResult::from(result.clone());
        result.output = trace.place();
        // The part counted its items from 0, and a digest says which items it is about.
        result.digest = result.digest.map(|_| seal::leaf(range, &result.outputs, result.artifacts));
        let result = result.into();
        self.events.push(Event::ShardsStarted { node, first: shard, count: 1 });
        self.events.push(Event::ShardFinished { attempt: to, outcome: outcome.clone(), took: *took, result });
        Ok(())
    }

    /// Says of each stage that all of it is done, as an engine had said at once; in the words of the core, which has the same
    /// facts. What comes after that is for the next engine: it may start, fail or be told to somebody.
    fn end_stages(&mut self) {
        let mut core = Core::new(vec![Arc::clone(self.graph)]);
        self.events.iter().for_each(|event| core.replay(Millis::ZERO, event));
        let begun = |event: &Event| match event {
            Event::ShardsStarted { node, .. } => Some(*node),
            _ => None,
        };
        let begun: BTreeSet<NodeIx> = self.events.iter().filter_map(begun).collect();
        let (mut ended, mut seal) = (BTreeSet::new(), None);
        for (_, event) in core.step(Millis::ZERO, Vec::new()).events {
            match &event {
                Event::StageSealed { .. } => seal = Some(event),
                Event::NodeFinished { node, state: NodeState::Success, .. } => {
                    let seal = seal.take();
                    let mut needs = self.graph.nodes[*node].needs.iter();
                    // Of what else the core knows now nothing is recorded.
                    if begun.contains(node) && needs.all(|need| ended.contains(&need.node)) {
                        ended.insert(*node);
                        self.events.extend(seal.into_iter().chain([event]));
                    }
                }
                _ => {}
            }
        }
    }

    /// A shard that no part has done stands before one that is done: it counts as not run.
    fn leave(&mut self, node: NodeIx, shard: u32) {
        let attempt = Attempt { node, shard, number: 1 };
        let (how, why) = (StopKind::Terminate, StopReason::HandOver);
        self.events.push(Event::ShardsStarted { node, first: shard, count: 1 });
        self.events.push(Event::StopRequested { attempt, how, why });
        let (took, result) = (crate::base::Span::ZERO, Left::default());
        self.events.push(Event::ShardFinished { attempt, outcome: Outcome::Cancelled, took, result });
    }
}

/// The shards of a stage that an event says were done, each with an event of its own.
fn successes(event: &Event, stage: Option<NodeIx>) -> Vec<(u32, Cow<'_, Event>)> {
    match event {
        Event::ShardFinished { attempt, outcome: Outcome::Success, .. } if Some(attempt.node) == stage => {
            vec![(attempt.shard, Cow::Borrowed(event))]
        }
        Event::ShardsFinished { node, first, count, took } if Some(*node) == stage => {
            let took = crate::base::Span::from_ms(took.ms() / u64::from(*count).max(1));
            let one = |shard| {
                let attempt = Attempt { node: *node, shard, number: 1 };
                let (outcome, result) = (Outcome::Success, Left::default());
                (shard, Cow::Owned(Event::ShardFinished { attempt, outcome, took, result }))
            };
            (*first..first + count).map(one).collect()
        }
        _ => Vec::new(),
    }
}

fn is_success_of(event: &Event, node: NodeIx) -> bool {
    matches!(event, Event::ShardFinished { attempt, outcome: Outcome::Success, .. } if attempt.node == node)
}

/// Copies objects that are not there yet; they are named by what they hold.
fn copy_objects(from: &Path, to: &Path) -> std::io::Result<()> {
    let folders = match std::fs::read_dir(from.join("objects")) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for folder in folders {
        let folder = folder?;
        if !folder.file_type()?.is_dir() {
            continue;
        }
        let target = to.join("objects").join(folder.file_name());
        std::fs::create_dir_all(&target)?;
        for object in std::fs::read_dir(folder.path())? {
            let object = object?;
            let path = target.join(object.file_name());
            if !path.exists() {
                std::fs::copy(object.path(), path)?;
            }
        }
    }
    Ok(())
}
