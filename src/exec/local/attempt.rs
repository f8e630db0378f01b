//! One attempt: its descriptors, what it has printed, and how far its end has come.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Resource, WaitId, WaitIdOptions};

use super::program::{self, Looks};
use super::spawn::Spawner;
use super::{Shared, Spec, now};
use crate::base::limits;
use crate::exec::strays::{self, Serial};
use crate::exec::{Exit, guard, unix};

/// How far an attempt has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// The main process runs.
    Running,
    /// The main process has ended and what it left is being killed.
    Sweeping {
        /// When it ended.
        since: Instant,
    },
    /// The attempt was reported lost, or its processes live on; what comes through the pipe is dropped.
    Past,
}

/// An attempt that was spawned.
pub(super) struct Attempt {
    pub(super) spec: Spec,
    pub(super) serial: Serial,
    pub(super) pid: u32,
    pub(super) pidfd: OwnedFd,
    pub(super) pipe: Option<OwnedFd>,
    pub(super) phase: Phase,
    /// Its end is waited for.
    pub(super) is_ending_watched: bool,
    /// What it prints is waited for.
    pub(super) is_pipe_watched: bool,
    pub(super) begun: Instant,
    pub(super) took: Duration,
    pub(super) printed: Instant,
    /// Somebody asked it to stop.
    pub(super) was_stopped: bool,
    /// When it was killed, while its main process ran.
    pub(super) killed: Option<Instant>,
    /// Its idle timer.
    pub(super) idle_due: Option<Instant>,
    pub(super) bytes: u64,
    pub(super) notes: Vec<String>,
}

/// What a thread needs to start attempts.
#[derive(Debug)]
pub(super) struct Tools {
    pub(super) looks: Looks,
    pub(super) spawner: Spawner,
}

/// A main process that was started.
struct Begun {
    serial: Serial,
    pid: u32,
    pidfd: OwnedFd,
    pipe: OwnedFd,
    at: Instant,
}

/// What a main process left to read once it is reaped.
pub(super) struct Usage {
    pub(super) exit: Exit,
    pub(super) cpu_us: u64,
    pub(super) max_rss_kib: u64,
}

impl Attempt {
    /// Spawns the main process, in its own group, on the `posix_spawn` path.
    pub(super) fn spawn(mut spec: Spec, shared: &Shared, tools: &mut Tools) -> Result<Self, String> {
        let Begun { serial, pid, pidfd, pipe, at: begun } = Self::try_spawn(&spec, shared, tools)?;
        // It has them now; as long as we hold them too, their other ends never learn of its end.
        spec.pipes = None;
        Ok(Self {
            spec,
            serial,
            pid,
            pidfd,
            pipe: Some(pipe),
            phase: Phase::Running,
            is_ending_watched: true,
            is_pipe_watched: false,
            begun,
            took: Duration::ZERO,
            printed: begun,
            was_stopped: false,
            killed: None,
            idle_due: None,
            bytes: 0,
            notes: Vec::new(),
        })
    }

    fn try_spawn(spec: &Spec, shared: &Shared, tools: &mut Tools) -> Result<Begun, String> {
        let at = now();
        let (program, is_known) = tools.looks.find(spec, at)?;
        let (pipe, writer) = pipe().map_err(|error| format!("the machine has no room for a pipe: {error}"))?;
        make_room(&pipe);
        let inode = rustix::fs::fstat(&pipe).map_or(0, |stat| stat.st_ino);
        let serial = strays::expect(spec.tag.clone().into_bytes(), inode);
        let pid = match guard::while_open(|| tools.spawner.spawn(spec, shared, (&program, is_known), &writer)) {
            Ok(pid) => pid,
            Err(error) => {
                strays::forget(serial);
                if !is_known {
                    return Err(program::explain(&error, spec, &program));
                }
                // It may be somewhere else by now; whoever looks again says what is wrong with what it finds.
                tools.looks.forget();
                return Self::try_spawn(spec, shared, tools);
            }
        };
        strays::begun(serial, pid);
        let Some(pidfd) = unix::open(pid) else {
            // Without a descriptor its end would never be heard. It is our child, so its id is still its own.
            unix::signal_group(pid, rustix::process::Signal::KILL);
            let _status = rustix::process::waitpid(unix::raw(pid), rustix::process::WaitOptions::empty());
            strays::forget(serial);
            return Err("the machine has no room for another descriptor".into());
        };
        Ok(Begun { serial, pid, pidfd, pipe, at })
    }

    /// Reads what is there, at most `limit` bytes, and hands it on. `false` once the pipe is at its end.
    pub(super) fn read(&mut self, shared: &Shared, buffer: &mut [u8], limit: usize) -> bool {
        let Some(pipe) = &self.pipe else { return false };
        let mut taken = 0;
        while taken < limit {
            match rustix::io::read(pipe, &mut *buffer) {
                Ok(0) => return false,
                Ok(len) => {
                    taken += len;
                    if self.phase != Phase::Past {
                        self.bytes += len as u64;
                        shared.sink.write(self.spec.key, &buffer[..len]);
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => break,
                Err(_) => return false,
            }
        }
        if taken > 0 {
            self.printed = now();
        }
        true
    }

    /// Whether the main process has ended with 0 although nobody asked it to stop. Leaves it unreaped.
    pub(super) fn has_succeeded(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), options);
        !self.was_stopped && matches!(status, Ok(Some(status)) if status.exit_status() == Some(0))
    }

    /// Reaps the main process, which has ended.
    pub(super) fn reap(&self, own_rss_kib: &mut u64) -> Usage {
        match wait4::try_wait4_pid(self.pid) {
            Ok(Some(used)) => {
                let spent = used.rusage.utime + used.rusage.stime;
                Usage {
                    exit: exit_of(used.status),
                    cpu_us: u64::try_from(spent.as_micros()).unwrap_or(u64::MAX),
                    max_rss_kib: above_own(used.rusage.maxrss / 1024, own_rss_kib),
                }
            }
            other => Usage {
                exit: Exit::Lost(format!("its end could not be read: {other:?}")),
                cpu_us: 0,
                max_rss_kib: 0,
            },
        }
    }

    /// Bytes that may still be taken after the end: no writer can make the end wait for ever.
    pub(super) fn drain(&mut self, shared: &Shared, buffer: &mut [u8]) -> bool {
        self.pipe.is_some() && self.read(shared, buffer, limits::OUTPUT_DRAIN_BYTES)
    }
}

fn exit_of(status: std::process::ExitStatus) -> Exit {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Lost(format!("it ended in a way that has no name: {status}")),
    }
}

/// Exec keeps the resident mark of the memory it replaces, which after a vfork is ours. A mark that is not
/// above ours says nothing.
fn above_own(kib: u64, own_kib: &mut u64) -> u64 {
    if kib > *own_kib {
        *own_kib = unix::peak_rss_kib().unwrap_or(*own_kib).max(*own_kib);
    }
    if kib > *own_kib { kib } else { 0 }
}

/// Descriptors that a spawn needs for a moment, with some for the rest of the program.
const HEADROOM: u64 = 128;
/// Where the limit is raised to at first: three descriptors for each of [`limits::MAX_PARALLEL`] attempts.
const ROOM: u64 = 3 * limits::MAX_PARALLEL as u64;

/// Raises the soft limit of descriptors once we come near it. Not before: stages inherit it, and should see
/// what the user's shell has set.
fn make_room(newest: &OwnedFd) {
    static LIMIT: AtomicU64 = AtomicU64::new(0);
    // The kernel gives the lowest free number, so a new one tells how many there are.
    let wanted = u64::from(newest.as_raw_fd().unsigned_abs()) + HEADROOM;
    if wanted < LIMIT.load(Ordering::Relaxed) {
        return;
    }
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current <= wanted) {
        let room = ROOM.max(2 * wanted);
        limit.current = Some(limit.maximum.map_or(room, |maximum| maximum.min(room)));
        // Without more room the next start says so itself.
        let _refused = rustix::process::setrlimit(Resource::Nofile, limit);
    }
    LIMIT.store(limit.current.unwrap_or(u64::MAX), Ordering::Relaxed);
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    // Only our end: the flag would confuse programs at the other.
    rustix::fs::fcntl_setfl(reader.as_fd(), OFlags::NONBLOCK)?;
    Ok((reader, writer))
}
