//! GitLab CI: a collapsed section for each attempt's output.

use std::io::Write;

use crate::base::Millis;
use crate::run::{Attempt, Event, Outcome};

use super::super::{Observer, Summary, Tails, View, clean, hint, words};
use super::grouped::Held;
use super::story::{self, Story};
use super::{Look, Pen};

/// A log on GitLab.
#[derive(Debug)]
pub struct GitLab<W> {
    view: View,
    pen: Pen<W>,
    story: Story,
    tails: Tails,
    held: Held,
}

impl<W: Write> GitLab<W> {
    /// `view` has what happened before, which is not told again.
    pub fn new(view: View, out: W, look: Look) -> Self {
        let (tails, held) = (Tails::default(), Held::default());
        Self { view, pen: Pen::new(out), story: Story::new(look), tails, held }
    }

    /// The writer, when all is said.
    pub fn into_inner(self) -> W {
        self.pen.out
    }

    /// The section of an attempt that ended at `at`; sections of failures stand open.
    fn section(&mut self, attempt: Attempt, at: Millis, said: &str, is_fine: bool) -> String {
        let (lines, dropped) = self.held.take(attempt, self.story.look().colour);
        if lines.is_empty() || !self.story.look().output {
            return String::new();
        }
        let known =
            self.view.inflight().find(|(node, shard, ..)| (*node, *shard) == (attempt.node, attempt.shard));
        let seconds = |at: Millis| self.view.wall_ms().max(0).unsigned_abs().saturating_add(at.raw()) / 1000;
        let (start, end) = (seconds(known.map_or(at, |(_, _, _, start)| start)), seconds(at));
        let name = format!("engine_{}_{}_{}", attempt.node.raw(), attempt.shard, attempt.number);
        let title = clean::plain(&story::stage(&self.view, attempt));
        let collapsed = if is_fine { "[collapsed=true]" } else { "" };
        let mut text = format!("\u{1b}[0Ksection_start:{start}:{name}{collapsed}\r\u{1b}[0K{title} ({said})\n");
        if dropped > 0 {
            let all = hint::logs(self.view.run_id(), self.view.id(attempt.node));
            put!(text, "… {dropped} earlier lines: {all}\n");
        }
        for line in &lines {
            put!(text, "{}\n", disarm(line));
        }
        text + &format!("\u{1b}[0Ksection_end:{end}:{name}\r\u{1b}[0K\n")
    }
}

/// A line that GitLab could take for a section of its own loses its meaning: cleaning has removed the carriage
/// return and the erase that a marker needs, a zero-width joiner breaks the word as well.
fn disarm(line: &str) -> String {
    line.replace("section_start:", "section_start\u{200d}:").replace("section_end:", "section_end\u{200d}:")
}

impl<W: Write> Observer for GitLab<W> {
    fn record(&mut self, seq: u64, at: Millis, event: &Event) {
        let mut text = match event {
            Event::ShardFinished { attempt, outcome, took, .. } => {
                let said = format!("{}, {}", story::said(outcome), words::length(*took));
                self.section(*attempt, at, &said, *outcome == Outcome::Success)
            }
            Event::ShardLost { attempt } => self.section(*attempt, at, "lost", false),
            Event::CrewGone { node } => {
                let workers = self.held.workers(*node);
                workers.into_iter().map(|worker| self.section(worker, at, "ended", true)).collect()
            }
            _ => String::new(),
        };
        self.view.record(seq, at, event);
        self.tails.record(event);
        text += &disarm(&self.story.tell(&self.view, at, event));
        self.pen.write(&text);
    }

    fn output(&mut self, attempt: Attempt, bytes: &[u8]) {
        self.tails.output(attempt, bytes);
        self.held.output(attempt, bytes);
    }

    fn tick(&mut self, _: Millis) {}

    fn end(&mut self, summary: &Summary) {
        let text = disarm(&self.story.epilogue(&self.view, &self.tails, summary));
        self.pen.write(&text);
    }
}
