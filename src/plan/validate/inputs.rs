//! Inputs: defaults, enums, patterns and bounds fit their type.

use regex::Regex;

use super::Check;
use crate::base::{Span, Text, size_bytes};
use crate::plan::decode::is_env_name;
use crate::plan::model::{Input, Type};
use crate::plan::source::{Place, Spanned};
use crate::plan::tree::{Kind, Tree};
use crate::plan::types::is_url;

/// Every declared input.
pub(super) fn check(check: &mut Check<'_>) {
    for input in &check.plan.inputs {
        if let Some(at) = input.secret {
            secret(check, input, at);
        }
        if let Some(variable) = &input.from_env {
            from_env(check, input, variable);
        }
        let pattern = pattern(check, input);
        bounds(check, input);
        for value in input.one_of.iter().flatten() {
            typed(check, input, value, "a value of `enum`");
        }
        if let Some(default) = &input.default
            && typed(check, input, default, "the default")
        {
            allowed(check, input, default, pattern.as_ref());
        }
    }
}

/// A secret input is text, and nothing of its value stands in the file.
fn secret(check: &mut Check<'_>, input: &Input, at: Place) {
    let name = &input.name.value;
    if !matches!(input.kind, Type::String | Type::Url) {
        let message = format!("input `{name}` is `secret` and {}", noun(input.kind));
        check.error("plan::bad-default", at, message, "a secret is text: `type: string`");
    }
    let default = input.default.as_ref().map(|tree| ("a default", tree.at));
    let one_of = input.one_of.iter().flatten().next().map(|tree| ("an `enum`", tree.at));
    for (what, at) in default.into_iter().chain(one_of) {
        let message = format!("input `{name}` is `secret` and has {what}, which everybody can read here");
        let help = "take it out, and change the secret if this was one; the value is given when the run begins";
        check.error("plan::bad-default", at, message, help);
    }
}

/// The variable can be one, and is not recorded with the run unless its value may be.
fn from_env(check: &mut Check<'_>, input: &Input, variable: &Spanned<Text>) {
    let (name, at) = (&input.name.value, variable.at);
    if !is_env_name(&variable.value) {
        let message = format!("`{}` cannot be the name of an environment variable", variable.value);
        check.error("plan::bad-name", at, message, "letters, digits and `_`, like SHOP_TAG");
    }
    if input.secret.is_some() {
        let message = format!("input `{name}` is `secret` and has `from-env`");
        let variable = name.replace('-', "_").to_uppercase();
        let help = format!("take it out: a secret input is given by `ENGINE_INPUT_{variable}` or `--inputs FILE`");
        check.error("plan::bad-default", at, message, &help);
    }
}

fn pattern(check: &mut Check<'_>, input: &Input) -> Option<Regex> {
    let pattern = input.pattern.as_ref()?;
    if !matches!(input.kind, Type::String | Type::Url) {
        let message = format!("input `{}` has a `pattern`, but is no text", input.name.value);
        check.error("plan::bad-default", pattern.at, message, "use `min`, `max` or `enum`");
        return None;
    }
    match Regex::new(&pattern.value) {
        Ok(regex) => Some(regex),
        Err(error) => {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            let message =
                format!("the pattern of input `{}` is no regular expression: {reason}", input.name.value);
            check.error("plan::bad-pattern", pattern.at, message, "the syntax is that of the Rust crate `regex`");
            None
        }
    }
}

fn bounds(check: &mut Check<'_>, input: &Input) {
    for bound in input.min.iter().chain(&input.max) {
        if measure(input.kind, bound).is_none() {
            let message =
                format!("a bound of input `{}` does not fit its type, {}", input.name.value, noun(input.kind));
            check.error(
                "plan::bad-default",
                bound.at,
                message,
                "`min` and `max` are for numbers, durations and sizes",
            );
        }
    }
    if let (Some(min), Some(max)) = (&input.min, &input.max)
        && measure(input.kind, min) > measure(input.kind, max)
    {
        let message = format!("`min` of input `{}` is above its `max`", input.name.value);
        check.error("plan::bad-default", min.at, message, "swap them");
    }
}

/// Whether `value` has the input's type; reports it when not.
fn typed(check: &mut Check<'_>, input: &Input, value: &Tree, what: &str) -> bool {
    let fits = is_of(input.kind, value);
    if !fits {
        let name = &input.name.value;
        if input.kind == Type::Duration && value.as_str().is_some_and(Span::is_too_long) {
            let message = Span::too_long(format_args!("{what} of input `{name}`"));
            check.error("plan::bad-default", value.at, message, example(input.kind));
            return false;
        }
        let message = format!("{what} of input `{name}` is {}, not {}", value.noun(), noun(input.kind));
        check.error("plan::bad-default", value.at, message, example(input.kind));
    }
    fits
}

/// The default keeps the rules that every value must keep.
fn allowed(check: &mut Check<'_>, input: &Input, default: &Tree, pattern: Option<&Regex>) {
    let name = &input.name.value;
    if let Some(values) = &input.one_of
        && !values.iter().any(|value| is_same(value, default))
    {
        let message = format!("the default of input `{name}` is not in its `enum`");
        check.error(
            "plan::bad-default",
            default.at,
            message,
            "use one of the listed values, or add it to the list",
        );
    }
    if let (Some(pattern), Some(text)) = (pattern, default.as_str())
        && !pattern.is_match(text)
    {
        let message = format!("the default of input `{name}` does not match its `pattern`");
        check.error("plan::bad-default", default.at, message, "mend one of the two");
    }
    let value = measure(input.kind, default);
    let below = input.min.as_ref().and_then(|min| measure(input.kind, min)).is_some_and(|min| value < Some(min));
    let above = input.max.as_ref().and_then(|max| measure(input.kind, max)).is_some_and(|max| value > Some(max));
    if below || above {
        let message = format!("the default of input `{name}` is outside `min` and `max`");
        check.error("plan::bad-default", default.at, message, "mend one of them");
    }
}

/// Whether `tree` is a value of `kind`.
fn is_of(kind: Type, tree: &Tree) -> bool {
    match (kind, &tree.kind) {
        (Type::String, Kind::Str { .. })
        | (Type::Int, Kind::Int(_))
        | (Type::Float, Kind::Int(_) | Kind::Float(_))
        | (Type::Bool, Kind::Bool(_))
        | (Type::List, Kind::List(_))
        | (Type::Map, Kind::Map(_)) => true,
        (Type::Duration, Kind::Str { text, .. }) => Span::parse(text).is_some(),
        (Type::Size, Kind::Str { text, .. }) => size_bytes(text).is_some(),
        (Type::Url, Kind::Str { text, .. }) => is_url(text),
        _ => false,
    }
}

/// Whether two values are the same, wherever they stand.
fn is_same(a: &Tree, b: &Tree) -> bool {
    match (&a.kind, &b.kind) {
        (Kind::Str { text: a, .. }, Kind::Str { text: b, .. }) => a == b,
        (Kind::List(a), Kind::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b)),
        (Kind::Map(a), Kind::Map(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((x, a), (y, b))| x.text == y.text && is_same(a, b))
        }
        (a, b) => a == b,
    }
}

/// The value as a number to compare, for types that have an order.
#[expect(clippy::cast_precision_loss, reason = "only compared with bounds that people write")]
fn measure(kind: Type, tree: &Tree) -> Option<f64> {
    match (kind, &tree.kind) {
        (Type::Int | Type::Float, Kind::Int(number)) => Some(*number as f64),
        (Type::Float, Kind::Float(number)) => Some(*number),
        (Type::Duration, Kind::Str { text, .. }) => Span::parse(text).map(|span| span.ms() as f64),
        (Type::Size, Kind::Str { text, .. }) => size_bytes(text).map(|bytes| bytes as f64),
        _ => None,
    }
}

fn noun(kind: Type) -> &'static str {
    match kind {
        Type::String => "a string",
        Type::Int => "a whole number",
        Type::Float => "a number",
        Type::Bool => "a boolean",
        Type::Duration => "a duration",
        Type::Size => "a size",
        Type::Url => "a URL",
        Type::List => "a list",
        Type::Map => "a map",
    }
}

fn example(kind: Type) -> &'static str {
    match kind {
        Type::String => "put it in quotes, or declare another `type`",
        Type::Int => "write it like `8`, without quotes",
        Type::Float => "write it like `1.5`, without quotes",
        Type::Bool => "write `true` or `false`, without quotes",
        Type::Duration => "write it like `90s` or `1h30m`",
        Type::Size => "write it like `10MiB`, `4kB` or `12B`",
        Type::Url => "write it like `https://example.org/path`",
        Type::List => "write it like `[a, b]`",
        Type::Map => "write it like `{a: 1}`",
    }
}
