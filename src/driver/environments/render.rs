//! Renders the files of an environment in memory, side by side, and proves that each says what was meant.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use super::check::Values;
use super::verify::{self, Expected, Meant};
use crate::base::limits::RENDER_STACK_BYTES;
use crate::base::{Digest, Text};
use crate::plan::environment::{Entry, Environment, FileRule};
use crate::plan::source::{Disk, File, FileIx, Loader, Place};
use crate::plan::{Diagnostic, Report, Sources};
use crate::render::files::{Bindings, Bound, FileError, FileFault, Rendered, Renderer};

/// The folder of all templates, from the root.
pub const TEMPLATES: &str = "templates";

/// A file that was rendered and read back.
#[derive(Debug)]
pub struct Made {
    /// Its rule.
    pub rule: FileRule,
    /// Where it belongs.
    pub to: PathBuf,
    /// What it holds.
    pub rendered: Rendered,
    /// The digest of its template.
    pub template: Digest,
}

/// Everything that one rendering made.
#[derive(Debug, Default)]
pub struct Batch {
    /// The files, in the order of their rules.
    pub files: Vec<Made>,
    /// The templates that were included, with their digests.
    pub includes: BTreeMap<String, Digest>,
}

/// A template that was read.
struct Job<'a> {
    rule: &'a FileRule,
    file: FileIx,
    text: Text,
}

/// Where files go when the command line or a stage says so.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    /// Only the files of these names; all when empty.
    pub only: Vec<String>,
    /// Another place for the only file, or a folder for all of them.
    pub to: Option<PathBuf>,
}

/// The files that `targets` asks for; a name that does not exist is told.
///
/// # Errors
/// A sentence for the user.
pub fn select<'e>(
    environment: &'e Environment,
    root: &Path,
    targets: &Targets,
) -> Result<Vec<(&'e FileRule, PathBuf)>, String> {
    let names = || environment.files.iter().map(|rule| rule.name.value.as_str());
    for name in &targets.only {
        if !names().any(|known| known == name) {
            let near = crate::plan::error::nearest(name, names()).map(|near| format!("; did you mean `{near}`?"));
            return Err(format!("`{}` has no file `{name}`{}", environment.name, near.unwrap_or_default()));
        }
    }
    let wanted: Vec<&FileRule> = environment
        .files
        .iter()
        .filter(|rule| targets.only.is_empty() || targets.only.iter().any(|only| *only == *rule.name.value))
        .collect();
    let is_one = wanted.len() == 1;
    let place = |rule: &FileRule| match &targets.to {
        None => root.join(rule.to.value.as_str()),
        Some(to) if is_one && !to.is_dir() => root.join(to),
        Some(to) => root.join(to).join(Path::new(rule.to.value.as_str()).file_name().unwrap_or_default()),
    };
    let placed: Vec<(&FileRule, PathBuf)> = wanted.into_iter().map(|rule| (rule, place(rule))).collect();
    for (at, (rule, to)) in placed.iter().enumerate() {
        if let Some((other, _)) = placed[..at].iter().find(|(_, known)| known == to) {
            let (one, other) = (&other.name.value, &rule.name.value);
            return Err(format!("`{one}` and `{other}` would both be written to `{}`", to.display()));
        }
    }
    Ok(placed)
}

/// Renders `files`. Whatever is wrong goes to `report`, at the template's line where that is known.
pub fn render(
    environment: &Environment,
    root: &Path,
    files: &[(&FileRule, PathBuf)],
    values: Values,
    (sources, report): (&mut Sources, &mut Report),
) -> Batch {
    let disk = Disk::new(root.join(TEMPLATES));
    let mut jobs = Vec::new();
    for (rule, _) in files {
        jobs.extend(read(&disk, rule, sources, report));
    }
    if jobs.len() < files.len() {
        return Batch::default();
    }
    let bound = bind(environment, values);
    let bindings = Bindings::new(&environment.name, &bound);
    let includes = Arc::new(Mutex::new(BTreeMap::new()));
    let noted = includes.clone();
    let renderer = Renderer::new(move |name| {
        let text = disk.load(name)?;
        let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.insert(name.to_owned(), Digest::of(text.as_bytes()));
        drop(noted);
        Ok(text)
    });
    let meant = meant(&bound);
    let one = |job: &Job<'_>| {
        let name = &job.rule.template.value;
        let rendered = renderer.render(name, &job.text, &bindings)?;
        let text = rendered.sealed.expose_text().expect("templates and values are UTF-8");
        verify::check(job.rule.format, text, &meant).map_err(|message| FileError {
            kind: FileFault::Value,
            template: name.to_string(),
            range: None,
            message,
            help: Some("quote it by a filter: `{{ KEY | dotenv }}`, `json`, `yaml`, `toml`".to_owned()),
        })?;
        Ok(rendered)
    };
    let made: Vec<Result<Rendered, FileError>> = deep(|| jobs.par_iter().map(one).collect());
    let mut batch = Batch::default();
    for ((job, made), (_, to)) in jobs.iter().zip(made).zip(files) {
        match made {
            Ok(rendered) => batch.files.push(Made {
                rule: job.rule.clone(),
                to: to.clone(),
                rendered,
                template: Digest::of(job.text.as_bytes()),
            }),
            Err(error) => tell(&error, job, root, sources, report),
        }
    }
    let mut noted = includes.lock().unwrap_or_else(PoisonError::into_inner);
    batch.includes = std::mem::take(&mut *noted);
    drop(noted);
    batch
}

/// Does `work` on threads with a stack for templates that lead into each other as deep as they may.
fn deep<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    match rayon::ThreadPoolBuilder::new().stack_size(RENDER_STACK_BYTES).build() {
        Ok(pool) => pool.install(work),
        // A system that gives no threads of its own lets us work where we are.
        Err(_) => work(),
    }
}

/// The template of a rule, read into `sources`.
fn read<'a>(disk: &Disk, rule: &'a FileRule, sources: &mut Sources, report: &mut Report) -> Option<Job<'a>> {
    match disk.load(&rule.template.value) {
        Ok(text) => {
            let text = Text::from(text);
            let path = format!("{TEMPLATES}/{}", rule.template.value);
            let file = add(sources, path, text.clone());
            Some(Job { rule, file, text })
        }
        Err(why) => {
            let message = format!("the template cannot be read: {why}");
            let help = format!("templates lie below `{TEMPLATES}/`, and are named from there");
            report.push(Diagnostic::error("env::template-unreadable", rule.template.at, message).help(help));
            None
        }
    }
}

/// The file of `sources` with this path; a template that many files use is kept once.
fn add(sources: &mut Sources, path: String, text: Text) -> FileIx {
    let known = sources.files().iter().position(|file| file.path == path);
    match known.and_then(|at| u16::try_from(at).ok()) {
        Some(at) => FileIx(at),
        None => sources.add(File { path, text }),
    }
}

/// Every key with its value.
fn bind(environment: &Environment, mut values: Values) -> BTreeMap<String, Bound> {
    let mut bound = BTreeMap::new();
    for (key, entry) in &environment.entries {
        match entry.value() {
            Some(value) => {
                bound.insert(key.clone(), Bound::Plain(value));
            }
            None => {
                let secret = values.remove(key).map(|found| Bound::Secret(Arc::new(found.value)));
                bound.extend(secret.map(|secret| (key.clone(), secret)));
            }
        }
    }
    bound
}

fn meant(bound: &BTreeMap<String, Bound>) -> Meant<'_> {
    let expected = |bound: &'_ Bound| match bound {
        Bound::Plain(value) => Some(Expected::Plain(value.clone())),
        Bound::Secret(_) => None,
    };
    let mut meant: Meant<'_> = bound.iter().filter_map(|(key, it)| Some((key.as_str(), expected(it)?))).collect();
    for (key, it) in bound {
        if let Bound::Secret(secret) = it
            && let Some(text) = secret.expose_text()
        {
            meant.insert(key, Expected::Secret(text));
        }
    }
    meant
}

/// Tells what is wrong with a template, in the file where it is.
fn tell(error: &FileError, job: &Job<'_>, root: &Path, sources: &mut Sources, report: &mut Report) {
    let code = match error.kind {
        FileFault::Undefined => "env::undefined",
        FileFault::Syntax => "env::bad-template",
        FileFault::Include => "env::include",
        FileFault::TooMuch => "env::too-much",
        FileFault::Misuse => "env::secret-misused",
        FileFault::Value => "env::bad-rendering",
    };
    let file = if *error.template == *job.rule.template.value {
        job.file
    } else {
        let text = Disk::new(root.join(TEMPLATES)).load(&error.template).unwrap_or_default();
        add(sources, format!("{TEMPLATES}/{}", error.template), text.into())
    };
    let length = sources.file(file).text.len();
    let range = error.range.clone().filter(|range| range.end <= length).unwrap_or(0..0);
    let byte = |at: usize| u32::try_from(at).expect("files are below 4 GiB");
    let at = Place { file, start: byte(range.start), end: byte(range.end) };
    let mut found = Diagnostic::error(code, at, error.message.clone());
    found.help.clone_from(&error.help);
    report.push(found.related(job.rule.name.at, format!("rendered as `{}`", job.rule.name.value)));
}

/// What `KEY` means when it is a value, for reports.
pub fn shown(entry: &Entry) -> String {
    match entry.value() {
        Some(value) => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
        None => crate::render::secret::HIDDEN.to_owned(),
    }
}
