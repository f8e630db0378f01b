//! Text that comes in pieces, masked as it passes.

use aho_corasick::Anchored;
use aho_corasick::automaton::Automaton;

use super::Masker;

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
    let automaton = &masker.automaton;
    let root = automaton.start_state(Anchored::No).expect("the automaton searches unanchored text");
    let mut found: Vec<(usize, usize)> = Vec::new();
    let mut state = root;
    for (at, &byte) in all.iter().enumerate() {
        state = automaton.next_state(Anchored::No, state, byte);
        if automaton.is_special(state) && automaton.is_match(state) {
            let longest = (0..automaton.match_len(state))
                .map(|index| automaton.pattern_len(automaton.match_pattern(state, index)))
                .max();
            cover(&mut found, (at + 1 - longest.unwrap_or(0), at + 1));
        }
    }
    // The state stands for the longest suffix that begins a form: any text that ends with that suffix leads to it,
    // and no shorter one does.
    let tail = &all[all.len().saturating_sub(masker.longest)..];
    let leads_here = |length: usize| {
        let suffix = &tail[tail.len() - length..];
        suffix.iter().fold(root, |state, &byte| automaton.next_state(Anchored::No, state, byte)) == state
    };
    let (mut too_short, mut enough) = (0, tail.len());
    if leads_here(0) {
        return (found, 0);
    }
    while enough - too_short > 1 {
        let middle = usize::midpoint(too_short, enough);
        if leads_here(middle) { enough = middle } else { too_short = middle }
    }
    (found, enough)
}

/// Adds a stretch that ends behind all others, joined with those that it overlaps or touches.
fn cover(found: &mut Vec<(usize, usize)>, (mut start, stop): (usize, usize)) {
    while let Some((first, _)) = found.pop_if(|(_, last)| *last >= start) {
        start = start.min(first);
    }
    found.push((start, stop));
}
