//! Finds the program of an attempt, and says in a person's words why one could not be started.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::Access;
use rustix::io::Errno;

use super::super::Spec;

/// Names to look at for a suggestion; a `PATH` with more is not worth the wait.
const MAX_NAMES: usize = 20_000;

/// Where programs were found, so that stages that come after nothing new need not look through their `PATH` again.
#[derive(Debug, Default)]
pub(super) struct Looks {
    found: VecDeque<Look>,
}

/// One look.
#[derive(Debug)]
struct Look {
    name: OsString,
    path: OsString,
    cwd: PathBuf,
    program: PathBuf,
    /// How many stages had ended before it.
    seen: u64,
    at: Instant,
}

/// Looks that are kept: plans run few programs at a time.
const MAX_LOOKS: usize = 16;
/// How long a look counts: what somebody installs beside the run is found soon.
const LOOK_LASTS: Duration = Duration::from_secs(1);

impl Looks {
    /// The program's absolute path, and whether it is that of an earlier look: one that was made after everything had
    /// ended that this attempt comes after. So what a stage has installed is found by the stages that need it.
    /// A program that was not found is looked for each time.
    pub(super) fn find(&mut self, spec: &Spec, at: Instant) -> Result<(PathBuf, bool), String> {
        let is_searched = |name: &&OsString| !name.is_empty() && !name.as_bytes().contains(&b'/');
        let Some(name) = spec.argv.first().filter(is_searched) else {
            return Ok((resolve(spec)?, false));
        };
        let path = search_path(spec);
        let place = self.found.iter().position(|it| it.name == *name && it.path == path && it.cwd == spec.cwd);
        if let Some(look) = place.map(|place| &self.found[place])
            && look.seen >= spec.after
            && at.saturating_duration_since(look.at) < LOOK_LASTS
        {
            return Ok((look.program.clone(), true));
        }
        if let Some(place) = place {
            self.found.remove(place);
        }
        let program = resolve(spec)?;
        self.found.truncate(MAX_LOOKS - 1);
        self.found.push_front(Look {
            name: name.clone(),
            path: path.to_owned(),
            cwd: spec.cwd.clone(),
            program: program.clone(),
            seen: spec.seen,
            at,
        });
        Ok((program, false))
    }

    /// Forgets all: a program is not where it was.
    pub(super) fn forget(&mut self) {
        self.found.clear();
    }
}

/// The program's absolute path, looked up as the stage itself would: in the `PATH` of its own environment and
/// from its own working directory.
fn resolve(spec: &Spec) -> Result<PathBuf, String> {
    let Some(name) = spec.argv.first().filter(|name| !name.is_empty()) else {
        return Err("the command is empty".into());
    };
    if name.as_bytes().contains(&b'/') {
        return Ok(spec.cwd.join(name));
    }
    let path = search_path(spec);
    let candidates = || std::env::split_paths(path).map(|folder| spec.cwd.join(folder).join(name));
    let is_runnable = |file: &PathBuf| rustix::fs::access(file, Access::EXEC_OK).is_ok() && file.is_file();
    candidates().find(is_runnable).ok_or_else(|| {
        let barred = candidates().find(|file| file.is_file());
        barred.map_or_else(|| not_found(spec, name, path), |file| not_executable(&file))
    })
}

fn search_path(spec: &Spec) -> &OsStr {
    spec.env.get("PATH").unwrap_or(OsStr::new("/bin:/usr/bin"))
}

fn not_found(spec: &Spec, name: &OsStr, path: &OsStr) -> String {
    if !spec.cwd.is_dir() {
        return no_folder(&spec.cwd);
    }
    let mut text = format!(
        "program `{}` is in no folder of the stage's `PATH` ({})",
        name.to_string_lossy(),
        path.to_string_lossy()
    );
    if let Some(near) = nearest(name, path) {
        text.push_str("; did you mean `");
        text.push_str(&near);
        text.push('`');
    }
    text
}

fn nearest(name: &OsStr, path: &OsStr) -> Option<String> {
    let name = name.to_str()?;
    let allowed = if name.len() < 5 { 1 } else { 2 };
    std::env::split_paths(path)
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten()
        .flatten()
        .take(MAX_NAMES)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .map(|other| (strsim::damerau_levenshtein(name, &other), other))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, other)| other)
}

/// Why the system refused to start a program that was found.
pub(super) fn explain(error: &std::io::Error, spec: &Spec, program: &Path) -> String {
    if !spec.cwd.is_dir() {
        return no_folder(&spec.cwd);
    }
    if error.kind() == std::io::ErrorKind::InvalidInput {
        return nul_byte(spec);
    }
    let shown = program.display();
    match Errno::from_io_error(error) {
        Some(Errno::NOENT | Errno::NOTDIR) => missing(program),
        Some(Errno::ACCESS) if program.is_dir() => format!("`{shown}` is a folder, not a program"),
        Some(Errno::ACCESS) => not_executable(program),
        Some(Errno::NOEXEC) => {
            format!("`{shown}` is neither a program of this machine nor a script with a `#!` line")
        }
        Some(Errno::TOOBIG) => format!(
            "arguments ({} bytes) and environment ({} bytes) are longer than the system takes; put them into a file",
            spec.argv.iter().map(|argument| argument.len()).sum::<usize>(),
            spec.env.iter().map(|(name, value)| name.len() + value.len() + 2).sum::<usize>()
                + spec.secrets.iter().map(|(name, value)| name.len() + value.expose().len() + 2).sum::<usize>(),
        ),
        Some(Errno::TXTBSY) => format!("`{shown}` is still open for writing by another process"),
        Some(Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE) => {
            format!("the machine has no room for another process: {error}")
        }
        _ => format!("`{shown}` could not be started: {error}"),
    }
}

fn no_folder(cwd: &Path) -> String {
    let what = if cwd.exists() { "is not a folder" } else { "does not exist" };
    format!("the working directory `{}` {what}", cwd.display())
}

fn not_executable(program: &Path) -> String {
    format!("`{0}` is not executable; `chmod +x {0}` mends that", program.display())
}

fn missing(program: &Path) -> String {
    let shown = program.display();
    if !program.exists() {
        return format!("program `{shown}` does not exist");
    }
    match interpreter(program) {
        Some(wanted) => format!("`{shown}` names the interpreter `{wanted}`, which does not exist"),
        None => format!("`{shown}` needs a loader that this machine does not have; was it built for another?"),
    }
}

/// The program after `#!`.
fn interpreter(program: &Path) -> Option<String> {
    let mut line = Vec::new();
    let file = std::fs::File::open(program).ok()?.take(512);
    BufReader::new(file).read_until(b'\n', &mut line).ok()?;
    let text = String::from_utf8_lossy(line.strip_prefix(b"#!")?).into_owned();
    let shown = if text.ends_with("\r\n") { text.trim_start().replace("\r\n", "\\r") } else { text };
    shown.split_ascii_whitespace().next().map(str::to_owned)
}

fn nul_byte(spec: &Spec) -> String {
    let is_broken = |text: &OsStr| text.as_bytes().contains(&0);
    if let Some(place) = spec.argv.iter().position(|word| is_broken(word)) {
        return format!("argument {place} contains a NUL byte, which no program can receive");
    }
    match spec.env.iter().find(|(name, value)| is_broken(name) || is_broken(value)) {
        Some((name, _)) => {
            format!("variable `{}` contains a NUL byte", name.to_string_lossy().replace('\0', "\\0"))
        }
        None => "the command or the working directory contains a NUL byte".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::now;
    use super::*;
    use crate::exec::Key;
    use crate::plan::model::{Lifetime, Signal};

    /// An attempt that runs `tool`, from the folders `a` and `b`.
    fn spec(root: &Path, seen: u64, after: u64) -> Spec {
        let path = format!("{0}/a:{0}/b", root.display());
        Spec {
            key: Key(1),
            argv: vec!["tool".into()],
            env: [("PATH", path)].into_iter().collect(),
            cwd: root.to_owned(),
            stop_signal: Signal::Term,
            grace: Duration::ZERO,
            idle: None,
            tag: String::new(),
            lifetime: Lifetime::Stage,
            pipes: None,
            secrets: Vec::new(),
            seen,
            after,
        }
    }

    fn install(root: &Path, folder: &str) -> PathBuf {
        let file = root.join(folder).join("tool");
        std::fs::create_dir_all(root.join(folder)).expect("made");
        std::fs::write(&file, "#!/bin/sh\n").expect("written");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).expect("set");
        file
    }

    #[test]
    fn a_program_is_looked_for_once_for_attempts_that_come_after_nothing_new() {
        let root = tempfile::tempdir().expect("a folder");
        let there = install(root.path(), "b");
        let (mut looks, at) = (Looks::default(), now());
        assert_eq!(looks.find(&spec(root.path(), 3, 0), at), Ok((there.clone(), false)));
        assert_eq!(looks.find(&spec(root.path(), 9, 3), at), Ok((there, true)));
    }

    #[test]
    fn what_a_stage_installed_is_found_by_those_after_it() {
        let root = tempfile::tempdir().expect("a folder");
        let (mut looks, at) = (Looks::default(), now());
        assert!(looks.find(&spec(root.path(), 0, 0), at).is_err());
        let behind = install(root.path(), "b");
        assert_eq!(looks.find(&spec(root.path(), 0, 0), at), Ok((behind, false)), "a miss is not kept");
        let before = install(root.path(), "a");
        assert_eq!(looks.find(&spec(root.path(), 1, 1), at), Ok((before, false)));
    }

    #[test]
    fn a_look_gets_old() {
        let root = tempfile::tempdir().expect("a folder");
        install(root.path(), "b");
        let (mut looks, at) = (Looks::default(), now());
        assert!(looks.find(&spec(root.path(), 0, 0), at).is_ok());
        let before = install(root.path(), "a");
        assert_eq!(looks.find(&spec(root.path(), 0, 0), at + LOOK_LASTS), Ok((before, false)));
    }

    #[test]
    fn looks_are_for_one_folder_and_one_path_and_few() {
        let root = tempfile::tempdir().expect("a folder");
        install(root.path(), "b");
        let (mut looks, at) = (Looks::default(), now());
        for number in 0..3 * MAX_LOOKS {
            let mut other = spec(root.path(), 0, 0);
            other.cwd = root.path().join(number.to_string());
            assert!(looks.find(&other, at).is_ok_and(|(_, is_known)| !is_known));
        }
        assert_eq!(looks.found.len(), MAX_LOOKS);
        looks.forget();
        assert!(looks.found.is_empty());
    }
}
