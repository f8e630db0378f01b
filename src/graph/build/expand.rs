//! Stages become nodes: matrix cells, bodies of actions, sub-stages of files.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt as _};
use serde_json::Map;

use super::Builder;
use super::beside::Beside;
use super::context::{Context, Declared, Needed, Site, Status};
use super::matrix::{CellPlan, axis_names};
use crate::base::{NodeIx, PoolIx, ScopeIx, Text, limits};
use crate::graph::model::{CellPlace, Condition, Fold, FoldKind, FrameIx, Phase, View};
use crate::graph::scope::under;
use crate::plan::Diagnostic;
use crate::plan::model::{Body, Matrix, Plan, Rollback, Stage};
use crate::render::{Kinds, Tree as Prepared, Value};

/// What surrounds the stages of one file, or of `finally`.
#[derive(Clone)]
pub(super) struct Surround<'a> {
    pub(super) plan: &'a Plan,
    pub(super) stages: &'a [Stage],
    pub(super) prefix: String,
    pub(super) cx: Context,
    pub(super) scope: ScopeIx,
    pub(super) group: Option<Text>,
    /// The innermost group, an index into `Builder::groups`.
    pub(super) number: Option<u32>,
    pub(super) fold: Option<u32>,
    pub(super) conditions: Vec<Condition>,
    pub(super) phase: Phase,
    /// The files around, innermost last.
    pub(super) chain: Vec<usize>,
    /// Pools that all nodes inside use.
    pub(super) pools: Vec<(PoolIx, u32)>,
    /// The cell around, of a matrix whose cells an earlier stage gives.
    pub(super) cell: Option<CellPlace>,
}

/// The nodes of a stage.
pub(super) struct Made<'a> {
    pub(super) stage: &'a Stage,
    own: Cells,
    /// Its late matrix, and which needs the text reads that gives the cells.
    pub(super) late: Option<Box<(u32, BTreeSet<Box<str>>)>>,
}

/// A stage without a matrix has one cell, and a hundred thousand such stages have no list for it.
enum Cells {
    One(Cell),
    Some(Vec<Cell>),
}

impl Made<'_> {
    pub(super) fn cells(&self) -> &[Cell] {
        match &self.own {
            Cells::One(cell) => std::slice::from_ref(cell),
            Cells::Some(cells) => cells,
        }
    }
}

/// The nodes of one cell; a stage without a matrix has one.
pub(super) struct Cell {
    pub(super) label: Box<str>,
    /// The values of its axes, by name; none without a matrix.
    pub(super) values: Option<Box<Map<String, Value>>>,
    pub(super) nodes: Range<u32>,
    /// What a file gives: output texts, its frame, its views.
    pub(super) file: Option<Box<FileView>>,
    /// Which of the nodes' conditions is this stage's own.
    pub(super) condition_at: Option<usize>,
    /// The frame whose late values read this stage's needs.
    pub(super) late: Option<FrameIx>,
    /// Which needs its texts read; `*` stands for all.
    pub(super) used: BTreeSet<Box<str>>,
}

impl Cell {
    /// The nodes that need nothing inside the cell.
    pub(super) fn roots(&self) -> impl Iterator<Item = NodeIx> {
        let (own, inner) = self.ends(|file| &file.roots);
        own.chain(inner)
    }

    /// The nodes that nothing inside the cell needs.
    pub(super) fn leaves(&self) -> impl Iterator<Item = NodeIx> {
        let (own, inner) = self.ends(|file| &file.leaves);
        own.chain(inner)
    }

    /// The cell's only node, or those that `pick` finds among a file's.
    fn ends(
        &self,
        pick: impl Fn(&FileView) -> &[NodeIx],
    ) -> (impl Iterator<Item = NodeIx>, impl Iterator<Item = NodeIx>) {
        let inner = self.file.as_deref().map_or(&[][..], pick);
        let own = if self.file.is_some() { 0..0 } else { self.nodes.clone() };
        (own.map(NodeIx::new), inner.iter().copied())
    }
}

/// See [`Cell::file`].
pub(super) struct FileView {
    pub(super) roots: Vec<NodeIx>,
    pub(super) leaves: Vec<NodeIx>,
    pub(super) outputs: Vec<(Box<str>, Box<str>)>,
    pub(super) frame: FrameIx,
    pub(super) views: Vec<View>,
}

/// The nodes of all stages of one file, in written order. Names are hashed some ten times for each stage, so tables of them take
/// a quick hash, seeded anew in each process.
pub(super) struct Table<'a> {
    made: Vec<Made<'a>>,
    by_id: HashMap<&'a str, usize>,
}

impl<'a> Table<'a> {
    fn new(count: usize) -> Self {
        Self { made: Vec::with_capacity(count), by_id: HashMap::with_capacity(count) }
    }

    pub(super) fn get(&self, id: &str) -> Option<&Made<'a>> {
        self.by_id.get(id).map(|&at| &self.made[at])
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Made<'a>> {
        self.made.iter()
    }

    fn push(&mut self, made: Made<'a>) {
        let id = made.stage.id.value.as_str();
        // Of two stages with one id the last one counts; the file has been refused.
        self.by_id.insert(id, self.made.len());
        self.made.push(made);
    }
}

/// A group as the stages in it see it.
#[derive(Clone)]
struct Inside {
    cx: Context,
    scope: ScopeIx,
    fold: Option<u32>,
    group: Option<Text>,
    number: u32,
}

impl<'a> Builder<'a> {
    /// All stages of the plan, then those of `finally`.
    pub(super) fn expand_plan(&mut self, cx: &Context) {
        let plan = &self.loaded.plan;
        let main = Surround {
            plan,
            stages: &plan.stages,
            prefix: String::new(),
            cx: cx.clone(),
            scope: ScopeIx::new(0),
            group: None,
            number: None,
            fold: None,
            conditions: Vec::new(),
            phase: Phase::Main,
            chain: Vec::new(),
            pools: Vec::new(),
            cell: None,
        };
        let table = self.expand(&main, None);
        if let Some(finally) = &plan.finally {
            let last = Surround { stages: &finally.stages, phase: Phase::Finally, ..main };
            self.expand(&last, Some(&table));
        }
    }

    /// The nodes of all stages of `around`, with their edges. Stages of `finally` may read any stage of `main`.
    pub(super) fn expand(&mut self, around: &Surround<'a>, main: Option<&Table<'a>>) -> Table<'a> {
        let beside = Beside::new(around.stages);
        let mut groups = HashMap::new();
        let mut table = Table::new(around.stages.len());
        for stage in around.stages {
            if self.is_full {
                break;
            }
            let inside = self.inside(around, stage, &mut groups);
            let phase = self.phase_of(around, stage);
            let made = self.stage(around, stage, (inside, phase), (&beside, main));
            table.push(made);
        }
        self.edges(&table, main);
        table
    }

    /// What the group of `stage` adds.
    fn inside(
        &mut self,
        around: &Surround<'a>,
        stage: &Stage,
        groups: &mut HashMap<Text, Inside>,
    ) -> Option<Inside> {
        let name = stage.group.as_ref()?;
        if let Some(known) = groups.get(&name.value) {
            return Some(known.clone());
        }
        let declared = around.plan.groups.iter().find(|group| group.name.value == name.value);
        let word = declared.and_then(|group| self.group_policy(group));
        let scope = word.map_or(around.scope, |word| {
            self.push_scope(around.scope, format!("group {}{}", around.prefix, name.value), word)
        });
        let mut cx = self.derive(&around.cx, |frame| frame.group = Some(name.value.to_string()));
        cx.has_group = true;
        let group = Value::Object(std::iter::once(("name".to_owned(), (*name.value).into())).collect());
        cx.scope.set("group", &Prepared::new(&group));
        let fold = Fold { parent: around.fold, name: name.value.to_string(), kind: FoldKind::Group };
        let fold = Some(self.push_fold(fold));
        let number = self.push_group(around, &name.value, declared);
        let inside = Inside { cx, scope, fold, group: Some(name.value.clone()), number };
        groups.insert(name.value.clone(), inside.clone());
        Some(inside)
    }

    /// The nodes of one stage.
    fn stage(
        &mut self,
        around: &Surround<'a>,
        stage: &'a Stage,
        (inside, phase): (Option<Inside>, Phase),
        (beside, main): (&Beside<'a>, Option<&Table<'a>>),
    ) -> Made<'a> {
        let mut inner = Cow::Borrowed(around);
        if phase != around.phase {
            inner.to_mut().phase = phase;
        }
        if let Some(Inside { cx, scope, fold, group, number }) = inside {
            inner = Cow::Owned(Surround { cx, scope, group, number: Some(number), fold, ..inner.into_owned() });
        }
        let needs = if has_templates(stage) { self.needed(stage, beside, main) } else { BTreeMap::new() };
        let Some(matrix) = &stage.matrix else {
            let cell = self.cell(&inner, stage, None, (&needs, beside));
            return Made { stage, own: cell.map_or(Cells::Some(Vec::new()), Cells::One), late: None };
        };
        let site = Site { needs: Some(&needs), beside: Some(beside), may_be_late: true, ..Site::default() };
        self.used.clear();
        let (plans, max) = self.cells(stage, matrix, &inner.cx, site);
        let late = max.and_then(|max| self.late_matrix(&inner, (stage, matrix), &plans, max));
        self.bound_cells((stage, matrix), &around.prefix, inner.to_mut());
        let late = late.map(|matrix| (matrix, std::mem::take(&mut self.used)));
        let mut cells = Vec::with_capacity(plans.len());
        for (slot, plan) in (0..).zip(plans) {
            if let Some((matrix, _)) = late {
                inner.to_mut().cell = Some(CellPlace { matrix, slot });
                let first = NodeIx::new(u32::try_from(self.nodes.len()).expect("limits::MAX_STAGES fits"));
                self.matrices[matrix as usize].slots[slot as usize].first = first;
            }
            cells.extend(self.cell(&inner, stage, Some(plan), (&needs, beside)));
        }
        Made { stage, own: Cells::Some(cells), late: late.map(Box::new) }
    }

    /// What the cells of a matrix share: a failure scope, a fold, a pool.
    fn bound_cells(&mut self, (stage, matrix): (&Stage, &Matrix), prefix: &str, inner: &mut Surround<'a>) {
        let id = &stage.id.value;
        if let Some(word) = &matrix.on_failure {
            inner.scope = self.push_scope(inner.scope, format!("matrix {prefix}{id}"), word.value);
        }
        let fold = Fold { parent: inner.fold, name: format!("{prefix}{id}"), kind: FoldKind::Matrix };
        inner.fold = Some(self.push_fold(fold));
        let most = matrix.max_parallel.as_ref();
        let most = most.and_then(|most| self.bounded(most, &inner.cx, (1, u32::MAX), "`max-parallel`"));
        if let Some(most) = most {
            let pool = self.push_pool(format!("{prefix}{id} max-parallel"), most);
            inner.pools.push((pool, 1));
            if matches!(stage.body, Body::File { .. }) {
                let message = "here `max-parallel` limits the attempts of all cells together, not whole cells";
                self.report.push(Diagnostic::warning("plan::bad-matrix", matrix.at, message));
            }
        }
    }

    fn cell(
        &mut self,
        around: &Surround<'a>,
        stage: &'a Stage,
        plan: Option<CellPlan>,
        (needs, beside): (&BTreeMap<String, Needed>, &Beside<'a>),
    ) -> Option<Cell> {
        self.used.clear();
        let mut id = match &*around.prefix {
            "" => stage.id.value.clone(),
            prefix => format!("{prefix}{}", stage.id.value).into(),
        };
        let mut inner = Cow::Borrowed(around);
        if let (Some(matrix), Some(plan)) = (&stage.matrix, &plan) {
            id = format!("{id}:{}", plan.label).into();
            inner.to_mut().cx = self.cell_context(&around.cx, matrix, (plan, around.cell));
        }
        let condition = stage.condition.as_ref().and_then(crate::plan::tree::Tree::as_str);
        let site = Site {
            needs: Some(needs),
            beside: Some(beside),
            is_finally: around.phase == Phase::Finally,
            may_be_late: true,
            condition,
            shard: None,
            own: None,
            has_workers: false,
        };
        let mut condition_at = None;
        if let Some(tree) = &stage.condition
            && let Some(text) = self.condition(tree, &inner.cx, Site { condition: None, ..site })
        {
            condition_at = Some(inner.conditions.len());
            let frame = inner.cx.frame;
            inner.to_mut().conditions.push(Condition { text, place: tree.at, frame, views: Vec::new() });
        }
        let from = u32::try_from(self.nodes.len()).expect("limits::MAX_STAGES fits");
        let (label, values) = plan.map_or_else(Default::default, |plan| (plan.label, Some(plan.values.into())));
        let used = BTreeSet::new();
        let mut cell = Cell { label, values, nodes: from..from, file: None, condition_at, late: None, used };
        let slo = stage.slo.as_ref().map(|slo| (slo, inner.cx.clone(), id.clone()));
        if matches!(stage.body, Body::File { .. }) {
            self.file(&inner, stage, &id, site, &mut cell);
        } else {
            cell.late = self.node(&inner, stage, id, site)?.1;
        }
        if cell.used.is_empty() {
            cell.used = std::mem::take(&mut self.used);
        }
        cell.nodes.end = u32::try_from(self.nodes.len()).expect("limits::MAX_STAGES fits");
        if let Some((slo, cx, id)) = slo {
            self.stage_objective(slo, &cx, id.to_string(), cell.nodes.clone());
        }
        Some(cell)
    }

    fn cell_context(
        &mut self,
        cx: &Context,
        matrix: &Matrix,
        (plan, cell): (&CellPlan, Option<CellPlace>),
    ) -> Context {
        let values = Arc::new(plan.values.clone());
        let mut inner = self.derive(cx, |frame| (frame.matrix, frame.cell) = (values, cell));
        let status = |name: &str| match (plan.is_unknown, cell) {
            // A value that names a cell has a form inside text.
            (true, _) => Status::Unknown(Kinds::PLAIN),
            (false, Some(_)) if !plan.values.contains_key(name) => Status::Late(Kinds::PLAIN),
            (false, _) => Status::Known,
        };
        let declared: Declared =
            axis_names(matrix).into_iter().map(|name| (name.as_str().into(), status(&name))).collect();
        inner.matrix = Arc::new(declared);
        inner.scope.set("matrix", &Prepared::map(&plan.values));
        inner
    }

    /// Inlines a file: its stages become `id/sub`.
    fn file(&mut self, around: &Surround<'a>, stage: &'a Stage, id: &str, site: Site<'_>, cell: &mut Cell) {
        let Body::File { action, .. } = &stage.body else { return };
        let Some(file) = self.loaded.actions.get(*action) else { return };
        if around.chain.contains(action) || around.chain.len() >= limits::MAX_USES_DEPTH {
            return;
        }
        let cx = self.file_context(file, &around.cx, site, stage);
        cell.late = Some(cx.frame);
        cell.used = std::mem::take(&mut self.used);
        let mut scope = around.scope;
        if let Some(word) = &stage.on_failure {
            scope = self.push_scope(scope, format!("stage {id}"), word.value);
        }
        let fold = self.push_fold(Fold { parent: around.fold, name: id.to_owned(), kind: FoldKind::File });
        let mut pools = around.pools.clone();
        pools.extend(self.stage_pools(stage, &around.cx));
        let mut chain = around.chain.clone();
        chain.push(*action);
        let inner = Surround {
            plan: file,
            stages: &file.stages,
            prefix: format!("{id}/"),
            cx: cx.clone(),
            scope,
            group: around.group.clone(),
            number: around.number,
            fold: Some(fold),
            conditions: around.conditions.clone(),
            phase: around.phase,
            chain,
            pools,
            cell: around.cell,
        };
        let table = self.expand(&inner, None);
        let range = cell.nodes.start..u32::try_from(self.nodes.len()).expect("limits::MAX_STAGES fits");
        let needed: HashSet<NodeIx> =
            range.clone().flat_map(|ix| self.nodes[ix as usize].needs.iter().map(|need| need.node)).collect();
        let mut view = self.file_view(file, &cx, &table);
        let nodes = || range.clone().map(NodeIx::new);
        view.roots = nodes().filter(|node| self.nodes[node.raw() as usize].needs.is_empty()).collect();
        view.leaves = nodes().filter(|node| !needed.contains(node)).collect();
        cell.file = Some(Box::new(view));
    }

    /// The declared outputs of a file, checked against its stages.
    fn file_view(&mut self, file: &'a Plan, cx: &Context, table: &Table<'a>) -> FileView {
        let beside = Beside::new(&file.stages);
        let needs = file.stages.iter().map(|stage| (under(&stage.id.value), self.describe(stage))).collect();
        let site = Site { needs: Some(&needs), beside: Some(&beside), may_be_late: true, ..Site::default() };
        self.used.clear();
        let mut outputs = Vec::new();
        for output in &file.outputs {
            self.value(&output.value, cx, site);
            let text = output
                .value
                .as_str()
                .map_or_else(|| super::types::literal(&output.value).to_string(), str::to_owned);
            outputs.push((under(&output.name.value).into(), text.into()));
        }
        let used = std::mem::take(&mut self.used);
        let views = table
            .iter()
            .filter(|made| is_used(&used, &made.stage.id.value))
            .map(|made| super::edges::view(made, &made.cells().iter().collect::<Vec<_>>(), false))
            .collect();
        FileView { roots: Vec::new(), leaves: Vec::new(), outputs, frame: cx.frame, views }
    }
}

/// Whether the texts that read `used` read the stage `id`.
pub(super) fn is_used(used: &BTreeSet<Box<str>>, id: &str) -> bool {
    !used.is_empty() && (used.contains("*") || used.contains(&*under(id)))
}

/// Whether anything of `stage` is computed, so that its names must be checked.
fn has_templates(stage: &Stage) -> bool {
    let is_plain = |tree: &crate::plan::tree::Tree| {
        tree.as_str().is_some_and(|text| !crate::render::Template::is_template(text))
    };
    let argv = |command: &crate::plan::model::Command| match command {
        crate::plan::model::Command::Script(_) => true,
        crate::plan::model::Command::Argv(_, words) => words.iter().all(is_plain),
    };
    let is_plain_body = match &stage.body {
        Body::Run(command) => argv(command),
        Body::Approval { prompt, asked, .. } => {
            prompt.as_ref().is_none_or(is_plain) && asked.items.iter().all(|(_, text)| is_plain(text))
        }
        Body::File { .. } | Body::Action { .. } | Body::Env { .. } | Body::Gate { .. } => false,
    };
    !(is_plain_body
        && stage.matrix.as_ref().is_none_or(|matrix| matrix.late.is_none())
        && stage.heal.is_empty()
        && !matches!(stage.rollback, Some(Rollback::Body(_)))
        && stage.condition.is_none()
        && !matches!(&stage.shards, Some(shards) if matches!(shards.items, crate::plan::model::Items::From(_)))
        && stage.common.cwd.as_ref().is_none_or(is_plain)
        && stage.done_if.as_ref().is_none_or(argv)
        && stage.common.env.iter().all(|(_, tree)| is_plain(tree)))
}
