//! The forms that a value takes inside files of other languages: the filters `dotenv shell json yaml toml`.

use std::fmt::Write as _;

use super::{Value, dotenv, noun, text_of};

/// A language to quote for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// As it is.
    Plain,
    /// Our dotenv dialect.
    Dotenv,
    /// One word of a POSIX shell.
    Shell,
    /// JSON.
    Json,
    /// YAML, in one line.
    Yaml,
    /// TOML, in one line.
    Toml,
}

/// The filters and their forms.
pub const FORMS: [(&str, Form); 5] = [
    ("dotenv", Form::Dotenv),
    ("shell", Form::Shell),
    ("json", Form::Json),
    ("yaml", Form::Yaml),
    ("toml", Form::Toml),
];

impl Form {
    /// The form of `value`.
    ///
    /// # Errors
    /// What about it has no such form; a value is never quoted.
    pub fn of(self, value: &Value) -> Result<String, String> {
        match self {
            Self::Plain => text(value),
            Self::Dotenv => {
                dotenv::quote(&flat(value)?).ok_or_else(|| "a value with a control character".to_owned())
            }
            Self::Shell => shell(&flat(value)?),
            // What JSON writes, YAML reads.
            Self::Json | Self::Yaml => Ok(json(value)),
            Self::Toml => toml(value),
        }
    }
}

fn text(value: &Value) -> Result<String, String> {
    text_of(value).ok_or_else(|| noun(value).to_owned())
}

/// One text: lists and maps as JSON.
fn flat(value: &Value) -> Result<String, String> {
    match value {
        Value::Array(_) | Value::Object(_) => Ok(value.to_string()),
        other => text(other),
    }
}

/// One word, in single quotes unless it is plain.
fn shell(text: &str) -> Result<String, String> {
    if text.contains('\0') {
        return Err("a value with a NUL".to_owned());
    }
    let is_plain = |c: u8| c.is_ascii_alphanumeric() || b"_./:@%+,=-".contains(&c);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return Ok(text.to_owned());
    }
    Ok(format!("'{}'", text.replace('\'', "'\\''")))
}

/// JSON that is YAML too: what YAML would not take as it is gets an escape.
fn json(value: &Value) -> String {
    let mut out = String::new();
    for c in value.to_string().chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

fn toml(value: &Value) -> Result<String, String> {
    Ok(match value {
        Value::Null => return Err("none".to_owned()),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(toml).collect::<Result<_, _>>()?;
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) => {
            let pair = |(key, value): (&String, &Value)| {
                Ok(format!("{} = {}", json(&Value::from(key.as_str())), toml(value)?))
            };
            let pairs: Vec<String> = map.iter().map(pair).collect::<Result<_, String>>()?;
            format!("{{{}}}", pairs.join(", "))
        }
        // A float keeps its point, or TOML would read a whole number.
        Value::Number(number) if number.is_f64() => format!("{:?}", number.as_f64().unwrap_or_default()),
        other => json(other),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_form_is_read_back_by_its_language() {
        let hard = "it's \"$x\" `y` \\ \n\u{7f}\u{2028}é";
        assert_eq!(Form::Shell.of(&json!("it's")), Ok("'it'\\''s'".to_owned()));
        assert_eq!(Form::Shell.of(&json!("")), Ok("''".to_owned()));
        assert_eq!(Form::Shell.of(&json!(8000)), Ok("8000".to_owned()));
        assert_eq!(Form::Dotenv.of(&json!(["a", 1])), Ok("\"[\\\"a\\\",1]\"".to_owned()));
        let read: Value = serde_json::from_str(&Form::Json.of(&json!(hard)).expect("a form")).expect("JSON");
        assert_eq!(read, json!(hard));
        let read: Value =
            serde_yaml::from_str(&format!("a: {}\n", Form::Yaml.of(&json!(hard)).expect("a form"))).expect("YAML");
        assert_eq!(read, json!({"a": hard}));
        let all = json!({"text": hard, "n": 1, "f": 2.0, "on": true, "list": [1, 2], "map": {"a b": "c"}});
        let read: toml::Table =
            toml::from_str(&format!("a = {}\n", Form::Toml.of(&all).expect("a form"))).expect("TOML");
        assert_eq!(serde_json::to_value(&read["a"]).expect("a value"), all);
        assert!(Form::Toml.of(&Value::Null).is_err());
        assert!(Form::Plain.of(&json!([1])).is_err());
        assert!(Form::Shell.of(&json!("a\0b")).is_err());
        assert!(Form::Dotenv.of(&json!("a\rb")).is_err());
    }

    #[test]
    fn a_shell_reads_one_word() {
        for word in ["a b", "$(id)", "`id`", "'\"\\", "a\nb", "-n", "*", "~", "!x", "é", ""] {
            let script = format!("printf '%s' {}", Form::Shell.of(&json!(word)).expect("a form"));
            let out = std::process::Command::new("sh").args(["-c", &script]).output().expect("sh runs");
            assert_eq!(String::from_utf8_lossy(&out.stdout), word, "{script}");
        }
    }

    proptest! {
        #[test]
        fn any_text_survives_json_yaml_and_toml(text in "\\PC{0,40}|[\\x00-\\x7f]{0,40}") {
            let value = json!(text);
            let form = |form: Form| form.of(&value).expect("text has a form");
            let read: Value = serde_json::from_str(&form(Form::Json)).expect("JSON");
            prop_assert_eq!(&read, &value);
            let read: toml::Table = toml::from_str(&format!("a = {}\n", form(Form::Toml))).expect("TOML");
            prop_assert_eq!(read["a"].as_str(), Some(text.as_str()));
        }
    }
}
