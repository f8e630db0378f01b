//! Records what a person said about a run that no engine works on. Starts nothing.

use std::sync::mpsc::channel;

use super::begin::{self, Orders, Read};
use super::compile::Expected;
use super::host::Error;
use super::ports::{self, Clock};
use crate::base::Millis;
use crate::journal::{self, End, Holder, Notice, Ownership, RunDir, Writer};
use crate::run::event::{CancelLevel, CancelReason};
use crate::run::{Event, Input, input};

/// Takes the run's lock, lets the core decide about `said`, and records what a person may decide: starts
/// and everything else that follows is left to the next engine. But a cancel is recorded with all that it ends, the
/// verdict too: there is no engine that would.
///
/// # Errors
/// A live engine owns the run, damage, or the disk refuses.
pub fn alone(dir: RunDir, said: Input) -> Result<(), Error> {
    let holder = Holder { pid: std::process::id(), wall_ms: ports::wall_ms() };
    let ownership = journal::take(&dir, &holder)?;
    let read = Read::open(dir, &Expected::default())?;
    let events = match said {
        Input::Cancel { why: CancelReason::Person, by, .. } => close(&read, by),
        said => words(&read, said),
    };
    if events.is_empty() {
        return Ok(());
    }
    Ok(write_out(&read.dir, &ownership, &read.end, [events])?)
}

/// What a person said, without what follows from it.
fn words(read: &Read, said: Input) -> Vec<(Millis, Event)> {
    let step = read.core(None).step(now(read), vec![said]);
    step.events.into_iter().take_while(|(_, event)| event.is_spoken()).collect()
}

/// How a run ends that `by` cancels. Nobody is there to start its clean-up, so that is left out, as by a cancel that kills.
fn close(read: &Read, by: String) -> Vec<(Millis, Event)> {
    if read.began.is_none() || read.state().decided().is_some() {
        return Vec::new();
    }
    let orders = Orders { person: by.clone(), closes: true, ..Orders::default() };
    let (mut core, mut inputs) = begin::recover(read, &orders, ports::wall_ms());
    inputs.push(Input::Cancel { level: CancelLevel::Kill, why: CancelReason::Person, by });
    let is_for_us = |event: &Event| {
        let mut is_order = false;
        input::commands(event, |_| is_order = true);
        !is_order
    };
    core.step(now(read), inputs).events.into_iter().take_while(|(_, event)| is_for_us(event)).collect()
}

/// What the run's clock says.
fn now(read: &Read) -> Millis {
    Clock::resume(read.began.as_ref().map_or(0, |began| began.wall_ms), read.last_at()).now()
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
