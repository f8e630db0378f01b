//! The language as data: every key of every map, with its type, its words of documentation and an example.
//!
//! One set of static tables ([`tables`]) is read by four: the decoder checks trees by it, [`json_schema`] and
//! [`reference()`] print it, and the errors take their spellings from it. A key that is not in a table does not
//! exist.

mod json;
mod reference;
pub mod tables;

pub use json::{file_schema, json_schema, service_schema};
pub use reference::{environments, reference, services};

/// A map with known keys.
#[derive(Debug)]
pub struct Table {
    /// Its name in the reference and in the JSON Schema, `stage`.
    pub name: &'static str,
    /// One sentence: what it is.
    pub doc: &'static str,
    /// Its keys, in the order of the reference.
    pub keys: &'static [Key],
    /// What every other key is, when names of the user's own may stand beside the known keys.
    pub open: Option<Named>,
}

/// One key of a [`Table`].
#[derive(Debug)]
pub struct Key {
    /// The key as it is written.
    pub name: &'static str,
    /// What its value must be.
    pub shape: Shape,
    /// One line of documentation.
    pub doc: &'static str,
    /// A value, in YAML flow style.
    pub example: &'static str,
    /// What holds when the key is absent, in words or as a value.
    pub default: Option<&'static str>,
    /// Whether it must be written.
    pub required: bool,
    /// Whether an action file may have it (only asked at the top level).
    pub in_action_file: bool,
}

/// A map whose keys are the user's own names.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// What one entry is called in messages, `stage`.
    pub what: &'static str,
    /// What a name must look like.
    pub rule: NameRule,
    /// What each value must be.
    pub of: &'static Shape,
}

/// What a name of the user's must look like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameRule {
    /// `[a-z][a-z0-9_-]{0,63}`.
    Id,
    /// `[A-Za-z_][A-Za-z0-9_]*`, and not one of the engine's own.
    Env,
    /// `[A-Z_][A-Z0-9_]*`: a key of an environment.
    Key,
}

/// One word of a closed set.
#[derive(Debug)]
pub struct Choice {
    /// The word.
    pub word: &'static str,
    /// What it means.
    pub doc: &'static str,
}

/// What a value must be.
#[derive(Debug)]
pub enum Shape {
    /// The language version, a whole number.
    Version,
    /// Text, taken as it is; the words say what it is: `text`, `a regular expression`.
    Text(&'static str),
    /// Text that may hold `{{ … }}`.
    Template,
    /// A bare expression, or a boolean.
    Expression,
    /// The name of something else in the file; the words say of what.
    Id(&'static str),
    /// A name that is given here.
    Name,
    /// `true` or `false`.
    Bool,
    /// A whole number, or a template that gives one.
    Count {
        /// The least.
        min: u32,
        /// The most.
        max: u32,
    },
    /// A number of at least 1.
    Factor,
    /// A duration, or a template that gives one.
    Duration {
        /// Whether it may be zero.
        zero: bool,
    },
    /// Starts in a time, `200/s`, or a template that gives that.
    Rate,
    /// A number of items or a share of them, `3`, `1%`, or a template that gives that.
    Share,
    /// An exit code, 0 to 255.
    ExitCode,
    /// One word of a closed set.
    Word(&'static [Choice]),
    /// An environment variable's value: text, a whole number or a boolean.
    EnvValue,
    /// Anything.
    Any,
    /// A list.
    List {
        /// What each item must be.
        of: &'static Shape,
        /// Whether it may be empty.
        empty: bool,
    },
    /// A map with known keys.
    Map(&'static Table),
    /// A map with the user's names as keys.
    Named(Named),
    /// As [`Shape::Named`], or a list whose items carry the name as `id`.
    Stages(Named),
    /// The first of these that fits.
    Either(&'static [Shape]),
}

impl Table {
    /// The key called `name`.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

impl Key {
    /// A key that may be left out.
    pub const fn new(name: &'static str, shape: Shape, doc: &'static str, example: &'static str) -> Self {
        Self { name, shape, doc, example, default: None, required: false, in_action_file: false }
    }

    /// With what holds when it is absent.
    #[must_use]
    pub const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    /// That must be written.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// That an action file may have too.
    #[must_use]
    pub const fn in_action_file(mut self) -> Self {
        self.in_action_file = true;
        self
    }
}

impl Choice {
    /// A word and what it means.
    pub const fn new(word: &'static str, doc: &'static str) -> Self {
        Self { word, doc }
    }
}

impl Shape {
    /// As [`Shape::words`], with the bounds of a number.
    pub fn bounds(&self) -> String {
        match self {
            Self::Count { min, max } => format!("a whole number from {min} to {max}"),
            other => other.words(),
        }
    }

    /// The shape in words: `a duration`, `a list of ids`.
    pub fn words(&self) -> String {
        match self {
            Self::Version => "the number 1".to_owned(),
            Self::Text(what) | Self::Id(what) => (*what).to_owned(),
            Self::Template => "text".to_owned(),
            Self::Name => "a name".to_owned(),
            Self::Expression => "an expression".to_owned(),
            Self::Bool => "`true` or `false`".to_owned(),
            Self::Count { .. } => "a whole number".to_owned(),
            Self::Factor => "a number of at least 1".to_owned(),
            Self::Duration { .. } => "a duration".to_owned(),
            Self::Rate => "a rate (`200/s`)".to_owned(),
            Self::Share => "a whole number or a share (`1%`)".to_owned(),
            Self::ExitCode => "an exit code from 0 to 255".to_owned(),
            Self::Word(choices) => list_words(choices),
            Self::EnvValue => "text, a whole number or a boolean".to_owned(),
            Self::Any => "anything".to_owned(),
            Self::List { of, .. } => format!("a list ({} each)", of.words()),
            Self::Map(_) => "a map".to_owned(),
            Self::Named(named) => format!("a map of {} name to {}", named.what, named.of.words()),
            Self::Stages(named) => format!("a map of {} id to {}", named.what, named.of.words()),
            Self::Either(shapes) => shapes.iter().map(Self::words).collect::<Vec<_>>().join(", or "),
        }
    }
}

/// `` `a`, `b` or `c` ``.
fn list_words(choices: &[Choice]) -> String {
    let words: Vec<_> = choices.iter().map(|choice| format!("`{}`", choice.word)).collect();
    match words.split_last() {
        Some((last, head)) if !head.is_empty() => format!("{} or {last}", head.join(", ")),
        _ => words.concat(),
    }
}

#[cfg(test)]
mod tests;
