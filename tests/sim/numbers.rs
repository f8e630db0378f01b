//! Numbers of attempts, counted by stage and shard for good: whatever an edit takes away and brings back, a shard's next
//! attempt has the next number.

use std::collections::BTreeMap;

use engine::base::Text;
use engine::run::event::Attempt;
use engine::run::input::commands;
use engine::run::{Command, Event};

use crate::book::Book;

/// The last number of each shard of each stage, by id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers {
    last: BTreeMap<(Text, u32), u16>,
}

impl Numbers {
    /// What starts has the next number of its shard, and no other attempt ever had it.
    pub(crate) fn check(&self, book: &Book, event: &Event) {
        for attempt in starts(event) {
            let key = key(book, attempt);
            let last = self.last.get(&key).copied().unwrap_or(0);
            assert_eq!(attempt.number, last + 1, "attempt {} of {key:?} comes after {last}", attempt.number);
        }
    }

    /// Takes an event in.
    pub(crate) fn hear(&mut self, book: &Book, event: &Event) {
        self.last.extend(starts(event).into_iter().map(|attempt| (key(book, attempt), attempt.number)));
    }
}

fn key(book: &Book, attempt: Attempt) -> (Text, u32) {
    (book.graph.nodes[attempt.node].id.clone(), attempt.shard)
}

fn starts(event: &Event) -> Vec<Attempt> {
    let mut starts = Vec::new();
    commands(event, |command| {
        if let Command::Start(attempt) = command {
            starts.push(attempt);
        }
    });
    starts
}
