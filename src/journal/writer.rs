//! Appends to a journal from a thread of its own.
//!
//! [`Writer::append`] only queues. The thread takes all that is queued, writes it as one frame (more, one
//! after another, when it is very much), waits for the disk, rewrites `head`, and only then says
//! [`Notice::Durable`]. While it waits, the next batch collects: group commit without timers.
//!
//! A failed write or sync is final. Nothing of that batch is acknowledged, later appends are refused, and the
//! error is reported once.

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::disk::Disk;
use super::format::{self, Head};
use super::{End, Error, Ownership, RunDir};
use crate::base::{Millis, limits};
use crate::run::Event;

/// A frame is closed once its events take so many bytes, so that readers stay small.
const FRAME_BYTES: usize = 4 << 20;

/// Bytes kept ready behind the last frame: at first, and at most. A sync that finds the file as long as it was writes
/// the bytes alone; one that finds it longer writes its inode too, for half as long again.
const RESERVE_BYTES: (u64, u64) = (4 << 10, 256 << 10);

/// What the writer's thread reports.
#[derive(Debug)]
pub enum Notice {
    /// These records are on the disk.
    Durable {
        /// Sequence number of the first of them.
        first: u64,
        /// The records, as they were appended.
        records: Vec<(Millis, Event)>,
    },
    /// The disk refused; nothing more will be written. Said once, and last.
    Failed(Error),
}

/// How much was done; for reports and benches.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Frames written.
    pub frames: u64,
    /// Waits for the disk.
    pub syncs: u64,
    /// Bytes of frames.
    pub bytes: u64,
    /// Records made durable.
    pub records: u64,
}

/// The one writer of a run's journal.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
    path: PathBuf,
    frames: AtomicU64,
    syncs: AtomicU64,
    bytes: AtomicU64,
    records: AtomicU64,
}

#[derive(Debug)]
struct Queue {
    waiting: Vec<(Millis, Event)>,
    /// Sequence number of the last record that was accepted.
    last: u64,
    /// Nothing more is accepted.
    is_closed: bool,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // The queue is whole between statements, so a panic elsewhere cannot have left it half changed.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refuses appends once the thread is gone, whatever ended it.
struct Closing(Arc<Shared>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.queue().is_closed = true;
    }
}

impl Writer {
    /// Opens the journal of a run that was just created, or goes on after `end`, where a reader that was
    /// opened under the same `ownership` found its end: a torn tail is cut, and frames beyond `head` are
    /// made durable first. `notify` is called on the writer's thread.
    ///
    /// # Errors
    /// The journal holds events of a newer engine, changed since it was read, or the disk refuses.
    pub fn open(
        run: &RunDir,
        ownership: &Ownership,
        end: &End,
        notify: impl FnMut(Notice) + Send + 'static,
    ) -> Result<Self, Error> {
        // Only a type that cannot be had without the lock proves that nobody else writes.
        let _ = ownership;
        let path = run.journal_path();
        if let Some((sequence, tag)) = end.unknown {
            return Err(Error::UnknownEvent { path, sequence, tag });
        }
        let disk = run.disk().clone();
        let file = disk.open(&path)?;
        let last = settle(&disk, &file, &path, end)?;
        let head_path = run.head_path();
        let head = disk.open(&head_path)?;
        disk.write_at(&head, &head_path, &last.encode(), 0)?;
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue { waiting: Vec::new(), last: last.sequence, is_closed: false }),
            filled: Condvar::new(),
            path: path.clone(),
            frames: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            records: AtomicU64::new(0),
        });
        let reserved = Some(last.offset);
        let log = Log { disk, file, path, head, head_path, last, reserved, frame: Vec::new() };
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || serve(log, &Closing(theirs), notify))
            .map_err(Error::io("start the thread that writes", &shared.path))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Opens the journal of a run that was just created.
    ///
    /// # Errors
    /// As [`Writer::open`].
    pub fn create(
        run: &RunDir,
        ownership: &Ownership,
        notify: impl FnMut(Notice) + Send + 'static,
    ) -> Result<Self, Error> {
        let end = super::Reader::open(run)?.end();
        Self::open(run, ownership, &end, notify)
    }

    /// Queues `batch` and tells the sequence number of its last record (of the last one ever, if `batch` is
    /// empty). Never waits for the disk.
    ///
    /// # Errors
    /// The writer failed or was closed, or too much waits.
    pub fn append(&self, batch: Vec<(Millis, Event)>) -> Result<u64, Error> {
        let mut queue = self.shared.queue();
        if queue.is_closed {
            return Err(Error::Stopped { path: self.shared.path.clone() });
        }
        if queue.waiting.len() + batch.len() > limits::MAX_QUEUED_EVENTS {
            let (path, limit) = (self.shared.path.clone(), limits::MAX_QUEUED_EVENTS);
            return Err(Error::QueueFull { path, limit });
        }
        queue.last += batch.len() as u64;
        let last = queue.last;
        if queue.waiting.is_empty() {
            queue.waiting = batch;
        } else {
            queue.waiting.extend(batch);
        }
        drop(queue);
        self.shared.filled.notify_one();
        Ok(last)
    }

    /// How much was done so far.
    pub fn counters(&self) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            frames: read(&self.shared.frames),
            syncs: read(&self.shared.syncs),
            bytes: read(&self.shared.bytes),
            records: read(&self.shared.records),
        }
    }

    /// Writes what is queued, ends the thread, and tells what was done.
    pub fn close(mut self) -> Counters {
        self.finish();
        self.counters()
    }

    fn finish(&mut self) {
        self.shared.queue().is_closed = true;
        self.shared.filled.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic of `notify` was printed when it happened, and appends are refused since.
            drop(thread.join());
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Makes the file end with its last whole frame, everything before it durable.
fn settle(disk: &Disk, file: &File, path: &std::path::Path, end: &End) -> Result<Head, Error> {
    let now = file.metadata().map_err(Error::io("look at", path))?.len();
    if now != end.file_len {
        return Err(Error::malformed(path, "it changed after it was read"));
    }
    let mut last = end.last;
    if last.offset == 0 {
        // The run never began, and a power cut took even the header.
        disk.truncate(file, path, 0)?;
        disk.write_at(file, path, &format::file_header(), 0)?;
        last.offset = format::FILE_HEADER_LEN as u64;
        return Ok(last);
    }
    if end.file_len > last.offset {
        disk.truncate(file, path, last.offset)?;
    }
    let known = end.head.map_or(0, |head| head.offset);
    if known < last.offset || end.file_len > last.offset {
        rewrite(disk, file, path, (known, last.offset))?;
    }
    Ok(last)
}

/// Writes the bytes of a range again and syncs. After a failed sync the system may hold pages that it calls
/// clean and that never reached the disk; writing them again is the only way to know.
fn rewrite(disk: &Disk, file: &File, path: &std::path::Path, (from, to): (u64, u64)) -> Result<(), Error> {
    use std::os::unix::fs::FileExt as _;
    let mut buffer = vec![0; 1 << 20];
    let mut at = from;
    while at < to {
        let len = usize::try_from(to - at).unwrap_or(usize::MAX).min(buffer.len());
        file.read_exact_at(&mut buffer[..len], at).map_err(Error::io("read", path))?;
        disk.write_at(file, path, &buffer[..len], at)?;
        at += len as u64;
    }
    disk.sync(file, path)
}

/// The files and where they stand.
struct Log {
    disk: Disk,
    file: File,
    path: PathBuf,
    head: File,
    head_path: PathBuf,
    last: Head,
    /// How long the file is, with the zeros at its end; `None` once there is no room for them.
    reserved: Option<u64>,
    frame: Vec<u8>,
}

/// The thread: takes what is queued until the writer is closed or the disk refuses.
fn serve(mut log: Log, closing: &Closing, mut notify: impl FnMut(Notice)) {
    let shared = &closing.0;
    loop {
        let mut queue = shared.queue();
        while queue.waiting.is_empty() && !queue.is_closed {
            queue = shared.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let mut records = std::mem::take(&mut queue.waiting);
        drop(queue);
        if records.is_empty() {
            log.trim();
            return;
        }
        while !records.is_empty() {
            let first = log.last.sequence + 1;
            match log.write(&records, shared) {
                Ok(count) => {
                    let rest = records.split_off(count);
                    notify(Notice::Durable { first, records });
                    records = rest;
                }
                Err(error) => {
                    shared.queue().is_closed = true;
                    notify(Notice::Failed(error));
                    return;
                }
            }
        }
    }
}

impl Log {
    /// A journal without a name takes every write, and nobody will ever read it: its run was deleted under us.
    fn check_named(&self) -> Result<(), Error> {
        use std::os::unix::fs::MetadataExt as _;
        let links = self.file.metadata().map_err(Error::io("look at", &self.path))?.nlink();
        if links > 0 {
            return Ok(());
        }
        let gone = std::io::Error::new(std::io::ErrorKind::NotFound, "it was deleted while the engine ran");
        Err(Error::io("write", &self.path)(gone))
    }

    /// Lengthens the file with zeros when the frame that was just written has used them up. The sync of that frame
    /// is theirs too.
    fn reserve(&mut self) {
        let end = self.last.offset + self.frame.len() as u64;
        if self.reserved.is_some_and(|reserved| reserved < end) {
            let len = end.clamp(RESERVE_BYTES.0, RESERVE_BYTES.1);
            let is_done = self.disk.reserve(&self.file, &self.path, end, usize::try_from(len).unwrap_or(0));
            self.reserved = is_done.then_some(end + len);
        }
    }

    /// Takes the zeros away again. If that fails, or a power cut undoes it, the next writer does it.
    fn trim(&self) {
        drop(self.disk.truncate(&self.file, &self.path, self.last.offset));
    }

    /// Writes one frame of as many of `records` as fit, syncs, rewrites `head`; tells how many.
    fn write(&mut self, records: &[(Millis, Event)], shared: &Shared) -> Result<usize, Error> {
        self.frame.clear();
        let place = (self.last.sequence + 1, self.last.hash);
        let (count, hash) = format::encode_frame(&mut self.frame, place, records, FRAME_BYTES);
        if self.frame.len() > limits::MAX_FRAME_BYTES as usize {
            return Err(Error::malformed(&self.path, "an event is longer than limit `MAX_FRAME_BYTES`"));
        }
        self.disk.write_at(&self.file, &self.path, &self.frame, self.last.offset)?;
        self.reserve();
        self.disk.sync(&self.file, &self.path)?;
        self.check_named()?;
        let (bytes, records) = (self.frame.len() as u64, count as u64);
        self.last = Head { sequence: self.last.sequence + records, offset: self.last.offset + bytes, hash };
        self.disk.write_at(&self.head, &self.head_path, &self.last.encode(), 0)?;
        shared.frames.fetch_add(1, Ordering::Relaxed);
        shared.syncs.fetch_add(1, Ordering::Relaxed);
        shared.bytes.fetch_add(bytes, Ordering::Relaxed);
        shared.records.fetch_add(records, Ordering::Relaxed);
        // One huge frame should not hold its memory for the rest of the run.
        self.frame.shrink_to(FRAME_BYTES);
        Ok(count)
    }
}
