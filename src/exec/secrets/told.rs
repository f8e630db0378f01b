//! What a command prints, bounded in time and size.

use std::ffi::OsString;
use std::io::{ErrorKind, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use zeroize::Zeroizing;

use super::{Sources, too_big};
use crate::base::limits;
use crate::exec::{hearing, unix};

/// What `words` print on standard output when they end well. `what` names them in errors.
///
/// The command runs in the root with the caller's environment, for it is the caller's own tool and may need tokens
/// and agents; its standard error is dropped, because tools like to print what they were given.
pub(super) fn told(words: &[String], sources: &Sources, what: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let [program, rest @ ..] = words else { return Err(format!("{what} has no words")) };
    let mut command = Command::new(program);
    command
        .args(rest)
        .env_clear()
        .envs(sources.caller.iter().map(|(key, value): &(OsString, OsString)| (key, value)))
        .current_dir(&sources.root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0);
    let mut child = hearing::spawn(&mut command).map_err(|error| match error.kind() {
        ErrorKind::NotFound => format!("`{program}` was not found on the PATH; install it"),
        _ => format!("`{program}` cannot be started: {error}"),
    })?;
    sources.commands.begun(&child);
    let stdout = child.stdout.take().expect("standard output is a pipe");
    let read = drain(stdout, sources.patience);
    // Whatever it started ends with it, also when all went well.
    let status = end(&mut child, read.is_ok(), sources);
    let bytes = read.map_err(|fault| match fault {
        Fault::Late => format!("{what} gave no whole answer within {} s", sources.patience.as_secs_f32()),
        Fault::Big => too_big(),
        Fault::Broken(error) => format!("what {what} printed cannot be read: {error}"),
    })?;
    match status {
        Ok(status) if status.success() => Ok(bytes),
        Ok(status) => Err(format!("{what} failed with {status}; run it by hand to see what it says")),
        Err(error) => Err(format!("{what} cannot be waited for: {error}")),
    }
}

enum Fault {
    Late,
    Big,
    Broken(std::io::Error),
}

/// Reads to the end of the pipe. A process that the command left behind may hold it open: that is late, too.
fn drain(mut pipe: ChildStdout, patience: Duration) -> Result<Zeroizing<Vec<u8>>, Fault> {
    #[expect(clippy::disallowed_methods, reason = "a command of the outside is waited for, in exec")]
    let began = Instant::now();
    let most = limits::MAX_SECRET_BYTES + 3;
    let mut bytes = Zeroizing::new(vec![0; most]);
    let mut filled = 0;
    loop {
        let left = patience.saturating_sub(began.elapsed());
        let ready =
            poll(&mut [PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)], Some(&unix::timespec(left)));
        match ready {
            Ok(0) => return Err(Fault::Late),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(Fault::Broken(error.into())),
        }
        if filled == most {
            return Err(Fault::Big);
        }
        match pipe.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Fault::Broken(error)),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Waits for the command that has closed its output, or kills it; its group is gone in either case.
fn end(child: &mut Child, has_answered: bool, sources: &Sources) -> std::io::Result<ExitStatus> {
    if has_answered && let Some(pidfd) = unix::open(child.id()) {
        let _ = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&unix::timespec(sources.patience)));
    }
    sources.commands.end(child);
    child.wait()
}
