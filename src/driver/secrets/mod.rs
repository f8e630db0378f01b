//! The secrets of one run while an engine works on it: fetched, held, handed to the stages that name them, and found
//! in whatever anybody prints.
//!
//! [`Strongbox::open`] fetches all that the run may need before anything starts, so that what is missing for good is
//! told while nothing has happened, and so that every stage's output is masked from its first byte, also that of a
//! stage that was not given the secret and found it elsewhere. An attempt that begins later than
//! [`limits::SECRET_FRESH_MS`] after that has its secrets fetched again: a token may have run out since, or was
//! changed. What was ever held stays masked. A run that names no secret has no strongbox, and nothing here costs it
//! anything.
//!
//! [`hide`] stands between the outside and the core: no news brings a value into the journal.
//!
//! Invariants: a value is exposed in this room to [`Masker`] and to the checks of the catalog only, and leaves it as a
//! [`Secret`]. The record has names, sources, versions and days.

mod given;
pub mod hide;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use rayon::prelude::*;
use tokio::sync::mpsc::UnboundedSender;

pub use given::{Given, take};

use super::environments::check;
use super::news::News;
use super::ports::Clock;
use super::surroundings::Surroundings;
use crate::base::{Millis, Text, limits};
use crate::exec::secrets::Sources;
use crate::exec::unix;
use crate::graph::Graph;
use crate::graph::model::{Command, INPUT_SECRET, Process, Work};
use crate::plan::environment::{Entry, Environment, Fetched, SecretDecl, SecretSource, Secrets as _};
use crate::plan::error::Severity;
use crate::plan::{Diagnostic, Report};
use crate::render::mask::Masker;
use crate::render::secret::Secret;
use crate::run::Attempt;
use crate::run::event::SecretFact;

/// The secrets of one run.
pub struct Strongbox {
    given: Given,
    sources: Sources,
    clock: Clock,
    inner: Mutex<Inner>,
    masker: RwLock<Option<Arc<Masker>>>,
    /// Held while secrets are fetched again: of many attempts that begin at once one fetches.
    fetching: Mutex<()>,
}

#[derive(Default)]
struct Inner {
    held: BTreeMap<Box<str>, Held>,
    /// All values that were ever held, oldest first.
    known: Vec<Arc<Secret>>,
    /// What was fetched and is not in the record yet.
    untold: Vec<SecretFact>,
}

/// One secret, as it was fetched last.
struct Held {
    /// None when it could not be had.
    value: Option<Arc<Secret>>,
    fact: SecretFact,
    at: Millis,
}

impl std::fmt::Debug for Strongbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Strongbox")
    }
}

/// What a graph asks for.
#[derive(Default)]
struct Wanted<'g> {
    /// Secrets that stages name.
    named: BTreeSet<&'g str>,
    /// Those that a stage without needs names: nothing in the plan can make them appear.
    at_once: BTreeSet<&'g str>,
    /// Whether a process of the engine's own fetches all of them for itself.
    by_engine: bool,
}

impl<'g> Wanted<'g> {
    fn of(graph: &'g Graph) -> Self {
        let mut wanted = Self::default();
        for node in graph.nodes.iter().filter(|node| node.selected) {
            let Work::Process(process) = &node.work else { continue };
            wanted.by_engine |= opens_environment(process);
            for (_, name) in &process.secrets {
                wanted.named.insert(name);
                if node.needs.is_empty() {
                    wanted.at_once.insert(name);
                }
            }
        }
        wanted
    }
}

impl Strongbox {
    /// Fetches what the stages of `graph` may get; none when they get nothing. Warnings come beside it.
    ///
    /// # Errors
    /// What cannot be had, or is not as the catalog wants it, and nothing in the plan can change that.
    pub fn open(
        graph: &Graph,
        given: &Given,
        surroundings: &Surroundings,
    ) -> Result<Option<(Self, Vec<Diagnostic>)>, Vec<Diagnostic>> {
        let wanted = Wanted::of(graph);
        let declared = || given.environment.iter().flat_map(|environment| environment.secrets());
        let by_engine = wanted.by_engine && declared().next().is_some();
        if wanted.named.is_empty() && !by_engine {
            return Ok(None);
        }
        unix::forbid_dumps();
        let strongbox = Self {
            given: given.clone(),
            sources: Sources::new(surroundings.root.clone(), surroundings.caller.clone()),
            clock: Clock::begin(),
            inner: Mutex::default(),
            masker: RwLock::default(),
            fetching: Mutex::default(),
        };
        let mut names: BTreeSet<Box<str>> = wanted.named.iter().map(|&name| name.into()).collect();
        if by_engine {
            names.extend(declared().map(|decl| Box::from(&*decl.name.value)));
        }
        let mut report = Report::default();
        for (name, mut fault) in strongbox.fetch(&names, &mut report) {
            let is_named = wanted.named.contains(&*name);
            let is_certain = wanted.at_once.contains(&*name) || strongbox.is_fixed(&name);
            match (is_named && is_certain, is_named) {
                (true, _) => report.push(fault),
                (false, true) => {
                    fault.severity = Severity::Warning;
                    report.push(fault.help("it is fetched again when a stage that names it starts"));
                }
                // The stage that checks or renders the environment says it.
                (false, false) => {}
            }
        }
        if report.has_errors() { Err(report.sorted()) } else { Ok(Some((strongbox, report.sorted()))) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The maps are whole between statements, so a panic elsewhere cannot have left them half changed.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What finds the secrets in text; none while no value is long enough to be told from common words.
    pub fn masker(&self) -> Option<Arc<Masker>> {
        self.masker.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was fetched since this was asked last, for the record.
    pub fn untold(&self) -> Vec<SecretFact> {
        std::mem::take(&mut self.lock().untold)
    }

    /// The engine leaves: whoever is asked for a secret is not waited for, and ends.
    pub fn leave(&self) {
        self.sources.leave();
    }

    /// Whether an attempt of `process` has to wait until its secrets are fetched again.
    pub fn is_stale(&self, process: &Process) -> bool {
        !self.stale(process).is_empty()
    }

    /// Fetches what is stale of the secrets of `process`.
    ///
    /// # Errors
    /// A sentence that says which of them cannot be had, and why.
    pub fn refresh(&self, process: &Process) -> Result<(), String> {
        let _alone = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        let stale = self.stale(process);
        let mut report = Report::default();
        let is_named = |name: &str| process.secrets.iter().any(|(_, named)| **named == *name);
        let failed = self.fetch(&stale, &mut report);
        if let Some((_, fault)) = failed.into_iter().find(|(name, _)| is_named(name)) {
            return Err(fault.message);
        }
        Ok(())
    }

    /// As [`Self::refresh`], on a thread beside the loop; `attempt` goes on when it is done.
    pub(super) fn refresh_beside(
        self: &Arc<Self>,
        attempt: Attempt,
        process: &Process,
        news: &UnboundedSender<News>,
    ) {
        let (own, process, news) = (Arc::clone(self), process.clone(), news.clone());
        tokio::task::spawn_blocking(move || {
            let result = own.refresh(&process);
            // A loop that is gone wants no answer.
            let _ = news.send(News::Fetched { attempt, result });
        });
    }

    /// The variables that hold the secrets of `process`.
    ///
    /// # Errors
    /// One of them was never there.
    pub fn variables(&self, process: &Process) -> Result<Vec<(OsString, Arc<Secret>)>, String> {
        let inner = self.lock();
        let variable = |(variable, name): &(Text, Box<str>)| {
            let value = inner.held.get(name).and_then(|held| held.value.clone());
            let value = value.ok_or_else(|| format!("the secret `{}` cannot be had", self.shown(name)))?;
            Ok((OsString::from(&**variable), value))
        };
        process.secrets.iter().map(variable).collect()
    }

    /// The names that `process` wants and that were not fetched a moment ago.
    fn stale(&self, process: &Process) -> BTreeSet<Box<str>> {
        let now = self.clock.now();
        let inner = self.lock();
        // What could not be had is tried again for whoever needs it; the engine's own process looks for itself.
        let is_stale = |name: &str, is_needed: bool| match inner.held.get(name) {
            Some(held) if held.value.is_some() && self.is_fixed(name) => false,
            Some(held) if held.value.is_none() && is_needed => true,
            Some(held) => now.since(held.at).ms() >= limits::SECRET_FRESH_MS,
            None => true,
        };
        let own = process.secrets.iter().map(|(_, name)| name.clone()).filter(|name| is_stale(name, true));
        let all = self.given.environment.iter().filter(|_| opens_environment(process));
        let all =
            all.flat_map(|environment| environment.secrets()).map(|decl| Box::<str>::from(&*decl.name.value));
        own.chain(all.filter(|name| is_stale(name, false))).collect()
    }

    /// A secret's name as its owner wrote it.
    fn shown<'n>(&'n self, name: &'n str) -> &'n str {
        name.strip_prefix(INPUT_SECRET).map_or(name, |input| self.given.written(input))
    }

    /// Whether its value is the same as long as this process lives.
    fn is_fixed(&self, name: &str) -> bool {
        self.declared(name).is_none_or(|decl| matches!(decl.from, SecretSource::Env(_)))
    }

    fn declared(&self, name: &str) -> Option<&SecretDecl> {
        self.given.environment.as_ref()?.entries.get(name).and_then(Entry::secret)
    }

    fn place(&self, name: &str) -> crate::plan::Place {
        match self.declared(name) {
            Some(decl) => decl.at,
            None => self.given.place(name),
        }
    }

    /// Fetches `names` side by side and keeps what came; tells which cannot be had, and why. A value that breaks the
    /// catalog's rules is one of those; what is only doubtful goes to `report`.
    fn fetch(&self, names: &BTreeSet<Box<str>>, report: &mut Report) -> Vec<(Box<str>, Diagnostic)> {
        let names: Vec<&Box<str>> = names.iter().collect();
        let fetched: Vec<_> = names.par_iter().map(|name| self.fetch_one(name)).collect();
        let now = self.clock.now();
        let mut failed = Vec::new();
        let mut inner = self.lock();
        let mut is_new = false;
        for (name, found) in names.into_iter().zip(fetched) {
            let found = found.and_then(|(source, found)| Ok((source, self.checked(name, found, report)?)));
            let (value, fact) = match found {
                Ok((source, found)) => {
                    let rotated_at = found.rotated_at.map(|day| day.to_string());
                    let fact = SecretFact {
                        name: self.shown(name).to_owned(),
                        source,
                        version: found.version,
                        rotated_at,
                    };
                    (Some(found.value), fact)
                }
                Err(fault) => {
                    failed.push((name.clone(), *fault));
                    (None, SecretFact { name: self.shown(name).to_owned(), ..SecretFact::default() })
                }
            };
            is_new |= inner.keep(name, Held { value: value.map(Arc::new), fact, at: now });
        }
        if is_new {
            let masker = Masker::new(inner.known.iter().map(|value| &**value)).map(Arc::new);
            *self.masker.write().unwrap_or_else(PoisonError::into_inner) = masker;
        }
        failed
    }

    fn fetch_one(&self, name: &str) -> Result<(String, Fetched), Box<Diagnostic>> {
        let fault = |why: String| Box::new(check::not_had(self.shown(name), self.place(name), &why));
        if let Some(decl) = self.declared(name) {
            return Ok((decl.from.words(), self.sources.fetch(decl).map_err(fault)?));
        }
        let value = self.given.input(key(name), &self.sources).map_err(fault)?;
        Ok((format!("input:{}", self.shown(name)), Fetched { value, version: None, rotated_at: None }))
    }

    /// Checks a value by its catalog; what is wrong is said without it.
    fn checked(&self, name: &str, found: Fetched, report: &mut Report) -> Result<Fetched, Box<Diagnostic>> {
        let is_production =
            self.given.environment.as_ref().is_some_and(|environment| environment.policy.is_production());
        let mut own = Report::default();
        let found = match self.given.environment.as_ref().filter(|_| self.declared(name).is_some()) {
            Some(environment) => check_declared(environment, name, found, &mut own),
            None => {
                let at = self.place(name);
                check::short(self.shown(name), &found.value, (at, is_production), &mut own);
                found
            }
        };
        for one in own.sorted() {
            if one.severity == Severity::Error {
                return Err(Box::new(one));
            }
            report.push(one);
        }
        Ok(found)
    }
}

impl Inner {
    /// Keeps what was fetched; whether that is a value that was not known.
    fn keep(&mut self, name: &str, held: Held) -> bool {
        let before = self.held.get(name);
        if held.value.is_some() && before.is_none_or(|before| before.value.is_none() || before.fact != held.fact) {
            self.untold.push(held.fact.clone());
        }
        let is_new = match &held.value {
            Some(value) if !self.known.iter().any(|known| known.expose() == value.expose()) => {
                if self.known.len() >= limits::MAX_MASKED_SECRETS {
                    self.known.remove(0);
                }
                self.known.push(Arc::clone(value));
                true
            }
            _ => false,
        };
        self.held.insert(name.into(), held);
        is_new
    }
}

/// What a secret input is kept by.
fn key(name: &str) -> &str {
    name.strip_prefix(INPUT_SECRET).unwrap_or(name)
}

/// Whether a process is `engine env …`, which fetches the secrets of its environment for itself.
fn opens_environment(process: &Process) -> bool {
    let words = match &process.command {
        Command::Argv(words) => &words[..],
        Command::Script { .. } => return false,
    };
    process.is_engine && words.get(1).is_some_and(|word| **word == *"env")
}

fn check_declared(environment: &Environment, name: &str, found: Fetched, report: &mut Report) -> Fetched {
    let mut values = check::Values::from([(name.to_owned(), found)]);
    check::secrets(environment, &values, report);
    values.remove(name).expect("it was put there")
}

#[cfg(test)]
mod tests;
