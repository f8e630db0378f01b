//! The least that running commands can cost: threads that spawn and wait, and nothing else.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::machine::{Log, seconds};

/// Runs `true` and waits for it: `posix_spawn`, then `waitid`. No shell, no search, descriptors as they are.
pub(crate) fn run_true() {
    let status = Command::new("/usr/bin/true").status().expect("the machine has `true`");
    assert!(status.success(), "`true` succeeds");
}

/// Seconds for `count` runs of `true` from so many threads.
pub(crate) fn loop_of(count: usize, threads: usize) -> f64 {
    let left = AtomicUsize::new(count);
    let next = || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
    seconds(|| {
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while next() {
                        run_true();
                    }
                });
            }
        });
    })
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
