//! So many good answers in a row.

use super::bound::Limit;
use super::sample::{Sample, Seen};
use super::verdict::{Judgement, Verdict};

/// What ends the asking.
#[derive(Clone, PartialEq, Debug)]
pub struct Streak {
    /// Good answers in a row that pass.
    pub passes: u32,
    /// Other answers in a row that end it; without this it asks until the stage's `timeout`.
    pub fails: Option<u32>,
    /// What a number has to be.
    pub limit: Option<Limit>,
}

impl Streak {
    /// The verdict, once there is one.
    pub fn judge(&self, samples: &[Sample]) -> Option<Judgement> {
        let last = samples.last()?;
        let (verdict, why) = self.class(last);
        let is_good = verdict == Verdict::Pass;
        let wanted = if is_good { self.passes } else { self.fails? };
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        if samples.len() < wanted {
            // A long streak is not put in words again in each of its rounds.
            return None;
        }
        let run =
            samples.iter().rev().take(wanted).take_while(|it| (self.class(it).0 == Verdict::Pass) == is_good);
        let classes: Vec<Verdict> = run.map(|sample| self.class(sample).0).collect();
        if classes.len() < wanted {
            return None;
        }
        // Answers that differ in kind and are all not good come to the gravest of them.
        let verdict = classes.into_iter().max().unwrap_or(verdict);
        let times = if wanted > 1 { format!(", {wanted} times in a row") } else { String::new() };
        let judgement = Judgement::new(verdict, format!("{why}{times}"));
        Some(match last.seen.number().filter(|_| matches!(last.seen, Seen::Value(_))) {
            Some(value) => judgement.with(value),
            None => judgement,
        })
    }

    /// What one answer counts as.
    pub fn class(&self, sample: &Sample) -> (Verdict, String) {
        match (&sample.seen, &self.limit) {
            (Seen::Error(why), _) => (Verdict::Error, why.clone()),
            (Seen::NoData(why), _) => (Verdict::NoData, why.clone()),
            (Seen::Value(_) | Seen::Infinite(_), Some(limit)) => {
                let value = sample.seen.number().expect("a value has a number");
                let (is_good, words) = limit.judge(value);
                (if is_good { Verdict::Pass } else { Verdict::Fail }, words)
            }
            (Seen::Bad(why), _) => (Verdict::Fail, why.clone()),
            (seen, _) => (Verdict::Pass, seen.words()),
        }
    }
}
