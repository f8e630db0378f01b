//! An executor with its news in a channel, and specs for short scripts.

use std::ffi::OsString;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use crate::waiting::PATIENCE;
use engine::exec::{Capture, Ended, Executor, Key, Lifetime, Local, News, OutputSink, Signal, Spec};

/// Tests share one process, and with it all orphans without a trace: the tests that make such take turns
/// with all others.
static TURN: RwLock<()> = RwLock::new(());

#[expect(dead_code, reason = "held, never read")]
enum Turn {
    Shared(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

/// A turn, as long as it is held.
pub(crate) struct Held(#[expect(dead_code, reason = "held, never read")] Turn);

/// Beside other tests.
pub(crate) fn shared() -> Held {
    Held(Turn::Shared(TURN.read().unwrap_or_else(PoisonError::into_inner)))
}

/// With no other test beside it.
pub(crate) fn alone() -> Held {
    Held(Turn::Alone(TURN.write().unwrap_or_else(PoisonError::into_inner)))
}

pub(crate) struct Bench {
    pub(crate) local: Local,
    pub(crate) news: Receiver<News>,
    pub(crate) capture: Arc<Capture>,
    _turn: Turn,
}

pub(crate) fn bench(threads: usize) -> Bench {
    make(threads, Turn::Shared(TURN.read().unwrap_or_else(PoisonError::into_inner)))
}

/// With no other test beside it.
pub(crate) fn bench_alone(threads: usize) -> Bench {
    make(threads, Turn::Alone(TURN.write().unwrap_or_else(PoisonError::into_inner)))
}

fn make(threads: usize, turn: Turn) -> Bench {
    let capture = Arc::new(Capture::new(64 << 20));
    let (local, news) = with_sink(threads, Arc::<Capture>::clone(&capture));
    Bench { local, news, capture, _turn: turn }
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
        env: [("PATH", path), ("ENGINE_ATTEMPT_KEY", tag.clone().into())].into_iter().collect(),
        secrets: Vec::new(),
        cwd: std::env::current_dir().expect("tests stand somewhere"),
        stop_signal: Signal::Term,
        grace: Duration::from_secs(5),
        idle: None,
        tag,
        lifetime: Lifetime::Stage,
        pipes: None,
        seen: 0,
        after: 0,
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
