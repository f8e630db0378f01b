//! What names mean once the plan runs: conditions, and texts that could not be rendered before.
//!
//! The builder renders what is known when the graph is built and leaves the rest as written. Here the rest
//! gets its values: `needs.…`, `shard.…`, `run.…`, `self.…`, and inputs of an action that were given by a
//! template over `needs`. A name that the text does not use is never computed.

use std::collections::BTreeMap;

use serde_json::Map;

use super::build::types;
use super::model::{Frame, FrameIx, Graph, Items, Late, Target, View, Work};
use super::shards::Slice;
use crate::base::NodeIx;
use crate::base::limits::MAX_USES_DEPTH;
use crate::render::{Error, Expr, Fault, Name, Scope, Template, Tree, Value};

mod preview;
mod reads;

pub use preview::Foreseen;
pub(super) use preview::Nothing;
pub use reads::Reads;

/// What the run knows when a text is rendered.
pub trait Facts {
    /// The state of a stage in the product's words: `success`, `timed-out`, `pending` …
    fn state(&self, node: NodeIx) -> &'static str;

    /// The outputs of a stage that succeeded (also from the cache); `None` for any other.
    fn outputs(&self, node: NodeIx) -> Option<&[(String, Value)]>;

    /// `run.id`.
    fn run_id(&self) -> &str;

    /// `run.state`: what the run comes to, as far as it is known: `success`, `failed`, `cancelled` …
    fn run_state(&self) -> &'static str;

    /// Whether it can be told yet how `node` ended, or with `outputs` what it left as well. Only a run that is
    /// thought through ahead says no.
    fn is_known(&self, _node: NodeIx, _outputs: bool) -> bool {
        true
    }

    /// What the shards of a stage that succeeded wrote, by number; `None` for any other.
    fn shard_outputs(&self, _node: NodeIx) -> Option<&BTreeMap<u32, Vec<(String, Value)>>> {
        None
    }

    /// The items of a shard, where they are not those that the graph says.
    fn slice(&self, _node: NodeIx, _shard: u32) -> Option<Slice> {
        None
    }

    /// `shard.file`: the path of the file with the shard's items, once it is written.
    fn shard_file(&self, node: NodeIx, shard: u32) -> Option<&str>;
}

/// Where a text is read: the stage and its slice.
#[derive(Clone, Copy)]
struct Spot<'a> {
    node: NodeIx,
    shard: u32,
    frame: FrameIx,
    views: &'a [View],
    depth: usize,
}

impl Graph {
    /// Whether all conditions of `node` hold: those of the `uses` stages around it first, its own last.
    ///
    /// # Errors
    /// A condition that cannot be evaluated or is not boolean; its range is inside that condition's text.
    pub fn holds(&self, node: NodeIx, facts: &dyn Facts) -> Result<bool, Error> {
        let mut later = None;
        for condition in &self.nodes[node].conditions {
            let expr = Expr::parse(&condition.text)?;
            let (frame, views) = (condition.frame, &condition.views[..]);
            let spot = Spot { node, shard: 0, frame, views, depth: 0 };
            match self.scope(spot, expr.names(), facts).and_then(|scope| expr.holds(&scope)) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                // Another one may be false whatever this one comes to.
                Err(error) if error.fault == Fault::Later => later = Some(error),
                Err(error) => return Err(later.unwrap_or(error)),
            }
        }
        later.map_or(Ok(true), Err)
    }

    /// `text` of `node` with its `{{ … }}` replaced, for one shard.
    ///
    /// # Errors
    /// A template that cannot be evaluated; its range is inside `text`.
    pub fn text(&self, node: NodeIx, shard: u32, text: &str, facts: &dyn Facts) -> Result<String, Error> {
        if !Template::is_template(text) {
            return Ok(text.to_owned());
        }
        let template = Template::parse(text)?;
        let body = &self.nodes[node];
        let spot = Spot { node, shard, frame: body.frame, views: &body.views, depth: 0 };
        let names: Vec<Name> = template.names().collect();
        template.render(&self.scope(spot, &names, facts)?)
    }

    /// The value of `text` of `node`, which may be one whole `{{ … }}`.
    ///
    /// # Errors
    /// As [`Graph::text`].
    pub fn value(&self, node: NodeIx, text: &str, facts: &dyn Facts) -> Result<Value, Error> {
        let body = &self.nodes[node];
        self.late(Spot { node, shard: 0, frame: body.frame, views: &body.views, depth: 0 }, text, facts)
    }

    /// The value of `text` read in `frame` with `views`.
    fn late(&self, spot: Spot<'_>, text: &str, facts: &dyn Facts) -> Result<Value, Error> {
        let template = Template::parse(text)?;
        let names: Vec<Name> = template.names().collect();
        template.eval(&self.scope(spot, &names, facts)?)
    }

    /// The roots that `names` use.
    fn scope(&self, spot: Spot<'_>, names: &[Name], facts: &dyn Facts) -> Result<Scope, Error> {
        let mut scope = Scope::new();
        for name in names {
            match &*name.path[0] {
                "inputs" => scope.set("inputs", &self.known(spot, "inputs", names, facts)?),
                "vars" => scope.set("vars", &self.known(spot, "vars", names, facts)?),
                "matrix" => scope.set("matrix", &self.cell(spot.frame, name)?),
                "group" => scope.set("group", &pairs([("name", self.frame(spot.frame).group.clone().into())])),
                "needs" => scope.set("needs", &self.needs(spot, names, facts)?),
                "shard" => scope.set("shard", &self.shard(spot, facts)),
                "run" => {
                    scope.set("run", &pairs([("id", facts.run_id().into()), ("state", facts.run_state().into())]));
                }
                "self" => scope.set("self", &self.own(spot.node, facts)),
                "env" => scope.set(
                    "env",
                    &self.settings.environment.as_ref().map_or_else(Tree::default, |env| Tree::map(&env.values)),
                ),
                "secrets" => return Err(secret(name)),
                _ => {}
            }
        }
        Ok(scope)
    }

    /// `self`: the stage; in its rollback with what became of it and what it wrote.
    fn own(&self, node: NodeIx, facts: &dyn Facts) -> Tree {
        let stage = self.nodes[node].undoes.unwrap_or(node);
        let it = &self.nodes[stage];
        let mut own = Map::new();
        own.insert("id".to_owned(), (&*it.id).into());
        own.insert("stage".to_owned(), (&*it.stage).into());
        if stage != node {
            own.insert("state".to_owned(), facts.state(stage).into());
            own.insert("outputs".to_owned(), self.outputs(stage, facts));
        }
        Tree::map(&own)
    }

    /// `matrix`, with what an earlier stage gave.
    fn cell(&self, frame: FrameIx, name: &Name) -> Result<Tree, Error> {
        let frame = self.frame(frame);
        let Some(cell) = frame.cell else { return Ok(Tree::map(&frame.matrix)) };
        let matrix = &self.matrices[cell.matrix as usize];
        let turn = matrix.slots[cell.slot as usize].turn;
        let mut map = Map::clone(&frame.matrix);
        match &matrix.values[turn as usize] {
            Some(value) => {
                map.insert(matrix.axis.to_string(), value.clone());
            }
            None if name.path.get(1).is_none_or(|part| **part == *matrix.axis) => return Err(only_the_run()),
            None => {}
        }
        Ok(Tree::map(&map))
    }

    /// The value that gives the cells of the matrix that `node` belongs to.
    ///
    /// # Errors
    /// As [`Graph::text`].
    pub fn cells(&self, node: NodeIx, facts: &dyn Facts) -> Result<Value, Error> {
        let Some(matrix) = self.late_matrix(node) else { return Ok(Value::Null) };
        let spot = Spot { node, shard: 0, frame: matrix.frame, views: &matrix.views, depth: 0 };
        self.late(spot, &matrix.text, facts)
    }

    fn frame(&self, frame: FrameIx) -> &Frame {
        &self.frames[frame as usize]
    }

    /// The late values that `frame` sees.
    fn lates(&self, frame: FrameIx) -> &[Late] {
        let own = self.frame(frame);
        &own.late_from.map_or(own, |from| self.frame(from)).late
    }

    /// `inputs` or `vars`, with the late ones among them that `names` use.
    fn known(&self, spot: Spot<'_>, root: &'static str, names: &[Name], facts: &dyn Facts) -> Result<Tree, Error> {
        let frame = self.frame(spot.frame);
        let map = if root == "inputs" { &frame.inputs } else { &frame.vars };
        let used: Vec<&Late> = self
            .lates(spot.frame)
            .iter()
            .filter(|late| late.root == root && uses(names, root, &late.name))
            .collect();
        if used.is_empty() {
            return Ok(Tree::map(map));
        }
        assert!(spot.depth <= 2 * MAX_USES_DEPTH, "late values only read frames around their own");
        let mut map = Map::clone(map);
        for late in used {
            let inner = Spot { frame: late.frame, views: &late.views, depth: spot.depth + 1, ..spot };
            let value = self.late(inner, &late.text, facts)?;
            let value = match late.kind {
                Some(kind) => types::check(kind, value).map_err(|message| Error {
                    fault: Fault::Type,
                    message: format!("`{root}.{}`: {message}", late.name),
                    range: None,
                    help: None,
                })?,
                None => value,
            };
            map.insert(late.name.to_string(), value);
        }
        Ok(Tree::map(&map))
    }

    /// `needs`, only the views that `names` use.
    fn needs(&self, spot: Spot<'_>, names: &[Name], facts: &dyn Facts) -> Result<Tree, Error> {
        let mut map = Map::new();
        for view in spot.views.iter().filter(|view| uses(names, "needs", &view.name)) {
            let reads = |name: &Name| uses(std::slice::from_ref(name), "needs", &view.name);
            let wants_outputs =
                names.iter().any(|name| reads(name) && name.path.get(2).is_none_or(|part| &**part != "state"));
            map.insert(view.name.to_string(), self.view(spot, &view.target, wants_outputs, facts)?);
        }
        Ok(Tree::map(&map))
    }

    fn view(
        &self,
        spot: Spot<'_>,
        target: &Target,
        wants_outputs: bool,
        facts: &dyn Facts,
    ) -> Result<Value, Error> {
        known_yet(target, wants_outputs, facts)?;
        let (state, outputs) = match target {
            Target::Node(node) => (facts.state(*node), self.outputs(*node, facts)),
            Target::Cells(cells) => {
                let there = || cells.iter().filter(|(_, node)| !self.is_absent(*node));
                let label = |label, node| self.cell_label(node).unwrap_or(label).to_owned();
                let outputs = there().map(|(name, node)| (label(name, *node), self.outputs(*node, facts)));
                (worst(there().map(|(_, node)| facts.state(*node))), outputs.collect())
            }
            Target::File { nodes, outputs, frame, views } => {
                let state = worst(nodes.iter().map(|&node| facts.state(node)));
                let mut map = Map::new();
                for (name, text) in outputs.iter().filter(|_| wants_outputs) {
                    let inner = Spot { frame: *frame, views, depth: spot.depth + 1, ..spot };
                    let is_there = matches!(state, "success" | "cached" | "allowed-failure");
                    let value = if is_there { self.late(inner, text, facts)? } else { Value::Null };
                    map.insert(name.to_string(), value);
                }
                (state, Value::Object(map))
            }
        };
        Ok(Value::Object(
            [("state".to_owned(), state.into()), ("outputs".to_owned(), outputs)].into_iter().collect(),
        ))
    }

    /// The declared outputs of `node`; each is none unless the stage succeeded and wrote it.
    fn outputs(&self, node: NodeIx, facts: &dyn Facts) -> Value {
        if self.nodes[node].rules.split.is_some() {
            let named = |outputs: &Vec<(String, Value)>| -> Value {
                outputs.iter().map(|(name, value)| (under(name), value.clone())).collect()
            };
            let shards = facts.shard_outputs(node).into_iter().flatten();
            return shards.map(|(shard, outputs)| (shard.to_string(), named(outputs))).collect();
        }
        let written = facts.outputs(node).unwrap_or(&[]);
        let mut map = Map::new();
        if let Work::Process(process) = &self.nodes[node].work {
            map.extend(process.outputs.iter().map(|(name, _)| (under(name), Value::Null)));
        }
        map.extend(written.iter().map(|(name, value)| (under(name), value.clone())));
        Value::Object(map)
    }

    fn shard(&self, spot: Spot<'_>, facts: &dyn Facts) -> Tree {
        let mut map = Map::new();
        if let Work::Process(process) = &self.nodes[spot.node].work
            && process.items != Items::None
        {
            let slice = facts.slice(spot.node, spot.shard).unwrap_or_else(|| process.items.slice(spot.shard));
            map.insert("index".to_owned(), spot.shard.into());
            map.insert("count".to_owned(), slice.shards.into());
            if let Some(file) = facts.shard_file(spot.node, spot.shard) {
                map.insert("file".to_owned(), file.into());
            }
            if process.items.size() == 1
                && slice.range.end == slice.range.start + 1
                && let Some(item) = process.items.texts(&slice).next()
            {
                let value = process.items.is_json().then(|| serde_json::from_str(&item).ok()).flatten();
                map.insert("item".to_owned(), value.unwrap_or_else(|| (*item).into()));
            }
        }
        Tree::map(&map)
    }
}

/// A name as an expression writes it: `-` became `_`.
pub(crate) fn under(name: &str) -> String {
    name.replace('-', "_")
}

fn pairs<const N: usize>(pairs: [(&str, Value); N]) -> Tree {
    Tree::map(&pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// Whether `names` read `root.part`, or all of `root`.
fn uses(names: &[Name], root: &str, part: &str) -> bool {
    names.iter().any(|name| &*name.path[0] == root && name.path.get(1).is_none_or(|found| **found == *part))
}

/// The worst of several states; skipped only when all are.
fn worst(states: impl Iterator<Item = &'static str>) -> &'static str {
    const BEST_FIRST: [&str; 14] = [
        "skipped",
        "success",
        "cached",
        "allowed-failure",
        "pending",
        "waiting",
        "running",
        "retrying",
        "undone",
        "blocked",
        "cancelled",
        "unknown",
        "timed-out",
        "failed",
    ];
    let rank = |state: &str| BEST_FIRST.iter().position(|known| *known == state).unwrap_or(BEST_FIRST.len());
    states.max_by_key(|state| rank(state)).unwrap_or("skipped")
}

/// Refuses to tell what only the run can.
fn known_yet(target: &Target, wants_outputs: bool, facts: &dyn Facts) -> Result<(), Error> {
    let is_known = match target {
        Target::Node(node) => facts.is_known(*node, wants_outputs),
        Target::Cells(cells) => cells.iter().all(|(_, node)| facts.is_known(*node, wants_outputs)),
        // Its outputs are told by what its stages leave, each in turn.
        Target::File { nodes, .. } => nodes.iter().all(|&node| facts.is_known(node, false)),
    };
    if is_known {
        return Ok(());
    }
    Err(only_the_run())
}

fn only_the_run() -> Error {
    Error { fault: Fault::Later, message: "only the run can tell".to_owned(), range: None, help: None }
}

fn secret(name: &Name) -> Error {
    Error {
        fault: Fault::Unknown,
        message: format!("`{}` is secret, so no expression can read it", name.dotted()),
        range: Some(name.range.clone()),
        help: None,
    }
}
