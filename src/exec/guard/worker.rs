//! The worker's side: hears signals from the front, and leaves when the front dies.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};

use super::pairing::Pairing;
use super::{Caught, GATE, VARIABLE, sentinel, spared, sweep};
use crate::base::limits;
use crate::exec::local::now;
use crate::exec::{Error, hearing, unix};

static TALK: OnceLock<File> = OnceLock::new();
/// The run that a sentinel is to be started for, and its folder.
static WATCHED: Mutex<Option<(String, PathBuf)>> = Mutex::new(None);
/// Asks the listening thread to start the sentinel. The main thread must not: its children are where strays
/// are looked for after each attempt, and that list is to stay empty.
const WATCH: u8 = b'W';

/// The worker's connection to its front.
#[derive(Debug)]
pub struct Link {
    direct: std::io::PipeWriter,
}

/// Where the front is, when this process was started by one. A stage that runs the engine again with an
/// inherited environment is not a worker: its parent is another.
fn address() -> Option<(u32, u32, u32)> {
    let text = std::env::var(VARIABLE).ok()?;
    let mut numbers = text.split(':').map(str::parse);
    let mut next = || numbers.next()?.ok();
    let (front, life, talk) = (next()?, next()?, next()?);
    let parent = rustix::process::getppid()?.as_raw_nonzero().get().unsigned_abs();
    (parent == front).then_some((front, life, talk))
}

/// Whether this process was started by [`run_guarded`](super::run_guarded).
pub fn is_worker() -> bool {
    address().is_some()
}

/// Connects to the front, if there is one: from here on `listener` hears each INT, TERM and HUP that was
/// meant for the engine, on a thread of its own, and this process leaves at once when the front dies.
/// Call it before the first stage is started.
///
/// # Errors
/// [`Error::Front`] when the front is there but cannot be reached.
pub fn attach(listener: impl Fn(Caught) + Send + 'static) -> Result<Option<Link>, Error> {
    let Some((front, life, talk)) = address() else { return Ok(None) };
    let unreachable = |source| Error::Front { front, source };
    let life = File::open(format!("/proc/{front}/fd/{life}")).map_err(unreachable)?;
    let talk = OpenOptions::new()
        .write(true)
        .custom_flags(i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0))
        .open(format!("/proc/{front}/fd/{talk}"))
        .map_err(unreachable)?;
    // A second attach talks through the first one's descriptor.
    let _same = TALK.set(talk);
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
    if TALK.get().is_none()
        && let Ok(Some(link)) = attach(|_| ())
    {
        link.goodbye();
    }
}

/// Says a line to the front, if there is one. A full pipe loses it: the front must never hold us up.
pub(super) fn tell_front(line: &str) {
    if let Some(mut talk) = TALK.get() {
        let _lost = talk.write_all(line.as_bytes());
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

fn listen(mut life: File, mut direct: std::io::PipeReader, listener: &dyn Fn(Caught)) {
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
    if let (Some((run, home)), Some((front, ..))) = (run, address())
        && let Err(error) = sentinel::start(&run, &home, front)
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
