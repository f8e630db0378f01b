//! How fast an error budget burns, and how much of it is left: the rules with two windows of the Site Reliability Workbook,
//! chapter 5, and the tiers of an error budget policy, appendix B.

use super::Error;
use super::sample::{Sample, Seen};
use super::score::percent;
use super::verdict::{Effect, Judgement, Verdict};
use super::words::Words;
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

/// What is allowed by how much of the budget is left.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Budget {
    /// The time that the budget is for.
    pub over: Span,
    /// With less than this share left a person has to agree.
    pub hold_below: f64,
    /// With no more than this share left nobody is asked.
    pub fail_at: f64,
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
    /// How much of the budget must be left.
    pub budget: Option<Budget>,
    /// What follows when a rule fires.
    pub on_fail: Effect,
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

impl Budget {
    /// Reads `budget`, if there is one.
    ///
    /// # Errors
    /// A time or a share is missing or makes no sense.
    pub fn read(own: &mut Words) -> Result<Option<Self>, Error> {
        if own.is_empty() {
            return Ok(None);
        }
        let over =
            own.span("over")?.ok_or_else(|| Error::new("over", "is missing: for how long is the budget?"))?;
        let hold_below = own.number("hold-below")?.unwrap_or(0.25);
        let fail_at = own.number("fail-at")?.unwrap_or(0.0);
        if let Some(key) = own.names().into_iter().next() {
            return Err(Error::new(key, "is no setting of a budget"));
        }
        if !(hold_below > 0.0 && hold_below <= 1.0) {
            return Err(Error::new("hold-below", "is a share above 0 %, at most 100 %"));
        }
        if fail_at >= hold_below {
            return Err(Error::new("fail-at", "is below `hold-below`: first a person is asked"));
        }
        Ok(Some(Self { over, hold_below, fail_at }))
    }

    /// The tier that a budget of which so much is burnt is in, unless that is the one in which all may go on.
    fn tier(&self, burnt: f64) -> Option<Judgement> {
        // A hair of room, so that 75 % of a budget burnt leaves 25 % of it and not 24.999999999999996.
        let (left, hair) = (1.0 - burnt, 1e-9);
        let (effect, key, share) = if left <= self.fail_at + hair {
            (Effect::Fail, "fail-at", self.fail_at)
        } else if left < self.hold_below - hair {
            (Effect::Hold, "hold-below", self.hold_below)
        } else {
            return None;
        };
        let why = format!("{}, `{key}` is {}", self.words(burnt), percent(share));
        Some(Judgement { effect: Some(effect), ..Judgement::new(Verdict::Fail, why).with(left) })
    }

    fn words(&self, burnt: f64) -> String {
        format!("{} of the error budget of {} is left", percent(1.0 - burnt), self.over)
    }
}

impl Burn {
    /// An objective with its rules and its budget.
    ///
    /// # Errors
    /// The objective is no share between nothing and everything, or a rule could never fire.
    pub fn new(
        objective: f64,
        (rules, budget): (Vec<Rule>, Option<Budget>),
        min_events: f64,
        on_fail: Effect,
    ) -> Result<Self, Error> {
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
        windows.extend(budget.map(|budget| budget.over));
        windows.sort_unstable();
        windows.dedup();
        Ok(Self { objective, rules, min_events, budget, on_fail, windows })
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
            let is_long = self.rules.iter().any(|rule| rule.long == *window)
                || self.budget.is_some_and(|budget| budget.over == *window);
            if total < self.min_events && is_long {
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
        // Over the time of the budget, how fast it burns is how much of it is burnt.
        let budget = self.budget.map(|budget| (budget, burn(budget.over)));
        let tier = budget.and_then(|(budget, burnt)| budget.tier(burnt));
        // What a rule says counts unless the tier is the graver one.
        let is_graver = |tier: &Judgement| tier.effect == Some(Effect::Fail) || self.on_fail == Effect::Continue;
        match (self.fired(&burn), tier) {
            (None, Some(tier)) => return tier,
            (Some(_), Some(tier)) if is_graver(&tier) => return tier,
            (Some(fired), _) => return fired,
            (None, None) => {}
        }
        let rates = self.rules.iter().flat_map(|rule| [burn(rule.long), burn(rule.short)]);
        let worst = rates.fold(0.0, f64::max);
        let left = budget.map(|(budget, burnt)| format!("; {}", budget.words(burnt))).unwrap_or_default();
        let why = format!("the budget burns at most {worst:.2} times too fast{left}");
        Judgement::new(Verdict::Pass, why).with(worst)
    }

    fn fired(&self, burn: &impl Fn(Span) -> f64) -> Option<Judgement> {
        let rates = self.rules.iter().map(|rule| (rule, burn(rule.long), burn(rule.short)));
        let mut firing = rates.filter(|(rule, long, short)| *long >= rule.factor && *short >= rule.factor);
        let (rule, long, short) = firing.next()?;
        let why = format!(
            "the budget burns {long:.1} times too fast over {} and {short:.1} over {}, the rule is {}",
            rule.long, rule.short, rule.factor
        );
        Some(Judgement::new(Verdict::Fail, why).with(long))
    }
}
