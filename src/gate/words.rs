//! The settings of a gate as words: `--url http://… --expect.status 200`.
//!
//! A plan's `with` becomes these words, a list as the same key again and again, a map as keys with dots. So a stage and the
//! command line are read by one reader, and what a template gives is checked like what is written out.

use std::collections::BTreeMap;

use super::Error;
use super::bound;
use crate::base::{Span, limits};

/// Settings that have not been read yet.
#[derive(Clone, Debug, Default)]
pub struct Words {
    of: BTreeMap<String, Vec<String>>,
}

impl Words {
    /// Pairs of `--key` and value.
    ///
    /// # Errors
    /// A word where a key should be, or a key without a value.
    pub fn read<T: AsRef<str>>(words: &[T]) -> Result<Self, Error> {
        let mut of: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for pair in words.chunks(2) {
            let word = pair[0].as_ref();
            let key = word.strip_prefix("--").ok_or_else(|| Error::new(word, "a key begins with `--`"))?;
            let value = pair.get(1).ok_or_else(|| Error::new(key, "has no value"))?;
            of.entry(key.to_owned()).or_default().push(value.as_ref().to_owned());
        }
        Ok(Self { of })
    }

    /// Whether there is a `key`.
    pub fn has(&self, key: &str) -> bool {
        self.of.contains_key(key)
    }

    /// Whether nothing is left to read.
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// All keys, in order.
    pub fn names(&self) -> Vec<String> {
        self.of.keys().cloned().collect()
    }

    /// All values of `key`.
    pub fn list(&mut self, key: &str) -> Vec<String> {
        self.of.remove(key).unwrap_or_default()
    }

    /// Sets the value of `key`.
    pub fn put(&mut self, key: &str, value: &str) {
        self.of.insert(key.to_owned(), vec![value.to_owned()]);
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// There is more than one.
    pub fn text(&mut self, key: &str) -> Result<Option<String>, Error> {
        let mut list = self.list(key);
        if list.len() > 1 {
            return Err(Error::new(key, "is given twice"));
        }
        Ok(list.pop())
    }

    /// The value of `key`, which must be there.
    ///
    /// # Errors
    /// It is not.
    pub fn needed(&mut self, key: &str) -> Result<String, Error> {
        self.text(key)?.filter(|text| !text.is_empty()).ok_or_else(|| Error::new(key, "is missing"))
    }

    /// What `read` makes of the value of `key`.
    ///
    /// # Errors
    /// It makes nothing of it; `wanted` says what it would.
    pub fn of<T>(
        &mut self,
        key: &str,
        wanted: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        match read(&text) {
            Some(value) => Ok(Some(value)),
            None => Err(Error::new(key, format!("`{text}` is not {wanted}"))),
        }
    }

    /// A length of time, longer than zero.
    ///
    /// # Errors
    /// It is none.
    pub fn span(&mut self, key: &str) -> Result<Option<Span>, Error> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        if Span::is_too_long(&text) {
            return Err(Error::new(key, Span::too_long(format_args!("`{text}`"))));
        }
        match Span::parse(&text).filter(|span| *span != Span::ZERO) {
            Some(span) => Ok(Some(span)),
            None => Err(Error::new(key, format!("`{text}` is not a duration above zero, like `5s`"))),
        }
    }

    /// A whole number from 1.
    ///
    /// # Errors
    /// It is none.
    pub fn count(&mut self, key: &str) -> Result<Option<u32>, Error> {
        self.of(key, "a whole number from 1 to 10,000", |text| {
            text.parse().ok().filter(|count| (1..=limits::MAX_GATE_STREAK).contains(count))
        })
    }

    /// A number or a share.
    ///
    /// # Errors
    /// It is none.
    pub fn number(&mut self, key: &str) -> Result<Option<f64>, Error> {
        self.of(key, "a number, or a share like `95%`", bound::number)
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// It is neither.
    pub fn flag(&mut self, key: &str) -> Result<Option<bool>, Error> {
        self.of(key, "`true` or `false`", |text| text.parse().ok())
    }

    /// All keys below `prefix` and a dot, each with its values, without the prefix.
    pub fn under(&mut self, prefix: &str) -> Vec<(String, Vec<String>)> {
        let dotted = format!("{prefix}.");
        let keys: Vec<String> = self.of.keys().filter(|key| key.starts_with(&dotted)).cloned().collect();
        keys.into_iter().map(|key| (key[dotted.len()..].to_owned(), self.list(&key))).collect()
    }

    /// The settings below `prefix` and a dot, apart.
    #[must_use]
    pub fn part(&mut self, prefix: &str) -> Self {
        Self { of: self.under(prefix).into_iter().collect() }
    }

    /// The names of the parts below `prefix`: `metrics.errors.query` has the part `errors`.
    pub fn parts(&self, prefix: &str) -> Vec<String> {
        let dotted = format!("{prefix}.");
        let names = self.of.keys().filter_map(|key| key.strip_prefix(&dotted)?.split('.').next());
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        names.dedup();
        names
    }

    /// Says what nobody has read.
    ///
    /// # Errors
    /// Something was left.
    pub fn end(self) -> Result<(), Error> {
        match self.of.into_keys().next() {
            Some(key) => Err(Error::new(key, "is no setting of this gate")),
            None => Ok(()),
        }
    }
}
