//! Plain lines for a pipe or an unknown CI: nothing is ever rewritten, each line says whose it is.

use std::collections::BTreeMap;
use std::io::Write;

use crate::base::{Millis, NodeIx};
use crate::run::{Attempt, Event};

use super::super::clean::{self, Lines};
use super::super::{Observer, Summary, Tails, View};
use super::story::{self, Story};
use super::{Look, Pen};

/// Bytes of one attempt's output that are shown; a log of more than this is read with `engine logs`.
const MAX_BYTES: usize = 1 << 20;

/// Plain lines.
#[derive(Debug)]
pub struct Plain<W> {
    view: View,
    pen: Pen<W>,
    story: Story,
    tails: Tails,
    open: BTreeMap<(NodeIx, u32), Shown>,
}

/// What was shown of an attempt that runs.
#[derive(Debug, Default)]
struct Shown {
    lines: Lines,
    bytes: usize,
}

impl<W: Write> Plain<W> {
    /// `view` has what happened before, which is not told again.
    pub fn new(view: View, out: W, look: Look) -> Self {
        Self { view, pen: Pen::new(out), story: Story::new(look), tails: Tails::default(), open: BTreeMap::new() }
    }

    /// The writer, when all is said.
    pub fn into_inner(self) -> W {
        self.pen.out
    }

    /// The end of an attempt's last line.
    fn close(&mut self, attempt: Attempt) {
        let Some(mut shown) = self.open.remove(&(attempt.node, attempt.shard)) else { return };
        let mut text = String::new();
        shown.lines.finish(|line| text += &self.prefixed(attempt, line));
        self.pen.write(&text);
    }

    /// One line of output with its stage.
    fn prefixed(&self, attempt: Attempt, line: &[u8]) -> String {
        let look = self.story.look();
        let stage = clean::plain(&story::stage(&self.view, attempt));
        format!("{} {}\n", look.dim(&format!("{stage} |")), clean::line(line, look.colour))
    }
}

impl<W: Write> Observer for Plain<W> {
    fn record(&mut self, seq: u64, at: Millis, event: &Event) {
        if let Event::ShardFinished { attempt, .. } | Event::ShardLost { attempt } = event {
            self.close(*attempt);
        }
        if let Event::CrewGone { node } = event {
            let all = (*node, *Attempt::WORKERS.start())..=(*node, *Attempt::WORKERS.end());
            let open: Vec<u32> = self.open.range(all).map(|(key, _)| key.1).collect();
            for shard in open {
                self.close(Attempt { node: *node, shard, number: 1 });
            }
        }
        self.view.record(seq, at, event);
        self.tails.record(event);
        let text = self.story.tell(&self.view, at, event);
        self.pen.write(&text);
    }

    fn output(&mut self, attempt: Attempt, bytes: &[u8]) {
        self.tails.output(attempt, bytes);
        if !self.story.look().output {
            return;
        }
        let mut shown = self.open.remove(&(attempt.node, attempt.shard)).unwrap_or_default();
        let room = MAX_BYTES.saturating_sub(shown.bytes);
        let mut text = String::new();
        shown.lines.push(&bytes[..bytes.len().min(room)], |line| text += &self.prefixed(attempt, line));
        if room > 0 && bytes.len() >= room {
            let all = super::super::hint::logs(self.view.run_id(), self.view.id(attempt.node));
            // Whether the rest gets to the disk is still to be seen.
            let said = format!("… {MAX_BYTES} bytes shown; what else is stored of it: {all}");
            text += &self.prefixed(attempt, said.as_bytes());
        }
        shown.bytes = shown.bytes.saturating_add(bytes.len());
        self.open.insert((attempt.node, attempt.shard), shown);
        self.pen.write(&text);
    }

    fn tick(&mut self, _: Millis) {}

    fn end(&mut self, summary: &Summary) {
        let text = self.story.epilogue(&self.view, &self.tails, summary);
        self.pen.write(&text);
    }
}
