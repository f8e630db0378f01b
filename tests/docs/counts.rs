//! What documents show of runs of the repository's plans fits these plans: how many stages there are, and their names.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::Value;

use super::blocks::{blocks, read};
use super::console::repository;

/// Ids of a plan's stages.
fn ids(project: &super::support::Project, plan: &str) -> BTreeSet<String> {
    let shown = project.engine(&["graph", plan, "--format", "json"]).expect(0).stdout;
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    let nodes = shown["nodes"].as_array().expect("nodes").iter();
    nodes.map(|node| node["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn runs_that_are_shown_have_the_stages_of_their_plans() {
    let project = repository();
    project.bring("environments");
    let rule = |text: &str| Regex::new(text).expect("a rule");
    let run = rule(r"engine run (plans/\S+\.yaml)");
    let total = rule(r" of (\d+) stages");
    let line = rule(r"^ +(?:start|success|failed|blocked|skipped|retry|lost|heal|halted) {2}([a-z][a-z0-9_/-]*)");
    let mut seen = 0;
    for document in ["docs/hxo.md", "docs/tdex.md", "docs/chrono.md"] {
        let mut plan = None;
        for block in blocks(&read(document)).iter().filter(|block| block.info == "console") {
            for (number, text) in (block.line + 1..).zip(block.text.lines()) {
                if let Some(found) = run.captures(text) {
                    plan = Some(ids(&project, &found[1]));
                }
                let Some(ids) = &plan else { continue };
                if let Some(found) = total.captures(text) {
                    assert_eq!(found[1], ids.len().to_string(), "{document}:{number}: {text}");
                    seen += 1;
                }
                let Some(found) = line.captures(text).filter(|found| &found[1] != "run") else { continue };
                assert!(ids.contains(&found[1]), "{document}:{number}: the plan has no stage `{}`", &found[1]);
                seen += 1;
            }
        }
    }
    assert!(seen > 50, "only {seen} lines were compared");
}
