//! The parser's faults in words for people who write plans.

use granit_parser::{ErrorKind, ScanError};

use crate::plan::syntax::{Faults, short, too_deep};

mod opening;

/// Reports what stopped the parser, whose text begins at byte `base` of the file.
pub(super) fn explain(faults: &mut Faults<'_>, base: usize, fault: &ScanError) {
    let text = faults.text();
    let marker = fault.marker();
    let at = base
        + marker.byte_offset().unwrap_or_else(|| {
            let mut chars = text[base..].char_indices();
            chars.nth(marker.index()).map_or(text.len() - base, |(byte, _)| byte)
        });
    let at = text.floor_char_boundary(at);
    let length = text[at..].chars().next().filter(|c| !c.is_control()).map_or(0, char::len_utf8);
    if let Some(at) = tab_indent_near(text, at) {
        return tab(faults, at);
    }
    if is_tab(fault.kind()) {
        return tab(faults, tab_near(text, at));
    }
    if matches!(fault.kind(), ErrorKind::RecursionLimitExceeded) {
        return too_deep(faults, at..at + length);
    }
    let opening = opening::find(fault.kind(), &text[base..at]).map(|opening| base + opening);
    if let Some(opening) = opening.filter(|_| opening::is_at_fault(fault.kind())) {
        let message = match text.as_bytes()[opening] {
            b'"' | b'\'' => "the quote that opens here is not closed before the next key".to_owned(),
            bracket => format!("this `{}` is not closed before the next key", char::from(bracket)),
        };
        let here = faults.place(at..at + length);
        let found = faults.add("plan::syntax-yaml", opening..opening + 1, message);
        found.related.push((here, "here it is still open".to_owned()));
        return;
    }
    let opening = opening.map(|at| faults.place(at..at + 1));
    let (message, help) = words(fault.kind(), &text[at..]);
    let help = if opening.is_some() { Some("close it where it was meant to end") } else { help };
    let found = faults.add("plan::syntax-yaml", at..at + length, message);
    found.help = help.map(str::to_owned).or_else(|| unquoted_template(text, at));
    found.related.extend(opening.map(|at| (at, "it opens here".to_owned())));
}

const fn is_tab(kind: &ErrorKind) -> bool {
    use ErrorKind as E;
    matches!(kind, E::TabNotAllowed | E::TabInBlockIndentation | E::TabAtBlockScalarStart | E::TabInIndentation)
}

/// Reports a tab that indents.
pub(super) fn tab(faults: &mut Faults<'_>, at: usize) {
    let fault = faults.add("plan::tab", at..at + 1, "a tab indents this line; YAML is indented with spaces");
    fault.label = "a tab".into();
    fault.help = Some("replace it by spaces".to_owned());
}

/// A tab that indents the line of a fault or the next one: a plain value goes on over lines, so that the
/// parser takes such a line for its rest and finds something else wrong.
fn tab_indent_near(text: &str, at: usize) -> Option<usize> {
    let mut start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    for line in text[start..].split_inclusive('\n').take(2) {
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        if let Some(tab) = line[..indent].find('\t') {
            return Some(start + tab);
        }
        start += line.len();
    }
    None
}

/// The tab that a fault at `at` is about: on its line, else the next one.
fn tab_near(text: &str, at: usize) -> usize {
    let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let end = text[at..].find('\n').map_or(text.len(), |end| at + end);
    text[line..end]
        .find('\t')
        .map(|tab| line + tab)
        .or_else(|| text[at..].find('\t').map(|tab| at + tab))
        .unwrap_or(at)
}

/// Help when the line of the fault holds a bare template, the usual reason for a strange fault.
fn unquoted_template(text: &str, at: usize) -> Option<String> {
    let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let line = text[line..].lines().next()?;
    let bare = [": {{", "- {{", "[{{", ", {{"].iter().find_map(|lead| line.find(lead))?;
    let value = line[bare + 1..].trim();
    Some(format!("a value with a template needs quotes: `\"{}\"`", short(value)))
}

/// The message, and what helps.
fn words(kind: &ErrorKind, rest: &str) -> (String, Option<&'static str>) {
    use ErrorKind as E;
    let next = rest.chars().next();
    let (message, help) = match kind {
        E::MappingValueNotAllowed => {
            ("a `:` is not expected here", Some("quote a value that contains `: `, or check the indentation"))
        }
        E::SimpleKeyExpected | E::InvalidSimpleKey => {
            ("this line has no `:`", Some("a line of a map is `key: value`"))
        }
        E::UnclosedQuotedScalar | E::UnexpectedEndOfPlainScalar => {
            ("the quote that opens here is never closed", None)
        }
        E::UnclosedFlowCollection { open: '{' } | E::UnexpectedEofFlowMapping => {
            ("this `{` is never closed", None)
        }
        E::UnclosedFlowCollection { .. } | E::UnexpectedEofFlowSequence => ("this `[` is never closed", None),
        E::MismatchedFlowCollectionEnd { open, close } => {
            return (format!("`{open}` is closed by `{close}`"), None);
        }
        E::MisplacedFlowCollectionEnd => ("nothing is open that this closes", None),
        E::ExpectedFlowMappingSeparator => ("expected `,` or `}`", None),
        E::ExpectedFlowSequenceSeparator => ("expected `,` or `]`", None),
        E::ExpectedBlockMappingKey => (
            "expected a key of the map that this line belongs to",
            Some("check the indentation, and quote values that begin with a quote or bracket and go on after it"),
        ),
        E::ExpectedBlockSequenceEntry => {
            ("expected `- ` of the list that this line belongs to", Some("check the indentation"))
        }
        E::InvalidIndentation
        | E::InvalidQuotedScalarIndent
        | E::InvalidFlowScalarIndent
        | E::InvalidBlockScalarIndent => (
            "this line is indented wrongly",
            Some("a line belongs to the value above it only when it is indented more"),
        ),
        E::BlockSequenceEntryNotAllowed | E::BlockEntryInFlowCollection => {
            ("a list item with `-` cannot begin here", Some("put it on a line of its own, or quote the `-`"))
        }
        E::UnexpectedCharacter { character } => {
            return (format!("no value can begin with `{}`", character.escape_default()), Some("quote the value"));
        }
        E::UnknownQuotedScalarEscape => {
            ("this escape does not exist", Some("in single quotes a `\\` is nothing special: `'\\d+'`"))
        }
        E::InvalidLowSurrogateHexEscape
        | E::InvalidLowSurrogate
        | E::MissingLowSurrogate
        | E::UnpairedLowSurrogate => {
            ("this escape is half of a surrogate pair, which is no character", Some("write the character itself"))
        }
        E::InvalidTrailingSingleQuotedScalar | E::InvalidTrailingDoubleQuotedScalar => {
            ("the value goes on after its closing quote", Some("put the quotes round the whole value"))
        }
        E::CommentNotSeparated => {
            ("a comment needs a space before its `#`", Some("quote the value if `#` belongs to it"))
        }
        E::UnsupportedYamlMajorVersion => ("plans are YAML 1.2", None),
        E::BomInsideDocument => ("a byte order mark stands inside the text", Some("take it out")),
        E::MissingAnchorOrAliasName if next == Some('*') => {
            ("an alias needs a name after `*`", Some("quote a value that begins with `*`"))
        }
        other => return (plainly(&other.to_string()), None),
    };
    (message.to_owned(), help)
}

/// The parser's own words without its quotes and capitals.
fn plainly(words: &str) -> String {
    let mut chars = words.chars();
    let first = chars.next().map(|c| c.to_ascii_lowercase());
    first.into_iter().chain(chars).collect::<String>().replace(['\'', '"'], "`")
}
