//! What only the machine knows of an environment: whether its secrets are there and young enough, whether checksums
//! and ports are right, and whether git tracks what it must not.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use jiff::civil::Date;
use jiff::{ToSpan as _, civil};
use rayon::prelude::*;

use crate::base::sha256;
use crate::exec::{hearing, unix};
use crate::plan::environment::parity::{Rotation, rotation};
use crate::plan::environment::{Checker, Environment, Exception, Fetched, KeyRule, Secrets, Waives};
use crate::plan::{Diagnostic, Place, Report};
use crate::render::secret::Secret;

/// A secret shorter than this cannot be masked without tearing holes into all output.
const MIN_SECRET_BYTES: usize = 8;
/// The longest time for which a rotation may be waived, in days.
const MAX_WAIVER_DAYS: i32 = 14;

/// How one secret stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Age {
    /// The key.
    pub key: String,
    /// Its state.
    pub state: Rotation,
    /// Its age in days.
    pub days: i64,
    /// The greatest age.
    pub most: i64,
    /// The ticket that waives it.
    pub waived: Option<String>,
}

/// Secrets by key.
pub type Values = BTreeMap<String, Fetched>;

/// Fetches every declared secret, side by side; one that cannot be had is reported at its declaration.
pub fn fetch(environment: &Environment, secrets: &dyn Secrets, report: &mut Report) -> Values {
    let declared: Vec<_> = environment.secrets().collect();
    if !declared.is_empty() {
        unix::forbid_dumps();
    }
    let fetched: Vec<_> = declared.par_iter().map(|decl| secrets.fetch(decl)).collect();
    let mut values = Values::new();
    for (decl, found) in declared.into_iter().zip(fetched) {
        let name = &decl.name.value;
        match found {
            Ok(found) => {
                values.insert(name.to_string(), found);
            }
            Err(why) => report.push(not_had(name, decl.at, &why)),
        }
    }
    values
}

/// Says that the secret `name`, which is declared at `at`, has no value.
pub fn not_had(name: &str, at: Place, why: &str) -> Diagnostic {
    Diagnostic::error("env::no-secret", at, format!("the secret `{name}` cannot be had: {why}"))
}

/// Checks what was fetched against the catalog; a value is never quoted.
pub fn secrets(environment: &Environment, values: &Values, report: &mut Report) {
    let mut checker = Checker::default();
    let is_production = environment.policy.is_production();
    for decl in environment.secrets() {
        let name = &decl.name.value;
        let (Some(rule), Some(found)) = (environment.rule(name), values.get(name.as_str())) else { continue };
        short(name, &found.value, (decl.at, is_production), report);
        let fits = match found.value.expose_text() {
            Some(text) => checker.secret_fits(rule, text, environment.own_name()),
            None if rule.kind == crate::plan::model::Type::String && rule.pattern.is_none() => Ok(()),
            None => Err("its value is not text".to_owned()),
        };
        if let Err(why) = fits {
            let message = format!("the secret `{name}`: {why}");
            let found = Diagnostic::error("env::bad-value", decl.at, message);
            report.push(found.related(rule.name.at, "declared here"));
        }
    }
}

/// Says that a value is too short to be masked.
pub fn short(name: &str, value: &Secret, (at, is_production): (Place, bool), report: &mut Report) {
    if value.expose().len() >= MIN_SECRET_BYTES {
        return;
    }
    let message = format!("the secret `{name}` has fewer than {MIN_SECRET_BYTES} bytes, so it cannot be masked");
    let found = if is_production {
        Diagnostic::error("env::short-secret", at, message)
    } else {
        Diagnostic::warning("env::short-secret", at, message)
    };
    report.push(found.help("use a longer one; in production this is an error"));
}

/// How old each secret is on `today`; in production one that is too old or of unknown age is an error.
pub fn rotations(environment: &Environment, values: &Values, today: Date, report: &mut Report) -> Vec<Age> {
    let mut ages = Vec::new();
    for decl in environment.secrets() {
        let key = &decl.name.value;
        let Some(rule) = environment.rule(key) else { continue };
        let declared = decl.rotated_at.as_ref().map(|at| at.value);
        let at = values.get(key.as_str()).and_then(|found| found.rotated_at).or(declared);
        let Some((state, days, most)) = rotation(rule, at, today) else { continue };
        let waiver = waiver(environment, key, today, report);
        if state > Rotation::Due && waiver.is_none() {
            let message = match (state, at) {
                (Rotation::Unknown, Some(at)) => {
                    format!("the secret `{key}` was last changed on {at}, they say, which is still to come")
                }
                (Rotation::Unknown, None) => format!("nobody says when the secret `{key}` was last changed"),
                _ => format!("the secret `{key}` is {days} days old, {most} are allowed"),
            };
            let found = if environment.policy.is_production() {
                Diagnostic::error("env::rotation", decl.at, message)
            } else {
                Diagnostic::warning("env::rotation", decl.at, message)
            };
            let help = format!(
                "change it and write the day into `rotated-at`; a waiver in `exceptions` may last {MAX_WAIVER_DAYS} days"
            );
            report.push(found.help(help));
        }
        let waived = waiver.map(|exception| exception.ticket.value.to_string());
        ages.push(Age { key: key.to_string(), state, days, most, waived });
    }
    ages
}

/// The exception that waives the rotation of `key` here.
fn waiver<'e>(environment: &'e Environment, key: &str, today: Date, report: &mut Report) -> Option<&'e Exception> {
    let found = environment.exceptions.iter().find(|exception| {
        exception.waives == Waives::Rotation
            && exception.key.value == key
            && exception.until.value >= today
            && exception.environments.iter().any(|name| name.value == environment.own_name())
    })?;
    let last: civil::Date = today.saturating_add(MAX_WAIVER_DAYS.days());
    if found.until.value > last {
        let message = format!("a waiver of a rotation may last {MAX_WAIVER_DAYS} days, this one lasts longer");
        let help = format!("end it on {last} or before");
        report.push(Diagnostic::error("env::rotation", found.until.at, message).help(help));
    }
    Some(found)
}

/// Checksums of files and of other keys.
pub fn checksums(environment: &Environment, values: &Values, root: &Path, report: &mut Report) {
    for rule in &environment.catalog.keys {
        let (Some(of), Some(entry)) = (&rule.checksum_of, environment.entries.get(rule.name.value.as_str()))
        else {
            continue;
        };
        let Some(written) = entry.value() else { continue };
        let is_key = environment.catalog.rule(&of.value).is_some();
        let found = if is_key { key_bytes(environment, values, &of.value) } else { file_bytes(root, &of.value) };
        let name = &rule.name.value;
        let (message, help) = match found {
            Ok(bytes) if written.as_str() == Some(&sha256(&bytes)) => continue,
            // The digest of a secret must not be told: it can be tried out.
            Ok(_) if values.contains_key(of.value.as_str()) => {
                (format!("`{name}` is not the SHA-256 of `{}`", of.value), None)
            }
            Ok(bytes) => {
                let help = format!("if it was meant to change, write `{}`", sha256(&bytes));
                (format!("`{name}` is not the SHA-256 of `{}`", of.value), Some(help))
            }
            Err(why) => (format!("`{name}` is the SHA-256 of `{}`, which cannot be had: {why}", of.value), None),
        };
        let mut fault = Diagnostic::error("env::checksum", leaf_place(environment, rule), message);
        fault.help = help;
        report.push(fault.related(of.at, "what it is the checksum of"));
    }
}

fn key_bytes(environment: &Environment, values: &Values, key: &str) -> Result<Vec<u8>, String> {
    if let Some(found) = values.get(key) {
        return Ok(found.value.expose().to_vec());
    }
    let value = environment.entries.get(key).and_then(crate::plan::environment::Entry::value);
    let value = value.ok_or("it has no value here")?;
    Ok(crate::render::text_of(&value).unwrap_or_else(|| value.to_string()).into_bytes())
}

fn file_bytes(root: &Path, path: &str) -> Result<Vec<u8>, String> {
    use crate::plan::source::{Disk, Loader as _};
    Disk::new(root.to_path_buf()).load(path).map(String::into_bytes)
}

/// Where the value of a key is written.
fn leaf_place(environment: &Environment, rule: &KeyRule) -> Place {
    let leaves = environment.entries.get(rule.name.value.as_str()).map(|entry| entry.leaves(&rule.name.value));
    leaves.and_then(|leaves| leaves.first().map(|leaf| leaf.at)).unwrap_or(rule.name.at)
}

/// Ports that must be free: somebody listening there would be taken for what is about to start.
pub fn ports(environment: &Environment, report: &mut Report) {
    for rule in environment.catalog.keys.iter().filter(|rule| rule.free_port) {
        let name = &rule.name.value;
        let value = environment.entries.get(name.as_str()).and_then(crate::plan::environment::Entry::value);
        let Some(port) = value.and_then(|value| value.as_u64()) else { continue };
        let at = leaf_place(environment, rule);
        let Ok(port) = u16::try_from(port) else {
            let message = format!("`{name}` is no port: {port} is above 65535");
            report.push(Diagnostic::error("env::bad-value", at, message));
            continue;
        };
        // Port 0 lets the system choose a free one.
        if let Err(error) = TcpListener::bind(("0.0.0.0", port)) {
            let message = match error.kind() {
                std::io::ErrorKind::AddrInUse => format!("`{name}`: somebody listens on port {port} already"),
                _ => format!("`{name}`: port {port} cannot be listened on: {error}"),
            };
            let help = format!("find out who: `ss -ltnp 'sport = :{port}'`");
            report.push(Diagnostic::error("env::port", at, message).help(help));
        }
    }
}

/// Files that hold secrets and that git tracks: what is rendered, and `.env` files but for examples.
pub fn tracked(environment: &Environment, root: &Path, report: &mut Report) {
    let output =
        hearing::output(Command::new("git").args(["ls-files", "-z", "--full-name", "."]).current_dir(root));
    let Ok(output) = output.map(|output| output.status.success().then_some(output.stdout)) else { return };
    // Without git, or outside of a repository, nothing is tracked.
    let Some(listed) = output else { return };
    let prefix = prefix(root);
    let own = environment.layers.last().expect("an environment has its own layer");
    for name in listed.split(|byte| *byte == 0).filter_map(|name| std::str::from_utf8(name).ok()) {
        let Some(name) = name.strip_prefix(&*prefix).filter(|name| !name.is_empty()) else { continue };
        let rule = environment.files.iter().find(|file| normal(&file.to.value) == name);
        let at = match rule {
            Some(rule) => rule.to.at,
            None if is_env_file(name) => Place { file: own.file, start: 0, end: 0 },
            None => continue,
        };
        let message = format!("git tracks `{name}`, which holds what was rendered");
        let help =
            format!("take it out (`git rm --cached {name}`), ignore it, and change every secret that was in it");
        report.push(Diagnostic::error("env::tracked", at, message).help(help));
    }
}

/// What git puts before the names of files below `root`.
fn prefix(root: &Path) -> String {
    let output = hearing::output(Command::new("git").args(["rev-parse", "--show-prefix"]).current_dir(root));
    output.map_or_else(|_| String::new(), |output| String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

fn normal(path: &str) -> &str {
    path.trim_start_matches("./")
}

/// `.env`, `.env.staging`, `app.env`, but no example or template of one.
fn is_env_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_env =
        name == ".env" || name.starts_with(".env.") || Path::new(name).extension().is_some_and(|end| end == "env");
    let is_example = ["example", "sample", "template", "dist", "j2"].iter().any(|word| name.contains(word));
    is_env && !is_example
}

#[cfg(test)]
mod tests {
    use super::is_env_file;

    #[test]
    fn examples_of_env_files_may_be_tracked() {
        for name in [".env", "a/.env", ".env.production", "run/app.env"] {
            assert!(is_env_file(name), "{name}");
        }
        for name in [".env.example", "a/app.env.j2", ".envrc", "environments/base.yaml", "env"] {
            assert!(!is_env_file(name), "{name}");
        }
    }
}
