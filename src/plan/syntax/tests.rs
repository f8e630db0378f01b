//! What the three readers have in common, and what each says about its own faults.

use crate::plan::error::{Report, text};
use crate::plan::source::{File, Sources};
use crate::plan::syntax::read;
use crate::plan::tree::{Kind, Tree};

/// Reads `text` as the file `name`; the tree, and the rendered report without its last line.
fn reading(name: &str, content: &str) -> (Option<Tree>, String) {
    let mut sources = Sources::default();
    let file = sources.add(File { path: name.to_owned(), text: content.into() });
    let mut report = Report::default();
    let tree = read(&sources, file, &mut report);
    (tree, text(&report.sorted(), &sources, false))
}

/// The tree of a file without faults, as JSON-like text.
fn shape(name: &str, content: &str) -> String {
    let (tree, faults) = reading(name, content);
    assert_eq!(faults, "", "{content}");
    show(&tree.expect("a file without faults has a tree"))
}

fn show(tree: &Tree) -> String {
    let join = |parts: Vec<String>| parts.join(", ");
    match &tree.kind {
        Kind::Null => "null".to_owned(),
        Kind::Bool(truth) => truth.to_string(),
        Kind::Int(number) => number.to_string(),
        Kind::Float(number) => format!("{number:?}"),
        Kind::Str { text, .. } => format!("{text:?}"),
        Kind::List(items) => format!("[{}]", join(items.iter().map(show).collect())),
        Kind::Map(entries) => {
            format!(
                "{{{}}}",
                join(entries.iter().map(|(key, value)| format!("{}: {}", key.text, show(value))).collect())
            )
        }
    }
}

fn faults(name: &str, content: &str) -> String {
    reading(name, content).1
}

/// Every text with the report it gets, without blank lines and summaries.
fn gallery(name: &str, texts: &[&str]) -> String {
    let mut out = String::new();
    for text in texts {
        let found = faults(name, text);
        assert!(found.contains(&format!("─ {name}:")), "a fault with a place in {text:?}: {found}");
        let lines = found.lines().filter(|line| !line.is_empty() && !line.ends_with(" in 1 file"));
        lines.for_each(|line| out.extend([line, "\n"]));
    }
    out
}

mod json;
mod toml;
mod yaml;

#[test]
fn duplicate_keys_show_both_places() {
    insta::assert_snapshot!(faults("a.yaml", "a: 1\nb: 2\na: 3\n"), @r#"
    error[plan::duplicate-key]: the key `a` is written twice in this map
      ╭─ a.yaml:3:1
    3 │ a: 3
      │ ─ written again
      ├─ a.yaml:1:1
    1 │ a: 1
      │ ─ first written here
      ╰─

    1 error in 1 file
    "#);
    insta::assert_snapshot!(faults("a.json", "{\"a\": 1, \"a\": 2}"), @r#"
    error[plan::duplicate-key]: the key `a` is written twice in this map
      ╭─ a.json:1:10
    1 │ {"a": 1, "a": 2}
      │          ─── written again
      ├─ a.json:1:2
    1 │ {"a": 1, "a": 2}
      │  ─── first written here
      ╰─

    1 error in 1 file
    "#);
}
