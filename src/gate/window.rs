//! Metrics over a window: `soak` judges one window at its end, `watch` each one that slides past.

use super::bound::{Compare, Limit};
use super::compose::{Compose, Found};
use super::reduce::{Reducer, float, rank};
use super::sample::{Sample, Seen};
use super::verdict::{Judgement, Verdict};

/// One metric.
#[derive(Clone, PartialEq, Debug)]
pub struct Metric {
    /// Its name; empty for the only one.
    pub name: String,
    /// Its probe, by place.
    pub probe: u16,
    /// How its samples become one number.
    pub reduce: Reducer,
    /// What the number has to be.
    pub limit: Limit,
}

/// What is measured, and for how long.
#[derive(Clone, PartialEq, Debug)]
pub struct Window {
    /// Milliseconds in all.
    pub length: u64,
    /// Milliseconds of the part that slides along, of a `watch`.
    pub slide: Option<u64>,
    /// Milliseconds between two rounds.
    pub interval: u64,
    /// The share of the samples that must be there.
    pub coverage: f64,
    /// Ends as soon as a bound can no longer be met.
    pub fail_fast: bool,
    /// What is measured.
    pub metrics: Vec<Metric>,
    /// How the metrics come together.
    pub compose: Compose,
}

/// The samples of one metric in one window.
struct Series {
    points: Vec<(u64, f64)>,
    /// Rounds that gave no number, and why the last of them did not.
    missing: usize,
    why: Option<(Verdict, String)>,
}

impl Window {
    /// The verdict, once there is one. Samples are those of whole rounds.
    pub fn judge(&self, samples: &[Sample]) -> Option<Judgement> {
        let at = samples.last()?.at;
        let is_end = at + self.interval > self.length;
        match self.slide {
            None => self.compose.judge(&self.found(samples, 0, at, is_end)),
            Some(slide) => {
                if at + self.interval < slide && !is_end {
                    return None;
                }
                let found = self.found(samples, (at + self.interval).saturating_sub(slide), at, true);
                let judgement = self.compose.judge(&found)?;
                (judgement.verdict != Verdict::Pass || is_end).then_some(judgement)
            }
        }
    }

    fn found(&self, samples: &[Sample], from: u64, at: u64, is_end: bool) -> Vec<Option<Found>> {
        let span = self.slide.map_or(self.length, |slide| slide.saturating_sub(1));
        let expected = usize::try_from(span / self.interval).unwrap_or(usize::MAX).saturating_add(1);
        let rounds = usize::try_from((at - from) / self.interval).unwrap_or(usize::MAX).saturating_add(1);
        let one = |metric: &Metric| self.of(metric, samples, from, (expected, rounds.min(expected), is_end));
        self.metrics.iter().map(one).collect()
    }

    fn of(
        &self,
        metric: &Metric,
        samples: &[Sample],
        from: u64,
        (expected, rounds, is_end): (usize, usize, bool),
    ) -> Option<Found> {
        let series = series(samples, metric.probe, from, rounds);
        let found = |verdict, value, why| Some(Found { name: metric.name.clone(), verdict, value, why });
        let can_fail_fast = self.fail_fast && self.slide.is_none();
        if can_fail_fast && let Some(why) = doom(metric, &series.points, expected) {
            return found(Verdict::Fail, None, why);
        }
        // A hair of room, so that 95 % of 20 is 19 and not 19.000000000000004.
        let allowed = float(expected) * (1.0 - self.coverage) + 1e-9;
        if float(series.missing) > allowed {
            return Some(found_missing(metric, &series, expected, self.coverage));
        }
        if !is_end {
            return None;
        }
        let Some(value) = metric.reduce.over(&series.points) else {
            let why = format!("{} samples are too few for `{}`", series.points.len(), metric.reduce);
            return found(Verdict::Inconclusive, None, why);
        };
        let (is_good, why) = metric.limit.judge(value);
        let verdict = if is_good { Verdict::Pass } else { Verdict::Fail };
        found(verdict, Some(value), format!("{} {why}", metric.reduce))
    }
}

fn found_missing(metric: &Metric, series: &Series, expected: usize, coverage: f64) -> Found {
    let (kind, last) = series.why.clone().unwrap_or((Verdict::NoData, "rounds were missed".to_owned()));
    let verdict = if series.points.is_empty() { kind } else { Verdict::NoData };
    let why = format!(
        "{} of {expected} samples are missing, coverage has to be {}%: {last}",
        series.missing,
        coverage * 100.0
    );
    Found { name: metric.name.clone(), verdict, value: None, why }
}

fn series(samples: &[Sample], probe: u16, from: u64, rounds: usize) -> Series {
    let own = || samples.iter().filter(|sample| sample.probe == probe && sample.at >= from);
    let points: Vec<(u64, f64)> = own().filter_map(|sample| Some((sample.at, sample.seen.number()?))).collect();
    let why = own().rev().find_map(|sample| match &sample.seen {
        Seen::NoData(why) => Some((Verdict::NoData, why.clone())),
        Seen::Error(why) => Some((Verdict::Error, why.clone())),
        _ => None,
    });
    Series { missing: rounds.saturating_sub(points.len()), points, why }
}

/// Why the bound can no longer be met, whatever the rest of `expected` samples will be.
fn doom(metric: &Metric, points: &[(u64, f64)], expected: usize) -> Option<String> {
    let bound = metric.limit.bound;
    let breaks = |value: f64| !metric.limit.judge(value).0;
    let bad = points.iter().filter(|point| breaks(point.1)).count();
    let is_equal = bound.compare == Compare::Equal;
    let is_above = |value: f64| breaks(value) && (bound.is_ceiling() || (is_equal && value > bound.limit));
    let is_below = |value: f64| breaks(value) && (bound.is_floor() || (is_equal && value < bound.limit));
    let is_doomed = match metric.reduce {
        Reducer::Max => points.iter().any(|point| is_above(point.1)),
        Reducer::Min => points.iter().any(|point| is_below(point.1)),
        Reducer::Percentile(percent) if bound.is_ceiling() => {
            bad > expected - rank(percent, expected).min(expected)
        }
        Reducer::Percentile(percent) if bound.is_floor() => bad >= rank(percent, expected),
        // These only grow.
        Reducer::Increase | Reducer::Resets => metric.reduce.over(points).is_some_and(is_above),
        _ => false,
    };
    let last = points.last()?.1;
    is_doomed.then(|| format!("`{} {bound}` can no longer be met: the last sample is {last}", metric.reduce))
}
