//! The guard against real processes, apart from `tests/exec.rs`: an executor in this process would adopt
//! what the killed engines of these tests leave behind.

#[path = "exec/guarded.rs"]
mod guarded;
#[path = "exec/waiting.rs"]
mod waiting;
