//! One event as bytes. `docs/journal-format.md` is the specification; this file carries it out.
//!
//! Stages, shards and output places are stored as differences to the event before in the same frame
//! ([`Context`]), so that a plain success takes about five bytes.

mod background;
mod consent;
mod crews;
mod sized;
pub(super) mod tag;

use super::bytes::{Fault, Take, put_bytes, put_var, put_zig};
use super::codes::Stored;
use crate::base::{Digest, Millis, NodeIx, Span};
use crate::run::event::{Answer, Attempt, Event, Left, Outcome, OutputRef, ShardResult};

/// Output values or notes of an attempt for which exactly the room that they take is made: a run may have a million ends that are
/// held at once. What says that it has more grows as it is read.
const FEW: usize = 8;

/// What the events before in the frame said; all zero at the frame's start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Context {
    at: Millis,
    node: u32,
    shard: u32,
    segment: u32,
    offset: u64,
}

impl Context {
    /// A frame's context, whose first event is a difference to `at`.
    pub(super) fn starting(at: Millis) -> Self {
        Self { at, ..Self::default() }
    }
}

/// What one stored event says.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Decoded {
    /// An event that we know.
    Known(Event),
    /// One of a newer engine.
    Unknown {
        /// Its tag.
        tag: u64,
    },
}

/// Appends `event`, which happened at `at`.
pub(super) fn encode(out: &mut Vec<u8>, context: &mut Context, at: Millis, event: &Event) {
    put_zig(out, at.raw().wrapping_sub(context.at.raw()).cast_signed());
    context.at = at;
    match event {
        Event::ShardsStarted { node, first, count } => {
            put_var(out, tag::SHARDS_STARTED);
            put_place(out, context, *node, *first);
            put_var(out, u64::from(*count));
        }
        Event::ShardFinished { result, .. } if result.digest.is_some() => sized::put(out, event),
        Event::ShardFinished { attempt, outcome, took, result } => {
            put_finished(out, context, (*attempt, outcome, *took), result);
        }
        Event::ShardRetried { attempt } => put_attempt(out, context, tag::SHARD_RETRIED, *attempt),
        Event::RetryScheduled { attempt, at } => {
            put_attempt(out, context, tag::RETRY_SCHEDULED, *attempt);
            put_var(out, at.raw());
        }
        Event::StopRequested { attempt, how, why } => {
            put_attempt(out, context, tag::STOP_REQUESTED, *attempt);
            how.put(out);
            why.put(out);
        }
        Event::ShardLost { attempt } => put_attempt(out, context, tag::SHARD_LOST, *attempt),
        Event::CheckStarted { node, shard, kind } => {
            put_var(out, tag::CHECK_STARTED);
            put_place(out, context, *node, *shard);
            kind.put(out);
        }
        Event::CheckAnswered { node, shard, kind, answer } => {
            put_var(out, tag::CHECK_ANSWERED);
            put_place(out, context, *node, *shard);
            kind.put(out);
            put_answer(out, context, answer);
        }
        event if sized::holds(event) => sized::put(out, event),
        other => put_rare(out, other),
    }
}

/// The events that come once a stage, or once a run; all their fields are absolute.
fn put_rare(out: &mut Vec<u8>, event: &Event) {
    match event {
        Event::RunBegan(began) => put_json(out, tag::RUN_BEGAN, began),
        Event::RunResumed(resumed) => put_json(out, tag::RUN_RESUMED, resumed),
        Event::RunFinished { verdict } => put_json(out, tag::RUN_FINISHED, verdict),
        Event::PlanChanged { version } => {
            put_var(out, tag::PLAN_CHANGED);
            put_var(out, u64::from(*version));
        }
        Event::GateOpened { node, expires, prompt } => {
            put_node(out, tag::GATE_OPENED, *node);
            expires.is_some().put(out);
            if let Some(at) = expires {
                put_var(out, at.raw());
            }
            put_bytes(out, prompt.as_bytes());
        }
        Event::GateDecided { node, approved, by, note } => {
            put_node(out, tag::GATE_DECIDED, *node);
            approved.put(out);
            put_words(out, by, note);
        }
        Event::NodeAdmitted { node } => put_node(out, tag::NODE_ADMITTED, *node),
        Event::NodeExpired { node, clock } => put_coded(out, tag::NODE_EXPIRED, *node, clock),
        Event::NodeFinished { node, state, reason } => {
            put_coded(out, tag::NODE_FINISHED, *node, state);
            put_bytes(out, reason.as_bytes());
        }
        Event::NodeSkipped { node, why } => put_coded(out, tag::NODE_SKIPPED, *node, why),
        Event::NodeReopened { node, why } => put_coded(out, tag::NODE_REOPENED, *node, why),
        Event::NodeResolved { node, resolution, by, note } => {
            put_coded(out, tag::NODE_RESOLVED, *node, resolution);
            put_words(out, by, note);
        }
        Event::PauseChanged { on, by } => {
            put_var(out, tag::PAUSE_CHANGED);
            on.put(out);
            put_bytes(out, by.as_bytes());
        }
        Event::CancelRaised { level, why, by } => {
            put_var(out, tag::CANCEL_RAISED);
            level.put(out);
            why.put(out);
            put_bytes(out, by.as_bytes());
        }
        Event::FinallyBegan => put_var(out, tag::FINALLY_BEGAN),
        Event::RunSuspended { why } => {
            put_var(out, tag::RUN_SUSPENDED);
            why.put(out);
        }
        _ => unreachable!("`encode` writes the events of shards itself"),
    }
}

fn put_json<T: serde::Serialize>(out: &mut Vec<u8>, tag: u64, value: &T) {
    put_var(out, tag);
    put_bytes(out, &serde_json::to_vec(value).expect("events have string keys and finite numbers only"));
}

fn put_node(out: &mut Vec<u8>, tag: u64, node: NodeIx) {
    put_var(out, tag);
    node.put(out);
}

fn put_coded<T: Stored>(out: &mut Vec<u8>, tag: u64, node: NodeIx, code: &T) {
    put_node(out, tag, node);
    code.put(out);
}

fn put_words(out: &mut Vec<u8>, by: &str, note: &str) {
    put_bytes(out, by.as_bytes());
    put_bytes(out, note.as_bytes());
}

#[inline]
fn put_place(out: &mut Vec<u8>, context: &mut Context, node: NodeIx, shard: u32) {
    put_zig(out, i64::from(node.raw()) - i64::from(context.node));
    put_zig(out, i64::from(shard) - i64::from(context.shard));
    context.node = node.raw();
    context.shard = shard;
}

fn put_attempt(out: &mut Vec<u8>, context: &mut Context, tag: u64, attempt: Attempt) {
    put_var(out, tag);
    put_place(out, context, attempt.node, attempt.shard);
    put_var(out, u64::from(attempt.number));
}

/// `ShardFinished` has three forms: nothing but success, success with measurements, and everything.
fn put_finished(
    out: &mut Vec<u8>,
    context: &mut Context,
    (attempt, outcome, took): (Attempt, &Outcome, Span),
    result: &ShardResult,
) {
    let is_bare = result.outputs.is_empty() && result.artifacts.is_none() && result.notes.is_empty();
    let is_measured = result.output.is_some() || result.cpu_us != 0 || result.max_rss_kib != 0;
    match (outcome, is_bare, is_measured) {
        (Outcome::Success, true, false) if attempt.number == 1 => {
            put_var(out, tag::FINISHED_PLAIN);
            put_place(out, context, attempt.node, attempt.shard);
            put_var(out, took.ms());
        }
        (Outcome::Success, true, _) => {
            put_attempt(out, context, tag::FINISHED_MEASURED, attempt);
            put_var(out, took.ms());
            put_measures(out, context, result);
        }
        _ => {
            put_attempt(out, context, tag::FINISHED_FULL, attempt);
            put_var(out, took.ms());
            put_outcome(out, outcome, result.never_ran);
            put_result(out, context, result);
        }
    }
}

fn put_measures(out: &mut Vec<u8>, context: &mut Context, result: &ShardResult) {
    result.output.is_some().put(out);
    if let Some(place) = result.output {
        put_zig(out, i64::from(place.segment) - i64::from(context.segment));
        put_zig(out, place.offset.wrapping_sub(context.offset).cast_signed());
        put_var(out, place.len);
        context.segment = place.segment;
        context.offset = place.offset;
    }
    put_var(out, result.cpu_us);
    put_var(out, result.max_rss_kib);
}

fn put_result(out: &mut Vec<u8>, context: &mut Context, result: &ShardResult) {
    put_measures(out, context, result);
    put_var(out, result.outputs.len() as u64);
    for (name, value) in &result.outputs {
        put_bytes(out, name.as_bytes());
        put_bytes(out, &serde_json::to_vec(value).expect("a JSON value can be written as JSON"));
    }
    result.artifacts.is_some().put(out);
    if let Some(digest) = result.artifacts {
        out.extend_from_slice(digest.as_bytes());
    }
    put_var(out, result.notes.len() as u64);
    for note in &result.notes {
        put_bytes(out, note.as_bytes());
    }
}

fn put_outcome(out: &mut Vec<u8>, outcome: &Outcome, never_ran: bool) {
    match outcome {
        Outcome::TimedOut(clock) if never_ran => {
            out.push(8);
            clock.put(out);
        }
        Outcome::Cancelled if never_ran => out.push(7),
        Outcome::Success => out.push(0),
        Outcome::Exit(code) => {
            out.push(1);
            code.put(out);
        }
        Outcome::Signal(number) => {
            out.push(2);
            number.put(out);
        }
        Outcome::TimedOut(clock) => {
            out.push(3);
            clock.put(out);
        }
        Outcome::Cancelled => out.push(4),
        Outcome::NotStarted(why) => {
            out.push(5);
            put_bytes(out, why.as_bytes());
        }
        Outcome::BadResult(why) => {
            out.push(6);
            put_bytes(out, why.as_bytes());
        }
    }
}

fn put_answer(out: &mut Vec<u8>, context: &mut Context, answer: &Answer) {
    match answer {
        Answer::Yes(result) => {
            out.push(0);
            put_result(out, context, result);
        }
        Answer::No => out.push(1),
        Answer::Unknown(why) => {
            out.push(2);
            put_bytes(out, why.as_bytes());
        }
    }
}

/// Reads one event and its time.
pub(super) fn decode(from: &mut Take<'_>, context: &mut Context) -> Result<(Millis, Decoded), Fault> {
    let at = Millis::new(context.at.raw().wrapping_add(from.zig()?.cast_unsigned()));
    context.at = at;
    let tag = from.var()?;
    if tag >= tag::FIRST_SIZED {
        return sized::take(tag, from.bytes()?).map(|decoded| (at, decoded));
    }
    take_event(tag, from, context).map(|event| (at, Decoded::Known(event)))
}

fn take_event(tag: u64, from: &mut Take<'_>, context: &mut Context) -> Result<Event, Fault> {
    Ok(match tag {
        tag::SHARDS_STARTED => {
            let (node, first) = take_place(from, context)?;
            let count = from.u32()?;
            first.checked_add(count).ok_or("a block of shards is out of range")?;
            Event::ShardsStarted { node, first, count }
        }
        tag::FINISHED_PLAIN => {
            let (node, shard) = take_place(from, context)?;
            let attempt = Attempt { node, shard, number: 1 };
            let took = Span::from_ms(from.var()?);
            Event::ShardFinished { attempt, outcome: Outcome::Success, took, result: Left::default() }
        }
        tag::FINISHED_MEASURED => {
            let attempt = take_attempt(from, context)?;
            let took = Span::from_ms(from.var()?);
            let result = take_measures(from, context)?.into();
            Event::ShardFinished { attempt, outcome: Outcome::Success, took, result }
        }
        tag::FINISHED_FULL => {
            let attempt = take_attempt(from, context)?;
            let took = Span::from_ms(from.var()?);
            let (outcome, never_ran) = take_outcome(from)?;
            let result = ShardResult { never_ran, ..take_result(from, context)? }.into();
            Event::ShardFinished { attempt, outcome, took, result }
        }
        tag::SHARD_RETRIED => Event::ShardRetried { attempt: take_attempt(from, context)? },
        tag::RETRY_SCHEDULED => {
            let attempt = take_attempt(from, context)?;
            Event::RetryScheduled { attempt, at: Millis::new(from.var()?) }
        }
        tag::STOP_REQUESTED => {
            let attempt = take_attempt(from, context)?;
            Event::StopRequested { attempt, how: Stored::take(from)?, why: Stored::take(from)? }
        }
        tag::SHARD_LOST => Event::ShardLost { attempt: take_attempt(from, context)? },
        tag::CHECK_STARTED => {
            let (node, shard) = take_place(from, context)?;
            Event::CheckStarted { node, shard, kind: Stored::take(from)? }
        }
        tag::CHECK_ANSWERED => {
            let (node, shard) = take_place(from, context)?;
            let kind = Stored::take(from)?;
            Event::CheckAnswered { node, shard, kind, answer: take_answer(from, context)? }
        }
        _ => take_rare(tag, from)?,
    })
}

fn take_rare(tag: u64, from: &mut Take<'_>) -> Result<Event, Fault> {
    Ok(match tag {
        tag::RUN_BEGAN => Event::RunBegan(take_json(from)?),
        tag::RUN_RESUMED => Event::RunResumed(take_json(from)?),
        tag::RUN_FINISHED => Event::RunFinished { verdict: take_json(from)? },
        tag::PLAN_CHANGED => Event::PlanChanged { version: from.u32()? },
        tag::GATE_OPENED => {
            let node = Stored::take(from)?;
            let expires = if from.bool()? { Some(Millis::new(from.var()?)) } else { None };
            Event::GateOpened { node, expires, prompt: from.text()? }
        }
        tag::GATE_DECIDED => Event::GateDecided {
            node: Stored::take(from)?,
            approved: from.bool()?,
            by: from.text()?,
            note: from.text()?,
        },
        tag::NODE_EXPIRED => Event::NodeExpired { node: Stored::take(from)?, clock: Stored::take(from)? },
        tag::NODE_FINISHED => {
            Event::NodeFinished { node: Stored::take(from)?, state: Stored::take(from)?, reason: from.text()? }
        }
        tag::NODE_SKIPPED => Event::NodeSkipped { node: Stored::take(from)?, why: Stored::take(from)? },
        tag::NODE_REOPENED => Event::NodeReopened { node: Stored::take(from)?, why: Stored::take(from)? },
        tag::NODE_RESOLVED => Event::NodeResolved {
            node: Stored::take(from)?,
            resolution: Stored::take(from)?,
            by: from.text()?,
            note: from.text()?,
        },
        tag::PAUSE_CHANGED => Event::PauseChanged { on: from.bool()?, by: from.text()? },
        tag::CANCEL_RAISED => {
            Event::CancelRaised { level: Stored::take(from)?, why: Stored::take(from)?, by: from.text()? }
        }
        tag::NODE_ADMITTED => Event::NodeAdmitted { node: Stored::take(from)? },
        tag::FINALLY_BEGAN => Event::FinallyBegan,
        tag::RUN_SUSPENDED => Event::RunSuspended { why: Stored::take(from)? },
        _ => return Err("an event has a tag that no engine writes"),
    })
}

fn take_json<T: serde::de::DeserializeOwned>(from: &mut Take<'_>) -> Result<T, Fault> {
    serde_json::from_slice(from.bytes()?).map_err(|_| "an event's JSON is not what it should be")
}

#[inline]
fn take_place(from: &mut Take<'_>, context: &mut Context) -> Result<(NodeIx, u32), Fault> {
    let add = |base: u32, delta: i64| {
        i64::from(base)
            .checked_add(delta)
            .and_then(|sum| u32::try_from(sum).ok())
            .ok_or("an index is out of range")
    };
    context.node = add(context.node, from.zig()?)?;
    context.shard = add(context.shard, from.zig()?)?;
    Ok((NodeIx::new(context.node), context.shard))
}

fn take_attempt(from: &mut Take<'_>, context: &mut Context) -> Result<Attempt, Fault> {
    let (node, shard) = take_place(from, context)?;
    Ok(Attempt { node, shard, number: from.u16()? })
}

fn take_measures(from: &mut Take<'_>, context: &mut Context) -> Result<ShardResult, Fault> {
    let mut result = ShardResult::default();
    if from.bool()? {
        let segment = i64::from(context.segment).checked_add(from.zig()?).and_then(|sum| u32::try_from(sum).ok());
        context.segment = segment.ok_or("a segment number is out of range")?;
        context.offset = context.offset.wrapping_add(from.zig()?.cast_unsigned());
        result.output = Some(OutputRef { segment: context.segment, offset: context.offset, len: from.var()? });
    }
    result.cpu_us = from.var()?;
    result.max_rss_kib = from.var()?;
    Ok(result)
}

fn take_result(from: &mut Take<'_>, context: &mut Context) -> Result<ShardResult, Fault> {
    let mut result = take_measures(from, context)?;
    let count = from.count()?;
    result.outputs.reserve_exact(count.min(FEW));
    for _ in 0..count {
        let name = from.text()?;
        let value = serde_json::from_slice(from.bytes()?).map_err(|_| "an output's value is not JSON")?;
        result.outputs.push((name, value));
    }
    if from.bool()? {
        let bytes = from.slice(32)?.try_into().map_err(|_| "a digest is too short")?;
        result.artifacts = Some(Digest::from_bytes(bytes));
    }
    let count = from.count()?;
    result.notes.reserve_exact(count.min(FEW));
    for _ in 0..count {
        result.notes.push(from.text()?);
    }
    Ok(result)
}

/// An outcome, and whether the attempt was stopped before it was a process.
fn take_outcome(from: &mut Take<'_>) -> Result<(Outcome, bool), Fault> {
    let outcome = match from.byte()? {
        0 => Outcome::Success,
        1 => Outcome::Exit(Stored::take(from)?),
        2 => Outcome::Signal(Stored::take(from)?),
        3 => Outcome::TimedOut(Stored::take(from)?),
        4 => Outcome::Cancelled,
        5 => Outcome::NotStarted(from.text()?),
        6 => Outcome::BadResult(from.text()?),
        7 => return Ok((Outcome::Cancelled, true)),
        8 => return Ok((Outcome::TimedOut(Stored::take(from)?), true)),
        _ => return Err("an unknown outcome"),
    };
    Ok((outcome, false))
}

fn take_answer(from: &mut Take<'_>, context: &mut Context) -> Result<Answer, Fault> {
    Ok(match from.byte()? {
        0 => Answer::Yes(Box::new(take_result(from, context)?)),
        1 => Answer::No,
        2 => Answer::Unknown(from.text()?),
        _ => return Err("an unknown answer"),
    })
}
