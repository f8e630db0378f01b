//! The files of an environment: its catalog, its layers, its exceptions.

use super::words::{APPROVER, FORMAT, PARITY, TYPE, WAIVED};
use crate::base::limits::MAX_APPROVALS;
use crate::plan::schema::{Key, NameRule, Named, Shape, Table};

/// Names of environments.
const ENVIRONMENTS: Shape = Shape::List { of: &Shape::Id("an environment's name"), empty: true };
/// Lengths of a value.
const LENGTH: Shape = Shape::Count { min: 1, max: 65_536 };
/// A regular expression for all environments, or one for each.
const PATTERNS: Shape = Shape::Either(&[
    Shape::Text("a regular expression"),
    Shape::Named(Named { what: "environment", rule: NameRule::Id, of: &Shape::Text("a regular expression") }),
]);
/// A folder's share of what differs.
const SHARE: Shape = Shape::Text("a share in percent, like `5%`");

/// A catalog: `environments/catalog.yaml`.
pub static CATALOG: Table = Table {
    name: "catalog",
    doc: "Every key that the environments of one folder may have: `environments/catalog.yaml`, or \
          `environments/router/catalog.yaml` for `router/…`.",
    keys: &[
        Key::new("description", Shape::Text("text"), "what the keys are for", "Settings of the shop"),
        Key::new(
            "keys",
            Shape::Named(Named { what: "key", rule: NameRule::Key, of: &Shape::Map(&CATALOG_KEY) }),
            "the keys",
            "{PORT: {type: int, default: 8000}}",
        )
        .required(),
    ],
    open: None,
};

/// One key of a catalog.
pub static CATALOG_KEY: Table = Table {
    name: "catalog-key",
    doc: "What one key must be. Without `default` and without `required-in` every environment must give it.",
    keys: &[
        Key::new("type", Shape::Word(TYPE), "its type", "url").or("string"),
        Key::new("description", Shape::Text("text"), "what it is for", "Where the shop listens"),
        Key::new("secret", Shape::Bool, "its value is never shown or stored", "true").or("false"),
        Key::new("default", Shape::Any, "its value where no layer gives one", "8000"),
        Key::new(
            "enum",
            Shape::List { of: &Shape::Any, empty: false },
            "the values that are allowed",
            "[debug, info, warn]",
        ),
        Key::new(
            "pattern",
            PATTERNS,
            "what must match somewhere in it; a map says it for each environment",
            "'^sk_'",
        ),
        Key::new("min", Shape::Any, "the least, for a number, duration or size", "1"),
        Key::new("max", Shape::Any, "the most, for a number, duration or size", "65535"),
        Key::new("min-length", LENGTH, "the least number of characters", "32"),
        Key::new("required-in", ENVIRONMENTS, "who must give it; an empty list: nobody", "[production]")
            .or("every environment, unless there is a default"),
        Key::new(
            "checksum-of",
            Shape::Text("a file or a key"),
            "its value is the SHA-256 of this file, named from the root, or of this other key's value",
            "config/personas.json",
        ),
        Key::new("parity", Shape::Word(PARITY), "what two environments must have in common", "presence")
            .or("equal"),
        Key::new("rotate-every", Shape::Duration { zero: false }, "the greatest age of a secret", "90d"),
        Key::new("free-port", Shape::Bool, "`env check` wants nothing to listen on this port yet", "true")
            .or("false"),
        Key::new(
            "injected",
            Shape::Bool,
            "a variable of this name in the engine's own environment wins over all layers",
            "true",
        )
        .or("false"),
        Key::new("owner", Shape::Text("a name"), "who answers for it", "team-payments"),
    ],
    open: None,
};

/// One layer: `environments/staging.yaml`.
pub static ENVIRONMENT: Table = Table {
    name: "environment",
    doc: "One layer of values, `environments/staging.yaml`. Maps are merged key by key with those of the layer that \
          it extends; lists and everything else replace.",
    keys: &[
        Key::new("description", Shape::Text("text"), "which place it is", "Where releases are tried"),
        Key::new("extends", Shape::Id("an environment's name"), "the layer below, in the same folder", "base"),
        Key::new(
            "values",
            Shape::Named(Named { what: "key", rule: NameRule::Key, of: &Shape::Any }),
            "values of the catalog's keys",
            "{LOG_LEVEL: info}",
        ),
        Key::new(
            "unset",
            Shape::List { of: &Shape::Text("a key"), empty: false },
            "keys of the layers below that are taken away; `FLAGS.beta` takes one entry of a map",
            "[LOG_LEVEL]",
        ),
        Key::new(
            "secrets",
            Shape::Named(Named { what: "secret", rule: NameRule::Key, of: &Shape::Map(&SECRET) }),
            "where each secret comes from",
            "{API_KEY: {from: {env: API_KEY}}}",
        ),
        Key::new(
            "files",
            Shape::Named(Named { what: "file", rule: NameRule::Id, of: &Shape::Map(&RENDERED) }),
            "what is rendered for this environment",
            "{runtime: {template: shop.env.j2, to: run/shop.env, format: dotenv}}",
        ),
        Key::new(
            "policy",
            Shape::Map(&POLICY),
            "what must hold before anything is changed here",
            "{production: true}",
        ),
    ],
    open: None,
};

/// Where a secret comes from.
pub static SECRET: Table = Table {
    name: "secret",
    doc: "A secret is declared here and never stored.",
    keys: &[
        Key::new("from", Shape::Map(&SECRET_SOURCE), "where its value is", "{file: /run/secrets/db}").required(),
        Key::new("rotated-at", Shape::Text("a date"), "the day it was last changed", "'2026-10-01'"),
        Key::new("version", Shape::Text("a version"), "which version it is, for the record", "v7"),
    ],
    open: None,
};

/// Exactly one of these.
pub static SECRET_SOURCE: Table = Table {
    name: "secret-source",
    doc: "Where a secret's value is: exactly one of these.",
    keys: &[
        Key::new("env", Shape::Text("a variable's name"), "a variable of the caller's environment", "API_KEY"),
        Key::new("file", Shape::Text("a path"), "a file, readable by nobody else", "/run/secrets/db"),
        Key::new(
            "command",
            Shape::List { of: &Shape::Text("a word"), empty: false },
            "what this command prints",
            "[pass, show, shop/db]",
        ),
        Key::new(
            "age",
            Shape::Map(&AGE),
            "a file that was encrypted by age",
            "{file: secrets/db.age, identity: key.txt}",
        ),
        Key::new(
            "vault",
            Shape::Map(&VAULT),
            "a field of a secret in Vault's KV version 2",
            "{path: secret/shop, field: db}",
        ),
        Key::new("credential", Shape::Text("a credential's name"), "a credential that systemd passed", "db"),
    ],
    open: None,
};

/// A file encrypted by age.
pub static AGE: Table = Table {
    name: "age",
    doc: "A file that was encrypted by age.",
    keys: &[
        Key::new("file", Shape::Text("a path"), "the encrypted file, from the root", "secrets/db.age").required(),
        Key::new("identity", Shape::Text("a path"), "the file with the key that opens it", "key.txt").required(),
    ],
    open: None,
};

/// A field in Vault.
pub static VAULT: Table = Table {
    name: "vault",
    doc: "A field of a secret in Vault's KV version 2, over HTTP.",
    keys: &[
        Key::new("path", Shape::Text("a path"), "the mount and the secret's path below it", "secret/shop")
            .required(),
        Key::new("field", Shape::Text("a field"), "the field", "db").required(),
        Key::new("address", Shape::Text("a URL"), "the server", "http://127.0.0.1:8200").or("`$VAULT_ADDR`"),
        Key::new("token-file", Shape::Text("a path"), "the file with the token", "/run/vault/token")
            .or("`$VAULT_TOKEN`"),
        Key::new("version", Shape::Count { min: 1, max: u32::MAX }, "which version", "7").or("the newest"),
    ],
    open: None,
};

/// A file that is rendered.
pub static RENDERED: Table = Table {
    name: "rendered-file",
    doc: "A file that `env render` writes.",
    keys: &[
        Key::new("template", Shape::Text("a path"), "the template, below `templates/`", "shop.env.j2").required(),
        Key::new("to", Shape::Text("a path"), "where it is written, from the root", "run/shop.env").required(),
        Key::new("mode", Shape::Text("an octal mode"), "the file's mode, in quotes", "'0400'").or("'0600'"),
        Key::new("require-tmpfs", Shape::Bool, "it may only be written where nothing reaches a disk", "true")
            .or("false"),
        Key::new(
            "format",
            Shape::Word(FORMAT),
            "what it is parsed back as, to prove that it says what was meant",
            "dotenv",
        )
        .or("text"),
    ],
    open: None,
};

/// The policy of an environment.
pub static POLICY: Table = Table {
    name: "policy",
    doc: "What must hold before anything is changed in an environment.",
    keys: &[
        Key::new("production", Shape::Bool, "users depend on it: the strict rules count", "true").or("false"),
        Key::new("parity", Shape::Map(&PARITY_RULE), "how far it may differ from another one", "{with: staging}"),
        Key::new("approvals", Shape::Map(&APPROVALS), "who must agree", "{min: 2, distinct-from: [author]}"),
        Key::new(
            "freeze",
            Shape::List { of: &Shape::Map(&FREEZE), empty: true },
            "when nothing is changed",
            "[{from: '2026-12-20T00:00', to: '2027-01-02T00:00', tz: Europe/Berlin, reason: holidays}]",
        ),
    ],
    open: None,
};

/// How far two environments may differ.
pub static PARITY_RULE: Table = Table {
    name: "parity",
    doc: "How far an environment may differ from another one of the same folder.",
    keys: &[
        Key::new("with", Shape::Id("an environment's name"), "the other one", "staging").required(),
        Key::new("max-drift", SHARE, "the share of keys that may not be reached", "5%").or("5%"),
    ],
    open: None,
};

/// Who must agree.
pub static APPROVALS: Table = Table {
    name: "approvals",
    doc: "Who must agree to a change.",
    keys: &[
        Key::new("min", Shape::Count { min: 1, max: MAX_APPROVALS }, "how many", "2").or("1"),
        Key::new(
            "distinct-from",
            Shape::List { of: &Shape::Word(APPROVER), empty: false },
            "who does not count",
            "[author, operator]",
        ),
        Key::new(
            "keys",
            Shape::Named(Named { what: "approver", rule: NameRule::Id, of: &Shape::Text("a public key") }),
            "who may agree, each with the public key that their yes is signed with (`engine keys new`)",
            "{ann: 'ed25519:PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw='}",
        ),
    ],
    open: None,
};

/// A time in which nothing is changed.
pub static FREEZE: Table = Table {
    name: "freeze",
    doc: "A time in which nothing is changed; a rollback always may.",
    keys: &[
        Key::new("from", Shape::Text("a date and time"), "its first moment", "'2026-12-20T00:00'").required(),
        Key::new("to", Shape::Text("a date and time"), "the moment after its last", "'2027-01-02T00:00'")
            .required(),
        Key::new("tz", Shape::Text("a time zone"), "the time zone of both", "Europe/Berlin").or("UTC"),
        Key::new("reason", Shape::Text("text"), "why", "holidays").required(),
    ],
    open: None,
};

/// The exceptions of one folder.
pub static EXCEPTIONS: Table = Table {
    name: "exceptions",
    doc: "Differences that were agreed on: `exceptions.yaml` beside the catalog.",
    keys: &[Key::new(
        "exceptions",
        Shape::List { of: &Shape::Map(&EXCEPTION), empty: true },
        "the exceptions",
        "[{key: LOG_LEVEL, environments: [staging, production], ticket: OPS-7, reason: noise, until: '2026-12-31'}]",
    )
    .required()],
    open: None,
};

/// One exception.
pub static EXCEPTION: Table = Table {
    name: "exception",
    doc: "A difference that was agreed on, until a day.",
    keys: &[
        Key::new("key", Shape::Text("a key"), "the key", "LOG_LEVEL").required(),
        Key::new("environments", ENVIRONMENTS, "between which environments, or in which", "[staging, production]")
            .required(),
        Key::new("ticket", Shape::Text("a ticket's id"), "where it was agreed on", "OPS-7").required(),
        Key::new("reason", Shape::Text("text"), "why", "staging is noisier").required(),
        Key::new("approver", Shape::Text("a name"), "who agreed", "ann"),
        Key::new("until", Shape::Text("a date"), "the last day on which it counts", "'2026-12-31'").required(),
        Key::new("waives", Shape::Word(WAIVED), "what it excuses", "rotation").or("parity"),
    ],
    open: None,
};
