//! Which process is which attempt: shared between the engine's loop and the threads that capture output.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::slates::Slate;
use crate::base::NodeIx;
use crate::exec::Key;
use crate::run::Attempt;
use crate::run::event::CheckKind;

/// What a process was started for.
#[derive(Debug)]
pub enum Purpose {
    /// An attempt.
    Attempt {
        /// Which.
        attempt: Attempt,
        /// The files that it was lent.
        slate: Slate,
        /// The folder it runs in.
        cwd: PathBuf,
    },
    /// A worker of a stage, and the name that its output goes by.
    Worker {
        /// Its name; its stage is in it.
        name: Attempt,
    },
    /// The answer to a question.
    Check {
        /// The stage.
        node: NodeIx,
        /// The shard.
        shard: u32,
        /// Which question.
        kind: CheckKind,
        /// The files that it was lent.
        slate: Slate,
    },
}

impl Purpose {
    fn is_check_of(&self, asked: (NodeIx, u32)) -> bool {
        matches!(self, Self::Check { node, shard, .. } if (*node, *shard) == asked)
    }
}

/// The processes that live, by the executor's key.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    last: u64,
    by_key: BTreeMap<Key, Purpose>,
    by_attempt: BTreeMap<Attempt, Key>,
}

impl Keys {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The maps are whole between statements, so a panic elsewhere cannot have left them half changed.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A key that was never used, for `purpose`.
    pub fn open(&self, purpose: Purpose) -> Key {
        let mut inner = self.lock();
        inner.last += 1;
        let key = Key(inner.last);
        if let Purpose::Attempt { attempt, .. } = &purpose {
            inner.by_attempt.insert(*attempt, key);
        }
        inner.by_key.insert(key, purpose);
        key
    }

    /// The process of an attempt, while it lives.
    pub fn of(&self, attempt: Attempt) -> Option<Key> {
        self.lock().by_attempt.get(&attempt).copied()
    }

    /// The attempt a process belongs to.
    pub fn attempt(&self, key: Key) -> Option<Attempt> {
        match self.lock().by_key.get(&key) {
            Some(Purpose::Attempt { attempt, .. } | Purpose::Worker { name: attempt }) => Some(*attempt),
            _ => None,
        }
    }

    /// The process that answers a question, while it lives.
    pub fn check(&self, node: NodeIx, shard: u32) -> Option<Key> {
        let inner = self.lock();
        let mut all = inner.by_key.iter();
        all.find(|(_, purpose)| purpose.is_check_of((node, shard))).map(|(&key, _)| key)
    }

    /// Every process that answers a question.
    pub fn checks(&self) -> Vec<Key> {
        let inner = self.lock();
        inner.by_key.iter().filter(|(_, it)| matches!(it, Purpose::Check { .. })).map(|(&key, _)| key).collect()
    }

    /// Forgets a process that ended.
    pub fn close(&self, key: Key) -> Option<Purpose> {
        let mut inner = self.lock();
        let purpose = inner.by_key.remove(&key)?;
        if let Purpose::Attempt { attempt, .. } = &purpose {
            inner.by_attempt.remove(attempt);
        }
        Some(purpose)
    }
}
