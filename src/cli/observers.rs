//! Who hears of a live run: the console that fits the place, the events file, the reports at the end.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::PathBuf;

use super::args::{Output, ShowArgs};
use super::exit::Exit;
use super::fault::Fault;
use super::settings::Settings;
use crate::base::Millis;
use crate::driver::compile::Compiled;
use crate::driver::ports;
use crate::report::console::{GitHub, GitLab, Look, Plain, Quiet, Tty};
use crate::report::{Observer, Summary, Tails, View, events, html, junit, markdown};
use crate::run::{Attempt, Event};

/// The observers of a run.
pub(super) struct Chosen {
    /// Who hears of it.
    pub(super) observers: Vec<Box<dyn Observer>>,
    /// Whether any of them shows what stages print.
    pub(super) shows_output: bool,
    /// Whether the console itself says that an approval can be answered by typing.
    pub(super) asks: bool,
}

/// What a run is asked to show and to leave beside its journal. Made before the run exists, so that a wrong word
/// or a file that cannot be written leaves no run behind.
pub(super) struct Wanted {
    output: Output,
    events: Option<File>,
    reports: Vec<Report>,
    /// What shields a log on GitHub from commands in the output of stages.
    token: String,
}

impl Wanted {
    /// Reads the flags and opens the events file.
    pub(super) fn of(args: &ShowArgs) -> Result<Self, Fault> {
        let token = ports::secret_word()
            .map_err(|error| Fault::new(Exit::Environment, format!("`/dev/urandom` cannot be read: {error}")))?;
        let events = args.events.as_ref().map(create).transpose()?;
        Ok(Self { output: args.output, reports: reports(args)?, events, token })
    }
}

/// The observers that fit the place. `is_attended`: somebody at the terminal can be asked.
pub(super) fn choose(
    wanted: Wanted,
    settings: &Settings,
    view: &View,
    compiled: &Compiled,
    is_attended: bool,
) -> Chosen {
    let look = Look { colour: settings.color, output: !settings.quiet };
    let out = std::io::stdout;
    let kind = kind(wanted.output, settings);
    let asks = is_attended && matches!(kind, Kind::Tty);
    let (console, shows): (Box<dyn Observer>, bool) = match kind {
        Kind::Tty => {
            let tty = Tty::new(
                view.clone(),
                out(),
                look,
                Box::new(|| Tty::<std::io::Stdout>::size_of(std::io::stdout())),
            );
            (Box::new(tty.asking(asks)), true)
        }
        Kind::Plain => (Box::new(Plain::new(view.clone(), out(), look)), true),
        Kind::GitHub => {
            let lines: BTreeMap<_, _> = compiled
                .graph
                .nodes
                .pairs()
                .map(|(ix, node)| {
                    let (line, _) = compiled.loaded.sources.line_column(node.place);
                    (ix, (compiled.loaded.sources.file(node.place.file).path.clone(), line))
                })
                .collect();
            (Box::new(GitHub::new(view.clone(), out(), look, &wanted.token, lines)), true)
        }
        Kind::GitLab => (Box::new(GitLab::new(view.clone(), out(), look)), true),
        Kind::Json => (Box::new(events::Lines::new(view.clone(), out())), false),
        Kind::Quiet => (Box::new(Quiet::new(view.clone(), out(), look)), true),
    };
    let mut observers = vec![console];
    if let Some(file) = wanted.events {
        observers.push(Box::new(events::Lines::new(view.clone(), BufWriter::new(file))));
    }
    let keeps_tails = !wanted.reports.is_empty();
    if keeps_tails {
        let (view, tails) = (view.clone(), Tails::default());
        observers.push(Box::new(Reports { view, tails, wanted: wanted.reports }));
    }
    Chosen { observers, shows_output: shows || keeps_tails, asks }
}

/// Which console.
enum Kind {
    Tty,
    Plain,
    GitHub,
    GitLab,
    Json,
    Quiet,
}

fn kind(output: Output, settings: &Settings) -> Kind {
    let is_set = |name: &str| std::env::var(name).is_ok_and(|value| value == "true");
    let term = std::env::var("TERM").ok();
    match output {
        Output::Quiet => Kind::Quiet,
        _ if settings.quiet => Kind::Quiet,
        Output::Json => Kind::Json,
        Output::Tty => Kind::Tty,
        Output::Auto if is_set("GITHUB_ACTIONS") => Kind::GitHub,
        Output::Auto if is_set("GITLAB_CI") => Kind::GitLab,
        Output::Auto if std::io::stdout().is_terminal() && Tty::<std::io::Stdout>::suits(term.as_deref()) => {
            Kind::Tty
        }
        Output::Plain | Output::Auto => Kind::Plain,
    }
}

fn create(path: &PathBuf) -> Result<File, Fault> {
    File::create(path).map_err(|error| {
        let fault = Fault::new(Exit::Environment, format!("cannot write `{}`: {error}", path.display()));
        match error.kind() {
            std::io::ErrorKind::NotFound => fault.help("make its folder first"),
            _ => fault,
        }
    })
}

/// A report to write when the engine is done.
enum Report {
    Junit(PathBuf),
    Html(PathBuf),
    /// Appended, as CI hosts want it; to standard output without a file.
    Summary(Option<PathBuf>),
}

fn reports(args: &ShowArgs) -> Result<Vec<Report>, Fault> {
    let mut reports = Vec::new();
    for text in &args.report {
        reports.push(match text.split_once('=') {
            Some(("junit", path)) => Report::Junit(path.into()),
            Some(("html", path)) => Report::Html(path.into()),
            Some(("summary", path)) => Report::Summary(Some(path.into())),
            None if text == "summary" => {
                Report::Summary(std::env::var_os("GITHUB_STEP_SUMMARY").map(PathBuf::from))
            }
            _ => {
                return Err(Fault::new(Exit::Usage, format!("`--report {text}` is not known"))
                    .help("write --report junit=FILE, html=FILE, summary=FILE or summary"));
            }
        });
    }
    let on_github = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|_| args.output == Output::Auto);
    if let Some(path) = on_github.filter(|_| !reports.iter().any(|one| matches!(one, Report::Summary(_)))) {
        reports.push(Report::Summary(Some(path.into())));
    }
    Ok(reports)
}

/// Writes reports at the end.
struct Reports {
    view: View,
    tails: Tails,
    wanted: Vec<Report>,
}

impl Observer for Reports {
    fn record(&mut self, seq: u64, at: Millis, event: &Event) {
        self.tails.record(event);
        self.view.record(seq, at, event);
    }

    fn output(&mut self, attempt: Attempt, bytes: &[u8]) {
        self.tails.output(attempt, bytes);
    }

    fn tick(&mut self, _: Millis) {}

    fn end(&mut self, _: &Summary) {
        for report in &self.wanted {
            let (path, written) = match report {
                Report::Junit(path) => (path, put(path, &junit::render(&self.view, &self.tails), false)),
                Report::Html(path) => {
                    let text = html::render(&self.view, &self.tails, &jiff::tz::TimeZone::system());
                    (path, put(path, &text, false))
                }
                Report::Summary(Some(path)) => (path, put(path, &markdown::render(&self.view, &self.tails), true)),
                Report::Summary(None) => {
                    super::print::out(&markdown::render(&self.view, &self.tails));
                    continue;
                }
            };
            if let Err(error) = written {
                let path = path.display();
                super::print::note(&format!("warning: the report `{path}` could not be written: {error}"));
            }
        }
    }
}

/// Writes a report, and makes the folders above it.
fn put(path: &std::path::Path, text: &str, appends: bool) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = File::options().create(true).write(true).append(appends).truncate(!appends).open(path)?;
    file.write_all(text.as_bytes())
}
