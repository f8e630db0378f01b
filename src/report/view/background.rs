//! What a view knows of background work.

use crate::base::{Millis, NodeIx};
use crate::graph::model::Phase;
use crate::run::event::{CancelLevel, Event, NodeState, Resumed, SuspendReason, Verdict};

use super::super::words;
use super::{NodeView, View};

/// How far the background is.
#[derive(Clone, Debug, Default)]
pub(super) struct Background {
    /// The verdict of the foreground, of a run that is not over.
    pub(super) decided: Option<Verdict>,
    /// The present engine leaves the background to the next one.
    left: Option<CancelLevel>,
}

/// How a piece of background work stands, in the order in which people want to hear of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Standing {
    /// It failed for good.
    Dead,
    /// Nobody knows what an attempt of it did.
    Unknown,
    /// An engine works on it.
    Running,
    /// It is released and waits for an engine.
    Pending,
    /// It has ended well.
    Done,
    /// There is nothing to do.
    Skipped,
}

impl Standing {
    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Unknown => "unknown",
            Self::Running => "running",
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Skipped => "skipped",
        }
    }
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

    /// All background work of the plan.
    pub fn background(&self) -> impl Iterator<Item = NodeIx> {
        self.nodes().map(|(ix, _)| ix).filter(|&ix| self.is_background(ix))
    }

    /// The word of the queue for a piece of background work; what was not released yet is pending, too.
    pub fn say_standing(&self, ix: NodeIx) -> &'static str {
        self.standing(ix).unwrap_or(Standing::Pending).word()
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

    /// How many stages are dead letters, and how many have not begun although the verdict is given.
    pub(super) fn count_background(&self) -> (u32, u32) {
        let is_behind = |(ix, node): (NodeIx, &NodeView)| {
            let waits = matches!(node.state, NodeState::Pending | NodeState::Waiting) && !node.is_cut_off;
            waits && self.is_background(ix)
        };
        let behind = if self.decided().is_some() { self.nodes().filter(|&it| is_behind(it)).count() } else { 0 };
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        (count(self.background_dead()), count(behind))
    }

    /// How a piece of background work stands; none of another stage, and of work that was not released yet.
    pub fn standing(&self, ix: NodeIx) -> Option<Standing> {
        let node = self.get(ix);
        Some(match node.state {
            _ if !self.is_background(ix) => return None,
            NodeState::Failed | NodeState::TimedOut => Standing::Dead,
            NodeState::Unknown => Standing::Unknown,
            NodeState::Skipped | NodeState::Blocked => Standing::Skipped,
            state if state.is_final() => Standing::Done,
            NodeState::Running | NodeState::Retrying => Standing::Running,
            _ => return node.queued.map(|_| Standing::Pending),
        })
    }

    /// Whether all that is in a group is background work.
    pub fn is_group_behind(&self, name: &str) -> bool {
        let graph = self.graph();
        let in_group = |ix: NodeIx| graph.groups_of(ix).any(|group| &*graph.groups[group as usize].name == name);
        self.nodes().filter(|(ix, _)| in_group(*ix)).all(|(ix, _)| self.is_background(ix))
    }

    /// Whether the present engine leaves the background to the next one.
    pub const fn leaves_background(&self) -> bool {
        self.background.left.is_some()
    }

    /// Another engine has the run: whether it goes on with the background only, so that the verdict stands.
    pub(super) fn resume_background(&mut self, resumed: &Resumed) -> bool {
        self.background.left = None;
        let goes_on = resumed.closes || (resumed.drains && self.decided().is_some());
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
