//! What few nodes have is kept apart from the node: a plan may have a hundred thousand stages, and all that some stage may
//! say takes twice the room of what most of them do. A node without any of it reads one empty set that all such nodes share;
//! to write to it makes one of its own.

use std::ops::{Deref, DerefMut};

use super::model::{MoreNode, Node};
use super::rules::{MoreRules, Rules};
use super::work::{MoreProcess, Process};
use crate::base::Span;
use crate::plan::model::AllowFailure;

static NO_NODE: MoreNode = MoreNode {
    description: None,
    cell: None,
    views: Vec::new(),
    conditions: Vec::new(),
    undoes: None,
    heals: None,
    retired: None,
};

static NO_RULES: MoreRules = MoreRules {
    consent: None,
    hold: None,
    waives_late: false,
    is_hosted: false,
    idle: None,
    queue: None,
    allow_failure: AllowFailure::No,
    work: None,
    cool_down: Span::ZERO,
};

static NO_PROCESS: MoreProcess = MoreProcess {
    pass_env: Vec::new(),
    secrets: Vec::new(),
    cwd: None,
    artifacts: Vec::new(),
    cache: None,
    done_if: None,
};

impl Deref for Node {
    type Target = MoreNode;

    fn deref(&self) -> &MoreNode {
        self.more.as_deref().unwrap_or(&NO_NODE)
    }
}

impl DerefMut for Node {
    fn deref_mut(&mut self) -> &mut MoreNode {
        self.more.get_or_insert_default()
    }
}

impl Deref for Rules {
    type Target = MoreRules;

    fn deref(&self) -> &MoreRules {
        self.more.as_deref().unwrap_or(&NO_RULES)
    }
}

impl DerefMut for Rules {
    fn deref_mut(&mut self) -> &mut MoreRules {
        self.more.get_or_insert_default()
    }
}

impl Deref for Process {
    type Target = MoreProcess;

    fn deref(&self) -> &MoreProcess {
        self.more.as_deref().unwrap_or(&NO_PROCESS)
    }
}

impl DerefMut for Process {
    fn deref_mut(&mut self) -> &mut MoreProcess {
        self.more.get_or_insert_default()
    }
}
