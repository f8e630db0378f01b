//! The cells of a matrix.

use std::collections::HashMap;

use serde_json::Map;

use super::Builder;
use super::context::{Context, Eval, Site};
use super::nearest;
use crate::base::limits;
use crate::graph::scope::under;
use crate::plan::model::{Matrix, Stage};
use crate::plan::tree::{Kind, Tree};
use crate::plan::{Diagnostic, Place};
use crate::render::{Value, text_of};

/// One cell: what `matrix.…` is, and how the cell is called.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct CellPlan {
    /// Values by axis, names as expressions write them.
    pub(super) values: Map<String, Value>,
    /// `eu`, `eu,blue`; `*` when the axes are not known yet.
    pub(super) label: Box<str>,
    /// Whether the values are still unknown (`check` without inputs).
    pub(super) is_unknown: bool,
}

impl Builder<'_> {
    /// The cells of `matrix`, in order: the first axis changes slowest, `include` comes last.
    pub(super) fn cells(&mut self, stage: &Stage, matrix: &Matrix, cx: &Context) -> Vec<CellPlan> {
        let names: Vec<String> = axis_names(matrix);
        let mut axes = Vec::new();
        for (_, tree) in &matrix.axes {
            match self.value(tree, cx, Site::default()) {
                Eval::Known(Value::Array(values)) => axes.push(values),
                Eval::Known(other) => {
                    let message = format!("an axis is a list, and this is {}", crate::render::noun(&other));
                    self.error("plan::wrong-type", tree.at, message);
                    return Vec::new();
                }
                Eval::Unknown => {
                    let values = Map::new();
                    return vec![CellPlan { values, label: "*".into(), is_unknown: true }];
                }
                Eval::Late | Eval::Failed => return Vec::new(),
            }
        }
        let count = axes.iter().try_fold(1usize, |all, axis| all.checked_mul(axis.len()));
        if count.is_none_or(|count| count > limits::MAX_STAGES) {
            self.fill(matrix.at, format!("the matrix has more than {} cells (MAX_STAGES)", limits::MAX_STAGES));
            return Vec::new();
        }
        let mut rows = if axes.is_empty() { Vec::new() } else { vec![Map::new()] };
        for (name, axis) in names.iter().zip(&axes) {
            rows = rows
                .iter()
                .flat_map(|row| {
                    axis.iter().map(move |value| {
                        let mut row = row.clone();
                        row.insert(name.clone(), value.clone());
                        row
                    })
                })
                .collect();
        }
        for tree in &matrix.exclude {
            let Some(rule) = self.cell_map(tree, &names, cx) else { continue };
            rows.retain(|row| !rule.iter().all(|(name, value)| row.get(name) == Some(value)));
        }
        for tree in &matrix.include {
            let Some(row) = self.cell_map(tree, &names, cx) else { continue };
            if let Some(missing) = names.iter().find(|name| !row.contains_key(*name)) {
                self.error("plan::bad-matrix", tree.at, format!("this cell gives no value for `{missing}`"));
                continue;
            }
            rows.push(row);
        }
        self.label(stage, matrix.at, rows, &names)
    }

    /// An item of `include` or `exclude`.
    fn cell_map(&mut self, tree: &Tree, names: &[String], cx: &Context) -> Option<Map<String, Value>> {
        let Eval::Known(value) = self.value(tree, cx, Site::default()) else { return None };
        let Value::Object(map) = value else {
            self.error("plan::wrong-type", tree.at, format!("a cell is a map, and this is {}", tree.noun()));
            return None;
        };
        if let Some(key) = map.keys().find(|key| !names.contains(&under(key))) {
            let at = key_place(tree, key);
            let mut found = Diagnostic::error("plan::unknown-axis", at, format!("the matrix has no axis `{key}`"));
            found.help =
                nearest(key, names.iter().map(String::as_str)).map(|near| format!("did you mean `{near}`?"));
            self.report.push(found);
            return None;
        }
        Some(map.into_iter().map(|(key, value)| (under(&key), value)).collect())
    }

    /// Names the cells, refusing names that cannot stand in an id and cells that are equal.
    fn label(
        &mut self,
        stage: &Stage,
        at: Place,
        rows: Vec<Map<String, Value>>,
        names: &[String],
    ) -> Vec<CellPlan> {
        let id = &stage.id.value;
        // What is wrong with the written values was said where they stand.
        let is_told = stage.matrix.as_ref().is_some_and(|matrix| self.is_told(at, end(matrix)));
        if rows.is_empty() && !is_told {
            let found = Diagnostic::error("plan::bad-matrix", at, format!("the matrix of `{id}` has no cells"));
            self.report.push(found.help("a stage that may have nothing to do wants an `if`"));
        }
        let mut cells: Vec<CellPlan> = Vec::with_capacity(rows.len());
        let mut seen: HashMap<Box<str>, usize> = HashMap::new();
        for values in rows {
            let words: Option<Vec<String>> = names.iter().map(|name| label_word(&values[name])).collect();
            let Some(label) = words.map(|words| words.join(",").into_boxed_str()) else {
                // A list or map as a value is refused where it stands.
                if !is_told || values.values().all(|value| text_of(value).is_some()) {
                    let values = Value::Object(values);
                    let message = format!("cell {values} of `{id}` has no name");
                    let help = "a value of an axis is 1 to 64 of `A-Z a-z 0-9 . _ + -`, or a number";
                    self.report.push(Diagnostic::error("plan::bad-matrix", at, message).help(help));
                }
                continue;
            };
            if let Some(first) = seen.insert(label.clone(), cells.len()) {
                let same = cells.get(first).is_some_and(|cell| cell.values == values);
                if !is_told {
                    let message = format!("two cells of `{id}` are called `{id}:{label}`");
                    let found = Diagnostic::error("plan::bad-matrix", at, message);
                    self.report.push(if same { found.help("remove one of them") } else { found });
                }
                continue;
            }
            cells.push(CellPlan { values, label, is_unknown: false });
        }
        cells
    }
}

/// The axes of a matrix as expressions write them; those of its first `include` when it has none of its own.
pub(super) fn axis_names(matrix: &Matrix) -> Vec<String> {
    if !matrix.axes.is_empty() {
        return matrix.axes.iter().map(|(name, _)| under(&name.value)).collect();
    }
    match matrix.include.first().map(|tree| &tree.kind) {
        Some(Kind::Map(items)) => items.iter().map(|(key, _)| under(&key.text)).collect(),
        _ => Vec::new(),
    }
}

/// Where the text of a matrix ends.
fn end(matrix: &Matrix) -> u32 {
    let axes = matrix.axes.iter().map(|(_, tree)| tree);
    axes.chain(&matrix.include).chain(&matrix.exclude).map(Tree::end).max().unwrap_or(matrix.at.end)
}

/// The part of a cell's id that `value` gives.
fn label_word(value: &Value) -> Option<String> {
    let text = text_of(value)?;
    let is_right = |c: u8| c.is_ascii_alphanumeric() || b"._+-".contains(&c);
    ((1..=64).contains(&text.len()) && text.bytes().all(is_right)).then_some(text)
}

fn key_place(tree: &Tree, key: &str) -> Place {
    match &tree.kind {
        Kind::Map(items) => items.iter().find(|(found, _)| *found.text == *key).map_or(tree.at, |(key, _)| key.at),
        _ => tree.at,
    }
}
