//! `.engine/`: one directory for each run, what runs share beside them, and what stands where.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::disk::{ASIDE, Disk, aside};
use super::format::{self, Head};
use super::ownership::{self, Ownership};
use super::{Error, Holder, reader, snapshot};
use crate::base::RunId;
use crate::run::event::Began;

/// The state directory, `.engine/` at the project's root. Opening it creates nothing.
#[derive(Clone, Debug)]
pub struct StateDir {
    root: PathBuf,
    disk: Disk,
}

/// The directory of one run.
#[derive(Clone, Debug)]
pub struct RunDir {
    id: RunId,
    path: PathBuf,
    state: PathBuf,
    disk: Disk,
}

/// A run as a list shows it.
#[derive(Clone, Debug)]
pub struct RunEntry {
    /// Its directory.
    pub dir: RunDir,
    /// What it began with; `None` when it never began (its engine died while it made the run) or when the
    /// beginning of its journal is damaged.
    pub began: Option<Began>,
}

impl StateDir {
    /// Opens the state directory at `path`, which need not exist yet.
    ///
    /// # Errors
    /// `path` exists and is not a directory, or cannot be looked at.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        Self::open_on(path, Disk::default())
    }

    /// As [`StateDir::open`], on a disk of the caller's choice.
    ///
    /// # Errors
    /// As [`StateDir::open`].
    pub fn open_on(path: impl Into<PathBuf>, disk: Disk) -> Result<Self, Error> {
        let root = path.into();
        match fs::metadata(&root) {
            Ok(found) if !found.is_dir() => {
                Err(Error::io("open the state directory", &root)(io::ErrorKind::NotADirectory.into()))
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("open the state directory", &root)(error))
            }
            _ => Ok(Self { root, disk }),
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.root
    }

    pub(super) const fn disk(&self) -> &Disk {
        &self.disk
    }

    fn runs_path(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// Where the run `id` is, or will be.
    pub fn place_of(&self, id: &RunId) -> PathBuf {
        self.runs_path().join(id.as_str())
    }

    fn run_dir(&self, id: RunId) -> RunDir {
        RunDir { path: self.place_of(&id), id, state: self.root.clone(), disk: self.disk.clone() }
    }

    /// Makes `folder` inside, if it is not there; who holds the answer is the only one that changes anything in it.
    pub(super) fn guard(&self, folder: &Path) -> Result<File, Error> {
        self.prepare()?;
        self.disk.make_dirs(folder)?;
        let path = folder.join(".guard");
        let file = self.disk.open(&path)?;
        file.lock().map_err(Error::io("lock", &path))?;
        Ok(file)
    }

    /// Makes the directory and a `.gitignore` that keeps it out of commits. A parent directory that has to
    /// be made is synced with the first run.
    pub(super) fn prepare(&self) -> Result<(), Error> {
        if self.root.is_dir() {
            return Ok(());
        }
        self.disk.make_dirs(&self.root)?;
        let ignore = self.root.join(".gitignore");
        match self.disk.create(&ignore) {
            Ok(file) => self.disk.write_at(&file, &ignore, b"*\n", 0),
            // Another engine made it in this instant.
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Makes the run `id`, whose `plan/` holds `files`, and takes ownership of it for `holder`.
    ///
    /// The directory is built aside, synced, and renamed: other processes see a whole run or none. Its
    /// journal is empty, and it counts as begun with its first durable record. Its name is durable no sooner: the
    /// [`Writer`](super::Writer) waits for both at once.
    ///
    /// # Errors
    /// The id is taken, a file name is unsafe, or the disk refuses.
    pub fn create_run(
        &self,
        id: &RunId,
        files: &[(String, Vec<u8>)],
        holder: &Holder,
    ) -> Result<(RunDir, Ownership), Error> {
        let run = self.run_dir(id.clone());
        let is_new = !self.root.is_dir();
        self.prepare()?;
        self.disk.make_dirs(&self.runs_path())?;
        if run.path.exists() {
            return Err(Error::RunExists { run: id.clone(), state: self.root.clone() });
        }
        let aside = RunDir { path: aside(&run.path), ..run.clone() };
        let built = self.build(&aside, files, holder).and_then(|mut ownership| {
            self.disk.rename(&aside.path, &run.path)?;
            let above = self.root.parent().filter(|path| path.is_dir()).unwrap_or(Path::new("."));
            let more = is_new.then(|| [self.root.clone(), above.to_path_buf()]);
            ownership.name_in(std::iter::once(self.runs_path()).chain(more.into_iter().flatten()).collect());
            Ok(ownership)
        });
        built.map(|ownership| (run.clone(), ownership)).map_err(|error| {
            // What was built is rubbish now; if it cannot be removed, `gc` finds it too.
            drop(fs::remove_dir_all(&aside.path));
            if run.path.exists() {
                // Somebody made the same run in this instant.
                return Error::RunExists { run: id.clone(), state: self.root.clone() };
            }
            error
        })
    }

    fn build(&self, run: &RunDir, files: &[(String, Vec<u8>)], holder: &Holder) -> Result<Ownership, Error> {
        for path in [&run.path, &run.inbox_path(), &run.output_path()] {
            self.disk.make_dirs(path)?;
        }
        let written = snapshot::write_files(&self.disk, &run.plan_path(1), files)?;
        let header = format::file_header();
        let journal = run.journal_path();
        self.disk.write_at(&self.disk.create(&journal)?, &journal, &header, 0)?;
        let start = Head { sequence: 0, offset: format::FILE_HEADER_LEN as u64, hash: format::genesis(&header) };
        let head = run.head_path();
        self.disk.write_at(&self.disk.create(&head)?, &head, &start.encode(), 0)?;
        let ownership = ownership::take(run, holder)?;
        written.sync(&self.disk, Some(&run.path))?;
        Ok(ownership)
    }

    /// The run `id`.
    ///
    /// # Errors
    /// There is no such run.
    pub fn run(&self, id: &RunId) -> Result<RunDir, Error> {
        let run = self.run_dir(id.clone());
        if run.path.is_dir() { Ok(run) } else { Err(Error::NoRun { run: id.clone(), state: self.root.clone() }) }
    }

    /// Every run, newest first. Of each journal only the first frame is read.
    ///
    /// # Errors
    /// The directory exists and cannot be read.
    pub fn runs(&self) -> Result<Vec<RunEntry>, Error> {
        let mut runs = Vec::new();
        for name in names(&self.runs_path())? {
            if let Some(id) = RunId::parse(&name) {
                let dir = self.run_dir(id);
                let began = reader::began(&dir);
                runs.push((created_ms(&dir, began.as_ref()), RunEntry { dir, began }));
            }
        }
        runs.sort_by(|(a_ms, a), (b_ms, b)| b_ms.cmp(a_ms).then_with(|| b.dir.id.cmp(&a.dir.id)));
        Ok(runs.into_iter().map(|(_, entry)| entry).collect())
    }

    /// Directories that an engine which died left half-built.
    pub(super) fn unfinished_paths(&self) -> Result<Vec<PathBuf>, Error> {
        let runs = self.runs_path();
        Ok(names(&runs)?.into_iter().filter(|name| name.starts_with(ASIDE)).map(|name| runs.join(name)).collect())
    }
}

/// When a run began; for one whose journal cannot tell, when its directory was last changed.
fn created_ms(dir: &RunDir, began: Option<&Began>) -> i64 {
    let changed = || {
        let age = fs::metadata(dir.plan_path(1)).ok()?.modified().ok()?;
        i64::try_from(age.duration_since(std::time::UNIX_EPOCH).ok()?.as_millis()).ok()
    };
    began.map(|began| began.wall_ms).or_else(changed).unwrap_or(0)
}

/// The names in a directory, sorted; none when it does not exist. Names that are not UTF-8 are not ours.
pub(super) fn names(path: &Path) -> Result<Vec<String>, Error> {
    let listing = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(Error::io("list", path))?,
    };
    let mut names = Vec::new();
    for entry in listing {
        let entry = entry.map_err(Error::io("list", path))?;
        names.extend(entry.file_name().into_string().ok());
    }
    names.sort_unstable();
    Ok(names)
}

impl RunDir {
    /// The run.
    pub const fn id(&self) -> &RunId {
        &self.id
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The state directory that it lies in.
    pub fn state_path(&self) -> &Path {
        &self.state
    }

    /// The journal.
    pub fn journal_path(&self) -> PathBuf {
        self.path.join("journal")
    }

    /// How far the journal is known to be durable.
    pub fn head_path(&self) -> PathBuf {
        self.path.join("head")
    }

    /// The snapshot: `plan/` for version 1, then `plan.2/`, ….
    pub fn plan_path(&self, version: u32) -> PathBuf {
        self.path.join(if version <= 1 { "plan".to_owned() } else { format!("plan.{version}") })
    }

    /// Requests from other processes.
    pub fn inbox_path(&self) -> PathBuf {
        self.path.join("inbox")
    }

    /// Segments of what stages printed.
    pub fn output_path(&self) -> PathBuf {
        self.path.join("output")
    }

    /// The lock file of the run's owner.
    pub fn lock_path(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// Durations and outcome.
    pub fn summary_path(&self) -> PathBuf {
        self.path.join("summary")
    }

    /// What gates have seen, a file for each stage.
    pub fn samples_path(&self) -> PathBuf {
        self.path.join("gates")
    }

    /// Room for files that only a live engine needs (scripts, item lists, `$ENGINE_OUTPUT`); may be deleted
    /// whenever no engine lives.
    pub fn scratch_path(&self) -> PathBuf {
        self.path.join("scratch")
    }

    pub(super) const fn disk(&self) -> &Disk {
        &self.disk
    }
}
