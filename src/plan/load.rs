//! Reads a plan and every action file it uses, recursively, each file once.

use std::collections::HashMap;

use super::decode::{self, Role, decode};
use super::environment::Environment;
use super::error::{Diagnostic, Report, nearest};
use super::model::{Body, Plan};
use super::nul;
use super::source::{File, FileIx, Loader, Place, Sources, Spanned};
use super::validate::validate;
use crate::base::Text;
use crate::base::limits::{MAX_FILES, MAX_USES_DEPTH};

/// A plan with all its files.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Every file that was read, the plan's own first.
    pub sources: Sources,
    /// The plan.
    pub plan: Plan,
    /// The action files, each once; `Body::File::action` points here.
    pub actions: Vec<Plan>,
    /// The plan's environment, once its name is known: whoever knows the inputs loads it.
    pub environment: Option<Box<Environment>>,
}

/// Reads the plan at `path` (relative to the root) and the files it uses.
///
/// Whatever is wrong goes to `report`. `Ok` means that the plan could be read as a map, not that it is right:
/// with errors in the report it must not run, but the graph builder may still look for more of them; a file
/// with [`Plan::partial`] set lacks what was wrong in it.
///
/// # Errors
/// The sources read so far, to show the report with, when there is nothing to go on with.
pub fn load(loader: &dyn Loader, path: &str, report: &mut Report) -> Result<Loaded, Sources> {
    let mut reading = Reading {
        loader,
        report,
        sources: Sources::default(),
        actions: Vec::new(),
        known: HashMap::new(),
        open: Vec::new(),
    };
    let path = normal(path);
    let text = match loader.load(&path) {
        Ok(text) => text,
        Err(reason) => {
            let file = reading.add(&path, String::new());
            let message = format!("the plan cannot be read: {reason}");
            reading.report.push(Diagnostic::error("plan::unreadable", start(file), message));
            return Err(reading.sources);
        }
    };
    let file = reading.add(&path, text);
    reading.open.push(Open { path, uses: None });
    let Some(mut plan) = reading.file(file, Role::Plan) else { return Err(reading.sources) };
    let Reading { sources, actions, .. } = reading;
    lend_pools(&mut plan, &actions);
    Ok(Loaded { sources, plan, actions, environment: None })
}

/// The files read so far.
struct Reading<'a> {
    loader: &'a dyn Loader,
    report: &'a mut Report,
    sources: Sources,
    actions: Vec<Plan>,
    /// Path to index in `actions`, of files that are read or being read.
    known: HashMap<String, usize>,
    /// The chain of files from the plan to the one being read.
    open: Vec<Open>,
}

/// A file on the way to the one being read.
struct Open {
    path: String,
    /// The `uses` that led to it; none for the plan.
    uses: Option<Place>,
}

impl Reading<'_> {
    fn add(&mut self, path: &str, text: String) -> FileIx {
        self.sources.add(File { path: path.to_owned(), text: text.into() })
    }

    /// Reads one file that is in `sources`, and the files that it uses.
    fn file(&mut self, file: FileIx, role: Role) -> Option<Plan> {
        let tree = super::read(&self.sources, file, self.report)?;
        nul::refuse(&tree, &self.sources.file(file).text, self.report);
        let mut plan = decode(tree, role, &self.sources, self.report);
        validate(&plan, self.report);
        let allow_outside = plan.allow_outside;
        let last = plan.finally.iter_mut().flat_map(|finally| &mut finally.stages);
        for stage in plan.stages.iter_mut().chain(last) {
            if let Body::File { uses, action, .. } = &mut stage.body {
                *action = self.uses(uses, file, allow_outside);
            }
        }
        Some(plan)
    }

    /// The index of the file that `uses` names; of an empty stand-in when it cannot be read.
    fn uses(&mut self, uses: &Spanned<Text>, from: FileIx, allow_outside: bool) -> usize {
        let base = self.sources.file(from).path.clone();
        let path = join(&base, &uses.value);
        if (path.starts_with("../") || path.starts_with('/')) && !allow_outside {
            let message = format!("`{}` leaves the project's root", uses.value);
            let help = "keep action files in the project, or write `allow-outside: true` at the top level";
            return self.stand_in(uses, from, Diagnostic::error("plan::outside", uses.at, message).help(help));
        }
        if let Some(cycle) = self.cycle(&path, uses) {
            return self.stand_in(uses, from, cycle);
        }
        if let Some(&known) = self.known.get(&path) {
            return known;
        }
        if self.open.len() > MAX_USES_DEPTH {
            let message = format!("files use files more than {MAX_USES_DEPTH} deep");
            let help = "MAX_USES_DEPTH bounds it: nobody could follow a deeper plan";
            return self.stand_in(uses, from, Diagnostic::error("plan::uses-depth", uses.at, message).help(help));
        }
        if self.sources.files().len() >= MAX_FILES {
            let message = format!("the plan has more than {MAX_FILES} files");
            let help = "MAX_FILES bounds it";
            return self.stand_in(
                uses,
                from,
                Diagnostic::error("plan::too-many-files", uses.at, message).help(help),
            );
        }
        let text = if allow_outside { self.loader.load_anywhere(&path) } else { self.loader.load(&path) };
        match text {
            Ok(text) => self.enter(path, text, uses),
            Err(reason) => {
                let missing = self.unreadable(&path, uses, &reason);
                let at = self.stand_in(uses, from, missing);
                self.known.insert(path, at);
                at
            }
        }
    }

    /// Reads a file for the first time.
    fn enter(&mut self, path: String, text: String, uses: &Spanned<Text>) -> usize {
        let file = self.add(&path, text);
        // The place is taken before the file's own files are read, so that indexes follow the written order.
        let at = self.actions.len();
        let mut empty = decode::empty(start(file), &path);
        (empty.partial, empty.lacks_stages) = (true, true);
        self.actions.push(empty);
        self.known.insert(path.clone(), at);
        self.open.push(Open { path, uses: Some(uses.at) });
        if let Some(plan) = self.file(file, Role::Action) {
            self.actions[at] = plan;
        }
        self.open.pop();
        at
    }

    /// An error, and an empty file to point at.
    fn stand_in(&mut self, uses: &Spanned<Text>, from: FileIx, diagnostic: Diagnostic) -> usize {
        self.report.push(diagnostic);
        let mut empty = decode::empty(start(from), &uses.value);
        (empty.partial, empty.lacks_stages) = (true, true);
        self.actions.push(empty);
        self.actions.len() - 1
    }

    fn unreadable(&self, path: &str, uses: &Spanned<Text>, reason: &str) -> Diagnostic {
        let message = format!("the file `{path}` cannot be read: {reason}");
        let known = self.sources.files().iter().map(|file| file.path.as_str());
        let help = match nearest(path, known) {
            Some(near) => format!("did you mean `{near}`? a path starts from the file that names it"),
            None => "a path starts from the file that names it".to_owned(),
        };
        Diagnostic::error("plan::unreadable", uses.at, message).help(help)
    }

    /// The whole way round, when `path` is being read already.
    fn cycle(&self, path: &str, uses: &Spanned<Text>) -> Option<Diagnostic> {
        let first = self.open.iter().position(|open| open.path == path)?;
        let round: Vec<_> = self.open[first..].iter().map(|open| format!("`{}`", open.path)).collect();
        let message = format!("files use each other in a circle: {} → `{path}`", round.join(" → "));
        let mut diagnostic =
            Diagnostic::error("plan::uses-cycle", uses.at, message).help("move what they share into a third file");
        for open in &self.open[first + 1..] {
            if let Some(at) = open.uses {
                diagnostic = diagnostic.related(at, format!("uses `{}`", open.path));
            }
        }
        Some(diagnostic)
    }
}

/// A pool belongs to the run: what an action file declares is the plan's pool of that name, or a new one of it.
fn lend_pools(plan: &mut Plan, actions: &[Plan]) {
    for pool in actions.iter().flat_map(|action| &action.pools) {
        if !plan.pools.iter().any(|(name, _)| name.value == pool.0.value) {
            plan.pools.push(pool.clone());
        }
    }
}

/// The first byte of a file.
fn start(file: FileIx) -> Place {
    Place { file, start: 0, end: 0 }
}

/// `uses` seen from the file at `base`, relative to the root.
fn join(base: &str, uses: &str) -> String {
    match base.rsplit_once('/') {
        Some((folder, _)) => normal(&format!("{folder}/{uses}")),
        None => normal(uses),
    }
}

/// `path` without `.` and without `..` where they can be resolved.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    let root = if path.starts_with('/') { "/" } else { "" };
    if root.is_empty() && parts.is_empty() && !path.is_empty() {
        return ".".to_owned();
    }
    format!("{root}{}", parts.join("/"))
}

#[cfg(test)]
pub(in crate::plan) mod tests;
