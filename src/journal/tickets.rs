//! Tickets: `.engine/tickets/<id>.json`, one file for each thing that somebody must look at.
//!
//! A ticket is made from facts in journals and can be made again from them, so nothing is lost when a process dies
//! between the fact and the file: who comes next files what is missing ([`Tickets::filed`] says how far a run was
//! filed). The file names every run that the thing was seen in with the sequence number of the fact, so that filing a
//! fact again changes nothing. Changes are made under one OS lock (`tickets/.guard`) and by writing aside and renaming:
//! a reader sees the old file or the whole new one.
//!
//! People may write into the files. Keys that are not ours stay. A file that is no ticket any more is put aside under
//! another name and never overwritten.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::{Error, RunDir, StateDir};
use crate::base::{RunId, limits};

/// Version of the shape of the files.
pub const VERSION: u32 = 1;

/// A fact that a ticket is about.
#[derive(Clone, PartialEq, Debug)]
pub struct Finding {
    /// The ticket's id; the same for the same thing.
    pub id: String,
    /// The run that it was seen in.
    pub run: RunId,
    /// Sequence number of the fact.
    pub seq: u64,
    /// When, as text in UTC.
    pub at: String,
    /// Everything that the newest sight of it says: kind, severity, stage, errors, log …
    pub facts: Map<String, Value>,
}

/// A ticket's file as it was found.
#[derive(Clone, PartialEq, Debug)]
pub struct Listed {
    /// Its id: the file's name.
    pub id: String,
    /// The ticket, or why it cannot be read.
    pub ticket: Result<Map<String, Value>, String>,
}

/// What a person makes of a ticket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    /// Somebody looks at it.
    Acknowledged,
    /// It is done with; when the thing is seen again the ticket is open again.
    Closed,
}

impl Mark {
    /// The word in the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Closed => "closed",
        }
    }
}

/// The tickets of a state directory.
#[derive(Clone, Debug)]
pub struct Tickets {
    state: StateDir,
    path: PathBuf,
}

impl Tickets {
    /// The tickets of `state`.
    pub fn new(state: &StateDir) -> Self {
        Self { path: state.path().join("tickets"), state: state.clone() }
    }

    /// Files what was found; filing the same fact again changes nothing. Whether it was news.
    ///
    /// # Errors
    /// The disk refuses. Then the ticket is as it was.
    pub fn file(&self, found: &Finding) -> Result<bool, Error> {
        let _guard = self.state.guard(&self.path)?;
        let path = self.place(&found.id);
        let old = match load(&path)? {
            None => Map::new(),
            Some(Ok(old)) => old,
            Some(Err(_)) => {
                self.put_aside(&path)?;
                Map::new()
            }
        };
        let Some(new) = merge(old, found) else { return Ok(false) };
        self.write(&path, &new)?;
        Ok(true)
    }

    /// Every ticket, by id.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, Error> {
        let mut all = Vec::new();
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(all),
            entries => entries.map_err(Error::io("read", &self.path))?,
        };
        for entry in entries {
            let name = entry.map_err(Error::io("read", &self.path))?.file_name();
            let Some(id) = name.to_str().and_then(|name| name.strip_suffix(".json")) else { continue };
            if id.starts_with('.') {
                continue;
            }
            if let Some(ticket) = load(&self.place(id))? {
                all.push(Listed { id: id.to_owned(), ticket });
            }
        }
        all.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(all)
    }

    /// Writes down what `by` makes of a ticket at `at`; whether there is such a ticket that can be read.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn mark(&self, id: &str, mark: Mark, (by, note): (&str, &str), at: &str) -> Result<bool, Error> {
        let _guard = self.state.guard(&self.path)?;
        let path = self.place(id);
        let Some(Ok(mut ticket)) = load(&path)? else { return Ok(false) };
        ticket.insert("state".to_owned(), json!(mark.word()));
        ticket.insert(format!("{}_by", mark.word()), json!(by));
        ticket.insert(format!("{}_at", mark.word()), json!(at));
        if !note.is_empty() {
            ticket.insert("note".to_owned(), json!(note));
        }
        self.write(&path, &ticket)?;
        Ok(true)
    }

    /// Up to which record the tickets of a run are filed.
    pub fn filed(dir: &RunDir) -> u64 {
        let text = fs::read_to_string(dir.path().join("filed"));
        text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    /// Notes that all tickets up to record `seq` are filed. Only saves work: without it they are looked at again.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn note_filed(dir: &RunDir, seq: u64) -> Result<(), Error> {
        dir.disk().replace_soft(&dir.path().join("filed"), format!("{seq}\n").as_bytes())
    }

    fn write(&self, path: &Path, ticket: &Map<String, Value>) -> Result<(), Error> {
        let mut text = serde_json::to_vec_pretty(ticket).expect("a JSON value has a text");
        text.push(b'\n');
        self.state.disk().replace(path, &text)?;
        self.state.disk().sync_dir(&self.path)
    }

    /// Gives a file that is no ticket a name that nobody reads as one.
    fn put_aside(&self, path: &Path) -> Result<(), Error> {
        let free = (1u32..).map(|number| path.with_extension(format!("damaged-{number}")));
        let to = free.into_iter().find(|to| !to.exists()).expect("some number is free");
        self.state.disk().rename(path, &to)
    }

    fn place(&self, id: &str) -> PathBuf {
        self.path.join(format!("{id}.json"))
    }
}

/// A ticket, or why a file is none.
type Found = Result<Map<String, Value>, String>;

/// The ticket at `path`, if there is one; the words say why it is none.
fn load(path: &Path) -> Result<Option<Found>, Error> {
    let len = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found.map_err(Error::io("read", path))?.len(),
    };
    if len > limits::MAX_TICKET_BYTES {
        return Ok(Some(Err(format!("it has {len} bytes, a ticket has at most {}", limits::MAX_TICKET_BYTES))));
    }
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    Ok(Some(match serde_json::from_slice(&bytes) {
        Ok(Value::Object(ticket)) if ticket.get("version").and_then(Value::as_u64) == Some(u64::from(VERSION)) => {
            Ok(ticket)
        }
        Ok(_) => Err(format!("it is no ticket of version {VERSION}")),
        Err(error) => Err(error.to_string()),
    }))
}

/// The ticket with what was found; none when that is in it already.
fn merge(mut ticket: Map<String, Value>, found: &Finding) -> Option<Map<String, Value>> {
    let mut seen = match ticket.remove("seen") {
        Some(Value::Array(seen)) => seen,
        _ => Vec::new(),
    };
    let is_of_run = |one: &Value| one["run"] == found.run.as_str();
    let last = seen.iter().find(|one| is_of_run(one)).map(|one| one["seq"].as_u64().unwrap_or(0));
    if last.is_some_and(|last| last >= found.seq) {
        return None;
    }
    seen.retain(|one| !is_of_run(one));
    seen.push(json!({"run": found.run.as_str(), "seq": found.seq, "at": found.at}));
    let spare = seen.len().saturating_sub(limits::MAX_TICKET_RUNS);
    seen.drain(..spare);
    let count = ticket.get("count").and_then(Value::as_u64).unwrap_or(0);
    let was = ticket.get("state").and_then(Value::as_str).unwrap_or("open").to_owned();
    let first = ticket.get("first_seen").filter(|first| first.is_string()).cloned();
    ticket.insert("version".to_owned(), json!(VERSION));
    ticket.insert("ticket".to_owned(), json!(found.id));
    ticket.insert("state".to_owned(), json!(if was == Mark::Closed.word() { "open" } else { was.as_str() }));
    ticket.insert("count".to_owned(), json!(count + 1));
    ticket.insert("first_seen".to_owned(), first.unwrap_or_else(|| json!(found.at)));
    ticket.insert("last_seen".to_owned(), json!(found.at));
    ticket.insert("run".to_owned(), json!(found.run.as_str()));
    // Whose log it is: a sight that has no shard to name must not leave that of an earlier one.
    ticket.remove("shard");
    ticket.extend(found.facts.clone());
    ticket.insert("seen".to_owned(), Value::Array(seen));
    Some(ticket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(run: &str, seq: u64) -> Finding {
        let facts = json!({"kind": "contained", "severity": "major", "log": [format!("from {run}")]});
        let Value::Object(facts) = facts else { unreachable!("it is an object") };
        let run = RunId::parse(run).expect("an id");
        Finding { id: "abc".to_owned(), run, seq, at: format!("2026-11-21T00:00:{seq:02}Z"), facts }
    }

    fn store() -> (tempfile::TempDir, Tickets) {
        let folder = tempfile::tempdir().expect("a folder");
        let state = StateDir::open(folder.path().join("state")).expect("a state folder");
        (folder, Tickets::new(&state))
    }

    fn only(tickets: &Tickets) -> Map<String, Value> {
        let mut all = tickets.list().expect("a list");
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0).ticket.expect("a ticket")
    }

    #[test]
    fn filing_a_fact_again_changes_nothing_and_another_one_counts() {
        let (_folder, tickets) = store();
        assert!(tickets.file(&found("r1", 7)).expect("filed"));
        assert!(!tickets.file(&found("r1", 7)).expect("filed"));
        assert!(tickets.file(&found("r2", 3)).expect("filed"));
        // Late news of a run that has said more already.
        assert!(!tickets.file(&found("r1", 5)).expect("filed"));
        assert!(tickets.file(&found("r1", 9)).expect("filed"));
        let ticket = only(&tickets);
        assert_eq!((&ticket["count"], &ticket["state"]), (&json!(3), &json!("open")));
        assert_eq!(
            (&ticket["first_seen"], &ticket["last_seen"]),
            (&json!("2026-11-21T00:00:07Z"), &json!("2026-11-21T00:00:09Z"))
        );
        assert_eq!(ticket["log"], json!(["from r1"]));
    }

    #[test]
    fn a_closed_ticket_opens_again_and_an_acknowledged_one_stays_so() {
        let (_folder, tickets) = store();
        tickets.file(&found("r1", 1)).expect("filed");
        for (mark, then) in [(Mark::Acknowledged, "acknowledged"), (Mark::Closed, "open")] {
            assert!(tickets.mark("abc", mark, ("ann", "mine"), "now").expect("marked"));
            assert_eq!(only(&tickets)["state"], mark.word());
            let seq = only(&tickets)["seen"][0]["seq"].as_u64().expect("a number") + 1;
            tickets.file(&found("r1", seq)).expect("filed");
            assert_eq!(only(&tickets)["state"], then);
        }
        assert_eq!(only(&tickets)["note"], "mine");
        assert!(!tickets.mark("nothing", Mark::Closed, ("ann", ""), "now").expect("marked"));
    }

    #[test]
    fn what_people_write_stays_and_what_is_no_ticket_is_put_aside() {
        let (folder, tickets) = store();
        tickets.file(&found("r1", 1)).expect("filed");
        let path = folder.path().join("state/tickets/abc.json");
        let mut edited = only(&tickets);
        edited.insert("jira".to_owned(), json!("OPS-7"));
        edited.insert("count".to_owned(), json!("many"));
        fs::write(&path, serde_json::to_vec(&edited).expect("text")).expect("written");
        tickets.file(&found("r1", 2)).expect("filed");
        assert_eq!((&only(&tickets)["jira"], &only(&tickets)["count"]), (&json!("OPS-7"), &json!(1)));
        for (text, number) in [("{", 1), ("[]", 2)] {
            fs::write(&path, text).expect("written");
            assert!(tickets.list().expect("a list")[0].ticket.is_err());
            assert!(tickets.file(&found("r1", 2)).expect("filed"));
            let aside = folder.path().join(format!("state/tickets/abc.damaged-{number}"));
            assert_eq!(fs::read_to_string(aside).expect("put aside"), text);
            assert_eq!(only(&tickets)["count"], 1);
        }
    }

    #[test]
    fn a_ticket_names_no_more_runs_than_fit() {
        let (_folder, tickets) = store();
        for number in 0..limits::MAX_TICKET_RUNS + 5 {
            tickets.file(&found(&format!("r{number}"), 1)).expect("filed");
        }
        let ticket = only(&tickets);
        assert_eq!(ticket["seen"].as_array().map(Vec::len), Some(limits::MAX_TICKET_RUNS));
        assert_eq!(ticket["count"], json!(limits::MAX_TICKET_RUNS + 5));
    }

    #[test]
    fn twice_at_once_is_once() {
        let (_folder, tickets) = store();
        let news: usize = std::thread::scope(|scope| {
            let one = || tickets.file(&found("r1", 1)).expect("filed");
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
            threads.into_iter().map(|thread| usize::from(thread.join().expect("no panic"))).sum()
        });
        assert_eq!((news, &only(&tickets)["count"]), (1, &json!(1)));
    }
}
