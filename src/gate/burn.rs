//! How fast an error budget burns: the rules with two windows of the Site Reliability Workbook, chapter 5.

use super::Error;
use super::sample::{Sample, Seen};
use super::verdict::{Judgement, Verdict};
use crate::base::Span;

/// One rule: it fires when the budget burns at least `factor` times as fast as it may, over both windows.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rule {
    /// The long window.
    pub long: Span,
    /// The short one, so that a burst that is over does not fire for hours.
    pub short: Span,
    /// How many times as fast.
    pub factor: f64,
}

/// What is asked about an objective.
#[derive(Clone, PartialEq, Debug)]
pub struct Burn {
    /// The share that must be good.
    pub objective: f64,
    /// Its rules.
    pub rules: Vec<Rule>,
    /// Fewer events than this in a long window say nothing.
    pub min_events: f64,
    /// The windows that are asked for: probe `2 n` counts the errors of the n-th, probe `2 n + 1` all events.
    pub windows: Vec<Span>,
}

/// The rules of the workbook: 2 % of a month's budget in an hour, 5 % in six, 10 % in three days.
pub const RULES: [(u64, u64, f64); 3] = [(3_600, 300, 14.4), (21_600, 1_800, 6.0), (259_200, 21_600, 1.0)];

impl Rule {
    /// Reads `1h/5m 14.4`.
    pub fn parse(text: &str) -> Option<Self> {
        let (windows, factor) = text.trim().split_once(' ')?;
        let (long, short) = windows.split_once('/')?;
        let rule = Self {
            long: Span::parse(long)?,
            short: Span::parse(short)?,
            factor: super::bound::number(factor).filter(|factor| *factor > 0.0)?,
        };
        (rule.short < rule.long && rule.short != Span::ZERO).then_some(rule)
    }
}

impl Burn {
    /// An objective with its rules.
    ///
    /// # Errors
    /// The objective is no share between nothing and everything, or a rule could never fire.
    pub fn new(objective: f64, rules: Vec<Rule>, min_events: f64) -> Result<Self, Error> {
        if !(0.0..1.0).contains(&objective) || objective == 0.0 {
            return Err(Error::new("objective", "must be a share above 0 % and below 100 %, like `99.9%`"));
        }
        let most = 1.0 / (1.0 - objective);
        if let Some(rule) = rules.iter().find(|rule| rule.factor > most) {
            let why = format!(
                "a burn of {} is impossible: with every request failing, this objective burns {most:.1} times too fast",
                rule.factor
            );
            return Err(Error::new("rules", why));
        }
        let mut windows: Vec<Span> = rules.iter().flat_map(|rule| [rule.long, rule.short]).collect();
        windows.sort_unstable();
        windows.dedup();
        Ok(Self { objective, rules, min_events, windows })
    }

    /// The verdict over one round of samples.
    pub fn judge(&self, samples: &[Sample]) -> Option<Judgement> {
        let at = samples.last()?.at;
        let of = |probe: usize| {
            samples.iter().find(|it| it.at == at && usize::from(it.probe) == probe).map(|sample| &sample.seen)
        };
        let mut is_scarce = None;
        let mut burns = Vec::new();
        for (place, window) in self.windows.iter().enumerate() {
            let (errors, total) = (of(2 * place)?, of(2 * place + 1)?);
            if let Seen::Error(why) = total {
                return Some(Judgement::new(Verdict::Error, why.clone()));
            }
            let Some(total) = total.number().filter(|total| *total > 0.0) else {
                return Some(Judgement::new(Verdict::NoData, format!("there were no events in {window}")));
            };
            // A counter of errors that nothing has raised yet does not exist: that is none, not no data.
            let errors = match errors {
                Seen::Error(why) => return Some(Judgement::new(Verdict::Error, why.clone())),
                seen => seen.number().unwrap_or(0.0),
            };
            if total < self.min_events && self.rules.iter().any(|rule| rule.long == *window) {
                is_scarce = Some(format!("{total} events in {window} are fewer than `min-events`"));
            }
            burns.push((*window, errors / total / (1.0 - self.objective)));
        }
        if let Some(why) = is_scarce {
            return Some(Judgement::new(Verdict::Inconclusive, why));
        }
        Some(self.over(&burns))
    }

    fn over(&self, burns: &[(Span, f64)]) -> Judgement {
        let burn = |window: Span| burns.iter().find(|(known, _)| *known == window).map_or(0.0, |(_, burn)| *burn);
        for rule in &self.rules {
            let (long, short) = (burn(rule.long), burn(rule.short));
            if long >= rule.factor && short >= rule.factor {
                let why = format!(
                    "the budget burns {long:.1} times too fast over {} and {short:.1} over {}, the rule is {}",
                    rule.long, rule.short, rule.factor
                );
                return Judgement::new(Verdict::Fail, why).with(long);
            }
        }
        let worst = burns.iter().map(|(_, burn)| *burn).fold(0.0, f64::max);
        Judgement::new(Verdict::Pass, format!("the budget burns at most {worst:.2} times too fast")).with(worst)
    }
}
