//! What `needs.NAME` may read: the stages that a stage needs, and those that they need in turn.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::Builder;
use super::beside::Beside;
use super::context::{HAS_CONDITION, MAY_FAIL, Needed, Site};
use super::expand::Table;
use super::matrix::axis_names;
use super::read::{count, labels};
use super::types;
use crate::graph::scope::under;
use crate::plan::model::{Accept, AllowFailure, Body, Need, Output, Stage};
use crate::render::Kinds;

impl<'a> Builder<'a> {
    /// What `needs.…` of `stage` may read.
    pub(super) fn needed(
        &self,
        stage: &Stage,
        beside: &Beside<'a>,
        main: Option<&Table<'a>>,
    ) -> BTreeMap<String, Needed> {
        let mut all: BTreeMap<String, Needed> = BTreeMap::new();
        for made in main.into_iter().flat_map(Table::iter) {
            let mut needed = self.describe(made.stage);
            needed.may_miss = Some("may not have run when the clean-up starts");
            needed.condition = None;
            all.insert(under(&made.stage.id.value), needed);
        }
        for need in &stage.needs {
            let key = under(&need.stage.value);
            let Some(target) = beside.get(&key) else { continue };
            let mut needed = self.describe(target);
            if let Some(matrix) = target.matrix.as_ref().filter(|_| !need.terms().same.is_empty()) {
                needed.has_cells = need.terms().same.len() < axis_names(matrix).len();
            }
            if accepts(need, Accept::Failed) {
                needed.may_miss = Some(MAY_FAIL);
                needed.condition = None;
            } else if !accepts(need, Accept::Skipped) {
                needed.may_miss = None;
            }
            all.insert(key, needed);
        }
        all
    }

    /// The outputs of a stage, and whether they may be missing.
    pub(super) fn describe(&self, stage: &Stage) -> Needed {
        let action = match &stage.body {
            Body::Action { uses, .. } => self.action(&uses.value),
            _ => None,
        };
        let named = |name: &str| -> Box<str> { under(name).into() };
        let outputs = match &stage.body {
            Body::File { action, .. } => self.loaded.actions.get(*action).map_or_else(Vec::new, |file| {
                file.outputs.iter().map(|output| (named(&output.name.value), Kinds::ANY)).collect()
            }),
            _ => {
                let declared = action.filter(|_| stage.outputs.is_empty()).unwrap_or(stage);
                let kinds = |output: &Output| (named(&output.name.value), types::kinds(output.kind));
                declared.outputs.iter().map(kinds).collect()
            }
        };
        let shards = stage.shards.as_ref().or_else(|| action?.shards.as_ref());
        let allows = |stage: &Stage| stage.allow_failure != AllowFailure::No;
        let condition = stage.condition.as_ref().and_then(|tree| tree.as_str()).map(Into::into);
        Needed {
            outputs,
            cells: stage.matrix.as_ref().and_then(labels),
            has_cells: stage.matrix.is_some(),
            has_shards: shards.is_some(),
            shards: shards.and_then(count),
            may_fail: allows(stage) || action.is_some_and(allows),
            may_miss: stage.condition.as_ref().map(|_| HAS_CONDITION),
            condition,
        }
    }

    /// What `needs.NAME` may read of a stage that is needed by what is needed, at any distance: it has ended, too.
    pub(super) fn needed_afar(
        &mut self,
        name: &str,
        needs: &BTreeMap<String, Needed>,
        site: Site<'_>,
    ) -> Option<Needed> {
        let beside = site.beside?;
        let target = beside.get(name)?;
        let near = needs.iter().map(|(name, needed)| (&**name, needed.may_miss == Some(MAY_FAIL)));
        let may_fail = beside.reach(near, &under(&target.id.value))?;
        // The edges go by ids, of which a name may be another spelling.
        self.used.insert(target.id.value.as_str().into());
        let mut needed = self.describe(target);
        if may_fail {
            (needed.may_miss, needed.condition) = (Some(MAY_FAIL), None);
        }
        Some(needed)
    }
}

impl Beside<'_> {
    /// Whether `wanted` may have failed although a stage with the needs `near` starts: each way to it leads over a
    /// need that accepts failures. None when it may not have ended: nothing leads to it but needs of single cells.
    fn reach<'n>(&'n self, near: impl Iterator<Item = (&'n str, bool)>, wanted: &str) -> Option<bool> {
        let (mut seen, mut next) = (BTreeMap::<Cow<'_, str>, bool>::new(), Vec::new());
        next.extend(near.map(|(name, may_fail)| (Cow::Borrowed(name), may_fail)));
        while let Some((name, may_fail)) = next.pop() {
            if seen.get(&name).is_some_and(|&known| known <= may_fail) {
                continue;
            }
            let needs = self.get(&name).into_iter().flat_map(|stage| &stage.needs);
            let whole = needs.filter(|need| need.terms().same.is_empty());
            next.extend(
                whole.map(|need| (under(&need.stage.value).into(), may_fail || accepts(need, Accept::Failed))),
            );
            seen.insert(name, may_fail);
        }
        seen.get(wanted).copied()
    }
}

/// Whether a stage with this need starts when what it needs ended so.
fn accepts(need: &Need, word: Accept) -> bool {
    match &need.terms().accept {
        Some(words) => words.iter().any(|given| given.value == word),
        None => word != Accept::Failed,
    }
}
