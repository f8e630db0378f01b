//! `engine status`, `engine runs`, `engine diff`: how runs stand.

use jiff::tz::TimeZone;

use super::args::{DiffArgs, RunsArgs, StatusArgs};
use super::exit::Exit;
use super::fault::{Answer, Fault};
use super::settings::Settings;
use super::{find, print};
use crate::driver::begin::Read;
use crate::driver::ports::Clock;
use crate::journal::{self, RunDir};
use crate::report::console::Look;
use crate::report::table::{self, Row, Setting};
use crate::report::{View, diff, hint, json};

/// A run, whether it lives, and what time it is for it.
struct Standing {
    view: View,
    is_alive: bool,
    now: crate::base::Millis,
}

fn standing(dir: RunDir) -> Result<Standing, Fault> {
    let is_alive = journal::is_live(&dir)?;
    let read = find::read(dir)?;
    Ok(Standing { now: now(&read, is_alive), view: find::view(&read, is_alive), is_alive })
}

/// A run with what each of its shards left.
fn whole(dir: RunDir) -> Result<View, Fault> {
    let is_alive = journal::is_live(&dir)?;
    let read = find::read(dir)?;
    Ok(find::shown(&read, is_alive, View::new(read.graphs.clone()).with_leaves()))
}

/// The present moment of a live run; of another one the moment of its last record.
fn now(read: &Read, is_alive: bool) -> crate::base::Millis {
    match &read.began {
        Some(began) if is_alive => Clock::resume(began.wall_ms, read.last_at()).now(),
        _ => read.last_at(),
    }
}

fn look(settings: &Settings) -> Look {
    Look { colour: settings.color, output: true }
}

fn setting<'a>(now: crate::base::Millis, is_alive: bool, zone: &'a TimeZone, settings: &Settings) -> Setting<'a> {
    Setting { now, is_alive, zone, look: look(settings), columns: columns() }
}

/// Columns of the terminal that standard output is, if it is one.
pub(super) fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|&columns| columns > 0)
}

/// Shows one run.
pub(super) fn run(args: &StatusArgs, settings: &Settings) -> Answer {
    let state = find::state(settings)?;
    let Standing { view, is_alive, now } = standing(find::run_or_latest(&state, args.run.as_deref())?)?;
    if args.json {
        print::json(&json::Status::new(&view, now, is_alive));
    } else {
        let zone = TimeZone::system();
        print::out(&table::status(&view, &setting(now, is_alive, &zone, settings)));
    }
    Ok(Exit::Success)
}

/// Lists runs, newest first.
pub(super) fn list(args: &RunsArgs, settings: &Settings) -> Answer {
    let state = find::state(settings)?;
    let zone = TimeZone::system();
    let (mut rows, mut items) = (Vec::new(), Vec::new());
    for entry in state.runs()?.into_iter().take(args.limit) {
        let id = entry.dir.id().to_string();
        match standing(entry.dir) {
            Ok(Standing { view, .. }) if view.began().is_none() => {
                rows.push(unread(&id, "never began"));
                items.push(serde_json::json!({"run": id, "state": "never-began"}));
            }
            Ok(Standing { view, is_alive, now }) => {
                rows.push(Row::of(&view, &setting(now, is_alive, &zone, settings)));
                items.push(serde_json::Value::Object(json::head(&view, now, is_alive)));
            }
            Err(fault) => {
                let word = if fault.exit == Exit::Damaged { "damaged" } else { "unreadable" };
                rows.push(unread(&id, word));
                items.push(serde_json::json!({"run": id, "state": word, "error": fault.message}));
            }
        }
    }
    if args.json {
        print::json(&serde_json::json!({"version": json::VERSION, "runs": items}));
    } else if rows.is_empty() && args.limit > 0 {
        print::line(&format!(
            "no run yet in {}; start one: {}",
            state.path().display(),
            hint::command("run PLAN")
        ));
    } else {
        print::out(&table::runs(&rows, look(settings), columns()));
    }
    Ok(Exit::Success)
}

fn unread(id: &str, state: &str) -> Row {
    let nothing = || "-".to_owned();
    Row {
        run: id.to_owned(),
        plan: nothing(),
        state: state.to_owned(),
        started: nothing(),
        took: nothing(),
        stages: nothing(),
    }
}

/// Compares two runs.
pub(super) fn diff(args: &DiffArgs, settings: &Settings) -> Answer {
    let state = find::state(settings)?;
    let a = whole(find::run(&state, &args.a)?)?;
    let b = whole(find::run(&state, &args.b)?)?;
    if args.json {
        print::json(&diff::json(&a, &b));
    } else {
        print::out(&diff::text(&a, &b, look(settings)));
    }
    Ok(Exit::Success)
}
