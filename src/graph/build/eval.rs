//! What came of the texts of a plan: their values, or as much as can be known of them while the graph is built.
//!
//! A value that nobody knows yet has kinds. What no value of these kinds could make right is refused now.

use serde_json::Map;

use super::Builder;
use super::context::{Context, Site, Status};
use super::types::literal;
use crate::plan::Diagnostic;
use crate::plan::decode::for_bare;
use crate::plan::tree::{Kind, Tree};
use crate::render::{Expr, Kinds, Name, Scope, Template, Value};

/// What came of a text.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Eval {
    /// Its value.
    Known(Value),
    /// It has one while the plan runs, which may be this.
    Late(Kinds),
    /// It has one when all inputs are given, which may be this.
    Unknown(Kinds),
    /// It is wrong, and that has been said.
    Failed,
}

impl Builder<'_> {
    /// The value of `tree`, templates in it replaced at any depth.
    pub(super) fn value(&mut self, tree: &Tree, cx: &Context, site: Site<'_>) -> Eval {
        match &tree.kind {
            Kind::Str { text, .. } if Template::is_template(text) => self.template(tree, text, cx, site),
            Kind::List(items) => {
                let (mut values, mut unknown) = (Vec::with_capacity(items.len()), None);
                for item in items {
                    match self.value(item, cx, site) {
                        Eval::Known(value) => values.push(value),
                        other => unknown = Some(self.part(other, item, unknown, Kinds::LIST)),
                    }
                }
                unknown.unwrap_or(Eval::Known(Value::Array(values)))
            }
            Kind::Map(items) => {
                let (mut map, mut unknown) = (Map::new(), None);
                for (key, item) in items {
                    match self.value(item, cx, site) {
                        Eval::Known(value) => drop(map.insert(key.text.to_string(), value)),
                        other => unknown = Some(self.part(other, item, unknown, Kinds::MAP)),
                    }
                }
                unknown.unwrap_or(Eval::Known(Value::Object(map)))
            }
            _ => Eval::Known(literal(tree)),
        }
    }

    /// What a list or map comes to (`whole` is its kind) with a part that is not known, after what came `before`. A late
    /// part is not possible there.
    fn part(&mut self, eval: Eval, item: &Tree, before: Option<Eval>, whole: Kinds) -> Eval {
        if matches!(eval, Eval::Late(_)) {
            let message = "a value inside a list or map cannot wait for the run";
            self.report.push(
                Diagnostic::error("plan::late-value", item.at, message)
                    .help("let one whole `{{ … }}` give the list or map"),
            );
        }
        match (before, eval) {
            (None | Some(Eval::Unknown(_)), Eval::Unknown(_)) => Eval::Unknown(whole),
            _ => Eval::Failed,
        }
    }

    fn template(&mut self, tree: &Tree, text: &str, cx: &Context, site: Site<'_>) -> Eval {
        let template = match Template::parse(text) {
            Ok(template) => template,
            Err(error) => {
                self.render_error(error, tree);
                return Eval::Failed;
            }
        };
        let names: Vec<Name> = template.names().collect();
        let Some(statuses) = self.names(&names, tree, cx, site) else { return Eval::Failed };
        let found = match of_all(&statuses) {
            Status::Late(_) => template.kinds(&kinds(&names, &statuses, &cx.scope)).map(Eval::Late),
            Status::Unknown(_) => template.kinds(&kinds(&names, &statuses, &cx.scope)).map(Eval::Unknown),
            Status::Known | Status::Secret => template.eval(&cx.scope).map(Eval::Known),
        };
        match found {
            Ok(Eval::Known(Value::String(text))) if text.contains('\0') => {
                // What a name gives may have been refused where it was written.
                if names.is_empty() || !self.report.has_errors() {
                    let message = "this gives a text with a NUL, which no argument, variable or path can hold";
                    self.error("plan::nul", tree.at, message);
                }
                Eval::Failed
            }
            Ok(found) => found,
            Err(error) => {
                self.render_error(error, tree);
                Eval::Failed
            }
        }
    }

    /// Checks an `if`; its text when it is one.
    pub(super) fn condition(&mut self, tree: &Tree, cx: &Context, site: Site<'_>) -> Option<Box<str>> {
        let text = match &tree.kind {
            Kind::Bool(on) => return Some(on.to_string().into()),
            Kind::Str { text, .. } => text,
            _ => {
                let message = format!("a condition is an expression, and this is {}", tree.noun());
                self.report.push(Diagnostic::error("plan::wrong-type", tree.at, message));
                return None;
            }
        };
        let expr = match Expr::parse(text) {
            Ok(expr) => expr,
            Err(error) => {
                self.render_error(error, tree);
                return None;
            }
        };
        let statuses = self.names(expr.names(), tree, cx, site)?;
        let found = match of_all(&statuses) {
            Status::Known | Status::Secret => expr.holds(&cx.scope).map(drop),
            Status::Late(_) | Status::Unknown(_) => expr.may_hold(&kinds(expr.names(), &statuses, &cx.scope)),
        };
        if let Err(error) = found {
            self.render_error(error, tree);
            return None;
        }
        Some((**text).into())
    }

    /// Refuses a list, a map or none where text is wanted: it has no form there.
    pub(super) fn check_form(&mut self, tree: &Tree, kinds: Kinds) {
        if kinds.may_be(Kinds::PLAIN) {
            return;
        }
        let template = tree.as_str().and_then(|text| Template::parse(text).ok());
        match template.and_then(|template| template.formless(kinds)) {
            Some(error) => self.render_error(error, tree),
            None => self.error("plan::wrong-type", tree.at, format!("expected text, not {}", kinds.noun())),
        }
    }

    /// Refuses what is never a list where a list is wanted: `what` says what for.
    pub(super) fn check_list(&mut self, tree: &Tree, kinds: Kinds, what: &str) {
        if !kinds.may_be(Kinds::LIST) {
            let mut found =
                Diagnostic::error("plan::wrong-type", tree.at, format!("{what}, and this is {}", kinds.noun()));
            found.help = tree.as_str().and_then(for_bare);
            self.report.push(found);
        }
    }
}

/// How much is known of all names together: as much as of the least known one.
fn of_all(statuses: &[Status]) -> Status {
    let unknown = statuses.iter().find(|status| matches!(status, Status::Unknown(_)));
    let late = || statuses.iter().find(|status| matches!(status, Status::Late(_)));
    unknown.or_else(late).copied().unwrap_or(Status::Known)
}

/// What each name may be.
fn kinds(names: &[Name], statuses: &[Status], scope: &Scope) -> Vec<Kinds> {
    let of = |(name, status): (&Name, &Status)| match status {
        Status::Late(kinds) | Status::Unknown(kinds) => *kinds,
        Status::Known | Status::Secret => scope.kinds_of(name),
    };
    names.iter().zip(statuses).map(of).collect()
}
