//! `engine verify`, `engine explain`, `engine schema`, `engine report`, `engine gc`.

use jiff::tz::TimeZone;

use super::args::{ExplainArgs, GcArgs, ReportArgs, ReportFormat, SchemaArgs, SchemaOf, VerifyArgs};
use super::exit::Exit;
use super::fault::{Answer, Fault};
use super::forecast::{self, ItemsPast};
use super::settings::Settings;
use super::{find, logs, print, timebox};
use crate::base::Span;
use crate::driver::compile::Expected;
use crate::driver::deep::{self, Deep};
use crate::driver::{begin, ports};
use crate::journal::{self, Holder, Tail, gc};
use crate::plan::error::nearest;
use crate::plan::{codes, schema};
use crate::report::{Observer as _, View, events, html, json, junit, markdown};

/// Checks that a run's record is whole.
pub(super) fn verify(args: &VerifyArgs, settings: &Settings) -> Answer {
    let state = find::state(settings)?;
    let dir = find::run_or_latest(&state, args.run.as_deref())?;
    let found = journal::verify(&dir)?;
    let mut damage: Vec<String> = found.damage.iter().map(ToString::to_string).collect();
    // What lies behind damage cannot be trusted, nor computed from.
    let deep = (args.deep && found.is_whole()).then(|| look_deep(&state, &dir)).transpose()?;
    damage.extend(deep.iter().flat_map(|deep| deep.faults.iter().cloned()));
    let is_whole = damage.is_empty();
    let torn = match found.tail {
        Tail::Whole => 0,
        Tail::Torn { bytes, .. } => bytes,
    };
    if args.json {
        print::json(&serde_json::json!({
            "version": 1, "run": dir.id().as_str(), "whole": is_whole, "events": found.events,
            "bytes": found.bytes, "files": found.files, "chain": found.chain.to_string(),
            "torn_bytes": torn, "damage": damage,
            "deep": deep.as_ref().map(|deep| serde_json::json!({
                "results": deep.results, "roots": deep.roots, "files": deep.files,
                "signatures": deep.signatures,
            })),
        }));
    } else if is_whole {
        print::line(&format!("run {} is whole: {} events, {} plan files", dir.id(), found.events, found.files));
        print::line(&format!("chain {}", found.chain));
        if let Some(deep) = &deep {
            let Deep { results, roots, files, signatures, .. } = deep;
            print::line(&format!("{results} results of shards, {roots} roots and {files} files are as recorded"));
            if *signatures > 0 {
                print::line(&format!(
                    "{signatures} of the approvals are signed, each by one whom the policy names"
                ));
            }
        }
        if torn > 0 {
            print::line(&format!("{torn} bytes at the end were never acknowledged; a resume cuts them"));
        }
    } else {
        for one in &damage {
            print::note(&format!("error: {one}"));
        }
        print::note(&format!("help: run {} cannot be trusted from there on; restore it from a copy", dir.id()));
    }
    Ok(if is_whole { Exit::Success } else { Exit::Damaged })
}

/// Computes what a whole record says again.
fn look_deep(state: &journal::StateDir, dir: &journal::RunDir) -> Result<Deep, Fault> {
    let read = begin::Read::open(dir.clone(), &Expected::default())?;
    Ok(deep::check(&read, state))
}

/// Explains an error code, or lists all codes.
pub(super) fn explain(args: &ExplainArgs) -> Answer {
    let Some(code) = &args.code else {
        for code in codes::all() {
            print::line(&format!("{:<32} {}", code.code, code.title));
        }
        return Ok(Exit::Success);
    };
    match codes::page(code) {
        Some(page) => {
            print::out(&explained(page));
            Ok(Exit::Success)
        }
        None => {
            let fault = Fault::new(Exit::NotFound, format!("no error code `{code}`"));
            Err(match nearest(code, codes::all().iter().map(|code| code.code)) {
                Some(near) => fault.help(format!("did you mean `{near}`?")),
                None => fault.help("list them: engine explain"),
            })
        }
    }
}

/// A code's page.
fn explained(page: &codes::Page) -> String {
    let indent = |plan: &str| plan.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n");
    let mut text = format!("{}: {}\n\n{}\n", page.code, page.title, page.text.trim_end());
    if !page.bad.is_empty() {
        text = format!("{text}\nThis has it:\n\n{}\n", indent(page.bad));
    }
    if !page.good.is_empty() {
        text = format!("{text}\nThis is right:\n\n{}\n", indent(page.good));
    }
    text
}

/// Prints the JSON Schema of plan files.
pub(super) fn schema(args: &SchemaArgs) -> Exit {
    print::json(&match args.file {
        SchemaOf::Plan => schema::json_schema(),
        SchemaOf::Environment => schema::file_schema(&schema::tables::ENVIRONMENT),
        SchemaOf::Catalog => schema::file_schema(&schema::tables::CATALOG),
        SchemaOf::Service => schema::service_schema(),
        SchemaOf::Exceptions => schema::file_schema(&schema::tables::EXCEPTIONS),
    });
    Exit::Success
}

/// Writes a report of a run.
pub(super) fn report(args: &ReportArgs, settings: &Settings) -> Answer {
    let state = find::state(settings)?;
    let read = find::read(find::run_or_latest(&state, args.run.as_deref())?)?;
    let is_alive = journal::is_live(&read.dir)?;
    let mut view = find::view(&read, is_alive);
    // It is held against what was expected when it began.
    forecast::tell(&mut view, ItemsPast::default());
    forecast::foresee(&mut view);
    let stored = logs::Stored::new(&read);
    let text = if args.json {
        let mut status = json::Status::new(&view, read.last_at(), is_alive);
        status.more.insert("expected_ms".to_owned(), serde_json::json!(view.foreseen().map(Span::ms)));
        let error = serde_json::json!(view.forecast_error());
        status.more.insert("forecast_error_percent".to_owned(), error);
        serde_json::to_string_pretty(&status).expect("a JSON value is always written") + "\n"
    } else {
        match args.format {
            ReportFormat::Summary => markdown::render(&view, &stored),
            ReportFormat::Html => html::render(&view, &stored, &TimeZone::system()),
            ReportFormat::Junit => junit::render(&view, &stored),
            ReportFormat::Events => {
                let mut lines = events::Lines::new(View::new(read.graphs.clone()), Vec::new());
                for (seq, at, event) in &read.records {
                    lines.record(*seq, *at, event);
                }
                String::from_utf8_lossy(&lines.into_inner()).into_owned()
            }
        }
    };
    match &args.out {
        None => print::out(&text),
        Some(path) => std::fs::write(path, text).map_err(|error| {
            Fault::new(Exit::Environment, format!("cannot write `{}`: {error}", path.display()))
        })?,
    }
    Ok(Exit::Success)
}

/// Deletes old runs.
pub(super) fn gc(args: &GcArgs, settings: &Settings) -> Answer {
    let state = find::state(settings)?;
    let age = Span::parse(&args.younger).ok_or_else(|| {
        if Span::is_too_long(&args.younger) {
            return timebox::too_long("--younger", &args.younger);
        }
        Fault::new(Exit::Usage, format!("`--younger {}` is no duration", args.younger))
            .help("write 7d, 12h or 1h30m")
    })?;
    let wall_ms = ports::wall_ms();
    let since_ms = wall_ms.saturating_sub(i64::try_from(age.ms()).unwrap_or(i64::MAX));
    let rule = gc::Rule { keep: args.keep, since_ms };
    let sweep = if args.dry_run {
        gc::plan(&state, rule)?
    } else {
        gc::act(&state, rule, &Holder { pid: std::process::id(), wall_ms })?
    };
    for run in &sweep.forgotten {
        print::note(&format!("note: the disk is full: what run {run} took is not kept for forecasts"));
    }
    let bytes: u64 =
        sweep.runs.iter().map(|(_, bytes)| bytes).chain(sweep.objects.iter().map(|(_, bytes)| bytes)).sum();
    if args.json {
        let runs: Vec<_> = sweep
            .runs
            .iter()
            .map(|(run, bytes)| serde_json::json!({"run": run.as_str(), "bytes": bytes}))
            .collect();
        let kept: Vec<_> =
            sweep.kept.iter().map(|(run, why)| serde_json::json!({"run": run.as_str(), "why": why})).collect();
        print::json(&serde_json::json!({
            "version": 1, "dry_run": args.dry_run, "runs": runs, "kept": kept,
            "objects": sweep.objects.len(), "bytes": bytes, "objects_kept": sweep.objects_kept,
        }));
        return Ok(Exit::Success);
    }
    let verb = if args.dry_run { "would delete" } else { "deleted" };
    for (run, bytes) in &sweep.runs {
        print::line(&format!("{verb} run {run} ({bytes} bytes)"));
    }
    for (run, why) in &sweep.kept {
        print::line(&format!("kept run {run}: {why}"));
    }
    if let Some(why) = &sweep.objects_kept {
        print::line(&format!("kept all objects: {why}"));
    }
    print::line(&format!("{verb} {} runs, {} objects, {bytes} bytes", sweep.runs.len(), sweep.objects.len()));
    Ok(Exit::Success)
}
