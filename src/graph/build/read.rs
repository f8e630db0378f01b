//! Reads of `needs.…outputs…` that no run could answer: a level left out, or a value of the wrong type.
//!
//! Only what fails whatever the stages write is refused here.

use std::borrow::Cow;

use super::Builder;
use super::context::{Needed, Site};
use super::types;
use crate::graph::cells::label_word;
use crate::plan::Diagnostic;
use crate::plan::model::{Matrix, Type};
use crate::plan::tree::{Kind, Tree};
use crate::render::{Expr, Name, Piece, Template};

/// Cells whose names are worked out at most: a larger matrix is not written by hand.
const MOST_LABELS: usize = 1000;

impl Needed {
    /// Which part of a name is the output.
    pub(super) fn depth(&self) -> usize {
        3 + usize::from(self.has_cells) + usize::from(self.has_shards)
    }

    fn kind(&self, name: &Name) -> Option<Type> {
        let output = name.path.get(self.depth()).filter(|_| name.path.len() == self.depth() + 1)?;
        self.kinds.iter().find(|(known, _)| known == output).map(|(_, kind)| *kind)
    }
}

impl Builder<'_> {
    /// Refuses a name without the cell or the shard whose output it means.
    pub(super) fn check_levels(&mut self, name: &Name, tree: &Tree, needed: &Needed) -> Result<(), ()> {
        if name.is_guarded {
            return Ok(());
        }
        let stage = &name.path[1];
        let cells = needed.cells.as_ref().filter(|_| needed.has_cells);
        if let (Some(cells), Some(part)) = (cells, name.path.get(3))
            && !cells.iter().any(|cell| **cell == **part)
        {
            let message = format!("`{stage}` has no cell `{part}`");
            let first = cells.first().map_or("…", String::as_str);
            let help =
                format!("the cells are {}; `needs.{stage}.outputs['{first}']` is one of them", cells.join(" "));
            return self.fault("plan::unknown-output", name, tree, message, Some(help)).map(drop);
        }
        let at = 3 + usize::from(needed.has_cells);
        if let Some(part) = name.path.get(at).filter(|part| needed.has_shards && part.parse::<u32>().is_err()) {
            let message =
                format!("the outputs of `{stage}` are those of its shards, and `{part}` is no shard's number");
            let before = name.path[..at].join(".");
            let help = format!("write `{before}['0'].…` for those of the first shard");
            return self.fault("plan::unknown-output", name, tree, message, Some(help)).map(drop);
        }
        Ok(())
    }

    /// The declared type of the output that the whole of `expr` is.
    fn output_kind(&mut self, expr: &Expr, site: Site<'_>) -> Option<Type> {
        let name = expr.sole_name().filter(|name| &*name.path[0] == "needs")?;
        let (needs, stage) = (site.needs?, name.path.get(1)?);
        let near = needs.get(&**stage).map(Cow::Borrowed);
        let needed = near.or_else(|| self.needed_afar(stage, needs, site).map(Cow::Owned))?;
        name.path.get(2).filter(|part| &***part == "outputs").and_then(|_| needed.kind(name))
    }

    /// Refuses an output that is never true or false as a condition.
    pub(super) fn is_boolean(&mut self, expr: &Expr, tree: &Tree, site: Site<'_>) -> bool {
        let Some(kind) = self.output_kind(expr, site).filter(|kind| *kind != Type::Bool) else { return true };
        let message = format!("a condition must be true or false, and this is {}", noun(kind));
        let help = format!("compare it with something, as in `{} == …`", expr.text().trim());
        self.report.push(Diagnostic::error("plan::wrong-type", tree.at, message).help(help));
        false
    }

    /// Refuses a list or a map inside a text: it has no form there.
    pub(super) fn check_text(&mut self, tree: &Tree, site: Site<'_>) {
        let Some(template) = tree.as_str().and_then(|text| Template::parse(text).ok()) else { return };
        for piece in template.pieces() {
            let Piece::Expr(expr) = piece else { continue };
            let kind = self.output_kind(expr, site);
            if let Some(kind @ (Type::List | Type::Map)) = kind {
                let text = expr.text().trim();
                let message = format!("`{text}` is {}, which has no form inside text", noun(kind));
                let help = match kind {
                    Type::List => format!("join it: `{{{{ {text} | join(',') }}}}`, or write `| tojson`"),
                    _ => format!("write `{{{{ {text} | tojson }}}}`"),
                };
                self.report.push(Diagnostic::error("plan::wrong-type", tree.at, message).help(help));
            }
        }
    }

    /// Refuses an output that is no list where a list is wanted: `what` says what for.
    pub(super) fn check_list(&mut self, tree: &Tree, site: Site<'_>, what: &str) {
        let Some(template) = tree.as_str().and_then(|text| Template::parse(text).ok()) else { return };
        let kind = template.sole_expr().and_then(|expr| self.output_kind(expr, site));
        if let Some(kind) = kind.filter(|kind| *kind != Type::List) {
            let message = format!("{what}, and this is {}", noun(kind));
            self.error("plan::wrong-type", tree.at, message);
        }
    }
}

fn noun(kind: Type) -> String {
    format!("{} {}", if kind == Type::Int { "an" } else { "a" }, types::name(kind))
}

/// What the cells of a matrix are called, if its values are written out.
pub(super) fn labels(matrix: &Matrix) -> Option<Vec<String>> {
    if matrix.late.is_some() || !matrix.include.is_empty() || matrix.axes.is_empty() {
        return None;
    }
    let mut labels = vec![String::new()];
    for (_, axis) in &matrix.axes {
        let Kind::List(values) = &axis.kind else { return None };
        let words: Option<Vec<String>> = values.iter().map(word).collect();
        let words = words.filter(|words| words.len() * labels.len() <= MOST_LABELS)?;
        let gap = |before: &str| if before.is_empty() { "" } else { "," };
        labels = labels
            .iter()
            .flat_map(|before| words.iter().map(move |word| format!("{before}{}{word}", gap(before))))
            .collect();
    }
    Some(labels)
}

fn word(value: &Tree) -> Option<String> {
    let is_template = value.as_str().is_some_and(Template::is_template);
    label_word(&types::literal(value)).filter(|_| !is_template)
}
