//! Cells that an earlier stage gives to a matrix: asked for once, when the matrix becomes ready, and then a fact.
//!
//! Before that the graph has a place for each cell that there may be; the fact makes the run go by another graph of the
//! same shape, in which the places are called by their values, and those that got none are absent.

use std::sync::Arc;

use super::event::Event;
use super::state::RunState;
use super::thought::later;
use crate::base::{Millis, NodeIx};
use crate::graph::cells_of;
use crate::render::Value;

impl RunState {
    /// Whether the cells of the matrix that `node` belongs to are still to be asked for. Of a run that is only thought
    /// through, what no stage has really given is not asked for: there may be as many cells as there may be.
    pub(super) fn lacks_cells(&self, node: NodeIx) -> bool {
        let is_open = self.graph().late_matrix(node).is_some_and(|matrix| matrix.given.is_none());
        is_open && !(self.thought.is_some() && self.graph().cells(node, self).as_ref().is_err_and(later))
    }

    /// Whether `node` is there only to say that its matrix got no cells that can be taken.
    pub(super) fn lost_cells(&self, node: NodeIx) -> bool {
        self.graph().late_matrix(node).is_some_and(crate::graph::model::LateMatrix::is_refused)
    }

    /// The cells of the matrix that `node` belongs to; of one that was given none that it can take, the end.
    pub(super) fn give_cells(&self, node: NodeIx) -> Event {
        let turns = self.turns(node);
        if let (Err(reason), true) = (&turns, self.lost_cells(node)) {
            return self.refuse(node, format!("its cells cannot be taken: {reason}"));
        }
        let first = self.graph().late_matrix(node).map_or(node, |matrix| matrix.slots[0].first);
        Event::CellsFrozen { node: first, cells: Arc::new(turns.unwrap_or_default()) }
    }

    /// Which turn of the matrix gets which value, JSON as text. What had a value before keeps its turn; others get one
    /// that was never used, or whose cell has nothing left that could be undone.
    fn turns(&self, node: NodeIx) -> Result<Vec<Box<str>>, String> {
        let graph = self.graph();
        let Some(matrix) = graph.late_matrix(node) else { return Ok(Vec::new()) };
        let value = graph.cells(node, self).map_err(|error| error.to_string())?;
        let mut given: Vec<Option<Value>> = vec![None; matrix.values.len()];
        let mut fresh = Vec::new();
        for value in cells_of(&value, matrix.max())? {
            match matrix.values.iter().position(|known| known.as_ref() == Some(&value)) {
                Some(turn) => given[turn] = Some(value),
                None => fresh.push(value),
            }
        }
        for value in fresh {
            let is_free = |turn: &usize| given[*turn].is_none();
            let unused = (0..given.len()).filter(is_free).find(|&turn| matrix.values[turn].is_none());
            let cleared = || (0..given.len()).filter(is_free).find(|&turn| self.is_clear(node, turn));
            let turn = unused.or_else(cleared).ok_or_else(|| {
                format!("{value} is new, and all {} cells have been used in this run; raise `max`", matrix.max())
            })?;
            given[turn] = Some(value);
        }
        Ok(given
            .iter()
            .map(|value| value.as_ref().map_or_else(Box::default, |it| it.to_string().into()))
            .collect())
    }

    /// Whether nothing of a turn of the matrix that `node` belongs to has done anything that was not undone.
    fn is_clear(&self, node: NodeIx, turn: usize) -> bool {
        let Some(cell) = self.node(node).cell else { return false };
        let slots = &self.graph().matrices[cell.matrix as usize].slots;
        let is_of = |other: NodeIx| {
            let other = self.node(other).cell.filter(|other| other.matrix == cell.matrix);
            other.is_some_and(|other| slots[other.slot as usize].turn as usize == turn)
        };
        self.cells.indexes().filter(|&other| is_of(other)).all(|other| !self.cells[other].is_dirty)
    }

    /// An earlier stage gave the cells.
    pub(super) fn fold_cells(&mut self, at: Millis, node: NodeIx, turns: &[Box<str>]) {
        self.change_graph(|graph| graph.give_cells(node, turns));
        self.place_cells(at, node);
    }

    /// What `node` gives will be another: the cells of matrices that need it are asked for again.
    pub(super) fn forget_cells(&mut self, node: NodeIx) {
        let again: Vec<NodeIx> = self.graph().asks_again(node).collect();
        if !again.is_empty() {
            self.change_graph(|graph| again.iter().for_each(|&node| graph.forget_cells(node)));
        }
    }

    fn place_cells(&mut self, at: Millis, node: NodeIx) {
        let graph = Arc::clone(self.graph());
        let Some(cell) = graph.nodes.get(node).and_then(|it| it.cell) else { return };
        let is_of = |other: &NodeIx| graph.nodes[*other].cell.is_some_and(|other| other.matrix == cell.matrix);
        for other in graph.nodes.indexes().filter(is_of) {
            self.place(at, other);
        }
    }

    /// Goes by a graph of the same shape from here on.
    fn change_graph(&mut self, change: impl FnOnce(&mut crate::graph::Graph)) {
        change(Arc::make_mut(&mut self.graphs.0[self.version as usize - 1]));
    }
}
