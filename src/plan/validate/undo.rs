//! Rollbacks: a body is checked as a stage is, and stands where something can be undone.

use super::{Check, Effective, Index, clocks, text};
use crate::plan::model::{Body, Rollback, Stage};

/// All rollbacks of the plan and its actions.
pub(super) fn check<'a>(check: &mut Check<'a>, index: &Index<'a>) {
    let plan = check.plan;
    for (stage, is_last) in plan.every_stage() {
        if is_last && stage.rollback.is_some() {
            let message = format!("`rollback` does not fit `{}`", stage.id.value);
            let help = "the clean-up runs after the rollback, and is not undone: move the stage out of `finally`";
            check.error("plan::misplaced-key", stage.id.at, message, help);
        }
        body(check, index, stage);
    }
    for (_, action) in &plan.actions {
        body(check, index, action);
    }
}

fn body<'a>(check: &mut Check<'a>, index: &Index<'a>, stage: &'a Stage) {
    let Some(Rollback::Body(body)) = &stage.rollback else { return };
    text::check(check, body);
    clocks::check_stage(check, &Effective::new(check.plan, index, body));
    if let (Body::Run(crate::plan::model::Command::Argv(..)), Some(shell)) = (&body.body, &body.common.shell) {
        let message = "`shell` does not fit this rollback".to_owned();
        let help = "a list is run without a shell; write `run` as text to use one";
        check.error("plan::misplaced-key", shell.at, message, help);
    }
}
