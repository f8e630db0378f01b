//! The command line as a user sees it: every verb, flag and exit code through the binary.
//!
//! A changed transcript is looked at, then accepted with `INSTA_UPDATE=always cargo test --test cli`.

#[path = "cli/exits.rs"]
mod exits;
#[path = "cli/kinds.rs"]
mod kinds;
#[path = "cli/language.rs"]
mod language;
#[path = "cli/looking.rs"]
mod looking;
#[path = "cli/plainly.rs"]
mod plainly;
#[path = "cli/plans.rs"]
mod plans;
#[path = "cli/runs.rs"]
mod runs;
#[path = "cli/shapes.rs"]
mod shapes;
mod support;
#[path = "cli/transcript.rs"]
mod transcript;
