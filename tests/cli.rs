//! The command line as a user sees it: every verb, flag and exit code through the binary.

#[path = "cli/exits.rs"]
mod exits;
mod support;
