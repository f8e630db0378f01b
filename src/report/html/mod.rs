//! The run as one HTML file: nothing is fetched, no script is needed, light and dark, readable on paper.
//!
//! The Gantt chart is the table: each stage is a row that opens to its attempts, reasons, outputs and last
//! lines. Groups, matrices and action files fold, long lists fold into blocks, so that 2,000 stages stay
//! usable; what is bad stands open and on top. All text from a plan or a stage passes one escape.

mod chart;
mod rows;

use jiff::tz::TimeZone;

use crate::base::{Millis, NodeIx};

use super::junit::escape;
use super::tail::{Excerpt, Logs, TAIL_LINES};
use super::view::{Standing, View};
use super::{hint, why, words};

/// Failed stages shown on top with their last lines.
const MAX_FAILED: usize = 30;

/// Pieces of background work named.
const MAX_BACKGROUND: usize = 100;

/// Stages of the critical path named.
const MAX_PATH: usize = 60;

const STYLE: &str = include_str!("style.css");

/// The run as one HTML file; people's times are in `zone`.
pub fn render(view: &View, logs: &dyn Logs, zone: &TimeZone) -> String {
    let plan = escape(view.plan());
    let state = view.state_given(false).word();
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>{plan}: {state}</title><style>\n{STYLE}</style></head>\n<body><main>\n"
    );
    out += &head(view, zone);
    out += &failures(view, logs);
    out += &promises(view);
    out += &path(view);
    out += "<h2>Stages</h2>\n";
    out += &rows::render(view, logs);
    out += &background(view, logs);
    out += &inputs(view);
    out += &engines(view, zone);
    put!(out, "<footer>run <code>{}</code>, {} records</footer>\n", escape(view.run_id()), view.seq());
    out + "</main></body></html>\n"
}

/// Name, state, numbers, and what to do next.
fn head(view: &View, zone: &TimeZone) -> String {
    let state = view.state_given(false).word();
    let mut out = format!("<h1>{} <span class=\"{state}\">{state}</span></h1>\n", escape(view.plan()));
    let began = view.began();
    let by = began.map(|began| began.by.as_str()).filter(|by| !by.is_empty());
    let by = by.map_or_else(String::new, |by| format!(" by {}", escape(by)));
    let key = began.and_then(|began| began.key.as_deref());
    let key = key.map_or_else(String::new, |key| format!(", key <code>{}</code>", escape(key)));
    let path = began.map_or_else(String::new, |began| format!(", <code>{}</code>", escape(&began.path)));
    let start = view.local(Millis::ZERO, zone);
    put!(out, "<p class=\"sub\">run <code>{}</code>{path}{key}; started {start}{by}</p>\n", escape(view.run_id()));
    let totals = view.totals();
    let mut cards = vec![("took", words::length(view.elapsed(view.now())))];
    let counts = [
        ("stages", totals.all),
        ("done", totals.done),
        ("cached", totals.cached),
        ("failed", totals.failed),
        ("dead", totals.dead),
        ("in the background", totals.behind),
        ("unknown", totals.unknown),
        ("blocked", totals.blocked),
        ("cancelled", totals.cancelled),
        ("skipped", totals.skipped),
        ("not ended", totals.active + totals.left),
    ];
    cards.extend(counts.iter().filter(|(_, count)| *count > 0).map(|(name, count)| (*name, count.to_string())));
    out += "<dl class=\"cards\">";
    for (name, value) in cards {
        put!(out, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    out += "</dl>\n";
    let hints = hint::next(view);
    if !hints.is_empty() || view.say_cancel().is_some() {
        out += "<div class=\"next\">";
        if let Some(why) = view.say_cancel() {
            put!(out, "<p>Ended early: {}</p>", escape(&why));
        }
        for (why, command) in hints {
            put!(out, "<p>{}: <code>{}</code></p>", escape(&why), escape(&command));
        }
        out += "</div>\n";
    }
    out
}

/// Groups, objectives and tickets.
fn promises(view: &View) -> String {
    let lines = super::promise::lines(view, view.now());
    if lines.is_empty() && view.tickets().is_empty() {
        return String::new();
    }
    let mut out = String::from("<h2>Promises</h2>\n");
    for line in lines {
        let (tone, word, name) = (line.tone.word(), line.word, escape(&line.name));
        put!(out, "<p><span class=\"state {tone}\">{word}</span> {name} {}</p>\n", escape(&line.said));
    }
    for (id, raised) in view.tickets_once() {
        let severity = raised.case.severity.word();
        let stage = escape(raised.stage.as_deref().unwrap_or_default());
        let why = escape(&raised.why);
        put!(
            out,
            "<p><span class=\"state allowed-failure\">ticket</span> <code>{id}</code> {severity} {stage} {why}</p>\n"
        );
    }
    out
}

/// Background work, with the words of the queue and how to go on.
fn background(view: &View, logs: &dyn Logs) -> String {
    let mut all: Vec<NodeIx> = view.background().collect();
    if all.is_empty() {
        return String::new();
    }
    all.sort_by_key(|&ix| view.standing(ix).unwrap_or(Standing::Pending));
    let mut out = String::from("<h2>Background</h2>\n<p class=\"sub\">It changes nothing of the verdict.</p>\n");
    for &ix in all.iter().take(MAX_BACKGROUND) {
        let tone = why::state(view, ix).word();
        let (word, id) = (view.say_standing(ix), escape(view.id(ix)));
        let why = escape(&why::explain(view, ix, view.now()));
        let next = hint::work(view, ix).map_or_else(String::new, |it| format!("; <code>{}</code>", escape(&it)));
        put!(out, "<p><span class=\"state {tone}\">{word}</span> <code>{id}</code> {why}{next}</p>\n");
        if view.standing(ix) == Some(Standing::Dead) {
            out += &output(view, ix, logs, TAIL_LINES);
        }
    }
    if all.len() > MAX_BACKGROUND {
        let list = escape(&hint::command("queue list"));
        put!(out, "<p>and {} more: <code>{list}</code></p>\n", all.len() - MAX_BACKGROUND);
    }
    out
}

/// What failed, with the end of its output.
fn failures(view: &View, logs: &dyn Logs) -> String {
    let bad: Vec<NodeIx> = view
        .nodes()
        .filter(|(ix, node)| words::is_bad(node.state) && !view.is_background(*ix))
        .map(|(ix, _)| ix)
        .collect();
    let mut out = String::new();
    if bad.is_empty() {
        return out;
    }
    out += "<h2>What failed</h2>\n";
    for &ix in bad.iter().take(MAX_FAILED) {
        let state = view.get(ix).state.word();
        let reason = escape(&view.get(ix).reason);
        let id = escape(view.id(ix));
        put!(out, "<p><span class=\"state {state}\">{state}</span> <code>{id}</code> {reason}</p>\n");
        out += &output(view, ix, logs, TAIL_LINES);
    }
    if bad.len() > MAX_FAILED {
        put!(out, "<p>and {} more</p>\n", bad.len() - MAX_FAILED);
    }
    out
}

/// The last lines of a stage's output.
fn output(view: &View, ix: NodeIx, logs: &dyn Logs, lines: usize) -> String {
    let excerpt = Excerpt::of(view, logs, ix, lines);
    if excerpt.lines.is_empty() {
        return String::new();
    }
    let whose = escape(&excerpt.whose(view, ix));
    let whose = excerpt.shard.map_or_else(String::new, |_| format!("<p class=\"sub\"><code>{whose}</code></p>\n"));
    let text: Vec<String> = excerpt.lines.iter().map(|line| escape(line)).collect();
    format!("{whose}<pre>{}</pre>\n", text.join("\n"))
}

/// What held the end of the run back.
fn path(view: &View) -> String {
    let path = view.critical_path();
    if path.len() < 2 {
        return String::new();
    }
    let mut out = String::from("<h2><span class=\"dot\"></span>Critical path</h2>\n<p class=\"path\">");
    for (at, &ix) in path.iter().take(MAX_PATH).enumerate() {
        let took = view.get(ix).duration(view.now()).map(words::length).unwrap_or_default();
        out += if at == 0 { "" } else { "<span class=\"sep\">→</span>" };
        put!(out, "<span><code>{}</code> {took}</span>", escape(view.id(ix)));
    }
    if path.len() > MAX_PATH {
        put!(out, "<span class=\"sep\">→</span>{} more", path.len() - MAX_PATH);
    }
    out + "</p>\n"
}

/// The plan's inputs, as the run was started with.
fn inputs(view: &View) -> String {
    let Some(frame) = view.graph().frames.first().filter(|frame| !frame.inputs.is_empty()) else {
        return String::new();
    };
    let mut out = String::from("<h2>Inputs</h2>\n<table>");
    for (name, value) in frame.inputs.iter() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        put!(out, "<tr><td><code>{}</code></td><td class=\"wrap\">{}</td></tr>", escape(name), escape(&value));
    }
    out + "</table>\n"
}

/// Who worked on the run, when there was more than one engine.
fn engines(view: &View, zone: &TimeZone) -> String {
    if view.sessions().len() < 2 {
        return String::new();
    }
    let mut out = String::from(
        "<h2>Engines</h2>\n<table><tr><th>since</th><th>after a gap of</th><th>by</th><th>jobs</th><th>version</th></tr>",
    );
    for session in view.sessions() {
        let gap = if session.gap.ms() == 0 { String::new() } else { words::length(session.gap) };
        let since = view.local(session.at, zone);
        let (by, version) = (escape(&session.by), escape(&session.engine));
        let jobs = session.jobs;
        put!(
            out,
            "<tr><td>{since}</td><td>{gap}</td><td>{by}</td><td class=\"n\">{jobs}</td><td>{version}</td></tr>"
        );
    }
    put!(out, "</table>\n<p class=\"sub\">{}</p>\n", view.say_totals());
    out
}
