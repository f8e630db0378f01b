//! How long stages took in earlier runs of a plan: what forecasts and time boxes go by.

use std::collections::BTreeMap;

use super::{Error, StateDir, summary};
use crate::base::Span;
use crate::run::event::NodeState;

/// Durations of a plan's stages.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct History {
    /// By the stage's id; stages that never succeeded are missing.
    pub stages: BTreeMap<String, Durations>,
    /// Of whole runs that succeeded.
    pub run: Option<Durations>,
}

/// A distribution, by the nearest-rank method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Durations {
    /// Half of the samples took at most so long.
    pub p50: Span,
    /// 95 % of the samples took at most so long.
    pub p95: Span,
    /// How many there are.
    pub samples: u32,
}

impl Durations {
    /// Of `samples`, in any order; `None` without any.
    pub fn of(samples: &mut [Span]) -> Option<Self> {
        samples.sort_unstable();
        let rank = |percent: usize| {
            let at = (samples.len() * percent).div_ceil(100).saturating_sub(1);
            samples.get(at).copied()
        };
        Some(Self { p50: rank(50)?, p95: rank(95)?, samples: u32::try_from(samples.len()).unwrap_or(u32::MAX) })
    }
}

/// The durations of the plan at `path` over its newest `runs` runs that began. A stage counts where it
/// succeeded by running. Runs whose journal is damaged are left out.
///
/// # Errors
/// The runs cannot be listed.
pub fn history(state: &StateDir, path: &str, runs: usize) -> Result<History, Error> {
    let mut stages: BTreeMap<String, Vec<Span>> = BTreeMap::new();
    let mut whole = Vec::new();
    let ours = |entry: &super::RunEntry| entry.began.as_ref().is_some_and(|began| began.path == path);
    for entry in state.runs()?.into_iter().filter(ours).take(runs) {
        let Ok(summary) = summary::of(&entry.dir) else { continue };
        if summary.state == summary::RunState::Success && summary.resumes == 0 {
            whole.push(summary.took);
        }
        for stage in summary.stages {
            if let (NodeState::Success, Some(took)) = (stage.state, stage.took) {
                stages.entry(stage.id).or_default().push(took);
            }
        }
    }
    let stages = stages.into_iter().filter_map(|(id, mut samples)| Some((id, Durations::of(&mut samples)?)));
    Ok(History { stages: stages.collect(), run: Durations::of(&mut whole) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_at_the_nearest_rank() {
        let mut samples: Vec<_> = (1..=100).rev().map(Span::from_ms).collect();
        let found = Durations::of(&mut samples).expect("samples");
        assert_eq!((found.p50.ms(), found.p95.ms(), found.samples), (50, 95, 100));
        let mut one = [Span::from_ms(7)];
        let found = Durations::of(&mut one).expect("a sample");
        assert_eq!((found.p50.ms(), found.p95.ms(), found.samples), (7, 7, 1));
        assert_eq!(Durations::of(&mut []), None);
    }
}
