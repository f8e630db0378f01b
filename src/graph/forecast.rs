//! What a run will be like, known before anything starts: waves, critical path, attempts, bounds.
//!
//! Pure functions of the graph, of a rehearsed [`Schedule`] (the real scheduler on a virtual clock) and of
//! what history says. `draw` prints it, `report` compares a run with it. Every sum saturates: a bound that
//! is too large to count is shown as ten years, never as a small number.

use std::collections::BTreeSet;

use std::collections::BTreeMap;

use super::model::{Graph, Phase};
use crate::base::{IdVec, NodeIx, PoolIx, Span, limits};

mod path;
mod worst;

pub use path::Path;
pub use worst::Worst;

/// One node of a rehearsed run, from the first start of any of its shards to the end of the last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Planned {
    /// Which node.
    pub node: NodeIx,
    /// When it starts, from the run's begin.
    pub at: Span,
    /// When it ends.
    pub end: Span,
}

/// A rehearsed run: when each selected node starts and ends if everything takes its expected time and
/// nothing fails. At most one entry for a node.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Schedule {
    /// The nodes in the order of their starts.
    pub starts: Vec<Planned>,
    /// Nodes whose `if` is false.
    pub skipped: Vec<NodeIx>,
}

/// What history says of one attempt of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expected {
    /// Half of the samples took no longer.
    pub p50: Span,
    /// 95 of 100 samples took no longer.
    pub p95: Span,
    /// How many samples there are.
    pub samples: u32,
}

/// What history says that all items of a stage take together, one after the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Workload {
    /// How long they take; a sample is one run.
    pub took: Expected,
    /// How many items that is, of a stage that an earlier one gives them: as many as last time.
    pub items: u64,
}

/// Fewer samples than this and an expected time is called unknown.
pub const MIN_SAMPLES: u32 = 5;

/// What is known of one stage before it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageForecast {
    /// Length of the longest chain of selected needs below it in its phase; 0 needs nothing.
    pub wave: u32,
    /// When it starts and ends in the rehearsal; the earliest times by needs alone when there is none.
    pub at: Span,
    /// See `at`.
    pub end: Span,
    /// How much later it could end without making the longest path longer.
    pub slack: Span,
    /// Whether it is on the critical path.
    pub is_critical: bool,
    /// Attempts of one shard at most: 1 + `retry.max`.
    pub attempts_each: u32,
    /// `attempts_each` × shards, again for each body of `heal` that may be tried, and the attempts of those.
    pub attempts: u64,
    /// Longest time of one shard from its first start, healing included: see [`worst`]; none when unbounded.
    pub worst: Option<Span>,
    /// From history, when there are [`MIN_SAMPLES`].
    pub expected: Option<Expected>,
}

/// A limit that some stage has to wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contention {
    /// The pool's name; `max-parallel` for the run's own limit.
    pub name: String,
    /// How much may be in use at once.
    pub capacity: u32,
    /// How much one wave would use if it could: the largest sum of weights over a wave, shards included.
    pub demand: u64,
    /// Selected stages that use it.
    pub stages: u32,
}

/// Everything known of a run before it starts.
#[derive(Clone, Debug)]
pub struct Forecast {
    /// By node; an unselected node has zeros.
    pub stages: IdVec<NodeIx, StageForecast>,
    /// Selected nodes of the main phase by dependency depth, written order inside.
    pub waves: Vec<Vec<NodeIx>>,
    /// The same for the clean-up, which starts when the main phase is over.
    pub closing: Vec<Vec<NodeIx>>,
    /// The same for background work, which starts when the verdict is decided.
    pub background: Vec<Vec<NodeIx>>,
    /// The longest chain: main phase, then clean-up.
    pub critical: Path,
    /// Most attempts of the whole run, as everything behind it without what is sure to be skipped.
    pub attempts: u64,
    /// Longest time the run can take.
    pub worst: Worst,
    /// When the verdict is decided in the rehearsal, or the length of the critical path without one.
    pub end: Span,
    /// Of `foreseen`, those with enough history; `end` is an expectation only when it is all of them.
    pub known: u32,
    /// Selected nodes that take time and wait for no person.
    pub foreseen: u32,
    /// Selected nodes.
    pub selected: u32,
    /// Nodes that no run with these inputs starts: their `if` is false, and reads nothing that a run brings. None without
    /// a rehearsal.
    pub skipped: Option<BTreeSet<NodeIx>>,
    /// How long earlier runs let expect the whole run to take, and how many they are; set by who has imagined runs.
    pub range: Option<Expected>,
    /// Changes of the number of stages at work: from this moment on, so many. Empty without a schedule.
    pub profile: Vec<(Span, u32)>,
    /// Limits that make stages wait, the tightest (demand ÷ capacity) first.
    pub contended: Vec<Contention>,
}

impl Forecast {
    /// Looks ahead. `schedule` comes from the rehearsal; `expected` is asked once for each node.
    pub fn of(graph: &Graph, schedule: Option<&Schedule>, expected: &dyn Fn(NodeIx) -> Option<Expected>) -> Self {
        let (Phases { main: waves, closing, background }, depth) = waves(graph);
        let mut stages: IdVec<NodeIx, StageForecast> =
            graph.nodes.indexes().map(|ix| stage(graph, ix, depth[ix], expected(ix))).collect();
        let critical = path::critical(graph, schedule, &mut stages);
        let selected = || graph.stages().filter(|(_, node)| node.selected);
        // A handler of a failure that is not expected takes no time, and so does what has nothing to do.
        let starts: Option<BTreeSet<NodeIx>> =
            schedule.map(|schedule| schedule.starts.iter().map(|planned| planned.node).collect());
        let skipped = schedule.map(|schedule| skipped(graph, schedule));
        let runs =
            |ix: NodeIx| graph.nodes[ix].selected && skipped.as_ref().is_none_or(|skipped| !skipped.contains(&ix));
        let is_played = |ix: &NodeIx| starts.as_ref().is_none_or(|starts| starts.contains(ix));
        let foreseen = || {
            let timed = selected().filter(|(_, node)| !node.rules.is_approval && node.rules.shards > 0);
            let timed = timed.filter(|(_, node)| node.phase != Phase::Background);
            timed.filter(|(ix, _)| is_played(ix))
        };
        Self {
            attempts: graph
                .places()
                .filter(|(ix, _)| runs(*ix))
                .fold(0, |sum, (ix, _)| sum.saturating_add(stages[ix].attempts)),
            worst: worst::of_run(graph, &stages, &runs),
            end: schedule.map_or(critical.length, |plan| {
                foreground(graph, plan).map(|start| start.end).max().unwrap_or_default()
            }),
            known: count(foreseen().filter(|(ix, _)| stages[*ix].expected.is_some()).count()),
            foreseen: count(foreseen().count()),
            selected: count(selected().count()),
            range: None,
            profile: schedule.map(|plan| profile(foreground(graph, plan))).unwrap_or_default(),
            contended: contended(graph, &waves, &closing, &runs),
            skipped,
            stages,
            waves,
            closing,
            background,
            critical,
        }
    }

    /// Whether no run with these inputs starts the node, because its `if` is false.
    pub fn is_skipped(&self, node: NodeIx) -> bool {
        self.skipped.as_ref().is_some_and(|skipped| skipped.contains(&node))
    }

    /// Most stages at work at once in the rehearsal; 0 without one.
    pub fn peak(&self) -> u32 {
        self.profile.iter().map(|&(_, busy)| busy).max().unwrap_or(0)
    }

    /// The expected time of the run: only when every selected stage has enough history.
    pub fn expected(&self) -> Option<Span> {
        (self.known == self.foreseen && self.foreseen > 0).then_some(self.end)
    }
}

fn count(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}

/// A sum that stops at [`limits::MAX_SPAN_MS`].
fn bounded(ms: u128) -> Span {
    Span::from_ms(u64::try_from(ms).unwrap_or(u64::MAX).min(limits::MAX_SPAN_MS))
}

fn stage(graph: &Graph, ix: NodeIx, wave: u32, expected: Option<Expected>) -> StageForecast {
    let node = &graph.nodes[ix];
    let each = u32::try_from(worst::each(node)).unwrap_or(u32::MAX);
    let selected = node.selected;
    StageForecast {
        wave,
        at: Span::ZERO,
        end: Span::ZERO,
        slack: Span::ZERO,
        is_critical: false,
        attempts_each: if selected { each } else { 0 },
        attempts: if selected { worst::attempts(graph, ix) } else { 0 },
        worst: if selected { worst::of_stage(graph, ix) } else { Some(Span::ZERO) },
        expected: expected.filter(|seen| selected && seen.samples >= MIN_SAMPLES),
    }
}

type Waves = Vec<Vec<NodeIx>>;

/// The waves of each phase.
#[derive(Default)]
struct Phases {
    main: Waves,
    closing: Waves,
    background: Waves,
}

/// What a schedule has before the verdict.
fn foreground<'a>(graph: &'a Graph, schedule: &'a Schedule) -> impl Iterator<Item = &'a Planned> {
    schedule.starts.iter().filter(|start| graph.nodes[start.node].phase != Phase::Background)
}

/// Of what the rehearsal skipped, the nodes with conditions that no run can change.
fn skipped(graph: &Graph, schedule: &Schedule) -> BTreeSet<NodeIx> {
    let is_fixed = |text: &str| {
        let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        !words.any(|word| word == "needs" || word == "run")
    };
    let is_known = |ix: &NodeIx| graph.nodes[*ix].conditions.iter().all(|condition| is_fixed(&condition.text));
    schedule.skipped.iter().copied().filter(is_known).collect()
}

/// Depth of each node: 0 without needs, else 1 + the deepest selected need of the same phase. An unselected
/// node adds nothing, since it is skipped at once and its dependents take it as accepted.
fn waves(graph: &Graph) -> (Phases, IdVec<NodeIx, u32>) {
    let mut depth: IdVec<NodeIx, u32> = IdVec::filled(0, graph.nodes.len());
    for &ix in graph.order() {
        let node = &graph.nodes[ix];
        let below = node.needs.iter().filter(|need| graph.nodes[need.node].phase == node.phase);
        depth[ix] =
            below.map(|need| depth[need.node] + u32::from(graph.nodes[need.node].selected)).max().unwrap_or(0);
    }
    let mut all = Phases::default();
    for (ix, node) in graph.stages().filter(|(_, node)| node.selected) {
        let waves = match node.phase {
            Phase::Main => &mut all.main,
            Phase::Background => &mut all.background,
            _ => &mut all.closing,
        };
        let at = depth[ix] as usize;
        if waves.len() <= at {
            waves.resize(at + 1, Vec::new());
        }
        waves[at].push(ix);
    }
    (all, depth)
}

/// How many stages are at work, as steps in time.
fn profile<'a>(starts: impl Iterator<Item = &'a Planned>) -> Vec<(Span, u32)> {
    let mut change: BTreeMap<Span, i64> = BTreeMap::new();
    for start in starts.filter(|start| start.end > start.at) {
        *change.entry(start.at).or_default() += 1;
        *change.entry(start.end).or_default() -= 1;
    }
    let mut busy = 0;
    change
        .into_iter()
        .map(|(at, by)| {
            busy += by;
            (at, u32::try_from(busy).unwrap_or(0))
        })
        .collect()
}

/// Limits whose demand in some wave is above their capacity, with the nodes that `runs` tells.
fn contended(graph: &Graph, main: &Waves, closing: &Waves, runs: &dyn Fn(NodeIx) -> bool) -> Vec<Contention> {
    let mut users: BTreeMap<Option<PoolIx>, (u64, u32)> = BTreeMap::new();
    for wave in main.iter().chain(closing) {
        let mut demand: BTreeMap<Option<PoolIx>, (u64, u32)> = BTreeMap::new();
        for &ix in wave.iter().filter(|ix| runs(**ix)) {
            let rules = &graph.nodes[ix].rules;
            let slots = (!rules.is_approval).then_some((None, 1));
            for (pool, weight) in
                slots.into_iter().chain(rules.pools.iter().map(|&(pool, weight)| (Some(pool), weight)))
            {
                let entry = demand.entry(pool).or_default();
                entry.0 = entry.0.saturating_add(u64::from(weight) * u64::from(rules.shards));
                entry.1 += 1;
            }
        }
        for (pool, (wanted, stages)) in demand {
            let entry = users.entry(pool).or_default();
            *entry = (entry.0.max(wanted), entry.1 + stages);
        }
    }
    let mut found: Vec<Contention> = users
        .into_iter()
        .map(|(pool, (demand, stages))| {
            let (name, capacity) = pool.map_or_else(
                || ("max-parallel".to_owned(), graph.settings.max_parallel),
                |pool| (graph.pools[pool].name.clone(), graph.pools[pool].capacity),
            );
            Contention { name, capacity: capacity.max(1), demand, stages }
        })
        .filter(|limit| limit.demand > u64::from(limit.capacity))
        .collect();
    found.sort_by_key(|limit| std::cmp::Reverse(limit.demand / u64::from(limit.capacity)));
    found
}

#[cfg(test)]
mod tests;
