//! A run goes on where it belongs, from wherever somebody resumes it.

use std::path::Path;

use crate::support::{Live, Output, Project};
use crate::tool::json;

const PLAN: &str = "version: 1\nstages:\n  where: {run: 'pwd >> \"$LOG\"; [ -e mended ]', pass-env: [LOG]}\n";

/// Two projects and a state directory beside them.
struct Places(Project);

impl Places {
    /// Project `a` has a run that failed.
    fn new(state: &str) -> Self {
        let places = Self(Project::new());
        for project in ["a", "b"] {
            places.0.write(format!("{project}/.git/HEAD"), "");
        }
        places.0.write("a/plan.yaml", PLAN);
        places.engine("a", &["run", "plan.yaml", "--run-id", "r1", "--key", "k", "--state-dir", state]).expect(1);
        assert_eq!(places.log(), [places.at("a")]);
        places
    }

    fn at(&self, path: &str) -> String {
        self.0.path("").canonicalize().expect("it exists").join(path).display().to_string()
    }

    fn engine(&self, folder: &str, args: &[&str]) -> Output {
        let mut command = self.0.command(args);
        command.current_dir(self.0.path(folder)).env("LOG", self.0.path("log"));
        Live::start(command).end()
    }

    /// The folders that the stage ran in.
    fn log(&self) -> Vec<String> {
        self.0.read("log").lines().map(str::to_owned).collect()
    }

    fn moves(&self, from: &str, to: &str) {
        std::fs::rename(self.0.path(from), self.0.path(to)).expect("moved");
    }
}

#[test]
fn a_run_with_its_state_elsewhere_goes_on_where_it_began() {
    let places = Places::new("../state");
    places.0.write("a/mended", "");
    let said = format!("note: stages run in `{}`, where the run began\n", places.at("a"));
    let foreseen = places.engine("b", &["plan", "--resume", "r1", "--state-dir", "../state"]).expect(0);
    assert_eq!(foreseen.stderr, said);
    let output = places.engine("b", &["resume", "--state-dir", "../state"]).expect(0);
    assert_eq!(output.stderr, said);
    assert_eq!(places.log(), [places.at("a"), places.at("a")]);
    assert!(!places.0.has("b/.engine"));
}

#[test]
fn a_project_that_was_moved_takes_its_runs_along() {
    let places = Places::new(".engine");
    places.moves("a", "c");
    places.0.write("c/mended", "");
    let output = places.engine("c", &["resume"]).expect(0);
    let said = format!("note: the run began in `{}`; stages run in `{}` now\n", places.at("a"), places.at("c"));
    assert_eq!(output.stderr, said);
    assert_eq!(places.log(), [places.at("a"), places.at("c")]);
    let shown = json(&places.engine("c", &["status", "r1", "--json"]).expect(0).stdout);
    let roots: Vec<_> =
        shown["sessions"].as_array().expect("sessions").iter().map(|one| one["root"].clone()).collect();
    assert_eq!(roots, [places.at("a"), places.at("c")]);
}

#[test]
fn a_project_that_is_gone_is_asked_for_by_name() {
    let places = Places::new("../state");
    std::fs::remove_dir_all(places.0.path("a")).expect("removed");
    let refused = places.engine("b", &["resume", "r1", "--state-dir", "../state"]).expect(9);
    assert!(refused.stderr.contains(&places.at("a")) && refused.stderr.contains("is gone"), "{}", refused.stderr);
    // Another checkout of it, on another path.
    places.0.write("b/plan.yaml", PLAN);
    places.0.write("b/mended", "");
    let output =
        places.engine("b", &["run", "plan.yaml", "--resume", "--key", "k", "--state-dir", "../state"]).expect(0);
    assert!(output.stdout.starts_with("run r1 ") && output.stderr.contains("stages run in"), "{output:?}");
    assert_eq!(places.log(), [places.at("a"), places.at("b")]);
}

#[test]
fn run_resume_does_not_go_on_in_another_checkout() {
    let places = Places::new("../state");
    places.0.write("b/plan.yaml", PLAN);
    places.0.write("b/mended", "");
    let output =
        places.engine("b", &["run", "plan.yaml", "--resume", "--key", "k", "--state-dir", "../state"]).expect(0);
    assert!(!output.stdout.starts_with("run r1 "), "{}", output.stdout);
    assert_eq!(places.log(), [places.at("a"), places.at("b")]);
    assert!(Path::new(&places.at("state/runs/r1")).exists());
}
