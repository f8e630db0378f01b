//! Fail the Nth change to the disk, for every N: nothing acknowledged is lost, nothing panics, the error names
//! its path.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use engine::journal::disk::{Disk, Fate, Faults, Op};
use engine::journal::inbox::{self, Request};
use engine::journal::locks::{LockRecord, Locks, Taken};
use engine::journal::objects::Objects;
use engine::journal::{Error, Notice, RunDir, StateDir, read, take};

use crate::support::{WALL_MS, bench, files, holder, id, story, writer};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// Fails the Nth change, and every later one if the disk stays full.
struct Nth {
    at: usize,
    seen: AtomicUsize,
    has_failed: AtomicBool,
    errno: i32,
    is_lasting: bool,
    part: Option<usize>,
}

impl Faults for Nth {
    fn fate(&self, op: Op, _path: &Path, _len: usize) -> Fate {
        let number = self.seen.fetch_add(1, Ordering::SeqCst);
        if number != self.at && !(self.is_lasting && number > self.at) {
            return Fate::Pass;
        }
        self.has_failed.store(true, Ordering::SeqCst);
        let error = io::Error::from_raw_os_error(self.errno);
        match (op, self.part) {
            (Op::Write, Some(len)) => Fate::Part(len, error),
            _ => Fate::Fail(error),
        }
    }
}

/// Runs `scene` with the Nth change failing, for every N and each kind of failure.
fn for_every_fault(scene: impl Fn(Disk) -> Result<(), Error>) {
    for (errno, is_lasting, part) in
        [(EIO, false, None), (ENOSPC, true, None), (ENOSPC, true, Some(3)), (EIO, false, Some(40))]
    {
        for nth in 0.. {
            let seen = AtomicUsize::new(0);
            let has_failed = AtomicBool::new(false);
            let faults = Arc::new(Nth { at: nth, seen, has_failed, errno, is_lasting, part });
            let done = scene(Disk::faulty(Arc::clone(&faults) as Arc<dyn Faults>));
            if !faults.has_failed.load(Ordering::SeqCst) {
                done.expect("nothing failed");
                assert!(nth > 3, "the scene must change the disk");
                break;
            }
            if let Err(error) = done {
                let Error::Io { source, .. } = &error else { panic!("change {nth}: {error}") };
                assert_eq!(source.raw_os_error(), Some(errno), "change {nth}: {error}");
            }
        }
    }
}

/// Writes the story; how many records were acknowledged, and the error if one came.
fn tell(run: &RunDir, own: &engine::journal::Ownership) -> (u64, Option<Error>) {
    let end = match read(run) {
        Ok(contents) => contents.end,
        Err(error) => return (0, Some(error)),
    };
    let (writer, told) = match writer(run, own, &end) {
        Ok(opened) => opened,
        Err(error) => return (end.last.sequence, Some(error)),
    };
    let mut acknowledged = end.last.sequence;
    for batch in story(run.id()) {
        writer.append(batch).expect("no failure was told yet");
        match told.recv().expect("the writer says what became of a batch") {
            Notice::Durable { first, records } => acknowledged = first + records.len() as u64 - 1,
            Notice::Failed(error) => {
                let refused = writer.append(story(run.id()).remove(0));
                assert!(matches!(refused, Err(Error::Stopped { .. })), "a failure is final");
                drop(writer);
                assert!(told.recv().is_err(), "a failure is told once, and last");
                return (acknowledged, Some(error));
            }
        }
    }
    (acknowledged, None)
}

#[test]
fn a_run_loses_nothing_that_was_acknowledged() {
    for_every_fault(|disk| {
        let bench = bench();
        let made = bench.on(disk).create_run(&id("r1"), &files(), &holder());
        let (run, ownership) = match made {
            Ok(made) => made,
            Err(error) => {
                assert!(bench.state.runs().expect("a list").is_empty(), "a run is made whole or not at all");
                return Err(error);
            }
        };
        let (acknowledged, error) = tell(&run, &ownership);
        drop(ownership);
        // The next engine, on a disk that works again, finds at least what was acknowledged and goes on.
        let run = bench.state.run(run.id()).expect("the run");
        let ownership = take(&run, &holder()).expect("nobody lives");
        let contents = read(&run).expect("a crash is no damage");
        let found = contents.end.last.sequence;
        assert!(found >= acknowledged, "{found} of {acknowledged} left");
        let expected: Vec<_> = story(run.id()).concat().into_iter().take(contents.records.len()).collect();
        let records: Vec<_> = contents.records.into_iter().map(|(_, at, event)| (at, event)).collect();
        assert_eq!(records, expected);
        let (acknowledged, none) = tell(&run, &ownership);
        assert!(none.is_none(), "{none:?}");
        assert_eq!(acknowledged, found + 8);
        error.map_or(Ok(()), Err)
    });
}

#[test]
fn a_lock_is_taken_whole_or_not_at_all() {
    for_every_fault(|disk| {
        let bench = bench();
        let record = |run: &str| LockRecord {
            name: "deploy/staging".to_owned(),
            run: id(run),
            wall_ms: WALL_MS,
            by: "ann".to_owned(),
        };
        let faulty = Locks::new(&bench.on(disk)).take(&record("r1"));
        let locks = Locks::new(&bench.state);
        let held = locks.holder("deploy/staging").expect("a record or none");
        match faulty {
            Ok(taken) => {
                assert_eq!(taken, Taken::Now);
                assert_eq!(held, Some(record("r1")));
            }
            // It may be held all the same when only the last sync failed; the same run may ask again.
            Err(error) => {
                assert!(held.is_none_or(|held| held == record("r1")));
                assert_ne!(locks.take(&record("r1")).expect("a lock"), Taken::Busy(record("r1")));
                return Err(error);
            }
        }
        Ok(())
    });
}

#[test]
fn a_request_arrives_whole_or_not_at_all() {
    for_every_fault(|disk| {
        let bench = bench();
        let run = bench.run("r1");
        let request = Request::Pause { by: "ann".to_owned() };
        let put = inbox::put(&bench.on(disk).run(run.id()).expect("the run"), WALL_MS, &request);
        let mail = inbox::take(&run).expect("an inbox");
        assert!(mail.malformed.is_empty(), "{:?}", mail.malformed);
        assert!(mail.letters.iter().all(|letter| letter.request == request));
        put.map(|id| assert_eq!(mail.letters[0].id, id))
    });
}

#[test]
fn objects_are_stored_and_restored_whole_or_not_at_all() {
    for_every_fault(|disk| {
        let bench = bench();
        let root = bench.dir.path();
        std::fs::create_dir_all(root.join("dist")).expect("a directory");
        std::fs::write(root.join("dist/a"), "alpha").expect("a file");
        std::fs::write(root.join("dist/b"), "beta").expect("a file");
        let names = ["dist/a".to_owned(), "dist/b".to_owned()];
        let faulty: StateDir = bench.on(disk);
        let stored = Objects::new(&faulty).store(root, &names);
        let objects = Objects::new(&bench.state);
        let (digest, manifest) = match stored {
            Ok(stored) => stored,
            Err(error) => {
                // Whatever half of it is there, a second try makes it whole.
                let (digest, manifest) = objects.store(root, &names).expect("a working disk");
                assert_eq!(objects.manifest(digest).expect("a manifest"), manifest);
                objects.restore(&manifest, &root.join("out")).expect("whole objects");
                return Err(error);
            }
        };
        assert!(objects.is_complete(digest));
        let to = root.join("to");
        let restored = Objects::new(&faulty).restore(&manifest, &to);
        for (name, text) in [("dist/a", "alpha"), ("dist/b", "beta")] {
            if let Ok(found) = std::fs::read_to_string(to.join(name)) {
                assert_eq!(found, text, "a file appears whole or not at all");
            }
        }
        restored.map(|restored| assert_eq!(restored.written, 2))
    });
}
