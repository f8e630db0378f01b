//! Where people reach a live engine: the run's inbox, and the terminal it was started from.

use crate::base::{NodeIx, limits};
use crate::graph::Graph;
use crate::journal::RunDir;
use crate::journal::inbox::{self, Letter, Request};
use crate::report::console::AT_TERMINAL;
use crate::run::event::{CancelLevel, CancelReason, Vote};
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
        let open = state.open_approvals().filter(|&(node, _)| self.may_say_yes(node, state));
        open.map(|(node, _)| self.decide(node, true, "--yes")).collect()
    }

    /// Whether `--yes` is an answer. It bypasses no policy, and it has looked at no checklist.
    fn may_say_yes(&self, node: NodeIx, state: &RunState) -> bool {
        let rules = &state.graph().nodes[node].rules;
        let is_plain = rules.is_approval && rules.consent().items.is_empty() && !state.is_demanded(node);
        self.says_yes && is_plain && state.may_agree(node, &self.person).is_ok()
    }

    /// An approval is open: answer it, or ask.
    pub fn opened(&mut self, node: NodeIx, state: &RunState) -> Option<Input> {
        if self.may_say_yes(node, state) {
            return Some(self.decide(node, true, "--yes"));
        }
        self.ask(node, state);
        None
    }

    fn decide(&self, node: NodeIx, approved: bool, note: &str) -> Input {
        Input::Decide { node, approved, by: self.person.clone(), note: note.to_owned() }
    }

    fn ask(&mut self, node: NodeIx, state: &RunState) {
        let it = &state.graph().nodes[node];
        // Who may not say yes, has a list to go through, or must sign, is not asked for one word.
        let is_plain = it.rules.consent().items.is_empty() && state.signers(node).is_empty();
        let is_asked = is_plain && state.may_agree(node, &self.person).is_ok();
        if self.asked.is_some() || !is_asked {
            return;
        }
        let Some(Prompter(ask)) = &self.prompter else { return };
        ask(&format!("{}: [y/n] ", it.id));
        self.asked = Some(node);
    }

    /// A line was typed: the answer to the question asked last. Anything but yes or no asks again.
    pub fn typed(&mut self, line: Option<&str>, state: &RunState) -> Option<Input> {
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
            self.ask(next, state);
        }
        answer
    }

    /// Requests of other processes that came since the last call.
    pub fn open_mail(&mut self, dir: &RunDir, state: &RunState) -> Vec<Input> {
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
            let due = match self.is_current(&letter).and_then(|()| read(&letter.request, state)) {
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
        use Request::{Approve, Attest, Reject, Requeue, Resolve};
        let is_order = !matches!(
            letter.request,
            Approve { .. } | Reject { .. } | Attest { .. } | Resolve { .. } | Requeue { .. }
        );
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
/// It names a stage that the plan does not have, or is about another plan, or its sender may not ask for it.
pub fn read(request: &Request, state: &RunState) -> Result<Input, String> {
    let graph = state.graph();
    let find =
        |stage: &str| graph.find(stage).ok_or_else(|| format!("a request names `{stage}`, which is no stage"));
    Ok(match request {
        Request::Approve { stage, by, note, subject } => {
            let node = find(stage)?;
            is_of(stage, subject.as_deref(), graph)?;
            let vote = Vote { by: by.clone(), ..Vote::default() };
            is_open_to(node, &vote, state)?;
            Input::Decide { node, approved: true, by: by.clone(), note: note.clone() }
        }
        Request::Reject { stage, by, note, .. } => {
            Input::Decide { node: find(stage)?, approved: false, by: by.clone(), note: note.clone() }
        }
        Request::Attest { stage, vote, subject } => {
            let node = find(stage)?;
            is_of(stage, subject.as_deref(), graph)?;
            is_open_to(node, vote, state)?;
            Input::Attest { node, vote: vote.clone() }
        }
        Request::Resolve { stage, resolution, by, note } => {
            Input::Resolve { node: find(stage)?, resolution: *resolution, by: by.clone(), note: note.clone() }
        }
        Request::Cancel { level, by } => {
            Input::Cancel { level: *level, why: CancelReason::Person, by: by.clone() }
        }
        Request::Requeue { stages, by } => {
            let nodes = stages.iter().map(|stage| find(stage)).collect::<Result<_, _>>()?;
            Input::Requeue { nodes, by: by.clone() }
        }
        Request::Rollback { by } => to_undo(by.clone()),
        Request::Pause { by } => Input::Pause { on: true, by: by.clone() },
        Request::Unpause { by } => Input::Pause { on: false, by: by.clone() },
    })
}

/// Whether what was decided about is what the run goes by: the same plan, the same inputs.
///
/// # Errors
/// It is not; both digests are named.
pub fn is_of(stage: &str, subject: Option<&str>, graph: &Graph) -> Result<(), String> {
    let Some(then) = subject else { return Ok(()) };
    let now = graph.subject().to_string();
    match then {
        then if then.is_empty() || !now.starts_with(then) => {
            let short = |digest: &str| digest.chars().take(limits::SUBJECT_CHARS).collect::<String>();
            let (then, now) = (short(then), short(&now));
            Err(format!(
                "the approval of `{stage}` is for plan {then}, and this run goes by plan {now}: \
                 the plan or its inputs were changed since"
            ))
        }
        _ => Ok(()),
    }
}

/// A question that is open is not open to everybody. One that is not is answered by nothing, whoever asks.
fn is_open_to(node: NodeIx, vote: &Vote, state: &RunState) -> Result<(), String> {
    let is_open = state.open_approvals().any(|(open, _)| open == node);
    if is_open { state.may_agree(node, &vote.by).and_then(|()| state.is_proven(node, vote)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::journal::{Holder, StateDir};

    struct Office {
        _dir: tempfile::TempDir,
        run: RunDir,
        state: RunState,
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
        Office { _dir: dir, run, state: RunState::new(vec![Arc::new(Graph::assemble(parts).expect("no cycle"))]) }
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
        let id = put(&office, 6_000, &Request::Approve { stage: "nowhere".to_owned(), by, note, subject: None });
        assert_eq!(desk.open_mail(&office.run, &office.state), Vec::new());
        assert!(!inbox::is_waiting(&office.run, &id), "its sender would wait for nothing");
        assert!(desk.take_notes()[0].contains("`nowhere`"));
    }

    #[test]
    fn a_letter_stays_until_its_record_is_durable_and_is_read_once() {
        let (office, mut desk) = (office(), desk());
        let id = put(&office, 6_000, &Request::Pause { by: "bob".to_owned() });
        assert_eq!(desk.open_mail(&office.run, &office.state), [Input::Pause { on: true, by: "bob".to_owned() }]);
        assert_eq!(desk.open_mail(&office.run, &office.state), Vec::new());
        desk.stamp_mail(&office.run, 7);
        desk.file_mail(&office.run, 6);
        assert!(inbox::is_waiting(&office.run, &id), "a crash now must find it again");
        desk.file_mail(&office.run, 7);
        assert!(!inbox::is_waiting(&office.run, &id));
        // The next one changes nothing, so no record will follow: what is durable is enough.
        let id = put(&office, 6_001, &Request::Pause { by: "bob".to_owned() });
        assert_eq!(desk.open_mail(&office.run, &office.state), [Input::Pause { on: true, by: "bob".to_owned() }]);
        desk.stamp_mail(&office.run, 7);
        assert!(!inbox::is_waiting(&office.run, &id));
    }

    #[test]
    fn an_order_to_another_engine_is_not_obeyed_but_a_decision_counts() {
        let (office, mut desk) = (office(), desk());
        let by = "bob".to_owned();
        let cancel = Request::Cancel { level: crate::run::event::CancelLevel::Stop, by: by.clone() };
        let id = put(&office, 4_999, &cancel);
        let approve =
            Request::Approve { stage: "a".to_owned(), by: by.clone(), note: String::new(), subject: None };
        put(&office, 4_999, &approve);
        let node = office.state.graph().find("a").expect("a stage");
        let decided = Input::Decide { node, approved: true, by, note: String::new() };
        assert_eq!(desk.open_mail(&office.run, &office.state), [decided]);
        assert!(!inbox::is_waiting(&office.run, &id));
        put(&office, 5_000, &cancel);
        assert!(matches!(desk.open_mail(&office.run, &office.state)[..], [Input::Cancel { .. }]));
    }
}
