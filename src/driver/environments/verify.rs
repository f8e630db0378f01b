//! Parses back what was rendered: it must say what was meant. No message quotes a value.

use std::collections::BTreeMap;

use crate::plan::environment::Format;
use crate::render::{Value, dotenv, text_of};

/// What each key means, as the environment says.
pub(super) type Meant<'a> = BTreeMap<&'a str, Expected<'a>>;

/// See [`Meant`].
pub(super) enum Expected<'a> {
    /// A value.
    Plain(Value),
    /// A secret's text.
    Secret(&'a str),
}

impl Expected<'_> {
    /// Whether `text` says the same; lists and maps are written as JSON, whose keys have no order.
    fn is_text(&self, text: &str) -> bool {
        match self {
            Self::Plain(value) => match text_of(value) {
                Some(meant) => meant == text,
                None => serde_json::from_str::<Value>(text).is_ok_and(|read| read == *value),
            },
            Self::Secret(meant) => *meant == text,
        }
    }

    /// Whether a parsed value is the same: by its type, or as text.
    fn is(&self, value: &Value) -> bool {
        match self {
            Self::Plain(meant) => value == meant || value.as_str().is_some_and(|text| self.is_text(text)),
            Self::Secret(_) => value.as_str().is_some_and(|text| self.is_text(text)),
        }
    }
}

/// Checks `text` by `format`.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(format: Format, text: &str, meant: &Meant<'_>) -> Result<(), String> {
    let parsed = match format {
        Format::Text => return Ok(()),
        Format::Dotenv => return check_dotenv(text, meant),
        Format::Json => serde_json::from_str::<Value>(text).map_err(|error| {
            format!("line {}, column {} of what was rendered is no JSON", error.line(), error.column())
        })?,
        Format::Yaml => serde_yaml::from_str::<Value>(text).map_err(|error| {
            let line = error.location().map_or(0, |at| at.line());
            format!("line {line} of what was rendered is no YAML")
        })?,
        Format::Toml => {
            let table = toml::from_str::<toml::Table>(text).map_err(|error| {
                let at = error.span().map_or(0, |span| span.start);
                let line = text.get(..at).map_or(0, |before| before.matches('\n').count() + 1);
                format!("line {line} of what was rendered is no TOML")
            })?;
            serde_json::to_value(table)
                .map_err(|_| "what was rendered is TOML without a plain value".to_owned())?
        }
    };
    let Value::Object(map) = &parsed else { return Ok(()) };
    match map.iter().find(|(key, value)| meant.get(key.as_str()).is_some_and(|meant| !meant.is(value))) {
        Some((key, _)) => Err(other(key)),
        None => Ok(()),
    }
}

fn check_dotenv(text: &str, meant: &Meant<'_>) -> Result<(), String> {
    let parsed = dotenv::parse(text)
        .map_err(|fault| format!("line {} of what was rendered is no dotenv: {}", fault.line, fault.message))?;
    match parsed.iter().find(|(key, value)| meant.get(key.as_str()).is_some_and(|meant| !meant.is_text(value))) {
        Some((key, _)) => Err(other(key)),
        None => Ok(()),
    }
}

fn other(key: &str) -> String {
    format!("`{key}` reads back as another value than the environment gives it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_back_must_be_what_was_meant() {
        let meant = || -> Meant<'static> {
            [
                ("PORT", Expected::Plain(8000.into())),
                ("NAME", Expected::Plain("a b".into())),
                ("T", Expected::Secret("p w")),
                ("MAP", Expected::Plain(serde_json::json!({"a": [true], "b": 1}))),
            ]
            .into()
        };
        for (format, text, wrong) in [
            (Format::Dotenv, "PORT=8000\nNAME=\"a b\"\nT=\"p w\"\nOTHER=x\n", ""),
            (Format::Dotenv, "MAP=\"{\\\"b\\\":1,\\\"a\\\":[true]}\"\n", ""),
            (Format::Dotenv, "MAP=\"{\\\"b\\\":1}\"\n", "`MAP`"),
            (Format::Dotenv, "PORT=8001\n", "`PORT` reads back"),
            (Format::Dotenv, "T=p w\n", "line 1"),
            (Format::Dotenv, "T=pw\n", "`T` reads back"),
            (Format::Json, "{\"PORT\": 8000, \"NAME\": \"a b\", \"T\": \"p w\"}", ""),
            (Format::Json, "{\"PORT\": \"8000\"}", ""),
            (Format::Json, "{\"PORT\": 80}", "`PORT`"),
            (Format::Json, "{\n\"T\": p w}", "line 2"),
            (Format::Yaml, "PORT: 8000\nNAME: a b\n", ""),
            (Format::Yaml, "T: other\n", "`T`"),
            (Format::Yaml, "a: [\n", "no YAML"),
            (Format::Toml, "PORT = 8000\n", ""),
            (Format::Toml, "\nPORT = eight\n", "line 2"),
            (Format::Toml, "NAME = \"ab\"\n", "`NAME`"),
            (Format::Text, "PORT: : {", ""),
        ] {
            let told = check(format, text, &meant()).err().unwrap_or_default();
            assert_eq!(told.is_empty(), wrong.is_empty(), "{text}: {told}");
            assert!(told.contains(wrong) && !told.contains("p w"), "{text}: {told}");
        }
    }
}
