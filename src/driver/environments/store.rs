//! What is kept of each rendering: its manifest with a number that only grows, and the redacted twin of each file.
//!
//! `STATE/environments/NAME/manifest.json` is the newest manifest, `manifests/` has all of them, `redacted/` the twins
//! of the newest. `STATE/environments/key` is this installation's own key: with it, and only with it, a file on this
//! machine can be told from one that was changed.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Error;
use super::check::Values;
use super::place::{self, Piece};
use super::render::{Batch, shown};
use crate::base::{Digest, sha256};
use crate::plan::Sources;
use crate::plan::environment::Environment;
use crate::render::secret::HIDDEN;

/// What a rendering was made from and came to. It holds no secret's value.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this format.
    pub version: u32,
    /// The environment.
    pub environment: String,
    /// The number of the rendering: each one's is higher than all before.
    pub number: u64,
    /// When it was made, UTC.
    pub rendered_at: String,
    /// The run that made it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The digest of the catalog.
    pub catalog: String,
    /// The digest of all values that are no secrets, and of the secrets' names, versions and sources.
    pub inputs: String,
    /// The SHA-256 over all redacted twins, for the record of others.
    pub redacted_sha256: String,
    /// The files.
    pub files: Vec<FileRecord>,
    /// Included templates with their digests.
    pub includes: std::collections::BTreeMap<String, String>,
    /// The keys, redacted.
    pub keys: Vec<KeyRecord>,
    /// The secrets.
    pub secrets: Vec<SecretRecord>,
}

/// One file of a [`Manifest`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileRecord {
    /// Its name in the environment.
    pub name: String,
    /// Where it was written.
    pub path: String,
    /// Its mode, octal.
    pub mode: String,
    /// The user that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<u32>,
    /// The template.
    pub template: String,
    /// The template's digest.
    pub template_hash: String,
    /// The SHA-256 of its redacted twin.
    pub redacted_sha256: String,
    /// A digest of the file itself under this installation's key.
    pub mac: String,
}

/// One key of a [`Manifest`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeyRecord {
    /// The key.
    pub key: String,
    /// Its value; `***` for a secret.
    pub value: String,
    /// Where it is written, `file:line`.
    pub at: String,
    /// The layer.
    pub layer: String,
}

/// One secret of a [`Manifest`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SecretRecord {
    /// The key.
    pub key: String,
    /// Where its value came from.
    pub source: String,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The day it was last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at: Option<String>,
    /// Tells two values apart, under this installation's key.
    pub fingerprint: String,
}

/// The secrets' records, made before their values are handed to the templates.
pub fn secret_records(environment: &Environment, values: &Values, key: &Key) -> Vec<SecretRecord> {
    let found = environment.secrets().filter_map(|decl| {
        let found = values.get(decl.name.value.as_str())?;
        let mac = key.mac(&decl.name.value, found.value.expose());
        Some(SecretRecord {
            key: decl.name.value.to_string(),
            source: decl.from.words(),
            version: found.version.clone(),
            rotated_at: found.rotated_at.map(|at| at.to_string()),
            fingerprint: mac[..16].to_owned(),
        })
    });
    found.collect()
}

/// This installation's key.
pub struct Key([u8; 32]);

impl Key {
    /// A digest of `bytes` that only this installation can make; `what` keeps uses apart.
    pub fn mac(&self, what: &str, bytes: &[u8]) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&(what.len() as u64).to_le_bytes());
        hasher.update(what.as_bytes());
        hasher.update(bytes);
        hasher.finalize().to_hex().to_string()
    }
}

/// The folder that keeps what is known of one environment's renderings.
#[derive(Clone, Debug)]
pub struct Store {
    home: PathBuf,
    root: PathBuf,
}

/// Keeps others from rendering the same environment meanwhile.
pub struct Locked(#[expect(dead_code, reason = "held until it is dropped")] File);

impl Store {
    /// For the environment `name` in the state folder `state`.
    pub fn new(state: &Path, name: &str) -> Self {
        let home = state.join("environments");
        Self { root: home.join(name), home }
    }

    /// The newest manifest.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn latest(&self) -> Result<Option<Manifest>, Error> {
        let path = self.manifest_path();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(state_error("read", &path)(error)),
        };
        let manifest = serde_json::from_slice(&text)
            .map_err(|error| Error::Manifest { path: path.display().to_string(), why: error.to_string() })?;
        Ok(Some(manifest))
    }

    /// Where the newest manifest is.
    pub fn manifest_path(&self) -> PathBuf {
        self.root.join("manifest.json")
    }

    /// The redacted twin of a file, as it was rendered last.
    pub fn twin(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.twin_path(file)).ok()
    }

    fn twin_path(&self, file: &str) -> PathBuf {
        self.root.join("redacted").join(file)
    }

    /// Waits until nobody else renders this environment here.
    ///
    /// # Errors
    /// The state folder cannot be written.
    pub fn lock(&self) -> Result<Locked, Error> {
        fs::create_dir_all(&self.root).map_err(state_error("make", &self.root))?;
        let path = self.root.join("lock");
        let file = File::create(&path).map_err(state_error("open", &path))?;
        file.lock().map_err(state_error("lock", &path))?;
        Ok(Locked(file))
    }

    /// This installation's key, if there is one.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn known_key(&self) -> Result<Option<Key>, Error> {
        let path = self.home.join("key");
        let mut bytes = [0; 32];
        match File::open(&path) {
            Ok(mut file) => {
                file.read_exact(&mut bytes).map_err(state_error("read", &path))?;
                Ok(Some(Key(bytes)))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(state_error("read", &path)(error)),
        }
    }

    /// This installation's key; made when there is none.
    ///
    /// # Errors
    /// The state folder cannot be written, or the system has no randomness to give.
    pub fn key(&self) -> Result<Key, Error> {
        if let Some(key) = self.known_key()? {
            return Ok(key);
        }
        let path = self.home.join("key");
        fs::create_dir_all(&self.home).map_err(state_error("make", &self.home))?;
        let mut bytes = [0; 32];
        let random = || File::open("/dev/urandom")?.read_exact(&mut bytes);
        let mut random = random;
        random().map_err(state_error("fill", &path))?;
        // Written beside and linked: of two first renderings at once one key wins, and nobody reads half of one.
        let beside = self.home.join(format!("key.{}", std::process::id()));
        let write = || -> std::io::Result<()> {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            match fs::hard_link(&beside, &path) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
                _ => fs::remove_file(&beside),
            }
        };
        write().map_err(state_error("write", &path))?;
        self.known_key().map(|key| key.expect("it was just written"))
    }

    /// Keeps `manifest` and the twins of its files.
    ///
    /// # Errors
    /// The state folder cannot be written; the manifest of before stands.
    pub fn keep(&self, manifest: &Manifest, batch: &Batch) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(manifest).expect("a manifest is plain data");
        let piece = |to: PathBuf, bytes| Piece { to, bytes, mode: 0o600, require_tmpfs: false };
        let mut pieces: Vec<Piece<'_>> = batch
            .files
            .iter()
            .map(|made| piece(self.twin_path(&made.rule.name.value), made.rendered.redacted.as_bytes()))
            .collect();
        pieces.push(piece(self.root.join(format!("manifests/{:06}.json", manifest.number)), &text));
        pieces.push(piece(self.manifest_path(), &text));
        place::put(&pieces)
    }
}

fn state_error(action: &'static str, path: &Path) -> impl Fn(std::io::Error) -> Error + use<> {
    let path = path.display().to_string();
    move |source| Error::State { action, path: path.clone(), source }
}

/// What a manifest is made for.
pub struct Occasion {
    /// The number of the manifest before.
    pub before: u64,
    /// When, UTC.
    pub at: String,
    /// The run.
    pub run: Option<String>,
}

/// The manifest of `batch`.
pub fn manifest(
    environment: &Environment,
    sources: &Sources,
    batch: &Batch,
    secrets: Vec<SecretRecord>,
    key: &Key,
    occasion: Occasion,
) -> Manifest {
    let files: Vec<FileRecord> = batch
        .files
        .iter()
        .map(|made| FileRecord {
            name: made.rule.name.value.to_string(),
            path: made.to.display().to_string(),
            mode: format!("{:04o}", made.rule.mode),
            owner: Some(rustix::process::geteuid().as_raw()),
            template: made.rule.template.value.to_string(),
            template_hash: made.template.to_string(),
            redacted_sha256: sha256(made.rendered.redacted.as_bytes()),
            mac: key.mac("file", made.rendered.sealed.expose()),
        })
        .collect();
    let all: Vec<&str> = files.iter().map(|file| file.redacted_sha256.as_str()).collect();
    let keys = environment.entries.iter().map(|(name, entry)| {
        let at = sources.locate(entry.at);
        KeyRecord {
            key: name.clone(),
            value: if entry.secret().is_some() { HIDDEN.to_owned() } else { shown(entry) },
            at: at.rsplit_once(':').map_or(at.clone(), |(line, _)| line.to_owned()),
            layer: environment.layer_of(entry.at).to_owned(),
        }
    });
    Manifest {
        version: 1,
        environment: environment.name.clone(),
        number: occasion.before + 1,
        rendered_at: occasion.at,
        run: occasion.run,
        catalog: Digest::of(sources.file(environment.catalog.file).text.as_bytes()).to_string(),
        inputs: inputs(environment, &secrets).to_string(),
        redacted_sha256: if let [one] = all[..] { one.to_owned() } else { sha256(all.join("\n").as_bytes()) },
        files,
        includes: batch.includes.iter().map(|(name, digest)| (name.clone(), digest.to_string())).collect(),
        keys: keys.collect(),
        secrets,
    }
}

/// The digest of what a rendering is made from, but for the templates.
fn inputs(environment: &Environment, secrets: &[SecretRecord]) -> Digest {
    let mut hasher = blake3::Hasher::new_derive_key("engine environment inputs 1");
    let mut put = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    for (key, entry) in &environment.entries {
        if let Some(value) = entry.value() {
            put(key);
            put(&value.to_string());
        }
    }
    for secret in secrets {
        put(&secret.key);
        put(&secret.source);
        put(secret.version.as_deref().unwrap_or_default());
    }
    hasher.finalize().into()
}
