//! The Mann–Whitney U test: whether the values of one sample tend to be larger than those of another.
//!
//! H. B. Mann, D. R. Whitney, "On a test of whether one of two random variables is stochastically larger than the other",
//! Annals of Mathematical Statistics 18 (1947). The normal approximation has the correction for ties and for continuity,
//! as in `scipy.stats.mannwhitneyu`; the exact distribution is taken where scipy takes it: without ties, when one of the
//! samples has at most eight values.

use super::reduce::float;

/// What is asked of the first sample.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tail {
    /// Its values tend to be larger.
    Greater,
    /// Its values tend to be smaller.
    Less,
    /// Either.
    TwoSided,
}

/// What the test says.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Outcome {
    /// U of the first sample: pairs in which its value is the larger one, ties for a half.
    pub u: f64,
    /// How likely such a U is when there is no difference.
    pub p: f64,
    /// Rank-biserial correlation, from -1 (all smaller) to 1 (all larger).
    pub effect: f64,
}

/// The size of the smaller sample up to which the exact distribution is taken.
const EXACT: usize = 8;
/// The size of the larger one: beyond it the approximation is as good and the table would grow without bound.
const EXACT_OTHER: usize = 500;

/// Tests `first` against `second`; nothing when one of them is empty or holds something that is no number.
pub fn test(first: &[f64], second: &[f64], tail: Tail) -> Option<Outcome> {
    if first.is_empty() || second.is_empty() || first.iter().chain(second).any(|value| value.is_nan()) {
        return None;
    }
    let (n1, n2) = (first.len(), second.len());
    let (ranks, ties) = rank_sum(first, second);
    let (m, n) = (float(n1), float(n2));
    let u = ranks - m * (m + 1.0) / 2.0;
    let other = m * n - u;
    let is_exact = ties == 0.0 && n1.min(n2) <= EXACT && n1.max(n2) <= EXACT_OTHER;
    let extreme = match tail {
        Tail::Greater => u,
        Tail::Less => other,
        Tail::TwoSided => u.max(other),
    };
    let upper = if is_exact { exact(extreme, n1, n2) } else { normal(extreme, m, n, ties) };
    let p = if tail == Tail::TwoSided { 2.0 * upper } else { upper };
    Some(Outcome { u, p: p.clamp(0.0, 1.0), effect: 2.0 * u / (m * n) - 1.0 })
}

/// The sum of the ranks of `first` among all, equal values sharing the middle one; and the sum of t³ − t over all ties.
fn rank_sum(first: &[f64], second: &[f64]) -> (f64, f64) {
    let mut all: Vec<(f64, bool)> = first.iter().map(|&value| (value, true)).collect();
    all.extend(second.iter().map(|&value| (value, false)));
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut sum, mut ties, mut from) = (0.0, 0.0, 0);
    #[expect(clippy::float_cmp, reason = "a tie is the very same number")]
    for group in all.chunk_by(|a, b| a.0 == b.0) {
        let size = float(group.len());
        let middle = float(from) + f64::midpoint(size, 1.0);
        sum += middle * float(group.iter().filter(|it| it.1).count());
        ties += size * size * size - size;
        from += group.len();
    }
    (sum, ties)
}

/// P(U ≥ u) without a difference, by the normal distribution.
fn normal(u: f64, m: f64, n: f64, ties: f64) -> f64 {
    let total = m + n;
    let variance = m * n / 12.0 * (total + 1.0 - ties / (total * (total - 1.0)));
    if variance <= 0.0 {
        return 1.0;
    }
    let z = (u - m * n / 2.0 - 0.5) / variance.sqrt();
    erfc(z / std::f64::consts::SQRT_2) / 2.0
}

/// P(U ≥ u) without a difference, counted: of all ways to choose `m` of `m + n` ranks, those with such a U.
fn exact(u: f64, m: usize, n: usize) -> f64 {
    let (m, n) = (m.min(n), m.max(n));
    let most = m * n;
    // ways[k][s]: choices of k of the ranks seen so far whose U is s.
    let mut ways = vec![vec![0.0_f64; most + 1]; m + 1];
    ways[0][0] = 1.0;
    for seen in 1..=m + n {
        for chosen in (1..=m.min(seen)).rev() {
            // The chosen one stands above `seen - chosen` that are not chosen.
            let above = seen - chosen;
            if above > n {
                continue;
            }
            let (less, more) = ways.split_at_mut(chosen);
            for sum in (above..=most).rev() {
                more[0][sum] += less[chosen - 1][sum - above];
            }
        }
    }
    let total: f64 = ways[m].iter().sum();
    let upper: f64 = ways[m].iter().enumerate().filter(|(sum, _)| float(*sum) >= u).map(|(_, count)| count).sum();
    upper / total
}

/// The complementary error function: its power series for small arguments, Lentz's continued fraction for large ones
/// (Abramowitz and Stegun 7.1.6 and 7.1.14).
fn erfc(x: f64) -> f64 {
    if x < 0.0 {
        return 2.0 - erfc(-x);
    }
    let front = (-x * x).exp() / std::f64::consts::PI.sqrt();
    if x < 2.5 {
        let (mut term, mut sum, mut k) = (x, x, 0.0);
        while term > sum * 1e-17 {
            k += 1.0;
            term *= 2.0 * x * x / (2.0 * k + 1.0);
            sum += term;
        }
        return 1.0 - 2.0 * front * sum;
    }
    let mut fraction = x;
    for k in (1..=60).rev() {
        fraction = x + float(k) / 2.0 / fraction;
    }
    front / fraction
}
