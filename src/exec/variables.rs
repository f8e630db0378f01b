//! The environment of a process, in the form that the system takes: `NAME=value` texts, each ended by a NUL.
//!
//! What many processes have in common is written once and shared; each adds its own few.

use std::ffi::{CStr, OsStr};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

/// Variables by name. A name is there once: the last word counts.
#[derive(Clone, Default)]
pub struct Variables {
    shared: Arc<Block>,
    own: Block,
}

/// Texts one after another.
#[derive(Clone, Default)]
struct Block {
    text: Vec<u8>,
    /// Where each begins, how long its name is, and where its NUL stands.
    places: Vec<(usize, usize, usize)>,
}

/// Bytes and variables that a new block has room for.
const ROOM: (usize, usize) = (320, 8);

impl Variables {
    /// Sets one variable.
    pub fn set(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) {
        let (name, value) = (name.as_ref().as_bytes(), value.as_ref().as_bytes());
        match self.find(name) {
            Some(known) if known == value => return,
            Some(_) => self.remove(name),
            None => {}
        }
        self.own.push(name, value);
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.shared.places.len() + self.own.places.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of one.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.find(name.as_bytes()).map(OsStr::from_bytes)
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.pairs().map(|(name, value)| (OsStr::from_bytes(name), OsStr::from_bytes(value)))
    }

    /// The same, so that copies share what is in it now.
    #[must_use]
    pub fn shared(mut self) -> Self {
        let own = std::mem::take(&mut self.own);
        Arc::make_mut(&mut self.shared).extend(&own);
        self
    }

    /// Adds the texts for the system to `into`, but for variables that `is_hidden` names. `false` when one of them holds
    /// a NUL and cannot be told.
    pub(super) fn add_texts<'a>(&'a self, into: &mut Vec<&'a CStr>, is_hidden: impl Fn(&OsStr) -> bool) -> bool {
        [&*self.shared, &self.own].into_iter().all(|block| {
            block.places.iter().all(|&(begin, name, end)| {
                let is_told = !is_hidden(OsStr::from_bytes(&block.text[begin..begin + name]));
                let text = CStr::from_bytes_with_nul(&block.text[begin..=end]);
                into.extend(text.ok().filter(|_| is_told));
                text.is_ok()
            })
        })
    }

    fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.shared.pairs().chain(self.own.pairs())
    }

    fn find(&self, name: &[u8]) -> Option<&[u8]> {
        self.shared.find(name).or_else(|| self.own.find(name))
    }

    fn remove(&mut self, name: &[u8]) {
        self.own = self.own.without(name);
        if self.shared.find(name).is_some() {
            self.shared = Arc::new(self.shared.without(name));
        }
    }
}

impl Block {
    fn push(&mut self, name: &[u8], value: &[u8]) {
        let begin = self.text.len();
        // Once for what a stage adds of its own, as a rule.
        let room = if begin == 0 { ROOM } else { (0, 0) };
        self.text.reserve((name.len() + value.len() + 2).max(room.0));
        self.places.reserve(room.1);
        self.text.extend_from_slice(name);
        self.text.push(b'=');
        self.text.extend_from_slice(value);
        self.places.push((begin, name.len(), self.text.len()));
        self.text.push(0);
    }

    /// Asked for each variable of each attempt, so most names are told apart by their lengths alone.
    fn find(&self, name: &[u8]) -> Option<&[u8]> {
        let alike = self.places.iter().filter(|(_, len, _)| *len == name.len());
        alike
            .map(|&(begin, len, end)| (begin, begin + len, end))
            .find(|&(begin, equals, _)| &self.text[begin..equals] == name)
            .map(|(_, equals, end)| &self.text[equals + 1..end])
    }

    fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.places.iter().map(|&(begin, name, end)| {
            let equals = begin + name;
            (&self.text[begin..equals], &self.text[equals + 1..end])
        })
    }

    fn extend(&mut self, other: &Self) {
        for (name, value) in other.pairs() {
            self.push(name, value);
        }
    }

    fn without(&self, unwanted: &[u8]) -> Self {
        let mut left = Self::default();
        for (name, value) in self.pairs().filter(|(name, _)| *name != unwanted) {
            left.push(name, value);
        }
        left
    }
}

impl<N: AsRef<OsStr>, V: AsRef<OsStr>> FromIterator<(N, V)> for Variables {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut made = Self::default();
        for (name, value) in pairs {
            made.set(name, value);
        }
        made
    }
}

impl PartialEq for Variables {
    /// Equal when a process would find the same, in the same order.
    fn eq(&self, other: &Self) -> bool {
        self.pairs().eq(other.pairs())
    }
}

impl Eq for Variables {}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(variables: &Variables) -> Vec<&str> {
        let mut texts = Vec::new();
        assert!(variables.add_texts(&mut texts, |_| false));
        texts.into_iter().map(|text| text.to_str().expect("plain words")).collect()
    }

    #[test]
    fn the_last_word_counts_wherever_the_first_one_stood() {
        let common: Variables = [("PATH", "/bin"), ("HOME", "/root"), ("PATH", "/usr/bin")].into_iter().collect();
        assert_eq!(texts(&common), ["HOME=/root", "PATH=/usr/bin"]);
        let common = common.shared();
        let mut one = common.clone();
        one.set("HOME", "/tmp");
        one.set("A", "x");
        one.set("A", "");
        assert_eq!(texts(&one), ["PATH=/usr/bin", "HOME=/tmp", "A="]);
        assert_eq!(one.get("HOME"), Some(OsStr::new("/tmp")));
        assert_eq!(texts(&common), ["HOME=/root", "PATH=/usr/bin"], "others see nothing of it");
    }

    #[test]
    fn a_name_is_no_prefix_of_another_and_a_value_may_hold_anything_but_nul() {
        let mut it: Variables = [("AB", "=x="), ("A", "é\n")].into_iter().collect();
        assert_eq!((it.get("A"), it.get("B"), it.get("")), (Some(OsStr::new("é\n")), None, None));
        it.set("AB", "2");
        assert_eq!(texts(&it), ["A=é\n", "AB=2"]);
        it.set("N", OsStr::from_bytes(b"a\0b"));
        assert!(!it.add_texts(&mut Vec::new(), |_| false));
        assert_eq!(it.get("N"), Some(OsStr::from_bytes(b"a\0b")));
    }

    #[test]
    fn what_others_hide_is_not_told() {
        let it: Variables = [("A", "1"), ("B", "2")].into_iter().collect();
        let mut told = Vec::new();
        assert!(it.shared().clone().add_texts(&mut told.clone(), |name| name == "A"));
        let it: Variables = [("A", "1"), ("B", "2")].into_iter().collect();
        assert!(it.add_texts(&mut told, |name| name == "A"));
        assert_eq!(told, [c"B=2"]);
    }

    #[test]
    fn copies_share_what_was_shared() {
        let common = [("PATH", "/bin")].into_iter().collect::<Variables>().shared();
        let mut one = common.clone();
        one.set("PATH", "/bin");
        one.set("A", "1");
        assert!(Arc::ptr_eq(&one.shared, &common.shared), "the same word changes nothing");
        assert_eq!(one.own.places.len(), 1);
    }
}
