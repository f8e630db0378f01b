//! `history/<digest of the plan's path>`: a plan's durations on disk. Its first line is the blake3 of the rest, a JSON
//! document; what does not fit that is left out and named.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{History, Rows, RunNote, Set, StagePast, Works};
use crate::base::Digest;
use crate::journal::{Error, RunDir, StateDir};

/// Of the file's shape; another one is read as damaged.
const VERSION: u32 = 1;

/// The blake3 in hexadecimal digits, and the end of the line.
const SEAL_LEN: usize = 65;

/// The document as it is read.
#[derive(Deserialize)]
struct Document {
    version: u32,
    /// The plan's path: two plans never share a history.
    path: String,
    runs: Vec<RunNote>,
    stages: BTreeMap<String, Stage>,
}

/// The document as it is written, out of the history that it is about.
#[derive(Serialize)]
struct Packed<'a> {
    version: u32,
    path: &'a str,
    runs: &'a [RunNote],
    stages: Stages<'a>,
}

/// All stages: each is packed when it is its turn.
struct Stages<'a>(&'a History);

/// A stage's durations: a row for each run.
#[derive(Serialize, Deserialize)]
struct Stage {
    #[serde(deserialize_with = "exactly")]
    sets: Vec<Row>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    longest: Vec<(u64, u32)>,
    /// Of the newest run, as engines wrote it that kept no other.
    #[serde(default, skip_serializing)]
    rows: Option<Rows>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    items: Vec<Rows>,
}

/// Place of the run in `runs`, definition, size of a shard, milliseconds of good and of bad attempts.
type Row = (u32, u64, u32, Vec<u32>, Vec<u32>);

/// A list with no more room than it needs: there may be very many stages.
fn exactly<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Row>, D::Error> {
    let mut rows = Vec::<Row>::deserialize(from)?;
    rows.shrink_to_fit();
    Ok(rows)
}

fn place(state: &StateDir, path: &str) -> PathBuf {
    state.path().join("history").join(&Digest::of(path.as_bytes()).to_string()[..32])
}

/// What is stored about the plan at `path`.
pub(super) fn load(state: &StateDir, path: &str) -> History {
    let file = place(state, path);
    let damaged = |why: &str| History {
        damage: vec![format!("what earlier runs took (`{}`) {why}, and is not gone by", file.display())],
        ..History::default()
    };
    let bytes = match fs::read(&file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return History::default(),
        Err(error) => return damaged(&format!("cannot be read ({error})")),
    };
    match open(&bytes).filter(|document| document.path == path) {
        Some(document) => document.unpack(),
        None => damaged("is damaged"),
    }
}

fn open(bytes: &[u8]) -> Option<Document> {
    let (seal, text) = bytes.split_at_checked(SEAL_LEN)?;
    let seal = std::str::from_utf8(seal.strip_suffix(b"\n")?).ok()?;
    let document: Document = serde_json::from_slice(text).ok().filter(|_| Digest::of(text).to_string() == seal)?;
    (document.version == VERSION).then_some(document)
}

/// Notes what `run`, of the plan at `path`, took: until its next change that is what later runs go by. `works` tells
/// what its stages work on. What was damaged is made anew from the runs that are there.
///
/// # Errors
/// The runs cannot be listed, or the disk refuses.
pub fn note(state: &StateDir, run: &RunDir, path: &str, works: &dyn Works) -> Result<(), Error> {
    let mut history = load(state, path);
    if !history.damage.is_empty() {
        history = History::read(state, path)?;
    }
    history.drop_run(run.id().as_str());
    history.add_run(run, works);
    history.order();
    store(state, path, &history)
}

/// Notes what `run` took, if that is not known yet: it is about to be deleted.
///
/// # Errors
/// The disk refuses.
pub fn forget(state: &StateDir, run: &RunDir) -> Result<(), Error> {
    let Some(began) = crate::journal::began(run) else { return Ok(()) };
    let known = load(state, &began.path);
    if known.runs.iter().any(|it| it.run == run.id().as_str()) {
        return Ok(());
    }
    note(state, run, &began.path, &|_: &str, _| None)
}

fn store(state: &StateDir, path: &str, history: &History) -> Result<(), Error> {
    let mut sealed = vec![b'\n'; SEAL_LEN];
    serde_json::to_writer(&mut sealed, &Packed::of(path, history)).expect("numbers and texts have a JSON form");
    let (seal, text) = sealed.split_at_mut(SEAL_LEN);
    seal[..SEAL_LEN - 1].copy_from_slice(Digest::of(text).to_string().as_bytes());
    let file = place(state, path);
    state.prepare()?;
    state.disk().make_dirs(file.parent().expect("it lies in `history`"))?;
    state.disk().replace_soft(&file, &sealed)
}

impl<'a> Packed<'a> {
    const fn of(path: &'a str, history: &'a History) -> Self {
        Self { version: VERSION, path, runs: history.runs.as_slice(), stages: Stages(history) }
    }
}

impl Serialize for Stages<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self(history) = self;
        let at = |run: &str| u32::try_from(history.age(run)).unwrap_or(u32::MAX);
        let row = |set: &Set| (at(&set.run), set.definition, set.size, set.good.clone(), set.bad.clone());
        let stage = |past: &StagePast| Stage {
            sets: past.sets.iter().map(row).collect(),
            longest: past.longest.iter().map(|(&content, &ms)| (content, ms)).collect(),
            rows: None,
            items: past.rows.clone(),
        };
        to.collect_map(history.stages.iter().map(|(id, past)| (id, stage(past))))
    }
}

impl Document {
    fn unpack(self) -> History {
        let runs = self.runs;
        let names: Vec<Arc<str>> = runs.iter().map(|run| run.run.as_str().into()).collect();
        let set = |(at, definition, size, good, bad): Row| {
            let run = Arc::clone(names.get(at as usize)?);
            Some(Set { run, definition, size, good, bad })
        };
        let all = |rows: Vec<Row>| {
            let mut sets = Vec::with_capacity(rows.len());
            sets.extend(rows.into_iter().filter_map(set));
            sets
        };
        let past = |stage: Stage| StagePast {
            sets: all(stage.sets),
            longest: stage.longest.into_iter().collect(),
            rows: stage.items.into_iter().chain(stage.rows).collect(),
        };
        let stages = self.stages.into_iter().map(|(id, stage)| (id, past(stage))).collect();
        History { runs, stages, damage: Vec::new() }
    }
}

impl History {
    pub(super) fn drop_run(&mut self, run: &str) {
        // An older engine wrote only when a run began whose items these are.
        let began = self.runs.iter().find(|known| known.run == run).map(|known| known.wall_ms);
        self.runs.retain(|known| known.run != run);
        for past in self.stages.values_mut() {
            past.sets.retain(|set| *set.run != *run);
            past.rows.retain(|rows| rows.run != run && (!rows.run.is_empty() || Some(rows.wall_ms) != began));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::model::Items;

    /// As engines wrote it that kept what items took of the newest run only.
    const OLD: &str = r#"{"version": 1, "path": "plan.yaml", "runs": [{"run": "r1", "wall_ms": 40, "took": 9, "waited": 0, "is_whole": true}],
        "stages": {"pack": {"sets": [[0, 7, 1, [9], []]], "rows": {"wall_ms": 40, "items": 10, "taken": [[0, 10, 9]]}}}}"#;

    #[test]
    fn what_items_took_in_an_old_file_counts_until_that_run_is_noted_again() {
        let mut history = serde_json::from_str::<Document>(OLD).expect("a document").unpack();
        let runs = |history: &History, definition| {
            history.item_times(("pack", definition), &Items::Range { count: 10, size: 1 }).runs().len()
        };
        assert_eq!((runs(&history, 7), runs(&history, 8)), (1, 1), "nobody noted of which definition it is");
        let text = serde_json::to_string(&Packed::of("plan.yaml", &history)).expect("JSON");
        let again = serde_json::from_str::<Document>(&text).expect("a document").unpack();
        assert_eq!(again, history);
        history.drop_run("r2");
        assert_eq!(runs(&history, 7), 1);
        history.drop_run("r1");
        assert_eq!(runs(&history, 7), 0, "it is not counted twice");
    }
}
