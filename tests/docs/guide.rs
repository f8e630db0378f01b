//! `docs/plan-guide.md`: every `yaml` block is a plan, or becomes one by what every plan has.
//!
//! A block `yaml` must be without errors. `yaml error` must be refused, with exactly what the `text` block behind it
//! shows. `yaml run` is run, and the `text` block behind it shows what its stages print.

use super::blocks::{Block, blocks, read};
use super::support::Project;

/// The block as a whole plan.
fn plan(text: &str) -> String {
    let mut whole = text.to_owned();
    if !text.lines().any(|line| line.starts_with("stages:")) {
        whole.push_str("stages: {build: {run: make}}\n");
    }
    if !text.lines().any(|line| line.starts_with("version:")) {
        whole.insert_str(0, "version: 1\n");
    }
    whole
}

fn examples() -> Vec<(Block, Option<Block>)> {
    let mut found = Vec::new();
    let mut blocks = blocks(&read("docs/plan-guide.md")).into_iter().peekable();
    while let Some(block) = blocks.next() {
        let answer = blocks.next_if(|next| next.info == "text" && block.info.starts_with("yaml "));
        found.push((block, answer));
    }
    found
}

/// A project with the files that examples name.
fn project(text: &str) -> Project {
    let project = Project::with_plan(&plan(text));
    project.write("lib/switch.yaml", SWITCH);
    project.write("assets/one.txt", "one\n");
    project.write("src/main.c", "int main(void) { return 0; }\n");
    project
}

const SWITCH: &str = "version: 1\ninputs: {color: {}}\noutputs: {url: \"{{ needs.point.outputs.url }}\"}\nstages:\n  \
                      point: {run: 'echo \"url=https://$COLOR.example\" >> \"$ENGINE_OUTPUT\"', outputs: {url: url}, \
                      env: {COLOR: \"{{ inputs.color }}\"}}\n";

#[test]
fn every_example_is_a_plan_without_errors() {
    let examples = examples();
    assert!(examples.len() > 15, "the guide has its examples");
    for (block, _) in examples.iter().filter(|(block, _)| matches!(&*block.info, "yaml" | "yaml run")) {
        let out = project(&block.text).engine(&["check", "plan.yaml"]);
        assert_eq!(out.status, 0, "docs/plan-guide.md:{}\n{}", block.line, out.stderr);
    }
}

#[test]
fn every_fault_is_told_as_the_guide_shows() {
    let mut seen = 0;
    for (block, answer) in examples().iter().filter(|(block, _)| block.info == "yaml error") {
        let out = project(&block.text).engine(&["check", "plan.yaml"]).expect(3);
        let shown = &answer.as_ref().unwrap_or_else(|| panic!("line {}: no `text` behind it", block.line)).text;
        let told = format!("{}{}", out.stdout, out.stderr);
        let told = told.split("\n\n").next().unwrap_or_default();
        assert!(told.starts_with("error["), "{told}");
        assert_eq!(told.trim_end(), shown.trim_end(), "docs/plan-guide.md:{}", block.line);
        seen += 1;
    }
    assert!(seen >= 2, "the guide shows faults");
}

#[test]
fn what_runs_prints_what_the_guide_shows() {
    let mut seen = 0;
    for (block, answer) in examples().iter().filter(|(block, _)| block.info == "yaml run") {
        let out = project(&block.text).engine(&["run", "plan.yaml", "--run-id", "one"]).expect(0);
        let shown = &answer.as_ref().unwrap_or_else(|| panic!("line {}: no `text` behind it", block.line)).text;
        let mut printed: Vec<&str> = out.stdout.lines().filter(|line| line.contains(" | ")).collect();
        let mut wanted: Vec<&str> = shown.lines().collect();
        printed.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(printed, wanted, "docs/plan-guide.md:{}", block.line);
        seen += 1;
    }
    assert!(seen >= 3, "the guide runs examples");
}
