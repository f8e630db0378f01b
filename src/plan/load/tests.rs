//! Tests of the loader, and the files in memory that other tests of the plan room load from.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::*;
use crate::plan::tree::{Key, Kind, Tree};

/// Files in memory.
pub(in crate::plan) struct Memory(pub BTreeMap<String, String>);

impl Memory {
    /// `plan.yaml` with `text`; a line `# file: PATH` begins another file.
    pub(in crate::plan) fn split(first: &str, text: &str) -> Self {
        let mut files = BTreeMap::new();
        let mut path = first.to_owned();
        let mut part = String::new();
        for line in text.lines() {
            match line.strip_prefix("# file: ") {
                Some(next) => {
                    files.insert(std::mem::replace(&mut path, next.to_owned()), std::mem::take(&mut part));
                }
                None => part.extend([line, "\n"]),
            }
        }
        files.insert(path, part);
        Self(files)
    }
}

impl Loader for Memory {
    fn load(&self, path: &str) -> Result<String, String> {
        self.0.get(path).cloned().ok_or_else(|| "no such file".to_owned())
    }
}

/// Loads `plan` as a file called `first`: what was loaded, and every finding as text, `code: message`.
pub(in crate::plan) fn load_text(first: &str, plan: &str) -> (Option<Loaded>, Vec<Diagnostic>) {
    let mut report = Report::default();
    let loaded = load(&Memory::split(first, plan), first, &mut report);
    (loaded.ok(), report.sorted())
}

/// The codes of all findings.
pub(in crate::plan) fn codes(first: &str, plan: &str) -> Vec<&'static str> {
    load_text(first, plan).1.into_iter().map(|one| one.code).collect()
}

/// Every finding: its code, the text that is marked, and its help.
pub(in crate::plan) fn marks(first: &str, plan: &str) -> Vec<(&'static str, String, String)> {
    let mut report = Report::default();
    let sources = match load(&Memory::split(first, plan), first, &mut report) {
        Ok(loaded) => loaded.sources,
        Err(sources) => sources,
    };
    let marked = |at: Place| sources.file(at.file).text[at.start as usize..at.end as usize].to_owned();
    report.sorted().into_iter().map(|one| (one.code, marked(one.at), one.help.unwrap_or_default())).collect()
}

/// A rule's test: a plan, and the one finding that it must have, with a part of its help.
pub(in crate::plan) type Case = (&'static str, &'static str, &'static str, &'static str);

/// Each plan has exactly its finding, at exactly that text, and the same one in TOML and in JSON.
pub(in crate::plan) fn check_cases(cases: &[Case]) {
    let mut faults = Vec::new();
    for (plan, code, marked, help) in cases {
        let plan = format!("version: 1\n{plan}\n");
        let found = marks("plan.yaml", &plan);
        let is_it =
            |(has, at, words): &(&str, String, String)| has == code && at == marked && words.contains(help);
        if found.len() != 1 || !is_it(&found[0]) {
            faults.push(format!("{plan}wanted {code} at `{marked}` with `{help}`, found {found:#?}"));
        }
        for ending in ["toml", "json"] {
            let Some(other) = respelled(&plan, ending) else { continue };
            let same = codes(&format!("plan.{ending}"), &other);
            if same != [*code] {
                faults.push(format!("{other}wanted {code} in {ending}, found {same:?}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

/// A YAML plan in another language; none when that has no word for a value.
pub(in crate::plan) fn respelled(plan: &str, ending: &str) -> Option<String> {
    let mut sources = Sources::default();
    let (head, rest) = plan.split_once("# file: ").map_or((plan, None), |(head, rest)| (head, Some(rest)));
    let file = sources.add(File { path: "plan.yaml".to_owned(), text: head.into() });
    let mut report = Report::default();
    let tree = crate::plan::read(&sources, file, &mut report)?;
    let Kind::Map(entries) = &tree.kind else { return None };
    let mut out = String::new();
    if ending == "toml" {
        for (key, value) in entries {
            writeln!(out, "{:?} = {}", key.text, spell(value, " = ")?).expect("a string takes all");
        }
    } else {
        writeln!(out, "{}", spell(&tree, ": ")?).expect("a string takes all");
    }
    if let Some(rest) = rest {
        write!(out, "# file: {rest}").expect("a string takes all");
    }
    Some(out)
}

fn spell(tree: &Tree, is: &str) -> Option<String> {
    let list = |items: Vec<String>| items.join(", ");
    Some(match &tree.kind {
        Kind::Null => return None,
        Kind::Bool(on) => on.to_string(),
        Kind::Int(number) => number.to_string(),
        Kind::Float(number) => format!("{number:?}"),
        Kind::Str { text, .. } => serde_json::to_string(text.as_str()).expect("text is JSON"),
        Kind::List(items) => {
            format!("[{}]", list(items.iter().map(|item| spell(item, is)).collect::<Option<_>>()?))
        }
        Kind::Map(entries) => {
            let one = |(key, value): &(Key, Tree)| Some(format!("{:?}{is}{}", key.text, spell(value, is)?));
            format!("{{{}}}", list(entries.iter().map(one).collect::<Option<_>>()?))
        }
    })
}

const FULL: &str = r#"version: 1
name: shop-release
description: Build, migrate and roll out the shop
inputs:
  environment: {type: string, enum: [staging, production], default: staging}
  tag: {type: string, pattern: '^v\d+\.\d+\.\d+$'}
vars:
  image: "registry.local/shop:{{ inputs.tag }}"
max-parallel: 8
pools: {database: 1}
lock: {name: "deploy/{{ inputs.environment }}", on-busy: wait, wait: 30m}
timeout: 2h
on-failure: drain
defaults: {timeout: 15m, shell: strict, stop: {signal: TERM, grace: 10s}}
groups:
  runtime: {on-failure: continue}
stages:
  build:
    run: make image
    cache: {sources: ["src/**", Dockerfile], env: [PROFILE]}
    artifacts: ["dist/**"]
    outputs: {digest: string}
  approve:
    if: inputs.environment == 'production'
    needs: [build]
    uses: approval
    with: {prompt: "Ship {{ inputs.tag }}?"}
    timeout: 4h
  migrate:
    group: runtime
    needs: [approve]
    pools: [database]
    run: [alembic, upgrade, head]
    timeout: 5m
    idle-timeout: 2m
    retry: {max: 2, delay: 2s, backoff: 2, max-delay: 30s, jitter: true, when: [timeout, {exit: [69]}], within: 20m}
    idempotent: false
    done-if: {run: [./is-migrated, "{{ inputs.tag }}"]}
  pack:
    needs: [build]
    shards: {items: {glob: "assets/**"}, size: 10, max-parallel: 64}
    timeout: 15s
    run: [./pack, --list, "{{ shard.file }}"]
  rollout:
    needs: [migrate, pack]
    matrix: {region: [eu, us, ap], max-parallel: 1, on-failure: kill}
    env: {REGION: "{{ matrix.region }}", PORT: 8000, DEBUG: false}
    run: ./ship
finally:
  budget: 3m
  stages: {notify: {run: ./notify.sh, allow-failure: true, timeout: 1m}}
"#;

#[test]
fn the_contract_s_plan_loads_whole() {
    let (loaded, found) = load_text("plan.yaml", FULL);
    assert_eq!(found, []);
    let plan = loaded.expect("a plan").plan;
    assert!(!plan.partial);
    assert_eq!(plan.name.value, "shop-release");
    assert_eq!(plan.stages.len(), 5);
    assert_eq!(plan.inputs.len(), 2);
    let rollout = &plan.stages[4];
    let env: Vec<_> =
        rollout.common.env.iter().map(|(name, value)| (name.value.as_str(), value.as_str())).collect();
    let expected = [("REGION", Some("{{ matrix.region }}")), ("PORT", Some("8000")), ("DEBUG", Some("false"))];
    assert_eq!(env, expected);
}

#[test]
fn a_missing_plan_gives_sources_to_show_the_error_with() {
    let mut report = Report::default();
    let sources = load(&Memory(BTreeMap::new()), "plan.yaml", &mut report).expect_err("nothing to load");
    assert_eq!(sources.files().len(), 1);
    assert_eq!(report.sorted()[0].code, "plan::unreadable");
}

#[test]
fn a_file_used_twice_is_read_once() {
    let plan = "version: 1
stages:
  a: {uses: ./lib/x.yaml}
  b: {uses: ./lib/../lib/x.yaml, needs: [a]}
# file: lib/x.yaml
version: 1
stages: {one: {run: make}}
";
    let (loaded, found) = load_text("plan.yaml", plan);
    assert_eq!(found, []);
    let loaded = loaded.expect("a plan");
    assert_eq!((loaded.actions.len(), loaded.sources.files().len()), (1, 2));
    let actions: Vec<_> = loaded.plan.stages.iter().map(|stage| file_of(&stage.body)).collect();
    assert_eq!(actions, [Some(0), Some(0)]);
}

fn file_of(body: &Body) -> Option<usize> {
    if let Body::File { action, .. } = body { Some(*action) } else { None }
}

#[test]
fn a_circle_of_files_is_shown_whole() {
    let plan = "version: 1
stages: {a: {uses: ./x.yaml}}
# file: x.yaml
version: 1
stages: {b: {uses: ./y.yaml}}
# file: y.yaml
version: 1
stages: {c: {uses: ./x.yaml}}
";
    let (loaded, found) = load_text("plan.yaml", plan);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].code, "plan::uses-cycle");
    assert_eq!(found[0].message, "files use each other in a circle: `x.yaml` → `y.yaml` → `x.yaml`");
    assert_eq!(found[0].related.len(), 1);
    let loaded = loaded.expect("a plan to go on with");
    assert!(loaded.actions[file_of(&loaded.actions[1].stages[0].body).expect("a file")].partial);
}

#[test]
fn files_deeper_than_the_limit_are_refused_by_its_name() {
    let mut plan = "version: 1\nstages: {s: {uses: ./f0.yaml}}\n".to_owned();
    for at in 0..20 {
        let _ = writeln!(plan, "# file: f{at}.yaml\nversion: 1\nstages: {{s: {{uses: ./f{}.yaml}}}}", at + 1);
    }
    let (_, found) = load_text("plan.yaml", &plan);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].code, "plan::uses-depth");
}

#[test]
fn more_files_than_the_limit_are_refused() {
    let mut plan = "version: 1\nstages:\n".to_owned();
    for at in 0..=MAX_FILES {
        let _ = writeln!(plan, "  s{at}: {{uses: ./f{at}.yaml}}");
    }
    for at in 0..=MAX_FILES {
        let _ = writeln!(plan, "# file: f{at}.yaml\nversion: 1\nstages: {{s: {{run: make}}}}");
    }
    let found = codes("plan.yaml", &plan);
    assert_eq!(found, ["plan::too-many-files"; 2]);
}

#[test]
fn every_broken_file_is_reported_at_once() {
    let plan = "version: 1
stages: {a: {uses: ./x.yaml}, b: {uses: ./gone.yaml}, c: {runn: make}, d: {uses: ../out.yaml}}
# file: x.yaml
version: 1
timeout: 3h
stages: {b: {run: make, timeout: 30}}
";
    let found = codes("plan.yaml", plan);
    let expected = [
        "plan::unreadable",
        "plan::one-of",
        "plan::unknown-key",
        "plan::outside",
        "plan::not-in-action",
        "plan::no-unit",
    ];
    assert_eq!(found, expected);
}

#[test]
fn paths_are_joined_from_the_file_that_names_them() {
    for (base, uses, path) in [
        ("plans/a.yaml", "./lib/b.yaml", "plans/lib/b.yaml"),
        ("plans/a.yaml", "../b.yaml", "b.yaml"),
        ("a.yaml", "./b.yaml", "b.yaml"),
        ("a.yaml", "../b.yaml", "../b.yaml"),
        ("../x/a.yaml", "../../b.yaml", "../../b.yaml"),
        ("/abs/a.yaml", "./b.yaml", "/abs/b.yaml"),
    ] {
        assert_eq!(join(base, uses), path, "{base} {uses}");
    }
}

#[test]
fn a_pool_of_an_action_file_is_one_of_the_run() {
    let plan = "version: 1
pools: {a: 1}
stages: {s: {uses: ./x.yaml}}
# file: x.yaml
version: 1
pools: {a: 2, b: 3}
stages: {t: {run: make, pools: [a, b]}}
";
    let (loaded, found) = load_text("plan.yaml", plan);
    assert_eq!(found, []);
    let pools = loaded.expect("a plan").plan.pools;
    let names: Vec<_> = pools.iter().map(|(name, _)| name.value.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn an_escaped_nul_is_told_where_it_stands() {
    let nuls = |name: &str, text: &str| -> Vec<String> {
        let found = marks(name, text).into_iter().filter(|(code, ..)| *code == "plan::nul");
        found.map(|(_, marked, _)| marked).collect()
    };
    let yaml = "version: 1\ninputs: {i: {default: \"0\\0\"}}\nvars: {v: [\"1\\0\"]}\nstages:\n\
                \x20 a: {run: [x, \"2\\0\"], env: {V: \"3\\x00\"}, cwd: a\\0b}\n\
                \x20 b: {shards: {items: [\"i\\0\"], items-format: json}, run: x}\n  items: {run: \"4\\u0000\"}\n";
    let wanted = [r#""0\0""#, r#""1\0""#, r#""2\0""#, r#""3\x00""#, r#""4\u0000""#];
    assert_eq!(nuls("plan.yaml", yaml), wanted);
    let toml = "version = 1\n[stages.a]\nrun = [\"echo\", \"a\\u0000b\"]\n";
    assert_eq!(nuls("plan.toml", toml), [r#""a\u0000b""#]);
    let json = r#"{"version": 1, "stages": {"a": {"run": ["echo", "a\u0000b"]}}}"#;
    assert_eq!(nuls("plan.json", json), [r#""a\u0000b""#]);
}
