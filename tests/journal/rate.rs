//! How fast: `cargo test --release --test journal -- --ignored --nocapture --test-threads 1 rate`.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use engine::base::{Millis, NodeIx};
use engine::journal::{Memory, Notice, Writer, decode_events, read};
use engine::run::Event;
use engine::run::event::ShardResult;

use crate::support::{attempt, began, bench, files, finished, holder, id};

#[expect(clippy::disallowed_methods, reason = "this test measures time")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::print_stdout, reason = "a measurement is read by people")]
fn say(what: &str, count: u64, took: Duration) {
    let each_ns = took.as_nanos() / u128::from(count.max(1));
    println!("{what}: {count} in {took:?}, {each_ns} ns each");
}

/// A million shards in blocks of 64: what was started, then each result.
fn million() -> Vec<(Millis, Event)> {
    let node = NodeIx::new(0);
    (0..1_000_000_u32)
        .flat_map(|shard| {
            let at = Millis::new(u64::from(shard / 20));
            let started =
                shard.is_multiple_of(64).then_some((at, Event::ShardsStarted { node, first: shard, count: 64 }));
            let took = 40 + u64::from(shard * 7 % 90);
            started.into_iter().chain([(at, finished(attempt(0, shard, 1), took, ShardResult::default()))])
        })
        .collect()
}

#[test]
#[ignore = "a measurement; needs a release build"]
fn rate_of_the_codec() {
    let events = million();
    let count = events.len() as u64;
    let mut memory = Memory::new();
    memory.append(events);
    let begin = now();
    memory.sync();
    say("encode and hash", count, begin.elapsed());
    let frame = memory.bytes();
    say("bytes", frame.len() as u64, Duration::ZERO);
    let body = &frame[32..frame.len() - 32];
    let begin = now();
    let events = decode_events(body, u32::try_from(count).expect("a million")).expect("events");
    let took = begin.elapsed();
    say("decode", count, took);
    assert_eq!(events.len() as u64, count);
    assert!(took < Duration::from_millis(200), "5 M events/s is the budget: {took:?}");
}

#[test]
#[ignore = "a measurement; needs a release build"]
fn rate_of_reading_a_million_shards() {
    let bench = bench();
    let (run, ownership) = bench.state.create_run(&id("r1"), &files(), &holder()).expect("a run");
    let writer = Writer::create(&run, &ownership, |_| ()).expect("a writer");
    let events = million();
    let count = events.len() as u64;
    let begin = now();
    for batch in events.chunks(256) {
        writer.append(batch.to_vec()).expect("it lives");
    }
    let counters = writer.close();
    say("append", count, begin.elapsed());
    say("frames", counters.frames, Duration::ZERO);
    say("journal bytes", counters.bytes, Duration::ZERO);
    let begin = now();
    let contents = read(&run).expect("a journal");
    let took = begin.elapsed();
    say("read", count, took);
    assert_eq!(contents.records.len() as u64, count);
    assert!(took < Duration::from_millis(300), "the budget is 0.3 s: {took:?}");
}

#[test]
#[ignore = "a measurement; needs a release build"]
fn rate_of_group_commit_beside_a_bare_loop() {
    let bench = bench();
    let path = bench.dir.path().join("bare");
    let mut bare = OpenOptions::new().append(true).create(true).open(&path).expect("a file");
    let begin = now();
    for _ in 0..2000 {
        bare.write_all(&[7; 80]).expect("written");
        bare.sync_data().expect("synced");
    }
    say("bare write and fdatasync", 2000, begin.elapsed());
    for in_flight in [1_u64, 8, 64, 1024] {
        let name = format!("r{in_flight}");
        let (run, ownership) = bench.state.create_run(&id(&name), &files(), &holder()).expect("a run");
        let durable = Arc::new(AtomicU64::new(0));
        let theirs = Arc::clone(&durable);
        let (wake, woken) = std::sync::mpsc::channel();
        let writer = Writer::create(&run, &ownership, move |notice| {
            let Notice::Durable { first, records } = notice else { panic!("the disk is fine") };
            theirs.store(first + records.len() as u64 - 1, Ordering::SeqCst);
            wake.send(()).expect("the test listens");
        })
        .expect("a writer");
        writer.append(vec![(Millis::ZERO, began(&id(&name), 0))]).expect("it lives");
        let count = 2000 * in_flight.min(64);
        let begin = now();
        let mut sent = 1;
        while durable.load(Ordering::SeqCst) <= count {
            while sent <= count && sent - durable.load(Ordering::SeqCst) < in_flight + 1 {
                let shard = u32::try_from(sent).expect("few");
                let event = finished(attempt(0, shard, 1), 5, ShardResult::default());
                sent = writer.append(vec![(Millis::new(sent), event)]).expect("it lives");
            }
            woken.recv().expect("the writer lives");
        }
        say(&format!("{in_flight} in flight"), count, begin.elapsed());
        let counters = writer.close();
        say("  frames", counters.frames, Duration::ZERO);
    }
    drop(fs::remove_file(path));
}
