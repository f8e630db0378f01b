//! What earlier runs tell of a plan.

use std::collections::BTreeMap;

use crate::base::NodeIx;
use crate::driver::compile::Expected;
use crate::graph::Graph;
use crate::graph::forecast::{self, Forecast, MIN_SAMPLES, Schedule};
use crate::journal::StateDir;
use crate::journal::history::{self, Durations};
use crate::report::View;

/// Newest runs that history looks at.
const RUNS: usize = 20;

/// How long the stages of one plan took.
#[derive(Clone, Debug, Default)]
pub(super) struct Past {
    stages: BTreeMap<String, Durations>,
}

impl Past {
    /// Of the plan at `path`. What cannot be read is no past.
    pub(super) fn of(state: &StateDir, path: &str) -> Self {
        let stages = history::history(state, path, RUNS).map(|history| history.stages).unwrap_or_default();
        Self { stages }
    }

    /// What the graph's priorities go by.
    pub(super) fn expected(&self) -> Expected {
        self.stages.iter().map(|(id, took)| (id.clone(), took.p50)).collect()
    }

    /// Tells a view how long stages usually take, where enough is known.
    pub(super) fn tell(&self, view: &mut View) {
        let known: Vec<_> = view
            .graph()
            .nodes
            .pairs()
            .filter_map(|(ix, node)| Some((ix, self.stages.get(&*node.id)?)))
            .filter(|(_, took)| took.samples >= MIN_SAMPLES)
            .map(|(ix, took)| (ix, took.p50))
            .collect();
        for (ix, usual) in known {
            view.expect(ix, usual);
        }
    }

    /// What is to be expected of a run of `graph`.
    pub(super) fn forecast(&self, graph: &Graph, schedule: Option<&Schedule>) -> Forecast {
        let expected = |ix: NodeIx| {
            let took = self.stages.get(&*graph.nodes[ix].id)?;
            Some(forecast::Expected { p50: took.p50, p95: took.p95, samples: took.samples })
        };
        Forecast::of(graph, schedule, &expected)
    }
}
