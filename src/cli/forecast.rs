//! What earlier runs tell of a plan.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::print;
use crate::base::{NodeIx, RunId};
use crate::driver::compile;
use crate::driver::simulate::{Assumptions, simulate};
use crate::graph::Graph;
use crate::graph::forecast::{Expected, Forecast, Schedule};
use crate::graph::model::{Items, Node};
use crate::graph::part::Weights;
use crate::journal::history::{self, History, KnownItems};
use crate::journal::{RunDir, StateDir};
use crate::report::View;
use crate::run::{RunState, rehearse};

/// Runs that are imagined for a plan, and attempts in all: what nobody has to wait for.
const MAX_SAMPLES: u32 = 200;
const MAX_ATTEMPTS: u64 = 200_000;

/// How long the stages of one plan took.
#[derive(Clone, Debug, Default)]
pub(super) struct Past {
    history: Arc<History>,
}

impl Past {
    /// Of the plan at `path`. What cannot be read is no past; what is damaged is told.
    pub(super) fn of(state: &StateDir, path: &str) -> Self {
        Self::told(History::read(state, path).unwrap_or_default())
    }

    /// Of the plan at `path`, for the run `own` that goes on.
    pub(super) fn beside(state: &StateDir, path: &str, own: &RunId) -> Self {
        Self::told(History::read_beside(state, path, Some(own)).unwrap_or_default())
    }

    fn told(history: History) -> Self {
        for why in &history.damage {
            print::note(&format!("note: {why}"));
        }
        Self { history: Arc::new(history) }
    }

    /// How long a run of `graph` will take, by a few imagined ones.
    pub(super) fn range(&self, graph: &Arc<Graph>) -> Expected {
        let shards: u64 = graph.places().map(|(_, node)| u64::from(node.foreseen_shards())).sum();
        let samples = u32::try_from(MAX_ATTEMPTS / shards.max(1)).unwrap_or(u32::MAX).clamp(1, MAX_SAMPLES);
        let assumed = Assumptions { samples, seed: 1, ..Assumptions::default() };
        let found = simulate(graph, &self.history, &assumed);
        let runs = u32::try_from(found.runs).unwrap_or(u32::MAX);
        Expected { p50: found.within(50), p95: found.within(95), samples: runs }
    }

    /// What the parts of `graph` are dealt out by.
    pub(super) fn weights<'a>(&'a self, graph: &'a Graph) -> impl Weights + 'a {
        Known { past: self, graph }
    }

    /// What items took, for the stages of `graph` that earlier ones give their items. All else, which is large where many stages
    /// have run before, is let go: the graph has what counts of it.
    pub(super) fn into_items(self, graph: &Graph) -> ItemsPast {
        let is_late = |node: &Node| node.rules.split.as_ref().is_some_and(|split| split.is_late);
        let late = graph.nodes.pairs().filter(|(_, node)| is_late(node) && node.rules.likely().is_some());
        let known = late.map(|(ix, node)| (ix, self.history.known_items(&node.id, graph.definition(ix))));
        ItemsPast(known.collect())
    }

    /// What a graph is compiled with.
    pub(super) fn expected(&self) -> compile::Expected {
        Arc::clone(&self.history)
    }
}

/// Weights by what shards and items took last.
struct Known<'a> {
    past: &'a Past,
    graph: &'a Graph,
}

impl Weights for Known<'_> {
    /// How long it took last, or half of all shards of its stage take; any equal number if nobody knows.
    fn shard(&self, node: NodeIx, shard: u32) -> u64 {
        let it = &self.graph.nodes[node];
        let of = |items: &Items| self.past.history.of_shard(&it.id, items.content(&items.slice(shard)));
        let known = it.items().and_then(of);
        known.or(it.rules.usual.map(|usual| usual.p50)).map_or(1, |took| took.ms().max(1))
    }

    /// What they took in earlier runs, by what they are.
    fn items_before(&self, node: NodeIx) -> Box<dyn Fn(u64) -> u64 + '_> {
        let it = &self.graph.nodes[node];
        let times = it
            .items()
            .map(|items| self.past.history.item_times((&it.id, self.graph.definition(node)), items))
            .unwrap_or_default();
        Box::new(move |item| times.before(item))
    }
}

/// What items took in earlier runs of stages that find them while they run: all that is kept of the past while a run goes on.
#[derive(Default)]
pub(super) struct ItemsPast(Vec<(NodeIx, KnownItems)>);

/// Tells a view how long stages usually take, where enough is known, and those that earlier ones give their items once it hears
/// which these are.
pub(super) fn tell(view: &mut View, items: ItemsPast) {
    for (node, known) in items.0 {
        view.expect_items(node, Arc::new(move |items| known.took(items)));
    }
    let graph = Arc::clone(view.graph());
    for (ix, node) in graph.nodes.pairs() {
        if node.rules.likely().is_some() {
            view.expect(ix, graph.whole(ix));
        }
    }
}

/// Tells a view how long its run was expected to take when it began, if that was known.
pub(super) fn foresee(view: &mut View) {
    let graph = Arc::clone(view.graph());
    if let Some(took) = of(&graph, Some(&rehearse(&graph))).expected() {
        view.foresee(took);
    }
}

/// What is to be expected of a run of `graph`.
pub(super) fn of(graph: &Graph, schedule: Option<&Schedule>) -> Forecast {
    Forecast::of(graph, schedule, &|ix: NodeIx| graph.nodes[ix].rules.usual)
}

/// Notes what a run took, for those that come after it; tells why that cannot be kept, for the user. A history that cannot
/// be written is made again from the runs that are there, so that is no reason to fail.
pub(super) fn note(state: &StateDir, run: &RunDir, path: &str, ended: &Ended) -> Option<String> {
    let error = history::note(state, run, path, ended).err()?;
    Some(format!("note: what this run took is not kept for forecasts: {error}"))
}

/// What the stages of a run worked on that has ended.
pub(super) struct Ended {
    graph: Arc<Graph>,
    given: BTreeMap<NodeIx, Arc<Vec<Box<str>>>>,
}

impl Ended {
    /// Of a run that has come to this.
    pub(super) fn of(run: &RunState) -> Self {
        let graph = Arc::clone(run.graph());
        let dynamic = graph.nodes.pairs().filter(|(_, node)| node.finds_size());
        let given = dynamic.filter_map(|(ix, _)| Some((ix, run.slice(ix, 0)?.late?))).collect();
        Self { graph, given }
    }

    fn find(&self, stage: &str) -> Option<(&Items, &Node)> {
        let node = &self.graph.nodes[self.graph.find(stage)?];
        node.items().map(|items| (items, node))
    }
}

impl history::Works for Ended {
    fn content(&self, stage: &str, shard: u32) -> Option<u64> {
        let (items, node) = self.find(stage)?;
        (!node.finds_size()).then(|| items.content(&items.slice(shard)))
    }

    fn items(&self, stage: &str) -> Option<&Items> {
        // A part counts its items from 0, and has some of them only.
        let found = self.find(stage).filter(|(_, node)| node.goes_by_work() && !self.graph.settings.is_part);
        found.map(|(items, _)| items)
    }

    fn given(&self, stage: &str) -> Option<&[Box<str>]> {
        self.given.get(&self.graph.find(stage)?).map(|items| items.as_slice())
    }
}
