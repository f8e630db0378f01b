//! Healing: plans with ladders, attempts that fail as the dice say, a person now and then, and a crash after every record.
//! The laws are counted from the facts alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine::base::{Millis, NodeIx, Span};
use engine::graph::model::{Accept, Need, Node, Phase, Policy, Retry};
use engine::graph::{Graph, Parts};
use engine::run::event::{CancelReason, CaseKind, HealStep, NodeState, ReopenReason, RunEnd};
use engine::run::{Attempt, Core, Event, Input, Outcome};

use crate::little::{Cast, Little, dice_of, recover};
use crate::plan::Dice;
use crate::preview::agree;
use crate::{each, seeds};

fn plan(dice: &mut Dice) -> Arc<Graph> {
    let count = 1 + dice.small(4);
    let mut nodes: Vec<Node> = Vec::new();
    for at in 0..count {
        let mut node = Node::plain(&format!("s{at}"));
        let needs = (0..at).filter(|_| dice.chance(30)).map(NodeIx::new).collect::<Vec<_>>();
        node.needs = needs.into_iter().map(|node| Need { node, accept: Accept::DEFAULT }).collect();
        node.rules.shards = if dice.chance(25) { 1 + dice.small(4) } else { 1 };
        node.rules.timeout = dice.chance(30).then(|| Span::from_ms(40));
        node.rules.grace = Span::from_ms(5);
        node.rules.retry = dice.chance(40).then(|| Box::new(retry(dice)));
        nodes.push(node);
    }
    for stage in 0..count {
        if !dice.chance(70) {
            continue;
        }
        for at in 1..=1 + dice.small(4) {
            let mut body = Node::plain(&format!("s{stage}.heal-{at}"));
            (body.phase, body.heals) = (Phase::Heal, Some(NodeIx::new(stage)));
            body.rules.cool_down = Span::from_ms(dice.below(50));
            body.rules.grace = Span::from_ms(5);
            body.rules.retry = dice.chance(20).then(|| Box::new(retry(dice)));
            nodes.push(body);
        }
    }
    let mut parts = Parts::of("heal", nodes);
    parts.settings.max_parallel = 1 + dice.small(4);
    parts.settings.heal_depth = Some(1 + dice.small(4));
    parts.scopes[0].policy = if dice.chance(40) { Policy::Continue } else { Policy::Drain };
    Arc::new(Graph::assemble(parts).expect("needs go back only"))
}

fn retry(dice: &mut Dice) -> Retry {
    let max = 1 + dice.small(2);
    let delay = Span::from_ms(dice.below(20));
    Retry { max, delay, backoff: 1.0, max_delay: None, jitter: false, when: Vec::new(), within: None }
}

/// How an attempt ends.
fn fate(seed: u64, attempt: Attempt) -> (Span, Outcome) {
    let mut dice = dice_of(seed, attempt, 0);
    let took = Span::from_ms(dice.below(30));
    let outcome = match dice.below(10) {
        0..=2 => Outcome::Success,
        3 => Outcome::Signal(9),
        _ => Outcome::Exit(1),
    };
    (took, outcome)
}

struct Person {
    /// How often they say yes before they say no.
    patience: u32,
    asked: u32,
}

type World = Little<Person>;

impl Cast for Person {
    fn draw(dice: &mut Dice) -> (Arc<Graph>, Self, Option<Millis>) {
        let graph = plan(dice);
        let patience = dice.small(3);
        let cancels_at = dice.chance(15).then(|| Millis::new(dice.below(300)));
        (graph, Self { patience, asked: 0 }, cancels_at)
    }

    fn start(world: &mut World, attempt: Attempt) {
        world.end(attempt, fate(world.seed, attempt));
    }

    fn ask(world: &mut World, node: NodeIx) {
        world.cast.asked += 1;
        let approved = world.cast.asked <= world.cast.patience;
        let (by, note) = (String::new(), String::new());
        world.send(Span::from_ms(7), Input::Decide { node, approved, by, note });
    }

    fn recall(world: &mut World) {
        let decided = world.log.iter().filter(|(_, event)| matches!(event, Event::GateDecided { .. })).count();
        world.cast.asked = u32::try_from(decided).expect("few");
        let asked_to_stop =
            |(_, event): &(Millis, Event)| matches!(event, Event::CancelRaised { why: CancelReason::Person, .. });
        world.cancels_at = world.cancels_at.filter(|_| !world.log.iter().any(asked_to_stop));
    }
}

/// What is known of one stage's healing, from the facts alone.
#[derive(Default)]
struct Known {
    level: u32,
    body: Option<NodeIx>,
    is_halted: bool,
    approved: Option<bool>,
    again: Option<Millis>,
}

/// A step of healing comes in its turn.
fn may_heal(
    graph: &Graph,
    (at, node): (Millis, NodeIx),
    step: HealStep,
    (it, ends): (&mut Known, &mut BTreeMap<NodeIx, NodeState>),
) {
    let (ladder, depth) = (graph.ladder(node), graph.heal_depth());
    match step {
        HealStep::Began { body, level } => {
            assert_eq!(level, it.level + 1, "{node:?}: one after the other");
            assert!(level <= depth, "{node:?}: more than `heal-depth`");
            assert_eq!(ladder[level as usize - 1], body, "{node:?}: in their order");
            assert!(it.body.is_none_or(|last| ends.get(&last).is_some_and(|end| *end != NodeState::Success)));
            *it = Known { level, body: Some(body), ..Known::default() };
            ends.remove(&body);
        }
        HealStep::Ended { due } if it.is_halted => {
            assert_eq!(it.approved, Some(true), "{node:?} is released by a person only");
            *it = Known { again: Some(due), ..Known::default() };
        }
        HealStep::Ended { due } => {
            let body = it.body.take().expect("a body had its turn");
            assert_eq!(ends.get(&body), Some(&NodeState::Success), "{body:?}");
            assert_eq!(due, at + graph.nodes[body].rules.cool_down);
            it.again = Some(due);
        }
        HealStep::Halted { level } => {
            assert_eq!((level, it.level), (depth, depth), "{node:?} halts at the limit and not before");
            assert!(ladder.len() > level as usize, "{node:?} halts with nothing left to try");
            it.is_halted = true;
        }
    }
}

/// Every fact of a log keeps the laws of healing.
fn check(graph: &Graph, log: &[(Millis, Event)]) {
    let mut known: BTreeMap<NodeIx, Known> = BTreeMap::new();
    let mut ends: BTreeMap<NodeIx, NodeState> = BTreeMap::new();
    let mut is_closing = false;
    let mut tickets = 0_usize;
    let mut halts = 0_usize;
    for (at, event) in log {
        match event {
            Event::RunResumed(_) => is_closing = false,
            Event::CancelRaised { .. } => is_closing = true,
            Event::TicketRaised { case } if case.kind == CaseKind::Halted => {
                assert!(case.words.starts_with("guardian.halt"), "{case:?}");
                tickets += 1;
            }
            Event::NodeReopened { node, why } => {
                assert_eq!(*why, ReopenReason::Resume);
                known.remove(node);
                ends.remove(node);
                ends.retain(|body, _| !graph.ladder(*node).contains(body));
            }
            Event::Healing { node, step } => {
                assert!(!is_closing, "{node:?} is healed in a run that ends");
                assert!(!ends.contains_key(node), "{node:?} has ended and is healed");
                halts += usize::from(matches!(step, HealStep::Halted { .. }));
                may_heal(graph, (*at, *node), *step, (known.entry(*node).or_default(), &mut ends));
            }
            Event::GateDecided { node, approved, .. } => {
                let it = known.entry(*node).or_default();
                assert!(it.is_halted, "nobody was asked about {node:?}");
                it.approved = Some(*approved);
            }
            Event::ShardsStarted { node, .. } | Event::ShardRetried { attempt: Attempt { node, .. } } => {
                assert!(
                    !known.values().any(|it| it.is_halted && it.approved.is_none()),
                    "{node:?} starts in a halted run"
                );
                match graph.nodes[*node].heals {
                    Some(stage) => assert_eq!(known[&stage].body, Some(*node), "{node:?} sleeps"),
                    None => {
                        let it = known.entry(*node).or_default();
                        assert!(it.body.is_none(), "{node:?} starts while it is healed");
                        assert!(it.again.is_none_or(|due| due <= *at), "{node:?} starts in its cool-down");
                    }
                }
            }
            Event::NodeFinished { node, state, .. } => {
                ends.insert(*node, *state);
                let is_failure = matches!(state, NodeState::Failed | NodeState::TimedOut);
                if graph.nodes[*node].heals.is_none() && is_failure && !is_closing {
                    let it = known.entry(*node).or_default();
                    let is_spent = it.level as usize == graph.ladder(*node).len();
                    assert!(is_spent || it.approved == Some(false), "{node:?} fails with something left to try");
                }
                if let Some(it) = known.get_mut(node) {
                    it.is_halted = false;
                }
            }
            Event::NodeSkipped { node, .. } => _ = ends.insert(*node, NodeState::Skipped),
            Event::RunFinished { verdict } => {
                assert_eq!(tickets, halts, "each halt is a ticket");
                assert!(verdict.failed.iter().all(|node| graph.nodes[*node].heals.is_none()), "{verdict:?}");
                for (ix, _) in graph.stages() {
                    assert!(ends.contains_key(&ix), "{ix:?} is open at the end");
                }
            }
            _ => {}
        }
    }
}

/// The laws hold, every run ends, and enough of them heal, halt, are released and are let go.
#[test]
fn healing_keeps_its_laws_and_ends() {
    let seen = std::sync::Mutex::new(BTreeSet::new());
    let all = seeds(600, 60_000);
    let is_sample = all.len() > 1;
    each("healing_keeps_its_laws", all, |seed| {
        let world = World::ended(seed);
        check(&world.graph, &world.log);
        let mut seen = seen.lock().expect("no seed panics with it");
        for (_, event) in &world.log {
            match event {
                Event::Healing { step: HealStep::Began { level, .. }, .. } => {
                    _ = seen.insert(format!("level {level}"));
                }
                Event::Healing { step: HealStep::Halted { .. }, .. } => _ = seen.insert("halted".to_owned()),
                Event::GateDecided { approved, .. } => _ = seen.insert(format!("released {approved}")),
                _ => {}
            }
        }
        let has_healed = world.log.iter().any(|(_, event)| matches!(event, Event::Healing { .. }));
        if has_healed && world.core.state().verdict().is_some_and(|it| it.state == RunEnd::Success) {
            seen.insert("healed".to_owned());
        }
    });
    let seen = seen.into_inner().expect("no seed panics with it");
    let wanted = ["level 1", "level 2", "level 3", "halted", "released true", "released false", "healed"];
    for word in wanted.iter().filter(|_| is_sample) {
        assert!(seen.contains(*word), "no seed shows `{word}`: {seen:?}");
    }
}

/// Killed after every record: the laws hold over both engines' records together, and it ends.
#[test]
fn a_crash_while_healing_changes_no_law() {
    each("a_crash_while_healing", seeds(120, 6_000), |seed| {
        World::each_cut(seed, |cut| check(&cut.graph, &cut.log));
    });
}

/// What the preview of a resume says of the stages and of what heals them is what the resume does.
#[test]
fn healing_is_foreseen() {
    each("healing_is_foreseen", seeds(60, 6_000), |seed| {
        let whole = World::ended(seed);
        let mut core = Core::new(vec![Arc::clone(&whole.graph)]);
        for (at, event) in &whole.log {
            core.replay(*at, event);
            agree(&core, *at + Span::from_ms(1_000), &recover(&whole.graph), &whole.graph);
        }
    });
}
