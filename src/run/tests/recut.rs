//! What an edit makes of slices, rule by rule.

use std::sync::Arc;

use super::shards::sharded;
use super::*;
use crate::graph::model::{Items, Process, Split, Work};
use crate::graph::shards::{Cut, Cuts};
use crate::run::{Recut, Sliced, recut};

/// Six numbers in slices of so many, which must not be done twice.
fn once(count: u64, size: u32) -> Node {
    let mut node = sharded(count, Split { size, ..Split::default() });
    node.rules.idempotent = false;
    node
}

/// The first two slices of six items in three have had their turn.
fn begun() -> Sliced {
    Sliced { cuts: Cuts::even(6, 2), late: None, begun: 2, is_mixed: false, is_success: false }
}

const KEPT: Cut = Cut { shard: 2, item: 4, size: 1 };

#[test]
fn what_has_had_its_turn_is_kept_unless_all_is_done_or_nothing_of_it_is_known() {
    let (was, now) = (once(6, 2), once(6, 1));
    assert_eq!(recut(&was, &now, &begun()), Recut::Kept(KEPT, None));
    assert_eq!(recut(&was, &now, &Sliced { is_success: true, ..begun() }), Recut::Anew);
    assert_eq!(recut(&was, &now, &Sliced { is_mixed: true, ..begun() }), Recut::Anew);
    assert_eq!(recut(&was, &now, &Sliced { begun: 0, ..begun() }), Recut::Anew);
}

#[test]
fn slices_are_the_same_only_if_the_items_are_and_their_cut_is() {
    let with = |change: fn(&mut Split)| {
        let mut node = once(6, 2);
        change(node.rules.split.as_mut().expect("it has items"));
        node
    };
    assert_eq!(recut(&once(6, 2), &with(|_| ()), &begun()), Recut::Same);
    assert_ne!(recut(&once(6, 2), &with(|split| split.grows = true), &begun()), Recut::Same);
    let listed = |texts: [&str; 6]| {
        let items = Items::List { items: Arc::new(texts.map(Into::into).into()), size: 2, is_json: false };
        let work = Work::Process(Box::new(Process { items, ..Process::default() }));
        Node { work, ..once(6, 2) }
    };
    let was = listed(["a", "b", "c", "d", "e", "f"]);
    assert_eq!(recut(&was, &listed(["x", "b", "c", "d", "e", "f"]), &begun()), Recut::Anew);
}

#[test]
fn fewer_items_than_have_had_their_turn_are_other_items() {
    assert_eq!(recut(&once(6, 2), &once(4, 1), &begun()), Recut::Kept(KEPT, None));
    assert_eq!(recut(&once(6, 2), &once(3, 1), &begun()), Recut::Anew);
}

#[test]
fn a_list_that_an_earlier_stage_gave_is_for_good() {
    let late = |size: u32| {
        let items = Items::Late { text: "list".into(), max: 6, size, is_json: false };
        let work = Work::Process(Box::new(Process { items, ..Process::default() }));
        let mut node = Node { work, ..once(6, size) };
        node.rules.split.as_mut().expect("it has items").is_late = true;
        node
    };
    let given = Some(Arc::new(["a", "b", "c", "d", "e", "f"].map(Into::into).into()));
    let known = Sliced { late: given.clone(), ..begun() };
    assert_eq!(recut(&late(2), &late(1), &known), Recut::Kept(KEPT, given));
}
