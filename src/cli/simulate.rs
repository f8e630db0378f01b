//! `engine simulate`: the real scheduler on what earlier runs took. Starts nothing, writes nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::json;

use super::args::SimulateArgs;
use super::exit::Exit;
use super::fault::{Answer, Fault};
use super::forecast::Past;
use super::settings::Settings;
use super::{check, find, inputs, print};
use crate::base::count::plural;
use crate::base::{NodeIx, Span};
use crate::driver::compile;
use crate::driver::simulate::{Assumptions, Holdup, Simulation, simulate};
use crate::graph::build::Mode;
use crate::graph::{Graph, select};
use crate::report::words;
use crate::run::Cause;
use crate::run::event::NodeState;

/// Runs that are imagined unless the plan is very large.
const SAMPLES: u32 = 1000;
/// Attempts that are imagined in all.
const MAX_ATTEMPTS: u64 = 3_000_000;
/// Fewest and most runs that are imagined.
const SAMPLE_LIMITS: (u32, u32) = (20, 100_000);
/// Bars of the histogram.
const BARS: u64 = 10;
/// Widest bar.
const BAR_COLUMNS: u64 = 40;
/// Causes that are named.
const MAX_CAUSES: usize = 5;
/// Stages that are named in one line.
const MAX_NAMED: usize = 6;

/// Imagines runs of a plan.
pub(super) fn run(args: &SimulateArgs, settings: &Settings) -> Answer {
    let options = inputs::options(&args.plan, (&args.inputs, &args.select), (args.jobs, false), settings)?;
    let past = Past::of(&find::state(settings)?, &options.path);
    let compiled = compile::from_disk(&settings.root, options, Mode::Plan, &past.expected())
        .map_err(|refused| check::refuse(&refused, settings))?;
    check::warn(&compiled.found, &compiled.sources, settings);
    let graph = compiled.graph;
    let assumed = assumptions(args, &graph)?;
    let found = simulate(&graph, &past.expected(), &assumed);
    if args.json {
        print::json(&as_json(&graph, &found, &assumed));
    } else {
        print::out(&as_text(&graph, &found, &assumed));
    }
    Ok(Exit::Success)
}

fn assumptions(args: &SimulateArgs, graph: &Graph) -> Result<Assumptions, Fault> {
    let mut slower = BTreeMap::new();
    for text in &args.slow {
        let wrong = || {
            Fault::new(Exit::Usage, format!("`--slow {text}` is no stage and factor"))
                .help("write it like build=2x or build=0.5x, above 0 and at most 1000")
        };
        let (stage, factor) = text.rsplit_once('=').ok_or_else(wrong)?;
        let factor: f64 = factor.strip_suffix('x').and_then(|it| it.parse().ok()).ok_or_else(wrong)?;
        if !(factor > 0.0 && factor <= 1000.0) {
            return Err(wrong());
        }
        slower.extend(select::named(graph, "--slow", stage)?.into_iter().map(|node| (node, factor)));
    }
    let mut fail = Vec::new();
    for stage in &args.fail {
        fail.extend(select::named(graph, "--fail", stage)?);
    }
    let shards: u64 = graph.places().map(|(_, node)| u64::from(node.foreseen_shards())).sum();
    let usual = u32::try_from(MAX_ATTEMPTS / shards.max(1)).unwrap_or(SAMPLES).min(SAMPLES);
    let samples = args.samples.unwrap_or(usual).clamp(1, SAMPLE_LIMITS.1);
    let samples = if args.samples.is_none() { samples.max(SAMPLE_LIMITS.0) } else { samples };
    Ok(Assumptions { slower, fail, samples, seed: args.seed.unwrap_or(1) })
}

/// A share of `all`, in percent with one decimal.
#[expect(clippy::cast_precision_loss, reason = "counts of samples are small")]
fn percent(count: usize, all: usize) -> f64 {
    (count as f64 * 1000.0 / all.max(1) as f64).round() / 10.0
}

fn cause(graph: &Graph, what: Holdup) -> (&'static str, String) {
    match what {
        Holdup::Lock => ("lock", graph.settings.lock.as_ref().map_or_else(String::new, |lock| lock.name.clone())),
        Holdup::Run(Cause::Stage(node)) => ("stage", graph.nodes[node].id.to_string()),
        Holdup::Run(Cause::Pool(pool)) => ("pool", graph.pools[pool].name.clone()),
        Holdup::Run(Cause::Slots) => ("slots", graph.settings.max_parallel.to_string()),
    }
}

fn as_json(graph: &Graph, found: &Simulation, assumed: &Assumptions) -> serde_json::Value {
    let all = found.took.len();
    let id = |node: &NodeIx| graph.nodes[*node].id.to_string();
    let holdups = found.holdups.iter().map(|&(what, share)| {
        let (kind, name) = cause(graph, what);
        json!({"kind": kind, "name": name, "share": (share * 1000.0).round() / 1000.0})
    });
    let bars = histogram(&found.took).into_iter();
    let bars = bars.map(|(from, to, count)| json!({"from_ms": from.ms(), "to_ms": to.ms(), "runs": count}));
    let stages = found.states.pairs().map(|(node, states)| {
        let counts: BTreeMap<&str, u32> = states.iter().map(|(state, count)| (state.word(), *count)).collect();
        json!({"id": id(&node), "states": counts})
    });
    let timeout = graph.settings.timeout.map(
        |limit| json!({"limit_ms": limit.ms(), "chance": percent(all - found.timed_out as usize, all) / 100.0}),
    );
    let slos = graph.objectives.iter().zip(&found.missed).map(|(slo, &missed)| {
        let chance = percent(all - missed as usize, all) / 100.0;
        json!({"of": slo.subject.word(), "name": slo.name, "limit_ms": slo.limit.ms(), "chance": chance})
    });
    json!({
        "version": 1, "plan": graph.name, "samples": all, "seed": assumed.seed, "runs": found.runs,
        "jobs": graph.settings.max_parallel,
        "finish_ms": {"p50": found.within(50).ms(), "p90": found.within(90).ms(), "p95": found.within(95).ms(),
            "least": found.within(0).ms(), "most": found.within(100).ms()},
        "histogram": bars.collect::<Vec<_>>(),
        "holdups": holdups.collect::<Vec<_>>(),
        "success": percent(found.succeeded as usize, all) / 100.0,
        "timeout": timeout,
        "slos": slos.collect::<Vec<_>>(),
        "failures": found.failures.iter().map(|(node, count)| json!({"stage": id(node), "runs": count})).collect::<Vec<_>>(),
        "guessed": found.guessed.iter().map(id).collect::<Vec<_>>(),
        "stages": stages.collect::<Vec<_>>(),
    })
}

/// From, to, and how many runs ended there; bars begin at round lengths.
fn histogram(took: &[Span]) -> Vec<(Span, Span, usize)> {
    let (Some(&least), Some(&most)) = (took.first(), took.last()) else { return Vec::new() };
    let width = round((most - least).ms().div_ceil(BARS).max(1));
    let from = least.ms() / width * width;
    let bars = (0..=(most.ms() - from) / width).map(|at| {
        let (from, to) = (from + at * width, from + (at + 1) * width);
        let inside = |span: &&Span| (from..to).contains(&span.ms());
        (Span::from_ms(from), Span::from_ms(to), took.iter().filter(inside).count())
    });
    bars.collect()
}

/// The next round number of milliseconds: 1, 2, 5, 10 … and of minutes 1, 2, 5 …
fn round(ms: u64) -> u64 {
    let unit = if ms > 60_000 { 60_000 } else { 1 };
    let steps = (0..15).flat_map(|power| [1, 2, 5].map(|step| step * 10_u64.pow(power) * unit));
    steps.into_iter().find(|&step| step >= ms).unwrap_or(ms)
}

/// Where a bar begins, as exactly as its width needs.
fn label(from: Span, to: Span) -> String {
    let is_fine = (to - from).ms() < 100 && from >= Span::from_secs(1);
    if is_fine { format!("{}.{:03}s", from.ms() / 1000, from.ms() % 1000) } else { words::length(from) }
}

fn names(graph: &Graph, nodes: &[NodeIx]) -> String {
    let shown: Vec<String> = nodes.iter().take(MAX_NAMED).map(|&ix| format!("`{}`", graph.nodes[ix].id)).collect();
    let more = nodes.len().saturating_sub(MAX_NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

fn as_text(graph: &Graph, found: &Simulation, assumed: &Assumptions) -> String {
    let all = found.took.len();
    let mut text = String::new();
    let mut put = |line: String| writeln!(text, "{}", line.trim_end()).expect("a text grows");
    put(format!(
        "{}: {} imagined, from {}",
        graph.name,
        plural(all as u64, "run"),
        plural(found.runs as u64, "earlier run")
    ));
    put(format!("{} at once, seed {}", plural(u64::from(graph.settings.max_parallel), "attempt"), assumed.seed));
    put(String::new());
    let [p50, p90, p95, most] = [50, 90, 95, 100].map(|percent| words::length(found.within(percent)));
    put(format!("finished   p50 {p50}   p90 {p90}   p95 {p95}   at most {most}"));
    let bars = histogram(&found.took);
    let highest = bars.iter().map(|bar| bar.2).max().unwrap_or(1).max(1) as u64;
    for (from, to, count) in bars.iter().filter(|_| bars.len() > 1) {
        let columns = (*count as u64 * BAR_COLUMNS).div_ceil(highest);
        let bar = "█".repeat(usize::try_from(columns).unwrap_or(0));
        put(format!("  {:>9}  {bar} {count}", label(*from, *to)));
    }
    put(String::new());
    put("held up by".to_owned());
    for &(what, share) in found.holdups.iter().take(MAX_CAUSES) {
        let (kind, name) = cause(graph, what);
        let said = match what {
            Holdup::Run(Cause::Slots) => {
                format!("slots: {} at once", plural(u64::from(graph.settings.max_parallel), "attempt"))
            }
            Holdup::Run(Cause::Pool(pool)) => format!("{kind} `{name}`: {} at once", graph.pools[pool].capacity),
            _ => format!("{kind} `{name}`"),
        };
        put(format!("  {:>5.1} %  {said}", share * 100.0));
    }
    put(String::new());
    put(format!("success    {:.1} % of the runs", percent(found.succeeded as usize, all)));
    if let Some(limit) = graph.settings.timeout {
        let kept = percent(all - found.timed_out as usize, all);
        put(format!("timeout    {kept:.1} % end within {}", words::length(limit)));
    }
    for (slo, &missed) in graph.objectives.iter().zip(&found.missed) {
        let (kept, limit) = (percent(all - missed as usize, all), words::length(slo.limit));
        put(format!("slo        {kept:.1} % of {} within {limit}", slo.title()));
    }
    let mut failures: Vec<_> = found.failures.iter().collect();
    failures.sort_by_key(|(node, count)| (std::cmp::Reverse(**count), **node));
    for (node, count) in failures.into_iter().take(MAX_CAUSES) {
        put(format!("failed     `{}` in {:.1} %", graph.nodes[*node].id, percent(*count as usize, all)));
    }
    if !assumed.fail.is_empty() {
        put(String::new());
        put(format!("if {} fails", names(graph, &assumed.fail)));
        for line in consequences(graph, found) {
            put(format!("  {line}"));
        }
    }
    if !found.guessed.is_empty() {
        put(String::new());
        put(format!("note: fewer than 5 samples, so a guess: {}", names(graph, &found.guessed)));
    }
    text
}

/// What became of the stages, by their most frequent state.
fn consequences(graph: &Graph, found: &Simulation) -> Vec<String> {
    let mut by_state: BTreeMap<NodeState, Vec<NodeIx>> = BTreeMap::new();
    for (node, states) in found.states.pairs().filter(|(node, _)| graph.nodes[*node].selected) {
        if let Some((state, _)) = states.iter().max_by_key(|(_, count)| **count) {
            by_state.entry(*state).or_default().push(node);
        }
    }
    let is_good = found.succeeded as usize * 2 > found.took.len();
    let mut lines = vec![format!("the run ends as {}", if is_good { "success" } else { "failed" })];
    let mut by_state: Vec<_> = by_state.into_iter().collect();
    by_state.sort_by_key(|(state, _)| (state.is_success(), *state == NodeState::Skipped, *state));
    lines.extend(by_state.into_iter().map(|(state, nodes)| format!("{}: {}", state.word(), names(graph, &nodes))));
    lines
}
