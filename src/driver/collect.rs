//! What an ended process means: exit code and values become an outcome, artifacts go to the object store.

use std::path::{Path, PathBuf};

use super::slates::Slate;
use super::values::{self, Telling};
use crate::base::{Span, Text};
use crate::exec::{Ended, Exit};
use crate::graph::Graph;
use crate::graph::model::{Process, Work};
use crate::run::event::{Answer, Outcome, OutputRef, ShardResult};
use crate::run::{Attempt, Input};

/// What can be told at once from an ended attempt, with so much about values that were written for nothing; nothing of one that is lost.
pub fn outcome(
    ended: &Ended,
    process: &Process,
    slate: &mut Slate,
    output: Option<OutputRef>,
    telling: Telling,
) -> Option<(Outcome, ShardResult)> {
    let mut result = ShardResult {
        output,
        cpu_us: ended.cpu_us,
        max_rss_kib: ended.max_rss_kib,
        notes: ended.notes.clone(),
        ..ShardResult::default()
    };
    let outcome = match &ended.exit {
        Exit::Code(0) => match values::read(slate, &process.outputs) {
            Ok(written) => {
                // What the engine's own actions write is there for whoever wants it.
                result.notes.extend(written.note(telling).filter(|_| !process.is_engine));
                result.outputs = written.outputs;
                Outcome::Success
            }
            Err(why) => Outcome::BadResult(why),
        },
        Exit::Code(code) => {
            if process.is_gate {
                // What it found is told whatever follows from it.
                result.outputs = values::read(slate, &process.outputs).unwrap_or_default().outputs;
            }
            Outcome::Exit(*code)
        }
        Exit::Signal(signal) => Outcome::Signal(*signal),
        Exit::NotStarted(why) => Outcome::NotStarted(why.clone()),
        Exit::Lost(_) => return None,
    };
    Some((outcome, result))
}

/// What the exit of a `done-if` means: 0 done, 1 not done, anything else nobody knows.
pub fn done_if_answer(ended: &Ended, process: &Process, slate: &mut Slate) -> Answer {
    match &ended.exit {
        Exit::Code(0) => match values::read(slate, &process.outputs) {
            Ok(written) => {
                let outputs = written.outputs;
                Answer::Yes(Box::new(ShardResult { outputs, ..ShardResult::default() }))
            }
            Err(why) => Answer::Unknown(format!("`done-if` says that it is done, but {why}")),
        },
        Exit::Code(1) => Answer::No,
        Exit::Code(code) => Answer::Unknown(format!("`done-if` ended with exit code {code}; 0 is done, 1 is not")),
        Exit::Signal(signal) => Answer::Unknown(format!("`done-if` was killed by signal {signal}")),
        Exit::NotStarted(why) => Answer::Unknown(format!("`done-if` could not be started: {why}")),
        Exit::Lost(why) => Answer::Unknown(format!("`done-if` did not end: {why}")),
    }
}

/// Whether something of an ended attempt may still read or write what it was lent. Notes name what was alive at its end.
/// A gate of the host that was stopped may be in the middle of its last round.
pub fn may_live(ended: &Ended, is_hosted: bool) -> bool {
    let is_lost = matches!(ended.exit, Exit::Lost(_));
    is_lost || !ended.notes.is_empty() || (is_hosted && !matches!(ended.exit, Exit::Code(_)))
}

/// Files below `dir` that one of `globs` names, relative to `dir`, sorted; folders are walked, not listed.
///
/// # Errors
/// A glob that names nothing, or a folder that cannot be read.
pub fn artifact_files(dir: &Path, globs: &[Text]) -> Result<Vec<PathBuf>, String> {
    let mut found = std::collections::BTreeSet::new();
    for glob in globs {
        let pattern = globset::GlobBuilder::new(glob)
            .literal_separator(true)
            .build()
            .map_err(|error| format!("artifact `{glob}`: {error}"))?
            .compile_matcher();
        let before = found.len();
        walk(dir, &static_prefix(dir, glob), &mut |relative| {
            if pattern.is_match(relative) {
                found.insert(relative.to_path_buf());
            }
        })?;
        if found.len() == before && !found.iter().any(|path| pattern.is_match(path)) {
            return Err(format!("artifact `{glob}` names no file in `{}`", dir.display()));
        }
    }
    Ok(found.into_iter().collect())
}

/// The deepest folder that every match of `glob` lies in.
fn static_prefix(dir: &Path, glob: &str) -> PathBuf {
    let parts: Vec<&str> = glob.split('/').collect();
    let fixed =
        parts.iter().take(parts.len().saturating_sub(1)).take_while(|part| !part.contains(['*', '?', '[', '{']));
    fixed.fold(dir.to_path_buf(), |path, part| path.join(part))
}

fn walk(root: &Path, at: &Path, each: &mut dyn FnMut(&Path)) -> Result<(), String> {
    let entries = match std::fs::read_dir(at) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("failed to list `{}`: {error}", at.display())),
    };
    for entry in entries {
        let entry = entry.map_err(|error| format!("failed to list `{}`: {error}", at.display()))?;
        let path = entry.path();
        let kind =
            entry.file_type().map_err(|error| format!("failed to look at `{}`: {error}", path.display()))?;
        if kind.is_dir() {
            walk(root, &path, each)?;
        } else if let Ok(relative) = path.strip_prefix(root) {
            each(relative);
        }
    }
    Ok(())
}

/// The process a node runs.
pub(super) fn process(graph: &Graph, attempt: Attempt) -> &Process {
    match &graph.nodes[attempt.node].work {
        Work::Process(process) => process,
        Work::Approval { .. } => unreachable!("an approval starts no attempt"),
    }
}

pub(super) fn not_started(attempt: Attempt, why: String) -> Input {
    let outcome = Outcome::NotStarted(why);
    Input::Done { attempt, outcome, took: Span::ZERO, result: Box::new(ShardResult::default()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_live_on_is_told_from_what_is_over() {
        let ended = |exit: Exit, notes: &[&str]| Ended {
            key: crate::exec::Key(1),
            exit,
            took: std::time::Duration::ZERO,
            cpu_us: 0,
            max_rss_kib: 0,
            bytes: 0,
            notes: notes.iter().map(|&note| note.to_owned()).collect(),
        };
        for exit in [Exit::Code(0), Exit::Code(7), Exit::Signal(9), Exit::NotStarted("no".into())] {
            assert!(!may_live(&ended(exit.clone(), &[]), false), "{exit:?}");
            assert!(may_live(&ended(exit.clone(), &["still alive although killed: 7"]), false), "{exit:?}");
            let has_verdict = matches!(exit, Exit::Code(_));
            assert_eq!(may_live(&ended(exit.clone(), &[]), true), !has_verdict, "a gate: {exit:?}");
        }
        assert!(may_live(&ended(Exit::Lost("gone".into()), &[]), false));
    }

    #[test]
    fn artifacts_are_named_by_globs_and_a_glob_that_names_nothing_is_an_error() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir_all(dir.path().join("dist/a")).expect("made");
        for name in ["dist/one", "dist/a/two", "other"] {
            std::fs::write(dir.path().join(name), name).expect("written");
        }
        let files = artifact_files(dir.path(), &["dist/**".into()]);
        assert_eq!(files, Ok(vec![PathBuf::from("dist/a/two"), PathBuf::from("dist/one")]));
        let again = artifact_files(dir.path(), &["dist/**".into(), "dist/one".into()]).expect("overlap is fine");
        assert_eq!(again.len(), 2);
        let none = artifact_files(dir.path(), &["build/*".into()]);
        assert!(none.is_err_and(|why| why.contains("`build/*` names no file")));
    }
}
