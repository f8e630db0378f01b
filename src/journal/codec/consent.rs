//! Events about who agreed, and what an environment's policy lets happen.

use super::tag;
use crate::journal::bytes::{Fault, Take, put_bytes, put_zig};
use crate::journal::codes::Stored;
use crate::run::event::Event;

/// Whether it is one of them.
pub(super) const fn has(event: &Event) -> bool {
    matches!(
        event,
        Event::VoteCast { .. } | Event::GlassBroken { .. } | Event::FreezeBegan { .. } | Event::FreezeEnded
    )
}

/// Appends the payload of one of them, and tells its tag; none of another event.
pub(super) fn put(out: &mut Vec<u8>, event: &Event) -> Option<u64> {
    Some(match event {
        Event::VoteCast { node, vote } => {
            node.put(out);
            put_bytes(out, &serde_json::to_vec(vote).expect("a vote has plain fields only"));
            tag::VOTE_CAST
        }
        Event::GlassBroken { by, reason } => {
            put_bytes(out, by.as_bytes());
            put_bytes(out, reason.as_bytes());
            tag::GLASS_BROKEN
        }
        Event::FreezeBegan { until_ms, words } => {
            put_zig(out, *until_ms);
            put_bytes(out, words.as_bytes());
            tag::FREEZE_BEGAN
        }
        Event::FreezeEnded => tag::FREEZE_ENDED,
        _ => return None,
    })
}

/// Reads the payload of `tag`; nothing when it is none of theirs.
pub(super) fn take(tag: u64, from: &mut Take<'_>) -> Result<Option<Event>, Fault> {
    Ok(Some(match tag {
        tag::VOTE_CAST => {
            let node = Stored::take(from)?;
            let vote = serde_json::from_slice(from.bytes()?).map_err(|_| "a person's yes cannot be read")?;
            Event::VoteCast { node, vote }
        }
        tag::GLASS_BROKEN => Event::GlassBroken { by: from.text()?, reason: from.text()? },
        tag::FREEZE_BEGAN => Event::FreezeBegan { until_ms: from.zig()?, words: from.text()? },
        tag::FREEZE_ENDED => Event::FreezeEnded,
        _ => return Ok(None),
    }))
}
