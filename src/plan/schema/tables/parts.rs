//! The maps inside a stage.

use super::words::{ACCEPT, FAILURE, ON_BREACH, SIGNAL, WHEN};
use crate::base::limits::{MAX_ATTEMPTS, MAX_IN_FLIGHT, MAX_LATE_CELLS, MAX_PARALLEL, MAX_SHARDS};
use crate::plan::schema::{Choice, Key, NameRule, Named, Shape, Table};

/// The most re-tries.
pub(crate) const MAX_RETRIES: u32 = MAX_ATTEMPTS as u32 - 1;
/// The most items, as wide as a count.
#[expect(clippy::cast_possible_truncation, reason = "the limit is far below 2^32, asserted on the next line")]
const MAX_ITEMS: u32 = MAX_SHARDS as u32;
const _: () = assert!(MAX_SHARDS < u32::MAX as u64, "a count of items must fit 32 bits");

/// A list of exit codes.
const EXITS: Shape = Shape::List { of: &Shape::ExitCode, empty: false };
/// A number of attempts at once.
const PARALLEL: Shape = Shape::Count { min: 1, max: MAX_PARALLEL };

/// One need, spelled as a map.
pub static NEED: Table = Table {
    name: "need",
    doc: "A dependency with conditions. The id alone accepts success, cached, allowed-failure and skipped.",
    keys: &[
        Key::new("stage", Shape::Id("a stage's id"), "the stage that must have ended", "build").required(),
        Key::new(
            "accept",
            Shape::List { of: &Shape::Word(ACCEPT), empty: false },
            "which ends are good enough; accepting a failure never changes the exit code",
            "[success, failed]",
        )
        .or("[success, skipped]"),
        Key::new(
            "same",
            Shape::List { of: &Shape::Id("an axis"), empty: false },
            "ties matrix cells: these axes must have equal values in both stages",
            "[region]",
        ),
    ],
    open: None,
};

/// How long something should take.
pub static SLO: Table = Table {
    name: "slo",
    doc: "How long a stage, a group or the run should take. Its clock is real time from the first start: a resume \
          does not set it back. A duration alone is `duration`.",
    keys: &[
        Key::new("duration", Shape::Duration { zero: false }, "how long", "20m").required(),
        Key::new("on-breach", Shape::Word(ON_BREACH), "what it means to take longer", "fail").or("warn"),
    ],
    open: None,
};

/// An SLO as a duration or as a map.
pub(super) const SLO_SHAPE: Shape = Shape::Either(&[Shape::Duration { zero: false }, Shape::Map(&SLO)]);

/// How often a stage is tried again.
pub static RETRY: Table = Table {
    name: "retry",
    doc: "Re-tries of a failed attempt. A bare number is `max`.",
    keys: &[
        Key::new("max", Shape::Count { min: 0, max: MAX_RETRIES }, "re-tries, so one attempt more than that", "2")
            .required(),
        Key::new("delay", Shape::Duration { zero: true }, "the wait before the first re-try", "2s").or("0s"),
        Key::new("backoff", Shape::Factor, "each wait is the one before times this", "2").or("1"),
        Key::new("max-delay", Shape::Duration { zero: false }, "no wait is longer", "30s"),
        Key::new("jitter", Shape::Bool, "varies each wait at random, so that many do not try at once", "true")
            .or("false"),
        Key::new(
            "when",
            Shape::List { of: &Shape::Either(&[Shape::Word(WHEN), Shape::Map(&RETRY_EXIT)]), empty: false },
            "what is tried again",
            "[timeout, {exit: [69]}]",
        )
        .or("every failure"),
        Key::new("within", Shape::Duration { zero: false }, "all attempts and waits together", "20m"),
    ],
    open: None,
};

/// Exit codes as a reason to try again.
pub static RETRY_EXIT: Table = Table {
    name: "retry-exit",
    doc: "One of these exit codes.",
    keys: &[Key::new("exit", EXITS, "the exit codes", "[69, 75]").required()],
    open: None,
};

/// How to ask an attempt to stop.
pub static STOP: Table = Table {
    name: "stop",
    doc: "How an attempt is asked to stop; after `grace` its whole process tree is killed.",
    keys: &[
        Key::new("signal", Shape::Word(SIGNAL), "the signal", "INT").or("TERM"),
        Key::new("grace", Shape::Duration { zero: true }, "how long it has to end", "30s").or("10s"),
    ],
    open: None,
};

/// Exit codes that are no failure.
pub static ALLOWED_EXITS: Table = Table {
    name: "allow-failure-exit",
    doc: "Only these exit codes are allowed failures.",
    keys: &[Key::new("exit", EXITS, "the exit codes", "[3]").required()],
    open: None,
};

/// How to learn what an attempt that was cut off has done.
pub static DONE_IF: Table = Table {
    name: "done-if",
    doc: "Asked after a crash, a kill or a timeout, before anything else: exit 0 done, 1 not done, else unknown.",
    keys: &[Key::new("run", super::stage::RUN, "the question, a script or an argv", "[./is-migrated]").required()],
    open: None,
};

/// What makes a stage unchanged.
pub static CACHE: Table = Table {
    name: "cache",
    doc: "The stage is `cached` when nothing of this, its text or its needs' outputs has changed since its last success.",
    keys: &[
        Key::new(
            "sources",
            Shape::List { of: &Shape::Text("a glob"), empty: false },
            "globs from the root; the files' contents count (blake3)",
            "[\"src/**\", Dockerfile]",
        )
        .required(),
        Key::new(
            "env",
            Shape::List { of: &Shape::Text("a variable's name"), empty: false },
            "environment variables whose values count",
            "[PROFILE]",
        ),
    ],
    open: None,
};

/// One stage for each cell.
pub static MATRIX: Table = Table {
    name: "matrix",
    doc: "The stage once for each combination of the axes; a cell's id is `rollout:eu`, with two axes `rollout:eu,blue`. \
          Every key that is not listed here is an axis.",
    keys: &[
        Key::new(
            "include",
            Shape::List { of: &Shape::Named(CELL), empty: false },
            "more cells, each a map with a value for every axis",
            "[{region: us, size: big}]",
        ),
        Key::new(
            "exclude",
            Shape::List { of: &Shape::Named(CELL), empty: false },
            "cells to leave out: a cell that has all the values of one of these maps",
            "[{region: ap}]",
        ),
        Key::new("max-parallel", PARALLEL, "cells at once", "1"),
        Key::new("on-failure", Shape::Word(FAILURE), "what a failed cell does to the others", "kill"),
    ],
    open: Some(Named {
        what: "axis",
        rule: NameRule::Id,
        of: &Shape::Either(&[Shape::List { of: &Shape::Any, empty: false }, Shape::Template, Shape::Map(&AXIS)]),
    }),
};

/// A map of axis to value.
const CELL: Named = Named { what: "axis", rule: NameRule::Id, of: &Shape::Any };

/// An axis that is known only during the run.
pub static AXIS: Table = Table {
    name: "axis",
    doc: "An axis whose values a needed stage gives during the run; one of a matrix.",
    keys: &[
        Key::new(
            "from",
            Shape::Template,
            "a list of values that a needed stage gives; they are fixed when this stage becomes ready",
            "\"{{ needs.plan.outputs.regions }}\"",
        )
        .required(),
        Key::new(
            "max",
            Shape::Count { min: 1, max: MAX_LATE_CELLS },
            "the most values there may be; more fail the stage",
            "20",
        )
        .required(),
    ],
    open: None,
};

/// A stage in slices.
pub static SHARDS: Table = Table {
    name: "shards",
    doc: "Splits the items of a stage over processes. `timeout`, `retry` and `pools` are then those of one shard.",
    keys: &[
        Key::new(
            "items",
            Shape::Either(&[Shape::List { of: &Shape::Any, empty: false }, Shape::Template, Shape::Map(&ITEMS)]),
            "the items, or where they come from; frozen at first start",
            "{glob: \"assets/**\"}",
        )
        .required(),
        Key::new(
            "size",
            Shape::Either(&[
                Shape::Count { min: 1, max: MAX_ITEMS },
                Shape::Word(&[Choice::new("auto", "as many items as fit `target-p95`, found while the stage runs")]),
            ]),
            "items for each process; with `target-p95` the most",
            "100",
        )
        .or("1"),
        Key::new(
            "target-p95",
            Shape::Duration { zero: false },
            "what is left is cut into smaller shards when 95 % of the last ones took longer than this, and `size: auto` \
             into larger ones when they are far below",
            "8s",
        )
        .or("8s with `size: auto`, else no target"),
        Key::new("max-parallel", PARALLEL, "shards at once; with `protocol: lines` workers at once", "64"),
        Key::new("rate", Shape::Rate, "the most starts in a time, re-tries included", "200/s"),
        Key::new(
            "allow-failed",
            Shape::Share,
            "this many items may fail, or this share of them, and the stage is a success all the same",
            "1%",
        )
        .or("0"),
        Key::new(
            "items-format",
            Shape::Word(&[
                Choice::new("lines", "each item as it is, ended by a newline"),
                Choice::new("json", "each item as one line of JSON; needed for items with a newline or NUL"),
            ]),
            "how items stand in the shard's file",
            "json",
        )
        .or("lines"),
        Key::new(
            "protocol",
            Shape::Word(&[Choice::new(
                "lines",
                "`run` is started as a few workers that live on: each reads items as lines of JSON and answers each with one",
            )]),
            "how a process is told its items; see `docs/lines.md`",
            "lines",
        )
        .or("a process for each shard, with a file of its items"),
        Key::new(
            "in-flight",
            Shape::Count { min: 1, max: MAX_IN_FLIGHT },
            "with `protocol: lines`, items that one worker may have unanswered at most",
            "64",
        )
        .or("1024, or 1 with `idempotent: false`"),
    ],
    open: None,
};

/// Where items come from.
pub static ITEMS: Table = Table {
    name: "items",
    doc: "Exactly one of these says where the items come from.",
    keys: &[
        Key::new("glob", Shape::Text("a glob"), "files below the root, sorted by bytes", "\"assets/**\""),
        Key::new("file", Shape::Template, "a file with one item a line", "items.txt"),
        Key::new(
            "range",
            Shape::Count { min: 1, max: MAX_ITEMS },
            "the numbers from 0 up to this, which is left out",
            "1000",
        ),
        Key::new(
            "from",
            Shape::Template,
            "a list that a needed stage gives; frozen when this stage becomes ready",
            "\"{{ needs.list.outputs.ids }}\"",
        ),
        Key::new(
            "max",
            Shape::Count { min: 1, max: MAX_ITEMS },
            "the most items there may be; more fail the stage, or the plan where they are known before; must be given with `from`",
            "500",
        )
        .or("2000000"),
    ],
    open: None,
};
