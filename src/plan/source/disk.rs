//! Files of the working tree: regular files below the root, read whole, with every fault said in words.

use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::Loader;
use crate::base::limits::{MAX_FILE_BYTES, MAX_NEIGHBOURS};
use crate::plan::error::nearest;

/// Loads from a directory of the machine.
#[derive(Clone, Debug)]
pub struct Disk {
    root: PathBuf,
    allow_outside: bool,
}

impl Disk {
    /// Files below `root`; nothing outside of it can be read, through `..` and symlinks neither.
    pub const fn new(root: PathBuf) -> Self {
        Self { root, allow_outside: false }
    }

    /// Whether paths may leave the root.
    #[must_use]
    pub const fn allow_outside(mut self, allowed: bool) -> Self {
        self.allow_outside = allowed;
        self
    }

    /// The file that `path` means, its `..` taken away by text and its symlinks followed.
    fn resolve(&self, path: &str) -> Result<PathBuf, String> {
        let full = self.lexical(path)?;
        let real = fs::canonicalize(&full).map_err(|fault| explain(path, &full, &fault))?;
        if self.allow_outside {
            return Ok(real);
        }
        let root = fs::canonicalize(&self.root)
            .map_err(|fault| format!("the root `{}` cannot be read: {fault}", self.root.display()))?;
        if !real.starts_with(&root) {
            return Err(format!(
                "`{path}` is a link to `{}`, which is outside of the root; `allow-outside: true` permits it",
                real.display()
            ));
        }
        Ok(real)
    }

    /// `path` below the root without `.` and `..`; leaving the root is an error unless allowed.
    fn lexical(&self, path: &str) -> Result<PathBuf, String> {
        if path.is_empty() {
            return Err("the path is empty".to_owned());
        }
        if path.contains('\0') {
            return Err(format!("the path `{}` contains a NUL character", path.replace('\0', "\\0")));
        }
        let mut parts: Vec<&std::ffi::OsStr> = Vec::new();
        for part in Path::new(path).components() {
            match part {
                Component::Normal(name) => parts.push(name),
                Component::ParentDir if parts.pop().is_some() => {}
                Component::CurDir => {}
                _ if self.allow_outside => return Ok(self.root.join(path)),
                _ => {
                    let root = self.root.display();
                    return Err(format!("`{path}` is outside of the root `{root}`: go to its own project first"));
                }
            }
        }
        Ok(parts.iter().fold(self.root.clone(), |full, part| full.join(part)))
    }
}

impl Loader for Disk {
    fn load(&self, path: &str) -> Result<String, String> {
        let real = self.resolve(path)?;
        let fault = |fault: &io::Error| explain(path, &real, fault);
        // Only a regular file is opened: opening a device can have effects, opening a FIFO can wait for ever.
        refuse_special(path, &fs::metadata(&real).map_err(|e| fault(&e))?)?;
        let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).expect("open flags are an i32");
        let file = OpenOptions::new().read(true).custom_flags(flags).open(&real).map_err(|e| fault(&e))?;
        let about = file.metadata().map_err(|e| fault(&e))?;
        refuse_special(path, &about)?;
        let mut bytes = Vec::with_capacity(usize::try_from(about.len()).expect("checked against the limit"));
        // The file may grow while it is read, or say 0 as those of /proc do.
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|e| fault(&e))?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(too_large(path));
        }
        String::from_utf8(bytes).map_err(|fault| not_utf8(path, fault.as_bytes(), fault.utf8_error()))
    }

    fn load_anywhere(&self, path: &str) -> Result<String, String> {
        self.clone().allow_outside(true).load(path)
    }

    fn has(&self, path: &str) -> bool {
        self.lexical(path).is_ok_and(|full| fs::symlink_metadata(full).is_ok())
    }
}

fn refuse_special(path: &str, about: &Metadata) -> Result<(), String> {
    let kind = about.file_type();
    let noun = match () {
        () if kind.is_file() && about.len() <= MAX_FILE_BYTES => return Ok(()),
        () if kind.is_file() => return Err(too_large(path)),
        () if kind.is_dir() => "a directory",
        () if kind.is_fifo() => "a named pipe",
        () if kind.is_socket() => "a socket",
        () => "a device",
    };
    Err(format!("`{path}` is {noun}, not a file"))
}

fn too_large(path: &str) -> String {
    format!("`{path}` is larger than {} MiB, the limit of one file", MAX_FILE_BYTES >> 20)
}

fn not_utf8(path: &str, bytes: &[u8], fault: std::str::Utf8Error) -> String {
    if matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) {
        return format!("`{path}` looks like UTF-16; save it as UTF-8");
    }
    let at = fault.valid_up_to();
    let line = bytes[..at].split(|&byte| byte == b'\n').count();
    let byte = bytes[at];
    format!("`{path}` is not UTF-8: byte 0x{byte:02x} on line {line}, offset {at}")
}

/// Why `full`, written as `path`, could not be opened.
fn explain(path: &str, full: &Path, fault: &io::Error) -> String {
    match fault.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT) => missing(path, full),
        Some(Errno::NOTDIR) => format!("`{path}` does not exist: a part before the last `/` is a file"),
        Some(Errno::LOOP) => format!("`{path}` is a symlink that leads back to itself"),
        Some(Errno::ACCESS | Errno::PERM) => format!("`{path}` cannot be read: permission denied"),
        Some(Errno::NAMETOOLONG) => "the path is too long for this machine".to_owned(),
        _ => format!("`{path}` cannot be read: {fault}"),
    }
}

/// Says that `path` is missing, and what stands in its place.
fn missing(path: &str, full: &Path) -> String {
    if fs::symlink_metadata(full).is_ok_and(|about| about.file_type().is_symlink()) {
        return format!("`{path}` is a symlink to a file that does not exist");
    }
    let folder = full.parent().unwrap_or(full);
    let Ok(entries) = fs::read_dir(folder) else {
        return format!("`{path}` does not exist, and neither does its folder");
    };
    let names: Vec<String> =
        entries.flatten().take(MAX_NEIGHBOURS).filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let written = path.rsplit('/').next().unwrap_or(path);
    let stem = |name: &str| name.rsplit_once('.').map_or(name.to_owned(), |(stem, _)| stem.to_owned());
    let same_stem = || names.iter().map(String::as_str).find(|name| is_plan(name) && stem(name) == stem(written));
    match same_stem().or_else(|| nearest(written, names.iter().map(String::as_str))) {
        Some(name) => {
            format!("`{path}` does not exist; did you mean `{}{name}`?", &path[..path.len() - written.len()])
        }
        None => format!("`{path}` does not exist"),
    }
}

fn is_plan(name: &str) -> bool {
    matches!(name.rsplit_once('.'), Some((_, "yaml" | "yml" | "toml" | "json")))
}
