//! What the names of a text mean while the graph is built, and the checks of every name.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::Builder;
use super::beside::Beside;
use super::secrets::Lent;
use crate::graph::model::FrameIx;
use crate::graph::scope::under;
use crate::plan::tree::Tree;
use crate::plan::{Diagnostic, Place};
use crate::render::{Kinds, Name, Scope};

/// How much is known of a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Status {
    /// Its value is in the scope.
    Known,
    /// It is computed while the plan runs, and may be this.
    Late(Kinds),
    /// Nobody has given it yet (`check` without inputs); it may be this.
    Unknown(Kinds),
    /// A secret: no expression can read it.
    Secret,
}

/// The names below one root.
pub(super) type Declared = BTreeMap<Box<str>, Status>;

/// A naming context.
#[derive(Clone, Debug)]
pub(super) struct Context {
    /// Its frame.
    pub(super) frame: FrameIx,
    /// The values that are known.
    pub(super) scope: Scope,
    pub(super) inputs: Arc<Declared>,
    pub(super) vars: Arc<Declared>,
    pub(super) matrix: Arc<Declared>,
    /// The group's name, if any.
    pub(super) has_group: bool,
    /// The secrets that stages may name.
    pub(super) lent: Arc<Lent>,
}

/// What a need's name gives to expressions.
#[derive(Clone, Debug)]
pub(super) struct Needed {
    /// Declared outputs, as expressions write them, and what they are.
    pub(super) outputs: Vec<(Box<str>, Kinds)>,
    /// What its cells are called, where that is written out.
    pub(super) cells: Option<Vec<String>>,
    /// Its cells are a level of their own in `outputs`.
    pub(super) has_cells: bool,
    /// Whether its outputs are those of its shards, by number.
    pub(super) has_shards: bool,
    /// How many shards there are, where that is written out.
    pub(super) shards: Option<u64>,
    /// Whether a failure of it is allowed, which leaves no outputs.
    pub(super) may_fail: bool,
    /// Why its outputs may be missing: it has an `if`, or a failure is accepted.
    pub(super) may_miss: Option<&'static str>,
    /// Its own condition.
    pub(super) condition: Option<Box<str>>,
}

/// What a text may see besides its context.
#[derive(Clone, Copy, Default)]
pub(super) struct Site<'s> {
    /// `needs.…`; none where `needs` means nothing.
    pub(super) needs: Option<&'s BTreeMap<String, Needed>>,
    /// The stages beside it, for help.
    pub(super) beside: Option<&'s Beside<'s>>,
    /// Size of a shard, inside a sharded stage (0 when unknown).
    pub(super) shard: Option<u32>,
    /// Whether workers do its items.
    pub(super) has_workers: bool,
    /// Whether it belongs to `finally`.
    pub(super) is_finally: bool,
    /// Whether a value that is only known while the plan runs will do.
    pub(super) may_be_late: bool,
    /// The condition of the stage it belongs to.
    pub(super) condition: Option<&'s str>,
    /// Declared outputs of the stage that is undone, in its rollback.
    pub(super) own: Option<&'s [(Box<str>, Kinds)]>,
}

const ROOTS: [&str; 10] = ["inputs", "vars", "env", "needs", "matrix", "shard", "group", "run", "self", "secrets"];

impl Builder<'_> {
    /// Checks `names`; what is known of each, unless one of them is wrong.
    pub(super) fn names(
        &mut self,
        names: &[Name],
        tree: &Tree,
        cx: &Context,
        site: Site<'_>,
    ) -> Option<Vec<Status>> {
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            match self.name(name, tree, cx, site) {
                Err(()) | Ok(Status::Secret) => {}
                Ok(Status::Late(_)) if !site.may_be_late => {
                    let message = format!("`{}` is only known while the plan runs", name.dotted());
                    let help = "what shapes the graph can use `inputs`, `vars` and `matrix` only";
                    let at = tree.place_of(name.range.clone());
                    self.report.push(Diagnostic::error("plan::late-value", at, message).help(help));
                }
                Ok(status) => found.push(status),
            }
        }
        (found.len() == names.len()).then_some(found)
    }

    fn name(&mut self, name: &Name, tree: &Tree, cx: &Context, site: Site<'_>) -> Result<Status, ()> {
        match &*name.path[0] {
            "inputs" => self.declared(name, tree, &cx.inputs, "plan::unknown-input"),
            "vars" => self.declared(name, tree, &cx.vars, "plan::unknown-variable"),
            "matrix" if !cx.matrix.is_empty() => self.declared(name, tree, &cx.matrix, "plan::unknown-axis"),
            "matrix" => {
                self.refuse(name, tree, "plan::unknown-name", "`matrix` is only known in a stage with a matrix")
            }
            "group" if cx.has_group => self.member(name, tree, &[("name", Kinds::TEXT)]).map(|_| Status::Known),
            "group" => {
                self.refuse(name, tree, "plan::unknown-name", "`group` is only known in a stage with a group")
            }
            "needs" => self.need(name, tree, site),
            "shard" => self.shard_name(name, tree, site),
            "self" => self.own(name, tree, site),
            "run" if name.path.get(1).is_some_and(|part| &**part == "state") && !site.is_finally => {
                self.refuse(name, tree, "plan::run-time-name", "`run.state` is only known in `finally`")
            }
            "run" => self.member(name, tree, &[("id", Kinds::TEXT), ("state", Kinds::TEXT)]),
            "secrets" => {
                let help =
                    name.path.get(1).map(|part| format!("a stage gets it as a variable: `secrets: [{part}]`"));
                let message = "`secrets` can be read in `with` of a file or an action only".to_owned();
                self.fault("plan::secret-outside-with", name, tree, message, help)
            }
            "env" => self.env_name(name, tree),
            root => {
                let message = format!("there is no name `{root}`");
                let help = super::nearest(root, ROOTS).map_or_else(
                    || format!("to mean the text, put it in quotes: `'{}'`", name.dotted()),
                    |near| format!("did you mean `{near}`?"),
                );
                self.fault("plan::unknown-name", name, tree, message, Some(help))
            }
        }
    }

    /// `root.x` where `x` must be declared.
    fn declared(&mut self, name: &Name, tree: &Tree, known: &Declared, code: &'static str) -> Result<Status, ()> {
        let root = &name.path[0];
        let Some(part) = name.path.get(1) else {
            // The whole map: as late as its latest value.
            let worst = known.values().find(|status| !matches!(status, Status::Known | Status::Secret));
            return Ok(worst.map_or(Status::Known, |status| status.with(Kinds::MAP)));
        };
        match known.get(part) {
            Some(Status::Secret) => return self.read_secret(name, tree, part),
            Some(status) => return self.deeper(name, tree, 2, *status),
            None => {}
        }
        if name.is_guarded && code == "plan::unknown-axis" {
            return Ok(Status::Known);
        }
        let candidates: Vec<&str> = known.keys().map(|key| &**key).collect();
        let help = near(tree, name, 1, &candidates);
        self.fault(code, name, tree, format!("there is no `{root}.{part}`"), help)
    }

    /// `name` of which `depth` parts are declared as `status`: what is below them.
    pub(super) fn deeper(&mut self, name: &Name, tree: &Tree, depth: usize, status: Status) -> Result<Status, ()> {
        let (Status::Late(kinds) | Status::Unknown(kinds)) = status else { return Ok(status) };
        if name.path.len() <= depth {
            return Ok(status);
        }
        if name.is_guarded || kinds.may_be(Kinds::MAP.or(Kinds::LIST)) {
            return Ok(status.with(Kinds::ANY));
        }
        self.render_error(name.missing(depth), tree);
        Err(())
    }

    /// `root.x` where `x` is one of `known`, computed while the plan runs.
    pub(super) fn member(&mut self, name: &Name, tree: &Tree, known: &[(&str, Kinds)]) -> Result<Status, ()> {
        match name.path.get(1) {
            Some(part) => {
                if let Some((_, kinds)) = known.iter().find(|(known, _)| **known == **part) {
                    return self.deeper(name, tree, 2, Status::Late(*kinds));
                }
                let help = near(tree, name, 1, &known.iter().map(|(known, _)| *known).collect::<Vec<_>>());
                self.fault("plan::unknown-name", name, tree, format!("`{}` has no `{part}`", name.path[0]), help)
            }
            None => self.fault(
                "plan::unknown-name",
                name,
                tree,
                format!("`{}` is no value by itself", name.path[0]),
                Some(format!("write `{}.{}`", name.path[0], known[0].0)),
            ),
        }
    }

    fn shard_name(&mut self, name: &Name, tree: &Tree, site: Site<'_>) -> Result<Status, ()> {
        let Some(items) = site.shard else {
            return self.refuse(name, tree, "plan::unknown-name", "`shard` is only known in a stage with shards");
        };
        if site.has_workers {
            let message = "a worker has no shard of its own: with `protocol: lines` it reads its items";
            let help = "read `id` and `item` from the lines on standard input".to_owned();
            return self.fault("plan::unknown-name", name, tree, message.to_owned(), Some(help));
        }
        if name.path.get(1).is_some_and(|part| &**part == "item") && items > 1 {
            let message = "`shard.item` is only known when `size` is 1";
            let help = "read the items from the file `{{ shard.file }}`, one a line".to_owned();
            return self.fault("plan::unknown-name", name, tree, message.to_owned(), Some(help));
        }
        let known =
            [("index", Kinds::NUMBER), ("file", Kinds::TEXT), ("item", Kinds::ANY), ("count", Kinds::NUMBER)];
        self.member(name, tree, &known)
    }

    /// `needs.x.state`, `needs.x.outputs.y`, `needs.x.outputs.cell.y`
    fn need(&mut self, name: &Name, tree: &Tree, site: Site<'_>) -> Result<Status, ()> {
        let Some(needs) = site.needs else {
            return self.refuse(name, tree, "plan::unknown-name", "`needs` means nothing here");
        };
        let Some(stage) = name.path.get(1) else {
            self.used.insert("*".into());
            return Ok(Status::Late(Kinds::MAP));
        };
        self.used.insert(stage.clone());
        let direct = needs.get(&**stage).map(Cow::Borrowed);
        let Some(needed) = direct.or_else(|| self.needed_afar(stage, needs, site).map(Cow::Owned)) else {
            return self.not_needed(name, tree, stage, needs, site);
        };
        match name.path.get(2).map(|part| &**part) {
            Some("state") => self.deeper(name, tree, 3, Status::Late(Kinds::TEXT)),
            None => Ok(Status::Late(Kinds::MAP)),
            Some("outputs") => self.output(name, tree, &needed, site),
            Some(part) => {
                let message = format!("`needs.{stage}` has no `{part}`, only `state` and `outputs`");
                let help = match needed.outputs.iter().find(|(output, _)| **output == *part) {
                    Some((output, _)) => Some(format!("write `needs.{stage}.outputs.{output}`")),
                    None => near(tree, name, 2, &["state", "outputs"]),
                };
                self.fault("plan::unknown-name", name, tree, message, help)
            }
        }
    }

    fn not_needed(
        &mut self,
        name: &Name,
        tree: &Tree,
        stage: &str,
        needs: &BTreeMap<String, Needed>,
        site: Site<'_>,
    ) -> Result<Status, ()> {
        if let Some(beside) = site.beside.and_then(|beside| beside.get(stage)) {
            let id = &beside.id.value;
            let message = format!("this stage does not wait for `{id}`");
            return self.fault("plan::unknown-need", name, tree, message, Some(format!("add `{id}` to `needs`")));
        }
        if self.lacks_stages {
            return Err(());
        }
        let mut candidates: Vec<&str> = needs.keys().map(String::as_str).collect();
        let help = near(tree, name, 1, &candidates).or_else(|| {
            candidates = site.beside.into_iter().flat_map(Beside::names).collect();
            near(tree, name, 1, &candidates)
        });
        self.fault("plan::unknown-need", name, tree, format!("there is no stage `{stage}`"), help)
    }

    fn output(&mut self, name: &Name, tree: &Tree, needed: &Needed, site: Site<'_>) -> Result<Status, ()> {
        let at = needed.depth();
        self.check_levels(name, tree, needed)?;
        let Some(output) = name.path.get(at) else { return Ok(Status::Late(Kinds::MAP.or(Kinds::NONE))) };
        let stage = &name.path[1];
        let Some((_, kinds)) = needed.outputs.iter().find(|(known, _)| known == output) else {
            let candidates: Vec<&str> = needed.outputs.iter().map(|(output, _)| &**output).collect();
            let help = near(tree, name, at, &candidates).or_else(|| {
                Some(if candidates.is_empty() {
                    format!("declare it on `{stage}`: `outputs: {{{output}: string}}`")
                } else {
                    format!("`{stage}` declares: {}", candidates.join(", "))
                })
            });
            let message = format!("`{stage}` has no output `{output}`");
            return self.fault("plan::unknown-output", name, tree, message, help);
        };
        if let Some(why) = needed.may_miss.filter(|_| !name.is_guarded && !is_shared(needed, site)) {
            let message = format!("`{}` may be missing: `{stage}` {why}", name.dotted());
            let help = match &needed.condition {
                Some(condition) => format!(
                    "give this stage the same `if: {condition}`, or write `{} | default(…)`",
                    name.dotted()
                ),
                None => format!("write `{} | default(…)`", name.dotted()),
            };
            return self.fault("plan::output-may-miss", name, tree, message, Some(help));
        }
        let may_miss = needed.may_miss.is_some() || needed.may_fail;
        let kinds = if may_miss { kinds.or(Kinds::NONE) } else { *kinds };
        self.deeper(name, tree, at + 1, Status::Late(kinds))
    }

    fn refuse(&mut self, name: &Name, tree: &Tree, code: &'static str, message: &str) -> Result<Status, ()> {
        self.fault(code, name, tree, message.to_owned(), None)
    }

    pub(super) fn fault(
        &mut self,
        code: &'static str,
        name: &Name,
        tree: &Tree,
        message: String,
        help: Option<String>,
    ) -> Result<Status, ()> {
        let mut found = Diagnostic::error(code, tree.place_of(name.range.clone()), message);
        found.help = help;
        self.report.push(found);
        Err(())
    }

    /// A new frame like that of `cx`, changed by `change`.
    pub(super) fn derive(
        &mut self,
        cx: &Context,
        change: impl FnOnce(&mut crate::graph::model::Frame),
    ) -> Context {
        let mut frame = self.frames[cx.frame as usize].clone();
        frame.late_from = Some(frame.late_from.unwrap_or(cx.frame));
        frame.late = Vec::new();
        change(&mut frame);
        let mut derived = cx.clone();
        derived.frame = self.push_frame(frame);
        derived
    }

    pub(super) fn push_frame(&mut self, frame: crate::graph::model::Frame) -> FrameIx {
        self.frames.push(frame);
        FrameIx::try_from(self.frames.len() - 1).expect("limits::MAX_STAGES keeps frames in range")
    }

    /// An error at `at`.
    pub(super) fn error(&mut self, code: &'static str, at: Place, message: impl Into<String>) {
        self.report.push(Diagnostic::error(code, at, message));
    }
}

impl Status {
    /// The same of a value that may be `kinds`.
    const fn with(self, kinds: Kinds) -> Self {
        match self {
            Self::Late(_) => Self::Late(kinds),
            Self::Unknown(_) => Self::Unknown(kinds),
            Self::Known | Self::Secret => self,
        }
    }
}

/// Whether the reader runs only when the stage it reads from has run, too.
fn is_shared(needed: &Needed, site: Site<'_>) -> bool {
    let (Some(theirs), Some(own)) = (&needed.condition, site.condition) else { return false };
    needed.may_miss == Some(HAS_CONDITION)
        && (own.trim() == theirs.trim()
            || (!own.contains(" or ") && own.split(" and ").any(|part| part.trim() == theirs.trim())))
}

/// Why an output may be missing, first reason.
pub(super) const HAS_CONDITION: &str = "has an `if` and may be skipped";
/// Why an output may be missing, second reason.
pub(super) const MAY_FAIL: &str = "may have failed, which this stage accepts";

/// Help for part `at` of `name`, which is unknown: the hyphen rule first, then the nearest candidate.
pub(super) fn near(tree: &Tree, name: &Name, at: usize, candidates: &[&str]) -> Option<String> {
    let text = tree.as_str()?;
    let range: Range<usize> = name.parts.get(at)?.clone();
    let rest = text.get(range.end..)?;
    let tail = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "-_".contains(c)).len();
    let written = text.get(range.start..range.end + tail)?;
    if rest.starts_with('-') && candidates.contains(&&*under(written)) {
        return Some(format!("in an expression `-` is written `_`: `{}`", under(written)));
    }
    super::nearest(&name.path[at], candidates.iter().copied()).map(|near| format!("did you mean `{near}`?"))
}
