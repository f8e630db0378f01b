//! Workers: stages whose items a few long-lived processes do, which answer, fail and die as the dice say, and a crash after
//! every record. The laws are counted from the facts alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use engine::base::{Millis, NodeIx, Span};
use engine::graph::model::{Items, Node, Policy, Process, Retry, Split, Work};
use engine::graph::{Graph, Parts};
use engine::run::event::{CancelLevel, CancelReason, NodeState, Resolution};
use engine::run::{Attempt, Command, Core, Event, Input, Outcome, input};

use crate::heal::recover;
use crate::plan::Dice;
use crate::rehearsal::begin;
use crate::{each, seeds};

/// More steps than any of these runs can take: what needs more loops.
const MAX_STEPS: usize = 4_000;

type Key = (NodeIx, u32);

fn plan(dice: &mut Dice) -> Arc<Graph> {
    let mut nodes: Vec<Node> = Vec::new();
    for at in 0..=dice.small(3) {
        let mut node = Node::plain(&format!("s{at}"));
        node.rules.grace = Span::from_ms(5);
        node.rules.idempotent = dice.chance(80);
        node.rules.retry = dice.chance(60).then(|| Retry {
            max: 1 + dice.small(2),
            delay: Span::from_ms(dice.below(10)),
            backoff: 1.0,
            max_delay: None,
            jitter: false,
            when: Vec::new(),
            within: None,
        });
        if dice.chance(75) {
            let count = u64::from(dice.small(12));
            let in_flight = Some(1 + dice.small(4));
            node.rules.split = Some(Box::new(Split { size: 1, items: count, in_flight, ..Split::default() }));
            node.rules.shards = u32::try_from(count).expect("few");
            let items = Items::Range { count, size: 1 };
            node.work = Work::Process(Box::new(Process { items, ..Process::default() }));
        }
        nodes.push(node);
    }
    let mut parts = Parts::of("crews", nodes);
    parts.settings.max_parallel = 1 + dice.small(4);
    parts.scopes[0].policy = if dice.chance(40) { Policy::Continue } else { Policy::Drain };
    Arc::new(Graph::assemble(parts).expect("nothing needs anything"))
}

fn in_flight(graph: &Graph, node: NodeIx) -> Option<u32> {
    graph.nodes[node].rules.split.as_ref()?.in_flight
}

/// What comes of an attempt: an end, or none because its worker dies.
fn fate(seed: u64, attempt: Attempt) -> (Span, Option<Outcome>) {
    let name = u64::from(attempt.node.raw()) << 32 | u64::from(attempt.shard) << 16 | u64::from(attempt.number);
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9) ^ name.wrapping_mul(0xbf58_476d_1ce4_e5b9));
    dice.next();
    let took = Span::from_ms(dice.below(30));
    let outcome = match dice.below(10) {
        0 | 1 => None,
        2 => Some(Outcome::Exit(1)),
        _ => Some(Outcome::Success),
    };
    (took, outcome)
}

/// What is on its way.
enum News {
    Of(Input),
    /// A worker dies with this item, and with others.
    Death(Attempt),
}

struct World {
    seed: u64,
    graph: Arc<Graph>,
    core: Core,
    now: Millis,
    mail: BTreeMap<(Millis, u64), News>,
    sent: u64,
    log: Vec<(Millis, Event)>,
    /// All items that workers of this engine were given, answered ones too.
    given: Vec<Attempt>,
    cancels_at: Option<Millis>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let graph = plan(&mut dice);
        let core = Core::new(vec![Arc::clone(&graph)]);
        let cancels_at = dice.chance(20).then(|| Millis::new(dice.below(100)));
        let mail = BTreeMap::from([((Millis::ZERO, 0), News::Of(begin(&graph)))]);
        let now = Millis::ZERO;
        Self { seed, graph, core, now, mail, sent: 0, log: Vec::new(), given: Vec::new(), cancels_at }
    }

    /// The engine died after so many records, and another one takes over.
    fn cut(whole: &Self, count: usize) -> Self {
        let mut world = Self::new(whole.seed);
        world.mail.clear();
        (world.log, world.cancels_at) = (whole.log[..count].to_vec(), None);
        world.now = world.log.last().map_or(Millis::ZERO, |it| it.0) + Span::from_ms(1_000);
        for (at, event) in &world.log {
            world.core.replay(*at, event);
        }
        let recover = recover(&world.graph);
        world.step(vec![recover]);
        world
    }

    fn send(&mut self, after: Span, news: News) {
        self.sent += 1;
        self.mail.insert((self.now + after, self.sent), news);
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Start(attempt) => {
                let is_item = in_flight(&self.graph, attempt.node).is_some();
                self.given.extend(is_item.then_some(attempt));
                let (took, outcome) = fate(self.seed, attempt);
                let (node, runs) = (attempt.node, vec![(attempt.shard, 1)]);
                let news = match outcome {
                    None if is_item => News::Death(attempt),
                    Some(Outcome::Success) if is_item && attempt.number == 1 => {
                        News::Of(Input::Answered { node, runs, took })
                    }
                    outcome => {
                        let outcome = outcome.unwrap_or(Outcome::Exit(1));
                        News::Of(Input::Done { attempt, outcome, took, result: Box::default() })
                    }
                };
                self.send(took, news);
            }
            Command::Stop(attempt, _) => {
                let (outcome, took) = (Outcome::Signal(15), Span::ZERO);
                self.send(took, News::Of(Input::Done { attempt, outcome, took, result: Box::default() }));
            }
            Command::Dismiss(node, _) => self.send(Span::from_ms(3), News::Of(Input::CrewGone { node })),
            Command::Hire(..) => {}
            Command::Check(..) => panic!("nothing is asked here"),
        }
    }

    /// A worker names all that it ever had: what was answered, or is with another one by now, is no loss.
    fn open(&self, news: News) -> Input {
        match news {
            News::Of(input) => input,
            News::Death(of) => {
                let its = self.given.iter().filter(|it| it.node == of.node && it.shard % 3 == of.shard % 3);
                let shards = its.map(|it| (it.shard, it.number)).collect();
                Input::WorkerLost { node: of.node, why: Some("it died".to_owned()), shards }
            }
        }
    }

    fn step(&mut self, inputs: Vec<Input>) {
        for (at, event) in self.core.step(self.now, inputs).events {
            let mut orders = Vec::new();
            input::commands(&event, |command| orders.push(command));
            for command in orders {
                self.obey(command);
            }
            self.log.push((at, event));
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
                inputs.push(self.open(news));
            }
            if self.cancels_at.is_some_and(|due| due <= self.now) {
                self.cancels_at = None;
                let (level, why) = (CancelLevel::Stop, CancelReason::Person);
                inputs.push(Input::Cancel { level, why, by: String::new() });
            }
            if next.is_none() {
                assert!(self.core.state().needs_person(), "nothing moves any more: {:#?}", self.log);
                let unknown = self.core.state().unknown();
                let (resolution, by, note) = (Resolution::Success, String::new(), String::new());
                let say = |node| Input::Resolve { node, resolution, by: by.clone(), note: note.clone() };
                inputs.extend(unknown.map(say));
            }
            inputs.push(Input::Tick);
            self.step(inputs);
        }
        panic!("it loops: {:#?}", self.log);
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

    /// Workers take slots, and their items take none.
    fn has_room(&self, graph: &Graph) {
        let plain = self.running.keys().filter(|key| in_flight(graph, key.0).is_none()).count();
        let workers: u32 = self.workers.values().sum();
        assert!(plain + workers as usize <= graph.settings.max_parallel as usize, "more than there are slots");
    }

    fn hires(&mut self, graph: &Graph, node: NodeIx, count: u32) {
        assert!(!self.ended.contains(&node), "{node:?} has ended and hires");
        assert!(!self.dismissed.contains(&node), "{node:?} lets its workers go and hires");
        let has = self.workers.entry(node).or_default();
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
    for (_, event) in log {
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
        let mut world = World::new(seed);
        world.run();
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
        let mut whole = World::new(seed);
        whole.run();
        for count in 1..whole.log.len() {
            let mut cut = World::cut(&whole, count);
            cut.run();
            check(&cut.graph, &cut.log);
        }
    });
}
