//! Cut at every byte, flip every bit: never a panic, never a wrong success, the damage named.

use std::fs;

use engine::base::Span;
use engine::journal::{Error, RunDir, Tail, Writer, read, snapshot, take, verify};
use engine::run::Event;
use engine::run::event::Resumed;

use crate::support::{Bench, began, bench, files, holder, id, story, write};

fn finished() -> (Bench, RunDir, Vec<u8>) {
    let bench = bench();
    let run = bench.run("r1");
    let bytes = fs::read(run.journal_path()).expect("a journal");
    (bench, run, bytes)
}

/// Where each frame begins, and the file's end.
fn boundaries(bytes: &[u8]) -> Vec<usize> {
    let mut at = 16;
    let mut found = vec![at];
    while at < bytes.len() {
        let len = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().expect("four bytes"));
        at += 32 + len as usize + 32;
        found.push(at);
    }
    found
}

#[test]
fn every_flipped_bit_of_a_journal_is_damage_where_head_vouches_for_it() {
    let (_bench, run, bytes) = finished();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << bit;
            fs::write(run.journal_path(), &bad).expect("a journal to spoil");
            let error = read(&run).expect_err("a flipped bit is no journal");
            let Error::Damage { path, offset, .. } = &error else { panic!("byte {at} bit {bit}: {error}") };
            assert_eq!(path, &run.journal_path());
            assert!(*offset <= at as u64, "byte {at}: told {offset}");
        }
    }
    fs::write(run.journal_path(), &bytes).expect("the journal back");
    assert!(verify(&run).expect("a verdict").is_whole());
}

#[test]
fn without_head_a_flipped_bit_costs_at_most_the_last_frame() {
    let (_bench, run, bytes) = finished();
    fs::remove_file(run.head_path()).expect("no head");
    let last = boundaries(&bytes)[2];
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 0x10;
        fs::write(run.journal_path(), &bad).expect("a journal to spoil");
        match read(&run) {
            Err(Error::Damage { .. }) => assert!(at < last, "byte {at} is in the last frame"),
            Err(other) => panic!("byte {at}: {other}"),
            Ok(contents) => {
                assert!(at >= last, "byte {at} is not in the last frame");
                assert_eq!(contents.records.len(), 5);
                let bytes = (bad.len() - last) as u64;
                assert_eq!(contents.tail, Tail::Torn { offset: last as u64, bytes });
            }
        }
    }
}

#[test]
fn what_no_sync_has_covered_may_be_torn_anywhere_and_nothing_else() {
    let bench = bench();
    let (run, ownership) = bench.state.create_run(&id("r1"), &files(), &holder()).expect("a run");
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let writer = Writer::create(&run, &ownership, move |_| gate.recv().unwrap_or(())).expect("a writer");
    let mut batches = story(&id("r1")).into_iter();
    writer.append(batches.next().expect("a first")).expect("it lives");
    while writer.counters().syncs == 0 {
        std::thread::yield_now();
    }
    // The disk is busy with telling that from here on: no sync covers the second and the third frame.
    for batch in batches {
        writer.store(batch).expect("it lives");
    }
    let (bytes, head) = (fs::read(run.journal_path()), fs::read(run.head_path()));
    let (bytes, head) = (bytes.expect("a journal"), head.expect("a head"));
    drop((go, writer));
    let frames = boundaries(&bytes[..=bytes.iter().rposition(|&byte| byte != 0).expect("frames")]);
    assert_eq!(frames.len(), 4);
    for has_head in [true, false] {
        for at in (0..frames[3]).step_by(5) {
            let mut bad = bytes.clone();
            bad[at] ^= 0x10;
            fs::write(run.journal_path(), &bad).expect("a journal to spoil");
            drop(fs::remove_file(run.head_path()));
            if has_head {
                fs::write(run.head_path(), &head).expect("a head");
            }
            match read(&run) {
                Err(Error::Damage { .. }) => assert!(at < frames[1], "byte {at} was never acknowledged"),
                Err(other) => panic!("byte {at}: {other}"),
                Ok(contents) => {
                    assert!(at >= frames[1], "byte {at} was on the disk when the second frame was written");
                    assert!(matches!(contents.tail, Tail::Torn { .. }), "byte {at}");
                    assert_eq!(contents.records.len(), if at < frames[2] { 2 } else { 5 });
                }
            }
        }
    }
}

#[test]
fn a_cut_below_head_is_damage_and_above_it_a_torn_tail() {
    let (_bench, run, bytes) = finished();
    let head = fs::read(run.head_path()).expect("a head");
    let frames = boundaries(&bytes);
    for len in 0..bytes.len() {
        fs::write(run.journal_path(), &bytes[..len]).expect("a journal to cut");
        fs::write(run.head_path(), &head).expect("a head");
        let error = read(&run).expect_err("head vouches for more");
        assert!(error.is_damage(), "cut at {len}: {error}");
        fs::remove_file(run.head_path()).expect("no head");
        let contents = read(&run).expect("a shorter journal");
        let whole = frames.iter().filter(|&&end| end <= len).count().saturating_sub(1);
        assert_eq!(contents.records.len(), [0, 2, 5, 8][whole], "cut at {len}");
        let is_torn = len != 0 && !frames.contains(&len);
        assert_eq!(contents.tail != Tail::Whole, is_torn, "cut at {len}: {:?}", contents.tail);
    }
}

#[test]
fn the_next_writer_cuts_a_torn_tail_and_goes_on() {
    let (_bench, run, bytes) = finished();
    let frames = boundaries(&bytes);
    let all = read(&run).expect("a journal").records;
    for len in 0..bytes.len() {
        fs::write(run.journal_path(), &bytes[..len]).expect("a journal to cut");
        drop(fs::remove_file(run.head_path()));
        let ownership = take(&run, &holder()).expect("nobody lives");
        let end = read(&run).expect("a shorter journal").end;
        let whole = frames.iter().filter(|&&end| end <= len).count().saturating_sub(1);
        let rest = story(&id("r1")).split_off(whole);
        write(&run, &ownership, &end, rest).expect("the disk is fine");
        assert_eq!(read(&run).expect("a whole journal").records, all, "cut at {len}");
        assert_eq!(fs::read(run.journal_path()).expect("a journal"), bytes, "cut at {len}");
        assert!(verify(&run).expect("a verdict").is_whole());
    }
}

#[test]
fn a_spoiled_head_is_rebuilt_and_one_of_another_journal_is_damage() {
    let (bench, run, _) = finished();
    let good = fs::read(run.head_path()).expect("a head");
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(run.head_path(), &bad).expect("a head to spoil");
        let verified = verify(&run).expect("a verdict");
        assert!(verified.is_whole() && !verified.has_head);
        assert_eq!(verified.events, 8);
    }
    let other = bench.run("r2");
    fs::copy(other.head_path(), run.head_path()).expect("the other's head");
    assert!(read(&run).expect_err("not its head").is_damage());
}

#[test]
fn every_flipped_bit_of_the_plan_is_found() {
    let (_bench, run, _) = finished();
    let first = snapshot::Recorded::of([&began(run.id(), 0)]);
    for (name, bytes) in files() {
        let path = run.plan_path(1).join(&name);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << bit;
                fs::write(&path, &bad).expect("a file to spoil");
                let verified = verify(&run).expect("a verdict");
                let [Error::Damage { path: told, .. }] = verified.damage.as_slice() else {
                    panic!("{name} byte {at}: {:?}", verified.damage)
                };
                assert_eq!(told, &path);
                assert!(snapshot::read(&run, 1, &first).is_err());
            }
        }
        fs::write(&path, &bytes).expect("the file back");
    }
    fs::write(run.plan_path(1).join("extra"), "x").expect("one more file");
    assert_eq!(verify(&run).expect("a verdict").damage.len(), 1);
    fs::remove_file(run.plan_path(1).join("extra")).expect("it goes");
    fs::remove_file(run.plan_path(1).join("inputs.json")).expect("it goes");
    assert_eq!(verify(&run).expect("a verdict").damage.len(), 1);
}

#[test]
fn a_later_plan_is_as_guarded_as_the_first() {
    let (_bench, run, _) = finished();
    snapshot::write_version(&run, 2, &files()).expect("a version");
    let mut expected = files();
    expected.sort();
    assert_eq!(snapshot::read(&run, 2, &snapshot::Recorded::default()).expect("a version"), expected);
    for name in ["digests", "inputs.json"] {
        let path = run.plan_path(2).join(name);
        let good = fs::read(&path).expect("a file");
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                fs::write(&path, &bad).expect("a file to spoil");
                assert_eq!(verify(&run).expect("a verdict").damage.len(), 1, "{name} byte {at} bit {bit}");
            }
        }
        fs::write(&path, &good).expect("the file back");
    }
    assert!(verify(&run).expect("a verdict").is_whole());
}

/// A list that fits its files, but not what the journal says of it.
#[test]
fn a_later_plan_that_was_exchanged_whole_is_found_by_the_journal() {
    let (_bench, run, _) = finished();
    let taken = |plan| {
        let (by, engine) = (String::new(), String::new());
        let resumed = Resumed {
            wall_ms: 0,
            gap: Span::ZERO,
            jobs: 1,
            by,
            engine,
            place: None,
            plan,
            drains: false,
            closes: false,
        };
        snapshot::Recorded::of([&Event::RunResumed(Box::new(resumed)), &Event::PlanChanged { version: 2 }])
    };
    let sealed = taken(Some(snapshot::seal(&files())));
    snapshot::write_version(&run, 2, &files()).expect("a version");
    snapshot::read(&run, 2, &sealed).expect("what was recorded");
    let mut other = files();
    other[0].1.push(b'x');
    snapshot::write_version(&run, 2, &other).expect("another one in its place");
    let Err(Error::Damage { path, .. }) = snapshot::read(&run, 2, &sealed) else {
        panic!("it is taken for the same")
    };
    assert_eq!(path, run.plan_path(2).join("digests"));
    // What an older engine recorded holds no digest of the list.
    snapshot::read(&run, 2, &taken(None)).expect("it fits its own list");
}

#[test]
fn an_older_journal_put_back_is_damage() {
    let (_bench, run, bytes) = finished();
    let cut = boundaries(&bytes)[2];
    fs::write(run.journal_path(), &bytes[..cut]).expect("an older copy");
    let error = read(&run).expect_err("head knows better");
    assert!(error.to_string().contains("ends before event 8"), "{error}");
}

#[test]
fn another_major_version_is_refused_untouched() {
    let (_bench, run, bytes) = finished();
    let mut newer = bytes.clone();
    newer[8] = 2;
    let crc = crc32c::crc32c(&newer[..12]);
    newer[12..16].copy_from_slice(&crc.to_le_bytes());
    fs::write(run.journal_path(), &newer).expect("a newer journal");
    assert!(matches!(read(&run), Err(Error::Version { found: 2, known: 1, .. })));
    assert!(matches!(verify(&run), Err(Error::Version { .. })));
    assert_eq!(fs::read(run.journal_path()).expect("a journal"), newer);
}
