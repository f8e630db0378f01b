//! The tables themselves, one file for each part of the language.

mod file;
mod parts;
mod stage;
mod words;

pub use file::{FILE, FINALLY, GROUP, INPUT, LOCK, OUTPUT};
pub use parts::{ALLOWED_EXITS, AXIS, CACHE, DONE_IF, ITEMS, MATRIX, NEED, RETRY, RETRY_EXIT, SHARDS, STOP};
pub use stage::{ACTION, APPROVAL, DEFAULTS, STAGE};
pub use words::{ACCEPT, FAILURE, LIFETIME, ON_BUSY, SHELL, SIGNAL, TYPE, WHEN};

use super::Table;

/// Every table, in the order of the reference.
pub static ALL: &[&Table] = &[
    &FILE,
    &INPUT,
    &OUTPUT,
    &LOCK,
    &GROUP,
    &DEFAULTS,
    &STAGE,
    &ACTION,
    &APPROVAL,
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
