//! Every change this room makes to a disk goes through [`Disk`], so that a test can fail the Nth of them.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Error;

/// A kind of change.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Op {
    /// Make a file or a directory.
    Create,
    /// Write bytes.
    Write,
    /// Wait until a file's bytes are on the disk.
    Sync,
    /// Wait until a directory's entries are on the disk.
    SyncDir,
    /// Give a file or a directory its final name.
    Rename,
    /// Delete.
    Remove,
    /// Cut a file.
    Truncate,
}

/// What a test makes of a change.
#[derive(Debug)]
pub enum Fate {
    /// It happens.
    Pass,
    /// It fails and nothing happened.
    Fail(io::Error),
    /// Only so many bytes are written, then it fails (writes only).
    Part(usize, io::Error),
}

/// Decides the fate of every change; for tests.
pub trait Faults: Send + Sync {
    /// What becomes of `op` on `path`, where `len` bytes are to be written.
    fn fate(&self, op: Op, path: &Path, len: usize) -> Fate;
}

/// The real file system, or one that fails on command.
#[derive(Clone, Default)]
pub struct Disk {
    faults: Option<Arc<dyn Faults>>,
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.faults.is_some() { "Disk(faulty)" } else { "Disk" })
    }
}

impl Disk {
    /// A disk whose changes `faults` decides.
    pub fn faulty(faults: Arc<dyn Faults>) -> Self {
        Self { faults: Some(faults) }
    }

    fn gate(&self, op: Op, path: &Path) -> io::Result<()> {
        match self.fate(op, path, 0) {
            Fate::Pass => Ok(()),
            Fate::Fail(error) | Fate::Part(_, error) => Err(error),
        }
    }

    fn fate(&self, op: Op, path: &Path, len: usize) -> Fate {
        self.faults.as_ref().map_or(Fate::Pass, |faults| faults.fate(op, path, len))
    }

    /// Makes a file that must not exist yet, for reading and writing.
    pub(super) fn create(&self, path: &Path) -> Result<File, Error> {
        self.gate(Op::Create, path)
            .and_then(|()| OpenOptions::new().read(true).write(true).create_new(true).open(path))
            .map_err(Error::io("create", path))
    }

    /// Opens a file for reading and writing, making it when it is missing.
    pub(super) fn open(&self, path: &Path) -> Result<File, Error> {
        self.gate(Op::Create, path)
            .and_then(|()| OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path))
            .map_err(Error::io("open", path))
    }

    /// Makes a directory and those above it.
    pub(super) fn make_dirs(&self, path: &Path) -> Result<(), Error> {
        if path.is_dir() {
            return Ok(());
        }
        self.gate(Op::Create, path).and_then(|()| fs::create_dir_all(path)).map_err(Error::io("create", path))
    }

    /// Writes all of `bytes` at `offset`.
    pub(super) fn write_at(&self, file: &File, path: &Path, bytes: &[u8], offset: u64) -> Result<(), Error> {
        let done = match self.fate(Op::Write, path, bytes.len()) {
            Fate::Pass => file.write_all_at(bytes, offset),
            Fate::Fail(error) => Err(error),
            Fate::Part(len, error) => file.write_all_at(&bytes[..len.min(bytes.len())], offset).and(Err(error)),
        };
        done.map_err(Error::io("write", path))
    }

    /// Writes `len` zeros at `offset`, so that writing there later changes no more than bytes. Whether that went well:
    /// without them everything works, only slower.
    pub(super) fn reserve(&self, file: &File, path: &Path, offset: u64, len: usize) -> bool {
        self.write_at(file, path, &vec![0; len], offset).is_ok()
    }

    /// Waits until the file's bytes and length are on the disk.
    pub(super) fn sync(&self, file: &File, path: &Path) -> Result<(), Error> {
        self.gate(Op::Sync, path).and_then(|()| file.sync_data()).map_err(Error::io("sync", path))
    }

    /// Waits until the directory's entries are on the disk.
    pub(super) fn sync_dir(&self, path: &Path) -> Result<(), Error> {
        self.gate(Op::SyncDir, path).and_then(|()| File::open(path)?.sync_all()).map_err(Error::io("sync", path))
    }

    /// Gives `from` the name `to`.
    pub(super) fn rename(&self, from: &Path, to: &Path) -> Result<(), Error> {
        self.gate(Op::Rename, to).and_then(|()| fs::rename(from, to)).map_err(Error::io("create", to))
    }

    /// Deletes a file; one that is gone already is fine.
    pub(super) fn remove(&self, path: &Path) -> Result<(), Error> {
        match self.gate(Op::Remove, path).and_then(|()| fs::remove_file(path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
            _ => Ok(()),
        }
    }

    /// Deletes a directory and what is in it.
    pub(super) fn remove_dir(&self, path: &Path) -> Result<(), Error> {
        match self.gate(Op::Remove, path).and_then(|()| fs::remove_dir_all(path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
            _ => Ok(()),
        }
    }

    /// Cuts a file to `len` bytes.
    pub(super) fn truncate(&self, file: &File, path: &Path, len: u64) -> Result<(), Error> {
        self.gate(Op::Truncate, path).and_then(|()| file.set_len(len)).map_err(Error::io("cut", path))
    }

    /// Writes `bytes` beside `path`, syncs, and renames: a reader sees the old file or the whole new one.
    /// The directory is not synced.
    pub(super) fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        self.replace_with(path, bytes, true)
    }

    /// As [`Disk::replace`] without the sync: after a power cut the file may be empty or cut. For what can be
    /// rebuilt.
    pub(super) fn replace_soft(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        self.replace_with(path, bytes, false)
    }

    fn replace_with(&self, path: &Path, bytes: &[u8], is_synced: bool) -> Result<(), Error> {
        let aside = aside(path);
        let written = self.create(&aside).and_then(|file| {
            self.write_at(&file, &aside, bytes, 0)?;
            if is_synced { self.sync(&file, &aside) } else { Ok(()) }
        });
        let named = written.and_then(|()| self.rename(&aside, path));
        if named.is_err() {
            // The half-written file is rubbish; that it may stay behind is not worth a second error.
            drop(fs::remove_file(&aside));
        }
        named
    }
}

/// A name beside `path` that no other process or thread uses; begins with `.new-`.
pub(super) fn aside(path: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!("{ASIDE}{}-{number}-{}", std::process::id(), &name[..name.len().min(40)]))
}

/// How names of unfinished files and directories begin.
pub(super) const ASIDE: &str = ".new-";
