//! What attempts print arrives whole, in order, and without filling the memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use engine::exec::local::READ_BYTES;
use engine::exec::{Executor, Exit, Key, News, OutputSink};

use crate::support::{bash, bench, python, with_sink};
use crate::waiting::PATIENCE;

#[test]
fn both_streams_in_the_order_of_writing() {
    let bench = bench(1);
    let script = "for i in {1..300}; do echo out $i; echo err $i >&2; done; printf 'no newline'";
    let (ended, text) = bench.run(bash(script));
    let mut wanted: Vec<String> = (1..=300).map(|i| format!("out {i}\nerr {i}\n")).collect();
    wanted.push("no newline".into());
    let wanted = wanted.concat();
    assert_eq!(text, wanted);
    assert_eq!(ended.bytes, wanted.len() as u64);
}

#[test]
fn every_byte_value_survives() {
    let bench = bench(1);
    let spec = python("import sys; sys.stdout.buffer.write(bytes(range(256)) * 700)");
    let key = spec.key;
    bench.local.start(spec);
    assert_eq!(bench.end().exit, Exit::Code(0));
    let wanted: Vec<u8> = (0..=255).collect::<Vec<u8>>().repeat(700);
    assert!(bench.capture.take(key) == wanted, "binary output differs");
}

#[test]
fn what_children_wrote_before_the_end_is_kept() {
    let bench = bench(1);
    let (ended, text) = bench.run(bash("(yes | head -c 30000) & wait; (while :; do echo y; done) & exit 4"));
    assert_eq!(ended.exit, Exit::Code(4));
    assert!(text.len() >= 30_000 && text.bytes().all(|byte| b"y\n".contains(&byte)));
}

/// Checks a running pattern instead of keeping the bytes, slowly, and remembers the largest piece.
#[derive(Default)]
struct Checker {
    seen: Mutex<HashMap<Key, usize>>,
    wrong: AtomicUsize,
    largest: AtomicUsize,
}

impl OutputSink for Checker {
    fn write(&self, key: Key, bytes: &[u8]) {
        let mut seen = self.seen.lock().expect("no panic holds it");
        let at = seen.entry(key).or_default();
        let wanted = &PATTERN[*at % FLOOD..][..bytes.len()];
        let is_right = bytes == wanted;
        *at += bytes.len();
        self.wrong.fetch_add(usize::from(!is_right), Ordering::Relaxed);
        self.largest.fetch_max(bytes.len(), Ordering::Relaxed);
    }
}

const FLOOD: usize = 10 << 20;

static PATTERN: LazyLock<Vec<u8>> =
    LazyLock::new(|| (0..FLOOD / 16).flat_map(|line| format!("{line:015}\n").into_bytes()).collect());

#[test]
fn eight_floods_at_once_arrive_whole_in_bounded_memory() {
    let checker = Arc::new(Checker::default());
    let (local, news) = with_sink(3, Arc::<Checker>::clone(&checker));
    assert_eq!(PATTERN.len(), FLOOD);
    let before = peak_kib();
    let lines = FLOOD / 16;
    for _ in 0..8 {
        local.start(bash(&format!("seq -f %015.0f 0 {}", lines - 1)));
    }
    let mut ends = 0;
    while ends < 8 {
        if let News::Ended(ended) = news.recv_timeout(PATIENCE * 4).expect("an end in time") {
            assert_eq!((ended.exit, ended.bytes), (Exit::Code(0), FLOOD as u64));
            ends += 1;
        }
    }
    assert_eq!(checker.wrong.load(Ordering::Relaxed), 0);
    assert!(checker.largest.load(Ordering::Relaxed) <= READ_BYTES);
    assert!(checker.seen.lock().expect("no panic").values().all(|len| *len == FLOOD));
    let grown = peak_kib() - before;
    assert!(grown < 400 << 10, "80 MiB of output, and the process grew by {grown} KiB");
}

fn peak_kib() -> u64 {
    engine::exec::unix::peak_rss_kib().expect("a status")
}

/// A sink that waits for the test holds the writer back, and nothing else.
#[test]
fn a_sink_that_blocks_makes_the_writer_wait() {
    struct Gate(Mutex<()>, AtomicUsize);
    impl OutputSink for Gate {
        fn write(&self, _key: Key, bytes: &[u8]) {
            drop(self.0.lock());
            self.1.fetch_add(bytes.len(), Ordering::Relaxed);
        }
    }
    let gate = Arc::new(Gate(Mutex::new(()), AtomicUsize::new(0)));
    let shut = gate.0.lock().expect("no panic");
    let (local, news) = with_sink(1, Arc::<Gate>::clone(&gate));
    local.start(bash("head -c 5000000 /dev/zero"));
    let Ok(News::Started { pid, .. }) = news.recv_timeout(PATIENCE) else { panic!("it starts") };
    // Sleeping in a write: the pipe is full and nobody takes from it.
    crate::waiting::until(|| {
        let below = engine::exec::unix::descendants(pid);
        let sleeps =
            |pid| std::fs::read_to_string(format!("/proc/{pid}/wchan")).is_ok_and(|at| at.contains("pipe_write"));
        (sleeps(pid) || below.into_iter().any(sleeps)).then_some(())
    });
    drop(shut);
    let ended = loop {
        if let News::Ended(ended) = news.recv_timeout(PATIENCE).expect("an end") {
            break ended;
        }
    };
    assert_eq!((ended.exit, gate.1.load(Ordering::Relaxed)), (Exit::Code(0), 5_000_000));
}
