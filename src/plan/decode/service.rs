//! A service that the engine supervises.

use super::check::Check;
use super::values::{count, entries, ignored, items, settled, span, text, words};
use crate::base::{Span, Text};
use crate::plan::error::{Diagnostic, Report};
use crate::plan::model::{Setting, Signal};
use crate::plan::schema::tables::{SERVICE, SERVICE_DRAIN, SERVICE_GUARD, SERVICE_HEALTH, SERVICE_RESTART, STOP};
use crate::plan::service::{Drain, Guard, Health, Probe, Restart, Service, StopStep};
use crate::plan::source::{Place, Sources, Spanned};
use crate::plan::tree::{Kind, Tree};

/// How a script is run: as the `strict` shell of stages, without a file.
const SHELL: [&str; 7] = ["bash", "--noprofile", "--norc", "-euo", "pipefail", "-O", "inherit_errexit"];
/// Time to end after the stop signal, when the file says nothing.
const GRACE: Span = Span::from_secs(10);

/// Reads `tree` as a service.
pub(in crate::plan) fn service(tree: Tree, sources: &Sources, report: &mut Report) -> Option<Service> {
    let mut check = Check::new(sources, report);
    let Kind::Map(known) = &tree.kind else {
        let message = format!("a service is a map of keys, and here is {}", tree.noun());
        check.push(Diagnostic::error("plan::wrong-type", tree.at, message).help("it begins with `version: 1`"));
        return None;
    };
    check.table(tree.at, known, &SERVICE);
    let mut service = Service {
        name: String::new(),
        description: None,
        cwd: None,
        env: Vec::new(),
        env_files: Vec::new(),
        pass_env: Vec::new(),
        guard: None,
        run: Vec::new(),
        health: None,
        drain: None,
        stop: vec![StopStep { signal: Signal::Term, grace: GRACE }],
        restart: Restart::default(),
    };
    for (key, value) in entries(tree) {
        match &*key.text {
            "version" => {}
            "name" => service.name = words(value).unwrap_or_default(),
            "description" => service.description = words(value),
            "cwd" => service.cwd = plain(value, &mut check),
            "env" => service.env = variables(value, &mut check),
            "env-file" => service.env_files = list(value, &mut check),
            "pass-env" => service.pass_env = list(value, &mut check).into_iter().map(Into::into).collect(),
            "guard" => service.guard = Some(guard(value, &mut check)),
            "run" => service.run = command(value, &mut check),
            "health" => service.health = health(key.at, value, &mut check),
            "drain" => service.drain = Some(drain(value, &mut check)),
            "stop" => service.stop = steps(value, &mut check),
            "restart" => service.restart = restart(value, &mut check),
            _ => ignored(&key, &SERVICE),
        }
    }
    (!check.found_errors()).then_some(service)
}

fn guard(tree: Tree, check: &mut Check<'_>) -> Guard {
    let mut guard = Guard { run: Vec::new(), timeout: Span::from_secs(60) };
    for (key, value) in entries(tree) {
        match &*key.text {
            "run" => guard.run = command(value, check),
            "timeout" => set(&mut guard.timeout, span(value), check),
            _ => ignored(&key, &SERVICE_GUARD),
        }
    }
    guard
}

fn health(at: Place, tree: Tree, check: &mut Check<'_>) -> Option<Health> {
    let mut probes = Vec::new();
    let mut health = Health {
        probe: Probe::Run(Vec::new()),
        interval: Span::from_secs(5),
        timeout: Span::from_secs(2),
        successes: 1,
        failures: 3,
        start_within: Span::from_secs(30),
    };
    for (key, value) in entries(tree) {
        match &*key.text {
            "url" => probes.extend(url(value, check).map(Probe::Url)),
            "run" => probes.push(Probe::Run(command(value, check))),
            "interval" => set(&mut health.interval, span(value), check),
            "timeout" => set(&mut health.timeout, span(value), check),
            "successes" => set(&mut health.successes, count(value), check),
            "failures" => set(&mut health.failures, count(value), check),
            "start-within" => set(&mut health.start_within, span(value), check),
            _ => ignored(&key, &SERVICE_HEALTH),
        }
    }
    match (probes.pop(), probes.is_empty()) {
        (Some(probe), true) => Some(Health { probe, ..health }),
        _ if check.found_errors() => None,
        _ => {
            let message = "`health` needs exactly one of `url` and `run`";
            let help = "for example `health: {url: 'http://127.0.0.1:8000/healthz'}`";
            check.push(Diagnostic::error("plan::missing-key", at, message).help(help));
            None
        }
    }
}

fn drain(tree: Tree, check: &mut Check<'_>) -> Drain {
    let mut drain = Drain { run: Vec::new(), interval: Span::from_secs(1), within: Span::from_secs(30) };
    for (key, value) in entries(tree) {
        match &*key.text {
            "run" => drain.run = command(value, check),
            "interval" => set(&mut drain.interval, span(value), check),
            "within" => set(&mut drain.within, span(value), check),
            _ => ignored(&key, &SERVICE_DRAIN),
        }
    }
    drain
}

fn restart(tree: Tree, check: &mut Check<'_>) -> Restart {
    let mut restart = Restart::default();
    for (key, value) in entries(tree) {
        match &*key.text {
            "max" => set(&mut restart.max, count(value), check),
            "within" => set(&mut restart.within, span(value), check),
            "delay" => set(&mut restart.delay, span(value), check),
            "max-delay" => set(&mut restart.max_delay, span(value), check),
            _ => ignored(&key, &SERVICE_RESTART),
        }
    }
    restart
}

/// The stop sequence: one step, or a list of them.
fn steps(tree: Tree, check: &mut Check<'_>) -> Vec<StopStep> {
    let all = if matches!(tree.kind, Kind::List(_)) { items(tree) } else { vec![tree] };
    all.into_iter().map(|one| step(one, check)).collect()
}

fn step(tree: Tree, check: &mut Check<'_>) -> StopStep {
    let mut step = StopStep { signal: Signal::Term, grace: GRACE };
    for (key, value) in entries(tree) {
        match &*key.text {
            "signal" => step.signal = super::parts::signal(&value).map_or(Signal::Term, |signal| signal.value),
            "grace" => set(&mut step.grace, span(value), check),
            _ => ignored(&key, &STOP),
        }
    }
    step
}

/// A script, or words.
fn command(tree: Tree, check: &mut Check<'_>) -> Vec<String> {
    if matches!(tree.kind, Kind::List(_)) {
        return list(tree, check);
    }
    let script = plain(tree, check).unwrap_or_default();
    SHELL.into_iter().chain(["-c", &script]).map(str::to_owned).collect()
}

/// One text, or several.
fn list(tree: Tree, check: &mut Check<'_>) -> Vec<String> {
    let all = if matches!(tree.kind, Kind::List(_)) { items(tree) } else { vec![tree] };
    all.into_iter().filter_map(|one| plain(one, check)).collect()
}

/// Text that is no template.
fn plain(tree: Tree, check: &mut Check<'_>) -> Option<String> {
    let Spanned { value, at } = text(tree)?;
    refuse_template(&value, at, check);
    Some(value.to_string())
}

fn url(tree: Tree, check: &mut Check<'_>) -> Option<String> {
    let at = tree.at;
    let url = plain(tree, check)?;
    if !(url.starts_with("http://") || url.starts_with("https://")) {
        let message = format!("`url` must begin with `http://` or `https://`, this is `{url}`");
        check.push(Diagnostic::error("plan::wrong-type", at, message));
    }
    Some(url)
}

fn variables(tree: Tree, check: &mut Check<'_>) -> Vec<(String, String)> {
    let value = |tree: Tree, check: &mut Check<'_>| match &tree.kind {
        Kind::Bool(on) => on.to_string(),
        Kind::Int(number) => number.to_string(),
        _ => plain(tree, check).unwrap_or_default(),
    };
    entries(tree).into_iter().map(|(key, it)| (key.text.to_string(), value(it, check))).collect()
}

fn set<T>(to: &mut T, setting: Option<Setting<T>>, check: &mut Check<'_>) {
    if let Some(value) = settled(setting, |at| refuse(at, check)) {
        *to = value.value;
    }
}

fn refuse_template(text: &Text, at: Place, check: &mut Check<'_>) {
    if text.contains("{{") {
        refuse(at, check);
    }
}

fn refuse(at: Place, check: &mut Check<'_>) {
    let message = "a service's file holds values, not templates";
    let help = "write the value out, or render it into an `env-file`";
    check.push(Diagnostic::error("service::template", at, message).help(help));
}
