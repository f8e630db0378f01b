//! Matrices whose cells an earlier stage gives.

use super::Builder;
use super::edges::view;
use super::expand::{Made, Surround, Table, is_used};
use super::matrix::CellPlan;
use crate::base::NodeIx;
use crate::graph::model::{LateMatrix, Slot};
use crate::graph::scope::under;
use crate::plan::Diagnostic;
use crate::plan::model::{Matrix, Need, Stage};

impl<'a> Builder<'a> {
    /// Keeps a matrix whose cells an earlier stage gives; its number.
    pub(super) fn late_matrix(
        &mut self,
        around: &Surround<'a>,
        (stage, matrix): (&Stage, &Matrix),
        cells: &[CellPlan],
        max: u32,
    ) -> Option<u32> {
        let (late, _) = matrix.late.as_ref()?;
        let (axis, tree) = &matrix.axes[*late];
        if around.cell.is_some() {
            let message = "a matrix whose cells a stage gives cannot stand inside a cell of another such matrix";
            self.error("plan::bad-matrix", tree.at, message);
            return None;
        }
        let slot = |plan: &CellPlan| {
            let (turn, around) = plan.turn.clone().expect("every cell of a late matrix has its turn");
            Slot { turn, label: plan.label.clone(), around, first: NodeIx::new(0) }
        };
        self.matrices.push(LateMatrix {
            id: format!("{}{}", around.prefix, stage.id.value).into(),
            place: tree.at,
            axis: under(&axis.value).into(),
            text: tree.as_str().unwrap_or_default().into(),
            frame: around.cx.frame,
            views: Vec::new(),
            slots: cells.iter().map(slot).collect(),
            values: vec![None; max as usize],
            given: None,
        });
        Some(u32::try_from(self.matrices.len() - 1).expect("limits::MAX_STAGES fits"))
    }

    /// What the text means that gives the cells of a late matrix.
    pub(super) fn late_views(&mut self, made: &Made<'a>, table: &Table<'a>, main: Option<&Table<'a>>) {
        let Some((matrix, used)) = made.late.as_deref() else { return };
        let near = || made.stage.needs.iter().map(|need| need.stage.value.as_str());
        let near_or_main = near().filter_map(|id| table.get(id)).chain(main.into_iter().flat_map(Table::iter));
        let far = used.iter().filter(|id| !near().any(|near| near == &***id)).filter_map(|id| table.get(id));
        let read = near_or_main.filter(|other| is_used(used, &other.stage.id.value)).chain(far);
        let views = read.map(|other| view(other, &other.cells().iter().collect::<Vec<_>>(), false));
        self.matrices[*matrix as usize].views = views.collect();
    }

    /// Refuses to tie cells by an axis whose values are not known before the plan runs.
    pub(super) fn check_same(&mut self, need: &Need, (made, target): (&Made<'a>, &Made<'a>)) {
        let late =
            |made: &Made<'a>| made.late.as_deref().map(|(matrix, _)| self.matrices[*matrix as usize].axis.clone());
        let lates = [late(made), late(target)];
        let is_late = |axis: &str| lates.iter().flatten().any(|late| **late == *under(axis));
        let Some(axis) = need.terms().same.iter().find(|axis| is_late(&axis.value)) else { return };
        let message =
            format!("`same` cannot tie by `{}`, whose values a stage gives while the plan runs", axis.value);
        let found = Diagnostic::error("plan::bad-matrix", axis.at, message);
        self.report.push(found.help("need all cells, or put the stages into one file that the matrix uses"));
    }
}
