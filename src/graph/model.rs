//! What a graph is made of.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use crate::base::{IdVec, NodeIx, PoolIx, ScopeIx, Span, Text};
use crate::plan::{FileIx, Place};
use crate::render::Value;

pub use super::cells::{LateMatrix, Place as CellPlace, Slot};
pub use super::rules::{Consent, Frozen, LockRule, MoreRules, Retry, Rules, Split, Terms, Undo};
pub use super::work::{Cache, Command, INPUT_SECRET, Items, MoreProcess, Process, Work};

/// A frozen graph. Made by [`Graph::assemble`] only, so that its edges, order and priorities agree.
#[derive(Clone, Debug)]
pub struct Graph {
    /// The plan's name.
    pub name: String,
    /// Nodes in written order; matrix cells and sub-stages beside each other.
    pub nodes: IdVec<NodeIx, Node>,
    /// Failure scopes; number 0 is the plan itself.
    pub scopes: IdVec<ScopeIx, Scope>,
    /// Pools of the plan, then the implicit ones (`max-parallel` of a matrix or of a stage's shards).
    pub pools: IdVec<PoolIx, Pool>,
    /// What nodes fold into when drawn: groups, matrices, `uses` files.
    pub folds: Vec<Fold>,
    /// Naming contexts for expressions; a node points at its own.
    pub frames: Vec<Frame>,
    /// Limits of the run.
    pub settings: Settings,
    /// Matrices whose cells an earlier stage gives.
    pub matrices: Vec<LateMatrix>,
    /// Groups, those of the plan first.
    pub groups: Vec<super::objective::Group>,
    /// Every `slo`.
    pub objectives: Vec<super::objective::Objective>,
    /// Who needs a node: the reverse of `Node::needs`, as one list with offsets.
    pub(super) dependents: Vec<NodeIx>,
    /// Where each node's dependents begin; one longer than `nodes`.
    pub(super) dependent_offsets: Vec<u32>,
    /// A topological order.
    pub(super) order: Vec<NodeIx>,
    /// What undoes a node.
    pub(super) undone_by: BTreeMap<NodeIx, NodeIx>,
    /// What heals a node, in the order in which it is tried.
    pub(super) ladders: BTreeMap<NodeIx, Vec<NodeIx>>,
    /// Critical-path weight: longest expected time from a node's start to the end of the run, in ms.
    pub(super) priority: IdVec<NodeIx, u64>,
    /// Nodes by id, sorted when first asked for.
    pub(super) by_id: OnceLock<Vec<NodeIx>>,
}

/// Limits and facts of the whole run.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `max-parallel` of the plan, `-j` when given, else the number of processors.
    pub max_parallel: u32,
    /// Some of the items of its sharded stages are left to other runs (`--shard`).
    pub is_part: bool,
    /// `timeout` of the run.
    pub timeout: Option<Span>,
    /// `finally.budget`.
    pub finally_budget: Option<Span>,
    /// `heal-depth`, when the plan has one.
    pub heal_depth: Option<u32>,
    /// `lock`, resolved.
    pub lock: Option<LockRule>,
    /// `environment`, resolved.
    pub environment: Option<Arc<Deployed>>,
    /// When the environment's policy lets nothing be changed.
    pub freezes: Vec<Frozen>,
}

/// The environment of a plan as its expressions see it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Deployed {
    /// Its name.
    pub name: String,
    /// `env.…`: every value that is no secret.
    pub values: serde_json::Map<String, Value>,
    /// How many secrets it declares.
    pub secrets: usize,
    /// Its policy in words.
    pub policy: Vec<String>,
}

/// A failure scope.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scope {
    /// The scope around it; the plan's own has none.
    pub parent: Option<ScopeIx>,
    /// What people call it: `plan`, `group runtime`, `matrix rollout`, `stage deploy`.
    pub name: String,
    /// What happens when one of its stages fails.
    pub policy: Policy,
}

/// A failure policy, resolved: a scope without a word of its own has its parent's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Policy {
    /// What runs ends, nothing new starts in the run.
    Drain,
    /// As `Drain`, and the scope's running stages are stopped.
    Kill,
    /// The failure stays in the scope: dependants are blocked, the rest goes on.
    Continue,
    /// As `Drain`, and then what the scope has done is undone.
    Rollback,
}

/// A weighted limit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pool {
    /// `database`, or `rollout max-parallel`.
    pub name: String,
    /// How much may be in use at once; at least 1.
    pub capacity: u32,
}

/// Something several nodes fold into when drawn.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fold {
    /// The fold around it, an index into `Graph::folds`.
    pub parent: Option<u32>,
    /// Its name: the group's, or the id before `:` or `/`.
    pub name: String,
    /// What it is.
    pub kind: FoldKind,
}

/// Why nodes fold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FoldKind {
    /// A group of the plan.
    Group,
    /// The cells of a matrix.
    Matrix,
    /// The sub-stages of a `uses: ./file.yaml` stage.
    File,
}

/// A naming context: what `inputs`, `vars` and `matrix` mean for the expressions of some nodes.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Frame {
    /// `inputs.…` (of the plan, or of the action file, or of the action).
    pub inputs: Arc<serde_json::Map<String, Value>>,
    /// `vars.…`, resolved.
    pub vars: Arc<serde_json::Map<String, Value>>,
    /// `matrix.…` of the cell.
    pub matrix: Arc<serde_json::Map<String, Value>>,
    /// The cell that `matrix.…` is about, where an earlier stage gives its value.
    pub cell: Option<CellPlace>,
    /// `group.name`.
    pub group: Option<String>,
    /// Inputs and vars that are only known while the plan runs: `with` values that use `needs.…`.
    pub late: Vec<Late>,
    /// Another frame that holds the `late` values of this one: the cells of a matrix share them.
    pub late_from: Option<FrameIx>,
}

/// A name whose value is computed when it is used.
#[derive(Clone, PartialEq, Debug)]
pub struct Late {
    /// `inputs` or `vars`.
    pub root: &'static str,
    /// The name, as an expression writes it.
    pub name: Box<str>,
    /// The template that gives its value.
    pub text: Box<str>,
    /// The frame that the template is read in: that of the stage that wrote `with`.
    pub frame: FrameIx,
    /// What `needs.…` means to the template.
    pub views: Vec<View>,
    /// What the value must be, where that is declared.
    pub kind: Option<crate::plan::model::Type>,
}

/// Which frame.
pub type FrameIx = u32;

/// A stage as a vertex. What few stages have is read through it: `node.conditions`.
#[derive(Clone, Debug)]
pub struct Node {
    /// `deploy/migrate`, `rollout:eu,blue`.
    pub id: Text,
    /// The stage's own id in its file, for messages and for `needs.…`.
    pub stage: Text,
    /// Where the stage is written.
    pub place: Place,
    /// When it has its turn.
    pub phase: Phase,
    /// The group, by name.
    pub group: Option<Text>,
    /// What it folds into.
    pub fold: Option<u32>,
    /// The innermost failure scope.
    pub scope: ScopeIx,
    /// What must have ended before it may start.
    pub needs: Vec<Need>,
    /// What it does.
    pub work: Work,
    /// Selected by `--only`, `--skip`, `--from`, `--to`. An unselected node is skipped at once, and its
    /// dependents take it as accepted: they also need what it would have waited for.
    pub selected: bool,
    /// The rules `run` goes by.
    pub rules: Rules,
    /// Its naming context.
    pub frame: FrameIx,
    /// What is seldom there.
    pub more: Option<Box<MoreNode>>,
}

/// What few nodes have; read through the node: `node.views`.
#[derive(Clone, Debug, Default)]
pub struct MoreNode {
    /// The stage's description.
    pub description: Option<Text>,
    /// The cell that it belongs to, of a matrix whose cells an earlier stage gives.
    pub cell: Option<CellPlace>,
    /// What `needs.NAME` means in its expressions.
    pub views: Vec<View>,
    /// `if` of the stage and of the `uses` stages around it; all must be true.
    pub conditions: Vec<Condition>,
    /// The stage that it undoes, of a node of the rollback.
    pub undoes: Option<NodeIx>,
    /// The stage that it heals, of a body of `heal`.
    pub heals: Option<NodeIx>,
    /// Who came after it, of a stage that an edit took out of the plan: it never starts, and waits to be undone.
    pub retired: Option<Vec<NodeIx>>,
}

/// Main stages, the clean-up, or what sleeps until something went wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Phase {
    /// `stages`.
    Main,
    /// `finally.stages`: start when the main phase is over.
    Finally,
    /// `rollback` of a stage: sleeps until a rollback begins that undoes the stage.
    Rollback,
    /// A body of a stage's `heal`: sleeps until the stage has failed and it is its turn.
    Heal,
    /// `stages` with `background: true`: start when the verdict is decided, and never change it.
    Background,
}

/// One edge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Need {
    /// Who must have ended.
    pub node: NodeIx,
    /// With what.
    pub accept: Accept,
}

/// A set of end states.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Accept {
    /// success, cached, allowed-failure.
    pub success: bool,
    /// skipped.
    pub skipped: bool,
    /// failed, timed-out, blocked.
    pub failed: bool,
}

impl Accept {
    /// What a need without `accept` takes.
    pub const DEFAULT: Self = Self { success: true, skipped: true, failed: false };
}

/// What `needs.NAME` resolves to.
#[derive(Clone, PartialEq, Debug)]
pub struct View {
    /// The name as an expression writes it (`-` became `_`).
    pub name: Box<str>,
    /// What it means.
    pub target: Target,
}

/// See [`View`].
#[derive(Clone, PartialEq, Debug)]
pub enum Target {
    /// One node: `.state`, `.outputs.x`.
    Node(NodeIx),
    /// A matrix: `.outputs` maps cell label to outputs; `.state` is the worst state.
    Cells(Vec<(Box<str>, NodeIx)>),
    /// A `uses: ./file.yaml` stage: its declared outputs, over the views of the file.
    File {
        /// All sub-stages, for `.state`.
        nodes: Vec<NodeIx>,
        /// Output name, its template text, the frame and the views it is rendered with.
        outputs: Vec<(Box<str>, Box<str>)>,
        /// The file's own frame.
        frame: FrameIx,
        /// The file's own views.
        views: Vec<View>,
    },
}

/// An `if`.
#[derive(Clone, PartialEq, Debug)]
pub struct Condition {
    /// The bare expression.
    pub text: Box<str>,
    /// Where it is written.
    pub place: Place,
    /// What its names mean.
    pub frame: FrameIx,
    /// What `needs.…` means to it (for an outer `uses` stage these are the outer stage's needs).
    pub views: Vec<View>,
}

impl Node {
    /// A plain node that needs the nodes at these places.
    #[cfg(test)]
    pub(super) fn after(id: &str, needs: &[u32]) -> Self {
        let needs = needs.iter().map(|&at| Need { node: NodeIx::new(at), accept: Accept::DEFAULT });
        Self { needs: needs.collect(), ..Self::plain(id) }
    }

    /// A node that runs `true`: in the plan's own scope, selected, needing nothing.
    pub fn plain(id: &str) -> Self {
        Self {
            id: id.into(),
            stage: id.into(),
            place: Place { file: FileIx(0), start: 0, end: 0 },
            phase: Phase::Main,
            group: None,
            fold: None,
            scope: ScopeIx::new(0),
            needs: Vec::new(),
            work: Work::Process(Box::default()),
            selected: true,
            rules: Rules::default(),
            frame: 0,
            more: None,
        }
    }
}

impl Graph {
    /// Who needs `node`.
    pub fn dependents(&self, node: NodeIx) -> &[NodeIx] {
        let [from, to] = [0, 1].map(|next| self.dependent_offsets[node.raw() as usize + next] as usize);
        &self.dependents[from..to]
    }

    /// A topological order: needs before those who need them.
    pub fn order(&self) -> &[NodeIx] {
        &self.order
    }

    /// The stages, in written order: all nodes but those that sleep until they are called, and places for cells that
    /// nobody has given.
    pub fn stages(&self) -> impl Iterator<Item = (NodeIx, &Node)> {
        self.nodes.pairs().filter(|(ix, node)| node.phase.is_stage() && !self.is_hidden(*ix))
    }

    /// Critical-path weight of `node`, in ms: the larger, the sooner it should start.
    pub fn priority(&self, node: NodeIx) -> u64 {
        self.priority[node]
    }
}
