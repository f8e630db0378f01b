//! Events of background work.

use super::tag;
use crate::journal::bytes::{Fault, Take, put_bytes};
use crate::journal::codes::Stored;
use crate::run::event::Event;

/// Whether it is one of them.
pub(super) const fn has(event: &Event) -> bool {
    matches!(
        event,
        Event::BackgroundReleased { .. }
            | Event::ForegroundEnded { .. }
            | Event::BackgroundLeft { .. }
            | Event::BackgroundRequeued { .. }
    )
}

/// Appends the payload of one of them, and tells its tag; none of another event.
pub(super) fn put(out: &mut Vec<u8>, event: &Event) -> Option<u64> {
    Some(match event {
        Event::BackgroundReleased { node } => {
            node.put(out);
            tag::BACKGROUND_RELEASED
        }
        Event::ForegroundEnded { verdict } => {
            put_bytes(out, &serde_json::to_vec(verdict).expect("a verdict has plain fields only"));
            tag::FOREGROUND_ENDED
        }
        Event::BackgroundLeft { how, by } => {
            how.put(out);
            put_bytes(out, by.as_bytes());
            tag::BACKGROUND_LEFT
        }
        Event::BackgroundRequeued { node, by } => {
            node.put(out);
            put_bytes(out, by.as_bytes());
            tag::BACKGROUND_REQUEUED
        }
        _ => return None,
    })
}

/// Reads the payload of `tag`; nothing when it is none of theirs.
pub(super) fn take(tag: u64, from: &mut Take<'_>) -> Result<Option<Event>, Fault> {
    Ok(Some(match tag {
        tag::BACKGROUND_RELEASED => Event::BackgroundReleased { node: Stored::take(from)? },
        tag::FOREGROUND_ENDED => {
            let verdict = serde_json::from_slice(from.bytes()?).map_err(|_| "a verdict cannot be read")?;
            Event::ForegroundEnded { verdict }
        }
        tag::BACKGROUND_LEFT => Event::BackgroundLeft { how: Stored::take(from)?, by: from.text()? },
        tag::BACKGROUND_REQUEUED => Event::BackgroundRequeued { node: Stored::take(from)?, by: from.text()? },
        _ => return Ok(None),
    }))
}
