//! Cells that an earlier stage gives: the graph is another one from then on, and says which places are told of.

use std::sync::Arc;

use super::View;
use crate::base::NodeIx;
use crate::graph::Graph;

impl View {
    /// What a stage needs, without places for cells that nobody has given.
    pub fn needs(&self, ix: NodeIx) -> impl Iterator<Item = NodeIx> {
        self.node(ix).needs.iter().map(|need| need.node).filter(|&need| !self.graph().is_hidden(need))
    }

    /// Another version of the plan keeps the cells that the one before was given.
    pub(super) fn adopt_cells(&mut self, old: &Graph) {
        let graph = &mut self.graphs[self.version];
        if !graph.matrices.is_empty() {
            Arc::make_mut(graph).adopt_cells(old);
        }
    }

    /// A stage is opened again: matrices that need it get their cells anew.
    pub(super) fn ask_again(&mut self, ix: NodeIx) {
        let again: Vec<NodeIx> = self.graph().asks_again(ix).collect();
        if !again.is_empty() {
            self.change_cells(|graph| again.iter().for_each(|&node| graph.forget_cells(node)));
        }
    }

    /// A matrix got its cells, or is to get others: the graph is another one of the same shape.
    pub(super) fn change_cells(&mut self, change: impl FnOnce(&mut Graph)) {
        change(Arc::make_mut(&mut self.graphs[self.version]));
        let awake: Vec<NodeIx> = self.hide_cells();
        for ix in awake {
            let node = &self.nodes[ix];
            let count = &mut self.counts[node.state as usize];
            *count = if node.is_awake { *count + 1 } else { *count - 1 };
        }
    }

    /// Tells of places of a late matrix if the graph does; answers with those that changed.
    pub(super) fn hide_cells(&mut self) -> Vec<NodeIx> {
        let graph = Arc::clone(self.graph());
        if graph.matrices.is_empty() {
            return Vec::new();
        }
        let of_cells = graph.nodes.pairs().filter(|(_, node)| node.cell.is_some() && node.phase.is_stage());
        let mut changed = Vec::new();
        for (ix, _) in of_cells {
            let is_awake = !graph.is_hidden(ix);
            if std::mem::replace(&mut self.nodes[ix].is_awake, is_awake) != is_awake {
                changed.push(ix);
            }
        }
        changed
    }
}
