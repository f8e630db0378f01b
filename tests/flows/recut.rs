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
