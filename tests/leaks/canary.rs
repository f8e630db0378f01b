//! Values that must never be seen again, and the forms in which they could be.

use std::fmt::Write as _;
use std::io::Read as _;

/// A secret's value.
pub(crate) struct Canary {
    pub(crate) name: &'static str,
    pub(crate) value: String,
}

/// `count` characters that nobody can guess.
pub(crate) fn random(count: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bytes = vec![0; count];
    std::fs::File::open("/dev/urandom").expect("randomness").read_exact(&mut bytes).expect("randomness");
    bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte & 63)])).collect()
}

/// One of each kind.
pub(crate) fn flock() -> Vec<Canary> {
    let canary = |name, value| Canary { name, value };
    let lines: Vec<String> = (0..5).map(|_| random(20)).collect();
    vec![
        canary("SHORT", random(8)),
        canary("LONG", random(64 * 1024)),
        canary("LINES", lines.join("\n")),
        canary("QUOTES", format!("{}\"'`$x\\n {{}} <&> %25+", random(12))),
        canary("UNICODE", format!("pässwörd ✓ 鍵 {}", random(10))),
        canary("COMMAND", random(24)),
        canary("token", random(16)),
    ]
}

impl Canary {
    /// Every form, and of a value with several lines every line in every form.
    pub(crate) fn forms(&self) -> Vec<Vec<u8>> {
        let mut all = forms(&self.value);
        if self.value.contains('\n') {
            all.extend(self.value.lines().flat_map(forms));
        }
        all
    }
}

fn forms(value: &str) -> Vec<Vec<u8>> {
    let bytes = value.as_bytes();
    let hex = |upper: bool| -> String {
        bytes.iter().map(|byte| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") }).collect()
    };
    let mut found =
        vec![value.to_owned(), hex(false), hex(true), percent(value), json(value, false), json(value, true)];
    found.push(value.replace('\'', "'\\''"));
    found.push(value.replace('\'', "'\"'\"'"));
    for alphabet in [*b"+/", *b"-_"] {
        found.extend((0..3).map(|before| base64(bytes, before, alphabet)));
    }
    found.into_iter().map(String::into_bytes).collect()
}

fn percent(value: &str) -> String {
    let mut out = String::new();
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => write!(out, "%{byte:02X}").expect("a text grows"),
        }
    }
    out
}

/// Inside a JSON string, as most writers have it or with nothing but ASCII.
fn json(value: &str, is_ascii: bool) -> String {
    let mut out = String::new();
    for letter in value.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            _ if is_ascii && !letter.is_ascii() => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}").expect("a text grows");
                }
            }
            _ => out.push(letter),
        }
    }
    out
}

/// The characters of base64 that carry bits of `bytes` alone, when `before` other bytes stand before them.
fn base64(bytes: &[u8], before: usize, last: [u8; 2]) -> String {
    let mut alphabet: Vec<u8> = (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').collect();
    alphabet.extend(last);
    let first = (before * 8).div_ceil(6);
    let end = (before + bytes.len()) * 8 / 6;
    let bit = |at: usize| {
        let byte = at / 8;
        if byte < before || byte - before >= bytes.len() { 0 } else { bytes[byte - before] >> (7 - at % 8) & 1 }
    };
    (first..end)
        .map(|place| {
            let six = (0..6).fold(0, |six, at| six << 1 | usize::from(bit(place * 6 + at)));
            char::from(alphabet[six])
        })
        .collect()
}

#[test]
fn the_forms_are_those_of_other_programs() {
    assert_eq!(base64(b"hello world", 0, *b"+/"), "aGVsbG8gd29ybG");
    assert_eq!(base64(b"abc", 1, *b"+/"), "FiY", "of `xabc`, eGFiYw==, without what also holds bits of `x`");
    assert_eq!(percent("a b/✓"), "a%20b%2F%E2%9C%93");
    assert_eq!(json("é\"\n", true), "\\u00e9\\\"\\n");
    let needed = ["68656c6c6f", "hello", "aGVsbG"];
    let found = forms("hello");
    for form in needed {
        assert!(found.iter().any(|one| one == form.as_bytes()), "{form}");
    }
}
