//! One Project Chrono: `site/origin.git`, `site/clone` and what stands beside them, below a project's root that has
//! the plans and their scripts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{Live, Output, Project};

pub(crate) struct Site {
    pub(crate) project: Project,
}

/// What a release may not touch: where the clone stands, its branches and remote-tracking refs, its files.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Checkout(String);

impl Site {
    pub(crate) fn new() -> Self {
        let site = Self { project: Project::new() };
        for folder in ["plans/chrono", "examples/chrono"] {
            site.project.bring(folder);
        }
        site.command("examples/chrono/make-repos", &["site"]);
        site
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.project.path(Path::new("site").join(path))
    }

    /// Runs a program in the root, away from everybody's git configuration; it must succeed.
    #[track_caller]
    pub(crate) fn command(&self, program: &str, args: &[&str]) -> String {
        let (succeeded, said) = self.attempt(program, args);
        assert!(succeeded, "{program} {args:?}\n{said}");
        said
    }

    /// Runs a program in the root: whether it succeeded, and what it said on both streams.
    pub(crate) fn attempt(&self, program: &str, args: &[&str]) -> (bool, String) {
        let mut command = self.project.command(&[]);
        let mut other =
            Command::new(if program.contains('/') { self.project.path(program) } else { program.into() });
        other.args(args).current_dir(self.project.path("")).env_clear().stdin(Stdio::null());
        for (key, value) in command.env("GIT_CONFIG_NOSYSTEM", "1").get_envs() {
            other.env(key, value.expect("the variables of a project are set"));
        }
        let output = other.output().expect("it starts");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).trim_end().to_owned())
    }

    /// git in the remote.
    #[track_caller]
    pub(crate) fn origin(&self, args: &[&str]) -> String {
        self.command("git", &[&["-C", "site/origin.git"], args].concat())
    }

    /// git in the clone.
    #[track_caller]
    pub(crate) fn clone(&self, args: &[&str]) -> String {
        self.command("git", &[&["-C", "site/clone"], args].concat())
    }

    /// Every ref of the remote with its object.
    #[track_caller]
    pub(crate) fn refs(&self) -> String {
        self.origin(&["for-each-ref", "--format=%(refname) %(objectname)"])
    }

    /// The commit that a name of the remote means.
    #[track_caller]
    pub(crate) fn commit(&self, name: &str) -> String {
        self.origin(&["rev-parse", "--verify", &format!("{name}^{{commit}}")])
    }

    /// Whether the commit `name` of the remote contains `other`.
    pub(crate) fn contains(&self, name: &str, other: &str) -> bool {
        self.attempt("git", &["-C", "site/origin.git", "merge-base", "--is-ancestor", other, name]).0
    }

    #[track_caller]
    pub(crate) fn checkout(&self) -> Checkout {
        let mut all = self.clone(&["for-each-ref", "--format=%(refname) %(objectname)"]);
        for args in [&["symbolic-ref", "HEAD"][..], &["status", "--porcelain", "--ignored"], &["worktree", "list"]]
        {
            all += "\n";
            all += &self.clone(args);
        }
        Checkout(all)
    }

    /// A developer's commit of one file on `branch`, pushed; the clone is back on forge afterwards.
    #[track_caller]
    pub(crate) fn develop(&self, branch: &str, file: &str, text: &str) {
        self.clone(&["fetch", "--quiet", "origin"]);
        self.clone(&["checkout", "--quiet", "-B", branch, &format!("origin/{branch}")]);
        fs::write(self.path("clone").join(file), text).expect("a file");
        self.clone(&["add", "--force", file]);
        self.clone(&["commit", "--quiet", "-m", &format!("Change {file}")]);
        self.clone(&["push", "--quiet", "origin", branch]);
        if branch != "forge" {
            self.clone(&["checkout", "--quiet", "-B", "forge", "origin/forge"]);
        }
    }

    /// The command line that releases `version`.
    pub(crate) fn release(version: &str) -> Vec<String> {
        let sets = ["repo=site/clone", "issues=site/issues.tsv", "staging=site/staging", "brief=for a test"];
        let mut args = vec!["run".to_owned(), "plans/chrono/release.yaml".to_owned()];
        args.extend(sets.map(|set| format!("--set={set}")));
        args.push(format!("--set=version={version}"));
        args
    }

    /// The command line that applies the patch for production's bug.
    pub(crate) fn hotfix() -> Vec<String> {
        let sets = ["repo=site/clone", "name=no-prices", "summary=refuse an empty list"];
        let mut args = vec!["run".to_owned(), "plans/chrono/hotfix.yaml".to_owned()];
        args.extend(sets.map(|set| format!("--set={set}")));
        args
    }

    /// The engine, not started yet.
    pub(crate) fn engine(&self, args: &[impl AsRef<str>]) -> Command {
        let args: Vec<&str> = args.iter().map(AsRef::as_ref).collect();
        let mut command = self.project.command(&args);
        command.env("GIT_CONFIG_NOSYSTEM", "1");
        command
    }

    /// Runs the engine to its end.
    #[track_caller]
    pub(crate) fn run(&self, args: &[impl AsRef<str>]) -> Output {
        Live::start(self.engine(args)).end()
    }

    /// Runs the engine to its end, answering every approval with yes.
    #[track_caller]
    pub(crate) fn run_approved(&self, args: &[impl AsRef<str>]) -> Output {
        let mut command = self.engine(args);
        command.arg("--yes");
        Live::start(command).end()
    }

    /// Approves these stages of the newest unfinished run.
    #[track_caller]
    pub(crate) fn approve(&self, stages: &[&str]) {
        for stage in stages {
            self.run(&["approve", stage]).expect(0);
        }
    }

    /// The states that `status --json` tells, by stage, of the latest run.
    #[track_caller]
    pub(crate) fn states(&self) -> Vec<(String, String)> {
        let text = self.run(&["status", "--json"]).expect(0).stdout;
        let status: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let stages = status["stages"].as_array().expect("an array of stages");
        let word = |value: &serde_json::Value| value.as_str().expect("a word").to_owned();
        stages.iter().map(|stage| (word(&stage["id"]), word(&stage["state"]))).collect()
    }

    /// The state of one stage of the latest run.
    #[track_caller]
    pub(crate) fn state(&self, stage: &str) -> String {
        let found = self.states().into_iter().find(|(id, _)| id == stage);
        found.unwrap_or_else(|| panic!("no stage {stage}")).1
    }

    /// Whether a workspace of a run is left in the clone.
    pub(crate) fn has_workspace(&self) -> bool {
        self.path("clone/.git/chrono").exists()
    }

    /// Asserts that khala is the no-ff merge of `branch` onto `before`, tagged `tag`, both manifests at its version.
    #[track_caller]
    pub(crate) fn expect_on_khala(&self, tag: &str, branch: &str, before: &str) {
        assert_eq!(self.origin(&["rev-parse", "khala^1", "khala^2"]), format!("{before}\n{branch}"));
        assert_eq!(self.origin(&["cat-file", "-t", &format!("refs/tags/{tag}")]), "tag", "annotated");
        assert_eq!(self.commit(tag), self.commit("khala"));
        let version = tag.trim_start_matches('v');
        for (file, line) in [
            ("Cargo.toml", format!("version = \"{version}\"")),
            ("package.json", format!("  \"version\": \"{version}\",")),
        ] {
            let text = self.origin(&["show", &format!("khala:{file}")]);
            assert!(text.lines().any(|one| one == line), "{file} has no `{line}`:\n{text}");
        }
    }
}
