//! Who owns a run: an OS lock on `runs/<id>/lock` that dies with its process. The file's text is for
//! messages only; whether a run lives is read from the lock, never from a stored word.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _};
use std::path::Path;

use super::{Error, Holder, RunDir};

/// How often a refused lock is asked for again: another process may hold it for the instant of an
/// [`is_live`].
const TRIES: u32 = 200;

/// Largest lock file that is read for its holder.
const MAX_HOLDER_BYTES: u64 = 4096;

/// The right to write to a run. Ends when it is dropped, or with its process.
#[derive(Debug)]
pub struct Ownership {
    /// Held for its lock.
    _lock: File,
    /// Shared by every owner; `gc` sweeps objects only when it can have it alone.
    _sweep: File,
}

/// Takes ownership of `run`.
///
/// # Errors
/// [`Error::Owned`] when a live engine owns it; or the disk refuses.
pub fn take(run: &RunDir, holder: &Holder) -> Result<Ownership, Error> {
    let path = run.lock_path();
    let file = run.disk().open(&path)?;
    if !try_lock(&file, &path)? {
        return Err(Error::Owned { run: run.id().clone(), holder: read_holder(&path) });
    }
    let text = serde_json::to_vec(holder).expect("a holder is two numbers");
    run.disk().truncate(&file, &path, 0)?;
    run.disk().write_at(&file, &path, &text, 0)?;
    let sweep_path = sweep_path(run.state_path());
    let sweep = run.disk().open(&sweep_path)?;
    sweep.lock_shared().map_err(Error::io("lock", &sweep_path))?;
    Ok(Ownership { _lock: file, _sweep: sweep })
}

/// Whether a live engine owns `run`.
///
/// # Errors
/// The lock file exists and cannot be opened or locked.
pub fn is_live(run: &RunDir) -> Result<bool, Error> {
    let path = run.lock_path();
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        other => other.map_err(Error::io("open", &path))?,
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
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

/// Locks `file` alone, if nobody holds it for longer than an instant.
pub(super) fn try_lock(file: &File, path: &Path) -> Result<bool, Error> {
    for _ in 0..TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => std::thread::yield_now(),
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", path)(error)),
        }
    }
    Ok(false)
}

fn read_holder(path: &Path) -> Option<Holder> {
    let mut text = Vec::new();
    fs::File::open(path).ok()?.take(MAX_HOLDER_BYTES).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}
