//! Records what a person said about a run that no engine works on. Starts nothing.

use std::sync::mpsc::channel;

use super::begin::Read;
use super::compile::Expected;
use super::host::Error;
use super::ports::{self, Clock};
use crate::base::Millis;
use crate::journal::{self, End, Holder, Notice, Ownership, RunDir, Writer};
use crate::run::{Event, Input};

/// Takes the run's lock, lets the core decide about `inputs`, and records what a person may decide: starts
/// and everything else that follows is left to the next engine.
///
/// # Errors
/// A live engine owns the run, damage, or the disk refuses.
pub fn alone(dir: RunDir, inputs: Vec<Input>) -> Result<(), Error> {
    let holder = Holder { pid: std::process::id(), wall_ms: ports::wall_ms() };
    let ownership = journal::take(&dir, &holder)?;
    let read = Read::open(dir, &Expected::default())?;
    let mut core = read.core(None);
    let clock = Clock::resume(read.began.as_ref().map_or(0, |began| began.wall_ms), read.last_at());
    let events: Vec<_> =
        core.step(clock.now(), inputs).events.into_iter().take_while(|(_, event)| event.is_spoken()).collect();
    if events.is_empty() {
        return Ok(());
    }
    Ok(write_out(&read.dir, &ownership, &read.end, [events])?)
}

/// Appends `batches` to the journal of `dir`, which ends at `end`; all are durable when this returns.
///
/// # Errors
/// The disk refuses.
pub(super) fn write_out(
    dir: &RunDir,
    ownership: &Ownership,
    end: &End,
    batches: impl IntoIterator<Item = Vec<(Millis, Event)>>,
) -> Result<(), journal::Error> {
    let (tell, hear) = channel();
    // Nobody is left to tell once this function has returned.
    let writer = Writer::open(dir, ownership, end, move |notice| drop(tell.send(notice)))?;
    let mut last = 0;
    for batch in batches {
        last = writer.append(batch)?;
    }
    while let Ok(notice) = hear.recv() {
        match notice {
            Notice::Durable { first, records } if first + records.len() as u64 > last => break,
            Notice::Durable { .. } => {}
            Notice::Failed(error) => return Err(error),
        }
    }
    writer.close();
    Ok(())
}
