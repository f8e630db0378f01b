//! Files tickets: of a live run as they are raised, of an old one whatever a dead engine left unfiled.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::fault::Fault;
use super::logs::Stored;
use super::{find, print};
use crate::base::{Millis, RunId, limits};
use crate::driver::begin::Read;
use crate::driver::compile::Compiled;
use crate::graph::Graph;
use crate::journal::tickets::{Finding, Tickets};
use crate::journal::{self, RunDir, StateDir, Step};
use crate::report::view::Raised;
use crate::report::{Excerpt, Logs, Observer, Summary, View, clean, hint, words};
use crate::run::Attempt;
use crate::run::event::{CaseKind, Event};

/// Files the tickets of a live run. What a stage printed is in the stored log a beat after its end, so that is when
/// its ticket is written. Most runs raise nothing: what tickets are made from is read back from the record when the first
/// one is raised, and kept from then on.
pub(super) struct Clerk {
    tickets: Tickets,
    dir: RunDir,
    /// The versions of the plan, the first one first.
    graphs: Vec<Arc<Graph>>,
    papers: Option<Papers>,
    /// The last record that was heard of.
    seq: u64,
    /// Up to which record an earlier engine has filed.
    until: u64,
    /// Something could not be filed; it was said, and is tried again by whoever comes next.
    has_failed: bool,
}

/// What tickets are made from.
struct Papers {
    view: View,
    logs: Stored,
    /// How many of the view's tickets are filed.
    filed: usize,
}

impl Clerk {
    /// Of a run that begins.
    pub(super) fn new(state: &StateDir, dir: RunDir, graph: Arc<Graph>) -> Self {
        let graphs = vec![graph];
        Self { tickets: Tickets::new(state), dir, graphs, papers: None, seq: 0, until: 0, has_failed: false }
    }

    /// Of a run that goes on, by an edited plan if there is one, and looks like `view`: what it raised and nobody filed is
    /// filed with what comes.
    pub(super) fn resume(state: &StateDir, read: &Read, edited: Option<&Compiled>, view: &View) -> Self {
        // As they were written: what cells were given is in the record.
        let graphs = read.graphs.iter().chain(edited.map(|it| &it.graph)).cloned().collect();
        let until = Tickets::filed(&read.dir);
        let is_owed = view.tickets().iter().any(|raised| raised.seq > until);
        let papers = is_owed.then(|| Papers::new(view.clone(), Stored::new(read), until));
        let (tickets, dir) = (Tickets::new(state), read.dir.clone());
        Self { tickets, dir, graphs, papers, seq: view.seq(), until, has_failed: false }
    }

    /// Beside these.
    pub(super) fn among(self, mut others: Vec<Box<dyn Observer + Send>>) -> Vec<Box<dyn Observer + Send>> {
        others.push(Box::new(self));
        others
    }

    /// Reads back what was recorded so far.
    fn sit_down(&mut self) {
        match Papers::read(&self.dir, self.graphs.clone(), (self.seq, self.until)) {
            Ok(papers) => self.papers = Some(papers),
            Err(why) => self.explain(&why),
        }
    }

    fn catch_up(&mut self) {
        let Some(papers) = &mut self.papers else { return };
        let mut failed = None;
        while let Some(raised) = papers.view.tickets().get(papers.filed) {
            papers.filed += 1;
            let Some(found) = finding(&papers.view, raised, &papers.logs) else { continue };
            if let Err(error) = self.tickets.file(&found) {
                failed.get_or_insert(error);
            }
        }
        if let Some(error) = failed {
            self.explain(&error.to_string());
        }
    }

    /// Says once why tickets are missing.
    fn explain(&mut self, why: &str) {
        if !std::mem::replace(&mut self.has_failed, true) {
            let help = hint::tickets();
            print::note(&format!(
                "warning: a ticket could not be written: {why}\n  it is not lost; once that is mended: {help}"
            ));
        }
    }
}

impl Papers {
    /// Tickets up to record `until` were filed by others.
    fn new(view: View, logs: Stored, until: u64) -> Self {
        let filed = view.tickets().iter().take_while(|raised| raised.seq <= until).count();
        Self { view, logs, filed }
    }

    /// A run's record up to `last`, which is on the disk.
    fn read(dir: &RunDir, graphs: Vec<Arc<Graph>>, (last, until): (u64, u64)) -> Result<Self, String> {
        let mut papers = Self::new(View::new(graphs), Stored::empty(dir.clone()), 0);
        let mut reader = journal::Reader::open(dir).map_err(|error| error.to_string())?;
        while papers.view.seq() < last {
            let mut each = |seq, at, event| {
                if seq <= last {
                    papers.record(seq, at, &event);
                }
            };
            let step = reader.next_frame(&mut each).map_err(|error| error.to_string())?;
            if let Step::End(_) = step {
                return Err(format!("the journal ends before record {last}"));
            }
        }
        Ok(Self::new(papers.view, papers.logs, until))
    }

    fn record(&mut self, seq: u64, at: Millis, event: &Event) {
        let before = matches!(event, Event::PlanChanged { .. }).then(|| self.view.graph().clone());
        self.view.record(seq, at, event);
        if let Some(before) = before {
            self.logs.renumber(&before, self.view.graph());
        }
        self.logs.record(event);
    }
}

impl Observer for Clerk {
    fn record(&mut self, seq: u64, at: Millis, event: &Event) {
        self.seq = seq;
        match &mut self.papers {
            Some(papers) => papers.record(seq, at, event),
            None if matches!(event, Event::TicketRaised { .. }) => self.sit_down(),
            None => {}
        }
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
            let _ = Tickets::note_filed(&self.dir, self.seq);
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
    let (mut log, mut shard) = (Vec::new(), None);
    if let Some(ix) = node {
        let stage = view.get(ix);
        errors.push(format!("{}: {}", stage.state.word(), stage.reason).trim_end_matches([':', ' ']).to_owned());
        errors.extend(stage.outcome.as_ref().filter(|_| stage.reason.is_empty()).map(words::outcome));
        errors.extend(stage.notes.iter().cloned());
        let excerpt = Excerpt::of(view, logs, ix, limits::MAX_TICKET_LINES);
        (log, shard) = (excerpt.lines, excerpt.shard);
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
        "group": node.and_then(|ix| view.node(ix).group.as_deref()),
        "title": title(view, raised),
        "errors": errors.iter().map(cut).collect::<Vec<_>>(),
        "shard": shard,
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
