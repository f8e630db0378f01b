//! Digests as they were when runs were recorded with them: one that changes lets no such run go on.

use proptest::prelude::*;
use serde_json::json;

use super::super::cells::{LateMatrix, Place as CellPlace, Slot};
use super::super::model::{Cache, Condition, Deployed, Late, Phase, Pool, Scope};
use super::super::rules::{Consent, Frozen, LockRule, Split};
use super::*;
use crate::base::{PoolIx, PublicKey, ScopeIx};
use crate::graph::Parts;
use crate::plan::model::{Lifetime, OnBusy, Signal, Type};

/// Plans by name, and the first digits of the digest that runs of each are recorded with.
const RECORDED: [(&str, &str); 90] = [
    ("plain", "b71c0d412084"),
    ("phase Main", "b71c0d412084"),
    ("phase Finally", "2bd198bf62e4"),
    ("phase Rollback", "140ac185f9ec"),
    ("phase Heal", "7bd437f4acff"),
    ("phase Background", "6caa265e4180"),
    ("no need", "d4c484a99299"),
    ("one need", "b310c06db7c9"),
    ("accept 0", "4bddb8c0dfd5"),
    ("accept 1", "70f20bda2496"),
    ("accept 2", "4c0b38f267d1"),
    ("accept 3", "b71c0d412084"),
    ("accept 4", "debe6e0f7817"),
    ("accept 5", "46489d9b4ea3"),
    ("accept 6", "b4b0076ba2f5"),
    ("accept 7", "450cbba84987"),
    ("if", "ac238da4e4d9"),
    ("two ifs", "7d2d27862fea"),
    ("group", "6e29264152d0"),
    ("policy Drain", "13255eecf3cc"),
    ("policy Kill", "14ca184d70de"),
    ("policy Continue", "1c69c39b5607"),
    ("policy Rollback", "10ac76d1fd5d"),
    ("unselected", "a7f1cc57acff"),
    ("late cell", "9aca5351e141"),
    ("approval", "a8efc40efb5f"),
    ("prompt", "5310fc76c99a"),
    ("late prompt", "40a15c611dee"),
    ("two people", "30b8e35e0b83"),
    ("not the operator", "098fab38db03"),
    ("by policy", "279652a5c58f"),
    ("by both", "5f5f8f5ba8a5"),
    ("keys", "9f2e959657e3"),
    ("items", "adaec66c8fe3"),
    ("words", "6a1ccf517fe5"),
    ("script of Strict", "50f2fecc0f5a"),
    ("done-if of Strict", "2429a6b0d2ea"),
    ("script of Bash", "4cc4f0ca7d64"),
    ("done-if of Bash", "cd34693c7787"),
    ("script of Sh", "de13b45a1e7d"),
    ("done-if of Sh", "3a1210c5a902"),
    ("script of Argv([\"python3\", \"-u\"])", "cba01ca49e19"),
    ("done-if of Argv([\"python3\", \"-u\"])", "8e33dafdc224"),
    ("done-if", "76302979ccbc"),
    ("env", "054a0a16774d"),
    ("pass-env", "5b8afc5e8215"),
    ("secrets", "2753cd8aa6eb"),
    ("cwd", "45aefe9c2db1"),
    ("outputs", "a13d8c53162f"),
    ("artifacts", "7c4474e70a3f"),
    ("cache", "ada83245b5c1"),
    ("cache of one", "714bc37da351"),
    ("lifetime Stage", "b71c0d412084"),
    ("lifetime Run", "024f957f5b3d"),
    ("lifetime Host", "5f6040be5847"),
    ("stop Int", "966c574a474f"),
    ("stop Term", "b71c0d412084"),
    ("stop Hup", "0b4f52893ebf"),
    ("stop Quit", "abeb26496f19"),
    ("stop Usr1", "906bf35ad16a"),
    ("stop Usr2", "cbe3a3b1a550"),
    ("stop Kill", "3f97b53f7600"),
    ("items 0", "06bf326e7c33"),
    ("items 1", "669eb990f521"),
    ("items 2", "5f1f64949f1e"),
    ("items 3", "8034ce9ad84c"),
    ("items 4", "7f0ba35c8854"),
    ("items 5", "a2c21a4de1ed"),
    ("timeout", "0db9b3f36b2f"),
    ("idle-timeout", "22d81765e3bb"),
    ("queue-timeout", "76293d59695b"),
    ("grace", "8e37c4be1f83"),
    ("retry 0", "ccccc341cccb"),
    ("retry 1", "6eee91109b43"),
    ("retry 2", "c658ef5e7c0c"),
    ("pool", "d27a1863b1f7"),
    ("two pools", "df0363bfb432"),
    ("allow-failure 0", "f25d355b1e99"),
    ("allow-failure 1", "bcbb6e488887"),
    ("allow-failure 2", "19e38917b93e"),
    ("allow-failure", "cb9b21864ffe"),
    ("not idempotent", "7fc9095a819a"),
    ("cool-down", "f6b25ec0a7d8"),
    ("split", "b71c0d412084"),
    ("lines", "7ce9ba3df432"),
    ("values", "90bb6211ceed"),
    ("late values", "42b03e64f290"),
    ("environment", "30796a8f8f83"),
    ("settings", "8c1e1823ed6a"),
    ("many", "bcf36461e776"),
];

/// Four stages; the last is the one that differs from plan to plan.
fn parts() -> Parts {
    let nodes =
        vec![Node::plain("build"), Node::plain("check"), Node::plain("wait"), Node::after("ship", &[0, 1])];
    let mut parts = Parts::of("shop", nodes);
    parts.scopes.push(Scope {
        parent: Some(ScopeIx::new(0)),
        name: "stage Über/ΟΔΟΣ".to_owned(),
        policy: Policy::Kill,
    });
    parts.pools.extend(
        [("database", 3), ("ship max-parallel", 1)]
            .map(|(name, capacity)| Pool { name: name.to_owned(), capacity }),
    );
    parts
}

fn plan(differ: impl FnOnce(&mut Parts)) -> Graph {
    let mut parts = parts();
    differ(&mut parts);
    Graph::assemble(parts).expect("no cycle")
}

fn node(differ: impl FnOnce(&mut Node)) -> Graph {
    plan(|parts| differ(&mut parts.nodes[3]))
}

fn rules(differ: impl FnOnce(&mut Rules)) -> Graph {
    node(|node| differ(&mut node.rules))
}

fn process(differ: impl FnOnce(&mut Process)) -> Graph {
    node(|node| match &mut node.work {
        Work::Process(process) => differ(process),
        Work::Approval { .. } => panic!("a plain node has a process"),
    })
}

fn texts<T: for<'a> From<&'a str>, const N: usize>(words: [&str; N]) -> Vec<T> {
    words.map(Into::into).into()
}

fn pairs<T: for<'a> From<&'a str>, const N: usize>(pairs: [(&str, &str); N]) -> Vec<(Text, T)> {
    pairs.map(|(name, value)| (name.into(), value.into())).into()
}

fn script(text: &str, shell: Shell) -> Command {
    Command::Script { text: text.into(), shell }
}

fn condition(text: &str) -> Condition {
    Condition { text: text.into(), place: Node::plain("a").place, frame: 0, views: Vec::new() }
}

/// What stands in a node beside its work.
fn places(all: &mut Vec<(String, Graph)>) {
    let mut add = |name: &str, graph| all.push((name.to_owned(), graph));
    add("plain", plan(|_| {}));
    for phase in [Phase::Main, Phase::Finally, Phase::Rollback, Phase::Heal, Phase::Background] {
        add(&format!("phase {phase:?}"), node(|node| node.phase = phase));
    }
    add("no need", node(|node| node.needs.clear()));
    add("one need", node(|node| node.needs.truncate(1)));
    for bits in 0..8 {
        let accept = Accept { success: bits & 1 > 0, skipped: bits & 2 > 0, failed: bits & 4 > 0 };
        add(&format!("accept {bits}"), node(|node| node.needs[0].accept = accept));
    }
    add("if", node(|node| node.conditions = vec![condition("inputs.a == 'b'")]));
    add("two ifs", node(|node| node.conditions = vec![condition("a"), condition("failure()")]));
    add("group", node(|node| node.group = Some("runtime".into())));
    for policy in [Policy::Drain, Policy::Kill, Policy::Continue, Policy::Rollback] {
        add(
            &format!("policy {policy:?}"),
            plan(|parts| {
                parts.scopes[1].policy = policy;
                parts.nodes[3].scope = ScopeIx::new(1);
            }),
        );
    }
    add("unselected", node(|node| node.selected = false));
    add(
        "late cell",
        plan(|parts| {
            let label = |label: &str| Slot {
                turn: 0,
                label: label.into(),
                around: (Box::default(), Box::default()),
                first: NodeIx::new(3),
            };
            parts.nodes[3].cell = Some(CellPlace { matrix: 0, slot: 0 });
            parts.matrices.push(LateMatrix {
                id: "ship".into(),
                place: Node::plain("a").place,
                axis: "region".into(),
                text: "{{ needs.build.outputs.regions }}".into(),
                frame: 0,
                views: Vec::new(),
                slots: vec![label("?,blue"), label("?,red")],
                values: vec![None],
                given: None,
            });
        }),
    );
}

/// Approvals and checklists.
fn approvals(all: &mut Vec<(String, Graph)>) {
    let mut add = |name: &str, prompt: Option<&str>, items: &[&str], consent: Consent| {
        let work = Work::Approval {
            prompt: prompt.map(Into::into),
            items: items.iter().map(|&text| text.into()).collect(),
        };
        all.push((
            name.to_owned(),
            node(|node| {
                node.work = work;
                node.rules.consent = Some(Box::new(consent));
            }),
        ));
    };
    let terms = |min, not_operator, not_author| Terms { min, not_operator, not_author };
    let own = |own| Consent { own, ..Consent::default() };
    add("approval", None, &[], Consent::default());
    add("prompt", Some("Ship?"), &[], Consent::default());
    add("late prompt", Some("Ship {{ needs.build.outputs.tag }}?"), &[], Consent::default());
    add("two people", None, &[], own(terms(2, true, true)));
    add("not the operator", None, &[], own(terms(1, true, false)));
    add("by policy", None, &[], Consent { policy: Some(Terms::default()), ..Consent::default() });
    add("by both", None, &[], Consent { policy: Some(terms(3, false, true)), ..own(terms(2, true, false)) });
    let key = |digit: &str| format!("ed25519:{}=", digit.repeat(43)).parse::<PublicKey>().expect("a key");
    let keys = vec![("ana".into(), key("A")), ("bo".into(), key("4"))];
    add("keys", Some("Ship?"), &[], Consent { keys, ..own(terms(2, false, false)) });
    let items = texts(["backup", "told"]);
    add(
        "items",
        Some("All done?"),
        &["The backup is whole", "{{ env.TEAM }} knows"],
        Consent { items, ..Consent::default() },
    );
}

/// What a process is made of.
fn processes(all: &mut Vec<(String, Graph)>) {
    let mut add = |name: &str, graph| all.push((name.to_owned(), graph));
    add(
        "words",
        process(|it| it.command = Command::Argv(texts(["./a b", "", "\"q\"", "é\n\u{7f}", "{{ inputs.x }}"]))),
    );
    let shells = [Shell::Strict, Shell::Bash, Shell::Sh, Shell::Argv(vec!["python3".to_owned(), "-u".to_owned()])];
    for shell in shells {
        let name = format!("{shell:?}");
        add(&format!("script of {name}"), process(|it| it.command = script("make\n", shell.clone())));
        add(&format!("done-if of {name}"), process(|it| it.done_if = Some(Box::new(script("test -e x", shell)))));
    }
    add("done-if", process(|it| it.done_if = Some(Box::new(Command::Argv(texts(["./is-done"]))))));
    add("env", process(|it| it.env = pairs([("A", "1"), ("B", "{{ inputs.b }}")])));
    add("pass-env", process(|it| it.pass_env = texts(["SSH_*", "HOME"])));
    add("secrets", process(|it| it.secrets = pairs([("TOKEN", "KUBE_TOKEN"), ("X", "inputs.x")])));
    add("cwd", process(|it| it.cwd = Some("sub/folder".into())));
    let kinds = [
        Type::String,
        Type::Int,
        Type::Float,
        Type::Bool,
        Type::Duration,
        Type::Size,
        Type::Url,
        Type::List,
        Type::Map,
    ];
    let outputs = kinds.map(|kind| (format!("of-{kind:?}").into(), kind));
    add("outputs", process(|it| it.outputs = outputs.into()));
    add("artifacts", process(|it| it.artifacts = texts(["dist/**", "log.txt"])));
    let cache = |sources, env| Cache { sources, env };
    add(
        "cache",
        process(|it| it.cache = Some(Box::new(cache(texts(["src/**", "Makefile"]), texts(["CC", "CFLAGS"]))))),
    );
    add("cache of one", process(|it| it.cache = Some(Box::new(cache(texts(["src/**"]), Vec::new())))));
    for lifetime in [Lifetime::Stage, Lifetime::Run, Lifetime::Host] {
        add(&format!("lifetime {lifetime:?}"), process(|it| it.lifetime = lifetime));
    }
    let signals = [Signal::Int, Signal::Term, Signal::Hup, Signal::Quit, Signal::Usr1, Signal::Usr2, Signal::Kill];
    for signal in signals {
        add(&format!("stop {signal:?}"), process(|it| it.stop.0 = signal));
    }
    let list = |is_json| Items::List { items: texts(["1", "\"b\"", ""]).into(), size: 2, is_json };
    let late = |is_json| Items::Late { text: "{{ needs.build.outputs.list }}".into(), max: 500, size: 7, is_json };
    let items = [
        Items::Range { count: 1_000_000, size: 250 },
        Items::Numbers(vec![3, 5, 8].into(), 2),
        list(false),
        list(true),
        late(false),
        late(true),
    ];
    for (at, items) in items.into_iter().enumerate() {
        add(&format!("items {at}"), process(|it| it.items = items));
    }
}

/// The rules of a node.
fn limits(all: &mut Vec<(String, Graph)>) {
    let mut add = |name: &str, graph| all.push((name.to_owned(), graph));
    add("timeout", rules(|it| it.timeout = Some(Span::from_ms(90_061_001))));
    add("idle-timeout", rules(|it| it.idle = Some(Span::ZERO)));
    add("queue-timeout", rules(|it| it.queue = Some(Span::from_secs(600))));
    add("grace", rules(|it| it.grace = Span::from_ms(1)));
    let plain = Retry {
        max: 2,
        delay: Span::ZERO,
        backoff: 1.0,
        max_delay: None,
        jitter: false,
        when: Vec::new(),
        within: None,
    };
    let full = Retry {
        max: u32::MAX,
        delay: Span::from_secs(2),
        backoff: 1.5,
        max_delay: Some(Span::from_secs(30)),
        jitter: true,
        when: vec![RetryWhen::Timeout, RetryWhen::Failure, RetryWhen::Signal, RetryWhen::Exit(vec![69, -1])],
        within: Some(Span::from_secs(1200)),
    };
    let one = Retry { when: vec![RetryWhen::Exit(vec![75])], ..plain.clone() };
    for (at, retry) in [plain, full, one].into_iter().enumerate() {
        add(&format!("retry {at}"), rules(|it| it.retry = Some(Box::new(retry))));
    }
    add("pool", rules(|it| it.pools = vec![(PoolIx::new(0), 2)]));
    add("two pools", rules(|it| it.pools = vec![(PoolIx::new(1), 1), (PoolIx::new(0), 3)]));
    for (at, codes) in [vec![], vec![3], vec![1, -2, 255]].into_iter().enumerate() {
        add(&format!("allow-failure {at}"), rules(|it| it.allow_failure = AllowFailure::Exit(codes)));
    }
    add("allow-failure", rules(|it| it.allow_failure = AllowFailure::Any));
    add("not idempotent", rules(|it| it.idempotent = false));
    add("cool-down", rules(|it| it.cool_down = Span::from_secs(5)));
    add("split", rules(|it| it.split = Some(Box::default())));
    add("lines", rules(|it| it.split = Some(Box::new(Split { in_flight: Some(4), ..Split::default() }))));
}

/// What is said of the whole plan, and what late texts read.
fn wholes(all: &mut Vec<(String, Graph)>) {
    let mut add = |name: &str, graph| all.push((name.to_owned(), graph));
    let map = |value: serde_json::Value| value.as_object().expect("a map").clone();
    let values = |parts: &mut Parts| {
        parts.nodes[3].conditions = vec![condition("inputs.a")];
        parts.frames[0].inputs = map(json!({"b": [1, null, "ü\n"], "a": {"x": 1.5}})).into();
        parts.frames[0].vars = map(json!({"image": "shop:1"})).into();
    };
    add("values", plan(values));
    add(
        "late values",
        plan(|parts| {
            values(parts);
            let late = |root, text: &str| Late {
                root,
                name: "tag".into(),
                text: text.into(),
                frame: 0,
                views: Vec::new(),
                kind: None,
            };
            parts.frames[0].late = vec![late("inputs", "{{ needs.build.outputs.tag }}"), late("vars", "x")];
            let mut cell = parts.frames[0].clone();
            cell.late = Vec::new();
            cell.matrix = map(json!({"region": "eu"})).into();
            cell.late_from = Some(0);
            parts.frames.push(cell);
            parts.nodes[3].frame = 1;
        }),
    );
    add(
        "environment",
        plan(|parts| {
            values(parts);
            let values = map(json!({"HOST": "shop.example"}));
            let deployed = Deployed { name: "production".to_owned(), values, ..Deployed::default() };
            parts.settings.environment = Some(deployed.into());
            parts.settings.freezes =
                vec![Frozen { from_ms: -1, to_ms: 5, words: "production is frozen: holidays".to_owned() }];
        }),
    );
    add(
        "settings",
        plan(|parts| {
            parts.settings.timeout = Some(Span::from_secs(7200));
            parts.settings.finally_budget = Some(Span::from_secs(180));
            parts.settings.heal_depth = Some(2);
            let wait = Some(Span::from_secs(1800));
            parts.settings.lock = Some(LockRule { name: "deploy/x".to_owned(), on_busy: OnBusy::Wait, wait });
        }),
    );
    add("many", plan(|parts| parts.nodes.extend((4..400).map(|at| Node::after(&format!("n{at}"), &[at - 1])))));
}

fn plans() -> Vec<(String, Graph)> {
    let mut all = Vec::new();
    for add in [places, approvals, processes, limits, wholes] {
        add(&mut all);
    }
    all
}

#[test]
fn every_plan_keeps_the_digest_it_was_recorded_with() {
    let found: Vec<(String, String)> =
        plans().into_iter().map(|(name, graph)| (name, graph.digest().short())).collect();
    let recorded = RECORDED.map(|(name, digest)| (name.to_owned(), digest.to_owned()));
    assert_eq!(found, recorded);
}

proptest! {
    #[test]
    fn words_are_quoted_as_the_language_quotes_them(words in proptest::collection::vec("[ -~]{0,9}|.{0,9}", 0..4)) {
        let mut text = String::new();
        quote(&mut text, &words);
        prop_assert_eq!(text, format!("{words:?}"));
    }
}
