//! Compares a tree with the tables of the schema.

use super::{Role, hints};
use crate::base::Span;
use crate::plan::error::{Diagnostic, Report, nearest};
use crate::plan::model::{AllowFailed, Rate};
use crate::plan::schema::tables::FILE;
use crate::plan::schema::{Choice, Key as KeyDoc, NameRule, Named, Shape, Table};
use crate::plan::source::{Place, Sources};
use crate::plan::tree::{Key, Kind, Tree};

/// The only version there is.
const VERSION: i64 = 1;

/// A check in progress.
pub(super) struct Check<'a> {
    sources: &'a Sources,
    report: &'a mut Report,
    errors: usize,
}

impl<'a> Check<'a> {
    /// A check that reports to `report`; `sources` are only for quoting.
    pub(super) fn new(sources: &'a Sources, report: &'a mut Report) -> Self {
        Self { sources, report, errors: 0 }
    }

    /// Whether anything was wrong so far.
    pub(super) fn found_errors(&self) -> bool {
        self.errors > 0
    }

    /// Reports one error.
    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        self.errors += 1;
        self.report.push(diagnostic);
    }

    /// A whole file.
    pub(super) fn file(&mut self, tree: &Tree, role: Role) {
        let Kind::Map(entries) = &tree.kind else {
            let message = format!("a plan is a map of keys, this is {}", tree.noun());
            let help = "a plan begins with `version: 1` and has `stages`";
            return self.push(Diagnostic::error("plan::wrong-type", tree.at, message).help(help));
        };
        if role == Role::Action {
            self.not_in_action(entries);
        }
        self.table(tree.at, entries, &FILE);
    }

    /// Refuses the keys that only the plan itself may have.
    fn not_in_action(&mut self, entries: &[(Key, Tree)]) {
        for (key, _) in entries {
            if FILE.key(&key.text).is_some_and(|known| !known.in_action_file) {
                let message = format!("`{}` belongs to the plan, not to a file that it uses", key.text);
                self.push(
                    Diagnostic::error("plan::not-in-action", key.at, message)
                        .label("an action file has no such key")
                        .help("move it into the plan that uses this file"),
                );
            }
        }
    }

    /// A map with known keys, which begins at `at`.
    pub(super) fn table(&mut self, at: Place, entries: &[(Key, Tree)], table: &'static Table) {
        for (key, value) in entries {
            match table.key(&key.text) {
                Some(known) => self.known(key, value, known),
                None => match &table.open {
                    Some(named) => self.named_entry(key, value, named),
                    None => self.unknown(key, table),
                },
            }
        }
        for missing in table.keys.iter().filter(|known| known.required) {
            if !entries.iter().any(|(key, _)| *key.text == *missing.name) {
                self.missing(at, missing, table);
            }
        }
    }

    /// A required key that is not there.
    fn missing(&mut self, at: Place, key: &KeyDoc, table: &Table) {
        let message = match table.name {
            "file" => format!("`{}` is missing", key.name),
            name => format!("`{}` is missing in `{}`", key.name, called(name)),
        };
        let help = format!("add `{}: {}`", key.name, key.example);
        self.push(Diagnostic::error("plan::missing-key", at, message).help(help));
    }

    /// The value of a known key.
    fn known(&mut self, key: &Key, value: &Tree, known: &'static KeyDoc) {
        if matches!(value.kind, Kind::Null) && !matches!(known.shape, Shape::Any) {
            let message = format!("`{}` has no value", key.text);
            let help = format!("give it one, `{}: {}`, or leave the key out", known.name, known.example);
            self.push(Diagnostic::error("plan::wrong-type", key.at, message).help(help));
        } else {
            self.value(&key.text, value, &known.shape, known.example);
        }
    }

    /// A key that nobody knows.
    fn unknown(&mut self, key: &Key, table: &'static Table) {
        let place =
            if table.name == "file" { "the top level".to_owned() } else { format!("`{}`", called(table.name)) };
        let mut diagnostic =
            Diagnostic::error("plan::unknown-key", key.at, format!("unknown key `{}` in {place}", key.text));
        if let Some(help) = hints::for_key(&key.text, table) {
            diagnostic = diagnostic.help(help);
        }
        self.push(diagnostic);
    }

    /// One value of `key`, which must have `shape`.
    pub(super) fn value(&mut self, key: &str, value: &Tree, shape: &'static Shape, example: &str) {
        match (shape, &value.kind) {
            (_, Kind::Str { text, .. }) if hints::for_computed(text, shape).is_some() => {
                self.wrong_type(key, value, shape, example);
            }
            (Shape::Any, _)
            | (Shape::Bool | Shape::Expression, Kind::Bool(_))
            | (Shape::Template | Shape::Id(_) | Shape::EnvValue, Kind::Str { .. }) => {}
            (Shape::Version, kind) => self.version(value, kind),
            (Shape::Expression | Shape::Text(_), Kind::Str { text, .. }) => self.text(key, value, text, shape),
            (Shape::Name, Kind::Str { text, .. }) => self.name(text, value.at, NameRule::Id, "name"),
            (Shape::Count { min, max }, Kind::Int(number)) => self.count(key, value, *number, (*min, *max)),
            (Shape::ExitCode, Kind::Int(number)) => self.count(key, value, *number, (0, 255)),
            (Shape::Factor, Kind::Int(_) | Kind::Float(_)) => self.factor(key, value),
            (Shape::Duration { zero }, Kind::Str { text, .. }) => self.duration(key, value, text, *zero),
            (Shape::Duration { .. }, Kind::Int(_) | Kind::Float(_)) => self.no_unit(key, value),
            (Shape::Count { .. } | Shape::Rate | Shape::Share, Kind::Str { text, .. }) if text.contains("{{") => {}
            (Shape::Rate, Kind::Str { text, .. }) if Rate::parse(text).is_some() => {}
            (Shape::Share, Kind::Str { text, .. }) if AllowFailed::parse(text).is_some() => {}
            (Shape::Share, Kind::Int(number)) => self.count(key, value, *number, (0, u32::MAX)),
            (Shape::Rate | Shape::Share, _) => self.bad_bound(key, value, example),
            (Shape::Word(choices), Kind::Str { text, .. }) => self.word(key, value.at, text, (choices, &[])),
            (Shape::EnvValue, Kind::Bool(on)) if self.is_spelled(value.at, &on.to_string()) => {}
            (Shape::EnvValue, Kind::Int(number)) if self.is_spelled(value.at, &number.to_string()) => {}
            (Shape::List { of, empty }, Kind::List(items)) => self.list(key, value.at, items, (of, *empty)),
            (Shape::Map(table), Kind::Map(entries)) => self.table(value.at, entries, table),
            (Shape::Named(named), Kind::Map(entries)) => self.named(entries, named),
            (Shape::Stages(named), Kind::Map(entries)) => self.stage_map(key, value.at, entries, named),
            (Shape::Stages(named), Kind::List(items)) => self.stage_list(key, value.at, items, named),
            (Shape::Either(shapes), _) => match shapes.iter().find(|shape| fits(shape, value)) {
                Some(shape) => self.value(key, value, shape, example),
                None => self.no_choice(key, value, (shape, shapes), example),
            },
            _ => self.wrong_type(key, value, shape, example),
        }
    }

    /// No alternative fits: when one of them is a closed set or a duration and text was given, that one says why.
    fn no_choice(
        &mut self,
        key: &str,
        value: &Tree,
        (all, shapes): (&'static Shape, &'static [Shape]),
        example: &str,
    ) {
        let text = value.as_str().filter(|text| hints::for_text(text, all).is_none());
        let near = shapes.iter().find(|shape| matches!(shape, Shape::Word(_)));
        if let (Some(text), Some(Shape::Word(choices))) = (text, near) {
            let others = shapes.iter().filter(|shape| !matches!(shape, Shape::Word(_)));
            let others = others.map(|other| match other {
                Shape::Map(_) => format!("a map like `{key}: {example}`"),
                other => other.bounds(),
            });
            return self.word(key, value.at, text, (choices, &others.collect::<Vec<_>>()));
        }
        self.wrong_type(key, value, all, example);
    }

    /// A value of another type than the one wanted.
    fn wrong_type(&mut self, key: &str, value: &Tree, shape: &'static Shape, example: &str) {
        let wants_text = matches!(
            shape,
            Shape::Text(_) | Shape::Template | Shape::Id(_) | Shape::Name | Shape::EnvValue | Shape::Word(_)
        );
        if wants_text && matches!(value.kind, Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Null) {
            return self.unquoted(key, value);
        }
        if let Some(help) = value.as_str().and_then(|text| hints::for_text(text, shape)) {
            let message = format!("`{key}` must be {}, this is {}", shape.words(), value.noun());
            return self.push(Diagnostic::error("plan::wrong-type", value.at, message).help(help));
        }
        self.mismatch(key, value, &shape.words(), example);
    }

    /// The plain form of the error, with an example.
    fn mismatch(&mut self, key: &str, value: &Tree, wanted: &str, example: &str) {
        let help = match (&value.kind, wanted.starts_with("a list")) {
            (Kind::Str { text, .. }, true) if text.len() < 60 && !text.contains('\n') => {
                Some(format!("write `{key}: [{text}]`"))
            }
            _ => (example != "…").then(|| format!("for example `{key}: {example}`")),
        };
        let message = format!("`{key}` must be {wanted}, this is {}", value.noun());
        let label = format!("expected {wanted}");
        self.push(Diagnostic { help, ..Diagnostic::error("plan::wrong-type", value.at, message).label(label) });
    }

    /// A bare `true` or `5` where text is wanted.
    fn unquoted(&mut self, key: &str, value: &Tree) {
        let spelled = self.spelling(value);
        let message = format!("`{key}` wants text, and a bare `{spelled}` is {}", value.noun());
        let help = format!("put it in quotes: `\"{spelled}\"`");
        self.push(Diagnostic::error("plan::unquoted", value.at, message).label("not a string").help(help));
    }

    /// How a scalar stands in its file.
    fn spelling(&self, value: &Tree) -> String {
        let text = &self.sources.file(value.at.file).text;
        let written = text.get(value.at.start as usize..value.at.end as usize).unwrap_or_default().trim();
        match &value.kind {
            _ if !written.is_empty() && written.len() < 60 && !written.contains('\n') => written.to_owned(),
            Kind::Bool(on) => on.to_string(),
            Kind::Int(number) => number.to_string(),
            Kind::Float(number) => number.to_string(),
            _ => String::new(),
        }
    }

    /// Whether a value stands in its file exactly as `text`, so that nothing is lost by printing it so.
    fn is_spelled(&self, at: Place, text: &str) -> bool {
        let file = &self.sources.file(at.file).text;
        file.get(at.start as usize..at.end as usize).is_some_and(|written| written == text)
    }

    /// The language's version.
    fn version(&mut self, value: &Tree, kind: &Kind) {
        let (message, help) = match kind {
            Kind::Int(VERSION) => return,
            Kind::Int(number) if *number > VERSION => (
                format!("this file wants version {number} of the language, this engine knows version {VERSION}"),
                "use a newer engine, or write `version: 1` if the file needs nothing newer".to_owned(),
            ),
            Kind::Int(number) => {
                (format!("there is no version {number} of the language"), "write `version: 1`".to_owned())
            }
            _ => (
                format!("`version` must be the number 1, this is {}", value.noun()),
                "write `version: 1`, without quotes".to_owned(),
            ),
        };
        self.push(Diagnostic::error("plan::version", value.at, message).help(help));
    }

    /// Text that must not be empty, but for free text.
    fn text(&mut self, key: &str, value: &Tree, text: &str, shape: &Shape) {
        if text.trim().is_empty() && !matches!(shape, Shape::Text("text")) {
            self.empty(key, value.at, "text");
        }
    }

    /// Something without content.
    pub(super) fn empty(&mut self, key: &str, at: Place, what: &str) {
        let message = format!("`{key}` is empty");
        let help = format!("give it at least one {what}, or leave the key out");
        let help = match what {
            "text" => "write something, or leave the key out".to_owned(),
            // The key of stages cannot be left out.
            "stage" => "give it at least one stage".to_owned(),
            _ => help,
        };
        self.push(Diagnostic::error("plan::empty", at, message).help(help));
    }

    /// A whole number and its bounds.
    fn count(&mut self, key: &str, value: &Tree, number: i64, (min, max): (u32, u32)) {
        if number < i64::from(min) || number > i64::from(max) {
            let what = format!("`{key}`");
            self.push(Diagnostic::out_of_range(value.at, &what, (min, max), i128::from(number)));
        }
    }

    /// A number of at least 1.
    fn factor(&mut self, key: &str, value: &Tree) {
        let number = super::values::number(value).unwrap_or(f64::NAN);
        if !(1.0..=1000.0).contains(&number) {
            let message = format!("`{key}` must be from 1 to 1000, this is {number}");
            self.push(Diagnostic::error("plan::out-of-range", value.at, message));
        }
    }

    /// A duration as text.
    fn duration(&mut self, key: &str, value: &Tree, text: &str, zero: bool) {
        if text.contains("{{") {
            return;
        }
        match Span::parse(text) {
            Some(span) if zero || span != Span::ZERO => {}
            Some(_) => {
                let message = format!("`{key}` must be longer than zero");
                let help = "leave the key out for no bound";
                self.push(Diagnostic::error("plan::out-of-range", value.at, message).help(help));
            }
            None if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => self.no_unit(key, value),
            None if Span::is_too_long(text) => {
                let message = Span::too_long(format_args!("`{key}`"));
                let help = "leave the key out for no bound";
                self.push(Diagnostic::error("plan::out-of-range", value.at, message).help(help));
            }
            None => {
                let message = format!("`{key}` is not a duration: `{text}`");
                let help = hints::for_duration(text);
                self.push(Diagnostic::error("plan::bad-duration", value.at, message).help(help));
            }
        }
    }

    /// No rate, or no share.
    fn bad_bound(&mut self, key: &str, value: &Tree, example: &str) {
        let message = format!("`{key}` cannot be read: `{}`", self.spelling(value));
        let help = match key {
            "rate" => "starts in a time, up to a million in a second: `200/s`, `30/m`, `5/10s`".to_owned(),
            _ => format!("a whole number or a share with at most four digits behind the point: `3`, `{example}`"),
        };
        self.push(Diagnostic::error("plan::out-of-range", value.at, message).help(help));
    }

    /// A number where a duration is wanted.
    fn no_unit(&mut self, key: &str, value: &Tree) {
        let number = value.as_str().map_or_else(|| self.spelling(value), str::to_owned);
        let message = format!("`{key}` has no unit");
        let help = match &value.kind {
            Kind::Float(_) => format!("a duration is whole numbers with units, `{key}: 1m30s`"),
            _ => format!("did you mean `{number}s`? the units are d, h, m, s and ms"),
        };
        self.push(Diagnostic::error("plan::no-unit", value.at, message).label("seconds? minutes?").help(help));
    }

    /// One word of a closed set; `others` is what it may be instead.
    fn word(&mut self, key: &str, at: Place, text: &str, (choices, others): (&'static [Choice], &[String])) {
        let known = || choices.iter().map(|choice| choice.word);
        if known().any(|word| word == text) {
            return;
        }
        let words: Vec<_> = known().map(|word| format!("`{word}`")).collect();
        let set = if words.len() > 1 { "one of " } else { "" };
        let mut help = [&[format!("{set}{}", words.join(", "))], others].concat().join(", or ");
        let same = known().find(|word| word.eq_ignore_ascii_case(text));
        if let Some(word) = same.or_else(|| nearest(text, known())) {
            let all = if help == format!("`{word}`") { String::new() } else { format!(" it is {help}") };
            help = format!("did you mean `{word}`?{all}");
        }
        let message = format!("`{key}` has no word `{text}`");
        self.push(Diagnostic::error("plan::unknown-word", at, message).help(help));
    }

    /// The items of a list.
    fn list(&mut self, key: &str, at: Place, items: &[Tree], (of, empty): (&'static Shape, bool)) {
        if items.is_empty() && !empty {
            self.empty(key, at, "item");
        }
        for item in items {
            self.value(key, item, of, "…");
        }
    }

    /// A map with the user's names as keys.
    fn named(&mut self, entries: &[(Key, Tree)], named: &'static Named) {
        for (key, value) in entries {
            self.named_entry(key, value, named);
        }
    }

    /// One entry of such a map.
    fn named_entry(&mut self, key: &Key, value: &Tree, named: &'static Named) {
        self.name(&key.text, key.at, named.rule, named.what);
        if matches!(value.kind, Kind::Null) && !matches!(named.of, Shape::Any) {
            let at = if value.at.start == value.at.end { key.at } else { value.at };
            let message = format!("{} `{}` has no value", named.what, key.text);
            let help = format!("give it {}", named.of.words());
            return self.push(Diagnostic::error("plan::wrong-type", at, message).help(help));
        }
        // There may be a hundred thousand, and only a wrong one is shown how it is written.
        let example = if fits(named.of, value) { "…".into() } else { hints::example(named.of) };
        self.value(&key.text, value, named.of, &example);
    }

    /// Stages as a map.
    fn stage_map(&mut self, key: &str, at: Place, entries: &[(Key, Tree)], named: &'static Named) {
        if entries.is_empty() {
            self.empty(key, at, named.what);
        }
        self.named(entries, named);
    }

    /// Stages as a list whose items carry `id`.
    fn stage_list(&mut self, key: &str, at: Place, items: &[Tree], named: &'static Named) {
        if items.is_empty() {
            self.empty(key, at, named.what);
        }
        for item in items {
            self.stage_item(key, item, named);
        }
    }

    /// One stage of such a list.
    fn stage_item(&mut self, key: &str, item: &Tree, named: &'static Named) {
        let (Kind::Map(entries), Shape::Map(table)) = (&item.kind, named.of) else {
            return self.mismatch(key, item, "a list of maps with `id`", "[{id: build, run: make}]");
        };
        match entries.iter().find(|(key, _)| &*key.text == "id") {
            None => {
                let message = format!("a {} in a list needs its `id`", named.what);
                self.push(Diagnostic::error("plan::missing-key", item.at, message).help("add `id: build`"));
            }
            Some((_, Tree { kind: Kind::Str { text, .. }, at })) => self.name(text, *at, named.rule, named.what),
            Some((_, id)) => self.unquoted("id", id),
        }
        for (key, value) in entries.iter().filter(|(key, _)| &*key.text != "id") {
            match table.key(&key.text) {
                Some(known) => self.known(key, value, known),
                None => self.unknown(key, table),
            }
        }
    }

    /// A name of the user's.
    fn name(&mut self, text: &str, at: Place, rule: NameRule, what: &str) {
        let (good, wanted) = match rule {
            NameRule::Id => (is_id(text), "`[a-z][a-z0-9_-]{0,63}`"),
            NameRule::Env => (is_env_name(text), "`[A-Za-z_][A-Za-z0-9_]*`"),
            NameRule::Key => (is_key(text), "`[A-Z_][A-Z0-9_]*`"),
        };
        if good {
            return;
        }
        let what = if what == "name" { "name".to_owned() } else { format!("{what} name") };
        let length = text.chars().count();
        let why = if matches!(rule, NameRule::Id) && length > MAX_ID_CHARS && is_id_but_long(text) {
            format!("it has {length} characters, and {MAX_ID_CHARS} at most are allowed")
        } else {
            format!("it must match {wanted}")
        };
        let mut diagnostic = Diagnostic::error("plan::bad-name", at, format!("`{text}` is no {what}: {why}"));
        if let Some(better) = hints::mended_name(text, rule) {
            diagnostic = diagnostic.help(format!("write `{better}`"));
        }
        self.push(diagnostic);
    }
}

/// What a user calls a table: what belongs to gates has names of its own among all tables.
fn called(table: &str) -> &str {
    table.strip_prefix("gate-").unwrap_or(table)
}

/// Whether the outer kind of `value` fits `shape`, so that this alternative is meant.
fn fits(shape: &Shape, value: &Tree) -> bool {
    match (shape, &value.kind) {
        (Shape::Count { .. }, Kind::Str { text, .. }) => text.contains("{{"),
        (Shape::Word(choices), Kind::Str { text, .. }) => choices.iter().any(|choice| choice.word == &**text),
        (Shape::Count { .. }, Kind::Int(_))
        | (Shape::Duration { .. }, Kind::Str { .. } | Kind::Int(_) | Kind::Float(_))
        | (Shape::Bool, Kind::Bool(_))
        | (Shape::Template | Shape::Text(_) | Shape::Id(_), Kind::Str { .. })
        | (Shape::List { .. }, Kind::List(_))
        | (Shape::Map(_) | Shape::Named(_), Kind::Map(_)) => true,
        _ => false,
    }
}

/// Characters of an id at most.
const MAX_ID_CHARS: usize = 64;

/// Whether `text` matches `[a-z][a-z0-9_-]{0,63}`.
pub(in crate::plan) fn is_id(text: &str) -> bool {
    text.len() <= MAX_ID_CHARS && is_id_but_long(text)
}

/// Whether `text` is an id, however long.
fn is_id_but_long(text: &str) -> bool {
    let tail = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_' || c == b'-';
    text.as_bytes().first().is_some_and(u8::is_ascii_lowercase) && text.bytes().all(tail)
}

/// Whether `text` matches `[A-Za-z_][A-Za-z0-9_]*`.
pub(crate) fn is_env_name(text: &str) -> bool {
    let head = text.as_bytes().first().is_some_and(|&c| c.is_ascii_alphabetic() || c == b'_');
    head && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
}

/// Whether `text` matches `[A-Z_][A-Z0-9_]*`.
pub(in crate::plan) fn is_key(text: &str) -> bool {
    is_env_name(text) && !text.bytes().any(|c| c.is_ascii_lowercase())
}
