//! `engine logs [-f] [RUN] [STAGE]`

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::args::LogsArgs;
use super::exit::Exit;
use super::fault::{Answer, Fault};
use super::settings::Settings;
use super::{find, print};
use crate::base::{Millis, NodeIx};
use crate::driver::begin::Read;
use crate::driver::ports;
use crate::graph::{Graph, Node};
use crate::journal::output::{self, Chunk, Follow};
use crate::journal::{self, RunDir, StateDir};
use crate::plan::error::nearest;
use crate::report::clean::{self, Lines};
use crate::report::{Logs, hint, words};
use crate::run::Attempt;
use crate::run::event::{Event, OutputRef};

/// How often new output is looked for.
const BEAT: std::time::Duration = std::time::Duration::from_millis(100);

/// Prints what stages printed.
pub(super) fn run(args: &LogsArgs, settings: &Settings) -> Answer {
    let state = find::state(settings)?;
    let (dir, wanted) = target(&state, &args.what)?;
    let read = find::read(dir.clone())?;
    let versions = Versions::of(&read);
    let wanted = wanted.map(|name| versions.wanted(&name)).transpose()?;
    if let Some(wanted) = &wanted
        && !journal::is_live(&dir)?
    {
        wanted.is_there(&read)?;
    }
    let mut printer = Printer { versions, wanted, json: args.json, color: settings.color, lines: BTreeMap::new() };
    let mut follow = Follow::from_start(&dir)?;
    loop {
        // Asked first: what was printed before the engine ended is then read in this round.
        let is_live = journal::is_live(&dir)?;
        follow.poll(&mut |chunk| printer.chunk(&chunk))?;
        if !args.follow || !is_live {
            break;
        }
        ports::pause(BEAT);
    }
    printer.finish();
    Ok(Exit::Success)
}

/// The run and stage that were meant: `RUN`, `STAGE` of the latest run, or both. One word is a run if it is the whole
/// of its id; the beginning of an id that is a stage as well is refused.
fn target(state: &StateDir, what: &[String]) -> Result<(RunDir, Option<String>), Fault> {
    let one = match what {
        [] => return Ok((find::latest(state)?.dir, None)),
        [one] => one,
        [run, stage, ..] => return Ok((find::run(state, run)?, Some(stage.clone()))),
    };
    let run = find::run(state, one);
    if let Ok(dir) = &run
        && dir.id().as_str() == one
    {
        return Ok((dir.clone(), None));
    }
    // A latest run that cannot be read has no stages to mean.
    let latest = find::latest(state).and_then(|entry| find::read(entry.dir));
    let Ok(latest) = latest else { return run.map(|dir| (dir, None)) };
    let graphs = latest.named();
    let is_stage = Wanted::parse(one, &graphs).is_some();
    match run {
        Ok(dir) if is_stage => {
            let (run, id) = (dir.id(), latest.dir.id());
            let why = format!("`{one}` is a stage of the latest run and the beginning of run `{run}`");
            Err(Fault::new(Exit::NotFound, why)
                .help(format!("the stage: {}", hint::logs(id.as_str(), one)))
                .help(format!("the run: {}", hint::command(&format!("logs {run}")))))
        }
        Ok(dir) => Ok((dir, None)),
        Err(_) if is_stage => Ok((latest.dir, Some(one.clone()))),
        Err(no_run) => {
            let graph = graphs.last().expect("a run has a graph");
            let near = nearest(one, graph.nodes.iter().map(|node| &*node.id));
            Err(match near {
                Some(near) => no_run.help(format!(
                    "or stage `{near}` of the latest run: {}",
                    hint::command(&format!("logs {}", hint::word(near)))
                )),
                None => no_run,
            })
        }
    }
}

/// The versions of a run's plan, and from when on each was gone by: stages have other numbers in each.
struct Versions {
    graphs: Vec<Arc<Graph>>,
    since: Vec<(Millis, usize)>,
}

impl Versions {
    fn of(read: &Read) -> Self {
        let since = read.records.iter().filter_map(|(_, at, event)| match event {
            Event::PlanChanged { version } => Some((*at, *version as usize - 1)),
            _ => None,
        });
        Self { graphs: read.named(), since: since.collect() }
    }

    fn newest(&self) -> &Graph {
        self.graphs.last().expect("a run has a graph")
    }

    /// What was asked for by its name.
    fn wanted(&self, name: &str) -> Result<Wanted, Fault> {
        match Wanted::parse(name, &self.graphs) {
            Some(wanted) => Ok(wanted),
            None => {
                let ix = find::stage(self.newest(), name)?;
                Ok(Wanted { id: self.newest().nodes[ix].id.to_string(), shard: None })
            }
        }
    }

    /// The version that was gone by at `at`.
    fn at(&self, at: Millis) -> usize {
        self.since.iter().rev().find(|(since, _)| at >= *since).map_or(0, |(_, version)| *version)
    }

    /// The stage that was `node` in a version.
    fn node(&self, version: usize, node: NodeIx) -> Option<&Node> {
        self.graphs.get(version)?.nodes.get(node)
    }
}

/// What is looked for: a stage, and of a sharded one maybe the shard or the worker of that number.
struct Wanted {
    id: String,
    shard: Option<u32>,
}

impl Wanted {
    /// What `name` means to one of `graphs`: the id of a stage, or a shard of one as every text calls it, `pack[3]` or
    /// `hash[worker 0]` ([`words::shard`]).
    fn parse(name: &str, graphs: &[Arc<Graph>]) -> Option<Self> {
        let is_stage = |id: &str| graphs.iter().any(|graph| graph.find(id).is_some());
        if is_stage(name) {
            return Some(Self { id: name.to_owned(), shard: None });
        }
        let (id, inside) = name.strip_suffix(']')?.rsplit_once('[')?;
        let shard = match inside.strip_prefix("worker ") {
            Some(place) => Attempt::of_worker(NodeIx::new(0), place.parse().ok()?, 0).shard,
            None => inside.parse().ok()?,
        };
        is_stage(id).then(|| Self { id: id.to_owned(), shard: Some(shard) })
    }

    /// The shard must be one that the run has, as far as one plan tells: an edit may have taken others away.
    fn is_there(&self, read: &Read) -> Result<(), Fault> {
        let [graph] = &read.named()[..] else { return Ok(()) };
        let (Some(ix), Some(shard)) = (graph.find(&self.id), self.shard) else { return Ok(()) };
        let (view, name) = (find::view(read, false), &self.id);
        let all = view.get(ix).shards.all;
        if shard < all && view.is_sharded(ix) || Attempt::WORKERS.contains(&shard) {
            return Ok(());
        }
        let has = if view.is_sharded(ix) { words::count(all as usize, "shard") } else { "no shards".to_owned() };
        let fault = Fault::new(Exit::NotFound, format!("`{name}` has no shard {shard}: it has {has}"));
        Err(fault.help(format!("all that it printed: {}", hint::logs(read.dir.id().as_str(), name))))
    }
}

struct Printer {
    versions: Versions,
    wanted: Option<Wanted>,
    json: bool,
    color: bool,
    /// The last line of each attempt of each version, not ended yet, and when it was printed.
    lines: BTreeMap<(usize, Attempt), (Millis, Lines)>,
}

impl Printer {
    fn chunk(&mut self, chunk: &Chunk) {
        let (attempt, at) = (chunk.attempt, chunk.at);
        let version = self.versions.at(at);
        let id = self.versions.node(version, attempt.node).map(|node| &*node.id);
        let is_it =
            |wanted: &Wanted| Some(&*wanted.id) == id && wanted.shard.is_none_or(|shard| shard == attempt.shard);
        if !self.wanted.as_ref().is_none_or(is_it) {
            return;
        }
        let (_, mut lines) = self.lines.remove(&(version, attempt)).unwrap_or_default();
        lines.push(&chunk.text, |line| self.line((version, attempt), at, line));
        self.lines.insert((version, attempt), (at, lines));
    }

    fn finish(&mut self) {
        for (whose, (at, mut lines)) in std::mem::take(&mut self.lines) {
            lines.finish(|line| self.line(whose, at, line));
        }
    }

    fn line(&self, (version, attempt): (usize, Attempt), at: Millis, line: &[u8]) {
        let node = self.versions.node(version, attempt.node);
        let id = node.map_or("?", |node| &*node.id);
        let sharded = node.is_some_and(|node| node.rules.split.is_some() || node.rules.shards > 1);
        if self.json {
            let shard = attempt.worker().is_none().then_some(attempt.shard);
            print::line(
                &serde_json::json!({
                    "version": 1, "stage": id, "shard": shard, "worker": attempt.worker(), "attempt": attempt.number,
                    "at_ms": at.raw(), "line": String::from_utf8_lossy(line),
                })
                .to_string(),
            );
            return;
        }
        let text = clean::line(line, self.color);
        match self.wanted {
            Some(_) => print::line(&text),
            None => print::line(&format!("{} | {text}", words::shard(id, attempt, sharded))),
        }
    }
}

/// The stored log, for reports of old runs.
pub(super) struct Stored {
    dir: RunDir,
    /// Where the last attempt of each stage left its output.
    last: BTreeMap<NodeIx, (Attempt, OutputRef)>,
    /// The same of failed shards.
    failed: BTreeMap<NodeIx, BTreeMap<u32, (Attempt, OutputRef)>>,
}

/// Failed shards of a stage of which it is known where their output stands: as many as a view keeps.
const MAX_FAILED: usize = 100;

impl Stored {
    /// Of a whole run.
    pub(super) fn new(read: &Read) -> Self {
        let mut stored = Self::empty(read.dir.clone());
        let mut graph = &read.graphs[0];
        for (_, _, event) in &read.records {
            if let Event::PlanChanged { version } = event
                && let Some(new) = read.graphs.get(*version as usize - 1)
            {
                stored.renumber(graph, new);
                graph = new;
            }
            stored.record(event);
        }
        stored
    }

    /// Of a run of which nothing is known yet.
    pub(super) fn empty(dir: RunDir) -> Self {
        Self { dir, last: BTreeMap::new(), failed: BTreeMap::new() }
    }

    /// What is known of a stage follows its id; the attempt keeps the number that it ran under.
    pub(super) fn renumber(&mut self, old: &Graph, new: &Graph) {
        let moved = |ix: NodeIx| new.find(&old.nodes[ix].id);
        let last = std::mem::take(&mut self.last);
        self.last = last.into_iter().filter_map(|(ix, place)| Some((moved(ix)?, place))).collect();
        let failed = std::mem::take(&mut self.failed);
        self.failed = failed.into_iter().filter_map(|(ix, shards)| Some((moved(ix)?, shards))).collect();
    }

    /// Takes a record in.
    pub(super) fn record(&mut self, event: &Event) {
        let Event::ShardFinished { attempt, outcome, result, .. } = event else { return };
        if let Some(failed) = self.failed.get_mut(&attempt.node) {
            failed.remove(&attempt.shard);
        }
        let Some(place) = result.output else { return };
        self.last.insert(attempt.node, (*attempt, place));
        if *outcome != crate::run::Outcome::Success {
            let failed = self.failed.entry(attempt.node).or_default();
            if failed.len() < MAX_FAILED {
                failed.insert(attempt.shard, (*attempt, place));
            }
        }
    }
}

impl Logs for Stored {
    fn tail(&self, node: NodeIx, shard: Option<u32>, lines: usize) -> Vec<String> {
        let known = match shard {
            Some(shard) => self.failed.get(&node).and_then(|failed| failed.get(&shard)),
            None => self.last.get(&node),
        };
        let Some((attempt, place)) = known else { return Vec::new() };
        let (mut pending, mut last) = (Lines::default(), VecDeque::new());
        let mut keep = |line: &[u8]| {
            last.push_back(String::from_utf8_lossy(line).into_owned());
            if last.len() > lines {
                last.pop_front();
            }
        };
        // Output that cannot be read is missing from a report, which says nothing else wrong.
        let _ = output::read(&self.dir, *place, *attempt, &mut |chunk| pending.push(&chunk.text, &mut keep));
        pending.finish(keep);
        last.into()
    }
}
