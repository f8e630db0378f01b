//! What a stage wrote to `$ENGINE_OUTPUT`: `key=value` lines, or JSON objects one a line, read by the
//! declared types.

use serde_json::Value;

use super::slates::Slate;
use crate::base::limits;
use crate::graph::build::types;
use crate::plan::model::Type;

/// Reads what an attempt wrote to its slate, and wipes it. Only declared values are kept; the last word for a key counts.
///
/// # Errors
/// A sentence for the user: a declared output is missing or of the wrong type, a line cannot be read, the file
/// is too large.
pub fn read(slate: &mut Slate, declared: &[(Box<str>, Type)]) -> Result<Vec<(String, Value)>, String> {
    let text = match take(slate, !declared.is_empty())? {
        None if declared.is_empty() => return Ok(Vec::new()),
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
    Ok(values)
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

    fn written(text: &str, declared: &[(&str, Type)]) -> Result<Vec<(String, Value)>, String> {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut slate = Slates::new(dir.path().to_path_buf()).lend(None).expect("no items");
        std::fs::write(slate.values(), text).expect("written");
        let declared: Vec<(Box<str>, Type)> = declared.iter().map(|&(name, kind)| (name.into(), kind)).collect();
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
        assert_eq!(values, Ok(expected));
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
        assert_eq!(read(&mut slate, &[]), Ok(Vec::new()));
        let promised = read(&mut slate, &[("a".into(), Type::Int)]);
        assert!(promised.is_err_and(|why| why.contains("was not written")));
    }
}
