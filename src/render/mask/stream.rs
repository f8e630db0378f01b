//! Text that comes in pieces, masked as it passes.

use aho_corasick::Anchored;
use aho_corasick::automaton::Automaton;

use super::{Masker, Openings};

/// One source of text on its way through a [`Masker`].
#[derive(Default)]
pub struct Stream {
    /// The last bytes that came, as far as they may be the beginning of a form.
    held: Vec<u8>,
    /// When the text given on ends with `***`: how many bytes of `held` that sign stands for as well.
    signed: Option<usize>,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stream({} bytes held)", self.held.len())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.held);
    }
}

impl Stream {
    /// Takes the next bytes and adds to `out` what can be shown of all that came so far.
    pub fn push(&mut self, masker: &Masker, bytes: &[u8], out: &mut Vec<u8>) {
        if self.held.is_empty() {
            let keep = self.pass(masker, bytes, false, out);
            self.held.extend_from_slice(&bytes[keep..]);
            return;
        }
        self.held.extend_from_slice(bytes);
        let all = std::mem::take(&mut self.held);
        let keep = self.pass(masker, &all, false, out);
        self.held = all;
        self.held.drain(..keep);
    }

    /// The source has ended: adds what was kept back.
    pub fn finish(&mut self, masker: &Masker, out: &mut Vec<u8>) {
        let all = std::mem::take(&mut self.held);
        self.pass(masker, &all, true, out);
        self.signed = None;
    }

    /// Adds to `out` what can be shown of `all`, and tells from where on bytes must be kept.
    fn pass(&mut self, masker: &Masker, all: &[u8], is_end: bool, out: &mut Vec<u8>) -> usize {
        let (found, depth) = search(masker, all);
        let end = if is_end { all.len() } else { all.len() - depth };
        // The sign at the end of what was given on may stand for the first bytes of `all`.
        let mut done = self.signed.unwrap_or(0);
        // A stretch that begins where keeping begins is certain, however far it may still grow: it is signed at once.
        for (start, stop) in found.into_iter().filter(|(start, _)| *start <= end) {
            if start > done || (start == done && self.signed.is_none()) {
                out.extend_from_slice(&all[done..start]);
                out.extend_from_slice(Masker::sign());
            }
            self.signed = Some(0);
            done = done.max(stop);
        }
        if done < end {
            out.extend_from_slice(&all[done..end]);
            self.signed = None;
        } else if self.signed.is_some() {
            self.signed = Some(done - end);
        }
        end
    }
}

/// The stretches of `all` that forms cover, in order and apart from each other, and how many of the last bytes could
/// be the beginning of a form.
fn search(masker: &Masker, all: &[u8]) -> (Vec<(usize, usize)>, usize) {
    let mut found = Vec::new();
    let mut keep = None;
    let mut look = |at: usize| {
        let (stop, is_open) = form_at(masker, &all[at..]);
        if let Some(length) = stop {
            cover(&mut found, (at, at + length));
        }
        if is_open {
            keep.get_or_insert(at);
        }
    };
    let whole = all.windows(Openings::WIDTH);
    let rest = all.len().saturating_sub(Openings::WIDTH - 1);
    for (at, opening) in whole.enumerate() {
        if masker.openings.may_hold(opening) {
            look(at);
        }
    }
    (rest..all.len()).for_each(look);
    (found, keep.map_or(0, |at| all.len() - at))
}

/// Whether any form is in `all`.
pub(super) fn is_found(masker: &Masker, all: &[u8]) -> bool {
    all.windows(Openings::WIDTH)
        .enumerate()
        .any(|(at, opening)| masker.openings.may_hold(opening) && form_at(masker, &all[at..]).0.is_some())
}

/// The length of the longest form that `text` begins with, and whether all of `text` may be the beginning of one.
fn form_at(masker: &Masker, text: &[u8]) -> (Option<usize>, bool) {
    let automaton = &masker.automaton;
    let mut state = automaton.start_state(Anchored::Yes).expect("the automaton searches anchored text");
    let mut longest = None;
    for (at, &byte) in text.iter().enumerate() {
        state = automaton.next_state(Anchored::Yes, state, byte);
        if automaton.is_special(state) {
            if automaton.is_dead(state) {
                return (longest, false);
            }
            // A state also knows forms that end here and began later.
            let ends_here = |index| automaton.pattern_len(automaton.match_pattern(state, index)) == at + 1;
            if automaton.is_match(state) && (0..automaton.match_len(state)).any(ends_here) {
                longest = Some(at + 1);
            }
        }
    }
    (longest, true)
}

/// Adds a stretch that begins behind the beginnings of all others, joined with the one that it overlaps or touches.
fn cover(found: &mut Vec<(usize, usize)>, (start, stop): (usize, usize)) {
    match found.last_mut() {
        Some((_, last)) if *last >= start => *last = stop.max(*last),
        _ => found.push((start, stop)),
    }
}
