//! What an edited plan leaves of a stage that has begun and must not be repeated.

use crate::support::Project;
use crate::tool::{expect_states, log, stage, start_until};

/// Three slices of two items, one after the other; the second one hangs.
const PACK: &str = r#"
version: 1
max-parallel: 1
stages:
  pack:
    idempotent: false
    shards: {items: {range: 6}, size: 2}
    run: |
      tr '\n' ' ' < "$ENGINE_SHARD_FILE" >> log; echo >> log
      if grep -q 2 "$ENGINE_SHARD_FILE" && ! [ -e calm ]; then echo up; exec sleep 600; fi
"#;

fn killed(plan: &str) -> Project {
    let project = Project::with_plan(plan);
    let live = start_until(&project, "up");
    live.kill_worker();
    live.end();
    project.write("calm", "");
    project
}

#[test]
fn a_word_on_a_stage_that_was_cut_anew_is_about_the_slice_of_which_nobody_knows() {
    for (word, slices) in
        [("success", vec!["0 1 ", "2 3 ", "4 ", "5 "]), ("rerun", vec!["0 1 ", "2 3 ", "2 3 ", "4 ", "5 "])]
    {
        let project = killed(PACK);
        project.write("plan.yaml", PACK.replace("size: 2", "size: 1"));
        project.engine(&["resume", "--accept-changes"]).expect(5);
        assert_eq!(log(&project), ["0 1 ", "2 3 "], "nothing starts before somebody said what became of it");
        let id = project.only_run();
        project.engine(&["resolve", &id, "pack", "--as", word]).expect(0);
        project.engine(&["resume"]).expect(0);
        assert_eq!(log(&project), slices, "{word}");
        expect_states(&project, "pack=success");
        project.engine(&["verify", "--deep"]).expect(0);
    }
}

#[test]
fn what_was_cut_off_does_not_run_again_once_the_edit_says_so() {
    let plan = "version: 1\nstages:\n  ship: {run: 'echo ship >> log; echo up; [ -e calm ] || exec sleep 600'}\n";
    let project = killed(plan);
    project.write("plan.yaml", plan.replace("{run:", "{idempotent: false, run:"));
    project.engine(&["resume", "--accept-changes"]).expect(5);
    assert_eq!(stage(&project, "ship")["state"], "unknown");
    assert_eq!(log(&project), ["ship"]);
    let project = killed(plan);
    project
        .write("plan.yaml", plan.replace("{run:", "{idempotent: false, done-if: {run: echo asked >> log}, run:"));
    project.engine(&["resume", "--accept-changes"]).expect(0);
    assert_eq!(log(&project), ["ship", "asked"]);
}

#[test]
fn what_is_shown_of_a_stage_is_its_new_cut_from_the_edit_on() {
    let project = killed(PACK);
    assert_eq!(stage(&project, "pack")["shards"]["cuts"], serde_json::json!([[0, 0, 2]]));
    project.write("plan.yaml", PACK.replace("size: 2", "size: 1"));
    project.engine(&["resume", "--accept-changes"]).expect(5);
    let shards = stage(&project, "pack")["shards"].clone();
    let facts = ["all", "done", "size", "cuts"].map(|name| shards[name].clone());
    assert_eq!(serde_json::json!(facts), serde_json::json!([4, 1, 1, [[0, 0, 2], [2, 4, 1]]]), "{shards}");
}

#[test]
fn every_attempt_keeps_its_own_output_when_a_cut_shrinks_and_grows_again() {
    let plan = |size: u32| {
        format!(
            "version: 1\nmax-parallel: 3\nstages:\n  pack:\n    shards: {{items: {{range: 3}}, size: {size}}}\n    \
             run: 'echo \"shard $ENGINE_SHARD try $ENGINE_ATTEMPT of round $(cat round)\"; cat round >> log; exit $(cat code)'\n"
        )
    };
    let project = Project::with_plan(&plan(1));
    project.write("code", "1");
    for (round, size) in [(1, 1), (2, 3), (3, 1)] {
        project.write("round", format!("{round}\n"));
        project.write("plan.yaml", plan(size));
        let arguments: &[&str] = if round == 1 { &["run", "plan.yaml"] } else { &["resume", "--accept-changes"] };
        project.engine(arguments).expect(1);
    }
    assert_eq!(log(&project), ["1", "1", "1", "2", "3", "3", "3"]);
    let said = project.engine(&["logs", &project.only_run(), "pack"]).stdout;
    for line in ["shard 1 try 1 of round 1", "shard 0 try 2 of round 2", "shard 1 try 2 of round 3"] {
        assert!(said.contains(line), "{line} is not in {said}");
    }
}
