use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;
use crate::driver::compile::{self, Compiled, Input, Options};
use crate::graph::build::Mode;
use crate::journal::history::History;

const CATALOG: &str = "keys: {KEY: {secret: true}, OTHER: {secret: true}, HOST: {default: h}}\n";
const LAYER: &str = "secrets: {KEY: {from: {file: key.txt}, version: v1}, OTHER: {from: {env: OTHER}}}\n";

/// A project with a plan whose stages are `stages`.
fn project(stages: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("below")).expect("folders");
        std::fs::write(&path, text).expect("a file");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("our own file");
    };
    write("environments/catalog.yaml", CATALOG);
    write("environments/staging.yaml", LAYER);
    write("key.txt", "first-canary\n");
    let inputs = "inputs: {token: {secret: true}}\n";
    write("plan.yaml", &format!("version: 1\n{inputs}environment: staging\nstages: {{{stages}}}\n"));
    dir
}

fn compiled(root: &Path) -> Compiled {
    let token = Input {
        name: "token".to_owned(),
        text: Some("token-canary".to_owned()),
        value: None,
        source: "ENGINE_INPUT_TOKEN".to_owned(),
    };
    let options = Options { path: "plan.yaml".to_owned(), inputs: vec![token], ..Options::default() };
    let history = Arc::new(History::default());
    compile::from_disk(root, options, Mode::Run, &history).expect("a right plan")
}

fn open(root: &Path, compiled: &Compiled) -> Option<Strongbox> {
    let caller = vec![("OTHER".into(), "other-canary".into())];
    let here = Surroundings { root: root.to_owned(), caller, withheld: Vec::new() };
    let opened = Strongbox::open(&compiled.graph, &compiled.given, &here).expect("all is there");
    opened.map(|(strongbox, _)| strongbox)
}

fn process(compiled: &Compiled, at: u32) -> Process {
    match &compiled.graph.nodes[crate::base::NodeIx::new(at)].work {
        Work::Process(process) => (**process).clone(),
        Work::Approval { .. } => unreachable!("the plans here have processes only"),
    }
}

#[test]
fn a_run_that_names_no_secret_has_no_strongbox_and_no_masker() {
    let dir = project("a: {run: x}, b: {needs: [a], run: [y], env: {H: '{{ env.HOST }}'}}");
    assert!(open(dir.path(), &compiled(dir.path())).is_none());
}

#[test]
fn a_process_of_the_engine_s_own_has_everything_masked() {
    let dir = project("a: {uses: env.check}");
    let strongbox = open(dir.path(), &compiled(dir.path())).expect("the environment has secrets");
    let masker = strongbox.masker().expect("they are long enough");
    assert_eq!(masker.mask("first-canary other-canary token-canary"), "*** *** token-canary");
}

#[test]
fn what_is_recorded_of_a_secret_is_no_value_and_is_recorded_once() {
    let dir = project("a: {secrets: {KEY: KEY, T: token}, run: x}");
    let compiled = compiled(dir.path());
    let strongbox = open(dir.path(), &compiled).expect("it names secrets");
    let facts = strongbox.untold();
    let shown: Vec<_> = facts.iter().map(|it| (&*it.name, &*it.source, it.version.as_deref())).collect();
    assert_eq!(shown, [("KEY", "file:key.txt", Some("v1")), ("token", "input:token", None)]);
    strongbox.refresh(&process(&compiled, 0)).expect("they are there");
    assert_eq!(strongbox.untold(), []);
}

#[test]
fn a_value_that_changed_is_fetched_when_it_is_old_and_the_old_one_stays_masked() {
    let dir = project("a: {secrets: [KEY, OTHER], run: x}");
    let compiled = compiled(dir.path());
    let mut strongbox = open(dir.path(), &compiled).expect("it names secrets");
    let process = process(&compiled, 0);
    assert!(!strongbox.is_stale(&process), "it was fetched a moment ago");
    std::fs::write(dir.path().join("key.txt"), "second-canary").expect("our own file");
    // A minute later.
    strongbox.clock = Clock::resume(0, Millis::new(u64::MAX / 4));
    assert!(strongbox.is_stale(&process));
    strongbox.refresh(&process).expect("it is there");
    let held = strongbox.variables(&process).expect("both");
    let texts: Vec<_> = held.iter().map(|(name, value)| (name.to_str(), value.expose_text())).collect();
    assert_eq!(texts, [(Some("KEY"), Some("second-canary")), (Some("OTHER"), Some("other-canary"))]);
    let masker = strongbox.masker().expect("there are values");
    assert_eq!(masker.mask("first-canary, second-canary"), "***, ***");
}

#[test]
fn what_could_not_be_had_is_tried_again_for_whoever_needs_it() {
    let dir = project("make: {run: x}, a: {needs: [make], secrets: [KEY], run: x}");
    std::fs::remove_file(dir.path().join("key.txt")).expect("our own file");
    let compiled = compiled(dir.path());
    let strongbox = open(dir.path(), &compiled).expect("it names a secret");
    let process = process(&compiled, 1);
    assert!(strongbox.variables(&process).is_err_and(|why| why.contains("`KEY`")));
    let why = strongbox.refresh(&process).expect_err("it is still away");
    assert!(why.starts_with("the secret `KEY` cannot be had: `"), "{why}");
    let path = dir.path().join("key.txt");
    std::fs::write(&path, "late-canary").expect("our own file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("our own file");
    assert!(strongbox.is_stale(&process));
    strongbox.refresh(&process).expect("now it is there");
    assert_eq!(strongbox.variables(&process).expect("one").len(), 1);
}

/// Whatever a panic prints, it prints by `Debug` or `Display`: nothing that holds a value shows one so.
#[test]
fn a_panic_shows_no_secret() {
    let dir = project("a: {secrets: {KEY: KEY, OTHER: OTHER, T: token}, run: x}");
    let compiled = compiled(dir.path());
    let strongbox = open(dir.path(), &compiled).expect("it names secrets");
    let variables = strongbox.variables(&process(&compiled, 0)).expect("all three");
    assert_eq!(variables.len(), 3);
    let masker = strongbox.masker().expect("there are values");
    let mut stream = crate::render::mask::Stream::default();
    stream.push(&masker, b"first-can", &mut Vec::new());
    let spec = crate::exec::Spec {
        key: crate::exec::Key(1),
        argv: vec!["x".into()],
        env: crate::exec::Variables::default(),
        secrets: variables,
        cwd: dir.path().to_owned(),
        stop_signal: crate::exec::Signal::Term,
        grace: std::time::Duration::ZERO,
        idle: None,
        tag: String::new(),
        lifetime: crate::exec::Lifetime::Stage,
        seen: 0,
        after: 0,
        pipes: None,
    };
    let texts = [
        format!("{spec:?}"),
        format!("{compiled:?}"),
        format!("{:?}", compiled.given),
        format!("{strongbox:?} {masker:?} {stream:?} {:#?}", strongbox.untold()),
    ];
    let panicked = std::panic::catch_unwind(|| panic!("{spec:?} {strongbox:?}")).expect_err("it panics");
    let message = panicked.downcast_ref::<String>().expect("a text").clone();
    for text in texts.iter().chain([&message]) {
        assert!(!text.contains("canary") && text.len() > 10, "{text}");
    }
    assert!(message.contains("***"), "{message}");
}

#[test]
fn this_process_is_dumped_nowhere_once_it_holds_secrets() {
    let dir = project("a: {secrets: [KEY], run: x}");
    open(dir.path(), &compiled(dir.path())).expect("it names a secret");
    let behavior = rustix::process::dumpable_behavior().expect("the system knows");
    assert_eq!(behavior, rustix::process::DumpableBehavior::NotDumpable);
}

#[test]
fn an_output_that_holds_a_secret_fails_its_stage_and_words_are_masked() {
    use crate::run::event::{Answer, CheckKind, Outcome, ShardResult};
    let masker = Masker::new(&[Secret::new(b"hunter2-hunter2".to_vec()), Secret::new(b"12345678".to_vec())]);
    let masker = masker.expect("two values");
    let result = |value: serde_json::Value| ShardResult {
        outputs: vec![("it".to_owned(), value)],
        notes: vec!["left hunter2-hunter2".to_owned()],
        ..ShardResult::default()
    };
    for leak in [
        serde_json::json!("a hunter2-hunter2 b"),
        serde_json::json!(["x", {"y": "aHVudGVyMi1odW50ZXIy"}]),
        serde_json::json!({"hunter2-hunter2": 1}),
        serde_json::json!(12_345_678),
    ] {
        let (mut outcome, mut found) = (Outcome::Success, result(leak.clone()));
        hide::done(&masker, &mut outcome, &mut found);
        assert!(
            matches!(&outcome, Outcome::BadResult(why) if why.contains("`it` holds a secret")),
            "{leak} {outcome:?}"
        );
        assert!(found.outputs.is_empty() && found.notes == ["left ***"]);
        let answer = |kind| {
            let answer = Answer::Yes(Box::new(result(leak.clone())));
            let mut input =
                crate::run::Input::Checked { node: crate::base::NodeIx::new(0), shard: 0, kind, answer };
            hide::input(&masker, &mut input);
            input
        };
        let is_no =
            |input: &crate::run::Input| matches!(input, crate::run::Input::Checked { answer: Answer::No, .. });
        assert!(is_no(&answer(CheckKind::Cache)), "what was cached before is not known");
        assert!(!is_no(&answer(CheckKind::DoneIf)), "a done-if that says yes is not taken for a no");
    }
    let (mut outcome, mut found) = (Outcome::Success, result(serde_json::json!("all is well, 1234567")));
    hide::done(&masker, &mut outcome, &mut found);
    assert_eq!((outcome, found.outputs.len()), (Outcome::Success, 1));
    let mut input = crate::run::Input::Cancel {
        level: crate::run::event::CancelLevel::Stop,
        why: crate::run::event::CancelReason::Person,
        by: "ann hunter2-hunter2".to_owned(),
    };
    hide::input(&masker, &mut input);
    assert!(format!("{input:?}").contains("ann ***"), "{input:?}");
}
