//! The git-flow of Project Chrono (`plans/chrono`) on real repositories: a bare remote with its hooks, a clone,
//! a staging folder. Each test has its own, far from the network and from the caller's git configuration.

#[path = "chrono/hotfix.rs"]
mod hotfix;
#[path = "chrono/killed.rs"]
mod killed;
#[path = "chrono/release.rs"]
mod release;
#[path = "chrono/revert.rs"]
mod revert;
#[path = "chrono/site.rs"]
mod site;
#[path = "chrono/stopped.rs"]
mod stopped;
mod support;
