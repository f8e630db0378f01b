//! Where the values of secrets come from on this machine.

use std::path::{Path, PathBuf};

use crate::plan::environment::{Fetched, SecretDecl, SecretSource, Secrets};
use crate::render::secret::Secret;

/// The sources of secrets, for environments below `root`.
pub fn sources(root: &Path) -> impl Secrets + use<> {
    Plain { root: root.to_path_buf() }
}

/// Variables and files.
struct Plain {
    root: PathBuf,
}

impl Secrets for Plain {
    fn fetch(&self, decl: &SecretDecl) -> Result<Fetched, String> {
        let bytes = match &decl.from {
            SecretSource::Env(name) => match std::env::var_os(name) {
                Some(value) => std::os::unix::ffi::OsStringExt::into_vec(value),
                None => return Err(format!("the variable `{name}` is not set")),
            },
            SecretSource::File(path) => {
                std::fs::read(self.root.join(path)).map_err(|error| format!("`{path}` cannot be read: {error}"))?
            }
            other => return Err(format!("`{}` is not built yet", other.words())),
        };
        if bytes.is_empty() {
            return Err(format!("`{}` is empty", decl.from.words()));
        }
        let rotated_at = decl.rotated_at.as_ref().map(|at| at.value);
        Ok(Fetched { value: Secret::new(bytes), version: decl.version.clone(), rotated_at })
    }
}
