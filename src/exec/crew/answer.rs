//! The lines: what a worker is asked, and what its answer says.

use std::io::Write as _;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::Trade;
use super::items::Item;
use crate::base::Text;
use crate::graph::build::types;
use crate::plan::model::Type;
use crate::run::event::Outcome;

/// Characters kept of what a worker says about an item, or of a line that is no answer.
const MAX_WORDS: usize = 500;

/// An answer, before anybody has looked whether the worker has that item.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Said {
    /// The item is done, and left nothing.
    Plain(u32),
    /// Anything else.
    More(Box<More>),
}

/// An answer with something in it.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct More {
    pub(super) item: u32,
    pub(super) outcome: Outcome,
    pub(super) outputs: Vec<(String, Value)>,
    pub(super) note: Option<String>,
}

impl Said {
    pub(super) const fn item(&self) -> u32 {
        match self {
            Self::Plain(item) => *item,
            Self::More(more) => more.item,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: u32,
    outputs: Option<Map<String, Value>>,
    error: Option<String>,
    code: Option<i32>,
}

/// Appends the line that gives an item to a worker.
pub(super) fn ask(Item { item, number }: Item, trade: &Trade, out: &mut Vec<u8>) {
    // Writing to memory cannot fail.
    let _written = write!(out, "{{\"id\":{item},\"item\":");
    (trade.item)(item, out);
    if number > 1 {
        let _written = write!(out, ",\"attempt\":{number}");
    }
    out.extend_from_slice(b"}\n");
}

/// Reads a line that is not blank. `declared` are the outputs that an item has to leave.
///
/// # Errors
/// A sentence about a line that is no answer. (An answer without an output that was declared is one: its item failed.)
pub(super) fn read(line: &[u8], declared: &[(Text, Type)]) -> Result<Said, String> {
    if let Some(item) = plain(line).filter(|_| declared.is_empty()) {
        return Ok(Said::Plain(item));
    }
    // A list of the same values would be read as well, and a typo must not become a success.
    if !line.trim_ascii_start().starts_with(b"{") {
        return Err(format!("a line that is no JSON object: {}", shown(line)));
    }
    let Line { id, outputs, error, code } =
        serde_json::from_slice(line).map_err(|error| format!("{error}: {}", shown(line)))?;
    let more = |outcome, outputs, note| Ok(Said::More(Box::new(More { item: id, outcome, outputs, note })));
    match (error, code) {
        (None, Some(_)) => Err(format!("a `code` without an `error`: {}", shown(line))),
        (Some(_), Some(code)) if !(1..=255).contains(&code) => {
            Err(format!("a `code` is from 1 to 255: {}", shown(line)))
        }
        (Some(error), code) => {
            let note = error.chars().take(MAX_WORDS).collect();
            more(Outcome::Exit(code.unwrap_or(1)), Vec::new(), Some(note))
        }
        (None, None) => match typed(outputs.unwrap_or_default(), declared) {
            Ok(outputs) if outputs.is_empty() => Ok(Said::Plain(id)),
            Ok(outputs) => more(Outcome::Success, outputs, None),
            Err(why) => more(Outcome::BadResult(why), Vec::new(), None),
        },
    }
}

/// The item of `{"id":7}` and nothing else: the answer that comes by the million.
fn plain(line: &[u8]) -> Option<u32> {
    let digits = line.strip_prefix(b"{\"id\":")?.strip_suffix(b"}")?;
    let digits = digits.strip_prefix(b" ").unwrap_or(digits);
    if digits.is_empty() || digits.len() > 9 || (digits.len() > 1 && digits[0] == b'0') {
        return None;
    }
    digits.iter().try_fold(0_u32, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit - b'0')))
}

/// The declared outputs, in their order. What was not declared is nobody's.
fn typed(mut found: Map<String, Value>, declared: &[(Text, Type)]) -> Result<Vec<(String, Value)>, String> {
    let read = |(name, kind): &(Text, Type)| {
        let value = found.remove(&**name).ok_or_else(|| {
            format!("output `{name}` is declared but is not in the answer: {{\"id\": …, \"outputs\": {{\"{name}\": …}}}}")
        })?;
        let wrong = |why: String| format!("output `{name}`: {}", why.chars().take(200).collect::<String>());
        Ok((name.to_string(), types::check(*kind, value).map_err(wrong)?))
    };
    declared.iter().map(read).collect()
}

/// The beginning of a line, for messages.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(&line[..line.len().min(4 * MAX_WORDS)]);
    format!("{:?}", text.chars().take(80).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn more(line: &str, declared: &[(Text, Type)]) -> More {
        match read(line.as_bytes(), declared) {
            Ok(Said::More(more)) => *more,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_answer_may_be_as_short_as_its_item() {
        for line in [
            "{\"id\":7}",
            "{\"id\": 7}",
            " { \"id\" : 7 } ",
            "{\"id\":7,\"outputs\":{\"x\":1}}",
            "{\"id\":7,\"error\":null}",
        ] {
            assert_eq!(read(line.as_bytes(), &[]), Ok(Said::Plain(7)), "{line}");
        }
        assert_eq!(read(b"{\"id\":0}", &[]), Ok(Said::Plain(0)));
        assert_eq!(read(b"{\"id\":4294967295}", &[]), Ok(Said::Plain(u32::MAX)));
    }

    #[test]
    fn outputs_have_the_declared_types() {
        let declared: [(Text, Type); 2] = [("n".into(), Type::Int), ("text".into(), Type::String)];
        let good = more(r#"{"outputs": {"text": "a", "n": 3, "other": 0}, "id": 9}"#, &declared);
        let expected = vec![("n".to_owned(), Value::from(3)), ("text".to_owned(), Value::from("a"))];
        assert_eq!((good.item, good.outcome, good.outputs), (9, Outcome::Success, expected));
        for (line, why) in [
            (r#"{"id": 1}"#, "output `n` is declared but is not in the answer"),
            (r#"{"id": 1, "outputs": {"n": "x", "text": "a"}}"#, "output `n`: "),
        ] {
            match more(line, &declared).outcome {
                Outcome::BadResult(said) => assert!(said.starts_with(why), "{said}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn an_error_is_a_failure_with_a_code() {
        let plain = more(r#"{"id": 1, "error": "no such file"}"#, &[]);
        assert_eq!((plain.outcome, plain.note.as_deref()), (Outcome::Exit(1), Some("no such file")));
        assert_eq!(more(r#"{"id": 1, "error": "", "code": 69}"#, &[]).outcome, Outcome::Exit(69));
        let long = format!(r#"{{"id": 1, "error": "{}"}}"#, "ä".repeat(5000));
        assert_eq!(more(&long, &[]).note.map(|note| note.chars().count()), Some(MAX_WORDS));
    }

    #[test]
    fn anything_else_is_no_answer() {
        for line in [
            "ready",
            "7",
            "[]",
            "[3]",
            "[1,null,null,null]",
            " [1,{\"x\":1},null,null]",
            "{}",
            "{\"id\":-1}",
            "{\"id\":1.5}",
            "{\"id\":\"1\"}",
            "{\"id\":01}",
            "{\"id\":4294967296}",
            "{\"id\":1}{\"id\":2}",
            "{\"id\":1,\"eror\":\"x\"}",
            "{\"id\":1,\"id\":2}",
            "{\"id\":1,\"code\":2}",
            "{\"id\":1,\"error\":\"x\",\"code\":0}",
            "{\"id\":1,\"error\":\"x\",\"code\":256}",
            "{\"id\":}",
            "{\"id\":1",
        ] {
            assert!(read(line.as_bytes(), &[]).is_err(), "{line}");
        }
        assert!(read(b"{\"id\":1,\"error\":\"\xff\"}", &[]).is_err(), "not UTF-8");
    }
}
