//! Mermaid: a flowchart with subgraphs; every text is quoted and every odd character an entity.

use std::fmt::Write as _;

use super::picture::{Block, Kind, Picture};
use super::words::{self, line};

/// A Mermaid flowchart.
pub(super) fn text(picture: &Picture) -> String {
    let mut out = String::from("flowchart LR\n");
    inside(&mut out, picture, None, 1);
    let mut critical = Vec::new();
    for (at, link) in picture.links.iter().enumerate() {
        let arrow = if link.accepts_failure { "-.->" } else { "-->" };
        line(&mut out, format_args!("  n{} {arrow} n{}", link.from, link.to));
        if link.is_critical {
            critical.push(at.to_string());
        }
    }
    if !critical.is_empty() {
        line(&mut out, format_args!("  linkStyle {} stroke:#c4441c,stroke-width:3px", critical.join(",")));
    }
    classes(&mut out, picture);
    out
}

fn inside(out: &mut String, picture: &Picture, frame: Option<usize>, depth: usize) {
    let indent = "  ".repeat(depth);
    for (at, block) in picture.boxes.iter().enumerate().filter(|(_, block)| block.frame == frame) {
        line(out, format_args!("{indent}{}", node(at, block)));
    }
    for (at, inner) in picture.frames.iter().enumerate().filter(|(_, inner)| inner.parent == frame) {
        line(out, format_args!("{indent}subgraph f{at} [\"{}\"]", escape(&inner.name)));
        inside(out, picture, Some(at), depth + 1);
        line(out, format_args!("{indent}end"));
    }
}

fn node(at: usize, block: &Block) -> String {
    let label = escape(&words::fit_name(&block.label, 60, true));
    let detail = escape(&words::fit(&block.detail, 60, true));
    let text = if detail.is_empty() { label } else { format!("{label}<br/>{detail}") };
    match block.kind {
        Kind::Stage => format!("n{at}[\"{text}\"]"),
        Kind::Approval => format!("n{at}{{{{\"{text}\"}}}}"),
        _ => format!("n{at}[[\"{text}\"]]"),
    }
}

fn classes(out: &mut String, picture: &Picture) {
    let mut members = vec![Vec::new(); words::STATES.len()];
    let mut critical = Vec::new();
    for (at, block) in picture.boxes.iter().enumerate() {
        if let Some(shown) = &block.state {
            members[words::state_rank(&shown.state)].push(format!("n{at}"));
        }
        if block.is_critical {
            critical.push(format!("n{at}"));
        }
    }
    for (members, (name, _, _, fill, edge, _)) in members.iter().zip(words::STATES) {
        if !members.is_empty() {
            let name = name.replace('-', "_");
            line(out, format_args!("  classDef st_{name} fill:{fill},stroke:{edge},color:#1b1f24"));
            line(out, format_args!("  class {} st_{name}", members.join(",")));
        }
    }
    if !critical.is_empty() {
        line(out, format_args!("  classDef critical stroke:#c4441c,stroke-width:3px"));
        line(out, format_args!("  class {} critical", critical.join(",")));
    }
}

/// Letters, digits, spaces and harmless marks stay; the rest becomes `#NN;`.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_alphanumeric() || " -_.,:/=+…×→".contains(c) {
            out.push(c);
        } else if c.is_control() {
            out.push(' ');
        } else {
            write!(out, "#{};", u32::from(c)).expect("a String takes every write");
        }
    }
    out
}
