//! A stage and an action.

use super::body::{self, Parts, Written};
use super::check::Check;
use super::parts;
use super::values::{boolean, entries, ignored, items, kind, named, span, template, text, texts, word, words};
use crate::base::Text;
use crate::plan::error::Diagnostic;
use crate::plan::model::{Body, Command, Common, EnvVerb, Lifetime, Output, Remedy, Rollback, Stage, Type};
use crate::plan::schema::tables::{ACTION, HEAL_BODY, ROLLBACK_BODY, STAGE};
use crate::plan::source::{Place, Spanned};
use crate::plan::tree::{Key, Kind, Tree};

/// The stage `id`.
pub(super) fn stage(id: Spanned<Text>, tree: Tree, check: &mut Check<'_>) -> Stage {
    let mut stage = empty(id);
    if !matches!(tree.kind, Kind::Map(_)) {
        return stage;
    }
    let mut body = Parts::default();
    let written = entries(tree);
    let keys = names(&written);
    for (key, value) in written {
        let Some(value) = work(&mut stage, &key, value) else { continue };
        match &*key.text {
            "group" => stage.group = text(value),
            "background" => stage.background = boolean(&value),
            "needs" => stage.needs = items(value).into_iter().filter_map(parts::need).collect(),
            "if" => stage.condition = condition(value),
            "run" => body.run = Some((key.at, value)),
            "uses" => body.uses = Some((key.at, value)),
            "with" => body.with = Some(value),
            "matrix" => stage.matrix = matrix(value, check),
            "shards" => stage.shards = parts::shards(value, check),
            "on-failure" => stage.on_failure = super::file::on_failure(&value),
            "slo" => stage.slo = parts::slo(value),
            _ => ignored(&key, &STAGE),
        }
    }
    stage.body = body::read(&stage.id, body, &keys, check);
    drop_gate_keys(&mut stage);
    if let (Body::Env { at, verb: EnvVerb::Render, .. }, true) = (&stage.body, stage.outputs.is_empty()) {
        stage.outputs = rendered_outputs(*at);
    }
    if let Body::Gate { at, .. } = &stage.body {
        stage.outputs = gate_outputs(*at);
    }
    stage
}

/// What every gate that asks by itself leaves, whatever its verdict.
fn gate_outputs(at: Place) -> Vec<Output> {
    let output = |name: &str| Output { name: Spanned::new(name.into(), at), kind: Type::String };
    crate::gate::verdict::OUTPUTS.map(output).into()
}

/// What `env.render` gives without being asked.
fn rendered_outputs(at: Place) -> Vec<Output> {
    let output = |(name, kind): (&str, Type)| Output { name: Spanned::new(name.into(), at), kind };
    [("number", Type::Int), ("redacted_sha256", Type::String), ("manifest", Type::String)].map(output).into()
}

/// The action `id`.
pub(super) fn action(id: Spanned<Text>, tree: Tree, check: &mut Check<'_>) -> Stage {
    let mut stage = empty(id);
    let mut script = None;
    let mut shell = None;
    for (key, value) in entries(tree) {
        if &*key.text == "shell" {
            shell = Some(key.at);
        }
        let Some(value) = work(&mut stage, &key, value) else { continue };
        match &*key.text {
            "run" => script = parts::command(value),
            _ => ignored(&key, &ACTION),
        }
    }
    if let (Some(Command::Argv(..)), Some(at)) = (&script, shell) {
        let diagnostic = Diagnostic::error("plan::misplaced-key", at, "`shell` does not fit this action");
        check.push(diagnostic.help("a list is run without a shell; write `run` as text to use one"));
    }
    if let Some(script) = script {
        stage.body = Body::Run(script);
    }
    stage
}

/// Reads a key that stages and actions share; gives the value back when it is another key.
fn work(stage: &mut Stage, key: &Key, value: Tree) -> Option<Tree> {
    let value = parts::shared(&mut stage.common, key, value)?;
    match &*key.text {
        "description" => stage.description = words(value),
        "pools" => stage.pools = parts::weights(value),
        "allow-failure" => stage.allow_failure = parts::allow_failure(value),
        "idempotent" => stage.idempotent = boolean(&value),
        "done-if" => stage.done_if = done_if(value),
        "lifetime" => stage.lifetime = lifetime(&value),
        "outputs" => stage.outputs = outputs(value),
        "artifacts" => stage.artifacts = texts(value),
        "secrets" => stage.secrets = parts::secrets(value),
        "rollback" => stage.rollback = rollback(&stage.id, value),
        "heal" => stage.heal = items(value).into_iter().filter_map(|body| remedy(&stage.id, body)).collect(),
        "cache" => stage.cache = matches!(value.kind, Kind::Map(_)).then(|| parts::cache(value)),
        _ => return Some(value),
    }
    None
}

/// A stage without anything but its id.
fn empty(id: Spanned<Text>) -> Stage {
    let body = Body::Run(Command::Argv(id.at, Vec::new()));
    Stage::new(id, body)
}

/// `rollback`: a word, or a body, which is read as a stage of the same name.
fn rollback(id: &Spanned<Text>, tree: Tree) -> Option<Rollback> {
    match tree.as_str() {
        Some("none") => return Some(Rollback::Nothing),
        Some("forward-only") => return Some(Rollback::Never),
        _ if !matches!(tree.kind, Kind::Map(_)) => return None,
        _ => {}
    }
    let mut body = empty(Spanned::new(id.value.clone(), tree.at));
    for (key, value) in entries(tree) {
        let Some(value) = parts::shared(&mut body.common, &key, value) else { continue };
        match &*key.text {
            "run" => body.body = Body::Run(parts::command(value)?),
            "idempotent" => body.idempotent = boolean(&value),
            "done-if" => body.done_if = done_if(value),
            _ => ignored(&key, &ROLLBACK_BODY),
        }
    }
    Some(Rollback::Body(Box::new(body)))
}

/// One item of `heal`: a body, which is read as a stage of the same name.
fn remedy(id: &Spanned<Text>, tree: Tree) -> Option<Remedy> {
    let mut body = empty(Spanned::new(id.value.clone(), tree.at));
    let mut cool_down = None;
    for (key, value) in entries(tree) {
        let Some(value) = parts::shared(&mut body.common, &key, value) else { continue };
        match &*key.text {
            "run" => body.body = Body::Run(parts::command(value)?),
            "cool-down" => cool_down = span(value),
            _ => ignored(&key, &HEAL_BODY),
        }
    }
    Some(Remedy { body: Box::new(body), cool_down })
}

/// The keys of a stage and where they stand.
fn names(written: &[(Key, Tree)]) -> Vec<Written> {
    let decides = |key: &str| matches!(key, "uses" | "with" | "shell" | "on-failure");
    // Only these four matter to a stage without `uses`, so the common stage copies no key at all.
    let has_uses = written.iter().any(|(key, _)| &*key.text == "uses");
    written
        .iter()
        .filter(|(key, _)| has_uses || decides(&key.text))
        .map(|(key, _)| (key.text.clone(), key.at))
        .collect()
}

/// What the body's rules have refused must not reach the graph.
fn drop_gate_keys(stage: &mut Stage) {
    if matches!(stage.body, Body::File { .. } | Body::Approval { .. }) {
        let timeout = stage.common.timeout.take();
        stage.common = Common::default();
        stage.common.timeout = timeout;
        if stage.shards.is_some() || stage.done_if.is_some() {
            stage.shards = None;
            stage.done_if = None;
        }
    }
}

/// `if`: text stays, a boolean becomes the expression of the same word.
fn condition(tree: Tree) -> Option<Tree> {
    match tree.kind {
        Kind::Bool(on) => {
            let text = if on { "true" } else { "false" };
            Some(Tree { at: tree.at, kind: Kind::Str { text: text.into(), plain: Some(tree.at.start) } })
        }
        _ => template(tree),
    }
}

fn matrix(tree: Tree, check: &mut Check<'_>) -> Option<crate::plan::model::Matrix> {
    matches!(tree.kind, Kind::Map(_)).then(|| parts::matrix(tree, check))
}

fn done_if(tree: Tree) -> Option<Command> {
    let run = entries(tree).into_iter().find(|(key, _)| &*key.text == "run")?.1;
    parts::command(run)
}

fn lifetime(tree: &Tree) -> Option<Spanned<Lifetime>> {
    word(tree, &[Lifetime::Stage, Lifetime::Run, Lifetime::Host].map(|lifetime| (lifetime.word(), lifetime)))
}

fn outputs(tree: Tree) -> Vec<Output> {
    let output = |(name, tree): (Spanned<Text>, Tree)| Some(Output { name, kind: kind(&tree)? });
    named(tree).into_iter().filter_map(output).collect()
}
