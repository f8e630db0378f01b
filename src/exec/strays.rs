//! Finds processes that left their attempt's group: with setsid, a double fork, or a cleared environment.
//!
//! Orphans of every attempt are adopted by this process (a subreaper), and the kernel hands them to its main
//! thread. So an empty list of the main thread's children proves that no attempt that ended has left
//! anything: that is the fast path, one `pread`. Otherwise each adopted process gets an owner: by what we
//! saw of its parents, its group, `ENGINE_ATTEMPT_KEY` in its environment, or the pipe that it prints to.
//! One without any trace is suspected of every attempt that lived when it was first seen, and dies with the
//! last of them. Each look asks again: in the middle of an `exec` a process has no environment, and if it left its group just
//! before, nothing tells whose it is. [`are_settled`] says whether there is one of these.
//!
//! The registry is one for the process, because adoption is. Adopted processes keep their id until we reap
//! them, which only this file does; so signals to them cannot hit a stranger.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::process::Signal as RawSignal;

use super::Error;
use super::unix::{self, Ident, Named};

/// Names an attempt among all of this process, over several [`super::Local`]s.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Serial(u64);

/// What we know of an attempt while it can own processes.
#[derive(Debug)]
pub(super) struct Traces {
    /// Main process, and its group; 0 while it is being started.
    pub(super) pid: u32,
    /// Value of `ENGINE_ATTEMPT_KEY`.
    pub(super) tag: Vec<u8>,
    /// Inode of the pipe that it prints to.
    pub(super) pipe: u64,
}

#[derive(Debug)]
enum Owner {
    Attempt(Serial),
    Suspects(BTreeSet<Serial>),
}

#[derive(Debug)]
struct Known {
    named: Named,
    owner: Owner,
    /// It had no environment when it was looked at.
    is_bare: bool,
    /// Another look would tell no more of whose it is.
    is_settled: bool,
}

#[derive(Debug, Default)]
struct Registry {
    next: u64,
    live: BTreeMap<Serial, Traces>,
    /// Attempts that ended and whose processes may live on.
    kept: BTreeMap<Serial, Traces>,
    adopted: BTreeMap<u32, Known>,
    /// Descendants that we saw below an attempt, for when their parents are gone.
    lineage: HashMap<Ident, Serial>,
}

static REGISTRY: LazyLock<Mutex<Registry>> = LazyLock::new(Mutex::default);
static ADOPTED: OnceLock<File> = OnceLock::new();

/// Makes this process adopt orphans.
///
/// # Errors
/// When the kernel has no `/proc/*/task/*/children`.
pub(super) fn prepare() -> Result<(), Error> {
    let me = std::process::id();
    rustix::process::set_child_subreaper(unix::raw(me))
        .map_err(|error| Error::Setup { what: "adopt orphaned processes", source: error.into() })?;
    if ADOPTED.get().is_none() {
        let path = format!("/proc/{me}/task/{me}/children");
        let file = File::open(path).map_err(|source| Error::Setup { what: "list child processes", source })?;
        // A second thread that was faster has opened the same file.
        let _same = ADOPTED.set(file);
    }
    Ok(())
}

/// Whether nothing at all has been adopted. Costs one system call.
pub(super) fn are_absent() -> bool {
    let mut byte = [0];
    ADOPTED.get().is_some_and(|file| matches!(file.read_at(&mut byte, 0), Ok(0)))
}

/// Remembers an attempt that is about to begin: a quick one has left something before whoever starts it comes to say who it is.
pub(super) fn expect(tag: Vec<u8>, pipe: u64) -> Serial {
    let mut registry = lock();
    registry.next += 1;
    let serial = Serial(registry.next);
    registry.live.insert(serial, Traces { pid: 0, tag, pipe });
    serial
}

/// It has begun.
pub(super) fn begun(serial: Serial, pid: u32) {
    if let Some(traces) = lock().live.get_mut(&serial) {
        traces.pid = pid;
    }
}

/// Forgets an attempt that has ended and left nothing.
pub(super) fn forget(serial: Serial) {
    let mut registry = lock();
    registry.live.remove(&serial);
    registry.kept.remove(&serial);
    registry.lineage.retain(|_, owner| *owner != serial);
}

/// Looks at what was adopted since last time, and reaps what is dead.
pub(super) fn tidy() {
    lock().look();
}

/// Whether another look would tell no more of whose adopted processes are. One that is in the middle of an `exec` will soon say it.
pub(super) fn are_settled() -> bool {
    let mut registry = lock();
    registry.look();
    registry.adopted.values().all(|known| known.is_settled)
}

/// Kills everything of an attempt whose main process has ended but is not reaped. Answers with what was
/// still alive before; an empty answer means that nothing is left.
pub(super) fn sweep(serial: Serial) -> Vec<Named> {
    let mut registry = lock();
    registry.look();
    registry.convict(serial);
    let alive = registry.tree(serial);
    registry.kill(serial, &alive);
    alive
}

/// Kills an attempt whose main process may still run, with everything below it.
pub(super) fn kill_tree(serial: Serial) -> Vec<Named> {
    let mut registry = lock();
    let Some(pid) = registry.live.get(&serial).map(|traces| traces.pid) else { return Vec::new() };
    registry.look();
    let mut alive: Vec<Named> =
        unix::stat(pid).filter(|main| !main.is_dead()).map(|main| main.named()).into_iter().collect();
    alive.extend(registry.below(serial, pid));
    alive.extend(registry.tree(serial));
    registry.kill(serial, &alive);
    alive
}

/// Lets what an attempt left behind live on, and answers with it. Its id stays valid for [`rest`].
pub(super) fn keep(serial: Serial) -> Vec<Named> {
    let mut registry = lock();
    registry.look();
    registry.convict(serial);
    let alive = registry.tree(serial);
    if let Some(traces) = registry.live.remove(&serial) {
        registry.kept.insert(serial, traces);
    }
    alive
}

/// What is still alive of an attempt that was kept.
pub(super) fn rest(serial: Serial) -> Vec<Named> {
    let mut registry = lock();
    registry.look();
    registry.tree(serial)
}

fn lock() -> MutexGuard<'static, Registry> {
    // A panic in another thread leaves at worst an outdated sighting, which the next look mends.
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

fn adopted() -> Vec<u32> {
    let mut text = Vec::new();
    let mut part = [0; 4096];
    if let Some(file) = ADOPTED.get() {
        while let Ok(len @ 1..) = file.read_at(&mut part, text.len() as u64) {
            text.extend_from_slice(&part[..len]);
        }
    }
    let mut pids = Vec::new();
    unix::parse_pids(&text, &mut pids);
    pids
}

impl Registry {
    fn look(&mut self) {
        let pids: BTreeSet<u32> = adopted().into_iter().collect();
        self.adopted.retain(|pid, _| pids.contains(pid));
        let own_group = rustix::process::getpgrp().as_raw_nonzero().get().unsigned_abs();
        for pid in pids {
            let Some(now) = unix::stat(pid) else { continue };
            if now.group == own_group {
                continue;
            }
            if now.is_dead() {
                // Only this process can reap it, and only here; an error means that it is gone.
                let _reaped = wait4::try_wait4_pid(pid);
                self.adopted.remove(&pid);
                self.lineage.remove(&now.ident);
            } else {
                self.meet(pid, &now);
            }
        }
    }

    /// Takes in what an adopted process looks like now: it may have run `exec` since. One without an environment is looked at
    /// twice at least, for it may have begun an `exec` between two of our questions.
    fn meet(&mut self, pid: u32, now: &unix::Stat) {
        let before = self.adopted.remove(&pid);
        let was_bare = before.as_ref().is_some_and(|known| known.is_bare);
        let (owner, is_bare) = match before.map(|known| known.owner) {
            Some(owner @ Owner::Attempt(_)) => (owner, false),
            Some(Owner::Suspects(suspects)) => match self.owner(now) {
                (Owner::Suspects(_), is_bare) => (Owner::Suspects(suspects), is_bare),
                told => told,
            },
            None => self.owner(now),
        };
        let is_told = matches!(owner, Owner::Attempt(_)) || !is_bare;
        let is_settled = is_told || was_bare && !now.is_loading;
        self.adopted.insert(pid, Known { named: now.named(), owner, is_bare, is_settled });
    }

    /// Whose a process is, and whether it has no environment that we can see.
    fn owner(&self, stray: &unix::Stat) -> (Owner, bool) {
        if let Some(&serial) = self.lineage.get(&stray.ident) {
            return (Owner::Attempt(serial), false);
        }
        let environment = unix::environment(stray.ident.pid);
        let tag = unix::variable(&environment, "ENGINE_ATTEMPT_KEY");
        let by_group = self.find(|traces| traces.pid == stray.group);
        let by_tag = || self.find(|traces| tag.is_some_and(|tag| tag == traces.tag));
        let by_pipe = || self.find(|traces| unix::writes_to(stray.ident.pid, traces.pipe));
        let owner = match by_group.or_else(by_tag).or_else(by_pipe) {
            Some(serial) => Owner::Attempt(serial),
            None => Owner::Suspects(self.live.keys().copied().collect()),
        };
        (owner, environment.is_empty())
    }

    /// The newest attempt that fits, the living before the kept.
    fn find(&self, fits: impl Fn(&Traces) -> bool) -> Option<Serial> {
        let newest = |all: &BTreeMap<Serial, Traces>| {
            all.iter().rev().find(|(_, traces)| fits(traces)).map(|(serial, _)| *serial)
        };
        newest(&self.live).or_else(|| newest(&self.kept))
    }

    /// An attempt ends: what only it can be suspected of is its own.
    fn convict(&mut self, serial: Serial) {
        for known in self.adopted.values_mut() {
            let is_alone = match &mut known.owner {
                Owner::Suspects(suspects) => {
                    suspects.remove(&serial);
                    suspects.retain(|suspect| self.live.contains_key(suspect) || self.kept.contains_key(suspect));
                    suspects.is_empty()
                }
                Owner::Attempt(owner) => !self.live.contains_key(owner) && !self.kept.contains_key(owner),
            };
            if is_alone {
                known.owner = Owner::Attempt(serial);
            }
        }
    }

    /// The adopted processes of an attempt and all below them that live.
    fn tree(&mut self, serial: Serial) -> Vec<Named> {
        let roots: Vec<Named> = self
            .adopted
            .values()
            .filter(|known| matches!(known.owner, Owner::Attempt(owner) if owner == serial))
            .map(|known| known.named.clone())
            .collect();
        let mut alive = Vec::new();
        for root in roots {
            let pid = root.ident.pid;
            alive.push(root);
            alive.extend(self.below(serial, pid));
        }
        alive
    }

    fn below(&mut self, serial: Serial, pid: u32) -> Vec<Named> {
        let mut alive = Vec::new();
        for pid in unix::descendants(pid) {
            if let Some(now) = unix::stat(pid).filter(|now| !now.is_dead()) {
                self.lineage.insert(now.ident, serial);
                alive.push(now.named());
            }
        }
        alive
    }

    fn kill(&self, serial: Serial, processes: &[Named]) {
        if let Some(traces) = self.live.get(&serial) {
            // The leader is not reaped before its attempt is forgotten, so the group is still ours.
            unix::signal_group(traces.pid, RawSignal::KILL);
        }
        for process in processes {
            unix::signal(process.ident, RawSignal::KILL);
        }
    }
}
