//! Who owns a run: an OS lock on `runs/<id>/lock` that dies with its process. The file's text is for
//! messages only; whether a run lives is read from the lock, never from a stored word.
//!
//! Looking whether a run lives takes the lock for an instant, and must not refuse an engine that wants it in
//! that instant. So both happen under a lock on the run's directory itself: shared to look, alone to take.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::{Error, Holder, RunDir};

/// Largest lock file that is read for its holder.
const MAX_HOLDER_BYTES: u64 = 4096;

/// The right to write to a run. Ends when it is dropped, or with its process.
#[derive(Debug)]
pub struct Ownership {
    /// Held for its lock.
    _lock: File,
    /// Shared by every owner; `gc` sweeps objects only when it can have it alone.
    _sweep: File,
    /// Folders in which a run that was just made has its name, which may not be on the disk yet.
    unnamed: Vec<PathBuf>,
}

impl Ownership {
    /// The run was just made: whoever writes its journal sees to it that these folders are on the disk before anything is
    /// acknowledged.
    pub(super) fn name_in(&mut self, folders: Vec<PathBuf>) {
        self.unnamed = folders;
    }

    /// Folders that have to be on the disk before anything of the run counts.
    pub(super) fn unnamed(&self) -> &[PathBuf] {
        &self.unnamed
    }
}

/// Takes ownership of `run`.
///
/// # Errors
/// [`Error::Owned`] when a live engine owns it; or the disk refuses.
pub fn take(run: &RunDir, holder: &Holder) -> Result<Ownership, Error> {
    let path = run.lock_path();
    let file = run.disk().open(&path)?;
    let gate = File::open(run.path()).map_err(Error::io("open", run.path()))?;
    gate.lock().map_err(Error::io("lock", run.path()))?;
    let is_taken = try_lock(&file, &path)?;
    drop(gate);
    if !is_taken {
        return Err(Error::Owned { run: run.id().clone(), holder: read_holder(&path) });
    }
    let text = serde_json::to_vec(holder).expect("a holder is two numbers");
    run.disk().truncate(&file, &path, 0)?;
    run.disk().write_at(&file, &path, &text, 0)?;
    let sweep_path = sweep_path(run.state_path());
    let sweep = run.disk().open(&sweep_path)?;
    sweep.lock_shared().map_err(Error::io("lock", &sweep_path))?;
    Ok(Ownership { _lock: file, _sweep: sweep, unnamed: Vec::new() })
}

/// Whether a live engine owns `run`.
///
/// # Errors
/// The lock file exists and cannot be opened or locked.
pub fn is_live(run: &RunDir) -> Result<bool, Error> {
    is_live_at(run.path())
}

/// As [`is_live`], for the run's directory.
pub(super) fn is_live_at(dir: &Path) -> Result<bool, Error> {
    let path = dir.join("lock");
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        other => other.map_err(Error::io("open", &path))?,
    };
    let gate = File::open(dir).map_err(Error::io("open", dir))?;
    gate.lock_shared().map_err(Error::io("lock", dir))?;
    match file.try_lock_shared() {
        // By hand, because the gate, declared later, would open first.
        Ok(()) => file.unlock().map(|()| false).map_err(Error::io("unlock", &path)),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(Error::io("lock", &path)(error)),
    }
}

/// Who owns the run, or owned it last; for messages.
pub fn holder(run: &RunDir) -> Option<Holder> {
    read_holder(&run.lock_path())
}

/// The lock that keeps `gc` from sweeping objects under a live run.
pub(super) fn sweep_path(state: &Path) -> std::path::PathBuf {
    state.join(".sweep")
}

/// Locks `file` alone; false when somebody else has it.
pub(super) fn try_lock(file: &File, path: &Path) -> Result<bool, Error> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(Error::io("lock", path)(error)),
    }
}

fn read_holder(path: &Path) -> Option<Holder> {
    let mut text = Vec::new();
    fs::File::open(path).ok()?.take(MAX_HOLDER_BYTES).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}
