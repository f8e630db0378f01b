//! What `with` of each gate may hold. Tables say names and types; what the values mean together is read by `gate::Spec`.

use super::judges::{AUTHORITIES, BUDGET, IDENTITY, SCORE};
use super::words::{AT_THE_END, COMPOSE, PREEXISTING, REDUCE, WHAT_FOLLOWS, WORSE};
use crate::base::limits::MAX_GATE_STREAK;
use crate::plan::schema::{Key, NameRule, Named, Shape, Table};

/// A number or a text with one.
const NUMBER: Shape = Shape::Any;
/// A length of time above zero.
const TIME: Shape = Shape::Duration { zero: false };
/// How many in a row.
const COUNT: Shape = Shape::Count { min: 1, max: MAX_GATE_STREAK };
/// Texts.
const TEXTS: Shape = Shape::List { of: &Shape::Template, empty: false };
/// Status codes: one, a class, a range, or several of them.
const STATUS: Shape = Shape::Either(&[
    Shape::Count { min: 100, max: 599 },
    Shape::Template,
    Shape::List { of: &Shape::Either(&[Shape::Count { min: 100, max: 599 }, Shape::Template]), empty: false },
]);

/// What only this gate has, and what every gate has; the first word is what the gate says of `on-no-data`.
macro_rules! gate_keys {
    ($no_data:ident; $($own:expr),* $(,)?) => {
        &[$($own,)* INTERVAL, PATIENCE, ON_FAIL, ON_INCONCLUSIVE, $no_data, ON_ERROR, HOLD_FOR, ON_EXPIRE]
    };
}

/// Where a number comes from, and what belongs to that.
macro_rules! source_keys {
    ($($more:expr),* $(,)?) => {
        &[
            HTTP_SOURCE, TCP_SOURCE, COMMAND_SOURCE, FILE_SOURCE, PROMETHEUS_SOURCE, LOG_SOURCE, QUERY, RANGE, STEP,
            RANGE_REDUCE, MATCH, FROM_START, MAX_AGE, EXPECT_KEY, HEADERS, CA, VALUE, $($more,)*
        ]
    };
}

const INTERVAL: Key = Key::new("interval", TIME, "time between two rounds", "5s").or("5s");
const PATIENCE: Key = Key::new("request-timeout", TIME, "how long one answer may take", "2s").or("10s");
const ON_FAIL: Key =
    Key::new("on-fail", Shape::Word(WHAT_FOLLOWS), "what follows when it is not as it should be", "hold")
        .or("fail");
const ON_INCONCLUSIVE: Key =
    Key::new("on-inconclusive", Shape::Word(WHAT_FOLLOWS), "what follows when there is too little data", "fail")
        .or("hold");
const ON_NO_DATA: Key =
    Key::new("on-no-data", Shape::Word(WHAT_FOLLOWS), "what follows when what is measured is not there", "hold");
const NEEDS_NO_DATA: Key = ON_NO_DATA.required();
const ON_ERROR: Key =
    Key::new("on-error", Shape::Word(WHAT_FOLLOWS), "what follows when it cannot be asked", "hold").or("fail");
const HOLD_FOR: Key = Key::new("hold-for", TIME, "how long a held gate waits for a person", "4h").or("24h");
const ON_EXPIRE: Key = Key::new(
    "on-expire",
    Shape::Word(AT_THE_END),
    "what follows when nobody decided about a held gate",
    "continue",
)
.or("fail");
const TICKET: Key =
    Key::new("ticket", Shape::Template, "who looks at a fault that was there before, for `need-ticket`", "OPS-12");
const PASSES: Key = Key::new("consecutive", COUNT, "good answers in a row that pass", "3").or("1");
const FAILS: Key = Key::new("consecutive-fail", COUNT, "other answers in a row that end it", "5")
    .or("it asks until the stage's `timeout`");
const QUERY_FAILS: Key = Key::new("consecutive-fail", COUNT, "other answers in a row that end it", "5").or("1");
const HEADERS: Key =
    Key::new("headers", Shape::Any, "headers that are sent", r#"{Authorization: "Bearer {{ vars.token }}"}"#);
const CA: Key =
    Key::new("ca", Shape::Template, "certificates to trust instead of the built-in ones", "certs/ca.pem");
const EXPECT_KEY: Key =
    Key::new("expect", Shape::Map(&EXPECT), "what has to come back", "{status: 200, json: {/ready: true}}");
const VALUE: Key =
    Key::new("value", Shape::Template, "a JSON pointer to the number that is measured", "/queue/depth");
const PASS: Key = Key::new("pass", Shape::Template, "what the number has to be", "'< 250'");
const BEFORE: Key =
    Key::new("before", NUMBER, "what it was before the deploy", r#""{{ needs.before.outputs.value }}""#);
const PREEXISTING_KEY: Key =
    Key::new("preexisting", Shape::Word(PREEXISTING), "a fault that was there before", "tolerate").or("block");
const RATIO: Key =
    Key::new("worsen-ratio", NUMBER, "how many times as bad a tolerated fault may become", "1.2").or("1");
const URL: Key = Key::new("url", Shape::Template, "where", r#""https://{{ env.HOST }}/healthz""#).required();
const SERVER: Key = Key::new("url", Shape::Template, "the server", "http://127.0.0.1:9090").required();
const QUERY: Key =
    Key::new("query", Shape::Template, "an expression that gives one number", "sum(rate(errors_total[1m]))");
const RANGE: Key = Key::new("range", TIME, "looks back so far on the server's clock", "10m");
const STEP: Key = Key::new("step", TIME, "time between the points of `range`", "30s").or("15s");
const RANGE_REDUCE: Key =
    Key::new("range-reduce", Shape::Word(REDUCE), "how the points of `range` become one number", "max").or("avg");
const MATCH: Key =
    Key::new("match", Shape::Template, "a regular expression; lines that match are counted", "'ERROR|panic'");
const FROM_START: Key =
    Key::new("from-start", Shape::Bool, "counts what was in the file before, too", "true").or("false");
const MAX_AGE: Key = Key::new("max-age", TIME, "how long ago it may have been written", "5m");
const FOR: Key = Key::new("for", TIME, "how long", "10m").required();
const COVERAGE: Key = Key::new("coverage", NUMBER, "the share of the samples that must be there", "90%").or("95%");
const COMPOSE_KEY: Key = Key::new("compose", Shape::Word(COMPOSE), "how metrics come together", "any").or("all");
const QUORUM: Key = Key::new("quorum", COUNT, "how many metrics must pass", "2");
const SCORE_KEY: Key = Key::new(
    "score",
    Shape::Map(&SCORE),
    "metrics are weighed",
    "{pass: 95%, marginal: 75%, weights: {errors: 3}}",
);
const GROUP: Key = Key::new("group", Shape::Template, "of a `score`: what it is weighed together with", "latency")
    .or("a group of its own");
const CRITICAL: Key =
    Key::new("critical", Shape::Bool, "of a `score`: it must pass, whatever the score", "true").or("false");
const AUTHORITIES_KEY: Key = Key::new(
    "authorities",
    Shape::Map(&AUTHORITIES),
    "who judges what: correctness alone refusing fails, safety alone refusing holds, both refusing halts",
    "{correctness: [errors], safety: [memory]}",
);

/// `uses: http`.
pub static HTTP: Table = Table {
    name: "gate-http",
    doc: "`with` of `uses: http`: asks until the answer is as it should be. Redirects are not followed.",
    keys: gate_keys!(ON_NO_DATA;
        URL,
        EXPECT_KEY,
        HEADERS,
        CA,
        VALUE,
        PASS,
        BEFORE,
        PREEXISTING_KEY,
        TICKET,
        RATIO,
        PASSES,
        FAILS,
    ),
    open: None,
};

/// `uses: tcp`.
pub static TCP: Table = Table {
    name: "gate-tcp",
    doc: "`with` of `uses: tcp`: asks until something listens.",
    keys: gate_keys!(ON_NO_DATA;
        Key::new("address", Shape::Template, "host and port", "'127.0.0.1:5432'").required(),
        PASSES,
        FAILS,
    ),
    open: None,
};

/// `uses: command`.
pub static COMMAND: Table = Table {
    name: "gate-command",
    doc: "`with` of `uses: command`: runs a process until it ends as it should.",
    keys: gate_keys!(ON_NO_DATA;
        Key::new("run", TEXTS, "its words", "[pg_isready, -h, db]").required(),
        EXPECT_KEY,
        VALUE,
        PASS,
        BEFORE,
        PREEXISTING_KEY,
        TICKET,
        RATIO,
        PASSES,
        FAILS,
    ),
    open: None,
};

/// `uses: file`.
pub static GATE_FILE: Table = Table {
    name: "gate-file",
    doc: "`with` of `uses: file`: looks until a file is as it should be.",
    keys: gate_keys!(ON_NO_DATA;
        Key::new("path", Shape::Template, "the file, from the stage's folder", "run/ready").required(),
        EXPECT_KEY,
        MAX_AGE,
        VALUE,
        PASS,
        BEFORE,
        PREEXISTING_KEY,
        TICKET,
        RATIO,
        PASSES,
        FAILS,
    ),
    open: None,
};

/// `uses: prometheus`.
pub static PROMETHEUS: Table = Table {
    name: "gate-prometheus",
    doc: "`with` of `uses: prometheus`: asks until a query gives a number that is as it should be.",
    keys: gate_keys!(NEEDS_NO_DATA;
        SERVER,
        QUERY.required(),
        RANGE,
        STEP,
        RANGE_REDUCE,
        HEADERS,
        CA,
        PASS.required(),
        BEFORE,
        PREEXISTING_KEY,
        TICKET,
        RATIO,
        PASSES,
        QUERY_FAILS,
    ),
    open: None,
};

/// `uses: log`.
pub static LOG: Table = Table {
    name: "gate-log",
    doc: "`with` of `uses: log`: counts the lines of a growing file that match. With `for` it watches so long; without, and \
          with a `pass` like `>= 1`, it waits until there are as many.",
    keys: gate_keys!(ON_NO_DATA;
        Key::new("path", Shape::Template, "the file, from the stage's folder", "run/app.log").required(),
        MATCH.required(),
        FROM_START,
        Key::new("pass", Shape::Template, "how many there may be", "'>= 1'").or("== 0"),
        BEFORE,
        PREEXISTING_KEY,
        TICKET,
        RATIO,
        Key::new("for", TIME, "how long", "10m"),
        COVERAGE,
        FAILS,
    ),
    open: None,
};

/// `uses: soak` and `uses: watch`.
pub static SOAK: Table = Table {
    name: "gate-soak",
    doc: "`with` of `uses: soak` and `uses: watch`: measures for a time. A soak judges all of it at its end, or as soon as a \
          bound can no longer be met; a watch judges each `window` that slides past.",
    keys: gate_keys!(NEEDS_NO_DATA;
        FOR,
        Key::new("window", TIME, "of `watch`: how much is judged at a time", "1m"),
        Key::new(
            "metrics",
            Shape::Named(Named { what: "metric", rule: NameRule::Id, of: &Shape::Map(&METRIC) }),
            "what is measured",
            "{errors: {prometheus: http://127.0.0.1:9090, query: sum(rate(errors_total[1m])), pass: '< 1'}}",
        )
        .required(),
        COMPOSE_KEY,
        QUORUM,
        SCORE_KEY,
        AUTHORITIES_KEY,
        COVERAGE,
        Key::new("fail-fast", Shape::Bool, "ends when a bound can no longer be met", "false").or("true"),
    ),
    open: None,
};

/// `uses: canary`.
pub static CANARY: Table = Table {
    name: "gate-canary",
    doc: "`with` of `uses: canary`: whether a new version does worse than the old one beside it.",
    keys: gate_keys!(NEEDS_NO_DATA;
        FOR,
        Key::new(
            "metrics",
            Shape::Named(Named { what: "metric", rule: NameRule::Id, of: &Shape::Map(&CANARY_METRIC) }),
            "what is compared",
            "{p95: {baseline: {http: 'http://old/stats', value: /p95}, canary: {http: 'http://new/stats', value: /p95}}}",
        )
        .required(),
        COMPOSE_KEY,
        QUORUM,
        SCORE_KEY,
        AUTHORITIES_KEY,
        Key::new("alpha", NUMBER, "a difference that comes by chance more often than this does not count", "0.01")
            .or("0.05"),
        Key::new("min-effect", NUMBER, "the least rank-biserial correlation that counts", "0.5").or("0.3"),
        Key::new("min-samples", COUNT, "samples that each side must have", "30").or("8"),
    ),
    open: None,
};

/// `uses: burn-rate`.
pub static BURN_RATE: Table = Table {
    name: "gate-burn-rate",
    doc: "`with` of `uses: burn-rate`: whether an error budget burns too fast, over two windows for each rule.",
    keys: gate_keys!(NEEDS_NO_DATA;
        SERVER,
        Key::new(
            "errors",
            Shape::Template,
            "how many failed; `$window` is where the window goes",
            "sum(increase(errors_total[$window]))",
        )
        .required(),
        Key::new("total", Shape::Template, "how many there were", "sum(increase(requests_total[$window]))")
            .required(),
        Key::new("objective", NUMBER, "the share that must be good", "99.9%").required(),
        Key::new(
            "rules",
            TEXTS,
            "long window, short window, and how many times too fast",
            "['1h/5m 14.4', '6h/30m 6']",
        )
        .or("1h/5m 14.4, 6h/30m 6 and 3d/6h 1"),
        Key::new(
            "budget",
            Shape::Map(&BUDGET),
            "how much of the error budget must be left, whatever `on-fail` says",
            "{over: 30d, hold-below: 25%, fail-at: 0%}",
        ),
        Key::new("min-events", NUMBER, "fewer events in a long window say nothing", "100").or("0"),
        HEADERS,
        CA,
    ),
    open: None,
};

/// What has to come back.
pub static EXPECT: Table = Table {
    name: "gate-expect",
    doc: "What an answer, a file or a process has to be.",
    keys: &[
        Key::new("status", STATUS, "of `http`: a status, a class or a range, or several", "[200, '204', 3xx]")
            .or("2xx"),
        Key::new(
            "json",
            Shape::Any,
            "JSON pointers and what is there: a value, or a bound",
            "{/ready: true, /queue: '< 5'}",
        ),
        Key::new("headers", Shape::Any, "of `http`: headers and what they say", "{X-Env: staging}"),
        Key::new("contains", Shape::Template, "a text that is in it", "ready"),
        Key::new(
            "identity",
            Shape::Map(&IDENTITY),
            "of `http`: which version answers",
            "{json: /version, is: v1.2.0}",
        ),
        Key::new(
            "exit",
            Shape::Either(&[Shape::ExitCode, Shape::List { of: &Shape::ExitCode, empty: false }]),
            "of `command`: exit codes that are good",
            "[0, 3]",
        )
        .or("0"),
        Key::new("absent", Shape::Bool, "of `file`: it must not be there", "true").or("false"),
    ],
    open: None,
};

/// One metric of a soak or a watch.
pub static METRIC: Table = Table {
    name: "gate-metric",
    doc: "One metric: one source, how its samples become one number, and what that has to be. An answer without a number \
          counts as 1 when it is good and as 0 when it is not.",
    keys: source_keys!(
        Key::new("reduce", Shape::Word(REDUCE), "how samples become one number", "p95").or("the worst one"),
        PASS.required(),
        BEFORE,
        PREEXISTING_KEY,
        TICKET,
        RATIO,
        GROUP,
        CRITICAL,
    ),
    open: None,
};

/// One metric of both versions.
pub static CANARY_METRIC: Table = Table {
    name: "gate-canary-metric",
    doc: "One metric of the old version and of the new one.",
    keys: &[
        Key::new(
            "baseline",
            Shape::Map(&SOURCE),
            "where the old version says it",
            "{http: 'http://old/stats', value: /p95}",
        )
        .required(),
        Key::new(
            "canary",
            Shape::Map(&SOURCE),
            "where the new version says it",
            "{http: 'http://new/stats', value: /p95}",
        )
        .required(),
        Key::new("worse", Shape::Word(WORSE), "which difference is for the worse", "decrease").or("increase"),
        Key::new("pass", Shape::Template, "what the mean of the new version has to be besides", "'< 250'"),
        GROUP,
        CRITICAL,
    ],
    open: None,
};

/// Where a number comes from.
pub static SOURCE: Table = Table {
    name: "gate-source",
    doc: "Where a number comes from: one of the first six keys, and what belongs to it.",
    keys: source_keys!(),
    open: None,
};

const HTTP_SOURCE: Key = Key::new("http", Shape::Template, "asks this address", "http://127.0.0.1:8080/stats");
const TCP_SOURCE: Key = Key::new("tcp", Shape::Template, "whether something listens here", "'127.0.0.1:5432'");
const COMMAND_SOURCE: Key = Key::new("command", TEXTS, "runs this process", "[./depth]");
const FILE_SOURCE: Key = Key::new("file", Shape::Template, "reads this file", "run/depth");
const PROMETHEUS_SOURCE: Key =
    Key::new("prometheus", Shape::Template, "asks this server the `query`", "http://127.0.0.1:9090");
const LOG_SOURCE: Key = Key::new("log", Shape::Template, "counts lines of this file that `match`", "run/app.log");

/// Every gate with the table of its `with`.
pub static GATES: [(&str, &Table); 10] = [
    ("http", &HTTP),
    ("tcp", &TCP),
    ("command", &COMMAND),
    ("file", &GATE_FILE),
    ("prometheus", &PROMETHEUS),
    ("log", &LOG),
    ("soak", &SOAK),
    ("watch", &SOAK),
    ("canary", &CANARY),
    ("burn-rate", &BURN_RATE),
];
