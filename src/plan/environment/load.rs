//! Reads the files of one environment: its catalog, its layers from the top down, its exceptions.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::model::{Catalog, Exception, Layer};
use super::resolve::{Environment, resolve};
use crate::base::Text;
use crate::base::limits::{MAX_FILES, MAX_LAYERS};
use crate::plan::decode;
use crate::plan::error::{Diagnostic, Report, nearest};
use crate::plan::source::{File, FileIx, Loader, Place, Sources, Spanned};

/// Where all environments lie.
const ROOT: &str = "environments";
/// How their files may end.
const ENDINGS: [&str; 4] = ["yaml", "yml", "toml", "json"];

/// Reads the environment called `name` and adds its files to `sources`. `asked` is where a plan names it.
///
/// Whatever is wrong goes to `report`. What comes back has everything that could be read, also when there are
/// errors; nothing does when there is no such environment.
pub fn load(
    loader: &dyn Loader,
    name: &str,
    asked: Option<Place>,
    sources: &mut Sources,
    report: &mut Report,
) -> Option<Environment> {
    Library::new(loader).open(name, asked, sources, report)
}

/// Reads several environments; a file that they share is read once.
pub struct Library<'a> {
    loader: &'a dyn Loader,
    files: BTreeMap<String, FileIx>,
    catalogs: BTreeMap<String, Option<Arc<Catalog>>>,
    layers: BTreeMap<FileIx, Option<Arc<Layer>>>,
    exceptions: BTreeMap<String, Arc<Vec<Exception>>>,
}

impl<'a> Library<'a> {
    /// One that reads through `loader`. All calls must bring the same sources.
    pub const fn new(loader: &'a dyn Loader) -> Self {
        Self {
            loader,
            files: BTreeMap::new(),
            catalogs: BTreeMap::new(),
            layers: BTreeMap::new(),
            exceptions: BTreeMap::new(),
        }
    }

    /// As [`load`].
    pub fn open(
        &mut self,
        name: &str,
        asked: Option<Place>,
        sources: &mut Sources,
        report: &mut Report,
    ) -> Option<Environment> {
        let mut reading = Reading { library: self, sources, report, folder: String::new(), asked };
        if !is_name(name) {
            let at = reading.asked_at(name);
            let message = format!("`{name}` is no environment's name");
            let help = "a name is like `staging`, or `router/staging` in a folder of its own";
            reading.report.push(Diagnostic::error("env::bad-name", at, message).help(help));
            return None;
        }
        let (folder, own) = name.rsplit_once('/').map_or((None, name), |(folder, own)| (Some(folder), own));
        reading.folder = folder.map_or_else(|| ROOT.to_owned(), |folder| format!("{ROOT}/{folder}"));
        let layers = reading.layers(name, own)?;
        let catalog = reading.catalog(layers.last().map(|layer| layer.file))?;
        let exceptions = reading.exceptions();
        let Reading { folder, report, .. } = reading;
        Some(resolve(name, folder, catalog, layers, exceptions, report))
    }
}

impl Library<'_> {
    /// Exceptions that name environments which are not there: they would excuse nothing, and nobody would notice.
    pub fn strangers(&self, environment: &Environment, report: &mut Report) {
        let is_there = |own: &str| {
            ENDINGS.iter().any(|ending| self.loader.has(&format!("{}/{own}.{ending}", environment.folder)))
        };
        for name in environment.exceptions.iter().flat_map(|exception| &exception.environments) {
            if !is_there(&name.value) {
                let message = format!("an exception names the environment `{}`, which does not exist", name.value);
                let near = environment.layers.iter().map(|layer| layer.name.as_str());
                let mut found = Diagnostic::error("env::unknown-environment", name.at, message);
                found.help = nearest(&name.value, near).map(|near| format!("did you mean `{near}`?"));
                report.push(found);
            }
        }
    }
}

/// Whether `text` can name an environment: ids with `/` between them, the last one no word of ours.
pub fn is_name(text: &str) -> bool {
    let last = text.rsplit('/').next().unwrap_or(text);
    text.split('/').all(decode::is_id) && !matches!(last, "catalog" | "exceptions")
}

struct Reading<'r, 'a> {
    library: &'r mut Library<'a>,
    sources: &'r mut Sources,
    report: &'r mut Report,
    folder: String,
    asked: Option<Place>,
}

impl Reading<'_, '_> {
    /// Where an environment that cannot be read was asked for; on the command line that is nowhere.
    fn asked_at(&mut self, name: &str) -> Place {
        self.asked.unwrap_or_else(|| {
            let path = format!("{ROOT}/{name}");
            start(self.sources.add(File { path, text: "".into() }))
        })
    }

    /// The file with this name and any ending.
    fn find(&mut self, stem: &str) -> Result<FileIx, String> {
        let paths = ENDINGS.map(|ending| format!("{}/{stem}.{ending}", self.folder));
        if let Some(&known) = paths.iter().find_map(|path| self.library.files.get(path)) {
            return Ok(known);
        }
        let loader = self.library.loader;
        let there: Vec<&String> = paths.iter().filter(|path| loader.has(path)).collect();
        let path = match there[..] {
            [] => &paths[0],
            [path] => path,
            [one, two, ..] => return Err(format!("both `{one}` and `{two}` are there: keep one of them")),
        };
        if self.sources.files().len() >= MAX_FILES {
            return Err(format!("there are more than {MAX_FILES} files (MAX_FILES)"));
        }
        let text = loader.load(path)?;
        let file = self.sources.add(File { path: path.clone(), text: text.into() });
        self.library.files.insert(path.clone(), file);
        Ok(file)
    }

    /// The layers, weakest first.
    fn layers(&mut self, name: &str, own: &str) -> Option<Vec<Arc<Layer>>> {
        let mut layers: Vec<Arc<Layer>> = Vec::new();
        let mut next = Some(Spanned::new(own.into(), Place { file: FileIx(0), start: 0, end: 0 }));
        while let Some(wanted) = next.take() {
            let is_first = layers.is_empty();
            if let Some(cycle) = cycle(&layers, &wanted) {
                self.report.push(cycle);
                break;
            }
            if layers.len() >= MAX_LAYERS {
                let message = format!("environments extend each other more than {MAX_LAYERS} deep (MAX_LAYERS)");
                self.report.push(Diagnostic::error("env::too-deep", wanted.at, message));
                break;
            }
            let file = match self.find(&wanted.value) {
                Ok(file) => file,
                Err(why) => {
                    let at = if is_first { self.asked_at(name) } else { wanted.at };
                    let message = if is_first {
                        format!("the environment `{name}` cannot be read: {why}")
                    } else {
                        format!("the layer `{}` cannot be read: {why}", wanted.value)
                    };
                    self.report.push(Diagnostic::error("env::unreadable", at, message));
                    break;
                }
            };
            let Some(layer) = self.layer(&wanted.value, file) else { break };
            next.clone_from(&layer.extends);
            layers.push(layer);
        }
        layers.reverse();
        (!layers.is_empty()).then_some(layers)
    }

    fn layer(&mut self, name: &str, file: FileIx) -> Option<Arc<Layer>> {
        if let Some(known) = self.library.layers.get(&file) {
            return known.clone();
        }
        let tree = crate::plan::read(self.sources, file, self.report);
        let layer = tree.map(|tree| Arc::new(decode::layer(name, tree, self.sources, self.report)));
        self.library.layers.insert(file, layer.clone());
        layer
    }

    fn catalog(&mut self, beside: Option<FileIx>) -> Option<Arc<Catalog>> {
        if let Some(known) = self.library.catalogs.get(&self.folder) {
            return known.clone();
        }
        let catalog = match self.find("catalog") {
            Ok(file) => crate::plan::read(self.sources, file, self.report)
                .map(|tree| Arc::new(decode::catalog(tree, self.sources, self.report))),
            Err(why) => {
                let at = self.asked.or_else(|| beside.map(start)).expect("a layer was read before its catalog");
                let message = format!("the catalog of `{}` cannot be read: {why}", self.folder);
                let help = "a catalog declares every key; `engine env import .env.example` writes one to review";
                self.report.push(Diagnostic::error("env::unreadable", at, message).help(help));
                None
            }
        };
        self.library.catalogs.insert(self.folder.clone(), catalog.clone());
        catalog
    }

    fn exceptions(&mut self) -> Arc<Vec<Exception>> {
        if let Some(known) = self.library.exceptions.get(&self.folder) {
            return known.clone();
        }
        let path = |ending: &str| format!("{}/exceptions.{ending}", self.folder);
        let is_there = ENDINGS.iter().any(|ending| self.library.loader.has(&path(ending)));
        let found = if is_there { self.find("exceptions").map(Some) } else { Ok(None) };
        let tree = match found {
            Ok(file) => file.and_then(|file| crate::plan::read(self.sources, file, self.report)),
            Err(why) => {
                let at = self.asked.unwrap_or(start(FileIx(0)));
                let message = format!("the exceptions of `{}` cannot be read: {why}", self.folder);
                self.report.push(Diagnostic::error("env::unreadable", at, message));
                None
            }
        };
        let list = tree.map_or_else(Vec::new, |tree| decode::exceptions(tree, self.sources, self.report));
        let list = Arc::new(list);
        self.library.exceptions.insert(self.folder.clone(), list.clone());
        list
    }
}

/// The whole way round, when `wanted` is among `layers` (strongest first) already.
fn cycle(layers: &[Arc<Layer>], wanted: &Spanned<Text>) -> Option<Diagnostic> {
    let first = layers.iter().position(|layer| *layer.name == *wanted.value)?;
    let round: Vec<String> = layers[first..].iter().map(|layer| format!("`{}`", layer.name)).collect();
    let message =
        format!("environments extend each other in a circle: {} → `{}`", round.join(" → "), wanted.value);
    let mut found = Diagnostic::error("env::cycle", wanted.at, message).help("let one of them extend nothing");
    for layer in &layers[first..layers.len() - 1] {
        if let Some(extends) = &layer.extends {
            found = found.related(extends.at, format!("`{}` extends `{}`", layer.name, extends.value));
        }
    }
    Some(found)
}

/// The first byte of a file.
fn start(file: FileIx) -> Place {
    Place { file, start: 0, end: 0 }
}
