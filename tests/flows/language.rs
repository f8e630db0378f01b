//! Inputs, variables, expressions, outputs, environments, shells, matrices and shards.

use crate::support::Project;
use crate::tool::{count, events_of, expect_states, log, run, stage, states};

const TYPES: &str = r#"
version: 1
inputs:
  text: {type: string, default: "a b"}
  number: {type: int, default: 7, min: 1, max: 100}
  ratio: {type: float, default: 0.5}
  flag: {type: bool, default: true}
  wait: {type: duration, default: 90s}
  room: {type: size, default: 10MiB}
  site: {type: url, default: "https://example.org/x"}
  names: {type: list, default: [a, b]}
  tags: {type: map, default: {k: v}}
vars:
  twice: "{{ inputs.number * 2 }}"
  greeting: "{{ inputs.text }}!"
stages:
  show:
    env:
      TEXT: "{{ inputs.text }}"
      NUMBER: "{{ inputs.number + 1 }}"
      TWICE: "{{ vars.twice + 1 }}"
      RATIO: "{{ inputs.ratio }}"
      FLAG: "{{ inputs.flag }}"
      WAIT: "{{ inputs.wait }}"
      ROOM: "{{ inputs.room }}"
      SITE: "{{ inputs.site }}"
      NAMES: "{{ inputs.names | join('+') }}"
      TAG: "{{ inputs.tags.k }}"
      GREETING: "{{ vars.greeting }}"
    run: for v in TEXT NUMBER TWICE RATIO FLAG WAIT ROOM SITE NAMES TAG GREETING; do echo "$v=${!v}" >> log; done
  off: {if: "not inputs.flag", run: echo off >> log}
"#;

#[test]
fn inputs_of_every_type_reach_expressions_with_their_type() {
    let project = Project::with_plan(TYPES);
    run(&project, 0);
    let shown = log(&project).join(" ");
    let expected = "TEXT=a b NUMBER=8 TWICE=15 RATIO=0.5 FLAG=true WAIT=90s ROOM=10MiB \
                    SITE=https://example.org/x NAMES=a+b TAG=v GREETING=a b!";
    assert_eq!(shown, expected);
    expect_states(&project, "show=success off=skipped");
}

#[test]
fn set_wins_over_a_file_which_wins_over_the_environment_which_wins_over_the_default() {
    let project = Project::with_plan(TYPES);
    project.write("in.toml", "number = 20\nratio = 2.5\nnames = [\"x\"]\n");
    let env = [("ENGINE_INPUT_NUMBER", "30"), ("ENGINE_INPUT_RATIO", "9"), ("ENGINE_INPUT_FLAG", "false")];
    let args = ["run", "plan.yaml", "--inputs", "in.toml", "--set", "number=40", "--set", "tags={\"k\": \"w\"}"];
    project.engine_with(&env, &args).expect(0);
    let shown = log(&project);
    for line in ["NUMBER=41", "TWICE=81", "RATIO=2.5", "FLAG=false", "NAMES=x", "TAG=w", "TEXT=a b", "off"] {
        assert!(shown.iter().any(|found| found == line), "{line} in {shown:?}");
    }
}

#[test]
fn a_bad_input_is_refused_before_anything_exists() {
    let project = Project::with_plan(TYPES);
    for (set, word) in [
        ("number=many", "number"),
        ("number=0", "number"),
        ("flag=yes", "flag"),
        ("wait=90", "wait"),
        ("site=nowhere", "site"),
        ("names=a", "names"),
        ("unknown=1", "unknown"),
    ] {
        let output = project.engine(&["run", "plan.yaml", "--set", set]).expect(3);
        assert!(output.stderr.contains(word), "{set}: {}", output.stderr);
    }
    assert!(project.runs().is_empty());
    assert!(log(&project).is_empty());
}

#[test]
fn a_required_input_is_unknown_to_check_and_needed_by_run() {
    let project = Project::with_plan(
        "version: 1\ninputs: {tag: {type: string, pattern: '^v[0-9]+$'}}\nstages: {a: {run: [echo, \"{{ inputs.tag }}\"]}}\n",
    );
    project.engine(&["check", "plan.yaml"]).expect(0);
    let output = run(&project, 3);
    assert!(output.stderr.contains("tag"), "{}", output.stderr);
    project.engine(&["run", "plan.yaml", "--set", "tag=w1"]).expect(3);
    project.engine(&["run", "plan.yaml", "--set", "tag=v1"]).expect(0);
}

#[test]
fn outputs_are_typed_late_values_and_can_be_compared_and_computed() {
    let project = Project::with_plan(
        r#"
version: 1
stages:
  make:
    run: |
      echo "count=41" >> "$ENGINE_OUTPUT"
      echo '{"list": ["x", "y"], "share": 0.25}' >> "$ENGINE_OUTPUT"
      echo "ok=true" >> "$ENGINE_OUTPUT"
    outputs: {count: int, list: list, share: float, ok: bool}
  use:
    needs: [make]
    if: needs.make.outputs.ok and needs.make.outputs.count > 40
    run: [sh, -c, 'echo "$@" >> log', sh, "{{ needs.make.outputs.count + 1 }}", "{{ needs.make.outputs.list | length }}", "{{ needs.make.outputs.share * 4 }}"]
  never: {needs: [make], if: needs.make.outputs.count < 40, run: echo never >> log}
"#,
    );
    run(&project, 0);
    assert_eq!(log(&project), ["42 2 1.0"]);
    expect_states(&project, "make=success use=success never=skipped");
    assert_eq!(stage(&project, "make")["outputs"]["list"], serde_json::json!(["x", "y"]));
}

#[test]
fn an_output_that_is_missing_or_wrong_fails_its_stage_and_says_why() {
    let project = Project::with_plan(
        r#"
version: 1
on-failure: continue
stages:
  missing: {run: "true", outputs: {v: int}}
  wrong: {run: 'echo v=ten >> "$ENGINE_OUTPUT"', outputs: {v: int}}
  broken: {run: 'echo nonsense >> "$ENGINE_OUTPUT"'}
  extra: {run: 'echo other=1 >> "$ENGINE_OUTPUT"'}
  after: {needs: [missing], run: echo after >> log}
"#,
    );
    let output = run(&project, 1);
    expect_states(&project, "missing=failed wrong=failed broken=failed extra=success after=blocked");
    assert!(output.stdout.contains("`v` is declared but was not written"), "{}", output.stdout);
    assert!(output.stdout.contains("output `v`: `ten` is no int"), "{}", output.stdout);
    assert!(log(&project).is_empty());
}

#[test]
fn a_stage_gets_a_clean_environment_and_what_it_asks_for() {
    let project = Project::with_plan(
        r#"
version: 1
defaults: {env: {SHARED: all, OVER: default}}
stages:
  plain: {env: {OVER: mine}, run: env | sort > plain.env}
  asks: {pass-env: [SSH_AUTH_SOCK, "AWS_*"], run: env | sort > asks.env}
"#,
    );
    let env = [("SECRET", "s"), ("SSH_AUTH_SOCK", "/s"), ("AWS_KEY", "k"), ("CI", "1"), ("ENGINE_INPUT_X", "1")];
    // `ENGINE_INPUT_X` names no input, and is no fault of the plan: CI systems set what they like.
    let output = project.engine_with(&env[..4], &["run", "plan.yaml", "--run-id", "r1"]).expect(0);
    assert!(output.stdout.contains("run r1"), "{}", output.stdout);
    let plain = project.read("plain.env");
    for line in ["SHARED=all", "OVER=mine", "CI=1", "ENGINE_RUN_ID=r1", "ENGINE_STAGE=plain", "ENGINE_ATTEMPT=1"] {
        assert!(plain.lines().any(|found| found == line), "{line} in {plain}");
    }
    assert!(plain.contains("ENGINE_ATTEMPT_KEY=r1/plain/0"), "{plain}");
    assert!(!plain.contains("SECRET") && !plain.contains("AWS_") && !plain.contains("SSH_"), "{plain}");
    let asks = project.read("asks.env");
    assert!(asks.contains("SSH_AUTH_SOCK=/s") && asks.contains("AWS_KEY=k") && asks.contains("OVER=default"));
    assert!(!asks.contains("SECRET"), "{asks}");
}

#[test]
fn scripts_are_strict_and_never_interpolated() {
    let project = Project::with_plan(
        r#"
version: 1
on-failure: continue
stages:
  pipe: {run: "false | true"}
  unset: {run: 'echo "$NOT_SET"'}
  substitution: {run: 'x=$(false; echo y); echo "$x"'}
  middle: {run: "false\ntrue"}
  braces: {run: "echo '{{ \"{{ other }}\" }}' > braces"}
  loose: {shell: bash, run: "false | true; false; true"}
  posix: {shell: sh, run: "x=$(false; echo y); echo $x > posix"}
  argv: {shell: [cat], run: "echo $HOME"}
"#,
    );
    // `{{ … }}` around other names than ours is the script's own.
    let output = run(&project, 1);
    expect_states(
        &project,
        "pipe=failed unset=failed substitution=failed middle=failed braces=success loose=success posix=failed argv=success",
    );
    assert_eq!(project.read("braces"), "{{ \"{{ other }}\" }}\n");
    assert!(output.stdout.contains("argv | echo $HOME"), "{}", output.stdout);
}

#[test]
fn a_script_may_be_longer_than_any_argument_list() {
    let line = "x=abcdefghijklmnopqrstuvwxyz\n";
    let script: String = std::iter::repeat_n(format!("      {line}"), 100_000).collect();
    let project =
        Project::with_plan(&format!("version: 1\nstages:\n  long:\n    run: |\n{script}      echo done >> log\n"));
    run(&project, 0);
    assert_eq!(log(&project), ["done"]);
}

#[test]
fn a_value_never_becomes_shell_code() {
    let project = Project::with_plan(
        r#"
version: 1
inputs: {v: {type: string}}
stages:
  script: {env: {V: "{{ inputs.v }}"}, run: 'printf "%s\n" "$V" >> log'}
  words: {needs: [script], run: [sh, -c, 'printf "%s\n" "$1" >> log', sh, "{{ inputs.v }}"]}
"#,
    );
    let evil = "$(touch pwned); `touch pwned` '\" {{ inputs.v }} \\";
    project.engine(&["run", "plan.yaml", "--set", &format!("v={evil}")]).expect(0);
    assert_eq!(log(&project), [evil, evil]);
    assert!(!project.has("pwned"));
}

#[test]
fn cwd_is_below_the_root_and_may_be_a_template() {
    let project = Project::with_plan(
        r#"
version: 1
inputs: {dir: {type: string, default: sub}}
stages:
  a: {cwd: "{{ inputs.dir }}/deep", run: pwd > ../../pwd}
  gone: {cwd: nowhere, run: pwd, needs: [a]}
  bad: {run: exit 1, needs: [{stage: gone, accept: [failed]}]}
"#,
    );
    project.write("sub/deep/.keep", "");
    let output = run(&project, 1);
    assert!(project.read("pwd").trim_end().ends_with("/sub/deep"));
    expect_states(&project, "a=success gone=failed bad=failed");
    assert!(output.stdout.contains("nowhere` does not exist"), "{}", output.stdout);
}

#[test]
fn a_matrix_includes_excludes_ties_cells_and_bounds_them() {
    let project = Project::with_plan(
        r#"
version: 1
stages:
  build:
    matrix: {service: [api, web], size: [s, l], exclude: [{service: web, size: l}], include: [{service: job, size: s}]}
    run: [sh, -c, 'echo "$1" >> "$ENGINE_OUTPUT"', sh, "made={{ matrix.service }}-{{ matrix.size }}"]
    outputs: {made: string}
  ship:
    needs: [{stage: build, same: [service]}]
    matrix: {service: [api, web], max-parallel: 1}
    env: {NAME: "{{ matrix.service }}"}
    run: 'mkdir lock; echo "$NAME" >> log; rmdir lock'
  all:
    needs: [build]
    env: {MADE: "{{ needs.build.outputs['web,s'].made }}"}
    run: echo "$MADE" > made
"#,
    );
    run(&project, 0);
    expect_states(
        &project,
        "build:api,s=success build:api,l=success build:web,s=success build:job,s=success \
         ship:api=success ship:web=success all=success",
    );
    assert_eq!(project.read("made"), "web-s\n");
    let ship = stage(&project, "ship:api");
    assert_eq!(ship["needs"], serde_json::json!(["build:api,s", "build:api,l"]));
    assert_eq!(log(&project).len(), 2);
}

#[test]
fn a_matrix_has_a_failure_policy_of_its_own() {
    let project = Project::with_plan(
        r#"
version: 1
stages:
  cell:
    matrix: {at: [bad, good], on-failure: continue, max-parallel: 1}
    env: {AT: "{{ matrix.at }}"}
    run: 'echo "$AT" >> log; [ "$AT" = good ]'
  other: {needs: [{stage: cell, accept: [failed, success]}], run: echo other >> log}
"#,
    );
    run(&project, 1);
    expect_states(&project, "cell:bad=failed cell:good=success other=success");
}

#[test]
fn shards_split_lists_ranges_globs_and_files() {
    let project = Project::with_plan(
        r#"
version: 1
stages:
  list: {shards: {items: [a, b, c]}, run: [sh, -c, 'echo "list $1 $2" >> log', sh, "{{ shard.index }}", "{{ shard.item }}"]}
  range: {shards: {items: {range: 10}, size: 4, max-parallel: 2}, run: 'echo "range $ENGINE_SHARD $(tr "\n" , < "$ENGINE_SHARD_FILE")" >> log'}
  glob: {shards: {items: {glob: "in/**"}, size: 2}, run: [sh, -c, 'echo "glob $(tr "\n" , < "$1")" >> log', sh, "{{ shard.file }}"]}
  file: {shards: {items: {file: items.txt}}, run: 'echo "file $(cat "$ENGINE_SHARD_FILE")" >> log'}
  after: {needs: [list, range, glob, file], run: echo after >> log}
"#,
    );
    for name in ["in/b", "in/a", "in/sub/c"] {
        project.write(name, "");
    }
    project.write("items.txt", "one\ntwo words\n");
    run(&project, 0);
    let mut lines = log(&project);
    assert_eq!(lines.pop().as_deref(), Some("after"));
    lines.sort();
    let expected = [
        "file one",
        "file two words",
        "glob in/a,in/b,",
        "glob in/sub/c,",
        "list 0 a",
        "list 1 b",
        "list 2 c",
        "range 0 0,1,2,3,",
        "range 1 4,5,6,7,",
        "range 2 8,9,",
    ];
    assert_eq!(lines, expected);
    assert_eq!(stage(&project, "range")["shards"]["done"], 3);
    assert!(states(&project).values().all(|state| state == "success"));
}

#[test]
fn a_failed_shard_is_retried_alone_and_fails_its_stage_alone() {
    let project = Project::with_plan(
        r#"
version: 1
max-parallel: 3
stages:
  work:
    shards: {items: [a, b, c]}
    retry: 1
    run: [sh, -c, 'echo "$1" >> log; [ "$1" != b ]', sh, "{{ shard.item }}"]
"#,
    );
    run(&project, 1);
    assert_eq!((count(&project, "a"), count(&project, "b"), count(&project, "c")), (1, 2, 1));
    // Mended, only the failed shard runs again.
    project.write("log", "");
    project.engine(&["resume"]).expect(1);
    assert_eq!(log(&project), ["b", "b"]);
    assert_eq!(events_of(&project, "shard-finished", "work").len(), 6);
}

/// Where nothing is declared nobody can read what is written, so it is told: of a stage, of an action that it uses, and of
/// shards once.
#[test]
fn outputs_of_a_stage_that_declares_none_are_told() {
    let project = Project::with_plan(
        r#"
version: 1
actions:
  tell: {run: 'echo y=2 >> "$ENGINE_OUTPUT"'}
stages:
  good: {run: 'printf "x=1\nmore=1\n" >> "$ENGINE_OUTPUT"', outputs: {x: int}}
  asks: {uses: tell, outputs: {y: int}}
  uses: {uses: tell}
  own: {run: 'echo z=1 >> "$ENGINE_OUTPUT"'}
  each: {shards: {items: [a, b, c]}, run: 'echo v=1 >> "$ENGINE_OUTPUT"'}
"#,
    );
    let said = project.engine(&["run", "plan.yaml"]).expect(0).stdout;
    assert_eq!(said.matches("and not kept").count(), 3, "{said}");
    let note = |id: &str| stage(&project, id)["notes"].clone();
    for id in ["good", "asks"] {
        assert_eq!(note(id), serde_json::json!([]), "{id}");
    }
    for (id, name) in [("uses", "y"), ("own", "z"), ("each", "v")] {
        let told = format!("`{name}` is written to `$ENGINE_OUTPUT` and not kept: no `outputs` are declared");
        assert_eq!(note(id), serde_json::json!([told]), "{id}");
    }
}
