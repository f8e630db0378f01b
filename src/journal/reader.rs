//! Reads a journal frame by frame, while its writer may be writing.
//!
//! Up to `head` every frame must be whole; anything else is damage. Beyond it a bad end is a torn tail, but
//! only when nothing whole follows it: the writer syncs each frame before it writes the next, so a power cut
//! can tear the last frame and no other.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;

use super::codec::Decoded;
use super::format::{self, FILE_HEADER_LEN, FRAME_HEADER_LEN, FrameHeader, HASH_LEN, Head};
use super::{Error, RunDir};
use crate::base::{Digest, Millis, limits};
use crate::run::Event;
use crate::run::event::Began;

/// Bytes read at once.
const BUFFER_BYTES: usize = 256 << 10;
/// Bytes read at once of a short one.
const LEAST_BUFFER_BYTES: usize = 4 << 10;
/// About the least room that an event takes in the file: a tag, a time and a number.
const LEAST_EVENT_BYTES: u64 = 3;
/// How often `head` is read again when it looks torn: its owner may be rewriting it.
const HEAD_TRIES: u32 = 20;

/// A record: sequence number, run time, event.
pub type Record = (u64, Millis, Event);

/// A whole journal.
#[derive(Debug)]
pub struct Contents {
    /// Every event that this engine knows, in order.
    pub records: Vec<Record>,
    /// Events of a newer engine: sequence number and tag.
    pub unknown: Vec<(u64, u64)>,
    /// What stands at the end.
    pub tail: Tail,
    /// Where a writer goes on.
    pub end: End,
}

/// What stands at a journal's end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tail {
    /// Nothing but whole frames, and perhaps zeros that are kept ready for the next.
    Whole,
    /// Bytes that were never acknowledged: a frame that a crash cut short, or that is being written now.
    Torn {
        /// Where they begin.
        offset: u64,
        /// How many.
        bytes: u64,
    },
}

/// Where a journal ends, and what a writer has to do before it goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct End {
    /// The last whole frame.
    pub last: Head,
    /// What `head` said; `None` when it is missing or unreadable.
    pub head: Option<Head>,
    /// Length of the file when it was read.
    pub file_len: u64,
    /// Sequence number and tag of the first event that this engine does not know.
    pub unknown: Option<(u64, u64)>,
}

/// What [`Reader::next_frame`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// A frame, whose events were handed over.
    Frame,
    /// The end, for now.
    End(Tail),
}

/// Reads one journal forward.
#[derive(Debug)]
pub struct Reader {
    file: BufReader<File>,
    path: PathBuf,
    head_path: PathBuf,
    head: Option<Head>,
    file_len: u64,
    last: Head,
    unknown: Option<(u64, u64)>,
    events: Vec<u8>,
}

/// Reads a whole journal.
///
/// # Errors
/// It cannot be read, is damaged, or has another major version.
pub fn read(run: &RunDir) -> Result<Contents, Error> {
    let mut reader = Reader::open(run)?;
    // `head` says how many there are, and the file's length bounds what a wrong one can ask for.
    let (said, most) = (reader.head.map_or(0, |head| head.sequence), reader.file_len / LEAST_EVENT_BYTES);
    let mut records = Vec::with_capacity(usize::try_from(said.min(most)).unwrap_or(0));
    let mut unknown = Vec::new();
    loop {
        let step = reader.next_decoded(&mut |sequence, at, event| match event {
            Decoded::Known(event) => records.push((sequence, at, event)),
            Decoded::Unknown { tag } => unknown.push((sequence, tag)),
        })?;
        if let Step::End(tail) = step {
            return Ok(Contents { records, unknown, tail, end: reader.end() });
        }
    }
}

/// What a run began with, from its first frame alone.
pub fn began(run: &RunDir) -> Option<Began> {
    let mut began = None;
    let mut reader = Reader::open(run).ok()?;
    reader.file = BufReader::with_capacity(LEAST_BUFFER_BYTES, reader.file.into_inner());
    reader.seek(FILE_HEADER_LEN as u64).ok()?;
    reader
        .next_frame(&mut |_, _, event| {
            if let Event::RunBegan(first) = event {
                began.get_or_insert(*first);
            }
        })
        .ok()?;
    began
}

/// The events of a frame's body, as `docs/journal-format.md` lays them out, without those of a newer engine;
/// for tools and fuzzing.
///
/// # Errors
/// What is wrong with the bytes, as a fragment for a message.
pub fn decode_events(body: &[u8], count: u32) -> Result<Vec<(Millis, Event)>, &'static str> {
    let len = u32::try_from(body.len()).map_err(|_| "it is longer than 32 bits can say")?;
    let header = FrameHeader { len, first: 1, count, at: Millis::ZERO };
    let mut events = Vec::new();
    format::decode_events(header, body, &mut |_, at, event| {
        if let Decoded::Known(event) = event {
            events.push((at, event));
        }
    })?;
    Ok(events)
}

impl Reader {
    /// Opens a run's journal at its beginning.
    ///
    /// # Errors
    /// It cannot be read, its header is damaged, or it has another major version.
    pub fn open(run: &RunDir) -> Result<Self, Error> {
        let (path, head_path) = (run.journal_path(), run.head_path());
        // `head` first: then the journal is at least as long as `head` says.
        let head = read_head(&head_path)?;
        let file = File::open(&path).map_err(Error::io("open", &path))?;
        let file_len = file.metadata().map_err(Error::io("look at", &path))?.len();
        let start = Head { sequence: 0, offset: 0, hash: Digest::ZERO };
        // Room for 256 KiB is asked of the system and given back to it, each time.
        let capacity = usize::try_from(file_len).unwrap_or(BUFFER_BYTES).clamp(LEAST_BUFFER_BYTES, BUFFER_BYTES);
        let mut reader = Self {
            file: BufReader::with_capacity(capacity, file),
            path,
            head_path,
            head,
            file_len,
            last: start,
            unknown: None,
            events: Vec::new(),
        };
        reader.read_file_header()?;
        Ok(reader)
    }

    fn read_file_header(&mut self) -> Result<(), Error> {
        let mut header = [0; FILE_HEADER_LEN];
        match self.file.read_exact(&mut header) {
            Ok(()) => {}
            // A power cut may leave a run that never began with a journal of no bytes.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && !self.has_begun() => {
                self.last = Head { sequence: 0, offset: 0, hash: format::genesis(&format::file_header()) };
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(Error::damage(&self.path, self.file_len, "the file ends inside its header"));
            }
            Err(error) => return Err(Error::io("read", &self.path)(error)),
        }
        match format::file_version(&header) {
            Some(format::MAJOR) => {
                let hash = format::genesis(&header);
                self.last = Head { sequence: 0, offset: FILE_HEADER_LEN as u64, hash };
                Ok(())
            }
            Some(found) => Err(Error::Version { path: self.path.clone(), found, known: format::MAJOR }),
            None => Err(Error::damage(&self.path, 0, "the file does not begin as a journal does")),
        }
    }

    /// Whether `head` says that something was acknowledged.
    fn has_begun(&self) -> bool {
        self.head.is_some_and(|head| head.sequence > 0)
    }

    /// Reads the next frame and hands each of its events to `each`; events of a newer engine are left out.
    /// At the end it may be asked again after [`Reader::refresh`].
    ///
    /// # Errors
    /// The frame is damaged or cannot be read.
    pub fn next_frame(&mut self, each: &mut dyn FnMut(u64, Millis, Event)) -> Result<Step, Error> {
        self.next_decoded(&mut |sequence, at, event| {
            if let Decoded::Known(event) = event {
                each(sequence, at, event);
            }
        })
    }

    pub(super) fn next_decoded(&mut self, each: &mut dyn FnMut(u64, Millis, Decoded)) -> Result<Step, Error> {
        let begin = self.last.offset;
        if begin >= self.file_len {
            return self.at_end(Tail::Whole);
        }
        let frame = match self.read_frame()? {
            Ok(frame) => frame,
            Err(fault) => return self.bad(fault),
        };
        let (header, hash) = frame;
        let mut unknown = self.unknown;
        let events = std::mem::take(&mut self.events);
        let decoded = format::decode_events(header, &events, &mut |sequence, at, event| {
            if let Decoded::Unknown { tag } = event {
                unknown.get_or_insert((sequence, tag));
            }
            each(sequence, at, event);
        });
        self.events = events;
        // Its hash is right, so no crash did this: the bytes were written so.
        decoded.map_err(|fault| Error::damage(&self.path, begin, fault))?;
        self.unknown = unknown;
        self.last = Head {
            sequence: self.last.sequence + u64::from(header.count),
            offset: begin + (FRAME_HEADER_LEN + HASH_LEN) as u64 + u64::from(header.len),
            hash,
        };
        self.compare_with_head(begin)?;
        Ok(Step::Frame)
    }

    /// Reads one frame's bytes; the inner error is what is wrong with them.
    fn read_frame(&mut self) -> Result<Result<(FrameHeader, Digest), &'static str>, Error> {
        let left = self.file_len - self.last.offset;
        let mut bytes = [0; FRAME_HEADER_LEN];
        if left < (FRAME_HEADER_LEN + HASH_LEN) as u64 {
            return Ok(Err("the file ends inside a frame"));
        }
        if !self.fill(&mut bytes)? {
            return Ok(Err("the file ends inside a frame"));
        }
        let Some(header) = FrameHeader::decode(&bytes) else {
            return Ok(Err("a frame's header does not match its checksum"));
        };
        if header.first != self.last.sequence + 1 || header.count == 0 {
            return Ok(Err("a frame is out of order"));
        }
        if header.len > limits::MAX_FRAME_BYTES {
            return Ok(Err("a frame is longer than limit `MAX_FRAME_BYTES`"));
        }
        if left < (FRAME_HEADER_LEN + HASH_LEN) as u64 + u64::from(header.len) {
            return Ok(Err("the file ends inside a frame"));
        }
        let mut events = std::mem::take(&mut self.events);
        events.resize(header.len as usize, 0);
        let mut stored = [0; HASH_LEN];
        let is_there = self.fill(&mut events)? && self.fill(&mut stored)?;
        self.events = events;
        if !is_there {
            return Ok(Err("the file ends inside a frame"));
        }
        let hash = format::chain(self.last.hash, &bytes, &self.events);
        if Digest::from_bytes(stored) != hash {
            return Ok(Err("a frame does not match its hash"));
        }
        Ok(Ok((header, hash)))
    }

    /// Reads as much as `bytes` has room for; not, if the file has less: its writer may have cut off the zeros that it
    /// kept ready since the file's length was asked for.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<bool, Error> {
        match self.file.read_exact(bytes) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(Error::io("read", &self.path)(error)),
        }
    }

    /// A frame that ends where `head` points must be the one that `head` names.
    fn compare_with_head(&self, begin: u64) -> Result<(), Error> {
        match self.head {
            Some(head) if head.offset == self.last.offset && head != self.last => {
                Err(Error::damage(&self.path, begin, "this frame is not the one that `head` names"))
            }
            Some(head) if begin < head.offset && head.offset < self.last.offset => {
                Err(Error::damage(&self.path, begin, "`head` points into the middle of this frame"))
            }
            _ => Ok(()),
        }
    }

    /// What to make of a bad frame at the place where the last good one ends.
    fn bad(&mut self, fault: &'static str) -> Result<Step, Error> {
        let begin = self.last.offset;
        let damage = Error::damage(&self.path, begin, fault);
        if self.has_begun() && self.head.is_some_and(|head| begin < head.offset) {
            return Err(damage);
        }
        let mut rest = Vec::new();
        self.file.seek(SeekFrom::Start(begin)).map_err(Error::io("read", &self.path))?;
        let len = self.file_len - begin;
        (&mut self.file).take(len).read_to_end(&mut rest).map_err(Error::io("read", &self.path))?;
        let len = rest.len() as u64;
        if rest.iter().all(|&byte| byte == 0) {
            // Kept ready for the next frame.
            self.seek(begin)?;
            return self.at_end(Tail::Whole);
        }
        if format::has_later_frame(&rest, self.last.sequence + 1) {
            // Unless it was written since it was read, by an engine that lives.
            self.seek(begin)?;
            if self.read_frame()?.is_err() {
                return Err(damage);
            }
        }
        self.seek(begin)?;
        self.at_end(Tail::Torn { offset: begin, bytes: len })
    }

    fn at_end(&self, tail: Tail) -> Result<Step, Error> {
        match self.head {
            Some(head) if head.sequence > self.last.sequence => {
                let what = format!("the file ends before event {}, which was acknowledged", head.sequence);
                Err(Error::damage(&self.path, self.last.offset, what))
            }
            _ => Ok(Step::End(tail)),
        }
    }

    /// Looks again how far the journal reaches; for a reader that follows a live run.
    ///
    /// # Errors
    /// The files cannot be looked at.
    pub fn refresh(&mut self) -> Result<(), Error> {
        self.head = read_head(&self.head_path)?;
        let now = self.file.get_ref().metadata().map_err(Error::io("look at", &self.path))?.len();
        if self.last.offset == 0 && now > 0 {
            // It had not even a header when it was opened.
            self.seek(0)?;
            self.file_len = now;
            self.read_file_header()?;
        }
        self.file_len = now;
        self.seek(self.last.offset)
    }

    fn seek(&mut self, offset: u64) -> Result<(), Error> {
        self.file.seek(SeekFrom::Start(offset)).map(drop).map_err(Error::io("read", &self.path))
    }

    /// Where it stands; after [`Step::End`] this is where a writer goes on.
    pub const fn end(&self) -> End {
        End { last: self.last, head: self.head, file_len: self.file_len, unknown: self.unknown }
    }
}

/// What `head` says; `None` when it is missing, or does not match its checksum (it can be rebuilt).
fn read_head(path: &std::path::Path) -> Result<Option<Head>, Error> {
    for _ in 0..HEAD_TRIES {
        match fs::read(path) {
            Ok(bytes) => {
                if let Some(head) = Head::decode(&bytes) {
                    return Ok(Some(head));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", path)(error)),
        }
        std::thread::yield_now();
    }
    Ok(None)
}
