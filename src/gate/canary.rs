//! Whether a new version does worse than the old one that ran beside it.

use super::bound::Bound;
use super::compose::{Compose, Found};
use super::mannwhitney::{self, Tail};
use super::sample::{Sample, Seen};
use super::verdict::{Judgement, Verdict};

/// Which change is for the worse.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Worse {
    /// Larger values are worse.
    Increase,
    /// Smaller values are worse.
    Decrease,
    /// Any difference is.
    Change,
}

/// One metric of both.
#[derive(Clone, PartialEq, Debug)]
pub struct Pair {
    /// Its name.
    pub name: String,
    /// The probe of the old version, by place.
    pub baseline: u16,
    /// That of the new one.
    pub canary: u16,
    /// Which change is for the worse.
    pub worse: Worse,
    /// What the mean of the new one must be besides.
    pub bound: Option<Bound>,
}

/// A comparison of two versions.
#[derive(Clone, PartialEq, Debug)]
pub struct Canary {
    /// Milliseconds in all.
    pub length: u64,
    /// Milliseconds between two rounds.
    pub interval: u64,
    /// A difference counts when it would come by chance less often than this.
    pub alpha: f64,
    /// And when the effect is at least this large.
    pub min_effect: f64,
    /// Samples that each side must have.
    pub min_samples: usize,
    /// What is compared.
    pub pairs: Vec<Pair>,
    /// How the pairs come together.
    pub compose: Compose,
}

impl Canary {
    /// The verdict at the end of the window.
    pub fn judge(&self, samples: &[Sample]) -> Option<Judgement> {
        let at = samples.last()?.at;
        if at + self.interval <= self.length {
            return None;
        }
        let found: Vec<Option<Found>> = self.pairs.iter().map(|pair| Some(self.of(pair, samples))).collect();
        self.compose.judge(&found)
    }

    fn of(&self, pair: &Pair, samples: &[Sample]) -> Found {
        let values = |probe: u16| -> Vec<f64> {
            let own = samples.iter().filter(|sample| sample.probe == probe);
            own.filter_map(|sample| sample.seen.number()).collect()
        };
        let (old, new) = (values(pair.baseline), values(pair.canary));
        let (verdict, value, why) = self.compare(pair, &old, &new).unwrap_or_else(|| {
            let own = || samples.iter().filter(|it| it.probe == pair.baseline || it.probe == pair.canary);
            let error =
                own().find_map(|it| if let Seen::Error(why) = &it.seen { Some(why.clone()) } else { None });
            match error {
                Some(why) => (Verdict::Error, None, why),
                None => (Verdict::NoData, None, "neither version has data".to_owned()),
            }
        });
        Found { name: pair.name.clone(), verdict, value, why }
    }

    fn compare(&self, pair: &Pair, old: &[f64], new: &[f64]) -> Option<(Verdict, Option<f64>, String)> {
        match (old.is_empty(), new.is_empty()) {
            (true, true) => return None,
            (true, false) if pair.worse != Worse::Decrease => {
                let why = format!("the baseline has none, the canary has {} samples", new.len());
                return Some((Verdict::Fail, None, why));
            }
            (false, false) => {}
            _ => return Some((Verdict::NoData, None, "only one of the two versions has data".to_owned())),
        }
        if old.len().min(new.len()) < self.min_samples {
            let why = format!("{} and {} samples, each side needs {}", old.len(), new.len(), self.min_samples);
            return Some((Verdict::Inconclusive, None, why));
        }
        let tail = match pair.worse {
            Worse::Increase => Tail::Greater,
            Worse::Decrease => Tail::Less,
            Worse::Change => Tail::TwoSided,
        };
        let outcome = mannwhitney::test(new, old, tail)?;
        let is_worse = outcome.p < self.alpha && outcome.effect.abs() >= self.min_effect;
        let words = format!("p {:.4}, effect {:+.2}", outcome.p, outcome.effect);
        let mean = new.iter().sum::<f64>() / super::reduce::float(new.len());
        Some(match pair.bound.filter(|bound| !bound.holds(mean)) {
            _ if is_worse => (Verdict::Fail, Some(outcome.p), format!("worse than the baseline ({words})")),
            Some(bound) => (Verdict::Fail, Some(mean), format!("the mean {mean} is not {bound} ({words})")),
            None => (Verdict::Pass, Some(outcome.p), format!("no worse than the baseline ({words})")),
        })
    }
}
