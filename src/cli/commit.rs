//! The git commit that is checked out: tells runs of different sources apart.
//!
//! Read from git's own files, because starting git takes longer than a plan of one stage does. Whatever does
//! not look as expected is left to git itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::exec::hearing;

/// Variables by which git looks in other places than its own rules say.
const ELSEWHERE: [&str; 5] =
    ["GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM"];

/// The commit of the work tree that holds `root`; none outside of one, or before the first commit.
pub(super) fn checked_out(root: &Path) -> Option<String> {
    if ELSEWHERE.iter().all(|name| std::env::var_os(name).is_none()) {
        let marker = root.ancestors().map(|folder| folder.join(".git")).find(|marker| marker.exists())?;
        if let Some(commit) = read_head(&marker) {
            return Some(commit);
        }
    }
    ask_git(root)
}

/// Who wrote the commit that is checked out, as git says it: `Ann Lee <ann@example.org>`.
pub(super) fn author(root: &Path) -> Option<String> {
    let format = ["log", "-1", "--format=%an <%ae>"];
    let output = hearing::output(Command::new("git").arg("-C").arg(root).args(format)).ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn ask_git(root: &Path) -> Option<String> {
    let output = hearing::output(Command::new("git").arg("-C").arg(root).args(["rev-parse", "HEAD"])).ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// What `HEAD` stands for, by way of one branch at most.
fn read_head(marker: &Path) -> Option<String> {
    let folder = git_folder(marker)?;
    let head = fs::read_to_string(folder.join("HEAD")).ok()?;
    let Some(branch) = head.trim().strip_prefix("ref: ") else { return commit(&head) };
    // A linked work tree has a `HEAD` of its own and shares the branches.
    let shared = fs::read_to_string(folder.join("commondir"))
        .map_or_else(|_| folder.clone(), |path| folder.join(path.trim()));
    match fs::read_to_string(shared.join(branch)) {
        Ok(text) => commit(&text),
        Err(_) => packed(&fs::read_to_string(shared.join("packed-refs")).ok()?, branch),
    }
}

/// The folder itself, or the one that a linked work tree's file names.
fn git_folder(marker: &Path) -> Option<PathBuf> {
    if marker.is_dir() {
        return Some(marker.to_path_buf());
    }
    let text = fs::read_to_string(marker).ok()?;
    Some(marker.parent()?.join(text.trim().strip_prefix("gitdir: ")?))
}

fn packed(refs: &str, branch: &str) -> Option<String> {
    let line = refs.lines().find(|line| line.split_once(' ').is_some_and(|(_, name)| name == branch))?;
    commit(line.split_once(' ')?.0)
}

/// A whole object name, of either of git's hashes.
fn commit(text: &str) -> Option<String> {
    let text = text.trim();
    let is_whole = matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_whole.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(folder: &Path, words: &[&str]) {
        let identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"];
        let mut command = Command::new("git");
        command.current_dir(folder).args(identity).args(words);
        assert!(command.output().expect("git is here").status.success(), "git {words:?}");
    }

    #[test]
    fn says_what_git_says_in_every_kind_of_work_tree() {
        let dir = tempfile::tempdir().expect("a folder");
        let main = dir.path().join("main");
        fs::create_dir_all(main.join("deep/er")).expect("made");
        git(&main, &["init", "-q"]);
        assert_eq!(checked_out(&main), None, "nothing was committed yet");
        let own = |folder: &Path| read_head(&folder.join(".git"));
        for word in ["one", "two"] {
            git(&main, &["commit", "-q", "--allow-empty", "-m", word]);
            assert_eq!(own(&main), ask_git(&main));
        }
        assert!(own(&main).is_some(), "a loose branch");
        assert_eq!(checked_out(&main.join("deep/er")), own(&main));
        git(&main, &["pack-refs", "--all"]);
        assert_eq!(own(&main), ask_git(&main), "a packed branch");
        git(&main, &["worktree", "add", "-q", "-b", "side", "../side", "HEAD~1"]);
        let side = dir.path().join("side");
        assert_eq!(own(&side), ask_git(&side), "a linked work tree");
        assert_ne!(own(&side), own(&main));
        git(&main, &["checkout", "-q", "--detach"]);
        assert_eq!(own(&main), ask_git(&main), "no branch");
    }
}
