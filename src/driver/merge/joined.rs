//! Which runs join which parts: two runs of the same parts would do the same rest twice.

use serde::{Deserialize, Serialize};

use super::{Joining, Misfit, part};
use crate::journal::{Reader, RunDir, StateDir, Step};
use crate::run::Event;

/// The file of a joined run's snapshot that names what it was made from.
pub(super) const SOURCES: &str = "parts.json";

/// A part as a joined run names it.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Source {
    /// The end of its record.
    chain: String,
    of: u32,
    part: u32,
    run: String,
}

impl Source {
    fn of(joining: &Joining) -> Self {
        let part = part(joining);
        let chain = joining.read.end.last.hash.to_string();
        Self { chain, of: part.of, part: part.index, run: joining.read.dir.id().to_string() }
    }
}

/// A run that joins the same runs of parts.
pub struct Other {
    /// Its directory.
    pub run: RunDir,
    /// Whether it has all that they did; else they have gone on since.
    pub is_same: bool,
}

/// Where the joined run comes from: for people, and sealed with the snapshot.
pub(super) fn sources(parts: &[Joining]) -> Vec<u8> {
    let sources: Vec<Source> = parts.iter().map(Source::of).collect();
    serde_json::to_vec_pretty(&sources).expect("texts and numbers have a JSON form")
}

/// The runs in `state` that join these runs, the newest first.
///
/// # Errors
/// The runs cannot be listed.
pub(super) fn look(state: &StateDir, parts: &[Joining]) -> Result<Vec<Other>, Misfit> {
    let wanted: Vec<Source> = parts.iter().map(Source::of).collect();
    let mut others = Vec::new();
    for entry in state.runs()? {
        let Ok(bytes) = std::fs::read(entry.dir.plan_path(1).join(SOURCES)) else { continue };
        let Ok(found) = serde_json::from_slice::<Vec<Source>>(&bytes) else { continue };
        let runs = |sources: &[Source]| sources.iter().map(|source| source.run.clone()).collect::<Vec<_>>();
        if runs(&found) == runs(&wanted) && is_whole(&entry.dir) {
            others.push(Other { run: entry.dir, is_same: found == wanted });
        }
    }
    Ok(others)
}

/// Whether all that the parts did is in the record of a joined run: whoever wrote it may have died over it.
fn is_whole(run: &RunDir) -> bool {
    let Ok(mut reader) = Reader::open(run) else { return false };
    let mut is_whole = false;
    let mut look = |_, _, event: Event| is_whole |= matches!(event, Event::RunSuspended { .. });
    while let Ok(Step::Frame) = reader.next_frame(&mut look) {}
    is_whole
}
