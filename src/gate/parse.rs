//! Probes from words.

use regex::Regex;

use super::Error;
use super::bound::{self, Bound, Limit};
use super::probe::{CommandProbe, Expect, FileProbe, From, Http, Log, Probe, Query, Want};
use super::reduce::Reducer;
use super::words::Words;
use crate::base::Span;

/// The kinds of probes, each with the key that holds its target in a gate of its own.
pub(super) const SOURCES: [(&str, &str); 6] = [
    ("http", "url"),
    ("tcp", "address"),
    ("command", "run"),
    ("file", "path"),
    ("prometheus", "url"),
    ("log", "path"),
];

/// The probe of a gate of this kind.
pub(super) fn of_gate(kind: &str, words: &mut Words) -> Result<Probe, Error> {
    let target = SOURCES.iter().find(|(known, _)| *known == kind).map_or("url", |(_, target)| target);
    probe(kind, target, words)
}

/// The probe of a metric: the kind is the key that has its target.
pub(super) fn of_metric(name: &str, words: &mut Words) -> Result<Probe, Error> {
    let kinds: Vec<&str> = SOURCES.iter().map(|(kind, _)| *kind).filter(|kind| words.has(kind)).collect();
    match kinds.as_slice() {
        [kind] => probe(kind, kind, words).map_err(|error| below(name, error)),
        [] => Err(Error::new(name, "has no source: `prometheus`, `http`, `file`, `command`, `log` or `tcp`")),
        _ => Err(Error::new(name, "has more than one source")),
    }
}

/// The fault of a key below `name`.
pub(super) fn below(name: &str, error: Error) -> Error {
    Error::new(format!("{name}.{}", error.key), error.why)
}

fn probe(kind: &str, target: &str, words: &mut Words) -> Result<Probe, Error> {
    match kind {
        "http" => http(target, words),
        "tcp" => tcp(target, words),
        "command" => command(target, words),
        "file" => file(target, words),
        "log" => log(target, words),
        _ => query(target, words),
    }
}

fn http(target: &str, words: &mut Words) -> Result<Probe, Error> {
    let mut expect = Expect {
        json: wants("expect.json", words)?,
        headers: wants("expect.headers", words)?,
        contains: words.text("expect.contains")?,
        identity: identity(words)?,
        ..Expect::default()
    };
    for text in words.list("expect.status") {
        let range = statuses(&text).ok_or_else(|| {
            Error::new("expect.status", format!("`{text}` is no status; write `200`, `2xx` or `200-299`"))
        })?;
        expect.status.push(range);
    }
    if expect.status.is_empty() {
        expect.status.push((200, 299));
    }
    Ok(Probe::Http(Box::new(Http {
        url: url(target, words)?,
        headers: headers(words)?,
        ca: words.text("ca")?,
        expect,
        value: pointer("value", words)?,
    })))
}

/// An address that we can ask.
fn url(target: &str, words: &mut Words) -> Result<String, Error> {
    let text = words.needed(target)?;
    let is_known = text.starts_with("http://") || text.starts_with("https://");
    if is_known { Ok(text) } else { Err(Error::new(target, "begins with `http://` or `https://`")) }
}

fn headers(words: &mut Words) -> Result<Vec<(String, String)>, Error> {
    let mut headers = Vec::new();
    for (name, values) in words.under("headers") {
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if !is_name || values.iter().any(|value| value.bytes().any(|byte| byte < b' ' && byte != b'\t')) {
            return Err(Error::new(format!("headers.{name}"), "is no header"));
        }
        headers.extend(values.into_iter().map(|value| (name.clone(), value)));
    }
    Ok(headers)
}

fn wants(prefix: &str, words: &mut Words) -> Result<Vec<(String, Want)>, Error> {
    let is_json = prefix.ends_with("json");
    let mut wants = Vec::new();
    for (key, values) in words.under(prefix) {
        if is_json && !(key.is_empty() || key.starts_with('/')) {
            return Err(Error::new(format!("{prefix}.{key}"), "a JSON pointer begins with `/`"));
        }
        for value in values {
            let want = Bound::parse(&value).map_or_else(|| Want::Is(value), Want::Bound);
            wants.push((key.clone(), want));
        }
    }
    Ok(wants)
}

fn identity(words: &mut Words) -> Result<Option<(From, String)>, Error> {
    let json = pointer("expect.identity.json", words)?.map(From::Json);
    let header = words.text("expect.identity.header")?.map(From::Header);
    let is = words.text("expect.identity.is")?;
    match (json, header, is) {
        (None, None, None) => Ok(None),
        (Some(place), None, Some(is)) | (None, Some(place), Some(is)) => Ok(Some((place, is))),
        _ => Err(Error::new("expect.identity", "has `is`, and one of `json` and `header`")),
    }
}

fn pointer(key: &str, words: &mut Words) -> Result<Option<String>, Error> {
    words.of(key, "a JSON pointer, like `/queue/depth`", |text| {
        (text.is_empty() || text.starts_with('/')).then(|| text.to_owned())
    })
}

/// `200`, `2xx`, `200-299`.
fn statuses(text: &str) -> Option<(u16, u16)> {
    let code = |text: &str| text.parse::<u16>().ok().filter(|code| (100..=599).contains(code));
    if let Some(class) = text.strip_suffix("xx") {
        let first = class.parse::<u16>().ok().filter(|class| (1..=5).contains(class))? * 100;
        return Some((first, first + 99));
    }
    let (from, to) = match text.split_once('-') {
        Some((from, to)) => (code(from)?, code(to)?),
        None => (code(text)?, code(text)?),
    };
    (from <= to).then_some((from, to))
}

fn tcp(target: &str, words: &mut Words) -> Result<Probe, Error> {
    let address = words.needed(target)?;
    let port =
        address.rsplit_once(':').and_then(|(host, port)| port.parse::<u16>().ok().filter(|_| !host.is_empty()));
    if port.is_none_or(|port| port == 0) {
        return Err(Error::new(target, format!("`{address}` is not `host:port`")));
    }
    Ok(Probe::Tcp(address))
}

fn command(target: &str, words: &mut Words) -> Result<Probe, Error> {
    let run = words.list(target);
    if run.first().is_none_or(String::is_empty) {
        return Err(Error::new(target, "is a list of words"));
    }
    let mut exit = Vec::new();
    for text in words.list("expect.exit") {
        let code =
            text.parse::<u8>().map_err(|_| Error::new("expect.exit", format!("`{text}` is no exit code")))?;
        exit.push(i32::from(code));
    }
    if exit.is_empty() {
        exit.push(0);
    }
    Ok(Probe::Command(Box::new(CommandProbe { run, exit, value: pointer("value", words)? })))
}

fn file(target: &str, words: &mut Words) -> Result<Probe, Error> {
    let probe = FileProbe {
        path: words.needed(target)?,
        absent: words.flag("expect.absent")?.unwrap_or(false),
        contains: words.text("expect.contains")?,
        json: wants("expect.json", words)?,
        max_age: words.span("max-age")?,
        value: pointer("value", words)?,
    };
    if probe.absent && (probe.contains.is_some() || !probe.json.is_empty() || probe.value.is_some()) {
        return Err(Error::new("expect.absent", "what is not there has no content"));
    }
    Ok(Probe::File(Box::new(probe)))
}

fn log(target: &str, words: &mut Words) -> Result<Probe, Error> {
    let text = words.needed("match")?;
    let pattern = Regex::new(&text).map_err(|error| Error::new("match", error.to_string()))?;
    let from_start = words.flag("from-start")?.unwrap_or(false);
    Ok(Probe::Log(Box::new(Log { path: words.needed(target)?, pattern, from_start })))
}

fn query(target: &str, words: &mut Words) -> Result<Probe, Error> {
    let (range, step) = (words.span("range")?, words.span("step")?);
    let range = match range {
        Some(range) => {
            let step = step.unwrap_or(Span::from_secs(15));
            let reducer = self::reduce("range-reduce", words)?.unwrap_or(Reducer::Avg);
            Some((range, step, reducer))
        }
        None if step.is_some() => return Err(Error::new("step", "belongs to a `range`")),
        None => None,
    };
    Ok(Probe::Prometheus(Box::new(Query {
        url: url(target, words)?.trim_end_matches('/').to_owned(),
        query: words.needed("query")?,
        range,
        headers: headers(words)?,
        ca: words.text("ca")?,
    })))
}

/// A reducer.
pub(super) fn reduce(key: &str, words: &mut Words) -> Result<Option<Reducer>, Error> {
    let known: Vec<&str> = super::reduce::WORDS.iter().map(|(word, _)| *word).collect();
    words.of(key, &format!("one of {}", known.join(", ")), Reducer::parse)
}

/// A bound with what is made of a fault that was there before.
pub(super) fn limit(words: &mut Words) -> Result<Option<Limit>, Error> {
    let bound = words.of("pass", "a bound, like `< 250` or `>= 99%`", Bound::parse)?;
    let before = words.of("before", "a number", |text| {
        if text.is_empty() { Some(None) } else { bound::number(text).map(Some) }
    })?;
    let ticket = words.text("ticket")?;
    let has_ticket = ticket.as_ref().is_some_and(|ticket| !ticket.trim().is_empty());
    let tolerates = words.of("preexisting", "`block`, `tolerate` or `need-ticket`", |word| match word {
        "block" => Some(false),
        "tolerate" => Some(true),
        "need-ticket" => Some(has_ticket),
        _ => None,
    })?;
    let ratio = words.number("worsen-ratio")?;
    if ratio.is_some_and(|ratio| ratio < 1.0) {
        return Err(Error::new("worsen-ratio", "is at least 1"));
    }
    let Some(bound) = bound else {
        let is_alone = before.is_some() || tolerates.is_some() || ratio.is_some() || ticket.is_some();
        return if is_alone { Err(Error::new("pass", "is missing")) } else { Ok(None) };
    };
    if tolerates == Some(true) && before.is_none() {
        return Err(Error::new("preexisting", "needs `before`: what the value was before the deploy"));
    }
    let tolerance = tolerates.unwrap_or(false).then_some(ratio.unwrap_or(1.0));
    Ok(Some(Limit { bound, before: before.flatten(), tolerance }))
}
