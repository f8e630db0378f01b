//! Checks of the whole graph: cycles, a clean-up that fits, a selection that leaves what is read.

use super::Builder;
use crate::base::{NodeIx, Span, limits};
use crate::graph::Knots;
use crate::graph::model::{Graph, Node, Phase, Rules, Target};
use crate::plan::tree::Tree;
use crate::plan::{Diagnostic, Place};
use crate::render;

impl Builder<'_> {
    /// Says what is wrong with the text of `tree`.
    pub(super) fn render_error(&mut self, error: render::Error, tree: &Tree) {
        let at = error.range.clone().map_or(tree.at, |range| tree.place_of(range));
        let code = match error.fault {
            render::Fault::Syntax => "plan::bad-expression",
            render::Fault::Unknown | render::Fault::Later => "plan::unknown-name",
            render::Fault::Type => "plan::wrong-type",
            render::Fault::Fuel => "plan::too-much-work",
        };
        let mut found = Diagnostic::error(code, at, error.message);
        found.help = error.help;
        self.report.push(found);
    }

    /// Reports each cycle whole.
    pub(super) fn cycles(&mut self, knots: &Knots) {
        const SHOWN: usize = 12;
        // A stage that needs itself was told by the check of its file.
        for cycle in knots.cycles.iter().filter(|cycle| cycle.len() > 1).take(limits::MAX_ERRORS) {
            let of = |node: &NodeIx| &knots.nodes[*node];
            let mut names: Vec<String> =
                cycle.iter().take(SHOWN).map(|node| format!("`{}`", of(node).id)).collect();
            if cycle.len() > SHOWN {
                names.push(format!("… ({} more)", cycle.len() - SHOWN));
            }
            names.push(format!("`{}`", of(&cycle[0]).id));
            let message = format!("stages need each other in a circle: {}", names.join(" → "));
            let mut found =
                Diagnostic::error("plan::cycle", of(&cycle[0]).place, message).help("remove one of these `needs`");
            for (at, node) in cycle.iter().enumerate().take(SHOWN).skip(1) {
                let next = &of(&cycle[(at + 1) % cycle.len()]).id;
                found = found.related(of(node).place, format!("`{}` needs `{next}`", of(node).id));
            }
            self.report.push(found);
        }
    }

    /// The stages of `finally` must be able to end inside the budget, and the budget inside the timeout.
    pub(super) fn check_finally(&mut self, graph: &Graph) {
        let settings = &graph.settings;
        let (Some(finally), Some(budget)) = (&self.loaded.plan.finally, settings.finally_budget) else { return };
        let at = finally.budget.as_ref().map_or(finally.at, super::settings::place);
        if let Some(timeout) = settings.timeout.filter(|timeout| *timeout <= budget) {
            let message = format!("a budget of {budget} leaves nothing of the run's timeout of {timeout}");
            self.error("plan::budget", at, message);
        }
        let Some((worst, id, place)) = worst_clean_up(graph).filter(|(worst, ..)| *worst > budget) else { return };
        let message = format!("the clean-up may take {worst}, which does not fit its budget of {budget}");
        let found = Diagnostic::error("plan::budget", at, message)
            .help(format!("give it `budget: {worst}`, or its stages shorter timeouts and fewer retries"));
        self.report.push(found.related(place, format!("the longest way ends with `{id}`")));
    }

    /// A selected stage must not read outputs of one that is not selected.
    pub(super) fn check_selection(&mut self, graph: &Graph) {
        if self.request.selection.is_all() {
            return;
        }
        for (_, node) in graph.stages().filter(|(_, node)| node.selected) {
            for view in &node.views {
                let lost = match &view.target {
                    Target::Node(other) => Some(*other).filter(|other| !graph.nodes[*other].selected),
                    Target::Cells(cells) => {
                        cells.iter().map(|(_, other)| *other).find(|other| !graph.nodes[*other].selected)
                    }
                    Target::File { nodes, .. } => {
                        nodes.iter().copied().find(|other| !graph.nodes[*other].selected)
                    }
                };
                if let Some(lost) = lost.filter(|lost| graph.nodes[*lost].phase == node.phase) {
                    let lost = &graph.nodes[lost].id;
                    let message = format!("`{}` reads from `{lost}`, which is not selected", node.id);
                    self.report
                        .push(Diagnostic::warning("plan::unselected-need", node.place, message).help(format!(
                            "its outputs will be none; select `{lost}` too, or use `| default(…)`"
                        )));
                }
            }
        }
    }
}

/// The longest time a stage can take: every attempt to its timeout, every delay, or `within`.
fn worst_case(rules: &Rules) -> Span {
    let attempt = rules.timeout.map_or(Span::ZERO, |timeout| timeout + rules.grace);
    let Some(retry) = &rules.retry else { return attempt };
    let mut total = attempt;
    let mut delay = retry.delay;
    for _ in 0..retry.max.min(u32::from(limits::MAX_ATTEMPTS)) {
        let longest = retry.max_delay.map_or(delay, |most| delay.min(most));
        total = total + longest + attempt;
        delay = Span::from(
            delay
                .duration()
                .mul_f64(retry.backoff.clamp(1.0, 1000.0))
                .min(std::time::Duration::from_millis(limits::MAX_SPAN_MS)),
        );
    }
    retry.within.map_or(total, |within| total.min(within + rules.grace))
}

/// The longest chain of clean-up stages at their worst; stages without a timeout count nothing, because
/// the budget ends them.
fn worst_clean_up(graph: &Graph) -> Option<(Span, &str, Place)> {
    let is_finally = |node: &Node| node.phase == Phase::Finally;
    let mut ends = vec![Span::ZERO; graph.nodes.len()];
    for &ix in graph.order() {
        let node = &graph.nodes[ix];
        if is_finally(node) {
            let needs = node.needs.iter().map(|need| ends[need.node.raw() as usize]);
            let start = needs.max().unwrap_or(Span::ZERO);
            ends[ix.raw() as usize] = start + worst_case(&node.rules);
        }
    }
    let (ix, node) = graph
        .nodes
        .pairs()
        .filter(|(_, node)| is_finally(node))
        .max_by_key(|(ix, _)| (ends[ix.raw() as usize], std::cmp::Reverse(*ix)))?;
    Some((ends[ix.raw() as usize], &node.id, node.place))
}
