//! Promise 7: a secret's value is written nowhere by the engine but where the plan asked for it.
//!
//! Canaries of every kind are handed to stages that do their worst with them: print them in all the forms that tools
//! have, byte by byte, on both streams, write them to outputs and into the names of files. Everything that the engine
//! wrote or showed is then searched, with an implementation of the forms that is not the engine's own. A leak that is
//! planted must be found, so that the search itself is known to work.

#[path = "leaks/canary.rs"]
mod canary;
#[path = "leaks/plans.rs"]
mod plans;
#[path = "leaks/processes.rs"]
mod processes;
#[path = "leaks/runs.rs"]
mod runs;
#[path = "leaks/search.rs"]
mod search;
mod support;
