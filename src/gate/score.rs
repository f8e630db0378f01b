//! A score over metrics: groups with weights, two bounds, and metrics that no score outweighs.
//!
//! Each group counts by its weight, and in it each metric counts the same, so that ten figures about latency do not outvote
//! the only one about errors. A metric that does not pass counts nothing, whatever kept it from passing: a score never passes
//! by what is not there.

use super::Error;
use super::compose::{Found, refused, words};
use super::reduce::float;
use super::verdict::{Judgement, Verdict};
use super::words::Words;

/// What passes must weigh so much.
#[derive(Clone, PartialEq, Debug)]
pub struct Score {
    /// The share of the weights that passes.
    pub pass: f64,
    /// The share below which it does not; between the two it is inconclusive.
    pub marginal: f64,
    /// What is weighed together.
    pub groups: Vec<Group>,
    /// Places of the metrics that must pass, whatever the score.
    pub critical: Vec<usize>,
}

/// Metrics that are weighed together.
#[derive(Clone, PartialEq, Debug)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// What it weighs.
    pub weight: f64,
    /// Places of its metrics.
    pub places: Vec<usize>,
}

impl Score {
    /// Reads `score`, and of each metric its `group` and whether it is `critical`.
    ///
    /// # Errors
    /// A bound is no share, a weight is not above zero or of no group, or a metric is weighed where there is no score.
    pub fn read(all: &mut Words, names: &[String]) -> Result<Option<Self>, Error> {
        let (mut groups, mut critical): (Vec<Group>, _) = (Vec::new(), Vec::new());
        let mut weighed = None;
        for (place, metric) in names.iter().enumerate() {
            let keys = ["group", "critical"].map(|key| format!("metrics.{metric}.{key}"));
            weighed = weighed.or_else(|| keys.iter().find(|key| all.has(key)).cloned());
            let own = all.text(&keys[0])?.unwrap_or_else(|| metric.clone());
            if all.flag(&keys[1])?.unwrap_or(false) {
                critical.push(place);
            }
            match groups.iter_mut().find(|group| group.name == own) {
                Some(group) => group.places.push(place),
                None => groups.push(Group { name: own, weight: 1.0, places: vec![place] }),
            }
        }
        let mut own = all.part("score");
        if own.is_empty() {
            return weighed.map_or(Ok(None), |key| Err(Error::new(key, "belongs to a gate with a `score`")));
        }
        weigh(&mut own, &mut groups)?;
        let share = |key: &str, own: &mut Words| -> Result<Option<f64>, Error> {
            let value = own.number(key).map_err(|error| super::parse::below("score", error))?;
            match value {
                Some(value) if !(value > 0.0 && value <= 1.0) => {
                    Err(Error::new(format!("score.{key}"), "is a share above 0 %, at most 100 %"))
                }
                value => Ok(value),
            }
        };
        let pass = share("pass", &mut own)?;
        let pass = pass.ok_or_else(|| Error::new("score.pass", "is missing: which share passes, like `95%`?"))?;
        let marginal = share("marginal", &mut own)?.unwrap_or(pass);
        if marginal > pass {
            return Err(Error::new("score.marginal", "is above `pass`"));
        }
        own.end().map_err(|error| super::parse::below("score", error))?;
        Ok(Some(Self { pass, marginal, groups, critical }))
    }

    /// The verdict over all, once what is known decides it.
    pub fn judge(&self, found: &[Option<Found>]) -> Option<Judgement> {
        let known = || found.iter().flatten();
        let is_refused =
            |place: &usize| found.get(*place).is_some_and(|it| it.as_ref().is_some_and(|it| !passes(it)));
        let fatal: Vec<Found> = self
            .critical
            .iter()
            .filter(|place| is_refused(place))
            .filter_map(|&place| found[place].clone())
            .collect();
        if !fatal.is_empty() {
            let judgement = refused(fatal.iter());
            return Some(Judgement { why: format!("critical: {}", judgement.why), ..judgement });
        }
        // What is not known yet may pass.
        let best = self.share(|place| !is_refused(&place));
        let is_whole = found.iter().all(Option::is_some);
        // A hair of room, so that 0.1 + 0.2 of 0.3 is all of it.
        let reaches = |bound: f64| best + 1e-9 >= bound;
        let scored = |verdict: Verdict, bound: (&str, f64), why: String| {
            let (at_most, word) = (if is_whole { "" } else { "at most " }, bound.0);
            let why = format!("score {at_most}{}, `{word}` is {}: {why}", percent(best), percent(bound.1));
            let judgement = Judgement::new(verdict, why);
            Some(if is_whole { judgement.with(best) } else { judgement })
        };
        let bad = refused(known());
        if !reaches(self.marginal) {
            return scored(bad.verdict, ("marginal", self.marginal), bad.why);
        }
        if !is_whole {
            return None;
        }
        let bound = ("pass", self.pass);
        if reaches(self.pass) {
            return scored(Verdict::Pass, bound, known().map(words).collect::<Vec<_>>().join("; "));
        }
        // Too good to fail and not good enough to pass. What could not be measured might have passed: that comes first.
        let lacks = known().map(|it| it.verdict).filter(|it| !matches!(it, Verdict::Pass | Verdict::Fail)).max();
        scored(lacks.unwrap_or(Verdict::Inconclusive), bound, bad.why)
    }

    /// The share of the weights, when those that `counts` names count.
    fn share(&self, counts: impl Fn(usize) -> bool) -> f64 {
        let of = |group: &Group| {
            let count = group.places.iter().filter(|&&place| counts(place)).count();
            group.weight * float(count) / float(group.places.len())
        };
        self.groups.iter().map(of).sum::<f64>() / self.groups.iter().map(|group| group.weight).sum::<f64>()
    }
}

fn passes(found: &Found) -> bool {
    found.verdict == Verdict::Pass
}

/// Reads `weights`.
fn weigh(own: &mut Words, groups: &mut [Group]) -> Result<(), Error> {
    let mut weights = own.part("weights");
    for name in weights.names() {
        let key = format!("score.weights.{name}");
        let weight = weights.number(&name).map_err(|error| super::parse::below("score.weights", error))?;
        let group = groups.iter_mut().find(|group| group.name == name);
        let group = group.ok_or_else(|| Error::new(&*key, "no metric is in this group"))?;
        group.weight = weight.filter(|weight| *weight > 0.0).ok_or_else(|| Error::new(&*key, "is above 0"))?;
    }
    Ok(())
}

/// A share in words.
pub(super) fn percent(share: f64) -> String {
    format!("{}%", (share * 1000.0).round() / 10.0)
}
