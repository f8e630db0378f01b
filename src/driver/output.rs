//! What attempts print: into the run's segments, on a road of its own, so that no amount of text can delay a
//! "finished".
//!
//! Written from spawn threads. Whoever watches reads the segments as far as a [`Mark`] says (see
//! [`super::audience`]): nothing is held in memory for a slow reader, and nothing is lost to one.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::keys::Keys;
use super::ports::Clock;
use crate::exec::{Key, OutputSink};
use crate::journal::output::{Mark, Segments, Stream, Trace};
use crate::run::event::OutputRef;

/// Captures the output of all attempts of one engine.
#[derive(Debug)]
pub struct Captured {
    keys: Keys,
    clock: Clock,
    segments: Segments,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    traces: BTreeMap<Key, Trace>,
    fault: Option<String>,
}

impl Captured {
    /// Writes to `segments`.
    pub fn new(keys: Keys, clock: Clock, segments: Segments) -> Self {
        Self { keys, clock, segments, inner: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The table is whole between statements, so a panic elsewhere cannot have left it half changed.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that was printed so far stands before this place.
    pub fn mark(&self) -> Mark {
        self.segments.mark()
    }

    /// An attempt printed its last: where its output stands. It can be read from now on.
    pub fn finish(&self, key: Key) -> Option<OutputRef> {
        let trace = self.lock().traces.remove(&key)?;
        self.flush();
        trace.place()
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
}

impl OutputSink for Captured {
    fn write(&self, key: Key, bytes: &[u8]) {
        let Some(attempt) = self.keys.attempt(key) else { return };
        let mut inner = self.lock();
        let mut trace = inner.traces.remove(&key).unwrap_or_else(|| Trace::new(attempt));
        if let Err(error) = self.segments.append(&mut trace, self.clock.now(), (Stream::Out, bytes)) {
            inner.fault.get_or_insert(error.to_string());
        }
        inner.traces.insert(key, trace);
    }
}
