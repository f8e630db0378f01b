//! `--time-box`: how long this engine works, and what can never be done in that time.

use super::exit::Exit;
use super::fault::Fault;
use crate::base::{Millis, NodeIx, Span};
use crate::driver::ports::Clock;
use crate::graph::Graph;
use crate::graph::model::Rules;
use crate::report::words;
use crate::run::{Input, RunState, fits};

/// Stages that are named one by one.
const MAX_NAMED: usize = 5;

/// A time box. It began when the engine did, so that waits for a lock are part of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeBox {
    length: Span,
    since: Clock,
}

/// Reads the length of time that `flag` was given.
///
/// # Errors
/// It is no length, too long, or none at all.
pub(super) fn length(flag: &str, text: Option<&str>) -> Result<Option<Span>, Fault> {
    let Some(text) = text else { return Ok(None) };
    if let Some(length) = Span::parse(text).filter(|&length| length > Span::ZERO) {
        return Ok(Some(length));
    }
    Err(if Span::is_too_long(text) {
        too_long(flag, text)
    } else {
        Fault::new(Exit::Usage, format!("`{flag} {text}` is no length of time"))
            .help("write it like 25m, 1h30m or 90s; it is more than nothing")
    })
}

/// What is said of a flag with a length of time that is too long.
pub(super) fn too_long(flag: &str, text: &str) -> Fault {
    Fault::new(Exit::Usage, Span::too_long(format_args!("`{flag} {text}`")))
}

impl TimeBox {
    /// Reads `--time-box`.
    ///
    /// # Errors
    /// It is no length, or none at all.
    pub(super) fn read(text: Option<&str>) -> Result<Option<Self>, Fault> {
        let length = length("--time-box", text)?;
        Ok(length.map(|length| Self { length, since: Clock::begin() }))
    }

    /// What is left of it.
    pub(super) fn left(&self) -> Span {
        self.length - self.since.now().since(Millis::ZERO)
    }

    /// What an engine is told whose run is at `now`.
    pub(super) fn open(&self, now: Millis) -> Input {
        Input::OpenBox { until: now + self.left() }
    }

    /// Refuses stages of `graph` that are still to be done and would not fit into a whole box of this length: a chain of
    /// such boxes would never come to its end. A stage with an `if` may turn out not to be needed.
    ///
    /// # Errors
    /// Names them.
    pub(super) fn refuse(&self, graph: &Graph, is_done: &dyn Fn(NodeIx) -> bool) -> Result<(), Fault> {
        let is_to_do = |ix: NodeIx| {
            let node = &graph.nodes[ix];
            let is_sure = node.selected && node.conditions.is_empty();
            is_sure && !node.rules.is_approval && node.rules.shards > 0 && !is_done(ix)
        };
        let misfits: Vec<NodeIx> = graph
            .nodes
            .indexes()
            .filter(|&ix| is_to_do(ix) && !fits(&graph.nodes[ix].rules, self.length))
            .collect();
        if misfits.is_empty() {
            return Ok(());
        }
        let named = misfits.iter().take(MAX_NAMED);
        let named: Vec<String> = named.map(|&ix| why(&graph.nodes[ix].id, &graph.nodes[ix].rules)).collect();
        let more = misfits.len().saturating_sub(MAX_NAMED);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        let text = format!("a time box of {} is too short: {}{more}", self.length, named.join("; "));
        Err(Fault::new(Exit::Usage, text).help("give a longer `--time-box`, or split these stages"))
    }
}

/// Why a stage fits into no box.
fn why(id: &str, rules: &Rules) -> String {
    match (rules.idempotent, rules.timeout, rules.usual) {
        (false, Some(timeout), _) => format!("`{id}` is not idempotent, and its `timeout` is {timeout}"),
        (false, None, _) => format!("`{id}` is not idempotent and has no `timeout`"),
        (true, _, Some(usual)) => {
            let p95 = words::length(usual.p95);
            format!("`{id}` takes {p95} in 95 of 100 cases ({} samples)", usual.samples)
        }
        (true, ..) => format!("`{id}` takes any time"),
    }
}

/// What to say when box after box was left without any progress.
pub(super) fn stalled(state: &RunState) -> String {
    let graph = state.graph();
    let open = graph.stages().filter(|(ix, node)| {
        node.selected && !state.state(*ix).is_final() && (state.started(*ix).is_some() || is_deferred(state, *ix))
    });
    let names: Vec<String> = open.take(MAX_NAMED).map(|(_, node)| format!("`{}`", node.id)).collect();
    let names = if names.is_empty() { "what is left".to_owned() } else { names.join(", ") };
    format!("nothing got further in two time boxes: give {names} a longer `--time-box`")
}

fn is_deferred(state: &RunState, node: NodeIx) -> bool {
    state.deferred().any(|it| it == node)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Node;
    use crate::graph::forecast::Expected;

    #[test]
    fn what_a_stage_takes_is_said_as_a_person_reads_it_and_its_limit_as_it_is() {
        let mut rules = Node::plain("a").rules;
        let usual = Expected { p50: Span::from_ms(900), p95: Span::from_ms(2588), samples: 6 };
        rules.usual = Some(usual);
        assert_eq!(why("a", &rules), "`a` takes 2.5s in 95 of 100 cases (6 samples)");
        (rules.idempotent, rules.timeout) = (false, Some(Span::from_ms(2588)));
        assert_eq!(why("a", &rules), "`a` is not idempotent, and its `timeout` is 2s588ms");
    }
}
