//! Faults that the readers of YAML, TOML and JSON find.

use crate::plan::codes::Page;

/// The pages.
pub(super) static PAGES: &[Page] = &[
    Page {
        code: "plan::control-character",
        title: "a control character in the file",
        text: "A plan is text. NUL and other control characters hide what a person would read, so they are \
               refused before anything else is looked at.",
        bad: "",
        good: r"version: 1
stages:
  build: {run: make}
",
    },
    Page {
        code: "plan::datetime",
        title: "a date without quotes",
        text: "TOML has dates as values, YAML and JSON have not, and a plan means the same in all of them. Put the date in \
               quotes: it is then text.",
        bad: r#"# file: plan.toml
version = 1
vars.freeze = 2026-12-20
[stages.build]
run = "make"
"#,
        good: r#"# file: plan.toml
version = 1
vars.freeze = "2026-12-20"
[stages.build]
run = "make"
"#,
    },
    Page {
        code: "plan::duplicate-key",
        title: "a key twice in one map",
        text: "The second value would silently replace the first. Both places are shown.",
        bad: r"version: 1
stages:
  build: {run: make}
  build: {run: make all}
",
        good: r"version: 1
stages:
  build: {run: make}
  build-all: {run: make all}
",
    },
    Page {
        code: "plan::escape",
        title: "a broken escape in a string",
        text: "A backslash in JSON must be followed by one of the letters that JSON knows, and a surrogate \
               must come as a pair.",
        bad: r#"# file: plan.json
{"version": 1, "stages": {"a": {"run": "echo \q"}}}
"#,
        good: r#"# file: plan.json
{"version": 1, "stages": {"a": {"run": "echo \\q"}}}
"#,
    },
    Page {
        code: "plan::file-kind",
        title: "a file that is neither YAML, TOML nor JSON",
        text: "The ending of the name says how a plan is read: `.yaml`, `.yml`, `.toml` or `.json`.",
        bad: r"# file: plan.txt
version: 1
stages: {build: {run: make}}
",
        good: r"version: 1
stages:
  build: {run: make}
",
    },
    Page {
        code: "plan::key",
        title: "a key that is no string",
        text: "Keys are strings: not numbers, booleans, lists or aliases. A bare `1:` or `true:` needs quotes, \
               and then it must be a key that exists.",
        bad: r"version: 1
stages:
  1: {run: make}
",
        good: r"version: 1
stages:
  one: {run: make}
",
    },
    Page {
        code: "plan::merge",
        title: "a `<<` that merges no map",
        text: "`<<` takes an alias of a map, or a list of such.",
        bad: r"version: 1
stages:
  build: {<<: make, run: make}
",
        good: r"version: 1
defaults: &slow
  timeout: 1h
stages:
  build:
    <<: *slow
    run: make
",
    },
    Page {
        code: "plan::number",
        title: "a number that cannot be read",
        text: "A number that does not fit into 64 bits, or one with leading zeros, which would be octal to \
               some and decimal to others.",
        bad: r"version: 1
max-parallel: 007
stages: {build: {run: make}}
",
        good: r"version: 1
max-parallel: 7
stages: {build: {run: make}}
",
    },
    Page {
        code: "plan::several-documents",
        title: "more than one YAML document",
        text: "A file holds one plan. Put the second document into a file of its own.",
        bad: r"version: 1
stages: {build: {run: make}}
---
version: 1
",
        good: r"version: 1
stages:
  build: {run: make}
",
    },
    Page {
        code: "plan::syntax-json",
        title: "not JSON",
        text: "The file ends in `.json` and is not well-formed. The mark stands where reading stopped.",
        bad: r#"# file: plan.json
{"version": 1, "stages": {"a": {"run": "make"}
"#,
        good: r#"# file: plan.json
{"version": 1, "stages": {"a": {"run": "make"}}}
"#,
    },
    Page {
        code: "plan::syntax-toml",
        title: "not TOML",
        text: "The file ends in `.toml` and is not well-formed. The mark stands where reading stopped.",
        bad: r#"# file: plan.toml
version = 1
[stages.build
run = "make"
"#,
        good: r#"# file: plan.toml
version = 1
[stages.build]
run = "make"
"#,
    },
    Page {
        code: "plan::syntax-yaml",
        title: "not YAML",
        text: "The file ends in `.yaml` or `.yml` and is not well-formed. The mark stands where reading \
               stopped.",
        bad: r"version: 1
stages:
  build: {run: [make, image}
",
        good: r"version: 1
stages:
  build: {run: [make, image]}
",
    },
    Page {
        code: "plan::tab",
        title: "a tab where it may not stand",
        text: "YAML is indented with spaces; in a JSON string a tab is written `\\t`.",
        bad: r"version: 1
stages:
	build: {run: make}
",
        good: r"version: 1
stages:
  build: {run: make}
",
    },
    Page {
        code: "plan::tag",
        title: "a YAML tag that means nothing",
        text: "Only `!!str`, `!!int`, `!!float`, `!!bool` and `!!null` are read, and only on values that they \
               fit.",
        bad: r"version: 1
stages:
  build: {run: !shell make}
",
        good: r"version: 1
stages:
  build: {run: make}
",
    },
    Page {
        code: "plan::too-deep",
        title: "values nested too deeply",
        text: "`MAX_DEPTH` bounds the nesting of values. No plan that a person writes comes near.",
        bad: "",
        good: r"version: 1
stages:
  build: {run: make}
",
    },
    Page {
        code: "plan::too-large",
        title: "a file that is too large",
        text: "`MAX_FILE_BYTES` bounds a plan file. Put bulk data into a file that a stage reads.",
        bad: "",
        good: r"version: 1
stages:
  build: {run: make}
",
    },
    Page {
        code: "plan::too-many-aliases",
        title: "aliases that grow without measure",
        text: "A few lines of aliases of aliases can stand for billions of values. `MAX_ALIAS_NODES` bounds \
               what they add.",
        bad: "",
        good: r"version: 1
stages:
  build: {run: make}
",
    },
    Page {
        code: "plan::unknown-anchor",
        title: "an alias without its anchor",
        text: "`*name` must come after `&name` in the same file.",
        bad: r"version: 1
stages:
  build: *common
",
        good: r"version: 1
stages:
  build: &common {run: make}
  again: *common
",
    },
    Page {
        code: "plan::unquoted-template",
        title: "a template without quotes",
        text: "YAML reads `{{` as the start of a map. A value that begins with a template needs quotes.",
        bad: r"version: 1
inputs: {tag: {default: v1}}
stages:
  build: {run: [make], env: {TAG: {{ inputs.tag }}}}
",
        good: r#"version: 1
inputs: {tag: {default: v1}}
stages:
  build: {run: [make], env: {TAG: "{{ inputs.tag }}"}}
"#,
    },
];
