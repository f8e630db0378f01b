//! Environments: what one place to deploy to has as values, secrets, files and policy.
//!
//! `environments/catalog.yaml` says what each key must be; a layer (`staging.yaml`) gives values and says where
//! secrets are, and may extend another one. [`load()`] reads them by the same readers and tables as plans and lays
//! them over each other into an [`Environment`], in which every leaf still knows where it was written. [`check()`]
//! holds the result against the catalog, [`parity`] compares two of them. A secret is a declared source here; its
//! value never is.
//!
//! A name with a slash (`router/staging`) means a folder below `environments/` with a catalog of its own.

mod check;
mod import;
mod load;
mod model;
pub mod parity;
mod platform;
mod resolve;
mod secrets;

#[cfg(test)]
pub(in crate::plan) mod tests;

pub use check::{Checker, check, stale};
pub use import::{Imported, import};
pub use load::{Library, is_name, load};
pub use model::{
    Approvals, Catalog, Exception, FileRule, Format, Freeze, KeyRule, Layer, Parity, ParityRule, Pattern, Policy,
    SecretDecl, SecretSource, Waives, share,
};
pub use platform::Platform;
pub use resolve::{Entry, Environment, Leaf, Setting};
pub use secrets::{Fetched, Secrets};
