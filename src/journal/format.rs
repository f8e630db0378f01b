//! The layout of `journal` and `head`. `docs/journal-format.md` is the specification.

use super::bytes::Take;
use super::codec::{self, Context, Decoded};
use crate::base::{Digest, Millis, limits};
use crate::run::Event;

/// First bytes of a journal.
const MAGIC: &[u8; 8] = b"ENGINE\x1aJ";
/// First bytes of a frame.
const FRAME_MAGIC: &[u8; 4] = b"\xf5FRM";
/// First bytes of `head`.
const HEAD_MAGIC: &[u8; 8] = b"ENGINE\x1aH";
/// Readers refuse another major version.
pub const MAJOR: u16 = 1;
/// Readers accept any minor version.
pub const MINOR: u16 = 0;
/// Bytes of the file's own header.
pub(super) const FILE_HEADER_LEN: usize = 16;
/// Bytes of a frame's header.
pub(super) const FRAME_HEADER_LEN: usize = 32;
/// From this bit of a frame's time on stands how many of the events right before the frame were not on the disk when it
/// was written. Times stay far below (34 years), and a reader that does not know of it takes the first event's
/// difference from the sum all the same.
const LAG_SHIFT: u32 = 40;
/// Bytes of the hash that ends a frame.
pub(super) const HASH_LEN: usize = 32;
/// Bytes of `head`.
pub(super) const HEAD_LEN: usize = 60;

/// The header of a new journal.
pub(super) fn file_header() -> [u8; FILE_HEADER_LEN] {
    let mut out = [0; FILE_HEADER_LEN];
    out[..8].copy_from_slice(MAGIC);
    out[8..10].copy_from_slice(&MAJOR.to_le_bytes());
    out[10..12].copy_from_slice(&MINOR.to_le_bytes());
    let crc = crc32c::crc32c(&out[..12]);
    out[12..].copy_from_slice(&crc.to_le_bytes());
    out
}

/// The major version of a journal that begins with `bytes`; `None` when this is no journal's header.
pub(super) fn file_version(bytes: &[u8; FILE_HEADER_LEN]) -> Option<u16> {
    let is_whole = bytes[..8] == *MAGIC && crc32c::crc32c(&bytes[..12]) == u32_at(bytes, 12);
    is_whole.then(|| u16::from_le_bytes([bytes[8], bytes[9]]))
}

/// The hash that the first frame continues: that of the file's header.
pub(super) fn genesis(header: &[u8; FILE_HEADER_LEN]) -> Digest {
    Digest::of(header)
}

/// What stands before a frame's events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FrameHeader {
    /// Bytes of events.
    pub(super) len: u32,
    /// Sequence number of the first event.
    pub(super) first: u64,
    /// How many events.
    pub(super) count: u32,
    /// Time that the first event's is a difference to, with the lag from [`LAG_SHIFT`] on.
    pub(super) at: Millis,
}

impl FrameHeader {
    pub(super) fn encode(self) -> [u8; FRAME_HEADER_LEN] {
        let mut out = [0; FRAME_HEADER_LEN];
        out[..4].copy_from_slice(FRAME_MAGIC);
        out[4..8].copy_from_slice(&self.len.to_le_bytes());
        out[8..16].copy_from_slice(&self.first.to_le_bytes());
        out[16..20].copy_from_slice(&self.count.to_le_bytes());
        out[20..28].copy_from_slice(&self.at.raw().to_le_bytes());
        let crc = crc32c::crc32c(&out[..28]);
        out[28..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// `None` when `bytes` are not a whole header.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; FRAME_HEADER_LEN] = bytes.get(..FRAME_HEADER_LEN)?.try_into().ok()?;
        let is_whole = bytes[..4] == *FRAME_MAGIC && crc32c::crc32c(&bytes[..28]) == u32_at(bytes, 28);
        is_whole.then(|| Self {
            len: u32_at(bytes, 4),
            first: u64_at(bytes, 8),
            count: u32_at(bytes, 16),
            at: Millis::new(u64_at(bytes, 20)),
        })
    }

    /// Sequence number of the last event that was on the disk when the frame was written.
    fn durable(&self) -> u64 {
        self.first.saturating_sub(1).saturating_sub(self.at.raw() >> LAG_SHIFT)
    }
}

/// Whether a whole header stands anywhere in `bytes` of a frame that was written when `event` was on the disk.
pub(super) fn has_later_frame(bytes: &[u8], event: u64) -> bool {
    let mut rest = bytes;
    while let Some(at) = rest.windows(FRAME_MAGIC.len()).position(|window| window == FRAME_MAGIC) {
        if FrameHeader::decode(&rest[at..]).is_some_and(|header| header.durable() >= event) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

/// The hash of a frame: over the hash before it, its header and its events.
pub(super) fn chain(previous: Digest, header: &[u8], events: &[u8]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(previous.as_bytes()).update(header).update(events);
    hasher.finalize().into()
}

/// Appends one frame made of as many of `records` as fit into `max` bytes of events, at least one; tells how
/// many, and the frame's hash. The `lag` is how many of the events before it may not be on the disk.
pub(super) fn encode_frame(
    out: &mut Vec<u8>,
    (first, previous): (u64, Digest),
    lag: usize,
    (records, max): (&[(Millis, Event)], usize),
) -> (usize, Digest) {
    let at = records.first().map_or(Millis::ZERO, |(at, _)| *at);
    let at = Millis::new(at.raw() | (lag as u64) << LAG_SHIFT);
    let mut context = Context::starting(at);
    let begin = out.len();
    out.resize(begin + FRAME_HEADER_LEN, 0);
    let body = out.len();
    let mut count = 0;
    for (at, event) in records {
        codec::encode(out, &mut context, *at, event);
        count += 1;
        if out.len() - body >= max {
            break;
        }
    }
    let len = u32::try_from(out.len() - body).unwrap_or(u32::MAX);
    let header = FrameHeader { len, first, count: u32::try_from(count).unwrap_or(u32::MAX), at }.encode();
    out[begin..body].copy_from_slice(&header);
    let hash = chain(previous, &header, &out[body..]);
    out.extend_from_slice(hash.as_bytes());
    (count, hash)
}

/// Reads the events of a frame and hands each to `each`; the fault, if they are not what the header says.
pub(super) fn decode_events(
    header: FrameHeader,
    events: &[u8],
    each: &mut dyn FnMut(u64, Millis, Decoded),
) -> Result<(), &'static str> {
    let mut context = Context::starting(header.at);
    let mut from = Take::new(events);
    for sequence in (header.first..).take(header.count as usize) {
        let (at, event) = codec::decode(&mut from, &mut context)?;
        each(sequence, at, event);
    }
    if from.is_empty() { Ok(()) } else { Err("bytes follow the last event") }
}

// Twice what may wait is the most that is ever not on the disk: what is being synced, and what collects meanwhile.
const _: () = assert!((2 * limits::MAX_QUEUED_EVENTS as u64) < 1 << (u64::BITS - LAG_SHIFT));

/// How far the journal is known to be durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Sequence number of the last event.
    pub sequence: u64,
    /// Where its frame ends.
    pub offset: u64,
    /// The chain's hash there.
    pub hash: Digest,
}

impl Head {
    pub(super) fn encode(&self) -> [u8; HEAD_LEN] {
        let mut out = [0; HEAD_LEN];
        out[..8].copy_from_slice(HEAD_MAGIC);
        out[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        out[16..24].copy_from_slice(&self.offset.to_le_bytes());
        out[24..56].copy_from_slice(self.hash.as_bytes());
        let crc = crc32c::crc32c(&out[..56]);
        out[56..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEAD_LEN] = bytes.try_into().ok()?;
        let is_whole = bytes[..8] == *HEAD_MAGIC && crc32c::crc32c(&bytes[..56]) == u32_at(bytes, 56);
        let hash = Digest::from_bytes(bytes[24..56].try_into().ok()?);
        is_whole.then(|| Self { sequence: u64_at(bytes, 8), offset: u64_at(bytes, 16), hash })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes are four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes are eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::NodeIx;

    fn frame(first: u64, lag: usize) -> Vec<u8> {
        let record = (Millis::new(7), Event::NodeAdmitted { node: NodeIx::new(0) });
        let mut out = Vec::new();
        encode_frame(&mut out, (first, Digest::of(b"")), lag, (&[record], usize::MAX));
        out
    }

    #[test]
    fn a_frame_vouches_for_what_was_on_the_disk_when_it_was_written_and_for_nothing_else() {
        let vouches = |first, lag, event| has_later_frame(&frame(first, lag), event);
        assert!(vouches(9, 0, 8) && !vouches(9, 0, 9));
        assert!(vouches(9, 3, 5) && !vouches(9, 3, 6));
        assert!(!vouches(9, 8, 1) && !vouches(9, 2 * limits::MAX_QUEUED_EVENTS, 1));
    }

    #[test]
    fn a_lag_changes_no_time() {
        for lag in [0, 1, 2 * limits::MAX_QUEUED_EVENTS] {
            let bytes = frame(1, lag);
            let header = FrameHeader::decode(&bytes).expect("a header");
            let events = &bytes[FRAME_HEADER_LEN..bytes.len() - HASH_LEN];
            let mut times = Vec::new();
            decode_events(header, events, &mut |_, at, _| times.push(at)).expect("events");
            assert_eq!(times, [Millis::new(7)]);
        }
    }
}
