//! Kinds of values, and sets of them: what a value may be that nobody knows yet.

use minijinja::value::ValueKind;

use super::Value;

/// A set of kinds of values. Values of different kinds are never equal, and have no order among each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kinds(u8);

/// Each kind, and what a message calls it.
const NOUNS: [(Kinds, &str); 6] = [
    (Kinds::TEXT, "a string"),
    (Kinds::NUMBER, "a number"),
    (Kinds::BOOL, "a boolean"),
    (Kinds::LIST, "a list"),
    (Kinds::MAP, "a map"),
    (Kinds::NONE, "none"),
];

impl Kinds {
    /// Text of any content.
    pub const TEXT: Self = Self(1);
    /// A number, whole or not.
    pub const NUMBER: Self = Self(2);
    /// `true` or `false`.
    pub const BOOL: Self = Self(4);
    /// A list of anything.
    pub const LIST: Self = Self(8);
    /// A map of anything.
    pub const MAP: Self = Self(16);
    /// `none`.
    pub const NONE: Self = Self(32);
    /// Anything at all, also nothing.
    pub const ANY: Self = Self(255);
    /// What has a form inside text.
    pub const PLAIN: Self = Self(1 | 2 | 4);
    /// No kind: there is no such value.
    pub(super) const NOTHING: Self = Self(0);

    /// What is in one of the two.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is not in `other`.
    #[must_use]
    pub(super) const fn but(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether a value of these kinds may be one of `other`.
    pub const fn may_be(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether it may be anything, also nothing.
    pub(super) const fn is_any(self) -> bool {
        self.0 & 128 != 0
    }

    /// Whether values of the two can be equal; everything can be compared with none.
    pub(super) const fn may_equal(self, other: Self) -> bool {
        self.may_be(other) || self.may_be(Self::NONE) || other.may_be(Self::NONE)
    }

    /// The kind of `value`.
    pub const fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::NONE,
            Value::Bool(_) => Self::BOOL,
            Value::Number(_) => Self::NUMBER,
            Value::String(_) => Self::TEXT,
            Value::Array(_) => Self::LIST,
            Value::Object(_) => Self::MAP,
        }
    }

    /// The kind of a value as minijinja has it.
    pub(super) fn inside(value: &minijinja::Value) -> Self {
        match value.kind() {
            ValueKind::None => Self::NONE,
            ValueKind::Bool => Self::BOOL,
            ValueKind::Number => Self::NUMBER,
            ValueKind::String => Self::TEXT,
            ValueKind::Seq | ValueKind::Iterable => Self::LIST,
            ValueKind::Map => Self::MAP,
            _ => Self::ANY,
        }
    }

    /// Each kind by itself.
    pub fn each(self) -> impl Iterator<Item = Self> {
        NOUNS.iter().map(|(kind, _)| *kind).filter(move |kind| self.may_be(*kind))
    }

    /// In the words of an error: `a string`, `a string, a list or none`.
    pub fn noun(self) -> String {
        let nouns = NOUNS.iter().filter(|(kind, _)| self.may_be(*kind)).map(|(_, noun)| *noun);
        let nouns: Vec<_> = nouns.collect();
        match nouns.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => nouns.concat(),
        }
    }

    /// What minijinja calls the first of them.
    pub(super) fn word(self) -> &'static str {
        match self.each().next() {
            Some(Self::TEXT) => "string",
            Some(Self::NUMBER) => "number",
            Some(Self::BOOL) => "bool",
            Some(Self::LIST) => "sequence",
            Some(Self::MAP) => "map",
            _ => "none",
        }
    }
}
