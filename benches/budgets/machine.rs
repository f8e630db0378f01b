//! Clocks, processes and disk of the machine, as a bench sees them.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long `work` takes.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let since = Instant::now();
    let made = work();
    (since.elapsed(), made)
}

/// Seconds that `work` takes.
pub(crate) fn seconds(work: impl FnOnce()) -> f64 {
    timed(work).0.as_secs_f64()
}

/// MiB by which the largest resident set of this process during `work` was above that before it.
pub(crate) fn peak_mib_of(work: impl FnOnce()) -> f64 {
    let kib = |field: &str| {
        let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line =
            text.lines().find_map(|line| line.strip_prefix(field)?.strip_suffix(" kB")?.trim().parse().ok());
        line.unwrap_or(0.0_f64)
    };
    // Forgets the largest set so far.
    std::fs::write("/proc/self/clear_refs", "5").expect("the kernel keeps that mark");
    let before = kib("VmRSS:");
    work();
    (kib("VmHWM:") - before) / 1024.0
}

/// Lets another process work that is watched, and tells nobody when it does.
#[expect(clippy::disallowed_methods, reason = "what is watched sends no word")]
pub(crate) fn rest(length: Duration) {
    std::thread::sleep(length);
}

/// The middle one.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    if figures.len() % 2 == 1 { figures[middle] } else { f64::midpoint(figures[middle - 1], figures[middle]) }
}

/// Measures several things in turns, so that a busy minute of the machine hits all of them; the medians of each.
pub(crate) fn in_turns<const N: usize>(rounds: usize, mut works: [&mut dyn FnMut() -> f64; N]) -> [f64; N] {
    let mut figures = [const { Vec::new() }; N];
    for _ in 0..rounds {
        for (work, figures) in works.iter_mut().zip(&mut figures) {
            figures.push(work());
        }
    }
    figures.map(median)
}

/// An empty folder on the disk that holds the build, where a bench has its own project root.
pub(crate) fn room(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("budgets").join(name);
    // What is not there needs no removal; anything worse shows when the folder is made.
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(path.join(".engine")).expect("the target folder can be written");
    path
}

/// A file on the same disk, to append to and wait for.
pub(crate) struct Log(File);

impl Log {
    /// A new one in `room`.
    pub(crate) fn new(room: &std::path::Path) -> Self {
        Self(File::create(room.join("bare.log")).expect("the target folder can be written"))
    }

    /// A record of the size of a journal frame for one result, on the disk.
    pub(crate) fn append_durably(&mut self) {
        self.0.write_all(&[7; 120]).expect("the disk has room");
        self.0.sync_data().expect("the disk works");
    }
}

/// Processor, cores, kernel.
pub(crate) fn words() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    format!("{} cores of {}, Linux {}, load {load}", cores, model.unwrap_or("an unknown processor"), kernel.trim())
}

/// Today, UTC.
#[expect(clippy::disallowed_methods, reason = "a result is dated")]
pub(crate) fn day() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let at = jiff::Timestamp::from_second(i64::try_from(since.as_secs()).unwrap_or(0)).unwrap_or_default();
    at.strftime("%Y-%m-%d").to_string()
}
