//! What a YAML scalar means under the core schema (YAML 1.2.2, section 10.3.2).

use std::ops::Range;

use granit_parser::{ScalarStyle, Tag};

use crate::plan::syntax::{Faults, short, too_large};
use crate::plan::tree::Kind;

/// A plain scalar as the core schema resolves it.
enum Plain {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// A number that no 64 bits hold.
    TooLarge,
    /// Digits after a zero: decimal by the schema, octal by habit, a text such as a commit by intent.
    LeadingZero,
    Text,
}

/// The value of a scalar with its tag and the tag's place; `None` when it is a string. Numbers that do not fit and tags that do not match are
/// reported.
pub(super) fn meaning(
    text: &str,
    style: ScalarStyle,
    tag: (Option<&Tag>, Range<usize>),
    faults: &mut Faults<'_>,
    range: &Range<usize>,
) -> Option<Kind> {
    let (tag, tag_range) = tag;
    let wanted = match tag {
        None if style == ScalarStyle::Plain => return resolved(text, faults, range),
        None => return None,
        Some(tag) if tag.original() == "!" => return None,
        Some(tag) => match tag.core_suffix() {
            Some("str") => return None,
            Some(wanted @ ("int" | "float" | "bool" | "null")) => wanted,
            _ => {
                refuse_tag(tag, faults, &tag_range);
                return None;
            }
        },
    };
    let kind = resolved(text, faults, range);
    match (wanted, kind) {
        ("float", Some(Kind::Int(number))) => text.parse().ok().map(Kind::Float).or(Some(Kind::Int(number))),
        ("int", kind @ Some(Kind::Int(_)))
        | ("float", kind @ Some(Kind::Float(_)))
        | ("bool", kind @ Some(Kind::Bool(_)))
        | ("null", kind @ Some(Kind::Null)) => kind,
        (_, kind) => {
            let message = format!("`{}` is not what its tag `!!{wanted}` says", short(text));
            faults.push("plan::tag", tag_range, message);
            kind
        }
    }
}

fn resolved(text: &str, faults: &mut Faults<'_>, range: &Range<usize>) -> Option<Kind> {
    match plain(text) {
        Plain::Null => Some(Kind::Null),
        Plain::Bool(truth) => Some(Kind::Bool(truth)),
        Plain::Int(number) => Some(Kind::Int(number)),
        Plain::Float(number) => Some(Kind::Float(number)),
        Plain::Text => None,
        Plain::TooLarge => {
            too_large(faults, range.clone(), text, "\"");
            Some(Kind::Int(0))
        }
        Plain::LeadingZero => {
            let text = short(text);
            let message = format!("the number `{text}` begins with a zero");
            let fault = faults.add("plan::number", range.clone(), message);
            fault.label = "a text, octal or decimal?".into();
            let digits = text.trim_start_matches(['+', '-', '0']);
            fault.help =
                Some(format!("write `\"{text}\"` for the text, `0o{digits}` for octal, `{digits}` for decimal"));
            Some(Kind::Int(0))
        }
    }
}

/// What a plain text is when it is no string, in the words of an error.
pub(super) fn noun(text: &str) -> Option<&'static str> {
    match plain(text) {
        Plain::Text => None,
        Plain::Null => Some("null"),
        Plain::Bool(_) => Some("a boolean"),
        Plain::Int(_) | Plain::Float(_) | Plain::TooLarge | Plain::LeadingZero => Some("a number"),
    }
}

fn plain(text: &str) -> Plain {
    match text.as_bytes().first() {
        None => Plain::Null,
        Some(b'~' | b'n' | b'N' | b't' | b'T' | b'f' | b'F') => match text {
            "~" | "null" | "Null" | "NULL" => Plain::Null,
            "true" | "True" | "TRUE" => Plain::Bool(true),
            "false" | "False" | "FALSE" => Plain::Bool(false),
            _ => Plain::Text,
        },
        Some(b'0'..=b'9' | b'+' | b'-' | b'.') => number(text),
        Some(_) => Plain::Text,
    }
}

fn number(text: &str) -> Plain {
    let based = |digits: &str, base| {
        if digits.is_empty() || !digits.chars().all(|c| c.is_digit(base)) {
            return Plain::Text;
        }
        i64::from_str_radix(digits, base).map_or(Plain::TooLarge, Plain::Int)
    };
    if let Some(digits) = text.strip_prefix("0o") {
        return based(digits, 8);
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return based(digits, 16);
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    match unsigned {
        ".inf" | ".Inf" | ".INF" => {
            return Plain::Float(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY });
        }
        ".nan" | ".NaN" | ".NAN" if unsigned.len() == text.len() => return Plain::Float(f64::NAN),
        _ => {}
    }
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(unsigned);
    if whole == unsigned.len() && whole > 0 {
        if whole > 1 && unsigned.starts_with('0') {
            return Plain::LeadingZero;
        }
        return text.parse().map_or(Plain::TooLarge, Plain::Int);
    }
    let mut rest = &unsigned[whole..];
    if let Some(fraction) = rest.strip_prefix('.') {
        let count = digits(fraction);
        if whole + count == 0 {
            return Plain::Text;
        }
        rest = &fraction[count..];
    } else if whole == 0 {
        return Plain::Text;
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if exponent.is_empty() || digits(exponent) != exponent.len() {
            return Plain::Text;
        }
    } else if !rest.is_empty() {
        return Plain::Text;
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Plain::Float(number),
        _ => Plain::TooLarge,
    }
}

/// Reports a tag, standing at `range`, that a collection may not have.
pub(super) fn check_collection_tag(
    is_map: bool,
    tag: Option<&Tag>,
    faults: &mut Faults<'_>,
    range: &Range<usize>,
) {
    let Some(tag) = tag else { return };
    let wanted = if is_map { "map" } else { "seq" };
    if tag.original() != "!" && tag.core_suffix() != Some(wanted) {
        refuse_tag(tag, faults, range);
    }
}

fn refuse_tag(tag: &Tag, faults: &mut Faults<'_>, range: &Range<usize>) {
    let message = format!("the tag `{}` means nothing in a plan", short(&tag.original()));
    let fault = faults.add("plan::tag", range.clone(), message);
    fault.help = Some("take it away; only `!!str`, `!!int`, `!!float`, `!!bool`, `!!null` are read".to_owned());
}
