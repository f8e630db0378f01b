//! How far two environments of one folder differ.
//!
//! What counts are the keys that are no secret and whose parity class is not `ignore`, in the union of both. Drift is
//! the share of them that differ without an exception; it passes strictly below the limit, and only when no key is
//! missing without an exception. Of secrets only presence and the class of their rotation are compared.

use jiff::civil::Date;

use super::model::{Exception, KeyRule, Parity, Waives};
use super::resolve::Environment;
use crate::plan::source::Place;
use crate::render::Value;

/// What is different about a key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// The left one has it, the right one has not.
    MissingRight,
    /// The right one has it, the left one has not.
    MissingLeft,
    /// Both have it, with different values.
    Value,
    /// Both have the secret, with another state of its rotation.
    Rotation,
}

impl Kind {
    /// The word for it in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::MissingRight => "missing-right",
            Self::MissingLeft => "missing-left",
            Self::Value => "value",
            Self::Rotation => "rotation",
        }
    }

    /// Whether a key is missing on one side.
    pub const fn is_missing(self) -> bool {
        matches!(self, Self::MissingLeft | Self::MissingRight)
    }
}

/// One difference.
#[derive(Clone, PartialEq, Debug)]
pub struct Difference {
    /// The key.
    pub key: String,
    /// What is different.
    pub kind: Kind,
    /// Whether the key is a secret; those do not count for the share.
    pub is_secret: bool,
    /// The value on the left, unless it is a secret.
    pub left: Option<Value>,
    /// The value on the right.
    pub right: Option<Value>,
    /// Where the left one is written.
    pub left_at: Option<Place>,
    /// Where the right one is written.
    pub right_at: Option<Place>,
    /// The ticket of the exception that excuses it.
    pub ticket: Option<String>,
}

/// Two environments side by side.
#[derive(Clone, PartialEq, Debug)]
pub struct Comparison {
    /// Every difference, by key.
    pub differences: Vec<Difference>,
    /// How many keys count: the union of those that are no secret and not ignored.
    pub keys: usize,
    /// How many of those differ without an exception.
    pub unexcused: usize,
    /// How many keys, secrets too, are missing on one side without an exception.
    pub missing: usize,
    /// The limit, in hundredths of a percent.
    pub limit: u32,
}

impl Comparison {
    /// The share that differs, in percent.
    #[expect(clippy::cast_precision_loss, reason = "a catalog has far fewer than 2^53 keys")]
    pub fn drift(&self) -> f64 {
        if self.keys == 0 { 0.0 } else { self.unexcused as f64 * 100.0 / self.keys as f64 }
    }

    /// Whether it is below the limit, strictly, and nothing is missing.
    pub fn passes(&self) -> bool {
        let share = self.unexcused as u128 * 10_000;
        let is_below = self.unexcused == 0 || share < u128::from(self.limit) * self.keys as u128;
        is_below && self.missing == 0
    }

    /// Whether a single difference is too much because there are so few keys.
    pub fn allows_none(&self) -> bool {
        self.keys > 0 && 10_000 >= u128::from(self.limit) * self.keys as u128
    }
}

/// Compares `left` with `right` on `today`; `limit` is in hundredths of a percent.
///
/// Both must have the same catalog.
pub fn compare(left: &Environment, right: &Environment, limit: u32, today: Date) -> Comparison {
    let mut found = Comparison { differences: Vec::new(), keys: 0, unexcused: 0, missing: 0, limit };
    for rule in left.catalog.keys.iter().filter(|rule| rule.parity != Parity::Ignore) {
        let name = rule.name.value.as_str();
        let (a, b) = (left.entries.get(name), right.entries.get(name));
        if (a.is_some() || b.is_some()) && !rule.is_secret {
            found.keys += 1;
        }
        let kind = match (a, b) {
            (None, None) => None,
            (Some(_), None) => Some(Kind::MissingRight),
            (None, Some(_)) => Some(Kind::MissingLeft),
            (Some(a), Some(b)) => match (a.secret(), b.secret()) {
                (Some(a), Some(b)) => {
                    let class = |at: Option<Date>| rotation(rule, at, today).map(|state| state.0);
                    let date = |decl: &super::model::SecretDecl| decl.rotated_at.as_ref().map(|at| at.value);
                    (class(date(a)) != class(date(b))).then_some(Kind::Rotation)
                }
                _ => (rule.parity == Parity::Equal && a.value() != b.value()).then_some(Kind::Value),
            },
        };
        let Some(kind) = kind else { continue };
        let excuse = excuse(&left.exceptions, name, (left.own_name(), right.own_name()), today);
        let is_excused = excuse.is_some();
        found.missing += usize::from(kind.is_missing() && !is_excused);
        found.unexcused += usize::from(!rule.is_secret && !is_excused);
        found.differences.push(Difference {
            key: name.to_owned(),
            kind,
            is_secret: rule.is_secret,
            left: a.and_then(super::Entry::value),
            right: b.and_then(super::Entry::value),
            left_at: a.map(|entry| entry.at),
            right_at: b.map(|entry| entry.at),
            ticket: excuse.map(|exception| exception.ticket.value.to_string()),
        });
    }
    found.differences.sort_by(|a, b| (a.kind, &a.key).cmp(&(b.kind, &b.key)));
    found
}

/// The exceptions that excuse nothing: none of the environments that they name differ in their key. Judged are those
/// whose environments are all among `all`, which have one catalog.
pub fn unused(all: &[Environment], today: Date) -> Vec<&Exception> {
    let Some(first) = all.first() else { return Vec::new() };
    let known = |name: &str| all.iter().find(|environment| environment.own_name() == name);
    let is_unused = |exception: &&Exception| {
        let Some(named) = exception.environments.iter().map(|name| known(&name.value)).collect::<Option<Vec<_>>>()
        else {
            return false;
        };
        let differs = |left: &Environment, right: &Environment| {
            let found = compare(left, right, 0, today).differences;
            found.iter().any(|one| exception.key.value == *one.key)
        };
        exception.waives == Waives::Parity
            && exception.until.value >= today
            && !named.iter().enumerate().any(|(at, left)| named[..at].iter().any(|right| differs(left, right)))
    };
    first.exceptions.iter().filter(is_unused).collect()
}

/// The exception that excuses a difference of `key` between two environments on `today`.
fn excuse<'e>(all: &'e [Exception], key: &str, (left, right): (&str, &str), today: Date) -> Option<&'e Exception> {
    all.iter().find(|exception| {
        let names = |own: &str| exception.environments.iter().any(|name| name.value == own);
        exception.waives == Waives::Parity
            && exception.key.value == key
            && exception.until.value >= today
            && names(left)
            && names(right)
    })
}

/// How old a secret is against its rule.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Rotation {
    /// Below four fifths of its age.
    Ok,
    /// Above them.
    Due,
    /// Too old.
    Overdue,
    /// Nobody said when it was changed.
    Unknown,
}

impl Rotation {
    /// The word for it in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Due => "due",
            Self::Overdue => "overdue",
            Self::Unknown => "unknown",
        }
    }
}

/// The state of a secret that was last changed on `at`, with its age and greatest age in days; none when its rule
/// does not bound its age. A day that is still to come says nothing; tomorrow has begun somewhere.
pub fn rotation(rule: &KeyRule, at: Option<Date>, today: Date) -> Option<(Rotation, i64, i64)> {
    let most = i64::try_from(rule.rotate_every.as_ref()?.value.ms() / 86_400_000).unwrap_or(i64::MAX).max(1);
    let at = at.filter(|at| *at <= today.tomorrow().unwrap_or(today));
    let Some(at) = at else { return Some((Rotation::Unknown, 0, most)) };
    let age = today.since(at).map_or(0, |span| i64::from(span.get_days())).max(0);
    let state = match age {
        age if age > most => Rotation::Overdue,
        age if age * 5 >= most * 4 => Rotation::Due,
        _ => Rotation::Ok,
    };
    Some((state, age, most))
}
