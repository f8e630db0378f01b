//! The files of an environment as they say it: typed, with a place for everything, nothing merged yet.

use jiff::civil::{Date, DateTime};

use crate::base::{PublicKey, Span, Text};
use crate::plan::model::Type;
use crate::plan::source::{FileIx, Place, Spanned};
use crate::plan::tree::Tree;

/// A catalog: every key that the environments of one folder may have.
#[derive(Clone, Debug)]
pub struct Catalog {
    /// The file.
    pub file: FileIx,
    /// Its keys, in written order.
    pub keys: Vec<KeyRule>,
    /// Something in the file was wrong and is missing here.
    pub partial: bool,
}

/// What one key must be.
#[derive(Clone, Debug)]
pub struct KeyRule {
    /// Its name.
    pub name: Spanned<Text>,
    /// `type`.
    pub kind: Type,
    /// `description`.
    pub description: Option<String>,
    /// `secret`.
    pub is_secret: bool,
    /// `default`.
    pub default: Option<Tree>,
    /// `enum`.
    pub one_of: Option<Vec<Tree>>,
    /// `pattern`.
    pub pattern: Option<Pattern>,
    /// `min` and `max` of a number, duration or size.
    pub min: Option<Tree>,
    /// See `min`.
    pub max: Option<Tree>,
    /// `min-length`, in characters.
    pub min_length: Option<u32>,
    /// `required-in`; every environment when absent, unless there is a default.
    pub required_in: Option<Vec<Spanned<Text>>>,
    /// `checksum-of`.
    pub checksum_of: Option<Spanned<Text>>,
    /// `parity`.
    pub parity: Parity,
    /// `rotate-every`.
    pub rotate_every: Option<Spanned<Span>>,
    /// `free-port`.
    pub free_port: bool,
    /// `injected`: a variable of the engine's own environment wins over all layers.
    pub is_injected: bool,
    /// `owner`.
    pub owner: Option<String>,
}

/// A regular expression, for all environments or for each its own.
#[derive(Clone, Debug)]
pub enum Pattern {
    /// For all.
    All(Spanned<Text>),
    /// By the environment's name without its folder.
    Each(Vec<(Spanned<Text>, Spanned<Text>)>),
}

/// What two environments must have in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Parity {
    /// Both have the key, with the same value.
    #[default]
    Equal,
    /// Both have the key, or neither.
    Presence,
    /// Nothing.
    Ignore,
}

/// One layer of values.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Its name without its folder, `staging`.
    pub name: String,
    /// The file.
    pub file: FileIx,
    /// `description`.
    pub description: Option<String>,
    /// `extends`.
    pub extends: Option<Spanned<Text>>,
    /// `values`, in written order.
    pub values: Vec<(Spanned<Text>, Tree)>,
    /// `unset`.
    pub unset: Vec<Spanned<Text>>,
    /// `secrets`.
    pub secrets: Vec<SecretDecl>,
    /// `files`.
    pub files: Vec<FileRule>,
    /// `policy`.
    pub policy: Policy,
    /// Something in the file was wrong and is missing here.
    pub partial: bool,
}

/// A secret as it is declared: where its value is, never the value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SecretDecl {
    /// The key.
    pub name: Spanned<Text>,
    /// `from`.
    pub from: SecretSource,
    /// Where `from` stands.
    pub at: Place,
    /// `rotated-at`.
    pub rotated_at: Option<Spanned<Date>>,
    /// `version`.
    pub version: Option<String>,
}

#[cfg(test)]
impl SecretDecl {
    /// A declaration that stands nowhere, for tests of what fetches secrets.
    pub(crate) fn plain(name: &str, from: SecretSource) -> Self {
        let at = Place { file: crate::plan::source::FileIx(0), start: 0, end: 0 };
        Self { name: Spanned { value: name.into(), at }, from, at, rotated_at: None, version: None }
    }
}

/// Where a secret's value is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SecretSource {
    /// A variable of the caller's environment.
    Env(String),
    /// A file.
    File(String),
    /// What a command prints.
    Command(Vec<String>),
    /// A file encrypted by age.
    Age {
        /// The encrypted file.
        file: String,
        /// The file with the key.
        identity: String,
    },
    /// A field in Vault.
    Vault {
        /// The mount and the path below it.
        path: String,
        /// The field.
        field: String,
        /// The server; `$VAULT_ADDR` when absent.
        address: Option<String>,
        /// The file with the token; `$VAULT_TOKEN` when absent.
        token_file: Option<String>,
        /// Which version; the newest when absent.
        version: Option<u32>,
    },
    /// A credential that systemd passed.
    Credential(String),
}

impl SecretSource {
    /// Where the value is, in a few words without anything secret: `env:API_KEY`, `file:/run/secrets/db`.
    pub fn words(&self) -> String {
        match self {
            Self::Env(name) => format!("env:{name}"),
            Self::File(path) => format!("file:{path}"),
            Self::Command(words) => format!("command:{}", words.first().map_or("", String::as_str)),
            Self::Age { file, .. } => format!("age:{file}"),
            Self::Vault { path, field, .. } => format!("vault:{path}#{field}"),
            Self::Credential(name) => format!("credential:{name}"),
        }
    }
}

/// A file that is rendered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileRule {
    /// Its name in the plan and on the command line.
    pub name: Spanned<Text>,
    /// `template`, below `templates/`.
    pub template: Spanned<Text>,
    /// `to`, from the root.
    pub to: Spanned<Text>,
    /// `mode`.
    pub mode: u32,
    /// `require-tmpfs`.
    pub require_tmpfs: bool,
    /// `format`.
    pub format: Format,
}

/// What a rendered file is parsed back as.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// Nothing.
    #[default]
    Text,
    /// Our dotenv dialect.
    Dotenv,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// TOML.
    Toml,
}

/// The policy of an environment; what a layer does not say comes from the one below.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Policy {
    /// `production`.
    pub production: Option<Spanned<bool>>,
    /// `parity`.
    pub parity: Option<ParityRule>,
    /// `approvals`.
    pub approvals: Option<Approvals>,
    /// `freeze`.
    pub freeze: Option<Vec<Freeze>>,
}

impl Policy {
    /// Whether the strict rules count.
    pub fn is_production(&self) -> bool {
        self.production.as_ref().is_some_and(|on| on.value)
    }

    /// The policy in words, a line for each part.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.is_production() {
            lines.push("production: the strict rules count".to_owned());
        }
        if let Some(parity) = &self.parity {
            lines.push(format!("parity with {}: drift below {}", parity.with.value, share(parity.max_drift)));
        }
        if let Some(approvals) = &self.approvals {
            let distinct = match &approvals.distinct_from[..] {
                [] => String::new(),
                people => format!(", not by the {}", people.join(" or the ")),
            };
            let noun = if approvals.min == 1 { "approval" } else { "approvals" };
            let signed = match &approvals.keys[..] {
                [] => String::new(),
                keys => {
                    let names: Vec<&str> = keys.iter().map(|(name, _)| &**name).collect();
                    format!(", signed by {}", names.join(" or "))
                }
            };
            lines.push(format!("{} {noun}{distinct}{signed}", approvals.min));
        }
        for freeze in self.freeze.iter().flatten() {
            let Freeze { from, to, tz, reason } = freeze;
            lines.push(format!("frozen from {from} to {to} ({tz}): {reason}"));
        }
        lines
    }
}

/// Hundredths of a percent as people write them.
pub fn share(hundredths: u32) -> String {
    match (hundredths / 100, hundredths % 100) {
        (whole, 0) => format!("{whole}%"),
        (whole, part) if part % 10 == 0 => format!("{whole}.{}%", part / 10),
        (whole, part) => format!("{whole}.{part:02}%"),
    }
}

/// How far an environment may differ from another one.
#[derive(Clone, PartialEq, Debug)]
pub struct ParityRule {
    /// `with`.
    pub with: Spanned<Text>,
    /// `max-drift`, in hundredths of a percent: 500 is 5 %.
    pub max_drift: u32,
}

/// Who must agree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Approvals {
    /// `min`.
    pub min: u32,
    /// `distinct-from`.
    pub distinct_from: Vec<String>,
    /// `keys`: who may agree, each with their public key.
    pub keys: Vec<(Box<str>, PublicKey)>,
}

/// A time in which nothing is changed.
#[derive(Clone, PartialEq, Debug)]
pub struct Freeze {
    /// Its first moment.
    pub from: DateTime,
    /// The moment after its last.
    pub to: DateTime,
    /// The time zone of both.
    pub tz: String,
    /// Why.
    pub reason: String,
}

/// A difference that was agreed on.
#[derive(Clone, PartialEq, Debug)]
pub struct Exception {
    /// Where it stands.
    pub at: Place,
    /// The key.
    pub key: Spanned<Text>,
    /// `environments`.
    pub environments: Vec<Spanned<Text>>,
    /// `ticket`.
    pub ticket: Spanned<Text>,
    /// `reason`.
    pub reason: String,
    /// `approver`.
    pub approver: Option<String>,
    /// `until`: the last day on which it counts.
    pub until: Spanned<Date>,
    /// `waives`.
    pub waives: Waives,
}

/// What an exception excuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Waives {
    /// A difference between two environments.
    #[default]
    Parity,
    /// A secret that is too old.
    Rotation,
}
