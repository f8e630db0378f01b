//! What an edit of the plan makes of the cut of a stage; views ask it too, for no event says it.

use std::sync::Arc;

use crate::graph::model::Node;
use crate::graph::shards::{Cut, Cuts, Slice};

/// Items that an earlier stage gave.
pub type Late = Option<Arc<Vec<Box<str>>>>;

/// What is known of a stage's slices before the edit.
#[derive(Clone, Debug)]
pub struct Sliced {
    /// How its items are cut.
    pub cuts: Cuts,
    /// Its items, if an earlier stage gave them.
    pub late: Late,
    /// Slices up to the last one that has had its turn.
    pub begun: u32,
    /// It was cut anew after it had begun: which of its items have had their turn is not known.
    pub is_mixed: bool,
    /// It has ended well.
    pub is_success: bool,
}

/// What becomes of the slices of a stage.
#[derive(Clone, PartialEq, Debug)]
pub enum Recut {
    /// They are what they were.
    Same,
    /// Those that have had their turn keep their items, and what is left is cut by the new text.
    Kept(Cut, Late),
    /// None of them is what it was.
    Anew,
}

/// What an edit from `was` to `now` makes of a stage's slices. What has started of a stage that must not be repeated keeps
/// its items, so that what is known of a slice stays true of it. That is so when the items that have had their turn
/// are still the same; a list that an earlier stage gave is for good.
pub fn recut(was: &Node, now: &Node, known: &Sliced) -> Recut {
    if cuts_alike(was, now) {
        return Recut::Same;
    }
    kept(was, now, known).map_or(Recut::Anew, |(cut, late)| Recut::Kept(cut, late))
}

/// Whether two versions of a stage have the same items and cut them in the same way.
pub(super) fn cuts_alike(was: &Node, now: &Node) -> bool {
    let is_alike = match (&was.rules.split, &now.rules.split) {
        (Some(was), Some(now)) => was.cuts_as(now),
        _ => false,
    };
    is_alike && was.items() == now.items()
}

fn kept(was: &Node, now: &Node, known: &Sliced) -> Option<(Cut, Late)> {
    let (split, items, old_items) = (now.rules.split.as_ref()?, now.items()?, was.items()?);
    was.rules.split.as_ref()?;
    if now.rules.idempotent || known.is_mixed || known.begun == 0 || known.is_success {
        return None;
    }
    let end = known.cuts.range(known.begun - 1).end;
    let all = Slice { range: 0..known.cuts.items(), shards: known.cuts.shards(), late: known.late.clone() };
    let started = Slice { range: 0..end, ..all.clone() };
    let late = match (&all.late, split.is_late) {
        (_, false) => None,
        (Some(late), true) => Some(Arc::clone(late)),
        (None, true) => Some(Arc::new(old_items.texts(&all).map(Into::into).collect())),
    };
    let now_started = Slice { range: 0..end, shards: 0, late: late.clone() };
    let is_same =
        split.is_late || (end <= items.count() && old_items.texts(&started).eq(items.texts(&now_started)));
    let cut = Cut { shard: known.begun, item: end, size: split.size.max(1) };
    is_same.then_some((cut, late))
}
