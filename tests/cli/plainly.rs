//! Transcripts of everything that is refused: first what is wrong, then how to mend it.

use crate::plans;
use crate::support::Project;
use crate::transcript::transcript;

#[test]
fn command_lines_that_make_no_sense() {
    let project = Project::with_plan(plans::SHOP);
    project.write(
        "long.yaml",
        format!("version: 1\nname: {0}\nstages: {{{0}: {{run: x}}}}\n", "long-".repeat(13) + "x"),
    );
    insta::assert_snapshot!(transcript(
        &project,
        &[
            "run",
            "statsu",
            "run plan.yaml --set tag",
            "run plan.yaml -j 0",
            "run plan.yaml --dry-run --time-box banana",
            "run plan.yaml --run-id ../x",
            "run plan.yaml --report foo=1",
            "run plan.yaml --output loud",
            "run plan.yaml --events nowhere/events",
            "gc --younger banana",
            "plan",
            "runs",
            "check long.yaml",
            "approve",
            "reject",
            "attest -a docs=yes",
            "resolve --as success",
        ]
    ));
    assert!(!project.has(".engine"), "nothing may be left of a refused run");
}

#[test]
fn names_that_do_not_exist() {
    let project = Project::with_plan(plans::SHOP);
    project.engine(&["run", "plan.yaml", "--run-id", "monday"]).expect(0);
    insta::assert_snapshot!(transcript(
        &project,
        &[
            "status munday",
            "status zzz",
            "logs monday tset",
            "logs shipp",
            "resume zzz",
            "plan --resume zzz",
            "approve nothing",
            "resolve monday tset --as success",
            "resolve monday test --as success",
            "diff monday zzz",
            "cancel",
            "cancel monday",
            "unlock site --reason dead",
            "explain plan::cycel",
            "run plan.yaml --only tset",
            "plan plan.yaml --skip tset --from zzz",
            "run plan.yaml --only test --skip test",
            "resume monday --rerun tset",
            "simulate plan.yaml --fail tset",
            "logs monday zzz",
            "run plan.yaml --set tga=v2",
            "run plan.yaml --run-id monday",
        ]
    ));
}

#[test]
fn an_empty_state_says_how_to_begin() {
    let project = Project::with_plan(plans::SHOP);
    insta::assert_snapshot!(transcript(
        &project,
        &["status", "runs", "logs", "report", "resume", "verify", "cancel", "gc"]
    ));
    assert!(!project.has(".engine"), "looking makes nothing");
}

#[test]
fn plans_that_cannot_be_read() {
    let project = Project::with_plan(plans::SHOP);
    std::fs::create_dir(project.path("dir.yaml")).expect("a folder");
    insta::assert_snapshot!(transcript(
        &project,
        &["run nope.yaml", "check paln.yaml", "plan dir.yaml", "graph .", "check /etc/passwd", "check ../x.yaml"]
    ));
    assert!(!project.has(".engine"));
}

#[test]
fn many_plans_are_checked_in_one_document() {
    let project = Project::with_plan(plans::SHOP);
    project.write("wrong.yaml", plans::WRONG);
    project.write("circle.toml", plans::CIRCLE);
    insta::assert_snapshot!(transcript(
        &project,
        &[
            "check plan.yaml",
            "check wrong.yaml plan.yaml circle.toml",
            "check wrong.yaml plan.yaml circle.toml --format github",
        ]
    ));
    for format in ["json", "sarif"] {
        let output =
            project.engine(&["check", "wrong.yaml", "plan.yaml", "circle.toml", "--format", format]).expect(3);
        let value: serde_json::Value = serde_json::from_str(&output.stdout).expect("one JSON document");
        let found = match format {
            "json" => value["diagnostics"].as_array().expect("a list").len(),
            _ => value["runs"][0]["results"].as_array().expect("a list").len(),
        };
        assert_eq!(found, 5, "{format}: {value:#}");
    }
}

#[test]
fn state_that_cannot_be_used() {
    let project = Project::with_plan(plans::SHOP);
    insta::assert_snapshot!(transcript(
        &project,
        &[
            "run plan.yaml --state-dir plan.yaml",
            "status --state-dir plan.yaml",
            "run plan.yaml --state-dir /proc/none",
            "runs --state-dir nowhere",
        ]
    ));
}

#[test]
fn a_resume_that_is_refused_says_what_to_type() {
    let project = Project::with_plan(plans::BROKEN);
    let mut text = transcript(&project, &["plan --resume", "plan --resume --json"]);
    text += &transcript(&project, &["run plan.yaml --run-id r1", "plan --resume", "resume r1 --rerun nope"]);
    project.write("mended", "");
    text +=
        &transcript(&project, &["resume", "plan --resume", "resume --rerun ship", "plan --resume --rerun ship"]);
    project.write("plan.yaml", plans::BROKEN.replace("shipped", "sent"));
    text += &transcript(
        &project,
        &["resume r1 --rerun nope", "resume r1 --rerun ship", "resume r1 --rerun ship --recorded"],
    );
    insta::assert_snapshot!(text);
}

/// A resume keeps what its run began with: another selection is no word to pass over.
#[test]
fn a_selection_beside_resume_is_that_of_the_run_or_refused() {
    let project = Project::with_plan(plans::BROKEN);
    let mut text = transcript(&project, &["run plan.yaml --skip ship --run-id r1"]);
    text += &transcript(
        &project,
        &[
            "run plan.yaml --resume --only build",
            "run plan.yaml --resume --only build --dry-run",
            "run plan.yaml --resume --dry-run",
            "plan --resume --skip ship",
            "plan --resume --set a=b",
            "run plan.yaml --rerun build",
        ],
    );
    project.write("mended", "");
    text += &transcript(&project, &["run plan.yaml --resume --skip ship"]);
    insta::assert_snapshot!(text);
    assert_eq!(project.runs(), ["r1"]);
}

/// `--rerun STAGE:failed` is about failed shards: a cell without any is not touched, and nothing runs where there is none.
#[test]
fn failed_shards_are_repeated_where_some_failed_and_nowhere_else() {
    let plan = r#"version: 1
name: pack
stages:
  w:
    matrix: {r: [x, y]}
    shards: {items: [a, b], allow-failed: 1}
    env: {R: "{{ matrix.r }}"}
    run: |
      if [ "$R" = x ] && [ ! -e mended ]; then grep -q a "$ENGINE_SHARD_FILE"; fi
  ship: {needs: [w], run: echo shipped >> ships}
"#;
    let project = Project::with_plan(plan);
    project.engine(&["run", "plan.yaml", "--run-id", "r1"]).expect(0);
    project.write("mended", "");
    let text = transcript(
        &project,
        &[
            "plan --resume r1 --rerun w:failed",
            "resume r1 --rerun w:failed",
            "plan --resume r1 --rerun w:failed",
            "resume r1 --rerun w:failed",
            "resume r1 --rerun w:y:failed",
        ],
    );
    insta::assert_snapshot!(text);
    assert_eq!(project.read("ships"), "shipped\nshipped\n", "the second time for the shard that had failed");
}

/// An order for failed shards that repeats none says why.
#[test]
fn failed_shards_are_not_repeated_where_none_is_left() {
    let plan = r#"version: 1
name: pack
max-parallel: 1
on-failure: rollback
stages:
  pack: {shards: {items: [a, b]}, run: 'grep -q a "$ENGINE_SHARD_FILE"', rollback: {run: test -e way}}
  plain: {run: "true"}
  later: {needs: [pack], shards: {items: [c]}, run: "true"}
"#;
    let project = Project::with_plan(plan);
    project.engine(&["run", "plan.yaml", "--run-id", "r1"]).expect(11);
    let mut text = transcript(&project, &["resume r1 --rerun pack:failed"]);
    project.write("way", "");
    project.engine(&["resume", "r1"]).expect(1);
    text += &transcript(
        &project,
        &[
            "plan --resume r1 --rerun pack:failed",
            "resume r1 --rerun pack:failed",
            "resume r1 --rerun later:failed",
            "resume r1 --rerun plain:failed",
        ],
    );
    insta::assert_snapshot!(text);
}
