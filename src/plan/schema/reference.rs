//! The plan reference, `docs/plan-reference.md`, printed from the tables.

use std::fmt::Write;

use super::tables::{
    self, ACCEPT, APPROVER, FAILURE, FORMAT, LIFETIME, ON_BUSY, PARITY, SHELL, SIGNAL, TYPE, WAIVED, WHEN,
};
use super::{Choice, Key, Shape, Table};

/// What stands before the tables.
const HEAD: &str = "# Plan reference

Every key of the plan language. This file is printed from the tables that read plans (`src/plan/schema`): change
those, then run `ENGINE_BLESS=1 cargo test --lib plan::schema`.

YAML and TOML are two spellings of one model. Keys are kebab-case. A duration is text with units that descend: `90s`,
`1h30m`, `250ms`, `2d`; the longest is `3650d`. Where a number or a duration is wanted, text with `{{ … }}` may give it. Ids and names match
`[a-z][a-z0-9_-]{0,63}`.
";

/// The whole reference as Markdown.
pub fn reference() -> String {
    let mut out = HEAD.to_owned();
    for table in tables::ALL {
        print_table(&mut out, table);
    }
    out.push_str("\n## Words\n");
    for (title, choices) in [
        ("Types", TYPE),
        ("`on-failure`", FAILURE),
        ("`accept`", ACCEPT),
        ("`retry.when`", WHEN),
        ("`shell`", SHELL),
        ("`lifetime`", LIFETIME),
        ("`stop.signal`", SIGNAL),
        ("`lock.on-busy`", ON_BUSY),
    ] {
        print_words(&mut out, title, choices);
    }
    out
}

/// What stands before the tables of an environment's files.
const ENVIRONMENTS_HEAD: &str = "# Environment reference

Every key of the files below `environments/`. This file is printed from the tables that read them (`src/plan/schema`):
change those, then run `ENGINE_BLESS=1 cargo test --lib plan::schema`. [environments.md](environments.md) explains them.
";

/// The reference of an environment's files as Markdown.
pub fn environments() -> String {
    let mut out = ENVIRONMENTS_HEAD.to_owned();
    for table in tables::ENVIRONMENTS {
        print_table(&mut out, table);
    }
    out.push_str("\n## Words\n");
    for (title, choices) in [
        ("`type`", TYPE),
        ("`parity`", PARITY),
        ("`format`", FORMAT),
        ("`distinct-from`", APPROVER),
        ("`waives`", WAIVED),
    ] {
        print_words(&mut out, title, choices);
    }
    out
}

/// What stands before the tables of a service's file.
const SERVICES_HEAD: &str = "# Service reference

Every key of a file of `engine supervise`. This file is printed from the tables that read it (`src/plan/schema`): change
those, then run `ENGINE_BLESS=1 cargo test --lib plan::schema`. [supervise.md](supervise.md) explains them.
";

/// The reference of a service's file as Markdown.
pub fn services() -> String {
    let mut out = SERVICES_HEAD.to_owned();
    for table in tables::SERVICES {
        print_table(&mut out, table);
    }
    out.push_str("\n## Words\n");
    print_words(&mut out, "`signal`", SIGNAL);
    out
}

/// One table: its sentence, a line for each key, and an example.
fn print_table(out: &mut String, table: &Table) {
    let _ = write!(out, "\n## {}\n\n{}\n\n", table.name, table.doc);
    out.push_str("| key | value | meaning | when absent |\n| --- | --- | --- | --- |\n");
    for key in table.keys {
        let _ = writeln!(out, "| `{}` | {} | {} | {} |", key.name, value(key), meaning(key), absent(key));
    }
    if let Some(named) = table.open {
        let _ = writeln!(
            out,
            "| any other name | {} | {} {} | |",
            cell(&words(named.of)),
            article(named.what),
            named.what
        );
    }
    out.push_str("\n```yaml\n");
    for key in table.keys {
        let _ = writeln!(out, "{}: {}", key.name, key.example);
    }
    out.push_str("```\n");
}

/// The value column.
fn value(key: &Key) -> String {
    cell(&words(&key.shape))
}

/// The meaning column.
fn meaning(key: &Key) -> String {
    let scope = if key.in_action_file { " *(action files too)*" } else { "" };
    format!("{}{scope}", cell(key.doc))
}

/// The last column.
fn absent(key: &Key) -> String {
    if key.required { "**required**".to_owned() } else { cell(key.default.unwrap_or_default()) }
}

/// The shape in words, with a link where it is another table.
fn words(shape: &Shape) -> String {
    match shape {
        Shape::Map(table) => format!("[{0}](#{0})", table.name),
        Shape::Named(named) | Shape::Stages(named) => format!("map of {} to {}", named.what, words(named.of)),
        Shape::List { of, .. } => format!("list of {}", words(of)),
        Shape::Either(shapes) => shapes.iter().map(words).collect::<Vec<_>>().join(", or "),
        Shape::Count { min, max } => format!("{min} to {max}"),
        other => other.words(),
    }
}

/// The words of a closed set.
fn print_words(out: &mut String, title: &str, choices: &[Choice]) {
    let _ = write!(out, "\n### {title}\n\n| word | meaning |\n| --- | --- |\n");
    for choice in choices {
        let _ = writeln!(out, "| `{}` | {} |", choice.word, cell(choice.doc));
    }
}

/// Text that may stand in a cell of a Markdown table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// `a` or `an`.
fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}
