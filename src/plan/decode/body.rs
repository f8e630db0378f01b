//! What a stage does: `run` or `uses`, and which keys may stand beside it.

use super::check::Check;
use super::values::{count, entries, named, text, texts};
use crate::base::Text;
use crate::plan::error::{Diagnostic, nearest};
use crate::plan::model::{Asked, Body, Command, Distinct, EnvVerb};
use crate::plan::schema::Table;
use crate::plan::schema::tables::{APPROVAL, ATTEST, ENV_ACTION, GATES};
use crate::plan::source::{Place, Spanned};
use crate::plan::tree::{Kind, Tree};

/// The actions that are built in.
pub(in crate::plan) const BUILT_INS: &[&str] = &[
    "approval",
    "http",
    "tcp",
    "command",
    "file",
    "prometheus",
    "log",
    "soak",
    "watch",
    "canary",
    "burn-rate",
    "attest",
    "env.check",
    "env.render",
    "env.diff",
    "env.parity",
];

/// The actions on environments, and what `with` may hold besides `environment`.
const ENV_ACTIONS: [(&str, EnvVerb, &[&str]); 4] = [
    ("env.check", EnvVerb::Check, &["declared"]),
    ("env.render", EnvVerb::Render, &["file", "to"]),
    ("env.diff", EnvVerb::Diff, &[]),
    ("env.parity", EnvVerb::Parity, &["with", "max-drift"]),
];

/// Keys that every stage may have.
const ALWAYS: &[&str] = &["description", "group", "background", "needs", "if", "matrix"];
/// Keys that `uses: approval` and `uses: attest` may have besides.
const GATE: &[&str] = &["uses", "with", "timeout", "allow-failure"];
/// Keys that a gate that asks by itself may have besides.
const ASKS: &[&str] =
    &["uses", "with", "timeout", "allow-failure", "pools", "env", "pass-env", "cwd", "secrets", "heal"];
/// Keys that `uses: ./file` may have besides.
const FILE: &[&str] = &["uses", "with", "on-failure", "secrets"];

/// The two keys that say what a stage does, and `with`.
#[derive(Default)]
pub(super) struct Parts {
    /// `run` and its key's place.
    pub run: Option<(Place, Tree)>,
    /// `uses` and its key's place.
    pub uses: Option<(Place, Tree)>,
    /// `with`.
    pub with: Option<Tree>,
}

/// A key of the stage, for the rules below.
pub(super) type Written = (Text, Place);

/// The body of the stage `id`; a body that does nothing when it could not be read.
pub(super) fn read(id: &Spanned<Text>, parts: Parts, keys: &[Written], check: &mut Check<'_>) -> Body {
    let nothing = Body::Run(Command::Argv(id.at, Vec::new()));
    match (parts.run, parts.uses) {
        (Some((run, _)), Some((uses, _))) => {
            let message = format!("stage `{}` has both `run` and `uses`", id.value);
            let help = "a stage does one thing: keep one of them";
            check.push(
                Diagnostic::error("plan::one-of", uses, message).related(run, "`run` stands here").help(help),
            );
            nothing
        }
        (None, None) => {
            let message = format!("stage `{}` has neither `run` nor `uses`", id.value);
            let help = "add `run: make` for a script, or `uses: ./file.yaml` for an action";
            check.push(Diagnostic::error("plan::one-of", id.at, message).help(help));
            nothing
        }
        (Some((_, run)), None) => run_body(run, keys, check).unwrap_or(nothing),
        (None, Some((_, uses))) => match text(uses) {
            Some(uses) => uses_body(uses, parts.with, keys, check).unwrap_or(nothing),
            None => nothing,
        },
    }
}

fn run_body(run: Tree, keys: &[Written], check: &mut Check<'_>) -> Option<Body> {
    refuse(keys, "with", "`with` gives values to what a stage `uses`; a `run` gets them through `env`", check);
    refuse(keys, "on-failure", NO_SCOPE, check);
    if matches!(run.kind, Kind::List(_)) {
        refuse(keys, "shell", "a list is run without a shell; write `run` as text to use one", check);
    }
    super::parts::command(run).map(Body::Run)
}

/// Why `on-failure` does not fit an ordinary stage.
const NO_SCOPE: &str = "a failure policy belongs to the plan, a group, a matrix (`matrix: {on-failure: …}`) or a `uses: ./file` stage";

/// Refuses one key.
fn refuse(keys: &[Written], name: &str, why: &str, check: &mut Check<'_>) {
    if let Some((key, at)) = keys.iter().find(|(key, _)| **key == *name) {
        let message = format!("`{key}` does not fit this stage");
        check.push(Diagnostic::error("plan::misplaced-key", *at, message).help(why));
    }
}

fn uses_body(uses: Spanned<Text>, with: Option<Tree>, keys: &[Written], check: &mut Check<'_>) -> Option<Body> {
    let name = uses.value.as_str();
    if name.contains("{{") {
        let message = "`uses` must be written out: what a plan consists of is known before anything runs";
        let help = "use two stages with an `if` each, or a `matrix`";
        check.push(Diagnostic::error("plan::bad-uses", uses.at, message).help(help));
        return None;
    }
    if is_file(name) {
        only(keys, &[ALWAYS, FILE], "a `uses: ./file` stage", check);
        let with = with.map(named).unwrap_or_default();
        return Some(Body::File { uses, action: usize::MAX, with });
    }
    if let Some((_, table)) = [("approval", &APPROVAL), ("attest", &ATTEST)].into_iter().find(|it| it.0 == name) {
        return Some(approval(uses.at, table, with, keys, check));
    }
    refuse(keys, "on-failure", NO_SCOPE, check);
    if let Some((_, verb, allowed)) = ENV_ACTIONS.iter().find(|(known, ..)| *known == name) {
        return Some(env_action(&uses, *verb, allowed, with, check));
    }
    if let Some(gate) = gate(&uses, with.as_ref(), keys, check) {
        return Some(gate);
    }
    if let Some(help) = looks_like_file(name) {
        let message = format!("`{name}` is no action's name");
        check.push(Diagnostic::error("plan::bad-uses", uses.at, message).help(help));
        return None;
    }
    Some(Body::Action { uses, with: with.map(named).unwrap_or_default() })
}

/// Whether `uses` names a file.
fn is_file(name: &str) -> bool {
    name.starts_with("./") || name.starts_with("../")
}

/// Help for a file's name without `./`.
fn looks_like_file(name: &str) -> Option<String> {
    let ends = [".yaml", ".yml", ".toml", ".json"].iter().any(|ending| name.ends_with(ending));
    if name.starts_with('/') {
        return Some("name a file from the file that uses it: `./lib/switch.yaml`".to_owned());
    }
    if name.contains("://") || name.contains('@') {
        return Some("files from elsewhere are not fetched: copy it into the project and use `./…`".to_owned());
    }
    (ends || name.contains('/')).then(|| format!("a file begins with `./`: write `./{name}`"))
}

/// `uses: approval`, or with `table` of a checklist `uses: attest`.
fn approval(
    at: Place,
    table: &'static Table,
    with: Option<Tree>,
    keys: &[Written],
    check: &mut Check<'_>,
) -> Body {
    let is_attest = table.name == ATTEST.name;
    only(keys, &[ALWAYS, GATE], if is_attest { "a checklist" } else { "an approval" }, check);
    let (mut prompt, mut asked) = (None, Asked::default());
    let written = match with {
        Some(with) if matches!(with.kind, Kind::Map(_)) => {
            let place = with.at;
            let written = entries(with);
            check.table(place, &written, table);
            written
        }
        _ => {
            if is_attest {
                check.table(at, &[], table);
            }
            Vec::new()
        }
    };
    for (key, value) in written {
        match &*key.text {
            "prompt" => prompt = Some(value).filter(|prompt| prompt.as_str().is_some()),
            "min" => asked.min = count(value),
            "distinct-from" => asked.distinct_from = texts(value).iter().filter_map(distinct).collect(),
            "items" if is_attest => {
                if matches!(&value.kind, Kind::Map(entries) if entries.is_empty()) {
                    let message = "a checklist has at least one item";
                    check.push(Diagnostic::error("plan::missing-key", key.at, message));
                }
                asked.items = named(value).into_iter().filter(|(_, text)| text.as_str().is_some()).collect();
            }
            _ => {}
        }
    }
    Body::Approval { at, prompt, asked: Box::new(asked) }
}

fn distinct(who: &Spanned<Text>) -> Option<Distinct> {
    match who.value.as_str() {
        "operator" => Some(Distinct::Operator),
        "author" => Some(Distinct::Author),
        _ => None,
    }
}

/// `uses: env.check` and its like.
fn env_action(
    uses: &Spanned<Text>,
    verb: EnvVerb,
    allowed: &[&str],
    with: Option<Tree>,
    check: &mut Check<'_>,
) -> Body {
    let mut written = Vec::new();
    if let Some(with) = with.filter(|with| matches!(with.kind, Kind::Map(_))) {
        let place = with.at;
        written = entries(with);
        check.table(place, &written, &ENV_ACTION);
        for (key, _) in &written {
            let is_known = ENV_ACTION.key(&key.text).is_some();
            if is_known && &*key.text != "environment" && !allowed.contains(&&*key.text) {
                let message = format!("`{}` does not fit `{}`", key.text, uses.value);
                check.push(Diagnostic::error("plan::misplaced-key", key.at, message));
            }
        }
    }
    let with = written.into_iter().map(|(key, value)| (super::values::name(key), value)).collect();
    Body::Env { at: uses.at, verb, with }
}

/// `uses: http` and its like.
fn gate(uses: &Spanned<Text>, with: Option<&Tree>, keys: &[Written], check: &mut Check<'_>) -> Option<Body> {
    let kind = *crate::gate::KINDS.iter().find(|kind| **kind == uses.value.as_str())?;
    let (_, table) = GATES.iter().find(|(known, _)| *known == kind)?;
    only(keys, &[ALWAYS, ASKS], "a gate", check);
    let Some(with) = with.filter(|with| matches!(with.kind, Kind::Map(_))) else {
        let message = format!("`{kind}` needs `with`: what it asks");
        check.push(Diagnostic::error("plan::missing-key", uses.at, message));
        return Some(Body::Gate { at: uses.at, kind, with: Vec::new() });
    };
    let written = entries(with.clone());
    check.table(with.at, &written, table);
    let with = written.into_iter().map(|(key, value)| (super::values::name(key), value)).collect();
    Some(Body::Gate { at: uses.at, kind, with })
}

/// Refuses every key that is not in one of `sets`.
fn only(keys: &[Written], sets: &[&[&str]], what: &str, check: &mut Check<'_>) {
    let known = |key: &str| sets.iter().any(|set| set.contains(&key));
    for (key, at) in keys.iter().filter(|(key, _)| !known(key)) {
        let message = format!("`{key}` does not fit {what}");
        let help = match &**key {
            "run" => continue,
            "done-if" | "idempotent" | "retry" | "idle-timeout" => {
                "it belongs to a stage that runs a process".to_owned()
            }
            "shards" => "put it at the stage of the file that has the items, or use `matrix`".to_owned(),
            "env" => "values reach a file through `with`, as `inputs`".to_owned(),
            other => match nearest(other, sets.iter().flat_map(|set| set.iter().copied())) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("{what} may have {}", listed(sets)),
            },
        };
        check.push(Diagnostic::error("plan::misplaced-key", *at, message).help(help));
    }
}

/// The keys of `sets` in backticks.
fn listed(sets: &[&[&str]]) -> String {
    sets.iter().flat_map(|set| set.iter()).map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}
