//! Variables of the engine that a script reads although nobody sets them.

use super::Check;
use super::text::RESERVED;
use crate::plan::error::{Diagnostic, nearest};
use crate::plan::model::{Body, Command, Common, Stage};
use crate::plan::tree::Tree;

/// What all variables of the engine begin with.
const PREFIX: &str = "ENGINE_";

/// The scripts of a stage. What an action is given beside its own `env` is not known here.
pub(super) fn check(check: &mut Check<'_>, stage: &Stage) {
    let body = match &stage.body {
        Body::Run(Command::Script(script)) => Some(script),
        _ => None,
    };
    let done_if = match &stage.done_if {
        Some(Command::Script(script)) => Some(script),
        _ => None,
    };
    for script in body.into_iter().chain(done_if) {
        let places = [&stage.common, &check.plan.defaults];
        for found in unset(script, &places) {
            check.report.push(found);
        }
    }
}

/// What is wrong with the variables that `script` reads, each once.
fn unset(script: &Tree, places: &[&Common]) -> Vec<Diagnostic> {
    let text = script.as_str().unwrap_or_default();
    let mut seen: Vec<&str> = Vec::new();
    let mut found = Vec::new();
    for (at, _) in text.match_indices(PREFIX) {
        let name = name_at(text, at);
        if seen.contains(&name) || !is_read(text, at, name) {
            continue;
        }
        seen.push(name);
        if RESERVED.contains(&name) || is_given(name, places) || text.contains(&format!("{name}=")) {
            continue;
        }
        let message = format!("nobody sets `${name}` for this script");
        // Without what they all begin with, which would make each look like each.
        let help = match nearest(&name[PREFIX.len()..], RESERVED.iter().map(|known| &known[PREFIX.len()..])) {
            Some(near) => format!("did you mean `${PREFIX}{near}`?"),
            None => format!("the engine sets {}", list()),
        };
        found.push(
            Diagnostic::warning("plan::unset-variable", script.place_of(at..at + name.len()), message).help(help),
        );
    }
    found
}

fn list() -> String {
    RESERVED.iter().map(|name| format!("`${name}`")).collect::<Vec<_>>().join(", ")
}

/// The name that begins at `at`.
fn name_at(text: &str, at: usize) -> &str {
    let rest = &text[at..];
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    &rest[..end]
}

/// Whether the shell puts the value of `name` here, and would have nothing else if it has none.
fn is_read(text: &str, at: usize, name: &str) -> bool {
    let (before, after) = (&text[..at], &text[at + name.len()..]);
    let is_plain = before.ends_with('$') && !before.ends_with("\\$");
    is_plain
        || (before.ends_with("${") && !before.ends_with("\\${") && !after.starts_with([':', '-', '+', '=', '?']))
}

/// Whether `env` or `pass-env` may set it: no prefix (`ENGINE_C*`) takes a variable of the engine along.
fn is_given(name: &str, places: &[&Common]) -> bool {
    places.iter().any(|common| {
        common.env.iter().any(|(own, _)| own.value == name)
            || common.pass_env.iter().any(|passed| passed.value == name)
    })
}
