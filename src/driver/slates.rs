//! The two files that an attempt is lent: the list of items that it reads, and the one that takes its output values.
//!
//! To make a file and remove it again changes a folder on the disk twice, and to look for one that nobody made searches
//! it: for a short process that is more than all the rest that the engine does. So both files are used again. A
//! [`Slate`] is a pair of them, `slate-N.items` and `slate-N.values`; an attempt has one for itself while it lives. The
//! next attempt's items are written over those of the last, and that nobody wrote values is one look at an empty file.
//!
//! [`super::prepare`] lends them, [`super::values`] reads what was written, and [`super::live`] gives them back.
//!
//! Invariants: no attempt sees anything of another, and what a script made the user's own is never written to. A script
//! may remove, move, link, shut or replace its files, so
//! - a file is ours as long as its name leads to the very file that we made, under this name only, with the mode and
//!   the owner that it was made with ([`Mark`]);
//! - a slate is lent again once the whole tree of its attempt is gone and its values are ours and empty. Any other is
//!   scrapped, and its number never comes back. So is one whose items are not ours when it is their turn;
//! - what may live on (services, lost processes) keeps its slate for good: nobody gets it afterwards.
//!
//! Where the machine refuses the file for values, an attempt has its name only, and may make it itself.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, OFlags, Stat, fstat, open, statat};

use crate::base::limits;

/// All slates of an engine that nobody has.
#[derive(Debug)]
pub struct Slates {
    scratch: PathBuf,
    /// The folder itself: a look into it walks no path.
    folder: Option<Arc<OwnedFd>>,
    /// The last one that came back is lent first: what it needs is still in the machine's caches.
    free: Vec<Slate>,
    made: u64,
}

/// The files of one attempt.
#[derive(Debug)]
pub struct Slate {
    folder: Option<Arc<OwnedFd>>,
    items: Sheet,
    /// Writes items, kept open between attempts.
    pen: Option<File>,
    keeps_pen: bool,
    values: Sheet,
    has_items: bool,
    /// Its values were looked at, and are ours and empty.
    is_blank: bool,
}

/// One file.
#[derive(Debug)]
struct Sheet {
    path: PathBuf,
    /// None as long as we have not made it.
    mark: Option<Mark>,
}

/// What a file that we made is known by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Mark {
    place: (u64, u64),
    mode: u32,
    owner: (u32, u32),
}

impl Slates {
    /// None yet; their files will lie in `scratch`.
    pub fn new(scratch: PathBuf) -> Self {
        Self { scratch, folder: None, free: Vec::new(), made: 0 }
    }

    /// A slate for one attempt, with these items if it reads some. Its file for values is empty.
    ///
    /// # Errors
    /// A sentence for the user: the items could not be written.
    pub fn lend(&mut self, items: Option<&str>) -> Result<Slate, String> {
        while let Some(mut slate) = self.free.pop() {
            match slate.begin(items) {
                Ok(()) => return Ok(slate),
                // Whatever is the matter with it, a new one shows whether it is the machine.
                Err(_) => slate.scrap(),
            }
        }
        loop {
            let mut slate = self.make();
            match slate.begin(items) {
                Ok(()) => return Ok(slate),
                Err(error) => {
                    let why = format!("failed to write `{}`: {error}", slate.items.path.display());
                    slate.scrap();
                    // Left by an engine that could not clear its room, or by somebody else: there are more numbers.
                    if error.kind() != io::ErrorKind::AlreadyExists {
                        return Err(why);
                    }
                }
            }
        }
    }

    /// Takes back what nobody reads or writes any more. When that `is_sure`, it is lent again.
    pub fn take_back(&mut self, slate: Slate, is_sure: bool) {
        if is_sure && (slate.is_blank || slate.size(&slate.values) == Some(0)) {
            self.free.push(slate);
        } else {
            slate.scrap();
        }
    }

    fn make(&mut self) -> Slate {
        if self.folder.is_none() {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            self.folder = open(&self.scratch, flags, Mode::empty()).ok().map(Arc::new);
        }
        let sheet = |name: String| Sheet { path: self.scratch.join(name), mark: None };
        loop {
            let number = self.made;
            self.made += 1;
            let mut values = sheet(format!("slate-{number}.values"));
            if values.make().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists) {
                continue;
            }
            // Every slate that there is holds the folder.
            let others = self.folder.as_ref().map_or(0, |folder| Arc::strong_count(folder) - 1);
            return Slate {
                folder: self.folder.clone(),
                items: sheet(format!("slate-{number}.items")),
                pen: None,
                keeps_pen: others < limits::MAX_OPEN_ITEM_LISTS,
                values,
                has_items: false,
                is_blank: false,
            };
        }
    }
}

impl Slate {
    /// `$ENGINE_SHARD_FILE`, of an attempt that reads items.
    pub fn items(&self) -> Option<&Path> {
        self.has_items.then_some(&*self.items.path)
    }

    /// `$ENGINE_OUTPUT`.
    pub fn values(&self) -> &Path {
        &self.values.path
    }

    /// What an ended attempt wrote to `$ENGINE_OUTPUT`, up to one byte more than it may; nothing when there is no file,
    /// or when it is plainly empty and nothing `is_promised`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn take_values(&mut self, is_promised: bool) -> io::Result<Option<Vec<u8>>> {
        let size = self.size(&self.values);
        // What was promised is looked for in the file itself: a shared disk may be late to tell its size.
        if size == Some(0) && !is_promised {
            self.is_blank = true;
            return Ok(None);
        }
        let is_ours = size.is_some();
        // Nobody waits for the writer of a named pipe that a script put there.
        let file = match File::options().read(true).write(is_ours).custom_flags(NO_WAIT).open(&self.values.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        (&file).take(limits::MAX_OUTPUT_VALUES_BYTES + 1).read_to_end(&mut bytes)?;
        self.is_blank = is_ours && (bytes.is_empty() || file.set_len(0).is_ok());
        Ok(Some(bytes))
    }

    /// Makes it ready for an attempt.
    fn begin(&mut self, items: Option<&str>) -> io::Result<()> {
        (self.has_items, self.is_blank) = (items.is_some(), false);
        items.map_or(Ok(()), |text| self.write(text))
    }

    fn write(&mut self, items: &str) -> io::Result<()> {
        let (pen, length) = if self.items.mark.is_none() {
            (self.items.make()?, 0)
        } else {
            let length = self.size(&self.items).ok_or_else(|| io::Error::other("it was replaced"))?;
            let pen = self.pen.take().map_or_else(|| self.items.open(), Ok)?;
            (pen, length)
        };
        pen.write_all_at(items.as_bytes(), 0)?;
        if length > items.len() as u64 {
            pen.set_len(items.len() as u64)?;
        }
        self.pen = self.keeps_pen.then_some(pen);
        Ok(())
    }

    /// The size of a file that is ours.
    fn size(&self, sheet: &Sheet) -> Option<u64> {
        let (folder, name) = (self.folder.as_ref()?, sheet.path.file_name()?);
        let found = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let is_ours = sheet.mark == Some(Mark::of(&found)) && found.st_nlink == 1;
        u64::try_from(found.st_size).ok().filter(|_| is_ours)
    }

    /// Removes what lies under its names. What cannot be removed now goes with the room.
    fn scrap(self) {
        let has_items = self.items.mark.is_some();
        for sheet in [Some(self.values), has_items.then_some(self.items)].into_iter().flatten() {
            let _ = std::fs::remove_file(sheet.path);
        }
    }
}

/// An open that blocks for nothing. It says nothing about what lies there: links are followed, as a shell would.
const NO_WAIT: i32 = OFlags::NONBLOCK.bits().cast_signed();

impl Sheet {
    /// Makes the file where nothing is yet, not even a link.
    fn make(&mut self) -> io::Result<File> {
        let file = File::options().write(true).create_new(true).open(&self.path)?;
        self.mark = Some(Mark::of(&fstat(&file)?));
        Ok(file)
    }

    /// Opens a file that is ours.
    fn open(&self) -> io::Result<File> {
        File::options().write(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(&self.path)
    }
}

impl Mark {
    fn of(stat: &Stat) -> Self {
        Self { place: (stat.st_dev, stat.st_ino), mode: stat.st_mode, owner: (stat.st_uid, stat.st_gid) }
    }
}

#[cfg(test)]
mod tests;
