//! Texts before the run: what is known is rendered, what is not is named. For the plan's text and the drawings.

use super::{Facts, Spot, uses};
use crate::base::NodeIx;
use crate::base::limits::MAX_USES_DEPTH;
use crate::graph::model::{Graph, Late};
use crate::render::{Expr, Name, Piece, Template, Value, text_of};

/// A part of a text, as it is known before the run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Foreseen {
    /// As it will be.
    Known(String),
    /// The expression that will give it.
    Late(String),
}

/// Nothing has happened yet.
pub(in crate::graph) struct Nothing;

impl Facts for Nothing {
    fn state(&self, _: NodeIx) -> &'static str {
        "pending"
    }

    fn outputs(&self, _: NodeIx) -> Option<&[(String, Value)]> {
        None
    }

    fn run_id(&self) -> &'static str {
        ""
    }

    fn run_state(&self) -> &'static str {
        ""
    }

    fn shard_file(&self, _: NodeIx, _: u32) -> Option<&str> {
        None
    }
}

impl Graph {
    /// `text` of `node` as far as it is known before the run, part by part. A name that an action was given a
    /// late value for counts as that value: `needs.build.outputs.url` says more than `inputs.text`.
    pub fn foresee(&self, node: NodeIx, text: &str) -> Vec<Foreseen> {
        let body = &self.nodes[node];
        let spot = Spot { node, shard: 0, frame: body.frame, views: &body.views, depth: 0 };
        let mut parts = Vec::new();
        self.foresee_in(spot, text, &mut parts);
        parts
    }

    fn foresee_in(&self, spot: Spot<'_>, text: &str, parts: &mut Vec<Foreseen>) {
        let template = Template::is_template(text).then(|| Template::parse(text).ok()).flatten();
        let Some(template) = template else {
            return add(parts, Foreseen::Known(text.to_owned()));
        };
        for piece in template.pieces() {
            match piece {
                Piece::Text(text) => add(parts, Foreseen::Known(text.to_owned())),
                Piece::Expr(expr) => match (self.foreseen(spot, expr), self.given(spot, expr)) {
                    (Some(text), _) => add(parts, Foreseen::Known(text)),
                    (None, Some(late)) if spot.depth < 2 * MAX_USES_DEPTH => {
                        let inner = Spot { frame: late.frame, views: &late.views, depth: spot.depth + 1, ..spot };
                        self.foresee_in(inner, &late.text, parts);
                    }
                    (None, _) => add(parts, Foreseen::Late(expr.text().trim().to_owned())),
                },
            }
        }
    }

    /// The text that `expr` gives whatever happens.
    fn foreseen(&self, spot: Spot<'_>, expr: &Expr) -> Option<String> {
        let is_known = |name: &Name| match &*name.path[0] {
            root @ ("inputs" | "vars") => {
                let mut lates = self.lates(spot.frame).iter().filter(|late| late.root == root);
                !lates.any(|late| uses(std::slice::from_ref(name), root, &late.name))
            }
            "matrix" | "group" => true,
            "self" => name.path.get(1).is_some_and(|part| matches!(&**part, "id" | "stage")),
            _ => false,
        };
        let names = expr.names();
        let scope = names.iter().all(is_known).then(|| self.scope(spot, names, &Nothing).ok())??;
        text_of(&expr.eval(&scope).ok()?)
    }

    /// The late value that `expr` is the name of.
    fn given(&self, spot: Spot<'_>, expr: &Expr) -> Option<&Late> {
        let name = expr.sole_name().filter(|name| name.path.len() == 2)?;
        self.lates(spot.frame).iter().find(|late| *late.root == *name.path[0] && late.name == name.path[1])
    }
}

/// Appends `part`; known texts beside each other become one.
fn add(parts: &mut Vec<Foreseen>, part: Foreseen) {
    match (parts.last_mut(), part) {
        (Some(Foreseen::Known(text)), Foreseen::Known(more)) => text.push_str(&more),
        (_, part) => parts.push(part),
    }
}
