//! What a stage prints, made safe for a terminal: lines without control, cut to a width.
//!
//! Colours may stay. Everything else that steers a terminal goes: cursor moves, titles, alternate screens,
//! C1 controls, direction overrides. A carriage return starts the line again, so of a progress bar only its
//! last form is left. The stored log is not touched by any of this.

use std::iter::Peekable;
use std::str::Chars;

/// Bytes of one line that are shown; what a minified file has beyond them nobody reads on a terminal.
pub const MAX_LINE_BYTES: usize = 4096;

/// Longest colour sequence let through: all attributes and two 24-bit colours fit.
const MAX_COLOUR: usize = 64;

/// Back to plain text.
const RESET: &str = "\u{1b}[0m";

/// Splits chunks into lines; holds back what is not a whole line yet.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    pending: Vec<u8>,
    is_cut: bool,
    is_returned: bool,
}

impl Lines {
    /// Gives every line that `bytes` complete to `each`, without its end.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n' || byte == b'\r') {
            let (text, end) = match piece.split_last() {
                Some((&end @ (b'\n' | b'\r'), text)) => (text, Some(end)),
                _ => (piece, None),
            };
            if self.is_returned && !(text.is_empty() && end.is_some()) {
                self.pending.clear();
                (self.is_returned, self.is_cut) = (false, false);
            }
            self.extend(text);
            match end {
                Some(b'\n') => self.flush(&mut each),
                Some(_) => self.is_returned = true,
                None => {}
            }
        }
    }

    /// Gives what is held back to `each`, if there is any: the stage has ended.
    pub fn finish(&mut self, mut each: impl FnMut(&[u8])) {
        if !self.pending.is_empty() {
            self.flush(&mut each);
        }
    }

    /// Keeps as much of `text` as one line may have.
    fn extend(&mut self, text: &[u8]) {
        let room = MAX_LINE_BYTES.saturating_sub(self.pending.len());
        self.is_cut |= text.len() > room;
        self.pending.extend_from_slice(&text[..text.len().min(room)]);
    }

    /// Gives the pending line away.
    fn flush(&mut self, each: &mut impl FnMut(&[u8])) {
        if self.is_cut {
            self.pending.extend_from_slice(" …".as_bytes());
        }
        each(&self.pending);
        self.pending.clear();
        (self.is_cut, self.is_returned) = (false, false);
    }
}

/// One line, safe to show. Colours stay if `colour`, and end with the line.
pub fn line(bytes: &[u8], colour: bool) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    let mut columns = 0;
    let mut is_coloured = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => {
                if let Some(sequence) = escape(&mut chars).filter(|_| colour) {
                    is_coloured = true;
                    out.push_str(&sequence);
                }
            }
            '\t' => {
                let stop = 8 - columns % 8;
                out.extend(std::iter::repeat_n(' ', stop));
                columns += stop;
            }
            c if is_control(c) => {}
            c => {
                out.push(c);
                columns += columns_of(c);
            }
        }
    }
    if is_coloured {
        out.push_str(RESET);
    }
    out
}

/// Text for XML, HTML and Markdown: no colours, no controls.
pub fn plain(text: &str) -> String {
    line(text.as_bytes(), false)
}

/// Reads one escape sequence past its ESC; gives it back if it only sets colours.
fn escape(chars: &mut Peekable<Chars>) -> Option<String> {
    match chars.peek()? {
        '[' => {
            chars.next();
            control_sequence(chars)
        }
        ']' | 'P' | 'X' | '^' | '_' => {
            control_string(chars);
            None
        }
        _ => {
            while chars.next_if(|c| (' '..='/').contains(c)).is_some() {}
            let _ = chars.next_if(|c| ('0'..='~').contains(c));
            None
        }
    }
}

/// Reads a CSI sequence past its `[`.
fn control_sequence(chars: &mut Peekable<Chars>) -> Option<String> {
    let mut sequence = String::from("\u{1b}[");
    while let Some(c) = chars.next_if(|c| (' '..='?').contains(c)) {
        sequence.push(c);
    }
    let last = chars.next_if(|c| ('@'..='~').contains(c))?;
    sequence.push(last);
    let is_plain = |c: char| c.is_ascii_digit() || c == ';' || c == ':';
    let is_colour = last == 'm' && sequence[2..sequence.len() - 1].chars().all(is_plain);
    (is_colour && sequence.len() <= MAX_COLOUR).then_some(sequence)
}

/// Reads an OSC, DCS, SOS, PM or APC string to its end, or to the end of the line.
fn control_string(chars: &mut Peekable<Chars>) {
    while let Some(c) = chars.next() {
        if c == '\u{7}' || c == '\u{9c}' {
            return;
        }
        if c == '\u{1b}' && chars.next_if_eq(&'\\').is_some() {
            return;
        }
    }
}

/// Whether a terminal does something with `c` instead of showing it.
const fn is_control(c: char) -> bool {
    matches!(c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}')
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Columns that `c` takes: a short form of Unicode's East Asian Width.
const fn columns_of(c: char) -> usize {
    match c {
        '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' | '\u{20d0}'..='\u{20ff}' | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

/// Columns that a cleaned `text` takes; colours take none.
pub fn width(text: &str) -> usize {
    let mut columns = 0;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            let _ = escape(&mut chars);
        } else {
            columns += columns_of(c);
        }
    }
    columns
}

/// A cleaned `text` cut to `columns`, its end marked with `…` when something was cut.
pub fn fit(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let (mut out, mut used, mut is_coloured) = (String::new(), 0, false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            if let Some(sequence) = escape(&mut chars) {
                is_coloured = true;
                out.push_str(&sequence);
            }
            continue;
        }
        if used + columns_of(c) + 1 > columns {
            break;
        }
        used += columns_of(c);
        out.push(c);
    }
    if columns > 0 {
        out.push('…');
    }
    if is_coloured {
        out.push_str(RESET);
    }
    out
}

/// A line broken at spaces so that no part is wider than `columns`, if its words allow that; all but the first
/// part begin with `hang` spaces.
pub fn wrap(line: &str, columns: usize, hang: usize) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = line.to_owned();
    while width(&rest) > columns {
        let start = rest.len() - rest.trim_start().len();
        let spaces = rest.match_indices(' ').map(|(at, _)| at).filter(|&at| at > start);
        let Some(at) = spaces.take_while(|&at| width(rest[..at].trim_end()) <= columns).last() else { break };
        let more = format!("{}{}", " ".repeat(hang), rest[at..].trim_start());
        if more.len() >= rest.len() {
            break;
        }
        parts.push(rest[..at].trim_end().to_owned());
        rest = more;
    }
    parts.push(rest);
    parts
}

/// `text` cut or filled to exactly `columns`.
pub fn pad(text: &str, columns: usize) -> String {
    let mut out = fit(text, columns);
    let missing = columns.saturating_sub(width(&out));
    out.extend(std::iter::repeat_n(' ', missing));
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let mut splitter = Lines::default();
        let mut out = Vec::new();
        for chunk in chunks {
            splitter.push(chunk, |text| out.push(line(text, false)));
        }
        splitter.finish(|text| out.push(line(text, false)));
        out
    }

    #[test]
    fn chunks_break_anywhere() {
        assert_eq!(lines(&[b"one\ntw", b"o\r", b"\nthr\xc3", b"\xa9e"]), ["one", "two", "thrée"]);
        assert_eq!(lines(&[b"10%\r50%\r", b"100%\ndone"]), ["100%", "done"]);
        assert_eq!(lines(&[b"a\r\r\nb\n\n"]), ["a", "b", ""]);
        assert_eq!(lines(&[b"50%\r"]), ["50%"]);
    }

    #[test]
    fn a_long_line_is_cut() {
        let long = vec![b'x'; 3 * MAX_LINE_BYTES];
        let out = lines(&[&long, b"\nnext"]);
        assert_eq!(out[0].len(), MAX_LINE_BYTES + " …".len());
        assert_eq!(out[1], "next");
    }

    #[test]
    fn a_line_is_broken_at_spaces() {
        let broken = |text: &str| wrap(text, 20, 4).join("\n");
        assert_eq!(broken("  word  said of it"), "  word  said of it");
        assert_eq!(broken("  word  said of it and more"), "  word  said of it\n    and more");
        assert_eq!(broken("  word  a-name-that-is-far-too-long"), "  word\n    a-name-that-is-far-too-long");
        assert_eq!(broken("a-name-that-is-far-too-long"), "a-name-that-is-far-too-long");
        assert_eq!(broken("\u{1b}[1mword\u{1b}[0m  said of it so"), "\u{1b}[1mword\u{1b}[0m  said of it so");
    }

    #[test]
    fn only_colours_stay() {
        let nasty = b"\x1b]0;title\x07a\x1b[2J\x1b[31mred\x1b[0m\x1b[1;1Hb\x1b(0\x1bc\x9b2J\x08\x07c\x1b[?1049h\xe2\x80\xae!";
        assert_eq!(line(nasty, true), "a\u{1b}[31mred\u{1b}[0mb\u{fffd}2Jc!\u{1b}[0m");
        assert_eq!(line(nasty, false), "aredb\u{fffd}2Jc!");
        assert_eq!(line(b"a\tb", false), "a       b");
    }

    #[test]
    fn cutting_counts_columns() {
        assert_eq!(fit("hello", 5), "hello");
        assert_eq!(fit("hello", 4), "hel…");
        assert_eq!(fit("漢字漢字", 5), "漢字…");
        assert_eq!(fit("\u{1b}[31mhello\u{1b}[0m", 3), "\u{1b}[31mhe…\u{1b}[0m");
        assert_eq!(pad("ab", 4), "ab  ");
    }

    proptest! {
        #[test]
        fn no_bytes_steer_a_terminal(chunks in prop::collection::vec(prop::collection::vec(
            prop_oneof![Just(0x1b_u8), Just(b'['), Just(b']'), Just(b'\r'), Just(b'm'), any::<u8>()], 0..60), 0..4),
            columns in 0_usize..30)
        {
            let mut splitter = Lines::default();
            let mut out = Vec::new();
            for chunk in &chunks {
                splitter.push(chunk, |text| out.push(line(text, true)));
            }
            splitter.finish(|text| out.push(line(text, true)));
            let colour = regex::Regex::new("\u{1b}\\[[0-9;:]*m").expect("a pattern");
            for text in out {
                let short = fit(&text, columns);
                prop_assert!(width(&short) <= columns);
                for text in [text, short] {
                    let rest = colour.replace_all(&text, "");
                    prop_assert!(!rest.chars().any(char::is_control), "{text:?}");
                }
            }
        }
    }
}
