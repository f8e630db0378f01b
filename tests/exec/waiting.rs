//! Waiting for what the world does, bounded, and looking at processes.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

/// Nothing here takes so long; a test that waits longer has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until a whole line stands in a file.
pub(crate) fn until_printed(file: &std::path::Path) -> String {
    until(|| std::fs::read_to_string(file).ok().filter(|text| text.ends_with('\n')))
}

/// Polls a condition, bounded, giving the processor away in between.
pub(crate) fn until<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    let (_quiet, never) = std::io::pipe().expect("a pipe");
    let mut rounds = PATIENCE.as_millis() / 5;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        rounds = rounds.checked_sub(1).expect("the condition holds in time");
        let mut polled = [rustix::event::PollFd::from_borrowed_fd(never.as_fd(), rustix::event::PollFlags::IN)];
        let pause = rustix::event::Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
        rustix::event::poll(&mut polled, Some(&pause)).expect("a short wait");
    }
}

/// Whether a process exists and has not ended.
pub(crate) fn is_alive(pid: u32) -> bool {
    engine::exec::unix::stat(pid).is_some_and(|one| !one.is_dead())
}

/// A file in a folder that goes with the test.
pub(crate) fn scratch() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("pids");
    (folder, file)
}

pub(crate) fn pids(text: &str) -> Vec<u32> {
    text.split_whitespace().map(|word| word.parse().expect("a process id")).collect()
}
