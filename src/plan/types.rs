//! The types of inputs, outputs and an environment's keys: reading text as one, checking a value against one.

use crate::base::{Span, size_bytes};
use crate::plan::model::Type;
use crate::plan::tree::{Kind, Tree};
use crate::render::{Kinds, Value, noun};

/// The name a plan gives the type.
pub const fn name(kind: Type) -> &'static str {
    match kind {
        Type::String => "string",
        Type::Int => "int",
        Type::Float => "float",
        Type::Bool => "bool",
        Type::Duration => "duration",
        Type::Size => "size",
        Type::Url => "url",
        Type::List => "list",
        Type::Map => "map",
    }
}

/// Reads `text`, as `--set`, an environment variable or an output line gives it. Lists and maps are JSON.
///
/// # Errors
/// A sentence that says what was expected.
pub fn read(kind: Type, text: &str) -> Result<Value, String> {
    let expected = || format!("`{text}` is no {}{}", name(kind), example(kind));
    let value = match kind {
        Type::String | Type::Duration | Type::Size | Type::Url => Value::from(text),
        Type::Int => Value::from(text.parse::<i64>().map_err(|_| expected())?),
        Type::Float => text
            .parse::<f64>()
            .ok()
            .and_then(serde_json::Number::from_f64)
            .map(Value::Number)
            .ok_or_else(expected)?,
        Type::Bool => Value::Bool(match text {
            "true" => true,
            "false" => false,
            _ => return Err(expected()),
        }),
        Type::List | Type::Map => serde_json::from_str(text).map_err(|_| expected())?,
    };
    check(kind, value)
}

/// Checks a value that already has a type; a whole number is a float too.
///
/// # Errors
/// A sentence that says what was expected.
pub fn check(kind: Type, value: Value) -> Result<Value, String> {
    let is_right = match (kind, &value) {
        (Type::String, Value::String(_))
        | (Type::Float, Value::Number(_))
        | (Type::Bool, Value::Bool(_))
        | (Type::List, Value::Array(_))
        | (Type::Map, Value::Object(_)) => true,
        (Type::Int, Value::Number(number)) => !number.is_f64(),
        (Type::Duration, Value::String(text)) => Span::parse(text).is_some(),
        (Type::Size, Value::String(text)) => size_bytes(text).is_some(),
        (Type::Url, Value::String(text)) => is_url(text),
        _ => false,
    };
    if is_right {
        return Ok(value);
    }
    let shown = value.as_str().map_or_else(|| noun(&value).to_owned(), |text| format!("`{text}`"));
    if kind == Type::Duration && value.as_str().is_some_and(Span::is_too_long) {
        return Err(Span::too_long(shown));
    }
    Err(format!("{shown} is no {}{}", name(kind), example(kind)))
}

/// The kind of its values.
pub const fn kinds(kind: Type) -> Kinds {
    match kind {
        Type::String | Type::Duration | Type::Size | Type::Url => Kinds::TEXT,
        Type::Int | Type::Float => Kinds::NUMBER,
        Type::Bool => Kinds::BOOL,
        Type::List => Kinds::LIST,
        Type::Map => Kinds::MAP,
    }
}

/// Checks what is known of a value that nobody has given yet.
///
/// # Errors
/// A sentence that says what was expected.
pub fn may_be(kind: Type, given: Kinds) -> Result<(), String> {
    if given.may_be(kinds(kind)) {
        return Ok(());
    }
    Err(format!("{} is no {}{}", given.noun(), name(kind), example(kind)))
}

const fn example(kind: Type) -> &'static str {
    match kind {
        Type::Bool => " (`true` or `false`)",
        Type::Duration => " (like `90s` or `1h30m`)",
        Type::Size => " (like `10MiB` or `4kB`)",
        Type::Url => " (like `https://host/path`)",
        Type::List => " (JSON, like `[\"a\", \"b\"]`)",
        Type::Map => " (JSON, like `{\"a\": 1}`)",
        _ => "",
    }
}

/// `scheme://host…` without blanks; without a host for what lies on this machine.
pub(super) fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let is_scheme = scheme.bytes().next().is_some_and(|c| c.is_ascii_alphabetic())
        && scheme.bytes().all(|c| c.is_ascii_alphanumeric() || b"+-.".contains(&c));
    // `sqlite:///./dev.db` and `file:///etc/hosts` name no host; the web always does.
    let has_place =
        !rest.starts_with('/') || (rest.len() > 1 && !matches!(scheme, "http" | "https" | "ws" | "wss"));
    is_scheme && !rest.is_empty() && has_place && !rest.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// What `min` and `max` compare: the number, milliseconds of a duration, bytes of a size.
#[expect(clippy::cast_precision_loss, reason = "bounds beyond 2^53 ms or bytes are not told apart")]
pub fn magnitude(kind: Type, value: &Value) -> Option<f64> {
    match kind {
        Type::Int | Type::Float => value.as_f64(),
        Type::Duration => Some(Span::parse(value.as_str()?)?.ms() as f64),
        Type::Size => Some(size_bytes(value.as_str()?)? as f64),
        _ => None,
    }
}

/// A tree as a plain value, templates left as text.
pub fn literal(tree: &Tree) -> Value {
    match &tree.kind {
        Kind::Null => Value::Null,
        Kind::Bool(on) => Value::Bool(*on),
        Kind::Int(number) => Value::from(*number),
        Kind::Float(number) => serde_json::Number::from_f64(*number).map_or(Value::Null, Value::Number),
        Kind::Str { text, .. } => Value::from(&**text),
        Kind::List(items) => items.iter().map(literal).collect(),
        Kind::Map(items) => {
            Value::Object(items.iter().map(|(key, item)| (key.text.to_string(), literal(item))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_reads_as_its_type_or_says_what_it_is_not() {
        assert_eq!(read(Type::Int, "-5"), Ok(json!(-5)));
        assert_eq!(read(Type::Float, "1.5"), Ok(json!(1.5)));
        assert_eq!(read(Type::Bool, "true"), Ok(json!(true)));
        assert_eq!(read(Type::Duration, "1h30m"), Ok(json!("1h30m")));
        assert_eq!(read(Type::Size, "10MiB"), Ok(json!("10MiB")));
        assert_eq!(read(Type::Url, "https://a/b?c"), Ok(json!("https://a/b?c")));
        assert_eq!(read(Type::List, "[1,\"a\"]"), Ok(json!([1, "a"])));
        assert_eq!(read(Type::Map, "{\"a\":1}"), Ok(json!({"a": 1})));
        for (kind, text) in [
            (Type::Int, "1.5"),
            (Type::Float, "nan"),
            (Type::Bool, "yes"),
            (Type::Duration, "90"),
            (Type::Size, "10"),
            (Type::Url, "host/path"),
            (Type::List, "{}"),
            (Type::Map, "[]"),
        ] {
            assert!(read(kind, text).is_err(), "{text}");
        }
    }

    #[test]
    fn typed_values_are_checked_not_converted() {
        assert!(check(Type::String, json!(5)).is_err());
        assert!(check(Type::Int, json!(5.5)).is_err());
        assert_eq!(check(Type::Float, json!(5)), Ok(json!(5)));
    }
}
