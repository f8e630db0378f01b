//! The CI recipes of `docs/operations.md`: they are YAML, a failed job leaves what its next try resumes, and what
//! they run, runs in a fresh checkout.

use engine::plan::error::Report;
use engine::plan::source::{File, Sources};
use engine::plan::tree::{Kind, Tree};

use super::blocks::{blocks, read};
use super::support::Project;

/// The recipe that begins with this comment.
fn recipe(name: &str) -> Tree {
    let text = blocks(&read("docs/operations.md"))
        .into_iter()
        .find(|block| block.text.starts_with(&format!("# {name}\n")))
        .unwrap_or_else(|| panic!("a recipe {name}"))
        .text;
    let mut sources = Sources::default();
    let file = sources.add(File { path: "recipe.yaml".to_owned(), text: text.into() });
    let mut report = Report::default();
    let tree = engine::plan::read(&sources, file, &mut report).expect("the recipe is YAML");
    assert!(!report.has_errors(), "{:?}", report.sorted());
    tree
}

fn get<'t>(tree: &'t Tree, path: &str) -> &'t Tree {
    path.split('/').fold(tree, |tree, part| find(tree, part).unwrap_or_else(|| panic!("no `{part}` of `{path}`")))
}

fn find<'t>(tree: &'t Tree, key: &str) -> Option<&'t Tree> {
    let Kind::Map(entries) = &tree.kind else { return None };
    entries.iter().find(|(name, _)| *name.text == *key).map(|(_, value)| value)
}

fn list(tree: &Tree) -> &[Tree] {
    let Kind::List(items) = &tree.kind else { panic!("a list, not {}", tree.noun()) };
    items
}

/// A checkout with a plan that fails until `mended` is there.
fn checkout() -> Project {
    let project = Project::new();
    project.write(
        "plans/release.yaml",
        "version: 1\ndefaults: {timeout: 1m}\nstages:\n  build: {run: echo build >> log}\n  \
         ship: {needs: [build], run: \"test -e mended; echo ship >> log\"}\n",
    );
    project
}

/// Runs the recipe's commands twice: the first try fails, the second one resumes it.
fn run_twice(commands: &[&str], env: &[(&str, &str)], project: &Project) {
    for wanted in [1, 0] {
        for command in commands {
            let words: Vec<&str> = command.split(' ').collect();
            assert_eq!(words[0], "engine", "`{command}` is the engine");
            let done = project.engine_with(env, &words[1..]);
            let wanted = if words[1] == "run" { wanted } else { 0 };
            assert_eq!(done.status, wanted, "{command}\n{}{}", done.stdout, done.stderr);
        }
        project.write("mended", "");
    }
    assert_eq!(project.read("log"), "build\nship\n", "the second try did only what was left");
    assert_eq!(project.runs().len(), 1, "and it was the same run");
    for report in ["junit.xml", "run.html"] {
        assert!(!project.read(report).is_empty(), "{report}");
    }
}

#[test]
fn the_recipe_for_github_resumes() {
    let workflow = recipe(".github/workflows/release.yaml");
    assert!(find(&workflow, "on").is_some(), "a workflow says when it runs");
    let steps = list(get(&workflow, "jobs/release/steps"));
    let uses = |action: &str| {
        let is_it = |step: &&Tree| {
            find(step, "uses").and_then(Tree::as_str).is_some_and(|uses| uses.split('@').next() == Some(action))
        };
        steps.iter().find(is_it).unwrap_or_else(|| panic!("a step uses {action}"))
    };
    // `actions/cache` alone keeps nothing of a job that failed, which is the one that is tried again.
    let (restore, save) = (uses("actions/cache/restore"), uses("actions/cache/save"));
    assert_eq!(get(save, "if").as_str(), Some("always()"));
    assert_eq!(get(save, "with/key").as_str(), get(restore, "with/key").as_str());
    let commands: Vec<&str> = steps.iter().filter_map(|step| find(step, "run")?.as_str()).collect();
    assert_eq!(commands.len(), 2, "a check and a run");
    let project = checkout();
    let summary = project.path("summary.md");
    let env =
        [("GITHUB_ACTIONS", "true"), ("CI", "true"), ("GITHUB_STEP_SUMMARY", summary.to_str().expect("UTF-8"))];
    run_twice(&commands, &env, &project);
    let summary = project.read("summary.md");
    assert!(summary.contains("failed") && summary.contains("success"), "both tries are in it: {summary}");
}

#[test]
fn the_recipe_for_gitlab_resumes() {
    let pipeline = recipe(".gitlab-ci.yml");
    assert_eq!(get(&pipeline, "release/cache/when").as_str(), Some("always"));
    let commands: Vec<&str> = list(get(&pipeline, "release/script")).iter().filter_map(Tree::as_str).collect();
    assert_eq!(commands.len(), 2, "a check and a run");
    run_twice(&commands, &[("GITLAB_CI", "true"), ("CI", "true")], &checkout());
}
