//! Inbox, output, locks between runs.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::thread;

use engine::base::Millis;
use engine::journal::inbox::{self, Request};
use engine::journal::locks::{LockRecord, Locks, Taken};
use engine::journal::output::{self, Chunk, Follow, Growing, Segments, Stream, Trace};
use engine::run::event::{CancelLevel, Resolution};

use crate::support::{WALL_MS, attempt, bench, id};

fn by() -> String {
    "ann".to_owned()
}

#[test]
fn requests_arrive_in_order_and_stay_until_they_are_done() {
    let bench = bench();
    let run = bench.run("r1");
    let requests = [
        Request::Approve {
            stage: "approve".to_owned(),
            by: by(),
            note: "ok ✓".to_owned(),
            subject: Some("4f2a".to_owned()),
        },
        Request::Resolve {
            stage: "migrate".to_owned(),
            resolution: Resolution::Rerun,
            by: by(),
            note: String::new(),
        },
        Request::Cancel { level: CancelLevel::Stop, by: by() },
    ];
    let ids: Vec<_> = [0, 0, 1]
        .iter()
        .zip(&requests)
        .map(|(later_ms, request)| inbox::put(&run, WALL_MS + later_ms, request).expect("a request"))
        .collect();
    for _ in 0..2 {
        let mail = inbox::take(&run).expect("an inbox");
        assert_eq!(
            mail.letters.iter().map(|letter| &letter.id).collect::<Vec<_>>(),
            ids.iter().collect::<Vec<_>>()
        );
        assert!(mail.letters.iter().map(|letter| &letter.request).eq(requests.iter()));
    }
    for letter in inbox::take(&run).expect("an inbox").letters {
        assert!(inbox::is_waiting(&run, &letter.id));
        inbox::done(&run, &letter).expect("it goes");
        inbox::done(&run, &letter).expect("once more does no harm");
        assert!(!inbox::is_waiting(&run, &letter.id));
    }
    assert!(inbox::take(&run).expect("an inbox").letters.is_empty());
}

#[test]
fn what_is_no_request_is_set_aside_and_told_once() {
    let bench = bench();
    let run = bench.run("r1");
    let inbox_path = run.inbox_path();
    let bad = ["{", r#"{"verb":"explode"}"#, r#"{"verb":"pause","by":"a","x":1}"#, "\u{0}", ""];
    for (number, text) in bad.iter().enumerate() {
        fs::write(inbox_path.join(format!("{number}.json")), text).expect("a file");
    }
    fs::write(inbox_path.join("huge.json"), vec![b' '; 70 << 10]).expect("a file");
    fs::write(inbox_path.join("note.txt"), "hello").expect("a file");
    fs::write(inbox_path.join(".new-1-1-x"), "half").expect("a file");
    fs::create_dir(inbox_path.join("dir.json")).expect("a directory");
    std::os::unix::fs::symlink("/dev/zero", inbox_path.join("zero.json")).expect("a link");
    inbox::put(&run, WALL_MS, &Request::Unpause { by: by() }).expect("a request");
    let mail = inbox::take(&run).expect("an inbox");
    assert_eq!(mail.letters.len(), 1);
    assert_eq!(mail.malformed.len(), bad.len() + 4);
    assert!(mail.malformed.iter().all(|(path, why)| fs::symlink_metadata(path).is_ok() && !why.is_empty()));
    assert!(inbox::take(&run).expect("an inbox").malformed.is_empty());
}

fn texts(run: &engine::journal::RunDir, trace: &Trace, number: u32) -> (Vec<u8>, u64) {
    let mut text = Vec::new();
    let place = trace.place().expect("it printed something");
    let lost =
        output::read(run, place, attempt(0, number, 1), &mut |chunk| text.extend(chunk.text)).expect("read");
    (text, lost)
}

#[test]
fn attempts_interleave_and_each_is_read_alone() {
    let bench = bench();
    let run = bench.run("r1");
    let segments = Segments::open(&run).expect("segments");
    let traces: Vec<Trace> = thread::scope(|scope| {
        let all: Vec<_> = (0..8)
            .map(|number| {
                let segments = &segments;
                scope.spawn(move || {
                    let mut trace = Trace::new(attempt(0, number, 1));
                    for line in 0..200 {
                        let text = format!("shard {number} line {line}\n");
                        let at = Millis::new(line);
                        segments.append(&mut trace, at, (Stream::Out, text.as_bytes())).expect("written");
                    }
                    trace
                })
            })
            .collect();
        all.into_iter().map(|one| one.join().expect("no panic")).collect()
    });
    segments.flush().expect("flushed");
    for (number, trace) in (0..).zip(&traces) {
        let lines: Vec<_> = (0..200).map(|line| format!("shard {number} line {line}\n")).collect();
        let expected = lines.concat();
        assert_eq!(texts(&run, trace, number), (expected.into_bytes(), 0));
    }
    assert_eq!(Trace::new(attempt(0, 9, 1)).place(), None);
    let mut count = 0;
    Follow::from_start(&run).expect("a reader").poll(&mut |_| count += 1).expect("read");
    assert_eq!(count, 1600);
}

#[test]
fn long_output_crosses_segments() {
    let bench = bench();
    let run = bench.run("r1");
    let segments = Segments::open(&run).expect("segments");
    let (mut long, mut short) = (Trace::new(attempt(0, 0, 1)), Trace::new(attempt(0, 1, 1)));
    let block = vec![b'x'; 1 << 20];
    for _ in 0..65 {
        segments.append(&mut long, Millis::ZERO, (Stream::Out, &block)).expect("written");
    }
    segments.append(&mut short, Millis::ZERO, (Stream::Err, b"short")).expect("written");
    segments.append(&mut long, Millis::ZERO, (Stream::Err, b"end")).expect("written");
    segments.flush().expect("flushed");
    assert!(run.output_path().join("0002").exists());
    let (text, lost) = texts(&run, &long, 0);
    assert_eq!((text.len(), lost), ((65 << 20) + 3, 0));
    assert!(text.ends_with(b"xend"));
    assert_eq!(texts(&run, &short, 1), (b"short".to_vec(), 0));
    assert_eq!(short.place().expect("a place").segment, 2);
}

#[test]
fn a_follower_sees_words_as_they_come_and_survives_torn_ends() {
    let bench = bench();
    let run = bench.run("r1");
    let segments = Segments::open(&run).expect("segments");
    let mut follow = Follow::from_now(&run).expect("a follower");
    let mut trace = Trace::new(attempt(3, 2, 1));
    let poll = |follow: &mut Follow| {
        let mut found: Vec<Chunk> = Vec::new();
        follow.poll(&mut |chunk| found.push(chunk)).expect("read");
        found.into_iter().map(|chunk| String::from_utf8(chunk.text).expect("text")).collect::<Vec<_>>()
    };
    segments.append(&mut trace, Millis::new(5), (Stream::Out, b"one")).expect("written");
    assert!(poll(&mut follow).is_empty(), "it is still in memory");
    segments.flush().expect("flushed");
    assert_eq!(poll(&mut follow), ["one"]);
    drop(segments);
    // A crash leaves half a chunk; the next engine begins another segment.
    let path = run.output_path().join("0001");
    let whole = fs::read(&path).expect("a segment");
    let mut file = OpenOptions::new().append(true).open(&path).expect("a segment");
    file.write_all(&whole[..whole.len() - 1]).expect("half a chunk");
    assert!(poll(&mut follow).is_empty());
    let segments = Segments::open(&run).expect("segments");
    let mut trace = Trace::new(attempt(3, 2, 2));
    segments.append(&mut trace, Millis::new(9), (Stream::Err, b"two")).expect("written");
    segments.flush().expect("flushed");
    assert_eq!(poll(&mut follow), ["two"]);
    assert!(poll(&mut follow).is_empty());
}

/// Marks cut the output of a live engine where they were made, over segments and behind what earlier engines wrote.
#[test]
fn a_mark_says_how_far_to_read() {
    let bench = bench();
    let run = bench.run("r1");
    let mut trace = Trace::new(attempt(0, 0, 1));
    let old = Segments::open(&run).expect("segments");
    old.append(&mut trace, Millis::ZERO, (Stream::Out, b"old")).expect("written");
    drop(old);
    let segments = Segments::open(&run).expect("segments");
    let mut growing = Growing::new(run, segments.mark());
    let mut say = |text: &[u8]| segments.append(&mut trace, Millis::ZERO, (Stream::Out, text)).expect("written");
    let read = |growing: &mut Growing, to| {
        let mut found = Vec::new();
        segments.flush().expect("flushed");
        growing.read_to(to, &mut |_, text| found.extend_from_slice(text)).expect("read");
        found
    };
    let nothing = segments.mark();
    assert!(!growing.is_behind(nothing));
    say(b"one");
    let one = segments.mark();
    say(b"two");
    say(b"three");
    let three = segments.mark();
    assert_eq!(read(&mut growing, nothing), b"");
    assert_eq!(read(&mut growing, one), b"one");
    assert_eq!(read(&mut growing, three), b"twothree");
    let block = vec![b'x'; 1 << 20];
    (0..65).for_each(|_| say(&block));
    say(b"end");
    let last = segments.mark();
    let found = read(&mut growing, last);
    assert!(found.len() == (65 << 20) + 3 && found.ends_with(b"xend"), "{}", found.len());
    assert!(!growing.is_behind(last));
    assert_eq!(read(&mut growing, one), b"", "a mark that was passed");
}

#[test]
fn spoiled_output_is_counted_and_never_shown() {
    let bench = bench();
    let run = bench.run("r1");
    let segments = Segments::open(&run).expect("segments");
    let mut trace = Trace::new(attempt(0, 0, 1));
    for line in ["alpha", "beta"] {
        segments.append(&mut trace, Millis::ZERO, (Stream::Out, line.as_bytes())).expect("written");
    }
    segments.flush().expect("flushed");
    let path = run.output_path().join("0001");
    let good = fs::read(&path).expect("a segment");
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 4;
        fs::write(&path, &bad).expect("a segment to spoil");
        let (text, lost) = texts(&run, &trace, 0);
        assert!(lost > 0, "byte {at}");
        assert!([&b""[..], b"alpha", b"beta"].contains(&&text[..]), "byte {at}: {text:?}");
        fs::write(&path, &good[..at]).expect("a segment to cut");
        let (text, lost) = texts(&run, &trace, 0);
        assert!(lost > 0 && b"alphabeta".starts_with(&text), "cut at {at}");
    }
}

#[test]
fn a_lock_belongs_to_one_run_until_it_is_freed_or_broken() {
    let bench = bench();
    let locks = Locks::new(&bench.state);
    let record =
        |run: &str| LockRecord { name: "deploy/production".to_owned(), run: id(run), wall_ms: WALL_MS, by: by() };
    assert!(!locks.free("deploy/production", &id("r1")).expect("nothing to free"));
    assert!(!bench.state.path().exists(), "looking creates nothing");
    let rivals = ["r1", "r2", "r3", "r4"];
    let results: Vec<Taken> = thread::scope(|scope| {
        let all: Vec<_> = rivals
            .iter()
            .map(|run| {
                let (locks, record) = (&locks, &record);
                scope.spawn(move || locks.take(&record(run)).expect("a lock"))
            })
            .collect();
        all.into_iter().map(|one| one.join().expect("no panic")).collect()
    });
    assert_eq!(results.iter().filter(|&taken| *taken == Taken::Now).count(), 1, "{results:?}");
    let held = locks.holder("deploy/production").expect("a record").expect("held");
    assert!(results.iter().all(|taken| *taken == Taken::Now || *taken == Taken::Busy(held.clone())));
    assert_eq!(locks.take(&held).expect("again"), Taken::Already);
    assert!(!locks.free("deploy/production", &id("other")).expect("not theirs"));
    assert_eq!(locks.list().expect("a list"), std::slice::from_ref(&held));
    let broken = locks.break_open("deploy/production", ("ann", "the run is gone"), WALL_MS + 5).expect("broken");
    assert_eq!(broken, Some(held.clone()));
    assert_eq!(locks.holder("deploy/production").expect("no record"), None);
    let log = locks.broken().expect("a log");
    assert_eq!((log.len(), log[0].reason.as_str(), &log[0].record), (1, "the run is gone", &held));
    assert_eq!(locks.take(&record("r9")).expect("free"), Taken::Now);
    assert!(locks.free("deploy/production", &id("r9")).expect("ours"));
}

#[test]
fn a_lock_passes_on_only_from_the_run_that_was_found_gone() {
    let bench = bench();
    let locks = Locks::new(&bench.state);
    let record = |run: &str| LockRecord { name: "deploy".to_owned(), run: id(run), wall_ms: WALL_MS, by: by() };
    assert_eq!(locks.take(&record("dead")).expect("free"), Taken::Now);
    // Two engines saw that `dead` is gone; the second one must not take the lock from the first.
    assert_eq!(locks.take_over(&record("r1"), &id("dead"), "it never began").expect("taken"), Taken::Now);
    assert_eq!(locks.take_over(&record("r1"), &id("dead"), "it never began").expect("kept"), Taken::Already);
    let second = locks.take_over(&record("r2"), &id("dead"), "it never began").expect("looked");
    assert_eq!(second, Taken::Busy(record("r1")));
    let log = locks.broken().expect("a log");
    assert_eq!((log.len(), &log[0].record, log[0].reason.as_str()), (1, &record("dead"), "it never began"));
}

#[test]
fn a_lock_record_that_cannot_be_read_is_named_and_can_be_broken() {
    let bench = bench();
    let locks = Locks::new(&bench.state);
    let path = bench.state.path().join("locks");
    fs::create_dir_all(&path).expect("a directory");
    fs::write(path.join("deploy.lock"), "{").expect("a bad record");
    let error = locks.holder("deploy").expect_err("it cannot be read");
    assert!(error.to_string().contains("deploy.lock"), "{error}");
    assert!(locks.break_open("deploy", ("ann", "garbage"), WALL_MS).expect("broken").is_some());
    assert_eq!(locks.holder("deploy").expect("no record"), None);
}
