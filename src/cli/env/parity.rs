//! `engine env parity`

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::args::{ParityArgs, StageArgs};
use super::{document, open, tell, today};
use crate::cli::exit::Exit;
use crate::cli::fault::{Answer, Fault};
use crate::cli::print;
use crate::cli::settings::Settings;
use crate::driver::environments;
use crate::plan::environment::parity::{Comparison, Difference, compare, unused};
use crate::plan::environment::{Environment, Exception, share};
use crate::plan::{Diagnostic, Sources};

/// The limit when nobody says one, in hundredths of a percent.
const LIMIT: u32 = 500;

/// Compares two environments.
pub(super) fn run(args: &ParityArgs, settings: &Settings) -> Answer {
    // What the platform gives here says nothing of the files, which are what is compared.
    let stage = StageArgs { stage: true, platform: Vec::new(), ..args.stage.clone() };
    let opened = open(&[&args.name], &stage, args.json, settings)?;
    let own = &opened.environments[0];
    let rule = own.policy.parity.clone();
    let other = args.with.clone().or_else(|| rule.as_ref().map(|rule| own.sibling(&rule.with.value)));
    let other = other.ok_or_else(|| {
        Fault::new(Exit::Usage, format!("`{}` says nothing about parity", args.name))
            .help("name the other environment, or write `policy: {parity: {with: staging}}`")
    })?;
    let limit = match &args.max_drift {
        Some(text) => read_share(text)?,
        None => rule.map_or(LIMIT, |rule| rule.max_drift),
    };
    // Opened together, so that all have their places in the same sources; with those that an exception for the two names,
    // too, because it may be there for them.
    let mut names = vec![args.name.clone(), other];
    let is_asked = |own: &str| names.iter().any(|name| name.rsplit('/').next() == Some(own));
    let shared = own.exceptions.iter().filter(|one| one.environments.iter().any(|name| is_asked(&name.value)));
    let more: BTreeSet<String> = shared
        .flat_map(|one| &one.environments)
        .filter(|name| !is_asked(&name.value))
        .map(|name| own.sibling(&name.value))
        .collect();
    names.extend(more);
    drop(opened);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let opened = open(&names, &stage, args.json, settings)?;
    let [left, right, ..] = &opened.environments[..] else { return Err(Fault::told(Exit::Invalid)) };
    if left.folder != right.folder {
        let message = format!("`{}` and `{}` have different catalogs", left.name, right.name);
        return Err(Fault::new(Exit::Usage, message).help("environments of one folder can be compared"));
    }
    let stale: Vec<Diagnostic> = unused(&opened.environments, today()).into_iter().map(excuses_nothing).collect();
    if !stale.is_empty() {
        tell(&stale, &opened.sources, args.json, settings);
        return Err(Fault::told(Exit::Invalid));
    }
    let found = compare(left, right, limit, today());
    if args.json {
        print::json(&as_json(&found, left, right, &opened.sources));
    } else if !settings.quiet {
        print::out(&as_text(&found, left, right, &opened));
    }
    Ok(if found.passes() { Exit::Success } else { Exit::Differs })
}

/// Says that an exception is there for nothing: the next difference would be excused by what was agreed on for another.
fn excuses_nothing(exception: &Exception) -> Diagnostic {
    let names: Vec<String> = exception.environments.iter().map(|name| format!("`{}`", name.value)).collect();
    let message = format!(
        "{} do not differ in `{}`, so this exception excuses nothing",
        names.join(" and "),
        exception.key.value
    );
    let help = format!("take it out, and close `{}`", exception.ticket.value);
    Diagnostic::error("env::unused-exception", exception.key.at, message).help(help)
}

/// `5%` in hundredths of a percent.
fn read_share(text: &str) -> Result<u32, Fault> {
    let number = text.strip_suffix('%').and_then(|number| number.parse::<f64>().ok());
    let share = number.filter(|share| (0.0..=100.0).contains(share));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded on the line above")]
    let share = share.map(|share| (share * 100.0).round() as u32);
    share.ok_or_else(|| {
        Fault::new(Exit::Usage, format!("`--max-drift {text}` is no share in percent")).help("write 5%")
    })
}

fn as_text(found: &Comparison, left: &Environment, right: &Environment, opened: &environments::Opened) -> String {
    let mut out = String::new();
    for one in &found.differences {
        let excuse = one.ticket.as_ref().map(|ticket| format!("  (excused by {ticket})")).unwrap_or_default();
        let _ = writeln!(out, "  {:<13}  {}  {}{excuse}", one.kind.word(), one.key, words(one, left, right));
        for at in [one.left_at, one.right_at].into_iter().flatten() {
            let _ = writeln!(out, "  {:<13}    {}", "", opened.sources.locate(at));
        }
    }
    let verdict = if found.passes() { "pass" } else { "fail" };
    let _ = writeln!(
        out,
        "{} and {}: {} of {} keys differ, drift {:.1}%, limit {}, {} missing: {verdict}",
        left.name,
        right.name,
        found.unexcused,
        found.keys,
        found.drift(),
        share(found.limit),
        found.missing
    );
    if !found.passes() && found.allows_none() {
        let _ = writeln!(out, "with {} keys a single difference is over the limit", found.keys);
    }
    out
}

fn words(one: &Difference, left: &Environment, right: &Environment) -> String {
    let shown = |value: &Option<Value>| match value {
        Some(value) => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
        None if one.is_secret => "***".to_owned(),
        None => "nothing".to_owned(),
    };
    match one.kind {
        crate::plan::environment::parity::Kind::MissingRight => format!("only in {}", left.own_name()),
        crate::plan::environment::parity::Kind::MissingLeft => format!("only in {}", right.own_name()),
        crate::plan::environment::parity::Kind::Value => format!("{} ≠ {}", shown(&one.left), shown(&one.right)),
        crate::plan::environment::parity::Kind::Rotation => "rotated at different ages".to_owned(),
    }
}

fn as_json(found: &Comparison, left: &Environment, right: &Environment, sources: &Sources) -> Value {
    let one = |it: &Difference| {
        json!({
            "key": it.key, "kind": it.kind.word(), "secret": it.is_secret, "left": it.left, "right": it.right,
            "left_at": it.left_at.map(|at| sources.locate(at)), "right_at": it.right_at.map(|at| sources.locate(at)),
            "ticket": it.ticket,
        })
    };
    document(&[
        ("left", json!(left.name)),
        ("right", json!(right.name)),
        ("keys", json!(found.keys)),
        ("unexcused", json!(found.unexcused)),
        ("missing", json!(found.missing)),
        ("drift_percent", json!(found.drift())),
        ("limit_percent", json!(f64::from(found.limit) / 100.0)),
        ("pass", json!(found.passes())),
        ("differences", found.differences.iter().map(one).collect()),
    ])
}
