//! The spanned tree that YAML and TOML both become.

use super::source::Place;
use crate::base::Text;

/// A value with its place. For a map or list without text of its own the place is its first token.
#[derive(Clone, PartialEq, Debug)]
pub struct Tree {
    /// Where the value stands; for a string, with its quotes.
    pub at: Place,
    /// The value.
    pub kind: Kind,
}

/// What a value is.
#[derive(Clone, PartialEq, Debug)]
pub enum Kind {
    /// `null`, `~`, or nothing at all.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction or exponent, `.inf`, `.nan`.
    Float(f64),
    /// Text. `plain` says that the text stands byte for byte in the source, starting at `at.start` (or one
    /// later, after a quote), so that a range inside the text is a range of the file.
    Str {
        /// The text.
        text: Text,
        /// Where inside the source the text begins when it stands there byte for byte.
        plain: Option<u32>,
    },
    /// A list.
    List(Vec<Tree>),
    /// A map in written order; keys are unique (a duplicate is an error of the reader).
    Map(Vec<(Key, Tree)>),
}

/// A key of a map.
#[derive(Clone, PartialEq, Debug)]
pub struct Key {
    /// The key's text.
    pub text: Text,
    /// Where it stands.
    pub at: Place,
}

impl Tree {
    /// What the value is, in the words of an error: `a string`, `a list`.
    pub const fn noun(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "a boolean",
            Kind::Int(_) => "a whole number",
            Kind::Float(_) => "a number",
            Kind::Str { .. } => "a string",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }

    /// Where the last value in it ends. The recursion is as deep as the value, at most `limits::MAX_DEPTH`.
    pub fn end(&self) -> u32 {
        let inner = match &self.kind {
            Kind::List(items) => items.iter().map(Self::end).max(),
            Kind::Map(entries) => entries.iter().map(|(_, value)| value.end()).max(),
            _ => None,
        };
        inner.unwrap_or(0).max(self.at.end)
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::Str { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The place of `range` inside this string, exact when the text stands in the source byte for byte,
    /// else the whole value.
    pub fn place_of(&self, range: std::ops::Range<usize>) -> Place {
        match &self.kind {
            Kind::Str { text, plain: Some(start) } if range.end <= text.len() => Place {
                file: self.at.file,
                start: start + u32::try_from(range.start).expect("files are below 4 GiB"),
                end: start + u32::try_from(range.end).expect("files are below 4 GiB"),
            },
            _ => self.at,
        }
    }
}
