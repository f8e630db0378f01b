//! A whole gate: what it asks, how often, and what decides.

use super::Error;
use super::bound::{Bound, Compare, Limit};
use super::burn::{self, Burn};
use super::canary::{Canary, Pair, Worse};
use super::compose::Compose;
use super::parse::{self, below};
use super::probe::Probe;
use super::reduce::Reducer;
use super::sample::Sample;
use super::score::Score;
use super::streak::Streak;
use super::verdict::{Effect, Effects, Judgement};
use super::window::{Metric, Window};
use super::words::Words;
use crate::base::{Span, limits};

/// The kinds of gates that ask by themselves.
pub const KINDS: [&str; 10] =
    ["http", "tcp", "command", "file", "prometheus", "log", "soak", "watch", "canary", "burn-rate"];

/// A gate.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Its kind.
    pub kind: &'static str,
    /// What it asks in each round.
    pub probes: Vec<Probe>,
    /// What decides.
    pub judge: Judge,
    /// What follows.
    pub effects: Effects,
    /// Time between two rounds.
    pub interval: Span,
    /// How long one question may take.
    pub patience: Span,
}

/// What decides.
#[derive(Clone, Debug)]
pub enum Judge {
    /// So many good answers in a row.
    Streak(Streak),
    /// Metrics over a window.
    Window(Window),
    /// Two versions side by side.
    Canary(Canary),
    /// An error budget.
    Burn(Burn),
}

impl Spec {
    /// Reads a gate's settings.
    ///
    /// # Errors
    /// A setting is missing, unknown or makes no sense.
    pub fn parse<T: AsRef<str>>(kind: &str, words: &[T]) -> Result<Self, Error> {
        let mut words = Words::read(words)?;
        let known = KINDS.iter().find(|known| **known == kind);
        let kind = *known.ok_or_else(|| Error::new(kind, "is no gate"))?;
        let effects = effects(kind, &mut words)?;
        let interval = words.span("interval")?.unwrap_or(Span::from_secs(5));
        if interval.ms() < limits::MIN_GATE_INTERVAL_MS {
            let least = Span::from_ms(limits::MIN_GATE_INTERVAL_MS);
            return Err(Error::new("interval", format!("is at least {least}")));
        }
        let patience = words.span("request-timeout")?.unwrap_or(Span::from_secs(10));
        if patience.ms() > limits::MAX_GATE_PATIENCE_MS {
            let most = Span::from_ms(limits::MAX_GATE_PATIENCE_MS);
            return Err(Error::new("request-timeout", format!("is at most {most}")));
        }
        // Read where the plan is, for the core; here it only has to make sense.
        words.span("hold-for")?;
        words.of("on-expire", "`fail` or `continue`", |word| matches!(word, "fail" | "continue").then_some(()))?;
        let (probes, judge) = match kind {
            "soak" | "watch" => window(kind, &mut words, interval)?,
            "canary" => canary(&mut words, interval)?,
            "burn-rate" => burn_rate(&mut words, effects.fail)?,
            "log" => log(&mut words, interval)?,
            _ => streak(kind, &mut words)?,
        };
        words.end()?;
        Ok(Self { kind, probes, judge, effects, interval, patience })
    }

    /// The verdict over whole rounds of samples, once there is one.
    pub fn judge(&self, samples: &[Sample]) -> Option<Judgement> {
        match &self.judge {
            Judge::Streak(streak) => streak.judge(samples),
            Judge::Window(window) => window.judge(samples),
            Judge::Canary(canary) => canary.judge(samples),
            Judge::Burn(burn) => burn.judge(samples),
        }
    }

    /// What follows from a verdict.
    pub fn effect(&self, judgement: &Judgement) -> Effect {
        judgement.effect.unwrap_or_else(|| self.effects.of(judgement.verdict))
    }

    /// Whether a gate with these words starts processes, so that it has to be one itself.
    pub fn starts_processes<'a>(kind: &str, mut words: impl Iterator<Item = &'a str>) -> bool {
        kind == "command" || words.any(|word| word.starts_with("--") && word.ends_with(".command"))
    }
}

fn effects(kind: &str, words: &mut Words) -> Result<Effects, Error> {
    let mut of = |key: &str| words.of(key, "`continue`, `hold` or `fail`", Effect::parse);
    let no_data = of("on-no-data")?;
    let is_metric = matches!(kind, "prometheus" | "soak" | "watch" | "canary" | "burn-rate");
    if no_data.is_none() && is_metric {
        return Err(Error::new(
            "on-no-data",
            "is missing: say what a metric that is not there means: `continue`, `hold` or `fail`",
        ));
    }
    let error = of("on-error")?.unwrap_or(Effect::Fail);
    Ok(Effects {
        fail: of("on-fail")?.unwrap_or(Effect::Fail),
        inconclusive: of("on-inconclusive")?.unwrap_or(Effect::Hold),
        no_data: no_data.unwrap_or(error),
        error,
    })
}

type Parts = (Vec<Probe>, Judge);

fn streak(kind: &str, words: &mut Words) -> Result<Parts, Error> {
    let limit = parse::limit(words)?;
    let fails = words.count("consecutive-fail")?;
    let fails = fails.or((kind == "prometheus").then_some(1));
    let passes = words.count("consecutive")?.unwrap_or(1);
    let probe = parse::of_gate(kind, words)?;
    let measures = match &probe {
        Probe::Http(http) => http.value.is_some(),
        Probe::File(file) => file.value.is_some(),
        Probe::Command(command) => command.value.is_some(),
        Probe::Prometheus(_) => true,
        Probe::Tcp(_) | Probe::Log(_) => false,
    };
    match (measures, &limit) {
        (true, None) => Err(Error::new("pass", "is missing: what must the number be, like `< 250`?")),
        (false, Some(_)) => Err(Error::new("pass", "needs a number: say where it is with `value`")),
        _ => Ok((vec![probe], Judge::Streak(Streak { passes, fails, limit }))),
    }
}

fn log(words: &mut Words, interval: Span) -> Result<Parts, Error> {
    let length = words.span("for")?;
    let none = Limit { bound: Bound { compare: Compare::Equal, limit: 0.0 }, before: None, tolerance: None };
    let limit = parse::limit(words)?.unwrap_or(none);
    let probe = parse::of_gate("log", words)?;
    let judge = match length {
        Some(length) => {
            let metric = Metric { name: String::new(), probe: 0, reduce: Reducer::Max, limit };
            Judge::Window(Window {
                length: within(length, interval)?,
                slide: None,
                interval: interval.ms(),
                coverage: words.number("coverage")?.unwrap_or(0.95),
                fail_fast: true,
                metrics: vec![metric],
                compose: Compose::All,
            })
        }
        None if limit.bound.is_floor() => {
            Judge::Streak(Streak { passes: 1, fails: words.count("consecutive-fail")?, limit: Some(limit) })
        }
        None => return Err(Error::new("for", "is missing: how long is the log watched?")),
    };
    Ok((vec![probe], judge))
}

/// The length of a window, which a file of samples must be able to hold.
fn within(length: Span, interval: Span) -> Result<u64, Error> {
    if length.ms() / interval.ms() > limits::MAX_GATE_ROUNDS {
        let why = format!("has more than {} rounds: make `interval` longer", limits::MAX_GATE_ROUNDS);
        return Err(Error::new("for", why));
    }
    Ok(length.ms())
}

fn window(kind: &str, words: &mut Words, interval: Span) -> Result<Parts, Error> {
    let length = words.span("for")?.ok_or_else(|| Error::new("for", "is missing: how long is it measured?"))?;
    let slide = words.span("window")?;
    match (kind, slide) {
        ("watch", None) => return Err(Error::new("window", "is missing: how much is judged at a time?")),
        ("soak", Some(_)) => return Err(Error::new("window", "belongs to `watch`; a soak has one window, `for`")),
        (_, Some(slide)) if slide > length => return Err(Error::new("window", "is longer than `for`")),
        _ => {}
    }
    let coverage = words.number("coverage")?.unwrap_or(0.95);
    if !(coverage > 0.0 && coverage <= 1.0) {
        return Err(Error::new("coverage", "is a share above 0 %, at most 100 %"));
    }
    let fail_fast = words.flag("fail-fast")?.unwrap_or(true);
    let names = names(words)?;
    let compose = compose(words, &names)?;
    let (mut metrics, mut probes) = (Vec::new(), Vec::new());
    for name in &names {
        let path = format!("metrics.{name}");
        let mut own = words.part(&path);
        let (metric, probe) = metric(name, &mut own, probes.len()).map_err(|error| below(&path, error))?;
        own.end().map_err(|error| below(&path, error))?;
        metrics.push(metric);
        probes.push(probe);
    }
    let slide = slide.map(Span::ms);
    let (length, interval) = (within(length, interval)?, interval.ms());
    Ok((probes, Judge::Window(Window { length, slide, interval, coverage, fail_fast, metrics, compose })))
}

fn names(words: &Words) -> Result<Vec<String>, Error> {
    let names = words.parts("metrics");
    match names.len() {
        0 => Err(Error::new("metrics", "is missing: what is measured?")),
        count if count > limits::MAX_GATE_METRICS => {
            Err(Error::new("metrics", format!("there are more than {}", limits::MAX_GATE_METRICS)))
        }
        _ => Ok(names),
    }
}

fn metric(name: &str, words: &mut Words, place: usize) -> Result<(Metric, Probe), Error> {
    let reduce = parse::reduce("reduce", words)?;
    let limit = parse::limit(words)?.ok_or_else(|| Error::new("pass", "is missing: a bound, like `< 250`"))?;
    let probe = parse::of_metric(name, words)?;
    // An answer that is good or bad is 1 or 0, and the worst one counts.
    let reduce = reduce.unwrap_or(if limit.bound.is_floor() { Reducer::Min } else { Reducer::Max });
    Ok((Metric { name: name.to_owned(), probe: small(place), reduce, limit }, probe))
}

fn small(place: usize) -> u16 {
    u16::try_from(place).expect("`MAX_GATE_METRICS` is small")
}

fn compose(words: &mut Words, names: &[String]) -> Result<Compose, Error> {
    let quorum = words.count("quorum")?.map(|count| usize::try_from(count).unwrap_or(usize::MAX));
    let (correctness, safety) = (words.list("authorities.correctness"), words.list("authorities.safety"));
    let word = words.of("compose", "`all` or `any`", |word| match word {
        "all" => Some(Compose::All),
        "any" => Some(Compose::Any),
        _ => None,
    })?;
    let has_authorities = !(correctness.is_empty() && safety.is_empty());
    let score = Score::read(words, names)?;
    let rules = [quorum.is_some(), has_authorities, word.is_some(), score.is_some()];
    if rules.into_iter().filter(|is_there| *is_there).count() > 1 {
        return Err(Error::new("compose", "`compose`, `quorum`, `score` and `authorities` exclude each other"));
    }
    if let Some(score) = score {
        return Ok(Compose::Score(score));
    }
    if let Some(quorum) = quorum {
        let is_too_many = quorum > names.len();
        return if is_too_many {
            Err(Error::new("quorum", "asks for more than there are"))
        } else {
            Ok(Compose::Quorum(quorum))
        };
    }
    if !has_authorities {
        return Ok(word.unwrap_or(Compose::All));
    }
    let places = |group: &str, wanted: Vec<String>| -> Result<Vec<usize>, Error> {
        let key = format!("authorities.{group}");
        if wanted.is_empty() {
            return Err(Error::new(key, "is missing: both authorities must be asked"));
        }
        let place = |name: &String| names.iter().position(|known| known == name);
        let found =
            |name: &String| place(name).ok_or_else(|| Error::new(&*key, format!("there is no metric `{name}`")));
        wanted.iter().map(found).collect()
    };
    let (correctness, safety) = (places("correctness", correctness)?, places("safety", safety)?);
    if let Some(lost) = (0..names.len()).find(|place| !correctness.contains(place) && !safety.contains(place)) {
        return Err(Error::new("authorities", format!("nobody judges `{}`", names[lost])));
    }
    Ok(Compose::Authorities { correctness, safety })
}

fn canary(words: &mut Words, interval: Span) -> Result<Parts, Error> {
    let length = words.span("for")?.ok_or_else(|| Error::new("for", "is missing: how long is it compared?"))?;
    let names = names(words)?;
    let compose = compose(words, &names)?;
    let (mut pairs, mut probes) = (Vec::new(), Vec::new());
    for name in &names {
        let path = format!("metrics.{name}");
        let mut own = words.part(&path);
        let mut side = |side: &str, own: &mut Words| -> Result<u16, Error> {
            let mut of_side = own.part(side);
            probes.push(parse::of_metric(side, &mut of_side)?);
            of_side.end().map_err(|error| below(side, error))?;
            Ok(small(probes.len() - 1))
        };
        let mut pair = || -> Result<Pair, Error> {
            let (baseline, canary) = (side("baseline", &mut own)?, side("canary", &mut own)?);
            let worse = own.of("worse", "`increase`, `decrease` or `change`", worse)?.unwrap_or(Worse::Increase);
            let bound = own.of("pass", "a bound, like `< 250`", Bound::parse)?;
            Ok(Pair { name: name.clone(), baseline, canary, worse, bound })
        };
        pairs.push(pair().map_err(|error| below(&path, error))?);
        own.end().map_err(|error| below(&path, error))?;
    }
    let share = |key: &str, words: &mut Words, default: f64| -> Result<f64, Error> {
        let value = words.number(key)?.unwrap_or(default);
        if value > 0.0 && value < 1.0 { Ok(value) } else { Err(Error::new(key, "is between 0 and 1")) }
    };
    let judge = Canary {
        alpha: share("alpha", words, 0.05)?,
        min_effect: share("min-effect", words, 0.3)?,
        min_samples: usize::try_from(words.count("min-samples")?.unwrap_or(8)).unwrap_or(usize::MAX),
        length: within(length, interval)?,
        interval: interval.ms(),
        pairs,
        compose,
    };
    Ok((probes, Judge::Canary(judge)))
}

fn worse(word: &str) -> Option<Worse> {
    match word {
        "increase" => Some(Worse::Increase),
        "decrease" => Some(Worse::Decrease),
        "change" => Some(Worse::Change),
        _ => None,
    }
}

fn burn_rate(words: &mut Words, on_fail: Effect) -> Result<Parts, Error> {
    let mut rules = Vec::new();
    for text in words.list("rules") {
        let rule = burn::Rule::parse(&text);
        rules.push(rule.ok_or_else(|| Error::new("rules", format!("`{text}` is no rule; write `1h/5m 14.4`")))?);
    }
    if rules.is_empty() {
        let of = |(long, short, factor): (u64, u64, f64)| burn::Rule {
            long: Span::from_secs(long),
            short: Span::from_secs(short),
            factor,
        };
        rules.extend(burn::RULES.map(of));
    }
    let objective =
        words.number("objective")?.ok_or_else(|| Error::new("objective", "is missing, like `99.9%`"))?;
    let min_events = words.number("min-events")?.unwrap_or(0.0);
    let budget = burn::Budget::read(&mut words.part("budget")).map_err(|error| below("budget", error))?;
    let burn = Burn::new(objective, (rules, budget), min_events, on_fail)?;
    let (errors, total) = (words.needed("errors")?, words.needed("total")?);
    for (key, query) in [("errors", &errors), ("total", &total)] {
        if !query.contains("$window") {
            return Err(Error::new(key, "must say where the window goes: `sum(increase(errors_total[$window]))`"));
        }
    }
    // What is left are the server's settings, the same for each query.
    let server = std::mem::take(words);
    let mut probes = Vec::new();
    for window in &burn.windows {
        for query in [&errors, &total] {
            let mut own = server.clone();
            own.put("query", &query.replace("$window", &format!("{}ms", window.ms())));
            probes.push(parse::of_gate("prometheus", &mut own)?);
            own.end()?;
        }
    }
    Ok((probes, Judge::Burn(burn)))
}
