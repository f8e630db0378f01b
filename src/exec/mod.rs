//! Carries out commands: starts processes, stops them, captures what they print, and leaves nothing behind.
//!
//! The driver calls [`Local`] with a [`Spec`] for each attempt and hears [`News`]; bytes go to an
//! [`OutputSink`]. The room knows neither the journal nor plan files. [`guard`] is the second half of the
//! promise that nothing outlives the engine: a thin front process that survives a `kill -9` of the worker.
//! [`Scripted`] answers in place of processes, for dry runs and simulations.
//!
//! Invariants:
//! - Every [`Executor::start`] is answered by exactly one [`News::Ended`], and by at most one
//!   [`News::Started`] before it. News and bytes of one key arrive in order, from one thread.
//! - When `Ended` is sent, the attempt's whole process tree is gone (`lifetime: stage`), or what is left is
//!   named in its notes: processes in uninterruptible sleep or of another user.
//! - The process that holds a [`Local`] is a child subreaper and never waits for "any" child. Orphans are
//!   adopted by its main thread, so nothing else may start children from the main thread outside its own
//!   process group (`strays` leaves our own group alone).
//! - Spawns stay on the `posix_spawn` path: no `pre_exec`, programs resolved by us.

pub mod capture;
pub mod crew;
pub mod gates;
pub mod guard;
pub mod hearing;
pub mod local;
pub mod scripted;
pub mod secrets;
mod strays;
pub mod unix;
pub mod variables;
pub mod web;

pub use capture::Capture;
pub use crew::Crew;
pub use gates::Gates;
pub use local::{Haste, Leftover, Local};
pub use scripted::Scripted;
pub use variables::Variables;

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use crate::plan::model::{Lifetime, Signal};
use crate::render::secret::Secret;
pub use crate::run::event::StopKind;

/// What went wrong in this room outside of a single attempt.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine refused something that we need before anything can run.
    #[error("cannot prepare to start processes: {what}: {source}")]
    Setup {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The worker was started by a front that cannot be reached.
    #[error("cannot reach the guarding process {front}: {source}")]
    Front {
        /// Its process id.
        front: u32,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// Processes of the run did not end although they were killed.
    #[error("processes of run `{run}` are still alive after being killed: {}", unix::listed(.left))]
    Left {
        /// The run.
        run: String,
        /// What is left.
        left: Vec<unix::Named>,
    },
}

/// Names one attempt towards this room; chosen by the driver and never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key(pub u64);

/// All that is needed to start one attempt.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Its name.
    pub key: Key,
    /// Program and arguments. A program without a slash is looked up in the `PATH` of `env`.
    pub argv: Vec<OsString>,
    /// The complete environment, but for secrets.
    pub env: Variables,
    /// Variables that hold secrets; of two with one name these count.
    pub secrets: Vec<(OsString, Arc<Secret>)>,
    /// Working directory, absolute.
    pub cwd: PathBuf,
    /// What [`StopKind::Terminate`] sends to the process group.
    pub stop_signal: Signal,
    /// Time between the stop signal and KILL, for what a `lifetime: run` stage left running; the driver
    /// times the grace of attempts itself.
    pub grace: Duration,
    /// Send [`News::Silent`] once nothing was printed for so long.
    pub idle: Option<Duration>,
    /// Value of `ENGINE_ATTEMPT_KEY`; finds processes that left the group and the session.
    pub tag: String,
    /// How long what it started may live.
    pub lifetime: Lifetime,
    /// Its standard input and output, of a worker; without them it reads nothing, and what it writes to standard
    /// output is output like any other.
    pub pipes: Option<Pipes>,
    /// How many stages had ended when this was made.
    pub seen: u64,
    /// How many of these had when the last one ended that this attempt comes after. Where a program was found for
    /// an attempt that had `seen` as many, it need not be looked for again.
    pub after: u64,
}

/// The near ends of a worker's pipes, until it has them.
#[derive(Clone, Debug)]
pub struct Pipes {
    /// It reads here.
    pub stdin: Arc<OwnedFd>,
    /// It writes here.
    pub stdout: Arc<OwnedFd>,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum News {
    /// The process exists.
    Started {
        /// Which.
        key: Key,
        /// Its process id, and that of its group.
        pid: u32,
    },
    /// Nothing was printed for [`Spec::idle`]. Sent once for each attempt.
    Silent {
        /// Which.
        key: Key,
    },
    /// It is over; no news and no bytes of this key follow.
    Ended(Box<Ended>),
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Which.
    pub key: Key,
    /// How.
    pub exit: Exit,
    /// From the spawn until the main process ended.
    pub took: Duration,
    /// User and system time of the main process and of all descendants that were waited for, microseconds.
    pub cpu_us: u64,
    /// Largest resident set among them in KiB. 0 when it was not larger than the engine's own: a spawned
    /// process inherits that mark, so smaller values cannot be told apart.
    pub max_rss_kib: u64,
    /// Bytes handed to the sink.
    pub bytes: u64,
    /// Warnings: processes that had to be killed, or that live on.
    pub notes: Vec<String>,
}

impl Ended {
    /// The end of an attempt that never ran; `why` in words.
    pub(crate) fn not_started(key: Key, why: String) -> Self {
        Self {
            key,
            exit: Exit::NotStarted(why),
            took: Duration::ZERO,
            cpu_us: 0,
            max_rss_kib: 0,
            bytes: 0,
            notes: Vec::new(),
        }
    }
}

/// What the main process did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// It was killed by this signal.
    Signal(i32),
    /// It never ran; the words say why.
    NotStarted(String),
    /// It was killed but did not end in time (uninterruptible sleep, another user): its outcome is unknown.
    Lost(String),
}

/// Takes what attempts print.
pub trait OutputSink: Send + Sync {
    /// Takes the next bytes of an attempt, standard output and error merged in the order of writing. Called
    /// from spawn threads, in order for each key, at most [`READ_BYTES`](local::READ_BYTES) at a time. It may
    /// block to hold a flood back: then the pipes fill and the writers wait.
    fn write(&self, key: Key, bytes: &[u8]);
}

/// Receives news, from several threads.
pub type Listener = Box<dyn Fn(News) + Send + Sync>;

/// What carries out starts and stops: processes, or a script.
pub trait Executor: Send + Sync {
    /// Starts an attempt; returns at once.
    fn start(&self, spec: Spec);
    /// Asks an attempt to end; one that ended already or never existed is left alone.
    fn stop(&self, key: Key, how: StopKind);
}
