//! Whole files from templates: every tag of minijinja, strict, with a fuel limit, and secrets that are written out or
//! not at all.
//!
//! A template sees each key of its environment by its name (`{{ PORT }}`), all of them as `env`, and the
//! environment's name as `environment`. No file name ever switches escaping on; the filters `dotenv shell json yaml
//! toml` say how a value is quoted. Other templates are included by their path below `templates/`.
//!
//! A secret is an opaque value: it can be written out, whole, with or without one of those filters. What is rendered
//! carries a mark in its place, and the sealed and the redacted text come from that one pass. Whatever else a template
//! does with a secret (joining, comparing, measuring it) is an error.

mod decides;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::sync::Arc;

use minijinja::value::{Kwargs, Object, ObjectRepr, StringInput};
use minijinja::{AutoEscape, Environment, ErrorKind, Output, State, UndefinedBehavior};

use super::engine::{add_filters, add_tests, bounded, export};
use super::quote::{FORMS, Form};
use super::scope::Tree;
use super::secret::{HIDDEN, Secret};
use super::{Value, lex};
use crate::base::limits::{FILE_FUEL, MAX_RENDERED_BYTES, MAX_TEMPLATE_DEPTH};

/// Stands before and after the number of a secret in what is rendered.
const MARK: char = '\u{1}';
/// Stands round the name of a secret that was used for something else.
const MISUSED: char = '\u{2}';

/// What a key means to a template.
#[derive(Clone, Debug)]
pub enum Bound {
    /// A value.
    Plain(Value),
    /// A secret.
    Secret(Arc<Secret>),
}

/// All that templates of one environment see; made once, shared by all of them.
#[derive(Debug)]
pub struct Bindings {
    context: minijinja::Value,
    secrets: Vec<(Arc<str>, Arc<Secret>)>,
    /// Everything but the secrets.
    values: Vec<(String, minijinja::Value)>,
    environment: String,
}

impl Bindings {
    /// For the environment called `environment`.
    pub fn new(environment: &str, keys: &BTreeMap<String, Bound>) -> Self {
        let mut secrets = Vec::new();
        let mut values = Vec::with_capacity(keys.len());
        for (key, bound) in keys {
            let value = match bound {
                Bound::Plain(value) => Tree::new(value).into_inner(),
                Bound::Secret(secret) => {
                    let name: Arc<str> = key.as_str().into();
                    secrets.push((name.clone(), secret.clone()));
                    minijinja::Value::from_object(Hidden { name, at: secrets.len() - 1, form: Form::Plain })
                }
            };
            values.push((key.clone(), value));
        }
        let context = context(environment, &values);
        values.retain(|(key, _)| !secrets.iter().any(|(name, _)| **name == **key));
        Self { context, secrets, values, environment: environment.to_owned() }
    }

    /// What templates would see if secrets were texts like all others.
    fn open_context(&self) -> minijinja::Value {
        let secrets = self.secrets.iter().map(|(name, secret)| {
            let bytes = || minijinja::Value::from_bytes(secret.expose().to_vec());
            (name.to_string(), secret.expose_text().map_or_else(bytes, minijinja::Value::from))
        });
        let mut values: Vec<(String, minijinja::Value)> = self.values.iter().cloned().chain(secrets).collect();
        values.sort_by(|one, other| one.0.cmp(&other.0));
        context(&self.environment, &values)
    }

    /// The text that a mark stands for.
    fn reveal(&self, at: usize, form: Form) -> Result<String, String> {
        let (name, secret) = self.secrets.get(at).ok_or("a mark that is none of ours")?;
        let text = secret.expose_text().ok_or_else(|| format!("the secret `{name}` is not text"))?;
        form.of(&Value::from(text)).map_err(|what| format!("the secret `{name}` is {what}"))
    }
}

/// All names of a template.
fn context(environment: &str, values: &[(String, minijinja::Value)]) -> minijinja::Value {
    let env = minijinja::Value::from_pairs(values.iter().cloned());
    let more = [("env".to_owned(), env), ("environment".to_owned(), minijinja::Value::from(environment))];
    minijinja::Value::from_pairs(values.iter().cloned().chain(more))
}

/// A secret as templates see it.
#[derive(Debug)]
struct Hidden {
    name: Arc<str>,
    at: usize,
    form: Form,
}

impl Object for Hidden {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    /// Reached only when a secret is made into text by something else than the formatter below.
    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MISUSED}{}{MISUSED}", self.name)
    }
}

/// What came of a template.
#[derive(Debug)]
pub struct Rendered {
    /// The whole text.
    pub sealed: Secret,
    /// The same with `***` for every secret.
    pub redacted: String,
    /// The secrets that were written out, sorted.
    pub secrets: Vec<String>,
}

/// Why a template gave nothing. It never quotes a value.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct FileError {
    /// Which kind.
    pub kind: FileFault,
    /// The template it is in: the one asked for, or one that it includes.
    pub template: String,
    /// Which bytes of that template.
    pub range: Option<std::ops::Range<usize>>,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
}

/// Kinds of [`FileError`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileFault {
    /// A name, filter or test that is not there.
    Undefined,
    /// A template that cannot be read as one.
    Syntax,
    /// A template that cannot be loaded, or includes itself.
    Include,
    /// More work or more text than the limits allow.
    TooMuch,
    /// A secret that is used for something else than writing it out.
    Misuse,
    /// Anything else: a value of the wrong kind.
    Value,
}

/// Renders templates. It may be shared by threads.
pub struct Renderer {
    engine: Environment<'static>,
}

impl fmt::Debug for Renderer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Renderer")
    }
}

impl Renderer {
    /// `load` gives the text of a template by its path below `templates/`.
    pub fn new(load: impl Fn(&str) -> Result<String, String> + Send + Sync + 'static) -> Self {
        let mut engine = Environment::empty();
        engine.set_undefined_behavior(UndefinedBehavior::Strict);
        engine.set_fuel(Some(FILE_FUEL));
        engine.set_recursion_limit(MAX_TEMPLATE_DEPTH);
        engine.set_debug(true);
        engine.set_auto_escape_callback(|_| AutoEscape::None);
        engine.set_formatter(write_value);
        engine.set_path_join_callback(|name, parent| join(name, parent).into());
        engine.set_loader(move |name| {
            let text = load(name).map_err(|why| minijinja::Error::new(ErrorKind::BadInclude, why))?;
            match foreign(&text) {
                None => Ok(Some(text)),
                Some((_, why)) => Err(minijinja::Error::new(ErrorKind::SyntaxError, format!("`{name}` {why}"))),
            }
        });
        add_filters(&mut engine);
        add_tests(&mut engine);
        engine.add_filter("items", minijinja::filters::items);
        engine.add_filter("dictsort", minijinja::filters::dictsort);
        engine.add_filter("indent", indent);
        engine.add_function("range", minijinja::functions::range);
        for (name, form) in FORMS {
            engine.add_filter(name, move |value: &minijinja::Value| quoted(value, form));
        }
        Self { engine }
    }

    /// Renders the template `name`, whose text is `text`.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn render(&self, name: &str, text: &str, bindings: &Bindings) -> Result<Rendered, FileError> {
        if let Some((range, why)) = foreign(text) {
            return Err(FileError {
                kind: FileFault::Syntax,
                template: name.to_owned(),
                range: Some(range),
                message: format!("the template {why}"),
                help: Some("save it as UTF-8 text whose lines end with a newline only".to_owned()),
            });
        }
        if !bindings.secrets.is_empty() {
            compares(name, text, bindings)?;
        }
        let fault = |error: minijinja::Error| translate(&error, name);
        let template = self.engine.template_from_named_str(name, text).map_err(fault)?;
        let mut out = Bounded(Vec::with_capacity(text.len() + text.len() / 4));
        template.render_captured_to(bindings.context.clone(), &mut out).map_err(fault)?;
        let marked = String::from_utf8(out.0).expect("templates and values are UTF-8");
        let rendered = seal(&marked, name, bindings)?;
        if !bindings.secrets.is_empty() && !decides::is_straight(text) {
            decides::openly((name, text), &template, bindings, &rendered)?;
        }
        Ok(rendered)
    }
}

/// Text with a bound.
struct Bounded(Vec<u8>);

/// What a template that writes too much is told by.
const TOO_LONG: &str = "what it renders is too long";

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_RENDERED_BYTES {
            return Err(std::io::Error::other(TOO_LONG));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Writes one `{{ … }}`: a mark for a secret, the text form of anything else.
fn write_value(out: &mut Output, _: &mut State, value: &minijinja::Value) -> Result<(), minijinja::Error> {
    if let Some(text) = value.as_str() {
        return out.write_str(text).map_err(|_| full());
    }
    if let Some(hidden) = value.downcast_object_ref::<Hidden>() {
        let form = FORMS.iter().position(|(_, form)| *form == hidden.form).map_or(0, |at| at + 1);
        return write!(out, "{MARK}{},{form}{MARK}", hidden.at).map_err(|_| full());
    }
    let refuse =
        |what: &str| minijinja::Error::new(ErrorKind::InvalidOperation, format!("{what} has no form inside text"));
    if value.is_undefined() {
        return Err(ErrorKind::UndefinedError.into());
    }
    let plain = export(value, 0).map_err(refuse)?;
    let text = Form::Plain.of(&plain).map_err(|what| refuse(&what))?;
    out.write_str(&text).map_err(|_| full())
}

fn full() -> minijinja::Error {
    minijinja::Error::new(ErrorKind::WriteFailure, TOO_LONG)
}

/// A value in another language's form; a secret stays one.
fn quoted(value: &minijinja::Value, form: Form) -> Result<minijinja::Value, minijinja::Error> {
    let refuse = |what: String| minijinja::Error::new(ErrorKind::InvalidOperation, what);
    if let Some(hidden) = value.downcast_object_ref::<Hidden>() {
        if hidden.form != Form::Plain {
            return Err(refuse(format!("the secret `{}` is quoted twice", hidden.name)));
        }
        let hidden = Hidden { name: hidden.name.clone(), at: hidden.at, form };
        return Ok(minijinja::Value::from_object(hidden));
    }
    if value.is_undefined() {
        return Err(ErrorKind::UndefinedError.into());
    }
    let plain = export(value, 0).map_err(|what| refuse(format!("{what} has no form here")))?;
    form.of(&plain).map(minijinja::Value::from).map_err(|what| refuse(format!("{what} has no form here")))
}

/// `x | indent(4)`, bounded.
fn indent(
    text: StringInput<'_>,
    width: Option<usize>,
    first: Option<bool>,
    blank: Option<bool>,
    more: Kwargs,
) -> Result<minijinja::Value, minijinja::Error> {
    let wide = match width {
        Some(width) => width,
        None => more.get::<Option<usize>>("width")?.unwrap_or_default(),
    };
    let lines = text.as_str().lines().count().saturating_add(1);
    bounded(lines.saturating_mul(wide).saturating_add(text.as_str().len()))?;
    minijinja::filters::indent(text, width, first, blank, more)
}

/// What an `include` means: below `templates/`, or beside the file that says it when it begins with a dot.
fn join(name: &str, parent: &str) -> String {
    if !name.starts_with("./") && !name.starts_with("../") {
        return name.to_owned();
    }
    let mut parts: Vec<&str> = parent.split('/').collect();
    parts.pop();
    for part in name.split('/') {
        match part {
            "." | "" => {}
            // Climbing out of the folder stays in the name, so that the loader can refuse it by what was meant.
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            other => parts.push(other),
        }
    }
    parts.join("/")
}

/// A character that no template may have, and what it is.
fn foreign(text: &str) -> Option<(std::ops::Range<usize>, String)> {
    if text.starts_with('\u{feff}') {
        return Some((0..3, "begins with a byte order mark, which would be written into the file".to_owned()));
    }
    let at = text.bytes().position(|c| (c < b' ' && !matches!(c, b'\t' | b'\n')) || c == 0x7f)?;
    let what = match text.as_bytes()[at] {
        0 => "contains a NUL".to_owned(),
        b'\r' => "has a line that ends with a carriage return".to_owned(),
        byte => format!("contains the control character U+{byte:04X}"),
    };
    Some((at..at + 1, what))
}

/// The texts that come of a marked one.
fn seal(marked: &str, name: &str, bindings: &Bindings) -> Result<Rendered, FileError> {
    let fault = |kind, message: String, help: Option<&str>| FileError {
        kind,
        template: name.to_owned(),
        range: None,
        message,
        help: help.map(str::to_owned),
    };
    if let Some(at) = marked.find(MISUSED) {
        let rest = &marked[at + MISUSED.len_utf8()..];
        let secret = rest.split(MISUSED).next().unwrap_or_default();
        let help = format!("write it out whole, `{{{{ {secret} }}}}` or `{{{{ {secret} | dotenv }}}}`");
        let message = format!("the secret `{secret}` is used for something else than writing it out");
        return Err(fault(FileFault::Misuse, message, Some(&help)));
    }
    let (mut sealed, mut redacted) = (String::with_capacity(marked.len()), String::new());
    let mut used = Vec::new();
    let mut parts = marked.split(MARK);
    sealed.push_str(parts.next().unwrap_or_default());
    redacted.push_str(&sealed);
    while let (Some(mark), Some(text)) = (parts.next(), parts.next()) {
        let number = |part: &str| part.parse::<usize>().ok();
        let (at, form) =
            mark.split_once(',').and_then(|(at, form)| number(at).zip(number(form))).unwrap_or((usize::MAX, 0));
        let form = form.checked_sub(1).and_then(|at| FORMS.get(at)).map_or(Form::Plain, |(_, form)| *form);
        sealed.push_str(&bindings.reveal(at, form).map_err(|why| fault(FileFault::Value, why, None))?);
        used.push(at);
        redacted.push_str(HIDDEN);
        sealed.push_str(text);
        redacted.push_str(text);
    }
    used.sort_unstable();
    used.dedup();
    let secrets = used.into_iter().map(|at| bindings.secrets[at].0.to_string()).collect();
    Ok(Rendered { sealed: Secret::new(sealed.into_bytes()), redacted, secrets })
}

/// Refuses a comparison with a secret, whose answer would be silently wrong.
fn compares(name: &str, text: &str, bindings: &Bindings) -> Result<(), FileError> {
    let mut from = 0;
    while let Some(at) = text[from..].find('{').map(|at| from + at) {
        from = at + 2;
        let end = match text.as_bytes().get(at + 1) {
            Some(b'{') => lex::end_of_expression(text, from),
            Some(b'%') => lex::end_of_statement(text, from),
            _ => {
                from = at + 1;
                continue;
            }
        };
        // A tag that is never closed is told by the compiler.
        let Some(end) = end else { return Ok(()) };
        if let Some((secret, range)) = compared(&text[from..end], bindings) {
            return Err(FileError {
                kind: FileFault::Misuse,
                template: name.to_owned(),
                range: Some(from + range.start..from + range.end),
                message: format!("the secret `{secret}` is compared with something"),
                help: Some("let a key that is no secret decide".to_owned()),
            });
        }
        from = end;
    }
    Ok(())
}

/// The secret that is an operand of a comparison in `tag`, and where it stands.
fn compared(tag: &str, bindings: &Bindings) -> Option<(Arc<str>, std::ops::Range<usize>)> {
    let tokens = lex::tokens(tag);
    let is_comparison = |place: Option<usize>| {
        let word = place.and_then(|place| tokens.get(place)).map(|token| token.text(tag));
        word.is_some_and(|word| matches!(word, "==" | "!=" | "<" | ">" | "<=" | ">=" | "in"))
    };
    tokens.iter().enumerate().find_map(|(place, token)| {
        let (secret, _) = bindings.secrets.iter().find(|(secret, _)| **secret == *token.text(tag))?;
        let is_operand = is_comparison(place.checked_sub(1)) || is_comparison(Some(place + 1));
        is_operand.then(|| (secret.clone(), token.range.clone()))
    })
}

/// minijinja's error in our words, at the innermost template that it comes from.
fn translate(error: &minijinja::Error, asked: &str) -> FileError {
    let mut inner = error;
    while let Some(source) = std::error::Error::source(inner).and_then(|it| it.downcast_ref::<minijinja::Error>())
    {
        inner = source;
    }
    let template = inner.name().or_else(|| error.name()).unwrap_or(asked).to_owned();
    let range = inner.range().or_else(|| error.range()).filter(|range| range.start < range.end);
    let written = inner.template_source().zip(range.clone()).and_then(|(text, range)| text.get(range));
    let written = written.map(|text| text.trim().trim_matches(['{', '}', '%', '-']).trim());
    let detail = || inner.detail().map_or_else(|| inner.kind().to_string(), str::to_owned);
    let (kind, message) = match inner.kind() {
        ErrorKind::UndefinedError => {
            let name = written
                .filter(|text| !text.is_empty())
                .map_or_else(|| "a value".to_owned(), |text| format!("`{text}`"));
            (FileFault::Undefined, format!("{name} is not defined"))
        }
        ErrorKind::UnknownFilter
        | ErrorKind::UnknownTest
        | ErrorKind::UnknownFunction
        | ErrorKind::UnknownMethod => (FileFault::Undefined, detail()),
        ErrorKind::SyntaxError => (FileFault::Syntax, format!("not a template: {}", detail())),
        ErrorKind::TemplateNotFound | ErrorKind::BadInclude => {
            (FileFault::Include, format!("an include: {}", detail()))
        }
        ErrorKind::OutOfFuel => (
            FileFault::TooMuch,
            format!("the template takes more than {FILE_FUEL} steps (FILE_FUEL): does it loop for ever?"),
        ),
        ErrorKind::WriteFailure => {
            (FileFault::TooMuch, format!("{TOO_LONG}: more than {MAX_RENDERED_BYTES} bytes (MAX_RENDERED_BYTES)"))
        }
        _ if detail().contains("recursion limit") || detail().starts_with("cycle in template inheritance") => {
            (FileFault::Include, "templates, blocks or loops lead into each other in a circle".to_owned())
        }
        _ => (FileFault::Value, detail()),
    };
    FileError { kind, template, range, message, help: None }
}

#[cfg(test)]
mod tests;
