//! Maps inside the settings of a gate that say who answers and who judges.

use crate::plan::schema::{Key, NameRule, Named, Shape, Table};

/// Names of metrics.
const NAMES: Shape = Shape::List { of: &Shape::Template, empty: false };

/// Which version answers.
pub static IDENTITY: Table = Table {
    name: "gate-identity",
    doc: "Which version has to answer, and where the answer says it: one of `json` and `header`.",
    keys: &[
        Key::new("json", Shape::Template, "a JSON pointer", "/version"),
        Key::new("header", Shape::Template, "a header", "X-Version"),
        Key::new("is", Shape::Template, "the version", r#""{{ inputs.tag }}""#).required(),
    ],
    open: None,
};

/// Who judges what.
pub static AUTHORITIES: Table = Table {
    name: "gate-authorities",
    doc: "Two authorities, each of which needs all of its own metrics.",
    keys: &[
        Key::new("correctness", NAMES, "metrics about what is right", "[errors]").required(),
        Key::new("safety", NAMES, "metrics about what is safe", "[memory, depth]").required(),
    ],
    open: None,
};

/// What passes must weigh so much.
pub static SCORE: Table = Table {
    name: "gate-score",
    doc: "Metrics that are weighed instead of counted. Each group counts by its weight, and in it each metric the same; a \
          metric without a group is one of its own.",
    keys: &[
        Key::new("pass", Shape::Any, "the share of the weights that passes", "95%").required(),
        Key::new(
            "marginal",
            Shape::Any,
            "the share below which it does not; between the two it is inconclusive",
            "75%",
        )
        .or("as `pass`"),
        Key::new(
            "weights",
            Shape::Named(Named { what: "group", rule: NameRule::Id, of: &Shape::Any }),
            "what a group weighs, 1 if it is not named",
            "{errors: 3, latency: 1}",
        ),
    ],
    open: None,
};

/// How much of an error budget must be left.
pub static BUDGET: Table = Table {
    name: "gate-budget",
    doc: "What is allowed by how much of the error budget is left.",
    keys: &[
        Key::new("over", Shape::Duration { zero: false }, "the time that the budget is for", "30d").required(),
        Key::new("hold-below", Shape::Any, "with less left a person has to agree", "30%").or("25%"),
        Key::new("fail-at", Shape::Any, "with no more left the gate fails", "5%").or("0%"),
    ],
    open: None,
};
