//! Gates that are held: plans in which some stages ask by themselves, verdicts and people as the dice say, and a crash after
//! every record. The laws are counted from the facts alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use engine::base::{Millis, NodeIx, Span};
use engine::gate::verdict::{HALTED, HELD};
use engine::graph::model::{Accept, Need, Node, Phase, Policy};
use engine::graph::{Graph, Parts};
use engine::run::event::{Clock, NodeState, Resolution};
use engine::run::{Attempt, Command, Core, Event, Input, Outcome, input};

use crate::book::Book;
use crate::heal::recover;
use crate::plan::Dice;
use crate::rehearsal::begin;
use crate::{each, seeds};

/// More steps than any of these runs can take: what needs more loops.
const MAX_STEPS: usize = 4_000;

fn plan(dice: &mut Dice) -> Arc<Graph> {
    let mut nodes: Vec<Node> = Vec::new();
    for at in 0..2 + dice.small(4) {
        let mut node = Node::plain(&format!("s{at}"));
        let needs = (0..at).filter(|_| dice.chance(40)).map(NodeIx::new).collect::<Vec<_>>();
        node.needs = needs.into_iter().map(|node| Need { node, accept: Accept::DEFAULT }).collect();
        if dice.chance(60) {
            node.rules.hold = Some(Span::from_ms(50 + dice.below(100)));
            node.rules.waives_late = dice.chance(40);
            node.rules.is_hosted = dice.chance(70);
        }
        node.rules.grace = Span::from_ms(5);
        nodes.push(node);
    }
    let mut parts = Parts::of("held", nodes);
    parts.settings.max_parallel = 1 + dice.small(3);
    parts.scopes[0].policy = if dice.chance(50) { Policy::Continue } else { Policy::Drain };
    Arc::new(Graph::assemble(parts).expect("needs go back only"))
}

/// Some stages of a plan are gates that may be held, by dice of their own and the stage's name.
pub(crate) fn strew(seed: u64, graph: &mut Graph) {
    for node in &mut graph.nodes {
        let salt = node.id.bytes().fold(seed ^ 0x6a7e, |salt, byte| salt.rotate_left(8) ^ u64::from(byte));
        let mut dice = Dice(salt);
        let rules = &mut node.rules;
        let is_one = rules.shards == 1 && rules.split.is_none() && !rules.is_approval && !rules.is_service;
        if node.phase == Phase::Main && is_one && rules.idempotent && !rules.has_cache && dice.chance(25) {
            rules.hold = Some(Span::from_ms(50 + dice.below(600)));
            rules.waives_late = dice.chance(40);
            rules.is_hosted = dice.chance(50);
        }
    }
}

impl Book {
    /// Slots in use: a gate that asks without a process needs none.
    pub(crate) fn slots(&self) -> usize {
        let needs_one = |key: &&(NodeIx, u32)| !self.graph.nodes[key.0].rules.is_hosted;
        self.running.keys().filter(needs_one).count() + self.checks.len()
    }

    /// Whether an attempt that ends so holds its stage for a person, and whether that halts it.
    pub(crate) fn holds_by(&self, node: NodeIx, outcome: &Outcome) -> Option<bool> {
        let is_gate = self.graph.nodes[node].rules.hold.is_some();
        match outcome {
            Outcome::Exit(code @ (HELD | HALTED)) if is_gate => Some(*code == HALTED),
            _ => None,
        }
    }
}

/// Dice for one attempt, by its name alone: the same before and after a crash.
fn own(seed: u64, (node, number): (NodeIx, u64), salt: u64) -> Dice {
    let name = u64::from(node.raw()) << 32 | number;
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9) ^ name.wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ salt);
    dice.next();
    dice
}

fn fate(seed: u64, graph: &Graph, attempt: Attempt) -> (Span, Outcome) {
    let mut dice = own(seed, (attempt.node, u64::from(attempt.number)), 0);
    let took = Span::from_ms(dice.below(30));
    let outcome = match dice.below(10) {
        0..=4 if graph.nodes[attempt.node].rules.hold.is_some() => Outcome::Exit(HELD),
        5 if graph.nodes[attempt.node].rules.hold.is_some() => Outcome::Exit(HALTED),
        6 => Outcome::Exit(1),
        _ => Outcome::Success,
    };
    (took, outcome)
}

struct World {
    seed: u64,
    graph: Arc<Graph>,
    core: Core,
    now: Millis,
    mail: BTreeMap<(Millis, u64), Input>,
    sent: u64,
    log: Vec<(Millis, Event)>,
}

impl World {
    fn new(seed: u64) -> Self {
        let graph = plan(&mut Dice(seed));
        let core = Core::new(vec![Arc::clone(&graph)]);
        let mail = BTreeMap::from([((Millis::ZERO, 0), begin(&graph))]);
        Self { seed, graph, core, now: Millis::ZERO, mail, sent: 0, log: Vec::new() }
    }

    /// The engine died after so many records, and another one takes over.
    fn cut(whole: &Self, count: usize) -> Self {
        let mut world = Self::new(whole.seed);
        world.mail.clear();
        world.log = whole.log[..count].to_vec();
        for (at, event) in &world.log {
            world.core.replay(*at, event);
        }
        world.now = world.log.last().map_or(Millis::ZERO, |it| it.0) + Span::from_ms(1_000);
        let taken = recover(&world.graph);
        world.step(vec![taken]);
        let open: Vec<NodeIx> = world.core.state().open_approvals().map(|it| it.0).collect();
        for node in open {
            world.ask(node);
        }
        world
    }

    fn send(&mut self, after: Span, input: Input) {
        self.sent += 1;
        self.mail.insert((self.now + after, self.sent), input);
    }

    /// What a person says about the last verdict of a gate: yes, no, ask again, or nothing, where the wait has an end.
    fn ask(&mut self, node: NodeIx) {
        let tries = self.log.iter().filter(|(_, event)| starts(event) == Some(node)).count() as u64;
        let has_end = self.log.iter().rev().find_map(|(_, event)| match event {
            Event::GateOpened { node: of, expires, .. } if *of == node => Some(expires.is_some()),
            _ => None,
        });
        let (by, note) = ("ann".to_owned(), String::new());
        let mut dice = own(self.seed, (node, tries), 0x9e0);
        let after = Span::from_ms(dice.below(40));
        match dice.below(6) {
            // Whoever has a gate asked for ever is no law's concern.
            0 | 1 if tries < 8 => {
                self.send(after, Input::Resolve { node, resolution: Resolution::Rerun, by, note });
            }
            2 => self.send(after, Input::Decide { node, approved: false, by, note }),
            3 if has_end == Some(true) => {}
            _ => self.send(after, Input::Decide { node, approved: true, by, note }),
        }
    }

    fn step(&mut self, inputs: Vec<Input>) {
        for (at, event) in self.core.step(self.now, inputs).events {
            let mut orders = Vec::new();
            input::commands(&event, |command| orders.push(command));
            for command in orders {
                let (attempt, (took, outcome)) = match command {
                    Command::Start(attempt) => (attempt, fate(self.seed, &self.graph, attempt)),
                    Command::Stop(attempt, _) => (attempt, (Span::ZERO, Outcome::Signal(15))),
                    other => panic!("{other:?} is not asked for here"),
                };
                self.send(took, Input::Done { attempt, outcome, took, result: Box::default() });
            }
            self.log.push((at, event.clone()));
            if let Event::GateOpened { node, .. } = event {
                self.ask(node);
            }
        }
    }

    fn run(&mut self) {
        for _ in 0..MAX_STEPS {
            if self.core.state().verdict().is_some() {
                return;
            }
            let mail = self.mail.first_key_value().map(|it| it.0.0);
            let next = [mail, self.core.next_deadline()].into_iter().flatten().min();
            self.now = self.now.max(next.unwrap_or_else(|| panic!("nothing moves any more: {:#?}", self.log)));
            let mut inputs = vec![Input::Tick];
            while let Some(entry) = self.mail.first_entry().filter(|entry| entry.key().0 <= self.now) {
                inputs.push(entry.remove());
            }
            self.step(inputs);
        }
        panic!("it loops");
    }
}

/// The stage of which an attempt starts.
fn starts(event: &Event) -> Option<NodeIx> {
    match event {
        Event::ShardsStarted { node, .. } => Some(*node),
        Event::ShardRetried { attempt } => Some(attempt.node),
        _ => None,
    }
}

/// What is known of one gate, from the facts alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Known {
    /// It has no verdict, or asks.
    #[default]
    Asks,
    /// It is held, by so strong a verdict, and nobody has been asked yet.
    Held { is_halt: bool },
    /// A person is asked, until then.
    Open(Option<Millis>),
    /// A person, or the plan when nobody came, has decided.
    Decided(bool),
    /// Nobody came in time.
    Late,
}

/// A gate ends as it was decided; answers with what that was called.
fn may_end(node: NodeIx, state: NodeState, it: Known, is_closing: bool) -> Option<&'static str> {
    match it {
        Known::Asks => None,
        Known::Decided(true) => {
            assert!(state.is_success() || is_closing, "{node:?} was let pass");
            Some("waived")
        }
        Known::Decided(false) => {
            assert_eq!(state, NodeState::Failed, "{node:?} was refused");
            Some("refused")
        }
        Known::Late => {
            assert_eq!(state, NodeState::TimedOut, "{node:?}");
            None
        }
        Known::Held { .. } | Known::Open(_) => {
            assert!(is_closing && state == NodeState::Cancelled, "{node:?} ends undecided");
            Some("cancelled")
        }
    }
}

/// Every fact of a log keeps the laws of held gates; answers with what was seen.
fn check(graph: &Graph, log: &[(Millis, Event)], seen: &mut BTreeSet<&'static str>) {
    let mut known: BTreeMap<NodeIx, Known> = BTreeMap::new();
    let mut ends: BTreeMap<NodeIx, NodeState> = BTreeMap::new();
    let mut passed: BTreeSet<NodeIx> = BTreeSet::new();
    let mut is_closing = false;
    for (at, event) in log {
        if let Some(node) = starts(event) {
            let it = known.get(&node).copied().unwrap_or_default();
            assert_eq!(it, Known::Asks, "{node:?} asks again, and nobody ordered it");
            for need in &graph.nodes[node].needs {
                assert!(ends.get(&need.node).is_some_and(|end| end.is_success()), "{node:?} goes past {need:?}");
            }
        }
        match event {
            Event::CancelRaised { .. } => is_closing = true,
            // Whoever resumes a run that was about to fail tries again what had failed.
            Event::RunResumed(_) => is_closing = false,
            Event::NodeReopened { node, .. } => {
                assert!(ends.get(node).is_none_or(|end| !end.is_success()), "{node:?} was done");
                known.remove(node);
                ends.remove(node);
                passed.remove(node);
            }
            Event::ShardFinished { attempt, outcome: Outcome::Success, .. } => drop(passed.insert(attempt.node)),
            Event::ShardFinished { attempt, outcome: Outcome::Exit(code @ (HELD | HALTED)), .. } => {
                known.insert(attempt.node, Known::Held { is_halt: *code == HALTED });
            }
            Event::GateOpened { node, expires, .. } => {
                let Known::Held { is_halt } = known[node] else { panic!("{node:?} is not held") };
                let wait = graph.nodes[*node].rules.hold.filter(|_| !is_halt);
                assert_eq!(*expires, wait.map(|wait| *at + wait), "{node:?}");
                known.insert(*node, Known::Open(*expires));
            }
            Event::GateDecided { node, approved, by, .. } => {
                let Known::Open(expires) = known[node] else { panic!("nobody was asked about {node:?}") };
                if by == "the plan" {
                    assert!(
                        *approved && graph.nodes[*node].rules.waives_late && expires.is_some_and(|due| due <= *at)
                    );
                    seen.insert("waived by the plan");
                }
                known.insert(*node, Known::Decided(*approved));
            }
            Event::NodeExpired { node, clock: Clock::Gate } => {
                let Known::Open(expires) = known[node] else { panic!("nobody waited for {node:?}") };
                assert!(expires.is_some_and(|due| due <= *at) && !graph.nodes[*node].rules.waives_late);
                known.insert(*node, Known::Late);
                seen.insert("too late");
            }
            Event::NodeResolved { node, resolution, .. } => {
                assert_eq!(*resolution, Resolution::Rerun);
                assert!(matches!(known[node], Known::Open(_)), "only who is asked has it asked again: {node:?}");
                known.insert(*node, Known::Asks);
                seen.insert("asked again");
            }
            Event::NodeFinished { node, state, .. } => {
                let it = known.get(node).copied().unwrap_or_default();
                let is_let_pass = it == Known::Decided(true) || passed.contains(node);
                assert!(!state.is_success() || is_let_pass, "nothing and nobody let {node:?} pass");
                seen.extend(may_end(*node, *state, it, is_closing));
                ends.insert(*node, *state);
            }
            _ => {}
        }
    }
}

/// A held gate ends by a person's word, by its clock or with its run, and asks again only when it is told to.
#[test]
fn held_gates_keep_their_laws_and_every_run_ends() {
    let seen = Mutex::new(BTreeSet::new());
    let all = seeds(500, 50_000);
    let is_sample = all.len() > 1;
    each("held_gates_keep_their_laws", all, |seed| {
        let mut world = World::new(seed);
        world.run();
        check(&world.graph, &world.log, &mut seen.lock().expect("no seed panics with it"));
    });
    let seen = seen.into_inner().expect("no seed panics with it");
    for word in ["waived by the plan", "too late", "asked again", "waived", "refused", "cancelled"] {
        assert!(!is_sample || seen.contains(word), "no seed shows `{word}`: {seen:?}");
    }
}

/// Killed after any record: the laws hold in what follows, too, and the run ends.
#[test]
fn a_crash_around_a_held_gate_loses_no_word_of_it() {
    each("a_crash_around_a_held_gate", seeds(60, 4_000), |seed| {
        let mut whole = World::new(seed);
        whole.run();
        for count in 1..whole.log.len() {
            let mut cut = World::cut(&whole, count);
            cut.run();
            check(&cut.graph, &cut.log, &mut BTreeSet::new());
        }
    });
}
