//! `engine env check`

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::args::CheckArgs;
use super::{count, document, findings, has_errors, open, tell, today};
use crate::cli::exit::Exit;
use crate::cli::fault::Answer;
use crate::cli::print;
use crate::cli::settings::Settings;
use crate::driver::environments::check::{self, Age, Values};
use crate::driver::environments::{Opened, sources};
use crate::plan::environment::Environment;
use crate::plan::{Diagnostic, Report};

/// What was found out about one environment.
struct Checked {
    keys: usize,
    secrets: usize,
    ages: Vec<Age>,
    found: Vec<Diagnostic>,
}

/// Checks each environment.
pub(super) fn run(args: &CheckArgs, settings: &Settings) -> Answer {
    let names: Vec<&str> = args.names.iter().map(String::as_str).collect();
    let opened = open(&names, &args.stage, args.json, settings)?;
    let mut all: Vec<Diagnostic> = [opened.faults.clone(), opened.broken.clone()].concat();
    let mut checked = Vec::new();
    for environment in &opened.environments {
        let found = look(environment, args.declared, settings);
        all.extend(found.found.iter().cloned());
        checked.push(found);
    }
    all.dedup();
    let is_bad = has_errors(&all);
    if args.json {
        print::json(&as_json(&opened, &checked, &all, is_bad));
    } else {
        for (environment, found) in opened.environments.iter().zip(&checked).filter(|_| !settings.quiet) {
            print::out(&as_text(environment, found));
        }
        tell(&all, &opened.sources, false, settings);
    }
    Ok(if is_bad { Exit::Environment } else { Exit::Success })
}

/// Asks the machine.
fn look(environment: &Environment, declared: bool, settings: &Settings) -> Checked {
    let mut report = Report::default();
    let mut values = Values::new();
    if !declared {
        values = check::fetch(environment, &sources(&settings.root), &mut report);
        check::secrets(environment, &values, &mut report);
        check::ports(environment, &mut report);
        check::tracked(environment, &settings.root, &mut report);
    }
    let ages = check::rotations(environment, &values, today(), &mut report);
    check::checksums(environment, &values, &settings.root, &mut report);
    let secrets = environment.secrets().count();
    Checked { keys: environment.entries.len(), secrets, ages, found: report.sorted() }
}

fn as_text(environment: &Environment, found: &Checked) -> String {
    let layers: Vec<&str> = environment.layers.iter().rev().map(|layer| layer.name.as_str()).collect();
    let mut out = format!(
        "{}: {}, {} of them secret, from {}\n",
        environment.name,
        count(found.keys, "key"),
        found.secrets,
        layers.join(" → ")
    );
    let width = found.ages.iter().map(|age| age.key.len()).max().unwrap_or(0);
    for age in &found.ages {
        let state = age.state.word();
        let days = match age.state {
            crate::plan::environment::parity::Rotation::Unknown => format!("at most {} days", age.most),
            _ => format!("{} of {} days", age.days, age.most),
        };
        let waived = age.waived.as_ref().map(|ticket| format!(", waived by {ticket}")).unwrap_or_default();
        let _ = writeln!(out, "  rotation  {:<width$}  {state:<7}  {days}{waived}", age.key);
    }
    for line in environment.policy.lines() {
        let _ = writeln!(out, "  policy    {line}");
    }
    out
}

fn as_json(opened: &Opened, checked: &[Checked], all: &[Diagnostic], is_bad: bool) -> Value {
    let environments: Vec<Value> = opened
        .environments
        .iter()
        .zip(checked)
        .map(|(environment, found)| {
            let ages = found.ages.iter().map(|age| {
                json!({"key": age.key, "state": age.state.word(), "days": age.days, "most": age.most, "waived": age.waived})
            });
            json!({
                "environment": environment.name, "keys": found.keys, "secrets": found.secrets,
                "rotation": ages.collect::<Vec<_>>(), "policy": environment.policy.lines(),
            })
        })
        .collect();
    let findings = findings(all, &opened.sources);
    document(&[("ok", json!(!is_bad)), ("environments", json!(environments)), ("findings", findings)])
}
