//! The stages of one file by name.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use crate::graph::scope::under;
use crate::plan::model::Stage;

/// The stages of one file, by the names that expressions give them; sorted when first asked.
pub(super) struct Beside<'a> {
    stages: &'a [Stage],
    by_name: OnceCell<BTreeMap<String, usize>>,
}

impl<'a> Beside<'a> {
    pub(super) const fn new(stages: &'a [Stage]) -> Self {
        Self { stages, by_name: OnceCell::new() }
    }

    fn by_name(&self) -> &BTreeMap<String, usize> {
        let names = || self.stages.iter().map(|stage| under(&stage.id.value));
        self.by_name.get_or_init(|| names().zip(0..).collect())
    }

    /// The stage that expressions call `name`.
    pub(super) fn get(&self, name: &str) -> Option<&'a Stage> {
        self.by_name().get(name).map(|&at| &self.stages[at])
    }

    /// All names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name().keys().map(String::as_str)
    }
}
