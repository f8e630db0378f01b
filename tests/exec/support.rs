//! An executor with its news in a channel, and specs for short scripts.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use engine::exec::{Capture, Ended, Executor, Key, Lifetime, Local, News, OutputSink, Signal, Spec};

/// Nothing here takes so long; a test that waits longer has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Bench {
    pub(crate) local: Local,
    pub(crate) news: Receiver<News>,
    pub(crate) capture: Arc<Capture>,
}

pub(crate) fn bench(threads: usize) -> Bench {
    let capture = Arc::new(Capture::new(64 << 20));
    let (local, news) = with_sink(threads, Arc::<Capture>::clone(&capture));
    Bench { local, news, capture }
}

pub(crate) fn with_sink(threads: usize, sink: Arc<dyn OutputSink>) -> (Local, Receiver<News>) {
    let (sender, news) = channel();
    let told = Box::new(move |one| sender.send(one).unwrap_or(()));
    (Local::new(threads, sink, told).expect("an executor"), news)
}

pub(crate) fn argv(words: &[&str]) -> Spec {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let tag = format!("tag-{}-{number}", std::process::id());
    let path = std::env::var_os("PATH").expect("tests have a PATH");
    Spec {
        key: Key(number),
        argv: words.iter().map(OsString::from).collect(),
        env: vec![("PATH".into(), path), ("ENGINE_ATTEMPT_KEY".into(), tag.clone().into())],
        cwd: std::env::temp_dir(),
        stop_signal: Signal::Term,
        grace: Duration::from_secs(5),
        idle: None,
        tag,
        lifetime: Lifetime::Stage,
    }
}

pub(crate) fn bash(script: &str) -> Spec {
    argv(&["bash", "-c", script])
}

/// Python without the start-up of a version shim.
pub(crate) fn python(script: &str) -> Spec {
    argv(&["/usr/bin/env", "python3", "-c", script])
}

impl Bench {
    pub(crate) fn next(&self) -> News {
        self.news.recv_timeout(PATIENCE).expect("news in time")
    }

    /// Waits for the next end, skipping everything else.
    pub(crate) fn end(&self) -> Ended {
        loop {
            if let News::Ended(ended) = self.next() {
                return *ended;
            }
        }
    }

    /// Runs one attempt to its end and answers with that and what it printed.
    pub(crate) fn run(&self, spec: Spec) -> (Ended, String) {
        let key = spec.key;
        self.local.start(spec);
        let ended = self.end();
        assert_eq!(ended.key, key, "only one attempt runs");
        let text = String::from_utf8_lossy(&self.capture.take(key)).into_owned();
        (ended, text)
    }
}

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
