//! Events whose payload has a length, so that a reader which does not know them can skip them. All their fields
//! are absolute; what follows in a payload may have been added by a newer engine, and is left alone.

use std::sync::Arc;

use super::{Context, Decoded, put_outcome, put_result, tag, take_outcome, take_result};
use crate::base::{Digest, Millis, NodeIx, Span};
use crate::graph::shards::Cut;
use crate::journal::bytes::{Fault, Take, put_bytes, put_var};
use crate::journal::codes::Stored;
use crate::run::event::{Attempt, CancelReason, Event, HealStep, ReopenReason, SecretFact, ShardResult};

/// Whether `event` is one of them. `ShardFinished` with a digest is one, too.
pub(super) fn holds(event: &Event) -> bool {
    matches!(
        event,
        Event::ShardExpired { .. }
            | Event::ShardsCut { .. }
            | Event::ItemsFrozen { .. }
            | Event::CellsFrozen { .. }
            | Event::ShardRecalled { .. }
            | Event::StageSealed { .. }
            | Event::ShardsReopened { .. }
            | Event::BoxOpened { .. }
            | Event::NodeDeferred { .. }
            | Event::BoxClosed
            | Event::SecretsFetched { .. }
            | Event::TicketRaised { .. }
            | Event::ObjectiveRisked { .. }
            | Event::ObjectiveBreached { .. }
            | Event::RollbackBegan { .. }
            | Event::CancelRaised { why: CancelReason::Rollback, .. }
            | Event::NodeReopened { why: ReopenReason::Restart, .. }
            | Event::Healing { .. }
    ) || super::crews::has(event)
        || super::consent::has(event)
        || super::background::has(event)
}

/// Appends one of them.
pub(super) fn put(out: &mut Vec<u8>, event: &Event) {
    let mut payload = Vec::new();
    let tag = put_payload(&mut payload, event);
    put_var(out, tag);
    put_bytes(out, &payload);
}

fn put_payload(out: &mut Vec<u8>, event: &Event) -> u64 {
    match event {
        Event::ShardExpired { node, shard, clock } => {
            node.put(out);
            put_var(out, u64::from(*shard));
            clock.put(out);
            tag::SHARD_EXPIRED
        }
        Event::ShardsCut { node, cut, why, p95 } => {
            node.put(out);
            put_var(out, u64::from(cut.shard));
            put_var(out, cut.item);
            put_var(out, u64::from(cut.size));
            why.put(out);
            put_var(out, p95.ms());
            tag::SHARDS_CUT
        }
        Event::ItemsFrozen { node, items } => {
            node.put(out);
            put_var(out, items.len() as u64);
            items.iter().for_each(|item| put_bytes(out, item.as_bytes()));
            tag::ITEMS_FROZEN
        }
        Event::CellsFrozen { node, cells } => {
            node.put(out);
            put_var(out, cells.len() as u64);
            cells.iter().for_each(|cell| put_bytes(out, cell.as_bytes()));
            tag::CELLS_FROZEN
        }
        Event::ShardFinished { attempt, outcome, took, result } => {
            attempt.node.put(out);
            put_var(out, u64::from(attempt.shard));
            put_var(out, u64::from(attempt.number));
            put_var(out, took.ms());
            put_outcome(out, outcome, result.never_ran);
            put_result(out, &mut Context::default(), result);
            put_digest(out, result.digest);
            tag::FINISHED_SEALED
        }
        Event::ShardRecalled { node, shard, result } => {
            node.put(out);
            put_var(out, u64::from(*shard));
            put_result(out, &mut Context::default(), result);
            put_digest(out, result.digest);
            tag::SHARD_RECALLED
        }
        Event::StageSealed { node, root } => {
            node.put(out);
            out.extend_from_slice(root.as_bytes());
            tag::STAGE_SEALED
        }
        Event::NodeReopened { node, why: ReopenReason::Restart } => {
            node.put(out);
            tag::STAGE_RESTARTED
        }
        Event::ShardsReopened { node } => {
            node.put(out);
            tag::SHARDS_REOPENED
        }
        other => put_of_run(out, other),
    }
}

/// Events that are about the whole run and who works on it.
fn put_of_run(out: &mut Vec<u8>, event: &Event) -> u64 {
    match event {
        Event::BoxOpened { until } => {
            put_var(out, until.raw());
            tag::BOX_OPENED
        }
        Event::NodeDeferred { node, wants } => {
            node.put(out);
            wants.is_some().put(out);
            if let Some(wants) = wants {
                put_var(out, wants.ms());
            }
            tag::NODE_DEFERRED
        }
        Event::BoxClosed => tag::BOX_CLOSED,
        Event::SecretsFetched { secrets } => {
            put_secrets(out, secrets);
            tag::SECRETS_FETCHED
        }
        other => put_later(out, other),
    }
}

/// Those of later engines.
fn put_later(out: &mut Vec<u8>, event: &Event) -> u64 {
    match event {
        Event::TicketRaised { case } => {
            put_bytes(out, &serde_json::to_vec(case).expect("a case has plain fields only"));
            tag::TICKET_RAISED
        }
        Event::ObjectiveRisked { objective, forecast } => {
            put_var(out, u64::from(*objective));
            forecast.is_some().put(out);
            if let Some(forecast) = forecast {
                put_var(out, forecast.ms());
            }
            tag::OBJECTIVE_RISKED
        }
        Event::ObjectiveBreached { objective } => {
            put_var(out, u64::from(*objective));
            tag::OBJECTIVE_BREACHED
        }
        Event::RollbackBegan { why, nodes, between } => {
            why.put(out);
            for list in [nodes, between] {
                put_var(out, list.len() as u64);
                for node in list {
                    node.put(out);
                }
            }
            tag::ROLLBACK_BEGAN
        }
        Event::Healing { node, step } => {
            node.put(out);
            put_heal_step(out, *step);
            tag::HEALING
        }
        Event::CancelRaised { level, by, .. } => {
            level.put(out);
            put_bytes(out, by.as_bytes());
            tag::ROLLBACK_ORDERED
        }
        _ => super::consent::put(out, event)
            .or_else(|| super::background::put(out, event))
            .unwrap_or_else(|| super::crews::put(out, event)),
    }
}

fn put_heal_step(out: &mut Vec<u8>, step: HealStep) {
    match step {
        HealStep::Began { body, level } => {
            out.push(0);
            body.put(out);
            put_var(out, u64::from(level));
        }
        HealStep::Ended { due } => {
            out.push(1);
            put_var(out, due.raw());
        }
        HealStep::Halted { level } => {
            out.push(2);
            put_var(out, u64::from(level));
        }
    }
}

fn take_heal_step(from: &mut Take<'_>) -> Result<HealStep, Fault> {
    Ok(match from.byte()? {
        0 => HealStep::Began { body: Stored::take(from)?, level: from.u32()? },
        1 => HealStep::Ended { due: Millis::new(from.var()?) },
        2 => HealStep::Halted { level: from.u32()? },
        _ => return Err("an unknown step of healing"),
    })
}

fn put_secrets(out: &mut Vec<u8>, secrets: &[SecretFact]) {
    put_var(out, secrets.len() as u64);
    for SecretFact { name, source, version, rotated_at } in secrets {
        put_bytes(out, name.as_bytes());
        put_bytes(out, source.as_bytes());
        for known in [version, rotated_at] {
            known.is_some().put(out);
            if let Some(text) = known {
                put_bytes(out, text.as_bytes());
            }
        }
    }
}

fn take_secrets(from: &mut Take<'_>) -> Result<Vec<SecretFact>, Fault> {
    let count = from.count()?;
    let mut secrets = Vec::new();
    for _ in 0..count {
        let (name, source) = (from.text()?, from.text()?);
        let mut known = || -> Result<_, Fault> { Ok(if from.bool()? { Some(from.text()?) } else { None }) };
        let (version, rotated_at) = (known()?, known()?);
        secrets.push(SecretFact { name, source, version, rotated_at });
    }
    Ok(secrets)
}

fn put_digest(out: &mut Vec<u8>, digest: Option<Digest>) {
    digest.is_some().put(out);
    if let Some(digest) = digest {
        out.extend_from_slice(digest.as_bytes());
    }
}

/// Reads the payload of a tag.
pub(super) fn take(tag: u64, payload: &[u8]) -> Result<Decoded, Fault> {
    let mut from = Take::new(payload);
    let from = &mut from;
    let event = match tag {
        tag::SHARD_EXPIRED => {
            Event::ShardExpired { node: Stored::take(from)?, shard: from.u32()?, clock: Stored::take(from)? }
        }
        tag::SHARDS_CUT => {
            let node = Stored::take(from)?;
            let cut = Cut { shard: from.u32()?, item: from.var()?, size: from.u32()? };
            Event::ShardsCut { node, cut, why: Stored::take(from)?, p95: Span::from_ms(from.var()?) }
        }
        tag::ITEMS_FROZEN => {
            let node = Stored::take(from)?;
            let count = from.count()?;
            let items: Result<Vec<Box<str>>, Fault> = (0..count).map(|_| Ok(from.text()?.into())).collect();
            Event::ItemsFrozen { node, items: Arc::new(items?) }
        }
        tag::CELLS_FROZEN => {
            let node = Stored::take(from)?;
            let count = from.count()?;
            let cells: Result<Vec<Box<str>>, Fault> = (0..count).map(|_| Ok(from.text()?.into())).collect();
            Event::CellsFrozen { node, cells: Arc::new(cells?) }
        }
        tag::FINISHED_SEALED => {
            let attempt = Attempt { node: Stored::take(from)?, shard: from.u32()?, number: from.u16()? };
            let (took, (outcome, never_ran)) = (Span::from_ms(from.var()?), take_outcome(from)?);
            let result = ShardResult { never_ran, ..take_sealed(from)? }.into();
            Event::ShardFinished { attempt, outcome, took, result }
        }
        tag::SHARD_RECALLED => {
            let (node, shard) = (Stored::take(from)?, from.u32()?);
            Event::ShardRecalled { node, shard, result: Box::new(take_sealed(from)?) }
        }
        tag::STAGE_SEALED => {
            let (node, root) = (Stored::take(from)?, take_digest(from)?);
            Event::StageSealed { node, root }
        }
        tag::STAGE_RESTARTED => Event::NodeReopened { node: Stored::take(from)?, why: ReopenReason::Restart },
        tag::SHARDS_REOPENED => Event::ShardsReopened { node: Stored::take(from)? },
        tag::BOX_OPENED => Event::BoxOpened { until: Millis::new(from.var()?) },
        tag::NODE_DEFERRED => {
            let node = Stored::take(from)?;
            let wants = if from.bool()? { Some(Span::from_ms(from.var()?)) } else { None };
            Event::NodeDeferred { node, wants }
        }
        tag::BOX_CLOSED => Event::BoxClosed,
        tag::SECRETS_FETCHED => Event::SecretsFetched { secrets: take_secrets(from)? },
        _ => return take_later(tag, from),
    };
    Ok(Decoded::Known(event))
}

fn take_later(tag: u64, from: &mut Take<'_>) -> Result<Decoded, Fault> {
    let event = match tag {
        tag::TICKET_RAISED => {
            let case =
                serde_json::from_slice(from.bytes()?).map_err(|_| "what a ticket is about cannot be read")?;
            Event::TicketRaised { case }
        }
        tag::OBJECTIVE_RISKED => {
            let objective = from.u32()?;
            let forecast = if from.bool()? { Some(Span::from_ms(from.var()?)) } else { None };
            Event::ObjectiveRisked { objective, forecast }
        }
        tag::OBJECTIVE_BREACHED => Event::ObjectiveBreached { objective: from.u32()? },
        tag::ROLLBACK_BEGAN => {
            let why = Stored::take(from)?;
            Event::RollbackBegan { why, nodes: take_nodes(from)?, between: take_nodes(from)? }
        }
        tag::HEALING => Event::Healing { node: Stored::take(from)?, step: take_heal_step(from)? },
        tag::ROLLBACK_ORDERED => {
            let (level, by) = (Stored::take(from)?, from.text()?);
            Event::CancelRaised { level, why: CancelReason::Rollback, by }
        }
        _ => {
            let mut found = super::crews::take(tag, from)?;
            for other in [super::consent::take, super::background::take] {
                found = found.map_or_else(|| other(tag, from), |event| Ok(Some(event)))?;
            }
            let Some(event) = found else { return Ok(Decoded::Unknown { tag }) };
            event
        }
    };
    Ok(Decoded::Known(event))
}

fn take_sealed(from: &mut Take<'_>) -> Result<ShardResult, Fault> {
    let mut result = take_result(from, &mut Context::default())?;
    if from.bool()? {
        result.digest = Some(take_digest(from)?);
    }
    Ok(result)
}

fn take_nodes(from: &mut Take<'_>) -> Result<Vec<NodeIx>, Fault> {
    let count = from.count()?;
    (0..count).map(|_| Stored::take(from)).collect()
}

fn take_digest(from: &mut Take<'_>) -> Result<Digest, Fault> {
    let bytes = from.slice(32)?.try_into().map_err(|_| "a digest is too short")?;
    Ok(Digest::from_bytes(bytes))
}
