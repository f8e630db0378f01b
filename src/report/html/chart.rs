//! Bars on the time axis, as SVG that stretches with its row.

use crate::base::{Millis, NodeIx, Span};
use crate::run::Outcome;
use crate::run::event::NodeState;

use super::super::view::{MAX_BARS, NodeView, View};
use super::super::words;

/// Width of the axis in units of its SVG.
const WIDTH: u64 = 1000;

/// Marks on the axis.
const TICKS: u64 = 5;

/// The time axis: from the run's start to its end, gaps between engines included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    end: Millis,
}

impl Axis {
    /// The axis of `view`.
    pub(super) fn of(view: &View) -> Self {
        let end = view.nodes().filter_map(|(_, node)| node.ended).max().unwrap_or_default();
        Self { end: end.max(view.now()).max(Millis::new(1)) }
    }

    /// The marks.
    pub(super) fn ticks(self) -> String {
        let each = (1..=TICKS).map(|at| words::length(Span::from_ms(self.end.raw() * at / TICKS)));
        let each = std::iter::once("0s".to_owned()).chain(each);
        each.map(|text| format!("<span>{text}</span>")).collect::<Vec<_>>().concat()
    }

    /// Where `at` is.
    fn x(self, at: Millis) -> u64 {
        at.raw().min(self.end.raw()) * WIDTH / self.end.raw()
    }

    /// One bar, at least two units wide.
    fn rect(self, from: Millis, to: Millis, class: &str, (y, height): (u8, u8), title: &str) -> String {
        let x = self.x(from).min(WIDTH - 2);
        let width = self.x(to).saturating_sub(x).max(2);
        let title = if title.is_empty() { String::new() } else { format!("<title>{title}</title>") };
        format!("<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" class=\"{class}\">{title}</rect>")
    }

    /// The bars of a stage: a thin line while it waited, a bar for each attempt.
    pub(super) fn stage(self, view: &View, ix: NodeIx) -> String {
        let node = view.get(ix);
        let Some(start) = node.started else { return frame("") };
        let end = node.ended.unwrap_or(view.ended().unwrap_or(view.now()));
        let needs = view.waited_for(ix).filter_map(|before| view.get(before).ended);
        let free = needs.max().unwrap_or_default().min(start);
        let mut bars = String::new();
        if start.since(free).ms() > 0 {
            bars += &self.rect(free, start, "b-wait", (7, 2), "");
        }
        let is_whole = node.bars.len() == MAX_BARS || node.shards.all > 1 || node.bars.is_empty();
        if is_whole {
            bars += &self.rect(start, end, class(node.state), (3, 10), &whole(node));
        } else {
            bars += &self.rect(start, end, "b-wait", (7, 2), "");
            for bar in &node.bars {
                let (class, said) = match &bar.outcome {
                    Some(Outcome::Success) => ("b-ok", "success".to_owned()),
                    Some(outcome @ Outcome::Cancelled) => ("b-off", words::outcome(outcome)),
                    Some(outcome) if node.state == NodeState::AllowedFailure => {
                        ("b-warn", words::outcome(outcome))
                    }
                    Some(outcome) => ("b-bad", words::outcome(outcome)),
                    None => ("b-warn", "lost".to_owned()),
                };
                let took = words::length(bar.end.since(bar.start));
                let title = super::escape(&format!("attempt {}: {said}, {took}", bar.number));
                bars += &self.rect(bar.start, bar.end, class, (3, 10), &title);
            }
            if let Some((.., since)) = view.inflight().find(|(other, ..)| *other == ix) {
                bars += &self.rect(since, end, "b-run", (3, 10), "running");
            }
        }
        frame(&bars)
    }

    /// One bar for a fold: from its first start to its last end.
    pub(super) fn fold(self, view: &View, nodes: &[NodeIx], state: NodeState) -> String {
        let start = nodes.iter().filter_map(|&ix| view.get(ix).started).min();
        let end = nodes.iter().filter_map(|&ix| view.get(ix).ended.or(view.get(ix).started)).max();
        match (start, end) {
            (Some(start), Some(end)) => frame(&self.rect(start, end, class(state), (6, 4), "")),
            _ => frame(""),
        }
    }
}

/// A row's drawing.
fn frame(bars: &str) -> String {
    format!(
        "<svg class=\"bar\" viewBox=\"0 0 {WIDTH} 16\" preserveAspectRatio=\"none\" aria-hidden=\"true\">{bars}</svg>"
    )
}

/// The colour of a bar.
const fn class(state: NodeState) -> &'static str {
    match state {
        NodeState::Success | NodeState::Cached => "b-ok",
        NodeState::Failed | NodeState::TimedOut | NodeState::Unknown => "b-bad",
        NodeState::AllowedFailure | NodeState::Retrying | NodeState::Waiting => "b-warn",
        NodeState::Running => "b-run",
        _ => "b-off",
    }
}

/// What the one bar of a stage says.
fn whole(node: &NodeView) -> String {
    if node.shards.all > 1 { super::super::why::shards(node) } else { node.state.word().to_owned() }
}
