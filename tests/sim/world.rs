//! The outside of a simulated run: executors, people, a clock.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Arc;

use engine::base::{Millis, NodeIx, Span};
use engine::gate::verdict::{HALTED, HELD};
use engine::graph::Graph;
use engine::run::event::{
    Answer, Attempt, Began, CancelLevel, CancelReason, CheckKind, Resumed, ShardResult, StopKind, SuspendReason,
    Verdict,
};
use engine::run::{Command, Core, Event, Input, Outcome, input};

use crate::book::Book;
use crate::consent::{self, Consents};
use crate::disk::Disk;
use crate::items::Items;
use crate::plan::{Dice, Kind, versions};
use crate::seen::Seen;
use crate::{audit, held, laws, news, plan};

/// How the outside behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// Late, double and missing answers, ignored stops, cancels and pauses.
    Hostile,
    /// Each shard always ends in the same way, and failures stay where they are.
    Calm,
    /// Each shard always ends in the same way or never, under every policy.
    Fixed,
    /// Everything succeeds.
    Mended,
}

/// A run and its outside.
pub(crate) struct World {
    pub(crate) core: Core,
    pub(crate) log: Vec<(Millis, Event)>,
    pub(crate) mode: Mode,
    pub(crate) versions: Vec<Arc<Graph>>,
    pub(crate) seed: u64,
    pub(crate) dice: Dice,
    pub(crate) at: Millis,
    /// News on their way.
    mail: BTreeMap<(Millis, u64), Input>,
    sent: u64,
    /// Started since the last recovery.
    pub(crate) started: BTreeSet<(NodeIx, u32)>,
    book: Book,
    items: Items,
    consents: Consents,
    seen: Seen,
    pub(crate) disk: Disk,
    /// Where the facts are shown, with `SIM_LOG`.
    told: Option<std::io::Stderr>,
    /// Whether all other news are tried too after each step.
    pub(crate) tries_all: bool,
    /// How often another engine took over.
    pub(crate) takeovers: u32,
    /// How long the time box of every engine is, if they have one; a hostile world has some of its own.
    pub(crate) time_box: Option<u64>,
    /// Whether the next engine is for the background only.
    pub(crate) drains: bool,
    /// Whether the next one only records how the run ends.
    pub(crate) closes: bool,
    /// Whether an engine that has left is not followed by another one.
    pub(crate) is_last: bool,
}

impl World {
    pub(crate) fn new(seed: u64, mode: Mode) -> Self {
        let kind = match mode {
            Mode::Hostile => Kind::Wild,
            Mode::Calm | Mode::Mended => Kind::Calm,
            Mode::Fixed => Kind::Fixed,
        };
        let mut plans = versions(seed, kind);
        if mode == Mode::Hostile {
            for graph in &mut plans {
                consent::strew(seed, Arc::make_mut(graph));
                held::strew(seed, Arc::make_mut(graph));
            }
        }
        let mut world = Self::bare(seed, mode, plans);
        let began =
            Began { seed, by: "sim".to_owned(), ..Began::unrecorded("sim", world.graph().settings.max_parallel) };
        plan::tell(&world.versions).for_each(|line| world.show(&format_args!("{line}")));
        world.send(0, Input::Begin(Box::new(began)));
        if mode == Mode::Hostile {
            world.open_box();
        }
        world
    }

    fn bare(seed: u64, mode: Mode, versions: Vec<Arc<Graph>>) -> Self {
        Self {
            core: Core::new(versions.clone()),
            log: Vec::new(),
            mode,
            book: Book::new(&versions),
            items: Items::default(),
            consents: Consents::default(),
            disk: Disk::new(seed, &versions),
            seen: Seen::new(&versions),
            takeovers: 0,
            time_box: None,
            drains: false,
            closes: false,
            is_last: false,
            tries_all: false,
            told: std::env::var_os("SIM_LOG").map(|_| std::io::stderr()),
            versions,
            seed,
            dice: Dice(seed ^ 0xabcd),
            at: Millis::ZERO,
            mail: BTreeMap::new(),
            sent: 0,
            started: BTreeSet::new(),
        }
    }

    /// The plan that is gone by.
    pub(crate) fn graph(&self) -> Arc<Graph> {
        Arc::clone(self.core.state().graph())
    }

    /// The first `count` records of another run, and nothing else of it.
    pub(crate) fn cut(whole: &Self, count: usize) -> Self {
        let mut world = Self::bare(whole.seed, whole.mode, whole.versions.clone());
        world.show(&format_args!("-- cut after record {count} of {}", whole.log.len()));
        for (at, event) in &whole.log[..count] {
            world.show(&format_args!("({} {event:?})", at.raw()));
            let items = world.items.clone();
            world.book.heals.look(world.core.state(), event);
            world.consents.check(world.core.state(), *at, event);
            world.items.hear(&world.book, world.core.state(), *at, event);
            world.core.replay(*at, event);
            world.book.hear(*at, event, &items);
            world.disk.hear(*at, event, world.core.state());
            world.seen.hear(world.core.state(), *at, event);
            world.log.push((*at, event.clone()));
            world.at = *at;
        }
        world.disk.settle_all();
        world
    }

    /// Another engine takes over; what was on its way is lost.
    pub(crate) fn recover(&mut self) {
        self.take_over(0, None, vec![], vec![]);
    }

    /// The engine is gone with what was on its way: what another one begins with.
    pub(crate) fn recovery(
        &mut self,
        gap: u64,
        plan_version: Option<u32>,
        changed: Vec<NodeIx>,
        rerun: Vec<NodeIx>,
    ) -> Input {
        self.mail.clear();
        self.disk.settle_all();
        self.started.clear();
        self.takeovers += 1;
        let gap = Span::from_ms(gap);
        self.at = self.at + gap;
        let (by, engine) = ("sim".to_owned(), "sim".to_owned());
        let resumed = Resumed {
            wall_ms: i64::try_from(self.at.raw()).expect("a short run"),
            gap,
            jobs: self.graph().settings.max_parallel,
            by,
            engine,
            place: None,
            plan: None,
            drains: self.drains,
            closes: self.closes,
        };
        Input::Recover { resumed: Box::new(resumed), plan_version, changed, rerun, failed: Vec::new() }
    }

    pub(crate) fn take_over(
        &mut self,
        gap: u64,
        plan_version: Option<u32>,
        changed: Vec<NodeIx>,
        rerun: Vec<NodeIx>,
    ) {
        let recover = self.recovery(gap, plan_version, changed, rerun);
        self.send(0, recover);
        self.open_box();
        // Whoever was asked before is asked still.
        let open: Vec<NodeIx> = self.core.state().open_approvals().map(|it| it.0).collect();
        open.into_iter().filter(|_| plan_version.is_none()).for_each(|node| self.ask(node));
    }

    /// Tells a new engine how long it may work.
    pub(crate) fn open_box(&mut self) {
        let mut dice = Dice(self.seed ^ 0xb0b0 ^ u64::from(self.takeovers));
        let wild = (self.mode == Mode::Hostile && dice.chance(40)).then(|| dice.below(600));
        if let Some(length) = self.time_box.or(wild) {
            self.send(0, Input::OpenBox { until: self.at + Span::from_ms(length) });
        }
    }

    /// Another engine, after a while, with orders and perhaps an edited plan.
    pub(crate) fn hostile_takeover(&mut self) {
        let gap = self.dice.below(3) * self.dice.below(500);
        let version = self.core.state().version();
        let has_more = (version as usize) < self.versions.len();
        let next = Some(version + 1).filter(|_| has_more && self.dice.chance(60));
        let graph = Arc::clone(&self.versions[next.unwrap_or(version) as usize - 1]);
        let approvals = graph.nodes.pairs().filter(|(_, node)| node.rules.is_approval).map(|it| it.0);
        let changed = if next.is_some() { approvals.collect() } else { Vec::new() };
        let mut rerun: Vec<NodeIx> = Vec::new();
        if self.dice.chance(40) {
            rerun.push(NodeIx::new(self.dice.small(u32::try_from(graph.nodes.len()).expect("few"))));
        }
        self.take_over(gap, next, changed, rerun);
    }

    pub(crate) fn verdict(&self) -> Verdict {
        self.core.state().verdict().cloned().expect("the run is over")
    }

    pub(crate) fn send(&mut self, after: u64, input: Input) {
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
        if state.suspended().is_some() && state.is_quiescent() {
            if self.is_last {
                return;
            }
            let drains = state.in_background() && (self.mode != Mode::Hostile || self.dice.chance(50));
            if drains && !state.is_stalled() {
                assert!(self.takeovers < 60, "the background is never done");
                self.drain();
            } else if self.time_box.is_some() {
                if state.is_stalled() {
                    return self.stalls();
                }
                assert!(self.takeovers < 500, "boxes in a row do not end");
                self.recover();
            } else {
                self.hostile_takeover();
                // Who comes back again and again first says what an engine needs to know.
                if self.takeovers > 8 {
                    self.resolve_all(0);
                }
            }
            return self.run();
        }
        if !state.is_quiescent() {
            assert_eq!(self.mode, Mode::Hostile, "only a hostile executor never answers");
            let why = CancelReason::Person;
            self.send(1, Input::Cancel { level: CancelLevel::Kill, why, by: "sim".to_owned() });
            return self.run();
        }
        assert!(state.is_paused() || state.needs_person(), "the run is stuck: {:?}", state.counts());
        if self.mode == Mode::Hostile && !state.is_paused() && self.takeovers < 6 && self.dice.chance(30) {
            self.send(0, Input::Suspend(SuspendReason::Person));
            return self.run();
        }
        self.decide_all();
        self.send(2, Input::Pause { on: false, by: String::new() });
        self.run();
    }

    pub(crate) fn step(&mut self, inputs: Vec<Input>) {
        let before = self.core.state().clone();
        let batch = self.core.step(self.at, inputs);
        let mut replayed = before;
        for (at, event) in &batch.events {
            assert!(*at >= self.at, "time goes back");
            self.show(&format_args!("{} {event:?}", at.raw()));
            laws::check(&self.book, &replayed, *at, event);
            self.consents.check(&replayed, *at, event);
            self.items.check(&self.book, &replayed, *at, event);
            // The items know best what an edit leaves of a stage.
            let items = self.items.clone();
            self.book.heals.look(&replayed, event);
            self.items.hear(&self.book, &replayed, *at, event);
            replayed.fold(*at, event);
            self.book.hear(*at, event, &items);
            self.disk.hear(*at, event, &replayed);
            self.seen.hear(&replayed, *at, event);
            audit::after_each(&self.book, &replayed);
            input::commands(event, |command| self.obey(command));
            if let Event::GateOpened { node, .. } = event {
                self.ask(*node);
            }
        }
        assert_eq!(&replayed, self.core.state(), "folding the facts gives another state");
        self.log.extend(batch.events);
        self.disk.sync();
        audit::after_step(&self.book, self.core.state(), self.at);
        if self.tries_all {
            news::try_all(&self.core, self.at);
        }
        let due = self.core.next_deadline();
        assert!(due.is_none_or(|due| due > self.at), "a deadline was left: {due:?} at {:?}", self.at);
    }

    /// Says what there is to see, with `SIM_LOG`.
    fn show(&mut self, what: &std::fmt::Arguments<'_>) {
        if let Some(log) = &mut self.told {
            writeln!(log, "{what}").expect("standard error takes what it is told");
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Start(attempt) => {
                self.started.insert((attempt.node, attempt.shard));
                let after = self.duration(attempt);
                if self.mode == Mode::Hostile && self.dice.chance(10) {
                    self.send(after / 2, Input::Silent { attempt });
                }
                if let Some(outcome) = self.outcome(attempt) {
                    self.answer(attempt, outcome, after);
                }
            }
            Command::Stop(attempt, how) => {
                if how == StopKind::Kill || self.mode != Mode::Hostile || self.dice.chance(60) {
                    let after = self.dice.below(40);
                    self.answer(attempt, Outcome::Signal(15), after);
                }
            }
            Command::Check(node, shard, kind) => self.check(node, shard, kind),
            Command::Hire(..) => {}
            Command::Dismiss(node, _) => {
                let after = self.dice.below(60);
                if self.mode != Mode::Hostile || self.dice.chance(90) {
                    self.send(after, Input::CrewGone { node });
                }
            }
        }
    }

    /// What has items takes its time for each.
    fn duration(&mut self, attempt: Attempt) -> u64 {
        let any = self.dice.below(150);
        let Some(slice) = self.core.state().slice(attempt.node, attempt.shard) else { return any };
        let each = Dice(self.seed ^ 0x71e5 ^ u64::from(attempt.node.raw())).below(30);
        (slice.range.count() as u64 * each / 2 + any / 15).min(400)
    }

    fn answer(&mut self, attempt: Attempt, outcome: Outcome, after: u64) {
        let hostile = self.mode == Mode::Hostile;
        if hostile && self.dice.chance(3) {
            return;
        }
        let took = Span::from_ms(after);
        let n = u64::from(attempt.node.raw() % 2);
        let outputs = if outcome == Outcome::Success { vec![("n".to_owned(), n.into())] } else { Vec::new() };
        let result = Box::new(ShardResult { outputs, ..ShardResult::default() });
        let done = Input::Done { attempt, outcome, took, result };
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

    /// Calm shards always end in the same way, so that a verdict does not depend on when the engine died. None is
    /// an attempt that hangs.
    fn outcome(&mut self, attempt: Attempt) -> Option<Outcome> {
        let slice = self.core.state().slice(attempt.node, attempt.shard);
        let node = self.seed ^ (u64::from(attempt.node.raw()) << 20);
        let fixed = node ^ u64::from(attempt.shard);
        // A slice fails with any of its items, however they are cut.
        let is_bad = |percent: u64| match &slice {
            Some(slice) => slice.range.clone().any(|item| Dice(node ^ (item << 40)).chance(percent.div_ceil(6))),
            None => Dice(fixed).chance(percent),
        };
        match self.mode {
            Mode::Fixed if slice.is_none() && Dice(fixed ^ 0x5555).chance(4) => None,
            Mode::Calm | Mode::Fixed if is_bad(12) => Some(Outcome::Exit(1)),
            Mode::Calm | Mode::Fixed | Mode::Mended => Some(Outcome::Success),
            Mode::Hostile if self.graph().nodes[attempt.node].rules.hold.is_some() => {
                Some(match self.dice.below(8) {
                    0..3 => Outcome::Exit(HELD),
                    3 => Outcome::Exit(HALTED),
                    4 => Outcome::Exit(1),
                    _ => Outcome::Success,
                })
            }
            Mode::Hostile => Some(match self.dice.below(12) {
                0 => Outcome::Exit(1),
                1 => Outcome::Signal(11),
                2 => Outcome::NotStarted("sim".to_owned()),
                3 => Outcome::BadResult("sim".to_owned()),
                _ => Outcome::Success,
            }),
        }
    }
}
