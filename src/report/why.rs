//! Why a stage is in its state: one line for a person who asks "what is it waiting for?".

use crate::base::{Millis, NodeIx, Span};
use crate::graph::model::Phase;
use crate::run::event::NodeState;

use super::view::{Failure, NodeView, View};
use super::words;

/// Names listed before the rest is only counted.
const MAX_NAMES: usize = 3;

/// The state of `ix` as people should see it: a pending stage whose needs have ended waits.
pub fn state(view: &View, ix: NodeIx) -> NodeState {
    let node = view.get(ix);
    if node.state == NodeState::Pending && !node.is_cut_off && is_free(view, ix) && view.ended().is_none() {
        NodeState::Waiting
    } else {
        node.state
    }
}

/// Why `ix` is in its state at `now`; empty when the state says all there is.
pub fn explain(view: &View, ix: NodeIx, now: Millis) -> String {
    let node = view.get(ix);
    match node.state {
        _ if node.is_cut_off => node.reason.clone(),
        NodeState::Pending => explain_pending(view, ix),
        NodeState::Waiting => explain_waiting(view, ix, now),
        NodeState::Running => explain_running(view, ix, now),
        NodeState::Retrying => explain_retrying(view, ix, now),
        NodeState::Success
        | NodeState::Cached
        | NodeState::Skipped
        | NodeState::Blocked
        | NodeState::Failed
        | NodeState::AllowedFailure
        | NodeState::TimedOut
        | NodeState::Cancelled
        | NodeState::Unknown
        | NodeState::Undone => node.reason.clone(),
    }
}

/// Whether everything that `ix` needs has ended, so that only a limit can hold it back.
fn is_free(view: &View, ix: NodeIx) -> bool {
    let has_phase = match view.node(ix).phase {
        Phase::Main => true,
        Phase::Background => view.in_background(),
        _ => view.is_cleaning_up(),
    };
    has_phase && view.node(ix).needs.iter().all(|need| words::is_ended(view.get(need.node).state))
}

/// What an unstarted stage waits for.
fn explain_pending(view: &View, ix: NodeIx) -> String {
    let open: Vec<NodeIx> = view.needs(ix).filter(|&need| !words::is_ended(view.get(need).state)).collect();
    if let Some(cause) = view.say_cancel() {
        return format!("not started: {cause}");
    }
    let waits_behind = view.is_background(ix) && view.verdict().is_none();
    if waits_behind && view.in_background() && open.is_empty() {
        return if view.suspended().is_some() {
            "waits for an engine".to_owned()
        } else {
            explain_waiting(view, ix, view.now())
        };
    }
    if waits_behind && open.is_empty() {
        return "when the verdict is decided".to_owned();
    }
    if view.ended().is_some() && !waits_behind {
        return "not started".to_owned();
    }
    if open.is_empty() && view.node(ix).phase == Phase::Finally && !view.is_cleaning_up() {
        return "when all else has ended".to_owned();
    }
    if open.is_empty() { explain_waiting(view, ix, view.now()) } else { format!("needs {}", names(view, &open)) }
}

/// What holds back a stage that could start.
fn explain_waiting(view: &View, ix: NodeIx, now: Millis) -> String {
    let node = view.get(ix);
    if node.awaits_person() {
        let rest = node.expires.map(|end| format!(", {} left", words::length(end.since(now))));
        let asked = Some(super::clean::plain(&node.prompt)).filter(|prompt| !prompt.is_empty());
        let asked = asked.map_or_else(String::new, |prompt| format!(": {prompt}"));
        let min = view.node(ix).rules.consent().terms().min;
        let so_far = if min > 1 { format!(" ({} of {min})", node.votes.len()) } else { String::new() };
        let what = if view.node(ix).rules.is_approval { "an approval" } else { "a person" };
        return format!("waiting for {what}{so_far}{}{asked}", rest.unwrap_or_default());
    }
    if node.decided_by.is_some() && !node.reason.is_empty() {
        return format!("{}, in effect once resumed", node.reason);
    }
    if let Some(kind) = node.checking {
        return format!("asking its `{}`", words::check(kind));
    }
    if let Some(words) = view.frozen() {
        return words.to_owned();
    }
    if view.is_paused() {
        return "the run is paused".to_owned();
    }
    if let Some(text) = explain_pool(view, ix) {
        return text;
    }
    let jobs = view.sessions().last().map_or(0, |session| session.jobs as usize);
    let busy = view.inflight().count();
    if jobs > 0 && busy >= jobs { format!("waiting for a slot: {busy} of {jobs} in use") } else { String::new() }
}

/// Which pool has no room, and who fills it.
fn explain_pool(view: &View, ix: NodeIx) -> Option<String> {
    for &(pool, weight) in &view.node(ix).rules.pools {
        let mut used = 0_u64;
        let mut holders: Vec<NodeIx> = Vec::new();
        for (other, ..) in view.inflight() {
            let mine = view.node(other).rules.pools.iter().find(|(held, _)| *held == pool);
            let Some((_, weight)) = mine else { continue };
            used += u64::from(*weight);
            if holders.last() != Some(&other) {
                holders.push(other);
            }
        }
        let pool = view.graph().pools.get(pool)?;
        if used + u64::from(weight) > u64::from(pool.capacity) && !holders.is_empty() {
            return Some(format!("waiting for pool `{}`, held by {}", pool.name, names(view, &holders)));
        }
    }
    None
}

/// What a running stage is at.
fn explain_running(view: &View, ix: NodeIx, now: Millis) -> String {
    let node = view.get(ix);
    let mut parts = Vec::new();
    if node.shards.all > 1 {
        parts.push(shards(node));
    } else if node.attempts > 1 {
        parts.push(format!("attempt {}", node.attempts));
    }
    if let Some(why) = node.stopping {
        parts.push(format!("being stopped: {}", words::stop_reason(why)));
    } else if let (Some(spent), Some(usual)) = (node.duration(now), view.expected(ix))
        && spent > usual
    {
        parts.push(format!("{} longer than usual", words::length(spent - usual)));
    }
    parts.join(", ")
}

/// When the next attempt starts.
fn explain_retrying(view: &View, ix: NodeIx, now: Millis) -> String {
    let node = view.get(ix);
    let due = view.retry_at(ix).map_or(Span::ZERO, |at| at.since(now));
    let after = node.outcome.as_ref().map(|outcome| format!(" after {}", words::outcome(outcome)));
    let which = if node.shards.all > 1 { shards(node) } else { format!("attempt {}", node.attempts + 1) };
    format!("{which} in {}{}", words::length(due), after.unwrap_or_default())
}

/// The failed shards of a stage with their items, one a line, at most ten of them.
pub fn failed_shards(view: &View, ix: NodeIx) -> Vec<String> {
    const MAX_LINES: usize = 10;
    let node = view.get(ix);
    let Some(sharded) = &node.sharded else { return Vec::new() };
    let line = |(shard, failure): (&u32, &Failure)| {
        let (said, items) = (words::outcome(&failure.outcome), view.items_words(ix, *shard));
        format!("{}[{shard}]: {said}; {items}", view.id(ix))
    };
    let mut lines: Vec<String> = sharded.failed.iter().take(MAX_LINES).map(line).collect();
    let more = (node.shards.failed as usize).saturating_sub(lines.len());
    if more > 0 && !lines.is_empty() {
        lines.push(format!("and {more} more"));
    }
    lines
}

/// `412/500 shards, 3 failed`.
pub fn shards(node: &NodeView) -> String {
    let counts = node.shards;
    let mut text = format!("{}/{} shards", counts.done, counts.all);
    if counts.failed > 0 {
        put!(text, ", {} failed", counts.failed);
    }
    text
}

/// `` `a`, `b`, `c` and 4 more ``.
pub fn names(view: &View, list: &[NodeIx]) -> String {
    let named: Vec<String> = list.iter().take(MAX_NAMES).map(|&ix| format!("`{}`", view.id(ix))).collect();
    match list.len().checked_sub(MAX_NAMES).filter(|&more| more > 0) {
        Some(more) => format!("{} and {more} more", named.join(", ")),
        None => named.join(", "),
    }
}
