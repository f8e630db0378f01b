//! A run as its files tell it: first its journal, then its plan, then the state that both come to. Whoever needs
//! less stops earlier.

use std::path::Path;
use std::sync::Arc;
use std::sync::OnceLock;

use super::compile::{self, Compiled, Expected};
use super::host::Error;
use super::place;
use crate::base::Millis;
use crate::graph::Graph;
use crate::journal::{self, Record, RunDir, snapshot};
use crate::run::event::{Began, RunEnd};
use crate::run::{Core, Event, RunState};

/// What a run's journal holds, before its plan is looked at.
pub struct Recorded {
    /// Its folder.
    pub dir: RunDir,
    contents: journal::Contents,
}

impl Recorded {
    /// Reads a run's journal whole, every frame checked.
    ///
    /// # Errors
    /// Damage, or a record that this engine cannot read.
    pub fn read(dir: RunDir) -> Result<Self, Error> {
        let contents = journal::read(&dir)?;
        Ok(Self { dir, contents })
    }

    /// Whether the run came to an end with success, and was not taken up again since.
    pub fn has_ended_well(&self) -> bool {
        let ends = self.contents.records.iter().rev().find_map(|(_, _, event)| match event {
            Event::RunFinished { verdict } => Some(verdict.state == RunEnd::Success),
            Event::RunResumed(_) | Event::RunBegan(_) | Event::BackgroundRequeued { .. } => Some(false),
            _ => None,
        });
        ends.unwrap_or(false)
    }

    /// The plan's path, when the run ever began.
    pub fn path(&self) -> Option<&str> {
        self.began().map(|began| began.path.as_str())
    }

    /// What stands at the end of the journal.
    pub const fn tail(&self) -> journal::Tail {
        self.contents.tail
    }

    /// Checks every file of the recorded plan against its digest.
    ///
    /// # Errors
    /// Damage.
    pub fn verify_plan(&self) -> Result<(), Error> {
        let digests = self.digests();
        for version in 1..=self.versions() {
            snapshot::verify(&self.dir, version, &digests)?;
        }
        Ok(())
    }

    fn digests(&self) -> snapshot::Recorded {
        snapshot::Recorded::of(self.contents.records.iter().map(|(_, _, event)| event))
    }

    fn began(&self) -> Option<&Began> {
        self.contents.records.iter().find_map(|(_, _, event)| match event {
            Event::RunBegan(began) => Some(&**began),
            _ => None,
        })
    }

    /// How many versions of its plan there are.
    fn versions(&self) -> u32 {
        let changed = self.contents.records.iter().rev().find_map(|(_, _, event)| match event {
            Event::PlanChanged { version } => Some(*version),
            _ => None,
        });
        changed.unwrap_or(1)
    }

    /// Compiles its plan, every version of it.
    ///
    /// # Errors
    /// Damage, or a plan that this engine cannot read.
    pub fn compile(self, expected: &Expected) -> Result<Read, Error> {
        let began = self.began().cloned();
        let digests = self.digests();
        let (mut graphs, mut latest) = (Vec::<Arc<Graph>>::new(), None);
        for version in 1..=self.versions() {
            let files = match (&began, version) {
                (None, 1) => read_unbegun(&self.dir)?,
                _ => snapshot::read(&self.dir, version, &digests)?,
            };
            let unreadable = |why| Error::Unreadable { run: self.dir.id().clone(), why };
            let mut compiled = compile::from_snapshot(&files, expected).map_err(unreadable)?;
            if let Some(before) = graphs.last() {
                compile::retire(&mut compiled, &files, before).map_err(unreadable)?;
            }
            graphs.push(Arc::clone(&compiled.graph));
            latest = Some(compiled);
        }
        let compiled = latest.expect("there is at least one version");
        let Self { dir, contents: journal::Contents { records, tail, end, .. } } = self;
        Ok(Read { dir, began, graphs, compiled, records, end, tail, core: OnceLock::new() })
    }
}

impl Recorded {
    /// Compiles the latest version of its plan for a run that goes back to this one.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub fn compile_back(self, expected: &Expected) -> Result<Compiled, Error> {
        let files = snapshot::read(&self.dir, self.versions(), &self.digests())?;
        let unreadable = |why| Error::Unreadable { run: self.dir.id().clone(), why };
        let mut options = compile::recorded_options(&self.dir);
        (options.part, options.back_to) = (None, Some(self.dir.id().to_string()));
        compile::from_snapshot_as(&files, expected, Some(options)).map_err(unreadable)
    }
}

/// A run as its record tells it; nothing is owned or changed.
pub struct Read {
    /// Its folder.
    pub dir: RunDir,
    /// What it began with; `None` when it never did.
    pub began: Option<Began>,
    /// The versions of its plan, the first one first.
    pub graphs: Vec<Arc<Graph>>,
    /// What its latest version was compiled from.
    pub compiled: Compiled,
    /// Every record.
    pub records: Vec<Record>,
    /// Where its journal ends.
    pub end: journal::End,
    /// What stands at the end of the journal.
    pub tail: journal::Tail,
    /// Its records folded, when somebody asked.
    core: OnceLock<Core>,
}

impl Read {
    /// Reads a run's journal and compiles its snapshots.
    ///
    /// # Errors
    /// Damage, or a record that this engine cannot read.
    pub fn open(dir: RunDir, expected: &Expected) -> Result<Self, Error> {
        Recorded::read(dir)?.compile(expected)
    }

    /// The run's state as recorded, under `more` versions of the plan than it has.
    pub fn core(&self, more: Option<Arc<Graph>>) -> Core {
        match more {
            None => self.folded().clone(),
            Some(_) => self.fold(more),
        }
    }

    /// The versions of its plan, matrices with the cells that they were given last.
    pub fn named(&self) -> Vec<Arc<Graph>> {
        let mut graphs = self.graphs.clone();
        if graphs.iter().all(|graph| graph.matrices.is_empty()) {
            return graphs;
        }
        let mut now = 0;
        for (_, _, event) in &self.records {
            match event {
                Event::PlanChanged { version } => {
                    let was = Arc::clone(&graphs[now]);
                    now = (*version as usize - 1).min(graphs.len() - 1);
                    Arc::make_mut(&mut graphs[now]).adopt_cells(&was);
                }
                Event::CellsFrozen { node, cells } => Arc::make_mut(&mut graphs[now]).give_cells(*node, cells),
                _ => {}
            }
        }
        graphs
    }

    /// The run's state as recorded.
    pub fn state(&self) -> &RunState {
        self.folded().state()
    }

    fn folded(&self) -> &Core {
        self.core.get_or_init(|| self.fold(None))
    }

    fn fold(&self, more: Option<Arc<Graph>>) -> Core {
        let mut core = Core::new(self.graphs.iter().cloned().chain(more).collect());
        for (_, at, event) in &self.records {
            core.replay(*at, event);
        }
        core
    }

    /// Whether the run came to an end with success.
    pub fn has_ended_well(&self) -> bool {
        self.state().verdict().is_some_and(|verdict| verdict.state == RunEnd::Success)
    }

    /// Where its stages go on: its state is where it was read from, and the project at hand is `here`.
    ///
    /// # Errors
    /// Its root is gone, and nothing else can be meant; the words say so.
    pub fn place(&self, here: &Path) -> Result<place::Found, String> {
        let recorded = place::last(self.records.iter().map(|(_, _, event)| event));
        place::find(recorded, self.dir.state_path(), here, &self.compiled.options.path)
    }

    /// When an engine worked on it last, as far as the record tells: what a person said may have come later.
    pub fn worked_at(&self) -> Millis {
        let mut made = self.records.iter().rev().filter(|(_, _, event)| !event.is_spoken());
        made.next().map_or(Millis::ZERO, |(_, at, _)| *at)
    }

    /// When its last record was made.
    pub fn last_at(&self) -> Millis {
        self.records.last().map_or(Millis::ZERO, |(_, at, _)| *at)
    }
}

/// The snapshot of a run whose engine died before its first record: there are no digests to check it by.
pub(super) fn read_unbegun(dir: &RunDir) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let root = dir.plan_path(1);
    let mut files = Vec::new();
    let mut left = vec![root.clone()];
    let failed = |source| Error::System { action: "read the run's snapshot", source };
    while let Some(folder) = left.pop() {
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                left.push(path);
            } else {
                let name = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().into_owned();
                files.push((name, std::fs::read(&path).map_err(failed)?));
            }
        }
    }
    files.sort();
    Ok(files)
}
