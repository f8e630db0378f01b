//! The outside of a simulated run: executors, people, a clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine::base::{Digest, Millis, NodeIx, RunId, Span};
use engine::graph::Graph;
use engine::run::event::{
    Answer, Attempt, Began, CancelLevel, CancelReason, CheckKind, NodeState, Resolution, Resumed, ShardResult,
    StopKind, Verdict,
};
use engine::run::{Command, Core, Event, Input, Outcome, input};

use crate::laws::Laws;
use crate::plan::{Dice, graph};

/// How the outside behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// Late, double and missing answers, ignored stops, cancels and pauses.
    Hostile,
    /// Each shard always ends in the same way.
    Calm,
    /// Everything succeeds.
    Mended,
}

/// A run and its outside.
pub(crate) struct World {
    pub(crate) core: Core,
    pub(crate) log: Vec<(Millis, Event)>,
    pub(crate) mode: Mode,
    graph: Arc<Graph>,
    seed: u64,
    dice: Dice,
    at: Millis,
    /// News on their way.
    mail: BTreeMap<(Millis, u64), Input>,
    sent: u64,
    /// Started since the last recovery.
    started: BTreeSet<(NodeIx, u32)>,
    laws: Laws,
}

impl World {
    pub(crate) fn new(seed: u64, mode: Mode) -> Self {
        let graph = graph(seed, mode != Mode::Hostile);
        let mut world = Self::bare(seed, mode, graph);
        let began = Began {
            run: RunId::parse("sim").expect("an id"),
            plan: "sim".to_owned(),
            path: "sim.yaml".to_owned(),
            wall_ms: 0,
            jobs: world.graph.settings.max_parallel,
            seed,
            graph: Digest::ZERO,
            files: Vec::new(),
            key: None,
            by: "sim".to_owned(),
            engine: "sim".to_owned(),
        };
        world.send(0, Input::Begin(Box::new(began)));
        world
    }

    fn bare(seed: u64, mode: Mode, graph: Arc<Graph>) -> Self {
        Self {
            core: Core::new(vec![Arc::clone(&graph)]),
            log: Vec::new(),
            mode,
            laws: Laws::new(&graph),
            graph,
            seed,
            dice: Dice(seed ^ 0xabcd),
            at: Millis::ZERO,
            mail: BTreeMap::new(),
            sent: 0,
            started: BTreeSet::new(),
        }
    }

    /// The first `count` records of another run, and nothing else of it.
    pub(crate) fn cut(whole: &Self, count: usize) -> Self {
        let mut world = Self::bare(whole.seed, whole.mode, Arc::clone(&whole.graph));
        for (at, event) in &whole.log[..count] {
            world.core.replay(*at, event);
            world.laws.hear(event);
            world.log.push((*at, event.clone()));
            world.at = *at;
        }
        world
    }

    /// Another engine takes over; what was on its way is lost.
    pub(crate) fn recover(&mut self) {
        self.mail.clear();
        self.started.clear();
        let resumed = Resumed {
            wall_ms: 0,
            gap: Span::from_ms(0),
            jobs: self.graph.settings.max_parallel,
            by: "sim".to_owned(),
            engine: "sim".to_owned(),
        };
        let recover =
            Input::Recover { resumed: Box::new(resumed), plan_version: None, changed: vec![], rerun: vec![] };
        self.send(0, recover);
    }

    pub(crate) fn verdict(&self) -> Verdict {
        self.core.state().verdict().cloned().expect("the run is over")
    }

    /// Stages of the main phase that are done.
    pub(crate) fn done(&self) -> Vec<NodeIx> {
        let state = self.core.state();
        let is_main = |node: &NodeIx| self.graph.nodes[*node].phase == engine::graph::model::Phase::Main;
        let nodes = self.graph.nodes.indexes().filter(is_main);
        nodes.filter(|&node| state.state(node).is_success() || state.state(node) == NodeState::Cached).collect()
    }

    /// Promise 2: none of these has been started since.
    pub(crate) fn kept(&self, had: &[NodeIx]) -> bool {
        had.iter().all(|node| self.started.range((*node, 0)..=(*node, u32::MAX)).next().is_none())
    }

    fn send(&mut self, after: u64, input: Input) {
        self.sent += 1;
        self.mail.insert((self.at + Span::from_ms(after), self.sent), input);
    }

    /// Until the run is over.
    pub(crate) fn run(&mut self) {
        for _ in 0..20_000 {
            self.interfere();
            let mail = self.mail.keys().next().map(|key| key.0);
            let Some(next) = [mail, self.core.next_deadline()].into_iter().flatten().min() else {
                return self.finish();
            };
            self.at = next.max(self.at);
            let mut inputs = Vec::new();
            while let Some(entry) = self.mail.first_entry().filter(|entry| entry.key().0 <= self.at) {
                inputs.push(entry.remove());
            }
            self.step(inputs);
        }
        panic!("the run does not end: {:#?}", &self.log[self.log.len() - 5..]);
    }

    /// Nothing is on its way and no clock runs: the run is over, or a person must decide.
    fn finish(&mut self) {
        if self.core.state().verdict().is_some() {
            return;
        }
        let state = self.core.state();
        if !state.is_quiescent() {
            assert_eq!(self.mode, Mode::Hostile, "only a hostile executor never answers");
            let why = CancelReason::Person;
            self.send(1, Input::Cancel { level: CancelLevel::Kill, why, by: "sim".to_owned() });
            return self.run();
        }
        assert!(state.is_paused() || state.needs_person(), "the run is stuck: {:?}", state.counts());
        let unknown: Vec<NodeIx> = state.unknown().collect();
        let gates: Vec<NodeIx> = state.open_approvals().map(|it| it.0).collect();
        let (by, note) = (String::new(), String::new());
        for node in unknown {
            let resolution = match self.dice.below(3) {
                0 => Resolution::Success,
                1 => Resolution::Failed,
                _ => Resolution::Rerun,
            };
            let mended = if self.mode == Mode::Mended { Resolution::Success } else { resolution };
            self.send(1, Input::Resolve { node, resolution: mended, by: by.clone(), note: note.clone() });
        }
        for node in gates {
            let approved = self.approves(node);
            self.send(1, Input::Decide { node, approved, by: by.clone(), note: note.clone() });
        }
        self.send(2, Input::Pause(false));
        self.run();
    }

    fn interfere(&mut self) {
        let is_live = self.core.state().has_begun() && self.core.state().verdict().is_none();
        if self.mode != Mode::Hostile || !is_live {
            return;
        }
        match self.dice.below(400) {
            0 => {
                let level = [CancelLevel::Drain, CancelLevel::Stop, CancelLevel::Kill];
                let level = level[usize::try_from(self.dice.below(3)).expect("below 3")];
                self.send(0, Input::Cancel { level, why: CancelReason::Person, by: "sim".to_owned() });
            }
            1 => self.send(0, Input::Pause(true)),
            2 => self.recover(),
            3..40 => self.send(0, Input::Pause(false)),
            _ => {}
        }
    }

    fn step(&mut self, inputs: Vec<Input>) {
        let before = self.core.state().clone();
        let batch = self.core.step(self.at, inputs);
        let mut replayed = before;
        for (at, event) in &batch.events {
            assert!(*at >= self.at, "time goes back");
            self.laws.check(&replayed, event);
            replayed.fold(*at, event);
            self.laws.hear(event);
            self.laws.audit(&replayed);
            input::commands(event, |command| self.obey(command));
            if let Event::GateOpened { node, .. } = event {
                self.ask(*node);
            }
        }
        assert_eq!(&replayed, self.core.state(), "folding the facts gives another state");
        self.log.extend(batch.events);
        let due = self.core.next_deadline();
        assert!(due.is_none_or(|due| due > self.at), "a deadline was left: {due:?} at {:?}", self.at);
    }

    fn approves(&self, node: NodeIx) -> bool {
        self.mode == Mode::Mended || Dice(self.seed ^ u64::from(node.raw())).chance(80)
    }

    fn ask(&mut self, node: NodeIx) {
        let approved = self.approves(node);
        if self.mode != Mode::Hostile || self.dice.chance(80) {
            let after = self.dice.below(300);
            self.send(after, Input::Decide { node, approved, by: String::new(), note: String::new() });
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Start(attempt) => {
                self.started.insert((attempt.node, attempt.shard));
                let outcome = self.outcome(attempt);
                let after = self.dice.below(150);
                self.answer(attempt, outcome, after);
            }
            Command::Stop(attempt, how) => {
                if how == StopKind::Kill || self.mode != Mode::Hostile || self.dice.chance(60) {
                    let after = self.dice.below(40);
                    self.answer(attempt, Outcome::Signal(15), after);
                }
            }
            Command::Check(node, shard, kind) => self.check(node, shard, kind),
        }
    }

    fn answer(&mut self, attempt: Attempt, outcome: Outcome, after: u64) {
        let hostile = self.mode == Mode::Hostile;
        if hostile && self.dice.chance(3) {
            return;
        }
        let took = Span::from_ms(after);
        let done = Input::Done { attempt, outcome, took, result: Box::<ShardResult>::default() };
        if hostile && self.dice.chance(10) {
            self.send(after + 30, done.clone());
        }
        self.send(after, done);
    }

    fn check(&mut self, node: NodeIx, shard: u32, kind: CheckKind) {
        let answer = match (self.mode, self.dice.below(3)) {
            (Mode::Hostile, 0) => Answer::Yes(Box::default()),
            (Mode::Hostile, 1) => Answer::Unknown("sim".to_owned()),
            _ => Answer::No,
        };
        if self.mode != Mode::Hostile || self.dice.chance(95) {
            let after = self.dice.below(50);
            self.send(after, Input::Checked { node, shard, kind, answer });
        }
    }

    /// Calm shards always end in the same way, so that a verdict does not depend on when the engine died.
    fn outcome(&mut self, attempt: Attempt) -> Outcome {
        let fixed = self.seed ^ (u64::from(attempt.node.raw()) << 20) ^ u64::from(attempt.shard);
        match self.mode {
            Mode::Calm if Dice(fixed).chance(12) => Outcome::Exit(1),
            Mode::Calm | Mode::Mended => Outcome::Success,
            Mode::Hostile => match self.dice.below(12) {
                0 => Outcome::Exit(1),
                1 => Outcome::Signal(11),
                2 => Outcome::NotStarted("sim".to_owned()),
                3 => Outcome::BadResult("sim".to_owned()),
                _ => Outcome::Success,
            },
        }
    }
}
