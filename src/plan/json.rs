//! JSON (RFC 8259, nothing more) into a [`Tree`]: one pass over the bytes, no recursion.

use std::borrow::Cow;

use super::syntax::{Builder, Faults, plain_string, short, string, too_deep, too_large};
use super::tree::{Key, Kind, Tree};

/// The reader stopped at a fault that it reported.
struct Stop;

/// Reads `text` from byte `start`. Duplicate keys, numbers out of range and broken escapes are reported and
/// read over; a fault of structure ends the reading.
pub(super) fn read(text: &str, start: usize, faults: &mut Faults<'_>) -> Option<Tree> {
    let mut reader = Reader { text, at: start, builder: Builder::default(), faults };
    reader.document().ok()?;
    reader.builder.finish()
}

struct Reader<'a, 'f, 'r> {
    text: &'a str,
    at: usize,
    builder: Builder,
    faults: &'f mut Faults<'r>,
}

impl<'t> Reader<'t, '_, '_> {
    fn document(&mut self) -> Result<(), Stop> {
        self.skip_space();
        loop {
            self.value()?;
            if !self.after_value()? {
                break;
            }
        }
        if self.at < self.text.len() {
            return self.stop("expected the end of the file after the value");
        }
        Ok(())
    }

    /// Reads a scalar, or opens collections up to and with the first scalar or empty collection.
    fn value(&mut self) -> Result<(), Stop> {
        loop {
            let start = self.at;
            self.faults.count_value(start);
            if self.faults.is_full() {
                return Err(Stop);
            }
            match self.peek() {
                Some(b'{') => {
                    self.open(true)?;
                    if self.peek() == Some(b'}') {
                        return Ok(());
                    }
                    self.key()?;
                }
                Some(b'[') => {
                    self.open(false)?;
                    if self.peek() == Some(b']') {
                        return Ok(());
                    }
                }
                Some(b'"') => {
                    let tree = match self.string()? {
                        Cow::Borrowed(_) => plain_string(self.faults, start..self.at),
                        Cow::Owned(text) => string(self.faults, start..self.at, text.into()),
                    };
                    self.builder.value(tree);
                    return Ok(());
                }
                Some(b'-' | b'0'..=b'9') => {
                    self.number();
                    return Ok(());
                }
                _ => return self.word(),
            }
        }
    }

    /// Closes what ends here and steps over a comma; false when the document's value is complete.
    fn after_value(&mut self) -> Result<bool, Stop> {
        loop {
            self.skip_space();
            let Some((is_map, opened)) = self.builder.innermost() else { return Ok(false) };
            match (self.peek(), is_map) {
                (Some(b'}'), true) | (Some(b']'), false) => {
                    self.at += 1;
                    let closed = self.builder.close(self.faults);
                    self.builder.value(closed.tree);
                }
                (Some(b','), _) => {
                    self.at += 1;
                    self.skip_space();
                    if matches!(self.peek(), Some(b'}' | b']')) {
                        return self.stop("JSON allows no comma after the last item");
                    }
                    if is_map {
                        self.key()?;
                    }
                    return Ok(true);
                }
                (None, _) => {
                    let (noun, end) = if is_map { ("map", '}') } else { ("list", ']') };
                    let at = self.at;
                    let message = format!("the file ends inside a {noun}; `{end}` is missing");
                    let fault = self.faults.add("plan::syntax-json", at..at, message);
                    fault.related.push((opened, format!("the {noun} begins here")));
                    return Err(Stop);
                }
                (_, true) => return self.stop("expected `,` or `}` after a value of a map"),
                (_, false) => return self.stop("expected `,` or `]` after an item of a list"),
            }
        }
    }

    fn open(&mut self, is_map: bool) -> Result<(), Stop> {
        let range = self.at..self.at + 1;
        if !self.builder.open(self.faults.token(range.clone()), is_map, 0) {
            too_deep(self.faults, range);
            return Err(Stop);
        }
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    fn key(&mut self) -> Result<(), Stop> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return self.stop("expected a key in double quotes");
        }
        let text = match self.string()? {
            Cow::Borrowed(_) => self.faults.piece(start + 1..self.at - 1).expect("quotes are characters"),
            Cow::Owned(text) => text.into(),
        };
        let at = self.faults.token(start..self.at);
        self.skip_space();
        if self.peek() != Some(b':') {
            return self.stop("expected `:` after the key");
        }
        self.at += 1;
        self.skip_space();
        self.builder.key(Key { text, at }, false);
        Ok(())
    }

    /// Reads a string from its opening quote.
    fn string(&mut self) -> Result<Cow<'t, str>, Stop> {
        let opened = self.at;
        self.at += 1;
        let mut decoded = String::new();
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            let Some(run) = plain_run(rest) else {
                return self.unclosed(opened);
            };
            let text: &'t str = self.text;
            let plain = &text[self.at..self.at + run];
            self.at += run;
            match rest[run] {
                b'"' => {
                    self.at += 1;
                    if decoded.is_empty() {
                        return Ok(Cow::Borrowed(plain));
                    }
                    decoded.push_str(plain);
                    return Ok(Cow::Owned(decoded));
                }
                b'\\' => {
                    decoded.push_str(plain);
                    decoded.push(self.escape());
                }
                b'\n' | b'\r' => return self.unclosed(opened),
                _ => {
                    let message = "a tab inside a JSON string must be written `\\t`";
                    self.faults.push("plan::tab", self.at..self.at + 1, message);
                    decoded.push_str(plain);
                    decoded.push('\t');
                    self.at += 1;
                }
            }
        }
    }

    fn unclosed<T>(&mut self, opened: usize) -> Result<T, Stop> {
        let fault = self.faults.add("plan::syntax-json", opened..opened + 1, "the string is not closed");
        fault.label = "opened here".into();
        fault.help = Some("end it with `\"` on the same line; a line end inside is written `\\n`".to_owned());
        Err(Stop)
    }

    /// Reads an escape from its backslash; a broken one is reported and stands for U+FFFD.
    fn escape(&mut self) -> char {
        let start = self.at;
        let simple = match self.text.as_bytes().get(start + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            _ => {
                // The character after the backslash is left to be read as itself.
                self.at += 1;
                let message = "`\\` must be followed by one of `\" \\ / b f n r t u`";
                self.faults.push("plan::escape", start..start + 1, message);
                return char::REPLACEMENT_CHARACTER;
            }
        };
        self.at += 2;
        simple
    }

    fn unicode_escape(&mut self) -> char {
        let start = self.at;
        let Some(first) = self.hex(start) else {
            self.at += 1;
            self.faults.push("plan::escape", start..start + 2, "`\\u` must be followed by four hex digits");
            return char::REPLACEMENT_CHARACTER;
        };
        self.at = start + 6;
        if let Some(c) = char::from_u32(first) {
            return c;
        }
        if let (0xd800..=0xdbff, Some(second @ 0xdc00..=0xdfff)) = (first, self.hex(self.at)) {
            self.at += 6;
            let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            return char::from_u32(code).expect("a pair of surrogates is a character");
        }
        let message = format!("`\\u{first:04x}` is half of a surrogate pair, which is no character");
        let fault = self.faults.add("plan::escape", start..start + 6, message);
        fault.help = Some("write the character itself, or both halves".to_owned());
        char::REPLACEMENT_CHARACTER
    }

    /// The value of `\uXXXX` at `at`.
    fn hex(&self, at: usize) -> Option<u32> {
        let digits = self.text.as_bytes().get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0, |code, &digit| Some(code * 16 + char::from(digit).to_digit(16)?))
    }

    fn number(&mut self) {
        let start = self.at;
        let bytes = &self.text.as_bytes()[start..];
        let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let end = start + bytes.iter().position(|byte| !is_part(byte)).unwrap_or(bytes.len());
        let text = &self.text[start..end];
        let Some(is_int) = number_kind(text) else {
            let fault = self.faults.add("plan::number", start..end, format!("`{}` is not a number", short(text)));
            fault.help = Some("JSON numbers look like `12`, `-0.5` and `1e9`, without leading zeros".to_owned());
            self.at = end;
            self.builder.value(Tree { at: self.faults.place(start..end), kind: Kind::Null });
            return;
        };
        self.at = end;
        let at = self.faults.token(start..end);
        let kind = match (is_int, text.parse::<i64>(), text.parse::<f64>()) {
            (true, Ok(number), _) => Kind::Int(number),
            (false, _, Ok(number)) if number.is_finite() => Kind::Float(number),
            _ => {
                too_large(self.faults, start..end, text, "\"");
                Kind::Int(0)
            }
        };
        self.builder.value(Tree { at, kind });
    }

    fn word(&mut self) -> Result<(), Stop> {
        let rest = &self.text[self.at..];
        let length = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        let kind = match &rest[..length] {
            "true" => Kind::Bool(true),
            "false" => Kind::Bool(false),
            "null" => Kind::Null,
            _ => return self.stop("expected a value"),
        };
        let at = self.faults.token(self.at..self.at + length);
        self.at += length;
        self.builder.value(Tree { at, kind });
        Ok(())
    }

    /// Reports what stands here instead of what was expected.
    fn stop<T>(&mut self, expected: &str) -> Result<T, Stop> {
        let rest = &self.text[self.at..];
        let help = match rest.as_bytes() {
            [b'/' | b'#', ..] => Some("JSON has no comments; YAML and TOML have"),
            [b'\'', ..] => Some("strings are written with `\"`"),
            [b'}' | b']', ..] if expected.contains("comma") => Some("take the comma away"),
            _ => None,
        };
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let length = if word > 0 { word } else { rest.chars().next().map_or(0, char::len_utf8) };
        let found = if rest.is_empty() {
            "the file ends here".to_owned()
        } else {
            format!("found `{}`", short(&rest[..length]))
        };
        let fault = self.faults.add("plan::syntax-json", self.at..self.at + length, expected);
        fault.label = found;
        fault.help = help.map(str::to_owned);
        Err(Stop)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }
}

/// How many bytes stand before a quote, a backslash or a control character; `None` when none of these comes.
///
/// Eight bytes at a time: subtracting one from each byte of `word ^ quotes` borrows into the top bit of those that were
/// zero, and subtracting 0x20 into that of those below. A borrow may mark a byte behind a true one, never one before it,
/// so the lowest mark is right; bytes of other scripts, which have the top bit, are never marked.
fn plain_run(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const TOPS: u64 = ONES << 7;
    let is_end = |byte: &u8| matches!(byte, b'"' | b'\\' | ..b' ');
    let mut words = bytes.chunks_exact(8);
    for (at, word) in (0..).step_by(8).zip(&mut words) {
        let word = u64::from_le_bytes(word.try_into().expect("a chunk has eight bytes"));
        let zeros = |word: u64| word.wrapping_sub(ONES) & !word;
        let found = zeros(word ^ (ONES * u64::from(b'"')))
            | zeros(word ^ (ONES * u64::from(b'\\')))
            | (word.wrapping_sub(ONES * u64::from(b' ')) & !word);
        if found & TOPS != 0 {
            return Some(at + (found & TOPS).trailing_zeros() as usize / 8);
        }
    }
    let rest = words.remainder();
    Some(bytes.len() - rest.len() + rest.iter().position(is_end)?)
}

/// Whether a text that RFC 8259 calls a number is a whole one; `None` when it is no number.
fn number_kind(text: &str) -> Option<bool> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = text.strip_prefix('-').unwrap_or(text);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest.starts_with('0')) {
        return None;
    }
    let mut rest = &rest[whole..];
    let is_int = rest.is_empty();
    if let Some(fraction) = rest.strip_prefix('.') {
        let count = digits(fraction);
        if count == 0 {
            return None;
        }
        rest = &fraction[count..];
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if exponent.is_empty() || digits(exponent) != exponent.len() {
            return None;
        }
        rest = "";
    }
    rest.is_empty().then_some(is_int)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::plain_run;

    proptest! {
        #[test]
        fn a_run_ends_where_the_first_byte_says(bytes in proptest::collection::vec(
            prop_oneof![6 => Just(b'a'), 3 => any::<u8>(), 1 => Just(b'"'), 1 => Just(b'\\'), 1 => Just(b'\n'), 1 => Just(b'!')],
            0..40,
        )) {
            let plain = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..b' '));
            prop_assert_eq!(plain_run(&bytes), plain);
        }
    }
}
