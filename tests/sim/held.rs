//! Gates that are held: plans in which some stages ask by themselves, verdicts and people as the dice say, and a crash after
//! every record. The laws are counted from the facts alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use engine::base::{Millis, NodeIx, Span};
use engine::gate::verdict::{HALTED, HELD};
use engine::graph::model::{Accept, Need, Node, Phase, Policy};
use engine::graph::{Graph, Parts};
use engine::run::event::{Clock, NodeState, Resolution};
use engine::run::{Attempt, Event, Input, Outcome};

use crate::book::Book;
use crate::little::{Cast, Little, dice_of};
use crate::plan::Dice;
use crate::{each, seeds};

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

fn fate(seed: u64, graph: &Graph, attempt: Attempt) -> (Span, Outcome) {
    let mut dice = dice_of(seed, attempt, 0);
    let took = Span::from_ms(dice.below(30));
    let outcome = match dice.below(10) {
        0..=4 if graph.nodes[attempt.node].rules.hold.is_some() => Outcome::Exit(HELD),
        5 if graph.nodes[attempt.node].rules.hold.is_some() => Outcome::Exit(HALTED),
        6 => Outcome::Exit(1),
        _ => Outcome::Success,
    };
    (took, outcome)
}

/// Who is asked about gates.
struct Person;

type World = Little<Person>;

impl Cast for Person {
    fn draw(dice: &mut Dice) -> (Arc<Graph>, Self, Option<Millis>) {
        (plan(dice), Self, None)
    }

    fn start(world: &mut World, attempt: Attempt) {
        world.end(attempt, fate(world.seed, &world.graph, attempt));
    }

    /// What they say about the last verdict of a gate: yes, no, ask again, or nothing, where the wait has an end.
    fn ask(world: &mut World, node: NodeIx) {
        let tries = world.log.iter().filter(|(_, event)| starts(event) == Some(node)).count();
        let number = u16::try_from(tries).expect("few");
        let has_end = world.log.iter().rev().find_map(|(_, event)| match event {
            Event::GateOpened { node: of, expires, .. } if *of == node => Some(expires.is_some()),
            _ => None,
        });
        let (by, note) = ("ann".to_owned(), String::new());
        let mut dice = dice_of(world.seed, Attempt { node, shard: 0, number }, 0x9e0);
        let after = Span::from_ms(dice.below(40));
        match dice.below(6) {
            // Whoever has a gate asked for ever is no law's concern.
            0 | 1 if tries < 8 => {
                world.send(after, Input::Resolve { node, resolution: Resolution::Rerun, by, note });
            }
            2 => world.send(after, Input::Decide { node, approved: false, by, note }),
            3 if has_end == Some(true) => {}
            _ => world.send(after, Input::Decide { node, approved: true, by, note }),
        }
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
        let world = World::ended(seed);
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
        World::each_cut(seed, |cut| check(&cut.graph, &cut.log, &mut BTreeSet::new()));
    });
}
