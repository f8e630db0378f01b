//! What an edit takes out of a plan after it has done something stays part of the run, so that it can be undone.
//!
//! A stage of the run's old graph that the new one lacks is laid behind the new graph's nodes as a *retired* one: it
//! never starts, nobody waits for it, and it keeps its place in the order. Beside it comes the node that undoes it, with
//! its recorded body, frame and views. What those views read is retired with it, for what it left.
//!
//! Which stages are retired is written down with the version of the plan that lacks them, and both graphs are made from
//! what is written down: whoever reads the run later lays the same nodes.
//!
//! The order of a rollback is that of the new plan, and beside retired stages that of the plan they were recorded with.
//! Two such orders may contradict each other; then nothing is retired, and the reason is told.

use std::collections::{BTreeMap, BTreeSet};

use super::assemble::Parts;
use super::model::{Accept, Frame, FrameIx, Graph, Late, Need, Node, Rules, Scope, Target, View};
use super::undo::tie;
use crate::base::idvec::Index;
use crate::base::{NodeIx, PoolIx, ScopeIx, limits};
use crate::plan::{FileIx, Place};

impl Graph {
    /// Stages that an edit took out, in this graph.
    pub fn retired(&self) -> impl Iterator<Item = NodeIx> {
        self.nodes.pairs().filter(|(_, node)| node.retired.is_some()).map(|(ix, _)| ix)
    }

    /// Stages of this graph that `new` must keep: those that it lacks, that have done something which can be undone, and
    /// what their rollbacks read.
    pub fn outlasting(&self, new: &Self, has_done: impl Fn(NodeIx) -> bool) -> Vec<NodeIx> {
        let is_gone = |node: NodeIx| new.find(&self.nodes[node].id).is_none();
        let undone = self.undone_by.keys().copied();
        let mut next: Vec<NodeIx> = undone.filter(|&stage| is_gone(stage) && has_done(stage)).collect();
        let mut found = BTreeSet::new();
        while let Some(stage) = next.pop() {
            if found.insert(stage)
                && let Some(undo) = self.undone_by(stage)
            {
                next.extend(self.read_by(undo).into_iter().filter(|&node| is_gone(node)));
            }
        }
        found.into_iter().collect()
    }

    /// Everything whose results the texts of `node` may read.
    fn read_by(&self, node: NodeIx) -> BTreeSet<NodeIx> {
        let (mut nodes, mut frames) = (BTreeSet::new(), BTreeSet::new());
        let mut views: Vec<&View> = self.nodes[node].views.iter().collect();
        let mut next = vec![self.nodes[node].frame];
        loop {
            while let Some(view) = views.pop() {
                match &view.target {
                    Target::Node(node) => nodes.extend([*node]),
                    Target::Cells(cells) => nodes.extend(cells.iter().map(|cell| cell.1)),
                    Target::File { nodes: all, frame, views: inner, .. } => {
                        nodes.extend(all.iter().copied());
                        next.push(*frame);
                        views.extend(inner);
                    }
                }
            }
            let Some(frame) = next.pop() else { return nodes };
            if frames.insert(frame) {
                let frame = &self.frames[frame as usize];
                next.extend(frame.late_from);
                next.extend(frame.late.iter().map(|late| late.frame));
                views.extend(frame.late.iter().flat_map(|late| &late.views));
            }
        }
    }

    /// What served `stage` while it ran, and is not started again by `new`. What undoes the stage may count on it.
    pub fn lost_service(&self, stage: NodeIx, new: &Self) -> Option<NodeIx> {
        let (mut seen, mut next) = (BTreeSet::new(), vec![stage]);
        while let Some(node) = next.pop() {
            for need in self.nodes[node].needs.iter().map(|need| need.node) {
                let it = &self.nodes[need];
                if it.rules.is_service && it.selected && new.find(&it.id).is_none() {
                    return Some(need);
                }
                next.extend(seen.insert(need).then_some(need));
            }
        }
        None
    }

    /// This graph, with the stages `ids` of `old` behind its own, and what undoes them.
    ///
    /// # Errors
    /// They cannot be kept beside this plan; the words say why.
    pub fn retire<'i>(&self, old: &Self, ids: impl IntoIterator<Item = &'i str>) -> Result<Self, String> {
        let mut stages = Vec::new();
        for id in ids {
            stages.push(old.find(id).ok_or_else(|| format!("the plan before has no stage `{id}`"))?);
        }
        if stages.is_empty() {
            return Ok(self.clone());
        }
        Graft::new(old, self).lay(&stages)
    }
}

/// Nodes on their way from one graph to another.
struct Graft<'g> {
    old: &'g Graph,
    parts: Parts,
    /// Where nodes of the old graph are in the new one.
    moved: Vec<Option<NodeIx>>,
    /// Frames that have been carried over.
    frames: BTreeMap<FrameIx, FrameIx>,
}

impl<'g> Graft<'g> {
    fn new(old: &'g Graph, new: &Graph) -> Self {
        let parts = Parts {
            name: new.name.clone(),
            nodes: new.nodes.iter().cloned().collect(),
            scopes: new.scopes.iter().cloned().collect(),
            pools: new.pools.iter().cloned().collect(),
            folds: new.folds.clone(),
            frames: new.frames.clone(),
            settings: new.settings.clone(),
            matrices: new.matrices.clone(),
            groups: new.groups.clone(),
            objectives: new.objectives.clone(),
        };
        let moved = old.nodes.iter().map(|node| new.find(&node.id)).collect();
        Self { old, parts, moved, frames: BTreeMap::new() }
    }

    fn lay(mut self, stages: &[NodeIx]) -> Result<Graph, String> {
        let old = self.old;
        let undos: Vec<NodeIx> = stages.iter().filter_map(|&stage| old.undone_by(stage)).collect();
        let first = self.parts.nodes.len();
        if first + stages.len() + undos.len() > limits::MAX_STAGES {
            return Err(format!("with them the plan has more than {} stages", limits::MAX_STAGES));
        }
        for (at, &node) in stages.iter().chain(&undos).enumerate() {
            if self.moved[node.raw() as usize].is_some() {
                return Err(format!("the edited plan has a stage `{}` of its own", old.nodes[node].id));
            }
            if old.nodes[node].cell.is_some() {
                return Err(format!("an earlier stage gave the cell `{}`", old.nodes[node].id));
            }
            self.moved[node.raw() as usize] = Some(NodeIx::from_usize(first + at));
        }
        for &stage in stages {
            let node = self.stage(stage);
            self.parts.nodes.push(node);
        }
        for &undo in &undos {
            let node = self.undo(undo)?;
            self.parts.nodes.push(node);
        }
        self.tie();
        let crossed = |_| "the edited plan turns the recorded order round, in which it would be undone".to_owned();
        Graph::assemble(self.parts).map_err(crossed)
    }

    /// A stage that never starts.
    fn stage(&self, from: NodeIx) -> Node {
        let of = &self.old.nodes[from];
        let needs = self.past(from).into_iter().map(|node| Need { node, accept: Accept::DEFAULT });
        let mut node = Node { needs: needs.collect(), frame: 0, selected: false, ..self.plainly(of) };
        node.views.clear();
        node.retired = Some(self.followers(from));
        node
    }

    fn undo(&mut self, from: NodeIx) -> Result<Node, String> {
        let old = self.old;
        let of = &old.nodes[from];
        let undoes = of.undoes.and_then(|stage| self.moved[stage.raw() as usize]);
        let (views, frame) = (self.views(&of.views)?, self.frame(of.frame)?);
        let mut node = Node { needs: Vec::new(), frame, ..self.plainly(of) };
        (node.views, node.undoes) = (views, undoes);
        Ok(node)
    }

    /// A node without what belongs to the text that it was written in.
    fn plainly(&self, of: &Node) -> Node {
        let mut node = Node {
            place: Place { file: FileIx(0), start: 0, end: 0 },
            fold: None,
            group: None,
            scope: self.scope(of.scope),
            rules: self.rules(&of.rules),
            ..of.clone()
        };
        node.conditions.clear();
        node
    }

    /// The pools that there still are; nothing weighs more than a pool takes.
    fn rules(&self, of: &Rules) -> Rules {
        let pools = of.pools.iter().filter_map(|&(pool, weight)| {
            let name = &self.old.pools[pool].name;
            let at = self.parts.pools.iter().position(|pool| pool.name == *name)?;
            Some((PoolIx::from_usize(at), weight.min(self.parts.pools[at].capacity)))
        });
        Rules { pools: pools.collect(), group: None, ..of.clone() }
    }

    /// The innermost scope around it that there still is.
    fn scope(&self, from: ScopeIx) -> ScopeIx {
        let chain = |scopes: &dyn Fn(ScopeIx) -> Scope, from: ScopeIx| {
            let up = std::iter::successors(Some(scopes(from)), |it| it.parent.map(scopes));
            up.map(|scope| scope.name).collect::<Vec<_>>()
        };
        let was = chain(&|at| self.old.scopes[at].clone(), from);
        let now = |at: ScopeIx| self.parts.scopes[at.raw() as usize].clone();
        let all = (0..self.parts.scopes.len()).map(ScopeIx::from_usize);
        let around = all.filter(|&at| was.ends_with(&chain(&now, at)));
        around.max_by_key(|&at| chain(&now, at).len()).unwrap_or_else(|| ScopeIx::new(0))
    }

    fn views(&mut self, views: &[View]) -> Result<Vec<View>, String> {
        views.iter().map(|view| Ok(View { name: view.name.clone(), target: self.target(&view.target)? })).collect()
    }

    fn target(&mut self, target: &Target) -> Result<Target, String> {
        Ok(match target {
            Target::Node(node) => Target::Node(self.node(*node)?),
            Target::Cells(cells) => {
                let cells = cells.iter().map(|(label, node)| Ok((label.clone(), self.node(*node)?)));
                Target::Cells(cells.collect::<Result<_, String>>()?)
            }
            Target::File { nodes, outputs, frame, views } => Target::File {
                nodes: nodes.iter().map(|&node| self.node(node)).collect::<Result<_, _>>()?,
                outputs: outputs.clone(),
                frame: self.frame(*frame)?,
                views: self.views(views)?,
            },
        })
    }

    fn node(&self, node: NodeIx) -> Result<NodeIx, String> {
        let of = &self.old.nodes[node];
        match self.moved[node.raw() as usize] {
            Some(node) if of.cell.is_none() => Ok(node),
            Some(_) => Err(format!("what undoes it reads the cell `{}`, which an earlier stage gave", of.id)),
            None => Err(format!("what undoes it reads `{}`, which is gone", of.id)),
        }
    }

    fn frame(&mut self, from: FrameIx) -> Result<FrameIx, String> {
        if let Some(&known) = self.frames.get(&from) {
            return Ok(known);
        }
        let old = self.old;
        let of = &old.frames[from as usize];
        if of.cell.is_some() {
            return Err("what undoes it reads the value of a cell that an earlier stage gave".to_owned());
        }
        let late_from = of.late_from.map(|from| self.frame(from)).transpose()?;
        let mut late = Vec::with_capacity(of.late.len());
        for it in &of.late {
            late.push(Late { frame: self.frame(it.frame)?, views: self.views(&it.views)?, ..it.clone() });
        }
        let to = FrameIx::try_from(self.parts.frames.len()).expect("limits::MAX_STAGES fits");
        self.parts.frames.push(Frame { late, late_from, ..of.clone() });
        self.frames.insert(from, to);
        Ok(to)
    }

    /// What the new graph has of what came before a stage, the nearest on each way.
    fn past(&self, stage: NodeIx) -> Vec<NodeIx> {
        self.nearest(stage, |node| self.old.nodes[node].needs.iter().map(|need| need.node).collect())
    }

    /// What the new graph has of what came after a stage, the nearest on each way.
    fn followers(&self, stage: NodeIx) -> Vec<NodeIx> {
        self.nearest(stage, |node| {
            let mut after = self.old.dependents(node).to_vec();
            after.extend(self.old.nodes[node].retired.iter().flatten());
            after
        })
    }

    fn nearest(&self, stage: NodeIx, step: impl Fn(NodeIx) -> Vec<NodeIx>) -> Vec<NodeIx> {
        let (mut seen, mut found, mut next) = (BTreeSet::new(), BTreeSet::new(), vec![stage]);
        while let Some(from) = next.pop() {
            for to in step(from) {
                if !self.old.nodes[to].phase.is_stage() || !seen.insert(to) {
                    continue;
                }
                match self.moved[to.raw() as usize] {
                    Some(node) => found.extend([node]),
                    None => next.push(to),
                }
            }
        }
        found.into_iter().collect()
    }

    /// Orders the rollback as if what came after the retired stages still needed them.
    fn tie(&mut self) {
        let nodes = &mut self.parts.nodes;
        let mut lent = Vec::new();
        for at in 0..nodes.len() {
            for follower in nodes[at].retired.clone().unwrap_or_default() {
                let node = NodeIx::from_usize(at);
                nodes[follower.raw() as usize].needs.push(Need { node, accept: Accept::DEFAULT });
                lent.push(follower);
            }
        }
        tie(nodes);
        for follower in lent {
            nodes[follower.raw() as usize].needs.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::model::Phase;

    /// Stages with their needs, each with a node behind them that undoes it.
    fn graph(stages: &[(&str, &[u32])]) -> Graph {
        let mut nodes: Vec<Node> = stages.iter().map(|(id, needs)| Node::after(id, needs)).collect();
        for (at, (id, _)) in stages.iter().enumerate() {
            let mut undo = Node::plain(&format!("{id}.rollback"));
            (undo.phase, undo.undoes) = (Phase::Rollback, Some(NodeIx::from_usize(at)));
            nodes.push(undo);
        }
        tie(&mut nodes);
        Graph::assemble(Parts::of("test", nodes)).expect("no cycle")
    }

    /// Whose undoing the undoing of `stage` waits for.
    fn undone_after(graph: &Graph, stage: &str) -> Vec<String> {
        let undo = graph.find(&format!("{stage}.rollback")).expect("it can be undone");
        let needs = graph.nodes[undo].needs.iter();
        let mut ids: Vec<String> =
            needs.map(|need| graph.nodes[need.node].id.trim_end_matches(".rollback").to_owned()).collect();
        ids.sort();
        ids
    }

    #[test]
    fn what_is_gone_keeps_its_place_in_the_order_also_after_a_second_edit() {
        let first = graph(&[("a", &[]), ("b", &[0]), ("c", &[1]), ("d", &[2])]);
        // `b` is gone, and `e` is new behind `c`.
        let new = graph(&[("a", &[]), ("c", &[]), ("d", &[1]), ("e", &[1])]);
        assert_eq!(first.outlasting(&new, |_| true), [NodeIx::new(1)]);
        assert!(first.outlasting(&new, |_| false).is_empty());
        let second = new.retire(&first, ["b"]).expect("it fits");
        assert_eq!(undone_after(&second, "c"), ["d", "e"]);
        assert_eq!(undone_after(&second, "b"), ["c"]);
        assert_eq!(undone_after(&second, "a"), ["b"]);
        let b = second.find("b").expect("it stays");
        assert!(!second.nodes[b].selected && second.dependents(b).is_empty(), "nobody waits for it");
        assert_eq!(second.digest(), new.retire(&first, ["b"]).expect("it fits").digest());
        // Now `c`, which came after `b` as recorded, is gone as well.
        let new = graph(&[("a", &[]), ("d", &[])]);
        let ids = second.outlasting(&new, |_| true);
        let ids: Vec<&str> = ids.iter().map(|&stage| &*second.nodes[stage].id).collect();
        assert_eq!(ids, ["c", "e", "b"]);
        let third = new.retire(&second, ids).expect("they fit");
        assert_eq!(undone_after(&third, "c"), ["d", "e"]);
        assert_eq!(undone_after(&third, "b"), ["c"]);
        assert_eq!(undone_after(&third, "a"), ["b"]);
        assert_eq!(third.retired().count(), 3);
    }

    #[test]
    fn an_order_through_stages_that_are_gone_for_good_holds() {
        let old = graph(&[("a", &[]), ("b", &[0]), ("idle", &[1]), ("c", &[2])]);
        let new = graph(&[("c", &[]), ("a", &[])]);
        let kept = new.retire(&old, ["b"]).expect("it fits");
        assert!(kept.find("idle").is_none());
        assert_eq!(undone_after(&kept, "b"), ["c"]);
        assert_eq!(undone_after(&kept, "a"), ["b"]);
    }

    #[test]
    fn what_its_rollback_reads_stays_with_it() {
        let mut nodes = vec![Node::plain("made"), Node::plain("idle"), Node::after("b", &[0, 1])];
        let mut undo = Node::plain("b.rollback");
        (undo.phase, undo.undoes) = (Phase::Rollback, Some(NodeIx::new(2)));
        undo.views = vec![View { name: "made".into(), target: Target::Node(NodeIx::new(0)) }];
        nodes.push(undo);
        let old = Graph::assemble(Parts::of("test", nodes)).expect("no cycle");
        let new = graph(&[("other", &[])]);
        let stages = old.outlasting(&new, |_| true);
        assert_eq!(stages, [NodeIx::new(0), NodeIx::new(2)]);
        let kept = new.retire(&old, ["made", "b"]).expect("it fits");
        let undo = kept.find("b.rollback").expect("it stays");
        assert_eq!(kept.nodes[undo].views[0].target, Target::Node(kept.find("made").expect("it stays")));
        assert!(new.retire(&old, ["b"]).expect_err("it reads more").contains("`made`, which is gone"));
    }

    #[test]
    fn orders_that_contradict_each_other_keep_nothing() {
        let old = graph(&[("a", &[]), ("b", &[0]), ("c", &[1])]);
        let new = graph(&[("c", &[]), ("a", &[0])]);
        assert!(new.retire(&old, ["b"]).expect_err("a before b before c before a").contains("order"));
    }
}
