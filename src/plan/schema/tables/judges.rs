//! Maps inside the settings of a gate that say who answers and who judges.

use crate::plan::schema::{Key, Shape, Table};

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
