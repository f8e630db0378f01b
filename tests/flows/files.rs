//! Action files, actions and the choices of the command line.

use crate::support::Project;
use crate::tool::{expect_states, log, run, stage};

#[test]
fn files_nest_with_inputs_and_outputs() {
    let project = Project::with_plan(
        r#"
version: 1
inputs: {who: {type: string, default: world}}
stages:
  prepare: {run: 'echo word=hello >> "$ENGINE_OUTPUT"', outputs: {word: string}}
  outer:
    needs: [prepare]
    uses: ./lib/outer.yaml
    with: {text: "{{ needs.prepare.outputs.word }} {{ inputs.who }}", times: 2}
  after:
    needs: [outer]
    env: {GOT: "{{ needs.outer.outputs.result }}", N: "{{ needs.outer.outputs.count + 1 }}"}
    run: echo "$GOT $N" >> log
"#,
    );
    project.write(
        "lib/outer.yaml",
        r#"
version: 1
inputs: {text: {type: string}, times: {type: int}}
outputs:
  result: "{{ needs.inner.outputs.said }}"
  count: {type: int, value: "{{ needs.count.outputs.n }}"}
stages:
  inner: {uses: ./deep/inner.yaml, with: {text: "<{{ inputs.text }}>"}}
  count: {needs: [inner], env: {T: "{{ inputs.times }}"}, run: 'echo "n=$T" >> "$ENGINE_OUTPUT"', outputs: {n: int}}
"#,
    );
    project.write(
        "lib/deep/inner.yaml",
        r#"
version: 1
inputs: {text: {type: string}}
outputs: {said: "{{ needs.say.outputs.said }}"}
stages:
  say: {env: {T: "{{ inputs.text }}"}, run: 'echo "said=$T" >> "$ENGINE_OUTPUT"', outputs: {said: string}}
"#,
    );
    run(&project, 0);
    assert_eq!(log(&project), ["<hello world> 3"]);
    expect_states(&project, "prepare=success outer/inner/say=success outer/count=success after=success");
}

#[test]
fn a_condition_on_a_file_stage_skips_all_of_it() {
    let project = Project::with_plan(
        "version: 1\ninputs: {on: {type: bool, default: false}}\nstages:\n  part: {if: inputs.on, uses: ./part.yaml}\n  after: {needs: [part], run: echo after >> log}\n",
    );
    project.write(
        "part.yaml",
        "version: 1\nstages:\n  a: {run: echo a >> log}\n  b: {needs: [a], run: echo b >> log}\n",
    );
    run(&project, 0);
    expect_states(&project, "part/a=skipped part/b=skipped after=success");
    project.engine(&["run", "plan.yaml", "--set", "on=true"]).expect(0);
    assert_eq!(log(&project), ["after", "a", "b", "after"]);
}

#[test]
fn an_action_is_a_body_with_inputs_and_the_stage_wins() {
    let project = Project::with_plan(
        r#"
version: 1
actions:
  greet:
    run: [sh, -c, 'echo "$1 $MOOD" >> log', sh, "hello {{ inputs.name }}"]
    env: {MOOD: calm}
stages:
  a: {uses: greet, with: {name: ann}}
  b: {needs: [a], uses: greet, with: {name: bob}, env: {MOOD: loud}}
"#,
    );
    run(&project, 0);
    assert_eq!(log(&project), ["hello ann calm", "hello bob loud"]);
}

const CHAIN: &str = r"
version: 1
stages:
  a: {run: echo a >> log}
  b: {needs: [a], run: echo b >> log}
  c: {needs: [b], run: echo c >> log}
  d: {needs: [c], run: echo d >> log}
  other: {run: echo other >> log}
";

#[test]
fn only_skip_from_and_to_choose_stages() {
    for (flags, expected) in [
        (["--only", "c"], vec!["c"]),
        (["--skip", "b;other"], vec!["a", "c", "d"]),
        (["--from", "c"], vec!["c", "d"]),
        (["--to", "b"], vec!["a", "b"]),
    ] {
        let project = Project::with_plan(CHAIN);
        project.engine(&["run", "plan.yaml", flags[0], flags[1]]).expect(0);
        assert_eq!(log(&project), expected, "{flags:?}");
        assert_eq!(stage(&project, "other")["state"], "skipped", "{flags:?}");
    }
    let project = Project::with_plan(CHAIN);
    // What is left out needs nothing; what is chosen keeps its order.
    project.engine(&["run", "plan.yaml", "--from", "b", "--to", "c"]).expect(0);
    assert_eq!(log(&project), ["b", "c"]);
}

#[test]
fn what_comes_after_a_stage_that_is_left_out_still_waits_for_what_comes_before_it() {
    let project = Project::with_plan(
        "version: 1\nstages:\n  build: {run: exit 1}\n  test: {needs: [build], run: 'true'}\n  \
         ship: {needs: [test], run: echo ship >> log}\n",
    );
    let plan = project.engine(&["plan", "plan.yaml", "--skip", "test"]).expect(0);
    assert!(plan.stdout.contains("after build, test (not selected)"), "{}", plan.stdout);
    project.engine(&["run", "plan.yaml", "--skip", "test"]).expect(1);
    assert_eq!(stage(&project, "test")["reason"], "left out on the command line");
    assert_eq!(stage(&project, "ship")["reason"], "needs `build`, which failed");
    assert_eq!(log(&project), [""; 0]);
}

#[test]
fn a_matrix_that_is_left_out_in_part_says_so_where_it_is_waited_for() {
    let project = Project::with_plan(
        "version: 1\nstages:\n  ship: {run: 'true', matrix: {region: [eu, us, ap, cn]}}\n  \
         end: {needs: [ship], run: 'true'}\n",
    );
    for (flags, words) in [
        (["--skip", "ship:us"], "after ship ×3, ship:us (not selected)"),
        (["--only", "ship:eu;end"], "after ship:eu, ship ×3 (not selected)"),
        (["--only", "end"], "after ship ×4 (not selected)"),
    ] {
        let plan = project.engine(&["plan", "plan.yaml", flags[0], flags[1]]).expect(0);
        assert!(plan.stdout.contains(words), "{flags:?} {}", plan.stdout);
    }
}

#[test]
fn a_stage_reads_what_is_needed_by_what_it_needs() {
    let plan = "version: 1\nstages:\n  build-it: {run: 'echo id=7 >> \"$ENGINE_OUTPUT\"', outputs: {id: int}}\n  \
                handled: {needs: [{stage: build-it, accept: [success, failed]}], run: 'true'}\n  \
                test: {needs: [build-it, handled], run: 'true'}\n  check: {needs: [test], if: 'false', run: 'true'}\n  \
                ship: {needs: [check], env: {ID: '{{ needs.build_it.outputs.id + 1 }}'}, run: 'echo \"$ID\" >> log'}\n";
    let project = Project::with_plan(plan);
    project.engine(&["run", "plan.yaml"]).expect(0);
    assert_eq!(log(&project), ["8"]);
}

#[test]
fn a_handler_of_what_is_left_out_is_left_out_unless_it_is_named() {
    let plan = "version: 1\nstages:\n  ship: {run: exit 1}\n  next: {run: echo next >> log}\n  \
                alarm: {needs: [{stage: ship, accept: [failed]}], run: echo alarm >> log}\n";
    let project = Project::with_plan(plan);
    project.engine(&["run", "plan.yaml", "--skip", "ship"]).expect(0);
    assert_eq!(log(&project), ["next"], "nothing failed");
    let project = Project::with_plan(plan);
    project.engine(&["run", "plan.yaml", "--only", "alarm"]).expect(0);
    assert_eq!(log(&project), ["alarm"], "a person tries it");
}

#[test]
fn a_stage_that_does_not_exist_is_named_with_its_likeness() {
    let project = Project::with_plan(CHAIN);
    let output = project.engine(&["run", "plan.yaml", "--only", "othr"]);
    assert_ne!(output.status, 0);
    assert!(output.stderr.contains("othr") && output.stderr.contains("other"), "{}", output.stderr);
    assert!(project.runs().is_empty());
}

#[test]
fn rerun_opens_a_stage_and_its_dependants_of_a_finished_run() {
    let project = Project::with_plan(CHAIN);
    run(&project, 0);
    project.write("log", "");
    let output = project.engine(&["resume"]).expect(0);
    assert!(output.stdout.contains("nothing to resume"), "{}", output.stdout);
    assert!(log(&project).is_empty());
    let id = project.only_run();
    project.engine(&["resume", &id, "--rerun", "c"]).expect(0);
    assert_eq!(log(&project), ["c", "d"]);
    assert_eq!(stage(&project, "c")["attempts"], 2);
    assert_eq!(stage(&project, "b")["attempts"], 1);
}
