//! Layers, provenance, and every fault of an environment's files at its place.

use std::fmt::Write as _;

use super::*;
use crate::plan::load::tests::Memory;
use crate::plan::{Diagnostic, Report, Sources};

/// Loads and checks an environment from files in memory.
fn open(name: &str, files: &str) -> (Option<Environment>, Sources, Vec<Diagnostic>) {
    let (mut sources, mut report) = (Sources::default(), Report::default());
    let environment = load(&Memory::split("none", files), name, None, &mut sources, &mut report);
    if let Some(environment) = &environment {
        check(environment, &mut report);
        stale(environment, "2026-11-21".parse().expect("a date"), &mut report);
    }
    (environment, sources, report.sorted())
}

/// What is wrong with the environment `staging`.
pub(in crate::plan) fn load_staging(files: &str) -> Vec<Diagnostic> {
    open("staging", files).2
}

fn right(name: &str, files: &str) -> (Environment, Sources) {
    let (environment, sources, found) = open(name, files);
    assert_eq!(found, [], "{files}");
    (environment.expect("it was loaded"), sources)
}

const LAYERS: &str = r#"# file: environments/catalog.yaml
keys:
  HOST: {default: localhost}
  PORT: {type: int, default: 8000}
  FLAGS: {type: map, default: {alpha: false}}
  PEERS: {type: list, required-in: []}
  LOG_LEVEL: {enum: [debug, info], required-in: []}
  TOKEN: {secret: true, required-in: [production]}
# file: environments/base.yaml
values:
  FLAGS: {beta: {on: true, share: 5}, gamma: true}
  PEERS: [a, b]
  LOG_LEVEL: debug
policy: {approvals: {min: 2}}
# file: environments/staging.toml
extends = "base"
unset = ["LOG_LEVEL", "FLAGS.gamma"]
[values]
PEERS = ["c"]
FLAGS.beta.share = 50
[secrets.TOKEN]
from.env = "STAGING_TOKEN"
rotated-at = "2026-10-01"
version = "v3"
[policy]
production = false
"#;

#[test]
fn maps_merge_lists_replace_and_unset_takes_away() {
    let (staging, _) = right("staging", LAYERS);
    let value = |key: &str| staging.entries.get(key).and_then(Entry::value);
    assert_eq!(value("HOST"), Some("localhost".into()));
    assert_eq!(value("PORT"), Some(8000.into()));
    assert_eq!(value("PEERS"), Some(serde_json::json!(["c"])));
    assert_eq!(value("LOG_LEVEL"), None);
    assert_eq!(value("FLAGS"), Some(serde_json::json!({"alpha": false, "beta": {"on": true, "share": 50}})));
    let secret = staging.entries["TOKEN"].secret().expect("a secret");
    assert_eq!(secret.from, SecretSource::Env("STAGING_TOKEN".to_owned()));
    assert_eq!(secret.rotated_at.as_ref().map(|at| at.value.to_string()).as_deref(), Some("2026-10-01"));
    assert_eq!(staging.policy.approvals.as_ref().map(|approvals| approvals.min), Some(2));
    assert!(!staging.policy.is_production());
}

#[test]
fn every_leaf_knows_its_file_line_and_layer() {
    let (staging, sources) = right("staging", LAYERS);
    let told: Vec<String> = staging.entries["FLAGS"]
        .leaves("FLAGS")
        .iter()
        .map(|leaf| {
            format!("{} {} {} {}", leaf.path, leaf.value, staging.layer_of(leaf.at), sources.locate(leaf.at))
        })
        .collect();
    assert_eq!(
        told,
        [
            "FLAGS.alpha false catalog environments/catalog.yaml:4:39",
            "FLAGS.beta.on true base environments/base.yaml:2:22",
            "FLAGS.beta.share 50 staging environments/staging.toml:5:20",
        ]
    );
    assert_eq!(sources.locate(staging.entries["TOKEN"].at), "environments/staging.toml:6:10");
}

#[test]
fn folders_have_catalogs_of_their_own() {
    let files = "# file: environments/router/catalog.yaml\nkeys: {A: {}}\n# file: environments/router/prod.yaml\n\
                 values: {A: x}\n";
    let (prod, _) = right("router/prod", files);
    assert_eq!((prod.own_name(), prod.sibling("staging").as_str()), ("prod", "router/staging"));
}

#[test]
fn patterns_and_requirements_may_differ_by_environment() {
    let files = |name: &str, values: &str| {
        format!(
            "# file: environments/catalog.yaml\nkeys: {{URL: {{type: url, required-in: [production], pattern: {{production: \
             '^postgresql\\+asyncpg:', local: '^sqlite\\+aiosqlite:'}}}}}}\n# file: environments/{name}.yaml\n{values}\n"
        )
    };
    let codes = |name: &str, values: &str| -> Vec<&str> {
        open(name, &files(name, values)).2.iter().map(|found| found.code).collect()
    };
    assert_eq!(codes("local", "values: {URL: 'sqlite+aiosqlite:///./dev.db'}"), [""; 0]);
    assert_eq!(codes("local", "values: {URL: 'postgresql+asyncpg://u@h/db'}"), ["env::bad-value"]);
    assert_eq!(codes("local", "values: {}"), [""; 0]);
    assert_eq!(codes("production", "values: {}"), ["env::missing"]);
    assert_eq!(codes("production", "values: {URL: 'postgresql+asyncpg://u@h/db'}"), [""; 0]);
}

#[test]
fn every_fault_is_told_at_its_place() {
    const CATALOG: &str = "# file: environments/catalog.yaml\nkeys: {A: {required-in: []}, S: {secret: true, required-in: \
                           []}, P: {type: int, min: 1, max: 9, required-in: []}, W: {min-length: 4, required-in: []}}\n";
    for (staging, code, place) in [
        ("values: {A: x, A: y}", "plan::duplicate-key", "staging.yaml:1:16"),
        ("values: {A: 5}", "env::bad-value", "staging.yaml:1:13"),
        ("values: {P: 10}", "env::bad-value", "staging.yaml:1:13"),
        ("values: {P: '5'}", "env::bad-value", "staging.yaml:1:13"),
        ("values: {W: abc}", "env::bad-value", "staging.yaml:1:13"),
        ("values: {W: \"ab\\0cd\"}", "env::bad-value", "staging.yaml:1:13"),
        ("values: {AA: x}", "env::unknown-key", "staging.yaml:1:10"),
        ("values: {a: x}", "plan::bad-name", "staging.yaml:1:10"),
        ("values: {S: x}", "env::secret-in-file", "staging.yaml:1:10"),
        ("vaules: {A: x}", "plan::unknown-key", "staging.yaml:1:1"),
        ("values: [A]", "plan::wrong-type", "staging.yaml:1:9"),
        ("just text", "plan::wrong-type", "staging.yaml:1:1"),
        ("secrets: {S: {from: {env: A, file: b}}}", "plan::one-of", "staging.yaml:1:15"),
        ("secrets: {S: {from: {}}}", "plan::one-of", "staging.yaml:1:15"),
        ("secrets: {S: {from: {env: A-B}}}", "plan::bad-name", "staging.yaml:1:27"),
        ("secrets: {S: {}}", "plan::missing-key", "staging.yaml:1:14"),
        ("secrets: {A: {from: {env: X}}}", "env::not-secret", "staging.yaml:1:11"),
        ("unset: [A]", "env::nothing-to-unset", "staging.yaml:1:9"),
        ("extends: staging", "env::cycle", "staging.yaml:1:10"),
        ("extends: bsae", "env::unreadable", "staging.yaml:1:10"),
        ("files: {f: {template: t, to: o, mode: 600}}", "plan::unquoted", "staging.yaml:1:39"),
        ("files: {f: {template: t, to: o, mode: '9'}}", "env::bad-mode", "staging.yaml:1:39"),
        ("policy: {parity: {with: prod, max-drift: 5}}", "plan::unquoted", "staging.yaml:1:42"),
        ("policy: {parity: {with: prod, max-drift: '5'}}", "env::bad-share", "staging.yaml:1:42"),
        (
            "policy: {freeze: [{from: '2026-01-02T00:00', to: '2026-01-01T00:00', reason: x}]}",
            "env::bad-date",
            "staging.yaml:1:19",
        ),
        ("policy: {approvals: {distinct-from: [autor]}}", "plan::unknown-word", "staging.yaml:1:38"),
    ] {
        let files = format!("{CATALOG}# file: environments/staging.yaml\n{staging}\n");
        let (_, sources, found) = open("staging", &files);
        let told: Vec<String> =
            found.iter().map(|one| format!("{} {}", one.code, sources.locate(one.at))).collect();
        assert_eq!(told, [format!("{code} environments/{place}")], "{staging}\n{found:#?}");
    }
}

#[test]
fn a_cycle_shows_the_whole_way_round() {
    let files = "# file: environments/catalog.yaml\nkeys: {}\n# file: environments/a.yaml\nextends: b\n\
                 # file: environments/b.yaml\nextends: c\n# file: environments/c.yaml\nextends: a\n";
    let (_, sources, found) = open("a", files);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].message, "environments extend each other in a circle: `a` → `b` → `c` → `a`");
    assert_eq!(sources.locate(found[0].at), "environments/c.yaml:1:10");
    assert_eq!(found[0].related.len(), 2);
}

#[test]
fn two_spellings_of_one_file_are_refused() {
    let files = "# file: environments/catalog.yaml\nkeys: {}\n# file: environments/catalog.toml\nkeys = {}\n\
                 # file: environments/staging.yaml\nvalues: {}\n";
    let found = load_staging(files);
    assert_eq!(found.len(), 1);
    assert!(found[0].message.contains("keep one of them"), "{found:?}");
}

#[test]
fn what_is_not_there_is_said_by_name() {
    for (name, code) in [("nowhere", "env::unreadable"), ("../x", "env::bad-name"), ("catalog", "env::bad-name")] {
        let (environment, sources, found) = open(name, "");
        assert!(environment.is_none());
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].code, code);
        assert!(crate::plan::error::text(&found, &sources, false).contains(name));
    }
}

#[test]
fn an_exception_ends_with_its_day() {
    let files = |until: &str, key: &str| {
        format!(
            "# file: environments/catalog.yaml\nkeys: {{A: {{default: x}}}}\n# file: environments/staging.yaml\nvalues: \
             {{}}\n# file: environments/exceptions.yaml\nexceptions:\n- {{key: {key}, environments: [staging, production], \
             ticket: OPS-7, reason: why, until: '{until}'}}\n"
        )
    };
    assert_eq!(load_staging(&files("2026-11-21", "A")), []);
    let found = load_staging(&files("2026-11-20", "A"));
    assert_eq!((found[0].code, found.len()), ("env::expired-exception", 1));
    assert_eq!(load_staging(&files("2026-12-31", "B"))[0].code, "env::unknown-key");
    assert_eq!(load_staging(&files("soon", "A"))[0].code, "env::bad-date");
}

#[test]
fn a_library_reads_shared_files_once() {
    let files = Memory::split("none", LAYERS);
    let (mut sources, mut report) = (Sources::default(), Report::default());
    let mut library = Library::new(&files);
    for name in ["staging", "base", "staging"] {
        library.open(name, None, &mut sources, &mut report).expect("it is there");
    }
    assert_eq!(sources.files().len(), 3);
    assert_eq!(report.sorted(), []);
}

#[test]
fn a_secret_s_text_is_checked_and_never_quoted() {
    let files = "# file: environments/catalog.yaml\nkeys: {S: {secret: true, type: url, pattern: '^https', min-length: 30}}\n\
                 # file: environments/staging.yaml\nsecrets: {S: {from: {env: S}}}\n";
    let (staging, _) = right("staging", files);
    let rule = staging.rule("S").expect("a rule");
    let mut checker = Checker::default();
    let mut told = |text: &str| checker.secret_fits(rule, text, "staging");
    assert_eq!(told("https://example.org/a-long-enough-path"), Ok(()));
    for text in ["hunter2", "ftp://hunter2.example.org/hunter2-hunter2", "https://hunter2"] {
        let why = told(text).expect_err("it breaks a rule");
        assert!(!why.contains("hunter2"), "{why}");
    }
}

/// Two environments that share a catalog of `keys` keys, of which the first `differ` have other values.
fn pair(keys: usize, differ: usize, more: &str) -> (Environment, Environment) {
    let mut files = "# file: environments/catalog.yaml\nkeys:\n".to_owned();
    for at in 0..keys {
        let _ = writeln!(files, "  K{at}: {{required-in: []}}");
    }
    files.push_str("  SAME: {parity: presence, required-in: []}\n  FREE: {parity: ignore, required-in: []}\n");
    files.push_str("  S: {secret: true, rotate-every: 90d, required-in: []}\n");
    for (name, other) in [("left", "x"), ("right", "y")] {
        let _ = writeln!(files, "# file: environments/{name}.yaml\nvalues:\n  FREE: '{name}'");
        for at in 0..keys {
            let value = if at < differ { other } else { "z" };
            let _ = writeln!(files, "  K{at}: {value}");
        }
    }
    files.push_str(more);
    let memory = Memory::split("none", &files);
    let (mut sources, mut report) = (Sources::default(), Report::default());
    let mut library = Library::new(&memory);
    let mut open = |name: &str| library.open(name, None, &mut sources, &mut report).expect("it is there");
    let both = (open("left"), open("right"));
    assert_eq!(report.sorted(), [], "{files}");
    both
}

fn today() -> jiff::civil::Date {
    "2026-11-21".parse().expect("a date")
}

#[test]
fn parity_is_strict_about_its_limit() {
    for (keys, differ, passes, drift) in [
        (40, 0, true, 0.0),
        (40, 1, true, 2.5),
        (40, 2, false, 5.0),
        (41, 2, true, 4.878),
        (20, 1, false, 5.0),
        (21, 1, true, 4.762),
    ] {
        let (left, right) = pair(keys, differ, "");
        let found = parity::compare(&left, &right, 500, today());
        assert_eq!((found.keys, found.unexcused, found.passes()), (keys, differ, passes), "{differ} of {keys}");
        assert!((found.drift() - drift).abs() < 0.001, "{}", found.drift());
        assert_eq!(found.allows_none(), keys <= 20);
    }
    let (left, right) = pair(40, 1, "");
    assert!(!parity::compare(&left, &right, 0, today()).passes(), "a limit of zero allows nothing");
    let (left, right) = pair(40, 0, "");
    assert!(parity::compare(&left, &right, 0, today()).passes(), "and equal ones are equal");
}

#[test]
fn a_missing_key_fails_whatever_the_share() {
    let (left, mut right) = pair(100, 0, "");
    right.entries.remove("K7");
    let found = parity::compare(&left, &right, 500, today());
    assert_eq!((found.unexcused, found.missing, found.passes()), (1, 1, false));
    assert_eq!(found.differences[0].kind, parity::Kind::MissingRight);
    let found = parity::compare(&right, &left, 500, today());
    assert_eq!(found.differences[0].kind, parity::Kind::MissingLeft);
}

#[test]
fn only_an_exception_with_a_ticket_and_a_day_to_come_excuses() {
    let exception = |until: &str, names: &str| {
        format!(
            "# file: environments/exceptions.yaml\nexceptions:\n- {{key: K0, environments: {names}, ticket: OPS-7, reason: why, \
             until: '{until}'}}\n"
        )
    };
    for (more, passes, unexcused) in [
        (exception("2026-11-21", "[left, right]"), true, 1),
        (exception("2026-11-20", "[left, right]"), false, 2),
        (exception("2026-12-20", "[left, other]"), false, 2),
    ] {
        let (left, right) = pair(40, 2, &more);
        let found = parity::compare(&left, &right, 500, today());
        assert_eq!((found.passes(), found.unexcused), (passes, unexcused), "{more}");
        let tickets = found.differences.iter().filter(|one| one.ticket.is_some()).count();
        assert_eq!(tickets, 2 - unexcused);
    }
}

#[test]
fn of_secrets_only_presence_and_rotation_are_compared() {
    let (mut left, mut right) = pair(40, 0, "");
    let files = |at: &str| {
        format!(
            "# file: environments/catalog.yaml\nkeys: {{S: {{secret: true, rotate-every: 90d}}}}\n# file: environments/e.yaml\n\
             secrets: {{S: {{from: {{env: S}}, rotated-at: {at}}}}}\n"
        )
    };
    let secret = |at: &str| right_entry("e", &files(at));
    left.entries.insert("S".to_owned(), secret("2026-11-01"));
    let found = parity::compare(&left, &right, 500, today());
    assert_eq!((found.missing, found.unexcused, found.passes()), (1, 0, false), "presence counts");
    right.entries.insert("S".to_owned(), secret("2026-10-30"));
    assert_eq!(parity::compare(&left, &right, 500, today()).differences, [], "both are fresh");
    right.entries.insert("S".to_owned(), secret("2026-01-01"));
    let found = parity::compare(&left, &right, 500, today());
    assert_eq!((found.differences[0].kind, found.unexcused), (parity::Kind::Rotation, 0));
    assert_eq!((&found.differences[0].left, &found.differences[0].right), (&None, &None));
}

fn right_entry(name: &str, files: &str) -> Entry {
    right(name, files).0.entries["S"].clone()
}

#[test]
fn rotation_is_ok_due_overdue_or_unknown() {
    use parity::{Rotation, rotation};
    let files = "# file: environments/catalog.yaml\nkeys: {S: {secret: true, rotate-every: 90d, required-in: []}, T: {secret: true, required-in: []}}\n\
                 # file: environments/staging.yaml\nvalues: {}\n";
    let (staging, _) = right("staging", files);
    let rule = |key: &str| staging.rule(key).expect("a rule");
    let at = |text: &str| Some(text.parse().expect("a date"));
    for (day, state, age) in [
        ("2026-11-21", Rotation::Ok, 0),
        ("2026-09-11", Rotation::Ok, 71),
        ("2026-09-10", Rotation::Due, 72),
        ("2026-08-23", Rotation::Due, 90),
        ("2026-08-22", Rotation::Overdue, 91),
    ] {
        assert_eq!(rotation(rule("S"), at(day), today()), Some((state, age, 90)), "{day}");
    }
    assert_eq!(rotation(rule("S"), None, today()), Some((Rotation::Unknown, 0, 90)));
    assert_eq!(rotation(rule("T"), None, today()), None);
}

#[test]
fn an_example_becomes_a_catalog_that_is_read() {
    let text = "\u{feff}# where it listens\nHOST=0.0.0.0\nexport PORT=8000 # injected\nDEBUG=true\nTIMEOUT=30s\n\nSECRET_KEY=<generate>\r\n\
                DATABASE_URL=postgresql://user:pass@host:5432/db\nAPI_URL='https://api.example.org/v1'\nZIP=01234\nPORT=9000\nnot a line\n\
                PUBLIC_KEY_PATH=keys/pub.pem\nREDIS=redis://:hunter2@cache:6379\n";
    let imported = import(text);
    assert_eq!(imported.keys, 10);
    assert_eq!(imported.secrets, ["SECRET_KEY", "DATABASE_URL", "REDIS"]);
    assert_eq!(imported.skipped.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [11, 12]);
    assert!(!imported.base.contains("hunter2") && !imported.catalog.contains("pass@"), "{}", imported.base);
    let files = format!(
        "# file: environments/catalog.yaml\n{}# file: environments/base.yaml\n{}",
        imported.catalog, imported.base
    );
    let (base, _) = right("base", &files);
    let value = |key: &str| base.entries[key].value();
    assert_eq!(value("PORT"), Some(8000.into()));
    assert_eq!(value("DEBUG"), Some(true.into()));
    assert_eq!(value("ZIP"), Some("01234".into()));
    assert_eq!(value("TIMEOUT"), Some("30s".into()));
    assert_eq!(base.rule("HOST").and_then(|rule| rule.description.clone()).as_deref(), Some("where it listens"));
    let empty = import("");
    let files = format!(
        "# file: environments/catalog.yaml\n{}# file: environments/base.yaml\n{}",
        empty.catalog, empty.base
    );
    assert_eq!(right("base", &files).0.entries.len(), 0);
}
