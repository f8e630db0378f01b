//! What one file alone can know beyond types: names that exist, clocks that fit, texts that mean what they say.
//!
//! Expressions, files that others use and cycles are left to the graph builder. Everything here is linear in the
//! size of the file: names are looked up in an index that is built once.

mod clocks;
mod inputs;
mod matrix;
mod names;
mod text;
mod undo;
mod variables;

#[cfg(test)]
mod tests;

use foldhash::HashMap;

use super::error::{Diagnostic, Report};
use super::model::{Body, Common, Plan, Retry, Setting, Stage};
use super::source::{Place, Spanned};
use crate::base::Span;

/// Comparisons of names for all guesses together: well below a second.
const MAX_GUESSES: usize = 3_000_000;

/// Checks `plan`, which was decoded from one file.
pub fn validate(plan: &Plan, report: &mut Report) {
    let mut check = Check { plan, report, guesses: MAX_GUESSES };
    let index = Index::new(plan);
    names::check(&mut check, &index);
    inputs::check(&mut check);
    clocks::check_plan(&mut check);
    for (stage, _) in plan.every_stage() {
        clocks::check_stage(&mut check, &Effective::new(plan, &index, stage));
        matrix::check(&mut check, stage);
        text::check(&mut check, stage);
        variables::check(&mut check, stage);
    }
    for (_, action) in &plan.actions {
        text::check(&mut check, action);
    }
    undo::check(&mut check, &index);
    text::check_common(&mut check, &plan.defaults);
}

/// A validation in progress.
struct Check<'a> {
    plan: &'a Plan,
    report: &'a mut Report,
    /// Comparisons left for guessing what an unknown name meant.
    guesses: usize,
}

impl Check<'_> {
    /// Reports an error with help.
    fn error(&mut self, code: &'static str, at: Place, message: String, help: &str) {
        self.report.push(Diagnostic::error(code, at, message).help(help));
    }
}

impl Plan {
    /// Every stage with whether it belongs to `finally`, in written order.
    fn every_stage(&self) -> impl Iterator<Item = (&Stage, bool)> {
        let last = self.finally.iter().flat_map(|finally| &finally.stages);
        self.stages.iter().map(|stage| (stage, false)).chain(last.map(|stage| (stage, true)))
    }
}

/// Names to what they name, for lookups in constant time.
struct Index<'a> {
    stages: HashMap<&'a str, (&'a Stage, bool)>,
    actions: HashMap<&'a str, &'a Stage>,
    groups: HashMap<&'a str, Place>,
    pools: HashMap<&'a str, &'a Setting<u32>>,
}

impl<'a> Index<'a> {
    fn new(plan: &'a Plan) -> Self {
        Self {
            stages: plan.every_stage().map(|(stage, last)| (stage.id.value.as_str(), (stage, last))).collect(),
            actions: plan.actions.iter().map(|(name, action)| (name.value.as_str(), action)).collect(),
            groups: plan.groups.iter().map(|group| (group.name.value.as_str(), group.name.at)).collect(),
            pools: plan.pools.iter().map(|(name, capacity)| (name.value.as_str(), capacity)).collect(),
        }
    }
}

/// A stage with what its action and `defaults` lay under it.
struct Effective<'a> {
    stage: &'a Stage,
    action: Option<&'a Stage>,
    defaults: Option<&'a Common>,
}

impl<'a> Effective<'a> {
    fn new(plan: &'a Plan, index: &Index<'a>, stage: &'a Stage) -> Self {
        let action = match &stage.body {
            Body::Action { uses, .. } => index.actions.get(uses.value.as_str()).copied(),
            _ => None,
        };
        let is_work = matches!(stage.body, Body::Run(_) | Body::Action { .. } | Body::Env { .. });
        Self { stage, action, defaults: is_work.then_some(&plan.defaults) }
    }

    /// The first that says something: the stage, its action, the defaults.
    fn common<T>(&self, field: impl Fn(&'a Common) -> Option<&'a T>) -> Option<&'a T> {
        let own = field(&self.stage.common);
        own.or_else(|| field(&self.action?.common)).or_else(|| field(self.defaults?))
    }

    fn timeout(&self) -> Option<&'a Setting<Span>> {
        self.common(|common| common.timeout.as_ref())
    }

    fn retry(&self) -> Option<&'a Retry> {
        self.common(|common| common.retry.as_ref())
    }

    fn has_done_if(&self) -> bool {
        self.stage.done_if.is_some() || self.action.is_some_and(|action| action.done_if.is_some())
    }

    fn idempotent(&self) -> Option<&'a Spanned<bool>> {
        self.stage.idempotent.as_ref().or_else(|| self.action?.idempotent.as_ref())
    }
}

/// The value of a setting that is written out.
fn written<T: Copy>(setting: &Setting<T>) -> Option<T> {
    match setting {
        Setting::Value(value) => Some(value.value),
        Setting::Template(_) => None,
    }
}

/// Where a setting stands.
fn place<T>(setting: &Setting<T>) -> Place {
    match setting {
        Setting::Value(value) => value.at,
        Setting::Template(tree) => tree.at,
    }
}
