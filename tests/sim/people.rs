//! The people around a simulated run: they cancel, pause, and answer when they are asked.

use engine::base::NodeIx;
use engine::run::Input;
use engine::run::event::{CancelLevel, CancelReason, Resolution, SuspendReason};

use crate::consent;
use crate::plan::Dice;
use crate::world::{Mode, World};

impl World {
    /// Somebody may order something before the next step.
    pub(crate) fn interfere(&mut self) {
        let is_live = self.core.state().has_begun() && self.core.state().verdict().is_none();
        if self.mode != Mode::Hostile || !is_live {
            return;
        }
        match self.dice.below(400) {
            0 => {
                let level = [CancelLevel::Drain, CancelLevel::Stop, CancelLevel::Kill];
                let level = level[usize::try_from(self.dice.below(3)).expect("below 3")];
                self.send(0, Input::Cancel { level, why: CancelReason::Person, by: "sim".to_owned() });
            }
            1 => self.send(0, Input::Pause { on: true, by: String::new() }),
            396 | 397 => {
                let how = if self.dice.chance(50) { CancelLevel::Drain } else { CancelLevel::Kill };
                self.send(0, Input::LeaveBackground { how, by: "sim".to_owned() });
            }
            398 => self.send(0, Input::BreakGlass { by: "sim".to_owned(), reason: "why".to_owned() }),
            2..5 if self.takeovers < 6 => {
                // By dice of their own, which leave everything else as it is.
                let mut dice = Dice(self.seed ^ 0xc105 ^ self.at.raw());
                if dice.chance(25) && self.core.state().decided().is_none() {
                    self.close(dice.below(500));
                }
                self.hostile_takeover();
            }
            5 if self.takeovers < 6 => self.send(0, Input::Suspend(SuspendReason::HandOver)),
            399 => {
                let (level, why) = (CancelLevel::Stop, CancelReason::Rollback);
                self.send(0, Input::Cancel { level, why, by: "sim".to_owned() });
            }
            6..40 => self.send(0, Input::Pause { on: false, by: String::new() }),
            _ => {}
        }
    }

    /// Somebody says what nobody knows, and answers what is asked.
    pub(crate) fn decide_all(&mut self) {
        let gates: Vec<NodeIx> = self.core.state().open_approvals().map(|it| it.0).collect();
        self.resolve_all(1);
        for node in gates {
            let approved = self.approves(node);
            consent::answers(node, approved).for_each(|answer| self.send(1, answer));
        }
    }

    /// Somebody says what nobody knows, after so long.
    pub(crate) fn resolve_all(&mut self, after: u64) {
        let unknown: Vec<NodeIx> = self.core.state().unknown().collect();
        let (by, note) = (String::new(), String::new());
        for node in unknown {
            let resolution = match self.dice.below(3) {
                0 => Resolution::Success,
                1 => Resolution::Failed,
                _ => Resolution::Rerun,
            };
            let mended = if self.mode == Mode::Mended { Resolution::Success } else { resolution };
            self.send(after, Input::Resolve { node, resolution: mended, by: by.clone(), note: note.clone() });
        }
    }

    pub(crate) fn approves(&self, node: NodeIx) -> bool {
        self.mode == Mode::Mended || Dice(self.seed ^ u64::from(node.raw())).chance(80)
    }

    pub(crate) fn ask(&mut self, node: NodeIx) {
        let approved = self.approves(node);
        let is_held = !self.graph().nodes[node].rules.is_approval;
        if is_held && self.dice.chance(40) {
            let after = self.dice.below(300);
            let (by, note) = ("p1".to_owned(), String::new());
            return self.send(after, Input::Resolve { node, resolution: Resolution::Rerun, by, note });
        }
        if self.mode != Mode::Hostile || self.dice.chance(80) {
            let after = self.dice.below(300);
            consent::answers(node, approved).for_each(|answer| self.send(after, answer));
        }
    }
}
