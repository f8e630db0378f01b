//! A service that the engine supervises.

use super::parts::STOP;
use crate::plan::schema::{Key, NameRule, Named, Shape, Table};

/// A script, or an argv without templates.
const RUN: Shape =
    Shape::Either(&[Shape::Text("a script"), Shape::List { of: &Shape::Text("a word"), empty: false }]);
/// A length of time above zero.
const LENGTH: Shape = Shape::Duration { zero: false };
/// One file, or several.
const FILES: Shape =
    Shape::Either(&[Shape::Text("a path"), Shape::List { of: &Shape::Text("a path"), empty: false }]);
/// One step, or several.
const STEPS: Shape = Shape::Either(&[Shape::Map(&STOP), Shape::List { of: &Shape::Map(&STOP), empty: false }]);
/// Answers in a row.
const TIMES: Shape = Shape::Count { min: 1, max: 1000 };

/// The file of `engine supervise`.
pub static SERVICE: Table = Table {
    name: "service",
    doc: "A service that `engine supervise` starts, watches, starts again and stops. It holds values, not templates: \
          what differs from place to place comes from a rendered `env-file`.",
    keys: &[
        Key::new("version", Shape::Version, "the version of the language", "1").required(),
        Key::new("name", Shape::Name, "its name, in messages and for its record", "shop").required(),
        Key::new("description", Shape::Text("text"), "what it does", "Serves the shop"),
        Key::new("cwd", Shape::Text("a path"), "the folder it runs in, from the root", "services/shop")
            .or("the root"),
        Key::new(
            "env",
            Shape::Named(Named { what: "variable", rule: NameRule::Env, of: &Shape::EnvValue }),
            "environment variables; they win over those of files",
            "{PORT: 8000}",
        ),
        Key::new(
            "env-file",
            FILES,
            "files of variables in the engine's dotenv dialect, read again before each start; a later one wins",
            "[/run/shop/shop.env]",
        ),
        Key::new(
            "pass-env",
            Shape::List { of: &Shape::Text("a variable's name"), empty: false },
            "variables of the caller to pass on, or a prefix with `*`",
            "[\"OTEL_*\"]",
        ),
        Key::new(
            "guard",
            Shape::Map(&SERVICE_GUARD),
            "what must hold before each start; where it refuses, the service is not started again",
            "{run: [./shop, --check-config]}",
        ),
        Key::new("run", RUN, "the service: a list of words, or a script for bash", "[./shop, --serve]").required(),
        Key::new(
            "health",
            Shape::Map(&SERVICE_HEALTH),
            "how to know that it works",
            "{url: 'http://127.0.0.1:8000/healthz'}",
        )
        .or("it works while it runs"),
        Key::new(
            "drain",
            Shape::Map(&SERVICE_DRAIN),
            "what to wait for before it is stopped",
            "{run: [./is-idle]}",
        ),
        Key::new(
            "stop",
            STEPS,
            "how it is stopped, step by step; KILL follows the last",
            "[{signal: INT, grace: 10s}, {signal: TERM, grace: 10s}]",
        )
        .or("TERM, and KILL 10s later"),
        Key::new(
            "restart",
            Shape::Map(&SERVICE_RESTART),
            "how often it may be started again",
            "{max: 3, within: 10m}",
        )
        .or("5 times within 15m"),
    ],
    open: None,
};

/// Before each start.
pub static SERVICE_GUARD: Table = Table {
    name: "service-guard",
    doc: "Exit 0 lets the service start.",
    keys: &[
        Key::new("run", RUN, "the check", "[./shop, --check-config]").required(),
        Key::new("timeout", LENGTH, "how long it may take", "30s").or("1m"),
    ],
    open: None,
};

/// While it runs.
pub static SERVICE_HEALTH: Table = Table {
    name: "service-health",
    doc: "Exactly one of `run` and `url`, asked again and again.",
    keys: &[
        Key::new(
            "url",
            Shape::Text("a URL"),
            "a GET that must answer 200 to 299; redirects are not followed",
            "'http://127.0.0.1:8000/healthz'",
        ),
        Key::new("run", RUN, "a command that must exit with 0", "[./is-healthy]"),
        Key::new("interval", LENGTH, "from one question to the next", "2s").or("5s"),
        Key::new("timeout", LENGTH, "of one question", "1s").or("2s"),
        Key::new("successes", TIMES, "so many good answers in a row and it is up", "3").or("1"),
        Key::new("failures", TIMES, "so many bad answers in a row and it is started again", "5").or("3"),
        Key::new("start-within", LENGTH, "it must be up within this time of its start", "1m").or("30s"),
    ],
    open: None,
};

/// Before it is stopped.
pub static SERVICE_DRAIN: Table = Table {
    name: "service-drain",
    doc: "Asked until it exits with 0 or the time is over; then the service is stopped.",
    keys: &[
        Key::new("run", RUN, "the question", "[./is-idle]").required(),
        Key::new("interval", LENGTH, "from one question to the next", "500ms").or("1s"),
        Key::new("within", LENGTH, "the longest wait", "20s").or("30s"),
    ],
    open: None,
};

/// After it ended by itself.
pub static SERVICE_RESTART: Table = Table {
    name: "service-restart",
    doc: "A service that ends by itself or is not healthy is started again, so often within a time; then it is given up.",
    keys: &[
        Key::new("max", Shape::Count { min: 0, max: 1000 }, "so often", "3").or("5"),
        Key::new("within", LENGTH, "within this time", "10m").or("15m"),
        Key::new("delay", LENGTH, "the wait before the first; it doubles with each one", "2s").or("1s"),
        Key::new("max-delay", LENGTH, "the longest wait", "2m").or("1m"),
    ],
    open: None,
};
