//! The command line: one file for each command, one mapping to exit codes.
//!
//! [`main`] reads the arguments. `run` and `resume` are guarded: the process that the user started is a thin
//! front of the worker, its fork (see [`crate::exec::guard`]). Everything else works
//! in one process. Commands give back an [`exit::Exit`] or a [`fault::Fault`], which is told here.

mod act;
pub mod args;
mod change;
mod check;
mod clerk;
mod commit;
mod completions;
mod doctor;
pub mod env;
pub mod exit;
mod fault;
mod find;
mod forecast;
mod gate;
mod graph;
mod init;
mod inputs;
mod keys;
mod logs;
mod look;
mod man;
mod observers;
mod parts;
mod plan;
mod preview;
mod print;
mod queue;
mod resume;
mod rollback;
mod run;
mod secrets;
mod selection;
mod settings;
mod simulate;
mod slo;
mod status;
mod supervise;
mod tickets;
mod timebox;

use std::process::ExitCode;

use self::args::{Cli, Doing, Verb};
use self::exit::Exit;
use self::fault::{Answer, Fault};
use self::settings::Settings;
use crate::exec::{guard, hearing};
use crate::report::hint;

/// Reads the arguments, does what they say, and gives the exit code.
pub fn main() -> ExitCode {
    hearing::hear_all();
    if let Some(code) = guard::stand_watch() {
        return ExitCode::from(code);
    }
    if asks_for_version_alone(std::env::args_os().skip(1)) {
        print::out(VERSION_LINE);
        return Exit::Success.into();
    }
    let words: Vec<_> = std::env::args_os().collect();
    if begins_work(&words)
        && let Some(code) = divide()
    {
        return code;
    }
    let cli = match Cli::read(&words) {
        Ok(cli) => cli,
        Err(error) => {
            // A closed pipe is the only way this fails, and then nobody reads it.
            let _ = error.print();
            guard::leave_idle();
            let code = if error.use_stderr() { Exit::Usage } else { Exit::Success };
            return code.into();
        }
    };
    if !guard::is_worker()
        && is_guarded(&cli.verb)
        && let Some(code) = divide()
    {
        return code;
    }
    trace(cli.global.verbose);
    let answer = std::panic::catch_unwind(|| dispatch(&cli));
    if answer.is_ok() {
        guard::leave_idle();
    }
    match answer {
        Ok(Ok(exit)) => exit.into(),
        Ok(Err(fault)) => fault.tell().into(),
        // The panic itself was printed where it happened.
        Err(_) => {
            Fault::new(Exit::Internal, "this is a fault of the engine itself; what was acknowledged is safe")
                .help(format!("go on with: {}", hint::command("resume")))
                .tell()
                .into()
        }
    }
}

/// Whether these words ask for work, whatever else they say: what is wrong with them is then told by the worker, so that
/// they are read once.
fn begins_work(words: &[std::ffi::OsString]) -> bool {
    Doing::asked(words).is_some()
        && !words.iter().any(|word| ["--dry-run", "--help", "-h"].iter().any(|look| word == look))
}

/// Divides this process into the worker, which goes on with nothing, and the front that guards it, which gets the exit code.
fn divide() -> Option<ExitCode> {
    match guard::divide() {
        Ok(code) => code.map(ExitCode::from),
        Err(error) => Some(Fault::new(Exit::Environment, error.to_string()).tell().into()),
    }
}

/// What `--version` answers, for which nobody should wait until every verb and flag is described.
const VERSION_LINE: &str = concat!("engine ", env!("CARGO_PKG_VERSION"), "\n");

fn asks_for_version_alone(mut words: impl Iterator<Item = std::ffi::OsString>) -> bool {
    words.next().is_some_and(|word| word == "--version" || word == "-V") && words.next().is_none()
}

/// Whether a command starts processes of stages, or others that must not outlive it.
fn is_guarded(verb: &Verb) -> bool {
    match verb {
        Verb::Run(args) => !args.dry_run,
        Verb::Resume(_) => true,
        Verb::Supervise(args) => !(args.check || args.status || args.stop),
        Verb::Rollback(args) => rollback::is_guarded(args),
        Verb::Cancel(args) => args.rollback,
        Verb::Queue(args) => queue::is_guarded(args),
        Verb::Env(args) => env::is_guarded(args),
        _ => false,
    }
}

fn dispatch(cli: &Cli) -> Answer {
    let settings = Settings::read(&cli.global)
        .map_err(|error| Fault::new(Exit::Environment, format!("the current folder cannot be read: {error}")))?;
    let settings = &settings;
    match &cli.verb {
        Verb::Run(args) => run::run(args, settings),
        Verb::Resume(args) => resume::run(args, settings),
        Verb::Plan(args) => plan::run(args, settings),
        Verb::Merge(args) => parts::merge(args, settings),
        Verb::Ci(args) => parts::ci(args, settings),
        Verb::Simulate(args) => simulate::run(args, settings),
        Verb::Graph(args) => graph::run(args, settings),
        Verb::Check(args) => check::run(args, settings),
        Verb::Status(args) => status::run(args, settings),
        Verb::Runs(args) => status::list(args, settings),
        Verb::Logs(args) => logs::run(args, settings),
        Verb::Diff(args) => status::diff(args, settings),
        Verb::Report(args) => look::report(args, settings),
        Verb::Approve(args) => act::decide(args, true, settings),
        Verb::Reject(args) => act::decide(args, false, settings),
        Verb::Attest(args) => act::attest(args, settings),
        Verb::Resolve(args) => act::resolve(args, settings),
        Verb::Cancel(args) => act::cancel(args, settings),
        Verb::Rollback(args) => rollback::run(args, settings),
        Verb::Pause(args) => act::pause(args, true, settings),
        Verb::Unpause(args) => act::pause(args, false, settings),
        Verb::Unlock(args) => act::unlock(args, settings),
        Verb::Slo(args) => slo::run(args, settings),
        Verb::Queue(args) => queue::run(args, settings),
        Verb::Tickets(args) => tickets::run(args, settings),
        Verb::Keys(args) => keys::run(args),
        Verb::Verify(args) => look::verify(args, settings),
        Verb::Gc(args) => look::gc(args, settings),
        Verb::Schema(args) => Ok(look::schema(args)),
        Verb::Env(args) => env::run(args, settings),
        Verb::Gate(args) => gate::run(args, settings),
        Verb::Supervise(args) => supervise::run(args, settings),
        Verb::Init(args) => init::run(args),
        Verb::Explain(args) => look::explain(args),
        Verb::Doctor(args) => Ok(doctor::run(args, settings)),
        Verb::Completions(args) => Ok(completions::run(args)),
        Verb::Man(args) => man::run(args),
    }
}

/// What the engine says of itself with `-v`: warnings always, then info, then everything.
fn trace(verbose: u8) {
    let level = match verbose {
        0 => tracing::level_filters::LevelFilter::WARN,
        1 => tracing::level_filters::LevelFilter::INFO,
        _ => tracing::level_filters::LevelFilter::TRACE,
    };
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).without_time().init();
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::args::Cli;
    use super::{VERSION_LINE, asks_for_version_alone};

    #[test]
    fn the_short_way_to_the_version_says_what_the_long_one_says() {
        assert_eq!(VERSION_LINE, Cli::command().render_version());
        let asks = |words: &[&str]| asks_for_version_alone(words.iter().map(Into::into));
        assert!(asks(&["--version"]) && asks(&["-V"]));
        assert!(!asks(&[]) && !asks(&["run", "--version"]) && !asks(&["--version", "run"]));
    }

    /// What the short way reads is what the long way would have read.
    #[test]
    fn the_verbs_that_are_read_by_themselves_are_read_alike() {
        let lines: &[&[&str]] = &[
            &["engine", "run", "plan.yaml"],
            &["engine", "run", "-j", "3", "plan.yaml", "--set", "a=b", "--state-dir", "x", "-vv", "--only", "a;b"],
            &[
                "engine",
                "run",
                "plan.yaml",
                "--dry-run",
                "--quiet",
                "--color",
                "never",
                "--report",
                "junit=f,html=g",
            ],
            &["engine", "resume"],
            &["engine", "resume", "r-1", "--rerun", "a", "--accept-changes", "--output", "json"],
        ];
        for line in lines {
            let words: Vec<_> = line.iter().map(std::ffi::OsString::from).collect();
            let (short, long) = (Cli::read(&words).expect("it is right"), Cli::try_parse_from(&words));
            assert_eq!(format!("{short:?}"), format!("{:?}", long.expect("it is right")), "{line:?}");
        }
        for wrong in [&["engine", "run"][..], &["engine", "run", "--help"], &["engine", "resume", "--nonsense"]] {
            let words: Vec<_> = wrong.iter().map(std::ffi::OsString::from).collect();
            let [short, long] = [Cli::read(&words), Cli::try_parse_from(&words)].map(|read| read.map(drop));
            assert_eq!(short.expect_err("wrong").to_string(), long.expect_err("wrong").to_string(), "{wrong:?}");
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    /// `--set` has `ENGINE_INPUT_KEY` instead.
    #[test]
    fn every_flag_people_expect_has_its_twin() {
        let mut cli = Cli::command();
        cli.build();
        let run = cli.find_subcommand("run").expect("the main verb");
        let flags = [
            "dry_run",
            "jobs",
            "keep_going",
            "inputs",
            "only",
            "skip",
            "from",
            "to",
            "rerun",
            "state_dir",
            "run_id",
            "key",
            "seed",
            "output",
            "report",
            "events",
            "accept_changes",
            "no_input",
            "yes",
            "color",
            "quiet",
            "verbose",
            "resume",
            "time_box",
        ];
        for flag in flags {
            let found = run.get_arguments().find(|arg| arg.get_id() == flag);
            let twin = found.expect("the flag exists").get_env().map(|name| name.to_string_lossy().into_owned());
            assert!(twin.is_some_and(|name| name.starts_with("ENGINE_")), "`{flag}` has no twin");
        }
    }
}
