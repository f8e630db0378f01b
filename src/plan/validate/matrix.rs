//! Matrices: every value of an axis is written once and can name a cell, and every axis exists. Which cells there
//! are in the end only the graph builder knows, because an axis may be a template.

use std::collections::HashMap;

use super::Check;
use crate::plan::error::{Diagnostic, nearest};
use crate::plan::model::Stage;
use crate::plan::source::Place;
use crate::plan::tree::{Key, Kind, Tree};

/// The matrix of `stage`, if it has one.
pub(super) fn check(check: &mut Check<'_>, stage: &Stage) {
    let Some(matrix) = &stage.matrix else { return };

    for (name, axis) in &matrix.axes {
        if let Kind::List(values) = &axis.kind {
            values_of(check, &name.value, values);
        }
    }
    let axes: Vec<&str> = match matrix.axes.as_slice() {
        // Without axes the first cell says which there are.
        [] => matrix
            .include
            .first()
            .map(|first| cell(first).map(|(key, _)| &*key.text).collect())
            .unwrap_or_default(),
        axes => axes.iter().map(|(name, _)| name.value.as_str()).collect(),
    };
    if let (Some((late, _)), Some(tree)) = (&matrix.late, matrix.include.iter().chain(&matrix.exclude).next()) {
        let axis = &matrix.axes[*late].0;
        let message =
            format!("`include` and `exclude` cannot stand beside `{}`, whose values a stage gives", axis.value);
        let found = Diagnostic::error("plan::bad-matrix", tree.at, message).related(axis.at, "the axis");
        check.report.push(found.help("let the stage that gives the values leave out or add what is wanted"));
    }
    for tree in &matrix.include {
        known_axes(check, tree, &axes);
    }
    for tree in &matrix.exclude {
        known_axes(check, tree, &axes);
    }
}

/// The entries of a cell.
pub(super) fn cell(tree: &Tree) -> impl Iterator<Item = &(Key, Tree)> {
    match &tree.kind {
        Kind::Map(entries) => entries.iter(),
        _ => [].iter(),
    }
}

/// The values of an axis: scalars that can stand in an id, each once.
fn values_of(check: &mut Check<'_>, axis: &str, values: &[Tree]) {
    let mut seen: HashMap<String, Place> = HashMap::with_capacity(values.len());
    for value in values {
        let Some(text) = scalar(check, axis, value) else { continue };
        let first = *seen.entry(text.clone()).or_insert(value.at);
        if first != value.at {
            let message = format!("axis `{axis}` has `{text}` twice");
            let diagnostic = Diagnostic::error("plan::duplicate-cell", value.at, message);
            check
                .report
                .push(diagnostic.related(first, "the first one").help("each value makes one cell: name it once"));
        }
    }
}

/// The text of a value that can name a cell.
fn scalar(check: &mut Check<'_>, axis: &str, value: &Tree) -> Option<String> {
    match &value.kind {
        Kind::Str { text, .. } => return Some(text.to_string()),
        Kind::Int(number) => return Some(number.to_string()),
        Kind::Bool(on) => return Some(on.to_string()),
        Kind::Float(_) => {
            let message = format!("a value of axis `{axis}` is a number with a fraction");
            let help = "put it in quotes, so that `1.10` stays `1.10`";
            check.error("plan::unquoted", value.at, message, help);
        }
        _ => {
            let message = format!("a value of axis `{axis}` is {}", value.noun());
            check.error("plan::wrong-type", value.at, message, "an axis has strings, whole numbers or booleans");
        }
    }
    None
}

fn known_axes(check: &mut Check<'_>, tree: &Tree, axes: &[&str]) {
    for (key, value) in cell(tree) {
        scalar(check, &key.text, value);
        if !axes.contains(&&*key.text) {
            let message = format!("the matrix has no axis `{}`", key.text);
            let help = match nearest(&key.text, axes.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("its axes: {}", quoted(axes)),
            };
            check.error("plan::unknown-axis", key.at, message, &help);
        }
    }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
