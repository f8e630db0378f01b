//! The third of the guard: outlives a kill that takes front and worker at once.
//!
//! `kill -9` of a whole process group (`timeout -s KILL`, `kill -9 %1`, a CI runner) takes both. The sentinel
//! is born into a group of its own, before the first stage starts, and reads a pipe that only the worker writes.
//! When the pipe ends without a goodbye it waits for worker and front to be gone, for they clean up better than it can: both have what
//! escaped below them, and the sentinel only knows processes by their `ENGINE_RUN_ID`. Then it ends what is
//! left of the run.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};

use super::{front, is_elsewhere, spare, sweep_run};
use crate::base::limits;
use crate::exec::hearing;
use crate::exec::unix::{self, Ident};

/// Tells the sentinel whom it watches: `WORKER:FRONT:RUN:FOLDER`, the folder being that of the run.
const VARIABLE: &str = "ENGINE_SENTINEL";

/// The worker's end of the pipe.
static PIPE: Mutex<Option<ChildStdin>> = Mutex::new(None);

/// Whether a sentinel was asked for and does not stand yet.
static IS_AWAITED: Mutex<bool> = Mutex::new(false);
static STANDS: Condvar = Condvar::new();

/// From here on [`wait`] waits for the sentinel.
pub(super) fn expect() {
    *IS_AWAITED.lock().unwrap_or_else(PoisonError::into_inner) = true;
}

/// The sentinel stands, or cannot be had.
pub(super) fn settle() {
    *IS_AWAITED.lock().unwrap_or_else(PoisonError::into_inner) = false;
    STANDS.notify_all();
}

/// Waits until a sentinel that was asked for stands: what starts before it would outlive a kill of front and worker.
pub(super) fn wait() {
    let is_awaited = IS_AWAITED.lock().unwrap_or_else(PoisonError::into_inner);
    drop(STANDS.wait_while(is_awaited, |is_awaited| *is_awaited));
}

/// Starts the sentinel of `run`, whose folder is `home`. Without one the next resume ends what is left.
///
/// # Errors
/// The process cannot be started.
pub(super) fn start(run: &str, home: &Path, front: u32) -> std::io::Result<()> {
    let mut address = OsString::from(format!("{}:{front}:{run}:", std::process::id()));
    // It works in another folder than we do, and the run's may not be there yet.
    address.push(std::path::absolute(home)?);
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("engine-sentinel")
        // It outlives everything else of the run and needs nothing of the caller's environment, where secrets may be.
        .env_clear()
        .env(VARIABLE, address)
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = hearing::spawn(&mut command)?;
    if let Some(stat) = unix::stat(child.id()) {
        spare(stat.ident);
    }
    *PIPE.lock().unwrap_or_else(PoisonError::into_inner) = child.stdin.take();
    Ok(())
}

/// Ends sentinels of `run` whose engine is dead. Whoever owns the run now ends what that engine left; a sentinel that is
/// late would take what is started after that for what was left.
pub fn relieve(run: &str, home: &Path) {
    let place = |path: &Path| std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    let ours = place(home);
    let is_dead = |pid: u32| unix::stat(pid).is_none_or(|one| one.is_dead());
    let is_stale = |pid: u32| {
        let address = unix::environ(pid, VARIABLE).map(OsString::from_vec);
        address.as_deref().and_then(parse).is_some_and(|(worker, front, of, folder)| {
            // A folder that was moved or deleted meanwhile has no other run in it.
            let is_same = place(folder).is_none_or(|theirs| Some(theirs) == ours);
            of == run && is_same && is_dead(worker) && is_dead(front)
        })
    };
    let stale = |pid: u32| unix::stat(pid).filter(|one| !one.is_dead() && is_stale(pid)).map(|one| one.named());
    loop {
        let left: Vec<_> = unix::all().into_iter().filter_map(stale).collect();
        if left.is_empty() {
            return;
        }
        let is_ours = left.iter().filter(|one| unix::signal(one.ident, rustix::process::Signal::KILL)).count() > 0;
        if !is_ours {
            // Of another user, as its engine was: its sweep cannot reach what we start.
            return;
        }
        unix::wait_any(&left, Duration::from_millis(limits::KILL_PATIENCE_MS));
    }
}

/// Worker, front, run and the run's folder.
fn parse(address: &OsStr) -> Option<(u32, u32, &str, &Path)> {
    let mut parts = address.as_bytes().splitn(4, |byte| *byte == b':');
    let mut text = || std::str::from_utf8(parts.next()?).ok();
    let (worker, front, run) = (text()?.parse().ok()?, text()?.parse().ok()?, text()?);
    Some((worker, front, run, Path::new(OsStr::from_bytes(parts.next()?))))
}

/// Says a line to the sentinel, if there is one.
pub(super) fn tell(line: &str) {
    if let Some(pipe) = PIPE.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
        // A sentinel that is gone has nothing left to do.
        let _gone = pipe.write_all(line.as_bytes());
    }
}

/// When this process was started as a sentinel: does its work, and answers with the exit code.
pub fn stand_watch() -> Option<u8> {
    let address = std::env::var_os(VARIABLE)?;
    let (worker, front, run, home) = parse(&address)?;
    let parent = rustix::process::getppid()?.as_raw_nonzero().get().unsigned_abs();
    // A worker that was killed before we looked is why we are here.
    if parent != worker && unix::stat(worker).is_some_and(|one| !one.is_dead()) {
        return None;
    }
    let watched: Vec<_> = [worker, front].into_iter().filter_map(unix::open).collect();
    let mut spared: Vec<Ident> = Vec::new();
    for line in BufReader::new(std::io::stdin()).lines() {
        match line.as_deref().map(|line| line.split_once(' ').unwrap_or((line, ""))) {
            Ok(("bye", _)) => return Some(0),
            Ok(("spare", rest)) => spared.extend(front::parse_ident(rest)),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    for process in &watched {
        let mut polled = [PollFd::new(process, PollFlags::IN)];
        // An early return only makes us look sooner.
        let _early = rustix::event::poll(&mut polled, None);
    }
    let is_ident_spared = |pid: u32| unix::stat(pid).is_some_and(|one| spared.contains(&one.ident));
    let is_spared = |pid: u32| is_elsewhere(pid, home) || is_ident_spared(pid);
    let swept = sweep_run(run, &is_spared, Duration::from_millis(limits::KILL_PATIENCE_MS));
    Some(u8::from(swept.is_err()))
}
