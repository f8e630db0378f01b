//! Where a quote or bracket opens that was meant to be closed long before the parser found a fault.

use granit_parser::ErrorKind;

/// Lines looked back over at most for an open bracket.
const MAX_LINES: usize = 200;

/// Whether a fault of this kind is the fault of what opens before it: nobody means a key inside a quoted text
/// or a list.
pub(super) const fn is_at_fault(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::InvalidColonPlacement | ErrorKind::InvalidQuotedScalarIndent)
}

/// The byte in `before`, the text up to a fault of this kind, at which the quote or bracket opens that the
/// fault lies in or behind; none when that is on the line of the fault, where everybody sees it.
pub(super) fn find(kind: &ErrorKind, before: &str) -> Option<usize> {
    use ErrorKind as E;
    let line = before.rfind('\n')? + 1;
    let opening = match kind {
        E::InvalidTrailingSingleQuotedScalar => closed_quote(before, '\''),
        E::InvalidTrailingDoubleQuotedScalar => closed_quote(before, '"'),
        E::InvalidQuotedScalarIndent => open_mark(&before[..line], &['"', '\'']),
        E::InvalidColonPlacement | E::ExpectedFlowMappingSeparator | E::ExpectedFlowSequenceSeparator => {
            open_mark(&before[..line], &['[', '{'])
        }
        _ => None,
    };
    opening.filter(|&at| at < line)
}

/// Where the quoted text begins whose closing quote is the last one of `before`.
fn closed_quote(before: &str, quote: char) -> Option<usize> {
    let inside = &before[..before.rfind(quote)?];
    let mut from = inside.len();
    loop {
        let at = inside[..from].rfind(quote)?;
        let is_doubled = quote == '\'' && inside[..at].ends_with('\'');
        let is_escaped =
            quote == '"' && inside[..at].bytes().rev().take_while(|&byte| byte == b'\\').count() % 2 == 1;
        if !is_doubled && !is_escaped {
            return Some(at);
        }
        from = if is_doubled { at - 1 } else { at };
    }
}

/// The last of `marks` that a line of `before` opens and does not close; the nearest line counts.
fn open_mark(before: &str, marks: &[char]) -> Option<usize> {
    let mut end = before.len();
    for line in before.split_inclusive('\n').rev().take(MAX_LINES) {
        end -= line.len();
        if let Some(at) = left_open(line).filter(|&at| marks.iter().any(|&mark| line[at..].starts_with(mark))) {
            return Some(end + at);
        }
    }
    None
}

/// What a line leaves open: an unclosed quote, else its last unclosed bracket.
fn left_open(line: &str) -> Option<usize> {
    let mut open = Vec::new();
    let mut quote: Option<(usize, char)> = None;
    let mut last = ' ';
    for (at, c) in line.char_indices() {
        match quote {
            Some((_, mark)) if c == mark && last != '\\' => quote = None,
            Some(_) => {}
            None => match c {
                '"' | '\'' if " [{,:".contains(last) => quote = Some((at, c)),
                '#' if last == ' ' => break,
                '[' | '{' => open.push(at),
                ']' | '}' => drop(open.pop()),
                _ => {}
            },
        }
        last = c;
    }
    quote.map(|(at, _)| at).or_else(|| open.pop())
}
