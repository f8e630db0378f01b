//! What stages printed: chunks of all attempts, one after another, in segment files `output/NNNN`.
//!
//! A chunk says whose it is, so attempts interleave and no attempt needs a file of its own. An event keeps
//! only an [`OutputRef`]: where the attempt's first chunk begins and how far it is to the end of its last,
//! in segments laid end to end. Segments are never synced and never appended to by another engine; a torn
//! end costs the words in it and nothing else.

mod reader;

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::disk::Disk;
use super::state_dir::names;
use super::{Error, RunDir};
use crate::base::{Millis, NodeIx, limits};
use crate::run::event::{Attempt, OutputRef};

pub use reader::{Chunk, Follow, Growing, read};

/// First bytes of a chunk.
const MAGIC: &[u8; 4] = b"\xf5OUT";
/// Bytes before a chunk's text.
const HEADER_LEN: usize = 36;
/// Bytes that wait in memory for company.
const BUFFER_BYTES: usize = 64 << 10;

/// Which pipe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// The segments of a live run; threads share it.
#[derive(Debug)]
pub struct Segments {
    dir: PathBuf,
    disk: Disk,
    open: Mutex<Open>,
}

/// The segment being written.
#[derive(Debug)]
struct Open {
    file: Option<File>,
    path: PathBuf,
    segment: u32,
    /// Bytes of the segment that are in the file.
    written: u64,
    /// Bytes that follow them.
    buffer: Vec<u8>,
    /// Bytes of all segments of this engine before this one.
    before: u64,
}

/// A place in the output of a live engine: everything before it was printed before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Mark {
    segment: u32,
    offset: u64,
}

/// What one attempt has printed so far; kept by whoever captures it.
#[derive(Clone, Copy, Debug)]
pub struct Trace {
    attempt: Attempt,
    first: Option<(u32, u64)>,
    /// Where it began, in segments laid end to end.
    begin: u64,
    end: u64,
}

impl Trace {
    /// `attempt`, which has printed nothing yet.
    pub const fn new(attempt: Attempt) -> Self {
        Self { attempt, first: None, begin: 0, end: 0 }
    }

    /// Where its output stands; `None` when it printed nothing.
    pub fn place(&self) -> Option<OutputRef> {
        self.first.map(|(segment, offset)| OutputRef { segment, offset, len: self.end - self.begin })
    }
}

impl Segments {
    /// Opens the output of `run` behind what earlier engines wrote.
    ///
    /// # Errors
    /// The directory cannot be made or read.
    pub fn open(run: &RunDir) -> Result<Self, Error> {
        let dir = run.output_path();
        run.disk().make_dirs(&dir)?;
        let last = names(&dir)?.iter().filter_map(|name| number(name)).max().unwrap_or(0);
        let open = Open {
            file: None,
            path: PathBuf::new(),
            segment: last,
            written: 0,
            buffer: Vec::with_capacity(BUFFER_BYTES),
            before: 0,
        };
        Ok(Self { dir, disk: run.disk().clone(), open: Mutex::new(open) })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Counters and buffer are changed together after the last thing that can fail.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends what an attempt printed at `at`. It may stay in memory until [`Segments::flush`].
    ///
    /// # Errors
    /// The disk refuses; what was in memory is lost.
    pub fn append(&self, trace: &mut Trace, at: Millis, (stream, text): (Stream, &[u8])) -> Result<(), Error> {
        for piece in text.chunks(limits::MAX_CHUNK_BYTES) {
            let mut open = self.lock();
            if open.file.is_none() || open.written + open.buffer.len() as u64 >= limits::MAX_SEGMENT_BYTES {
                self.rotate(&mut open)?;
            }
            let offset = open.written + open.buffer.len() as u64;
            put_chunk(&mut open.buffer, trace.attempt, at, (stream, piece));
            let begin = open.before + offset;
            if trace.first.is_none() {
                trace.first = Some((open.segment, offset));
                trace.begin = begin;
            }
            trace.end = begin + (HEADER_LEN + piece.len()) as u64;
            if open.buffer.len() >= BUFFER_BYTES {
                self.write(&mut open)?;
            }
        }
        Ok(())
    }

    /// Where the output ends now, with what is still in memory.
    pub fn mark(&self) -> Mark {
        let open = self.lock();
        match open.file {
            Some(_) => Mark { segment: open.segment, offset: open.written + open.buffer.len() as u64 },
            // What earlier engines wrote is behind us; the first word begins a segment.
            None => Mark { segment: open.segment + 1, offset: 0 },
        }
    }

    /// Writes what is in memory, so that readers see it: before an attempt's end is reported, and now and
    /// then for who follows.
    ///
    /// # Errors
    /// The disk refuses; what was in memory is lost.
    pub fn flush(&self) -> Result<(), Error> {
        self.write(&mut self.lock())
    }

    fn write(&self, open: &mut Open) -> Result<(), Error> {
        let Some(file) = open.file.as_ref().filter(|_| !open.buffer.is_empty()) else { return Ok(()) };
        let done = self.disk.write_at(file, &open.path, &open.buffer, open.written);
        if done.is_ok() {
            open.written += open.buffer.len() as u64;
        }
        open.buffer.clear();
        done
    }

    fn rotate(&self, open: &mut Open) -> Result<(), Error> {
        self.write(open)?;
        let segment = open.segment + 1;
        let path = self.dir.join(format!("{segment:04}"));
        open.file = Some(self.disk.create(&path)?);
        open.path = path;
        open.before += open.written;
        open.written = 0;
        open.segment = segment;
        Ok(())
    }
}

impl Drop for Segments {
    fn drop(&mut self) {
        // Nobody is left to tell; what a stage printed last is lost, its outcome is not.
        drop(self.flush());
    }
}

/// The number of the segment file `name`.
fn number(name: &str) -> Option<u32> {
    let is_number = name.len() >= 4 && name.bytes().all(|byte| byte.is_ascii_digit());
    name.parse().ok().filter(|_| is_number)
}

fn put_chunk(out: &mut Vec<u8>, attempt: Attempt, at: Millis, (stream, text): (Stream, &[u8])) {
    let begin = out.len();
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&attempt.node.raw().to_le_bytes());
    out.extend_from_slice(&attempt.shard.to_le_bytes());
    out.extend_from_slice(&attempt.number.to_le_bytes());
    out.extend_from_slice(&u16::from(stream == Stream::Err).to_le_bytes());
    out.extend_from_slice(&at.raw().to_le_bytes());
    let len = u32::try_from(text.len()).expect("a piece is at most `MAX_CHUNK_BYTES` long");
    out.extend_from_slice(&len.to_le_bytes());
    let text_crc = crc32c::crc32c(text);
    out.extend_from_slice(&text_crc.to_le_bytes());
    let crc = crc32c::crc32c(&out[begin..]);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(text);
}

/// A chunk's header.
#[derive(Clone, Copy, Debug)]
struct Header {
    attempt: Attempt,
    stream: Stream,
    at: Millis,
    len: usize,
    text_crc: u32,
}

impl Header {
    /// `None` when `bytes` is no whole header.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER_LEN] = bytes.get(..HEADER_LEN)?.try_into().ok()?;
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        if bytes[..4] != *MAGIC || crc32c::crc32c(&bytes[..HEADER_LEN - 4]) != word(32) {
            return None;
        }
        let len = usize::try_from(word(24)).ok().filter(|&len| len <= limits::MAX_CHUNK_BYTES)?;
        let number = u16::from_le_bytes([bytes[12], bytes[13]]);
        Some(Self {
            attempt: Attempt { node: NodeIx::new(word(4)), shard: word(8), number },
            stream: if bytes[14] == 0 { Stream::Out } else { Stream::Err },
            at: Millis::new(u64::from(word(16)) | u64::from(word(20)) << 32),
            len,
            text_crc: word(28),
        })
    }
}
