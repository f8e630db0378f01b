//! `engine env …`: environments checked, rendered, compared and explained.
//!
//! Exit codes: 3 when the files themselves are wrong, 9 when what they say does not hold here (a value breaks its rule, a
//! secret is missing or too old, a port is taken, git tracks a rendered file), 10 when there are differences over the
//! limit. Stages that use `env.check` and its like are this same program with these same verbs.

pub mod args;
mod check;
mod diff;
mod explain;
mod import;
mod parity;
mod render;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use self::args::{EnvArgs, EnvVerb, StageArgs};
use super::exit::Exit;
use super::fault::{Answer, Fault};
use super::print;
use super::settings::Settings;
use crate::driver::environments::{self, Error, Opened};
use crate::driver::guarded::Guarded;
use crate::driver::ports;
use crate::plan::error::{self, Severity};
use crate::plan::{Diagnostic, Sources};

/// Whether a verb asks commands for secrets, which must end with it. One that is a stage has an engine that sees to that.
pub(super) const fn is_guarded(args: &EnvArgs) -> bool {
    match &args.verb {
        EnvVerb::Check(args) => !args.declared && !args.stage.stage,
        EnvVerb::Render(args) => !args.stage.stage,
        EnvVerb::Diff(args) => !args.stage.stage,
        EnvVerb::Parity(_) | EnvVerb::Explain(_) | EnvVerb::Import(_) => false,
    }
}

/// Does what `engine env` was asked.
pub(super) fn run(args: &EnvArgs, settings: &Settings) -> Answer {
    // Held to the end: signals come by the front.
    let _guarded = Guarded::attach()?;
    match &args.verb {
        EnvVerb::Check(args) => check::run(args, settings),
        EnvVerb::Render(args) => render::run(args, settings),
        EnvVerb::Diff(args) => diff::run(args, settings),
        EnvVerb::Parity(args) => parity::run(args, settings),
        EnvVerb::Explain(args) => explain::run(args, settings),
        EnvVerb::Import(args) => import::run(args, settings),
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::new(Exit::Environment, error.to_string())
    }
}

/// The day it is, UTC.
fn today() -> Date {
    let now = jiff::Timestamp::from_millisecond(ports::wall_ms()).unwrap_or_default();
    now.to_zoned(TimeZone::UTC).date()
}

/// Reads environments. Faults of their files end the command: nothing they say can be trusted.
fn open(names: &[&str], stage: &StageArgs, as_json: bool, settings: &Settings) -> Result<Opened, Fault> {
    let opened = environments::open(&settings.root, names, Some(today()), |key| stage.platform(key));
    let is_wrong = opened.faults.iter().any(|one| one.severity == Severity::Error);
    if is_wrong || opened.environments.len() < names.len() {
        tell(&opened.faults, &opened.sources, as_json, settings);
        return Err(Fault::told(Exit::Invalid));
    }
    if let (Some(wanted), [environment, ..]) = (&stage.files_digest, &opened.environments[..]) {
        let found = environment.digest(&opened.sources).to_string();
        if found != *wanted {
            let message = format!("the files of `{}` have changed since the run was made", environment.name);
            let help = "take the change over with `engine resume --accept-changes`, or take it back";
            return Err(Fault::new(Exit::Invalid, message).help(help));
        }
    }
    Ok(opened)
}

/// Findings for people on standard error, or for programs on standard output.
fn tell(found: &[Diagnostic], sources: &Sources, as_json: bool, settings: &Settings) {
    if as_json {
        let mut out = document(&[]);
        out["ok"] = json!(false);
        out["findings"] = findings(found, sources);
        print::json(&out);
    } else if !found.is_empty() {
        print::note(error::text(found, sources, settings.color_err).trim_end());
    }
}

/// The findings as JSON, in the shape of `engine check --format json`.
fn findings(found: &[Diagnostic], sources: &Sources) -> Value {
    let mut whole: Value = serde_json::from_str(&error::json(found, sources)).unwrap_or_default();
    whole["diagnostics"].take()
}

/// A JSON document with its version, and `pairs`.
fn document(pairs: &[(&str, Value)]) -> Value {
    let mut out = json!({"version": 1});
    for (key, value) in pairs {
        out[*key] = value.clone();
    }
    out
}

fn has_errors(found: &[Diagnostic]) -> bool {
    found.iter().any(|one| one.severity == Severity::Error)
}

/// `1 key`, `2 keys`.
fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// Writes output values of a stage.
fn put_outputs(stage: &StageArgs, values: &[(&str, String)]) -> Result<(), Fault> {
    let Some(path) = std::env::var_os("ENGINE_OUTPUT").filter(|_| stage.outputs) else { return Ok(()) };
    let lines: Vec<String> = values.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    std::fs::write(&path, lines.concat())
        .map_err(|error| Fault::new(Exit::Environment, format!("`$ENGINE_OUTPUT` cannot be written: {error}")))
}
