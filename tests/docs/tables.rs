//! Tables in documents that repeat what the code knows.

use engine::cli::exit::Exit;

use super::blocks::{blocks, read};
use super::markdown::documents;
use super::support::Project;

/// The cells of the table rows under a heading.
fn rows(document: &str, heading: &str) -> Vec<Vec<String>> {
    let text = read(document);
    let from = text.find(heading).unwrap_or_else(|| panic!("{document} has no `{heading}`"));
    text[from..]
        .lines()
        .skip_while(|line| !line.starts_with("|---") && !line.starts_with("| ---"))
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

#[test]
fn the_exit_codes_are_those_of_the_program() {
    let table = rows("docs/operations.md", "## Exit codes");
    let shown: Vec<(String, String)> = table.iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let known: Vec<(String, String)> =
        Exit::ALL.iter().map(|(exit, meaning)| (exit.code().to_string(), (*meaning).to_owned())).collect();
    assert_eq!(shown, known);
}

#[test]
fn the_glossary_has_every_state_and_the_words_of_the_trade() {
    let glossary = read("docs/glossary.md");
    let states = [
        "pending",
        "waiting",
        "running",
        "retrying",
        "success",
        "cached",
        "skipped",
        "blocked",
        "failed",
        "allowed-failure",
        "timed-out",
        "cancelled",
        "unknown",
        "undone",
    ];
    for word in
        states.iter().chain(&["plan", "run", "stage", "shard", "attempt", "gate", "journal", "scope", "finally"])
    {
        assert!(glossary.contains(&format!("**{word}**")), "`{word}` is missing");
    }
}

/// Every `engine VERB` in any document is a verb of the program, and every flag behind it one of that verb.
#[test]
fn documents_name_only_verbs_and_flags_that_exist() {
    let project = Project::new();
    let mut helps = std::collections::BTreeMap::new();
    for document in documents().into_iter().filter(|path| !path.to_string_lossy().contains("/adr/")) {
        let text = std::fs::read_to_string(&document).expect("a document");
        for quoted in commands(&text) {
            let mut words = quoted.split_whitespace().skip(1);
            let Some(verb) = words.next().filter(|word| word.chars().all(|c| c.is_ascii_lowercase())) else {
                continue;
            };
            let help = helps.entry(verb.to_owned()).or_insert_with(|| {
                let out = project.engine(&[verb, "--help"]);
                assert_eq!(out.status, 0, "{}: `{quoted}`: no verb `{verb}`", document.display());
                out.stdout
            });
            for flag in words.filter(|word| word.starts_with("--") && word.len() > 2) {
                let flag = flag.split(['=', ',', ']', '|']).next().expect("one part");
                assert!(help.contains(flag), "{}: `{quoted}`: `{verb}` has no `{flag}`", document.display());
            }
        }
    }
    assert!(helps.len() > 15, "documents speak of {:?}", helps.keys());
}

/// `engine …` in back-quotes and at the beginning of lines of shell blocks.
fn commands(text: &str) -> Vec<String> {
    let mut found: Vec<String> = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|quoted| quoted.starts_with("engine ") && !quoted.contains('\n'))
        .map(str::to_owned)
        .collect();
    for block in blocks(text).iter().filter(|block| matches!(&*block.info, "console" | "sh")) {
        let lines = block.text.lines().map(|line| line.strip_prefix("$ ").unwrap_or(line));
        let lines = lines.map(|line| line.split(" #").next().unwrap_or_default());
        found.extend(lines.filter(|line| line.starts_with("engine ")).map(str::to_owned));
    }
    found
}

#[test]
fn every_code_that_documents_name_can_be_explained() {
    let project = Project::new();
    let all = project.engine(&["explain"]).expect(0).stdout;
    for document in documents() {
        let text = std::fs::read_to_string(&document).expect("a document");
        for word in text.split(|c: char| !(c.is_ascii_lowercase() || c == ':' || c == '-')) {
            if let Some(code) = word.strip_prefix("plan::").filter(|rest| !rest.is_empty() && rest.contains('-')) {
                assert!(all.contains(&format!("plan::{code}")), "{}: `plan::{code}`", document.display());
            }
        }
    }
}
