//! Many samples to one number.

use std::fmt;

/// How samples become one number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reducer {
    /// The mean.
    Avg,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// A percentile of the samples, by nearest rank: the smallest sample that at least so many per cent of them do not exceed.
    Percentile(u8),
    /// The latest.
    Last,
    /// How much a counter grew; a fall is taken as a start from zero.
    Increase,
    /// That, for each second between the first sample and the last.
    Rate,
    /// How often a counter fell.
    Resets,
}

/// The words of a plan.
pub const WORDS: [(&str, Reducer); 10] = [
    ("avg", Reducer::Avg),
    ("min", Reducer::Min),
    ("max", Reducer::Max),
    ("p50", Reducer::Percentile(50)),
    ("p95", Reducer::Percentile(95)),
    ("p99", Reducer::Percentile(99)),
    ("last", Reducer::Last),
    ("increase", Reducer::Increase),
    ("rate", Reducer::Rate),
    ("resets", Reducer::Resets),
];

impl Reducer {
    /// The reducer that a plan calls `word`.
    pub fn parse(word: &str) -> Option<Self> {
        WORDS.iter().find(|(known, _)| *known == word).map(|(_, reducer)| *reducer)
    }

    /// Its number over `points` (milliseconds and value, in order of time); none when there are too few for it.
    pub fn over(self, points: &[(u64, f64)]) -> Option<f64> {
        let (first, last) = (points.first()?, points.last()?);
        let values = || points.iter().map(|point| point.1);
        match self {
            Self::Avg => Some(values().sum::<f64>() / float(points.len())),
            Self::Min => values().reduce(f64::min),
            Self::Max => values().reduce(f64::max),
            Self::Last => Some(last.1),
            Self::Percentile(percent) => {
                let mut sorted: Vec<f64> = values().collect();
                sorted.sort_by(f64::total_cmp);
                Some(sorted[rank(percent, sorted.len()) - 1])
            }
            Self::Increase => (points.len() > 1).then(|| increase(points)),
            Self::Rate => {
                let ms = last.0.saturating_sub(first.0);
                (ms > 0).then(|| increase(points) * 1000.0 / float(usize::try_from(ms).unwrap_or(usize::MAX)))
            }
            Self::Resets => {
                let falls = points.windows(2).filter(|pair| pair[1].1 < pair[0].1).count();
                (points.len() > 1).then(|| float(falls))
            }
        }
    }
}

impl fmt::Display for Reducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(WORDS.iter().find(|(_, known)| known == self).map_or("", |(word, _)| word))
    }
}

/// The nearest rank of a percentile among `count` samples, from 1.
pub fn rank(percent: u8, count: usize) -> usize {
    (count * usize::from(percent)).div_ceil(100).clamp(1, count.max(1))
}

fn increase(points: &[(u64, f64)]) -> f64 {
    points.windows(2).map(|pair| if pair[1].1 < pair[0].1 { pair[1].1 } else { pair[1].1 - pair[0].1 }).sum()
}

/// A count as a number.
#[expect(clippy::cast_precision_loss, reason = "counts of samples and milliseconds stay far below 2^52")]
pub(super) const fn float(count: usize) -> f64 {
    count as f64
}
