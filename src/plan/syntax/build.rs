//! Builds a [`Tree`] from a stream of values, on a stack of its own and with exact allocations.

use std::borrow::Cow;
use std::ops::Range;

use super::faults::{Faults, offset};
use crate::base::Text;
use crate::base::limits::MAX_DEPTH;
use crate::plan::source::Place;
use crate::plan::tree::{Key, Kind, Tree};

/// Maps up to this size are compared key by key; larger ones are sorted. Both allocate nothing for a plan's
/// usual maps, which a hash set for each would.
const SMALL_MAP: usize = 12;

/// A tree under construction. Items of all open lists lie in one vector and entries of all open maps in
/// another, so that a finished collection is moved out at its exact size.
#[derive(Default)]
pub(in crate::plan) struct Builder {
    frames: Vec<Frame>,
    items: Vec<Tree>,
    entries: Vec<(Key, Tree)>,
    root: Option<Tree>,
}

/// A list or map that has not ended.
struct Frame {
    at: Place,
    /// Where its items, or entries, begin.
    base: usize,
    slot: Slot,
    anchor: usize,
    has_merge: bool,
}

/// What comes next in a collection.
enum Slot {
    Item,
    Key,
    Value(Key),
    /// The value of a key that was refused.
    Dropped,
}

/// A collection that has ended and has not been put into its parent.
pub(in crate::plan) struct Closed {
    pub(in crate::plan) tree: Tree,
    pub(in crate::plan) anchor: usize,
    pub(in crate::plan) has_merge: bool,
}

impl Builder {
    /// Opens a list or map; false when that would be deeper than [`MAX_DEPTH`].
    pub(in crate::plan) fn open(&mut self, at: Place, is_map: bool, anchor: usize) -> bool {
        let (base, slot) = if is_map { (self.entries.len(), Slot::Key) } else { (self.items.len(), Slot::Item) };
        self.frames.push(Frame { at, base, slot, anchor, has_merge: false });
        self.frames.len() <= MAX_DEPTH
    }

    /// How many collections are open.
    pub(in crate::plan) const fn depth(&self) -> usize {
        self.frames.len()
    }

    /// Whether the innermost open collection is a map, and where it began.
    pub(in crate::plan) fn innermost(&self) -> Option<(bool, Place)> {
        self.frames.last().map(|frame| (!matches!(frame.slot, Slot::Item), frame.at))
    }

    /// Whether the innermost open collection is a map that waits for a key.
    pub(in crate::plan) fn wants_key(&self) -> bool {
        matches!(self.frames.last(), Some(Frame { slot: Slot::Key, .. }))
    }

    /// The key of the next value; a map without text of its own takes the place of its first.
    pub(in crate::plan) fn key(&mut self, key: Key, is_merge: bool) {
        let frame = self.innermost_mut();
        if frame.at.start == frame.at.end {
            frame.at = key.at;
        }
        frame.has_merge |= is_merge;
        frame.slot = Slot::Value(key);
    }

    /// Refuses the key of the next value: the value is read and dropped.
    pub(in crate::plan) fn drop_key(&mut self) {
        self.innermost_mut().slot = Slot::Dropped;
    }

    fn innermost_mut(&mut self) -> &mut Frame {
        self.frames.last_mut().expect("a key comes only inside a map")
    }

    /// Adds a whole value.
    pub(in crate::plan) fn value(&mut self, tree: Tree) {
        let Some(frame) = self.frames.last_mut() else {
            self.root.get_or_insert(tree);
            return;
        };
        match std::mem::replace(&mut frame.slot, Slot::Key) {
            Slot::Item => {
                frame.slot = Slot::Item;
                self.items.push(tree);
            }
            Slot::Value(key) => self.entries.push((key, tree)),
            Slot::Dropped | Slot::Key => {}
        }
    }

    /// Ends the innermost collection; keys of a map that occur twice are reported and the first is kept.
    pub(in crate::plan) fn close(&mut self, faults: &mut Faults<'_>) -> Closed {
        let Frame { at, base, slot, anchor, has_merge } = self.frames.pop().expect("ends match starts");
        let kind = if matches!(slot, Slot::Item) {
            Kind::List(self.items.drain(base..).collect())
        } else {
            let mut entries: Vec<_> = self.entries.drain(base..).collect();
            refuse_duplicates(&mut entries, faults);
            Kind::Map(entries)
        };
        Closed { tree: Tree { at, kind }, anchor, has_merge }
    }

    /// The finished tree; `None` when nothing was added or something is still open.
    pub(in crate::plan) fn finish(self) -> Option<Tree> {
        if self.frames.is_empty() { self.root } else { None }
    }
}

/// Reports every key that is there already and takes its entry out.
fn refuse_duplicates(entries: &mut Vec<(Key, Tree)>, faults: &mut Faults<'_>) {
    let mut again: Vec<(usize, usize)> = Vec::new();
    if entries.len() <= SMALL_MAP {
        for at in 1..entries.len() {
            let text = &entries[at].0.text;
            if let Some(first) = entries[..at].iter().position(|(key, _)| key.text == *text) {
                again.push((first, at));
            }
        }
    } else {
        let mut order: Vec<usize> = (0..entries.len()).collect();
        order.sort_by(|&a, &b| entries[a].0.text.cmp(&entries[b].0.text));
        for same in order.chunk_by(|&a, &b| entries[a].0.text == entries[b].0.text) {
            again.extend(same[1..].iter().map(|&at| (same[0], at)));
        }
        again.sort_unstable_by_key(|&(_, at)| at);
    }
    for &(first, at) in &again {
        duplicate_key(faults, &entries[at].0, entries[first].0.at);
    }
    if !again.is_empty() {
        let mut gone = again.iter().map(|&(_, at)| at).peekable();
        let mut at = 0..;
        entries.retain(|_| gone.next_if_eq(&at.next().expect("the range has no end")).is_none());
    }
}

/// Reports `key`, which stands at `first` already.
pub(in crate::plan) fn duplicate_key(faults: &mut Faults<'_>, key: &Key, first: Place) {
    let message = format!("the key `{}` is written twice in this map", short(&key.text));
    let fault = faults.add_at("plan::duplicate-key", key.at, message);
    fault.label = "written again".into();
    fault.related.push((first, "first written here".to_owned()));
}

/// A string with its place, and where inside the source its text stands byte for byte.
pub(in crate::plan) fn string(faults: &Faults<'_>, range: Range<usize>, text: Cow<'_, str>) -> Tree {
    let plain = plain_start(faults.text(), &range, &text);
    Tree {
        at: faults.place(range),
        kind: Kind::Str { text: shared(faults, plain, text), plain: plain.map(offset) },
    }
}

/// A string that stands between two quotes exactly as it is.
pub(in crate::plan) fn plain_string(faults: &Faults<'_>, range: Range<usize>) -> Tree {
    let start = range.start + 1;
    let text = faults.piece(start..range.end - 1).expect("quotes are characters");
    Tree { at: faults.token(range), kind: Kind::Str { text, plain: Some(offset(start)) } }
}

/// The text of a key or string that stands in the source at `range`: shared with the source where it can be.
pub(in crate::plan) fn words(faults: &Faults<'_>, range: &Range<usize>, text: Cow<'_, str>) -> Text {
    shared(faults, plain_start(faults.text(), range, &text), text)
}

fn shared(faults: &Faults<'_>, plain: Option<usize>, text: Cow<'_, str>) -> Text {
    let piece = plain.and_then(|start| faults.piece(start..start + text.len()));
    piece.unwrap_or_else(|| text.into_owned().into())
}

/// Where in the source the text of the token at `range` stands byte for byte.
fn plain_start(source: &str, range: &Range<usize>, text: &str) -> Option<usize> {
    let stands = |quotes: usize| {
        let start = range.end.checked_sub(quotes + text.len())?;
        let is_there = source.get(start..start + text.len()) == Some(text);
        // A multi-line string drops the line end after its opening quotes.
        let is_first = start == range.start + quotes || (quotes == 3 && start > range.start + quotes);
        (is_there && is_first).then_some(start)
    };
    match source.as_bytes().get(range.clone()) {
        Some([b'"', b'"', b'"', .., b'"', b'"', b'"'] | [b'\'', b'\'', b'\'', .., b'\'', b'\'', b'\''])
            if range.len() >= 6 =>
        {
            stands(3).or_else(|| stands(1))
        }
        Some([b'"' | b'\'', ..]) => stands(1),
        _ => stands(0),
    }
}

/// A user's text cut to what fits into a message.
pub(in crate::plan) fn short(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A depth beyond [`MAX_DEPTH`].
pub(in crate::plan) fn too_deep(faults: &mut Faults<'_>, range: Range<usize>) {
    let message = format!("values are nested deeper than {MAX_DEPTH}, the limit");
    faults.add("plan::too-deep", range, message).label = "this opens one level too many".into();
}

/// A number that does not fit, written as `text`.
pub(in crate::plan) fn too_large(faults: &mut Faults<'_>, range: Range<usize>, text: &str, quote: &str) {
    let text = short(text);
    let fault = faults.add("plan::number", range, format!("the number `{text}` is too large"));
    fault.label = "does not fit into 64 bits".into();
    fault.help = Some(format!("if it is a text, quote it: `{quote}{text}{quote}`"));
}
