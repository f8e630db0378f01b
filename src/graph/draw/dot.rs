//! Graphviz: a digraph with clusters.

use std::fmt::Write as _;

use super::picture::{Kind, Picture};
use super::words::{self, line};

/// A Graphviz file.
pub(super) fn text(picture: &Picture) -> String {
    let mut out = String::new();
    line(&mut out, format_args!("digraph plan {{"));
    line(
        &mut out,
        format_args!(
            "  graph [rankdir=LR, compound=true, fontname=\"monospace\", labelloc=t, label={}];",
            quoted(&[&picture.title, &picture.subtitle])
        ),
    );
    line(
        &mut out,
        format_args!(
            "  node [shape=box, style=\"rounded,filled\", fillcolor=\"#f6f8fa\", color=\"#8a939d\", fontname=\"monospace\", fontsize=11];"
        ),
    );
    line(&mut out, format_args!("  edge [color=\"#8a939d\"];"));
    inside(&mut out, picture, None, 1);
    for link in &picture.links {
        let mut style = Vec::new();
        if link.is_critical {
            style.push("color=\"#c4441c\", penwidth=2.5");
        }
        if link.accepts_failure {
            style.push("style=dashed");
        }
        let style = if style.is_empty() { String::new() } else { format!(" [{}]", style.join(", ")) };
        line(&mut out, format_args!("  n{} -> n{}{style};", link.from, link.to));
    }
    out.push_str("}\n");
    out
}

fn inside(out: &mut String, picture: &Picture, frame: Option<usize>, depth: usize) {
    let indent = "  ".repeat(depth);
    for (at, block) in picture.boxes.iter().enumerate().filter(|(_, block)| block.frame == frame) {
        let lines = [words::fit_name(&block.label, 60, true), words::fit(&block.detail, 60, true)];
        let mut style = format!("label={}", quoted(&[&lines[0], &lines[1]]));
        match block.kind {
            Kind::Stage => (),
            Kind::Approval => style.push_str(", shape=hexagon"),
            _ => style.push_str(", peripheries=2"),
        }
        if let Some(shown) = &block.state {
            let (_, _, _, fill, edge, _) = words::STATES[words::state_rank(&shown.state)];
            let tip = quoted(&[&shown.state, &shown.note]);
            write!(style, ", fillcolor=\"{fill}\", color=\"{edge}\", tooltip={tip}")
                .expect("a String takes every write");
        }
        if block.is_critical {
            style.push_str(", color=\"#c4441c\", penwidth=2.5");
        }
        line(out, format_args!("{indent}n{at} [{style}];"));
    }
    for (at, inner) in picture.frames.iter().enumerate().filter(|(_, inner)| inner.parent == frame) {
        line(out, format_args!("{indent}subgraph cluster_{at} {{"));
        line(
            out,
            format_args!(
                "{indent}  label={}; style=\"rounded,dashed\"; color=\"#9aa4af\";",
                quoted(&[&inner.name])
            ),
        );
        inside(out, picture, Some(at), depth + 1);
        line(out, format_args!("{indent}}}"));
    }
}

/// A quoted string; the lines are joined by Graphviz's own line break.
fn quoted(lines: &[&str]) -> String {
    let clean = |text: &&&str| {
        let flat: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        // Graphviz also reads entities: a name that looks like one must not become one.
        flat.replace('&', "&amp;").replace('\\', "\\\\").replace('"', "\\\"")
    };
    let lines: Vec<String> = lines.iter().filter(|text| !text.is_empty()).map(|text| clean(&text)).collect();
    format!("\"{}\"", lines.join("\\n"))
}
