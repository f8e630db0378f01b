//! What the executor costs above a bare loop over `std::process`, in the same run:
//! `cargo test --release --test exec -- --ignored --nocapture speed`

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use engine::exec::{Executor, News};

use crate::support::{argv, bench_alone};

/// Starts in one measurement.
const STARTS: usize = 10_000;

struct Cost {
    wall: Duration,
    cpu: Duration,
}

fn measure(work: impl FnOnce()) -> Cost {
    let (since, cpu) = (now(), own_cpu());
    work();
    Cost { wall: since.elapsed(), cpu: own_cpu().saturating_sub(cpu) }
}

/// User and system time of this process without its children; the kernel counts in hundredths of a second.
fn own_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").expect("a kernel");
    let (_, fields) = text.rsplit_once(')').expect("a name in brackets");
    let ticks = |place| -> u64 { fields.split_whitespace().nth(place).expect("a field").parse().expect("ticks") };
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn now() -> Instant {
    Instant::now()
}

fn bare(threads: usize) {
    let left = AtomicUsize::new(STARTS);
    let next = || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while next() {
                    let mut command = Command::new("/usr/bin/true");
                    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                    assert!(command.status().expect("it runs").success());
                }
            });
        }
    });
}

fn executor(in_flight: usize) {
    let bench = bench_alone(in_flight);
    let start = || bench.local.start(argv(&["true"]));
    (0..in_flight).for_each(|_| start());
    let mut started = in_flight;
    let mut ended = 0;
    while ended < STARTS {
        if let News::Ended(_) = bench.next() {
            ended += 1;
            if started < STARTS {
                started += 1;
                start();
            }
        }
    }
}

#[test]
#[ignore = "a measurement, for release builds on a quiet machine"]
fn speed_of_starts() {
    let starts = u32::try_from(STARTS).expect("a small count");
    for in_flight in [2, 8] {
        for _ in 0..3 {
            let bare = measure(|| bare(in_flight));
            let ours = measure(|| executor(in_flight));
            let line = format!(
                "{in_flight} in flight: bare {:?}, executor {:?}, {:.3} x; cpu of this process for each start {:?} and {:?}\n",
                bare.wall,
                ours.wall,
                ours.wall.as_secs_f64() / bare.wall.as_secs_f64(),
                bare.cpu / starts,
                ours.cpu / starts,
            );
            std::io::stderr().write_all(line.as_bytes()).expect("somebody listens");
        }
    }
}
