//! Kills what is below this process, or what a dead engine left anywhere on the machine.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal as RawSignal;

use super::super::Error;
use super::super::local::now;
use super::super::unix::{self, Ident, Named};

/// Longest pause between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// Pause between the two looks that have to find nothing: longer than an `execve` takes.
const RECHECK: Duration = Duration::from_millis(2);

/// Kills everything below this process but `spared` and what is below those, until it is gone or `patience`
/// is over; answers with what is left. With `reaps`, ended direct children are reaped.
pub(super) fn kill_below(spared: &[Ident], patience: Duration, reaps: bool) -> Vec<Named> {
    let until = now() + patience;
    loop {
        let alive = alive_below(spared, reaps);
        let left = until.saturating_duration_since(now());
        if alive.is_empty() || left.is_zero() {
            return alive;
        }
        for process in &alive {
            unix::signal(process.ident, RawSignal::KILL);
        }
        unix::wait_any(&alive, left.min(LOOK));
    }
}

fn alive_below(spared: &[Ident], reaps: bool) -> Vec<Named> {
    let mut alive = Vec::new();
    let mut seen = BTreeSet::new();
    let mut todo = unix::children(std::process::id());
    let direct: BTreeSet<u32> = todo.iter().copied().collect();
    while let Some(pid) = todo.pop() {
        if !seen.insert(pid) {
            continue;
        }
        let Some(found) = unix::stat(pid) else { continue };
        if spared.contains(&found.ident) {
            continue;
        }
        if found.is_dead() {
            if reaps && direct.contains(&pid) {
                // An error means that it is gone, which is what we want.
                let _reaped = wait4::try_wait4_pid(pid);
            }
        } else {
            alive.push(found.named());
        }
        // A dead process may still have threads, and those children.
        todo.extend(unix::children(pid));
    }
    alive
}

/// Whether a process belongs to a run of the same name in another state folder than `home`, the run's own folder: its
/// `ENGINE_OUTPUT` lies in another run's folder that exists.
pub fn is_elsewhere(pid: u32, home: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::MetadataExt as _;
    let Some(output) = unix::environ(pid, "ENGINE_OUTPUT") else { return false };
    let theirs = Path::new(std::ffi::OsStr::from_bytes(&output)).ancestors().nth(2);
    let place = |path: &Path| std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    match (theirs.and_then(place), place(home)) {
        (Some(theirs), Some(ours)) => theirs != ours,
        _ => false,
    }
}

/// How long a sweep looks for what may be in the middle of an `execve`.
const SETTLING: Duration = Duration::from_millis(250);

/// Kills what a dead engine left of a run: processes of this user with its `ENGINE_RUN_ID`, and all below
/// them, but not this process or its ancestors. Waits until they are gone, so that whoever resumes starts
/// nothing before that. Answers with what was killed.
///
/// `is_spared` is asked with a process's id: true for what was handed to the machine, and for what belongs to
/// another run of the same name.
///
/// # Errors
/// [`Error::Left`] when some are alive after `patience`.
pub fn sweep_run(run: &str, is_spared: &dyn Fn(u32) -> bool, patience: Duration) -> Result<Vec<Named>, Error> {
    let begun = now();
    let (until, settled_by) = (begun + patience, begun + SETTLING);
    let untouchable = ancestors();
    let mut killed: BTreeSet<Ident> = BTreeSet::new();
    let mut names = Vec::new();
    let mut is_clear = false;
    loop {
        let mut alive = alive_of(run, is_spared, &untouchable);
        // One without a mark of its own is not found any more once its parent is gone, and may take a while to die.
        let lingers = |one: &&Named| !alive.iter().any(|known| known.ident == one.ident) && is_alive(one.ident);
        let dying: Vec<Named> = names.iter().filter(lingers).cloned().collect();
        alive.extend(dying);
        if alive.is_empty() {
            // One look can miss a process: in the middle of `execve` it has no environment, and one that was forked
            // behind the look's back is younger than its end.
            let is_settled = || {
                now() >= settled_by
                    || !unix::all().into_iter().any(|pid| !untouchable.contains(&pid) && is_loading(pid))
            };
            if is_clear && is_settled() {
                return Ok(names);
            }
            is_clear = true;
            unix::wait_any(&[], RECHECK);
            continue;
        }
        is_clear = false;
        let left = until.saturating_duration_since(now());
        if left.is_zero() {
            return Err(Error::Left { run: run.to_owned(), left: alive });
        }
        for process in &alive {
            unix::signal(process.ident, RawSignal::KILL);
            if killed.insert(process.ident) {
                names.push(process.clone());
            }
        }
        unix::wait_any(&alive, left.min(LOOK));
    }
}

/// Whether a process of this user is in the middle of `execve`, which takes a while on a busy machine.
fn is_loading(pid: u32) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let is_own = || {
        let owner = std::fs::metadata(format!("/proc/{pid}")).map(|found| found.uid());
        owner.is_ok_and(|uid| uid == rustix::process::geteuid().as_raw())
    };
    unix::stat(pid).is_some_and(|found| found.is_loading && !found.is_dead()) && is_own()
}

fn is_alive(ident: Ident) -> bool {
    unix::stat(ident.pid).is_some_and(|found| found.ident == ident && !found.is_dead())
}

fn alive_of(run: &str, is_spared: &dyn Fn(u32) -> bool, untouchable: &BTreeSet<u32>) -> Vec<Named> {
    let mut found = BTreeSet::new();
    let is_ours = |pid: u32| unix::environ(pid, "ENGINE_RUN_ID").is_some_and(|value| value == run.as_bytes());
    for pid in unix::all() {
        if untouchable.contains(&pid) || !is_ours(pid) || is_spared(pid) {
            continue;
        }
        found.insert(pid);
        // Children with a cleared environment are found through their parents, while these live.
        found.extend(unix::descendants(pid).into_iter().filter(|below| !is_spared(*below)));
    }
    let alive = |pid: u32| unix::stat(pid).filter(|one| !one.is_dead()).map(|one| one.named());
    found.into_iter().filter(|pid| !untouchable.contains(pid)).filter_map(alive).collect()
}

/// This process and all above it.
fn ancestors() -> BTreeSet<u32> {
    let mut above = BTreeSet::new();
    let mut pid = std::process::id();
    while pid != 0 && above.insert(pid) {
        pid = unix::stat(pid).map_or(0, |one| one.parent);
    }
    above
}
