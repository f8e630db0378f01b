//! Holds an environment against its catalog: every value has its type and keeps its rules, nothing that is
//! required is missing, and the catalog does not contradict itself.

use std::collections::{BTreeMap, HashMap};

use regex::Regex;

use super::model::{Exception, FileRule, KeyRule, Pattern};
use super::resolve::{Environment, Setting};
use crate::base::Text;
use crate::plan::error::{Diagnostic, Report};
use crate::plan::model::Type;
use crate::plan::source::{FileIx, Place, Spanned};
use crate::plan::tree::Tree;
use crate::plan::types::{self, literal, magnitude};
use crate::render::{Value, text_of};

/// Checks environments; regular expressions are compiled once for all of them.
#[derive(Debug, Default)]
pub struct Checker {
    regexes: HashMap<String, Option<Regex>>,
    /// Catalogs that were checked already.
    catalogs: Vec<FileIx>,
}

/// Checks one environment. Secrets are checked as far as their declarations go.
pub fn check(environment: &Environment, report: &mut Report) {
    Checker::default().check(environment, report);
}

impl Checker {
    /// As [`check`].
    pub fn check(&mut self, environment: &Environment, report: &mut Report) {
        if !self.catalogs.contains(&environment.catalog.file) {
            self.catalogs.push(environment.catalog.file);
            for rule in &environment.catalog.keys {
                self.rule(rule, environment, report);
            }
        }
        for rule in &environment.catalog.keys {
            match environment.entries.get(&*rule.name.value) {
                Some(entry) => {
                    if let Setting::Plain(tree) = &entry.setting {
                        self.value(rule, tree, environment, report);
                    }
                }
                None if environment.requires(rule) && !environment.partial => missing(rule, environment, report),
                None => {}
            }
        }
        places(environment, report);
        if let Some(parity) = &environment.policy.parity
            && parity.with.value == environment.own_name()
        {
            let message = "an environment has parity with another one, not with itself";
            report.push(Diagnostic::error("env::bad-policy", parity.with.at, message));
        }
    }

    /// A value against its rule.
    fn value(&mut self, rule: &KeyRule, tree: &Tree, environment: &Environment, report: &mut Report) {
        if let Err(why) = self.fits(rule, literal(tree), environment.own_name()) {
            let message = format!("`{}`: {why}", rule.name.value);
            report.push(
                Diagnostic::error("env::bad-value", tree.at, message).related(rule.name.at, "declared here"),
            );
        }
    }

    /// Whether `value` is what `rule` wants in the environment `own`; why not.
    ///
    /// # Errors
    /// A sentence that says what is wrong. It quotes the value, unless it is a secret.
    pub fn fits(&mut self, rule: &KeyRule, value: Value, own: &str) -> Result<Value, String> {
        let shown = |value: &Value| match text_of(value) {
            _ if rule.is_secret => "its value".to_owned(),
            Some(text) => format!("`{text}`"),
            None => "it".to_owned(),
        };
        let value = types::check(rule.kind, value).map_err(|why| {
            if rule.is_secret { format!("its value is no {}", types::name(rule.kind)) } else { why }
        })?;
        if let Some(list) = &rule.one_of {
            let list: Vec<Value> = list.iter().map(literal).collect();
            if !list.contains(&value) {
                let words: Vec<String> = list.iter().filter_map(text_of).collect();
                return Err(format!("{} is none of {}", shown(&value), words.join(", ")));
            }
        }
        if let (Some(pattern), Some(text)) = (pattern_for(rule, own), value.as_str())
            && let Some(regex) = self.regex(&pattern.value)
            && !regex.is_match(text)
        {
            return Err(format!("{} does not match `{}`", shown(&value), pattern.value));
        }
        if let (Some(least), Some(text)) = (rule.min_length, value.as_str()) {
            let length = text.chars().count();
            if length < least as usize {
                return Err(format!("{} has {length} characters, and needs {least} at least", shown(&value)));
            }
        }
        let bound = |tree: &Option<Tree>| tree.as_ref().and_then(|tree| magnitude(rule.kind, &literal(tree)));
        let said = |tree: &Option<Tree>| tree.as_ref().map(|tree| shown(&literal(tree))).unwrap_or_default();
        match (magnitude(rule.kind, &value), bound(&rule.min), bound(&rule.max)) {
            (Some(size), Some(min), _) if size < min => {
                Err(format!("{} is below the minimum {}", shown(&value), said(&rule.min)))
            }
            (Some(size), _, Some(max)) if size > max => {
                Err(format!("{} is above the maximum {}", shown(&value), said(&rule.max)))
            }
            _ => Ok(value),
        }
    }

    /// The text of a secret against its rule.
    ///
    /// # Errors
    /// A sentence that says what is wrong and never quotes the text.
    pub fn secret_fits(&mut self, rule: &KeyRule, text: &str, own: &str) -> Result<(), String> {
        let value =
            types::read(rule.kind, text).map_err(|_| format!("its value is no {}", types::name(rule.kind)))?;
        self.fits(rule, value, own).map(drop)
    }

    fn regex(&mut self, pattern: &str) -> Option<&Regex> {
        if !self.regexes.contains_key(pattern) {
            self.regexes.insert(pattern.to_owned(), Regex::new(pattern).ok());
        }
        self.regexes.get(pattern).and_then(Option::as_ref)
    }

    /// A rule that contradicts itself.
    fn rule(&mut self, rule: &KeyRule, environment: &Environment, report: &mut Report) {
        let name = &rule.name.value;
        let mut fault = |at: Place, message: String, help: &str| {
            report.push(Diagnostic::error("env::bad-rule", at, message).help(help));
        };
        for pattern in patterns(rule) {
            if self.regex(&pattern.value).is_none() {
                let why = Regex::new(&pattern.value).err().map(|error| error.to_string()).unwrap_or_default();
                let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                let help = "the syntax is that of the Rust crate `regex`";
                fault(pattern.at, format!("the pattern of `{name}` is no regular expression: {why}"), help);
            }
        }
        if let (Some(default), true) = (&rule.default, rule.is_secret) {
            let help = "take the default away, and say in each environment where the value is";
            fault(default.at, format!("`{name}` is a secret, so no file may hold its value"), help);
        }
        for tree in rule.one_of.iter().flatten() {
            if let Err(why) = types::check(rule.kind, literal(tree)) {
                fault(
                    tree.at,
                    format!("a value of the `enum` of `{name}`: {why}"),
                    "mend the value or the `type`",
                );
            }
        }
        for tree in rule.min.iter().chain(&rule.max) {
            if magnitude(rule.kind, &literal(tree)).is_none() {
                let help = "`min` and `max` are for numbers, durations and sizes";
                fault(tree.at, format!("a bound of `{name}` does not fit its type"), help);
            }
        }
        if let (Some(every), false) = (&rule.rotate_every, rule.is_secret) {
            fault(every.at, format!("`{name}` is no secret, so it has no age"), "add `secret: true`");
        }
        if rule.free_port && rule.kind != Type::Int {
            fault(rule.name.at, format!("`{name}` is a port, so its type is `int`"), "write `type: int`");
        }
        if rule.is_injected && (rule.is_secret || matches!(rule.kind, Type::List | Type::Map)) {
            let help =
                "a secret comes from where an environment says: `from: {env: …}`; a list or map from its files";
            fault(
                rule.name.at,
                format!("`{name}` cannot be injected: it is no plain text, number or switch"),
                help,
            );
        }
        if let Some(of) = &rule.checksum_of
            && crate::plan::decode::is_key(&of.value)
            && environment.catalog.rule(&of.value).is_none()
        {
            let message = format!("`{name}` is the checksum of `{}`, which the catalog does not have", of.value);
            fault(of.at, message, "name a key of this catalog, or a file");
        }
    }
}

/// The regular expression that counts in the environment `own`.
fn pattern_for<'r>(rule: &'r KeyRule, own: &str) -> Option<&'r Spanned<Text>> {
    match rule.pattern.as_ref()? {
        Pattern::All(pattern) => Some(pattern),
        Pattern::Each(each) => each.iter().find(|(name, _)| name.value == own).map(|(_, pattern)| pattern),
    }
}

fn patterns(rule: &KeyRule) -> Vec<&Spanned<Text>> {
    match &rule.pattern {
        None => Vec::new(),
        Some(Pattern::All(pattern)) => vec![pattern],
        Some(Pattern::Each(each)) => each.iter().map(|(_, pattern)| pattern).collect(),
    }
}

fn missing(rule: &KeyRule, environment: &Environment, report: &mut Report) {
    let name = &rule.name.value;
    let own = environment.layers.last().expect("an environment has its own layer");
    let at = Place { file: own.file, start: 0, end: 0 };
    let message = format!("`{}` gives no value for `{name}`", environment.name);
    let help = if rule.is_secret {
        format!("say where it is: `secrets: {{{name}: {{from: {{env: {name}}}}}}}`")
    } else {
        format!("add `{name}` to `values`, or take it out of what the catalog requires: `required-in: []`")
    };
    report.push(Diagnostic::error("env::missing", at, message).related(rule.name.at, "required here").help(help));
}

/// Where files are rendered: each to a place of its own, below the root unless it is absolute.
fn places(environment: &Environment, report: &mut Report) {
    let mut known: BTreeMap<Vec<&str>, &FileRule> = BTreeMap::new();
    for rule in &environment.files {
        let (name, to) = (&rule.name.value, &rule.to);
        let mut parts = vec![if to.value.starts_with('/') { "/" } else { "" }];
        for part in to.value.split('/').filter(|part| !matches!(*part, "" | ".")) {
            match part {
                ".." if parts.len() > 1 => drop(parts.pop()),
                ".." if parts == [""] => {
                    let message = format!("`{}` is outside of the root", to.value);
                    let help = "write an absolute path if it is meant to be";
                    report.push(Diagnostic::error("env::bad-place", to.at, message).help(help));
                    break;
                }
                ".." => {}
                part => parts.push(part),
            }
        }
        if let Some(other) = known.insert(parts, rule) {
            let message = format!("`{name}` and `{}` are rendered to the same place", other.name.value);
            let found = Diagnostic::error("env::bad-place", to.at, message).related(other.to.at, "also here");
            report.push(found.help("give each file a place of its own"));
        }
    }
}

/// Exceptions whose last day is over on `today`, and those about keys that nobody has.
pub fn stale(environment: &Environment, today: jiff::civil::Date, report: &mut Report) {
    for exception in environment.exceptions.iter() {
        let Exception { key, until, ticket, .. } = exception;
        if until.value < today {
            let message = format!("the exception for `{}` ended on {}", key.value, until.value);
            let help = format!("end the difference, or agree on a new day in `{}`", ticket.value);
            report.push(Diagnostic::error("env::expired-exception", until.at, message).help(help));
        }
        if environment.catalog.rule(&key.value).is_none() && !environment.catalog.partial {
            let message = format!("an exception names `{}`, which the catalog does not have", key.value);
            report.push(Diagnostic::error("env::unknown-key", key.at, message));
        }
    }
}
