//! Makes a main process: in its own group, with three descriptors and nothing else of ours.
//!
//! A stage that runs where the engine stands, which most do, is started by `posix_spawn` from texts that are ready as
//! they are. Only the standard library can send a process to another folder; it copies the environment several times.
//! Both ways come to the same system call, and a process cannot tell which it was started by.

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::Pid;
use zeroize::Zeroizing;

use super::{Shared, Spec};
use crate::exec::{hearing, unix};

/// Sets of descriptors that are remembered; a thread meets few numbers again and again.
const MAX_ACTIONS: usize = 16;

/// What the starts of one thread have in common.
#[derive(Debug)]
pub(super) struct Spawner {
    /// What cannot be prepared is left to the standard library.
    here: Option<Here>,
}

/// What starts in the folder that this program stands in have in common.
#[derive(Debug)]
struct Here {
    attributes: PosixSpawnAttr,
    /// Device and inode of that folder.
    home: (u64, u64),
    actions: Actions,
    /// The words of the last start.
    words: Vec<u8>,
    /// The folder that was looked at last, and whether it was this one.
    looked: (PathBuf, bool),
}

/// By their numbers, what the child does with its descriptors. Making such a list asks the system six times.
#[derive(Debug, Default)]
struct Actions(Vec<([RawFd; 3], PosixSpawnFileActions)>);

impl Spawner {
    pub(super) fn new() -> Self {
        let prepared = attributes().ok().zip(place(Path::new(".")));
        let here = |(attributes, home)| Here {
            attributes,
            home,
            actions: Actions::default(),
            words: Vec::new(),
            looked: (PathBuf::new(), false),
        };
        Self { here: prepared.map(here) }
    }

    /// Starts `program` for `spec`, which prints into `writer`; answers with its process id. What `is_known` from a look that
    /// counts for this attempt needs no other.
    ///
    /// # Errors
    /// What the system says to it, or [`io::ErrorKind::InvalidInput`] for a NUL byte.
    pub(super) fn spawn(
        &mut self,
        spec: &Spec,
        shared: &Shared,
        (program, is_known): (&Path, bool),
        writer: &OwnedFd,
    ) -> io::Result<u32> {
        let (stdin, stdout) = match &spec.pipes {
            Some(pipes) => (pipes.stdin.as_fd(), pipes.stdout.as_fd()),
            None => (shared.null.as_fd(), writer.as_fd()),
        };
        let descriptors = [stdin, stdout, writer.as_fd()];
        if let Some(here) = &mut self.here
            && here.is_at(&spec.cwd, is_known)
        {
            return here.spawn(spec, program, descriptors);
        }
        spawn_elsewhere(spec, program, descriptors)
    }
}

impl Here {
    /// Whether `path` names this folder now; it may have named another one a moment ago, but where everything `is_known`.
    fn is_at(&mut self, path: &Path, is_known: bool) -> bool {
        if !is_known || self.looked.0 != path {
            self.looked = (path.to_path_buf(), place(path) == Some(self.home));
        }
        self.looked.1
    }

    fn spawn(&mut self, spec: &Spec, program: &Path, descriptors: [BorrowedFd<'_>; 3]) -> io::Result<u32> {
        let actions = self.actions.of(descriptors.map(|it| it.as_raw_fd()))?;
        self.words.clear();
        for word in &spec.argv {
            if word.as_bytes().contains(&0) {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            self.words.extend_from_slice(word.as_bytes());
            self.words.push(0);
        }
        let words = self.words.split_inclusive(|byte| *byte == 0).map(text).collect::<io::Result<Vec<_>>>()?;
        let secrets: Vec<_> =
            spec.secrets.iter().map(|(name, value)| secret(name.as_os_str(), value.expose())).collect();
        let mut variables = Vec::with_capacity(spec.env.len() + secrets.len());
        let is_secret = |name: &OsStr| spec.secrets.iter().any(|(secret, _)| secret == name);
        if !spec.env.add_texts(&mut variables, is_secret) || program.as_os_str().as_bytes().contains(&0) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        for secret in &secrets {
            variables.push(text(secret)?);
        }
        let pid = posix_spawn(program, actions, &self.attributes, &words, &variables)?;
        Ok(pid.as_raw().unsigned_abs())
    }
}

impl Actions {
    /// The list for these three descriptors.
    fn of(&mut self, descriptors: [RawFd; 3]) -> io::Result<&PosixSpawnFileActions> {
        let at = match self.0.iter().position(|(known, _)| *known == descriptors) {
            Some(at) => at,
            None => self.add(descriptors)?,
        };
        Ok(&self.0[at].1)
    }

    fn add(&mut self, descriptors: [RawFd; 3]) -> io::Result<usize> {
        if self.0.len() == MAX_ACTIONS {
            self.0.clear();
        }
        let mut actions = PosixSpawnFileActions::init()?;
        for (ours, theirs) in descriptors.into_iter().zip(0..) {
            actions.add_dup2(ours, theirs)?;
        }
        self.0.push((descriptors, actions));
        Ok(self.0.len() - 1)
    }
}

/// The standard library's way.
fn spawn_elsewhere(spec: &Spec, program: &Path, descriptors: [BorrowedFd<'_>; 3]) -> io::Result<u32> {
    let [stdin, stdout, stderr] = descriptors.map(|it| it.try_clone_to_owned().map(Stdio::from));
    let mut command = Command::new(program);
    if let Some((name, arguments)) = spec.argv.split_first() {
        command.arg0(name).args(arguments);
    }
    command
        .env_clear()
        .envs(spec.env.iter())
        .envs(spec.secrets.iter().map(|(name, value)| (name, OsStr::from_bytes(value.expose()))))
        .current_dir(&spec.cwd)
        .process_group(0)
        .stdin(stdin?)
        .stdout(stdout?)
        .stderr(stderr?);
    Ok(hearing::spawn(&mut command)?.id())
}

/// Its own group, no signal blocked, and each as the system has it, but for those that whoever started us ignores.
fn attributes() -> io::Result<PosixSpawnAttr> {
    // As it was at first: the standard library, and nobody else, changes what this program ignores.
    static IGNORED: LazyLock<u64> = LazyLock::new(unix::ignored_signals);
    let ignored = *IGNORED;
    let mut defaults = SigSet::all();
    for signal in Signal::iterator().filter(|signal| *signal != Signal::SIGPIPE) {
        if ignored & (1 << (signal as i32 - 1)) != 0 {
            defaults.remove(signal);
        }
    }
    let mut attributes = PosixSpawnAttr::init()?;
    attributes.set_pgroup(Pid::from_raw(0))?;
    attributes.set_sigmask(&SigSet::empty())?;
    attributes.set_sigdefault(&defaults)?;
    attributes.set_flags(
        PosixSpawnFlags::POSIX_SPAWN_SETPGROUP
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF,
    )?;
    Ok(attributes)
}

/// Which folder `path` names.
fn place(path: &Path) -> Option<(u64, u64)> {
    rustix::fs::stat(path).ok().map(|stat| (stat.st_dev, stat.st_ino))
}

/// `NAME=value`, ended by a NUL, wiped when it is dropped.
fn secret(name: &OsStr, value: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(Vec::with_capacity(name.len() + value.len() + 2));
    text.extend_from_slice(name.as_bytes());
    text.push(b'=');
    text.extend_from_slice(value);
    text.push(0);
    text
}

/// What ends with its only NUL.
fn text(bytes: &[u8]) -> io::Result<&CStr> {
    CStr::from_bytes_with_nul(bytes).map_err(|_| io::ErrorKind::InvalidInput.into())
}
