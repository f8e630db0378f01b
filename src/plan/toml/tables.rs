//! The tables of one TOML file while it is read. Headers come back to tables that were there before, so a
//! table stays open until the end of the file.

use foldhash::{HashMap, HashMapExt as _};

use crate::base::Text;
use crate::base::limits::MAX_DEPTH;
use crate::plan::source::Place;
use crate::plan::syntax::{Faults, duplicate_key, short, too_deep};
use crate::plan::tree::{Key, Kind, Tree};

/// Tables with more entries get an index of their keys; almost none has.
const SMALL_TABLE: usize = 12;

/// How a table came to be, which says who may add to it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// On the way to a `[header]`.
    Implicit,
    /// By its own `[header]`.
    Header,
    /// By a dotted key.
    Dotted,
    /// By braces.
    Inline,
}

struct Table {
    at: Place,
    origin: Origin,
    entries: Vec<(Key, Slot)>,
    index: HashMap<Text, usize>,
}

enum Slot {
    Value(Tree),
    Table(usize),
    /// `[[header]]`.
    Tables(Vec<usize>),
}

impl Table {
    fn new(at: Place, origin: Origin) -> Self {
        Self { at, origin, entries: Vec::new(), index: HashMap::new() }
    }

    /// Where `key` stands among the entries.
    fn find(&self, key: &str) -> Option<usize> {
        // Headers mostly come back to what was last written.
        match self.entries.last() {
            None => None,
            Some((last, _)) if *last.text == *key => Some(self.entries.len() - 1),
            _ if self.entries.len() <= SMALL_TABLE => self.entries.iter().position(|(own, _)| *own.text == *key),
            _ => self.index.get(key).copied(),
        }
    }

    fn push(&mut self, key: Key, slot: Slot) {
        let at = self.entries.len();
        if at == SMALL_TABLE {
            self.index = self.entries.iter().enumerate().map(|(at, (key, _))| (key.text.clone(), at)).collect();
        }
        if at >= SMALL_TABLE {
            self.index.insert(key.text.clone(), at);
        }
        self.entries.push((key, slot));
    }
}

/// All tables of a file; the first is the file itself.
pub(super) struct Tables {
    tables: Vec<Table>,
    current: usize,
}

impl Tables {
    pub(super) fn new(root: Place) -> Self {
        Self { tables: vec![Table::new(root, Origin::Header)], current: 0 }
    }

    fn add(&mut self, at: Place, origin: Origin) -> usize {
        self.tables.push(Table::new(at, origin));
        self.tables.len() - 1
    }

    /// Begins the table `[path]` or `[[path]]`. Where that cannot be, what follows goes into a table that
    /// nobody sees.
    pub(super) fn header(&mut self, path: &[Key], is_array: bool, faults: &mut Faults<'_>) {
        let (key, parents) = path.split_last().expect("a header has a key");
        let begun = match self.descend(0, parents, false, faults) {
            Some(parent) if is_array => Some(self.begin_item(parent, key, faults)),
            Some(parent) => self.begin_table(parent, key, faults),
            None => None,
        };
        self.current = match begun {
            Some(table) => table,
            None => self.add(key.at, Origin::Header),
        };
    }

    fn begin_table(&mut self, parent: usize, key: &Key, faults: &mut Faults<'_>) -> Option<usize> {
        let Some(at) = self.tables[parent].find(&key.text) else {
            let table = self.add(key.at, Origin::Header);
            self.tables[parent].push(key.clone(), Slot::Table(table));
            return Some(table);
        };
        let (first, slot) = &self.tables[parent].entries[at];
        match *slot {
            Slot::Table(table) if self.tables[table].origin == Origin::Implicit => {
                self.tables[table].origin = Origin::Header;
                self.tables[table].at = key.at;
                Some(table)
            }
            _ => {
                duplicate_key(faults, key, first.at);
                None
            }
        }
    }

    fn begin_item(&mut self, parent: usize, key: &Key, faults: &mut Faults<'_>) -> usize {
        let table = self.add(key.at, Origin::Header);
        let parent = &mut self.tables[parent];
        let Some(at) = parent.find(&key.text) else {
            parent.push(key.clone(), Slot::Tables(vec![table]));
            return table;
        };
        match &mut parent.entries[at] {
            (_, Slot::Tables(items)) => items.push(table),
            (first, _) => duplicate_key(faults, key, first.at),
        }
        table
    }

    /// The table at `path` below `table`, made where it is missing; `None` when something else stands there.
    fn descend(&mut self, table: usize, path: &[Key], is_dotted: bool, faults: &mut Faults<'_>) -> Option<usize> {
        let mut table = table;
        for key in path {
            let Some(at) = self.tables[table].find(&key.text) else {
                let next = self.add(key.at, if is_dotted { Origin::Dotted } else { Origin::Implicit });
                self.tables[table].push(key.clone(), Slot::Table(next));
                table = next;
                continue;
            };
            let (first, slot) = &self.tables[table].entries[at];
            let first = first.at;
            table = match slot {
                Slot::Tables(items) if !is_dotted => *items.last().expect("a list of tables has one"),
                &Slot::Table(next) => {
                    let origin = self.tables[next].origin;
                    if is_dotted && !matches!(origin, Origin::Dotted | Origin::Implicit) {
                        closed(faults, key, first, "a table that is complete");
                        return None;
                    }
                    if is_dotted {
                        self.tables[next].origin = Origin::Dotted;
                    }
                    next
                }
                Slot::Tables(_) => {
                    closed(faults, key, first, "a list of tables");
                    return None;
                }
                Slot::Value(value) => {
                    closed(faults, key, first, value.noun());
                    return None;
                }
            };
        }
        Some(table)
    }

    /// Puts `value` at `path` below `table`, or below the current header's.
    pub(super) fn put(&mut self, table: Option<usize>, mut path: Vec<Key>, value: Tree, faults: &mut Faults<'_>) {
        let Some(key) = path.pop() else { return };
        let Some(table) = self.descend(table.unwrap_or(self.current), &path, true, faults) else { return };
        let table = &mut self.tables[table];
        match table.find(&key.text) {
            Some(at) => duplicate_key(faults, &key, table.entries[at].0.at),
            None => table.push(key, Slot::Value(value)),
        }
    }

    /// Opens an inline table; it is the newest table until it is closed, but for those inside it.
    pub(super) fn inline(&mut self, at: Place) -> usize {
        self.add(at, Origin::Inline)
    }

    /// The value of a finished inline table; `None` when it is too deep.
    pub(super) fn close_inline(&mut self, table: usize, faults: &mut Faults<'_>) -> Option<Tree> {
        let tree = self.tree(table, 1, faults);
        self.tables.truncate(table);
        tree
    }

    /// The whole file; `None` when it is too deep.
    pub(super) fn finish(mut self, faults: &mut Faults<'_>) -> Option<Tree> {
        if let Some((key, _)) = self.tables[0].entries.first() {
            self.tables[0].at = key.at;
        }
        self.tree(0, 1, faults)
    }

    /// Takes a table out as a value. The recursion is as deep as the value, at most [`MAX_DEPTH`].
    fn tree(&mut self, table: usize, depth: usize, faults: &mut Faults<'_>) -> Option<Tree> {
        let at = self.tables[table].at;
        if depth > MAX_DEPTH {
            too_deep(faults, at.start as usize..at.end as usize);
            return None;
        }
        let entries = std::mem::take(&mut self.tables[table].entries);
        self.tables[table].index = HashMap::new();
        let mut map = Vec::with_capacity(entries.len());
        for (key, slot) in entries {
            let value = match slot {
                Slot::Value(value) if depth + height(&value) > MAX_DEPTH => {
                    too_deep(faults, value.at.start as usize..value.at.end as usize);
                    return None;
                }
                Slot::Value(value) => value,
                Slot::Table(inner) => self.tree(inner, depth + 1, faults)?,
                Slot::Tables(items) => {
                    let items = items.into_iter().map(|item| self.tree(item, depth + 2, faults));
                    Tree { at: key.at, kind: Kind::List(items.collect::<Option<_>>()?) }
                }
            };
            map.push((key, value));
        }
        Some(Tree { at, kind: Kind::Map(map) })
    }
}

/// How many collections deep a value is.
fn height(tree: &Tree) -> usize {
    match &tree.kind {
        Kind::List(items) => 1 + items.iter().map(height).max().unwrap_or(0),
        Kind::Map(entries) => 1 + entries.iter().map(|(_, value)| height(value)).max().unwrap_or(0),
        _ => 0,
    }
}

/// Reports a key that would add to what is not open for it.
fn closed(faults: &mut Faults<'_>, key: &Key, first: Place, noun: &str) {
    let message = format!("`{}` is {noun}; nothing can be added to it here", short(&key.text));
    let fault = faults.add_at("plan::duplicate-key", key.at, message);
    fault.label = "used as a table".into();
    fault.related.push((first, "defined here".to_owned()));
}
