//! Properties of the three readers: any text is read or refused with places inside the file, the same model in
//! three spellings gives the same tree, and where a well-known parser exists ours agrees with it.

use std::fmt::Write as _;

use engine::plan::error::{Diagnostic, Report, github, json, sarif, text};
use engine::plan::source::{File, Place, Sources};
use engine::plan::tree::{Kind, Tree};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn read(ending: &str, content: &str) -> (Option<Tree>, Vec<Diagnostic>, Sources) {
    let mut sources = Sources::default();
    let file = sources.add(File { path: format!("plan.{ending}"), text: content.into() });
    let mut report = Report::default();
    let tree = engine::plan::read(&sources, file, &mut report);
    (tree, report.sorted(), sources)
}

/// The tree as a value; strings that claim to stand in the source are compared with it.
fn value(tree: &Tree, source: &str) -> Value {
    assert_inside(tree.at, source);
    match &tree.kind {
        Kind::Null => Value::Null,
        Kind::Bool(truth) => json!(truth),
        Kind::Int(number) => json!(number),
        Kind::Float(number) => json!(number),
        Kind::Str { text, plain } => {
            if let Some(start) = plain {
                let start = *start as usize;
                assert_eq!(source.get(start..start + text.len()), Some(&**text), "plain text stands there");
            }
            json!(text.as_str())
        }
        Kind::List(items) => items.iter().map(|item| value(item, source)).collect(),
        Kind::Map(entries) => {
            let mut map = Map::new();
            for (key, inner) in entries {
                assert_inside(key.at, source);
                assert!(map.insert(key.text.to_string(), value(inner, source)).is_none(), "keys are unique");
            }
            Value::Object(map)
        }
    }
}

fn assert_inside(at: Place, source: &str) {
    assert!(source.get(at.start as usize..at.end as usize).is_some(), "{at:?} lies inside");
}

/// Reads and renders whatever comes; nothing may panic.
fn check(ending: &str, content: &str) {
    let (tree, found, sources) = read(ending, content);
    if let Some(tree) = &tree {
        value(tree, content);
    }
    assert!(tree.is_some() || !found.is_empty(), "no tree and no word about it");
    for one in &found {
        assert_inside(one.at, content);
        one.related.iter().for_each(|(at, _)| assert_inside(*at, content));
    }
    let _ =
        (text(&found, &sources, true), json(&found, &sources), sarif(&found, &sources), github(&found, &sources));
}

/// Text made of what the languages are made of, so that it often almost means something.
fn noise() -> impl Strategy<Value = String> {
    let pieces = [
        "a",
        "b: ",
        "- ",
        "? ",
        ": ",
        "\n",
        "\n  ",
        "\n    ",
        "\r\n",
        "\t",
        " ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "\"",
        "'",
        "|\n  ",
        ">-\n ",
        "&x ",
        "*x",
        "<<: ",
        "!!str ",
        "!t ",
        "# c",
        "---\n",
        "...\n",
        "%YAML 1.2\n",
        "{{ a }}",
        "1",
        "-0.5",
        "0o7",
        "0644",
        "1e999",
        "true",
        "null",
        "~",
        "\\u00e9",
        "\\ud800",
        "\\",
        "é",
        "😀",
        "\u{feff}",
        "a = ",
        "[a]\n",
        "[[a]]\n",
        "a.b = 1\n",
        "\"\"\"",
        "'''",
        "2026-01-01",
        "\"a\": ",
        "//",
        "\0",
        "\u{85}",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..40).prop_map(|parts| parts.concat())
}

/// A model that all three formats can say.
fn model() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(|truth| json!(truth)),
        any::<i64>().prop_map(|number| json!(number)),
        (-1e9..1e9).prop_map(|number: f64| json!(number)),
        "[a-z]{1,6}".prop_map(|text| json!(text)),
        "[ -~é😀\n\t]{0,10}".prop_map(|text| json!(text)),
    ];
    let node = leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map(key(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    prop::collection::btree_map(key(), node, 1..5).prop_map(|map| Value::Object(map.into_iter().collect()))
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-z][a-z0-9-]{0,6}", 1 => "[ -~é]{1,5}"]
}

/// `model` in YAML's block style, with strings plain where they may be.
fn yaml(model: &Value, indent: usize, out: &mut String) {
    let lead = " ".repeat(indent);
    match model {
        Value::Object(map) if !map.is_empty() => {
            for (key, inner) in map {
                let _ = write!(out, "\n{lead}{}:", scalar(&json!(key)));
                yaml(inner, indent + 2, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let _ = write!(out, "\n{lead}-");
                yaml(item, indent + 2, out);
            }
        }
        other => {
            let _ = write!(out, " {}", scalar(other));
        }
    }
}

fn scalar(model: &Value) -> String {
    let is_word = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_lowercase()) && !["", "true", "false", "null"].contains(&text)
    };
    match model {
        Value::String(text) if is_word(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Pieces of TOML that fit together about half of the time.
fn toml_lines() -> impl Strategy<Value = String> {
    let lines = [
        "[a]",
        "[a.b]",
        "[a.b.c]",
        "[b]",
        "[[a]]",
        "[[a.b]]",
        "[[c]]",
        "[c.d]",
        "a = 1",
        "b = 2",
        "a.b = 1",
        "a.b.c = 2",
        "b.c = 3",
        "b = {}",
        "a = {b = 1}",
        "a = {b.c = 1, b.d = 2}",
        "c = [1, {d = 2}]",
        "d.e.f = 'x'",
        "x = \"y\"",
        "\"x\" = 'z'",
        "a = ",
        "= 1",
        "[a",
        "c = [",
        "d = 0x1F",
        "e = 1_000",
        "f = +1.5e3",
        "g = '''\nx'''",
        "# end",
    ];
    prop::collection::vec(prop::sample::select(lines.to_vec()), 0..9).prop_map(|lines| lines.join("\n") + "\n")
}

/// Pieces of JSON.
fn json_tokens() -> impl Strategy<Value = String> {
    let tokens = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"b\"",
        "\"a\":",
        "\"b\":",
        "1",
        "-0",
        "0.5",
        "1e3",
        "01",
        "true",
        "null",
        "\"\\u00e9\"",
        "\"\\n\"",
        " ",
        "[]",
        "{}",
        "[1,2]",
        "{\"a\":1}",
        "-",
        "1.",
        "nul",
    ];
    prop::collection::vec(prop::sample::select(tokens.to_vec()), 0..10).prop_map(|tokens| tokens.concat())
}

/// Sorts the keys, since a writer may choose their order.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.into_iter().map(|(key, inner)| (key, sorted(inner))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        other => other,
    }
}

fn tree_of(ending: &str, content: &str) -> Value {
    let (tree, found, sources) = read(ending, content);
    assert!(found.is_empty(), "{content}\n{}", text(&found, &sources, false));
    sorted(value(&tree.expect("nothing was found wrong"), content))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(content in prop_oneof![3 => noise(), 1 => any::<String>()]) {
        for ending in ["yaml", "toml", "json"] {
            check(ending, &content);
        }
    }

    #[test]
    fn three_spellings_give_one_tree(model in model()) {
        let expected = sorted(model.clone());
        prop_assert_eq!(&tree_of("json", &model.to_string()), &expected);
        prop_assert_eq!(&tree_of("yaml", &model.to_string()), &expected, "JSON is YAML");
        let mut block = String::new();
        yaml(&model, 0, &mut block);
        prop_assert_eq!(&tree_of("yaml", &block), &expected);
        prop_assert_eq!(&tree_of("yaml", &block.replace('\n', "\r\n")), &expected);
        let written = toml::to_string(&model).expect("TOML can say it");
        prop_assert_eq!(&tree_of("toml", &written), &expected);
    }

    #[test]
    fn toml_means_what_others_read(content in toml_lines()) {
        let (tree, found, _) = read("toml", &content);
        match toml::from_str::<Value>(&content) {
            Ok(theirs) => {
                prop_assert!(found.is_empty(), "{:?}", found);
                let ours = value(&tree.expect("nothing was found wrong"), &content);
                prop_assert_eq!(sorted(ours), sorted(theirs));
            }
            Err(fault) => prop_assert!(!found.is_empty(), "they say {}", fault),
        }
    }

    #[test]
    fn json_means_what_others_read(content in json_tokens()) {
        let (tree, found, _) = read("json", &content);
        let has_twice = found.iter().any(|one| one.code == "plan::duplicate-key");
        match serde_json::from_str::<Value>(&content) {
            Ok(theirs) if !has_twice => {
                prop_assert!(found.is_empty(), "{:?}", found);
                let ours = value(&tree.expect("nothing was found wrong"), &content);
                // They read `-0` as a float.
                prop_assert_eq!(ours.to_string().replace("-0.0", "0"), theirs.to_string().replace("-0.0", "0"));
            }
            Ok(_) => {}
            Err(fault) => prop_assert!(!found.is_empty(), "they say {}", fault),
        }
    }
}
