//! Locks between runs: `.engine/locks/<name>`, each a record of the run that holds it. They survive
//! processes: a lock belongs to its run until the run frees it or a person breaks it.
//!
//! Every change is made under one OS lock (`locks/.guard`), held for an instant, so that looking and taking
//! are one step between processes.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Error, StateDir};
use crate::base::{Digest, RunId};

/// Who holds a lock.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LockRecord {
    /// The lock's name, as the plan spells it.
    pub name: String,
    /// The run that holds it.
    pub run: RunId,
    /// Since when, in milliseconds since 1970 (UTC).
    pub wall_ms: i64,
    /// Who started the run.
    pub by: String,
}

/// What became of an attempt to take a lock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Taken {
    /// It is ours now.
    Now,
    /// The same run held it already.
    Already,
    /// Another run holds it.
    Busy(LockRecord),
}

/// A lock that a person broke; a line of `locks/broken`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Broken {
    /// Who held it.
    pub record: LockRecord,
    /// Who broke it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When, in milliseconds since 1970 (UTC).
    pub wall_ms: i64,
}

/// The locks of a state directory.
#[derive(Clone, Debug)]
pub struct Locks {
    state: StateDir,
    path: PathBuf,
}

impl Locks {
    /// The locks of `state`.
    pub fn new(state: &StateDir) -> Self {
        Self { path: state.path().join("locks"), state: state.clone() }
    }

    /// Takes the lock that `record` names for the run that it names, if nobody else holds it. Durable when
    /// this returns.
    ///
    /// # Errors
    /// The disk refuses, or the present record cannot be read.
    pub fn take(&self, record: &LockRecord) -> Result<Taken, Error> {
        let _guard = self.state.guard(&self.path)?;
        match self.holder(&record.name)? {
            Some(held) if held.run == record.run => return Ok(Taken::Already),
            Some(held) => return Ok(Taken::Busy(held)),
            None => {}
        }
        self.write(record)
    }

    /// As [`Locks::take`], but when `gone` holds it, a run that will never free it, the lock passes on at once
    /// and the log says `reason`. Whoever else has it by now keeps it.
    ///
    /// # Errors
    /// The disk refuses, or the present record cannot be read.
    pub fn take_over(&self, record: &LockRecord, gone: &RunId, reason: &str) -> Result<Taken, Error> {
        let _guard = self.state.guard(&self.path)?;
        match self.holder(&record.name)? {
            Some(held) if held.run == record.run => return Ok(Taken::Already),
            Some(held) if held.run == *gone => {
                let (by, reason) = (record.by.clone(), reason.to_owned());
                self.log(&Broken { record: held, by, reason, wall_ms: record.wall_ms })?;
            }
            Some(held) => return Ok(Taken::Busy(held)),
            None => {}
        }
        self.write(record)
    }

    fn write(&self, record: &LockRecord) -> Result<Taken, Error> {
        let text = serde_json::to_vec_pretty(record).expect("a record is made of texts");
        self.state.disk().replace(&self.file(&record.name), &text)?;
        self.state.disk().sync_dir(&self.path)?;
        Ok(Taken::Now)
    }

    /// Who holds the lock `name`.
    ///
    /// # Errors
    /// Its record cannot be read.
    pub fn holder(&self, name: &str) -> Result<Option<LockRecord>, Error> {
        let path = self.file(name);
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", &path)(error)),
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| Error::malformed(&path, error)),
        }
    }

    /// Every lock that is held, by name of file.
    ///
    /// # Errors
    /// A record cannot be read.
    pub fn list(&self) -> Result<Vec<LockRecord>, Error> {
        let mut records = Vec::new();
        for name in super::state_dir::names(&self.path)? {
            let path = self.path.join(&name);
            if name.strip_suffix(".lock").is_none() || name.starts_with('.') {
                continue;
            }
            match fs::read(&path) {
                // Freed in this instant.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("read", &path)(error)),
                Ok(text) => {
                    records.push(serde_json::from_slice(&text).map_err(|error| Error::malformed(&path, error))?);
                }
            }
        }
        Ok(records)
    }

    /// Frees every lock that `run` holds: an edited plan may have changed its lock's name. Tells their names.
    ///
    /// # Errors
    /// As [`Self::free`].
    pub fn free_all(&self, run: &RunId) -> Result<Vec<String>, Error> {
        if !self.path.is_dir() {
            return Ok(Vec::new());
        }
        let mut freed = Vec::new();
        for held in self.list()?.into_iter().filter(|held| held.run == *run) {
            if self.free(&held.name, run)? {
                freed.push(held.name);
            }
        }
        Ok(freed)
    }

    /// Frees the lock `name` if `run` holds it; tells whether it did.
    ///
    /// # Errors
    /// The disk refuses, or the record cannot be read.
    pub fn free(&self, name: &str, run: &RunId) -> Result<bool, Error> {
        if !self.path.is_dir() {
            return Ok(false);
        }
        let _guard = self.state.guard(&self.path)?;
        if self.holder(name)?.is_none_or(|held| held.run != *run) {
            return Ok(false);
        }
        self.state.disk().remove(&self.file(name))?;
        self.state.disk().sync_dir(&self.path)?;
        Ok(true)
    }

    /// Frees the lock `name` whoever holds it, for `by`, who says why; `None` when nobody held it. The
    /// reason is logged before the lock is free. A record that cannot be read is broken too.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn break_open(
        &self,
        name: &str,
        (by, reason): (&str, &str),
        wall_ms: i64,
    ) -> Result<Option<LockRecord>, Error> {
        if !self.path.is_dir() {
            return Ok(None);
        }
        let _guard = self.state.guard(&self.path)?;
        let record = match self.holder(name) {
            Ok(None) => return Ok(None),
            Ok(Some(record)) => record,
            Err(Error::Malformed { .. }) => LockRecord {
                name: name.to_owned(),
                run: RunId::parse("unknown").expect("a word is an id"),
                wall_ms: 0,
                by: String::new(),
            },
            Err(error) => return Err(error),
        };
        let line = Broken { record: record.clone(), by: by.to_owned(), reason: reason.to_owned(), wall_ms };
        self.log(&line)?;
        self.state.disk().remove(&self.file(name))?;
        self.state.disk().sync_dir(&self.path)?;
        Ok(Some(record))
    }

    /// Every lock that was broken, oldest first. Lines that cannot be read are left out.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn broken(&self) -> Result<Vec<Broken>, Error> {
        let path = self.log_path();
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(Error::io("read", &path))?,
        };
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    fn log(&self, line: &Broken) -> Result<(), Error> {
        let path = self.log_path();
        let disk = self.state.disk();
        let file = disk.open(&path)?;
        let mut text = serde_json::to_vec(line).expect("a line is made of texts");
        text.push(b'\n');
        let len = file.metadata().map_err(Error::io("look at", &path))?.len();
        disk.write_at(&file, &path, &text, len)?;
        disk.sync(&file, &path)
    }

    fn log_path(&self) -> PathBuf {
        self.path.join("broken")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(file_name(name))
    }
}

/// A name as one path component, different for different names: bytes outside `[a-z0-9_-]` as `%XX`, long
/// names cut and told apart by their digest.
fn file_name(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("a String takes what is written to it");
        }
    }
    if out.len() > 150 {
        out.truncate(100);
        write!(out, "~{}", Digest::of(name.as_bytes())).expect("a String takes what is written to it");
    }
    out.push_str(".lock");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_names_have_different_safe_files() {
        let long = "x".repeat(300);
        let longer = "x".repeat(301);
        let names = ["deploy/staging", "deploy%2Fstaging", "..", ".guard", "", "A", "a", "ä", &long, &longer];
        let files: std::collections::BTreeSet<_> = names.iter().map(|name| file_name(name)).collect();
        assert_eq!(files.len(), names.len());
        for file in &files {
            assert!(file.len() < 200 && !file.contains('/') && !file.starts_with(".g"), "{file}");
        }
        assert_eq!(file_name("deploy/staging"), "deploy%2Fstaging.lock");
    }
}
