//! Where the values of secrets come from, as far as this room knows: somebody brings them.

use jiff::civil::Date;

use super::model::SecretDecl;
use crate::render::secret::Secret;

/// Fetches secrets. Only what runs or renders has one; `check`, `plan` and `graph` never do.
pub trait Secrets: Sync {
    /// The value of the secret that `decl` declares.
    ///
    /// # Errors
    /// A sentence for the user that says why there is none, and never quotes any of it.
    fn fetch(&self, decl: &SecretDecl) -> Result<Fetched, String>;
}

/// A secret that was fetched.
#[derive(Debug)]
pub struct Fetched {
    /// Its value.
    pub value: Secret,
    /// Its version, as the source or else the declaration says.
    pub version: Option<String>,
    /// When it was last changed, as the source or else the declaration says.
    pub rotated_at: Option<Date>,
}
