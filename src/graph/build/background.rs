//! What makes a stage background work, and what does not fit it.

use super::Builder;
use super::expand::{Cell, Made, Surround, Table};
use crate::base::NodeIx;
use crate::graph::model::Phase;
use crate::plan::model::{Body, Lifetime, Need, Rollback, Stage};
use crate::plan::{Diagnostic, Place};

/// The code of all of these.
const CODE: &str = "plan::background";

impl<'a> Builder<'a> {
    /// The phase of a stage: its own `background`, or that of its group. What is inside of background work is, too.
    pub(super) fn phase_of(&mut self, around: &Surround<'a>, stage: &Stage) -> Phase {
        let name = stage.group.as_ref().map(|name| &name.value);
        let group = around.plan.groups.iter().find(|group| Some(&group.name.value) == name);
        let word = stage.background.as_ref().or_else(|| group?.background.as_ref());
        let is_wanted = word.filter(|word| word.value);
        match (around.phase, is_wanted) {
            (Phase::Main, Some(word)) => {
                self.check_kind(stage, word.at);
                Phase::Background
            }
            (Phase::Finally, Some(word)) => {
                let id = &stage.id.value;
                let message = format!("`{id}` belongs to `finally`, which ends before background work begins");
                let help = "leave out `background`, or move the stage to `stages`";
                let found = Diagnostic::error(CODE, stage.id.at, message).help(help);
                self.report.push(found.related(word.at, "`background` stands here"));
                Phase::Finally
            }
            (Phase::Background, _) => {
                self.check_kind(stage, stage.id.at);
                Phase::Background
            }
            (phase, _) => phase,
        }
    }

    /// A stage that waits for a person, goes on for others, or is undone or healed is no background work.
    fn check_kind(&mut self, stage: &Stage, word: Place) {
        let (at, why, help) = match (&stage.body, &stage.lifetime, &stage.rollback, stage.heal.first()) {
            (Body::Approval { at, .. }, ..) => {
                (*at, "asks a person, and nobody waits for background work", "leave out `background`")
            }
            (_, Some(lifetime), ..) if lifetime.value == Lifetime::Run => {
                (lifetime.at, "serves the run, which is judged before it starts", "leave out one of the two")
            }
            (_, _, Some(Rollback::Body(body)), _) => {
                (body.id.at, "starts when the run is past every rollback", "leave out `rollback`")
            }
            (.., Some(remedy)) => {
                let help =
                    "give it `retry`; what fails for good opens a ticket, and `engine queue retry` tries again";
                (remedy.body.id.at, "has nobody who waits until it is healed", help)
            }
            _ => return,
        };
        let message = format!("`{}` is background work, and {why}", stage.id.value);
        let found = Diagnostic::error(CODE, at, message).help(help);
        self.report.push(found.related(word, "it is background work by this"));
    }

    /// What counts for the verdict must not wait for what comes after it.
    pub(super) fn check_need(&mut self, need: &Need, cell: &Cell, leaves: &[NodeIx]) {
        let is_background = |node: NodeIx| self.nodes[node.raw() as usize].phase == Phase::Background;
        let Some(after) = leaves.iter().copied().find(|&node| is_background(node)) else { return };
        let Some(before) = cell.roots().find(|&node| !is_background(node)) else { return };
        let [before, after] = [before, after].map(|node| self.nodes[node.raw() as usize].id.clone());
        let message = format!("`{before}` needs `{after}`, which is background work and starts after the verdict");
        let help = format!("make `{before}` background work, too, or leave out `background` of `{after}`");
        self.report.push(Diagnostic::error(CODE, need.stage.at, message).help(help));
    }

    /// The clean-up reads nothing of what starts after it.
    pub(super) fn check_read(&mut self, made: &Made<'a>, cell: &Cell, main: &Table<'a>) {
        let is_background = |node: NodeIx| self.nodes[node.raw() as usize].phase == Phase::Background;
        let is_read = |other: &&Made<'a>| {
            let is_named = cell.used.contains(&*crate::graph::scope::under(&other.stage.id.value));
            is_named && other.cells().iter().any(|it| it.leaves().any(is_background))
        };
        let Some(other) = main.iter().find(is_read) else { return };
        let (id, other) = (&made.stage.id.value, &other.stage.id.value);
        let message = format!("`{id}` reads `needs.{other}`, which is background work and has not begun by then");
        let found = Diagnostic::error(CODE, made.stage.id.at, message);
        self.report.push(found.help("the clean-up ends before the verdict, and background work starts after it"));
    }
}
