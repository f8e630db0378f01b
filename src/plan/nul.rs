//! Refuses texts with a NUL, which an escape inside quotes can make.
//!
//! The system ends arguments, variables and paths at the first NUL, so no process could ever be given such a text: a run
//! would fail where it gets there, with what came before done.

use super::error::{Diagnostic, Report};
use super::source::Place;
use super::tree::{Key, Kind, Tree};

/// Reports every key and value of `tree`, the file `text`, with a NUL in it. Items of shards are left alone: as JSON they
/// may hold anything, and the graph looks at the others.
pub(super) fn refuse(tree: &Tree, text: &str, report: &mut Report) {
    // A NUL that stands in the file was refused with it; another one needs an escape.
    let mut open = if text.contains('\\') { vec![(tree, "")] } else { Vec::new() };
    while let Some((tree, own)) = open.pop() {
        match &tree.kind {
            Kind::Str { text, .. } if text.contains('\0') => tell(tree.at, "text", report),
            Kind::List(items) => open.extend(items.iter().map(|item| (item, own))),
            Kind::Map(entries) => {
                for (key, _) in entries.iter().filter(|(key, _)| key.text.contains('\0')) {
                    tell(key.at, "key", report);
                }
                let values = entries.iter().filter(|(key, _)| !are_items(own, key));
                open.extend(values.map(|(key, value)| (value, &*key.text)));
            }
            _ => {}
        }
    }
}

fn are_items(above: &str, key: &Key) -> bool {
    above == "shards" && &*key.text == "items"
}

fn tell(at: Place, what: &str, report: &mut Report) {
    let message = format!("a {what} with a NUL, which no argument, variable or path can hold");
    let help = "take the NUL out; bytes that a program needs can be passed in base64";
    report.push(Diagnostic::error("plan::nul", at, message).help(help));
}
