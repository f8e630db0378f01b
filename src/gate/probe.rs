//! What is asked, and what an answer counts as. Asking is the executor's.

use regex::Regex;
use serde_json::Value;

use super::bound::Bound;
use super::reduce::Reducer;
use super::sample::Seen;
use crate::base::Span;

/// One question to the outside.
#[derive(Clone, Debug)]
pub enum Probe {
    /// A request over HTTP.
    Http(Box<Http>),
    /// Whether something listens there: `host:port`.
    Tcp(String),
    /// A file.
    File(Box<FileProbe>),
    /// A process.
    Command(Box<CommandProbe>),
    /// A query.
    Prometheus(Box<Query>),
    /// Lines of a growing file.
    Log(Box<Log>),
}

/// A request over HTTP.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Http {
    /// Where.
    pub url: String,
    /// Headers that are sent.
    pub headers: Vec<(String, String)>,
    /// A file of certificates to trust instead of the built-in ones.
    pub ca: Option<String>,
    /// What has to come back.
    pub expect: Expect,
    /// A JSON pointer to the number that is measured; without it the answer is only good or bad.
    pub value: Option<String>,
}

/// What an answer has to be.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Expect {
    /// Ranges of status codes.
    pub status: Vec<(u16, u16)>,
    /// JSON pointers into the body.
    pub json: Vec<(String, Want)>,
    /// Headers.
    pub headers: Vec<(String, Want)>,
    /// A text that is somewhere in the body.
    pub contains: Option<String>,
    /// Which version has to answer, and where it says so.
    pub identity: Option<(From, String)>,
}

/// Where an answer says who it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum From {
    /// A JSON pointer.
    Json(String),
    /// A header.
    Header(String),
}

/// What a value has to be.
#[derive(Clone, PartialEq, Debug)]
pub enum Want {
    /// This text; a number or a boolean as JSON writes it.
    Is(String),
    /// A number within this bound.
    Bound(Bound),
}

/// A file.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct FileProbe {
    /// Where.
    pub path: String,
    /// It must not be there.
    pub absent: bool,
    /// A text in it.
    pub contains: Option<String>,
    /// JSON pointers into it.
    pub json: Vec<(String, Want)>,
    /// It was written no longer ago than this.
    pub max_age: Option<Span>,
    /// A JSON pointer to the number that is measured; the empty one is the whole file.
    pub value: Option<String>,
}

/// A process.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CommandProbe {
    /// Its words.
    pub run: Vec<String>,
    /// Exit codes that are good.
    pub exit: Vec<i32>,
    /// Its standard output has the number that is measured: a JSON pointer, the empty one for all of it.
    pub value: Option<String>,
}

/// A query to Prometheus.
#[derive(Clone, PartialEq, Debug)]
pub struct Query {
    /// The server.
    pub url: String,
    /// The expression.
    pub query: String,
    /// Looks back so far, with a point every so often, and makes one number of it. The server's clock is the only one
    /// that counts: the expression becomes a subquery, so no time is sent.
    pub range: Option<(Span, Span, Reducer)>,
    /// Headers that are sent.
    pub headers: Vec<(String, String)>,
    /// A file of certificates to trust.
    pub ca: Option<String>,
}

/// Lines of a growing file.
#[derive(Clone, Debug)]
pub struct Log {
    /// Where.
    pub path: String,
    /// What a line must match to count.
    pub pattern: Regex,
    /// Counts what was there before, too.
    pub from_start: bool,
}

/// An answer over HTTP.
#[derive(Clone, Debug, Default)]
pub struct Reply<'a> {
    /// Its status.
    pub status: u16,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// As much of its body as was read.
    pub body: &'a [u8],
    /// Whether there was more.
    pub is_cut: bool,
}

impl Http {
    /// Whether the body has to be read.
    pub fn wants_body(&self) -> bool {
        let expect = &self.expect;
        let is_told_in_json = matches!(expect.identity, Some((From::Json(_), _)));
        !expect.json.is_empty() || expect.contains.is_some() || self.value.is_some() || is_told_in_json
    }

    /// What `reply` counts as.
    pub fn judge(&self, reply: &Reply<'_>) -> Seen {
        match self.fault(reply) {
            Err(why) if self.value.is_some() => Seen::NoData(why),
            Err(why) => Seen::Bad(why),
            Ok(()) => match &self.value {
                None => Seen::Good(format!("status {}", reply.status)),
                Some(pointer) => match json(reply.body) {
                    Ok(json) => number_at(&json, pointer),
                    Err(why) => Seen::NoData(why),
                },
            },
        }
    }

    fn fault(&self, reply: &Reply<'_>) -> Result<(), String> {
        let (expect, status) = (&self.expect, reply.status);
        if !expect.status.iter().any(|&(from, to)| (from..=to).contains(&status)) {
            let header = |name: &str| reply.headers.iter().find(|(known, _)| known == name);
            let place = header("location").filter(|_| (300..400).contains(&status));
            return Err(match place {
                Some((_, to)) => format!("status {status}: redirects to `{to}`, which is not followed"),
                None => format!("status {status}"),
            });
        }
        let header = |name: &str| {
            let found = reply.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.as_str()).ok_or_else(|| format!("there is no header `{name}`"))
        };
        for (name, want) in &expect.headers {
            want.check(&format!("header `{name}`"), &Value::from(header(name)?))?;
        }
        if let Some((From::Header(name), wanted)) = &expect.identity {
            is_served_by(header(name)?, wanted)?;
        }
        if !self.wants_body() {
            return Ok(());
        }
        if reply.is_cut {
            return Err(format!("the body is longer than {} bytes", reply.body.len()));
        }
        if let Some(text) = &expect.contains
            && !String::from_utf8_lossy(reply.body).contains(text.as_str())
        {
            return Err(format!("the body does not contain `{text}`"));
        }
        let told = match &expect.identity {
            Some((From::Json(pointer), wanted)) => Some((pointer, wanted)),
            _ => None,
        };
        if expect.json.is_empty() && told.is_none() {
            return Ok(());
        }
        let body = json(reply.body)?;
        check_json(&body, &expect.json)?;
        match told {
            Some((pointer, wanted)) => is_served_by(&text_at(&body, pointer)?, wanted),
            None => Ok(()),
        }
    }
}

fn is_served_by(found: &str, wanted: &str) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("served by `{found}`, not by `{wanted}`")) }
}

impl FileProbe {
    /// What a file with `bytes`, written `age` ago, counts as.
    pub fn judge(&self, bytes: &[u8], age: Span) -> Seen {
        match self.fault(bytes, age) {
            Err(why) if self.value.is_some() => Seen::NoData(why),
            Err(why) => Seen::Bad(why),
            Ok(()) => match &self.value {
                None => Seen::Good(format!("{} bytes", bytes.len())),
                Some(pointer) => measured(bytes, pointer),
            },
        }
    }

    fn fault(&self, bytes: &[u8], age: Span) -> Result<(), String> {
        if self.absent {
            return Err(format!("`{}` is there", self.path));
        }
        if let Some(most) = self.max_age.filter(|&most| age > most) {
            return Err(format!("`{}` was written {age} ago, more than {most}", self.path));
        }
        if let Some(text) = &self.contains
            && !String::from_utf8_lossy(bytes).contains(text.as_str())
        {
            return Err(format!("`{}` does not contain `{text}`", self.path));
        }
        if self.json.is_empty() { Ok(()) } else { check_json(&json(bytes)?, &self.json) }
    }
}

/// The number that `pointer` names in a text: the whole text when it is empty.
pub fn measured(bytes: &[u8], pointer: &str) -> Seen {
    if !pointer.is_empty() {
        return match json(bytes) {
            Ok(json) => number_at(&json, pointer),
            Err(why) => Seen::NoData(why),
        };
    }
    let text = String::from_utf8_lossy(bytes);
    match text.trim().parse() {
        Ok(value) => Seen::value(value),
        Err(_) => Seen::NoData("the text is no number".to_owned()),
    }
}

impl Want {
    fn check(&self, what: &str, found: &Value) -> Result<(), String> {
        let is_so = match self {
            Self::Is(wanted) => text_of(found) == *wanted,
            Self::Bound(bound) => number_of(found).is_some_and(|number| bound.holds(number)),
        };
        let wanted = match self {
            Self::Is(wanted) => format!("`{wanted}`"),
            Self::Bound(bound) => bound.to_string(),
        };
        if is_so { Ok(()) } else { Err(format!("{what} is `{}`, not {wanted}", shortened(&text_of(found)))) }
    }
}

fn check_json(body: &Value, wants: &[(String, Want)]) -> Result<(), String> {
    for (pointer, want) in wants {
        let found = body.pointer(pointer).ok_or_else(|| format!("there is nothing at `{pointer}`"))?;
        want.check(&format!("`{pointer}`"), found)?;
    }
    Ok(())
}

fn text_at(body: &Value, pointer: &str) -> Result<String, String> {
    body.pointer(pointer).map(text_of).ok_or_else(|| format!("there is nothing at `{pointer}`"))
}

fn number_at(body: &Value, pointer: &str) -> Seen {
    match body.pointer(pointer) {
        None => Seen::NoData(format!("there is nothing at `{pointer}`")),
        Some(found) => match number_of(found) {
            Some(value) => Seen::value(value),
            None => Seen::NoData(format!("`{pointer}` is no number")),
        },
    }
}

fn json(bytes: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(bytes).map_err(|error| match beginning(bytes) {
        // A page of somebody else's says more by its first words than by where JSON would have ended.
        Some(text) if !text.starts_with(['{', '[']) => format!("it is not JSON, it begins with `{text}`"),
        Some(_) => format!("it is not JSON: {error}"),
        None => "it is not JSON, it is empty".to_owned(),
    })
}

/// The first words of a text, in one line; none of an empty one.
fn beginning(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(256)]);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    let plain: String = line.chars().map(|c| if c.is_control() { '?' } else { c }).take(40).collect();
    Some(if line.chars().nth(40).is_some() { format!("{plain}…") } else { plain })
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn number_of(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

impl Query {
    /// The expression that is sent.
    pub fn expression(&self) -> String {
        match self.range {
            Some((range, step, _)) => format!("({})[{}ms:{}ms]", self.query, range.ms(), step.ms()),
            None => self.query.clone(),
        }
    }

    /// What an answer of the server counts as.
    pub fn judge(&self, reply: &Reply<'_>) -> Seen {
        if reply.is_cut {
            return Seen::Error(format!("the answer is longer than {} bytes", reply.body.len()));
        }
        let body = match json(reply.body) {
            Ok(body) => body,
            Err(why) => {
                return Seen::Error(format!("status {}, and no answer of Prometheus: {why}", reply.status));
            }
        };
        if body["status"] != "success" {
            let why = body["error"].as_str().unwrap_or("it does not say why");
            return Seen::Error(format!("the query was refused: {why}"));
        }
        let result = &body["data"]["result"];
        match body["data"]["resultType"].as_str() {
            Some("scalar") => point(result),
            Some("vector") => one_of(result).map_or_else(|seen| seen, |series| point(&series["value"])),
            Some("matrix") => one_of(result).map_or_else(|seen| seen, |series| self.reduced(&series["values"])),
            _ => Seen::Error("the answer is no number: write a query that gives one".to_owned()),
        }
    }

    fn reduced(&self, values: &Value) -> Seen {
        let Some((_, _, reducer)) = self.range else {
            return Seen::Error("the query gives a range: add `range` and `reduce`".to_owned());
        };
        let mut points = Vec::new();
        for entry in values.as_array().into_iter().flatten() {
            if let (Some(at), Some(value)) = (entry[0].as_f64(), point(entry).number()) {
                points.push((millis(at), value));
            }
        }
        match reducer.over(&points) {
            Some(value) => Seen::value(value),
            None => Seen::NoData(format!("{} points are too few for `{reducer}`", points.len())),
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds since 1970 fit")]
fn millis(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1000.0) as u64
}

/// The only series of an answer.
fn one_of(result: &Value) -> Result<&Value, Seen> {
    match result.as_array().map(Vec::as_slice) {
        Some([one]) => Ok(one),
        Some([]) | None => Err(Seen::NoData("the query finds nothing: is the metric's name right?".to_owned())),
        Some(more) => {
            Err(Seen::Error(format!("the query gives {} series: make one of them, as with `sum(…)`", more.len())))
        }
    }
}

/// The value of `[time, "value"]`.
fn point(pair: &Value) -> Seen {
    match pair[1].as_str().map(str::parse::<f64>) {
        Some(Ok(value)) => Seen::value(value),
        _ => Seen::NoData("the answer holds no number".to_owned()),
    }
}
