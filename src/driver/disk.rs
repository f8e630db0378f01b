//! The working tree, as plans ask for it: files that a glob names, and files of items.

use std::fs;
use std::path::{Path, PathBuf};

use globset::GlobBuilder;

use crate::base::limits;
use crate::graph::build::world::World;
use crate::plan::source::{self, Loader as _};

/// The working tree below a root.
#[derive(Clone, Debug)]
pub struct Disk {
    root: PathBuf,
}

impl Disk {
    /// The tree below `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Walks the tree without following links; `.git` and `.engine` are never entered.
    fn walk(&self, from: &Path, found: &mut dyn FnMut(String) -> bool) -> Result<(), String> {
        let mut left = vec![from.to_path_buf()];
        while let Some(folder) = left.pop() {
            let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
            for entry in entries {
                let entry = entry.map_err(|error| format!("{}: {error}", folder.display()))?;
                let path = entry.path();
                let kind = entry.file_type().map_err(|error| format!("{}: {error}", path.display()))?;
                if kind.is_dir() {
                    if entry.file_name() != ".git" && entry.file_name() != ".engine" {
                        left.push(path);
                    }
                } else if let Some(name) = path.strip_prefix(&self.root).ok().and_then(Path::to_str)
                    && path.is_file()
                    && !found(name.to_owned())
                {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl World for Disk {
    fn glob(&self, pattern: &str) -> Result<Vec<String>, String> {
        inside(pattern)?;
        let matcher = GlobBuilder::new(pattern)
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .map_err(|error| format!("`{pattern}` is no glob: {}", error.kind()))?
            .compile_matcher();
        // The parts before the first wildcard say where to begin, so that not the whole tree is walked.
        let fixed: PathBuf =
            pattern.split('/').take_while(|part| !part.contains(['*', '?', '[', '{', '\\'])).collect();
        let mut from = self.root.join(fixed);
        if !from.is_dir() {
            from.pop();
        }
        if !from.is_dir() {
            return Ok(Vec::new());
        }
        let mut names = Vec::new();
        let most = usize::try_from(limits::MAX_SHARDS).unwrap_or(usize::MAX);
        self.walk(&from, &mut |name| {
            if matcher.is_match(&name) {
                names.push(name);
            }
            names.len() <= most
        })?;
        names.sort_unstable();
        Ok(names)
    }

    fn items(&self, path: &str) -> Result<String, String> {
        inside(path)?;
        // As plan files are read: no pipe is waited for, no device read without an end.
        source::Disk::new(self.root.clone()).load_anywhere(path)
    }
}

/// Refuses paths that leave the root.
fn inside(path: &str) -> Result<(), String> {
    if path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return Err(format!("`{path}` leaves the project's root"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::build::world::Recorder;

    #[test]
    fn a_recorded_world_answers_as_the_disk_did() {
        let root = tempfile::tempdir().expect("a folder");
        for name in ["a/z.txt", "a/b/y.txt", "a/B.txt", ".git/x.txt", "top.txt"] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("it has one")).expect("made");
            fs::write(path, "1\n2\n").expect("written");
        }
        let disk = Disk::new(root.path());
        let asking = Recorder::new(&disk);
        let all = asking.glob("**/*.txt").expect("paths");
        assert_eq!(all, ["a/B.txt", "a/b/y.txt", "a/z.txt", "top.txt"]);
        assert_eq!(asking.glob("a/*.txt").expect("paths"), ["a/B.txt", "a/z.txt"]);
        assert_eq!(asking.glob("nowhere/*").expect("none"), Vec::<String>::new());
        assert_eq!(asking.items("top.txt").expect("text"), "1\n2\n");
        let recorded = asking.into_recorded();
        fs::remove_file(root.path().join("top.txt")).expect("removed");
        assert_eq!(recorded.glob("**/*.txt").expect("paths"), all);
        assert_eq!(recorded.items("top.txt").expect("text"), "1\n2\n");
        assert!(recorded.glob("other").is_err());
        assert!(disk.glob("../*").is_err() && disk.items("/etc/passwd").is_err());
        assert!(disk.items("top.txt").is_err());
    }

    #[test]
    fn items_are_read_from_regular_files_only() {
        let root = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink("/dev/zero", root.path().join("zeros")).expect("a link");
        fs::create_dir(root.path().join("folder")).expect("made");
        fs::write(root.path().join("real"), "1\n").expect("written");
        std::os::unix::fs::symlink("real", root.path().join("link")).expect("a link");
        let disk = Disk::new(root.path());
        assert_eq!(disk.items("zeros"), Err("`zeros` is a device, not a file".to_owned()));
        assert_eq!(disk.items("folder"), Err("`folder` is a directory, not a file".to_owned()));
        assert_eq!(disk.items("link").as_deref(), Ok("1\n"));
    }
}
