//! `--only`, `--skip`, `--from`, `--to`: which stages run.

use super::build::nearest;
use super::gaps;
use super::model::{Graph, Phase};
use crate::base::{IdVec, NodeIx, limits};

/// What a person selected; empty lists select everything. A name is a node's id, a matrix (all its cells),
/// a `uses` stage (all its sub-stages), or a group (`group:NAME`).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Selection {
    /// These stages alone.
    pub only: Vec<String>,
    /// Not these.
    pub skip: Vec<String>,
    /// These and all that depends on them.
    pub from: Vec<String>,
    /// These and all they need.
    pub to: Vec<String>,
}

/// What is wrong with the stages that a command line names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Which name, and why.
    pub text: String,
    /// How to mend it.
    pub help: Option<String>,
    /// Whether there is no such stage; else there is, and it cannot be what was meant.
    pub is_unknown: bool,
}

impl Refusal {
    fn senseless(text: String, help: &str) -> Self {
        Self { text, help: Some(help.to_owned()), is_unknown: false }
    }

    /// `said` tells where the name was given, unless that is plain.
    fn unknown<'a>(graph: &Graph, said: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let text = format!("{said}the plan `{}` has no stage `{name}`", graph.name);
        let help = nearest(name, known).map(|near| format!("did you mean `{near}`?"));
        Self { text, help, is_unknown: true }
    }
}

impl Selection {
    /// Whether everything runs.
    pub fn is_all(&self) -> bool {
        self.only.is_empty() && self.skip.is_empty() && self.from.is_empty() && self.to.is_empty()
    }
}

/// Marks the nodes of `graph` that `selection` leaves out, and keeps the order over them. Stages of `finally` always
/// run, unless `--skip` or `--only` names stages among them; what handles the failure of a stage that is left out is
/// left out, too, unless it is named itself. The refusals are empty when the selection makes sense.
pub fn apply(graph: &mut Graph, selection: &Selection) -> Vec<Refusal> {
    if selection.is_all() {
        return Vec::new();
    }
    let mut refusals = Vec::new();
    let mut resolve = |graph: &Graph, flag: &str, names: &[String]| -> Vec<NodeIx> {
        let found = names.iter().map(|name| named(graph, flag, name).map_err(|refusal| refusals.push(refusal)));
        found.flat_map(Result::unwrap_or_default).collect()
    };
    let only = resolve(graph, "--only", &selection.only);
    let skip = resolve(graph, "--skip", &selection.skip);
    let from = resolve(graph, "--from", &selection.from);
    let to = resolve(graph, "--to", &selection.to);
    let downward = reach(graph, &from, |node| graph.dependents(node).to_vec());
    let upward = reach(graph, &to, |node| graph.nodes[node].needs.iter().map(|need| need.node).collect());
    let named = marks(graph, &[&only[..], &from, &to].concat());
    let only = marks(graph, &only);
    let skip = marks(graph, &skip);
    let is_finally_named = graph.nodes.pairs().any(|(ix, node)| node.phase == Phase::Finally && only[ix]);
    for ix in graph.places().map(|it| it.0).collect::<Vec<_>>() {
        let node = &mut graph.nodes[ix];
        let is_main = node.phase != Phase::Finally;
        node.selected = !skip[ix]
            && (selection.only.is_empty() || only[ix] || (!is_main && !is_finally_named))
            && (selection.from.is_empty() || downward[ix] || !is_main)
            && (selection.to.is_empty() || upward[ix] || !is_main);
    }
    gaps::drop_idle_handlers(graph, &named);
    let is_any = graph.stages().any(|(_, node)| node.selected && (node.phase == Phase::Main || is_finally_named));
    if refusals.is_empty() && !is_any {
        let help = "`engine graph PLAN` shows the stages and what they need";
        refusals.push(Refusal::senseless("the selection leaves no stage to run".to_owned(), help));
    }
    if gaps::bridge(graph).is_err() {
        let text = format!(
            "to keep the order over what is left out takes more than {} edges (MAX_EDGES)",
            limits::MAX_EDGES
        );
        refusals.push(Refusal::senseless(text, "leave out less at once, or select what lies between, too"));
    }
    refusals
}

/// The stage called `id`: one node alone.
///
/// # Errors
/// There is none.
pub fn stage(graph: &Graph, id: &str) -> Result<NodeIx, Refusal> {
    graph.find(id).ok_or_else(|| Refusal::unknown(graph, "", id, graph.stages().map(|(_, node)| &*node.id)))
}

/// The nodes that `name`, given with `flag`, means: never none.
///
/// # Errors
/// There are none.
pub fn named(graph: &Graph, flag: &str, name: &str) -> Result<Vec<NodeIx>, Refusal> {
    let found: Vec<NodeIx> = graph
        .places()
        .filter(|(ix, node)| !graph.is_absent(*ix) && node.retired.is_none())
        .filter(|(_, node)| {
            let rest = node.id.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
                || name.strip_prefix("group:").is_some_and(|group| node.group.as_deref() == Some(group))
        })
        .map(|(ix, _)| ix)
        .collect();
    if found.is_empty() {
        let mut ids: Vec<&str> = graph.stages().map(|(_, node)| &*node.id).collect();
        ids.extend(graph.stages().map(|(_, node)| &*node.stage));
        return Err(Refusal::unknown(graph, &format!("`{flag}`: "), name, ids));
    }
    Ok(found)
}

fn marks(graph: &Graph, nodes: &[NodeIx]) -> IdVec<NodeIx, bool> {
    let mut marks = IdVec::filled(false, graph.nodes.len());
    for &node in nodes {
        marks[node] = true;
    }
    marks
}

fn reach(graph: &Graph, from: &[NodeIx], next: impl Fn(NodeIx) -> Vec<NodeIx>) -> IdVec<NodeIx, bool> {
    let mut seen = marks(graph, from);
    let mut left = from.to_vec();
    while let Some(node) = left.pop() {
        for other in next(node) {
            if !seen[other] {
                seen[other] = true;
                left.push(other);
            }
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Parts;
    use crate::graph::model::{Accept, Need, Node};

    /// `a → b → c:eu, c:us → d/x`, and `clean` in `finally`.
    fn graph() -> Graph {
        let node = |id: &str, needs: &[u32]| {
            let mut node = Node::plain(id);
            node.needs = needs.iter().map(|&at| Need { node: NodeIx::new(at), accept: Accept::DEFAULT }).collect();
            node
        };
        let mut clean = node("clean", &[]);
        clean.phase = Phase::Finally;
        let nodes = vec![
            node("a", &[]),
            node("b", &[0]),
            node("c:eu", &[1]),
            node("c:us", &[1]),
            node("d/x", &[2, 3]),
            clean,
        ];
        Graph::assemble(Parts::of("test", nodes)).expect("no cycle")
    }

    fn picked(only: &[&str], skip: &[&str], from: &[&str], to: &[&str]) -> Result<String, Vec<Refusal>> {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let selection = Selection { only: owned(only), skip: owned(skip), from: owned(from), to: owned(to) };
        let mut graph = graph();
        let refusals = apply(&mut graph, &selection);
        if !refusals.is_empty() {
            return Err(refusals);
        }
        let ids: Vec<&str> = graph.nodes.iter().filter(|node| node.selected).map(|node| &*node.id).collect();
        Ok(ids.join(" "))
    }

    #[test]
    fn selections_follow_the_edges() {
        assert_eq!(picked(&[], &[], &[], &[]).as_deref(), Ok("a b c:eu c:us d/x clean"));
        assert_eq!(picked(&["b"], &[], &[], &[]).as_deref(), Ok("b clean"));
        assert_eq!(picked(&["c"], &[], &[], &[]).as_deref(), Ok("c:eu c:us clean"));
        assert_eq!(picked(&["clean"], &[], &[], &[]).as_deref(), Ok("clean"));
        assert_eq!(picked(&[], &["c:eu", "clean"], &[], &[]).as_deref(), Ok("a b c:us d/x"));
        assert_eq!(picked(&[], &[], &["c:us"], &[]).as_deref(), Ok("c:us d/x clean"));
        assert_eq!(picked(&[], &[], &[], &["c:us"]).as_deref(), Ok("a b c:us clean"));
        assert_eq!(picked(&[], &["b"], &["b"], &["d"]).as_deref(), Ok("c:eu c:us d/x clean"));
    }

    #[test]
    fn a_selection_that_makes_no_sense_is_refused() {
        let refusals = picked(&["c:ue"], &[], &[], &[]).expect_err("unknown");
        assert_eq!(refusals[0].help.as_deref(), Some("did you mean `c:eu`?"));
        let refusals = picked(&["a"], &["a"], &[], &[]).expect_err("empty");
        assert_eq!(refusals[0].text, "the selection leaves no stage to run");
    }
}
