//! Fetching the values of secrets from where an environment says they are.
//!
//! Called when a run begins and when files are rendered, never by `check`, `plan` or `graph`. Every source is
//! bounded in time and size, and no message quotes anything that came from one: an error says which source it was and
//! what was wrong with it. A last line ending is not part of a value (editors, `echo` and most commands add one).

mod commands;
mod told;
mod vault;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use self::commands::Commands;
use crate::base::limits;
use crate::plan::environment::{Fetched, SecretDecl, SecretSource, Secrets};
use crate::render::secret::Secret;

/// The places that secrets come from, as one engine process sees them.
#[derive(Debug)]
pub struct Sources {
    root: PathBuf,
    caller: Vec<(OsString, OsString)>,
    patience: Duration,
    commands: Commands,
}

impl Sources {
    /// Relative paths and commands start at `root`; `caller` is the engine's own environment.
    pub fn new(root: PathBuf, caller: Vec<(OsString, OsString)>) -> Self {
        Self {
            root,
            caller,
            patience: Duration::from_millis(limits::SECRET_WAIT_MS),
            commands: Commands::default(),
        }
    }

    /// The same with another bound on how long one source may take.
    #[must_use]
    pub fn patient_for(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Ends every command that still runs, and lets none begin any more: nobody waits for an answer.
    pub fn leave(&self) {
        self.commands.leave();
    }

    fn var(&self, name: &str) -> Option<&OsStr> {
        self.caller.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_os_str())
    }

    /// The value of one of the caller's variables, as a secret.
    ///
    /// # Errors
    /// It is not set, empty or too large.
    pub fn variable(&self, name: &str) -> Result<Secret, String> {
        cleaned(&self.bytes(&SecretSource::Env(name.to_owned()))?)
    }

    fn file(&self, path: &str, is_guarded: bool) -> Result<Zeroizing<Vec<u8>>, String> {
        read_file(&self.root.join(path), is_guarded)
    }

    fn bytes(&self, source: &SecretSource) -> Result<Zeroizing<Vec<u8>>, String> {
        match source {
            SecretSource::Env(name) => match self.var(name) {
                Some(value) => Ok(Zeroizing::new(value.as_bytes().to_vec())),
                None => Err(format!("the variable `{name}` is not set in the engine's environment; export it")),
            },
            SecretSource::File(path) => self.file(path, true),
            SecretSource::Command(words) => told::told(words, self, "the command"),
            SecretSource::Age { file, identity } => {
                // The key is as secret as what it opens.
                drop(self.file(identity, true)?);
                let words = ["age", "--decrypt", "--identity", identity, "--", file].map(str::to_owned);
                told::told(&words, self, "`age`")
            }
            SecretSource::Credential(name) => {
                let Some(folder) = self.var("CREDENTIALS_DIRECTORY") else {
                    return Err("`$CREDENTIALS_DIRECTORY` is not set: systemd passes credentials to units with \
                                `LoadCredential=`"
                        .to_owned());
                };
                read_file(&Path::new(folder).join(name), false)
            }
            SecretSource::Vault { .. } => unreachable!("vault answers with more than bytes"),
        }
    }
}

impl Secrets for Sources {
    fn fetch(&self, decl: &SecretDecl) -> Result<Fetched, String> {
        let mut version = decl.version.clone();
        let mut rotated_at = decl.rotated_at.as_ref().map(|at| at.value);
        let value = if let SecretSource::Vault { path, field, address, token_file, version: wanted } = &decl.from {
            let server = vault::Server::find(self, address.as_deref(), token_file.as_deref())?;
            let answer = server.read(path, field, *wanted)?;
            version = version.or(answer.version);
            rotated_at = rotated_at.or(answer.created);
            answer.value
        } else {
            self.bytes(&decl.from)?
        };
        Ok(Fetched { value: cleaned(&value)?, version, rotated_at })
    }
}

/// A secret from what a source gave: without its last line ending, and fit to be a variable of a process.
fn cleaned(bytes: &[u8]) -> Result<Secret, String> {
    let value = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let value = value.strip_suffix(b"\r").unwrap_or(value);
    if value.is_empty() {
        return Err("it is empty".to_owned());
    }
    if value.len() > limits::MAX_SECRET_BYTES {
        return Err(too_big());
    }
    if value.starts_with("\u{feff}".as_bytes()) {
        return Err("it begins with a byte order mark, which is no part of a secret; save it without".to_owned());
    }
    if value.contains(&0) {
        return Err(
            "it contains a NUL byte, which no environment variable can hold; encode it, for example in base64"
                .to_owned(),
        );
    }
    Ok(Secret::new(value.to_vec()))
}

fn too_big() -> String {
    format!("it is larger than {} KiB, the limit of a secret", limits::MAX_SECRET_BYTES >> 10)
}

/// Reads a small regular file. A guarded one must be nobody else's to read or change.
fn read_file(path: &Path, is_guarded: bool) -> Result<Zeroizing<Vec<u8>>, String> {
    let shown = path.display();
    // A named pipe would hold the open itself up, so the kind of file is known before it is opened.
    let kind = std::fs::metadata(path).map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
    if !kind.is_file() {
        return Err(format!("`{shown}` is not a regular file"));
    }
    let file = File::open(path).map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
    let meta = file.metadata().map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
    let mode = meta.mode() & 0o777;
    if is_guarded && mode & 0o027 != 0 {
        let who = if mode & 0o007 != 0 { "everybody on this machine" } else { "its whole group" };
        let what = if mode & 0o022 != 0 { "changed" } else { "read" };
        return Err(format!("`{shown}` has mode {mode:04o}: it can be {what} by {who}; `chmod 0600 {shown}`"));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(limits::MAX_SECRET_BYTES + 3));
    let most = limits::MAX_SECRET_BYTES as u64 + 3;
    file.take(most).read_to_end(&mut bytes).map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
