//! Several processes and threads at one run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use engine::base::{Millis, NodeIx, Span};
use engine::journal::{Error, Notice, Reader, Step, Tail, Writer, is_live, read, take};
use engine::run::Event;
use engine::run::event::{NodeState, Resumed, ShardResult, StopKind};

use crate::support::{Bench, WALL_MS, attempt, began, bench, files, finished, holder, id, over, story, write};

/// How many a test writes while others read.
const SHARDS: u32 = 3000;

#[test]
fn a_run_has_one_owner() {
    let bench = bench();
    let (run, ownership) = bench.state.create_run(&id("r1"), &files(), &holder()).expect("a run");
    assert!(is_live(&run).expect("a lock"));
    let refused = take(&run, &holder()).expect_err("it is owned");
    let expected = format!("run `r1` is owned by a live engine (process {})", std::process::id());
    assert_eq!(refused.to_string(), expected);
    drop(ownership);
    assert!(!is_live(&run).expect("a lock"));
    take(&run, &holder()).expect("it is free");
}

#[test]
fn looking_whether_a_run_lives_never_refuses_its_next_owner() {
    let bench = bench();
    let run = bench.run("r1");
    let stop = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while stop.load(Ordering::SeqCst) == 0 {
                    is_live(&run).expect("a lock");
                }
            });
        }
        for _ in 0..300 {
            let taken = take(&run, &holder());
            if taken.is_err() {
                stop.store(1, Ordering::SeqCst);
            }
            drop(taken.expect("only lookers are there"));
        }
        stop.store(1, Ordering::SeqCst);
    });
}

#[test]
fn a_run_exists_once() {
    let bench = bench();
    let run = bench.run("r1");
    let again = bench.state.create_run(&id("r1"), &files(), &holder());
    assert!(matches!(again, Err(Error::RunExists { .. })));
    assert_eq!(read(&run).expect("untouched").records.len(), 8);
    let made: Vec<bool> = thread::scope(|scope| {
        let all: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| bench.state.create_run(&id("r2"), &files(), &holder()).is_ok()))
            .collect();
        all.into_iter().map(|one| one.join().expect("no panic")).collect()
    });
    assert_eq!(made.iter().filter(|&&is_made| is_made).count(), 1, "{made:?}");
}

#[test]
fn unsafe_names_are_refused() {
    let bench = bench();
    for name in ["../x", "/etc/x", "", "a//b", "a/../b", "./a", "a\0b"] {
        let files = [(name.to_owned(), Vec::new())];
        let made = bench.state.create_run(&id("r1"), &files, &holder());
        assert!(matches!(made, Err(Error::UnsafePath { .. })), "{name:?}");
    }
    assert!(bench.state.runs().expect("a list").is_empty());
}

#[test]
fn readers_see_a_growing_prefix_while_a_writer_writes() {
    let bench = bench();
    let (run, ownership) = bench.state.create_run(&id("r1"), &files(), &holder()).expect("a run");
    let durable = Arc::new(AtomicU64::new(0));
    let theirs = Arc::clone(&durable);
    let writer = Writer::create(&run, &ownership, move |notice| {
        let Notice::Durable { first, records } = notice else { panic!("the disk is fine") };
        theirs.store(first + records.len() as u64 - 1, Ordering::SeqCst);
    })
    .expect("a writer");
    thread::scope(|scope| {
        scope.spawn(|| {
            writer.append(vec![(Millis::ZERO, began(&id("r1"), 0))]).expect("it lives");
            for shard in 0..SHARDS {
                let event = finished(attempt(0, shard, 1), 5, ShardResult::default());
                writer.append(vec![(Millis::new(u64::from(shard)), event)]).expect("it lives");
            }
        });
        let mut tracker = Reader::open(&run).expect("a reader");
        let mut followed = 0;
        while followed <= u64::from(SHARDS) {
            let before = durable.load(Ordering::SeqCst);
            let contents = read(&run).expect("no damage while it is written");
            assert!(contents.end.last.sequence >= before);
            assert!(contents.records.iter().zip(1..).all(|((sequence, ..), number)| *sequence == number));
            tracker.refresh().expect("a reader");
            while let Step::Frame = tracker
                .next_frame(&mut |sequence, _, _| {
                    followed += 1;
                    assert_eq!(sequence, followed);
                })
                .expect("no damage while it is written")
            {}
        }
    });
    let counters = writer.close();
    assert_eq!(counters.records, u64::from(SHARDS) + 1);
    assert!(counters.syncs <= counters.frames, "{counters:?}");
    assert_eq!(read(&run).expect("a journal").tail, Tail::Whole);
}

/// A writer whose first notice waits for the test, as a slow disk would, with its first record on the disk.
fn held_writer(bench: &Bench) -> (Writer, std::sync::mpsc::Sender<()>) {
    let (run, ownership) = bench.state.create_run(&id("r1"), &files(), &holder()).expect("a run");
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let mut waits = 1;
    let writer = Writer::create(&run, &ownership, move |_| {
        if waits > 0 {
            waits -= 1;
            gate.recv().expect("the test lets it go");
        }
    })
    .expect("a writer");
    writer.append(admitted(0)).expect("it lives");
    while writer.counters().syncs == 0 {
        thread::yield_now();
    }
    (writer, go)
}

fn admitted(ms: u64) -> Vec<(Millis, Event)> {
    vec![(Millis::new(ms), Event::NodeAdmitted { node: NodeIx::new(0) })]
}

#[test]
fn what_is_appended_while_the_disk_is_busy_shares_a_sync() {
    let bench = bench();
    let (writer, go) = held_writer(&bench);
    for ms in 1..=50 {
        assert_eq!(writer.append(admitted(ms)).expect("it lives"), ms + 1);
    }
    go.send(()).expect("the writer waits");
    let counters = writer.close();
    assert_eq!((counters.frames, counters.syncs, counters.records), (51, 2, 51));
}

#[test]
fn what_is_appended_survives_its_process_before_it_is_synced() {
    let bench = bench();
    let (writer, go) = held_writer(&bench);
    writer.store(admitted(1)).expect("it lives");
    writer.append(admitted(2)).expect("it lives");
    // Whoever reads now reads what a reader would find if this process were killed: nothing else is written.
    let run = bench.state.run(&id("r1")).expect("the run");
    assert_eq!(read(&run).expect("a journal").records.len(), 3);
    assert_eq!(writer.counters().syncs, 1, "the disk still waits for the test");
    go.send(()).expect("the writer waits");
    writer.close();
}

#[test]
fn what_is_stored_becomes_durable_by_itself_together() {
    let bench = bench();
    let (run, ownership) = bench.state.create_run(&id("r1"), &files(), &holder()).expect("a run");
    let (tell, told) = std::sync::mpsc::channel();
    let writer = Writer::create(&run, &ownership, move |notice| drop(tell.send(notice))).expect("a writer");
    for ms in 1..=50 {
        writer.store(admitted(ms)).expect("it lives");
    }
    let mut durable = 0;
    while durable < 50 {
        let Ok(Notice::Durable { first, records }) = told.recv() else { panic!("the disk is fine") };
        assert_eq!(first, durable + 1);
        durable += records.len() as u64;
    }
    let counters = writer.counters();
    assert!(counters.syncs < counters.frames / 2, "nobody waited for any of them: {counters:?}");
}

#[test]
fn a_journal_goes_on_where_the_last_engine_stopped() {
    let bench = bench();
    let run = bench.run("r1");
    let chain = engine::journal::verify(&run).expect("a verdict").chain;
    let ownership = take(&run, &holder()).expect("it is free");
    let end = read(&run).expect("a journal").end;
    write(&run, &ownership, &end, vec![vec![(Millis::new(900), over())]]).expect("the disk is fine");
    let verified = engine::journal::verify(&run).expect("a verdict");
    assert_eq!((verified.events, verified.is_whole()), (9, true));
    assert_ne!(verified.chain, chain);
    // What was read before another engine wrote is no place to go on from.
    assert!(crate::support::writer(&run, &ownership, &end).is_err());
}

#[test]
fn runs_are_listed_newest_first_by_their_beginning() {
    let bench = bench();
    for (name, wall_ms) in [("b", 300), ("a", 100), ("c", 200)] {
        let (run, ownership) = bench.state.create_run(&id(name), &files(), &holder()).expect("a run");
        let end = read(&run).expect("a journal").end;
        write(&run, &ownership, &end, vec![vec![(Millis::ZERO, began(&id(name), wall_ms))]]).expect("written");
    }
    let names = |entries: Vec<engine::journal::RunEntry>| {
        entries.iter().map(|entry| entry.dir.id().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(bench.state.runs().expect("a list")), ["b", "c", "a"]);
    assert!(matches!(bench.state.run(&id("d")), Err(Error::NoRun { .. })));
}

#[test]
fn a_state_directory_that_is_a_file_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join(".engine");
    std::fs::write(&path, "x").expect("a file");
    let error = engine::journal::StateDir::open(&path).expect_err("it is a file");
    assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
}

#[test]
fn the_summary_tells_states_attempts_and_durations() {
    let bench = bench();
    let run = bench.run("r1");
    let summary = engine::journal::summary::of(&run).expect("a summary");
    assert!(run.summary_path().exists());
    let stages: Vec<_> = summary
        .stages
        .iter()
        .map(|stage| (stage.id.as_str(), stage.state, stage.attempts, stage.took.map(engine::base::Span::ms)))
        .collect();
    let expected = [("build", NodeState::Success, 1, Some(90)), ("check", NodeState::Success, 1, Some(10))];
    assert_eq!(stages, expected);
    assert_eq!(engine::journal::summary::of(&run).expect("stored"), summary);
    // A longer journal makes it old.
    let ownership = take(&run, &holder()).expect("it is free");
    let end = read(&run).expect("a journal").end;
    let reopened = Event::NodeReopened { node: NodeIx::new(1), why: engine::run::event::ReopenReason::Ordered };
    write(&run, &ownership, &end, vec![vec![(Millis::new(500), reopened)]]).expect("written");
    assert_eq!(engine::journal::summary::of(&run).expect("a summary").stages[1].state, NodeState::Pending);
    assert_eq!(story(&id("r1")).len(), 3);
}

/// Two workers that had items ahead: each answer came long after its item was given, and in less than a millisecond.
#[test]
fn what_workers_did_counts_by_their_time_not_by_how_long_items_waited() {
    let bench = bench();
    let (run, ownership) = bench.state.create_run(&id("r1"), &files(), &holder()).expect("a new run");
    let end = read(&run).expect("an empty journal").end;
    let node = NodeIx::new(1);
    let at = Millis::new;
    let answer = |shard, when| (at(when), finished(attempt(1, shard, 1), 0, ShardResult::default()));
    let resumed = Event::RunResumed(Box::new(Resumed {
        wall_ms: WALL_MS + 9000,
        gap: Span::from_ms(7400),
        jobs: 2,
        by: "ann".to_owned(),
        engine: "0.1.0".to_owned(),
        place: None,
        plan: None,
        drains: false,
        closes: false,
    }));
    let first = vec![
        (at(0), began(&id("r1"), WALL_MS)),
        (at(1000), Event::CrewHired { node, count: 2 }),
        (at(1000), Event::ShardsStarted { node, first: 0, count: 8 }),
        answer(0, 1400),
        answer(1, 1400),
        answer(2, 1600),
        answer(3, 1600),
    ];
    // Nobody knows what they did from the last record on, nor until another engine came.
    let second = vec![
        (at(9000), resumed),
        (at(9000), Event::CrewHired { node, count: 1 }),
        answer(4, 9200),
        (at(9300), Event::ShardsFinished { node, first: 5, count: 3, took: Span::from_ms(100) }),
        (at(9300), Event::CrewDismissed { node, how: StopKind::Terminate }),
        (at(9900), Event::CrewGone { node }),
        (at(9900), Event::NodeFinished { node, state: NodeState::Success, reason: String::new() }),
        (at(9900), over()),
    ];
    write(&run, &ownership, &end, vec![first, second]).expect("the disk is fine");
    let summary = engine::journal::summary::of(&run).expect("a summary");
    let stage = &summary.stages[1];
    assert_eq!(stage.rows, [(0, 8, 2 * 600 + 300)], "all items, and the milliseconds of all workers");
    assert_eq!(stage.good.iter().sum::<u32>(), 100, "{:?}", stage.good);
}

/// A writer that closes cuts off the zeros that it kept ready, while somebody reads who saw the file with them.
#[test]
fn a_journal_whose_spare_room_is_cut_off_while_it_is_read_is_whole() {
    let bench = bench();
    let (run, ownership) = bench.state.create_run(&id("r1"), &files(), &holder()).expect("a new run");
    let end = read(&run).expect("an empty journal").end;
    let note = "x".repeat(200);
    let left = |shard| {
        let result = ShardResult { notes: vec![note.clone()], ..ShardResult::default() };
        (Millis::new(10), finished(attempt(1, shard, 1), 1, result))
    };
    // More than is read at once.
    let mut batches = vec![vec![(Millis::ZERO, began(&id("r1"), WALL_MS))]];
    batches.extend((0..20).map(|batch| (0..100).map(|at| left(batch * 100 + at)).collect()));
    write(&run, &ownership, &end, batches).expect("the disk is fine");
    let file = std::fs::OpenOptions::new().write(true).open(run.journal_path()).expect("the journal");
    let len = file.metadata().expect("its length").len();
    file.set_len(len + (1 << 20)).expect("room for more");
    let mut reader = Reader::open(&run).expect("a journal");
    file.set_len(len).expect("cut off again");
    let mut count = 0;
    let tail = loop {
        match reader.next_frame(&mut |_, _, _| count += 1).expect("whole frames") {
            Step::Frame => {}
            Step::End(tail) => break tail,
        }
    };
    assert_eq!((count, tail), (2001, Tail::Whole));
}
