//! Masking: no form of a secret's value passes into what people read or the engine stores.
//!
//! A [`Masker`] knows every form in which the values of one run may turn up (`forms`), and one automaton that
//! finds all of them in a single pass. Each source of text has its own [`Stream`], because a value may be cut
//! anywhere between two reads: a stream keeps back those last bytes, and no more, that could be the beginning of a
//! form, and gives them on as soon as they can not. What was found becomes `***`, once for each stretch of bytes that
//! forms cover, whether they overlap or touch.
//!
//! What cannot be promised: a value that was changed (reversed, compressed, encrypted, spelled letter by letter) is
//! another value.

mod forms;
mod stream;

use aho_corasick::MatchKind;
use aho_corasick::automaton::Automaton;
use aho_corasick::nfa::contiguous::NFA;
use zeroize::Zeroize;

use super::secret::{HIDDEN, Secret};

pub use stream::Stream;

/// Finds the values of secrets in text. Built once for a run and shared.
///
/// The automaton holds the values in its states for as long as the run lives; it is never printed or stored.
pub struct Masker {
    automaton: NFA,
    /// The longest form in bytes: no stream keeps back more.
    longest: usize,
}

impl std::fmt::Debug for Masker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Masker")
    }
}

impl Masker {
    /// Knows the forms of `secrets`; `None` when there is nothing to find, so that masking then costs nothing.
    ///
    /// Values shorter than [`forms::MIN_VALUE`] bytes are left out: masking them would black out common text.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Option<Self> {
        let mut known = forms::of_all(secrets.into_iter().map(Secret::expose));
        let longest = known.iter().map(Vec::len).max()?;
        let automaton = NFA::builder()
            .match_kind(MatchKind::Standard)
            .prefilter(false)
            .dense_depth(3)
            .build(&known)
            .expect("values are bounded, so their forms are far from what an automaton can hold");
        known.iter_mut().for_each(Zeroize::zeroize);
        Some(Self { automaton, longest })
    }

    /// Whether `bytes` hold any form of a secret.
    pub fn finds(&self, bytes: &[u8]) -> bool {
        self.automaton.try_find(&bytes.into()).expect("the automaton searches unanchored text").is_some()
    }

    /// `text` with `***` in the place of every secret.
    pub fn mask(&self, text: &str) -> String {
        if !self.finds(text.as_bytes()) {
            return text.to_owned();
        }
        let mut out = Vec::with_capacity(text.len());
        let mut stream = Stream::default();
        stream.push(self, text.as_bytes(), &mut out);
        stream.finish(self, &mut out);
        // A form may begin or end inside a character when a value is not text; what is left of it shows as U+FFFD.
        String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    /// What a masked stretch shows as.
    fn sign() -> &'static [u8] {
        HIDDEN.as_bytes()
    }
}

#[cfg(test)]
mod tests;
