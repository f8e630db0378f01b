//! What gates mean: from settings and samples to a verdict, with no machine in it.
//!
//! A gate is a list of *probes* that are asked again and again, and a *judge* that reads every sample so far. `plan` reads
//! settings through [`Spec`] so that a wrong one is found before anything runs; `exec/gates` asks the probes and hands each
//! sample to [`Spec::judge`]; `engine gate replay` hands it the stored ones. All three get the same answer, because the
//! judge sees nothing but the settings, the samples and how long the gate has been at it.
//!
//! Invariants:
//! - [`Spec::judge`] is a pure function. A verdict that it gave for some samples it gives again for the same ones.
//! - A value that is not a number is no data; it never passes a bound.
//! - Nothing passes for want of data: no sample, no pass.

pub mod bound;
pub mod burn;
pub mod canary;
pub mod compose;
pub mod mannwhitney;
mod parse;
pub mod probe;
pub mod reduce;
pub mod sample;
pub mod score;
pub mod spec;
pub mod streak;
pub mod verdict;
pub mod window;
pub mod words;

#[cfg(test)]
mod tests;

pub use bound::Bound;
pub use probe::Probe;
pub use reduce::Reducer;
pub use sample::{Sample, Seen};
pub use spec::{Judge, KINDS, Spec};
pub use verdict::{Effect, Effects, Judgement, Verdict};
pub use words::Words;

/// A setting that cannot be read: which key, and why.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{key}`: {why}")]
pub struct Error {
    /// The key, with dots: `expect.status`.
    pub key: String,
    /// Why, and what to write.
    pub why: String,
}

impl Error {
    /// A fault of `key`.
    pub fn new(key: impl Into<String>, why: impl Into<String>) -> Self {
        Self { key: key.into(), why: why.into() }
    }
}
