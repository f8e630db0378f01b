//! The forms in which a value may turn up: as it is, and as the usual tools write it.

use std::collections::BTreeSet;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::render::quote::FORMS;

/// The shortest value that is masked: shorter ones are common words. Environments refuse them in production.
pub(super) const MIN_VALUE: usize = 4;
/// The shortest encoded form that is looked for, and the shortest line of a value with several lines.
const MIN_FORM: usize = 6;
/// Longer forms are looked for in pieces of this size, so that a stream need not keep back the whole of them. It
/// is the width at which PEM files break their lines.
const PIECE: usize = 64;
/// Characters of base64 that stand for whole bytes together.
const GROUP: usize = 4;
/// The width at which `base64` breaks its lines.
const WRAPPED: usize = 76;

/// All forms of all values, each once.
pub(super) fn of_all<'a>(values: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let mut forms = Forms::default();
    for value in values {
        forms.value(value);
    }
    forms.known.into_iter().collect()
}

#[derive(Default)]
struct Forms {
    known: BTreeSet<Vec<u8>>,
}

impl Forms {
    fn value(&mut self, value: &[u8]) {
        if value.len() < MIN_VALUE {
            return;
        }
        self.all(value);
        let trimmed = value.trim_ascii();
        if trimmed.len() != value.len() && trimmed.len() >= MIN_FORM {
            self.all(trimmed);
        }
        let lines: Vec<&[u8]> = value
            .split(|&byte| byte == b'\n')
            .map(<[u8]>::trim_ascii)
            .filter(|line| line.len() >= MIN_FORM)
            .collect();
        if value.contains(&b'\n') {
            for line in lines {
                self.all(line);
            }
        }
    }

    fn all(&mut self, value: &[u8]) {
        self.pieces(value.to_vec(), PIECE);
        self.encoded(hex(value, b"0123456789abcdef"));
        self.encoded(hex(value, b"0123456789ABCDEF"));
        self.base64(value);
        self.url(value);
        self.shell(value);
        if let Ok(text) = std::str::from_utf8(value) {
            self.json(text);
            self.filters(text);
        }
    }

    /// As our own filters write it into files, without the quotes round it.
    fn filters(&mut self, text: &str) {
        let value = crate::render::Value::from(text);
        // A value that has no form in a language is in no file of it.
        for form in FORMS.iter().filter_map(|(_, form)| form.of(&value).ok()) {
            let inner = form.strip_prefix(['"', '\'']).and_then(|rest| rest.strip_suffix(['"', '\'']));
            self.encoded(inner.unwrap_or(&form).as_bytes().to_vec());
        }
    }

    fn encoded(&mut self, form: Vec<u8>) {
        if form.len() >= MIN_FORM {
            self.pieces(form, PIECE);
        }
    }

    /// A form, whole when it is short, else in pieces of `size`; a short rest belongs to the piece before it.
    fn pieces(&mut self, form: Vec<u8>, size: usize) {
        if form.len() < 2 * size {
            self.known.insert(form);
            return;
        }
        let mut rest = &form[..];
        while rest.len() >= 2 * size {
            let (piece, more) = rest.split_at(size);
            self.known.insert(piece.to_vec());
            rest = more;
        }
        self.known.insert(rest.to_vec());
    }

    /// Base64 of the value alone and in the middle of other text, in both alphabets, also as tools wrap it.
    fn base64(&mut self, value: &[u8]) {
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let alone = engine.encode(value).into_bytes();
            for width in [PIECE, WRAPPED] {
                if alone.len() > width {
                    alone.chunks(width).filter(|line| line.len() >= MIN_FORM).for_each(|line| {
                        self.known.insert(line.to_vec());
                    });
                }
            }
            self.encoded(alone);
            for before in 0..3 {
                // Characters that also carry bits of what stands before or behind the value are not its own.
                let text = engine.encode([&[0; 2][..before], value].concat()).into_bytes();
                let first = [0, 2, 3][before];
                let last = (before + value.len()) * 8 / 6;
                self.encoded(text.get(first..last).unwrap_or_default().to_vec());
                self.wrapped(&text, first..last);
            }
        }
    }

    /// Base64 that is broken into lines has its breaks between groups of four characters, and where depends on what
    /// stands before it: every two groups that stand together are looked for.
    fn wrapped(&mut self, text: &[u8], own: std::ops::Range<usize>) {
        let groups = own.start.div_ceil(GROUP)..own.end / GROUP;
        let pairs = groups.clone().zip(groups.skip(1));
        self.known.extend(pairs.map(|(first, second)| text[first * GROUP..(second + 1) * GROUP].to_vec()));
    }

    /// Percent-encoding, by the sets of characters that RFC 3986, JavaScript, Python and HTML forms leave alone.
    fn url(&mut self, value: &[u8]) {
        const KEPT: [&[u8]; 5] = [b"-._~", b"-._~!'()*", b"-._~!'()*;,/?:@&=+$#", b"-._~/", b"-._*"];
        for kept in KEPT {
            for digits in [b"0123456789ABCDEF", b"0123456789abcdef"] {
                for space in [&b"%20"[..], b"+"] {
                    self.encoded(percent(value, kept, digits, space));
                }
            }
        }
    }

    /// As shells quote it: inside single and double quotes, with backslashes, and as `$'…'`.
    fn shell(&mut self, value: &[u8]) {
        self.encoded(escape(value, |byte, out| match byte {
            b'\'' => out.extend_from_slice(br"'\''"),
            _ => out.push(byte),
        }));
        self.encoded(escape(value, |byte, out| match byte {
            b'\'' => out.extend_from_slice(br#"'"'"'"#),
            _ => out.push(byte),
        }));
        self.encoded(escape(value, |byte, out| {
            if b"\\\"$`".contains(&byte) {
                out.push(b'\\');
            }
            out.push(byte);
        }));
        self.encoded(escape(value, |byte, out| {
            if byte.is_ascii() && !byte.is_ascii_alphanumeric() && !b"%+-./:=@_".contains(&byte) {
                out.push(b'\\');
            }
            out.push(byte);
        }));
        self.encoded(escape(value, |byte, out| dollar_quoted(byte, false, out)));
        self.encoded(escape(value, |byte, out| dollar_quoted(byte, true, out)));
    }

    /// Inside a JSON string: what must be escaped, what careful writers escape as well (`/`, `<`, all but ASCII), and
    /// one JSON string inside another.
    fn json(&mut self, text: &str) {
        let plain = json_string(text);
        for slash in ["/", r"\/"] {
            let form = plain.replace('/', slash);
            for (plain_up_to, is_upper) in [(u32::MAX, false), (0x7e, false), (0x7e, true)] {
                let form = escape_above(&form, plain_up_to, is_upper);
                self.encoded(form.clone().into_bytes());
                let html = form.replace('<', r"\u003c").replace('>', r"\u003e").replace('&', r"\u0026");
                self.encoded(html.into_bytes());
            }
        }
        self.encoded(json_string(&plain).into_bytes());
    }
}

fn hex(value: &[u8], digits: &[u8; 16]) -> Vec<u8> {
    value.iter().flat_map(|byte| [digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]).collect()
}

fn percent(value: &[u8], kept: &[u8], digits: &[u8; 16], space: &[u8]) -> Vec<u8> {
    escape(value, |byte, out| match byte {
        b' ' => out.extend_from_slice(space),
        _ if byte.is_ascii_alphanumeric() || kept.contains(&byte) => out.push(byte),
        _ => {
            out.push(b'%');
            out.extend_from_slice(&hex(&[byte], digits));
        }
    })
}

fn escape(value: &[u8], mut write: impl FnMut(u8, &mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() * 3);
    for &byte in value {
        write(byte, &mut out);
    }
    out
}

/// One byte of bash's `$'…'`, with or without octal for what is not ASCII.
fn dollar_quoted(byte: u8, is_octal: bool, out: &mut Vec<u8>) {
    match byte {
        b'\n' => out.extend_from_slice(br"\n"),
        b'\t' => out.extend_from_slice(br"\t"),
        b'\r' => out.extend_from_slice(br"\r"),
        0x1b => out.extend_from_slice(br"\E"),
        b'\'' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        0x20..=0x7e => out.push(byte),
        0x80.. if !is_octal => out.push(byte),
        _ => out.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
    }
}

/// The text between the quotes of a JSON string.
fn json_string(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// `\uXXXX` for every character above `limit`, in UTF-16 as JSON has it.
fn escape_above(text: &str, limit: u32, is_upper: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if u32::from(letter) <= limit {
            out.push(letter);
            continue;
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            let done = if is_upper { write!(out, "\\u{unit:04X}") } else { write!(out, "\\u{unit:04x}") };
            done.expect("a string takes any text");
        }
    }
    out
}
