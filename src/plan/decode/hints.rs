//! Guesses at what the user meant.

use std::borrow::Cow;

use crate::plan::error::nearest;
use crate::plan::schema::tables::{ALL, DEFAULTS, FILE, STAGE};
use crate::plan::schema::{NameRule, Shape, Table};

/// What other tools call our keys, and what to write instead.
const FOREIGN: &[(&str, &str)] = &[
    ("actions", "`uses`"),
    ("cmd", "`run`"),
    ("command", "`run`"),
    ("commands", "`run`"),
    ("concurrency", "`max-parallel`, or a pool under `pools`"),
    ("continue-on-error", "`allow-failure: true`"),
    ("dependencies", "`needs`"),
    ("depends", "`needs`"),
    ("depends-on", "`needs`"),
    ("deps", "`needs`"),
    ("dir", "`cwd`"),
    ("directory", "`cwd`"),
    ("environment", "`env`"),
    ("exec", "`run`"),
    ("jobs", "`stages`, or `max-parallel` for how many run at once"),
    ("parallel", "`max-parallel`"),
    ("parallelism", "`max-parallel`"),
    ("params", "`with`, or `inputs` where they are declared"),
    ("resources", "`pools`"),
    ("retries", "`retry`"),
    ("script", "`run`"),
    ("steps", "`stages`"),
    ("strategy", "`matrix`"),
    ("tasks", "`stages`"),
    ("timeout-minutes", "`timeout: 10m`"),
    ("timeout-seconds", "`timeout: 90s`"),
    ("unless", "`if: not …`"),
    ("variables", "`vars`"),
    ("when", "`if`"),
    ("workdir", "`cwd`"),
    ("working-directory", "`cwd`"),
];

/// A table with more keys is not listed to whom none of them was meant.
const MAX_LISTED: usize = 12;

/// Help for a key that `table` does not have.
pub(super) fn for_key(written: &str, table: &'static Table) -> Option<String> {
    let kebab = kebab(written);
    if kebab != written && table.key(&kebab).is_some() {
        return Some(format!("keys are kebab-case: write `{kebab}`"));
    }
    if let Some(help) = special(&kebab, table) {
        return Some(help.to_owned());
    }
    if let Some(help) = elsewhere(&kebab, table) {
        return Some(help);
    }
    let foreign = FOREIGN.iter().find(|(word, better)| *word == kebab && names_a_key(better, table));
    if let Some((_, better)) = foreign {
        return Some(format!("it is called {better} here"));
    }
    let known = table.keys.iter().map(|key| key.name);
    match nearest(&kebab, known.clone()) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None if table.keys.len() > MAX_LISTED => None,
        None => Some(format!("one of {}", known.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))),
    }
}

/// Keys that need words of their own.
fn special(written: &str, table: &Table) -> Option<&'static str> {
    match (table.name, written) {
        ("stage", "id") => Some("in a map the key is the id; `id` is for stages in a list"),
        ("input", "required") => Some("an input without `default` is required"),
        ("input", "values" | "choices" | "options" | "one-of") => Some("write `enum: […]`"),
        ("shards", "range" | "glob" | "file" | "list") => Some("say where the items come from under `items`"),
        ("approval" | "attest", "expires" | "expiry" | "timeout") => {
            Some("the stage's own `timeout` ends the wait")
        }
        ("stage", "inputs") => Some("write `with` to give values to what it uses"),
        ("stage", "always" | "finally") => Some("put the stage under the plan's `finally`"),
        _ => None,
    }
}

/// Where a key belongs that stands in the wrong map.
fn elsewhere(written: &str, table: &'static Table) -> Option<String> {
    let is = |other: &Table| other.name == table.name;
    if is(&FILE) && DEFAULTS.key(written).is_some() {
        return Some(format!("`{written}` belongs under `defaults`, or to a stage"));
    }
    if is(&FILE) && STAGE.key(written).is_some() {
        return Some(format!("`{written}` belongs to a stage"));
    }
    if is(&DEFAULTS) && STAGE.key(written).is_some() {
        return Some(format!("`{written}` has no default for all stages: write it at each stage"));
    }
    if is(&STAGE) {
        if let Some(parent) = under(written) {
            return Some(format!("`{written}` belongs under `{parent}`"));
        }
        let top = FILE.key(written).filter(|key| key.name != "stages");
        return top.map(|_| format!("`{written}` belongs to the top level of the plan"));
    }
    if is(&super::super::schema::tables::ACTION) && STAGE.key(written).is_some() {
        return Some(format!("`{written}` belongs to the stage that uses the action"));
    }
    None
}

/// The map inside a stage that has the key, if only one has it.
fn under(written: &str) -> Option<&'static str> {
    let inside = ["retry", "stop", "matrix", "shards", "cache"];
    let mut found = ALL.iter().filter(|table| inside.contains(&table.name) && table.key(written).is_some());
    let first = found.next()?;
    found.next().is_none().then_some(first.name)
}

/// Whether the first word in backticks is a key of `table`.
fn names_a_key(better: &str, table: &Table) -> bool {
    let word = better.split('`').nth(1).unwrap_or_default();
    let key = word.split(':').next().unwrap_or_default();
    table.key(key).is_some()
}

/// `snake_case`, `camelCase` and blanks as kebab-case.
fn kebab(written: &str) -> String {
    let mut out = String::with_capacity(written.len() + 2);
    for c in written.chars() {
        match c {
            '_' | ' ' => out.push('-'),
            upper if upper.is_ascii_uppercase() => {
                if !out.is_empty() && !out.ends_with('-') {
                    out.push('-');
                }
                out.push(upper.to_ascii_lowercase());
            }
            other => out.push(other),
        }
    }
    out
}

/// What a value under a user's own name may be; `…` where there is no telling.
pub(super) fn example(shape: &Shape) -> Cow<'static, str> {
    let Shape::Map(table) = shape else { return "…".into() };
    let known = table.key("run").or_else(|| table.keys.iter().find(|key| key.required));
    known.or(table.keys.first()).map_or("…".into(), |key| format!("{{{}: {}}}", key.name, key.example).into())
}

/// Help for text that is meant as a value of `shape`.
pub(super) fn for_text(text: &str, shape: &Shape) -> Option<String> {
    for_computed(text, shape).or_else(|| for_quoted(text, shape))
}

/// Help for an expression without its braces, where a template may give the value.
pub(super) fn for_computed(text: &str, shape: &Shape) -> Option<String> {
    match shape {
        Shape::Count { .. } | Shape::Duration { .. } | Shape::Rate | Shape::Share => for_bare(text),
        Shape::Either(shapes) => shapes.iter().find_map(|shape| for_computed(text, shape)),
        _ => None,
    }
}

/// Help for text where a boolean or a number is wanted.
fn for_quoted(text: &str, shape: &Shape) -> Option<String> {
    match shape {
        Shape::Either(shapes) => shapes.iter().find_map(|shape| for_quoted(text, shape)),
        Shape::Bool => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => Some("write `true`, without quotes".to_owned()),
            "false" | "no" | "off" | "n" => Some("write `false`, without quotes".to_owned()),
            _ => None,
        },
        Shape::Count { .. } | Shape::ExitCode | Shape::Factor => {
            text.parse::<f64>().is_ok().then(|| format!("write `{text}`, without quotes"))
        }
        _ => None,
    }
}

/// Names that an expression may begin with.
pub(crate) const NAMES: &[&str] =
    &["inputs", "vars", "env", "needs", "matrix", "shard", "group", "run", "self", "secrets"];

/// Help for an expression that stands without its braces where a value may be computed.
pub(crate) fn for_bare(text: &str) -> Option<String> {
    let text = text.trim();
    let (name, rest) = text.split_at(text.find(['.', '['])?);
    let is_bare = NAMES.contains(&name) && rest.len() > 1 && !text.contains("{{");
    is_bare.then(|| format!("an expression stands in braces: `\"{{{{ {text} }}}}\"`"))
}

/// Help for text that is no duration.
pub(super) fn for_duration(text: &str) -> String {
    const FORM: &str = "units descend and stand close to whole numbers: `90s`, `1h30m`, `250ms`, `2d`";
    let close: String = text.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_lowercase();
    let mut short = close;
    for (long, unit) in [
        ("milliseconds", "ms"),
        ("millisecond", "ms"),
        ("seconds", "s"),
        ("second", "s"),
        ("secs", "s"),
        ("sec", "s"),
        ("minutes", "m"),
        ("minute", "m"),
        ("mins", "m"),
        ("min", "m"),
        ("hours", "h"),
        ("hour", "h"),
        ("hrs", "h"),
        ("days", "d"),
        ("day", "d"),
    ] {
        short = short.replace(long, unit);
    }
    match crate::base::Span::parse(&short) {
        Some(_) => format!("write `{short}`"),
        None => FORM.to_owned(),
    }
}

/// A name near `text` that keeps the rule.
pub(super) fn mended_name(text: &str, rule: NameRule) -> Option<String> {
    let better: String = match rule {
        NameRule::Id => {
            let lower =
                if text.bytes().any(|c| c.is_ascii_lowercase()) { kebab(text) } else { text.to_lowercase() };
            lower.chars().map(|c| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '-' }).collect()
        }
        NameRule::Key => {
            let upper = text.to_uppercase();
            upper.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
        }
        NameRule::Env => {
            text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
        }
    };
    let better = better.trim_matches('-').to_owned();
    let good = match rule {
        NameRule::Id => super::check::is_id(&better),
        NameRule::Env => super::check::is_env_name(&better),
        NameRule::Key => super::check::is_key(&better),
    };
    (good && better != text).then_some(better)
}
