//! Just enough of the expression grammar to find names, literals, filters and the end of a `{{ … }}`.

use std::ops::Range;

/// A token of an expression.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// A word.
    Ident,
    /// A quoted string, quotes included.
    Str,
    /// A whole number.
    Int,
    /// A number with a fraction or exponent.
    Float,
    /// Anything else: one character, or two for `==`, `!=`, `<=`, `>=`, `//`, `**`.
    Op,
}

/// A token and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) range: Range<usize>,
}

impl Token {
    pub(super) fn text<'a>(&self, source: &'a str) -> &'a str {
        &source[self.range.clone()]
    }
}

/// The token that begins at or after `at`; none at the end.
pub(super) fn next(source: &str, at: usize) -> Option<Token> {
    let start = at + source[at..].len() - source[at..].trim_start().len();
    let rest = &source[start..];
    let first = rest.chars().next()?;
    let (kind, len) = if first.is_alphabetic() || first == '_' {
        (Kind::Ident, word_len(rest))
    } else if first.is_ascii_digit() {
        number(rest)
    } else if first == '\'' || first == '"' {
        (Kind::Str, string_len(rest, first))
    } else if ["==", "!=", "<=", ">=", "//", "**"].iter().any(|two| rest.starts_with(two)) {
        (Kind::Op, 2)
    } else {
        (Kind::Op, first.len_utf8())
    };
    Some(Token { kind, range: start..start + len })
}

/// All tokens of `source`.
pub(super) fn tokens(source: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(token) = next(source, at) {
        at = token.range.end;
        found.push(token);
    }
    found
}

/// Where the `}}` stands that ends the expression which begins at `at`.
pub(super) fn end_of_expression(source: &str, at: usize) -> Option<usize> {
    let mut depth = 0usize;
    let mut at = at;
    while let Some(token) = next(source, at) {
        match token.text(source) {
            "{" => depth += 1,
            "}" if depth > 0 => depth -= 1,
            "}" if source[token.range.end..].starts_with('}') => return Some(token.range.start),
            _ => {}
        }
        at = token.range.end;
    }
    None
}

/// Where the `%}` stands that ends the statement which begins at `at`.
pub(super) fn end_of_statement(source: &str, at: usize) -> Option<usize> {
    let mut at = at;
    while let Some(token) = next(source, at) {
        if token.text(source) == "%" && source[token.range.end..].starts_with('}') {
            return Some(token.range.start);
        }
        at = token.range.end;
    }
    None
}

fn word_len(rest: &str) -> usize {
    rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
}

fn number(rest: &str) -> (Kind, usize) {
    let digits = |text: &str| text.bytes().take_while(|c| c.is_ascii_alphanumeric() || *c == b'_').count();
    let whole = digits(rest);
    let fraction = rest[whole..].strip_prefix('.').map_or(0, digits);
    if fraction > 0 && rest.as_bytes()[whole + 1].is_ascii_digit() {
        (Kind::Float, whole + 1 + fraction)
    } else if rest[..whole].contains(['e', 'E']) && !rest.starts_with("0x") {
        (Kind::Float, whole)
    } else {
        (Kind::Int, whole)
    }
}

/// Length of a quoted string with its quotes; to the end of the text when it is never closed.
fn string_len(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            return at + 1;
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<&str> {
        tokens(source).iter().map(|token| token.text(source)).collect()
    }

    #[test]
    fn tokens_are_words_numbers_strings_and_signs() {
        assert_eq!(texts("a.b_c==1.5 and 'x\\'y'|f"), ["a", ".", "b_c", "==", "1.5", "and", "'x\\'y'", "|", "f"]);
        assert_eq!(texts("[1,2][0] != ü"), ["[", "1", ",", "2", "]", "[", "0", "]", "!=", "ü"]);
        assert_eq!(texts("'open"), ["'open"]);
    }

    #[test]
    fn braces_inside_an_expression_do_not_end_it() {
        assert_eq!(end_of_expression("x }} y", 0), Some(2));
        assert_eq!(end_of_expression("{'a': {'b': 1}} }} y", 0), Some(16));
        assert_eq!(end_of_expression("'}}' }}", 0), Some(5));
        assert_eq!(end_of_expression("x }", 0), None);
    }
}
