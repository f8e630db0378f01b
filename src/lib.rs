//! `engine` runs deployment plans: checked files that describe stages and their dependencies as a DAG.
//!
//! Rooms, each using only those below it: `cli` → `driver` → `journal`, `exec`, `report` → `run` → `graph`
//! → `plan`, `render` → `gate` → `base`. See `docs/architecture.md`.

pub mod base;
pub mod cli;
pub mod driver;
pub mod exec;
pub mod gate;
pub mod graph;
pub mod journal;
pub mod plan;
pub mod render;
pub mod report;
pub mod run;
