//! What attempts print: into the run's segments, on a road of its own, so that no amount of text can delay a
//! "finished".
//!
//! Secrets are masked before anything is kept or stored, each attempt by a stream of its own, since a value may be cut
//! between two reads. Without secrets the bytes go by untouched.
//!
//! Written from spawn threads. Whoever watches reads the segments as far as a [`Mark`] says (see
//! [`super::audience`]): nothing is held in memory for a slow reader, and nothing is lost to one.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::keys::Keys;
use super::ports::Clock;
use super::secrets::Strongbox;
use crate::base::limits;
use crate::exec::{Key, OutputSink};
use crate::journal::output::{Mark, Segments, Stream, Trace};
use crate::render::mask::{self, Masker};
use crate::run::Attempt;
use crate::run::event::OutputRef;

/// How long an attempt that prints much waits for its start to be durable. Longer only when the disk hangs.
const HOLD_PATIENCE: Duration = Duration::from_secs(1);

/// Captures the output of all attempts of one engine.
#[derive(Debug)]
pub struct Captured {
    keys: Keys,
    clock: Clock,
    segments: Segments,
    inner: Mutex<Inner>,
    released: Condvar,
    secrets: Option<Arc<Strongbox>>,
    /// Of each attempt the end of what it printed, as far as that may be the beginning of a secret.
    masked: Mutex<BTreeMap<Key, mask::Stream>>,
}

#[derive(Debug, Default)]
struct Inner {
    traces: BTreeMap<Key, Trace>,
    /// What attempts printed whose start is not durable yet.
    held: BTreeMap<Key, Vec<u8>>,
    fault: Option<String>,
}

impl Captured {
    /// Writes to `segments`, without `secrets`.
    pub fn new(keys: Keys, clock: Clock, segments: Segments, secrets: Option<Arc<Strongbox>>) -> Self {
        let (inner, masked) = (Mutex::default(), Mutex::default());
        Self { keys, clock, segments, inner, released: Condvar::new(), secrets, masked }
    }

    fn masker(&self) -> Option<Arc<Masker>> {
        self.secrets.as_ref()?.masker()
    }

    fn masked(&self) -> MutexGuard<'_, BTreeMap<Key, mask::Stream>> {
        self.masked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The table is whole between statements, so a panic elsewhere cannot have left it half changed.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that was printed so far stands before this place.
    pub fn mark(&self) -> Mark {
        self.segments.mark()
    }

    /// Keeps what an attempt prints from everybody until its start is durable.
    pub fn hold(&self, key: Key) {
        self.lock().held.insert(key, Vec::new());
    }

    /// Whether an attempt has printed something that nobody may see yet.
    pub fn is_holding(&self, key: Key) -> bool {
        self.lock().held.get(&key).is_some_and(|text| !text.is_empty())
    }

    /// The start of an attempt is durable.
    pub fn release(&self, key: Key) {
        let mut inner = self.lock();
        if let Some(text) = inner.held.remove(&key).filter(|text| !text.is_empty()) {
            self.store(&mut inner, key, &text);
            self.released.notify_all();
        }
    }

    /// Nobody watches any more.
    pub fn release_all(&self) {
        let mut inner = self.lock();
        for (key, text) in std::mem::take(&mut inner.held) {
            self.store(&mut inner, key, &text);
        }
        self.released.notify_all();
    }

    /// An attempt printed its last: where its output stands. It can be read from now on.
    pub fn finish(&self, key: Key) -> Option<OutputRef> {
        let rest = self.rest(key);
        let trace = {
            let mut inner = self.lock();
            if inner.held.remove(&key).is_none() && !rest.is_empty() {
                self.store(&mut inner, key, &rest);
            }
            inner.traces.remove(&key)?
        };
        self.flush();
        trace.place()
    }

    /// Stores what is said of an attempt that has no process of its own, as a line of its output; nothing when that is
    /// empty. It can be read after [`Captured::flush`].
    pub fn say(&self, attempt: Attempt, words: &str) -> Option<OutputRef> {
        if words.is_empty() {
            return None;
        }
        let words = self.masker().map_or_else(|| words.to_owned(), |masker| masker.mask(words));
        let mut trace = Trace::new(attempt);
        let line = format!("{words}\n");
        if let Err(error) = self.segments.append(&mut trace, self.clock.now(), (Stream::Out, line.as_bytes())) {
            self.lock().fault.get_or_insert(error.to_string());
        }
        trace.place()
    }

    /// What masking kept back of an attempt that prints no more.
    fn rest(&self, key: Key) -> Vec<u8> {
        let mut rest = Vec::new();
        if let (Some(masker), Some(mut stream)) = (self.masker(), self.masked().remove(&key)) {
            stream.finish(&masker, &mut rest);
        }
        rest
    }

    /// Keeps or stores bytes that hold no secret.
    fn take(&self, key: Key, bytes: &[u8]) {
        let mut inner = self.lock();
        let is_full = |inner: &mut Inner| {
            inner.held.get(&key).is_some_and(|text| text.len() + bytes.len() > limits::MAX_HELD_OUTPUT_BYTES)
        };
        if is_full(&mut inner) {
            let waited = self.released.wait_timeout_while(inner, HOLD_PATIENCE, is_full);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        match inner.held.get_mut(&key) {
            Some(text) => text.extend_from_slice(bytes),
            None => self.store(&mut inner, key, bytes),
        }
    }

    /// Makes everything that was captured readable.
    pub fn flush(&self) {
        if let Err(error) = self.segments.flush() {
            self.lock().fault.get_or_insert(error.to_string());
        }
    }

    /// The first failure to store output, if there was one.
    pub fn fault(&self) -> Option<String> {
        self.lock().fault.clone()
    }

    fn store(&self, inner: &mut Inner, key: Key, bytes: &[u8]) {
        let Some(attempt) = self.keys.attempt(key) else { return };
        let mut trace = inner.traces.remove(&key).unwrap_or_else(|| Trace::new(attempt));
        if let Err(error) = self.segments.append(&mut trace, self.clock.now(), (Stream::Out, bytes)) {
            inner.fault.get_or_insert(error.to_string());
        }
        inner.traces.insert(key, trace);
    }
}

impl OutputSink for Captured {
    fn write(&self, key: Key, bytes: &[u8]) {
        let Some(masker) = self.masker() else { return self.take(key, bytes) };
        // The bytes of one key come from one thread, so nobody misses its stream meanwhile.
        let mut stream = self.masked().remove(&key).unwrap_or_default();
        let mut shown = Vec::with_capacity(bytes.len());
        stream.push(&masker, bytes, &mut shown);
        self.masked().insert(key, stream);
        if !shown.is_empty() {
            self.take(key, &shown);
        }
    }
}
