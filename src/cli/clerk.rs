//! Files tickets: of a live run as they are raised, of an old one whatever a dead engine left unfiled.

use serde_json::{Map, Value, json};

use super::fault::Fault;
use super::logs::Stored;
use super::{find, print};
use crate::base::{Millis, RunId, limits};
use crate::journal::tickets::{Finding, Tickets};
use crate::journal::{self, RunDir, StateDir};
use crate::report::view::Raised;
use crate::report::{Logs, Observer, Summary, View, clean, hint, words};
use crate::run::Attempt;
use crate::run::event::{CaseKind, Event};

/// Files the tickets of a live run. What a stage printed is in the stored log a beat after its end, so that is when
/// its ticket is written.
pub(super) struct Clerk {
    tickets: Tickets,
    dir: RunDir,
    view: View,
    logs: Stored,
    /// How many of the view's tickets are filed.
    filed: usize,
    /// Something could not be filed; it was said, and is tried again by whoever comes next.
    has_failed: bool,
}

impl Clerk {
    /// `view` is the run so far: what it raised and nobody filed is filed with what comes.
    pub(super) fn new(state: &StateDir, dir: RunDir, view: View, logs: Stored) -> Self {
        let until = Tickets::filed(&dir);
        let filed = view.tickets().iter().take_while(|raised| raised.seq <= until).count();
        Self { tickets: Tickets::new(state), dir, view, logs, filed, has_failed: false }
    }

    /// Beside these.
    pub(super) fn among(self, mut others: Vec<Box<dyn Observer + Send>>) -> Vec<Box<dyn Observer + Send>> {
        others.push(Box::new(self));
        others
    }

    fn catch_up(&mut self) {
        while let Some(raised) = self.view.tickets().get(self.filed) {
            self.filed += 1;
            let Some(found) = finding(&self.view, raised, &self.logs) else { continue };
            let Err(error) = self.tickets.file(&found) else { continue };
            if !std::mem::replace(&mut self.has_failed, true) {
                let help = hint::tickets();
                print::note(&format!(
                    "warning: a ticket could not be written: {error}\n  it is not lost; once that is mended: {help}"
                ));
            }
        }
    }
}

impl Observer for Clerk {
    fn record(&mut self, seq: u64, at: Millis, event: &Event) {
        let before = matches!(event, Event::PlanChanged { .. }).then(|| self.view.graph().clone());
        self.view.record(seq, at, event);
        if let Some(before) = before {
            self.logs.renumber(&before, self.view.graph());
        }
        self.logs.record(event);
    }

    fn output(&mut self, _: Attempt, _: &[u8]) {}

    fn hears_output(&self) -> bool {
        false
    }

    fn is_patient(&self) -> bool {
        true
    }

    fn tick(&mut self, _: Millis) {
        self.catch_up();
    }

    fn end(&mut self, _: &Summary) {
        self.catch_up();
        if !self.has_failed {
            // Without the note they are only looked at again.
            let _ = Tickets::note_filed(&self.dir, self.view.seq());
        }
    }
}

/// Files what the runs of `state` raised and nobody filed. A run whose engine lives files its own.
pub(super) fn catch_up(state: &StateDir) -> Result<(), Fault> {
    let tickets = Tickets::new(state);
    for entry in state.runs()? {
        let dir = entry.dir;
        // A live engine files its own tickets; a damaged record says nothing that could be filed.
        let Ok(reader) = journal::Reader::open(&dir) else { continue };
        let filed = Tickets::filed(&dir);
        if reader.end().head.is_some_and(|head| filed >= head.sequence) || journal::is_live(&dir)? {
            continue;
        }
        let Ok(read) = find::read(dir.clone()) else { continue };
        let logs = Stored::new(&read);
        let view = View::replay(read.graphs.clone(), find::records(&read));
        for raised in view.tickets().iter().filter(|raised| raised.seq > filed) {
            if let Some(found) = finding(&view, raised, &logs) {
                tickets.file(&found)?;
            }
        }
        Tickets::note_filed(&dir, view.seq())?;
    }
    Ok(())
}

/// Everything that a ticket says of what was raised.
fn finding(view: &View, raised: &Raised, logs: &dyn Logs) -> Option<Finding> {
    let run = RunId::parse(view.run_id())?;
    let node = raised.stage.as_deref().and_then(|id| view.graph().find(id));
    let mut errors = Vec::new();
    if !raised.case.words.is_empty() {
        errors.push(raised.case.words.clone());
    }
    let mut log = Vec::new();
    if let Some(ix) = node {
        let stage = view.get(ix);
        errors.push(format!("{}: {}", stage.state.word(), stage.reason).trim_end_matches([':', ' ']).to_owned());
        errors.extend(stage.outcome.as_ref().filter(|_| stage.reason.is_empty()).map(words::outcome));
        errors.extend(stage.notes.iter().cloned());
        log = logs.tail(view, ix, limits::MAX_TICKET_LINES);
    }
    let cut = |text: &String| clean::plain(text).chars().take(limits::MAX_TICKET_LINE).collect::<String>();
    let environment = view.graph().settings.environment.as_ref().map(|it| it.name.clone());
    let facts = json!({
        "kind": raised.case.kind.word(),
        "severity": raised.case.severity.word(),
        "plan": view.plan(),
        "path": view.began().map(|began| began.path.clone()),
        "environment": environment,
        "stage": raised.stage,
        "group": node.and_then(|ix| view.node(ix).group.clone()),
        "title": title(view, raised),
        "errors": errors.iter().map(cut).collect::<Vec<_>>(),
        "log": log.iter().map(cut).collect::<Vec<_>>(),
        "suggestion": suggest(view, raised),
    });
    let Value::Object(facts) = facts else { return None };
    let facts: Map<String, Value> = facts.into_iter().filter(|(_, value)| !value.is_null()).collect();
    Some(Finding { id: view.ticket_id(raised), run, seq: raised.seq, at: view.utc(raised.at), facts })
}

fn title(view: &View, raised: &Raised) -> String {
    let plan = view.plan();
    match (&raised.stage, raised.case.kind) {
        (Some(stage), CaseKind::Contained) => format!("`{stage}` of {plan} failed, the rest went on"),
        (Some(stage), CaseKind::Items) => format!("some items of `{stage}` of {plan} failed"),
        (Some(stage), CaseKind::Dead) => format!("background work `{stage}` of {plan} failed"),
        (Some(stage), CaseKind::Halted) => format!("{plan} stopped at `{stage}`"),
        _ => format!("{plan}: {}", raised.case.words),
    }
}

/// What to do next, as command lines.
fn suggest(view: &View, raised: &Raised) -> Vec<String> {
    let run = view.run_id();
    let logs = raised.stage.as_deref().map(|stage| hint::logs(run, stage));
    let then = match (raised.case.kind, raised.stage.as_deref()) {
        (CaseKind::Items, Some(stage)) => Some(hint::rerun_failed(run, stage)),
        (CaseKind::Dead, Some(stage)) => Some(hint::requeue(run, stage)),
        (CaseKind::Contained, _) => Some(hint::resume(run)),
        (CaseKind::Late, _) => Some(hint::slo(view.began().map_or("", |began| &began.path))),
        _ => Some(hint::status(run)),
    };
    logs.into_iter().chain(then).collect()
}
