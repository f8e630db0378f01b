//! A journal without a disk, for hosts that simulate: the caller decides when what was appended becomes
//! durable, and when it is lost.

use super::format::{self, FILE_HEADER_LEN};
use super::{Notice, Record};
use crate::base::{Digest, Millis};
use crate::run::Event;

/// Appended records, and the durable ones among them. Holds real frames, so that whatever passes through
/// it was encoded and decoded.
#[derive(Debug)]
pub struct Memory {
    waiting: Vec<(Millis, Event)>,
    frames: Vec<u8>,
    sequence: u64,
    hash: Digest,
    syncs: u64,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// An empty journal.
    pub fn new() -> Self {
        let header: [u8; FILE_HEADER_LEN] = format::file_header();
        let hash = format::genesis(&header);
        Self { waiting: Vec::new(), frames: Vec::new(), sequence: 0, hash, syncs: 0 }
    }

    /// Queues `batch` and tells the sequence number of its last record.
    pub fn append(&mut self, batch: Vec<(Millis, Event)>) -> u64 {
        self.waiting.extend(batch);
        self.sequence + self.waiting.len() as u64
    }

    /// Makes all that is queued durable, as one frame; `None` when nothing was queued.
    pub fn sync(&mut self) -> Option<Notice> {
        if self.waiting.is_empty() {
            return None;
        }
        let first = self.sequence + 1;
        let records = std::mem::take(&mut self.waiting);
        let (count, hash) = format::encode_frame(&mut self.frames, (first, self.hash), 0, (&records, usize::MAX));
        self.sequence += count as u64;
        self.hash = hash;
        self.syncs += 1;
        Some(Notice::Durable { first, records })
    }

    /// Forgets what is queued, as a crash would.
    pub fn crash(&mut self) {
        self.waiting.clear();
    }

    /// The durable records, decoded from their frames.
    pub fn records(&self) -> Vec<Record> {
        let mut records = Vec::new();
        let mut rest = self.frames.as_slice();
        while let Some(header) = format::FrameHeader::decode(rest) {
            let body = &rest[format::FRAME_HEADER_LEN..];
            let (events, after) = body.split_at(header.len as usize);
            format::decode_events(header, events, &mut |sequence, at, event| {
                if let super::codec::Decoded::Known(event) = event {
                    records.push((sequence, at, event));
                }
            })
            .expect("this process wrote the frame");
            rest = &after[format::HASH_LEN..];
        }
        records
    }

    /// The frames, as a file would hold them after its header.
    pub fn bytes(&self) -> &[u8] {
        &self.frames
    }

    /// Sequence number of the last durable record.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// How often something was made durable.
    pub const fn syncs(&self) -> u64 {
        self.syncs
    }
}
