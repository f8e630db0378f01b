//! The terminal drawing: one line for each box, rails to its left that carry links downward.
//!
//! A box that others need opens a rail, which goes on until the last of them is reached. On a box's line
//! `┴ ╯ ╰` end a rail in it, `┼ ┤ ├` tap a rail that goes on, and a rail drawn through a line is not touched by it.

use super::picture::{Block, Kind, Picture};
use super::words::{self, line};
use super::{Style, Subject};
use crate::base::NodeIx;
use anstyle::{AnsiColor, Style as Paint};

/// Rails above which needs are named instead of drawn.
const MAX_RAILS: usize = 16;

/// A rail: the box it comes from and how many boxes it still leads to.
type Rail = Option<(usize, usize)>;

/// Draws `picture`.
pub(super) fn text(subject: Subject, picture: &Picture, style: &Style) -> String {
    let mut out = String::new();
    let columns = style.width.max(40);
    let head = format!("{} - {}", picture.title, picture.subtitle);
    line(&mut out, format_args!("{}", words::fit(&head, columns, style.unicode)));
    let mut order: Vec<usize> = (0..picture.boxes.len()).collect();
    order.sort_by_key(|&at| (picture.boxes[at].layer, at));
    let rows = rows(picture, &order, style.unicode);
    let wide = rows.iter().map(|row| row.2).max().unwrap_or(0);
    let names_needs = wide > MAX_RAILS;
    let rails = if names_needs { 2 } else { 2 * wide };
    let room = columns - rails - 1;
    let longest = order.iter().map(|&at| words::width(&picture.boxes[at].label)).max().unwrap_or(0);
    let label_room = longest.min(room.saturating_sub(18).max(room * 3 / 5));
    let mut layer = usize::MAX;
    let mut frame = None;
    for (&at, row) in order.iter().zip(&rows) {
        let block = &picture.boxes[at];
        if block.layer != layer || block.frame != frame {
            let between = if names_needs { String::new() } else { row.0.clone() };
            let name = block.frame.filter(|_| block.frame != frame).map(|at| picture.frames[at].name.as_str());
            let gap = format!(
                "{} {}",
                words::pad(&between, rails),
                name.map_or(String::new(), |name| format!("[{name}]"))
            );
            line(&mut out, format_args!("{}", words::fit(gap.trim_end(), columns, style.unicode)));
            (layer, frame) = (block.layer, block.frame);
        }
        let rail = if names_needs { glyph(block, style.unicode).to_string() } else { row.1.clone() };
        let tail = if names_needs { needs(picture, at) } else { detail(block) };
        let label = words::fit_name(&block.label, label_room, style.unicode);
        let used = rails + 1 + label_room + 2;
        let tail = words::fit(&tail, columns.saturating_sub(used), style.unicode);
        let label = words::pad(&label, label_room);
        let text = format!(
            "{} {}  {}",
            words::pad(&rail, rails),
            paint(&label, emphasis(block), style),
            paint(&tail, Paint::new().dimmed(), style)
        );
        line(&mut out, format_args!("{}", text.trim_end()));
    }
    let critical: Vec<NodeIx> = subject.forecast.critical.nodes.clone();
    if critical.len() > 1 {
        let mark = if style.unicode { "◆" } else { "#" };
        // Without history its length is made of guesses.
        let length = subject.forecast.expected().map(|_| words::about(subject.forecast.critical.length));
        let length = length.map(|length| format!(", {length}")).unwrap_or_default();
        line(&mut out, format_args!(""));
        line(&mut out, format_args!("{mark} critical path, {} stages{length}", critical.len()));
    }
    out
}

fn detail(block: &Block) -> String {
    let state = block.state.iter().map(|shown| {
        if block.nodes.len() > 1 && !shown.note.is_empty() { shown.note.clone() } else { shown.state.clone() }
    });
    let rest = Some(block.detail.clone()).filter(|text| !text.is_empty());
    state.chain(block.badges.iter().cloned()).chain(rest).collect::<Vec<_>>().join("  ")
}

fn needs(picture: &Picture, at: usize) -> String {
    let from = picture.links.iter().filter(|link| link.to == at).map(|link| &*picture.boxes[link.from].label);
    let from: Vec<&str> = from.collect();
    if from.is_empty() { String::new() } else { format!("needs {}", from.join(", ")) }
}

fn emphasis(block: &Block) -> Paint {
    let state = block.state.as_ref().map_or("", |shown| &shown.state);
    match state {
        "failed" | "timed-out" => AnsiColor::Red.on_default().bold(),
        "success" | "cached" => AnsiColor::Green.on_default(),
        "running" | "retrying" => AnsiColor::Blue.on_default().bold(),
        "waiting" | "unknown" => AnsiColor::Yellow.on_default(),
        _ if block.is_critical => Paint::new().bold(),
        _ => Paint::new(),
    }
}

/// `text` in `paint`, when colour is wanted.
pub(super) fn paint(text: &str, paint: Paint, style: &Style) -> String {
    if style.color && !text.trim().is_empty() { format!("{paint}{text}{paint:#}") } else { text.to_owned() }
}

fn glyph(block: &Block, unicode: bool) -> char {
    match (unicode, &block.state) {
        (true, Some(shown)) => first(words::STATES[words::state_rank(&shown.state)].1),
        (false, Some(shown)) => first(words::STATES[words::state_rank(&shown.state)].2),
        (true, None) if block.is_critical => '◆',
        (true, None) if block.kind == Kind::Approval => '◇',
        (true, None) => '●',
        (false, None) if block.is_critical => '#',
        (false, None) if block.kind == Kind::Approval => '?',
        (false, None) => '*',
    }
}

fn first(text: &str) -> char {
    text.chars().next().unwrap_or('*')
}

/// For each box: the rails before its line, its own line, and how many rails there are.
fn rows(picture: &Picture, order: &[usize], unicode: bool) -> Vec<(String, String, usize)> {
    let mut targets = vec![0; picture.boxes.len()];
    let mut sources = vec![Vec::new(); picture.boxes.len()];
    for link in &picture.links {
        targets[link.from] += 1;
        sources[link.to].push(link.from);
    }
    let mut rails: Vec<Rail> = Vec::new();
    order
        .iter()
        .map(|&at| row(&mut rails, &sources[at], (at, targets[at]), (&picture.boxes[at], unicode)))
        .collect()
}

fn row(
    rails: &mut Vec<Rail>,
    sources: &[usize],
    me: (usize, usize),
    look: (&Block, bool),
) -> (String, String, usize) {
    let (block, unicode) = look;
    let between: String = rails.iter().map(|rail| cell(rail.is_some(), false, unicode)).collect();
    let is_source = |rail: &Rail| rail.is_some_and(|(from, _)| sources.contains(&from));
    let incoming: Vec<usize> = (0..rails.len()).filter(|&at| is_source(&rails[at])).collect();
    let ends = |at: usize| rails[at].is_some_and(|(_, left)| left == 1);
    let own = incoming.iter().copied().find(|&at| ends(at)).or_else(|| rails.iter().position(Option::is_none));
    let own = own.unwrap_or(rails.len());
    let low = incoming.iter().copied().chain([own]).min().unwrap_or(own);
    let high = incoming.iter().copied().chain([own]).max().unwrap_or(own);
    let mut line = String::new();
    for at in 0..rails.len().max(own + 1) {
        let rail = rails.get(at).copied().flatten();
        let is_between = at >= low && at < high;
        let c = if at == own {
            glyph(block, unicode)
        } else if incoming.contains(&at) {
            joint(ends(at), (at == low, at == high), unicode)
        } else if rail.is_some() {
            if unicode { '│' } else { '|' }
        } else if at > low && at < high {
            if unicode { '─' } else { '-' }
        } else {
            ' '
        };
        line.push(c);
        line.push(if is_between { if unicode { '─' } else { '-' } } else { ' ' });
    }
    for &at in &incoming {
        rails[at] = rails[at].map(|(from, left)| (from, left - 1)).filter(|&(_, left)| left > 0);
    }
    if own == rails.len() {
        rails.push(None);
    }
    rails[own] = Some(me).filter(|&(_, left)| left > 0);
    let used = rails.len();
    while rails.last().is_some_and(Option::is_none) {
        rails.pop();
    }
    (between.trim_end().to_owned(), line.trim_end().to_owned(), used)
}

fn cell(is_rail: bool, is_line: bool, unicode: bool) -> &'static str {
    match (is_rail, is_line, unicode) {
        (true, _, true) => "│ ",
        (true, _, false) => "| ",
        (false, true, true) => "──",
        (false, true, false) => "--",
        (false, false, _) => "  ",
    }
}

/// Where a rail meets the box's line: it ends there or goes on; the line's left end, right end, or within.
fn joint(ends: bool, (is_left, is_right): (bool, bool), unicode: bool) -> char {
    match (unicode, ends, is_left, is_right) {
        (true, true, true, _) => '╰',
        (true, true, _, true) => '╯',
        (true, true, ..) => '┴',
        (true, false, true, _) => '├',
        (true, false, _, true) => '┤',
        (true, false, ..) => '┼',
        (false, true, ..) => '\'',
        (false, false, ..) => '+',
    }
}
