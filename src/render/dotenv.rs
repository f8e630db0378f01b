//! Our dotenv dialect, written and read by the same rules, so that what was meant is what is read.
//!
//! UTF-8; one `KEY=VALUE` a line, `\n` ends each; blank lines and lines that begin with `#` are skipped. A key is
//! `[A-Z_][A-Z0-9_]*` and stands once. A value is bare when it consists of letters, digits and `_./:@%+,=-` only, an
//! empty one too; else it stands in double quotes, with `\\`, `\"`, `\$` and `\n` for what would not survive. Nothing is
//! ever expanded. There are no blanks round `=`, no single quotes, no `export`, no comments behind a value.

use std::fmt::Write as _;

/// A file that breaks the dialect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong; it never quotes a value.
    pub message: String,
}

/// `value` as it stands behind `=`; `None` for a value that has no form: one with a NUL, a carriage return or
/// another control character but tab and newline.
pub fn quote(value: &str) -> Option<String> {
    if value.bytes().all(is_bare) {
        return Some(value.to_owned());
    }
    let mut out = String::with_capacity(value.len() + 8);
    out.push('"');
    for c in value.chars() {
        match c {
            '\\' | '"' | '$' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push(c),
            c if c.is_control() => return None,
            c => out.push(c),
        }
    }
    out.push('"');
    Some(out)
}

/// A byte that needs no quotes.
const fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'_' | b'.' | b'/' | b':' | b'@' | b'%' | b'+' | b',' | b'=' | b'-')
}

/// Reads a file: its keys and values, in written order.
///
/// # Errors
/// The first line that breaks the dialect.
pub fn parse(text: &str) -> Result<Vec<(String, String)>, Fault> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut known = std::collections::BTreeSet::new();
    for (at, line) in text.split('\n').enumerate() {
        let fault = |message: String| Fault { line: at + 1, message };
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once('=').ok_or_else(|| fault("there is no `=`".to_owned()))?;
        if !is_key(key) {
            return Err(fault(format!("`{}` is no key: it must match `[A-Z_][A-Z0-9_]*`", shown(key))));
        }
        let value = unquote(value).map_err(|why| fault(format!("the value of `{key}` {why}")))?;
        if !known.insert(key.to_owned()) {
            return Err(fault(format!("`{key}` stands there twice")));
        }
        found.push((key.to_owned(), value));
    }
    Ok(found)
}

fn is_key(text: &str) -> bool {
    text.bytes().next().is_some_and(|c| c.is_ascii_uppercase() || c == b'_')
        && text.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_')
}

/// What stands before `=`, short and without anything that moves a cursor.
fn shown(key: &str) -> String {
    let mut out = String::new();
    for c in key.chars().take(40) {
        if c.is_control() {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// The value behind `=`.
fn unquote(written: &str) -> Result<String, &'static str> {
    let Some(inner) = written.strip_prefix('"') else {
        let is_right = written.bytes().all(is_bare);
        return is_right.then(|| written.to_owned()).ok_or("needs double quotes");
    };
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        match c {
            '"' if rest.as_str().is_empty() => return Ok(out),
            '"' => return Err("goes on behind its closing quote"),
            '\\' => out.push(match rest.next() {
                Some(c @ ('\\' | '"' | '$')) => c,
                Some('n') => '\n',
                _ => return Err("has an escape that is not known: there are `\\\\`, `\\\"`, `\\$` and `\\n`"),
            }),
            '$' => return Err("has a bare `$`: write `\\$`"),
            '\t' => out.push(c),
            c if c.is_control() => return Err("has a control character"),
            c => out.push(c),
        }
    }
    Err("has no closing quote on its line")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_is_bare_or_in_quotes() {
        for (value, written) in [
            ("", ""),
            ("plain-1.0/x:y@z%+,=_", "plain-1.0/x:y@z%+,=_"),
            ("two words", "\"two words\""),
            ("$HOME", "\"\\$HOME\""),
            ("a\"b\\c", "\"a\\\"b\\\\c\""),
            ("line\nline", "\"line\\nline\""),
            ("ünï", "\"ünï\""),
            ("#x", "\"#x\""),
            ("'", "\"'\""),
            ("a\tb", "\"a\tb\""),
        ] {
            assert_eq!(quote(value).as_deref(), Some(written));
            assert_eq!(parse(&format!("A={written}\n")), Ok(vec![("A".to_owned(), value.to_owned())]));
        }
        for value in ["a\0b", "a\rb", "\u{1b}[31m", "\u{85}"] {
            assert_eq!(quote(value), None);
        }
    }

    #[test]
    fn every_fault_has_its_line() {
        for (text, line, part) in [
            ("A=1\nB", 2, "no `=`"),
            ("a=1", 1, "no key"),
            ("export A=1", 1, "no key"),
            (" A=1", 1, "no key"),
            ("A =1", 1, "no key"),
            ("A= 1", 1, "needs double quotes"),
            ("A='1'", 1, "needs double quotes"),
            ("A=1 # why", 1, "needs double quotes"),
            ("\n# c\nA=\"1", 3, "no closing quote"),
            ("A=\"1\" x", 1, "behind its closing quote"),
            ("A=\"\\t\"", 1, "escape"),
            ("A=\"$B\"", 1, "bare `$`"),
            ("A=1\r\n", 1, "needs double quotes"),
            ("A=\"1\"\r\n", 1, "behind its closing quote"),
            ("\u{feff}A=1", 1, "no key"),
            ("A=1\nA=2", 2, "twice"),
            ("A=\"x\0y\"", 1, "control character"),
        ] {
            let fault = parse(text).expect_err(text);
            assert_eq!(fault.line, line, "{text}");
            assert!(fault.message.contains(part), "{text}: {}", fault.message);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in "\\PC*|[\\PC\n\t$\\\\\"'` #]{0,40}") {
            let written = quote(&value).expect("no control characters");
            prop_assert_eq!(parse(&format!("KEY={written}\n")), Ok(vec![("KEY".to_owned(), value)]));
        }

        #[test]
        fn reading_never_panics(text in "\\PC*|[A-C=\"\\\\$\n\r #]{0,60}") {
            let _ = parse(&text);
        }
    }
}
