//! The items of a sharded stage, frozen when the graph is built, and what bounds its shards.

use std::sync::Arc;

use super::Builder;
use super::body::Layers;
use super::context::{Context, Site};
use super::eval::Eval;
use super::settings::place;
use crate::base::{Span, limits};
use crate::graph::model::{Items, Split};
use crate::plan::model::{self, Shards, Size};
use crate::plan::tree::{Kind, Tree};
use crate::plan::{Diagnostic, Place};
use crate::render::{Kinds, Value, text_of};

/// `target-p95` of `size: auto` that says nothing else: long enough that starting a process costs nothing beside
/// it, short enough that little is lost when one is cut off.
const TARGET: Span = Span::from_secs(8);

/// Where the items of a stage are worked out.
#[derive(Clone, Copy)]
struct Source<'s> {
    shards: &'s Shards,
    cx: &'s Context,
    id: &'s str,
    size: u32,
}

impl Builder<'_> {
    /// The items of `shards` and how they are cut. Unknown items (`check` without inputs) are one item.
    pub(super) fn items(
        &mut self,
        (shards, cx): (&Shards, &Context),
        layers: &Layers<'_>,
        site: Site<'_>,
        id: &str,
    ) -> (Items, Split) {
        let mut split = self.split(shards, cx);
        let source = Source { shards, cx, id, size: split.size };
        let items = match &shards.items {
            model::Items::Range(count) => {
                // What is written has at least one; what is computed may come to none, as a list may.
                let count = u64::from(self.bounded(count, cx, (0, MOST), "`range`").unwrap_or(1));
                Items::Range { count, size: split.size }
            }
            model::Items::List(tree) => match self.value(tree, cx, Site::default()) {
                Eval::Known(value) => self.listed(&value, tree, source),
                Eval::Late(kinds) | Eval::Unknown(kinds) => {
                    self.check_list(tree, kinds, "items are a list");
                    source.one()
                }
                Eval::Failed => source.one(),
            },
            model::Items::Glob(pattern) => match self.world.glob(&pattern.value) {
                Ok(paths) => source.list(paths),
                Err(message) => self.no_items(pattern.at, message),
            },
            model::Items::File(tree) => self.filed(tree, source),
            model::Items::From(tree) => match self.value(tree, cx, Site { shard: None, ..site }) {
                Eval::Known(value) => self.listed(&value, tree, source),
                Eval::Late(kinds) => {
                    self.check_list(tree, kinds, "items are a list");
                    let text = self.keep(tree.as_str().unwrap_or_default().into(), cx, layers).as_str().into();
                    split.is_late = true;
                    let max = self.most(shards, cx).unwrap_or(MOST);
                    Items::Late { text, max, size: split.size, is_json: shards.is_json }
                }
                Eval::Unknown(kinds) => {
                    self.check_list(tree, kinds, "items are a list");
                    source.one()
                }
                Eval::Failed => source.one(),
            },
        };
        split.items = items.count();
        self.check_count(&items, source, split.is_dynamic());
        self.check_items(&items, shards);
        (items, split)
    }

    /// What bounds the shards.
    fn split(&mut self, shards: &Shards, cx: &Context) -> Split {
        let size = shards.size.as_ref().map(|setting| self.setting(setting, cx));
        let (size, grows) = match size {
            Some(Some(Size::Auto)) => (1, true),
            Some(Some(Size::Items(size))) => (size, false),
            _ => (1, false),
        };
        let target = self.maybe(shards.target.as_ref(), cx);
        if let (Some(Span::ZERO), Some(setting)) = (target, &shards.target) {
            self.error("plan::out-of-range", place(setting), "`target-p95` must be longer than zero");
        }
        let most = shards.max_parallel.as_ref();
        Split {
            size,
            grows,
            target: target.or(grows.then_some(TARGET)),
            max_parallel: most.and_then(|most| self.bounded(most, cx, (1, u32::MAX), "`max-parallel`")),
            rate: self.maybe(shards.rate.as_ref(), cx),
            allow_failed: self.maybe(shards.allow_failed.as_ref(), cx),
            ..Split::default()
        }
    }

    fn most(&mut self, shards: &Shards, cx: &Context) -> Option<u32> {
        let setting = shards.max.as_ref()?;
        self.bounded(setting, cx, (1, MOST), "`max`")
    }

    /// More items than there may be, or more shards.
    fn check_count(&mut self, items: &Items, source: Source<'_>, is_dynamic: bool) {
        let Source { shards, cx, id, .. } = source;
        let count = items.count();
        if let Some(most) = self.most(shards, cx).filter(|&most| count > u64::from(most)) {
            let message = format!("`{id}` has {count} items, more than its `max` of {most}");
            let at = shards.max.as_ref().map_or(shards.at, place);
            let found = Diagnostic::error("plan::too-large", at, message);
            self.report.push(found.help("raise `max`, or give the stage fewer items"));
        }
        let (pieces, help) = if is_dynamic {
            // Shards may come down to one item each.
            (count, "give the stage fewer items, or a fixed `size` without `target-p95`")
        } else {
            (items.shard_count(), "make `size` larger")
        };
        if pieces > limits::MAX_SHARDS {
            let message =
                format!("`{id}` may come to {pieces} shards, more than {} (MAX_SHARDS)", limits::MAX_SHARDS);
            self.report.push(Diagnostic::error("plan::too-large", shards.at, message).help(help));
        }
    }

    /// One item a line; with `items-format: json` each line is a JSON text.
    fn filed(&mut self, tree: &Tree, source: Source<'_>) -> Items {
        let Some(path) = self.string(tree, source.cx) else { return source.one() };
        if crate::render::Template::is_template(&path) {
            return source.one();
        }
        let text = match self.world.items(path.strip_prefix("./").unwrap_or(&path)) {
            Ok(text) => text,
            Err(message) => return self.no_items(tree.at, message),
        };
        let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty());
        if !source.shards.is_json {
            return source.list(lines.map(|(_, line)| line));
        }
        let mut items: Vec<Box<str>> = Vec::new();
        for (at, line) in lines {
            match serde_json::from_str::<Value>(line) {
                Ok(value) => items.push(value.to_string().into()),
                Err(error) => {
                    let message = format!("line {} of `{path}` is no JSON: {error}", at + 1);
                    self.error("plan::bad-item", tree.at, message);
                    return source.one();
                }
            }
        }
        source.whole(items)
    }

    fn no_items(&mut self, at: Place, message: String) -> Items {
        self.error("plan::no-items", at, message);
        Items::Range { count: 1, size: 1 }
    }

    fn listed(&mut self, value: &Value, tree: &Tree, source: Source<'_>) -> Items {
        match (texts(value, source.shards.is_json), &tree.kind, value) {
            (Ok(texts), ..) => return source.whole(texts),
            (Err(message), Kind::List(written), Value::Array(values)) => {
                for (number, (item, value)) in written.iter().zip(values).enumerate() {
                    match text_of(value) {
                        None => self.error("plan::wrong-type", item.at, message.clone()),
                        Some(text) => self.check_item(number, &text, item.at),
                    }
                }
            }
            (Err(message), _, Value::Array(_)) => self.error("plan::wrong-type", tree.at, message),
            (Err(_), _, other) => self.check_list(tree, Kinds::of(other), "items are a list"),
        }
        Items::None
    }

    /// An item is one line of the shard's file.
    fn check_items(&mut self, items: &Items, shards: &Shards) {
        let Items::List { items, is_json: false, .. } = items else { return };
        let at = match &shards.items {
            model::Items::List(Tree { kind: Kind::List(written), .. }) => {
                for (number, (item, written)) in items.iter().zip(written).enumerate() {
                    self.check_item(number, item, written.at);
                }
                return;
            }
            model::Items::List(tree) | model::Items::File(tree) | model::Items::From(tree) => tree.at,
            model::Items::Glob(pattern) => pattern.at,
            model::Items::Range(_) => shards.at,
        };
        // They stand in no file of the plan: one of them shows what is wrong with all.
        if let Err((_, message)) = check_lines(items) {
            self.bad_item(message, at);
        }
    }

    fn check_item(&mut self, number: usize, item: &str, at: Place) {
        if !is_line(item) {
            self.bad_item(no_line(number, item), at);
        }
    }

    fn bad_item(&mut self, message: String, at: Place) {
        let help = "write `items-format: json`: then each line of the shard's file is one item as JSON";
        self.report.push(Diagnostic::error("plan::bad-item", at, message).help(help));
    }
}

/// The most items a stage may have.
#[expect(clippy::cast_possible_truncation, reason = "far below 2^32, asserted on the next line")]
const MOST: u32 = limits::MAX_SHARDS as u32;
const _: () = assert!(limits::MAX_SHARDS < u32::MAX as u64, "a count of items must fit 32 bits");

impl Source<'_> {
    /// Items that are not known.
    const fn one(self) -> Items {
        Items::Range { count: 1, size: self.size }
    }

    fn whole(self, items: Vec<Box<str>>) -> Items {
        Items::List { items: Arc::new(items), size: self.size, is_json: self.shards.is_json }
    }

    /// Texts as items.
    fn list<S: AsRef<str>>(self, texts: impl IntoIterator<Item = S>) -> Items {
        let json = |text: &str| Value::from(text).to_string().into();
        let is_json = self.shards.is_json;
        let item = |text: S| if is_json { json(text.as_ref()) } else { text.as_ref().into() };
        self.whole(texts.into_iter().map(item).collect())
    }
}

/// The items of a list as texts; with `items-format: json` as JSON texts.
///
/// # Errors
/// A sentence that says what it should be.
pub(crate) fn texts(value: &Value, is_json: bool) -> Result<Vec<Box<str>>, String> {
    let Value::Array(values) = value else {
        return Err(format!("items are a list, and this is {}", crate::render::noun(value)));
    };
    if is_json {
        return Ok(values.iter().map(|value| value.to_string().into()).collect());
    }
    let texts: Option<Vec<Box<str>>> = values.iter().map(|value| text_of(value).map(Into::into)).collect();
    texts.ok_or_else(|| "an item is text, a number or a boolean, or anything with `items-format: json`".to_owned())
}

/// Refuses items that are more than a line.
///
/// # Errors
/// The place of the first one, and a sentence that names it.
pub(crate) fn check_lines(items: &[Box<str>]) -> Result<(), (usize, String)> {
    match items.iter().position(|item| !is_line(item)) {
        None => Ok(()),
        Some(at) => Err((at, no_line(at, &items[at]))),
    }
}

fn is_line(item: &str) -> bool {
    !item.contains(['\n', '\0'])
}

fn no_line(at: usize, item: &str) -> String {
    let start: String = item.chars().take(60).collect();
    format!("item {at} holds a newline or NUL: {start:?}")
}
