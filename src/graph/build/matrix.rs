//! The cells of a matrix.

use std::collections::HashMap;

use serde_json::Map;

use super::Builder;
use super::context::{Context, Site};
use super::eval::Eval;
use super::nearest;
use crate::base::limits;
use crate::graph::cells::{LateMatrix, label_word};
use crate::graph::scope::under;
use crate::plan::model::{Matrix, Stage};
use crate::plan::tree::{Kind, Tree};
use crate::plan::{Diagnostic, Place};
use crate::render::{Kinds, Value, text_of};

/// One cell: what `matrix.…` is, and how the cell is called.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct CellPlan {
    /// Values by axis, names as expressions write them.
    pub(super) values: Map<String, Value>,
    /// `eu`, `eu,blue`; `*` when the axes are not known yet.
    pub(super) label: Box<str>,
    /// Whether the values are still unknown (`check` without inputs).
    pub(super) is_unknown: bool,
    /// Which value of a late axis is its own, and what stands around that in its label.
    pub(super) turn: Option<(u32, Around)>,
}

impl CellPlan {
    /// The cell that stands for those of a matrix whose axes are not known yet.
    fn unknown() -> Self {
        Self { values: Map::new(), label: "*".into(), is_unknown: true, turn: None }
    }
}

/// What stands before and behind a value in a label.
type Around = (Box<str>, Box<str>);

/// The cells of a matrix; with the number of values that a stage may give, if one does.
pub(super) type Cells = (Vec<CellPlan>, Option<u32>);

impl Builder<'_> {
    /// The cells of `matrix`, in order: the first axis changes slowest, `include` comes last.
    pub(super) fn cells(&mut self, stage: &Stage, matrix: &Matrix, cx: &Context, site: Site<'_>) -> Cells {
        let names: Vec<String> = axis_names(matrix);
        let (mut axes, mut max, mut is_unknown) = (Vec::new(), None, false);
        for (at, (_, tree)) in matrix.axes.iter().enumerate() {
            let setting = matrix.late.as_ref().filter(|(late, _)| *late == at).map(|(_, most)| most);
            let most = setting.and_then(|most| self.bounded(most, cx, (1, limits::MAX_LATE_CELLS), "`max`"));
            let site = if setting.is_some() { site } else { Site::default() };
            match self.value(tree, cx, site) {
                Eval::Known(Value::Array(values)) => {
                    if let Some(most) = most.filter(|&most| values.len() > most as usize) {
                        let message = format!("the values are {}, and `max` is {most}", values.len());
                        self.error("plan::too-large", tree.at, message);
                    }
                    axes.push(values);
                }
                Eval::Known(other) => {
                    self.check_list(tree, Kinds::of(&other), "an axis is a list");
                    return (Vec::new(), None);
                }
                Eval::Unknown(kinds) => {
                    self.check_list(tree, kinds, "an axis is a list");
                    is_unknown = true;
                }
                Eval::Late(kinds) => {
                    let Some(most) = most else { return (Vec::new(), None) };
                    self.check_list(tree, kinds, "an axis is a list");
                    max = Some(most);
                    axes.push((0..most).map(Value::from).collect());
                }
                Eval::Failed => return (Vec::new(), None),
            }
        }
        if is_unknown {
            return (vec![CellPlan::unknown()], None);
        }
        let count = axes.iter().try_fold(1usize, |all, axis| all.checked_mul(axis.len()));
        if count.is_none_or(|count| count > limits::MAX_STAGES) {
            self.fill(matrix.at, format!("the matrix has more than {} cells (MAX_STAGES)", limits::MAX_STAGES));
            return (Vec::new(), None);
        }
        let mut rows = crossed(&names, &axes);
        if let (Some(_), Some((late, _))) = (max, &matrix.late) {
            // `include` and `exclude` beside it were refused when the file was checked.
            return (late_cells(rows, &names, *late), max);
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
        (self.label(stage, matrix.at, rows, &names), None)
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
            cells.push(CellPlan { values, label, is_unknown: false, turn: None });
        }
        cells
    }
}

/// Every value of each axis with every value of the others.
fn crossed(names: &[String], axes: &[Vec<Value>]) -> Vec<Map<String, Value>> {
    let mut rows = if axes.is_empty() { Vec::new() } else { vec![Map::new()] };
    for (name, axis) in names.iter().zip(axes) {
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
    rows
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

/// The places for the cells of a matrix whose axis number `late` has turns instead of values.
fn late_cells(rows: Vec<Map<String, Value>>, names: &[String], late: usize) -> Vec<CellPlan> {
    let plan = |mut values: Map<String, Value>| {
        let word = |name: &String| label_word(&values[name]).unwrap_or_default();
        let before: String = names[..late].iter().map(|name| word(name) + ",").collect();
        let behind: String = names[late + 1..].iter().map(|name| ",".to_owned() + &word(name)).collect();
        let turn = values.remove(&names[late]).and_then(|turn| turn.as_u64());
        let turn = turn.and_then(|turn| u32::try_from(turn).ok()).expect("limits::MAX_LATE_CELLS fits");
        let label = format!("{before}{}{behind}", LateMatrix::unknown(turn)).into();
        CellPlan { values, label, is_unknown: false, turn: Some((turn, (before.into(), behind.into()))) }
    };
    rows.into_iter().map(plan).collect()
}

fn key_place(tree: &Tree, key: &str) -> Place {
    match &tree.kind {
        Kind::Map(items) => items.iter().find(|(found, _)| *found.text == *key).map_or(tree.at, |(key, _)| key.at),
        _ => tree.at,
    }
}
