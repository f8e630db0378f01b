//! Groups and objectives: what the plan promises about them, resolved.

use std::ops::Range;

use super::Builder;
use super::context::Context;
use super::expand::Surround;
use super::settings::place;
use crate::base::{NodeIx, Span};
use crate::graph::objective::{Group, Objective, Subject};
use crate::plan::Diagnostic;
use crate::plan::model::{self, OnFailure, Readiness, Slo};

impl Builder<'_> {
    /// The failure policy of a group, where it has one of its own. A group that the run can do without keeps its
    /// failures to itself.
    pub(super) fn group_policy(&mut self, group: &model::Group) -> Option<OnFailure> {
        let is_optional = group.readiness.as_ref().is_some_and(|word| word.value == Readiness::Optional);
        match &group.on_failure {
            Some(word) if is_optional && word.value != OnFailure::Continue => {
                let message =
                    format!("group `{}` is optional, but a failure in it stops the run", group.name.value);
                let found = Diagnostic::error("plan::bad-group", word.at, message);
                self.report.push(found.help("write `on-failure: continue`, or leave `readiness` out"));
                Some(OnFailure::Continue)
            }
            Some(word) => Some(word.value),
            None => is_optional.then_some(OnFailure::Continue),
        }
    }

    /// Notes a group and its objective; gives its number.
    pub(super) fn push_group(
        &mut self,
        around: &Surround<'_>,
        name: &str,
        declared: Option<&model::Group>,
    ) -> u32 {
        let full = format!("{}{name}", around.prefix);
        let readiness =
            declared.and_then(|group| group.readiness.as_ref()).map_or(Readiness::Required, |word| word.value);
        let number = u32::try_from(self.groups.len()).expect("a group has a stage, and limits::MAX_STAGES fits");
        self.groups.push(Group { name: full.as_str().into(), parent: around.number, readiness });
        self.objective(declared.and_then(|group| group.slo.as_ref()), &around.cx, (Subject::Group, full));
        number
    }

    /// Notes an objective; its stages are gathered at the end.
    pub(super) fn objective(&mut self, slo: Option<&Slo>, cx: &Context, (subject, name): (Subject, String)) {
        let Some(slo) = slo else { return };
        let Some(limit) = self.setting(&slo.duration, cx) else { return };
        if limit == Span::ZERO {
            self.error(
                "plan::out-of-range",
                place(&slo.duration),
                "an `slo` must be longer than nothing".to_owned(),
            );
        }
        let (name, on_breach) = (name.into(), slo.on_breach);
        self.objectives.push(Objective { subject, name, limit, on_breach, nodes: Vec::new() });
    }

    /// Notes the objective of a stage, or of a file that it uses.
    pub(super) fn stage_objective(&mut self, slo: &Slo, cx: &Context, id: String, nodes: Range<u32>) {
        let before = self.objectives.len();
        self.objective(Some(slo), cx, (Subject::Stage, id));
        for objective in &mut self.objectives[before..] {
            objective.nodes = nodes.clone().map(NodeIx::new).collect();
        }
    }

    /// Finds the stages of each group that has an objective.
    pub(super) fn gather_objectives(&mut self) {
        let Self { objectives, groups, nodes, .. } = self;
        for objective in objectives.iter_mut().filter(|it| it.subject == Subject::Group) {
            let up = |group: &u32| groups[*group as usize].parent;
            let is_in = |first: Option<u32>| {
                std::iter::successors(first, up).any(|group| groups[group as usize].name == objective.name)
            };
            let members = (0..).zip(nodes.iter()).filter(|(_, node)| is_in(node.rules.group));
            objective.nodes = members.map(|(ix, _)| NodeIx::new(ix)).collect();
        }
    }
}
