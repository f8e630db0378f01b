//! Files by their content: `.engine/objects/ab/cdef…` holds the bytes whose blake3 is `abcdef…`.
//!
//! An object is written aside, synced and renamed; one that is there already is kept, unless it is damaged: then
//! what is stored takes its place. The artifacts of an
//! attempt are a [`Manifest`], itself an object, whose digest the journal records. The cache maps the digest
//! of everything that a stage's result depends on to that result.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::disk::aside;
use super::snapshot::inside;
use super::{Error, StateDir};
use crate::base::Digest;
use crate::run::event::ShardResult;

/// Bytes read at once.
const BUFFER_BYTES: usize = 256 << 10;

/// The objects of a state directory.
#[derive(Clone, Debug)]
pub struct Objects {
    state: StateDir,
    path: PathBuf,
    cache: PathBuf,
}

/// A set of files: what an attempt left.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Manifest {
    /// Sorted by path.
    pub files: Vec<ManifestFile>,
}

/// One file of a [`Manifest`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Relative to where it is restored, with `/`.
    pub path: String,
    /// Its content; of a symbolic link the text that it points to.
    pub digest: Digest,
    /// Permission bits.
    pub mode: u32,
    /// Bytes.
    pub size: u64,
    /// A symbolic link.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_link: bool,
}

/// A result found in the cache.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CacheEntry {
    /// What the stage left; its artifacts are a manifest in the objects.
    pub result: ShardResult,
}

/// What [`Objects::restore`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Restored {
    /// Files written.
    pub written: u64,
    /// Files that were there already, byte for byte.
    pub kept: u64,
}

impl Objects {
    /// The objects of `state`.
    pub fn new(state: &StateDir) -> Self {
        let (path, cache) = (state.path().join("objects"), state.path().join("cache"));
        Self { path, cache, state: state.clone() }
    }

    /// Where the object `digest` stands.
    pub fn path(&self, digest: Digest) -> PathBuf {
        let hex = digest.to_string();
        self.path.join(&hex[..2]).join(&hex[2..])
    }

    /// Stores bytes, durably.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, Error> {
        let digest = Digest::of(bytes);
        let path = self.path(digest);
        if fs::read(&path).is_ok_and(|found| found == bytes) {
            return Ok(digest);
        }
        let parent = path.parent().unwrap_or(&self.path);
        self.state.prepare()?;
        self.state.disk().make_dirs(parent)?;
        self.state.disk().replace(&path, bytes)?;
        self.sync_parents(parent)?;
        Ok(digest)
    }

    /// The bytes of an object, checked.
    ///
    /// # Errors
    /// It is missing or damaged.
    pub fn get(&self, digest: Digest) -> Result<Vec<u8>, Error> {
        let path = self.path(digest);
        let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
        if Digest::of(&bytes) == digest { Ok(bytes) } else { Err(altered(&path)) }
    }

    fn sync_parents(&self, parent: &Path) -> Result<(), Error> {
        self.state.disk().sync_dir(parent)?;
        self.state.disk().sync_dir(&self.path)
    }

    /// Stores the files `names` of `root` and a manifest of them; tells the manifest's digest. Symbolic links
    /// are stored as links. All of it is durable when this returns.
    ///
    /// # Errors
    /// A file cannot be read, is neither a file nor a link, changed while it was read, or the disk refuses.
    pub fn store(&self, root: &Path, names: &[String]) -> Result<(Digest, Manifest), Error> {
        let files: Result<Vec<_>, Error> = names.par_iter().map(|name| self.store_one(root, name)).collect();
        let mut manifest = Manifest { files: files? };
        manifest.files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        manifest.files.dedup_by(|a, b| a.path == b.path);
        let text = serde_json::to_vec(&manifest).expect("a manifest is made of texts and numbers");
        Ok((self.put(&text)?, manifest))
    }

    fn store_one(&self, root: &Path, name: &str) -> Result<ManifestFile, Error> {
        let path = inside(root, name)?;
        let found = fs::symlink_metadata(&path).map_err(Error::io("read", &path))?;
        let mode = found.permissions().mode() & 0o777;
        if found.is_symlink() {
            let target = fs::read_link(&path).map_err(Error::io("read", &path))?;
            let Some(text) = target.to_str() else {
                return Err(Error::malformed(&path, "the link's target is not UTF-8"));
            };
            let (digest, size) = (self.put(text.as_bytes())?, text.len() as u64);
            return Ok(ManifestFile { path: name.to_owned(), digest, mode, size, is_link: true });
        }
        if !found.is_file() {
            return Err(Error::malformed(&path, "an artifact must be a file or a symbolic link"));
        }
        let (digest, size) = self.put_file(&path)?;
        Ok(ManifestFile { path: name.to_owned(), digest, mode, size, is_link: false })
    }

    /// Copies a file in, hashing what is copied, so that a file that changes meanwhile is stored as what was
    /// read of it.
    fn put_file(&self, from: &Path) -> Result<(Digest, u64), Error> {
        let (digest, size) = hash_file(from)?;
        if hash_file(&self.path(digest)).is_ok_and(|(found, _)| found == digest) {
            return Ok((digest, size));
        }
        self.state.prepare()?;
        let disk = self.state.disk();
        disk.make_dirs(&self.path)?;
        let aside = aside(&self.path.join("object"));
        let copied = copy_hashed(disk, from, &aside).and_then(|(digest, size)| {
            let path = self.path(digest);
            let parent = path.parent().unwrap_or(&self.path);
            disk.make_dirs(parent)?;
            disk.rename(&aside, &path)?;
            self.sync_parents(parent)?;
            Ok((digest, size))
        });
        if copied.is_err() {
            // The half-written copy is rubbish; the error that matters is the first one.
            drop(fs::remove_file(&aside));
        }
        copied
    }

    /// The manifest `digest`.
    ///
    /// # Errors
    /// It is missing or damaged.
    pub fn manifest(&self, digest: Digest) -> Result<Manifest, Error> {
        let bytes = self.get(digest)?;
        serde_json::from_slice(&bytes).map_err(|error| Error::malformed(&self.path(digest), error))
    }

    /// Whether the manifest `digest` and all its objects are there (by name and size; their content is
    /// checked when they are restored).
    pub fn is_complete(&self, digest: Digest) -> bool {
        self.manifest(digest).is_ok_and(|manifest| {
            manifest
                .files
                .iter()
                .all(|file| fs::metadata(self.path(file.digest)).is_ok_and(|found| found.len() == file.size))
        })
    }

    /// Puts the files of a manifest below `root`; each appears whole or not at all, and one that is there
    /// already, byte for byte, is left alone.
    ///
    /// # Errors
    /// An object is missing or damaged, a path would leave `root` or lead through a link, or the disk
    /// refuses.
    pub fn restore(&self, manifest: &Manifest, root: &Path) -> Result<Restored, Error> {
        let done: Result<Vec<bool>, Error> =
            manifest.files.par_iter().map(|file| self.restore_one(file, root)).collect();
        let done = done?;
        let written = done.iter().filter(|&&is_written| is_written).count() as u64;
        Ok(Restored { written, kept: done.len() as u64 - written })
    }

    fn restore_one(&self, file: &ManifestFile, root: &Path) -> Result<bool, Error> {
        let to = inside(root, &file.path)?;
        let parent = to.parent().unwrap_or(root);
        refuse_links(root, parent)?;
        if is_equal(&to, file) {
            return Ok(false);
        }
        let disk = self.state.disk();
        disk.make_dirs(parent)?;
        let aside = aside(&to);
        let placed = self.place(file, &aside).and_then(|()| disk.rename(&aside, &to));
        if placed.is_err() {
            // The half-written file is rubbish; the error that matters is the first one.
            drop(fs::remove_file(&aside));
        }
        placed.map(|()| true)
    }

    fn place(&self, file: &ManifestFile, to: &Path) -> Result<(), Error> {
        if file.is_link {
            let target =
                String::from_utf8(self.get(file.digest)?).map_err(|_| altered(&self.path(file.digest)))?;
            return std::os::unix::fs::symlink(target, to).map_err(Error::io("create", to));
        }
        let from = self.path(file.digest);
        let (digest, _) = copy_hashed(self.state.disk(), &from, to)?;
        if digest != file.digest {
            return Err(altered(&from));
        }
        fs::set_permissions(to, Permissions::from_mode(file.mode)).map_err(Error::io("set the rights of", to))
    }

    fn cache_path(&self, key: Digest) -> PathBuf {
        let hex = key.to_string();
        self.cache.join(&hex[..2]).join(&hex[2..])
    }

    /// Remembers what a stage left for `key`, the digest of all that its result depends on.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn remember(&self, key: Digest, entry: &CacheEntry) -> Result<(), Error> {
        let path = self.cache_path(key);
        let text = serde_json::to_vec(entry).expect("a result is made of texts and finite numbers");
        let mut sealed = Digest::of(&text).to_string().into_bytes();
        sealed.push(b'\n');
        sealed.extend_from_slice(&text);
        self.state.prepare()?;
        self.state.disk().make_dirs(path.parent().unwrap_or(&self.cache))?;
        self.state.disk().replace_soft(&path, &sealed)
    }

    /// What was remembered for `key`; `None` as well when the entry is damaged or its artifacts are gone: a
    /// cache may forget.
    pub fn recall(&self, key: Digest) -> Option<CacheEntry> {
        let bytes = fs::read(self.cache_path(key)).ok()?;
        let (seal, text) = bytes.split_at_checked(65)?;
        let seal = Digest::parse(std::str::from_utf8(seal.strip_suffix(b"\n")?).ok()?)?;
        let entry: CacheEntry = serde_json::from_slice(text).ok().filter(|_| seal == Digest::of(text))?;
        entry.result.artifacts.is_none_or(|manifest| self.is_complete(manifest)).then_some(entry)
    }
}

/// The blake3 of each of `names` below `root`, in their order, hashed in parallel.
///
/// # Errors
/// A file cannot be read.
pub fn hash_files(root: &Path, names: &[String]) -> Result<Vec<Digest>, Error> {
    names.par_iter().map(|name| hash_file(&root.join(name)).map(|(digest, _)| digest)).collect()
}

fn altered(path: &Path) -> Error {
    Error::damage(path, 0, "its content does not match its name")
}

/// The digest and size of a file.
fn hash_file(path: &Path) -> Result<(Digest, u64), Error> {
    let mut hasher = blake3::Hasher::new();
    let size = pump(path, &mut |bytes| {
        hasher.update(bytes);
        Ok(())
    })?;
    Ok((hasher.finalize().into(), size))
}

/// Copies `from` to the new file `to`, synced; digest and size of what was copied.
fn copy_hashed(disk: &super::disk::Disk, from: &Path, to: &Path) -> Result<(Digest, u64), Error> {
    let file = disk.create(to)?;
    let mut hasher = blake3::Hasher::new();
    let mut at = 0;
    let size = pump(from, &mut |bytes| {
        hasher.update(bytes);
        disk.write_at(&file, to, bytes, at)?;
        at += bytes.len() as u64;
        Ok(())
    })?;
    disk.sync(&file, to)?;
    Ok((hasher.finalize().into(), size))
}

/// Hands all bytes of a file to `sink`; tells how many. Never waits on a pipe that somebody put there.
fn pump(path: &Path, sink: &mut dyn FnMut(&[u8]) -> Result<(), Error>) -> Result<u64, Error> {
    let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let mut file: File =
        OpenOptions::new().read(true).custom_flags(nonblock).open(path).map_err(Error::io("open", path))?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut size = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(size),
            Ok(len) => {
                sink(&buffer[..len])?;
                size += len as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("read", path)(error)),
        }
    }
}

/// Refuses a directory that is reached through a symbolic link below `root`.
fn refuse_links(root: &Path, parent: &Path) -> Result<(), Error> {
    for dir in parent.ancestors().take_while(|dir| *dir != root) {
        if fs::symlink_metadata(dir).is_ok_and(|found| found.is_symlink()) {
            return Err(Error::malformed(
                dir,
                "it is a symbolic link, and artifacts are not restored through one",
            ));
        }
    }
    Ok(())
}

/// Whether `path` is already what `file` says.
fn is_equal(path: &Path, file: &ManifestFile) -> bool {
    let Ok(found) = fs::symlink_metadata(path) else { return false };
    if file.is_link {
        let target = fs::read_link(path).ok();
        let text = target.as_ref().and_then(|target| target.to_str());
        return text.is_some_and(|text| Digest::of(text.as_bytes()) == file.digest);
    }
    found.is_file()
        && found.len() == file.size
        && found.permissions().mode() & 0o777 == file.mode
        && hash_file(path).is_ok_and(|(digest, _)| digest == file.digest)
}
