//! How many stages are in which kind of state.

use crate::run::event::NodeState;

use super::super::words;
use super::View;

/// How many stages are in which kind of state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// All stages.
    pub all: u32,
    /// success and allowed-failure.
    pub done: u32,
    /// cached.
    pub cached: u32,
    /// skipped.
    pub skipped: u32,
    /// failed and timed-out, but for background work.
    pub failed: u32,
    /// blocked.
    pub blocked: u32,
    /// unknown.
    pub unknown: u32,
    /// cancelled and undone.
    pub cancelled: u32,
    /// running and retrying.
    pub active: u32,
    /// pending and waiting, but for `behind`.
    pub left: u32,
    /// undone.
    pub undone: u32,
    /// Background work that failed for good.
    pub dead: u32,
    /// Background work that has not begun although the verdict is given.
    pub behind: u32,
    /// Was under way when the engine died; in none of the others.
    pub cut_off: u32,
}

impl View {
    /// Stages by kind of state.
    pub fn totals(&self) -> Totals {
        let cut_off = |state| self.nodes.iter().filter(|node| node.is_cut_off && node.state == state).count();
        let [pending, unknown] = [NodeState::Pending, NodeState::Unknown]
            .map(|state| if self.is_laid_down { u32::try_from(cut_off(state)).unwrap_or(u32::MAX) } else { 0 });
        let of = |state: NodeState| self.count(state);
        let (dead, behind) = self.count_background();
        Totals {
            all: self.counts.iter().sum(),
            done: of(NodeState::Success) + of(NodeState::AllowedFailure),
            cached: of(NodeState::Cached),
            skipped: of(NodeState::Skipped),
            failed: of(NodeState::Failed) + of(NodeState::TimedOut) - dead,
            blocked: of(NodeState::Blocked),
            unknown: of(NodeState::Unknown) - unknown,
            cancelled: of(NodeState::Cancelled),
            undone: of(NodeState::Undone),
            active: of(NodeState::Running) + of(NodeState::Retrying),
            left: of(NodeState::Pending) + of(NodeState::Waiting) - pending - behind,
            dead,
            behind,
            cut_off: pending + unknown,
        }
    }

    /// `3 done, 1 failed, 2 blocked of 6 stages`.
    pub fn say_totals(&self) -> String {
        let all = self.totals();
        let parts = [
            (all.done, "done"),
            (all.cached, "cached"),
            (all.failed, "failed"),
            (all.unknown, "unknown"),
            (all.undone, "undone"),
            (all.cancelled, "cancelled"),
            (all.skipped, "skipped"),
            (all.blocked, "blocked"),
            (all.active, "running"),
            (all.cut_off, "interrupted"),
            (all.left, "not started"),
            (all.behind, "in the background"),
            (all.dead, "dead"),
        ];
        let allowed = self.count(NodeState::AllowedFailure);
        let said = |&(number, word): &(u32, &str)| match word {
            "done" if allowed > 0 => {
                format!("{number} done ({})", words::count(allowed as usize, "allowed failure"))
            }
            _ => format!("{number} {word}"),
        };
        let said: Vec<String> = parts.iter().filter(|(number, _)| *number > 0).map(said).collect();
        format!("{} of {}", said.join(", "), words::count(all.all as usize, "stage"))
    }
}
