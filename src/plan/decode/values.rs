//! Single values, moved out of their trees. `None` for what the check has refused.

use crate::base::{Span, Text};
use crate::plan::model::{AllowFailed, Setting, Size, Type};
use crate::plan::schema::Table;
use crate::plan::source::{Place, Spanned};
use crate::plan::tree::{Key, Kind, Tree};

/// Text.
pub(super) fn text(tree: Tree) -> Option<Spanned<Text>> {
    match tree.kind {
        Kind::Str { text, .. } => Some(Spanned::new(text, tree.at)),
        _ => None,
    }
}

/// Text without its place.
pub(super) fn words(tree: Tree) -> Option<String> {
    text(tree).map(|text| text.value.to_string())
}

/// A tree that must be text.
pub(super) fn template(tree: Tree) -> Option<Tree> {
    tree.as_str().is_some().then_some(tree)
}

/// A key as a name.
pub(super) fn name(key: Key) -> Spanned<Text> {
    Spanned::new(key.text, key.at)
}

/// A boolean.
pub(super) fn boolean(tree: &Tree) -> Option<Spanned<bool>> {
    match tree.kind {
        Kind::Bool(on) => Some(Spanned::new(on, tree.at)),
        _ => None,
    }
}

/// A number.
#[expect(clippy::cast_precision_loss, reason = "a factor of 2^53 is out of every range")]
pub(super) fn number(tree: &Tree) -> Option<f64> {
    match tree.kind {
        Kind::Int(number) => Some(number as f64),
        Kind::Float(number) => Some(number),
        _ => None,
    }
}

/// A whole number, or a template.
pub(super) fn count(tree: Tree) -> Option<Setting<u32>> {
    match tree.kind {
        Kind::Int(number) => u32::try_from(number).ok().map(|count| Setting::Value(Spanned::new(count, tree.at))),
        Kind::Str { ref text, .. } if text.contains("{{") => Some(Setting::Template(tree.into())),
        _ => None,
    }
}

/// A duration, or a template.
pub(super) fn span(tree: Tree) -> Option<Setting<Span>> {
    parsed(tree, Span::parse)
}

/// A value of a file that holds no templates; `refuse` hears where one stands.
pub(super) fn settled<T>(setting: Option<Setting<T>>, refuse: impl FnOnce(Place)) -> Option<Spanned<T>> {
    match setting? {
        Setting::Value(value) => Some(value),
        Setting::Template(tree) => {
            refuse(tree.at);
            None
        }
    }
}

/// Text that `parse` reads, or a template.
pub(super) fn parsed<T>(tree: Tree, parse: impl Fn(&str) -> Option<T>) -> Option<Setting<T>> {
    let text = tree.as_str()?;
    if text.contains("{{") {
        return Some(Setting::Template(tree.into()));
    }
    let value = parse(text)?;
    Some(Setting::Value(Spanned::new(value, tree.at)))
}

/// A size, or a template.
pub(super) fn size(tree: Tree) -> Option<Setting<Size>> {
    match tree.kind {
        Kind::Int(number) => {
            let size = Size::Items(u32::try_from(number).ok()?);
            Some(Setting::Value(Spanned::new(size, tree.at)))
        }
        _ => parsed(tree, |text| (text == "auto").then_some(Size::Auto)),
    }
}

/// A number of items or a share of them, or a template.
pub(super) fn share(tree: Tree) -> Option<Setting<AllowFailed>> {
    match tree.kind {
        Kind::Int(number) => {
            let share = AllowFailed::Items(u32::try_from(number).ok()?);
            Some(Setting::Value(Spanned::new(share, tree.at)))
        }
        _ => parsed(tree, AllowFailed::parse),
    }
}

/// One of these words.
pub(super) fn word<T: Copy>(tree: &Tree, words: &[(&str, T)]) -> Option<Spanned<T>> {
    let text = tree.as_str()?;
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| Spanned::new(*value, tree.at))
}

/// A type.
pub(super) fn kind(tree: &Tree) -> Option<Type> {
    let types = [
        ("string", Type::String),
        ("int", Type::Int),
        ("float", Type::Float),
        ("bool", Type::Bool),
        ("duration", Type::Duration),
        ("size", Type::Size),
        ("url", Type::Url),
        ("list", Type::List),
        ("map", Type::Map),
    ];
    word(tree, &types).map(|kind| kind.value)
}

/// The items of a list; none for anything else.
pub(super) fn items(tree: Tree) -> Vec<Tree> {
    match tree.kind {
        Kind::List(items) => items,
        _ => Vec::new(),
    }
}

/// The texts of a list.
pub(super) fn texts(tree: Tree) -> Vec<Spanned<Text>> {
    items(tree).into_iter().filter_map(text).collect()
}

/// The entries of a map; none for anything else.
pub(super) fn entries(tree: Tree) -> Vec<(Key, Tree)> {
    match tree.kind {
        Kind::Map(entries) => entries,
        _ => Vec::new(),
    }
}

/// A map with the user's names as keys.
pub(super) fn named(tree: Tree) -> Vec<(Spanned<Text>, Tree)> {
    entries(tree).into_iter().map(|(key, value)| (name(key), value)).collect()
}

/// The exit codes under `exit`.
pub(super) fn exits(tree: Tree) -> Vec<i32> {
    let list = entries(tree).into_iter().find(|(key, _)| &*key.text == "exit").map(|(_, list)| list);
    let codes = list.map(items).unwrap_or_default();
    codes
        .iter()
        .filter_map(|code| if let Kind::Int(code) = code.kind { i32::try_from(code).ok() } else { None })
        .collect()
}

/// A reader met a key that it does not know: the tables and the readers must agree.
pub(super) fn ignored(key: &Key, table: &Table) {
    debug_assert!(
        table.key(&key.text).is_none(),
        "`{}` of `{}` is in the schema, but the decoder drops it",
        key.text,
        table.name
    );
}
