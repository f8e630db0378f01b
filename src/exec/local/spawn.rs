//! Makes a main process: in its own group, with three descriptors and nothing else of ours.
//!
//! A stage that runs where the engine stands, which most do, is started by `posix_spawn` from texts that are ready as
//! they are. Only the standard library can send a process to another folder; it copies the environment several times.
//! Both ways come to the same system call, and a process cannot tell which it was started by.

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::Pid;
use zeroize::Zeroizing;

use super::{Shared, Spec};
use crate::exec::unix;

/// Sets of descriptors that are remembered; a thread meets few numbers again and again.
const MAX_ACTIONS: usize = 16;

/// What the starts of one thread have in common.
#[derive(Debug)]
pub(super) struct Spawner {
    attributes: Option<PosixSpawnAttr>,
    /// Device and inode of the folder that this program stands in.
    home: Option<(u64, u64)>,
    /// By their numbers, what the child does with its descriptors. Making such a list asks the system six times.
    actions: Vec<([RawFd; 3], PosixSpawnFileActions)>,
    /// The words of the last start.
    words: Vec<u8>,
}

impl Spawner {
    pub(super) fn new() -> Self {
        // What cannot be prepared is left to the standard library.
        Self { attributes: attributes().ok(), home: place(Path::new(".")), actions: Vec::new(), words: Vec::new() }
    }

    /// Starts `program` for `spec`, which prints into `writer`; answers with its process id.
    ///
    /// # Errors
    /// What the system says to it, or [`io::ErrorKind::InvalidInput`] for a NUL byte.
    pub(super) fn spawn(
        &mut self,
        spec: &Spec,
        shared: &Shared,
        program: &Path,
        writer: OwnedFd,
    ) -> io::Result<u32> {
        let is_home = self.home.is_some() && self.home == place(&spec.cwd);
        match self.attributes.take().filter(|_| is_home) {
            Some(attributes) => {
                let spawned = self.spawn_here(spec, shared, program, &writer, &attributes);
                self.attributes = Some(attributes);
                spawned
            }
            None => spawn_elsewhere(spec, shared, program, writer),
        }
    }

    fn spawn_here(
        &mut self,
        spec: &Spec,
        shared: &Shared,
        program: &Path,
        writer: &OwnedFd,
        attributes: &PosixSpawnAttr,
    ) -> io::Result<u32> {
        let (stdin, stdout) = match &spec.pipes {
            Some(pipes) => (pipes.stdin.as_raw_fd(), pipes.stdout.as_raw_fd()),
            None => (shared.null.as_raw_fd(), writer.as_raw_fd()),
        };
        let at = self.actions([stdin, stdout, writer.as_raw_fd()])?;
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
        let pid = posix_spawn(program, &self.actions[at].1, attributes, &words, &variables)?;
        Ok(pid.as_raw().unsigned_abs())
    }

    /// Where the list for these three descriptors stands.
    fn actions(&mut self, descriptors: [RawFd; 3]) -> io::Result<usize> {
        if let Some(at) = self.actions.iter().position(|(known, _)| *known == descriptors) {
            return Ok(at);
        }
        if self.actions.len() == MAX_ACTIONS {
            self.actions.clear();
        }
        let mut actions = PosixSpawnFileActions::init()?;
        for (ours, theirs) in descriptors.into_iter().zip(0..) {
            actions.add_dup2(ours, theirs)?;
        }
        self.actions.push((descriptors, actions));
        Ok(self.actions.len() - 1)
    }
}

/// The standard library's way.
fn spawn_elsewhere(spec: &Spec, shared: &Shared, program: &Path, writer: OwnedFd) -> io::Result<u32> {
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
        .stdin(Stdio::from(match &spec.pipes {
            Some(pipes) => pipes.stdin.try_clone()?,
            None => shared.null.try_clone()?.into(),
        }))
        .stdout(Stdio::from(match &spec.pipes {
            Some(pipes) => pipes.stdout.try_clone()?,
            None => writer.try_clone()?,
        }))
        .stderr(Stdio::from(writer));
    Ok(command.spawn()?.id())
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
