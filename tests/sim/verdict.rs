//! What a run comes to, recounted.

use engine::base::{Millis, NodeIx};
use engine::graph::model::Phase;
use engine::run::event::{CancelLevel, CancelReason, NodeState, RunEnd, Verdict};

use crate::book::Book;
use crate::laws::has_ended;

impl Book {
    pub(crate) fn box_is_over(&self) -> bool {
        self.time_box.is_some_and(|(_, is_over)| is_over)
    }

    /// The time box, while it decides what starts: a run that comes to its end is not held back.
    pub(crate) fn holding_box(&self) -> Option<(Millis, bool)> {
        self.time_box.filter(|_| self.cancel.is_none())
    }

    /// Whether somebody cancelled the run, so that it ends as cancelled.
    pub(crate) fn by_person(&self) -> bool {
        matches!(self.cancel, Some((_, CancelReason::Person | CancelReason::Terminated)))
    }

    pub(crate) fn has_failed(&self) -> bool {
        let bad = [NodeState::Failed, NodeState::TimedOut, NodeState::Unknown];
        let counts = |(node, state): (&NodeIx, &NodeState)| match state {
            _ if self.is_background(*node) || self.graph.nodes[*node].heals.is_some() => false,
            NodeState::Unknown => true,
            NodeState::Blocked => !self.graph.is_optional(*node),
            state => bad.contains(state) && !self.graph.is_optional(*node),
        };
        self.timed_out || self.states.iter().any(counts)
    }

    /// `run.state`.
    pub(crate) fn outlook(&self) -> &'static str {
        if let Some(verdict) = &self.backs.decided {
            return match verdict.state {
                RunEnd::Success => "success",
                RunEnd::Failed => "failed",
                RunEnd::Cancelled => "cancelled",
                RunEnd::RolledBack => "rolled-back",
                RunEnd::RollbackFailed => "rollback-failed",
            };
        }
        match (self.by_person(), self.has_failed()) {
            (true, _) => "cancelled",
            (false, true) => "failed",
            (false, false) if self.finally_since.is_some() => "success",
            (false, false) => "running",
        }
    }
}

/// A run fails exactly by what failed: accepting a failure changes nothing, allowing one does. And the clean-up
/// has had its chance unless it was killed.
pub(crate) fn is_true(book: &Book, verdict: &Verdict) {
    let is_left = book.left_to_undo().next().is_some();
    let expected = match (book.by_person(), book.has_failed() || book.late.fails_run(book)) {
        (true, _) => RunEnd::Cancelled,
        _ if book.undos.why.is_some() => {
            if is_left {
                RunEnd::RollbackFailed
            } else {
                RunEnd::RolledBack
            }
        }
        (false, true) => RunEnd::Failed,
        (false, false) => RunEnd::Success,
    };
    assert_eq!(verdict.state, expected, "{:?}", book.states);
    assert_eq!(verdict.timed_out, book.timed_out);
    let mut failed = verdict.failed.clone();
    failed.sort();
    let counts = |state: NodeState| matches!(state, NodeState::Failed | NodeState::TimedOut);
    let is_ours = |node: NodeIx| !book.graph.is_optional(node) && book.graph.nodes[node].heals.is_none();
    let bad = book.states.iter().filter(|it| counts(*it.1) && is_ours(*it.0)).map(|it| *it.0);
    assert!(failed.iter().copied().eq(bad), "{failed:?} failed, says the verdict");
    for (node, it) in book.graph.nodes.pairs() {
        let counts = book.is_awake(node) && it.phase != Phase::Background;
        assert!(has_ended(book, node) || !counts, "{node:?} is open at the end");
        let was_skipped = it.phase == Phase::Finally && book.state(node) == NodeState::Cancelled;
        let is_killed = book.cancel.is_some_and(|(level, _)| level == CancelLevel::Kill);
        assert!(!was_skipped || is_killed || book.finally_over, "the clean-up {node:?} was not run");
    }
}
