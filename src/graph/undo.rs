//! The order of a rollback: the reverse of the order in which stages start.

use super::model::Node;
use crate::base::NodeIx;
use crate::base::idvec::Index;

/// Gives every node that undoes a stage its needs: the nodes that undo what comes after that stage, the nearest ones on
/// each way. Linear in the edges that it walks; ways that part and meet are walked once for each such node.
pub fn tie(nodes: &mut [Node]) {
    let mut undone_by: Vec<Option<NodeIx>> = vec![None; nodes.len()];
    for (at, node) in nodes.iter().enumerate() {
        if let Some(stage) = node.undoes {
            undone_by[stage.raw() as usize] = Some(NodeIx::from_usize(at));
        }
    }
    if undone_by.iter().all(Option::is_none) {
        return;
    }
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (at, node) in nodes.iter().enumerate().filter(|(_, node)| node.undoes.is_none()) {
        node.needs.iter().for_each(|need| dependents[need.node.raw() as usize].push(at));
    }
    let mut seen = vec![u32::MAX; nodes.len()];
    for (at, node) in nodes.iter_mut().enumerate() {
        let Some(stage) = node.undoes else { continue };
        let mark = u32::try_from(at).expect("limits::MAX_STAGES fits");
        let (mut needs, mut next) = (Vec::new(), vec![stage.raw() as usize]);
        while let Some(from) = next.pop() {
            for &to in &dependents[from] {
                if std::mem::replace(&mut seen[to], mark) == mark {
                    continue;
                }
                match undone_by[to] {
                    Some(node) => needs.push(super::model::Need { node, accept: super::model::Accept::DEFAULT }),
                    None => next.push(to),
                }
            }
        }
        needs.sort_by_key(|need| need.node);
        node.needs = needs;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::model::Phase;

    fn undo(stage: u32) -> Node {
        let mut node = Node::plain(&format!("undo{stage}"));
        (node.phase, node.undoes) = (Phase::Rollback, Some(NodeIx::new(stage)));
        node
    }

    /// a → b → c and a → d → c, of which b has nothing that undoes it.
    #[test]
    fn what_came_last_is_undone_first() {
        let mut nodes =
            vec![Node::after("a", &[]), Node::after("b", &[0]), Node::after("c", &[1, 3]), Node::after("d", &[0])];
        nodes.extend([undo(0), undo(2), undo(3)]);
        tie(&mut nodes);
        let needs = |at: usize| nodes[at].needs.iter().map(|need| need.node.raw()).collect::<Vec<_>>();
        assert_eq!(needs(4), [5, 6], "a: through b to c, and d");
        assert!(needs(5).is_empty());
        assert_eq!(needs(6), [5]);
    }
}
