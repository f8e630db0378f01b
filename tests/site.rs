//! The plan of the README's first command, run for real in a copy of what it needs.

mod support;

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use support::Project;

/// A project with `plans/site.yaml` and its scripts.
fn project() -> Project {
    let project = Project::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    project.bring("examples/site");
    project.write("plans/site.yaml", fs::read(root.join("plans/site.yaml")).expect("the plan"));
    project
}

/// What `site/current` points at.
fn current(project: &Project) -> String {
    let target = fs::read_link(project.path("site/current")).expect("a published release");
    target.to_string_lossy().into_owned()
}

fn releases(project: &Project) -> Vec<String> {
    let entries = fs::read_dir(project.path("site/releases")).expect("releases");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("one").file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

#[test]
fn a_first_run_publishes_every_page_and_nothing_half_built() {
    let project = project();
    let out = project.engine(&["run", "plans/site.yaml", "--run-id", "first"]).expect(0);
    assert!(out.stdout.starts_with("run first site\n"), "{}", out.stdout);
    assert_eq!(current(&project), "releases/first");
    let mut files: Vec<String> = fs::read_dir(project.path("site/current"))
        .expect("the release")
        .map(|entry| entry.expect("one").file_name().into_string().expect("text"))
        .collect();
    files.sort();
    let wanted = [
        "guide.html",
        "index.html",
        "logo-dark.svg",
        "logo-light.svg",
        "releases.html",
        "sitemap.txt",
        "style.css",
    ];
    assert_eq!(files, wanted);
    let index = project.read("site/current/index.html");
    assert!(index.contains("<h1>It is published</h1>") && index.ends_with("</html>\n"), "{index}");
    assert!(index.contains("release <code>first</code>"), "{index}");
    assert_eq!(project.read("site/current/sitemap.txt").lines().count(), 3);
}

#[test]
fn a_second_run_moves_the_link_and_keeps_the_release_before() {
    let project = project();
    project.engine(&["run", "plans/site.yaml", "--run-id", "first"]).expect(0);
    let before = project.read("site/releases/first/index.html");
    project.engine(&["run", "plans/site.yaml", "--run-id", "second"]).expect(0);
    assert_eq!(current(&project), "releases/second");
    assert_eq!(project.read("site/releases/first/index.html"), before);
}

#[test]
fn old_releases_are_dropped_but_never_the_published_one() {
    let project = project();
    for id in ["a", "b", "c"] {
        project.engine(&["run", "plans/site.yaml", "--run-id", id, "--set", "keep=2"]).expect(0);
    }
    assert_eq!(current(&project), "releases/c");
    assert_eq!(releases(&project).len(), 2, "{:?}", releases(&project));
    assert!(releases(&project).contains(&"c".to_owned()));
}

#[test]
fn a_broken_link_blocks_publishing_and_a_fix_with_resume_publishes() {
    let project = project();
    project.engine(&["run", "plans/site.yaml", "--run-id", "good"]).expect(0);
    let page = project.read("examples/site/pages/index.txt");
    project.write("examples/site/pages/index.txt", page.replace("-> guide", "-> giude"));
    let out = project.engine(&["run", "plans/site.yaml", "--run-id", "bad"]).expect(1);
    assert!(out.stdout.contains("index.html: nothing at giude.html"), "{}", out.stdout);
    assert!(out.stdout.contains("engine resume bad"), "the way on is named\n{}", out.stdout);
    assert_eq!(current(&project), "releases/good", "what was published stays");
    // The page is mended; its stage is done in this run, so a person orders it again.
    project.write("examples/site/pages/index.txt", page);
    project.engine(&["resume", "bad", "--rerun", "pages"]).expect(0);
    assert_eq!(current(&project), "releases/bad");
}

#[test]
fn killed_in_the_middle_it_resumes_in_the_same_release() {
    let project = project();
    // The first build of a page waits for a reader of a pipe that nobody opens: the run is surely in its middle.
    let script = project.read("examples/site/build-page");
    let stuck = "name=$(basename \"$source\" .txt)\nif [ ! -e go ]; then touch go; mkfifo never; cat never; fi\n";
    project.script("examples/site/build-page", &script.replace("name=$(basename \"$source\" .txt)\n", stuck));
    let live = project.start(&["run", "plans/site.yaml", "--run-id", "cut", "-j", "1"]);
    live.line("start  pages");
    live.signal(Signal::KILL);
    let out = live.end();
    assert_eq!(out.status, 137, "{}", out.stderr);
    assert!(!project.has("site/current"), "nothing was published");
    // Whether the engine was killed before or after the script got stuck, it must not be stuck again.
    project.write("go", "");
    let out = project.engine(&["resume", "cut"]).expect(0);
    assert!(!out.stdout.contains("start  release"), "a done stage stays done\n{}", out.stdout);
    assert_eq!(current(&project), "releases/cut");
    assert_eq!(releases(&project), ["cut"]);
}
