//! What a view knows of background work.

use crate::base::{Millis, NodeIx};
use crate::graph::model::Phase;
use crate::run::event::{CancelLevel, Event, NodeState, Resumed, SuspendReason, Verdict};

use super::super::words;
use super::View;

/// How far the background is.
#[derive(Clone, Debug, Default)]
pub(super) struct Background {
    /// The verdict of the foreground, of a run that is not over.
    pub(super) decided: Option<Verdict>,
    /// The present engine leaves the background to the next one.
    left: Option<CancelLevel>,
}

impl View {
    /// The verdict as soon as it is decided: background work may be left when it is.
    pub fn decided(&self) -> Option<&Verdict> {
        self.verdict.as_ref().or(self.background.decided.as_ref())
    }

    /// Whether the verdict is decided and background work is left.
    pub const fn in_background(&self) -> bool {
        self.background.decided.is_some()
    }

    /// Why an engine left the run, if one did.
    pub const fn suspended(&self) -> Option<SuspendReason> {
        self.suspended
    }

    /// Whether the clean-up has begun.
    pub const fn is_cleaning_up(&self) -> bool {
        self.cleaning
    }

    /// Whether a stage belongs to the background.
    pub fn is_background(&self, ix: NodeIx) -> bool {
        self.node(ix).phase == Phase::Background
    }

    /// Background work that was released, or waits for such work, and has not ended.
    pub fn background_left(&self) -> usize {
        let is_open = |ix: NodeIx, state: NodeState| self.is_background(ix) && !words::is_ended(state);
        self.nodes().filter(|(ix, node)| is_open(*ix, node.state)).count()
    }

    /// Background work that failed for good.
    pub fn background_dead(&self) -> usize {
        let is_dead = |state: NodeState| matches!(state, NodeState::Failed | NodeState::TimedOut);
        self.nodes().filter(|(ix, node)| self.is_background(*ix) && is_dead(node.state)).count()
    }

    /// Whether the present engine leaves the background to the next one.
    pub const fn leaves_background(&self) -> bool {
        self.background.left.is_some()
    }

    /// Another engine has the run: whether it goes on with the background only, so that the verdict stands.
    pub(super) fn resume_background(&mut self, resumed: &Resumed) -> bool {
        self.background.left = None;
        let goes_on = resumed.drains && self.decided().is_some();
        self.background.decided = self.decided().cloned().filter(|_| goes_on);
        goes_on
    }

    /// Records about background work, and how an engine is done with the run.
    pub(super) fn record_background(&mut self, at: Millis, event: &Event) {
        match event {
            Event::ForegroundEnded { verdict } => {
                self.background.decided = Some(verdict.clone());
                self.ended = Some(at);
            }
            Event::BackgroundLeft { how, .. } => self.background.left = Some(*how),
            Event::BackgroundReleased { node } => self.edit(*node, |node| node.queued = Some(at)),
            Event::BackgroundRequeued { node, .. } => {
                self.background.decided = self.decided().cloned();
                self.verdict = None;
                self.reopen(*node, crate::run::event::ReopenReason::Resume);
                self.edit(*node, |node| {
                    node.queued = Some(at);
                    "queued again".clone_into(&mut node.reason);
                });
            }
            // What follows the verdict is no time of the run.
            Event::RunSuspended { why } => {
                self.suspended = Some(*why);
                self.ended = self.ended.filter(|_| self.in_background()).or(Some(at));
            }
            Event::RunFinished { verdict } => {
                self.verdict = Some(verdict.clone());
                self.ended = self.ended.filter(|_| self.in_background()).or(Some(at));
                self.background.decided = None;
            }
            _ => {}
        }
    }
}
