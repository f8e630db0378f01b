//! Puts files in place: all of them or none, each whole or not at all.
//!
//! Every file is written beside its place first, with its mode from the first byte on, and synced. Only when all of
//! them are there is each renamed to its name, and its folder synced. Whatever fails before leaves the old files as
//! they were and takes its own away.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::Error;

/// A file to put in place.
pub struct Piece<'a> {
    /// Where.
    pub to: PathBuf,
    /// What.
    pub bytes: &'a [u8],
    /// Its mode.
    pub mode: u32,
    /// Whether it may only lie where nothing reaches a disk.
    pub require_tmpfs: bool,
}

/// A piece that is written and not yet in its place; what is not placed is removed.
struct Staged<'a> {
    piece: &'a Piece<'a>,
    beside: PathBuf,
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        // After the rename there is nothing by this name.
        let _ = fs::remove_file(&self.beside);
    }
}

/// Puts all `pieces` in place.
///
/// # Errors
/// The first that cannot be written. No file has changed, unless renaming itself failed half way, which no full disk
/// can bring about.
pub fn put(pieces: &[Piece<'_>]) -> Result<(), Error> {
    let mut staged = Vec::with_capacity(pieces.len());
    for (at, piece) in pieces.iter().enumerate() {
        staged.push(stage(piece, at)?);
    }
    for one in staged {
        let folder = folder(&one.piece.to);
        fs::rename(&one.beside, &one.piece.to)
            .and_then(|()| File::open(folder)?.sync_all())
            .map_err(|error| fault(&one.piece.to, error.to_string()))?;
    }
    Ok(())
}

fn stage<'a>(piece: &'a Piece<'a>, at: usize) -> Result<Staged<'a>, Error> {
    let folder = folder(&piece.to);
    fs::create_dir_all(folder).map_err(|error| fault(&piece.to, format!("its folder cannot be made: {error}")))?;
    if piece.to.is_dir() {
        return Err(fault(&piece.to, "it is a folder".to_owned()));
    }
    if piece.require_tmpfs && !is_memory(folder) {
        let why = format!("`{}` lies on a disk, and `require-tmpfs` wants memory", folder.display());
        return Err(fault(&piece.to, why));
    }
    let name = piece.to.file_name().ok_or_else(|| fault(&piece.to, "it names no file".to_owned()))?;
    let beside = folder.join(format!(".{}.{}-{at}.new", name.to_string_lossy(), std::process::id()));
    // What a killed engine of the same number left there is nobody's.
    let _ = fs::remove_file(&beside);
    let staged = Staged { piece, beside };
    let written = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&staged.beside)?;
        file.write_all(piece.bytes)?;
        file.set_permissions(fs::Permissions::from_mode(piece.mode))?;
        file.sync_all()
    };
    written().map_err(|error| fault(&piece.to, error.to_string()))?;
    Ok(staged)
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn fault(path: &Path, why: String) -> Error {
    Error::Place { path: path.display().to_string(), why }
}

/// Whether a folder lies in memory.
pub fn is_memory(folder: &Path) -> bool {
    /// `TMPFS_MAGIC` and `RAMFS_MAGIC` of `linux/magic.h`.
    const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];
    rustix::fs::statfs(folder)
        .is_ok_and(|found| u64::try_from(found.f_type).is_ok_and(|kind| IN_MEMORY.contains(&kind)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(to: PathBuf, bytes: &[u8]) -> Piece<'_> {
        Piece { to, bytes, mode: 0o400, require_tmpfs: false }
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn files_are_replaced_whole_with_their_mode() {
        let dir = tempfile::tempdir().expect("a folder");
        let to = dir.path().join("deep/app.env");
        for text in ["A=1\n", "A=2\n"] {
            put(&[piece(to.clone(), text.as_bytes())]).expect("written");
            assert_eq!(fs::read_to_string(&to).expect("readable"), text);
            assert_eq!(fs::metadata(&to).expect("there").permissions().mode() & 0o7777, 0o400);
        }
        assert_eq!(names(&dir.path().join("deep")), ["app.env"]);
    }

    #[test]
    fn one_that_cannot_be_written_leaves_all_as_they_were() {
        let dir = tempfile::tempdir().expect("a folder");
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        put(&[piece(one.clone(), b"old")]).expect("written");
        fs::create_dir(&two).expect("made");
        let error = put(&[piece(one.clone(), b"new"), piece(two, b"new")]).expect_err("a folder is in the way");
        assert!(error.to_string().contains("it is a folder"), "{error}");
        assert_eq!(fs::read(&one).expect("readable"), b"old");
        assert_eq!(names(dir.path()), ["one", "two"]);
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let dir = tempfile::tempdir().expect("a folder");
        let (to, other) = (dir.path().join("app.env"), dir.path().join("other"));
        fs::write(&other, "mine").expect("written");
        std::os::unix::fs::symlink(&other, &to).expect("linked");
        put(&[piece(to.clone(), b"A=1\n")]).expect("written");
        assert_eq!(fs::read_to_string(&other).expect("readable"), "mine");
        assert!(fs::symlink_metadata(&to).expect("there").is_file());
    }

    #[test]
    fn memory_is_told_from_disks() {
        assert!(!is_memory(Path::new("/proc")));
        let dir = tempfile::tempdir().expect("a folder");
        let on_disk = !is_memory(dir.path());
        let mut piece = piece(dir.path().join("x"), b"1");
        piece.require_tmpfs = true;
        assert_eq!(put(&[piece]).is_err(), on_disk);
        if let Ok(shm) = tempfile::tempdir_in("/dev/shm") {
            assert!(is_memory(shm.path()));
        }
    }
}
