//! The closed sets of words.

use crate::plan::schema::Choice;

/// The types of inputs and outputs.
pub static TYPE: &[Choice] = &[
    Choice::new("string", "text"),
    Choice::new("int", "a whole number"),
    Choice::new("float", "a number"),
    Choice::new("bool", "`true` or `false`"),
    Choice::new("duration", "`90s`, `1h30m`"),
    Choice::new("size", "bytes with a unit: `10MiB`, `4kB`, `12B`"),
    Choice::new("url", "an absolute URL"),
    Choice::new("list", "a list"),
    Choice::new("map", "a map"),
];

/// What a failure in a scope does to the rest.
pub static FAILURE: &[Choice] = &[
    Choice::new("drain", "what runs ends, nothing new starts in the run"),
    Choice::new("kill", "as `drain`, and the running stages of the scope are stopped"),
    Choice::new("continue", "the failure stays in the scope; its dependants are blocked, the rest goes on"),
    Choice::new("rollback", "drain, then undo what the scope has done"),
];

/// How a stage is undone without a body.
pub static UNDO: &[Choice] = &[
    Choice::new("none", "there is nothing to undo"),
    Choice::new("forward-only", "it cannot be undone: an automatic rollback stops here"),
];

/// What a breach of an SLO means.
pub static ON_BREACH: &[Choice] = &[
    Choice::new("warn", "it is recorded and shown"),
    Choice::new(
        "fail",
        "a stage fails at its end, a group or the run fails the run: exit 6 if nothing else failed",
    ),
];

/// Whether the run counts as failed with a group.
pub static READINESS: &[Choice] = &[
    Choice::new("required", "a failure in it fails the run"),
    Choice::new("optional", "a failure in it opens a ticket and does not fail the run"),
];

/// What to do when another run holds the lock.
pub static ON_BUSY: &[Choice] = &[
    Choice::new("wait", "wait for it, at most `wait` long"),
    Choice::new("fail", "exit 7 at once"),
    Choice::new("skip", "end with success, doing nothing"),
];

/// Which shell runs a script.
pub static SHELL: &[Choice] = &[
    Choice::new("strict", "bash without profile, `-euo pipefail` and `inherit_errexit`"),
    Choice::new("bash", "bash without profile, nothing set"),
    Choice::new("sh", "`sh -e`"),
];

/// How long what a stage started may live.
pub static LIFETIME: &[Choice] = &[
    Choice::new("stage", "until its stage ends"),
    Choice::new("run", "until the run ends; stopped in reverse order, started again on resume"),
    Choice::new("host", "handed to the machine when the stage succeeded"),
];

/// What a stage may be stopped with.
pub static SIGNAL: &[Choice] = &[
    Choice::new("INT", "SIGINT"),
    Choice::new("TERM", "SIGTERM"),
    Choice::new("HUP", "SIGHUP"),
    Choice::new("QUIT", "SIGQUIT"),
    Choice::new("USR1", "SIGUSR1"),
    Choice::new("USR2", "SIGUSR2"),
    Choice::new("KILL", "SIGKILL, at once"),
];

/// Which ends of a need are good enough.
pub static ACCEPT: &[Choice] = &[
    Choice::new("success", "success, cached, allowed-failure"),
    Choice::new("skipped", "its own `if` was false"),
    Choice::new("failed", "failed, timed-out, blocked"),
];

/// What is tried again.
pub static WHEN: &[Choice] = &[
    Choice::new("timeout", "the attempt ran into `timeout` or `idle-timeout`"),
    Choice::new("failure", "any failure"),
    Choice::new("signal", "killed by a signal that the engine did not send"),
];

/// What two environments must have in common.
pub static PARITY: &[Choice] = &[
    Choice::new("equal", "both have it, with the same value"),
    Choice::new("presence", "both have it, or neither"),
    Choice::new("ignore", "nothing; it does not count"),
];

/// What a rendered file is parsed back as.
pub static FORMAT: &[Choice] = &[
    Choice::new("text", "nothing: it is not parsed"),
    Choice::new("dotenv", "`KEY=VALUE` lines; each key of the environment must have its value"),
    Choice::new("json", "JSON"),
    Choice::new("yaml", "YAML"),
    Choice::new("toml", "TOML"),
];

/// Whose approval does not count.
pub static APPROVER: &[Choice] =
    &[Choice::new("author", "who wrote the change"), Choice::new("operator", "who started the run")];

/// What an exception excuses.
pub static WAIVED: &[Choice] = &[
    Choice::new("parity", "a difference between two environments"),
    Choice::new("rotation", "a secret that is too old; at most 14 days"),
];

/// What follows from a verdict.
pub static WHAT_FOLLOWS: &[Choice] = &[
    Choice::new("continue", "the stage succeeds"),
    Choice::new("hold", "a person decides, within `hold-for`"),
    Choice::new("fail", "the stage fails, and the failure policy of its scope decides the rest"),
];

/// What follows when nobody decided about a held gate.
pub(super) static AT_THE_END: &[Choice] =
    &[Choice::new("fail", "the stage fails"), Choice::new("continue", "the verdict is waived, by nobody")];

/// How samples become one number.
pub static REDUCE: &[Choice] = &[
    Choice::new("avg", "the mean"),
    Choice::new("min", "the least"),
    Choice::new("max", "the greatest"),
    Choice::new("p50", "the median of the samples, by nearest rank"),
    Choice::new("p95", "95 % of the samples do not exceed it"),
    Choice::new("p99", "99 % of the samples do not exceed it"),
    Choice::new("last", "the latest"),
    Choice::new("increase", "how much a counter grew; a fall is a start from zero"),
    Choice::new("rate", "that, for each second"),
    Choice::new("resets", "how often a counter fell"),
];

/// How metrics come together.
pub static COMPOSE: &[Choice] = &[Choice::new("all", "each must pass"), Choice::new("any", "one must pass")];

/// What is made of a fault that was there before.
pub static PREEXISTING: &[Choice] = &[
    Choice::new("block", "it counts like any other"),
    Choice::new("tolerate", "it may stay, at most `worsen-ratio` times as bad"),
    Choice::new("need-ticket", "as `tolerate`, if `ticket` names who looks at it; else as `block`"),
];

/// Which difference is for the worse.
pub static WORSE: &[Choice] = &[
    Choice::new("increase", "larger values"),
    Choice::new("decrease", "smaller values"),
    Choice::new("change", "any difference"),
];
