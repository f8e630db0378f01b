//! What a stage wrote to `$ENGINE_OUTPUT`: `key=value` lines, or JSON objects one a line, read by the
//! declared types.

use std::collections::BTreeSet;

use serde_json::Value;

use super::slates::Slate;
use crate::base::count::plural;
use crate::base::{Text, limits};
use crate::graph::build::types;
use crate::plan::model::Type;

/// Names of values without a declaration that are told; more are counted.
const MAX_STRAYS: usize = 3;
/// Characters shown of such a name.
const MAX_STRAY: usize = 40;

/// What an attempt wrote.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Written {
    /// The declared values, in the order of their declarations.
    pub outputs: Vec<(String, Value)>,
    /// Names of values of a stage that declares none.
    pub strays: BTreeSet<String>,
}

/// How much is told of values of a stage that declares none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Telling {
    /// Nothing: it was told of the first shard.
    Nothing,
    /// How many they are: their names may be pieces of a secret.
    Number,
    /// What they are called.
    Names,
}

impl Written {
    /// What is told of values that were written for nothing.
    pub fn note(&self, telling: Telling) -> Option<String> {
        let count = self.strays.len();
        if count == 0 || telling == Telling::Nothing {
            return None;
        }
        let short = |name: &String| format!("`{}`", name.chars().take(MAX_STRAY).collect::<String>());
        let names: Vec<String> = self.strays.iter().take(MAX_STRAYS).map(short).collect();
        let what = match (telling, count.saturating_sub(MAX_STRAYS)) {
            (Telling::Names, 0) => names.join(", "),
            (Telling::Names, more) => format!("{} and {more} more", names.join(", ")),
            _ => plural(count as u64, "value"),
        };
        let are = if count == 1 { "is" } else { "are" };
        Some(format!("{what} {are} written to `$ENGINE_OUTPUT` and not kept: no `outputs` are declared"))
    }
}

/// Reads what an attempt wrote to its slate, and wipes it. Only declared values are kept; the last word for a key counts.
///
/// # Errors
/// A sentence for the user: a declared output is missing or of the wrong type, a line cannot be read, the file
/// is too large.
pub fn read(slate: &mut Slate, declared: &[(Text, Type)]) -> Result<Written, String> {
    let text = match take(slate, !declared.is_empty())? {
        None if declared.is_empty() => return Ok(Written::default()),
        found => found.unwrap_or_default(),
    };
    let mut found: Vec<(String, Raw)> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        read_line(line, &mut found).map_err(|why| format!("line {} of `$ENGINE_OUTPUT`: {why}", at + 1))?;
    }
    let mut values = Vec::with_capacity(declared.len());
    for (name, kind) in declared {
        let raw = found.iter().rev().find(|(key, _)| **key == **name).map(|(_, raw)| raw);
        let raw = raw.ok_or_else(|| {
            format!("output `{name}` is declared but was not written: echo \"{name}=…\" >> \"$ENGINE_OUTPUT\"")
        })?;
        values.push((name.to_string(), raw.as_type(name, *kind)?));
    }
    // A program that is of use to many stages writes more than one of them declares; for one that declares nothing it is lost.
    let strays = found.into_iter().map(|(name, _)| name).filter(|_| declared.is_empty()).collect();
    Ok(Written { outputs: values, strays })
}

/// A value as it was written.
enum Raw {
    Text(String),
    Json(Value),
}

/// The whole text, if there is one.
fn take(slate: &mut Slate, is_promised: bool) -> Result<Option<String>, String> {
    let bytes =
        slate.take_values(is_promised).map_err(|error| format!("failed to read `$ENGINE_OUTPUT`: {error}"))?;
    let Some(bytes) = bytes else { return Ok(None) };
    if bytes.len() as u64 > limits::MAX_OUTPUT_VALUES_BYTES {
        return Err(format!(
            "`$ENGINE_OUTPUT` is larger than {} bytes: keep large results in files, as `artifacts`",
            limits::MAX_OUTPUT_VALUES_BYTES
        ));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| "`$ENGINE_OUTPUT` is not UTF-8".to_owned())
}

fn read_line(line: &str, found: &mut Vec<(String, Raw)>) -> Result<(), String> {
    let line = line.trim_end_matches('\r');
    if line.trim().is_empty() {
        return Ok(());
    }
    if line.starts_with('{') {
        let object: serde_json::Map<String, Value> =
            serde_json::from_str(line).map_err(|error| format!("not a JSON object: {error}"))?;
        found.extend(object.into_iter().map(|(key, value)| (key, Raw::Json(value))));
        return Ok(());
    }
    let (key, value) = line.split_once('=').ok_or("expected `key=value` or a JSON object")?;
    found.push((key.trim().to_owned(), Raw::Text(value.to_owned())));
    Ok(())
}

impl Raw {
    fn as_type(&self, name: &str, kind: Type) -> Result<Value, String> {
        let value = match (self, kind) {
            // A trailing blank of `echo "n=$(wc -l < f) "` is nobody's meaning but in text itself.
            (Self::Text(text), Type::String) => types::read(kind, text),
            (Self::Text(text), _) => types::read(kind, text.trim()),
            (Self::Json(value), _) => types::check(kind, value.clone()),
        };
        // A value may be a megabyte; what is wrong with it shows in its beginning or its type.
        value.map_err(|why| format!("output `{name}`: {}", why.chars().take(200).collect::<String>()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::slates::Slates;

    fn written(text: &str, declared: &[(&str, Type)]) -> Result<Written, String> {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut slate = Slates::new(dir.path().to_path_buf()).lend(None).expect("no items");
        std::fs::write(slate.values(), text).expect("written");
        let declared: Vec<(Text, Type)> = declared.iter().map(|&(name, kind)| (name.into(), kind)).collect();
        let result = read(&mut slate, &declared);
        assert_eq!(
            std::fs::read(slate.values()).expect("it is there"),
            b"",
            "nothing is left for the next attempt"
        );
        result
    }

    #[test]
    fn reads_lines_and_json_by_type_and_the_last_word_counts() {
        let values = written(
            "a=1\na=2\n{\"b\": [1, 2], \"c\": \"x=y\"}\nd=k=v\n\nextra=kept out\n",
            &[("a", Type::Int), ("b", Type::List), ("c", Type::String), ("d", Type::String)],
        );
        let expected =
            [("a", Value::from(2)), ("b", serde_json::json!([1, 2])), ("c", "x=y".into()), ("d", "k=v".into())];
        let expected: Vec<_> = expected.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        assert_eq!(values, Ok(Written { outputs: expected, strays: BTreeSet::new() }));
    }

    #[test]
    fn what_is_written_for_nothing_is_told_by_a_few_names() {
        let written = |text: &str| written(text, &[]).expect("it can be read");
        assert_eq!(written("").note(Telling::Names), None);
        let told = "`a` is written to `$ENGINE_OUTPUT` and not kept: no `outputs` are declared";
        assert_eq!(written("a=1\na=2\n").note(Telling::Names).as_deref(), Some(told));
        let many = written("c=1\nb=1\nc=2\nf=1\ne=1\n{\"d\": 1}\n");
        let told =
            "`b`, `c`, `d` and 2 more are written to `$ENGINE_OUTPUT` and not kept: no `outputs` are declared";
        assert_eq!(many.note(Telling::Names).as_deref(), Some(told));
        assert!(many.note(Telling::Number).is_some_and(|note| note.starts_with("5 values are written")));
        assert_eq!(many.note(Telling::Nothing), None);
        let long = written(&format!("{}=1\n", "x".repeat(500)));
        assert!(long.note(Telling::Names).is_some_and(|note| note.len() < 150));
    }

    #[test]
    fn says_what_is_missing_or_of_the_wrong_type() {
        assert!(
            written("", &[("a", Type::Int)]).is_err_and(|why| why.contains("`a` is declared but was not written"))
        );
        assert!(written("a=ten\n", &[("a", Type::Int)]).is_err_and(|why| why.contains("`ten` is no int")));
        assert!(written("{\"a\": 1\n", &[("a", Type::Int)]).is_err_and(|why| why.starts_with("line 1")));
        assert!(written("nonsense\n", &[]).is_err_and(|why| why.contains("`key=value`")));
    }

    #[test]
    fn a_missing_file_is_fine_when_nothing_was_promised() {
        let mut slate = Slates::new("/nowhere/at/all".into()).lend(None).expect("no items");
        assert_eq!(read(&mut slate, &[]), Ok(Written::default()));
        let promised = read(&mut slate, &[("a".into(), Type::Int)]);
        assert!(promised.is_err_and(|why| why.contains("was not written")));
    }
}
