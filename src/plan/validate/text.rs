//! Texts: scripts that do not interpolate, variables with good names, paths and globs that stay inside.

use std::ops::Range;

use globset::GlobBuilder;

use super::Check;
use crate::base::Text;
use crate::plan::decode::{NAMES, is_env_name};
use crate::plan::error::Diagnostic;
use crate::plan::model::{Body, Command, Common, Items, Shards, Stage};
use crate::plan::source::{Place, Spanned};
use crate::plan::tree::Tree;

/// Variables that the engine sets for every attempt.
pub(super) const RESERVED: &[&str] = &[
    "ENGINE_RUN_ID",
    "ENGINE_STAGE",
    "ENGINE_SHARD",
    "ENGINE_ATTEMPT",
    "ENGINE_ATTEMPT_KEY",
    "ENGINE_OUTPUT",
    "ENGINE_SHARD_FILE",
    "ENGINE_WORKER",
];

/// The texts of a stage or action.
pub(super) fn check(check: &mut Check<'_>, stage: &Stage) {
    if let Body::Run(Command::Script(script)) = &stage.body {
        interpolation(check, script);
    }
    if let Some(Command::Script(script)) = &stage.done_if {
        interpolation(check, script);
    }
    check_common(check, &stage.common);
    if let Some(cache) = &stage.cache {
        for source in &cache.sources {
            glob(check, source, "");
        }
        for name in cache.env.iter().filter(|name| !is_env_name(&name.value)) {
            let message = format!("`{}` is no variable's name", name.value);
            check.error("plan::bad-name", name.at, message, "it must match `[A-Za-z_][A-Za-z0-9_]*`");
        }
    }
    let cwd = stage.common.cwd.as_ref().and_then(Tree::as_str).unwrap_or_default();
    for artifact in &stage.artifacts {
        glob(check, artifact, cwd);
    }
    match &stage.shards {
        Some(Shards { items: Items::Glob(pattern), .. }) => glob(check, pattern, ""),
        Some(Shards { items: Items::File(path), .. }) => {
            inside(check, path.at, path.as_str().unwrap_or_default(), "");
        }
        _ => {}
    }
}

/// The texts that `defaults` and stages share.
pub(super) fn check_common(check: &mut Check<'_>, common: &Common) {
    for (name, _) in common.env.iter().filter(|(name, _)| RESERVED.contains(&name.value.as_str())) {
        let message = format!("`{}` is set by the engine", name.value);
        check.error("plan::reserved-env", name.at, message, "choose another name");
    }
    for pattern in &common.pass_env {
        pass_env(check, pattern);
    }
    if let Some(cwd) = &common.cwd {
        inside(check, cwd.at, cwd.as_str().unwrap_or_default(), "");
    }
}

/// A name, or a prefix with one `*` at its end.
fn pass_env(check: &mut Check<'_>, pattern: &Spanned<Text>) {
    let name = pattern.value.strip_suffix('*').unwrap_or(&pattern.value);
    if !is_env_name(name) {
        let message = format!("`{}` is neither a variable's name nor a prefix with `*`", pattern.value);
        let help = match name {
            "" => "name what the stage needs, `SSH_AUTH_SOCK` or `AWS_*`: everything at once is not passed on",
            _ => "write `SSH_AUTH_SOCK` or `AWS_*`",
        };
        check.error("plan::pass-env", pattern.at, message, help);
    }
}

/// Refuses `{{ inputs.… }}` in a script and shows how to write it.
fn interpolation(check: &mut Check<'_>, script: &Tree) {
    let text = script.as_str().unwrap_or_default();
    let mut from = 0;
    while let Some(found) = next_template(text, from) {
        let inner = text[found.clone()].trim_matches(['{', '}', '-']).trim();
        let name = variable(inner);
        let message = format!(
            "a script is never interpolated, so `{}` would reach the shell as it is",
            &text[found.clone()]
        );
        let help = format!(
            "write `env: {{{name}: \"{{{{ {inner} }}}}\"}}` beside `run`, and `\"${name}\"` in the script"
        );
        let at = script.place_of(found.clone());
        check.report.push(
            Diagnostic::error("plan::script-template", at, message).label("not replaced in a script").help(help),
        );
        from = found.end;
    }
}

/// The next `{{ name… }}` from `from` on whose name is one of ours.
fn next_template(text: &str, mut from: usize) -> Option<Range<usize>> {
    while let Some(at) = text[from..].find("{{") {
        let start = from + at;
        let inner = text[start + 2..].trim_start_matches('-').trim_start();
        let length = inner.bytes().take_while(|&c| c.is_ascii_alphanumeric() || c == b'_').count();
        let after = inner[length..].trim_start().bytes().next();
        if NAMES.contains(&&inner[..length]) && matches!(after, Some(b'.' | b'[' | b'}' | b'|' | b'-')) {
            let end = text[start..].find("}}").map_or(text.len(), |end| start + end + 2);
            return Some(start..end);
        }
        from = start + 2;
    }
    None
}

/// A variable's name for an expression: `inputs.image-tag` becomes `IMAGE_TAG`.
fn variable(expression: &str) -> String {
    let path = expression.split(['|', ' ', '[']).next().unwrap_or_default();
    let last = path.rsplit('.').next().unwrap_or_default();
    let name: String =
        last.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    if is_env_name(&name) { name } else { "VALUE".to_owned() }
}

/// A glob that compiles and stays inside the root, starting in `cwd`. A template in it would be read as
/// alternatives and silently name nothing.
fn glob(check: &mut Check<'_>, pattern: &Spanned<Text>, cwd: &str) {
    if let Some(found) = next_template(&pattern.value, 0) {
        let message = format!("a glob is never interpolated, so `{}` would name no file", &pattern.value[found]);
        check.error("plan::bad-glob", pattern.at, message, "write the names out, or use `*` in its place");
        return;
    }
    if let Err(error) = GlobBuilder::new(&pattern.value).literal_separator(true).build() {
        let message = format!("`{}` is no glob: {}", pattern.value, error.kind());
        let help =
            "`*` is part of a name, `**` any folders, `?` one character, `[ab]` one of these, `{a,b}` either";
        check.error("plan::bad-glob", pattern.at, message, help);
        return;
    }
    inside(check, pattern.at, &pattern.value, cwd);
}

/// A path that does not leave the root, unless the file may.
fn inside(check: &mut Check<'_>, at: Place, path: &str, cwd: &str) {
    if check.plan.allow_outside || path.contains("{{") || cwd.contains("{{") {
        return;
    }
    if leaves_root(path, cwd) {
        let message = format!("`{path}` leaves the project's root");
        let help = "paths stay below the root; `allow-outside: true` at the top level lifts that";
        check.error("plan::outside", at, message, help);
    }
}

/// Whether `path`, starting in `cwd`, is absolute or climbs above the root.
fn leaves_root(path: &str, cwd: &str) -> bool {
    let mut depth = 0_i64;
    for part in cwd.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => depth -= 1,
            _ => depth += 1,
        }
        if depth < 0 {
            return true;
        }
    }
    path.starts_with('/') || path.starts_with('~')
}
