//! The workers of stages with `protocol: lines`: hired, fed and dismissed as the core orders, started by the executor
//! like everything else, and heard.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rustix::pipe::{PipeFlags, pipe_with};

use super::collect::{not_started, process};
use super::helm::Helm;
use super::keys::Purpose;
use super::live::Live;
use super::news::News;
use super::output::Captured;
use crate::base::{NodeIx, Span};
use crate::exec::crew::{Answer, Answers, ItemWriter, Lost, Told, Trade};
use crate::exec::{Crew, Ended, Executor as _, Pipes, Spec, StopKind};
use crate::graph::model::{Items, Process};
use crate::graph::shards::Slice;
use crate::plan::model::Lifetime;
use crate::run::event::{Outcome, ShardResult};
use crate::run::{Attempt, Event, Input};

/// The workers of all stages that have some.
pub struct Crews {
    helm: Arc<Helm>,
    all: BTreeMap<NodeIx, Hands>,
    /// Records, not durable yet, of items that workers have already.
    early: VecDeque<u64>,
}

/// The workers of a stage.
struct Hands {
    crew: Result<Crew, String>,
    /// Workers that may begin once the files of its needs are in place.
    waiting: Option<u32>,
    /// Workers started so far.
    started: u16,
}

impl Crews {
    /// Without any; `helm` hears what they tell.
    pub fn new(helm: &Arc<Helm>) -> Self {
        Self { helm: Arc::clone(helm), all: BTreeMap::new(), early: VecDeque::new() }
    }

    /// Workers have the items of this record although it is not durable yet.
    pub fn fed_early(&mut self, sequence: u64) {
        self.early.push_back(sequence);
    }

    /// Whether workers have the items of this record, which is durable now.
    pub fn was_fed(&mut self, sequence: u64) -> bool {
        let is_it = self.early.front() == Some(&sequence);
        if is_it {
            self.early.pop_front();
        }
        is_it
    }

    fn crew(&self, node: NodeIx) -> Option<&Crew> {
        self.all.get(&node).and_then(|hands| hands.crew.as_ref().ok())
    }

    /// Stops the work on an item.
    pub fn stop(&self, node: NodeIx, item: u32, how: StopKind) {
        if let Some(crew) = self.crew(node) {
            crew.stop(item, how);
        }
    }

    /// A worker's process is over.
    pub fn ended(&self, node: NodeIx, ended: &Ended) {
        if let Some(crew) = self.crew(node) {
            crew.ended(ended.key, ended.exit.clone(), ended.notes.clone());
        }
    }

    /// The files that a stage's workers need are in place, or cannot be put there.
    pub fn restored(&mut self, node: NodeIx, result: Result<(), String>) {
        let Some(hands) = self.all.get_mut(&node) else { return };
        let (Some(count), Ok(crew)) = (hands.waiting.take(), &hands.crew) else { return };
        match result {
            Ok(()) => crew.hire(count),
            Err(why) => crew.refuse(why),
        }
    }
}

impl Live {
    /// Carries out what a durable fact orders of workers; whether it was about them.
    pub(super) fn obey_for_crews(&mut self, event: &Event, inputs: &mut Vec<Input>) -> bool {
        match event {
            Event::CrewHired { node, count } => self.hire(*node, *count),
            Event::CrewDismissed { node, how } => match self.crews.crew(*node) {
                Some(crew) => crew.dismiss(*how),
                None => {
                    self.crews.all.remove(node);
                    inputs.push(Input::CrewGone { node: *node });
                }
            },
            // Nobody waits for them any more, whether they said so themselves or not.
            Event::CrewGone { node } => drop(self.crews.all.remove(node)),
            Event::ShardsStarted { node, first, count } if self.core.state().is_crewed(*node) => {
                self.feed(*node, (*first, *count, 1), inputs);
            }
            Event::ShardRetried { attempt } if self.core.state().is_crewed(attempt.node) => {
                self.feed(attempt.node, (attempt.shard, 1, attempt.number), inputs);
            }
            _ => return false,
        }
        true
    }

    fn hire(&mut self, node: NodeIx, count: u32) {
        let all_of_them = Attempt::of_worker(node, 0, 0);
        let graph = Arc::clone(&self.graph);
        let process = process(&graph, all_of_them);
        let missing = self.checks.missing_artifacts(&graph, node, self.core.state());
        let stale = self.secrets.clone().filter(|secrets| secrets.is_stale(process));
        if !self.crews.all.contains_key(&node) {
            let crew = self.crew_of(node);
            self.crews.all.insert(node, Hands { crew, waiting: None, started: 0 });
        }
        let Some(hands) = self.crews.all.get_mut(&node) else { return };
        match (&hands.crew, &mut hands.waiting) {
            (Err(_), _) => {}
            (Ok(_), Some(waiting)) => *waiting += count,
            (Ok(crew), None) if missing.is_empty() && stale.is_none() => crew.hire(count),
            (Ok(_), waiting) => {
                *waiting = Some(count);
                match stale.filter(|_| missing.is_empty()) {
                    Some(secrets) => {
                        self.fetching.insert(all_of_them);
                        secrets.refresh_beside(all_of_them, process, &self.sender);
                    }
                    None => {
                        self.restoring.insert(all_of_them, true);
                        self.checks.restore(all_of_them, missing, None, &self.sender);
                    }
                }
            }
        }
    }

    fn crew_of(&self, node: NodeIx) -> Result<Crew, String> {
        let state = self.core.state();
        let rules = &self.graph.nodes[node].rules;
        let process = process(&self.graph, Attempt::of_worker(node, 0, 0));
        let in_flight = rules.split.as_ref().and_then(|split| split.in_flight).unwrap_or(1);
        let trade = Trade {
            in_flight: usize::try_from(in_flight).unwrap_or(1),
            timeout: rules.timeout.map(Span::duration),
            grace: process.stop.1.duration(),
            is_idempotent: rules.idempotent,
            outputs: process.outputs.clone(),
            item: writer(&process.items, state.slice(node, 0)),
        };
        let helm = Arc::clone(&self.crews.helm);
        let tell = Box::new(move |told| helm.post(News::Crew { node, told }));
        Crew::new(trade, tell).map_err(|error| error.to_string())
    }

    /// Gives items to the workers of a stage.
    pub(super) fn feed(&mut self, node: NodeIx, (first, count, number): (u32, u32, u16), inputs: &mut Vec<Input>) {
        match self.crews.all.get(&node).map(|hands| &hands.crew) {
            Some(Ok(crew)) => crew.give(first, count, number),
            refused => {
                let why = refused.and_then(|crew| crew.as_ref().err()).map_or("its workers are gone", |why| why);
                let attempts = (first..first + count).map(|shard| Attempt { node, shard, number });
                inputs.extend(attempts.map(|attempt| not_started(attempt, why.to_owned())));
            }
        }
    }

    /// What workers tell.
    pub(super) fn hear_crew(&mut self, node: NodeIx, told: Told, inputs: &mut Vec<Input>) {
        match told {
            Told::Wanted(place) => {
                if let Err(why) = self.start_worker(node, place, inputs)
                    && let Some(crew) = self.crews.crew(node)
                {
                    crew.refuse(why);
                }
            }
            Told::Stop(key, how) => self.local.stop(key, how),
            Told::Answered(answers) => answered(node, answers, &self.captured, inputs),
            Told::Lost(Lost { why, items, is_alive }) => {
                if !is_alive {
                    return inputs.push(Input::WorkerLost { node, why, shards: items });
                }
                let attempts = items.iter().map(|&(shard, number)| Attempt { node, shard, number });
                inputs.extend(attempts.map(|attempt| Input::Lost { attempt }));
                inputs.push(Input::WorkerLost { node, why, shards: Vec::new() });
            }
            Told::Gone => {
                self.crews.all.remove(&node);
                inputs.push(Input::CrewGone { node });
            }
        }
    }

    fn start_worker(&mut self, node: NodeIx, place: u32, inputs: &mut Vec<Input>) -> Result<(), String> {
        let graph = Arc::clone(&self.graph);
        let Some(hands) = self.crews.all.get_mut(&node) else { return Ok(()) };
        hands.started = hands.started.wrapping_add(1);
        let name = Attempt::of_worker(node, place, hands.started);
        let process = process(&graph, name);
        let prepared = self.preparer.worker(&graph, (node, place), process, self.core.state())?;
        let secrets = match &self.secrets {
            Some(secrets) => {
                let untold = secrets.untold();
                inputs.extend((!untold.is_empty()).then_some(Input::SecretsFetched(untold)));
                secrets.variables(process)?
            }
            None => Vec::new(),
        };
        let pipe = || {
            pipe_with(PipeFlags::CLOEXEC).map_err(|error| format!("the machine has no room for a pipe: {error}"))
        };
        let ((theirs_in, ours_in), (ours_out, theirs_out)) = (pipe()?, pipe()?);
        let key = self.keys.open(Purpose::Worker { name });
        let pipes = Pipes { stdin: Arc::new(theirs_in), stdout: Arc::new(theirs_out) };
        let Some(crew) = self.crews.crew(node) else { return Ok(()) };
        crew.join(place, key, ours_in, ours_out);
        self.local.start(Spec { secrets, ..worker(key, prepared, process, pipes) });
        Ok(())
    }
}

fn worker(key: crate::exec::Key, prepared: super::prepare::Prepared, process: &Process, pipes: Pipes) -> Spec {
    Spec {
        key,
        argv: prepared.argv,
        env: prepared.env,
        secrets: Vec::new(),
        cwd: prepared.cwd,
        stop_signal: process.stop.0,
        grace: process.stop.1.duration(),
        idle: None,
        tag: prepared.tag,
        lifetime: Lifetime::Stage,
        // A worker trusts no earlier look.
        seen: 0,
        after: 1,
        pipes: Some(pipes),
    }
}

/// What became of items, as news to the core.
fn answered(node: NodeIx, answers: Answers, captured: &Captured, inputs: &mut Vec<Input>) {
    let Answers { runs, others, took } = answers;
    let many: u64 = runs.iter().map(|run| u64::from(run.1)).sum();
    let all = u32::try_from(many + others.len() as u64).unwrap_or(u32::MAX).max(1);
    let each = took / all;
    let of_others = each * u32::try_from(others.len()).unwrap_or(u32::MAX);
    if !runs.is_empty() {
        inputs.push(Input::Answered { node, runs, took: took.saturating_sub(of_others).into() });
    }
    let is_said = others.iter().any(|answer| answer.note.is_some());
    inputs.extend(others.into_iter().map(|answer| done(node, answer, each, captured)));
    if is_said {
        // Before the end of an item is told, with where its words stand.
        captured.flush();
    }
}

fn done(node: NodeIx, answer: Answer, took: Duration, captured: &Captured) -> Input {
    let Answer { item, number, outcome, outputs, note } = answer;
    let attempt = Attempt { node, shard: item, number };
    let output = note.as_deref().and_then(|words| captured.say(attempt, words));
    let notes = note.into_iter().collect();
    let result = Box::new(ShardResult { output, outputs, notes, ..ShardResult::default() });
    let took = if matches!(outcome, Outcome::NotStarted(_)) { Span::ZERO } else { took.into() };
    Input::Done { attempt, outcome, took, result }
}

/// Writes the items of a stage as JSON: text as a string, the numbers of a range as numbers, JSON as it is.
fn writer(items: &Items, slice: Option<Slice>) -> ItemWriter {
    let (is_json, items) = (items.is_json(), items.clone());
    let list = match &items {
        Items::List { items, .. } => Some(Arc::clone(items)),
        _ => slice.and_then(|slice| slice.late),
    };
    Box::new(move |item, out| {
        let text = list.as_ref().map(|list| list.get(item as usize).map_or("", |text| text));
        // Writing to memory cannot fail, and a text is always JSON.
        let _written = match text {
            None => serde_json::to_writer(out, &items.number(item.into())),
            Some(text) if is_json => {
                out.extend_from_slice(text.as_bytes());
                Ok(())
            }
            Some(text) => serde_json::to_writer(out, text),
        };
    })
}
