//! `plan/`: what a run was started with, byte for byte. The caller decides what it writes there (sources,
//! resolved inputs, frozen answers of the world, options); no secret value is ever among it.
//!
//! The digests of `plan/` are in the journal's first event. A later version `plan.N/` carries a file
//! `digests` that names the others, and the event of the resume that took it holds the blake3 of that list.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::disk::{Disk, aside};
use super::{Error, RunDir};
use crate::base::{Digest, limits};
use crate::run::Event;

/// The file of a snapshot that has a line for each of its stages, in the order of their indexes: its id, and what its
/// durations go by and earlier runs said of them when the run began (`graph::outlook`). The summary of a run is rebuilt
/// with it.
pub const STAGES: &str = "stages.txt";

/// The file in which older engines kept all but the ids.
pub const OUTLOOK: &str = "outlook.txt";

/// The file of a later version that lists the ids of stages which it lacks and the run keeps, one a line: `graph::retire`.
pub const RETIRED: &str = "retired.txt";

/// The file of a later version that names the digests of the others.
const DIGESTS: &str = "digests";

/// Threads that sync a snapshot's files: syncs at the same time share flushes of the disk.
const SYNCERS: usize = 8;
/// What there is at least for each thread: for less, making one takes longer than what it saves.
const LEAST_SHARE: usize = 3;

/// The snapshot file [`RETIRED`], when there are any.
pub fn retired_file<'a>(ids: impl IntoIterator<Item = &'a str>) -> Option<(String, Vec<u8>)> {
    let mut text = String::new();
    for id in ids {
        text.push_str(id);
        text.push('\n');
    }
    Some((RETIRED.to_owned(), text.into_bytes())).filter(|(_, text)| !text.is_empty())
}

/// Path and digest of each of `files`, as the first event of a run records them.
pub fn digests(files: &[(String, Vec<u8>)]) -> Vec<(String, Digest)> {
    let mut list: Vec<_> = files.iter().map(|(name, bytes)| (name.clone(), Digest::of(bytes))).collect();
    list.sort_unstable();
    list
}

/// What a journal says of the files of its run's plan.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    began: Vec<(String, Digest)>,
    /// The seal of the version that the last resume said it takes.
    taken: Option<Digest>,
    later: BTreeMap<u32, Digest>,
}

impl Recorded {
    /// What these events say.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut recorded = Self::default();
        events.into_iter().for_each(|event| recorded.hear(event));
        recorded
    }

    /// Takes the next event in.
    pub fn hear(&mut self, event: &Event) {
        match event {
            Event::RunBegan(began) => self.began.clone_from(&began.files),
            Event::RunResumed(resumed) => self.taken = resumed.plan,
            Event::PlanChanged { version } => {
                self.later.extend(self.taken.take().map(|seal| (*version, seal)));
            }
            _ => {}
        }
    }
}

/// What the event of a resume holds of a version of the plan with these files: blake3 of the list of digests.
pub fn seal(files: &[(String, Vec<u8>)]) -> Digest {
    Digest::of(&list_of(files))
}

/// The list of digests, as the file `digests` has it after its first line.
fn list_of(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let list: BTreeMap<_, _> = digests(files).into_iter().collect();
    serde_json::to_vec(&list).expect("names and digests are text")
}

/// Writes version `version` (from 2) of the plan, atomically and durably. The event that refers to it comes
/// after; a version that no event refers to is replaced.
///
/// # Errors
/// A name is unsafe, or the disk refuses.
pub fn write_version(run: &RunDir, version: u32, files: &[(String, Vec<u8>)]) -> Result<(), Error> {
    let path = run.plan_path(version.max(2));
    let aside = aside(&path);
    let body = list_of(files);
    let mut all = files.to_vec();
    let mut sealed = Digest::of(&body).to_string().into_bytes();
    sealed.push(b'\n');
    sealed.extend_from_slice(&body);
    all.push((DIGESTS.to_owned(), sealed));
    let written = write_files(run.disk(), &aside, &all).and_then(|written| {
        written.sync(run.disk(), None)?;
        run.disk().remove_dir(&path)?;
        run.disk().rename(&aside, &path)?;
        run.disk().sync_dir(run.path())
    });
    if written.is_err() {
        // What was built is rubbish; the error that matters is the first one.
        drop(fs::remove_dir_all(&aside));
    }
    written
}

/// The files of a version of the plan, each checked against its digest; sorted by path.
///
/// # Errors
/// [`Error::Damage`] names the first file that is missing, altered or not recorded.
pub fn read(run: &RunDir, version: u32, recorded: &Recorded) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let mut files = Vec::new();
    check(run, version, recorded, &mut |name, bytes| files.push((name.to_owned(), bytes)))
        .into_iter()
        .next()
        .map_or(Ok(files), Err)
}

/// Checks every file of a version of the plan against its digest; as [`read`], but keeps none.
///
/// # Errors
/// As [`read`].
pub fn verify(run: &RunDir, version: u32, recorded: &Recorded) -> Result<(), Error> {
    check(run, version, recorded, &mut |_, _| {}).into_iter().next().map_or(Ok(()), Err)
}

/// Checks every file of a version, gives the good ones to `each` and returns all damage.
pub(super) fn check(
    run: &RunDir,
    version: u32,
    recorded: &Recorded,
    each: &mut dyn FnMut(&str, Vec<u8>),
) -> Vec<Error> {
    let root = run.plan_path(version);
    let mut expected: BTreeMap<String, Digest> = if version <= 1 {
        recorded.began.iter().cloned().collect()
    } else {
        match read_digests(&root, recorded.later.get(&version).copied()) {
            Ok(list) => list,
            Err(error) => return vec![error],
        }
    };
    let mut damage = Vec::new();
    let mut found = Vec::new();
    if let Err(error) = walk(&root, &root, 0, &mut found) {
        return vec![error];
    }
    found.sort_unstable();
    for name in found.into_iter().filter(|name| version <= 1 || name != DIGESTS) {
        let path = root.join(&name);
        let Some(digest) = expected.remove(&name) else {
            damage.push(Error::damage(&path, 0, "the run did not record this file"));
            continue;
        };
        match fs::read(&path).map_err(Error::io("read", &path)) {
            Ok(bytes) if Digest::of(&bytes) == digest => each(&name, bytes),
            Ok(bytes) => {
                let what = format!("its blake3 is {}, recorded was {digest}", Digest::of(&bytes));
                damage.push(Error::damage(&path, 0, what));
            }
            Err(error) => damage.push(error),
        }
    }
    damage.extend(expected.keys().map(|name| Error::damage(&root.join(name), 0, "the file is missing")));
    damage
}

/// Every version there is, in order.
pub(super) fn versions(run: &RunDir) -> Result<Vec<u32>, Error> {
    let mut versions: Vec<u32> = super::state_dir::names(run.path())?
        .iter()
        .filter_map(|name| if name == "plan" { Some(1) } else { name.strip_prefix("plan.")?.parse().ok() })
        .collect();
    versions.sort_unstable();
    Ok(versions)
}

/// The digests of a later version, whose list the journal may hold a digest of: an older engine recorded none.
fn read_digests(root: &Path, recorded: Option<Digest>) -> Result<BTreeMap<String, Digest>, Error> {
    let path = root.join(DIGESTS);
    let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
    let damaged = || Error::damage(&path, 0, "its first line is not the blake3 of the rest");
    let (seal, body) = bytes.split_at_checked(65).ok_or_else(damaged)?;
    let sealed = seal.strip_suffix(b"\n").and_then(|hex| Digest::parse(std::str::from_utf8(hex).ok()?));
    // The seal is compared as written, so that a changed case of a digit is damage too.
    if sealed != Some(Digest::of(body)) || seal.iter().any(u8::is_ascii_uppercase) {
        return Err(damaged());
    }
    if let Some(recorded) = recorded.filter(|&recorded| recorded != Digest::of(body)) {
        let what = format!(
            "it lists other files than the journal recorded: its list is {}, not {recorded}",
            Digest::of(body)
        );
        return Err(Error::damage(&path, 0, what));
    }
    serde_json::from_slice(body).map_err(|_| damaged())
}

/// Collects the paths of all files below `at`, relative to `root`, with `/`.
fn walk(root: &Path, at: &Path, depth: usize, found: &mut Vec<String>) -> Result<(), Error> {
    if depth > limits::MAX_DEPTH {
        return Err(Error::damage(at, 0, "directories are nested deeper than limit `MAX_DEPTH`"));
    }
    for entry in fs::read_dir(at).map_err(Error::io("list", at))? {
        let entry = entry.map_err(Error::io("list", at))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(Error::io("look at", &path))?;
        if kind.is_dir() {
            walk(root, &path, depth + 1, found)?;
            continue;
        }
        let name = path.strip_prefix(root).ok().and_then(Path::to_str);
        let Some(name) = name.filter(|_| kind.is_file()) else {
            return Err(Error::damage(&path, 0, "the run did not record this file"));
        };
        found.push(name.to_owned());
    }
    Ok(())
}

/// Files and directories that were written and may not be on the disk.
pub(super) struct Written {
    files: Vec<(File, PathBuf)>,
    dirs: Vec<PathBuf>,
}

impl Written {
    /// Waits until all of it is on the disk, and what lies in `more` too. No part waits for another, so they share
    /// flushes: what has a name but no bytes after a power cut lies in a directory that nobody knows yet.
    pub(super) fn sync(mut self, disk: &Disk, more: Option<&Path>) -> Result<(), Error> {
        self.dirs.extend(more.map(Path::to_path_buf));
        let files = self.files.iter().map(|(file, path)| (Some(file), path.as_path()));
        let all: Vec<_> = files.chain(self.dirs.iter().map(|dir| (None, dir.as_path()))).collect();
        in_parallel(&all, |&(file, path)| match file {
            Some(file) => disk.sync(file, path),
            None => disk.sync_dir(path),
        })
    }
}

/// Makes `root` and writes `files` below it.
pub(super) fn write_files(disk: &Disk, root: &Path, files: &[(String, Vec<u8>)]) -> Result<Written, Error> {
    disk.make_dirs(root)?;
    let mut written = Vec::with_capacity(files.len());
    let mut dirs = vec![root.to_path_buf()];
    for (name, bytes) in files {
        let path = inside(root, name)?;
        let parent = path.parent().unwrap_or(root);
        if !dirs.iter().any(|dir| dir == parent) {
            disk.make_dirs(parent)?;
            let between = parent.ancestors().take_while(|dir| *dir != root);
            dirs.extend(between.map(Path::to_path_buf));
        }
        let file = disk.create(&path)?;
        disk.write_at(&file, &path, bytes, 0)?;
        written.push((file, path));
    }
    dirs.sort_unstable();
    dirs.dedup();
    Ok(Written { files: written, dirs })
}

/// `root`/`name`, if that is a plain path below `root`.
pub(super) fn inside(root: &Path, name: &str) -> Result<PathBuf, Error> {
    let is_plain = !name.is_empty()
        && !name.contains(['\0', '\\'])
        && name.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
        && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    if is_plain {
        Ok(root.join(name))
    } else {
        Err(Error::UnsafePath { name: name.to_owned(), parent: root.to_path_buf() })
    }
}

/// Does `work` for each of `items` on a few threads, each of which takes the next one; the first error in order of items.
fn in_parallel<T: Sync>(items: &[T], work: impl Fn(&T) -> Result<(), Error> + Sync) -> Result<(), Error> {
    let next = AtomicUsize::new(0);
    let take = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { return Ok(()) };
            work(item).map_err(|error| (at, error))?;
        }
    };
    let helpers = items.len().div_ceil(LEAST_SHARE).min(SYNCERS).saturating_sub(1);
    thread::scope(|scope| {
        // What no thread can be had for, or one that comes late, is done by those who are there.
        let threads: Vec<_> =
            (0..helpers).filter_map(|_| thread::Builder::new().spawn_scoped(scope, take).ok()).collect();
        let mine = take();
        let theirs = threads.into_iter().map(|thread| thread.join().expect("syncing files does not panic"));
        let failed = std::iter::once(mine).chain(theirs).filter_map(Result::err).min_by_key(|(at, _)| *at);
        failed.map_or(Ok(()), |(_, error)| Err(error))
    })
}
