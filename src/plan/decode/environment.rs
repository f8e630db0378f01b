//! The files of an environment: catalog, layer, exceptions.

use jiff::civil::{Date, DateTime};

use super::check::{Check, is_env_name, is_key};
use super::values::{
    boolean, count, entries, ignored, items, kind, named, settled, span, text, texts, word, words,
};
use crate::base::{PublicKey, Text};
use crate::plan::environment::{
    Approvals, Catalog, Exception, FileRule, Format, Freeze, KeyRule, Layer, Parity, ParityRule, Pattern, Policy,
    SecretDecl, SecretSource, Waives,
};
use crate::plan::error::{Diagnostic, Report};
use crate::plan::model::Type;
use crate::plan::schema::Table;
use crate::plan::schema::tables::{
    CATALOG, CATALOG_KEY, ENVIRONMENT, EXCEPTION, EXCEPTIONS, FREEZE, POLICY, RENDERED, SECRET, SECRET_SOURCE,
};
use crate::plan::source::{Place, Sources, Spanned};
use crate::plan::tree::{Key, Kind, Tree};

/// Reads `tree` as a catalog.
pub(in crate::plan) fn catalog(tree: Tree, sources: &Sources, report: &mut Report) -> Catalog {
    let mut check = Check::new(sources, report);
    let mut catalog = Catalog { file: tree.at.file, keys: Vec::new(), partial: false };
    if is_map(&tree, &CATALOG, &mut check) {
        for (key, value) in entries(tree) {
            match &*key.text {
                "keys" => {
                    catalog.keys = named(value).into_iter().map(|(name, it)| rule(name, it, &mut check)).collect();
                }
                "description" => {}
                _ => ignored(&key, &CATALOG),
            }
        }
    }
    catalog.partial = check.found_errors();
    catalog
}

/// Reads `tree` as the layer `name`.
pub(in crate::plan) fn layer(name: &str, tree: Tree, sources: &Sources, report: &mut Report) -> Layer {
    let mut check = Check::new(sources, report);
    let mut layer = Layer {
        name: name.to_owned(),
        file: tree.at.file,
        description: None,
        extends: None,
        values: Vec::new(),
        unset: Vec::new(),
        secrets: Vec::new(),
        files: Vec::new(),
        policy: Policy::default(),
        partial: false,
    };
    if is_map(&tree, &ENVIRONMENT, &mut check) {
        for (key, value) in entries(tree) {
            match &*key.text {
                "description" => layer.description = words(value),
                "extends" => layer.extends = text(value),
                "values" => layer.values = named(value),
                "unset" => layer.unset = texts(value),
                "secrets" => {
                    let all = named(value).into_iter();
                    layer.secrets = all.filter_map(|(name, it)| secret(name, it, &mut check)).collect();
                }
                "files" => {
                    let all = named(value).into_iter();
                    layer.files = all.filter_map(|(name, it)| file(name, it, &mut check)).collect();
                }
                "policy" => layer.policy = policy(value, &mut check),
                _ => ignored(&key, &ENVIRONMENT),
            }
        }
    }
    layer.partial = check.found_errors();
    layer
}

/// Reads `tree` as a list of exceptions.
pub(in crate::plan) fn exceptions(tree: Tree, sources: &Sources, report: &mut Report) -> Vec<Exception> {
    let mut check = Check::new(sources, report);
    if !is_map(&tree, &EXCEPTIONS, &mut check) {
        return Vec::new();
    }
    let list =
        entries(tree).into_iter().filter(|(key, _)| &*key.text == "exceptions").flat_map(|(_, it)| items(it));
    list.filter_map(|it| exception(it, &mut check)).collect()
}

/// Checks a whole file against its table; false when it is no map.
fn is_map(tree: &Tree, table: &'static Table, check: &mut Check<'_>) -> bool {
    let Kind::Map(entries) = &tree.kind else {
        let message = format!("this file (`{}`) is a map of keys, and here is {}", table.name, tree.noun());
        let help = format!("it begins with `{}:`", table.keys.last().map_or("", |key| key.name));
        check.push(Diagnostic::error("plan::wrong-type", tree.at, message).help(help));
        return false;
    };
    check.table(tree.at, entries, table);
    true
}

fn rule(name: Spanned<Text>, tree: Tree, check: &mut Check<'_>) -> KeyRule {
    let mut rule = KeyRule {
        name,
        kind: Type::String,
        description: None,
        is_secret: false,
        default: None,
        one_of: None,
        pattern: None,
        min: None,
        max: None,
        min_length: None,
        required_in: None,
        checksum_of: None,
        parity: Parity::Equal,
        rotate_every: None,
        free_port: false,
        is_injected: false,
        owner: None,
    };
    for (key, value) in entries(tree) {
        match &*key.text {
            "type" => rule.kind = kind(&value).unwrap_or(Type::String),
            "description" => rule.description = words(value),
            "secret" => rule.is_secret = is_on(&value),
            "default" => rule.default = Some(value),
            "enum" => rule.one_of = Some(items(value)),
            "pattern" => rule.pattern = pattern(value),
            "min" => rule.min = Some(value),
            "max" => rule.max = Some(value),
            "min-length" => rule.min_length = number(&value, check),
            "required-in" => rule.required_in = Some(texts(value)),
            "checksum-of" => rule.checksum_of = text(value),
            "parity" => {
                let words = [("equal", Parity::Equal), ("presence", Parity::Presence), ("ignore", Parity::Ignore)];
                rule.parity = word(&value, &words).map(|word| word.value).unwrap_or_default();
            }
            "rotate-every" => rule.rotate_every = settled(span(value), |at| no_template(at, check)),
            "free-port" => rule.free_port = is_on(&value),
            "injected" => rule.is_injected = is_on(&value),
            "owner" => rule.owner = words(value),
            _ => ignored(&key, &CATALOG_KEY),
        }
    }
    rule
}

fn is_on(tree: &Tree) -> bool {
    boolean(tree).is_some_and(|on| on.value)
}

/// A regular expression, or one for each environment.
fn pattern(tree: Tree) -> Option<Pattern> {
    match tree.kind {
        Kind::Str { .. } => text(tree).map(Pattern::All),
        _ => {
            let each = named(tree).into_iter().filter_map(|(name, value)| Some((name, text(value)?)));
            Some(Pattern::Each(each.collect()))
        }
    }
}

/// A whole number.
fn number(tree: &Tree, check: &mut Check<'_>) -> Option<u32> {
    settled(count(tree.clone()), |at| no_template(at, check)).map(|number| number.value)
}

fn no_template(at: Place, check: &mut Check<'_>) {
    let message = "the files of an environment hold values, not templates";
    check.push(Diagnostic::error("env::template", at, message).help("write the value out"));
}

fn secret(name: Spanned<Text>, tree: Tree, check: &mut Check<'_>) -> Option<SecretDecl> {
    let mut decl = (None, None, None);
    for (key, value) in entries(tree) {
        match &*key.text {
            "from" => decl.0 = source(&key, value, check),
            "rotated-at" => decl.1 = date(value, check),
            "version" => decl.2 = words(value),
            _ => ignored(&key, &SECRET),
        }
    }
    let (from, rotated_at, version) = decl;
    let (from, at) = from?;
    Some(SecretDecl { name, from, at, rotated_at, version })
}

/// `from`: exactly one source.
fn source(from: &Key, tree: Tree, check: &mut Check<'_>) -> Option<(SecretSource, Place)> {
    let mut written = entries(tree);
    if written.len() != 1 {
        let names: Vec<String> = SECRET_SOURCE.keys.iter().map(|key| format!("`{}`", key.name)).collect();
        let message = format!("`from` has exactly one source, here are {}", written.len());
        let help = format!("one of {}", names.join(", "));
        check.push(Diagnostic::error("plan::one-of", from.at, message).help(help));
        return None;
    }
    let (key, value) = written.pop()?;
    let at = value.at;
    let source = match &*key.text {
        "env" => {
            let name = text(value)?;
            if !is_env_name(&name.value) {
                let message = format!("`{}` is no variable's name", name.value);
                let help = "it must match `[A-Za-z_][A-Za-z0-9_]*`";
                check.push(Diagnostic::error("plan::bad-name", name.at, message).help(help));
            }
            SecretSource::Env(name.value.to_string())
        }
        "file" => SecretSource::File(words(value)?),
        "command" => SecretSource::Command(texts(value).into_iter().map(|word| word.value.to_string()).collect()),
        "credential" => SecretSource::Credential(words(value)?),
        "age" => {
            let part = parts(value);
            SecretSource::Age { file: part("file")?, identity: part("identity")? }
        }
        "vault" => vault(value, check)?,
        _ => return None,
    };
    Some((source, at))
}

fn vault(tree: Tree, check: &mut Check<'_>) -> Option<SecretSource> {
    let version = match &tree.kind {
        Kind::Map(entries) => entries.iter().find(|(key, _)| &*key.text == "version").map(|(_, it)| it),
        _ => None,
    };
    let version = version.and_then(|version| number(version, check));
    let part = parts(tree);
    Some(SecretSource::Vault {
        path: part("path")?,
        field: part("field")?,
        address: part("address"),
        token_file: part("token-file"),
        version,
    })
}

/// The texts of a map, by key.
fn parts(tree: Tree) -> impl Fn(&str) -> Option<String> {
    let entries = entries(tree);
    move |wanted| {
        let found = entries.iter().find(|(key, _)| &*key.text == wanted);
        found.and_then(|(_, value)| value.as_str().map(str::to_owned))
    }
}

fn date(tree: Tree, check: &mut Check<'_>) -> Option<Spanned<Date>> {
    let written = text(tree)?;
    match written.value.parse::<Date>() {
        Ok(date) if written.value.len() == 10 => Some(Spanned::new(date, written.at)),
        _ => {
            let message = format!("`{}` is no date", written.value);
            let help = "a date is written `2026-10-01`";
            check.push(Diagnostic::error("env::bad-date", written.at, message).help(help));
            None
        }
    }
}

fn file(name: Spanned<Text>, tree: Tree, check: &mut Check<'_>) -> Option<FileRule> {
    let (mut template, mut to, mut mode, mut tmpfs, mut format) = (None, None, 0o600, false, Format::Text);
    for (key, value) in entries(tree) {
        match &*key.text {
            "template" => template = text(value),
            "to" => to = text(value),
            "mode" => mode = text(value).and_then(|text| octal(&text, check)).unwrap_or(mode),
            "require-tmpfs" => tmpfs = is_on(&value),
            "format" => format = format_word(&value),
            _ => ignored(&key, &RENDERED),
        }
    }
    Some(FileRule { name, template: template?, to: to?, mode, require_tmpfs: tmpfs, format })
}

fn format_word(tree: &Tree) -> Format {
    let words = [
        ("text", Format::Text),
        ("dotenv", Format::Dotenv),
        ("json", Format::Json),
        ("yaml", Format::Yaml),
        ("toml", Format::Toml),
    ];
    word(tree, &words).map(|word| word.value).unwrap_or_default()
}

/// `0400`, `0600`, `0640`: others may never write, and the owner must be able to read.
fn octal(text: &Spanned<Text>, check: &mut Check<'_>) -> Option<u32> {
    let digits = text.value.trim_start_matches("0o");
    let mode =
        u32::from_str_radix(digits, 8).ok().filter(|mode| (3..=4).contains(&digits.len()) && *mode <= 0o777);
    let good = mode.filter(|mode| mode & 0o400 != 0 && mode & 0o022 == 0);
    if good.is_none() {
        let message = match mode {
            Some(_) => format!("mode `{}` lets others write, or keeps its owner from reading", text.value),
            None => format!("`{}` is no octal mode", text.value),
        };
        check.push(
            Diagnostic::error("env::bad-mode", text.at, message).help("write `'0600'`, `'0400'` or `'0640'`"),
        );
    }
    good
}

fn policy(tree: Tree, check: &mut Check<'_>) -> Policy {
    let mut policy = Policy::default();
    for (key, value) in entries(tree) {
        match &*key.text {
            "production" => policy.production = boolean(&value),
            "parity" => policy.parity = parity_rule(value, check),
            "approvals" => policy.approvals = Some(approvals(value, check)),
            "freeze" => {
                policy.freeze = Some(items(value).into_iter().filter_map(|it| freeze(it, check)).collect());
            }
            _ => ignored(&key, &POLICY),
        }
    }
    policy
}

fn parity_rule(tree: Tree, check: &mut Check<'_>) -> Option<ParityRule> {
    let (mut with, mut max_drift) = (None, 500);
    for (key, value) in entries(tree) {
        match &*key.text {
            "with" => with = text(value),
            _ => max_drift = text(value).and_then(|share| percent(&share, check)).unwrap_or(max_drift),
        }
    }
    Some(ParityRule { with: with?, max_drift })
}

/// `5%`, `2.5%`, in hundredths of a percent.
fn percent(text: &Spanned<Text>, check: &mut Check<'_>) -> Option<u32> {
    let number = text.value.strip_suffix('%').map(str::trim).unwrap_or_default();
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let part = format!("{part:0<2}");
    let read = |text: &str| text.bytes().all(|c| c.is_ascii_digit()).then(|| text.parse::<u32>().ok()).flatten();
    let share = read(whole).zip(read(&part).filter(|_| part.len() == 2));
    let share =
        share.map(|(whole, part)| whole.saturating_mul(100).saturating_add(part)).filter(|it| *it <= 10_000);
    if share.is_none() {
        let message = format!("`{}` is no share in percent", text.value);
        check.push(Diagnostic::error("env::bad-share", text.at, message).help("write `5%` or `2.5%`"));
    }
    share
}

fn approvals(tree: Tree, check: &mut Check<'_>) -> Approvals {
    let at = tree.at;
    let mut approvals = Approvals { min: 1, distinct_from: Vec::new(), keys: Vec::new() };
    for (key, value) in entries(tree) {
        match &*key.text {
            "min" => approvals.min = number(&value, check).unwrap_or(1),
            "keys" => approvals.keys = keys(value, check),
            _ => approvals.distinct_from = texts(value).into_iter().map(|word| word.value.to_string()).collect(),
        }
    }
    let (known, min) = (approvals.keys.len(), approvals.min as usize);
    if (1..min).contains(&known) {
        let message = format!("{min} people must agree, and there are keys of {known}");
        check.push(Diagnostic::error("env::bad-key", at, message).help("name more people, or ask for fewer"));
    }
    approvals
}

/// The keys of those who may agree, each of another person.
fn keys(tree: Tree, check: &mut Check<'_>) -> Vec<(Box<str>, PublicKey)> {
    let mut keys: Vec<(Box<str>, PublicKey)> = Vec::new();
    for (name, value) in entries(tree) {
        let at = value.at;
        let said = words(value).unwrap_or_default().parse::<PublicKey>();
        let found = said.map_err(|why| format!("the key of `{}` {why}", name.text)).and_then(|key| {
            match keys.iter().find(|(_, known)| *known == key) {
                Some((other, _)) => Err(format!("`{}` and `{other}` have the same key", name.text)),
                None => Ok(key),
            }
        });
        match found {
            Ok(key) => keys.push((name.text.as_str().into(), key)),
            Err(message) => {
                let help = "`engine keys new FILE` makes a key and prints the line to write here";
                check.push(Diagnostic::error("env::bad-key", at, message).help(help));
            }
        }
    }
    keys
}

fn freeze(tree: Tree, check: &mut Check<'_>) -> Option<Freeze> {
    let at = tree.at;
    let (mut from, mut to, mut tz, mut reason) = (None, None, "UTC".to_owned(), None);
    for (key, value) in entries(tree) {
        match &*key.text {
            "from" => from = moment(value, check),
            "to" => to = moment(value, check),
            "tz" => tz = words(value).unwrap_or(tz),
            "reason" => reason = words(value),
            _ => ignored(&key, &FREEZE),
        }
    }
    let (from, to) = (from?, to?);
    if from >= to {
        check.push(Diagnostic::error("env::bad-date", at, "the freeze ends before it begins"));
    }
    Some(Freeze { from, to, tz, reason: reason? })
}

fn moment(tree: Tree, check: &mut Check<'_>) -> Option<DateTime> {
    let written = text(tree)?;
    let moment = written.value.parse::<DateTime>().ok();
    if moment.is_none() {
        let message = format!("`{}` is no date and time", written.value);
        let help = "write `2026-12-20T00:00`; the time zone stands in `tz`";
        check.push(Diagnostic::error("env::bad-date", written.at, message).help(help));
    }
    moment
}

fn exception(tree: Tree, check: &mut Check<'_>) -> Option<Exception> {
    let at = tree.at;
    let (mut key, mut environments, mut ticket, mut until) = (None, Vec::new(), None, None);
    let (mut reason, mut approver, mut waives) = (None, None, Waives::Parity);
    for (found, value) in entries(tree) {
        match &*found.text {
            "key" => key = text(value),
            "environments" => environments = texts(value),
            "ticket" => ticket = text(value),
            "reason" => reason = words(value),
            "approver" => approver = words(value),
            "until" => until = date(value, check),
            "waives" => {
                let words = [("parity", Waives::Parity), ("rotation", Waives::Rotation)];
                waives = word(&value, &words).map(|word| word.value).unwrap_or_default();
            }
            _ => ignored(&found, &EXCEPTION),
        }
    }
    let key = key?;
    if !is_key(&key.value) {
        let message = format!("`{}` is no key's name", key.value);
        check.push(Diagnostic::error("plan::bad-name", key.at, message).help("it must match `[A-Z_][A-Z0-9_]*`"));
    }
    let (ticket, until, reason) = (ticket?, until?, reason?);
    Some(Exception { at, key, environments, ticket, reason, approver, until, waives })
}
