//! The tables against themselves, the printed reference and the decoder.

use std::path::Path;

use super::tables::{ALL, ENVIRONMENTS, FILE, GATES, SERVICES};
use super::*;
use crate::plan::load::tests::load_text;

/// The file at `path` is what the tables print; `ENGINE_BLESS=1` writes it.
fn is_fresh(path: &str, printed: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("ENGINE_BLESS").is_some() {
        std::fs::create_dir_all(file.parent().expect("a file below the root")).expect("a folder for it");
        std::fs::write(&file, printed).expect("the tree is writable");
    }
    let there = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(there == printed, "{path} is stale: run `ENGINE_BLESS=1 cargo test --lib plan::schema`");
}

#[test]
fn the_reference_is_fresh() {
    is_fresh("docs/plan-reference.md", &reference());
}

#[test]
fn the_json_schema_is_fresh() {
    let text = serde_json::to_string_pretty(&json_schema()).expect("a schema is JSON");
    is_fresh("docs/plan.schema.json", &format!("{text}\n"));
}

#[test]
fn the_files_of_an_environment_have_their_reference_and_schemas() {
    is_fresh("docs/environment-reference.md", &environments());
    for table in [&tables::CATALOG, &tables::ENVIRONMENT, &tables::EXCEPTIONS] {
        let text = serde_json::to_string_pretty(&file_schema(table)).expect("a schema is JSON");
        is_fresh(&format!("docs/{}.schema.json", table.name), &format!("{text}\n"));
    }
}

#[test]
fn a_service_has_its_reference_and_schema() {
    is_fresh("docs/service-reference.md", &services());
    let text = serde_json::to_string_pretty(&service_schema()).expect("a schema is JSON");
    is_fresh("docs/service.schema.json", &format!("{text}\n"));
}

#[test]
fn names_are_unique_kebab_and_in_the_reference() {
    let all: Vec<&Table> = [ALL, ENVIRONMENTS, &SERVICES[..4], &SERVICES[5..]].concat();
    for (at, table) in all.iter().enumerate() {
        assert!(all[..at].iter().all(|other| other.name != table.name), "table `{}` is there twice", table.name);
        for (at, key) in table.keys.iter().enumerate() {
            assert!(table.keys[..at].iter().all(|other| other.name != key.name), "{}.{}", table.name, key.name);
            assert!(
                key.name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-'),
                "{}",
                key.name
            );
            assert!(!key.doc.is_empty() && !key.example.is_empty(), "{}.{}", table.name, key.name);
            assert!(!(key.required && key.default.is_some()), "{}.{}", table.name, key.name);
        }
    }
}

/// Every table that a shape leads to.
fn tables_of(shape: &Shape, found: &mut Vec<&'static str>) {
    match shape {
        Shape::Map(table) => found.push(table.name),
        Shape::Named(named) | Shape::Stages(named) => tables_of(named.of, found),
        Shape::List { of, .. } => tables_of(of, found),
        Shape::Either(shapes) => shapes.iter().for_each(|shape| tables_of(shape, found)),
        _ => {}
    }
}

#[test]
fn every_table_that_is_used_is_printed() {
    let mut used = vec![FILE.name, "approval", "attest", "env-action"];
    used.extend(GATES.iter().map(|(_, table)| table.name));
    for table in ALL {
        table.keys.iter().for_each(|key| tables_of(&key.shape, &mut used));
        if let Some(named) = table.open {
            tables_of(named.of, &mut used);
        }
    }
    for table in ALL {
        assert!(used.contains(&table.name), "nothing leads to `{}`", table.name);
    }
    let mut used = vec!["catalog", "environment", "exceptions"];
    ENVIRONMENTS.iter().flat_map(|table| table.keys).for_each(|key| tables_of(&key.shape, &mut used));
    for table in ENVIRONMENTS {
        assert!(used.contains(&table.name), "nothing leads to `{}`", table.name);
    }
    assert!(used.iter().all(|name| ENVIRONMENTS.iter().any(|table| table.name == *name)), "{used:?}");
}

#[test]
fn every_table_that_is_led_to_is_printed() {
    let mut used = Vec::new();
    for table in ALL {
        table.keys.iter().for_each(|key| tables_of(&key.shape, &mut used));
    }
    for name in used {
        assert!(ALL.iter().any(|table| table.name == name), "`{name}` is not printed");
    }
}

/// A small right plan in which `lines` stands at the place of `table`; none where a test of its own is needed.
fn around(table: &str, lines: &str) -> Option<String> {
    let inside = |indent: usize, lines: &str| -> String {
        lines.lines().flat_map(|line| [" ".repeat(indent), line.to_owned(), "\n".to_owned()]).collect()
    };
    let extra = "groups: {runtime: {}}\npools: {database: 2}\n";
    let stage = |lines: &str, more: &str| {
        format!(
            "version: 1\n{extra}stages:\n  build: {{run: make}}\n  check: {{run: make}}\n  one:\n    description: x\n{}{more}",
            inside(4, lines)
        )
    };
    let run = |lines: &str| stage(lines, "    run: make\n");
    let under = |key: &str, lines: &str| run(&format!("{key}:\n{}", inside(2, lines)));
    Some(match table {
        "input" => format!("version: 1\ninputs:\n  one:\n{}stages: {{build: {{run: make}}}}\n", inside(4, lines)),
        "lock" => format!("version: 1\nlock:\n  name: a\n{}stages: {{build: {{run: make}}}}\n", inside(2, lines)),
        "group" => format!("version: 1\ngroups:\n  one:\n{}stages: {{build: {{run: make}}}}\n", inside(4, lines)),
        "defaults" => format!("version: 1\ndefaults:\n{}stages: {{build: {{run: make}}}}\n", inside(2, lines)),
        "retry" => under("retry", &format!("max: 1\n{lines}")),
        "stop" | "allow-failure-exit" | "done-if" => {
            under(if table == "allow-failure-exit" { "allow-failure" } else { table }, lines)
        }
        "cache" => under("cache", &format!("sources: [\"src/**\"]\n{lines}")),
        "matrix" => under("matrix", &format!("region: [eu, us, ap]\nsize: [big]\n{lines}")),
        "shards" => under("shards", &format!("items: {{range: 3}}\n{lines}")),
        "slo" => under("slo", &format!("duration: 7m\n{lines}")),
        "items" => {
            let beside = match lines.split(':').next() {
                Some("from") => "max: 500\n",
                Some("max") => "range: 3\n",
                _ => "",
            };
            under("shards", &format!("items:\n{}{}", inside(2, lines), inside(2, beside)))
        }
        "approval" => stage(&format!("uses: approval\nwith:\n{}", inside(2, lines)), ""),
        "finally" => {
            format!(
                "version: 1\nstages: {{build: {{run: make}}}}\nfinally:\n  stages: {{tidy: {{run: make}}}}\n{}",
                inside(2, lines)
            )
        }
        "action" => {
            format!(
                "version: 1\n{extra}actions:\n  one:\n    run: make\n{}stages: {{build: {{run: make}}}}\n",
                inside(4, lines)
            )
        }
        "stage" => run(lines),
        _ => return None,
    })
}

#[test]
fn every_example_of_every_key_is_read() {
    let mut tried = 0;
    for table in ALL {
        for key in table.keys.iter().filter(|key| !key.required) {
            let special = matches!(
                (table.name, key.name),
                ("stage", "run" | "uses" | "with" | "on-failure" | "description")
            ) || matches!((table.name, key.name), ("lock", "wait") | ("matrix", "include"));
            let Some(plan) = around(table.name, &format!("{}: {}", key.name, key.example)).filter(|_| !special)
            else {
                continue;
            };
            tried += 1;
            let plan = match (table.name, key.name) {
                ("input", "default") => plan.replace("one:\n", "one:\n    type: string\n"),
                ("input", "min" | "max") => plan.replace("one:\n", "one:\n    type: int\n"),
                _ => plan,
            };
            let (_, found) = load_text("plan.yaml", &plan);
            assert_eq!(found, [], "{}.{}:\n{plan}", table.name, key.name);
        }
    }
    assert!(tried > 70, "only {tried} keys were tried");
}

#[test]
fn the_json_schema_points_only_at_what_it_defines() {
    let schema = json_schema();
    let text = schema.to_string();
    for part in text.split("\"#/$defs/").skip(1) {
        let name = part.split('"').next().unwrap_or_default();
        assert!(schema["$defs"].get(name).is_some(), "{name}");
    }
    assert_eq!(schema["properties"]["heal-depth"]["not"], serde_json::Value::Null);
    assert_eq!(schema["required"], serde_json::json!(["version", "stages"]));
}
