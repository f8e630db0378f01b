//! `runs/<id>/summary`: a run's outcome and durations, for lists and for history, without reading its
//! journal. Rebuilt from the journal whenever it is missing, of another version, or behind `head`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::history::Mark;
use super::reader::{Reader, Step};
use super::{Error, RunDir, snapshot};
use crate::base::{Digest, Millis, NodeIx, RunId, Span};
use crate::graph::outlook::Line;
use crate::graph::shards::Cuts;
use crate::run::event::{CancelReason, NodeState, SuspendReason, Verdict};
use crate::run::{Event, Outcome};

mod crew;
mod settle;

use crew::Crew;

/// Of the summary's own shape; another one is rebuilt.
const VERSION: u32 = 2;

/// A run in short.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Of this shape.
    pub version: u32,
    /// The journal's last event when this was made.
    pub sequence: u64,
    /// The journal's chain there.
    pub chain: Digest,
    /// The run; `None` when it never began.
    pub run: Option<RunId>,
    /// The plan's name.
    pub plan: String,
    /// The plan's path.
    pub path: String,
    /// When it began, in milliseconds since 1970 (UTC).
    pub wall_ms: i64,
    /// `--key`, or the git commit.
    pub key: Option<String>,
    /// Who started it.
    pub by: String,
    /// How it stands.
    pub state: RunState,
    /// How it ended, if it did.
    pub verdict: Option<Verdict>,
    /// From its begin to its last event, the time without an engine included.
    pub took: Span,
    /// How long it waited for its lock before it began.
    #[serde(default)]
    pub waited: Span,
    /// Released background work that has not ended.
    #[serde(default)]
    pub pending: u32,
    /// Whether it has, or had, background work.
    #[serde(default)]
    pub has_background: bool,
    /// How often an engine took it over.
    pub resumes: u32,
    /// Its stages, in the order of the plan.
    pub stages: Vec<StageSummary>,
}

/// How a run stands by its journal. Whether an engine lives is read from the run's lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// Begun, not ended, not left on purpose: `running` while an engine lives, else `interrupted`.
    Open,
    /// Only a person can go on.
    Waiting,
    /// Its time box is over.
    HandedOver,
    /// Everything required succeeded.
    Success,
    /// Something required failed.
    Failed,
    /// Cancelled.
    Cancelled,
    /// Undone.
    RolledBack,
    /// Not all of it could be undone.
    RollbackFailed,
}

impl RunState {
    /// Whether the run is over (a person may still resume a failed or cancelled one).
    pub const fn is_over(self) -> bool {
        !matches!(self, Self::Open | Self::Waiting | Self::HandedOver)
    }
}

impl RunState {
    /// Whether nothing is left to go on with: it succeeded, or all that it did was undone.
    pub const fn is_settled(self) -> bool {
        matches!(self, Self::Success | Self::RolledBack)
    }
}

/// A stage in short.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct StageSummary {
    /// Its id.
    pub id: String,
    /// Its state, by its last event.
    pub state: NodeState,
    /// Attempts started, of all shards.
    pub attempts: u64,
    /// When its last generation began to run, in milliseconds since the run began.
    pub started: Option<Millis>,
    /// From there to its end; `None` while it has not ended, or when it never ran.
    pub took: Option<Span>,
    /// What it runs, as a number: `graph::Graph::definition`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub definition: u64,
    /// Items for each shard.
    #[serde(default, skip_serializing_if = "is_zero_size")]
    pub size: u32,
    /// How long attempts took that succeeded, in milliseconds: all, or as many as stand for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub good: Vec<u32>,
    /// How long attempts took that failed by themselves or by a clock.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bad: Vec<u32>,
    /// The shards that took longest, with their milliseconds; of a stage with more than one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub longest: Vec<(u32, u32)>,
    /// Of a stage that goes by its work (`graph::model::Node::goes_by_work`): items in a row, by the first of them and how many they are, with the
    /// milliseconds that they took together. The last may reach behind the last item.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<(u64, u64, u32)>,
    /// How many items an earlier stage gave it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub items: u64,
    /// What those of each row are known by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<Mark>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
const fn is_zero_size(size: &u32) -> bool {
    *size == 0
}

/// The summary of `run`: the stored one if it is up to date, else made from the journal, and stored when the
/// run is over.
///
/// # Errors
/// The journal cannot be read or is damaged.
pub fn of(run: &RunDir) -> Result<Summary, Error> {
    let head = Reader::open(run)?.end().head;
    let stored = fs::read(run.summary_path()).ok().and_then(|text| serde_json::from_slice::<Summary>(&text).ok());
    let is_fresh = |summary: &Summary| {
        let at = head.map(|head| (head.sequence, head.hash));
        summary.version == VERSION && at == Some((summary.sequence, summary.chain))
    };
    if let Some(summary) = stored.filter(is_fresh) {
        return Ok(summary);
    }
    let summary = make(run)?;
    if summary.state.is_over() {
        let text = serde_json::to_vec(&summary).expect("a summary is made of texts and numbers");
        // A state directory that cannot be written can still be read; the next reader makes it again.
        drop(run.disk().replace_soft(&run.summary_path(), &text));
    }
    Ok(summary)
}

/// Makes the summary from the journal.
fn make(run: &RunDir) -> Result<Summary, Error> {
    let mut reader = Reader::open(run)?;
    let mut folded = Folding::new(run);
    while let Step::Frame = reader.next_frame(&mut |_, at, event| folded.fold(at, event))? {}
    let end = reader.end().last;
    folded.summary.sequence = end.sequence;
    folded.summary.chain = end.hash;
    folded.settle_crews();
    folded.summary.stages.iter_mut().for_each(StageSummary::settle);
    for (slot, items) in &folded.given {
        folded.summary.stages[*slot].mark(items);
    }
    Ok(folded.summary)
}

/// A summary in the making.
struct Folding<'a> {
    run: &'a RunDir,
    summary: Summary,
    /// Place in `summary.stages` of each stage of the present plan.
    slots: Vec<usize>,
    /// The ids of a version that has places for cells, as they were before anything gave them.
    places: Vec<Box<str>>,
    by_id: HashMap<String, usize>,
    /// Released background work that has not ended.
    queue: BTreeSet<NodeIx>,
    /// When the verdict was decided, of a run whose background may not be done.
    decided: Option<Millis>,
    /// How stages are cut that find their size.
    cuts: BTreeMap<NodeIx, Cuts>,
    /// The items that an earlier stage gave, by the place of the stage in `summary.stages`.
    given: BTreeMap<usize, Arc<Vec<Box<str>>>>,
    /// What workers do, by the place of their stage in `summary.stages`.
    crews: BTreeMap<usize, Crew>,
    /// When the attempts that run were started: few at a time, so that a tree is faster than a hash of each.
    running: BTreeMap<(NodeIx, u32), Millis>,
    /// When the event before was.
    now: Millis,
}

impl<'a> Folding<'a> {
    fn new(run: &'a RunDir) -> Self {
        let summary = Summary {
            version: VERSION,
            sequence: 0,
            chain: Digest::ZERO,
            run: None,
            plan: String::new(),
            path: String::new(),
            wall_ms: 0,
            key: None,
            by: String::new(),
            state: RunState::Open,
            verdict: None,
            took: Span::ZERO,
            waited: Span::ZERO,
            pending: 0,
            has_background: false,
            resumes: 0,
            stages: Vec::new(),
        };
        Self {
            run,
            summary,
            slots: Vec::new(),
            places: Vec::new(),
            by_id: HashMap::new(),
            queue: BTreeSet::new(),
            decided: None,
            cuts: BTreeMap::new(),
            given: BTreeMap::new(),
            crews: BTreeMap::new(),
            running: BTreeMap::new(),
            now: Millis::ZERO,
        }
    }

    fn fold(&mut self, at: Millis, event: Event) {
        self.fold_background(at, &event);
        // What follows the verdict is no time of the run.
        self.summary.took = self.decided.unwrap_or(at).since(Millis::ZERO);
        self.summary.pending = u32::try_from(self.queue.len()).unwrap_or(u32::MAX);
        match event {
            Event::RunBegan(began) => {
                self.summary.waited = began.waited;
                self.summary.run = Some(began.run);
                self.summary.plan = began.plan;
                self.summary.path = began.path;
                self.summary.wall_ms = began.wall_ms;
                self.summary.key = began.key;
                self.summary.by = began.by;
                self.name_stages(1);
            }
            Event::RunResumed(resumed) => {
                self.dismiss_all();
                self.summary.resumes += u32::from(!resumed.closes);
                if !resumed.drains {
                    self.summary.state = RunState::Open;
                    self.summary.verdict = None;
                }
            }
            Event::PlanChanged { version } => {
                // Stages have other numbers from here on.
                self.cuts.clear();
                self.name_stages(version);
            }
            Event::ShardsCut { node, cut, .. } => {
                self.cuts.entry(node).or_insert_with(|| Cuts::even(u64::MAX, cut.size)).push(cut);
            }
            Event::CellsFrozen { node, cells } => self.name_cells(node, &cells),
            Event::ItemsFrozen { node, items } => {
                let stage = self.stage(node);
                // Places of other items say nothing of these.
                stage.rows.clear();
                stage.items = items.len() as u64;
                let cuts = Cuts::even(stage.items, stage.size.max(1));
                self.cuts.insert(node, cuts);
                let slot = self.slot_of(node);
                self.given.insert(slot, items);
            }
            Event::RunSuspended { why } if self.decided.is_none() => {
                self.summary.state = match why {
                    SuspendReason::Person => RunState::Waiting,
                    SuspendReason::HandOver => RunState::HandedOver,
                };
            }
            // No engine lives that would end it: it is cancelled with this.
            Event::CancelRaised { why: CancelReason::Person, .. }
                if matches!(self.summary.state, RunState::Waiting | RunState::HandedOver) =>
            {
                self.summary.state = RunState::Cancelled;
            }
            Event::RunFinished { verdict } | Event::ForegroundEnded { verdict } => {
                use crate::run::event::RunEnd;
                self.summary.state = match verdict.state {
                    RunEnd::Success => RunState::Success,
                    RunEnd::Failed => RunState::Failed,
                    RunEnd::Cancelled => RunState::Cancelled,
                    RunEnd::RolledBack => RunState::RolledBack,
                    RunEnd::RollbackFailed => RunState::RollbackFailed,
                };
                self.summary.verdict = Some(verdict);
            }
            other => self.fold_stage(at, &other),
        }
        self.now = at;
    }

    /// What is left of the background, and since when the verdict stands.
    fn fold_background(&mut self, at: Millis, event: &Event) {
        match event {
            Event::BackgroundReleased { node } | Event::BackgroundRequeued { node, .. } => {
                self.summary.has_background = true;
                self.queue.insert(*node);
                if let Event::BackgroundRequeued { .. } = event {
                    self.stage(*node).state = NodeState::Pending;
                }
            }
            Event::NodeFinished { node, state, .. } if state.is_final() => drop(self.queue.remove(node)),
            Event::NodeSkipped { node, .. } => drop(self.queue.remove(node)),
            Event::ForegroundEnded { .. } => self.decided = Some(at),
            Event::RunResumed(resumed) if !resumed.drains => self.decided = None,
            _ => {}
        }
    }

    fn fold_stage(&mut self, at: Millis, event: &Event) {
        match event {
            Event::ShardsStarted { node, first, count } => {
                self.running.extend((*first..first + count).map(|shard| ((*node, shard), at)));
                self.start(*node, at, u64::from(*count));
            }
            Event::ShardRetried { attempt } => {
                self.running.insert((attempt.node, attempt.shard), at);
                self.start(attempt.node, at, 1);
            }
            Event::ShardFinished { attempt, outcome, took, .. } => {
                // From fact to fact, so that what the engine needs for a start and an end is part of it. A run that was
                // joined from parts has all their facts at one moment.
                let started = self.running.remove(&(attempt.node, attempt.shard));
                // What a worker has ahead waits for what it does first.
                let started = started.filter(|_| !self.is_crewed(attempt.node));
                let took = started.map_or(*took, |started| at.since(started).max(*took));
                self.end(attempt.node, attempt.shard, (outcome, took));
            }
            Event::ShardsFinished { node, first, count, took } => self.end_all(*node, (*first, *count), took.ms()),
            Event::CrewHired { node, count } => self.crew(*node).hire(at, *count),
            Event::CrewDismissed { node, .. } | Event::CrewGone { node } => self.crew(*node).dismiss(at),
            Event::WorkerLost { node, shards, .. } => {
                for shard in shards {
                    self.running.remove(&(*node, *shard));
                }
            }
            Event::RetryScheduled { attempt, .. } => self.stage(attempt.node).state = NodeState::Retrying,
            Event::GateOpened { node, .. } => {
                self.start(*node, at, 0);
                self.stage(*node).state = NodeState::Waiting;
            }
            Event::NodeAdmitted { node } => self.stage(*node).state = NodeState::Waiting,
            Event::NodeFinished { node, state, .. } => {
                let stage = self.stage(*node);
                stage.state = *state;
                stage.took = stage.started.map(|started| at.since(started));
            }
            Event::NodeSkipped { node, why } => {
                let is_blocked = matches!(why, crate::run::event::SkipReason::Blocked { .. });
                self.stage(*node).state = if is_blocked { NodeState::Blocked } else { NodeState::Skipped };
            }
            Event::NodeReopened { node, .. } => {
                let stage = self.stage(*node);
                stage.state = NodeState::Pending;
                stage.started = None;
                stage.took = None;
            }
            _ => {}
        }
    }

    fn start(&mut self, node: NodeIx, at: Millis, attempts: u64) {
        let stage = self.stage(node);
        stage.state = NodeState::Running;
        stage.started.get_or_insert(at);
        stage.attempts += attempts;
    }

    /// An attempt ended. One that was stopped, or never started, says nothing about how long it takes.
    fn end(&mut self, node: NodeIx, shard: u32, (outcome, took): (&Outcome, Span)) {
        let ms = u32::try_from(took.ms()).unwrap_or(u32::MAX);
        let is_crewed = self.is_crewed(node);
        let row = self.cuts.get(&node).filter(|_| !is_crewed).map(|cuts| cuts.range(shard));
        if is_crewed && *outcome == Outcome::Success {
            self.crew(node).done(shard);
        }
        let stage = self.stage(node);
        match outcome {
            Outcome::Success => {
                stage.rows.extend(row.map(|row| (row.start, row.end - row.start, ms)));
                stage.good.push(ms);
                stage.longest.push((shard, ms));
            }
            Outcome::Exit(_) | Outcome::Signal(_) | Outcome::TimedOut(_) | Outcome::BadResult(_) => {
                stage.bad.push(ms);
            }
            Outcome::Cancelled | Outcome::NotStarted(_) => {}
        }
    }

    /// Items in a row succeeded, one after the other in `took` milliseconds. Each counts with whole milliseconds of
    /// its own, so that all together count with all of them.
    fn end_all(&mut self, node: NodeIx, (first, count): (u32, u32), took: u64) {
        let until = |at: u32| took * u64::from(at) / u64::from(count.max(1));
        for at in 0..count {
            self.running.remove(&(node, first + at));
            let took = Span::from_ms(until(at + 1) - until(at));
            self.end(node, first + at, (&Outcome::Success, took));
        }
    }

    /// Reads the ids of a version's stages, and what their durations go by. Without them (an older engine, a damaged
    /// file) stages go by their number.
    fn name_stages(&mut self, version: u32) {
        let read = |name: &str| fs::read_to_string(self.run.plan_path(version).join(name)).unwrap_or_default();
        let stages = read(snapshot::STAGES);
        let ids = || stages.lines().map(Line::id);
        self.slots = ids().map(|id| self.slot(id)).collect();
        self.places = if stages.contains(":?") { ids().map(Into::into).collect() } else { Vec::new() };
        let older = if stages.contains('\t') { String::new() } else { read(snapshot::OUTLOOK) };
        for (at, line) in if older.is_empty() { &stages } else { &older }.lines().enumerate() {
            if let (Some(&slot), Some(line)) = (self.slots.get(at), Line::parse(line)) {
                let stage = &mut self.summary.stages[slot];
                if stage.definition != line.definition {
                    // What items took before an edit is not what they take now.
                    stage.rows.clear();
                    self.crews.remove(&slot);
                }
                (stage.definition, stage.size) = (line.definition, line.size);
            }
        }
    }

    /// The places of a matrix are called by what they were given.
    fn name_cells(&mut self, node: NodeIx, cells: &[Box<str>]) {
        let places = std::mem::take(&mut self.places);
        let matrix = places.get(node.raw() as usize).and_then(|id| id.split_once(":?")).map(|(matrix, _)| matrix);
        for (at, id) in places.iter().enumerate() {
            if let Some(id) = matrix.and_then(|matrix| crate::graph::named_place(id, matrix, cells)) {
                let known = &self.summary.stages[self.slots[at]];
                let (definition, size) = (known.definition, known.size);
                let slot = self.slot(&id);
                self.slots[at] = slot;
                let stage = &mut self.summary.stages[slot];
                (stage.definition, stage.size) = (definition, size);
            }
        }
        self.places = places;
    }

    fn slot(&mut self, id: &str) -> usize {
        if let Some(&slot) = self.by_id.get(id) {
            return slot;
        }
        let slot = self.summary.stages.len();
        self.by_id.insert(id.to_owned(), slot);
        self.summary.stages.push(StageSummary { id: id.to_owned(), ..StageSummary::default() });
        slot
    }

    fn slot_of(&mut self, node: NodeIx) -> usize {
        match self.slots.get(node.raw() as usize) {
            Some(&slot) => slot,
            None => self.slot(&format!("#{}", node.raw())),
        }
    }

    fn stage(&mut self, node: NodeIx) -> &mut StageSummary {
        let slot = self.slot_of(node);
        &mut self.summary.stages[slot]
    }
}
