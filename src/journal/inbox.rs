//! How another process asks the engine that owns a run for something: a file in `runs/<id>/inbox/`.
//!
//! The asking process writes it aside and renames it. The owner lists the files in order, journals what they
//! ask for, and deletes each once its event is durable. An engine that dies in between finds the request
//! again; the core makes no second event of a decision that was made already.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde::{Deserialize, Serialize};

use super::disk::ASIDE;
use super::state_dir::names;
use super::{Error, RunDir};
use crate::base::limits;
use crate::run::event::{CancelLevel, Resolution, Vote};

/// Where requests go that cannot be read.
const ASIDE_DIR: &str = "malformed";

/// What is asked for. Stages are named by their ids.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Yes to an approval.
    Approve {
        /// The stage.
        stage: String,
        /// Who.
        by: String,
        /// Their words.
        note: String,
        /// What they saw and decided about, as [`crate::graph::Graph::subject`] in hex.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<String>,
    },
    /// No to an approval.
    Reject {
        /// The stage.
        stage: String,
        /// Who.
        by: String,
        /// Their words.
        note: String,
        /// What they saw and decided about, as [`crate::graph::Graph::subject`] in hex.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<String>,
    },
    /// What somebody found of each item of a checklist.
    Attest {
        /// The stage.
        stage: String,
        /// Who, and what.
        vote: Vote,
        /// As of [`Request::Approve`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<String>,
    },
    /// What an unknown outcome was.
    Resolve {
        /// The stage.
        stage: String,
        /// What it was.
        resolution: Resolution,
        /// Who.
        by: String,
        /// Their words.
        note: String,
    },
    /// Cancel the run.
    Cancel {
        /// How hard.
        level: CancelLevel,
        /// Who.
        by: String,
    },
    /// Stop the run and undo what it has done.
    Rollback {
        /// Who.
        by: String,
    },
    /// Queue background work again that failed for good.
    Requeue {
        /// The stages.
        stages: Vec<String>,
        /// Who.
        by: String,
    },
    /// Hold new starts back.
    Pause {
        /// Who.
        by: String,
    },
    /// Go on.
    Unpause {
        /// Who.
        by: String,
    },
}

/// A request in the inbox.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Letter {
    /// Orders letters: the time they were written, then the process, then its count.
    pub id: String,
    /// What is asked for.
    pub request: Request,
}

impl Letter {
    /// Whether it was written before `wall_ms` (milliseconds since 1970).
    pub fn is_before(&self, wall_ms: i64) -> bool {
        *self.id < *format!("{:016}", wall_ms.max(0))
    }
}

/// What an inbox holds.
#[derive(Debug, Default)]
pub struct Mail {
    /// Requests, in order.
    pub letters: Vec<Letter>,
    /// Files that were no requests: where each was put, and what is wrong with it.
    pub malformed: Vec<(PathBuf, String)>,
}

/// Puts `request` into a run's inbox at `wall_ms` (milliseconds since 1970) and tells its id. It is on the
/// disk when this returns.
///
/// # Errors
/// The disk refuses.
pub fn put(run: &RunDir, wall_ms: i64, request: &Request) -> Result<String, Error> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let id = format!("{:016}-{:010}-{number:06}", wall_ms.max(0), std::process::id());
    let inbox = run.inbox_path();
    run.disk().make_dirs(&inbox)?;
    let text = serde_json::to_vec_pretty(request).expect("a request is made of texts");
    run.disk().replace(&inbox.join(format!("{id}.json")), &text)?;
    run.disk().sync_dir(&inbox)?;
    Ok(id)
}

/// The owner's look into its inbox: every request, in order. Files that are no requests are set aside and
/// told once. Call [`done`] for each letter when its event is durable.
///
/// # Errors
/// The directory cannot be read, or a bad file cannot be set aside.
pub fn take(run: &RunDir) -> Result<Mail, Error> {
    let inbox = run.inbox_path();
    let mut mail = Mail::default();
    for name in names(&inbox)? {
        if name.starts_with(ASIDE) || name == ASIDE_DIR {
            continue;
        }
        let path = inbox.join(&name);
        let read = match name.strip_suffix(".json") {
            Some(id) => read_letter(&path).map(|request| Letter { id: id.to_owned(), request }),
            None => Err("its name does not end in `.json`".to_owned()),
        };
        match read {
            Ok(letter) => mail.letters.push(letter),
            Err(why) => mail.malformed.push((set_aside(run, &path, &name)?, why)),
        }
    }
    Ok(mail)
}

/// Deletes a letter whose event is durable.
///
/// # Errors
/// The disk refuses.
pub fn done(run: &RunDir, letter: &Letter) -> Result<(), Error> {
    run.disk().remove(&run.inbox_path().join(format!("{}.json", letter.id)))
}

/// Takes back a letter that was [`put`]; tells whether it was still there.
///
/// # Errors
/// The disk refuses.
pub fn withdraw(run: &RunDir, id: &str) -> Result<bool, Error> {
    let is_there = is_waiting(run, id);
    run.disk().remove(&run.inbox_path().join(format!("{id}.json")))?;
    Ok(is_there)
}

/// Whether a letter that was [`put`] is still unanswered.
pub fn is_waiting(run: &RunDir, id: &str) -> bool {
    run.inbox_path().join(format!("{id}.json")).exists()
}

fn read_letter(path: &Path) -> Result<Request, String> {
    let kind = fs::symlink_metadata(path).map_err(|error| error.to_string())?;
    if !kind.is_file() {
        return Err("it is not a file".to_owned());
    }
    let mut text = Vec::new();
    let limit = limits::MAX_REQUEST_BYTES;
    let read = File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut text));
    read.map_err(|error| error.to_string())?;
    if text.len() as u64 > limit {
        return Err(format!("it is longer than {limit} bytes (limit `MAX_REQUEST_BYTES`)"));
    }
    serde_json::from_slice(&text).map_err(|error| error.to_string())
}

fn set_aside(run: &RunDir, path: &Path, name: &str) -> Result<PathBuf, Error> {
    let dir = run.inbox_path().join(ASIDE_DIR);
    run.disk().make_dirs(&dir)?;
    let to = (0_u32..10_000)
        .map(|number| if number == 0 { dir.join(name) } else { dir.join(format!("{name}.{number}")) })
        .find(|to| matches!(fs::symlink_metadata(to), Err(error) if error.kind() == io::ErrorKind::NotFound))
        .ok_or_else(|| Error::malformed(path, "10,000 bad requests of this name were set aside already"))?;
    run.disk().rename(path, &to)?;
    Ok(to)
}
