//! Who supervises a service, and how it is: `services/NAME/` in the state directory.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::driver::host::Error;

/// How a service is, as its supervisor last said.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct Record {
    /// Its name.
    pub service: String,
    /// `guarding`, `starting`, `up`, `draining`, `stopping`, `resting` or `over`.
    pub state: String,
    /// The process that a signal stops it by.
    pub supervisor: u32,
    /// The service's process, while there is one.
    pub process: Option<u32>,
    /// When that was started, milliseconds since 1970.
    pub started_ms: Option<i64>,
    /// How often it was started again.
    pub restarts: u32,
    /// What was said last.
    pub last: String,
}

/// A service that this process is responsible for; the lock goes with it.
#[derive(Debug)]
pub struct Held {
    folder: PathBuf,
    written: Option<Record>,
    _lock: File,
}

impl Held {
    /// Writes down how the service is, unless that is there already: a reader sees the old record or the new one.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn write(&mut self, now: &Record) -> io::Result<()> {
        let is_same = self.written.as_ref().is_some_and(|old| {
            // Two clocks never agree to the millisecond.
            let started_ms = if old.process == now.process { now.started_ms } else { old.started_ms };
            Record { started_ms, ..old.clone() } == *now
        });
        if is_same {
            return Ok(());
        }
        let text = serde_json::to_vec(now).expect("a record is plain data");
        let beside = self.folder.join("state.new");
        fs::write(&beside, text)?;
        fs::rename(&beside, self.folder.join("state.json"))?;
        self.written = Some(now.clone());
        Ok(())
    }
}

/// Makes this process responsible for service `name`.
///
/// # Errors
/// [`Error::Supervised`] when another process is; or the disk refuses.
pub fn hold(state: &Path, name: &str) -> Result<Held, Error> {
    let folder = folder(state, name);
    let refused = |source| Error::System { action: "make the service's folder in the state directory", source };
    fs::create_dir_all(&folder).map_err(refused)?;
    let lock =
        File::options().create(true).write(true).truncate(false).open(folder.join("lock")).map_err(refused)?;
    match lock.try_lock() {
        Ok(()) => Ok(Held { folder, written: None, _lock: lock }),
        Err(TryLockError::WouldBlock) => {
            let by = read(state, name).map_or(0, |record| record.supervisor);
            Err(Error::Supervised { service: name.to_owned(), by })
        }
        Err(TryLockError::Error(source)) => Err(refused(source)),
    }
}

/// Whether a live process supervises service `name`.
pub fn is_held(state: &Path, name: &str) -> bool {
    let lock = File::open(folder(state, name).join("lock"));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// What the last supervisor of service `name` said; nothing when there was none.
pub fn read(state: &Path, name: &str) -> Option<Record> {
    let text = fs::read(folder(state, name).join("state.json")).ok()?;
    serde_json::from_slice(&text).ok()
}

/// The process to signal: the front, where there is one.
pub fn supervisor() -> u32 {
    let parent = || rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    if crate::exec::guard::is_worker() { parent().unwrap_or_default() } else { std::process::id() }
}

fn folder(state: &Path, name: &str) -> PathBuf {
    state.join("services").join(name)
}
