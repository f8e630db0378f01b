//! The top level of a file.

use super::check::Check;
use super::values::{
    boolean, count, entries, ignored, items, kind, name, named, span, template, text, word, words,
};
use super::{parts, stage};
use crate::base::Text;
use crate::plan::model::{
    Common, FileOutput, Finally, Group, Input, Lock, OnBusy, OnFailure, Plan, Readiness, Setting, Stage, Type,
};
use crate::plan::schema::tables::{FILE, FINALLY, GROUP, INPUT, LOCK, OUTPUT};
use crate::plan::source::{Place, Sources, Spanned};
use crate::plan::tree::{Key, Kind, Tree};

/// A file's tree as a plan.
pub(super) fn read(tree: Tree, sources: &Sources, check: &mut Check<'_>) -> Plan {
    let mut plan = empty(tree.at, &sources.file(tree.at.file).path);
    for (key, value) in entries(tree) {
        match &*key.text {
            "version" => {}
            "name" => plan.name = text(value).unwrap_or(plan.name),
            "description" => plan.description = text(value),
            "inputs" => plan.inputs = named(value).into_iter().map(input).collect(),
            "outputs" => plan.outputs = named(value).into_iter().filter_map(output).collect(),
            "vars" => plan.vars = named(value),
            "environment" => plan.environment = template(value),
            "max-parallel" => plan.max_parallel = count(value),
            "pools" => plan.pools = counts(value),
            "lock" => plan.lock = lock(value),
            "timeout" => plan.timeout = span(value),
            "slo" => plan.slo = parts::slo(value),
            "on-failure" => plan.on_failure = on_failure(&value),
            "heal-depth" => plan.heal_depth = count(value),
            "defaults" => plan.defaults = parts::defaults(value),
            "allow-outside" => plan.allow_outside = boolean(&value).is_some_and(|on| on.value),
            "groups" => plan.groups = named(value).into_iter().map(group).collect(),
            "actions" => plan.actions = actions(value, check),
            "stages" => plan.stages = stages(value, check),
            "finally" => plan.finally = Some(finally(value, check)),
            _ => ignored(&key, &FILE),
        }
    }
    plan
}

/// Whether every stage of the file has a name, so that [`read`] leaves none out.
pub(super) fn has_all_stages(tree: &Tree) -> bool {
    let Kind::Map(entries) = &tree.kind else { return false };
    entries.iter().all(|(key, value)| match (&*key.text, &value.kind) {
        ("stages", _) => are_named(value),
        ("finally", Kind::Map(entries)) => {
            entries.iter().all(|(key, value)| &*key.text != "stages" || are_named(value))
        }
        ("finally", _) => false,
        _ => true,
    }) && entries.iter().any(|(key, _)| &*key.text == "stages")
}

fn are_named(stages: &Tree) -> bool {
    let has_id = |item: &Tree| match &item.kind {
        Kind::Map(entries) => entries.iter().any(|(key, id)| &*key.text == "id" && id.as_str().is_some()),
        _ => false,
    };
    match &stages.kind {
        Kind::Map(_) => true,
        Kind::List(items) => items.iter().all(has_id),
        _ => false,
    }
}

/// A plan with nothing in it, at the start of the file called `path`.
pub(in crate::plan) fn empty(at: Place, path: &str) -> Plan {
    Plan {
        file: at.file,
        name: Spanned::new(stem(path).into(), Place { end: at.start, ..at }),
        description: None,
        inputs: Vec::new(),
        outputs: Vec::new(),
        vars: Vec::new(),
        environment: None,
        max_parallel: None,
        pools: Vec::new(),
        lock: None,
        timeout: None,
        slo: None,
        on_failure: None,
        heal_depth: None,
        defaults: Common::default(),
        allow_outside: false,
        groups: Vec::new(),
        actions: Vec::new(),
        stages: Vec::new(),
        finally: None,
        partial: false,
        lacks_stages: false,
    }
}

/// The file's name without folder and ending, as a name: what an id may not hold becomes `-`.
fn stem(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem).to_lowercase();
    let clean = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let name: String = stem.chars().map(clean).skip_while(|c| !c.is_ascii_lowercase()).take(64).collect();
    if name.is_empty() { "plan".to_owned() } else { name }
}

/// Names and counts.
pub(super) fn counts(tree: Tree) -> Vec<(Spanned<Text>, Setting<u32>)> {
    named(tree).into_iter().filter_map(|(name, value)| Some((name, count(value)?))).collect()
}

/// A failure policy that is built.
pub(super) fn on_failure(tree: &Tree) -> Option<Spanned<OnFailure>> {
    let words = [
        ("drain", OnFailure::Drain),
        ("kill", OnFailure::Kill),
        ("continue", OnFailure::Continue),
        ("rollback", OnFailure::Rollback),
    ];
    word(tree, &words)
}

fn input((name, tree): (Spanned<Text>, Tree)) -> Input {
    let mut input = Input {
        name,
        kind: Type::String,
        description: None,
        default: None,
        one_of: None,
        pattern: None,
        min: None,
        max: None,
        from_env: None,
        secret: None,
    };
    for (key, value) in entries(tree) {
        match &*key.text {
            "secret" => input.secret = (value.kind == Kind::Bool(true)).then_some(value.at),
            "type" => input.kind = kind(&value).unwrap_or(Type::String),
            "description" => input.description = words(value),
            "default" => input.default = Some(value),
            "enum" => input.one_of = Some(items(value)),
            "pattern" => input.pattern = text(value),
            "min" => input.min = Some(value),
            "max" => input.max = Some(value),
            "from-env" => input.from_env = text(value),
            _ => ignored(&key, &INPUT),
        }
    }
    input
}

fn output((name, tree): (Spanned<Text>, Tree)) -> Option<FileOutput> {
    if tree.as_str().is_some() {
        return Some(FileOutput { name, kind: Type::String, value: tree });
    }
    let (mut declared, mut found) = (Type::String, None);
    for (key, value) in entries(tree) {
        match &*key.text {
            "type" => declared = kind(&value).unwrap_or(Type::String),
            "value" => found = template(value),
            "description" => {}
            _ => ignored(&key, &OUTPUT),
        }
    }
    Some(FileOutput { name, kind: declared, value: found? })
}

fn lock(tree: Tree) -> Option<Lock> {
    let (mut name, mut on_busy, mut wait) = (None, OnBusy::Wait, None);
    for (key, value) in entries(tree) {
        match &*key.text {
            "name" => name = template(value),
            "on-busy" => {
                let words = [("wait", OnBusy::Wait), ("fail", OnBusy::Fail), ("skip", OnBusy::Skip)];
                on_busy = word(&value, &words).map_or(OnBusy::Wait, |word| word.value);
            }
            "wait" => wait = span(value),
            _ => ignored(&key, &LOCK),
        }
    }
    Some(Lock { name: name?, on_busy, wait })
}

fn group((name, tree): (Spanned<Text>, Tree)) -> Group {
    let mut group =
        Group { name, description: None, on_failure: None, slo: None, readiness: None, background: None };
    for (key, value) in entries(tree) {
        match &*key.text {
            "description" => group.description = words(value),
            "on-failure" => group.on_failure = on_failure(&value),
            "slo" => group.slo = parts::slo(value),
            "background" => group.background = boolean(&value),
            "readiness" => {
                group.readiness =
                    word(&value, &[("required", Readiness::Required), ("optional", Readiness::Optional)]);
            }
            _ => ignored(&key, &GROUP),
        }
    }
    group
}

/// Actions: stages without a place in the DAG.
fn actions(tree: Tree, check: &mut Check<'_>) -> Vec<(Spanned<Text>, Stage)> {
    let action = |(key, value): (Key, Tree)| {
        let id = name(key);
        (id.clone(), stage::action(id, value, check))
    };
    entries(tree).into_iter().map(action).collect()
}

/// Stages, spelled as a map or as a list whose items carry `id`.
fn stages(tree: Tree, check: &mut Check<'_>) -> Vec<Stage> {
    match tree.kind {
        Kind::Map(entries) => {
            entries.into_iter().map(|(key, value)| stage::stage(name(key), value, check)).collect()
        }
        Kind::List(items) => items.into_iter().filter_map(|item| listed(item, check)).collect(),
        _ => Vec::new(),
    }
}

/// A stage of a list.
fn listed(mut item: Tree, check: &mut Check<'_>) -> Option<Stage> {
    let Kind::Map(entries) = &mut item.kind else { return None };
    let at = entries.iter().position(|(key, _)| &*key.text == "id")?;
    let id = text(entries.remove(at).1)?;
    Some(stage::stage(id, item, check))
}

fn finally(tree: Tree, check: &mut Check<'_>) -> Finally {
    let mut finally = Finally { at: tree.at, budget: None, stages: Vec::new() };
    for (key, value) in entries(tree) {
        match &*key.text {
            "budget" => finally.budget = span(value),
            "stages" => finally.stages = stages(value, check),
            _ => ignored(&key, &FINALLY),
        }
    }
    finally
}
