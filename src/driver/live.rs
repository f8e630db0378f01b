//! The loop of a live engine.
//!
//! News come in through one queue and become inputs. The core's events go to the journal. When a batch is
//! durable its commands are carried out and its records shown, in that order of cause: write before act. Starts
//! that a crash may forget ([`Horizon`]) leave a moment earlier. [`super::helm`] says which thread does all this.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::audience::{Audience, Batch};
use super::checks::Checks;
use super::collect::{self, not_started, process};
use super::crews::Crews;
use super::desk::Desk;
use super::keys::{Keys, Purpose};
use super::news::News;
use super::order::Order;
use super::output::Captured;
use super::point::Point;
use super::ports::Clock;
use super::prepare::Preparer;
use super::secrets::{Strongbox, hide};
use super::signals::{Ladder, Step};
use super::values::Telling;
use crate::base::{Millis, Span};
use crate::exec::{Ended, Executor, Gates, Local};
use crate::graph::Graph;
use crate::journal::locks::Locks;
use crate::journal::{Notice, Ownership, RunDir, StateDir, Writer};
use crate::plan::model::Lifetime;
use crate::run::event::{CancelLevel, CancelReason, CheckKind, Outcome, StopKind, SuspendReason, Verdict};
use crate::run::input::commands;
use crate::run::{Attempt, Command, Core, Event, Horizon, Input};

/// How late a beat may be when news leave no pause for it.
const LATEST_BEAT: Span = Span::from_ms(250);

/// How a live engine came to its end.
#[derive(Debug)]
pub enum Ending {
    /// The run is over.
    Finished(Verdict),
    /// Only a person can go on, or the time is over.
    Suspended(SuspendReason),
    /// A third signal: left at once.
    Left(CancelReason),
    /// The journal could not be written: nothing more was done.
    JournalFailed(crate::journal::Error),
}

/// Everything a live engine holds.
pub struct Live {
    pub(super) core: Core,
    pub(super) graph: Arc<Graph>,
    pub(super) dir: RunDir,
    /// Held until the engine is done with the run.
    pub(super) ownership: Ownership,
    pub(super) clock: Clock,
    pub(super) writer: Writer,
    pub(super) local: Local,
    pub(super) gates: Gates,
    pub(super) keys: Keys,
    pub(super) preparer: Preparer,
    /// What the run takes from the good run that it goes back to.
    pub(super) point: Point,
    pub(super) checks: Checks,
    pub(super) crews: Crews,
    pub(super) captured: Arc<Captured>,
    pub(super) secrets: Option<Arc<Strongbox>>,
    pub(super) desk: Desk,
    pub(super) audience: Audience,
    pub(super) sender: UnboundedSender<News>,
    pub(super) ladder: Ladder,
    /// Attempts that wait for files of their needs, and whether they are still wanted.
    pub(super) restoring: BTreeMap<Attempt, bool>,
    /// Attempts that wait for their secrets.
    pub(super) fetching: BTreeSet<Attempt>,
    /// What is not durable yet, and which starts need not wait for that.
    pub(super) horizon: Horizon,
    /// In which order stages ended.
    pub(super) order: Order,
    /// Attempts that were started before their record was durable.
    pub(super) early: BTreeSet<Attempt>,
    /// Early attempts that ended with output which nobody may see before their start.
    pub(super) unheard: BTreeMap<Attempt, Box<Ended>>,
    pub(super) last_beat: Millis,
    /// When the main thread will look at the clock.
    pub(super) alarm: Option<Millis>,
    /// Records of earlier engines.
    pub(super) recorded_before: u64,
    pub(super) ending: Option<Ending>,
    /// Whether a person sits at the terminal; without one an engine that only waits for a person leaves.
    pub(super) is_attended: bool,
    pub(super) is_suspending: bool,
    /// A signal came when the run was over already: nobody waits for readers any more.
    pub(super) is_hurried: bool,
}

impl Live {
    /// Begins with `first`.
    pub(super) fn begin(&mut self, first: Vec<Input>) {
        // What was put into the inbox while no engine lived is heard before this one finds nothing to do.
        let mut inputs = self.decide(first);
        inputs.extend(self.desk.open_mail(&self.dir, self.core.state()));
        self.step(inputs);
    }

    /// Hears `news` and does all that follows. Whether the main thread has to know: the engine is done, or has to do
    /// something sooner than that thread will wake.
    pub(super) fn work(&mut self, news: impl Iterator<Item = News>, is_beat: bool) -> bool {
        let mut inputs = Vec::new();
        for one in news {
            self.hear(one, &mut inputs);
        }
        if self.ending.is_none() {
            if is_beat {
                self.beat(&mut inputs);
            }
            self.keep_time(&mut inputs);
            self.step(inputs);
        }
        let due = self.core.next_deadline();
        self.ending.is_some() || due.is_some_and(|due| self.alarm.is_none_or(|alarm| due < alarm))
    }

    /// Whether the engine is done, and how long there is nothing to do without news; for ever without an answer.
    pub(super) fn rest(&mut self) -> (bool, Option<Duration>) {
        self.alarm = self.core.next_deadline();
        let now = self.clock.now();
        (self.ending.is_some(), self.alarm.map(|at| at.since(now).duration()))
    }

    /// Clocks and requests have their turn however fast news come in.
    fn keep_time(&mut self, inputs: &mut Vec<Input>) {
        let now = self.clock.now();
        if self.core.next_deadline().is_some_and(|due| due <= now) {
            inputs.push(Input::Tick);
        }
        if now.since(self.last_beat) >= LATEST_BEAT {
            self.beat(inputs);
        }
    }

    /// Lets the core decide, and queues what it decided for the disk. Starts that need not wait for it leave; what
    /// comes of that at once is answered.
    fn decide(&mut self, mut inputs: Vec<Input>) -> Vec<Input> {
        let mut news = Vec::new();
        if self.ending.is_some() || inputs.is_empty() {
            return news;
        }
        if let Some(masker) = self.masker() {
            for input in &mut inputs {
                hide::input(&masker, input);
            }
        }
        let batch = self.core.step(self.clock.now(), inputs);
        // From here on, stages are those of the plan that the core goes by.
        self.graph = Arc::clone(self.core.state().graph());
        let (early, fed) = self.early_starts(&batch.events);
        let is_awaited = self.horizon.asks(self.core.state());
        let written = if is_awaited { self.writer.append(batch.events) } else { self.writer.store(batch.events) };
        match written {
            Ok(last) => self.desk.stamp_mail(&self.dir, last),
            Err(error) => {
                self.ending.get_or_insert(Ending::JournalFailed(error));
                return news;
            }
        }
        for attempt in early {
            self.early.insert(attempt);
            self.start(attempt, &mut news);
        }
        for (node, first, count) in fed {
            self.feed(node, (first, count, 1), &mut news);
        }
        news
    }

    /// Lets the core decide until nothing is left but to wait for the outside.
    fn step(&mut self, mut inputs: Vec<Input>) {
        loop {
            while !inputs.is_empty() && self.ending.is_none() {
                inputs = self.decide(inputs);
            }
            if self.ending.is_some() || !self.must_suspend() {
                return;
            }
            inputs = self.desk.answers(self.core.state());
            if inputs.is_empty() {
                self.is_suspending = true;
                inputs.push(Input::Suspend(SuspendReason::Person));
            }
        }
    }

    /// Whether nothing is left to do but to wait for a person, and no person is here, or none who could be asked:
    /// what an unknown outcome was is found out elsewhere.
    fn must_suspend(&self) -> bool {
        let state = self.core.state();
        // Nobody waits for a person behind the verdict.
        let is_attended = self.is_attended && !state.in_background();
        let can_ask = is_attended && state.open_approvals().next().is_some();
        !can_ask && !self.is_suspending && state.needs_person()
    }

    /// One message.
    fn hear(&mut self, news: News, inputs: &mut Vec<Input>) {
        match news {
            News::Exec(crate::exec::News::Started { .. }) | News::Told => {}
            News::Exec(crate::exec::News::Silent { key }) => {
                inputs.extend(self.keys.attempt(key).map(|attempt| Input::Silent { attempt }));
            }
            News::Exec(crate::exec::News::Ended(ended)) => {
                match self.keys.attempt(ended.key).filter(|_| self.captured.is_holding(ended.key)) {
                    Some(attempt) => {
                        self.unheard.insert(attempt, ended);
                        self.writer.hurry();
                    }
                    None => self.ended(&ended, inputs),
                }
            }
            News::Journal(Notice::Durable { first, records }) => self.durable(first, records, inputs),
            // A journal that refuses more says less than the failure that made it stop.
            News::Journal(Notice::Failed(error)) => match &self.ending {
                None | Some(Ending::JournalFailed(_)) => self.ending = Some(Ending::JournalFailed(error)),
                Some(_) => {}
            },
            // Whoever lets go of the run hears it.
            News::Caught(caught) if self.ending.is_some() => drop(self.sender.send(News::Caught(caught))),
            _ if self.ending.is_some() => {}
            News::Fetched { attempt, .. } if !self.fetching.remove(&attempt) => {}
            News::Restored { attempt, result } | News::Fetched { attempt, result }
                if attempt.worker().is_some() =>
            {
                self.restoring.remove(&attempt);
                self.crews.restored(attempt.node, result);
            }
            News::Fetched { attempt, result: Ok(()) } => self.launch(attempt, inputs),
            News::Fetched { attempt, result: Err(why) } => inputs.push(not_started(attempt, why)),
            News::Restored { attempt, result } => match (self.restoring.remove(&attempt), result) {
                (Some(true), Ok(())) => self.launch(attempt, inputs),
                (Some(true), Err(why)) => inputs.push(not_started(attempt, why)),
                _ => inputs.push(not_started(attempt, "stopped before it was started".to_owned())),
            },
            News::Collected { attempt, outcome, took, result } => {
                inputs.push(Input::Done { attempt, outcome, took, result });
            }
            News::Answered { node, shard, kind, answer } => {
                inputs.push(Input::Checked { node, shard, kind, answer });
            }
            News::Recalled { node, hits } => inputs.push(Input::Recalled { node, hits }),
            News::Crew { node, told } => self.hear_crew(node, told, inputs),
            News::Caught(caught) => {
                self.is_hurried = self.core.state().verdict().is_some();
                match self.ladder.step(caught) {
                    Step::Cancel(level, why) => {
                        inputs.push(Input::Cancel { level, why, by: self.desk.person().to_owned() });
                    }
                    Step::Leave(why) => {
                        self.ending.get_or_insert(Ending::Left(why));
                    }
                }
            }
            News::Typed(line) => inputs.extend(self.desk.typed(line.as_deref(), self.core.state())),
        }
    }

    /// What is on the disk may be carried out and shown.
    fn durable(&mut self, first: u64, records: Vec<(Millis, Event)>, inputs: &mut Vec<Input>) {
        self.horizon.advance(first + records.len() as u64 - 1);
        // Output so far came before these records; what they start can only print after them.
        let batch = Arc::new(Batch { first, records, mark: self.audience.mark() });
        let has = |is: fn(&Event) -> bool| batch.records.iter().any(|(_, event)| is(event));
        // The first line a user sees is the run's id, before any process starts.
        let shows_first = has(|event| matches!(event, Event::RunBegan(_) | Event::RunResumed(_)));
        // What a question is about stands before it.
        let tells_first = shows_first || has(|event| matches!(event, Event::GateOpened { .. }));
        if tells_first {
            self.audience.tell(&batch, true);
        }
        if shows_first {
            self.audience.finish_first_word();
        }
        for (sequence, (_, event)) in (first..).zip(&batch.records) {
            if !self.crews.was_fed(sequence) {
                self.obey(event, inputs);
            }
        }
        if !tells_first {
            self.audience.tell(&batch, false);
        }
        self.desk.file_mail(&self.dir, first + batch.records.len() as u64 - 1);
    }

    /// Carries out what a durable fact orders.
    fn obey(&mut self, event: &Event, inputs: &mut Vec<Input>) {
        if self.obey_for_crews(event, inputs) {
            return;
        }
        let mut orders = Vec::new();
        commands(event, |command| orders.push(command));
        for command in orders {
            match command {
                Command::Start(attempt) if self.early.remove(&attempt) => self.confirm(attempt, inputs),
                Command::Start(attempt) => self.start(attempt, inputs),
                Command::Stop(attempt, how) => self.stop(attempt, how, inputs),
                Command::Hire(..) | Command::Dismiss(..) => unreachable!("these were obeyed before"),
                Command::Check(node, shard, CheckKind::DoneIf) => {
                    self.ask_done_if(Attempt { node, shard, number: 0 }, inputs);
                }
                Command::Check(node, _, CheckKind::Cache) if self.is_told_by_point(node, inputs) => {}
                Command::Check(node, shard, CheckKind::Cache) => {
                    let process = process(&self.graph, Attempt { node, shard, number: 0 });
                    let state = self.core.state();
                    let material = self.preparer.material(&self.graph, node, process, state);
                    if self.graph.nodes[node].rules.split.is_some() {
                        self.checks.ask_shards(node, material, process, &self.sender);
                    } else {
                        self.checks.ask_cache((node, shard), material, &self.sender);
                    }
                }
            }
        }
        match event {
            Event::GateOpened { node, .. } => {
                inputs.extend(self.desk.opened(*node, self.core.state()));
            }
            Event::RunResumed(_) => {
                let open: Vec<_> = self.core.state().open_approvals().map(|(node, _)| node).collect();
                for node in open {
                    inputs.extend(self.desk.opened(node, self.core.state()));
                }
            }
            Event::CheckAnswered { node, shard, kind: CheckKind::DoneIf, .. } => {
                // The core answered for a question that took too long: nobody waits for it any more.
                if let Some(key) = self.keys.check(*node, *shard) {
                    self.local.stop(key, StopKind::Kill);
                }
            }
            Event::CancelRaised { level, .. } if *level >= CancelLevel::Stop => {
                // A question changes nothing, so it needs no grace.
                for key in self.keys.checks() {
                    self.local.stop(key, StopKind::Kill);
                }
            }
            // The lock is for what counts; another run need not wait for the rest. What cannot be freed now is freed at
            // the end.
            Event::ForegroundEnded { verdict } if verdict.frees_lock() => {
                if let Ok(state) = StateDir::open(self.dir.state_path()) {
                    drop(Locks::new(&state).free_all(self.dir.id()));
                }
            }
            Event::RunFinished { verdict } => self.ending = Some(Ending::Finished(verdict.clone())),
            Event::RunSuspended { why } => self.ending = Some(Ending::Suspended(*why)),
            _ => {}
        }
    }

    /// A process is over.
    pub(super) fn ended(&mut self, ended: &Ended, inputs: &mut Vec<Input>) {
        let output = self.captured.finish(ended.key);
        match self.keys.close(ended.key) {
            Some(Purpose::Attempt { attempt, mut slate, cwd }) => {
                let graph = Arc::clone(&self.graph);
                let process = process(&graph, attempt);
                let masker = self.masker();
                let telling = match (attempt.shard, &masker) {
                    (0, None) => Telling::Names,
                    (0, Some(_)) => Telling::Number,
                    _ => Telling::Nothing,
                };
                let Some((mut outcome, mut result)) =
                    collect::outcome(ended, process, &mut slate, output, telling)
                else {
                    inputs.push(Input::Lost { attempt });
                    return;
                };
                if let Some(masker) = &masker {
                    // Before the cache could remember it.
                    hide::done(masker, &mut outcome, &mut result);
                }
                let took = ended.took.into();
                let may_live = collect::may_live(ended, graph.nodes[attempt.node].rules.is_hosted);
                self.preparer.tidy(slate, process.lifetime, may_live);
                if outcome == Outcome::Success && (!process.artifacts.is_empty() || process.cache.is_some()) {
                    self.checks.keep((attempt, cwd), process, (result, took), masker, &self.sender);
                } else {
                    inputs.push(Input::Done { attempt, outcome, took, result: Box::new(result) });
                }
            }
            Some(Purpose::Check { node, shard, kind, mut slate }) => {
                let process = process(&self.graph, Attempt { node, shard, number: 0 });
                let answer = collect::done_if_answer(ended, process, &mut slate);
                self.preparer.tidy(slate, Lifetime::Stage, collect::may_live(ended, false));
                inputs.push(Input::Checked { node, shard, kind, answer });
            }
            Some(Purpose::Worker { name }) => self.crews.ended(name.node, ended),
            None => {}
        }
    }

    /// A few times a second: requests of other processes, and the live view.
    fn beat(&mut self, inputs: &mut Vec<Input>) {
        inputs.extend(self.desk.open_mail(&self.dir, self.core.state()));
        // For who follows the stored log, and so that a killed engine takes no more than a beat of it along.
        self.captured.flush();
        let now = self.clock.now();
        self.last_beat = now;
        self.audience.tick(now);
    }
}
