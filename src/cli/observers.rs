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
    pub(super) observers: Vec<Box<dyn Observer + Send>>,
    /// Whether the console itself says that an approval can be answered by typing.
    pub(super) asks: bool,
}

/// What a run is asked to show and to leave beside its journal. Made before the run exists, so that a wrong word
/// or a file that cannot be written leaves no run behind.
pub(super) struct Wanted {
    output: Output,
    events: Option<(PathBuf, File)>,
    reports: Vec<Report>,
    /// What shields a log on GitHub from commands in the output of stages.
    token: String,
}

impl Wanted {
    /// Reads the flags and opens the events file.
    pub(super) fn of(args: &ShowArgs) -> Result<Self, Fault> {
        let token = ports::secret_word()
            .map_err(|error| Fault::new(Exit::Environment, format!("`/dev/urandom` cannot be read: {error}")))?;
        let events = args.events.as_ref().map(|path| create(path).map(|file| (path.clone(), file))).transpose()?;
        Ok(Self { output: args.output, reports: reports(args)?, events, token })
    }
}

/// The observers that fit the place. `is_attended`: somebody at the terminal can be asked.
pub(super) fn choose(
    wanted: Wanted,
    settings: &Settings,
    view: View,
    compiled: &Compiled,
    is_attended: bool,
) -> Chosen {
    // What goes to standard output comes behind the console's last word; files wait for no terminal.
    let (printed, filed): (Vec<_>, Vec<_>) =
        wanted.reports.into_iter().partition(|report| matches!(report, Report::Summary(None)));
    let written = |wanted| Reports { view: view.clone(), tails: Tails::default(), wanted };
    let printed = (!printed.is_empty()).then(|| written(printed));
    let mut others: Vec<Box<dyn Observer + Send>> = Vec::new();
    if let Some((path, file)) = wanted.events {
        let out = BufWriter::new(Voiced::new(file, Some(path)));
        others.push(Box::new(events::Lines::new(view.clone(), out)));
    }
    if !filed.is_empty() {
        others.push(Box::new(written(filed)));
    }
    let look = Look { colour: settings.color, output: !settings.quiet };
    let kind = kind(wanted.output, settings);
    let asks = is_attended && matches!(kind, Kind::Tty);
    // A view of many stages is large: the last who wants one gets the one that is there.
    let console = console(kind, (look, asks), (view, compiled), &wanted.token);
    let mut observers = vec![match printed {
        Some(printed) => Box::new(Behind(console, printed)),
        None => console,
    }];
    observers.append(&mut others);
    Chosen { observers, asks }
}

/// The console that shows the run to whoever started it.
fn console(
    kind: Kind,
    (look, asks): (Look, bool),
    (view, compiled): (View, &Compiled),
    token: &str,
) -> Box<dyn Observer + Send> {
    let out = Voiced::new(std::io::stdout(), None);
    match kind {
        Kind::Tty => {
            let size = Box::new(|| Tty::<std::io::Stdout>::size_of(std::io::stdout()));
            let tty = Tty::new(view, out, look, size);
            Box::new(tty.asking(asks).in_zone(jiff::tz::TimeZone::system()))
        }
        Kind::Plain => Box::new(Plain::new(view, out, look)),
        Kind::GitHub => {
            let lines: BTreeMap<_, _> = compiled
                .graph
                .nodes
                .pairs()
                .map(|(ix, node)| {
                    let (line, _) = compiled.sources.line_column(node.place);
                    (ix, (compiled.sources.file(node.place.file).path.clone(), line))
                })
                .collect();
            Box::new(GitHub::new(view, out, look, token, lines))
        }
        Kind::GitLab => Box::new(GitLab::new(view, out, look)),
        Kind::Json => Box::new(events::Lines::new(view, out)),
        Kind::Quiet => Box::new(Quiet::new(view, out, look)),
    }
}

/// A writer that says once why nothing more gets there. A reader of standard output who went away has seen all that
/// they wanted.
struct Voiced<W> {
    out: W,
    path: Option<PathBuf>,
    is_told: bool,
}

impl<W: Write> Voiced<W> {
    /// Writes to `out`, which is the file at `path`, or standard output.
    fn new(out: W, path: Option<PathBuf>) -> Self {
        Self { out, path, is_told: false }
    }

    fn explain(&mut self, error: &std::io::Error) {
        let is_quiet = self.path.is_none() && error.kind() == std::io::ErrorKind::BrokenPipe;
        let is_passing = error.kind() == std::io::ErrorKind::Interrupted;
        if is_quiet || is_passing || std::mem::replace(&mut self.is_told, true) {
            return;
        }
        let what = match &self.path {
            Some(path) => format!("the events file `{}`", path.display()),
            None => "standard output".to_owned(),
        };
        super::print::note(&format!("warning: {what} has no more of this run, which goes on: {error}"));
    }
}

impl<W: Write> Write for Voiced<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.out.write(bytes).inspect_err(|error| self.explain(error))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush().inspect_err(|error| self.explain(error))
    }
}

/// A console, and reports that are printed behind its last word.
struct Behind(Box<dyn Observer + Send>, Reports);

impl Observer for Behind {
    fn record(&mut self, seq: u64, at: Millis, event: &Event) {
        self.0.record(seq, at, event);
        self.1.record(seq, at, event);
    }

    fn output(&mut self, attempt: Attempt, bytes: &[u8]) {
        self.0.output(attempt, bytes);
        self.1.output(attempt, bytes);
    }

    fn is_patient(&self) -> bool {
        self.0.is_patient() && self.1.is_patient()
    }

    fn tick(&mut self, now: Millis) {
        self.0.tick(now);
    }

    fn end(&mut self, summary: &Summary) {
        self.0.end(summary);
        self.1.end(summary);
    }
}

/// Which console.
#[derive(Clone, Copy)]
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

    fn is_patient(&self) -> bool {
        true
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
