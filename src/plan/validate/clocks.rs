//! Clocks: what is promised must fit into what it is promised in.

use super::{Check, Effective, place, written};
use crate::base::Span;
use crate::plan::error::Diagnostic;
use crate::plan::model::{OnBusy, Plan, Retry, RetryWhen, Setting};

/// The run's own clocks: its timeout, the clean-up's budget, the lock.
pub(super) fn check_plan(check: &mut Check<'_>) {
    let plan = check.plan;
    budget(check, plan);
    lock(check, plan);
}

fn budget(check: &mut Check<'_>, plan: &Plan) {
    let Some(finally) = &plan.finally else { return };
    let Some(budget) = &finally.budget else {
        if plan.timeout.is_some() {
            let message = "`finally` has no `budget`, but the run has a `timeout`".to_owned();
            let help = "say how much of the timeout to keep for it: `budget: 2m`";
            check.error("plan::no-budget", finally.at, message, help);
        }
        return;
    };
    let Some(span) = written(budget) else { return };
    if let Some(timeout) = plan.timeout.as_ref().and_then(written)
        && span >= timeout
    {
        let message = format!("the `budget` of `finally` ({span}) takes all of the run's `timeout` ({timeout})");
        check.error("plan::budget", place(budget), message, "the stages before it need time too");
    }
}

fn lock(check: &mut Check<'_>, plan: &Plan) {
    let Some(lock) = &plan.lock else { return };
    if lock.name.as_str().is_some_and(|name| name.trim().is_empty()) {
        let message = "the lock has an empty name".to_owned();
        check.error(
            "plan::empty",
            lock.name.at,
            message,
            "name what must not be deployed twice at once: `deploy/staging`",
        );
    }
    if let Some(wait) = lock.wait.as_ref().filter(|_| lock.on_busy != OnBusy::Wait) {
        let message = "the lock has a `wait`, but does not wait".to_owned();
        check.error("plan::lock-wait", place(wait), message, "write `on-busy: wait`, or leave `wait` out");
    }
}

/// A stage's own clocks: its re-tries.
pub(super) fn check_stage(check: &mut Check<'_>, stage: &Effective<'_>) {
    let Some(retry) = stage.retry() else { return };
    within(check, stage, retry);
    unsafe_retry(check, stage, retry);
    if let (Some(delay), Some(longest)) = (&retry.delay, &retry.max_delay)
        && let (Some(first), Some(most)) = (written(delay), written(longest))
        && first > most
    {
        let message = format!("the first delay ({first}) is longer than `max-delay` ({most})");
        check.error("plan::retry-delay", place(longest), message, "lower `delay` or raise `max-delay`");
    }
}

/// `within` covers every attempt at its full timeout and every wait between them.
fn within(check: &mut Check<'_>, stage: &Effective<'_>, retry: &Retry) {
    let Some(within) = &retry.within else { return };
    let (Some(limit), Some(max)) = (written(within), written(&retry.max)) else { return };
    let timeout = stage.timeout().map_or(Some(Span::ZERO), written);
    let (Some(timeout), Some(waits)) = (timeout, waits(retry, max)) else { return };
    let attempts = u64::from(max) + 1;
    let all = Span::from_ms(timeout.ms().saturating_mul(attempts)) + waits;
    if all > limit {
        let id = &stage.stage.id.value;
        let message = format!("`within` ({limit}) is shorter than its parts: `{id}` may take {all}");
        let help = format!("{attempts} attempts of {timeout} and waits of {waits}: write `within: {all}` or more");
        let mut diagnostic = Diagnostic::error("plan::retry-within", place(within), message).help(help);
        if let Some(timeout) = stage.timeout() {
            diagnostic = diagnostic.related(place(timeout), "one attempt");
        }
        check.report.push(diagnostic);
    }
}

/// The sum of all waits at their longest; `None` when a template decides.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "waits are whole milliseconds below ten years, and the sum is cut off at that"
)]
fn waits(retry: &Retry, max: u32) -> Option<Span> {
    let first = retry.delay.as_ref().map_or(Some(Span::ZERO), written)?;
    let most = retry.max_delay.as_ref().map_or(Some(Span::from_ms(u64::MAX)), written)?;
    let factor = retry.backoff.as_ref().map_or(1.0, |factor| factor.value);
    let (mut wait, mut sum) = (first.ms() as f64, 0.0_f64);
    for _ in 0..max.min(1000) {
        sum += wait.min(most.ms() as f64);
        wait *= factor;
    }
    Some(Span::from_ms(sum.min(crate::base::limits::MAX_SPAN_MS as f64) as u64))
}

/// A stage that must not run twice blindly is not tried again after an end that says nothing.
fn unsafe_retry(check: &mut Check<'_>, stage: &Effective<'_>, retry: &Retry) {
    let Some(idempotent) = stage.idempotent().filter(|idempotent| !idempotent.value) else { return };
    let tries_again = match &retry.max {
        Setting::Value(max) => max.value > 0,
        Setting::Template(_) => true,
    };
    let is_known = |when: &RetryWhen| matches!(when, RetryWhen::Exit(_));
    let is_blind = !retry.when.as_ref().is_some_and(|when| when.iter().all(is_known));
    if tries_again && is_blind && !stage.has_done_if() {
        let id = &stage.stage.id.value;
        let message =
            format!("`{id}` is not idempotent, and would be tried again without knowing what it has done");
        let help = "after a timeout nobody knows its outcome: add `done-if`, or retry only on exit codes: \
                    `when: [{exit: [69]}]`";
        let diagnostic = Diagnostic::error("plan::unsafe-retry", retry.at, message);
        check.report.push(diagnostic.related(idempotent.at, "not idempotent").help(help));
    }
}
