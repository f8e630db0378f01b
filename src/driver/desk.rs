//! Where people reach a live engine: the run's inbox, and the terminal it was started from.

use crate::base::{NodeIx, limits};
use crate::graph::Graph;
use crate::journal::RunDir;
use crate::journal::inbox::{self, Letter, Request};
use crate::report::console::AT_TERMINAL;
use crate::run::event::{CancelLevel, CancelReason};
use crate::run::{Input, RunState};

/// Takes requests in.
#[derive(Debug)]
pub struct Desk {
    person: String,
    /// `--yes`: approvals are given at once.
    says_yes: bool,
    /// Asks at the terminal; the answer comes as a typed line.
    prompter: Option<Prompter>,
    asked: Option<NodeIx>,
    /// Letters that were read, each with the record that must be durable before it is thrown away.
    open: Vec<(Letter, Option<u64>)>,
    /// Up to here the journal is known to be durable.
    durable: u64,
    /// Since when this engine owns the run, in milliseconds since 1970.
    since_ms: Option<i64>,
    /// What could not be carried out, for the user.
    notes: Vec<String>,
}

/// Puts a question on the terminal and sends the typed line as news.
pub struct Prompter(Box<dyn Fn(&str) + Send>);

impl Prompter {
    /// Asks by `ask`.
    pub fn new(ask: impl Fn(&str) + Send + 'static) -> Self {
        Self(Box::new(ask))
    }
}

impl std::fmt::Debug for Prompter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Prompter")
    }
}

impl Desk {
    /// For `person`, who said `--yes` or can be asked by `prompter`.
    pub fn new(person: String, says_yes: bool, prompter: Option<Prompter>) -> Self {
        Self {
            person,
            says_yes,
            prompter,
            asked: None,
            open: Vec::new(),
            durable: 0,
            since_ms: None,
            notes: Vec::new(),
        }
    }

    /// For an engine that owns the run since then (milliseconds since 1970). Orders to stop or hold that came
    /// earlier were meant for another engine.
    #[must_use]
    pub fn since(self, since_ms: Option<i64>) -> Self {
        Self { since_ms, ..self }
    }

    /// Who started this engine.
    pub fn person(&self) -> &str {
        &self.person
    }

    /// What could not be carried out since the last call.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// What `--yes` answers to every approval that is open, also to those that an earlier engine opened.
    pub fn answers(&self, state: &RunState) -> Vec<Input> {
        // A gate that is held is no approval: `--yes` waives no verdict.
        let is_approval = |node: NodeIx| state.graph().nodes[node].rules.is_approval;
        let open = state.open_approvals().filter(|&(node, _)| self.says_yes && is_approval(node));
        open.map(|(node, _)| self.decide(node, true, "--yes")).collect()
    }

    /// An approval is open: answer it, or ask.
    pub fn opened(&mut self, node: NodeIx, graph: &Graph) -> Option<Input> {
        if self.says_yes && graph.nodes[node].rules.is_approval {
            return Some(self.decide(node, true, "--yes"));
        }
        self.ask(node, graph);
        None
    }

    fn decide(&self, node: NodeIx, approved: bool, note: &str) -> Input {
        Input::Decide { node, approved, by: self.person.clone(), note: note.to_owned() }
    }

    fn ask(&mut self, node: NodeIx, graph: &Graph) {
        if self.asked.is_some() {
            return;
        }
        let Some(Prompter(ask)) = &self.prompter else { return };
        ask(&format!("{}: [y/n] ", graph.nodes[node].id));
        self.asked = Some(node);
    }

    /// A line was typed: the answer to the question asked last. Anything but yes or no asks again.
    pub fn typed(&mut self, line: Option<&str>, graph: &Graph, state: &RunState) -> Option<Input> {
        let node = self.asked.take()?;
        let is_open = state.open_approvals().any(|(open, _)| open == node);
        let answer = match line.map(str::trim) {
            Some("y" | "Y" | "yes") if is_open => Some(self.decide(node, true, AT_TERMINAL)),
            Some("n" | "N" | "no") if is_open => Some(self.decide(node, false, AT_TERMINAL)),
            None => {
                // The terminal is gone; other ways to answer remain.
                self.prompter = None;
                None
            }
            _ => None,
        };
        let next = state.open_approvals().map(|(open, _)| open).find(|&open| open != node || answer.is_none());
        if let Some(next) = next {
            self.ask(next, graph);
        }
        answer
    }

    /// Requests of other processes that came since the last call.
    pub fn open_mail(&mut self, dir: &RunDir, graph: &Graph) -> Vec<Input> {
        let mail = match inbox::take(dir) {
            Ok(mail) => mail,
            Err(error) => {
                note(&mut self.notes, format!("the inbox cannot be read: {error}"));
                return Vec::new();
            }
        };
        for (path, why) in mail.malformed {
            note(&mut self.notes, format!("a request was set aside as `{}`: {why}", path.display()));
        }
        let mut inputs = Vec::new();
        for letter in mail.letters {
            if self.open.iter().any(|(known, _)| known.id == letter.id) {
                continue;
            }
            let due = match self.is_current(&letter).and_then(|()| read(&letter.request, graph)) {
                Ok(input) => {
                    inputs.push(input);
                    None
                }
                Err(why) => {
                    note(&mut self.notes, why);
                    Some(0)
                }
            };
            self.open.push((letter, due));
        }
        self.file(dir);
        inputs
    }

    /// Whoever resumes a run wants it to go on, whatever its last engine was asked and did not do any more.
    fn is_current(&self, letter: &Letter) -> Result<(), String> {
        let is_order =
            !matches!(letter.request, Request::Approve { .. } | Request::Reject { .. } | Request::Resolve { .. });
        match self.since_ms.filter(|&since| is_order && letter.is_before(since)) {
            Some(_) => {
                Err("a request to cancel or hold the run was meant for its last engine; ask again".to_owned())
            }
            None => Ok(()),
        }
    }

    /// What the letters read so far asked for is decided, and durable once the record `last` is.
    pub fn stamp_mail(&mut self, dir: &RunDir, last: u64) {
        for (_, due) in self.open.iter_mut().filter(|(_, due)| due.is_none()) {
            *due = Some(last);
        }
        // What changed nothing waits for no record.
        self.file(dir);
    }

    /// Throws letters away whose answer is durable.
    pub fn file_mail(&mut self, dir: &RunDir, durable: u64) {
        self.durable = durable;
        self.file(dir);
    }

    fn file(&mut self, dir: &RunDir) {
        let (notes, durable) = (&mut self.notes, self.durable);
        self.open.retain_mut(|(letter, due)| {
            let is_open = due.is_none_or(|due| due > durable);
            if is_open {
                return true;
            }
            let Err(error) = inbox::done(dir, letter) else { return false };
            // It stays known, or the next look would take it for a new one.
            *due = Some(u64::MAX);
            note(notes, format!("a request that was carried out cannot be removed: {error}"));
            true
        });
    }
}

/// Keeps a sentence for the end, once.
fn note(notes: &mut Vec<String>, text: String) {
    if notes.len() < limits::MAX_NOTES && !notes.contains(&text) {
        notes.push(text);
    }
}

/// A person's order to undo what a run has done.
pub fn to_undo(by: String) -> Input {
    Input::Cancel { level: CancelLevel::Stop, why: CancelReason::Rollback, by }
}

/// A request as the core hears it.
///
/// # Errors
/// It names a stage that the plan does not have.
pub fn read(request: &Request, graph: &Graph) -> Result<Input, String> {
    let find =
        |stage: &str| graph.find(stage).ok_or_else(|| format!("a request names `{stage}`, which is no stage"));
    Ok(match request {
        Request::Approve { stage, by, note } => {
            Input::Decide { node: find(stage)?, approved: true, by: by.clone(), note: note.clone() }
        }
        Request::Reject { stage, by, note } => {
            Input::Decide { node: find(stage)?, approved: false, by: by.clone(), note: note.clone() }
        }
        Request::Resolve { stage, resolution, by, note } => {
            Input::Resolve { node: find(stage)?, resolution: *resolution, by: by.clone(), note: note.clone() }
        }
        Request::Cancel { level, by } => {
            Input::Cancel { level: *level, why: CancelReason::Person, by: by.clone() }
        }
        Request::Rollback { by } => to_undo(by.clone()),
        Request::Pause { by } => Input::Pause { on: true, by: by.clone() },
        Request::Unpause { by } => Input::Pause { on: false, by: by.clone() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Holder, StateDir};

    struct Office {
        _dir: tempfile::TempDir,
        run: RunDir,
        graph: Graph,
    }

    fn office() -> Office {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let state = StateDir::open(dir.path().join("state")).expect("a state folder");
        let id = crate::base::RunId::parse("r1").expect("an id");
        let (run, _) = state.create_run(&id, &[], &Holder { pid: 1, wall_ms: 5_000 }).expect("a run");
        let parts = crate::graph::Parts {
            nodes: vec![crate::graph::model::Node::plain("a")],
            ..crate::graph::Parts::default()
        };
        Office { _dir: dir, run, graph: Graph::assemble(parts).expect("no cycle") }
    }

    fn desk() -> Desk {
        Desk::new("ann".to_owned(), false, None).since(Some(5_000))
    }

    fn put(office: &Office, wall_ms: i64, request: &Request) -> String {
        inbox::put(&office.run, wall_ms, request).expect("put")
    }

    #[test]
    fn a_letter_that_cannot_be_carried_out_is_answered_at_once() {
        let (office, mut desk) = (office(), desk());
        let (by, note) = ("bob".to_owned(), String::new());
        let id = put(&office, 6_000, &Request::Approve { stage: "nowhere".to_owned(), by, note });
        assert_eq!(desk.open_mail(&office.run, &office.graph), Vec::new());
        assert!(!inbox::is_waiting(&office.run, &id), "its sender would wait for nothing");
        assert!(desk.take_notes()[0].contains("`nowhere`"));
    }

    #[test]
    fn a_letter_stays_until_its_record_is_durable_and_is_read_once() {
        let (office, mut desk) = (office(), desk());
        let id = put(&office, 6_000, &Request::Pause { by: "bob".to_owned() });
        assert_eq!(desk.open_mail(&office.run, &office.graph), [Input::Pause { on: true, by: "bob".to_owned() }]);
        assert_eq!(desk.open_mail(&office.run, &office.graph), Vec::new());
        desk.stamp_mail(&office.run, 7);
        desk.file_mail(&office.run, 6);
        assert!(inbox::is_waiting(&office.run, &id), "a crash now must find it again");
        desk.file_mail(&office.run, 7);
        assert!(!inbox::is_waiting(&office.run, &id));
        // The next one changes nothing, so no record will follow: what is durable is enough.
        let id = put(&office, 6_001, &Request::Pause { by: "bob".to_owned() });
        assert_eq!(desk.open_mail(&office.run, &office.graph), [Input::Pause { on: true, by: "bob".to_owned() }]);
        desk.stamp_mail(&office.run, 7);
        assert!(!inbox::is_waiting(&office.run, &id));
    }

    #[test]
    fn an_order_to_another_engine_is_not_obeyed_but_a_decision_counts() {
        let (office, mut desk) = (office(), desk());
        let by = "bob".to_owned();
        let cancel = Request::Cancel { level: crate::run::event::CancelLevel::Stop, by: by.clone() };
        let id = put(&office, 4_999, &cancel);
        let approve = Request::Approve { stage: "a".to_owned(), by: by.clone(), note: String::new() };
        put(&office, 4_999, &approve);
        let node = office.graph.find("a").expect("a stage");
        let decided = Input::Decide { node, approved: true, by, note: String::new() };
        assert_eq!(desk.open_mail(&office.run, &office.graph), [decided]);
        assert!(!inbox::is_waiting(&office.run, &id));
        put(&office, 5_000, &cancel);
        assert!(matches!(desk.open_mail(&office.run, &office.graph)[..], [Input::Cancel { .. }]));
    }
}
