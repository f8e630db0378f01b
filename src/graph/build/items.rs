//! The items of a sharded stage, frozen when the graph is built.

use std::sync::Arc;

use super::Builder;
use super::context::{Context, Eval, Site};
use crate::base::limits;
use crate::graph::model::Items;
use crate::plan::model::{self, Shards};
use crate::plan::{Diagnostic, Place};
use crate::render::{Value, text_of};

impl Builder<'_> {
    /// The items of `shards` and the size of a shard. Unknown items (`check` without inputs) are one item.
    pub(super) fn items(&mut self, shards: &Shards, cx: &Context) -> Items {
        let size = match &shards.size {
            Some(setting) => self.bounded(setting, cx, (1, u32::MAX), "`size`").unwrap_or(1),
            None => 1,
        };
        let items = match &shards.items {
            model::Items::Range(count) => {
                let count = u64::from(self.setting(count, cx).unwrap_or(1));
                Items::Range { count, size }
            }
            model::Items::List(tree) => match self.value(tree, cx, Site::default()) {
                Eval::Known(value) => self.listed(&value, tree.at, size),
                _ => Items::Range { count: 1, size },
            },
            model::Items::Glob(pattern) => match self.world.glob(&pattern.value) {
                Ok(paths) => list(paths, size),
                Err(message) => self.no_items(pattern.at, message),
            },
            model::Items::File(tree) => {
                let Some(path) = self.string(tree, cx) else { return Items::Range { count: 1, size } };
                if crate::render::Template::is_template(&path) {
                    return Items::Range { count: 1, size };
                }
                match self.world.items(path.strip_prefix("./").unwrap_or(&path)) {
                    Ok(text) => list(text.lines().filter(|line| !line.is_empty()), size),
                    Err(message) => self.no_items(tree.at, message),
                }
            }
        };
        if items.shard_count() > limits::MAX_SHARDS {
            let message =
                format!("{} shards are more than {} (MAX_SHARDS)", items.shard_count(), limits::MAX_SHARDS);
            self.report.push(Diagnostic::error("plan::too-large", shards.at, message).help("make `size` larger"));
        }
        self.check_items(&items, shards.at);
        items
    }

    fn no_items(&mut self, at: Place, message: String) -> Items {
        self.error("plan::no-items", at, message);
        Items::Range { count: 1, size: 1 }
    }

    fn listed(&mut self, value: &Value, at: Place, size: u32) -> Items {
        let Value::Array(values) = value else {
            let message = format!("items are a list, and this is {}", crate::render::noun(value));
            self.error("plan::wrong-type", at, message);
            return Items::None;
        };
        let texts: Option<Vec<String>> = values.iter().map(text_of).collect();
        if let Some(texts) = texts {
            return list(texts, size);
        }
        self.error("plan::wrong-type", at, "an item is text, a number or a boolean");
        Items::None
    }

    /// An item is one line of the shard's file.
    fn check_items(&mut self, items: &Items, at: Place) {
        let Items::List { items, .. } = items else { return };
        if let Some(item) = items.iter().find(|item| item.contains(['\n', '\0'])) {
            let message = format!("an item holds a newline or NUL: {item:?}");
            self.error("plan::bad-item", at, message);
        }
    }
}

fn list<S: AsRef<str>>(texts: impl IntoIterator<Item = S>, size: u32) -> Items {
    Items::List { items: Arc::new(texts.into_iter().map(|text| text.as_ref().into()).collect()), size }
}
