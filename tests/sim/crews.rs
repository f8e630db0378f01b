//! Workers: stages whose items a few long-lived processes do, which answer, fail and die as the dice say, and a crash after
//! every record. The laws are counted from the facts alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use engine::base::{Millis, NodeIx, PoolIx, Span};
use engine::graph::model::{Items, Node, Policy, Pool, Process, Retry, Split, Work};
use engine::graph::{Graph, Parts};
use engine::run::event::{CancelReason, NodeState, Resolution};
use engine::run::{Attempt, Command, Event, Input, Outcome};

use crate::little::{Cast, Little, dice_of};
use crate::plan::Dice;
use crate::{each, seeds};

type Key = (NodeIx, u32);

fn plan(dice: &mut Dice) -> Arc<Graph> {
    let mut nodes: Vec<Node> = Vec::new();
    for at in 0..=dice.small(3) {
        let mut node = Node::plain(&format!("s{at}"));
        node.rules.grace = Span::from_ms(5);
        node.rules.idempotent = dice.chance(80);
        node.rules.retry = dice.chance(60).then(|| {
            Box::new(Retry {
                max: 1 + dice.small(2),
                delay: Span::from_ms(dice.below(10)),
                backoff: 1.0,
                max_delay: None,
                jitter: false,
                when: Vec::new(),
                within: None,
            })
        });
        if dice.chance(75) {
            let count = u64::from(dice.small(12));
            let in_flight = Some(1 + dice.small(4));
            node.rules.split = Some(Box::new(Split { size: 1, items: count, in_flight, ..Split::default() }));
            node.rules.shards = u32::try_from(count).expect("few");
            let items = Items::Range { count, size: 1 };
            node.work = Work::Process(Box::new(Process { items, ..Process::default() }));
        }
        if dice.chance(50) {
            node.rules.pools = vec![(PoolIx::new(0), 1)];
        }
        nodes.push(node);
    }
    let mut parts = Parts::of("crews", nodes);
    parts.settings.max_parallel = 1 + dice.small(4);
    parts.pools = vec![Pool { name: "few".to_owned(), capacity: 1 + dice.small(2) }];
    parts.scopes[0].policy = if dice.chance(40) { Policy::Continue } else { Policy::Drain };
    Arc::new(Graph::assemble(parts).expect("nothing needs anything"))
}

fn in_flight(graph: &Graph, node: NodeIx) -> Option<u32> {
    graph.nodes[node].rules.split.as_ref()?.in_flight
}

/// What comes of an attempt: an end, or none because its worker dies.
fn fate(seed: u64, attempt: Attempt) -> (Span, Option<Outcome>) {
    let mut dice = dice_of(seed, attempt, 0);
    let took = Span::from_ms(dice.below(30));
    let outcome = match dice.below(10) {
        0 | 1 => None,
        2 => Some(Outcome::Exit(1)),
        _ => Some(Outcome::Success),
    };
    (took, outcome)
}

struct Workers {
    /// All items that those of this engine were given, answered ones too.
    given: Vec<Attempt>,
}

type World = Little<Workers>;

impl Cast for Workers {
    fn draw(dice: &mut Dice) -> (Arc<Graph>, Self, Option<Millis>) {
        let graph = plan(dice);
        let cancels_at = dice.chance(20).then(|| Millis::new(dice.below(100)));
        (graph, Self { given: Vec::new() }, cancels_at)
    }

    fn start(world: &mut World, attempt: Attempt) {
        let is_item = in_flight(&world.graph, attempt.node).is_some();
        world.cast.given.extend(is_item.then_some(attempt));
        let (took, outcome) = fate(world.seed, attempt);
        let node = attempt.node;
        match outcome {
            None if is_item => {
                let shards = vec![(attempt.shard, attempt.number)];
                // Of one that was asked to go nothing is said, but what it still had.
                let why = attempt.shard.is_multiple_of(2).then(|| "it died".to_owned());
                world.send(took, Input::WorkerLost { node, why, shards });
            }
            Some(Outcome::Success) if is_item && attempt.number == 1 => {
                world.send(took, Input::Answered { node, runs: vec![(attempt.shard, 1)], took });
            }
            outcome => world.end(attempt, (took, outcome.unwrap_or(Outcome::Exit(1)))),
        }
    }

    fn obey(world: &mut World, command: Command) {
        match command {
            Command::Dismiss(node, _) => world.send(Span::from_ms(3), Input::CrewGone { node }),
            Command::Hire(..) => {}
            other => panic!("{other:?} is not asked for here"),
        }
    }

    /// A worker names all that it ever had: what was answered, or is with another one by now, is no loss.
    fn open(world: &World, mut news: Input) -> Input {
        if let Input::WorkerLost { node, shards, .. } = &mut news {
            let (node, worker) = (*node, shards[0].0 % 3);
            let its = world.cast.given.iter().filter(|it| it.node == node && it.shard % 3 == worker);
            *shards = its.map(|it| (it.shard, it.number)).collect();
        }
        news
    }

    /// A person says that all went well of which nobody knows.
    fn help(world: &World) -> Vec<Input> {
        let state = world.core.state();
        assert!(state.needs_person(), "nothing moves any more: {:#?}", world.log);
        let say = |node| {
            let (by, note) = (String::new(), String::new());
            Input::Resolve { node, resolution: Resolution::Success, by, note }
        };
        state.unknown().map(say).collect()
    }

    /// Nobody cancels what another engine has taken over.
    fn recall(world: &mut World) {
        world.cancels_at = None;
    }
}

/// What is known of the workers and items of a run, from the facts alone.
#[derive(Default)]
struct Known {
    workers: BTreeMap<NodeIx, u32>,
    dismissed: BTreeSet<NodeIx>,
    ended: BTreeSet<NodeIx>,
    running: BTreeMap<Key, u16>,
    done: BTreeSet<Key>,
    /// Failures that are known, by item: they alone cost re-tries.
    failures: BTreeMap<Key, u32>,
    /// The moment of the next attempt, where there is one.
    delayed: BTreeMap<Key, Millis>,
    /// Nothing is tried again.
    drains: bool,
    /// Somebody said what had become of them.
    resolved: BTreeSet<NodeIx>,
}

impl Known {
    fn starts(&mut self, graph: &Graph, attempt: Attempt) {
        let (node, key) = (attempt.node, (attempt.node, attempt.shard));
        assert!(!self.done.contains(&key), "{attempt:?} is done already");
        assert_eq!(self.running.insert(key, attempt.number), None, "{attempt:?} runs twice");
        if let Some(each) = in_flight(graph, node) {
            let workers = self.workers.get(&node).copied().unwrap_or(0);
            assert!(workers > 0 && !self.dismissed.contains(&node), "{attempt:?} has no worker");
            let items = self.running.keys().filter(|key| key.0 == node).count();
            assert!(items <= (workers * each) as usize, "{workers} workers have {items} items");
        }
        self.has_room(graph);
    }

    /// What is tried again waits for its moment.
    fn delays(&mut self, now: Millis, event: &Event) {
        match event {
            Event::RetryScheduled { attempt, at } => {
                self.delayed.insert((attempt.node, attempt.shard), *at);
            }
            Event::ShardRetried { attempt } => {
                let due = self.delayed.remove(&(attempt.node, attempt.shard));
                assert!(due.is_none_or(|due| due <= now), "{attempt:?} starts at {now:?}, before {due:?}");
            }
            // It begins anew, and at once.
            Event::NodeReopened { node, .. } => self.delayed.retain(|key, _| key.0 != *node),
            _ => {}
        }
    }

    /// Workers take slots, and their items take none.
    fn has_room(&self, graph: &Graph) {
        let plain = self.running.keys().filter(|key| in_flight(graph, key.0).is_none()).count();
        let workers: u32 = self.workers.values().sum();
        assert!(plain + workers as usize <= graph.settings.max_parallel as usize, "more than there are slots");
        for (pool, it) in graph.pools.pairs() {
            let is_in = |node: &NodeIx| graph.nodes[*node].rules.pools.iter().any(|of| of.0 == pool);
            let plain =
                self.running.keys().filter(|key| in_flight(graph, key.0).is_none() && is_in(&key.0)).count();
            let workers: u32 = self.workers.iter().filter(|(node, _)| is_in(node)).map(|it| it.1).sum();
            assert!(
                plain + workers as usize <= it.capacity as usize,
                "more than there is room for in {}",
                it.name
            );
        }
    }

    fn hires(&mut self, graph: &Graph, node: NodeIx, count: u32) {
        assert!(!self.ended.contains(&node), "{node:?} has ended and hires");
        assert!(!self.dismissed.contains(&node), "{node:?} lets its workers go and hires");
        let each = in_flight(graph, node).expect("only stages with workers hire them");
        let items = self.running.keys().filter(|key| key.0 == node).count();
        let has = self.workers.entry(node).or_default();
        assert!(items >= (*has * each) as usize, "{node:?} hires beside {has} workers that have {items} items");
        *has += count;
        let left = graph.nodes[node].rules.shards as usize - self.done.iter().filter(|key| key.0 == node).count();
        assert!(count > 0 && *has as usize <= left, "{has} workers for {left} items");
        self.has_room(graph);
    }

    fn ends(&mut self, graph: &Graph, node: NodeIx, state: NodeState) {
        assert!(!self.workers.contains_key(&node), "{node:?} ends before its workers");
        assert!(!self.running.keys().any(|key| key.0 == node), "{node:?} ends before its items");
        self.ended.insert(node);
        let rules = &graph.nodes[node].rules;
        // Beside an item of which nobody knows no other one is tried again.
        if state == NodeState::Failed && !self.drains && !self.resolved.contains(&node) {
            let most = rules.retry.as_ref().map_or(0, |retry| retry.max);
            let is_spent = |(key, &failures): (&Key, &u32)| key.0 == node && failures > most;
            assert!(self.failures.iter().any(is_spent), "{node:?} fails for something else than its items");
        }
    }
}

/// Every fact of a log keeps the laws of workers.
fn check(graph: &Graph, log: &[(Millis, Event)]) {
    let mut known = Known::default();
    let mut is_cancelled = false;
    for (at, event) in log {
        known.delays(*at, event);
        match event {
            // What an engine had hired is gone with it.
            Event::RunResumed(_) => {
                (known.workers, known.dismissed) = (BTreeMap::new(), BTreeSet::new());
                (is_cancelled, known.drains) = (false, false);
            }
            Event::CancelRaised { why, .. } => {
                (is_cancelled, known.drains) = (is_cancelled || *why == CancelReason::Person, true);
            }
            Event::CrewHired { node, count } => known.hires(graph, *node, *count),
            Event::CrewDismissed { node, .. } => {
                assert!(!known.running.keys().any(|key| key.0 == *node), "{node:?} lets go who has items");
                known.dismissed.insert(*node);
            }
            Event::CrewGone { node } => {
                assert!(known.dismissed.remove(node), "nobody had let the workers of {node:?} go");
                known.workers.remove(node);
            }
            Event::ShardsStarted { node, first, count } => (*first..first + count)
                .for_each(|shard| known.starts(graph, Attempt { node: *node, shard, number: 1 })),
            Event::ShardRetried { attempt } => known.starts(graph, *attempt),
            Event::ShardsFinished { node, first, count, .. } => (*first..first + count).for_each(|shard| {
                assert!(known.running.remove(&(*node, shard)).is_some(), "{shard} of {node:?} did not run");
                assert!(known.done.insert((*node, shard)), "{shard} of {node:?} is done twice");
            }),
            Event::ShardFinished { attempt, outcome, .. } => {
                let key = (attempt.node, attempt.shard);
                assert_eq!(known.running.remove(&key), Some(attempt.number), "{attempt:?} did not run");
                match outcome {
                    Outcome::Success => assert!(known.done.insert(key), "{attempt:?} is done twice"),
                    Outcome::Exit(_) => *known.failures.entry(key).or_default() += 1,
                    _ => {}
                }
            }
            Event::WorkerLost { node, shards, .. } => {
                assert!(known.workers.contains_key(node), "{node:?} has no worker to lose");
                for &shard in shards {
                    assert!(
                        known.running.remove(&(*node, shard)).is_some(),
                        "{shard} of {node:?} was not with it"
                    );
                }
            }
            Event::ShardLost { attempt } => _ = known.running.remove(&(attempt.node, attempt.shard)),
            Event::NodeResolved { node, .. } => _ = known.resolved.insert(*node),
            Event::NodeReopened { node, .. } => {
                known.ended.remove(node);
                known.failures.retain(|key, _| key.0 != *node);
            }
            Event::NodeFinished { node, state, .. } => {
                known.ends(graph, *node, *state);
                let done = known.done.iter().filter(|key| key.0 == *node).count();
                let is_whole = done == graph.nodes[*node].rules.shards as usize;
                assert!(*state != NodeState::Success || is_whole || known.resolved.contains(node), "{node:?}");
                assert!(*state != NodeState::Cancelled || is_cancelled || !known.failures.is_empty(), "{node:?}");
            }
            Event::RunFinished { .. } => assert!(known.workers.is_empty(), "workers are left at the end"),
            _ => {}
        }
    }
}

/// The laws hold, every run ends, and workers are lost with items, and let go, in enough of them.
#[test]
fn workers_keep_their_laws_and_every_run_ends() {
    let seen = Mutex::new((0_u32, 0_u32));
    let all = seeds(600, 60_000);
    let is_sample = all.len() > 1;
    each("workers_keep_their_laws", all, |seed| {
        let world = World::ended(seed);
        check(&world.graph, &world.log);
        let count = |is: fn(&Event) -> bool| {
            let found = world.log.iter().filter(|(_, event)| is(event)).count();
            u32::try_from(found).expect("few")
        };
        let mut seen = seen.lock().expect("no seed panics with it");
        seen.0 += count(|event| matches!(event, Event::WorkerLost { shards, .. } if shards.len() > 1));
        seen.1 += count(|event| matches!(event, Event::CrewHired { count, .. } if *count > 1));
    });
    let seen = seen.into_inner().expect("no seed panics with it");
    assert!(!is_sample || (seen.0 > 50 && seen.1 > 50), "hardly anything is seen: {seen:?}");
}

/// Killed after every record: the laws hold over both engines' records together, and it ends.
#[test]
fn a_crash_among_workers_loses_only_what_was_not_answered() {
    each("a_crash_among_workers", seeds(80, 6_000), |seed| {
        World::each_cut(seed, |cut| check(&cut.graph, &cut.log));
    });
}
