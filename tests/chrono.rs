//! The git-flow of Project Chrono (`plans/chrono`) on real repositories: a bare remote with its hooks, a clone,
//! a staging folder; and its production, with a real database and front. Each test has its own, far from the network and from the caller's git configuration.

#[path = "chrono/backup.rs"]
mod backup;
#[path = "docs/blocks.rs"]
mod blocks;
#[path = "chrono/deploy.rs"]
mod deploy;
#[path = "chrono/hotfix.rs"]
mod hotfix;
#[path = "chrono/killed.rs"]
mod killed;
#[path = "seeds/lab.rs"]
mod lab;
#[path = "chrono/release.rs"]
mod release;
#[path = "chrono/revert.rs"]
mod revert;
#[path = "docs/shown.rs"]
mod shown;
#[path = "chrono/site.rs"]
mod site;
#[path = "chrono/stopped.rs"]
mod stopped;
mod support;
