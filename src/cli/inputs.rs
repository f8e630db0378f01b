//! Values for a plan's inputs: `--set key=value`, `--inputs FILE`, `ENGINE_INPUT_KEY`, the strongest first.

use super::args::{InputArgs, SelectArgs};
use super::exit::Exit;
use super::fault::Fault;
use super::settings::Settings;
use crate::driver::compile::{Input, Options};
use crate::plan::error;
use crate::plan::source::{Disk, File, Loader, Sources};
use crate::plan::tree::{Kind, Tree};
use crate::plan::{Report, read};
use crate::render::Value;

/// What comes from the environment with this prefix is an input.
const PREFIX: &str = "ENGINE_INPUT_";

/// All values that were given. A name of the environment is lower-cased; `_` may stand for `-`.
pub(super) fn given(args: &InputArgs, settings: &Settings) -> Result<Vec<Input>, Fault> {
    let mut inputs = Vec::new();
    for set in args.set.iter().rev() {
        let (name, text) = set.split_once('=').ok_or_else(|| {
            Fault::new(Exit::Usage, format!("`--set {set}` has no `=`")).help("write --set key=value")
        })?;
        inputs.push(text_input(name.trim(), text, format!("--set {name}=…")));
    }
    for path in args.inputs.iter().rev() {
        from_file(path, settings, &mut inputs)?;
    }
    let mut from_env: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(key, _)| key.starts_with(PREFIX) && key.len() > PREFIX.len())
        .collect();
    from_env.sort();
    for (key, value) in from_env {
        inputs.push(text_input(&key[PREFIX.len()..].to_ascii_lowercase(), &value, key.clone()));
    }
    Ok(inputs)
}

fn text_input(name: &str, text: &str, source: String) -> Input {
    Input { name: name.to_owned(), text: Some(text.to_owned()), value: None, source }
}

/// The typed values of a YAML, TOML or JSON file.
fn from_file(path: &std::path::Path, settings: &Settings, inputs: &mut Vec<Input>) -> Result<(), Fault> {
    let shown = path.display().to_string();
    let name = settings.path_from_root(path);
    let text = Disk::new(settings.root.clone())
        .allow_outside(true)
        .load(&name)
        .map_err(|why| Fault::new(Exit::Invalid, format!("`--inputs {shown}`: {why}")))?;
    let mut sources = Sources::default();
    let file = sources.add(File { path: shown.clone(), text: text.into() });
    let mut report = Report::default();
    let tree = read(&sources, file, &mut report);
    let entries = match tree.map(|tree| tree.kind) {
        Some(Kind::Map(entries)) if !report.has_errors() => entries,
        Some(_) if !report.has_errors() => {
            return Err(Fault::new(Exit::Invalid, format!("`{shown}` must be a map of input names to values")));
        }
        _ => {
            super::print::note(error::text(&report.sorted(), &sources, settings.color_err).trim_end());
            return Err(Fault::told(Exit::Invalid));
        }
    };
    for (key, tree) in entries {
        let source = sources.locate(key.at);
        inputs.push(Input { name: key.text.to_string(), text: None, value: Some(value(&tree)), source });
    }
    Ok(())
}

/// A tree as plain data.
fn value(tree: &Tree) -> Value {
    match &tree.kind {
        Kind::Null => Value::Null,
        Kind::Bool(value) => (*value).into(),
        Kind::Int(value) => (*value).into(),
        Kind::Float(value) => serde_json::Number::from_f64(*value).map_or(Value::Null, Value::Number),
        Kind::Str { text, .. } => text.to_string().into(),
        Kind::List(items) => items.iter().map(value).collect(),
        Kind::Map(entries) => {
            Value::Object(entries.iter().map(|(key, tree)| (key.text.to_string(), value(tree))).collect())
        }
    }
}

/// How many processors this machine gives us.
pub(super) fn processors() -> u32 {
    std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX))
}

/// What a plan is compiled for, from the command line.
pub(super) fn options(
    plan: &std::path::Path,
    (inputs, select): (&InputArgs, &SelectArgs),
    (jobs, keep_going): (Option<u32>, bool),
    settings: &Settings,
) -> Result<Options, Fault> {
    if jobs == Some(0) {
        return Err(Fault::new(Exit::Usage, "`--jobs 0` would run nothing").help("write --jobs 1 or more"));
    }
    Ok(Options {
        part: None,
        asks_caller: true,
        back_to: None,
        platform: None,
        overrides: false,
        path: settings.path_from_root(plan),
        inputs: given(inputs, settings)?,
        jobs,
        processors: processors(),
        keep_going,
        only: select.only.clone(),
        skip: select.skip.clone(),
        from: select.from.clone(),
        to: select.to.clone(),
    })
}
