//! The least that running commands can cost: threads that spawn and wait, and nothing else.

use std::io::Read as _;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, WaitOptions, pidfd_open, waitpid};

use crate::board;
use crate::machine::{Log, seconds};

/// Runs `true` and waits for it: `posix_spawn`, then `waitid`. No shell, no search, descriptors as they are.
pub(crate) fn run_true() {
    let status = Command::new("/usr/bin/true").status().expect("the machine has `true`");
    assert!(status.success(), "`true` succeeds");
}

/// Seconds for `count` runs of `true` from so many threads.
pub(crate) fn loop_of(count: usize, threads: usize) -> f64 {
    seconds(|| from_threads(count, threads, run_true))
}

fn from_threads(count: usize, threads: usize, run: impl Fn() + Sync) {
    let left = AtomicUsize::new(count);
    let next = || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while next() {
                    run();
                }
            });
        }
    });
}

/// Asks this program to be the least engine that hears what its commands print; behind it, how many commands and
/// from how many threads.
pub(crate) const FLAG: &str = "--hear";

/// Processor time, in seconds, of a process that does with so many commands what every engine must: it starts each
/// into a pipe, sleeps until it is over, reads the pipe to its end, and reaps. No record, no environment.
pub(crate) fn hearing(count: usize, threads: usize) -> f64 {
    let own = std::env::current_exe().expect("a program knows its file");
    let words = [FLAG, &count.to_string(), &threads.to_string()];
    let output = Command::new(own).args(words).stdin(Stdio::null()).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().unwrap_or_else(|_| panic!("no time came back: {text}"))
}

/// Is that process.
pub(crate) fn hear(words: &[String]) {
    let numbers: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let [count, threads] = numbers[..] else { panic!("we wrote two numbers, not {words:?}") };
    from_threads(count, threads, hear_true);
    let (_, spent) = crate::cpu::used(std::process::id()).expect("the kernel knows us");
    board::say(&spent.to_string());
}

fn hear_true() {
    let (mut reader, writer) = std::io::pipe().expect("the machine has room for a pipe");
    let mut actions = PosixSpawnFileActions::init().expect("there is memory");
    actions.add_dup2(writer.as_raw_fd(), 1).expect("there is memory");
    let plain = PosixSpawnAttr::init().expect("there is memory");
    let none: [&std::ffi::CStr; 0] = [];
    let pid = posix_spawn("/usr/bin/true", &actions, &plain, &[c"true"], &none).expect("the machine has `true`");
    drop(writer);
    let pid = Pid::from_raw(pid.as_raw());
    let pidfd = pidfd_open(pid.expect("it is no zero"), PidfdFlags::empty()).expect("it is our child");
    poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], None).expect("it ends");
    let mut text = Vec::new();
    reader.read_to_end(&mut text).expect("a pipe can be read");
    waitpid(pid, WaitOptions::empty()).expect("it is our child");
}

/// Seconds for `count` runs of `true`, one after another, each followed by a record that is on the disk.
pub(crate) fn durable_loop_of(count: usize, room: &Path) -> f64 {
    let mut log = Log::new(room);
    seconds(|| {
        for _ in 0..count {
            run_true();
            log.append_durably();
        }
    })
}
