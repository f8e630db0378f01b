//! Cells of a matrix that an earlier stage gives: named by their values, kept over a kill, asked for again when what
//! gives them runs again.

use serde_json::json;

use crate::support::Project;
use crate::tool::{Gate, count, events, events_of, expect_states, log, run, stage, start_until, states};

/// `build` gives what stands in `list`, `rollout` ships each of it, `sum` reads what they left.
const PLAN: &str = r#"
version: 1
stages:
  build:
    run: 'cat list >> "$ENGINE_OUTPUT"'
    outputs: {regions: list}
  rollout:
    needs: [build]
    matrix: {region: {from: "{{ needs.build.outputs.regions }}", max: 4}, max-parallel: 1}
    env: {REGION: "{{ matrix.region }}"}
    run: |
      echo "ship $REGION $ENGINE_STAGE" >> log
      [ ! -p "gate-$REGION" ] || { echo "at $REGION"; read -r _ < "gate-$REGION"; }
      echo "url=https://$REGION" >> "$ENGINE_OUTPUT"
    outputs: {url: string}
    rollback: {run: [sh, -c, 'echo "back $1" >> log', x, "{{ matrix.region }}"]}
  sum:
    needs: [rollout]
    run: [sh, -c, 'echo "sum $1" >> log', x, "{{ needs.rollout.outputs | tojson }}"]
"#;

fn project(list: &str) -> Project {
    let project = Project::with_plan(PLAN);
    project.write("list", list);
    project
}

#[test]
fn cells_of_an_earlier_stage_are_stages_called_by_their_values() {
    let project = project("regions=[\"eu\", 7, true]\n");
    let shown = project.engine(&["plan", "plan.yaml"]).expect(0).stdout;
    assert!(shown.contains("up to 4 cells from needs.build.outputs.regions"), "{shown}");
    assert!(shown.contains("attempts    at most 6"), "{shown}");
    let told = run(&project, 0).stdout;
    assert!(!told.contains('?'), "nobody is told of places without a cell: {told}");
    expect_states(&project, "build=success rollout:eu=success rollout:7=success rollout:true=success sum=success");
    let mut shipped = log(&project);
    shipped.sort();
    let sum = r#"sum {"7":{"url":"https://7"},"eu":{"url":"https://eu"},"true":{"url":"https://true"}}"#;
    assert_eq!(shipped, ["ship 7 rollout:7", "ship eu rollout:eu", "ship true rollout:true", sum]);
    assert_eq!(events_of(&project, "cells-frozen", "rollout")[0]["cells"], json!(["eu", 7, true]));
    // What they did goes by their names from then on: output, report and durations.
    let run = project.only_run();
    for report in ["html", "junit", "summary"] {
        let text = project.engine(&["report", &run, "--format", report]).expect(0).stdout;
        assert!(text.contains("rollout:eu") && !text.contains("rollout:?"), "{report}: {text}");
    }
    assert_eq!(stage(&project, "sum")["needs"], json!(["rollout:eu", "rollout:7", "rollout:true"]));
    project.engine(&["logs", &run, "rollout:eu"]).expect(0);
    project.engine(&["logs", &run, "rollout:ap"]).expect(4);
    project.engine(&["verify", "--deep"]).expect(0);
}

#[test]
fn a_killed_engine_knows_its_cells_and_does_only_what_was_cut_off_again() {
    let project = project("regions=[\"eu\", \"us\", \"ap\"]\n");
    let mut gate = Gate::new(&project, "gate-us");
    let live = start_until(&project, "at us");
    live.kill_worker();
    live.end();
    assert_eq!(states(&project).keys().filter(|id| id.starts_with("rollout:")).count(), 3);
    // Nobody asks what gave them again.
    project.write("list", "regions=[\"xx\"]\n");
    gate.open();
    project.engine(&["resume"]).expect(0);
    expect_states(&project, "build=success rollout:eu=success rollout:us=success rollout:ap=success sum=success");
    let times = |region: &str| count(&project, &format!("ship {region} rollout:{region}"));
    assert_eq!((times("eu"), times("us"), times("ap"), times("xx")), (1, 2, 1, 0));
    assert_eq!(events_of(&project, "cells-frozen", "rollout").len(), 1);
}

#[test]
fn one_cell_runs_again_by_its_name_and_another_list_keeps_the_cells_that_are_in_it() {
    let project = project("regions=[\"eu\", \"us\"]\n");
    run(&project, 0);
    let only = project.only_run();
    let shown = project.engine(&["resume", &only, "--rerun", "rollout:us"]).expect(0).stdout;
    assert!(shown.contains("rollout:us") && !shown.contains("start  rollout:eu"), "{shown}");
    assert_eq!(count(&project, "ship eu rollout:eu"), 1);
    assert_eq!(count(&project, "ship us rollout:us"), 2);
    project.write("list", "regions=[\"ap\", \"us\"]\n");
    let told = project.engine(&["resume", &only, "--rerun", "build"]).expect(0).stdout;
    assert!(!told.contains("rollout:?"), "{told}");
    expect_states(&project, "build=success rollout:ap=success rollout:us=success sum=success");
    assert_eq!(stage(&project, "rollout:us")["attempts"], 3, "it is the same stage");
    assert_eq!(stage(&project, "rollout:ap")["attempts"], 1);
    assert_eq!(
        log(&project).last().map(String::as_str),
        Some(r#"sum {"ap":{"url":"https://ap"},"us":{"url":"https://us"}}"#)
    );
    // What the first list shipped is undone as well, by its own name.
    project.engine(&["rollback", &only]).expect(0);
    for region in ["eu", "us", "ap"] {
        assert_eq!(count(&project, &format!("back {region}")), 1, "{region}");
    }
}

#[test]
fn cells_that_cannot_be_taken_fail_the_matrix_and_say_why() {
    let cases = [
        ("regions=[\"a\", \"b\", \"c\", \"d\", \"e\"]", "they are 5, and `max` is 4"),
        ("regions=[\"a\", \"b\", \"a\"]", "`a` is there twice"),
        ("regions=[1, \"1\"]", "`1` is there twice"),
        ("regions=[\"a/b\"]", "\"a/b\" cannot name a cell"),
        ("regions=[\"\"]", "\"\" cannot name a cell"),
        ("regions=[[\"a\"]]", "[\"a\"] cannot name a cell"),
        ("regions=[null]", "null cannot name a cell"),
    ];
    for (list, reason) in cases {
        let project = project(&format!("{list}\n"));
        let told = run(&project, 1).stdout;
        assert!(told.contains(&format!("its cells cannot be taken: {reason}")), "{list}: {told}");
        expect_states(&project, "build=success rollout:?=failed sum=blocked");
        assert!(log(&project).is_empty(), "{list}: no cell starts");
        // It stays so on its own, and what gives them may be run again.
        project.engine(&["resume"]).expect(1);
        project.write("list", "regions=[\"eu\"]\n");
        project.engine(&["resume", "--rerun", "build"]).expect(0);
        expect_states(&project, "build=success rollout:eu=success sum=success");
    }
}

#[test]
fn an_edited_plan_may_raise_what_was_too_few() {
    let project = project("regions=[\"a\", \"b\", \"c\", \"d\", \"e\"]\n");
    run(&project, 1);
    project.write("plan.yaml", PLAN.replace("max: 4", "max: 5"));
    project.engine(&["resume", "--accept-changes"]).expect(0);
    let ids: Vec<String> = states(&project).into_keys().collect();
    assert_eq!(ids, ["build", "rollout:a", "rollout:b", "rollout:c", "rollout:d", "rollout:e", "sum"]);
    // What is known stays known under yet another text.
    project.write("plan.yaml", PLAN.replace("max: 4", "max: 6").replace("echo \"sum", "echo \"all"));
    project.engine(&["resume", &project.only_run(), "--rerun", "sum", "--accept-changes"]).expect(0);
    assert_eq!(log(&project).iter().filter(|line| line.starts_with("ship ")).count(), 5);
    assert_eq!(states(&project).len(), 7);
}

#[test]
fn no_cells_are_fine_and_a_source_that_failed_blocks_one_place_for_all() {
    let project = project("regions=[]\n");
    run(&project, 0);
    expect_states(&project, "build=success sum=success");
    assert_eq!(log(&project), ["sum {}"]);
    project.write("list", "nothing\n");
    run(&project, 1);
    expect_states(&project, "build=failed rollout:?=blocked sum=blocked");
    let all = events(&project);
    assert!(!all.iter().any(|event| event["event"] == "cells-frozen"), "{all:?}");
}

#[test]
fn cells_may_be_files_and_have_a_second_axis() {
    let project = Project::with_plan(
        r#"
version: 1
stages:
  build:
    run: 'cat list >> "$ENGINE_OUTPUT"'
    outputs: {regions: list}
  ship:
    needs: [build]
    matrix: {region: {from: "{{ needs.build.outputs.regions }}", max: 3}, color: [blue, red]}
    if: "not (matrix.region == 'us' and matrix.color == 'red')"
    uses: ./ship.yaml
    with: {region: "{{ matrix.region }}", color: "{{ matrix.color }}"}
  sum:
    needs: [ship]
    run: [sh, -c, 'echo "sum $1" >> log', x, "{{ needs.ship.outputs | tojson }}"]
"#,
    );
    project.write(
        "ship.yaml",
        r#"
version: 1
inputs: {region: {type: string}, color: {type: string}}
stages:
  push: {run: [sh, -c, 'echo "push $1 $2" >> log', x, "{{ inputs.region }}", "{{ inputs.color }}"]}
  look: {needs: [push], run: [sh, -c, 'echo "look $1 $ENGINE_STAGE" >> log', x, "{{ inputs.region }}"]}
"#,
    );
    project.write("list", "regions=[\"eu\", \"us\"]\n");
    run(&project, 0);
    let mut lines = log(&project);
    lines.retain(|line| line.starts_with("look") || line.starts_with("push"));
    lines.sort();
    let looks = ["look eu ship:eu,blue/look", "look eu ship:eu,red/look", "look us ship:us,blue/look"];
    assert_eq!(lines, [&looks[..], &["push eu blue", "push eu red", "push us blue"]].concat());
    assert_eq!(states(&project)["ship:us,red/push"], "skipped");
    assert_eq!(states(&project).len(), 10, "two regions, two colours, two stages each");
}
