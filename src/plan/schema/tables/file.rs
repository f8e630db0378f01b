//! The top level of a plan or action file, and the maps that only stand there.

use super::parts::SLO_SHAPE;
use super::words::{FAILURE, ON_BUSY, READINESS, TYPE};
use super::{ACTION, DEFAULTS, STAGE};
use crate::base::limits::{MAX_HEAL_DEPTH, MAX_PARALLEL};
use crate::plan::schema::{Key, NameRule, Named, Shape, Table};

/// A count of at least one.
const COUNT: Shape = Shape::Count { min: 1, max: MAX_PARALLEL };

/// A plan or action file.
pub static FILE: Table = Table {
    name: "file",
    doc: "A plan. A file that is used as `uses: ./file.yaml` is an action file and may have only the keys marked \
          `action files`; its stages become `stage/sub-stage` of the plan.",
    keys: &[
        Key::new("version", Shape::Version, "the version of the language", "1").required().in_action_file(),
        Key::new("name", Shape::Name, "the name of the plan", "shop-release")
            .or("the file's name without its ending")
            .in_action_file(),
        Key::new("description", Shape::Text("text"), "what the plan is for", "Build and roll out the shop").in_action_file(),
        Key::new(
            "inputs",
            Shape::Named(Named { what: "input", rule: NameRule::Id, of: &Shape::Map(&INPUT) }),
            "typed values that a run is started with: `--set`, `--inputs`, `ENGINE_INPUT_NAME`; for an action file `with`",
            "{tag: {type: string}}",
        )
        .in_action_file(),
        Key::new(
            "outputs",
            Shape::Named(Named {
                what: "output",
                rule: NameRule::Id,
                of: &Shape::Either(&[Shape::Template, Shape::Map(&OUTPUT)]),
            }),
            "what an action file gives to the plan that uses it: templates over its own stages",
            r#"{url: "{{ needs.switch.outputs.url }}"}"#,
        )
        .in_action_file(),
        Key::new(
            "vars",
            Shape::Named(Named { what: "variable", rule: NameRule::Id, of: &Shape::Any }),
            "values computed once at the start from inputs and earlier vars",
            r#"{image: "shop:{{ inputs.tag }}"}"#,
        )
        .in_action_file(),
        Key::new("environment", Shape::Template, "the environment, a name below `environments/`: its values are `env.…`", "staging"),
        Key::new("max-parallel", COUNT, "attempts at once; `-j` overrides", "8").or("the number of processors"),
        Key::new(
            "pools",
            Shape::Named(Named { what: "pool", rule: NameRule::Id, of: &COUNT }),
            "weighted limits inside a run: name and capacity; an action file's pool is that of the plan when the \
             plan has one of the same name",
            "{database: 1}",
        )
        .in_action_file(),
        Key::new("lock", Shape::Map(&LOCK), "a lock across runs", "{name: deploy/staging, on-busy: fail}"),
        Key::new("timeout", Shape::Duration { zero: false }, "how long the run may take in all", "2h"),
        Key::new("slo", SLO_SHAPE, "how long the run should take, from its begin to its verdict", "{duration: 20m, on-breach: warn}"),
        Key::new("on-failure", Shape::Word(FAILURE), "what a failure does to the rest of the run", "continue").or("drain"),
        Key::new(
            "heal-depth",
            Shape::Count { min: 1, max: MAX_HEAL_DEPTH },
            "how many bodies of `heal` are tried for one failure before only a person may go on",
            "5",
        )
        .or("5"),
        Key::new("defaults", Shape::Map(&DEFAULTS), "laid under every stage that is not a gate", "{timeout: 15m}")
            .in_action_file(),
        Key::new("allow-outside", Shape::Bool, "lets paths leave the project's root", "true").or("false").in_action_file(),
        Key::new(
            "groups",
            Shape::Named(Named { what: "group", rule: NameRule::Id, of: &Shape::Map(&GROUP) }),
            "stages with one failure scope",
            "{runtime: {on-failure: continue}}",
        )
        .in_action_file(),
        Key::new(
            "actions",
            Shape::Named(Named { what: "action", rule: NameRule::Id, of: &Shape::Map(&ACTION) }),
            "named bodies for `uses: NAME`",
            r#"{notify: {run: [./notify, "{{ inputs.text }}"]}}"#,
        )
        .in_action_file(),
        Key::new(
            "stages",
            Shape::Stages(Named { what: "stage", rule: NameRule::Id, of: &Shape::Map(&STAGE) }),
            "the stages: a map of id to stage, or a list whose items carry `id`",
            "{build: {run: make}}",
        )
        .required()
        .in_action_file(),
        Key::new("finally", Shape::Map(&FINALLY), "stages that run at the end, whatever happened", "{stages: {tidy: {run: make clean}}}"),
    ],
    open: None,
};

/// A declared input.
pub static INPUT: Table = Table {
    name: "input",
    doc: "A typed value from outside. Without `default` it is required.",
    keys: &[
        Key::new("type", Shape::Word(TYPE), "its type", "string").or("string"),
        Key::new("description", Shape::Text("text"), "what it is for", "The tag to ship"),
        Key::new("default", Shape::Any, "its value when none is given", "staging"),
        Key::new(
            "enum",
            Shape::List { of: &Shape::Any, empty: false },
            "the values that are allowed",
            "[staging, production]",
        ),
        Key::new(
            "pattern",
            Shape::Text("a regular expression"),
            "a regular expression that must match somewhere in it",
            r"'^v\d+$'",
        ),
        Key::new("min", Shape::Any, "the least, for a number, duration or size", "1"),
        Key::new("max", Shape::Any, "the most, for a number, duration or size", "100"),
        Key::new(
            "from-env",
            Shape::Text("the name of an environment variable"),
            "a variable of the caller that gives it when nothing else does; in a file that is used, `with` does",
            "SHOP_TAG",
        ),
        Key::new(
            "secret",
            Shape::Bool,
            "no expression reads it and it is kept nowhere; a stage gets it by `secrets`",
            "true",
        )
        .or("false"),
    ],
    open: None,
};

/// A declared output of an action file.
pub static OUTPUT: Table = Table {
    name: "file-output",
    doc: "A value that an action file gives back. The template alone is enough for a string.",
    keys: &[
        Key::new("type", Shape::Word(TYPE), "its type", "url").or("string"),
        Key::new(
            "value",
            Shape::Template,
            "a template over the file's stages",
            r#""{{ needs.switch.outputs.url }}""#,
        )
        .required(),
        Key::new("description", Shape::Text("text"), "what it is", "Where the release is served"),
    ],
    open: None,
};

/// The run lock.
pub static LOCK: Table = Table {
    name: "lock",
    doc: "A lock across runs. It belongs to the run: kept while it waits, is interrupted or can be resumed.",
    keys: &[
        Key::new("name", Shape::Template, "its name", r#""deploy/{{ inputs.environment }}""#).required(),
        Key::new("on-busy", Shape::Word(ON_BUSY), "what to do when another run holds it", "fail").or("wait"),
        Key::new("wait", Shape::Duration { zero: false }, "how long to wait for it", "30m").or("without end"),
    ],
    open: None,
};

/// A group of stages.
pub static GROUP: Table = Table {
    name: "group",
    doc: "Stages with one failure scope.",
    keys: &[
        Key::new("description", Shape::Text("text"), "what its stages do together", "Brings the services up"),
        Key::new("on-failure", Shape::Word(FAILURE), "what a failure in it does", "continue")
            .or("that of the plan; `continue` with `readiness: optional`"),
        Key::new(
            "slo",
            SLO_SHAPE,
            "how long the group should take, from the start of its first stage to the end of its last",
            "7m",
        ),
        Key::new(
            "background",
            Shape::Bool,
            "whether its stages start after the verdict and never change it",
            "true",
        )
        .or("false"),
        Key::new("readiness", Shape::Word(READINESS), "whether the run counts as failed with it", "optional")
            .or("required"),
    ],
    open: None,
};

/// The clean-up.
pub static FINALLY: Table = Table {
    name: "finally",
    doc: "Stages that run when everything else has ended, also after a failure, a timeout or a cancel.",
    keys: &[
        Key::new(
            "budget",
            Shape::Duration { zero: false },
            "time for them, reserved inside the run's `timeout`",
            "3m",
        ),
        Key::new(
            "stages",
            Shape::Stages(Named { what: "stage", rule: NameRule::Id, of: &Shape::Map(&STAGE) }),
            "the stages; they may need only each other",
            "{notify: {run: ./notify.sh}}",
        )
        .required(),
    ],
    open: None,
};
