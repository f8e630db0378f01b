//! Is a run whole, in order, unaltered? Reads everything and trusts nothing.

use super::reader::{Reader, Step, Tail};
use super::{Error, RunDir, snapshot};
use crate::base::Digest;
use crate::run::Event;

/// What was found.
#[derive(Debug)]
pub struct Verified {
    /// The chain's hash after the last whole frame: equal for equal journals.
    pub chain: Digest,
    /// Events in whole frames.
    pub events: u64,
    /// Bytes of whole frames and the file's header.
    pub bytes: u64,
    /// Files of the plan's versions that are as recorded.
    pub files: u64,
    /// What stands at the journal's end.
    pub tail: Tail,
    /// Sequence number and tag of the first event of a newer engine.
    pub unknown: Option<(u64, u64)>,
    /// Whether `head` is there and readable; it is rebuilt by the next engine if not.
    pub has_head: bool,
    /// Every fault, the journal's first. Empty means whole.
    pub damage: Vec<Error>,
}

impl Verified {
    /// Whether nothing is wrong.
    pub const fn is_whole(&self) -> bool {
        self.damage.is_empty()
    }
}

/// Checks the journal and every version of the plan of `run`.
///
/// # Errors
/// The journal cannot be opened, or has another major version. Damage is no error here but a finding.
pub fn verify(run: &RunDir) -> Result<Verified, Error> {
    let mut damage = Vec::new();
    let mut recorded = snapshot::Recorded::default();
    let mut has_begun = false;
    let mut reader = match Reader::open(run) {
        Ok(reader) => reader,
        Err(error) if error.is_damage() => return Ok(hopeless(error)),
        Err(error) => return Err(error),
    };
    let tail = loop {
        let step = reader.next_frame(&mut |_, _, event| {
            has_begun |= matches!(event, Event::RunBegan(_));
            recorded.hear(&event);
        });
        match step {
            Ok(Step::Frame) => {}
            Ok(Step::End(tail)) => break tail,
            Err(error) if error.is_damage() => {
                damage.push(error);
                break Tail::Whole;
            }
            Err(error) => return Err(error),
        }
    };
    let mut good = 0;
    if has_begun {
        for version in snapshot::versions(run)? {
            damage.extend(snapshot::check(run, version, &recorded, &mut |_, _| good += 1));
        }
        if !run.plan_path(1).is_dir() {
            damage.push(Error::damage(&run.plan_path(1), 0, "the plan's snapshot is missing"));
        }
    }
    let end = reader.end();
    Ok(Verified {
        chain: end.last.hash,
        events: end.last.sequence,
        bytes: end.last.offset,
        files: good,
        tail,
        unknown: end.unknown,
        has_head: end.head.is_some(),
        damage,
    })
}

/// A journal of which not even the header can be read.
fn hopeless(error: Error) -> Verified {
    Verified {
        chain: Digest::ZERO,
        events: 0,
        bytes: 0,
        files: 0,
        tail: Tail::Whole,
        unknown: None,
        has_head: true,
        damage: vec![error],
    }
}
