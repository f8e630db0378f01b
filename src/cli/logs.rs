//! `engine logs [-f] [RUN] [STAGE]`

use std::collections::BTreeMap;

use super::args::LogsArgs;
use super::exit::Exit;
use super::fault::{Answer, Fault};
use super::settings::Settings;
use super::{find, print};
use crate::base::{Millis, NodeIx};
use crate::driver::begin::Read;
use crate::driver::ports;
use crate::graph::Graph;
use crate::journal::output::{self, Chunk, Follow};
use crate::journal::{self, RunDir, StateDir};
use crate::plan::error::nearest;
use crate::report::clean::{self, Lines};
use crate::report::{Logs, View};
use crate::run::Attempt;
use crate::run::event::{Event, OutputRef};

/// How often new output is looked for.
const BEAT: std::time::Duration = std::time::Duration::from_millis(100);

/// Prints what stages printed.
pub(super) fn run(args: &LogsArgs, settings: &Settings) -> Answer {
    let state = find::state(settings)?;
    let (dir, stage) = target(&state, &args.what)?;
    let read = find::read(dir.clone())?;
    let graph = std::sync::Arc::clone(read.graphs.last().expect("a run has a graph"));
    let wanted = stage.map(|id| find::stage(&graph, &id)).transpose()?;
    let mut printer = Printer {
        graph: &graph,
        wanted,
        json: args.json,
        prefix: wanted.is_none(),
        color: settings.color,
        lines: BTreeMap::new(),
    };
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

/// The run and stage that were meant: `RUN`, `STAGE` of the latest run, or both.
fn target(state: &StateDir, what: &[String]) -> Result<(RunDir, Option<String>), Fault> {
    match what {
        [] => Ok((find::latest(state)?.dir, None)),
        [one] => match find::run(state, one) {
            Ok(dir) => Ok((dir, None)),
            Err(no_run) => {
                let latest = find::latest(state)?.dir;
                let read = find::read(latest.clone())?;
                let graph = read.graphs.last().expect("a run has a graph");
                if graph.find(one).is_some() {
                    return Ok((latest, Some(one.clone())));
                }
                let near = nearest(one, graph.nodes.iter().map(|node| &*node.id));
                Err(match near {
                    Some(near) => no_run.help(format!("or stage `{near}` of the latest run: engine logs {near}")),
                    None => no_run,
                })
            }
        },
        [run, stage, ..] => Ok((find::run(state, run)?, Some(stage.clone()))),
    }
}

struct Printer<'a> {
    graph: &'a Graph,
    wanted: Option<NodeIx>,
    json: bool,
    prefix: bool,
    color: bool,
    lines: BTreeMap<Attempt, Lines>,
}

impl Printer<'_> {
    fn chunk(&mut self, chunk: &Chunk) {
        if self.wanted.is_some_and(|wanted| wanted != chunk.attempt.node) {
            return;
        }
        let (attempt, at) = (chunk.attempt, chunk.at);
        let mut lines = self.lines.remove(&attempt).unwrap_or_default();
        lines.push(&chunk.text, |line| self.line(attempt, at, line));
        self.lines.insert(attempt, lines);
    }

    fn finish(&mut self) {
        for (attempt, mut lines) in std::mem::take(&mut self.lines) {
            lines.finish(|line| self.line(attempt, Millis::ZERO, line));
        }
    }

    fn line(&self, attempt: Attempt, at: Millis, line: &[u8]) {
        let id = self.graph.nodes.get(attempt.node).map_or("?", |node| &*node.id);
        let sharded = self.graph.nodes.get(attempt.node).is_some_and(|node| node.rules.shards > 1);
        if self.json {
            print::line(
                &serde_json::json!({
                    "version": 1, "stage": id, "shard": attempt.shard, "attempt": attempt.number,
                    "at_ms": at.raw(), "line": String::from_utf8_lossy(line),
                })
                .to_string(),
            );
            return;
        }
        let text = clean::line(line, self.color);
        match (self.prefix, sharded) {
            (false, _) => print::line(&text),
            (true, false) => print::line(&format!("{id} | {text}")),
            (true, true) => print::line(&format!("{id}[{}] | {text}", attempt.shard)),
        }
    }
}

/// The stored log, for reports of old runs.
pub(super) struct Stored {
    dir: RunDir,
    last: BTreeMap<NodeIx, (Attempt, OutputRef)>,
}

impl Stored {
    /// Where the last attempt of each stage left its output: of a sharded stage that of a failed shard.
    pub(super) fn new(read: &Read) -> Self {
        let mut last: BTreeMap<NodeIx, (Attempt, OutputRef)> = BTreeMap::new();
        let mut failed = std::collections::BTreeSet::new();
        for (_, _, event) in &read.records {
            if let Event::ShardFinished { attempt, outcome, result, .. } = event
                && let Some(place) = result.output
            {
                let is_failure = *outcome != crate::run::Outcome::Success;
                if is_failure || !failed.contains(&attempt.node) {
                    last.insert(attempt.node, (*attempt, place));
                }
                if is_failure {
                    failed.insert(attempt.node);
                }
            }
        }
        Self { dir: read.dir.clone(), last }
    }
}

impl Logs for Stored {
    fn tail(&self, _: &View, node: NodeIx, lines: usize) -> Vec<String> {
        let Some((attempt, place)) = self.last.get(&node) else { return Vec::new() };
        let mut text = Vec::new();
        // Output that cannot be read is missing from a report, which says nothing else wrong.
        let _ = output::read(&self.dir, *place, *attempt, &mut |chunk| text.extend_from_slice(&chunk.text));
        let text = String::from_utf8_lossy(&text).into_owned();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].iter().map(|line| (*line).to_owned()).collect()
    }
}
