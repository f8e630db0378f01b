//! What must hold before each event: one law for each rule of `run`, over the recount in [`Book`].

use std::collections::BTreeSet;

use engine::base::{Millis, NodeIx, Span};
use engine::graph::model::{Condition, Need, Phase, Policy, Retry};
use engine::plan::model::{AllowFailure, RetryWhen};
use engine::run::event::{
    CancelLevel, CancelReason, CheckKind, Clock, NodeState, ReopenReason, SkipReason, StopKind, StopReason,
};
use engine::run::{Attempt, Event, Outcome, RunState};

use crate::book::{Book, Key};

/// An event must be allowed in the state that it meets.
pub(crate) fn check(book: &Book, state: &RunState, at: Millis, event: &Event) {
    book.late.check(book, at, event);
    crate::background::check(book, at, event);
    match event {
        Event::ShardsStarted { node, first, count } => {
            assert!(*count > 0, "an empty block");
            longest_way_first(book, state, *node);
            for shard in *first..first + count {
                may_start(book, at, Attempt { node: *node, shard, number: 1 });
            }
        }
        Event::ShardRetried { attempt } => may_start(book, at, *attempt),
        Event::RetryScheduled { attempt, at: due } => retry_within_budget(book, at, *attempt, *due),
        Event::StopRequested { attempt, how, why } => stop_has_a_reason(book, at, *attempt, *how, *why),
        Event::ShardExpired { node, shard, clock } => {
            assert_eq!(*clock, Clock::Within);
            assert!(!book.running.contains_key(&(*node, *shard)), "a shard expires while it runs");
            within_is_over(book, at, (*node, *shard));
        }
        Event::CheckStarted { node, shard, kind } => may_ask(book, (*node, *shard), *kind),
        Event::NodeSkipped { node, why } => {
            at_rest(book, *node);
            skip_is_true(book, state, *node, why);
        }
        Event::NodeAdmitted { node } => {
            assert_eq!(holds(book, state, *node), Some(true), "{node:?} admitted");
        }
        Event::NodeFinished { node, state: end, reason } => {
            at_rest(book, *node);
            end_is_true(book, state, *node, *end, reason);
        }
        Event::NodeExpired { node, clock } => expiry_is_true(book, at, *node, *clock),
        Event::GateOpened { node, expires, .. } => gate_opens(book, state, at, *node, *expires),
        Event::NodeReopened { node, why } => {
            let by_person = matches!(why, ReopenReason::Ordered | ReopenReason::Upstream | ReopenReason::Changed);
            if *why == ReopenReason::Restart {
                return crate::undo::restart_is_needed(book, *node);
            }
            let had_ended_well = book.state(*node).is_success() && book.graph.nodes[*node].phase != Phase::Finally;
            assert!(by_person || !had_ended_well, "promise 2: {node:?} is reopened");
        }
        Event::Healing { node, step } => crate::ladder::may_heal(book, at, *node, *step),
        Event::CancelRaised { level, why, .. } => cancel_has_a_reason(book, at, *level, *why),
        Event::NodeDeferred { node, .. } => {
            let (until, is_over) = book.holding_box().expect("a time box");
            assert!(!is_over && book.deferred.contains(node).eq(&false), "{node:?} is deferred again");
            assert!(!fits(&book.graph.nodes[*node].rules, until.since(at)), "{node:?} would fit");
        }
        Event::BoxClosed => {
            let (until, is_over) = book.time_box.expect("a time box");
            assert!(at >= until && !is_over, "the time box is closed too early or twice");
        }
        Event::RollbackBegan { why, nodes, between } => crate::undo::may_begin(book, *why, nodes, between),
        Event::FinallyBegan => {
            assert!(book.holding_box().is_none_or(|(_, is_over)| !is_over), "the clean-up begins at a hand-over");
            assert!(!book.is_suspended, "the clean-up begins while the engine leaves");
            let is_open = |node: &NodeIx| book.graph.nodes[*node].phase == Phase::Main && !has_ended(book, *node);
            assert!(!book.graph.nodes.indexes().any(|node| is_open(&node)), "clean-up before its time");
            assert!(
                book.undos.awake.iter().all(|&node| has_ended(book, node)),
                "clean-up before the rollback ends"
            );
        }
        Event::RunFinished { .. } => assert!(!book.is_suspended, "the run ends while the engine leaves"),
        _ => {}
    }
}

/// All that a stage needs, and what that needs.
pub(crate) fn counts_on(book: &Book, node: NodeIx) -> BTreeSet<NodeIx> {
    let (mut all, mut next) = (BTreeSet::new(), vec![node]);
    while let Some(node) = next.pop() {
        let needs = book.graph.nodes[node].needs.iter().map(|need| need.node);
        // What is left out on the command line waits for nobody.
        let selected = needs.filter(|&need| book.graph.nodes[need].selected);
        next.extend(selected.filter(|&need| all.insert(need)));
    }
    all
}

pub(crate) fn has_ended(book: &Book, node: NodeIx) -> bool {
    book.states.contains_key(&node)
}

fn at_rest(book: &Book, node: NodeIx) {
    assert!(!book.running.keys().any(|key| key.0 == node), "{node:?} ends while it runs");
    assert!(!book.checks.keys().any(|key| key.0 == node), "{node:?} ends while it is asked");
}

pub(crate) fn accepts(book: &Book, need: Need) -> bool {
    if !book.is_awake(need.node) {
        return true;
    }
    let is = book.state(need.node);
    let unselected = !book.graph.nodes[need.node].selected;
    (is.is_success() && need.accept.success)
        || (is == NodeState::Skipped && (need.accept.skipped || unselected))
        || (is.is_failure() && need.accept.failed)
}

fn handles_failure(book: &Book, node: NodeIx) -> bool {
    let is_handled = |need: &Need| need.accept.failed && book.state(need.node).is_failure();
    book.graph.nodes[node].needs.iter().any(is_handled)
}

/// Dependencies first, one attempt a shard, nothing again that is done or in doubt, nothing in a pause, a
/// suspension or after a cancel but handlers and the clean-up, no sooner than a re-try is due.
fn may_start(book: &Book, at: Millis, attempt: Attempt) {
    let key = (attempt.node, attempt.shard);
    let node = &book.graph.nodes[attempt.node];
    assert!(node.selected && !has_ended(book, attempt.node), "{key:?} starts after its end");
    assert!(!book.running.contains_key(&key) && !book.checks.contains_key(&key), "two attempts of {key:?}");
    assert!(!book.done.contains(&key), "promise 2: {key:?} is done");
    assert!(book.stage(key.0).held.is_none(), "{key:?} is held, and nobody had it ask again");
    assert!(!book.doubt.contains(&key), "promise 3: nobody knows what {key:?} did");
    let down = counts_on(book, attempt.node).into_iter().find(|it| book.down.contains(it));
    assert_eq!(down, None, "{key:?} starts although what it counts on does not run");
    let own = node.undoes.unwrap_or(attempt.node);
    let up = counts_on(book, own).into_iter().find(|it| book.restarting.contains(it) && !has_ended(book, *it));
    assert_eq!(up, None, "{key:?} starts although what it counts on is not up again");
    assert!(book.highest.get(&key).is_none_or(|&highest| attempt.number > highest), "{attempt:?} again");
    assert!(book.due.get(&key).is_none_or(|&due| at >= due), "{attempt:?} before it is due");
    may_act(book, attempt.node);
    crate::undo::may_undo(book, attempt.node);
    crate::ladder::may_start(book, at, attempt.node);
    if let Some((until, _)) = book.holding_box() {
        assert!(!book.deferred.contains(&attempt.node), "{key:?} was deferred");
        assert!(fits(&node.rules, until.since(at)), "{key:?} does not fit into the time box");
    }
    assert!(node.needs.iter().all(|&need| accepts(book, need)), "{key:?} starts without its needs");
    assert!(node.conditions.is_empty() || book.stage(attempt.node).is_admitted, "{key:?} starts unasked");
    assert!(!node.rules.is_approval, "an approval starts nothing");
}

fn may_act(book: &Book, node: NodeIx) {
    assert!(!book.is_paused && !book.is_suspended, "{node:?} acts in a pause");
    assert!(book.holding_box().is_none_or(|(_, is_over)| !is_over), "{node:?} acts after the time box");
    match (book.graph.nodes[node].phase, book.cancel) {
        (Phase::Finally, cancel) => {
            assert!(book.finally_since.is_some() && !book.finally_over, "clean-up before or after its time");
            assert!(cancel.is_none_or(|(level, _)| level < CancelLevel::Kill), "clean-up after a kill");
        }
        (Phase::Rollback, cancel) => {
            let goes_on = cancel.is_some_and(|(level, _)| level == CancelLevel::Drain);
            assert!(book.undos.why.is_some() && goes_on, "{node:?} is undone out of its time");
        }
        (Phase::Background, _) => crate::background::may_act(book, node),
        (Phase::Main | Phase::Heal, None) => {}
        (Phase::Main | Phase::Heal, Some((level, why))) => {
            let stage = book.graph.nodes[node].heals.unwrap_or(node);
            let drains = level == CancelLevel::Drain && matches!(why, CancelReason::Failure(_));
            let is_ordered = why == CancelReason::Rollback && level < CancelLevel::Kill;
            let is_up = (is_ordered || book.undos.why.is_some()) && book.restarting.contains(&stage);
            assert!(
                is_up || drains && (handles_failure(book, stage) || book.restarting.contains(&stage)),
                "{node:?} acts after a cancel"
            );
        }
    }
}

/// What a time box admits: what ends in time for certain, or in 95 of 100 cases, or nobody knows when.
pub(crate) fn fits(rules: &engine::graph::model::Rules, left: Span) -> bool {
    let known = rules.usual.filter(|usual| usual.samples >= 5);
    match (rules.timeout, known, rules.idempotent) {
        (Some(timeout), ..) if timeout <= left => true,
        (.., false) => false,
        (_, Some(usual), true) => usual.p95 <= left,
        (_, None, true) => left > Span::ZERO,
    }
}

/// The cache is asked once and first, `done-if` only about what is in doubt and never in a stop.
fn may_ask(book: &Book, key: Key, kind: CheckKind) {
    let rules = &book.graph.nodes[key.0].rules;
    assert!(!book.running.contains_key(&key) && !has_ended(book, key.0));
    match kind {
        CheckKind::Cache => {
            may_act(book, key.0);
            assert!(rules.has_cache && !book.stage(key.0).cache_asked, "the cache is asked again");
        }
        CheckKind::DoneIf => {
            assert!(!book.is_paused && !book.is_suspended, "{key:?} is asked in a pause");
            assert!(book.cancel.is_none_or(|it| it.0 < CancelLevel::Stop) || book.finally_since.is_some());
            assert!(rules.has_done_if, "{key:?} has no done-if");
        }
    }
}

/// Whether a fresh stage without pools could start now.
pub(crate) fn is_startable(book: &Book, state: &RunState, node: NodeIx) -> bool {
    let it = &book.graph.nodes[node];
    let is_asked = it.rules.has_cache && !book.stage(node).cache_asked;
    let progress = state.progress(node);
    let is_fresh = progress.total > 0 && progress.fresh == progress.total;
    let has_rate = it.rules.split.as_ref().is_some_and(|split| split.rate.is_some());
    let is_admitted = it.conditions.is_empty() || book.stage(node).is_admitted;
    let is_released = book.backs.decided.is_some() && book.backs.released.contains(&node) && !book.has_left();
    let is_its_phase = it.phase == Phase::Main || (it.phase == Phase::Background && is_released);
    let is_open = is_its_phase && it.selected && !has_ended(book, node);
    let is_plain = !it.rules.is_approval && it.rules.pools.is_empty() && !is_asked;
    let is_boxed = book.holding_box().is_some() && book.deferred.contains(&node);
    let is_healed = book.is_guarded() || book.is_being_healed(node);
    let is_held = is_boxed || is_healed || counts_on(book, node).iter().any(|it| book.restarting.contains(it));
    is_open
        && !is_held
        && !has_rate
        && is_plain
        && is_fresh
        && is_admitted
        && it.needs.iter().all(|&need| accepts(book, need))
}

/// The critical path comes first.
fn longest_way_first(book: &Book, state: &RunState, node: NodeIx) {
    if book.cancel.is_some() {
        return;
    }
    let mine = book.graph.priority(node);
    let passed = book
        .graph
        .nodes
        .indexes()
        .find(|&other| other != node && book.graph.priority(other) > mine && is_startable(book, state, other));
    assert_eq!(passed, None, "{node:?} overtakes");
}

/// As many re-tries as allowed, for what `when` says, spread over 50 % to 100 % of the delay.
fn retry_within_budget(book: &Book, at: Millis, attempt: Attempt, due: Millis) {
    let key = (attempt.node, attempt.shard);
    let retry = book.graph.nodes[attempt.node].rules.retry.clone().expect("re-tried without `retry`");
    // One that was scheduled and had not begun when the plan was edited is still the same.
    let used = book.retries.get(&key).copied().unwrap_or_default() - u32::from(book.due.contains_key(&key));
    assert!(used < retry.max, "{attempt:?}: more re-tries than {}", retry.max);
    let ideal = retry.delay.ms() << used.min(30);
    let full = ideal.min(retry.max_delay.map_or(u64::MAX, Span::ms));
    let least = if retry.jitter { full - full / 2 } else { full };
    assert!((least..=full).contains(&due.since(at).ms()), "{attempt:?} in {} of {full} ms", due.since(at).ms());
    let last = book.stage(attempt.node).ends;
    assert!(last.iter().any(|outcome| covers(&retry, outcome)), "{attempt:?} although `when` says no");
}

fn covers(retry: &Retry, outcome: &Outcome) -> bool {
    retry.when.is_empty()
        || retry.when.iter().any(|when| match when {
            RetryWhen::Failure => true,
            RetryWhen::Timeout => matches!(outcome, Outcome::TimedOut(_)),
            RetryWhen::Signal => matches!(outcome, Outcome::Signal(_)),
            RetryWhen::Exit(codes) => matches!(outcome, Outcome::Exit(code) if codes.contains(code)),
        })
}

fn within_is_over(book: &Book, at: Millis, key: Key) {
    let within = book.graph.nodes[key.0].rules.retry.as_ref().and_then(|retry| retry.within);
    let first = book.first.get(&key).copied().expect("a clock without a start");
    assert!(at >= first + within.expect("no such clock"), "{key:?} expires too early");
}

/// Nobody is stopped before his time, and nobody is forced before his grace is over but by a kill.
fn stop_has_a_reason(book: &Book, at: Millis, attempt: Attempt, how: StopKind, why: StopReason) {
    let run = &book.running[&(attempt.node, attempt.shard)];
    let node = &book.graph.nodes[attempt.node];
    assert!(run.stop.is_none_or(|(_, old, _)| old < how), "{attempt:?} is asked twice");
    let cancel = book.cancel.map(|(level, _)| level);
    match why {
        StopReason::Clock(Clock::Attempt) => assert!(at >= run.started + node.rules.timeout.expect("a timeout")),
        StopReason::Clock(Clock::Idle) => assert!(node.rules.idle.is_some(), "no such clock"),
        StopReason::Clock(Clock::Within) => within_is_over(book, at, (attempt.node, attempt.shard)),
        StopReason::Clock(Clock::Finally) => {
            let budget = book.graph.settings.finally_budget.expect("a budget");
            assert!(node.phase == Phase::Finally && at >= book.finally_since.expect("a clean-up") + budget);
        }
        StopReason::Clock(Clock::Run) => assert!(book.has_left(), "the run has more time"),
        StopReason::Clock(clock) => panic!("{clock:?} stops no attempt"),
        StopReason::Cancel => {
            let is_hit = node.phase != Phase::Finally || cancel == Some(CancelLevel::Kill);
            assert!(is_hit && cancel >= Some(CancelLevel::Stop), "{attempt:?} is stopped by no cancel");
            assert_eq!(how == StopKind::Kill, cancel == Some(CancelLevel::Kill));
        }
        StopReason::Scope(_) => {
            let kills = |failed: NodeIx| {
                let has_failed = matches!(book.state(failed), NodeState::Failed | NodeState::TimedOut);
                has_failed && policy(book, failed) == Policy::Kill && is_inside(book, attempt.node, failed)
            };
            assert!(book.graph.nodes.indexes().any(kills), "{attempt:?} is stopped by no scope of its own");
        }
        StopReason::HandOver => {
            let is_over = book.box_is_over() && how == StopKind::Terminate;
            assert!(is_over || book.has_left(), "{attempt:?} had more time");
        }
        StopReason::Grace => {
            let (since, ..) = run.stop.expect("it was asked before");
            assert!(at >= since + node.rules.grace && how == StopKind::Kill, "{attempt:?} had more grace");
        }
    }
}

pub(crate) fn policy(book: &Book, node: NodeIx) -> Policy {
    let it = &book.graph.nodes[node];
    if it.phase == Phase::Main { book.graph.scopes[it.scope].policy } else { Policy::Continue }
}

/// Whether `node` is in the scope of `of`.
pub(crate) fn is_inside(book: &Book, node: NodeIx, of: NodeIx) -> bool {
    let (scopes, nodes) = (&book.graph.scopes, &book.graph.nodes);
    let mut chain = std::iter::successors(Some(nodes[node].scope), |&scope| scopes[scope].parent);
    matches!(nodes[node].phase, Phase::Main | Phase::Heal) && chain.any(|scope| scope == nodes[of].scope)
}

/// What the only condition of a stage comes to; none when it can't be told.
fn holds(book: &Book, state: &RunState, node: NodeIx) -> Option<bool> {
    let Condition { text, views, .. } = book.graph.nodes[node].conditions.first()?;
    if &**text == "1 == 2" {
        return Some(false);
    }
    if let Some(word) = text.strip_prefix("run.state == ") {
        return Some(word.trim_matches('\'') == book.outlook());
    }
    let engine::graph::model::Target::Node(need) = views.first()?.target else { return None };
    if text.contains("nobody") {
        return None;
    }
    let is_success = book.state(need) == NodeState::Success;
    if text.contains("outputs.n") {
        let wrote = state.outputs(need).iter().any(|(name, value)| name == "n" && value == 1);
        return Some(wrote && matches!(book.state(need), NodeState::Success | NodeState::Cached));
    }
    Some(is_success == text.contains("=="))
}

fn skip_is_true(book: &Book, state: &RunState, node: NodeIx, why: &SkipReason) {
    let it = &book.graph.nodes[node];
    assert!(!has_ended(book, node), "{node:?} ends twice");
    match why {
        SkipReason::Condition => assert_eq!(holds(book, state, node), Some(false), "{node:?}"),
        SkipReason::NoCell => assert!(state.graph().is_absent(node), "{node:?} is a cell"),
        SkipReason::NotSelected => assert!(!it.selected, "{node:?} is selected"),
        SkipReason::NotNeeded if it.phase == Phase::Rollback => crate::undo::may_pass(book, node, why),
        SkipReason::NotNeeded => {
            let went_well = |node| book.state(node).is_success() || book.state(node) == NodeState::Skipped;
            let is_idle = |need: &Need| !need.accept.success && went_well(need.node) && !accepts(book, *need);
            assert!(it.needs.iter().any(is_idle), "{node:?} is needed");
        }
        SkipReason::Blocked { by } => {
            let is_bad = !book.state(*by).is_success();
            let is_need = is_bad && it.needs.iter().any(|need| need.node == *by && !accepts(book, *need));
            let drains = book.cancel == Some((CancelLevel::Drain, CancelReason::Failure(*by)));
            // What undoes or heals a stage counts on what the stage counts on.
            let own = it.undoes.or(it.heals).unwrap_or(node);
            let is_gone = book.restarting.contains(by) && counts_on(book, own).contains(by);
            let is_undone = it.phase == Phase::Background
                && book.undos.undone.contains(by)
                && counts_on(book, node).contains(by);
            assert!(
                is_need || is_gone || is_undone || drains && it.phase == Phase::Main,
                "{by:?} does not block {node:?}"
            );
            crate::background::is_blocked_for_good(book, node, *by);
        }
    }
}

/// A stage ends as what it is.
fn end_is_true(book: &Book, run: &RunState, node: NodeIx, end: NodeState, reason: &str) {
    let (it, stage) = (&book.graph.nodes[node], book.stage(node));
    // Of what has items, the items are counted.
    let has_items = it.rules.split.is_some();
    let all_done = || has_items || (0..it.rules.shards).all(|shard| book.done.contains(&(node, shard)));
    let is_barred = reason.contains("forward-only") && it.rules.undo == engine::graph::model::Undo::Never;
    let is_unserved = book.backs.decided.is_some() && crate::background::lacks_services(book, node);
    let is_untold = reason.contains("can't be told") && holds(book, run, node).is_none();
    let is_refused = is_unserved || is_barred || is_untold;
    let has_failed = !stage.ends.is_empty()
        || stage.decided == Some(false)
        || stage.expired.is_some()
        || is_refused
        || stage.resolved.is_some_and(|it| it == engine::run::event::Resolution::Failed)
        || book.finally_over
        || book.late.fails(book, node);
    match end {
        NodeState::Success if it.rules.is_approval => assert_eq!(stage.decided, Some(true), "{node:?}"),
        NodeState::Success => {
            assert!(all_done(), "{node:?} succeeds with work left");
            assert!(stage.held.is_none() || stage.decided == Some(true), "{node:?} is held, nobody let it go");
        }
        NodeState::Cached => assert!(stage.is_cached, "{node:?}"),
        NodeState::Failed => assert!(has_failed, "{node:?} did not fail"),
        NodeState::TimedOut => {
            let by_clock = |outcome: &Outcome| matches!(outcome, Outcome::TimedOut(_));
            let is_late = stage.ends.iter().any(by_clock) || stage.expired.is_some() || book.finally_over;
            assert!(is_late, "{node:?} had time");
        }
        NodeState::AllowedFailure => {
            assert!(has_failed && it.rules.allow_failure != AllowFailure::No, "{node:?} is not allowed to fail");
        }
        NodeState::Cancelled => {
            assert!(book.cancel.is_some() || stage.was_killed || book.finally_over, "{node:?} is not cancelled");
        }
        NodeState::Unknown => assert!(!stage.unknown.is_empty(), "{node:?} is known"),
        other => panic!("{node:?} ends as {other:?}"),
    }
    if matches!(end, NodeState::Failed | NodeState::TimedOut) {
        assert_ne!(it.rules.allow_failure, AllowFailure::Any, "{node:?} is allowed to fail");
        if !is_unserved {
            tried_enough(book, node);
        }
        crate::ladder::has_tried(book, node);
    }
}

/// No stage gives up while it has re-tries left.
fn tried_enough(book: &Book, node: NodeIx) {
    let (it, stage) = (&book.graph.nodes[node], book.stage(node));
    let Some(retry) = it.rules.retry.as_ref().filter(|retry| retry.within.is_none()) else { return };
    let Some(last @ (Outcome::Exit(_) | Outcome::NotStarted(_) | Outcome::BadResult(_))) = stage.ends.last()
    else {
        return;
    };
    let is_plain =
        it.rules.shards == 1 && it.rules.split.is_none() && book.cancel.is_none() && stage.expired.is_none();
    let used = book.retries.get(&(node, 0)).copied().unwrap_or_default();
    // What is done and fails all the same took too long; another attempt would take longer.
    let is_late = book.late.fails(book, node) && book.done.contains(&(node, 0));
    // Nor does a gate that a person decided ask once more.
    let is_over = book.finally_over || stage.resolved.is_some() || stage.decided.is_some() || is_late;
    if is_plain && !is_over && covers(retry, last) {
        assert!(used >= retry.max, "{node:?} gives up after {used} re-tries of {}", retry.max);
    }
}

fn expiry_is_true(book: &Book, at: Millis, node: NodeIx, clock: Clock) {
    let it = &book.graph.nodes[node];
    match clock {
        Clock::Queue => {
            assert!(it.rules.queue.is_some() && !book.is_paused && !book.is_suspended);
            assert!(!book.running.keys().any(|key| key.0 == node), "{node:?} has had its turn");
        }
        Clock::Gate => {
            let (_, expires) = book.stage(node).opened.expect("an open approval");
            assert!(at >= expires.expect("a timeout"), "{node:?} had more time");
        }
        Clock::Finally => {
            let budget = book.graph.settings.finally_budget.expect("a budget");
            assert!(at >= book.finally_since.expect("a clean-up") + budget, "the clean-up had more time");
        }
        other => panic!("{other:?} ends no stage"),
    }
}

fn gate_opens(book: &Book, state: &RunState, at: Millis, node: NodeIx, expires: Option<Millis>) {
    let it = &book.graph.nodes[node];
    may_act(book, node);
    let held = book.stage(node).held;
    let is_halted = book.heals.is_halted(node);
    let asks = it.rules.is_approval || held.is_some() || is_halted;
    assert!(asks && (is_halted || state.state(node) == NodeState::Waiting));
    assert!(book.stage(node).opened.is_none() && book.stage(node).decided.is_none(), "{node:?} asks twice");
    let wait = match held {
        _ if is_halted => None,
        Some(is_halt) => it.rules.hold.filter(|_| !is_halt),
        None => it.rules.timeout,
    };
    assert_eq!(expires, wait.map(|wait| at + wait));
    assert!(it.needs.iter().all(|&need| accepts(book, need)), "{node:?} asks without its needs");
}

/// A cancel rises, and only a failure that its scope does not keep, a clock or a person raises it.
fn cancel_has_a_reason(book: &Book, at: Millis, level: CancelLevel, why: CancelReason) {
    let is_order = why == CancelReason::Rollback && level == CancelLevel::Drain;
    let is_late = is_order && book.undos.why.is_some_and(|why| why != CancelReason::Rollback);
    assert!(is_late || book.cancel.is_none_or(|(old, _)| old < level), "a cancel falls");
    match why {
        CancelReason::Failure(node) => {
            assert!(matches!(book.state(node), NodeState::Failed | NodeState::TimedOut), "{node:?} did not fail");
            assert_ne!(policy(book, node), Policy::Continue, "the failure of {node:?} stays inside");
        }
        CancelReason::Timeout => {
            let limit = book.run_limit().expect("a timeout");
            assert!(!book.knows_time() || book.used_time(at) >= limit, "the run had more time");
        }
        CancelReason::Person | CancelReason::Terminated | CancelReason::Rollback => {}
    }
}
