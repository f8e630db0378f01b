//! Environments at work: checked against the machine, rendered to files, compared.
//!
//! `engine env …` and the stages that use `env.check`, `env.render`, `env.diff` and `env.parity` come here.
//! [`open()`] reads the files below `environments/`; [`check`] asks what only the machine knows (secrets, checksums,
//! ports, what git tracks); [`render`] makes every file in memory first, in parallel, and [`place`] then puts them where
//! they belong, all or none; [`store`] keeps the manifest of each rendering and its redacted twin, and [`drift`] compares.
//!
//! Invariants: nothing is written before everything was rendered and parsed back. What is kept in the state folder
//! holds no secret's value. Time comes from the caller.

pub mod check;
pub mod drift;
pub mod open;
pub mod place;
pub mod render;
mod sources;
pub mod store;
mod verify;

pub use open::{Opened, open};
pub use sources::sources;

/// What could not be done, in words for the user; the exit code of most is that of the environment.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state folder.
    #[error("cannot {action} `{path}`: {source}")]
    State {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A manifest that cannot be read.
    #[error("the manifest `{path}` cannot be read: {why}")]
    Manifest {
        /// Which.
        path: String,
        /// Why not.
        why: String,
    },
    /// A file that could not be put in place; those of before are as they were.
    #[error("`{path}` cannot be written: {why}")]
    Place {
        /// Which.
        path: String,
        /// Why not.
        why: String,
    },
}
