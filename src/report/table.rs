//! `status` and `runs` as text: for 80 columns, less or more on a terminal of another width. In a pipe nothing is cut.

use jiff::tz::TimeZone;

use crate::base::{Millis, NodeIx, id};

use super::console::Look;
use super::view::View;
use super::{clean, hint, why, words};

/// Columns of stage ids at most, for 80 columns; a wider terminal has room for longer ones.
const MAX_ID: usize = 32;

/// What begins a line that goes on with the one above.
const HANG: &str = "    ";

/// When and by what light a table is written.
#[derive(Clone, Debug)]
pub struct Setting<'a> {
    /// Now, in the run's time.
    pub now: Millis,
    /// Whether an engine holds the run's lock.
    pub is_alive: bool,
    /// The zone of people's times.
    pub zone: &'a TimeZone,
    /// Colours.
    pub look: Look,
    /// Columns of the terminal; none elsewhere.
    pub columns: Option<usize>,
}

/// `engine status RUN`.
pub fn status(view: &View, with: &Setting<'_>) -> String {
    let state = view.state_given(with.is_alive);
    let mut out = format!("run {} {}\n", view.run_id(), clean::plain(view.plan()));
    let began = view.began().map_or_else(|| "not yet".to_owned(), |_| view.local(Millis::ZERO, with.zone));
    let by = view.began().map(|began| began.by.as_str()).filter(|by| !by.is_empty());
    let by = by.map_or_else(String::new, |by| format!(" by {}", clean::plain(by)));
    put!(out, "state   {}\n", with.look.bold(state.word()));
    put!(out, "started {began}{by}\n");
    if let Some(end) = view.ended() {
        let word = if view.verdict().is_some() { "ended  " } else { "left   " };
        put!(out, "{word} {}\n", view.local(end, with.zone));
    }
    put!(out, "took    {}", words::length(view.elapsed(with.now)));
    if view.sessions().len() > 1 {
        put!(out, ", resumed {}", words::count(view.sessions().len() - 1, "time"));
    }
    if let Some(why) = view.say_cancel() {
        put!(out, "\nending  {}", clean::plain(&why));
    }
    if let Some(glass) = view.glass() {
        put!(out, "\npolicy  overridden by {}: {}", clean::plain(&glass.by), clean::plain(&glass.reason));
    }
    if let Some(words) = view.frozen().filter(|_| view.verdict().is_none()) {
        put!(out, "\nfrozen  {}", clean::plain(words));
    }
    if view.is_paused() && view.verdict().is_none() {
        out += "\npaused  nothing new starts";
        if with.is_alive {
            put!(out, " until: {}", hint::unpause(view.run_id()));
        }
    }
    out += "\n\n";
    out += &stages(view, with);
    out += &promises(view, with);
    put!(out, "\n{}\n", view.say_totals());
    // A live engine goes on by itself, except where it asks a person.
    for (why, command) in if with.is_alive { hint::asked(view) } else { hint::next(view) } {
        put!(out, "{why}:\n  {}\n", with.look.bold(&command));
    }
    out
}

/// Groups and objectives, a line each, and how many tickets there are.
fn promises(view: &View, with: &Setting<'_>) -> String {
    let mut out = String::new();
    for line in super::promise::lines(view, with.now) {
        let word = with.look.paint(line.tone, &format!("{:<15}", line.word));
        let said = clean::plain(&line.said);
        out += format!("{word}  {}  {said}", clean::plain(&line.name)).trim_end();
        out.push('\n');
    }
    let tickets = view.tickets_once().len();
    if tickets > 0 {
        put!(out, "{:<15}  {}\n", words::count(tickets, "ticket"), hint::tickets());
    }
    if out.is_empty() { out } else { format!("\n{out}") }
}

/// The stages of a run, a line each; what does not fit there follows on lines of its own.
fn stages(view: &View, with: &Setting<'_>) -> String {
    let most = with.columns.map_or(MAX_ID, |columns| (columns * 2 / 5).max(MAX_ID));
    let wide = view.nodes().map(|(ix, _)| clean::width(view.id(ix))).max().unwrap_or(0).clamp(5, most);
    let mut out = with.look.dim(&format!(
        "{:<15}  {}  {:>4}  {:>7}  why",
        "state",
        clean::pad("stage", wide),
        "try",
        "time"
    ));
    out.push('\n');
    for (ix, node) in view.nodes() {
        let state = why::state(view, ix);
        let word = if node.is_cut_off { "interrupted" } else { state.word() };
        let word = with.look.paint(state, &format!("{word:<15}"));
        let tries = if node.attempts == 0 { String::new() } else { node.attempts.to_string() };
        let time = node.duration(with.now).map(words::length).unwrap_or_default();
        let name = clean::plain(view.id(ix));
        let name = match with.columns {
            Some(_) => clean::pad(&id::shorten(&name, wide, "…"), wide),
            None => format!("{name:<wide$}"),
        };
        let head = format!("{word}  {name}  {tries:>4}  {time:>7}  ");
        out += &beside(&head, &clean::plain(&said(view, ix, with)), with.columns);
    }
    out
}

/// `said` behind `head`, or below it when there is no room.
fn beside(head: &str, said: &str, columns: Option<usize>) -> String {
    let columns = columns.unwrap_or(usize::MAX);
    if clean::width(head) + clean::width(said) <= columns {
        return format!("{head}{said}").trim_end().to_owned() + "\n";
    }
    let below = clean::wrap(&format!("{HANG}{said}"), columns, HANG.len());
    format!("{}\n{}\n", head.trim_end(), below.join("\n"))
}

/// Why, or how far its shards are.
fn said(view: &View, ix: NodeIx, with: &Setting<'_>) -> String {
    let node = view.get(ix);
    let text = why::explain(view, ix, with.now);
    if text.is_empty() && node.shards.all > 1 && node.started.is_some() { why::shards(node) } else { text }
}

/// One line of `engine runs`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// The run.
    pub run: String,
    /// The plan's name.
    pub plan: String,
    /// The state's word; `damaged` for a run that cannot be read.
    pub state: String,
    /// When it began, for people.
    pub started: String,
    /// How long it took so far.
    pub took: String,
    /// Its stages in few words.
    pub stages: String,
}

impl Row {
    /// The line of `view`.
    pub fn of(view: &View, with: &Setting<'_>) -> Self {
        let totals = view.totals();
        let failed = if totals.failed > 0 { format!(", {} failed", totals.failed) } else { String::new() };
        let done = totals.done + totals.cached + totals.skipped;
        let paused = if view.is_paused() && view.verdict().is_none() { ", paused" } else { "" };
        Self {
            run: view.run_id().to_owned(),
            plan: view.plan().to_owned(),
            state: view.state_given(with.is_alive).word().to_owned(),
            started: view.local(Millis::ZERO, with.zone).chars().take(16).collect(),
            took: words::length(view.elapsed(with.now)),
            stages: format!("{done}/{}{failed}{paused}", totals.all),
        }
    }
}

/// `engine runs`: the newest first, as the caller orders them.
pub fn runs(rows: &[Row], look: Look, columns: Option<usize>) -> String {
    let run = rows.iter().map(|row| clean::width(&row.run)).max().unwrap_or(0).clamp(3, 24);
    let mut out = look.dim(&format!(
        "{}  {:<11}  {:<16}  {:>6}  {}",
        clean::pad("run", run),
        "state",
        "started",
        "time",
        "plan"
    ));
    out.push('\n');
    for row in rows {
        let head = format!(
            "{}  {}  {}  {:>6}  ",
            clean::pad(&row.run, run),
            clean::pad(&row.state, 11),
            clean::pad(&row.started, 16),
            row.took,
        );
        let room = columns.map_or(usize::MAX, |columns| columns.saturating_sub(clean::width(&head)));
        let tail = clean::plain(&format!("{} {}", row.plan, row.stages));
        put!(out, "{head}{}\n", clean::fit(&tail, room));
    }
    out
}
