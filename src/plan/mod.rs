//! The plan front end: text becomes a typed, spanned, fully checked [`model::Plan`].
//!
//! `source` holds files, `yaml`, `toml` and `json` turn text into one spanned [`tree::Tree`], `decode` reads the
//! tree by the tables of `schema` into `model`, `validate` checks what one file alone can know. All errors
//! of all files are collected in a [`error::Report`]; nothing stops at the first. Nothing here runs anything.

mod bounds;
pub mod codes;
pub mod decode;
pub mod environment;
pub mod error;
mod json;
pub mod load;
pub mod model;
mod nul;
mod promises;
pub mod schema;
pub mod service;
pub mod source;
mod syntax;
mod toml;
pub mod tree;
pub mod types;
pub mod validate;
mod yaml;

pub use error::{Diagnostic, Report};
pub use load::{Loaded, load};
pub use model::Plan;
pub use source::{FileIx, Place, Sources};
pub use syntax::read;
