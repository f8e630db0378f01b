//! Two graphs side by side, stage by stage: what a resume of an edited plan must know.

use super::model::{Graph, Node};
use crate::base::{NodeIx, Text};

/// What became of one stage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The node's id in both graphs.
    pub id: Text,
    /// What happened to it.
    pub kind: ChangeKind,
}

/// See [`Change`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ChangeKind {
    /// It is as it was.
    Unchanged {
        /// In the old graph.
        old: NodeIx,
        /// In the new graph.
        new: NodeIx,
    },
    /// Its definition differs. A done stage stays done ("text differs"), an unfinished one uses the new text.
    Changed {
        /// In the old graph.
        old: NodeIx,
        /// In the new graph.
        new: NodeIx,
        /// What differs.
        fields: Vec<FieldChange>,
    },
    /// It is new.
    Added(NodeIx),
    /// It is gone.
    Removed(NodeIx),
    /// It is gone, and stays in the new graph to be undone, or for what undoes another.
    Retired {
        /// In the old graph.
        old: NodeIx,
    },
}

/// One field that differs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldChange {
    /// The key.
    pub field: &'static str,
    /// What it was; empty when it was absent.
    pub from: String,
    /// What it is; empty when it is absent.
    pub to: String,
}

/// Compares by node id: first the new graph's nodes in order, then those that are gone.
pub fn compare(old: &Graph, new: &Graph) -> Vec<Change> {
    let mut changes = Vec::with_capacity(new.nodes.len());
    let is_beside_retired = |node: &Node| node.undoes.is_some_and(|stage| new.nodes[stage].retired.is_some());
    let shown = new.nodes.pairs().filter(|(ix, node)| !new.is_hidden(*ix) && !is_beside_retired(node));
    for (ix, node) in shown {
        let kind = match old.find(&node.id) {
            None => ChangeKind::Added(ix),
            Some(old) if node.retired.is_some() => ChangeKind::Retired { old },
            Some(before) => {
                let fields = differences(&old.fields(before), &new.fields(ix));
                if fields.is_empty() {
                    ChangeKind::Unchanged { old: before, new: ix }
                } else {
                    ChangeKind::Changed { old: before, new: ix, fields }
                }
            }
        };
        changes.push(Change { id: node.id.clone(), kind });
    }
    let gone = old.nodes.pairs().filter(|(ix, node)| !old.is_hidden(*ix) && new.find(&node.id).is_none());
    changes.extend(gone.map(|(ix, node)| Change { id: node.id.clone(), kind: ChangeKind::Removed(ix) }));
    changes
}

/// Fields of either side that are not equal; selection is a matter of the invocation, not of the plan.
fn differences(old: &[(&'static str, String)], new: &[(&'static str, String)]) -> Vec<FieldChange> {
    let value = |fields: &[(&'static str, String)], name: &str| {
        fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let mut names: Vec<&'static str> = new.iter().map(|(name, _)| *name).collect();
    names.extend(old.iter().map(|(name, _)| *name).filter(|name| !new.iter().any(|(known, _)| known == name)));
    names
        .into_iter()
        .filter(|name| *name != "selected")
        .map(|field| FieldChange { field, from: value(old, field), to: value(new, field) })
        .filter(|change| change.from != change.to)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Span;
    use crate::graph::Parts;

    fn graph(nodes: Vec<Node>) -> Graph {
        Graph::assemble(Parts::of("test", nodes)).expect("no cycle")
    }

    #[test]
    fn stages_are_matched_by_id() {
        let old = graph(vec![Node::plain("gone"), Node::plain("same"), Node::plain("slow")]);
        let mut slow = Node::plain("slow");
        slow.rules.timeout = Some(Span::from_secs(90));
        let new = graph(vec![Node::plain("same"), slow, Node::plain("more")]);
        let changes = compare(&old, &new);
        let n = NodeIx::new;
        assert_eq!(changes[0].kind, ChangeKind::Unchanged { old: n(1), new: n(0) });
        let fields = vec![FieldChange { field: "timeout", from: String::new(), to: "1m30s".to_owned() }];
        assert_eq!(changes[1].kind, ChangeKind::Changed { old: n(2), new: n(1), fields });
        assert_eq!(changes[2].kind, ChangeKind::Added(n(2)));
        assert_eq!((&*changes[3].id, &changes[3].kind), ("gone", &ChangeKind::Removed(n(0))));
        assert_eq!(changes.len(), 4);
    }

    #[test]
    fn the_digest_follows_what_runs() {
        let one = graph(vec![Node::plain("a")]);
        assert_eq!(one.digest(), graph(vec![Node::plain("a")]).digest());
        let mut other = Node::plain("a");
        other.rules.idempotent = false;
        assert_ne!(one.digest(), graph(vec![other]).digest());
        let mut described = Node::plain("a");
        described.description = Some("words only".into());
        assert_eq!(one.digest(), graph(vec![described]).digest());
    }
}
