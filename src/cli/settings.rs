//! Where we are: the project's root, the state folder, colour, who runs this.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use super::args::{Global, When};
use crate::report::hint;

/// What every command needs to know of its surroundings.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// The project's root: the nearest folder upward that has `.engine` or `.git`, else the current one.
    pub(super) root: PathBuf,
    /// The current folder.
    pub(super) cwd: PathBuf,
    /// Where runs are kept.
    pub(super) state_dir: PathBuf,
    /// Where runs are kept, as it was written, unless that is the usual place.
    pub(super) elsewhere: Option<PathBuf>,
    /// Whether standard output gets colour.
    pub(super) color: bool,
    /// Whether standard error gets colour.
    pub(super) color_err: bool,
    /// Say only what went wrong.
    pub(super) quiet: bool,
}

impl Settings {
    /// Reads the surroundings.
    ///
    /// # Errors
    /// The current folder is gone or unreadable.
    pub(super) fn read(global: &Global) -> std::io::Result<Self> {
        let cwd = std::env::current_dir()?;
        let root = find_root(&cwd);
        let usual = root.join(".engine");
        let elsewhere = global.state_dir.clone().filter(|dir| normalize(&cwd.join(dir)) != usual);
        let state_dir = elsewhere.as_ref().map_or(usual, |dir| cwd.join(dir));
        if let Some(dir) = &elsewhere {
            hint::keep_in(dir);
        }
        if let Ok(below) = cwd.strip_prefix(&root) {
            hint::stand_in(below);
        }
        let colored = |is_terminal: bool| match global.color {
            When::Always => true,
            When::Never => false,
            When::Auto => is_terminal && wants_color(),
        };
        Ok(Self {
            color: colored(std::io::stdout().is_terminal()),
            color_err: colored(std::io::stderr().is_terminal()),
            quiet: global.quiet,
            root,
            cwd,
            state_dir,
            elsewhere,
        })
    }

    /// `path`, given from the current folder, as seen from the root when it lies below it.
    pub(super) fn path_from_root(&self, path: &Path) -> String {
        let whole = normalize(&self.cwd.join(path));
        let seen = whole.strip_prefix(&self.root).unwrap_or(&whole);
        if seen.as_os_str().is_empty() {
            return ".".to_owned();
        }
        seen.to_string_lossy().into_owned()
    }
}

/// `NO_COLOR` and dumb terminals, as <https://no-color.org> says.
fn wants_color() -> bool {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    !no_color && !dumb
}

/// The nearest folder upward with `.engine` or `.git`, else `from`.
fn find_root(from: &Path) -> PathBuf {
    from.ancestors()
        .find(|dir| dir.join(".engine").is_dir() || dir.join(".git").exists())
        .unwrap_or(from)
        .to_path_buf()
}

/// Takes `.` and `..` out of a path by its words alone.
pub(super) fn normalize(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

/// Who acts, for the record: the login name and host as the system tells them. This is a note, not a proof.
pub(super) fn person() -> String {
    let user = ["ENGINE_ACTOR", "GITHUB_ACTOR", "GITLAB_USER_LOGIN", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()));
    let host = rustix::system::uname();
    format!("{user}@{}", host.nodename().to_string_lossy())
}
