//! How what is said of a node is put into words.

use std::fmt::{Display, Write};

/// Takes the fields of a node one after the other. What has to be put together first is, in one text that all share, so
/// that a field costs no memory of its own.
pub(super) struct Fields<'a, F> {
    add: &'a mut F,
    text: &'a mut String,
}

impl<'a, F: FnMut(&'static str, &str)> Fields<'a, F> {
    /// Fields that `add` gets, by name, with their texts.
    pub(super) fn new(add: &'a mut F, text: &'a mut String) -> Self {
        Self { add, text }
    }

    /// The field `name` is `text`.
    pub(super) fn say(&mut self, name: &'static str, text: &str) {
        (self.add)(name, text);
    }

    /// The field `name` is what `write` writes.
    pub(super) fn write(&mut self, name: &'static str, write: impl FnOnce(&mut String)) {
        self.text.clear();
        write(self.text);
        (self.add)(name, self.text);
    }

    /// The field `name` is `shown`.
    pub(super) fn show(&mut self, name: &'static str, shown: impl Display) {
        self.write(name, |text| {
            let _ = write!(text, "{shown}");
        });
    }

    /// The field `name` is all `items`, as `write` spells each, with `between` between them.
    pub(super) fn list<T>(
        &mut self,
        name: &'static str,
        between: &str,
        items: impl IntoIterator<Item = T>,
        write: impl Fn(&mut String, T),
    ) {
        self.write(name, |text| {
            for (at, item) in items.into_iter().enumerate() {
                if at > 0 {
                    text.push_str(between);
                }
                write(text, item);
            }
        });
    }
}
