//! A small run to work on.

use std::sync::mpsc::{Receiver, channel};

use engine::base::{Digest, Millis, NodeIx, RunId, Span};
use engine::journal::{Disk, End, Error, Holder, Notice, Ownership, RunDir, StateDir, Writer, read, snapshot};
use engine::run::Event;
use engine::run::event::{Attempt, Began, NodeState, Outcome, OutputRef, RunEnd, ShardResult, Verdict};
use tempfile::TempDir;

pub(crate) const WALL_MS: i64 = 1_790_000_000_000;

pub(crate) fn holder() -> Holder {
    Holder { pid: std::process::id(), wall_ms: WALL_MS }
}

pub(crate) fn id(text: &str) -> RunId {
    RunId::parse(text).expect("a run id")
}

pub(crate) fn files() -> Vec<(String, Vec<u8>)> {
    vec![
        ("plans/tiny.yaml".to_owned(), b"version: 1\nname: tiny\n".to_vec()),
        ("inputs.json".to_owned(), b"{}".to_vec()),
        (snapshot::STAGES.to_owned(), b"build\t0 1\ncheck\t0 1\n".to_vec()),
    ]
}

pub(crate) fn began(run: &RunId, wall_ms: i64) -> Event {
    Event::RunBegan(Box::new(Began {
        run: run.clone(),
        path: "plans/tiny.yaml".to_owned(),
        wall_ms,
        seed: 7,
        graph: Digest::of(b"graph"),
        files: snapshot::digests(&files()),
        key: Some("abc".to_owned()),
        by: "ann".to_owned(),
        engine: "0.1.0".to_owned(),
        ..Began::unrecorded("tiny", 2)
    }))
}

pub(crate) fn attempt(node: u32, shard: u32, number: u16) -> Attempt {
    Attempt { node: NodeIx::new(node), shard, number }
}

pub(crate) fn finished(attempt: Attempt, took_ms: u64, result: ShardResult) -> Event {
    let took = Span::from_ms(took_ms);
    Event::ShardFinished { attempt, outcome: Outcome::Success, took, result: result.into() }
}

pub(crate) fn over() -> Event {
    let verdict = Verdict {
        state: RunEnd::Success,
        failed: Vec::new(),
        timed_out: false,
        cancelled_by: None,
        only_late: false,
    };
    Event::RunFinished { verdict }
}

/// A run of two stages, as batches.
pub(crate) fn story(run: &RunId) -> Vec<Vec<(Millis, Event)>> {
    let (build, check) = (NodeIx::new(0), NodeIx::new(1));
    let output = Some(OutputRef { segment: 1, offset: 40, len: 90 });
    let result = ShardResult { output, cpu_us: 1200, max_rss_kib: 3000, ..ShardResult::default() };
    let done = |node| Event::NodeFinished { node, state: NodeState::Success, reason: String::new() };
    vec![
        vec![
            (Millis::ZERO, began(run, WALL_MS)),
            (Millis::ZERO, Event::ShardsStarted { node: build, first: 0, count: 1 }),
        ],
        vec![
            (Millis::new(90), finished(attempt(0, 0, 1), 88, result)),
            (Millis::new(90), done(build)),
            (Millis::new(90), Event::ShardsStarted { node: check, first: 0, count: 1 }),
        ],
        vec![
            (Millis::new(100), finished(attempt(1, 0, 1), 9, ShardResult::default())),
            (Millis::new(100), done(check)),
            (Millis::new(100), over()),
        ],
    ]
}

/// A state directory in a temporary one.
pub(crate) struct Bench {
    pub(crate) dir: TempDir,
    pub(crate) state: StateDir,
}

pub(crate) fn bench() -> Bench {
    let dir = tempfile::tempdir().expect("a directory");
    let state = StateDir::open(dir.path().join(".engine")).expect("a state directory");
    Bench { dir, state }
}

impl Bench {
    /// The same directory through another disk.
    pub(crate) fn on(&self, disk: Disk) -> StateDir {
        StateDir::open_on(self.state.path(), disk).expect("a state directory")
    }

    /// A finished run called `name`.
    pub(crate) fn run(&self, name: &str) -> RunDir {
        let (run, ownership) = self.state.create_run(&id(name), &files(), &holder()).expect("a new run");
        let end = read(&run).expect("an empty journal").end;
        write(&run, &ownership, &end, story(&id(name))).expect("the disk is fine");
        run
    }
}

/// Opens a writer whose notices can be received.
pub(crate) fn writer(run: &RunDir, own: &Ownership, end: &End) -> Result<(Writer, Receiver<Notice>), Error> {
    let (tell, told) = channel();
    // A test that stopped listening does not care any more.
    let writer = Writer::open(run, own, end, move |notice| drop(tell.send(notice)))?;
    Ok((writer, told))
}

/// Writes each batch as a frame of its own and waits for each.
pub(crate) fn write(
    run: &RunDir,
    ownership: &Ownership,
    end: &End,
    batches: Vec<Vec<(Millis, Event)>>,
) -> Result<(), Error> {
    let (writer, told) = writer(run, ownership, end)?;
    for batch in batches {
        let last = writer.append(batch)?;
        match told.recv().expect("the writer says what became of a batch") {
            Notice::Durable { first, records } => assert_eq!(first + records.len() as u64 - 1, last),
            Notice::Failed(error) => return Err(error),
        }
    }
    Ok(())
}
