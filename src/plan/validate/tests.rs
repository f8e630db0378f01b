//! Tests of the validator: each rule at its exact place, in three languages.

use crate::plan::load::tests::{check_cases, load_text};

#[test]
fn names_exist_and_differ() {
    check_cases(&[
        (
            "stages: {a-b: {run: x}, a_b: {run: x}}",
            "plan::similar-names",
            "a_b",
            "in an expression both are `a_b`",
        ),
        ("inputs: {a-b: {}, a_b: {}}\nstages: {a: {run: x}}", "plan::similar-names", "a_b", "another name"),
        ("stages: [{id: a, run: x}, {id: a, run: y}]", "plan::duplicate-name", "a", "another name"),
        ("stages: {a: {run: x}}\nfinally: {stages: {a: {run: y}}}", "plan::duplicate-name", "a", "another name"),
        (
            "groups: {runtime: {}}\nstages: {a: {run: x, group: runtim}}",
            "plan::unknown-group",
            "runtim",
            "`runtime`?",
        ),
        ("stages: {a: {run: x, group: g}}", "plan::unknown-group", "g", "groups: {g: {}}"),
        ("stages: {build: {run: x}, b: {run: x, needs: [biuld]}}", "plan::unknown-stage", "biuld", "`build`?"),
        (
            "stages: {ship: {run: x}, b: {run: x, needs: ['ship:eu']}}",
            "plan::unknown-stage",
            "'ship:eu'",
            "write `ship`",
        ),
        ("stages: {b: {run: x, needs: [Build]}, build: {run: x}}", "plan::unknown-stage", "Build", "`build`?"),
        ("stages: {a: {run: x, needs: [a]}}", "plan::self-need", "a", "take it out"),
        ("stages: {b: {run: x}, a: {run: x, needs: [b, {stage: b}]}}", "plan::duplicate-need", "b", "once"),
        (
            "stages: {a: {run: x}}\nfinally: {stages: {z: {run: x, needs: [a]}}}",
            "plan::finally-need",
            "a",
            "all ordinary",
        ),
        (
            "stages: {a: {run: x, needs: [z]}}\nfinally: {stages: {z: {run: x}}}",
            "plan::finally-need",
            "z",
            "move one",
        ),
        ("stages: {a: {run: x, pools: [cpu]}}", "plan::unknown-pool", "cpu", "pools: {cpu: 1}"),
        ("pools: {cpu: 1}\nstages: {a: {run: x, pools: {cpu: 2}}}", "plan::pool-weight", "2", "never start"),
        ("actions: {tell: {run: x}}\nstages: {a: {uses: tel}}", "plan::unknown-action", "tel", "`tell`?"),
        ("stages: {a: {uses: aproval}}", "plan::unknown-action", "aproval", "`approval`?"),
        ("actions: {http: {run: x}}\nstages: {a: {run: x}}", "plan::shadow", "http", "another name"),
    ]);
}

#[test]
fn matrices_have_each_value_once() {
    check_cases(&[
        ("stages: {a: {run: x, matrix: {r: [eu, us, eu]}}}", "plan::duplicate-cell", "eu", "once"),
        ("stages: {a: {run: x, matrix: {v: [1, '1']}}}", "plan::duplicate-cell", "'1'", "once"),
        ("stages: {a: {run: x, matrix: {v: [1.10]}}}", "plan::unquoted", "1.10", "quotes"),
        ("stages: {a: {run: x, matrix: {v: [[a]]}}}", "plan::wrong-type", "[", "strings"),
        (
            "stages: {a: {run: x, matrix: {region: [eu], include: [{regio: us}]}}}",
            "plan::unknown-axis",
            "regio",
            "`region`?",
        ),
        (
            "stages: {a: {run: x, matrix: {region: [eu], exclude: [{size: us}]}}}",
            "plan::unknown-axis",
            "size",
            "`region`",
        ),
        (
            "stages: {a: {run: x, matrix: {r: [eu]}}, b: {run: x, needs: [{stage: a, same: [r]}]}}",
            "plan::unknown-axis",
            "r",
            "both have",
        ),
    ]);
}

#[test]
fn clocks_fit_into_each_other() {
    check_cases(&[
        (
            "timeout: 1h\nstages: {a: {run: x}}\nfinally: {stages: {z: {run: x}}}",
            "plan::no-budget",
            "{",
            "budget: 2m",
        ),
        (
            "timeout: 1h\nstages: {a: {run: x}}\nfinally: {budget: 60m, stages: {z: {run: x}}}",
            "plan::budget",
            "60m",
            "",
        ),
        (
            "lock: {name: x, on-busy: skip, wait: 5m}\nstages: {a: {run: x}}",
            "plan::lock-wait",
            "5m",
            "on-busy: wait",
        ),
        ("lock: {name: ' '}\nstages: {a: {run: x}}", "plan::empty", "' '", "deploy/staging"),
        (
            "stages: {a: {run: x, timeout: 5m, retry: {max: 2, delay: 2s, backoff: 2, within: 15m}}}",
            "plan::retry-within",
            "15m",
            "write `within: 15m6s` or more",
        ),
        (
            "defaults: {timeout: 5m}\nstages: {a: {run: x, retry: {max: 1, within: 9m}}}",
            "plan::retry-within",
            "9m",
            "2 attempts of 5m",
        ),
        (
            "actions: {t: {run: x, timeout: 5m}}\nstages: {a: {uses: t, retry: {max: 1, within: 9m}}}",
            "plan::retry-within",
            "9m",
            "2 attempts of 5m",
        ),
        (
            "stages: {a: {run: x, retry: {max: 3, delay: 10s, within: 20s}}}",
            "plan::retry-within",
            "20s",
            "waits of 30s",
        ),
        ("stages: {a: {run: x, retry: {max: 1, delay: 1m, max-delay: 1s}}}", "plan::retry-delay", "1s", "raise"),
        ("stages: {a: {run: x, idempotent: false, retry: 1}}", "plan::unsafe-retry", "1", "done-if"),
    ]);
}

#[test]
fn what_fits_is_left_alone() {
    for plan in [
        "stages: {a: {run: x, timeout: 5m, retry: {max: 2, delay: 2s, backoff: 2, within: 15m6s}}}",
        "stages: {a: {run: x, retry: {max: 9, delay: 1s, backoff: 10, max-delay: 2s, within: 17s}}}",
        "stages: {a: {run: x, idempotent: false, retry: 0}}",
        "stages: {a: {run: x, idempotent: false, retry: {max: 1, when: [{exit: [69]}]}}}",
        "stages: {a: {run: x, idempotent: false, retry: 1, done-if: {run: [x]}}}",
        "stages: {a: {run: 'awk \"{{ print }}\" && echo {{.Names}} {{ runner }}'}}",
        "stages: {a: {run: [echo, '{{ run.id }}']}}",
        "stages: {a: {run: x, cwd: a/../b, artifacts: ['../c/**']}}",
        "stages: {a: {run: x, cwd: a, artifacts: ['../dist/**']}}",
        "allow-outside: true\nstages: {a: {run: x, cwd: /srv}}",
        "stages: {a: {run: x, pass-env: [HOME, 'AWS_*']}}",
        "inputs: {a: {type: size, default: 10MiB, max: 1GiB}, b: {type: float, default: 1}}\nstages: {a: {run: x}}",
        "defaults: {timeout: 1m, retry: {max: 1, within: 2m}}\nstages: {a: {uses: approval, timeout: 4h}}",
    ] {
        let (_, found) = load_text("plan.yaml", &format!("version: 1\n{plan}\n"));
        assert_eq!(found, [], "{plan}");
    }
}

#[test]
fn texts_mean_what_they_say() {
    check_cases(&[
        (
            "stages: {a: {run: 'ship {{ inputs.image-tag }} now'}}",
            "plan::script-template",
            "{{ inputs.image-tag }}",
            r#"write `env: {IMAGE_TAG: "{{ inputs.image-tag }}"}` beside `run`, and `"$IMAGE_TAG"` in the script"#,
        ),
        ("stages: {a: {run: 'x {{- secrets.t }}'}}", "plan::script-template", "{{- secrets.t }}", "T: "),
        (
            "stages: {a: {run: x, done-if: {run: 'y {{matrix.r}}'}}}",
            "plan::script-template",
            "{{matrix.r}}",
            "R: ",
        ),
        ("stages: {a: {run: x, pass-env: ['*']}}", "plan::pass-env", "'*'", "not passed on"),
        ("stages: {a: {run: x, pass-env: ['A*B']}}", "plan::pass-env", "'A*B'", "AWS_*"),
        ("stages: {a: {run: x, env: {ENGINE_OUTPUT: y}}}", "plan::reserved-env", "ENGINE_OUTPUT", "another"),
        ("stages: {a: {run: x, cwd: ../b}}", "plan::outside", "../b", "allow-outside: true"),
        ("stages: {a: {run: x, cwd: /srv}}", "plan::outside", "/srv", "allow-outside: true"),
        ("defaults: {cwd: a/../../b}\nstages: {a: {run: x}}", "plan::outside", "a/../../b", "root"),
        ("stages: {a: {run: x, cache: {sources: [../b]}}}", "plan::outside", "../b", "root"),
        ("stages: {a: {run: x, artifacts: [../b]}}", "plan::outside", "../b", "root"),
        ("stages: {a: {run: x, artifacts: ['a[']}}", "plan::bad-glob", "'a['", "`**`"),
        ("stages: {a: {run: x, shards: {items: {glob: 'a{'}}}}", "plan::bad-glob", "'a{'", "`**`"),
        ("stages: {a: {run: x, artifacts: ['{{ vars.a }}/b']}}", "plan::bad-glob", "'{{ vars.a }}/b'", "use `*`"),
        ("stages: {a: {run: x, shards: {items: {file: ../x}}}}", "plan::outside", "../x", "root"),
        ("stages: {a: {run: x, cache: {sources: [a], env: [A-B]}}}", "plan::bad-name", "A-B", "match"),
    ]);
}

#[test]
fn inputs_do_not_contradict_themselves() {
    check_cases(&[
        ("inputs: {a: {type: int, default: x}}\nstages: {a: {run: x}}", "plan::bad-default", "x", "like `8`"),
        ("inputs: {a: {type: string, default: 5}}\nstages: {a: {run: x}}", "plan::bad-default", "5", "quotes"),
        (
            "inputs: {a: {type: duration, default: soon}}\nstages: {a: {run: x}}",
            "plan::bad-default",
            "soon",
            "`90s`",
        ),
        (
            "inputs: {a: {type: duration, default: 4000d}}\nstages: {a: {run: x}}",
            "plan::bad-default",
            "4000d",
            "`90s` or `1h30m`",
        ),
        (
            "inputs: {a: {type: size, default: 10MX}}\nstages: {a: {run: x}}",
            "plan::bad-default",
            "10MX",
            "`10MiB`",
        ),
        (
            "inputs: {a: {type: url, default: nowhere}}\nstages: {a: {run: x}}",
            "plan::bad-default",
            "nowhere",
            "https",
        ),
        ("inputs: {a: {enum: [b, c], default: d}}\nstages: {a: {run: x}}", "plan::bad-default", "d", "listed"),
        ("inputs: {a: {enum: [b, 3]}}\nstages: {a: {run: x}}", "plan::bad-default", "3", "quotes"),
        ("inputs: {a: {pattern: '^v', default: x}}\nstages: {a: {run: x}}", "plan::bad-default", "x", "mend"),
        ("inputs: {a: {pattern: '('}}\nstages: {a: {run: x}}", "plan::bad-pattern", "'('", "regex"),
        ("inputs: {a: {type: int, max: 3, default: 4}}\nstages: {a: {run: x}}", "plan::bad-default", "4", "mend"),
        ("inputs: {a: {type: int, min: 5, max: 3}}\nstages: {a: {run: x}}", "plan::bad-default", "5", "swap"),
        ("inputs: {a: {min: 5}}\nstages: {a: {run: x}}", "plan::bad-default", "5", "numbers"),
    ]);
}

#[test]
fn a_variable_of_the_engine_that_nobody_sets_is_told() {
    check_cases(&[
        (
            "stages: {a: {run: 'cat $ENGINE_SHARD_FLE; rm $ENGINE_SHARD_FLE'}}",
            "plan::unset-variable",
            "ENGINE_SHARD_FLE",
            "`$ENGINE_SHARD_FILE`?",
        ),
        ("stages: {a: {run: 'x ${ENGINE_THING}'}}", "plan::unset-variable", "ENGINE_THING", "the engine sets `$"),
        (
            "stages: {a: {run: x, done-if: {run: 'y $ENGINE_B'}, env: {ENGINE_A: x}}}",
            "plan::unset-variable",
            "ENGINE_B",
            "",
        ),
        // A prefix takes none of the engine's own variables along.
        (
            "defaults: {pass-env: [ENGINE_C*]}\nstages: {a: {run: 'x $ENGINE_CI'}}",
            "plan::unset-variable",
            "ENGINE_CI",
            "the engine sets `$",
        ),
    ]);
    for fine in [
        "stages: {a: {run: 'echo $ENGINE_OUTPUT ${ENGINE_STAGE}'}}",
        "stages: {a: {run: 'echo ${ENGINE_THING:-none} ${ENGINE_THING-}'}}",
        "stages: {a: {run: 'ENGINE_THING=1; echo $ENGINE_THING'}}",
        "stages: {a: {run: 'echo ENGINE_THING \\$ENGINE_THING'}}",
        "stages: {a: {run: 'x $ENGINE_B', env: {ENGINE_B: x}}}",
        "defaults: {pass-env: [ENGINE_CI]}\nstages: {a: {run: 'x $ENGINE_CI'}}",
    ] {
        let (_, found) = load_text("plan.yaml", &format!("version: 1\n{fine}\n"));
        assert_eq!(found, [], "{fine}");
    }
}
