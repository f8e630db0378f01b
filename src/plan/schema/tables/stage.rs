//! A stage, an action, and what `defaults` may hold.

use super::parts::{ALLOWED_EXITS, CACHE, DONE_IF, MATRIX, NEED, RETRY, SHARDS, SLO_SHAPE, STOP};
use super::words::{APPROVER, FAILURE, LIFETIME, SHELL, TYPE, UNDO};
use crate::base::limits::{MAX_APPROVALS, MAX_PARALLEL};
use crate::plan::schema::{Key, NameRule, Named, Shape, Table};

/// A script or an argv.
pub(super) const RUN: Shape =
    Shape::Either(&[Shape::Text("a script"), Shape::List { of: &Shape::Template, empty: false }]);
/// Names of environment variables.
const NAMES: Shape = Shape::List { of: &Shape::Text("a variable's name"), empty: false };
/// A secret of the environment, or a secret input.
const SECRET_NAME: Shape = Shape::Text("a secret's name");
/// A length of time above zero.
const LENGTH: Shape = Shape::Duration { zero: false };
/// A stage's weights in pools.
const WEIGHT: Shape = Shape::Count { min: 1, max: MAX_PARALLEL };

/// A number of re-tries, or a map.
const RETRIES: Shape =
    Shape::Either(&[Shape::Count { min: 0, max: super::parts::MAX_RETRIES }, Shape::Map(&RETRY)]);
/// A shell's name, or an argv.
const SHELLS: Shape =
    Shape::Either(&[Shape::Word(SHELL), Shape::List { of: &Shape::Text("a word"), empty: false }]);
/// All failures, or some.
const ALLOWED: Shape = Shape::Either(&[Shape::Bool, Shape::Map(&ALLOWED_EXITS)]);
/// A body, or a word.
const UNDOES: Shape = Shape::Either(&[Shape::Map(&ROLLBACK_BODY), Shape::Word(UNDO)]);
/// Names with their types.
const TYPES: Shape = Shape::Named(Named { what: "output", rule: NameRule::Id, of: &Shape::Word(TYPE) });

const DESCRIPTION: Key = Key::new("description", Shape::Text("text"), "what it does", "Applies the migrations");
const RUN_KEY: Key = Key::new(
    "run",
    RUN,
    "a script for the shell (never interpolated), or a list of words without a shell",
    "[make, image]",
);
const TIMEOUT: Key =
    Key::new("timeout", LENGTH, "of one attempt; of a gate its whole wait", "15m").or("unbounded");
const IDLE: Key = Key::new("idle-timeout", LENGTH, "the longest time without output", "2m");
const QUEUE: Key = Key::new("queue-timeout", LENGTH, "the longest wait for a free place or pool", "10m");
const STOP_KEY: Key = Key::new("stop", Shape::Map(&STOP), "how it is asked to stop", "{signal: INT, grace: 30s}");
const RETRY_KEY: Key = Key::new("retry", RETRIES, "re-tries: a number, or a map", "{max: 2, delay: 2s}").or("0");
const SHELL_KEY: Key = Key::new(
    "shell",
    SHELLS,
    "what runs a script: a word, or an argv that gets the script's path",
    "[python3, -u]",
)
.or("strict");
const ENV: Key = Key::new(
    "env",
    Shape::Named(Named { what: "variable", rule: NameRule::Env, of: &Shape::EnvValue }),
    "environment variables; values may be templates",
    r#"{TAG: "{{ inputs.tag }}"}"#,
);
const PASS_ENV: Key = Key::new(
    "pass-env",
    NAMES,
    "variables of the caller to pass on, or a prefix with `*`",
    "[SSH_AUTH_SOCK, \"AWS_*\"]",
);
const CWD: Key =
    Key::new("cwd", Shape::Template, "the folder it runs in, from the root", "services/shop").or("the root");
const POOLS: Key = Key::new(
    "pools",
    Shape::Either(&[
        Shape::List { of: &Shape::Id("a pool's name"), empty: false },
        Shape::Named(Named { what: "pool", rule: NameRule::Id, of: &WEIGHT }),
    ]),
    "pools it takes a place in while it runs, with weights if given",
    "{database: 2}",
);
const ALLOW_FAILURE: Key = Key::new(
    "allow-failure",
    ALLOWED,
    "a failure counts as `allowed-failure`: dependants go on, the exit code does not change",
    "{exit: [3]}",
)
.or("false");
const IDEMPOTENT: Key =
    Key::new("idempotent", Shape::Bool, "`false`: after a crash never just run it again", "false").or("true");
const DONE_IF_KEY: Key = Key::new(
    "done-if",
    Shape::Map(&DONE_IF),
    "how to learn whether a cut-off attempt took effect",
    "{run: [./is-migrated]}",
);
const LIFETIME_KEY: Key =
    Key::new("lifetime", Shape::Word(LIFETIME), "how long what it started may live", "run").or("stage");
const OUTPUTS: Key =
    Key::new("outputs", TYPES, "values it writes to `$ENGINE_OUTPUT`, with their types", "{digest: string}");
const ARTIFACTS: Key = Key::new(
    "artifacts",
    Shape::List { of: &Shape::Text("a glob"), empty: false },
    "files from its `cwd`, kept by digest with the run, restored before a dependant starts",
    "[\"dist/**\"]",
);
const CACHE_KEY: Key =
    Key::new("cache", Shape::Map(&CACHE), "skips it as `cached` when nothing changed", "{sources: [\"src/**\"]}");
const ROLLBACK: Key =
    Key::new("rollback", UNDOES, "how to undo it: a body, or a word", "{run: [./undo]}").or("what it did stays");
const SECRETS: Key = Key::new(
    "secrets",
    Shape::Either(&[
        Shape::List { of: &SECRET_NAME, empty: false },
        Shape::Named(Named { what: "variable", rule: NameRule::Env, of: &SECRET_NAME }),
    ]),
    "the secrets it gets, each as the variable of its name or of another one; what a file is lent",
    "{TOKEN: KUBE_TOKEN}",
);
const HEAL: Key = Key::new(
    "heal",
    Shape::List { of: &HEALS, empty: false },
    "what is tried, one after the other, when the re-tries are used up; after each the stage is tried again",
    "[{run: [./restart], cool-down: 30s}]",
);
const SLO: Key =
    Key::new("slo", SLO_SHAPE, "how long it should take, from its first start to its end with all re-tries", "5m");

/// A stage.
pub static STAGE: Table = Table {
    name: "stage",
    doc: "A node of the DAG. It has exactly one of `run` and `uses`.",
    keys: &[
        DESCRIPTION,
        Key::new("group", Shape::Id("a group's name"), "the group it belongs to", "runtime"),
        Key::new(
            "background",
            Shape::Bool,
            "whether it starts after the verdict and never changes it; what fails for good opens a ticket",
            "true",
        )
        .or("that of its group"),
        Key::new(
            "needs",
            Shape::List { of: &Shape::Either(&[Shape::Id("a stage's id"), Shape::Map(&NEED)]), empty: true },
            "the stages that must have ended before",
            "[build, {stage: check, accept: [failed]}]",
        ),
        Key::new(
            "if",
            Shape::Expression,
            "a bare expression; when false the stage is `skipped`",
            "inputs.environment == 'production'",
        ),
        RUN_KEY,
        Key::new(
            "uses",
            Shape::Text("an action's name or a file"),
            "an action of this plan, a built-in one, or a file",
            "./lib/switch.yaml",
        ),
        Key::new(
            "with",
            Shape::Named(Named { what: "value", rule: NameRule::Id, of: &Shape::Any }),
            "the inputs of what it uses",
            r#"{prompt: "Ship {{ inputs.tag }}?"}"#,
        ),
        TIMEOUT,
        IDLE,
        QUEUE,
        STOP_KEY,
        RETRY_KEY,
        SHELL_KEY,
        ENV,
        PASS_ENV,
        CWD,
        POOLS,
        ALLOW_FAILURE,
        IDEMPOTENT,
        DONE_IF_KEY,
        LIFETIME_KEY,
        OUTPUTS,
        ARTIFACTS,
        CACHE_KEY,
        Key::new("matrix", Shape::Map(&MATRIX), "the stage once for each cell", "{region: [eu, us]}"),
        Key::new(
            "shards",
            Shape::Map(&SHARDS),
            "its items over many processes",
            "{items: {range: 1000}, size: 10}",
        ),
        Key::new(
            "on-failure",
            Shape::Word(FAILURE),
            "of a stage that uses a file: what a failure inside does",
            "continue",
        ),
        ROLLBACK,
        SECRETS,
        HEAL,
        SLO,
    ],
    open: None,
};

/// One body of `heal`.
const HEALS: Shape = Shape::Map(&HEAL_BODY);

/// What undoes a stage.
pub static ROLLBACK_BODY: Table = Table {
    name: "rollback",
    doc: "What undoes a stage, run in a rollback after everything that came after the stage was undone. It has the \
          stage's `env`, `secrets`, `pools`, `cwd`, `timeout`, `shell` and `stop` where it does not say otherwise, and sees \
          what the stage wrote as `self.outputs`.",
    keys: &[
        Key::new(
            "run",
            RUN,
            "a script for the shell (never interpolated), or a list of words without a shell",
            "[./undo]",
        )
        .required(),
        Key::new("timeout", LENGTH, "of one attempt", "15m").or("the stage's"),
        IDLE,
        STOP_KEY,
        RETRY_KEY,
        SHELL_KEY,
        ENV,
        PASS_ENV,
        CWD,
        IDEMPOTENT,
        DONE_IF_KEY,
    ],
    open: None,
};

/// What is tried to mend what a stage failed for.
pub static HEAL_BODY: Table = Table {
    name: "heal",
    doc: "What is tried to mend what a stage failed for. It has the stage's `env`, `secrets`, `pools`, `cwd`, `timeout`, \
          `shell` and `stop` where it does not say otherwise, and may be run again after a crash. When it succeeds the stage \
          is tried again; when it fails the next one is tried.",
    keys: &[
        Key::new(
            "run",
            RUN,
            "a script for the shell (never interpolated), or a list of words without a shell",
            "[./restart]",
        )
        .required(),
        Key::new(
            "cool-down",
            Shape::Duration { zero: true },
            "how long to wait after it before the stage is tried again",
            "30s",
        )
        .or("0s"),
        Key::new("timeout", LENGTH, "of one attempt", "15m").or("the stage's"),
        IDLE,
        STOP_KEY,
        RETRY_KEY,
        SHELL_KEY,
        ENV,
        PASS_ENV,
        CWD,
    ],
    open: None,
};

/// A named body.
pub static ACTION: Table = Table {
    name: "action",
    doc: "A body with a name, for `uses: NAME`. It sees the `with` of the stage that uses it as `inputs`. What the \
          stage says itself wins.",
    keys: &[
        DESCRIPTION,
        Key::new(
            "run",
            RUN,
            "a script for the shell (never interpolated), or a list of words without a shell",
            "[make, image]",
        )
        .required(),
        TIMEOUT,
        IDLE,
        QUEUE,
        STOP_KEY,
        RETRY_KEY,
        SHELL_KEY,
        ENV,
        PASS_ENV,
        CWD,
        POOLS,
        ALLOW_FAILURE,
        IDEMPOTENT,
        DONE_IF_KEY,
        LIFETIME_KEY,
        OUTPUTS,
        ARTIFACTS,
        CACHE_KEY,
        ROLLBACK,
        SECRETS,
        HEAL,
    ],
    open: None,
};

/// What `uses: approval` takes.
pub static APPROVAL: Table = Table {
    name: "approval",
    doc: "`with` of `uses: approval`: the run waits until a person approves or rejects.",
    keys: &[PROMPT, APPROVERS, DISTINCT],
    open: None,
};

const PROMPT: Key = Key::new("prompt", Shape::Template, "the question", r#""Ship {{ inputs.tag }}?""#);
const APPROVERS: Key = Key::new(
    "min",
    Shape::Count { min: 1, max: MAX_APPROVALS },
    "how many people must agree; more when the environment's policy says so",
    "2",
)
.or("1");
const PEOPLE: Shape = Shape::List { of: &Shape::Word(APPROVER), empty: false };
const DISTINCT: Key = Key::new(
    "distinct-from",
    PEOPLE,
    "who does not count, besides those whom the environment's policy names",
    "[operator, author]",
);

/// What `uses: attest` takes.
pub static ATTEST: Table = Table {
    name: "attest",
    doc: "`with` of `uses: attest`: the run waits until a person has said of each item whether it is so \
          (`engine attest`). One no, and the stage fails.",
    keys: &[
        Key::new(
            "items",
            Shape::Named(Named { what: "item", rule: NameRule::Id, of: &Shape::Template }),
            "what has to be so, each under a name",
            "{tests: the full test script has passed, docs: the changelog names the version}",
        )
        .required(),
        PROMPT,
        APPROVERS,
        DISTINCT,
    ],
    open: None,
};

/// What the built-in actions on environments take.
pub static ENV_ACTION: Table = Table {
    name: "env-action",
    doc: "`with` of `uses: env.check`, `env.render`, `env.diff` and `env.parity`. Each does what `engine env` does, as a \
          stage; `env.render` has the outputs `number`, `redacted_sha256` and `manifest`.",
    keys: &[
        Key::new("environment", Shape::Template, "the environment", "router/staging").or("the plan's own"),
        Key::new("declared", Shape::Bool, "of `env.check`: only what the files say", "true").or("false"),
        Key::new("file", Shape::Template, "of `env.render`: only this file", "runtime").or("all of them"),
        Key::new("to", Shape::Template, "of `env.render`: another place for it", r#""{{ vars.dir }}/app.env""#),
        Key::new("with", Shape::Template, "of `env.parity`: the other environment", "router/production")
            .or("what its policy says"),
        Key::new("max-drift", Shape::Template, "of `env.parity`: the share that must not be reached", "5%")
            .or("what its policy says"),
    ],
    open: None,
};

/// What is laid under every stage.
pub static DEFAULTS: Table = Table {
    name: "defaults",
    doc: "Laid under every stage of the file that is not a gate; what a stage or its action says wins. Of `env` each \
          variable on its own.",
    keys: &[TIMEOUT, IDLE, QUEUE, STOP_KEY, RETRY_KEY, SHELL_KEY, ENV, PASS_ENV, CWD],
    open: None,
};
