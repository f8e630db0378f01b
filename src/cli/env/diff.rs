//! `engine env diff`

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::args::DiffArgs;
use super::document;
use super::render::{differences, make};
use crate::cli::exit::Exit;
use crate::cli::fault::Answer;
use crate::cli::print;
use crate::cli::settings::Settings;
use crate::driver::environments::drift::{self, Drift};
use crate::driver::environments::render::Targets;

/// Shows what rendering would change, and how the files of the last rendering stand now. Writes nothing.
pub(super) fn run(args: &DiffArgs, settings: &Settings) -> Answer {
    let made = make(&args.name, &Targets::default(), (&args.stage, args.json), settings)?;
    let before = made.before.as_ref();
    let changes = differences(&made, before);
    let files = before.map(|manifest| &manifest.files[..]).unwrap_or_default();
    let hosts: Vec<(&str, Drift)> =
        files.iter().map(|record| (record.path.as_str(), drift::host(record, &made.key))).collect();
    let drifted = hosts.iter().filter(|(_, drift)| *drift != Drift::Same).count();
    if args.json {
        let host =
            |(path, drift): &(&str, Drift)| json!({"path": path, "state": drift.word(), "detail": detail(drift)});
        let change = |(name, text): &(String, String)| json!({"file": name, "text": text});
        print::json(&document(&[
            ("environment", json!(args.name)),
            ("rendered", before.map_or(Value::Null, |manifest| json!(manifest.number))),
            ("same", json!(changes.is_empty() && drifted == 0)),
            ("diff", changes.iter().map(change).collect()),
            ("host", hosts.iter().map(host).collect()),
        ]));
    } else if !settings.quiet {
        print::out(&as_text(&args.name, before.map(|manifest| manifest.number), &changes, &hosts));
    }
    Ok(if changes.is_empty() && drifted == 0 { Exit::Success } else { Exit::Differs })
}

fn as_text(name: &str, number: Option<u64>, changes: &[(String, String)], hosts: &[(&str, Drift)]) -> String {
    let mut out = match number {
        Some(number) if changes.is_empty() => {
            format!("{name}: rendering would change nothing since number {number}\n")
        }
        Some(number) => format!("{name}: rendering would change, since number {number}:\n"),
        None => format!("{name} was never rendered here; rendering would write:\n"),
    };
    for (file, text) in changes {
        let _ = writeln!(out, "{file}:");
        for line in text.lines() {
            let _ = writeln!(out, "  {line}");
        }
    }
    for (path, drift) in hosts {
        let words = match drift {
            Drift::Same => "as it was rendered".to_owned(),
            Drift::Missing => "is gone".to_owned(),
            Drift::Changed => "was changed since it was rendered".to_owned(),
            Drift::Mode(mode) => format!("has mode {mode} now"),
            Drift::Owner(user) => format!("belongs to the user {user} now"),
            Drift::Unreadable(why) => format!("cannot be read: {why}"),
        };
        let _ = writeln!(out, "{path}: {words}");
    }
    out
}

fn detail(drift: &Drift) -> Option<String> {
    match drift {
        Drift::Mode(text) | Drift::Unreadable(text) => Some(text.clone()),
        Drift::Owner(user) => Some(user.to_string()),
        Drift::Same | Drift::Missing | Drift::Changed => None,
    }
}
