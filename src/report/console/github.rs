//! GitHub Actions: a group for each attempt's output, annotations at the stage in the plan.
//!
//! Workflow commands (`::set-env::`, `::add-mask::` …) in a stage's output would be obeyed by the runner, so
//! output is only printed between `::stop-commands::TOKEN` and `::TOKEN::`, with a token that no stage can
//! know: the run's caller draws it.

use std::collections::BTreeMap;
use std::io::Write;

use crate::base::{Millis, NodeIx};
use crate::run::{Attempt, Event};

use super::super::{Observer, Summary, Tails, View, clean, hint, words};
use super::grouped::Held;
use super::story::{self, Story};
use super::{Look, Pen};

/// Annotations in one run; GitHub itself shows ten for each step.
const MAX_ANNOTATIONS: u32 = 50;

/// Where stages are written: path and line of the plan, for annotations.
pub type Lines = BTreeMap<NodeIx, (String, usize)>;

/// A log on GitHub.
#[derive(Debug)]
pub struct GitHub<W> {
    view: View,
    pen: Pen<W>,
    story: Story,
    tails: Tails,
    held: Held,
    token: String,
    lines: Lines,
    annotations: u32,
}

impl<W: Write> GitHub<W> {
    /// `token` is random and fresh for this engine; `lines` tells where stages are written.
    pub fn new(view: View, out: W, look: Look, token: &str, lines: Lines) -> Self {
        Self {
            view,
            pen: Pen::new(out),
            story: Story::new(look),
            tails: Tails::default(),
            held: Held::default(),
            token: token.to_owned(),
            lines,
            annotations: 0,
        }
    }

    /// The writer, when all is said.
    pub fn into_inner(self) -> W {
        self.pen.out
    }

    /// Everything between is only text to the runner.
    fn shield(&self, text: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        let end = if text.ends_with('\n') { "" } else { "\n" };
        format!("::stop-commands::{0}\n{text}{end}::{0}::\n", self.token)
    }

    /// The folded output of an attempt that ended.
    fn group(&mut self, attempt: Attempt, said: &str) -> String {
        let (lines, dropped) = self.held.take(attempt, self.story.look().colour);
        if lines.is_empty() || !self.story.look().output {
            return String::new();
        }
        let title = clean::plain(&story::stage(&self.view, attempt));
        let mut text = String::new();
        if dropped > 0 {
            let all = hint::logs(self.view.run_id(), self.view.id(attempt.node));
            put!(text, "… {dropped} earlier lines: {all}\n");
        }
        for line in &lines {
            put!(text, "{line}\n");
        }
        format!("::group::{} ({said})\n{}::endgroup::\n", escape_data(&title), self.shield(&text))
    }

    /// An annotation for a stage that ended badly.
    fn annotate(&mut self, ix: NodeIx) -> String {
        let node = self.view.get(ix);
        let level = match node.state {
            state if words::is_bad(state) => "error",
            crate::run::event::NodeState::AllowedFailure => "warning",
            _ => return String::new(),
        };
        self.annotations += 1;
        if self.annotations > MAX_ANNOTATIONS {
            return String::new();
        }
        let id = self.view.id(ix);
        let place = self.lines.get(&ix).map(|(path, line)| format!("file={},line={line},", escape_property(path)));
        let title = escape_property(&format!("{id} {}", node.state.word()));
        let reason = clean::plain(&node.reason);
        let said = if reason.is_empty() { node.state.word().to_owned() } else { reason };
        let said = escape_data(&format!("`{}`: {said}", clean::plain(id)));
        format!("::{level} {}title={title}::{said}\n", place.unwrap_or_default())
    }
}

impl<W: Write> Observer for GitHub<W> {
    fn record(&mut self, seq: u64, at: Millis, event: &Event) {
        let mut text = match event {
            Event::ShardFinished { attempt, outcome, took, .. } => {
                self.group(*attempt, &format!("{}, {}", story::said(outcome), words::length(*took)))
            }
            Event::ShardLost { attempt } => self.group(*attempt, "lost"),
            Event::CrewGone { node } => {
                let workers = self.held.workers(*node);
                workers.into_iter().map(|worker| self.group(worker, "ended")).collect()
            }
            _ => String::new(),
        };
        self.view.record(seq, at, event);
        self.tails.record(event);
        let told = self.story.tell(&self.view, at, event);
        let is_first = matches!(event, Event::RunBegan(_) | Event::RunResumed(_));
        text += &if is_first { told } else { self.guard(&told) };
        if let Event::NodeFinished { node, .. } = event
            && self.view.knows(event)
        {
            text += &self.annotate(*node);
        }
        self.pen.write(&text);
    }

    fn output(&mut self, attempt: Attempt, bytes: &[u8]) {
        self.tails.output(attempt, bytes);
        self.held.output(attempt, bytes);
    }

    fn tick(&mut self, _: Millis) {}

    fn end(&mut self, summary: &Summary) {
        let text = self.story.epilogue(&self.view, &self.tails, summary);
        let text = self.shield(&text);
        self.pen.write(&text);
    }
}

impl<W: Write> GitHub<W> {
    /// Shields a line of ours only if words of others in it could be a command.
    fn guard(&self, text: &str) -> String {
        let is_risky = text.lines().any(|line| line.contains("::") || line.contains("##["));
        if is_risky { self.shield(text) } else { text.to_owned() }
    }
}

/// The text of a workflow command.
fn escape_data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property of a workflow command.
fn escape_property(text: &str) -> String {
    escape_data(&clean::plain(text)).replace(':', "%3A").replace(',', "%2C")
}
