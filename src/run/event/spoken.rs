//! Which facts are a person's words.

use super::{CancelReason, Event};

impl Event {
    /// Whether a person said it: then it may be recorded while no engine works on the run, and says nothing about
    /// until when one did.
    pub const fn is_spoken(&self) -> bool {
        match self {
            Self::CancelRaised { why, .. } => matches!(why, CancelReason::Person | CancelReason::Rollback),
            Self::GateDecided { .. }
            | Self::VoteCast { .. }
            | Self::GlassBroken { .. }
            | Self::NodeResolved { .. }
            | Self::BackgroundRequeued { .. }
            | Self::PauseChanged { .. } => true,
            _ => false,
        }
    }
}
