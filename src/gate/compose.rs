//! Many findings to one: all, any, a quorum, a score, or two authorities.

use super::score::Score;
use super::verdict::{Effect, Judgement, Verdict};

/// How findings come together.
#[derive(Clone, PartialEq, Debug)]
pub enum Compose {
    /// Each must pass.
    All,
    /// One must pass.
    Any,
    /// So many must pass.
    Quorum(usize),
    /// What passes must weigh so much.
    Score(Score),
    /// Two authorities, each of which needs all of its own: correctness alone refusing fails, safety alone refusing holds,
    /// both refusing halts.
    Authorities {
        /// Places of the findings about what is right.
        correctness: Vec<usize>,
        /// Places of the findings about what is safe.
        safety: Vec<usize>,
    },
}

/// What was found of one metric.
#[derive(Clone, PartialEq, Debug)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// What was found.
    pub verdict: Verdict,
    /// Its number.
    pub value: Option<f64>,
    /// Why.
    pub why: String,
}

impl Compose {
    /// The verdict over all, once those that are known decide it.
    pub fn judge(&self, found: &[Option<Found>]) -> Option<Judgement> {
        let passes = found.iter().flatten().filter(|it| it.verdict == Verdict::Pass).count();
        let refusals = found.iter().flatten().count() - passes;
        match self {
            Self::All => needs(found, found.len(), passes, refusals),
            Self::Any => needs(found, 1, passes, refusals),
            Self::Quorum(wanted) => needs(found, *wanted, passes, refusals),
            Self::Score(score) => score.judge(found),
            Self::Authorities { correctness, safety } => {
                // An authority has spoken when one of its own refuses, or all of them are known.
                let of = |places: &[usize]| -> Option<Vec<Found>> {
                    let known: Vec<Found> =
                        places.iter().filter_map(|&place| found.get(place).cloned().flatten()).collect();
                    let refuses = known.iter().any(|it| it.verdict != Verdict::Pass);
                    (refuses || known.len() == places.len()).then_some(known)
                };
                // What follows hangs on both: a refusal of one waits for the word of the other.
                Some(authorities(&of(correctness)?, &of(safety)?))
            }
        }
    }
}

fn needs(found: &[Option<Found>], wanted: usize, passes: usize, refusals: usize) -> Option<Judgement> {
    let known = || found.iter().flatten();
    if passes >= wanted {
        let words: Vec<String> = known().filter(|it| it.verdict == Verdict::Pass).map(words).collect();
        return Some(valued(Judgement::new(Verdict::Pass, words.join("; ")), known()));
    }
    (refusals + wanted > found.len()).then(|| refused(known()))
}

pub(super) fn refused<'a>(found: impl Iterator<Item = &'a Found> + Clone) -> Judgement {
    let bad = found.filter(|it| it.verdict != Verdict::Pass);
    let verdict = bad.clone().map(|it| it.verdict).max().unwrap_or(Verdict::Inconclusive);
    let words: Vec<String> = bad.clone().map(words).collect();
    valued(Judgement::new(verdict, words.join("; ")), bad)
}

/// The number of the only finding there is.
fn valued<'a>(judgement: Judgement, mut found: impl Iterator<Item = &'a Found>) -> Judgement {
    match (found.next(), found.next()) {
        (Some(Found { value: Some(value), .. }), None) => judgement.with(*value),
        _ => judgement,
    }
}

pub(super) fn words(found: &Found) -> String {
    if found.name.is_empty() { found.why.clone() } else { format!("{}: {}", found.name, found.why) }
}

fn authorities(correctness: &[Found], safety: &[Found]) -> Judgement {
    let refuses = |group: &[Found]| group.iter().any(|it| it.verdict != Verdict::Pass);
    let (wrong, unsafe_) = (refuses(correctness), refuses(safety));
    let mut judgement = match (wrong, unsafe_) {
        (false, false) => {
            let words: Vec<String> = correctness.iter().chain(safety).map(words).collect();
            return Judgement::new(Verdict::Pass, words.join("; "));
        }
        (true, false) => refused(correctness.iter()),
        (false, true) => refused(safety.iter()),
        (true, true) => refused(correctness.iter().chain(safety)),
    };
    let (who, effect) = match (wrong, unsafe_) {
        (true, true) => ("correctness and safety refuse", Effect::Halt),
        (true, false) => ("correctness refuses", Effect::Fail),
        _ => ("safety refuses", Effect::Hold),
    };
    judgement.why = format!("consensus.failure: {who}: {}", judgement.why);
    judgement.effect = Some(effect);
    judgement
}
