//! Matrices whose cells an earlier stage gives.
//!
//! A graph has all its nodes before anything runs, so such a matrix has a place for every cell that there may be: `max`
//! times the combinations of its other axes. When the values are known they are given to the places, which makes
//! another graph of the same shape: places that got a value are called by it (`rollout:eu`), the others are *absent*,
//! as if the plan did not have them. Until then one place stands for all, as `rollout:?`; the rest is hidden.
//!
//! A place keeps its value for good: another list, after `--rerun` of what gives it, goes to the places that had the
//! same values, and to fresh ones. So a stage's number, its attempts and what undoes it belong to one cell.

use std::collections::HashSet;

use super::model::{FrameIx, Graph, Node, View};
use crate::base::NodeIx;
use crate::plan;
use crate::render::{Value, text_of};

/// A matrix whose cells an earlier stage gives.
#[derive(Clone, PartialEq, Debug)]
pub struct LateMatrix {
    /// The stage: `rollout`.
    pub id: Box<str>,
    /// Where its values are asked for.
    pub place: plan::Place,
    /// The axis that gets them, as expressions write it.
    pub axis: Box<str>,
    /// The text that gives them.
    pub text: Box<str>,
    /// What its names mean.
    pub frame: FrameIx,
    /// What `needs.…` means to it.
    pub views: Vec<View>,
    /// The places, in the order of cells; the first one has the first turn.
    pub slots: Vec<Slot>,
    /// What each turn of the axis was last given.
    pub values: Vec<Option<Value>>,
    /// Which turns are cells now, once that is known; none of them when the values could not be taken.
    pub given: Option<Vec<bool>>,
}

/// A place for a cell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slot {
    /// Which of the values is its own.
    pub turn: u32,
    /// What the cell is called: `?,blue`, and `eu,blue` when that is known.
    pub label: Box<str>,
    /// Its label without the value: what stands before and behind it.
    pub around: (Box<str>, Box<str>),
    /// Its first node.
    pub first: NodeIx,
}

/// Which slot of which late matrix.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Place {
    /// An index into `Graph::matrices`.
    pub matrix: u32,
    /// An index into its slots.
    pub slot: u32,
}

impl LateMatrix {
    /// The most cells of the axis.
    pub fn max(&self) -> u32 {
        u32::try_from(self.values.len()).expect("limits::MAX_LATE_CELLS fits")
    }

    /// What is known of its cells before the plan runs, for people.
    pub fn promise(&self) -> String {
        let from = self.text.trim_start_matches("{{").trim_end_matches("}}").trim();
        let cells = self.slots.len();
        format!("up to {cells} {} from {from}", if cells == 1 { "cell" } else { "cells" })
    }

    /// Whether its values could not be taken: it fails, and one place says so.
    pub fn is_refused(&self) -> bool {
        self.given.as_ref().is_some_and(Vec::is_empty)
    }

    fn is_absent(&self, slot: u32) -> bool {
        let turn = self.slots[slot as usize].turn as usize;
        self.given.as_ref().is_some_and(|given| match given.as_slice() {
            [] => slot > 0,
            given => !given[turn],
        })
    }

    /// What stands in a cell's label for the value of a turn that nobody has given yet.
    pub(super) fn unknown(turn: u32) -> String {
        if turn == 0 { "?".to_owned() } else { format!("?{}", turn + 1) }
    }
}

impl Graph {
    /// The stages, and the places for cells that somebody may give.
    pub fn places(&self) -> impl Iterator<Item = (NodeIx, &Node)> {
        self.nodes.pairs().filter(|(_, node)| node.phase.is_stage())
    }

    /// The late matrix that a stage belongs to.
    pub fn late_matrix(&self, node: NodeIx) -> Option<&LateMatrix> {
        let node = &self.nodes[node];
        node.cell.filter(|_| node.beside().is_none()).map(|cell| &self.matrices[cell.matrix as usize])
    }

    /// Whether a node belongs to a place for a cell that was not given: it is no part of the run. What undoes a cell
    /// that was given before is.
    pub fn is_absent(&self, node: NodeIx) -> bool {
        let node = &self.nodes[node];
        node.cell
            .filter(|_| node.beside().is_none())
            .is_some_and(|cell| self.matrices[cell.matrix as usize].is_absent(cell.slot))
    }

    /// Whether nobody is to be told of a node: it is absent, or another one stands for it until its cell is known.
    pub fn is_hidden(&self, node: NodeIx) -> bool {
        self.nodes[node].cell.is_some_and(|cell| {
            let matrix = &self.matrices[cell.matrix as usize];
            matrix.is_absent(cell.slot) || (matrix.given.is_none() && cell.slot > 0)
        })
    }

    /// The node that stands for a hidden one: the same one of the first place of its matrix.
    pub fn told_by(&self, node: NodeIx) -> NodeIx {
        let Some(cell) = self.nodes[node].cell.filter(|_| self.is_hidden(node)) else { return node };
        let slots = &self.matrices[cell.matrix as usize].slots;
        let step = node.raw() - slots[cell.slot as usize].first.raw();
        NodeIx::new(slots[0].first.raw() + step)
    }

    /// Whether a node belongs to a place that never had a cell.
    pub fn is_unnamed(&self, node: NodeIx) -> bool {
        self.nodes[node].cell.is_some_and(|cell| {
            let matrix = &self.matrices[cell.matrix as usize];
            matrix.values[matrix.slots[cell.slot as usize].turn as usize].is_none()
        })
    }

    /// What a cell is called now, where an earlier stage says so.
    pub fn cell_label(&self, node: NodeIx) -> Option<&str> {
        let cell = self.nodes[node].cell?;
        Some(&self.matrices[cell.matrix as usize].slots[cell.slot as usize].label)
    }

    /// Gives each turn of the matrix that `node` belongs to its value, JSON as text; an empty text is a turn without
    /// one. No turns at all: the values could not be taken. Every node keeps its number.
    pub fn give_cells(&mut self, node: NodeIx, turns: &[Box<str>]) {
        let Some(at) = self.nodes.get(node).and_then(|node| node.cell).map(|cell| cell.matrix) else { return };
        let matrix = &mut self.matrices[at as usize];
        let values = turns.iter().map(|text| serde_json::from_str::<Value>(text).ok());
        matrix.given = Some(values.clone().map(|value| value.is_some()).collect());
        for (known, value) in matrix.values.iter_mut().zip(values).filter(|(_, value)| value.is_some()) {
            *known = value;
        }
        self.name_cells(at);
    }

    /// The cells of the matrix that `node` belongs to are to be asked for again.
    pub fn forget_cells(&mut self, node: NodeIx) {
        if let Some(cell) = self.nodes[node].cell {
            self.matrices[cell.matrix as usize].given = None;
        }
    }

    /// One node of each matrix whose cells are to be asked for again when `node` is opened again.
    pub fn asks_again(&self, node: NodeIx) -> impl Iterator<Item = NodeIx> {
        let own = self.nodes[node].cell.map(|cell| cell.matrix);
        self.dependents(node).iter().copied().filter(move |&other| {
            let cell = self.nodes[other].cell;
            cell.is_some_and(|cell| {
                Some(cell.matrix) != own && self.matrices[cell.matrix as usize].given.is_some()
            })
        })
    }

    /// Takes over what another version of the plan was given, for places of the same number in the matrix of the same name.
    pub fn adopt_cells(&mut self, old: &Self) {
        for at in 0..self.matrices.len() {
            let matrix = &mut self.matrices[at];
            let Some(was) = old.matrices.iter().find(|was| was.id == matrix.id) else { continue };
            for (value, was) in matrix.values.iter_mut().zip(&was.values) {
                value.clone_from(was);
            }
            // What could not be taken may be taken by the new text.
            let fits = was
                .given
                .as_ref()
                .filter(|given| !given.is_empty() && given.iter().skip(matrix.values.len()).all(|is| !is));
            matrix.given = fits.map(|given| {
                let mut given = given.clone();
                given.resize(matrix.values.len(), false);
                given
            });
            self.name_cells(u32::try_from(at).expect("limits::MAX_STAGES fits"));
        }
    }

    fn name_cells(&mut self, at: u32) {
        let matrix = &mut self.matrices[at as usize];
        let id = matrix.id.clone();
        let mut renamed = Vec::with_capacity(matrix.slots.len());
        for slot in &mut matrix.slots {
            let value = matrix.values[slot.turn as usize].as_ref().and_then(text_of);
            let word = value.unwrap_or_else(|| LateMatrix::unknown(slot.turn));
            let label = format!("{}{word}{}", slot.around.0, slot.around.1);
            let was = std::mem::replace(&mut slot.label, label.clone().into());
            renamed.push((format!("{id}:{was}"), format!("{id}:{label}")));
        }
        let renamed = |cell: Option<Place>, id: &str| {
            let (was, now) = &renamed[cell.filter(|cell| cell.matrix == at)?.slot as usize];
            Some(format!("{now}{}", id.strip_prefix(was.as_str())?))
        };
        for node in &mut self.nodes {
            if let Some(now) = renamed(node.cell, &node.id) {
                node.id = now.into();
            }
        }
        for objective in &mut self.objectives {
            let cell = objective.nodes.first().and_then(|&node| self.nodes[node].cell);
            if let Some(now) = renamed(cell, &objective.name) {
                objective.name = now.into();
            }
        }
        self.by_id.take();
    }
}

/// The values of an axis out of what a stage gave: a list of values that can name cells, each once, at most `max`.
///
/// # Errors
/// What is wrong, in words.
pub fn cells_of(value: &Value, max: u32) -> Result<Vec<Value>, String> {
    let Value::Array(values) = value else {
        return Err(format!("they must be a list, and this is {}", crate::render::noun(value)));
    };
    if values.len() > max as usize {
        return Err(format!("they are {}, and `max` is {max}", values.len()));
    }
    let mut seen = HashSet::with_capacity(values.len());
    for value in values {
        let Some(word) = label_word(value) else {
            let rule = "a value is 1 to 64 of `A-Z a-z 0-9 . _ + -`, or a number";
            return Err(format!("{value} cannot name a cell: {rule}"));
        };
        if !seen.insert(word.clone()) {
            return Err(format!("`{word}` is there twice"));
        }
    }
    Ok(values.clone())
}

/// The part of a cell's id that `value` gives.
pub(super) fn label_word(value: &Value) -> Option<String> {
    let text = text_of(value)?;
    let is_right = |c: u8| c.is_ascii_alphanumeric() || b"._+-".contains(&c);
    ((1..=64).contains(&text.len()) && text.bytes().all(is_right)).then_some(text)
}

/// What the place `id` of `matrix` is called once the turns have these values, JSON as text; `None` for what is no place
/// of it, or has no value.
pub fn named_place(id: &str, matrix: &str, cells: &[Box<str>]) -> Option<String> {
    let rest = id.strip_prefix(matrix)?.strip_prefix(':')?;
    let (before, place) = rest.split_once('?')?;
    let digits = place.find(|c: char| !c.is_ascii_digit()).unwrap_or(place.len());
    let turn = if digits == 0 { 1 } else { place[..digits].parse::<usize>().ok()? };
    let value = serde_json::from_str::<Value>(cells.get(turn - 1)?).ok()?;
    Some(format!("{matrix}:{before}{}{}", text_of(&value)?, &place[digits..]))
}
