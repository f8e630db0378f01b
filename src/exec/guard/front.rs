//! The front: divides itself from the worker, passes signals on, and cleans up when the worker dies.

use std::io::{self, IsTerminal as _, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use fork::Fork;
use rustix::process::{Pid, WaitOptions};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Caught, sweep, worker};
use crate::base::limits;
use crate::exec::Error;
use crate::exec::unix::{self, Ident};

/// What the worker has said.
#[derive(Debug, Default, PartialEq, Eq)]
struct Talk {
    line: Option<String>,
    spared: Vec<Ident>,
    has_left: bool,
}

/// Divides this process in two: the worker, which goes on with `None` and does the work, and the front, which
/// waits for it, cleans up after it, and gets the exit code: the worker's, or 128 + its signal.
///
/// Call it before any thread exists, for a thread has no copy in the worker.
///
/// # Errors
/// There can be no worker.
pub fn divide() -> Result<Option<u8>, Error> {
    let setup = |what| move |source| Error::Setup { what, source };
    let me = unix::raw(std::process::id());
    rustix::process::set_child_subreaper(me)
        .map_err(|error| Error::Setup { what: "adopt orphaned processes", source: error.into() })?;
    // A shell that became us by `exec` may have left children of its own.
    let strangers: Vec<Ident> = unix::children(std::process::id())
        .into_iter()
        .filter_map(|pid| unix::stat(pid).map(|one| one.ident))
        .collect();
    let (life_read, life) = io::pipe().map_err(setup("create a pipe"))?;
    let (mut talk, talk_write) = io::pipe().map_err(setup("create a pipe"))?;
    // Neither end waits for the other: a front is never in the worker's way, and takes what was said when that is over.
    for end in [talk.as_fd(), talk_write.as_fd()] {
        rustix::fs::fcntl_setfl(end, rustix::fs::OFlags::NONBLOCK)
            .map_err(|error| Error::Setup { what: "set up a pipe", source: error.into() })?;
    }
    // What listens to signals panics when it cannot have the descriptors it needs, half as many as these.
    let room: io::Result<Vec<_>> = (0..4).map(|_| io::pipe()).collect();
    drop(room.map_err(setup("listen to signals"))?);
    let front = std::process::id();
    let worker = match fork::fork().map_err(setup("start the engine's worker"))? {
        Fork::Child => {
            worker::belong_to(worker::Front { pid: front, life: life_read, talk: talk_write });
            return Ok(None);
        }
        Fork::Parent(pid) => Pid::from_raw(pid).expect("a child has a number"),
    };
    drop((talk_write, life_read));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(setup("listen to signals"))?;
    let status = runtime.block_on(attend(worker, life)).map_err(setup("wait for the engine's worker"))?;
    let mut said = Vec::new();
    // A process between fork and exec may hold the other end for a moment: take what is there.
    let _partial = talk.read_to_end(&mut said);
    let mut heard = understand(&said);
    if !heard.has_left {
        heard.spared.extend(strangers);
        clean_up(status, &heard);
    }
    Ok(Some(code(status)))
}

async fn attend(worker: Pid, mut life: io::PipeWriter) -> io::Result<ExitStatus> {
    let ignored = unix::ignored_signals();
    let mut child = signal(SignalKind::child())?;
    let mut int = listen(SignalKind::interrupt(), ignored)?;
    let mut term = listen(SignalKind::terminate(), ignored)?;
    let mut hup = listen(SignalKind::hangup(), ignored)?;
    let mut quit = listen(SignalKind::quit(), ignored)?;
    loop {
        if let Some((_, status)) = rustix::process::waitpid(Some(worker), WaitOptions::NOHANG)? {
            return Ok(ExitStatus::from_raw(status.as_raw()));
        }
        let caught = tokio::select! {
            _ = child.recv() => continue,
            () = next(&mut int) => Caught::Int,
            () = next(&mut term) => Caught::Term,
            () = next(&mut hup) => Caught::Hup,
            () = next(&mut quit) => {
                // Ctrl-\ asks for a core dump of the worker; the front outlives it to clean up.
                let _gone = rustix::process::kill_process(worker, rustix::process::Signal::QUIT);
                continue;
            }
        };
        // A worker that does not listen yet or any more finds the byte in the pipe, or needs none.
        let _closed = life.write_all(&[caught.byte()]);
    }
}

/// A signal that we were told to ignore (`nohup`) stays ignored, here and in the worker.
fn listen(kind: SignalKind, ignored: u64) -> io::Result<Option<Signal>> {
    let bit = 1 << (kind.as_raw_value() - 1);
    if ignored & bit != 0 { Ok(None) } else { signal(kind).map(Some) }
}

async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

fn understand(said: &[u8]) -> Talk {
    let mut talk = Talk::default();
    for line in String::from_utf8_lossy(said).lines() {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "say" => talk.line = Some(rest.to_owned()),
            "spare" => talk.spared.extend(parse_ident(rest)),
            "bye" => talk.has_left = true,
            _ => {}
        }
    }
    talk
}

pub(super) fn parse_ident(text: &str) -> Option<Ident> {
    let (pid, started) = text.split_once(' ')?;
    Some(Ident { pid: pid.parse().ok()?, started: started.parse().ok()? })
}

fn clean_up(status: ExitStatus, talk: &Talk) {
    // Whoever ends an engine that has begun nothing knows that they did.
    let is_asked = status.signal().is_some_and(is_request) && talk.line.is_none();
    let left = sweep::kill_below(&talk.spared, Duration::from_millis(limits::KILL_PATIENCE_MS), true);
    let mut line = match status.signal() {
        Some(signal) => format!("run interrupted: the engine was killed by signal {signal}"),
        None => format!("run interrupted: the engine ended with {}", code(status)),
    };
    if let Some(how) = &talk.line {
        line.push_str("; ");
        line.push_str(how);
    }
    if is_asked && left.is_empty() {
        return;
    }
    if !left.is_empty() {
        line.push_str("; still alive although killed: ");
        line.push_str(&unix::listed(&left));
    }
    // The live view may have left the cursor behind its last line. Without a standard error there is nobody to tell.
    let gap = if io::stderr().is_terminal() { "\n" } else { "" };
    let _unheard = writeln!(io::stderr(), "{gap}{line}");
}

/// Whether a signal is one that people and machines end programs with.
fn is_request(signal: i32) -> bool {
    [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
        .iter()
        .any(|kind| kind.as_raw_value() == signal)
}

fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(70)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn understands_what_the_worker_says_and_survives_half_a_line() {
        let talk = understand(b"say resume with `x`\nspare 12 34\nspare nonsense\nspare 5");
        assert_eq!(talk.line.as_deref(), Some("resume with `x`"));
        assert_eq!(talk.spared, [Ident { pid: 12, started: 34 }]);
        assert!(!talk.has_left, "only `bye` is a goodbye");
        assert!(understand(b"bye\n").has_left);
    }

    #[test]
    fn exit_codes_follow_the_shells_rule() {
        assert_eq!(code(ExitStatus::from_raw(9)), 137);
        assert_eq!(code(ExitStatus::from_raw(75 << 8)), 75);
    }
}
