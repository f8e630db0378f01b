//! Faults that the graph builder finds: expressions, values and what spans several files.

use crate::plan::codes::Page;

/// The pages.
pub(super) static PAGES: &[Page] = &[
    Page {
        code: "plan::background",
        title: "background work where it cannot be",
        text: "Background work starts when the verdict of the run is decided. So nothing that counts for the verdict, and \
               nothing of the clean-up, may wait for it or read it; and a stage that asks a person, serves the run \
               (`lifetime: run`), is undone or is healed is no background work.",
        bad: r"version: 1
stages:
  upload: {run: ./upload, background: true}
  switch: {run: ./switch, needs: [upload]}
",
        good: r"version: 1
stages:
  switch: {run: ./switch}
  upload: {run: ./upload, needs: [switch], background: true}
",
    },
    Page {
        code: "plan::bad-expression",
        title: "an expression or template that cannot be read",
        text: "The mark stands where reading stopped. `if` takes a bare expression, without `{{ }}`.",
        bad: r#"version: 1
stages:
  ship: {run: ./ship, if: "1 =="}
"#,
        good: r#"version: 1
stages:
  ship: {run: ./ship, if: "1 == 1"}
"#,
    },
    Page {
        code: "plan::bad-gate",
        title: "a gate that makes no sense",
        text: "A gate's settings have to fit together: a number that is measured needs a `pass`, a soak needs metrics, an \
               error budget cannot burn faster than with every request failing.",
        bad: r"version: 1
stages:
  depth: {uses: file, with: {path: run/depth, value: /depth}}
",
        good: r"version: 1
stages:
  depth: {uses: file, with: {path: run/depth, value: /depth, pass: '< 5'}}
",
    },
    Page {
        code: "plan::bad-input",
        title: "an input's value that is refused",
        text: "The value does not have the input's type, or breaks its `enum`, `pattern`, `min` or `max`. The \
               message says where it came from.",
        bad: r"version: 1
stages: {ship: {uses: ./ship.yaml, with: {count: many}}}
# file: ship.yaml
version: 1
inputs: {count: {type: int}}
stages: {go: {run: ./ship}}
",
        good: r"version: 1
stages: {ship: {uses: ./ship.yaml, with: {count: 3}}}
# file: ship.yaml
version: 1
inputs: {count: {type: int}}
stages: {go: {run: ./ship}}
",
    },
    Page {
        code: "plan::late-value",
        title: "a value that is known too late",
        text: "What shapes the graph (`matrix`, limits, vars) is computed before anything runs, so it can use \
               `inputs`, `vars` and `matrix` only, and of `matrix` no axis that a stage gives.",
        bad: r#"version: 1
stages:
  list: {run: ./list, outputs: {n: int}}
  pack: {run: ./pack, needs: [list], timeout: "{{ needs.list.outputs.n }}"}
"#,
        good: r#"version: 1
inputs: {limit: {type: duration, default: 5m}}
stages:
  list: {run: ./list, outputs: {n: int}}
  pack: {run: ./pack, needs: [list], timeout: "{{ inputs.limit }}"}
"#,
    },
    Page {
        code: "plan::missing-input",
        title: "a required input without a value",
        text: "An input without `default` must be given: to a plan with `--set`, `--inputs` or \
               `ENGINE_INPUT_NAME`, to an action file in `with`.",
        bad: r"version: 1
stages: {ship: {uses: ./ship.yaml}}
# file: ship.yaml
version: 1
inputs: {tag: {}}
stages: {go: {run: ./ship}}
",
        good: r"version: 1
stages: {ship: {uses: ./ship.yaml, with: {tag: v1}}}
# file: ship.yaml
version: 1
inputs: {tag: {}}
stages: {go: {run: ./ship}}
",
    },
    Page {
        code: "plan::output-may-miss",
        title: "an output that may not be there",
        text: "The stage it comes from may be skipped or fail, and then the output is `none`. Give the reader \
               the same `if`, or say what holds instead.",
        bad: r#"version: 1
inputs: {on: {type: bool, default: true}}
stages:
  a: {run: ./a, if: inputs.on, outputs: {id: string}}
  b: {run: [./b, "{{ needs.a.outputs.id }}"], needs: [a]}
"#,
        good: r#"version: 1
inputs: {on: {type: bool, default: true}}
stages:
  a: {run: ./a, if: inputs.on, outputs: {id: string}}
  b: {run: [./b, "{{ needs.a.outputs.id | default('none') }}"], needs: [a]}
"#,
    },
    Page {
        code: "plan::run-time-name",
        title: "a name that is known elsewhere",
        text: "`run.state` has a meaning only in `finally`, when the run has an outcome.",
        bad: r#"version: 1
stages:
  tell: {run: [./tell, "{{ run.state }}"]}
"#,
        good: r#"version: 1
stages:
  build: {run: make}
finally:
  stages: {tell: {run: [./tell, "{{ run.state }}"]}}
"#,
    },
    Page {
        code: "plan::secret-exposed",
        title: "a secret on its way to where it would be seen",
        text: "A secret reaches a stage as a variable that `secrets` names, and nothing else. No expression reads one, \
               so no id, lock, cache key, file name or word of a command line can hold it; `pass-env` and `cache.env` do \
               not take it along, and `with` hands it on whole, to inputs that are `secret: true`.",
        bad: r#"version: 1
inputs: {token: {secret: true}}
stages:
  ship: {run: [./ship, "{{ inputs.token }}"]}
"#,
        good: r"version: 1
inputs: {token: {secret: true}}
stages:
  ship: {run: [./ship], secrets: {TOKEN: token}}
",
    },
    Page {
        code: "plan::secret-outside-with",
        title: "a secret outside `with`",
        text: "`secrets.NAME` may be read in `with` of a file or an action only, so that it is plain where it goes.",
        bad: r#"version: 1
environment: staging
stages:
  ship: {run: [./ship, "{{ secrets.TOKEN }}"]}
"#,
        good: r"version: 1
environment: staging
stages:
  ship: {run: [./ship], secrets: [TOKEN]}
",
    },
    Page {
        code: "plan::too-much-work",
        title: "an expression that does not end",
        text: "`RENDER_FUEL` bounds the steps of one expression or template.",
        bad: "",
        good: r"version: 1
stages:
  build: {run: make}
",
    },
    Page {
        code: "plan::unknown-env",
        title: "a key that the environment does not give",
        text: "`env.KEY` is a value of the plan's environment. A key that an environment may leave out is read with a \
               `default`, and secrets are never read by expressions.",
        bad: r#"version: 1
environment: staging
stages:
  ask: {run: [curl, "http://{{ env.HSOT }}/"]}
"#,
        good: r#"version: 1
environment: staging
stages:
  ask: {run: [curl, "http://{{ env.HOST }}/"]}
"#,
    },
    Page {
        code: "plan::unknown-input",
        title: "an input that does not exist",
        text: "Inputs are declared under `inputs` of the file that reads them.",
        bad: r#"version: 1
inputs: {tag: {default: v1}}
stages:
  ship: {run: [./ship, "{{ inputs.tga }}"]}
"#,
        good: r#"version: 1
inputs: {tag: {default: v1}}
stages:
  ship: {run: [./ship, "{{ inputs.tag }}"]}
"#,
    },
    Page {
        code: "plan::unknown-name",
        title: "a name that does not exist",
        text: "The names of an expression are `inputs vars env needs matrix shard group run self`, each where \
               it has a meaning.",
        bad: r#"version: 1
stages:
  ship: {run: [./ship, "{{ input.tag }}"]}
"#,
        good: r#"version: 1
inputs: {tag: {default: v1}}
stages:
  ship: {run: [./ship, "{{ inputs.tag }}"]}
"#,
    },
    Page {
        code: "plan::unknown-need",
        title: "a stage that is not needed",
        text: "An expression reads only stages that `needs` names, or that those need in turn: only they have ended for sure. \
               Over a need with `same` this goes no further, for it waits for single cells.",
        bad: r#"version: 1
stages:
  a: {run: ./a, outputs: {id: string}}
  b: {run: [./b, "{{ needs.a.outputs.id }}"]}
"#,
        good: r#"version: 1
stages:
  a: {run: ./a, outputs: {id: string}}
  b: {run: [./b, "{{ needs.a.outputs.id }}"], needs: [a]}
"#,
    },
    Page {
        code: "plan::unknown-output",
        title: "an output that does not exist",
        text: "Outputs are declared under `outputs` of the stage that writes them.",
        bad: r#"version: 1
stages:
  a: {run: ./a, outputs: {id: string}}
  b: {run: [./b, "{{ needs.a.outputs.ids }}"], needs: [a]}
"#,
        good: r#"version: 1
stages:
  a: {run: ./a, outputs: {id: string}}
  b: {run: [./b, "{{ needs.a.outputs.id }}"], needs: [a]}
"#,
    },
    Page {
        code: "plan::unknown-secret",
        title: "a secret that does not exist here",
        text: "`secrets` names keys that the catalog of the plan's environment calls `secret: true` and that the \
               environment gives a source, and inputs that are `secret: true`. In a file that a stage uses they are those \
               that the stage lends to it by its own `secrets`.",
        bad: r"version: 1
environment: staging
stages:
  ship: {run: [./ship], secrets: [TOKNE]}
",
        good: r"version: 1
environment: staging
stages:
  ship: {run: [./ship], secrets: [TOKEN]}
",
    },
    Page {
        code: "plan::unknown-variable",
        title: "a variable that does not exist",
        text: "Variables are declared under `vars`; each may use inputs and the variables above it.",
        bad: r#"version: 1
vars: {image: shop}
stages:
  ship: {run: [./ship, "{{ vars.imge }}"]}
"#,
        good: r#"version: 1
vars: {image: shop}
stages:
  ship: {run: [./ship, "{{ vars.image }}"]}
"#,
    },
    Page {
        code: "plan::bad-item",
        title: "an item that is more than a line",
        text: "The file of a shard has one item a line, so an item may hold no line end and no NUL.",
        bad: r#"version: 1
stages:
  pack: {run: ./pack, shards: {items: ["a\nb"]}}
"#,
        good: r#"version: 1
stages:
  pack: {run: ./pack, shards: {items: ["a", "b"]}}
"#,
    },
    Page {
        code: "plan::bad-group",
        title: "a group that contradicts itself",
        text: "With `readiness: optional` the run can be called good without the group, so what fails in it must not \
               stop the run: its failures stay inside and open tickets.",
        bad: r"version: 1
groups:
  extras: {readiness: optional, on-failure: drain}
stages:
  warm: {run: ./warm, group: extras}
",
        good: r"version: 1
groups:
  extras: {readiness: optional}
stages:
  warm: {run: ./warm, group: extras}
",
    },
    Page {
        code: "plan::bad-matrix",
        title: "a matrix whose cells cannot be named",
        text: "A matrix has at least one cell, each cell a value for every axis, and no two the same name. A \
               value in a name is 1 to 64 of `A-Z a-z 0-9 . _ + -`. One axis may get its values from a stage: \
               `region: {from: \"{{ needs.find.outputs.regions }}\", max: 20}`; `include`, `exclude` and `same` \
               cannot go by values that nobody knows yet.",
        bad: r"version: 1
stages:
  ship: {run: ./ship, matrix: {region: [eu/west, us]}}
",
        good: r"version: 1
stages:
  ship: {run: ./ship, matrix: {region: [eu-west, us]}}
",
    },
    Page {
        code: "plan::cycle",
        title: "stages that need each other in a circle",
        text: "None of them could ever start. The whole circle is shown; take one of its needs away.",
        bad: r"version: 1
stages:
  a: {run: ./a, needs: [b]}
  b: {run: ./b, needs: [a]}
",
        good: r"version: 1
stages:
  a: {run: ./a}
  b: {run: ./b, needs: [a]}
",
    },
    Page {
        code: "plan::finally-budget",
        title: "a clean-up that cannot fit",
        text: "The longest way through the stages of `finally`, each at its timeout with all its re-tries, \
               must fit into its `budget`, and the budget into the run's `timeout`.",
        bad: r"version: 1
stages: {build: {run: make}}
finally:
  budget: 1m
  stages: {tidy: {run: make clean, timeout: 2m}}
",
        good: r"version: 1
stages: {build: {run: make}}
finally:
  budget: 3m
  stages: {tidy: {run: make clean, timeout: 2m}}
",
    },
    Page {
        code: "plan::needs-approval",
        title: "an approval that the policy asks for is not there",
        text: "`policy: {approvals: …}` of an environment asks people before anything is changed there. A plan for it has a \
               stage that asks them, and no selection leaves that stage out. `--break-glass REASON` overrides the policy for \
               one run, is recorded, and opens a ticket.",
        bad: r"version: 1
environment: production
stages:
  ship: {run: ./ship}
",
        good: r"version: 1
environment: production
stages:
  approve: {uses: approval, timeout: 4h}
  ship: {needs: [approve], run: ./ship}
",
    },
    Page {
        code: "plan::no-environment",
        title: "a plan without an environment",
        text: "`env.…` and the actions `env.check`, `env.render`, `env.diff` and `env.parity` work on the environment that the \
               plan names by `environment`. An action may name another one under `with`.",
        bad: r"version: 1
stages:
  check-env: {uses: env.check}
",
        good: r"version: 1
environment: staging
stages:
  check-env: {uses: env.check}
",
    },
    Page {
        code: "plan::no-items",
        title: "items that cannot be found",
        text: "The list, file, glob or range of `items` gives nothing. A stage that may have nothing to do \
               wants an `if`.",
        bad: r#"version: 1
stages:
  pack: {run: ./pack, shards: {items: {glob: "gone/**"}}}
"#,
        good: r"version: 1
stages:
  pack: {run: ./pack, shards: {items: {range: 3}}}
",
    },
    Page {
        code: "plan::unselected-need",
        title: "a stage that reads from one that is left out",
        text: "With `--only`, `--skip`, `--from` or `--to` a stage may stay that reads an output of one that \
               does not run: the output is then `none`. This is a warning.",
        bad: "",
        good: r"version: 1
stages:
  build: {run: make}
",
    },
    Page {
        code: "plan::unused-exclude",
        title: "a cell to leave out that is not there",
        text: "An entry of `exclude` that matches no cell is most often a misspelt value. This is a warning.",
        bad: r"version: 1
stages:
  ship: {run: ./ship, matrix: {region: [eu, us], exclude: [{region: ap}]}}
",
        good: r"version: 1
stages:
  ship: {run: ./ship, matrix: {region: [eu, us], exclude: [{region: us}]}}
",
    },
];
