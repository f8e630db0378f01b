//! `engine env explain`

use serde_json::{Value, json};

use super::args::{ExplainArgs, StageArgs};
use super::{document, open};
use crate::cli::exit::Exit;
use crate::cli::fault::{Answer, Fault};
use crate::cli::print;
use crate::cli::settings::Settings;
use crate::driver::environments::Opened;
use crate::plan::environment::{Entry, Environment};
use crate::plan::error::nearest;
use crate::render::secret::HIDDEN;

/// One leaf, and where it comes from.
struct Row {
    path: String,
    value: String,
    at: String,
    layer: String,
    /// Of a secret: where its value is.
    source: Option<String>,
}

/// Shows where values come from.
pub(super) fn run(args: &ExplainArgs, settings: &Settings) -> Answer {
    let is_key = |word: &&String| word.bytes().next().is_some_and(|c| c.is_ascii_uppercase() || c == b'_');
    let (keys, mut names): (Vec<&String>, Vec<&String>) = args.what.iter().partition(is_key);
    names.extend(&args.env);
    let [name] = names[..] else {
        let message = if names.is_empty() { "which environment?" } else { "one environment at a time" };
        return Err(Fault::new(Exit::Usage, message).help("engine env explain LOG_LEVEL --env staging"));
    };
    let opened = open(&[name], &StageArgs::default(), args.json, settings)?;
    let environment = &opened.environments[0];
    let wanted: Vec<&str> = if keys.is_empty() {
        environment.entries.keys().map(String::as_str).collect()
    } else {
        keys.iter().map(|key| key.as_str()).collect()
    };
    let mut rows = Vec::new();
    for key in &wanted {
        // `FLAGS.beta` asks for one entry of a map.
        let root = key.split('.').next().unwrap_or(key);
        let entry = environment.entries.get(root).ok_or_else(|| unknown(environment, root))?;
        rows.extend(explain(&opened, environment, root, entry).into_iter().filter(|row| is_under(&row.path, key)));
    }
    let policy = if keys.is_empty() { environment.policy.lines() } else { Vec::new() };
    if args.json {
        let one = |row: &Row| json!({"key": row.path, "value": row.value, "at": row.at, "layer": row.layer, "source": row.source});
        let keys: Vec<Value> = rows.iter().map(one).collect();
        print::json(&document(&[("environment", json!(name)), ("keys", json!(keys)), ("policy", json!(policy))]));
        return Ok(Exit::Success);
    }
    let width =
        |pick: fn(&Row) -> &str| rows.iter().map(|row| pick(row).chars().count()).max().unwrap_or(0).min(40);
    let (wide, long) = (width(|row| &row.path), width(|row| &row.value));
    for Row { path, value, at, layer, source } in &rows {
        let source = source.as_ref().map(|source| format!("  from {source}")).unwrap_or_default();
        print::line(&format!("{path:<wide$}  {value:<long$}  {layer}  {at}{source}"));
    }
    for line in policy {
        print::line(&format!("policy: {line}"));
    }
    Ok(Exit::Success)
}

fn is_under(path: &str, wanted: &str) -> bool {
    path == wanted || path.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.'))
}

fn explain(opened: &Opened, environment: &Environment, key: &str, entry: &Entry) -> Vec<Row> {
    let place = |at| {
        let whole = opened.sources.locate(at);
        whole.rsplit_once(':').map_or(whole.clone(), |(line, _)| line.to_owned())
    };
    if let Some(decl) = entry.secret() {
        return vec![Row {
            path: key.to_owned(),
            value: HIDDEN.to_owned(),
            at: place(entry.at),
            layer: environment.layer_of(entry.at).to_owned(),
            source: Some(decl.from.words()),
        }];
    }
    let leaves = entry.leaves(key).into_iter();
    leaves
        .map(|leaf| Row {
            path: leaf.path,
            value: leaf.value.as_str().map_or_else(|| leaf.value.to_string(), str::to_owned),
            at: place(leaf.at),
            layer: environment.layer_of(leaf.at).to_owned(),
            source: None,
        })
        .collect()
}

fn unknown(environment: &Environment, key: &str) -> Fault {
    match environment.rule(key) {
        Some(_) => Fault::new(Exit::NotFound, format!("`{}` gives no value for `{key}`", environment.name)),
        None => {
            let fault = Fault::new(Exit::NotFound, format!("the catalog has no key `{key}`"));
            let known = environment.catalog.keys.iter().map(|rule| rule.name.value.as_str());
            match nearest(key, known) {
                Some(near) => fault.help(format!("did you mean `{near}`?")),
                None => fault,
            }
        }
    }
}
