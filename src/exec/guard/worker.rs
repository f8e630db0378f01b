//! The worker's side: hears signals from the front, and leaves when the front dies.

use std::io::{PipeReader, PipeWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};

use super::pairing::Pairing;
use super::{Caught, GATE, sentinel, spared, sweep};
use crate::base::limits;
use crate::exec::local::now;
use crate::exec::{Error, hearing, unix};

/// The front, as its worker knows it.
#[derive(Debug)]
pub(super) struct Front {
    pub(super) pid: u32,
    /// Brings the signals that the front was sent; ends with it.
    pub(super) life: PipeReader,
    /// Takes what the front is told; never makes who writes wait.
    pub(super) talk: PipeWriter,
}

static FRONT: OnceLock<Front> = OnceLock::new();
/// Whether somebody listens to the front.
static HAS_ATTACHED: AtomicBool = AtomicBool::new(false);
/// The run that a sentinel is to be started for, and its folder.
static WATCHED: Mutex<Option<(String, PathBuf)>> = Mutex::new(None);
/// Asks the listening thread to start the sentinel. The main thread must not: its children are where strays
/// are looked for after each attempt, and that list is to stay empty.
const WATCH: u8 = b'W';

/// The worker's connection to its front.
#[derive(Debug)]
pub struct Link {
    direct: PipeWriter,
}

/// This process is the worker of `front` from here on.
pub(super) fn belong_to(front: Front) {
    let _only_once = FRONT.set(front);
}

/// Whether this process is a worker that [`divide`](super::divide) made.
pub fn is_worker() -> bool {
    FRONT.get().is_some()
}

/// Connects to the front, if there is one: from here on `listener` hears each INT, TERM and HUP that was
/// meant for the engine, on a thread of its own, and this process leaves at once when the front dies.
/// Call it before the first stage is started.
///
/// # Errors
/// [`Error::Front`] when the front is there but cannot be reached.
pub fn attach(listener: impl Fn(Caught) + Send + 'static) -> Result<Option<Link>, Error> {
    let Some(front) = FRONT.get() else { return Ok(None) };
    let unreachable = |source| Error::Front { front: front.pid, source };
    let life = front.life.try_clone().map_err(unreachable)?;
    HAS_ATTACHED.store(true, Ordering::Relaxed);
    let (reader, direct) = std::io::pipe().map_err(unreachable)?;
    hearing::sleep_through_children();
    std::thread::Builder::new()
        .name("guard".into())
        .spawn(move || listen(life, reader, &listener))
        .map_err(unreachable)?;
    Ok(Some(Link { direct }))
}

/// A worker that never attached has begun nothing: its front has nothing to clean up, and nothing to say.
pub fn leave_idle() {
    if !HAS_ATTACHED.load(Ordering::Relaxed) {
        tell_front("bye\n");
    }
}

/// Says a line to the front, if there is one. A full pipe loses it: the front must never hold us up.
pub(super) fn tell_front(line: &str) {
    if let Some(front) = FRONT.get() {
        let _lost = (&front.talk).write_all(line.as_bytes());
    }
}

impl Link {
    /// What the front says when this process dies without a goodbye: one line, how to go on.
    pub fn explain(&self, line: &str) {
        let line: String = line.chars().filter(|char| !char.is_control()).take(1000).collect();
        tell_front(&format!("say {line}\n"));
    }

    /// This process itself got a signal. It reaches the listener unless the front has passed on the same.
    pub fn direct(&self, caught: Caught) {
        let mut writer = &self.direct;
        // The thread that reads ends only with the process.
        let _ended = writer.write_all(&[caught.byte()]);
    }

    /// Starts a sentinel that ends what is left of `run`, whose folder is `home`, when front and worker are killed at once. Without
    /// one, if it cannot be started, the next resume does. Nothing is spawned until it stands.
    pub fn watch(&self, run: &str, home: &Path) {
        *WATCHED.lock().unwrap_or_else(PoisonError::into_inner) = Some((run.to_owned(), home.to_owned()));
        sentinel::expect();
        let mut writer = &self.direct;
        // The thread that reads ends only with the process.
        let _ended = writer.write_all(&[WATCH]);
    }

    /// All is done: whatever lives on does so on purpose.
    pub fn goodbye(&self) {
        tell_front("bye\n");
        sentinel::tell("bye\n");
    }
}

fn listen(mut life: PipeReader, mut direct: PipeReader, listener: &dyn Fn(Caught)) {
    let mut pairing = Pairing::default();
    let mut hears_direct = true;
    loop {
        let timeout = pairing.deadline().map(|at| unix::timespec(at.saturating_duration_since(now())));
        let mut polled = [PollFd::new(&life, PollFlags::IN), PollFd::new(&direct, PollFlags::IN)];
        let count = if hears_direct { 2 } else { 1 };
        let _early = rustix::event::poll(&mut polled[..count], timeout.as_ref());
        let [from_front, from_us] = polled.map(|one| !one.revents().is_empty());
        let mut byte = [0];
        if from_front {
            match life.read(&mut byte) {
                Ok(1..) => {
                    if let Some(caught) = Caught::from_byte(byte[0]) {
                        listener(pairing.pass_on(now(), caught));
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => leave(),
            }
        }
        if from_us && hears_direct {
            hears_direct = matches!(direct.read(&mut byte), Ok(1..));
            if byte[0] == WATCH {
                start_sentinel();
            }
            if let Some(caught) = Caught::from_byte(byte[0]).filter(|_| hears_direct) {
                pairing.take_direct(now(), caught);
            }
        }
        pairing.due(now()).into_iter().for_each(listener);
    }
}

fn start_sentinel() {
    let run = WATCHED.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let (Some((run, home)), Some(front)) = (run, FRONT.get())
        && let Err(error) = sentinel::start(&run, &home, front.pid)
    {
        tracing::warn!("no sentinel for run {run}: {error}");
    }
    sentinel::settle();
}

/// The front is dead: kill all that is below, telling nobody, then end in the same way. Whoever resumes finds
/// the journal as if the power had gone.
fn leave() -> ! {
    // Spawns that are under way end first; nothing starts and nothing is told any more.
    let closed = GATE.write();
    sweep::kill_below(&spared(), Duration::from_millis(limits::KILL_PATIENCE_MS), false);
    let me = rustix::process::getpid();
    let _cannot_fail = rustix::process::kill_process(me, rustix::process::Signal::KILL);
    drop(closed);
    std::process::abort()
}
