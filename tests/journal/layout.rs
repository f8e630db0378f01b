//! `docs/journal-format.md` says what the bytes are; these tests write and read them by hand.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::base::{Millis, NodeIx};
use engine::journal::disk::{Fate, Faults, Op};
use engine::journal::{Disk, Error, Notice, RunDir, Writer, decode_events, is_live, read, take, verify};
use engine::run::Event;
use engine::run::event::{NodeState, ShardResult};

use crate::support::{attempt, began, bench, files, finished, holder, id, write, writer};

/// A frame as the specification lays it out, with `body` as its events.
fn frame(previous: &[u8; 32], first: u64, count: u32, body: &[u8]) -> Vec<u8> {
    let mut out = b"\xf5FRM".to_vec();
    out.extend(u32::try_from(body.len()).expect("small").to_le_bytes());
    out.extend(first.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(0_u64.to_le_bytes());
    let crc = crc32c::crc32c(&out);
    out.extend(crc.to_le_bytes());
    out.extend(body);
    let hash = blake3::hash(&[previous.as_slice(), &out].concat());
    out.extend(hash.as_bytes());
    out
}

/// Appends a frame made by hand to the journal of a run without one.
fn append_by_hand(run: &RunDir, body: &[u8], count: u32) {
    let mut bytes = fs::read(run.journal_path()).expect("a journal");
    assert_eq!(bytes.len(), 16, "nothing but the header");
    let genesis = *blake3::hash(&bytes).as_bytes();
    bytes.extend(frame(&genesis, 1, count, body));
    fs::write(run.journal_path(), bytes).expect("a journal");
}

#[test]
fn the_example_of_the_specification_is_what_it_says() {
    let bytes = [0x0A, 0x06, 0x00, 0x02, 0x08];
    let events = decode_events(&bytes, 1).expect("an event");
    assert_eq!(events, [(Millis::new(5), finished(attempt(0, 1, 1), 8, ShardResult::default()))]);
    let text = include_str!("../../docs/journal-format.md");
    assert!(text.contains("`0A 06 00 02 08`"));
}

#[test]
fn a_journal_written_by_hand_is_read() {
    let bench = bench();
    let (run, ownership) = bench.state.create_run(&id("r1"), &files(), &holder()).expect("a run");
    append_by_hand(&run, &[0x0A, 0x06, 0x00, 0x02, 0x08, 0x00, 23], 2);
    let contents = read(&run).expect("a journal");
    assert_eq!(contents.records[1], (2, Millis::new(5), Event::FinallyBegan));
    write(&run, &ownership, &contents.end, vec![vec![(Millis::new(9), Event::FinallyBegan)]]).expect("written");
    assert_eq!(read(&run).expect("a journal").records.len(), 3);
}

#[test]
fn an_event_of_a_newer_engine_is_shown_and_not_written_after() {
    let bench = bench();
    let (run, ownership) = bench.state.create_run(&id("r1"), &files(), &holder()).expect("a run");
    append_by_hand(&run, &[0, 23, 0, 200, 1, 2, 7, 7, 0, 23], 3);
    let contents = read(&run).expect("it can be shown");
    assert_eq!((contents.records.len(), contents.unknown.as_slice()), (2, [(2, 200)].as_slice()));
    let refused = writer(&run, &ownership, &contents.end).expect_err("it must not be written after");
    assert!(matches!(refused, Error::UnknownEvent { sequence: 2, tag: 200, .. }), "{refused}");
    assert_eq!(verify(&run).expect("a verdict").unknown, Some((2, 200)));
}

#[test]
fn a_whole_frame_with_senseless_events_is_damage() {
    let bench = bench();
    for (number, body) in [&[0, 63][..], &[0], &[], &[0, 23, 0]].iter().enumerate() {
        let name = id(&format!("r{number}"));
        let (run, _own) = bench.state.create_run(&name, &files(), &holder()).expect("a run");
        append_by_hand(&run, body, 1);
        let error = read(&run).expect_err("no engine wrote this");
        assert!(matches!(error, Error::Damage { offset: 16, .. }), "{error}");
    }
}

#[test]
fn a_huge_batch_becomes_several_frames_of_one_sync() {
    let bench = bench();
    let (run, own) = bench.state.create_run(&id("r1"), &files(), &holder()).expect("a run");
    let (tell, told) = std::sync::mpsc::channel();
    let writer =
        Writer::create(&run, &own, move |notice| tell.send(notice).expect("the test listens")).expect("a writer");
    let event = |number: u32| Event::NodeFinished {
        node: NodeIx::new(number),
        state: NodeState::Failed,
        reason: "x".repeat(1 << 20),
    };
    let batch: Vec<_> = (0..10).map(|number| (Millis::ZERO, event(number))).collect();
    assert_eq!(writer.append(batch.clone()).expect("it lives"), 10);
    let counters = writer.close();
    assert_eq!((counters.frames, counters.syncs, counters.records), (3, 1, 10));
    let firsts: Vec<_> = told
        .iter()
        .map(|notice| match notice {
            Notice::Durable { first, .. } => first,
            Notice::Failed(error) => panic!("{error}"),
        })
        .collect();
    assert_eq!(firsts, [1]);
    let records: Vec<_> =
        read(&run).expect("a journal").records.into_iter().map(|(_, at, event)| (at, event)).collect();
    assert_eq!(records, batch);
}

/// Counts waits for the disk.
#[derive(Default)]
struct Flushes(AtomicU64);

impl Faults for Flushes {
    fn fate(&self, op: Op, _path: &Path, _len: usize) -> Fate {
        if matches!(op, Op::Sync | Op::SyncDir) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        Fate::Pass
    }
}

#[test]
fn a_new_run_costs_eight_flushes_with_its_first_record() {
    let bench = bench();
    bench.run("r0");
    let flushes = Arc::new(Flushes::default());
    let state = bench.on(Disk::faulty(Arc::clone(&flushes) as Arc<dyn Faults>));
    let (run, own) = state.create_run(&id("r1"), &files(), &holder()).expect("a run");
    let end = read(&run).expect("a journal").end;
    write(&run, &own, &end, vec![vec![(Millis::ZERO, began(&id("r1"), 0))]]).expect("written");
    assert_eq!(flushes.0.load(Ordering::SeqCst), 8);
}

#[test]
fn a_read_only_state_directory_can_be_read() {
    let bench = bench();
    let run = bench.run("r1");
    let refuse = |path: &Path, mode: u32| {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("rights");
    };
    refuse(run.path(), 0o500);
    assert!(!is_live(&run).expect("a lock that can be looked at"));
    assert!(verify(&run).expect("a verdict").is_whole());
    engine::journal::summary::of(&run).expect("a summary that need not be stored");
    refuse(run.path(), 0o700);
    drop(take(&run, &holder()).expect("free"));
}
