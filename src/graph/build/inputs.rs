//! Inputs and vars: of the plan, and of each file that is used.

use std::collections::HashSet;
use std::sync::Arc;

use regex::Regex;
use serde_json::Map;

use super::context::{Context, Declared, Site, Status};
use super::eval::Eval;
use super::secrets::{Lent, Names};
use super::types::{self, literal, magnitude};
use super::{Builder, Given, GivenValue, Mode, nearest};
use crate::graph::model::{Frame, Late};
use crate::graph::scope::under;
use crate::plan::model::{Body, Input, Plan, Stage};
use crate::plan::tree::Tree;
use crate::plan::{Diagnostic, Place};
use crate::render::{Kinds, Scope, Tree as Prepared, Value};

/// Where a value for an input was found.
type Found = (Eval, Option<Place>, Option<Late>);

impl<'a> Builder<'a> {
    /// The plan's own context: frame 0.
    pub(super) fn plan_context(&mut self) -> Context {
        let plan = &self.loaded.plan;
        let request = self.request;
        let mut seen = HashSet::new();
        for given in &request.inputs {
            if !plan.inputs.iter().any(|input| is_named(input, &given.name)) && seen.insert(&given.name) {
                let message = format!("{}: the plan has no input `{}`", given.source, given.name);
                let known: Vec<&str> = plan.inputs.iter().map(|input| input.name.value.as_str()).collect();
                let mut found = Diagnostic::error("plan::unknown-input", plan.name.at, message);
                found.help = nearest(&given.name, known.iter().copied())
                    .map(|near| format!("did you mean `{near}`?"))
                    .or_else(|| (!known.is_empty()).then(|| format!("it has: {}", known.join(", "))));
                self.report.push(found);
            }
        }
        let inputs = plan
            .inputs
            .iter()
            .map(|input| {
                // The value of a secret input is nobody's business here.
                let given = request.inputs.iter().find(|given| is_named(input, &given.name));
                let given = given.filter(|_| input.secret.is_none());
                let found = given.map(|given| (self.given(input, given), None, None));
                (input, found)
            })
            .collect();
        let lent = self.own_secrets();
        let cx = self.context(inputs, lent);
        self.vars(plan, cx)
    }

    /// A value from outside, as the type of `input`.
    fn given(&mut self, input: &Input, given: &Given) -> Eval {
        let value = match &given.value {
            GivenValue::Text(text) => types::read(input.kind, text),
            GivenValue::Typed(value) => types::check(input.kind, value.clone()),
        };
        match value.and_then(|value| allowed(input, value)) {
            Ok(value) => Eval::Known(value),
            Err(message) => {
                let message = format!("{}: input `{}`: {message}", given.source, input.name.value);
                self.error("plan::bad-input", input.name.at, message);
                Eval::Failed
            }
        }
    }

    /// The context of a used file: its inputs from `with`, which is read in `outer`.
    pub(super) fn file_context(
        &mut self,
        file: &'a Plan,
        outer: &Context,
        site: Site<'_>,
        stage: &'a Stage,
    ) -> Context {
        let Body::File { uses, with, .. } = &stage.body else {
            unreachable!("only a file has a context of its own")
        };
        for (name, _) in with {
            if !file.partial && !file.inputs.iter().any(|input| is_named(input, &name.value)) {
                let message = format!("`{}` has no input `{}`", uses.value, name.value);
                let known = file.inputs.iter().map(|input| input.name.value.as_str());
                let mut found = Diagnostic::error("plan::unknown-input", name.at, message);
                found.help = nearest(&name.value, known).map(|near| format!("did you mean `{near}`?"));
                self.report.push(found);
            }
        }
        let mut inputs = Vec::new();
        let mut lent = Lent { inputs: Names::new(), keys: Some(self.lend(stage, outer)) };
        for input in &file.inputs {
            let tree = with.iter().find(|(name, _)| is_named(input, &name.value)).map(|(_, tree)| tree);
            if tree.is_none() && input.default.is_none() {
                let message = format!("`{}` needs the input `{}`", uses.value, input.name.value);
                let found = Diagnostic::error("plan::missing-input", uses.at, message);
                let help = format!("add it to `with`: `{}: …`", input.name.value);
                self.report.push(found.related(input.name.at, "declared here").help(help));
            }
            if let Some(secret) = tree.and_then(|tree| self.passed_secret(input, tree, outer)) {
                lent.inputs.insert(under(&input.name.value).into(), secret);
                inputs.push((input, None));
                continue;
            }
            let found = tree.map(|tree| self.passed(input, tree, outer, site));
            let missing = (Eval::Failed, None, None);
            inputs.push((input, found.or_else(|| input.default.is_none().then_some(missing))));
        }
        let cx = self.context(inputs, lent);
        self.vars(file, cx)
    }

    /// The secret that `with` hands to `input`; whatever does not fit has been said.
    fn passed_secret(&mut self, input: &Input, tree: &Tree, outer: &Context) -> Option<Box<str>> {
        match (self.handed(tree, outer), input.secret) {
            (Some(Ok(secret)), Some(_)) => Some(secret),
            (Some(Ok(_)), None) => {
                self.refuse_handed(input, tree.at);
                None
            }
            (None, Some(_)) => {
                self.refuse_plain(input, tree.at);
                None
            }
            (Some(Err(())) | None, _) => None,
        }
    }

    /// A value of `with` for a declared input.
    fn passed(&mut self, input: &Input, tree: &Tree, outer: &Context, site: Site<'_>) -> Found {
        if input.secret.is_some() || self.handed(tree, outer).is_some() {
            return (Eval::Failed, None, None);
        }
        let eval = match self.value(tree, outer, Site { may_be_late: true, ..site }) {
            Eval::Known(value) => {
                types::check(input.kind, value).and_then(|value| allowed(input, value)).map(Eval::Known)
            }
            Eval::Late(kinds) => types::may_be(input.kind, kinds).map(|()| Eval::Late(kinds)),
            Eval::Unknown(kinds) => types::may_be(input.kind, kinds).map(|()| Eval::Unknown(kinds)),
            Eval::Failed => Ok(Eval::Failed),
        };
        let eval = eval.unwrap_or_else(|message| {
            let message = format!("input `{}`: {message}", input.name.value);
            let found = Diagnostic::error("plan::bad-input", tree.at, message);
            self.report.push(found.related(input.name.at, "declared here"));
            Eval::Failed
        });
        let late = matches!(eval, Eval::Late(_)).then(|| Late {
            root: "inputs",
            name: under(&input.name.value).into(),
            text: tree.as_str().unwrap_or_default().into(),
            frame: outer.frame,
            views: Vec::new(),
            kind: Some(input.kind),
        });
        (eval, Some(tree.at), late)
    }

    /// A new frame with `inputs`; what was not found falls back to its default.
    fn context(&mut self, inputs: Vec<(&Input, Option<Found>)>, lent: Lent) -> Context {
        let mut declared = Declared::new();
        let mut known = Map::new();
        let mut lates = Vec::new();
        for (input, found) in inputs {
            let name = under(&input.name.value);
            if input.secret.is_some() {
                declared.insert(name.into(), Status::Secret);
                continue;
            }
            let eval = match found {
                Some((eval, _, late)) => {
                    lates.extend(late);
                    eval
                }
                None => self.default(input),
            };
            let status = match eval {
                Eval::Known(value) => {
                    known.insert(name.clone(), value);
                    Status::Known
                }
                Eval::Late(_) => Status::Late(types::kinds(input.kind)),
                Eval::Unknown(_) | Eval::Failed => Status::Unknown(types::kinds(input.kind)),
            };
            declared.insert(name.into(), status);
        }
        let mut scope = Scope::new();
        scope.set("inputs", &Prepared::map(&known));
        scope.set("vars", &Prepared::map(&Map::new()));
        if self.loaded.environment.is_some() {
            scope.set("env", &self.env_tree());
        }
        let frame = self.push_frame(Frame { inputs: Arc::new(known), late: lates, ..Frame::default() });
        let none = Arc::new(Declared::new());
        let (inputs, lent) = (Arc::new(declared), Arc::new(lent));
        Context { frame, scope, inputs, vars: none.clone(), matrix: none, has_group: false, lent }
    }

    fn default(&mut self, input: &Input) -> Eval {
        let Some(tree) = &input.default else {
            if self.request.mode == Mode::Check {
                return Eval::Unknown(types::kinds(input.kind));
            }
            let name = &input.name.value;
            let found =
                Diagnostic::error("plan::missing-input", input.name.at, format!("input `{name}` has no value"));
            let upper = under(name).to_uppercase();
            let help = format!("give it with `--set {name}=…`, `ENGINE_INPUT_{upper}` or `--inputs FILE`");
            self.report.push(found.help(help));
            return Eval::Failed;
        };
        match types::check(input.kind, literal(tree)).and_then(|value| allowed(input, value)) {
            Ok(value) => Eval::Known(value),
            // The check of the file has said so already.
            Err(_) if self.report.has_error_at(tree.at) => Eval::Failed,
            Err(message) => {
                self.error("plan::bad-input", tree.at, format!("default of `{}`: {message}", input.name.value));
                Eval::Failed
            }
        }
    }

    /// `vars`, in order; each may use inputs and the vars before it.
    fn vars(&mut self, plan: &Plan, mut cx: Context) -> Context {
        let mut known = Map::new();
        for (name, tree) in &plan.vars {
            let site = Site { may_be_late: !cx.inputs.is_empty() && cx.frame != 0, ..Site::default() };
            let key: Box<str> = under(&name.value).into();
            let status = match self.value(tree, &cx, site) {
                Eval::Known(value) => {
                    known.insert(key.to_string(), value);
                    Status::Known
                }
                Eval::Late(kinds) => {
                    let (name, text) = (key.clone(), tree.as_str().unwrap_or_default().into());
                    let frame = cx.frame;
                    let late = Late { root: "vars", name, text, frame, views: Vec::new(), kind: None };
                    self.frame_mut(frame).late.push(late);
                    Status::Late(kinds)
                }
                Eval::Unknown(kinds) => Status::Unknown(kinds),
                Eval::Failed => Status::Unknown(Kinds::ANY),
            };
            Arc::make_mut(&mut cx.vars).insert(key, status);
            cx.scope.set("vars", &Prepared::map(&known));
        }
        self.frame_mut(cx.frame).vars = Arc::new(known);
        cx
    }
}

/// Whether `name` means `input`; `-` and `_` are the same, so that an environment variable can name it.
fn is_named(input: &Input, name: &str) -> bool {
    input.name.value == name || under(&input.name.value) == under(name)
}

/// Checks `enum`, `pattern`, `min` and `max`.
fn allowed(input: &Input, value: Value) -> Result<Value, String> {
    if let Some(list) = &input.one_of {
        let list: Vec<Value> = list.iter().map(literal).collect();
        if !list.contains(&value) {
            let words: Vec<String> = list.iter().map(shown).collect();
            return Err(format!("`{}` is none of {}", shown(&value), words.join(", ")));
        }
    }
    if let (Some(pattern), Some(text)) = (&input.pattern, value.as_str()) {
        let regex = Regex::new(&pattern.value).map_err(|error| format!("`{}`: {error}", pattern.value))?;
        if !regex.is_match(text) {
            return Err(format!("`{text}` does not match `{}`", pattern.value));
        }
    }
    let size = magnitude(input.kind, &value);
    let bound = |tree: &Option<Tree>| tree.as_ref().and_then(|tree| magnitude(input.kind, &literal(tree)));
    let said = |tree: &Option<Tree>| tree.as_ref().map(|tree| shown(&literal(tree))).unwrap_or_default();
    match (size, bound(&input.min), bound(&input.max)) {
        (Some(size), Some(min), _) if size < min => {
            Err(format!("`{}` is below the minimum `{}`", shown(&value), said(&input.min)))
        }
        (Some(size), _, Some(max)) if size > max => {
            Err(format!("`{}` is above the maximum `{}`", shown(&value), said(&input.max)))
        }
        _ => Ok(value),
    }
}

fn shown(value: &Value) -> String {
    crate::render::text_of(value).unwrap_or_else(|| value.to_string())
}
