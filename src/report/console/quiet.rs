//! Only the run's name, what needs somebody, and how it ended.

use std::io::Write;

use crate::base::Millis;
use crate::run::{Attempt, Event};

use super::super::{Observer, Summary, Tails, View, words};
use super::story::Story;
use super::{Look, Pen};

/// Says as little as it may.
#[derive(Debug)]
pub struct Quiet<W> {
    view: View,
    pen: Pen<W>,
    story: Story,
    tails: Tails,
}

impl<W: Write> Quiet<W> {
    /// `view` has what happened before, which is not told again.
    pub fn new(view: View, out: W, look: Look) -> Self {
        Self { view, pen: Pen::new(out), story: Story::new(look), tails: Tails::default() }
    }

    /// The writer, when all is said.
    pub fn into_inner(self) -> W {
        self.pen.out
    }
}

impl<W: Write> Observer for Quiet<W> {
    fn record(&mut self, seq: u64, at: Millis, event: &Event) {
        self.view.record(seq, at, event);
        self.tails.record(event);
        let is_told = match event {
            Event::RunBegan(_) | Event::RunResumed(_) | Event::GateOpened { .. } => true,
            Event::NodeFinished { state, .. } => words::is_bad(*state),
            _ => false,
        };
        if is_told {
            let text = self.story.tell(&self.view, at, event);
            self.pen.write(&text);
        }
    }

    fn output(&mut self, attempt: Attempt, bytes: &[u8]) {
        self.tails.output(attempt, bytes);
    }

    fn is_patient(&self) -> bool {
        true
    }

    fn tick(&mut self, _: Millis) {}

    fn end(&mut self, summary: &Summary) {
        let text = self.story.epilogue(&self.view, &self.tails, summary);
        self.pen.write(&text);
    }
}
