//! Many imagined runs of a plan, each attempt as long as one of earlier runs was: when it will probably be over, what
//! holds it up, and what a failure would lead to.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::base::{IdVec, NodeIx, Span, limits};
use crate::graph::Graph;
use crate::journal::history::{History, ItemTimes, Key};
use crate::run::event::{NodeState, RunEnd};
use crate::run::{Attempt, Cause, Outcome, imagine};

/// What is assumed besides what earlier runs say.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Assumptions {
    /// How much longer stages take: 2 is twice as long.
    pub slower: BTreeMap<NodeIx, f64>,
    /// Stages of which every attempt fails.
    pub fail: Vec<NodeIx>,
    /// How many runs are imagined.
    pub samples: u32,
    /// Decides what is drawn: the same seed gives the same result.
    pub seed: u64,
}

/// Why a run takes its time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Holdup {
    /// Within the run.
    Run(Cause),
    /// The lock that it waits for before it begins.
    Lock,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Simulation {
    /// How long each run took, the shortest first.
    pub took: Vec<Span>,
    /// What their time went to, as shares of it; the largest first.
    pub holdups: Vec<(Holdup, f64)>,
    /// Runs that succeeded.
    pub succeeded: u32,
    /// Runs that the run's timeout ended.
    pub timed_out: u32,
    /// How often each objective of the graph was missed.
    pub missed: Vec<u32>,
    /// How often each stage made a run fail.
    pub failures: BTreeMap<NodeIx, u32>,
    /// How often each stage ended in which state.
    pub states: IdVec<NodeIx, BTreeMap<NodeState, u32>>,
    /// Stages of which earlier runs say too little: their times are guesses.
    pub guessed: Vec<NodeIx>,
    /// Earlier runs of which something is known.
    pub runs: usize,
}

impl Simulation {
    /// The least time in which `percent` of the runs were over (nearest rank).
    pub fn within(&self, percent: u32) -> Span {
        let rank = (self.took.len() * percent as usize).div_ceil(100).saturating_sub(1);
        self.took.get(rank).copied().unwrap_or_default()
    }
}

/// Imagines runs of `graph`.
pub fn simulate(graph: &Arc<Graph>, history: &History, assumed: &Assumptions) -> Simulation {
    let mut urns: Vec<Urn<'_>> =
        graph.nodes.indexes().map(|node| Urn::of(graph, node, history, assumed)).collect();
    let needs_history = |node: &NodeIx| graph.nodes[*node].selected && !graph.is_known(*node);
    let mut found = Simulation {
        took: Vec::with_capacity(assumed.samples as usize),
        holdups: Vec::new(),
        succeeded: 0,
        timed_out: 0,
        missed: vec![0; graph.objectives.len()],
        failures: BTreeMap::new(),
        states: graph.nodes.indexes().map(|_| BTreeMap::new()).collect(),
        guessed: graph.nodes.indexes().filter(needs_history).collect(),
        runs: history.runs.len(),
    };
    let waits = if graph.settings.lock.is_some() { history.waits() } else { Vec::new() };
    let mut held: BTreeMap<Holdup, Span> = BTreeMap::new();
    for sample in 0..assumed.samples {
        let mut dice = Dice(assumed.seed ^ (u64::from(sample) << 32));
        for urn in &mut urns {
            urn.begin(&mut dice);
        }
        let mut lives = |attempt: Attempt, items: Range<u64>| {
            urns[attempt.node.raw() as usize].draw(attempt.shard, &items, &mut dice)
        };
        let run = imagine(graph, assumed.seed.wrapping_add(u64::from(sample)), &mut lives);
        let wait = dice.pick(waits.len()).map_or(Span::ZERO, |at| waits[at]);
        found.took.push(run.took + wait);
        add(&mut held, Holdup::Lock, wait);
        run.causes.iter().for_each(|(cause, span)| add(&mut held, Holdup::Run(*cause), *span));
        found.succeeded += u32::from(run.verdict.state == RunEnd::Success);
        found.timed_out += u32::from(run.verdict.timed_out);
        run.missed.iter().for_each(|&objective| found.missed[objective as usize] += 1);
        for node in &run.verdict.failed {
            *found.failures.entry(*node).or_default() += 1;
        }
        for (node, state) in run.states.pairs() {
            *found.states[node].entry(*state).or_default() += 1;
        }
    }
    // What was never needed is no reason to doubt the rest.
    let states = &found.states;
    found.guessed.retain(|node| states[*node].keys().any(|state| *state != NodeState::Skipped));
    found.took.sort_unstable();
    found.holdups = shares(held);
    found
}

fn add(held: &mut BTreeMap<Holdup, Span>, what: Holdup, span: Span) {
    let sum = held.entry(what).or_default();
    *sum = *sum + span;
}

fn shares(held: BTreeMap<Holdup, Span>) -> Vec<(Holdup, f64)> {
    let all = to_float(held.values().map(|span| span.ms()).sum::<u64>().max(1));
    let mut shares: Vec<(Holdup, f64)> =
        held.into_iter().map(|(what, span)| (what, to_float(span.ms()) / all)).filter(|it| it.1 > 0.0).collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    shares
}

/// What the attempts of a stage are drawn from.
struct Urn<'a> {
    /// Length, whether it succeeds, and the weight of all up to it.
    samples: Vec<(Span, bool, f64)>,
    /// Shards whose last length is known.
    known: BTreeMap<u32, Span>,
    /// What items took in earlier runs, of a stage that goes by its work.
    times: ItemTimes<'a>,
    /// How many items such a stage has.
    items: u64,
    /// Which of those runs the present one is like.
    like: usize,
    slower: f64,
    fails: bool,
    guess: Span,
}

impl<'a> Urn<'a> {
    fn of(graph: &Graph, node: NodeIx, history: &'a History, assumed: &Assumptions) -> Self {
        let body = &graph.nodes[node];
        let key = Key { stage: &body.id, definition: graph.definition(node), size: body.size() };
        let mut sum = 0.0;
        let items = body.items().filter(|_| body.goes_by_work());
        let times = items.map(|items| history.item_times((&body.id, key.definition), items)).unwrap_or_default();
        // What shards took says nothing of a stage that goes by its work, unless its items are known.
        let is_blind = items.is_some() && times.runs().is_empty();
        let samples = if is_blind { Vec::new() } else { history.samples(key) };
        let samples = samples.into_iter().map(|sample| {
            sum += sample.weight;
            (sample.took, sample.is_good, sum)
        });
        let samples: Vec<_> = samples.collect();
        let items = body.items().filter(|_| body.rules.shards > 1 && history.knows_shards(&body.id));
        let known = items.into_iter().flat_map(|items| {
            let of = |shard| Some((shard, history.of_shard(&body.id, items.content(&items.slice(shard)))?));
            (0..body.rules.shards).filter_map(of).collect::<Vec<_>>()
        });
        Self {
            items: body.foreseen_items(),
            like: 0,
            times,
            known: known.collect(),
            samples,
            slower: assumed.slower.get(&node).copied().unwrap_or(1.0),
            fails: assumed.fail.contains(&node),
            guess: body.rules.expected,
        }
    }

    /// A run begins: items take what they took in one of the earlier runs, all of them in the same.
    fn begin(&mut self, dice: &mut Dice) {
        let runs = self.times.runs();
        if runs.len() < 2 {
            return;
        }
        let all: u64 = runs.iter().map(|run| run.1).sum();
        let mut at = dice.next() % all.max(1);
        let reached = runs.iter().position(|&(_, weight)| {
            let is_here = at < weight;
            at = at.saturating_sub(weight);
            is_here
        });
        self.like = reached.unwrap_or(0);
    }

    fn draw(&self, shard: u32, items: &Range<u64>, dice: &mut Dice) -> (Span, Outcome) {
        let all = self.samples.last().map_or(0.0, |last| last.2);
        let at = dice.share() * all;
        let found = self.samples.iter().find(|sample| sample.2 > at).or(self.samples.last());
        let (mut took, is_good) = found.map_or((self.guess, true), |&(took, is_good, _)| (took, is_good));
        if let Some(&known) = self.known.get(&shard).filter(|_| is_good) {
            took = known;
        }
        if let Some((rows, _)) = self.times.runs().get(self.like).filter(|_| is_good) {
            took = rows.took(items, self.items);
        }
        let ends_well = is_good && !self.fails;
        (times(took, self.slower), if ends_well { Outcome::Success } else { Outcome::Exit(1) })
    }
}

/// Numbers that depend on the seed only (splitmix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to 1.
    fn share(&mut self) -> f64 {
        to_float(self.next() >> 11) / to_float(1 << 53)
    }

    fn pick(&mut self, count: usize) -> Option<usize> {
        let count = u64::try_from(count).ok().filter(|&count| count > 0)?;
        usize::try_from(self.next() % count).ok()
    }
}

#[expect(clippy::cast_precision_loss, reason = "times and counts here have fewer than 53 bits")]
fn to_float(number: u64) -> f64 {
    number as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what fits")]
fn times(span: Span, factor: f64) -> Span {
    let ms = (to_float(span.ms()) * factor).round().clamp(0.0, to_float(limits::MAX_SPAN_MS));
    Span::from_ms(ms as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Parts;
    use crate::graph::model::{Accept, Need, Node, Phase, Pool};
    use crate::graph::objective::{Objective, OnBreach, Subject};
    use crate::plan::model::AllowFailure;

    fn node(id: &str, seconds: u64, needs: &[u32]) -> Node {
        let mut node = Node::plain(id);
        node.rules.expected = Span::from_secs(seconds);
        node.needs = needs.iter().map(|&at| Need { node: NodeIx::new(at), accept: Accept::DEFAULT }).collect();
        node
    }

    fn graph(jobs: u32, change: impl FnOnce(&mut Parts)) -> Arc<Graph> {
        let nodes = vec![node("a", 1, &[]), node("b", 2, &[0]), node("c", 3, &[0])];
        let mut parts = Parts::of("test", nodes);
        parts.settings.max_parallel = jobs;
        change(&mut parts);
        Arc::new(Graph::assemble(parts).expect("no cycle"))
    }

    fn found(graph: &Arc<Graph>, change: impl FnOnce(&mut Assumptions)) -> Simulation {
        let mut assumed = Assumptions { samples: 3, seed: 7, ..Assumptions::default() };
        change(&mut assumed);
        simulate(graph, &History::default(), &assumed)
    }

    fn share(found: &Simulation, what: Cause) -> f64 {
        found.holdups.iter().find(|it| it.0 == Holdup::Run(what)).map_or(0.0, |it| it.1)
    }

    const A: NodeIx = NodeIx::new(0);
    const B: NodeIx = NodeIx::new(1);
    const C: NodeIx = NodeIx::new(2);

    #[test]
    fn a_run_takes_its_longest_way_and_each_moment_has_one_cause() {
        let run = found(&graph(4, |_| {}), |_| {});
        assert_eq!(run.took, [Span::from_secs(4); 3]);
        assert_eq!((share(&run, Cause::Stage(A)), share(&run, Cause::Stage(C))), (0.25, 0.75));
        assert_eq!((run.succeeded, run.timed_out, run.guessed.len()), (3, 0, 3));
    }

    #[test]
    fn slots_and_pools_hold_a_run_up() {
        let run = found(&graph(1, |_| {}), |_| {});
        // `c` has the longer way, so `b` waits for its slot.
        assert_eq!((run.within(50), share(&run, Cause::Slots)), (Span::from_secs(6), 0.5));
        let pooled = graph(4, |parts| {
            parts.pools = vec![Pool { name: "db".to_owned(), capacity: 1 }];
            parts.nodes[1].rules.pools = vec![(crate::base::PoolIx::new(0), 1)];
            parts.nodes[2].rules.pools = vec![(crate::base::PoolIx::new(0), 1)];
        });
        let run = found(&pooled, |_| {});
        assert_eq!(
            (run.within(50), share(&run, Cause::Pool(crate::base::PoolIx::new(0)))),
            (Span::from_secs(6), 0.5)
        );
    }

    #[test]
    fn a_slower_stage_makes_the_run_longer_and_meets_its_timeout() {
        let slower = |node, factor| move |assumed: &mut Assumptions| assumed.slower.extend([(node, factor)]);
        let plan = graph(4, |parts| parts.nodes[2].rules.timeout = Some(Span::from_secs(5)));
        assert_eq!(found(&plan, slower(C, 1.5)).within(95), Span::from_ms(5_500));
        let run = found(&plan, slower(C, 2.0));
        assert_eq!((run.within(50), run.failures[&C]), (Span::from_secs(6), 3), "its timeout ends it");
        let plan = graph(4, |parts| parts.settings.timeout = Some(Span::from_secs(4)));
        let run = found(&plan, slower(A, 3.0));
        assert_eq!((run.timed_out, run.succeeded), (3, 0));
    }

    #[test]
    fn objectives_are_met_in_the_runs_that_are_quick_enough() {
        let slo = |subject, name: &str, secs, nodes: &[NodeIx]| Objective {
            subject,
            name: name.into(),
            limit: Span::from_secs(secs),
            on_breach: OnBreach::Warn,
            nodes: nodes.to_vec(),
        };
        let plan = graph(4, |parts| {
            let of_run = [slo(Subject::Run, "", 5, &[]), slo(Subject::Run, "", 3, &[])];
            let of_stages = [slo(Subject::Group, "g", 4, &[B, C]), slo(Subject::Stage, "c", 2, &[C])];
            parts.objectives = of_run.into_iter().chain(of_stages).collect();
        });
        let run = found(&plan, |_| {});
        assert_eq!((run.missed, run.succeeded), (vec![0, 3, 0, 3], 3), "and none of them stops a run");
    }

    #[test]
    fn a_failure_leads_to_what_the_plan_says() {
        let plan = graph(4, |parts| {
            parts.nodes.push(node("d", 1, &[1]));
            let mut tidy = node("tidy", 1, &[]);
            tidy.phase = Phase::Finally;
            parts.nodes.push(tidy);
        });
        let run = found(&plan, |assumed| assumed.fail.push(B));
        let is = |node: u32| run.states[NodeIx::new(node)].keys().copied().collect::<Vec<_>>();
        assert_eq!((is(1), is(3)), (vec![NodeState::Failed], vec![NodeState::Blocked]));
        assert_eq!((is(2), is(4)), (vec![NodeState::Success], vec![NodeState::Success]));
        let plan = graph(4, |parts| parts.nodes[1].rules.allow_failure = AllowFailure::Any);
        assert_eq!(found(&plan, |assumed| assumed.fail.push(B)).succeeded, 3);
    }

    #[test]
    fn the_same_seed_gives_the_same_runs() {
        let mut one = Dice(5);
        let mut two = Dice(5);
        let shares: Vec<f64> = (0..1000).map(|_| one.share()).collect();
        assert!(shares.iter().all(|share| (0.0..1.0).contains(share) && share.to_bits() == two.share().to_bits()));
        let mean = shares.iter().sum::<f64>() / 1000.0;
        assert!((0.45..0.55).contains(&mean), "{mean}");
    }
}
