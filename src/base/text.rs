//! Pieces of a shared text.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, Range};
use std::sync::Arc;

/// A text, or a piece of one that many share: a file's words are read without a copy of any of them. A clone
/// costs a count. Below 4 GiB, which `limits::MAX_FILE_BYTES` sees to.
#[derive(Clone)]
pub struct Text {
    whole: Arc<Box<str>>,
    start: u32,
    end: u32,
}

impl Text {
    /// The piece at `range` of this one's bytes, shared; `None` outside of it or inside a character.
    #[inline]
    pub fn piece(&self, range: Range<usize>) -> Option<Self> {
        if range.start > range.end || range.end > self.bytes().len() {
            return None;
        }
        let [start, end] = [range.start, range.end].map(|at| self.start + offset(at));
        let is_whole = [start, end].iter().all(|at| self.whole.is_char_boundary(*at as usize));
        is_whole.then(|| Self { whole: Arc::clone(&self.whole), start, end })
    }

    /// Its bytes, for whoever does not care where characters begin: that is looked up for every slice of text.
    #[inline]
    fn bytes(&self) -> &[u8] {
        &self.whole.as_bytes()[self.start as usize..self.end as usize]
    }

    /// As a plain slice.
    #[inline]
    pub fn as_str(&self) -> &str {
        &self.whole[self.start as usize..self.end as usize]
    }
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("a shared text is below 4 GiB")
}

impl From<Box<str>> for Text {
    fn from(text: Box<str>) -> Self {
        let end = offset(text.len());
        Self { whole: Arc::new(text), start: 0, end }
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        text.into_boxed_str().into()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Box::<str>::from(text).into()
    }
}

impl Deref for Text {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self
    }
}

impl Default for Text {
    fn default() -> Self {
        "".into()
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.bytes() == other.as_bytes()
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.bytes().cmp(other.bytes())
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (**self).hash(hasher);
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, to)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_shares_its_text_and_never_splits_a_character() {
        let whole = Text::from("a\u{e9}bc");
        let piece = whole.piece(1..4).expect("whole characters");
        assert_eq!(piece, "\u{e9}b");
        assert_eq!(piece.piece(2..3).as_deref(), Some("b"));
        assert!(Arc::ptr_eq(&whole.whole, &piece.whole));
        assert_eq!(whole.piece(2..3), None, "inside a character");
        assert_eq!(piece.piece(0..4), None, "past its own end, though not past the text's");
    }
}
