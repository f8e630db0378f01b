//! Events about workers and what they answer.

use super::tag;
use crate::base::Span;
use crate::journal::bytes::{Fault, Take, put_bytes, put_var};
use crate::journal::codes::Stored;
use crate::run::event::Event;

/// Whether it is one of them.
pub(super) const fn has(event: &Event) -> bool {
    matches!(
        event,
        Event::CrewHired { .. }
            | Event::CrewDismissed { .. }
            | Event::CrewGone { .. }
            | Event::WorkerLost { .. }
            | Event::ShardsFinished { .. }
    )
}

/// Appends the payload of one of them, and tells its tag.
pub(super) fn put(out: &mut Vec<u8>, event: &Event) -> u64 {
    match event {
        Event::CrewHired { node, count } => {
            node.put(out);
            put_var(out, u64::from(*count));
            tag::CREW_HIRED
        }
        Event::CrewDismissed { node, how } => {
            node.put(out);
            how.put(out);
            tag::CREW_DISMISSED
        }
        Event::CrewGone { node } => {
            node.put(out);
            tag::CREW_GONE
        }
        Event::WorkerLost { node, why, shards } => {
            node.put(out);
            put_bytes(out, why.as_bytes());
            put_var(out, shards.len() as u64);
            let mut last = 0;
            for shard in shards {
                put_var(out, u64::from(shard.wrapping_sub(last)));
                last = *shard;
            }
            tag::WORKER_LOST
        }
        Event::ShardsFinished { node, first, count, took } => {
            node.put(out);
            put_var(out, u64::from(*first));
            put_var(out, u64::from(*count));
            put_var(out, took.ms());
            tag::SHARDS_FINISHED
        }
        _ => unreachable!("`encode` gives only these here"),
    }
}

/// Reads the payload of a tag; none of a tag that nobody knows.
pub(super) fn take(tag: u64, from: &mut Take<'_>) -> Result<Option<Event>, Fault> {
    Ok(Some(match tag {
        tag::CREW_HIRED => Event::CrewHired { node: Stored::take(from)?, count: from.u32()? },
        tag::CREW_DISMISSED => Event::CrewDismissed { node: Stored::take(from)?, how: Stored::take(from)? },
        tag::CREW_GONE => Event::CrewGone { node: Stored::take(from)? },
        tag::WORKER_LOST => {
            let (node, why, count) = (Stored::take(from)?, from.text()?, from.count()?);
            let mut shards: Vec<u32> = Vec::with_capacity(count);
            for _ in 0..count {
                let last = shards.last().copied().unwrap_or(0);
                shards.push(last.wrapping_add(from.u32()?));
            }
            Event::WorkerLost { node, why, shards }
        }
        tag::SHARDS_FINISHED => {
            let node = Stored::take(from)?;
            let (first, count, took) = (from.u32()?, from.u32()?, Span::from_ms(from.var()?));
            first.checked_add(count).ok_or("a block of shards is out of range")?;
            Event::ShardsFinished { node, first, count, took }
        }
        _ => return Ok(None),
    }))
}
