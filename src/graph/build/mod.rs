//! From a loaded plan and its inputs to the graph, with every check that needs both.
//!
//! `inputs` resolves values, `context` knows what names mean and checks each of them, `eval` evaluates texts, `expand` turns stages
//! into nodes (matrix cells, actions, sub-stages of files), `body` says what a node does, `edges` ties them.
//! All errors go to the report; a graph comes out only when there are none.
//!
//! What a text may hold when it leaves here: a text without `{{` is final. A text with `{{` is a template that
//! `graph::scope` renders when its stage starts, in the node's frame. A value never becomes a template: what
//! renders to something with `{{` in it is kept as written and rendered late.
//!
//! `with` of a `uses` may hold templates over `needs`; those inputs are *late*: they can be used in texts and
//! conditions of the file, not in what shapes the graph (matrix, shards, limits).

mod background;
mod beside;
mod body;
mod checks;
mod context;
mod edges;
mod environment;
mod eval;
mod expand;
mod gates;
mod inputs;
pub(crate) mod items;
mod late;
mod lines;
mod matrix;
mod needed;
mod objectives;
mod policy;
mod read;
mod secrets;
mod settings;
mod undo;
pub mod world;

use std::collections::BTreeSet;

pub use self::environment::environment_name;
pub use self::secrets::input_variable;
use self::world::World;
use super::assemble::Parts;
use super::model::{Fold, Frame, FrameIx, Graph, LateMatrix, Node, Policy, Pool, Scope, Target};
use super::objective::{Group, Objective, Subject};
use super::select::{self, Refusal, Selection};
use crate::base::{NodeIx, PoolIx, ScopeIx, Span, limits};
use crate::plan::model::OnFailure;
use crate::plan::{Loaded, Place, Report};
use crate::render::Value;

/// How much must be known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// `check`, `graph`: a required input without a value is an unknown of its type.
    Check,
    /// `plan`: all inputs must be there.
    Plan,
    /// `run`: as `Plan`.
    Run,
}

/// A value given for an input.
#[derive(Clone, PartialEq, Debug)]
pub struct Given {
    /// The input's name.
    pub name: String,
    /// Its value.
    pub value: GivenValue,
    /// Where it comes from, for messages: `--set tag=…`, `ENGINE_INPUT_TAG`, `prod.yaml`.
    pub source: String,
}

/// See [`Given`].
#[derive(Clone, PartialEq, Debug)]
pub enum GivenValue {
    /// Text, read as the input's type.
    Text(String),
    /// A value that already has a type.
    Typed(Value),
}

/// What a graph is built for.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    /// How much must be known.
    pub mode: Mode,
    /// Input values, the strongest source first: the first one that names an input wins.
    pub inputs: Vec<Given>,
    /// `-j`.
    pub jobs: Option<u32>,
    /// Attempts at once when neither `-j` nor the plan says: the number of processors.
    pub processors: u32,
    /// `-k`: failures stay where they are.
    pub keep_going: bool,
    /// `--only`, `--skip`, `--from`, `--to`.
    pub selection: Selection,
    /// `--break-glass`: the policy of the environment asks for nothing.
    pub overrides: bool,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            mode: Mode::Check,
            inputs: Vec::new(),
            jobs: None,
            processors: 2,
            keep_going: false,
            selection: Selection::default(),
            overrides: false,
        }
    }
}

/// Builds the graph of `loaded`. Everything wrong with the plan goes to `report`. All checks run in any case, so that all
/// errors come at once.
///
/// # Errors
/// `report` holds an error, also one from before, or the selection makes no sense: then that is what is given back.
pub fn build(
    loaded: &Loaded,
    request: &Request,
    world: &dyn World,
    report: &mut Report,
) -> Result<Graph, Vec<Refusal>> {
    let count = report.len();
    let mut builder = Builder::new(loaded, request, world, report);
    let graph = builder.run();
    let (told, refusals) = (builder.told, builder.refusals);
    report.forget_repeats(count, &told);
    graph.ok_or(refusals)
}

pub(super) struct Builder<'a> {
    loaded: &'a Loaded,
    request: &'a Request,
    world: &'a dyn World,
    report: &'a mut Report,
    /// Where the checks of single files found errors, in order.
    told: Vec<Place>,
    nodes: Vec<Node>,
    scopes: Vec<Scope>,
    pools: Vec<Pool>,
    folds: Vec<Fold>,
    frames: Vec<Frame>,
    matrices: Vec<LateMatrix>,
    groups: Vec<Group>,
    objectives: Vec<Objective>,
    /// A file lacks what was wrong in it, so a name that is not found may still be right.
    is_partial: bool,
    /// A file lacks stages, so a stage that is not found may still be there.
    lacks_stages: bool,
    edges: usize,
    /// The needs that the texts of the current stage read; `*` for all.
    used: BTreeSet<Box<str>>,
    /// A limit was passed and has been reported; nothing more is made.
    is_full: bool,
    /// What undoes and heals stages: they follow all of these.
    undos: Vec<Node>,
    /// The budget of `finally`, which ends its stages.
    budget: Option<Span>,
    /// What is wrong with the selection.
    refusals: Vec<Refusal>,
}

impl<'a> Builder<'a> {
    /// A builder that has built nothing yet.
    fn new(loaded: &'a Loaded, request: &'a Request, world: &'a dyn World, report: &'a mut Report) -> Self {
        Self {
            told: report.error_places(),
            loaded,
            request,
            world,
            report,
            nodes: Vec::with_capacity(loaded.plan.stages.len().min(limits::MAX_STAGES)),
            scopes: Vec::new(),
            pools: Vec::new(),
            folds: Vec::new(),
            frames: Vec::new(),
            matrices: Vec::new(),
            groups: Vec::new(),
            objectives: Vec::new(),
            is_partial: loaded.plan.partial || loaded.actions.iter().any(|action| action.partial),
            lacks_stages: loaded.plan.lacks_stages || loaded.actions.iter().any(|action| action.lacks_stages),
            edges: 0,
            used: BTreeSet::new(),
            is_full: false,
            undos: Vec::new(),
            budget: None,
            refusals: Vec::new(),
        }
    }
}

impl Builder<'_> {
    fn run(&mut self) -> Option<Graph> {
        let plan = &self.loaded.plan;
        let policy = match (self.request.keep_going, &plan.on_failure) {
            (true, _) => Policy::Continue,
            (false, Some(declared)) => policy(declared.value),
            (false, None) => Policy::Drain,
        };
        self.scopes.push(Scope { parent: None, name: "plan".to_owned(), policy });
        let cx = self.plan_context();
        self.check_environment(&cx);
        let settings = self.settings(&cx);
        self.budget = settings.finally_budget;
        self.plan_pools(&cx);
        self.objective(plan.slo.as_ref(), &cx, (Subject::Run, String::new()));
        self.expand_plan(&cx);
        self.lay_undos();
        self.check_policy();
        self.mark_read();
        self.gather_objectives();
        let parts = Parts {
            name: plan.name.value.to_string(),
            nodes: std::mem::take(&mut self.nodes),
            scopes: std::mem::take(&mut self.scopes),
            pools: std::mem::take(&mut self.pools),
            folds: std::mem::take(&mut self.folds),
            frames: std::mem::take(&mut self.frames),
            matrices: std::mem::take(&mut self.matrices),
            settings,
            groups: std::mem::take(&mut self.groups),
            objectives: std::mem::take(&mut self.objectives),
        };
        let mut graph = match Graph::assemble(parts) {
            Ok(graph) => graph,
            Err(knots) => {
                self.cycles(&knots);
                return None;
            }
        };
        if !self.report.has_errors() {
            self.check_finally(&graph);
        }
        self.refusals = select::apply(&mut graph, &self.request.selection);
        if self.refusals.is_empty() {
            self.check_selection(&graph);
            self.check_demanded(&graph);
        }
        (!self.report.has_errors() && self.refusals.is_empty()).then_some(graph)
    }

    /// Marks sharded stages whose outputs some text reads: only theirs are kept while the plan runs.
    fn mark_read(&mut self) {
        let mut read = Vec::new();
        for node in &self.nodes {
            let conditions = node.conditions.iter().flat_map(|condition| &condition.views);
            node.views.iter().chain(conditions).for_each(|view| reads(&view.target, &mut read));
        }
        let lates = self.frames.iter().flat_map(|frame| &frame.late);
        lates.flat_map(|late| &late.views).for_each(|view| reads(&view.target, &mut read));
        self.matrices.iter().flat_map(|it| &it.views).for_each(|view| reads(&view.target, &mut read));
        for node in read {
            if let Some(split) = &mut self.nodes[node.raw() as usize].rules.split {
                split.is_read = true;
            }
        }
    }

    /// Adds a node, unless the graph is full.
    fn push_node(&mut self, node: Node) -> Option<NodeIx> {
        if self.nodes.len() >= limits::MAX_STAGES {
            self.fill(node.place, format!("the plan has more than {} stages (MAX_STAGES)", limits::MAX_STAGES));
            return None;
        }
        self.nodes.push(node);
        Some(NodeIx::new(u32::try_from(self.nodes.len() - 1).expect("limits::MAX_STAGES fits")))
    }

    /// Whether the check of its file has refused something from `first` up to byte `end` of that file.
    fn is_told(&self, first: Place, end: u32) -> bool {
        let at = self.told.partition_point(|told| (told.file, told.start) < (first.file, first.start));
        self.told.get(at).is_some_and(|told| told.file == first.file && told.start < end)
    }

    fn fill(&mut self, at: Place, message: String) {
        if !self.is_full {
            self.is_full = true;
            self.error("plan::too-large", at, message);
        }
    }

    fn push_scope(&mut self, parent: ScopeIx, name: String, declared: OnFailure) -> ScopeIx {
        self.scopes.push(Scope { parent: Some(parent), name, policy: policy(declared) });
        ScopeIx::new(u32::try_from(self.scopes.len() - 1).expect("limits::MAX_STAGES fits"))
    }

    fn push_pool(&mut self, name: String, capacity: u32) -> PoolIx {
        self.pools.push(Pool { name, capacity });
        PoolIx::new(u32::try_from(self.pools.len() - 1).expect("limits::MAX_STAGES fits"))
    }

    fn push_fold(&mut self, fold: Fold) -> u32 {
        self.folds.push(fold);
        u32::try_from(self.folds.len() - 1).expect("limits::MAX_STAGES fits")
    }

    fn frame_mut(&mut self, frame: FrameIx) -> &mut Frame {
        &mut self.frames[frame as usize]
    }
}

/// The nodes that a view leads to.
fn reads(target: &Target, found: &mut Vec<NodeIx>) {
    match target {
        Target::Node(node) => found.push(*node),
        Target::Cells(cells) => found.extend(cells.iter().map(|(_, node)| *node)),
        Target::File { nodes, views, .. } => {
            found.extend(nodes);
            for view in views {
                reads(&view.target, found);
            }
        }
    }
}

const fn policy(declared: OnFailure) -> Policy {
    match declared {
        OnFailure::Drain => Policy::Drain,
        OnFailure::Kill => Policy::Kill,
        OnFailure::Continue => Policy::Continue,
        OnFailure::Rollback => Policy::Rollback,
    }
}

pub(super) use crate::plan::error::nearest;
pub use crate::plan::types;

#[cfg(test)]
mod tests;
