//! A first catalog from a `.env.example`, for people to review.

use std::fmt::Write as _;

use crate::base::Span;
use crate::plan::decode;
use crate::plan::model::Type;
use crate::plan::types;
use crate::render::Value;

/// What came of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Imported {
    /// `catalog.yaml`.
    pub catalog: String,
    /// `base.yaml`: the values that are no secrets.
    pub base: String,
    /// The keys.
    pub keys: usize,
    /// The keys that are taken for secrets.
    pub secrets: Vec<String>,
    /// Lines that say nothing we understand, by number, with why.
    pub skipped: Vec<(usize, String)>,
}

/// One line that gives a key.
struct Line {
    key: String,
    value: String,
    comment: Vec<String>,
    kind: Type,
    is_secret: bool,
}

/// Parts of a name that a secret's has.
const SECRET_NAMES: [&str; 14] = [
    "SECRET",
    "TOKEN",
    "PASSWORD",
    "PASSWD",
    "PASS",
    "KEY",
    "CREDENTIAL",
    "CREDENTIALS",
    "DSN",
    "HOOK",
    "WEBHOOK",
    "PRIVATE",
    "SALT",
    "AUTH",
];

/// Reads `text` generously (`export`, quotes, comments behind values) and writes the files of an environment.
pub fn import(text: &str) -> Imported {
    let (mut lines, mut skipped) = (Vec::<Line>::new(), Vec::new());
    let mut comment: Vec<String> = Vec::new();
    for (at, raw) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = raw.trim();
        if let Some(words) = line.strip_prefix('#') {
            comment.push(words.trim().to_owned());
            continue;
        }
        if line.is_empty() {
            comment.clear();
            continue;
        }
        match read(line) {
            Ok((key, value)) if lines.iter().any(|known| known.key == key) => {
                skipped
                    .push((at + 1, format!("`{key}` stands there a second time, with another value or the same")));
                drop(value);
            }
            Ok((key, value)) => {
                let is_secret = is_secret(&key, &value);
                let kind = if is_secret { secret_type(&value) } else { guess(&value) };
                lines.push(Line { key, value, comment: std::mem::take(&mut comment), kind, is_secret });
            }
            Err(why) => skipped.push((at + 1, why)),
        }
        comment.clear();
    }
    let secrets = lines.iter().filter(|line| line.is_secret).map(|line| line.key.clone()).collect();
    Imported { catalog: catalog(&lines), base: base(&lines), keys: lines.len(), secrets, skipped }
}

/// The key and value of a line.
fn read(line: &str) -> Result<(String, String), String> {
    let line = line.strip_prefix("export ").map_or(line, str::trim_start);
    let (key, value) = line.split_once('=').ok_or("there is no `=`")?;
    let key = key.trim();
    if !decode::is_key(key) {
        return Err("what stands before `=` does not match `[A-Z_][A-Z0-9_]*`".to_owned());
    }
    Ok((key.to_owned(), value_of(value.trim())))
}

fn value_of(written: &str) -> String {
    for quote in ['"', '\''] {
        if let Some(inner) = written.strip_prefix(quote)
            && let Some(end) = inner.find(quote)
        {
            return inner[..end].to_owned();
        }
    }
    let end = written.find(" #").unwrap_or(written.len());
    written[..end].trim_end().chars().filter(|c| !c.is_control()).collect()
}

/// By the name, or a URL with a password in it.
fn is_secret(key: &str, value: &str) -> bool {
    let has_word = key.split('_').any(|part| SECRET_NAMES.contains(&part));
    let names_a_public_thing =
        key.ends_with("_URL") || key.ends_with("_PATH") || key.ends_with("_FILE") || key.ends_with("_ID");
    let host = value.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or(rest));
    let has_password = host.is_some_and(|host| host.split_once('@').is_some_and(|(user, _)| user.contains(':')));
    has_password || (has_word && !names_a_public_thing) || key == "DATABASE_URL"
}

fn secret_type(value: &str) -> Type {
    if guess(value) == Type::Url { Type::Url } else { Type::String }
}

fn guess(value: &str) -> Type {
    let reads = |kind: Type| types::read(kind, value).is_ok();
    let has_leading_zero = value.len() > 1 && value.starts_with('0');
    match value {
        "true" | "false" => Type::Bool,
        _ if reads(Type::Int) && !has_leading_zero && !value.starts_with('+') => Type::Int,
        _ if Span::parse(value).is_some() => Type::Duration,
        _ if reads(Type::Url) => Type::Url,
        _ => Type::String,
    }
}

fn catalog(lines: &[Line]) -> String {
    let mut out = "# Written by `engine env import`. To review: types, what is secret, where each key is required\n# (`required-in`), \
                   `enum`, `pattern`, `rotate-every`, `owner`. `parity: presence` means that environments may have\n# different \
                   values; leave it out where they must be equal.\nkeys:\n"
        .to_owned();
    for line in lines {
        let mut parts = vec![format!("type: {}", types::name(line.kind))];
        if line.is_secret {
            parts.push("secret: true".to_owned());
        }
        parts.push("parity: presence".to_owned());
        if !line.comment.is_empty() {
            parts.push(format!("description: {}", Value::from(line.comment.join(" "))));
        }
        let _ = writeln!(out, "  {}: {{{}}}", line.key, parts.join(", "));
    }
    if lines.is_empty() {
        out.push_str("  {}\n");
    }
    out
}

fn base(lines: &[Line]) -> String {
    let mut out =
        "# Written by `engine env import`. An environment of its own begins with `extends: base`.\n".to_owned();
    let (secrets, values): (Vec<&Line>, Vec<&Line>) = lines.iter().partition(|line| line.is_secret);
    if !values.is_empty() {
        out.push_str("values:\n");
    }
    for line in values {
        let value = types::read(line.kind, &line.value).unwrap_or_else(|_| line.value.as_str().into());
        let _ = writeln!(out, "  {}: {value}", line.key);
    }
    if !secrets.is_empty() {
        out.push_str(
            "# To review: where each secret is. `engine schema environment` lists the sources.\nsecrets:\n",
        );
    }
    for line in &secrets {
        let _ = writeln!(out, "  {0}: {{from: {{env: {0}}}}}", line.key);
    }
    if lines.is_empty() {
        out.push_str("values: {}\n");
    }
    out
}
