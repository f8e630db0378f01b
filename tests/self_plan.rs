//! `plans/self.yaml`, the plan that checks, builds, tests and packages this project.
//!
//! It runs here for real but for the compiler: `cargo` and `rustc` are stand-ins that note what they were asked,
//! so nothing is built twice, and the tests inside the plan do not run themselves again.

mod support;

use std::fs;
use std::path::Path;

use support::{Live, Output, Project};

/// Notes what it is asked; a release build leaves a program that is the engine under test.
const CARGO: &str = r#"#!/bin/sh
echo "cargo $*" >> "$HOME/asked.txt"
if [ "$1" = build ]; then
  mkdir -p "${CARGO_TARGET_DIR:-target}/release"
  printf '#!/bin/sh\nexec "%s" "$@"\n' "ENGINE" > "${CARGO_TARGET_DIR:-target}/release/engine"
  chmod 755 "${CARGO_TARGET_DIR:-target}/release/engine"
fi
"#;
const RUSTC: &str = "#!/bin/sh\necho 'rustc 1.95.0 (stand-in)'\n";

/// What the plan reads of the repository, and the two stand-ins.
fn project() -> Project {
    let project = Project::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["README.md", "LICENSE", "Cargo.toml", "Cargo.lock", "clippy.toml"] {
        project.write(file, fs::read(root.join(file)).expect("a file of the repository"));
    }
    for folder in ["plans", "environments", "templates", "examples/01-parallel", "examples/05-approval-and-resume"]
    {
        project.bring(folder);
    }
    for source in ["src/lib.rs", "tests/one.rs", "benches/one.rs", "examples/one.rs"] {
        project.write(source, "// a stand-in\n");
    }
    project.script("bin/cargo", &CARGO.replace("ENGINE", env!("CARGO_BIN_EXE_engine")));
    project.script("bin/rustc", RUSTC);
    project
}

/// Runs the engine with the stand-ins in front of everything else.
fn run(project: &Project, args: &[&str]) -> Output {
    let mut command = project.command(args);
    let path = std::env::var("PATH").expect("tests have a PATH");
    command.env("PATH", format!("{}:{path}", project.path("bin").display()));
    command.env("CARGO_TARGET_DIR", project.path("elsewhere"));
    Live::start(command).end()
}

fn asked(project: &Project) -> Vec<String> {
    project.read("asked.txt").lines().map(str::to_owned).collect()
}

#[test]
fn it_is_whole_and_shows_what_it_would_do() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let plan = root.join("plans/self.yaml");
    let project = Project::with_plan(&fs::read_to_string(plan).expect("the plan"));
    project.engine(&["check", "plan.yaml"]).expect(0);
    let shown = project.engine(&["run", "--dry-run", "plan.yaml"]).expect(0).stdout;
    for stage in ["format", "lint", "build", "test", "completions:zsh", "manual", "archive"] {
        assert!(shown.contains(&format!(" {stage} ")), "`{stage}` is missing in\n{shown}");
    }
    assert!(!shown.contains("warning:"), "every stage is bounded\n{shown}");
    assert!(project.runs().is_empty(), "a dry run leaves nothing");
    project.engine(&["plan", "plan.yaml", "--set", "tests=some"]).expect(3);
}

#[test]
fn it_packages_a_binary_with_completions_manual_and_checksums() {
    let project = project();
    let out = run(&project, &["run", "plans/self.yaml", "--run-id", "one"]).expect(0);
    let archive = out.stdout.lines().find_map(|line| line.strip_prefix("archive | ")).expect("the archive's name");
    assert!(archive.starts_with("dist/engine-0.") && archive.ends_with(".tar.gz"), "{archive}");
    for file in
        ["completions/engine.bash", "completions/engine.zsh", "completions/engine.fish", "man/engine-run.1"]
    {
        assert!(project.read(format!("dist/{file}").leak()).len() > 500, "{file}");
    }
    let sums = project.read("dist/SHA256SUMS");
    assert!(sums.lines().any(|line| line.ends_with("  engine")), "{sums}");
    let mut check = std::process::Command::new("sha256sum");
    check.args(["--check", "--quiet", "SHA256SUMS"]).current_dir(project.path("dist"));
    assert!(check.status().expect("coreutils").success());
    let asked = asked(&project);
    assert!(asked.contains(&"cargo test --locked --no-fail-fast".to_owned()), "{asked:?}");
}

#[test]
fn unchanged_sources_are_not_built_again_and_give_the_same_archive() {
    let project = project();
    let digest = |run_id: &str| -> String {
        let status = run(&project, &["status", run_id, "--json"]).expect(0);
        let status: serde_json::Value = serde_json::from_str(&status.stdout).expect("JSON");
        let stages = status["stages"].as_array().expect("stages");
        let archive = stages.iter().find(|stage| stage["id"] == "archive").expect("the archive");
        archive["outputs"]["sha256"].as_str().expect("a digest").to_owned()
    };
    run(&project, &["run", "plans/self.yaml", "--set", "tests=none", "--run-id", "one"]).expect(0);
    let first = asked(&project);
    assert!(!first.iter().any(|line| line.starts_with("cargo test")), "{first:?}");
    let again = run(&project, &["run", "plans/self.yaml", "--set", "tests=quick", "--run-id", "two"]).expect(0);
    assert!(again.stdout.contains("cached  build"), "{}", again.stdout);
    let second = asked(&project)[first.len()..].join("\n");
    assert_eq!(second.lines().filter(|line| line.starts_with("cargo build")).count(), 0, "{second}");
    assert!(second.contains("cargo test --locked --lib"), "{second}");
    assert_eq!(digest("one"), digest("two"));
    project.write("src/lib.rs", "// changed\n");
    let third = run(&project, &["run", "plans/self.yaml", "--set", "tests=none"]).expect(0);
    assert!(third.stdout.contains("start  build"), "{}", third.stdout);
}

#[test]
fn a_failing_lint_stops_it_before_anything_is_packaged() {
    let project = project();
    let failing = CARGO.replace("if [", "if [ \"$1\" = clippy ]; then exit 101; fi\nif [");
    project.script("bin/cargo", &failing.replace("ENGINE", env!("CARGO_BIN_EXE_engine")));
    let out = run(&project, &["run", "plans/self.yaml"]).expect(1);
    assert!(out.stdout.contains("failed  lint"), "{}", out.stdout);
    assert!(!project.has("dist/SHA256SUMS"));
}
