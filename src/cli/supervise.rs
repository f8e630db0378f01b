//! `engine supervise FILE`: starts a service, watches it, starts it again and stops it.
//!
//! Exit codes: 0 when it was asked to stop, 1 when the guard refuses or the service was given up, 3 when the file is
//! wrong, 4 when nobody supervises the service that is asked about, 7 when another process does.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use super::args::SuperviseArgs;
use super::exit::Exit;
use super::fault::{Answer, Fault};
use super::settings::Settings;
use super::{find, print};
use crate::base::{Millis, RunId, Span};
use crate::driver::host;
use crate::driver::ports::{self, Clock};
use crate::driver::supervise::machine::End;
use crate::driver::supervise::{self, Manners, Place, record};
use crate::driver::surroundings::Surroundings;
use crate::exec::unix;
use crate::journal::tickets::{Finding, Tickets};
use crate::plan::Report;
use crate::plan::error;
use crate::plan::service::{self, Service};
use crate::plan::source::{File, Sources};
use crate::report::{clean, hint, words};

/// How often a supervisor that was asked to stop is looked at.
const BEAT: Duration = Duration::from_millis(50);
/// How much longer than its file says a stop may take, for a machine that has other things to do.
const SLACK: Span = Span::from_secs(10);

/// Does what was asked of the service in a file.
pub(super) fn run(args: &SuperviseArgs, settings: &Settings) -> Answer {
    let service = read(&args.file, settings)?;
    if args.check {
        if !settings.quiet {
            print::line(&format!("{}: service {}, no errors", args.file.display(), service.name));
        }
        return Ok(Exit::Success);
    }
    if args.status {
        return status(&service, args.json, settings);
    }
    if args.stop {
        return stop(&service, settings);
    }
    let place =
        Place { surroundings: Surroundings::read(settings.root.clone()), state_dir: settings.state_dir.clone() };
    let name = service.name.clone();
    let is_quiet = settings.quiet;
    let mut tell = |line: &str| {
        if !is_quiet {
            print::note(&format!("{name} | {line}"));
        }
    };
    let out: Box<dyn std::io::Write + Send> = Box::new(std::io::stdout());
    match supervise::supervise(&service, &place, Manners { out, tell: &mut tell }) {
        Ok(End::Stopped) => Ok(Exit::Success),
        Ok(End::Refused(why)) => {
            let fault = Fault::new(Exit::Failed, format!("service `{}` was not started: {why}", service.name));
            Err(fault.help("mend what its guard looks at, then supervise it again"))
        }
        Ok(End::GivenUp(why)) => {
            let often = service.restart.max;
            let within = service.restart.within;
            give_up(&service, &why, args, settings)?;
            let fault = Fault::new(Exit::Failed, format!("service `{}` was given up: {why}", service.name));
            Err(fault.help(format!("it was started again {often} times within {within}: look at what it printed")))
        }
        Err(error @ host::Error::Supervised { .. }) => {
            let file = args.file.display().to_string();
            Err(Fault::new(Exit::Busy, error.to_string())
                .help(format!("see it: {}", hint::supervise("--status ", &file)))
                .help(format!("stop it: {}", hint::supervise("--stop ", &file))))
        }
        Err(error) => Err(Fault::new(Exit::Environment, error.to_string())),
    }
}

/// Somebody must look at a service that is not started again: a ticket, the same one each time.
fn give_up(service: &Service, why: &str, args: &SuperviseArgs, settings: &Settings) -> Result<(), Fault> {
    let name = service.name.as_str();
    let path = settings.path_from_root(&args.file);
    let at = ports::wall_ms();
    let facts = json!({
        "kind": "given-up",
        "severity": "critical",
        "path": path,
        "service": name,
        "title": format!("service `{name}` was given up"),
        "errors": [clean::plain(why)],
        "suggestion": [hint::supervise("--status ", &path), hint::supervise("", &path)],
    });
    let serde_json::Value::Object(facts) = facts else { unreachable!("it was written as a map") };
    let text = ["engine ticket 1", &path, "given-up", name].join("\n");
    let id = blake3::hash(text.as_bytes()).to_hex()[..12].to_owned();
    let run = RunId::parse(&format!("service-{name}")).unwrap_or_else(|| ports::new_run_id(at));
    let seq = u64::try_from(at).unwrap_or_default();
    let found = Finding { id, run, seq, at: words::utc(at, Millis::ZERO), facts };
    Tickets::new(&find::state(settings)?).file(&found)?;
    Ok(())
}

/// Reads the file; what is wrong with it has been told when nothing comes back.
fn read(path: &Path, settings: &Settings) -> Result<Service, Fault> {
    let unreadable = |error| Fault::new(Exit::Invalid, format!("`{}` cannot be read: {error}", path.display()));
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Fault::new(Exit::Invalid, format!("`{}` is not UTF-8 text", path.display())))?;
    let (mut sources, mut report) = (Sources::default(), Report::default());
    let file = sources.add(File { path: settings.path_from_root(path), text: text.into() });
    match service::read(&sources, file, &mut report) {
        Some(service) => Ok(service),
        None => {
            let color = settings.color_err && std::io::stderr().is_terminal();
            print::note(error::text(&report.sorted(), &sources, color).trim_end());
            Err(Fault::told(Exit::Invalid))
        }
    }
}

fn status(service: &Service, as_json: bool, settings: &Settings) -> Answer {
    let record = record::read(&settings.state_dir, &service.name);
    let is_held = record::is_held(&settings.state_dir, &service.name);
    let Some(record) = record else {
        return Err(nobody(service));
    };
    let state = if is_held { record.state.as_str() } else { "over" };
    let up_ms = record.started_ms.filter(|_| is_held).map(|at| ports::wall_ms().saturating_sub(at).max(0));
    if as_json {
        print::json(&json!({
            "version": 1, "service": record.service, "state": state, "live": is_held,
            "supervisor": is_held.then_some(record.supervisor), "process": record.process.filter(|_| is_held),
            "up_ms": up_ms, "restarts": record.restarts, "last": record.last,
        }));
    } else {
        let mut line = format!("{}: {state}", record.service);
        if let Some(up) = up_ms {
            let up = Span::from_secs(u64::try_from(up / 1000).unwrap_or(0));
            let _ = write!(line, " for {up}");
        }
        if let Some(process) = record.process.filter(|_| is_held) {
            let _ = write!(line, ", process {process}");
        }
        let _ = write!(line, ", {} restarts; {}", record.restarts, record.last);
        print::line(&line);
    }
    Ok(if is_held { Exit::Success } else { Exit::NotFound })
}

fn nobody(service: &Service) -> Fault {
    Fault::new(Exit::NotFound, format!("nobody supervises service `{}`", service.name))
}

/// Asks the supervisor to stop the service, and waits until both are gone.
fn stop(service: &Service, settings: &Settings) -> Answer {
    let state = &settings.state_dir;
    let Some(record) = record::read(state, &service.name).filter(|_| record::is_held(state, &service.name)) else {
        return Err(nobody(service));
    };
    let Some(pid) = unix::raw(record.supervisor) else { return Err(nobody(service)) };
    rustix::process::kill_process(pid, Signal::TERM).map_err(|error| {
        let message = format!("process {} cannot be asked to stop: {error}", record.supervisor);
        Fault::new(Exit::Environment, message)
    })?;
    let steps =
        service.stop.iter().fold(SLACK, |sum, step| Span::from_ms(sum.ms().saturating_add(step.grace.ms())));
    let drain = service.drain.as_ref().map_or(0, |drain| drain.within.ms());
    let most = Span::from_ms(steps.ms().saturating_add(drain));
    let clock = Clock::begin();
    while record::is_held(state, &service.name) {
        if clock.now().since(Millis::ZERO) > most {
            let message = format!("service `{}` is still there after {most}", service.name);
            return Err(Fault::new(Exit::Failed, message));
        }
        ports::pause(BEAT);
    }
    if !settings.quiet {
        print::line(&format!("stopped service {}", service.name));
    }
    Ok(Exit::Success)
}
