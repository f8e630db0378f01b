//! Needs become edges, and what `needs.NAME` means becomes views.

use super::Builder;
use super::expand::{Cell, Made, Table, is_used};
use crate::base::{NodeIx, limits};
use crate::graph::model::{Accept, Need, Target, View};
use crate::graph::scope::under;
use crate::plan::model;
use crate::render::Value;

/// What one need leads to: room that every need uses again.
#[derive(Default)]
struct Room<'t> {
    tied: Vec<&'t Cell>,
    leaves: Vec<NodeIx>,
}

impl<'a> Builder<'a> {
    /// Ties the nodes of `table` by the needs of its stages.
    pub(super) fn edges(&mut self, table: &Table<'a>, main: Option<&Table<'a>>) {
        let mut room = Room::default();
        for made in table.iter() {
            self.late_views(made, table, main);
            for cell in made.cells() {
                self.tie((made, cell), (table, main), &mut room);
            }
        }
    }

    fn tie<'t>(
        &mut self,
        (made, cell): (&Made<'a>, &Cell),
        (table, main): (&'t Table<'a>, Option<&Table<'a>>),
        Room { tied, leaves }: &mut Room<'t>,
    ) {
        let mut views = Vec::new();
        for root in cell.roots() {
            self.nodes[root.raw() as usize].needs.reserve_exact(made.stage.needs.len());
        }
        for need in &made.stage.needs {
            // An unknown stage has been reported when the file was checked.
            let Some(target) = table.get(need.stage.value.as_str()) else { continue };
            self.check_same(need, (made, target));
            tied.clear();
            tied.extend(target.cells().iter().filter(|other| is_tied(need, cell, other)));
            let is_known = made.late.is_none() && target.late.is_none();
            if tied.is_empty() && !target.cells().is_empty() && !self.is_partial && is_known {
                let id = &need.stage.value;
                let message = format!("no cell of `{id}` has the same {} as `{}`", axes(need), cell.label);
                self.error("plan::bad-matrix", need.stage.at, message);
            }
            let accept = accept(need);
            leaves.clear();
            leaves.extend(tied.iter().flat_map(|other| other.leaves()));
            self.check_need(need, cell, leaves);
            self.edges += leaves.len() * cell.roots().count();
            if self.edges > limits::MAX_EDGES {
                let most = limits::MAX_EDGES;
                self.fill(need.stage.at, format!("the plan has more than {most} edges (MAX_EDGES)"));
                return;
            }
            for root in cell.roots() {
                let needs = &mut self.nodes[root.raw() as usize].needs;
                needs.extend(leaves.iter().map(|&node| Need { node, accept }));
            }
            if is_used(&cell.used, &need.stage.value) {
                let is_one = !need.terms().same.is_empty() && tied.len() == 1;
                views.push(view(target, tied, is_one));
            }
        }
        let is_near = |id: &str| made.stage.needs.iter().any(|need| need.stage.value == id);
        for far in cell.used.iter().filter(|id| !is_near(id)).filter_map(|id| table.get(id)) {
            views.push(view(far, &far.cells().iter().collect::<Vec<_>>(), false));
        }
        if let Some(main) = main {
            self.check_read(made, cell, main);
        }
        for other in main.into_iter().flat_map(Table::iter) {
            if is_used(&cell.used, &other.stage.id.value) {
                views.push(view(other, &other.cells().iter().collect::<Vec<_>>(), false));
            }
        }
        self.give(cell, &views);
    }

    /// Hands `views` to whatever of the cell reads them.
    fn give(&mut self, cell: &Cell, views: &[View]) {
        if views.is_empty() {
            return;
        }
        if let Some(frame) = cell.late {
            for late in &mut self.frame_mut(frame).late {
                late.views = views.to_vec();
            }
        }
        for ix in cell.nodes.clone() {
            let node = &mut self.nodes[ix as usize];
            if let Some(at) = cell.condition_at {
                node.conditions[at].views = views.to_vec();
            }
            if cell.file.is_none() {
                node.views = views.to_vec();
            }
        }
    }
}

/// What the name of `made` means when `cells` of it are needed.
pub(super) fn view(made: &Made<'_>, cells: &[&Cell], is_one: bool) -> View {
    let name = under(&made.stage.id.value).into();
    if made.stage.matrix.is_none() || is_one {
        let target = cells.first().map_or(Target::Cells(Vec::new()), |cell| target(cell));
        return View { name, target };
    }
    // A cell that is a file has several nodes; its last leaf speaks for it.
    let cells =
        cells.iter().filter_map(|cell| cell.leaves().last().map(|node| (cell.label.clone(), node))).collect();
    View { name, target: Target::Cells(cells) }
}

fn target(cell: &Cell) -> Target {
    match &cell.file {
        None => Target::Node(NodeIx::new(cell.nodes.start)),
        Some(file) => Target::File {
            nodes: cell.nodes.clone().map(NodeIx::new).collect(),
            outputs: file.outputs.clone(),
            frame: file.frame,
            views: file.views.clone(),
        },
    }
}

/// Whether `other` is among the cells that `cell` needs.
fn is_tied(need: &model::Need, cell: &Cell, other: &Cell) -> bool {
    need.terms().same.iter().all(|axis| {
        let axis = under(&axis.value);
        cell.label.as_ref() == "*" || other.label.as_ref() == "*" || value(cell, &axis) == value(other, &axis)
    })
}

fn value<'c>(cell: &'c Cell, axis: &str) -> Option<&'c Value> {
    cell.values.as_ref()?.get(axis)
}

fn axes(need: &model::Need) -> String {
    let names: Vec<String> = need.terms().same.iter().map(|axis| format!("`{}`", axis.value)).collect();
    names.join(" and ")
}

fn accept(need: &model::Need) -> Accept {
    let Some(words) = &need.terms().accept else { return Accept::DEFAULT };
    let has = |word| words.iter().any(|given| given.value == word);
    Accept {
        success: has(model::Accept::Success),
        skipped: has(model::Accept::Skipped),
        failed: has(model::Accept::Failed),
    }
}
