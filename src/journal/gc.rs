//! What may be deleted: old runs that are over, objects that no kept run and no cache entry refers to, and
//! what dying engines left half-built.
//!
//! Never deleted: a run with a live engine, one that is not over, one whose journal cannot be read (somebody
//! should look at it), one that holds a lock. Objects are swept only while no engine lives, because a live
//! one may have stored what it has not yet recorded.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::disk::{ASIDE, aside};
use super::locks::Locks;
use super::objects::{CacheEntry, Objects};
use super::reader::{Reader, Step};
use super::state_dir::names;
use super::{Error, Holder, RunDir, StateDir, history, ownership, summary};
use crate::base::{Digest, RunId};
use crate::run::Event;
use crate::run::event::{Answer, ShardResult};

/// What to keep.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rule {
    /// So many newest runs.
    pub keep: usize,
    /// Runs that began, and cache entries that were made, at or after this (milliseconds since 1970, UTC).
    pub since_ms: i64,
}

/// What is, or would be, deleted.
#[derive(Debug, Default)]
pub struct Sweep {
    /// Runs and their bytes.
    pub runs: Vec<(RunId, u64)>,
    /// Runs that the rule would delete and that must stay, with the reason.
    pub kept: Vec<(RunId, &'static str)>,
    /// Objects and cache entries, and their bytes.
    pub objects: Vec<(PathBuf, u64)>,
    /// Half-built directories of dead engines.
    pub leftovers: Vec<PathBuf>,
    /// Deleted runs of which nothing is kept for forecasts, because the disk is full.
    pub forgotten: Vec<RunId>,
    /// Why objects are left alone, if they are.
    pub objects_kept: Option<String>,
}

/// What `rule` would delete. Touches nothing.
///
/// # Errors
/// The state directory cannot be read.
pub fn plan(state: &StateDir, rule: Rule) -> Result<Sweep, Error> {
    let mut sweep = choose_runs(state, rule)?;
    choose_objects(state, rule, &mut sweep)?;
    Ok(sweep)
}

/// Deletes what `rule` says, as `holder`, and tells what it deleted. A run that came to life meanwhile stays.
///
/// # Errors
/// The state directory cannot be read, or the disk refuses.
pub fn act(state: &StateDir, rule: Rule, holder: &Holder) -> Result<Sweep, Error> {
    let mut sweep = choose_runs(state, rule)?;
    // Rubbish first: to delete a run takes a little room, and the disk may be full.
    for path in &sweep.leftovers {
        state.disk().remove_dir(path)?;
    }
    let mut gone = Vec::new();
    for (id, bytes) in std::mem::take(&mut sweep.runs) {
        match delete_run(state, &id, holder)? {
            Deleted::No => {
                sweep.kept.push((id, "an engine took it over"));
                continue;
            }
            Deleted::Yes => {}
            Deleted::Unnoted => sweep.forgotten.push(id.clone()),
        }
        gone.push((id, bytes));
    }
    sweep.runs = gone;
    if !state.path().is_dir() {
        return Ok(sweep);
    }
    let path = ownership::sweep_path(state.path());
    let lock = state.disk().open(&path)?;
    if !ownership::try_lock(&lock, &path)? {
        sweep.objects_kept = Some("an engine is running".to_owned());
        return Ok(sweep);
    }
    choose_objects(state, rule, &mut sweep)?;
    for (path, _) in &sweep.objects {
        state.disk().remove(path)?;
    }
    Ok(sweep)
}

/// What became of a run that was to be deleted.
enum Deleted {
    /// Somebody else has it.
    No,
    /// It is gone.
    Yes,
    /// It is gone, and there was no room to keep what it took.
    Unnoted,
}

/// Deletes a run under its own lock.
fn delete_run(state: &StateDir, id: &RunId, holder: &Holder) -> Result<Deleted, Error> {
    let run = state.run(id)?;
    let ownership = match ownership::take(&run, holder) {
        Err(Error::Owned { .. }) => return Ok(Deleted::No),
        other => other?,
    };
    // What it took is kept; a run whose journal cannot be read is not deleted in the first place.
    let done = match history::forget(state, &run) {
        // Room is what this is asked for.
        Err(error) if is_full(&error) => Deleted::Unnoted,
        other => other.map(|()| Deleted::Yes)?,
    };
    // First out of the list in one step: a run is never seen half deleted.
    let rubbish = aside(run.path());
    state.disk().rename(run.path(), &rubbish)?;
    drop(ownership);
    state.disk().remove_dir(&rubbish)?;
    Ok(done)
}

fn is_full(error: &Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error, Error::Io { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded))
}

fn choose_runs(state: &StateDir, rule: Rule) -> Result<Sweep, Error> {
    let mut sweep = Sweep::default();
    let locked: BTreeSet<RunId> = Locks::new(state).list()?.into_iter().map(|record| record.run).collect();
    let mut counted = 0;
    for entry in state.runs()? {
        let id = entry.dir.id().clone();
        let is_young = entry.began.as_ref().is_some_and(|began| began.wall_ms >= rule.since_ms);
        if entry.began.is_some() {
            counted += 1;
            if counted <= rule.keep || is_young {
                continue;
            }
        }
        match why_kept(&entry.dir, locked.contains(&id)) {
            Some(why) => sweep.kept.push((id, why)),
            None => sweep.runs.push((id, size_of(entry.dir.path()))),
        }
    }
    sweep.leftovers = state.unfinished_paths()?.into_iter().filter(|path| !is_in_use(path)).collect();
    Ok(sweep)
}

/// Whether a half-built run is locked by the engine that builds it, or too new to be.
fn is_in_use(path: &Path) -> bool {
    ownership::is_live_at(path).unwrap_or(true) || owner_lives(path).unwrap_or(true)
}

/// Whether the process that a name made by [`aside`] carries is alive; `None` if the name carries none.
fn owner_lives(path: &Path) -> Option<bool> {
    let name = path.file_name()?.to_str()?.strip_prefix(ASIDE)?;
    let pid: u32 = name.split('-').next()?.parse().ok()?;
    Some(Path::new("/proc").join(pid.to_string()).exists())
}

/// Why a run must stay; `None` if it may go.
fn why_kept(run: &RunDir, has_lock: bool) -> Option<&'static str> {
    if has_lock {
        return Some("it holds a lock");
    }
    match ownership::is_live(run) {
        Ok(true) => return Some("an engine is running it"),
        Ok(false) => {}
        Err(_) => return Some("its lock cannot be read"),
    }
    match summary::of(run) {
        Err(_) => Some("its journal cannot be read"),
        Ok(found) if found.run.is_some() && !found.state.is_over() => Some("it is not over"),
        Ok(found) if found.pending > 0 => Some("background work of it is left"),
        // A summary that was made before may tell of a journal that is damaged since.
        Ok(_) => artifacts_of(run, &mut BTreeSet::new()).is_err().then_some("its journal cannot be read"),
    }
}

/// Marks what is referred to, and chooses the rest.
fn choose_objects(state: &StateDir, rule: Rule, sweep: &mut Sweep) -> Result<(), Error> {
    let objects = Objects::new(state);
    let going: BTreeSet<RunId> = sweep.runs.iter().map(|(id, _)| id.clone()).collect();
    let mut manifests = BTreeSet::new();
    for entry in state.runs()?.into_iter().filter(|entry| !going.contains(entry.dir.id())) {
        if let Err(error) = artifacts_of(&entry.dir, &mut manifests) {
            sweep.objects_kept = Some(error.to_string());
            return Ok(());
        }
    }
    for (path, bytes) in two_levels(&state.path().join("cache"))? {
        let entry =
            fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<CacheEntry>(bytes.get(65..)?).ok());
        match entry {
            Some(entry) if changed_ms(&path) >= rule.since_ms => manifests.extend(entry.result.artifacts),
            _ => sweep.objects.push((path, bytes)),
        }
    }
    let mut marked = BTreeSet::new();
    for digest in manifests {
        marked.insert(objects.path(digest));
        if let Ok(manifest) = objects.manifest(digest) {
            marked.extend(manifest.files.iter().map(|file| objects.path(file.digest)));
        }
    }
    let all = two_levels(&state.path().join("objects"))?;
    sweep.objects.extend(all.into_iter().filter(|(path, _)| !marked.contains(path)));
    Ok(())
}

/// Collects the manifests that a run's journal refers to.
fn artifacts_of(run: &RunDir, manifests: &mut BTreeSet<Digest>) -> Result<(), Error> {
    let mut note = |result: &ShardResult| manifests.extend(result.artifacts);
    let mut reader = Reader::open(run)?;
    loop {
        let step = reader.next_frame(&mut |_, _, event| match event {
            Event::ShardFinished { result, .. } => note(&result),
            Event::CheckAnswered { answer: Answer::Yes(result), .. } => note(&result),
            _ => {}
        })?;
        if let Step::End(_) = step {
            return match reader.end().unknown {
                Some((sequence, tag)) => Err(Error::UnknownEvent { path: run.journal_path(), sequence, tag }),
                None => Ok(()),
            };
        }
    }
}

/// Every file in `root` and in the directories in it, with its bytes.
fn two_levels(root: &Path) -> Result<Vec<(PathBuf, u64)>, Error> {
    let mut files = Vec::new();
    for name in names(root)? {
        let path = root.join(name);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => {
                for name in names(&path)? {
                    let path = path.join(name);
                    let len = fs::symlink_metadata(&path).map_or(0, |found| found.len());
                    files.push((path, len));
                }
            }
            Ok(found) => files.push((path, found.len())),
            Err(_) => {}
        }
    }
    Ok(files)
}

/// When a file was last changed, in milliseconds since 1970; now, as far as we care, if nobody knows.
fn changed_ms(path: &Path) -> i64 {
    fs::metadata(path)
        .and_then(|found| found.modified())
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .and_then(|age| i64::try_from(age.as_millis()).ok())
        .unwrap_or(i64::MAX)
}

/// Bytes of a directory and all below it.
fn size_of(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => size_of(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        })
        .sum()
}
