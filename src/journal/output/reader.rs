//! Reads segments: all that one attempt printed, or everything as it comes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::{HEADER_LEN, Header, Mark, Stream, names, number};
use crate::base::{Millis, limits};
use crate::journal::{Error, RunDir};
use crate::run::event::{Attempt, OutputRef};

/// Bytes read at once.
const WINDOW_BYTES: usize = 256 << 10;

/// Some words of an attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chunk {
    /// Whose.
    pub attempt: Attempt,
    /// On which pipe.
    pub stream: Stream,
    /// When.
    pub at: Millis,
    /// The words.
    pub text: Vec<u8>,
}

/// Hands every chunk of `attempt` within `place` to `each`, in order; tells how many bytes of segments could
/// not be read (cut by a crash, or damaged).
///
/// # Errors
/// A segment exists and cannot be read.
pub fn read(run: &RunDir, place: OutputRef, attempt: Attempt, each: &mut dyn FnMut(Chunk)) -> Result<u64, Error> {
    let mut left = place.len;
    let mut lost = 0;
    let mut at = (place.segment, place.offset);
    while left > 0 {
        let Some(mut segment) = Segment::open(run, at.0)? else { return Ok(lost + left) };
        let end = segment.len.min(at.1.saturating_add(left));
        if at.1 > segment.len {
            return Ok(lost + left);
        }
        left -= end.saturating_sub(at.1);
        let mut offset = at.1;
        while offset < end {
            match segment.chunk(offset)? {
                Found::Chunk(chunk, next) => {
                    if chunk.attempt == attempt {
                        each(chunk);
                    }
                    offset = next;
                }
                Found::Cut => {
                    lost += end - offset;
                    break;
                }
                Found::Bad(next) => {
                    lost += next.min(end) - offset;
                    offset = next;
                }
            }
        }
        at = (at.0 + 1, 0);
    }
    Ok(lost)
}

/// Reads a run's output as it comes, from the beginning or from now.
#[derive(Debug)]
pub struct Follow {
    run: RunDir,
    segment: u32,
    offset: u64,
}

impl Follow {
    /// From the first chunk there is.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn from_start(run: &RunDir) -> Result<Self, Error> {
        let segment = segments(run)?.first().copied().unwrap_or(1);
        Ok(Self { run: run.clone(), segment, offset: 0 })
    }

    /// From what is printed from now on.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn from_now(run: &RunDir) -> Result<Self, Error> {
        let segment = segments(run)?.last().copied().unwrap_or(1);
        let offset = Segment::open(run, segment)?.map_or(0, |segment| segment.len);
        Ok(Self { run: run.clone(), segment, offset })
    }

    /// Hands every whole chunk that came since to `each`.
    ///
    /// # Errors
    /// A segment cannot be read.
    pub fn poll(&mut self, each: &mut dyn FnMut(Chunk)) -> Result<(), Error> {
        loop {
            // Looked at first: once there is a later segment this one has all it will ever have.
            let next = segments(&self.run)?.into_iter().find(|&number| number > self.segment);
            if let Some(mut segment) = Segment::open(&self.run, self.segment)? {
                while self.offset < segment.len {
                    match segment.chunk(self.offset)? {
                        Found::Chunk(chunk, next) => {
                            each(chunk);
                            self.offset = next;
                        }
                        Found::Bad(next) => self.offset = next,
                        Found::Cut => break,
                    }
                }
            }
            let Some(next) = next else { return Ok(()) };
            self.segment = next;
            self.offset = 0;
        }
    }
}

/// Reads the output of a live engine as far as it says that it reaches: for those who are told of the run from
/// inside the engine, which knows what is there and needs no look around.
#[derive(Debug)]
pub struct Growing {
    run: RunDir,
    at: Mark,
    open: Option<Segment>,
}

impl Growing {
    /// From `from` on.
    pub const fn new(run: RunDir, from: Mark) -> Self {
        Self { run, at: from, open: None }
    }

    /// Whether something before `to` was not read yet.
    pub fn is_behind(&self, to: Mark) -> bool {
        self.at < to
    }

    /// Hands every chunk before `to` to `each`, in order of printing. What could not be stored is not there; the
    /// rest of it is told all the same.
    ///
    /// # Errors
    /// A segment cannot be read.
    pub fn read_to(&mut self, to: Mark, each: &mut dyn FnMut(Attempt, &[u8])) -> Result<(), Error> {
        while self.at < to {
            let is_last = self.at.segment == to.segment;
            if self.open.is_none() {
                self.open = Segment::open(&self.run, self.at.segment)?;
            }
            if let Some(segment) = &mut self.open {
                segment.grow()?;
                let end = if is_last { segment.len.min(to.offset) } else { segment.len };
                while self.at.offset < end {
                    match segment.chunk(self.at.offset)? {
                        Found::Chunk(chunk, next) => {
                            each(chunk.attempt, &chunk.text);
                            self.at.offset = next;
                        }
                        Found::Bad(next) => self.at.offset = next,
                        Found::Cut => break,
                    }
                }
            }
            if is_last {
                return Ok(());
            }
            self.open = None;
            self.at = Mark { segment: self.at.segment + 1, offset: 0 };
        }
        Ok(())
    }
}

fn segments(run: &RunDir) -> Result<Vec<u32>, Error> {
    let mut numbers: Vec<u32> = names(&run.output_path())?.iter().filter_map(|name| number(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// What stands at an offset.
enum Found {
    /// A chunk, and where the next one begins.
    Chunk(Chunk, u64),
    /// A chunk whose words are not what was written, and where the next one begins.
    Bad(u64),
    /// Nothing that can be read, now or ever.
    Cut,
}

/// One segment and a window into it.
#[derive(Debug)]
struct Segment {
    file: File,
    path: PathBuf,
    len: u64,
    window: Vec<u8>,
    window_at: u64,
}

impl Segment {
    fn open(run: &RunDir, number: u32) -> Result<Option<Self>, Error> {
        let path = run.output_path().join(format!("{number:04}"));
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(Error::io("open", &path))?,
        };
        let len = file.metadata().map_err(Error::io("look at", &path))?.len();
        Ok(Some(Self { file, path, len, window: Vec::new(), window_at: 0 }))
    }

    /// Looks how long it is by now.
    fn grow(&mut self) -> Result<(), Error> {
        self.len = self.file.metadata().map_err(Error::io("look at", &self.path))?.len();
        Ok(())
    }

    /// The bytes `at..at + len`, or none if the file ends before.
    fn bytes(&mut self, at: u64, len: usize) -> Result<Option<&[u8]>, Error> {
        let in_window = |window_at: u64, window: usize| {
            let from = usize::try_from(at.checked_sub(window_at)?).ok()?;
            (from.checked_add(len)? <= window).then_some(from)
        };
        if let Some(from) = in_window(self.window_at, self.window.len()) {
            return Ok(Some(&self.window[from..from + len]));
        }
        let left = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX);
        if left < len {
            return Ok(None);
        }
        self.window.resize(left.min(len.max(WINDOW_BYTES)), 0);
        self.window_at = at;
        self.file.read_exact_at(&mut self.window, at).map_err(Error::io("read", &self.path))?;
        Ok(Some(&self.window[..len]))
    }

    fn chunk(&mut self, at: u64) -> Result<Found, Error> {
        let Some(bytes) = self.bytes(at, HEADER_LEN)? else { return Ok(Found::Cut) };
        let Some(header) = Header::decode(bytes) else { return Ok(Found::Cut) };
        debug_assert!(header.len <= limits::MAX_CHUNK_BYTES, "`Header::decode` refuses longer ones");
        let begin = at + HEADER_LEN as u64;
        let Some(text) = self.bytes(begin, header.len)? else { return Ok(Found::Cut) };
        let next = begin + header.len as u64;
        if crc32c::crc32c(text) != header.text_crc {
            return Ok(Found::Bad(next));
        }
        let (attempt, stream, time) = (header.attempt, header.stream, header.at);
        Ok(Found::Chunk(Chunk { attempt, stream, at: time, text: text.to_vec() }, next))
    }
}
