//! The run as Markdown: GitHub's step summary, a comment, a ticket.

use crate::base::NodeIx;
use crate::run::event::NodeState;

use super::tail::{Excerpt, Logs};
use super::view::{RunWord, Standing, View};
use super::{clean, hint, why, words};

/// Stages in the table; GitHub cuts a summary at 1 MiB.
const MAX_STAGES: usize = 500;

/// Failed stages with their last lines.
const MAX_FAILED: usize = 10;

/// Last lines of each.
const LINES: usize = 40;

/// The run as Markdown.
pub fn render(view: &View, logs: &dyn Logs) -> String {
    let state = view.state();
    let mark = match state {
        RunWord::Success => "✅",
        RunWord::Failed | RunWord::RollbackFailed => "❌",
        _ => "⏸️",
    };
    let took = words::length(view.elapsed(view.now()));
    let mut out = format!("## {mark} {}: {} in {took}\n\n", inline(view.plan()), state.word());
    put!(out, "Run `{}`, {}.\n\n", view.run_id(), view.say_totals());
    if let (Some(foreseen), Some(error)) = (view.foreseen(), view.forecast_error()) {
        put!(out, "Expected {}, took {took} ({error:+.1} %).\n\n", words::length(foreseen));
    }
    for (why, command) in hint::next(view) {
        put!(out, "{}: {}\n\n", sentence(&why), code(&command));
    }
    out += &failures(view, logs);
    out += &promises(view);
    out += &table(view);
    out += &background(view);
    out
}

/// Failed stages, each folded open with its last lines.
fn failures(view: &View, logs: &dyn Logs) -> String {
    let mut out = String::new();
    let bad = view.nodes().filter(|(ix, node)| words::is_bad(node.state) && !view.is_background(*ix));
    for (ix, node) in bad.take(MAX_FAILED) {
        let excerpt = Excerpt::of(view, logs, ix, LINES);
        let reason = if node.reason.is_empty() { node.state.word() } else { &node.reason };
        put!(out, "### {} {}\n\n{}\n\n", code(view.id(ix)), node.state.word(), inline(reason));
        if !excerpt.lines.is_empty() {
            // Inside of HTML nothing is Markdown.
            let whose = super::junit::escape(&excerpt.whose(view, ix));
            let of = excerpt.shard.map_or_else(String::new, |_| format!(" of {whose}"));
            let text: Vec<String> = excerpt.lines.iter().map(|line| clean::plain(line)).collect();
            let text = text.join("\n");
            let fence = fence(&text);
            put!(
                out,
                "<details open><summary>last {}{of}</summary>\n\n{fence}text\n{text}\n{fence}\n\n</details>\n\n",
                words::count(excerpt.lines.len(), "line")
            );
        }
    }
    out
}

/// Groups and objectives.
fn promises(view: &View) -> String {
    let lines = super::promise::lines(view, view.now());
    if lines.is_empty() {
        return String::new();
    }
    let mut out = String::from("| | group or slo | | |\n|---|---|---|---|\n");
    for line in lines {
        let mark = match line.tone {
            NodeState::Success => "✅",
            NodeState::Failed => "❌",
            NodeState::AllowedFailure => "⚠️",
            _ => "⚪",
        };
        put!(out, "| {mark} | {} | {} | {} |\n", cell(&inline(&line.name)), line.word, cell(&inline(&line.said)));
    }
    out + "\n"
}

/// Every stage: what needs somebody first, then in written order.
fn table(view: &View) -> String {
    let mut out = String::from("| | stage | state | attempts | time | why |\n|---|---|---|---:|---:|---|\n");
    let mut all: Vec<NodeIx> = view.nodes().map(|(ix, _)| ix).filter(|&ix| !view.is_background(ix)).collect();
    all.sort_by_key(|&ix| !words::is_bad(view.get(ix).state));
    for &ix in all.iter().take(MAX_STAGES) {
        let node = view.get(ix);
        let mark = match node.state {
            NodeState::Success | NodeState::Cached => "✅",
            NodeState::Failed | NodeState::TimedOut | NodeState::Unknown => "❌",
            NodeState::AllowedFailure => "⚠️",
            _ => "⚪",
        };
        let took = node.duration(view.now()).map(words::length).unwrap_or_default();
        let (id, state) = (cell(&code(view.id(ix))), node.state.word());
        put!(out, "| {mark} | {id} | {state} | {} | {took} | {} |\n", node.attempts, cell(&inline(&node.reason)));
    }
    if all.len() > MAX_STAGES {
        put!(out, "\n{} more stages are in the full report.\n", all.len() - MAX_STAGES);
    }
    out
}

/// Background work, with the words of the queue and how to go on: what needs somebody first.
fn background(view: &View) -> String {
    let mut all: Vec<NodeIx> = view.background().collect();
    if all.is_empty() {
        return String::new();
    }
    all.sort_by_key(|&ix| view.standing(ix).unwrap_or(Standing::Pending));
    let mut out = String::from("\n### Background\n\nIt changes nothing of the verdict.\n\n");
    out += "| | stage | work | attempts | time | why | go on with |\n|---|---|---|---:|---:|---|---|\n";
    for &ix in all.iter().take(MAX_STAGES) {
        let node = view.get(ix);
        let mark = match view.standing(ix) {
            Some(Standing::Done) => "✅",
            Some(Standing::Dead | Standing::Unknown) => "⚠️",
            _ => "⚪",
        };
        let took = node.duration(view.now()).map(words::length).unwrap_or_default();
        let (id, word) = (cell(&code(view.id(ix))), view.say_standing(ix));
        let next = hint::work(view, ix).map_or_else(String::new, |command| cell(&code(&command)));
        let why = cell(&inline(&why::explain(view, ix, view.now())));
        put!(out, "| {mark} | {id} | {word} | {} | {took} | {why} | {next} |\n", node.attempts);
    }
    if all.len() > MAX_STAGES {
        put!(out, "\n{} more are in {}.\n", all.len() - MAX_STAGES, code(&hint::command("queue list")));
    }
    out
}

/// Text that Markdown shows as it is; our own back-quotes stay.
fn inline(text: &str) -> String {
    let mut out = String::new();
    for c in clean::plain(text).chars() {
        if "\\*_[]<>#~&$@!".contains(c) {
            match c {
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '&' => out.push_str("&amp;"),
                '@' => out.push_str("&#64;"),
                c => out.extend(['\\', c]),
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Text as a code span, whatever back-quotes it holds.
fn code(text: &str) -> String {
    let text = clean::plain(text);
    if text.contains('`') { format!("`` {text} ``") } else { format!("`{text}`") }
}

/// Text inside a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// A fence longer than any run of back-quotes in `text`.
fn fence(text: &str) -> String {
    let mut longest = 0;
    let mut run = 0;
    for c in text.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    "`".repeat(longest.max(2) + 1)
}

/// With a capital.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + chars.as_str())
}
