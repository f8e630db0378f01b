//! What an attempt left, as events hold it.

use serde::{Deserialize, Serialize};

use super::ShardResult;

/// What an attempt left, without any room for it where that is nothing: a run may have a million shards whose ends are
/// held at once.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(from = "ShardResult", into = "ShardResult")]
pub struct Left(Option<Box<ShardResult>>);

impl Left {
    const NOTHING: ShardResult = ShardResult {
        output: None,
        outputs: Vec::new(),
        artifacts: None,
        digest: None,
        cpu_us: 0,
        max_rss_kib: 0,
        notes: Vec::new(),
        never_ran: false,
    };
}

impl std::ops::Deref for Left {
    type Target = ShardResult;

    fn deref(&self) -> &ShardResult {
        static NOTHING: ShardResult = Left::NOTHING;
        self.0.as_deref().unwrap_or(&NOTHING)
    }
}

impl From<Box<ShardResult>> for Left {
    fn from(result: Box<ShardResult>) -> Self {
        Self(Some(result).filter(|result| **result != Self::NOTHING))
    }
}

impl From<ShardResult> for Left {
    fn from(result: ShardResult) -> Self {
        if result == Self::NOTHING { Self(None) } else { Self(Some(Box::new(result))) }
    }
}

impl From<Left> for ShardResult {
    fn from(left: Left) -> Self {
        left.0.map_or(Left::NOTHING, |result| *result)
    }
}
