//! Short words for what a plan says: commands, lengths, counts, and texts that fit.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::base::count::{number, plural};
use crate::base::{NodeIx, Span, Text, id};
use crate::graph::model::{Command, Items, Node, Split, Terms, Work};
use crate::graph::{Foreseen, Graph};

/// Columns of `text`.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// `text` in at most `columns`, its end replaced by `…` if it is longer; control characters become spaces.
pub(super) fn fit(text: &str, columns: usize, unicode: bool) -> String {
    let mut clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if !unicode {
        // Our own marks; what a user wrote stays as it is.
        for (mark, plain) in [("×", "x"), ("…", "..."), ("→", "->"), ("≤", "<=")] {
            clean = clean.replace(mark, plain);
        }
    }
    if width(&clean) <= columns {
        return clean;
    }
    let mark = if unicode { "…" } else { "..." };
    let room = columns.saturating_sub(width(mark));
    let mut used = 0;
    let kept = clean.chars().take_while(|&c| {
        used += c.width().unwrap_or(0);
        used <= room
    });
    let kept: String = kept.collect();
    if columns < width(mark) { kept } else { format!("{}{mark}", kept.trim_end()) }
}

/// The name of a stage in at most `columns`, its middle replaced by `…` if it is longer.
pub(super) fn fit_name(name: &str, columns: usize, unicode: bool) -> String {
    let name = id::shorten(name, columns, if unicode { "…" } else { "..." });
    fit(&name, columns, unicode)
}

/// `text` and spaces up to `columns`.
pub(super) fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// What a node is for: the plan's own words for it, else what it does.
pub(super) fn purpose(graph: &Graph, node: NodeIx) -> String {
    graph.nodes[node].description.as_deref().map_or_else(|| work(graph, node), str::to_owned)
}

/// What a node does, in one line: its argv, the first line of its script, or the question it asks. What is
/// only known while the plan runs stands in it by name: `./ship <needs.build.outputs.image>`.
pub(super) fn work(graph: &Graph, node: NodeIx) -> String {
    match &graph.nodes[node].work {
        Work::Approval { prompt, items } => asks(graph, node, prompt.as_deref(), items.len()),
        Work::Process(process) => match &process.command {
            Command::Argv(words) => {
                let words = if process.is_engine { as_written(words) } else { words.clone() };
                let words = words.iter().map(|word| quoted(&graph.foresee(node, word)));
                words.collect::<Vec<_>>().join(" ")
            }
            Command::Script { text, .. } => script(text),
        },
    }
}

/// A built-in action as the plan names it, with its settings: without the words that only the engine says to itself.
fn as_written(words: &[Text]) -> Vec<Text> {
    let (name, rest) = match words {
        [_, gate, probe, kind, rest @ ..] if (&**gate, &**probe) == ("gate", "probe") => (kind.to_string(), rest),
        [_, noun, verb, rest @ ..] => (format!("{noun}.{verb}"), rest),
        _ => return words.to_vec(),
    };
    let mut written = vec![name.into()];
    let mut rest = rest.iter();
    while let Some(word) = rest.next() {
        match &**word {
            "--stage" | "--outputs" => {}
            "--files-digest" | "--platform" => drop(rest.next()),
            _ => written.push(word.clone()),
        }
    }
    written
}

/// `asks: Ship v2? (2 people, not the operator)`
fn asks(graph: &Graph, node: NodeIx, prompt: Option<&str>, items: usize) -> String {
    let terms = graph.nodes[node].rules.consent().terms();
    let who = if terms == Terms::default() { "a person".to_owned() } else { terms.to_string() };
    let what = match items {
        0 => String::new(),
        1 => ", a checklist of 1 item".to_owned(),
        count => format!(", a checklist of {count} items"),
    };
    match prompt {
        Some(prompt) if terms == Terms::default() => {
            format!("asks: {}{what}", joined(&graph.foresee(node, prompt)))
        }
        Some(prompt) => format!("asks: {}{what} ({who})", joined(&graph.foresee(node, prompt))),
        None => format!("asks {who}{what}"),
    }
}

fn script(text: &str) -> String {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let first = lines().next().unwrap_or_default();
    match lines().count() {
        0 | 1 => first.to_owned(),
        many => format!("{first}  (+{})", plural(many as u64 - 1, "line")),
    }
}

/// The text of `parts`, what is not known yet in angle brackets.
fn joined(parts: &[Foreseen]) -> String {
    let text = parts.iter().map(|part| match part {
        Foreseen::Known(text) => Cow::Borrowed(&**text),
        Foreseen::Late(name) => Cow::Owned(format!("<{name}>")),
    });
    text.collect()
}

/// A word as a shell would need it; what is not known yet needs no quotes.
fn quoted(word: &[Foreseen]) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=@%+,{}".contains(c);
    let is_bare = word.iter().all(|part| match part {
        Foreseen::Known(text) => text.chars().all(is_plain),
        Foreseen::Late(_) => true,
    });
    let text = joined(word);
    if is_bare && !text.is_empty() { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// How a stage's items are cut and what bounds its shards.
pub(super) fn split(node: &Node, split: &Split, attempts: u32) -> Vec<String> {
    let items = plural(split.items, "item");
    let (shards, all) = (u64::from(node.rules.shards), u64::from(attempts) * u64::from(node.rules.shards));
    let mut said = vec![match node.items() {
        Some(Items::Late { text, max, .. }) => {
            format!("at most {} from {}", plural(u64::from(*max), "item"), text.trim_matches(['{', '}', ' ']))
        }
        _ if split.in_flight.is_some() => format!("{items} for workers"),
        _ if split.grows => format!("{items}, shards sized as they run"),
        _ if split.size == 1 && attempts > 1 => {
            format!("{}, {} attempts in all", plural(shards, "shard"), number(all))
        }
        _ if split.size == 1 => plural(shards, "shard"),
        _ => format!("{items} in {} of {}", plural(shards, "shard"), number(u64::from(split.size))),
    }];
    said.extend(split.target.map(|target| format!("p95 of a shard up to {}", length(target))));
    said.extend(split.rate.map(|rate| format!("at most {rate} starts")));
    said.extend(split.allow_failed.map(|most| format!("{most} may fail")));
    said
}

/// A length to read, at most two units and no needless milliseconds: `1h30m`, `12s`, `250ms`.
pub(super) fn length(span: Span) -> String {
    let ms = span.ms();
    let (unit, round) = match ms {
        0..10_000 => (1, 1),
        10_000..3_600_000 => (1000, 1000),
        3_600_000..86_400_000 => (60_000, 60_000),
        _ => (3_600_000, 3_600_000),
    };
    Span::from_ms(ms.saturating_add(unit / 2) / unit * round).to_string()
}

/// The length of what is only expected, which nobody knows to the millisecond: `1.3s`, else as [`length`].
pub(super) fn about(span: Span) -> String {
    let tenths = (span.ms() + 50) / 100;
    if (1000..10_000).contains(&span.ms()) { format!("{}.{}s", tenths / 10, tenths % 10) } else { length(span) }
}

/// Text for XML, in elements and in quoted attributes.
pub(super) fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// Appends a formatted line.
pub(super) fn line(out: &mut String, text: std::fmt::Arguments) {
    writeln!(out, "{text}").expect("a String takes every write");
}

/// The kinds of states that are drawn differently, the one to notice first at the end:
/// name, symbol, plain symbol, fill and line on light ground, fill on dark ground. The hues are those of
/// Okabe and Ito, which people with colour blindness tell apart; the symbol says it without colour.
pub(super) const STATES: [(&str, &str, &str, &str, &str, &str); 14] = [
    ("pending", "·", ".", "#ffffff", "#8a8f98", "#1d2127"),
    ("skipped", "–", "-", "#eeeeee", "#9a9a9a", "#2a2d31"),
    ("undone", "↺", "u", "#eeeeee", "#666666", "#2a2d31"),
    ("cached", "≡", "=", "#dceffb", "#56b4e9", "#12384d"),
    ("success", "✓", "+", "#d5f0e6", "#009e73", "#0b3b2e"),
    ("waiting", "?", "?", "#fdf0d2", "#e69f00", "#463207"),
    ("running", "▶", ">", "#d3e6f5", "#0072b2", "#0a3350"),
    ("retrying", "↻", "r", "#fdf0d2", "#b97f00", "#463207"),
    ("allowed-failure", "!", "!", "#fbf7cf", "#a89a00", "#3d390c"),
    ("blocked", "⊘", "b", "#f6e3ee", "#cc79a7", "#43283a"),
    ("cancelled", "◼", "c", "#e4e4e4", "#555555", "#33363a"),
    ("unknown", "‽", "U", "#f6e3ee", "#882e72", "#4a1c3f"),
    ("timed-out", "⏲", "t", "#fbe0cf", "#d55e00", "#54260a"),
    ("failed", "✗", "x", "#fbe0cf", "#d55e00", "#54260a"),
];

/// Where `state` stands in [`STATES`]; one that is not listed counts as `unknown`.
pub(super) fn state_rank(state: &str) -> usize {
    STATES.iter().position(|known| known.0 == state).unwrap_or(11)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_exact_and_what_is_expected_is_rounded() {
        let said = |ms: u64| (length(Span::from_ms(ms)), about(Span::from_ms(ms)));
        let both = [719, 1071, 1500, 9_960, 12_345, 90_000].map(said);
        let limits = ["719ms", "1s71ms", "1s500ms", "9s960ms", "12s", "1m30s"];
        let expected = ["719ms", "1.1s", "1.5s", "10.0s", "12s", "1m30s"];
        assert_eq!(both.each_ref().map(|it| &*it.0), limits);
        assert_eq!(both.each_ref().map(|it| &*it.1), expected);
    }
}
