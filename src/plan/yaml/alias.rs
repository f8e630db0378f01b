//! Anchors, aliases and merge keys, with a bound on what they may add.

use std::ops::Range;

use crate::base::Text;
use crate::base::limits::{MAX_ALIAS_NODES, MAX_DEPTH};
use crate::plan::syntax::Faults;
use crate::plan::tree::{Key, Kind, Tree};

/// Bytes of text that count as one node more, so that a long text cannot be multiplied for nothing.
const BYTES_PER_NODE: usize = 64;
/// What all anchored values together may hold, in nodes: a value anchored at each of its levels is kept once
/// for each.
const MAX_ANCHORED_NODES: usize = 4 * MAX_ALIAS_NODES;

/// The anchored values of one file.
#[derive(Default)]
pub(super) struct Anchors {
    /// By anchor id; ids are given from 1 in the order of the file.
    values: Vec<Anchored>,
    kept: usize,
    added: usize,
}

enum Anchored {
    /// Inside its own value, or never defined.
    Open,
    Value {
        tree: Tree,
        nodes: usize,
        height: usize,
    },
    TooLarge,
}

/// Why an alias gives nothing.
#[derive(Clone, Copy)]
pub(super) enum Refusal {
    Itself,
    TooMany,
    TooDeep,
}

impl Anchors {
    /// Keeps a copy of `tree` for aliases, when it has an anchor (an id above 0).
    pub(super) fn define(&mut self, id: usize, tree: &Tree) {
        if id == 0 {
            return;
        }
        if self.values.len() <= id {
            self.values.resize_with(id + 1, || Anchored::Open);
        }
        let room = (MAX_ANCHORED_NODES - self.kept).min(MAX_ALIAS_NODES);
        self.values[id] = if let Some((nodes, height)) = measure(tree, room) {
            self.kept += nodes;
            Anchored::Value { tree: tree.clone(), nodes, height }
        } else {
            // What was counted in vain counts too: many large anchors must not cost a walk each.
            self.kept += room;
            Anchored::TooLarge
        };
    }

    /// A copy of anchor `id`'s value, to stand `depth` levels deep.
    pub(super) fn expand(&mut self, id: usize, depth: usize) -> Result<Tree, Refusal> {
        match self.values.get(id) {
            None | Some(Anchored::Open) => Err(Refusal::Itself),
            Some(Anchored::TooLarge) => Err(Refusal::TooMany),
            Some(Anchored::Value { tree, nodes, height }) => {
                if depth + height > MAX_DEPTH {
                    return Err(Refusal::TooDeep);
                }
                self.added += nodes;
                if self.added > MAX_ALIAS_NODES { Err(Refusal::TooMany) } else { Ok(tree.clone()) }
            }
        }
    }
}

impl Refusal {
    /// Whether every further alias would be refused too.
    pub(super) const fn is_final(self) -> bool {
        matches!(self, Self::TooMany)
    }

    pub(super) fn report(self, faults: &mut Faults<'_>, range: Range<usize>) {
        let (code, message) = match self {
            Self::Itself => {
                ("plan::unknown-anchor", "this alias stands inside the value that it names".to_owned())
            }
            Self::TooMany => (
                "plan::too-many-aliases",
                format!("aliases add more than {MAX_ALIAS_NODES} values to this file, the limit"),
            ),
            Self::TooDeep => {
                ("plan::too-deep", format!("with this alias values are nested deeper than {MAX_DEPTH}, the limit"))
            }
        };
        faults.push(code, range, message);
    }
}

/// How many nodes `tree` counts for and how deep it is; `None` above `limit`. The recursion is as deep as the
/// tree, at most [`MAX_DEPTH`].
fn measure(tree: &Tree, limit: usize) -> Option<(usize, usize)> {
    let mut left = limit;
    let height = descend(tree, &mut left)?;
    Some((limit - left, height))
}

fn descend(tree: &Tree, left: &mut usize) -> Option<usize> {
    let text = tree.as_str().map_or(0, str::len);
    *left = left.checked_sub(1 + text / BYTES_PER_NODE)?;
    let mut height = 0;
    match &tree.kind {
        Kind::List(items) => {
            for item in items {
                height = height.max(descend(item, left)?);
            }
        }
        Kind::Map(entries) => {
            for (key, value) in entries {
                *left = left.checked_sub(key.text.len() / BYTES_PER_NODE)?;
                height = height.max(descend(value, left)?);
            }
        }
        _ => return Some(0),
    }
    Some(height + 1)
}

/// Replaces the entry `<<` of `map` by the entries of the maps that it names, where the map has no such key
/// itself; of several maps the first wins.
pub(super) fn merge(map: &mut Tree, faults: &mut Faults<'_>) {
    let Kind::Map(entries) = &mut map.kind else { return };
    // A quoted "<<" is a key like any other; a bare one has a place of exactly two bytes.
    let is_merge = |key: &Key| &*key.text == "<<" && key.at.end - key.at.start == 2;
    let Some(at) = entries.iter().position(|(key, _)| is_merge(key)) else { return };
    let (key, value) = entries.remove(at);
    let sources = match value.kind {
        Kind::Map(entries) => vec![entries],
        Kind::List(items) if items.iter().all(|item| matches!(item.kind, Kind::Map(_))) => items
            .into_iter()
            .filter_map(|item| if let Kind::Map(entries) = item.kind { Some(entries) } else { None })
            .collect(),
        _ => {
            let fault = faults.add_at("plan::merge", key.at, "`<<` takes a map or a list of maps");
            fault.help =
                Some("for example `<<: *defaults` or `<<: [*a, *b]`; quote it for a plain key".to_owned());
            return;
        }
    };
    let mut taken: std::collections::HashSet<Text> = entries.iter().map(|(key, _)| key.text.clone()).collect();
    let merged: Vec<(Key, Tree)> =
        sources.into_iter().flatten().filter(|(key, _)| taken.insert(key.text.clone())).collect();
    entries.splice(at..at, merged);
}
