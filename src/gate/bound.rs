//! Bounds: `< 250`, `>= 99.9%`.

use std::fmt;

/// How a value is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compare {
    /// `<`
    Below,
    /// `<=`
    AtMost,
    /// `>`
    Above,
    /// `>=`
    AtLeast,
    /// `==`
    Equal,
    /// `!=`
    Other,
}

/// The signs, the longer ones first.
const SIGNS: [(&str, Compare); 6] = [
    ("<=", Compare::AtMost),
    (">=", Compare::AtLeast),
    ("==", Compare::Equal),
    ("!=", Compare::Other),
    ("<", Compare::Below),
    (">", Compare::Above),
];

/// A comparison with a number.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bound {
    /// How.
    pub compare: Compare,
    /// With what.
    pub limit: f64,
}

impl Bound {
    /// Reads `< 250` or `>= 95%`; nothing for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (sign, compare) = SIGNS.into_iter().find(|(sign, _)| text.starts_with(sign))?;
        Some(Self { compare, limit: number(&text[sign.len()..])? })
    }

    /// Whether `value` is as it should be; what is not a number never is.
    #[expect(clippy::float_cmp, reason = "`==` means the very number that the plan has")]
    pub fn holds(self, value: f64) -> bool {
        match self.compare {
            Compare::Below => value < self.limit,
            Compare::AtMost => value <= self.limit,
            Compare::Above => value > self.limit,
            Compare::AtLeast => value >= self.limit,
            Compare::Equal => value == self.limit,
            Compare::Other => value != self.limit && !value.is_nan(),
        }
    }

    /// Whether larger values are worse.
    pub const fn is_ceiling(self) -> bool {
        matches!(self.compare, Compare::Below | Compare::AtMost)
    }

    /// Whether smaller values are worse.
    pub const fn is_floor(self) -> bool {
        matches!(self.compare, Compare::Above | Compare::AtLeast)
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = SIGNS.iter().find(|(_, compare)| *compare == self.compare).map_or("", |(sign, _)| sign);
        write!(f, "{sign} {}", self.limit)
    }
}

/// A finite number, or a share in percent: `0.5`, `95%`.
pub fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let value = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().ok()? / 100.0,
        None => text.parse().ok()?,
    };
    value.is_finite().then_some(value)
}

/// A bound, and what is to be made of a fault that was there before.
#[derive(Clone, PartialEq, Debug)]
pub struct Limit {
    /// What the value has to be.
    pub bound: Bound,
    /// What it was before anything was changed.
    pub before: Option<f64>,
    /// `preexisting: tolerate`: a value that was as bad before may stay so, up to this many times what it was.
    pub tolerance: Option<f64>,
}

impl Limit {
    /// Whether `value` is good enough, and why.
    pub fn judge(&self, value: f64) -> (bool, String) {
        let bound = self.bound;
        if bound.holds(value) {
            return (true, format!("{value} is {bound}"));
        }
        let was_bad = self.before.filter(|&before| !bound.holds(before));
        match (was_bad, self.tolerance) {
            (Some(before), Some(ratio)) if !self.is_worse(value, before, ratio) => {
                (true, format!("{value} is not {bound}, as before ({before})"))
            }
            (Some(before), Some(_)) => {
                (false, format!("{value} is not {bound}, and worse than before ({before})"))
            }
            (Some(before), None) => (false, format!("{value} is not {bound}; before the deploy it was {before}")),
            (None, _) => (false, format!("{value} is not {bound}")),
        }
    }

    fn is_worse(&self, value: f64, before: f64, ratio: f64) -> bool {
        let room = before.abs() * (ratio - 1.0);
        if self.bound.is_ceiling() {
            value > before + room
        } else if self.bound.is_floor() {
            value < before - room
        } else {
            (value - before).abs() > room
        }
    }
}
