//! JSON: the whole graph, unfolded. The shape is that of [`super::json_text`].

use serde_json::{Value, json};

use super::{Subject, fold, words};
use crate::base::{NodeIx, Span};
use crate::graph::forecast::Worst;
use crate::graph::model::{Accept, Graph, Undo};

/// Version of the shape.
const VERSION: u32 = 1;

/// The document.
pub(super) fn value(subject: Subject) -> Value {
    let Subject { graph, forecast, .. } = subject;
    let id = |ix: &NodeIx| &*graph.nodes[*ix].id;
    let ids = |some: &[NodeIx]| some.iter().map(id).collect::<Vec<_>>();
    let (worst, unbounded) = match &forecast.worst {
        Worst::Stages(span) | Worst::Timeout(span) => (Some(span.ms()), Vec::new()),
        Worst::Unbounded(some) => (None, ids(some)),
    };
    let folds = graph
        .folds
        .iter()
        .map(|fold| json!({"name": fold.name, "kind": fold::kind_word(fold.kind), "parent": fold.parent}));
    json!({
        "version": VERSION,
        "plan": graph.name,
        "nodes": graph.stages().map(|(ix, _)| node(subject, ix)).collect::<Vec<_>>(),
        "edges": edges(graph),
        "folds": folds.collect::<Vec<_>>(),
        "limits": limits(graph),
        "waves": forecast.waves.iter().chain(&forecast.closing).chain(&forecast.background).map(|wave| ids(wave)).collect::<Vec<_>>(),
        "critical_path": {"nodes": ids(&forecast.critical.nodes), "length_ms": forecast.critical.length.ms()},
        "attempts": forecast.attempts,
        "worst_ms": worst,
        "expected_ms": forecast.expected().map(Span::ms),
        "forecast": forecast.range.map(|it| json!({"p50_ms": it.p50.ms(), "p95_ms": it.p95.ms(), "runs": it.samples})),
        "known": {"stages": forecast.known, "of": forecast.foreseen},
        "unbounded": unbounded,
    })
}

fn node(subject: Subject, ix: NodeIx) -> Value {
    let node = &subject.graph.nodes[ix];
    let seen = &subject.forecast.stages[ix];
    let pool = |&(pool, weight): &(_, u32)| json!({"name": subject.graph.pools[pool].name, "weight": weight});
    let expected = seen
        .expected
        .map(|seen| json!({"p50_ms": seen.p50.ms(), "p95_ms": seen.p95.ms(), "samples": seen.samples}));
    let work = node.rules.work.as_ref().map(|work| work.took).filter(|_| seen.expected.is_some());
    let work = work.map(|it| json!({"p50_ms": it.p50.ms(), "p95_ms": it.p95.ms(), "runs": it.samples}));
    let state = subject.states.and_then(|states| states(ix));
    json!({
        "id": &*node.id,
        "stage": &*node.stage,
        "description": node.description.as_deref(),
        "phase": node.phase.word(),
        "group": node.group.as_deref(),
        "fold": node.fold,
        "selected": node.selected,
        "rollback": undo_word(node.rules.undo),
        "heal": subject.graph.ladder(ix).iter().map(|&body| words::work(subject.graph, body)).collect::<Vec<_>>(),
        "does": words::work(subject.graph, ix),
        "is_approval": node.rules.is_approval,
        "if": node.conditions.iter().map(|condition| &*condition.text).collect::<Vec<_>>(),
        "skipped": subject.forecast.skipped.as_ref().map(|skipped| skipped.contains(&ix)),
        "shards": node.rules.shards,
        "attempts": seen.attempts_each,
        "timeout_ms": node.rules.timeout.map(Span::ms),
        "worst_ms": seen.worst.map(Span::ms),
        "expected": expected,
        "work": work,
        "pools": node.rules.pools.iter().map(pool).collect::<Vec<_>>(),
        "wave": seen.wave,
        "slack_ms": seen.slack.ms(),
        "critical": seen.is_critical,
        "state": state.as_ref().map(|shown| &shown.state),
        "note": state.as_ref().map(|shown| &shown.note),
    })
}

const fn undo_word(undo: Undo) -> Option<&'static str> {
    match undo {
        Undo::Unsaid => None,
        Undo::Nothing => Some("none"),
        Undo::Never => Some("forward-only"),
        Undo::Body => Some("body"),
    }
}

fn edges(graph: &Graph) -> Vec<Value> {
    let needs = graph.stages().flat_map(|(_, node)| node.needs.iter().map(move |need| (node, need)));
    needs
        .filter(|(_, need)| !graph.is_hidden(need.node))
        .map(|(node, need)| {
            json!({"from": &*graph.nodes[need.node].id, "to": &*node.id, "accept": accept(need.accept)})
        })
        .collect()
}

fn accept(accept: Accept) -> Vec<&'static str> {
    let words = [(accept.success, "success"), (accept.skipped, "skipped"), (accept.failed, "failed")];
    words.into_iter().filter(|(is, _)| *is).map(|(_, word)| word).collect()
}

fn limits(graph: &Graph) -> Value {
    let settings = &graph.settings;
    let pools = graph.pools.iter().map(|pool| json!({"name": pool.name, "capacity": pool.capacity}));
    json!({
        "max_parallel": settings.max_parallel,
        "heal_depth": graph.heal_depth(),
        "timeout_ms": settings.timeout.map(Span::ms),
        "finally_budget_ms": settings.finally_budget.map(Span::ms),
        "pools": pools.collect::<Vec<_>>(),
        "lock": settings.lock.as_ref().map(|lock| &lock.name),
    })
}
