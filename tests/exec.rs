//! The executor against real processes: what they print, how they end, and that nothing of them is left.
//!
//! No test sleeps: each waits for news, for the end of a pipe, or for a process through its pidfd.

#[path = "exec/crew.rs"]
mod crew;
#[path = "exec/ends.rs"]
mod ends;
#[path = "exec/leaves.rs"]
mod leaves;
#[path = "exec/output.rs"]
mod output;
#[path = "exec/speed.rs"]
mod speed;
#[path = "exec/support.rs"]
mod support;
#[path = "exec/waiting.rs"]
mod waiting;
