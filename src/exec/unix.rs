//! Reads `/proc` and sends signals: the only place that knows how Linux shows processes.
//!
//! Everything here is a snapshot that may be stale when it is read; callers repeat until nothing is left.
//! A process is identified by id *and* start time, so that a reused id is never taken for the old process.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal as RawSignal};

use crate::plan::model::Signal;

/// Keeps this process's memory out of core dumps and from other processes of the same user, for it holds secrets. What
/// it starts is as it would be without.
pub fn forbid_dumps() {
    // A system that cannot do it is no reason to hold a deploy up.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// A process that cannot be confused with a later one of the same id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ident {
    /// Process id.
    pub pid: u32,
    /// Start time in clock ticks since boot.
    pub started: u64,
}

/// A process, with the name that people know it by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named {
    /// Which.
    pub ident: Ident,
    /// Its command name, at most 15 bytes.
    pub name: String,
}

/// The parts of `/proc/PID/stat` that we use.
#[derive(Clone, Debug)]
pub struct Stat {
    /// Which process.
    pub ident: Ident,
    /// Command name.
    pub name: String,
    /// State letter: `Z` zombie, `D` uninterruptible, `T` stopped.
    pub state: u8,
    /// Parent.
    pub parent: u32,
    /// Process group.
    pub group: u32,
    /// It is in the middle of an `exec`: it has a new memory, and no words and no environment in it yet. So it looks, too, where
    /// the kernel does not let us see.
    pub is_loading: bool,
}

impl Stat {
    /// Whether it has ended and only waits to be reaped.
    pub fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }

    /// Name and identity.
    pub fn named(&self) -> Named {
        Named { ident: self.ident, name: self.name.clone() }
    }
}

/// Reads what the kernel says about a process, if it still exists.
pub fn stat(pid: u32) -> Option<Stat> {
    let text = read_small(&format!("/proc/{pid}/stat"))?;
    parse_stat(pid, &text)
}

fn parse_stat(pid: u32, text: &[u8]) -> Option<Stat> {
    // The name stands in brackets and may itself contain brackets and blanks: take the outermost pair.
    let open = text.iter().position(|&byte| byte == b'(')?;
    let close = text.iter().rposition(|&byte| byte == b')')?;
    let name = String::from_utf8_lossy(text.get(open + 1..close)?).into_owned();
    let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    // Start time is field 22 of the line; we have taken fields 3, 4 and 5.
    let started = fields.nth(16)?.parse().ok()?;
    // Fields 23 and 51: its size, which is nothing in the kernel's own, and where its environment ends.
    let is_loading = fields.next().is_some_and(|size| size != "0") && fields.nth(27).is_some_and(|end| end == "0");
    Some(Stat { ident: Ident { pid, started }, name, state, parent, group, is_loading })
}

/// The children of all threads of a process.
pub fn children(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return found };
    for thread in threads.flatten() {
        if let Some(text) = read_all(&thread.path().join("children")) {
            parse_pids(&text, &mut found);
        }
    }
    found
}

/// All living or dead descendants of a process, parents first.
pub fn descendants(pid: u32) -> Vec<u32> {
    let mut found = children(pid);
    // A process that moves while we read could be seen twice, never for ever.
    let mut seen: HashSet<u32> = found.iter().copied().collect();
    let mut next = 0;
    while next < found.len() {
        let below = children(found[next]);
        found.extend(below.into_iter().filter(|pid| seen.insert(*pid)));
        next += 1;
    }
    found
}

/// Splits the text of a `children` file.
pub fn parse_pids(text: &[u8], into: &mut Vec<u32>) {
    for word in text.split(u8::is_ascii_whitespace) {
        if let Some(pid) = std::str::from_utf8(word).ok().and_then(|word| word.parse().ok()) {
            into.push(pid);
        }
    }
}

/// One variable of the environment that a process was started with.
pub fn environ(pid: u32, name: &str) -> Option<Vec<u8>> {
    variable(&environment(pid), name).map(<[u8]>::to_vec)
}

/// The environment that a process was started with; empty in the middle of an `exec`, and where it cannot be seen.
pub fn environment(pid: u32) -> Vec<u8> {
    read_all(std::path::Path::new(&format!("/proc/{pid}/environ"))).unwrap_or_default()
}

/// One variable of such an environment.
pub fn variable<'a>(environment: &'a [u8], name: &str) -> Option<&'a [u8]> {
    environment.split(|&byte| byte == 0).find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// Whether a process has the pipe with this inode as its standard output or error.
pub fn writes_to(pid: u32, pipe_inode: u64) -> bool {
    let wanted = format!("pipe:[{pipe_inode}]");
    [1, 2].iter().any(|fd| {
        std::fs::read_link(format!("/proc/{pid}/fd/{fd}"))
            .is_ok_and(|target| target.as_os_str().as_encoded_bytes() == wanted.as_bytes())
    })
}

/// Every process id of the machine.
pub fn all() -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Sends a signal to exactly this process. `false` when it no longer exists or may not be signalled.
pub fn signal(ident: Ident, signal: RawSignal) -> bool {
    // The descriptor pins the process first; only then is it compared, so that no reuse can slip between.
    let Some(fd) = open(ident.pid) else { return false };
    stat(ident.pid).is_some_and(|now| now.ident == ident)
        && rustix::process::pidfd_send_signal(&fd, signal).is_ok()
}

/// A descriptor that becomes readable when the process ends.
pub fn open(pid: u32) -> Option<OwnedFd> {
    rustix::process::pidfd_open(raw(pid)?, PidfdFlags::empty()).ok()
}

/// Sends a signal to a process group. Only for groups whose leader we have not reaped.
pub fn signal_group(pid: u32, signal: RawSignal) {
    if let Some(pid) = raw(pid) {
        // A group that is gone already is what we want.
        let _gone = rustix::process::kill_process_group(pid, signal);
    }
}

/// The system's form of a process id.
pub fn raw(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// The system's form of a plan's signal.
pub fn raw_signal(signal: Signal) -> RawSignal {
    match signal {
        Signal::Int => RawSignal::INT,
        Signal::Term => RawSignal::TERM,
        Signal::Hup => RawSignal::HUP,
        Signal::Quit => RawSignal::QUIT,
        Signal::Usr1 => RawSignal::USR1,
        Signal::Usr2 => RawSignal::USR2,
        Signal::Kill => RawSignal::KILL,
    }
}

/// ``  `sleep` (123), `python3` (124) `` for messages; the first eight, then a count.
pub fn listed(processes: &[Named]) -> String {
    let shown: Vec<String> =
        processes.iter().take(8).map(|one| format!("`{}` ({})", one.name, one.ident.pid)).collect();
    let more = processes.len().saturating_sub(8);
    let text = shown.join(", ");
    if more == 0 { text } else { format!("{text} and {more} more") }
}

fn read_small(path: &str) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 1024];
    let len = File::open(path).ok()?.read(&mut buffer).ok()?;
    buffer.truncate(len);
    Some(buffer)
}

fn read_all(path: &std::path::Path) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path).ok()?.read_to_end(&mut text).ok()?;
    Some(text)
}

/// Waits until one of these processes has ended, or for `patience`; without any, for just so long.
pub fn wait_any(processes: &[Named], patience: Duration) {
    // Sixty-four are enough: callers look at all again after each wait.
    let fds: Vec<OwnedFd> = processes.iter().take(64).filter_map(|one| open(one.ident.pid)).collect();
    let mut polled: Vec<PollFd<'_>> = fds.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    let timeout = timespec(patience);
    // An interrupted wait only means an early look.
    let _early = rustix::event::poll(&mut polled, Some(&timeout));
}

/// Whether the process behind a descriptor has ended, with all its threads.
pub fn has_ended(pidfd: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(pidfd, PollFlags::IN)];
    matches!(rustix::event::poll(&mut polled, Some(&timespec(Duration::ZERO))), Ok(1..))
}

/// The system's form of a duration.
pub fn timespec(span: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(span.subsec_nanos()) }
}

/// The largest resident set that this process ever had, in KiB.
pub fn peak_rss_kib() -> Option<u64> {
    let text = String::from_utf8(read_all(std::path::Path::new("/proc/self/status"))?).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The signals that this process ignores, one bit each from the lowest on.
pub fn ignored_signals() -> u64 {
    let text = read_all(std::path::Path::new("/proc/self/status")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mask = text.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_shift_the_fields() {
        let line = b"77 (a) b (c) S 5 6 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 9";
        let stat = parse_stat(77, line).expect("a whole line");
        assert_eq!((stat.name.as_str(), stat.state, stat.parent, stat.group), ("a) b (c", b'S', 5, 6));
        assert_eq!(stat.ident, Ident { pid: 77, started: 4242 });
        assert!(!stat.is_loading, "an old kernel does not say so");
    }

    #[test]
    fn who_has_an_environment_is_not_loading() {
        assert!(!stat(std::process::id()).expect("this process").is_loading);
        let fields: Vec<String> =
            (3..=52).map(|number| if number == 51 { 0 } else { number }.to_string()).collect();
        let line = format!("77 (a) S {}", fields[1..].join(" "));
        assert!(parse_stat(77, line.as_bytes()).expect("a whole line").is_loading);
    }

    #[test]
    fn half_a_line_is_no_process() {
        assert!(parse_stat(1, b"1 (x) S 5 6").is_none());
        assert!(parse_stat(1, b"").is_none());
        assert!(parse_stat(1, b"1 )x( S").is_none());
    }

    #[test]
    fn a_process_that_does_not_match_its_start_time_is_not_signalled() {
        let mut me = stat(std::process::id()).expect("this process").ident;
        me.started += 1;
        assert!(!signal(me, RawSignal::KILL), "a reused id must not be hit");
    }

    #[test]
    fn long_lists_end_in_a_count() {
        let one = |pid| Named { ident: Ident { pid, started: 0 }, name: "x".into() };
        assert_eq!(listed(&[one(1), one(2)]), "`x` (1), `x` (2)");
        assert!(listed(&(0..20).map(one).collect::<Vec<_>>()).ends_with("and 12 more"));
    }
}
