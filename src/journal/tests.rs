use std::sync::mpsc;

use super::*;
use crate::base::{Digest, Millis, NodeIx, RunId, Span};
use crate::run::Event;
use crate::run::event::{Attempt, Began, Outcome, RunEnd, Verdict};

pub(super) fn holder() -> Holder {
    Holder { pid: 1, wall_ms: 1_790_000_000_000 }
}

pub(super) fn files() -> Vec<(String, Vec<u8>)> {
    vec![
        ("plans/tiny.yaml".to_owned(), b"version: 1\n".to_vec()),
        ("inputs.json".to_owned(), b"{}".to_vec()),
        (snapshot::STAGES.to_owned(), b"build\t0 1\ncheck\t0 1\n".to_vec()),
    ]
}

pub(super) fn began(id: &RunId) -> Event {
    Event::RunBegan(Box::new(Began {
        run: id.clone(),
        path: "plans/tiny.yaml".to_owned(),
        wall_ms: 1_790_000_000_000,
        seed: 7,
        graph: Digest::of(b"graph"),
        files: snapshot::digests(&files()),
        by: "ann".to_owned(),
        engine: "0.1.0".to_owned(),
        ..Began::unrecorded("tiny", 2)
    }))
}

pub(super) fn story(id: &RunId) -> Vec<(Millis, Event)> {
    let node = NodeIx::new(0);
    let attempt = Attempt { node, shard: 0, number: 1 };
    vec![
        (Millis::ZERO, began(id)),
        (Millis::new(1), Event::ShardsStarted { node, first: 0, count: 1 }),
        (
            Millis::new(9),
            Event::ShardFinished {
                attempt,
                outcome: Outcome::Success,
                took: Span::from_ms(8),
                result: crate::run::event::Left::default(),
            },
        ),
        (
            Millis::new(9),
            Event::RunFinished {
                verdict: Verdict {
                    state: RunEnd::Success,
                    failed: Vec::new(),
                    timed_out: false,
                    cancelled_by: None,
                    only_late: false,
                },
            },
        ),
    ]
}

pub(super) fn run_id(text: &str) -> RunId {
    RunId::parse(text).expect("a run id")
}

/// Appends each batch and waits until it is durable, so that each becomes a frame of its own.
pub(super) fn write(run: &RunDir, ownership: &Ownership, end: &End, batches: Vec<Vec<(Millis, Event)>>) {
    let (tell, told) = mpsc::channel();
    let writer = Writer::open(run, ownership, end, move |notice| tell.send(notice).expect("the test listens"))
        .expect("the journal opens");
    for batch in batches {
        let last = writer.append(batch).expect("the writer lives");
        let Notice::Durable { first, records } = told.recv().expect("the writer reports") else {
            panic!("the disk is fine")
        };
        assert_eq!(first + records.len() as u64 - 1, last);
    }
}

#[test]
fn what_was_written_is_read_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let state = StateDir::open(dir.path().join(".engine")).expect("a state directory");
    let id = run_id("r1");
    let (run, ownership) = state.create_run(&id, &files(), &holder()).expect("a run");
    let end = read(&run).expect("an empty journal").end;
    write(&run, &ownership, &end, story(&id).into_iter().map(|record| vec![record]).collect());
    let contents = read(&run).expect("a whole journal");
    let expected: Vec<_> = (1..).zip(story(&id)).map(|(seq, (at, event))| (seq, at, event)).collect();
    assert_eq!(contents.records, expected);
    assert_eq!(contents.tail, Tail::Whole);
    let verified = verify(&run).expect("a verdict");
    assert!(verified.is_whole(), "{:?}", verified.damage);
    assert_eq!(verified.files, 3);
}
