//! `shards`: where a stage's items come from, and bounds that have a spelling of their own.

use super::model::Setting;
use super::source::{Place, Spanned};
use super::tree::Tree;
use crate::base::{Span, Text};

/// `shards`.
#[derive(Clone, Debug)]
pub struct Shards {
    /// Where it is written.
    pub at: Place,
    /// `items`.
    pub items: Items,
    /// `items.max`: the most items there may be.
    pub max: Option<Setting<u32>>,
    /// `size`: items for each process.
    pub size: Option<Setting<Size>>,
    /// `target-p95`.
    pub target: Option<Setting<Span>>,
    /// `max-parallel`.
    pub max_parallel: Option<Setting<u32>>,
    /// `rate`.
    pub rate: Option<Setting<Rate>>,
    /// `allow-failed`.
    pub allow_failed: Option<Setting<AllowFailed>>,
    /// `items-format: json`.
    pub is_json: bool,
    /// `protocol: lines`, and where that is written.
    pub protocol: Option<Place>,
    /// `in-flight`.
    pub in_flight: Option<Setting<u32>>,
}

/// Where a sharded stage's items come from.
#[derive(Clone, Debug)]
pub enum Items {
    /// A list, or a template that gives one.
    List(Tree),
    /// `{range: N}`: 0 up to N, N excluded.
    Range(Setting<u32>),
    /// `{glob: PATTERN}` from the root, sorted by bytes.
    Glob(Spanned<Text>),
    /// `{file: PATH}`: one item a line.
    File(Tree),
    /// `{from: …}`: a list that an earlier stage gives.
    From(Tree),
}

/// `size` of a shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Size {
    /// So many items.
    Items(u32),
    /// As many as fit the target.
    Auto,
}

/// So many starts in a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Starts, at least 1.
    pub count: u32,
    /// In this time, longer than zero.
    pub per: Span,
}

impl Rate {
    /// Reads `200/s`, `30/m`, `5/10s`; `None` for anything else, and for more than a million in a second.
    pub fn parse(text: &str) -> Option<Self> {
        let (count, per) = text.split_once('/')?;
        let count = whole(count)?;
        let per = if per.starts_with(|c: char| c.is_ascii_digit()) {
            Span::parse(per)?
        } else {
            Span::parse(&format!("1{per}"))?
        };
        let is_sane = count > 0 && per > Span::ZERO && u64::from(count) <= per.ms().saturating_mul(1000);
        is_sane.then_some(Self { count, per })
    }

    /// The time from one start to the next, in nanoseconds: at least 1000.
    pub fn interval_ns(self) -> u64 {
        self.per.ms().saturating_mul(1_000_000) / u64::from(self.count)
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let per = self.per.to_string();
        write!(f, "{}/{}", self.count, per.strip_prefix('1').filter(|unit| is_unit(unit)).unwrap_or(&per))
    }
}

fn is_unit(text: &str) -> bool {
    matches!(text, "d" | "h" | "m" | "s" | "ms")
}

/// `allow-failed`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AllowFailed {
    /// So many items.
    Items(u32),
    /// So many of a million items.
    Share(u32),
}

impl AllowFailed {
    /// Reads `3`, `1%`, `0.25%`; at most 100 % and four digits behind the point. `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let Some(share) = text.strip_suffix('%') else { return whole(text).map(Self::Items) };
        let (percent, rest) = share.split_once('.').unwrap_or((share, ""));
        let is_short = rest.len() <= 4 && share.ends_with(|c: char| c.is_ascii_digit());
        let rest = format!("{rest:0<4}");
        let ppm = u64::from(whole(percent)?) * 10_000 + u64::from(whole(&rest)?);
        let ppm = u32::try_from(ppm).ok().filter(|&ppm| is_short && ppm <= 1_000_000)?;
        Some(Self::Share(ppm))
    }
}

impl std::fmt::Display for AllowFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Items(1) => f.write_str("1 item"),
            Self::Items(count) => write!(f, "{count} items"),
            Self::Share(ppm) => {
                let rest = format!("{:04}", ppm % 10_000);
                let rest = rest.trim_end_matches('0');
                write!(f, "{}{}{rest}%", ppm / 10_000, if rest.is_empty() { "" } else { "." })
            }
        }
    }
}

/// A number of digits only, without sign.
fn whole(text: &str) -> Option<u32> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_count_and_a_time() {
        for (text, ns) in
            [("200/s", 5_000_000), ("30/m", 2_000_000_000), ("5/10s", 2_000_000_000), ("1/2h", 7_200_000_000_000)]
        {
            let rate = Rate::parse(text).expect(text);
            assert_eq!((rate.interval_ns(), rate.to_string().as_str()), (ns, text));
        }
        for text in
            ["", "200", "200/", "/s", "0/s", "-1/s", "2/0s", "1.5/s", "2/parsec", "2000000/s", "+2/s", " 2/s"]
        {
            assert_eq!(Rate::parse(text), None, "{text}");
        }
        assert_eq!(Rate::parse("1000000/s").map(Rate::interval_ns), Some(1000));
    }

    #[test]
    fn a_budget_is_a_count_or_a_share() {
        let read = [
            ("3", AllowFailed::Items(3), "3 items"),
            ("1", AllowFailed::Items(1), "1 item"),
            ("1%", AllowFailed::Share(10_000), "1%"),
            ("0.25%", AllowFailed::Share(2_500), "0.25%"),
            ("100%", AllowFailed::Share(1_000_000), "100%"),
            ("0.0001%", AllowFailed::Share(1), "0.0001%"),
        ];
        for (text, budget, shown) in read {
            assert_eq!(AllowFailed::parse(text), Some(budget), "{text}");
            assert_eq!(budget.to_string(), shown);
        }
        for text in ["", "%", "-1", "1.5", "101%", "1.%", ".5%", "0.00001%", "1 %", "1e2%", "+1%"] {
            assert_eq!(AllowFailed::parse(text), None, "{text}");
        }
    }
}
