//! What can go wrong in this room: every variant says where.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::RunId;

/// A fault of the journal room.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused: a full disk, a read-only directory, missing rights.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Stored bytes are not what was written. Exit 8.
    #[error("`{}` is damaged at byte {offset}: {what}", path.display())]
    Damage {
        /// The file.
        path: PathBuf,
        /// The first byte that cannot be trusted.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The file is of another major version of the format.
    #[error("`{}` has format version {found}, and this engine knows version {known}; use a newer engine", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its major version.
        found: u16,
        /// Ours.
        known: u16,
    },
    /// The journal holds an event that a newer engine wrote: it can be shown, and not written after.
    #[error("`{}` holds an event (number {sequence}, tag {tag}) of a newer engine; resume it with that engine", path.display())]
    UnknownEvent {
        /// The file.
        path: PathBuf,
        /// The event's sequence number.
        sequence: u64,
        /// Its tag.
        tag: u64,
    },
    /// Another live engine owns the run. Exit 7.
    #[error("run `{run}` is owned by a live engine{}", by(holder.as_ref()))]
    Owned {
        /// The run.
        run: RunId,
        /// Who, when the lock file says so.
        holder: Option<Holder>,
    },
    /// There is no such run. Exit 4.
    #[error("no run `{run}` in `{}`", state.display())]
    NoRun {
        /// What was asked for.
        run: RunId,
        /// The state directory.
        state: PathBuf,
    },
    /// The id of a new run is taken.
    #[error("run `{run}` exists already in `{}`", state.display())]
    RunExists {
        /// The id.
        run: RunId,
        /// The state directory.
        state: PathBuf,
    },
    /// An earlier write or sync failed, or the writer was closed; nothing more is accepted.
    #[error("the journal `{}` accepts no more records after an earlier failure", path.display())]
    Stopped {
        /// The file.
        path: PathBuf,
    },
    /// More records wait for the disk than `MAX_QUEUED_EVENTS` allows.
    #[error("more than {limit} records wait for `{}` (limit `MAX_QUEUED_EVENTS`)", path.display())]
    QueueFull {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// A file name that would leave its directory.
    #[error("`{name}` is not a safe path inside `{}`", parent.display())]
    UnsafePath {
        /// The name.
        name: String,
        /// Where it was to go.
        parent: PathBuf,
    },
    /// A file that this room keeps beside the journal cannot be read as what it should be.
    #[error("`{}` cannot be read: {what}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        what: String,
    },
}

/// Who holds a run or a lock; for messages, never for decisions.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// When it took it, in milliseconds since 1970 (UTC).
    pub wall_ms: i64,
}

impl Error {
    /// Whether stored bytes are wrong (exit 8).
    pub const fn is_damage(&self) -> bool {
        matches!(self, Self::Damage { .. })
    }

    /// Wraps an I/O error on `path`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }

    /// Damage of `path` at `offset`.
    pub(super) fn damage(path: &Path, offset: u64, what: impl Into<String>) -> Self {
        Self::Damage { path: path.to_path_buf(), offset, what: what.into() }
    }

    /// `path` does not hold what it should.
    pub(super) fn malformed(path: &Path, what: impl fmt::Display) -> Self {
        Self::Malformed { path: path.to_path_buf(), what: what.to_string() }
    }
}

/// ` (process 17)`, or nothing.
fn by(holder: Option<&Holder>) -> String {
    holder.map(|holder| format!(" (process {})", holder.pid)).unwrap_or_default()
}
