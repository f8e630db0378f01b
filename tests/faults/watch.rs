//! Engines as processes: start, watch, kill, and find what they leave alive.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use engine::exec::unix;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use crate::support::{PATIENCE, Project};

/// A front with its worker.
pub(crate) struct Engine {
    front: Child,
    pidfd: OwnedFd,
    out: PathBuf,
}

impl Engine {
    /// Starts one; what it prints is appended to `engine.out` in the project.
    pub(crate) fn start(project: &Project, args: &[&str]) -> Self {
        let out = project.path("engine.out");
        let open = || OpenOptions::new().create(true).append(true).open(&out).expect("a log");
        let mut command = project.command(args);
        command.stdin(Stdio::null()).stdout(open()).stderr(open()).process_group(0);
        let front = command.spawn().expect("the engine starts");
        let pidfd = pidfd_open(pid(front.id()), PidfdFlags::empty()).expect("our child");
        Self { front, pidfd, out }
    }

    /// What all engines of this project printed.
    pub(crate) fn printed(&self) -> String {
        std::fs::read_to_string(&self.out).unwrap_or_default()
    }

    pub(crate) fn worker(&self) -> Option<u32> {
        unix::children(self.front.id()).first().copied()
    }

    /// Waits for a moment; true once it has ended.
    pub(crate) fn has_ended(&self, most: Duration) -> bool {
        let mut polled = [PollFd::new(&self.pidfd, PollFlags::IN)];
        matches!(rustix::event::poll(&mut polled, Some(&unix::timespec(most))), Ok(1..))
    }

    /// Waits for its end as long as the grace lasts; false when it lives on.
    pub(crate) fn ends_within(&self, grace: &mut Grace) -> bool {
        while !self.has_ended(Grace::STEP) {
            if grace.is_over() {
                return false;
            }
        }
        true
    }

    /// Looks again and again until `is_there` holds; false when the engine ends before.
    pub(crate) fn watch(&self, mut is_there: impl FnMut() -> bool) -> Result<bool, String> {
        let mut patience = Grace::new(PATIENCE);
        while !is_there() {
            if self.has_ended(Duration::from_micros(200)) {
                return Ok(false);
            }
            if patience.is_over() {
                return Err(format!("nothing goes on\n{}", self.printed()));
            }
        }
        Ok(true)
    }

    /// Its exit code; a death by signal N is 128 + N.
    pub(crate) fn end(&mut self) -> Result<i32, String> {
        if !self.ends_within(&mut Grace::new(PATIENCE)) {
            return Err(format!("the engine does not end\n{}", self.printed()));
        }
        let status: ExitStatus = self.front.wait().map_err(|error| error.to_string())?;
        Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
    }

    pub(crate) fn kill_front(&self) {
        kill(self.front.id());
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(worker) = self.worker() {
            kill(worker);
        }
        kill(self.front.id());
        let _ = self.front.wait();
    }
}

fn pid(raw: u32) -> Pid {
    unix::raw(raw).expect("a process id")
}

/// kill -9, unless it is gone.
pub(crate) fn kill(raw: u32) {
    let _ = kill_process(pid(raw), Signal::KILL);
}

/// Stops a process until it is killed or continued.
pub(crate) fn hold(raw: u32) {
    let _ = kill_process(pid(raw), Signal::STOP);
}

/// Lets a held process go on.
pub(crate) fn release(raw: u32) {
    let _ = kill_process(pid(raw), Signal::CONT);
}

/// Live processes of a run's stages.
pub(crate) fn alive(run: &str) -> Vec<unix::Ident> {
    let is_ours = |pid: &u32| unix::environ(*pid, "ENGINE_RUN_ID").is_some_and(|value| value == run.as_bytes());
    let found = unix::all().into_iter().filter(is_ours);
    found.filter_map(unix::stat).filter(|one| !one.is_dead()).map(|one| one.ident).collect()
}

/// Now; a test that waits for real processes needs the real clock.
#[expect(clippy::disallowed_methods, reason = "how long killed processes live is measured, and waits are bounded")]
fn now() -> Instant {
    Instant::now()
}

/// Time for something to happen in. Between two looks at most [`Grace::STEP`] of it passes: while the machine stands
/// still, or has others to serve, nobody can be late.
pub(crate) struct Grace {
    left: Duration,
    looked: Instant,
}

impl Grace {
    /// What a look at all processes takes, and some more.
    const STEP: Duration = Duration::from_millis(50);

    pub(crate) fn new(most: Duration) -> Self {
        Self { left: most, looked: now() }
    }

    /// Whether it has passed.
    pub(crate) fn is_over(&mut self) -> bool {
        let last = std::mem::replace(&mut self.looked, now());
        self.left = self.left.saturating_sub((self.looked - last).min(Self::STEP));
        self.left.is_zero()
    }
}

/// Waits until a process is no more.
pub(crate) fn wait_gone(raw: u32, grace: &mut Grace) -> bool {
    while unix::stat(raw).is_some_and(|one| !one.is_dead()) {
        if grace.is_over() {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

/// Lets whoever reads a line from this named pipe go on. Without a reader this does not wait for one.
pub(crate) fn open_gate(path: &Path) {
    let mut gate = OpenOptions::new().read(true).write(true).open(path).expect("a named pipe");
    gate.write_all(b"go\n").expect("a pipe has room");
    // What is not read before the last one closes it is lost, so it stays open until the process ends.
    std::mem::forget(gate);
}

/// How far a journal reaches by its `head`; 0 when there is none. Its length says less, for zeros stand at its end.
pub(crate) fn length(journal: &Path) -> u64 {
    let head = std::fs::read(journal.with_file_name("head")).unwrap_or_default();
    head.get(16..24).map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().expect("eight bytes")))
}
