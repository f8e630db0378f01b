//! Where people reach a live engine: the run's inbox, and the terminal it was started from.

use crate::base::NodeIx;
use crate::graph::Graph;
use crate::journal::RunDir;
use crate::journal::inbox::{self, Letter, Request};
use crate::run::event::CancelReason;
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
        Self { person, says_yes, prompter, asked: None, open: Vec::new(), notes: Vec::new() }
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
        let open = state.open_approvals().filter(|_| self.says_yes);
        open.map(|(node, _)| self.decide(node, true, "--yes")).collect()
    }

    /// An approval is open: answer it, or ask.
    pub fn opened(&mut self, node: NodeIx, graph: &Graph) -> Option<Input> {
        if self.says_yes {
            return Some(self.decide(node, true, "--yes"));
        }
        self.ask(node, graph);
        None
    }

    /// Asks again what an earlier engine has asked.
    pub fn go_on(&mut self, graph: &Graph, state: &RunState) {
        if let Some((node, _)) = state.open_approvals().next().filter(|_| !self.says_yes) {
            self.ask(node, graph);
        }
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
            Some("y" | "Y" | "yes") if is_open => Some(self.decide(node, true, "answered at the terminal")),
            Some("n" | "N" | "no") if is_open => Some(self.decide(node, false, "answered at the terminal")),
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
                let note = format!("the inbox cannot be read: {error}");
                if self.notes.last() != Some(&note) {
                    self.notes.push(note);
                }
                return Vec::new();
            }
        };
        for (path, why) in mail.malformed {
            self.notes.push(format!("a request was set aside as `{}`: {why}", path.display()));
        }
        let mut inputs = Vec::new();
        for letter in mail.letters {
            if self.open.iter().any(|(known, _)| known.id == letter.id) {
                continue;
            }
            match read(&letter.request, graph) {
                Ok(input) => inputs.push(input),
                Err(why) => self.notes.push(why),
            }
            self.open.push((letter, None));
        }
        inputs
    }

    /// What the letters read so far asked for is decided, and durable once the record `last` is.
    pub fn stamp_mail(&mut self, last: u64) {
        for (_, due) in self.open.iter_mut().filter(|(_, due)| due.is_none()) {
            *due = Some(last);
        }
    }

    /// Throws letters away whose answer is durable.
    pub fn file_mail(&mut self, dir: &RunDir, durable: u64) {
        let notes = &mut self.notes;
        self.open.retain(|(letter, due)| {
            let is_open = due.is_none_or(|due| due > durable);
            if !is_open && let Err(error) = inbox::done(dir, letter) {
                notes.push(format!("a request that was carried out cannot be removed: {error}"));
            }
            is_open
        });
    }
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
        Request::Pause { .. } => Input::Pause(true),
        Request::Unpause { .. } => Input::Pause(false),
    })
}
