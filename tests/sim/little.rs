//! A little world: one plan, in which time goes from news to news, and which is cut after a record and taken over by another
//! engine. A [`Cast`] says what is planned, and who answers how.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::base::{Millis, NodeIx, Span};
use engine::graph::Graph;
use engine::run::event::{CancelLevel, CancelReason, Resumed};
use engine::run::{Attempt, Command, Core, Event, Input, Outcome, input};

use crate::plan::Dice;
use crate::rehearsal::begin;

/// More steps than any of these runs can take: what needs more loops.
const MAX_STEPS: usize = 4_000;

/// Between the last record of an engine and the next engine.
const GAP: Span = Span::from_ms(1_000);

/// Those who act in a world, and what they know.
pub(crate) trait Cast: Sized {
    /// The plan, the cast, and when a person cancels the run.
    fn draw(dice: &mut Dice) -> (Arc<Graph>, Self, Option<Millis>);

    /// An attempt starts, and what comes of it is sent.
    fn start(world: &mut Little<Self>, attempt: Attempt);

    /// An order that is neither to start nor to stop.
    fn obey(_: &mut Little<Self>, command: Command) {
        panic!("{command:?} is not asked for here");
    }

    /// A person is asked about a stage.
    fn ask(_: &mut Little<Self>, node: NodeIx) {
        panic!("nobody is asked about {node:?} here");
    }

    /// What news have become when they arrive.
    fn open(_: &Little<Self>, news: Input) -> Input {
        news
    }

    /// What is said when nothing moves any more.
    fn help(world: &Little<Self>) -> Vec<Input> {
        panic!("nothing moves any more: {:#?}", world.log);
    }

    /// What a world that was cut knows by its log.
    fn recall(_: &mut Little<Self>) {}
}

pub(crate) struct Little<C> {
    pub(crate) seed: u64,
    pub(crate) graph: Arc<Graph>,
    pub(crate) core: Core,
    pub(crate) now: Millis,
    mail: BTreeMap<(Millis, u64), Input>,
    sent: u64,
    pub(crate) log: Vec<(Millis, Event)>,
    pub(crate) cancels_at: Option<Millis>,
    pub(crate) cast: C,
}

impl<C: Cast> Little<C> {
    pub(crate) fn new(seed: u64) -> Self {
        let (graph, cast, cancels_at) = C::draw(&mut Dice(seed));
        let core = Core::new(vec![Arc::clone(&graph)]);
        let mail = BTreeMap::from([((Millis::ZERO, 0), begin(&graph))]);
        Self { seed, graph, core, now: Millis::ZERO, mail, sent: 0, log: Vec::new(), cancels_at, cast }
    }

    /// The world of this seed when its run has ended.
    pub(crate) fn ended(seed: u64) -> Self {
        let mut world = Self::new(seed);
        world.run();
        world
    }

    /// The world of this seed, cut after each record of its run, when the next engine has ended it.
    pub(crate) fn each_cut(seed: u64, check: impl Fn(&Self)) {
        let whole = Self::ended(seed);
        for count in 1..whole.log.len() {
            let mut cut = Self::cut(&whole, count);
            cut.run();
            check(&cut);
        }
    }

    /// The engine died after so many records, and another one takes over.
    fn cut(whole: &Self, count: usize) -> Self {
        let mut world = Self::new(whole.seed);
        world.mail.clear();
        world.log = whole.log[..count].to_vec();
        world.now = world.log.last().map_or(Millis::ZERO, |it| it.0) + GAP;
        for (at, event) in &world.log {
            world.core.replay(*at, event);
        }
        C::recall(&mut world);
        let recover = recover(&world.graph);
        world.step(vec![recover]);
        // Whoever is asked is asked again.
        let open: Vec<NodeIx> = world.core.state().open_approvals().map(|it| it.0).collect();
        for node in open {
            C::ask(&mut world, node);
        }
        world
    }

    pub(crate) fn send(&mut self, after: Span, news: Input) {
        self.sent += 1;
        self.mail.insert((self.now + after, self.sent), news);
    }

    /// An attempt ends so long from now.
    pub(crate) fn end(&mut self, attempt: Attempt, (took, outcome): (Span, Outcome)) {
        self.send(took, Input::Done { attempt, outcome, took, result: Box::default() });
    }

    fn step(&mut self, inputs: Vec<Input>) {
        for (at, event) in self.core.step(self.now, inputs).events {
            let mut orders = Vec::new();
            input::commands(&event, |command| orders.push(command));
            for command in orders {
                match command {
                    Command::Start(attempt) => C::start(self, attempt),
                    Command::Stop(attempt, _) => self.end(attempt, (Span::ZERO, Outcome::Signal(15))),
                    other => C::obey(self, other),
                }
            }
            self.log.push((at, event.clone()));
            if let Event::GateOpened { node, .. } = event {
                C::ask(self, node);
            }
        }
    }

    fn run(&mut self) {
        for _ in 0..MAX_STEPS {
            if self.core.state().verdict().is_some() {
                return;
            }
            let mail = self.mail.first_key_value().map(|it| it.0.0);
            let next = [mail, self.core.next_deadline(), self.cancels_at].into_iter().flatten().min();
            self.now = self.now.max(next.unwrap_or(self.now));
            let mut inputs = Vec::new();
            while let Some(entry) = self.mail.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let news = entry.remove();
                inputs.push(C::open(self, news));
            }
            if self.cancels_at.take_if(|due| *due <= self.now).is_some() {
                let (level, why) = (CancelLevel::Stop, CancelReason::Person);
                inputs.push(Input::Cancel { level, why, by: String::new() });
            }
            if next.is_none() {
                inputs.extend(C::help(self));
            }
            inputs.push(Input::Tick);
            self.step(inputs);
        }
        panic!("it loops: {:#?}", self.log);
    }
}

/// Dice for one attempt, by its name alone: the same before and after a crash.
pub(crate) fn dice_of(seed: u64, attempt: Attempt, salt: u64) -> Dice {
    let name = u64::from(attempt.node.raw()) << 32 | u64::from(attempt.shard) << 16 | u64::from(attempt.number);
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9) ^ name.wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ salt);
    dice.next();
    dice
}

/// What is known of an engine that takes over.
pub(crate) fn resumed(gap: Span, jobs: u32) -> Resumed {
    let (by, engine) = (String::new(), String::new());
    Resumed { wall_ms: 0, gap, jobs, by, engine, place: None, plan: None, drains: false, closes: false }
}

/// Another engine takes over, a second later.
pub(crate) fn recover(graph: &Graph) -> Input {
    let resumed = Box::new(resumed(GAP, graph.settings.max_parallel));
    let (changed, rerun, failed) = (Vec::new(), Vec::new(), Vec::new());
    Input::Recover { resumed, plan_version: None, changed, rerun, failed }
}
