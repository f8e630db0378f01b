//! Tests of the decoder: each rule at its exact place, in three languages.

use proptest::prelude::*;

use super::*;
use crate::plan::load::tests::{check_cases, load_text, respelled};
use crate::plan::model::{AllowFailure, Body, Command, Items, RetryWhen, Setting, Shell};
use crate::plan::schema::tables::ALL;
use crate::plan::source::{File, Place};
use crate::plan::tree::{Key, Kind};
use crate::plan::validate::validate;

#[test]
fn unknown_keys_are_guessed() {
    check_cases(&[
        ("stages: {a: {run: make, timout: 5m}}", "plan::unknown-key", "timout", "did you mean `timeout`?"),
        (
            "stages: {a: {run: make, idle_timeout: 5m}}",
            "plan::unknown-key",
            "idle_timeout",
            "kebab-case: write `idle-timeout`",
        ),
        ("stages: {a: {run: make, idleTimeout: 5m}}", "plan::unknown-key", "idleTimeout", "write `idle-timeout`"),
        (
            "stages: {a: {run: make, depends_on: [b]}}",
            "plan::unknown-key",
            "depends_on",
            "it is called `needs` here",
        ),
        ("stages: {a: {run: make, when: x}}", "plan::unknown-key", "when", "belongs under `retry`"),
        ("stages: {a: {run: make, backoff: 2}}", "plan::unknown-key", "backoff", "belongs under `retry`"),
        ("stages: {a: {run: make, lock: {name: x}}}", "plan::unknown-key", "lock", "top level of the plan"),
        (
            "stages: {a: {uses: approval, with: {expires: 1h}}}",
            "plan::unknown-key",
            "expires",
            "the stage's own `timeout`",
        ),
        (
            "stages: {a: {uses: approval, with: {message: ok}}}",
            "plan::unknown-key",
            "message",
            "one of `prompt`, `min`",
        ),
        (
            "stages: {a: {run: make, shards: {items: [x], range: 4}}}",
            "plan::unknown-key",
            "range",
            "under `items`",
        ),
        ("stages: {a: {run: make, id: a}}", "plan::unknown-key", "id", "in a map the key is the id"),
        ("retry: 2\nstages: {a: {run: make}}", "plan::unknown-key", "retry", "belongs under `defaults`"),
        ("run: make\nstages: {a: {run: make}}", "plan::unknown-key", "run", "belongs to a stage"),
        ("jobs: 3\nstages: {a: {run: make}}", "plan::unknown-key", "jobs", "it is called `stages`"),
        ("defaults: {needs: [a]}\nstages: {a: {run: make}}", "plan::unknown-key", "needs", "no default for all"),
        (
            "inputs: {a: {required: true}}\nstages: {a: {run: make}}",
            "plan::unknown-key",
            "required",
            "without `default`",
        ),
        (
            "stages: {a: {uses: approval, with: {promt: x}}}",
            "plan::unknown-key",
            "promt",
            "did you mean `prompt`?",
        ),
    ]);
}

#[test]
fn wrong_types_show_the_right_spelling() {
    check_cases(&[
        ("stages: {a: {run: make, needs: b}, b: {run: make}}", "plan::wrong-type", "b", "write `needs: [b]`"),
        (
            "stages: {a: {run: make, idempotent: 'yes'}}",
            "plan::wrong-type",
            "'yes'",
            "write `true`, without quotes",
        ),
        ("stages: {a: {run: make, retry: '2'}}", "plan::wrong-type", "'2'", "write `2`, without quotes"),
        ("max-parallel: '8'\nstages: {a: {run: make}}", "plan::wrong-type", "'8'", "write `8`, without quotes"),
        ("stages: {a: {run: {cmd: make}}}", "plan::wrong-type", "{", "for example `run: [make, image]`"),
        ("stages: {a: {run: [make, true]}}", "plan::unquoted", "true", "`\"true\"`"),
        ("stages: {a: {run: [sleep, 5]}}", "plan::unquoted", "5", "`\"5\"`"),
        ("stages: {a: {run: [sleep, 1.10]}}", "plan::unquoted", "1.10", "`\"1.10\"`"),
        ("stages: {a: {run: make, env: {V: 1.10}}}", "plan::unquoted", "1.10", "`\"1.10\"`"),
        ("stages: {a: {uses: attest, with: {items: [backup]}}}", "plan::wrong-type", "[", "for example `items: {"),
        ("name: 5\nstages: {a: {run: make}}", "plan::unquoted", "5", "in quotes"),
        ("stages: {a: {run: make, lifetime: true}}", "plan::unquoted", "true", "in quotes"),
        ("stages: {a: {run: make, allow-failure: {exit: 3}}}", "plan::wrong-type", "3", "for example `exit: [3]`"),
        ("stages: {a: make}", "plan::wrong-type", "make", "for example `a: {run: [make, image]}`"),
        ("stages: make", "plan::wrong-type", "make", "for example `stages: {build: {run: make}}`"),
        (
            "stages: {a: {run: make, matrix: [eu, us]}}",
            "plan::wrong-type",
            "[",
            "for example `matrix: {region: [eu, us]}`",
        ),
    ]);
}

#[test]
fn nothing_is_no_value() {
    let (_, found) = load_text("plan.yaml", "version: 1\nstages:\n  a:\n  b: {run: make, timeout: }\n");
    let said: Vec<_> = found.iter().map(|one| one.message.as_str()).collect();
    assert!(said.contains(&"stage `a` has no value"), "{said:?}");
    assert!(said.contains(&"`timeout` has no value"), "{said:?}");
}

#[test]
fn a_duration_that_is_too_long_is_told_the_longest() {
    let (_, found) =
        load_text("plan.yaml", "version: 1\nstages: {a: {run: make, timeout: 99999999999999999999s}}\n");
    let said: Vec<_> = found.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(said, ["`timeout` is too long: at most `3650d`"]);
}

#[test]
fn durations_and_numbers_are_bounded() {
    check_cases(&[
        ("timeout: 30\nstages: {a: {run: make}}", "plan::no-unit", "30", "did you mean `30s`?"),
        ("timeout: '30'\nstages: {a: {run: make}}", "plan::no-unit", "'30'", "did you mean `30s`?"),
        ("timeout: 1.5\nstages: {a: {run: make}}", "plan::no-unit", "1.5", "1m30s"),
        ("timeout: 10 minutes\nstages: {a: {run: make}}", "plan::bad-duration", "10 minutes", "write `10m`"),
        ("timeout: soon\nstages: {a: {run: make}}", "plan::bad-duration", "soon", "units descend"),
        ("timeout: 0s\nstages: {a: {run: make}}", "plan::out-of-range", "0s", "leave the key out"),
        ("timeout: 4000d\nstages: {a: {run: make}}", "plan::out-of-range", "4000d", "leave the key out"),
        ("max-parallel: 0\nstages: {a: {run: make}}", "plan::out-of-range", "0", ""),
        ("max-parallel: 5000\nstages: {a: {run: make}}", "plan::out-of-range", "5000", ""),
        ("pools: {p: 0}\nstages: {a: {run: make}}", "plan::out-of-range", "0", ""),
        ("stages: {a: {run: make, retry: -1}}", "plan::out-of-range", "-1", ""),
        ("stages: {a: {run: make, retry: 100}}", "plan::out-of-range", "100", ""),
        ("stages: {a: {run: make, retry: {max: 1, backoff: 0.5}}}", "plan::out-of-range", "0.5", ""),
        ("stages: {a: {run: make, allow-failure: {exit: [256]}}}", "plan::out-of-range", "256", ""),
    ]);
}

#[test]
fn words_are_guessed() {
    check_cases(&[
        ("on-failure: dran\nstages: {a: {run: make}}", "plan::unknown-word", "dran", "did you mean `drain`?"),
        ("stages: {a: {run: make, stop: {signal: SIGTERM}}}", "plan::unknown-word", "SIGTERM", "one of `INT`"),
        ("stages: {a: {run: make, stop: {signal: term}}}", "plan::unknown-word", "term", "did you mean `TERM`?"),
        ("stages: {a: {run: make, outputs: {x: text}}}", "plan::unknown-word", "text", "`string`"),
        ("stages: {a: {run: make, shell: zsh}}", "plan::unknown-word", "zsh", "one of `strict`"),
        (
            "stages: {a: {run: make, retry: {max: 1, when: [timeouts]}}}",
            "plan::unknown-word",
            "timeouts",
            "`timeout`",
        ),
    ]);
}

#[test]
fn what_is_missing_or_empty_is_said() {
    check_cases(&[
        ("name: x", "plan::missing-key", "version", "add `stages:"),
        ("stages: {}", "plan::empty", "{", "stage"),
        ("stages: []", "plan::empty", "[", "stage"),
        ("stages: {a: {run: []}}", "plan::empty", "[", "item"),
        ("stages: {a: {run: ' '}}", "plan::empty", "' '", "write something"),
        ("stages: {a: {run: make, matrix: {}}}", "plan::empty", "{", "axis"),
        ("stages: {a: {run: make, matrix: {r: []}}}", "plan::empty", "[", "item"),
        ("lock: {on-busy: fail}\nstages: {a: {run: make}}", "plan::missing-key", "{", "add `name:"),
        ("stages: [{run: make}]", "plan::missing-key", "{", "add `id: build`"),
        ("stages: {a: {run: make, done-if: {}}}", "plan::missing-key", "{", "add `run:"),
    ]);
}

#[test]
fn shards_say_where_their_items_come_from_and_what_bounds_them() {
    check_cases(&[
        (
            "stages: {a: {run: x, shards: {items: {from: '{{ needs.b.outputs.c }}'}}}}",
            "plan::missing-key",
            "'{{ needs.b.outputs.c }}'",
            "max: 500",
        ),
        ("stages: {a: {run: x, shards: {items: {range: 3}, size: 0}}}", "plan::out-of-range", "0", ""),
        (
            "stages: {a: {run: x, shards: {items: {range: 3}, size: big}}}",
            "plan::unknown-word",
            "big",
            "`auto`, or a whole number from 1 to 2000000",
        ),
        ("stages: {a: {run: x, shards: {items: {range: 3}, rate: 200}}}", "plan::out-of-range", "200", "200/s"),
        ("stages: {a: {run: x, shards: {items: {range: 3}, rate: 0/s}}}", "plan::out-of-range", "0/s", "200/s"),
        (
            "stages: {a: {run: x, shards: {items: {range: 3}, allow-failed: 101%}}}",
            "plan::out-of-range",
            "101%",
            "1%",
        ),
        ("stages: {a: {run: x, shards: {items: {range: 3}, target-p95: 8}}}", "plan::no-unit", "8", "8s"),
        ("stages: {a: {run: x, shards: {items: {range: 3}, target-p95: 0s}}}", "plan::out-of-range", "0s", ""),
        (
            "stages: {a: {run: x, shards: {items: {range: 3}, items-format: csv}}}",
            "plan::unknown-word",
            "csv",
            "json",
        ),
        ("stages: {a: {run: x, shards: {items: {range: 3, glob: '*'}}}}", "plan::one-of", "glob", "{range: …}"),
    ]);
}

#[test]
fn a_stage_does_one_thing_and_has_only_what_fits_it() {
    check_cases(&[
        ("stages: {a: {description: x}}", "plan::one-of", "a", "add `run: make`"),
        ("stages: {a: {run: make, uses: approval}}", "plan::one-of", "uses", "keep one"),
        ("stages: {a: {run: make, shards: {items: {}}}}", "plan::one-of", "{", "{range: …}"),
        ("stages: {a: {uses: approval, done-if: {run: x}}}", "plan::misplaced-key", "done-if", "runs a process"),
        ("stages: {a: {uses: approval, shards: {items: [a]}}}", "plan::misplaced-key", "shards", ""),
        ("stages: {a: {run: make, with: {a: 1}}}", "plan::misplaced-key", "with", "`env`"),
        ("stages: {a: {run: make, on-failure: kill}}", "plan::misplaced-key", "on-failure", "matrix"),
        ("stages: {a: {run: [make], shell: sh}}", "plan::misplaced-key", "shell", "write `run` as text"),
        (
            "stages: {a: {uses: ./b.yaml, shards: {items: [a]}}}\n# file: b.yaml\nversion: 1\nstages: {b: {run: make}}",
            "plan::misplaced-key",
            "shards",
            "matrix",
        ),
        (
            "stages: {a: {uses: ./b.yaml, env: {A: b}}}\n# file: b.yaml\nversion: 1\nstages: {b: {run: make}}",
            "plan::misplaced-key",
            "env",
            "`with`",
        ),
        ("stages: {a: {uses: lib/b.yaml}}", "plan::bad-uses", "lib/b.yaml", "write `./lib/b.yaml`"),
        ("stages: {a: {uses: /lib/b.yaml}}", "plan::bad-uses", "/lib/b.yaml", "from the file that uses it"),
        ("stages: {a: {uses: 'actions/checkout@v4'}}", "plan::bad-uses", "'actions/checkout@v4'", "not fetched"),
        ("stages: {a: {uses: './{{ inputs.x }}.yaml'}}", "plan::bad-uses", "'./{{ inputs.x }}.yaml'", "`matrix`"),
        ("stages: {a: {uses: attest}}", "plan::missing-key", "attest", "add `items:"),
        ("stages: {a: {uses: http, with: {url: x, statuss: 200}}}", "plan::unknown-key", "statuss", ""),
        (
            "stages: {a: {uses: prometheus, with: {url: http://x, query: up, pass: '== 1'}}}",
            "plan::missing-key",
            "{",
            "add `on-no-data: hold`",
        ),
        ("heal-depth: 0\nstages: {a: {run: make}}", "plan::out-of-range", "0", ""),
        ("stages: {a: {uses: approval, heal: [{run: make}]}}", "plan::misplaced-key", "heal", ""),
        ("stages: {a: {run: make, heal: [{run: fix, cool-down: 5}]}}", "plan::no-unit", "5", "`5s`"),
        ("stages: {a: {run: make, heal: [{run: fix, idempotent: false}]}}", "plan::unknown-key", "idempotent", ""),
        (
            "stages: {a: {run: make, allow-failure: true, heal: [{run: fix}]}}",
            "plan::misplaced-key",
            "{",
            "leave out",
        ),
        (
            "stages: {a: {run: make}}\nfinally: {stages: {b: {run: make, heal: [{run: fix}]}}}",
            "plan::misplaced-key",
            "b",
            "move the stage out",
        ),
        ("stages: {a: {run: make, matrix: {r: {from: x}}}}", "plan::missing-key", "{", "add `max: 20`"),
        ("stages: {a: {run: make, matrix: {from: x}}}", "plan::bad-matrix", "from", "matrix: {region: {from:"),
        (
            "stages: {a: {run: make, matrix: {r: {from: x, max: 2}, s: {from: y, max: 2}}}}",
            "plan::bad-matrix",
            "{",
            "one axis may come from a stage",
        ),
    ]);
}

#[test]
fn names_are_mended() {
    check_cases(&[
        ("stages: {Build: {run: make}}", "plan::bad-name", "Build", "write `build`"),
        (
            "stages: {Build: {run: make}, ship: {run: x, needs: [build]}}",
            "plan::bad-name",
            "Build",
            "write `build`",
        ),
        ("stages: {buildAll: {run: make}}", "plan::bad-name", "buildAll", "write `build-all`"),
        ("stages: {'1st': {run: make}}", "plan::bad-name", "'1st'", ""),
        ("stages: {a: {run: make, env: {my-var: x}}}", "plan::bad-name", "my-var", "write `my_var`"),
        ("name: My Shop\nstages: {a: {run: make}}", "plan::bad-name", "My Shop", "write `my-shop`"),
    ]);
}

#[test]
fn versions_are_checked() {
    for (plan, help) in [
        ("version: 2\nstages: {a: {run: make}}\n", "use a newer engine"),
        ("version: 0\nstages: {a: {run: make}}\n", "write `version: 1`"),
        ("version: '1'\nstages: {a: {run: make}}\n", "without quotes"),
        ("stages: {a: {run: make}}\n", "add `version: 1`"),
    ] {
        let (_, found) = load_text("plan.yaml", plan);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].help.as_deref().unwrap_or_default().contains(help), "{found:#?}");
    }
}

#[test]
fn a_list_of_stages_reads_as_a_map_does() {
    let map = "version: 1\nstages:\n  a: {run: make}\n  b: {run: [x], needs: [a], timeout: 5m}\n";
    let list = "version: 1\nstages:\n  - {id: a, run: make}\n  - {id: b, run: [x], needs: [a], timeout: 5m}\n";
    let ids = |text: &str| {
        let (loaded, found) = load_text("plan.yaml", text);
        assert_eq!(found, []);
        let stages = loaded.expect("a plan").plan.stages;
        stages
            .iter()
            .map(|stage| (stage.id.value.clone(), stage.needs.len(), stage.common.timeout.is_some()))
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(map), ids(list));
}

#[test]
fn values_arrive_in_the_model() {
    let plan = "version: 1
actions: {tell: {run: [./tell, x], timeout: 1m}}
stages:
  a:
    run: make
    retry: 3
    shell: [python3, -u]
    allow-failure: {exit: [3, 4]}
    shards: {items: {range: 10}, size: 2}
    if: true
  b: {uses: tell, with: {text: [1, 2]}, retry: {max: 2, when: [timeout, {exit: [69]}]}}
  c: {run: [x], pools: {p: 2}, timeout: '{{ inputs.t }}'}
inputs: {t: {type: duration, default: 5m}}
pools: {p: 2}
";
    for ending in ["yaml", "toml", "json"] {
        let text = if ending == "yaml" { plan.to_owned() } else { respelled(plan, ending).expect("no nulls") };
        let (loaded, found) = load_text(&format!("plan.{ending}"), &text);
        assert_eq!(found, [], "{text}");
        let plan = loaded.expect("a plan").plan;
        let [a, b, c] = plan.stages.as_slice() else { panic!("three stages") };
        assert!(matches!(a.body, Body::Run(Command::Script(_))));
        assert!(matches!(&a.common.retry.as_ref().expect("retry").max, Setting::Value(max) if max.value == 3));
        let argv = Shell::Argv(vec!["python3".to_owned(), "-u".to_owned()]);
        assert_eq!(a.common.shell.as_ref().map(|shell| &shell.value), Some(&argv));
        assert_eq!(a.allow_failure, AllowFailure::Exit(vec![3, 4]));
        assert!(
            matches!(&a.shards.as_ref().expect("shards").items, Items::Range(Setting::Value(n)) if n.value == 10)
        );
        assert_eq!(a.condition.as_ref().and_then(Tree::as_str), Some("true"));
        assert!(matches!(&b.body, Body::Action { with, .. } if with.len() == 1));
        let when = b.common.retry.as_ref().and_then(|retry| retry.when.clone());
        assert_eq!(when, Some(vec![RetryWhen::Timeout, RetryWhen::Exit(vec![69])]));
        assert!(matches!(&c.common.timeout, Some(Setting::Template(_))));
        assert!(matches!(&c.pools[0].1, Setting::Value(weight) if weight.value == 2));
    }
}

#[test]
fn a_plan_without_a_name_is_called_after_its_file() {
    for (file, name) in [("release.yaml", "release"), ("My Plan.v2.yaml", "my-plan-v2"), ("00.yaml", "plan")] {
        let (loaded, _) = load_text(file, "version: 1\nstages: {a: {run: make}}\n");
        assert_eq!(loaded.expect("a plan").plan.name.value, name);
    }
}

/// A file without text, for trees made by hand.
fn nowhere() -> (Sources, Place) {
    let mut sources = Sources::default();
    let file = sources.add(File { path: "plan.yaml".to_owned(), text: "".into() });
    (sources, Place { file, start: 0, end: 0 })
}

/// Trees made mostly of the language's own words, so that they get deep into the decoder.
fn trees() -> impl Strategy<Value = Tree> {
    let (_, at) = nowhere();
    let words: Vec<&'static str> = ALL
        .iter()
        .flat_map(|table| table.keys.iter().map(|key| key.name))
        .chain([
            "a",
            "b",
            "A_B",
            "{{ inputs.a }}",
            "{{",
            "5m",
            "0s",
            "",
            "./x.yaml",
            "approval",
            "auto",
            "ä{{ env.x",
            "*",
            "../..",
        ])
        .collect();
    let word = proptest::sample::select(words);
    let leaf = prop_oneof![
        Just(Kind::Null),
        any::<bool>().prop_map(Kind::Bool),
        any::<i64>().prop_map(Kind::Int),
        any::<f64>().prop_map(Kind::Float),
        word.clone().prop_map(|text| Kind::Str { text: text.into(), plain: None }),
        word.clone().prop_map(|text| Kind::Str { text: text.into(), plain: Some(3) }),
    ]
    .prop_map(move |kind| Tree { at, kind });
    leaf.prop_recursive(6, 200, 8, move |inner| {
        let key = word.clone().prop_map(move |text| Key { text: text.into(), at });
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Kind::List),
            proptest::collection::vec((key, inner), 0..10).prop_map(Kind::Map),
        ]
        .prop_map(move |kind| Tree { at, kind })
    })
}

/// A plan whose `stages` has one stage of each tree, so that most trees are read as stages.
fn staged(bodies: Vec<Tree>, at: Place) -> Tree {
    let key = |text: &str| Key { text: text.into(), at };
    let stages = bodies.into_iter().enumerate().map(|(ix, body)| (key(&format!("s{ix}")), body)).collect();
    let version = (key("version"), Tree { at, kind: Kind::Int(1) });
    Tree { at, kind: Kind::Map(vec![version, (key("stages"), Tree { at, kind: Kind::Map(stages) })]) }
}

proptest! {
    #[test]
    fn no_tree_panics(tree in trees(), bodies in proptest::collection::vec(trees(), 0..4)) {
        let (sources, at) = nowhere();
        for (tree, role) in [(tree, Role::Action), (staged(bodies, at), Role::Plan)] {
            let mut report = Report::default();
            let plan = decode(tree, role, &sources, &mut report);
            prop_assert_eq!(plan.partial, report.has_errors());
            validate(&plan, &mut report);
        }
    }
}

/// `count` stages with an argv, three needs, two variables and a timeout.
fn wide(count: usize, at: Place) -> Tree {
    let key = |text: &str| Key { text: text.into(), at };
    let text = |text: &str| Tree { at, kind: Kind::Str { text: text.into(), plain: None } };
    let list = |items: Vec<Tree>| Tree { at, kind: Kind::List(items) };
    let map = |entries| Tree { at, kind: Kind::Map(entries) };
    let stage = |ix: usize| {
        let needs = (1..=3).filter(|back| ix >= *back).map(|back| text(&format!("stage-{}", ix - back))).collect();
        map(vec![
            (key("run"), list(vec![text("true"), text("x")])),
            (key("needs"), list(needs)),
            (key("env"), map(vec![(key("A"), text("1")), (key("B"), text("{{ inputs.b }}"))])),
            (key("timeout"), text("5m")),
        ])
    };
    let stages = (0..count).map(|ix| (key(&format!("stage-{ix}")), stage(ix))).collect();
    map(vec![(key("version"), Tree { at, kind: Kind::Int(1) }), (key("stages"), map(stages))])
}

#[test]
#[ignore = "measures time; run with `cargo test --release -- --ignored large`"]
#[expect(clippy::disallowed_methods, reason = "this test measures")]
fn a_large_plan_is_read_in_linear_time() {
    let (sources, at) = nowhere();
    let mut spent = Vec::new();
    for count in [10_000, 100_000] {
        let tree = wide(count, at);
        let begin = std::time::Instant::now();
        let mut report = Report::default();
        let plan = decode(tree, Role::Plan, &sources, &mut report);
        let decoded = begin.elapsed();
        validate(&plan, &mut report);
        assert!(!report.has_errors(), "the plan is right");
        spent.push((decoded, begin.elapsed()));
    }
    assert!(spent[1].1 < spent[0].1 * 20, "ten times the stages took more than twenty times as long: {spent:?}");
    assert!(spent[1].1.as_millis() < 2000, "decode, and with validation: {spent:?}");
}
