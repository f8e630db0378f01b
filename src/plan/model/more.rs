//! Keys that few stages have are kept apart from the stage: a plan may have a hundred thousand stages, and all
//! keys together take six times the room of those that most of them write. A stage without any of them reads one
//! empty set that all such stages share.

use std::ops::{Deref, DerefMut};

use super::{AllowFailure, Body, Common, MoreCommon, MoreStage, Need, Stage, Terms};
use crate::base::Text;
use crate::plan::source::Spanned;

static NO_COMMON: MoreCommon = MoreCommon {
    idle_timeout: None,
    queue_timeout: None,
    stop: None,
    retry: None,
    shell: None,
    pass_env: Vec::new(),
    cwd: None,
};

static NO_STAGE: MoreStage = MoreStage {
    description: None,
    group: None,
    background: None,
    condition: None,
    pools: Vec::new(),
    allow_failure: AllowFailure::No,
    idempotent: None,
    done_if: None,
    lifetime: None,
    outputs: Vec::new(),
    artifacts: Vec::new(),
    cache: None,
    matrix: None,
    shards: None,
    on_failure: None,
    secrets: Vec::new(),
    slo: None,
    rollback: None,
    heal: Vec::new(),
};

static NO_TERMS: Terms = Terms { accept: None, same: Vec::new() };

impl Stage {
    /// A stage without anything but its id and what it does.
    pub fn new(id: Spanned<Text>, body: Body) -> Self {
        Self { id, needs: Vec::new(), body, common: Common::default(), more: None }
    }
}

impl Need {
    /// What it asks for.
    pub fn terms(&self) -> &Terms {
        self.terms.as_deref().unwrap_or(&NO_TERMS)
    }
}

impl Deref for Common {
    type Target = MoreCommon;

    fn deref(&self) -> &MoreCommon {
        self.more.as_deref().unwrap_or(&NO_COMMON)
    }
}

impl DerefMut for Common {
    fn deref_mut(&mut self) -> &mut MoreCommon {
        self.more.get_or_insert_default()
    }
}

impl Deref for Stage {
    type Target = MoreStage;

    fn deref(&self) -> &MoreStage {
        self.more.as_deref().unwrap_or(&NO_STAGE)
    }
}

impl DerefMut for Stage {
    fn deref_mut(&mut self) -> &mut MoreStage {
        self.more.get_or_insert_default()
    }
}
