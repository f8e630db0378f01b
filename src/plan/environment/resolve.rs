//! Lays the layers of an environment over each other. Every leaf keeps its place, so that it can say where it
//! comes from.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Platform;
use super::model::{Catalog, Exception, FileRule, KeyRule, Layer, Policy, SecretDecl};
use crate::base::{Digest, Text};

use crate::plan::decode;
use crate::plan::error::{Diagnostic, Report, nearest};
use crate::plan::source::{FileIx, Place, Sources, Spanned};
use crate::plan::tree::{Kind, Tree};
use crate::plan::types::literal;
use crate::render::Value;

/// An environment with all its layers, merged.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Its name, `router/staging`.
    pub name: String,
    /// Its folder, `environments/router`.
    pub folder: String,
    /// The catalog.
    pub catalog: Arc<Catalog>,
    /// The layers, weakest first; the last one is the environment's own.
    pub layers: Vec<Arc<Layer>>,
    /// The exceptions of its folder.
    pub exceptions: Arc<Vec<Exception>>,
    /// What each key has, by name; a key without a value is not here.
    pub entries: BTreeMap<String, Entry>,
    /// What is rendered, in written order.
    pub files: Vec<FileRule>,
    /// The policy.
    pub policy: Policy,
    /// Whether something in its files was wrong and is missing here.
    pub partial: bool,
    /// What the platform gave; it is among the entries.
    pub platform: Platform,
}

/// What a key has.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it is written.
    pub at: Place,
    /// What is written there.
    pub setting: Setting,
}

/// See [`Entry`].
#[derive(Clone, Debug)]
pub enum Setting {
    /// A value; a map may have leaves of several layers.
    Plain(Tree),
    /// A secret's source.
    Secret(SecretDecl),
}

/// One leaf of a value, and where it comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leaf {
    /// `FLAGS.beta`, or the key alone.
    pub path: String,
    /// What it is.
    pub value: Value,
    /// Where it is written.
    pub at: Place,
}

impl Entry {
    /// The value, unless it is a secret.
    pub fn value(&self) -> Option<Value> {
        match &self.setting {
            Setting::Plain(tree) => Some(literal(tree)),
            Setting::Secret(_) => None,
        }
    }

    /// The secret's declaration, if it is one.
    pub const fn secret(&self) -> Option<&SecretDecl> {
        match &self.setting {
            Setting::Plain(_) => None,
            Setting::Secret(decl) => Some(decl),
        }
    }

    /// Every leaf of the value; a secret has none.
    pub fn leaves(&self, key: &str) -> Vec<Leaf> {
        let Setting::Plain(tree) = &self.setting else { return Vec::new() };
        let mut found = Vec::new();
        let mut left = vec![(key.to_owned(), tree)];
        while let Some((path, tree)) = left.pop() {
            match &tree.kind {
                Kind::Map(items) if !items.is_empty() => {
                    left.extend(items.iter().rev().map(|(key, item)| (format!("{path}.{}", key.text), item)));
                }
                _ => found.push(Leaf { path, value: literal(tree), at: tree.at }),
            }
        }
        found
    }
}

impl Environment {
    /// The rule of a key.
    pub fn rule(&self, key: &str) -> Option<&KeyRule> {
        self.catalog.rule(key)
    }

    /// Its name without its folder.
    pub fn own_name(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }

    /// Another environment of the same folder.
    pub fn sibling(&self, own: &str) -> String {
        self.name.rsplit_once('/').map_or_else(|| own.to_owned(), |(folder, _)| format!("{folder}/{own}"))
    }

    /// Which layer a place belongs to: a layer's name, `catalog` for a default, or `platform`.
    pub fn layer_of(&self, at: Place) -> &str {
        let other = if at.file == self.catalog.file { "catalog" } else { "platform" };
        self.layers.iter().find(|layer| layer.file == at.file).map_or(other, |layer| &layer.name)
    }

    /// Whether the catalog wants `rule` here.
    pub fn requires(&self, rule: &KeyRule) -> bool {
        match &rule.required_in {
            Some(names) => names.iter().any(|name| name.value == self.own_name()),
            None => rule.default.is_none(),
        }
    }

    /// The declared secrets, by name.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretDecl> {
        self.entries.values().filter_map(Entry::secret)
    }

    /// The digest of every file it was read from.
    pub fn digest(&self, sources: &Sources) -> Digest {
        let mut hasher = blake3::Hasher::new_derive_key("engine environment files 1");
        for (path, text) in self.files_read(sources) {
            for part in [path, text] {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part.as_bytes());
            }
        }
        hasher.finalize().into()
    }

    /// Every file it was read from, by path.
    fn files_read<'s>(&self, sources: &'s Sources) -> Vec<(&'s str, &'s str)> {
        let own = self.layers.iter().map(|layer| layer.file).chain([self.catalog.file]);
        let other = self.exceptions.first().map(|exception| exception.at.file);
        let of = |file: FileIx| (sources.file(file).path.as_str(), &*sources.file(file).text);
        let mut all: Vec<_> = own.chain(other).map(of).collect();
        all.sort_unstable();
        all
    }
}

impl Catalog {
    /// The rule of a key.
    pub fn rule(&self, key: &str) -> Option<&KeyRule> {
        self.keys.iter().find(|rule| rule.name.value == key)
    }

    /// The rules by name, for many look-ups.
    pub fn index(&self) -> BTreeMap<&str, &KeyRule> {
        self.keys.iter().map(|rule| (rule.name.value.as_str(), rule)).collect()
    }
}

/// Merges `layers` (weakest first) under the rules of `catalog`.
pub(super) fn resolve(
    name: &str,
    folder: String,
    catalog: Arc<Catalog>,
    layers: Vec<Arc<Layer>>,
    exceptions: Arc<Vec<Exception>>,
    report: &mut Report,
) -> Environment {
    let mut merge = Merge { catalog: &catalog, index: catalog.index(), entries: BTreeMap::new(), report };
    merge.defaults();
    for layer in &layers {
        merge.unset(layer);
        merge.values(layer);
        merge.secrets(layer);
    }
    let entries = merge.entries;
    let partial = catalog.partial || layers.iter().any(|layer| layer.partial);
    let files = merge_files(&layers);
    let policy = merge_policy(&layers);
    let platform = Platform::new();
    Environment {
        name: name.to_owned(),
        folder,
        catalog,
        layers,
        exceptions,
        entries,
        files,
        policy,
        partial,
        platform,
    }
}

struct Merge<'a> {
    catalog: &'a Catalog,
    index: BTreeMap<&'a str, &'a KeyRule>,
    entries: BTreeMap<String, Entry>,
    report: &'a mut Report,
}

impl Merge<'_> {
    /// The rule of a key that a layer names; an unknown one is reported.
    fn rule(&mut self, name: &Spanned<Text>) -> Option<&KeyRule> {
        let found = self.index.get(name.value.as_str()).copied();
        // A name that breaks the rule, and a catalog that could not be read, have been reported.
        if found.is_none() && decode::is_key(&name.value) && !self.catalog.partial {
            let message = format!("the catalog has no key `{}`", name.value);
            let near = nearest(&name.value, self.index.keys().copied());
            let help = near.map_or_else(
                || format!("declare it: `{}: {{type: string}}`", name.value),
                |near| format!("did you mean `{near}`?"),
            );
            let found = Diagnostic::error("env::unknown-key", name.at, message).help(help);
            self.report.push(found);
        }
        found
    }

    fn unset(&mut self, layer: &Layer) {
        for name in &layer.unset {
            let mut parts = name.value.split('.');
            let key = parts.next().unwrap_or_default();
            let rest: Vec<&str> = parts.collect();
            let is_gone = match rest.split_last() {
                None => self.entries.remove(key).is_some(),
                Some((last, path)) => self.entries.get_mut(key).is_some_and(|entry| take(entry, path, last)),
            };
            if !is_gone {
                let message = format!("no layer below gives `{}`, so there is nothing to unset", name.value);
                let near = nearest(&name.value, self.entries.keys().map(String::as_str));
                let mut found = Diagnostic::error("env::nothing-to-unset", name.at, message);
                found.help = near.map(|near| format!("did you mean `{near}`?"));
                self.report.push(found);
            }
            if let Some((_, value)) = layer.values.iter().find(|(other, _)| other.value == name.value) {
                let message = format!("`{}` is unset and given a value in one layer", name.value);
                self.report.push(
                    Diagnostic::error("env::nothing-to-unset", name.at, message)
                        .related(value.at, "given here")
                        .help("keep one of the two"),
                );
            }
        }
    }

    fn values(&mut self, layer: &Layer) {
        for (name, tree) in &layer.values {
            let is_secret = self.rule(name).is_some_and(|rule| rule.is_secret);
            if is_secret {
                let message = format!("`{}` is a secret, so no file may hold its value", name.value);
                let help = format!(
                    "take it out, change it where it is used, and say where it is: `secrets: {{{}: {{from: {{env: \
                     {}}}}}}}`",
                    name.value, name.value
                );
                self.report.push(Diagnostic::error("env::secret-in-file", name.at, message).help(help));
                continue;
            }
            if let Some(found) = bad_character(name, tree) {
                self.report.push(found);
            }
            let merged = match self.entries.remove(&*name.value) {
                Some(Entry { setting: Setting::Plain(below), .. }) => merge(below, tree),
                _ => tree.clone(),
            };
            let entry = Entry { at: name.at, setting: Setting::Plain(merged) };
            self.entries.insert(name.value.to_string(), entry);
        }
    }

    fn secrets(&mut self, layer: &Layer) {
        for decl in &layer.secrets {
            if self.rule(&decl.name).is_some_and(|rule| !rule.is_secret) {
                let name = &decl.name.value;
                let message = format!("the catalog does not call `{name}` a secret");
                let help = format!("write `secret: true` at `{name}` in the catalog, or move it to `values`");
                self.report.push(Diagnostic::error("env::not-secret", decl.name.at, message).help(help));
            }
            let entry = Entry { at: decl.name.at, setting: Setting::Secret(decl.clone()) };
            self.entries.insert(decl.name.value.to_string(), entry);
        }
    }

    /// What the catalog says where no layer does: the weakest layer of all.
    fn defaults(&mut self) {
        for rule in &self.catalog.keys {
            if let (Some(default), false) = (&rule.default, rule.is_secret) {
                let entry = Entry { at: default.at, setting: Setting::Plain(default.clone()) };
                self.entries.insert(rule.name.value.to_string(), entry);
            }
        }
    }
}

/// Maps are merged key by key, everything else is replaced.
fn merge(below: Tree, above: &Tree) -> Tree {
    match (below.kind, &above.kind) {
        (Kind::Map(mut entries), Kind::Map(over)) => {
            for (key, value) in over {
                match entries.iter().position(|(known, _)| known.text == key.text) {
                    Some(at) => {
                        let slot = &mut entries[at];
                        let old = std::mem::replace(&mut slot.1, Tree { at: value.at, kind: Kind::Null });
                        *slot = (key.clone(), merge(old, value));
                    }
                    None => entries.push((key.clone(), value.clone())),
                }
            }
            Tree { at: above.at, kind: Kind::Map(entries) }
        }
        _ => above.clone(),
    }
}

/// Takes `last` out of the map at `path`; whether it was there.
fn take(entry: &mut Entry, path: &[&str], last: &str) -> bool {
    let Setting::Plain(tree) = &mut entry.setting else { return false };
    let mut tree = tree;
    for part in path {
        let Kind::Map(entries) = &mut tree.kind else { return false };
        let Some((_, inner)) = entries.iter_mut().find(|(key, _)| *key.text == **part) else { return false };
        tree = inner;
    }
    let Kind::Map(entries) = &mut tree.kind else { return false };
    let before = entries.len();
    entries.retain(|(key, _)| *key.text != *last);
    entries.len() < before
}

/// A control character in a value: no file format of the outside world takes it as it is.
fn bad_character(name: &Spanned<Text>, tree: &Tree) -> Option<Diagnostic> {
    let mut left = vec![tree];
    while let Some(tree) = left.pop() {
        match &tree.kind {
            Kind::Str { text, .. } => {
                let found = text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t'));
                if let Some(found) = found {
                    let code = u32::from(found);
                    let message =
                        format!("the value of `{}` contains the control character U+{code:04X}", name.value);
                    let help = "keep values to text; write binary values as base64";
                    return Some(Diagnostic::error("env::bad-value", tree.at, message).help(help));
                }
            }
            Kind::List(items) => left.extend(items),
            Kind::Map(items) => left.extend(items.iter().map(|(_, item)| item)),
            _ => {}
        }
    }
    None
}

/// The files of all layers, a stronger one with the same name in the place of the weaker.
fn merge_files(layers: &[Arc<Layer>]) -> Vec<FileRule> {
    let mut files: Vec<FileRule> = Vec::new();
    for rule in layers.iter().flat_map(|layer| &layer.files) {
        match files.iter_mut().find(|known| known.name.value == rule.name.value) {
            Some(slot) => *slot = rule.clone(),
            None => files.push(rule.clone()),
        }
    }
    files
}

/// Each part of the policy from the strongest layer that says it.
fn merge_policy(layers: &[Arc<Layer>]) -> Policy {
    let strongest = || layers.iter().rev().map(|layer| &layer.policy);
    Policy {
        production: strongest().find_map(|policy| policy.production.clone()),
        parity: strongest().find_map(|policy| policy.parity.clone()),
        approvals: strongest().find_map(|policy| policy.approvals.clone()),
        freeze: strongest().find_map(|policy| policy.freeze.clone()),
    }
}
