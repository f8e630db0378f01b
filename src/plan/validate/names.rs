//! Names: no two alike, and every one that is used exists.

use std::collections::hash_map::Entry;
use std::hash::{Hash, Hasher};

use foldhash::{HashMap, HashMapExt as _};

use super::{Check, Index, place, written};
use crate::base::Text;
use crate::plan::decode::{BUILT_INS, mended_id};
use crate::plan::error::{Diagnostic, nearest};
use crate::plan::model::{Body, Need, Stage};
use crate::plan::source::{Place, Spanned};

/// Needs that are compared with each other.
const FEW: usize = 8;

/// Every name of the file.
pub(super) fn check(check: &mut Check<'_>, index: &Index<'_>) {
    let plan = check.plan;
    distinct(check, "stage", plan.every_stage().map(|(stage, _)| &stage.id));
    distinct(check, "input", plan.inputs.iter().map(|input| &input.name));
    distinct(check, "output", plan.outputs.iter().map(|output| &output.name));
    distinct(check, "variable", plan.vars.iter().map(|(name, _)| name));
    distinct(check, "group", plan.groups.iter().map(|group| &group.name));
    distinct(check, "pool", plan.pools.iter().map(|(name, _)| name));
    distinct(check, "action", plan.actions.iter().map(|(name, _)| name));
    for (name, _) in plan.actions.iter().filter(|(name, _)| BUILT_INS.contains(&name.value.as_str())) {
        let message = format!("the action `{}` has the name of a built-in one", name.value);
        check.error("plan::shadow", name.at, message, "give it another name");
    }
    for (stage, is_last) in plan.every_stage() {
        distinct(check, "output", stage.outputs.iter().map(|output| &output.name));
        group(check, index, stage);
        action(check, index, stage);
        pools(check, index, stage);
        needs(check, index, stage, is_last);
    }
    for (_, action) in &plan.actions {
        distinct(check, "output", action.outputs.iter().map(|output| &output.name));
        pools(check, index, action);
    }
}

/// Refuses two equal names, and two that are one name inside an expression.
pub(super) fn distinct<'a>(check: &mut Check<'_>, what: &str, names: impl Iterator<Item = &'a Spanned<Text>>) {
    let mut seen: HashMap<Folded<'_>, &Spanned<Text>> = HashMap::with_capacity(names.size_hint().0);
    for name in names {
        let first = match seen.entry(Folded(&name.value)) {
            Entry::Occupied(first) => *first.get(),
            Entry::Vacant(slot) => {
                slot.insert(name);
                continue;
            }
        };
        let diagnostic = if first.value == name.value {
            let message = format!("there are two {what}s called `{}`", name.value);
            Diagnostic::error("plan::duplicate-name", name.at, message).help("give one of them another name")
        } else {
            let message = format!("the {what}s `{}` and `{}` differ only in `-` and `_`", first.value, name.value);
            let folded = name.value.replace('-', "_");
            let help = format!("in an expression both are `{folded}`: give one of them another name");
            Diagnostic::error("plan::similar-names", name.at, message).help(help)
        };
        check.report.push(diagnostic.related(first.at, "the first one"));
    }
}

/// A name as an expression writes it, where `-` is `_`.
struct Folded<'a>(&'a str);

impl Folded<'_> {
    fn bytes(&self) -> impl Iterator<Item = u8> {
        self.0.bytes().map(|byte| if byte == b'-' { b'_' } else { byte })
    }
}

impl PartialEq for Folded<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.bytes().eq(other.bytes())
    }
}

impl Eq for Folded<'_> {}

impl Hash for Folded<'_> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        // A piece at a time, each with its end: the hasher is slow for single bytes.
        self.0.split(['-', '_']).for_each(|piece| piece.hash(hasher));
    }
}

fn group(check: &mut Check<'_>, index: &Index<'_>, stage: &Stage) {
    let Some(group) = &stage.group else { return };
    if !index.groups.contains_key(group.value.as_str()) {
        let message = format!("stage `{}` is in group `{}`, which does not exist", stage.id.value, group.value);
        let names = check.plan.groups.iter().map(|group| group.name.value.as_str());
        let help = match nearest(&group.value, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("declare it: `groups: {{{}: {{}}}}`", group.value),
        };
        check.error("plan::unknown-group", group.at, message, &help);
    }
}

fn action(check: &mut Check<'_>, index: &Index<'_>, stage: &Stage) {
    let Body::Action { uses, .. } = &stage.body else { return };
    if !index.actions.contains_key(uses.value.as_str()) {
        let message = format!("stage `{}` uses `{}`, which is no action", stage.id.value, uses.value);
        let own = check.plan.actions.iter().map(|(name, _)| name.value.as_str());
        let help = match nearest(&uses.value, own.chain(BUILT_INS.iter().copied())) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "declare it under `actions`, or name a file: `uses: ./file.yaml`".to_owned(),
        };
        check.error("plan::unknown-action", uses.at, message, &help);
    }
}

fn pools(check: &mut Check<'_>, index: &Index<'_>, stage: &Stage) {
    distinct(check, "pool", stage.pools.iter().map(|(name, _)| name));
    for (name, weight) in &stage.pools {
        let Some(capacity) = index.pools.get(name.value.as_str()) else {
            let message =
                format!("`{}` takes a place in pool `{}`, which does not exist", stage.id.value, name.value);
            let names = check.plan.pools.iter().map(|(name, _)| name.value.as_str());
            let help = match nearest(&name.value, names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("declare it in this file: `pools: {{{}: 1}}`", name.value),
            };
            check.error("plan::unknown-pool", name.at, message, &help);
            continue;
        };
        let at = place(weight);
        if let (Some(weight), Some(capacity)) = (written(weight), written(capacity))
            && weight > capacity
        {
            let message = format!(
                "`{}` takes {weight} places in pool `{}`, which has {capacity}",
                stage.id.value, name.value
            );
            check.error(
                "plan::pool-weight",
                at,
                message,
                "it could never start: raise the pool or lower the weight",
            );
        }
    }
}

fn needs(check: &mut Check<'_>, index: &Index<'_>, stage: &Stage, is_last: bool) {
    for need in &stage.needs {
        let name = &need.stage;
        if name.value == stage.id.value {
            let message = format!("stage `{}` needs itself", name.value);
            check.error("plan::self-need", name.at, message, "take it out of `needs`");
            continue;
        }
        match index.stages.get(name.value.as_str()) {
            None => unknown_stage(check, stage, name),
            Some((_, last)) if *last != is_last => finally_need(check, stage, name, is_last),
            Some((target, _)) => axes(check, stage, target, need),
        }
    }
    repeated(check, stage);
}

fn unknown_stage(check: &mut Check<'_>, stage: &Stage, name: &Spanned<Text>) {
    let near = guess(check, stage, &name.value);
    // The stage is there, and its own error says to write it like this.
    if near.is_some_and(|near| mended_id(near).is_some_and(|mended| *mended == *name.value)) {
        return;
    }
    let message = format!("stage `{}` needs `{}`, which does not exist", stage.id.value, name.value);
    let help = if let Some((head, _)) = name.value.split_once([':', '/']) {
        format!("a need names a whole stage: write `{head}`; it needs all that belongs to it")
    } else {
        match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "declare the stage, or take it out of `needs`".to_owned(),
        }
    };
    let diagnostic = Diagnostic::error("plan::unknown-stage", name.at, message);
    check.report.push(diagnostic.label("no stage has this name").help(help));
}

/// The nearest other stage. Comparing with every stage is worth it while a person reads the errors: after some
/// millions of comparisons no more guesses are made, so that a generated plan with every need wrong stays fast.
fn guess<'a>(check: &mut Check<'a>, stage: &Stage, written: &str) -> Option<&'a str> {
    let plan = check.plan;
    check.guesses = check.guesses.checked_sub(plan.stages.len())?;
    let ids = plan.every_stage().map(|(stage, _)| stage.id.value.as_str());
    nearest(written, ids.filter(|id| *id != stage.id.value.as_str()))
}

fn finally_need(check: &mut Check<'_>, stage: &Stage, name: &Spanned<Text>, is_last: bool) {
    let (message, help) = if is_last {
        let message =
            format!("the `finally` stage `{}` needs `{}`, which is an ordinary stage", stage.id.value, name.value);
        (message, "when `finally` starts, all ordinary stages have ended: take it out of `needs`")
    } else {
        let message = format!("stage `{}` needs `{}`, which belongs to `finally`", stage.id.value, name.value);
        (message, "`finally` runs after all ordinary stages: move one of the two")
    };
    check.error("plan::finally-need", name.at, message, help);
}

/// `same` names axes that both stages have.
fn axes(check: &mut Check<'_>, stage: &Stage, target: &Stage, need: &Need) {
    for axis in &need.terms().same {
        let lacks = |stage: &&Stage| !has_axis(stage, &axis.value);
        if let Some(without) = [stage, target].into_iter().find(lacks) {
            let message = format!("stage `{}` has no axis `{}`", without.id.value, axis.value);
            let help = "`same` ties cells of two matrices by an axis that both have";
            check.error("plan::unknown-axis", axis.at, message, help);
        }
    }
}

fn has_axis(stage: &Stage, axis: &str) -> bool {
    stage.matrix.as_ref().is_some_and(|matrix| {
        matrix.axes.iter().any(|(name, _)| name.value == axis)
            || matrix.include.iter().any(|cell| super::matrix::cell(cell).any(|(name, _)| &*name.text == axis))
    })
}

fn repeated(check: &mut Check<'_>, stage: &Stage) {
    // A table for each stage's few needs would cost more than comparing them.
    let is_new = |at: usize| stage.needs[..at].iter().all(|it| it.stage.value != stage.needs[at].stage.value);
    if stage.needs.len() <= FEW && (1..stage.needs.len()).all(is_new) {
        return;
    }
    let mut seen: HashMap<&str, Place> = HashMap::with_capacity(stage.needs.len());
    for need in &stage.needs {
        if let Some(first) = seen.insert(&need.stage.value, need.stage.at) {
            let message = format!("stage `{}` needs `{}` twice", stage.id.value, need.stage.value);
            let diagnostic = Diagnostic::error("plan::duplicate-need", need.stage.at, message);
            check.report.push(diagnostic.related(first, "the first one").help("name it once"));
        }
    }
}
