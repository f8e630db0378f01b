//! Keeps what attempts print in memory, bounded: for questions such as `done-if`, and for tests.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::{Key, OutputSink};

/// A sink that keeps the last bytes of each attempt until they are taken.
#[derive(Debug)]
pub struct Capture {
    limit: usize,
    kept: Mutex<HashMap<Key, Vec<u8>>>,
}

impl Capture {
    /// Keeps at most the last `limit` bytes of each attempt.
    pub fn new(limit: usize) -> Self {
        Self { limit, kept: Mutex::default() }
    }

    /// Takes what an attempt printed.
    pub fn take(&self, key: Key) -> Vec<u8> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = kept.remove(&key).unwrap_or_default();
        cut_front(&mut bytes, self.limit);
        bytes
    }
}

impl OutputSink for Capture {
    fn write(&self, key: Key, bytes: &[u8]) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let all = kept.entry(key).or_default();
        all.extend_from_slice(bytes);
        // Cutting at twice the limit moves each byte at most once on average.
        if all.len() / 2 >= self.limit {
            cut_front(all, self.limit);
        }
    }
}

fn cut_front(bytes: &mut Vec<u8>, limit: usize) {
    let surplus = bytes.len().saturating_sub(limit);
    bytes.drain(..surplus);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_bytes_of_each_key() {
        let capture = Capture::new(4);
        for part in [&b"abc"[..], b"def", b"ghijkl", b"m"] {
            capture.write(Key(1), part);
        }
        capture.write(Key(2), b"xy");
        assert_eq!(capture.take(Key(1)), b"jklm");
        assert_eq!(capture.take(Key(2)), b"xy");
        assert_eq!(capture.take(Key(1)), b"");
    }
}
