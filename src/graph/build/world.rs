//! What a graph depends on outside its plan: the files a glob finds, and files of items.
//!
//! Whoever builds a graph brings a [`World`] that answers. [`Recorder`] notes every answer, so that the run's
//! snapshot can hold a [`Recorded`] world, and a resume builds the same shards whatever has happened to the
//! files since.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Answers to the questions a plan may ask about files.
pub trait World {
    /// Paths of the files that match `pattern`, relative to the root, with `/`, sorted by bytes.
    ///
    /// # Errors
    /// A sentence for the user.
    fn glob(&self, pattern: &str) -> Result<Vec<String>, String>;

    /// The text of the item file at `path`, relative to the root.
    ///
    /// # Errors
    /// A sentence for the user.
    fn items(&self, path: &str) -> Result<String, String>;
}

/// Answers that were given once, and are given again.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Recorded {
    /// Pattern to paths.
    pub globs: BTreeMap<String, Vec<String>>,
    /// Path to text.
    pub items: BTreeMap<String, String>,
}

impl World for Recorded {
    fn glob(&self, pattern: &str) -> Result<Vec<String>, String> {
        self.globs.get(pattern).cloned().ok_or_else(|| format!("the run has no record of the glob `{pattern}`"))
    }

    fn items(&self, path: &str) -> Result<String, String> {
        self.items.get(path).cloned().ok_or_else(|| format!("the run has no record of the file `{path}`"))
    }
}

/// A world that notes what it was asked.
pub struct Recorder<'a> {
    inner: &'a dyn World,
    record: RefCell<Recorded>,
}

impl<'a> Recorder<'a> {
    /// Notes what `inner` answers.
    pub fn new(inner: &'a dyn World) -> Self {
        Self { inner, record: RefCell::default() }
    }

    /// Everything that was answered.
    pub fn into_recorded(self) -> Recorded {
        self.record.into_inner()
    }
}

impl World for Recorder<'_> {
    fn glob(&self, pattern: &str) -> Result<Vec<String>, String> {
        let paths = self.inner.glob(pattern)?;
        self.record.borrow_mut().globs.insert(pattern.to_owned(), paths.clone());
        Ok(paths)
    }

    fn items(&self, path: &str) -> Result<String, String> {
        let text = self.inner.items(path)?;
        self.record.borrow_mut().items.insert(path.to_owned(), text.clone());
        Ok(text)
    }
}
