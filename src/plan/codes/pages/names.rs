//! Faults that the validator and the loader find in names, texts and files.

use crate::plan::codes::Page;

/// The pages.
pub(super) static PAGES: &[Page] = &[
    Page {
        code: "plan::bad-default",
        title: "an input that contradicts itself",
        text: "The default, the values of `enum` and the bounds must have the input's type and keep its own \
               rules.",
        bad: r"version: 1
inputs: {count: {type: int, default: many}}
stages: {build: {run: make}}
",
        good: r"version: 1
inputs: {count: {type: int, default: 3}}
stages: {build: {run: make}}
",
    },
    Page {
        code: "plan::bad-glob",
        title: "not a glob",
        text: "`*` is part of a name, `**` any folders, `?` one character, `[ab]` one of these, `{a,b}` \
               either.",
        bad: r#"version: 1
stages:
  build: {run: make, artifacts: ["dist/[a"]}
"#,
        good: r#"version: 1
stages:
  build: {run: make, artifacts: ["dist/[a]"]}
"#,
    },
    Page {
        code: "plan::bad-pattern",
        title: "not a regular expression",
        text: "The syntax is that of the Rust crate `regex`: no look-around, no back-references, and therefore \
               linear time.",
        bad: r"version: 1
inputs: {tag: {pattern: 'v(\d+'}}
stages: {build: {run: make}}
",
        good: r"version: 1
inputs: {tag: {pattern: 'v(\d+)'}}
stages: {build: {run: make}}
",
    },
    Page {
        code: "plan::duplicate-cell",
        title: "an axis value twice",
        text: "Each value of an axis makes one cell, whose id it is part of.",
        bad: r"version: 1
stages:
  ship: {run: ./ship, matrix: {region: [eu, us, eu]}}
",
        good: r"version: 1
stages:
  ship: {run: ./ship, matrix: {region: [eu, us]}}
",
    },
    Page {
        code: "plan::duplicate-name",
        title: "a name twice",
        text: "In a list of stages nothing keeps two from having one id; the engine does.",
        bad: r"version: 1
stages:
  - {id: build, run: make}
  - {id: build, run: make all}
",
        good: r"version: 1
stages:
  - {id: build, run: make}
  - {id: build-all, run: make all}
",
    },
    Page {
        code: "plan::duplicate-need",
        title: "a need twice",
        text: "Naming a stage twice in `needs` means nothing more; it is a left-over of an edit.",
        bad: r"version: 1
stages:
  build: {run: make}
  test: {run: make test, needs: [build, build]}
",
        good: r"version: 1
stages:
  build: {run: make}
  test: {run: make test, needs: [build]}
",
    },
    Page {
        code: "plan::finally-need",
        title: "a need across the border of `finally`",
        text: "When `finally` starts, every ordinary stage has ended. Its stages may need only each other, and \
               no ordinary stage may need one of them.",
        bad: r"version: 1
stages: {build: {run: make}}
finally:
  stages: {tidy: {run: make clean, needs: [build]}}
",
        good: r"version: 1
stages: {build: {run: make}}
finally:
  stages: {tidy: {run: make clean}}
",
    },
    Page {
        code: "plan::outside",
        title: "a path that leaves the project",
        text: "Stages, globs and files stay below the project's root, so that a plan means the same on every \
               machine. `allow-outside: true` lifts that for one file.",
        bad: r"version: 1
stages:
  build: {run: make, cwd: ../other}
",
        good: r"version: 1
allow-outside: true
stages:
  build: {run: make, cwd: ../other}
",
    },
    Page {
        code: "plan::pass-env",
        title: "not a variable to pass on",
        text: "`pass-env` takes names, or a prefix with one `*` at its end. A bare `*` would pass everything, \
               secrets of other tools too.",
        bad: r#"version: 1
stages:
  build: {run: make, pass-env: ["*"]}
"#,
        good: r#"version: 1
stages:
  build: {run: make, pass-env: ["AWS_*"]}
"#,
    },
    Page {
        code: "plan::reserved-env",
        title: "a variable that the engine sets",
        text: "Every attempt gets these variables from the engine; a plan that sets them too would not get \
               what it says.",
        bad: r"version: 1
stages:
  build: {run: make, env: {ENGINE_STAGE: mine}}
",
        good: r"version: 1
stages:
  build: {run: make, env: {STAGE: mine}}
",
    },
    Page {
        code: "plan::unset-variable",
        title: "a script that reads a variable of the engine that nobody sets",
        text: "Names that begin with `ENGINE_` are the engine's. A script that reads another one finds it empty, or \
               stops at it under `set -u`. Put what it wants into `env`, or name the caller's variable in `pass-env`: no prefix \
               (`ENGINE_*`) takes one along. This is a warning.",
        bad: r#"version: 1
stages:
  pack: {shards: {items: [a, b]}, run: './pack "$ENGINE_ITEM"'}
"#,
        good: r#"version: 1
stages:
  pack: {shards: {items: [a, b]}, env: {ITEM: "{{ shard.item }}"}, run: './pack "$ITEM"'}
"#,
    },
    Page {
        code: "plan::script-template",
        title: "a script that interpolates",
        text: "A script is never interpolated, so that no value can become shell code. Values reach it as \
               environment variables. Any `{{` that is not one of the engine's names is the script's own.",
        bad: r#"version: 1
inputs: {tag: {default: v1}}
stages:
  ship: {run: "./ship {{ inputs.tag }}"}
"#,
        good: r#"version: 1
inputs: {tag: {default: v1}}
stages:
  ship: {run: './ship "$TAG"', env: {TAG: "{{ inputs.tag }}"}}
"#,
    },
    Page {
        code: "plan::self-need",
        title: "a stage that needs itself",
        text: "It could never start.",
        bad: r"version: 1
stages:
  build: {run: make, needs: [build]}
",
        good: r"version: 1
stages:
  build: {run: make}
",
    },
    Page {
        code: "plan::shadow",
        title: "an action with a built-in name",
        text: "Two meanings of one `uses` would depend on who reads the plan.",
        bad: r"version: 1
actions: {approval: {run: ./ask}}
stages: {build: {run: make}}
",
        good: r"version: 1
actions: {ask: {run: ./ask}}
stages: {build: {run: make}}
",
    },
    Page {
        code: "plan::similar-names",
        title: "names that differ only in `-` and `_`",
        text: "In an expression `-` is written `_`, so both would be the same there.",
        bad: r"version: 1
stages:
  check-env: {run: ./a}
  check_env: {run: ./b}
",
        good: r"version: 1
stages:
  check-env: {run: ./a}
  check-host: {run: ./b}
",
    },
    Page {
        code: "plan::too-many-files",
        title: "a plan of too many files",
        text: "`MAX_FILES` bounds the files of one plan.",
        bad: "",
        good: r"version: 1
stages:
  build: {run: make}
",
    },
    Page {
        code: "plan::unknown-action",
        title: "an action that does not exist",
        text: "`uses` names an action under `actions`, a built-in one, or a file.",
        bad: r"version: 1
actions: {notify: {run: ./notify}}
stages: {tell: {uses: notfy}}
",
        good: r"version: 1
actions: {notify: {run: ./notify}}
stages: {tell: {uses: notify}}
",
    },
    Page {
        code: "plan::unknown-axis",
        title: "an axis that does not exist",
        text: "The matrix has no axis of this name.",
        bad: r"version: 1
stages:
  ship:
    run: ./ship
    matrix: {region: [eu, us], exclude: [{regin: us}]}
",
        good: r"version: 1
stages:
  ship:
    run: ./ship
    matrix: {region: [eu, us], exclude: [{region: us}]}
",
    },
    Page {
        code: "plan::unknown-group",
        title: "a group that does not exist",
        text: "Groups are declared under `groups` of the same file.",
        bad: r"version: 1
stages:
  build: {run: make, group: runtime}
",
        good: r"version: 1
groups: {runtime: {}}
stages:
  build: {run: make, group: runtime}
",
    },
    Page {
        code: "plan::unknown-pool",
        title: "a pool that does not exist",
        text: "Pools are declared under `pools` of the same file, with their capacity.",
        bad: r"version: 1
stages:
  build: {run: make, pools: [cpu]}
",
        good: r"version: 1
pools: {cpu: 2}
stages:
  build: {run: make, pools: [cpu]}
",
    },
    Page {
        code: "plan::unknown-stage",
        title: "a stage that does not exist",
        text: "`needs` names a stage of the same file. Needing a matrix needs all its cells, needing a `uses: \
               ./file` stage all that is in the file.",
        bad: r"version: 1
stages:
  build: {run: make}
  test: {run: make test, needs: [biuld]}
",
        good: r"version: 1
stages:
  build: {run: make}
  test: {run: make test, needs: [build]}
",
    },
    Page {
        code: "plan::unreadable",
        title: "a file that cannot be read",
        text: "Missing, a folder, without permission, too large, or not UTF-8. A path in `uses` starts from \
               the file that names it.",
        bad: r"version: 1
stages: {ship: {uses: ./gone.yaml}}
",
        good: r"version: 1
stages: {ship: {uses: ./ship.yaml}}
# file: ship.yaml
version: 1
stages: {go: {run: ./ship}}
",
    },
    Page {
        code: "plan::uses-cycle",
        title: "files that use each other in a circle",
        text: "Inlining them would never end. The whole circle is shown.",
        bad: r"version: 1
stages: {a: {uses: ./x.yaml}}
# file: x.yaml
version: 1
stages: {b: {uses: ./x.yaml}}
",
        good: r"version: 1
stages: {a: {uses: ./x.yaml}}
# file: x.yaml
version: 1
stages: {b: {run: make}}
",
    },
    Page {
        code: "plan::uses-depth",
        title: "files nested too deeply",
        text: "`MAX_USES_DEPTH` bounds how deep files may use files.",
        bad: "",
        good: r"version: 1
stages:
  build: {run: make}
",
    },
];
