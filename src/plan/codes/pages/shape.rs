//! Faults that the decoder finds: keys, types and words.

use crate::plan::codes::Page;

/// The pages.
pub(super) static PAGES: &[Page] = &[
    Page {
        code: "plan::bad-duration",
        title: "not a duration",
        text: "A duration is whole numbers with units that descend: d, h, m, s, ms. The longest is `3650d`.",
        bad: r"version: 1
stages:
  build: {run: make, timeout: 10 minutes}
",
        good: r"version: 1
stages:
  build: {run: make, timeout: 10m}
",
    },
    Page {
        code: "plan::bad-name",
        title: "a name that breaks the rule",
        text: "Ids and names match `[a-z][a-z0-9_-]{0,63}`, so that they can stand in expressions, paths and \
               on the command line. Environment variables match `[A-Za-z_][A-Za-z0-9_]*`.",
        bad: r"version: 1
stages:
  BuildAll: {run: make}
",
        good: r"version: 1
stages:
  build-all: {run: make}
",
    },
    Page {
        code: "plan::bad-uses",
        title: "a `uses` that names nothing",
        text: "`uses` is the name of an action, or a file that begins with `./` or `../`. It is written out: \
               what a plan consists of is known before anything runs. Files from the network are not fetched.",
        bad: r"version: 1
stages:
  ship: {uses: lib/ship.yaml}
# file: lib/ship.yaml
version: 1
stages: {go: {run: ./ship}}
",
        good: r"version: 1
stages:
  ship: {uses: ./lib/ship.yaml}
# file: lib/ship.yaml
version: 1
stages: {go: {run: ./ship}}
",
    },
    Page {
        code: "plan::empty",
        title: "something without content",
        text: "An empty list or text says nothing, and is most often a mistake. Leave the key out, or write \
               something.",
        bad: r"version: 1
stages:
  build: {run: []}
",
        good: r"version: 1
stages:
  build: {run: [make]}
",
    },
    Page {
        code: "plan::misplaced-key",
        title: "a key that does not fit this stage",
        text: "Some keys belong to one kind of stage only: `with` to one that `uses` something, `shell` to a \
               script, `on-failure` to a scope, and what steers a process does not fit a gate or a file.",
        bad: r"version: 1
stages:
  ok: {uses: approval, done-if: {run: [./asked]}}
",
        good: r"version: 1
stages:
  ok: {uses: approval, timeout: 4h}
",
    },
    Page {
        code: "plan::missing-key",
        title: "a required key is missing",
        text: "Without it the engine would have to guess.",
        bad: r"version: 1
name: tiny
",
        good: r"version: 1
stages:
  build: {run: make}
",
    },
    Page {
        code: "plan::no-unit",
        title: "a duration without a unit",
        text: "A bare number could be seconds, minutes or milliseconds. The wrong guess is found at three in \
               the morning.",
        bad: r"version: 1
stages:
  build: {run: make, timeout: 30}
",
        good: r"version: 1
stages:
  build: {run: make, timeout: 30s}
",
    },
    Page {
        code: "plan::not-in-action",
        title: "a key of the plan in an action file",
        text: "A file that is used as `uses: ./file` becomes part of the plan. What belongs to the whole run \
               (its lock, timeout, environment, clean-up) is said once, in the plan.",
        bad: r"version: 1
stages: {ship: {uses: ./ship.yaml}}
# file: ship.yaml
version: 1
timeout: 1h
stages: {go: {run: ./ship}}
",
        good: r"version: 1
timeout: 1h
stages: {ship: {uses: ./ship.yaml}}
# file: ship.yaml
version: 1
stages: {go: {run: ./ship}}
",
    },
    Page {
        code: "plan::nul",
        title: "a text with a NUL",
        text: "The system ends each argument, variable and path at its first NUL, so a text that has one can be given \
               to no process: the stage could only fail, after others had run. Pass bytes in base64, or in a file. \
               Items of shards may hold a NUL with `items-format: json`.",
        bad: r#"version: 1
stages:
  show: {run: [printf, "%s", "left\0right"]}
"#,
        good: r"version: 1
stages:
  show: {run: [printf, '%s\0', left, right]}
",
    },
    Page {
        code: "plan::one-of",
        title: "none or several where exactly one is wanted",
        text: "A stage has one of `run` and `uses`; `items` has one source.",
        bad: r"version: 1
stages:
  build: {run: make, uses: ./build.yaml}
",
        good: r"version: 1
stages:
  build: {run: make}
",
    },
    Page {
        code: "plan::out-of-range",
        title: "a number outside its bounds",
        text: "The message names the bounds.",
        bad: r"version: 1
max-parallel: 0
stages: {build: {run: make}}
",
        good: r"version: 1
max-parallel: 1
stages: {build: {run: make}}
",
    },
    Page {
        code: "plan::unknown-key",
        title: "a key that does not exist",
        text: "Keys are kebab-case, and every key is checked: a misspelt `timeout` must not become no timeout.",
        bad: r"version: 1
stages:
  build: {run: make, time-out: 5m}
",
        good: r"version: 1
stages:
  build: {run: make, timeout: 5m}
",
    },
    Page {
        code: "plan::unknown-word",
        title: "a word that is not in the set",
        text: "The key takes one of a few words; the message lists them.",
        bad: r"version: 1
on-failure: stop
stages: {build: {run: make}}
",
        good: r"version: 1
on-failure: drain
stages: {build: {run: make}}
",
    },
    Page {
        code: "plan::unquoted",
        title: "a bare value where text is wanted",
        text: "`true`, `5` and `1.10` are no strings: as text, `1.10` would become `1.1` and `yes` something \
               else again. Put them in quotes.",
        bad: r"version: 1
stages:
  build: {run: [make, -j, 5]}
",
        good: r#"version: 1
stages:
  build: {run: [make, -j, "5"]}
"#,
    },
    Page {
        code: "plan::version",
        title: "the version of the language",
        text: "Every file says `version: 1`. A newer number means a newer engine.",
        bad: r"version: 2
stages: {build: {run: make}}
",
        good: r"version: 1
stages:
  build: {run: make}
",
    },
    Page {
        code: "plan::wrong-type",
        title: "a value of the wrong type",
        text: "The message says what it is, what is wanted, and shows the right spelling.",
        bad: r"version: 1
stages:
  build: {run: make}
  test: {run: make test, needs: build}
",
        good: r"version: 1
stages:
  build: {run: make}
  test: {run: make test, needs: [build]}
",
    },
];
