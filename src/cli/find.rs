//! Finds runs and stages that a user named, and opens what is recorded of them.

use super::exit::Exit;
use super::fault::Fault;
use super::settings::Settings;
use crate::base::{NodeIx, RunId};
use crate::driver::begin::Read;
use crate::driver::compile::Expected;
use crate::driver::host;
use crate::graph::Graph;
use crate::graph::select::{self, Refusal};
use crate::journal::{self, RunDir, RunEntry, StateDir};
use crate::plan::error::nearest;
use crate::report::{View, hint};

impl From<journal::Error> for Fault {
    fn from(error: journal::Error) -> Self {
        let exit = match &error {
            journal::Error::Damage { .. }
            | journal::Error::Version { .. }
            | journal::Error::UnknownEvent { .. } => Exit::Damaged,
            journal::Error::Owned { .. } => Exit::Busy,
            journal::Error::NoRun { .. } => Exit::NotFound,
            journal::Error::RunExists { .. } => Exit::Usage,
            _ => Exit::Environment,
        };
        let fault = Self::new(exit, error.to_string());
        match error {
            journal::Error::Owned { run, .. } => fault
                .help(format!("watch it: {}", hint::command(&format!("logs -f {run}"))))
                .help(format!("end it: {}", hint::command(&format!("cancel {run}")))),
            journal::Error::Damage { path, .. } => fault
                .help(format!("see all of it: {}", hint::verify(&run_of(&path))))
                .help("restore the run from a copy, or begin a new one"),
            journal::Error::RunExists { run, .. } => fault
                .help(format!("go on with it: {}", hint::resume(run.as_str())))
                .help("or begin another one: leave out --run-id"),
            journal::Error::Io { source, .. } if is_about_place(&source) => {
                fault.help("give another place: --state-dir DIR")
            }
            _ => fault,
        }
    }
}

/// The id of the run that a file belongs to.
fn run_of(path: &std::path::Path) -> String {
    let mut parts = path.components().map(|part| part.as_os_str().to_string_lossy());
    parts.by_ref().find(|part| part == "runs");
    parts.next().map_or_else(|| "RUN".to_owned(), std::borrow::Cow::into_owned)
}

/// Whether another folder would mend it.
fn is_about_place(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::NotADirectory
            | ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::StorageFull
            | ErrorKind::QuotaExceeded
    )
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let exit = if refusal.is_unknown { Exit::NotFound } else { Exit::Usage };
        let fault = Self::new(exit, refusal.text);
        match refusal.help {
            Some(help) => fault.help(help),
            None => fault.help(format!("list them: {}", hint::command("graph PLAN|RUN"))),
        }
    }
}

impl From<host::Error> for Fault {
    fn from(error: host::Error) -> Self {
        match error {
            host::Error::Journal(error) => error.into(),
            host::Error::Unreadable { .. } => Self::new(Exit::Damaged, error.to_string()),
            other => Self::new(Exit::Environment, other.to_string()),
        }
    }
}

/// The state folder.
pub(super) fn state(settings: &Settings) -> Result<StateDir, Fault> {
    Ok(StateDir::open(&settings.state_dir)?)
}

/// The run called `id`; a beginning that only one run has will do.
pub(super) fn run(state: &StateDir, id: &str) -> Result<RunDir, Fault> {
    if let Some(whole) = RunId::parse(id)
        && let Ok(dir) = state.run(&whole)
    {
        return Ok(dir);
    }
    let runs = state.runs()?;
    let mut matching = runs.iter().filter(|entry| !id.is_empty() && entry.dir.id().as_str().starts_with(id));
    match (matching.next(), matching.next()) {
        (Some(only), None) => Ok(only.dir.clone()),
        (Some(a), Some(b)) => Err(Fault::new(
            Exit::NotFound,
            format!("`{id}` could be run `{}` or run `{}`", a.dir.id(), b.dir.id()),
        )
        .help("write more of the id")),
        _ => {
            let names = runs.iter().map(|entry| entry.dir.id().as_str());
            let fault = Fault::new(Exit::NotFound, format!("no run `{id}` in `{}`", state.path().display()));
            Err(match nearest(id, names) {
                Some(near) => fault.help(format!("did you mean `{near}`?")),
                None => fault.help(format!("list them: {}", hint::command("runs"))),
            })
        }
    }
}

/// Whether a run has no record at all. One whose journal cannot be read had a beginning: nobody may pass it over.
pub(super) fn never_began(entry: &RunEntry) -> bool {
    entry.began.is_none() && journal::read(&entry.dir).is_ok_and(|contents| contents.records.is_empty())
}

/// The latest run.
pub(super) fn latest(state: &StateDir) -> Result<RunEntry, Fault> {
    state.runs()?.into_iter().find(|entry| !never_began(entry)).ok_or_else(|| {
        Fault::new(Exit::NotFound, format!("no run yet in `{}`", state.path().display()))
            .help(format!("start one: {}", hint::command("run PLAN")))
    })
}

/// The run that was named, or the latest.
pub(super) fn run_or_latest(state: &StateDir, id: Option<&str>) -> Result<RunDir, Fault> {
    match id {
        Some(id) => run(state, id),
        None => Ok(latest(state)?.dir),
    }
}

/// A run as its record tells it.
pub(super) fn read(dir: RunDir) -> Result<Read, Fault> {
    Ok(Read::open(dir, &Expected::default())?)
}

/// What observers would show of a recorded run, which an engine works on if it `is_alive`.
pub(super) fn view(read: &Read, is_alive: bool) -> View {
    shown(read, is_alive, View::new(read.graphs.clone()))
}

/// The same, in a `view` of which nothing has happened yet.
pub(super) fn shown(read: &Read, is_alive: bool, view: View) -> View {
    let mut view = view.after(records(read));
    if !is_alive {
        view.lay_down();
    }
    view
}

/// A run's records as observers take them.
pub(super) fn records(read: &Read) -> impl Iterator<Item = (u64, crate::base::Millis, &crate::run::Event)> {
    read.records.iter().map(|(seq, at, event)| (*seq, *at, event))
}

/// The stage called `id`.
pub(super) fn stage(graph: &Graph, id: &str) -> Result<NodeIx, Fault> {
    Ok(select::stage(graph, id)?)
}

/// A run whose engine is not alive and which can be continued; the newest one.
pub(super) fn newest_unfinished(state: &StateDir) -> Result<Option<RunDir>, Fault> {
    for entry in state.runs()? {
        if journal::is_live(&entry.dir)? {
            continue;
        }
        // An older run is never taken up because a newer one cannot be read: it may be out of date.
        let summary = journal::summary::of(&entry.dir).map_err(|error| {
            let id = entry.dir.id();
            Fault::from(error)
                .help(format!("run {id} is the newest that may go on; look at it: {}", hint::verify(id.as_str())))
                .help(format!("continue another one by its name: {}", hint::resume("RUN")))
        })?;
        if !summary.state.is_settled() || summary.pending > 0 {
            return Ok(Some(entry.dir));
        }
    }
    Ok(None)
}

/// The command that shows a run's state, for messages.
pub(super) fn how_to_resume(run: &RunId) -> String {
    hint::resume(run.as_str())
}
