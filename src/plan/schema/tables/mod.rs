//! The tables themselves, one file for each part of the language.

mod environment;
mod file;
mod gates;
mod judges;
mod parts;
mod service;
mod stage;
mod words;

pub use environment::{
    AGE, APPROVALS, CATALOG, CATALOG_KEY, ENVIRONMENT, EXCEPTION, EXCEPTIONS, FREEZE, PARITY_RULE, POLICY,
    RENDERED, SECRET, SECRET_SOURCE, VAULT,
};
pub use file::{FILE, FINALLY, GROUP, INPUT, LOCK, OUTPUT};
pub use gates::{
    BURN_RATE, CANARY, CANARY_METRIC, COMMAND, EXPECT, GATE_FILE, GATES, HTTP, LOG, METRIC, PROMETHEUS, SOAK,
    SOURCE, TCP,
};
pub use judges::{AUTHORITIES, BUDGET, IDENTITY, SCORE};
pub use parts::{ALLOWED_EXITS, AXIS, CACHE, DONE_IF, ITEMS, MATRIX, NEED, RETRY, RETRY_EXIT, SHARDS, SLO, STOP};
pub use service::{SERVICE, SERVICE_DRAIN, SERVICE_GUARD, SERVICE_HEALTH, SERVICE_RESTART};
pub use stage::{ACTION, APPROVAL, ATTEST, DEFAULTS, ENV_ACTION, HEAL_BODY, ROLLBACK_BODY, STAGE};
pub use words::{
    ACCEPT, APPROVER, COMPOSE, FAILURE, FORMAT, LIFETIME, ON_BREACH, ON_BUSY, PARITY, PREEXISTING, READINESS,
    REDUCE, SHELL, SIGNAL, TYPE, UNDO, WAIVED, WHAT_FOLLOWS, WHEN, WORSE,
};

use super::Table;

/// Every table of the files of an environment, in the order of the reference.
pub static ENVIRONMENTS: &[&Table] = &[
    &CATALOG,
    &CATALOG_KEY,
    &ENVIRONMENT,
    &SECRET,
    &SECRET_SOURCE,
    &AGE,
    &VAULT,
    &RENDERED,
    &POLICY,
    &PARITY_RULE,
    &APPROVALS,
    &FREEZE,
    &EXCEPTIONS,
    &EXCEPTION,
];

/// Every table of a service's file, in the order of the reference.
pub static SERVICES: &[&Table] =
    &[&SERVICE, &SERVICE_GUARD, &SERVICE_HEALTH, &SERVICE_DRAIN, &STOP, &SERVICE_RESTART];

/// Every table of a plan, in the order of the reference.
pub static ALL: &[&Table] = &[
    &FILE,
    &INPUT,
    &OUTPUT,
    &LOCK,
    &SLO,
    &GROUP,
    &DEFAULTS,
    &STAGE,
    &ROLLBACK_BODY,
    &HEAL_BODY,
    &ACTION,
    &APPROVAL,
    &ATTEST,
    &ENV_ACTION,
    &HTTP,
    &TCP,
    &COMMAND,
    &GATE_FILE,
    &PROMETHEUS,
    &LOG,
    &SOAK,
    &METRIC,
    &CANARY,
    &CANARY_METRIC,
    &SOURCE,
    &BURN_RATE,
    &EXPECT,
    &IDENTITY,
    &AUTHORITIES,
    &SCORE,
    &BUDGET,
    &NEED,
    &RETRY,
    &RETRY_EXIT,
    &STOP,
    &ALLOWED_EXITS,
    &DONE_IF,
    &CACHE,
    &MATRIX,
    &AXIS,
    &SHARDS,
    &ITEMS,
    &FINALLY,
];
