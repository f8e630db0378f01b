//! Appends to a journal, and waits for the disk on a thread of its own.
//!
//! [`Writer::append`] writes its batch at once as a frame (more, one after another, when it is very much), so that
//! whatever ends this process alone forgets nothing. The thread waits for the disk, rewrites `head`, and only then
//! says [`Notice::Durable`]. While it waits, frames collect, and the next wait is for all of them; each says how
//! much before it was not on the disk yet. What was only [stored](Writer::store), because nobody waits for it,
//! shares the next wait that somebody asks for, or has its own after [`LINGER`].
//!
//! A failed write or sync is final. Nothing behind the last sync is acknowledged, later appends are refused, and the
//! error is reported once.

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::disk::Disk;
use super::format::{self, Head};
use super::{End, Error, Ownership, RunDir};
use crate::base::{Millis, limits};
use crate::run::Event;

/// How long a record that nobody waits for may be without a sync of its own: some eighty ends of short stages share
/// one, and nobody sees that what is shown comes so much later.
pub(super) const LINGER: Duration = Duration::from_millis(40);

/// A frame is closed once its events take so many bytes, so that readers stay small.
const FRAME_BYTES: usize = 4 << 20;

/// Bytes kept ready behind the last frame: at least, and at most. A sync that finds the file as long as it was writes
/// the bytes alone; one that finds it longer writes its inode too, for half as long again.
const RESERVE_BYTES: (u64, u64) = (1 << 10, 256 << 10);
/// They end where a block of the disk does: a run of one stage has one block, and gives none back at its end.
const BLOCK_BYTES: u64 = 4 << 10;

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
    log: Log,
    /// Records that were written and not synced.
    waiting: Vec<(Millis, Event)>,
    /// How many others the disk is waited for.
    syncing: usize,
    /// Somebody waits for them.
    is_awaited: bool,
    /// What the thread does.
    rest: Rest,
    /// Nothing more is accepted.
    is_closed: bool,
    /// Why nothing more can be written, until that was said.
    failure: Option<Error>,
}

/// What the thread does, and so whether it must be woken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rest {
    /// It works, and looks again before it sleeps.
    Busy,
    /// It waits for records.
    Asleep,
    /// It lets records wait that nobody waits for.
    Lingers,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // What counts changes in one step, once a frame is written, so no panic leaves it half changed.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the thread if it has to do something now.
    fn tell(&self, mut queue: MutexGuard<'_, Queue>) {
        let must_hear = match queue.rest {
            Rest::Busy => false,
            Rest::Asleep => !queue.waiting.is_empty() || queue.is_closed,
            Rest::Lingers => queue.is_awaited || queue.is_closed,
        };
        if must_hear {
            queue.rest = Rest::Busy;
            drop(queue);
            self.filled.notify_one();
        }
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
    /// made durable first. `notify` is called on the writer's thread. Only a type that cannot be had without the lock
    /// proves that nobody else writes.
    ///
    /// # Errors
    /// The journal holds events of a newer engine, changed since it was read, or the disk refuses.
    pub fn open(
        run: &RunDir,
        ownership: &Ownership,
        end: &End,
        notify: impl FnMut(Notice) + Send + 'static,
    ) -> Result<Self, Error> {
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
        let file = Arc::new(file);
        let unnamed = ownership.unnamed().to_vec();
        let anchor = Anchor { disk: disk.clone(), file: Arc::clone(&file), head, head_path, unnamed };
        let log = Log { disk, file, path: path.clone(), last, reserved: Some(last.offset), frame: Vec::new() };
        let queue = Queue {
            log,
            waiting: Vec::new(),
            syncing: 0,
            is_awaited: false,
            rest: Rest::Busy,
            is_closed: false,
            failure: None,
        };
        let shared = Arc::new(Shared {
            queue: Mutex::new(queue),
            filled: Condvar::new(),
            path,
            frames: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            records: AtomicU64::new(0),
        });
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || serve(&anchor, &Closing(theirs), notify))
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

    /// Writes `batch`, asks for a wait for the disk, and tells the sequence number of its last record (of the last one
    /// ever, if `batch` is empty). Never waits for the disk itself.
    ///
    /// # Errors
    /// The writer failed or was closed, or too much waits. A write that fails is reported as [`Notice::Failed`].
    pub fn append(&self, batch: Vec<(Millis, Event)>) -> Result<u64, Error> {
        self.take(batch, true)
    }

    /// As [`Writer::append`] for records that nobody waits for: they are durable with the next ones that somebody
    /// waits for, after [`Writer::hurry`], or [`LINGER`] later.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub fn store(&self, batch: Vec<(Millis, Event)>) -> Result<u64, Error> {
        self.take(batch, false)
    }

    /// Somebody waits for what was stored.
    pub fn hurry(&self) {
        let mut queue = self.shared.queue();
        queue.is_awaited |= !queue.waiting.is_empty();
        self.shared.tell(queue);
    }

    fn take(&self, batch: Vec<(Millis, Event)>, is_awaited: bool) -> Result<u64, Error> {
        let mut queue = self.shared.queue();
        if queue.is_closed {
            return Err(Error::Stopped { path: self.shared.path.clone() });
        }
        if queue.waiting.len() + batch.len() > limits::MAX_QUEUED_EVENTS {
            let (path, limit) = (self.shared.path.clone(), limits::MAX_QUEUED_EVENTS);
            return Err(Error::QueueFull { path, limit });
        }
        let last = queue.log.last.sequence + batch.len() as u64;
        queue.write(batch, &self.shared);
        queue.is_awaited |= is_awaited && !queue.waiting.is_empty();
        self.shared.tell(queue);
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

    /// Makes durable what was written, ends the thread, and tells what was done.
    pub fn close(mut self) -> Counters {
        self.finish();
        self.counters()
    }

    fn finish(&mut self) {
        let mut queue = self.shared.queue();
        queue.is_closed = true;
        self.shared.tell(queue);
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

/// The thread: waits for the disk until the writer is closed or the disk refuses.
fn serve(anchor: &Anchor, closing: &Closing, mut notify: impl FnMut(Notice)) {
    let shared = &closing.0;
    // While the engine makes itself ready, and not when the first record waits.
    let mut named = anchor.name();
    loop {
        let mut queue = linger(shared);
        if let Some(error) = queue.failure.take() {
            drop(queue);
            return notify(Notice::Failed(error));
        }
        let records = std::mem::take(&mut queue.waiting);
        queue.is_awaited = false;
        let last = queue.log.last;
        if records.is_empty() {
            return queue.log.trim();
        }
        queue.syncing = records.len();
        drop(queue);
        let first = last.sequence + 1 - records.len() as u64;
        match std::mem::replace(&mut named, Ok(())).and_then(|()| anchor.settle(last, &shared.path)) {
            Ok(()) => {
                shared.queue().syncing = 0;
                shared.syncs.fetch_add(1, Ordering::Relaxed);
                shared.records.fetch_add(records.len() as u64, Ordering::Relaxed);
                notify(Notice::Durable { first, records });
            }
            Err(error) => {
                shared.queue().is_closed = true;
                return notify(Notice::Failed(error));
            }
        }
    }
}

/// Waits until there is something to sync that somebody waits for or that has waited long enough, or until no more
/// will come.
fn linger(shared: &Shared) -> MutexGuard<'_, Queue> {
    let mut queue = shared.queue();
    while queue.waiting.is_empty() && queue.failure.is_none() && !queue.is_closed {
        queue.rest = Rest::Asleep;
        queue = shared.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
    }
    queue.rest = Rest::Lingers;
    let nobody_waits = |queue: &mut Queue| !queue.is_awaited && !queue.is_closed;
    let waited = shared.filled.wait_timeout_while(queue, LINGER, nobody_waits);
    let mut queue = waited.unwrap_or_else(PoisonError::into_inner).0;
    queue.rest = Rest::Busy;
    queue
}

impl Queue {
    /// Writes `batch` as one frame, or as more when it is very much.
    fn write(&mut self, batch: Vec<(Millis, Event)>, shared: &Shared) {
        let mut written = 0;
        while written < batch.len() {
            let lag = self.syncing + self.waiting.len() + written;
            match self.log.write(&batch[written..], lag, shared) {
                Ok(count) => written += count,
                Err(error) => {
                    self.is_closed = true;
                    self.failure = Some(error);
                    return;
                }
            }
        }
        if self.waiting.is_empty() {
            self.waiting = batch;
        } else {
            self.waiting.extend(batch);
        }
    }
}

/// What the thread needs to make frames durable.
struct Anchor {
    disk: Disk,
    file: Arc<File>,
    head: File,
    head_path: PathBuf,
    /// Folders that name a run which was just made.
    unnamed: Vec<PathBuf>,
}

impl Anchor {
    /// Waits until the name of a new run is on the disk.
    fn name(&self) -> Result<(), Error> {
        self.unnamed.iter().try_for_each(|folder| self.disk.sync_dir(folder))
    }

    /// Waits until everything up to `last` is on the disk, and says so in `head`.
    fn settle(&self, last: Head, path: &std::path::Path) -> Result<(), Error> {
        self.disk.sync(&self.file, path)?;
        self.check_named(path)?;
        self.disk.write_at(&self.head, &self.head_path, &last.encode(), 0)
    }

    /// A journal without a name takes every write, and nobody will ever read it: its run was deleted under us.
    fn check_named(&self, path: &std::path::Path) -> Result<(), Error> {
        use std::os::unix::fs::MetadataExt as _;
        let links = self.file.metadata().map_err(Error::io("look at", path))?.nlink();
        if links > 0 {
            return Ok(());
        }
        let gone = std::io::Error::new(std::io::ErrorKind::NotFound, "it was deleted while the engine ran");
        Err(Error::io("write", path)(gone))
    }
}

/// The file and where it stands.
#[derive(Debug)]
struct Log {
    disk: Disk,
    file: Arc<File>,
    path: PathBuf,
    /// The last frame that was written.
    last: Head,
    /// How long the file is, with the zeros at its end; `None` once there is no room for them.
    reserved: Option<u64>,
    frame: Vec<u8>,
}

impl Log {
    /// Lengthens the file with zeros when the frame that was just written has used them up. The next sync is
    /// theirs too.
    fn reserve(&mut self) {
        let end = self.last.offset;
        if self.reserved.is_some_and(|reserved| reserved < end) {
            let until = (end + end.clamp(RESERVE_BYTES.0, RESERVE_BYTES.1)).next_multiple_of(BLOCK_BYTES);
            let len = usize::try_from(until - end).unwrap_or(0);
            let is_done = self.disk.reserve(&self.file, &self.path, end, len);
            self.reserved = is_done.then_some(until);
        }
    }

    /// Takes the zeros away again. If that fails, or a power cut undoes it, the next writer does it.
    fn trim(&self) {
        drop(self.disk.truncate(&self.file, &self.path, self.last.offset));
    }

    /// Writes one frame of as many of `records` as fit; tells how many. The `lag` is how many before it may not be on
    /// the disk.
    fn write(&mut self, records: &[(Millis, Event)], lag: usize, shared: &Shared) -> Result<usize, Error> {
        self.frame.clear();
        let place = (self.last.sequence + 1, self.last.hash);
        let (count, hash) = format::encode_frame(&mut self.frame, place, lag, (records, FRAME_BYTES));
        if self.frame.len() > limits::MAX_FRAME_BYTES as usize {
            return Err(Error::malformed(&self.path, "an event is longer than limit `MAX_FRAME_BYTES`"));
        }
        self.disk.write_at(&self.file, &self.path, &self.frame, self.last.offset)?;
        let bytes = self.frame.len() as u64;
        self.last = Head { sequence: self.last.sequence + count as u64, offset: self.last.offset + bytes, hash };
        self.reserve();
        shared.frames.fetch_add(1, Ordering::Relaxed);
        shared.bytes.fetch_add(bytes, Ordering::Relaxed);
        // One huge frame should not hold its memory for the rest of the run.
        self.frame.shrink_to(FRAME_BYTES);
        Ok(count)
    }
}
