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
use aho_corasick::nfa::contiguous::NFA;
use zeroize::Zeroize;

use super::secret::{HIDDEN, Secret};

pub use stream::Stream;

/// Finds the values of secrets in text. Built once for a run and shared.
///
/// The automaton holds the values in its states for as long as the run lives; it is never printed or stored.
pub struct Masker {
    automaton: NFA,
    openings: Openings,
}

/// The first bytes of all forms, as a table of bits that says at nearly every place of ordinary text that no form
/// begins there. It is small enough for the processor's nearest cache, where the automaton of many secrets is not.
struct Openings {
    bits: Box<[u64]>,
}

impl Openings {
    /// How many bytes of a form count; no form is shorter.
    const WIDTH: usize = forms::MIN_VALUE;
    const WORDS: usize = 4096;

    fn of(forms: &[Vec<u8>]) -> Self {
        let mut bits = vec![0; Self::WORDS].into_boxed_slice();
        for form in forms {
            let (word, bit) = Self::place(form);
            bits[word] |= bit;
        }
        Self { bits }
    }

    /// Whether a form may begin with these bytes; `false` is certain.
    fn may_hold(&self, opening: &[u8]) -> bool {
        let (word, bit) = Self::place(opening);
        self.bits[word] & bit != 0
    }

    /// Fibonacci hashing: the upper bits of a product with 2^32 divided by the golden ratio.
    fn place(opening: &[u8]) -> (usize, u64) {
        let first = opening.first_chunk().expect("as many bytes as no form is shorter than");
        let hash = u32::from_le_bytes(*first).wrapping_mul(0x9e37_79b9) >> 14;
        ((hash >> 6) as usize, 1 << (hash & 63))
    }
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
        if known.is_empty() {
            return None;
        }
        let openings = Openings::of(&known);
        let automaton = NFA::builder()
            .match_kind(MatchKind::Standard)
            .prefilter(false)
            .build(&known)
            .expect("values are bounded, so their forms are far from what an automaton can hold");
        known.iter_mut().for_each(Zeroize::zeroize);
        Some(Self { automaton, openings })
    }

    /// Whether `bytes` hold any form of a secret.
    pub fn finds(&self, bytes: &[u8]) -> bool {
        stream::is_found(self, bytes)
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
