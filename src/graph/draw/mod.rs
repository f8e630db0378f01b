//! Shows a graph: the text of `engine plan`, and the drawings of `engine graph`.
//!
//! `cli` calls [`plan()`] and [`graph`]; the caller prints what comes back. All drawings but JSON come from one
//! folded [`picture`]: matrices, action files and groups close until at most [`MAX_BOXES`] boxes are left, so
//! that 2,000 stages are as readable as 20. Invariants: the same graph gives the same bytes; every need is
//! inside a box, is a link between boxes, or follows from a way of links; links lead from a lower layer to a
//! higher one; nothing a plan says can break out of the format it is written into.

mod care;
mod dot;
mod fold;
mod html;
mod json;
mod layout;
mod mermaid;
mod picture;
mod plan;
mod rails;
mod reduce;
mod svg;
mod undo;
mod words;

pub use plan::{Heading, plan};

use self::picture::Picture;
use super::forecast::Forecast;
use super::model::Graph;
use crate::base::NodeIx;

/// Boxes in one drawing: about what fits a screen and still can be read.
pub const MAX_BOXES: usize = 60;

/// How text is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Columns; at least 40 are used.
    pub width: usize,
    /// Box characters and symbols, else plain ASCII.
    pub unicode: bool,
    /// ANSI colours.
    pub color: bool,
}

impl Default for Style {
    /// 80 columns, Unicode, no colour.
    fn default() -> Self {
        Self { width: 80, unicode: true, color: false }
    }
}

/// The state of a node in a run that is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// A stage state: `success`, `timed-out` …
    pub state: String,
    /// More for a tooltip: `attempt 2, exit 1, 3m12s`.
    pub note: String,
}

/// Tells the state of each node; for `graph RUN`.
pub type States<'a> = &'a dyn Fn(NodeIx) -> Option<Shown>;

/// What a drawing is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Rails and boxes for a terminal.
    Text,
    /// A Mermaid flowchart.
    Mermaid,
    /// Graphviz.
    Dot,
    /// One SVG file without references.
    Svg,
    /// One HTML file without references, to walk around in.
    Html,
    /// Everything, unfolded; see [`json_text`].
    Json,
}

/// A graph and what is known of it: what every drawing is made from.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The graph.
    pub graph: &'a Graph,
    /// What is known of the run.
    pub forecast: &'a Forecast,
    /// States, when a run is shown.
    pub states: Option<States<'a>>,
}

/// Draws `subject` as `format`; `style` matters to text only. Ends with a newline.
pub fn graph(subject: Subject, format: Format, style: &Style) -> String {
    let picture = || Picture::of(subject, None, MAX_BOXES);
    match format {
        Format::Text => rails::text(subject, &picture(), style),
        Format::Mermaid => mermaid::text(&picture()),
        Format::Dot => dot::text(&picture()),
        Format::Svg => svg::file(&picture()),
        Format::Html => html::file(subject),
        Format::Json => json_text(subject),
    }
}

/// The JSON shape, version 1; `docs/json.md` has its fields. It only grows.
pub fn json_text(subject: Subject) -> String {
    let mut text = serde_json::to_string_pretty(&json::value(subject)).expect("strings and numbers always print");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests;
