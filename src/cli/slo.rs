//! `engine slo [PLAN]`: how often objectives were met in the last runs, and what is left of their error budget.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::args::SloArgs;
use super::exit::Exit;
use super::fault::{Answer, Fault};
use super::settings::Settings;
use super::{find, print};
use crate::base::Span;
use crate::report::{View, clean, json as shapes, words};

/// An objective over several runs.
#[derive(Default)]
struct Tally {
    /// Of the newest run.
    limit: Span,
    took: Vec<Span>,
    breached: usize,
    /// Runs in which it was called at risk, and those of them that were late.
    at_risk: (usize, usize),
}

impl Tally {
    /// How many of so many runs may be late.
    fn budget(&self, target: f64) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of at most limits::MAX_SLO_RUNS runs"
        )]
        let budget = (self.took.len() as f64 * (100.0 - target) / 100.0 + 1e-9).floor() as usize;
        budget
    }

    /// 95 of 100 runs took no longer (nearest rank).
    fn p95(&self) -> Span {
        let mut sorted = self.took.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * 95).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or_default()
    }
}

/// Plan path, subject and name.
type Of = (String, &'static str, String);

/// Shows the error budgets.
pub(super) fn run(args: &SloArgs, settings: &Settings) -> Answer {
    if !(args.target > 0.0 && args.target <= 100.0) {
        return Err(Fault::new(
            Exit::Usage,
            format!("`--target {}` is no share above 0 and up to 100", args.target),
        ));
    }
    let state = find::state(settings)?;
    let asked = args.plan.as_ref().map(|plan| (plan, settings.path_from_root(plan.as_ref())));
    let (mut tallies, mut seen): (BTreeMap<Of, Tally>, BTreeMap<String, usize>) = Default::default();
    for entry in state.runs()? {
        let Some(began) = entry.began else { continue };
        // Its path from here or from the root, or its name.
        let is_wanted = asked
            .as_ref()
            .is_none_or(|(plan, path)| *path == began.path || **plan == began.path || **plan == began.plan);
        if !is_wanted || seen.get(&began.path).is_some_and(|count| *count >= args.runs) {
            continue;
        }
        // What cannot be read has nothing to say about time.
        let Ok(read) = find::read(entry.dir) else { continue };
        let view = View::replay(read.graphs.clone(), find::records(&read));
        if count(&view, &began.path, &mut tallies) {
            *seen.entry(began.path).or_default() += 1;
        }
    }
    if args.json {
        let all: Vec<Value> = tallies.iter().map(|(of, tally)| shape(of, tally, args.target)).collect();
        print::json(&json!({"version": shapes::VERSION, "target_percent": args.target, "objectives": all}));
    } else if tallies.is_empty() {
        print::line("no run with an `slo` has ended");
    } else {
        table(&tallies, args.target);
    }
    Ok(Exit::Success)
}

/// Takes the objectives of a run into account that were met or missed; whether there were any.
fn count(view: &View, path: &str, tallies: &mut BTreeMap<Of, Tally>) -> bool {
    let mut has_any = false;
    for (objective, goal) in view.goals() {
        if goal.ended.is_none() && goal.breached.is_none() {
            continue;
        }
        let Some(took) = goal.took(view.now()) else { continue };
        has_any = true;
        let of = (path.to_owned(), objective.subject.word(), objective.name.to_string());
        let tally = tallies.entry(of).or_default();
        if tally.took.is_empty() {
            tally.limit = objective.limit;
        }
        tally.took.push(took);
        tally.breached += usize::from(goal.breached.is_some());
        tally.at_risk.0 += usize::from(goal.risk.is_some());
        tally.at_risk.1 += usize::from(goal.risk.is_some() && goal.breached.is_some());
    }
    has_any
}

fn shape((path, subject, name): &Of, tally: &Tally, target: f64) -> Value {
    let budget = tally.budget(target);
    json!({
        "path": path, "of": subject, "name": name, "limit_ms": tally.limit.ms(), "runs": tally.took.len(),
        "breached": tally.breached, "p95_ms": tally.p95().ms(), "last_ms": tally.took.first().copied().map(Span::ms),
        "budget": budget, "spent": tally.breached, "exhausted": tally.breached > budget,
        "at_risk": tally.at_risk.0, "at_risk_and_breached": tally.at_risk.1,
    })
}

fn table(tallies: &BTreeMap<Of, Tally>, target: f64) {
    let names: Vec<String> = tallies.keys().map(|(_, subject, name)| format!("{subject} {name}")).collect();
    let width = names.iter().map(|name| clean::width(name)).max().unwrap_or(0).clamp(3, 40);
    let mut last = "";
    for (((path, ..), tally), name) in tallies.iter().zip(&names) {
        if path != last {
            print::line(&format!("{}  ({target} % of runs within their limit)", clean::plain(path)));
            print::line(&format!(
                "  {}  {:>7}  {:>7}  {:>4}  {:>4}  error budget",
                clean::pad("slo", width),
                "limit",
                "p95",
                "runs",
                "late"
            ));
        }
        last = path;
        let budget = tally.budget(target);
        let left = match budget.checked_sub(tally.breached) {
            Some(left) => format!("{left} of {budget} left"),
            None => format!("overspent by {}", tally.breached - budget),
        };
        let (limit, p95) = (words::length(tally.limit), words::length(tally.p95()));
        let name = clean::pad(&clean::plain(name), width);
        print::line(&format!(
            "  {name}  {limit:>7}  {p95:>7}  {:>4}  {:>4}  {left}",
            tally.took.len(),
            tally.breached
        ));
    }
}
