//! Rollbacks and healing: a body is checked as a stage is, and stands where something can be undone or mended.

use super::{Check, Effective, Index, clocks, text};
use crate::plan::model::{AllowFailure, Body, Rollback, Stage};

/// All rollbacks of the plan and its actions.
pub(super) fn check<'a>(check: &mut Check<'a>, index: &Index<'a>) {
    let plan = check.plan;
    for (stage, is_last) in plan.every_stage() {
        if is_last && stage.rollback.is_some() {
            let message = format!("`rollback` does not fit `{}`", stage.id.value);
            let help = "the clean-up runs after the rollback, and is not undone: move the stage out of `finally`";
            check.error("plan::misplaced-key", stage.id.at, message, help);
        }
        if is_last && !stage.heal.is_empty() {
            let message = format!("`heal` does not fit `{}`", stage.id.value);
            let help =
                "the clean-up has a budget and no time to heal: use `retry`, or move the stage out of `finally`";
            check.error("plan::misplaced-key", stage.id.at, message, help);
        }
        body(check, index, stage);
    }
    for (_, action) in &plan.actions {
        body(check, index, action);
    }
}

fn body<'a>(check: &mut Check<'a>, index: &Index<'a>, stage: &'a Stage) {
    if let Some(Rollback::Body(body)) = &stage.rollback {
        work(check, index, (body, "rollback"));
    }
    if let (Some(first), AllowFailure::Any) = (stage.heal.first(), &stage.allow_failure) {
        let message = format!("`{}` is never healed: its failure is allowed", stage.id.value);
        let help = "leave out `allow-failure`, or `heal`";
        check.error("plan::misplaced-key", first.body.id.at, message, help);
    }
    for remedy in &stage.heal {
        work(check, index, (&remedy.body, "body of `heal`"));
    }
}

fn work<'a>(check: &mut Check<'a>, index: &Index<'a>, (body, what): (&'a Stage, &str)) {
    text::check(check, body);
    clocks::check_stage(check, &Effective::new(check.plan, index, body));
    if let (Body::Run(crate::plan::model::Command::Argv(..)), Some(shell)) = (&body.body, &body.common.shell) {
        let message = format!("`shell` does not fit this {what}");
        let help = "a list is run without a shell; write `run` as text to use one";
        check.error("plan::misplaced-key", shell.at, message, help);
    }
}
