//! What attempts print: into the run's segments at once, and to whoever watches, as far as there is room.
//!
//! Called from spawn threads. The live queue is bounded: a view that cannot follow a flood misses the middle
//! of it, and the stored log stays complete. So no amount of text can delay a "finished".

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::keys::Keys;
use super::ports::Clock;
use crate::base::limits;
use crate::exec::{Key, OutputSink};
use crate::journal::output::{Segments, Stream, Trace};
use crate::run::Attempt;
use crate::run::event::OutputRef;

/// Captures the output of all attempts of one engine.
#[derive(Debug)]
pub struct Captured {
    keys: Keys,
    clock: Clock,
    segments: Segments,
    inner: Mutex<Inner>,
    is_watched: bool,
}

#[derive(Debug, Default)]
struct Inner {
    traces: BTreeMap<Key, Trace>,
    live: VecDeque<(Attempt, Vec<u8>)>,
    live_bytes: usize,
    dropped: u64,
    fault: Option<String>,
}

impl Captured {
    /// Writes to `segments`; keeps what is printed for a live view only when somebody watches.
    pub fn new(keys: Keys, clock: Clock, segments: Segments, is_watched: bool) -> Self {
        Self { keys, clock, segments, inner: Mutex::default(), is_watched }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The queue is whole between statements, so a panic elsewhere cannot have left it half changed.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was printed since the last call, in order, for whoever watches.
    pub fn take(&self) -> VecDeque<(Attempt, Vec<u8>)> {
        let mut inner = self.lock();
        inner.live_bytes = 0;
        let dropped = std::mem::take(&mut inner.dropped);
        let mut live = std::mem::take(&mut inner.live);
        if dropped > 0
            && let Some((_, last)) = live.back_mut()
        {
            last.extend_from_slice(format!("\n[{dropped} bytes not shown; the stored log has them]\n").as_bytes());
        }
        live
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
        if !self.is_watched {
            return;
        }
        if inner.live_bytes + bytes.len() > limits::MAX_LIVE_OUTPUT_BYTES {
            inner.dropped += bytes.len() as u64;
            return;
        }
        inner.live_bytes += bytes.len();
        match inner.live.back_mut() {
            Some((last, text)) if *last == attempt => text.extend_from_slice(bytes),
            _ => inner.live.push_back((attempt, bytes.to_vec())),
        }
    }
}
